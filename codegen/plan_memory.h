/* Where buffers lie: offsets of workspace buffers in plans and of scratch buffers in kernels.
 *
 * Sizes are dims, so every offset is an exact expression of the entry's dims, and buffers that are alive at the same
 * time are apart for all values of the dims. */
#ifndef CODEGEN_PLAN_MEMORY_H
#define CODEGEN_PLAN_MEMORY_H

#include "codegen/live_ranges.h"
#include "ir/kir/kcost.h"

/* Sets `offset` on every `alloc` of spaces scratch (kernels) and workspace (plans) of the module. */
void plan_memory(kmodule *m);
/* All launches in order of appearance, those in branches and loops included. */
void plan_foreach_launch(const kfunction *plan, void (*fn)(void *arg, const kop *op), void *arg);
/* Bytes of scratch one worker needs to run kernel f (a multiple of MEMORY_ALIGN; 0: none), over f->dims. */
dim kernel_scratch_bytes(const kfunction *f);
/* A size: the largest of some, none of which is known to be less than another; 0 when there are none. As one dim it
 * would be a maximum of maximums, and dear to reason about. */
typedef VEC(dim) most_bytes;
bool most_bytes_at(const dim_ctx *c, const most_bytes *b, const int64_t *dims, int64_t *bytes); /* as dim_eval */
int64_t most_bytes_bound(const dim_ctx *c, const most_bytes *b);                                /* over all dims */

/* Bytes of the plan's workspace buffers (multiples of MEMORY_ALIGN), over plan->dims, without scratch; and of the
 * scratch that one worker needs for all kernels the plan launches. The whole workspace for W workers is
 * plan_workspace_bytes + W * plan_scratch_bytes. */
most_bytes plan_workspace_bytes(const kfunction *plan);
most_bytes plan_scratch_bytes(const kmodule *m, const kfunction *plan);
/* The same as numbers; false when one cannot be computed at these dims. */
bool plan_memory_use(const kmodule *m, kfunction *plan, const int64_t *dims, kmemory_use *out);

#endif
