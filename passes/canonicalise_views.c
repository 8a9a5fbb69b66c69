/* Rules of canonicalise for ops that only move or convert elements: identities go, neighbours are composed, constants
 * pass through, and broadcasts move behind what can be done before them. */
#include "passes/canonicalise.h"

/* ---- identities ---- */

static bool same_shape(const node *n)
{
    return type_equal(&n->operands[0]->ty, &n->result->ty);
}

static value *identity(builder *b, node *n)
{
    (void)b;
    return same_shape(n) ? n->operands[0] : NULL;
}

static value *identity_transpose(builder *b, node *n)
{
    (void)b;
    const attr *perm = node_attr(n, ATTR_PERM);
    for (int i = 0; i < perm->u.ints.n; i++)
        if (perm->u.ints.v[i] != i) return NULL;
    return n->operands[0];
}

/* Only axes of size 1 change places: the elements stay in order. */
static value *transpose_of_ones(builder *b, node *n)
{
    const attr *perm = node_attr(n, ATTR_PERM);
    dim one = dim_const(b->fn->m->dims, 1);
    int64_t last = -1;
    for (int i = 0; i < perm->u.ints.n; i++) {
        if (n->result->ty.shape[i] == one) continue;
        if (perm->u.ints.v[i] < last) return NULL;
        last = perm->u.ints.v[i];
    }
    return build_reshape(b, n->operands[0], n->result->ty.rank, n->result->ty.shape);
}

static value *identity_slice(builder *b, node *n)
{
    const attr *start = node_attr(n, ATTR_START), *step = node_attr(n, ATTR_STEP);
    dim zero = dim_const(b->fn->m->dims, 0), one = dim_const(b->fn->m->dims, 1);
    if (!same_shape(n)) return NULL;
    for (int i = 0; i < step->u.ints.n; i++)
        if (start->u.dims.v[i] != zero || (step->u.ints.v[i] != 1 && n->result->ty.shape[i] != one)) return NULL;
    return n->operands[0];
}

static value *identity_concat(builder *b, node *n)
{
    (void)b;
    return n->n_operands == 1 ? n->operands[0] : NULL;
}

/* A box as large as what it is put into can only lie at its start. */
static value *update_of_all(builder *b, node *n)
{
    const attr *start = node_attr(n, ATTR_START);
    dim zero = dim_const(b->fn->m->dims, 0);
    for (int i = 0; i < start->u.dims.n; i++)
        if (start->u.dims.v[i] != zero) return NULL;
    return type_equal(&n->operands[1]->ty, &n->result->ty) ? n->operands[1] : NULL;
}

/* ---- composition ---- */

static value *transpose_twice(builder *b, node *n)
{
    const node *inner = match_op(n->operands[0], OP_TRANSPOSE);
    if (!inner) return NULL;
    int perm[MAX_RANK];
    for (int i = 0; i < n->result->ty.rank; i++)
        perm[i] = (int)node_attr(inner, ATTR_PERM)->u.ints.v[node_attr(n, ATTR_PERM)->u.ints.v[i]];
    return build_transpose(b, inner->operands[0], perm);
}

static value *reshape_twice(builder *b, node *n)
{
    const node *inner = match_op(n->operands[0], OP_RESHAPE);
    return inner ? build_reshape(b, inner->operands[0], n->result->ty.rank, n->result->ty.shape) : NULL;
}

static value *broadcast_twice(builder *b, node *n)
{
    const node *inner = match_op(n->operands[0], OP_BROADCAST);
    if (!inner) return NULL;
    int axes[MAX_RANK];
    for (int i = 0; i < inner->operands[0]->ty.rank; i++)
        axes[i] = (int)node_attr(n, ATTR_AXES)->u.ints.v[node_attr(inner, ATTR_AXES)->u.ints.v[i]];
    return build_broadcast(b, inner->operands[0], axes, n->result->ty.rank, n->result->ty.shape);
}

static value *slice_twice(builder *b, node *n)
{
    const node *inner = match_op(n->operands[0], OP_SLICE);
    if (!inner) return NULL;
    dim_ctx *d = b->fn->m->dims;
    dim start[MAX_RANK];
    int64_t step[MAX_RANK];
    for (int i = 0; i < n->result->ty.rank; i++) {
        int64_t by = node_attr(inner, ATTR_STEP)->u.ints.v[i];
        start[i] = dim_add(d, node_attr(inner, ATTR_START)->u.dims.v[i],
                           dim_mul(d, node_attr(n, ATTR_START)->u.dims.v[i], dim_const(d, by)));
        if (start[i] == DIM_BAD || __builtin_mul_overflow(by, node_attr(n, ATTR_STEP)->u.ints.v[i], &step[i]))
            return NULL;
    }
    return build_slice(b, inner->operands[0], start, n->result->ty.shape, step);
}

static value *concat_nested(builder *b, node *n)
{
    int64_t axis = node_attr(n, ATTR_AXIS)->u.i;
    uint32_t count = 0;
    bool nested = false;
    for (uint32_t i = 0; i < n->n_operands; i++) {
        const node *inner = match_op(n->operands[i], OP_CONCAT);
        bool flat = inner && node_attr(inner, ATTR_AXIS)->u.i == axis && match_single_use(n->operands[i]);
        nested = nested || flat;
        count += flat ? inner->n_operands : 1;
    }
    if (!nested) return NULL;
    value **parts = ARENA_ARRAY(b->fn->m->a, value *, count);
    count = 0;
    for (uint32_t i = 0; i < n->n_operands; i++) {
        const node *inner = match_op(n->operands[i], OP_CONCAT);
        if (inner && node_attr(inner, ATTR_AXIS)->u.i == axis && match_single_use(n->operands[i])) {
            for (uint32_t k = 0; k < inner->n_operands; k++) parts[count++] = inner->operands[k];
        } else {
            parts[count++] = n->operands[i];
        }
    }
    return build_concat(b, parts, count, (int)axis);
}

/* The wider stop in between loses nothing. The way back to the first dtype is no identity for what the interpreter
 * keeps unrounded: there the cast rounds. */
static value *cast_twice(builder *b, node *n)
{
    const node *inner = match_op(n->operands[0], OP_CAST);
    if (!inner) return NULL;
    value *x = inner->operands[0];
    if (!dtype_contains(inner->result->ty.dt, x->ty.dt)) return NULL;
    if (x->ty.dt == n->result->ty.dt) return match_rounded(x) ? x : NULL;
    return build_cast(b, x, n->result->ty.dt);
}

/* ---- constants ---- */

static value *view_of_const(builder *b, node *n)
{
    const node *c = match_op(n->operands[0], OP_CONST);
    const type *t = &n->result->ty;
    if (!c) return NULL;
    if (dtype_is_float(t->dt)) return build_const(b, t->dt, t->rank, t->shape, node_attr(c, ATTR_VALUE)->u.real);
    return build_const_int(b, t->dt, t->rank, t->shape, node_attr(c, ATTR_IVALUE)->u.i);
}

/* ---- looking up rows ---- */

/* Indices that count from 0 read the table's first rows in order. */
static value *gather_in_order(builder *b, node *n)
{
    const node *ids = match_op(n->operands[1], OP_IOTA);
    if (!ids || ids->result->ty.rank != 1) return NULL;
    module *m = b->fn->m;
    int axis = (int)node_attr(n, ATTR_AXIS)->u.i;
    const type *table = &n->operands[0]->ty;
    dim rows = ids->result->ty.shape[0];
    int64_t lo, hi;
    dim_bounds(m->dims, rows, &lo, &hi);
    /* The indices must be what they count (i8 wraps) and in the table. */
    if ((hi > 128 && dtype_bits(ids->result->ty.dt) < 32) || hi > INT32_MAX ||
        !dim_le(m->dims, rows, table->shape[axis]))
        return NULL;
    dim start[MAX_RANK];
    for (int i = 0; i < table->rank; i++) start[i] = dim_const(m->dims, 0);
    return build_slice(b, n->operands[0], start, n->result->ty.shape, NULL);
}

/* The same indices in every row of a batch: look up once, then repeat. */
static value *gather_broadcast(builder *b, node *n)
{
    const node *view = match_op(n->operands[1], OP_BROADCAST);
    if (!view) return NULL;
    const attr *axes = node_attr(view, ATTR_AXES);
    int axis = (int)node_attr(n, ATTR_AXIS)->u.i;
    value *table = n->operands[0], *ids = view->operands[0];
    /* An empty result checks no index, but its source would. */
    for (int i = 0; i < view->result->ty.rank; i++) {
        int64_t lo, hi;
        dim_bounds(b->fn->m->dims, view->result->ty.shape[i], &lo, &hi);
        if (lo < 1) return NULL;
    }
    value *rows = build_gather(b, table, ids, axis);
    int to[MAX_RANK], k = 0;
    for (int i = 0; i < axis; i++) to[k++] = i;
    for (int i = 0; i < ids->ty.rank; i++) to[k++] = axis + (int)axes->u.ints.v[i];
    for (int i = axis + 1; i < table->ty.rank; i++) to[k++] = i - 1 + view->result->ty.rank;
    return build_broadcast(b, rows, to, n->result->ty.rank, n->result->ty.shape);
}

const rule view_rules[] = {
    {OP_TRANSPOSE, identity_transpose, "transpose that keeps the order => its operand"},
    {OP_RESHAPE, identity, "reshape to the same shape => its operand"},
    {OP_BROADCAST, identity, "broadcast to the same shape => its operand"},
    {OP_CAST, identity, "cast to the same dtype => its operand"},
    {OP_SLICE, identity_slice, "slice of everything => its operand"},
    {OP_CONCAT, identity_concat, "concat of one => its operand"},
    {OP_UPDATE, update_of_all, "update of everything => the box"},
    {OP_TRANSPOSE, transpose_of_ones, "transpose of axes of size 1 => reshape"},
    {OP_TRANSPOSE, transpose_twice, "transpose of transpose => one"},
    {OP_RESHAPE, reshape_twice, "reshape of reshape => one"},
    {OP_BROADCAST, broadcast_twice, "broadcast of broadcast => one"},
    {OP_SLICE, slice_twice, "slice of slice => one"},
    {OP_CONCAT, concat_nested, "concat of concat along the same axis => one"},
    {OP_CAST, cast_twice, "cast of a widening cast => one"},
    {OP_TRANSPOSE, view_of_const, "transpose of const => const"},
    {OP_RESHAPE, view_of_const, "reshape of const => const"},
    {OP_BROADCAST, view_of_const, "broadcast of const => const"},
    {OP_SLICE, view_of_const, "slice of const => const"},
    {OP_GATHER, gather_in_order, "gather by iota => slice"},
    {OP_GATHER, gather_broadcast, "gather by broadcast indices => broadcast of gather"},
};
const uint32_t n_view_rules = sizeof view_rules / sizeof *view_rules;
