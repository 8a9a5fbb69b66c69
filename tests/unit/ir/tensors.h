/* Running a function of tensor IR on tensors written out, and checking what comes out. */
#ifndef TESTS_UNIT_IR_TENSORS_H
#define TESTS_UNIT_IR_TENSORS_H

#include "ir/interp.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/support/tir_session.h"

#define NONE (-1)

typedef struct {
    tir_session s;
    tensor *out[4];
    interp_options o;
    const int64_t *settings;
} fixture;

static inline fixture open_fixture(void)
{
    return (fixture){.s = tir_open()};
}

/* A tensor of the given sizes, which end with NONE. */
static inline tensor *shaped(fixture *x, dtype dt, const int64_t *shape)
{
    uint32_t rank = 0;
    while (shape[rank] != NONE) rank++;
    return tensor_new(x->s.a, dt, rank, shape);
}
#define SHAPE(...) ((const int64_t[]){__VA_ARGS__ __VA_OPT__(, ) NONE})

static inline tensor *floats_(fixture *x, dtype dt, const int64_t *shape, const double *v)
{
    tensor *t = shaped(x, dt, shape);
    if (tensor_elements(t)) memcpy(t->u.f, v, tensor_elements(t) * sizeof *v);
    return t;
}
static inline tensor *ints_(fixture *x, dtype dt, const int64_t *shape, const int64_t *v)
{
    tensor *t = shaped(x, dt, shape);
    if (tensor_elements(t)) memcpy(t->u.i, v, tensor_elements(t) * sizeof *v);
    return t;
}
#define FLOATS(dt, shape, ...) floats_(&x, dt, shape, (const double[]){__VA_ARGS__})
#define INTS(dt, shape, ...) ints_(&x, dt, shape, (const int64_t[]){__VA_ARGS__})
#define ARGS(...) ((tensor *[]){__VA_ARGS__})

/* Runs the first function of `text`. False after diagnostics. */
static inline bool run(fixture *x, const char *text, tensor *const *args)
{
    module *m = tir_parse(&x->s, text);
    if (!m) fail_msg("%s\n%s", text, tir_messages(&x->s));
    if (!module_verify(m, x->s.d)) fail_msg("%s\n%s", text, tir_messages(&x->s));
    return interp_run(m->functions.data[0], args, x->settings, &x->o, x->s.a, x->s.d, x->out);
}

static inline const tensor *result(fixture *x, const char *text, tensor *const *args)
{
    if (!run(x, text, args)) fail_msg("%s\n%s", text, tir_messages(&x->s));
    return x->out[0];
}

static inline bool same(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b);
}

static inline void is_floats_(const tensor *t, const int64_t *shape, const double *want)
{
    uint32_t rank = 0;
    for (; shape[rank] != NONE; rank++) assert_int_equal(t->shape[rank], shape[rank]);
    assert_int_equal(t->rank, rank);
    assert_true(dtype_is_float(t->dt));
    for (uint64_t i = 0; i < tensor_elements(t); i++)
        if (!same(t->u.f[i], want[i])) fail_msg("element %d: expected %a, got %a", (int)i, want[i], t->u.f[i]);
}

static inline void is_ints_(const tensor *t, const int64_t *shape, const int64_t *want)
{
    uint32_t rank = 0;
    for (; shape[rank] != NONE; rank++) assert_int_equal(t->shape[rank], shape[rank]);
    assert_int_equal(t->rank, rank);
    assert_false(dtype_is_float(t->dt));
    for (uint64_t i = 0; i < tensor_elements(t); i++)
        if (t->u.i[i] != want[i])
            fail_msg("element %d: expected %lld, got %lld", (int)i, (long long)want[i], (long long)t->u.i[i]);
}
#define IS_FLOATS(t, shape, ...) is_floats_(t, shape, (const double[]){__VA_ARGS__})
#define IS_INTS(t, shape, ...) is_ints_(t, shape, (const int64_t[]){__VA_ARGS__})

#endif
