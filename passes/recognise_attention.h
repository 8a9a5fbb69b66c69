/* What the files of recognise_attention share: the match under construction. */
#ifndef PASSES_RECOGNISE_ATTENTION_H
#define PASSES_RECOGNISE_ATTENTION_H

#include "passes/factors.h"
#include "passes/match.h"
#include "passes/pass.h"

enum { MAX_TERMS = 8 };

/* A mask or a bias: a value and its axes. */
typedef struct {
    value *v;
    factored axes;
    bool negated;  /* mask: false is what counts */
    double factor; /* what a bias is multiplied with; of a mask 1 */
} term;

/* What becomes of a factor. */
typedef enum { ROLE_NONE, ROLE_BATCH, ROLE_HEAD, ROLE_GROUP, ROLE_QUERY, ROLE_KEY, ROLE_INNER, ROLE_OUTER } role;

typedef struct {
    pass_ctx *ctx;
    module *m;
    function *f;
    factor_set set;
    node *softmax, *first, *second; /* the contractions */
    factored scores, parts;         /* the axes of what the first gives and the second reads */
    uint32_t parts_operand;         /* which operand of the second the probabilities are */
    double scale;
    term mask[MAX_TERMS], bias[MAX_TERMS];
    uint32_t n_mask, n_bias;
    struct {
        double last;
        bool finite; /* some mask fills with a finite number */
        bool mixed;  /* not all with one, or something is added to it */
    } fill;
    bool masks_are_added; /* as a bias */
    value *zeroed; /* condition of a select behind the softmax that gives zeros where it is false (negated: true) */
    bool zeroed_negated;
    value *q, *k, *v;
    factored q_axes, k_axes, v_axes, out_axes;
    role roles[MAX_FACTORS];
    factor_list batch, head, group, query, key, inner, outer; /* factors by role, in order */
    const char *why;
} matching;

/* Sets why; false. */
bool matching_declined(matching *x, const char *why);
/* A float value that is everywhere the same number, as an operand of n. */
bool matching_number(const node *n, uint32_t operand, double *out);

/* ---- masks and biases (recognise_attention_terms.c) ---- */
/* Biases that select between 0 and -inf become masks. */
void matching_bias_to_mask(matching *x);
/* Some mask varies along the factor. */
bool matching_masks_depend(const matching *x, uint8_t id);
/* The masks can be those of the op: the same for all heads, and a query that sees no key gets what it did. */
bool matching_masks_are_safe(matching *x);
/* All of them as operands of the op: bool[batch, query, key] and [batch, heads, query, key]; NULL: there are none. */
value *matching_mask(matching *x, builder *b);
value *matching_bias(matching *x, builder *b, const factor_list *heads);

#endif
