/* Order between the lanes of an agent.
 *
 * In the kernel IR an agent's accesses follow each other. Its lanes do not: one may store what another has still to
 * read. So an access that could meet an earlier one of another lane is preceded by a barrier of the agent's lanes,
 * unless a barrier of the block came between. An asynchronous copy writes, for this purpose, at the wait that completes
 * it. wgmma reads until its agent's lanes have met again, since the four warps of a group may finish at different
 * times.
 *
 * What was accessed is kept per buffer that is not a view; other buffers share no memory with it. Before a loop's body
 * everything that it does may have been done. */
#include "codegen/emit_ptx.h"

#include <assert.h>

enum { READ = 1, WRITTEN = 2, COPIED = 4 /* queued, not waited for */ };

struct ptx_order {
    uint8_t *start, *end; /* at the start of each block of the op; at the ends of those that are done */
    const kop *op;
    ptx_order *outer;
};

static const kvalue *root(const kvalue *b)
{
    while (b->def && b->def->op == KOP_VIEW) b = b->def->mem[0].buf;
    return b;
}

/* Nothing in the kernel writes it. */
static bool only_read(const emitter *e, const kvalue *b)
{
    for (uint32_t i = 0; i < e->f->params.len; i++)
        if (e->f->params.data[i].v == b) return e->f->params.data[i].mode == KACCESS_IN;
    return false;
}

/* ---- meeting ---- */

static void forget(emitter *e)
{
    for (uint32_t i = 0; i < e->f->n_values; i++) e->ptx->accessed[i] &= COPIED;
}

static void meet(emitter *e)
{
    if (e->ptx->lanes == 32) {
        ptx_emit_asm(e, "bar.warp.sync 0xffffffff;", "~{memory}", NULL, NULL, 0);
    } else {
        /* Barrier 0 is the block's. */
        LLVMValueRef id = LLVMBuildAdd(e->b, e->ptx->agent, cg_const_i32(e->m, 1), "");
        ptx_emit_asm(e, "bar.sync $0, 128;", "r,~{memory}", NULL, &id, 1);
    }
    forget(e);
}

static void access(emitter *e, const kvalue *b, uint8_t meets, uint8_t leaves)
{
    b = root(b);
    if (only_read(e, b)) return;
    if (e->ptx->accessed[b->id] & meets) meet(e);
    e->ptx->accessed[b->id] |= leaves;
}

void ptx_order_read(emitter *e, const kvalue *b)
{
    access(e, b, WRITTEN, READ);
}

void ptx_order_write(emitter *e, const kvalue *b)
{
    access(e, b, READ | WRITTEN, WRITTEN);
}

void ptx_order_copy(emitter *e, const kvalue *to, const kvalue *from)
{
    ptx_order_read(e, from);
    access(e, to, READ | WRITTEN, COPIED);
}

void ptx_order_copied(emitter *e)
{
    uint8_t *a = e->ptx->accessed;
    for (uint32_t i = 0; i < e->f->n_values; i++)
        if (a[i] & COPIED) a[i] |= WRITTEN;
}

void ptx_order_barrier(emitter *e)
{
    forget(e);
}

/* ---- nested blocks ---- */

static uint8_t *copy_of(emitter *e, const uint8_t *a)
{
    uint8_t *b = ARENA_ARRAY(e->m->a, uint8_t, e->f->n_values);
    memcpy(b, a, e->f->n_values);
    return b;
}

static void add_to(emitter *e, uint8_t *to, const uint8_t *a)
{
    for (uint32_t i = 0; i < e->f->n_values; i++) to[i] |= a[i];
}

/* What an op, and all in it, may access. */
static void note_op(const kop *op, uint8_t *a, bool *waits)
{
    if (op->op == KOP_LOAD) a[root(op->mem[0].buf)->id] |= READ;
    if (op->op == KOP_STORE) a[root(op->mem[0].buf)->id] |= WRITTEN;
    if (op->op == KOP_COPY) {
        a[root(op->mem[0].buf)->id] |= COPIED;
        a[root(op->mem[1].buf)->id] |= READ;
    }
    *waits |= op->op == KOP_WAIT && op->at.queue == KQUEUE_COPY;
    for (uint32_t i = 0; i < op->n_blocks; i++) kblock_foreach(inner, op->blocks[i]) note_op(inner, a, waits);
}

void ptx_order_open(emitter *e, const kop *op)
{
    ptx_order *o = ARENA_NEW(e->m->a, ptx_order);
    *o = (ptx_order){
        .start = copy_of(e, e->ptx->accessed), .end = copy_of(e, e->ptx->accessed), .op = op, .outer = e->ptx->order};
    e->ptx->order = o;
    if (op->op != KOP_FOR) return;
    bool waits = false;
    note_op(op, o->start, &waits);
    for (uint32_t i = 0; waits && i < e->f->n_values; i++)
        if (o->start[i] & COPIED) o->start[i] |= WRITTEN;
}

void ptx_order_enter(emitter *e, const kblock *b)
{
    ptx_order *o = e->ptx->order;
    assert(o && o->op == b->parent);
    (void)b;
    add_to(e, o->end, e->ptx->accessed);
    memcpy(e->ptx->accessed, o->start, e->f->n_values);
}

void ptx_order_close(emitter *e)
{
    add_to(e, e->ptx->accessed, e->ptx->order->end);
    e->ptx->order = e->ptx->order->outer;
}
