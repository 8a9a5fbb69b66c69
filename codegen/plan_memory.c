/* Offsets of buffers, by live range.
 *
 * A buffer lives from the first to the last op (in program order, nested blocks included) that touches it or a view of
 * it. Buffers are placed in program order into slots: a dead slot whose size provably covers the buffer is reused, the
 * tightest first; else a new slot is opened. Slots lie one after the other, so an offset is a sum of sizes. Sizes are
 * symbolic, so a finer packing would need to compare sums that only the dims decide. A dim that the plan counts stands
 * at its most: the workspace is an exact function of what is known before a run. */
#include "codegen/plan_memory.h"

#include <assert.h>

typedef struct {
    kop *alloc;
    dim bytes;
    uint32_t first, last;
} live_range;

typedef struct {
    dim bytes, offset;
    uint32_t free_after; /* last op of the buffer that holds it now */
} slot;

typedef struct {
    arena *a;
    kfunction *f;
    kspace space;
    VEC(live_range) ranges;
    uint32_t *range_of; /* by value id: range index + 1 of the memory that a buffer value refers to; 0: other memory */
    uint32_t now;
} scan;

/* d with counted dims at their most. */
static dim at_most(const kfunction *f, dim d)
{
    dim_ctx *c = f->dims;
    for (const kop *o = f->target == KTARGET_PLAN ? f->body->first : NULL; o; o = o->next) {
        int32_t s = o->op == KOP_READ_DIM ? dim_is_symbol(c, o->at.d) : -1;
        if (s < 0 || !dim_uses(c, d, (uint32_t)s)) continue;
        dim *with = ARENA_ARRAY(f->m->a, dim, dim_symbol_count(c));
        with[s] = o->at.most;
        d = dim_subst(c, d, with, dim_symbol_count(c));
    }
    return d;
}

static dim buffer_bytes(const kfunction *f, const kbuffer *t)
{
    dim_ctx *c = f->dims;
    dim n = dim_const(c, (int64_t)dtype_bytes(t->dt, 1)), align = dim_const(c, MEMORY_ALIGN);
    for (int i = 0; i < t->rank; i++) n = dim_mul(c, n, t->shape[i]);
    return at_most(f, dim_mul(c, dim_ceildiv(c, n, align), align));
}

static void touch(void *arg, kvalue **slot_of)
{
    scan *s = arg;
    const kvalue *v = *slot_of;
    if (v->kind == KV_BUFFER && s->range_of[v->id]) s->ranges.data[s->range_of[v->id] - 1].last = s->now;
}

static void scan_block(scan *s, kblock *b)
{
    kblock_foreach(op, b)
    {
        s->now++;
        kop_foreach_read(op, touch, s);
        if (op->op == KOP_ALLOC && op->results[0]->ty.buf.space == s->space) {
            live_range r = {op, buffer_bytes(s->f, &op->results[0]->ty.buf), s->now, s->now};
            vec_push(s->a, &s->ranges, r);
            s->range_of[op->results[0]->id] = s->ranges.len;
        }
        if (op->op == KOP_VIEW) s->range_of[op->results[0]->id] = s->range_of[op->mem[0].buf->id];
        uint32_t before = s->now;
        for (uint32_t i = 0; i < op->n_blocks; i++) scan_block(s, op->blocks[i]);
        /* A loop's body runs again: what it touches of older memory stays alive to its end. */
        if (op->n_blocks)
            for (uint32_t i = 0; i < s->ranges.len; i++) {
                live_range *r = &s->ranges.data[i];
                if (r->last > before) r->last = s->now;
                if (r->first > before && op->op == KOP_FOR) r->first = before;
            }
    }
}

static dim place(scan *s)
{
    dim_ctx *c = s->f->dims;
    VEC(slot) slots = {0};
    dim total = dim_const(c, 0);
    vec_foreach (live_range, r, &s->ranges) {
        slot *best = NULL;
        vec_foreach (slot, t, &slots) {
            if (t->free_after >= r->first || !dim_le(c, r->bytes, t->bytes)) continue;
            if (!best || dim_le(c, t->bytes, best->bytes)) best = t;
        }
        if (!best) {
            vec_push(s->a, &slots, ((slot){r->bytes, total, 0}));
            best = &vec_last(&slots);
            total = dim_add(c, total, r->bytes);
        }
        best->free_after = r->last;
        r->alloc->at.offset = best->offset;
    }
    return total;
}

static scan scan_function(kfunction *f, kspace space)
{
    scan s = {.a = f->m->a, .f = f, .space = space};
    s.range_of = ARENA_ARRAY(s.a, uint32_t, f->n_values + 1);
    scan_block(&s, f->body);
    return s;
}

void plan_memory(kmodule *m)
{
    for (uint32_t i = 0; i < m->functions.len; i++) {
        kfunction *f = m->functions.data[i];
        scan s = scan_function(f, f->target == KTARGET_PLAN ? KSPACE_WORKSPACE : KSPACE_SCRATCH);
        place(&s);
    }
}

/* The end of the furthest buffer of a space. Slots are sums of sizes, so the ends are compared as dims: the provably
 * largest wins, and where none is, the maximum is taken at run time. */
static dim space_bytes(const kfunction *f, kspace space)
{
    scan s = scan_function((kfunction *)f, space);
    dim_ctx *c = f->dims;
    dim end = dim_const(c, 0);
    vec_foreach (live_range, r, &s.ranges) {
        dim e = dim_add(c, r->alloc->at.offset, r->bytes);
        end = dim_le(c, e, end) ? end : dim_le(c, end, e) ? e : dim_max(c, end, e);
    }
    return end;
}

dim kernel_scratch_bytes(const kfunction *f)
{
    return space_bytes(f, KSPACE_SCRATCH);
}

dim plan_workspace_bytes(const kfunction *plan)
{
    return space_bytes(plan, KSPACE_WORKSPACE);
}

static void visit_launches(const kblock *b, void (*fn)(void *arg, const kop *op), void *arg)
{
    kblock_foreach(op, b)
    {
        if (op->op == KOP_LAUNCH) fn(arg, op);
        for (uint32_t i = 0; i < op->n_blocks; i++) visit_launches(op->blocks[i], fn, arg);
    }
}

void plan_foreach_launch(const kfunction *plan, void (*fn)(void *arg, const kop *op), void *arg)
{
    visit_launches(plan->body, fn, arg);
}

typedef struct {
    const kmodule *m;
    const kfunction *plan;
    dim_ctx *c;
    dim most;
} scratch_need;

static void need_scratch(void *arg, const kop *op)
{
    scratch_need *s = arg;
    const kfunction *callee = kmodule_find(s->m, op->at.callee);
    dim bytes = kdim_translate(callee->dims, kernel_scratch_bytes(callee), s->c, op->launch_dims);
    bytes = at_most(s->plan, bytes);
    if (dim_le(s->c, bytes, s->most)) return;
    s->most = dim_le(s->c, s->most, bytes) ? bytes : dim_max(s->c, s->most, bytes);
}

dim plan_scratch_bytes(const kmodule *m, const kfunction *plan)
{
    scratch_need s = {m, plan, plan->dims, dim_const(plan->dims, 0)};
    plan_foreach_launch(plan, need_scratch, &s);
    return s.most;
}
