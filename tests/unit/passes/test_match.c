/* The guards that rewrites ask. */
#include "passes/match.h"
#include "tests/support/tir_session.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static value *named(const module *m, const char *name)
{
    const function *f = m->functions.data[0];
    for (uint32_t i = 0; i < f->args.len; i++)
        if (!strcmp(f->args.data[i].name, name)) return f->args.data[i].v;
    function_foreach (n, f)
        if (n->result->name && !strcmp(n->result->name, name)) return n->result;
    fail_msg("no value %s", name);
    return NULL;
}

static void uses_and_ops(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m =
        tir_parse(&s, "module m func @f(%x: f32[4], %unread: f32[4]) -> (y: f32[4], z: f32[4]) {\n"
                      "%once = exp %x : f32[4]\n%twice = exp %once : f32[4]\n%square = mul %twice, %twice : f32[4]\n"
                      "%out = add %square, %x : f32[4]\n%both = neg %out : f32[4]\npoint \"p:once\" = %once\n"
                      "return %out, %both }");
    assert_non_null(m);
    const function *f = m->functions.data[0];
    assert_true(match_single_use(named(m, "once")));
    assert_ptr_equal(match_only_user(named(m, "once")), named(m, "twice")->def);
    assert_false(match_single_use(named(m, "twice"))); /* one reader, two operands */
    assert_true(match_single_use(named(m, "square")));
    assert_false(match_single_use(named(m, "out")));  /* a reader and a result */
    assert_false(match_single_use(named(m, "both"))); /* a result alone */
    assert_false(match_single_use(named(m, "unread")));
    assert_non_null(match_op(named(m, "once"), OP_EXP));
    assert_null(match_op(named(m, "once"), OP_LOG));
    assert_null(match_op(named(m, "x"), OP_EXP)); /* arguments have no definition */
    assert_true(match_point(f, named(m, "once")));
    assert_false(match_point(f, named(m, "twice")));
    tir_close(&s);
}

static void constants_by_their_bits(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(&s, "module m func @f(%x: f32[4]) -> () {\n%zero = const {value = 0.0} : f32\n"
                              "%minus = const {value = -0.0} : f32\n%wide = broadcast %minus {axes = []} : f32[4]\n"
                              "%int = const {ivalue = 0} : i32\nreturn }");
    assert_true(match_splat(named(m, "zero"), 0.0));
    assert_false(match_splat(named(m, "zero"), -0.0));
    assert_false(match_splat(named(m, "minus"), 0.0));
    assert_true(match_splat(named(m, "wide"), -0.0));
    assert_true(match_splat(named(m, "int"), 0.0));
    assert_false(match_splat(named(m, "x"), 0.0));
    tir_close(&s);
}

static void what_is_rounded_already(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(
        &s, "module m param \"w\" : f32[4] func @f(%x: f32[4], %h: bf16[4], %i: i32[4]) -> () {\n"
            "%w = param \"w\" : f32[4]\n%view = reshape %x : f32[2, 2]\n%sum = add %x, %w : f32[4]\n"
            "%of_sum = reshape %sum : f32[2, 2]\n%narrow = cast %sum : bf16[4]\n%wide = cast %sum : f64[4]\n"
            "%from_half = cast %h : f32[4]\n%from_int = cast %i : f32[4]\n%table = gather %w, %i {axis = 0} : f32[4]\n"
            "return }");
    static const char *const yes[] = {"x", "w", "view", "narrow", "from_half", "from_int", "table", "i"};
    static const char *const no[] = {"sum", "of_sum", "wide"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!match_rounded(named(m, yes[i]))) fail_msg("%s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (match_rounded(named(m, no[i]))) fail_msg("%s", no[i]);
    tir_close(&s);
}

static void borders_of_a_region(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(
        &s,
        "module m param \"w\" : f32[4] func @f(%x: f32[4], %y: f32[4]) -> (r: f32[4], q: f32[4]) {\n"
        "region r1 = \"layer\" at \"l\"\nregion r2 = \"gelu\" at \"l\" in r1\nregion r3 = \"empty\" at \"l\"\n"
        "%before = neg %x : f32[4]\n%one = const {value = 1.0} : f32[4]\n%w = param \"w\" : f32[4] in r1\n"
        "%a = add %before, %one : f32[4] in r1\n%b = mul %a, %w : f32[4] in r2\n%c = sub %b, %before : f32[4] in r2\n"
        "%d = add %c, %y : f32[4] in r1\n%after = exp %a : f32[4]\n%e = add %after, %d : f32[4] in r1\n"
        "return %e, %after }");
    assert_non_null(m);
    const function *f = m->functions.data[0];
    region_border b;
    match_region(f, m->regions.data[1], s.a, &b);
    assert_int_equal(b.nodes.len, 6);
    assert_int_equal(b.inputs.len, 3); /* the constant and the parameter are no inputs */
    assert_ptr_equal(b.inputs.data[0], named(m, "before"));
    assert_ptr_equal(b.inputs.data[1], named(m, "y"));
    assert_ptr_equal(b.inputs.data[2], named(m, "after"));
    assert_int_equal(b.outputs.len, 2);
    assert_ptr_equal(b.outputs.data[0], named(m, "a")); /* escapes in the middle */
    assert_ptr_equal(b.outputs.data[1], named(m, "e"));
    match_region(f, m->regions.data[2], s.a, &b);
    assert_int_equal(b.nodes.len, 2);
    assert_ptr_equal(b.inputs.data[0], named(m, "a"));
    assert_int_equal(b.outputs.len, 1);
    match_region(f, m->regions.data[3], s.a, &b);
    assert_int_equal(b.nodes.len + b.inputs.len + b.outputs.len, 0);
    tir_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uses_and_ops),
        cmocka_unit_test(constants_by_their_bits),
        cmocka_unit_test(what_is_rounded_already),
        cmocka_unit_test(borders_of_a_region),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
