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

/* The examples of docs/tir.md read, each from its first line to the last indented one, behind the dims that it speaks
 * of. */
static void tir_page(void **state)
{
    (void)state;
    static const struct {
        const char *before, *first;
    } examples[] = {
        {"", "    module digits\n"},
        {"module m\ndim S input 0..64\ndim P input 0..4095\n", "    state \"layers.0.self_attn.k\""},
        {"module m\ndim B input 1..4\ndim S input 0..512\n", "    dim t data 0..511\n"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        tir_session s = tir_open();
        const char *page = read_file(s.a, "docs/tir.md"), *line = strstr(page, examples[i].first);
        assert_non_null(line);
        strbuf b = strbuf_new(s.a);
        strbuf_adds(&b, examples[i].before);
        for (; !strncmp(line, "    ", 4) || *line == '\n'; line = strchr(line, '\n') + 1) {
            const char *stop = strchr(line, '\n'), *file = strstr(line, " = file"); /* is only spoken of */
            strbuf_add(&b, line, (size_t)((file && file < stop ? file : stop) - line));
            strbuf_addc(&b, '\n');
        }
        if (!tir_parse(&s, b.s)) fail_msg("%s\n%s", b.s, tir_messages(&s));
        tir_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ops_page), cmocka_unit_test(passes_page),
                                       cmocka_unit_test(tir_page)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
