#include "frontend/aliases.h"

#include <stddef.h>
#include <string.h>

static const struct {
    alias_kind kind;
    const char *foreign, *hint;
} rows[] = {
#define ALIAS(kind, foreign, hint) {ALIAS_##kind, #foreign, hint},
#include "frontend/aliases.def"
#undef ALIAS
};

static const char *find(alias_kind kind, const char *foreign)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].kind == kind && strcmp(rows[i].foreign, foreign) == 0) return rows[i].hint;
    return NULL;
}

const char *alias_hint(alias_kind kind, const char *foreign)
{
    const char *hint = find(kind, foreign);
    return !hint && kind == ALIAS_MEMBER ? find(ALIAS_NAME, foreign) : hint;
}
