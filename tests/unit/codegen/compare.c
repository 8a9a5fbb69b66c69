#include "compare.h"

#include <math.h>
#include <stdio.h>

#include "codegen/plan_memory.h"
#include "ir/kir/kinterp.h"
#include "support/guard.h"
#include "unit/cmocka_all.h"

/* ---- kernels ---- */

static comparison prepare(session s, kmodule *m, const char *cpu, int opt)
{
    comparison c = {.s = s, .m = m, .seed = 1};
    plan_memory(m);
    expand_math(m);
    if (!kmodule_verify(m, c.s.d)) fail_msg("%s", session_diags(&c.s));
    codegen_options o = {.cpu = cpu, .opt = opt};
    c.jit = codegen_jit_new(m, &o, c.s.d);
    if (!c.jit) fail_msg("%s", session_diags(&c.s));
    return c;
}

comparison comparison_read(const char *path, const char *cpu, int opt)
{
    session s = session_new();
    kmodule *m = session_read(&s, path);
    return prepare(s, m, cpu, opt);
}

comparison comparison_parse(const char *text, const char *cpu, int opt)
{
    session s = session_new();
    kmodule *m = session_parse(&s, "test.kir", text);
    return prepare(s, m, cpu, opt);
}

void comparison_free(comparison *c)
{
    codegen_jit_free(c->jit);
    session_free(&c->s);
}

/* ---- contents ---- */

static uint64_t next_random(comparison *c)
{
    c->seed = c->seed * 6364136223846793005u + 1442695040888963407u;
    return c->seed >> 33;
}

static double random_number(comparison *c, dtype dt, fill with)
{
    static const double special[] = {INFINITY,  -INFINITY, NAN,      0.0,       -0.0, 0x1p-149,
                                     -0x1p-130, 0x1p127,   -0x1p100, 0x1p-1074, 88,   -88};
    if (with == FILL_SPECIAL && next_random(c) % 4 == 0)
        return special[next_random(c) % (sizeof special / sizeof *special)];
    (void)dt;
    return ((double)next_random(c) / 0x1p31 - 0.5) * 4;
}

static void fill_buffer(comparison *c, dtype dt, fill with, void *data, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        if (dtype_is_float(dt)) dtype_store_f64(dt, data, i, random_number(c, dt, with));
        else if (dt == DT_BOOL) ((uint8_t *)data)[i] = next_random(c) % 2;
        else if (with == FILL_SMALL) dtype_store_i64(dt, data, i, (int64_t)(next_random(c) % 16));
        else dtype_store_i64(dt, data, i, (int64_t)(next_random(c) * 0x100000001u * (next_random(c) % 3)));
    }
}

static bool same_element(dtype dt, const void *a, const void *b, uint64_t i)
{
    uint32_t bytes = dtype_bits(dt) / 8;
    if (!memcmp((const char *)a + i * bytes, (const char *)b + i * bytes, bytes)) return true;
    return dtype_is_float(dt) && isnan(dtype_load_f64(dt, a, i)) && isnan(dtype_load_f64(dt, b, i));
}

/* ---- running ---- */

typedef struct {
    const kfunction *f;
    const int64_t *dims;
    uint64_t *bytes;          /* by parameter */
    uint8_t **before, **want; /* contents before the run, and after the interpreter's */
    bool failed_check;
    kfault fault;
    rt_kernel_fn *fn;
    int64_t tasks;
    uint64_t scratch;
} job;

static uint64_t dim_value(comparison *c, const kfunction *f, dim d, const int64_t *dims)
{
    int64_t v = -1;
    (void)c;
    assert_true(dim_eval(f->dims, d, dims, &v));
    assert_true(v >= 0);
    return (uint64_t)v;
}

static void interpret(comparison *c, job *j)
{
    uint32_t n = j->f->params.len;
    kbinding *b = ARENA_ARRAY(c->s.a, kbinding, n);
    for (uint32_t i = 0; i < n; i++) {
        j->want[i] = arena_alloc(c->s.a, j->bytes[i] + 64, 64);
        memcpy(j->want[i], j->before[i], j->bytes[i]);
        b[i] = (kbinding){j->want[i], j->bytes[i]};
    }
    kinterp_result r = {0};
    arena *scratch = arena_new(NULL, NULL);
    diags *d = diags_new(c->s.a, c->s.sources, 0);
    bool ok = kinterp_run(j->f, j->dims, b, NULL, scratch, d, &r);
    arena_free(scratch);
    j->fault = r.fault;
    if (!ok && !r.fault.set) {
        strbuf text = strbuf_new(c->s.a);
        diags_render_text(d, &text);
        fail_msg("the interpreter reports:\n%s", text.s);
    }
}

/* How the tasks are divided: all at once, one by one from the last, in halves with the second first. */
enum { DIVISIONS = 3 };

static void run_tasks(const job *j, void **bufs, void *scratch, struct rt_fault *fault, int division)
{
    int64_t half = j->tasks / 2;
    if (division == 0) {
        j->fn(bufs, j->dims, scratch, fault, 0, j->tasks);
    } else if (division == 1) {
        for (int64_t t = j->tasks - 1; t >= 0; t--) j->fn(bufs, j->dims, scratch, fault, t, t + 1);
    } else {
        j->fn(bufs, j->dims, scratch, fault, half, j->tasks);
        j->fn(bufs, j->dims, scratch, fault, 0, half);
    }
}

static void check_buffer(comparison *c, const job *j, uint32_t i, const guard *g, const char *how)
{
    const kparam *p = &j->f->params.data[i];
    dtype dt = p->v->ty.buf.dt;
    if (!guard_intact(g)) fail_msg("%s: @%s writes outside of %%%s", how, j->f->name, p->v->name);
    uint64_t n = j->bytes[i] * 8 / dtype_bits(dt);
    for (uint64_t e = 0; e < n; e++) {
        if (same_element(dt, g->data, j->want[i], e)) continue;
        strbuf dims = strbuf_new(c->s.a);
        for (uint32_t d = 0; d < dim_symbol_count(j->f->dims); d++)
            strbuf_addf(&dims, " %s=%lld", dim_symbol_at(j->f->dims, d)->name, (long long)j->dims[d]);
        fail_msg("%s: @%s%s: %%%s[%llu] is %a, the interpreter has %a (before: %a)", how, j->f->name, dims.s,
                 p->v->name, (unsigned long long)e, dtype_load_f64(dt, g->data, e), dtype_load_f64(dt, j->want[i], e),
                 dtype_load_f64(dt, j->before[i], e));
    }
}

static void run_compiled(comparison *c, const job *j, guard_placement where, int division)
{
    uint32_t n = j->f->params.len;
    guard *g = ARENA_ARRAY(c->s.a, guard, n);
    void **bufs = ARENA_ARRAY(c->s.a, void *, n);
    for (uint32_t i = 0; i < n; i++) {
        const kbuffer *b = &j->f->params.data[i].v->ty.buf;
        g[i] = guard_make(j->bytes[i], b->align ? b->align : dtype_bits(b->dt) / 8, where);
        memcpy(g[i].data, j->before[i], j->bytes[i]);
        bufs[i] = g[i].data;
    }
    guard scratch = guard_make(j->scratch, 64, where);
    struct rt_fault fault = {.index = INT64_MAX, .arg = INT64_MAX};
    run_tasks(j, bufs, scratch.data, &fault, division);

    const char *how = arena_printf(c->s.a, "placement %d, division %d", (int)where, division);
    for (uint32_t i = 0; i < n; i++) check_buffer(c, j, i, &g[i], how);
    assert_true(guard_intact(&scratch));
    assert_int_equal(j->fault.set, fault.index != INT64_MAX);
    if (j->fault.set) {
        assert_int_equal(fault.index, j->fault.index);
        assert_int_equal(fault.arg, j->fault.arg);
        assert_int_equal(fault.value, j->fault.value);
        assert_int_equal(fault.bound, j->fault.limit);
    }
    for (uint32_t i = 0; i < n; i++) guard_free(&g[i]);
    guard_free(&scratch);
}

void compare_kernel(comparison *c, const char *name, const int64_t *dims, fill with, set_input *set, void *arg)
{
    job j = {.f = kmodule_find(c->m, name), .dims = dims};
    assert_non_null(j.f);
    uint32_t n = j.f->params.len;
    j.fn = codegen_jit_kernel(c->jit, name);
    assert_non_null(j.fn);
    j.tasks = codegen_jit_tasks(c->jit, name, dims);
    j.scratch = dim_value(c, j.f, kernel_scratch_bytes(j.f), dims);
    j.bytes = ARENA_ARRAY(c->s.a, uint64_t, n);
    j.before = ARENA_ARRAY(c->s.a, uint8_t *, n);
    j.want = ARENA_ARRAY(c->s.a, uint8_t *, n);
    for (uint32_t i = 0; i < n; i++) {
        const kbuffer *b = &j.f->params.data[i].v->ty.buf;
        j.bytes[i] = dim_value(c, j.f, kbuffer_bytes(j.f->dims, b), dims);
        j.before[i] = arena_alloc(c->s.a, j.bytes[i] + 64, 64);
        fill_buffer(c, b->dt, with, j.before[i], j.bytes[i] * 8 / dtype_bits(b->dt));
        if (set) set(arg, i, j.before[i], j.bytes[i]);
    }
    interpret(c, &j);
    for (int where = 0; where < GUARD_PLACEMENTS; where++)
        for (int division = 0; division < DIVISIONS; division++)
            if (division == 0 || where == GUARD_HIGH) run_compiled(c, &j, (guard_placement)where, division);
}
