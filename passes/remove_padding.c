/* Packs the tokens of a batch, so that padding is not computed.
 *
 *   %0 = broadcast %mask {axes = [0, 2]} : bool[B, S, S]
 *   %1 = contract %x, %w {labels = "abc,dc->abd"} : f32[B, S, 64]
 *   %2 = reshape %1 : f32[B, S, 4, 16]
 *   %3 = transpose %2 {perm = [0, 2, 1, 3]} : f32[B, 4, S, 16]
 *   %4 = attention %3, %3, %3, %0 {scale = 0.25} : f32[B, 4, S, 16]
 * ->
 *   %0 = offsets %mask : i64[B + 1]
 *   %1 = positions %mask, %0 {tokens = tokens} : i64[tokens]
 *   %2 = reshape %x : f32[B * S, 64]
 *   %3 = gather %2, %1 {axis = 0} : f32[tokens, 64]
 *   %4 = reshape %3 : f32[1, tokens, 64]
 *   %5 = contract %4, %w {labels = "abc,dc->abd"} : f32[1, tokens, 64]
 *   %6 = reshape %5 : f32[1, tokens, 4, 16]
 *   %7 = transpose %6 {perm = [0, 2, 1, 3]} : f32[1, 4, tokens, 16]
 *   %8 = attention %7, %7, %7, %0 {scale = 0.25} : f32[1, 4, tokens, 16]
 *   (and `unpack` where something else reads it)
 *
 * The axes of the batch and of the tokens are found on all values around the attention that a mask of keys belongs to,
 * by the roles of axes. A value may be packed where nobody cares what it holds at padded places: it is a key or value
 * under the mask, a query whose result is such a value, something a computation along the tokens makes such a value of;
 * or what reads it makes it zero there, as a pooling under the mask does. Of a result, and of single tokens that are
 * taken out, this is known where the model declares the mask (`valid S by mask`). Both axes stay where they are, with
 * the sizes 1 and `tokens`, so that all attributes stay what they are.
 *
 * Requires masks of keys apart from causal ones (attention_bands), and duplicates gone. Breaks points on values that
 * are packed: they are removed.
 *
 * Skipping the queries of padding inside of attention alone is the obvious way, and saves the least: most of the work
 * of an encoder is in its projections. */
#include <math.h>

#include "passes/match.h"
#include "passes/remove_padding.h"

/* ---- axes ---- */

bool padding_is_by_token(const padding *p, const node *n)
{
    token_axes a = p->axes[n->result->id];
    axis_info x;
    node_axes(p->m, n, &x);
    return x.role[a.batch] == AXIS_PARALLEL && x.role[a.token] == AXIS_PARALLEL;
}

token_axes padding_operand_axes(const padding *p, const node *n, uint32_t o, token_axes of)
{
    token_axes r = {-1, -1};
    axis_info x;
    node_axes(p->m, n, &x);
    const int8_t *map = x.operand_axis[o < MAX_MAPPED ? o : 0];
    for (int k = 0; k < n->operands[o]->ty.rank; k++) {
        if (map[k] < 0) continue;
        if (map[k] == of.batch) r.batch = k;
        if (map[k] == of.token) r.token = k;
    }
    return r;
}

/* The axes of the result along which operand o's run. */
static token_axes result_axes(const padding *p, const node *n, uint32_t o)
{
    token_axes of = p->axes[n->operands[o]->id], none = {-1, -1};
    axis_info x;
    node_axes(p->m, n, &x);
    const int8_t *map = x.operand_axis[o < MAX_MAPPED ? o : 0];
    token_axes r = {map[of.batch], map[of.token]};
    int rank = n->result->ty.rank;
    if (r.batch < 0 || r.token < 0 || r.batch >= rank || r.token >= rank) return none;
    return x.role[r.batch] == AXIS_PARALLEL && x.role[r.token] == AXIS_PARALLEL ? r : none;
}

static bool give_axes(padding *p, const value *v, token_axes a)
{
    if (a.batch < 0 || a.token < 0 || v->id >= p->n_values || padding_has_axes(p, v)) return false;
    if (v->ty.shape[a.batch] != p->sizes[0] || v->ty.shape[a.token] != p->sizes[1]) return false;
    p->axes[v->id] = a;
    return true;
}

static bool is_member(const padding *p, const node *n)
{
    return n->op == OP_ATTENTION && p->is_member[n->result->id];
}

static void find_axes(padding *p)
{
    for (uint32_t i = 0; i < p->n_values; i++) p->axes[i] = (token_axes){-1, -1};
    for (node *n = p->f->first; n; n = n->next) {
        if (!is_member(p, n)) continue;
        for (uint32_t o = 0; o < 3; o++) give_axes(p, n->operands[o], (token_axes){0, 2});
        give_axes(p, n->result, (token_axes){0, 2});
    }
    for (bool more = true; more;) {
        more = false;
        for (node *n = p->f->last; n; n = n->prev)
            for (uint32_t o = 0; n->n_results == 1 && o < n->n_operands && !(n->op == OP_ATTENTION && o > 2); o++)
                if (padding_has_axes(p, n->result) && padding_is_by_token(p, n))
                    more |= give_axes(p, n->operands[o], padding_operand_axes(p, n, o, p->axes[n->result->id]));
        for (node *n = p->f->first; n; n = n->next)
            for (uint32_t o = 0; n->n_results == 1 && o < n->n_operands; o++)
                if (padding_has_axes(p, n->operands[o])) more |= give_axes(p, n->result, result_axes(p, n, o));
    }
}

/* ---- what does not matter ---- */

enum { MAX_DEPTH = 32 };

static bool is_mask(const padding *p, value *v, token_axes a)
{
    mask_view s = {.v = v};
    for (int k = 0; k < v->ty.rank; k++)
        s.to[k] = mask_is_one(p->m, v->ty.shape[k]) ? MASK_NONE
                  : k == a.batch                    ? MASK_BATCH
                  : k == a.token                    ? MASK_KEY
                                                    : MASK_QUERY; /* along which it must not run */
    return mask_view_same(p->m, s, p->mask);
}

static bool is_zero(const padding *p, value *v, token_axes a, int depth);

static bool operand_is_zero(const padding *p, const node *n, uint32_t o, token_axes a, int depth)
{
    return is_zero(p, n->operands[o], padding_operand_axes(p, n, o, a), depth + 1);
}

/* -inf at padded places: select(mask, v, -inf). */
static bool is_left_out(const padding *p, const value *v, token_axes a, int depth)
{
    const node *n = match_op(v, OP_SELECT);
    double fill;
    return n && value_const_splat(n->operands[2], &fill) && fill == -INFINITY && operand_is_zero(p, n, 0, a, depth);
}

static bool is_zero(const padding *p, value *v, token_axes a, int depth)
{
    const node *n = v->def;
    double splat;
    if (v->ty.dt == DT_BOOL && is_mask(p, v, a)) return true;
    if (!n || depth == MAX_DEPTH || n->n_results != 1 || a.token < 0) return false;
    if (value_const_splat(v, &splat)) return splat == 0;
    if (n->op == OP_CAST || op_row(n->op)->props & P_PURE_VIEW) return operand_is_zero(p, n, 0, a, depth);
    if (n->op == OP_MUL || n->op == OP_AND)
        return operand_is_zero(p, n, 0, a, depth) || operand_is_zero(p, n, 1, a, depth);
    if (n->op == OP_SELECT)
        return operand_is_zero(p, n, 2, a, depth) &&
               (operand_is_zero(p, n, 0, a, depth) || operand_is_zero(p, n, 1, a, depth));
    if (n->op == OP_SOFTMAX) return node_attr(n, ATTR_AXIS)->u.i == a.token && is_left_out(p, n->operands[0], a, depth);
    return false;
}

bool padding_is_zero(const padding *p, value *v, token_axes a)
{
    return is_zero(p, v, a, 0);
}

/* Operand o is multiplied by zeros at padded places, or another operand is selected there. */
static bool is_cancelled(const padding *p, const node *n, uint32_t o)
{
    token_axes a = p->axes[n->operands[o]->id];
    if (n->op == OP_MUL) return padding_is_zero(p, n->operands[1 - o], a);
    if (n->op == OP_SELECT) return o == 1 && padding_is_zero(p, n->operands[0], a);
    if (n->op != OP_CONTRACT) return false;
    /* The other operand's axes with the same letters. */
    const labels *l = &node_attr(n, ATTR_LABELS)->u.lab;
    token_axes other = {-1, -1};
    for (int k = 0; k < l->rank[1 - o]; k++) {
        if (l->label[1 - o][k] == l->label[o][a.batch]) other.batch = k;
        if (l->label[1 - o][k] == l->label[o][a.token]) other.token = k;
    }
    return other.token >= 0 && padding_is_zero(p, n->operands[1 - o], other);
}

/* [B, S, ...] as [B * S, ...], of which single rows are read by their numbers. */
static bool takes_rows(const padding *p, const node *n, token_axes a)
{
    if (n->op != OP_RESHAPE || a.batch != 0 || a.token != 1 ||
        n->result->ty.shape[0] != dim_mul(p->m->dims, p->sizes[0], p->sizes[1]))
        return false;
    for (const use *u = n->result->uses; u; u = u->next)
        if (!u->user || u->user->op != OP_GATHER || u->index != 0 || node_attr(u->user, ATTR_AXIS)->u.i != 0)
            return false;
    return true;
}

/* Single tokens are taken out of the operand: they are padding, which the model says does not count, or they are not.
 */
static bool takes_tokens(const padding *p, const node *n)
{
    token_axes a = p->axes[n->operands[0]->id];
    axis_info x;
    if (takes_rows(p, n, a)) return true;
    if (n->op != OP_SLICE) return false;
    node_axes(p->m, n, &x);
    return x.operand_axis[0][a.batch] >= 0 && x.operand_axis[0][a.token] < 0;
}

static bool use_is_dead(const padding *p, const use *u)
{
    const node *n = u->user;
    if (!n) return p->declared && !u->state;
    if (n->op == OP_ATTENTION && (u->index == 1 || u->index == 2)) {
        key_mask k;
        if (padding_key_mask(p->m, n, &k) && mask_view_same(p->m, k.mask, p->mask) && (!k.finite || is_member(p, n)))
            return true;
    }
    if (n->n_results != 1) return false;
    if (is_cancelled(p, n, u->index) || (p->declared && takes_tokens(p, n))) return true;
    if (!padding_has_axes(p, n->result) || !p->dead[n->result->id] || !padding_is_by_token(p, n)) return false;
    token_axes of = padding_operand_axes(p, n, u->index, p->axes[n->result->id]),
               a = p->axes[n->operands[u->index]->id];
    return of.batch == a.batch && of.token == a.token;
}

static void find_dead(padding *p, value *v)
{
    if (!padding_has_axes(p, v)) return;
    p->dead[v->id] = true;
    for (const use *u = v->uses; u; u = u->next) {
        if (use_is_dead(p, u)) continue;
        p->dead[v->id] = false;
        p->live[v->id] = u;
    }
}

void padding_analyse(padding *p)
{
    find_axes(p);
    for (node *n = p->f->last; n; n = n->prev)
        if (n->n_results == 1) find_dead(p, n->result);
    vec_foreach (named_value, a, &p->f->args) find_dead(p, a->v);
}

/* ---- one mask ---- */

/* The last value that the padded places of v reach and that somebody reads there. */
static void say_why_not(padding *p, const node *attention)
{
    const value *v = attention->result;
    const use *u = p->live[v->id];
    while (u && u->user && u->user->n_results == 1 && padding_has_axes(p, u->user->result) &&
           p->live[u->user->result->id]) {
        v = u->user->result;
        u = p->live[v->id];
    }
    static const char hint[] = "`valid ... by` the mask would say that it does not count";
    const node *reader = u ? u->user : NULL;
    if (!u) pass_remark(p->ctx, attention, "padding stays: the axes of sequences and tokens are not known");
    else if (reader && takes_tokens(p, reader))
        pass_remark(p->ctx, reader, "padding stays: it may be read here; %s", hint);
    else if (reader || u->state) pass_remark(p->ctx, reader ? reader : v->def, "padding stays: it is read here");
    else pass_remark(p->ctx, v->def, "padding stays: result '%s' has it; %s", p->f->results.data[u->index].name, hint);
}

static bool remove_padding(padding *p)
{
    module *m = p->m;
    arena *a = p->ctx->scratch;
    p->n_values = m->n_values;
    p->axes = ARENA_ARRAY(a, token_axes, p->n_values);
    p->dead = ARENA_ARRAY(a, bool, p->n_values);
    p->live = ARENA_ARRAY(a, const use *, p->n_values);
    padding_analyse(p);
    const node *first = NULL;
    uint32_t n_members = 0;
    for (node *n = p->f->first; n; n = n->next) {
        if (!is_member(p, n)) continue;
        if (!p->dead[n->result->id] || !padding_has_axes(p, n->operands[0]) || !padding_has_axes(p, n->operands[1]) ||
            !padding_has_axes(p, n->operands[2])) {
            say_why_not(p, n);
            return false;
        }
        if (!first && n->n_sources) p->at = n->sources[0];
        first = n;
        n_members++;
    }
    padding_rewrite(p);
    pass_remark(p->ctx, NULL, "@%s: tokens are packed, '%s' of them, for %u attention%s", p->f->name,
                dim_symbol_at(m->dims, (uint32_t)dim_is_symbol(m->dims, p->tokens))->name, n_members,
                n_members == 1 ? "" : "s");
    return true;
}

/* A mask that the model declares, where it is the same. */
static bool find_declared(padding *p)
{
    vec_foreach (value *, v, &p->f->valid) {
        if ((*v)->ty.rank != 2) continue;
        mask_view s = {*v, {MASK_BATCH, MASK_KEY}};
        for (int k = 0; k < 2; k++)
            if (mask_is_one(p->m, (*v)->ty.shape[k])) s.to[k] = MASK_NONE;
        if (!mask_view_same(p->m, s, p->mask)) continue;
        p->mask = s;
        return true;
    }
    return false;
}

static bool run_mask(pass_ctx *ctx, module *m, function *f, const mask_view *mask)
{
    padding p = {.ctx = ctx, .m = m, .f = f, .mask = *mask};
    p.is_member = ARENA_ARRAY(ctx->scratch, bool, m->n_values);
    for (node *n = f->first; n; n = n->next) {
        key_mask k;
        if (n->op != OP_ATTENTION || !padding_may_join(m, n, &k) || !mask_view_same(m, k.mask, *mask)) continue;
        p.is_member[n->result->id] = true;
        p.sizes[0] = n->result->ty.shape[0];
        p.sizes[1] = n->result->ty.shape[2];
    }
    p.declared = find_declared(&p);
    return remove_padding(&p);
}

static bool run_function(pass_ctx *ctx, module *m, function *f)
{
    VEC(mask_view) masks = {0};
    bool changed = false;
    for (node *n = f->first; n; n = n->next) {
        key_mask k;
        if (n->op != OP_ATTENTION) continue;
        bool known = !padding_may_join(m, n, &k);
        if (!k.why && !k.mask.v && f->valid.len) k.why = "no mask of keys is found";
        if (k.why) pass_remark(ctx, n, "padding stays: %s", k.why);
        vec_foreach (mask_view, mask, &masks) known = known || mask_view_same(m, *mask, k.mask);
        if (!known) vec_push(ctx->scratch, &masks, k.mask);
    }
    vec_foreach (mask_view, mask, &masks) changed |= run_mask(ctx, m, f, mask);
    changed = changed || f->valid.len;
    f->valid.len = 0; /* nobody else asks */
    return changed;
}

status pass_remove_padding(pass_ctx *ctx, module *m, bool *changed)
{
    for (uint32_t i = 0; i < m->functions.len; i++) *changed |= run_function(ctx, m, m->functions.data[i]);
    return STATUS_OK;
}
