/* The 14x32 f32 matmul with a fused gelu: against plain loops in f64, and with faults put into its text. */
#include "unit/kir/golden.h"

#include "unit/cmocka_all.h"

#include <math.h>

typedef struct {
    int64_t m, k, n;
    float *a, *b, *bias, *c;
    int64_t panels;
} problem;

static problem problem_new(session *s, int64_t m, int64_t k, int64_t n)
{
    problem p = {.m = m, .k = k, .n = n, .panels = (n + 31) / 32};
    p.a = random_f32(s, m * k, 1);
    p.b = random_f32(s, p.panels * k * 32, 2);
    p.bias = random_f32(s, n, 3);
    p.c = ARENA_ARRAY(s->a, float, m *n);
    for (int64_t q = 0; q < p.panels; q++)
        for (int64_t i = 0; i < k; i++)
            for (int64_t j = 0; j < 32; j++)
                if (q * 32 + j >= n) p.b[(q * k + i) * 32 + j] = 0;
    return p;
}

static bool run(session *s, const kmodule *m, const problem *p, uint64_t seed)
{
    int64_t dims[] = {p->m, p->k, p->n};
    kbinding params[] = {{p->a, (uint64_t)(p->m * p->k) * 4},
                         {p->b, (uint64_t)(p->panels * p->k * 32) * 4},
                         {p->bias, (uint64_t)p->n * 4},
                         {p->c, (uint64_t)(p->m * p->n) * 4}};
    return run_kernel(s, m, dims, params, seed, NULL);
}

static double reference(const problem *p, int64_t i, int64_t j)
{
    double x = (double)p->bias[j];
    for (int64_t k = 0; k < p->k; k++)
        x += (double)p->a[i * p->k + k] * (double)p->b[((j / 32) * p->k + k) * 32 + j % 32];
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static void check(session *s, const kmodule *m, int64_t rows, int64_t k, int64_t n, uint64_t seed)
{
    problem p = problem_new(s, rows, k, n);
    if (!run(s, m, &p, seed)) fail_msg("%s", session_messages(s));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j++) expect_near(p.c[i * n + j], reference(&p, i, j), 2e-6, i, j);
}

static void test_sizes(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = parse_valid(&s, read_golden(&s, "matmul_gelu.kir"));
    /* Every height of tile, one panel more or less than whole, one k. */
    static const int64_t sizes[][3] = {{1, 1, 1},     {2, 3, 31},  {14, 5, 32},   {15, 7, 33},
                                       {13, 64, 64},  {27, 9, 65}, {28, 2, 96},   {29, 16, 7},
                                       {128, 11, 40}, {157, 3, 5}, {11, 130, 32}, {41, 1, 127}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) check(&s, m, sizes[i][0], sizes[i][1], sizes[i][2], i);
    expect_silence(&s);
    session_free(&s);
}

static void test_text(void **state)
{
    (void)state;
    check_golden_text("matmul_gelu.kir");
}

/* The same bits whatever order the tasks run in. */
static void test_order(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = parse_valid(&s, read_golden(&s, "matmul_gelu.kir"));
    problem p = problem_new(&s, 17, 19, 200), q = problem_new(&s, 17, 19, 200);
    assert_true(run(&s, m, &p, 0) && run(&s, m, &q, 12345));
    assert_memory_equal(p.c, q.c, 17 * 200 * sizeof(float));
    session_free(&s);
}

static void expect_fault(const char *old, const char *with, int64_t rows, int64_t k, int64_t n, const char *message)
{
    session s = session_new();
    kmodule *m = parse_valid(&s, substitute_all(&s, read_golden(&s, "matmul_gelu.kir"), old, with));
    problem p = problem_new(&s, rows, k, n);
    if (run(&s, m, &p, 1)) fail_msg("'%s' for '%s' went unseen", with, old);
    expect_message(&s, message);
    session_free(&s);
}

static void test_faults(void **state)
{
    (void)state;
    /* Tiles begin late. */
    expect_fault("%row = add %before, %taller", "%row = add %before, %i", 30, 4, 32,
                 "elements 22 to 31 of axis 0 of %a are outside of its size 30");
    /* One tile too many. */
    expect_fault("%tiles = dim ceildiv(M, 14)", "%tiles = dim ceildiv(M, 14) + 1", 28, 4, 32,
                 "elements 28 to 41 of axis 0 of %a are outside of its size 28");
    /* One k too many. */
    expect_fault("%depth = dim K", "%depth = dim K + 1", 14, 4, 32, "index 4 of axis 1 of %b is outside of its size 4");
    /* The last panel's columns are not bounded. */
    expect_fault("bound [_, %cols] : f32<1x32>", ": f32<1x32>", 14, 4, 33,
                 "elements 32 to 63 of axis 0 of %bias are outside of its size 33");
    expect_fault("bound [_, %cols]\n", "\n", 14, 4, 40, "elements 32 to 63 of axis 1 of %c are outside of its size 40");
    /* Panels of 31 columns overlap by one: two tasks write the same column. */
    expect_fault("%width = const 32", "%width = const 31", 14, 4, 64,
                 "race on %c: another task writes the same memory");
    /* The rows of the last block are not bounded. */
    expect_fault("bound [%h, _] : f32<11x1, scalars>", ": f32<11x1, scalars>", 9, 4, 32,
                 "elements 0 to 10 of axis 0 of %a are outside of its size 9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text), cmocka_unit_test(test_sizes),
                                       cmocka_unit_test(test_order), cmocka_unit_test(test_faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
