/* When buffers of a plan or a kernel are in use. */
#ifndef CODEGEN_LIVE_RANGES_H
#define CODEGEN_LIVE_RANGES_H

#include "ir/kir/kir.h"

#define MEMORY_ALIGN 64 /* of every workspace and scratch buffer, in bytes */

/* What a buffer takes: a multiple of MEMORY_ALIGN. */
dim planned_bytes(dim_ctx *c, const kbuffer *t);

/* By symbol: the most that a dim can be which the plan counts while it runs, DIM_BAD for others. NULL: it counts none.
 */
const dim *counted_dims(const kfunction *f);
/* d with counted dims at their most. */
dim dim_at_most(dim_ctx *c, const dim *counted, dim d);

/* A buffer lives from the first to the last op that touches it or a view of it; ops are numbered in program order,
 * nested blocks included. What is older than a loop and touched in it lives as long as the loop. */
typedef struct {
    kop *alloc;
    dim bytes; /* planned_bytes, at most */
    uint32_t first, last;
} live_range;
typedef VEC(live_range) live_ranges;

/* All buffers of `space`, in the order of `first`. */
live_ranges live_ranges_of(kfunction *f, kspace space);

/* The most bytes that are alive at one op: what no plan can do without. False when a size cannot be computed. */
bool live_ranges_most(const live_ranges *r, const dim_ctx *c, const int64_t *dims, arena *a, int64_t *bytes);

#endif
