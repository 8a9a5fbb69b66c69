#include "unit/kir/session.h"

#include "unit/cmocka_all.h"

#include <stdio.h>

void expect_message(session *s, const char *text)
{
    const char *all = session_messages(s);
    if (!strstr(all, text)) fail_msg("expected a message with\n    %s\ngot:\n%s", text, all);
}

void expect_silence(session *s)
{
    if (diags_errors(s->d) || diags_warnings(s->d)) fail_msg("unexpected messages:\n%s", session_messages(s));
}

kmodule *parse_text(session *s, const char *text)
{
    const source_file *f = source_add(s->sources, "t.kir", "t.kir", text, strlen(text));
    assert_non_null(f);
    return kmodule_parse(s->a, s->names, s->sources, s->d, f);
}

kmodule *parse_valid(session *s, const char *text)
{
    kmodule *m = parse_text(s, text);
    if (!m || !kmodule_verify(m, s->d)) fail_msg("%s", session_messages(s));
    return m;
}

char *read_golden(session *s, const char *name)
{
    const char *path = arena_printf(s->a, "tests/golden/kir/%s", name);
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("cannot open %s", path);
    strbuf b = strbuf_new(s->a);
    char chunk[4096];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;) strbuf_add(&b, chunk, n);
    fclose(f);
    return b.s;
}

static char *replaced(session *s, const char *text, const char *old, const char *with, int *count)
{
    strbuf b = strbuf_new(s->a);
    const char *at = text, *hit;
    for (*count = 0; (hit = strstr(at, old)); at = hit + strlen(old), ++*count) {
        strbuf_add(&b, at, (size_t)(hit - at));
        strbuf_adds(&b, with);
    }
    strbuf_adds(&b, at);
    return b.s;
}

char *substitute(session *s, const char *text, const char *old, const char *with)
{
    int n;
    char *out = replaced(s, text, old, with, &n);
    if (n != 1) fail_msg("'%s' stands %d times in the text", old, n);
    return out;
}

char *substitute_all(session *s, const char *text, const char *old, const char *with)
{
    int n;
    char *out = replaced(s, text, old, with, &n);
    if (n == 0) fail_msg("'%s' does not stand in the text", old);
    return out;
}

void expect_same_text(const char *got, const char *want)
{
    uint32_t line = 1;
    const char *begin = want;
    for (size_t i = 0;; i++) {
        if (got[i] != want[i]) {
            int n = (int)strcspn(got + (begin - want), "\n"), k = (int)strcspn(begin, "\n");
            fail_msg("line %u\nexpected: %.*s\n     got: %.*s", line, k, begin, n, got + (begin - want));
        }
        if (!want[i]) return;
        if (want[i] == '\n') {
            line++;
            begin = want + i + 1;
        }
    }
}

const char *printed(session *s, const kmodule *m)
{
    strbuf b = strbuf_new(s->a);
    kmodule_print(m, &b);
    return b.s;
}
