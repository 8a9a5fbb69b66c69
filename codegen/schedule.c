/* The choice of schedules. docs/kernels.md has the figures behind it. */
#include "codegen/schedule.h"

#include <math.h>

#define BLOCK_TASKS 16
#define BLOCK_ROWS 48

static int64_t within(int64_t v, int64_t least, int64_t most)
{
    return v < least ? least : v > most ? most : v;
}

matmul_schedule matmul_schedule_by_rule(const lower_target *t, const matmul_shape *s)
{
    int64_t sum_bytes = (int64_t)dtype_bytes(s->sums, 1), lanes = t->vector_floats * 4 / sum_bytes;
    matmul_schedule r;
    r.cols = (int)within(2 * lanes, 1, MATMUL_WIDE);
    /* Two vectors a row: registers for the sums, two vectors of weights, and elements of the rows. */
    r.rows = t->registers >= 32 ? 14 : 6;
    r.wide = (int)(t->registers / 2 / (MATMUL_WIDE / lanes));
    /* Blocks are deeper than the first-level cache holds weights: these come from the second as fast as they are used,
     * tiles begin and end less often, and the weights of few rows come from memory in long runs. */
    int64_t most = t->machine->l1d_bytes * 3 / 2 / (MATMUL_PANEL * (int64_t)dtype_bytes(s->weights, 1));
    int64_t blocks = (s->k + most - 1) / most;
    r.depth = (int)ceil_to(blocks ? (s->k + blocks - 1) / blocks : 1, MATMUL_STEPS);
    /* A block of rows takes half of the second-level cache. */
    int64_t rows = t->machine->l2_bytes / 2 / (r.depth * sum_bytes);
    r.chunk = (int)within(rows / r.rows, 1, 1024);
    /* Small tasks end together on however many threads; larger ones read the rows less often and are no faster. */
    r.group = MATMUL_WIDE;
    r.level = 2; /* into the first, few rows on AVX-512 took up to a third longer, and many no less */
    return r;
}

/* Rows that a block of weights has to meet, so that it comes as fast as it is used. */
static int64_t rows_per_weight(const machine *m, const matmul_shape *first, const matmul_shape *second)
{
    double bytes[2] = {(double)dtype_bytes(first->weights, (uint64_t)(first->n * first->k)),
                       (double)dtype_bytes(second->weights, (uint64_t)(second->n * second->k))};
    double from = bytes[0] + bytes[1] < (double)m->l3_bytes * 3 / 4 ? m->l3_gb_per_s : m->dram_gb_per_s;
    double peak = second->sums == DT_F64 ? m->f64_gflops : m->f32_gflops;
    double each = fmax((double)dtype_bytes(first->weights, 1), (double)dtype_bytes(second->weights, 1));
    return (int64_t)ceil(each / from * peak / 2);
}

row_block_schedule row_block_schedule_by_rule(const lower_target *t, const matmul_shape *first,
                                              const matmul_schedule *s1, const matmul_shape *second,
                                              const matmul_schedule *s2)
{
    row_block_schedule r = {.tile = s1->rows};
    if (s1->rows != s2->rows) {
        r.why_not = "their register tiles differ in height";
        return r;
    }
    /* What the two read of a row at a time takes half of the second-level cache. More rows than some bring nothing. */
    int64_t row = within(first->k, 1, s1->depth) * (int64_t)dtype_bytes(first->sums, 1) +
                  within(second->k, 1, s2->depth) * (int64_t)dtype_bytes(second->sums, 1);
    int64_t most = within(s1->chunk < s2->chunk ? s1->chunk : s2->chunk, 1, (BLOCK_ROWS + s1->rows - 1) / s1->rows);
    r.chunk = (int)within(t->machine->l2_bytes / 2 / row / s1->rows, 1, most);
    /* Tasks come in a number that many numbers of threads divide. So they have half of the rows, or more; in the least
     * number of them, two thirds. */
    r.tasks = BLOCK_TASKS;
    r.least = (int64_t)r.tasks * r.chunk * s1->rows * 2 / 3;
    int64_t rows = (int64_t)r.chunk * s1->rows, sums = second->k > s2->depth ? second->n : 0;
    if (rows * sums * (int64_t)dtype_bytes(second->sums, 1) > t->machine->l3_bytes / 4)
        r.why_not = "the sums of a task's rows would fill the last-level cache";
    if (rows / 2 < rows_per_weight(t->machine, first, second))
        r.why_not = "the rows that fit the second-level cache would wait for weights";
    return r;
}
