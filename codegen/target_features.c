/* Processors and their features: the tables, the names, and what LLVM knows of them. */
#include "codegen/emit.h"
#include "codegen/target.h"

#include <llvm-c/Error.h>
#include <llvm-c/Transforms/PassBuilder.h>

/* ---- tables ---- */

/* A processor that this LLVM lacks belongs to no architecture. */
static const cpu_name cpu_names[] = {
#define CPU(arch, name, since) {LLVM_MAJOR >= (since) ? ARCH_##arch : ARCH_OTHER, name, name, ""},
#define CPU_AS(arch, name, llvm, features) {ARCH_##arch, name, llvm, features},
#include "codegen/target_cpus.def"
};
enum { N_CPUS = sizeof cpu_names / sizeof *cpu_names };

static const cpu_feature x86_features[] = {
#define RT_CPU_X86(NAME, bit, llvm, leaf, subleaf, reg, regbit, state) {bit, llvm},
#include "runtime/rt_cpu.def"
};
static const cpu_feature arm_features[] = {
#define RT_CPU_ARM(NAME, bit, llvm, word, wordbit) {bit, llvm},
#include "runtime/rt_cpu.def"
};
static const cpu_feature riscv_features[] = {
#define RT_CPU_RISCV(NAME, bit, llvm, hwcap) {bit, llvm},
#include "runtime/rt_cpu.def"
};
#define ROW(name, cpu, versions, reach, features) \
    {name, cpu, versions, reach, features, sizeof(features) / sizeof *(features)}
const arch_row arch_rows[N_ARCHS] = {
    [ARCH_x86_64] =
        ROW("x86_64", "x86-64", "x86-64-v4,x86-64-v3,x86-64", 63, x86_features), /* has sections for large data */
    [ARCH_aarch64] = ROW("aarch64", "generic", NULL, 32, arm_features),          /* vectors of 128 bits belong to all */
    [ARCH_riscv64] = ROW("riscv64", "rv64gc", "rv64gcv,rv64gc", 31, riscv_features),
};
enum { MOST_FEATURES = 64 };

target_arch arch_of(const char *triple)
{
    size_t n = strcspn(triple, "-");
    for (int i = 0; i < N_ARCHS; i++)
        if (n == strlen(arch_rows[i].name) && !strncmp(triple, arch_rows[i].name, n)) return (target_arch)i;
    return ARCH_OTHER;
}

/* ---- names ---- */

static void unknown(diags *d, const char *what, const char *name, target_arch arch, const char *const *known,
                    uint32_t n)
{
    diag *g = diag_error(d, (span){0, 0}, "unknown %s '%s' for %s", what, name, arch_rows[arch].name);
    diag_code(g, "target");
    const char *near = suggest(name, known, n);
    if (near) diag_hint(g, "did you mean '%s'? tfxc --print-targets lists them all", near);
    else diag_hint(g, "tfxc --print-targets lists them");
}

const cpu_name *target_cpu_find(target_arch arch, const char *name, arena *a, diags *d)
{
    const char **known = ARENA_ARRAY(a, const char *, N_CPUS);
    uint32_t n = 0;
    for (int i = 0; i < N_CPUS; i++) {
        if (cpu_names[i].arch != arch) continue;
        if (!strcmp(cpu_names[i].name, name)) return &cpu_names[i];
        known[n++] = cpu_names[i].name;
    }
    unknown(d, "processor", name, arch, known, n);
    return NULL;
}

void target_cpus_each(target_arch arch, void (*fn)(void *arg, const char *name), void *arg)
{
    for (int i = 0; i < N_CPUS; i++)
        if (cpu_names[i].arch == arch) fn(arg, cpu_names[i].name);
}

bool target_features_check(target_arch arch, const char *list, arena *a, diags *d)
{
    const arch_row *row = &arch_rows[arch];
    const char *known[MOST_FEATURES];
    for (int i = 0; i < row->n_features; i++) known[i] = row->features[i].name;
    for (const char *s = list;; s++) {
        size_t n = strcspn(s, ",");
        const char *name = arena_strndup(a, s, n);
        if (!*name) {
            diag *g = diag_error(d, (span){0, 0}, "a processor feature is left out in '%s'", list);
            diag_code(g, "target");
            diag_hint(g, "a list is written +avx512f,-fma");
            return false;
        }
        if (*name != '+' && *name != '-') {
            diag *g = diag_error(d, (span){0, 0}, "processor feature '%s' has neither '+' nor '-'", name);
            diag_code(g, "target");
            diag_hint(g, "write '+%s' to use it, '-%s' to do without", name, name);
            return false;
        }
        bool found = false;
        for (int i = 0; i < row->n_features; i++) found |= !strcmp(known[i], name + 1);
        if (!found) {
            unknown(d, "processor feature", name + 1, arch, known, (uint32_t)row->n_features);
            return false;
        }
        s += n;
        if (!*s) return true;
    }
}

/* ---- features ---- */

void target_string_attribute(LLVMValueRef fn, const char *name, const char *text)
{
    LLVMContextRef ctx = LLVMGetModuleContext(LLVMGetGlobalParent(fn));
    LLVMAttributeRef at = LLVMCreateStringAttribute(ctx, name, (unsigned)strlen(name), text, (unsigned)strlen(text));
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, at);
}

static LLVMValueRef probe(LLVMModuleRef m, const char *name, const char *cpu, const char *features)
{
    LLVMContextRef ctx = LLVMGetModuleContext(m);
    LLVMValueRef fn = LLVMAddFunction(m, name, LLVMFunctionType(LLVMVoidTypeInContext(ctx), NULL, 0, false));
    target_string_attribute(fn, "target-cpu", cpu);
    target_string_attribute(fn, "target-features", features);
    return fn;
}

/* LLVM's C interface does not tell a processor's features, but its inliner knows them: a function for the processor
 * with one feature in addition is inlined into a function for the processor exactly when that has the feature. */
uint64_t target_features_of(target_arch arch, const char *triple, const char *cpu, const char *features, arena *a,
                            diags *d)
{
    const arch_row *row = &arch_rows[arch];
    codegen_target t = {.triple = triple, .cpu = cpu, .features = features};
    LLVMTargetMachineRef tm = target_machine(&t, 0, d);
    if (!tm) return 0;
    LLVMContextRef ctx = LLVMContextCreate();
    LLVMModuleRef m = LLVMModuleCreateWithNameInContext("probe", ctx);
    LLVMSetTarget(m, triple);
    LLVMBuilderRef b = LLVMCreateBuilderInContext(ctx);
    LLVMValueRef probes[MOST_FEATURES], caller = probe(m, "caller", cpu, features);
    for (int i = 0; i < row->n_features; i++) {
        const char *more = arena_printf(a, "%s%s+%s", features, *features ? "," : "", row->features[i].name);
        probes[i] = probe(m, "probe", cpu, more);
        LLVMPositionBuilderAtEnd(b, LLVMAppendBasicBlockInContext(ctx, probes[i], ""));
        LLVMBuildRetVoid(b);
    }
    LLVMPositionBuilderAtEnd(b, LLVMAppendBasicBlockInContext(ctx, caller, ""));
    for (int i = 0; i < row->n_features; i++)
        LLVMBuildCall2(b, LLVMGlobalGetValueType(probes[i]), probes[i], NULL, 0, "");
    LLVMBuildRetVoid(b);

    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(m, "cgscc(inline)", tm, options);
    LLVMDisposePassBuilderOptions(options);
    LLVMConsumeError(error);
    uint64_t found = 0;
    for (int i = 0; i < row->n_features && !error; i++)
        if (!LLVMGetFirstUse(probes[i])) found |= UINT64_C(1) << row->features[i].bit;
    LLVMDisposeBuilder(b);
    LLVMDisposeModule(m);
    LLVMContextDispose(ctx);
    LLVMDisposeTargetMachine(tm);
    return found;
}

uint64_t target_features_listed(target_arch arch, const char *list)
{
    const arch_row *row = &arch_rows[arch];
    uint64_t set = 0;
    for (const char *s = list; *s;) {
        size_t n = strcspn(s, ",");
        for (int i = 0; i < row->n_features && *s == '+'; i++) {
            const char *name = row->features[i].name;
            if (n == strlen(name) + 1 && !strncmp(s + 1, name, n - 1)) set |= UINT64_C(1) << row->features[i].bit;
        }
        s += n + (s[n] == ',');
    }
    return set;
}
