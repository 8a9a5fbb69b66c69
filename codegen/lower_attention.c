/* Attention without a score matrix in memory: a task is one head of one sequence. The task packs K transposed into
 * panels of 32 keys once, then runs row tiles of up to 14 queries: scores of the tile against all keys into scratch (T
 * floats a row: L1 for usual T), softmax there, and the product with V read in place. Figures: docs/kernels.md. */
#include "codegen/lower_internal.h"

#include <math.h>

#define KEYS 32 /* keys of a panel */

typedef struct {
    node *root;
    kvalue *q, *v, *mask, *bias, *out; /* [B, H, S, D] [B, G, T, E] [B, S, T] [B, H, S, T] [B, H, S, E] */
    kvalue *packed, *scores;           /* scratch: [panels, D, KEYS] and [rows, panels * KEYS] */
    kidx b, h, g;
    dim s_size, t_size, d_size, e_size, panels;
    int cols; /* of a register tile; divides KEYS */
    int v_cols;
    dtype acc;
    double scale;
} attention;

static kidx size_idx(kernel *k, dim d)
{
    int64_t v;
    return dim_is_const(k->lw->m->dims, d, &v) ? kidx_const(v) : kidx_value(kb_dim(&k->b, d));
}

/* packed[p, d, j] = K[b, g, p * KEYS + j, d], zero beyond the last key */
static void pack_keys(kernel *k, const attention *a, kvalue *keys)
{
    kbuilder *b = &k->b;
    kop *panels = kb_for(b, kidx_const(0), size_idx(k, a->panels), 1, KMAP_SERIAL, 1, NULL, 0);
    kvalue *p = b->block->args[0];
    kvalue *key0 = kb_map2(b, KOP_MUL, p, kb_i64(b, KEYS));
    kvalue *left = kb_map2(b, KOP_SUB, kb_dim(b, a->t_size), key0);
    kop *depth = kb_for(b, kidx_const(0), size_idx(k, a->d_size), 1, KMAP_SERIAL, 1, NULL, 0);
    kvalue *d = b->block->args[0];
    kidx from[4] = {a->b, a->g, kidx_value(key0), kidx_value(d)};
    kmem src = kmem_at(keys, from);
    src.axes[0] = 3;
    src.axes[1] = 2;
    if (!dim_divides(k->lw->m->dims, KEYS, a->t_size)) {
        src.bounded[1] = true;
        src.bound[1] = kidx_value(left);
    }
    kvalue *x = kb_cast(b, kb_load(b, ktile_make(keys->ty.buf.dt, 1, KEYS, KL_VEC), src), a->acc);
    kidx to[3] = {kidx_value(p), kidx_value(d), kidx_const(0)};
    kb_store(b, x, kmem_at(a->packed, to));
    kb_for_end(b, depth, NULL, 0);
    kb_for_end(b, panels, NULL, 0);
}

/* scores[0..height, :] = scale * Q K^T, -inf where the mask is false or there is no key */
static void scores_tile(kernel *k, const attention *a, kvalue *row0, int height)
{
    kbuilder *b = &k->b;
    dim_ctx *dc = k->lw->m->dims;
    kop *panels = kb_for(b, kidx_const(0), size_idx(k, a->panels), 1, KMAP_SERIAL, 1, NULL, 0);
    kvalue *p = b->block->args[0];
    kvalue *key0 = kb_map2(b, KOP_MUL, p, kb_i64(b, KEYS));
    for (int part = 0; part < KEYS; part += a->cols) {
        ktile ty = ktile_make(a->acc, height, a->cols, KL_VEC);
        kvalue *zero = kb_const(b, ty, 0);
        kop *depth = kb_for(b, kidx_const(0), size_idx(k, a->d_size), 1, KMAP_SERIAL, 4, &zero, 1);
        kvalue *d = b->block->args[0], *acc = b->block->args[1];
        kidx q_at[4] = {a->b, a->h, kidx_value(row0), kidx_value(d)};
        kvalue *q = kb_cast(b, kb_load(b, ktile_make(a->q->ty.buf.dt, height, 1, KL_VEC), kmem_at(a->q, q_at)), a->acc);
        kidx k_at[3] = {kidx_value(p), kidx_value(d), kidx_const(part)};
        kvalue *key = kb_load(b, ktile_make(a->acc, 1, a->cols, KL_VEC), kmem_at(a->packed, k_at));
        kvalue *next = kb_contract(b, acc, q, key);
        kb_for_end(b, depth, &next, 1);
        kvalue *s = kb_map2(b, KOP_MUL, depth->results[0], kb_const(b, ktile_make(a->acc, 1, 1, KL_VEC), a->scale));
        kvalue *none = kb_const(b, ktile_make(a->acc, 1, 1, KL_VEC), -INFINITY);
        kidx col = kidx_plus(key0, part);
        bool ragged = !dim_divides(dc, KEYS, a->t_size);
        kvalue *left = ragged ? kb_map2(b, KOP_SUB, kb_dim(b, a->t_size), kidx_as_value(k, col)) : NULL;
        if (a->bias) {
            kidx at[4] = {a->b, a->h, kidx_value(row0), col};
            kmem m = kmem_at(a->bias, at);
            if (ragged) {
                m.bounded[1] = true;
                m.bound[1] = kidx_value(left);
            }
            kvalue *bias = kb_load(b, ktile_make(a->bias->ty.buf.dt, height, a->cols, KL_VEC), m);
            s = kb_map2(b, KOP_ADD, s, kb_cast(b, bias, a->acc));
        }
        if (a->mask) {
            kidx m_at[3] = {a->b, kidx_value(row0), col};
            kmem m = kmem_at(a->mask, m_at);
            if (ragged) {
                m.bounded[1] = true;
                m.bound[1] = kidx_value(left);
            }
            /* A mask that is the same for every query is read once a tile. */
            int64_t rows;
            bool per_key = dim_is_const(dc, a->mask->ty.buf.shape[1], &rows) && rows == 1;
            if (per_key) m.idx[1] = kidx_const(0);
            kvalue *keep = kb_load(b, ktile_make(DT_BOOL, per_key ? 1 : height, a->cols, KL_VEC), m);
            s = kb_map3(b, KOP_SELECT, keep, s, none); /* bounded loads give false beyond the last key */
        } else if (ragged) {
            kvalue *j = kb_iota(b, ktile_make(DT_I64, 1, a->cols, KL_VEC), 1);
            s = kb_map3(b, KOP_SELECT, kb_map2(b, KOP_LT, j, left), s, none);
        }
        kidx to[2] = {kidx_const(0), col};
        kb_store(b, s, kmem_at(a->scores, to));
    }
    kb_for_end(b, panels, NULL, 0);
}

static kvalue *score_row(kernel *k, const attention *a, kvalue *row, kvalue *p)
{
    kidx at[2] = {kidx_value(row), kidx_value(p)};
    return kb_load(&k->b, ktile_make(a->acc, 1, KEYS, KL_VEC), kmem_at(a->scores, at));
}

/* Rows of scores to exp(s - max); their reciprocal sums go to the last column. A row without keys gets reciprocal 0. */
static void softmax_rows(kernel *k, const attention *a, int height)
{
    kbuilder *b = &k->b;
    dim_ctx *dc = k->lw->m->dims;
    ktile wide = ktile_make(a->acc, 1, KEYS, KL_VEC), one = ktile_make(a->acc, 1, 1, KL_VEC);
    dim padded = dim_mul(dc, a->panels, dim_const(dc, KEYS));
    kop *rows = kb_for(b, kidx_const(0), kidx_const(height), 1, KMAP_SERIAL, 1, NULL, 0);
    kvalue *row = b->block->args[0];
    kvalue *least = kb_const(b, wide, -INFINITY), *zero = kb_const(b, wide, 0);
    kop *scan = kb_for(b, kidx_const(0), size_idx(k, padded), KEYS, KMAP_SERIAL, 1, &least, 1);
    kvalue *m = b->block->args[1], *s = score_row(k, a, row, b->block->args[0]);
    m = kb_map3(b, KOP_SELECT, kb_map2(b, KOP_GT, s, m), s, m);
    kb_for_end(b, scan, &m, 1);
    kvalue *max = kb_reduce(b, KREDUCE_MAX, 1, scan->results[0]);
    /* -inf only when no key is left: subtracting it would make NaN of exp(-inf - -inf) = 0. */
    kvalue *empty = kb_map2(b, KOP_EQ, max, kb_const(b, one, -INFINITY));
    max = kb_map3(b, KOP_SELECT, empty, kb_const(b, one, 0), max);
    kop *exps = kb_for(b, kidx_const(0), size_idx(k, padded), KEYS, KMAP_SERIAL, 1, &zero, 1);
    kvalue *p = b->block->args[0];
    kvalue *e = kb_map1(b, KOP_EXP_NONPOSITIVE, kb_map2(b, KOP_SUB, score_row(k, a, row, p), max));
    kidx at[2] = {kidx_value(row), kidx_value(p)};
    kb_store(b, e, kmem_at(a->scores, at));
    kvalue *sum = kb_map2(b, KOP_ADD, b->block->args[1], e);
    kb_for_end(b, exps, &sum, 1);
    kvalue *total = kb_reduce(b, KREDUCE_ADD, 1, exps->results[0]);
    kvalue *r = kb_map2(b, KOP_DIV, kb_const(b, one, 1), total);
    r = kb_map3(b, KOP_SELECT, kb_map2(b, KOP_EQ, total, kb_const(b, one, 0)), kb_const(b, one, 0), r);
    kidx last[2] = {kidx_value(row), size_idx(k, padded)};
    kb_store(b, r, kmem_at(a->scores, last));
    kb_for_end(b, rows, NULL, 0);
}

static void values_tile(kernel *k, const attention *a, kvalue *row0, int height, kidx col, int width, bool bounded,
                        kidx bound)
{
    kbuilder *b = &k->b;
    dim_ctx *dc = k->lw->m->dims;
    kvalue *zero = kb_const(b, ktile_make(a->acc, height, width, KL_VEC), 0);
    kop *keys = kb_for(b, kidx_const(0), size_idx(k, a->t_size), 1, KMAP_SERIAL, 4, &zero, 1);
    kvalue *j = b->block->args[0], *acc = b->block->args[1];
    kidx p_at[2] = {kidx_const(0), kidx_value(j)};
    kvalue *p = kb_load(b, ktile_make(a->acc, height, 1, KL_VEC), kmem_at(a->scores, p_at));
    kidx v_at[4] = {a->b, a->g, kidx_value(j), col};
    kmem vm = kmem_at(a->v, v_at);
    vm.bounded[1] = bounded;
    vm.bound[1] = bound;
    kvalue *v = kb_cast(b, kb_load(b, ktile_make(a->v->ty.buf.dt, 1, width, KL_VEC), vm), a->acc);
    kvalue *next = kb_contract(b, acc, p, v);
    kb_for_end(b, keys, &next, 1);
    dim padded = dim_mul(dc, a->panels, dim_const(dc, KEYS));
    kidx r_at[2] = {kidx_const(0), size_idx(k, padded)};
    kvalue *r = kb_load(b, ktile_make(a->acc, height, 1, KL_VEC), kmem_at(a->scores, r_at));
    kvalue *y = kb_cast(b, kb_map2(b, KOP_MUL, keys->results[0], r), a->out->ty.buf.dt);
    kidx o_at[4] = {a->b, a->h, kidx_value(row0), col};
    kmem om = kmem_at(a->out, o_at);
    om.bounded[1] = bounded;
    om.bound[1] = bound;
    kb_store(b, y, om);
}

typedef struct {
    const attention *a;
    kvalue *row0;
    int height;
} values_pass;

static kvalue *values_columns(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    const values_pass *v = arg;
    values_tile(k, v->a, v->row0, v->height, col, width, bounded, bound);
    return carried;
}

static void query_tile(kernel *k, void *arg, kvalue *row0, int height)
{
    const attention *a = arg;
    scores_tile(k, a, row0, height);
    softmax_rows(k, a, height);
    values_pass v = {a, row0, height};
    kvalue *full, *tail;
    for_columns(k, a->e_size, a->v_cols, NULL, NULL, values_columns, &v, &full, &tail);
}

static kvalue *bind_operand(kernel *k, value *v, kaccess_mode mode)
{
    const lview *w = view_of(k->lw, v);
    return kernel_bind(k, w->base, w->offset, w->rank, w->shape, w->stride, mode);
}

/* The mask as [B, S, T], with size 1 along S when it is the same for every query. */
static kvalue *bind_mask(kernel *k, value *v)
{
    const lview *w = view_of(k->lw, v);
    dim shape[3] = {w->shape[0], w->shape[1], w->shape[2]};
    dim_ctx *dc = k->lw->m->dims;
    if (w->stride[1] == dim_const(dc, 0)) shape[1] = dim_const(dc, 1);
    return kernel_bind(k, w->base, w->offset, 3, shape, w->stride, KACCESS_IN);
}

void lower_attention(lowering *lw, group *g)
{
    dim_ctx *dc = lw->m->dims;
    node *n = g->root;
    const dim *q = n->operands[0]->ty.shape, *kk = n->operands[1]->ty.shape, *vv = n->operands[2]->ty.shape;
    int max_rows = lw->target.registers >= 32 ? 14 : 6;
    attention a = {.root = n, .s_size = q[2], .t_size = kk[2], .d_size = q[3], .e_size = vv[3]};
    a.acc = accumulator_of(n->result->ty.dt);
    a.scale = node_attr(n, ATTR_SCALE)->u.real;
    a.cols = 2 * lw->target.vector_floats < KEYS ? 2 * lw->target.vector_floats : KEYS;
    a.v_cols = a.cols;
    a.panels = dim_ceildiv(dc, a.t_size, dim_const(dc, KEYS));
    kernel k = kernel_begin(lw, "attention", n);
    a.q = bind_operand(&k, n->operands[0], KACCESS_IN);
    kvalue *keys = bind_operand(&k, n->operands[1], KACCESS_IN);
    a.v = bind_operand(&k, n->operands[2], KACCESS_IN);
    a.mask = attention_mask(n) ? bind_mask(&k, attention_mask(n)) : NULL;
    a.bias = attention_bias(n) ? bind_operand(&k, attention_bias(n), KACCESS_IN) : NULL;
    a.out = bind_operand(&k, n->result, KACCESS_OUT);

    dim heads[2] = {q[0], q[1]};
    kop *loop =
        kb_for(&k.b, kidx_const(0), kidx_value(kb_dim(&k.b, dim_mul(dc, q[0], q[1]))), 1, KMAP_PARALLEL, 1, NULL, 0);
    dim packed[3] = {a.panels, a.d_size, dim_const(dc, KEYS)};
    dim row = dim_add(dc, dim_mul(dc, a.panels, dim_const(dc, KEYS)), dim_const(dc, 1));
    dim scores[2] = {dim_const(dc, max_rows), row};
    a.packed = kb_alloc(&k.b, "packed", kbuffer_dense(a.acc, KSPACE_SCRATCH, 3, packed));
    a.scores = kb_alloc(&k.b, "scores", kbuffer_dense(a.acc, KSPACE_SCRATCH, 2, scores));
    kidx bh[2];
    unflatten(&k, k.b.block->args[0], 2, heads, bh);
    a.b = bh[0];
    a.h = bh[1];
    dim ratio = dim_floordiv(dc, q[1], kk[1]);
    a.g = q[1] == kk[1] ? a.h : kidx_value(kb_map2(&k.b, KOP_DIV, kidx_as_value(&k, a.h), kb_dim(&k.b, ratio)));
    pack_keys(&k, &a, keys);
    for_row_tiles(&k, a.s_size, max_rows, query_tile, &a);
    kb_for_end(&k.b, loop, NULL, 0);
    kernel_end(&k);
}
