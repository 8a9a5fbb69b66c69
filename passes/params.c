/* See params.h. */
#include "passes/params.h"
#include "passes/match.h"

size_t module_node_count(const module *m, arena *a)
{
    size_t nodes = 0;
    uint32_t n_functions;
    function **all = module_walk(m, a, &n_functions);
    for (uint32_t i = 0; i < n_functions; i++)
        function_foreach (n, all[i]) nodes++;
    return nodes;
}

static size_t param_ids(const module *m)
{
    size_t ids = 0;
    for (uint32_t i = 0; i < m->params.len; i++)
        if (m->params.data[i]->id >= ids) ids = m->params.data[i]->id + (size_t)1;
    return ids;
}

uint32_t *param_readers(const module *m, arena *a, size_t more)
{
    uint32_t *readers = ARENA_ARRAY(a, uint32_t, param_ids(m) + more);
    uint32_t n_functions;
    function **all = module_walk(m, a, &n_functions);
    for (uint32_t i = 0; i < n_functions; i++)
        function_foreach (n, all[i])
            if (n->op == OP_PARAM) readers[node_attr(n, ATTR_PARAM)->u.p->id]++;
    return readers;
}

uint32_t *param_uses(const module *m, arena *a)
{
    uint32_t *uses = ARENA_ARRAY(a, uint32_t, param_ids(m));
    uint32_t n_functions;
    function **all = module_walk(m, a, &n_functions);
    for (uint32_t i = 0; i < n_functions; i++)
        function_foreach (n, all[i])
            if (n->op == OP_PARAM) uses[node_attr(n, ATTR_PARAM)->u.p->id] += value_use_count(n->result);
    return uses;
}

param *param_made(module *m, arena *scratch, const char *path, type ty, const cexpr *e, span declared)
{
    const char *free = path;
    param *p;
    for (uint32_t k = 2; (p = module_find_param(m, free)); k++) {
        if (type_equal(&p->ty, &ty) && cexpr_equal(p->value, e)) return p;
        free = arena_printf(scratch, "%s.%u", path, k);
    }
    return module_param(m, free, ty, e, declared);
}

const cexpr *constant_wide(arena *a, const cexpr *e)
{
    if (e->kind == CE_CAST && e->args[0]->dt == DT_F64) return e->args[0];
    return cexpr_cast(a, e, DT_F64);
}

uint32_t constant_cost(const cexpr *e, uint32_t limit, uint32_t *depth)
{
    uint32_t cost = 1, deepest = 0;
    for (uint32_t i = 0; i < e->n_args && cost <= limit; i++) {
        uint32_t below = 0;
        cost += constant_cost(e->args[i], limit - cost, &below);
        if (below > deepest) deepest = below;
    }
    *depth = deepest + 1;
    return cost;
}

bool constant_affordable(const cexpr *e)
{
    enum { MAX_COST = 128, MAX_DEPTH = 28 };
    uint32_t depth;
    return constant_cost(e, MAX_COST, &depth) <= MAX_COST && depth <= MAX_DEPTH;
}

const cexpr *param_elements(const module *m, const value *v, const param **p)
{
    const node *n = v->def;
    int64_t shape[MAX_RANK];
    if (!n || v->ty.enc.kind != ENC_ROWS || !type_is_const(m, &v->ty, shape)) return NULL;
    if (n->op == OP_PARAM) {
        *p = node_attr(n, ATTR_PARAM)->u.p;
        return (*p)->value;
    }
    if ((n->op != OP_RESHAPE && n->op != OP_TRANSPOSE) || !match_single_use(v)) return NULL;
    const cexpr *e = param_elements(m, n->operands[0], p);
    if (!e || n->op == OP_RESHAPE) return e ? cexpr_reshape(m->a, e, v->ty.rank, shape) : NULL;
    uint8_t perm[MAX_RANK];
    for (int i = 0; i < v->ty.rank; i++) perm[i] = (uint8_t)node_attr(n, ATTR_PERM)->u.ints.v[i];
    return cexpr_transpose(m->a, e, perm);
}
