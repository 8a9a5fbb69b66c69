/* Types of tiles and buffers: what ops make of them, and their sizes. */
#include "ir/kir/kir_internal.h"

#include <assert.h>

ktile ktile_scalar(dtype dt)
{
    return (ktile){.dt = dt};
}

ktile ktile_make(dtype dt, int32_t rows, int32_t cols, klayout l)
{
    assert(rows >= 1 && cols >= 1);
    return (ktile){.dt = dt, .rank = 2, .layout = l, .shape = {rows, cols}};
}

ktile ktile_vector(dtype dt, int32_t n, klayout l)
{
    assert(n >= 1);
    return (ktile){.dt = dt, .rank = 1, .layout = l, .shape = {n}};
}

bool ktile_equal(ktile a, ktile b)
{
    if (a.dt != b.dt || a.rank != b.rank || a.layout != b.layout) return false;
    for (int i = 0; i < a.rank; i++)
        if (a.shape[i] != b.shape[i]) return false;
    return true;
}

kbuffer kbuffer_dense(dtype dt, kspace s, uint32_t rank, const dim *shape)
{
    assert(rank <= KMAX_RANK);
    kbuffer b = {.dt = dt, .space = s, .rank = (uint8_t)rank, .dense = true};
    for (uint32_t i = 0; i < rank; i++) b.shape[i] = shape[i];
    return b;
}

dim kbuffer_stride(dim_ctx *c, const kbuffer *b, uint32_t axis)
{
    assert(axis < b->rank);
    if (!b->dense) return b->strides[axis];
    dim stride = dim_const(c, 1);
    for (uint32_t i = axis + 1; i < b->rank; i++) stride = dim_mul(c, stride, b->shape[i]);
    return stride;
}

dim kbuffer_bytes(dim_ctx *c, const kbuffer *b)
{
    dim one = dim_const(c, 1), n = one;
    if (b->dense) {
        for (uint32_t i = 0; i < b->rank; i++) n = dim_mul(c, n, b->shape[i]);
    } else {
        for (uint32_t i = 0; i < b->rank; i++)
            n = dim_add(c, n, dim_mul(c, dim_sub(c, b->shape[i], one), b->strides[i]));
    }
    uint32_t bits = dtype_bits(b->dt);
    if (bits % 8 == 0) return dim_mul(c, n, dim_const(c, bits / 8));
    return dim_ceildiv(c, dim_mul(c, n, dim_const(c, bits)), dim_const(c, 8));
}

typedef struct {
    dim_ctx *to;
    const dim *with;
} translation;

static uint64_t translate(void *arg, dim_op op, int64_t n, uint64_t l, uint64_t r)
{
    translation *t = arg;
    dim left = (dim)l, right = (dim)r;
    switch (op) {
    case DIM_OP_CONST: return dim_const(t->to, n);
    case DIM_OP_SYM: return t->with[n];
    case DIM_OP_ADD: return dim_add(t->to, left, right);
    case DIM_OP_MUL: return dim_mul(t->to, left, right);
    case DIM_OP_FLOORDIV: return dim_floordiv(t->to, left, right);
    case DIM_OP_MOD: return dim_mod(t->to, left, right);
    case DIM_OP_MIN: return dim_min(t->to, left, right);
    case DIM_OP_MAX: return dim_max(t->to, left, right);
    }
    return DIM_BAD;
}

dim kdim_translate(const dim_ctx *from, dim d, dim_ctx *to, const dim *with)
{
    if (d == DIM_BAD) return DIM_BAD;
    return (dim)dim_fold(from, d, translate, &(translation){to, with});
}

/* ---- results of ops ---- */

static bool refuse(const char **why, const char *text)
{
    *why = text;
    return false;
}

static bool broadcast_shapes(const ktile *t, uint32_t n, ktile *out, const char **why)
{
    for (uint32_t i = 0; i < n; i++) {
        if (t[i].rank == 0) continue;
        if (out->rank == 0) {
            out->rank = t[i].rank;
            out->layout = t[i].layout;
            for (int k = 0; k < t[i].rank; k++) out->shape[k] = t[i].shape[k];
            continue;
        }
        if (out->rank != t[i].rank) return refuse(why, "operands of different rank");
        for (int k = 0; k < t[i].rank; k++) {
            if (out->shape[k] == t[i].shape[k] || t[i].shape[k] == 1) continue;
            if (out->shape[k] != 1) return refuse(why, "operand shapes do not broadcast");
            out->shape[k] = t[i].shape[k];
        }
        klayout l = t[i].layout;
        bool registers = (l == KL_SCALARS && out->layout == KL_VEC) || (l == KL_VEC && out->layout == KL_SCALARS);
        if (registers) out->layout = KL_VEC;
        else if (l != out->layout) return refuse(why, "operands of different layouts");
    }
    if (out->layout == KL_SHARED) return refuse(why, "a tile in shared memory has no elements in registers");
    return true;
}

static bool dtype_fits(const kscalar_info *row, dtype t)
{
    switch (dtype_class_of(t)) {
    case DTC_BOOL:
        return row->operands == S_BOOL || row->operands == S_SELECT ||
               (row->operands == S_SAME && row->result == R_BOOL);
    case DTC_FLOAT: return row->on_float && row->operands != S_INT && row->operands != S_BOOL;
    default: return row->on_int && row->operands != S_FLOAT && row->operands != S_BOOL;
    }
}

bool kmap_type(kop_kind op, const ktile *t, uint32_t n, ktile *out, const char **why)
{
    const kscalar_info *row = kscalar_row(op);
    if (n != row->arity) return refuse(why, "wrong number of operands");
    uint32_t first = row->operands == S_SELECT ? 1 : 0;
    if (first && t[0].dt != DT_BOOL) return refuse(why, "the condition is not bool");
    for (uint32_t i = first + 1; i < n; i++)
        if (t[i].dt != t[first].dt) return refuse(why, "operands of different dtypes");
    if (!dtype_fits(row, t[first].dt)) return refuse(why, "not defined for this dtype");
    *out = (ktile){.dt = row->result == R_BOOL ? DT_BOOL : t[first].dt};
    return broadcast_shapes(t, n, out, why);
}

bool kreduce_type(ktile a, int64_t axis, ktile *out, const char **why)
{
    if (a.rank == 0) return refuse(why, "a scalar has no axis to reduce");
    if (axis < 0 || axis >= a.rank) return refuse(why, "no such axis");
    if (a.dt == DT_BOOL) return refuse(why, "not defined for bool");
    if (a.layout == KL_SHARED || a.layout == KL_MMA_A || a.layout == KL_MMA_B)
        return refuse(why, "not defined for this layout");
    if (a.layout == KL_WGMMA_C && axis == 0)
        return refuse(why, "the rows of a wgmma accumulator lie in different warps");
    *out = a;
    out->shape[axis] = 1;
    return true;
}

bool kcontract_type(ktile acc, ktile a, ktile b, const char **why)
{
    if (acc.rank != 2 || a.rank != 2 || b.rank != 2) return refuse(why, "operands are tiles of rank 2");
    if (a.shape[0] != acc.shape[0] || b.shape[1] != acc.shape[1] || a.shape[1] != b.shape[0])
        return refuse(why, "shapes are not [m, n], [m, k], [k, n]");
    if (dtype_is_float(acc.dt) != dtype_is_float(a.dt) || dtype_is_float(acc.dt) != dtype_is_float(b.dt))
        return refuse(why, "floats and ints in one contraction");
    if (acc.dt == DT_BOOL || a.dt == DT_BOOL || b.dt == DT_BOOL) return refuse(why, "not defined for bool");
    if (!dtype_contains(acc.dt, a.dt) || !dtype_contains(acc.dt, b.dt))
        return refuse(why, "the accumulator cannot hold every operand");
    bool half = a.dt == b.dt && (a.dt == DT_BF16 || a.dt == DT_F16) && acc.dt == DT_F32;
    bool steps = a.shape[1] % 16 == 0;
    switch (acc.layout) {
    case KL_VEC:
        if ((a.layout != KL_VEC && a.layout != KL_SCALARS) || b.layout != KL_VEC)
            return refuse(why, "layouts are not vec; scalars or vec; vec");
        return true;
    case KL_MMA_C:
        if (a.layout != KL_MMA_A || b.layout != KL_MMA_B) return refuse(why, "layouts are not mma_c, mma_a, mma_b");
        return half && steps ? true
                             : refuse(why, "mma takes bf16 or f16 operands, an f32 accumulator and k in sixteens");
    case KL_WGMMA_C:
        if (a.layout != KL_SHARED || b.layout != KL_SHARED)
            return refuse(why, "layouts are not wgmma_c, shared, shared");
        if (acc.shape[0] != 64 || acc.shape[1] % 8) return refuse(why, "wgmma makes 64 rows of columns in eights");
        return half && steps ? true
                             : refuse(why, "wgmma takes bf16 or f16 operands, an f32 accumulator and k in sixteens");
    default: return refuse(why, "the accumulator's layout is not vec, mma_c or wgmma_c");
    }
}
