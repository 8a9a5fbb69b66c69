/* What the scanner and the parser share. Private to ast_parse. */
#ifndef FRONTEND_PARSE_H
#define FRONTEND_PARSE_H

#include "frontend/ast.h"
#include "support/intern.h"

/* Names and strings end up in messages, so their length is bounded. */
#define PARSE_MAX_NAME 128
#define PARSE_MAX_STRING 1024

/* `///` lines that stand together. */
typedef struct {
    srcpos before;    /* the token that follows; 0: none directly */
    span at;          /* the first line */
    const char *text; /* its lines, joined by newlines; NULL: they are empty */
    bool trailing;    /* stands after something on its line */
    bool used;
} doc_comment;

/* A token or a comment, for the formatter. */
typedef struct {
    int kind; /* a TOK_ of parser.h, or PARSE_COMMENT */
    span at;
} parse_piece;
typedef VEC(parse_piece) parse_pieces;
enum { PARSE_COMMENT = -1 };

/* A token as the parser saw it; token 0: the end, or none yet. */
typedef struct {
    int token;
    span at;
    bool first; /* on its line */
} parse_token;

/* A bracket that is open: '(' '[' '{'. */
typedef struct {
    int token;
    span at;
    bool follows_operand; /* "x[": an index or a type; "f(": a call */
    uint32_t indent;      /* of the line that it stands on */
    int head;             /* '{': what it belongs to: TOK_MODEL, TOK_FOR, ... */
} parse_bracket;

/* A comment that could have been meant as a division, with the name it begins with (NULL: a number). */
typedef struct {
    const char *name;
    span at; /* of its "//"; begin 0: none */
} lone_comment;

typedef struct {
    ast_session *session;
    arena *arena; /* the session's */
    const source_file *file;
    ast_file *result;
    void *scanner;
    uint32_t offset;    /* scanner: bytes consumed */
    bool line_start;    /* scanner: no token since the last newline */
    bool first_on_line; /* the last token was the first on its line */

    /* What messages about syntax are made of. */
    parse_token got, last; /* the token before the parser, and the one before that */
    VEC(parse_bracket) open;
    uint32_t braces;      /* among them */
    int popped;           /* what `got` closed, as the table of syntax_error.c calls it */
    uint32_t indent;      /* of the line: the column of its first token */
    int head;             /* the word that the statement or declaration began with; TOK_ID for "x = ..." */
    bool where_seen;      /* in this declaration */
    bool valid_seen;      /* the same */
    bool weights_seen;    /* the same */
    lone_comment divided; /* since the last token */
    VEC(lone_comment) comments;
    ptrmap *seen;              /* names of the file */
    uint64_t misused;          /* reserved words that were used as names, a bit each */
    parse_bracket misindented; /* closed by a bracket that seems to belong to an outer one; at.begin 0: none */
    span misindented_end;

    /* After a syntax error tokens are dropped up to one at which a statement or a declaration begins. */
    bool skipping;
    uint32_t base; /* braces open around the mistake */
    bool fresh;    /* the last error was not at the token of the error before it */
    uint32_t failed_at;
    uint32_t closing; /* brackets that are closed for the user before `got` is handed out */
    bool quiet;       /* while that lasts */
    srcpos told;      /* where the scanner reported the last mistake */
    bool too_deep;    /* has been reported */

    VEC(doc_comment) docs; /* in the order of the file */
    strbuf doc;            /* the lines of the last of docs so far */
    bool doc_open;         /* the last of docs may go on, or belong to the next token */
    bool after_opening;    /* the last token was '(' or '{' */
    uint32_t newlines;     /* since the last token or comment */

    parse_pieces *pieces; /* all of them, up to the end of the file; NULL: not wanted */
} parse_ctx;

/* ast_parse, which leaves in *ctx what else was found. ctx->pieces is set by the caller. */
void parse_run(parse_ctx *ctx, ast_session *s, const source_file *file);

/* Whether an expression can end with this token. */
bool parse_ends_operand(int token);
bool parse_begins_statement(int token); /* with a word */
bool parse_begins_declaration(int token);
/* Where and how the token in ctx->got is wrong, as an error. `expected` tells of each token, by its number, whether it
 * could stand there; `text` lists them; `what` is the wrong one (syntax_error.c). */
void parse_report_syntax(parse_ctx *ctx, bool (*expected)(const void *set, int token), const void *set,
                         const char *what, const char *text);

/* Starts and ends scanning of ctx->file. */
void parse_scan_open(parse_ctx *ctx);
void parse_scan_close(parse_ctx *ctx);

/* What the grammar's actions make of what they have read (parse.c). Trees that are too deep are reported, and replaced.
 */
ast_expr *parse_too_deep(parse_ctx *ctx, span at);
ast_expr *parse_checked(parse_ctx *ctx, ast_expr *e);
ast_stmt *parse_checked_stmt(parse_ctx *ctx, ast_stmt *s);
ast_expr *parse_leaf(parse_ctx *ctx, ast_expr_kind kind, ast_name name);
ast_decl *parse_decl(parse_ctx *ctx, ast_decl_kind kind, ast_name name, span at);
ast_stmt *parse_let(parse_ctx *ctx, ast_stmt_kind kind, span at, ast_names names, ast_expr *value);
ast_names parse_one_name(parse_ctx *ctx, ast_name name);
ast_body parse_one_stmt(parse_ctx *ctx, ast_stmt *s);

/* Where parsing can go on after a mistake (token_stream.c): the start of a statement or declaration on a line of its
 * own, the end of the body, the end. Outside of all braces that is a declaration, or what stands at the margin as one
 * does. */
bool parse_resumes(const parse_ctx *ctx);
/* Brackets that a mistake left open are forgotten, up to the innermost brace. */
void parse_forget_brackets(parse_ctx *ctx);

/* Documentation (docs.c). The scanner tells what it meets; the parser asks what stands directly before a position. */
void doc_line(parse_ctx *ctx, span at, const char *text, size_t n);
void doc_skip_comment(parse_ctx *ctx, span at);
void doc_token(parse_ctx *ctx, span at, bool opening);
const char *doc_before(parse_ctx *ctx, srcpos at); /* NULL: nothing */
/* Warns of what nothing asked for. */
void doc_check(parse_ctx *ctx);

/* Reports a mistake and marks the file as failed. */
diag *parse_error(parse_ctx *ctx, span at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
