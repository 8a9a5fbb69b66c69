/* Kernels as LLVM functions, and the walk over their ops. */
#include "codegen/emit.h"

#include <assert.h>

emit_fn *const emit_cpu_table[KOP_COUNT] = {
#define KOP(name, NAME, props, attrs, text) [KOP_##NAME] = emit_cpu_##name,
#include "ir/kir/kops.def"
#undef KOP
#define SCALAR(name, NAME, arity, operands, result, f, i, math) [KOP_##NAME] = emit_cpu_map,
#include "ir/kir/kscalar.def"
#undef SCALAR
};

/* ---- blocks ---- */

LLVMBasicBlockRef emit_new_block(emitter *e, const char *name)
{
    return LLVMAppendBasicBlockInContext(e->m->ctx, e->fn, name);
}

void emit_to(emitter *e, LLVMBasicBlockRef b)
{
    LLVMPositionBuilderAtEnd(e->b, b);
}

void emit_br(emitter *e, LLVMBasicBlockRef to)
{
    LLVMBuildBr(e->b, to);
}

LLVMBasicBlockRef emit_here(emitter *e)
{
    return LLVMGetInsertBlock(e->b);
}

const kop *block_yield(const kblock *b)
{
    return b->last && b->last->op == KOP_YIELD ? b->last : NULL;
}

void emit_block(emitter *e, const kblock *b)
{
    const kop *outer = e->at;
    for (kop *op = b->first; op;) {
        kop *behind = e->table == emit_cpu_table ? emit_run(e, op) : op;
        if (behind == op) {
            e->at = op;
            debug_at(e, op->source);
            e->table[op->op](e, op);
            behind = op->next;
        }
        op = behind;
    }
    e->at = outer;
}

void emit_unsupported(emitter *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *what = arena_vprintf(e->m->a, fmt, ap);
    va_end(ap);
    diag *g = diag_error(e->m->d, e->at ? e->at->source : (span){0, 0}, "cannot compile %s", what);
    diag_note(g, "in kernel '%s' for %s", e->f->name, e->m->target->cpu);
    e->m->failed = true;
}

/* ---- functions ---- */

const char *emit_symbol(emit_module *m, const char *kind, const char *name)
{
    return arena_printf(m->a, "%s.%s%s", kind, name, m->variant);
}

LLVMValueRef emit_add_function(emit_module *m, const char *name, LLVMTypeRef signature, LLVMLinkage linkage)
{
    LLVMValueRef fn = LLVMAddFunction(m->mod, name, signature);
    LLVMSetLinkage(fn, linkage);
    target_function_attributes(m, fn);
    return fn;
}

void emit_begin(emitter *e, emit_module *m, const kfunction *f, LLVMValueRef fn)
{
    emit_begin_with(e, m, f, fn, ARENA_ARRAY(m->a, cg_value, f->n_values));
}

void emit_begin_with(emitter *e, emit_module *m, const kfunction *f, LLVMValueRef fn, cg_value *values)
{
    *e = (emitter){.m = m, .table = emit_cpu_table, .f = f, .fn = fn, .lanes = m->target->vector_bytes / 4};
    e->values = values;
    e->dims = ptrmap_new(m->a);
    e->symbols = ARENA_ARRAY(m->a, LLVMValueRef, dim_symbol_count(f->dims));
    e->b = LLVMCreateBuilderInContext(m->ctx);
    e->entry = LLVMCreateBuilderInContext(m->ctx);
    /* Stack buffers first, in a block without divisions: LLVM may split the other, and behind a split they would move
     * the stack pointer while running. */
    LLVMBasicBlockRef stack = LLVMAppendBasicBlockInContext(m->ctx, fn, "entry"),
                      dims = LLVMAppendBasicBlockInContext(m->ctx, fn, "dims");
    LLVMPositionBuilderAtEnd(e->entry, stack);
    LLVMPositionBuilderBefore(e->entry, e->stack = LLVMBuildBr(e->entry, dims));
    LLVMPositionBuilderAtEnd(e->entry, dims);
}

LLVMValueRef emit_stack(emitter *e, uint64_t bytes, unsigned align, const char *name)
{
    LLVMBasicBlockRef dims = LLVMGetInsertBlock(e->entry);
    LLVMPositionBuilderBefore(e->entry, e->stack);
    LLVMValueRef p = LLVMBuildAlloca(e->entry, LLVMArrayType2(e->m->i8, bytes), name);
    LLVMSetAlignment(p, align);
    LLVMPositionBuilderAtEnd(e->entry, dims);
    return p;
}

void emit_finish(emitter *e, LLVMBasicBlockRef body)
{
    LLVMBuildBr(e->entry, body);
    LLVMDisposeBuilder(e->b);
    LLVMDisposeBuilder(e->entry);
}

static void add_param_attribute(emit_module *m, LLVMValueRef fn, unsigned i, const char *name, uint64_t v)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    assert(kind);
    LLVMAddAttributeAtIndex(fn, i + 1, LLVMCreateEnumAttribute(m->ctx, kind, v));
}

/* Buffers of one launch that anything is written to overlap no other. A buffer of no elements may be at address 0, so
 * only those that surely have some are called dereferenceable. */
void emit_describe_buffer(emit_module *m, LLVMValueRef fn, unsigned i, const kfunction *f, const kparam *p)
{
    const kbuffer *b = &p->v->ty.buf;
    add_param_attribute(m, fn, i, "noalias", 0);
    if (p->mode == KACCESS_IN) add_param_attribute(m, fn, i, "readonly", 0);
    if (b->align) add_param_attribute(m, fn, i, "align", b->align);
    int64_t bytes;
    if (dim_is_const(f->dims, kbuffer_bytes(f->dims, b), &bytes) && bytes > 0)
        add_param_attribute(m, fn, i, "dereferenceable", (uint64_t)bytes);
}

/* void body(buffers..., dims..., scratch, fault, begin, end): what the kernel does, with what LLVM may assume of its
 * arguments. */
static LLVMValueRef emit_kernel_body(emit_module *m, const kfunction *f)
{
    unsigned n_bufs = f->params.len, n_dims = dim_symbol_count(f->dims), n = 0;
    LLVMTypeRef *types = ARENA_ARRAY(m->a, LLVMTypeRef, n_bufs + n_dims + 4);
    for (unsigned i = 0; i < n_bufs; i++) types[n++] = m->ptr;
    for (unsigned i = 0; i < n_dims; i++) types[n++] = m->i64;
    types[n++] = m->ptr;
    types[n++] = m->ptr;
    types[n++] = m->i64;
    types[n++] = m->i64;
    LLVMValueRef fn = emit_add_function(m, emit_symbol(m, "kernel", f->name),
                                        LLVMFunctionType(m->void_type, types, n, false), LLVMInternalLinkage);
    for (unsigned i = 0; i < n_bufs; i++) emit_describe_buffer(m, fn, i, f, &f->params.data[i]);
    add_param_attribute(m, fn, n_bufs + n_dims, "noalias", 0);
    add_param_attribute(m, fn, n_bufs + n_dims + 1, "noalias", 0);

    emitter e;
    emit_begin(&e, m, f, fn);
    LLVMBasicBlockRef body = emit_new_block(&e, "body");
    emit_to(&e, body);
    for (unsigned i = 0; i < n_bufs; i++) {
        LLVMValueRef *p = ARENA_NEW(m->a, LLVMValueRef);
        *p = LLVMGetParam(fn, i);
        const kvalue *v = f->params.data[i].v;
        if (v->name) LLVMSetValueName2(*p, v->name, strlen(v->name));
        cg_set(&e, v, (cg_value){.v = p, .rows = 1, .cols = 1, .lanes = 1, .chunks = 1});
    }
    for (unsigned i = 0; i < n_dims; i++) {
        const dim_symbol *s = dim_symbol_at(f->dims, i);
        e.symbols[i] = s->min == s->max ? cg_const_i64(m, s->min) : LLVMGetParam(fn, n_bufs + i);
        LLVMSetValueName2(LLVMGetParam(fn, n_bufs + i), s->name, strlen(s->name));
    }
    e.scratch = LLVMGetParam(fn, n - 4);
    e.fault = LLVMGetParam(fn, n - 3);
    e.begin = LLVMGetParam(fn, n - 2);
    e.end = LLVMGetParam(fn, n - 1);
    span at = f->sources.len ? f->sources.data[0] : (span){0, 0};
    debug_function(m, fn, f->name, at);
    debug_at(&e, at);
    emit_block(&e, f->body);
    LLVMBuildRetVoid(e.b);
    emit_finish(&e, body);
    debug_function_end(m);
    return fn;
}

LLVMValueRef emit_kernel(emit_module *m, const kfunction *f)
{
    assert(f->target == KTARGET_CPU);
    LLVMValueRef body = emit_kernel_body(m, f);
    unsigned n_bufs = f->params.len, n_dims = dim_symbol_count(f->dims), n = 0;

    LLVMTypeRef types[] = {m->ptr, m->ptr, m->ptr, m->ptr, m->i64, m->i64};
    LLVMValueRef fn = emit_add_function(m, emit_symbol(m, "launch", f->name),
                                        LLVMFunctionType(m->void_type, types, 6, false), LLVMExternalLinkage);
    LLVMBuilderRef b = LLVMCreateBuilderInContext(m->ctx);
    LLVMPositionBuilderAtEnd(b, LLVMAppendBasicBlockInContext(m->ctx, fn, "entry"));
    LLVMValueRef *args = ARENA_ARRAY(m->a, LLVMValueRef, n_bufs + n_dims + 4);
    for (unsigned i = 0; i < n_bufs + n_dims; i++) {
        bool is_dim = i >= n_bufs;
        LLVMValueRef at = cg_const_i64(m, is_dim ? i - n_bufs : i);
        LLVMTypeRef t = is_dim ? m->i64 : m->ptr;
        args[n++] = LLVMBuildLoad2(b, t, LLVMBuildGEP2(b, t, LLVMGetParam(fn, is_dim ? 1 : 0), &at, 1, ""), "");
    }
    for (unsigned i = 2; i < 6; i++) args[n++] = LLVMGetParam(fn, i);
    LLVMBuildCall2(b, LLVMGlobalGetValueType(body), body, args, n, "");
    LLVMBuildRetVoid(b);
    LLVMDisposeBuilder(b);
    return fn;
}
