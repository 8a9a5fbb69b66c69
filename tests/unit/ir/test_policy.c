/* What verbs accept, and how they and their arguments are written. */
#include "ir/policy.h"
#include "support/arena.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const policy_param params[] = {
    {.name = "n", .kind = POLICY_INT, .required = true, .least = 1, .most = 8},
    {.name = "any", .kind = POLICY_INT, .preset = {.kind = POLICY_INT, .i = -3}},
    {.name = "part", .kind = POLICY_FLOAT, .least = 0, .most = 0.5},
    {.name = "on", .kind = POLICY_BOOL},
    {.name = "by", .kind = POLICY_WORD, .words = "size saliency age"},
    {.name = "tile", .kind = POLICY_INTS, .least = 1, .most = 64, .fewest = 2, .longest = 2},
    {.name = "axes", .kind = POLICY_INTS, .fewest = 1, .longest = 4},
    {.name = "rest", .kind = POLICY_INTS},
};
enum { N_PARAMS = sizeof params / sizeof *params };

static policy_value integer(int64_t i)
{
    return (policy_value){.kind = POLICY_INT, .i = i};
}

static policy_value real(double x)
{
    return (policy_value){.kind = POLICY_FLOAT, .real = x};
}

static policy_value word(const char *w)
{
    return (policy_value){.kind = POLICY_WORD, .word = w};
}

static policy_value list(uint32_t n, const int64_t *v)
{
    policy_value x = {.kind = POLICY_INTS};
    x.ints.n = n;
    x.ints.v = v;
    return x;
}

static void values_are_held_against_their_row(void **state)
{
    (void)state;
    static const int64_t two[] = {4, 64}, large[] = {4, 65}, five[] = {1, 2, 3, 4, 5};
    const struct {
        int param;
        policy_value v;
        bool fits;
    } cases[] = {
        {0, integer(1), true},
        {0, integer(8), true},
        {0, integer(0), false},
        {0, integer(9), false},
        {0, real(4), false},
        {0, word("4"), false},
        {1, integer(INT64_MIN), true},
        {1, real(0), false},
        {2, real(0.5), true},
        {2, real(0.51), false},
        {2, real(NAN), false},
        {2, integer(0), false},
        {4, word("age"), true},
        {4, word("saliency"), true},
        {4, word("sal"), false},
        {4, word(""), false},
        {4, word("size saliency"), false},
        {5, list(2, two), true},
        {5, list(2, large), false},
        {5, list(1, two), false},
        {6, list(0, NULL), false},
        {6, list(5, five), false},
        {6, list(4, five), true},
        {7, list(0, NULL), true},
        {7, list(5, five), true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (policy_accepts(&params[cases[i].param], &cases[i].v) != cases[i].fits)
            fail_msg("case %zu: %s", i, cases[i].fits ? "refused" : "accepted");
    policy_value a = list(2, two), b = list(2, large), zero = real(0), minus = real(-0.0);
    assert_true(policy_value_equal(&a, &a));
    assert_false(policy_value_equal(&a, &b));
    assert_false(policy_value_equal(&zero, &minus));
}

static void texts(void **state)
{
    (void)state;
    static const char *const want[N_PARAMS] = {"an integer in 1..8",        "an integer",
                                               "a number in 0.0..0.5",      "true or false",
                                               "size, saliency or age",     "a list of 2 integers in 1..64",
                                               "a list of 1 to 4 integers", "a list of integers"};
    arena *a = arena_new(NULL, NULL);
    for (int i = 0; i < N_PARAMS; i++) {
        strbuf b = strbuf_new(a);
        policy_param_print(&params[i], &b);
        assert_string_equal(b.s, want[i]);
    }
    const policy_verb v = {.name = "thin",
                           .relations = 1u << POLICY_AFTER | 1u << POLICY_IN,
                           .subjects = "linear gelu",
                           .params = params,
                           .n_params = N_PARAMS};
    strbuf b = strbuf_new(a);
    policy_verb_print(&v, &b);
    assert_string_equal(b.s, "thin [linear|gelu] in|after \"PLACE\" (n = INT, [any = INT], [part = FLOAT], "
                             "[on = true|false], [by = size|saliency|age], [tile = [INT, ...]], [axes = [INT, ...]], "
                             "[rest = [INT, ...]])");
    const policy_verbs all = {&v, 1};
    assert_ptr_equal(policy_verb_find(&all, "thin"), &v);
    assert_null(policy_verb_find(&all, "thi"));
    assert_null(policy_verb_find(NULL, "thin"));
    assert_ptr_equal(policy_param_find(&v, "tile"), &params[5]);
    assert_null(policy_param_find(&v, "til"));
    assert_false(policy_has_word(NULL, "x"));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values_are_held_against_their_row), cmocka_unit_test(texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
