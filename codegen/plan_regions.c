/* Launches that need no barrier between them.
 *
 *   launch @a (%x, %y)      reads %x, writes %y
 *   launch @b (%x, %z)      independent of @a: threads go on to it when the tasks of @a are all taken
 *   launch @c (%y, %z, %w)  not independent of either: a new region
 *
 * Memory is compared by where it lies: buffers of the workspace by their bytes, since one place serves many; a buffer
 * of a caller or of the weights by its name, since no output overlaps anything. What cannot be proved apart depends on
 * one another. */
#include "codegen/plan_regions.h"

#include "codegen/plan_memory.h"

typedef struct {
    const kvalue *whole; /* a parameter or an allocation */
    dim begin, end;      /* bytes of an allocation, in the workspace */
    bool written;
} access;
typedef VEC(access) accesses;

typedef struct {
    const kfunction *plan;
    arena *a;
    uint32_t most;
    accesses seen;    /* of the region */
    uint32_t members; /* launches in it */
    bool checks;      /* one of them does */
    bool *ends;
    uint32_t n; /* launches passed */
} regions;

static bool has_check(const kblock *b)
{
    kblock_foreach(op, b)
    {
        if (op->op == KOP_CHECK) return true;
        for (uint32_t i = 0; i < op->n_blocks; i++)
            if (has_check(op->blocks[i])) return true;
    }
    return false;
}

static access access_of(const regions *r, const kvalue *v, kaccess_mode mode)
{
    while (v->def && v->def->op == KOP_VIEW) v = v->def->mem[0].buf;
    access x = {.whole = v, .written = mode != KACCESS_IN};
    if (v->def && v->def->op == KOP_ALLOC) {
        x.begin = v->def->at.offset;
        x.end = dim_add(r->plan->dims, x.begin, kbuffer_bytes(r->plan->dims, &v->ty.buf));
    }
    return x;
}

static bool apart(dim_ctx *c, const access *x, const access *y)
{
    if (x->whole == y->whole) return false;
    bool placed = x->whole->def && y->whole->def;
    return !placed || dim_le(c, x->end, y->begin) || dim_le(c, y->end, x->begin);
}

static bool depends(const regions *r, const access *x)
{
    vec_foreach (const access, y, &r->seen)
        if ((x->written || y->written) && !apart(r->plan->dims, x, y)) return true;
    return false;
}

static void close_region(regions *r)
{
    if (r->members) r->ends[r->n - 1] = true;
    r->members = 0;
    r->seen.len = 0;
    r->checks = false;
}

static void add_launch(regions *r, const kop *op)
{
    const kfunction *callee = kmodule_find(r->plan->m, op->at.callee);
    bool checks = has_check(callee->body), joins = r->members < r->most && !(checks && r->checks);
    for (uint32_t i = 0; i < op->n_operands && joins; i++) {
        access x = access_of(r, op->operands[i], callee->params.data[i].mode);
        joins = !depends(r, &x);
    }
    if (!joins) close_region(r);
    for (uint32_t i = 0; i < op->n_operands; i++) {
        access x = access_of(r, op->operands[i], callee->params.data[i].mode);
        vec_push(r->a, &r->seen, x);
    }
    r->checks |= checks;
    r->members++;
    r->n++;
}

static void walk(regions *r, const kblock *b)
{
    kblock_foreach(op, b)
    {
        bool passive = op->op == KOP_ALLOC || (kop_row(op->op)->props & (K_PURE | K_ELEMENTWISE));
        if (op->op == KOP_LAUNCH) add_launch(r, op);
        else if (!passive) close_region(r);
        for (uint32_t i = 0; i < op->n_blocks; i++) walk(r, op->blocks[i]);
    }
    close_region(r);
}

static void count(void *arg, const kop *op)
{
    (void)op;
    ++*(uint32_t *)arg;
}

bool *plan_region_ends(const kfunction *plan, uint32_t most, arena *a)
{
    uint32_t n = 0;
    plan_foreach_launch(plan, count, &n);
    regions r = {.plan = plan, .a = a, .most = most, .ends = ARENA_ARRAY(a, bool, n)};
    walk(&r, plan->body);
    return r.ends;
}
