/* The formatter: one way to write each program, close to how it was written. docs/language.md says what it does. */
#ifndef FRONTEND_FORMAT_H
#define FRONTEND_FORMAT_H

#include "frontend/ast.h"

/* Columns of a line before it is broken; comments and what has no place to break at may be longer. */
#define FORMAT_WIDTH 120

/* Appends the formatted text of a file to `out`. False when it cannot be formatted, with at least one error in the
 * diags: it has syntax errors, or would grow over AST_MAX_FILE. `sources` is what the file is in. */
bool format_file(ast_session *s, source_set *sources, const source_file *file, strbuf *out);

/* Rewrites each file in its place ("-": standard input to standard output); with `check` only says, by an error, what
 * it would change. False after errors. */
bool format_files(ast_session *s, source_set *sources, const char *const *paths, uint32_t n, bool check);

#endif
