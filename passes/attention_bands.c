/* Causal and window masks become bounds of attention, so that what they leave out is not computed.
 *
 *   %0 = iota {axis = 1} : i64[B, S, S]
 *   %1 = iota {axis = 2} : i64[B, S, S]
 *   %2 = le %1, %0 : bool[B, S, S]
 *   %3 = broadcast %keep {axes = [0, 2]} : bool[B, S, S]
 *   %4 = and %3, %2 : bool[B, S, S]
 *   %5 = attention %q, %k, %v, %4 {scale = 0.125} : f32[B, H, S, E]
 * ->
 *   %3 = broadcast %keep {axes = [0, 2]} : bool[B, S, S]
 *   %5 = attention %q, %k, %v, %3 {scale = 0.125, to = 0} : f32[B, H, S, E]
 *
 * A mask is a conjunction, whose parts may have been broadcast at any stage. A part that compares indices, (j - i) +
 * offset with 0 or |j - i + offset| with a number, is a bound; the offset may be an expression of dims. Parts that do
 * not depend on the query are put together before they are broadcast over the queries, and computed once for all of
 * them: a mask of keys is then read as a row. What is left of a mask is the conjunction of the other parts.
 *
 * Requires views as canonicalise leaves them. Breaks nothing: masked keys take no part in the reference either. Leaves
 * the old mask to dce.
 *
 * Looking for the few ways in which models write causal masks is the obvious way, and misses the next one: offsets,
 * orders of the conjunction, strict comparisons, negations, and both sides of comparisons are data here. */
#include "passes/mask_parts.h"
#include "passes/pass.h"
#include "passes/vary.h"

/* ---- the new mask ---- */

/* What does not depend on the query has one of them. */
static bool narrow(builder *b, mask_view *s)
{
    module *m = b->fn->m;
    bool drop[MAX_RANK] = {false}, any = false;
    for (int k = 0; k < s->v->ty.rank; k++) {
        drop[k] = s->to[k] == MASK_QUERY && !mask_is_one(m, s->v->ty.shape[k]) && !value_varies(m, s->v, k);
        if (drop[k]) s->to[k] = MASK_NONE;
        any = any || drop[k];
    }
    if (any) s->v = value_squeeze(b, s->v, drop);
    return any;
}

/* The part as [B, S, T], or [B, 1, T]. */
static value *widened(builder *b, const type *mask, const mask_view *s, bool rows)
{
    static const int axis_of[] = {[MASK_BATCH] = 0, [MASK_QUERY] = 1, [MASK_KEY] = 2};
    int axes[MAX_RANK];
    uint8_t rank = 0;
    dim kept[MAX_RANK],
        shape[3] = {mask->shape[0], rows ? mask->shape[1] : dim_const(b->fn->m->dims, 1), mask->shape[2]};
    for (int k = 0; k < s->v->ty.rank; k++)
        if (s->to[k] >= 0) {
            axes[rank] = axis_of[s->to[k]];
            kept[rank++] = s->v->ty.shape[k];
        }
    value *v = rank == s->v->ty.rank ? s->v : build_reshape(b, s->v, rank, kept);
    bool whole = rank == 3 && rows;
    return whole ? v : build_broadcast(b, v, axes, 3, shape);
}

/* The conjunction of the parts, NULL where there are none. */
static value *remaining_mask(builder *b, const mask_parts *p, const type *mask)
{
    value *keys = NULL, *all = NULL;
    uint32_t of_keys = 0;
    for (uint32_t i = 0; i < p->n_parts; i++) of_keys += !mask_view_depends_on(p->m, &p->parts[i], MASK_QUERY);
    bool narrow = of_keys > 1 && !mask_is_one(p->m, p->queries);
    for (uint32_t i = 0; i < p->n_parts; i++) {
        bool rows = mask_view_depends_on(p->m, &p->parts[i], MASK_QUERY);
        value **sum = rows ? &all : &keys, *v = widened(b, mask, &p->parts[i], rows || !narrow);
        *sum = *sum ? build_scalar(b, OP_AND, (value *[]){*sum, v}, 2) : v;
    }
    if (!keys) return all;
    if (narrow) keys = build_broadcast(b, keys, (int[]){0, 1, 2}, 3, mask->shape);
    return all ? build_scalar(b, OP_AND, (value *[]){keys, all}, 2) : keys;
}

/* A bound that limits nothing goes. */
static void drop_idle_bounds(mask_parts *p)
{
    dim_ctx *dc = p->m->dims;
    dim one = dim_const(dc, 1);
    if (p->band.has_from && dim_le(dc, p->band.from, dim_sub(dc, one, p->queries))) p->band.has_from = false;
    if (p->band.has_to && dim_le(dc, dim_sub(dc, p->keys, one), p->band.to)) p->band.has_to = false;
}

static void remark(pass_ctx *ctx, const module *m, const node *n, const mask_parts *p)
{
    if (!p->found) {
        pass_remark(ctx, n, "the mask is one of keys");
        return;
    }
    strbuf s = strbuf_new(ctx->scratch);
    strbuf_adds(&s, p->band.has_from || p->band.has_to ? "query i sees the keys " : "query i sees all keys");
    for (int end = 0; end < 2 && (p->band.has_from || p->band.has_to); end++) {
        if (end) strbuf_adds(&s, " .. ");
        if (!(end ? p->band.has_to : p->band.has_from)) {
            strbuf_adds(&s, end ? "last" : "0");
            continue;
        }
        strbuf_adds(&s, "i + ");
        dim_print(m->dims, end ? p->band.to : p->band.from, &s);
    }
    pass_remark(ctx, n, "%s%s", s.s, p->n_parts ? ", and a mask is left" : "");
}

static bool rewrite(pass_ctx *ctx, module *m, node *n)
{
    value *mask = attention_mask(n);
    if (!mask) return false;
    mask_parts p = {.m = m, .queries = mask->ty.shape[1], .keys = mask->ty.shape[2], .band = attention_band_of(n)};
    mask_view whole = {.v = mask, .to = {MASK_BATCH, MASK_QUERY, MASK_KEY}};
    if (!mask_parts_add(&p, &whole, true)) return false;
    builder b = builder_before(n);
    bool changes = p.found;
    for (uint32_t i = 0; i < p.n_parts; i++) changes |= narrow(&b, &p.parts[i]);
    if (!changes) return false;
    drop_idle_bounds(&p);
    value *y =
        build_banded_attention(&b, n->operands[0], n->operands[1], n->operands[2], remaining_mask(&b, &p, &mask->ty),
                               attention_bias(n), node_attr(n, ATTR_SCALE)->u.real, p.band);
    remark(ctx, m, y->def, &p);
    value_replace(n->fn, n->result, y);
    node_erase(n);
    return true;
}

status pass_attention_bands(pass_ctx *ctx, module *m, bool *changed)
{
    uint32_t n_functions;
    function **all = module_walk(m, ctx->scratch, &n_functions);
    for (uint32_t i = 0; i < n_functions; i++)
        function_foreach (n, all[i])
            if (n->op == OP_ATTENTION) *changed |= rewrite(ctx, m, n);
    return STATUS_OK;
}
