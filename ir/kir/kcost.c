/* The walk over a kernel: operations, accesses, footprints, misses.
 *
 * Footprints are boxes of elements, one a buffer and block of code. Misses follow from them: what a round of a loop
 * touches twice, or what two rounds touch both, is found in every cache that holds the footprint of one round. So of a
 * loop each byte is missed once where a round fits the cache, and once a round where it does not. */
#include "ir/kir/kcost_internal.h"

#include <assert.h>
#include <math.h>

#define MAX_STEPS 20000000 /* ops looked at; then loops of unequal rounds are taken as if they were equal */
#define DIVISION_WORK 10   /* multiply-adds that a vector unit does in the time of a division or square root */

enum { BOX_READ, BOX_WRITE, BOX_BOTH, BOXES };
typedef struct {
    bool any;
    int64_t lo[KMAX_RANK], hi[KMAX_RANK];
} box;

typedef struct {
    box boxes[BOXES];
    double loaded, stored, miss[KCACHES];
} object_part;

/* The cost of a block of code. */
typedef struct {
    double flops, work, l1_bytes;
    bool fits[KCACHES]; /* its footprint does; set at its end */
    object_part *of;    /* by object */
} part;

typedef struct {
    const kvalue *v;
    int param; /* -1: scratch, stack, shared, a view that is no window */
    int64_t size[KMAX_RANK];
    bool unit_last; /* elements of the last axis are neighbours */
} object;

enum { SLOT_BODY, SLOT_HULL, SLOT_SUM, SLOTS };
typedef struct {
    const kfunction *f;
    const int64_t *dims;
    arena *a;
    double capacity[KCACHES];
    int lanes; /* f32 */
    double vector_bytes;
    bool *steers;
    kinterval *values;
    uint32_t *object_of; /* by value id, + 1 */
    VEC(object) objects;
    VEC(part *) parts; /* SLOTS a depth */
    uint64_t steps;
    bool exact, bad; /* bad: a size cannot be computed */
    bool hull;       /* only footprints matter: loop variables stand for all their rounds */
    klaunch_fn *launch;
    void *arg;
} walk;

/* ---- parts ---- */

static part *part_at(walk *w, uint32_t depth, int slot)
{
    while (w->parts.len < (depth + 1) * SLOTS) vec_push(w->a, &w->parts, NULL);
    part **p = &w->parts.data[depth * SLOTS + (uint32_t)slot];
    if (!*p) {
        *p = ARENA_NEW(w->a, part);
        (*p)->of = ARENA_ARRAY(w->a, object_part, w->objects.len);
    }
    object_part *of = (*p)->of;
    memset(of, 0, w->objects.len * sizeof *of);
    **p = (part){.of = of};
    return *p;
}

static void box_join(box *to, const box *from, uint32_t rank)
{
    if (!from->any) return;
    if (!to->any) *to = *from;
    for (uint32_t i = 0; i < rank; i++) {
        if (from->lo[i] < to->lo[i]) to->lo[i] = from->lo[i];
        if (from->hi[i] > to->hi[i]) to->hi[i] = from->hi[i];
    }
}

static double box_bytes(const object *o, const box *b)
{
    double n = b->any ? dtype_bits(o->v->ty.buf.dt) / 8.0 : 0;
    for (uint32_t i = 0; b->any && i < o->v->ty.buf.rank; i++) n *= (double)(b->hi[i] - b->lo[i] + 1);
    return n;
}

static double footprint(const walk *w, const part *p, uint32_t i)
{
    return fmin(box_bytes(&w->objects.data[i], &p->of[i].boxes[BOX_BOTH]), p->of[i].loaded + p->of[i].stored);
}

static void join_boxes(const walk *w, part *to, const part *from)
{
    for (uint32_t i = 0; i < w->objects.len; i++)
        for (int b = 0; b < BOXES; b++)
            box_join(&to->of[i].boxes[b], &from->of[i].boxes[b], w->objects.data[i].v->ty.buf.rank);
}

static void add_counts(const walk *w, part *to, const part *from, double times)
{
    to->flops += times * from->flops;
    to->work += times * from->work;
    to->l1_bytes += times * from->l1_bytes;
    for (uint32_t i = 0; i < w->objects.len; i++) {
        object_part *x = &to->of[i];
        const object_part *y = &from->of[i];
        x->loaded += times * y->loaded;
        x->stored += times * y->stored;
        for (int c = 0; c < KCACHES; c++) x->miss[c] += times * y->miss[c];
    }
}

/* In a cache that `fits`, every byte of p is missed once at most. */
static void miss_once(const walk *w, part *p, const bool *fits)
{
    for (uint32_t i = 0; i < w->objects.len; i++)
        for (int c = 0; c < KCACHES; c++)
            if (fits[c]) p->of[i].miss[c] = fmin(p->of[i].miss[c], footprint(w, p, i));
}

static void part_end(const walk *w, part *p)
{
    double bytes = 0;
    for (uint32_t i = 0; i < w->objects.len; i++) bytes += footprint(w, p, i);
    for (int c = 0; c < KCACHES; c++) p->fits[c] = bytes <= w->capacity[c];
    miss_once(w, p, p->fits);
}

/* ---- values ---- */

static kinterval index_value(const walk *w, kidx i)
{
    if (!i.v) return kinterval_point(i.off);
    kinterval x = w->values[i.v->id], off = kinterval_point(i.off);
    return x.known ? kinterval_map(KOP_ADD, DT_I64, (kinterval[]){x, off}) : x;
}

static bool is_scalar(const kvalue *v)
{
    return v->kind == KV_TILE && !v->ty.tile.rank && !dtype_is_float(v->ty.tile.dt);
}

static void evaluate(walk *w, const kop *o)
{
    const kvalue *r = o->results[0];
    kinterval in[3] = {{0}}, *out = &w->values[r->id];
    int64_t v;
    *out = (kinterval){0};
    if (!is_scalar(r)) return;
    for (uint32_t i = 0; i < o->n_operands && i < 3; i++)
        if (is_scalar(o->operands[i])) in[i] = w->values[o->operands[i]->id];
    if (o->op == KOP_CONST) *out = kinterval_point(o->at.i);
    else if (o->op == KOP_DIM && dim_eval(w->f->dims, o->at.d, w->dims, &v)) *out = kinterval_point(v);
    else if (o->op == KOP_CAST || (kop_row(o->op)->props & K_ELEMENTWISE))
        *out = kinterval_map(o->op, r->ty.tile.dt, in);
}

static void move(walk *w, kvalue *const *from, kvalue *const *to, uint32_t n)
{
    kinterval v[KMAX_RESULTS];
    for (uint32_t i = 0; i < n; i++) v[i] = w->values[from[i]->id];
    for (uint32_t i = 0; i < n; i++) w->values[to[i]->id] = v[i];
}

static void forget(walk *w, kvalue *const *values, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) w->values[values[i]->id] = (kinterval){0};
}

/* ---- ops ---- */

static int64_t rows_of(ktile t)
{
    return t.rank == 2 ? t.shape[0] : 1;
}

static int64_t cols_of(ktile t)
{
    return t.rank ? t.shape[t.rank - 1] : 1;
}

/* Vectors that hold a row of n elements; those wider than f32 take more. */
static int64_t vectors(const walk *w, dtype dt, int64_t n)
{
    int64_t wide = dtype_bits(dt) > 32 ? dtype_bits(dt) / 32 : 1;
    return (n + w->lanes - 1) / w->lanes * wide;
}

static int64_t tile_vectors(const walk *w, ktile t)
{
    return t.layout == KL_SCALARS ? ktile_elements(t) : rows_of(t) * vectors(w, t.dt, cols_of(t));
}

static void count_arithmetic(walk *w, part *p, const kop *o)
{
    if (o->op == KOP_CONTRACT) {
        ktile acc = o->results[0]->ty.tile;
        int64_t k = o->operands[1]->ty.tile.shape[1];
        p->flops += 2.0 * (double)ktile_elements(acc) * (double)k;
        p->work += 2.0 * (double)(tile_vectors(w, acc) * k * w->lanes);
        return;
    }
    if (o->op == KOP_REDUCE) {
        ktile t = o->operands[0]->ty.tile;
        p->flops += (double)ktile_elements(t);
        p->work += (double)(tile_vectors(w, t) * w->lanes);
        return;
    }
    if (!(kop_row(o->op)->props & K_ELEMENTWISE) && o->op != KOP_CAST) return;
    ktile t = o->results[0]->ty.tile;
    bool real = dtype_is_float(o->operands[o->n_operands - 1]->ty.tile.dt);
    if (!real && !t.rank) return; /* of indices: not the vector units' */
    double vector = (double)(tile_vectors(w, t) * w->lanes);
    bool multiplies = o->op == KOP_FMA || o->op == KOP_MUL;
    bool divides = o->op == KOP_DIV || o->op == KOP_MOD || o->op == KOP_SQRT || o->op == KOP_RSQRT;
    if (real && o->op != KOP_CAST) p->flops += (double)(ktile_elements(t) * (o->op == KOP_FMA ? 2 : 1));
    p->work += vector * (divides ? 2 * DIVISION_WORK : multiplies ? 2 : 1);
}

/* The op that makes v a window on another buffer with the same axes, or NULL. */
static const kop *window_on(const walk *w, const kvalue *v)
{
    const kop *o = v->def;
    if (!o || o->op != KOP_VIEW || o->mem[0].buf->ty.buf.rank != v->ty.buf.rank) return NULL;
    for (uint32_t i = 0; i < v->ty.buf.rank; i++)
        if (kbuffer_stride(w->f->dims, &v->ty.buf, i) != kbuffer_stride(w->f->dims, &o->mem[0].buf->ty.buf, i))
            return NULL;
    return o;
}

/* The first element of an access along axis k, counted in the buffer that windows are on. */
static kinterval access_index(const walk *w, const kmem *m, int k)
{
    kinterval at = index_value(w, m->idx[k]);
    for (const kop *o = window_on(w, m->buf); o && at.known; o = window_on(w, o->mem[0].buf)) {
        kinterval from = index_value(w, o->mem[0].idx[k]);
        at = from.known ? kinterval_map(KOP_ADD, DT_I64, (kinterval[]){at, from}) : from;
    }
    return at;
}

static void count_access(walk *w, part *p, const kmem *m, ktile t, bool store)
{
    uint32_t i = w->object_of[m->buf->id];
    assert(i);
    const object *obj = &w->objects.data[--i];
    const kbuffer *b = &m->buf->ty.buf;
    int64_t exists[KMAX_TILE_RANK] = {1, 1}, extent[KMAX_RANK];
    for (int k = 0; k < m->n_idx; k++) extent[k] = 1;
    for (int k = 0; k < t.rank; k++) {
        int64_t n = t.shape[k];
        if (m->bounded[k]) {
            kinterval bound = index_value(w, m->bound[k]);
            if (!kinterval_is_point(bound) && !w->hull) w->exact = false;
            if (bound.known && bound.hi < n) n = bound.hi;
            if (n <= 0) return;
        }
        exists[k] = n;
        if (m->axes[k] < KMAX_RANK) extent[m->axes[k]] = n;
    }
    box x = {.any = true};
    for (int k = 0; k < m->n_idx; k++) {
        kinterval at = access_index(w, m, k);
        int64_t last = obj->size[k] - 1, hi;
        if (!at.known || __builtin_add_overflow(at.hi, extent[k] - 1, &hi)) at.lo = 0, hi = last;
        x.lo[k] = at.lo < 0 ? 0 : at.lo > last ? last : at.lo;
        x.hi[k] = hi < x.lo[k] ? x.lo[k] : hi > last ? last : hi;
    }
    object_part *of = &p->of[i];
    double bytes = (double)(exists[0] * exists[1]) * dtype_bits(b->dt) / 8;
    *(store ? &of->stored : &of->loaded) += bytes;
    box_join(&of->boxes[store ? BOX_WRITE : BOX_READ], &x, b->rank);
    box_join(&of->boxes[BOX_BOTH], &x, b->rank);
    for (int c = 0; c < KCACHES; c++) of->miss[c] += bytes;
    int64_t rows = t.rank == 2 ? exists[0] : 1, cols = t.rank ? exists[t.rank - 1] : 1;
    bool whole = cols == 1 || (obj->unit_last && m->axes[t.rank - 1] == m->n_idx - 1 && t.layout != KL_SCALARS);
    p->l1_bytes += (double)(rows * (whole ? vectors(w, b->dt, cols) : cols)) * w->vector_bytes;
}

static void walk_block(walk *w, const kblock *b, part *p, uint32_t depth);

/* As many as there may be; once where no limit is known. */
static int64_t loop_trips(walk *w, const kop *o, int64_t *first)
{
    kinterval lo = index_value(w, o->lo), hi = index_value(w, o->hi);
    int64_t n;
    *first = kinterval_is_limited(lo) ? lo.lo : 0;
    if (!w->hull && !(kinterval_is_point(lo) && kinterval_is_point(hi))) w->exact = false;
    if (!kinterval_is_limited(lo) || !kinterval_is_limited(hi) || __builtin_sub_overflow(hi.hi, lo.lo, &n)) {
        if (!w->hull) w->exact = false;
        return 1;
    }
    return n <= 0 ? 0 : (n - 1) / o->at.step + 1;
}

static const kop *yield_of(const kblock *b)
{
    return b->last && b->last->op == KOP_YIELD ? b->last : NULL;
}

/* Rounds that may differ, one after the other. */
static void walk_rounds(walk *w, const kop *o, int64_t first, int64_t trips, part *p, uint32_t depth)
{
    const kblock *b = o->blocks[0];
    part *sum = part_at(w, depth, SLOT_SUM);
    bool fits[KCACHES] = {true, true, true};
    move(w, o->operands, b->args + 1, o->n_operands);
    for (int64_t i = 0; i < trips; i++) {
        bool last = w->steps > MAX_STEPS;
        part *body = part_at(w, depth, SLOT_BODY);
        w->values[b->args[0]->id] = kinterval_point(first + i * o->at.step);
        walk_block(w, b, body, depth + 1);
        for (int c = 0; c < KCACHES; c++) fits[c] = fits[c] && body->fits[c];
        add_counts(w, sum, body, last ? (double)(trips - i) : 1);
        join_boxes(w, sum, body);
        const kop *yield = yield_of(b);
        if (yield) move(w, yield->operands, b->args + 1, o->n_operands);
        if (last) {
            w->exact = false;
            break;
        }
    }
    miss_once(w, sum, fits);
    move(w, b->args + 1, o->results, o->n_operands);
    add_counts(w, p, sum, 1);
    join_boxes(w, p, sum);
}

/* Rounds that cost the same: one is walked for its cost and, with the variable standing for all, for the footprint. */
static void walk_equal_rounds(walk *w, const kop *o, int64_t first, int64_t trips, part *p, uint32_t depth)
{
    const kblock *b = o->blocks[0];
    kinterval all = {true, first, first + (trips - 1) * o->at.step};
    part *body = part_at(w, depth, SLOT_BODY), *sum = part_at(w, depth, SLOT_SUM);
    forget(w, b->args, b->n_args);
    w->values[b->args[0]->id] = w->hull ? all : kinterval_point(first);
    walk_block(w, b, body, depth + 1);
    add_counts(w, sum, body, (double)trips);
    join_boxes(w, sum, body);
    if (!w->hull && trips > 1) {
        w->hull = true;
        w->values[b->args[0]->id] = all;
        part *hull = part_at(w, depth, SLOT_HULL);
        walk_block(w, b, hull, depth + 1);
        join_boxes(w, sum, hull);
        w->hull = false;
    }
    miss_once(w, sum, body->fits);
    forget(w, o->results, o->n_results);
    add_counts(w, p, sum, 1);
    join_boxes(w, p, sum);
}

static void walk_loop(walk *w, const kop *o, part *p, uint32_t depth)
{
    int64_t first, trips = loop_trips(w, o, &first);
    if (trips == 0) {
        move(w, o->operands, o->results, o->n_operands);
        return;
    }
    bool differ = false;
    for (uint32_t i = 0; i < o->blocks[0]->n_args; i++) differ |= w->steers[o->blocks[0]->args[i]->id];
    (differ ? walk_rounds : walk_equal_rounds)(w, o, first, trips, p, depth);
}

/* The block that runs; all of them where that is not known, the dearest counted. */
static void walk_choice(walk *w, const kop *o, part *p, uint32_t depth)
{
    kinterval on = w->values[o->operands[0]->id];
    uint32_t from = 0, to = o->n_blocks;
    if (kinterval_is_point(on)) {
        if (o->op == KOP_IF) from = on.lo ? 0 : 1;
        else
            while (from < o->at.cases.n && o->at.cases.v[from] != on.lo) from++;
        to = from + 1;
    } else if (!w->hull) {
        w->exact = false;
    }
    part *dearest = NULL, *sum = part_at(w, depth, SLOT_SUM);
    int slot = SLOT_BODY;
    for (uint32_t i = from; i < to; i++) {
        part *body = part_at(w, depth, slot);
        walk_block(w, o->blocks[i], body, depth + 1);
        join_boxes(w, sum, body);
        const kop *yield = yield_of(o->blocks[i]);
        if (yield) move(w, yield->operands, o->results, o->n_results);
        if (dearest && body->work + body->l1_bytes <= dearest->work + dearest->l1_bytes) continue;
        dearest = body;
        slot = slot == SLOT_BODY ? SLOT_HULL : SLOT_BODY;
    }
    if (to - from != 1) forget(w, o->results, o->n_results);
    if (dearest) add_counts(w, sum, dearest, 1);
    add_counts(w, p, sum, 1);
    join_boxes(w, p, sum);
}

/* How often is not known: once. */
static void walk_while(walk *w, const kop *o, part *p, uint32_t depth)
{
    w->exact = false;
    for (uint32_t i = 0; i < o->n_blocks; i++) {
        forget(w, o->blocks[i]->args, o->blocks[i]->n_args);
        part *body = part_at(w, depth, SLOT_BODY);
        walk_block(w, o->blocks[i], body, depth + 1);
        add_counts(w, p, body, 1);
        join_boxes(w, p, body);
    }
    forget(w, o->results, o->n_results);
}

static void walk_op(walk *w, const kop *o, part *p, uint32_t depth)
{
    switch (o->op) {
    case KOP_FOR: walk_loop(w, o, p, depth); return;
    case KOP_IF:
    case KOP_SWITCH: walk_choice(w, o, p, depth); return;
    case KOP_WHILE: walk_while(w, o, p, depth); return;
    case KOP_LAUNCH: w->launch(w->arg, o); return;
    case KOP_STORE: count_access(w, p, &o->mem[0], o->operands[0]->ty.tile, true); return;
    case KOP_COPY: count_access(w, p, &o->mem[1], o->shape, false); return; /* shared memory is no cache */
    case KOP_LOAD: count_access(w, p, &o->mem[0], o->results[0]->ty.tile, false); break;
    default: count_arithmetic(w, p, o);
    }
    if (o->n_results && o->results[0]->kind == KV_TILE) evaluate(w, o);
}

static void walk_block(walk *w, const kblock *b, part *p, uint32_t depth)
{
    for (const kop *o = b->first; o; o = o->next) {
        w->steps++;
        walk_op(w, o, p, depth);
    }
    part_end(w, p);
}

/* ---- functions ---- */

static void add_object(walk *w, const kvalue *v, int nth)
{
    const kbuffer *b = &v->ty.buf;
    object o = {.v = v, .param = nth};
    for (uint32_t i = 0; i < b->rank; i++)
        if (!dim_eval(w->f->dims, b->shape[i], w->dims, &o.size[i])) w->bad = true;
    int64_t stride;
    o.unit_last = dim_is_const(w->f->dims, kbuffer_stride(w->f->dims, b, b->rank - 1u), &stride) && stride == 1;
    vec_push(w->a, &w->objects, o);
    w->object_of[v->id] = w->objects.len;
}

static void find_objects(walk *w, const kblock *b)
{
    for (const kop *o = b->first; o; o = o->next) {
        if (o->n_results && o->results[0]->kind == KV_BUFFER) {
            const kop *window = window_on(w, o->results[0]);
            if (window) w->object_of[o->results[0]->id] = w->object_of[window->mem[0].buf->id];
            else add_object(w, o->results[0], -1);
        }
        for (uint32_t i = 0; i < o->n_blocks; i++) find_objects(w, o->blocks[i]);
    }
}

static walk walk_new(const kfunction *f, const int64_t *dims, arena *a)
{
    return (walk){.f = f,
                  .dims = dims,
                  .a = a,
                  .steers = kcontrol_values(f, a),
                  .values = ARENA_ARRAY(a, kinterval, f->n_values),
                  .exact = true};
}

static void out_of_memory(void *arg)
{
    arena_out_of_memory(arg);
}

static arena *scratch_arena(arena *a)
{
    arena *s = arena_new(out_of_memory, a);
    if (!s) arena_out_of_memory(a);
    return s;
}

static kcost_buffer buffer_cost(const walk *w, const part *p, uint32_t i)
{
    const object *o = &w->objects.data[i];
    const object_part *x = &p->of[i];
    bool fresh = w->f->params.data[o->param].mode == KACCESS_OUT; /* what a task reads of it, it has written */
    kcost_buffer b = {.loaded = x->loaded,
                      .stored = x->stored,
                      .read = fresh ? 0 : fmin(box_bytes(o, &x->boxes[BOX_READ]), x->loaded),
                      .written = fmin(box_bytes(o, &x->boxes[BOX_WRITE]), x->stored),
                      .touched = footprint(w, p, i)};
    memcpy(b.miss, x->miss, sizeof b.miss);
    return b;
}

kcost kernel_cost(const kfunction *f, const int64_t *dims, const machine *m, arena *a)
{
    arena *scratch = scratch_arena(a);
    walk w = walk_new(f, dims, scratch);
    const int64_t sizes[KCACHES] = {m->l1d_bytes, m->l2_bytes, m->l3_bytes};
    for (int c = 0; c < KCACHES; c++) w.capacity[c] = KCOST_USABLE * (double)sizes[c];
    w.lanes = (int)m->vector_bits / 32;
    w.vector_bytes = (double)m->vector_bits / 8;
    w.object_of = ARENA_ARRAY(scratch, uint32_t, f->n_values);
    for (uint32_t i = 0; i < f->params.len; i++) add_object(&w, f->params.data[i].v, (int)i);
    find_objects(&w, f->body);
    part *p = part_at(&w, 0, SLOT_BODY);
    walk_block(&w, f->body, p, 1);

    kcost c = {.flops = w.bad ? NAN : p->flops, .work = w.bad ? NAN : p->work, .l1_bytes = p->l1_bytes};
    c.exact = w.exact && !w.bad;
    c.buffers = ARENA_ARRAY(a, kcost_buffer, f->params.len);
    for (uint32_t i = 0; i < w.objects.len; i++) {
        const object_part *x = &p->of[i];
        c.loaded += x->loaded;
        c.stored += x->stored;
        if (w.objects.data[i].param >= 0) {
            c.buffers[i] = buffer_cost(&w, p, i);
            continue;
        }
        for (int k = 0; k < KCACHES; k++) c.local_miss[k] += fmax(0, x->miss[k] - footprint(&w, p, i));
    }
    arena_free(scratch);
    return c;
}

void kcost_launches(const kfunction *plan, const int64_t *dims, arena *a, klaunch_fn *fn, void *arg)
{
    arena *scratch = scratch_arena(a);
    walk w = walk_new(plan, dims, scratch);
    w.launch = fn;
    w.arg = arg;
    walk_block(&w, plan->body, part_at(&w, 0, SLOT_BODY), 1);
    arena_free(scratch);
}
