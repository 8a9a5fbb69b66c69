/* Tensor-core products of a warpgroup: wgmma.mma_async on operands in shared memory, and the order of its accumulators.
 *
 * A queued product writes its accumulators some time before the wait that completes it. For LLVM they are ordinary
 * registers, and what reads them could be moved above that wait, which is only inline assembly to it. So fences and
 * waits take every accumulator that is still read later through themselves. */
#include "codegen/emit_ptx.h"

#include <assert.h>

/* ---- operands ---- */

typedef struct {
    LLVMValueRef start; /* descriptor of the operand's first step, i64 */
    int64_t step;       /* from one step of 16 along the inner axis to the next, in bytes */
    bool transposed;    /* the inner axis is not the contiguous one */
} reference;

/* `inner` is the tile's axis that is summed over. */
static reference reference_of(emitter *e, const kvalue *v, int inner)
{
    const kop *load = v->def;
    assert(load && load->op == KOP_LOAD && "verified");
    const kbuffer *b = &load->mem[0].buf->ty.buf;
    int64_t row = 0;
    bool fixed = dim_is_const(e->f->dims, b->shape[b->rank - 1], &row);
    assert(fixed && "verified");
    (void)fixed;
    row *= 2;
    reference r = {.transposed = load->mem[0].axes[inner] != b->rank - 1};
    r.step = r.transposed ? 16 * row : 32;
    LLVMValueRef address = cg_get(e, v)->v[0];
    LLVMValueRef low =
        LLVMBuildLShr(e->b, LLVMBuildAnd(e->b, address, cg_const_i32(e->m, 0x3ffff), ""), cg_const_i32(e->m, 4), "");
    LLVMValueRef rest = cg_const_i64(e->m, (int64_t)ptx_wgmma_descriptor((int)row));
    r.start = LLVMBuildOr(e->b, LLVMBuildZExt(e->b, low, e->m->i64, ""), rest, "");
    return r;
}

static LLVMValueRef descriptor(emitter *e, const reference *r, int step)
{
    return step ? LLVMBuildAdd(e->b, r->start,
                               cg_const_i64(e->m, (int64_t)ptx_wgmma_address((uint32_t)(step * r->step))), "")
                : r->start;
}

/* ---- the product ---- */

void ptx_contract_wgmma(emitter *e, kop *op)
{
    ktile ta = op->operands[1]->ty.tile, t = op->results[0]->ty.tile;
    if (!e->ptx->pm->cpu->wgmma) {
        emit_unsupported(e, "wgmma, which only sm_90a has");
        emit_ptx_undefined(e, op);
        return;
    }
    reference a = reference_of(e, op->operands[1], 1), b = reference_of(e, op->operands[2], 0);
    for (int i = 1; i < 3; i++) ptx_order_read(e, op->operands[i]->def->mem[0].buf);
    cg_value out = cg_tile(e, t);
    unsigned n = (unsigned)out.chunks;
    /* Register order of the instruction: pairs of columns, the row and the one 8 below it. */
    LLVMValueRef *acc = ARENA_ARRAY(e->m->a, LLVMValueRef, n), *from = cg_get(e, op->operands[0])->v;
    unsigned half = n / 2;
    for (unsigned i = 0; i < n; i++) acc[i] = from[(i / 2 % 2) * half + i / 4 * 2 + i % 2];

    strbuf s = strbuf_new(e->m->a);
    strbuf_addf(&s,
                "{\n\t.reg .pred accumulate;\n\tsetp.eq.b32 accumulate, 0, 0;\n\t"
                "wgmma.mma_async.sync.aligned.m64n%dk16.f32.%s.%s {",
                t.shape[1], dtype_name(ta.dt), dtype_name(ta.dt));
    for (unsigned i = 0; i < n; i++) strbuf_addf(&s, "%s$%u", i ? ", " : "", i);
    strbuf_addf(&s, "}, $%u, $%u, accumulate, 1, 1, %d, %d;\n\t}", 2 * n, 2 * n + 1, a.transposed, b.transposed);
    for (int k = 0; k < ta.shape[1] / 16; k++) {
        LLVMValueRef ab[] = {descriptor(e, &a, k), descriptor(e, &b, k)};
        ptx_emit_accumulate(e, s.s, acc, n, ab, 2);
    }
    for (unsigned i = 0; i < n; i++) out.v[(i / 2 % 2) * half + i / 4 * 2 + i % 2] = acc[i];
    cg_set(e, op->results[0], out);
}

/* ---- order ---- */

/* Accumulators that are read behind an op, in its block or deeper, and are not made there. */
typedef struct {
    bool *made; /* by value id */
    VEC(kvalue *) read;
    arena *a;
} later;

static void note_read(void *arg, kvalue **slot)
{
    later *l = arg;
    kvalue *v = *slot;
    if (v->kind != KV_TILE || v->ty.tile.layout != KL_WGMMA_C || v->ty.tile.dt != DT_F32 || l->made[v->id]) return;
    for (uint32_t i = 0; i < l->read.len; i++)
        if (l->read.data[i] == v) return;
    vec_push(l->a, &l->read, v);
}

static void note_block(later *l, const kblock *b, kop *first)
{
    for (uint32_t i = 0; i < b->n_args; i++) l->made[b->args[i]->id] = true;
    for (kop *op = first; op; op = op->next) {
        kop_foreach_read(op, note_read, l);
        for (uint32_t i = 0; i < op->n_blocks; i++) note_block(l, op->blocks[i], op->blocks[i]->first);
        for (uint32_t i = 0; i < op->n_results; i++) l->made[op->results[i]->id] = true;
    }
}

void ptx_emit_ordered(emitter *e, const kop *op, const char *text)
{
    later l = {.made = ARENA_ARRAY(e->m->a, bool, e->f->n_values), .a = e->m->a};
    for (kop *next = op->next; next; next = next->next) {
        kop_foreach_read(next, note_read, &l);
        for (uint32_t i = 0; i < next->n_blocks; i++) note_block(&l, next->blocks[i], next->blocks[i]->first);
        for (uint32_t i = 0; i < next->n_results; i++) l.made[next->results[i]->id] = true;
    }
    unsigned n = 0;
    for (uint32_t i = 0; i < l.read.len; i++) n += (unsigned)cg_get(e, l.read.data[i])->chunks;
    LLVMValueRef *all = ARENA_ARRAY(e->m->a, LLVMValueRef, n), *next = all;
    for (uint32_t i = 0; i < l.read.len; i++) {
        const cg_value *x = cg_get(e, l.read.data[i]);
        memcpy(next, x->v, (size_t)x->chunks * sizeof *next);
        next += x->chunks;
    }
    ptx_emit_accumulate(e, text, all, n, NULL, 0);
    next = all;
    for (uint32_t i = 0; i < l.read.len; i++) {
        cg_value x = *cg_get(e, l.read.data[i]);
        x.v = next;
        next += x.chunks;
        cg_rebind(e, l.read.data[i], x);
    }
}
