/* Row-wise ops: softmax and normalize, one row a task, in passes over its columns. */
#include "codegen/lower_internal.h"

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

static kvalue *present_or(kernel *k, const tile_at *t, kvalue *x, double otherwise)
{
    kvalue *p = tile_present(k, t);
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
    kvalue *e = kb_map1(&k->b, KOP_EXP_NONPOSITIVE, kb_map2(&k->b, KOP_SUB, load_row(k, r, &t), r->shift));
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
    if (r->root->op == OP_SOFTMAX) x = kb_map1(&k->b, KOP_EXP_NONPOSITIVE, x);
    x = kb_map2(&k->b, KOP_MUL, x, r->scale);
    t.known[0].v = r->root->result;
    t.known[0].tile = kb_cast(&k->b, x, r->root->result->ty.dt);
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
