/* Walking and changing kernel IR. */
#include "ir/kir/kir_internal.h"

#include <assert.h>

static void read_index(kidx *i, void (*fn)(void *, kvalue **), void *arg)
{
    if (i->v) fn(arg, &i->v);
}

void kop_foreach_read(kop *o, void (*fn)(void *arg, kvalue **slot), void *arg)
{
    for (uint32_t i = 0; i < o->n_operands; i++) fn(arg, &o->operands[i]);
    for (int k = 0; k < o->n_mem; k++) {
        kmem *m = &o->mem[k];
        fn(arg, &m->buf);
        for (int i = 0; i < m->n_idx; i++) read_index(&m->idx[i], fn, arg);
        for (int t = 0; t < KMAX_TILE_RANK; t++)
            if (m->bounded[t]) read_index(&m->bound[t], fn, arg);
    }
    read_index(&o->lo, fn, arg);
    read_index(&o->hi, fn, arg);
}

static void unlink_op(kop *o)
{
    kblock *b = o->parent;
    *(o->prev ? &o->prev->next : &b->first) = o->next;
    *(o->next ? &o->next->prev : &b->last) = o->prev;
    o->prev = o->next = NULL;
    o->parent = NULL;
}

void kop_erase(kop *o)
{
    unlink_op(o);
}

void kop_move_before(kop *o, kop *before)
{
    kblock *to = before->parent;
    assert(o != before);
    unlink_op(o);
    kblock_insert(to, o, before);
}

typedef struct {
    kvalue *old, *with;
} replacement;

static void replace_slot(void *arg, kvalue **slot)
{
    const replacement *r = arg;
    if (*slot == r->old) *slot = r->with;
}

static void foreach_read_in(kblock *b, void (*fn)(void *, kvalue **), void *arg)
{
    kblock_foreach(o, b)
    {
        kop_foreach_read(o, fn, arg);
        for (uint32_t i = 0; i < o->n_blocks; i++) foreach_read_in(o->blocks[i], fn, arg);
    }
}

void kvalue_replace(kfunction *f, kvalue *old, kvalue *with)
{
    replacement r = {old, with};
    foreach_read_in(f->body, replace_slot, &r);
}

static void count_read(void *arg, kvalue **slot)
{
    uint32_t *counts = arg;
    counts[(*slot)->id]++;
}

uint32_t *kfunction_count_reads(const kfunction *f, arena *a)
{
    uint32_t *counts = ARENA_ARRAY(a, uint32_t, f->n_values);
    foreach_read_in(f->body, count_read, counts);
    return counts;
}

bool kblock_inside(const kblock *inner, const kblock *outer)
{
    while (inner && inner != outer) inner = inner->parent ? inner->parent->parent : NULL;
    return inner != NULL;
}
