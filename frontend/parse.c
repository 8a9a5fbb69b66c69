/* One file to its syntax tree; what the grammar's actions are made of. */
#include "frontend/parse.h"
#include "frontend/parser.h"

#include <stdarg.h>

diag *parse_error(parse_ctx *ctx, span at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *message = arena_vprintf(ctx->arena, fmt, ap);
    va_end(ap);
    ctx->result->failed = true;
    diag *g = diag_error(ctx->session->diags, at, "%s", message);
    diag_code(g, "syntax");
    return g;
}

ast_expr *parse_too_deep(parse_ctx *ctx, span at)
{
    if (!ctx->too_deep) {
        diag *g = parse_error(ctx, at, "nested too deeply");
        diag_code(g, "limit");
        diag_note(g, "the limit is %d levels", AST_MAX_DEPTH);
    }
    ctx->too_deep = true; /* said once: what nests goes on to be too deep */
    return ast_expr_new(ctx->arena, EX_INT, at);
}

ast_expr *parse_checked(parse_ctx *ctx, ast_expr *e)
{
    ast_expr_seal(e);
    return e->depth > AST_MAX_DEPTH ? parse_too_deep(ctx, e->at) : e;
}

ast_stmt *parse_checked_stmt(parse_ctx *ctx, ast_stmt *s)
{
    ast_stmt_seal(s);
    if (s->depth <= AST_MAX_DEPTH) return s;
    parse_too_deep(ctx, s->at);
    return ast_stmt_new(ctx->arena, ST_REQUIRE, s->at); /* requires nothing */
}

ast_expr *parse_leaf(parse_ctx *ctx, ast_expr_kind kind, ast_name name)
{
    ast_expr *e = ast_expr_new(ctx->arena, kind, name.at);
    e->name = name;
    return e;
}

ast_decl *parse_decl(parse_ctx *ctx, ast_decl_kind kind, ast_name name, span at)
{
    ast_decl *d = ARENA_NEW(ctx->arena, ast_decl);
    d->kind = kind;
    d->name = name;
    d->at = at;
    return d;
}

ast_stmt *parse_let(parse_ctx *ctx, ast_stmt_kind kind, span at, ast_names names, ast_expr *value)
{
    ast_stmt *s = ast_stmt_new(ctx->arena, kind, at);
    s->let.names = names;
    s->let.value = value;
    return parse_checked_stmt(ctx, s);
}

ast_names parse_one_name(parse_ctx *ctx, ast_name name)
{
    ast_names names = {0};
    vec_push(ctx->arena, &names, name);
    return names;
}

ast_body parse_one_stmt(parse_ctx *ctx, ast_stmt *s)
{
    ast_body b = {.at = s->at};
    vec_push(ctx->arena, &b.stmts, s);
    ast_body_seal(&b);
    return b;
}

/* A comment that can be read as a divisor, and whose name the file knows, was most likely meant as one. */
static void warn_of_comments(const parse_ctx *ctx)
{
    vec_foreach (lone_comment, c, &ctx->comments) {
        if (c->name && !ptrmap_has(ctx->seen, c->name)) continue;
        diag *g = diag_warning(ctx->session->diags, c->at, "'//' begins a comment: nothing is divided here");
        diag_code(g, "comment");
        diag_hint(g, "divide with '/', which must come out even, or floordiv(a, b)");
    }
}

/* UTF-8 is checked once for the whole file, so that every later stage and every message may assume it. */
static bool check_encoding(parse_ctx *ctx)
{
    const unsigned char *s = (const unsigned char *)ctx->file->text;
    for (uint32_t i = 0; i < ctx->file->size;) {
        uint32_t n = s[i] < 0x80                   ? 1
                     : s[i] >= 0xC2 && s[i] < 0xE0 ? 2
                     : (s[i] & 0xF0) == 0xE0       ? 3
                     : s[i] >= 0xF0 && s[i] < 0xF5 ? 4
                                                   : 0;
        bool ok = n != 0 && n <= ctx->file->size - i;
        for (uint32_t k = 1; ok && k < n; k++) ok = (s[i + k] & 0xC0) == 0x80;
        if (ok && n == 3) ok = !(s[i] == 0xE0 && s[i + 1] < 0xA0) && !(s[i] == 0xED && s[i + 1] > 0x9F);
        if (ok && n == 4) ok = !(s[i] == 0xF0 && s[i + 1] < 0x90) && !(s[i] == 0xF4 && s[i + 1] > 0x8F);
        if (!ok) {
            span at = {ctx->file->base + i, ctx->file->base + i + 1};
            diag_code(parse_error(ctx, at, "byte 0x%02X is not UTF-8", s[i]), "cannot-read");
            return false;
        }
        i += n;
    }
    return true;
}

void parse_run(parse_ctx *ctx, ast_session *s, const source_file *file)
{
    ctx->session = s;
    ctx->arena = s->arena;
    ctx->file = file;
    ctx->result = ARENA_NEW(s->arena, ast_file);
    ctx->result->source = file;
    ctx->seen = ptrmap_new(s->arena);
    if (file->size > AST_MAX_FILE) {
        diag *g = parse_error(ctx, (span){file->base, file->base + 1}, "this file is too large");
        diag_code(g, "limit");
        diag_note(g, "it has %u bytes; the limit is %u", file->size, AST_MAX_FILE);
        return;
    }
    if (!check_encoding(ctx)) return;
    parse_scan_open(ctx);
    fe_yyparse(ctx);
    parse_scan_close(ctx);
    warn_of_comments(ctx);
    if (!ctx->result->failed) doc_check(ctx);
}

ast_file *ast_parse(ast_session *s, const source_file *file)
{
    parse_ctx ctx = {0};
    parse_run(&ctx, s, file);
    return ctx.result;
}
