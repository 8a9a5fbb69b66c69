/* See blocks.h. The text of a block's documentation is taken for Markdown as it stands. */
#include "frontend/blocks.h"

#include "frontend/format_pieces.h"
#include "frontend/parser.h"
#include "support/embedded.h"

typedef struct {
    format_pieces p;
    strbuf *out;
    const char *prefix; /* of the blocks' names where they are used: "bert." */
} printer;

/* "std/bert.tfx" is imported as bert; the prelude and a user's file need no prefix. */
static const char *prefix_of(arena *a, const char *name)
{
    size_t n = strlen(name);
    if (strncmp(name, "std/", 4) != 0 || strcmp(name, "std/prelude.tfx") == 0 || n < 8) return "";
    return arena_printf(a, "%.*s.", (int)(n - 8), name + 4);
}

/* A comment that the file begins with and that belongs to no declaration: to the first blank line or import. */
static void print_intro(printer *r)
{
    const format_pieces *p = &r->p;
    uint32_t n = 0;
    while (piece_is_comment(&p->pieces.data[n]) && !piece_is_doc(&p->pieces.data[n]) &&
           (n == 0 || p->pieces.data[n].newlines == 1))
        n++;
    const piece *next = &p->pieces.data[n];
    if (n == 0 || (next->newlines < 2 && next->kind != TOK_IMPORT && next->kind != TOK_END)) return;
    for (uint32_t i = 0; i < n; i++) {
        const piece *c = &p->pieces.data[i];
        uint32_t skip = c->length > 2 && c->text[2] == ' ' ? 3 : 2;
        strbuf_add(r->out, c->text + skip, c->length - skip);
        strbuf_addc(r->out, '\n');
    }
    strbuf_addc(r->out, '\n');
}

/* "// ---- attention ----", a heading between declarations; NULL for another comment. */
static const char *heading(const printer *r, const piece *c)
{
    static const char dashes[] = "// ---- ", end[] = " ----";
    uint32_t n = sizeof dashes - 1, m = sizeof end - 1;
    if (c->length <= n + m || memcmp(c->text, dashes, n) != 0 || memcmp(c->text + c->length - m, end, m) != 0)
        return NULL;
    return arena_strndup(r->p.a, c->text + n, c->length - n - m);
}

/* The last heading above a position, from piece *i on. */
static void print_heading(printer *r, srcpos above, uint32_t *i)
{
    const format_pieces *p = &r->p;
    const char *text = NULL;
    for (; p->file->base + (srcpos)(p->pieces.data[*i].text - p->file->text) < above; ++*i)
        if (piece_is_comment(&p->pieces.data[*i]) && heading(r, &p->pieces.data[*i]))
            text = heading(r, &p->pieces.data[*i]);
    if (text) strbuf_addf(r->out, "## %s: %s\n\n", p->file->name, text);
}

static void print_doc(printer *r, const char *doc)
{
    for (; doc && *doc; doc++) {
        strbuf_addc(r->out, *doc);
        if (*doc == '\n' && doc[1] != '\n') strbuf_adds(r->out, "  "); /* stays in the list's item */
    }
}

static void print_item(printer *r, const char *what, const char *scope, const char *name, const ast_type *type,
                       const char *doc)
{
    strbuf_addf(r->out, "- %s `%s%s`", what, scope, name);
    if (type) {
        strbuf_adds(r->out, ": `");
        pieces_print(&r->p, type->at, r->out);
        strbuf_addc(r->out, '`');
    }
    if (doc) strbuf_adds(r->out, type ? ", " : ": ");
    print_doc(r, doc);
    strbuf_addc(r->out, '\n');
}

/* What a body declares under a name that is seen from outside. */
static void print_promises(printer *r, const char *scope, const ast_body *body)
{
    vec_foreach (ast_stmt *, p, &body->stmts) {
        const ast_stmt *s = *p;
        switch (s->kind) {
        case ST_PARAM:
        case ST_STATE: {
            const char *name = s->param.path.name ? s->param.path.name : s->param.name.name;
            print_item(r, s->kind == ST_PARAM ? "param" : "state", scope, name, &s->param.type, s->doc);
            break;
        }
        case ST_POINT: print_item(r, "point", "", s->let.names.data[0].name, NULL, s->doc); break;
        case ST_FOR: print_promises(r, scope, &s->loop.body); break;
        case ST_IF:
            print_promises(r, scope, &s->branch.then);
            print_promises(r, scope, &s->branch.otherwise);
            break;
        case ST_SCOPE: {
            const char *inner = arena_printf(r->p.a, "%s%s.", scope, s->scope.path.name);
            print_promises(r, inner, &s->scope.body);
            break;
        }
        default: break;
        }
    }
}

static void print_block(printer *r, const ast_decl *d)
{
    strbuf_addf(r->out, "### %s%s\n\n    %s", r->prefix, d->name.name, d->name.name);
    pieces_print(&r->p, (span){d->code.sig.at.begin, d->code.body.at.begin}, r->out);
    strbuf_adds(r->out, "\n\n");
    if (d->doc) strbuf_addf(r->out, "%s\n\n", d->doc);
    size_t before = r->out->len;
    vec_foreach (ast_formal, f, &d->code.sig.formals)
        if (f->doc) print_item(r, "argument", "", f->name.name, NULL, f->doc);
    vec_foreach (ast_result, x, &d->code.sig.results)
        if (x->doc) print_item(r, "result", "", x->name.name ? x->name.name : "result", NULL, x->doc);
    print_promises(r, "", &d->code.body);
    if (r->out->len > before) strbuf_addc(r->out, '\n');
}

static bool print_file(ast_session *s, const source_file *file, strbuf *out)
{
    parse_pieces pieces = {0};
    parse_ctx ctx = {.pieces = &pieces};
    parse_run(&ctx, s, file);
    if (ctx.result->failed) return false;
    printer r = {.out = out, .prefix = prefix_of(s->arena, file->name)};
    pieces_read(&r.p, s->arena, file, &pieces);
    strbuf_addf(out, "## %s\n\n", file->name);
    print_intro(&r);
    uint32_t i = 0;
    vec_foreach (ast_decl *, d, &ctx.result->decls) {
        if ((*d)->kind != DECL_BLOCK) continue;
        print_heading(&r, (*d)->at.begin, &i);
        print_block(&r, *d);
    }
    return true;
}

/* A file of the standard library by its import path; NULL when there is none. */
static const source_file *library_file(source_set *sources, const char *path)
{
    for (size_t i = 0; i < std_file_count; i++)
        if (strcmp(std_files[i].name, path) == 0)
            return source_add(sources, path, path, std_files[i].text, std_files[i].size);
    return NULL;
}

static bool print_library(ast_session *s, source_set *sources, strbuf *out)
{
    static const char prelude[] = "std/prelude.tfx";
    bool ok = true;
    strbuf_adds(out,
                "# Standard library\n\n"
                "This page is generated from the `///` lines of `frontend/std/*.tfx` by `tfxc --print-blocks`; edit "
                "those.\nWhat `std/prelude.tfx` declares needs no import. A block's parameters are those it "
                "declares itself; the\nblocks that it calls have theirs, under the paths that it gives them.\n\n");
    for (int turn = 0; turn < 2; turn++) /* the prelude comes first */
        for (size_t i = 0; i < std_file_count; i++) {
            const char *name = std_files[i].name;
            const source_file *f = (strcmp(name, prelude) == 0) == (turn == 0) ? library_file(sources, name) : NULL;
            if (f) ok = print_file(s, f, out) && ok;
        }
    while (out->len > 1 && out->s[out->len - 2] == '\n') out->s[--out->len] = 0; /* one newline at the end */
    return ok;
}

bool blocks_print(ast_session *s, source_set *sources, const char *const *paths, uint32_t n, strbuf *out)
{
    bool ok = n > 0 || print_library(s, sources, out);
    for (uint32_t i = 0; i < n; i++) {
        const source_file *f = library_file(sources, paths[i]);
        if (!f) f = diag_read(s->diags, paths[i], paths[i]);
        ok = f && print_file(s, f, out) && ok;
    }
    return ok;
}
