/* The constant tables of an artefact: struct rt_model and all that hangs on it, as LLVM constants. */
#ifndef CODEGEN_RT_TABLES_H
#define CODEGEN_RT_TABLES_H

#include "codegen/emit_plan.h"
#include "codegen/weights_layout.h"

#define WEIGHTS_SECTION ".lrodata.tfx_weights"

/* Emits kernels, plans and tables of all variants of the model into `m`; targets[i] is that of variants[i].
 * rt_the_model is external, everything else internal. The weights are represented by 64 zero bytes in section
 * WEIGHTS_SECTION (none when there are no weights, or `external`).
 */
void emit_model(emit_module *m, const codegen_variant *variants, const codegen_target *targets, uint32_t n,
                const weights_layout *w, bool external);
/* Where tfx_info.weight_id lies in rt_the_model: filled in after the weights have been written. */
enum { WEIGHT_ID_OFFSET = offsetof(struct rt_model, info) + offsetof(tfx_info, weight_id) };

#endif
