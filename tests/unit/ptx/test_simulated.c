/* Emitted kernels run by the simulator give what the kernel interpreter says. */
#include "unit/ptx/session.h"

#include "unit/cmocka_all.h"

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

static void run_golden(const char *name, ptx_case c)
{
    session s = session_new();
    expect_same_run(&s, session_read(&s, arena_printf(s.a, "tests/golden/%s", name)), c);
    session_free(&s);
}

/* M, K, N: whole tiles, edges on every side, one element. */
static void test_mma_matmul(void **state)
{
    (void)state;
    const char *name = "kir/mma_matmul.kir";
    run_golden(name, (ptx_case){.sm = "sm_80", .dims = DIMS(128, 96, 128), .tolerance = 0.02});
    run_golden(name, (ptx_case){.sm = "sm_80", .dims = DIMS(131, 72, 67), .tolerance = 0.02});
    run_golden(name, (ptx_case){.sm = "sm_90a", .dims = DIMS(1, 8, 1), .tolerance = 0.02});
}

static void test_wgmma_matmul(void **state)
{
    (void)state;
    const char *name = "kir/wgmma_matmul.kir";
    run_golden(name, (ptx_case){.sm = "sm_90a", .dims = DIMS(128, 192, 128), .tolerance = 1e-5});
    run_golden(name, (ptx_case){.sm = "sm_90a", .dims = DIMS(67, 136, 131), .tolerance = 1e-5});
}

static void test_softmax(void **state)
{
    (void)state;
    static const int64_t widths[] = {1, 2, 31, 128, 257, 300};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        run_golden("ptx/rows.kir", (ptx_case){.kernel = "softmax", .sm = "sm_80", .dims = DIMS(5, widths[i])});
}

static void test_layer_norm(void **state)
{
    (void)state;
    run_golden("ptx/rows.kir", (ptx_case){.kernel = "layer_norm", .sm = "sm_80", .dims = DIMS(19)});
    run_golden("ptx/rows.kir", (ptx_case){.kernel = "layer_norm", .sm = "sm_90a", .dims = DIMS(1)});
}

static void test_statistics(void **state)
{
    (void)state;
    run_golden("ptx/rows.kir", (ptx_case){.kernel = "statistics", .sm = "sm_80", .dims = DIMS(0)});
}

static void test_embed(void **state)
{
    (void)state;
    ptx_case c = {.kernel = "embed", .sm = "sm_80", .dims = DIMS(9, 50, 77), .ints_below = 50};
    run_golden("ptx/flow.kir", c);
    c.dims = DIMS(1, 50, 1);
    run_golden("ptx/flow.kir", c);
    /* Row 3 is the first of two whose number is not in the table. */
    c.dims = DIMS(13, 50, 128);
    c.faulty = -1;
    run_golden("ptx/flow.kir", c);
    c.faulty = 50;
    run_golden("ptx/flow.kir", c);
}

static void test_cases(void **state)
{
    (void)state;
    run_golden("ptx/flow.kir", (ptx_case){.kernel = "cases", .sm = "sm_80", .dims = DIMS(3, 4, 9)});
    run_golden("ptx/flow.kir", (ptx_case){.kernel = "cases", .sm = "sm_80", .dims = DIMS(1, 1, 1)});
}

static void test_fragments(void **state)
{
    (void)state;
    ptx_case c = {.kernel = "transposed", .sm = "sm_80", .dims = DIMS(0), .tolerance = 2e-3};
    run_golden("ptx/fragments.kir", c);
    c = (ptx_case){.kernel = "direct", .sm = "sm_80", .dims = DIMS(16, 16, 8), .tolerance = 1e-6};
    run_golden("ptx/fragments.kir", c);
    c.dims = DIMS(5, 13, 7);
    run_golden("ptx/fragments.kir", c);
    c = (ptx_case){.kernel = "shifted", .sm = "sm_80", .dims = DIMS(0), .tolerance = 1e-6};
    run_golden("ptx/fragments.kir", c);
}

static void test_copies(void **state)
{
    (void)state;
    run_golden("ptx/copies.kir", (ptx_case){.sm = "sm_80", .dims = DIMS(40, 64)});
    run_golden("ptx/copies.kir", (ptx_case){.sm = "sm_80", .dims = DIMS(23, 34)});
    run_golden("ptx/copies.kir", (ptx_case){.sm = "sm_80", .dims = DIMS(1, 2)});
}

static void test_warpgroup(void **state)
{
    (void)state;
    run_golden("ptx/warpgroup.kir", (ptx_case){.kernel = "both_ways", .sm = "sm_90a", .dims = DIMS(64, 64), .tolerance = 1e-5});
    run_golden("ptx/warpgroup.kir", (ptx_case){.kernel = "both_ways", .sm = "sm_90a", .dims = DIMS(37, 51), .tolerance = 1e-5});
    run_golden("ptx/warpgroup.kir", (ptx_case){.kernel = "narrow", .sm = "sm_90a", .dims = DIMS(0), .tolerance = 0.02});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mma_matmul), cmocka_unit_test(test_wgmma_matmul), cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_layer_norm), cmocka_unit_test(test_statistics),   cmocka_unit_test(test_embed),
        cmocka_unit_test(test_cases),      cmocka_unit_test(test_fragments),    cmocka_unit_test(test_copies),
        cmocka_unit_test(test_warpgroup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
