/* The tensor-core matmuls (mma.sync with cp.async, and wgmma): against plain loops in f64, and with faults put into
 * their text. */
#include "unit/kir/golden.h"

#include "unit/cmocka_all.h"

typedef struct {
    int64_t m, k, n;
    uint16_t *a, *b;
    float *bias;
    void *c;
    uint64_t c_bytes; /* of an element */
} problem;

static problem problem_new(session *s, int64_t m, int64_t k, int64_t n, uint64_t c_bytes)
{
    problem p = {.m = m, .k = k, .n = n, .c_bytes = c_bytes};
    p.a = random_bf16(s, m * k, 1);
    p.b = random_bf16(s, n * k, 2);
    p.bias = random_f32(s, n, 3);
    p.c = arena_alloc(s->a, (size_t)(m * n) * c_bytes, 16);
    return p;
}

static bool run(session *s, const kmodule *m, const problem *p, uint64_t seed, kinterp_result *result)
{
    int64_t dims[] = {p->m, p->k, p->n};
    kbinding params[] = {{p->a, (uint64_t)(p->m * p->k) * 2},
                         {p->b, (uint64_t)(p->n * p->k) * 2},
                         {p->bias, (uint64_t)p->n * 4},
                         {p->c, (uint64_t)(p->m * p->n) * p->c_bytes}};
    return run_kernel(s, m, dims, params, seed, result);
}

static void check_result(const problem *p)
{
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) {
            double sum = (double)p->bias[j];
            for (int64_t k = 0; k < p->k; k++) sum += bf16_value(p->a[i * p->k + k]) * bf16_value(p->b[j * p->k + k]);
            double got =
                p->c_bytes == 2 ? bf16_value(((uint16_t *)p->c)[i * p->n + j]) : (double)((float *)p->c)[i * p->n + j];
            expect_near(got, sum, p->c_bytes == 2 ? 4e-3 : 1e-5, i, j);
        }
}

/* Sizes around the block of 128x128 and the step of K; few, for an interpreted block is 2 million multiplications. */
static void check_sizes(const char *name, uint64_t c_bytes)
{
    session s = session_new();
    kmodule *m = parse_valid(&s, read_golden(&s, name));
    static const int64_t sizes[][3] = {{1, 8, 1}, {128, 64, 128}, {129, 40, 7}, {3, 200, 131}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        kinterp_result r;
        problem p = problem_new(&s, sizes[i][0], sizes[i][1], sizes[i][2], c_bytes);
        if (!run(&s, m, &p, i, &r)) fail_msg("%s", session_messages(&s));
        check_result(&p);
        assert_true(r.bank_conflicts == 0);
        assert_true(r.split_rows == 0);
    }
    expect_silence(&s);
    session_free(&s);
}

static void test_mma(void **state)
{
    (void)state;
    check_golden_text("mma_matmul.kir");
    check_sizes("mma_matmul.kir", 2);
}

static void test_wgmma(void **state)
{
    (void)state;
    check_golden_text("wgmma_matmul.kir");
    check_sizes("wgmma_matmul.kir", 4);
}

/* Runs four steps of K, with agents in two orders: a fault must not depend on luck. */
static void expect_fault(const char *name, const char *old, const char *with, const char *message)
{
    for (uint64_t seed = 0; seed < 2; seed++) {
        session s = session_new();
        kmodule *m = parse_valid(&s, substitute_all(&s, read_golden(&s, name), old, with));
        problem p = problem_new(&s, 128, 248, 128, 4);
        if (run(&s, m, &p, seed, NULL)) fail_msg("'%s' for '%s' went unseen", with, old);
        expect_message(&s, message);
        session_free(&s);
    }
}

static void expect_invalid(const char *name, const char *old, const char *with, const char *message)
{
    session s = session_new();
    kmodule *m = parse_text(&s, substitute_all(&s, read_golden(&s, name), old, with));
    assert_non_null(m);
    assert_false(kmodule_verify(m, s.d));
    expect_message(&s, message);
    session_free(&s);
}

static void test_mma_faults(void **state)
{
    (void)state;
    const char *f = "mma_matmul.kir";
    /* Missing wait, and a wait that keeps one group too many. */
    expect_fault(f, "          wait {queue = copy, keep = 1}\n", "",
                 "touches %sa where its own asynchronous copy may still be writing: no wait has completed it");
    expect_fault(f, "keep = 1", "keep = 2", "may still be writing: no wait has completed it");
    /* Dropped barrier. */
    expect_fault(f, "          barrier\n", "", "writes the same memory with no barrier between");
    /* A barrier before the wait instead of behind it. */
    expect_fault(f, "          wait {queue = copy, keep = 1}\n          barrier\n",
                 "          barrier\n          wait {queue = copy, keep = 1}\n", "race on %sa: agent ");
    /* Two stages where three are needed: the next copy overwrites what others still read. */
    expect_fault(f, "%stages = const 3", "%stages = const 2", "reads the same memory with no barrier between");
    expect_fault(f, "%stages = const 3", "%stages = const 2", "own asynchronous copy may still be writing");
    /* Only the first warps pass a barrier. */
    expect_fault(f, "          barrier\n",
                 "          %some = lt %w, %four : bool\n          if %some {\n            barrier\n          }\n",
                 "waits at a barrier that agent");
    /* Tiles off by one. */
    expect_fault(f, "%wcol = mul %wn, %step", "%wcol = mul %w, %step", " of axis 1 of %sb are outside of its size 128");
    expect_fault(f, "for %kk = 0 to 32 step 16", "for %kk = 0 to 48 step 16",
                 "elements 32 to 47 of axis 2 of %sa are outside of its size 32");
}

static void test_wgmma_faults(void **state)
{
    (void)state;
    const char *f = "wgmma_matmul.kir";
    expect_fault(f, "          wait {queue = copy, keep = 1}\n", "", "may still be writing: no wait has completed it");
    expect_fault(f, "          wait {queue = mma, keep = 0}\n", "",
                 "reads the accumulator %acc before a wait has completed its contraction");
    expect_fault(f, "          wait {queue = mma, keep = 0}\n", "", "which an asynchronous contraction of agent");
    expect_fault(f, "          commit {queue = mma}\n", "",
                 "reads the accumulator %acc before a wait has completed its contraction");
    expect_fault(f, "          fence {queue = mma}\n", "",
                 "no fence stands between it and the writing of its accumulator %s");
    expect_fault(f, "          fence {queue = mma}\n", "", "no fence stands between it and the write of its operand");
    expect_fault(f, "          barrier\n", "",
                 "has just read it in an asynchronous contraction, with no barrier between");
    expect_fault(f, "%stages = const 3", "%stages = const 2",
                 "has just read it in an asynchronous contraction, with no barrier between");
    expect_fault(f, "load %sa[%stage, %own, 0]", "load %sa[%stage, %w, 0]",
                 "a descriptor stands at a multiple of 8 rows");
    /* The sums are used while the tensor cores still work on them. */
    expect_fault(f, "          wait {queue = mma, keep = 0}\n          yield %t\n",
                 "          %early = add %t, %t : f32<64x128, wgmma_c>\n          wait {queue = mma, keep = 0}\n       "
                 "   yield %early\n",
                 "reads the accumulator %t before a wait has completed its contraction");
    /* A descriptor that says another swizzle than the rows have. */
    expect_invalid(f, "swizzle(3, 4, 3)", "swizzle(2, 4, 3)", "a descriptor's rows are 32, 64 or 128 bytes with");
    expect_invalid(f, " swizzle(3, 4, 3)", "", "a descriptor's rows are 32, 64 or 128 bytes with");
}

/* The swizzle is what keeps the banks apart: without it, or with too little of it, the data are right and the machine
 * is slow. */
static void test_bank_conflicts(void **state)
{
    (void)state;
    static const struct {
        const char *swizzle;
        uint64_t least;
    } cases[] = {{"", 1000}, {"swizzle(1, 4, 3) ", 500}};
    for (size_t i = 0; i < 2; i++) {
        session s = session_new();
        kmodule *m = parse_valid(
            &s, substitute_all(&s, read_golden(&s, "mma_matmul.kir"), "swizzle(2, 4, 3) ", cases[i].swizzle));
        problem p = problem_new(&s, 128, 64, 128, 2);
        kinterp_result r;
        assert_true(run(&s, m, &p, 1, &r));
        check_result(&p);
        if (r.bank_conflicts < cases[i].least) fail_msg("only %llu conflicts", (unsigned long long)r.bank_conflicts);
        session_free(&s);
    }
}

/* Rows that do not begin at multiples of 16 bytes cannot be copied in pieces of 16. */
static void test_split_rows(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = parse_valid(&s, substitute(&s, read_golden(&s, "mma_matmul.kir"), "multiple 8", "multiple 4"));
    problem p = problem_new(&s, 5, 12, 9, 2);
    kinterp_result r;
    assert_true(run(&s, m, &p, 1, &r));
    check_result(&p);
    assert_true(r.split_rows > 0);
    assert_true(r.bank_conflicts == 0);
    session_free(&s);
}

/* A reader that sees the buffer through another swizzle than the writer. */
static void test_wrong_swizzle(void **state)
{
    (void)state;
    expect_invalid("mma_matmul.kir", "        %zero = const 0.0",
                   "        %seen = view %sa[0, 0, 0] : bf16 shared[3, 128, 32] swizzle(1, 4, 3) align 512\n        "
                   "%zero = const 0.0",
                   "a view of a swizzled buffer keeps its swizzle");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mma),
                                       cmocka_unit_test(test_wgmma),
                                       cmocka_unit_test(test_mma_faults),
                                       cmocka_unit_test(test_wgmma_faults),
                                       cmocka_unit_test(test_bank_conflicts),
                                       cmocka_unit_test(test_wrong_swizzle),
                                       cmocka_unit_test(test_split_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
