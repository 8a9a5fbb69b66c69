/* Which nodes become one kernel.
 *
 * Walking the nodes from the last to the first, a node joins the group of its users when all of its uses are
 * elementwise members of that one group: its result then never leaves registers. A root (contraction, reduction ...)
 * may join a group that has none; the elementwise members become its epilogue. Values read through a view, returned, or
 * used by two groups are stored.
 *
 * Two groups without a root that have the shape and a leaf in common become one kernel with two results when nobody
 * reads the first before the second: both halves of a rotation, for queries and for keys.
 *
 * Why not join whatever shares a user: a value used by two groups would be computed twice, and a contraction whose
 * epilogue reads leaves that do not lie along its rows and columns would need index arithmetic per element. */
#include "codegen/lower_internal.h"
#include "codegen/schedule.h"

bool node_is_elementwise(const node *n)
{
    return op_row(n->op)->axes == X_POINTWISE;
}

/* Roots whose emitters evaluate an epilogue. */
static bool takes_epilogue(const node *n)
{
    op_axes x = op_row(n->op)->axes;
    return x == X_LABELS || x == X_REDUCE || x == X_ROWWISE;
}

static group *common_user_group(lowering *lw, const node *n)
{
    group *g = NULL;
    for (use *u = n->result->uses; u; u = u->next) {
        if (!u->user || !node_is_elementwise(u->user)) return NULL;
        group *of = lw->groups[u->user->result->id];
        if (!of || (g && of != g)) return NULL;
        g = of;
    }
    return g;
}

void group_leaves(lowering *lw, const group *g, value_list *out)
{
    for (uint32_t i = 0; i < g->members.len; i++) {
        node *n = g->members.data[i];
        if (!node_is_elementwise(n)) continue;
        for (uint32_t k = 0; k < n->n_operands; k++) {
            value *v = n->operands[k];
            bool seen = lw->groups[v->id] == g;
            for (uint32_t j = 0; j < out->len && !seen; j++) seen = out->data[j] == v;
            if (!seen) vec_push(lw->a, out, v);
        }
    }
}

/* A contraction's tiles run over flattened rows and flattened columns: every leaf must lie along both. Where the rows
 * end and the columns begin is the first result axis that the operand of the first one does not have. */
static bool leaves_fit_contraction(lowering *lw, const group *g)
{
    const labels *l = &node_attr(g->root, ATTR_LABELS)->u.lab;
    int cut = 0, rows = l->rank[2] > 0 && memchr(l->label[0], l->label[2][0], l->rank[0]) ? 0 : 1;
    while (cut < l->rank[2] && memchr(l->label[rows], l->label[2][cut], l->rank[rows])) cut++;
    value_list leaves = {0};
    group_leaves(lw, g, &leaves);
    for (uint32_t i = 0; i < leaves.len; i++) {
        value *v = leaves.data[i];
        double splat;
        if (value_const_splat(v, &splat)) continue;
        if (value_is_iota(v)) return false;
        const lview *w = view_of(lw, v);
        if (!view_collapses(lw, w, 0, cut - 1) || !view_collapses(lw, w, cut, w->rank - 1)) return false;
    }
    return true;
}

/* n's readers are the two halves of its last axis: the slices' values, in order. */
static bool read_in_halves(lowering *lw, const node *n, value **half)
{
    dim_ctx *dc = lw->m->dims;
    const type *t = &n->result->ty;
    int64_t size, at;
    if (n->op != OP_CONTRACT || !dim_is_const(dc, t->shape[t->rank - 1], &size) || size % (2 * MATMUL_HALF))
        return false;
    half[0] = half[1] = NULL;
    for (const use *u = n->result->uses; u; u = u->next) {
        if (!u->user || u->user->op != OP_SLICE) return false;
        const attr *start = node_attr(u->user, ATTR_START), *step = node_attr(u->user, ATTR_STEP);
        int last = t->rank - 1;
        for (int i = 0; i < last; i++)
            if (u->user->result->ty.shape[i] != t->shape[i]) return false;
        if (step->u.ints.v[last] != 1 || u->user->result->ty.shape[last] != dim_const(dc, size / 2) ||
            !dim_is_const(dc, start->u.dims.v[last], &at) || (at != 0 && at != size / 2) || half[at > 0])
            return false;
        half[at > 0] = u->user->result;
    }
    return half[0] && half[1];
}

/* A contraction whose halves meet in one group, as an activation and its gate do, is that group's root. */
static bool join_in_halves(lowering *lw, node *n)
{
    value *half[2];
    if (!read_in_halves(lw, n, half) || !contraction_has_halves(lw, n)) return false;
    group *g = common_user_group(lw, half[0]->def);
    if (!g || g->root || common_user_group(lw, half[1]->def) != g) return false;
    for (int i = 0; i < 2; i++) {
        lw->groups[half[i]->id] = g; /* no leaf */
        g->half[i] = half[i];
    }
    g->root = n;
    lw->groups[n->result->id] = g;
    if (leaves_fit_contraction(lw, g)) {
        vec_push(lw->a, &g->members, n);
        return true;
    }
    for (int i = 0; i < 2; i++) {
        lw->groups[half[i]->id] = NULL;
        g->half[i] = NULL;
    }
    g->root = NULL;
    lw->groups[n->result->id] = NULL;
    return false;
}

static bool group_try_join(lowering *lw, group *g, node *n)
{
    bool is_root = !node_is_elementwise(n);
    if (is_root && (g->root || !takes_epilogue(n))) return false;
    vec_push(lw->a, &g->members, n);
    lw->groups[n->result->id] = g;
    if (is_root) g->root = n;
    if (!g->root || g->root->op != OP_CONTRACT || leaves_fit_contraction(lw, g)) return true;
    (void)vec_pop(&g->members);
    lw->groups[n->result->id] = NULL;
    if (is_root) g->root = NULL;
    return false;
}

/* Constants and iotas are computed where elementwise nodes use them; any other use reads them from memory. */
static bool needs_storage(const value *v)
{
    double splat;
    bool constant = value_const_splat(v, &splat);
    for (use *u = v->uses; u; u = u->next) {
        if (!u->user) return true;
        if (node_is_elementwise(u->user)) continue;
        bool view = op_row(u->user->op)->props & P_PURE_VIEW;
        bool computed = value_is_iota(u->user->result) || (constant && value_const_splat(u->user->result, &splat));
        if (!view || !computed || needs_storage(u->user->result)) return true;
    }
    return false;
}

/* ---- groups with several results ---- */

enum { MAX_RESULTS = 4, SIBLING_REACH = 8 };

typedef struct {
    lowering *lw;
    uint32_t *at; /* by value id: place of its node in the function */
} order;

/* The first node that reads v, through views and through concats that v is written into. */
static uint32_t first_reader(const order *o, const value *v)
{
    uint32_t first = UINT32_MAX;
    for (const use *u = v->uses; u; u = u->next) {
        if (!u->user) continue; /* the end of the function */
        bool view = node_is_view(o->lw, u->user) && !value_is_base(o->lw, u->user->result);
        bool placed = u->user->op == OP_CONCAT && o->lw->places[v->id] == u->user->result;
        uint32_t at = view || placed ? first_reader(o, u->user->result) : o->at[u->user->result->id];
        if (at < first) first = at;
    }
    return first;
}

static bool share_leaf(lowering *lw, const group *a, const group *b)
{
    value_list x = {0}, y = {0};
    group_leaves(lw, a, &x);
    group_leaves(lw, b, &y);
    for (uint32_t i = 0; i < x.len; i++)
        for (uint32_t k = 0; k < y.len; k++) {
            double splat;
            if (x.data[i] == y.data[k] && !value_const_splat(x.data[i], &splat) && !value_is_iota(x.data[i]))
                return true;
        }
    return false;
}

/* Whether `first` can be computed where `later` is. */
static bool are_siblings(const order *o, const group *first, const group *later)
{
    const type *a = &first->out->result->ty, *b = &later->out->result->ty;
    if (first->root || later->root || first->also.len + later->also.len + 2 > MAX_RESULTS || a->rank != b->rank ||
        memcmp(a->shape, b->shape, a->rank * sizeof(dim)) || !share_leaf(o->lw, first, later))
        return false;
    uint32_t at = o->at[later->out->result->id];
    for (uint32_t i = 0; i < first->also.len; i++)
        if (first_reader(o, first->also.data[i]->result) <= at) return false;
    return first_reader(o, first->out->result) > at;
}

static void join_siblings(lowering *lw, group *first, group *later)
{
    vec_push(lw->a, &later->also, first->out);
    vec_foreach (node *, n, &first->also) vec_push(lw->a, &later->also, *n);
    vec_foreach (node *, n, &first->members) {
        vec_push(lw->a, &later->members, *n);
        lw->groups[(*n)->result->id] = later;
    }
}

static void find_siblings(lowering *lw)
{
    order o = {lw, ARENA_ARRAY(lw->a, uint32_t, lw->m->n_values)};
    VEC(group *) all = {0};
    uint32_t at = 0;
    function_foreach (n, lw->fn) {
        o.at[n->result->id] = at++;
        group *g = lw->groups[n->result->id];
        if (g && g->out == n && !g->root && node_is_elementwise(n)) vec_push(lw->a, &all, g);
    }
    for (uint32_t i = all.len; i-- > 0;)
        for (uint32_t k = i; k-- > 0 && i - k <= SIBLING_REACH;) {
            if (!all.data[k] || !all.data[i] || !are_siblings(&o, all.data[k], all.data[i])) continue;
            join_siblings(lw, all.data[k], all.data[i]);
            all.data[k] = NULL;
        }
}

enum { MAX_MEMBERS = 128 }; /* of a group before the next is stored: a kernel's code must stay within reason */

void groups_build(lowering *lw)
{
    for (node *n = lw->fn->last; n; n = n->prev) {
        const op_info *row = op_row(n->op);
        bool view = node_is_view(lw, n), copied = view && value_is_base(lw, n->result);
        bool leaf_op = row->props & P_LEAF;
        if (n->op == OP_PARAM || (leaf_op && !needs_storage(n->result))) continue;
        if ((view && !copied) || gather_packs_indices(n)) continue;
        if (!n->result->uses && !node_count_is_used(n)) continue;
        group *g = leaf_op ? NULL : common_user_group(lw, n);
        if (g && g->members.len == MAX_MEMBERS) g = NULL;
        if (g ? group_try_join(lw, g, n) : join_in_halves(lw, n)) continue;
        g = ARENA_NEW(lw->a, group);
        g->out = n;
        g->root = leaf_op || node_is_elementwise(n) ? NULL : n;
        vec_push(lw->a, &g->members, n);
        lw->groups[n->result->id] = g;
    }
    find_siblings(lw);
}
