/* Reductions over an axis of a tile: first over a lane's own slots, then between lanes, in the order that kops.def
 * gives.
 *
 * Element i combines with i + h for h = p/2 ... 1. In every layout each bit of a coordinate belongs either to the slot
 * or to the lane (ptx_layout.h), so one round is either between two registers of each lane or one exchange between
 * lanes. Both lanes of an exchange compute the same result (the operations commute), which ends in all lanes of the row
 * or column. */
#include "codegen/emit_ptx.h"

#include <assert.h>
#include <math.h>

/* max and min: the instruction takes +0 as greater than -0, so that all lanes agree; the interpreter keeps either. */
static LLVMValueRef most(emitter *e, kreduce kind, dtype dt, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef x[] = {a, b};
    LLVMTypeRef t = LLVMTypeOf(a);
    bool max = kind == KREDUCE_MAX;
    if (!dtype_is_float(dt)) {
        bool sign = dtype_class_of(dt) == DTC_INT;
        return cg_intrinsic(e, max ? (sign ? "llvm.smax" : "llvm.umax") : (sign ? "llvm.smin" : "llvm.umin"), &t, 1, x,
                            2);
    }
    return cg_intrinsic(e, max ? "llvm.maxnum" : "llvm.minnum", &t, 1, x, 2);
}

static LLVMValueRef combine(emitter *e, kreduce kind, dtype dt, LLVMValueRef a, LLVMValueRef b)
{
    LLVMValueRef x[3] = {a, b};
    if (kind == KREDUCE_ADD) return emit_scalar_op(e, KOP_ADD, dt, x);
    if (!dtype_is_float(dt) || dt == DT_F32 || dt == DT_F64) return most(e, kind, dt, a, b);
    LLVMValueRef wide = most(e, kind, DT_F32, emit_convert(e, a, dt, DT_F32), emit_convert(e, b, dt, DT_F32));
    return emit_convert(e, wide, DT_F32, dt);
}

/* What an absent element counts as: combining with it changes nothing, zeros' signs included. */
static LLVMValueRef neutral(emitter *e, kreduce kind, dtype dt)
{
    int bits = (int)dtype_bits(dt);
    bool sign = dtype_class_of(dt) == DTC_INT;
    int64_t least = sign ? (int64_t)(UINT64_MAX << (bits - 1)) : 0,
            greatest = (int64_t)(sign ? ~(uint64_t)least : UINT64_MAX);
    if (kind == KREDUCE_ADD) return cg_const(e->m, dt, 1, -0.0, 0);
    if (kind == KREDUCE_MAX) return cg_const(e->m, dt, 1, (double)-INFINITY, least);
    return cg_const(e->m, dt, 1, (double)INFINITY, greatest);
}

static LLVMValueRef shuffle32(emitter *e, LLVMValueRef v, int mask)
{
    LLVMValueRef args[] = {cg_const_i32(e->m, -1), v, cg_const_i32(e->m, mask), cg_const_i32(e->m, 31)};
    return cg_intrinsic(e, "llvm.nvvm.shfl.sync.bfly.i32", NULL, 0, args, 4);
}

/* v of the lane whose number differs in the bits of `mask`. */
static LLVMValueRef shuffle(emitter *e, LLVMValueRef v, int mask, dtype dt)
{
    LLVMTypeRef t = LLVMTypeOf(v), i32 = e->m->i32;
    unsigned bits = dtype_bits(dt);
    LLVMValueRef word = LLVMBuildBitCast(e->b, v, LLVMIntTypeInContext(e->m->ctx, bits), "");
    if (bits == 64) {
        LLVMValueRef low = shuffle32(e, LLVMBuildTrunc(e->b, word, i32, ""), mask);
        LLVMValueRef high =
            shuffle32(e, LLVMBuildTrunc(e->b, LLVMBuildLShr(e->b, word, cg_const_i64(e->m, 32), ""), i32, ""), mask);
        word = LLVMBuildShl(e->b, LLVMBuildZExt(e->b, high, e->m->i64, ""), cg_const_i64(e->m, 32), "");
        word = LLVMBuildOr(e->b, word, LLVMBuildZExt(e->b, low, e->m->i64, ""), "");
    } else if (bits == 32) {
        word = shuffle32(e, word, mask);
    } else {
        LLVMTypeRef small = LLVMTypeOf(word);
        word = LLVMBuildTrunc(e->b, shuffle32(e, LLVMBuildZExt(e->b, word, i32, ""), mask), small, "");
    }
    return LLVMBuildBitCast(e->b, word, t, "");
}

typedef struct {
    emitter *e;
    kreduce kind;
    dtype dt;
    const ptx_axis *x;
    LLVMValueRef *v; /* by slot of the axis */
    int n;           /* groups of pieces still separate */
} reduction;

/* Registers s and s + by, of `slots` ones; the upper ones that are missing are absent elements. */
static void combine_groups(reduction *r, int h)
{
    int piece = r->x->piece, by = h / r->x->group;
    for (int q = 0; q + by < r->n; q++)
        for (int k = 0; k < piece; k++) {
            LLVMValueRef *low = &r->v[q * piece + k];
            *low = combine(r->e, r->kind, r->dt, *low, r->v[(q + by) * piece + k]);
        }
    if (by < r->n) r->n = by;
}

static void combine_lanes(reduction *r, int mask)
{
    assert(r->n == 1);
    for (int k = 0; k < r->x->piece; k++)
        r->v[k] = combine(r->e, r->kind, r->dt, r->v[k], shuffle(r->e, r->v[k], mask, r->dt));
}

static void combine_piece(reduction *r, int h)
{
    for (int k = 0; k < h; k++) r->v[k] = combine(r->e, r->kind, r->dt, r->v[k], r->v[k + h]);
}

/* False when two of the exchanging lanes are not of one warp. */
static bool reduce_axis(reduction *r)
{
    const ptx_axis *x = r->x;
    int p = 1;
    while (p < x->size) p *= 2;
    /* Lanes beyond the last element hold absent ones; going through all lanes leaves the result in all. */
    int lanes = x->mod > 1 ? x->mod * x->scale : 1;
    if (p < lanes) p = lanes;
    for (int h = p / 2; h >= 1; h /= 2) {
        assert(!x->warp_scale && "verified");
        if (h >= x->group) {
            combine_groups(r, h);
        } else if (h < x->piece) {
            combine_piece(r, h);
        } else {
            int mask = h / x->scale * x->div;
            if (mask > 31) return false;
            combine_lanes(r, mask);
        }
    }
    return true;
}

void emit_ptx_reduce(emitter *e, kop *op)
{
    const kvalue *from = op->operands[0], *to = op->results[0];
    ktile t = from->ty.tile;
    const cg_value *in = cg_get(e, from);
    ptx_layout l = ptx_layout_at(e, t), lo = ptx_layout_at(e, to->ty.tile);
    cg_value out = cg_tile(e, to->ty.tile);
    int axis = t.rank == 2 ? (int)op->at.axis : PTX_COL;
    const ptx_axis *x = &l.axis[axis];
    LLVMValueRef *v = ARENA_ARRAY(e->m->a, LLVMValueRef, (size_t)x->slots);
    for (int other = 0; other < l.axis[!axis].slots; other++) {
        for (int s = 0; s < x->slots; s++) {
            v[s] = ptx_element(e, in, &l, axis == PTX_ROW ? s : other, axis == PTX_ROW ? other : s);
            if (!ptx_slot_ragged(&l, axis, s)) continue;
            LLVMValueRef exists =
                LLVMBuildICmp(e->b, LLVMIntSLT, ptx_coordinate(e, x, s), cg_const_i32(e->m, x->size), "");
            v[s] = LLVMBuildSelect(e->b, exists, v[s], neutral(e, op->at.reduce, t.dt), "");
        }
        reduction r = {e, op->at.reduce, t.dt, x, v, x->slots / x->piece};
        if (!reduce_axis(&r)) {
            emit_unsupported(e, "a reduction between the warps of a warpgroup");
            emit_ptx_undefined(e, op);
            return;
        }
        out.v[axis == PTX_ROW ? ptx_register_of(&lo, 0, other) : ptx_register_of(&lo, other, 0)] = v[0];
    }
    cg_set(e, to, out);
}
