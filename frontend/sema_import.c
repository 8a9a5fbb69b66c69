/* Files: the standard library inside the compiler, and files beside the one that imports them. */
#include "frontend/sema_internal.h"
#include "support/embedded.h"

/* The standard library's text by its import path; NULL when there is no such file. */
static const std_file *std_lookup(const char *path)
{
    for (size_t i = 0; i < std_file_count; i++)
        if (strcmp(std_files[i].name, path) == 0) return &std_files[i];
    return NULL;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* "std/bert.tfx": "bert."; "std/prelude.tfx": ""; a user's "a/app.tfx": "app.tfx:", which no library block can be. */
static const char *canonical_prefix(sema *s, const char *path, bool embedded)
{
    const char *base = base_name(path);
    if (!embedded) return arena_printf(s->a, "%s:", base);
    if (strcmp(base, "prelude.tfx") == 0) return "";
    size_t n = strlen(base);
    if (n > 4 && strcmp(base + n - 4, ".tfx") == 0) n -= 4;
    return arena_printf(s->a, "%.*s.", (int)n, base);
}

static void declare(sema *s, sema_file *f, ast_decl *d)
{
    decl_entry *old = ptrmap_get(f->decls, d->name.name);
    if (old || ptrmap_has(f->imports, d->name.name)) {
        diag *g = sema_error(s, d->name.at, "declared-twice", "'%s' is declared twice", d->name.name);
        if (old) diag_note(g, "first at %s", sema_where(s, old->decl->name.at));
        return;
    }
    decl_entry *e = ARENA_NEW(s->a, decl_entry);
    e->decl = d;
    e->state = d->kind == DECL_CONST ? BIND_PENDING : BIND_READY;
    if (d->kind == DECL_BLOCK) {
        block_ref *b = ARENA_NEW(s->a, block_ref);
        *b = (block_ref){d, f, NULL, arena_printf(s->a, "%s%s", f->canonical, d->name.name)};
        e->v = (value){.kind = V_BLOCK, .block = b};
    }
    ptrmap_set(f->decls, d->name.name, e);
}

/* "a/b/../c/./d" -> "a/c/d", so that one file has one identity. Leading ".." stay. */
static const char *normalise(sema *s, const char *path)
{
    struct {
        const char *s;
        size_t n;
    } part[128];
    uint32_t n = 0;
    bool absolute = *path == '/';
    for (const char *p = path; *p;) {
        size_t len = strcspn(p, "/");
        bool up = len == 2 && p[0] == '.' && p[1] == '.';
        if (len == 0 || (len == 1 && p[0] == '.')) {
            ;
        } else if (up && n && !(part[n - 1].n == 2 && part[n - 1].s[0] == '.' && part[n - 1].s[1] == '.')) {
            n--;
        } else {
            if (n == sizeof part / sizeof *part) return path;
            part[n].s = p;
            part[n++].n = len;
        }
        p += len + (p[len] == '/');
    }
    strbuf b = strbuf_new(s->a);
    if (absolute) strbuf_addc(&b, '/');
    for (uint32_t i = 0; i < n; i++) {
        if (i) strbuf_addc(&b, '/');
        strbuf_add(&b, part[i].s, part[i].n);
    }
    return b.s;
}

sema_file *sema_file_new(sema *s, ast_file *ast, const char *path, bool embedded)
{
    sema_file *f = ARENA_NEW(s->a, sema_file);
    f->source = ast->source;
    f->path = embedded ? path : normalise(s, path);
    f->ast = ast;
    f->embedded = embedded;
    f->canonical = canonical_prefix(s, path, embedded);
    f->decls = ptrmap_new(s->a);
    f->imports = ptrmap_new(s->a);
    vec_push(s->a, &s->files, f);
    vec_foreach (ast_decl *, d, &ast->decls)
        if ((*d)->kind == DECL_CONST || (*d)->kind == DECL_BLOCK) declare(s, f, *d);
    return f;
}

static const char *beside(sema *s, const char *file, const char *path)
{
    const char *slash = strrchr(file, '/');
    if (*path == '/' || !slash) return normalise(s, path);
    return normalise(s, arena_printf(s->a, "%.*s/%s", (int)(slash - file), file, path));
}

static sema_file *parse_file(sema *s, const source_file *src, const char *path, bool embedded)
{
    sema_file *f = NULL;
    ast_session session = {s->a, s->names, s->diags};
    f = sema_file_new(s, ast_parse(&session, src), path, embedded);
    sema_load_imports(s, f);
    return f;
}

static sema_file *find_loaded(sema *s, const char *path, bool embedded)
{
    vec_foreach (sema_file *, f, &s->files)
        if ((*f)->embedded == embedded && strcmp((*f)->path, path) == 0) return *f;
    return NULL;
}

static sema_file *load(sema *s, const sema_file *from, ast_name import)
{
    bool embedded = from->embedded || strncmp(import.name, "std/", 4) == 0;
    const char *path = embedded ? import.name : beside(s, from->path, import.name);
    sema_file *f = find_loaded(s, path, embedded);
    if (f && f->loading) {
        diag *g = sema_error(s, import.at, "import-cycle", "'%s' imports itself", path);
        if (f->source != from->source) diag_note(g, "through %s", from->source->name);
        return NULL;
    }
    if (f) return f;
    if (s->files.len >= SEMA_MAX_IMPORTS) {
        sema_error(s, import.at, "limit", "more than %d files are imported", SEMA_MAX_IMPORTS);
        return NULL;
    }
    if (embedded) {
        const std_file *std = std_lookup(path);
        if (!std) {
            diag *g = sema_error(s, import.at, "cannot-read", "the standard library has no '%s'", path);
            name_list names = {0};
            for (size_t i = 0; i < std_file_count; i++) vec_push(s->a, &names, std_files[i].name);
            const char *near = suggest(path, names.data, names.len);
            if (near) diag_hint(g, "did you mean '%s'?", near);
            return NULL;
        }
        const source_file *src = source_add(s->o->sources, std->name, std->name, std->text, std->size);
        return src ? parse_file(s, src, path, true) : NULL;
    }
    const char *why = "reading files is not allowed here";
    const source_file *src = s->o->embedded_only ? NULL : source_read(s->o->sources, path, path, &why);
    if (!src) {
        sema_error(s, import.at, "cannot-read", "cannot read '%s': %s", path, why);
        return NULL;
    }
    return parse_file(s, src, path, false);
}

void sema_load_imports(sema *s, sema_file *f)
{
    f->loading = true;
    vec_foreach (ast_decl *, p, &f->ast->decls) {
        const ast_decl *d = *p;
        if (d->kind != DECL_IMPORT) continue;
        if (ptrmap_has(f->decls, d->name.name) || ptrmap_has(f->imports, d->name.name)) {
            sema_error(s, d->name.at, "declared-twice", "'%s' is declared twice", d->name.name);
            continue;
        }
        ptrmap_set(f->imports, d->name.name, load(s, f, d->import_path));
    }
    f->loading = false;
}

void sema_load_prelude(sema *s)
{
    static const char path[] = "std/prelude.tfx";
    const std_file *std = std_lookup(path);
    if (!std) return;
    const source_file *src = source_add(s->o->sources, path, path, std->text, std->size);
    if (src) s->prelude = parse_file(s, src, path, true);
}
