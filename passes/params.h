/* Parameters as rewrites see them: who reads them, and new ones made out of them. */
#ifndef PASSES_PARAMS_H
#define PASSES_PARAMS_H

#include "ir/constant.h"

/* By parameter id: the nodes that read it, in all entries and bodies. With room for `more` parameters that will be
 * made. */
uint32_t *param_readers(const module *m, arena *a, size_t more);
/* By parameter id: the uses of those nodes. */
uint32_t *param_uses(const module *m, arena *a);
size_t module_node_count(const module *m, arena *scratch);

/* A parameter of type ty with the value e: the one at `path` or "path.2", "path.3" ... that is the same already, or a
 * new one at the first of these that is free. */
param *param_made(module *m, arena *scratch, const char *path, type ty, const cexpr *e, span declared);

/* The floats of e in f64, for a computation that is rounded once, at its end: when e itself ends with such a rounding,
 * what it rounds. */
const cexpr *constant_wide(arena *a, const cexpr *e);
/* Operations in e, each counted as often as it is evaluated, and how deep they are nested. Looks no further than
 * `limit` operations. */
uint32_t constant_cost(const cexpr *e, uint32_t limit, uint32_t *depth);
/* e may be evaluated once more while the artefact is written: few enough operations an element, not too deep. */
bool constant_affordable(const cexpr *e);

/* v is a parameter, perhaps reshaped or transposed for v alone: its elements, and the parameter. NULL: it is none. */
const cexpr *param_elements(const module *m, const value *v, const param **p);

#endif
