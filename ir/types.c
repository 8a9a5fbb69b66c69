/* Tensor types: dtype, sizes, encoding. */
#include "ir/internal.h"

#include <assert.h>

type type_make(dtype dt, uint32_t rank, const dim *shape)
{
    assert(rank <= MAX_RANK);
    type t = {.dt = dt, .rank = (uint8_t)rank};
    for (uint32_t i = 0; i < rank; i++) t.shape[i] = shape[i];
    return t;
}

bool type_equal(const type *a, const type *b)
{
    if (a->dt != b->dt || a->rank != b->rank || a->enc.kind != b->enc.kind || a->enc.param != b->enc.param)
        return false;
    return !memcmp(a->shape, b->shape, a->rank * sizeof *a->shape);
}

void type_print(const module *m, const type *t, strbuf *out)
{
    static const struct {
        const char *name;
        int params;
    } encodings[ENC_COUNT] = {
#define ENCODING(name, NAME, params, math) [ENC_##NAME] = {#name, params},
#include "ir/encodings.def"
#undef ENCODING
    };
    strbuf_adds(out, dtype_name(t->dt));
    if (t->rank) {
        strbuf_addc(out, '[');
        for (int i = 0; i < t->rank; i++) {
            if (i) strbuf_adds(out, ", ");
            dim_print(m->dims, t->shape[i], out);
        }
        strbuf_addc(out, ']');
    }
    if (t->enc.kind != ENC_ROWS) {
        strbuf_addf(out, "{%s", encodings[t->enc.kind].name);
        if (encodings[t->enc.kind].params) strbuf_addf(out, " %d", t->enc.param);
        strbuf_addc(out, '}');
    }
}

dim type_elements(module *m, const type *t)
{
    dim n = dim_const(m->dims, 1);
    for (int i = 0; i < t->rank; i++) n = dim_mul(m->dims, n, t->shape[i]);
    return n;
}

bool type_is_const(const module *m, const type *t, int64_t *shape)
{
    for (int i = 0; i < t->rank; i++)
        if (!dim_is_const(m->dims, t->shape[i], shape ? &shape[i] : NULL)) return false;
    return true;
}
