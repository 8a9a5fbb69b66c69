#include "support/strbuf.h"

#include "unit/cmocka_all.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

static void test_building(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    strbuf b = strbuf_new(a);
    assert_string_equal(b.s, "");
    strbuf_adds(&b, "ab");
    strbuf_addc(&b, 'c');
    strbuf_add(&b, "defg", 2);
    strbuf_addf(&b, "<%d>", -5);
    strbuf_pad(&b, 3, '.');
    strbuf_add(&b, NULL, 0);
    strbuf_pad(&b, 0, '!');
    assert_string_equal(b.s, "abcde<-5>...");
    assert_int_equal(b.len, 12);
    /* Every length around the growth steps. */
    for (size_t n = 0; n < 300; n++) {
        strbuf c = strbuf_new(a);
        strbuf_pad(&c, n, 'x');
        strbuf_addf(&c, "%s", "yz");
        assert_int_equal(c.len, n + 2);
        assert_int_equal(strlen(c.s), n + 2);
        assert_string_equal(c.s + n, "yz");
    }
    arena_free(a);
}

static uint64_t bits_of(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static double double_of(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static void assert_double_text(arena *a, double x, const char *expected)
{
    strbuf b = strbuf_new(a);
    strbuf_add_double(&b, x);
    if (expected) assert_string_equal(b.s, expected);
    double back = 42;
    if (!parse_double(b.s, b.len, &back) || bits_of(back) != bits_of(x))
        fail_msg("%s reads back as %a, not %a", b.s, back, x);
    if (!strpbrk(b.s, ".en")) fail_msg("%s looks like an integer", b.s);
}

static void test_double_text(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    assert_double_text(a, 0.0, "0.0");
    assert_double_text(a, -0.0, "-0.0");
    assert_double_text(a, 1, "1.0");
    assert_double_text(a, 1e-12, "1e-12");
    assert_double_text(a, 0.1, "0.1");
    assert_double_text(a, 0.1 + 0.2, "0.30000000000000004");
    assert_double_text(a, 1e15, "1e+15");
    assert_double_text(a, 123456789012.0, "123456789012.0");
    assert_double_text(a, DBL_MAX, "1.7976931348623157e+308");
    assert_double_text(a, DBL_MIN, NULL);
    assert_double_text(a, 5e-324, "4.94065646e-324");
    assert_double_text(a, -double_of((UINT64_C(1) << 52) - 1), NULL); /* the largest denormal */
    assert_double_text(a, INFINITY, "inf");
    assert_double_text(a, -INFINITY, "-inf");
    assert_double_text(a, double_of(UINT64_C(0x7ff8000000000000)), "nan");
    assert_double_text(a, double_of(UINT64_C(0xfff8000000000000)), "-nan");
    assert_double_text(a, double_of(UINT64_C(0x7ff8000000000123)), "nan(0x8000000000123)");
    assert_double_text(a, double_of(UINT64_C(0xffffffffffffffff)), "-nan(0xfffffffffffff)");
    uint64_t r = 1;
    for (int i = 0; i < 20000; i++) {
        r = r * UINT64_C(6364136223846793005) + 1442695040888963407;
        assert_double_text(a, double_of(r ^ r >> 29), NULL);
        assert_double_text(a, (double)(float)((double)(int64_t)r * 0x1p-63), NULL);
    }
    arena_free(a);
}

static void test_parsing_doubles(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        double x;
    } good[] = {{"1", 1},
                {"+1.5", 1.5},
                {".5", 0.5},
                {"5.", 5},
                {"1e3", 1000},
                {"-1E-3", -0.001},
                {"0x1p-3", 0.125},
                {"0X1.8", 1.5},
                {"0x.8p1", 1},
                {"007", 7},
                {"1e-400", 0},
                {"inf", INFINITY},
                {"-inf", -INFINITY},
                {"1e+0", 1},
                {"0.1000000000000000055511151231257827", 0.1}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        double x = 42;
        if (!parse_double(good[i].s, strlen(good[i].s), &x) || x != good[i].x) fail_msg("%s gives %a", good[i].s, x);
    }
    static const char *const bad[] = {"",      " 1",     "1 ",    "1x",       "-",        "+",
                                      ".",     "e5",     "1e",    "1e+",      "1.2.3",    "0x",
                                      "0xp1",  "0x1p",   "1p3",   "--1",      "infinity", "Inf",
                                      "NaN",   "nan(",   "nan()", "nan(0x0)", "nan(1)",   "nan(0x10000000000000)",
                                      "1e999", "-1e999", "1,5",   "1_000"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double x = 42;
        if (parse_double(bad[i], strlen(bad[i]), &x)) fail_msg("'%s' was read as %a", bad[i], x);
        assert_true(x == 42);
    }
    /* Exactly n bytes: no terminator is needed or looked for. */
    char *exact = malloc(3);
    assert_non_null(exact);
    memcpy(exact, "1.5", 3);
    double x;
    assert_true(parse_double(exact, 3, &x) && x == 1.5);
    assert_true(parse_double(exact, 1, &x) && x == 1);
    free(exact);
    assert_false(parse_double("1\0"
                              "2",
                              3, &x));
    /* Longer than any buffer. */
    char digits[5001] = "0.";
    memset(digits + 2, '3', sizeof digits - 3);
    assert_true(parse_double(digits, sizeof digits - 1, &x) && x == 1.0 / 3);
}

static void test_locale_does_not_matter(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ps_AF.UTF-8"};
    size_t i = 0;
    while (i < sizeof names / sizeof *names && !setlocale(LC_ALL, names[i])) i++;
    if (i == sizeof names / sizeof *names) skip();
    arena *a = arena_new(NULL, NULL);
    assert_double_text(a, 1.5, "1.5");
    assert_double_text(a, -0.001, "-0.001");
    arena_free(a);
    setlocale(LC_ALL, "C");
}

static void test_suggestions(void **state)
{
    (void)state;
    static const char *const names[] = {"linear", "layer_norm", "l2_normalize", "softmax", "q", "key", "x"};
    const uint32_t n = sizeof names / sizeof *names;
    assert_string_equal(suggest("liner", names, n), "linear");
    assert_string_equal(suggest("lineaer", names, n), "linear");
    assert_string_equal(suggest("layernorm", names, n), "layer_norm");
    assert_string_equal(suggest("sotfmax", names, n), "softmax");
    assert_string_equal(suggest("kye", names, n), "key");
    assert_null(suggest("gelu", names, n));
    assert_null(suggest("y", names, n)); /* nothing of it would be left */
    assert_null(suggest("", names, n));
    assert_null(suggest("linear", NULL, 0));
    assert_null(suggest("softmax", names + 3, 1)); /* what is not there is not itself */
    /* The nearest, not the first. */
    static const char *const near[] = {"encoder.layers", "encoder.lay_", "encoder.layer"};
    assert_string_equal(suggest("encoder.laeyr", near, 3), "encoder.layer");
    char longest[300];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    const char *const one[] = {longest};
    assert_null(suggest(longest + 1, one, 1)); /* too long to compare */
    assert_ptr_equal(suggest(longest + 100, (const char *const[]){longest + 101}, 1), longest + 101);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_building),        cmocka_unit_test(test_double_text),
        cmocka_unit_test(test_parsing_doubles), cmocka_unit_test(test_locale_does_not_matter),
        cmocka_unit_test(test_suggestions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
