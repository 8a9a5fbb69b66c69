/* The expanded mathematical functions, compiled, against the C library's in long double: all of f32's range in steps,
 * and dense where it matters. The limits are those stated in docs/kernels.md. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "session.h"
#include "unit/cmocka_all.h"

enum { BLOCK = 64, BLOCKS = 1024, N = BLOCK * BLOCKS };

typedef struct {
    session s;
    codegen_jit *jit;
    rt_kernel_fn *fn;
    float *x, *y;
} compiled;

static compiled compile(const char *op)
{
    compiled c = {.s = session_new()};
    char *text = arena_printf(c.s.a,
                              "kernel @map cpu (N in 1..65536)\n"
                              "    (%%x: f32 global[64 * N] in, %%y: f32 global[64 * N] out) {\n"
                              "  %%n = dim N : i64\n"
                              "  for %%i = 0 to %%n step 1 parallel {\n"
                              "    %%block = const 64 : i64\n"
                              "    %%at = mul %%i, %%block : i64\n"
                              "    %%v = load %%x[%%at] : f32<64>\n"
                              "    %%r = %s %%v : f32<64>\n"
                              "    store %%y[%%at], %%r\n"
                              "  }\n"
                              "}\n",
                              op);
    kmodule *m = session_parse(&c.s, op, text);
    expand_math(m);
    if (!kmodule_verify(m, c.s.d)) fail_msg("%s", session_diags(&c.s));
    codegen_options o = {.opt = 2};
    c.jit = codegen_jit_new(m, &o, c.s.d);
    if (!c.jit) fail_msg("%s", session_diags(&c.s));
    c.fn = codegen_jit_kernel(c.jit, "map");
    c.x = ARENA_ARRAY(c.s.a, float, N);
    c.y = ARENA_ARRAY(c.s.a, float, N);
    return c;
}

static void finish(compiled *c)
{
    codegen_jit_free(c->jit);
    session_free(&c->s);
}

static void run(compiled *c)
{
    struct rt_fault fault = {0};
    int64_t dims[] = {BLOCKS};
    void *bufs[] = {c->x, c->y};
    c->fn(bufs, dims, NULL, &fault, 0, BLOCKS);
}

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

typedef long double truth_fn(long double x);

static long double truth_rsqrt(long double x)
{
    return 1 / sqrtl(x);
}

/* The distance of y from the truth in units of the truth's last place as an f32. */
static double ulps(float y, long double truth)
{
    if (isnan(y) || isnan((float)truth)) return isnan(y) && isnan((float)truth) ? 0 : INFINITY;
    if (isinf(y) || isinf((float)truth)) {
        if (y == (float)truth) return 0;
        /* Just over or just under the largest number: infinity stands for 2^128. */
        long double got = isinf(y) ? copysignl(0x1p128L, (long double)y) : (long double)y;
        return (double)(fabsl(got - truth) / 0x1p104L);
    }
    int e = truth == 0 ? -126 : ilogbl(truth);
    if (e < -126) e = -126;
    return (double)(fabsl((long double)y - truth) / ldexpl(1, e - 23));
}

typedef struct {
    double worst;
    float at;
} worst;

static void check(compiled *c, truth_fn *truth, worst *w)
{
    run(c);
    for (int i = 0; i < N; i++) {
        double e = ulps(c->y[i], truth((long double)c->x[i]));
        if (e > w->worst) *w = (worst){e, c->x[i]};
    }
}

/* Every step-th bit pattern of f32, all signs and classes. */
static void sweep(compiled *c, truth_fn *truth, uint64_t step, worst *w)
{
    for (uint64_t u = 0; u < UINT64_C(1) << 32;) {
        for (int i = 0; i < N; i++, u += step) c->x[i] = from_bits((uint32_t)(u < UINT64_C(1) << 32 ? u : 0x3f800000u));
        check(c, truth, w);
    }
}

/* N values evenly spaced in [lo, hi]. */
static void span_of(compiled *c, truth_fn *truth, double lo, double hi, worst *w)
{
    for (int i = 0; i < N; i++) c->x[i] = (float)(lo + (hi - lo) * i / (N - 1));
    check(c, truth, w);
}

static void edges(compiled *c, const float (*pairs)[2], int n)
{
    for (int i = 0; i < n; i++) c->x[i] = pairs[i][0];
    run(c);
    for (int i = 0; i < n; i++) {
        float got = c->y[i], want = pairs[i][1];
        if (isnan(want) ? isnan(got) : bits_of(got) == bits_of(want)) continue;
        fail_msg("f(%a) is %a, not %a", (double)pairs[i][0], (double)got, (double)want);
    }
}

/* Multiply the number of sampled bit patterns by this to see more: TFXC_MATH_STEP=1 tries all 2^32. */
static uint64_t sweep_step(void)
{
    const char *s = getenv("TFXC_MATH_STEP");
    return s ? strtoull(s, NULL, 10) : 4099;
}

static void report(const char *name, const worst *w, double limit)
{
    print_message("%s: %.3f ulp at %a\n", name, w->worst, (double)w->at);
    if (!(w->worst <= limit)) fail_msg("%s: %.3f ulp at %a, allowed are %.2f", name, w->worst, (double)w->at, limit);
}

#define INF ((float)INFINITY)
#define QNAN ((float)NAN)

static void test_exp(void **state)
{
    (void)state;
    compiled c = compile("exp");
    worst w = {0};
    sweep(&c, expl, sweep_step(), &w);
    span_of(&c, expl, -104, 89, &w);
    span_of(&c, expl, -1, 1, &w);
    span_of(&c, expl, -104, -86, &w);
    static const float e[][2] = {{INF, INF},
                                 {-INF, 0},
                                 {QNAN, QNAN},
                                 {0, 1},
                                 {-0.0f, 1},
                                 {89, INF},
                                 {-104, 0},
                                 {0x1.fffffep127f, INF},
                                 {-0x1.fffffep127f, 0},
                                 {0x1p-149f, 1},
                                 {88.72283f, 0x1.ffff08p127f},
                                 {88.72284f, INF}};
    edges(&c, e, sizeof e / sizeof *e);
    c.x[0] = from_bits(0x7f800001); /* signalling, with bits that a shift could bring to the exponent */
    c.x[1] = from_bits(0xffc001ff);
    run(&c);
    assert_true(isnan(c.y[0]) && isnan(c.y[1]));
    report("exp", &w, 1.7);
    finish(&c);
}

static void test_erf(void **state)
{
    (void)state;
    compiled c = compile("erf");
    worst w = {0};
    sweep(&c, erfl, sweep_step(), &w);
    span_of(&c, erfl, -4, 4, &w);
    span_of(&c, erfl, 0, 0.6, &w);
    static const float e[][2] = {{INF, 1},       {-INF, -1}, {QNAN, QNAN}, {0, 0},
                                 {-0.0f, -0.0f}, {4, 1},     {-4, -1},     {0x1.fffffep127f, 1}};
    edges(&c, e, sizeof e / sizeof *e);
    for (int i = 0; i < N; i++) c.x[i] = from_bits(bits_of(3.2f) + 40u * (unsigned)i);
    run(&c);
    for (int i = 0; i < N; i++) assert_true(c.y[i] <= 1);
    report("erf", &w, 4.2);
    finish(&c);
}

/* What the erf is for: x (1 + erf(x / sqrt 2)) / 2, computed in f32, against the truth; relative to 1 + |x|. */
static void test_gelu(void **state)
{
    (void)state;
    compiled c = compile("erf");
    double most = 0;
    for (int part = 0; part < 16; part++) {
        float in[N];
        for (int i = 0; i < N; i++) {
            in[i] = -8 + 16 * ((float)part + (float)i / N) / 16;
            c.x[i] = in[i] * 0x1.6a09e6p-1f;
        }
        run(&c);
        for (int i = 0; i < N; i++) {
            float half = 0.5f * in[i], y = __builtin_fmaf(half, c.y[i], half);
            long double x = in[i], truth = x * erfcl(-x * 0.70710678118654752440L) / 2;
            double e = (double)(fabsl((long double)y - truth) / (1 + fabsl(x)));
            if (e > most) most = e;
        }
    }
    print_message("gelu: %.3g of 1 + |x|\n", most);
    assert_true(most < 1e-7);
    finish(&c);
}

static void test_tanh(void **state)
{
    (void)state;
    compiled c = compile("tanh");
    worst w = {0};
    sweep(&c, tanhl, sweep_step(), &w);
    span_of(&c, tanhl, -10, 10, &w);
    span_of(&c, tanhl, -1, 1, &w);
    static const float e[][2] = {{INF, 1}, {-INF, -1}, {QNAN, QNAN}, {0, 0}, {-0.0f, -0.0f}, {0x1p-149f, 0x1p-149f},
                                 {-20, -1}};
    edges(&c, e, sizeof e / sizeof *e);
    report("tanh", &w, 2.0);
    finish(&c);
}

static void test_log(void **state)
{
    (void)state;
    compiled c = compile("log");
    worst w = {0};
    sweep(&c, logl, sweep_step(), &w);
    span_of(&c, logl, 0.5, 2, &w);
    span_of(&c, logl, 0, 0x1p-125, &w);
    static const float e[][2] = {{INF, INF},    {-INF, QNAN}, {QNAN, QNAN}, {0, -INF},
                                 {-0.0f, -INF}, {1, 0},       {-1, QNAN},   {-0x1p-149f, QNAN}};
    edges(&c, e, sizeof e / sizeof *e);
    report("log", &w, 1.5);
    finish(&c);
}

static void test_rsqrt(void **state)
{
    (void)state;
    compiled c = compile("rsqrt");
    worst w = {0};
    sweep(&c, truth_rsqrt, sweep_step(), &w);
    static const float e[][2] = {{INF, 0}, {QNAN, QNAN}, {0, INF}, {-0.0f, -INF}, {4, 0.5f}, {-1, QNAN}};
    edges(&c, e, sizeof e / sizeof *e);
    report("rsqrt", &w, 1.5);
    finish(&c);
}

static void test_sin_cos(void **state)
{
    (void)state;
    compiled s = compile("sin"), k = compile("cos");
    worst ws = {0}, wk = {0};
    sweep(&s, sinl, sweep_step(), &ws);
    sweep(&k, cosl, sweep_step(), &wk);
    span_of(&s, sinl, -10, 10, &ws);
    span_of(&k, cosl, -10, 10, &wk);
    span_of(&s, sinl, 0, 131072, &ws);
    span_of(&k, cosl, 0, 131072, &wk);
    static const float es[][2] = {{INF, QNAN}, {-INF, QNAN},   {QNAN, QNAN},
                                  {0, 0},      {-0.0f, -0.0f}, {0x1p-149f, 0x1p-149f}};
    static const float ec[][2] = {{INF, QNAN}, {-INF, QNAN}, {QNAN, QNAN}, {0, 1}, {-0.0f, 1}};
    edges(&s, es, sizeof es / sizeof *es);
    edges(&k, ec, sizeof ec / sizeof *ec);
    report("sin", &ws, 1.5);
    report("cos", &wk, 1.5);
    finish(&s);
    finish(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp),     cmocka_unit_test(test_erf), cmocka_unit_test(test_gelu),
        cmocka_unit_test(test_tanh),    cmocka_unit_test(test_log), cmocka_unit_test(test_rsqrt),
        cmocka_unit_test(test_sin_cos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
