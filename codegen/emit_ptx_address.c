/* Addresses of rectangles in global and shared memory.
 *
 * A lane's address is the buffer's, plus a part that is the same in all lanes (indices times strides), plus the lane's
 * own part (its place in the rectangle, or in what an instruction wants addressed), plus a constant. Shared memory is
 * addressed in 32 bits.
 *
 * Swizzled buffers: with P the swizzle's period, swizzle(x + c) = swizzle(x) + c for multiples c of P, and swizzle(x ^
 * c) = swizzle(x) ^ swizzle(c). So what is a multiple of P is added behind the swizzle, and constants that share no bit
 * with the lane's part are swizzled when compiling: all accesses of a lane share one swizzled number. */
#include "codegen/emit_ptx.h"

#include <assert.h>

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- the rectangle ---- */

typedef struct {
    LLVMValueRef v;
    int depth;
} summand;
typedef struct {
    summand s[2 * KMAX_RANK];
    int n;
} sum;

/* Outer loops' parts first, so that they leave inner loops together. */
static void add_summand(sum *t, LLVMValueRef v, int depth)
{
    int at = t->n++;
    for (; at > 0 && t->s[at - 1].depth > depth; at--) t->s[at] = t->s[at - 1];
    t->s[at] = (summand){v, depth};
}

/* Bytes between neighbours along a buffer axis: *step when constant, else *stride. */
static void axis_stride(emitter *e, const ptx_access *a, uint32_t axis, int64_t *step, LLVMValueRef *stride,
                        int64_t *multiple)
{
    dim_ctx *c = e->f->dims;
    dim bytes = dim_mul(c, kbuffer_stride(c, a->ty, axis), dim_const(c, a->bytes));
    *stride = NULL;
    if (bytes == DIM_BAD) {
        emit_unsupported(e, "a buffer whose size does not fit in 64 bits");
        *step = 0;
    } else if (!dim_is_const(c, bytes, step)) {
        *step = 0;
        *stride = cg_dim(e, bytes);
    }
    *multiple = ptx_low_bit(*stride ? dim_known_multiple(c, bytes) : *step);
}

static LLVMValueRef offset_width(emitter *e, const ptx_access *a, LLVMValueRef i64)
{
    return a->shared ? LLVMBuildTrunc(e->b, i64, e->m->i32, "") : i64;
}

static LLVMValueRef offset_const(emitter *e, const ptx_access *a, int64_t v)
{
    return a->shared ? cg_const_i32(e->m, v) : cg_const_i64(e->m, v);
}

static void add_index(emitter *e, ptx_access *a, kidx i, uint32_t axis, sum *t)
{
    const cg_value *x = i.v ? cg_get(e, i.v) : NULL;
    int64_t c = i.off + (x ? x->off : 0), step, multiple;
    LLVMValueRef v = x ? x->v[0] : NULL, stride;
    axis_stride(e, a, axis, &step, &stride, &multiple);
    if (v) {
        /* Known of the scalar with its constant part, so of the variable part too as far as the constant goes. */
        int64_t known = lesser(ptx_known_multiple(e, i.v), ptx_low_bit(x->off));
        a->multiple = lesser(a->multiple, ptx_multiple_product(known, multiple));
        LLVMValueRef by = stride ? offset_width(e, a, stride) : offset_const(e, a, step);
        if (stride || step) add_summand(t, LLVMBuildMul(e->b, offset_width(e, a, v), by, ""), x->depth);
    }
    if (!stride) {
        a->off += c * step;
    } else if (c) {
        a->multiple = lesser(a->multiple, ptx_multiple_product(ptx_low_bit(c), multiple));
        LLVMValueRef whole = LLVMBuildMul(e->entry, stride, cg_const_i64(e->m, c), "");
        add_summand(t, offset_width(e, a, whole), 0);
    }
}

static void set_bound(emitter *e, ptx_access *a, int axis, kidx bound, int64_t size)
{
    LLVMValueRef v = cg_min_i64(e, cg_max_i64(e, cg_index(e, bound), cg_const_i64(e->m, 0)), cg_const_i64(e->m, size));
    a->bounded[axis] = true;
    a->bound[axis] = LLVMBuildTrunc(e->b, v, e->m->i32, "");
    a->bound_multiple[axis] = lesser(ptx_index_multiple(e, bound), ptx_low_bit(size));
}

ptx_access ptx_access_begin(emitter *e, const kmem *at, ktile tile)
{
    const kbuffer *ty = &at->buf->ty.buf;
    ptx_access a = {
        .ty = ty, .shared = ty->space == KSPACE_SHARED, .bytes = dtype_bits(ty->dt) / 8, .base = cg_buffer(e, at->buf)};
    if (dtype_bits(ty->dt) % 8) {
        emit_unsupported(e, "access to packed %s elements", dtype_name(ty->dt));
        a.bytes = 1;
    }
    a.multiple = ptx_low_bit(ty->align ? ty->align : a.bytes);
    sum t = {.n = 0};
    for (uint32_t i = 0; i < ty->rank; i++) add_index(e, &a, at->idx[i], i, &t);
    for (int i = 0; i < t.n; i++) a.uniform = a.uniform ? LLVMBuildAdd(e->b, a.uniform, t.s[i].v, "") : t.s[i].v;
    a.stride_multiple[PTX_ROW] = a.stride_multiple[PTX_COL] = PTX_MOST_MULTIPLE;
    for (int i = 0; i < tile.rank; i++) {
        int to = tile.rank == 2 ? i : PTX_COL;
        if (at->axes[i] != KAXIS_NONE)
            axis_stride(e, &a, at->axes[i], &a.step[to], &a.stride[to], &a.stride_multiple[to]);
        if (at->bounded[i]) set_bound(e, &a, to, at->bound[i], tile.shape[i]);
    }
    return a;
}

/* ---- lanes ---- */

static bool power_of_two(int64_t x)
{
    return x > 0 && !(x & (x - 1));
}

static ptx_offset scaled(emitter *e, const ptx_access *a, ptx_offset units, int axis)
{
    ptx_offset none = {NULL, 0, PTX_MOST_MULTIPLE};
    if (!units.v || (!a->stride[axis] && !a->step[axis])) return none;
    ptx_offset x = {.mask = -1, .multiple = ptx_multiple_product(units.multiple, a->stride_multiple[axis])};
    LLVMValueRef v = a->shared ? units.v : LLVMBuildZExt(e->b, units.v, e->m->i64, "");
    LLVMValueRef by = a->stride[axis] ? offset_width(e, a, a->stride[axis]) : offset_const(e, a, a->step[axis]);
    x.v = LLVMBuildMul(e->b, v, by, "");
    if (units.mask >= 0 && !a->stride[axis] && power_of_two(a->step[axis])) x.mask = units.mask * a->step[axis];
    return x;
}

ptx_offset ptx_lane_offset(emitter *e, const ptx_access *a, ptx_offset rows, ptx_offset cols)
{
    ptx_offset r = scaled(e, a, rows, PTX_ROW), c = scaled(e, a, cols, PTX_COL);
    if (!r.v || !c.v) return r.v ? r : c;
    bool known = r.mask >= 0 && c.mask >= 0 && !(r.mask & c.mask);
    return (ptx_offset){.v = LLVMBuildAdd(e->b, r.v, c.v, ""),
                        .mask = known ? r.mask | c.mask : -1,
                        .multiple = lesser(r.multiple, c.multiple)};
}

/* ---- addresses ---- */

static int64_t swizzled(kswizzle s, int64_t x)
{
    return x ^ (x >> s.shift & ((INT64_C(1) << s.bits) - 1) << s.base);
}

static LLVMValueRef swizzle(emitter *e, kswizzle s, LLVMValueRef x)
{
    LLVMValueRef mask = cg_const_i32(e->m, ((INT64_C(1) << s.bits) - 1) << s.base);
    LLVMValueRef high = LLVMBuildAnd(e->b, LLVMBuildLShr(e->b, x, cg_const_i32(e->m, s.shift), ""), mask, "");
    return LLVMBuildXor(e->b, x, high, "");
}

static LLVMValueRef plus(emitter *e, LLVMValueRef x, LLVMValueRef y)
{
    return !x ? y : !y ? x : LLVMBuildAdd(e->b, x, y, "");
}

/* Offsets into shared memory are below 2^31, so the sign makes no difference. */
static LLVMValueRef at_offset(emitter *e, LLVMValueRef base, LLVMValueRef i32, int64_t off)
{
    LLVMValueRef p = i32 ? LLVMBuildGEP2(e->b, e->m->i8, base, &i32, 1, "") : base;
    return cg_offset_const(e, p, off);
}

static LLVMValueRef swizzled_address(emitter *e, const ptx_access *a, ptx_offset lane, LLVMValueRef uniform,
                                     int64_t off)
{
    kswizzle s = a->ty->swizzle;
    int64_t period = INT64_C(1) << (s.base + s.shift + s.bits), low = off & (period - 1), high = off - low;
    LLVMValueRef outside = a->multiple >= period ? uniform : NULL, inside = outside ? NULL : uniform;
    if (!inside && !lane.v) return at_offset(e, a->base, outside, high + swizzled(s, low));
    LLVMValueRef x;
    if (!inside && lane.mask >= 0 && !(lane.mask & low)) {
        x = swizzle(e, s, lane.v);
        if (low) x = LLVMBuildXor(e->b, x, cg_const_i32(e->m, swizzled(s, low)), "");
    } else {
        x = plus(e, inside, lane.v);
        if (low) x = LLVMBuildAdd(e->b, x, cg_const_i32(e->m, low), "");
        x = swizzle(e, s, x);
    }
    return at_offset(e, a->base, plus(e, outside, x), high);
}

LLVMValueRef ptx_address(emitter *e, const ptx_access *a, ptx_offset lane, int64_t row, int64_t col)
{
    int64_t off = a->off;
    LLVMValueRef uniform = a->uniform;
    const int64_t at[2] = {row, col};
    for (int i = 0; i < 2; i++) {
        off += at[i] * a->step[i];
        if (!a->stride[i] || !at[i]) continue;
        LLVMValueRef d = LLVMBuildMul(e->entry, a->stride[i], cg_const_i64(e->m, at[i]), "");
        uniform = plus(e, uniform, offset_width(e, a, d));
    }
    if (!a->shared) {
        LLVMValueRef p = lane.v ? cg_offset(e, a->base, lane.v) : a->base;
        return cg_offset_const(e, uniform ? cg_offset(e, p, uniform) : p, off);
    }
    if (a->ty->swizzle.bits) return swizzled_address(e, a, lane, uniform, off);
    return at_offset(e, a->base, plus(e, lane.v, uniform), off);
}

int64_t ptx_alignment(const ptx_access *a, ptx_offset lane, int64_t row, int64_t col)
{
    int64_t m = lesser(a->multiple,
                       lesser(lane.multiple, ptx_low_bit(a->off + row * a->step[PTX_ROW] + col * a->step[PTX_COL])));
    const int64_t at[2] = {row, col};
    for (int i = 0; i < 2; i++)
        if (a->stride[i] && at[i]) m = lesser(m, ptx_multiple_product(ptx_low_bit(at[i]), a->stride_multiple[i]));
    kswizzle s = a->ty->swizzle;
    return s.bits ? lesser(m, INT64_C(1) << s.base) : m;
}

LLVMValueRef ptx_shared_window(emitter *e, LLVMValueRef ptr)
{
    return LLVMBuildPtrToInt(e->b, ptr, e->m->i32, "");
}
