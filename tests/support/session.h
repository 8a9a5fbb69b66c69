/* What a compilation owns, for one test. */
#ifndef TESTS_SUPPORT_SESSION_H
#define TESTS_SUPPORT_SESSION_H

#include "support/diag.h"
#include "support/intern.h"

typedef struct {
    arena *a;
    interner *names;
    source_set *sources;
    diags *d;
} session;

static inline session session_new(void)
{
    session s = {.a = arena_new(NULL, NULL)};
    s.names = interner_new(s.a);
    s.sources = source_set_new(s.a);
    s.d = diags_new(s.a, s.sources, 0);
    return s;
}

static inline void session_free(session *s)
{
    arena_free(s->a);
}

/* All diagnostics so far, as the user would see them. */
static inline const char *session_messages(const session *s)
{
    strbuf b = strbuf_new(s->a);
    diags_render_text(s->d, &b);
    return b.s;
}

#endif
