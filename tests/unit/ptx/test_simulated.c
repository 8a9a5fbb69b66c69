/* Emitted kernels run by the simulator give what the kernel interpreter says. */
#include "unit/ptx/session.h"

#include "unit/cmocka_all.h"

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

static void run_golden(const char *path, ptx_case c)
{
    session s = session_new();
    expect_same_run(&s, session_read(&s, path), c);
    session_free(&s);
}

/* M, K, N: whole tiles, edges on every side, one element. */
static void test_mma_matmul(void **state)
{
    (void)state;
    const char *path = "tests/golden/kir/mma_matmul.kir";
    run_golden(path, (ptx_case){.sm = "sm_80", .dims = DIMS(128, 96, 128), .tolerance = 0.02});
    run_golden(path, (ptx_case){.sm = "sm_80", .dims = DIMS(131, 72, 67), .tolerance = 0.02});
    run_golden(path, (ptx_case){.sm = "sm_90a", .dims = DIMS(1, 8, 1), .tolerance = 0.02});
}

static void test_wgmma_matmul(void **state)
{
    (void)state;
    const char *path = "tests/golden/kir/wgmma_matmul.kir";
    run_golden(path, (ptx_case){.sm = "sm_90a", .dims = DIMS(128, 192, 128), .tolerance = 1e-5});
    run_golden(path, (ptx_case){.sm = "sm_90a", .dims = DIMS(67, 136, 131), .tolerance = 1e-5});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mma_matmul),
        cmocka_unit_test(test_wgmma_matmul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
