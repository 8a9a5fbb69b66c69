/* Plans to LLVM, and what the tables need to know of them. */
#ifndef CODEGEN_EMIT_PLAN_H
#define CODEGEN_EMIT_PLAN_H

#include "codegen/emit.h"

/* Where a plan finds things at run time. */
typedef struct {
    const uint64_t *weight_offset; /* by parameter: bytes from the start of the weights */
    const uint32_t *symbol_index;  /* by symbol of the plan's dims: its place in the model's dims table */
    LLVMValueRef launches;         /* its array of struct rt_launch, one for each launch in order of appearance */
} plan_layout;

/* The plan as an external rt_plan_fn. emit_task_count must have run for every kernel. */
LLVMValueRef emit_plan(emit_module *m, const kfunction *f, const char *symbol, const plan_layout *l);
/* int64_t tasks.<kernel>(const int64_t *dims): the trip count of the kernel's parallel loop. */
LLVMValueRef emit_task_count(emit_module *m, const kfunction *f);
/* Begins int64_t <name>.<kernel>(const int64_t *dims), with the kernel's symbols at hand; it ends with a return and
 * emit_finish of the block that it gives. */
LLVMBasicBlockRef emit_dims_function(emitter *e, emit_module *m, const kfunction *f, const char *name);
/* Sets e->symbols from an array of i64; symbol i lies at index[i] (index NULL: at i). */
void emit_load_dims(emitter *e, LLVMValueRef table, const uint32_t *index);

#endif
