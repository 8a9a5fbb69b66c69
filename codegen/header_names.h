/* Names for a generated header: C identifiers made from names of a model, no two the same. */
#ifndef CODEGEN_HEADER_NAMES_H
#define CODEGEN_HEADER_NAMES_H

#include "support/strbuf.h"
#include "support/vec.h"

typedef struct {
    arena *a;
    VEC(const char *) taken;
} name_set;

void names_init(name_set *n, arena *a);
void names_copy(name_set *n, const name_set *from);
void names_reserve(name_set *n, const char *name);
/* The formatted text as an identifier: bytes that identifiers lack become '_'; while it is taken, "_2", "_3" ... is
 * tried. */
const char *names_unique(name_set *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for a name that is the stem of others: it and it followed by each suffix (a list that ends with NULL) are
 * free, and taken together. */
const char *names_stem(name_set *n, const char *const *suffixes, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "Pixels" -> "PIXELS", in the arena; ASCII only. */
const char *names_upper(arena *a, const char *s);
/* Text for the inside of a comment: what would end it, begin another, or draw a warning there (trigraphs, bytes that
 * are not UTF-8, marks that turn the direction of text) is taken apart or left out. Further lines begin with " *". */
const char *names_comment(arena *a, const char *s);
/* The same for documentation: long lines are broken at blanks. */
const char *names_doc(arena *a, const char *s);

#endif
