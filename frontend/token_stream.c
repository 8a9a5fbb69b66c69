/* Tokens on their way from the scanner to the parser: which brackets are open, and what is left out behind a mistake.
 */
#include "frontend/parse.h"
#include "frontend/parser.h"

int fe_scan_lex(FE_YYSTYPE *val, span *at, void *scanner);

static void open_bracket(parse_ctx *ctx)
{
    const parse_token *t = &ctx->got;
    parse_bracket b = {t->token, t->at, parse_ends_operand(ctx->last.token), ctx->indent, ctx->head};
    vec_push(ctx->arena, &ctx->open, b);
    ctx->braces += b.token == TOK_LBRACE;
}

/* The innermost bracket of that kind and those that were left open inside of it are no longer open. */
static void close_bracket(parse_ctx *ctx, int token)
{
    uint32_t i = ctx->open.len;
    while (i > 0 && ctx->open.data[i - 1].token != token && ctx->open.data[i - 1].token != TOK_LBRACE) i--;
    if (!i || ctx->open.data[i - 1].token != token) return;
    const parse_bracket *b = &ctx->open.data[i - 1];
    if (token == TOK_LBRACE && ctx->got.first && !ctx->misindented.at.begin && ctx->indent < b->indent) {
        ctx->misindented = *b;
        ctx->misindented_end = ctx->got.at;
    }
    ctx->popped = token == TOK_LBRACKET && b->follows_operand ? -1 : token;
    ctx->open.len = i - 1; /* no brace but the one that is closed: the search ends at the first */
    ctx->braces -= token == TOK_LBRACE;
}

/* What surrounds the token, for messages. */
static void follow(parse_ctx *ctx)
{
    int token = ctx->got.token;
    switch (token) {
    case TOK_LPAREN:
    case TOK_LBRACKET:
    case TOK_LBRACE: open_bracket(ctx); break;
    case TOK_RPAREN: close_bracket(ctx, TOK_LPAREN); break;
    case TOK_RBRACKET: close_bracket(ctx, TOK_LBRACKET); break;
    case TOK_RBRACE: close_bracket(ctx, TOK_LBRACE); break;
    case TOK_WHERE:
    case TOK_VALID:
    case TOK_WEIGHTS: break; /* after the parser has seen it */
    default: break;
    }
    if (parse_begins_declaration(token) || token == TOK_ENTRY)
        ctx->where_seen = ctx->valid_seen = ctx->weights_seen = false;
    if (parse_begins_declaration(token) || parse_begins_statement(token) || token == TOK_ENTRY) ctx->head = token;
    if (token == TOK_ID && ctx->got.first && ctx->open.len && ctx->open.data[ctx->open.len - 1].token == TOK_LBRACE)
        ctx->head = token;
    if (ctx->last.token == TOK_WHERE) ctx->where_seen = true, ctx->head = TOK_WHERE;
    if (ctx->last.token == TOK_VALID && ctx->head != TOK_BLOCK) ctx->valid_seen = true, ctx->head = TOK_VALID;
    if (ctx->last.token == TOK_WEIGHTS) ctx->weights_seen = true, ctx->head = TOK_WEIGHTS;
}

static int scan_token(FE_YYSTYPE *val, span *at, parse_ctx *ctx)
{
    ctx->divided = (lone_comment){0};
    int token = fe_scan_lex(val, at, ctx->scanner);
    if (token == TOK_END) *at = (span){ctx->file->base + ctx->file->size, ctx->file->base + ctx->file->size};
    ctx->last = ctx->got;
    ctx->got = (parse_token){token, *at, ctx->first_on_line || token == TOK_END};
    ctx->line_start = false;
    if (ctx->got.first) {
        uint32_t begin = at->begin - ctx->file->base;
        ctx->indent = 0;
        while (ctx->indent < begin && ctx->file->text[begin - ctx->indent - 1] != '\n') ctx->indent++;
    }
    follow(ctx);
    doc_token(ctx, token == TOK_END ? (span){0} : *at, token == TOK_LPAREN || token == TOK_LBRACE);
    if (ctx->pieces) vec_push(ctx->arena, ctx->pieces, ((parse_piece){token, *at}));
    return token;
}

bool parse_resumes(const parse_ctx *ctx)
{
    const parse_token *t = &ctx->got;
    uint32_t open = ctx->braces;
    if (t->token == TOK_END) return true;
    if (t->token == TOK_RBRACE) return open < ctx->base;
    if (!t->first || open != ctx->base) return false;
    if (parse_begins_declaration(t->token)) return true;
    bool in_brackets = ctx->open.len && ctx->open.data[ctx->open.len - 1].token != TOK_LBRACE;
    if (ctx->base == 0)
        return ctx->indent == 0 && !in_brackets && (t->token == TOK_ID || parse_begins_statement(t->token));
    return parse_begins_statement(t->token) || t->token == TOK_ENTRY || (t->token == TOK_ID && !in_brackets);
}

void parse_forget_brackets(parse_ctx *ctx)
{
    while (ctx->open.len && ctx->open.data[ctx->open.len - 1].token != TOK_LBRACE) ctx->open.len--;
}

/* How many open brackets should have been closed before this token. */
static uint32_t left_open(const parse_ctx *ctx)
{
    int token = ctx->got.token;
    if (!ctx->braces) return 0;
    if (token == TOK_END || token == TOK_IMPORT || token == TOK_MODEL || token == TOK_OPTIMIZE) return ctx->open.len;
    if (!ctx->got.first || (token != TOK_BLOCK && token != TOK_ENTRY)) return 0;
    if (ctx->open.data[0].head != TOK_MODEL && ctx->open.data[0].head != TOK_WHERE &&
        ctx->open.data[0].head != TOK_WEIGHTS && ctx->open.data[0].head != TOK_VALID)
        return ctx->open.len;
    bool in_model = ctx->open.data[0].token == TOK_LBRACE && ctx->open.len == 1;
    return in_model ? 0 : ctx->open.len - 1;
}

static void report_left_open(parse_ctx *ctx)
{
    const parse_bracket *b = &ctx->open.data[ctx->open.len - 1];
    diags *d = ctx->session->diags;
    if (ctx->misindented.at.begin) {
        diag *g = parse_error(ctx, ctx->misindented.at, "this '{' is not closed");
        diag_note(g, "the '}' at %s closes it, but stands further left than its line",
                  diag_place(d, ctx->misindented_end));
        return;
    }
    diag *g = parse_error(ctx, b->at, "this '%s' is not closed",
                          b->token == TOK_LBRACE   ? "{"
                          : b->token == TOK_LPAREN ? "("
                                                   : "[");
    if (ctx->got.token != TOK_END) diag_note(g, "a declaration begins at %s", diag_place(d, ctx->got.at));
}

int fe_yylex(FE_YYSTYPE *val, span *at, parse_ctx *ctx)
{
    if (!ctx->closing) {
        ctx->quiet = false;
        scan_token(val, at, ctx);
        if (ctx->skipping)
            while (!parse_resumes(ctx)) scan_token(val, at, ctx);
        if (ctx->skipping) parse_forget_brackets(ctx);
        ctx->skipping = false;
        uint32_t n = left_open(ctx);
        if (!n) return ctx->got.token;
        report_left_open(ctx);
        ctx->quiet = true;
        ctx->closing = n + 1;
    }
    *at = ctx->got.at; /* the brackets, and at last the token itself: it is a word or the end, and needs no value */
    if (!--ctx->closing) return ctx->got.token;
    const parse_bracket b = ctx->open.data[--ctx->open.len];
    ctx->braces -= b.token == TOK_LBRACE;
    return b.token == TOK_LPAREN ? TOK_RPAREN : b.token == TOK_LBRACKET ? TOK_RBRACKET : TOK_RBRACE;
}
