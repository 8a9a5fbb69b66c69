/* Emitted kernels run by the simulator give what the kernel interpreter says. */
#include "unit/ptx/cases.h"

#include "unit/cmocka_all.h"

static void run_all(int opt)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        session s = session_new();
        ptx_case c = cases[i].c;
        c.opt = opt;
        expect_same_run(&s, session_read(&s, arena_printf(s.a, "tests/golden/%s", cases[i].file)), c);
        session_free(&s);
    }
}

static void test_golden_kernels(void **state)
{
    (void)state;
    run_all(2);
}

static void test_hardly_optimised(void **state)
{
    (void)state;
    run_all(0);
    run_all(1);
}

static void test_optimised_by_llvm(void **state)
{
    (void)state;
    run_all(3);
}

/* The same text for processors that have more than the kernel needs. */
static void test_later_processors(void **state)
{
    (void)state;
    static const char *const processors[] = {"sm_86", "sm_90a", "sm_100a", "sm_120"};
    for (size_t i = 0; i < sizeof processors / sizeof *processors; i++) {
        if (!session_has_processor(processors[i])) continue;
        session s = session_new();
        const int64_t dims[] = {70, 40, 9};
        ptx_case c = {.sm = processors[i], .opt = 2, .dims = dims, .tolerance = 0.02};
        expect_same_run(&s, session_read(&s, "tests/golden/kir/mma_matmul.kir"), c);
        session_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden_kernels), cmocka_unit_test(test_hardly_optimised),
                                       cmocka_unit_test(test_optimised_by_llvm),
                                       cmocka_unit_test(test_later_processors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
