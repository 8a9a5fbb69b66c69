/* Registers of tiles in a lane: how many, which element each holds, and the ops that work on each alone. */
#include "codegen/emit_ptx.h"

#include <assert.h>

/* ---- layouts ---- */

ptx_layout ptx_layout_at(const emitter *e, ktile t)
{
    return ptx_layout_of(t, e->ptx->lanes);
}

static int width_of(const ptx_layout *l)
{
    return l->packed < 0 ? 1 : 2;
}

cg_value ptx_tile(emitter *e, ktile t)
{
    cg_value x = {.rows = 1, .lanes = 1, .chunks = 1, .depth = e->depth};
    if (t.layout != KL_SHARED) {
        ptx_layout l = ptx_layout_at(e, t);
        x.lanes = width_of(&l);
        x.chunks = l.registers;
    }
    x.cols = x.chunks * x.lanes;
    x.v = ARENA_ARRAY(e->m->a, LLVMValueRef, (size_t)x.chunks);
    return x;
}

void ptx_set_tile(emitter *e, const kvalue *v, cg_value x)
{
    if (v->ty.tile.rank == 0 && v->ty.tile.dt == DT_I64) cg_set_affine(e, v, x.v[0], 0);
    else cg_set(e, v, x);
}

LLVMValueRef ptx_lane_bits(emitter *e, int shift, int mask)
{
    LLVMValueRef v = e->ptx->lane;
    if (shift) v = LLVMBuildLShr(e->b, v, cg_const_i32(e->m, shift), "");
    return mask == (e->ptx->lanes - 1) >> shift ? v : LLVMBuildAnd(e->b, v, cg_const_i32(e->m, mask), "");
}

static int log2_of(int x)
{
    return __builtin_ctz((unsigned)x);
}

LLVMValueRef ptx_part(emitter *e, const ptx_axis *x)
{
    LLVMValueRef v = NULL;
    if (x->mod > 1) {
        v = ptx_lane_bits(e, log2_of(x->div), x->mod - 1);
        if (x->scale > 1) v = LLVMBuildMul(e->b, v, cg_const_i32(e->m, x->scale), "");
    }
    if (x->warp_scale) {
        LLVMValueRef w = LLVMBuildMul(e->b, ptx_lane_bits(e, 5, 3), cg_const_i32(e->m, x->warp_scale), "");
        v = v ? LLVMBuildAdd(e->b, v, w, "") : w;
    }
    return v;
}

LLVMValueRef ptx_coordinate(emitter *e, const ptx_axis *x, int slot)
{
    LLVMValueRef part = ptx_part(e, x), at = cg_const_i32(e->m, ptx_slot_at(x, slot));
    return part ? LLVMBuildAdd(e->b, part, at, "") : at;
}

LLVMValueRef ptx_element(emitter *e, const cg_value *x, const ptx_layout *l, int row_slot, int col_slot)
{
    int r = l->axis[PTX_ROW].size == 1 ? 0 : row_slot, c = l->axis[PTX_COL].size == 1 ? 0 : col_slot;
    if (x->cols == 1) return cg_element(e, x, 0, 0); /* with the offset of i64 scalars */
    LLVMValueRef v = x->v[ptx_register_of(l, r, c)];
    if (l->packed < 0) return v;
    return LLVMBuildExtractElement(e->b, v, cg_const_i32(e->m, (l->packed == PTX_ROW ? r : c) % 2), "");
}

/* ---- ops on each element ---- */

void emit_ptx_dim(emitter *e, kop *op)
{
    cg_set_affine(e, op->results[0], cg_dim(e, op->at.d), 0);
}

void emit_ptx_const(emitter *e, kop *op)
{
    ktile t = op->results[0]->ty.tile;
    cg_value out = cg_tile(e, t);
    for (int r = 0; r < out.chunks; r++) out.v[r] = cg_const(e->m, t.dt, out.lanes, op->at.real, op->at.i);
    ptx_set_tile(e, op->results[0], out);
}

static LLVMValueRef to_int(emitter *e, LLVMValueRef i32, dtype dt)
{
    LLVMTypeRef t = cg_scalar_type(e->m, dt);
    uint32_t bits = dtype_bits(dt);
    return bits < 32 ? LLVMBuildTrunc(e->b, i32, t, "") : bits > 32 ? LLVMBuildZExt(e->b, i32, t, "") : i32;
}

void emit_ptx_iota(emitter *e, kop *op)
{
    ktile t = op->results[0]->ty.tile;
    ptx_layout l = ptx_layout_at(e, t);
    cg_value out = cg_tile(e, t);
    int axis = t.rank == 2 ? (int)op->at.axis : PTX_COL;
    for (int r = 0; r < l.axis[PTX_ROW].slots; r++)
        for (int c = 0; c < l.axis[PTX_COL].slots; c++) {
            LLVMValueRef v = to_int(e, ptx_coordinate(e, &l.axis[axis], axis == PTX_ROW ? r : c), t.dt);
            LLVMValueRef *reg = &out.v[ptx_register_of(&l, r, c)];
            if (l.packed < 0) {
                *reg = v;
                continue;
            }
            if (!*reg) *reg = LLVMGetPoison(cg_vector_of(LLVMTypeOf(v), 2));
            *reg = LLVMBuildInsertElement(e->b, *reg, v, cg_const_i32(e->m, (l.packed == PTX_ROW ? r : c) % 2), "");
        }
    ptx_set_tile(e, op->results[0], out);
}

/* Two neighbours at once: there is one instruction for both. */
static bool pairs_convert(const ptx_layout *l, dtype from, dtype to)
{
    return l->packed < 0 && l->registers > 1 && l->axis[PTX_COL].piece >= 2 && from == DT_F32 &&
           (to == DT_F16 || to == DT_BF16);
}

void emit_ptx_cast(emitter *e, kop *op)
{
    ktile from = op->operands[0]->ty.tile, to = op->results[0]->ty.tile;
    ptx_layout l = ptx_layout_at(e, from);
    cg_value out = cg_tile(e, to);
    const cg_value *in = cg_get(e, op->operands[0]);
    bool pairs = pairs_convert(&l, from.dt, to.dt);
    for (int r = 0; r < out.chunks; r++) {
        if (!pairs) {
            LLVMValueRef x = in->cols == 1 ? cg_element(e, in, 0, 0) : in->v[r];
            out.v[r] = emit_convert(e, x, from.dt, to.dt);
        } else if (r % 2 == 0) {
            LLVMValueRef two = LLVMGetPoison(cg_vector_of(e->m->f32, 2));
            for (int i = 0; i < 2; i++)
                two = LLVMBuildInsertElement(e->b, two, in->v[r + i], cg_const_i32(e->m, i), "");
            two = emit_convert(e, two, from.dt, to.dt);
            for (int i = 0; i < 2; i++) out.v[r + i] = LLVMBuildExtractElement(e->b, two, cg_const_i32(e->m, i), "");
        }
    }
    ptx_set_tile(e, op->results[0], out);
}

void emit_ptx_bitcast(emitter *e, kop *op)
{
    ktile to = op->results[0]->ty.tile;
    cg_value out = cg_tile(e, to);
    const cg_value *in = cg_get(e, op->operands[0]);
    LLVMTypeRef t = cg_vector_of(cg_scalar_type(e->m, to.dt), out.lanes);
    for (int r = 0; r < out.chunks; r++)
        out.v[r] = LLVMBuildBitCast(e->b, in->cols == 1 ? cg_element(e, in, 0, 0) : in->v[r], t, "");
    ptx_set_tile(e, op->results[0], out);
}

/* There is no libm on a GPU: expand_math leaves these only on f64. */
static const bool is_function[KOP_COUNT] = {
    [KOP_EXP] = true,  [KOP_EXP_NONPOSITIVE] = true, [KOP_LOG] = true, [KOP_ERF] = true,
    [KOP_TANH] = true, [KOP_SIGMOID] = true,         [KOP_SIN] = true, [KOP_COS] = true,
};

/* Operand i for registers that hold `width` elements. */
static LLVMValueRef packed_operand(emitter *e, const kop *op, uint32_t i, int reg, int width)
{
    const cg_value *x = cg_get(e, op->operands[i]);
    return op->operands[i]->ty.tile.rank ? x->v[reg] : cg_splat(e, cg_element(e, x, 0, 0), width);
}

static void map_packed(emitter *e, const kop *op, dtype dt, cg_value *out)
{
    for (int r = 0; r < out->chunks; r++) {
        LLVMValueRef x[3] = {0};
        for (uint32_t i = 0; i < op->n_operands; i++) x[i] = packed_operand(e, op, i, r, out->lanes);
        out->v[r] = emit_scalar_op(e, op->op, dt, x);
    }
}

/* PTX shifts by a 32-bit count, and LLVM relies on its clamping after cutting off the upper half of a 64-bit one: a
 * count is brought below 2^32 first. */
static const bool is_shift[KOP_COUNT] = {[KOP_SHL] = true, [KOP_SHR] = true};

static LLVMValueRef clamped_count(emitter *e, LLVMValueRef count)
{
    LLVMTypeRef t = e->m->i64;
    LLVMValueRef args[] = {count, cg_const_i64(e->m, 64)};
    LLVMValueRef low = LLVMBuildTrunc(e->b, cg_intrinsic(e, "llvm.umin", &t, 1, args, 2), e->m->i32, "");
    return LLVMBuildZExt(e->b, low, t, "");
}

static void map_elements(emitter *e, const kop *op, dtype dt, const ptx_layout *l, cg_value *out)
{
    ptx_layout in[3];
    for (uint32_t i = 0; i < op->n_operands; i++) in[i] = ptx_layout_at(e, op->operands[i]->ty.tile);
    for (int r = 0; r < l->axis[PTX_ROW].slots; r++)
        for (int c = 0; c < l->axis[PTX_COL].slots; c++) {
            LLVMValueRef x[3] = {0};
            for (uint32_t i = 0; i < op->n_operands; i++)
                x[i] = ptx_element(e, cg_get(e, op->operands[i]), &in[i], r, c);
            if (is_shift[op->op] && dtype_bits(dt) == 64) x[1] = clamped_count(e, x[1]);
            out->v[ptx_register_of(l, r, c)] = emit_scalar_op(e, op->op, dt, x);
        }
}

void emit_ptx_map(emitter *e, kop *op)
{
    dtype dt = op->operands[op->n_operands - 1]->ty.tile.dt;
    ktile t = op->results[0]->ty.tile;
    /* The remainder that the hardware's division gives is not exact. */
    bool inexact = op->op == KOP_MOD && dtype_is_float(dt);
    if (is_function[op->op] || inexact) {
        emit_unsupported(e, "%s of %s on a GPU", kop_row(op->op)->name, dtype_name(dt));
        emit_ptx_undefined(e, op);
        return;
    }
    if (t.rank == 0 && !is_shift[op->op]) { /* i64 scalars keep their constant offsets */
        emit_cpu_map(e, op);
        return;
    }
    ptx_layout l = ptx_layout_at(e, t);
    cg_value out = cg_tile(e, t);
    if (l.packed < 0) map_elements(e, op, dt, &l, &out);
    else map_packed(e, op, dt, &out);
    ptx_set_tile(e, op->results[0], out);
}

void emit_ptx_undefined(emitter *e, const kop *op)
{
    for (uint32_t i = 0; i < op->n_results; i++) {
        ktile t = op->results[i]->ty.tile;
        cg_value out = cg_tile(e, t);
        LLVMTypeRef element = t.layout == KL_SHARED ? e->m->i32 : cg_vector_of(cg_scalar_type(e->m, t.dt), out.lanes);
        for (int r = 0; r < out.chunks; r++) out.v[r] = LLVMGetPoison(element);
        cg_set(e, op->results[i], out);
    }
}

void emit_ptx_transpose(emitter *e, kop *op)
{
    emit_unsupported(e, "transpose in registers on a GPU");
    emit_ptx_undefined(e, op);
}
