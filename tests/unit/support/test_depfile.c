#include "support/depfile.h"

#include "unit/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

static void expect(const char *target, const char *const *files, uint32_t n, const char *text)
{
    arena *a = arena_new(NULL, NULL);
    strbuf b = strbuf_new(a);
    depfile_print(&b, target, files, n);
    assert_string_equal(b.s, text);
    arena_free(a);
}

static void test_rules(void **state)
{
    (void)state;
    expect("m.o", (const char *const[]){"m.tfx", "w.safetensors"}, 2,
           "m.o: \\\n  m.tfx \\\n  w.safetensors\n\nm.tfx:\n\nw.safetensors:\n");
    expect("m.o", NULL, 0, "m.o:\n");
}

static void test_quoting(void **state)
{
    (void)state;
    expect("a b", (const char *const[]){"c#d", "$e", "f\tg"}, 3,
           "a\\ b: \\\n  c\\#d \\\n  $$e \\\n  f\\\tg\n\nc\\#d:\n\n$$e:\n\nf\\\tg:\n");
    expect("back\\slash", (const char *const[]){"two\\\\ spaces", "\\"}, 2,
           "back\\slash: \\\n  two\\\\\\\\\\ spaces \\\n  \\\n\ntwo\\\\\\\\\\ spaces:\n\n\\:\n");
}

static void write_file(arena *a, const char *dir, const char *name, const char *text, time_t when)
{
    const char *path = arena_printf(a, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(utime(path, &(struct utimbuf){when, when}), 0);
}

/* Make itself reads back what was quoted. */
static void test_make_reads_it(void **state)
{
    (void)state;
    if (system("make --version >/dev/null 2>&1") != 0) skip();
    static const char *const names[] = {"plain", "a b", "c#d", "$e", "${f}", "g\\h", "i\\ j", "two\\\\ k"};
    enum { N = sizeof names / sizeof *names };
    char dir[] = "/tmp/depfile-XXXXXX";
    assert_non_null(mkdtemp(dir));
    arena *a = arena_new(NULL, NULL);
    strbuf rules = strbuf_new(a);
    depfile_print(&rules, "target", names, N);
    strbuf_adds(&rules, "target:\n\t@false\n");
    write_file(a, dir, "Makefile", rules.s, 0);
    write_file(a, dir, "target", "", 2000);
    const char *question = arena_printf(a, "make -q -C %s target >/dev/null 2>&1", dir);
    for (int i = 0; i < N; i++) write_file(a, dir, names[i], "", 1000);
    assert_int_equal(WEXITSTATUS(system(question)), 0);
    for (int i = 0; i < N; i++) {
        write_file(a, dir, names[i], "", 3000); /* newer */
        assert_int_equal(WEXITSTATUS(system(question)), 1);
        assert_int_equal(unlink(arena_printf(a, "%s/%s", dir, names[i])), 0); /* gone */
        assert_int_equal(WEXITSTATUS(system(question)), 1);
        write_file(a, dir, names[i], "", 1000);
        assert_int_equal(WEXITSTATUS(system(question)), 0);
    }
    assert_int_equal(system(arena_printf(a, "rm -rf %s", dir)), 0);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rules), cmocka_unit_test(test_quoting),
                                       cmocka_unit_test(test_make_reads_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
