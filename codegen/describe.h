/* What a model looks like to its callers, read off the tensor IR. */
#ifndef CODEGEN_DESCRIBE_H
#define CODEGEN_DESCRIBE_H

#include "codegen/model.h"

/* The public description of `m`, whose functions were lowered to the plans of each of the `n` kmodules: an array of n
 * models, which differ in their plans alone. `source` and `compiler` are borrowed. */
codegen_model *codegen_describe(const module *m, kmodule *const *km, uint32_t n, const char *source,
                                const char *compiler, arena *a);

#endif
