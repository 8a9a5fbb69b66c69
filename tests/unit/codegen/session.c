#include "session.h"

#include <stdio.h>

#include "unit/cmocka_all.h"

const char *session_diags(const session *s)
{
    return session_messages(s);
}

void session_print_diags(const session *s)
{
    fputs(session_diags(s), stderr);
}

static kmodule *parse(session *s, const source_file *f)
{
    kmodule *m = kmodule_parse(s->a, s->names, s->sources, s->d, f);
    if (!m || !kmodule_verify(m, s->d)) {
        session_print_diags(s);
        fail_msg("%s does not parse", f->name);
    }
    return m;
}

kmodule *session_parse(session *s, const char *name, const char *text)
{
    return parse(s, source_add(s->sources, name, name, text, strlen(text)));
}

kmodule *session_read(session *s, const char *path)
{
    const char *why = NULL;
    const source_file *f = source_read(s->sources, path, path, &why);
    if (!f) fail_msg("%s: %s", path, why);
    return parse(s, f);
}
