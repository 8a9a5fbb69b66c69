/* Every dtype of 16 bits or less is compared code by code with a reference that knows nothing but the format's
 * definition: the value of each code is spelled out with ldexp, and rounding is a search for the nearest code. */
#include "ir/dtype.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct {
    dtype t;
    int bits, exp, man, bias;
    enum { IEEE, FN, FINITE } kind;
} small;

static const small smalls[] = {
    {DT_F16, 16, 5, 10, 15, IEEE},   {DT_BF16, 16, 8, 7, 127, IEEE}, {DT_F8E4M3, 8, 4, 3, 7, FN},
    {DT_F8E5M2, 8, 5, 2, 15, IEEE},  {DT_F4, 4, 2, 1, 1, FINITE},    {DT_F6E2M3, 6, 2, 3, 1, FINITE},
    {DT_F6E3M2, 6, 3, 2, 3, FINITE},
};
#define N_SMALLS (sizeof smalls / sizeof smalls[0])

/* The value of a code, from the definition of the format. */
static double reference_value(const small *s, uint32_t code)
{
    int sign = code >> (s->bits - 1) & 1;
    int e = (int)(code >> s->man & ((1u << s->exp) - 1));
    int m = (int)(code & ((1u << s->man) - 1));
    double v;
    if (s->kind == IEEE && e == (1 << s->exp) - 1) v = m ? NAN : INFINITY;
    else if (s->kind == FN && e == (1 << s->exp) - 1 && m == (1 << s->man) - 1) v = NAN;
    else if (e == 0) v = ldexp(m, 1 - s->bias - s->man);
    else v = ldexp(1 + ldexp(m, -s->man), e - s->bias);
    return sign ? -v : v;
}

static void put_code(void *at, const small *s, uint32_t code)
{
    uint16_t h = (uint16_t)code;
    memcpy(at, &h, s->bits == 16 ? 2 : 1);
}

static uint32_t get_code(const void *at, const small *s)
{
    uint16_t h = 0;
    memcpy(&h, at, s->bits == 16 ? 2 : 1);
    return h & (uint32_t)((1u << s->bits) - 1);
}

static bool same(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b);
}

static void test_decode_every_code(void **state)
{
    (void)state;
    for (size_t k = 0; k < N_SMALLS; k++)
        for (uint32_t code = 0; code < 1u << smalls[k].bits; code++) {
            uint8_t at[2];
            put_code(at, &smalls[k], code);
            double want = reference_value(&smalls[k], code), got = dtype_load_f64(smalls[k].t, at, 0);
            if (!same(want, got))
                fail_msg("%s code %#x: expected %a, got %a", dtype_name(smalls[k].t), code, want, got);
        }
}

static void test_every_code_survives(void **state)
{
    (void)state;
    for (size_t k = 0; k < N_SMALLS; k++)
        for (uint32_t code = 0; code < 1u << smalls[k].bits; code++) {
            const small *s = &smalls[k];
            uint8_t at[2];
            put_code(at, s, code);
            double v = dtype_load_f64(s->t, at, 0);
            memset(at, 0xa5, sizeof at);
            dtype_store_f64(s->t, at, 0, v);
            uint32_t want = code;
            if (isnan(v) && s->kind == IEEE) want |= 1u << (s->man - 1); /* NaNs come back quiet, payload kept */
            if (get_code(at, s) != want)
                fail_msg("%s code %#x came back as %#x", dtype_name(s->t), code, get_code(at, s));
            if (!isnan(v)) assert_true(same(dtype_round(s->t, v), v));
        }
}

static void expect_code(const small *s, double v, uint32_t want)
{
    uint8_t at[2] = {0, 0};
    dtype_store_f64(s->t, at, 0, v);
    if (get_code(at, s) != want)
        fail_msg("%s of %a: expected code %#x, got %#x", dtype_name(s->t), v, want, get_code(at, s));
    assert_true(same(dtype_round(s->t, v), reference_value(s, want)));
}

/* Between each pair of neighbours: the midpoint goes to the even code, one ulp of a double either side to the nearer
 * one. */
static void test_round_to_nearest_even(void **state)
{
    (void)state;
    for (size_t k = 0; k < N_SMALLS; k++) {
        const small *s = &smalls[k];
        uint32_t sign = 1u << (s->bits - 1);
        for (uint32_t code = 0; code + 1 < sign; code++) {
            double a = reference_value(s, code), b = reference_value(s, code + 1);
            if (!isfinite(a) || isnan(b)) continue;
            if (isinf(b)) b = 2 * a - reference_value(s, code - 1); /* where the next number would have been */
            double mid = (a + b) / 2;                               /* exact: one more bit than the format has */
            uint32_t even = code % 2 == 0 ? code : code + 1;
            expect_code(s, mid, even);
            expect_code(s, nextafter(mid, 0), code);
            expect_code(s, nextafter(mid, INFINITY), code + 1);
            expect_code(s, -mid, sign | even);
            expect_code(s, -nextafter(mid, 0), sign | code);
            expect_code(s, -nextafter(mid, INFINITY), sign | (code + 1));
        }
    }
}

static void test_out_of_range(void **state)
{
    (void)state;
    for (size_t k = 0; k < N_SMALLS; k++) {
        const small *s = &smalls[k];
        uint32_t sign = 1u << (s->bits - 1), ones = sign - 1;
        uint32_t inf = ((1u << s->exp) - 1) << s->man;
        uint32_t top = s->kind == IEEE ? inf : s->kind == FN ? ones - 1 : ones;
        const double huge[] = {INFINITY, 1e300, 0x1p200, 1.7976931348623157e308};
        for (int i = 0; i < 4; i++) {
            expect_code(s, huge[i], top);
            expect_code(s, -huge[i], sign | top);
        }
        const double tiny[] = {0, 4.9e-324, 1e-310, 0x1p-200, 2.2250738585072014e-308};
        for (int i = 0; i < 5; i++) {
            expect_code(s, tiny[i], 0);
            expect_code(s, -tiny[i], sign);
        }
        uint8_t at[2] = {0, 0};
        dtype_store_f64(s->t, at, 0, NAN);
        double back = dtype_load_f64(s->t, at, 0);
        if (s->kind == FINITE) assert_true(back == reference_value(s, ones));
        else assert_true(isnan(back));
    }
}

static void test_known_values(void **state)
{
    (void)state;
    double hi;
    dtype_range(DT_F8E4M3, NULL, &hi, NULL);
    assert_true(hi == 448);
    dtype_range(DT_F8E5M2, NULL, &hi, NULL);
    assert_true(hi == 57344);
    dtype_range(DT_F4, NULL, &hi, NULL);
    assert_true(hi == 6);
    dtype_range(DT_F6E2M3, NULL, &hi, NULL);
    assert_true(hi == 7.5);
    dtype_range(DT_F6E3M2, NULL, &hi, NULL);
    assert_true(hi == 28);
    dtype_range(DT_F16, NULL, &hi, NULL);
    assert_true(hi == 65504);
    dtype_range(DT_BF16, NULL, &hi, NULL);
    assert_true(hi == 0x1.fep127);
    /* A double rounding trap: just above a bf16 tie, below what f32 can tell from it. */
    assert_true(dtype_round(DT_BF16, 1 + 0x1p-8 + 0x1p-40) == 1 + 0x1p-7);
    assert_true(dtype_round(DT_F16, 1 + 0x1p-11 + 0x1p-40) == 1 + 0x1p-10);
    assert_true(dtype_round(DT_F32, 1e39) == INFINITY);
}

static void test_e8m0(void **state)
{
    (void)state;
    for (int code = 0; code < 255; code++) {
        uint8_t c = (uint8_t)code;
        assert_true(dtype_load_f64(DT_F8E8M0, &c, 0) == ldexp(1, code - 127));
        uint8_t back = 0xaa;
        dtype_store_f64(DT_F8E8M0, &back, 0, ldexp(1, code - 127));
        assert_int_equal(back, code);
        double mid = ldexp(1.5, code - 127);
        dtype_store_f64(DT_F8E8M0, &back, 0, nextafter(mid, 0));
        assert_int_equal(back, code);
        dtype_store_f64(DT_F8E8M0, &back, 0, mid);
        assert_int_equal(back, code == 254 ? 254 : code + 1);
    }
    uint8_t c = 0xff;
    assert_true(isnan(dtype_load_f64(DT_F8E8M0, &c, 0)));
    const struct {
        double v;
        int code;
    } cases[] = {{NAN, 255}, {-1, 255}, {-INFINITY, 255}, {INFINITY, 254}, {1e300, 254},
                 {0, 0},     {-0.0, 0}, {0x1p-128, 0},    {0x1p-1000, 0},  {4.9e-324, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dtype_store_f64(DT_F8E8M0, &c, 0, cases[i].v);
        assert_int_equal(c, cases[i].code);
    }
}

static void test_packed_storage(void **state)
{
    (void)state;
    const dtype packed[] = {DT_F4, DT_F6E2M3, DT_F6E3M2};
    assert_int_equal(dtype_bytes(DT_F4, 5), 3);
    assert_int_equal(dtype_bytes(DT_F6E2M3, 4), 3);
    assert_int_equal(dtype_bytes(DT_F6E2M3, 5), 4);
    assert_int_equal(dtype_bytes(DT_F64, 0), 0);
    assert_int_equal(dtype_bytes(DT_BOOL, 7), 7);
    /* element 0 lies in the low bits of byte 0 */
    uint8_t nibbles[2] = {0x21, 0x43};
    for (int i = 0; i < 4; i++) {
        uint8_t one = (uint8_t)(i + 1);
        assert_true(dtype_load_f64(DT_F4, nibbles, (uint64_t)i) == dtype_load_f64(DT_F4, &one, 0));
    }
    for (int k = 0; k < 3; k++) {
        uint32_t bits = dtype_bits(packed[k]), codes = 1u << bits;
        enum { N = 67 };
        uint8_t store[N + 1];
        for (uint32_t seed = 0; seed < codes; seed++) {
            memset(store, seed % 2 ? 0xff : 0, sizeof store);
            for (uint32_t i = 0; i < N; i++) {
                uint8_t code = (uint8_t)((i * 7 + seed) % codes);
                dtype_store_f64(packed[k], store, i, dtype_load_f64(packed[k], &code, 0));
            }
            for (uint32_t i = 0; i < N; i++) {
                uint8_t code = (uint8_t)((i * 7 + seed) % codes);
                uint32_t got = 0;
                for (uint32_t b = 0; b < bits; b++)
                    got |= (uint32_t)(store[(i * bits + b) / 8] >> (i * bits + b) % 8 & 1) << b;
                assert_int_equal(got, code);
            }
            /* neighbours beyond the last element keep their bits */
            uint32_t end = N * bits;
            for (uint32_t b = end; b < (end + 7) / 8 * 8; b++) assert_int_equal(store[b / 8] >> b % 8 & 1, seed % 2);
        }
    }
}

static void test_ints(void **state)
{
    (void)state;
    uint8_t at[8];
    const dtype ints[] = {DT_I8, DT_U8, DT_I16, DT_U16, DT_I32, DT_U32, DT_I64, DT_U64};
    for (size_t k = 0; k < 8; k++) {
        dtype t = ints[k];
        double lo, hi;
        int bits;
        dtype_range(t, &lo, &hi, &bits);
        int64_t top = bits >= 63 ? (bits == 64 ? -1 : INT64_MAX) : (INT64_C(1) << bits) - 1;
        const struct {
            double v;
            int64_t want;
        } cases[] = {{2.9, 2}, {0.5, 0}, {NAN, 0}, {1e30, top}, {INFINITY, top}, {-0.0, 0}, {127, 127}, {-0.9, 0}};
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            dtype_store_f64(t, at, 0, cases[i].v);
            assert_int_equal(dtype_load_i64(t, at, 0), cases[i].want);
        }
        int64_t bottom = dtype_class_of(t) == DTC_UINT ? 0 : bits == 63 ? INT64_MIN : -(INT64_C(1) << bits);
        dtype_store_f64(t, at, 0, -1e30);
        assert_int_equal(dtype_load_i64(t, at, 0), bottom);
        dtype_store_f64(t, at, 0, -2.9);
        assert_int_equal(dtype_load_i64(t, at, 0), dtype_class_of(t) == DTC_UINT ? 0 : -2);
        for (int64_t v = -70000; v < 70000; v += 7) {
            dtype_store_i64(t, at, 0, v);
            assert_int_equal(dtype_load_i64(t, at, 0), dtype_wrap(t, v));
        }
    }
    assert_int_equal(dtype_wrap(DT_I8, 200), -56);
    assert_int_equal(dtype_wrap(DT_U8, -1), 255);
    assert_int_equal(dtype_wrap(DT_I32, INT64_C(0x180000000)), INT32_MIN);
    assert_int_equal(dtype_wrap(DT_BOOL, 256), 1);
    /* i64 and u64 beyond 2^53 */
    dtype_store_i64(DT_I64, at, 0, INT64_MAX - 1);
    assert_int_equal(dtype_load_i64(DT_I64, at, 0), INT64_MAX - 1);
    dtype_store_i64(DT_U64, at, 0, -1);
    assert_true(dtype_load_f64(DT_U64, at, 0) == 0x1p64);
    dtype_store_f64(DT_U64, at, 0, 0x1p63);
    assert_int_equal(dtype_load_i64(DT_U64, at, 0), INT64_MIN);
    /* ints into floats are rounded once */
    dtype_store_i64(DT_F32, at, 0, (INT64_C(1) << 60) + (INT64_C(1) << 36) + 1);
    assert_true(dtype_load_f64(DT_F32, at, 0) == 0x1p60 + 0x1p37);
    dtype_store_i64(DT_BF16, at, 0, -((INT64_C(1) << 60) + (INT64_C(1) << 52) + 1));
    assert_true(dtype_load_f64(DT_BF16, at, 0) == -(0x1p60 + 0x1p53));
    dtype_store_i64(DT_F16, at, 0, INT64_MIN);
    assert_true(dtype_load_f64(DT_F16, at, 0) == -INFINITY);
    /* bool */
    const double truths[] = {1, -1, 0.25, 1e-300, NAN, INFINITY};
    for (int i = 0; i < 6; i++) {
        dtype_store_f64(DT_BOOL, at, 0, truths[i]);
        assert_int_equal(at[0], 1);
    }
    dtype_store_f64(DT_BOOL, at, 0, -0.0);
    assert_int_equal(at[0], 0);
    at[0] = 7; /* any set byte of storage reads as true */
    assert_int_equal(dtype_load_i64(DT_BOOL, at, 0), 1);
    assert_true(dtype_load_f64(DT_BOOL, at, 0) == 1);
    /* floats read as ints */
    dtype_store_f64(DT_F32, at, 0, -3.99);
    assert_int_equal(dtype_load_i64(DT_F32, at, 0), -3);
    dtype_store_f64(DT_F32, at, 0, INFINITY);
    assert_int_equal(dtype_load_i64(DT_F32, at, 0), INT64_MAX);
}

static void test_convert(void **state)
{
    (void)state;
    const uint64_t big[3] = {UINT64_MAX, (UINT64_C(1) << 63) + (UINT64_C(1) << 39) + 1, 7};
    float f[3];
    dtype_convert(DT_F32, f, DT_U64, big, 3);
    assert_true(f[0] == 0x1p64f && f[1] == 0x1.000002p63f && f[2] == 7);
    for (uint32_t code = 0; code < 1u << 16; code++) {
        uint16_t h = (uint16_t)code;
        float direct, through;
        dtype_convert(DT_F32, &direct, DT_BF16, &h, 1);
        dtype_store_f64(DT_F32, &through, 0, dtype_load_f64(DT_BF16, &h, 0));
        assert_memory_equal(&direct, &through, 4);
    }
    const float from[5] = {1.5f, -2, 6, 0.25f, NAN};
    uint8_t packed[3] = {0xff, 0xff, 0xff};
    dtype_convert(DT_F4, packed, DT_F32, from, 5);
    assert_int_equal(packed[0], 0xc3); /* -2, 1.5 */
    assert_int_equal(packed[1], 0x07); /* 0.25 -> 0, 6 */
    assert_int_equal(packed[2], 0xf7);
    int8_t ints[5];
    dtype_convert(DT_I8, ints, DT_F32, (const float[]){300, -300, 1.9f, NAN, -1.9f}, 5);
    assert_memory_equal(ints, ((const int8_t[]){127, -128, 1, 0, -1}), 5);
    dtype_convert(DT_I8, ints, DT_I32, (const int32_t[]){300, -300, 127, 128, -1}, 5);
    assert_memory_equal(ints, ((const int8_t[]){44, -44, 127, -128, -1}), 5);
    dtype_convert(DT_F4, packed, DT_F4, (const uint8_t[]){0x21, 0x03}, 3);
    assert_int_equal(packed[0], 0x21);
    assert_int_equal(packed[1], 0x03);
    dtype_convert(DT_F32, NULL, DT_F32, NULL, 0);
}

static void test_names(void **state)
{
    (void)state;
    for (unsigned t = 0; t < DT_COUNT; t++) {
        dtype back = DT_COUNT;
        const char *name = dtype_name((dtype)t);
        assert_true(dtype_parse(name, strlen(name), &back));
        assert_int_equal(back, t);
        assert_false(dtype_parse(name, strlen(name) - 1, &back) && back == (dtype)t);
    }
    dtype t;
    assert_false(dtype_parse("f33", 3, &t));
    assert_false(dtype_parse("", 0, &t));
    assert_false(dtype_parse("F32", 3, &t));
}

/* dtype_contains against the definition: every value of `from` survives in `to`. */
static void test_contains(void **state)
{
    (void)state;
    for (unsigned from = 0; from < DT_COUNT; from++) {
        uint32_t bits = from == DT_BOOL ? 1 : dtype_bits((dtype)from);
        if (bits > 16) continue;
        for (unsigned to = 0; to < DT_COUNT; to++) {
            bool all = true;
            for (uint32_t code = 0; code < 1u << bits && all; code++) {
                uint16_t h = (uint16_t)code;
                uint8_t at[8] = {0};
                double v = dtype_load_f64((dtype)from, &h, 0);
                dtype_store_f64((dtype)to, at, 0, v);
                all = to == from || same(dtype_load_f64((dtype)to, at, 0), v);
            }
            if (all != dtype_contains((dtype)to, (dtype)from))
                fail_msg("%s holds every %s: expected %d", dtype_name((dtype)to), dtype_name((dtype)from), all);
        }
    }
    assert_true(dtype_contains(DT_F64, DT_I32));
    assert_true(dtype_contains(DT_F64, DT_F32));
    assert_false(dtype_contains(DT_F32, DT_I32));
    assert_false(dtype_contains(DT_F64, DT_I64));
    assert_false(dtype_contains(DT_I64, DT_U64));
    assert_true(dtype_contains(DT_I64, DT_U32));
    assert_false(dtype_contains(DT_I64, DT_F32));
    assert_false(dtype_contains(DT_F32, DT_F64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_every_code),
        cmocka_unit_test(test_every_code_survives),
        cmocka_unit_test(test_round_to_nearest_even),
        cmocka_unit_test(test_out_of_range),
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_e8m0),
        cmocka_unit_test(test_packed_storage),
        cmocka_unit_test(test_ints),
        cmocka_unit_test(test_convert),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_contains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
