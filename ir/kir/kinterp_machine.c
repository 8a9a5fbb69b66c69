/* The kernel interpreter: preparing a function for a run at given dims: slots for values, sizes of buffers, memory for
 * allocs. */
#include "ir/kir/kinterp_internal.h"

#include <assert.h>

static const int64_t max_registers = (int64_t)1 << 28, max_object = (int64_t)1 << 36;

typedef struct {
    kmachine *m;
    uint64_t temp; /* bytes that ops need to move things aside */
    uint64_t pool; /* bytes of scratch or workspace so far */
    uint32_t pool_granule;
    kobject *pool_object;
    uint16_t owners;
    bool ok;
} preparation;

/* ---- values ---- */

static uint64_t slot_bytes(const kvalue *v)
{
    if (v->kind == KV_BUFFER) return sizeof(kref);
    ktile t = v->ty.tile;
    return t.layout == KL_SHARED ? sizeof(kaccess) : (uint64_t)ktile_elements(t) * kreg_bytes(t.dt);
}

static bool refuse(preparation *p, const kop *o, const char *what, const kvalue *v)
{
    kreport(p->m, NULL, o, KREPORT_LIMIT, "%s %s", kmachine_name(p->m, v), what);
    return p->ok = false;
}

static bool prepare_extent(preparation *p, const kop *o, const kvalue *v)
{
    kmachine *m = p->m;
    dim_ctx *c = m->f->dims;
    const kbuffer *b = &v->ty.buf;
    kextent *e = &m->extents[v->id];
    for (uint32_t i = 0; i < b->rank; i++)
        if (!dim_eval(c, b->shape[i], m->dims, &e->shape[i]) ||
            !dim_eval(c, kbuffer_stride(c, b, i), m->dims, &e->stride[i]) || e->shape[i] < 0 || e->stride[i] < 0)
            return refuse(p, o, "has no size at these dims", v);
    bool empty = false;
    for (uint32_t i = 0; i < b->rank; i++) empty = empty || e->shape[i] == 0;
    if (empty) e->bytes = 0; /* what strides would say may be below that */
    else if (!dim_eval(c, kbuffer_bytes(c, b), m->dims, &e->bytes) || e->bytes < 0 || e->bytes > max_object)
        return refuse(p, o, "has no usable size at these dims", v);
    return true;
}

static void prepare_value(preparation *p, const kop *o, const kvalue *v)
{
    kmachine *m = p->m;
    uint64_t bytes = slot_bytes(v);
    if (!p->ok) return;
    m->slot[v->id] = (uint32_t)m->regs_bytes;
    m->regs_bytes += (bytes + 15) / 16 * 16;
    if (v->kind == KV_TILE && 16 * (uint64_t)ktile_elements(v->ty.tile) > p->temp)
        p->temp = 16 * (uint64_t)ktile_elements(v->ty.tile);
    if (m->regs_bytes > (uint64_t)max_registers)
        refuse(p, o, "does not fit: the function has too many or too large values", v);
    else if (v->kind == KV_BUFFER) prepare_extent(p, o, v);
}

/* ---- allocs ---- */

static bool in_pool(kspace s)
{
    return s == KSPACE_SCRATCH || s == KSPACE_WORKSPACE;
}

static uint32_t element_bytes(dtype t)
{
    uint32_t bits = dtype_bits(t);
    return bits % 8 ? 1 : bits / 8;
}

static uint32_t granule_in(const kfunction *f, const kblock *b, const kvalue *root, uint32_t least)
{
    for (const kop *o = b->first; o; o = o->next) {
        bool view = o->op == KOP_VIEW;
        if (view && o->mem[0].buf == root) {
            uint32_t n = kgranule(f, o->results[0]);
            if (n < least) least = n;
        }
        for (uint32_t i = 0; o->op == KOP_LAUNCH && i < o->n_operands; i++) {
            const kfunction *callee = o->operands[i] == root ? kmodule_find(f->m, o->at.callee) : NULL;
            uint32_t n = callee ? kgranule(callee, callee->params.data[i].v) : least;
            if (n < least) least = n;
        }
        for (uint32_t i = 0; i < o->n_blocks; i++) least = granule_in(f, o->blocks[i], root, least);
    }
    return least;
}

uint32_t kgranule(const kfunction *f, const kvalue *root)
{
    return granule_in(f, f->body, root, element_bytes(root->ty.buf.dt));
}

/* Planned allocs first, so that the others can lie behind all of them. */
static void place_in_pool(preparation *p, const kop *o, bool planned)
{
    kmachine *m = p->m;
    const kvalue *v = o->results[0];
    if ((o->at.offset != DIM_BAD) != planned) return;
    uint64_t align = v->ty.buf.align > 64 ? v->ty.buf.align : 64;
    int64_t at = (int64_t)((p->pool + align - 1) / align * align);
    if (planned && (!dim_eval(m->f->dims, o->at.offset, m->dims, &at) || at < 0 || at > max_object)) {
        refuse(p, o, "has no usable offset at these dims", v);
        return;
    }
    uint32_t element = element_bytes(v->ty.buf.dt);
    if (at % (int64_t)(v->ty.buf.align ? v->ty.buf.align : element)) refuse(p, o, "is not aligned at its offset", v);
    if (p->owners == UINT16_MAX) refuse(p, o, "is one buffer too many", v);
    uint64_t end = (uint64_t)at + (uint64_t)m->extents[v->id].bytes;
    if (end > p->pool) p->pool = end;
    if (end > (uint64_t)max_object) refuse(p, o, "lies beyond all memory", v);
    uint32_t n = kgranule(m->f, v);
    if (n < p->pool_granule) p->pool_granule = n;
    bool private = v->ty.buf.space == KSPACE_SCRATCH;
    m->allocs[o->id] = (kref){.base = at, .owner = ++p->owners, .races = !private};
}

static void *garbage(arena *a, uint64_t bytes)
{
    void *data = arena_alloc(a, bytes, 64);
    memset(data, 0xcb, bytes);
    return data;
}

static void make_object(preparation *p, const kop *o)
{
    kmachine *m = p->m;
    const kvalue *v = o->results[0];
    const kbuffer *b = &v->ty.buf;
    /* A swizzle moves bytes within its blocks, the last of which may be incomplete. */
    uint64_t block = UINT64_C(1) << (b->swizzle.bits + b->swizzle.base);
    uint64_t bytes = ((uint64_t)m->extents[v->id].bytes + block - 1) / block * block;
    kobject *obj = kobject_new(m->a, garbage(m->a, bytes), bytes, kgranule(m->f, v), false, true);
    bool shared = b->space == KSPACE_SHARED;
    uint64_t n = bytes / obj->granule + 1;
    if (shared) obj->async = ARENA_ARRAY(m->a, kasync_mark, n);
    if (shared && m->agents[0].tags) obj->mma_reads = ARENA_ARRAY(m->a, uint32_t, n * m->n_agents);
    m->allocs[o->id] = (kref){.obj = obj, .races = shared};
}

static void foreach_alloc(preparation *p, const kblock *b, void (*fn)(preparation *, const kop *, bool), bool arg)
{
    for (const kop *o = b->first; o && p->ok; o = o->next) {
        if (o->op == KOP_ALLOC) fn(p, o, arg);
        for (uint32_t i = 0; i < o->n_blocks; i++) foreach_alloc(p, o->blocks[i], fn, arg);
    }
}

static void pool_alloc(preparation *p, const kop *o, bool planned)
{
    if (in_pool(o->results[0]->ty.buf.space)) place_in_pool(p, o, planned);
}

static void other_alloc(preparation *p, const kop *o, bool unused)
{
    (void)unused;
    if (!in_pool(o->results[0]->ty.buf.space)) make_object(p, o);
}

/* All of them lie in one object. */
static void join_pool(preparation *p, const kop *o, bool unused)
{
    (void)unused;
    if (in_pool(o->results[0]->ty.buf.space)) p->m->allocs[o->id].obj = p->pool_object;
}

/* ---- the function ---- */

static void prepare_dim(preparation *p, const kop *o)
{
    kmachine *m = p->m;
    if (o->op == KOP_DIM) m->dim_fits[o->id] = dim_eval(m->f->dims, o->at.d, m->dims, &m->dim_values[o->id]);
}

static void prepare_block(preparation *p, const kblock *b, const kop *owner)
{
    uint64_t carried = 0;
    for (uint32_t i = 0; i < b->n_args; i++) {
        prepare_value(p, owner, b->args[i]);
        carried += slot_bytes(b->args[i]);
    }
    if (carried > p->temp) p->temp = carried;
    for (const kop *o = b->first; o && p->ok; o = o->next) {
        for (uint32_t i = 0; i < o->n_results; i++) prepare_value(p, o, o->results[i]);
        prepare_dim(p, o);
        for (uint32_t i = 0; i < o->n_blocks; i++) prepare_block(p, o->blocks[i], o);
    }
}

/* Counted dims have their greatest values at first, for which memory is laid out. */
static void set_counts(kmachine *m)
{
    for (const kop *o = m->f->target == KTARGET_PLAN ? m->f->body->first : NULL; o; o = o->next)
        if (o->op == KOP_READ_DIM)
            (void)dim_eval(m->f->dims, o->at.most, m->dims, &m->dims[dim_is_symbol(m->f->dims, o->at.d)]);
}

static void size_block(preparation *p, const kblock *b)
{
    for (const kop *o = b->first; o && p->ok; o = o->next) {
        for (uint32_t i = 0; i < o->n_results; i++)
            if (o->results[i]->kind == KV_BUFFER) prepare_extent(p, o, o->results[i]);
        prepare_dim(p, o);
        for (uint32_t i = 0; i < o->n_blocks; i++) size_block(p, o->blocks[i]);
    }
}

void kmachine_count(kmachine *m, const kop *o, int64_t n)
{
    preparation p = {.m = m, .ok = true};
    m->dims[dim_is_symbol(m->f->dims, o->at.d)] = n;
    size_block(&p, m->f->body);
}

/* The loop over agents of a GPU kernel. */
static const kop *agent_loop(const kblock *b)
{
    for (const kop *o = b->first; o; o = o->next) {
        if (o->op == KOP_FOR && (o->at.map == KMAP_WARP || o->at.map == KMAP_WARPGROUP)) return o;
        const kop *inner = o->op == KOP_FOR && o->at.map == KMAP_BLOCK ? agent_loop(o->blocks[0]) : NULL;
        if (inner) return inner;
    }
    return NULL;
}

static void make_agents(kmachine *m)
{
    const kop *loop = m->f->target == KTARGET_PTX ? agent_loop(m->f->body) : NULL;
    bool groups = loop && loop->at.map == KMAP_WARPGROUP;
    m->n_agents = loop ? (groups ? m->f->warps / 4 : m->f->warps) : 1;
    m->agents = ARENA_ARRAY(m->a, kagent_state, m->n_agents);
    assert(m->n_agents <= KMAX_AGENTS);
    for (uint32_t i = 0; i < m->n_agents; i++) {
        m->agents[i].index = i;
        m->agents[i].regs = arena_alloc(m->a, m->regs_bytes, 64);
        if (groups) m->agents[i].tags = ARENA_ARRAY(m->a, kvalue_tag, m->f->n_values);
    }
    m->scalar = m->agents;
    if (!loop) return;
    m->scalar = ARENA_NEW(m->a, kagent_state);
    m->scalar->regs = arena_alloc(m->a, m->regs_bytes, 64);
}

kmachine *kmachine_new(kinterp *in, const kfunction *f, arena *a, const int64_t *dims, const kref *params)
{
    kmachine *m = ARENA_NEW(a, kmachine);
    *m = (kmachine){.in = in, .f = f, .a = a};
    uint32_t n_dims = dim_symbol_count(f->dims);
    m->dims = ARENA_ARRAY(a, int64_t, n_dims);
    if (n_dims) memcpy(m->dims, dims, n_dims * sizeof *dims);
    set_counts(m);
    m->slot = ARENA_ARRAY(a, uint32_t, f->n_values);
    m->extents = ARENA_ARRAY(a, kextent, f->n_values);
    m->dim_values = ARENA_ARRAY(a, int64_t, f->n_ops);
    m->dim_fits = ARENA_ARRAY(a, bool, f->n_ops);
    m->reported = ARENA_ARRAY(a, uint16_t, f->n_ops + 1);
    m->allocs = ARENA_ARRAY(a, kref, f->n_ops);
    preparation p = {.m = m, .temp = 64, .pool_granule = 8, .ok = true};
    for (uint32_t i = 0; i < f->params.len; i++) prepare_value(&p, NULL, f->params.data[i].v);
    prepare_block(&p, f->body, NULL);
    if (!p.ok) return NULL;
    m->temp = arena_alloc(a, p.temp, 64);
    make_agents(m);
    foreach_alloc(&p, f->body, pool_alloc, true);
    foreach_alloc(&p, f->body, pool_alloc, false);
    foreach_alloc(&p, f->body, other_alloc, false);
    if (!p.ok) return NULL;
    p.pool_object = kobject_new(a, garbage(a, p.pool), p.pool, p.pool_granule, false, true);
    foreach_alloc(&p, f->body, join_pool, false);
    for (uint32_t i = 0; i < f->params.len; i++) *kreg_ref(m, m->scalar, f->params.data[i].v) = params[i];
    m->launch_stamp = krun_next_stamp(m);
    m->block_stamp = m->launch_stamp;
    return m;
}
