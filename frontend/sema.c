/* The run as a whole, and how mistakes are reported. */
#include "frontend/sema_internal.h"

enum { TRACE_HEAD = 3 }; /* innermost calls shown of a long trace; the outermost is shown too */

/* How the place of a mistake was reached: the calls from the body that `at` is in, outwards. */
static const char *trace_text(const sema *s, span at)
{
    const frame *from = s->frame;
    for (const frame *f = s->frame; f; f = f->caller)
        if (f->caller && (f->checking_args || (f->call.begin == at.begin && at.begin))) from = f->caller;
    uint32_t depth = 0, i = 0;
    for (const frame *f = from; f && f->caller; f = f->caller) depth++;
    strbuf b = strbuf_new(s->a);
    for (const frame *f = from; f && f->caller; f = f->caller, i++) {
        if (i == TRACE_HEAD && depth > TRACE_HEAD + 1) strbuf_adds(&b, ", ...");
        if (i >= TRACE_HEAD && i + 1 < depth) continue;
        strbuf_addf(&b, "%sin '%s', called at %s", b.len ? ", " : "", f->in->written, sema_where(s, f->call));
    }
    return b.len ? b.s : NULL;
}

/* The trace stands last in a message, so it is added when the next message begins. */
void sema_close_error(sema *s)
{
    if (s->open && s->open_trace) diag_note(s->open, "%s", s->open_trace);
    s->open = NULL;
}

bool sema_in_library(const sema *s, span at)
{
    const source_file *here = source_of(s->o->sources, at.begin);
    vec_foreach (sema_file *, f, &s->files)
        if ((*f)->source == here) return (*f)->embedded;
    return false;
}

/* The call, in a file of the user's, that led into the part of the standard library where `at` is; NULL when `at` is in
 * a file of the user's. Its `caller` is the user's block. */
static const frame *user_frame(const sema *s, span at)
{
    if (!sema_in_library(s, at)) return NULL;
    for (const frame *f = s->frame; f && f->caller; f = f->caller)
        if (!f->caller->file->embedded) return f->call.begin ? f : NULL;
    return NULL;
}

/* "in 'linear' at std/prelude.tfx:6:11", and how the user's block was reached. */
static const char *inside_text(const sema *s, const frame *user, span inner)
{
    const char *outer = trace_text(s, user->call);
    const char *name = s->frame->decl ? s->frame->decl->name.name : user->in->written;
    return arena_printf(s->a, "in '%s' at %s%s%s", name, sema_where(s, inner), outer ? ", " : "", outer ? outer : "");
}

/* Where a dim has no bound, which has been said, these say the same again. */
static bool depends_on_bounds(const char *code)
{
    static const char *const codes[] = {"index-range", "limit", "does-not-fit", "overflow"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strcmp(code, codes[i]) == 0) return true;
    return false;
}

static diag *report(sema *s, diag_severity severity, span at, const char *code, const char *fmt, va_list ap)
{
    sema_close_error(s);
    const char *message = arena_vprintf(s->a, fmt, ap);
    const span inner = at;
    const frame *user = user_frame(s, at);
    if (user) at = user->call;
    const void *place = (const void *)(((uintptr_t)at.begin << 32 | at.end) * 2 + (severity == DIAG_ERROR));
    bool again = ptrmap_has(s->reported, place) || (severity == DIAG_WARNING && s->warnings++ >= SEMA_MAX_WARNINGS);
    ptrmap_set(s->reported, place, s);
    if (again && ++s->repeats >= SEMA_MAX_REPEATS) s->stopped = true;
    if (s->unbounded && depends_on_bounds(code)) again = true;
    diag *g = diag_add(again ? s->sink : s->diags, severity, at, "%s", message);
    diag_code(g, code);
    s->open = g;
    s->open_trace = trace_text(s, at);
    if (user) s->open_trace = inside_text(s, user, inner);
    return g;
}

diag *sema_error(sema *s, span at, const char *code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    diag *g = report(s, DIAG_ERROR, at, code, fmt, ap);
    va_end(ap);
    s->failed = true;
    if (diags_full(s->diags)) s->stopped = true;
    return g;
}

diag *sema_warning(sema *s, span at, const char *code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    diag *g = report(s, DIAG_WARNING, at, code, fmt, ap);
    va_end(ap);
    return g;
}

bool sema_step(sema *s, span at)
{
    if (s->stopped) return false;
    if (++s->steps <= SEMA_MAX_STEPS && s->program->n_nodes <= SEMA_MAX_NODES) return true;
    diag *g = sema_error(s, at, "limit", "the model grows too large when its loops and blocks are unrolled");
    diag_note(g, "the limits are %u steps and %u operations", SEMA_MAX_STEPS, SEMA_MAX_NODES);
    s->stopped = true;
    return false;
}

bool sema_enter(sema *s, span at)
{
    if (s->recursion < SEMA_MAX_RECURSION) return ++s->recursion;
    sema_error(s, at, "limit", "blocks and expressions nest too deeply here");
    s->stopped = true;
    return false;
}

span sema_user_call(const sema *s, bool *inside_library)
{
    span at = {0};
    *inside_library = s->frame && s->frame->file->embedded;
    for (const frame *f = s->frame; f; f = f->caller)
        if (f->caller && !f->caller->file->embedded && f->call.begin) return f->call;
    return at;
}

const char *sema_where(const sema *s, span at)
{
    return diag_place(s->diags, at);
}

value sema_error_value(void)
{
    return (value){.kind = V_ERROR};
}

/* Which model: the one asked for, or the only one. */
static const ast_decl *choose_model(sema *s)
{
    const ast_decl *found = NULL;
    const ast_decls *decls = &s->root->ast->decls;
    name_list names = {0};
    vec_foreach (ast_decl *, p, decls) {
        const ast_decl *d = *p;
        if (d->kind != DECL_MODEL) continue;
        vec_push(s->a, &names, d->name.name);
        if (s->o->model && strcmp(d->name.name, s->o->model) != 0) continue;
        if (found) {
            diag *g = sema_error(s, d->name.at, "which-model", "this file has several models");
            diag_note(g, "the first is '%s' at %s", found->name.name, sema_where(s, found->name.at));
            diag_hint(g, "choose one with --model=NAME");
            return NULL;
        }
        found = d;
    }
    if (found) return found;
    span start = {s->root->source->base, s->root->source->base + (s->root->source->size > 0)};
    if (s->o->model && names.len) {
        diag *g = sema_error(s, start, "unknown-name", "this file has no model '%s'", s->o->model);
        const char *near = suggest(s->o->model, names.data, names.len);
        if (near) diag_hint(g, "did you mean '%s'?", near);
    } else {
        sema_error(s, start, "no-model", "this file has no model");
    }
    return NULL;
}

sema_program *sema_run(const sema_options *o, ast_file *root)
{
    sema *s = ARENA_NEW(o->arena, sema);
    s->o = o;
    s->a = o->arena;
    s->names = o->names;
    s->dims = o->dims;
    s->diags = o->diags;
    s->program = ARENA_NEW(s->a, sema_program);
    s->program->dims = o->dims;
    s->reported = ptrmap_new(s->a);
    s->params = ptrmap_new(s->a);
    s->states = ptrmap_new(s->a);
    s->sink = diags_new(s->a, o->sources, 1);

    s->root = sema_file_new(s, root, root->source->path, false);
    sema_load_prelude(s);
    sema_load_imports(s, s->root);
    bool parsed = true;
    for (uint32_t i = 0; i < s->files.len; i++) parsed &= !s->files.data[i]->ast->failed;
    s->failed |= !parsed;
    if (parsed) {
        s->model = choose_model(s);
        if (s->model) {
            elaborate_model(s);
            if (!s->stopped) check_policies(s, !s->failed);
        }
        if (s->model && !s->stopped) check_weights(s);
    }
    sema_close_error(s);
    assert(!s->failed || diags_errors(s->diags) > 0);
    return s->failed ? NULL : s->program;
}
