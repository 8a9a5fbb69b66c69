/* softmax(scale * Q K^T [+ bias] [where mask]) V, written by hand, becomes the op attention, which keeps no scores in
 * memory.
 *
 *   %1 = contract %q, %k {labels = "abcd,abed->abce"} : f32[B, H, S, T]
 *   %2 = mul %1, 0.125
 *   %3 = select %mask, %2, -inf                              (%mask broadcast from bool[B, S, T])
 *   %4 = softmax %3 {axis = 3}
 *   %5 = contract %4, %v {labels = "abcd,abde->abce"} : f32[B, H, S, E]
 * ->
 *   %5 = attention %q, %k, %v, %m {scale = 0.125} : f32[B, H, S, E]
 *
 * Spellings differ in everything but this: a softmax between two contractions over the same keys. So the axes of all
 * values are followed as products of factors (factors.h) from the softmax up to the first contraction and down to the
 * second, through reshapes, transposes and casts. A factor that queries, keys and values share is batch or head; one of
 * the queries alone is a query, or one of several heads that share a key head; which is which is then read off. On the
 * way up, products with a number are the scale, what is added is the bias, selects are masks.
 *
 * Requires one spelling of views (canonicalise), no duplicates (cse) and exact use counts (dce). Leaves unused nodes,
 * and masks that are equal in all layers, for cse.
 *
 * Taking every select with a large negative number as a mask is the obvious way, and is wrong for a query that may see
 * no key: its softmax is the mean over all keys where the number is finite, and zeros in attention. So a finite number
 * needs a second select that makes zeros of such rows, or a proof that each query sees a key (causal masks). Else the
 * mask becomes a bias, which keeps such a query what it is; remove_padding looks through it. With
 * -inf the softmax is NaN there, which is what ASSUMES_FINITE is about; so are scores below the number. */
#include <assert.h>
#include <math.h>

#include "passes/mask_parts.h"
#include "passes/recognise_attention.h"

static bool absorbable(matching *x, const value *v)
{
    if (!match_single_use(v)) return matching_declined(x, "scores or probabilities are read elsewhere");
    if (match_point(x->f, v)) return matching_declined(x, "a point names scores or probabilities");
    return true;
}

/* ---- from the softmax up to the first contraction ---- */

static bool find_scores(matching *x, value *v, const factored *axes, double outer);

/* One of the operands leads to the scores; the other is a bias. */
static bool through_sum(matching *x, node *n, const factored *axes, double outer)
{
    const matching before = *x;
    if (x->n_bias == MAX_TERMS) return matching_declined(x, "too many terms");
    for (uint32_t k = 0; k < (n->op == OP_SUB ? 1u : 2u); k++) {
        x->bias[x->n_bias++] = (term){n->operands[1 - k], *axes, false, n->op == OP_SUB ? -outer : outer};
        if (find_scores(x, n->operands[k], axes, outer)) return true;
        const char *why = x->why;
        *x = before;
        x->why = why;
    }
    return false;
}

static bool through_select(matching *x, node *n, const factored *axes, double outer)
{
    double fill;
    uint32_t k = matching_number(n, 2, &fill) ? 1 : 2;
    if (k == 2 && !matching_number(n, 1, &fill)) return matching_declined(x, "a select between scores is no mask");
    if (!(fill * outer <= LEAST_FILL)) return matching_declined(x, "masked scores are not far enough below the others");
    if (x->n_mask == MAX_TERMS) return matching_declined(x, "too many terms");
    fill *= outer;
    x->fill.mixed = x->fill.mixed || x->n_bias > 0 || (x->n_mask > 0 && fill != x->fill.last);
    x->fill.finite = x->fill.finite || isfinite(fill);
    x->fill.last = fill;
    x->mask[x->n_mask++] = (term){n->operands[0], *axes, k == 2, 1};
    return find_scores(x, n->operands[k], axes, outer);
}

static bool find_scores(matching *x, value *v, const factored *axes, double outer)
{
    node *n = v->def;
    double c;
    factored up;
    if (!n || !absorbable(x, v)) return false;
    if (n->op == OP_CONTRACT) {
        x->first = n;
        x->scores = *axes;
        x->scale = outer;
        return true;
    }
    if (n->op == OP_CAST) return dtype_is_float(n->operands[0]->ty.dt) && find_scores(x, n->operands[0], axes, outer);
    if (n->op == OP_MUL || n->op == OP_DIV) {
        uint32_t k = matching_number(n, 1, &c) ? 0 : 1;
        if (k == 1 && (n->op == OP_DIV || !matching_number(n, 0, &c)))
            return matching_declined(x, "the scores are scaled by no number");
        if (n->op == OP_DIV) c = 1 / c;
        if (!(c > 0) || !isfinite(c)) return matching_declined(x, "the scale is not positive");
        return find_scores(x, n->operands[k], axes, outer * c);
    }
    if (n->op == OP_ADD || n->op == OP_SUB) return through_sum(x, n, axes, outer);
    if (n->op == OP_SELECT) return through_select(x, n, axes, outer);
    return factors_backward(&x->set, n, axes, &up) && find_scores(x, n->operands[0], &up, outer);
}

/* ---- from the softmax down to the second contraction ---- */

static bool find_values(matching *x, value *v, factored axes)
{
    for (;;) {
        node *n = match_only_user(v);
        double zero;
        if (!absorbable(x, v)) {
            /* A softmax that no contraction reads, as behind a classifier, is not worth a word. */
            bool read = false;
            for (const use *u = v->uses; u && !read; u = u->next) read = u->user && u->user->op == OP_CONTRACT;
            if (!read) x->why = NULL;
            return false;
        }
        if (n->op == OP_CONTRACT) {
            x->second = n;
            x->parts = axes;
            x->parts_operand = n->operands[0] == v ? 0 : 1;
            return n->operands[0] != n->operands[1];
        }
        if (n->op == OP_SELECT) {
            uint32_t k = n->operands[1] == v ? 1 : 2;
            if (x->zeroed || n->operands[k] != v || !matching_number(n, 3 - k, &zero) || zero != 0) return false;
            x->zeroed = n->operands[0];
            x->zeroed_negated = k == 2;
        } else if (n->op == OP_CAST ? !dtype_is_float(n->result->ty.dt) : !factors_forward(&x->set, n, &axes, &axes)) {
            return false;
        }
        v = n->result;
    }
}

/* ---- axes of the operands ---- */

static int position(const labels *l, int operand, char c)
{
    for (int i = 0; i < l->rank[operand]; i++)
        if (l->label[operand][i] == c) return i;
    return -1;
}

/* Axes of operand `to` (2: the result) from those of `from`; a label that `from` lacks is a new factor, or the one in
 * `made`. */
static bool follow_labels(matching *x, const node *n, int from, const factored *axes, int to, const type *t,
                          factor_list made[128], bool known[128], factored *out)
{
    const labels *l = &node_attr(n, ATTR_LABELS)->u.lab;
    *out = (factored){.rank = l->rank[to]};
    for (int i = 0; i < l->rank[to]; i++) {
        char c = l->label[to][i];
        int at = position(l, from, c);
        if (at < 0 && !known[(int)c]) {
            if (!factor_axis(&x->set, t->shape[i], &made[(int)c])) return false;
            known[(int)c] = true;
        }
        out->axis[i] = at >= 0 ? axes->axis[at] : made[(int)c];
    }
    return true;
}

/* Each label of a contraction stands in two of its three lists, or in all. */
static bool is_plain(const node *n)
{
    const labels *l = &node_attr(n, ATTR_LABELS)->u.lab;
    for (int o = 0; o < 3; o++)
        for (int i = 0; i < l->rank[o]; i++) {
            char c = l->label[o][i];
            if ((position(l, 0, c) >= 0) + (position(l, 1, c) >= 0) + (position(l, 2, c) >= 0) < 2) return false;
        }
    return true;
}

/* Behind a value's views: the same elements with axes that may be cut more finely. */
static void behind_views(matching *x, value **v, factored *axes)
{
    factored up;
    while ((*v)->def && factors_backward(&x->set, (*v)->def, axes, &up)) {
        *axes = up;
        *v = (*v)->def->operands[0];
    }
}

static bool list_all(const factored *f, bool has[MAX_FACTORS])
{
    for (int i = 0; i < f->rank; i++)
        for (int k = 0; k < f->axis[i].n; k++) {
            if (has[f->axis[i].id[k]]) return false; /* a diagonal */
            has[f->axis[i].id[k]] = true;
        }
    return true;
}

static bool find_operands(matching *x)
{
    factor_list made[128];
    bool known[128] = {false};
    if (!is_plain(x->first) || !is_plain(x->second)) return false;
    factored of[2];
    for (int o = 0; o < 2; o++)
        if (!follow_labels(x, x->first, 2, &x->scores, o, &x->first->operands[o]->ty, made, known, &of[o]))
            return false;
    memset(known, 0, sizeof known);
    int p = (int)x->parts_operand;
    value *v = x->second->operands[1 - p];
    if (!follow_labels(x, x->second, p, &x->parts, 1 - p, &v->ty, made, known, &x->v_axes) ||
        !follow_labels(x, x->second, p, &x->parts, 2, &x->second->result->ty, made, known, &x->out_axes))
        return false;
    /* The keys are the operand that has the factors of the softmax. */
    factored all = of[1];
    bool has[MAX_FACTORS] = {false};
    if (!factors_resolve(&x->set, &all) || !factors_resolve_list(&x->set, &x->key) || !list_all(&all, has))
        return false;
    int k = x->key.n && has[x->key.id[0]] ? 1 : 0;
    x->q = x->first->operands[1 - k];
    x->k = x->first->operands[k];
    x->v = v;
    x->q_axes = of[1 - k];
    x->k_axes = of[k];
    behind_views(x, &x->q, &x->q_axes);
    behind_views(x, &x->k, &x->k_axes);
    behind_views(x, &x->v, &x->v_axes);
    return factors_resolve(&x->set, &x->q_axes) && factors_resolve(&x->set, &x->k_axes) &&
           factors_resolve(&x->set, &x->v_axes) && factors_resolve(&x->set, &x->out_axes) &&
           factors_resolve(&x->set, &x->scores) && factors_resolve_list(&x->set, &x->key);
}

/* ---- roles of factors ---- */

static factor_list in_order(const factored *f, const role *roles, role r)
{
    factor_list out = {0};
    for (int i = 0; i < f->rank; i++)
        for (int k = 0; k < f->axis[i].n; k++)
            if (roles[f->axis[i].id[k]] == r) out.id[out.n++] = f->axis[i].id[k];
    return out;
}

static void give(matching *x, factor_list *l, role r)
{
    for (int i = 0; i < l->n; i++) x->roles[l->id[i]] = r;
}

/* Of the factors that queries, keys and values share, the last one is the heads, unless masks differ between heads or
 * it is the only one and lies outside of the queries. */
static void choose_heads(matching *x, factor_list shared)
{
    bool apart = shared.n > 0 && !matching_masks_depend(x, shared.id[shared.n - 1]);
    if (shared.n == 1 && apart) {
        for (int i = 0; i < x->q_axes.rank; i++)
            for (int k = 0; k < x->q_axes.axis[i].n; k++) {
                uint8_t id = x->q_axes.axis[i].id[k];
                if (id == shared.id[0]) {
                    apart = false;
                    i = x->q_axes.rank - 1;
                    break;
                }
                if (x->roles[id] == ROLE_QUERY) return; /* the heads are inside the queries */
            }
    }
    if (!apart) give(x, &shared, ROLE_BATCH);
    else
        for (int i = 0; i + 1 < shared.n; i++) x->roles[shared.id[i]] = ROLE_BATCH;
}

/* Of the factors of the queries alone one is the queries: as many as there are keys, or one that a mask depends on, or
 * the last. The others are heads that share a key head. */
static void choose_queries(matching *x, factor_list rows)
{
    int best = -1, score = -1;
    for (int i = 0; i < rows.n; i++) {
        int s = matching_masks_depend(x, rows.id[i]) ? 2 : 0;
        if (factor_list_size(&x->set, &x->key) == x->set.of[rows.id[i]].size) s = 1;
        if (matching_masks_depend(x, rows.id[i])) s = 2;
        if (s >= score) best = i, score = s;
    }
    for (int i = 0; i < rows.n; i++) x->roles[rows.id[i]] = i == best ? ROLE_QUERY : ROLE_GROUP;
}

static bool find_roles(matching *x)
{
    bool q[MAX_FACTORS] = {false}, k[MAX_FACTORS] = {false}, v[MAX_FACTORS] = {false}, out[MAX_FACTORS] = {false};
    if (!list_all(&x->q_axes, q) || !list_all(&x->k_axes, k) || !list_all(&x->v_axes, v) ||
        !list_all(&x->out_axes, out))
        return false;
    for (uint32_t i = 0; i < x->set.n; i++) {
        int in = q[i] << 3 | k[i] << 2 | v[i] << 1 | out[i];
        role r = in == 0xf   ? ROLE_HEAD
                 : in == 0x9 ? ROLE_QUERY
                 : in == 0x6 ? ROLE_KEY
                 : in == 0xc ? ROLE_INNER
                 : in == 0x3 ? ROLE_OUTER
                             : ROLE_NONE;
        if (in && r == ROLE_NONE)
            return matching_declined(x, "an axis is in only some of queries, keys, values and result");
        if ((r == ROLE_KEY) != factor_list_has(&x->key, (uint8_t)i))
            return matching_declined(x, "the softmax is not over the keys");
        x->roles[i] = r;
    }
    for (uint32_t i = 0; i < x->n_mask + x->n_bias; i++) {
        term *t = i < x->n_mask ? &x->mask[i] : &x->bias[i - x->n_mask];
        if (!factors_resolve(&x->set, &t->axes)) return false;
    }
    choose_queries(x, in_order(&x->scores, x->roles, ROLE_QUERY));
    choose_heads(x, in_order(&x->q_axes, x->roles, ROLE_HEAD));
    x->batch = in_order(&x->q_axes, x->roles, ROLE_BATCH);
    x->head = in_order(&x->q_axes, x->roles, ROLE_HEAD);
    x->group = in_order(&x->scores, x->roles, ROLE_GROUP);
    x->query = in_order(&x->scores, x->roles, ROLE_QUERY);
    x->inner = in_order(&x->q_axes, x->roles, ROLE_INNER);
    x->outer = in_order(&x->v_axes, x->roles, ROLE_OUTER);
    return true;
}

/* ---- the new node ---- */

/* v in dtype dt, where only a widening cast was between them, or is. */
static value *in_dtype(builder *b, value *v, dtype dt, bool build)
{
    const node *cast = match_op(v, OP_CAST);
    if (v->ty.dt == dt) return v;
    if (cast && cast->operands[0]->ty.dt == dt && dtype_contains(v->ty.dt, dt)) return cast->operands[0];
    if (!dtype_is_float(v->ty.dt) || !dtype_contains(dt, v->ty.dt)) return NULL;
    return build ? build_cast(b, v, dt) : v;
}

static bool fits(matching *x)
{
    dtype dt = x->second->result->ty.dt;
    if (!in_dtype(NULL, x->q, dt, false) || !in_dtype(NULL, x->k, dt, false) || x->v->ty.dt != dt)
        return matching_declined(x, "queries, keys and values have different dtypes");
    /* Every factor may have to be an axis for a moment. */
    if (x->batch.n + x->head.n + x->group.n + x->query.n + x->inner.n > MAX_RANK ||
        x->batch.n + x->head.n + x->group.n + x->query.n + x->key.n > MAX_RANK ||
        x->batch.n + x->head.n + x->key.n + x->outer.n > MAX_RANK ||
        x->batch.n + x->head.n + x->group.n + x->query.n + x->outer.n > MAX_RANK)
        return matching_declined(x, "too many axes");
    return matching_masks_are_safe(x);
}

static void apply(matching *x)
{
    builder b = builder_before(x->second);
    dtype dt = x->second->result->ty.dt;
    factor_list heads = x->head;
    factor_list_append(&heads, &x->group);
    const factor_list q[] = {x->batch, heads, x->query, x->inner}, k[] = {x->batch, x->head, x->key, x->inner},
                      v[] = {x->batch, x->head, x->key, x->outer}, out[] = {x->batch, heads, x->query, x->outer};
    value *qv = factors_arrange(&x->set, &b, in_dtype(&b, x->q, dt, true), &x->q_axes, q, 4);
    value *kv = factors_arrange(&x->set, &b, in_dtype(&b, x->k, dt, true), &x->k_axes, k, 4);
    value *vv = factors_arrange(&x->set, &b, x->v, &x->v_axes, v, 4);
    value *mask = x->masks_are_added ? NULL : matching_mask(x, &b), *bias = matching_bias(x, &b, &heads);
    value *r = build_attention(&b, qv, kv, vv, mask, bias, x->scale);
    node_add_sources(x->m, r->def, x->softmax);
    node_add_sources(x->m, r->def, x->first);
    factored have = {4, {out[0], out[1], out[2], out[3]}};
    r = factors_arrange(&x->set, &b, r, &have, x->out_axes.axis, x->out_axes.rank);
    assert(r);
    pass_remark(x->ctx, x->softmax, "recognised as attention%s%s", mask ? " with a mask" : "",
                x->masks_are_added ? " with a mask as its bias"
                : bias             ? " with a bias"
                                   : "");
    value_replace(x->f, x->second->result, r);
}

static bool recognise(matching *x)
{
    factored axes;
    node *n = x->softmax;
    if (!factor_value(&x->set, n->result, &axes)) return false;
    x->key = axes.axis[node_attr(n, ATTR_AXIS)->u.i];
    if (!find_values(x, n->result, axes) || !find_scores(x, n->operands[0], &axes, 1)) return false;
    if (!x->key.n) return matching_declined(x, "there is one key");
    x->why = NULL; /* of a way through a sum that did not lead there */
    if (!find_operands(x)) return matching_declined(x, "its axes do not fit");
    matching_bias_to_mask(x);
    return find_roles(x) && fits(x);
}

status pass_recognise_attention(pass_ctx *ctx, module *m, bool *changed)
{
    uint32_t n_functions;
    function **all = module_walk(m, ctx->scratch, &n_functions);
    for (uint32_t i = 0; i < n_functions; i++)
        function_foreach (n, all[i]) {
            if (n->op != OP_SOFTMAX || !n->result->uses) continue;
            matching *x = ARENA_NEW(ctx->scratch, matching);
            *x = (matching){.ctx = ctx, .m = m, .f = all[i], .softmax = n, .set = {.m = m}};
            if (recognise(x)) {
                apply(x);
                *changed = true;
            } else if (x->why) {
                pass_remark(ctx, n, "not recognised as attention: %s", x->why);
            }
        }
    return STATUS_OK;
}
