#include "session.h"

#include <stdio.h>
#include <stdlib.h>

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

static char directory[] = "/tmp/tfxc-codegen-XXXXXX";

int directory_make(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

int directory_remove(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command);
}

const char *directory_path(void)
{
    return directory;
}

char *in_directory(session *s, const char *name)
{
    return arena_printf(s->a, "%s/%s", directory, name);
}
