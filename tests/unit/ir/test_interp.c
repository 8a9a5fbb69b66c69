/* The tensor interpreter: every op on ordinary values, odd sizes, zero sizes, NaN and infinities, and every message. */
#include "unit/ir/tensors.h"

/* ---- leaves ---- */

static void test_leaves(void **state)
{
    (void)state;
    fixture x = open_fixture();
    IS_FLOATS(result(&x,
                     "module m\nparam \"w\" : f32[2, 2] = data f32[2, 2] [1.0, -0.0, nan, inf]\n"
                     "func @f() -> (y: f32[2, 2]) {\n %y = param \"w\" : f32[2, 2]\n return %y\n}\n",
                     NULL),
              SHAPE(2, 2), 1, -0.0, NAN, INFINITY);
    /* a parameter stored in panels is its logical tensor */
    IS_FLOATS(result(&x,
                     "module m\nparam \"w\" : f32[3, 2]{panel 2} = encode panel 2 (data f32[3, 2] [1.0, 2.0, 3.0, 4.0, "
                     "5.0, 6.0])\n"
                     "func @f(%x: f32[1, 2]) -> (y: f32[1, 3]) {\n %w = param \"w\" : f32[3, 2]{panel 2}\n"
                     " %y = contract %x, %w {labels = \"bk,nk->bn\"} : f32[1, 3]\n return %y\n}\n",
                     ARGS(FLOATS(DT_F32, SHAPE(1, 2), 10, 1))),
              SHAPE(1, 3), 12, 34, 56);
    IS_FLOATS(
        result(&x, "module m\nfunc @f() -> (y: f32[3]) {\n %y = const {value = 0.1} : f32[3]\n return %y\n}\n", NULL),
        SHAPE(3), 0.1, 0.1, 0.1); /* not rounded to f32 */
    IS_INTS(result(&x, "module m\nfunc @f() -> (y: i8[2]) {\n %y = const {ivalue = -3} : i8[2]\n return %y\n}\n", NULL),
            SHAPE(2), -3, -3);
    IS_INTS(result(&x, "module m\nfunc @f() -> (y: bool) {\n %y = const {ivalue = 1} : bool\n return %y\n}\n", NULL),
            SHAPE(), 1);
    IS_INTS(
        result(&x, "module m\nfunc @f() -> (y: i32[2, 3]) {\n %y = iota {axis = 0} : i32[2, 3]\n return %y\n}\n", NULL),
        SHAPE(2, 3), 0, 0, 0, 1, 1, 1);
    IS_FLOATS(
        result(&x, "module m\nfunc @f() -> (y: f32[2, 3]) {\n %y = iota {axis = 1} : f32[2, 3]\n return %y\n}\n", NULL),
        SHAPE(2, 3), 0, 1, 2, 0, 1, 2);
    const tensor *t =
        result(&x, "module m\nfunc @f() -> (y: u8[300]) {\n %y = iota {axis = 0} : u8[300]\n return %y\n}\n", NULL);
    assert_int_equal(t->u.i[299], 43);
    IS_INTS(
        result(&x, "module m\nfunc @f() -> (y: i32[0, 3]) {\n %y = iota {axis = 1} : i32[0, 3]\n return %y\n}\n", NULL),
        SHAPE(0, 3), 0);
    tir_close(&x.s);
}

/* ---- cast ---- */

static const tensor *cast(fixture *x, const char *from, const char *to, tensor *a)
{
    char text[256];
    snprintf(text, sizeof text,
             "module m\nfunc @f(%%a: %s[%d]) -> (y: %s[%d]) {\n %%y = cast %%a : %s[%d]\n return %%y\n}\n", from,
             (int)a->shape[0], to, (int)a->shape[0], to, (int)a->shape[0]);
    return result(x, text, &a);
}

static void test_cast(void **state)
{
    (void)state;
    fixture x = open_fixture();
    tensor *f = FLOATS(DT_F32, SHAPE(8), 1.9, -1.9, NAN, INFINITY, -INFINITY, 3e9, -0.0, 300);
    IS_INTS(cast(&x, "f32", "i32", f), SHAPE(8), 1, -1, 0, INT32_MAX, INT32_MIN, INT32_MAX, 0, 300);
    IS_INTS(cast(&x, "f32", "i8", f), SHAPE(8), 1, -1, 0, 127, -128, 127, 0, 127);
    IS_INTS(cast(&x, "f32", "u8", f), SHAPE(8), 1, 0, 0, 255, 0, 255, 0, 255);
    IS_INTS(cast(&x, "f32", "bool", f), SHAPE(8), 1, 1, 1, 1, 1, 1, 0, 1);
    IS_INTS(cast(&x, "f32", "u64", FLOATS(DT_F32, SHAPE(2), 0x1p63, INFINITY)), SHAPE(2), INT64_MIN, -1);
    tensor *i = INTS(DT_I64, SHAPE(5), 300, -300, INT64_MAX, -1, 0);
    IS_INTS(cast(&x, "i64", "i8", i), SHAPE(5), 44, -44, -1, -1, 0);
    IS_INTS(cast(&x, "i64", "u16", i), SHAPE(5), 300, 65236, 65535, 65535, 0);
    IS_INTS(cast(&x, "i64", "bool", i), SHAPE(5), 1, 1, 1, 1, 0);
    IS_FLOATS(cast(&x, "i64", "f32", INTS(DT_I64, SHAPE(2), (1 << 24) + 1, -7)), SHAPE(2), 1 << 24, -7);
    IS_FLOATS(cast(&x, "i64", "bf16", INTS(DT_I64, SHAPE(2), 257, 259)), SHAPE(2), 256, 260);
    IS_FLOATS(cast(&x, "u64", "f64", INTS(DT_U64, SHAPE(2), -1, 5)), SHAPE(2), 0x1p64, 5);
    IS_FLOATS(cast(&x, "u64", "f32", INTS(DT_U64, SHAPE(1), -1)), SHAPE(1), 0x1p64);
    IS_FLOATS(cast(&x, "bool", "f32", INTS(DT_BOOL, SHAPE(2), 1, 0)), SHAPE(2), 1, 0);
    /* a cast to a narrower float rounds, to a wider one does not, whatever was computed before */
    tensor *third = FLOATS(DT_F64, SHAPE(2), 1.0 / 3, 1e300);
    IS_FLOATS(cast(&x, "f64", "f32", third), SHAPE(2), (float)(1.0 / 3), INFINITY);
    IS_FLOATS(cast(&x, "f32", "f64", FLOATS(DT_F32, SHAPE(1), 1.0 / 3)), SHAPE(1), 1.0 / 3);
    IS_FLOATS(cast(&x, "f32", "bf16", FLOATS(DT_F32, SHAPE(2), 1 + 0x1p-8, 1 + 0x1p-8 + 0x1p-30)), SHAPE(2), 1,
              1 + 0x1p-7);
    IS_FLOATS(cast(&x, "f16", "bf16", FLOATS(DT_F16, SHAPE(1), 1 + 0x1p-10)), SHAPE(1), 1);
    IS_FLOATS(cast(&x, "f32", "f8e4m3", FLOATS(DT_F32, SHAPE(2), 1e6, -0.3)), SHAPE(2), 448, -0.3125);
    tir_close(&x.s);
}

/* ---- views ---- */

static void test_views(void **state)
{
    (void)state;
    fixture x = open_fixture();
    tensor *a = FLOATS(DT_F32, SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
    IS_FLOATS(result(&x,
                     "module m\nfunc @f(%a: f32[2, 3]) -> (y: f32[2, 2, 3]) {\n %y = broadcast %a {axes = [1, 2]} : "
                     "f32[2, 2, 3]\n return %y\n}\n",
                     ARGS(a)),
              SHAPE(2, 2, 3), 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6);
    IS_FLOATS(result(&x,
                     "module m\nfunc @f(%a: f32[1, 3]) -> (y: f32[2, 3, 2]) {\n %y = broadcast %a {axes = [0, 1]} : "
                     "f32[2, 3, 2]\n return %y\n}\n",
                     ARGS(FLOATS(DT_F32, SHAPE(1, 3), 7, 8, 9))),
              SHAPE(2, 3, 2), 7, 7, 8, 8, 9, 9, 7, 7, 8, 8, 9, 9);
    IS_INTS(
        result(&x,
               "module m\nfunc @f(%a: i32) -> (y: i32[3]) {\n %y = broadcast %a {axes = []} : i32[3]\n return %y\n}\n",
               ARGS(INTS(DT_I32, SHAPE(), 4))),
        SHAPE(3), 4, 4, 4);
    IS_FLOATS(
        result(
            &x,
            "module m\nfunc @f(%a: f32[1]) -> (y: f32[0]) {\n %y = broadcast %a {axes = [0]} : f32[0]\n return %y\n}\n",
            ARGS(FLOATS(DT_F32, SHAPE(1), 4))),
        SHAPE(0), 0);
    IS_FLOATS(result(&x,
                     "module m\nfunc @f(%a: f32[2, 3]) -> (y: f32[3, 2]) {\n %y = transpose %a {perm = [1, 0]} : "
                     "f32[3, 2]\n return %y\n}\n",
                     ARGS(a)),
              SHAPE(3, 2), 1, 4, 2, 5, 3, 6);
    IS_FLOATS(result(&x,
                     "module m\nfunc @f(%a: f32[2, 1, 3]) -> (y: f32[3, 2, 1]) {\n %y = transpose %a {perm = [2, 0, "
                     "1]} : f32[3, 2, 1]\n return %y\n}\n",
                     ARGS(FLOATS(DT_F32, SHAPE(2, 1, 3), 1, 2, 3, 4, 5, 6))),
              SHAPE(3, 2, 1), 1, 4, 2, 5, 3, 6);
    IS_FLOATS(
        result(
            &x,
            "module m\nfunc @f(%a: f32[2, 3]) -> (y: f32[3, 1, 2]) {\n %y = reshape %a : f32[3, 1, 2]\n return %y\n}\n",
            ARGS(a)),
        SHAPE(3, 1, 2), 1, 2, 3, 4, 5, 6);
    IS_FLOATS(result(&x,
                     "module m\nfunc @f(%a: f32[2, 3]) -> (y: f32[1, 2]) {\n %y = slice %a {start = [1, 0], step = [1, "
                     "2]} : f32[1, 2]\n return %y\n}\n",
                     ARGS(a)),
              SHAPE(1, 2), 4, 6);
    IS_FLOATS(result(&x,
                     "module m\nfunc @f(%a: f32[2, 3]) -> (y: f32[2, 0]) {\n %y = slice %a {start = [0, 3], step = [1, "
                     "1]} : f32[2, 0]\n return %y\n}\n",
                     ARGS(a)),
              SHAPE(2, 0), 0);
    IS_FLOATS(result(&x,
                     "module m\nfunc @f(%a: f32[2, 3], %b: f32[2, 0], %c: f32[2, 1]) -> (y: f32[2, 4]) {\n %y = concat "
                     "%c, %b, %a {axis = 1} : f32[2, 4]\n return %y\n}\n",
                     ARGS(a, FLOATS(DT_F32, SHAPE(2, 0), 0), FLOATS(DT_F32, SHAPE(2, 1), 8, 9))),
              SHAPE(2, 4), 8, 1, 2, 3, 9, 4, 5, 6);
    IS_FLOATS(result(&x,
                     "module m\nfunc @f(%a: f32[2, 3]) -> (y: f32[4, 3]) {\n %y = concat %a, %a {axis = 0} : f32[4, "
                     "3]\n return %y\n}\n",
                     ARGS(a)),
              SHAPE(4, 3), 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6);
    tir_close(&x.s);
}

/* ---- contract ---- */

static uint64_t seed = 7;
static uint64_t rnd(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (seed >> 33) % below;
}

static uint64_t place(const labels *l, int o, const int64_t *size, const int64_t *index)
{
    uint64_t at = 0;
    for (int k = 0; k < l->rank[o]; k++) {
        int c = l->label[o][k] - 'a';
        at = at * (uint64_t)size[c] + (uint64_t)index[c];
    }
    return at;
}

/* Random labels, batch, free, summed in both or in one operand, in any order; the reference adds every product. */
static void test_contract(void **state)
{
    (void)state;
    enum { LETTERS = 6 };
    for (int round = 0; round < 600; round++) {
        fixture x = open_fixture();
        labels l = {0};
        int64_t size[LETTERS], products = 1;
        const bool is_float = round % 3;
        dtype dt = is_float ? DT_F32 : round % 2 ? DT_I8 : DT_U32;
        for (int c = 0; c < LETTERS; c++) {
            size[c] = 1 + (int64_t)rnd(round % 50 == 0 ? 1 : 4);
            if (rnd(40) == 0) size[c] = 0;
            uint64_t where = rnd(8); /* bits: in operand 0, in operand 1, in the result */
            if ((where & 3) == 0) continue;
            for (int o = 0; o < 3; o++)
                if (where >> o & 1) {
                    int at = (int)rnd(l.rank[o] + 1u);
                    memmove(l.label[o] + at + 1, l.label[o] + at, (size_t)(l.rank[o] - at));
                    l.label[o][at] = (char)('a' + c);
                    l.rank[o]++;
                }
        }
        char types[3][64], text[512];
        tensor *t[3];
        for (int o = 0; o < 3; o++) {
            int64_t shape[LETTERS];
            int n = snprintf(types[o], sizeof types[o], "%s", dtype_name(dt));
            for (int k = 0; k < l.rank[o]; k++) {
                shape[k] = size[l.label[o][k] - 'a'];
                n += snprintf(types[o] + n, sizeof types[o] - (size_t)n, "%s%d", k ? ", " : "[", (int)shape[k]);
            }
            if (l.rank[o]) snprintf(types[o] + n, sizeof types[o] - (size_t)n, "]");
            t[o] = tensor_new(x.s.a, dt, l.rank[o], shape);
            for (uint64_t i = 0; i < tensor_elements(t[o]) && o < 2; i++)
                if (is_float) t[o]->u.f[i] = (double)rnd(21) - 10;
                else t[o]->u.i[i] = dtype_wrap(dt, (int64_t)rnd(1u << 30));
        }
        snprintf(text, sizeof text,
                 "module m\nfunc @f(%%a: %s, %%b: %s) -> (y: %s) {\n %%y = contract %%a, %%b {labels = "
                 "\"%.*s,%.*s->%.*s\"} : %s\n return %%y\n}\n",
                 types[0], types[1], types[2], l.rank[0], l.label[0], l.rank[1], l.label[1], l.rank[2], l.label[2],
                 types[2]);
        const tensor *got = result(&x, text, t);

        /* letters of neither operand do not count */
        for (int c = 0; c < LETTERS; c++) {
            bool used = memchr(l.label[0], 'a' + c, l.rank[0]) || memchr(l.label[1], 'a' + c, l.rank[1]);
            if (!used) size[c] = 1;
            products *= size[c];
        }
        for (int64_t p = 0; p < products; p++) {
            int64_t index[LETTERS], rest = p;
            for (int c = 0; c < LETTERS; c++) index[c] = rest % size[c], rest /= size[c];
            uint64_t i = place(&l, 0, size, index), k = place(&l, 1, size, index), to = place(&l, 2, size, index);
            if (is_float) t[2]->u.f[to] += t[0]->u.f[i] * t[1]->u.f[k];
            else
                t[2]->u.i[to] = dtype_wrap(
                    dt, (int64_t)((uint64_t)t[2]->u.i[to] + (uint64_t)t[0]->u.i[i] * (uint64_t)t[1]->u.i[k]));
        }
        for (uint64_t i = 0; i < tensor_elements(got); i++)
            if (is_float ? got->u.f[i] != t[2]->u.f[i] : got->u.i[i] != t[2]->u.i[i])
                fail_msg("element %d of\n%s", (int)i, text);
        tir_close(&x.s);
    }
}

/* ---- reductions and rows ---- */

static const tensor *reduce(fixture *x, const char *kind, const char *from, const char *to, const char *axes, tensor *a)
{
    char text[256];
    snprintf(
        text, sizeof text,
        "module m\nfunc @f(%%a: %s) -> (y: %s) {\n %%y = reduce %%a {kind = %s, axes = [%s]} : %s\n return %%y\n}\n",
        from, to, kind, axes, to);
    return result(x, text, &a);
}

static void test_reduce(void **state)
{
    (void)state;
    fixture x = open_fixture();
    tensor *a = FLOATS(DT_F32, SHAPE(2, 3), 1, -2, 3, 4, 5, -6);
    IS_FLOATS(reduce(&x, "sum", "f32[2, 3]", "f32[2]", "1", a), SHAPE(2), 2, 3);
    IS_FLOATS(reduce(&x, "sum", "f32[2, 3]", "f32[3]", "0", a), SHAPE(3), 5, 3, -3);
    IS_FLOATS(reduce(&x, "sum", "f32[2, 3]", "f32", "0, 1", a), SHAPE(), 5);
    IS_FLOATS(reduce(&x, "mean", "f32[2, 3]", "f32[2]", "1", a), SHAPE(2), 2.0 / 3, 1);
    IS_FLOATS(reduce(&x, "max", "f32[2, 3]", "f32[2]", "1", a), SHAPE(2), 3, 5);
    IS_FLOATS(reduce(&x, "min", "f32[2, 3]", "f32[2]", "1", a), SHAPE(2), -2, -6);
    IS_FLOATS(reduce(&x, "prod", "f32[2, 3]", "f32[2]", "1", a), SHAPE(2), -6, -120);
    tensor *middle = FLOATS(DT_F32, SHAPE(2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8);
    IS_FLOATS(reduce(&x, "sum", "f32[2, 2, 2]", "f32[2, 2]", "1", middle), SHAPE(2, 2), 4, 6, 12, 14);
    IS_FLOATS(reduce(&x, "sum", "f32[2, 2, 2]", "f32[2]", "0, 2", middle), SHAPE(2), 14, 22);
    /* NaN wins, zeros have an order, nothing has a value */
    tensor *odd = FLOATS(DT_F32, SHAPE(3, 2), NAN, 1, -0.0, 0.0, INFINITY, -INFINITY);
    IS_FLOATS(reduce(&x, "max", "f32[3, 2]", "f32[3]", "1", odd), SHAPE(3), NAN, 0.0, INFINITY);
    IS_FLOATS(reduce(&x, "min", "f32[3, 2]", "f32[3]", "1", odd), SHAPE(3), NAN, -0.0, -INFINITY);
    IS_FLOATS(reduce(&x, "sum", "f32[3, 2]", "f32[3]", "1", odd), SHAPE(3), NAN, 0.0, NAN);
    tensor *none = FLOATS(DT_F32, SHAPE(1, 0), 0);
    IS_FLOATS(reduce(&x, "sum", "f32[1, 0]", "f32[1]", "1", none), SHAPE(1), 0);
    IS_FLOATS(reduce(&x, "mean", "f32[1, 0]", "f32[1]", "1", none), SHAPE(1), NAN);
    IS_FLOATS(reduce(&x, "max", "f32[1, 0]", "f32[1]", "1", none), SHAPE(1), -INFINITY);
    IS_FLOATS(reduce(&x, "min", "f32[1, 0]", "f32[1]", "1", none), SHAPE(1), INFINITY);
    IS_FLOATS(reduce(&x, "prod", "f32[1, 0]", "f32[1]", "1", none), SHAPE(1), 1);
    IS_FLOATS(reduce(&x, "sum", "f32[1, 0]", "f32[0]", "0", none), SHAPE(0), 0);
    /* ints wrap at their own width */
    tensor *i = INTS(DT_I8, SHAPE(2, 2), 100, 100, -5, 7);
    IS_INTS(reduce(&x, "sum", "i8[2, 2]", "i8[2]", "1", i), SHAPE(2), -56, 2);
    IS_INTS(reduce(&x, "prod", "i8[2, 2]", "i8[2]", "1", i), SHAPE(2), 16, -35);
    IS_INTS(reduce(&x, "max", "i8[2, 2]", "i8[2]", "1", i), SHAPE(2), 100, 7);
    IS_INTS(reduce(&x, "min", "i8[2, 2]", "i8[2]", "1", i), SHAPE(2), 100, -5);
    tensor *u = INTS(DT_U64, SHAPE(2), -1, 1);
    IS_INTS(reduce(&x, "max", "u64[2]", "u64", "0", u), SHAPE(), -1);
    IS_INTS(reduce(&x, "min", "u64[2]", "u64", "0", u), SHAPE(), 1);
    IS_INTS(reduce(&x, "max", "i8[0]", "i8", "0", INTS(DT_I8, SHAPE(0), 0)), SHAPE(), -128);
    IS_INTS(reduce(&x, "min", "i8[0]", "i8", "0", INTS(DT_I8, SHAPE(0), 0)), SHAPE(), 127);
    IS_INTS(reduce(&x, "min", "u16[0]", "u16", "0", INTS(DT_U16, SHAPE(0), 0)), SHAPE(), 65535);
    IS_INTS(reduce(&x, "min", "i64[0]", "i64", "0", INTS(DT_I64, SHAPE(0), 0)), SHAPE(), INT64_MAX);
    IS_INTS(reduce(&x, "max", "u64[0]", "u64", "0", INTS(DT_U64, SHAPE(0), 0)), SHAPE(), 0);
    tensor *b = INTS(DT_BOOL, SHAPE(3, 2), 1, 1, 1, 0, 0, 0);
    IS_INTS(reduce(&x, "any", "bool[3, 2]", "bool[3]", "1", b), SHAPE(3), 1, 1, 0);
    IS_INTS(reduce(&x, "all", "bool[3, 2]", "bool[3]", "1", b), SHAPE(3), 1, 0, 0);
    IS_INTS(reduce(&x, "any", "bool[0]", "bool", "0", INTS(DT_BOOL, SHAPE(0), 0)), SHAPE(), 0);
    IS_INTS(reduce(&x, "all", "bool[0]", "bool", "0", INTS(DT_BOOL, SHAPE(0), 0)), SHAPE(), 1);
    tir_close(&x.s);
}

static void test_softmax(void **state)
{
    (void)state;
    fixture x = open_fixture();
    double e = exp(-1), s = 1 + e;
    const char *rows = "module m\nfunc @f(%a: f32[5, 2]) -> (y: f32[5, 2]) {\n %y = softmax %a {axis = 1} : f32[5, "
                       "2]\n return %y\n}\n";
    IS_FLOATS(
        result(&x, rows,
               ARGS(FLOATS(DT_F32, SHAPE(5, 2), 1000, 999, NAN, 0, INFINITY, 0, -INFINITY, 3, -INFINITY, -INFINITY))),
        SHAPE(5, 2), 1 / s, e / s, NAN, NAN, NAN, NAN, 0, 1, NAN, NAN);
    IS_FLOATS(result(&x,
                     "module m\nfunc @f(%a: f32[2, 2]) -> (y: f32[2, 2]) {\n %y = softmax %a {axis = 0} : f32[2, 2]\n "
                     "return %y\n}\n",
                     ARGS(FLOATS(DT_F32, SHAPE(2, 2), 5, 7, 4, 7))),
              SHAPE(2, 2), 1 / s, 0.5, e / s, 0.5);
    IS_FLOATS(result(&x,
                     "module m\nfunc @f(%a: f32[2, 0]) -> (y: f32[2, 0]) {\n %y = softmax %a {axis = 1} : f32[2, 0]\n "
                     "return %y\n}\n",
                     ARGS(FLOATS(DT_F32, SHAPE(2, 0), 0))),
              SHAPE(2, 0), 0);
    IS_FLOATS(
        result(&x,
               "module m\nfunc @f(%a: f32[1]) -> (y: f32[1]) {\n %y = softmax %a {axis = 0} : f32[1]\n return %y\n}\n",
               ARGS(FLOATS(DT_F32, SHAPE(1), -3e38))),
        SHAPE(1), 1);
    tir_close(&x.s);
}

static void test_normalize(void **state)
{
    (void)state;
    fixture x = open_fixture();
    double r = 1 / sqrt(1.25 + 0.5);
    IS_FLOATS(result(&x,
                     "module m\nfunc @f(%a: f32[2, 4]) -> (y: f32[2, 4]) {\n %y = normalize %a {mode = standard, axes "
                     "= [1], eps = 0.5} : f32[2, 4]\n return %y\n}\n",
                     ARGS(FLOATS(DT_F32, SHAPE(2, 4), 1, 2, 3, 4, 0, 0, NAN, 0))),
              SHAPE(2, 4), -1.5 * r, -0.5 * r, 0.5 * r, 1.5 * r, NAN, NAN, NAN, NAN);
    r = 1 / sqrt(12.5 + 0.5);
    IS_FLOATS(result(&x,
                     "module m\nfunc @f(%a: f32[2]) -> (y: f32[2]) {\n %y = normalize %a {mode = rms, axes = [0], eps "
                     "= 0.5} : f32[2]\n return %y\n}\n",
                     ARGS(FLOATS(DT_F32, SHAPE(2), 3, -4))),
              SHAPE(2), 3 * r, -4 * r);
    /* over two axes that are not the last; one element has no variance */
    r = 1 / sqrt(5 + 1.0);
    IS_FLOATS(result(&x,
                     "module m\nfunc @f(%a: f32[2, 2, 1]) -> (y: f32[2, 2, 1]) {\n %y = normalize %a {mode = standard, "
                     "axes = [0, 1], eps = 1.0} : f32[2, 2, 1]\n return %y\n}\n",
                     ARGS(FLOATS(DT_F32, SHAPE(2, 2, 1), 1, 3, 5, 7))),
              SHAPE(2, 2, 1), -3 * r, -1 * r, 1 * r, 3 * r);
    IS_FLOATS(result(&x,
                     "module m\nfunc @f(%a: f32[2, 1]) -> (y: f32[2, 1]) {\n %y = normalize %a {mode = standard, axes "
                     "= [1], eps = 1e-6} : f32[2, 1]\n return %y\n}\n",
                     ARGS(FLOATS(DT_F32, SHAPE(2, 1), 7, INFINITY))),
              SHAPE(2, 1), 0, NAN);
    tir_close(&x.s);
}

/* ---- attention ---- */

static void test_attention(void **state)
{
    (void)state;
    fixture x = open_fixture();
    /* two query heads share one key head; the second query row sees only the first key, the third none */
    const char *text = "module m\nfunc @f(%q: f32[1, 2, 3, 1], %k: f32[1, 1, 2, 1], %v: f32[1, 1, 2, 2], %m: bool[1, "
                       "3, 2]) -> (y: f32[1, 2, 3, 2]) {\n"
                       " %y = attention %q, %k, %v, %m {scale = 0.5} : f32[1, 2, 3, 2]\n return %y\n}\n";
    tensor *q = FLOATS(DT_F32, SHAPE(1, 2, 3, 1), 2, 2, 2, 0, 0, NAN), *k = FLOATS(DT_F32, SHAPE(1, 1, 2, 1), 1, 0);
    tensor *v = FLOATS(DT_F32, SHAPE(1, 1, 2, 2), 10, 20, 30, 40), *m = INTS(DT_BOOL, SHAPE(1, 3, 2), 1, 1, 1, 0, 0, 0);
    double e = exp(-1.0), s = 1 + e;
    IS_FLOATS(result(&x, text, ARGS(q, k, v, m)), SHAPE(1, 2, 3, 2), (10 + e * 30) / s, (20 + e * 40) / s, 10, 20, 0, 0,
              20, 30, 10, 20, 0, 0);
    /* what is masked may be anything */
    IS_FLOATS(result(&x, text,
                     ARGS(q, FLOATS(DT_F32, SHAPE(1, 1, 2, 1), 1, NAN),
                          FLOATS(DT_F32, SHAPE(1, 1, 2, 2), 10, 20, INFINITY, NAN),
                          INTS(DT_BOOL, SHAPE(1, 3, 2), 1, 0, 1, 0, 0, 0))),
              SHAPE(1, 2, 3, 2), 10, 20, 10, 20, 0, 0, 10, 20, 10, 20, 0, 0);
    /* NaN and +inf scores make the row NaN, -inf takes no part */
    const char *bare =
        "module m\nfunc @f(%q: f32[1, 1, 1, 1], %k: f32[1, 1, 2, 1], %v: f32[1, 1, 2, 1]) -> (y: f32[1, 1, 1, 1]) {\n"
        " %y = attention %q, %k, %v {scale = 1.0} : f32[1, 1, 1, 1]\n return %y\n}\n";
    tensor *one = FLOATS(DT_F32, SHAPE(1, 1, 1, 1), 1), *values = FLOATS(DT_F32, SHAPE(1, 1, 2, 1), 5, 7);
    IS_FLOATS(result(&x, bare, ARGS(one, FLOATS(DT_F32, SHAPE(1, 1, 2, 1), NAN, 0), values)), SHAPE(1, 1, 1, 1), NAN);
    IS_FLOATS(result(&x, bare, ARGS(one, FLOATS(DT_F32, SHAPE(1, 1, 2, 1), INFINITY, 0), values)), SHAPE(1, 1, 1, 1),
              NAN);
    IS_FLOATS(result(&x, bare, ARGS(one, FLOATS(DT_F32, SHAPE(1, 1, 2, 1), -INFINITY, 0), values)), SHAPE(1, 1, 1, 1),
              7);
    IS_FLOATS(result(&x, bare, ARGS(one, FLOATS(DT_F32, SHAPE(1, 1, 2, 1), -INFINITY, -INFINITY), values)),
              SHAPE(1, 1, 1, 1), 0);
    IS_FLOATS(result(&x, bare, ARGS(one, FLOATS(DT_F32, SHAPE(1, 1, 2, 1), 1e4, 0), values)), SHAPE(1, 1, 1, 1), 5);
    /* A bias is added to the scaled scores, of masked keys too; one of -inf leaves a key out. */
    const char *biased = "module m\nfunc @f(%q: f32[1, 2, 1, 1], %k: f32[1, 1, 2, 1], %v: f32[1, 1, 2, 1], %m: bool[1, "
                         "1, 2], %b: f32[1, "
                         "2, 1, 2]) -> (y: f32[1, 2, 1, 1], z: f32[1, 2, 1, 1]) {\n"
                         " %y = attention %q, %k, %v, %b {scale = 0.5} : f32[1, 2, 1, 1]\n"
                         " %z = attention %q, %k, %v, %m, %b {scale = 0.5} : f32[1, 2, 1, 1]\n return %y, %z\n}\n";
    tensor *bias = FLOATS(DT_F32, SHAPE(1, 2, 1, 2), 0, 1, -INFINITY, 2);
    tensor *first = INTS(DT_BOOL, SHAPE(1, 1, 2), 1, 0);
    IS_FLOATS(result(&x, biased,
                     ARGS(FLOATS(DT_F32, SHAPE(1, 2, 1, 1), 2, 4), FLOATS(DT_F32, SHAPE(1, 1, 2, 1), 1, 0), values,
                          first, bias)),
              SHAPE(1, 2, 1, 1), 6, 7);
    IS_FLOATS(x.out[1], SHAPE(1, 2, 1, 1), 5, 0);
    /* no keys at all: zeros */
    IS_FLOATS(result(&x,
                     "module m\nfunc @f(%q: f32[1, 1, 2, 1], %k: f32[1, 1, 0, 1], %v: f32[1, 1, 0, 1]) -> (y: f32[1, "
                     "1, 2, 1]) {\n"
                     " %y = attention %q, %k, %v {scale = 1.0} : f32[1, 1, 2, 1]\n return %y\n}\n",
                     ARGS(FLOATS(DT_F32, SHAPE(1, 1, 2, 1), 1, 2), FLOATS(DT_F32, SHAPE(1, 1, 0, 1), 0),
                          FLOATS(DT_F32, SHAPE(1, 1, 0, 1), 0))),
              SHAPE(1, 1, 2, 1), 0, 0);
    tir_close(&x.s);
}

/* ---- gather ---- */

static const char gather_rows[] = "module m\ndim B input 0..4\ndim S input 0..4\n"
                                  "func @f(%t: f32[3, 2], %ids: i64[B, S]) -> (y: f32[B, S, 2]) {\n"
                                  " %y = gather %t, %ids {axis = 0} : f32[B, S, 2]\n return %y\n}\n";

static void test_gather(void **state)
{
    (void)state;
    fixture x = open_fixture();
    tensor *t = FLOATS(DT_F32, SHAPE(3, 2), 1, 2, 3, 4, 5, 6);
    IS_FLOATS(result(&x, gather_rows, ARGS(t, INTS(DT_I64, SHAPE(2, 2), 2, 0, 0, 1))), SHAPE(2, 2, 2), 5, 6, 1, 2, 1, 2,
              3, 4);
    IS_FLOATS(result(&x, gather_rows, ARGS(t, INTS(DT_I64, SHAPE(0, 2), 0))), SHAPE(0, 2, 2), 0);
    IS_FLOATS(result(&x,
                     "module m\nfunc @f(%t: f32[3, 2], %ids: u8[3]) -> (y: f32[3, 3]) {\n %y = gather %t, %ids {axis = "
                     "1} : f32[3, 3]\n return %y\n}\n",
                     ARGS(t, INTS(DT_U8, SHAPE(3), 1, 1, 0))),
              SHAPE(3, 3), 2, 2, 1, 4, 4, 3, 6, 6, 5);
    IS_FLOATS(result(&x,
                     "module m\nfunc @f(%t: f32[3, 2], %ids: i32) -> (y: f32[2]) {\n %y = gather %t, %ids {axis = 0} : "
                     "f32[2]\n return %y\n}\n",
                     ARGS(t, INTS(DT_I32, SHAPE(), 2))),
              SHAPE(2), 5, 6);
    const struct {
        int64_t id;
        const char *got;
    } bad[] = {{3, "3"}, {-1, "-1"}, {INT64_MAX, "9223372036854775807"}, {INT64_MIN, "-9223372036854775808"}};
    for (int i = 0; i < 4; i++) {
        tir_forget(&x.s);
        assert_false(run(&x, gather_rows, ARGS(t, INTS(DT_I64, SHAPE(2, 2), 2, 0, bad[i].id, 1))));
        char want[256];
        snprintf(want, sizeof want, "expected: 0 <= index < 3\n       got: %s at [1, 0]\n", bad[i].got);
        assert_non_null(strstr(tir_messages(&x.s), "error: 'ids' holds an index that is out of range\n"));
        assert_non_null(strstr(tir_messages(&x.s), want));
    }
    tir_forget(&x.s);
    assert_false(run(&x,
                     "module m\nfunc @f(%t: f32[3], %ids: u64[1]) -> (y: f32[1]) {\n %y = gather %t, %ids {axis = 0} : "
                     "f32[1]\n return %y\n}\n",
                     ARGS(FLOATS(DT_F32, SHAPE(3), 1, 2, 3), INTS(DT_U64, SHAPE(1), -1))));
    assert_non_null(strstr(tir_messages(&x.s), "got: 18446744073709551615 at [0]"));
    tir_close(&x.s);
}

/* ---- elementwise ---- */

static const tensor *scalar(fixture *x, const char *op, const char *dt, const char *to, tensor *const *args, int n)
{
    char text[512];
    int size = (int)args[n - 1]->shape[0], at = snprintf(text, sizeof text, "module m\nfunc @f(");
    for (int i = 0; i < n; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, "%s%%a%d: %s[%d]", i ? ", " : "", i,
                       !strcmp(op, "select") && i == 0 ? "bool" : dt, size);
    at += snprintf(text + at, sizeof text - (size_t)at, ") -> (y: %s[%d]) {\n %%y = %s ", to, size, op);
    for (int i = 0; i < n; i++) at += snprintf(text + at, sizeof text - (size_t)at, "%s%%a%d", i ? ", " : "", i);
    snprintf(text + at, sizeof text - (size_t)at, " : %s[%d]\n return %%y\n}\n", to, size);
    return result(x, text, args);
}
#define UNARY(op, a) scalar(&x, op, "f32", "f32", ARGS(a), 1)
#define BINARY(op, a, b) scalar(&x, op, "f32", "f32", ARGS(a, b), 2)
#define COMPARE(op, a, b) scalar(&x, op, "f32", "bool", ARGS(a, b), 2)
#define INT2(op, dt, a, b) scalar(&x, op, dt, dt, ARGS(a, b), 2)

static void test_float_ops(void **state)
{
    (void)state;
    fixture x = open_fixture();
    const double inf = INFINITY;
    tensor *a = FLOATS(DT_F32, SHAPE(7), 1.5, -0.0, 0.0, NAN, inf, -inf, -2);
    tensor *b = FLOATS(DT_F32, SHAPE(7), -0.5, 0.0, -0.0, 1, inf, 3, -2);
    IS_FLOATS(BINARY("add", a, b), SHAPE(7), 1, 0.0, 0.0, NAN, inf, -inf, -4);
    IS_FLOATS(BINARY("sub", a, b), SHAPE(7), 2, -0.0, 0.0, NAN, NAN, -inf, 0);
    IS_FLOATS(BINARY("mul", a, b), SHAPE(7), -0.75, -0.0, -0.0, NAN, inf, -inf, 4);
    IS_FLOATS(BINARY("div", a, b), SHAPE(7), -3, NAN, NAN, NAN, NAN, -inf, 1);
    IS_FLOATS(BINARY("min", a, b), SHAPE(7), -0.5, -0.0, -0.0, NAN, inf, -inf, -2);
    IS_FLOATS(BINARY("max", a, b), SHAPE(7), 1.5, 0.0, 0.0, NAN, inf, 3, -2);
    IS_FLOATS(BINARY("min", b, a), SHAPE(7), -0.5, -0.0, -0.0, NAN, inf, -inf, -2);
    IS_FLOATS(BINARY("max", b, a), SHAPE(7), 1.5, 0.0, 0.0, NAN, inf, 3, -2);
    IS_FLOATS(BINARY("mod", FLOATS(DT_F32, SHAPE(9), 7, -7, 7, -7, 1, 5, -5, 6, inf),
                     FLOATS(DT_F32, SHAPE(9), 3, 3, -3, -3, 0, inf, inf, -3, 2)),
              SHAPE(9), 1, 2, -2, -1, NAN, 5, inf, -0.0, NAN);
    IS_FLOATS(UNARY("neg", a), SHAPE(7), -1.5, 0.0, -0.0, NAN, -inf, inf, 2);
    IS_FLOATS(UNARY("abs", a), SHAPE(7), 1.5, 0.0, 0.0, NAN, inf, inf, 2);
    IS_FLOATS(UNARY("sqrt", a), SHAPE(7), sqrt(1.5), -0.0, 0.0, NAN, inf, NAN, NAN);
    IS_FLOATS(UNARY("rsqrt", a), SHAPE(7), 1 / sqrt(1.5), -inf, inf, NAN, 0, NAN, NAN);
    IS_FLOATS(UNARY("exp", a), SHAPE(7), exp(1.5), 1, 1, NAN, inf, 0, exp(-2));
    IS_FLOATS(UNARY("log", a), SHAPE(7), log(1.5), -inf, -inf, NAN, inf, NAN, NAN);
    IS_FLOATS(UNARY("erf", a), SHAPE(7), erf(1.5), -0.0, 0.0, NAN, 1, -1, erf(-2));
    IS_FLOATS(UNARY("tanh", a), SHAPE(7), tanh(1.5), -0.0, 0.0, NAN, 1, -1, tanh(-2));
    IS_FLOATS(UNARY("sigmoid", a), SHAPE(7), 1 / (1 + exp(-1.5)), 0.5, 0.5, NAN, 1, 0, 1 / (1 + exp(2)));
    IS_FLOATS(UNARY("sin", a), SHAPE(7), sin(1.5), -0.0, 0.0, NAN, NAN, NAN, sin(-2));
    IS_FLOATS(UNARY("cos", a), SHAPE(7), cos(1.5), 1, 1, NAN, NAN, NAN, cos(-2));
    IS_FLOATS(UNARY("floor", FLOATS(DT_F32, SHAPE(4), 1.5, -1.5, -0.0, inf)), SHAPE(4), 1, -2, -0.0, inf);
    IS_FLOATS(UNARY("rint", FLOATS(DT_F32, SHAPE(5), 0.5, 1.5, 2.5, -0.5, -3.7)), SHAPE(5), 0, 2, 2, -0.0, -4);
    IS_FLOATS(scalar(&x, "fma", "f64", "f64",
                     ARGS(FLOATS(DT_F64, SHAPE(1), 1 + 0x1p-52), FLOATS(DT_F64, SHAPE(1), 1 - 0x1p-52),
                          FLOATS(DT_F64, SHAPE(1), -1)),
                     3),
              SHAPE(1), -0x1p-104); /* rounded once */
    IS_INTS(COMPARE("eq", a, b), SHAPE(7), 0, 1, 1, 0, 1, 0, 1);
    IS_INTS(COMPARE("ne", a, b), SHAPE(7), 1, 0, 0, 1, 0, 1, 0);
    IS_INTS(COMPARE("lt", a, b), SHAPE(7), 0, 0, 0, 0, 0, 1, 0);
    IS_INTS(COMPARE("le", a, b), SHAPE(7), 0, 1, 1, 0, 1, 1, 1);
    IS_INTS(COMPARE("gt", a, b), SHAPE(7), 1, 0, 0, 0, 0, 0, 0);
    IS_INTS(COMPARE("ge", a, b), SHAPE(7), 1, 1, 1, 0, 1, 0, 1);
    tensor *pick = INTS(DT_BOOL, SHAPE(7), 1, 0, 1, 0, 1, 0, 1);
    IS_FLOATS(scalar(&x, "select", "f32", "f32", ARGS(pick, a, b), 3), SHAPE(7), 1.5, 0.0, 0.0, 1, inf, 3, -2);
    tir_close(&x.s);
}

static void test_int_ops(void **state)
{
    (void)state;
    fixture x = open_fixture();
    tensor *a = INTS(DT_I8, SHAPE(6), 100, -128, 7, -7, 5, -128), *b = INTS(DT_I8, SHAPE(6), 100, -1, -2, 2, 0, 1);
    IS_INTS(INT2("add", "i8", a, b), SHAPE(6), -56, 127, 5, -5, 5, -127);
    IS_INTS(INT2("sub", "i8", a, b), SHAPE(6), 0, -127, 9, -9, 5, 127);
    IS_INTS(INT2("mul", "i8", a, b), SHAPE(6), 16, -128, -14, -14, 0, -128);
    IS_INTS(INT2("div", "i8", a, b), SHAPE(6), 1, -128, -4, -4, 0, -128); /* to minus infinity; by zero: 0 */
    IS_INTS(INT2("mod", "i8", a, b), SHAPE(6), 0, 0, -1, 1, 5, 0);
    IS_INTS(INT2("min", "i8", a, b), SHAPE(6), 100, -128, -2, -7, 0, -128);
    IS_INTS(INT2("max", "i8", a, b), SHAPE(6), 100, -1, 7, 2, 5, 1);
    IS_INTS(scalar(&x, "neg", "i8", "i8", ARGS(a), 1), SHAPE(6), -100, -128, -7, 7, -5, -128);
    IS_INTS(scalar(&x, "abs", "i8", "i8", ARGS(a), 1), SHAPE(6), 100, -128, 7, 7, 5, -128);
    IS_INTS(scalar(&x, "lt", "i8", "bool", ARGS(a, b), 2), SHAPE(6), 0, 1, 0, 1, 0, 1);
    IS_INTS(INT2("bitand", "i8", a, b), SHAPE(6), 100, -128, 6, 0, 0, 0);
    IS_INTS(INT2("bitor", "i8", a, b), SHAPE(6), 100, -1, -1, -5, 5, -127);
    IS_INTS(INT2("bitxor", "i8", a, b), SHAPE(6), 0, 127, -7, -5, 5, -127);
    tensor *by = INTS(DT_I8, SHAPE(6), 0, 1, 7, 8, 100, -1);
    IS_INTS(INT2("shl", "i8", INTS(DT_I8, SHAPE(6), 3, 65, 1, 1, 1, 1), by), SHAPE(6), 3, -126, -128, 0, 0, 0);
    IS_INTS(INT2("shr", "i8", INTS(DT_I8, SHAPE(6), 3, -3, -128, -1, 1, -1), by), SHAPE(6), 3, -2, -1, -1, 0, -1);
    tensor *u = INTS(DT_U8, SHAPE(3), 200, 3, 0), *v = INTS(DT_U8, SHAPE(3), 100, 5, 1);
    IS_INTS(INT2("add", "u8", u, v), SHAPE(3), 44, 8, 1);
    IS_INTS(INT2("sub", "u8", u, v), SHAPE(3), 100, 254, 255);
    IS_INTS(INT2("shr", "u8", u, INTS(DT_U8, SHAPE(3), 1, 1, 1)), SHAPE(3), 100, 1, 0);
    /* u64 is unsigned to the last bit */
    tensor *big = INTS(DT_U64, SHAPE(3), -1, INT64_MIN, 5), *two = INTS(DT_U64, SHAPE(3), 2, 1, -1);
    IS_INTS(INT2("div", "u64", big, two), SHAPE(3), INT64_MAX, INT64_MIN, 0);
    IS_INTS(INT2("mod", "u64", big, two), SHAPE(3), 1, 0, 5);
    IS_INTS(INT2("max", "u64", big, two), SHAPE(3), -1, INT64_MIN, -1);
    IS_INTS(INT2("shr", "u64", big, INTS(DT_U64, SHAPE(3), 63, 62, 1)), SHAPE(3), 1, 2, 2);
    IS_INTS(scalar(&x, "gt", "u64", "bool", ARGS(big, two), 2), SHAPE(3), 1, 1, 0);
    IS_INTS(scalar(&x, "abs", "u64", "u64", ARGS(big), 1), SHAPE(3), -1, INT64_MIN, 5);
    IS_INTS(INT2("mul", "i64", INTS(DT_I64, SHAPE(2), INT64_MAX, INT64_MIN), INTS(DT_I64, SHAPE(2), 2, -1)), SHAPE(2),
            -2, INT64_MIN);
    IS_INTS(INT2("div", "i64", INTS(DT_I64, SHAPE(2), INT64_MIN, 1), INTS(DT_I64, SHAPE(2), -1, 0)), SHAPE(2),
            INT64_MIN, 0);
    tensor *p = INTS(DT_BOOL, SHAPE(4), 0, 0, 1, 1), *q = INTS(DT_BOOL, SHAPE(4), 0, 1, 0, 1);
    IS_INTS(INT2("and", "bool", p, q), SHAPE(4), 0, 0, 0, 1);
    IS_INTS(INT2("or", "bool", p, q), SHAPE(4), 0, 1, 1, 1);
    IS_INTS(INT2("eq", "bool", p, q), SHAPE(4), 1, 0, 0, 1);
    IS_INTS(scalar(&x, "not", "bool", "bool", ARGS(p), 1), SHAPE(4), 1, 1, 0, 0);
    IS_INTS(scalar(&x, "select", "i32", "i32",
                   ARGS(q, INTS(DT_I32, SHAPE(4), 1, 2, 3, 4), INTS(DT_I32, SHAPE(4), 5, 6, 7, 8)), 3),
            SHAPE(4), 5, 2, 7, 4);
    IS_INTS(scalar(&x, "select", "bool", "bool", ARGS(q, p, q), 3), SHAPE(4), 0, 0, 0, 1);
    tir_close(&x.s);
}

/* ---- rounding, observing, results ---- */

static void count(void *arg, const value *v, const tensor *t)
{
    int *seen = arg;
    assert_ptr_equal(v->def->results[v->index], v);
    assert_int_equal(t->dt, v->ty.dt);
    ++*seen;
}

static void test_rounding_and_observing(void **state)
{
    (void)state;
    fixture x = open_fixture();
    int seen = 0;
    const char *text = "module m\nfunc @f(%a: f32[1]) -> (y: f32[1], z: f32[1], a: f32[1]) {\n"
                       " %third = const {value = 0.3333333333333333} : f32[1]\n %z = mul %a, %third : f32[1]\n"
                       " %unused = add %z, %z : f32[1]\n %y = add %z, %third : f32[1]\n return %y, %z, %a\n}\n";
    tensor *a = FLOATS(DT_F32, SHAPE(1), 3);
    x.o = (interp_options){.observe = count, .observe_arg = &seen};
    IS_FLOATS(result(&x, text, ARGS(a)), SHAPE(1), 3 * (1.0 / 3) + 1.0 / 3);
    assert_int_equal(seen, 4);
    assert_ptr_not_equal(x.out[2], a); /* an argument that is a result is copied */
    IS_FLOATS(x.out[2], SHAPE(1), 3);
    x.o = (interp_options){.round = true};
    float third = (float)(1.0 / 3);
    IS_FLOATS(result(&x, text, ARGS(a)), SHAPE(1), (double)((float)(3.0 * (double)third) + third));
    IS_FLOATS(x.out[1], SHAPE(1), (double)(float)(3.0 * (double)third));
    tir_close(&x.s);
}

static void test_tensor_bytes(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    uint8_t from[16], back[16];
    for (int i = 0; i < 16; i++) from[i] = (uint8_t)(i * 3 % 2 + i);
    const int64_t four[1] = {4};
    for (unsigned t = 0; t < DT_COUNT; t++) {
        if (t == DT_BOOL || t == DT_U64 || t == DT_I64 || t == DT_F64) continue;
        memset(back, 0, sizeof back);
        tensor *x = tensor_from_bytes(a, (dtype)t, 1, four, from);
        tensor_to_bytes(x, back);
        assert_memory_equal(from, back, dtype_bytes((dtype)t, 4));
    }
    const float f[2] = {1.25f, NAN};
    tensor *x = tensor_from_bytes(a, DT_F32, 1, (const int64_t[]){2}, f);
    assert_true(x->u.f[0] == 1.25 && isnan(x->u.f[1]));
    x->u.f[0] = 1.0 / 3;
    float out[2];
    tensor_to_bytes(x, out);
    assert_true(out[0] == (float)(1.0 / 3));
    assert_int_equal(tensor_elements(tensor_new(a, DT_F32, 0, NULL)), 1);
    arena_free(a);
}

/* ---- dims and messages ---- */

static const char sizes[] =
    "module m\ndim B input 1..4\ndim S input 2..512 multiple 2\ndim P setting 0..8\n"
    "func @f(%ids: i32[B, S], %mask: bool[B, S, S], %wide: f32[2 * S + 1]) -> (y: f32[S + P]) {\n"
    " check B * S <= 64\n check S + P <= 16\n %0 = iota {axis = 0} : f32[S + P]\n return %0\n}\n"
    "func @g(%ids: i32[B, S]) -> (y: i32[B, S]) {\n check B * S <= 64\n return %ids\n}\n";

static void refused(fixture *x, const char *text, tensor *const *args, const char *want)
{
    tir_forget(&x->s);
    if (run(x, text, args)) fail_msg("accepted, expected: %s", want);
    const char *got = tir_messages(&x->s);
    if (!strstr(got, want)) fail_msg("expected:\n%s\ngot:\n%s", want, got);
}

static tensor *sized(fixture *x, dtype dt, const int64_t *shape)
{
    return shaped(x, dt, shape);
}

static void test_dims(void **state)
{
    (void)state;
    fixture x = open_fixture();
    const int64_t settings[3] = {99, 99, 3};
#define THREE(b, s) \
    sized(&x, DT_I32, SHAPE(b, s)), sized(&x, DT_BOOL, SHAPE(b, s, s)), sized(&x, DT_F32, SHAPE(2 * (s) + 1))
    x.settings = settings;
    IS_FLOATS(result(&x, sizes, ARGS(THREE(2, 2))), SHAPE(5), 0, 1, 2, 3, 4);

    refused(&x, sizes,
            ARGS(sized(&x, DT_I64, SHAPE(2, 2)), sized(&x, DT_BOOL, SHAPE(2, 2, 2)), sized(&x, DT_F32, SHAPE(5))),
            "error: argument 'ids' has the wrong type\n  expected: i32[B, S]\n       got: i64[2, 2]\n");
    refused(&x, sizes,
            ARGS(sized(&x, DT_I32, SHAPE(2, 2)), sized(&x, DT_BOOL, SHAPE(2, 2)), sized(&x, DT_F32, SHAPE(5))),
            "error: argument 'mask' has the wrong type\n  expected: bool[B, S, S]\n       got: bool[2, 2]\n");
    refused(&x, sizes,
            ARGS(sized(&x, DT_I32, SHAPE(2, 2)), sized(&x, DT_BOOL, SHAPE(2, 2, 4)), sized(&x, DT_F32, SHAPE(5))),
            "error: argument 'mask' has the wrong shape\n  expected: bool[2, 2, 2]\n       got: bool[2, 2, 4]\n"
            "  note: axis 2 is S, with S = 2 from axis 1 of argument 'ids'\n");
    refused(&x, sizes,
            ARGS(sized(&x, DT_I32, SHAPE(2, 2)), sized(&x, DT_BOOL, SHAPE(2, 2, 2)), sized(&x, DT_F32, SHAPE(6))),
            "error: argument 'wide' has the wrong shape\n  expected: f32[5]\n       got: f32[6]\n  note: axis 0 is 2 * "
            "S + 1, with S = 2");
    refused(
        &x, sizes, ARGS(THREE(5, 2)),
        "error: dim 'B' is out of bounds, from axis 0 of argument 'ids'\n  expected: 1 <= B <= 4\n       got: B = 5\n");
    refused(&x, sizes, ARGS(THREE(0, 2)), "got: B = 0\n");
    refused(&x, sizes, ARGS(THREE(2, 3)),
            "error: dim 'S' is out of bounds, from axis 1 of argument 'ids'\n  expected: a multiple of 2\n       got: "
            "S = 3\n");
    refused(
        &x, sizes, ARGS(THREE(4, 18)),
        "error: the sizes of the arguments break a requirement\n  6 |  check B * S <= 64\n    |        ^~~~~~~~~~~\n"
        "  expected: B * S <= 64\n       got: 72 and 64\n");
    refused(&x, sizes, ARGS(THREE(2, 14)), "expected: S + P <= 16\n       got: 17 and 16\n");
    const int64_t far[3] = {99, 99, 9};
    x.settings = far;
    refused(&x, sizes, ARGS(THREE(2, 2)),
            "error: dim 'P' is out of bounds, from the settings\n  expected: 0 <= P <= 8\n       got: P = 9\n");
    x.settings = NULL;
    refused(&x, sizes, ARGS(THREE(2, 2)),
            "error: dim 'P' has no value: no argument shows it and no settings were given\n");

    /* a function is not held to what only another one needs */
    tir_forget(&x.s);
    module *m = tir_parse(&x.s, sizes);
    assert_true(
        interp_run(m->functions.data[1], ARGS(sized(&x, DT_I32, SHAPE(4, 14))), NULL, NULL, x.s.a, x.s.d, x.out));
    assert_int_equal(x.out[0]->shape[1], 14);
    assert_false(
        interp_run(m->functions.data[1], ARGS(sized(&x, DT_I32, SHAPE(4, 18))), NULL, NULL, x.s.a, x.s.d, x.out));
    tir_close(&x.s);
}

static void test_data_dependent_errors(void **state)
{
    (void)state;
    fixture x = open_fixture();
    const char *slice = "module m\ndim S input 0..16\ndim P setting 0..16\nfunc @f(%a: f32[S]) -> (y: f32[3]) {\n"
                        " %y = slice %a {start = [P], step = [2]} : f32[3]\n return %y\n}\n";
    const int64_t settings[2] = {0, 4};
    x.settings = settings;
    IS_FLOATS(result(&x, slice, ARGS(FLOATS(DT_F32, SHAPE(9), 0, 1, 2, 3, 4, 5, 6, 7, 8))), SHAPE(3), 4, 6, 8);
    refused(&x, slice, ARGS(sized(&x, DT_F32, SHAPE(8))),
            "error: a slice reads outside of 'a'\n  5 |  %y = slice %a {start = [P], step = [2]} : f32[3]\n"
            "    |  ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~\n  expected: indices of axis 0 from 0 to 7\n      "
            " got: 3 indices from 4 in steps of 2\n");
    const char *negative = "module m\ndim S input 0..16\nfunc @f(%a: f32[S]) -> (y: f32[S - 4]) {\n"
                           " %0 = iota {axis = 0} : f32[S - 4]\n return %0\n}\n";
    IS_FLOATS(result(&x, negative, ARGS(sized(&x, DT_F32, SHAPE(6)))), SHAPE(2), 0, 1);
    refused(&x, negative, ARGS(sized(&x, DT_F32, SHAPE(2))), "axis 0 of '%0' has a negative size\n");
    assert_non_null(strstr(tir_messages(&x.s), "  expected: 0 <= S - 4\n       got: -2\n"));
    const char *huge = "module m\ndim S input 0..1400000000\nfunc @f(%a: f32[S, 0]) -> (y: f4[S, S]) {\n"
                       " %0 = const {value = 1.0} : f4[S, S]\n return %0\n}\n";
    refused(&x, huge, ARGS(sized(&x, DT_F32, SHAPE(1400000000, 0))), "'%0' is too large\n");
    assert_non_null(strstr(tir_messages(&x.s), "got: f4[1400000000, 1400000000]\n"));
    tir_close(&x.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaves),
        cmocka_unit_test(test_cast),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_contract),
        cmocka_unit_test(test_reduce),
        cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_normalize),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_gather),
        cmocka_unit_test(test_float_ops),
        cmocka_unit_test(test_int_ops),
        cmocka_unit_test(test_rounding_and_observing),
        cmocka_unit_test(test_tensor_bytes),
        cmocka_unit_test(test_dims),
        cmocka_unit_test(test_data_dependent_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
