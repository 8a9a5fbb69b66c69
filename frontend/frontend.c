#include "frontend/frontend.h"

#include <errno.h>
#include <unistd.h>

#include "frontend/build_ir.h"

typedef struct {
    const frontend_session *s;
    const frontend_options *o;
    frontend_result *out;
} opening;

/* The path of a weights clause: relative to the model's file. */
static const char *beside(const frontend_session *s, const source_file *model, const char *path)
{
    const char *slash = strrchr(model->path, '/');
    if (*path == '/' || !slash) return path;
    return arena_printf(s->arena, "%.*s/%s", (int)(slash - model->path), model->path, path);
}

static bool open_weights(void *arg, const source_file *model, const char *clause, span at, weights_view *view,
                         bool *failed)
{
    const opening *w = arg;
    *failed = false;
    if (w->o->weights != FRONTEND_WEIGHTS_FILE) return false;
    const char *path = w->o->weights_path;
    if (!path && !clause) {
        diag *g = diag_error(w->s->diags, at, "this model names no weights file");
        diag_code(g, "no-weights");
        diag_hint(g, "add weights \"model.safetensors\", or compile with --weights=FILE or --weights=random");
        *failed = true;
        return false;
    }
    if (!path) {
        path = beside(w->s, model, clause);
        if (access(path, R_OK) != 0) { /* said at the clause; everything else that can be wrong is said of the file */
            diag *g = diag_error(w->s->diags, at, "cannot read '%s': %s", path, strerror(errno));
            diag_code(g, "cannot-read");
            diag_hint(g, "name another file with --weights=FILE, or compile with --weights=random");
            *failed = true;
            return false;
        }
    }
    w->out->weights = build_ir_open_weights(w->s, path, view);
    *failed = w->out->weights == NULL;
    return !*failed;
}

static sema_program *elaborate(const frontend_session *s, const source_file *file, const frontend_options *o,
                               frontend_result *out)
{
    ast_session as = {s->arena, s->names, s->diags};
    opening w = {s, o, out};
    sema_options so = {.arena = s->arena,
                       .names = s->names,
                       .sources = s->sources,
                       .diags = s->diags,
                       .dims = s->dims,
                       .model = o->model,
                       .embedded_only = o->embedded_only,
                       .verbs = o->verbs,
                       .open_weights = open_weights,
                       .open_arg = &w};
    return sema_run(&so, ast_parse(&as, file));
}

static bool compile(const frontend_session *s, const source_file *file, const frontend_options *o, frontend_result *out)
{
    sema_program *p = elaborate(s, file, o, out);
    if (!p) return false;
    if (o->weights != FRONTEND_WEIGHTS_NONE) out->module = build_ir(s, p, out->weights, o->seed);
    return true;
}

bool frontend_compile(const frontend_session *s, const char *path, const frontend_options *o, frontend_result *out)
{
    *out = (frontend_result){0};
    const source_file *file = diag_read(s->diags, path, path);
    return file && compile(s, file, o, out);
}

bool frontend_compile_text(const frontend_session *s, const char *name, const char *text, size_t size,
                           const frontend_options *o, frontend_result *out)
{
    *out = (frontend_result){0};
    const source_file *file = memchr(text, 0, size) ? NULL : source_add(s->sources, name, name, text, size);
    if (file) return compile(s, file, o, out);
    diag *g = diag_error(s->diags, (span){0}, "the text contains a NUL byte or is too large");
    diag_in_file(g, name);
    return false;
}
