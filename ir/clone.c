/* A deep copy of a module. Ids are kept, so side tables made for one serve the other. */
#include "ir/internal.h"

typedef struct {
    module *to;
    arena *a;
    value **values;       /* by value id */
    node **nodes;         /* by the id of a node's first result */
    region **regions;     /* by id */
    param **params;       /* by id */
    function **functions; /* by id */
} copy;

static value *clone_value(copy *c, const value *v, node *def)
{
    value *x = ARENA_NEW(c->a, value);
    *x = *v;
    x->def = def;
    x->fn = v->fn ? c->functions[v->fn->id] : NULL;
    x->uses = NULL;
    return c->values[v->id] = x;
}

static void clone_node(copy *c, const node *n, function *to)
{
    node *x = ARENA_NEW(c->a, node);
    *x = *n;
    x->fn = to;
    x->in = c->regions[n->in->id];
    x->operands = ARENA_ARRAY(c->a, value *, n->n_operands);
    for (uint32_t i = 0; i < n->n_operands; i++) x->operands[i] = c->values[n->operands[i]->id];
    x->sources = ARENA_ARRAY(c->a, span, n->n_sources);
    if (n->n_sources) memcpy(x->sources, n->sources, n->n_sources * sizeof *n->sources);
    for (int i = 0; i < op_row(n->op)->n_attrs; i++) {
        attr *a = &x->attrs[i];
        if (attr_kind_of(a->name) == AK_PARAM) a->u.p = c->params[a->u.p->id];
        if (attr_kind_of(a->name) == AK_BODY) {
            a->u.f = c->functions[a->u.f->id];
            a->u.f->scan = x;
        }
    }
    x->results = ARENA_ARRAY(c->a, value *, n->n_results);
    for (uint32_t i = 0; i < n->n_results; i++) x->results[i] = clone_value(c, n->results[i], x);
    x->result = x->results[0];
    c->nodes[n->result->id] = x;
    node_insert(x, NULL);
}

/* The uses of v in the same order, for the copy. */
static void clone_uses(const copy *c, const value *v)
{
    use **at = &c->values[v->id]->uses;
    for (const use *u = v->uses; u; u = u->next) {
        use *x = *at = ARENA_NEW(c->a, use);
        *x = *u;
        x->user = u->user ? c->nodes[u->user->result->id] : NULL;
        x->next = NULL;
        at = &x->next;
    }
}

static void declare_function(copy *c, const function *f)
{
    function *x = ARENA_NEW(c->a, function);
    x->kind = f->kind;
    x->name = f->name;
    x->doc = f->doc;
    x->id = f->id;
    x->m = c->to;
    x->root = c->regions[f->root->id];
    c->functions[f->id] = x;
    if (f->kind == FUNCTION_ENTRY) vec_push(c->a, &c->to->functions, x);
    else vec_push(c->a, &c->to->bodies, x);
}

static void clone_function(copy *c, const function *f)
{
    function *x = c->functions[f->id];
    vec_foreach (const named_value, v, &f->args) {
        named_value arg = {v->name, v->doc, clone_value(c, v->v, NULL)};
        vec_push(c->a, &x->args, arg);
    }
    vec_foreach (const function_state_entry, e, &f->states) clone_value(c, e->in, NULL);
    function_foreach (n, f) clone_node(c, n, x);
    vec_foreach (const named_value, v, &f->results) {
        named_value r = {v->name, v->doc, c->values[v->v->id]};
        vec_push(c->a, &x->results, r);
    }
    vec_foreach (const function_state_entry, e, &f->states) {
        function_state_entry s = {c->to->states.data[e->s->id], c->values[e->in->id], c->values[e->out->id]};
        vec_push(c->a, &x->states, s);
    }
    vec_foreach (const point, p, &f->points) {
        point q = {p->place, c->values[p->v->id]};
        vec_push(c->a, &x->points, q);
    }
    vec_foreach (value *const, v, &f->valid) vec_push(c->a, &x->valid, c->values[(*v)->id]);
    vec_foreach (const dim_check, k, &f->checks) vec_push(c->a, &x->checks, *k);

    vec_foreach (const named_value, v, &f->args) clone_uses(c, v->v);
    vec_foreach (const function_state_entry, e, &f->states) clone_uses(c, e->in);
    function_foreach (n, f)
        for (uint32_t i = 0; i < n->n_results; i++) clone_uses(c, n->results[i]);
}

static void clone_params(copy *c, const module *m)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < m->params.len; i++)
        if (m->params.data[i]->id >= most) most = m->params.data[i]->id + 1;
    c->params = ARENA_ARRAY(c->a, param *, most);
    for (uint32_t i = 0; i < m->params.len; i++) {
        param *p = ARENA_NEW(c->a, param);
        *p = *m->params.data[i];
        c->params[p->id] = p;
        vec_push(c->a, &c->to->params, p);
        ptrmap_set(c->to->params_by_path, p->path, p);
    }
}

static void clone_regions(copy *c, const module *m)
{
    c->regions = ARENA_ARRAY(c->a, region *, m->regions.len);
    for (uint32_t i = 0; i < m->regions.len; i++) {
        region *r = ARENA_NEW(c->a, region);
        *r = *m->regions.data[i];
        r->parent = r->parent ? c->regions[r->parent->id] : NULL;
        c->regions[r->id] = r;
        vec_push(c->a, &c->to->regions, r);
    }
}

static void clone_rule(const copy *c, const policy_rule *r)
{
    policy_rule *x = policy_rule_new(c->to, r->verb, r->subject, r->relation, r->place, r->at);
    vec_foreach (policy_arg, a, &r->args) policy_rule_add_arg(c->to, x, a->name, a->value);
    vec_foreach (region *, y, &r->regions) vec_push(c->a, &x->regions, c->regions[(*y)->id]);
    vec_foreach (policy_point, p, &r->points) {
        policy_point at = {c->functions[p->fn->id], p->place};
        vec_push(c->a, &x->points, at);
    }
}

module *module_clone(const module *m, arena *a)
{
    module *to = module_new(a, m->names, m->sources, m->dims, m->name);
    copy c = {.to = to, .a = a};
    to->doc = m->doc;
    to->n_values = m->n_values;
    to->n_nodes = m->n_nodes;
    to->n_functions = m->n_functions;
    clone_params(&c, m);
    clone_regions(&c, m);
    for (uint32_t i = 0; i < m->states.len; i++) {
        state_var *s = ARENA_NEW(a, state_var);
        *s = *m->states.data[i];
        vec_push(a, &to->states, s);
    }
    c.values = ARENA_ARRAY(a, value *, m->n_values);
    c.nodes = ARENA_ARRAY(a, node *, m->n_values);
    c.functions = ARENA_ARRAY(a, function *, m->n_functions);
    for (uint32_t i = 0; i < m->functions.len; i++) declare_function(&c, m->functions.data[i]);
    for (uint32_t i = 0; i < m->bodies.len; i++) declare_function(&c, m->bodies.data[i]);
    for (uint32_t i = 0; i < m->functions.len; i++) clone_function(&c, m->functions.data[i]);
    for (uint32_t i = 0; i < m->bodies.len; i++) clone_function(&c, m->bodies.data[i]);
    for (uint32_t i = 0; i < m->policy.len; i++) clone_rule(&c, m->policy.data[i]);
    return to;
}
