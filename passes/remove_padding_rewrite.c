/* The rewrite of remove_padding: packed copies of nodes, and what passes between them and the rest. */
#include "passes/remove_padding.h"
#include "passes/vary.h"

#include <assert.h>

static dim one(const padding *p)
{
    return dim_const(p->m->dims, 1);
}

static type packed_type(const padding *p, const value *v)
{
    type t = v->ty;
    t.shape[p->axes[v->id].batch] = one(p);
    t.shape[p->axes[v->id].token] = p->tokens;
    return t;
}

/* ---- the mask ---- */

/* Entries share symbols, and so kernels. */
static dim symbol_for(const padding *p)
{
    dim_ctx *c = p->m->dims;
    int64_t least, most;
    dim_bounds(c, dim_mul(c, p->sizes[0], p->sizes[1]), &least, &most);
    const char *name = "tokens";
    for (int k = 2;; k++) {
        dim old = dim_find(c, name);
        if (old == DIM_BAD) return dim_sym(c, intern_z(p->m->names, name), DIM_DATA, 0, most, 1);
        uint32_t at = (uint32_t)dim_is_symbol(c, old);
        const dim_symbol *s = dim_symbol_at(c, at);
        bool same = s->origin == DIM_DATA && s->min == 0 && s->max == most && s->multiple == 1;
        if (same && !module_symbol_is_index(p->m, at) && !function_counting_node(p->f, old)) return old;
        name = arena_printf(p->ctx->scratch, "tokens_%d", k);
    }
}

/* What all copies need stands where the mask is known. */
static builder at_mask(const padding *p)
{
    return (builder){.fn = p->f, .before = p->first, .at = p->at};
}

/* What the mask is made of: it is not packed. */
static void find_makers(padding *p, const value *v)
{
    if (p->makes_mask[v->id]) return;
    p->makes_mask[v->id] = true;
    for (uint32_t o = 0; v->def && o < v->def->n_operands; o++) find_makers(p, v->def->operands[o]);
}

/* Moves those nodes before `first`, which is packed. */
static void hoist_mask(padding *p, node *first)
{
    for (node *n = first->next, *next; n; n = next) {
        next = n->next;
        bool makes = false;
        for (uint32_t i = 0; i < n->n_results; i++) makes = makes || p->makes_mask[n->results[i]->id];
        if (makes) node_move(n, first);
    }
}

/* The mask as bool[B, S], right behind it. */
static value *mask_of_tokens(padding *p)
{
    value *v = p->mask.v;
    bool drop[MAX_RANK] = {false}, any = false;
    p->first = v->def ? v->def->next : p->f->first;
    builder b = at_mask(p);
    for (int k = 0; k < v->ty.rank; k++) {
        drop[k] = p->mask.to[k] != MASK_BATCH && p->mask.to[k] != MASK_KEY;
        any = any || drop[k];
    }
    if (any) v = value_squeeze(&b, v, drop);
    bool is_2d = v->ty.rank == 2 && v->ty.shape[0] == p->sizes[0] && v->ty.shape[1] == p->sizes[1];
    return is_2d ? v : build_reshape(&b, v, 2, p->sizes);
}

static void describe_mask(padding *p)
{
    p->shaped = mask_of_tokens(p);
    builder b = at_mask(p);
    p->tokens = symbol_for(p);
    p->offsets = build_offsets(&b, p->shaped);
    p->flat = build_positions(&b, p->shaped, p->offsets, p->tokens, -1);
}

/* Which sequence (0) a packed token is of, or which of its tokens (1) it is. */
static value *index_along(padding *p, int axis)
{
    builder b = at_mask(p);
    if (!p->index[axis]) p->index[axis] = build_positions(&b, p->shaped, p->offsets, p->tokens, axis);
    return p->index[axis];
}

/* ---- packing and unpacking ---- */

/* perm brings batch and tokens to the front; back brings them where they were. */
static bool to_front(const value *v, token_axes a, int *perm, int *back)
{
    int n = 0;
    perm[n++] = a.batch;
    perm[n++] = a.token;
    for (int k = 0; k < v->ty.rank; k++)
        if (k != a.batch && k != a.token) perm[n++] = k;
    for (int k = 0; k < n; k++) back[perm[k]] = k;
    return a.batch == 0 && a.token == 1;
}

static value *pack(padding *p, value *v, builder *b)
{
    token_axes a = p->axes[v->id];
    int perm[MAX_RANK], back[MAX_RANK];
    bool there = to_front(v, a, perm, back);
    dim shape[MAX_RANK + 1];
    value *x = there ? v : build_transpose(b, v, perm);
    shape[0] = dim_mul(p->m->dims, p->sizes[0], p->sizes[1]);
    for (int k = 2; k < x->ty.rank; k++) shape[k - 1] = x->ty.shape[k];
    uint32_t rank = v->ty.rank;
    x = build_gather(b, build_reshape(b, x, rank - 1, shape), p->flat, 0);
    shape[0] = one(p);
    for (uint32_t k = 0; k + 1 < rank; k++) shape[k + 1] = x->ty.shape[k];
    x = build_reshape(b, x, rank, shape);
    return there ? x : build_transpose(b, x, back);
}

static value *unpack(padding *p, const value *v)
{
    value *x = p->packed[v->id];
    builder b = {.fn = p->f, .before = x->def->next, .like = v->def};
    int perm[MAX_RANK], back[MAX_RANK];
    bool there = to_front(v, p->axes[v->id], perm, back);
    if (!there) x = build_transpose(&b, x, perm);
    dim shape[MAX_RANK];
    for (int k = 1; k < x->ty.rank; k++) shape[k - 1] = x->ty.shape[k];
    x = build_unpack(&b, build_reshape(&b, x, v->ty.rank - 1u, shape), p->shaped, p->offsets);
    return there ? x : build_transpose(&b, x, back);
}

static value *packed_of(padding *p, value *v, builder *b)
{
    if (!p->packed[v->id]) p->packed[v->id] = pack(p, v, b);
    return p->packed[v->id];
}

/* ---- copies ---- */

/* The index along the batch or the tokens. */
static value *copy_of_index(padding *p, const node *n, builder *b, int axis)
{
    type t = packed_type(p, n->result);
    value *x = build_cast(b, index_along(p, axis), t.dt);
    return build_broadcast(b, x, (int[]){p->axes[n->result->id].token}, t.rank, t.shape);
}

/* An operand that is repeated along the batch, or along the tokens: the rows of it that the tokens have. NULL: it has
 * to be repeated first. */
static value *copy_of_rows(padding *p, const node *n, builder *b, token_axes of)
{
    type t = packed_type(p, n->result);
    token_axes a = p->axes[n->result->id];
    const attr *axes = node_attr(n, ATTR_AXES);
    bool tokens = of.token >= 0;
    int to[MAX_RANK];
    for (int k = 0; k < axes->u.ints.n; k++) {
        to[k] = k == of.batch ? a.token : (int)axes->u.ints.v[k];
        if (k && to[k] <= to[k - 1]) return NULL;
    }
    value *rows = build_gather(b, n->operands[0], index_along(p, tokens), tokens ? of.token : of.batch);
    return build_broadcast(b, rows, to, t.rank, t.shape);
}

/* Operands without the axes may be what they are. */
static bool takes_others(op_axes axes)
{
    return axes == X_LABELS || axes == X_BROADCAST || axes == X_GATHER;
}

/* Views and leaves cost nothing where they are: they are copied for nodes that are. The first node that is wanted. */
static node *find_wanted(padding *p)
{
    node *first = NULL;
    for (node *n = p->f->last; n; n = n->prev) {
        const op_info *row = op_row(n->op);
        const value *v = n->result;
        bool never = n->n_results != 1 || p->makes_mask[v->id] || !padding_has_axes(p, v) || !p->dead[v->id] ||
                     n->op == OP_PARAM || row->props & P_INTERPRETED || (n->op == OP_ATTENTION && !p->is_member[v->id]);
        if (never || !padding_is_by_token(p, n)) continue;
        p->wanted[v->id] = !(row->props & (P_LEAF | P_PURE_VIEW));
        for (const use *u = v->uses; u && !p->wanted[v->id]; u = u->next)
            p->wanted[v->id] = u->user && p->wanted[u->user->result->id];
        if (p->wanted[v->id]) first = n;
    }
    return first;
}

/* A term of a bias, repeated: [B, H, S, S]. */
static value *whole_bias(const padding *p, builder *b, const mask_view *s, dim heads)
{
    int axes[MAX_RANK];
    uint8_t rank = 0;
    dim kept[MAX_RANK], shape[4] = {p->sizes[0], heads, p->sizes[1], p->sizes[1]};
    for (int k = 0; k < s->v->ty.rank; k++) {
        if (s->to[k] == MASK_NONE) continue;
        axes[rank] = s->to[k];
        kept[rank++] = s->v->ty.shape[k];
    }
    value *v = rank == s->v->ty.rank ? s->v : build_reshape(b, s->v, rank, kept);
    return rank == 4 ? v : build_broadcast(b, v, axes, 4, shape);
}

static value *copy_of_attention(padding *p, node *n, builder *b)
{
    value *in[3], *bias = NULL;
    key_mask k;
    padding_key_mask(p->m, n, &k);
    for (uint32_t o = 0; o < 3; o++) in[o] = packed_of(p, n->operands[o], b);
    for (uint32_t i = 0; i < k.n_bias; i++) {
        value *v = whole_bias(p, b, &k.bias[i], n->result->ty.shape[1]);
        bias = bias ? build_scalar(b, OP_ADD, (value *[]){bias, v}, 2) : v;
    }
    return build_ragged_attention(b, in[0], in[1], in[2], p->offsets, k.by_place ? index_along(p, 1) : NULL, bias,
                                  node_attr(n, ATTR_SCALE)->u.real, k.band);
}

static value *copy(padding *p, node *n)
{
    const op_info *row = op_row(n->op);
    builder b = builder_before(n);
    token_axes a = p->axes[n->result->id];
    type t = packed_type(p, n->result);
    value **in = ARENA_ARRAY(p->ctx->scratch, value *, n->n_operands);
    if (n->op == OP_ATTENTION) return copy_of_attention(p, n, &b);
    if (n->op == OP_IOTA) {
        int64_t axis = node_attr(n, ATTR_AXIS)->u.i;
        if (axis == a.batch || axis == a.token) return copy_of_index(p, n, &b, axis == a.token);
    }
    for (uint32_t o = 0; o < n->n_operands; o++) {
        value *v = n->operands[o];
        token_axes of = padding_operand_axes(p, n, o, a);
        bool same = padding_has_axes(p, v) && of.batch == p->axes[v->id].batch && of.token == p->axes[v->id].token;
        bool none = of.token < 0 && (of.batch < 0 || p->sizes[0] == one(p));
        if (!same && !(none && takes_others(row->axes))) {
            bool rows = row->axes == X_BROADCAST && (of.batch < 0) != (of.token < 0);
            return rows ? copy_of_rows(p, n, &b, of) : NULL;
        }
        in[o] = same ? packed_of(p, v, &b) : v;
    }
    const char *why;
    value *r = build_node(&b, n->op, in, n->n_operands, n->attrs, op_needs_type(n->op) ? &t : NULL, &why);
    return r && type_equal(&r->ty, &t) ? r : NULL;
}

/* ---- readers ---- */

static bool is_copied(const padding *p, const node *n)
{
    return n->result->id < p->n_values && p->copied[n->result->id];
}

/* Results, and nodes that have no packed copy, read v as it was. */
static void give_back(padding *p, value *v)
{
    VEC(const use *) readers = {0};
    for (const use *u = v->uses; u; u = u->next)
        if (!u->user || !is_copied(p, u->user)) vec_push(p->ctx->scratch, &readers, u);
    if (!readers.len) return;
    value *x = unpack(p, v);
    vec_foreach (const use *, u, &readers) {
        if ((*u)->user) node_set_operand((*u)->user, (*u)->index, x);
        else function_set_result(p->f, (*u)->index, x);
    }
}

static void remove_points(padding *p, const value *v)
{
    for (uint32_t i = p->f->points.len; i-- > 0;) {
        if (p->f->points.data[i].v != v) continue;
        pass_remark(p->ctx, v->def, "removed point \"%s\": its value is packed", p->f->points.data[i].place);
        function_remove_point(p->f, i);
    }
}

/* What was copied, and copies that nobody needed. */
static void erase_unused(padding *p)
{
    for (node *n = p->f->last, *prev; n; n = prev) {
        prev = n->prev;
        bool new = n->result->id >= p->n_values;
        if ((!new && !is_copied(p, n)) || node_is_used(n) || node_count_is_used(n)) continue;
        remove_points(p, n->result);
        node_erase(n);
    }
}

void padding_rewrite(padding *p)
{
    arena *a = p->ctx->scratch;
    p->packed = ARENA_ARRAY(a, value *, p->n_values);
    p->copied = ARENA_ARRAY(a, bool, p->n_values);
    p->wanted = ARENA_ARRAY(a, bool, p->n_values);
    p->makes_mask = ARENA_ARRAY(a, bool, p->n_values);
    find_makers(p, p->mask.v);
    node *first = find_wanted(p);
    if (first) hoist_mask(p, first);
    describe_mask(p);
    node *last = p->f->last;
    for (node *n = p->f->first, *next; n; n = next) {
        next = n == last ? NULL : n->next;
        value *v = n->result;
        if (v->id >= p->n_values || !p->wanted[v->id]) continue;
        value *c = copy(p, n);
        if (!c) continue;
        p->packed[v->id] = c;
        p->copied[v->id] = true;
    }
    for (node *n = p->f->last, *prev; n; n = prev) {
        prev = n->prev;
        if (is_copied(p, n)) give_back(p, n->result);
    }
    erase_unused(p);
}
