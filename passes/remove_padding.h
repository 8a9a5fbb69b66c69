/* What the files of remove_padding share: which values may be packed, and by which mask. */
#ifndef PASSES_REMOVE_PADDING_H
#define PASSES_REMOVE_PADDING_H

#include "passes/mask_parts.h"
#include "passes/pass.h"

/* Along which axes of a value the sequences of the batch and their tokens lie. */
typedef struct {
    int batch, token; /* -1: the value has no such axes, or it is not known */
} token_axes;

/* What the masks and biases of an attention come to. */
typedef struct {
    mask_view mask;      /* of keys; NULL: there is none, or not only one */
    const char *why;     /* it cannot be used; NULL with a NULL mask: nothing says what padding is */
    bool finite;         /* by finite biases: a query that sees no key sees the mean of all */
    attention_band band; /* the bounds, those of the node included */
    uint32_t n_bias;     /* what is left of the bias: a sum */
    mask_view bias[MAX_PARTS];
    bool by_place; /* bounds or bias belong to the places of tokens, not to their order alone */
    bool own;      /* query i may see key i, if the mask does not leave it out */
} key_mask;
/* False: out->mask.v is NULL. */
bool padding_key_mask(module *m, const node *attention, key_mask *out);
/* The same; out->why also where queries and keys cannot be packed as one. */
bool padding_may_join(module *m, const node *attention, key_mask *out);

/* One mask of a function, with the attention that has it as its mask of keys. */
typedef struct {
    pass_ctx *ctx;
    module *m;
    function *f;
    mask_view mask;
    bool declared;     /* the model says that padding does not count */
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
    bool *makes_mask; /* by value id */
    value **packed;   /* by value id; NULL: none */
    bool *wanted;     /* by value id: a packed copy of its node saves something */
    bool *copied;     /* by value id: packed is a copy of its node */
} padding;

/* Fills axes, dead and live. */
void padding_analyse(padding *p);
static inline bool padding_has_axes(const padding *p, const value *v)
{
    return v->id < p->n_values && p->axes[v->id].batch >= 0;
}
/* v's elements are 0 or false at padded places, where axes are those of the batch and the tokens. */
bool padding_is_zero(const padding *p, value *v, token_axes axes);
/* The node, whose result has the axes, computes each token for itself, and does not sum over them. */
bool padding_is_by_token(const padding *p, const node *n);
/* The axes of operand o that run along the result's; -1 each where it has none. */
token_axes padding_operand_axes(const padding *p, const node *n, uint32_t o, token_axes of_result);

/* Packs all that is dead and copies its nodes; what others read of it is put back. */
void padding_rewrite(padding *p);

#endif
