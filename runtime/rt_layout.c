/* Tensors in the caller's memory: element sizes, strides, what bytes they cover, and copies between strided and
 * compact. */
#include "runtime/rt_internal.h"

#include <string.h>

static const struct {
    const char *name;
    uint8_t bits;
} dtypes[] = {
    [TFX_BOOL] = {"bool", 8}, [TFX_I8] = {"i8", 8},         [TFX_U8] = {"u8", 8},         [TFX_I16] = {"i16", 16},
    [TFX_U16] = {"u16", 16},  [TFX_I32] = {"i32", 32},      [TFX_U32] = {"u32", 32},      [TFX_I64] = {"i64", 64},
    [TFX_U64] = {"u64", 64},  [TFX_F16] = {"f16", 16},      [TFX_BF16] = {"bf16", 16},    [TFX_F32] = {"f32", 32},
    [TFX_F64] = {"f64", 64},  [TFX_F8E4M3] = {"f8e4m3", 8}, [TFX_F8E5M2] = {"f8e5m2", 8}, [TFX_F8E8M0] = {"f8e8m0", 8},
    [TFX_F4] = {"f4", 4},     [TFX_F6E2M3] = {"f6e2m3", 6}, [TFX_F6E3M2] = {"f6e3m2", 6},
};
#define N_DTYPES ((int32_t)(sizeof dtypes / sizeof *dtypes))

const char *rt_dtype_name(int32_t dtype)
{
    return dtype >= 0 && dtype < N_DTYPES ? dtypes[dtype].name : "?";
}

uint32_t rt_dtype_bits(int32_t dtype)
{
    return dtype >= 0 && dtype < N_DTYPES ? dtypes[dtype].bits : 0;
}

bool rt_compact_bytes(int32_t dtype, uint32_t rank, const int64_t *shape, uint64_t *bytes)
{
    int64_t n = 1;
    bool empty = false;
    for (uint32_t i = 0; i < rank; i++) empty |= shape[i] == 0;
    for (uint32_t i = 0; i < rank && !empty; i++)
        if (__builtin_mul_overflow(n, shape[i], &n)) return false;
    if (empty) n = 0;
    int64_t bits;
    if (__builtin_mul_overflow(n, (int64_t)rt_dtype_bits(dtype), &bits) || bits > INT64_MAX - 7) return false;
    *bytes = (uint64_t)(bits + 7) / 8;
    return true;
}

static bool is_compact(const struct rt_view *v)
{
    int64_t step = 1;
    for (uint32_t i = v->rank; i-- > 0;) {
        if (v->shape[i] != 1 && v->strides[i] != step) return false;
        step *= v->shape[i]; /* cannot overflow: the compact size was found to fit */
    }
    return true;
}

/* The byte range that a strided tensor with elements covers. False when it does not fit in the address space. */
static bool find_range(struct rt_view *v)
{
    int64_t lo = 0, hi = 0, size = v->bits / 8;
    for (uint32_t i = 0; i < v->rank; i++) {
        int64_t reach;
        if (v->shape[i] == 1) continue;
        if (__builtin_mul_overflow(v->shape[i] - 1, v->strides[i], &reach) ||
            __builtin_mul_overflow(reach, size, &reach))
            return false;
        int64_t *end = reach < 0 ? &lo : &hi;
        if (__builtin_add_overflow(*end, reach, end)) return false;
    }
    uintptr_t base = (uintptr_t)v->data;
    uint64_t below = lo < 0 ? -(uint64_t)lo : 0, above = (uint64_t)hi + (uint64_t)size;
    if (below > base || above > UINTPTR_MAX - base) return false;
    v->lo = base - below;
    v->hi = base + above;
    return true;
}

/* True when no two elements share memory, shown by ordering the axes by stride: each must step over all that the
 * smaller ones reach. Layouts that are disjoint in a cleverer way are not recognised. */
static bool is_disjoint(const struct rt_view *v)
{
    uint64_t reach = 0; /* of the axes done so far, in elements */
    bool done[TFX_MAX_RANK] = {false};
    for (uint32_t round = 0; round < v->rank; round++) {
        uint32_t best = TFX_MAX_RANK;
        uint64_t least = 0;
        for (uint32_t i = 0; i < v->rank; i++) {
            uint64_t s = v->strides[i] < 0 ? -(uint64_t)v->strides[i] : (uint64_t)v->strides[i];
            if (!done[i] && v->shape[i] > 1 && (best == TFX_MAX_RANK || s < least)) best = i, least = s;
        }
        if (best == TFX_MAX_RANK) break;
        if (least <= reach) return false;
        done[best] = true;
        reach += least * (uint64_t)(v->shape[best] - 1); /* fits: find_range has multiplied it out */
    }
    return true;
}

static tfx_status bad_strides(struct rt_handle *h, const char *what, const tfx_tensor_info *info,
                              const struct rt_view *v, const char *why)
{
    char strides[256];
    struct rt_text t;
    rt_text_start(&t, strides, sizeof strides);
    rt_text_sizes(&t, v->rank, v->strides);
    rt_text_add(&t, " of shape ");
    rt_text_sizes(&t, v->rank, v->shape);
    return rt_fail(h, TFX_ERR_STRIDE, "%s '%s': strides %s %s", what, info->name, strides, why);
}

tfx_status rt_view_make(struct rt_handle *h, const char *what, const tfx_tensor_info *info, const tfx_tensor *t,
                        bool written, struct rt_view *v)
{
    v->data = t->data;
    v->strides = t->strides;
    v->rank = (uint32_t)info->rank;
    v->bits = rt_dtype_bits(info->dtype);
    for (uint32_t i = 0; i < v->rank; i++) v->shape[i] = t->shape[i];
    v->lo = v->hi = (uintptr_t)v->data;
    if (!rt_compact_bytes(info->dtype, v->rank, v->shape, &v->bytes))
        return rt_fail(h, TFX_ERR_BOUND, "%s '%s' is larger than the address space", what, info->name);
    if (v->bytes == 0) {
        v->strides = NULL;
        return TFX_OK;
    }
    if (!v->data) return rt_fail(h, TFX_ERR_ARGUMENT, "%s '%s': data is NULL", what, info->name);
    uint32_t align = v->bits < 8 ? 1 : v->bits / 8;
    if ((uintptr_t)v->data % align)
        return rt_fail(h, TFX_ERR_ALIGNMENT, "%s '%s': expected data aligned to %u bytes (%s), got address %p", what,
                       info->name, align, rt_dtype_name(info->dtype), (const void *)v->data);
    if (v->strides && is_compact(v)) v->strides = NULL;
    if (!v->strides) {
        if (v->bytes > UINTPTR_MAX - v->lo)
            return rt_fail(h, TFX_ERR_ARGUMENT, "%s '%s' does not fit in the address space", what, info->name);
        v->hi = v->lo + v->bytes;
        return TFX_OK;
    }
    if (!(h->flags & TFX_STRIDED))
        return bad_strides(h, what, info, v, "are not compact (and the handle lacks TFX_STRIDED)");
    if (v->bits < 8) return bad_strides(h, what, info, v, "are not compact, as elements smaller than a byte must be");
    if (!find_range(v)) return bad_strides(h, what, info, v, "leave the address space");
    if (written && !is_disjoint(v)) return bad_strides(h, what, info, v, "make elements overlap");
    return TFX_OK;
}

/* Steps through the rows (last axis) of a strided tensor: calls once per row. */
static void for_each_row(const struct rt_view *v, uint8_t *compact, bool to_view)
{
    int64_t index[TFX_MAX_RANK] = {0};
    size_t size = v->bits / 8;
    int64_t n = v->rank ? v->shape[v->rank - 1] : 1, step = v->rank && n > 1 ? v->strides[v->rank - 1] : 1;
    uint64_t done = 0;
    while (done < v->bytes) {
        int64_t at = 0;
        for (uint32_t i = 0; i + 1 < v->rank; i++) at += index[i] * (v->shape[i] > 1 ? v->strides[i] : 0);
        uint8_t *row = v->data + at * (int64_t)size;
        if (step == 1) {
            if (to_view) memcpy(row, compact + done, (size_t)n * size);
            else memcpy(compact + done, row, (size_t)n * size);
        } else {
            for (int64_t k = 0; k < n; k++) {
                uint8_t *element = row + k * step * (int64_t)size, *packed = compact + done + (size_t)k * size;
                if (to_view) memcpy(element, packed, size);
                else memcpy(packed, element, size);
            }
        }
        done += (size_t)n * size;
        for (uint32_t i = v->rank ? v->rank - 1 : 0; i-- > 0;) {
            if (++index[i] < v->shape[i]) break;
            index[i] = 0;
        }
    }
}

void rt_view_gather(const struct rt_view *v, uint8_t *compact)
{
    for_each_row(v, compact, false);
}

void rt_view_scatter(const struct rt_view *v, const uint8_t *compact)
{
    for_each_row(v, (uint8_t *)(uintptr_t)compact, true);
}
