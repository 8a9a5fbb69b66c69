/* argmax: values, ties, NaN, every kind of number, any axis; what inference refuses. */
#include "unit/ir/tensors.h"

static const char *program(fixture *x, const char *in, const char *out, int axis)
{
    return arena_printf(
        x->s.a,
        "module m\ndim S input 0..8\nfunc @f(%%a: %s) -> (y: %s) {\n %%y = argmax %%a {axis = %d} : %s\n"
        " return %%y\n}\n",
        in, out, axis, out);
}

static const tensor *argmax(fixture *x, const char *in, const char *out, int axis, tensor *a)
{
    return result(x, program(x, in, out, axis), &a);
}

static void test_values(void **state)
{
    (void)state;
    fixture x = open_fixture();
    tensor *a = FLOATS(DT_F32, SHAPE(2, 3), 1, 5, -2, 4, 3, 7);
    IS_INTS(argmax(&x, "f32[2, 3]", "i64[2]", 1, a), SHAPE(2), 1, 2);
    IS_INTS(argmax(&x, "f32[2, 3]", "i64[3]", 0, a), SHAPE(3), 1, 0, 1);
    tensor *middle = FLOATS(DT_F32, SHAPE(2, 2, 2), 1, 8, 3, 4, 5, 6, 7, 2);
    IS_INTS(argmax(&x, "f32[2, 2, 2]", "i64[2, 2]", 1, middle), SHAPE(2, 2), 1, 0, 1, 0);
    IS_INTS(argmax(&x, "f32[1]", "i64", 0, FLOATS(DT_F32, SHAPE(1), -INFINITY)), SHAPE(), 0);
    /* rows that do not exist */
    IS_INTS(argmax(&x, "f32[0, 3]", "i64[0]", 1, FLOATS(DT_F32, SHAPE(0, 3), 0)), SHAPE(0), 0);
    tir_close(&x.s);
}

static void test_order(void **state)
{
    (void)state;
    fixture x = open_fixture();
    /* the first of equals, and zeros are equal */
    tensor *ties = FLOATS(DT_F32, SHAPE(3, 3), 2, 2, 1, -0.0, 0.0, -0.0, -INFINITY, -INFINITY, -INFINITY);
    IS_INTS(argmax(&x, "f32[3, 3]", "i64[3]", 1, ties), SHAPE(3), 0, 0, 0);
    /* NaN is the largest, and the first one counts */
    tensor *nan = FLOATS(DT_F32, SHAPE(3, 3), INFINITY, NAN, NAN, NAN, 1, INFINITY, -1, INFINITY, NAN);
    IS_INTS(argmax(&x, "f32[3, 3]", "i64[3]", 1, nan), SHAPE(3), 1, 0, 2);
    IS_INTS(argmax(&x, "i8[3]", "i64", 0, INTS(DT_I8, SHAPE(3), -128, -1, -3)), SHAPE(), 1);
    IS_INTS(argmax(&x, "i64[3]", "i64", 0, INTS(DT_I64, SHAPE(3), INT64_MAX - 1, INT64_MAX, INT64_MIN)), SHAPE(), 1);
    IS_INTS(argmax(&x, "u64[3]", "i64", 0, INTS(DT_U64, SHAPE(3), INT64_MAX, -2, -1)), SHAPE(), 2);
    tir_close(&x.s);
}

static void refused(fixture *x, const char *text, const char *want)
{
    tir_forget(&x->s);
    if (tir_parse(&x->s, text)) fail_msg("accepted, expected: %s", want);
    if (!strstr(tir_messages(&x->s), want)) fail_msg("expected: %s\ngot:\n%s", want, tir_messages(&x->s));
}

static void test_refusals(void **state)
{
    (void)state;
    fixture x = open_fixture();
    refused(&x, program(&x, "f32[2, 3]", "i64[2]", 2), "axis 2 of a tensor of rank 2");
    refused(&x, program(&x, "f32[2, 3]", "i64[2]", -1), "axis -1 of a tensor of rank 2");
    refused(&x, program(&x, "bool[3]", "i64", 0), "argmax of bool");
    refused(&x, program(&x, "f32[2, 0]", "i64[2]", 1), "axis 1 of size 0 may be empty");
    refused(&x, program(&x, "f32[2, S]", "i64[2]", 1), "axis 1 of size S may be empty");
    refused(&x, program(&x, "f32[2, 3]", "i32[2]", 1), "i64[2]");
    tir_close(&x.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_order),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
