/* exp(x - max x) / sum exp(x - max x), written by hand, becomes the op softmax.
 *
 *   %1 = reduce %x {kind = max, axes = [1]} : f32[N]
 *   %2 = broadcast %1 {axes = [0]} : f32[N, T]                (maybe through a reshape to [N, 1])
 *   %3 = sub %x, %2 : f32[N, T]
 *   %4 = exp %3 : f32[N, T]
 *   %5 = reduce %4 {kind = sum, axes = [1]} : f32[N]
 *   %6 = broadcast %5 {axes = [0]} : f32[N, T]
 *   %7 = div %4, %6 : f32[N, T]
 * ->
 *   %7 = softmax %x {axis = 1} : f32[N, T]
 *
 * Requires equal expressions to be one value (cse) and composed views (canonicalise). Leaves the parts for dce, but for
 * those that have other readers.
 *
 * Replacing every such division is the obvious way, and computes the exponentials twice where something else reads
 * them. And without the subtraction it is not the same: exp(x) / sum exp(x) overflows where a softmax does not. */
#include "passes/match.h"
#include "passes/pass.h"

/* v is the reduction of a value of its shape over one axis, repeated along that axis. */
static const node *spread(const value *v, reduce_kind kind, const value *of, int *axis)
{
    const node *b = match_op(v, OP_BROADCAST), *kept, *r;
    if (!b) return NULL;
    kept = match_op(b->operands[0], OP_RESHAPE);
    r = match_op(kept ? kept->operands[0] : b->operands[0], OP_REDUCE);
    if (!r || r->operands[0] != of || (reduce_kind)node_attr(r, ATTR_KIND)->u.i != kind) return NULL;
    const attr *over = node_attr(r, ATTR_AXES), *to = node_attr(b, ATTR_AXES);
    if (over->u.ints.n != 1) return NULL;
    *axis = (int)over->u.ints.v[0];
    const value *from = b->operands[0];
    if (from->ty.rank != (kept ? of->ty.rank : of->ty.rank - 1)) return NULL;
    for (int i = 0; i < from->ty.rank; i++) {
        int at = kept || i < *axis ? i : i + 1; /* the axis of `of` that axis i is */
        if (to->u.ints.v[i] != at) return NULL;
        if (kept && at != *axis && from->ty.shape[i] != of->ty.shape[at]) return NULL;
    }
    return r;
}

/* Read by a and b only, but for what nothing reads; under no promised name. */
static bool read_by(const function *f, const value *v, const node *a, const node *b)
{
    for (const use *u = v->uses; u; u = u->next)
        if (u->user != a && u->user != b && (!u->user || node_is_used(u->user))) return false;
    return !match_point(f, v);
}

static bool recognise(pass_ctx *ctx, module *m, function *f, node *div)
{
    const node *e = match_op(div->operands[0], OP_EXP), *sub = e ? match_op(e->operands[0], OP_SUB) : NULL;
    if (!sub) return false;
    value *x = sub->operands[0];
    int of_max, of_sum;
    const node *max = spread(sub->operands[1], REDUCE_MAX, x, &of_max);
    const node *sum = spread(div->operands[1], REDUCE_SUM, e->result, &of_sum);
    if (!max || !sum) return false;
    if (of_max != of_sum) {
        pass_remark(ctx, div, "not recognised as softmax: the maximum and the sum are over different axes");
        return false;
    }
    if (!read_by(f, sub->result, e, NULL) || !read_by(f, e->result, sum, div)) {
        pass_remark(ctx, div, "not recognised as softmax: its exponentials are read elsewhere, or a point names them");
        return false;
    }
    builder b = builder_before(div);
    value *y = build_softmax(&b, x, of_sum);
    const node *parts[] = {max, sub, e, sum};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) node_add_sources(m, y->def, parts[i]);
    pass_remark(ctx, div, "recognised as softmax");
    value_replace(f, div->result, y);
    return true;
}

status pass_recognise_softmax(pass_ctx *ctx, module *m, bool *changed)
{
    uint32_t n_functions;
    function **all = module_walk(m, ctx->scratch, &n_functions);
    for (uint32_t i = 0; i < n_functions; i++)
        function_foreach (n, all[i])
            if (n->op == OP_DIV && n->result->uses && recognise(ctx, m, all[i], n)) *changed = true;
    return STATUS_OK;
}
