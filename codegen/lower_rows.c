/* Row-wise ops: softmax and normalize, one row a task, in passes over its columns; and reduce. */
#include "codegen/lower_internal.h"

#include <assert.h>
#include <math.h>

#define WIDTH 64

typedef struct {
    tile_plan tp;
    tile_at t;
    node *root;
    kvalue *in;
    bool along[SPACE_MAX];
    dtype acc;
    kvalue *shift, *scale; /* 1x1: subtracted, then multiplied */
} row_pass;

static kvalue *scalar_tile(kernel *k, dtype dt, double v)
{
    return kb_const(&k->b, ktile_make(dt, 1, 1, KL_VEC), v);
}

/* Where the bounded tile's columns exist; NULL when all do. */
static kvalue *present(kernel *k, const tile_at *t)
{
    if (!t->cols_bounded) return NULL;
    kvalue *col = kb_iota(&k->b, ktile_make(DT_I64, 1, t->cols, KL_VEC), 1);
    return kb_map2(&k->b, KOP_LT, col, kidx_as_value(k, t->col_bound));
}

static kvalue *present_or(kernel *k, const tile_at *t, kvalue *x, double otherwise)
{
    kvalue *p = present(k, t);
    return p ? kb_map3(&k->b, KOP_SELECT, p, x, scalar_tile(k, x->ty.tile.dt, otherwise)) : x;
}

static tile_at row_tile(const row_pass *r, kidx col, int width, bool bounded, kidx bound)
{
    tile_at t = r->t;
    t.at[r->tp.s.n - 1] = col;
    t.cols = width;
    t.cols_bounded = bounded;
    t.col_bound = bound;
    return t;
}

static kvalue *load_row(kernel *k, const row_pass *r, const tile_at *t)
{
    int n = r->tp.s.n;
    ktile ty = ktile_make(r->in->ty.buf.dt, 1, r->along[n - 1] ? t->cols : 1, KL_VEC);
    kvalue *x = kb_cast(&k->b, kb_load(&k->b, ty, tile_mem(&r->tp, t, r->in, r->along)), r->acc);
    return tile_widen(k, x, 1, t->cols);
}

static kvalue *larger(kernel *k, kvalue *a, kvalue *b)
{
    return kb_map3(&k->b, KOP_SELECT, kb_map2(&k->b, KOP_GT, a, b), a, b);
}

static kvalue *max_body(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    row_pass *r = arg;
    tile_at t = row_tile(r, col, width, bounded, bound);
    return larger(k, present_or(k, &t, load_row(k, r, &t), -INFINITY), carried);
}

static kvalue *exp_sum_body(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    row_pass *r = arg;
    tile_at t = row_tile(r, col, width, bounded, bound);
    kvalue *e = kb_map1(&k->b, KOP_EXP, kb_map2(&k->b, KOP_SUB, load_row(k, r, &t), r->shift));
    return kb_map2(&k->b, KOP_ADD, carried, present_or(k, &t, e, 0));
}

static kvalue *sum_body(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    row_pass *r = arg;
    tile_at t = row_tile(r, col, width, bounded, bound);
    return kb_map2(&k->b, KOP_ADD, carried, load_row(k, r, &t)); /* absent columns load as zero */
}

static kvalue *square_sum_body(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    row_pass *r = arg;
    tile_at t = row_tile(r, col, width, bounded, bound);
    kvalue *x = load_row(k, r, &t);
    if (r->shift) x = present_or(k, &t, kb_map2(&k->b, KOP_SUB, x, r->shift), 0);
    return kb_map3(&k->b, KOP_FMA, x, x, carried);
}

static kvalue *finish_body(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    row_pass *r = arg;
    tile_at t = row_tile(r, col, width, bounded, bound);
    kvalue *x = load_row(k, r, &t);
    if (r->shift) x = kb_map2(&k->b, KOP_SUB, x, r->shift);
    if (r->root->op == OP_SOFTMAX) x = kb_map1(&k->b, KOP_EXP, x);
    x = kb_map2(&k->b, KOP_MUL, x, r->scale);
    t.known = r->root->result;
    t.known_tile = kb_cast(&k->b, x, r->root->result->ty.dt);
    tile_store(k, &r->tp, &t);
    return carried;
}

/* One pass over the row that reduces it to a 1x1 tile. */
static kvalue *row_reduce(kernel *k, row_pass *r, column_body *body, kreduce kind, double init)
{
    kvalue *full, *tail;
    kvalue *start = kb_const(&k->b, ktile_make(r->acc, 1, WIDTH, KL_VEC), init);
    dim size = r->tp.s.size[r->tp.s.n - 1];
    int64_t known, rest = 0;
    if (dim_is_const(k->lw->m->dims, size, &known)) rest = known % WIDTH;
    kvalue *tail_start = rest ? kb_const(&k->b, ktile_make(r->acc, 1, (int32_t)rest, KL_VEC), init) : start;
    for_columns(k, size, WIDTH, start, tail_start, body, r, &full, &tail);
    kvalue *x = kb_reduce(&k->b, kind, 1, full);
    if (!tail) return x;
    kvalue *y = kb_reduce(&k->b, kind, 1, tail);
    return kind == KREDUCE_MAX ? larger(k, x, y) : kb_map2(&k->b, KOP_ADD, x, y);
}

/* Opens the kernel: axes [first, last] of the result are the columns, the others rows, one a task. */
static bool rowwise_begin(lowering *lw, group *g, const char *family, int first, int last, kernel *k, row_pass *r,
                          kop **loop)
{
    node *n = g->root;
    space s;
    if (!space_make(lw, g, n->operands[0], first, last, &s)) {
        diag_error(lw->d, n->n_sources ? n->sources[0] : (span){0, 0},
                   "%s over these axes cannot be compiled: they do not merge into one", op_row(n->op)->name);
        return false;
    }
    *k = kernel_begin(lw, family, n);
    *r = (row_pass){.root = n, .acc = accumulator_of(n->result->ty.dt)};
    r->in = tile_bind(k, &s, view_of(lw, n->operands[0]), r->along, KACCESS_IN);
    tile_plan_make(k, g, &s, &r->tp);
    dim tasks = dim_const(lw->m->dims, 1);
    for (int i = 0; i < s.n - 1; i++) tasks = dim_mul(lw->m->dims, tasks, s.size[i]);
    *loop = kb_for(&k->b, kidx_const(0), kidx_value(kb_dim(&k->b, tasks)), 1, KMAP_PARALLEL, 1, NULL, 0);
    r->t.rows = 1;
    unflatten(k, k->b.block->args[0], s.n - 1, s.size, r->t.at);
    return true;
}

static void rowwise_end(kernel *k, row_pass *r, kop *loop)
{
    kvalue *full, *tail;
    for_columns(k, r->tp.s.size[r->tp.s.n - 1], WIDTH, NULL, NULL, finish_body, r, &full, &tail);
    kb_for_end(&k->b, loop, NULL, 0);
    kernel_end(k);
}

void lower_softmax(lowering *lw, group *g)
{
    kernel k;
    row_pass r;
    kop *loop;
    int axis = (int)node_attr(g->root, ATTR_AXIS)->u.i;
    if (!rowwise_begin(lw, g, "softmax", axis, axis, &k, &r, &loop)) return;
    r.shift = row_reduce(&k, &r, max_body, KREDUCE_MAX, -INFINITY);
    kvalue *sum = row_reduce(&k, &r, exp_sum_body, KREDUCE_ADD, 0);
    r.scale = kb_map2(&k.b, KOP_DIV, scalar_tile(&k, r.acc, 1), sum);
    rowwise_end(&k, &r, loop);
}

void lower_normalize(lowering *lw, group *g)
{
    kernel k;
    row_pass r;
    kop *loop;
    const attr *axes = node_attr(g->root, ATTR_AXES);
    int first = MAX_RANK, last = -1;
    for (int i = 0; i < axes->u.ints.n; i++) {
        int a = (int)axes->u.ints.v[i];
        first = a < first ? a : first;
        last = a > last ? a : last;
    }
    if (last - first + 1 != axes->u.ints.n) {
        diag_error(lw->d, g->root->n_sources ? g->root->sources[0] : (span){0, 0},
                   "normalize can be compiled over adjacent axes only");
        return;
    }
    if (!rowwise_begin(lw, g, "normalize", first, last, &k, &r, &loop)) return;
    kbuilder *b = &k.b;
    kvalue *count = kb_cast(b, kb_dim(b, r.tp.s.size[r.tp.s.n - 1]), r.acc);
    if (node_attr(g->root, ATTR_MODE)->u.i == NORM_STANDARD)
        r.shift = kb_map2(b, KOP_DIV, row_reduce(&k, &r, sum_body, KREDUCE_ADD, 0), count);
    kvalue *var = kb_map2(b, KOP_DIV, row_reduce(&k, &r, square_sum_body, KREDUCE_ADD, 0), count);
    kvalue *eps = scalar_tile(&k, r.acc, node_attr(g->root, ATTR_EPS)->u.real);
    r.scale = kb_map2(b, KOP_DIV, scalar_tile(&k, r.acc, 1), kb_map1(b, KOP_SQRT, kb_map2(b, KOP_ADD, var, eps)));
    rowwise_end(&k, &r, loop);
}

/* ---- reduce ---- */

typedef struct {
    kop_kind combine;
    double init;
    kreduce lanes;
    bool has_lanes; /* the kind can be reduced across lanes */
} reduction;

static reduction reduction_of(reduce_kind kind, dtype dt)
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
    case REDUCE_MEAN: return (reduction){KOP_ADD, 0, KREDUCE_ADD, true};
    case REDUCE_MAX: return (reduction){KOP_MAX, least, KREDUCE_MAX, f};
    case REDUCE_MIN: return (reduction){KOP_MIN, most, KREDUCE_MIN, f};
    case REDUCE_PROD: return (reduction){KOP_MUL, 1, KREDUCE_ADD, false};
    case REDUCE_ANY: return (reduction){KOP_OR, 0, KREDUCE_ADD, false};
    case REDUCE_ALL: return (reduction){KOP_AND, 1, KREDUCE_ADD, false};
    }
    assert(!"reduce kind");
    return (reduction){0};
}

typedef struct {
    tile_plan tp;
    tile_at t;
    node *root;
    const lview *view;
    kvalue *in;        /* [1, axes of the operand ...] */
    kidx at[MAX_RANK]; /* index per operand axis; reduced ones while their loop is open */
    bool reduced[MAX_RANK];
    int out_axis[MAX_RANK]; /* result axis of a kept operand axis */
    int col;                /* operand axis along the lanes, -1: none */
    dtype acc;
    reduction op;
} reducing;

static kvalue *acc_const(kernel *k, dtype dt, int cols, double v)
{
    ktile ty = ktile_make(dt, 1, cols, KL_VEC);
    return dtype_is_float(dt) ? kb_const(&k->b, ty, v) : kb_int(&k->b, ty, (int64_t)v);
}

static kvalue *load_reduced(kernel *k, const reducing *r, const tile_at *t)
{
    kidx idx[KMAX_RANK];
    idx[0] = kidx_const(0);
    for (int i = 0; i < r->view->rank; i++) idx[i + 1] = i == r->col ? t->at[r->tp.s.n - 1] : r->at[i];
    kmem m = kmem_at(r->in, idx);
    m.axes[0] = 0;
    m.axes[1] = (uint8_t)(r->col >= 0 ? r->col + 1 : r->view->rank);
    if (t->cols_bounded) {
        m.bounded[1] = true;
        m.bound[1] = t->col_bound;
    }
    return kb_cast(&k->b, kb_load(&k->b, ktile_make(r->in->ty.buf.dt, 1, t->cols, KL_VEC), m), r->acc);
}

static kvalue *lane_body(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    reducing *r = arg;
    tile_at t = r->t;
    t.at[r->tp.s.n - 1] = col;
    t.cols = width;
    t.cols_bounded = bounded;
    t.col_bound = bound;
    kvalue *x = load_reduced(k, r, &t);
    if (bounded && r->op.init != 0) {
        kvalue *init = acc_const(k, r->acc, 1, r->op.init);
        x = kb_map3(&k->b, KOP_SELECT, present(k, &t), x, init);
    }
    return kb_map2(&k->b, r->op.combine, carried, x);
}

/* A tile's lanes to one element. max and min across lanes do not promise NaN, so NaNs are added back. */
static kvalue *reduce_lanes(kernel *k, const reducing *r, kvalue *x)
{
    kvalue *y = kb_reduce(&k->b, r->op.lanes, 1, x);
    if (r->op.lanes == KREDUCE_ADD || !dtype_is_float(r->acc)) return y;
    kvalue *nan = kb_map3(&k->b, KOP_SELECT, kb_map2(&k->b, KOP_NE, x, x), x, acc_const(k, r->acc, 1, 0));
    return kb_map2(&k->b, KOP_ADD, y, kb_reduce(&k->b, KREDUCE_ADD, 1, nan));
}

/* Loops over the reduced operand axes from `axis` on; `lanes`: the last axis is reduced across lanes. */
static kvalue *reduce_nest(kernel *k, reducing *r, const tile_at *t, int axis, bool lanes, kvalue *acc)
{
    kbuilder *b = &k->b;
    while (axis < r->view->rank && !r->reduced[axis]) axis++;
    if (axis == r->view->rank) return kb_map2(b, r->op.combine, acc, load_reduced(k, r, t));
    if (lanes && axis == r->view->rank - 1) {
        kvalue *full, *tail, *init = acc_const(k, r->acc, WIDTH, r->op.init), *tail_init = init;
        int64_t known;
        if (dim_is_const(k->lw->m->dims, r->view->shape[axis], &known) && known % WIDTH)
            tail_init = acc_const(k, r->acc, (int)(known % WIDTH), r->op.init);
        for_columns(k, r->view->shape[axis], WIDTH, init, tail_init, lane_body, r, &full, &tail);
        acc = kb_map2(b, r->op.combine, acc, reduce_lanes(k, r, full));
        return tail ? kb_map2(b, r->op.combine, acc, reduce_lanes(k, r, tail)) : acc;
    }
    kop *loop = kb_for(b, kidx_const(0), kidx_value(kb_dim(b, r->view->shape[axis])), 1, KMAP_SERIAL, 1, &acc, 1);
    r->at[axis] = kidx_value(b->block->args[0]);
    kvalue *next = reduce_nest(k, r, t, axis + 1, lanes, b->block->args[1]);
    kb_for_end(b, loop, &next, 1);
    return loop->results[0];
}

static void finish_reduce(kernel *k, reducing *r, tile_at *t, kvalue *acc)
{
    kbuilder *b = &k->b;
    if (node_attr(r->root, ATTR_KIND)->u.i == REDUCE_MEAN) {
        dim n = dim_const(k->lw->m->dims, 1);
        for (int i = 0; i < r->view->rank; i++)
            if (r->reduced[i]) n = dim_mul(k->lw->m->dims, n, r->view->shape[i]);
        acc = kb_map2(b, KOP_DIV, acc, kb_cast(b, kb_dim(b, n), r->acc));
    }
    t->known = r->root->result;
    t->known_tile = kb_cast(b, acc, r->root->result->ty.dt);
    tile_store(k, &r->tp, t);
}

static kvalue *kept_columns(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    reducing *r = arg;
    tile_at t = r->t;
    t.at[r->tp.s.n - 1] = col;
    t.cols = width;
    t.cols_bounded = bounded;
    t.col_bound = bound;
    kvalue *acc = reduce_nest(k, r, &t, 0, false, acc_const(k, r->acc, width, r->op.init));
    finish_reduce(k, r, &t, acc);
    return carried;
}

void lower_reduce(lowering *lw, group *g)
{
    dim_ctx *dc = lw->m->dims;
    node *n = g->root;
    const attr *axes = node_attr(n, ATTR_AXES);
    reducing r = {.root = n, .view = view_of(lw, n->operands[0]), .acc = accumulator_of(n->result->ty.dt)};
    int rank = r.view->rank, out_rank = n->result->ty.rank, kept = 0;
    r.op = reduction_of((reduce_kind)node_attr(n, ATTR_KIND)->u.i, r.acc);
    if (rank + 1 > KMAX_RANK) {
        diag_error(lw->d, n->n_sources ? n->sources[0] : (span){0, 0}, "reduce of %d axes; at most %d can be compiled",
                   rank, KMAX_RANK - 1);
        return;
    }
    for (int i = 0; i < axes->u.ints.n; i++) r.reduced[axes->u.ints.v[i]] = true;
    for (int i = 0; i < rank; i++) r.out_axis[i] = r.reduced[i] ? -1 : kept++;

    kernel k = kernel_begin(lw, "reduce", n);
    dim shape[MAX_RANK + 1], stride[MAX_RANK + 1];
    shape[0] = dim_const(dc, 1);
    stride[0] = dim_const(dc, 0);
    memcpy(shape + 1, r.view->shape, sizeof r.view->shape);
    memcpy(stride + 1, r.view->stride, sizeof r.view->stride);
    r.in = kernel_bind(&k, r.view->base, r.view->offset, (uint32_t)rank + 1, shape, stride, KACCESS_IN);

    /* Columns: the last kept axis when it is the operand's last, else a column of one element. */
    bool along_kept = rank > 0 && !r.reduced[rank - 1];
    space s = {.n = out_rank + (along_kept ? 0 : 1)};
    int pad = s.n < 2 ? 2 - s.n : 0;
    s.n += pad;
    if (s.n > SPACE_MAX) {
        diag_error(lw->d, k.at, "reduce to %d axes; at most %d can be compiled", out_rank, SPACE_MAX - 1);
        return;
    }
    for (int i = 0; i < s.n; i++) {
        int axis = i - pad;
        bool real = axis >= 0 && axis < out_rank;
        s.from[i] = s.to[i] = real ? axis : -1;
        s.size[i] = real ? n->result->ty.shape[axis] : dim_const(dc, 1);
    }
    tile_plan_make(&k, g, &s, &r.tp);
    r.col = rank - 1;
    int c = s.n - 1;
    dim tasks = dim_const(dc, 1);
    for (int i = 0; i < c; i++) tasks = dim_mul(dc, tasks, s.size[i]);
    kop *loop = kb_for(&k.b, kidx_const(0), kidx_value(kb_dim(&k.b, tasks)), 1, KMAP_PARALLEL, 1, NULL, 0);
    r.t.rows = 1;
    unflatten(&k, k.b.block->args[0], c, s.size, r.t.at);
    for (int i = 0; i < rank; i++)
        if (r.out_axis[i] >= 0) r.at[i] = r.out_axis[i] + pad < c ? r.t.at[r.out_axis[i] + pad] : kidx_const(0);
    if (along_kept) {
        kvalue *full, *tail;
        for_columns(&k, s.size[c], WIDTH, NULL, NULL, kept_columns, &r, &full, &tail);
    } else {
        r.t.cols = 1;
        r.t.at[c] = kidx_const(0);
        bool lanes = r.op.has_lanes && rank > 0;
        if (!lanes) r.col = -1;
        tile_at t = r.t;
        kvalue *acc = reduce_nest(&k, &r, &t, 0, lanes, acc_const(&k, r.acc, 1, r.op.init));
        finish_reduce(&k, &r, &t, acc);
    }
    kb_for_end(&k.b, loop, NULL, 0);
    kernel_end(&k);
}
