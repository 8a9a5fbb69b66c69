/* argmax: each lane keeps the largest element that it has seen and its index; a later element takes their place only
 * when it is larger, or the first NaN.
 *
 * Where the operand's last axis is kept, lanes are its elements and the reduced axis is a loop. Where it is the reduced
 * one, each lane looks at every width-th element; the answer is then the least index among the lanes that hold the
 * largest. */
#include "codegen/lower_internal.h"

#include <math.h>

#define WIDTH 32 /* lanes along a long reduced axis: enough to overlap the comparisons */

/* The largest elements so far and where they are. */
typedef struct {
    kvalue *x, *at;
} best;

static kvalue *is_nan(kernel *k, kvalue *x)
{
    return kb_map2(&k->b, KOP_NE, x, x);
}

/* Element x at index `at` against b; where `present` (NULL: everywhere) is false there is none. */
static best better(kernel *k, best b, kvalue *x, kvalue *at, kvalue *present)
{
    kbuilder *kb = &k->b;
    kvalue *wins = kb_map2(kb, KOP_GT, x, b.x);
    if (dtype_is_float(x->ty.tile.dt)) {
        kvalue *first_nan = kb_map2(kb, KOP_AND, is_nan(k, x), kb_map2(kb, KOP_EQ, b.x, b.x));
        wins = kb_map2(kb, KOP_OR, wins, first_nan);
    }
    if (present) wins = kb_map2(kb, KOP_AND, wins, present);
    return (best){kb_map3(kb, KOP_SELECT, wins, x, b.x), kb_map3(kb, KOP_SELECT, wins, at, b.at)};
}

static kvalue *index_tile(kernel *k, int cols, int64_t v)
{
    return kb_int(&k->b, ktile_make(DT_I64, 1, cols, KL_VEC), v);
}

/* ---- lanes are the elements of a kept axis ---- */

static void along_kept(kernel *k, reduction *r, tile_at *t)
{
    kbuilder *b = &k->b;
    int axis = (int)node_attr(r->root, ATTR_AXIS)->u.i;
    r->at[axis] = kidx_const(0);
    kvalue *init[2] = {reduction_load(k, r, t), index_tile(k, t->cols, 0)};
    kop *loop = kb_for(b, kidx_const(1), kidx_value(kb_dim(b, r->view->shape[axis])), 1, KMAP_SERIAL, 1, init, 2);
    kvalue *i = b->block->args[0];
    best have = {b->block->args[1], b->block->args[2]};
    r->at[axis] = kidx_value(i);
    best now = better(k, have, reduction_load(k, r, t), tile_widen(k, i, 1, t->cols), NULL);
    kb_for_end(b, loop, (kvalue *[]){now.x, now.at}, 2);
    reduction_store(k, r, t, loop->results[1]);
}

/* ---- lanes are the elements of the reduced axis ---- */

static best look_at(kernel *k, const reduction *r, best b, int width, kidx col, const kidx *bound)
{
    tile_at t = r->t;
    t.at[r->tp.s.n - 1] = col;
    t.cols = width;
    t.cols_bounded = bound != NULL;
    if (bound) t.col_bound = *bound;
    kvalue *lane = kb_iota(&k->b, ktile_make(DT_I64, 1, width, KL_VEC), 1);
    kvalue *at = kb_map2(&k->b, KOP_ADD, lane, kidx_as_value(k, col));
    return better(k, b, reduction_load(k, r, &t), at, tile_present(k, &t));
}

/* The least index among the lanes with the largest element. max across lanes does not promise NaN, so NaN is looked for
 * apart. */
static kvalue *first_of(kernel *k, best b)
{
    kbuilder *kb = &k->b;
    dtype dt = b.x->ty.tile.dt;
    kvalue *largest;
    if (dtype_is_float(dt)) {
        ktile one = ktile_make(dt, 1, 1, KL_VEC);
        kvalue *nan = is_nan(k, b.x), *zero = kb_const(kb, one, 0);
        kvalue *numbers = kb_map3(kb, KOP_SELECT, nan, kb_const(kb, one, -INFINITY), b.x);
        kvalue *count = kb_reduce(kb, KREDUCE_ADD, 1, kb_map3(kb, KOP_SELECT, nan, kb_const(kb, one, 1), zero));
        kvalue *equal = kb_map2(kb, KOP_EQ, b.x, kb_reduce(kb, KREDUCE_MAX, 1, numbers));
        largest = kb_map3(kb, KOP_SELECT, kb_map2(kb, KOP_GT, count, zero), nan, equal);
    } else {
        largest = kb_map2(kb, KOP_EQ, b.x, kb_reduce(kb, KREDUCE_MAX, 1, b.x));
    }
    return kb_reduce(kb, KREDUCE_MIN, 1, kb_map3(kb, KOP_SELECT, largest, b.at, index_tile(k, 1, INT64_MAX)));
}

static void along_reduced(kernel *k, reduction *r, tile_at *t)
{
    kbuilder *b = &k->b;
    dim_ctx *dc = k->lw->m->dims;
    dim size = r->view->shape[r->col];
    int64_t least, most;
    dim_bounds(dc, size, &least, &most);
    int width = most < WIDTH ? (int)most : WIDTH;
    dim w = dim_const(dc, width), whole = dim_mul(dc, dim_floordiv(dc, size, w), w);
    tile_at first = *t;
    first.at[r->tp.s.n - 1] = kidx_const(0);
    kvalue *init[2] = {tile_widen(k, reduction_load(k, r, &first), 1, width), index_tile(k, width, 0)};
    kidx end = kidx_value(kb_dim(b, whole));
    kop *loop = kb_for(b, kidx_const(0), end, width, KMAP_SERIAL, 1, init, 2);
    best have = {b->block->args[1], b->block->args[2]};
    have = look_at(k, r, have, width, kidx_value(b->block->args[0]), NULL);
    kb_for_end(b, loop, (kvalue *[]){have.x, have.at}, 2);
    have = (best){loop->results[0], loop->results[1]};
    if (!dim_divides(dc, width, size)) {
        kidx rest = kidx_value(kb_dim(b, dim_sub(dc, size, whole)));
        have = look_at(k, r, have, width, end, &rest);
    }
    reduction_store(k, r, t, first_of(k, have));
}

void lower_argmax(lowering *lw, group *g)
{
    bool reduced[MAX_RANK] = {0};
    reduced[node_attr(g->root, ATTR_AXIS)->u.i] = true;
    kernel k;
    reduction r;
    if (!reduction_begin(lw, g, "argmax", reduced, &k, &r)) return;
    reduction_columns(&k, &r, r.col_kept ? along_kept : along_reduced);
    reduction_end(&k, &r);
}
