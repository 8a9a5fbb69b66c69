/* What the scanner and the parser share. Private to ast_parse. */
#ifndef FRONTEND_PARSE_H
#define FRONTEND_PARSE_H

#include "frontend/ast.h"

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

typedef struct {
    ast_session *session;
    arena *arena; /* the session's */
    const source_file *file;
    ast_file *result;
    void *scanner;
    uint32_t offset;    /* scanner: bytes consumed */
    bool line_start;    /* scanner: no token since the last newline */
    bool first_on_line; /* the last token was the first on its line */
    bool skipping;      /* after a syntax error: drop tokens up to one at which a statement or declaration begins */
    uint32_t skipped_braces;

    VEC(doc_comment) docs; /* in the order of the file */
    strbuf doc;            /* the lines of the last of docs so far */
    bool doc_open;         /* the last of docs may go on, or belong to the next token */
    bool after_opening;    /* the last token was '(' or '{' */
    uint32_t newlines;     /* since the last token or comment */

    parse_pieces *pieces; /* all of them, up to the end of the file; NULL: not wanted */
} parse_ctx;

/* ast_parse, which leaves in *ctx what else was found. ctx->pieces is set by the caller. */
void parse_run(parse_ctx *ctx, ast_session *s, const source_file *file);

/* Starts and ends scanning of ctx->file. */
void parse_scan_open(parse_ctx *ctx);
void parse_scan_close(parse_ctx *ctx);

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
