/* Kernels compiled and loaded in this process. The object is made by the same code as artefacts' and handed to ORC, so
 * that what is tested and measured is what ships. */
#include "codegen/emit_plan.h"

#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>

struct codegen_jit {
    arena *a;
    LLVMOrcLLJITRef jit;
};

static bool failed(diags *d, LLVMErrorRef error)
{
    if (!error) return false;
    char *text = LLVMGetErrorMessage(error);
    diag_error(d, (span){0, 0}, "LLVM: %s", text);
    LLVMDisposeErrorMessage(text);
    return true;
}

static LLVMMemoryBufferRef compile(arena *a, const kmodule *k, const codegen_options *o, diags *d)
{
    codegen_target target;
    if (!codegen_target_describe(o, a, d, &target)) return NULL;
    emit_module *m = emit_module_new(a, d, k, &target, o);
    if (!m) return NULL;
    for (uint32_t i = 0; i < k->functions.len; i++)
        if (k->functions.data[i]->target == KTARGET_CPU) {
            emit_kernel(m, k->functions.data[i]);
            emit_task_count(m, k->functions.data[i]);
        }
    LLVMMemoryBufferRef object = NULL;
    LLVMTargetMachineRef tm = target_machine(&target, o->opt, d);
    if (tm && emit_module_finish(m, tm, o->opt)) object = emit_module_code(m, tm, LLVMObjectFile);
    LLVMDisposeTargetMachine(tm);
    emit_module_free(m);
    return object;
}

/* Kernels may call libm: found among this process's symbols. */
static bool load(codegen_jit *j, LLVMMemoryBufferRef object, diags *d)
{
    if (failed(d, LLVMOrcCreateLLJIT(&j->jit, NULL))) {
        LLVMDisposeMemoryBuffer(object);
        return false;
    }
    LLVMOrcJITDylibRef lib = LLVMOrcLLJITGetMainJITDylib(j->jit);
    LLVMOrcDefinitionGeneratorRef process;
    char prefix = LLVMOrcLLJITGetGlobalPrefix(j->jit);
    if (failed(d, LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(&process, prefix, NULL, NULL))) {
        LLVMDisposeMemoryBuffer(object);
        return false;
    }
    LLVMOrcJITDylibAddGenerator(lib, process);
    return !failed(d, LLVMOrcLLJITAddObjectFile(j->jit, lib, object));
}

codegen_jit *codegen_jit_new(const kmodule *k, const codegen_options *o, diags *d)
{
    arena *a = arena_new(NULL, NULL);
    if (!a) return NULL;
    codegen_jit *j = ARENA_NEW(a, codegen_jit);
    j->a = a;
    LLVMMemoryBufferRef object = compile(a, k, o, d);
    if (object && load(j, object, d)) return j;
    codegen_jit_free(j);
    return NULL;
}

static uintptr_t look_up(const codegen_jit *j, const char *name)
{
    LLVMOrcExecutorAddress at = 0;
    LLVMErrorRef error = LLVMOrcLLJITLookup(j->jit, &at, name);
    if (!error) return (uintptr_t)at;
    LLVMConsumeError(error);
    return 0;
}

rt_kernel_fn *codegen_jit_kernel(const codegen_jit *j, const char *name)
{
    return (rt_kernel_fn *)look_up(j, arena_printf(j->a, "launch.%s", name));
}

int64_t codegen_jit_tasks(const codegen_jit *j, const char *name, const int64_t *dims)
{
    int64_t (*fn)(const int64_t *) = (int64_t (*)(const int64_t *))look_up(j, arena_printf(j->a, "tasks.%s", name));
    return fn ? fn(dims) : -1;
}

void codegen_jit_free(codegen_jit *j)
{
    if (!j) return;
    if (j->jit) LLVMConsumeError(LLVMOrcDisposeLLJIT(j->jit));
    arena_free(j->a);
}
