/* How a value reads stored memory: chains of pure views become one offset and one stride per axis.
 *
 *   %1 = transpose %0 {perm = [0, 2, 1, 3]}      view of %0's base, strides permuted
 *   %2 = slice %1 {start = [0, 0, 3, 0] ...}     the same, offset 3 strides
 *   %3 = reshape %2                              the same where the merged axes nest, else a base of its own (a copy)
 *
 * Attention reads its bias in vectors along the keys, once for each sequence of each layer. A transpose that leaves
 * keys apart is copied for it.
 *
 * A cast of a parameter that loses nothing is a view as well: who reads it loads the narrow elements and widens them in
 * registers. Stored wide it would be a kernel in every run and twice the memory traffic. Casts of what a run computes
 * stay nodes, since they can join the kernel that computes it.
 *
 * A value whose op is not a view is a base. */
#include "codegen/lower_internal.h"

#include <assert.h>

#define ROW_GAP_BYTES 64

static bool is_one(lowering *lw, dim d)
{
    int64_t v;
    return dim_is_const(lw->m->dims, d, &v) && v == 1;
}

/* A contraction reads v's rows, through views or not. */
static bool rows_are_summed(const value *v)
{
    for (const use *u = v->uses; u; u = u->next)
        if (u->user && (u->user->op == OP_CONTRACT ||
                        ((op_row(u->user->op)->props & P_PURE_VIEW) && rows_are_summed(u->user->result))))
            return true;
    return false;
}

static bool is_result(const value *v)
{
    for (const use *u = v->uses; u; u = u->next)
        if (!u->user) return true;
    return false;
}

/* Rows a multiple of 2 KiB apart meet in a few sets of the first-level cache. Six rows, the tile of 16 registers, find
 * room there; fourteen do not, and a line moves them apart. */
int64_t row_gap_bytes(const lowering *lw, int64_t row_bytes)
{
    return lw->target.registers >= 32 && row_bytes % 2048 == 0 ? ROW_GAP_BYTES : 0;
}

/* Elements between the rows of a base. */
static int64_t row_gap(lowering *lw, const value *v)
{
    int64_t n, bytes = (int64_t)dtype_bytes(v->ty.dt, 1);
    if (v->ty.rank < 2 || bytes == 0 || !v->def || (op_row(v->def->op)->props & (P_LEAF | P_PURE_VIEW))) return 0;
    if (v->def->op == OP_ATTENTION || !dim_is_const(lw->m->dims, v->ty.shape[v->ty.rank - 1], &n)) return 0;
    if (n == 0 || is_result(v) || !rows_are_summed(v)) return 0;
    return row_gap_bytes(lw, n * bytes) / bytes;
}

dim base_strides(lowering *lw, const value *v, dim *stride)
{
    dim_ctx *dc = lw->m->dims;
    const type *t = &v->ty;
    /* Attention writes its heads inside the tokens, [B, S, H, E] in memory, so that merging the heads is a view. */
    static const uint8_t heads_inside[4] = {0, 2, 1, 3};
    bool attention = v->def && v->def->op == OP_ATTENTION;
    dim s = dim_const(dc, 1);
    for (int i = t->rank - 1; i >= 0; i--) {
        int axis = attention ? heads_inside[i] : i;
        stride[axis] = s;
        s = dim_mul(dc, s, t->shape[axis]);
        if (i == t->rank - 1) s = dim_add(dc, s, dim_const(dc, row_gap(lw, v)));
    }
    for (int i = 0; i < t->rank; i++)
        if (is_one(lw, t->shape[i])) stride[i] = dim_const(dc, 0);
    return s;
}

bool base_is_row_major(lowering *lw, const value *v)
{
    return !(v->def && v->def->op == OP_ATTENTION) && row_gap(lw, v) == 0;
}

bool view_collapses(lowering *lw, const lview *w, int first, int last)
{
    dim_ctx *dc = lw->m->dims;
    int inner = -1;
    for (int i = last; i >= first; i--) {
        if (is_one(lw, w->shape[i])) continue;
        if (inner >= 0 && w->stride[i] != dim_mul(dc, w->stride[inner], w->shape[inner])) return false;
        inner = i;
    }
    return true;
}

bool view_is_dense(lowering *lw, const lview *w)
{
    int last = -1;
    for (int i = 0; i < w->rank; i++)
        if (!is_one(lw, w->shape[i])) last = i;
    return last < 0 || (w->stride[last] == dim_const(lw->m->dims, 1) && view_collapses(lw, w, 0, w->rank - 1));
}

/* Strides of `w` under another shape with the same elements. Axes are matched in runs whose products agree; inside a
 * run the old axes must nest. False where they do not, or where symbolic products cannot be compared. */
bool view_reshape_strides(lowering *lw, const lview *w, uint8_t rank, const dim *shape, dim *stride)
{
    dim_ctx *dc = lw->m->dims;
    dim zero = dim_const(dc, 0);
    int o = 0, n = 0;
    while (n < rank || o < w->rank) {
        int o0 = o, n0 = n;
        dim po = o < w->rank ? w->shape[o++] : dim_const(dc, 1);
        dim pn = n < rank ? shape[n++] : dim_const(dc, 1);
        while (po != pn) {
            if (o < w->rank && dim_le(dc, po, pn)) po = dim_mul(dc, po, w->shape[o++]);
            else if (n < rank && dim_le(dc, pn, po)) pn = dim_mul(dc, pn, shape[n++]);
            else if (o < w->rank) po = dim_mul(dc, po, w->shape[o++]);
            else if (n < rank) pn = dim_mul(dc, pn, shape[n++]);
            else return false;
        }
        if (!view_collapses(lw, w, o0, o - 1)) return false;
        dim s = zero;
        for (int i = o - 1; i >= o0; i--)
            if (!is_one(lw, w->shape[i])) {
                s = w->stride[i];
                break;
            }
        for (int i = n - 1; i >= n0; i--) {
            if (is_one(lw, shape[i])) {
                stride[i] = zero;
            } else {
                stride[i] = s;
                s = dim_mul(dc, s, shape[i]);
            }
        }
    }
    return true;
}

static lview *own_view(lowering *lw, value *v)
{
    lview *w = ARENA_NEW(lw->a, lview);
    w->base = v;
    w->offset = dim_const(lw->m->dims, 0);
    w->rank = v->ty.rank;
    memcpy(w->shape, v->ty.shape, sizeof w->shape);
    base_strides(lw, v, w->stride);
    return w;
}

static bool widens(const node *n)
{
    dtype to = n->result->ty.dt, from = n->n_operands ? n->operands[0]->ty.dt : to;
    return n->op == OP_CAST && dtype_is_float(to) && dtype_is_float(from) && dtype_contains(to, from);
}

bool node_is_view(lowering *lw, const node *n)
{
    if (op_row(n->op)->props & P_PURE_VIEW) return true;
    if (!widens(n)) return false;
    const value *base = view_of(lw, n->operands[0])->base;
    return base->def && base->def->op == OP_PARAM;
}

/* Attention adds v to scores. */
static bool is_bias(const value *v)
{
    for (const use *u = v->uses; u; u = u->next) {
        const node *n = u->user;
        if (n && n->op == OP_ATTENTION && attention_bias(n) == v) return true;
        if (n && op_row(n->op)->props & P_PURE_VIEW && is_bias(n->result)) return true;
    }
    return false;
}

lview transposed_view(lowering *lw, const node *n)
{
    const lview *from = view_of(lw, n->operands[0]);
    const attr *perm = node_attr(n, ATTR_PERM);
    lview w = *from;
    for (int i = 0; i < w.rank; i++) {
        w.shape[i] = from->shape[perm->u.ints.v[i]];
        w.stride[i] = from->stride[perm->u.ints.v[i]];
    }
    return w;
}

static lview *derived_view(lowering *lw, value *v)
{
    dim_ctx *dc = lw->m->dims;
    node *n = v->def;
    if (lw->places[v->id]) return placed_view(lw, v);
    if (!n || !node_is_view(lw, n)) return own_view(lw, v);
    const lview *from = view_of(lw, n->operands[0]);
    lview *w = ARENA_NEW(lw->a, lview);
    if (n->op == OP_CAST) {
        *w = *from;
        return w;
    }
    w->base = from->base;
    w->offset = from->offset;
    w->rank = v->ty.rank;
    memcpy(w->shape, v->ty.shape, sizeof w->shape);
    for (int i = 0; i < w->rank; i++) w->stride[i] = dim_const(dc, 0);
    switch (op_row(n->op)->axes) {
    case X_BROADCAST: {
        const attr *axes = node_attr(n, ATTR_AXES);
        for (int k = 0; k < from->rank; k++)
            if (!is_one(lw, from->shape[k])) w->stride[axes->u.ints.v[k]] = from->stride[k];
        return w;
    }
    case X_TRANSPOSE:
        *w = transposed_view(lw, n);
        return w->stride[w->rank - 1] != dim_const(dc, 1) && is_bias(v) ? own_view(lw, v) : w;
    case X_SLICE: {
        const attr *start = node_attr(n, ATTR_START), *step = node_attr(n, ATTR_STEP);
        for (int i = 0; i < w->rank; i++) {
            w->offset = dim_add(dc, w->offset, dim_mul(dc, start->u.dims.v[i], from->stride[i]));
            if (!is_one(lw, w->shape[i])) w->stride[i] = dim_mul(dc, from->stride[i], dim_const(dc, step->u.ints.v[i]));
        }
        return w;
    }
    case X_RESHAPE:
        if (view_reshape_strides(lw, from, w->rank, w->shape, w->stride)) return w;
        return own_view(lw, v);
    default: return own_view(lw, v);
    }
}

const lview *view_of(lowering *lw, value *v)
{
    if (!lw->views[v->id]) lw->views[v->id] = derived_view(lw, v);
    return lw->views[v->id];
}

bool value_is_base(lowering *lw, value *v)
{
    return view_of(lw, v)->base == v;
}

const cexpr *constant_of(lowering *lw, value *v)
{
    node *n = v->def;
    if (!n) return NULL;
    if (n->op == OP_PARAM) return node_attr(n, ATTR_PARAM)->u.p->value;
    if (n->n_operands != 1) return NULL;
    const cexpr *e = constant_of(lw, n->operands[0]);
    int64_t shape[MAX_RANK], start[MAX_RANK];
    if (!e) return NULL;
    for (int i = 0; i < v->ty.rank; i++)
        if (!dim_is_const(lw->m->dims, v->ty.shape[i], &shape[i])) return NULL;
    switch (op_row(n->op)->axes) {
    case X_RESHAPE: return cexpr_reshape(lw->a, e, v->ty.rank, shape);
    case X_TRANSPOSE: {
        uint8_t perm[MAX_RANK];
        for (int i = 0; i < v->ty.rank; i++) perm[i] = (uint8_t)node_attr(n, ATTR_PERM)->u.ints.v[i];
        return cexpr_transpose(lw->a, e, perm);
    }
    case X_SLICE:
        for (int i = 0; i < v->ty.rank; i++)
            if (node_attr(n, ATTR_STEP)->u.ints.v[i] != 1 ||
                !dim_is_const(lw->m->dims, node_attr(n, ATTR_START)->u.dims.v[i], &start[i]))
                return NULL;
        return cexpr_slice(lw->a, e, start, shape);
    default: return widens(n) ? e : n->op == OP_CAST ? cexpr_cast(lw->a, e, v->ty.dt) : NULL;
    }
}
