/* Every row of scalar.def on every dtype, and every conversion, as PTX: bit for bit what the interpreter says. */
#include "unit/ptx/session.h"

#include "unit/cmocka_all.h"

static const dtype types[] = {DT_BOOL, DT_I8,  DT_U8,  DT_I16,  DT_U16, DT_I32, DT_U32,
                              DT_I64,  DT_U64, DT_F16, DT_BF16, DT_F32, DT_F64};
enum { N_TYPES = sizeof types / sizeof *types };

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

/* Functions are there for f32 (and smaller) only. */
static bool is_function(const char *name)
{
    static const char *const names[] = {"exp", "exp_nonpositive", "log", "erf", "tanh", "sigmoid", "sin", "cos"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name)) return true;
    return false;
}

static bool defined(int row, dtype dt)
{
    switch (rows[row].operands) {
    case S_BOOL: return dt == DT_BOOL;
    case S_SELECT: return true;
    case S_FLOAT: return dtype_is_float(dt) && !(is_function(rows[row].name) && dt == DT_F64);
    case S_INT: return !dtype_is_float(dt) && dt != DT_BOOL;
    default: break;
    }
    if (dt == DT_BOOL) return false;
    return dtype_is_float(dt) ? rows[row].on_float && strcmp(rows[row].name, "mod") != 0 : rows[row].on_int;
}

static const char *const shapes[][3] = {{"3x70", "3x70", "3x70"}, {"3x1", "1x70", "3x70"}};

static void add_kernel(strbuf *text, int row, dtype dt, const char *const *shape)
{
    const char *t = dtype_name(dt), *r = rows[row].result == R_BOOL ? "bool" : t;
    const char *first = rows[row].operands == S_SELECT ? "bool" : t;
    strbuf_addf(text, "kernel @%s.%s ptx () (", rows[row].name, t);
    for (int i = 0; i < rows[row].arity; i++) strbuf_addf(text, "%%p%d: %s global[6, 77] in, ", i, i ? t : first);
    strbuf_addf(text,
                "%%out: %s global[6, 77] inout) warps 1 {\n %%one = dim 1 : i64\n for %%b = 0 to %%one step 1 block {\n"
                "  for %%w = 0 to 1 step 1 warp {\n",
                r);
    for (int i = 0; i < rows[row].arity; i++)
        strbuf_addf(text, "   %%v%d = load %%p%d[%d, %d] : %s<%s, lanes>\n", i, i, i, i, i ? t : first, shape[i]);
    strbuf_addf(text, "   %%r = %s", rows[row].name);
    for (int i = 0; i < rows[row].arity; i++) strbuf_addf(text, "%s %%v%d", i ? "," : "", i);
    const char *out = rows[row].arity == 1 ? shape[0] : shape[2];
    strbuf_addf(text, " : %s<%s, lanes>\n   store %%out[1, 1], %%r\n  }\n }\n}\n", r, out);
}

static void run_both(session *s, kmodule *m)
{
    static const int64_t none[1];
    for (int special = 0; special < 2; special++)
        expect_same_run(s, m, (ptx_case){.sm = "sm_80", .opt = 2, .dims = none, .special = special});
}

static void test_rows(void **state)
{
    (void)state;
    for (int row = 0; row < N_ROWS; row++)
        for (int t = 0; t < N_TYPES; t++) {
            if (!defined(row, types[t])) continue;
            session s = session_new();
            strbuf text = strbuf_new(s.a);
            add_kernel(&text, row, types[t], shapes[(row + t) % 2]);
            run_both(&s, session_parse(&s, text.s));
            session_free(&s);
        }
}

static void test_casts(void **state)
{
    (void)state;
    for (int i = 0; i < N_TYPES; i++)
        for (int j = 0; j < N_TYPES; j++) {
            if (i == j) continue;
            session s = session_new();
            const char *from = dtype_name(types[i]), *to = dtype_name(types[j]);
            kmodule *m = session_parse(
                &s, arena_printf(s.a,
                                 "kernel @cast.%s.%s ptx () (%%a: %s global[6, 77] in, %%out: %s global[6, 77] inout) "
                                 "warps 1 {\n %%one = dim 1 : i64\n"
                                 " for %%b = 0 to %%one step 1 block {\n  for %%w = 0 to 1 step 1 warp {\n"
                                 "   %%v = load %%a[1, 0] : %s<2x70, lanes>\n   %%r = cast %%v : %s<2x70, lanes>\n   "
                                 "store %%out[0, 1], %%r\n  }\n }\n}\n",
                                 from, to, from, to, from, to));
            run_both(&s, m);
            session_free(&s);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_casts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
