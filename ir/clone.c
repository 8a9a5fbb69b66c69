/* A deep copy of a module. Ids are kept, so side tables made for one serve the other. */
#include "ir/internal.h"

static node *clone_node(const node *n, function *to, value **values, region **regions, param **params, arena *a)
{
    node *c = ARENA_NEW(a, node);
    *c = *n;
    c->fn = to;
    c->prev = c->next = NULL;
    c->in = regions[n->in->id];
    c->operands = ARENA_ARRAY(a, value *, n->n_operands);
    for (uint32_t i = 0; i < n->n_operands; i++) c->operands[i] = values[n->operands[i]->id];
    c->sources = ARENA_ARRAY(a, span, n->n_sources);
    if (n->n_sources) memcpy(c->sources, n->sources, n->n_sources * sizeof *n->sources);
    for (int i = 0; i < op_row(n->op)->n_attrs; i++)
        if (attr_kind_of(n->attrs[i].name) == AK_PARAM) c->attrs[i].u.p = params[n->attrs[i].u.p->id];
    c->result = values[n->result->id];
    c->result->def = c;
    return c;
}

/* The uses of v in the same order, for the copy. */
static void clone_uses(const value *v, node **nodes_by_result, value *to, arena *a)
{
    use **at = &to->uses;
    for (const use *u = v->uses; u; u = u->next) {
        *at = ARENA_NEW(a, use);
        (*at)->user = u->user ? nodes_by_result[u->user->result->id] : NULL;
        (*at)->index = u->index;
        at = &(*at)->next;
    }
}

static value *clone_value(const value *v, value **values, arena *a)
{
    value *c = ARENA_NEW(a, value);
    *c = *v;
    c->uses = NULL;
    return values[v->id] = c;
}

static void clone_function(const function *f, module *to, value **values, region **regions, param **params)
{
    arena *a = to->a;
    function *c = ARENA_NEW(a, function);
    c->name = f->name;
    c->id = f->id;
    c->m = to;
    c->root = regions[f->root->id];
    vec_push(a, &to->functions, c);

    node **nodes_by_result = ARENA_ARRAY(a, node *, to->n_values);
    for (uint32_t i = 0; i < f->args.len; i++) {
        named_value arg = {f->args.data[i].name, clone_value(f->args.data[i].v, values, a)};
        vec_push(a, &c->args, arg);
    }
    function_foreach (n, f) {
        clone_value(n->result, values, a);
        node *x = clone_node(n, c, values, regions, params, a);
        nodes_by_result[n->result->id] = x;
        node_insert(x, NULL);
    }
    for (uint32_t i = 0; i < f->results.len; i++) {
        named_value r = {f->results.data[i].name, values[f->results.data[i].v->id]};
        vec_push(a, &c->results, r);
    }
    for (uint32_t i = 0; i < f->points.len; i++) {
        point p = {f->points.data[i].place, values[f->points.data[i].v->id]};
        vec_push(a, &c->points, p);
    }
    for (uint32_t i = 0; i < f->args.len; i++) clone_uses(f->args.data[i].v, nodes_by_result, c->args.data[i].v, a);
    function_foreach (n, f) clone_uses(n->result, nodes_by_result, values[n->result->id], a);
}

module *module_clone(const module *m, arena *a)
{
    module *c = module_new(a, m->names, m->sources, m->dims, m->name);
    c->n_values = m->n_values;
    c->n_nodes = m->n_nodes;
    uint32_t most = 0;
    for (uint32_t i = 0; i < m->params.len; i++)
        if (m->params.data[i]->id >= most) most = m->params.data[i]->id + 1;
    param **params = ARENA_ARRAY(a, param *, most);
    for (uint32_t i = 0; i < m->params.len; i++) {
        param *p = ARENA_NEW(a, param);
        *p = *m->params.data[i];
        params[p->id] = p;
        vec_push(a, &c->params, p);
        ptrmap_set(c->params_by_path, p->path, p);
    }
    region **regions = ARENA_ARRAY(a, region *, m->regions.len);
    for (uint32_t i = 0; i < m->regions.len; i++) {
        region *r = ARENA_NEW(a, region);
        *r = *m->regions.data[i];
        r->parent = r->parent ? regions[r->parent->id] : NULL;
        regions[r->id] = r;
        vec_push(a, &c->regions, r);
    }
    for (uint32_t i = 0; i < m->checks.len; i++) vec_push(a, &c->checks, m->checks.data[i]);
    value **values = ARENA_ARRAY(a, value *, m->n_values);
    for (uint32_t i = 0; i < m->functions.len; i++) clone_function(m->functions.data[i], c, values, regions, params);
    return c;
}
