/* Native targets: names checked and resolved, features found out, LLVM's target machine. */
#include "codegen/emit.h"

#include <assert.h>
#include <llvm-c/Error.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

typedef enum { ARCH_x86_64, ARCH_aarch64, ARCH_OTHER } family;

typedef struct {
    family arch;
    const char *name;
} cpu_name;
static const cpu_name cpu_names[] = {
#define CPU(arch, name, since) {LLVM_MAJOR >= (since) ? ARCH_##arch : ARCH_OTHER, name},
#include "codegen/target_cpus.def"
#undef CPU
};
enum { N_CPUS = sizeof cpu_names / sizeof *cpu_names };

/* Bits of rt_cpu.def with LLVM's names of the features. */
static const struct {
    int bit;
    const char *name;
} x86_features[] = {
#define RT_CPU(NAME, bit, llvm, leaf, subleaf, reg, regbit, state) {bit, llvm},
#include "runtime/rt_cpu.def"
#undef RT_CPU
};
enum { N_FEATURES = sizeof x86_features / sizeof *x86_features };

/* LLVM keeps one registry of targets for the process. */
static void register_targets(void)
{
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    LLVMInitializeAArch64AsmParser();
}

static void register_targets_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_targets);
}

static family arch_of(const char *triple)
{
    if (!strncmp(triple, "x86_64-", 7)) return ARCH_x86_64;
    if (!strncmp(triple, "aarch64-", 8)) return ARCH_aarch64;
    return ARCH_OTHER;
}

static const char *take_message(arena *a, char *message)
{
    char *s = arena_strndup(a, message, strlen(message));
    LLVMDisposeMessage(message);
    return s;
}

/* ---- features of a processor ---- */

static LLVMTargetMachineRef machine(const char *triple, const char *cpu, const char *features,
                                    LLVMCodeGenOptLevel level)
{
    LLVMTargetRef t;
    char *why = NULL;
    if (LLVMGetTargetFromTriple(triple, &t, &why)) {
        LLVMDisposeMessage(why);
        return NULL;
    }
    return LLVMCreateTargetMachine(t, triple, cpu, features, level, LLVMRelocPIC, LLVMCodeModelDefault);
}

static void set_attribute(LLVMContextRef ctx, LLVMValueRef fn, const char *name, const char *text)
{
    LLVMAttributeRef at = LLVMCreateStringAttribute(ctx, name, (unsigned)strlen(name), text, (unsigned)strlen(text));
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, at);
}

/* LLVM's C interface does not tell a processor's features, but its inliner knows them: a function that needs one
 * feature is inlined into a function for the processor exactly when the processor has it. */
static uint64_t probe_features(const char *triple, const char *cpu, const char *features)
{
    LLVMTargetMachineRef tm = machine(triple, cpu, features, LLVMCodeGenLevelNone);
    if (!tm) return 0;
    LLVMContextRef ctx = LLVMContextCreate();
    LLVMModuleRef m = LLVMModuleCreateWithNameInContext("probe", ctx);
    LLVMSetTarget(m, triple);
    LLVMTypeRef signature = LLVMFunctionType(LLVMVoidTypeInContext(ctx), NULL, 0, false);
    LLVMBuilderRef b = LLVMCreateBuilderInContext(ctx);
    LLVMValueRef probes[N_FEATURES], caller = LLVMAddFunction(m, "caller", signature);
    for (int i = 0; i < N_FEATURES; i++) {
        char plus[64];
        snprintf(plus, sizeof plus, "+%s", x86_features[i].name);
        probes[i] = LLVMAddFunction(m, "probe", signature);
        set_attribute(ctx, probes[i], "target-cpu", "x86-64");
        set_attribute(ctx, probes[i], "target-features", plus);
        LLVMPositionBuilderAtEnd(b, LLVMAppendBasicBlockInContext(ctx, probes[i], ""));
        LLVMBuildRetVoid(b);
    }
    set_attribute(ctx, caller, "target-cpu", cpu);
    set_attribute(ctx, caller, "target-features", features);
    LLVMPositionBuilderAtEnd(b, LLVMAppendBasicBlockInContext(ctx, caller, ""));
    for (int i = 0; i < N_FEATURES; i++) LLVMBuildCall2(b, signature, probes[i], NULL, 0, "");
    LLVMBuildRetVoid(b);

    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(m, "cgscc(inline)", tm, options);
    LLVMDisposePassBuilderOptions(options);
    LLVMConsumeError(error);
    uint64_t found = 0;
    for (int i = 0; i < N_FEATURES && !error; i++)
        if (!LLVMGetFirstUse(probes[i])) found |= UINT64_C(1) << x86_features[i].bit;
    LLVMDisposeBuilder(b);
    LLVMDisposeModule(m);
    LLVMContextDispose(ctx);
    LLVMDisposeTargetMachine(tm);
    return found;
}

/* Applies "+a,-b" to the set; 0-terminated lists only. */
static uint64_t listed_features(const char *list, uint64_t set)
{
    for (const char *s = list; s && *s;) {
        size_t n = strcspn(s, ",");
        for (int i = 0; i < N_FEATURES; i++) {
            const char *name = x86_features[i].name;
            if (n != strlen(name) + 1 || strncmp(s + 1, name, n - 1)) continue;
            uint64_t bit = UINT64_C(1) << x86_features[i].bit;
            set = *s == '+' ? set | bit : set & ~bit;
        }
        s += n + (s[n] == ',');
    }
    return set;
}

/* ---- names ---- */

static bool unknown(diags *d, const char *what, const char *name, const char *const *known, uint32_t n)
{
    diag *g = diag_error(d, (span){0, 0}, "unknown %s '%s'", what, name);
    diag_code(g, "target");
    const char *near = suggest(name, known, n);
    if (near) diag_hint(g, "did you mean '%s'?", near);
    return false;
}

static bool check_cpu(diags *d, arena *a, family arch, const char *cpu)
{
    const char **known = ARENA_ARRAY(a, const char *, N_CPUS);
    uint32_t n = 0;
    for (int i = 0; i < N_CPUS; i++) {
        if (cpu_names[i].arch != arch) continue;
        if (!strcmp(cpu_names[i].name, cpu)) return true;
        known[n++] = cpu_names[i].name;
    }
    return unknown(d, "processor", cpu, known, n);
}

static bool check_features(diags *d, arena *a, family arch, const char *list)
{
    if (arch != ARCH_x86_64) return true;
    const char *known[N_FEATURES];
    for (int i = 0; i < N_FEATURES; i++) known[i] = x86_features[i].name;
    for (const char *s = list;; s++) {
        size_t n = strcspn(s, ",");
        const char *name = arena_strndup(a, s, n);
        if (*name != '+' && *name != '-') {
            diag *g = diag_error(d, (span){0, 0}, "processor feature '%s' has neither '+' nor '-'", name);
            diag_code(g, "target");
            diag_hint(g, "write '+%s' to use it, '-%s' to do without", name, name);
            return false;
        }
        bool found = false;
        for (int i = 0; i < N_FEATURES; i++) found |= !strcmp(known[i], name + 1);
        if (!found) return unknown(d, "processor feature", name + 1, known, N_FEATURES);
        s += n;
        if (!*s) return true;
    }
}

/* ---- the target ---- */

static const char *join_features(arena *a, const char *x, const char *y)
{
    if (!x || !*x) return y ? y : "";
    if (!y || !*y) return x;
    return arena_printf(a, "%s,%s", x, y);
}

bool codegen_target_describe(const codegen_options *o, arena *a, diags *d, codegen_target *out)
{
    register_targets_once();
    const char *host = take_message(a, LLVMGetDefaultTargetTriple());
    const char *triple = o->triple ? take_message(a, LLVMNormalizeTargetTriple(o->triple)) : host;
    family arch = arch_of(triple);
    if (arch == ARCH_OTHER || !strstr(triple, "linux")) {
        diag *g = diag_error(d, (span){0, 0}, "no code generator for target '%s'", triple);
        diag_code(g, "target");
        diag_note(g, "targets are x86_64 and aarch64 with Linux");
        return false;
    }
    bool is_host = arch == arch_of(host), native = o->cpu && !strcmp(o->cpu, "native");
    const char *base = "";
    out->triple = triple;
    out->native = native || (!o->cpu && is_host);
    if (out->native) {
        if (!is_host) {
            diag_code(diag_error(d, (span){0, 0}, "processor 'native' needs this machine's own architecture, not '%s'",
                                 triple),
                      "target");
            return false;
        }
        out->cpu = take_message(a, LLVMGetHostCPUName());
        base = take_message(a, LLVMGetHostCPUFeatures());
    } else {
        out->cpu = o->cpu ? o->cpu : arch == ARCH_x86_64 ? "x86-64" : "generic";
        if (!check_cpu(d, a, arch, out->cpu)) return false;
    }
    if (o->features && !check_features(d, a, arch, o->features)) return false;
    out->features = join_features(a, base, o->features);

    out->vector_bytes = 16;
    out->registers = 32;
    out->fma = true;
    out->f16 = true;
    out->required = 0;
    if (arch == ARCH_x86_64) {
        uint64_t has = *base ? listed_features(out->features, 0) : probe_features(triple, out->cpu, out->features);
        uint64_t wide = UINT64_C(1) << RT_CPU_AVX512F | UINT64_C(1) << RT_CPU_AVX512VL |
                        UINT64_C(1) << RT_CPU_AVX512BW | UINT64_C(1) << RT_CPU_AVX512DQ;
        out->required = has;
        out->registers = (has & wide) == wide ? 32 : 16;
        out->vector_bytes = (has & wide) == wide ? 64 : has >> RT_CPU_AVX & 1 ? 32 : 16;
        out->f16 = has >> RT_CPU_F16C & 1;
        out->fma = has >> RT_CPU_FMA & 1 || (has & wide) == wide;
    }
    return true;
}

bool codegen_target_runs_here(const codegen_target *t, arena *a, diags *d)
{
    codegen_options native = {0};
    codegen_target here;
    return codegen_target_describe(&native, a, d, &here) && !strcmp(here.triple, t->triple) &&
           !(t->required & ~here.required);
}

LLVMTargetMachineRef target_machine(const codegen_target *t, int opt, diags *d)
{
    register_targets_once();
    LLVMCodeGenOptLevel level = opt == 0   ? LLVMCodeGenLevelNone
                                : opt == 1 ? LLVMCodeGenLevelLess
                                : opt == 2 ? LLVMCodeGenLevelDefault
                                           : LLVMCodeGenLevelAggressive;
    LLVMTargetMachineRef tm = machine(t->triple, t->cpu, t->features, level);
    if (!tm) diag_code(diag_error(d, (span){0, 0}, "LLVM has no code generator for target '%s'", t->triple), "target");
    return tm;
}

static void add_enum_attribute(emit_module *m, LLVMValueRef fn, const char *name, uint64_t v)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    assert(kind);
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(m->ctx, kind, v));
}

/* Unwind tables let debuggers and profilers walk through kernels; nothing is ever thrown. */
void target_function_attributes(emit_module *m, LLVMValueRef fn)
{
    set_attribute(m->ctx, fn, "target-cpu", m->target->cpu);
    if (*m->target->features) set_attribute(m->ctx, fn, "target-features", m->target->features);
    add_enum_attribute(m, fn, "nounwind", 0);
    add_enum_attribute(m, fn, "uwtable", 2);
}
