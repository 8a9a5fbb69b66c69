/* Contractions of one input with several weights become one contraction: Q, K and V of an attention block.
 *
 *   %1 = contract %x, %wq {labels = "abc,dc->abd"} : f32[B, S, 768]
 *   %2 = contract %x, %wk {labels = "abc,dc->abd"} : f32[B, S, 768]      (%wq, %wk parameters; %1 and %2 stored anyway)
 * ->
 *   %1 = contract %x, %w {labels = "abc,dc->abd"} : f32[B, S, 1536]      w = concat(wq, wk) along d
 *   %2 = slice %1 {start = [0, 0, 0], step = [1, 1, 1]} : f32[B, S, 768]
 *   %3 = slice %1 {start = [0, 0, 768], step = [1, 1, 1]} : f32[B, S, 768]
 *
 * So do an activation and its gate, whose product then is the epilogue of the one contraction (silu(x wg) * (x wu)).
 *
 * Every element keeps its own sum, so nothing rounds differently. A bias of each part goes with it; a part without one
 * gets -0, which changes no number. Slices are strides for whoever reads them.
 *
 * Requires equal inputs to be one value (cse), views of weights in their stored form (fold), scales moved into them
 * (fold_scale) and approximate passes over: it breaks the identity of weights. Leaves unused nodes for dce.
 *
 * Merging whatever reads the same input is the obvious way, and costs more than it saves:
 *   - what a kernel would have computed as its epilogue (an activation, a residual) reads memory once the result is a
 *     slice, and a result of the model would be copied: parts are merged that are stored anyway, or meet their gate;
 *   - a weight that somebody else reads would be stored twice: all readers, in all entries, must be merged alike;
 *   - keys and values that all layers of a decoder compute from one encoder would lie in memory from the first layer to
 *     the last: a part joins only those that no contraction and no attention has read yet. */
#include <assert.h>

#include "ir/constant_set.h"
#include "passes/match.h"
#include "passes/params.h"
#include "passes/pass.h"

typedef struct {
    node *n;          /* the contraction */
    const param *p;   /* of its weight */
    const cexpr *w;   /* the weight, free axes first, then the summed ones */
    uint32_t weight;  /* its number */
    dtype read_as;    /* the weight's dtype behind a cast */
    node *bias;       /* the addition that follows, or NULL */
    const cexpr *b;   /* its elements, along the free axes */
    const char *name; /* of the bias */
    const char *why;  /* it stays alone; NULL: it fits */
    bool gated;       /* another merge has taken it, with its gate */
} part;

/* Contractions of one input that sum the same axes. */
typedef struct {
    function *f;
    value *x;
    labels form;      /* operands x, weight */
    int n_free, axis; /* free axes of the weight; which of them the parts follow one another along */
    bool closed;      /* something has been computed from a part */
    uint32_t id;      /* counted from 1 */
    VEC(part) parts;
} merge;
typedef VEC(merge *) merge_list;

typedef struct {
    pass_ctx *ctx;
    module *m;
    merge_list merges;
    ptrmap *of_input; /* value -> its merges */
    constant_set weights;
    uint32_t *uses; /* by param id: of all its nodes */
} merger;

/* ---- one contraction ---- */

static int position(const labels *l, int operand, char c)
{
    for (int i = 0; i < l->rank[operand]; i++)
        if (l->label[operand][i] == c) return i;
    return -1;
}

/* The weight behind operand o, perhaps widened. */
static const cexpr *weight_of(const module *m, const node *n, uint32_t o, const param **p)
{
    const value *v = n->operands[o];
    const node *cast = match_op(v, OP_CAST);
    if (cast && !match_single_use(v)) return NULL;
    return param_elements(m, cast ? cast->operands[0] : v, p);
}

/* The labels with x first, letters in order of appearance, and the weight's axes in the order [free, in the result's
 * order][summed, in x's order]; perm brings the weight's own axes into it. False when an axis is neither. */
static bool normal_form(const node *n, uint32_t weight, labels *form, uint8_t *perm, int *n_free)
{
    const labels *l = &node_attr(n, ATTR_LABELS)->u.lab;
    int x = 1 - (int)weight, w = (int)weight, k = 0;
    char letters[2 * MAX_RANK], *order = letters;
    *form = (labels){.rank = {l->rank[x], l->rank[w], l->rank[2]}};
    for (int i = 0; i < l->rank[x]; i++) *order++ = l->label[x][i];
    for (int i = 0; i < l->rank[2]; i++) {
        char c = l->label[2][i];
        bool in_x = position(l, x, c) >= 0;
        if (in_x == (position(l, w, c) >= 0)) return false;
        if (in_x) continue;
        *order++ = c;
        perm[k++] = (uint8_t)position(l, w, c);
    }
    *n_free = k;
    for (int i = 0; i < l->rank[x]; i++) {
        char c = l->label[x][i];
        if (position(l, 2, c) >= 0) continue;
        if (position(l, w, c) < 0) return false;
        perm[k++] = (uint8_t)position(l, w, c);
    }
    if (k != l->rank[w] || *n_free == 0) return false;
    for (int o = 0; o < 3; o++)
        for (int i = 0; i < form->rank[o]; i++) {
            char c = o == 0 ? l->label[x][i] : o == 1 ? l->label[w][perm[i]] : l->label[2][i];
            form->label[o][i] = (char)('a' + ((char *)memchr(letters, c, (size_t)(order - letters)) - letters));
        }
    return true;
}

/* The result axis of the weight's free axis i. */
static int result_axis(const merge *g, int i)
{
    return position(&g->form, 2, g->form.label[1][i]);
}

/* The addition behind p's contraction of a parameter along its free axes. */
static void find_bias(const merger *x, const merge *g, part *p)
{
    node *add = match_only_user(p->n->result);
    if (!add || add->op != OP_ADD || match_point(g->f, p->n->result)) return;
    const node *b = match_op(add->operands[add->operands[0] == p->n->result], OP_BROADCAST);
    if (!b || b->operands[0]->ty.rank != g->n_free) return;
    const param *from;
    const cexpr *e = param_elements(x->m, b->operands[0], &from);
    if (!e) return;
    for (int i = 0; i < g->n_free; i++)
        if (node_attr(b, ATTR_AXES)->u.ints.v[i] != result_axis(g, i) || e->shape[i] != p->w->shape[i]) return;
    p->bias = add;
    p->b = e;
    p->name = from->path;
}

static value *part_value(const part *p)
{
    return p->bias ? p->bias->result : p->n->result;
}

static const char computed_together[] = "what follows is computed together with it";

/* Why the value would not be stored if it stayed alone, or would have to be copied as a slice. */
static const char *not_stored(const value *v)
{
    bool stored = false;
    for (const use *u = v->uses; u; u = u->next) {
        if (!u->user) return "it is a result, and would have to be copied";
        stored = stored || !(op_row(u->user->op)->props & P_ELEMENTWISE);
    }
    return stored ? NULL : computed_together;
}

/* ---- which belong together ---- */

/* Sizes of the free axes agree but for one. */
static bool concat_axis(const merge *g, const cexpr *w, int *axis)
{
    const cexpr *first = g->parts.data[0].w;
    *axis = g->axis;
    for (int i = 0; i < g->n_free; i++) {
        if (w->shape[i] == first->shape[i]) continue;
        if (*axis >= 0 && *axis != i) return false;
        *axis = i;
    }
    return true;
}

static merge_list *list_of(const merger *x, ptrmap *lists, const void *key)
{
    merge_list *list = ptrmap_get(lists, key);
    if (list) return list;
    list = ARENA_NEW(x->ctx->scratch, merge_list);
    ptrmap_set(lists, key, list);
    return list;
}

static void add_part(merger *x, node *n, uint32_t *from)
{
    arena *a = x->ctx->scratch;
    part p = {.n = n};
    labels form;
    uint8_t perm[MAX_RANK];
    int n_free, axis = -1;
    const cexpr *w = NULL;
    uint32_t o = 2;
    while (!w && o-- > 0) w = weight_of(x->m, n, o, &p.p);
    if (!w || !n->result->uses || !dtype_is_float(w->dt) || !normal_form(n, o, &form, perm, &n_free)) return;
    value *input = n->operands[1 - o];
    p.w = cexpr_transpose(x->m->a, w, perm);
    p.read_as = n->operands[o]->ty.dt;
    p.weight = constant_set_add(&x->weights, p.w);
    merge *g = NULL;
    const merge *other = NULL;
    merge_list *of_input = list_of(x, x->of_input, input);
    for (uint32_t i = 0; i < of_input->len && !g; i++) {
        merge *have = of_input->data[i];
        if (have->f != n->fn || have->closed) continue;
        const part *first = &have->parts.data[0];
        if (!memcmp(&have->form, &form, sizeof form) && first->w->dt == w->dt && first->read_as == p.read_as &&
            concat_axis(have, p.w, &axis))
            g = have;
        else other = have;
    }
    if (!g) {
        if (other)
            pass_remark(x->ctx, n, "not merged: it sums other axes of its input, or its weight has another dtype");
        g = ARENA_NEW(a, merge);
        *g = (merge){.f = n->fn, .x = input, .form = form, .n_free = n_free, .axis = -1, .id = x->merges.len + 1};
        vec_push(a, &x->merges, g);
        vec_push(a, of_input, g);
    }
    g->axis = axis;
    find_bias(x, g, &p);
    p.why = !constant_affordable(p.w) ? "its weight is computed from many" : not_stored(part_value(&p));
    vec_push(a, &g->parts, p);
    from[n->result->id] = g->id;
}

static void find_merges(merger *x, function *f)
{
    /* By value id: 1 + the merge that it is made from without a contraction in between. */
    uint32_t *from = ARENA_ARRAY(x->ctx->scratch, uint32_t, x->m->n_values);
    function_foreach (n, f) {
        op_axes axes = op_row(n->op)->axes;
        bool closes = axes == X_LABELS || axes == X_ATTENTION;
        uint32_t id = 0;
        for (uint32_t i = 0; i < n->n_operands; i++) {
            uint32_t of = from[n->operands[i]->id];
            if (of && closes) x->merges.data[of - 1]->closed = true;
            if (of) id = of;
        }
        if (!closes)
            for (uint32_t i = 0; i < n->n_results; i++) from[n->results[i]->id] = id;
        if (n->op == OP_CONTRACT) add_part(x, n, from);
    }
}

static const part *next_fitting(const merge *g, uint32_t *i)
{
    while (*i < g->parts.len)
        if (!g->parts.data[(*i)++].why) return &g->parts.data[*i - 1];
    return NULL;
}

static uint32_t n_fitting(const merge *g)
{
    uint32_t n = 0;
    for (uint32_t i = 0; next_fitting(g, &i);) n++;
    return n;
}

/* By the number of a weight: the merges that have it among their parts. */
static ptrmap *merges_by_weight(const merger *x)
{
    ptrmap *lists = ptrmap_new(x->ctx->scratch);
    for (uint32_t i = 0; i < x->merges.len; i++)
        vec_foreach (part, p, &x->merges.data[i]->parts) {
            merge_list *list = list_of(x, lists, (const void *)(uintptr_t)(p->weight + 1));
            if (!list->len || vec_last(list) != x->merges.data[i]) vec_push(x->ctx->scratch, list, x->merges.data[i]);
        }
    return lists;
}

static bool merged_alike(const merge *a, const merge *b)
{
    uint32_t i = 0, k = 0;
    if (memcmp(&a->form, &b->form, sizeof a->form)) return false;
    for (;;) {
        const part *p = next_fitting(a, &i), *q = next_fitting(b, &k);
        if (!p || !q) return p == q;
        if (p->weight != q->weight || !p->b != !q->b || (p->b && !cexpr_equal(p->b, q->b))) return false;
    }
}

/* ---- gates ---- */

enum { HALF = 8 }; /* kernels compute halves of so many columns together (codegen/schedule.h) */

typedef struct {
    uint32_t *mark, stamp; /* by value id: the stamp of the walk that reached it last */
    VEC(const value *) reached;
} walk;

/* The one value among what is computed from v elementwise that is read otherwise. NULL: several are, or none. */
static const value *meets_at(const merger *x, walk *w, const value *v)
{
    const value *end = NULL;
    w->reached.len = 0;
    w->mark[v->id] = ++w->stamp;
    vec_push(x->ctx->scratch, &w->reached, v);
    for (uint32_t i = 0; i < w->reached.len; i++) {
        const value *from = w->reached.data[i];
        for (const use *u = from->uses; u; u = u->next) {
            if (u->user && (op_row(u->user->op)->props & P_ELEMENTWISE)) {
                const value *to = u->user->result;
                if (w->mark[to->id] != w->stamp) vec_push(x->ctx->scratch, &w->reached, to);
                w->mark[to->id] = w->stamp;
            } else if (end && end != from) {
                return NULL;
            } else {
                end = from;
            }
        }
    }
    return end;
}

/* An activation and its gate are computed together where they meet: both halves of one contraction in one kernel
 * (codegen/lower_matmul.c). Biases stay behind the slices. */
static void find_gates(merger *x)
{
    walk w = {.mark = ARENA_ARRAY(x->ctx->scratch, uint32_t, x->m->n_values)};
    for (uint32_t at = 0, n = x->merges.len; at < n; at++) {
        merge *g = x->merges.data[at];
        part *last = NULL;
        const value *end = NULL;
        vec_foreach (part, p, &g->parts) {
            if (p->why != computed_together || g->n_free != 1 || p->w->shape[0] % HALF) continue;
            const value *v = meets_at(x, &w, p->n->result);
            if (last && v && v == end && p->w->shape[0] == last->w->shape[0]) {
                merge *pair = ARENA_NEW(x->ctx->scratch, merge);
                *pair = *g;
                memset(&pair->parts, 0, sizeof pair->parts);
                part *both[2] = {last, p};
                for (int i = 0; i < 2; i++) {
                    vec_push(x->ctx->scratch, &pair->parts, *both[i]);
                    vec_last(&pair->parts).bias = NULL;
                    vec_last(&pair->parts).b = NULL;
                    vec_last(&pair->parts).why = NULL;
                    both[i]->gated = true;
                }
                vec_push(x->ctx->scratch, &x->merges, pair);
                break;
            }
            last = p;
            end = v;
        }
    }
}

/* Leaves out parts whose weight somebody reads who is not merged in the same way, until all fit. */
static void check_readers(merger *x)
{
    ptrmap *by_weight = merges_by_weight(x);
    for (bool again = true; again;) {
        again = false;
        vec_foreach (merge *, gp, &x->merges) {
            merge *g = *gp;
            uint32_t alike = 0, first = 0;
            if (n_fitting(g) < 2) continue;
            uint32_t weight = next_fitting(g, &first)->weight;
            vec_foreach (merge *, other, list_of(x, by_weight, (const void *)(uintptr_t)(weight + 1)))
                alike += merged_alike(g, *other);
            vec_foreach (part, p, &g->parts) {
                if (p->why || x->uses[p->p->id] == alike) continue;
                p->why = "its weight is read elsewhere, and would be stored twice";
                again = true;
            }
        }
    }
}

/* ---- merging ---- */

static value *made_param(merger *x, builder *b, const cexpr *const *elements, const char *const *names, uint32_t n,
                         int axis, span at)
{
    module *m = x->m;
    const cexpr *e = cexpr_concat(m->a, elements, n, axis);
    strbuf path = strbuf_new(x->ctx->scratch);
    for (uint32_t i = 0; i < n; i++) strbuf_addf(&path, "%s%s", i ? ", " : "concat(", names[i]);
    strbuf_addc(&path, ')');
    dim shape[MAX_RANK];
    for (int i = 0; i < e->rank; i++) shape[i] = dim_const(m->dims, e->shape[i]);
    type t = type_make(e->dt, e->rank, shape);
    return build_param(b, param_made(m, x->ctx->scratch, path.s, t, e, at));
}

static void apply(merger *x, merge *g)
{
    module *m = x->m;
    arena *a = x->ctx->scratch;
    int axis = g->axis < 0 ? 0 : g->axis, along = result_axis(g, axis);
    uint32_t n = n_fitting(g), next = 0;
    const part **parts = ARENA_ARRAY(a, const part *, n);
    const cexpr **e = ARENA_ARRAY(a, const cexpr *, n);
    const char **names = ARENA_ARRAY(a, const char *, n);
    region *in = NULL;
    bool bias = false;
    for (uint32_t i = 0; i < n; i++) {
        parts[i] = next_fitting(g, &next);
        in = in ? region_common(in, parts[i]->n->in) : parts[i]->n->in;
        e[i] = parts[i]->w;
        names[i] = parts[i]->p->path;
        bias = bias || parts[i]->bias;
    }
    node *first = parts[0]->n;
    span at = first->n_sources ? first->sources[0] : (span){0};
    builder b = {.fn = g->f, .before = first, .in = in, .at = at};
    value *w = build_cast(&b, made_param(x, &b, e, names, n, axis, at), parts[0]->read_as);
    value *all = build_contract(&b, g->x, w, &g->form);
    for (uint32_t i = 0; i < n; i++) node_add_sources(m, all->def, parts[i]->n);
    if (bias) {
        int axes[MAX_RANK];
        for (uint32_t i = 0; i < n; i++) {
            /* x + -0 is x, whatever x is */
            e[i] = parts[i]->b ? parts[i]->b
                               : cexpr_splat(m->a, all->ty.dt, (uint32_t)g->n_free, parts[i]->w->shape, -0.0);
            names[i] = parts[i]->b ? parts[i]->name : "none";
        }
        for (int i = 0; i < g->n_free; i++) axes[i] = result_axis(g, i);
        value *v = build_broadcast(&b, made_param(x, &b, e, names, n, axis, at), axes, all->ty.rank, all->ty.shape);
        all = build_scalar(&b, OP_ADD, (value *const[]){all, v}, 2);
        for (uint32_t i = 0; i < n; i++)
            if (parts[i]->bias) node_add_sources(m, all->def, parts[i]->bias);
    }
    int64_t done = 0;
    dim start[MAX_RANK];
    for (int i = 0; i < all->ty.rank; i++) start[i] = dim_const(m->dims, 0);
    for (uint32_t i = 0; i < n; i++) {
        value *v = part_value(parts[i]);
        builder at_part = {.fn = g->f, .before = first, .like = v->def};
        start[along] = dim_const(m->dims, done);
        done += parts[i]->w->shape[axis];
        value_replace(g->f, v, build_slice(&at_part, all, start, v->ty.shape, NULL));
    }
    pass_remark(x->ctx, all->def, "merged %u contractions of one input", n);
    for (uint32_t i = 0; i < n; i++) {
        if (parts[i]->bias) node_erase(parts[i]->bias);
        node_erase(parts[i]->n);
    }
}

status pass_merge_matmuls(pass_ctx *ctx, module *m, bool *changed)
{
    merger x = {.ctx = ctx,
                .m = m,
                .of_input = ptrmap_new(ctx->scratch),
                .weights = constant_set_new(ctx->scratch),
                .uses = param_uses(m, ctx->scratch)};
    uint32_t n_functions;
    function **all = module_walk(m, ctx->scratch, &n_functions);
    for (uint32_t i = 0; i < n_functions; i++) find_merges(&x, all[i]);
    find_gates(&x);
    check_readers(&x);
    vec_foreach (merge *, g, &x.merges) {
        if ((*g)->parts.len < 2) continue;
        vec_foreach (part, p, &(*g)->parts)
            if (p->why && !p->gated) pass_remark(ctx, p->n, "not merged: %s", p->why);
        if (n_fitting(*g) < 2) continue;
        apply(&x, *g);
        *changed = true;
    }
    return STATUS_OK;
}
