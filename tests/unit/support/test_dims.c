#include "support/dims.h"

#include "unit/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>

/* A context with symbols of several kinds: B 1..4, S 8..64 in steps of 8, P 0..9, N -5..7, H a number of heads 1..6. */
enum { SYMBOLS = 5 };
static const struct {
    const char *name;
    dim_origin origin;
    int64_t min, max, multiple;
} facts[SYMBOLS] = {{"B", DIM_INPUT, 1, 4, 1},
                    {"S", DIM_INPUT, 1, 64, 8},
                    {"P", DIM_SETTING, 0, 9, 1},
                    {"N", DIM_DATA, -5, 7, 1},
                    {"H", DIM_INPUT, 1, 6, 1}};

typedef struct {
    arena *a;
    dim_ctx *c;
    dim B, S, P, N, H;
} fixture;

static fixture fresh(void)
{
    fixture f = {.a = arena_new(NULL, NULL)};
    f.c = dims_new(f.a, interner_new(f.a));
    dim d[SYMBOLS];
    for (int i = 0; i < SYMBOLS; i++)
        d[i] = dim_sym(f.c, facts[i].name, facts[i].origin, facts[i].min, facts[i].max, facts[i].multiple);
    f.B = d[0], f.S = d[1], f.P = d[2], f.N = d[3], f.H = d[4];
    return f;
}

static const char *text_of(fixture *f, dim d)
{
    strbuf b = strbuf_new(f->a);
    dim_print(f->c, d, &b);
    return b.s;
}

static dim parse(fixture *f, const char *s)
{
    size_t used = 0, at = 0;
    dim d = dim_parse(f->c, s, strlen(s), &used, &at);
    if (d == DIM_BAD) fail_msg("'%s' does not parse: byte %zu", s, at);
    assert_int_equal(used, strlen(s));
    return d;
}

#define assert_text(f, d, expected) assert_string_equal(text_of((f), (d)), (expected))
#define assert_same(f, left, right) assert_text((f), parse((f), (left)), text_of((f), parse((f), (right))))

static void assert_bounds(fixture *f, const char *s, int64_t lo, int64_t hi)
{
    int64_t l, h;
    dim_bounds(f->c, parse(f, s), &l, &h);
    if (l != lo || h != hi)
        fail_msg("%s: expected %lld..%lld, got %lld..%lld", s, (long long)lo, (long long)hi, (long long)l,
                 (long long)h);
}

/* Canonical text: what users see in messages and .tir. */
static void test_text(void **state)
{
    (void)state;
    fixture f = fresh();
    static const char *const pairs[][2] = {
        {"0", "0"},
        {"-7", "-7"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"9223372036854775807", "9223372036854775807"},
        {"B", "B"},
        {"S", "S"},
        {"S * B + 1", "B * S + 1"},
        {"1 + P + B", "B + P + 1"},
        {"P - B", "-B + P"},
        {"B - B", "0"},
        {"2*S*S - 3*B", "-3 * B + 2 * S * S"},
        {"(B + P) * (B - P)", "B * B - P * P"},
        {"floordiv(S, 8)", "floordiv(S, 8)"},
        {"8 * floordiv(S, 8)", "S"},
        {"floordiv(S, 4)", "2 * floordiv(S, 8)"},
        {"floordiv(S * S, 16)", "4 * floordiv(S, 8) * floordiv(S, 8)"},
        {"mod(S, 8)", "0"},
        {"mod(S, 16)", "mod(S, 16)"},
        {"floordiv(S, 16)", "floordiv(S, 16)"},
        {"ceildiv(B * S, 24)", "ceildiv(B * S, 24)"},
        {"ceildiv(S, 12)", "floordiv(S, 8) - floordiv(S, 24)"},
        {"mod(S + B, 16)", "mod(B + S, 16)"},
        {"mod(B, 4) * 3 + P", "P + 3 * mod(B, 4)"},
        {"ceildiv(P, 4)", "ceildiv(P, 4)"},
        {"-floordiv(-P, 4)", "ceildiv(P, 4)"},
        {"floordiv(P + 3, 4)", "ceildiv(P, 4)"},
        {"4 * ceildiv(P, 4) - P", "-P + 4 * ceildiv(P, 4)"},
        {"floordiv(P + 4, 4)", "floordiv(P, 4) + 1"},
        {"floordiv(9 * P + 2, 4)", "2 * P + floordiv(P + 2, 4)"},
        {"floordiv(65 * P + 7, 32)", "2 * P"},
        {"floordiv(2 * P + 1, 4)", "floordiv(P, 2)"},
        {"ceildiv(ceildiv(P, 2), 3)", "ceildiv(P, 6)"},
        {"floordiv(3 * P, 4)", "P - ceildiv(P, 4)"},
        {"floordiv(P, 10)", "0"},
        {"floordiv(B * P, B)", "P"},
        {"floordiv(B * B - P * P, B + P)", "B - P"},
        {"floordiv(P, B)", "floordiv(P, B)"},
        {"mod(B * P + 1, 6 * B)", "mod(B * P + 1, 6 * B)"},
        {"min(P, 4)", "min(P, 4)"},
        {"min(4, P)", "min(P, 4)"},
        {"min(P, 9)", "P"},
        {"max(P, B, P + 1)", "max(B, P + 1)"},
        {"min(P + B, B + 4)", "B + min(P, 4)"},
        {"min(2 * P + 1, 2 * B + 1)", "2 * min(B, P) + 1"},
        {"max(-P, -4)", "-min(P, 4)"},
        {"max(S - 8, P)", "max(S, P + 8) - 8"},
        {"-2 * max(P, 4) + B", "B - 2 * max(P, 4)"},
        {"min(P, 4) - P", "-max(P, 4) + 4"},
        {"min(min(P, 4), min(B, 3))", "min(B, P, 3)"},
        {"- - (B)", "B"},
        {"min(B, P) * min(B, P)", "min(B, P) * min(B, P)"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) assert_text(&f, parse(&f, pairs[i][0]), pairs[i][1]);
    arena_free(f.a);
}

static void test_equal_forms(void **state)
{
    (void)state;
    fixture f = fresh();
    assert_same(&f, "ceildiv(P, B)", "-floordiv(-P, B)");
    assert_same(&f, "ceildiv(P, B)", "floordiv(P - 1, B) + 1");
    assert_same(&f, "floordiv(P * H, 2 * H)", "floordiv(P, 2)");
    assert_same(&f, "floordiv(P, -4)", "-ceildiv(P, 4)");
    assert_same(&f, "mod(P, -4)", "P + 4 * floordiv(P, -4)");
    assert_same(&f, "mod(-P, -B)", "-mod(P, B)");
    assert_same(&f, "mod(P, 4) + 4 * floordiv(P, 4)", "P");
    assert_same(&f, "floordiv(P + 1, 2)", "P - floordiv(P, 2)");
    assert_same(&f, "floordiv(N + 3 * B + P, 6)", "floordiv(floordiv(N + P, 3) + B, 2)");
    assert_same(&f, "max(B, P)", "-min(-B, -P)");
    assert_same(&f, "max(B, P) + min(B, P)", "B + P");
    assert_same(&f, "min(S, P) - S", "min(0, P - S)");
    assert_same(&f, "max(B, P, N)", "max(N, max(P, B))");
    assert_same(&f, "min(B + 3, P) - 3", "min(P - 3, B)");
    arena_free(f.a);
}

static void test_bounds(void **state)
{
    (void)state;
    fixture f = fresh();
    assert_bounds(&f, "S", 8, 64); /* the least multiple of 8 that is at least 1 */
    assert_bounds(&f, "B * S - S", 0, 192);
    assert_bounds(&f, "P * P - P", -9, 72);
    assert_bounds(&f, "mod(P, 4)", 0, 3);
    assert_bounds(&f, "B * mod(P, 4)", 0, 12);
    assert_bounds(&f, "32 * ceildiv(P, 32) - P", 0, 31);
    assert_bounds(&f, "P - min(P, 4)", 0, 5);
    assert_bounds(&f, "max(P, 4)", 4, 9);
    assert_bounds(&f, "P + 4 - max(P, 4)", 0, 4);
    assert_bounds(&f, "floordiv(5 * P, 3)", 0, 15);
    assert_bounds(&f, "floordiv(N, B)", -5, 7);
    assert_bounds(&f, "mod(N, B)", 0, 3);
    assert_bounds(&f, "floordiv(B, N)", -4, 4);
    assert_bounds(&f, "N * N", 0, 49);
    assert_bounds(&f, "-3", -3, -3);
    arena_free(f.a);
}

static void test_provable(void **state)
{
    (void)state;
    fixture f = fresh();
    static const struct {
        const char *left, *right;
        bool le;
    } cases[] = {
        {"S", "B * S", true},
        {"min(S, P)", "S", true},
        {"P", "8 * ceildiv(P, 8)", true},
        {"8 * floordiv(P, 8)", "P", true},
        {"P", "max(P, B)", true},
        {"floordiv(P, 2)", "P", true},
        {"min(P, B) + max(P, B)", "P + B", true},
        {"P + 1", "P", false},
        {"B", "P", false},
        {"B * S", "S", false},
        {"ceildiv(P, 2)", "floordiv(P, 2)", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool le = dim_le(f.c, parse(&f, cases[i].left), parse(&f, cases[i].right));
        if (le != cases[i].le) fail_msg("%s <= %s: %d", cases[i].left, cases[i].right, le);
    }
    assert_true(dim_divides(f.c, 8, parse(&f, "S * B + 16 * P")));
    assert_false(dim_divides(f.c, 16, parse(&f, "S")));
    assert_true(dim_divides(f.c, 8, parse(&f, "min(S, 16 * P)")));
    assert_true(dim_divides(f.c, -4, parse(&f, "S")));
    assert_true(dim_divides(f.c, 5, parse(&f, "0")));
    assert_false(dim_divides(f.c, 0, parse(&f, "S")));
    assert_int_equal(dim_known_multiple(f.c, parse(&f, "24 * P - 36 * B")), 12);
    assert_int_equal(dim_known_multiple(f.c, parse(&f, "S * S")), 64);
    assert_int_equal(dim_known_multiple(f.c, parse(&f, "-9223372036854775808")), INT64_C(1) << 62);
    arena_free(f.a);
}

static void test_symbols(void **state)
{
    (void)state;
    fixture f = fresh();
    assert_int_equal(dim_symbol_count(f.c), SYMBOLS);
    for (uint32_t i = 0; i < SYMBOLS; i++) {
        const dim_symbol *s = dim_symbol_at(f.c, i);
        assert_string_equal(s->name, facts[i].name);
        assert_int_equal(s->multiple, facts[i].multiple);
        dim d = dim_find(f.c, facts[i].name);
        assert_int_equal(dim_is_symbol(f.c, d), i);
        assert_int_equal(dim_sym(f.c, facts[i].name, facts[i].origin, facts[i].min, facts[i].max, facts[i].multiple),
                         d);
    }
    assert_int_equal(dim_symbol_count(f.c), SYMBOLS);
    assert_int_equal(dim_find(f.c, "Q"), DIM_BAD);
    assert_int_equal(dim_is_symbol(f.c, parse(&f, "2 * B")), -1);
    assert_int_equal(dim_is_symbol(f.c, parse(&f, "B * B")), -1);
    assert_int_equal(dim_is_symbol(f.c, parse(&f, "floordiv(S, 8)")), -1);
    assert_int_equal(dim_is_symbol(f.c, parse(&f, "4")), -1);
    assert_true(dim_uses(f.c, parse(&f, "1 + B * min(P, floordiv(N, 3))"), 3));
    assert_false(dim_uses(f.c, parse(&f, "1 + B * min(P, floordiv(N, 3))"), 4));
    int64_t v;
    assert_true(dim_is_const(f.c, parse(&f, "P - P + 5"), &v));
    assert_int_equal(v, 5);
    assert_false(dim_is_const(f.c, f.P, &v));
    assert_true(dim_is_const(f.c, parse(&f, "0"), NULL));
    arena_free(f.a);
}

static void test_bad(void **state)
{
    (void)state;
    fixture f = fresh();
    dim big = dim_const(f.c, INT64_MAX), least = dim_const(f.c, INT64_MIN);
    assert_int_equal(dim_add(f.c, big, dim_const(f.c, 1)), DIM_BAD);
    assert_int_equal(dim_add(f.c, big, f.B), DIM_BAD);
    assert_int_not_equal(dim_sub(f.c, big, f.B), DIM_BAD);
    assert_int_equal(dim_mul(f.c, big, f.B), DIM_BAD);
    assert_int_equal(dim_sub(f.c, dim_const(f.c, 0), least), DIM_BAD);
    assert_int_equal(dim_floordiv(f.c, least, dim_const(f.c, -1)), DIM_BAD);
    assert_int_not_equal(dim_floordiv(f.c, least, least), DIM_BAD);
    assert_int_equal(dim_floordiv(f.c, f.B, dim_const(f.c, 0)), DIM_BAD);
    assert_int_equal(dim_mod(f.c, f.B, dim_const(f.c, 0)), DIM_BAD);
    assert_int_equal(dim_ceildiv(f.c, f.B, dim_const(f.c, 0)), DIM_BAD);
    /* It absorbs, and proves nothing. */
    dim (*const ops[])(dim_ctx *, dim, dim) = {dim_add,     dim_sub, dim_mul, dim_floordiv,
                                               dim_ceildiv, dim_mod, dim_min, dim_max};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        assert_int_equal(ops[i](f.c, DIM_BAD, f.B), DIM_BAD);
        assert_int_equal(ops[i](f.c, f.B, DIM_BAD), DIM_BAD);
        assert_int_equal(ops[i](f.c, DIM_BAD, dim_const(f.c, 0)), DIM_BAD);
    }
    int64_t lo, hi, values[SYMBOLS] = {0};
    dim_bounds(f.c, DIM_BAD, &lo, &hi);
    assert_true(lo == INT64_MIN && hi == INT64_MAX);
    assert_false(dim_le(f.c, DIM_BAD, DIM_BAD));
    assert_false(dim_divides(f.c, 1, DIM_BAD));
    assert_false(dim_eval(f.c, DIM_BAD, values, &lo));
    assert_int_equal(dim_subst(f.c, DIM_BAD, NULL, 0), DIM_BAD);
    assert_text(&f, DIM_BAD, "<bad>");

    /* A symbol over the whole range of 64 bits: what fits is right to the last bit, and its text reads back. */
    dim_sym(f.c, "any", DIM_DATA, INT64_MIN, INT64_MAX, 1);
    static const char *const whole[][2] = {{"1 - 2 - any", "-any - 1"},
                                           {"max(any, 3) - 3", "max(any, 3) - 3"},
                                           {"B - 1 - 9223372036854775807", "B - 9223372036854775808"},
                                           {"any - min(any, 71) + B - B", "max(any, 71) - 71"}};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        assert_int_not_equal(parse(&f, whole[i][0]), DIM_BAD);
        assert_text(&f, parse(&f, whole[i][0]), whole[i][1]);
        assert_same(&f, whole[i][0], whole[i][1]);
    }
    assert_int_equal(dim_parse(f.c, "-any", 4, NULL, NULL), DIM_BAD);

    /* Powers: the value overflows long before the degree is at its limit; within small bounds the degree is the limit.
     */
    dim one = dim_sym(f.c, "one", DIM_INPUT, 0, 1, 1), p = one;
    for (int i = 1; i < 32; i++) assert_int_not_equal(p = dim_mul(f.c, p, one), DIM_BAD);
    assert_int_equal(dim_mul(f.c, p, one), DIM_BAD);
    p = f.S;
    for (int i = 1; i < 10; i++) assert_int_not_equal(p = dim_mul(f.c, p, f.S), DIM_BAD);
    assert_int_equal(dim_mul(f.c, p, f.S), DIM_BAD); /* 64^11 = 2^66 */
    arena_free(f.a);
}

static void test_eval_edges(void **state)
{
    (void)state;
    fixture f = fresh();
    int64_t out, values[SYMBOLS] = {2, 16, 3, 0, 1};
    assert_false(dim_eval(f.c, parse(&f, "floordiv(B, N)"), values, &out));
    assert_false(dim_eval(f.c, parse(&f, "mod(B, N)"), values, &out));
    values[3] = -5;
    assert_true(dim_eval(f.c, parse(&f, "floordiv(B, N)"), values, &out));
    assert_int_equal(out, -1);
    assert_true(dim_eval(f.c, parse(&f, "mod(B, N)"), values, &out));
    assert_int_equal(out, -3);
    /* A symbol's own value even where it breaks its facts: callers print it in the message that says so. */
    values[1] = 13;
    assert_true(dim_eval(f.c, f.S, values, &out));
    assert_int_equal(out, 13);
    values[0] = INT64_MAX;
    assert_false(dim_eval(f.c, parse(&f, "B * B * B"), values, &out));
    assert_false(dim_eval(f.c, parse(&f, "B + 1"), values, &out));
    arena_free(f.a);
}

static void test_parse_errors(void **state)
{
    (void)state;
    fixture f = fresh();
    static const struct {
        const char *s;
        size_t at;
    } cases[] = {{"", 0},
                 {"  ", 2},
                 {"B +", 3},
                 {"B * ]", 4},
                 {"Q", 0},
                 {"B + Q", 4},
                 {"min(B)", 5},
                 {"min B", 0},
                 {"floordiv(B, 0)", 0},
                 {"floordiv(B, P, 2)", 13},
                 {"(B", 2},
                 {"2B", 1},
                 {"-", 1},
                 {"99999999999999999999", 0},
                 {"9223372036854775808", 0},
                 {"min(B, P", 8},
                 {"9223372036854775807 + B", 0},
                 {"*", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t used, at = 999;
        assert_int_equal(dim_parse(f.c, cases[i].s, strlen(cases[i].s), &used, &at), DIM_BAD);
        if (at != cases[i].at) fail_msg("'%s': error at %zu, expected %zu", cases[i].s, at, cases[i].at);
    }
    static const struct {
        const char *s;
        size_t used;
    } stops[] = {{"B * S]", 5}, {"B , S", 1}, {"B..4", 1}, {"(B + 1) B", 7}, {" 7 : f32", 2}};
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        size_t used = 0;
        assert_int_not_equal(dim_parse(f.c, stops[i].s, strlen(stops[i].s), &used, NULL), DIM_BAD);
        assert_int_equal(used, stops[i].used);
    }
    /* Deep nesting is refused, not recursed into. */
    char deep[4096];
    memset(deep, '(', sizeof deep);
    assert_int_equal(dim_parse(f.c, deep, sizeof deep, NULL, NULL), DIM_BAD);
    memset(deep, '-', sizeof deep);
    assert_int_equal(dim_parse(f.c, deep, sizeof deep, NULL, NULL), DIM_BAD);
    /* Exactly n bytes are read. */
    char *exact = malloc(3);
    assert_non_null(exact);
    memcpy(exact, "B+S", 3);
    assert_int_not_equal(dim_parse(f.c, exact, 3, NULL, NULL), DIM_BAD);
    free(exact);
    arena_free(f.a);
}

/* Random expressions against direct evaluation. */

typedef struct {
    uint64_t state;
} rng;

static uint32_t draw(rng *r, uint32_t below)
{
    r->state = r->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(r->state >> 33) % below;
}

enum { NODES = 64, SAMPLES = 24 };
typedef enum { N_CONST, N_SYM, N_ADD, N_SUB, N_MUL, N_FLOORDIV, N_CEILDIV, N_MOD, N_MIN, N_MAX } node_kind;
typedef struct {
    node_kind kind;
    int64_t value;
    int left, right;
} node;
typedef struct {
    node node[NODES];
    int n;
} tree;

static int grow(rng *r, tree *t, int depth)
{
    int at = t->n++;
    node *x = &t->node[at];
    uint32_t kind = draw(r, depth == 0 ? 3 : 16);
    if (kind < 2) {
        *x = (node){N_SYM, draw(r, SYMBOLS), 0, 0};
    } else if (kind == 2) {
        *x = (node){N_CONST, (int64_t)draw(r, 40) - 12, 0, 0};
    } else {
        static const node_kind kinds[] = {N_ADD, N_ADD, N_SUB, N_MUL, N_FLOORDIV, N_CEILDIV, N_MOD, N_MIN, N_MAX};
        node_kind k = kinds[draw(r, 9)];
        int left = grow(r, t, depth - 1);
        int right;
        bool divides = k == N_FLOORDIV || k == N_CEILDIV || k == N_MOD;
        if (divides && draw(r, 4)) {
            right = t->n++;
            int64_t by = 1 + (int64_t)draw(r, 16);
            t->node[right] = (node){N_CONST, draw(r, 8) ? by : -by, 0, 0};
        } else {
            right = grow(r, t, depth - 1);
        }
        *x = (node){k, 0, left, right};
    }
    return at;
}

static int64_t floor_quotient(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

/* False: divides by zero. The numbers here are far from overflow, except in long products: those are given up on. */
static bool direct(const tree *t, int at, const int64_t *values, int64_t *out)
{
    const node *x = &t->node[at];
    int64_t a = 0, b = 0;
    if (x->kind == N_CONST) return *out = x->value, true;
    if (x->kind == N_SYM) return *out = values[x->value], true;
    if (!direct(t, x->left, values, &a) || !direct(t, x->right, values, &b)) return false;
    switch (x->kind) {
    case N_ADD: return !__builtin_add_overflow(a, b, out);
    case N_SUB: return !__builtin_sub_overflow(a, b, out);
    case N_MUL: return !__builtin_mul_overflow(a, b, out);
    case N_MIN: return *out = a < b ? a : b, true;
    case N_MAX: return *out = a > b ? a : b, true;
    default: break;
    }
    if (!b) return false;
    if (x->kind == N_FLOORDIV) *out = floor_quotient(a, b);
    if (x->kind == N_CEILDIV) *out = -floor_quotient(-a, b);
    if (x->kind == N_MOD) *out = a - b * floor_quotient(a, b);
    return true;
}

static dim build(fixture *f, const tree *t, int at)
{
    static dim (*const ops[])(dim_ctx *, dim, dim) = {
        [N_ADD] = dim_add,         [N_SUB] = dim_sub, [N_MUL] = dim_mul, [N_FLOORDIV] = dim_floordiv,
        [N_CEILDIV] = dim_ceildiv, [N_MOD] = dim_mod, [N_MIN] = dim_min, [N_MAX] = dim_max};
    const node *x = &t->node[at];
    if (x->kind == N_CONST) return dim_const(f->c, x->value);
    if (x->kind == N_SYM) return dim_find(f->c, facts[x->value].name);
    dim left = build(f, t, x->left);
    return ops[x->kind](f->c, left, build(f, t, x->right));
}

static void draw_values(rng *r, int64_t *values)
{
    for (int i = 0; i < SYMBOLS; i++) {
        int64_t m = facts[i].multiple, lo = -floor_quotient(-facts[i].min, m), hi = floor_quotient(facts[i].max, m);
        uint32_t which = draw(r, 4); /* often at an end */
        int64_t v = which == 0 ? lo : which == 1 ? hi : lo + (int64_t)draw(r, (uint32_t)(hi - lo + 1));
        values[i] = v * m;
    }
}

/* dim_fold's tree evaluated in wrapping arithmetic, as generated code does it. */
typedef struct {
    const int64_t *values;
    bool divided_by_zero;
} fold_state;

static uint64_t fold_step(void *arg, dim_op op, int64_t value, uint64_t left, uint64_t right)
{
    fold_state *s = arg;
    int64_t a = (int64_t)left, b = (int64_t)right;
    switch (op) {
    case DIM_OP_CONST: return (uint64_t)value;
    case DIM_OP_SYM: return (uint64_t)s->values[value];
    case DIM_OP_ADD: return left + right;
    case DIM_OP_MUL: return left * right;
    case DIM_OP_MIN: return (uint64_t)(a < b ? a : b);
    case DIM_OP_MAX: return (uint64_t)(a > b ? a : b);
    default: break;
    }
    if (!b) {
        s->divided_by_zero = true;
        return 0;
    }
    return (uint64_t)(op == DIM_OP_FLOORDIV ? floor_quotient(a, b) : a - b * floor_quotient(a, b));
}

static void check_values(fixture *f, rng *r, const tree *t, dim d)
{
    int64_t lo, hi, multiple = dim_known_multiple(f->c, d);
    dim_bounds(f->c, d, &lo, &hi);
    for (int i = 0; i < SAMPLES; i++) {
        int64_t values[SYMBOLS], expected, got;
        draw_values(r, values);
        if (!direct(t, 0, values, &expected)) continue;
        if (!dim_eval(f->c, d, values, &got)) fail_msg("%s has no value", text_of(f, d));
        if (got != expected)
            fail_msg("%s: expected %lld, got %lld", text_of(f, d), (long long)expected, (long long)got);
        if (got < lo || got > hi)
            fail_msg("%s = %lld is outside %lld..%lld", text_of(f, d), (long long)got, (long long)lo, (long long)hi);
        if (multiple ? got % multiple : got)
            fail_msg("%s = %lld is no multiple of %lld", text_of(f, d), (long long)got, (long long)multiple);
        fold_state s = {values, false};
        uint64_t folded = dim_fold(f->c, d, fold_step, &s);
        assert_false(s.divided_by_zero);
        assert_int_equal((int64_t)folded, expected);

        /* Some symbols replaced by constants, the rest valued: the same. */
        dim with[SYMBOLS];
        for (int k = 0; k < SYMBOLS; k++) with[k] = draw(r, 2) ? dim_const(f->c, values[k]) : DIM_BAD;
        dim replaced = dim_subst(f->c, d, with, SYMBOLS);
        assert_int_not_equal(replaced, DIM_BAD);
        assert_true(dim_eval(f->c, replaced, values, &got));
        assert_int_equal(got, expected);
        for (uint32_t k = 0; k < SYMBOLS; k++)
            if (with[k] != DIM_BAD) assert_false(dim_uses(f->c, replaced, k));
    }
}

static void check_text(fixture *f, dim d)
{
    const char *text = text_of(f, d);
    size_t used = 0, at = 0;
    dim back = dim_parse(f->c, text, strlen(text), &used, &at);
    if (back != d) fail_msg("%s parses back to %s (byte %zu)", text, text_of(f, back), at);
    assert_int_equal(used, strlen(text));
    /* In a context that has seen nothing else the text is the same. */
    fixture g = fresh();
    assert_text(&g, parse(&g, text), text);
    arena_free(g.a);
}

static void test_random_expressions(void **state)
{
    (void)state;
    rng r = {1};
    int good = 0;
    for (int i = 0; i < 1500; i++) {
        fixture f = fresh();
        tree t = {.n = 0};
        grow(&r, &t, 3);
        dim d = build(&f, &t, 0);
        if (d != DIM_BAD) {
            good++;
            check_values(&f, &r, &t, d);
            check_text(&f, d);
        }
        arena_free(f.a);
    }
    assert_true(good > 1200); /* else the test tests little: only divisions by 0 are bad here */
}

/* Laws whose two sides must have one id, over random subexpressions. */
static void test_random_laws(void **state)
{
    (void)state;
    rng r = {2};
    for (int i = 0; i < 600; i++) {
        fixture f = fresh();
        dim x[3];
        for (int k = 0; k < 3; k++) {
            tree t = {.n = 0};
            grow(&r, &t, 2);
            x[k] = build(&f, &t, 0);
        }
        dim a = x[0], b = x[1], c = x[2], k = dim_const(f.c, 1 + (int64_t)draw(&r, 12)), zero = dim_const(f.c, 0);
        if (a != DIM_BAD && b != DIM_BAD && c != DIM_BAD) {
            dim_ctx *x_ = f.c;
            dim laws[][2] = {
                {dim_add(x_, a, b), dim_add(x_, b, a)},
                {dim_add(x_, dim_add(x_, a, b), c), dim_add(x_, a, dim_add(x_, b, c))},
                {dim_mul(x_, a, b), dim_mul(x_, b, a)},
                {dim_mul(x_, dim_mul(x_, a, b), c), dim_mul(x_, a, dim_mul(x_, b, c))},
                {dim_mul(x_, dim_add(x_, a, b), c), dim_add(x_, dim_mul(x_, a, c), dim_mul(x_, b, c))},
                {dim_sub(x_, a, a), zero},
                {dim_floordiv(x_, dim_add(x_, dim_mul(x_, a, k), b), k), dim_add(x_, a, dim_floordiv(x_, b, k))},
                {dim_ceildiv(x_, a, k), dim_floordiv(x_, dim_sub(x_, dim_add(x_, a, k), dim_const(x_, 1)), k)},
                {dim_mod(x_, a, k), dim_sub(x_, a, dim_mul(x_, k, dim_floordiv(x_, a, k)))},
                {dim_floordiv(x_, dim_mul(x_, a, k), k), a},
                {dim_min(x_, a, b), dim_min(x_, b, a)},
                {dim_max(x_, a, b), dim_max(x_, b, a)},
                {dim_max(x_, a, b), dim_sub(x_, zero, dim_min(x_, dim_sub(x_, zero, a), dim_sub(x_, zero, b)))},
                {dim_min(x_, a, a), a},
            };
            for (size_t l = 0; l < sizeof laws / sizeof *laws; l++)
                if (laws[l][0] != laws[l][1])
                    fail_msg("law %zu, a = %s, b = %s, c = %s, k = %s: %s and %s", l, text_of(&f, a), text_of(&f, b),
                             text_of(&f, c), text_of(&f, k), text_of(&f, laws[l][0]), text_of(&f, laws[l][1]));
        }
        arena_free(f.a);
    }
}

/* What is proved of random pairs holds at random points. */
static void test_random_proofs(void **state)
{
    (void)state;
    rng r = {3};
    int proved = 0;
    for (int i = 0; i < 600; i++) {
        fixture f = fresh();
        tree s = {.n = 0}, t = {.n = 0};
        grow(&r, &s, 2);
        grow(&r, &t, 2);
        dim a = build(&f, &s, 0), b = build(&f, &t, 0);
        bool le = dim_le(f.c, a, b), same = a == b && a != DIM_BAD;
        proved += le;
        for (int k = 0; k < SAMPLES && (le || same); k++) {
            int64_t values[SYMBOLS], left, right;
            draw_values(&r, values);
            if (!direct(&s, 0, values, &left) || !direct(&t, 0, values, &right)) continue;
            if (le) assert_true(left <= right);
            if (same) assert_true(left == right);
        }
        arena_free(f.a);
    }
    assert_true(proved > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_equal_forms),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_provable),
        cmocka_unit_test(test_symbols),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_eval_edges),
        cmocka_unit_test(test_parse_errors),
        cmocka_unit_test(test_random_expressions),
        cmocka_unit_test(test_random_laws),
        cmocka_unit_test(test_random_proofs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
