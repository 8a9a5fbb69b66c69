/* See match.h. */
#include "passes/match.h"

node *match_op(const value *v, op_kind op)
{
    return v->def && v->def->op == op ? v->def : NULL;
}

node *match_only_user(const value *v)
{
    return v->uses && !v->uses->next ? v->uses->user : NULL;
}

bool match_single_use(const value *v)
{
    return match_only_user(v) != NULL;
}

bool match_point(const function *f, const value *v)
{
    for (uint32_t i = 0; i < f->points.len; i++)
        if (f->points.data[i].v == v) return true;
    return false;
}

bool match_splat(const value *v, double x)
{
    double have;
    return value_const_splat(v, &have) && !memcmp(&have, &x, sizeof x);
}

bool match_rounded(const value *v)
{
    for (;;) {
        const node *n = v->def;
        if (!dtype_is_float(v->ty.dt)) return true;
        if (!n) return v->fn->kind == FUNCTION_ENTRY; /* a body's arguments are what was computed */
        if (n->op == OP_PARAM) return true;
        if (n->op == OP_GATHER || (op_row(n->op)->props & P_PURE_VIEW)) {
            v = n->operands[0];
            continue;
        }
        if (n->op == OP_CAST) {
            const value *from = n->operands[0];
            if (!dtype_contains(v->ty.dt, from->ty.dt)) return true; /* it rounds, always */
            v = from;
            continue;
        }
        return false;
    }
}

void match_region(const function *f, const region *r, arena *a, region_border *out)
{
    *out = (region_border){0};
    ptrmap *seen = ptrmap_new(a);
    function_foreach (n, f) {
        if (!region_within(n->in, r)) continue;
        vec_push(a, &out->nodes, n);
        for (uint32_t i = 0; i < n->n_operands; i++) {
            value *v = n->operands[i];
            bool inside = v->def && region_within(v->def->in, r);
            bool leaf = v->def && (op_row(v->def->op)->props & P_LEAF);
            if (inside || leaf || ptrmap_has(seen, v)) continue;
            ptrmap_set(seen, v, v);
            vec_push(a, &out->inputs, v);
        }
        for (uint32_t i = 0; i < n->n_results; i++)
            for (const use *u = n->results[i]->uses; u; u = u->next) {
                if (u->user && region_within(u->user->in, r)) continue;
                vec_push(a, &out->outputs, n->results[i]);
                break;
            }
    }
}
