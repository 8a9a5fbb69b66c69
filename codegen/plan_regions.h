/* Which launches of a plan may run at the same time. */
#ifndef CODEGEN_PLAN_REGIONS_H
#define CODEGEN_PLAN_REGIONS_H

#include "ir/kir/kir.h"

/* By launch, in order of appearance: whether a region ends with it. A region is a run of launches of one block with
 * nothing but buffers and sizes between them, at most `most`, none of which writes memory that another one touches; at
 * most one of them has checks. To be asked when buffers of the workspace have their places. */
bool *plan_region_ends(const kfunction *plan, uint32_t most, arena *a);

#endif
