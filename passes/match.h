/* Guards that rewrites share. A pattern asks here, so that "may I?" is decided in one place for all passes. */
#ifndef PASSES_MATCH_H
#define PASSES_MATCH_H

#include "ir/module.h"

/* v's definition when it applies op, else NULL. */
node *match_op(const value *v, op_kind op);
/* Exactly one node reads v, and v is no result of the function: it may be absorbed into that reader. A point on v does
 * not count; whoever absorbs v asks match_point. */
bool match_single_use(const value *v);
/* The only reader of v under match_single_use, else NULL. */
node *match_only_user(const value *v);
/* A promised name is bound to v, which a policy may still address. */
bool match_point(const function *f, const value *v);
/* v is the constant x in every element, by its bits: 0 does not match -0. */
bool match_splat(const value *v, double x);
/* The numbers of v are what its dtype can hold, even where the interpreter does not round: inputs, states,
 * parameters, and what only moves them. */
bool match_rounded(const value *v);

/* What crosses the border of a block instance. */
typedef struct {
    VEC(node *) nodes;   /* inside r and the regions within it, in order */
    VEC(value *) inputs; /* read inside, defined outside, in order of first reading; leaves (param, const, iota) are not
                            listed */
    VEC(value *) outputs; /* defined inside, read outside or a result, in order of definition */
} region_border;
/* Filled in arena a. */
void match_region(const function *f, const region *r, arena *a, region_border *out);

#endif
