/* See factors.h. */
#include "passes/factors.h"

#include <string.h>

bool factor_axis(factor_set *s, dim size, factor_list *out)
{
    *out = (factor_list){0};
    if (size == dim_const(s->m->dims, 1)) return true;
    if (s->n == MAX_FACTORS) return false;
    s->of[s->n].size = size;
    s->of[s->n].split = false;
    out->id[out->n++] = (uint8_t)s->n++;
    return true;
}

bool factor_value(factor_set *s, const value *v, factored *out)
{
    *out = (factored){.rank = v->ty.rank};
    for (int i = 0; i < v->ty.rank; i++)
        if (!factor_axis(s, v->ty.shape[i], &out->axis[i])) return false;
    return true;
}

bool factor_list_has(const factor_list *l, uint8_t id)
{
    return memchr(l->id, id, l->n) != NULL;
}

bool factor_list_append(factor_list *a, const factor_list *b)
{
    if (a->n + b->n > MAX_RANK) return false;
    memcpy(a->id + a->n, b->id, b->n);
    a->n = (uint8_t)(a->n + b->n);
    return true;
}

static bool resolve_one(const factor_set *s, uint8_t id, factor_list *out)
{
    if (s->of[id].split) return resolve_one(s, s->of[id].part[0], out) && resolve_one(s, s->of[id].part[1], out);
    return factor_list_append(out, &(factor_list){1, {id}});
}

bool factors_resolve_list(const factor_set *s, factor_list *l)
{
    factor_list out = {0};
    for (int i = 0; i < l->n; i++)
        if (!resolve_one(s, l->id[i], &out)) return false;
    *l = out;
    return true;
}

bool factors_resolve(const factor_set *s, factored *f)
{
    for (int i = 0; i < f->rank; i++)
        if (!factors_resolve_list(s, &f->axis[i])) return false;
    return true;
}

dim factor_list_size(const factor_set *s, const factor_list *l)
{
    dim size = dim_const(s->m->dims, 1);
    for (int i = 0; i < l->n; i++) size = dim_mul(s->m->dims, size, s->of[l->id[i]].size);
    return size;
}

/* What remains of `all` behind an outer part of size `outer`; DIM_BAD when that is not known to divide it. */
static dim inner_size(dim_ctx *c, dim all, dim outer)
{
    dim inner = dim_floordiv(c, all, outer);
    if (inner != DIM_BAD && dim_mul(c, outer, inner) == all) return inner;
    int64_t of_all = dim_known_multiple(c, all), of_outer = dim_known_multiple(c, outer);
    if (of_outer < 1 || of_all % of_outer) return DIM_BAD;
    inner = dim_const(c, of_all / of_outer);
    return dim_mul(c, outer, inner) == all ? inner : DIM_BAD;
}

/* Splits factor `id` into an outer part of size `outer` and the rest. */
static bool split(factor_set *s, uint8_t id, dim outer)
{
    dim inner = inner_size(s->m->dims, s->of[id].size, outer);
    if (inner == DIM_BAD || s->n + 2 > MAX_FACTORS) return false;
    for (int i = 0; i < 2; i++) {
        s->of[s->n].size = i ? inner : outer;
        s->of[s->n].split = false;
        s->of[id].part[i] = (uint8_t)s->n++;
    }
    s->of[id].split = true;
    return true;
}

/* Cuts the factors of `from`, in order, into axes of the given sizes. */
static bool cut(factor_set *s, const factored *from, uint32_t rank, const dim *shape, factored *to)
{
    dim_ctx *c = s->m->dims;
    dim one = dim_const(c, 1);
    uint8_t queue[2 * MAX_FACTORS];
    uint32_t next = 0, n = 0;
    for (int i = 0; i < from->rank; i++)
        for (int k = 0; k < from->axis[i].n; k++) queue[n++] = from->axis[i].id[k];
    *to = (factored){.rank = (uint8_t)rank};
    for (uint32_t i = 0; i < rank; i++) {
        dim have = one;
        while (have != shape[i]) {
            if (next == n) return false;
            uint8_t id = queue[next];
            dim more = dim_mul(c, have, s->of[id].size);
            if (more != shape[i] && !dim_le(c, more, shape[i])) {
                /* The axis ends within this factor. */
                dim outer = inner_size(c, shape[i], have);
                if (outer == DIM_BAD || !split(s, id, outer)) return false;
                queue[next] = s->of[id].part[1];
                more = shape[i];
                id = s->of[id].part[0];
            } else {
                next++;
            }
            if (!factor_list_append(&to->axis[i], &(factor_list){1, {id}})) return false;
            have = more;
        }
    }
    return next == n;
}

bool factors_forward(factor_set *s, const node *view, const factored *operand, factored *result)
{
    factored from = *operand;
    if (!factors_resolve(s, &from)) return false;
    if (view->op == OP_RESHAPE) return cut(s, &from, view->result->ty.rank, view->result->ty.shape, result);
    if (view->op != OP_TRANSPOSE) return false;
    factored to = {.rank = from.rank};
    for (int i = 0; i < from.rank; i++) to.axis[i] = from.axis[node_attr(view, ATTR_PERM)->u.ints.v[i]];
    *result = to;
    return true;
}

bool factors_backward(factor_set *s, const node *view, const factored *result, factored *operand)
{
    factored from = *result;
    const type *t = &view->operands[0]->ty;
    if (!factors_resolve(s, &from)) return false;
    if (view->op == OP_RESHAPE) return cut(s, &from, t->rank, t->shape, operand);
    if (view->op != OP_TRANSPOSE) return false;
    factored to = {.rank = from.rank};
    for (int i = 0; i < from.rank; i++) to.axis[node_attr(view, ATTR_PERM)->u.ints.v[i]] = from.axis[i];
    *operand = to;
    return true;
}

value *factors_arrange(const factor_set *s, builder *b, value *v, const factored *f, const factor_list *want,
                       uint32_t n)
{
    uint8_t order[MAX_RANK];
    dim shape[MAX_RANK];
    int perm[MAX_RANK];
    uint32_t rank = 0, k = 0;
    for (int i = 0; i < f->rank; i++)
        for (int j = 0; j < f->axis[i].n; j++) {
            if (rank == MAX_RANK) return NULL;
            order[rank] = f->axis[i].id[j];
            shape[rank] = s->of[order[rank]].size;
            rank++;
        }
    for (uint32_t i = 0; i < n; i++)
        for (int j = 0; j < want[i].n; j++) {
            const uint8_t *at = memchr(order, want[i].id[j], rank);
            if (!at || k == rank) return NULL;
            perm[k++] = (int)(at - order);
        }
    if (k != rank) return NULL;
    dim to[MAX_RANK];
    for (uint32_t i = 0; i < n; i++) to[i] = factor_list_size(s, &want[i]);
    v = build_transpose(b, build_reshape(b, v, rank, shape), perm);
    return build_reshape(b, v, n, to);
}
