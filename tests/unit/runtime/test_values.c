/* Elements as doubles and back: every bit pattern of the small floats, rounding, saturation. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/tfxrun.h"

static double decode(int32_t dtype, uint16_t bits)
{
    uint8_t one = (uint8_t)bits;
    return value_npy(dtype) == NPY_RAW8 ? value_get(dtype, &one, 0) : value_get(dtype, &bits, 0);
}

static uint16_t encode(int32_t dtype, double v)
{
    uint8_t one = 0;
    uint16_t two = 0;
    if (value_npy(dtype) == NPY_RAW8) value_set(dtype, &one, 0, v);
    else value_set(dtype, &two, 0, v);
    return value_npy(dtype) == NPY_RAW8 ? one : two;
}

/* Every pattern that is a number comes back as itself; between two neighbours the nearer is taken, the even one of a
 * tie. */
static void small_floats(void **state)
{
    (void)state;
    static const struct {
        int32_t dtype;
        uint32_t patterns, positive; /* positive: finite patterns without the sign, in order of value */
    } formats[] = {{TFX_F16, 65536, 0x7c00},
                   {TFX_BF16, 65536, 0x7f80},
                   {TFX_F8E4M3, 256, 0x7f},
                   {TFX_F8E5M2, 256, 0x7c},
                   {TFX_F8E8M0, 256, 0xff}};
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        int32_t t = formats[f].dtype;
        for (uint32_t bits = 0; bits < formats[f].patterns; bits++) {
            double v = decode(t, (uint16_t)bits);
            if (isnan(v)) assert_true(isnan(decode(t, encode(t, v))));
            else assert_int_equal(encode(t, v), bits);
        }
        for (uint32_t bits = 0; bits + 1 < formats[f].positive; bits++) {
            double a = decode(t, (uint16_t)bits), b = decode(t, (uint16_t)(bits + 1)), middle = a + (b - a) / 2;
            assert_true(a < b);
            if (t == TFX_F8E8M0) continue; /* powers of two: the middle is no tie in the exponent */
            assert_int_equal(encode(t, middle), bits + (bits & 1));
            assert_int_equal(encode(t, nextafter(middle, a)), bits);
            assert_int_equal(encode(t, nextafter(middle, b)), bits + 1);
        }
    }
}

static void known_values(void **state)
{
    (void)state;
    assert_int_equal(encode(TFX_F16, 1), 0x3c00);
    assert_int_equal(encode(TFX_F16, -2), 0xc000);
    assert_int_equal(encode(TFX_F16, 65504), 0x7bff);
    assert_int_equal(encode(TFX_F16, 65520), 0x7c00);
    assert_int_equal(encode(TFX_F16, -INFINITY), 0xfc00);
    assert_int_equal(encode(TFX_F16, ldexp(1, -24)), 1);
    assert_int_equal(encode(TFX_F16, ldexp(1, -25)), 0);
    assert_int_equal(encode(TFX_F16, -0.0), 0x8000);
    assert_int_equal(encode(TFX_BF16, 1), 0x3f80);
    assert_int_equal(encode(TFX_BF16, 3.5e38), 0x7f80);
    assert_int_equal(encode(TFX_F8E4M3, 448), 0x7e);
    assert_int_equal(encode(TFX_F8E4M3, 1e9), 0x7e); /* no infinity: the largest */
    assert_int_equal(encode(TFX_F8E4M3, INFINITY), 0x7e);
    assert_int_equal(encode(TFX_F8E5M2, 1e9), 0x7c);
    assert_int_equal(encode(TFX_F8E8M0, 1), 127);
    assert_int_equal(encode(TFX_F8E8M0, -5), 0);
    assert_true(decode(TFX_F8E8M0, 0) == ldexp(1, -127));
    assert_true(isnan(decode(TFX_F8E8M0, 255)) && isnan(decode(TFX_F8E4M3, 0x7f)) && isnan(decode(TFX_F16, 0x7e00)));
}

static void integers(void **state)
{
    (void)state;
    const uint64_t u = UINT64_MAX;
    assert_int_equal(value_get_int(TFX_U64, &u, 0), -1);
    assert_true(value_get(TFX_U64, &u, 0) == 0x1p64);
    const int8_t i8[] = {-128, 127};
    assert_int_equal(value_get_int(TFX_I8, i8, 0), -128);
    const uint8_t odd_true = 7;
    assert_int_equal(value_get_int(TFX_BOOL, &odd_true, 0), 1);
    uint8_t b = 9;
    value_set(TFX_BOOL, &b, 0, 3);
    assert_int_equal(b, 1);
    uint16_t u16[3] = {1, 2, 3};
    value_set(TFX_U16, u16, 1, 65535);
    assert_true(u16[0] == 1 && u16[1] == 65535 && u16[2] == 3);
}

static void nearest_names(void **state)
{
    (void)state;
    const char *const names[] = {"--input", "--output", "ids", "mask"};
    assert_string_equal(nearest("--inptu", names, 4), "--input");
    assert_string_equal(nearest("--ouput", names, 4), "--output");
    assert_string_equal(nearest("idx", names, 4), "ids");
    assert_null(nearest("pixels", names, 4));
    assert_null(nearest("", names, 4));
    char longest[200];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_null(nearest(longest, names, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_floats),
        cmocka_unit_test(known_values),
        cmocka_unit_test(integers),
        cmocka_unit_test(nearest_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
