/* The softmax of attention: rows of scores in scratch become weights in place. */
#include "codegen/lower_attention.h"

#include <math.h>

/* e^x, or 2^x in units of ln 2, for x <= 0; exactly 0 for x = -inf, NaN for NaN.
 *
 * Half of what a general exponential takes: the argument needs no second constant for its reduction, since the factor
 * log2 e went into the queries, and its range is one-sided. Adding 1.5 * 2^23 + 127 rounds to an integer n and leaves n
 * + 127 in the lowest bits, from where a shift makes 2^n of it; n = -127 makes 0, so that what is below 2^-126.5 counts
 * as 0. The greatest relative error is 2e-7. Coefficients: scripts/minimax.py exp2. */
static kvalue *weight_of(kernel *k, const attention *a, kvalue *x)
{
    static const float c[] = {0x1.000002p+0f, 0x1.62e42ap-1f, 0x1.ebf8f8p-3f,
                              0x1.c6b704p-5f, 0x1.3d0c4ep-7f, 0x1.5c08e2p-10f};
    kbuilder *b = &k->b;
    if (a->acc != DT_F32) return kb_map1(b, KOP_EXP, x);
    ktile one = row_type(DT_F32, 1, 1);
    kvalue *least = kb_const(b, one, -127), *magic = kb_const(b, one, 12582912.0 + 127.0);
    x = kb_map3(b, KOP_SELECT, kb_map2(b, KOP_GT, least, x), least, x);
    kvalue *t = kb_map2(b, KOP_ADD, x, magic);
    kvalue *r = kb_map2(b, KOP_SUB, x, kb_map2(b, KOP_SUB, t, magic));
    kvalue *p = kb_const(b, one, (double)c[5]);
    for (int i = 4; i >= 0; i--) p = kb_map3(b, KOP_FMA, p, r, kb_const(b, one, (double)c[i]));
    kvalue *power = kb_map2(b, KOP_SHL, kb_bitcast(b, t, DT_I32), kb_int(b, row_type(DT_I32, 1, 1), 23));
    return kb_map2(b, KOP_MUL, p, kb_bitcast(b, power, DT_F32));
}

static kvalue *constant(kernel *k, const attention *a, double v)
{
    return kb_const(&k->b, row_type(a->acc, 1, 1), v);
}

/* One instruction that takes y from memory. A row with a NaN among its scores is NaN whatever its maximum. */
static kvalue *larger(kernel *k, kvalue *x, kvalue *y)
{
    return kb_map3(&k->b, KOP_SELECT, kb_map2(&k->b, KOP_GT, x, y), x, y);
}

/* A scratch column from `row` on (NULL: 0). */
static kmem column(kvalue *buffer, kvalue *row)
{
    kidx at[1] = {kidx_value(row)};
    return kmem_at(buffer, at);
}

/* 1 / sum; 0 for a row without keys. */
static kvalue *reciprocal(kernel *k, const attention *a, kvalue *sum)
{
    kbuilder *b = &k->b;
    kvalue *zero = constant(k, a, 0), *r = kb_map2(b, KOP_DIV, constant(k, a, 1), sum);
    return kb_map3(b, KOP_SELECT, kb_map2(b, KOP_EQ, sum, zero), zero, r);
}

kvalue *attention_normalised(kernel *k, const attention *a, kvalue *sums, kvalue *factor)
{
    kbuilder *b = &k->b;
    kvalue *zero = constant(k, a, 0), *none = kb_map2(b, KOP_EQ, factor, zero);
    return kb_map3(b, KOP_SELECT, none, zero, kb_map2(b, KOP_MUL, sums, factor));
}

/* What is added to scores: -max, but 0 for -inf, which would make NaN of exp(-inf - -inf), which is 0. */
static kvalue *shift_of(kernel *k, const attention *a, kvalue *max)
{
    kvalue *empty = kb_map2(&k->b, KOP_EQ, max, constant(k, a, -INFINITY));
    return kb_map3(&k->b, KOP_SELECT, empty, constant(k, a, 0), kb_map1(&k->b, KOP_NEG, max));
}

/* Scores from a row and a column on (NULL: 0). */
static kmem scores_at(const attention *a, kvalue *row, kvalue *col)
{
    kidx at[2] = {kidx_value(row), kidx_value(col)};
    return kmem_at(a->scores, at);
}

/* The rows of a tile of a scratch column, from `first` on (NULL: 0). */
static kmem column_rows(kvalue *buffer, kvalue *first)
{
    kmem m = column(buffer, first);
    m.axes[0] = 0;
    m.axes[1] = KAXIS_NONE;
    return m;
}

kvalue *attention_state(kernel *k, const attention_at *at, const row_tile *t)
{
    return attention_op(k, KOP_ADD, attention_op(k, KOP_SUB, t->row, at->row0), at->state);
}

void attention_max(kernel *k, const attention_at *at, const row_tile *t, kvalue *row, int n)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    ktile wide = row_type(a->acc, n, a->lanes), rows = row_type(a->acc, n, 1);
    kvalue *least = kb_const(b, wide, -INFINITY);
    kop *scan = kb_for(b, t->from, t->to, a->lanes, KMAP_SERIAL, 2, &least, 1);
    kvalue *m = larger(k, b->block->args[1], kb_load(b, wide, scores_at(a, row, b->block->args[0])));
    kb_for_end(b, scan, &m, 1);
    kvalue *max = kb_reduce(b, KREDUCE_MAX, 1, scan->results[0]);
    if (a->online) {
        kmem state = column_rows(a->max, attention_op(k, KOP_ADD, attention_state(k, at, t), row));
        kvalue *before = kb_load(b, rows, state);
        max = larger(k, before, max);
        kb_store(b, max, state);
        kb_store(b, before, column_rows(a->factor, row));
    }
    kb_store(b, shift_of(k, a, max), column_rows(a->shift, row));
}

void attention_weights(kernel *k, const attention_at *at, const row_tile *t)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    ktile wide = row_type(a->acc, 1, a->lanes);
    kop *rows = kb_for(b, kidx_const(0), kidx_value(t->rows), 1, KMAP_SERIAL, 1, NULL, 0);
    kvalue *row = b->block->args[0];
    attention_prefetch_rows(k, at, t, row);
    ktile one = row_type(a->acc, 1, 1);
    kvalue *shift = kb_load(b, one, column(a->shift, row)), *zero = kb_const(b, wide, 0);
    if (a->online) {
        kvalue *before = kb_load(b, one, column(a->factor, row));
        kb_store(b, weight_of(k, a, kb_map2(b, KOP_ADD, before, shift)), column(a->factor, row));
    }
    kop *weights = kb_for(b, t->from, t->to, a->lanes, KMAP_SERIAL, 2, &zero, 1);
    kmem m = scores_at(a, row, b->block->args[0]);
    kvalue *w = weight_of(k, a, kb_map2(b, KOP_ADD, kb_load(b, wide, m), shift));
    kb_store(b, w, m);
    kvalue *sum = kb_map2(b, KOP_ADD, b->block->args[1], w);
    kb_for_end(b, weights, &sum, 1);
    kidx s_at[2] = {kidx_value(row), kidx_const(0)};
    kb_store(b, weights->results[0], kmem_at(a->sums, s_at));
    kb_for_end(b, rows, NULL, 0);
}

void attention_sum(kernel *k, const attention_at *at, const row_tile *t, kvalue *row, int n)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    ktile rows = row_type(a->acc, n, 1);
    kidx s_at[2] = {kidx_value(row), kidx_const(0)};
    kvalue *sum = kb_load(b, row_type(a->acc, n, a->lanes), kmem_at(a->sums, s_at));
    sum = kb_reduce(b, KREDUCE_ADD, 1, sum);
    if (!a->online) {
        kb_store(b, reciprocal(k, a, sum), column_rows(a->factor, row));
        return;
    }
    kmem total = column_rows(a->sum, attention_op(k, KOP_ADD, attention_state(k, at, t), row));
    kvalue *old = kb_load(b, rows, total), *factor = kb_load(b, rows, column_rows(a->factor, row));
    kb_store(b, kb_map3(b, KOP_FMA, old, factor, sum), total);
}

/* ---- rows that take several blocks of keys ---- */

typedef struct {
    const attention_at *at;
    kvalue *row;
    kvalue *factor;
} state_row;

static kmem total_at(const state_row *r, kidx col)
{
    kidx at[2] = {kidx_value(r->row), col};
    return kmem_at(r->at->a->total, at);
}

static kvalue *begin_columns(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    const state_row *r = arg;
    (void)bounded;
    (void)bound;
    kb_store(&k->b, kb_const(&k->b, row_type(r->at->a->acc, 1, width), 0),
             total_at(r, col)); /* rows are whole panels */
    return carried;
}

void attention_begin_rows(kernel *k, const attention_at *at, kvalue *n)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    kop *rows = kb_for(b, kidx_const(0), kidx_value(n), 1, KMAP_SERIAL, 1, NULL, 0);
    state_row r = {at, b->block->args[0], NULL};
    kb_store(b, constant(k, a, -INFINITY), column(a->max, r.row));
    kb_store(b, constant(k, a, 0), column(a->sum, r.row));
    kvalue *full, *tail;
    for_columns(k, a->width, a->panel, NULL, NULL, begin_columns, &r, &full, &tail);
    kb_for_end(b, rows, NULL, 0);
}

static kvalue *end_columns(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    const state_row *r = arg;
    const attention_at *at = r->at;
    const attention *a = at->a;
    kbuilder *b = &k->b;
    kvalue *y = attention_normalised(k, a, kb_load(b, row_type(a->acc, 1, width), total_at(r, col)), r->factor);
    kvalue *row = attention_op(k, KOP_ADD, attention_op(k, KOP_SUB, r->row, at->state), at->row0);
    kidx o_at[4] = {at->batch, at->head, kidx_value(row), col};
    kmem o = kmem_at(a->out, o_at);
    o.bounded[1] = bounded;
    o.bound[1] = bound;
    kb_store(b, kb_cast(b, y, a->out->ty.buf.dt), o);
    return carried;
}

void attention_end_rows(kernel *k, const attention_at *at, kvalue *n)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    kvalue *end = attention_op(k, KOP_ADD, n, at->state);
    kop *rows = kb_for(b, kidx_value(at->state), kidx_value(end), 1, KMAP_SERIAL, 1, NULL, 0);
    state_row r = {at, b->block->args[0], NULL};
    r.factor = reciprocal(k, a, kb_load(b, row_type(a->acc, 1, 1), column(a->sum, r.row)));
    kvalue *full, *tail;
    for_columns(k, a->width, a->panel, NULL, NULL, end_columns, &r, &full, &tail);
    kb_for_end(b, rows, NULL, 0);
}
