/* Axes of values as products of factors, followed through views.
 *
 * A rewrite that matches a computation in any spelling must not care whether heads are an axis of their own, lie inside
 * of the batch or inside of the features. So each axis is a list of factors; a reshape cuts the same factors into other
 * lists, splitting a factor where an axis ends within it, and a transpose moves lists. Axes of size 1 are empty lists.
 */
#ifndef PASSES_FACTORS_H
#define PASSES_FACTORS_H

#include "ir/module.h"

enum { MAX_FACTORS = 48 };

typedef struct {
    uint8_t n;
    uint8_t id[MAX_RANK];
} factor_list;

typedef struct {
    uint8_t rank;
    factor_list axis[MAX_RANK];
} factored;

typedef struct {
    module *m;
    uint32_t n;
    struct {
        dim size;
        bool split;
        uint8_t part[2]; /* outer, inner */
    } of[MAX_FACTORS];
} factor_set;

/* The axis of a value as a factor of its own (an empty list for size 1). False when there are too many. */
bool factor_axis(factor_set *s, dim size, factor_list *out);
/* v with a factor for each axis. */
bool factor_value(factor_set *s, const value *v, factored *out);
/* Lists with all factors replaced by what they were split into. False when one has become too long. */
bool factors_resolve(const factor_set *s, factored *f);
bool factors_resolve_list(const factor_set *s, factor_list *l);
/* The result of a view (reshape, transpose) from its operand, and the other way round. False for other nodes, and where
 * sizes cannot be split. */
bool factors_forward(factor_set *s, const node *view, const factored *operand, factored *result);
bool factors_backward(factor_set *s, const node *view, const factored *result, factored *operand);
bool factor_list_has(const factor_list *l, uint8_t id);
/* b behind a; false when it gets too long. */
bool factor_list_append(factor_list *a, const factor_list *b);
dim factor_list_size(const factor_set *s, const factor_list *l);
/* v, whose resolved factors are f, as a value whose axis i is want[i]: the same factors, in another order. NULL when
 * that takes more than MAX_RANK axes on the way. */
value *factors_arrange(const factor_set *s, builder *b, value *v, const factored *f, const factor_list *want,
                       uint32_t n);

#endif
