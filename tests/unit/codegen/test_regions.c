/* Which launches may run at the same time: plans as text, and where their regions end. */
#include "session.h"

#include "codegen/plan_regions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Two kernels of an input and an output; @lookup checks its input. */
static const char kernels[] =
    "kernel @scale cpu (N in 0..1024) (%a: f32 global[N] in, %b: f32 global[N] out) {\n"
    "  %n = dim N : i64\n"
    "  for %i = 0 to %n step 1 parallel {\n"
    "    %x = load %a[%i] : f32\n"
    "    store %b[%i], %x\n"
    "  }\n"
    "}\n"
    "kernel @lookup cpu (N in 0..1024) (%a: f32 global[N] in, %b: f32 global[N] out) {\n"
    "  %n = dim N : i64\n"
    "  for %i = 0 to %n step 1 parallel {\n"
    "    %t = const true : bool\n"
    "    %z = const 0 : i64\n"
    "    check %t, %i, %z, %n {arg = 0}\n"
    "    %x = load %a[%i] : f32\n"
    "    store %b[%i], %x\n"
    "  }\n"
    "}\n"
    "plan @p (N in 0..256, M in 0..256) (%x: f32 global[N] input \"x\", %m: f32 global[M] input \"m\", "
    "%y: f32 global[N] output \"y\", %z: f32 global[N] output \"z\", %u: f32 global[M] output \"u\") {\n";

#define SCALE(a, b) "  launch @scale (N = N) (%" a ", %" b ")\n"
#define SCALE_M(a, b) "  launch @scale (N = M) (%" a ", %" b ")\n"
#define LOOKUP(a, b) "  launch @lookup (N = N) (%" a ", %" b ")\n"

/* `ends`: by launch, '|' where a region ends with it, else '-'. */
static void expect(const char *body, uint32_t most, const char *ends)
{
    session s = session_new();
    kmodule *m = session_parse(&s, "regions.kir", arena_printf(s.a, "%s%s}\n", kernels, body));
    const kfunction *plan = kmodule_find(m, "p");
    bool *got = plan_region_ends(plan, most, s.a);
    for (size_t i = 0; ends[i]; i++)
        if (got[i] != (ends[i] == '|')) fail_msg("launch %zu of\n%s\nends %d, expected %s", i, body, got[i], ends);
    session_free(&s);
}

static void buffers_by_name(void **state)
{
    (void)state;
    expect(SCALE("x", "y"), 16, "|");
    expect(SCALE("x", "y") SCALE("x", "z"), 16, "-|");                    /* both read x */
    expect(SCALE("x", "y") SCALE("y", "z"), 16, "||");                    /* y is read after it was written */
    expect(SCALE("x", "y") SCALE("x", "y"), 16, "||");                    /* written twice */
    expect(SCALE("x", "y") SCALE_M("m", "u") SCALE("y", "z"), 16, "-||"); /* the third needs the first */
    expect(SCALE("y", "z") SCALE("x", "y"), 16, "||");                    /* y is written after it was read */
    expect(SCALE("x", "y") SCALE("x", "z") SCALE_M("m", "u"), 16, "--|");
    expect(SCALE("x", "y") SCALE("x", "z") SCALE_M("m", "u"), 2, "-||"); /* no longer than asked for */
}

/* Two buffers of the workspace, written one after the other. */
static void expect_places(const char *first, const char *second, const char *ends)
{
    char body[512];
    snprintf(body, sizeof body,
             "  %%h = alloc {offset = %s} : f32 workspace[N]\n%s"
             "  %%g = alloc {offset = %s} : f32 workspace[M]\n%s",
             first, SCALE("x", "h"), second, SCALE_M("m", "g"));
    expect(body, 16, ends);
}

static void buffers_by_place(void **state)
{
    (void)state;
    expect_places("0", "4 * N", "-|");     /* right behind it */
    expect_places("4 * M", "0", "-|");     /* right before it */
    expect_places("0", "1024", "-|");      /* the bound is far enough */
    expect_places("0", "0", "||");         /* the same place */
    expect_places("0", "4 * N - 4", "||"); /* an element of it */
    expect_places("0", "512", "||");       /* for some sizes */
    expect_places("0", "4 * M", "||");     /* nobody knows */
}

static void views_are_their_buffer(void **state)
{
    (void)state;
    expect(
        "  %h = alloc {offset = 0} : f32 workspace[N]\n" SCALE(
            "x", "h") "  %v = view %h[0] : f32 workspace[1, N]\n  %w = view %v[0, 0] : f32 workspace[N]\n" SCALE("w",
                                                                                                                 "y"),
        16, "||");
    expect("  %v = view %x[0] : f32 global[1, N]\n  %w = view %v[0, 0] : f32 global[N]\n" SCALE("w", "y")
               SCALE("x", "z"),
           16, "-|");
}

static void one_that_checks(void **state)
{
    (void)state;
    expect(LOOKUP("x", "y") SCALE("x", "z"), 16, "-|");
    expect(SCALE("x", "y") LOOKUP("x", "z"), 16, "-|");
    expect(LOOKUP("x", "y") LOOKUP("x", "z"), 16, "||");
    expect(LOOKUP("x", "y") SCALE_M("m", "u") LOOKUP("x", "z"), 16, "-||");
}

static void blocks_end_regions(void **state)
{
    (void)state;
    expect("  %c = const true : bool\n" SCALE("x", "y") "  if %c {\n  " SCALE("x", "z") "  } else {\n  " SCALE_M(
               "m", "u") "  }\n" SCALE("x", "y") SCALE_M("m", "u"),
           16, "|||-|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffers_by_name),        cmocka_unit_test(buffers_by_place),
        cmocka_unit_test(views_are_their_buffer), cmocka_unit_test(one_that_checks),
        cmocka_unit_test(blocks_end_regions),
    };
    return cmocka_run_group_tests_name("regions", tests, NULL, NULL);
}
