/* Tensor IR to kernel IR: one plan per function, one kernel per distinct shape of work. */
#ifndef CODEGEN_LOWER_H
#define CODEGEN_LOWER_H

#include "ir/kir/kir.h"
#include "ir/machine.h"

typedef struct {
    int vector_floats;      /* f32 lanes of the widest vector: schedules choose register tiles by it (16 on AVX-512) */
    int registers;          /* vector registers: 32 or 16 */
    const machine *machine; /* its caches and ceilings; NULL: a typical one with such vectors */
    bool separate_matmuls;  /* a kernel for each matmul and norm, also where they could be one */
    bool remarks;           /* say which are one, and why others are not */
    struct tuned *tuned;    /* measured schedules (tuned.h), which win over the rules; notes who asked. NULL: none */
} lower_target;

/* Lowers every function of `m` to a plan of the same name whose parameters are the function's inputs, outputs and
 * weights, in that order. Plans and kernels share m->dims: a kernel's dim parameters are the module's symbols. Buffers
 * already have their offsets (plan_memory.h). NULL with diagnostics for what cannot be lowered. */
kmodule *lower_module(module *m, arena *a, diags *d, const lower_target *target);

#endif
