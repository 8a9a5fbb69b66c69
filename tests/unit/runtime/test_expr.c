/* Postfix size expressions and the small arithmetic around them. */
#include "toy_call.h"

#define C(v) {RT_EXPR_CONST, v}
#define D(i) {RT_EXPR_DIM, i}
#define OP(x) {RT_EXPR_##x, 0}

static const int64_t dims[] = {5, -7, INT64_MAX, INT64_MIN};

#define expect(value, ...)                                      \
    do {                                                        \
        const struct rt_expr_op ops_[] = {__VA_ARGS__};         \
        struct rt_expr e_ = {ops_, sizeof ops_ / sizeof *ops_}; \
        int64_t got_ = 12345;                                   \
        assert_true(rt_expr_eval(&e_, dims, &got_));            \
        assert_int_equal(got_, value);                          \
    } while (0)
#define refused(...)                                            \
    do {                                                        \
        const struct rt_expr_op ops_[] = {__VA_ARGS__};         \
        struct rt_expr e_ = {ops_, sizeof ops_ / sizeof *ops_}; \
        int64_t got_;                                           \
        assert_false(rt_expr_eval(&e_, dims, &got_));           \
    } while (0)

static void values(void **state)
{
    (void)state;
    expect(42, C(42));
    expect(5, D(0));
    expect(-2, D(0), D(1), OP(ADD));
    expect(12, D(0), D(1), OP(SUB));
    expect(-35, D(0), D(1), OP(MUL));
    expect(-7, D(0), D(1), OP(MIN));
    expect(5, D(0), D(1), OP(MAX));
    expect(16, C(1), C(3), D(0), OP(MUL), OP(ADD)); /* 1 + 3 * 5 */
}

static void division_rounds_down(void **state)
{
    (void)state;
    const int64_t want[][4] = {{7, 2, 3, 1}, {-7, 2, -4, 1}, {7, -2, -4, -1}, {-7, -2, 3, -1},
                               {6, 3, 2, 0}, {-6, 3, -2, 0}, {0, 5, 0, 0}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        expect(want[i][2], C(want[i][0]), C(want[i][1]), OP(FLOORDIV));
        expect(want[i][3], C(want[i][0]), C(want[i][1]), OP(MOD));
    }
}

static void refusals(void **state)
{
    (void)state;
    refused(D(0), C(0), OP(FLOORDIV));
    refused(D(0), C(0), OP(MOD));
    refused(D(2), C(1), OP(ADD));
    refused(D(3), C(1), OP(SUB));
    refused(D(2), C(2), OP(MUL));
    refused(D(3), C(-1), OP(FLOORDIV));
    refused(OP(ADD));             /* nothing to add */
    refused(C(1), OP(ADD));       /* one thing to add */
    refused(C(1), C(2));          /* two results */
    refused(C(1), C(2), {77, 0}); /* no such operation */
    struct rt_expr empty = {NULL, 0};
    int64_t v;
    assert_false(rt_expr_eval(&empty, dims, &v));
    struct rt_expr_op deep[RT_EXPR_DEPTH + 1];
    for (size_t i = 0; i <= RT_EXPR_DEPTH; i++) deep[i] = (struct rt_expr_op){RT_EXPR_CONST, 1};
    struct rt_expr e = {deep, RT_EXPR_DEPTH + 1};
    assert_false(rt_expr_eval(&e, dims, &v));
}

static void dim_bounds(void **state)
{
    (void)state;
    const tfx_dim_info d = {"M", 8, 32, 8}, odd = {"N", 3, 100, 7}, neg = {"K", -5, 5, 4};
    assert_true(rt_dim_allowed(&d, 8) && rt_dim_allowed(&d, 32));
    assert_false(rt_dim_allowed(&d, 0) || rt_dim_allowed(&d, 12) || rt_dim_allowed(&d, 40));
    assert_int_equal(rt_dim_least(&d), 8);
    assert_int_equal(rt_dim_least(&odd), 7);
    assert_int_equal(rt_dim_least(&neg), -4);
}

static void negative_size_is_none(void **state)
{
    (void)state;
    const struct rt_expr_op ops[] = {D(0), C(6), OP(SUB)};
    const struct rt_expr e = {ops, 3};
    struct rt_model m = {.computed = &e, .n_computed = 1};
    tfx_axis_info axis = {"B - 6", -1, 0, 10, -1, 0};
    int64_t size;
    assert_false(rt_axis_size(&m, &axis, (const int64_t[]){5}, &size));
    assert_true(rt_axis_size(&m, &axis, (const int64_t[]){6}, &size));
    assert_int_equal(size, 0);
}

static void text_is_cut_and_ended(void **state)
{
    (void)state;
    char s[8];
    memset(s, 'x', sizeof s);
    struct rt_text t;
    rt_text_start(&t, s, sizeof s);
    rt_text_add(&t, "%s", "abcd");
    rt_text_sizes(&t, 2, (const int64_t[]){10, 20});
    assert_string_equal(s, "abcd[10");
    rt_text_add(&t, "more");
    assert_string_equal(s, "abcd[10");
    rt_text_start(&t, s, 1);
    rt_text_add(&t, "a");
    assert_string_equal(s, "");
    rt_text_start(&t, NULL, 100);
    rt_text_add(&t, "nowhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),     cmocka_unit_test(division_rounds_down),  cmocka_unit_test(refusals),
        cmocka_unit_test(dim_bounds), cmocka_unit_test(negative_size_is_none), cmocka_unit_test(text_is_cut_and_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
