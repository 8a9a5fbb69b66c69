/* A handle on the toy model and arguments that fit it, which a test then spoils one at a time. */
#ifndef TOY_CALL_H
#define TOY_CALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/rt_internal.h"
#include "toy_model.h"

const tfx_api *tfx_model_v1(void); /* of the runtime linked into the test: the toy's table */

static inline tfx_model *toy_open(const tfx_options *o)
{
    tfx_model *m = NULL;
    tfx_status s = tfx_model_v1()->open(o, &m);
    assert_int_equal(s, TFX_OK);
    assert_non_null(m);
    return m;
}

/* Asserts both the status and the whole message. */
#define assert_fails(m, call, status, text)      \
    do {                                         \
        tfx_status got_ = (call);                \
        assert_string_equal(tfx_error(m), text); \
        assert_int_equal(got_, status);          \
    } while (0)

/* Arguments of each entry: tensors point to storage in here. */
typedef struct {
    int64_t shapes[5][4];
    int64_t given[1];
    tfx_tensor in[3], out[2];
    tfx_args args;
    int64_t ids[4 * 16];
    float x[16 * 32], y[33], z[24], emb[4 * 16 * 4], a[4 * 16 * 3], b[4 * 16 * 3];
    uint8_t on;
    int32_t n;
} toy_call;

static inline tfx_tensor toy_tensor(toy_call *c, int slot, void *data, tfx_dtype dtype, int32_t rank, int64_t s0,
                                    int64_t s1, int64_t s2)
{
    int64_t shape[4] = {s0, s1, s2, 0};
    memcpy(c->shapes[slot], shape, sizeof shape);
    return (tfx_tensor){.data = data, .shape = c->shapes[slot], .dtype = dtype, .rank = rank};
}

static inline void toy_args(toy_call *c, uint32_t n_inputs, uint32_t n_outputs, uint32_t n_dims)
{
    c->args = (tfx_args){c->in, c->out, c->given, n_inputs, n_outputs, n_dims, 0};
}

static inline void toy_embed(toy_call *c, int64_t b, int64_t s)
{
    memset(c, 0, sizeof *c);
    c->in[0] = toy_tensor(c, 0, c->ids, TFX_I64, 2, b, s, 0);
    c->out[0] = toy_tensor(c, 1, c->emb, TFX_F32, 3, b, s, 4);
    toy_args(c, 1, 1, 0);
    for (int i = 0; i < 4 * 16; i++) c->ids[i] = i * 7 % 10;
}

static inline void toy_window(toy_call *c, int64_t s, int64_t m, int64_t p)
{
    memset(c, 0, sizeof *c);
    c->in[0] = toy_tensor(c, 0, c->x, TFX_F32, 2, s, m, 0);
    c->in[1] = toy_tensor(c, 1, c->y, TFX_F32, 1, 2 * s + 1, 0, 0);
    c->in[2] = toy_tensor(c, 2, &c->on, TFX_BOOL, 0, 0, 0, 0);
    c->out[0] = toy_tensor(c, 3, c->z, TFX_F32, 1, s + p, 0, 0);
    c->out[1] = toy_tensor(c, 4, &c->n, TFX_I32, 0, 0, 0, 0);
    c->given[0] = p;
    toy_args(c, 3, 2, 1);
    for (int i = 0; i < 16 * 32; i++) c->x[i] = (float)(i % 5);
    for (int i = 0; i < 33; i++) c->y[i] = (float)i;
}

static inline void toy_ident(toy_call *c, int64_t b, int64_t s)
{
    memset(c, 0, sizeof *c);
    c->in[0] = toy_tensor(c, 0, c->a, TFX_F32, 3, b, s, 3);
    c->out[0] = toy_tensor(c, 1, c->b, TFX_F32, 3, b, s, 3);
    toy_args(c, 1, 1, 0);
    for (int i = 0; i < 4 * 16 * 3; i++) c->a[i] = (float)i, c->b[i] = -1;
}

#endif
