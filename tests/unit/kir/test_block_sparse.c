/* The 4x4 block-sparse matmul: against plain loops in f64, and with faults put into its text. */
#include "unit/kir/golden.h"

#include "unit/cmocka_all.h"

typedef struct {
    int64_t m, k, n, blocks, panels;
    float *x, *w, *y;
    int32_t *start, *column;
} problem;

/* One block in `every` is there. */
static problem problem_new(session *s, int64_t m, int64_t k, int64_t n, int64_t every)
{
    problem p = {.m = m, .k = k, .n = n, .panels = (m + 63) / 64};
    p.x = random_f32(s, p.panels * k * 64, 1);
    p.start = ARENA_ARRAY(s->a, int32_t, n / 4 + 1);
    p.column = ARENA_ARRAY(s->a, int32_t, n / 4 * (k / 4));
    for (int64_t r = 0; r < n / 4; r++) {
        p.start[r] = (int32_t)p.blocks;
        for (int64_t c = 0; c < k / 4; c++)
            if ((r * 7 + c * 5) % every == 0) p.column[p.blocks++] = (int32_t)c;
    }
    p.start[n / 4] = (int32_t)p.blocks;
    p.w = random_f32(s, p.blocks * 16, 2);
    p.y = ARENA_ARRAY(s->a, float, p.panels * n * 64);
    return p;
}

static bool run(session *s, const kmodule *m, const problem *p, uint64_t seed)
{
    int64_t dims[] = {p->m, p->k, p->n, p->blocks};
    kbinding params[] = {{p->x, (uint64_t)(p->panels * p->k * 64) * 4},
                         {p->w, (uint64_t)p->blocks * 64},
                         {p->start, (uint64_t)(p->n / 4 + 1) * 4},
                         {p->column, (uint64_t)p->blocks * 4},
                         {p->y, (uint64_t)(p->panels * p->n * 64) * 4}};
    return run_kernel(s, m, dims, params, seed, NULL);
}

static double reference(const problem *p, int64_t row, int64_t n)
{
    double sum = 0;
    for (int32_t j = p->start[n / 4]; j < p->start[n / 4 + 1]; j++)
        for (int64_t k = 0; k < 4; k++)
            sum += (double)p->w[j * 16 + n % 4 * 4 + k] *
                   (double)p->x[(row / 64 * p->k + p->column[j] * 4 + k) * 64 + row % 64];
    return sum;
}

static void test_text(void **state)
{
    (void)state;
    check_golden_text("block_sparse_4x4.kir");
}

static void test_sizes(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = parse_valid(&s, read_golden(&s, "block_sparse_4x4.kir"));
    static const int64_t sizes[][4] = {{1, 4, 4, 1},     {63, 8, 12, 2},     {64, 28, 128, 3},
                                       {65, 20, 132, 5}, {130, 64, 256, 10}, {7, 12, 16, 1000000}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        problem p = problem_new(&s, sizes[i][0], sizes[i][1], sizes[i][2], sizes[i][3]);
        if (!run(&s, m, &p, i)) fail_msg("%s", session_messages(&s));
        for (int64_t r = 0; r < p.panels * 64; r++)
            for (int64_t n = 0; n < p.n; n++)
                expect_near((double)p.y[(r / 64 * p.n + n) * 64 + r % 64], reference(&p, r, n), 1e-6, r, n);
    }
    expect_silence(&s);
    session_free(&s);
}

static void expect_fault(const char *old, const char *with, const char *message)
{
    session s = session_new();
    kmodule *m = parse_valid(&s, substitute_all(&s, read_golden(&s, "block_sparse_4x4.kir"), old, with));
    problem p = problem_new(&s, 65, 20, 132, 2);
    if (run(&s, m, &p, 7)) fail_msg("'%s' for '%s' went unseen", with, old);
    expect_message(&s, message);
    session_free(&s);
}

static void test_faults(void **state)
{
    (void)state;
    expect_fault("min %behind, %rows", "max %behind, %rows", "index 34 of axis 0 of %start is outside of its size 34");
    expect_fault("%r = %first to %last step 1 {", "%r = %first to %last + 1 step 1 {",
                 "index 34 of axis 0 of %start is outside of its size 34");
    /* Tasks that overlap by a block row. */
    expect_fault("%first = mul %g, %group", "%first = mul %g, %four",
                 "race on %y: another task writes the same memory");
    expect_fault("load %x[%p, %k, 0]", "load %x[%p, %k + 1, 0]",
                 "elements 17 to 20 of axis 1 of %x are outside of its size 20");
    expect_fault("load %w[%j, 0, 0]", "load %w[%j + 1, 0, 0]", "of axis 0 of %w is outside of its size");
}

/* A column index that is too large is the caller's mistake, and seen as well. */
static void test_wrong_index(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = parse_valid(&s, read_golden(&s, "block_sparse_4x4.kir"));
    problem p = problem_new(&s, 65, 20, 132, 2);
    p.column[p.blocks - 1] = 5;
    assert_false(run(&s, m, &p, 0));
    expect_message(&s, "elements 20 to 23 of axis 1 of %x are outside of its size 20");
    session_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text), cmocka_unit_test(test_sizes),
                                       cmocka_unit_test(test_faults), cmocka_unit_test(test_wrong_index)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
