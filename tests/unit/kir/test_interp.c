/* The kernel interpreter op by op: values in the dtype's own arithmetic, and each kind of report. */
#include "unit/kir/golden.h"

#include "unit/cmocka_all.h"

#include <math.h>

/* A CPU kernel of one task with the given parameters and body. */
static kmodule *kernel(session *s, const char *params, const char *body)
{
    return parse_valid(
        s, arena_printf(s->a, "kernel @k cpu () (%s) { for %%task = 0 to 1 step 1 parallel { %s } }", params, body));
}

#define BIND(x) {x, sizeof(x)}

static void run_ok(session *s, const kmodule *m, const int64_t *dims, const kbinding *params)
{
    if (!run_kernel(s, m, dims, params, 1, NULL)) fail_msg("%s", session_messages(s));
}

static void run_bad(session *s, const kmodule *m, const int64_t *dims, const kbinding *params, const char *message)
{
    assert_false(run_kernel(s, m, dims, params, 1, NULL));
    expect_message(s, message);
}

/* ---- arithmetic ---- */

/* out = op(x, y) elementwise on 8 elements. */
static void elementwise(const char *op, const char *dt, const char *result, const void *x, const void *y, size_t bytes,
                        void *out, size_t out_bytes)
{
    session s = session_new();
    kmodule *m = kernel(
        &s, arena_printf(s.a, "%%x: %s global[8] in, %%y: %s global[8] in, %%z: %s global[8] out", dt, dt, result),
        arena_printf(s.a,
                     "%%a = load %%x[0] : %s<8> %%b = load %%y[0] : %s<8> %%c = %s %%a, %%b : %s<8> "
                     "store %%z[0], %%c",
                     dt, dt, op, result));
    kbinding params[] = {{(void *)x, bytes}, {(void *)y, bytes}, {out, out_bytes}};
    run_ok(&s, m, NULL, params);
    session_free(&s);
}

static void test_floats(void **state)
{
    (void)state;
    const float nan = NAN, inf = INFINITY;
    float x[8] = {1.0f, 16777216.0f, -0.0f, nan, 3e38f, -5.5f, 1e-45f, inf};
    float y[8] = {0x1p-25f, 1.0f, 0.0f, 1.0f, 3e38f, 2.0f, 1e-45f, -inf}, z[8];
    elementwise("add", "f32", "f32", x, y, sizeof x, z, sizeof z);
    assert_true(z[0] == 1.0f && z[1] == 16777216.0f && isnan(z[3]) && isinf(z[4]) && z[6] == x[6] + y[6] &&
                isnan(z[7]));
    elementwise("max", "f32", "f32", x, y, sizeof x, z, sizeof z);
    assert_true(z[2] == 0 && !signbit(z[2]) && isnan(z[3]) && z[5] == 2.0f);
    elementwise("min", "f32", "f32", x, y, sizeof x, z, sizeof z);
    assert_true(signbit(z[2]) && isnan(z[3]) && z[7] == -inf);
    elementwise("mod", "f32", "f32", x, y, sizeof x, z, sizeof z);
    assert_true(z[5] == 0.5f);
    uint8_t c[8];
    elementwise("lt", "f32", "bool", x, y, sizeof x, c, sizeof c);
    assert_true(!c[0] && !c[2] && !c[3] && c[5]);
    elementwise("ne", "f32", "bool", x, y, sizeof x, c, sizeof c);
    assert_true(c[0] && !c[2] && c[3] && !c[4]);
}

/* Narrow floats are rounded after every operation. */
static void test_narrow_floats(void **state)
{
    (void)state;
    uint16_t x[8], y[8], z[8];
    static const double a[8] = {256, 1, 1, 3e38, 0.1, -2, 1.0078125, 0},
                        b[8] = {1, 0.00390625, 0.01171875, 3e38, 0.2, 2, 1.0078125, -1};
    for (uint64_t i = 0; i < 8; i++) dtype_store_f64(DT_BF16, x, i, a[i]), dtype_store_f64(DT_BF16, y, i, b[i]);
    elementwise("add", "bf16", "bf16", x, y, sizeof x, z, sizeof z);
    assert_true(bf16_value(z[0]) == 256);      /* 257 is a tie between 256 and 258 */
    assert_true(bf16_value(z[1]) == 1);        /* 1 + 2^-8: a tie, even */
    assert_true(bf16_value(z[2]) == 1.015625); /* 1 + 3 * 2^-8: a tie, to the even one above */
    assert_true(isinf(bf16_value(z[3])));
    elementwise("mul", "bf16", "bf16", x, y, sizeof x, z, sizeof z);
    assert_true(bf16_value(z[6]) == 1.015625);
    uint16_t h[8], k[8], l[8];
    for (uint64_t i = 0; i < 8; i++)
        dtype_store_f64(DT_F16, h, i, i == 0 ? 60000 : 2048), dtype_store_f64(DT_F16, k, i, i == 0 ? 60000 : 1);
    elementwise("add", "f16", "f16", h, k, sizeof h, l, sizeof l);
    assert_true(isinf(dtype_load_f64(DT_F16, l, 0)) && dtype_load_f64(DT_F16, l, 1) == 2048);
}

static void test_ints(void **state)
{
    (void)state;
    int8_t a[8] = {127, -128, -7, 7, -7, 100, 5, 1}, b[8] = {1, -1, 2, -2, 0, 100, 0, 7}, c[8];
    elementwise("add", "i8", "i8", a, b, sizeof a, c, sizeof c);
    assert_true(c[0] == -128 && c[1] == 127 && c[5] == -56);
    elementwise("div", "i8", "i8", a, b, sizeof a, c, sizeof c);
    assert_true(c[1] == -128 && c[2] == -4 && c[3] == -4 && c[4] == 0);
    elementwise("mod", "i8", "i8", a, b, sizeof a, c, sizeof c);
    assert_true(c[2] == 1 && c[3] == -1 && c[4] == -7);
    elementwise("shl", "i8", "i8", a, b, sizeof a, c, sizeof c);
    assert_true(c[2] == (int8_t)-28 && c[7] == -128);
    uint64_t x[8] = {UINT64_MAX, 1, 0, UINT64_MAX, 1ull << 63, 5, 6, 7}, y[8] = {1, UINT64_MAX, 0, 2, 1, 3, 2, 1}, z[8];
    uint8_t less[8];
    elementwise("lt", "u64", "bool", x, y, sizeof x, less, sizeof less);
    assert_true(!less[0] && less[1] && !less[4]);
    elementwise("div", "u64", "u64", x, y, sizeof x, z, sizeof z);
    assert_true(z[3] == UINT64_MAX / 2 && z[2] == 0 && z[1] == 0);
    elementwise("shr", "u64", "u64", x, y, sizeof x, z, sizeof z);
    assert_true(z[0] == UINT64_MAX >> 1 && z[4] == 1ull << 62);
}

static void test_casts(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = kernel(&s,
                        "%x: f32 global[6] in, %i: i8 global[6] out, %u: u8 global[6] out, %b: bool global[6] out, %h: "
                        "bf16 global[6] out, "
                        "%q: i64 global[1] in, %f: f32 global[1] out, %bits: u32 global[6] out",
                        "%a = load %x[0] : f32<6> "
                        "%c = cast %a : i8<6> store %i[0], %c "
                        "%d = cast %a : u8<6> store %u[0], %d "
                        "%e = cast %a : bool<6> store %b[0], %e "
                        "%g = cast %a : bf16<6> store %h[0], %g "
                        "%w = load %q[0] : i64 %v = cast %w : f32 store %f[0], %v "
                        "%t = bitcast %a : u32<6> store %bits[0], %t");
    float x[6] = {-1.9f, 300.0f, NAN, -1e30f, 0.0f, 1.00390625f};
    int8_t i[6];
    uint8_t u[6], b[6];
    uint16_t h[6];
    uint32_t bits[6];
    int64_t q[1] = {(1ll << 53) + 1};
    float f[1];
    kbinding params[] = {BIND(x), BIND(i), BIND(u), BIND(b), BIND(h), BIND(q), BIND(f), BIND(bits)};
    run_ok(&s, m, NULL, params);
    assert_true(i[0] == -1 && i[1] == 127 && i[2] == 0 && i[3] == -128 && i[4] == 0);
    assert_true(u[0] == 0 && u[1] == 255 && u[2] == 0 && u[3] == 0);
    assert_true(b[0] && b[2] && !b[4]);
    assert_true(bf16_value(h[5]) == 1.0 && isnan(bf16_value(h[2])));
    assert_true(f[0] == 9007199254740992.0f);
    assert_memory_equal(bits, x, sizeof x);
    session_free(&s);
}

/* The order of summation is part of the op: the tests fix bits, not values. */
static void test_reduce_order(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m =
        kernel(&s, "%x: f32 global[7, 3] in, %r: f32 global[7] out, %c: f32 global[3] out, %h: f32 global[3] out",
               "%a = load %x[0, 0] : f32<7x3> "
               "%rows = reduce %a {kind = add, axis = 1} : f32<7x1> store %r[0], %rows axes [0, _] "
               "%cols = reduce %a {kind = add, axis = 0} : f32<1x3> store %c[0], %cols "
               "%most = reduce %a {kind = max, axis = 0} : f32<1x3> store %h[0], %most");
    float x[7][3], r[7], c[3], h[3];
    for (int i = 0; i < 7; i++)
        for (int j = 0; j < 3; j++) x[i][j] = ldexpf((float)(i * 3 + j + 1), (i * 5 + j * 11) % 24);
    kbinding params[] = {BIND(x), BIND(r), BIND(c), BIND(h)};
    run_ok(&s, m, NULL, params);
    for (int i = 0; i < 7; i++) assert_true(r[i] == (x[i][0] + x[i][2]) + x[i][1]);
    for (int j = 0; j < 3; j++) {
        float e0 = x[0][j] + x[4][j], e1 = x[1][j] + x[5][j], e2 = x[2][j] + x[6][j], e3 = x[3][j];
        assert_true(c[j] == (e0 + e2) + (e1 + e3));
        float most = x[0][j];
        for (int i = 1; i < 7; i++) most = x[i][j] > most ? x[i][j] : most;
        assert_true(h[j] == most);
    }
    session_free(&s);
}

static void test_contract(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m =
        kernel(&s,
               "%a: f32 global[3, 5] in, %b: f32 global[5, 4] in, %c: f32 global[3, 4] inout, "
               "%p: i8 global[2, 3] in, %q: u8 global[3, 2] in, %r: i32 global[2, 2] out, "
               "%x: bf16 global[1, 2] in, %y: bf16 global[2, 1] in, %z: f32 global[1, 1] out",
               "%av = load %a[0, 0] : f32<3x5, scalars> %bv = load %b[0, 0] : f32<5x4> %cv = load %c[0, 0] : f32<3x4> "
               "%t = contract %cv, %av, %bv : f32<3x4> store %c[0, 0], %t "
               "%pv = load %p[0, 0] : i8<2x3> %qv = load %q[0, 0] : u8<3x2> %zero = const 0 : i32<2x2> "
               "%u = contract %zero, %pv, %qv : i32<2x2> store %r[0, 0], %u "
               "%xv = load %x[0, 0] : bf16<1x2> %yv = load %y[0, 0] : bf16<2x1> %none = const 0.0 : f32<1x1> "
               "%v = contract %none, %xv, %yv : f32<1x1> store %z[0, 0], %v");
    float a[3][5], b[5][4], c[3][4], want[3][4];
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 5; k++) a[i][k] = 1.0f / (float)(i + 2 * k + 3);
    for (int k = 0; k < 5; k++)
        for (int j = 0; j < 4; j++) b[k][j] = (float)(k - j) * 0.7f;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) {
            want[i][j] = c[i][j] = (float)(i * j) + 0.3f;
            for (int k = 0; k < 5; k++) want[i][j] = fmaf(a[i][k], b[k][j], want[i][j]);
        }
    int8_t p[2][3] = {{-128, 127, 1}, {2, -3, 4}};
    uint8_t q[3][2] = {{255, 1}, {255, 2}, {3, 4}};
    int32_t r[2][2];
    uint16_t x[2], y[2];
    float z[1];
    dtype_store_f64(DT_BF16, x, 0, 1.5), dtype_store_f64(DT_BF16, x, 1, 2.0);
    dtype_store_f64(DT_BF16, y, 0, 3.0), dtype_store_f64(DT_BF16, y, 1, 0.25);
    kbinding params[] = {BIND(a), BIND(b), BIND(c), BIND(p), BIND(q), BIND(r), BIND(x), BIND(y), BIND(z)};
    run_ok(&s, m, NULL, params);
    assert_memory_equal(c, want, sizeof c);
    assert_true(r[0][0] == -128 * 255 + 127 * 255 + 3 && r[0][1] == -128 + 254 + 4 && r[1][0] == 510 - 765 + 12 &&
                r[1][1] == 2 - 6 + 16);
    assert_true(z[0] == 5.0f);
    session_free(&s);
}

/* ---- control ---- */

static void test_loops(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = kernel(&s, "%out: i64 global[6] out",
                        /* Values that change places: Fibonacci. */
                        "%zero = const 0 : i64 %one = const 1 : i64 %ten = const 10 : i64 "
                        "%fa, %fb = for %i = 0 to 10 step 1 carry (%a = %zero, %b = %one) { %n = add %a, %b : i64 "
                        "yield %b, %n } : i64, i64 "
                        "store %out[0], %fa "
                        "%same = for %j = 3 to 3 step 1 carry (%c = %ten) { yield %one } : i64 "
                        "store %out[1], %same "
                        "%last = for %k = -4 to %ten - 1 step 5 carry (%d = %zero) { yield %k } : i64 "
                        "store %out[2], %last "
                        "%yes = lt %zero, %one : bool "
                        "%r = if %yes { %deep = for %l = 0 to 3 step 1 carry (%e = %one) { %t = add %e, %e : i64 yield "
                        "%t } : i64 yield %deep } "
                        "else { yield %zero } : i64 "
                        "store %out[3], %r "
                        "switch %ten case 1 { store %out[4], %one } case 10 { store %out[4], %ten } default { } "
                        "switch %one case 0 { } default { store %out[5], %one }");
    int64_t out[6];
    kbinding params[] = {BIND(out)};
    run_ok(&s, m, NULL, params);
    assert_true(out[0] == 55 && out[1] == 10 && out[2] == 6 && out[3] == 8 && out[4] == 10 && out[5] == 1);
    session_free(&s);
}

/* ---- memory ---- */

static void test_bounds(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = parse_valid(&s, "kernel @k cpu (N in 0..9) (%x: f32 global[N, 2] in, %y: f32 global[8] inout) {"
                                 "  for %t = 0 to 1 step 1 parallel {"
                                 "    %n = dim N : i64"
                                 "    %a = load %x[0, 0] bound [%n, _] : f32<4x2>"
                                 "    %c = reduce %a {kind = add, axis = 1} : f32<4x1>"
                                 "    store %y[0], %c axes [0, _] bound [%n - 1, _]"
                                 "    %far = load %x[100, 7] bound [-3, 1] : f32<4x2>"
                                 "    %sum = reduce %far {kind = add, axis = 0} : f32<1x2>"
                                 "    store %y[6], %sum"
                                 "  } }");
    float x[] = {1, 2, 3, 4}, y[8] = {9, 9, 9, 9, 9, 9, 9, 9};
    int64_t n = 2;
    kbinding params[] = {BIND(x), BIND(y)};
    run_ok(&s, m, &n, params);
    static const float want[] = {3, 9, 9, 9, 9, 9, 0, 0};
    assert_memory_equal(y, want, sizeof y);
    n = 0;
    params[0] = (kbinding){NULL, 0};
    run_ok(&s, m, &n, params);
    session_free(&s);
}

static void test_strided_and_packed(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = kernel(&s,
                        "%x: i16 global[2, 3] strides[4, 1] in, %y: i16 global[3, 2] strides[1, 3] out, %f: f4 "
                        "global[6] in, %g: f32 global[6] out",
                        "%a = load %x[0, 0] : i16<2x3> store %y[0, 0], %a axes [1, 0] "
                        "%v = view %x[1, 1] : i16 global[2] %w = load %v[0] : i16<2> store %y[1, 0], %w axes [1] "
                        "%h = load %f[1] : f4<5> %i = cast %h : f32<5> store %g[0], %i %j = load %f[0] : f4 %k = cast "
                        "%j : f32 store %g[5], %k");
    int16_t x[] = {1, 2, 3, 99, 4, 5, 6}, y[6];
    uint8_t f[3] = {0x21, 0x43, 0xa5};
    float g[6];
    kbinding params[] = {BIND(x), BIND(y), BIND(f), BIND(g)};
    run_ok(&s, m, NULL, params);
    static const int16_t want[] = {1, 5, 3, 4, 6, 6};
    assert_memory_equal(y, want, sizeof y);
    static const float values[] = {1, 1.5, 2, 3, -1, 0.5};
    assert_memory_equal(g, values, sizeof g);
    session_free(&s);
}

static void test_uninitialised(void **state)
{
    (void)state;
    session s = session_new();
    float x[8] = {0};
    kbinding params[] = {BIND(x)};
    run_bad(&s, kernel(&s, "%x: f32 global[8] out", "%a = load %x[0] : f32<8> store %x[0], %a"), NULL, params,
            "reads %x where nothing has been written");
    run_bad(&s,
            kernel(&s, "%x: f32 global[8] out",
                   "%b = alloc : f32 stack[4] %o = const 1.0 : f32<3> store %b[1], %o %a = load %b[0] : f32<4> store "
                   "%x[0], %a"),
            NULL, params, "reads %b where nothing has been written");
    /* Each execution of an alloc is new memory. */
    run_bad(&s,
            kernel(&s, "%x: f32 global[8] out",
                   "%o = const 1.0 : f32 for %i = 0 to 2 step 1 { %c = alloc : f32 stack[1] %first = const 0 : i64 %z "
                   "= eq %i, %first : bool "
                   "if %z { store %c[0], %o } %a = load %c[0] : f32 store %x[%i], %a }"),
            NULL, params, "reads %c where nothing has been written");
    /* Two scratch buffers that were given the same place. */
    run_bad(
        &s,
        kernel(
            &s, "%x: f32 global[8] out",
            "%p = alloc {offset = 0} : f32 scratch[4] %q = alloc {offset = 8} : f32 scratch[4] %o = const 1.0 : f32<4> "
            "store %p[0], %o store %q[0], %o %a = load %p[0] : f32<4> store %x[0], %a"),
        NULL, params, "reads %p where another buffer that shares its memory has been written");
    /* One after the other that is well. */
    run_ok(
        &s,
        kernel(
            &s, "%x: f32 global[8] out",
            "%p = alloc {offset = 0} : f32 scratch[4] %q = alloc {offset = 8} : f32 scratch[4] %o = const 1.0 : f32<4> "
            "store %p[0], %o %a = load %p[0] : f32<4> store %q[0], %a %b = load %q[0] : f32<4> store %x[0], %b"),
        NULL, params);
    session_free(&s);
}

static void test_outside(void **state)
{
    (void)state;
    session s = session_new();
    float x[8] = {0}, y[8];
    kbinding params[] = {BIND(x), BIND(y)};
    const char *p = "%x: f32 global[4, 2] in, %y: f32 global[8] out";
    static const struct {
        const char *body, *message;
    } cases[] = {
        {"%i = const 3 : i64 %a = load %x[%i, 0] : f32<2x2>",
         "elements 3 to 4 of axis 0 of %x are outside of its size 4"},
        {"%i = const -1 : i64 %a = load %x[0, %i] : f32", "index -1 of axis 1 of %x is outside of its size 2"},
        {"%i = const 9223372036854775807 : i64 %a = load %x[%i + 1, 0] : f32",
         "index 9223372036854775807 of axis 0 of %x"},
        {"%i = const 2 : i64 %v = view %x[%i, 0] : f32 global[5] %a = load %v[4] : f32",
         "the view is bytes 16 to 35 of %x, which has 32"},
        {"%i = const -1 : i64 %v = view %x[%i, 0] : f32 global[4] %a = load %v[0] : f32",
         "the view is bytes -8 to 7 of %x"},
        {"%i = const 1 : i64 %v = view %x[%i, 1] : f64 global[2] %a = load %v[0] : f64", "which is not aligned to 8"},
        {"%i = const 7 : i64 %o = const 1.0 : f32<2> store %y[%i], %o",
         "elements 7 to 8 of axis 0 of %y are outside of its size 8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        run_bad(&s, kernel(&s, p, cases[i].body), NULL, params, cases[i].message);
    /* A hint may point anywhere. */
    run_ok(&s, kernel(&s, p, "%i = const 1000 : i64 prefetch %x[%i, -5] {level = 1}"), NULL, params);
    session_free(&s);
}

static void test_races(void **state)
{
    (void)state;
    session s = session_new();
    static const struct {
        const char *body, *message;
    } cases[] = {
        {"%o = const 1.0 : f32 store %x[0], %o", "race on %x: another task writes the same memory"},
        {"%o = const 1.0 : f32 %a = load %x[0] : f32 store %x[%t], %a", "race on %x: another task "},
        {"%o = const 1.0 : f32<2> store %x[%t], %o", "race on %x: another task writes the same memory"},
    };
    for (uint64_t i = 0; i < 3; i++)
        for (uint64_t seed = 0; seed < 3; seed++) {
            kmodule *m = parse_valid(
                &s, arena_printf(
                        s.a, "kernel @k cpu () (%%x: f32 global[9] inout) { for %%t = 0 to 8 step 1 parallel { %s } }",
                        cases[i].body));
            float x[9] = {0};
            kbinding params[] = {BIND(x)};
            assert_false(run_kernel(&s, m, NULL, params, seed, NULL));
            expect_message(&s, cases[i].message);
        }
    session_free(&s);
}

/* ---- limits and checks ---- */

static void test_check(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = parse_valid(
        &s, "kernel @gather cpu (N in 1..9) (%ids: i64 global[N] in, %x: f32 global[4] in, %y: f32 global[N] out) {"
            "  %n = dim N : i64 %zero = const 0 : i64 %four = const 4 : i64"
            "  for %t = 0 to %n step 1 parallel {"
            "    %id = load %ids[%t] : i64 %a = ge %id, %zero : bool %b = lt %id, %four : bool %ok = and %a, %b : bool"
            "    check %ok, %t, %id, %four {arg = 0}"
            "    %safe = select %ok, %id, %zero : i64 %v = load %x[%safe] : f32 store %y[%t], %v"
            "  } }");
    int64_t n = 5, ids[5] = {0, 3, 7, -1, 4};
    float x[4] = {1, 2, 3, 4}, y[5];
    kbinding params[] = {BIND(ids), BIND(x), BIND(y)};
    for (uint64_t seed = 0; seed < 4; seed++) {
        kinterp_result r;
        assert_false(run_kernel(&s, m, &n, params, seed, &r));
        assert_true(r.fault.set && r.fault.arg == 0 && r.fault.index == 2 && r.fault.value == 7 && r.fault.limit == 4);
        assert_string_equal(r.fault.kernel, "gather");
        assert_true(y[1] == 4 && y[3] == 1); /* the rest was done */
    }
    expect_message(&s, "@gather: element 2 of buffer argument 0 is out of range");
    ids[2] = ids[3] = ids[4] = 1;
    kinterp_result r;
    assert_true(run_kernel(&s, m, &n, params, 0, &r));
    assert_false(r.fault.set);
    session_free(&s);
}

static void test_limits(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = kernel(&s, "%x: i64 global[1] out",
                        "for %i = 0 to 9223372036854775807 step 1 { } %o = const 1 : i64 store %x[0], %o");
    int64_t x[1];
    kbinding params[] = {BIND(x)};
    kinterp_options o = {.max_ops = 1000};
    assert_false(kinterp_run(m->functions.data[0], NULL, params, &o, s.a, s.d, NULL));
    expect_message(&s, "gave up after 1000 steps");
    params[0].bytes = 7;
    assert_false(run_kernel(&s, m, NULL, params, 0, NULL));
    expect_message(&s, "the memory given for %x is too small");
    m = parse_valid(
        &s, "kernel @k cpu (N in 4..8 multiple 4) (%x: f32 global[N] out) { for %t = 0 to 1 step 1 parallel { } }");
    float y[8];
    kbinding p[] = {BIND(y)};
    for (int64_t n = 3; n < 13; n++) assert_true(run_kernel(&s, m, &n, p, 0, NULL) == (n == 4 || n == 8));
    expect_message(&s, "@k: dim N has a value that it cannot have");
    session_free(&s);
}

/* ---- plans ---- */

static const char two_launches[] =
    "kernel @scale cpu (N in 1..64) (%x: f32 global[N] in, %w: f32 global[1] in, %y: f32 global[N] out) {"
    "  %n = dim N : i64"
    "  for %i = 0 to %n step 1 parallel { %a = load %x[%i] : f32 %b = load %w[0] : f32 %c = mul %a, %b : f32 store "
    "%y[%i], %c } }"
    "plan @p (B in 1..8, K in 0..5) (%x: f32 global[B, 4] input \"x\", %w: f32 global[1] weight \"w\" = splat f32[1] "
    "3.0, %y: f32 global[B, 4] output \"y\") {"
    "  %h = alloc : f32 workspace[B, 4]"
    "  %flat = view %h[0, 0] : f32 workspace[B * 4]"
    "  launch @scale (N = 4 * B) (%x, %w, %flat)"
    "  %k = dim K : i64 %one = const 1 : i64 %zero = const 0 : i64"
    "  %end = while carry (%n = %k) { %go = gt %n, %zero : bool yield %go, %n } do (%m) {"
    "    %less = sub %m, %one : i64"
    "    %tmp = alloc : f32 workspace[4 * B]"
    "    launch @scale (N = 4 * B) (%flat, %w, %tmp) launch @scale (N = 4 * B) (%tmp, %w, %flat)"
    "    yield %less } : i64"
    "  launch @scale (N = 4 * B) (%h, %w, %y)"
    "}";

static bool run_plan(session *s, const kmodule *m, int64_t b, int64_t k, float *x, float *y)
{
    int64_t dims[] = {b, k};
    kbinding params[] = {{x, (uint64_t)b * 16}, {NULL, 0}, {y, (uint64_t)b * 16}};
    return kinterp_run(kmodule_find(m, "p"), dims, params, NULL, s->a, s->d, NULL);
}

static void test_plan(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = parse_valid(&s, two_launches);
    float x[12], y[12];
    for (int i = 0; i < 12; i++) x[i] = (float)i;
    for (int64_t k = 0; k < 3; k++) {
        if (!run_plan(&s, m, 3, k, x, y)) fail_msg("%s", session_messages(&s));
        for (int i = 0; i < 12; i++) assert_true(y[i] == (float)i * powf(9, (float)k + 1));
    }
    expect_silence(&s);
    session_free(&s);
}

static void test_plan_faults(void **state)
{
    (void)state;
    static const struct {
        const char *old, *with, *message;
    } cases[] = {
        {"  launch @scale (N = 4 * B) (%h, %w, %y)", "", "element 0 of output 'y' is never written"},
        {"(N = 4 * B) (%h, %w, %y)", "(N = 4 * B - 1) (%h, %w, %y)", "element 11 of output 'y' is never written"},
        {"(N = 4 * B) (%x, %w, %flat)", "(N = 4) (%x, %w, %flat)", "reads %x where nothing has been written"},
    };
    for (size_t i = 0; i < 3; i++) {
        session s = session_new();
        kmodule *m = parse_valid(&s, substitute(&s, two_launches, cases[i].old, cases[i].with));
        float x[12] = {0}, y[12];
        if (run_plan(&s, m, 3, 1, x, y)) fail_msg("'%s' went unseen", cases[i].with);
        expect_message(&s, cases[i].message);
        session_free(&s);
    }
    /* Buffers that the planner has put on top of each other. */
    session s = session_new();
    char *text = substitute(&s, two_launches, "%h = alloc :", "%h = alloc {offset = 0} :");
    kmodule *m = parse_valid(&s, substitute(&s, text, "%tmp = alloc :", "%tmp = alloc {offset = 16 * B - 16} :"));
    float x[12] = {0}, y[12];
    assert_false(run_plan(&s, m, 3, 1, x, y));
    expect_message(&s, "race on %");
    session_free(&s);
}

/* ---- dims that a plan reads ---- */

static const char reading[] =
    "kernel @count cpu (N in 0..8, T in 0..8 data) (%x: f32 global[N] in, %c: i64 global[1] out) {"
    "  for %i = 0 to 1 step 1 parallel { %one = const 1 : i64 %none = const 0 : i64 %zero = const 0.0 : f32 %n = dim N "
    ": i64"
    "    %sum = for %k = 0 to %n step 1 carry (%s = %none) { %v = load %x[%k] : f32 %more = gt %v, %zero : bool"
    "      %add = select %more, %one, %none : i64 %t = add %s, %add : i64 yield %t } : i64"
    "    store %c[0], %sum } }"
    "kernel @fill cpu (N in 0..8, T in 0..8 data) (%y: f32 global[T] out) {"
    "  %t = dim T : i64"
    "  for %i = 0 to %t step 1 parallel { %a = cast %t : f32 store %y[%i], %a } }"
    "kernel @pad cpu (N in 0..8, T in 0..8 data) (%x: f32 global[T] in, %y: f32 global[N] out) {"
    "  %n = dim N : i64 "
    "  for %i = 0 to %n step 1 parallel { %t = dim T : i64 %left = sub %t, %i : i64"
    "    %a = load %x[%i] bound [%left] : f32<1> store %y[%i], %a } }"
    "plan @p (N in 0..8, T in 0..8 data) (%x: f32 global[N] input \"x\", %y: f32 global[N] output \"y\") {"
    "  %c = alloc {offset = 0} : i64 workspace[1] align 64"
    "  launch @count (N = N, T = T) (%x, %c)"
    "  %t = read_dim %c[0] {dim = T, most = N} : i64"
    "  %h = alloc {offset = 64} : f32 workspace[T] align 64"
    "  launch @fill (N = N, T = T) (%h)"
    "  launch @pad (N = N, T = T) (%h, %y)"
    "}";

static bool run_reading(session *s, const char *text, int64_t n, float *x, float *y)
{
    const kmodule *m = parse_valid(s, text);
    int64_t dims[] = {n, 8}; /* what is given for a dim that is read does not matter */
    kbinding params[] = {{x, (uint64_t)n * 4}, {y, (uint64_t)n * 4}};
    return kinterp_run(kmodule_find(m, "p"), dims, params, NULL, s->a, s->d, NULL);
}

static void test_read_dim(void **state)
{
    (void)state;
    session s = session_new();
    float y[8];
    for (int64_t n = 0; n <= 8; n++)
        for (int positive = 0; positive <= n; positive++) {
            float x[8] = {0};
            for (int i = 0; i < positive; i++) x[n - 1 - i] = 1;
            if (!run_reading(&s, reading, n, x, y)) fail_msg("%s", session_messages(&s));
            for (int i = 0; i < n; i++) assert_true(y[i] == (i < positive ? (float)positive : 0));
        }
    expect_silence(&s);
    session_free(&s);
}

static void test_read_dim_faults(void **state)
{
    (void)state;
    static const struct {
        const char *old, *with, *message;
    } cases[] = {
        {"most = N}", "most = min(N, 2)}", "a dim of 3, which is not in 0..2"},
        {"select %more, %one, %none", "sub %none, %one", "a dim of -5, which is not in 0..5"},
        {"  launch @count (N = N, T = T) (%x, %c)", "", "reads %c where nothing has been written"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        session s = session_new();
        float x[5] = {1, 0, 1, 0, 1}, y[5];
        if (run_reading(&s, substitute(&s, reading, cases[i].old, cases[i].with), 5, x, y))
            fail_msg("'%s' went unseen", cases[i].with);
        expect_message(&s, cases[i].message);
        session_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_floats),
                                       cmocka_unit_test(test_narrow_floats),
                                       cmocka_unit_test(test_ints),
                                       cmocka_unit_test(test_casts),
                                       cmocka_unit_test(test_reduce_order),
                                       cmocka_unit_test(test_contract),
                                       cmocka_unit_test(test_loops),
                                       cmocka_unit_test(test_bounds),
                                       cmocka_unit_test(test_strided_and_packed),
                                       cmocka_unit_test(test_uninitialised),
                                       cmocka_unit_test(test_outside),
                                       cmocka_unit_test(test_races),
                                       cmocka_unit_test(test_check),
                                       cmocka_unit_test(test_limits),
                                       cmocka_unit_test(test_plan),
                                       cmocka_unit_test(test_plan_faults),
                                       cmocka_unit_test(test_read_dim),
                                       cmocka_unit_test(test_read_dim_faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
