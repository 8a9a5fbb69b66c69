/* top_k: order, ties, NaN, every kind of number, any axis; what inference refuses. */
#include "unit/ir/tensors.h"

static const char *program(fixture *x, const char *in, const char *v, const char *i, int axis, int count)
{
    return arena_printf(x->s.a,
                        "module m\ndim S input 0..8\nfunc @f(%%a: %s) -> (v: %s, i: %s) {\n"
                        " %%v, %%i = top_k %%a {axis = %d, count = %d} : %s, %s\n return %%v, %%i\n}\n",
                        in, v, i, axis, count, v, i);
}

static void run_top_k(fixture *x, const char *in, const char *v, const char *i, int axis, int count, tensor *a)
{
    (void)result(x, program(x, in, v, i, axis, count), &a);
}

static void falling_order(void **state)
{
    (void)state;
    fixture x = open_fixture();
    tensor *a = FLOATS(DT_F32, SHAPE(2, 5), 1, 5, -2, 4, 3, 0, -1, -5, -3, -2);
    run_top_k(&x, "f32[2, 5]", "f32[2, 3]", "i64[2, 3]", 1, 3, a);
    IS_FLOATS(x.out[0], SHAPE(2, 3), 5, 4, 3, 0, -1, -2);
    IS_INTS(x.out[1], SHAPE(2, 3), 1, 3, 4, 0, 1, 4);
    run_top_k(&x, "f32[2, 5]", "f32[1, 5]", "i64[1, 5]", 0, 1, a);
    IS_FLOATS(x.out[0], SHAPE(1, 5), 1, 5, -2, 4, 3);
    IS_INTS(x.out[1], SHAPE(1, 5), 0, 0, 0, 0, 0);
    tensor *middle = FLOATS(DT_F32, SHAPE(2, 3, 2), 1, 8, 3, 4, 2, 9, 5, 6, 7, 2, 6, 2);
    run_top_k(&x, "f32[2, 3, 2]", "f32[2, 2, 2]", "i64[2, 2, 2]", 1, 2, middle);
    IS_FLOATS(x.out[0], SHAPE(2, 2, 2), 3, 9, 2, 8, 7, 6, 6, 2);
    IS_INTS(x.out[1], SHAPE(2, 2, 2), 1, 2, 2, 0, 1, 0, 2, 1);
    tir_close(&x.s);
}

static void all_and_none(void **state)
{
    (void)state;
    fixture x = open_fixture();
    tensor *a = FLOATS(DT_F32, SHAPE(1, 3), 1, 3, 2);
    run_top_k(&x, "f32[1, 3]", "f32[1, 3]", "i64[1, 3]", 1, 3, a);
    IS_FLOATS(x.out[0], SHAPE(1, 3), 3, 2, 1);
    IS_INTS(x.out[1], SHAPE(1, 3), 1, 2, 0);
    run_top_k(&x, "f32[1, 3]", "f32[1, 0]", "i64[1, 0]", 1, 0, a);
    IS_FLOATS(x.out[0], SHAPE(1, 0), 0);
    run_top_k(&x, "f32[S, 3]", "f32[S, 2]", "i64[S, 2]", 1, 2, FLOATS(DT_F32, SHAPE(0, 3), 0));
    IS_INTS(x.out[1], SHAPE(0, 2), 0);
    tir_close(&x.s);
}

static void ties_and_nan(void **state)
{
    (void)state;
    fixture x = open_fixture();
    tensor *a = FLOATS(DT_F32, SHAPE(3, 5), 2, 7, 2, 7, 7, -0.0, 0.0, -1, 0.0, -0.0, 1, NAN, INFINITY, NAN, -INFINITY);
    run_top_k(&x, "f32[3, 5]", "f32[3, 4]", "i64[3, 4]", 1, 4, a);
    IS_FLOATS(x.out[0], SHAPE(3, 4), 7, 7, 7, 2, -0.0, 0.0, 0.0, -0.0, NAN, NAN, INFINITY, 1);
    IS_INTS(x.out[1], SHAPE(3, 4), 1, 3, 4, 0, 0, 1, 3, 4, 1, 3, 2, 0);
    tir_close(&x.s);
}

static void integers(void **state)
{
    (void)state;
    fixture x = open_fixture();
    run_top_k(&x, "i8[3]", "i8[2]", "i64[2]", 0, 2, INTS(DT_I8, SHAPE(3), -128, -1, -3));
    IS_INTS(x.out[0], SHAPE(2), -1, -3);
    IS_INTS(x.out[1], SHAPE(2), 1, 2);
    run_top_k(&x, "u64[3]", "u64[2]", "i64[2]", 0, 2, INTS(DT_U64, SHAPE(3), INT64_MAX, -2, -1));
    IS_INTS(x.out[1], SHAPE(2), 2, 1);
    tir_close(&x.s);
}

static void refused(fixture *x, const char *text, const char *want)
{
    tir_forget(&x->s);
    if (tir_parse(&x->s, text)) fail_msg("accepted, expected: %s", want);
    if (!strstr(tir_messages(&x->s), want)) fail_msg("expected: %s\ngot:\n%s", want, tir_messages(&x->s));
}

static void refusals(void **state)
{
    (void)state;
    fixture x = open_fixture();
    refused(&x, program(&x, "f32[2, 3]", "f32[2, 4]", "i64[2, 4]", 1, 4), "4 elements of axis 1 of size 3");
    refused(&x, program(&x, "f32[2, 3]", "f32[2, 3]", "i64[2, 3]", 1, -1), "-1 elements of axis 1 of size 3");
    refused(&x, program(&x, "f32[2, S]", "f32[2, 1]", "i64[2, 1]", 1, 1), "1 elements of axis 1 of size S");
    refused(&x, program(&x, "f32[2, 3]", "f32[2, 1]", "i64[2, 1]", 2, 1), "axis 2 of a tensor of rank 2");
    refused(&x, program(&x, "bool[3]", "bool[1]", "i64[1]", 0, 1), "the largest elements of bool");
    refused(&x, program(&x, "f32[3]", "f32[1]", "i32[1]", 0, 1), "the result of top_k is f32[1], i64[1]");
    refused(&x,
            "module m\nfunc @f(%a: f32[3]) -> () {\n %v = top_k %a {axis = 0, count = 1} : f32[1], i64[1]\n return }",
            "top_k has 2 results, not 1");
    refused(
        &x,
        "module m\nfunc @f(%a: f32[3]) -> () {\n %v, %v = top_k %a {axis = 0, count = 1} : f32[1], i64[1]\n return }",
        "%v is defined twice");
    refused(&x, "module m\nfunc @f(%a: f32[3]) -> () {\n %v, %i = exp %a : f32[3]\n return }",
            "exp has 1 results, not 2");
    tir_close(&x.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(falling_order), cmocka_unit_test(all_and_none), cmocka_unit_test(ties_and_nan),
        cmocka_unit_test(integers),      cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
