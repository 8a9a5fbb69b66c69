/* The generated header, whole: two models against tests/golden/codegen/NAME.h (run with TFX_UPDATE_GOLDENS=1 to rewrite
 * them), and prefixes. tests/run_header.sh compiles and runs what these files say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codegen/header.h"
#include "support/embedded.h"

#define INCLUDE_TFX "#include \"runtime/tfx.h\"\n" /* in place of its text, which changes for its own reasons */

static char *slurp(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    char *s = calloc(1, 1 << 20);
    size_t n = fread(s, 1, (1 << 20) - 1, f);
    s[n] = 0;
    fclose(f);
    return s;
}

static void expect_golden(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "tests/golden/codegen/%s.h", name);
    if (getenv("TFX_UPDATE_GOLDENS")) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        fputs(text, f);
        fclose(f);
    }
    char *want = slurp(path);
    assert_non_null(want);
    assert_string_equal(text, want);
    free(want);
}

typedef struct {
    arena *a;
    dim_ctx *d;
    strbuf out;
} setup;

static setup start(void)
{
    arena *a = arena_new(NULL, NULL);
    assert_non_null(a);
    return (setup){a, dims_new(a, interner_new(a)), strbuf_new(a)};
}

/* The model of tests/unit/runtime/toy_model.c, so that what the header says can be run. */
static void toy(void **state)
{
    (void)state;
    setup s = start();
    dim B = dim_sym(s.d, "B", DIM_INPUT, 1, 4, 1), S = dim_sym(s.d, "S", DIM_INPUT, 0, 16, 1);
    dim M = dim_sym(s.d, "M", DIM_INPUT, 8, 32, 8), P = dim_sym(s.d, "P", DIM_INPUT, 0, 8, 1);
    dim twice = dim_add(s.d, dim_mul(s.d, dim_const(s.d, 2), S), dim_const(s.d, 1));
    const codegen_tensor ids = {"ids", "token numbers", DT_I64, 2, {B, S}};
    const codegen_tensor emb = {"emb", NULL, DT_F32, 3, {B, S, dim_const(s.d, 4)}};
    const codegen_tensor window_in[] = {
        {"x", NULL, DT_F32, 2, {S, M}}, {"y", NULL, DT_F32, 1, {twice}}, {"on", NULL, DT_BOOL, 0, {0}}};
    const codegen_tensor window_out[] = {{"z", NULL, DT_F32, 1, {dim_add(s.d, S, P)}}, {"n", NULL, DT_I32, 0, {0}}};
    const codegen_tensor a = {"a", NULL, DT_F32, 3, {B, S, dim_const(s.d, 3)}},
                         b = {"b", NULL, DT_F32, 3, {B, S, dim_const(s.d, 3)}};
    const uint32_t bs[] = {0, 1}, smp[] = {1, 2, 3}, p[] = {3};
    const codegen_entry entries[] = {
        {.name = "embed",
         .doc = "Looks tokens up.",
         .inputs = &ids,
         .outputs = &emb,
         .n_inputs = 1,
         .n_outputs = 1,
         .dims = bs,
         .n_dims = 2,
         .workspace_bytes = 1088},
        {.name = "window",
         .inputs = window_in,
         .outputs = window_out,
         .n_inputs = 3,
         .n_outputs = 2,
         .dims = smp,
         .n_dims = 3,
         .given = p,
         .n_given = 1,
         .workspace_bytes = 64},
        {.name = "ident",
         .inputs = &a,
         .outputs = &b,
         .n_inputs = 1,
         .n_outputs = 1,
         .dims = bs,
         .n_dims = 2,
         .workspace_bytes = 64},
    };
    const codegen_model m = {"toy", "A model for tests.", "toy.tfx", "tfxc 0.1.0", s.d, entries, 3};
    header_write(&m, "toy", false, INCLUDE_TFX, &s.out);
    expect_golden("toy", s.out.s);
    arena_free(s.a);
}

/* What would end a comment, begin another, splice lines, turn the text or draw a warning; a line that is too long, with
 * a word that no place can be found in. */
#define TEN "0123456789"
#define WORD TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
static const char hostile[] =
    "*/ int x; /*\n/ * // \\\n?\?/\n?\?/*?\?/\n*\n\n#define int \xE2\x82\xAC \xE2\x80\xAE kcab \xE2\x81\xA9 "
    "\xFF\xC3\nThis line is longer than anyone would like to read in one go, so it is broken "
    "where there is a blank, and once more, for it does not end before all is well.\n"
    "then " WORD " and on";

/* Names that are keywords, macros, or the same but for case or a suffix; texts that would end a comment; every dtype.
 */
static void awkward(void **state)
{
    (void)state;
    setup s = start();
    dim n = dim_sym(s.d, "n", DIM_INPUT, 1, 1000, 1), N = dim_sym(s.d, "N", DIM_INPUT, 1, 1000000000, 1);
    dim nm = dim_sym(s.d, "n_MAX", DIM_INPUT, -3, 9, 1), open = dim_sym(s.d, "open", DIM_INPUT, 1, 2, 1);
    dim_sym(s.d, "index", DIM_DATA, 0, 7, 1); /* of a scan: has a place in the table and no name */
    dim seventh = dim_floordiv(s.d, n, dim_const(s.d, 7)), least = dim_min(s.d, n, nm), rest = dim_mod(s.d, N, n);
    dim_document(s.d, n, "how many\n*/");
    const codegen_tensor in[] = {
        {"int", "a doc with */ in it\nand a second line /* too", DT_F32, 4, {n, seventh, least, rest}},
        {"class", NULL, DT_BOOL, 1, {n}},
        {"NULL", NULL, DT_I8, 1, {dim_mul(s.d, N, N)}},
        {"a-b", NULL, DT_U8, 3, {N, N, N}},
        {"a_b", NULL, DT_I16, 1, {n}},
        {"A_b", NULL, DT_U16, 1, {n}},
        {"a", NULL, DT_I32, 2, {open, dim_const(s.d, INT64_C(5000000000))}},
        {"a_RANK", NULL, DT_U32, 0, {0}},
        {"a_shape", NULL, DT_I64, 0, {0}},
        {"m", NULL, DT_U64, 0, {0}},
    };
    const codegen_tensor out[] = {
        {"int", NULL, DT_F64, 0, {0}}, {"shape", NULL, DT_BF16, 1, {n}}, {"tensors", NULL, DT_F8E4M3, 1, {n}},
        {"x", NULL, DT_F16, 1, {n}},   {"f4", NULL, DT_F4, 1, {n}},
    };
    const uint32_t all[] = {0, 1, 2, 3}, given[] = {2, 3};
    const codegen_entry e = {.name = "int",
                             .doc = hostile,
                             .inputs = in,
                             .outputs = out,
                             .n_inputs = 10,
                             .n_outputs = 5,
                             .dims = all,
                             .n_dims = 4,
                             .given = given,
                             .n_given = 2};
    codegen_model m = {"int", "ends a comment: */", "a*/b.tfx", "tfxc 0.1.0", s.d, &e, 1};
    header_write(&m, "int", false, INCLUDE_TFX, &s.out);

    /* Entries named as exported functions and with nothing to pass. */
    const codegen_entry bare[] = {
        {.name = "open"},
        {.name = "run", .dims = all, .n_dims = 1, .given = all, .n_given = 1, .outputs = out, .n_outputs = 1},
        {.name = "DIMS"},
    };
    m = (codegen_model){"Bare", NULL, "", "tfxc 0.1.0", s.d, bare, 3};
    header_write(&m, "BARE", true, INCLUDE_TFX, &s.out);
    expect_golden("awkward", s.out.s);
    arena_free(s.a);
}

static void embeds_tfx_h(void **state)
{
    (void)state;
    setup s = start();
    const codegen_model m = {"a", NULL, NULL, "tfxc 0.1.0", s.d, NULL, 0};
    header_write(&m, "a", false, tfx_h_text, &s.out);
    assert_non_null(strstr(s.out.s, "#ifndef TFX_H"));
    assert_non_null(strstr(s.out.s, "typedef struct tfx_tensor"));
    assert_null(strstr(s.out.s, "runtime/"));
    arena_free(s.a);
}

static void prefixes(void **state)
{
    (void)state;
    const char *why;
    const char *const good[] = {"digits", "int", "B", "a1_b2", "tfxray", "sema", "mqtt"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(header_prefix_valid(good[i], &why));
    static const struct {
        const char *prefix, *why;
    } bad[] = {
        {"", "it does not begin with a letter or '_'"},
        {"1a", "it does not begin with a letter or '_'"},
        {"a-b", "it has a character that C identifiers cannot have"},
        {"\xc3\xa4", "it does not begin with a letter or '_'"},
        {"_a", "names that begin with '_' belong to the compiler and the system"},
        {"sem", "the system's libraries have functions of that prefix"},
        {"tfx", "names that begin with 'tfx' belong to tfx.h"},
        {"TFX_x", "names that begin with 'tfx' belong to tfx.h"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(header_prefix_valid(bad[i].prefix, &why));
        assert_string_equal(why, bad[i].why);
    }
    char longest[202];
    memset(longest, 'a', 201);
    longest[201] = 0;
    assert_false(header_prefix_valid(longest, &why));
    longest[200] = 0;
    assert_true(header_prefix_valid(longest, &why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(toy),
        cmocka_unit_test(awkward),
        cmocka_unit_test(embeds_tfx_h),
        cmocka_unit_test(prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
