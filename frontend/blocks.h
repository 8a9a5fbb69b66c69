/* An index of blocks, made from their documentation: tfxc --print-blocks and docs/stdlib.md. */
#ifndef FRONTEND_BLOCKS_H
#define FRONTEND_BLOCKS_H

#include "frontend/ast.h"

/* Appends the blocks of one file as Markdown: signature, documentation, parameters, promised points. False when the
 * file has syntax errors, which are in the diags. */
bool blocks_print(ast_session *s, const source_file *file, strbuf *out);

/* The same of the whole standard library, with a title: docs/stdlib.md. */
bool blocks_print_library(ast_session *s, source_set *sources, strbuf *out);

/* The text of a file of the standard library, by its import path; NULL when there is none. */
const source_file *blocks_library_file(source_set *sources, const char *path);

#endif
