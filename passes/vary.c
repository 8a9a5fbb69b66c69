/* See vary.h. */
#include "passes/vary.h"

enum { MAX_DEPTH = 32 };

/* The operand axis that is axis k of a view's result; -1: none is, or it repeats. */
static int operand_axis(module *m, const node *n, int k)
{
    axis_info x;
    node_axes(m, n, &x);
    for (int i = 0; i < n->operands[0]->ty.rank; i++)
        if (x.operand_axis[0][i] == k) return i;
    return -1;
}

static bool varies(module *m, const value *v, int axis, int depth)
{
    const node *n = v->def;
    double splat;
    if (v->ty.shape[axis] == dim_const(m->dims, 1) || value_const_splat(v, &splat)) return false;
    if (!n || depth == MAX_DEPTH) return true;
    if (n->op == OP_IOTA) return node_attr(n, ATTR_AXIS)->u.i == axis;
    if (op_row(n->op)->props & P_ELEMENTWISE || n->op == OP_CAST) {
        for (uint32_t i = 0; i < n->n_operands; i++)
            if (varies(m, n->operands[i], axis, depth + 1)) return true;
        return false;
    }
    if (n->op == OP_BROADCAST) {
        const attr *axes = node_attr(n, ATTR_AXES);
        for (int k = 0; k < axes->u.ints.n; k++)
            if (axes->u.ints.v[k] == axis) return varies(m, n->operands[0], k, depth + 1);
        return false;
    }
    int64_t lo, hi;
    dim_bounds(m->dims, v->ty.shape[axis], &lo, &hi); /* of an empty axis there is no first element */
    if (lo < 1 || (n->op != OP_TRANSPOSE && n->op != OP_RESHAPE)) return true;
    int k = operand_axis(m, n, axis);
    return k < 0 || varies(m, n->operands[0], k, depth + 1);
}

bool value_varies(module *m, const value *v, int axis)
{
    return varies(m, v, axis, 0);
}

static value *squeeze(builder *b, value *v, const bool *axes, int depth);

static value *squeeze_elementwise(builder *b, const node *n, const bool *axes, int depth)
{
    value *args[3];
    for (uint32_t i = 0; i < n->n_operands; i++) args[i] = squeeze(b, n->operands[i], axes, depth + 1);
    if (n->op == OP_CAST) return build_cast(b, args[0], n->result->ty.dt);
    return build_scalar(b, n->op, args, n->n_operands);
}

/* The first element along the axes, of anything. */
static value *first_of(builder *b, value *v, const type *t)
{
    dim start[MAX_RANK];
    for (int i = 0; i < t->rank; i++) start[i] = dim_const(b->fn->m->dims, 0);
    return build_slice(b, v, start, t->shape, NULL);
}

static value *squeeze(builder *b, value *v, const bool *axes, int depth)
{
    module *m = b->fn->m;
    node *n = v->def;
    type t = v->ty;
    bool same = true;
    double splat;
    for (int i = 0; i < t.rank; i++) {
        if (!axes[i]) continue;
        same = same && t.shape[i] == dim_const(m->dims, 1);
        t.shape[i] = dim_const(m->dims, 1);
    }
    if (same) return v;
    if (n && n->op == OP_CONST) {
        if (dtype_is_float(t.dt)) return build_const(b, t.dt, t.rank, t.shape, node_attr(n, ATTR_VALUE)->u.real);
        return build_const_int(b, t.dt, t.rank, t.shape, node_attr(n, ATTR_IVALUE)->u.i);
    }
    if (!n || depth == MAX_DEPTH || value_const_splat(v, &splat)) return first_of(b, v, &t);
    if (n->op == OP_IOTA) return build_iota(b, t.dt, t.rank, t.shape, (int)node_attr(n, ATTR_AXIS)->u.i);
    if (op_row(n->op)->props & P_ELEMENTWISE || n->op == OP_CAST) return squeeze_elementwise(b, n, axes, depth);
    if (n->op != OP_BROADCAST && n->op != OP_TRANSPOSE) return first_of(b, v, &t);
    const attr *list = node_attr(n, n->op == OP_BROADCAST ? ATTR_AXES : ATTR_PERM);
    bool of[MAX_RANK] = {false};
    int to[MAX_RANK];
    for (int k = 0; k < list->u.ints.n; k++) {
        to[k] = (int)list->u.ints.v[k];
        if (n->op == OP_BROADCAST) of[k] = axes[to[k]];
        else of[to[k]] = axes[k];
    }
    value *x = squeeze(b, n->operands[0], of, depth + 1);
    return n->op == OP_BROADCAST ? build_broadcast(b, x, to, t.rank, t.shape) : build_transpose(b, x, to);
}

value *value_squeeze(builder *b, value *v, const bool *axes)
{
    return squeeze(b, v, axes, 0);
}
