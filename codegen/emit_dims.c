/* Dim expressions as LLVM arithmetic. The rules of support/dims.h promise that nothing overflows for dims within their
 * bounds. */
#include "codegen/emit.h"

#include <assert.h>

typedef struct {
    emit_module *m;
    LLVMBuilderRef b;
    const LLVMValueRef *symbols;
} dim_emitter;

/* floor(l / r) and l mod r with the sign of r. Division by zero cannot happen for dims within their bounds. */
static LLVMValueRef divide(dim_emitter *g, LLVMValueRef l, LLVMValueRef r, bool want_mod)
{
    LLVMBuilderRef b = g->b;
    LLVMValueRef zero = cg_const_i64(g->m, 0);
    LLVMValueRef rem = LLVMBuildSRem(b, l, r, "");
    LLVMValueRef inexact = LLVMBuildICmp(b, LLVMIntNE, rem, zero, "");
    LLVMValueRef signs = LLVMBuildICmp(b, LLVMIntSLT, LLVMBuildXor(b, rem, r, ""), zero, "");
    LLVMValueRef below = LLVMBuildAnd(b, inexact, signs, "");
    if (want_mod) return LLVMBuildAdd(b, rem, LLVMBuildSelect(b, below, r, zero, ""), "");
    return LLVMBuildAdd(b, LLVMBuildSDiv(b, l, r, ""), LLVMBuildSExt(b, below, g->m->i64, ""), "");
}

static uint64_t fold(void *arg, dim_op op, int64_t number, uint64_t left, uint64_t right)
{
    dim_emitter *g = arg;
    LLVMBuilderRef b = g->b;
    LLVMValueRef l = (LLVMValueRef)(uintptr_t)left, r = (LLVMValueRef)(uintptr_t)right, v = NULL;
    switch (op) {
    case DIM_OP_CONST: v = cg_const_i64(g->m, number); break;
    case DIM_OP_SYM: v = g->symbols[number]; break;
    case DIM_OP_ADD: v = LLVMBuildAdd(b, l, r, ""); break;
    case DIM_OP_MUL: v = LLVMBuildMul(b, l, r, ""); break;
    case DIM_OP_FLOORDIV: v = divide(g, l, r, false); break;
    case DIM_OP_MOD: v = divide(g, l, r, true); break;
    case DIM_OP_MIN: v = LLVMBuildSelect(b, LLVMBuildICmp(b, LLVMIntSLT, l, r, ""), l, r, ""); break;
    case DIM_OP_MAX: v = LLVMBuildSelect(b, LLVMBuildICmp(b, LLVMIntSGT, l, r, ""), l, r, ""); break;
    }
    return (uint64_t)(uintptr_t)v;
}

LLVMValueRef cg_dim_at(emit_module *m, LLVMBuilderRef b, const dim_ctx *c, dim d, const LLVMValueRef *symbols)
{
    assert(d != DIM_BAD);
    int64_t v;
    if (dim_is_const(c, d, &v)) return cg_const_i64(m, v);
    dim_emitter g = {m, b, symbols};
    return (LLVMValueRef)(uintptr_t)dim_fold(c, d, fold, &g);
}

void cg_set_dim(emitter *e, uint32_t symbol, LLVMValueRef v)
{
    if (!e->counted) e->counted = ARENA_ARRAY(e->m->a, bool, dim_symbol_count(e->f->dims));
    e->counted[symbol] = true;
    e->symbols[symbol] = v;
}

static bool is_counted(const emitter *e, dim d)
{
    for (uint32_t i = 0; e->counted && i < dim_symbol_count(e->f->dims); i++)
        if (e->counted[i] && dim_uses(e->f->dims, d, i)) return true;
    return false;
}

LLVMValueRef cg_dim(emitter *e, dim d)
{
    if (is_counted(e, d)) return cg_dim_at(e->m, e->b, e->f->dims, d, e->symbols);
    const void *key = (const void *)(uintptr_t)d;
    LLVMValueRef v = ptrmap_get(e->dims, key);
    if (!v) {
        v = cg_dim_at(e->m, e->entry, e->f->dims, d, e->symbols);
        ptrmap_set(e->dims, key, v);
    }
    return v;
}
