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
#include "passes/remove_padding.h"

#include "passes/match.h"

static bool is_one(const module *m, dim d)
{
    int64_t v;
    return dim_is_const(m->dims, d, &v) && v == 1;
}

/* What a mask is a view of, and which of its axes are those of the sequences and the keys. */
typedef struct {
    value *v;
    int batch, key; /* -1: it has no such axis */
} seen_mask;

/* The operand of a view that repeats elements and adds or drops axes of one element, and nothing else. */
static bool look_through(const module *m, const seen_mask *s, seen_mask *out)
{
    const node *n = s->v->def;
    if (!n || (n->op != OP_BROADCAST && n->op != OP_RESHAPE)) return false;
    value *from = n->operands[0];
    seen_mask r = {from, -1, -1};
    int at = 0;
    for (int k = 0; k < from->ty.rank; k++) {
        if (is_one(m, from->ty.shape[k])) continue;
        int to;
        if (n->op == OP_BROADCAST) {
            to = (int)node_attr(n, ATTR_AXES)->u.ints.v[k];
        } else {
            while (at < s->v->ty.rank && is_one(m, s->v->ty.shape[at])) at++;
            to = at++;
            if (to >= s->v->ty.rank || s->v->ty.shape[to] != from->ty.shape[k]) return false;
        }
        if (to == s->batch) r.batch = k;
        else if (to == s->key) r.key = k;
        else return false; /* it depends on the query */
    }
    *out = r;
    return true;
}

/* The mask of keys of an attention; NULL: it has none, or *why it is another kind of mask. */
static value *key_mask_of(const module *m, const node *n, const char **why)
{
    *why = NULL;
    if (!attention_mask(n)) return NULL;
    seen_mask s = {attention_mask(n), 0, 2};
    bool more = true;
    while (more) more = look_through(m, &s, &s);
    bool others = false; /* axes that are neither */
    for (int i = 0; i < s.v->ty.rank; i++)
        others = others || (i != s.batch && i != s.key && !is_one(m, s.v->ty.shape[i]));
    if (others || s.key < 0) *why = "its mask depends on the query";
    else if (s.batch < 0 && !is_one(m, n->result->ty.shape[0])) *why = "its mask is the same for all sequences";
    else if (s.batch > s.key) *why = "its mask has keys before sequences";
    return *why ? NULL : s.v;
}

value *padding_mask_of(module *m, const node *n, const char **why)
{
    value *mask = key_mask_of(m, n, why);
    attention_band band = attention_band_of(n);
    if (!mask) return NULL;
    if (n->operands[0]->ty.shape[2] != n->operands[1]->ty.shape[2]) *why = "its queries are not the keys' tokens";
    else if (attention_bias(n)) *why = "its bias belongs to the places of tokens";
    else if (band.has_from || band.has_to) *why = "its causal mask or window belongs to the places of tokens";
    return *why ? NULL : mask;
}

/* ---- axes ---- */

token_axes padding_operand_axes(const padding *p, const node *n, uint32_t o, token_axes of)
{
    token_axes r = {-1, -1};
    axis_info x;
    node_axes(p->m, n, &x);
    const int8_t *map = x.operand_axis[o < 4 ? o : 0];
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
    const int8_t *map = x.operand_axis[o < 4 ? o : 0];
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
            for (uint32_t o = 0; n->n_results == 1 && o < n->n_operands && padding_has_axes(p, n->result); o++)
                more |= give_axes(p, n->operands[o], padding_operand_axes(p, n, o, p->axes[n->result->id]));
        for (node *n = p->f->first; n; n = n->next)
            for (uint32_t o = 0; n->n_results == 1 && o < n->n_operands; o++)
                if (padding_has_axes(p, n->operands[o])) more |= give_axes(p, n->result, result_axes(p, n, o));
    }
}

/* ---- what does not matter ---- */

enum { MAX_DEPTH = 32 };

static bool is_zero(const padding *p, const value *v, token_axes a, int depth)
{
    const node *n = v->def;
    double splat;
    if (v == p->mask) {
        /* [B, S] with axes of one element between them */
        for (int k = 0; k < v->ty.rank; k++)
            if (k != a.batch && k != a.token && !is_one(p->m, v->ty.shape[k])) return false;
        return a.token >= 0 && v->ty.shape[a.token] == p->sizes[1] &&
               (a.batch >= 0 ? v->ty.shape[a.batch] == p->sizes[0] && a.batch < a.token : is_one(p->m, p->sizes[0]));
    }
    if (!n || depth == MAX_DEPTH || n->n_results != 1 || a.token < 0) return false;
    if (value_const_splat(v, &splat)) return splat == 0;
    bool all = n->op == OP_CAST || (op_row(n->op)->props & P_PURE_VIEW), some = n->op == OP_MUL || n->op == OP_AND;
    if (!all && !some) return false;
    for (uint32_t o = 0; o < n->n_operands; o++) {
        token_axes of = padding_operand_axes(p, n, o, a);
        bool zero = is_zero(p, n->operands[o], of, depth + 1);
        if (zero) return true;
    }
    return false;
}

bool padding_is_zero(const padding *p, const value *v, token_axes a)
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

/* Single tokens are taken out of v: they are padding, which the model says does not count, or they are not. */
static bool takes_tokens(const padding *p, const node *n)
{
    token_axes a = p->axes[n->operands[0]->id];
    axis_info x;
    if (n->op != OP_SLICE) return false;
    node_axes(p->m, n, &x);
    return x.operand_axis[0][a.batch] >= 0 && x.operand_axis[0][a.token] < 0;
}

static bool use_is_dead(const padding *p, const use *u, bool declared)
{
    const node *n = u->user;
    if (!n) return declared && !u->state;
    const char *why;
    if (n->op == OP_ATTENTION && (u->index == 1 || u->index == 2) && key_mask_of(p->m, n, &why) == p->mask) return true;
    if (n->n_results != 1) return false;
    if (is_cancelled(p, n, u->index) || (declared && takes_tokens(p, n))) return true;
    if (!padding_has_axes(p, n->result) || !p->dead[n->result->id]) return false;
    token_axes of = padding_operand_axes(p, n, u->index, p->axes[n->result->id]),
               a = p->axes[n->operands[u->index]->id];
    return of.batch == a.batch && of.token == a.token;
}

static void find_dead(padding *p, value *v, bool declared)
{
    if (!padding_has_axes(p, v)) return;
    p->dead[v->id] = true;
    for (const use *u = v->uses; u; u = u->next) {
        if (use_is_dead(p, u, declared)) continue;
        p->dead[v->id] = false;
        p->live[v->id] = u;
    }
}

void padding_analyse(padding *p)
{
    bool declared = function_has_valid(p->f, p->mask);
    find_axes(p);
    for (node *n = p->f->last; n; n = n->prev)
        if (n->n_results == 1) find_dead(p, n->result, declared);
    vec_foreach (named_value, a, &p->f->args) find_dead(p, a->v, declared);
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

static bool run_function(pass_ctx *ctx, module *m, function *f)
{
    VEC(value *) masks = {0};
    bool changed = false;
    for (node *n = f->first; n; n = n->next) {
        const char *why;
        value *mask = n->op == OP_ATTENTION ? padding_mask_of(m, n, &why) : NULL;
        if (n->op == OP_ATTENTION && why) pass_remark(ctx, n, "padding stays: %s", why);
        bool known = !mask;
        vec_foreach (value *, k, &masks) known = known || *k == mask;
        if (!known) vec_push(ctx->scratch, &masks, mask);
    }
    vec_foreach (value *, mask, &masks) {
        padding p = {.ctx = ctx, .m = m, .f = f, .mask = *mask};
        p.is_member = ARENA_ARRAY(ctx->scratch, bool, m->n_values);
        for (node *n = f->first; n; n = n->next) {
            const char *why;
            if (n->op != OP_ATTENTION || padding_mask_of(m, n, &why) != *mask) continue;
            p.is_member[n->result->id] = true;
            p.sizes[0] = n->result->ty.shape[0];
            p.sizes[1] = n->result->ty.shape[2];
        }
        changed |= remove_padding(&p);
    }
    return changed;
}

status pass_remove_padding(pass_ctx *ctx, module *m, bool *changed)
{
    for (uint32_t i = 0; i < m->functions.len; i++) *changed |= run_function(ctx, m, m->functions.data[i]);
    return STATUS_OK;
}
