/* Modules, functions, regions and parameters: making them and looking them up. */
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

function *function_new(module *m, const char *name)
{
    function *f = ARENA_NEW(m->a, function);
    f->name = intern_z(m->names, name);
    f->id = m->functions.len;
    f->m = m;
    f->root = region_new(m, NULL, NULL, "", (span){0});
    vec_push(m->a, &m->functions, f);
    return f;
}

value *function_arg(function *f, const char *name, type ty)
{
    value *v = ARENA_NEW(f->m->a, value);
    v->id = f->m->n_values++;
    v->ty = ty;
    v->name = intern_z(f->m->names, name);
    named_value arg = {v->name, v};
    vec_push(f->m->a, &f->args, arg);
    return v;
}

void function_add_point(function *f, const char *place, value *v)
{
    point p = {intern_z(f->m->names, place), v};
    vec_push(f->m->a, &f->points, p);
}

void function_remove_point(function *f, uint32_t i)
{
    assert(i < f->points.len);
    memmove(&f->points.data[i], &f->points.data[i + 1], (f->points.len - i - 1) * sizeof *f->points.data);
    f->points.len--;
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
