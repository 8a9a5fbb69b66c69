/* Packing by a mask bool[B, S]: where its true elements are, and putting packed rows back.
 *
 *     offsets    one task: counts row after row
 *     positions  a task is a row of the mask; it begins at the row's offset. Behind it the plan reads how many there
 * are into the data dim, so what is launched from then on has the true sizes unpack     a task is a run of ROWS
 * elements of a row; it counts those before it
 *
 * Packing itself is a gather by positions. */
#include "codegen/lower_internal.h"

#define WIDTH 64
#define ROWS 64 /* a multiple of WIDTH */

static kvalue *bind_view(kernel *k, value *v, kaccess_mode mode)
{
    const lview *w = view_of(k->lw, v);
    return kernel_bind(k, w->base, w->offset, w->rank, w->shape, w->stride, mode);
}

static bool ranks_fit(lowering *lw, const kernel *k, const node *n)
{
    bool fit = n->result->ty.rank <= KMAX_RANK;
    for (uint32_t i = 0; i < n->n_operands; i++) fit = fit && view_of(lw, n->operands[i])->rank <= KMAX_RANK;
    if (!fit) diag_error(lw->d, k->at, "packing with more than %d axes cannot be compiled", KMAX_RANK);
    return fit;
}

/* ---- counting ---- */

typedef struct {
    kvalue *mask;
    kidx row;
} counting;

/* carried + how many of the row's columns are true, per lane */
static kvalue *count_columns(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    const counting *c = arg;
    kidx at[2] = {c->row, col};
    kmem m = kmem_at(c->mask, at);
    m.bounded[1] = bounded;
    m.bound[1] = bound;
    kvalue *x = kb_load(&k->b, ktile_make(DT_BOOL, 1, width, KL_VEC), m);
    return kb_map2(&k->b, KOP_ADD, carried, kb_cast(&k->b, x, DT_I32));
}

static kvalue *zeros(kernel *k, int width)
{
    return kb_int(&k->b, ktile_make(DT_I32, 1, width, KL_VEC), 0);
}

/* A tile of one row as a scalar: tiles of one element go through memory. */
static kvalue *sum_of(kernel *k, kvalue *note, kvalue *lanes)
{
    kbuilder *b = &k->b;
    kidx at[1] = {kidx_const(0)};
    kb_store(b, kb_reduce(b, KREDUCE_ADD, 1, lanes), kmem_at(note, at));
    return kb_cast(b, kb_load(b, ktile_scalar(DT_I32), kmem_at(note, at)), DT_I64);
}

static kvalue *make_note(kernel *k)
{
    dim one = dim_const(k->lw->m->dims, 1);
    return kb_alloc(&k->b, "note", kbuffer_dense(DT_I32, KSPACE_STACK, 1, &one));
}

void lower_offsets(lowering *lw, group *g)
{
    dim_ctx *dc = lw->m->dims;
    const node *n = g->root;
    const dim *shape = n->operands[0]->ty.shape;
    int64_t cols = 0;
    int tail_width = dim_is_const(dc, shape[1], &cols) && cols % WIDTH ? (int)(cols % WIDTH) : WIDTH;
    kernel k = kernel_begin(lw, "offsets", n);
    kbuilder *b = &k.b;
    if (!ranks_fit(lw, &k, n)) return;
    counting c = {.mask = bind_view(&k, n->operands[0], KACCESS_IN)};
    kvalue *out = bind_view(&k, n->result, KACCESS_OUT);
    kop *task = kb_for(b, kidx_const(0), kidx_const(1), 1, KMAP_PARALLEL, 1, NULL, 0);
    kvalue *note = make_note(&k), *sum = kb_i64(b, 0);
    kidx at[1] = {kidx_const(0)};
    kb_store(b, sum, kmem_at(out, at));
    kop *rows = kb_for(b, kidx_const(0), kidx_value(kb_dim(b, shape[0])), 1, KMAP_SERIAL, 1, &sum, 1);
    c.row = kidx_value(b->block->args[0]);
    sum = b->block->args[1];
    kvalue *full, *tail;
    for_columns(&k, shape[1], WIDTH, zeros(&k, WIDTH), zeros(&k, tail_width), count_columns, &c, &full, &tail);
    sum = kb_map2(b, KOP_ADD, sum, sum_of(&k, note, full));
    if (tail) sum = kb_map2(b, KOP_ADD, sum, sum_of(&k, note, tail));
    at[0] = kidx_plus(c.row.v, 1);
    kb_store(b, sum, kmem_at(out, at));
    kb_for_end(b, rows, &sum, 1);
    kb_for_end(b, task, NULL, 0);
    kernel_end(&k);
}

/* ---- positions ---- */

/* The plan reads how many there are, unless it has. */
static void read_tokens(lowering *lw, const node *n)
{
    dim_ctx *dc = lw->m->dims;
    dim tokens = node_attr(n, ATTR_TOKENS)->u.d;
    if (function_counting_node(lw->fn, tokens) != n) return;
    const dim *shape = n->operands[0]->ty.shape;
    const lview *w = view_of(lw, n->operands[1]);
    kidx at[1] = {kidx_value(kb_dim(&lw->pb, shape[0]))};
    kb_read_dim(&lw->pb, kmem_at(base_buffer(lw, w->base), at), tokens, dim_mul(dc, shape[0], shape[1]));
}

void lower_positions(lowering *lw, group *g)
{
    const node *n = g->root;
    const dim *shape = n->operands[0]->ty.shape;
    const attr *along = node_attr(n, ATTR_ALONG);
    read_tokens(lw, n);
    if (!n->result->uses) return; /* it only counts */
    kernel k = kernel_begin(lw, "positions", n);
    kbuilder *b = &k.b;
    if (!ranks_fit(lw, &k, n)) return;
    kvalue *mask = bind_view(&k, n->operands[0], KACCESS_IN), *offsets = bind_view(&k, n->operands[1], KACCESS_IN);
    kvalue *out = bind_view(&k, n->result, KACCESS_OUT);
    kop *task = kb_for(b, kidx_const(0), kidx_value(kb_dim(b, shape[0])), 1, KMAP_PARALLEL, 1, NULL, 0);
    kidx row = kidx_value(b->block->args[0]);
    kvalue *first = kb_map2(b, KOP_MUL, row.v, kb_dim(b, shape[1]));
    kvalue *next = kb_load(b, ktile_scalar(DT_I64), kmem_at(offsets, &row));
    kop *loop = kb_for(b, kidx_const(0), kidx_value(kb_dim(b, shape[1])), 1, KMAP_SERIAL, 1, &next, 1);
    kidx at[2] = {row, kidx_value(b->block->args[0])};
    next = b->block->args[1];
    kvalue *keep = kb_load(b, ktile_scalar(DT_BOOL), kmem_at(mask, at)), *where = at[1].v;
    if (!along->set) where = kb_map2(b, KOP_ADD, first, where);
    else if (along->u.i == 0) where = row.v;
    kop *store = kb_if(b, keep);
    kidx to[1] = {kidx_value(next)};
    kb_store(b, where, kmem_at(out, to));
    kb_if_end(b, store, NULL, 0);
    next = kb_map2(b, KOP_ADD, next, kb_cast(b, keep, DT_I64));
    kb_for_end(b, loop, &next, 1);
    kb_for_end(b, task, NULL, 0);
    kernel_end(&k);
}

/* ---- unpack ---- */

typedef struct {
    kvalue *packed, *out;
    int rank;                            /* of packed */
    kidx from[KMAX_RANK], to[KMAX_RANK]; /* the row, and the indices of its axes */
    bool present;                        /* the row exists; else zeros are written */
} unpacking;

static kvalue *unpack_columns(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    unpacking *x = arg;
    dtype dt = x->out->ty.buf.dt;
    ktile t = ktile_make(x->packed->ty.buf.dt, 1, width, KL_VEC), wide = ktile_make(dt, 1, width, KL_VEC);
    x->from[x->rank - 1] = x->to[x->rank] = col;
    kmem src = kmem_at(x->packed, x->from), dst = kmem_at(x->out, x->to);
    src.bounded[1] = dst.bounded[1] = bounded;
    src.bound[1] = dst.bound[1] = bound;
    kvalue *v;
    if (x->present) v = kb_cast(&k->b, kb_load(&k->b, t, src), dt);
    else v = dtype_is_float(dt) ? kb_const(&k->b, wide, 0) : kb_int(&k->b, wide, 0);
    kb_store(&k->b, v, dst);
    return carried;
}

/* Axes `axis` and on of a row; axis 0 is the row itself. */
static void unpack_row(kernel *k, unpacking *x, const dim *shape, int axis)
{
    kbuilder *b = &k->b;
    if (axis == x->rank) { /* a row is one element */
        ktile t = ktile_scalar(x->packed->ty.buf.dt);
        dtype dt = x->out->ty.buf.dt;
        kvalue *v;
        if (x->present) v = kb_cast(b, kb_load(b, t, kmem_at(x->packed, x->from)), dt);
        else v = dtype_is_float(dt) ? kb_const(b, ktile_scalar(dt), 0) : kb_int(b, ktile_scalar(dt), 0);
        kb_store(b, v, kmem_at(x->out, x->to));
    } else if (axis == x->rank - 1) {
        kvalue *full, *tail;
        for_columns(k, shape[axis], WIDTH, NULL, NULL, unpack_columns, x, &full, &tail);
    } else {
        kop *loop = kb_for(b, kidx_const(0), kidx_value(kb_dim(b, shape[axis])), 1, KMAP_SERIAL, 1, NULL, 0);
        x->from[axis] = x->to[axis + 1] = kidx_value(b->block->args[0]);
        unpack_row(k, x, shape, axis + 1);
        kb_for_end(b, loop, NULL, 0);
    }
}

/* Packed rows before element `first`, a multiple of WIDTH, of row `row`. */
static kvalue *rows_before(kernel *k, kvalue *mask, kvalue *offsets, kidx row, kvalue *first)
{
    kbuilder *b = &k->b;
    counting c = {mask, row};
    int64_t least, most;
    dim_bounds(k->lw->m->dims, mask->ty.buf.shape[1], &least, &most);
    if (most <= ROWS) return kb_load(b, ktile_scalar(DT_I64), kmem_at(offsets, &row)); /* first is 0 */
    kvalue *sum = zeros(k, WIDTH), *note = make_note(k);
    kop *loop = kb_for(b, kidx_const(0), kidx_value(first), WIDTH, KMAP_SERIAL, 1, &sum, 1);
    sum = count_columns(k, &c, kidx_value(b->block->args[0]), WIDTH, false, kidx_const(0), b->block->args[1]);
    kb_for_end(b, loop, &sum, 1);
    kvalue *begin = kb_load(b, ktile_scalar(DT_I64), kmem_at(offsets, &row));
    return kb_map2(b, KOP_ADD, begin, sum_of(k, note, loop->results[0]));
}

void lower_unpack(lowering *lw, group *g)
{
    dim_ctx *dc = lw->m->dims;
    const node *n = g->root;
    value *packed = n->operands[0];
    const dim *shape = n->operands[1]->ty.shape;
    kernel k = kernel_begin(lw, "unpack", n);
    kbuilder *b = &k.b;
    if (!ranks_fit(lw, &k, n)) return;
    unpacking x = {.rank = packed->ty.rank};
    x.packed = bind_view(&k, packed, KACCESS_IN);
    kvalue *mask = bind_view(&k, n->operands[1], KACCESS_IN), *offsets = bind_view(&k, n->operands[2], KACCESS_IN);
    x.out = bind_view(&k, n->result, KACCESS_OUT);
    dim axes[2] = {shape[0], dim_ceildiv(dc, shape[1], dim_const(dc, ROWS))};
    kop *task =
        kb_for(b, kidx_const(0), kidx_value(kb_dim(b, dim_mul(dc, axes[0], axes[1]))), 1, KMAP_PARALLEL, 1, NULL, 0);
    kidx place[2];
    unflatten(&k, b->block->args[0], 2, axes, place);
    kvalue *rows = kb_i64(b, ROWS), *first = kb_map2(b, KOP_MUL, kidx_as_value(&k, place[1]), rows);
    kvalue *end = kb_map2(b, KOP_MIN, kb_map2(b, KOP_ADD, first, rows), kb_dim(b, shape[1]));
    kvalue *next = rows_before(&k, mask, offsets, place[0], first);
    kop *loop = kb_for(b, kidx_value(first), kidx_value(end), 1, KMAP_SERIAL, 1, &next, 1);
    x.to[0] = place[0];
    x.to[1] = kidx_value(b->block->args[0]);
    next = b->block->args[1];
    x.from[0] = kidx_value(next);
    kvalue *keep = kb_load(b, ktile_scalar(DT_BOOL), kmem_at(mask, x.to));
    kop *either = kb_if(b, keep);
    x.present = true;
    unpack_row(&k, &x, packed->ty.shape, 1);
    kb_else(b, either, NULL, 0);
    x.present = false;
    unpack_row(&k, &x, packed->ty.shape, 1);
    kb_if_end(b, either, NULL, 0);
    next = kb_map2(b, KOP_ADD, next, kb_cast(b, keep, DT_I64));
    kb_for_end(b, loop, &next, 1);
    kb_for_end(b, task, NULL, 0);
    kernel_end(&k);
}
