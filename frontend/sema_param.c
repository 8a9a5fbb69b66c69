/* Parameters: their paths are their identity. */
#include "frontend/sema_internal.h"

typedef struct {
    sema_param *p;
    uint32_t owner; /* of the path it was last declared under */
    sema_function *fn;
} param_use;

span param_place(const sema *s, const sema_param *p)
{
    if (!sema_in_library(s, p->declared)) return p->declared;
    for (const sema_instance *in = p->in; in; in = in->parent)
        if (in->call.begin && !sema_in_library(s, in->call)) return in->call;
    return p->declared;
}

const char *param_story(sema *s, const sema_param *p)
{
    strbuf b = strbuf_new(s->a);
    strbuf_addf(&b, "param '%s'", p->name);
    if (p->in->block) strbuf_addf(&b, " of '%s'", p->in->written);
    strbuf_addf(&b, " (%s)", sema_where(s, p->declared));
    if (p->in->call.begin && p->in->call.begin != param_place(s, p).begin)
        strbuf_addf(&b, ", via %s", sema_where(s, p->in->call));
    return b.s;
}

/* "(out, K)": the sizes as the declaration writes them. */
static const char *shape_text(sema *s, const ast_type *t)
{
    strbuf b = strbuf_new(s->a);
    strbuf_addc(&b, '(');
    for (uint32_t i = 0; i < t->dims.len; i++)
        strbuf_addf(&b, "%s%s", i ? ", " : "", sema_source_text(s, t->dims.data[i].at));
    strbuf_addc(&b, ')');
    return b.s;
}

static bool constant_shape(sema *s, const ast_stmt *st, const sema_type *t)
{
    for (uint32_t i = 0; i < t->rank; i++) {
        if (dim_is_const(s->dims, t->shape[i], NULL)) continue;
        diag *g =
            sema_error(s, st->param.type.at, "wrong-type", "the sizes of a parameter must be known at compile time");
        diag_got(g, "%s", sema_type_text(s, t));
        return false;
    }
    return true;
}

void report_ambiguous(sema *s, const ast_stmt *st, const char *path, const sema_instance *first_in, span first)
{
    bool library;
    span call = sema_user_call(s, &library);
    const frame *f = s->frame;
    const char *what = st->kind == ST_PARAM ? "param" : "state";
    diag *g = sema_error(s,
                         library && call.begin                ? call
                         : f->call.begin && first_in != f->in ? f->call
                                                              : st->at,
                         "ambiguous-parameter", "two %s have the path '%s'",
                         st->kind == ST_PARAM ? "parameters" : "states", path);
    diag_note(g, "the first is made at %s", sema_where(s, first));
    if (first_in == f->in)
        diag_hint(g, "give each a path of its own: %s %s: ... @ \"name\"", what, st->param.name.name);
    else diag_hint(g, "give each call a path of its own: %s(...) @ \"name\"", f->in->written ? f->in->written : "f");
}

static void conflicting(sema *s, const ast_stmt *st, const param_use *u, const sema_type *t)
{
    bool library;
    span call = sema_user_call(s, &library);
    diag *g = sema_error(s, library && call.begin ? call : st->at, "parameter-types",
                         "parameter '%s' is shared, but with two types", u->p->path);
    diag_expected(g, "%s   (from %s)", sema_type_text(s, &u->p->ty), sema_where(s, param_place(s, u->p)));
    diag_got(g, "%s", sema_type_text(s, t));
}

void exec_param(sema *s, const ast_stmt *st)
{
    frame *f = s->frame;
    sema_type t;
    const char *rel = st->param.name.name;
    if (st->param.path.name && !sema_interpolate(s, st->param.path, &rel)) rel = NULL;
    binding *b = scope_add(s, f->names, st->param.name.name, BIND_PARAM, sema_error_value(), st->param.name.at);
    if (!rel || !sema_eval_type(s, &st->param.type, &t) || !constant_shape(s, st, &t)) return;

    const char *path = sema_join_path(s, f->path, rel);
    if (ptrmap_has(s->states, path)) {
        sema_error(s, st->at, "declared-twice", "'%s' is a state, too", path);
        return;
    }
    param_use *u = ptrmap_get(s->params, path);
    if (!u) {
        u = ARENA_NEW(s->a, param_use);
        u->p = ARENA_NEW(s->a, sema_param);
        *u->p = (sema_param){.id = s->program->params.len,
                             .path = path,
                             .name = st->param.name.name,
                             .ty = t,
                             .declared = st->at,
                             .in = f->in,
                             .shape_text = shape_text(s, &st->param.type)};
        const char *stack = strstr(path, "{*}");
        if (stack) {
            int64_t n = 0;
            if (t.rank) dim_is_const(s->dims, t.shape[0], &n);
            if (n < 1 || n > SEMA_MAX_LIST || strstr(stack + 1, "{*}")) {
                sema_error(s, st->at, "path", "'{*}' stands once in a path, for the first axis");
                return;
            }
            u->p->stack = (uint32_t)n;
        }
        vec_push(s->a, &s->program->params, u->p);
        ptrmap_set(s->params, path, u);
    } else if (u->fn == s->entry && u->owner == f->path_owner) {
        report_ambiguous(s, st, path, u->p->in, param_place(s, u->p));
        return;
    } else {
        bool same = u->p->ty.dt == t.dt && u->p->ty.rank == t.rank;
        for (uint32_t i = 0; same && i < t.rank; i++) same = u->p->ty.shape[i] == t.shape[i];
        if (!same) {
            conflicting(s, st, u, &t);
            return;
        }
    }
    u->owner = f->path_owner;
    u->fn = s->entry;
    sema_node *n = sn_new(s, SN_PARAM, t, st->at, NULL, 0);
    n->param = u->p;
    b->v = sema_tensor_value(n);
    vec_push(s->a, &s->param_bindings, b);
}

void warn_unused_params(sema *s)
{
    ptrmap *used = ptrmap_new(s->a); /* by place: a declaration that one call uses and another does not is no mistake */
    vec_foreach (binding *, b, &s->param_bindings)
        if ((*b)->used) ptrmap_set(used, (const void *)(uintptr_t)(*b)->at.begin, s);
    vec_foreach (binding *, b, &s->param_bindings)
        if (!ptrmap_has(used, (const void *)(uintptr_t)(*b)->at.begin))
            sema_warning(s, (*b)->at, "unused-name", "parameter '%s' is never used", (*b)->name);
}
