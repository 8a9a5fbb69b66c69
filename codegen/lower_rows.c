/* Row-wise ops: softmax and normalize, one row a task, in passes over its columns. */
#include "codegen/lower_rows.h"

#include <math.h>

#define WIDTH 64

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
    kmem from = r->from ? kept_at(k, r->from, t) : tile_mem(&r->tp, t, r->in, r->along);
    ktile ty = ktile_make(from.buf->ty.buf.dt, 1, r->along[r->tp.s.n - 1] ? t->cols : 1, KL_VEC);
    kvalue *x = kb_cast(&k->b, kb_load(&k->b, ty, from), r->acc);
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
    if (r->to) tile_keep(k, &r->tp, &t, r->to);
    else tile_store(k, &r->tp, &t);
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

static void finish_row(kernel *k, row_pass *r)
{
    kvalue *full, *tail;
    for_columns(k, r->tp.s.size[r->tp.s.n - 1], WIDTH, NULL, NULL, finish_body, r, &full, &tail);
}

row_pass row_pass_begin(kernel *k, const group *g, const space *s, const kept_rows *from, const kept_rows *to)
{
    node *n = g->root;
    row_pass r = {.root = n, .from = from, .to = to, .acc = accumulator_of(n->result->ty.dt)};
    r.along[s->n - 1] = from;
    if (!from) r.in = tile_bind(k, s, view_of(k->lw, n->operands[0]), r.along, KACCESS_IN);
    if (to) tile_plan_leaves(k, g, s, &r.tp);
    else tile_plan_make(k, g, s, &r.tp);
    r.t.rows = 1;
    return r;
}

/* ---- kernels of their own ---- */

/* Opens the kernel: the last axis of the space is a row, and each row a task. */
static kop *rows_begin(lowering *lw, const group *g, const space *s, const char *family, kernel *k, row_pass *r)
{
    *k = kernel_begin(lw, family, g->root);
    *r = row_pass_begin(k, g, s, NULL, NULL);
    dim tasks = dim_const(lw->m->dims, 1);
    for (int i = 0; i < s->n - 1; i++) tasks = dim_mul(lw->m->dims, tasks, s->size[i]);
    kop *loop = kb_for(&k->b, kidx_const(0), kidx_value(kb_dim(&k->b, tasks)), 1, KMAP_PARALLEL, 1, NULL, 0);
    unflatten(k, k->b.block->args[0], s->n - 1, s->size, r->t.at);
    return loop;
}

static void rows_end(kernel *k, kop *loop)
{
    kb_for_end(&k->b, loop, NULL, 0);
    kernel_end(k);
}

static void refuse_axes(lowering *lw, const node *n)
{
    diag_error(lw->d, n->n_sources ? n->sources[0] : (span){0, 0},
               "%s over these axes cannot be compiled: they do not merge into one", op_row(n->op)->name);
}

void lower_softmax(lowering *lw, group *g)
{
    kernel k;
    row_pass r;
    space s;
    int axis = (int)node_attr(g->root, ATTR_AXIS)->u.i;
    if (!space_make(lw, g, g->root->operands[0], axis, axis, &s)) {
        refuse_axes(lw, g->root);
        return;
    }
    kop *loop = rows_begin(lw, g, &s, "softmax", &k, &r);
    r.shift = row_reduce(&k, &r, max_body, KREDUCE_MAX, -INFINITY);
    kvalue *sum = row_reduce(&k, &r, exp_sum_body, KREDUCE_ADD, 0);
    r.scale = kb_map2(&k.b, KOP_DIV, scalar_tile(&k, r.acc, 1), sum);
    finish_row(&k, &r);
    rows_end(&k, loop);
}

/* ---- norms ---- */

bool normalize_space(lowering *lw, const group *g, space *s)
{
    const attr *axes = node_attr(g->root, ATTR_AXES);
    int first = MAX_RANK, last = -1;
    for (int i = 0; i < axes->u.ints.n; i++) {
        int a = (int)axes->u.ints.v[i];
        first = a < first ? a : first;
        last = a > last ? a : last;
    }
    return last - first + 1 == axes->u.ints.n && space_make(lw, g, g->root->operands[0], first, last, s);
}

void normalize_row(kernel *k, row_pass *r)
{
    kbuilder *b = &k->b;
    kvalue *count = kb_cast(b, kb_dim(b, r->tp.s.size[r->tp.s.n - 1]), r->acc);
    r->shift = NULL;
    if (node_attr(r->root, ATTR_MODE)->u.i == NORM_STANDARD)
        r->shift = kb_map2(b, KOP_DIV, row_reduce(k, r, sum_body, KREDUCE_ADD, 0), count);
    kvalue *var = kb_map2(b, KOP_DIV, row_reduce(k, r, square_sum_body, KREDUCE_ADD, 0), count);
    kvalue *eps = scalar_tile(k, r->acc, node_attr(r->root, ATTR_EPS)->u.real);
    r->scale = kb_map2(b, KOP_DIV, scalar_tile(k, r->acc, 1), kb_map1(b, KOP_SQRT, kb_map2(b, KOP_ADD, var, eps)));
    finish_row(k, r);
}

void lower_normalize_rows(lowering *lw, const group *g, const space *s)
{
    kernel k;
    row_pass r;
    kop *loop = rows_begin(lw, g, s, "normalize", &k, &r);
    normalize_row(&k, &r);
    rows_end(&k, loop);
}

void lower_normalize(lowering *lw, group *g)
{
    space s;
    if (normalize_space(lw, g, &s)) lower_normalize_rows(lw, g, &s);
    else refuse_axes(lw, g->root);
}
