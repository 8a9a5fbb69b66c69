/* Sizes as functions of the dims: the postfix expressions of rt_abi.h. */
#include "runtime/rt_internal.h"

static bool floor_divide(int64_t a, int64_t b, int64_t *q, int64_t *r)
{
    if (b == 0 || (a == INT64_MIN && b == -1)) return false;
    *q = a / b;
    *r = a % b;
    if (*r != 0 && (*r < 0) != (b < 0)) {
        *q -= 1;
        *r += b;
    }
    return true;
}

static bool apply(int64_t op, int64_t a, int64_t b, int64_t *out)
{
    int64_t other;
    switch (op) {
    case RT_EXPR_ADD: return !__builtin_add_overflow(a, b, out);
    case RT_EXPR_SUB: return !__builtin_sub_overflow(a, b, out);
    case RT_EXPR_MUL: return !__builtin_mul_overflow(a, b, out);
    case RT_EXPR_FLOORDIV: return floor_divide(a, b, out, &other);
    case RT_EXPR_MOD: return floor_divide(a, b, &other, out);
    case RT_EXPR_MIN: *out = a < b ? a : b; return true;
    case RT_EXPR_MAX: *out = a > b ? a : b; return true;
    default: return false;
    }
}

bool rt_expr_eval(const struct rt_expr *e, const int64_t *dims, int64_t *out)
{
    int64_t stack[RT_EXPR_DEPTH];
    uint32_t n = 0;
    for (uint64_t i = 0; i < e->n_ops; i++) {
        const struct rt_expr_op *o = &e->ops[i];
        if (o->op == RT_EXPR_CONST || o->op == RT_EXPR_DIM) {
            if (n == RT_EXPR_DEPTH) return false;
            stack[n++] = o->op == RT_EXPR_CONST ? o->value : dims[o->value];
        } else {
            if (n < 2 || !apply(o->op, stack[n - 2], stack[n - 1], &stack[n - 2])) return false;
            n--;
        }
    }
    if (n != 1) return false;
    *out = stack[0];
    return true;
}

bool rt_axis_size(const struct rt_model *m, const tfx_axis_info *axis, const int64_t *dims, int64_t *out)
{
    if (axis->size >= 0) *out = axis->size;
    else if (axis->dim >= 0) *out = dims[axis->dim];
    else if (!rt_expr_eval(&m->computed[axis->computed], dims, out)) return false;
    return *out >= 0;
}

bool rt_tensor_shape(const struct rt_model *m, const tfx_tensor_info *info, const int64_t *dims, int64_t *shape)
{
    for (int32_t i = 0; i < info->rank; i++)
        if (!rt_axis_size(m, &info->axes[i], dims, &shape[i])) return false;
    return true;
}

bool rt_dim_allowed(const tfx_dim_info *d, int64_t v)
{
    return v >= d->min && v <= d->max && (d->multiple <= 1 || v % d->multiple == 0);
}

int64_t rt_dim_least(const tfx_dim_info *d)
{
    int64_t over = d->multiple > 1 ? d->min % d->multiple : 0;
    if (over == 0) return d->min;
    return d->min + (over > 0 ? d->multiple - over : -over);
}
