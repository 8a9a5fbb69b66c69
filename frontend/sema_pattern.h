/* Patterns of einsum and rearrange: "b s (h d) -> b h s d". Parsed here so that carets land inside the string. */
#ifndef FRONTEND_SEMA_PATTERN_H
#define FRONTEND_SEMA_PATTERN_H

#include "frontend/sema_internal.h"

#define PATTERN_MAX_SIDES 8
#define PATTERN_MAX_AXES 32
#define PATTERN_ELLIPSIS "..."
#define PATTERN_ONE "1"

typedef struct {
    const char *name; /* interned: an axis, "..." or "1" */
    span at;
    uint8_t group; /* which top-level position it belongs to: axes in one pair of parentheses share it */
} pattern_axis;

typedef struct {
    uint32_t n;
    pattern_axis axis[PATTERN_MAX_AXES];
    uint32_t groups;
    span at;
} pattern_side;

typedef struct {
    uint32_t n_inputs;
    pattern_side input[PATTERN_MAX_SIDES];
    pattern_side output;
    span at;                /* the whole string */
    const char *dots, *one; /* the interned "..." and "1" */
} pattern;

/* Parses the pattern in v, a V_STRING. `groups`: whether parentheses are allowed. False after reporting. */
bool pattern_parse(sema *s, const value *v, span at, bool groups, pattern *out);
/* The index of a name in a side, or -1. */
int pattern_find(const pattern_side *side, const char *name);
uint32_t pattern_ellipses(const pattern *p, const pattern_side *side);

#endif
