/* Artefacts from a plan written by hand: loaded and run, linked statically, looked at with the object's own tables. */
#include <dlfcn.h>
#include <elf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codegen/elf_object.h"
#include "session.h"
#include "support/embedded.h"
#include "unit/cmocka_all.h"

/* y[b, :] = sum over 40 of x[b, k] w[k, :], plus bias; then y2 = y looked up by ids. */
static const char text[] =
    "module \"tiny\"\n"
    "kernel @affine cpu (B in 1..70)\n"
    "    (%x: f32 global[B, 40] in, %w: f32 global[40, 24] in, %bias: f32 global[24] in, %y: f32 global[B, 24] out) {\n"
    "  %b = dim B : i64\n"
    "  for %i = 0 to %b step 1 parallel {\n"
    "    %acc0 = load %bias[0] : f32<1x24>\n"
    "    %acc = for %k = 0 to 40 step 1 unroll 3 carry (%s = %acc0) {\n"
    "      %xv = load %x[%i, %k] : f32<1x1>\n"
    "      %wv = load %w[%k, 0] : f32<1x24>\n"
    "      %t = contract %s, %xv, %wv : f32<1x24>\n"
    "      yield %t\n"
    "    } : f32<1x24>\n"
    "    store %y[%i, 0], %acc\n"
    "  }\n"
    "}\n"
    "kernel @rows cpu (B in 1..70, N in 1..140)\n"
    "    (%y: f32 global[B, 24] in, %ids: i32 global[N] in, %out: f32 global[N, 24] out) {\n"
    "  %n = dim N : i64\n"
    "  %b = dim B : i64\n"
    "  %zero = const 0 : i64\n"
    "  for %i = 0 to %n step 1 parallel {\n"
    "    %id = load %ids[%i] : i32\n"
    "    %wide = cast %id : i64\n"
    "    %low = ge %wide, %zero : bool\n"
    "    %high = lt %wide, %b : bool\n"
    "    %ok = and %low, %high : bool\n"
    "    check %ok, %i, %wide, %b {arg = 1}\n"
    "    %at = select %ok, %wide, %zero : i64\n"
    "    %row = load %y[%at, 0] : f32<1x24>\n"
    "    store %out[%i, 0], %row\n"
    "  }\n"
    "}\n"
    "plan @main (B in 1..70, N in 1..140)\n"
    "    (%x: f32 global[B, 40] input \"x\", %ids: i32 global[N] input \"ids\",\n"
    "     %w: f32 global[40, 24] weight \"w\" = random f32[40, 24] seed 1 stream 2 scale 0.5,\n"
    "     %bias: f32 global[24] weight \"bias\" = splat f32[24] 0.25,\n"
    "     %same: f32 global[24] weight \"again\" = splat f32[24] 0.25,\n"
    "     %out: f32 global[N, 24] output \"out\") {\n"
    "  %y = alloc {offset = 64} : f32 workspace[B, 24] align 64\n"
    "  launch @affine (B = B) (%x, %w, %bias, %y)\n"
    "  launch @rows (B = B, N = N) (%y, %ids, %out)\n"
    "}\n";

static const char *doc_free = NULL;

/* The public description of the plan above. */
static codegen_model describe(session *s, kmodule *m)
{
    kfunction *plan = kmodule_find(m, "main");
    codegen_tensor *t = ARENA_ARRAY(s->a, codegen_tensor, 3);
    for (uint32_t i = 0, n = 0; i < plan->params.len; i++) {
        const kparam *p = &plan->params.data[i];
        if (p->role == KPARAM_WEIGHT) continue;
        const kbuffer *b = &p->v->ty.buf;
        t[n] = (codegen_tensor){p->tensor, doc_free, b->dt, b->rank, {0}};
        for (int a = 0; a < b->rank; a++) t[n].shape[a] = b->shape[a];
        n++;
    }
    codegen_entry *e = ARENA_NEW(s->a, codegen_entry);
    uint32_t *dims = ARENA_ARRAY(s->a, uint32_t, 2);
    dims[1] = 1;
    codegen_check *c = ARENA_NEW(s->a, codegen_check);
    dim b = dim_find(plan->dims, "B"), n = dim_find(plan->dims, "N");
    *c = (codegen_check){CODEGEN_CHECK_LE, n, dim_mul(plan->dims, b, dim_const(plan->dims, 2)), "N <= 2 * B",
                         "tiny.tfx:3:1"};
    *e = (codegen_entry){.name = "main",
                         .inputs = t,
                         .outputs = t + 2,
                         .n_inputs = 2,
                         .n_outputs = 1,
                         .dims = dims,
                         .n_dims = 2,
                         .plan = plan,
                         .checks = c,
                         .n_checks = 1};
    return (codegen_model){
        .name = "tiny", .source = "tiny.tfx", .compiler = "tfxc", .dims = plan->dims, .entries = e, .n_entries = 1};
}

static bool emit(session *s, codegen_kind kind, const char *path, codegen_output more)
{
    kmodule *m = session_parse(s, "tiny.kir", text);
    codegen_model model = describe(s, m);
    codegen_options o = {.opt = 2};
    more.kind = kind;
    more.path = path;
    if (!more.prefix) more.prefix = "tiny";
    return codegen_emit(&(codegen_variant){m, &model, &o}, 1, &more, s->a, s->d);
}

static void must_emit(session *s, codegen_kind kind, const char *path, codegen_output more)
{
    if (emit(s, kind, path, more)) return;
    session_print_diags(s);
    fail_msg("cannot emit %s", path);
}

static long file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (long)st.st_size : -1;
}

static char *read_file(session *s, const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    *n = (size_t)file_size(path);
    char *bytes = arena_alloc(s->a, *n + 1, 1);
    assert_int_equal(fread(bytes, 1, *n, f), *n);
    fclose(f);
    return bytes;
}

/* ---- running ---- */

/* The weights as the constants define them. */
static void expected(session *s, int b, int n, const float *x, const int32_t *ids, float *out)
{
    kmodule *m = session_parse(s, "again.kir", text);
    const kfunction *plan = kmodule_find(m, "main");
    float w[40 * 24];
    const char *why;
    assert_true(cexpr_read(plan->params.data[2].weight, 0, 40 * 24, w, &why));
    float *y = ARENA_ARRAY(s->a, float, (size_t)b * 24);
    for (int i = 0; i < b; i++)
        for (int j = 0; j < 24; j++) {
            float acc = 0.25f;
            for (int k = 0; k < 40; k++) acc = __builtin_fmaf(x[i * 40 + k], w[k * 24 + j], acc);
            y[i * 24 + j] = acc;
        }
    for (int i = 0; i < n; i++) memcpy(out + i * 24, y + ids[i] * 24, 24 * sizeof *y);
}

static void run_model(session *s, const tfx_api *api, const char *weights_path)
{
    enum { B = 5, N = 9 };
    tfx_model *m = NULL;
    char message[200] = "";
    tfx_options o = TFX_OPTIONS_INIT;
    o.weights_path = weights_path;
    o.message = message;
    o.message_bytes = sizeof message;
    if (api->open(&o, &m) != TFX_OK) fail_msg("open: %s", message);
    float x[B * 40], out[N * 24], want[N * 24];
    int32_t ids[N] = {0, 4, 1, 2, 2, 3, 0, 4, 4};
    for (int i = 0; i < B * 40; i++) x[i] = (float)(i % 17) / 8 - 1;
    int64_t x_shape[] = {B, 40}, ids_shape[] = {N}, out_shape[] = {N, 24};
    tfx_tensor in[] = {{x, x_shape, NULL, TFX_F32, 2}, {ids, ids_shape, NULL, TFX_I32, 1}},
               result = {out, out_shape, NULL, TFX_F32, 2};
    tfx_args args = {in, &result, NULL, 2, 1, 0, 0};
    if (api->run(m, 0, &args) != TFX_OK) fail_msg("run: %s", api->error(m));
    expected(s, B, N, x, ids, want);
    assert_memory_equal(out, want, sizeof want);

    ids[3] = 5;
    ids[6] = -1;
    assert_int_equal(api->run(m, 0, &args), TFX_ERR_VALUE);
    assert_non_null(strstr(api->error(m), "'ids'"));
    assert_non_null(strstr(api->error(m), "5"));
    ids_shape[0] = 11;
    out_shape[0] = 11;
    assert_int_equal(api->run(m, 0, &args), TFX_ERR_REQUIRE);
    assert_non_null(strstr(api->error(m), "N <= 2 * B"));
    api->close(m);
    int64_t dims[] = {5, 9};
    assert_int_equal(api->workspace_size(0, dims, 1, 0), 64 + 512); /* offset 64, 5 * 24 floats, rounded up to 64 */
}

static const tfx_api *load(const char *path, void **library)
{
    *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!*library) fail_msg("%s", dlerror());
    tfx_model_v1_fn *fn = (tfx_model_v1_fn *)(uintptr_t)dlsym(*library, TFX_MODEL_SYMBOL);
    assert_non_null(fn);
    return fn();
}

static void shared_object_runs(void **state)
{
    (void)state;
    session s = session_new();
    const char *path = in_directory(&s, "tiny.so");
    must_emit(&s, CODEGEN_SO, path, (codegen_output){0});
    void *library;
    const tfx_api *api = load(path, &library);
    assert_string_equal(api->info()->name, "tiny");
    assert_int_equal(api->info()->weight_bytes, 40 * 24 * 4 + 128);
    run_model(&s, api, NULL);
    assert_non_null(dlsym(library, "tiny_open"));
    assert_null(dlsym(library, "rt_the_model"));
    assert_null(dlsym(library, "plan.main"));
    dlclose(library);
    session_free(&s);
}

static void external_weights(void **state)
{
    (void)state;
    session s = session_new();
    const char *path = in_directory(&s, "outside.so"), *weights = in_directory(&s, "outside.tfxw");
    must_emit(&s, CODEGEN_SO, path, (codegen_output){.weights_path = weights});
    assert_int_equal(file_size(weights), 4096 + 40 * 24 * 4 + 128);
    void *library;
    run_model(&s, load(path, &library), weights);
    dlclose(library);
    session_free(&s);
}

static int shell(session *s, const char *command)
{
    return system(arena_printf(s->a, "cd %s && { %s; } >out.txt 2>&1", directory_path(), command));
}

static void must_shell(session *s, const char *command)
{
    if (shell(s, command) == 0) return;
    size_t n;
    fail_msg("%s\n%s", command, read_file(s, in_directory(s, "out.txt"), &n));
}

/* Two prefixes of one model and a static library of a third in one program, by both linkers. */
static void static_linking(void **state)
{
    (void)state;
    session s = session_new();
    must_emit(&s, CODEGEN_OBJ, in_directory(&s, "one.o"), (codegen_output){.prefix = "one"});
    must_emit(&s, CODEGEN_OBJ, in_directory(&s, "two.o"), (codegen_output){.prefix = "two"});
    must_emit(&s, CODEGEN_AR, in_directory(&s, "three.a"), (codegen_output){.prefix = "three"});
    must_shell(&s, "nm -g --defined-only one.o | awk '{print $3}' | grep -v '^one_' && exit 1 || exit 0");
    must_shell(&s, "test $(nm -g --defined-only one.o | grep -c ' T one_') = 11");
    char source[4096];
    char *cwd = getcwd(source, sizeof source);
    assert_non_null(cwd);
    FILE *f = fopen(in_directory(&s, "main.c"), "w");
    fputs("#include \"runtime/tfx.h\"\n"
          "const tfx_info *one_info(void), *two_info(void), *three_info(void);\n"
          "tfx_status one_open(const tfx_options *, tfx_model **);\n"
          "int main(void) { tfx_model *m; if (one_open(0, &m)) return 2; tfx_close(m);\n"
          "  return one_info() == two_info() || one_info()->weight_bytes != three_info()->weight_bytes; }\n",
          f);
    fclose(f);
    must_shell(&s, arena_printf(s.a, "cc -I%s main.c one.o two.o three.a -o all -lm -lpthread && ./all", cwd));
#ifdef TFXC_LINKER
    must_shell(&s, arena_printf(s.a,
                                "ln -s " TFXC_LINKER
                                " ld.lld && cc -B. -fuse-ld=lld -I%s main.c one.o two.o three.a -o all "
                                "-lm -lpthread && ./all",
                                cwd));
#endif
    session_free(&s);
}

static void text_outputs(void **state)
{
    (void)state;
    session s = session_new();
    size_t n;
    must_emit(&s, CODEGEN_LL, in_directory(&s, "tiny.ll"), (codegen_output){0});
    assert_non_null(strstr(read_file(&s, in_directory(&s, "tiny.ll"), &n), "@kernel.affine("));
    must_emit(&s, CODEGEN_ASM, in_directory(&s, "tiny.s"), (codegen_output){0});
    assert_non_null(strstr(read_file(&s, in_directory(&s, "tiny.s"), &n), "kernel.affine"));
    session_free(&s);
}

static void equal_inputs_give_equal_bytes(void **state)
{
    (void)state;
    static const codegen_kind kinds[] = {CODEGEN_SO, CODEGEN_OBJ, CODEGEN_AR, CODEGEN_LL, CODEGEN_ASM};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char *bytes[2];
        size_t n[2];
        session s[2] = {session_new(), session_new()};
        for (int k = 0; k < 2; k++) {
            const char *path = in_directory(&s[k], "same");
            must_emit(&s[k], kinds[i], path, (codegen_output){0});
            bytes[k] = read_file(&s[k], path, &n[k]);
        }
        assert_int_equal(n[0], n[1]);
        assert_memory_equal(bytes[0], bytes[1], n[0]);
        session_free(&s[0]);
        session_free(&s[1]);
    }
}

/* ---- mistakes ---- */

static void leaves_nothing(session *s, const char *dir)
{
    must_shell(s, arena_printf(s->a, "test -z \"$(ls -A %s)\"", dir));
}

static void failures_leave_nothing(void **state)
{
    (void)state;
    session s = session_new();
    const char *dir = in_directory(&s, "empty");
    assert_int_equal(mkdir(dir, 0755), 0);
    assert_false(emit(&s, CODEGEN_SO, arena_printf(s.a, "%s/x.so", dir), (codegen_output){.linker = "no-such-linker"}));
    assert_non_null(strstr(session_diags(&s), "cannot run the linker 'no-such-linker'"));
    leaves_nothing(&s, "empty");
    assert_false(emit(&s, CODEGEN_SO, arena_printf(s.a, "%s/x.so", dir), (codegen_output){.linker = "false"}));
    assert_non_null(strstr(session_diags(&s), "the linker 'false' failed"));
    leaves_nothing(&s, "empty");
    assert_false(emit(&s, CODEGEN_OBJ, arena_printf(s.a, "%s/no/x.o", dir), (codegen_output){0}));
    assert_non_null(strstr(session_diags(&s), "No such file or directory"));
    assert_false(emit(&s, CODEGEN_OBJ, dir, (codegen_output){0}));
    assert_non_null(strstr(session_diags(&s), "Is a directory"));
    assert_false(emit(&s, CODEGEN_OBJ, arena_printf(s.a, "%s/x.o", dir), (codegen_output){.prefix = "a-b"}));
    assert_non_null(strstr(session_diags(&s), "cannot be a prefix"));
    leaves_nothing(&s, "empty");
    session_free(&s);
}

/* Writing fails at different places of the file: in the object, in the weights, in the linker. */
static void full_disk(void **state)
{
    (void)state;
    static const codegen_kind kinds[] = {CODEGEN_OBJ, CODEGEN_AR, CODEGEN_SO, CODEGEN_ASM};
    session s = session_new();
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    must_shell(&s, "mkdir full");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (rlim_t bytes = 0; bytes < 9000; bytes += 2000) {
            limit = (struct rlimit){bytes, before.rlim_max};
            assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
            bool ok = emit(&s, kinds[i], in_directory(&s, "full/out"), (codegen_output){0});
            assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
            if (ok) fail_msg("kind %d was written within %d bytes", (int)kinds[i], (int)bytes);
            leaves_nothing(&s, "full");
        }
    assert_non_null(strstr(session_diags(&s), "cannot write: File too large"));
    signal(SIGXFSZ, SIG_DFL);
    session_free(&s);
}

/* A plan whose weight has no value, and one that launches a kernel of a GPU. */
static void incomplete_modules(void **state)
{
    (void)state;
    static const char gpu[] =
        "kernel @g ptx () (%o: f32 global[32] out) warps 1 {\n for %i = 0 to 1 step 1 block {\n"
        "  for %w = 0 to 1 step 1 warp {\n   %z = const 0.0 : f32<32, lanes>\n   store %o[0], %z\n  }\n }\n}\n"
        "plan @main () (%w: f32 global[4] weight \"w\", %o: f32 global[32] output \"o\") {\n"
        " launch @g () (%o)\n}\n";
    session s = session_new();
    kmodule *m = session_parse(&s, "gpu.kir", gpu);
    kfunction *plan = kmodule_find(m, "main");
    codegen_tensor out = {"o", NULL, DT_F32, 1, {dim_const(plan->dims, 32)}};
    codegen_entry e = {.name = "main", .outputs = &out, .n_outputs = 1, .plan = plan};
    codegen_model model = {.name = "gpu", .compiler = "tfxc", .dims = plan->dims, .entries = &e, .n_entries = 1};
    codegen_options o = {.opt = 2};
    codegen_output to = {.kind = CODEGEN_OBJ, .path = in_directory(&s, "gpu.o"), .prefix = "gpu"};
    assert_false(codegen_emit(&(codegen_variant){m, &model, &o}, 1, &to, s.a, s.d));
    assert_non_null(strstr(session_diags(&s), "weight 'w' has no value"));
    assert_non_null(strstr(session_diags(&s), "kernel 'g' is not for a CPU"));
    session_free(&s);
}

static void refused(codegen_options o, const char *message)
{
    session s = session_new();
    codegen_target t;
    assert_false(codegen_target_describe(&o, s.a, s.d, &t));
    if (!strstr(session_diags(&s), message)) fail_msg("%s", session_diags(&s));
    session_free(&s);
}

static void wrong_targets(void **state)
{
    (void)state;
    refused((codegen_options){.cpu = "znver44"}, "unknown processor 'znver44'");
    refused((codegen_options){.cpu = "znver44"}, "did you mean 'znver4'?");
    refused((codegen_options){.triple = "mips-unknown-linux-gnu"}, "no code generator for target");
    refused((codegen_options){.triple = "x86_64-pc-windows-msvc"}, "no code generator for target");
    refused((codegen_options){.cpu = "haswell", .features = "+avx3"}, "unknown processor feature 'avx3'");
}

static codegen_target described(session *s, const char *cpu, const char *features)
{
    codegen_options o = {.triple = "x86_64-unknown-linux-gnu", .cpu = cpu, .features = features};
    codegen_target t;
    assert_true(codegen_target_describe(&o, s->a, s->d, &t));
    return t;
}

static void targets(void **state)
{
    (void)state;
    session s = session_new();
    codegen_target t = described(&s, "x86-64", NULL);
    assert_int_equal(t.vector_bytes, 16);
    assert_false(t.fma);
    assert_int_equal(t.required, 0);
    t = described(&s, "x86-64-v3", NULL);
    assert_int_equal(t.vector_bytes, 32);
    assert_true(t.fma);
    t = described(&s, "x86-64-v3", "-fma");
    assert_false(t.fma);
    t = described(&s, "znver4", NULL);
    assert_int_equal(t.vector_bytes, 64);
    assert_int_equal(t.registers, 32);
    assert_true(t.required >> RT_X86_AVX512BF16 & 1);
    assert_false(t.required >> RT_X86_AVX512FP16 & 1);
    t = described(&s, "skylake-avx512", NULL);
    assert_true(t.required >> RT_X86_AVX512BW & 1);
    assert_false(t.required >> RT_X86_AVX512VNNI & 1);
    session_free(&s);
}

/* Features by name on the other architectures. */
static void other_features(void **state)
{
    (void)state;
    session s = session_new();
    codegen_target t;
    codegen_options o = {.triple = "aarch64-linux-gnu"};
    assert_true(codegen_target_describe(&o, s.a, s.d, &t));
    assert_int_equal(t.vector_bytes, 16);
    assert_int_equal(t.registers, 32);
    assert_int_equal(t.required, 0); /* vectors belong to all */
    o.cpu = "neoverse-n1";
    assert_true(codegen_target_describe(&o, s.a, s.d, &t));
    assert_true(t.required >> RT_ARM_DOTPROD & 1 && t.required >> RT_ARM_FULLFP16 & 1 && t.required >> RT_ARM_LSE & 1);
    assert_false(t.required >> RT_ARM_SVE & 1);
    o.cpu = "neoverse-v1";
    assert_true(codegen_target_describe(&o, s.a, s.d, &t));
    assert_true(t.required >> RT_ARM_SVE & 1 && t.required >> RT_ARM_BF16 & 1);
    o = (codegen_options){.triple = "riscv64-linux-gnu"};
    uint64_t gc = 1 << RT_RISCV_M | 1 << RT_RISCV_A | 1 << RT_RISCV_F | 1 << RT_RISCV_D | 1 << RT_RISCV_C;
    assert_true(codegen_target_describe(&o, s.a, s.d, &t));
    assert_int_equal(t.required, gc);
    o.features = "+v";
    assert_true(codegen_target_describe(&o, s.a, s.d, &t));
    assert_int_equal(t.required, gc | 1 << RT_RISCV_V);
    o.cpu = "rv64gcv";
    o.features = "-v";
    assert_true(codegen_target_describe(&o, s.a, s.d, &t));
    assert_int_equal(t.required, gc);
    session_free(&s);
}

static bool emit_for(session *s, codegen_kind kind, const char *path, const char *triple, const char *cpu)
{
    kmodule *m = session_parse(s, "tiny.kir", text);
    codegen_model model = describe(s, m);
    codegen_options o = {.triple = triple, .cpu = cpu, .opt = 2};
    codegen_output out = {.kind = kind, .path = path, .prefix = "tiny"};
    return codegen_emit(&(codegen_variant){m, &model, &o}, 1, &out, s->a, s->d);
}

/* The number of an ELF file's machine, and 0 for other files. */
static unsigned elf_machine(session *s, const char *path)
{
    size_t n;
    const char *bytes = read_file(s, path, &n);
    return n > 20 && !memcmp(bytes, ELFMAG, SELFMAG) ? (uint8_t)bytes[18] | (unsigned)(uint8_t)bytes[19] << 8 : 0;
}

/* Objects need the runtime, which is there for architectures whose headers were there when this was built. */
static void other_objects(session *s)
{
    static const struct {
        const char *triple, *arch;
        unsigned machine;
    } rows[] = {{"x86_64-unknown-linux-gnu", "x86_64", EM_X86_64},
                {"aarch64-linux-gnu", "aarch64", EM_AARCH64},
                {"riscv64-linux-gnu", "riscv64", EM_RISCV}};
    bool some = false;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool there = false;
        for (size_t k = 0; k < runtime_bitcode_count; k++) there |= !strcmp(runtime_bitcodes[k].arch, rows[i].arch);
        some |= there;
        const char *path = in_directory(s, "other.o");
        bool ok = emit_for(s, CODEGEN_OBJ, path, rows[i].triple, NULL);
        if (ok != there) fail_msg("%s: %s", rows[i].triple, session_diags(s));
        if (there) assert_int_equal(elf_machine(s, path), rows[i].machine);
        else assert_non_null(strstr(session_diags(s), "this tfxc has no runtime for target"));
    }
    assert_true(some);
}

/* A second variant has symbols of its own, and the object both. */
static void two_variants(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m[2];
    codegen_model model[2];
    codegen_options o[2] = {{.triple = "x86_64-unknown-linux-gnu", .cpu = "x86-64-v4", .opt = 2},
                            {.triple = "x86_64-unknown-linux-gnu", .cpu = "x86-64", .opt = 2}};
    codegen_variant v[2];
    for (int i = 0; i < 2; i++) {
        m[i] = session_parse(&s, "tiny.kir", text);
        model[i] = describe(&s, m[i]);
        v[i] = (codegen_variant){m[i], &model[i], &o[i]};
    }
    const char *path = in_directory(&s, "two.s");
    codegen_output out = {.kind = CODEGEN_ASM, .path = path, .prefix = "tiny"};
    size_t n;
    if (!codegen_emit(v, 2, &out, s.a, s.d)) fail_msg("%s", session_diags(&s));
    const char *assembly = read_file(&s, path, &n);
    assert_non_null(strstr(assembly, "plan.main.x86-64-v4"));
    assert_non_null(strstr(assembly, "plan.main.x86-64\""));
    assert_non_null(strstr(assembly, "x86_64-unknown-linux-gnu x86-64-v4, x86-64"));
    session_free(&s);
}

/* Assembly for machines that this one is not. */
static void other_targets(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"aarch64-unknown-linux-gnu", NULL, "fmla"},          {"aarch64-unknown-linux-gnu", "neoverse-n1", "fmla"},
        {"riscv64-unknown-linux-gnu", NULL, "fmadd.s"},       {"riscv64-unknown-linux-gnu", "rv64gcv", "vfm"},
        {"x86_64-unknown-linux-gnu", "x86-64", "mulps"},      {"x86_64-unknown-linux-gnu", "haswell", "ymm"},
        {"x86_64-unknown-linux-gnu", "sapphirerapids", "zmm"}};
    session s = session_new();
    const char *path = in_directory(&s, "other.s");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n;
        if (!emit_for(&s, CODEGEN_ASM, path, rows[i][0], rows[i][1])) fail_msg("%s", session_diags(&s));
        assert_non_null(strstr(read_file(&s, path, &n), rows[i][2]));
    }
    codegen_target host;
    assert_true(codegen_target_describe(&(codegen_options){0}, s.a, s.d, &host));
    const char *foreign =
        strncmp(host.triple, "x86_64", 6) == 0 ? "aarch64-unknown-linux-gnu" : "x86_64-unknown-linux-gnu";
    other_objects(&s);
    assert_false(emit_for(&s, CODEGEN_ASM, path, foreign, "native"));
    assert_non_null(strstr(session_diags(&s), "processor 'native' needs this machine's own architecture"));
    session_free(&s);
}

/* The debugger's view: the place in the source of an address inside a kernel. */
static void line_tables(void **state)
{
    (void)state;
    session s = session_new();
    must_emit(&s, CODEGEN_SO, in_directory(&s, "lines.so"), (codegen_output){0});
    if (shell(&s, "command -v objdump") != 0) skip();
    must_shell(&s, "objdump --dwarf=decodedline lines.so | grep -Eq '^tiny.kir +10 .*0x'"); /* the contract */
    session_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_object_runs),
        cmocka_unit_test(external_weights),
        cmocka_unit_test(static_linking),
        cmocka_unit_test(text_outputs),
        cmocka_unit_test(equal_inputs_give_equal_bytes),
        cmocka_unit_test(failures_leave_nothing),
        cmocka_unit_test(wrong_targets),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(incomplete_modules),
        cmocka_unit_test(targets),
        cmocka_unit_test(other_targets),
        cmocka_unit_test(other_features),
        cmocka_unit_test(two_variants),
        cmocka_unit_test(line_tables),
    };
    return cmocka_run_group_tests(tests, directory_make, directory_remove);
}
