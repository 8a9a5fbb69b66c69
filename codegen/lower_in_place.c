/* Results in the buffers of operands.
 *
 *   %3 = contract %1, %2
 *   %4 = add %3, %0              %0 is not read again: the kernel of both writes where it reads %0
 *
 * A kernel may do so when the operand's buffer is one of the plan's own, of the same elements, not read by any later
 * kernel, and read by this one only element by element where the result is written: as a leaf, or as the operand of a
 * row-wise op, whose task reads no row but its own. Every tile is evaluated before it is stored. The same holds for a
 * block of rows: a task has read its rows in all stages but the last before that writes any of them. The kernel gets
 * one buffer that it reads and writes, so that verifier, interpreter and emitter see what happens.
 *
 * Not what is a result of the function, or a part of a concat: these lie elsewhere. */
#include "codegen/lower_row_block.h"

enum { NEVER_OVER = UINT32_MAX };

void last_reads_build(lowering *lw)
{
    uint32_t at = 0;
    lw->turn = ARENA_ARRAY(lw->a, uint32_t, lw->m->n_values);
    lw->last_read = ARENA_ARRAY(lw->a, uint32_t, lw->m->n_values);
    function_foreach (n, lw->fn) lw->turn[n->result->id] = at++;
    function_foreach (n, lw->fn) {
        const group *g = lw->groups[n->result->id];
        if (!g) continue; /* a view, or computed by its readers */
        uint32_t now = lw->turn[(g->inside ? g->inside : g)->out->result->id];
        for (uint32_t i = 0; i < n->n_operands; i++) {
            uint32_t *last = &lw->last_read[view_of(lw, n->operands[i])->base->id];
            if (now > *last) *last = now;
        }
    }
    for (uint32_t i = 0; i < lw->fn->results.len; i++)
        lw->last_read[view_of(lw, lw->fn->results.data[i].v)->base->id] = NEVER_OVER;
}

static bool same_places(const lview *a, const lview *b)
{
    if (a->rank != b->rank || a->offset != b->offset) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->shape[i] != b->shape[i] || a->stride[i] != b->stride[i]) return false;
    return true;
}

/* The groups that g's kernel computes. */
static int groups_of_kernel(const group *g, const group **of)
{
    int n = g->block ? g->block->n : 1;
    for (int i = 0; i < n; i++) of[i] = g->block ? g->block->stage[i].g : g;
    return n;
}

static bool is_rowwise(const group *g)
{
    return g->root && op_row(g->root->op)->axes == X_ROWWISE;
}

/* What g's operations may read where the result is written: leaves, and the rows of a row-wise op. */
static void read_by_places(lowering *lw, const group *g, value_list *out)
{
    group_leaves(lw, g, out);
    if (is_rowwise(g)) vec_push(lw->a, out, g->root->operands[0]);
}

/* All that g's operations read of `base` they read where `out` is written. */
static bool reads_in_place(lowering *lw, const group *g, const value *base, const lview *out)
{
    value_list by_places = {0};
    read_by_places(lw, g, &by_places);
    vec_foreach (value *, v, &by_places)
        if (view_of(lw, *v)->base == base && !same_places(view_of(lw, *v), out)) return false;
    for (uint32_t i = is_rowwise(g); g->root && i < g->root->n_operands; i++)
        if (view_of(lw, g->root->operands[i])->base == base) return false;
    return true;
}

static bool kernel_reads_in_place(lowering *lw, const group *g, const value *base, const lview *out)
{
    const group *of[BLOCK_STAGES];
    for (int i = groups_of_kernel(g, of); i-- > 0;)
        if (!reads_in_place(lw, of[i], base, out)) return false;
    return true;
}

/* The operand's base whose buffer `v`, a result of g, can have; or NULL. */
static value *in_place_for(lowering *lw, const group *g, const value_list *leaves, value *v)
{
    dim strides[MAX_RANK];
    const lview *out = view_of(lw, v);
    for (uint32_t i = 0; i < leaves->len; i++) {
        value *base = view_of(lw, leaves->data[i])->base;
        const kvalue *b = lw->buffers[base->id];
        if (!b || !b->def || b->def->op != KOP_ALLOC) continue;
        if (lw->last_read[base->id] > lw->turn[g->out->result->id] || base->ty.dt != v->ty.dt) continue;
        if (base_strides(lw, base, strides) != base_strides(lw, v, strides)) continue;
        if (kernel_reads_in_place(lw, g, base, out)) return base;
    }
    return NULL;
}

void store_in_place(lowering *lw, const group *g)
{
    op_axes root = g->root ? op_row(g->root->op)->axes : X_POINTWISE;
    if (root != X_POINTWISE && root != X_LABELS && root != X_REDUCE && root != X_ROWWISE) return;
    const group *of[BLOCK_STAGES];
    value_list leaves = {0};
    for (int i = 0, n = groups_of_kernel(g, of); i < n; i++) read_by_places(lw, of[i], &leaves);
    for (uint32_t i = 0; i <= g->also.len; i++) {
        value *v = (i ? g->also.data[i - 1] : g->out)->result;
        if (lw->buffers[v->id] || !value_is_base(lw, v)) continue;
        value *from = in_place_for(lw, g, &leaves, v);
        if (!from) continue;
        lw->buffers[v->id] = lw->buffers[from->id];
        lw->last_read[from->id] = NEVER_OVER; /* taken */
    }
}
