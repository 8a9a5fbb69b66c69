/* What a model is compiled for: one processor, or several, of which open takes the best that it can run. */
#ifndef CODEGEN_TARGETS_H
#define CODEGEN_TARGETS_H

#include "codegen/codegen.h"
#include "ir/machine.h"

typedef struct {
    codegen_options options;
    codegen_target target;
    machine on; /* the machine that the processor is in */
} compile_target;

typedef struct {
    const codegen_options *options;
    const char *processors;     /* several, the preferred first: "x86-64-v4,x86-64-v3"; "": the list that is known for
                                   the target; NULL: the one of the options */
    const source_file *machine; /* describes the machine; NULL: what is known by the processor */
    bool remarks;               /* say which machine kernels are scheduled for */
} targets_wanted;

/* An array of *n targets, the preferred first. NULL with diagnostics. */
compile_target *targets_describe(const targets_wanted *w, arena *a, interner *names, diags *d, uint32_t *n);

#endif
