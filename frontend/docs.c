/* Documentation: `///` lines belong to what begins directly below them.
 *
 * The grammar does not know them, so they may stand between any two tokens. The scanner collects lines that stand
 * together and notes which token follows; the parser, once it has read something that can be documented, asks for what
 * stands before its first token. What nobody asked for is warned of, for it would be lost. */
#include "frontend/parse.h"

enum { MAX_WARNINGS = 20 };

/* The line after `///` without the blank that sets it off, blanks at its end, and control characters. */
static void add_line(strbuf *b, const char *text, size_t n)
{
    text += 3, n -= 3;
    if (n && *text == ' ') text++, n--;
    while (n && (unsigned char)text[n - 1] <= ' ') n--;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        strbuf_addc(b, c < ' ' || c == 0x7F ? ' ' : (char)c);
    }
}

static void close_doc(parse_ctx *ctx, srcpos before)
{
    if (!ctx->doc_open) return;
    ctx->doc_open = false;
    doc_comment *d = &vec_last(&ctx->docs);
    d->before = before;
    const char *s = ctx->doc.s;
    size_t n = ctx->doc.len;
    while (n && s[n - 1] == '\n') n--;
    while (n && *s == '\n') s++, n--;
    if (n) d->text = arena_strndup(ctx->arena, s, n);
}

/* A comment follows; a blank line before it separates it from the lines above. */
static void next_comment(parse_ctx *ctx, span at)
{
    if (ctx->newlines > 1) close_doc(ctx, 0);
    ctx->newlines = 0;
    if (ctx->pieces) vec_push(ctx->arena, ctx->pieces, ((parse_piece){PARSE_COMMENT, at}));
}

void doc_skip_comment(parse_ctx *ctx, span at)
{
    next_comment(ctx, at);
}

void doc_line(parse_ctx *ctx, span at, const char *text, size_t n)
{
    next_comment(ctx, at);
    bool trailing = !ctx->line_start && !ctx->after_opening;
    if (!ctx->doc_open) {
        doc_comment d = {.at = at, .trailing = trailing};
        vec_push(ctx->arena, &ctx->docs, d);
        ctx->doc = strbuf_new(ctx->arena);
        ctx->doc_open = true;
    } else {
        strbuf_addc(&ctx->doc, '\n');
    }
    add_line(&ctx->doc, text, n);
    if (trailing) close_doc(ctx, 0);
}

void doc_token(parse_ctx *ctx, span at, bool opening)
{
    close_doc(ctx, ctx->newlines > 1 ? 0 : at.begin);
    ctx->newlines = 0;
    ctx->after_opening = opening;
}

const char *doc_before(parse_ctx *ctx, srcpos at)
{
    /* Docs are in the order of the file: the last one that begins before `at` is the only candidate. */
    uint32_t lo = 0, hi = ctx->docs.len;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (ctx->docs.data[mid].at.begin < at) lo = mid + 1;
        else hi = mid;
    }
    if (lo == 0 || ctx->docs.data[lo - 1].before != at) return NULL;
    ctx->docs.data[lo - 1].used = true;
    return ctx->docs.data[lo - 1].text;
}

void doc_check(parse_ctx *ctx)
{
    int n = 0;
    vec_foreach (doc_comment, d, &ctx->docs) {
        if (d->used || n++ >= MAX_WARNINGS) continue;
        diag *g = diag_warning(ctx->session->diags, d->at, "this documentation belongs to nothing");
        diag_code(g, "stray-documentation");
        if (d->trailing) diag_hint(g, "put it on a line of its own, above what it documents, or begin it with '//'");
        else
            diag_hint(g, "'///' documents what begins below it: a model, entry, block, argument, result, param, state, "
                         "point or const");
    }
}
