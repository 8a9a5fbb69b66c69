/* docs/kernel-ir.md says what the tables say, and its kernels are kernels. With --print: the table that it should have.
 */
#include "unit/kir/golden.h"

#include "unit/cmocka_all.h"

#include <stdio.h>

static const char *read_page(session *s)
{
    FILE *f = fopen("docs/kernel-ir.md", "rb");
    if (!f) fail_msg("cannot open docs/kernel-ir.md");
    strbuf b = strbuf_new(s->a);
    char chunk[4096];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;) strbuf_add(&b, chunk, n);
    fclose(f);
    return b.s;
}

static void test_table(void **state)
{
    (void)state;
    session s = session_new();
    strbuf b = strbuf_new(s.a);
    kops_print_reference(&b);
    if (!strstr(read_page(&s), b.s))
        fail_msg("the tables of docs/kernel-ir.md are not those of the code: see test_kir_docs --print");
    session_free(&s);
}

static void test_kernels(void **state)
{
    (void)state;
    session s = session_new();
    int n = 0;
    for (const char *at = read_page(&s); (at = strstr(at, "```kir\n")); n++) {
        at += 7;
        const char *end = strstr(at, "```");
        assert_non_null(end);
        const char *text = arena_strndup(s.a, at, (size_t)(end - at));
        kmodule *m = parse_valid(&s, text);
        assert_true(m->functions.len >= 1);
        expect_same_text(printed(&s, parse_valid(&s, printed(&s, m))), printed(&s, m));
        at = end;
    }
    assert_int_equal(n, 2);
    session_free(&s);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--print")) {
        session s = session_new();
        strbuf b = strbuf_new(s.a);
        kops_print_reference(&b);
        fputs(b.s, stdout);
        session_free(&s);
        return 0;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_kernels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
