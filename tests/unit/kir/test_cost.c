/* The cost model: equal to what the kernel interpreter counts while it runs, and to counts by hand. */
#include "ir/kir/kcost.h"
#include "unit/kir/golden.h"

#include "unit/cmocka_all.h"

#include <math.h>

/* A round machine: one vector of 8 floats; caches of 1, 8 and 64 KiB, of which three quarters count. */
static machine toy(session *s)
{
    machine m = machine_default(s->a, "", 256, 16);
    m.l1d_bytes = 1 << 10;
    m.l2_bytes = 8 << 10;
    m.l3_bytes = 64 << 10;
    m.f32_gflops = 100;
    m.l1_gb_per_s = 400;
    m.l2_gb_per_s = 100;
    m.l3_gb_per_s = 50;
    m.dram_gb_per_s = 10;
    m.launch_ns = 50;
    return m;
}

static kcost cost_of(session *s, const kfunction *f, const int64_t *dims)
{
    machine m = toy(s);
    return kernel_cost(f, dims, &m, s->a);
}

/* ---- against the interpreter ---- */

static void check_counts(session *s, const kfunction *f, const int64_t *dims)
{
    kbinding *params = ARENA_ARRAY(s->a, kbinding, f->params.len);
    for (uint32_t i = 0; i < f->params.len; i++) {
        int64_t bytes;
        assert_true(dim_eval(f->dims, kbuffer_bytes(f->dims, &f->params.data[i].v->ty.buf), dims, &bytes));
        params[i] = (kbinding){arena_alloc(s->a, (size_t)bytes, 1024), (uint64_t)bytes};
    }
    kinterp_options o = {0};
    kinterp_result did;
    if (!kinterp_run(f, dims, params, &o, s->a, s->d, &did)) fail_msg("%s", session_messages(s));
    kcost c = cost_of(s, f, dims);
    assert_true(c.exact);
    if (c.flops != (double)did.flops || c.loaded != (double)did.bytes_loaded || c.stored != (double)did.bytes_stored)
        fail_msg("@%s: counted %.0f FLOPs, %.0f bytes loaded, %.0f stored; done %llu, %llu, %llu", f->name, c.flops,
                 c.loaded, c.stored, (unsigned long long)did.flops, (unsigned long long)did.bytes_loaded,
                 (unsigned long long)did.bytes_stored);
}

static void check_golden(const char *file, const int64_t (*dims)[3], int n)
{
    session s = session_new();
    kmodule *m = parse_valid(&s, read_golden(&s, file));
    for (int i = 0; i < n; i++) check_counts(&s, m->functions.data[0], dims[i]);
    session_free(&s);
}

static void test_matmul(void **state)
{
    (void)state;
    static const int64_t dims[][3] = {{1, 1, 1}, {14, 8, 32}, {15, 7, 33}, {29, 130, 97}, {65, 12, 31}};
    check_golden("matmul_gelu.kir", dims, 5);
}

static void test_attention(void **state)
{
    (void)state;
    static const int64_t dims[][3] = {{1, 1, 1}, {2, 3, 5}, {1, 2, 33}, {1, 1, 64}, {1, 1, 79}};
    check_golden("attention.kir", dims, 5);
}

static void test_gpu_matmul(void **state)
{
    (void)state;
    static const int64_t dims[][3] = {{128, 32, 128}, {130, 72, 9}};
    check_golden("mma_matmul.kir", dims, 2);
}

static kmodule *kernel(session *s, const char *dims, const char *params, const char *tasks, const char *body)
{
    return parse_valid(s, arena_printf(s->a, "kernel @k cpu (%s) (%s) { %s %s }", dims, params, tasks, body));
}

/* Rounds that differ by what they carry, what they start from, and what an outer one is. */
static void test_unequal_rounds(void **state)
{
    (void)state;
    session s = session_new();
    static const char *const bodies[] = {
        /* causal: columns up to the row */
        "for %i = 0 to %n step 1 parallel { %z = const 0.0 : f32 %e = const 1 : i64 %to = add %i, %e : i64 "
        "%sum = for %j = 0 to %to step 1 carry (%s = %z) { %a = load %x[%i, %j] : f32 %t = add %s, %a : f32 yield %t } "
        ": f32 store %y[%i], %sum }",
        /* ends that are carried: 1, 2, 4 ... */
        "for %i = 0 to %n step 1 parallel { %one = const 1 : i64 %last = for %r = 0 to 5 step 1 carry (%w = %one) { "
        "%z = const 0.0 : f32 %sum = for %j = 0 to %w step 3 carry (%s = %z) { %t = fma %s, %s, %s : f32 yield %t } "
        ": f32 %v = add %w, %w : i64 yield %v } : i64 %c = cast %last : f32 store %y[%i], %c }",
        /* a ragged last tile, and a choice by the index */
        "for %i = 0 to %n step 1 parallel { %left = sub %n, %i : i64 %two = const 2 : i64 %m = mod %i, %two : i64 "
        "%a = load %x[%i, 0] bound [%left] : f32<8> switch %m case 0 { %b = mul %a, %a : f32<8> %r = reduce %b "
        "{kind = add, axis = 0} : f32<1> store %y[%i], %r } default { %q = load %x[%i, 0] : f32 store %y[%i], %q } }",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        kmodule *m =
            kernel(&s, "N in 1..64", "%x: f32 global[N, 64] in, %y: f32 global[N] out", "%n = dim N : i64", bodies[i]);
        for (int64_t n = 1; n <= 20; n += 6) check_counts(&s, m->functions.data[0], &n);
    }
    session_free(&s);
}

/* ---- by hand ---- */

/* x (M x K) summed over the rows of a column: what is read once, what comes from where. */
static const char columns_text[] =
    "kernel @columns cpu (M in 1..4096) (%x: f32 global[M, 64] in, %y: f32 global[64] out) {\n"
    "  %m = dim M : i64\n"
    "  for %p = 0 to 8 step 1 parallel {\n"
    "    %eight = const 8 : i64\n"
    "    %c = mul %p, %eight : i64\n"
    "    %z = const 0.0 : f32<8>\n"
    "    %sum = for %i = 0 to %m step 1 carry (%s = %z) {\n"
    "      %a = load %x[%i, %c] : f32<8>\n"
    "      %t = add %s, %a : f32<8>\n"
    "      yield %t\n"
    "    } : f32<8>\n"
    "    store %y[%c], %sum\n"
    "  }\n"
    "}\n";

static void test_bytes(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = parse_valid(&s, columns_text);
    int64_t rows = 100;
    kcost c = cost_of(&s, m->functions.data[0], &rows);
    assert_true(c.exact && c.flops == 6400 && c.work == 6400);
    assert_true(c.loaded == 25600 && c.stored == 256 && c.l1_bytes == 25600 + 256);
    const kcost_buffer *x = &c.buffers[0], *y = &c.buffers[1];
    assert_true(x->read == 25600 && x->written == 0 && x->touched == 25600 && x->loaded == 25600);
    assert_true(y->read == 0 && y->written == 256 && y->stored == 256);
    for (int k = 0; k < KCACHES; k++) assert_true(x->miss[k] == 25600); /* read once: missed once, however small */
    session_free(&s);
}

/* The same rows again and again: found where one round fits. */
static void test_reuse(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = parse_valid(
        &s,
        "kernel @again cpu (R in 1..100, N in 8..65536 multiple 8) (%x: f32 global[N] in, %y: f32 global[8] out) {\n"
        "  %r = dim R : i64 %n = dim N : i64\n"
        "  for %p = 0 to 1 step 1 parallel {\n"
        "    %z = const 0.0 : f32<8>\n"
        "    %all = for %k = 0 to %r step 1 carry (%t = %z) {\n"
        "      %sum = for %i = 0 to %n step 8 carry (%s = %t) {\n"
        "        %a = load %x[%i] : f32<8> %u = add %s, %a : f32<8> yield %u\n"
        "      } : f32<8>\n"
        "      yield %sum\n"
        "    } : f32<8>\n"
        "    store %y[0], %all\n"
        "  }\n"
        "}\n");
    /* 512 bytes, 4 KiB, 32 KiB, 256 KiB: the first cache that holds them misses once */
    static const int64_t sizes[] = {128, 1024, 8192, 65536};
    for (int level = 0; level < 4; level++) {
        int64_t dims[2] = {10, sizes[level]};
        double bytes = 4.0 * (double)sizes[level];
        kcost c = cost_of(&s, m->functions.data[0], dims);
        for (int k = 0; k < KCACHES; k++) assert_true(c.buffers[0].miss[k] == (k < level ? 10 * bytes : bytes));
        assert_true(c.buffers[0].read == bytes && c.loaded == 10 * bytes);
        /* Held already at that level, it comes from there in every round. */
        machine on = toy(&s);
        kcost_level at[2] = {(kcost_level)level, KCOST_L1};
        kestimate e = kcost_estimate(&c, 2, at, &on);
        for (int k = 1; k < KCOST_COUNT; k++) assert_true(e.from[k] == (k <= level ? 10 * bytes : 0));
    }
    session_free(&s);
}

static void test_bounds(void **state)
{
    (void)state;
    session s = session_new();
    machine on = toy(&s);
    kcost_buffer b = {.read = 1000, .touched = 1000, .miss = {1000, 1000, 1000}};
    kcost c = {.work = 1e6, .l1_bytes = 1000, .buffers = &b};
    kestimate e = kcost_estimate(&c, 1, NULL, &on);
    assert_true(e.bound == KBOUND_FMA && fabs(e.us - 10) < 1e-9 && e.from[KCOST_DRAM] == 1000);
    c.work = 1e3;
    e = kcost_estimate(&c, 1, NULL, &on);
    assert_true(e.bound == KBOUND_DRAM && fabs(e.us - 0.1) < 1e-9);
    kcost_level at = KCOST_L2;
    e = kcost_estimate(&c, 1, &at, &on);
    assert_true(e.bound == KBOUND_LAUNCH && fabs(e.us - 0.05) < 1e-9 && e.from[KCOST_L2] == 1000 &&
                e.from[KCOST_L3] == 0 && e.from[KCOST_DRAM] == 0);
    c.local_miss[KCOST_L1] = 1e6;
    e = kcost_estimate(&c, 1, &at, &on);
    assert_true(e.bound == KBOUND_L2 && fabs(e.us - 10.01) < 1e-9);
    assert_string_equal(kbound_name(KBOUND_L2), "L2");
    session_free(&s);
}

/* Units are busy for whole vectors, and long with divisions. */
static void test_work(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = kernel(&s, "", "%x: f32 global[64] in, %y: f32 global[64] out", "",
                        "for %i = 0 to 1 step 1 parallel { %a = load %x[0] : f32<9> %b = fma %a, %a, %a : f32<9> "
                        "%c = div %b, %a : f32<9> store %y[0], %c }");
    kcost c = cost_of(&s, m->functions.data[0], NULL);
    assert_true(c.flops == 27 && c.work == 2 * 16 + 20 * 16 && c.l1_bytes == 4 * 32);
    session_free(&s);
}

/* ---- what cannot be known ---- */

static void test_data(void **state)
{
    (void)state;
    session s = session_new();
    static const char *const bodies[] = {
        "%e = load %n[0] : i64 %r = for %j = 0 to %e step 1 carry (%t = %z) { %u = add %t, %t : f32 yield %u } : f32 "
        "store %y[0], %r",
        "%e = load %n[0] : i64 %o = const 3 : i64 %q = lt %e, %o : bool %r = if %q { %u = add %z, %z : f32 yield %u } "
        "else { yield %z } : f32 store %y[0], %r",
        "%e = load %n[0] : i64 %v = const 0.0 : f32<8> store %y[0], %v bound [%e]",
        /* At most 5, and no fewer than 0: 5 are counted, also from one of 0 .. 5 on. Of one limit nothing follows. */
        "%e = load %n[0] : i64 %f = const 5 : i64 %o = const 0 : i64 %m = min %e, %f : i64 %p = max %o, %m : i64 "
        "%r = for %j = 0 to %p step 1 carry (%t = %z) { %u = add %t, %t : f32 yield %u } : f32 store %y[0], %r",
        "%e = load %n[0] : i64 %f = const 5 : i64 %o = const 0 : i64 %m = min %e, %f : i64 %p = max %o, %m : i64 "
        "%l = sub %f, %p : i64 "
        "%r = for %j = %p to %l step 2 carry (%t = %z) { %u = add %t, %t : f32 yield %u } : f32 store %y[0], %r",
        "%e = load %n[0] : i64 %f = const 5 : i64 %m = max %e, %f : i64 "
        "%r = for %j = 0 to %m step 1 carry (%t = %z) { %u = add %t, %t : f32 yield %u } : f32 store %y[0], %r",
        "%e = load %n[0] : i64 %f = const 5 : i64 %m = min %e, %f : i64 %p = add %m, %f : i64 "
        "%r = for %j = 0 to %p step 1 carry (%t = %z) { %u = add %t, %t : f32 yield %u } : f32 store %y[0], %r",
    };
    static const double flops[] = {1, 1, 0, 5, 3, 1, 1};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        kmodule *m =
            kernel(&s, "", "%n: i64 global[1] in, %y: f32 global[8] out", "",
                   arena_printf(s.a, "for %%i = 0 to 1 step 1 parallel { %%z = const 0.0 : f32 %s }", bodies[i]));
        kcost c = cost_of(&s, m->functions.data[0], NULL);
        assert_true(!c.exact && c.flops == flops[i]);
    }
    session_free(&s);
}

/* Far more unequal rounds than anyone would wait for. */
static void test_endless(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = kernel(&s, "N in 1..1000000000000", "%y: f32 global[N] out", "%n = dim N : i64",
                        "for %i = 0 to %n step 1 parallel { for %j = 0 to %i step 1 { for %k = 0 to %j step 1 { "
                        "%z = const 1.0 : f32 %t = add %z, %z : f32 } } }");
    int64_t n = 1000000000000;
    kcost c = cost_of(&s, m->functions.data[0], &n);
    assert_true(!c.exact && c.flops > 0);
    session_free(&s);
}

static void test_plan(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m =
        parse_valid(&s, arena_printf(s.a, "%s%s", columns_text,
                                     "plan @entry (M in 1..4096) (%in: f32 global[M, 64] input \"in\", "
                                     "%w: f32 global[8, 64] weight \"w\", %out: f32 global[64] output \"out\") {\n"
                                     "  launch @columns (M = M) (%in, %out)\n"
                                     "  launch @columns (M = 8) (%w, %out)\n"
                                     "  launch @columns (M = M) (%in, %out)\n"
                                     "}\n"));
    machine on = toy(&s);
    klaunch_costs c;
    int64_t rows = 16; /* 4 KiB, and 2 KiB of weights: all stays in the second level */
    assert_true(plan_cost(m->functions.data[1], &rows, &on, s.a, &c));
    assert_int_equal(c.len, 3);
    assert_true(c.data[0].cost.flops == 16 * 64 && c.data[1].cost.flops == 8 * 64);
    assert_true(c.data[1].weight_bytes == 2048 && c.data[0].weight_bytes == 0);
    rows = 4096; /* 1 MiB: read from memory both times, and the weights too; so is the output, after the first time */
    assert_true(plan_cost(m->functions.data[1], &rows, &on, s.a, &c));
    assert_true(c.data[2].estimate.from[KCOST_DRAM] == 1 << 20 && c.data[1].estimate.from[KCOST_DRAM] == 2048 + 256);
    strbuf b = strbuf_new(s.a);
    kmemory_use memory = {192, 128, 64};
    costs_print_json(m->functions.data[1], &rows, &on, &c, &memory, &b);
    assert_non_null(strstr(b.s, "\"kernel\": \"columns\", \"path\": \"\", \"file\": "));
    assert_non_null(strstr(b.s, "\"weights_bytes\": 2048"));
    assert_non_null(
        strstr(b.s, "\"memory\": {\"workspace_bytes\": 192, \"live_bytes\": 128, \"scratch_bytes\": 64}}\n"));
    session_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),  cmocka_unit_test(test_attention),      cmocka_unit_test(test_gpu_matmul),
        cmocka_unit_test(test_bytes),   cmocka_unit_test(test_unequal_rounds), cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_bounds),  cmocka_unit_test(test_work),           cmocka_unit_test(test_data),
        cmocka_unit_test(test_endless), cmocka_unit_test(test_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
