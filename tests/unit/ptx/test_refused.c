/* What no instruction of the target covers is refused where it stands; launch facts; equal inputs give equal text. */
#include "unit/ptx/session.h"

#include "unit/cmocka_all.h"

#include <stdio.h>

/* A kernel of one warp (or warpgroup) with this body. */
static const char *kernel_text(session *s, const char *dims, const char *params, const char *shared, const char *map,
                               const char *body)
{
    bool group = !strcmp(map, "warpgroup");
    return arena_printf(
        s->a,
        "kernel @k ptx (%s)\n    (%s) warps %d {\n  %%one = dim 1 : i64\n  for %%bl = 0 to %%one step 1 block {\n%s"
        "    for %%w = 0 to 1 step 1 %s {\n%s    }\n  }\n}\n",
        dims, params, group ? 4 : 1, shared, map, body);
}

static void expect_refused(const char *sm, const char *dims, const char *params, const char *shared, const char *map,
                           const char *body, const char *message)
{
    session s = session_new();
    kmodule *m = session_parse(&s, kernel_text(&s, dims, params, shared, map, body));
    codegen_ptx out = {0};
    codegen_ptx_options o = {.sm = sm, .opt = 2};
    if (codegen_emit_ptx(m, &o, s.a, s.d, &out)) fail_msg("expected: %s\n%s", message, out.text);
    if (!strstr(session_messages(&s), message))
        fail_msg("expected a message with\n    %s\ngot:\n%s", message, session_messages(&s));
    session_free(&s);
}

#define FENCED_A "    %sa = alloc : bf16 shared[64, 64] swizzle(3, 4, 3) align 1024\n"
#define WGMMA_BODY                                                  \
    "      %z = const 0.0 : f32<64x64, wgmma_c>\n"                  \
    "      fence {queue = mma}\n"                                   \
    "      %x = load %sa[0, 0] : bf16<64x64, shared>\n"             \
    "      %y = load %sa[0, 0] axes [1, 0] : bf16<64x64, shared>\n" \
    "      %t = contract %z, %x, %y : f32<64x64, wgmma_c>\n"        \
    "      commit {queue = mma}\n"                                  \
    "      wait {queue = mma, keep = 0}\n"

static void test_targets(void **state)
{
    (void)state;
    expect_refused("sm_81", "", "%a: f32 global[4] out", "", "warp", "", "unknown GPU processor 'sm_81'");
    expect_refused("sm_90A", "", "%a: f32 global[4] out", "", "warp", "", "did you mean 'sm_90'?");
    expect_refused(
        "sm_90", "", "%a: f32 global[4] out", FENCED_A, "warpgroup", WGMMA_BODY,
        "t.kir:11:7: error: cannot compile wgmma, which only sm_90a has\n 11 |       %t = contract %z, %x, %y");
    expect_refused("sm_86", "", "%a: f32 global[4] out", "    %sa = alloc : f32 shared[26000]\n", "warp", "",
                   "cannot compile 104000 bytes of shared memory, of which a block may have 101376");
}

static void test_features(void **state)
{
    (void)state;
    static const struct {
        const char *features, *message;
    } all[] = {{"+ptx83", NULL},           {"", NULL},           {NULL, NULL},       {"+ptx74,+ptx83", NULL},
               {"+avx512f", "'+avx512f'"}, {"ptx83", "'ptx83'"}, {"+ptx", "'+ptx'"}, {"+ptx8x", "'+ptx8x'"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        session s = session_new();
        kmodule *m = session_read(&s, "tests/golden/ptx/flow.kir");
        codegen_ptx out;
        assert_int_equal(codegen_emit_ptx(m, &(codegen_ptx_options){.features = all[i].features}, s.a, s.d, &out),
                         !all[i].message);
        if (all[i].message) assert_non_null(strstr(session_messages(&s), all[i].message));
        session_free(&s);
    }
}

/* The processors that docs/ptx.md lists are those that there are, with their shared memory. */
static void test_documented_processors(void **state)
{
    (void)state;
    FILE *f = fopen("docs/ptx.md", "r");
    assert_non_null(f);
    char line[1024], sm[32];
    int n = 0, known = 0, kib;
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "| `sm_%20[0-9a-z]` | %d KiB", sm, &kib) != 2) continue;
        n++;
        session s = session_new();
        const char *name = arena_printf(s.a, "sm_%s", sm);
        if (session_has_processor(name)) known++;
        else kib = 0;
        for (int over = 0; kib && over < 2; over++) {
            kmodule *m = session_parse(
                &s,
                kernel_text(&s, "", "%a: f32 global[4] out",
                            arena_printf(s.a, "    %%sa = alloc : u8 shared[%d]\n", kib * 1024 + over), "warp", ""));
            codegen_ptx out;
            if (codegen_emit_ptx(m, &(codegen_ptx_options){.sm = name}, s.a, s.d, &out) == over)
                fail_msg("%s, %d: %s", name, over, session_messages(&s));
        }
        session_free(&s);
    }
    fclose(f);
    assert_int_equal(n, 10);
    assert_null(codegen_ptx_processor((uint32_t)known));
}

static void test_copies(void **state)
{
    (void)state;
    const char *shared = "    %s = alloc : f16 shared[16, 64] align 16\n";
    expect_refused("sm_80", "K in 2..64", "%a: f16 global[16, K] align 16 in", shared, "warp",
                   "      copy %s[0, 0], %a[0, 0] bound [_, 2] : f16<16x64>\n",
                   "t.kir:7:7: error: cannot compile a copy in pieces of 4 bytes: rows are known to be aligned to 2 in "
                   "the source");
    expect_refused("sm_80", "", "%a: f16 global[64, 16] align 16 in", shared, "warp",
                   "      copy %s[0, 0], %a[0, 0] axes [1, 0] : f16<16x64>\n",
                   "a copy whose rows are not contiguous on both sides");
    expect_refused("sm_80", "", "%a: f16 global[16, 64] align 16 in", shared, "warp",
                   "      copy %s[0, 0] bound [_, 7], %a[0, 0] : f16<16x64>\n", "a copy in pieces of 4 bytes");
}

static void test_layouts(void **state)
{
    (void)state;
    expect_refused("sm_90a", "", "%a: f32 global[64] in, %b: f32 global[1] out", "", "warpgroup",
                   "      %x = load %a[0] : f32<64, lanes>\n"
                   "      %y = reduce %x {kind = add, axis = 0} : f32<1, lanes>\n      store %b[0], %y\n",
                   "t.kir:7:7: error: cannot compile a reduction between the warps of a warpgroup");
    expect_refused(
        "sm_80", "", "%a: f64 global[64] in, %b: f64 global[64] out", "", "warp",
        "      %x = load %a[0] : f64<64, lanes>\n      %y = exp %x : f64<64, lanes>\n      store %b[0], %y\n",
        "t.kir:7:7: error: cannot compile exp of f64 on a GPU");
    expect_refused(
        "sm_80", "", "%a: f32 global[64] in, %b: f32 global[64] out", "", "warp",
        "      %x = load %a[0] : f32<64, lanes>\n      %y = mod %x, %x : f32<64, lanes>\n      store %b[0], %y\n",
        "cannot compile mod of f32 on a GPU");
    expect_refused("sm_80", "", "%a: f4 global[64] in, %b: f4 global[64] out", "", "warp",
                   "      %x = load %a[0] : f4<64, lanes>\n      store %b[0], %x\n", "access to packed f4 elements");
}

static void test_grids(void **state)
{
    (void)state;
    session s = session_new();
    codegen_ptx out;
    kmodule *m =
        session_parse(&s, "kernel @k ptx (M in 1..3000000000) (%a: f32 global[4] out) warps 1 {\n  %m = dim M : i64\n"
                          "  for %b = 0 to %m step 1 block {\n    for %w = 0 to 1 step 1 warp {\n    }\n  }\n}\n");
    assert_false(codegen_emit_ptx(m, &(codegen_ptx_options){.opt = 2}, s.a, s.d, &out));
    if (!strstr(session_messages(&s), "a grid of more than 2147483647 blocks"))
        fail_msg("got:\n%s", session_messages(&s));
    session_free(&s);
}

static int64_t value_of(const kfunction *f, dim d, const int64_t *dims)
{
    int64_t v;
    assert_true(dim_eval(f->dims, d, dims, &v));
    return v;
}

static void test_launch_facts(void **state)
{
    (void)state;
    session s = session_new();
    codegen_ptx ptx = session_emit(&s, session_read(&s, "tests/golden/kir/mma_matmul.kir"), "sm_80", 2);
    assert_int_equal(ptx.n_launches, 1);
    const codegen_ptx_launch *l = ptx.launches;
    assert_string_equal(l->name, "mma_matmul");
    const int64_t dims[] = {129, 64, 300};
    assert_int_equal(value_of(l->kernel, l->grid[0], dims), 3);
    assert_int_equal(value_of(l->kernel, l->grid[1], dims), 2);
    assert_int_equal(value_of(l->kernel, l->grid[2], dims), 1);
    assert_int_equal(l->threads, 256);
    assert_int_equal(l->shared_bytes, 49152);
    assert_int_equal(l->dynamic_bytes, 0);
    const char *heading =
        "// kernel mma_matmul: grid (ceildiv(N, 128), ceildiv(M, 128), 1), 256 threads, 49152 bytes of shared memory; "
        "parameters %a, %b, %bias, %c, M, K, N, fault\n";
    assert_memory_equal(ptx.text, heading, strlen(heading));
    assert_int_equal(strlen(ptx.text), ptx.size);

    ptx = session_emit(&s, session_read(&s, "tests/golden/kir/wgmma_matmul.kir"), "sm_90a", 2);
    assert_int_equal(ptx.launches[0].dynamic_bytes, 98304);
    assert_non_null(strstr(ptx.text, ".extern .shared .align 1024 .b8 wgmma_matmul_shared[];"));
    assert_non_null(strstr(ptx.text, ".reqntid 256"));
    /* Profilers find the kernel's source by these. */
    assert_non_null(strstr(ptx.text, ".file\t1 \"tests/golden/kir/wgmma_matmul.kir\""));
    assert_non_null(strstr(ptx.text, ".loc\t1 58 11"));
    assert_null(strstr(ptx.text, ", debug"));
    session_free(&s);
}

/* Three block loops of which an outer one may pass 65535 are counted along x. */
static void test_linear_grid(void **state)
{
    (void)state;
    session s = session_new();
    codegen_ptx ptx = session_emit(&s, session_read(&s, "tests/golden/ptx/flow.kir"), "sm_80", 2);
    const codegen_ptx_launch *l = &ptx.launches[1];
    assert_string_equal(l->name, "cases");
    const int64_t dims[] = {7, 80000, 3};
    assert_int_equal(value_of(l->kernel, l->grid[0], dims), 7 * 80000 * 3);
    assert_int_equal(value_of(l->kernel, l->grid[1], dims), 1);
    session_free(&s);
}

/* Names that PTX cannot have are spelled with it can, differently for different names. */
static void test_names(void **state)
{
    (void)state;
    session s = session_new();
    const char *body =
        " ptx () (%a: f32 global[4] out) warps 1 {\n  %one = dim 1 : i64\n  for %b = 0 to %one step 1 block {\n"
        "    %s = alloc : f32 shared[4]\n    for %w = 0 to 1 step 1 warp {\n    }\n  }\n}\n";
    kmodule *m =
        session_parse(&s, arena_printf(s.a, "kernel @\"bert.layer/linear+gelu\"%skernel @\"0$\"%s", body, body));
    codegen_ptx ptx = session_emit(&s, m, "sm_80", 2);
    assert_string_equal(ptx.launches[0].name, "bert$2elayer$2flinear$2bgelu");
    assert_string_equal(ptx.launches[1].name, "$30$24");
    assert_non_null(strstr(ptx.text, ".visible .entry bert$2elayer$2flinear$2bgelu("));
    session_free(&s);
}

static void test_same_text(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = session_read(&s, "tests/golden/ptx/warpgroup.kir");
    assert_string_equal(session_emit(&s, m, "sm_90a", 2).text, session_emit(&s, m, "sm_90a", 2).text);
    session t = session_new();
    kmodule *n = session_read(&t, "tests/golden/ptx/warpgroup.kir");
    assert_string_equal(session_emit(&s, m, "sm_90a", 2).text, session_emit(&t, n, "sm_90a", 2).text);
    session_free(&s);
    session_free(&t);
}

/* Every level of optimisation gives a module; CPU kernels and plans are no part of it. */
static void test_levels(void **state)
{
    (void)state;
    for (int opt = 0; opt <= 3; opt++) {
        session s = session_new();
        kmodule *m = session_read(&s, "tests/golden/kir/ops.kir");
        codegen_ptx out;
        if (!codegen_emit_ptx(m, &(codegen_ptx_options){.sm = "sm_90a", .opt = opt}, s.a, s.d, &out))
            fail_msg("%s", session_messages(&s));
        assert_int_equal(out.n_launches, 2);
        assert_null(strstr(out.text, "cpu_ops"));
        session_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_features),
        cmocka_unit_test(test_documented_processors),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_grids),
        cmocka_unit_test(test_launch_facts),
        cmocka_unit_test(test_linear_grid),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_same_text),
        cmocka_unit_test(test_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
