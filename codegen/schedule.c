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
    /* Half the cache for a block of weights; the rows and the sums share the other. */
    int64_t weights = MATMUL_PANEL * (int64_t)dtype_bytes(s->weights, 1);
    int64_t most = t->l1_bytes / 2 / weights, blocks = (s->k + most - 1) / most;
    int64_t depth = blocks > 0 ? (s->k + blocks - 1) / blocks : 1;
    r.depth = at_least((depth + MATMUL_STEPS - 1) / MATMUL_STEPS * MATMUL_STEPS, MATMUL_STEPS);
    int64_t row = s->k * (int64_t)dtype_bytes(s->sums, 1);
    r.chunk = at_least(t->l2_bytes / 2 / (row ? row : 1) / r.rows, 8);
    r.level = t->registers >= 32 ? 1 : 2;
    return r;
}
