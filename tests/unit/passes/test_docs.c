/* The reference pages say what the tables say. */
#include "passes/pass.h"
#include "tests/support/tir_session.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *read_file(arena *a, const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) fail_msg("cannot read %s", path);
    strbuf b = strbuf_new(a);
    char chunk[4096];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;) strbuf_add(&b, chunk, n);
    fclose(f);
    return b.s;
}

static void ops_page(void **state)
{
    (void)state;
    tir_session s = tir_open();
    strbuf b = strbuf_new(s.a);
    ops_print_reference(&b);
    if (strcmp(read_file(s.a, "docs/ops.md"), b.s)) fail_msg("docs/ops.md is not what tfxc --print-ops prints");
    tir_close(&s);
}

static void passes_page(void **state)
{
    (void)state;
    tir_session s = tir_open();
    strbuf b = strbuf_new(s.a);
    passes_print_reference(&b);
    const char *page = read_file(s.a, "docs/passes.md");
    if (!strstr(page, b.s)) fail_msg("docs/passes.md does not contain what tfxc --print-passes prints");
    for (int i = 0; i < PASS_COUNT; i++)
        if (!strstr(page, arena_printf(s.a, "\n## %s\n", pass_row((pass_id)i)->name)))
            fail_msg("docs/passes.md has no section on %s", pass_row((pass_id)i)->name);
    tir_close(&s);
}

/* The example of docs/tir.md reads. */
static void tir_page(void **state)
{
    (void)state;
    tir_session s = tir_open();
    const char *page = read_file(s.a, "docs/tir.md"), *at = strstr(page, "    module digits\n"),
               *end = strstr(at, "    }\n");
    assert_non_null(end);
    strbuf b = strbuf_new(s.a);
    for (const char *line = at; line < end + 6; line = strchr(line, '\n') + 1) {
        /* The dim of the check and the file are only spoken of. */
        if (strstr(line, "check P") == line + 4) continue;
        const char *stop = strchr(line, '\n'), *file = strstr(line, " = file");
        strbuf_add(&b, line, (size_t)((file && file < stop ? file : stop) - line));
        strbuf_addc(&b, '\n');
    }
    if (!tir_parse(&s, b.s)) fail_msg("%s", tir_messages(&s));
    tir_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ops_page), cmocka_unit_test(passes_page),
                                       cmocka_unit_test(tir_page)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
