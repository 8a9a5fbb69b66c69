/* Control flow of GPU kernels: mapped loops become coordinates, all other flow is that of the CPU emitter; checks. */
#include "codegen/emit_ptx.h"
#include "runtime/rt_abi.h"

#include <assert.h>

/* ---- loops ---- */

void emit_ptx_for(emitter *e, kop *op)
{
    const kblock *body = op->blocks[0];
    switch (op->at.map) {
    case KMAP_BLOCK: cg_set_affine(e, body->args[0], e->ptx->block[e->ptx->n_blocks++], 0); break;
    case KMAP_WARP:
    case KMAP_WARPGROUP:
        /* As many agents as the loop has rounds: verified. */
        cg_set_affine(e, body->args[0], LLVMBuildZExt(e->b, e->ptx->agent, e->m->i64, ""), 0);
        break;
    default:
        ptx_order_open(e, op);
        emit_cpu_for(e, op);
        ptx_order_close(e);
        return;
    }
    emit_block(e, body);
}

void emit_ptx_if(emitter *e, kop *op)
{
    ptx_order_open(e, op);
    emit_cpu_if(e, op);
    ptx_order_close(e);
}

void emit_ptx_switch(emitter *e, kop *op)
{
    ptx_order_open(e, op);
    emit_cpu_switch(e, op);
    ptx_order_close(e);
}

void emit_ptx_yield(emitter *e, kop *op)
{
    emit_cpu_yield(e, op);
}

void emit_ptx_while(emitter *e, kop *op)
{
    (void)e, (void)op;
    assert(!"an op of plans in a kernel");
}

void emit_ptx_read_dim(emitter *e, kop *op)
{
    (void)e, (void)op;
    assert(!"an op of plans in a kernel");
}

void emit_ptx_launch(emitter *e, kop *op)
{
    (void)e, (void)op;
    assert(!"an op of plans in a kernel");
}

/* ---- check ---- */

static LLVMValueRef fault_field(emitter *e, size_t offset)
{
    return cg_offset_const(e, e->fault, (int64_t)offset);
}

static LLVMValueRef read_field(emitter *e, size_t offset)
{
    LLVMValueRef v = LLVMBuildLoad2(e->b, e->m->i64, fault_field(e, offset), "");
    LLVMSetVolatile(v, true);
    return v;
}

static void write_field(emitter *e, LLVMValueRef v, size_t offset)
{
    LLVMSetVolatile(LLVMBuildStore(e->b, v, fault_field(e, offset)), true);
}

/* Lets one lane of the grid at a time go on. */
static void lock(emitter *e)
{
    LLVMBasicBlockRef spin = emit_new_block(e, "lock"), in = emit_new_block(e, "locked");
    LLVMValueRef word = LLVMBuildPtrToInt(e->b, fault_field(e, offsetof(struct rt_fault, pad)), e->m->i64, "");
    emit_br(e, spin);
    emit_to(e, spin);
    LLVMValueRef was =
        ptx_emit_asm(e, "atom.acquire.gpu.global.cas.b32 $0, [$1], 0, 1;", "=r,l,~{memory}", e->m->i32, &word, 1);
    LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntEQ, was, cg_const_i32(e->m, 0), ""), in, spin);
    emit_to(e, in);
}

static void unlock(emitter *e)
{
    LLVMValueRef word = LLVMBuildPtrToInt(e->b, fault_field(e, offsetof(struct rt_fault, pad)), e->m->i64, "");
    ptx_emit_asm(e, "st.release.gpu.global.b32 [$0], 0;", "l,~{memory}", NULL, &word, 1);
}

/* The lowest (index, argument) is kept, as rt_fault says: one lane reports, under a lock over all blocks. */
void emit_ptx_check(emitter *e, kop *op)
{
    LLVMValueRef ok = cg_scalar(e, op->operands[0]), index = cg_i64(e, op->operands[1]),
                 arg = cg_const_i64(e->m, op->at.arg);
    LLVMValueRef first = LLVMBuildICmp(e->b, LLVMIntEQ, e->ptx->lane, cg_const_i32(e->m, 0), "");
    LLVMBasicBlockRef bad = emit_new_block(e, "bad"), lower = emit_new_block(e, "report"),
                      done = emit_new_block(e, "reported"), on = emit_new_block(e, "checked");
    LLVMBuildCondBr(e->b, LLVMBuildAnd(e->b, first, LLVMBuildNot(e->b, ok, ""), ""), bad, on);
    emit_to(e, bad);
    lock(e);
    LLVMValueRef old = read_field(e, offsetof(struct rt_fault, index));
    LLVMValueRef old_arg = read_field(e, offsetof(struct rt_fault, arg));
    LLVMValueRef below = LLVMBuildICmp(e->b, LLVMIntSLT, index, old, "");
    LLVMValueRef same = LLVMBuildAnd(e->b, LLVMBuildICmp(e->b, LLVMIntEQ, index, old, ""),
                                     LLVMBuildICmp(e->b, LLVMIntSLT, arg, old_arg, ""), "");
    LLVMBuildCondBr(e->b, LLVMBuildOr(e->b, below, same, ""), lower, done);
    emit_to(e, lower);
    write_field(e, index, offsetof(struct rt_fault, index));
    write_field(e, arg, offsetof(struct rt_fault, arg));
    write_field(e, cg_i64(e, op->operands[2]), offsetof(struct rt_fault, value));
    write_field(e, cg_i64(e, op->operands[3]), offsetof(struct rt_fault, bound));
    emit_br(e, done);
    emit_to(e, done);
    unlock(e);
    emit_br(e, on);
    emit_to(e, on);
}
