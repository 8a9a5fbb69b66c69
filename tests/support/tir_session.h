/* Tensor IR from text, for tests: one session owns everything. */
#ifndef TESTS_SUPPORT_TIR_SESSION_H
#define TESTS_SUPPORT_TIR_SESSION_H

#include "ir/module.h"
#include "support/session.h"

#include <stdlib.h>

typedef session tir_session;

static inline tir_session tir_open(void)
{
    return session_new();
}

static inline void tir_close(tir_session *s)
{
    session_free(s);
}

/* NULL after diagnostics. */
static inline module *tir_parse_n(tir_session *s, const char *text, size_t n)
{
    const source_file *f = source_add(s->sources, "test.tir", "test.tir", text, n);
    return f ? module_parse(s->a, s->names, s->sources, s->d, f) : NULL;
}

static inline module *tir_parse(tir_session *s, const char *text)
{
    return tir_parse_n(s, text, strlen(text));
}

static inline const char *tir_text(tir_session *s, const module *m)
{
    strbuf b = strbuf_new(s->a);
    module_print(m, &b);
    return b.s;
}

static inline const char *tir_messages(tir_session *s)
{
    return session_messages(s);
}

/* A new list of diagnostics; the old one is forgotten. */
static inline void tir_forget(tir_session *s)
{
    s->d = diags_new(s->a, s->sources, 0);
}

#endif
