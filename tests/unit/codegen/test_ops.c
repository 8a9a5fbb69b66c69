/* Each kernel-IR op on its own, compiled, against the interpreter: all rows of scalar.def on all dtypes, all
 * conversions, all sizes of reductions and transposes, strides, bounds, loops. */
#include <stdio.h>

#include "compare.h"
#include "unit/cmocka_all.h"

/* Instruction sets by number. Without fused multiply-adds (the last) kernels that have some differ in the last bit. */
static const char *const cpus[] = {NULL, "x86-64-v3", "x86-64"};
enum { NATIVE = 1, AVX2 = 2, BASELINE = 4, N_CPUS = 2 };

static const dtype all_types[] = {DT_BOOL, DT_I8,  DT_U8,  DT_I16,  DT_U16, DT_I32, DT_U32,
                                  DT_I64,  DT_U64, DT_F16, DT_BF16, DT_F32, DT_F64};
enum { N_TYPES = sizeof all_types / sizeof *all_types };

/* Text of a module under construction; many kernels are compiled at once. */
typedef struct {
    session s;
    strbuf text;
    int n;
} source;

static source source_new(void)
{
    source s = {.s = session_new()};
    s.text = strbuf_new(s.s.a);
    return s;
}

/* Compiles all kernels for each of the processors and runs each on both kinds of data. */
static void run_all(source *s, int which)
{
    static const int64_t no_dims[1];
    for (int k = 0; k < 3; k++) {
        if (!(which >> k & 1)) continue;
        comparison c = comparison_parse(s->text.s, cpus[k], 2);
        for (int i = 0; i < s->n; i++) {
            const char *name = arena_printf(c.s.a, "k%d", i);
            compare_kernel(&c, name, no_dims, FILL_SMALL, NULL, NULL);
            compare_kernel(&c, name, no_dims, FILL_SPECIAL, NULL, NULL);
        }
        comparison_free(&c);
    }
    session_free(&s->s);
}

/* Opens kernel k<n> with one task. */
static void begin(source *s, const char *params)
{
    strbuf_addf(&s->text, "kernel @k%d cpu () (%s) {\n for %%task = 0 to 1 step 1 parallel {\n", s->n++, params);
}

static void end(source *s)
{
    strbuf_adds(&s->text, " }\n}\n");
}

/* ---- scalar.def ---- */

enum { S_SAME, S_FLOAT, S_INT, S_BOOL, S_SELECT };
enum { R_SAME, R_BOOL };
static const struct {
    const char *name;
    int arity, operands, result;
    bool on_float, on_int;
} rows[] = {
#define TEXT(x) #x
#define SCALAR(name, NAME, arity, operands, result, f, i, math) \
    {#name, arity, operands, result, TEXT(f)[0] != 'X', TEXT(i)[0] != 'X'},
#include "ir/kir/kscalar.def"
#undef SCALAR
};
enum { N_ROWS = sizeof rows / sizeof *rows };

static bool defined(int row, dtype dt)
{
    switch (rows[row].operands) {
    case S_BOOL: return dt == DT_BOOL;
    case S_SELECT: return true;
    case S_FLOAT: return dtype_is_float(dt);
    case S_INT: return !dtype_is_float(dt) && dt != DT_BOOL;
    default: return dt != DT_BOOL && (dtype_is_float(dt) ? rows[row].on_float : rows[row].on_int);
    }
}

/* Operand shapes: equal, and each way of broadcasting. */
static const char *const shapes[][4] = {
    {"2x19", "2x19", "2x19", "2x19"},
    {"1x19", "2x1", "2x19", "2x19"},
    {"2x8", "1x1", "1x8", "2x8"},
    {"19", "19", "1", "19"},
    {"3x2, scalars", "3x2, scalars", "3x2, scalars", "3x2, scalars"},
};

static void scalar_kernel(source *s, int row, dtype dt, const char *const *shape)
{
    const char *t = dtype_name(dt), *r = rows[row].result == R_BOOL ? "bool" : t;
    strbuf params = strbuf_new(s->s.a);
    for (int i = 0; i < rows[row].arity; i++)
        strbuf_addf(&params, "%%p%d: %s global[8, 48] in, ", i, rows[row].operands == S_SELECT && i == 0 ? "bool" : t);
    strbuf_addf(&params, "%%out: %s global[8, 48] inout", r);
    begin(s, params.s);
    for (int i = 0; i < rows[row].arity; i++)
        strbuf_addf(&s->text, "  %%v%d = load %%p%d[%d, %d] : %s<%s>\n", i, i, i, i,
                    rows[row].operands == S_SELECT && i == 0 ? "bool" : t, shape[i]);
    strbuf_addf(&s->text, "  %%r = %s", rows[row].name);
    for (int i = 0; i < rows[row].arity; i++) strbuf_addf(&s->text, "%s %%v%d", i ? "," : "", i);
    const char *out = rows[row].arity == 1 ? shape[0] : shape[3];
    strbuf_addf(&s->text, " : %s<%s>\n  store %%out[1, 1], %%r\n", r, out);
    end(s);
}

static void scalar_ops(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        source s = source_new();
        for (int row = 0; row < N_ROWS; row++)
            for (int t = 0; t < N_TYPES; t++)
                if (defined(row, all_types[t]) && !(rows[row].arity == 2 && k == 1 && t % 3)) {
                    if (rows[row].arity < 3 && k == 2) continue; /* the result has the third operand's columns */
                    scalar_kernel(&s, row, all_types[t], shapes[k]);
                }
        run_all(&s, k % 2 ? AVX2 : NATIVE);
    }
}

/* ---- conversions ---- */

static void casts(void **state)
{
    (void)state;
    static const dtype more[] = {DT_F8E4M3, DT_F8E5M2};
    source s = source_new();
    for (int i = 0; i < N_TYPES + 2; i++)
        for (int j = 0; j < N_TYPES + 2; j++) {
            dtype from = i < N_TYPES ? all_types[i] : more[i - N_TYPES],
                  to = j < N_TYPES ? all_types[j] : more[j - N_TYPES];
            if (from == to) continue;
            begin(&s, arena_printf(s.s.a, "%%a: %s global[4, 40] in, %%out: %s global[4, 40] inout", dtype_name(from),
                                   dtype_name(to)));
            strbuf_addf(&s.text,
                        "  %%v = load %%a[0, 0] : %s<2x19>\n  %%r = cast %%v : %s<2x19>\n  store %%out[0, 0], %%r\n",
                        dtype_name(from), dtype_name(to));
            end(&s);
        }
    run_all(&s, NATIVE | AVX2 | BASELINE);
}

/* Every bit pattern of the 16-bit and smaller floats to f32 and back again through f32 and f64. */
static void set_counting(void *arg, uint32_t which, void *data, uint64_t bytes)
{
    uint32_t width = *(uint32_t *)arg;
    if (which) return;
    for (uint64_t i = 0; i < bytes / width; i++) memcpy((char *)data + i * width, &i, width);
}

static void small_floats_exhaustively(void **state)
{
    (void)state;
    static const dtype small[] = {DT_F16, DT_BF16, DT_F8E4M3, DT_F8E5M2};
    static const int64_t no_dims[1];
    for (int k = 0; k < 4; k++) {
        uint32_t width = dtype_bits(small[k]) / 8;
        const char *t = dtype_name(small[k]);
        session s = session_new();
        char *text = arena_printf(
            s.a,
            "kernel @k cpu () (%%a: %s global[%d] in, %%f: f32 global[%d] out, %%b: %s global[%d] out, %%c: %s "
            "global[%d] out) {\n"
            " for %%i = 0 to %d step 1 parallel {\n"
            "  %%n = const 32 : i64\n  %%at = mul %%i, %%n : i64\n"
            "  %%v = load %%a[%%at] : %s<32>\n  %%x = cast %%v : f32<32>\n  store %%f[%%at], %%x\n"
            "  %%scale = const 1.003 : f32\n  %%y = mul %%x, %%scale : f32<32>\n  %%z = cast %%y : %s<32>\n  store "
            "%%b[%%at], %%z\n"
            "  %%d = cast %%x : f64<32>\n  %%more = const 1.00000000001 : f64\n  %%e = mul %%d, %%more : f64<32>\n"
            "  %%w = cast %%e : %s<32>\n  store %%c[%%at], %%w\n }\n}\n",
            t, 1 << 8 * width, 1 << 8 * width, t, 1 << 8 * width, t, 1 << 8 * width, (1 << 8 * width) / 32, t, t, t);
        for (int i = 0; i < N_CPUS; i++) {
            comparison c = comparison_parse(text, cpus[i], 2);
            compare_kernel(&c, "k", no_dims, FILL_SMALL, set_counting, &width);
            comparison_free(&c);
        }
        session_free(&s);
    }
}

static void bitcasts_and_iota(void **state)
{
    (void)state;
    source s = source_new();
    begin(
        &s,
        "%a: f32 global[3, 20] in, %i: i32 global[3, 20] inout, %f: f32 global[3, 20] inout, %h: i16 global[33] inout");
    strbuf_adds(&s.text, "  %v = load %a[0, 0] : f32<3x19>\n  %b = bitcast %v : i32<3x19>\n  store %i[0, 1], %b\n"
                         "  %back = bitcast %b : f32<3x19>\n  store %f[0, 1], %back\n"
                         "  %io = iota {axis = 0} : i16<33>\n  store %h[0], %io\n");
    end(&s);
    begin(&s, "%i: i32 global[5, 20] inout, %j: u8 global[5, 20] inout");
    strbuf_adds(&s.text, "  %r = iota {axis = 0} : i32<5x19>\n  %c = iota {axis = 1} : u8<5x19>\n  store %i[0, 0], "
                         "%r\n  store %j[0, 0], %c\n");
    end(&s);
    run_all(&s, NATIVE | BASELINE);
}

/* ---- whole tiles ---- */

static void reductions(void **state)
{
    (void)state;
    static const char *const kinds[] = {"add", "max", "min"}, *const types[] = {"f32", "i32", "u8", "f64", "bf16"};
    source s = source_new();
    for (int n = 1; n <= 66; n += n < 9 ? 1 : n == 15 || n == 16 || n == 31 || n == 32 ? 1 : n < 31 ? 3 : 11) {
        const char *t = types[n % 5];
        begin(&s, arena_printf(
                      s.s.a, "%%a: %s global[4, 80] in, %%rows: %s global[4, 3] inout, %%cols: %s global[3, 80] inout",
                      t, t, t));
        strbuf_addf(&s.text, "  %%v = load %%a[0, 0] : %s<%dx%d>\n", t, 1 + n % 4, n);
        for (int k = 0; k < 3; k++)
            strbuf_addf(&s.text,
                        "  %%r%d = reduce %%v {kind = %s, axis = 1} : %s<%dx1>\n  store %%rows[0, %d], %%r%d\n"
                        "  %%c%d = reduce %%v {kind = %s, axis = 0} : %s<1x%d>\n  store %%cols[%d, 0], %%c%d\n",
                        k, kinds[k], t, 1 + n % 4, k, k, k, kinds[k], t, n, k, k);
        end(&s);
        begin(&s, arena_printf(s.s.a, "%%a: %s global[80] in, %%out: %s global[3] inout, %%down: %s global[80, 1] in",
                               t, t, t));
        strbuf_addf(&s.text,
                    "  %%v = load %%a[0] : %s<%d>\n  %%w = load %%down[0, 0] : %s<%dx1>\n"
                    "  %%r = reduce %%v {kind = add, axis = 0} : %s<1>\n  store %%out[0], %%r\n"
                    "  %%m = reduce %%w {kind = max, axis = 0} : %s<1x1>\n  store %%out[1], %%m\n",
                    t, n, t, n, t, t);
        end(&s);
    }
    run_all(&s, NATIVE | AVX2 | BASELINE);
}

static void transposes(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 3, 5, 8, 13, 16, 17, 33};
    enum { N = sizeof sizes / sizeof *sizes };
    static const char *const types[] = {"f32", "i8", "f64", "bool", "bf16"};
    source s = source_new();
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            const char *t = types[(i + j) % 5];
            int r = sizes[i], c = sizes[j];
            begin(&s, arena_printf(s.s.a, "%%a: %s global[34, 34] in, %%out: %s global[34, 34] inout", t, t));
            strbuf_addf(
                &s.text,
                "  %%v = load %%a[0, 1] : %s<%dx%d>\n  %%w = transpose %%v : %s<%dx%d>\n  store %%out[1, 0], %%w\n", t,
                r, c, t, c, r);
            end(&s);
        }
    run_all(&s, NATIVE | BASELINE);
}

static void contractions(void **state)
{
    (void)state;
    static const int shape[][3] = {{1, 1, 1}, {3, 2, 17}, {4, 4, 16}, {14, 1, 32}, {5, 3, 1}, {1, 7, 24}, {2, 9, 40}};
    source s = source_new();
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int k = 0; k < 3; k++) {
            static const char *const acc[] = {"f32", "f32", "i32"}, *const in[] = {"f32", "bf16", "i8"};
            const char *layout = i % 2 ? ", scalars" : "";
            int m = shape[i][0], p = shape[i][1], n = shape[i][2];
            begin(&s, arena_printf(s.s.a,
                                   "%%a: %s global[16, 16] in, %%b: %s global[16, 48] in, %%c: %s global[16, 48] inout",
                                   in[k], in[k], acc[k]));
            strbuf_addf(&s.text,
                        "  %%x = load %%a[0, 0] : %s<%dx%d%s>\n  %%y = load %%b[0, 0] : %s<%dx%d>\n  %%z = load %%c[0, "
                        "0] : %s<%dx%d>\n"
                        "  %%r = contract %%z, %%x, %%y : %s<%dx%d>\n  store %%c[0, 0], %%r\n",
                        in[k], m, p, layout, in[k], p, n, acc[k], m, n, acc[k], m, n);
            end(&s);
        }
    run_all(&s, NATIVE | AVX2);
}

/* ---- memory ---- */

/* Loads and stores through every kind of stride, along swapped axes, with bounds from below 0 to beyond the tile. */
static void bounds_and_strides(void **state)
{
    (void)state;
    static const char *const buffers[] = {"[24, 40]", "[24, 40] strides[48, 1]", "[24, 40] strides[1, 24]",
                                          "[24, 40] strides[2, 60]", "[24, 40] strides[0, 1]"};
    static const int tiles[][2] = {{1, 1}, {3, 21}, {5, 16}, {17, 1}, {20, 9}, {1, 40}};
    static const char *const types[] = {"f32", "bool", "i64", "u8"};
    int variant = 0;
    for (size_t b = 0; b < 5; b++) {
        source s = source_new();
        for (size_t t = 0; t < sizeof tiles / sizeof *tiles; t++)
            for (int swap = 0; swap < 2; swap++)
                for (int bound = 0; bound < 4; bound++) {
                    int r = tiles[t][0], c = tiles[t][1];
                    if (swap && (r > 40 || c > 24)) continue;
                    const char *dt = types[variant % 4], *axes = swap ? " axes [1, 0]" : "";
                    int m[] = {-1, 0, 1, r / 2, r - 1, r, r + 3}, n[] = {-5, 0, 1, c / 2, c - 1, c, c + 1};
                    int bm = m[variant % 7], bn = n[(variant / 7 + variant) % 7];
                    variant++;
                    /* A stride of 0 makes elements overlap: fine to read, not to write. */
                    const char *out = b == 4 ? buffers[1] : buffers[b];
                    begin(&s,
                          arena_printf(s.s.a, "%%a: %s global%s in, %%out: %s global%s inout, %%m: i64 global[2] in",
                                       dt, buffers[b], dt, out));
                    strbuf_addf(&s.text, "  %%bm = const %d : i64\n  %%bn = const %d : i64\n  %%zero = const 0 : i64\n",
                                bm, bn);
                    /* Bounds that the compiler cannot know: the constant plus a loaded number times zero. */
                    strbuf_adds(&s.text, "  %u = load %m[0] : i64\n  %un = bitand %u, %zero : i64\n  %vm = add %bm, "
                                         "%un : i64\n  %vn = add %bn, %un : i64\n");
                    static const char *const which[] = {"", " bound [%vm, _]", " bound [_, %vn]", " bound [%vm, %vn]"};
                    strbuf_addf(&s.text, "  %%v = load %%a[%%un, %%un]%s%s : %s<%dx%d>\n", axes, which[bound], dt, r,
                                c);
                    strbuf_addf(&s.text, "  store %%out[%%un, %%un], %%v%s%s\n", axes, which[(bound + variant) % 4]);
                    end(&s);
                }
        run_all(&s, b % 3 == 0 ? NATIVE | BASELINE : b % 3 == 1 ? AVX2 : NATIVE);
    }
}

static void views_and_buffers(void **state)
{
    (void)state;
    source s = source_new();
    begin(&s, "%a: f32 global[8, 16] in, %out: f32 global[130] inout");
    strbuf_adds(
        &s.text,
        "  %st = alloc : f32 stack[4, 16] align 64\n  %sc = alloc : f32 scratch[3, 40]\n  %two = const 2 : i64\n"
        "  %v = load %a[%two, 0] : f32<4x16>\n  store %st[0, 0], %v\n  %flat = view %st[1, 3] : f32 stack[40]\n"
        "  %w = load %flat[%two] : f32<33>\n  store %out[1], %w\n"
        "  %z = const 0.0 : f32<3x40>\n  store %sc[0, 0], %z\n  store %sc[1, 5], %w\n  %part = view %sc[%two - 2, 8] : "
        "f32 scratch[2, 20] strides[40, 1]\n"
        "  %x = load %part[0, 0] : f32<2x20>\n  %y = transpose %x : f32<20x2>\n  %g = view %out[40] : f32 global[20, "
        "4]\n  store %g[0, 1], %y\n"
        "  prefetch %a[%two - 100, 0] {level = 1}\n  prefetch %a[%two + 100, 5] {level = 2}\n");
    end(&s);
    run_all(&s, NATIVE | AVX2);
}

/* ---- control ---- */

static void loops(void **state)
{
    (void)state;
    for (int opt = 0; opt <= 3; opt += 2) {
        session s = session_new();
        strbuf t = strbuf_new(s.a);
        int n = 0;
        for (int unroll = 1; unroll <= 8; unroll += unroll < 4 ? 1 : 4)
            for (int step = 1; step <= 3; step += 2) {
                strbuf_addf(&t,
                            "kernel @k%d cpu (L in 0..9, N in 0..40) (%%a: f32 global[64] in, %%out: f32 global[64] "
                            "inout, %%count: i64 global[4] inout) {\n"
                            " for %%task = 0 to 1 step 1 parallel {\n"
                            "  %%lo = dim L : i64\n  %%hi = dim N : i64\n  %%zero = const 0.0 : f32<1x20>\n  %%none = "
                            "const 0 : i64\n  %%one = const 1 : i64\n"
                            "  %%acc, %%c, %%last = for %%i = %%lo to %%hi + 1 step %d unroll %d carry (%%s = %%zero, "
                            "%%n = %%none, %%p = %%none) {\n"
                            "   %%v = load %%a[%%i] : f32<1x20>\n   %%k = cast %%i : f32\n   %%t = fma %%v, %%k, %%s : "
                            "f32<1x20>\n   %%m = add %%n, %%one : i64\n"
                            "   %%q = add %%i, %%p : i64\n   %%w = add %%q, %%one : i64\n   yield %%t, %%m, %%w\n  } : "
                            "f32<1x20>, i64, i64\n"
                            "  store %%out[0], %%acc\n  store %%count[0], %%c\n  store %%count[1], %%last\n"
                            "  %%swap, %%was = for %%j = 0 to 7 step 2 unroll %d carry (%%x = %%one, %%y = %%none) {\n "
                            "  yield %%y, %%x\n  } : i64, i64\n"
                            "  store %%count[2], %%swap\n  store %%count[3], %%was\n }\n}\n",
                            n++, step, unroll, unroll);
            }
        for (int k = 0; k < N_CPUS; k++) {
            comparison c = comparison_parse(t.s, cpus[k], opt);
            for (int i = 0; i < n; i++)
                for (int64_t hi = 0; hi <= 40; hi += 1 + hi / 6) {
                    int64_t dims[] = {hi % 10, hi};
                    compare_kernel(&c, arena_printf(c.s.a, "k%d", i), dims, FILL_SMALL, NULL, NULL);
                }
            comparison_free(&c);
        }
        session_free(&s);
    }
}

static void branches(void **state)
{
    (void)state;
    static const char text[] =
        "kernel @k cpu (N in 0..9) (%a: f32 global[40] in, %out: f32 global[10, 40] inout, %n: i64 global[10] inout) "
        "{\n"
        " %tasks = dim N : i64\n"
        " for %i = 0 to %tasks step 1 parallel {\n"
        "  %three = const 3 : i64\n  %big = gt %i, %three : bool\n"
        "  %r, %c = if %big {\n   %v = load %a[%i] : f32<1x20>\n   %d = add %i, %three : i64\n   yield %v, %d\n  } "
        "else {\n   %w = const 2.5 : f32<1x20>\n   yield %w, %three\n  } : f32<1x20>, i64\n"
        "  store %out[%i, 0], %r\n  store %n[%i], %c\n"
        "  switch %i case 1 {\n   %x = const 7.0 : f32<4>\n   store %out[%i, 3], %x\n  } case 4 {\n  } case 6 {\n   %y "
        "= load %a[1] : f32\n   store %out[%i, 39], %y\n"
        "  } default {\n   %z = const -1.0 : f32<1x1>\n   store %out[%i, 38], %z\n  }\n"
        " }\n}\n";
    for (int opt = 0; opt <= 3; opt++) {
        comparison c = comparison_parse(text, NULL, opt);
        for (int64_t n = 0; n <= 9; n++) compare_kernel(&c, "k", &n, FILL_SMALL, NULL, NULL);
        comparison_free(&c);
    }
}

/* Ids partly out of range: the lowest is reported, however the tasks are divided. */
static void set_ids(void *arg, uint32_t which, void *data, uint64_t bytes)
{
    int32_t *ids = data;
    if (which != 1) return;
    for (uint64_t i = 0; i < bytes / 4; i++) ids[i] = (int32_t)(i * 7 % 10);
    const int64_t *bad = arg;
    if (bad[0] >= 0) ids[bad[0]] = -3;
    if (bad[1] >= 0) ids[bad[1]] = 10;
}

static void checks(void **state)
{
    (void)state;
    static const char text[] =
        "kernel @k cpu (N in 0..40) (%t: f32 global[10, 8] in, %ids: i32 global[40] in, %out: f32 global[40, 8] inout) "
        "{\n"
        " %n = dim N : i64\n for %i = 0 to %n step 1 parallel {\n"
        "  %id = load %ids[%i] : i32\n  %w = cast %id : i64\n  %zero = const 0 : i64\n  %lim = const 10 : i64\n"
        "  %lo = ge %w, %zero : bool\n  %hi = lt %w, %lim : bool\n  %ok = and %lo, %hi : bool\n  check %ok, %i, %w, "
        "%lim {arg = 1}\n"
        "  %at = select %ok, %w, %zero : i64\n  %v = load %t[%at, 0] : f32<8>\n  store %out[%i, 0], %v\n }\n}\n";
    comparison c = comparison_parse(text, NULL, 2);
    static const int64_t bad[][2] = {{-1, -1}, {0, 39}, {17, 5}, {39, -1}, {8, 8}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t n = 40, copy[] = {bad[i][0], bad[i][1]};
        compare_kernel(&c, "k", &n, FILL_SMALL, set_ids, copy);
    }
    comparison_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalar_ops),
        cmocka_unit_test(casts),
        cmocka_unit_test(small_floats_exhaustively),
        cmocka_unit_test(bitcasts_and_iota),
        cmocka_unit_test(reductions),
        cmocka_unit_test(transposes),
        cmocka_unit_test(contractions),
        cmocka_unit_test(bounds_and_strides),
        cmocka_unit_test(views_and_buffers),
        cmocka_unit_test(loops),
        cmocka_unit_test(branches),
        cmocka_unit_test(checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
