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
/* Bytes of the plan's workspace buffers (a multiple of MEMORY_ALIGN), over plan->dims, without scratch; and of the
 * scratch that one worker needs for all kernels the plan launches. The whole workspace for W workers is
 * plan_workspace_bytes + W * plan_scratch_bytes. */
dim plan_workspace_bytes(const kfunction *plan);
dim plan_scratch_bytes(const kmodule *m, const kfunction *plan);
/* The same as numbers; false when one cannot be computed at these dims. */
bool plan_memory_use(const kmodule *m, kfunction *plan, const int64_t *dims, kmemory_use *out);

#endif
