/* Reductions: the frame that all of them share, and sum, mean, max, min, prod, any and all. */
#include "codegen/lower_internal.h"

#include <assert.h>
#include <math.h>

#define WIDTH 64

/* ---- the frame ---- */

/* [1, axes of the operand ...]: the leading axis is the rows of tiles. */
static kvalue *bind_operand(kernel *k, const lview *w)
{
    dim shape[MAX_RANK + 1] = {dim_const(k->lw->m->dims, 1)}, stride[MAX_RANK + 1] = {dim_const(k->lw->m->dims, 0)};
    memcpy(shape + 1, w->shape, sizeof w->shape);
    memcpy(stride + 1, w->stride, sizeof w->stride);
    return kernel_bind(k, w->base, w->offset, w->rank + 1u, shape, stride, KACCESS_IN);
}

/* The axes of the result, with axes of size 1 before them where fewer than two remain, and one behind them as column
 * when the operand's last axis is reduced. Returns how many stand before. */
static int result_space(lowering *lw, const type *t, bool col_kept, space *s)
{
    *s = (space){.n = t->rank + (col_kept ? 0 : 1)};
    int pad = s->n < 2 ? 2 - s->n : 0;
    s->n += pad;
    if (s->n > SPACE_MAX) return pad;
    for (int i = 0; i < s->n; i++) {
        int axis = i - pad;
        bool real = axis >= 0 && axis < t->rank;
        s->from[i] = s->to[i] = real ? axis : -1;
        s->size[i] = real ? t->shape[axis] : dim_const(lw->m->dims, 1);
    }
    return pad;
}

bool reduction_begin(lowering *lw, group *g, const char *family, const bool *reduced, kernel *k, reduction *r)
{
    dim_ctx *dc = lw->m->dims;
    node *n = g->root;
    const lview *w = view_of(lw, n->operands[0]);
    int rank = w->rank;
    *k = kernel_begin(lw, family, n);
    *r = (reduction){.root = n, .view = w, .col = rank - 1, .col_kept = rank > 0 && !reduced[rank - 1]};
    memcpy(r->reduced, reduced, sizeof r->reduced);
    space s;
    int pad = result_space(lw, &n->result->ty, r->col_kept, &s);
    if (rank + 1 > KMAX_RANK || s.n > SPACE_MAX) {
        diag_error(lw->d, k->at, "%s of %d axes to %d; at most %d to %d can be compiled", op_row(n->op)->name, rank,
                   n->result->ty.rank, KMAX_RANK - 1, SPACE_MAX - 1);
        return false;
    }
    r->in = bind_operand(k, w);
    tile_plan_make(k, g, &s, &r->tp);
    dim tasks = dim_const(dc, 1);
    for (int i = 0; i < s.n - 1; i++) tasks = dim_mul(dc, tasks, s.size[i]);
    r->tasks = kb_for(&k->b, kidx_const(0), kidx_value(kb_dim(&k->b, tasks)), 1, KMAP_PARALLEL, 1, NULL, 0);
    r->t.rows = 1;
    unflatten(k, k->b.block->args[0], s.n - 1, s.size, r->t.at);
    for (int i = 0, kept = pad; i < rank; i++)
        if (!reduced[i] && i != r->col) r->at[i] = r->t.at[kept++];
    return true;
}

kvalue *reduction_load(kernel *k, const reduction *r, const tile_at *t)
{
    kidx idx[KMAX_RANK] = {kidx_const(0)};
    for (int i = 0; i < r->view->rank; i++) idx[i + 1] = i == r->col ? t->at[r->tp.s.n - 1] : r->at[i];
    kmem m = kmem_at(r->in, idx);
    m.axes[0] = 0;
    m.axes[1] = (uint8_t)(r->col >= 0 ? r->col + 1 : r->view->rank);
    m.bounded[1] = t->cols_bounded;
    m.bound[1] = t->col_bound;
    kvalue *x = kb_load(&k->b, ktile_make(r->in->ty.buf.dt, 1, t->cols, KL_VEC), m);
    return kb_cast(&k->b, x, accumulator_of(r->root->operands[0]->ty.dt));
}

typedef struct {
    reduction *r;
    reduction_body *body;
} columns;

static kvalue *one_tile(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    const columns *c = arg;
    tile_at t = c->r->t;
    t.at[c->r->tp.s.n - 1] = col;
    t.cols = width;
    t.cols_bounded = bounded;
    t.col_bound = bound;
    c->body(k, c->r, &t);
    return carried;
}

void reduction_columns(kernel *k, reduction *r, reduction_body *body)
{
    int c = r->tp.s.n - 1;
    columns all = {r, body};
    kvalue *full, *tail;
    if (r->col_kept) for_columns(k, r->tp.s.size[c], WIDTH, NULL, NULL, one_tile, &all, &full, &tail);
    else one_tile(k, &all, kidx_const(0), 1, false, kidx_const(0), NULL);
}

void reduction_store(kernel *k, reduction *r, tile_at *t, kvalue *x)
{
    t->known[0].v = r->root->result;
    t->known[0].tile = kb_cast(&k->b, x, r->root->result->ty.dt);
    tile_store(k, &r->tp, t);
}

void reduction_end(kernel *k, reduction *r)
{
    kb_for_end(&k->b, r->tasks, NULL, 0);
    kernel_end(k);
}

/* ---- the kinds of reduce ---- */

typedef struct {
    kop_kind combine;
    double init;
    kreduce lanes;
    bool has_lanes; /* the kind can be reduced across lanes */
} combination;

static combination combination_of(reduce_kind kind, dtype dt)
{
    bool f = dtype_is_float(dt);
    double most = f ? INFINITY : (double)INT64_MAX; /* clamped to the dtype below */
    if (!f) {
        int bits = (int)dtype_bits(dt);
        bool is_signed = dtype_class_of(dt) == DTC_INT;
        most = bits >= 64 ? 9223372036854774784.0 : (double)((INT64_C(1) << (bits - (is_signed ? 1 : 0))) - 1);
    }
    double least = f ? -INFINITY : dtype_class_of(dt) == DTC_INT ? -most - 1 : 0;
    switch (kind) {
    case REDUCE_SUM:
    case REDUCE_MEAN: return (combination){KOP_ADD, 0, KREDUCE_ADD, true};
    case REDUCE_MAX: return (combination){KOP_MAX, least, KREDUCE_MAX, f};
    case REDUCE_MIN: return (combination){KOP_MIN, most, KREDUCE_MIN, f};
    case REDUCE_PROD: return (combination){KOP_MUL, 1, KREDUCE_ADD, false};
    case REDUCE_ANY: return (combination){KOP_OR, 0, KREDUCE_ADD, false};
    case REDUCE_ALL: return (combination){KOP_AND, 1, KREDUCE_ADD, false};
    }
    assert(!"reduce kind");
    return (combination){0};
}

typedef struct {
    reduction r; /* first: the frame's callbacks get this */
    combination op;
    dtype acc;
    bool lanes; /* the last axis is reduced across lanes */
} folding;

static kvalue *acc_const(kernel *k, dtype dt, int cols, double v)
{
    ktile ty = ktile_make(dt, 1, cols, KL_VEC);
    return dtype_is_float(dt) ? kb_const(&k->b, ty, v) : kb_int(&k->b, ty, (int64_t)v);
}

static kvalue *lane_body(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    folding *f = arg;
    tile_at t = f->r.t;
    t.at[f->r.tp.s.n - 1] = col;
    t.cols = width;
    t.cols_bounded = bounded;
    t.col_bound = bound;
    kvalue *x = reduction_load(k, &f->r, &t);
    if (bounded && f->op.init != 0) {
        kvalue *init = acc_const(k, f->acc, 1, f->op.init);
        x = kb_map3(&k->b, KOP_SELECT, tile_present(k, &t), x, init);
    }
    return kb_map2(&k->b, f->op.combine, carried, x);
}

/* A tile's lanes to one element. max and min across lanes do not promise NaN, so NaNs are added back. */
static kvalue *reduce_lanes(kernel *k, const folding *f, kvalue *x)
{
    kvalue *y = kb_reduce(&k->b, f->op.lanes, 1, x);
    if (f->op.lanes == KREDUCE_ADD || !dtype_is_float(f->acc)) return y;
    kvalue *nan = kb_map3(&k->b, KOP_SELECT, kb_map2(&k->b, KOP_NE, x, x), x, acc_const(k, f->acc, 1, 0));
    return kb_map2(&k->b, KOP_ADD, y, kb_reduce(&k->b, KREDUCE_ADD, 1, nan));
}

/* Loops over the reduced operand axes from `axis` on. */
static kvalue *reduce_nest(kernel *k, folding *f, const tile_at *t, int axis, kvalue *acc)
{
    kbuilder *b = &k->b;
    while (axis < f->r.view->rank && !f->r.reduced[axis]) axis++;
    if (axis == f->r.view->rank) return kb_map2(b, f->op.combine, acc, reduction_load(k, &f->r, t));
    if (f->lanes && axis == f->r.view->rank - 1) {
        kvalue *full, *tail, *init = acc_const(k, f->acc, WIDTH, f->op.init), *tail_init = init;
        int64_t known;
        if (dim_is_const(k->lw->m->dims, f->r.view->shape[axis], &known) && known % WIDTH)
            tail_init = acc_const(k, f->acc, (int)(known % WIDTH), f->op.init);
        for_columns(k, f->r.view->shape[axis], WIDTH, init, tail_init, lane_body, f, &full, &tail);
        acc = kb_map2(b, f->op.combine, acc, reduce_lanes(k, f, full));
        return tail ? kb_map2(b, f->op.combine, acc, reduce_lanes(k, f, tail)) : acc;
    }
    kop *loop = kb_for(b, kidx_const(0), kidx_value(kb_dim(b, f->r.view->shape[axis])), 1, KMAP_SERIAL, 1, &acc, 1);
    f->r.at[axis] = kidx_value(b->block->args[0]);
    kvalue *next = reduce_nest(k, f, t, axis + 1, b->block->args[1]);
    kb_for_end(b, loop, &next, 1);
    return loop->results[0];
}

static void fold(kernel *k, reduction *r, tile_at *t)
{
    folding *f = (folding *)r;
    kbuilder *b = &k->b;
    kvalue *x = reduce_nest(k, f, t, 0, acc_const(k, f->acc, t->cols, f->op.init));
    if (node_attr(r->root, ATTR_KIND)->u.i == REDUCE_MEAN) {
        dim n = dim_const(k->lw->m->dims, 1);
        for (int i = 0; i < r->view->rank; i++)
            if (r->reduced[i]) n = dim_mul(k->lw->m->dims, n, r->view->shape[i]);
        x = kb_map2(b, KOP_DIV, x, kb_cast(b, kb_dim(b, n), f->acc));
    }
    reduction_store(k, r, t, x);
}

void lower_reduce(lowering *lw, group *g)
{
    const attr *axes = node_attr(g->root, ATTR_AXES);
    bool reduced[MAX_RANK] = {0};
    for (int i = 0; i < axes->u.ints.n; i++) reduced[axes->u.ints.v[i]] = true;
    kernel k;
    folding f = {.acc = accumulator_of(g->root->result->ty.dt)};
    f.op = combination_of((reduce_kind)node_attr(g->root, ATTR_KIND)->u.i, f.acc);
    if (!reduction_begin(lw, g, "reduce", reduced, &k, &f.r)) return;
    f.lanes = !f.r.col_kept && f.op.has_lanes && f.r.view->rank > 0;
    if (!f.r.col_kept && !f.lanes) f.r.col = -1;
    reduction_columns(&k, &f.r, fold);
    reduction_end(&k, &f.r);
}
