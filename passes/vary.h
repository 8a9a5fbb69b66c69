/* Values that are the same along an axis, and what they are there. */
#ifndef PASSES_VARY_H
#define PASSES_VARY_H

#include "ir/module.h"

/* v may differ along the axis; false is a proof that it does not. */
bool value_varies(module *m, const value *v, int axis);
/* v with size 1 along the axes that are marked, along which it must not vary. Nodes that compute v at its full size are
 * built again at the smaller one. */
value *value_squeeze(builder *b, value *v, const bool *axes);

#endif
