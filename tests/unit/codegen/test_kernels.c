/* The hand-written kernels of tests/golden/kir, compiled, against the interpreter. */
#include <stdio.h>

#include "compare.h"
#include "unit/cmocka_all.h"

/* Every instruction set that this machine can run: the widths of vectors differ, the results may not. */
static const char *const cpus[] = {NULL, "x86-64-v3"};
enum { N_CPUS = sizeof cpus / sizeof *cpus };

static void matmul_gelu(void **state)
{
    (void)state;
    for (int k = 0; k < N_CPUS; k++) {
        comparison c = comparison_read("tests/golden/kir/matmul_gelu.kir", cpus[k], 2);
        static const int64_t m[] = {1, 2, 11, 12, 13, 14, 15, 28, 29, 43}, kk[] = {1, 3, 4, 17, 64}, n[] = {1, 31, 32, 33, 64, 67};
        for (int i = 0; i < 30; i++) {
            int64_t dims[] = {m[i % 10], kk[i % 5], n[(i + i / 6) % 6]};
            compare_kernel(&c, "matmul_gelu", dims, i % 7 ? FILL_SMALL : FILL_SPECIAL, NULL, NULL);
        }
        comparison_free(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul_gelu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
