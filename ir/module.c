/* Modules, functions, states, regions and parameters: making them and looking them up. */
#include "ir/internal.h"

#include "ir/constant.h"

#include <assert.h>

module *module_new(arena *a, interner *names, source_set *sources, dim_ctx *dims, const char *name)
{
    module *m = ARENA_NEW(a, module);
    m->a = a;
    m->names = names;
    m->sources = sources;
    m->dims = dims;
    m->name = intern_z(names, name);
    m->params_by_path = ptrmap_new(a);
    return m;
}

static function *new_function(module *m, function_kind kind, const char *name)
{
    function *f = ARENA_NEW(m->a, function);
    f->kind = kind;
    f->name = intern_z(m->names, name);
    f->id = m->n_functions++;
    f->m = m;
    f->root = region_new(m, NULL, NULL, "", (span){0});
    return f;
}

function *function_new(module *m, const char *name)
{
    function *f = new_function(m, FUNCTION_ENTRY, name);
    vec_push(m->a, &m->functions, f);
    return f;
}

static bool is_taken(const module *m, const char *interned)
{
    bool taken = false;
    for (uint32_t i = 0; i < m->functions.len && !taken; i++) taken = m->functions.data[i]->name == interned;
    for (uint32_t i = 0; i < m->bodies.len && !taken; i++) taken = m->bodies.data[i]->name == interned;
    return taken;
}

function *body_new(module *m, const char *name)
{
    const char *free = intern_z(m->names, name);
    for (uint32_t k = 2; is_taken(m, free); k++) free = intern_z(m->names, arena_printf(m->a, "%s.%u", name, k));
    function *f = new_function(m, FUNCTION_BODY, free);
    vec_push(m->a, &m->bodies, f);
    return f;
}

function **module_walk(const module *m, arena *a, uint32_t *n)
{
    function **all = ARENA_ARRAY(a, function *, m->functions.len + m->bodies.len);
    uint32_t len = m->functions.len;
    if (len) memcpy(all, m->functions.data, len * sizeof *all);
    for (uint32_t i = 0; i < len && m->bodies.len; i++)
        function_foreach (x, all[i]) {
            function *body = node_body(x);
            if (body && body->scan == x) all[len++] = body;
        }
    *n = len;
    return all;
}

/* A value that no node defines. */
static value *new_value(function *f, type ty)
{
    value *v = ARENA_NEW(f->m->a, value);
    v->id = f->m->n_values++;
    v->ty = ty;
    v->fn = f;
    return v;
}

value *function_arg(function *f, const char *name, type ty)
{
    value *v = new_value(f, ty);
    v->name = intern_z(f->m->names, name);
    named_value arg = {.name = v->name, .v = v};
    vec_push(f->m->a, &f->args, arg);
    return v;
}

/* ---- states ---- */

state_var *module_find_state(const module *m, const char *path)
{
    path = intern_z(m->names, path);
    for (uint32_t i = 0; i < m->states.len; i++)
        if (m->states.data[i]->path == path) return m->states.data[i];
    return NULL;
}

state_var *module_state(module *m, const char *path, type ty, span declared)
{
    state_var *s = module_find_state(m, path);
    if (s) {
        assert(type_equal(&s->ty, &ty));
        return s;
    }
    s = ARENA_NEW(m->a, state_var);
    s->id = m->states.len;
    s->path = intern_z(m->names, path);
    s->ty = ty;
    s->declared = declared;
    vec_push(m->a, &m->states, s);
    return s;
}

value *function_state(function *f, state_var *s)
{
    for (uint32_t i = 0; i < f->states.len; i++)
        if (f->states.data[i].s == s) return f->states.data[i].in;
    value *v = new_value(f, s->ty);
    function_add_state(f, s, v);
    return v;
}

/* ---- points, regions, parameters ---- */

void function_add_point(function *f, const char *place, value *v)
{
    point p = {intern_z(f->m->names, place), v};
    vec_push(f->m->a, &f->points, p);
}

void function_remove_point(function *f, uint32_t i)
{
    assert(i < f->points.len);
    const char *place = f->points.data[i].place;
    memmove(&f->points.data[i], &f->points.data[i + 1], (f->points.len - i - 1) * sizeof *f->points.data);
    f->points.len--;
    if (function_find_point(f, place)) return;
    vec_foreach (policy_rule *, r, &f->m->policy) {
        uint32_t kept = 0;
        vec_foreach (policy_point, p, &(*r)->points)
            if (p->fn != f || p->place != place) (*r)->points.data[kept++] = *p;
        (*r)->points.len = kept;
    }
}

bool function_has_valid(const function *f, const value *mask)
{
    vec_foreach (value *const, v, &f->valid)
        if (*v == mask) return true;
    return false;
}

void function_add_valid(function *f, value *mask)
{
    if (!function_has_valid(f, mask)) vec_push(f->m->a, &f->valid, mask);
}

void function_remove_valid(function *f, const value *mask)
{
    uint32_t kept = 0;
    vec_foreach (value *const, v, &f->valid)
        if (*v != mask) f->valid.data[kept++] = *v;
    f->valid.len = kept;
}

const point *function_find_point(const function *f, const char *place)
{
    vec_foreach (point, p, &f->points)
        if (!strcmp(p->place, place)) return p;
    return NULL;
}

region *region_new(module *m, region *parent, const char *block, const char *path, span call)
{
    region *r = ARENA_NEW(m->a, region);
    r->id = m->regions.len;
    r->parent = parent;
    r->block = block ? intern_z(m->names, block) : NULL;
    r->path = intern_z(m->names, path);
    r->call = call;
    vec_push(m->a, &m->regions, r);
    return r;
}

function *region_function(const module *m, const region *r)
{
    while (r->parent) r = r->parent;
    for (uint32_t i = 0; i < m->functions.len; i++)
        if (m->functions.data[i]->root == r) return m->functions.data[i];
    for (uint32_t i = 0; i < m->bodies.len; i++)
        if (m->bodies.data[i]->root == r) return m->bodies.data[i];
    return NULL;
}

bool region_within(const region *r, const region *outer)
{
    for (; r; r = r->parent)
        if (r == outer) return true;
    return false;
}

region *region_common(region *a, region *b)
{
    /* Parents are made before their children, so ids fall on the way up. */
    while (a != b) {
        if (a->id > b->id) a = a->parent;
        else b = b->parent;
        assert(a && b);
    }
    return a;
}

param *module_find_param(const module *m, const char *path)
{
    return ptrmap_get(m->params_by_path, intern_z(m->names, path));
}

param *module_param(module *m, const char *path, type ty, const cexpr *v, span declared)
{
    param *p = module_find_param(m, path);
    if (p) {
        assert(type_equal(&p->ty, &ty));
        return p;
    }
    p = ARENA_NEW(m->a, param);
    p->id = m->params.len ? vec_last(&m->params)->id + 1 : 0;
    p->path = intern_z(m->names, path);
    p->ty = ty;
    p->value = v;
    p->declared = declared;
    vec_push(m->a, &m->params, p);
    ptrmap_set(m->params_by_path, p->path, p);
    return p;
}

void module_remove_param(module *m, param *p)
{
    for (uint32_t i = 0; i < m->params.len; i++) {
        if (m->params.data[i] != p) continue;
        memmove(&m->params.data[i], &m->params.data[i + 1], (m->params.len - i - 1) * sizeof *m->params.data);
        m->params.len--;
        ptrmap_set(m->params_by_path, p->path, NULL);
        return;
    }
}

/* ---- rules ---- */

policy_rule *policy_rule_new(module *m, const char *verb, const char *subject, policy_relation relation,
                             const char *place, span at)
{
    policy_rule *r = ARENA_NEW(m->a, policy_rule);
    r->verb = intern_z(m->names, verb);
    r->subject = subject ? intern_z(m->names, subject) : NULL;
    r->relation = relation;
    r->place = intern_z(m->names, place);
    r->at = at;
    vec_push(m->a, &m->policy, r);
    return r;
}

void policy_rule_add_arg(module *m, policy_rule *r, const char *name, policy_value v)
{
    if (v.kind == POLICY_WORD) v.word = intern_z(m->names, v.word);
    if (v.kind == POLICY_INTS) {
        int64_t *copy = ARENA_ARRAY(m->a, int64_t, v.ints.n);
        if (v.ints.n) memcpy(copy, v.ints.v, v.ints.n * sizeof *copy);
        v.ints.v = copy;
    }
    policy_arg arg = {intern_z(m->names, name), v};
    vec_push(m->a, &r->args, arg);
}

const policy_value *policy_rule_arg(const policy_rule *r, const char *name)
{
    vec_foreach (policy_arg, a, &r->args)
        if (!strcmp(a->name, name)) return &a->value;
    assert(!"the rule has no such argument");
    return NULL;
}

void policy_rule_print(const policy_rule *r, strbuf *out)
{
    strbuf_addf(out, "%s %s%s%s ", r->verb, r->subject ? r->subject : "", r->subject ? " " : "",
                policy_relation_name(r->relation));
    print_quoted(out, r->place);
    vec_foreach (policy_arg, a, &r->args) {
        strbuf_addf(out, "%s%s = ", a == r->args.data ? " (" : ", ", a->name);
        policy_value_print(&a->value, out);
    }
    if (r->args.len) strbuf_addc(out, ')');
}
