/* Dead code elimination: nodes and parameters that reach no result and no state are removed.
 *
 *   %0 = param "w" : f32[4]
 *   %1 = exp %x : f32[4]                ->
 *   %2 = add %x, %0 : f32[4]
 *   return %x                                return %x            (and parameter "w" is gone)
 *
 * A node with several results stays while one of them is used; what a scan runs goes with it. States stay: they are
 * part of what a model promises. So does a node that counts a dim, while types have it.
 *
 * Requires nothing. Breaks points whose value goes: they are removed too, with a remark, for a place that cannot be
 * reached must not be rewritten.
 *
 * Sweeping forward and erasing what has no uses fails on chains: %0 above is used until %2 is gone. Walking the list
 * from its end sees every reader before what it reads, so one sweep is enough. */
#include "passes/pass.h"

static void remove_points(pass_ctx *ctx, function *f, const value *v)
{
    for (uint32_t i = f->points.len; i-- > 0;) {
        if (f->points.data[i].v != v) continue;
        pass_remark(ctx, v->def, "removed point \"%s\": its value reaches no result", f->points.data[i].place);
        function_remove_point(f, i);
    }
}

/* A declared mask stays until remove_padding has looked for it; the model may have made it a second time. */
static bool is_declared(const function *f, const node *n)
{
    return f->valid.len && n->n_results == 1 && function_has_valid(f, n->result);
}

status pass_dce(pass_ctx *ctx, module *m, bool *changed)
{
    uint32_t n_params = 0;
    for (uint32_t i = 0; i < m->params.len; i++)
        if (m->params.data[i]->id >= n_params) n_params = m->params.data[i]->id + 1;
    bool *read = ARENA_ARRAY(ctx->scratch, bool, n_params);

    uint32_t n_functions;
    function **all = module_walk(m, ctx->scratch, &n_functions);
    for (uint32_t i = 0; i < n_functions; i++) {
        function *f = all[i];
        if (f->kind == FUNCTION_BODY && !f->scan) continue; /* gone with its node */
        for (node *n = f->last, *prev; n; n = prev) {
            prev = n->prev;
            if (!node_is_used(n) && !node_count_is_used(n) && !is_declared(f, n)) {
                for (uint32_t k = 0; k < n->n_results && f->points.len; k++) remove_points(ctx, f, n->results[k]);
                node_erase(n);
                *changed = true;
            } else if (n->op == OP_PARAM) {
                read[node_attr(n, ATTR_PARAM)->u.p->id] = true;
            }
        }
    }
    for (uint32_t i = m->params.len; i-- > 0;) {
        if (read[m->params.data[i]->id]) continue;
        module_remove_param(m, m->params.data[i]);
        *changed = true;
    }
    return STATUS_OK;
}
