/* Masks and biases of an attention that is spelled out: see recognise_attention.c. */
#include <math.h>

#include "passes/recognise_attention.h"
#include "passes/vary.h"

bool matching_declined(matching *x, const char *why)
{
    x->why = why;
    return false;
}

bool matching_number(const node *n, uint32_t operand, double *out)
{
    return dtype_is_float(n->operands[operand]->ty.dt) && value_const_splat(n->operands[operand], out);
}

/* A term varies along the factor. */
static bool depends(const matching *x, const term *t, uint8_t id)
{
    for (int i = 0; i < t->axes.rank; i++)
        if (factor_list_has(&t->axes.axis[i], id) && value_varies(x->m, t->v, i)) return true;
    return false;
}

bool matching_masks_depend(const matching *x, uint8_t id)
{
    for (uint32_t i = 0; i < x->n_mask; i++)
        if (depends(x, &x->mask[i], id)) return true;
    return false;
}

/* ---- masks and biases ---- */

/* A select between 0 and -inf that is added is a mask. */
void matching_bias_to_mask(matching *x)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < x->n_bias; i++) {
        term t = x->bias[i];
        node *b = match_op(t.v, OP_BROADCAST);
        if (b) {
            factored below = {.rank = b->operands[0]->ty.rank};
            for (int k = 0; k < below.rank; k++) {
                int64_t axis = node_attr(b, ATTR_AXES)->u.ints.v[k];
                if (b->operands[0]->ty.shape[k] == b->result->ty.shape[axis]) below.axis[k] = t.axes.axis[axis];
            }
            t.v = b->operands[0];
            t.axes = below;
        }
        node *s = match_op(t.v, OP_SELECT);
        double yes, no;
        if (!s || !matching_number(s, 1, &yes) || !matching_number(s, 2, &no) || t.factor <= 0 ||
            x->n_mask == MAX_TERMS || !((yes == 0 && no == -INFINITY) || (no == 0 && yes == -INFINITY))) {
            x->bias[kept++] = x->bias[i];
            continue;
        }
        x->mask[x->n_mask++] = (term){s->operands[0], t.axes, no == 0, 1};
        x->fill.mixed = true;
    }
    x->n_bias = kept;
}

/* Whether the axes along which t varies have only factors of the wanted roles. */
static bool term_fits(matching *x, const term *t, unsigned wanted)
{
    for (int i = 0; i < t->axes.rank; i++) {
        if (!value_varies(x->m, t->v, i)) continue;
        for (int k = 0; k < t->axes.axis[i].n; k++)
            if (!(wanted >> x->roles[t->axes.axis[i].id[k]] & 1)) return false;
    }
    return true;
}

/* t with the given axes: squeezed to where it varies, arranged, then repeated. */
static value *term_value(matching *x, builder *b, const term *t, const factor_list *want, uint32_t n)
{
    module *m = x->m;
    bool drop[MAX_RANK] = {false};
    factored axes = t->axes;
    for (int i = 0; i < axes.rank; i++) {
        drop[i] = !value_varies(m, t->v, i);
        if (drop[i]) axes.axis[i].n = 0;
    }
    value *v = value_squeeze(b, t->v, drop);
    if (t->factor == -1) {
        v = build_scalar(b, OP_NEG, &v, 1);
    } else if (t->factor != 1) {
        value *c = build_const(b, v->ty.dt, v->ty.rank, v->ty.shape, dtype_round(v->ty.dt, t->factor));
        v = build_scalar(b, OP_MUL, (value *const[]){v, c}, 2);
    }
    /* The factors that v has, in the order of `want`; then all of them, each an axis of its own. */
    factor_list present[MAX_RANK];
    int to[MAX_RANK];
    uint32_t n_present = 0, rank = 0;
    dim shape[MAX_RANK], full[MAX_RANK];
    for (uint32_t i = 0; i < n; i++) {
        full[i] = factor_list_size(&x->set, &want[i]);
        for (int k = 0; k < want[i].n; k++) {
            uint8_t id = want[i].id[k];
            if (rank == MAX_RANK) return NULL;
            for (int j = 0; j < axes.rank; j++) {
                if (!factor_list_has(&axes.axis[j], id)) continue;
                present[n_present] = (factor_list){1, {id}};
                to[n_present++] = (int)rank;
            }
            shape[rank++] = x->set.of[id].size;
        }
    }
    v = factors_arrange(&x->set, b, v, &axes, present, n_present);
    return v ? build_reshape(b, build_broadcast(b, v, to, rank, shape), n, full) : NULL;
}

/* What `v` is at key 0, as bounds; false when nothing is known. */
static bool bounds_at_first_key(const matching *x, const value *v, int key_axis, double *lo, double *hi)
{
    const node *n = v->def;
    double c;
    if (value_const_splat(v, &c)) {
        *lo = *hi = c;
        return true;
    }
    if (n && n->op == OP_IOTA) {
        int axis = (int)node_attr(n, ATTR_AXIS)->u.i;
        int64_t least, most;
        dim_bounds(x->m->dims, v->ty.shape[axis], &least, &most);
        *lo = 0;
        *hi = axis == key_axis ? 0 : (double)most - 1;
        return dtype_bits(v->ty.dt) >= 32;
    }
    if (n && n->op == OP_CAST) return bounds_at_first_key(x, n->operands[0], key_axis, lo, hi);
    if (n && n->op == OP_BROADCAST) {
        int below = -1;
        for (int k = 0; k < n->operands[0]->ty.rank; k++)
            if (node_attr(n, ATTR_AXES)->u.ints.v[k] == key_axis) below = k;
        return bounds_at_first_key(x, n->operands[0], below, lo, hi);
    }
    if (n && n->op == OP_ADD) {
        double lo1, hi1;
        if (!bounds_at_first_key(x, n->operands[0], key_axis, lo, hi) ||
            !bounds_at_first_key(x, n->operands[1], key_axis, &lo1, &hi1))
            return false;
        *lo += lo1;
        *hi += hi1;
        return true;
    }
    return false;
}

/* Every query sees the first key: a comparison of positions, as causal masks are. */
static bool first_key_is_true(const matching *x, const value *v, int key_axis)
{
    const node *n = v->def;
    if (n && n->op == OP_BROADCAST) {
        for (int k = 0; k < n->operands[0]->ty.rank; k++)
            if (node_attr(n, ATTR_AXES)->u.ints.v[k] == key_axis) return first_key_is_true(x, n->operands[0], k);
        return false;
    }
    if (!n || n->n_operands != 2) return false;
    double lo0, hi0, lo1, hi1;
    if (!bounds_at_first_key(x, n->operands[0], key_axis, &lo0, &hi0) ||
        !bounds_at_first_key(x, n->operands[1], key_axis, &lo1, &hi1))
        return false;
    return n->op == OP_LE   ? hi0 <= lo1
           : n->op == OP_LT ? hi0 < lo1
           : n->op == OP_GE ? lo0 >= hi1
           : n->op == OP_GT ? lo0 > hi1
                            : false;
}

static bool sees_first_key(const matching *x, const term *t)
{
    int key_axis = -1;
    for (int k = 0; k < t->axes.rank; k++)
        if (t->axes.axis[k].n && x->roles[t->axes.axis[k].id[0]] == ROLE_KEY) key_axis = k;
    return !t->negated && key_axis >= 0 && first_key_is_true(x, t->v, key_axis);
}

bool matching_masks_are_safe(matching *x)
{
    for (uint32_t i = 0; i < x->n_mask; i++)
        if (!term_fits(x, &x->mask[i], 1u << ROLE_BATCH | 1u << ROLE_QUERY | 1u << ROLE_KEY))
            return matching_declined(x, "masks differ between heads that share keys");
    if (x->zeroed) {
        if (x->n_mask == 1 && x->mask[0].v == x->zeroed && x->mask[0].negated == x->zeroed_negated) return true;
        return matching_declined(x, "probabilities are set to zero by another mask than the scores");
    }
    if (!x->fill.finite) return true;
    if (x->n_mask == 1 && sees_first_key(x, &x->mask[0])) return true;
    x->masks_are_added = !x->fill.mixed;
    return x->masks_are_added ||
           matching_declined(x, "a query that sees no key gets the mean of all values, not zeros; mask with -inf, or "
                                "set its probabilities to zero");
}

/* ---- as operands of the op ---- */

value *matching_mask(matching *x, builder *b)
{
    const factor_list want[] = {x->batch, x->query, x->key};
    value *all = NULL;
    for (uint32_t i = 0; i < x->n_mask; i++) {
        value *v = term_value(x, b, &x->mask[i], want, 3);
        if (x->mask[i].negated) v = build_scalar(b, OP_NOT, &v, 1);
        all = all ? build_scalar(b, OP_AND, (value *const[]){all, v}, 2) : v;
    }
    return all;
}

static value *sum(builder *b, value *all, value *v)
{
    if (!all) return v;
    if (all->ty.dt != v->ty.dt) {
        dtype wide = dtype_contains(all->ty.dt, v->ty.dt) ? all->ty.dt : DT_F64;
        all = build_cast(b, all, wide);
        v = build_cast(b, v, wide);
    }
    return build_scalar(b, OP_ADD, (value *const[]){all, v}, 2);
}

/* 0 where the mask is true, else a number beside which, in double precision too, a score is nothing: a query that sees
 * no key gets the mean of all values, as it did. Views stay views. */
static value *added_mask(builder *b, value *mask)
{
    const node *n = mask->def;
    const type *t = &mask->ty;
    if (n && n->op == OP_RESHAPE) return build_reshape(b, added_mask(b, n->operands[0]), t->rank, t->shape);
    if (n && n->op == OP_BROADCAST) {
        int axes[MAX_RANK];
        for (int k = 0; k < n->operands[0]->ty.rank; k++) axes[k] = (int)node_attr(n, ATTR_AXES)->u.ints.v[k];
        return build_broadcast(b, added_mask(b, n->operands[0]), axes, t->rank, t->shape);
    }
    value *zero = build_const(b, DT_F32, t->rank, t->shape, 0),
          *low = build_const(b, DT_F32, t->rank, t->shape, -1e30f);
    return build_scalar(b, OP_SELECT, (value *const[]){mask, zero, low}, 3);
}

value *matching_bias(matching *x, builder *b, const factor_list *heads)
{
    const factor_list want[] = {x->batch, *heads, x->query, x->key};
    value *all = NULL;
    for (uint32_t i = x->n_bias; i-- > 0;) {
        value *v = term_value(x, b, &x->bias[i], want, 4);
        all = sum(b, all, v);
    }
    if (x->masks_are_added) {
        value *mask = added_mask(b, matching_mask(x, b));
        dim shape[4] = {mask->ty.shape[0], factor_list_size(&x->set, heads), mask->ty.shape[1], mask->ty.shape[2]};
        all = sum(b, all, build_broadcast(b, mask, (int[]){0, 2, 3}, 4, shape));
    }
    return all;
}
