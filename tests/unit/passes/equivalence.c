/* See equivalence.h. */
#include "equivalence.h"

#include <float.h>
#include <math.h>

typedef struct {
    arena *a;
    const module *m;
    pass_numerics numerics;
    unsigned flags; /* of passes */
    int64_t *dims;
    uint64_t random;
    VEC(const tensor *) valid; /* the declared masks of the function at hand */
} inputs;

static uint64_t next_random(inputs *in)
{
    in->random ^= in->random << 13;
    in->random ^= in->random >> 7;
    in->random ^= in->random << 17;
    return in->random;
}

static double pick_float(inputs *in, bool extreme)
{
    static const double edges[] = {0.0,   -0.0,     1.0,  -1.0, NAN,     INFINITY, -INFINITY, FLT_MIN,
                                   1e-45, -1e-40,   0.5,  2.5,  FLT_MAX, -FLT_MAX, 65504,     1e30,
                                   1e-30, 16777217, -3.0, 0.1,  -1e-7,   88.0,     -104.0,    3.5};
    if (extreme) return edges[next_random(in) % (sizeof edges / sizeof *edges)];
    return ((double)(next_random(in) >> 11) * 0x1p-53 - 0.5) * 4;
}

static int64_t pick_int(inputs *in, bool extreme)
{
    static const int64_t edges[] = {0, 1, -1, 2, 7, 127, -128, 255, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    if (extreme) return edges[next_random(in) % (sizeof edges / sizeof *edges)];
    return (int64_t)(next_random(in) % 3);
}

/* Values are what the dtype can hold: inputs are exact. */
static tensor *make_input(inputs *in, const type *t, bool extreme)
{
    int64_t shape[MAX_RANK] = {0};
    uint64_t elements = 1;
    for (int i = 0; i < t->rank; i++) {
        if (!dim_eval(in->m->dims, t->shape[i], in->dims, &shape[i]) || shape[i] < 0) return NULL;
        elements *= (uint64_t)shape[i];
        if (elements > 100000) return NULL;
    }
    tensor *x = tensor_new(in->a, t->dt, t->rank, shape);
    for (uint64_t i = 0; i < elements; i++)
        if (dtype_is_float(t->dt)) x->u.f[i] = dtype_round(t->dt, pick_float(in, extreme));
        else x->u.i[i] = dtype_wrap(t->dt, pick_int(in, extreme));
    return x;
}

/* A few units in the last place of what is between f32 operations, or of a narrower result. */
static double tolerance(pass_numerics numerics, dtype dt)
{
    if (numerics == NUMERICS_APPROXIMATE) return 0x1p-5;
    return dt == DT_BF16 ? 0x1p-6 : dt == DT_F16 ? 0x1p-9 : 1e-5;
}

static bool same_number(const inputs *in, dtype dt, double a, double b)
{
    if ((in->flags & PASS_ASSUMES_FINITE) && !isfinite(a)) return true;
    if (a != a || b != b) return a != a && b != b;
    if (in->numerics == NUMERICS_EXACT) return !memcmp(&a, &b, sizeof a);
    return a == b || fabs(a - b) <= tolerance(in->numerics, dt) * (1 + fabs(a));
}

/* Element i of a result is at a place that a declared mask [B, S] says not to count. */
static bool is_padding(const inputs *in, const tensor *x, uint64_t i)
{
    vec_foreach (const tensor *, v, &in->valid) {
        const tensor *mask = *v;
        if (mask->rank != 2 || x->rank < 2 || memcmp(mask->shape, x->shape, 2 * sizeof *x->shape)) continue;
        if (!mask->u.i[i / (tensor_elements(x) / tensor_elements(mask))]) return true;
    }
    return false;
}

static void note_mask(void *arg, const value *v, const tensor *t)
{
    inputs *in = arg;
    if (!function_has_valid(v->def->fn, v)) return;
    tensor *mask = tensor_new(in->a, t->dt, t->rank, t->shape);
    if (tensor_elements(t)) memcpy(mask->u.i, t->u.i, tensor_elements(t) * sizeof *t->u.i);
    vec_push(in->a, &in->valid, mask);
}

static const char *compare_tensors(const inputs *in, const char *name, const tensor *x, const tensor *y)
{
    arena *a = in->a;
    if (x->dt != y->dt || x->rank != y->rank || memcmp(x->shape, y->shape, x->rank * sizeof *x->shape))
        return arena_printf(a, "result %s has another shape", name);
    uint64_t n = tensor_elements(x);
    for (uint64_t i = 0; i < n; i++) {
        if (is_padding(in, x, i)) continue;
        if (dtype_is_float(x->dt)) {
            if (!same_number(in, x->dt, x->u.f[i], y->u.f[i]))
                return arena_printf(a, "result %s, element %llu: %a before, %a after", name, (unsigned long long)i,
                                    x->u.f[i], y->u.f[i]);
        } else if (x->u.i[i] != y->u.i[i]) {
            return arena_printf(a, "result %s, element %llu: %lld before, %lld after", name, (unsigned long long)i,
                                (long long)x->u.i[i], (long long)y->u.i[i]);
        }
    }
    return NULL;
}

static bool fill_states(inputs *in, interp_states *s, bool extreme)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (!(s->of[i] = make_input(in, &in->m->states.data[i]->ty, extreme))) return false;
    return true;
}

static interp_states *copy_states(inputs *in, const interp_states *s)
{
    interp_states *to = interp_states_new(in->m, in->a);
    for (uint32_t i = 0; i < s->n; i++) memcpy(to->of[i]->u.f, s->of[i]->u.f, tensor_elements(s->of[i]) * 8);
    return to;
}

static const char *compare_function(inputs *in, const function *f, const function *g, bool extreme, uint32_t *compared)
{
    arena *a = in->a;
    if (f->args.len != g->args.len || f->results.len != g->results.len) return "another number of arguments or results";
    tensor **args = ARENA_ARRAY(a, tensor *, f->args.len);
    for (uint32_t i = 0; i < f->args.len; i++)
        if (!(args[i] = make_input(in, &f->args.data[i].v->ty, extreme))) return NULL;
    interp_states *states = interp_states_new(in->m, a);
    if (!fill_states(in, states, extreme)) return NULL;
    for (int round = 0; round < 2; round++) {
        interp_states *before = copy_states(in, states), *after = copy_states(in, states);
        in->valid.len = 0;
        for (uint32_t i = 0; i < f->args.len; i++)
            if (function_has_valid(f, f->args.data[i].v)) vec_push(a, &in->valid, args[i]);
        interp_options o = {.round = round, .states = before, .observe = note_mask, .observe_arg = in},
                       p = {.round = round, .states = after};
        source_set *sources = source_set_new(a);
        tensor **x = ARENA_ARRAY(a, tensor *, f->results.len), **y = ARENA_ARRAY(a, tensor *, f->results.len);
        if (!interp_run(f, args, in->dims, &o, a, diags_new(a, sources, 1), x)) return NULL;
        diags *d = diags_new(a, sources, 1);
        if (!interp_run(g, args, in->dims, &p, a, d, y)) {
            strbuf why = strbuf_new(a);
            diags_render_text(d, &why);
            return arena_printf(a, "runs before, not after: %s", why.s);
        }
        ++*compared;
        for (uint32_t i = 0; i < f->results.len + states->n; i++) {
            uint32_t k = i - f->results.len;
            const char *bad = i < f->results.len
                                  ? compare_tensors(in, f->results.data[i].name, x[i], y[i])
                                  : compare_tensors(in, in->m->states.data[k]->path, before->of[k], after->of[k]);
            if (!bad) continue;
            strbuf s = strbuf_new(a);
            for (uint32_t q = 0; q < dim_symbol_count(in->m->dims); q++)
                strbuf_addf(&s, " %s=%lld", dim_symbol_at(in->m->dims, q)->name, (long long)in->dims[q]);
            return arena_printf(a, "@%s:%s, %s inputs, %s: %s", f->name, s.s, extreme ? "extreme" : "ordinary",
                                round ? "rounding" : "not rounding", bad);
        }
    }
    return NULL;
}

/* The k-th choice of values for all symbols: all smallest, then mixtures of small ones; multiples are kept. */
static void choose_dims(const module *m, int k, int64_t *dims)
{
    for (uint32_t i = 0; i < dim_symbol_count(m->dims); i++) {
        const dim_symbol *s = dim_symbol_at(m->dims, i);
        int64_t v = s->min + (k == 0 ? 0 : (k + (int64_t)i * 2) % 5) * s->multiple;
        v = (v + s->multiple - 1) / s->multiple * s->multiple;
        dims[i] = v > s->max ? s->max / s->multiple * s->multiple : v;
    }
}

const char *compare_modules(arena *a, const module *before, const module *after, pass_numerics numerics, unsigned flags,
                            uint32_t *compared)
{
    inputs in = {.a = a, .m = before, .numerics = numerics, .flags = flags, .random = 0x9e3779b97f4a7c15u};
    in.dims = ARENA_ARRAY(a, int64_t, dim_symbol_count(before->dims));
    for (uint32_t i = 0; i < before->functions.len; i++) {
        const function *f = before->functions.data[i], *g = NULL;
        for (uint32_t k = 0; k < after->functions.len; k++)
            if (after->functions.data[k]->name == f->name) g = after->functions.data[k];
        if (!g) return arena_printf(a, "@%s is gone", f->name);
        for (int k = 0; k < 4; k++) /* Extremes come in many combinations; a few rounds see most pairs. */
            for (int round = 0; round < (numerics == NUMERICS_EXACT ? 8 : 1); round++) {
                choose_dims(before, k, in.dims);
                const char *bad = compare_function(&in, f, g, round > 0, compared);
                if (bad) return bad;
            }
    }
    return NULL;
}
