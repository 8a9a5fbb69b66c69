#include "codegen/live_ranges.h"

typedef struct {
    kfunction *f;
    kspace space;
    live_ranges ranges;
    uint32_t *range_of; /* by value id: range index + 1 of the memory that a buffer value refers to; 0: other memory */
    const dim *counted;
    uint32_t now;
} scan;

dim planned_bytes(dim_ctx *c, const kbuffer *t)
{
    dim n = dim_const(c, (int64_t)dtype_bytes(t->dt, 1)), align = dim_const(c, MEMORY_ALIGN);
    for (int i = 0; i < t->rank; i++) n = dim_mul(c, n, t->shape[i]);
    return dim_mul(c, dim_ceildiv(c, n, align), align);
}

const dim *counted_dims(const kfunction *f)
{
    dim *most = NULL;
    for (const kop *o = f->target == KTARGET_PLAN ? f->body->first : NULL; o; o = o->next) {
        int32_t s = o->op == KOP_READ_DIM ? dim_is_symbol(f->dims, o->at.d) : -1;
        if (s < 0) continue;
        if (!most) most = ARENA_ARRAY(f->m->a, dim, dim_symbol_count(f->dims));
        most[s] = o->at.most;
    }
    return most;
}

dim dim_at_most(dim_ctx *c, const dim *counted, dim d)
{
    return counted ? dim_subst(c, d, counted, dim_symbol_count(c)) : d;
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
            dim bytes = planned_bytes(s->f->dims, &op->results[0]->ty.buf);
            live_range r = {op, dim_at_most(s->f->dims, s->counted, bytes), s->now, s->now};
            vec_push(s->f->m->a, &s->ranges, r);
            s->range_of[op->results[0]->id] = s->ranges.len;
        }
        if (op->op == KOP_VIEW) s->range_of[op->results[0]->id] = s->range_of[op->mem[0].buf->id];
        uint32_t before = s->now;
        for (uint32_t i = 0; i < op->n_blocks; i++) scan_block(s, op->blocks[i]);
        if (op->op != KOP_FOR && op->op != KOP_WHILE) continue;
        /* The body runs again, so what it touches of older memory stays alive to the end of the loop. What it makes
         * itself is made anew each time. */
        vec_foreach (live_range, r, &s->ranges)
            if (r->first <= before && r->last > before) r->last = s->now;
    }
}

live_ranges live_ranges_of(kfunction *f, kspace space)
{
    scan s = {.f = f, .space = space, .counted = counted_dims(f)};
    s.range_of = ARENA_ARRAY(f->m->a, uint32_t, f->n_values + 1);
    scan_block(&s, f->body);
    return s.ranges;
}

bool live_ranges_most(const live_ranges *r, const dim_ctx *c, const int64_t *dims, arena *a, int64_t *bytes)
{
    uint32_t end = 0;
    vec_foreach (const live_range, x, r)
        if (x->last >= end) end = x->last + 1;
    int64_t *change = ARENA_ARRAY(a, int64_t, end + 1); /* of the bytes alive, at each op */
    vec_foreach (const live_range, x, r) {
        int64_t n;
        if (!dim_eval(c, x->bytes, dims, &n)) return false;
        change[x->first] += n;
        change[x->last + 1] -= n;
    }
    int64_t now = 0;
    *bytes = 0;
    for (uint32_t t = 0; t < end; t++)
        if ((now += change[t]) > *bytes) *bytes = now;
    return true;
}
