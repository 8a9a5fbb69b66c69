/* Names that other frameworks have for what this language writes otherwise: the table aliases.def. */
#ifndef FRONTEND_ALIASES_H
#define FRONTEND_ALIASES_H

typedef enum { ALIAS_NAME, ALIAS_MEMBER, ALIAS_TYPE, ALIAS_ARG, ALIAS_WORD } alias_kind;

/* What to write instead of `foreign`; NULL when the table does not know it. */
const char *alias_hint(alias_kind kind, const char *foreign);

#endif
