/* The expanded mathematical functions, compiled: each within its row of codegen/math.def of what MPFR says, over all of
 * f32's range in steps, dense where it matters, and around the points where a function changes its form; special values
 * exactly; docs/kernels.md against the table. Built without MPFR the comparison is skipped. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef HAVE_MPFR
#include <mpfr.h>
#endif

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

#define INF ((float)INFINITY)
#define QNAN ((float)NAN)

/* ---- the table ---- */

typedef enum {
#define MATH(name, NAME, f64, ulp, form) MATH_##NAME,
#include "codegen/math.def"
#undef MATH
    MATH_COUNT
} math_kind;

static const struct {
    const char *name;
    double ulp;
    const char *form;
} table[MATH_COUNT] = {
#define MATH(name, NAME, f64, ulp, form) {#name, ulp, form},
#include "codegen/math.def"
#undef MATH
};

static void test_docs(void **state)
{
    (void)state;
    session s = session_new();
    strbuf want = strbuf_new(s.a);
    strbuf_adds(&want, "| function | ulp | form |\n|---|---|---|\n");
    for (int i = 0; i < MATH_COUNT; i++)
        strbuf_addf(&want, "| %s | %.1f | %s |\n", table[i].name, table[i].ulp, table[i].form);
    strbuf_addc(&want, '\n');
    const char *why = NULL;
    const source_file *page = source_read(s.sources, "docs/kernels.md", "docs/kernels.md", &why);
    if (!page) fail_msg("docs/kernels.md: %s", why);
    if (!strstr(page->text, want.s)) fail_msg("docs/kernels.md has not the table of codegen/math.def:\n%s", want.s);
    session_free(&s);
}

/* ---- special values ---- */

typedef struct {
    math_kind f;
    float x, y;
} edge;

static const edge edges[] = {
    {MATH_EXP, INF, INF},
    {MATH_EXP, -INF, 0},
    {MATH_EXP, QNAN, QNAN},
    {MATH_EXP, 0, 1},
    {MATH_EXP, -0.0f, 1},
    {MATH_EXP, 89, INF},
    {MATH_EXP, -104, 0},
    {MATH_EXP, FLT_MAX, INF},
    {MATH_EXP, -FLT_MAX, 0},
    {MATH_EXP, 0x1p-149f, 1},
    {MATH_EXP, 88.72283f, 0x1.ffff08p127f},
    {MATH_EXP, 88.72284f, INF},
    {MATH_EXP_NONPOSITIVE, -INF, 0},
    {MATH_EXP_NONPOSITIVE, -FLT_MAX, 0},
    {MATH_EXP_NONPOSITIVE, QNAN, QNAN},
    {MATH_EXP_NONPOSITIVE, 0, 1},
    {MATH_EXP_NONPOSITIVE, -0.0f, 1},
    {MATH_EXP_NONPOSITIVE, -0x1p-149f, 1},
    {MATH_EXP_NONPOSITIVE, -88, 0},
    {MATH_ERF, INF, 1},
    {MATH_ERF, -INF, -1},
    {MATH_ERF, QNAN, QNAN},
    {MATH_ERF, 0, 0},
    {MATH_ERF, -0.0f, -0.0f},
    {MATH_ERF, 4, 1},
    {MATH_ERF, -4, -1},
    {MATH_ERF, FLT_MAX, 1},
    {MATH_TANH, INF, 1},
    {MATH_TANH, -INF, -1},
    {MATH_TANH, QNAN, QNAN},
    {MATH_TANH, 0, 0},
    {MATH_TANH, -0.0f, -0.0f},
    {MATH_TANH, 0x1p-149f, 0x1p-149f},
    {MATH_TANH, -20, -1},
    {MATH_TANH, -FLT_MAX, -1},
    {MATH_SIGMOID, INF, 1},
    {MATH_SIGMOID, -INF, 0},
    {MATH_SIGMOID, QNAN, QNAN},
    {MATH_SIGMOID, 0, 0.5f},
    {MATH_SIGMOID, -0.0f, 0.5f},
    {MATH_SIGMOID, 0x1p-149f, 0.5f},
    {MATH_SIGMOID, FLT_MAX, 1},
    {MATH_SIGMOID, -FLT_MAX, 0},
    {MATH_SIGMOID, -103.5f, 0x1p-149f},
    {MATH_SIGMOID, -104, 0},
    {MATH_LOG, INF, INF},
    {MATH_LOG, -INF, QNAN},
    {MATH_LOG, QNAN, QNAN},
    {MATH_LOG, 0, -INF},
    {MATH_LOG, -0.0f, -INF},
    {MATH_LOG, 1, 0},
    {MATH_LOG, -1, QNAN},
    {MATH_LOG, -0x1p-149f, QNAN},
    {MATH_RSQRT, INF, 0},
    {MATH_RSQRT, QNAN, QNAN},
    {MATH_RSQRT, 0, INF},
    {MATH_RSQRT, -0.0f, -INF},
    {MATH_RSQRT, 4, 0.5f},
    {MATH_RSQRT, -1, QNAN},
    {MATH_SIN, INF, QNAN},
    {MATH_SIN, -INF, QNAN},
    {MATH_SIN, QNAN, QNAN},
    {MATH_SIN, 0, 0},
    {MATH_SIN, -0.0f, -0.0f},
    {MATH_SIN, 0x1p-149f, 0x1p-149f},
    {MATH_COS, INF, QNAN},
    {MATH_COS, -INF, QNAN},
    {MATH_COS, QNAN, QNAN},
    {MATH_COS, 0, 1},
    {MATH_COS, -0.0f, 1},
};

static void test_edges(void **state)
{
    (void)state;
    bool seen[MATH_COUNT] = {0};
    for (int f = 0; f < MATH_COUNT; f++) {
        compiled c = compile(table[f].name);
        for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
            if (edges[i].f != (math_kind)f) continue;
            seen[f] = true;
            c.x[0] = edges[i].x;
            /* Not-a-numbers with bits that shifts and masks could bring to the exponent. */
            c.x[1] = from_bits(0x7f800001);
            c.x[2] = from_bits(0xffc001ff);
            run(&c);
            float got = c.y[0], want = edges[i].y;
            if (isnan(want) ? !isnan(got) : bits_of(got) != bits_of(want))
                fail_msg("%s(%a) is %a, not %a", table[f].name, (double)edges[i].x, (double)got, (double)want);
            assert_true(isnan(c.y[1]) && isnan(c.y[2]));
        }
        assert_true(seen[f]);
        finish(&c);
    }
}

/* Where erf comes near to 1 it does not go over it: 1 + erf(x) may not be below 0. */
static void test_erf_bounded(void **state)
{
    (void)state;
    compiled c = compile("erf");
    for (uint32_t u = bits_of(3.0f); u < bits_of(4.0f); u += N) {
        for (int i = 0; i < N; i++) c.x[i] = from_bits(u + (uint32_t)i);
        run(&c);
        for (int i = 0; i < N; i++)
            if (!(c.y[i] <= 1)) fail_msg("erf(%a) is %a", (double)c.x[i], (double)c.y[i]);
    }
    finish(&c);
}

/* ---- against MPFR ---- */

#ifdef HAVE_MPFR

/* What a function is at x, rounded once to the 64 bits of a long double (a composed one: but for what its steps lose
 * beyond 200 bits). r has 64 bits, t more. */
typedef void truth_fn(mpfr_t r, mpfr_t t, mpfr_t x);

#define TRUTH(name, call)                                  \
    static void truth_##name(mpfr_t r, mpfr_t t, mpfr_t x) \
    {                                                      \
        (void)t;                                           \
        call;                                              \
    }
TRUTH(exp, mpfr_exp(r, x, MPFR_RNDN))
TRUTH(erf, mpfr_erf(r, x, MPFR_RNDN))
TRUTH(tanh, mpfr_tanh(r, x, MPFR_RNDN))
TRUTH(log, mpfr_log(r, x, MPFR_RNDN))
TRUTH(sin, mpfr_sin(r, x, MPFR_RNDN))
TRUTH(cos, mpfr_cos(r, x, MPFR_RNDN))
#undef TRUTH
#define truth_exp_nonpositive truth_exp

static void truth_sigmoid(mpfr_t r, mpfr_t t, mpfr_t x)
{
    mpfr_neg(t, x, MPFR_RNDN);
    mpfr_exp(t, t, MPFR_RNDN);
    mpfr_add_ui(t, t, 1, MPFR_RNDN);
    mpfr_ui_div(r, 1, t, MPFR_RNDN);
}

static void truth_rsqrt(mpfr_t r, mpfr_t t, mpfr_t x)
{
    mpfr_sqrt(t, x, MPFR_RNDN);
    mpfr_ui_div(r, 1, t, MPFR_RNDN); /* mpfr_rec_sqrt has another sign at -0 */
}

static truth_fn *const truths[MATH_COUNT] = {
#define MATH(name, NAME, f64, ulp, form) truth_##name,
#include "codegen/math.def"
#undef MATH
};

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
    compiled c;
    math_kind f;
    mpfr_t x, r, t;
    int n; /* inputs so far */
    double worst;
    float at;
} comparison;

static void compare(comparison *k)
{
    run(&k->c);
    for (int i = 0; i < k->n; i++) {
        float x = k->c.x[i], y = k->c.y[i];
        if (isnan(x)) {
            if (!isnan(y)) k->worst = INFINITY, k->at = x;
            continue;
        }
        mpfr_set_flt(k->x, x, MPFR_RNDN);
        truths[k->f](k->r, k->t, k->x);
        long double truth = mpfr_get_ld(k->r, MPFR_RNDN);
        if (k->f == MATH_EXP_NONPOSITIVE && y == 0 && truth < (long double)FLT_MIN) continue;
        double e = ulps(y, truth);
        if (e > k->worst) k->worst = e, k->at = x;
    }
    k->n = 0;
}

static void add(comparison *k, float x)
{
    if (k->f == MATH_EXP_NONPOSITIVE && !(x <= 0)) return;
    k->c.x[k->n++] = x;
    if (k->n == N) compare(k);
}

/* Every step-th bit pattern of f32, all signs and classes: TFXC_MATH_STEP=1 tries all. */
static void sweep(comparison *k)
{
    const char *s = getenv("TFXC_MATH_STEP");
    uint64_t step = s ? strtoull(s, NULL, 10) : 4099;
    for (uint64_t u = 0; u < UINT64_C(1) << 32; u += step ? step : 1) add(k, from_bits((uint32_t)u));
}

enum { SPAN = 16384 };

/* Evenly spaced. */
static void span_of(comparison *k, double lo, double hi)
{
    for (int i = 0; i < SPAN; i++) add(k, (float)(lo + (hi - lo) * i / (SPAN - 1)));
}

/* All floats around x. */
static void around(comparison *k, double x, int each)
{
    uint32_t u = bits_of((float)x);
    for (int i = -each; i <= each; i++) add(k, from_bits(u + (uint32_t)i));
}

static const struct {
    math_kind f;
    double lo, hi;
} spans[] = {
    {MATH_EXP, -104, 89},  {MATH_EXP, -1, 1},     {MATH_EXP, -104, -86},   {MATH_EXP_NONPOSITIVE, -88, 0},
    {MATH_ERF, -4, 4},     {MATH_ERF, 0, 0.6},    {MATH_ERF, 3.2, 4},      {MATH_EXP_NONPOSITIVE, -1, 0},
    {MATH_TANH, -10, 10},  {MATH_TANH, -1, 1},    {MATH_SIGMOID, -90, 20}, {MATH_SIGMOID, -105, -86},
    {MATH_SIGMOID, -2, 2}, {MATH_LOG, 0.5, 2},    {MATH_LOG, 0, 0x1p-125}, {MATH_SIN, -10, 10},
    {MATH_COS, -10, 10},   {MATH_SIN, 0, 131072}, {MATH_COS, 0, 131072},
};

/* Where a reduced argument is at the end of its range or a function changes its form: first, then each from the one
 * before it, count in all, with `each` floats on either side. */
#define LN2 0.69314718055994530942
#define PI 3.14159265358979323846
static const struct {
    math_kind f;
    double first, step, factor;
    int count, each;
} seams[] = {
    {MATH_EXP, -151 * LN2, 2 * LN2, 1, 141, 32},
    {MATH_EXP_NONPOSITIVE, -126.5 * LN2, LN2, 1, 127, 32},
    {MATH_SIGMOID, -151.5 * LN2, LN2, 1, 180, 32},
    {MATH_ERF, 3.820307, 0, -1, 2, 4096},
    {MATH_TANH, 0.625, 0, -1, 2, 4096},
    {MATH_TANH, 9.0109, 0, -1, 2, 4096}, /* from where it is 1 */
    {MATH_LOG, 0x1.555556p-149, 0, 2, 277, 16},
    {MATH_LOG, 1, 0, 1, 1, 4096},
    {MATH_RSQRT, 0x1p-149, 0, 2, 277, 16},
    {MATH_SIN, 0x1p-12, 0, -1, 2, 4096}, /* sin(x) = x ends */
    {MATH_SIN, PI / 4, PI / 4, 1, 2048, 4},
    {MATH_COS, PI / 4, PI / 4, 1, 2048, 4},
    {MATH_SIN, 1e4 * PI, 54321 * PI / 4, 1, 2048, 4},
    {MATH_COS, 1e4 * PI, 54321 * PI / 4, 1, 2048, 4},
};

/* For each power of two the floats that come nearest to multiples of pi / 2, where a reduced argument loses most: the
 * denominators of the convergents of 2^e 2/pi below 2^24, by its continued fraction. */
static void near_quadrants(comparison *k)
{
    mpfr_t v, whole;
    mpfr_inits2(400, v, whole, (mpfr_ptr)0);
    for (int e = -20; e <= 104; e++) {
        mpfr_const_pi(v, MPFR_RNDN);
        mpfr_ui_div(v, 2, v, MPFR_RNDN);
        mpfr_mul_2si(v, v, e, MPFR_RNDN);
        double q0 = 0, q1 = 1; /* exact below 2^53 */
        mpfr_frac(v, v, MPFR_RNDZ);
        while (q1 < 0x1p24) {
            add(k, (float)ldexp(q1, e));
            add(k, (float)-ldexp(q1, e));
            mpfr_ui_div(v, 1, v, MPFR_RNDN);
            mpfr_floor(whole, v);
            double q = mpfr_get_d(whole, MPFR_RNDN) * q1 + q0;
            q0 = q1, q1 = q;
            mpfr_sub(v, v, whole, MPFR_RNDN);
        }
    }
    mpfr_clears(v, whole, (mpfr_ptr)0);
}

static void test_accuracy(void **state)
{
    math_kind f = *(const math_kind *)*state;
    comparison k = {.c = compile(table[f].name), .f = f};
    mpfr_init2(k.x, 24);
    mpfr_init2(k.r, 64);
    mpfr_init2(k.t, 200);
    sweep(&k);
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
        if (spans[i].f == f) span_of(&k, spans[i].lo, spans[i].hi);
    for (size_t i = 0; i < sizeof seams / sizeof *seams; i++) {
        if (seams[i].f != f) continue;
        double x = seams[i].first;
        for (int n = 0; n < seams[i].count; n++, x = x * seams[i].factor + seams[i].step) around(&k, x, seams[i].each);
    }
    if (f == MATH_SIN || f == MATH_COS) near_quadrants(&k);
    static const float ends[] = {0x1p-149f, FLT_MIN, FLT_MAX};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) around(&k, ends[i], 64), around(&k, -ends[i], 64);
    compare(&k);
    mpfr_clears(k.x, k.r, k.t, (mpfr_ptr)0);
    mpfr_free_cache();
    finish(&k.c);
    print_message("%s: %.3f ulp at %a\n", table[f].name, k.worst, (double)k.at);
    if (!(k.worst <= table[f].ulp))
        fail_msg("%s: %.3f ulp at %a, math.def says %.1f", table[f].name, k.worst, (double)k.at, table[f].ulp);
}

#else

static void test_accuracy(void **state)
{
    (void)state;
    print_message("skipped: built without MPFR (libmpfr-dev, which scripts/setup --dev installs)\n");
    skip();
}

#endif

/* ---- what they are for ---- */

/* gelu as x (1 + erf(x / sqrt 2)) / 2, and its approximation as x sigmoid(2 g), computed in f32, against the truth;
 * relative to 1 + |x|. */
static void test_gelu(void **state)
{
    (void)state;
    compiled c = compile("erf"), s = compile("sigmoid");
    double most = 0, most_tanh = 0;
    for (int part = 0; part < 16; part++) {
        float in[N];
        for (int i = 0; i < N; i++) {
            in[i] = -8 + 16 * ((float)part + (float)i / N) / 16;
            c.x[i] = in[i] * 0x1.6a09e6p-1f;
            s.x[i] = 1.5957691216057308f * __builtin_fmaf(0.044715f * in[i] * in[i], in[i], in[i]);
        }
        run(&c);
        run(&s);
        for (int i = 0; i < N; i++) {
            float half = 0.5f * in[i], y = __builtin_fmaf(half, c.y[i], half);
            long double x = in[i], truth = x * erfcl(-x * 0.70710678118654752440L) / 2;
            double e = (double)(fabsl((long double)y - truth) / (1 + fabsl(x)));
            if (e > most) most = e;
            truth = x / (1 + expl(-1.59576912160573071176L * (x + 0.044715L * x * x * x)));
            e = (double)(fabsl((long double)(in[i] * s.y[i]) - truth) / (1 + fabsl(x)));
            if (e > most_tanh) most_tanh = e;
        }
    }
    print_message("gelu: %.3g of 1 + |x|, by sigmoid %.3g\n", most, most_tanh);
    assert_true(most < 1e-7 && most_tanh < 1e-7);
    finish(&c);
    finish(&s);
}

int main(void)
{
    static math_kind kinds[MATH_COUNT];
    struct CMUnitTest tests[MATH_COUNT + 4] = {
        cmocka_unit_test(test_docs),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_erf_bounded),
        cmocka_unit_test(test_gelu),
    };
    for (int i = 0; i < MATH_COUNT; i++) {
        kinds[i] = (math_kind)i;
        tests[4 + i] =
            (struct CMUnitTest){.name = table[i].name, .test_func = test_accuracy, .initial_state = &kinds[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
