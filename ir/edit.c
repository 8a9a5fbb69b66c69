/* Changing functions: uses, replacing values, erasing nodes. */
#include "ir/internal.h"

#include <assert.h>

static void add_use(module *m, value *v, node *user, bool state, uint32_t index)
{
    use *u = ARENA_NEW(m->a, use);
    u->user = user;
    u->state = state;
    u->index = index;
    u->next = v->uses;
    v->uses = u;
}

static void hang_use(value *v, use *u)
{
    u->next = v->uses;
    v->uses = u;
}

/* Takes the use out of the list and returns it, so that it can be hung elsewhere. */
static use *take_use(value *v, const node *user, bool state, uint32_t index)
{
    for (use **at = &v->uses; *at; at = &(*at)->next) {
        if ((*at)->user != user || (*at)->state != state || (*at)->index != index) continue;
        use *u = *at;
        *at = u->next;
        return u;
    }
    assert(!"a use is missing from its value's list");
    return NULL;
}

node *node_new(module *m, function *f, op_kind op, value *const *operands, uint32_t n, const attr *attrs,
               const type *ty)
{
    node *x = ARENA_NEW(m->a, node);
    m->n_nodes++;
    x->op = op;
    x->fn = f;
    x->n_operands = n;
    x->operands = ARENA_ARRAY(m->a, value *, n);
    for (uint32_t i = 0; i < n; i++) {
        x->operands[i] = operands[i];
        add_use(m, operands[i], x, false, i);
    }
    const op_info *row = op_row(op);
    for (int i = 0; i < row->n_attrs; i++) x->attrs[i] = attrs[i];
    x->n_results = op_result_count(op, attrs);
    x->results = ARENA_ARRAY(m->a, value *, x->n_results);
    for (uint32_t i = 0; i < x->n_results; i++) {
        value *v = x->results[i] = ARENA_NEW(m->a, value);
        v->id = m->n_values++;
        v->ty = ty[i];
        v->def = x;
        v->index = i;
    }
    x->result = x->results[0];
    return x;
}

function *node_body(const node *n)
{
    const op_info *row = op_row(n->op);
    for (int i = 0; i < row->n_attrs; i++)
        if (attr_kind_of(row->attrs[i]) == AK_BODY && n->attrs[i].set) return n->attrs[i].u.f;
    return NULL;
}

void node_insert(node *n, node *before)
{
    function *f = n->fn;
    n->next = before;
    n->prev = before ? before->prev : f->last;
    *(n->prev ? &n->prev->next : &f->first) = n;
    *(before ? &before->prev : &f->last) = n;
}

void function_add_result(function *f, const char *name, value *v)
{
    add_use(f->m, v, NULL, false, f->results.len);
    named_value r = {.name = intern_z(f->m->names, name), .v = v};
    vec_push(f->m->a, &f->results, r);
}

void function_set_result(function *f, uint32_t i, value *v)
{
    assert(i < f->results.len);
    hang_use(v, take_use(f->results.data[i].v, NULL, false, i));
    f->results.data[i].v = v;
}

void function_add_state(function *f, state_var *s, value *in)
{
    assert(f->kind == FUNCTION_ENTRY);
    add_use(f->m, in, NULL, true, f->states.len);
    function_state_entry e = {s, in, in};
    vec_push(f->m->a, &f->states, e);
}

void function_set_state(function *f, state_var *s, value *out)
{
    assert(type_equal(&s->ty, &out->ty));
    (void)function_state(f, s);
    uint32_t i = 0;
    while (f->states.data[i].s != s) i++;
    hang_use(out, take_use(f->states.data[i].out, NULL, true, i));
    f->states.data[i].out = out;
}

const attr *node_attr(const node *n, attr_name name)
{
    const op_info *row = op_row(n->op);
    for (int i = 0; i < row->n_attrs; i++)
        if (row->attrs[i] == name) return &n->attrs[i];
    assert(!"the op has no such attribute");
    return NULL;
}

uint32_t value_use_count(const value *v)
{
    uint32_t n = 0;
    for (const use *u = v->uses; u; u = u->next) n++;
    return n;
}

bool value_is_output(const value *v)
{
    for (const use *u = v->uses; u; u = u->next)
        if (!u->user) return true;
    return false;
}

void value_replace(function *f, value *old, value *with)
{
    if (old == with) return;
    while (old->uses) {
        use *u = old->uses;
        old->uses = u->next;
        hang_use(with, u);
        if (u->user) u->user->operands[u->index] = with;
        else if (u->state) f->states.data[u->index].out = with;
        else f->results.data[u->index].v = with;
    }
    vec_foreach (point, p, &f->points)
        if (p->v == old) p->v = with;
    if (function_has_valid(f, old)) {
        function_remove_valid(f, old);
        function_add_valid(f, with);
    }
}

void node_set_operand(node *n, uint32_t i, value *v)
{
    assert(i < n->n_operands);
    if (n->operands[i] == v) return;
    hang_use(v, take_use(n->operands[i], n, false, i));
    n->operands[i] = v;
}

bool node_is_used(const node *n)
{
    for (uint32_t i = 0; i < n->n_results; i++)
        if (n->results[i]->uses) return true;
    return false;
}

/* Takes the bodies that f runs, directly or not, out of the module, and f itself. */
static void drop_body(function *f)
{
    module *m = f->m;
    f->scan = NULL;
    for (uint32_t i = 0; i < m->bodies.len; i++) {
        if (m->bodies.data[i] != f) continue;
        memmove(&m->bodies.data[i], &m->bodies.data[i + 1], (m->bodies.len - i - 1) * sizeof *m->bodies.data);
        m->bodies.len--;
        break;
    }
    function_foreach (n, f) {
        function *inner = node_body(n);
        if (inner && inner->scan == n) drop_body(inner);
    }
}

static void unlink_node(node *n)
{
    *(n->prev ? &n->prev->next : &n->fn->first) = n->next;
    *(n->next ? &n->next->prev : &n->fn->last) = n->prev;
}

void node_erase(node *n)
{
    assert(!node_is_used(n));
    function *body = node_body(n);
    if (body && body->scan == n) drop_body(body); /* else another node has taken it over */
    for (uint32_t i = 0; i < n->n_operands; i++) take_use(n->operands[i], n, false, i);
    unlink_node(n);
    n->prev = n->next = NULL;
    n->fn = NULL;
}

void node_move(node *n, node *before)
{
    assert(n != before && n->fn == before->fn);
    unlink_node(n);
    node_insert(n, before);
}

void node_add_sources(module *m, node *n, const node *from)
{
    /* A constant that every layer of a deep model shares has hundreds of places; more say nothing more. */
    enum { MAX_SOURCES = 256 };
    uint32_t len = n->n_sources, most = len + from->n_sources;
    if (most > MAX_SOURCES) most = MAX_SOURCES;
    if (most <= len) return;
    span *all = ARENA_ARRAY(m->a, span, most); /* builders share lists between nodes: they are never changed in place */
    if (len) memcpy(all, n->sources, len * sizeof *all);
    for (uint32_t i = 0; i < from->n_sources && len < most; i++) {
        bool known = false;
        for (uint32_t j = 0; j < len && !known; j++)
            known = all[j].begin == from->sources[i].begin && all[j].end == from->sources[i].end;
        if (!known) all[len++] = from->sources[i];
    }
    n->sources = all;
    n->n_sources = len;
}

/* Chains of views and casts that a model has are short; text may hold any. */
enum { MAX_VIEWS = 64 };

static bool const_splat(const value *v, double *out, int depth)
{
    const node *n = v->def;
    if (!n || depth == MAX_VIEWS) return false;
    switch (n->op) {
    case OP_CONST:
        if (dtype_is_float(v->ty.dt)) {
            *out = node_attr(n, ATTR_VALUE)->u.real;
            return true;
        }
        *out = (double)node_attr(n, ATTR_IVALUE)->u.i;
        return *out < 0x1p53 && *out > -0x1p53;
    case OP_BROADCAST:
    case OP_RESHAPE:
    case OP_TRANSPOSE:
    case OP_SLICE: return const_splat(n->operands[0], out, depth + 1);
    case OP_CAST: {
        /* Only a cast that keeps the number: then it does not matter how the cast rounds. */
        double x;
        if (!const_splat(n->operands[0], &x, depth + 1)) return false;
        dtype to = v->ty.dt;
        if (dtype_is_float(to)) {
            double r = dtype_round(to, x);
            if (memcmp(&r, &x, sizeof r)) return false;
        } else if (!(x >= -128 && x <= 127 && x == (double)(int)x) || (x < 0 && dtype_class_of(to) != DTC_INT) ||
                   (to == DT_BOOL && x != 0 && x != 1)) {
            return false;
        }
        *out = x;
        return true;
    }
    default: return false;
    }
}

bool value_const_splat(const value *v, double *out)
{
    return const_splat(v, out, 0);
}
