/* The choice of schedules. docs/kernels.md has the figures behind it. */
#include "codegen/schedule.h"

static int at_least(int64_t v, int least)
{
    return v < least ? least : (int)v;
}

matmul_schedule matmul_schedule_for(const lower_target *t, const matmul_shape *s)
{
    int lanes = t->vector_floats * 4 / (int)dtype_bytes(s->sums, 1);
    matmul_schedule r;
    r.cols = 2 * lanes < MATMUL_TASK ? 2 * lanes : MATMUL_TASK;
    /* Two vectors a row: registers for the sums, two vectors of weights and broadcast elements of the rows. */
    r.rows = t->registers >= 32 ? 14 : 6;
    r.wide = t->registers / 2 / (MATMUL_TASK / lanes);
    /* A tile's weights come from the second-level cache, where they share the space with rows. */
    int64_t weights = MATMUL_PANEL * (int64_t)dtype_bytes(s->weights, 1);
    int64_t most = t->l2_bytes / 4 / weights, blocks = (s->k + most - 1) / most;
    int64_t depth = blocks > 0 ? (s->k + blocks - 1) / blocks : 1;
    r.depth = at_least((depth + MATMUL_STEPS - 1) / MATMUL_STEPS * MATMUL_STEPS, MATMUL_STEPS);
    /* Rows that stay in the second-level cache; but each weight, which comes from farther away, serves 128 rows. */
    int64_t row = s->k * (int64_t)dtype_bytes(s->sums, 1);
    int64_t rows = row ? t->l2_bytes * 3 / 4 / row : 0;
    r.chunk = (at_least(rows, 128) + r.rows - 1) / r.rows;
    r.level = t->registers >= 32 ? 1 : 2;
    return r;
}
