/* Tensor-core products of a warp: operands by ldmatrix, mma.m16n8k16. */
#include "codegen/emit_ptx.h"

#include <assert.h>

/* ---- ldmatrix ---- */

/* The axis of the tile along which memory is contiguous, for ldmatrix; -1: the rectangle is no matter for it. */
static int matrix_axis(const ptx_access *a, const ptx_layout *l)
{
    if (!a->shared || (l->layout != KL_MMA_A && l->layout != KL_MMA_B) || a->bytes != 2) return -1;
    if (a->bounded[PTX_ROW] || a->bounded[PTX_COL]) return -1;
    for (int axis = PTX_COL; axis >= PTX_ROW; axis--) {
        if (a->stride[axis] || a->step[axis] != 2) continue;
        ptx_offset none = {NULL, 0, PTX_MOST_MULTIPLE};
        /* Stored rows are 16 bytes, aligned to that. */
        if (ptx_alignment(a, none, 0, 0) < 16 || a->stride_multiple[!axis] < 16) return -1;
        return axis;
    }
    return -1;
}

/* lane >> shift & 1, times 8. */
static LLVMValueRef eights(emitter *e, int shift)
{
    return LLVMBuildMul(e->b, ptx_lane_bits(e, shift, 1), cg_const_i32(e->m, 8), "");
}

/* What every lane addresses: row lane % 8 of a stored block, and which of the (up to) four blocks: ptx_matrix_row and
 * _col. */
static ptx_offset matrix_offset(emitter *e, const ptx_access *a, int contiguous)
{
    LLVMValueRef stored = ptx_lane_bits(e, 0, 7), v[2] = {eights(e, 3), eights(e, 4)};
    ptx_offset at[2];
    for (int axis = 0; axis < 2; axis++) {
        bool here = axis != contiguous;
        at[axis] = (ptx_offset){here ? LLVMBuildOr(e->b, v[axis], stored, "") : v[axis], here ? 15 : 8, here ? 1 : 8};
    }
    return ptx_lane_offset(e, a, at[PTX_ROW], at[PTX_COL]);
}

static LLVMTypeRef pair_of(emitter *e, dtype dt)
{
    return cg_vector_of(cg_scalar_type(e->m, dt), 2);
}

bool ptx_load_matrices(emitter *e, const ptx_access *a, const ptx_layout *l, cg_value *out)
{
    int contiguous = matrix_axis(a, l);
    if (contiguous < 0) return false;
    ptx_offset lane = matrix_offset(e, a, contiguous);
    /* A lane of the fragment holds neighbours along the packed axis; memory has them as neighbours, or else is
     * transposed. */
    const char *trans = contiguous == l->packed ? "" : ".trans";
    int rows = l->axis[PTX_ROW].size / 8, cols = l->axis[PTX_COL].size / 8;
    for (int i = 0; i < rows; i += 2)
        for (int j = 0; j < cols; j += 2) {
            int n = j + 1 < cols ? 4 : 2;
            const char *name = arena_printf(e->m->a, "llvm.nvvm.ldmatrix.sync.aligned.m8n8.x%d%s.b16", n, trans);
            LLVMValueRef p = ptx_address(e, a, lane, i * 8, j * 8);
            LLVMTypeRef t = e->ptx->pm->shared_ptr;
            LLVMValueRef v = cg_intrinsic(e, name, &t, 1, &p, 1);
            assert(LLVMGetTypeKind(LLVMTypeOf(v)) == LLVMStructTypeKind &&
                   LLVMCountStructElementTypes(LLVMTypeOf(v)) == (unsigned)n);
            for (int k = 0; k < n; k++) {
                LLVMValueRef word = LLVMBuildExtractValue(e->b, v, (unsigned)k, "");
                out->v[(i + (k & 1)) * cols + j + k / 2] = LLVMBuildBitCast(e->b, word, pair_of(e, a->ty->dt), "");
            }
        }
    return true;
}

/* ---- mma ---- */

typedef struct {
    emitter *e;
    dtype dt;
    const cg_value *a, *b;
    cg_value *acc;
    int ka, cols; /* registers in a row of a; fragments in a row of acc */
} product;

static LLVMValueRef operand(product *p, LLVMValueRef pair)
{
    /* The f16 form takes vectors of halves, the bf16 form words. */
    LLVMTypeRef t = p->dt == DT_F16 ? LLVMVectorType(LLVMHalfTypeInContext(p->e->m->ctx), 2) : p->e->m->i32;
    return LLVMBuildBitCast(p->e->b, pair, t, "");
}

/* Fragment (i, j) of the accumulator plus step k of the inner axis. */
static void multiply(product *p, int i, int j, int k)
{
    emitter *e = p->e;
    LLVMValueRef args[10], *c[4];
    for (int n = 0; n < 4; n++) args[n] = operand(p, p->a->v[(2 * i + (n & 1)) * p->ka + 2 * k + n / 2]);
    for (int n = 0; n < 2; n++) args[4 + n] = operand(p, p->b->v[(2 * k + n) * p->cols + j]);
    for (int n = 0; n < 4; n++) {
        c[n] = &p->acc->v[(2 * i + n / 2) * 2 * p->cols + 2 * j + n % 2];
        args[6 + n] = *c[n];
    }
    const char *name =
        p->dt == DT_F16 ? "llvm.nvvm.mma.m16n8k16.row.col.f32.f32" : "llvm.nvvm.mma.m16n8k16.row.col.bf16";
    LLVMValueRef d = cg_intrinsic(e, name, NULL, 0, args, 10);
    for (int n = 0; n < 4; n++) *c[n] = LLVMBuildExtractValue(e->b, d, (unsigned)n, "");
}

static void contract_mma(emitter *e, kop *op)
{
    ktile ta = op->operands[1]->ty.tile, t = op->results[0]->ty.tile;
    cg_value out = cg_tile(e, t);
    memcpy(out.v, cg_get(e, op->operands[0])->v, (size_t)out.chunks * sizeof *out.v);
    product p = {.e = e, .dt = ta.dt, .a = cg_get(e, op->operands[1]), .b = cg_get(e, op->operands[2]), .acc = &out};
    p.ka = ta.shape[1] / 8;
    p.cols = t.shape[1] / 8;
    for (int k = 0; k < ta.shape[1] / 16; k++)
        for (int i = 0; i < t.shape[0] / 16; i++)
            for (int j = 0; j < p.cols; j++) multiply(&p, i, i % 2 ? p.cols - 1 - j : j, k);
    cg_set(e, op->results[0], out);
}

void emit_ptx_contract(emitter *e, kop *op)
{
    klayout l = op->results[0]->ty.tile.layout;
    if (l == KL_MMA_C) {
        contract_mma(e, op);
    } else if (l == KL_WGMMA_C) {
        ptx_contract_wgmma(e, op);
    } else {
        emit_unsupported(e, "a contraction into layout %s on a GPU", klayout_name(l));
        emit_ptx_undefined(e, op);
    }
}
