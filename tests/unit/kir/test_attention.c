/* Attention over row tiles: against plain loops in f64, and with faults put into its text. */
#include "unit/kir/golden.h"

#include "unit/cmocka_all.h"

#include <math.h>
#include <stdlib.h>

enum { D = 64 };

typedef struct {
    int64_t b, h, s;
    float *q, *k, *v, *out;
    uint8_t *mask;
} problem;

static problem problem_new(session *s, int64_t b, int64_t h, int64_t n)
{
    problem p = {.b = b, .h = h, .s = n};
    int64_t all = b * n * h * D;
    p.q = random_f32(s, all, 1);
    p.k = random_f32(s, all, 2);
    p.v = random_f32(s, all, 3);
    p.out = ARENA_ARRAY(s->a, float, all);
    p.mask = ARENA_ARRAY(s->a, uint8_t, b *n);
    for (int64_t i = 0; i < all; i++) p.q[i] *= 4;
    /* The first sequence is whole; of the others every third key is missing; the last has none. */
    for (int64_t i = 0; i < b * n; i++) p.mask[i] = i < n || (i % 3 != 1 && (b == 2 || i < (b - 1) * n));
    return p;
}

static bool run(session *s, const kmodule *m, const problem *p, uint64_t seed)
{
    int64_t dims[] = {p->b, p->h, p->s};
    uint64_t bytes = (uint64_t)(p->b * p->h * p->s * D) * 4;
    kbinding params[] = {
        {p->q, bytes}, {p->k, bytes}, {p->v, bytes}, {p->mask, (uint64_t)(p->b * p->s)}, {p->out, bytes}};
    return run_kernel(s, m, dims, params, seed, NULL);
}

static float at(const problem *p, const float *x, int64_t b, int64_t s, int64_t h, int64_t d)
{
    return x[((b * p->s + s) * p->h + h) * D + d];
}

static void check_row(const problem *p, int64_t b, int64_t h, int64_t i)
{
    double sum = 0, out[D] = {0}, peak = -INFINITY;
    double *score = calloc((size_t)p->s, sizeof *score);
    assert_non_null(score);
    for (int64_t j = 0; j < p->s; j++) {
        for (int64_t d = 0; d < D; d++)
            score[j] += (double)at(p, p->q, b, i, h, d) * (double)at(p, p->k, b, j, h, d) / 8;
        if (p->mask[b * p->s + j] && score[j] > peak) peak = score[j];
    }
    for (int64_t j = 0; j < p->s; j++) {
        if (!p->mask[b * p->s + j]) continue;
        double e = exp(score[j] - peak);
        sum += e;
        for (int64_t d = 0; d < D; d++) out[d] += e * (double)at(p, p->v, b, j, h, d);
    }
    free(score);
    for (int64_t d = 0; d < D; d++)
        expect_near((double)at(p, p->out, b, i, h, d), sum > 0 ? out[d] / sum : 0, 3e-6, i, d);
}

static void test_text(void **state)
{
    (void)state;
    check_golden_text("attention.kir");
}

static void test_sizes(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = parse_valid(&s, read_golden(&s, "attention.kir"));
    static const int64_t sizes[][3] = {{1, 1, 1},  {1, 2, 7},  {2, 1, 8},  {3, 2, 9},
                                       {2, 3, 31}, {3, 1, 32}, {2, 1, 33}, {3, 1, 65}};
    for (size_t n = 0; n < sizeof sizes / sizeof sizes[0]; n++) {
        problem p = problem_new(&s, sizes[n][0], sizes[n][1], sizes[n][2]);
        if (!run(&s, m, &p, n)) fail_msg("%s", session_messages(&s));
        for (int64_t b = 0; b < p.b; b++)
            for (int64_t h = 0; h < p.h; h++)
                for (int64_t i = 0; i < p.s; i++) check_row(&p, b, h, i);
    }
    expect_silence(&s);
    session_free(&s);
}

static void expect_fault(const char *old, const char *with, const char *message)
{
    session s = session_new();
    kmodule *m = parse_valid(&s, substitute_all(&s, read_golden(&s, "attention.kir"), old, with));
    problem p = problem_new(&s, 2, 2, 33);
    if (run(&s, m, &p, 3)) fail_msg("'%s' for '%s' went unseen", with, old);
    expect_message(&s, message);
    session_free(&s);
}

static void test_faults(void **state)
{
    (void)state;
    expect_fault("%panels = dim ceildiv(S, 32)", "%panels = dim ceildiv(S, 32) + 1",
                 "elements 64 to 95 of axis 1 of %scores are outside of its size 64");
    expect_fault("bound [%left, _] : f32<8x64>", ": f32<8x64>",
                 "elements 32 to 39 of axis 1 of %q are outside of its size 33");
    expect_fault(" axes [1, 3] bound [%left, _]\n", " axes [1, 3]\n",
                 "elements 32 to 39 of axis 1 of %out are outside of its size 33");
    expect_fault(" bound [_, %kl] : bool<1x32>", " : bool<1x32>",
                 "elements 32 to 63 of axis 1 of %mask are outside of its size 33");
    /* The last panel is not packed, half of every panel is not packed. */
    expect_fault("for %pp = 0 to %panels step 1 {", "for %pp = 1 to %panels step 1 {",
                 "reads %packed where nothing has been written");
    expect_fault("for %half = 0 to 32 step 16 {", "for %half = 0 to 16 step 16 {",
                 "reads %packed where nothing has been written");
    /* The scores of the last panel are never exponentials: nothing to see for the machine, but scores are never written
     * either. */
    expect_fault("        store %scores[0, %key], %score\n", "", "reads %scores where nothing has been written");
    /* Heads are taken for sequences. */
    expect_fault("%h = mod %t, %heads", "%h = mod %t, %eight", "of axis 2 of %k is outside of its size 2");
    expect_fault("%tasks = dim B * H", "%tasks = dim B * H + 1", "index 2 of axis 0 of %k is outside of its size 2");
    /* Two tasks make the same head. */
    expect_fault("%h = mod %t, %heads", "%h = sub %b, %b", "race on %out: another task writes the same memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text), cmocka_unit_test(test_sizes),
                                       cmocka_unit_test(test_faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
