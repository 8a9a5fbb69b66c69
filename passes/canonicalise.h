/* The rules of canonicalise, shared by the files that hold them. */
#ifndef PASSES_CANONICALISE_H
#define PASSES_CANONICALISE_H

#include "passes/match.h"

/* A rule for one op. apply returns a value of n's result type that stands for it, or NULL where the rule does not fit.
 * New nodes are built with b. A rule may also change n in place and return n->result. */
typedef struct {
    op_kind op;
    value *(*apply)(builder *b, node *n);
    const char *text; /* "x + -0.0 => x" */
} rule;

extern const rule arithmetic_rules[], view_rules[];
extern const uint32_t n_arithmetic_rules, n_view_rules;

#endif
