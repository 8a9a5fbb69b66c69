/* Packing: buffers are placed one after another, each at the lowest offset that is free for all of its life.
 *
 * Sizes are symbolic. So the candidates, 0 and the ends of buffers that are alive with this one, are compared at a few
 * values of the dims, and the one chosen must be proved free for all values: behind or before each of those buffers.
 * Where nothing can be proved a buffer lies behind all that it must not overlap, if need be behind their maximum.
 *
 * The order decides how well this goes, and no order is best for all plans. Several are tried (the largest first, the
 * longest-lived first, program order), and the one stays whose sum comes closest to what is alive at once.
 *
 * A dim that the plan counts while it runs stands at its most: the workspace is an exact function of what is known
 * before. */
#include "codegen/plan_memory.h"

#include <assert.h>
#include <stdlib.h>

enum {
    SAMPLES = 4,    /* values of the dims that are looked at */
    PROOFS = 16,    /* gaps that are tried for one buffer */
    BLOCK = 64,     /* ranges whose latest end is kept, to skip them */
    MANY = 1 << 20, /* pairs of buffers alive together for which one order must do */
    MAXIMA = 1,     /* in an offset */
    ORDERS = 3
};

typedef struct {
    live_range *r;
    int64_t bytes[SAMPLES];
    /* As it is placed: */
    bool placed;
    dim offset, end;
    uint32_t maxima; /* how many the offset has */
    int64_t at[SAMPLES];
} buffer;

typedef struct {
    int64_t at; /* at the first sample */
    uint32_t buffer;
} neighbour;

typedef struct {
    dim_ctx *c;
    arena *a;
    buffer *buffers; /* in the order of `first` */
    uint32_t n, n_samples;
    int64_t *dims[SAMPLES];
    uint32_t *latest; /* by block: the latest end of a life */
    uint64_t pairs;   /* of buffers alive together */
    neighbour *near;
    uint32_t n_near;
    dim above; /* at least the end of all that was placed */
    uint32_t above_maxima;
    ptrmap *proofs; /* (a, b) -> whether a <= b */
} packing;

/* ---- values of the dims ---- */

static int64_t allowed(const dim_symbol *s, int64_t v)
{
    int64_t least = s->min + (s->multiple - s->min % s->multiple) % s->multiple;
    return v <= least ? least : v - v % s->multiple;
}

static int64_t square_root(int64_t n)
{
    int64_t r = 0;
    for (int64_t bit = INT64_C(1) << 31; bit; bit >>= 1)
        if ((r + bit) <= n / (r + bit)) r += bit;
    return r;
}

/* All dims at their most; all in the middle of their magnitudes; the first at its least, as a batch of one; all at
 * their least. */
static int64_t sample(const dim_symbol *s, uint32_t i, int k)
{
    switch (k) {
    case 0: return allowed(s, s->max);
    case 1: return allowed(s, square_root(s->max) * (square_root(s->min) + 1));
    case 2: return allowed(s, i ? s->max : s->min);
    default: return allowed(s, s->min);
    }
}

/* Samples at which a size has no value are left out. */
static void take_samples(packing *p)
{
    uint32_t symbols = dim_symbol_count(p->c);
    for (int k = 0; k < SAMPLES; k++) {
        int64_t *values = ARENA_ARRAY(p->a, int64_t, symbols);
        for (uint32_t i = 0; i < symbols; i++) values[i] = sample(dim_symbol_at(p->c, i), i, k);
        bool ok = true;
        for (uint32_t i = 0; i < p->n && ok; i++) {
            int64_t *bytes = &p->buffers[i].bytes[p->n_samples];
            ok = dim_eval(p->c, p->buffers[i].r->bytes, values, bytes) && *bytes < INT64_MAX / (p->n + 1);
            if (*bytes < 0) *bytes = 0;
        }
        if (ok) p->dims[p->n_samples++] = values;
    }
}

/* ---- who is alive together ---- */

typedef void pair_fn(packing *p, uint32_t other);

/* Calls fn for every buffer that is alive with buffer i: those that begin in its life stand behind it. */
static void foreach_alive(packing *p, uint32_t i, pair_fn *fn)
{
    const buffer *x = &p->buffers[i];
    for (uint32_t k = i; k > 0;) {
        if (k % BLOCK == 0 && p->latest[k / BLOCK - 1] < x->r->first) {
            k -= BLOCK;
            continue;
        }
        k--;
        if (p->buffers[k].r->last >= x->r->first) fn(p, k);
    }
    for (uint32_t k = i + 1; k < p->n && p->buffers[k].r->first <= x->r->last; k++) fn(p, k);
}

static void count_pair(packing *p, uint32_t other)
{
    (void)other;
    p->pairs++;
}

static void note_near(packing *p, uint32_t other)
{
    const buffer *b = &p->buffers[other];
    if (b->placed) p->near[p->n_near++] = (neighbour){p->n_samples ? b->at[0] : 0, other};
}

static int by_place(const void *a, const void *b)
{
    const neighbour *x = a, *y = b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return x->buffer < y->buffer ? -1 : x->buffer > y->buffer;
}

/* ---- proofs ---- */

static bool is_le(packing *p, dim a, dim b)
{
    if (a == b) return true;
    const void *key = (const void *)(uintptr_t)((uint64_t)a << 32 | b);
    static const char no, yes;
    const char *known = ptrmap_get(p->proofs, key);
    if (!known) {
        known = dim_le(p->c, a, b) ? &yes : &no;
        ptrmap_set(p->proofs, key, (void *)known);
    }
    return known == &yes;
}

/* x, when it lies at `offset`, is before or behind y for all dims; `at` are the offset's values. */
static bool is_apart(packing *p, const buffer *x, dim offset, dim end, const int64_t *at, const buffer *y)
{
    bool behind = true, before = true;
    for (uint32_t k = 0; k < p->n_samples; k++) {
        behind = behind && y->at[k] + y->bytes[k] <= at[k];
        before = before && at[k] + x->bytes[k] <= y->at[k];
    }
    return (behind && is_le(p, y->end, offset)) || (before && is_le(p, end, y->offset));
}

static bool is_free(packing *p, const buffer *x, dim offset, dim end, const int64_t *at)
{
    for (uint32_t i = 0; i < p->n_near; i++)
        if (!is_apart(p, x, offset, end, at, &p->buffers[p->near[i].buffer])) return false;
    return true;
}

/* ---- placing ---- */

static bool try_place(packing *p, buffer *x, dim offset, const int64_t *at)
{
    dim end = dim_add(p->c, offset, x->r->bytes);
    if (end == DIM_BAD || !is_free(p, x, offset, end, at)) return false;
    x->offset = offset;
    x->end = end;
    memcpy(x->at, at, sizeof x->at);
    return true;
}

/* Behind all neighbours: behind their maximum, or behind all that was placed at all, where that is no dim or would have
 * too many maximums in one another for proofs about it. */
static void place_behind(packing *p, buffer *x)
{
    dim most = dim_const(p->c, 0);
    x->maxima = 0;
    for (uint32_t i = 0; i < p->n_near && most != DIM_BAD; i++) {
        const buffer *y = &p->buffers[p->near[i].buffer];
        if (is_le(p, y->end, most)) continue;
        bool larger = is_le(p, most, y->end);
        uint32_t maxima = larger ? y->maxima : x->maxima + y->maxima + 1;
        most = larger ? y->end : maxima > MAXIMA ? DIM_BAD : dim_max(p->c, most, y->end);
        x->maxima = maxima;
    }
    if (most == DIM_BAD) x->maxima = p->above_maxima;
    x->offset = most == DIM_BAD ? p->above : most;
    x->end = dim_add(p->c, x->offset, x->r->bytes);
    for (uint32_t k = 0; k < p->n_samples; k++)
        if (!dim_eval(p->c, x->offset, p->dims[k], &x->at[k])) x->at[k] = 0;
}

static void place(packing *p, uint32_t i)
{
    buffer *x = &p->buffers[i];
    p->n_near = 0;
    foreach_alive(p, i, note_near);
    qsort(p->near, p->n_near, sizeof *p->near, by_place);
    dim offset = dim_const(p->c, 0);
    int64_t at[SAMPLES] = {0};
    uint32_t maxima = 0;
    bool done = false;
    for (uint32_t k = 0, tried = 0; k <= p->n_near && !done && tried < PROOFS; k++) {
        const buffer *next = k < p->n_near ? &p->buffers[p->near[k].buffer] : NULL;
        if (!next || (p->n_samples && at[0] + x->bytes[0] <= next->at[0])) {
            done = try_place(p, x, offset, at);
            x->maxima = maxima;
            tried++;
        }
        if (!next || done || (p->n_samples && next->at[0] + next->bytes[0] <= at[0])) continue;
        offset = next->end;
        maxima = next->maxima;
        for (uint32_t s = 0; s < p->n_samples; s++) at[s] = next->at[s] + next->bytes[s];
    }
    if (!done) place_behind(p, x);
    x->placed = true;
    if (is_le(p, p->above, x->end)) p->above = x->end, p->above_maxima = x->maxima;
    else if (!is_le(p, x->end, p->above)) p->above = dim_add(p->c, p->above, x->r->bytes);
}

/* ---- orders ---- */

typedef struct {
    double weight; /* the heaviest are placed first */
    uint32_t buffer;
} turn;

static int by_weight(const void *a, const void *b)
{
    const turn *x = a, *y = b;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    return x->buffer < y->buffer ? -1 : x->buffer > y->buffer;
}

static double weight(const packing *p, const buffer *x, int order)
{
    double bytes = p->n_samples ? (double)x->bytes[0] : 0;
    switch (order) {
    case 0: return bytes;
    case 1: return (double)(x->r->last - x->r->first) * bytes;
    default: return 0; /* as the program has them */
    }
}

/* How far the sums are from what is alive, over all samples: 1 each at best. */
static double price(const packing *p, const int64_t *live)
{
    double sum = 0;
    for (uint32_t k = 0; k < p->n_samples; k++) {
        int64_t total = 0;
        for (uint32_t i = 0; i < p->n; i++) {
            const buffer *x = &p->buffers[i];
            if (x->at[k] + x->bytes[k] > total) total = x->at[k] + x->bytes[k];
        }
        sum += live[k] ? (double)total / (double)live[k] : 1;
    }
    return sum;
}

static void place_all(packing *p, int order, turn *turns)
{
    for (uint32_t i = 0; i < p->n; i++) {
        turns[i] = (turn){weight(p, &p->buffers[i], order), i};
        p->buffers[i].placed = false;
    }
    qsort(turns, p->n, sizeof *turns, by_weight);
    p->above = dim_const(p->c, 0);
    p->above_maxima = 0;
    for (uint32_t i = 0; i < p->n; i++) place(p, turns[i].buffer);
}

static void pack(kfunction *f, const live_ranges *ranges)
{
    packing p = {.c = f->dims, .a = f->m->a, .n = ranges->len, .proofs = ptrmap_new(f->m->a)};
    p.buffers = ARENA_ARRAY(p.a, buffer, p.n);
    p.near = ARENA_ARRAY(p.a, neighbour, p.n);
    p.latest = ARENA_ARRAY(p.a, uint32_t, p.n / BLOCK + 1);
    for (uint32_t i = 0; i < p.n; i++) {
        live_range *r = &ranges->data[i];
        p.buffers[i].r = r;
        if (r->last > p.latest[i / BLOCK]) p.latest[i / BLOCK] = r->last;
    }
    take_samples(&p);
    for (uint32_t i = 0; i < p.n; i++) foreach_alive(&p, i, count_pair);
    int64_t live[SAMPLES] = {0};
    for (uint32_t k = 0; k < p.n_samples; k++) live_ranges_most(ranges, p.c, p.dims[k], p.a, &live[k]);

    turn *turns = ARENA_ARRAY(p.a, turn, p.n);
    double best = 0;
    for (int order = 0; order < (p.pairs > MANY ? 1 : ORDERS); order++) {
        place_all(&p, order, turns);
        double now = price(&p, live);
        if (order && now >= best) continue;
        best = now;
        for (uint32_t i = 0; i < p.n; i++) p.buffers[i].r->alloc->at.offset = p.buffers[i].offset;
        if (now <= p.n_samples) break; /* no order can do better */
    }
}

void plan_memory(kmodule *m)
{
    for (uint32_t i = 0; i < m->functions.len; i++) {
        kfunction *f = m->functions.data[i];
        live_ranges r = live_ranges_of(f, f->target == KTARGET_PLAN ? KSPACE_WORKSPACE : KSPACE_SCRATCH);
        if (r.len) pack(f, &r);
    }
}

/* ---- sizes ---- */

typedef struct {
    dim_ctx *c;
    arena *a;
    most_bytes most;
    ptrmap *seen;       /* dims that were added */
    const dim *counted; /* counted_dims */
} maximum;

static maximum maximum_new(const kfunction *f)
{
    return (maximum){.c = f->dims, .a = f->m->a, .seen = ptrmap_new(f->m->a), .counted = counted_dims(f)};
}

static void maximum_add(maximum *x, dim d)
{
    d = dim_at_most(x->c, x->counted, d);
    const void *key = (const void *)(uintptr_t)d;
    if (ptrmap_has(x->seen, key) || dim_le(x->c, d, dim_const(x->c, 0))) return;
    ptrmap_set(x->seen, key, x);
    uint32_t kept = 0;
    vec_foreach (dim, e, &x->most)
        if (dim_le(x->c, d, *e)) return;
    vec_foreach (dim, e, &x->most)
        if (!dim_le(x->c, *e, d)) x->most.data[kept++] = *e;
    x->most.len = kept;
    vec_push(x->a, &x->most, d);
}

bool most_bytes_at(const dim_ctx *c, const most_bytes *b, const int64_t *dims, int64_t *bytes)
{
    *bytes = 0;
    vec_foreach (const dim, d, b) {
        int64_t n;
        if (!dim_eval(c, *d, dims, &n)) return false;
        if (n > *bytes) *bytes = n;
    }
    return true;
}

int64_t most_bytes_bound(const dim_ctx *c, const most_bytes *b)
{
    int64_t most = 0, lo, hi;
    vec_foreach (const dim, d, b) {
        dim_bounds(c, *d, &lo, &hi);
        if (hi > most) most = hi;
    }
    return most;
}

static void add_ends(maximum *x, kspace space, const kblock *b)
{
    kblock_foreach(op, b)
    {
        if (op->op == KOP_ALLOC && op->results[0]->ty.buf.space == space)
            maximum_add(x, dim_add(x->c, op->at.offset, planned_bytes(x->c, &op->results[0]->ty.buf)));
        for (uint32_t i = 0; i < op->n_blocks; i++) add_ends(x, space, op->blocks[i]);
    }
}

dim kernel_scratch_bytes(const kfunction *f)
{
    maximum x = maximum_new(f);
    add_ends(&x, KSPACE_SCRATCH, f->body);
    dim most = dim_const(f->dims, 0);
    vec_foreach (dim, d, &x.most) most = d == x.most.data ? *d : dim_max(f->dims, most, *d);
    return most;
}

most_bytes plan_workspace_bytes(const kfunction *plan)
{
    maximum x = maximum_new(plan);
    add_ends(&x, KSPACE_WORKSPACE, plan->body);
    return x.most;
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
    ptrmap *seen; /* the callee's name -> its last launch: layers launch the same kernels on the same dims */
    maximum most;
} scratch_need;

static bool same_dims(const kop *a, const kop *b)
{
    return a->n_launch_dims == b->n_launch_dims &&
           !memcmp(a->launch_dims, b->launch_dims, a->n_launch_dims * sizeof *a->launch_dims);
}

static void need_scratch(void *arg, const kop *op)
{
    scratch_need *s = arg;
    const kop *before = ptrmap_get(s->seen, op->at.callee);
    if (before && same_dims(before, op)) return;
    ptrmap_set(s->seen, op->at.callee, (void *)op);
    const kfunction *callee = kmodule_find(s->m, op->at.callee);
    maximum_add(&s->most, kdim_translate(callee->dims, kernel_scratch_bytes(callee), s->most.c, op->launch_dims));
}

most_bytes plan_scratch_bytes(const kmodule *m, const kfunction *plan)
{
    scratch_need s = {m, ptrmap_new(m->a), maximum_new(plan)};
    plan_foreach_launch(plan, need_scratch, &s);
    return s.most.most;
}

bool plan_memory_use(const kmodule *m, kfunction *plan, const int64_t *dims, kmemory_use *out)
{
    live_ranges r = live_ranges_of(plan, KSPACE_WORKSPACE);
    most_bytes workspace = plan_workspace_bytes(plan), scratch = plan_scratch_bytes(m, plan);
    return live_ranges_most(&r, plan->dims, dims, m->a, &out->live) &&
           most_bytes_at(plan->dims, &workspace, dims, &out->workspace) &&
           most_bytes_at(plan->dims, &scratch, dims, &out->scratch);
}
