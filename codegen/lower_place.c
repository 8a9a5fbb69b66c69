/* Parts of a concat that are computed where it wants them.
 *
 *   %1 = sub ...                                     written into the first half of %3's buffer
 *   %2 = add ...                                     written into its second half
 *   %3 = concat %1, %2 {axis = 3}                    nothing is left to copy
 *
 * A part is stored in the concat's buffer instead of one of its own: it is a view of the concat, and whoever reads it
 * reads it there. So is a part that the concat reads through reshapes and transposes. Not a part that is a result of
 * the function (its place is the output), that another concat has taken, or that is an input, a parameter or a
 * constant; and not one whose kernel needs dense rows which the window has not. */
#include "codegen/lower_internal.h"

#include <assert.h>

/* Through views that nothing else reads: what is computed. NULL: nothing is, or it is stored elsewhere. */
static value *producer(lowering *lw, value *part)
{
    value *v = part;
    for (;;) {
        node *n = v->def;
        if (!n || !v->uses) return NULL;
        if (n->op != OP_RESHAPE && n->op != OP_TRANSPOSE) break;
        if (v->uses->next) return NULL;
        v = n->operands[0];
    }
    double splat;
    const op_info *row = op_row(v->def->op);
    if (row->props & (P_PURE_VIEW | P_LEAF) || value_const_splat(v, &splat) || lw->places[v->id]) return NULL;
    /* A widened parameter may be a view. */
    if (v->def->op == OP_CAST && v->def->operands[0]->def && v->def->operands[0]->def->op != OP_CAST &&
        op_row(v->def->operands[0]->def->op)->props & (P_PURE_VIEW | P_LEAF))
        return NULL;
    for (const use *u = v->uses; u; u = u->next)
        if (!u->user) return NULL;
    return v;
}

/* v's kernel may be a contraction with v at the end of its epilogue. */
static bool computed_by_contraction(const value *v, int depth)
{
    const node *n = v->def;
    if (!n || depth > 64) return false;
    if (n->op == OP_CONTRACT) return true;
    if (!node_is_elementwise(n)) return false;
    for (uint32_t i = 0; i < n->n_operands; i++)
        if (!n->operands[i]->uses->next && computed_by_contraction(n->operands[i], depth + 1)) return true;
    return false;
}

/* The window of operand `part` in a concat. */
static lview window(lowering *lw, node *concat, uint32_t part)
{
    dim_ctx *dc = lw->m->dims;
    lview w = *view_of(lw, concat->result);
    int64_t axis = node_attr(concat, ATTR_AXIS)->u.i;
    for (uint32_t i = 0; i < part; i++)
        w.offset = dim_add(dc, w.offset, dim_mul(dc, concat->operands[i]->ty.shape[axis], w.stride[axis]));
    memcpy(w.shape, concat->operands[part]->ty.shape, sizeof w.shape);
    for (int i = 0; i < w.rank; i++)
        if (w.shape[i] == dim_const(dc, 1)) w.stride[i] = dim_const(dc, 0);
    return w;
}

/* Where the operand of a view lies when its result lies at w. */
static bool behind_view(lowering *lw, const node *n, lview *w)
{
    const type *t = &n->operands[0]->ty;
    lview below = {.base = w->base, .offset = w->offset, .rank = t->rank};
    memcpy(below.shape, t->shape, sizeof below.shape);
    if (n->op == OP_RESHAPE) {
        if (!view_reshape_strides(lw, w, below.rank, below.shape, below.stride)) return false;
    } else {
        for (int i = 0; i < w->rank; i++) below.stride[node_attr(n, ATTR_PERM)->u.ints.v[i]] = w->stride[i];
    }
    *w = below;
    return true;
}

static bool find_place(lowering *lw, node *concat, const value *v, lview *w)
{
    for (uint32_t i = 0; i < concat->n_operands; i++) {
        value *part = concat->operands[i];
        *w = window(lw, concat, i);
        while (part != v && part->def && (part->def->op == OP_RESHAPE || part->def->op == OP_TRANSPOSE) &&
               behind_view(lw, part->def, w))
            part = part->def->operands[0];
        if (part == v) return true;
    }
    return false;
}

lview *placed_view(lowering *lw, value *v)
{
    lview *w = ARENA_NEW(lw->a, lview);
    bool found = find_place(lw, lw->places[v->id]->def, v, w);
    assert(found);
    (void)found;
    return w;
}

/* From the last concat to the first: one whose own result has a place gives that to its parts. */
void places_build(lowering *lw)
{
    for (node *n = lw->fn->last; n; n = n->prev) {
        if (n->op != OP_CONCAT || !n->result->uses) continue;
        for (uint32_t i = 0; i < n->n_operands; i++) {
            value *v = producer(lw, n->operands[i]);
            lview w;
            if (!v || !find_place(lw, n, v, &w)) continue;
            if (w.rank > 1 && computed_by_contraction(v, 0) && !view_collapses(lw, &w, 0, w.rank - 2)) continue;
            lw->places[v->id] = n->result;
        }
    }
}
