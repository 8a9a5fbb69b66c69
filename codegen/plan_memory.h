/* Where buffers lie: offsets of workspace buffers in plans and of scratch buffers in kernels.
 *
 * Sizes are dims, so every offset is an exact expression of the entry's dims. Buffers whose live ranges do not overlap
 * share a slot when one's size provably covers the other's. */
#ifndef CODEGEN_PLAN_MEMORY_H
#define CODEGEN_PLAN_MEMORY_H

#include "ir/kir/kir.h"

#define MEMORY_ALIGN 64 /* of every workspace and scratch buffer, in bytes */

/* Sets `offset` on every `alloc` of spaces scratch (kernels) and workspace (plans) of the module. */
void plan_memory(kmodule *m);
/* Bytes of scratch one worker needs to run kernel f (a multiple of MEMORY_ALIGN; 0: none), over f->dims. */
dim kernel_scratch_bytes(const kfunction *f);
/* Bytes of the plan's workspace buffers (a multiple of MEMORY_ALIGN), over plan->dims, without scratch. The whole
 * workspace for W workers is plan_workspace_bytes + W * (maximum over launched kernels of kernel_scratch_bytes at the
 * launch's dims). */
dim plan_workspace_bytes(const kfunction *plan);

#endif
