/* An index of blocks, made from their documentation: tfxc --print-blocks and docs/stdlib.md. */
#ifndef FRONTEND_BLOCKS_H
#define FRONTEND_BLOCKS_H

#include "frontend/ast.h"

/* Appends the blocks of these files as Markdown: signature, documentation, parameters, promised points. A path is one
 * of the standard library ("std/bert.tfx") or of a file on disk. Without paths the whole standard library, with a
 * title: docs/stdlib.md. False after errors. */
bool blocks_print(ast_session *s, source_set *sources, const char *const *paths, uint32_t n, strbuf *out);

#endif
