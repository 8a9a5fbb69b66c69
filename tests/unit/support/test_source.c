#define _GNU_SOURCE
#include "support/source.h"

#include "unit/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void assert_place(const source_set *s, srcpos p, uint32_t line, uint32_t col, const char *text)
{
    uint32_t l, c, n;
    source_line_col(s, p, &l, &c);
    const char *t = source_line_text(s, p, &n);
    if (l != line || c != col || n != strlen(text) || memcmp(t, text, n))
        fail_msg("position %u: %u:%u '%.*s', expected %u:%u '%s'", p, l, c, (int)n, t, line, col, text);
}

static void test_places(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    source_set *s = source_set_new(a);
    const source_file *f = source_add(s, "f", "dir/f", "ab\n\ncd\r\ne", 9);
    const source_file *empty = source_add(s, "empty", "empty", "", 0);
    const source_file *g = source_add(s, "g", "g", "x\n", 2);
    assert_string_equal(f->path, "dir/f");
    assert_int_equal(f->size, 9);
    assert_true(f->base >= 1);
    assert_place(s, f->base, 1, 1, "ab");
    assert_place(s, f->base + 2, 1, 3, "ab"); /* the newline belongs to its line */
    assert_place(s, f->base + 3, 2, 1, "");
    assert_place(s, f->base + 4, 3, 1, "cd");
    assert_place(s, f->base + 6, 3, 3, "cd"); /* the carriage return is not shown */
    assert_place(s, f->base + 8, 4, 1, "e");
    assert_place(s, f->base + 9, 4, 2, "e"); /* the end of a file */
    assert_place(s, empty->base, 1, 1, "");
    assert_place(s, g->base + 1, 1, 2, "x");
    assert_place(s, g->base + 2, 2, 1, "");
    assert_ptr_equal(source_of(s, f->base + 9), f);
    assert_ptr_equal(source_of(s, empty->base), empty);
    assert_ptr_equal(source_of(s, g->base), g);
    assert_null(source_of(s, 0));
    assert_null(source_of(s, g->base + 3));
    assert_place(s, 0, 0, 0, "");
    assert_place(s, UINT32_MAX, 0, 0, "");
    arena_free(a);
}

static void test_many_files(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    source_set *s = source_set_new(a);
    const source_file *files[100];
    for (size_t i = 0; i < 100; i++) {
        char name[16], text[100];
        snprintf(name, sizeof name, "f%zu", i);
        memset(text, '\n', i);
        files[i] = source_add(s, name, name, text, i);
    }
    for (size_t i = 0; i < 100; i++) {
        assert_ptr_equal(source_of(s, files[i]->base), files[i]);
        assert_ptr_equal(source_of(s, files[i]->base + (srcpos)i), files[i]);
        assert_place(s, files[i]->base + (srcpos)i, (uint32_t)i + 1, 1, "");
    }
    arena_free(a);
}

static void test_refusals(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    source_set *s = source_set_new(a);
    assert_null(source_add(s, "nul", "nul", "a\0b", 3));
    const source_file *f = source_add(s, "f", "f", "abc", 3); /* a refusal uses up no positions */
    assert_int_equal(f->base, 1);
    char *large = calloc(1, 1);
    assert_null(source_add(s, "large", "large", large, UINT32_MAX)); /* refused before it is read */
    free(large);
    arena_free(a);
}

static void write_file(const char *path, const char *text, size_t n)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

static void test_reading(void **state)
{
    (void)state;
    char dir[] = "/tmp/tfxc-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    arena *a = arena_new(NULL, NULL);
    source_set *s = source_set_new(a);
    const char *why = NULL, *path = arena_printf(a, "%s/a.tfx", dir);

    write_file(path, "model", 5);
    const source_file *f = source_read(s, "a.tfx", path, &why);
    assert_non_null(f);
    assert_string_equal(f->text, "model");
    assert_string_equal(f->name, "a.tfx");
    assert_string_equal(f->path, path);
    assert_true(f->from_disk);
    assert_false(source_add(s, "std/b.tfx", "std/b.tfx", "", 0)->from_disk);
    assert_int_equal(source_count(s), 2);
    assert_ptr_equal(source_at(s, 0), f);
    assert_string_equal(source_at(s, 1)->name, "std/b.tfx");

    write_file(path, "", 0);
    assert_int_equal(source_read(s, "a.tfx", path, &why)->size, 0);

    write_file(path, "0123456789ab\0cd", 15);
    assert_null(source_read(s, "a.tfx", path, &why));
    assert_string_equal(why, "contains a NUL byte at offset 12");

    assert_null(source_read(s, "x", arena_printf(a, "%s/none", dir), &why));
    assert_string_equal(why, "No such file or directory");
    assert_null(source_read(s, "x", dir, &why));
    assert_string_equal(why, "is a directory");
    assert_null(source_read(s, "x", arena_printf(a, "%s/none", path), &why));
    assert_string_equal(why, "Not a directory");

    /* Exactly the largest, and one byte more. */
    size_t most = (size_t)16 << 20;
    char *large = malloc(most + 1);
    assert_non_null(large);
    memset(large, 'x', most + 1);
    write_file(path, large, most);
    f = source_read(s, "a.tfx", path, &why);
    assert_non_null(f);
    assert_int_equal(f->size, most);
    write_file(path, large, most + 1);
    assert_null(source_read(s, "a.tfx", path, &why));
    assert_string_equal(why, "larger than 16 MiB");
    free(large);

    /* A pipe has no size to know beforehand. */
    const char *fifo = arena_printf(a, "%s/fifo", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    FILE *writer = popen(arena_printf(a, "head -c 100000 /dev/zero | tr '\\0' y > %s", fifo), "r");
    assert_non_null(writer);
    f = source_read(s, "fifo", fifo, &why);
    assert_non_null(f);
    assert_int_equal(f->size, 100000);
    assert_int_equal(f->text[99999], 'y');
    pclose(writer);
    writer = popen(arena_printf(a, "sleep 0.3; printf late > %s", fifo), "r"); /* a writer may come after the reader */
    assert_non_null(writer);
    f = source_read(s, "fifo", fifo, &why);
    assert_non_null(f);
    assert_string_equal(f->text, "late");
    pclose(writer);

    unlink(fifo);
    unlink(path);
    rmdir(dir);
    arena_free(a);
}

static void test_join(void **state)
{
    (void)state;
    span none = {0, 0}, x = {5, 9}, y = {7, 20};
    assert_true(span_join(x, y).begin == 5 && span_join(x, y).end == 20);
    assert_true(span_join(y, x).begin == 5 && span_join(y, x).end == 20);
    assert_true(span_join(none, x).begin == 5 && span_join(x, none).end == 9);
    assert_true(span_join(none, none).begin == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),  cmocka_unit_test(test_many_files), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_reading), cmocka_unit_test(test_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
