/* Choosing schedules by running them. */
#ifndef CODEGEN_TUNE_H
#define CODEGEN_TUNE_H

#include "codegen/codegen.h"
#include "codegen/tuned.h"

typedef struct {
    module *m;
    const char *entry;   /* whose kernels are tuned */
    const int64_t *dims; /* of a typical run: one value per symbol of m->dims */
    lower_target target; /* this machine's, with target.machine; target.tuned is not looked at */
    const codegen_options *options;
    arena *a;
    diags *d;
} tuning;

/* Lowers the model with one schedule after the other, compiles and runs the entry's matmuls alone, on weights that come
 * from memory as a model's do, and puts the best into `out`: the rule's schedule unless another one is faster by more
 * than the noise. `report` gets a line a shape. False with diagnostics. */
bool tune(const tuning *t, tuned *out, strbuf *report);

#endif
