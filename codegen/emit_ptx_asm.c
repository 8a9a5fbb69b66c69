/* Inline PTX. */
#include "codegen/emit_ptx.h"

#include <assert.h>

static void add_convergent(emitter *e, LLVMValueRef call)
{
    unsigned kind = LLVMGetEnumAttributeKindForName("convergent", 10);
    LLVMAddCallSiteAttribute(call, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                             LLVMCreateEnumAttribute(e->m->ctx, kind, 0));
}

LLVMValueRef ptx_emit_asm(emitter *e, const char *text, const char *constraints, LLVMTypeRef result, LLVMValueRef *args,
                          unsigned n)
{
    LLVMTypeRef *types = ARENA_ARRAY(e->m->a, LLVMTypeRef, n);
    for (unsigned i = 0; i < n; i++) types[i] = LLVMTypeOf(args[i]);
    LLVMTypeRef signature = LLVMFunctionType(result ? result : e->m->void_type, types, n, false);
    LLVMValueRef code = LLVMGetInlineAsm(signature, text, strlen(text), constraints, strlen(constraints), true, false,
                                         LLVMInlineAsmDialectATT, false);
    LLVMValueRef call = LLVMBuildCall2(e->b, signature, code, args, n, "");
    add_convergent(e, call);
    return call;
}

void ptx_emit_accumulate(emitter *e, const char *text, LLVMValueRef *v, unsigned n, LLVMValueRef *more, unsigned n_more)
{
    strbuf s = strbuf_new(e->m->a);
    for (unsigned i = 0; i < n; i++) strbuf_adds(&s, "=f,");
    for (unsigned i = 0; i < n; i++) strbuf_addf(&s, "%u,", i);
    for (unsigned i = 0; i < n_more; i++) strbuf_adds(&s, "l,");
    strbuf_adds(&s, "~{memory}");
    LLVMValueRef *args = ARENA_ARRAY(e->m->a, LLVMValueRef, n + n_more);
    LLVMTypeRef *types = ARENA_ARRAY(e->m->a, LLVMTypeRef, n);
    for (unsigned i = 0; i < n; i++) {
        assert(LLVMTypeOf(v[i]) == e->m->f32);
        args[i] = v[i];
        types[i] = e->m->f32;
    }
    for (unsigned i = 0; i < n_more; i++) args[n + i] = more[i];
    LLVMTypeRef result = n == 0 ? NULL : n == 1 ? e->m->f32 : LLVMStructTypeInContext(e->m->ctx, types, n, false);
    LLVMValueRef out = ptx_emit_asm(e, text, s.s, result, args, n + n_more);
    for (unsigned i = 0; i < n; i++) v[i] = n == 1 ? out : LLVMBuildExtractValue(e->b, out, i, "");
}
