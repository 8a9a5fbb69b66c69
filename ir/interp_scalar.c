/* The elementwise ops: every row of scalar.def expanded three times, for doubles, for signed ints and for u64. */
#include "ir/interp_internal.h"

#include <assert.h>

#include "ir/scalar_eval.h"

#define X sc_not_defined(a)
#define AS_RESULT(kind, field, value) \
    ((kind) == R_BOOL ? (scalar_number){.i = (value) != 0} : (scalar_number){.field = (value)})
/* The condition of a select is a bool, whatever its other operands are. */
#define FIRST(operands, T, field) ((operands) == S_SELECT ? (T)x.i : (T)x.field)

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtype-limits" /* a < 0 for unsigned operands */
#define SCALAR(name, NAME, arity, operands, result, on_f, on_i, math)                     \
    static scalar_number on_f64_##name(scalar_number x, scalar_number y, scalar_number z) \
    {                                                                                     \
        double a = FIRST(operands, double, f), b = y.f, c = z.f;                          \
        (void)a, (void)b, (void)c;                                                        \
        return AS_RESULT(result, f, on_f);                                                \
    }                                                                                     \
    static scalar_number on_i64_##name(scalar_number x, scalar_number y, scalar_number z) \
    {                                                                                     \
        int64_t a = x.i, b = y.i, c = z.i;                                                \
        (void)a, (void)b, (void)c;                                                        \
        return AS_RESULT(result, i, on_i);                                                \
    }                                                                                     \
    static scalar_number on_u64_##name(scalar_number x, scalar_number y, scalar_number z) \
    {                                                                                     \
        uint64_t a = (uint64_t)x.i, b = (uint64_t)y.i, c = (uint64_t)z.i;                 \
        (void)a, (void)b, (void)c;                                                        \
        return AS_RESULT(result, i, (int64_t)(on_i));                                     \
    }
#include "ir/scalar.def"
#undef SCALAR
#pragma GCC diagnostic pop
#undef X

static const struct {
    scalar_fn *f64, *i64, *u64;
} functions[OP_COUNT] = {
#define SCALAR(name, NAME, arity, operands, result, f, i, math) \
    [OP_##NAME] = {on_f64_##name, on_i64_##name, on_u64_##name},
#include "ir/scalar.def"
#undef SCALAR
};

scalar_fn *scalar_function(op_kind op, dtype operands)
{
    const scalar_info *row = scalar_row(op);
    bool is_float = dtype_is_float(operands);
    assert(is_float ? row->on_float : row->on_int), (void)row;
    return is_float ? functions[op].f64 : operands == DT_U64 ? functions[op].u64 : functions[op].i64;
}

static scalar_number element(const tensor *t, uint64_t i)
{
    return dtype_is_float(t->dt) ? (scalar_number){.f = t->u.f[i]} : (scalar_number){.i = t->u.i[i]};
}

bool interp_eval_scalar(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    (void)r, (void)scratch;
    tensor *out = y[0];
    const scalar_info *row = scalar_row(n->op);
    dtype dt = x[n->n_operands - 1]->dt; /* a select's class is that of its values */
    bool is_float = dtype_is_float(dt);
    scalar_fn *fn = scalar_function(n->op, dt);
    uint64_t elements = tensor_elements(out);
    for (uint32_t k = 0; k < n->n_operands; k++) assert(tensor_elements(x[k]) == elements);
    scalar_number zero = {.i = 0};
    for (uint64_t i = 0; i < elements; i++) {
        scalar_number v = fn(element(x[0], i), n->n_operands > 1 ? element(x[1], i) : zero,
                             n->n_operands > 2 ? element(x[2], i) : zero);
        if (is_float && row->result == R_SAME) out->u.f[i] = v.f;
        else out->u.i[i] = row->result == R_SAME ? dtype_wrap(dt, v.i) : v.i;
    }
    return true;
}
