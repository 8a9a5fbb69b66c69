/* The LLVM module around emitted functions: context, target, clean-up passes, object code. */
#include "codegen/emit.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <stdio.h>

/* Errors that code generation finds go to the session's list instead of stderr. */
static void on_diagnostic(LLVMDiagnosticInfoRef info, void *arg)
{
    emit_module *m = arg;
    if (LLVMGetDiagInfoSeverity(info) != LLVMDSError) return;
    char *text = LLVMGetDiagInfoDescription(info);
    diag_error(m->d, (span){0, 0}, "LLVM: %s", text);
    LLVMDisposeMessage(text);
    m->failed = true;
}

emit_module *emit_module_new_for(arena *a, diags *d, const kmodule *k, const codegen_target *t, LLVMTargetMachineRef tm)
{
    emit_module *m = ARENA_NEW(a, emit_module);
    *m = (emit_module){.a = a, .d = d, .sources = k->sources, .target = t, .variant = "", .ctx = LLVMContextCreate()};
    LLVMContextSetDiagnosticHandler(m->ctx, on_diagnostic, m);
    m->mod = LLVMModuleCreateWithNameInContext(k->name ? k->name : "kernels", m->ctx);
    LLVMSetTarget(m->mod, t->triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(tm);
    LLVMSetModuleDataLayout(m->mod, layout);
    LLVMDisposeTargetData(layout);
    m->i1 = LLVMInt1TypeInContext(m->ctx);
    m->i8 = LLVMInt8TypeInContext(m->ctx);
    m->i32 = LLVMInt32TypeInContext(m->ctx);
    m->i64 = LLVMInt64TypeInContext(m->ctx);
    m->f32 = LLVMFloatTypeInContext(m->ctx);
    m->f64 = LLVMDoubleTypeInContext(m->ctx);
    m->ptr = LLVMPointerTypeInContext(m->ctx, 0);
    m->void_type = LLVMVoidTypeInContext(m->ctx);
    return m;
}

emit_module *emit_module_new(arena *a, diags *d, const kmodule *k, const codegen_target *t, const codegen_options *o)
{
    LLVMTargetMachineRef tm = target_machine(t, 0, d);
    if (!tm) return NULL;
    emit_module *m = emit_module_new_for(a, d, k, t, tm);
    LLVMDisposeTargetMachine(tm);
    LLVMTypeRef zeros = LLVMArrayType2(m->i8, 128);
    m->zeros = LLVMAddGlobal(m->mod, zeros, "zeros");
    LLVMSetInitializer(m->zeros, LLVMConstNull(zeros));
    LLVMSetGlobalConstant(m->zeros, true);
    LLVMSetLinkage(m->zeros, LLVMInternalLinkage);
    LLVMSetAlignment(m->zeros, 64);
    m->debug = debug_new(m, o, LLVMDWARFEmissionLineTablesOnly);
    return m;
}

void emit_module_free(emit_module *m)
{
    if (!m) return;
    debug_free(m->debug);
    LLVMDisposeModule(m->mod);
    LLVMContextDispose(m->ctx);
}

/* Tiles are already vectors and loops already unrolled, so little is left to do: -O2 folds, shares and hoists what
 * emitting op by op left behind. LLVM's whole pipeline (-O3) takes longer and has shown no gain. */
static const char *const pipelines[] = {
    NULL,
    "function(early-cse,simplifycfg)",
    "function(early-cse,instcombine<no-verify-fixpoint>,simplifycfg,loop-mssa(licm),early-cse,simplifycfg)",
    "default<O3>",
};

bool emit_module_finish(emit_module *m, LLVMTargetMachineRef tm, int opt)
{
    debug_finish(m->debug);
    char *why = NULL;
    if (LLVMVerifyModule(m->mod, LLVMReturnStatusAction, &why)) {
        diag *g = diag_error(m->d, (span){0, 0}, "internal error: the emitted LLVM module is malformed");
        diag_note(g, "%s", why);
        m->failed = true;
    }
    LLVMDisposeMessage(why);
    if (m->failed || !pipelines[opt]) return !m->failed;
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(m->mod, pipelines[opt], tm, options);
    LLVMDisposePassBuilderOptions(options);
    if (error) {
        char *text = LLVMGetErrorMessage(error);
        diag_error(m->d, (span){0, 0}, "LLVM: %s", text);
        LLVMDisposeErrorMessage(text);
        m->failed = true;
    }
    return !m->failed;
}

LLVMMemoryBufferRef emit_module_code(emit_module *m, LLVMTargetMachineRef tm, LLVMCodeGenFileType kind)
{
    LLVMMemoryBufferRef out = NULL;
    char *why = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(tm, m->mod, kind, &why, &out)) {
        diag_error(m->d, (span){0, 0}, "LLVM: %s", why);
        LLVMDisposeMessage(why);
        m->failed = true;
        return NULL;
    }
    if (!m->failed) return out;
    LLVMDisposeMemoryBuffer(out);
    return NULL;
}
