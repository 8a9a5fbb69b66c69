/* Two compilations at once, each on its own thread, give the bytes that each gives alone: no room keeps state between
 * sessions. */
#include "codegen/codegen.h"
#include "codegen/describe.h"
#include "codegen/lower.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct {
    const char *program, *out;
    bool ok;
} job;

static void *compile(void *arg)
{
    job *j = arg;
    arena *a = arena_new(NULL, NULL);
    interner *names = interner_new(a);
    source_set *sources = source_set_new(a);
    diags *d = diags_new(a, sources, 0);
    const char *why, *path = arena_printf(a, "tests/programs/%s.tir", j->program);
    const source_file *f = source_read(sources, path, path, &why);
    module *m = f ? module_parse(a, names, sources, d, f) : NULL;
    codegen_options o = {.opt = 2};
    codegen_target t;
    if (m && codegen_target_describe(&o, a, d, &t)) {
        lower_target lt = {.vector_floats = t.vector_bytes / 4, .registers = t.registers};
        kmodule *km = lower_module(m, a, d, &lt);
        codegen_output out = {.kind = CODEGEN_OBJ, .path = j->out, .prefix = "program"};
        j->ok =
            km && codegen_emit(&(codegen_variant){km, codegen_describe(m, &km, 1, path, "test", a), &o}, 1, &out, a, d);
    }
    if (!j->ok) {
        strbuf b = strbuf_new(a);
        diags_render_text(d, &b);
        fprintf(stderr, "%s", b.s);
    }
    arena_free(a);
    return NULL;
}

static char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *bytes = malloc(*n);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *n, f), *n);
    fclose(f);
    return bytes;
}

static void assert_same_file(const char *a, const char *b)
{
    size_t n, m;
    char *x = slurp(a, &n), *y = slurp(b, &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
}

static void test_two_threads(void **state)
{
    (void)state;
    char dir[] = "/tmp/tfxc-sessions-XXXXXX", path[4][64];
    assert_non_null(mkdtemp(dir));
    job jobs[4] = {{.program = "rows"}, {.program = "move"}, {.program = "rows"}, {.program = "move"}};
    pthread_t threads[2];
    for (int i = 0; i < 4; i++) {
        snprintf(path[i], sizeof path[i], "%s/%d.o", dir, i);
        jobs[i].out = path[i];
    }
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, compile, &jobs[i]), 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    for (int i = 2; i < 4; i++) compile(&jobs[i]);
    for (int i = 0; i < 4; i++) assert_true(jobs[i].ok);
    for (int i = 0; i < 2; i++) assert_same_file(path[i], path[i + 2]);
    for (int i = 0; i < 4; i++) unlink(path[i]);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_two_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
