/* Emitted PTX through NVIDIA's assembler: it is accepted, nothing spills, registers stay within what the schedules
 * count on. Skipped where there is no ptxas ($PTXAS, the PATH, or the nvidia-cuda-nvcc package of the test
 * environment). */
#include "unit/ptx/session.h"

#include "unit/cmocka_all.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool usable(const char *path)
{
    return path && *path && access(path, X_OK) == 0;
}

static const char *find_ptxas(arena *a)
{
    const char *given = getenv("PTXAS");
    if (usable(given)) return given;
    for (const char *p = getenv("PATH"); p && *p;) {
        size_t n = strcspn(p, ":");
        const char *path = arena_printf(a, "%.*s/ptxas", (int)n, p);
        if (usable(path)) return path;
        p += n + (p[n] == ':');
    }
    static const char *const packages[] = {".venv/lib/python*/site-packages/nvidia/cu*/bin/ptxas",
                                           ".venv/lib/python*/site-packages/nvidia/cuda_nvcc/bin/ptxas"};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof packages / sizeof *packages && !found; i++) {
        glob_t g;
        if (glob(packages[i], 0, NULL, &g) == 0 && usable(g.gl_pathv[0])) found = arena_printf(a, "%s", g.gl_pathv[0]);
        globfree(&g);
    }
    return found;
}

/* What the assembler says of the text. */
static const char *assemble(session *s, const char *ptxas, const char *sm, const codegen_ptx *ptx)
{
    char name[] = "/tmp/tfxc-ptx-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, ptx->text, ptx->size), (ssize_t)ptx->size);
    close(fd);
    FILE *p = popen(arena_printf(s->a, "'%s' -v -arch=%s '%s' -o /dev/null 2>&1", ptxas, sm, name), "r");
    assert_non_null(p);
    strbuf b = strbuf_new(s->a);
    char line[1024];
    while (fgets(line, sizeof line, p)) strbuf_adds(&b, line);
    int status = pclose(p);
    unlink(name);
    if (status) fail_msg("ptxas -arch=%s:\n%s", sm, b.s);
    return b.s;
}

typedef struct {
    const char *name;
    int registers; /* at most, on every processor */
} expectation;

static const struct {
    const char *file;
    const char *sm[6];
    expectation kernels[4];
} expected[] = {
    {"kir/mma_matmul.kir", {"sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120"}, {{"mma_matmul", 128}}},
    {"kir/wgmma_matmul.kir", {"sm_90a"}, {{"wgmma_matmul", 128}}},
    {"kir/ops.kir", {"sm_90a"}, {{"warpgroup_ops", 64}, {"warp_ops", 64}}},
    {"ptx/rows.kir", {"sm_80", "sm_90a", "sm_100a"}, {{"softmax", 64}, {"layer_norm", 96}, {"statistics", 128}}},
    {"ptx/flow.kir", {"sm_80", "sm_90a", "sm_100a"}, {{"embed", 40}, {"cases", 40}}},
    {"ptx/fragments.kir", {"sm_80", "sm_90a", "sm_100a"}, {{"transposed", 96}, {"direct", 40}, {"shifted", 40}}},
    {"ptx/copies.kir", {"sm_80", "sm_90a", "sm_100a"}, {{"pieces", 64}}},
    {"ptx/warpgroup.kir", {"sm_90a"}, {{"both_ways", 96}, {"narrow", 96}}},
};

/* The assembler's paragraph on one kernel: "Compiling entry function 'k'" to "Used n registers". */
static void check_kernel(const char *log, const expectation *x, const char *sm)
{
    char heading[256];
    snprintf(heading, sizeof heading, "entry function '%s'", x->name);
    const char *at = strstr(log, heading), *spills = at ? strstr(at, "bytes stack frame, ") : NULL,
               *used = at ? strstr(at, "Used ") : NULL;
    if (!at || !spills || !used) fail_msg("@%s for %s: not in the assembler's report:\n%s", x->name, sm, log);
    if (strncmp(spills, "bytes stack frame, 0 bytes spill stores, 0 bytes spill loads", 60) != 0)
        fail_msg("@%s for %s spills: %.120s", x->name, sm, spills);
    int n = atoi(used + 5);
    print_message("    %-14s %-8s %3d registers\n", x->name, sm, n);
    if (n > x->registers) fail_msg("@%s for %s: %d registers, more than %d", x->name, sm, n, x->registers);
}

static void test_assembles(void **state)
{
    (void)state;
    session s = session_new();
    const char *ptxas = find_ptxas(s.a);
    if (!ptxas) {
        print_message("no ptxas\n");
        session_free(&s);
        skip();
    }
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        kmodule *m = session_read(&s, arena_printf(s.a, "tests/golden/%s", expected[i].file));
        for (size_t k = 0; k < 6 && expected[i].sm[k]; k++) {
            const char *sm = expected[i].sm[k];
            if (!session_has_processor(sm)) continue;
            codegen_ptx ptx = session_emit(&s, m, sm, 2);
            const char *log = assemble(&s, ptxas, sm, &ptx);
            if (strstr(log, "erialized")) fail_msg("%s for %s: wgmma is serialized:\n%s", expected[i].file, sm, log);
            for (size_t n = 0; n < 4 && expected[i].kernels[n].name; n++)
                check_kernel(log, &expected[i].kernels[n], sm);
        }
    }
    session_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_assembles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
