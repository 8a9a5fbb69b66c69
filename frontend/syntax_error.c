/* Messages about syntax: where the caret belongs, what was expected, and what a user who comes from another language
 * has to write instead. */
#include "frontend/aliases.h"
#include "frontend/parse.h"

#define YYSTYPE FE_YYSTYPE
#define YYLTYPE FE_YYLTYPE
#include "frontend/parser.h"

bool parse_ends_operand(int token)
{
    return token == TOK_ID || token == TOK_INT || token == TOK_FLOAT || token == TOK_RPAREN || token == TOK_RBRACKET;
}

bool parse_begins_declaration(int token)
{
    return token == TOK_IMPORT || token == TOK_CONST || token == TOK_BLOCK || token == TOK_MODEL ||
           token == TOK_OPTIMIZE;
}

bool parse_begins_statement(int token)
{
    switch (token) {
    case TOK_LET:
    case TOK_POINT:
    case TOK_PARAM:
    case TOK_STATE:
    case TOK_FOR:
    case TOK_SCOPE:
    case TOK_IF:
    case TOK_REQUIRE:
    case TOK_RETURN:
    case TOK_YIELD: return true;
    default: return false;
    }
}

typedef struct {
    const parse_ctx *ctx;
    bool (*test)(const void *set, int token);
    const void *set;
} expectation;

static bool expects(const expectation *e, int token)
{
    return e->test(e->set, token);
}

/* ---- hints ---- */

enum { ANY = 0, INDEX = -1 /* '[' after an operand */, TOP = -2 /* outside of all braces */ };

/* The first row that fits gives the hint. */
typedef struct {
    int got, last; /* the token that is wrong and the one before it */
    int open;      /* the innermost open bracket */
    int head;      /* what the statement began with */
    int expects;   /* what could stand there */
    const char *hint;
} hint_row;

#define SLICE "a range is a..b with both ends written: x[0..3], x[3..S]; ':' alone is the whole axis"
#define STEP "ranges have no step; [i: S / 2 | x[2 * i]] takes every second element"
#define BUILDER "a tensor is made from indices by [i: S | x[i]]"
#define BODY "a body stands in braces: { ... }"
#define TYPED "every argument has a type: x: f32[B, S, D], heads: int = 12"
#define RETURNS "say what it returns: -> f32[B, S, D]"
#define AT_PATH                                                                                                       \
    "after '@' stands the path of a call's parameters; a product of tensors is einsum(\"b i k, b k j -> b i j\", x, " \
    "y)"
#define TUPLE "several results are named without parentheses: let a, b = f(x)"
#define NO_TYPE "a let has the type of its value: let h = ..."

static const hint_row rows[] = {
    {TOK_COLON, TOK_COLON, INDEX, ANY, ANY, STEP},
    {TOK_RANGE, ANY, INDEX, ANY, TOK_PLUS, STEP},
    {TOK_COLON, ANY, INDEX, ANY, ANY, SLICE},
    {ANY, TOK_COLON, INDEX, ANY, TOK_RBRACKET, SLICE},
    {ANY, TOK_RANGE, INDEX, ANY, ANY, SLICE},
    {TOK_RANGE, ANY, INDEX, ANY, ANY, SLICE},
    {TOK_RANGE, ANY, ANY, TOK_FOR, TOK_PLUS, "ranges have no step: multiply in the body"},
    {TOK_RANGE, ANY, ANY, ANY, ANY, "ranges stand in loops and indices; positions are [s: S | s]"},
    {TOK_FOR, ANY, TOK_LBRACKET, ANY, ANY, BUILDER},
    {TOK_IN, ANY, TOK_LBRACKET, ANY, ANY, BUILDER},
    {TOK_RBRACKET, ANY, TOK_LBRACKET, ANY, TOK_BAR, BUILDER},
    {TOK_IN, ANY, ANY, TOK_WHERE, ANY, "bounds are comparisons: 1 <= S, S <= 512"},
    {TOK_IN, ANY, ANY, TOK_REQUIRE, ANY, "bounds are comparisons: 1 <= S, S <= 512"},
    {TOK_AT, TOK_RPAREN, ANY, ANY, TOK_PLUS,
     "'@' names the parameters of one call: put it directly after that call, inside of the parentheses"},
    {TOK_AT, TOK_STRING, ANY, ANY, TOK_PLUS, "one '@' a call: put the names into one path, with dots"},
    {TOK_AT, ANY, ANY, ANY, TOK_PLUS, AT_PATH},
    {TOK_ID, TOK_AT, ANY, ANY, TOK_STRING, AT_PATH},
    {TOK_LPAREN, TOK_AT, ANY, ANY, TOK_STRING, "a path is one string, with names in braces: @ \"layer.{l}\""},
    {TOK_ELSE, ANY, ANY, TOK_IF, TOK_LBRACE,
     "expressions have no condition: if c { x = a } else { x = b }, or by element select(c, a, b)"},
    {TOK_COLON, ANY, ANY, ANY, TOK_LBRACE, BODY},
    {TOK_LBRACE, ANY, ANY, ANY, TOK_FLOAT, "there are no dictionaries; give each value a name: const dim = 384"},
    {TOK_COMMA, ANY, ANY, TOK_FOR, TOK_IN, "a loop has one variable: for l in 0..12"},
    {TOK_COLON, ANY, ANY, TOK_LET, TOK_ASSIGN, NO_TYPE},
    {TOK_LPAREN, ANY, ANY, TOK_LET, TOK_ID, TUPLE},
    {TOK_COMMA, ANY, TOK_LBRACE, TOK_LET, TOK_PLUS, "one let a value: let a = 1 let b = 2"},
    {TOK_COMMA, ANY, TOK_LPAREN, ANY, TOK_COLON, TYPED},
    {TOK_RPAREN, TOK_ID, TOK_LPAREN, ANY, TOK_COLON, TYPED},
    {TOK_ASSIGN, TOK_ID, TOK_LPAREN, ANY, TOK_COLON, TYPED},
    {TOK_LBRACE, ANY, ANY, ANY, TOK_ARROW, RETURNS},
    {TOK_COLON, ANY, ANY, ANY, TOK_ARROW, RETURNS},
    {TOK_RPAREN, TOK_COMMA, ANY, ANY, ANY, "remove the last comma"},
    {TOK_RBRACKET, TOK_COMMA, ANY, ANY, ANY, "remove the last comma"},
    {TOK_ASSIGN, ANY, ANY, TOK_RETURN, ANY, "results have names in the signature only: return x"},
    {TOK_ASSIGN, ANY, ANY, ANY, TOK_PLUS, "'==' compares"},
    {TOK_LET, ANY, TOP, ANY, ANY, "outside of blocks and models a value is a const: const heads = 12"},
    {TOK_PARAM, ANY, TOP, ANY, ANY, "statements stand in the braces of a block or a model"},
    {TOK_FOR, ANY, TOP, ANY, ANY, "statements stand in the braces of a block or a model"},
    {TOK_IF, ANY, TOP, ANY, ANY, "statements stand in the braces of a block or a model"},
    {TOK_RETURN, ANY, TOP, ANY, ANY, "statements stand in the braces of a block or a model"},
    {TOK_RBRACE, ANY, TOP, ANY, TOK_MODEL, "it closes nothing: remove it"},
    {TOK_STRING, ANY, TOK_LBRACE, ANY, TOK_LET, "comments begin with '//'"},
    {TOK_STRING, ANY, TOP, ANY, TOK_MODEL, "comments begin with '//'"},
    {ANY, TOK_STRING, ANY, TOK_IMPORT, TOK_AS, "give the file a name: import \"std/bert.tfx\" as bert"},
};

static bool fits(int wanted, int is)
{
    return wanted == ANY || wanted == is;
}

static const char *row_hint(const expectation *e)
{
    const parse_ctx *ctx = e->ctx;
    const parse_bracket *b = ctx->open.len ? &ctx->open.data[ctx->open.len - 1] : NULL;
    /* A bracket that is wrong itself is on the stack already. */
    if (b && b->at.begin == ctx->got.at.begin) b = ctx->open.len > 1 ? b - 1 : NULL;
    int open = !b ? TOP : b->token == TOK_LBRACKET && b->follows_operand ? INDEX : b->token;
    if (ctx->got.token == TOK_RBRACKET || ctx->got.token == TOK_RPAREN) open = ctx->popped;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const hint_row *r = &rows[i];
        if (fits(r->got, ctx->got.token) && fits(r->last, ctx->last.token) && fits(r->open, open) &&
            fits(r->head, ctx->head) && (r->expects == ANY || expects(e, r->expects)))
            return r->hint;
    }
    return NULL;
}

/* ---- the message ---- */

static const char *text_at(const parse_ctx *ctx, span at)
{
    return arena_strndup(ctx->arena, ctx->file->text + (at.begin - ctx->file->base), at.end - at.begin);
}

static bool is_comparison(int token)
{
    return token >= TOK_EQ && token <= TOK_GT;
}

static bool is_word(int token)
{
    return token >= TOK_IMPORT && token <= TOK_BY;
}

/* Told once a word: `let map = x` is the mistake, not each use of it. */
static bool is_misused_word(parse_ctx *ctx, const expectation *e)
{
    if (!is_word(ctx->got.token) || ctx->got.first || !expects(e, TOK_ID)) return false;
    uint64_t bit = UINT64_C(1) << (ctx->got.token - TOK_IMPORT);
    bool again = ctx->misused & bit;
    ctx->misused |= bit;
    return again;
}

/* "while x > 0 {", "print(x)", "y": a statement that begins with a name which nothing is assigned to. */
static bool report_no_statement(parse_ctx *ctx, const expectation *e)
{
    bool stands_alone = ctx->last.token == TOK_ID && expects(e, TOK_ASSIGN) && expects(e, TOK_LBRACKET) &&
                        !expects(e, TOK_PLUS) && !expects(e, TOK_COMMA);
    const parse_token *first = stands_alone ? &ctx->last : &ctx->got;
    if (!stands_alone && (ctx->got.token != TOK_ID || !expects(e, TOK_MODEL))) return false;
    const char *name = text_at(ctx, first->at), *word = alias_hint(ALIAS_WORD, name);
    if (word) {
        diag_hint(parse_error(ctx, first->at, "unexpected '%s'", name), "%s", word);
        return true;
    }
    if (!stands_alone) {
        diag *g = parse_error(ctx, first->at, "unexpected '%s'", name);
        diag_expected(g, "a declaration: import, const, block, model or optimize");
        diag_hint(g, "a value of the file is a const: const %s = ...", name);
        return true;
    }
    if (!first->first) { /* "let z = x y": no operator between them */
        diag_expected(parse_error(ctx, first->at, "unexpected '%s'", name), "an operator or a statement");
        return true;
    }
    if (ctx->got.token == TOK_LPAREN) {
        diag_hint(parse_error(ctx, first->at, "a call is no statement"), "use what it gives: let y = %s(...)", name);
        return true;
    }
    if (!ctx->got.first && ctx->got.token != TOK_RBRACE) return false;
    diag_hint(parse_error(ctx, first->at, "a name alone is no statement"), "to give it back write: return %s", name);
    return true;
}

static const char *line_of(const parse_ctx *ctx, srcpos p)
{
    const char *place = diag_place(ctx->session->diags, (span){p, p}), *colon = strrchr(place, ':');
    const char *line = colon;
    while (line > place && line[-1] != ':') line--;
    return arena_strndup(ctx->arena, line, (size_t)(colon - line));
}

void parse_report_syntax(parse_ctx *ctx, bool (*test)(const void *set, int token), const void *set, const char *what,
                         const char *text)
{
    const expectation e = {ctx, test, set};
    const parse_token *got = &ctx->got;
    if (is_misused_word(ctx, &e) || report_no_statement(ctx, &e)) return;
    diag *g;
    /* What is missing at the end of a line is to be written there, not before what begins the next one. */
    bool next_line = got->first && ctx->last.token && !expects(&e, TOK_LET) && !expects(&e, TOK_MODEL) &&
                     (parse_begins_statement(got->token) || parse_begins_declaration(got->token) ||
                      got->token == TOK_ID || got->token == TOK_RBRACE || !got->token);
    if (next_line) {
        g = parse_error(ctx, (span){ctx->last.at.end, ctx->last.at.end}, "unexpected end of line");
    } else {
        g = parse_error(ctx, got->at, "unexpected %s", what);
    }
    if (*text) diag_expected(g, "%s", text);
    if (next_line) diag_got(g, "%s on line %s", what, line_of(ctx, got->at.begin));
    if (is_word(got->token) && !got->first && expects(&e, TOK_ID))
        diag_note(g, "%s is a reserved word and cannot be a name", what);
    if (ctx->open.len && !expects(&e, TOK_FLOAT)) {
        const parse_bracket *b = &ctx->open.data[ctx->open.len - 1];
        bool closes = (b->token == TOK_LPAREN && expects(&e, TOK_RPAREN)) ||
                      (b->token == TOK_LBRACKET && expects(&e, TOK_RBRACKET));
        if (closes && strcmp(line_of(ctx, b->at.begin), line_of(ctx, ctx->last.at.begin)) != 0)
            diag_note(g, "'%s' was opened at %s", text_at(ctx, b->at), diag_place(ctx->session->diags, b->at));
    }
    const char *hint = row_hint(&e);
    if (ctx->divided.at.begin && next_line) {
        diag_hint(g, "'//' begins a comment: divide with '/', which must come out even, or floordiv(a, b)");
        ctx->comments.len--;
    } else if (got->token == TOK_WHERE && expects(&e, TOK_FLOAT)) {
        diag_hint(g, "to choose by element write select(cond, x, y)");
    } else if (got->token == TOK_VALID && ctx->weights_seen) {
        diag_hint(g, "'valid' stands before 'weights'");
    } else if (got->token == TOK_VALID && ctx->valid_seen) {
        diag_hint(g, "one 'valid', with commas between: valid S by mask, T by other");
    } else if (got->token == TOK_VALID && ctx->braces == 0) {
        diag_hint(
            g, "'valid S by mask' stands behind the inputs of a model; a block asks for it: mask: bool[B, S] = valid");
    } else if (got->token == TOK_WHERE && ctx->valid_seen) {
        diag_hint(g, "'where' stands before 'valid'");
    } else if (got->token == TOK_WHERE && ctx->weights_seen) {
        diag_hint(g, "'where' stands before 'weights'");
    } else if (got->token == TOK_WHERE && ctx->where_seen) {
        diag_hint(g, "one 'where', with commas between its conditions");
    } else if (is_comparison(got->token) && expects(&e, TOK_PLUS)) {
        diag_hint(g, "comparisons do not chain: write 'a < b and b < c'");
    } else if (hint) {
        diag_hint(g, "%s", hint);
    }
}
