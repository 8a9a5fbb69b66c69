/* The PTX target: processors, LLVM's NVPTX back end, modules as text. */
#include "codegen/emit_ptx.h"

#include <pthread.h>
#include <stdlib.h>

/* The oldest PTX version that has what this compiler emits for a processor; shared memory as a block may ask for at
 * launch. */
static const ptx_processor processors[] = {
    {"sm_80", "+ptx70", 19, 163 << 10, false},  {"sm_86", "+ptx71", 19, 99 << 10, false},
    {"sm_87", "+ptx74", 19, 163 << 10, false},  {"sm_89", "+ptx78", 19, 99 << 10, false},
    {"sm_90", "+ptx80", 19, 227 << 10, false},  {"sm_90a", "+ptx80", 19, 227 << 10, true},
    {"sm_100", "+ptx86", 20, 227 << 10, false}, {"sm_100a", "+ptx86", 20, 227 << 10, false},
    {"sm_120", "+ptx87", 20, 99 << 10, false},  {"sm_120a", "+ptx87", 20, 99 << 10, false},
};
/* LLVM's DebugDirectivesOnly, which its C API passes on without a name for it: lines as .loc, which is all that
 * profilers read. With sections of debug information ptxas would not optimise. */
static const LLVMDWARFEmissionKind DIRECTIVES_ONLY = (LLVMDWARFEmissionKind)3;

enum { N_PROCESSORS = sizeof processors / sizeof *processors };

static void register_nvptx(void)
{
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
}

static void register_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_nvptx);
}

/* Rows of later LLVM versions stand last. */
const char *codegen_ptx_processor(uint32_t i)
{
    return i < N_PROCESSORS && processors[i].llvm <= LLVM_MAJOR ? processors[i].name : NULL;
}

static const ptx_processor *find_processor(const char *name, diags *d)
{
    const char *known[N_PROCESSORS];
    uint32_t n = 0;
    for (; codegen_ptx_processor(n); n++) {
        known[n] = processors[n].name;
        if (!strcmp(known[n], name)) return &processors[n];
    }
    diag *g = diag_error(d, (span){0, 0}, "unknown GPU processor '%s'", name);
    const char *near = suggest(name, known, n);
    if (near) diag_hint(g, "did you mean '%s'? tfxc --print-targets lists them all", near);
    else diag_hint(g, "tfxc --print-targets lists them");
    diag_code(g, "target");
    return NULL;
}

/* "+ptx83" or several such; LLVM itself only prints a warning about others. */
static bool check_features(const char *list, diags *d)
{
    for (const char *s = list; *s;) {
        size_t n = strcspn(s, ","), digits = n > 4 ? strspn(s + 4, "0123456789") : 0;
        if (strncmp(s, "+ptx", 4) != 0 || !digits || digits + 4 != n) {
            diag *g = diag_error(d, (span){0, 0}, "unknown GPU feature '%.*s'", (int)n, s);
            diag_code(g, "target");
            diag_note(g, "features of GPUs are PTX versions, as '+ptx83'");
            return false;
        }
        s += n + (s[n] == ',');
    }
    return true;
}

static LLVMTargetMachineRef new_machine(const codegen_target *t, int opt, diags *d)
{
    register_once();
    LLVMTargetRef target;
    char *why = NULL;
    if (LLVMGetTargetFromTriple(t->triple, &target, &why)) {
        diag_error(d, (span){0, 0}, "this LLVM has no NVPTX back end: %s", why);
        LLVMDisposeMessage(why);
        return NULL;
    }
    /* Without any optimisation LLVM would copy registers that a queued wgmma has still to write. */
    LLVMCodeGenOptLevel level = opt < 2    ? LLVMCodeGenLevelLess
                                : opt == 2 ? LLVMCodeGenLevelDefault
                                           : LLVMCodeGenLevelAggressive;
    return LLVMCreateTargetMachine(target, t->triple, t->cpu, t->features, level, LLVMRelocDefault,
                                   LLVMCodeModelDefault);
}

/* ---- text ---- */

static void print_launch(const codegen_ptx_launch *l, strbuf *out)
{
    const kfunction *f = l->kernel;
    strbuf_addf(out, "// kernel %s: grid (", l->name);
    for (int i = 0; i < 3; i++) {
        if (i) strbuf_adds(out, ", ");
        dim_print(f->dims, l->grid[i], out);
    }
    strbuf_addf(out, "), %u threads, %u bytes of shared memory%s; parameters ", l->threads, l->shared_bytes,
                l->dynamic_bytes ? " (dynamic)" : "");
    for (uint32_t i = 0; i < f->params.len; i++) {
        kvalue_print(f, f->params.data[i].v, out);
        strbuf_adds(out, ", ");
    }
    for (uint32_t i = 0; i < dim_symbol_count(f->dims); i++) strbuf_addf(out, "%s, ", dim_symbol_at(f->dims, i)->name);
    strbuf_adds(out, "fault\n");
}

static bool print_module(emit_module *m, const ptx_module *pm, LLVMTargetMachineRef tm, int opt, codegen_ptx *out)
{
    if (m->failed || !emit_module_finish(m, tm, opt)) return false;
    LLVMMemoryBufferRef code = emit_module_code(m, tm, LLVMAssemblyFile);
    if (!code) return false;
    strbuf s = strbuf_new(m->a);
    for (uint32_t i = 0; i < pm->n_launches; i++) print_launch(&pm->launches[i], &s);
    strbuf_add(&s, LLVMGetBufferStart(code), LLVMGetBufferSize(code));
    LLVMDisposeMemoryBuffer(code);
    *out = (codegen_ptx){.text = s.s, .size = s.len, .n_launches = pm->n_launches, .launches = pm->launches};
    return true;
}

/* ---- the module ---- */

static bool emit_kernels(const kmodule *k, emit_module *m, const ptx_processor *cpu, LLVMTargetMachineRef tm, int opt,
                         codegen_ptx *out)
{
    ptx_module pm = {.cpu = cpu};
    pm.global_ptr = LLVMPointerTypeInContext(m->ctx, PTX_GLOBAL);
    pm.shared_ptr = LLVMPointerTypeInContext(m->ctx, PTX_SHARED);
    pm.launches = ARENA_ARRAY(m->a, codegen_ptx_launch, k->functions.len);
    vec_foreach (kfunction *, f, &k->functions)
        if ((*f)->target == KTARGET_PTX) emit_ptx_kernel(m, &pm, *f);
    return print_module(m, &pm, tm, opt, out);
}

bool codegen_emit_ptx(const kmodule *k, const codegen_ptx_options *o, arena *a, diags *d, codegen_ptx *out)
{
    const ptx_processor *cpu = find_processor(o->sm ? o->sm : processors[0].name, d);
    if (!cpu || (o->features && !check_features(o->features, d))) return false;
    codegen_target target = {.vector_bytes = 16,
                             .registers = 255,
                             .fma = true,
                             .f16 = true,
                             .triple = "nvptx64-nvidia-cuda",
                             .cpu = cpu->name};
    target.features = o->features && *o->features ? o->features : cpu->features;
    LLVMTargetMachineRef tm = new_machine(&target, o->opt, d);
    if (!tm) return false;
    emit_module *m = emit_module_new_for(a, d, k, &target, tm);
    m->bf16 = true;
    m->debug = debug_new(m, &(codegen_options){.opt = o->opt}, DIRECTIVES_ONLY);
    bool ok = emit_kernels(k, m, cpu, tm, o->opt, out);
    emit_module_free(m);
    LLVMDisposeTargetMachine(tm);
    return ok;
}
