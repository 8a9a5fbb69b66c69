#include "unit/ptx/session.h"

#include "ir/kir/kinterp.h"
#include "runtime/rt_abi.h"
#include "unit/cmocka_all.h"

#include <math.h>

static kmodule *parse(session *s, const source_file *f)
{
    kmodule *m = kmodule_parse(s->a, s->names, s->sources, s->d, f);
    if (m && kmodule_verify(m, s->d)) expand_math(m);
    if (!m || diags_errors(s->d)) fail_msg("%s", session_messages(s));
    return m;
}

kmodule *session_parse(session *s, const char *text)
{
    return parse(s, source_add(s->sources, "t.kir", "t.kir", text, strlen(text)));
}

kmodule *session_read(session *s, const char *path)
{
    const char *why = NULL;
    const source_file *f = source_read(s->sources, path, path, &why);
    if (!f) fail_msg("%s: %s", path, why);
    return parse(s, f);
}

codegen_ptx session_emit(session *s, const kmodule *m, const char *sm, int opt)
{
    codegen_ptx out = {0};
    codegen_ptx_options o = {.sm = sm, .opt = opt};
    if (!codegen_emit_ptx(m, &o, s->a, s->d, &out)) fail_msg("%s", session_messages(s));
    return out;
}

bool session_has_processor(const char *sm)
{
    for (uint32_t i = 0; codegen_ptx_processor(i); i++)
        if (!strcmp(codegen_ptx_processor(i), sm)) return true;
    return false;
}

/* ---- memory ---- */

typedef struct {
    uint8_t *data;
    uint64_t bytes;
} memory;

typedef struct {
    const kfunction *f;
    codegen_ptx ptx;
    memory *start, *interpreted, *simulated; /* per parameter */
    struct rt_fault fault;
    kinterp_result result;
    bool passed;
} run;

/* Aligned to `align` and to nothing more. */
static memory make_memory(session *s, uint64_t bytes, uint32_t align)
{
    return (memory){(uint8_t *)arena_alloc(s->a, bytes + 2 * align, 2 * align) + align, bytes};
}

static void store_special(const kbuffer *b, void *data, uint64_t i, uint64_t pick)
{
    double lo, hi;
    dtype_range(b->dt, &lo, &hi, NULL);
    const double floats[] = {
        0.0, -0.0, (double)INFINITY, (double)-INFINITY, (double)NAN, lo, hi, 1e-40, -3e-41, 1.0, -1.5, 2.5, 1e9, -0.3};
    const int64_t ints[] = {0, 1, -1, (int64_t)lo, (int64_t)hi, 7, -8, 33, 64, 2};
    if (dtype_is_float(b->dt)) dtype_store_f64(b->dt, data, i, floats[pick % (sizeof floats / sizeof *floats)]);
    else dtype_store_i64(b->dt, data, i, dtype_wrap(b->dt, ints[pick % (sizeof ints / sizeof *ints)]));
}

static void fill(const kbuffer *b, memory m, uint64_t seed, const ptx_case *c)
{
    uint64_t n = m.bytes * 8 / dtype_bits(b->dt);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t bits = hash_bytes(&i, sizeof i, seed);
        if (c->special && bits % 3) store_special(b, m.data, i, bits / 3);
        else if (dtype_is_float(b->dt)) dtype_store_f64(b->dt, m.data, i, (double)(int32_t)bits / 2147483648.0);
        else if (b->dt == DT_BOOL) dtype_store_i64(b->dt, m.data, i, bits & 1);
        else if (c->faulty && i % 7 == 3) dtype_store_i64(b->dt, m.data, i, c->faulty);
        else
            dtype_store_i64(b->dt, m.data, i,
                            c->ints_below ? (int64_t)(bits % (uint64_t)c->ints_below) : (int64_t)bits);
    }
}

static memory copy_memory(session *s, memory m, uint32_t align)
{
    memory n = make_memory(s, m.bytes, align);
    memcpy(n.data, m.data, m.bytes);
    return n;
}

static uint32_t align_of(const kbuffer *b)
{
    return b->align ? b->align : dtype_bits(b->dt) / 8;
}

static run run_new(session *s, const kmodule *m, const ptx_case *c)
{
    run r = {.f = c->kernel ? kmodule_find(m, c->kernel) : m->functions.data[0]};
    if (!r.f) fail_msg("no kernel %s", c->kernel);
    r.ptx = session_emit(s, m, c->sm, c->opt);
    uint32_t n = r.f->params.len;
    r.start = ARENA_ARRAY(s->a, memory, n);
    r.interpreted = ARENA_ARRAY(s->a, memory, n);
    r.simulated = ARENA_ARRAY(s->a, memory, n);
    for (uint32_t i = 0; i < n; i++) {
        const kbuffer *b = &r.f->params.data[i].v->ty.buf;
        int64_t bytes;
        assert_true(dim_eval(r.f->dims, kbuffer_bytes(r.f->dims, b), c->dims, &bytes));
        r.start[i] = make_memory(s, (uint64_t)bytes, align_of(b));
        fill(b, r.start[i], i + 1, c);
        r.interpreted[i] = copy_memory(s, r.start[i], align_of(b));
    }
    return r;
}

static void interpret(session *s, run *r, const ptx_case *c)
{
    kbinding *b = ARENA_ARRAY(s->a, kbinding, r->f->params.len);
    for (uint32_t i = 0; i < r->f->params.len; i++) b[i] = (kbinding){r->interpreted[i].data, r->interpreted[i].bytes};
    kinterp_options o = {0};
    diags *own = diags_new(s->a, s->sources, 0);
    r->passed = kinterp_run(r->f, c->dims, b, &o, s->a, own, &r->result);
    if (r->passed || r->result.fault.set) return;
    strbuf text = strbuf_new(s->a);
    diags_render_text(own, &text);
    fail_msg("the interpreter reports:\n%s", text.s);
}

static const char *simulate(session *s, run *r, const ptx_case *c, bool late)
{
    const codegen_ptx_launch *l = NULL;
    for (uint32_t i = 0; i < r->ptx.n_launches; i++)
        if (r->ptx.launches[i].kernel == r->f) l = &r->ptx.launches[i];
    assert_non_null(l);
    uint32_t n = r->f->params.len, n_dims = dim_symbol_count(r->f->dims);
    ptx_region *regions = ARENA_ARRAY(s->a, ptx_region, n + 1);
    uint64_t *params = ARENA_ARRAY(s->a, uint64_t, n + n_dims + 1);
    for (uint32_t i = 0; i < n; i++) {
        const kparam *p = &r->f->params.data[i];
        r->simulated[i] = copy_memory(s, r->start[i], align_of(&p->v->ty.buf));
        regions[i] = (ptx_region){r->simulated[i].data, r->simulated[i].bytes, p->mode != KACCESS_IN};
        params[i] = (uint64_t)(uintptr_t)r->simulated[i].data;
    }
    for (uint32_t i = 0; i < n_dims; i++) params[n + i] = (uint64_t)c->dims[i];
    r->fault = (struct rt_fault){.index = INT64_MAX, .arg = INT64_MAX};
    regions[n] = (ptx_region){&r->fault, sizeof r->fault, true};
    params[n + n_dims] = (uint64_t)(uintptr_t)&r->fault;
    ptx_run go = {.threads = l->threads,
                  .dynamic_bytes = l->dynamic_bytes,
                  .params = params,
                  .n_params = n + n_dims + 1,
                  .regions = regions,
                  .n_regions = n + 1,
                  .late = late};
    for (int i = 0; i < 3; i++) {
        int64_t side;
        assert_true(dim_eval(r->f->dims, l->grid[i], c->dims, &side));
        go.grid[i] = (uint32_t)side;
    }
    return (c->execute ? c->execute : ptx_simulate)(s->a, r->ptx.text, l->name, &go);
}

/* ---- comparing ---- */

static bool same(const kbuffer *b, memory got, memory want, uint64_t i, double tolerance)
{
    if (!dtype_is_float(b->dt)) return dtype_load_i64(b->dt, got.data, i) == dtype_load_i64(b->dt, want.data, i);
    double g = dtype_load_f64(b->dt, got.data, i), w = dtype_load_f64(b->dt, want.data, i);
    if (isnan(g) || isnan(w)) return isnan(g) && isnan(w);
    if (tolerance > 0) return fabs(g - w) <= tolerance * (1 + fabs(w));
    return g == w && !signbit(g) == !signbit(w);
}

static const char *compare(session *s, const run *r, const ptx_case *c, const char *when)
{
    for (uint32_t k = 0; k < r->f->params.len; k++) {
        const kbuffer *b = &r->f->params.data[k].v->ty.buf;
        uint64_t n = r->start[k].bytes * 8 / dtype_bits(b->dt);
        for (uint64_t i = 0; i < n; i++)
            if (!same(b, r->simulated[k], r->interpreted[k], i, c->tolerance))
                return arena_printf(s->a, "@%s, asynchronous work %s: element %llu of %%%s: expected %.9g, got %.9g",
                                    r->f->name, when, (unsigned long long)i, r->f->params.data[k].v->name,
                                    dtype_load_f64(b->dt, r->interpreted[k].data, i),
                                    dtype_load_f64(b->dt, r->simulated[k].data, i));
    }
    const kfault *want = &r->result.fault;
    const struct rt_fault *got = &r->fault;
    bool reported = got->index != INT64_MAX;
    if (reported != want->set || got->pad[0]) return "a fault is reported wrongly, or left locked";
    if (!reported ||
        (got->index == want->index && got->arg == want->arg && got->value == want->value && got->bound == want->limit))
        return NULL;
    return arena_printf(s->a, "fault: element %lld holds %lld, expected %lld with %lld", (long long)got->index,
                        (long long)got->value, (long long)want->index, (long long)want->value);
}

static const char *replaced(session *s, const char *text, const char *old, const char *with)
{
    strbuf b = strbuf_new(s->a);
    const char *hit, *at = text;
    for (; (hit = strstr(at, old)); at = hit + strlen(old)) {
        strbuf_add(&b, at, (size_t)(hit - at));
        strbuf_adds(&b, with);
    }
    if (at == text) fail_msg("the PTX has no '%s'", old);
    strbuf_adds(&b, at);
    return b.s;
}

const char *find_difference(session *s, const kmodule *m, ptx_case c)
{
    run r = run_new(s, m, &c);
    if (c.old) r.ptx.text = replaced(s, r.ptx.text, c.old, c.with);
    interpret(s, &r, &c);
    for (int late = 0; late < 2; late++) {
        const char *why = simulate(s, &r, &c, late);
        if (!why) why = compare(s, &r, &c, late ? "late" : "early");
        if (why) return why;
    }
    return NULL;
}

void expect_same_run(session *s, const kmodule *m, ptx_case c)
{
    const char *why = find_difference(s, m, c);
    if (why) fail_msg("%s", why);
}
