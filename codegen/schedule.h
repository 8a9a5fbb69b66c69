/* Schedules of kernels as data: how loops are cut, chosen by sizes and machine, never by the name of a model.
 *
 * A matmul of M rows with constant weights [N, K] runs as
 *
 *   for chunk of row tiles, for MATMUL_TASK columns                      a task each
 *     for `cols` of these columns, for `depth` of K, for row tile        rows x cols sums in registers
 *
 * so that a block of weights (depth x cols) stays in the second-level cache while the chunk's rows pass. The layout of
 * the weights depends on none of it. */
#ifndef CODEGEN_SCHEDULE_H
#define CODEGEN_SCHEDULE_H

#include "codegen/lower.h"
#include "ir/dtype.h"

#define MATMUL_PANEL 16 /* columns of a stored panel of weights, [ceildiv(N, 16)][K][16] */
#define MATMUL_TASK 32  /* columns of a task */

typedef struct {
    int rows;  /* of a register tile, at most */
    int cols;  /* of a register tile: divides MATMUL_TASK */
    int depth; /* of K summed in registers at a time; a multiple of MATMUL_STEPS */
    int wide;  /* rows of a run up to which a tile takes all columns of a task */
    int chunk; /* row tiles of a chunk, at most */
    int level; /* the cache into which the next block of weights is prefetched: 1, 2, or 0 for none */
} matmul_schedule;

#define MATMUL_STEPS 8 /* steps of k between prefetches, unrolled */

typedef struct {
    dtype weights, sums; /* as stored; as added up */
    int64_t n, k;
    int64_t max_rows; /* the most rows that a run can have */
} matmul_shape;

matmul_schedule matmul_schedule_for(const lower_target *target, const matmul_shape *shape);

#endif
