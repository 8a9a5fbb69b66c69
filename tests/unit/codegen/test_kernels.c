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
        static const int64_t m[] = {1, 2, 11, 12, 13, 14, 15, 28, 29, 43}, kk[] = {1, 3, 4, 17, 64},
                             n[] = {1, 31, 32, 33, 64, 67};
        for (int i = 0; i < 30; i++) {
            int64_t dims[] = {m[i % 10], kk[i % 5], n[(i + i / 6) % 6]};
            compare_kernel(&c, "matmul_gelu", dims, i % 7 ? FILL_SMALL : FILL_SPECIAL, NULL, NULL);
        }
        comparison_free(&c);
    }
}

/* Which keys exist: all, none in one sequence, all but a few. */
static void set_mask(void *arg, uint32_t which, void *data, uint64_t bytes)
{
    if (which != 3) return;
    int kind = *(int *)arg;
    uint8_t *mask = data;
    for (uint64_t i = 0; i < bytes; i++) mask[i] = kind == 0 ? 1 : kind == 1 ? i >= bytes / 2 : i % 3 != 1;
}

static void attention(void **state)
{
    (void)state;
    static const int64_t dims[][3] = {{1, 1, 1}, {2, 3, 7}, {1, 2, 8}, {2, 1, 31}, {1, 2, 32}, {2, 2, 33}, {1, 1, 67}};
    for (int k = 0; k < N_CPUS; k++) {
        comparison c = comparison_read("tests/golden/kir/attention.kir", cpus[k], 2);
        for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
            for (int kind = 0; kind < 3; kind++)
                compare_kernel(&c, "attention", dims[i], kind == 2 && i % 2 ? FILL_SPECIAL : FILL_SMALL, set_mask,
                               &kind);
        comparison_free(&c);
    }
}

/* A random pattern of blocks: `start` per block row, `column` per block. */
typedef struct {
    int64_t block_rows, block_columns, blocks;
} pattern;

static void set_pattern(void *arg, uint32_t which, void *data, uint64_t bytes)
{
    const pattern *p = arg;
    int32_t *v = data;
    if (which == 2)
        for (int64_t r = 0; r <= p->block_rows; r++)
            v[r] = (int32_t)(r == p->block_rows ? p->blocks : p->blocks * r * r / (p->block_rows * p->block_rows));
    if (which == 3)
        for (uint64_t i = 0; i < bytes / 4; i++) v[i] = (int32_t)((int64_t)i * 7 % p->block_columns);
}

static void block_sparse(void **state)
{
    (void)state;
    static const int64_t dims[][4] = {
        {1, 4, 4, 0}, {1, 4, 4, 1}, {64, 8, 132, 20}, {65, 40, 12, 17}, {200, 36, 260, 200}};
    for (int k = 0; k < N_CPUS; k++) {
        comparison c = comparison_read("tests/golden/kir/block_sparse_4x4.kir", cpus[k], 2);
        for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
            pattern p = {dims[i][2] / 4, dims[i][1] / 4, dims[i][3]};
            compare_kernel(&c, "block_sparse_4x4", dims[i], i % 2 ? FILL_SMALL : FILL_SPECIAL, set_pattern, &p);
        }
        comparison_free(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul_gelu),
        cmocka_unit_test(attention),
        cmocka_unit_test(block_sparse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
