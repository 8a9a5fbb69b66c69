/* Native targets: names resolved, features found out, LLVM's target machine. */
#include "codegen/emit.h"
#include "codegen/ptx.h"
#include "codegen/target.h"
#include "support/embedded.h"

#include <assert.h>
#include <pthread.h>

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
    LLVMInitializeRISCVTargetInfo();
    LLVMInitializeRISCVTarget();
    LLVMInitializeRISCVTargetMC();
    LLVMInitializeRISCVAsmPrinter();
    LLVMInitializeRISCVAsmParser();
}

static void register_targets_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_targets);
}

static const char *take_message(arena *a, char *message)
{
    char *s = arena_strndup(a, message, strlen(message));
    LLVMDisposeMessage(message);
    return s;
}

static bool refuse(diags *d, const char *fmt, const char *triple, const char *hint)
{
    diag *g = diag_error(d, (span){0, 0}, fmt, triple);
    diag_code(g, "target");
    if (hint) diag_hint(g, "%s", hint);
    return false;
}

/* ---- the target ---- */

static const char *join_features(arena *a, const char *x, const char *y)
{
    if (!x || !*x) return y ? y : "";
    if (!y || !*y) return x;
    return arena_printf(a, "%s,%s", x, y);
}

/* The processor and its features, as LLVM calls them; `native`: those of this machine. */
static bool resolve_cpu(const codegen_options *o, target_arch arch, arena *a, diags *d, codegen_target *out)
{
    const char *base;
    if (out->native) {
        out->name = out->cpu = take_message(a, LLVMGetHostCPUName());
        base = take_message(a, LLVMGetHostCPUFeatures());
    } else {
        const cpu_name *c = target_cpu_find(arch, o->cpu ? o->cpu : arch_rows[arch].cpu, a, d);
        if (!c) return false;
        out->name = c->name;
        out->cpu = c->llvm;
        base = c->features;
    }
    if (o->features && !target_features_check(arch, o->features, a, d)) return false;
    out->features = join_features(a, base, o->features);
    return true;
}

#define BIT(name) (UINT64_C(1) << (name))

/* What schedules and emitters need to know, by the features. */
static void describe_vectors(target_arch arch, codegen_target *t)
{
    uint64_t has = t->required;
    t->vector_bytes = 16;
    t->registers = 32;
    t->fma = true;
    t->f16 = true;
    if (arch == ARCH_x86_64) {
        uint64_t wide = BIT(RT_X86_AVX512F) | BIT(RT_X86_AVX512VL) | BIT(RT_X86_AVX512BW) | BIT(RT_X86_AVX512DQ);
        bool has_wide = (has & wide) == wide;
        t->registers = has_wide ? 32 : 16;
        t->vector_bytes = has_wide ? 64 : has & BIT(RT_X86_AVX) ? 32 : 16;
        t->f16 = has & BIT(RT_X86_F16C);
        t->fma = has & BIT(RT_X86_FMA) || has_wide;
    } else if (arch == ARCH_riscv64) {
        /* Without vectors LLVM takes tiles apart into single registers, of which there are 32. V promises 128 bits. */
        t->registers = has & BIT(RT_RISCV_V) ? 32 : 16;
        t->fma = has & BIT(RT_RISCV_F);
        t->f16 = false;
    }
}

/* ARCH_OTHER with a diagnostic. */
static target_arch find_triple(const codegen_options *o, arena *a, diags *d, const char **triple)
{
    *triple = take_message(a, o->triple ? LLVMNormalizeTargetTriple(o->triple) : LLVMGetDefaultTargetTriple());
    target_arch arch = arch_of(*triple);
    if (arch != ARCH_OTHER && strstr(*triple, "linux")) return arch;
    const char *hint = arch == ARCH_OTHER ? "tfxc --print-targets lists the targets"
                                          : arena_printf(a, "say --target=%s-linux-gnu", arch_rows[arch].name);
    refuse(d, "no code generator for target '%s'", *triple, hint);
    return ARCH_OTHER;
}

const char *codegen_multiversion_default(const codegen_options *o, arena *a, diags *d)
{
    const char *triple;
    target_arch arch = find_triple(o, a, d, &triple);
    if (arch == ARCH_OTHER) return NULL;
    if (!arch_rows[arch].versions)
        refuse(d, "no list of processors is known for target '%s'", triple, "say --multiversion=NAME,NAME");
    return arch_rows[arch].versions;
}

bool codegen_target_describe(const codegen_options *o, arena *a, diags *d, codegen_target *out)
{
    register_targets_once();
    const char *host = take_message(a, LLVMGetDefaultTargetTriple()), *triple;
    target_arch arch = find_triple(o, a, d, &triple);
    if (arch == ARCH_OTHER) return false;
    bool is_host = arch == arch_of(host), native = o->cpu && !strcmp(o->cpu, "native");
    *out = (codegen_target){.triple = triple, .native = native || (!o->cpu && is_host), .is_host = is_host};
    if (out->native && !is_host)
        return refuse(d, "processor 'native' needs this machine's own architecture, not '%s'", triple,
                      "name a processor with -mcpu=; tfxc --print-targets lists them");
    if (!resolve_cpu(o, arch, a, d, out)) return false;
    /* This machine's own list is complete; what flags and names add implies more. */
    out->required = out->native && !o->features ? target_features_listed(arch, out->features)
                                                : target_features_of(arch, triple, out->cpu, out->features, a, d);
    describe_vectors(arch, out);
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
    LLVMTargetRef target;
    LLVMTargetMachineRef tm = NULL;
    char *why = NULL;
    if (LLVMGetTargetFromTriple(t->triple, &target, &why)) LLVMDisposeMessage(why);
    else
        tm = LLVMCreateTargetMachine(target, t->triple, t->cpu, t->features, level, LLVMRelocPIC, LLVMCodeModelDefault);
    if (!tm) refuse(d, "LLVM has no code generator for target '%s'", t->triple, NULL);
    return tm;
}

/* ---- the list for people ---- */

typedef struct {
    strbuf *out;
    size_t line; /* where the current one began */
} name_list;

static void print_name(void *arg, const char *name)
{
    name_list *l = arg;
    if (l->out->len - l->line + strlen(name) > 98) {
        strbuf_adds(l->out, "\n   ");
        l->line = l->out->len - 3;
    }
    strbuf_addf(l->out, " %s", name);
}

static bool has_runtime(const char *arch)
{
    for (size_t i = 0; i < runtime_bitcode_count; i++)
        if (!strcmp(runtime_bitcodes[i].arch, arch)) return true;
    return false;
}

void codegen_print_targets(strbuf *out)
{
    target_arch host = arch_of(take_message(out->a, LLVMGetDefaultTargetTriple()));
    for (target_arch arch = 0; arch < N_ARCHS; arch++) {
        const arch_row *row = &arch_rows[arch];
        name_list l = {.out = out};
        strbuf_addf(out, "%s--target=%s-linux-gnu%s\n", arch ? "\n" : "", row->name,
                    has_runtime(row->name) ? "" : " (assembly and LLVM IR only: this tfxc has no runtime for it)");
        l.line = out->len;
        strbuf_adds(out, "  -mcpu=");
        target_cpus_each(arch, print_name, &l);
        l.line = out->len + 1;
        strbuf_adds(out, "\n  -mattr=");
        for (int i = 0; i < row->n_features; i++) print_name(&l, row->features[i].name);
        strbuf_addf(out, "\n  without -mcpu: %s", arch == host ? "native" : row->cpu);
        if (row->versions) strbuf_addf(out, "; with --multiversion: %s", row->versions);
        strbuf_addc(out, '\n');
    }
    name_list l = {.out = out};
    strbuf_adds(out, "\nGPU kernels as PTX (.kir files only)\n");
    l.line = out->len;
    strbuf_adds(out, "  -mcpu=");
    for (uint32_t i = 0; codegen_ptx_processor(i); i++) print_name(&l, codegen_ptx_processor(i));
    strbuf_adds(out, "\n  -mattr= +ptx83 and other versions of PTX\n");
}

/* ---- attributes of functions ---- */

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
    target_string_attribute(fn, "target-cpu", m->target->cpu);
    if (*m->target->features) target_string_attribute(fn, "target-features", m->target->features);
    add_enum_attribute(m, fn, "nounwind", 0);
    add_enum_attribute(m, fn, "uwtable", 2);
}
