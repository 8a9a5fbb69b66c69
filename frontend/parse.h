/* What the scanner and the parser share. Private to ast_parse. */
#ifndef FRONTEND_PARSE_H
#define FRONTEND_PARSE_H

#include "frontend/ast.h"

/* Names and strings end up in messages, so their length is bounded. */
#define PARSE_MAX_NAME 128
#define PARSE_MAX_STRING 1024

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
} parse_ctx;

/* Starts and ends scanning of ctx->file. */
void parse_scan_open(parse_ctx *ctx);
void parse_scan_close(parse_ctx *ctx);

/* Reports a mistake and marks the file as failed. */
diag *parse_error(parse_ctx *ctx, span at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
