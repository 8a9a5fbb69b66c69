/* What the files of remove_padding share: which values may be packed, and by which mask. */
#ifndef PASSES_REMOVE_PADDING_H
#define PASSES_REMOVE_PADDING_H

#include "passes/pass.h"

/* Along which axes of a value the sequences of the batch and their tokens lie. */
typedef struct {
    int batch, token; /* -1: the value has no such axes, or it is not known */
} token_axes;

/* One mask of a function, with the attention that has it as its mask of keys. */
typedef struct {
    pass_ctx *ctx;
    module *m;
    function *f;
    value *mask;       /* its elements in order are those of bool[B, S] */
    dim sizes[2];      /* B, S */
    uint32_t n_values; /* the tables below know values made before */
    bool *is_member;   /* by value id: results of the attention that has this mask */
    token_axes *axes;  /* by value id */
    bool *dead;        /* by value id: what is at padded places does not matter */
    const use **live;  /* by value id: a use for which it does, or would; NULL: none */

    /* The rewrite's: */
    value *shaped, *offsets, *flat, *index[2]; /* bool[B, S]; NULL: not made yet */
    node *first;                               /* where the mask is known: what is made of it alone goes before */
    span at;                                   /* of the first attention */
    dim tokens;
    value **packed; /* by value id; NULL: none */
    bool *wanted;   /* by value id: a packed copy of its node saves something */
    bool *copied;   /* by value id: packed is a copy of its node */
} padding;

/* The mask of keys that an attention of equally many queries and keys has, looked up through views; NULL with *why. */
value *padding_mask_of(module *m, const node *attention, const char **why);
/* Fills axes, dead and live. */
void padding_analyse(padding *p);
static inline bool padding_has_axes(const padding *p, const value *v)
{
    return v->id < p->n_values && p->axes[v->id].batch >= 0;
}
/* v's elements are 0 or false at padded places, where axes are those of the batch and the tokens. */
bool padding_is_zero(const padding *p, const value *v, token_axes axes);
/* The axes of operand o that run along the result's; -1 each where it has none. */
token_axes padding_operand_axes(const padding *p, const node *n, uint32_t o, token_axes of_result);

/* Packs all that is dead and copies its nodes; what others read of it is put back. */
void padding_rewrite(padding *p);

#endif
