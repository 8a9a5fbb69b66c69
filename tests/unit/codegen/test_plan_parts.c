/* Plans that are cut into functions: compiled, a long plan with branches and a count does what the interpreter says. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ir/kir/kinterp.h"
#include "runtime/tfx.h"
#include "session.h"
#include "unit/cmocka_all.h"

enum { MOST = 48 };

static const char kernels[] = "module \"long\"\n"
                              "kernel @half cpu (N in 0..48) (%x: f32 global[N] in, %y: f32 global[N] out) {\n"
                              "  %n = dim N : i64\n"
                              "  %c = const 0.5 : f32\n"
                              "  for %i = 0 to %n step 1 parallel {\n"
                              "    %v = load %x[%i] : f32\n"
                              "    %h = mul %v, %c : f32\n"
                              "    store %y[%i], %h\n"
                              "  }\n"
                              "}\n"
                              "kernel @more cpu (N in 0..48) (%x: f32 global[N] in, %y: f32 global[N] out) {\n"
                              "  %n = dim N : i64\n"
                              "  %c = const 3.0 : f32\n"
                              "  for %i = 0 to %n step 1 parallel {\n"
                              "    %v = load %x[%i] : f32\n"
                              "    %s = add %v, %c : f32\n"
                              "    store %y[%i], %s\n"
                              "  }\n"
                              "}\n"
                              "kernel @count cpu (N in 0..48) (%x: f32 global[N] in, %c: i64 global[1] out) {\n"
                              "  %n = dim N : i64\n"
                              "  %three = const 3 : i64\n"
                              "  %left = mod %n, %three : i64\n"
                              "  %rest = sub %n, %left : i64\n"
                              "  for %i = 0 to 1 step 1 parallel { store %c[%i], %rest }\n"
                              "}\n";

/* Rounds of which each works in one of several ways. A view is first read on one side of a branch, then on the other,
 * then behind it. From the middle on, how many elements there are is counted. */
static const char *long_plan(session *s, int rounds, bool with_result)
{
    strbuf b = strbuf_new(s->a);
    strbuf_adds(&b, kernels);
    strbuf_adds(
        &b,
        "plan @main (N in 1..48, T in 0..48 data) (%x: f32 global[N] input \"x\", %y: f32 global[N] output \"y\") {\n"
        "  %a = alloc {offset = 0} : f32 workspace[64] align 64\n"
        "  %b = alloc {offset = 256} : f32 workspace[64] align 64\n"
        "  %counted = alloc {offset = 512} : i64 workspace[1] align 64\n"
        "  %a0 = view %a[8] : f32 workspace[48]\n"
        "  %b0 = view %b[8] : f32 workspace[48]\n"
        "  %n = dim N : i64\n"
        "  launch @half (N = N) (%x, %a0)\n"
        "  launch @more (N = N) (%x, %b0)\n");
    const char *size = "N", *number = "%n";
    for (int i = 0; i < rounds; i++) {
        if (i == rounds / 2) {
            strbuf_adds(&b, "  launch @count (N = N) (%a0, %counted)\n"
                            "  %t = read_dim %counted[0] {dim = T, most = N} : i64\n");
            size = "T";
            number = "%t";
        }
        strbuf_addf(
            &b,
            "  %%c%d = const %d : i64\n"
            "  %%many%d = gt %s, %%c%d : bool\n"
            "  %%v%d = view %%a[8] : f32 workspace[48]\n"
            "  %%w%d = view %%b[8] : f32 workspace[48]\n"
            "  if %%many%d {\n"
            "    launch @half (N = %s) (%%v%d, %%w%d)\n"
            "  } else {\n"
            "    launch @more (N = %s) (%%v%d, %%w%d)\n"
            "    %%few%d = gt %%c%d, %%n : bool\n"
            "    if %%few%d { launch @more (N = %s) (%%w%d, %%v%d) } else { launch @half (N = %s) (%%w%d, %%v%d) }\n"
            "  }\n"
            "  launch @more (N = %s) (%%w%d, %%v%d)\n",
            i, i % MOST, i, number, i, i, i, i, size, i, i, size, i, i, i, i, i, size, i, i, size, i, i, size, i, i);
    }
    if (with_result)
        strbuf_adds(&b, "  %chosen = if %many0 { yield %c0 } else { yield %n } : i64\n"
                        "  %more = gt %chosen, %c1 : bool\n"
                        "  if %more { launch @half (N = N) (%a0, %y) } else { launch @more (N = N) (%a0, %y) }\n");
    else strbuf_adds(&b, "  launch @half (N = N) (%a0, %y)\n");
    strbuf_adds(&b, "}\n");
    return b.s;
}

static const char *emit(session *s, kmodule *m, codegen_kind kind)
{
    kfunction *plan = kmodule_find(m, "main");
    codegen_tensor t[2] = {{"x", NULL, DT_F32, 1, {dim_find(plan->dims, "N")}},
                           {"y", NULL, DT_F32, 1, {dim_find(plan->dims, "N")}}};
    uint32_t first = 0;
    codegen_entry e = {.name = "main",
                       .inputs = t,
                       .outputs = t + 1,
                       .n_inputs = 1,
                       .n_outputs = 1,
                       .dims = &first,
                       .n_dims = 1,
                       .plan = plan};
    codegen_model model = {.name = "long", .compiler = "tfxc", .dims = plan->dims, .entries = &e, .n_entries = 1};
    codegen_options o = {.opt = 2};
    codegen_output out = {
        .kind = kind, .path = in_directory(s, arena_printf(s->a, "long%d", (int)kind)), .prefix = "long"};
    if (!codegen_emit(&(codegen_variant){m, &model, &o}, 1, &out, s->a, s->d)) {
        session_print_diags(s);
        fail_msg("cannot emit %s", out.path);
    }
    return out.path;
}

static int parts_of(session *s, kmodule *m)
{
    const char *why;
    const source_file *f = source_read(s->sources, "long.ll", emit(s, m, CODEGEN_LL), &why);
    int n = 0;
    for (const char *at = f->text; (at = strstr(at, "define internal i32 @plan.main.")); at++) n++;
    return n;
}

static void agrees_with_the_interpreter(session *s, kmodule *m)
{
    void *library = dlopen(emit(s, m, CODEGEN_SO), RTLD_NOW | RTLD_LOCAL);
    if (!library) fail_msg("%s", dlerror());
    const tfx_api *api = ((tfx_model_v1_fn *)(uintptr_t)dlsym(library, TFX_MODEL_SYMBOL))();
    tfx_options o = TFX_OPTIONS_INIT;
    tfx_model *model = NULL;
    assert_int_equal(api->open(&o, &model), TFX_OK);
    for (int64_t n = 1; n <= MOST; n++) {
        float x[MOST], y[MOST], want[MOST];
        for (int i = 0; i < MOST; i++) x[i] = (float)(i - 20) / 4;
        tfx_tensor in = {x, &n, NULL, TFX_F32, 1}, out = {y, &n, NULL, TFX_F32, 1};
        tfx_args args = {&in, &out, NULL, 1, 1, 0, 0};
        if (api->run(model, 0, &args) != TFX_OK) fail_msg("%s", api->error(model));
        kbinding bound[] = {{x, (uint64_t)n * sizeof *x}, {want, (uint64_t)n * sizeof *x}};
        int64_t dims[] = {n, 0};
        if (!kinterp_run(kmodule_find(m, "main"), dims, bound, NULL, s->a, s->d, NULL)) {
            session_print_diags(s);
            fail();
        }
        assert_memory_equal(y, want, (size_t)n * sizeof *y);
    }
    api->close(model);
    dlclose(library);
}

static void branches_and_counts(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = session_parse(&s, "long.kir", long_plan(&s, 100, false));
    assert_int_equal(parts_of(&s, m), 8); /* of 504 launches, at least 64 in all but the last */
    agrees_with_the_interpreter(&s, m);
    session_free(&s);
}

/* A short plan is one function, and so is one in which a branch computes a number. */
static void one_function(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = session_parse(&s, "short.kir", long_plan(&s, 12, false));
    assert_int_equal(parts_of(&s, m), 0);
    agrees_with_the_interpreter(&s, m);
    m = session_parse(&s, "result.kir", long_plan(&s, 40, true));
    assert_int_equal(parts_of(&s, m), 0);
    agrees_with_the_interpreter(&s, m);
    session_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(branches_and_counts),
        cmocka_unit_test(one_function),
    };
    return cmocka_run_group_tests(tests, directory_make, directory_remove);
}
