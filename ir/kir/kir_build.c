/* Building kernel IR. Types are asserted here; where they come from a user (text) the parser builds from parts instead.
 */
#include "ir/kir/kir_internal.h"

#include <assert.h>

/* ---- modules and functions ---- */

kmodule *kmodule_new(arena *a, interner *names, source_set *sources, const char *name)
{
    kmodule *m = ARENA_NEW(a, kmodule);
    *m = (kmodule){.a = a, .names = names, .sources = sources, .name = name ? intern_z(names, name) : NULL};
    m->index = ARENA_NEW(a, kmodule_index);
    m->index->by_name = ptrmap_new(a);
    return m;
}

kfunction *kfunction_new(kmodule *m, const char *name, ktarget target)
{
    kfunction *f = ARENA_NEW(m->a, kfunction);
    *f = (kfunction){.name = intern_z(m->names, name), .target = target, .dims = dims_new(m->a, m->names), .m = m};
    f->body = kblock_new(f, NULL, 0);
    vec_push(m->a, &m->functions, f);
    return f;
}

kfunction *kmodule_find(const kmodule *m, const char *name)
{
    kmodule_index *x = m->index;
    for (; x->n < m->functions.len; x->n++) {
        kfunction *f = m->functions.data[x->n];
        if (!ptrmap_get(x->by_name, f->name)) ptrmap_set(x->by_name, f->name, f);
    }
    return ptrmap_get(x->by_name, intern_z(m->names, name));
}

void kmodule_take(kmodule *m, kfunction *f)
{
    f->m = m;
    vec_push(m->a, &m->functions, f);
}

kvalue *kparam_add(kfunction *f, const char *name, kbuffer ty, kparam_role role, kaccess_mode mode)
{
    kvalue *v = kvalue_new(f, KV_BUFFER, name);
    v->ty.buf = ty;
    vec_push(f->m->a, &f->params, ((kparam){.v = v, .role = role, .mode = mode}));
    return v;
}

/* ---- parts ---- */

kvalue *kvalue_new(kfunction *f, kvalue_kind kind, const char *name)
{
    kvalue *v = ARENA_NEW(f->m->a, kvalue);
    *v = (kvalue){.id = f->n_values++, .kind = kind, .name = name ? intern_z(f->m->names, name) : NULL};
    return v;
}

kblock *kblock_new(kfunction *f, kop *parent, uint32_t n_args)
{
    kblock *b = ARENA_NEW(f->m->a, kblock);
    *b = (kblock){.parent = parent, .fn = f, .n_args = n_args, .args = ARENA_ARRAY(f->m->a, kvalue *, n_args)};
    return b;
}

kop *kop_new(kfunction *f, kop_kind op, uint32_t n_operands, uint32_t n_results, uint32_t n_blocks)
{
    arena *a = f->m->a;
    kop *o = ARENA_NEW(a, kop);
    *o = (kop){.op = op, .id = f->n_ops++, .n_operands = n_operands, .n_results = n_results, .n_blocks = n_blocks};
    o->operands = ARENA_ARRAY(a, kvalue *, n_operands);
    o->results = ARENA_ARRAY(a, kvalue *, n_results);
    o->blocks = ARENA_ARRAY(a, kblock *, n_blocks);
    for (uint32_t i = 0; i < n_blocks; i++) o->blocks[i] = kblock_new(f, o, 0);
    return o;
}

void kblock_insert(kblock *b, kop *op, kop *before)
{
    assert(!before || before->parent == b);
    op->parent = b;
    op->next = before;
    op->prev = before ? before->prev : b->last;
    *(op->prev ? &op->prev->next : &b->first) = op;
    *(before ? &before->prev : &b->last) = op;
}

static kvalue *tile_value(kfunction *f, ktile ty, kop *def, const char *name)
{
    kvalue *v = kvalue_new(f, KV_TILE, name);
    v->ty.tile = ty;
    v->def = def;
    return v;
}

static kop *insert(kbuilder *b, kop *op)
{
    op->source = b->at;
    kblock_insert(b->block, op, b->before);
    return op;
}

static void set_block_args(kfunction *f, kblock *block, const kvalue *induction, kvalue *const *carried, uint32_t n)
{
    block->n_args = n + (induction ? 1 : 0);
    block->args = ARENA_ARRAY(f->m->a, kvalue *, block->n_args);
    uint32_t k = 0;
    if (induction) block->args[k++] = (kvalue *)induction;
    for (uint32_t i = 0; i < n; i++) block->args[k++] = tile_value(f, carried[i]->ty.tile, NULL, NULL);
    for (uint32_t i = 0; i < block->n_args; i++) block->args[i]->arg_of = block;
}

kop *kb_op(kbuilder *b, kop_kind op, kvalue *const *operands, uint32_t n, const ktile *types, uint32_t n_results)
{
    kop *o = kop_new(b->f, op, n, n_results, 0);
    for (uint32_t i = 0; i < n; i++) o->operands[i] = operands[i];
    for (uint32_t i = 0; i < n_results; i++) o->results[i] = tile_value(b->f, types[i], o, NULL);
    return insert(b, o);
}

static kop *simple(kbuilder *b, kop_kind op, kvalue *operand, ktile ty)
{
    return kb_op(b, op, &operand, operand ? 1 : 0, &ty, 1);
}

/* ---- arithmetic ---- */

kvalue *kb_dim(kbuilder *b, dim d)
{
    assert(d != DIM_BAD);
    kop *o = simple(b, KOP_DIM, NULL, ktile_scalar(DT_I64));
    o->at.d = d;
    return o->results[0];
}

kvalue *kb_const(kbuilder *b, ktile ty, double v)
{
    assert(dtype_is_float(ty.dt));
    kop *o = simple(b, KOP_CONST, NULL, ty);
    o->at.real = v;
    return o->results[0];
}

kvalue *kb_int(kbuilder *b, ktile ty, int64_t v)
{
    assert(!dtype_is_float(ty.dt));
    kop *o = simple(b, KOP_CONST, NULL, ty);
    o->at.i = v;
    return o->results[0];
}

kvalue *kb_i64(kbuilder *b, int64_t v)
{
    return kb_int(b, ktile_scalar(DT_I64), v);
}

kvalue *kb_iota(kbuilder *b, ktile ty, int axis)
{
    assert(ty.rank > 0 && axis >= 0 && axis < ty.rank && !dtype_is_float(ty.dt));
    kop *o = simple(b, KOP_IOTA, NULL, ty);
    o->at.axis = axis;
    return o->results[0];
}

kvalue *kb_cast(kbuilder *b, kvalue *a, dtype to)
{
    if (a->ty.tile.dt == to) return a;
    ktile ty = a->ty.tile;
    ty.dt = to;
    return simple(b, KOP_CAST, a, ty)->results[0];
}

kvalue *kb_bitcast(kbuilder *b, kvalue *a, dtype to)
{
    assert(dtype_bits(a->ty.tile.dt) == dtype_bits(to));
    if (a->ty.tile.dt == to) return a;
    ktile ty = a->ty.tile;
    ty.dt = to;
    return simple(b, KOP_BITCAST, a, ty)->results[0];
}

kvalue *kb_map(kbuilder *b, kop_kind op, kvalue *const *args, uint32_t n)
{
    assert(n >= 1 && n <= 3);
    ktile types[3], result;
    for (uint32_t i = 0; i < n; i++) {
        assert(args[i]->kind == KV_TILE);
        types[i] = args[i]->ty.tile;
    }
    const char *why = NULL;
    bool fits = kmap_type(op, types, n, &result, &why);
    assert(fits && why == NULL);
    (void)fits;
    return kb_op(b, op, args, n, &result, 1)->results[0];
}

kvalue *kb_map1(kbuilder *b, kop_kind op, kvalue *x)
{
    return kb_map(b, op, &x, 1);
}

kvalue *kb_map2(kbuilder *b, kop_kind op, kvalue *x, kvalue *y)
{
    return kb_map(b, op, (kvalue *const[]){x, y}, 2);
}

kvalue *kb_map3(kbuilder *b, kop_kind op, kvalue *x, kvalue *y, kvalue *z)
{
    return kb_map(b, op, (kvalue *const[]){x, y, z}, 3);
}

kvalue *kb_contract(kbuilder *b, kvalue *acc, kvalue *x, kvalue *y)
{
    const char *why = NULL;
    bool fits = kcontract_type(acc->ty.tile, x->ty.tile, y->ty.tile, &why);
    assert(fits && why == NULL);
    (void)fits;
    return kb_op(b, KOP_CONTRACT, (kvalue *const[]){acc, x, y}, 3, &acc->ty.tile, 1)->results[0];
}

kvalue *kb_reduce(kbuilder *b, kreduce kind, int axis, kvalue *x)
{
    ktile result;
    const char *why = NULL;
    bool fits = kreduce_type(x->ty.tile, axis, &result, &why);
    assert(fits && why == NULL);
    (void)fits;
    kop *o = simple(b, KOP_REDUCE, x, result);
    o->at.reduce = kind;
    o->at.axis = axis;
    return o->results[0];
}

kvalue *kb_transpose(kbuilder *b, kvalue *x)
{
    ktile ty = x->ty.tile;
    assert(ty.rank == 2);
    ty.shape[0] = x->ty.tile.shape[1];
    ty.shape[1] = x->ty.tile.shape[0];
    return simple(b, KOP_TRANSPOSE, x, ty)->results[0];
}

/* ---- memory ---- */

uint8_t kmem_default_axis(uint32_t buffer_rank, uint32_t tile_rank, uint32_t t)
{
    return buffer_rank + t < tile_rank ? KAXIS_NONE : (uint8_t)(buffer_rank + t - tile_rank);
}

void kmem_default_axes(kmem *m, uint32_t tile_rank)
{
    for (uint32_t t = 0; t < KMAX_TILE_RANK; t++) {
        if (t >= tile_rank) m->axes[t] = 0;
        else if (m->axes[t] == KAXIS_DEFAULT) m->axes[t] = kmem_default_axis(m->n_idx, tile_rank, t);
    }
}

kmem kmem_at(kvalue *buf, const kidx *idx)
{
    assert(buf->kind == KV_BUFFER);
    kmem m = {.buf = buf, .n_idx = buf->ty.buf.rank, .axes = {KAXIS_DEFAULT, KAXIS_DEFAULT}};
    for (int i = 0; i < m.n_idx; i++) m.idx[i] = idx[i];
    return m;
}

/* An op with memory accesses, the tile that runs along them being of `rank`. */
static kop *memory_op(kbuilder *b, kop_kind op, const kvalue *operand, uint32_t rank, const kmem *mem, uint8_t n_mem)
{
    kop *o = kop_new(b->f, op, operand ? 1 : 0, 0, 0);
    if (operand) o->operands[0] = (kvalue *)operand;
    o->n_mem = n_mem;
    for (int i = 0; i < n_mem; i++) {
        o->mem[i] = mem[i];
        kmem_default_axes(&o->mem[i], rank);
    }
    return insert(b, o);
}

static kvalue *add_result(kbuilder *b, kop *o, kvalue_kind kind, const char *name)
{
    o->n_results = 1;
    o->results = ARENA_ARRAY(b->f->m->a, kvalue *, 1);
    o->results[0] = kvalue_new(b->f, kind, name);
    o->results[0]->def = o;
    return o->results[0];
}

kvalue *kb_load(kbuilder *b, ktile ty, kmem at)
{
    kvalue *v = add_result(b, memory_op(b, KOP_LOAD, NULL, ty.rank, &at, 1), KV_TILE, NULL);
    v->ty.tile = ty;
    return v;
}

void kb_store(kbuilder *b, kvalue *v, kmem at)
{
    assert(v->kind == KV_TILE);
    memory_op(b, KOP_STORE, v, v->ty.tile.rank, &at, 1);
}

kvalue *kb_read_dim(kbuilder *b, kmem at, dim counted, dim most)
{
    kop *o = memory_op(b, KOP_READ_DIM, NULL, 0, &at, 1);
    o->at.d = counted;
    o->at.most = most;
    kvalue *v = add_result(b, o, KV_TILE, NULL);
    v->ty.tile = ktile_scalar(DT_I64);
    return v;
}

void kb_prefetch(kbuilder *b, kmem at, int level)
{
    memory_op(b, KOP_PREFETCH, NULL, 0, &at, 1)->at.level = level;
}

kvalue *kb_view(kbuilder *b, kmem at, kbuffer ty)
{
    kvalue *v = add_result(b, memory_op(b, KOP_VIEW, NULL, 0, &at, 1), KV_BUFFER, NULL);
    v->ty.buf = ty;
    return v;
}

void kb_copy(kbuilder *b, ktile shape, kmem dst, kmem src)
{
    memory_op(b, KOP_COPY, NULL, shape.rank, (const kmem[]){dst, src}, 2)->shape = shape;
}

kvalue *kb_alloc(kbuilder *b, const char *name, kbuffer ty)
{
    kop *o = insert(b, kop_new(b->f, KOP_ALLOC, 0, 0, 0));
    kvalue *v = add_result(b, o, KV_BUFFER, name);
    v->ty.buf = ty;
    return v;
}

/* ---- asynchronous work, checks ---- */

void kb_commit(kbuilder *b, kqueue q)
{
    kb_op(b, KOP_COMMIT, NULL, 0, NULL, 0)->at.queue = q;
}

void kb_wait(kbuilder *b, kqueue q, int keep)
{
    kop *o = kb_op(b, KOP_WAIT, NULL, 0, NULL, 0);
    o->at.queue = q;
    o->at.keep = keep;
}

void kb_fence(kbuilder *b, kqueue q)
{
    kb_op(b, KOP_FENCE, NULL, 0, NULL, 0)->at.queue = q;
}

void kb_barrier(kbuilder *b)
{
    kb_op(b, KOP_BARRIER, NULL, 0, NULL, 0);
}

void kb_check(kbuilder *b, kvalue *ok, kvalue *index, kvalue *found, kvalue *limit, int arg)
{
    kb_op(b, KOP_CHECK, (kvalue *const[]){ok, index, found, limit}, 4, NULL, 0)->at.arg = arg;
}

/* ---- control ---- */

static void enter(kbuilder *b, kblock *block)
{
    b->block = block;
    b->before = NULL;
}

/* Ends the current block with a yield when values leave it. */
static void yield(kbuilder *b, kvalue *const *values, uint32_t n)
{
    if (n) kb_op(b, KOP_YIELD, values, n, NULL, 0);
}

/* Goes on behind `op`. The place before another op, if that is where the builder stood, is found again as op->next. */
static void leave(kbuilder *b, const kop *op)
{
    b->block = op->parent;
    b->before = op->next;
}

static void set_results(kbuilder *b, kop *op, kvalue *const *values, uint32_t n)
{
    op->n_results = n;
    op->results = ARENA_ARRAY(b->f->m->a, kvalue *, n);
    for (uint32_t i = 0; i < n; i++) op->results[i] = tile_value(b->f, values[i]->ty.tile, op, NULL);
}

kop *kb_for(kbuilder *b, kidx lo, kidx hi, int64_t step, kmap map, int64_t unroll, kvalue *const *init, uint32_t n)
{
    assert(step > 0);
    kop *o = insert(b, kop_new(b->f, KOP_FOR, n, 0, 1));
    for (uint32_t i = 0; i < n; i++) o->operands[i] = init[i];
    o->lo = lo;
    o->hi = hi;
    o->at.step = step;
    o->at.map = map;
    o->at.unroll = unroll < 1 ? 1 : unroll;
    set_block_args(b->f, o->blocks[0], tile_value(b->f, ktile_scalar(DT_I64), NULL, NULL), init, n);
    set_results(b, o, init, n);
    enter(b, o->blocks[0]);
    return o;
}

void kb_for_end(kbuilder *b, kop *loop, kvalue *const *next, uint32_t n)
{
    assert(b->block == loop->blocks[0] && n == loop->n_results);
    yield(b, next, n);
    leave(b, loop);
}

kop *kb_if(kbuilder *b, kvalue *cond)
{
    assert(cond->ty.tile.dt == DT_BOOL && cond->ty.tile.rank == 0);
    kop *o = insert(b, kop_new(b->f, KOP_IF, 1, 0, 2));
    o->operands[0] = cond;
    enter(b, o->blocks[0]);
    return o;
}

void kb_else(kbuilder *b, kop *op, kvalue *const *yielded, uint32_t n)
{
    assert(b->block == op->blocks[0]);
    yield(b, yielded, n);
    set_results(b, op, yielded, n);
    enter(b, op->blocks[1]);
}

void kb_if_end(kbuilder *b, kop *op, kvalue *const *yielded, uint32_t n)
{
    assert(b->block == op->blocks[1] ? n == op->n_results : b->block == op->blocks[0] && n == 0);
    yield(b, yielded, n);
    leave(b, op);
}

kop *kb_switch(kbuilder *b, kvalue *on, const int64_t *cases, uint16_t n)
{
    assert(on->ty.tile.dt == DT_I64 && on->ty.tile.rank == 0);
    kop *o = insert(b, kop_new(b->f, KOP_SWITCH, 1, 0, (uint32_t)n + 1));
    o->operands[0] = on;
    int64_t *copy = ARENA_ARRAY(b->f->m->a, int64_t, n);
    for (int i = 0; i < n; i++) copy[i] = cases[i];
    o->at.cases.n = n;
    o->at.cases.v = copy;
    enter(b, o->blocks[0]);
    return o;
}

void kb_case_next(kbuilder *b, kop *op)
{
    uint32_t i = 0;
    while (op->blocks[i] != b->block) i++;
    assert(i + 1 < op->n_blocks);
    enter(b, op->blocks[i + 1]);
}

void kb_switch_end(kbuilder *b, kop *op)
{
    leave(b, op);
}

kop *kb_while(kbuilder *b, kvalue *const *init, uint32_t n)
{
    kop *o = insert(b, kop_new(b->f, KOP_WHILE, n, 0, 2));
    for (uint32_t i = 0; i < n; i++) o->operands[i] = init[i];
    set_block_args(b->f, o->blocks[0], NULL, init, n);
    set_block_args(b->f, o->blocks[1], NULL, init, n);
    set_results(b, o, init, n);
    enter(b, o->blocks[0]);
    return o;
}

void kb_while_do(kbuilder *b, kop *op, kvalue *go_on, kvalue *const *carried, uint32_t n)
{
    assert(b->block == op->blocks[0] && n == op->n_results);
    kop *o = kb_op(b, KOP_YIELD, NULL, 0, NULL, 0);
    o->n_operands = n + 1;
    o->operands = ARENA_ARRAY(b->f->m->a, kvalue *, n + 1);
    o->operands[0] = go_on;
    for (uint32_t i = 0; i < n; i++) o->operands[i + 1] = carried[i];
    enter(b, op->blocks[1]);
}

void kb_while_end(kbuilder *b, kop *op, kvalue *const *next, uint32_t n)
{
    assert(b->block == op->blocks[1] && n == op->n_results);
    yield(b, next, n);
    leave(b, op);
}

kop *kb_launch(kbuilder *b, kfunction *callee, kvalue *const *bufs, const dim *dims)
{
    kop *o = kb_op(b, KOP_LAUNCH, bufs, callee->params.len, NULL, 0);
    uint32_t n = dim_symbol_count(callee->dims);
    o->at.callee = callee->name;
    o->n_launch_dims = n;
    o->launch_dims = ARENA_ARRAY(b->f->m->a, dim, n);
    for (uint32_t i = 0; i < n; i++) o->launch_dims[i] = dims[i];
    return o;
}
