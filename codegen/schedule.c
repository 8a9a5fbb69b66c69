/* The choice of schedules. docs/kernels.md has the figures behind it. */
#include "codegen/schedule.h"

static int64_t ceil_to(int64_t v, int64_t step)
{
    return (v + step - 1) / step * step;
}

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
    r.level = t->registers >= 32 ? 1 : 2;
    return r;
}
