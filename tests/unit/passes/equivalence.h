/* Two modules that should compute the same: both are run by the interpreter on ordinary and on extreme inputs. */
#ifndef TESTS_UNIT_PASSES_EQUIVALENCE_H
#define TESTS_UNIT_PASSES_EQUIVALENCE_H

#include "passes/pass.h"

/* Compares every function of `before` with its namesake in `after`: for several values of the dims (the smallest, a few
 * in between), with ordinary inputs and with inputs full of NaN, infinities, both zeros and extremes, with and without
 * rounding. EXACT means bit-equal but for the bits of NaNs, REASSOCIATES within a few units of the last place of f32,
 * or of a narrower result, on ordinary inputs, APPROXIMATE that nothing is altogether wrong (how near it is, each such
 * pass's own test says). With the flag PASS_ASSUMES_FINITE elements that `before` makes NaN or infinite may be
 * anything. Inputs that `before` refuses (an id out of range) are passed over. NULL when equal, else what differs, in
 * `a`. *compared counts the runs that were compared. */
const char *compare_modules(arena *a, const module *before, const module *after, pass_numerics numerics, unsigned flags,
                            uint32_t *compared);

#endif
