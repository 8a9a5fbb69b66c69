/* Names: scopes, lookup, suggestions for misspelt ones. */
#include "frontend/aliases.h"
#include "frontend/sema_internal.h"

enum { LINEAR_SCOPE = 8 }; /* scopes are mostly tiny: only larger ones get a map */

scope *scope_new(sema *s, scope *parent)
{
    scope *sc = ARENA_NEW(s->a, scope);
    sc->parent = parent;
    return sc;
}

binding *scope_add(sema *s, scope *in, const char *name, bind_kind kind, value v, span at)
{
    binding *b = ARENA_NEW(s->a, binding);
    *b = (binding){.name = name, .kind = kind, .v = v, .at = at};
    vec_push(s->a, &in->names, b);
    if (in->map) {
        ptrmap_set(in->map, name, b);
    } else if (in->names.len > LINEAR_SCOPE) {
        in->map = ptrmap_new(s->a);
        vec_foreach (binding *, p, &in->names) ptrmap_set(in->map, (*p)->name, *p);
    }
    return b;
}

/* The latest of that name: a later `let` shadows. */
binding *scope_find_here(const scope *in, const char *name)
{
    if (in->map) return ptrmap_get(in->map, name);
    for (uint32_t i = in->names.len; i-- > 0;)
        if (in->names.data[i]->name == name) return in->names.data[i];
    return NULL;
}

binding *scope_find(const scope *in, const char *name)
{
    for (; in; in = in->parent) {
        binding *b = scope_find_here(in, name);
        if (b) return b;
    }
    return NULL;
}

/* A formal whose argument was left out is evaluated when it is first needed: defaults may use other formals and dims.
 */
value binding_value(sema *s, binding *b)
{
    b->used = true;
    if (b->kind == BIND_STATE) return state_read(s, b);
    if (b->state == BIND_READY) return b->v;
    if (b->state == BIND_EVALUATING) {
        sema_error(s, b->at, "cyclic", "the default of '%s' depends on itself", b->name);
        b->state = BIND_READY;
        return b->v = sema_error_value();
    }
    if (!b->formal) return sema_error_value();
    b->state = BIND_EVALUATING;
    frame *here = s->frame;
    s->frame = b->owner;
    value v = eval(s, b->formal->init);
    if (v.kind != V_ERROR) v = coerce_formal(s, b->formal, v, b->formal->init->at, s->frame->decl->name.name);
    s->frame = here;
    if (b->state == BIND_EVALUATING) {
        b->v = v;
        b->state = BIND_READY;
    }
    return b->v;
}

binding *sema_lookup_binding(sema *s, const char *name)
{
    const frame *f = s->frame;
    for (const builder_ctx *c = f->builder; c; c = c->outer) {
        binding *b = scope_find_here(c->names, name);
        if (b) return b;
    }
    binding *b = f->names ? scope_find(f->names, name) : NULL;
    if (!b && f->statics) b = scope_find(f->statics, name);
    return b;
}

static value const_value(sema *s, sema_file *file, decl_entry *e)
{
    if (e->state == BIND_READY) return e->v;
    if (e->state == BIND_EVALUATING) {
        sema_error(s, e->decl->name.at, "cyclic", "const '%s' depends on itself", e->decl->name.name);
        e->state = BIND_READY;
        return e->v = sema_error_value();
    }
    e->state = BIND_EVALUATING;
    frame f = {.file = file, .decl = e->decl, .path = ""};
    frame *here = s->frame;
    f.depth = here ? here->depth + 1 : 0;
    s->frame = &f;
    value v = f.depth > AST_MAX_DEPTH ? sema_error_value() : eval(s, e->decl->value);
    if (f.depth > AST_MAX_DEPTH) sema_error(s, e->decl->name.at, "limit", "constants depend on one another too deeply");
    s->frame = here;
    if (e->state == BIND_EVALUATING) {
        e->v = v;
        e->state = BIND_READY;
    }
    return e->v;
}

value sema_file_lookup(sema *s, sema_file *f, const char *name, bool *found)
{
    decl_entry *e = ptrmap_get(f->decls, name);
    *found = e != NULL;
    if (!e) return sema_error_value();
    if (e->decl->kind == DECL_CONST) return const_value(s, f, e);
    return e->v; /* a block */
}

value sema_lookup(sema *s, ast_name name)
{
    binding *b = sema_lookup_binding(s, name.name);
    if (b) {
        if (b->state == BIND_PENDING && !b->formal) {
            sema_error(s, name.at, "cyclic", "'%s' is not known yet here", name.name);
            return sema_error_value();
        }
        return binding_value(s, b);
    }
    sema_file *file = s->frame->file;
    bool found;
    value v = sema_file_lookup(s, file, name.name, &found);
    if (found) return v;
    if (ptrmap_has(file->imports, name.name)) {
        sema_file *m = ptrmap_get(file->imports, name.name);
        return m ? (value){.kind = V_MODULE, .module = m} : sema_error_value();
    }
    if (s->prelude) {
        v = sema_file_lookup(s, s->prelude, name.name, &found);
        if (found) return v;
    }
    const builtin *p = builtin_find(name.name);
    if (p) return (value){.kind = V_BUILTIN, .builtin = p};
    dtype dt;
    if (sema_dtype_by_name(name.name, &dt)) return (value){.kind = V_DTYPE, .dt = dt};
    if (name.name == intern_z(s->names, "none")) return (value){.kind = V_NONE};

    if (name.name == intern_z(s->names, "valid")) {
        diag *g = sema_error(s, name.at, "wrong-type", "'valid' is the default of an argument, not a value");
        diag_hint(g, "leave the argument out");
        return sema_error_value();
    }
    diag *g = sema_error(s, name.at, "unknown-name", "unknown name '%s'", name.name);
    const char *meant = alias_hint(ALIAS_NAME, name.name);
    if (meant) diag_hint(g, "%s", meant);
    else hint_near(g, sema_suggest(s, name.name));
    return sema_error_value();
}

void hint_near(diag *g, const char *near)
{
    if (near) diag_hint(g, "did you mean '%s'?", near);
}

static void push_scope_names(sema *s, const scope *sc, name_list *out)
{
    for (; sc; sc = sc->parent)
        vec_foreach (binding *, b, &sc->names) vec_push(s->a, out, (*b)->name);
}

static void push_map_names(sema *s, const ptrmap *m, name_list *out)
{
    for (uint32_t i = 0; i < ptrmap_len(m); i++) vec_push(s->a, out, (const char *)ptrmap_key_at(m, i));
}

const char *sema_suggest(sema *s, const char *name)
{
    name_list list = {0};
    const frame *f = s->frame;
    for (const builder_ctx *c = f->builder; c; c = c->outer) push_scope_names(s, c->names, &list);
    push_scope_names(s, f->names, &list);
    push_scope_names(s, f->statics, &list);
    push_map_names(s, f->file->decls, &list);
    push_map_names(s, f->file->imports, &list);
    if (s->prelude) push_map_names(s, s->prelude->decls, &list);
    builtin_names(s, &list);
    vec_push(s->a, &list, "none");
    return suggest(name, list.data, list.len);
}
