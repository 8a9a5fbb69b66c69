/* The kernel-IR verifier: launches, where a plan's buffers and dims meet a kernel's. */
#include "ir/kir/kir_verify.h"

/* Values of the plan's dims to try sizes at: all at their least, all at their most, then mixed. What the dims cannot
 * prove is refused only when one of these shows it wrong; the interpreter and the kernels' own bounds see to the rest.
 */
enum { SAMPLES = 6 };

static void sample_dims(const dim_ctx *c, int k, int64_t *values)
{
    for (uint32_t i = 0; i < dim_symbol_count(c); i++) {
        const dim_symbol *s = dim_symbol_at(c, i);
        int64_t lo = s->min + (s->multiple - s->min % s->multiple) % s->multiple, steps = (s->max - lo) / s->multiple;
        int64_t at[SAMPLES] = {0, steps, steps / 2, i % 2 ? 0 : steps, i % 2 ? steps : 0, steps < 1 ? 0 : 1 + i % 2};
        values[i] = lo + (at[k] > steps ? steps : at[k]) * s->multiple;
    }
}

static bool refuted_le(kverifier *v, dim need, dim have, const char **where)
{
    const dim_ctx *c = v->f->dims;
    int64_t *values = ARENA_ARRAY(v->a, int64_t, dim_symbol_count(c));
    for (int k = 0; k < SAMPLES; k++) {
        int64_t n, h;
        sample_dims(c, k, values);
        if (!dim_eval(c, need, values, &n) || !dim_eval(c, have, values, &h) || n <= h) continue;
        strbuf b = strbuf_new(v->a);
        for (uint32_t i = 0; i < dim_symbol_count(c); i++)
            strbuf_addf(&b, "%s%s = %lld", i ? ", " : "", dim_symbol_at(c, i)->name, (long long)values[i]);
        strbuf_addf(&b, "%s%lld > %lld", b.len ? ": " : "", (long long)n, (long long)h);
        *where = b.s;
        return true;
    }
    return false;
}

static bool check_dim_argument(kverifier *v, const kop *o, const dim_symbol *s, dim d)
{
    dim_ctx *c = v->f->dims;
    if (d == DIM_BAD) return kverify_error(v, o, "dim %s does not fit in 64 bits", s->name);
    const char *where = NULL;
    dim lo = dim_const(c, s->min), hi = dim_const(c, s->max);
    if ((!dim_le(c, lo, d) && refuted_le(v, lo, d, &where)) || (!dim_le(c, d, hi) && refuted_le(v, d, hi, &where)))
        return kverify_error(v, o, "dim %s leaves the kernel's bounds %lld..%lld at %s", s->name, (long long)s->min,
                             (long long)s->max, where);
    if (!dim_divides(c, s->multiple, d))
        return kverify_error(v, o, "dim %s is not known to be a multiple of %lld", s->name, (long long)s->multiple);
    return true;
}

static bool check_argument(kverifier *v, const kop *o, const kfunction *callee, uint32_t i)
{
    const kparam *k = &callee->params.data[i];
    const kbuffer *want = &k->v->ty.buf, *got = &o->operands[i]->ty.buf;
    const char *name = k->v->name ? k->v->name : "";
    if (o->operands[i]->kind != KV_BUFFER) return kverify_error(v, o, "argument %u is not a buffer", i);
    if (want->dt != got->dt)
        return kverify_error(v, o, "argument %u (%s) holds %s, the kernel wants %s", i, name, dtype_name(got->dt),
                             dtype_name(want->dt));
    uint32_t least = dtype_bits(want->dt) < 8 ? 1 : dtype_bits(want->dt) / 8;
    if ((want->align ? want->align : least) > (got->align ? got->align : least))
        return kverify_error(v, o, "argument %u (%s) is aligned to %u, the kernel wants %u", i, name,
                             got->align ? got->align : least, want->align);
    dim need = kdim_translate(callee->dims, kbuffer_bytes(callee->dims, want), v->f->dims, o->launch_dims);
    dim have = kbuffer_bytes(v->f->dims, got);
    const char *where = NULL;
    if (need == DIM_BAD) return kverify_error(v, o, "the bytes of argument %u (%s) do not fit in 64 bits", i, name);
    if (need != have && !dim_le(v->f->dims, need, have) && refuted_le(v, need, have, &where))
        return kverify_error(v, o, "argument %u (%s) is too small at %s bytes", i, name, where);
    if (k->mode == KACCESS_IN) return true;
    const kparam *p = kfunction_param(v->f, kbuffer_root(o->operands[i]));
    if (p && p->mode == KACCESS_IN)
        return kverify_error(v, o, "the kernel writes argument %u (%s), which is not the plan's to write", i, name);
    /* Kernels are compiled for arguments that do not overlap where one is written. */
    for (uint32_t n = 0; n < o->n_operands; n++)
        if (n != i && o->operands[n] == o->operands[i])
            return kverify_error(v, o, "argument %u (%s) is written and also passed as argument %u", i, name, n);
    return true;
}

static ptrmap *kernels_before(const kverifier *v)
{
    ptrmap *found = ptrmap_new(v->a);
    vec_foreach (kfunction *, f, &v->f->m->functions) {
        if (*f == v->f) break;
        ptrmap_set(found, *f, *f);
    }
    return found;
}

bool kverify_launch(kverifier *v, const kop *o)
{
    const kmodule *m = v->f->m;
    const kfunction *callee = kmodule_find(m, o->at.callee);
    if (!callee || callee->target == KTARGET_PLAN) return kverify_error(v, o, "there is no kernel @%s", o->at.callee);
    if (!v->callees) v->callees = kernels_before(v);
    if (!ptrmap_has(v->callees, callee)) return kverify_error(v, o, "kernel @%s stands behind the plan", callee->name);
    if (o->n_results || o->n_blocks || o->n_mem) return kverify_error(v, o, "a launch has only operands");
    if (o->n_operands != callee->params.len || o->n_launch_dims != dim_symbol_count(callee->dims))
        return kverify_error(v, o, "@%s has %u buffers and %u dims", callee->name, callee->params.len,
                             dim_symbol_count(callee->dims));
    for (uint32_t i = 0; i < o->n_launch_dims; i++)
        if (!check_dim_argument(v, o, dim_symbol_at(callee->dims, i), o->launch_dims[i])) return false;
    for (uint32_t i = 0; i < o->n_operands; i++)
        if (!check_argument(v, o, callee, i)) return false;
    return true;
}
