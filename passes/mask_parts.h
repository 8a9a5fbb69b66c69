/* Masks of attention as conjunctions: of bounds on the distance between query and key, and of other conditions.
 *
 * Conditions may have been broadcast at any stage, so a value is seen together with the axes of the scores along which
 * its own run. */
#ifndef PASSES_MASK_PARTS_H
#define PASSES_MASK_PARTS_H

#include "ir/module.h"

enum { MASK_BATCH, MASK_HEAD, MASK_QUERY, MASK_KEY, MASK_NONE = -1 };

/* Axis k of the value lies along axis to[k] of the scores, or has one element (MASK_NONE). Ascending. */
typedef struct {
    value *v;
    int to[MAX_RANK];
} mask_view;

enum { MAX_PARTS = 8 };

typedef struct {
    module *m;
    dim queries, keys; /* how many */
    attention_band band;
    bool found; /* a bound */
    uint32_t n_parts;
    mask_view parts[MAX_PARTS]; /* that are no bounds */
} mask_parts;

static inline bool mask_is_one(const module *m, dim d)
{
    int64_t v;
    return dim_is_const(m->dims, d, &v) && v == 1;
}
/* The operand of a view that only repeats elements or adds and drops axes of one element. */
bool mask_view_through(const module *m, const mask_view *s, mask_view *out);
/* An operand of an elementwise node. */
mask_view mask_view_operand(const mask_view *s, uint32_t i);
bool mask_view_depends_on(module *m, const mask_view *s, int axis);
/* Both are the same along the same axes of the scores, however many axes they have themselves. */
bool mask_view_same(const module *m, mask_view x, mask_view y);

enum { MAX_CONDITIONS = 4 };

/* A bias that is 0 where all conditions hold, and keeps scores from counting elsewhere: how models write masks that
 * they add. A query with no other keys sees the mean of these, so that it is no mask in general. */
typedef struct {
    uint32_t n;
    mask_view of[MAX_CONDITIONS]; /* bools */
    bool holds[MAX_CONDITIONS];   /* false: where it is false */
    bool low_enough;              /* elsewhere it is LEAST_FILL at most */
} mask_bias;
#define LEAST_FILL (-1e9) /* a finite number that no score comes near */
/* s is a bias: false when it is none that only conditions make. */
bool mask_bias_of(const module *m, const mask_view *s, mask_bias *out);

/* Takes the mask s (holds false: its negation) apart. False when it has too many parts, or is no conjunction. */
bool mask_parts_add(mask_parts *p, const mask_view *s, bool holds);

#endif
