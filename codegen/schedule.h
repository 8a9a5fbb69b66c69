/* Schedules of kernels as data: how loops are cut, chosen by sizes and machine, never by the name of a model.
 *
 * A matmul of M rows with constant weights [N, K] runs as
 *
 *   for chunk of row tiles, for group of columns               a task each
 *     for block of `depth` of K
 *       for `cols` columns, for row tile                       rows x cols sums in registers
 *
 * so that a block of the rows (chunk x depth) and the weights at hand (depth x cols) stay in the second-level cache.
 * The layout of the weights depends on none of it. */
#ifndef CODEGEN_SCHEDULE_H
#define CODEGEN_SCHEDULE_H

#include "codegen/lower.h"
#include "ir/dtype.h"

#define MATMUL_PANEL 16 /* columns of a stored panel of weights, [ceildiv(N, 16)][K][16] */
#define MATMUL_HALF 8   /* columns of either half in a panel where both are computed together */
#define MATMUL_WIDE 32  /* the most columns of a register tile */
#define MATMUL_STEPS 8  /* the most steps of k in a round of a tile's loop */

typedef struct {
    int rows;  /* of a register tile, at most */
    int cols;  /* of a register tile: divides MATMUL_WIDE */
    int wide;  /* rows of a run up to which a tile takes MATMUL_WIDE columns */
    int depth; /* of K summed at a time; a multiple of MATMUL_STEPS */
    int chunk; /* row tiles of a task, at most */
    int group; /* columns of a task; a multiple of MATMUL_WIDE */
    int level; /* the cache into which the next block of weights is prefetched: 1, 2, or 0 for none */
} matmul_schedule;

typedef struct {
    dtype weights, sums; /* as stored; as added up */
    int64_t n, k;
    const char *kernel; /* who asks, for --tune */
} matmul_shape;

/* The least multiple of `step` that is not below v. */
static inline int64_t ceil_to(int64_t v, int64_t step)
{
    return (v + step - 1) / step * step;
}

matmul_schedule matmul_schedule_by_rule(const lower_target *target, const matmul_shape *shape);
/* What target->tuned says of the shape (tuned.c), else by rule. */
matmul_schedule matmul_schedule_for(const lower_target *target, const matmul_shape *shape);

/* A block of rows: one kernel for two matmuls in a row, and norms beside them, for as many rows of a run as are worth
 * it. A task takes a chunk of rows through all. */
typedef struct {
    const char *why_not; /* they stay kernels of their own; NULL: they do not */
    int tile;            /* rows of a register tile */
    int chunk;           /* row tiles of a task, at most */
    int tasks;           /* what the number of tasks is a multiple of */
    int64_t least;       /* rows from which on they are one kernel */
} row_block_schedule;

/* From the schedules that the two have as kernels of their own. */
row_block_schedule row_block_schedule_by_rule(const lower_target *target, const matmul_shape *first,
                                              const matmul_schedule *s1, const matmul_shape *second,
                                              const matmul_schedule *s2);

#endif
