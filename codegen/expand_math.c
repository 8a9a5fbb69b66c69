/* The mathematical functions on f32, written out as arithmetic in kernel IR.
 *
 *     %y = exp %x : f32<14x32>      becomes some twenty fma, mul, select, bitcast, ... on f32<14x32>
 *
 * so that the interpreter checks exactly what runs, and LLVM needs no vector library. No branches: every lane takes
 * every step, and selects with compare-and-pick forms are one x86 instruction. Infinities, NaN, signed zeros and
 * denormals give what C's functions give. Accuracies are in math.def, held by
 * tests/unit/codegen/test_math.c; coefficients by scripts/minimax.py.
 *
 * Operands of 16 bits and fewer go through f32. On f64 the ops stay. */
#include "codegen/codegen.h"

#include <assert.h>
#include <math.h>

typedef struct {
    kbuilder b;
} math_ctx;
typedef kvalue *math_fn(math_ctx *c, kvalue *x);

/* ---- shorthand ---- */

static kvalue *f32c(math_ctx *c, double v)
{
    return kb_const(&c->b, ktile_scalar(DT_F32), v);
}

static kvalue *f64c(math_ctx *c, double v)
{
    return kb_const(&c->b, ktile_scalar(DT_F64), v);
}

static kvalue *i32c(math_ctx *c, int64_t v)
{
    return kb_int(&c->b, ktile_scalar(DT_I32), v);
}

static kvalue *op1(math_ctx *c, kop_kind op, kvalue *x)
{
    return kb_map1(&c->b, op, x);
}

static kvalue *op2(math_ctx *c, kop_kind op, kvalue *x, kvalue *y)
{
    return kb_map2(&c->b, op, x, y);
}

static kvalue *fma3(math_ctx *c, kvalue *x, kvalue *y, kvalue *z)
{
    return kb_map3(&c->b, KOP_FMA, x, y, z);
}

static kvalue *pick(math_ctx *c, kvalue *cond, kvalue *yes, kvalue *no)
{
    return kb_map3(&c->b, KOP_SELECT, cond, yes, no);
}

/* x limited to [lo, hi]; NaN stays NaN. */
static kvalue *clamp(math_ctx *c, kvalue *x, double lo, double hi)
{
    kvalue *h = f32c(c, hi), *l = f32c(c, lo);
    x = pick(c, op2(c, KOP_LT, h, x), h, x);
    return pick(c, op2(c, KOP_GT, l, x), l, x);
}

/* k[0] + k[1] x + ... by Horner's rule */
static kvalue *polynomial(math_ctx *c, const float *k, int n, kvalue *x)
{
    kvalue *p = fma3(c, f32c(c, (double)k[n - 1]), x, f32c(c, (double)k[n - 2]));
    for (int i = n - 3; i >= 0; i--) p = fma3(c, p, x, f32c(c, (double)k[i]));
    return p;
}
#define POLYNOMIAL(c, k, x) polynomial(c, k, (int)(sizeof(k) / sizeof *(k)), x)

/* ---- exp ---- */

/* e^x = 4^h e^r with h = rint(x / 2 ln 2), |r| <= ln 2. The factor 2^h is multiplied in twice: then h needs no more
 * range than f32's exponent has, results below the normal numbers round once, and those above become infinity by
 * themselves.
 *
 * Adding 1.5 * 2^23 + 127 rounds to an integer and leaves h + 127 in the lowest bits, from where a shift makes 2^h of
 * it. */
static kvalue *expand_exp(math_ctx *c, kvalue *x)
{
    static const float k[] = {1.0f,          1.0f,           0x1.00000cp-1f,  0x1.55551p-3f,
                              0x1.554a1p-5f, 0x1.112842p-7f, 0x1.71bc52p-10f, 0x1.9b4a2p-13f};
    const double magic = 12582912.0 + 127.0;
    x = clamp(c, x, -105.0, 90.0); /* already 0 and infinity there */
    kvalue *t = fma3(c, x, f32c(c, 0x1.715476p-1), f32c(c, magic));
    kvalue *h = op2(c, KOP_SUB, t, f32c(c, magic));
    kvalue *r = fma3(c, h, f32c(c, -0x1.62e43p+0), x);
    r = fma3(c, h, f32c(c, 0x1.05c61p-28), r);
    kvalue *p = POLYNOMIAL(c, k, r);
    kvalue *scale = op2(c, KOP_SHL, kb_bitcast(&c->b, t, DT_I32), i32c(c, 23));
    scale = kb_bitcast(&c->b, scale, DT_F32);
    return op2(c, KOP_MUL, op2(c, KOP_MUL, p, scale), scale);
}

/* e^x = 2^n e^r with n = rint(x / ln 2), |r| <= ln 2 / 2, where the exponent of 2^n can be had by itself: down to n =
 * -126, and for n = -127 the exponent's bits are those of 0. One multiplication and a degree less than exp. */
static kvalue *expand_exp_nonpositive(math_ctx *c, kvalue *x)
{
    static const float k[] = {1.0f,           1.0f,           0x1.fffffcp-2f, 0x1.555492p-3f,
                              0x1.5558d2p-5f, 0x1.1239e8p-7f, 0x1.6a2424p-10f};
    const double magic = 12582912.0 + 127.0;
    kvalue *low = f32c(c, -88.0);
    x = pick(c, op2(c, KOP_GT, low, x), low, x); /* NaN stays */
    kvalue *t = fma3(c, x, f32c(c, 0x1.715476p+0), f32c(c, magic));
    kvalue *n = op2(c, KOP_SUB, t, f32c(c, magic));
    kvalue *r = fma3(c, n, f32c(c, -0x1.62e43p-1), x);
    r = fma3(c, n, f32c(c, 0x1.05c61p-29), r);
    kvalue *scale = op2(c, KOP_SHL, kb_bitcast(&c->b, t, DT_I32), i32c(c, 23));
    return op2(c, KOP_MUL, POLYNOMIAL(c, k, r), kb_bitcast(&c->b, scale, DT_F32));
}

/* ---- sigmoid ---- */

/* 1 / (1 + e^-x) with e^-x = 2^n e^r as above, both sides of the fraction times 2^-64: 2^-64 / (2^-64 + 2^(n - 64)
 * e^r). No power of two leaves f32's range, nothing overflows, and a result below the normal numbers is rounded once.
 * The polynomial is that of exp_nonpositive, of -r. */
static kvalue *expand_sigmoid(math_ctx *c, kvalue *x)
{
    static const float k[] = {1.0f,           -1.0f,           0x1.fffffcp-2f, -0x1.555492p-3f,
                              0x1.5558d2p-5f, -0x1.1239e8p-7f, 0x1.6a2424p-10f};
    const double magic = 12582912.0 + 127.0 - 64.0;
    x = clamp(c, x, -105.0, 30.0); /* already 0 and 1 there */
    kvalue *t = fma3(c, x, f32c(c, -0x1.715476p+0), f32c(c, magic));
    kvalue *n = op2(c, KOP_SUB, t, f32c(c, magic));
    kvalue *r = fma3(c, n, f32c(c, 0x1.62e43p-1), x);
    r = fma3(c, n, f32c(c, -0x1.05c61p-29), r);
    kvalue *scale = kb_bitcast(&c->b, op2(c, KOP_SHL, kb_bitcast(&c->b, t, DT_I32), i32c(c, 23)), DT_F32);
    kvalue *one = f32c(c, 0x1p-64);
    return op2(c, KOP_DIV, one, fma3(c, POLYNOMIAL(c, k, r), scale, one));
}

/* ---- erf ---- */

/* x = y * constant: y, and the constant. Else x and 1. */
static kvalue *without_factor(kvalue *x, double *factor)
{
    *factor = 1;
    for (int i = 0; x->def && x->def->op == KOP_MUL && i < 2; i++) {
        const kop *k = x->def->operands[i]->def;
        if (!k || k->op != KOP_CONST) continue;
        *factor = k->at.real;
        return x->def->operands[!i];
    }
    return x;
}

/* s P(u) with s = 0.3626 x and u = s^2 - 1 in [-1, 0.92], where the terms of P neither grow nor cancel. One polynomial
 * without a branch, a division or an exponential: the cheapest form for GELU, whose factor 1 / sqrt 2 the scaling takes
 * in. The coefficients are such that nothing comes out above 1, and that the last s, of x = 3.82, gives 1 to the bit:
 * so that limiting s is all that is needed for the rest. */
static kvalue *expand_erf(math_ctx *c, kvalue *x)
{
    static const float k[] = {0x1.fff362p-1f, -0x1.ff284ep-2f, 0x1.7c5ab6p-2f, -0x1.354f62p-2f,
                              0x1.000b0ep-2f, -0x1.a0c9bep-3f, 0x1.470a76p-3f, -0x1.e3aa12p-4f,
                              0x1.4918b8p-4f, -0x1.b71414p-5f, 0x1.32ced2p-5f, -0x1.49304cp-6f,
                              0x1.58704ep-8f, -0x1.e3431ep-9f, 0x1.5b685cp-8f, -0x1.151bf8p-9f};
    double factor;
    kvalue *y = without_factor(x, &factor);
    if (y->ty.tile.rank != x->ty.tile.rank || memcmp(y->ty.tile.shape, x->ty.tile.shape, sizeof x->ty.tile.shape)) {
        y = x;
        factor = 1;
    }
    kvalue *s = op2(c, KOP_MUL, y, f32c(c, factor * (double)0x1.73525cp-2f));
    s = clamp(c, s, -0x1.62a406p+0, 0x1.62a406p+0);
    return op2(c, KOP_MUL, s, POLYNOMIAL(c, k, fma3(c, s, s, f32c(c, -1.0))));
}

/* ---- tanh ---- */

/* Of a = |x|: a + a^3 P(a^2) below 0.625, else 1 - 2 e / (1 + e) with e = e^-2a; then the sign of x, that of zero too.
 */
static kvalue *expand_tanh(math_ctx *c, kvalue *x)
{
    static const float k[] = {-0x1.555532p-2f, 0x1.110726p-3f, -0x1.b83c5ap-5f, 0x1.522694p-6f, -0x1.75e1d4p-8f};
    kvalue *a = op1(c, KOP_ABS, x), *z = op2(c, KOP_MUL, x, x), *one = f32c(c, 1.0);
    kvalue *small = fma3(c, op2(c, KOP_MUL, z, POLYNOMIAL(c, k, z)), a, a);
    kvalue *e = expand_exp_nonpositive(c, op2(c, KOP_MUL, a, f32c(c, -2.0)));
    kvalue *big = fma3(c, op2(c, KOP_DIV, e, op2(c, KOP_ADD, e, one)), f32c(c, -2.0), one);
    kvalue *y = pick(c, op2(c, KOP_LT, a, f32c(c, 0.625)), small, big);
    kvalue *sign = op2(c, KOP_BITAND, kb_bitcast(&c->b, x, DT_I32), i32c(c, INT32_MIN));
    return kb_bitcast(&c->b, op2(c, KOP_BITOR, kb_bitcast(&c->b, y, DT_I32), sign), DT_F32);
}

/* ---- log ---- */

/* x = 2^n m with 2/3 <= m < 4/3, f = m - 1: n ln 2 + (f + f^2 Q(f)). Denormals are scaled up first. */
static kvalue *expand_log(math_ctx *c, kvalue *x)
{
    static const float k[] = {-0x1.ffffaep-2f, 0x1.55552cp-2f,  -0x1.0026bap-2f, 0x1.99bfcap-3f, -0x1.4ba6b2p-3f,
                              0x1.1fd5eap-3f,  -0x1.715a6cp-3f, 0x1.19b51ep-3f,  0x1.afc4aap-4f};
    kvalue *zero = f32c(c, 0.0), *tiny = op2(c, KOP_LT, x, f32c(c, 0x1p-126));
    kvalue *scaled = pick(c, tiny, op2(c, KOP_MUL, x, f32c(c, 0x1p23)), x);
    kvalue *bits = kb_bitcast(&c->b, scaled, DT_I32);
    kvalue *e = op2(c, KOP_BITAND, op2(c, KOP_SUB, bits, i32c(c, 0x3f2aaaab)), i32c(c, (int32_t)0xff800000));
    kvalue *f = op2(c, KOP_SUB, kb_bitcast(&c->b, op2(c, KOP_SUB, bits, e), DT_F32), f32c(c, 1.0));
    kvalue *n = fma3(c, kb_cast(&c->b, e, DT_F32), f32c(c, 0x1p-23), pick(c, tiny, f32c(c, -23.0), zero));
    kvalue *y = fma3(c, op2(c, KOP_MUL, f, f), POLYNOMIAL(c, k, f), op2(c, KOP_MUL, n, f32c(c, -0x1.05c61p-29)));
    y = fma3(c, n, f32c(c, 0x1.62e43p-1), op2(c, KOP_ADD, y, f));
    /* 0 gives -inf, negative numbers NaN, infinity and NaN themselves. */
    kvalue *special = pick(c, op2(c, KOP_LT, x, zero), f32c(c, (double)NAN), x);
    special = pick(c, op2(c, KOP_EQ, x, zero), f32c(c, (double)-INFINITY), special);
    kvalue *ordinary = op2(c, KOP_AND, op2(c, KOP_GT, x, zero), op2(c, KOP_LT, x, f32c(c, (double)INFINITY)));
    return pick(c, ordinary, y, special);
}

static kvalue *expand_rsqrt(math_ctx *c, kvalue *x)
{
    return op2(c, KOP_DIV, f32c(c, 1.0), op1(c, KOP_SQRT, x));
}

/* ---- sin and cos ---- */

/* x 2/pi modulo 4, for all of f32's range: 2/pi in pieces of 29 bits, whose products with a 24-bit significand are
 * exact in f64. Of each product multiples of 4 are dropped (exactly), and whole quadrants are moved to *quadrant at
 * once, so that the rest keeps its full precision however near to a multiple of pi/2 x is. The rest, in [-1/2, 1/2], is
 * the result. */
static kvalue *quarter_turns(math_ctx *c, kvalue *x, kvalue **quadrant)
{
    static const double two_over_pi[] = {0x1.45f306dp-1,   0x1.9391054p-30,  0x1.4fe13abp-59, 0x1.d1f534dp-88,
                                         0x1.b81b6c5p-117, 0x1.5993c43p-148, 0x1.2083fcap-177};
    kvalue *wide = kb_cast(&c->b, x, DT_F64), *rest = NULL, *turns = NULL;
    for (size_t i = 0; i < sizeof two_over_pi / sizeof *two_over_pi; i++) {
        kvalue *y = op2(c, KOP_MUL, wide, f64c(c, two_over_pi[i]));
        y = fma3(c, op1(c, KOP_RINT, op2(c, KOP_MUL, y, f64c(c, 0.25))), f64c(c, -4.0), y);
        if (rest) y = op2(c, KOP_ADD, rest, y);
        kvalue *n = op1(c, KOP_RINT, y);
        rest = op2(c, KOP_SUB, y, n);
        turns = turns ? op2(c, KOP_ADD, turns, n) : n;
    }
    *quadrant = kb_cast(&c->b, turns, DT_I32);
    return rest;
}

/* The sine of x turned on by `ahead` quarter turns. */
static kvalue *sine(math_ctx *c, kvalue *x, int ahead)
{
    static const float ks[] = {-0x1.555556p-3f, 0x1.11111p-7f, -0x1.a00f8p-13f, 0x1.6cd1f2p-19f};
    static const float kc[] = {-0x1p-1f, 0x1.55554p-5f, -0x1.6c07f2p-10f, 0x1.99169ep-16f};
    kvalue *q, *rest = quarter_turns(c, x, &q);
    kvalue *r = kb_cast(&c->b, op2(c, KOP_MUL, rest, f64c(c, 0x1.921fb54442d18p+0)), DT_F32);
    kvalue *z = op2(c, KOP_MUL, r, r);
    kvalue *s = fma3(c, op2(c, KOP_MUL, z, POLYNOMIAL(c, ks, z)), r, r);
    kvalue *k = fma3(c, POLYNOMIAL(c, kc, z), z, f32c(c, 1.0));
    if (ahead) q = op2(c, KOP_ADD, q, i32c(c, ahead));
    kvalue *odd = op2(c, KOP_NE, op2(c, KOP_BITAND, q, i32c(c, 1)), i32c(c, 0));
    kvalue *back = op2(c, KOP_NE, op2(c, KOP_BITAND, q, i32c(c, 2)), i32c(c, 0));
    kvalue *y = pick(c, odd, k, s);
    return pick(c, back, op1(c, KOP_NEG, y), y);
}

static kvalue *expand_sin(math_ctx *c, kvalue *x)
{
    /* Below 2^-12 sin(x) is x, -0 included. */
    kvalue *small = op2(c, KOP_LT, op1(c, KOP_ABS, x), f32c(c, 0x1p-12));
    return pick(c, small, x, sine(c, x, 0));
}

static kvalue *expand_cos(math_ctx *c, kvalue *x)
{
    return sine(c, x, 1);
}

/* ---- the rewrite ---- */

static const struct {
    kop_kind op;
    math_fn *expand;
    bool needs_f64;
} expansions[] = {
#define MATH(name, NAME, f64, ulp, form) {KOP_##NAME, expand_##name, f64},
#include "codegen/math.def"
#undef MATH
};

static math_fn *expansion_of(const kop *op)
{
    if (op->n_results != 1) return NULL;
    ktile t = op->results[0]->ty.tile;
    bool fragment = t.layout != KL_VEC && t.layout != KL_SCALARS && t.layout != KL_LANES; /* hold no 64-bit elements */
    for (size_t i = 0; i < sizeof expansions / sizeof *expansions; i++)
        if (expansions[i].op == op->op && t.dt != DT_F64 && !(fragment && expansions[i].needs_f64))
            return expansions[i].expand;
    return NULL;
}

static void expand_block(kfunction *f, kblock *b)
{
    kblock_foreach(op, b)
    {
        for (uint32_t i = 0; i < op->n_blocks; i++) expand_block(f, op->blocks[i]);
        math_fn *expand = expansion_of(op);
        if (!expand) continue;
        math_ctx c = {.b = {.f = f, .block = b, .at = op->source, .before = op}};
        dtype dt = op->results[0]->ty.tile.dt;
        kvalue *y = expand(&c, kb_cast(&c.b, op->operands[0], DT_F32));
        kvalue_replace(f, op->results[0], kb_cast(&c.b, y, dt));
        kop_erase(op);
    }
}

void expand_math(kmodule *m)
{
    for (uint32_t i = 0; i < m->functions.len; i++)
        if (m->functions.data[i]->target != KTARGET_PLAN)
            expand_block(m->functions.data[i], m->functions.data[i]->body);
}
