/* Runs: results, memory, strides, faults, workers, and what is refused before anything is written. */
#include "toy_call.h"

#include "support/guard.h"
#include "support/malloc_trap.h"

#include <pthread.h>

static void expect_embed(const toy_call *c, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++)
        for (int k = 0; k < 4; k++) assert_true(c->emb[4 * i + k] == 2 * toy_table(c->ids[i], k));
}

static void results(void **state)
{
    (void)state;
    tfx_model *m = toy_open(NULL);
    toy_call c;
    const int64_t shapes[][2] = {{1, 1}, {4, 16}, {2, 7}, {3, 0}};
    for (int i = 0; i < 4; i++) {
        toy_embed(&c, shapes[i][0], shapes[i][1]);
        assert_int_equal(tfx_run(m, TOY_EMBED, &c.args), TFX_OK);
        expect_embed(&c, shapes[i][0] * shapes[i][1]);
    }
    for (int on = 0; on < 3; on++) { /* any byte but 0 is true */
        toy_window(&c, 5, 8, 2);
        c.on = (uint8_t)(on * 100);
        assert_int_equal(tfx_run(m, TOY_WINDOW, &c.args), TFX_OK);
        assert_int_equal(c.n, 2);
        for (int k = 0; k < 5; k++) {
            float sum = 0;
            for (int j = 0; j < 8; j++) sum += c.x[8 * k + j];
            assert_true(c.z[k] == (on ? sum : c.y[k]));
        }
        assert_true(c.z[5] == -1 && c.z[6] == -1);
    }
    tfx_close(m);
}

static void empty_tensors_need_no_data(void **state)
{
    (void)state;
    tfx_model *m = toy_open(NULL);
    toy_call c;
    toy_embed(&c, 2, 0);
    c.in[0].data = c.out[0].data = NULL;
    assert_int_equal(tfx_run(m, TOY_EMBED, &c.args), TFX_OK);
    toy_window(&c, 0, 8, 0);
    c.in[0].data = c.out[0].data = NULL;
    assert_int_equal(tfx_run(m, TOY_WINDOW, &c.args), TFX_OK);
    c.out[1].data = NULL; /* rank 0 has one element */
    assert_fails(m, tfx_run(m, TOY_WINDOW, &c.args), TFX_ERR_ARGUMENT, "output 'n': data is NULL");
    toy_embed(&c, 1, 1);
    c.in[0].data = NULL;
    assert_fails(m, tfx_run(m, TOY_EMBED, &c.args), TFX_ERR_ARGUMENT, "input 'ids': data is NULL");
    tfx_close(m);
}

static void alignment(void **state)
{
    (void)state;
    tfx_model *m = toy_open(NULL);
    toy_call c;
    toy_ident(&c, 1, 2);
    _Alignas(8) char bytes[64];
    for (int off = 0; off < 8; off++) {
        c.in[0].data = bytes + off;
        if (off % 4 == 0) {
            memcpy(bytes + off, c.a, 24);
            assert_int_equal(tfx_run(m, TOY_IDENT, &c.args), TFX_OK);
        } else {
            char text[128];
            snprintf(text, sizeof text, "input 'a': expected data aligned to 4 bytes (f32), got address %p",
                     (void *)(bytes + off));
            assert_fails(m, tfx_run(m, TOY_IDENT, &c.args), TFX_ERR_ALIGNMENT, text);
        }
    }
    tfx_close(m);
}

static void overlaps(void **state)
{
    (void)state;
    tfx_options o = TFX_OPTIONS_INIT;
    _Alignas(64) static uint8_t workspace[2048];
    o.workspace = workspace;
    o.workspace_bytes = sizeof workspace;
    tfx_model *m = toy_open(&o);
    toy_call c;
    toy_ident(&c, 1, 2);
    c.out[0].data = c.a + 5; /* the last element of the input */
    assert_fails(m, tfx_run(m, TOY_IDENT, &c.args), TFX_ERR_ALIAS, "output 'b' overlaps input 'a'");
    c.out[0].data = c.a + 6; /* next to it */
    assert_int_equal(tfx_run(m, TOY_IDENT, &c.args), TFX_OK);
    c.in[0].data = c.a + 6; /* the other way round */
    c.out[0].data = c.a;
    assert_int_equal(tfx_run(m, TOY_IDENT, &c.args), TFX_OK);
    toy_window(&c, 2, 8, 2);
    c.out[1].data = &c.z[3];
    assert_fails(m, tfx_run(m, TOY_WINDOW, &c.args), TFX_ERR_ALIAS, "output 'n' overlaps output 'z'");
    c.out[1].data = &c.z[4];
    assert_int_equal(tfx_run(m, TOY_WINDOW, &c.args), TFX_OK);
    toy_embed(&c, 1, 2);
    c.in[0].data = workspace + 64;
    assert_fails(m, tfx_run(m, TOY_EMBED, &c.args), TFX_ERR_ALIAS, "input 'ids' overlaps the workspace");
    c.in[0].data = c.ids;
    c.out[0].data = workspace;
    assert_fails(m, tfx_run(m, TOY_EMBED, &c.args), TFX_ERR_ALIAS, "output 'emb' overlaps the workspace");
    tfx_close(m);
}

static void workspace_too_small(void **state)
{
    (void)state;
    tfx_options o = TFX_OPTIONS_INIT;
    _Alignas(64) static uint8_t workspace[192];
    o.workspace = workspace;
    o.workspace_bytes = sizeof workspace;
    tfx_model *m = toy_open(&o);
    toy_call c;
    toy_embed(&c, 2, 3); /* needs exactly 192 */
    assert_int_equal(tfx_run(m, TOY_EMBED, &c.args), TFX_OK);
    expect_embed(&c, 6);
    toy_embed(&c, 3, 3);
    assert_fails(m, tfx_run(m, TOY_EMBED, &c.args), TFX_ERR_WORKSPACE,
                 "workspace: expected 256 bytes for these dims and 1 workers, got 192");
    tfx_close(m);
}

/* ---- strides ---- */

static void strides_are_refused_or_used(void **state)
{
    (void)state;
    tfx_model *plain = toy_open(NULL);
    tfx_options o = TFX_OPTIONS_INIT;
    o.flags = TFX_STRIDED;
    tfx_model *m = toy_open(&o);
    toy_call c;
    const int64_t compact[] = {6, 3, 1}, odd_ones[] = {999, 3, 1};
    toy_ident(&c, 2, 2);
    c.in[0].strides = compact;
    assert_int_equal(tfx_run(plain, TOY_IDENT, &c.args), TFX_OK);
    toy_ident(&c, 1, 2);
    c.in[0].strides = odd_ones; /* of an axis of size 1: means nothing */
    assert_int_equal(tfx_run(plain, TOY_IDENT, &c.args), TFX_OK);

    toy_ident(&c, 2, 2);
    const int64_t wide[] = {12, 6, 2}, backwards[] = {6, 3, -1}, repeat[] = {0, 0, 1};
    c.in[0].strides = wide;
    assert_fails(plain, tfx_run(plain, TOY_IDENT, &c.args), TFX_ERR_STRIDE,
                 "input 'a': strides [12, 6, 2] of shape [2, 2, 3] are not compact (and the handle lacks TFX_STRIDED)");
    assert_int_equal(tfx_run(m, TOY_IDENT, &c.args), TFX_OK);
    for (int i = 0; i < 12; i++) assert_true(c.b[i] == (float)(2 * i));
    c.in[0].strides = backwards;
    c.in[0].data = c.a + 2;
    assert_int_equal(tfx_run(m, TOY_IDENT, &c.args), TFX_OK);
    for (int i = 0; i < 12; i++) assert_true(c.b[i] == (float)(i / 3 * 3 + 2 - i % 3));
    c.in[0].strides = repeat;
    c.in[0].data = c.a;
    assert_int_equal(tfx_run(m, TOY_IDENT, &c.args), TFX_OK);
    for (int i = 0; i < 12; i++) assert_true(c.b[i] == (float)(i % 3));

    /* Outputs: written through their strides, nothing between them touched. */
    toy_ident(&c, 2, 2);
    c.out[0].strides = wide;
    assert_int_equal(tfx_run(m, TOY_IDENT, &c.args), TFX_OK);
    for (int i = 0; i < 24; i++) assert_true(c.b[i] == (i % 2 ? -1.0f : (float)(i / 2)));
    c.out[0].strides = repeat;
    assert_fails(m, tfx_run(m, TOY_IDENT, &c.args), TFX_ERR_STRIDE,
                 "output 'b': strides [0, 0, 1] of shape [2, 2, 3] make elements overlap");
    const int64_t crossing[] = {2, 3, 1};
    c.out[0].strides = crossing;
    assert_fails(m, tfx_run(m, TOY_IDENT, &c.args), TFX_ERR_STRIDE,
                 "output 'b': strides [2, 3, 1] of shape [2, 2, 3] make elements overlap");
    const int64_t transposed[] = {3, 6, -1};
    toy_ident(&c, 2, 2);
    c.out[0].strides = transposed;
    c.out[0].data = c.b + 2;
    assert_int_equal(tfx_run(m, TOY_IDENT, &c.args), TFX_OK);
    for (int i = 0; i < 12; i++) assert_true(c.b[2 + i / 6 * 3 + i / 3 % 2 * 6 - i % 3] == (float)i);
    const int64_t far[] = {INT64_MAX, 3, 1};
    c.out[0].strides = far;
    assert_fails(m, tfx_run(m, TOY_IDENT, &c.args), TFX_ERR_STRIDE,
                 "output 'b': strides [9223372036854775807, 3, 1] of shape [2, 2, 3] leave the address space");
    const int64_t below[] = {-((int64_t)1 << 60), 3, 1};
    c.out[0].strides = below;
    assert_fails(m, tfx_run(m, TOY_IDENT, &c.args), TFX_ERR_STRIDE,
                 "output 'b': strides [-1152921504606846976, 3, 1] of shape [2, 2, 3] leave the address space");

    /* A strided input may share memory with a compact output: it is read before. */
    toy_ident(&c, 1, 2);
    const int64_t reversed[] = {0, 3, -1};
    c.in[0].strides = reversed;
    c.in[0].data = c.a + 2;
    c.out[0].data = c.a;
    assert_int_equal(tfx_run(m, TOY_IDENT, &c.args), TFX_OK);
    for (int i = 0; i < 6; i++) assert_true(c.a[i] == (float)(i / 3 * 3 + 2 - i % 3));
    tfx_close(m);
    tfx_close(plain);
}

/* ---- guard pages ---- */

static void touches_nothing_else(void **state)
{
    (void)state;
    for (int where = 0; where < GUARD_PLACEMENTS; where++)
        for (uint32_t flags = 0; flags <= TFX_STRIDED; flags++) {
            int64_t dims[TOY_DIMS] = {3, 5, 8, 0}, in_shape[] = {3, 5}, out_shape[] = {3, 5, 4};
            int64_t in_strides[] = {1, 3}, out_strides[] = {1, 12, 3};
            size_t bytes = (size_t)tfx_model_v1()->workspace_size(TOY_EMBED, dims, 1, flags);
            guard work = guard_make(bytes, 64, (guard_placement)where);
            guard ids = guard_make(15 * sizeof(int64_t), sizeof(int64_t), (guard_placement)where);
            guard emb = guard_make(60 * sizeof(float), sizeof(float), (guard_placement)where);
            memset(ids.data, 0, ids.bytes);
            ((int64_t *)(void *)ids.data)[1] = 9; /* (0, 1) compact; (1, 0) with strides */
            guard_read_only(&ids);
            tfx_options o = TFX_OPTIONS_INIT;
            o.flags = flags;
            o.workspace = work.data;
            o.workspace_bytes = work.bytes;
            tfx_model *m = toy_open(&o);
            tfx_tensor in = {ids.data, in_shape, flags ? in_strides : NULL, TFX_I64, 2};
            tfx_tensor out = {emb.data, out_shape, flags ? out_strides : NULL, TFX_F32, 3};
            tfx_args args = {&in, &out, NULL, 1, 1, 0, 0};
            assert_int_equal(tfx_run(m, TOY_EMBED, &args), TFX_OK);
            const float *e = (const float *)(const void *)emb.data;
            assert_true((flags ? e[1] : e[4]) == 2 * toy_table(9, 0));
            assert_true(guard_intact(&work) && guard_intact(&ids) && guard_intact(&emb));
            tfx_close(m);
            guard_free(&work);
            guard_free(&ids);
            guard_free(&emb);
        }
}

static void guards_notice(void **state)
{
    (void)state;
    for (int where = 0; where < GUARD_PLACEMENTS; where++) {
        guard g = guard_make(12, 4, (guard_placement)where);
        assert_int_equal((uintptr_t)g.data % 4, 0);
        if (where == GUARD_ODD) assert_int_equal((uintptr_t)g.data % 8, 4);
        memset(g.data, 0, g.bytes);
        assert_true(guard_intact(&g));
        if (where != GUARD_LOW) {
            g.data[-1] = 0;
            assert_false(guard_intact(&g));
        } else {
            g.data[12] = 0;
            assert_false(guard_intact(&g));
        }
        guard_free(&g);
    }
}

/* ---- allocation ---- */

static void run_allocates_nothing(void **state)
{
    (void)state;
    trap_start();
    void *p = malloc(100);
    __asm__ volatile("" : "+r"(p)); /* keeps the compiler from dropping the pair */
    free(p);
    assert_int_equal(trap_stop(), 2);

    tfx_options o = TFX_OPTIONS_INIT;
    o.flags = TFX_STRIDED;
    tfx_model *m = toy_open(&o);
    toy_call c;
    const int64_t reversed[] = {1, 4};
    toy_embed(&c, 4, 2);
    c.in[0].strides = reversed;
    trap_start();
    tfx_status good = tfx_run(m, TOY_EMBED, &c.args); /* the first run: nothing is left to do lazily */
    c.ids[3] = -1;
    tfx_status bad_value = tfx_run(m, TOY_EMBED, &c.args);
    c.in[0].rank = 1;
    tfx_status bad_rank = tfx_run(m, TOY_EMBED, &c.args);
    long calls = trap_stop();
    assert_int_equal(good, TFX_OK);
    assert_int_equal(bad_value, TFX_ERR_VALUE);
    assert_int_equal(bad_rank, TFX_ERR_RANK);
    assert_int_equal(calls, 0);
    tfx_close(m);
}

/* ---- workers ---- */

typedef struct {
    int mode;
    uint32_t workers;
    int64_t calls;
} pool;

enum { ONE_BY_ONE, BACKWARDS, HALVES, TOO_HIGH, LEFT_OUT, TWICE, OUT_OF_RANGE, NEGATIVE };

static void parallel(void *ctx, int64_t n, tfx_task_fn *fn, void *arg)
{
    pool *p = ctx;
    p->calls++;
    switch (p->mode) {
    case ONE_BY_ONE:
        for (int64_t i = 0; i < n; i++) fn(arg, i, i + 1, (uint32_t)(i % p->workers));
        break;
    case BACKWARDS:
        for (int64_t i = n; i-- > 0;) fn(arg, i, i + 1, (uint32_t)(i % p->workers));
        break;
    case HALVES:
        fn(arg, n / 2, n, p->workers - 1);
        fn(arg, 0, n / 2, 0);
        fn(arg, n / 2, n / 2, 0); /* an empty range is no harm */
        break;
    case TOO_HIGH: fn(arg, 0, n, p->workers); break;
    case LEFT_OUT: fn(arg, 1, n, 0); break;
    case TWICE:
        fn(arg, 0, n, 0);
        fn(arg, 0, 1, 0);
        break;
    case OUT_OF_RANGE: fn(arg, 0, n + 1, 0); break;
    case NEGATIVE: fn(arg, -1, n, 0); break;
    }
}

static tfx_model *open_parallel(pool *p)
{
    tfx_options o = TFX_OPTIONS_INIT;
    o.max_workers = p->workers;
    o.parallel_for = parallel;
    o.parallel_ctx = p;
    return toy_open(&o);
}

static void divisions_do_not_matter(void **state)
{
    (void)state;
    for (int mode = ONE_BY_ONE; mode <= HALVES; mode++) {
        pool p = {mode, 3, 0};
        tfx_model *m = open_parallel(&p);
        toy_call c;
        toy_embed(&c, 4, 7);
        assert_int_equal(tfx_run(m, TOY_EMBED, &c.args), TFX_OK);
        expect_embed(&c, 28);
        assert_int_equal(p.calls, 2);
        /* Faults: rows 1 and 3 each have a bad id, in reverse order of size; the first in memory is the one named. */
        c.ids[3 * 7 + 2] = 77;
        c.ids[1 * 7 + 5] = -3;
        c.ids[1 * 7 + 6] = 10;
        assert_fails(m, tfx_run(m, TOY_EMBED, &c.args), TFX_ERR_VALUE,
                     "input 'ids': element [1, 5] is -3, allowed 0..9");
        c.ids[1 * 7 + 5] = 0;
        assert_fails(m, tfx_run(m, TOY_EMBED, &c.args), TFX_ERR_VALUE,
                     "input 'ids': element [1, 6] is 10, allowed 0..9");
        c.ids[1 * 7 + 6] = 0;
        assert_fails(m, tfx_run(m, TOY_EMBED, &c.args), TFX_ERR_VALUE,
                     "input 'ids': element [3, 2] is 77, allowed 0..9");
        c.ids[3 * 7 + 2] = 9;
        assert_int_equal(tfx_run(m, TOY_EMBED, &c.args), TFX_OK); /* nothing sticks */
        expect_embed(&c, 28);
        p.calls = 0;
        toy_window(&c, 3, 8, 0); /* one task: done without the pool */
        assert_int_equal(tfx_run(m, TOY_WINDOW, &c.args), TFX_OK);
        assert_int_equal(p.calls, 0);
        tfx_close(m);
    }
}

static void misuse_of_parallel_for(void **state)
{
    (void)state;
    static const struct {
        int mode;
        const char *text;
    } cases[] = {
        {TOO_HIGH, "parallel_for: expected workers below 2, got worker 2"},
        {LEFT_OUT, "parallel_for: expected 4 tasks to be done, got 3"},
        {TWICE, "parallel_for: expected 4 tasks to be done, got 5"},
        {OUT_OF_RANGE, "parallel_for: got a range that is not within 0..4"},
        {NEGATIVE, "parallel_for: got a range that is not within 0..4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pool p = {cases[i].mode, 2, 0};
        tfx_model *m = open_parallel(&p);
        toy_call c;
        toy_embed(&c, 4, 1);
        assert_fails(m, tfx_run(m, TOY_EMBED, &c.args), TFX_ERR_ARGUMENT, cases[i].text);
        tfx_close(m);
    }
}

/* Real threads: under the thread sanitizer this shows that nothing but the tasks' own memory is shared. */
typedef struct {
    tfx_task_fn *fn;
    void *arg;
    int64_t begin, end;
    uint32_t worker;
} share;

static void *run_share(void *p)
{
    share *s = p;
    s->fn(s->arg, s->begin, s->end, s->worker);
    return NULL;
}

static void threads(void *ctx, int64_t n, tfx_task_fn *fn, void *arg)
{
    (void)ctx;
    share shares[3];
    pthread_t ids[3];
    for (uint32_t i = 0; i < 3; i++) {
        shares[i] = (share){fn, arg, n * i / 3, n * (i + 1) / 3, i};
        assert_int_equal(pthread_create(&ids[i], NULL, run_share, &shares[i]), 0);
    }
    for (int i = 0; i < 3; i++) pthread_join(ids[i], NULL);
}

static void real_threads(void **state)
{
    (void)state;
    tfx_options o = TFX_OPTIONS_INIT;
    o.max_workers = 3;
    o.parallel_for = threads;
    tfx_model *m = toy_open(&o);
    toy_call c;
    for (int i = 0; i < 20; i++) {
        toy_embed(&c, 4, 16);
        assert_int_equal(tfx_run(m, TOY_EMBED, &c.args), TFX_OK);
        expect_embed(&c, 64);
    }
    c.ids[60] = 50;
    c.ids[20] = 51;
    assert_fails(m, tfx_run(m, TOY_EMBED, &c.args), TFX_ERR_VALUE, "input 'ids': element [1, 4] is 51, allowed 0..9");
    tfx_close(m);
}

/* ---- one run at a time ---- */

static tfx_model *nested;
static tfx_status nested_status;

static void call_again(void *ctx, const tfx_kernel_info *kernel, int64_t tasks, int64_t ns)
{
    (void)kernel, (void)tasks, (void)ns;
    nested_status = tfx_run(nested, TOY_EMBED, ctx);
}

static void busy(void **state)
{
    (void)state;
    nested = toy_open(NULL);
    toy_call c, inner;
    toy_embed(&c, 2, 2);
    toy_embed(&inner, 1, 1);
    tfx_profile(nested, call_again, &inner.args);
    assert_int_equal(tfx_run(nested, TOY_EMBED, &c.args), TFX_OK);
    assert_int_equal(nested_status, TFX_ERR_BUSY);
    expect_embed(&c, 4);
    tfx_profile(nested, NULL, NULL);
    nested_status = TFX_OK;
    assert_int_equal(tfx_run(nested, TOY_EMBED, &c.args), TFX_OK);
    assert_int_equal(nested_status, TFX_OK); /* the hook is gone */
    tfx_close(nested);
}

/* ---- profile ---- */

typedef struct {
    int n;
    const char *names[4];
    int64_t tasks[4];
} profile;

static void record(void *ctx, const tfx_kernel_info *k, int64_t tasks, int64_t ns)
{
    profile *p = ctx;
    assert_true(ns >= 0);
    assert_string_equal(k->file, "toy.tfx");
    p->names[p->n] = k->kernel;
    p->tasks[p->n++] = tasks;
}

static void profiles(void **state)
{
    (void)state;
    tfx_model *m = toy_open(NULL);
    profile p = {0};
    tfx_profile(m, record, &p);
    toy_call c;
    toy_embed(&c, 3, 5);
    assert_int_equal(tfx_run(m, TOY_EMBED, &c.args), TFX_OK);
    assert_int_equal(p.n, 2);
    assert_string_equal(p.names[0], "toy_gather");
    assert_string_equal(p.names[1], "toy_twice");
    assert_int_equal(p.tasks[0], 3);
    assert_int_equal(p.tasks[1], 15);
    tfx_close(m);
}

/* ---- faults of tensors that are no input ---- */

static void complain(void *const *bufs, const int64_t *d, void *scratch, struct rt_fault *f, int64_t begin, int64_t end)
{
    (void)bufs, (void)d, (void)scratch, (void)begin, (void)end;
    f->index = 17;
    f->arg = 2;
    f->value = -1;
    f->bound = 0;
}

static const struct rt_fault_source inner_faults[] = {{1, 0, NULL}, {2, -1, "order"}};
static const struct rt_launch inner_launch = {{"k", "", "a.tfx", 7, 9}, complain, NULL, inner_faults, 2};

static int32_t inner_plan(struct rt_call *call)
{
    struct rt_work work = {.launch = &inner_launch, .bufs = call->inputs, .dims = call->dims, .tasks = 1};
    return call->launch(call, &work, 1);
}

static void fault_in_an_intermediate(void **state)
{
    (void)state;
    struct rt_entry entries[TOY_ENTRIES];
    memcpy(entries, toy_model.variants[0].entries, sizeof entries);
    entries[TOY_IDENT].plan = inner_plan;
    const struct rt_variant variant = {entries, 0};
    struct rt_model model = toy_model;
    model.variants = &variant;
    tfx_model *m = NULL;
    assert_int_equal(rt_open(&model, tfx_model_v1(), NULL, &m), TFX_OK);
    toy_call c;
    toy_ident(&c, 1, 1);
    assert_fails(m, rt_run(&model, m, TOY_IDENT, &c.args), TFX_ERR_VALUE,
                 "tensor 'order' (a.tfx:7:9): element 17 is -1, but no value is allowed");
    rt_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results),
        cmocka_unit_test(empty_tensors_need_no_data),
        cmocka_unit_test(alignment),
        cmocka_unit_test(overlaps),
        cmocka_unit_test(workspace_too_small),
        cmocka_unit_test(strides_are_refused_or_used),
        cmocka_unit_test(touches_nothing_else),
        cmocka_unit_test(guards_notice),
        cmocka_unit_test(run_allocates_nothing),
        cmocka_unit_test(divisions_do_not_matter),
        cmocka_unit_test(misuse_of_parallel_for),
        cmocka_unit_test(real_threads),
        cmocka_unit_test(busy),
        cmocka_unit_test(profiles),
        cmocka_unit_test(fault_in_an_intermediate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
