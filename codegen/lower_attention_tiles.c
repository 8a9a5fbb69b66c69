/* The two matmuls of attention on register tiles: scores of a row tile and a panel of keys, and the sum of values that
 * the weights of a row tile make. */
#include "codegen/lower_attention.h"

#include <math.h>

/* ---- scores ---- */

static kvalue *packed_dots(kernel *k, const attention_at *at, const row_tile *t, kvalue *panel, int width)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    kvalue *zero = kb_const(b, row_type(a->acc, t->height, width), 0);
    int64_t size;
    kidx end = dim_is_const(k->lw->m->dims, a->depth, &size) ? kidx_const(size) : kidx_value(kb_dim(b, a->depth));
    kop *depth = kb_for(b, kidx_const(0), end, 1, KMAP_SERIAL, 4, &zero, 1);
    kvalue *d = b->block->args[0];
    kidx q_at[2] = {kidx_const(0), kidx_value(d)}, k_at[3] = {kidx_value(panel), kidx_value(d), kidx_const(0)};
    kvalue *q = kb_load(b, row_type(a->acc, t->height, 1), kmem_at(a->queries, q_at));
    kvalue *key = kb_load(b, row_type(a->acc, 1, width), kmem_at(a->packed_k, k_at));
    kvalue *next = kb_contract(b, b->block->args[1], q, key);
    kb_for_end(b, depth, &next, 1);
    return depth->results[0];
}

/* sums + q k^T over `lanes` columns from d on, of which the first `bound` exist (NULL: all); keys are turned in
 * registers. */
static kvalue *direct_step(kernel *k, const attention_at *at, const row_tile *t, kvalue *col, kidx d, kvalue *bound,
                           kvalue *sums)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    kvalue *key = attention_op(k, KOP_ADD, col, at->first_key);
    kidx k_at[4] = {at->batch, at->kv_head, kidx_value(key), d}, q_at[2] = {kidx_const(0), d};
    kmem src = kmem_at(a->k, k_at);
    attention_bound(&src, 0, attention_op(k, KOP_SUB, at->n_keys, col));
    if (bound) attention_bound(&src, 1, bound);
    kvalue *x = kb_cast(b, kb_load(b, row_type(a->k->ty.buf.dt, a->panel, a->lanes), src), a->acc);
    attention_prefetch_keys(k, at, key, d);
    kvalue *q = kb_load(b, ktile_make(a->acc, t->height, a->lanes, KL_SCALARS), kmem_at(a->queries, q_at));
    return kb_contract(b, sums, q, kb_transpose(b, x));
}

static kvalue *direct_dots(kernel *k, const attention_at *at, const row_tile *t, kvalue *col)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    dim_ctx *dc = k->lw->m->dims;
    kvalue *sums = kb_const(b, row_type(a->acc, t->height, a->panel), 0);
    dim lanes = dim_const(dc, a->lanes), whole = dim_mul(dc, dim_floordiv(dc, a->depth, lanes), lanes);
    int64_t n;
    kidx end = dim_is_const(dc, whole, &n) ? kidx_const(n) : kidx_value(kb_dim(b, whole));
    kop *depth = kb_for(b, kidx_const(0), end, a->lanes, KMAP_SERIAL, 1, &sums, 1);
    kvalue *next = direct_step(k, at, t, col, kidx_value(b->block->args[0]), NULL, b->block->args[1]);
    kb_for_end(b, depth, &next, 1);
    if (dim_divides(dc, a->lanes, a->depth)) return depth->results[0];
    return direct_step(k, at, t, col, end, kb_dim(b, dim_sub(dc, a->depth, whole)), depth->results[0]);
}

/* x as an i32 scalar, limited to what no sum of sizes comes near. */
static kvalue *narrow(kernel *k, kvalue *x)
{
    x = attention_op_const(k, KOP_MAX, attention_op_const(k, KOP_MIN, x, 1 << 30), -(1 << 30));
    return kb_cast(&k->b, x, DT_I32);
}

/* The positions of a tile's rows, or of keys as columns of which `left` exist. */
static kvalue *row_positions(kernel *k, const attention *a, const row_tile *t)
{
    kidx first = kidx_value(t->row);
    kmem m = kmem_at(a->positions, &first);
    m.axes[0] = 0;
    m.axes[1] = KAXIS_NONE;
    return kb_load(&k->b, row_type(DT_I64, t->height, 1), m);
}

static kvalue *key_positions(kernel *k, const attention *a, kvalue *key, kvalue *left, int width)
{
    kidx first = kidx_value(key);
    kmem m = kmem_at(a->positions, &first);
    m.axes[0] = KAXIS_NONE;
    m.axes[1] = 0;
    attention_bound(&m, 1, left);
    return kb_load(&k->b, row_type(DT_I64, 1, width), m);
}

/* Which of `width` keys from local key `col` on the rows of a tile see, by the band and by how many there are. */
static kvalue *seen(kernel *k, const attention_at *at, const row_tile *t, kvalue *col, int width)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    kvalue *j = kb_iota(b, row_type(DT_I32, 1, width), 1), *left = attention_op(k, KOP_SUB, at->n_keys, col);
    kvalue *keep = kb_map2(b, KOP_LT, j, narrow(k, left));
    if (!attention_is_banded(a)) return keep;
    kvalue *key = attention_op(k, KOP_ADD, col, at->first_key), *first; /* j - i is first and what j has then */
    if (at->run.gaps) {
        first = NULL;
        kvalue *i = kb_cast(b, row_positions(k, a, t), DT_I32);
        j = kb_map2(b, KOP_SUB, kb_cast(b, key_positions(k, a, key, left, width), DT_I32), i);
    } else {
        first = attention_op(k, KOP_SUB, key, a->row_heads ? NULL : t->row);
        if (!a->row_heads) j = kb_map2(b, KOP_SUB, j, kb_iota(b, row_type(DT_I32, t->height, 1), 0));
    }
    if (a->has_from) {
        kvalue *from = narrow(k, attention_op(k, KOP_SUB, kb_dim(b, a->from), first));
        keep = kb_map2(b, KOP_AND, keep, kb_map2(b, KOP_GE, j, from));
    }
    if (a->has_to) {
        kvalue *to = narrow(k, attention_op(k, KOP_SUB, kb_dim(b, a->to), first));
        keep = kb_map2(b, KOP_AND, keep, kb_map2(b, KOP_LE, j, to));
    }
    return keep;
}

static kvalue *masked(kernel *k, const attention *a, kvalue *keep, kvalue *s)
{
    return kb_map3(&k->b, KOP_SELECT, keep, s, kb_const(&k->b, row_type(a->acc, 1, 1), -INFINITY));
}

/* The bias of a tile's rows from the element of `row` and `key` on. */
static kvalue *dense_bias(kernel *k, const attention_at *at, const row_tile *t, kvalue *row, kvalue *key, kvalue *left,
                          int width)
{
    const attention *a = at->a;
    kidx from[4] = {a->offsets ? at->run.sequence : at->batch, at->head, kidx_value(row), kidx_value(key)};
    kmem m = kmem_at(a->bias, from);
    attention_bound(&m, 1, left);
    return kb_cast(&k->b, kb_load(&k->b, row_type(a->bias->ty.buf.dt, t->height, width), m), a->acc);
}

/* That of a run with gaps, element by element. */
static kvalue *gathered_bias(kernel *k, const attention_at *at, const row_tile *t, kvalue *key, kvalue *left, int width)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    kvalue *n = kb_map2(b, KOP_MIN, left, kb_i64(b, width));
    kop *rows = kb_for(b, kidx_const(0), kidx_const(t->height), 1, KMAP_SERIAL, 1, NULL, 0);
    kvalue *i = b->block->args[0];
    kidx row = kidx_value(attention_op(k, KOP_ADD, t->row, i));
    kvalue *at_row = kb_load(b, ktile_scalar(DT_I64), kmem_at(a->positions, &row));
    kop *keys = kb_for(b, kidx_const(0), kidx_value(n), 1, KMAP_SERIAL, 1, NULL, 0);
    kvalue *j = b->block->args[0];
    kidx column = kidx_value(attention_op(k, KOP_ADD, key, j));
    kvalue *at_key = kb_load(b, ktile_scalar(DT_I64), kmem_at(a->positions, &column));
    kidx from[4] = {at->run.sequence, at->head, kidx_value(at_row), kidx_value(at_key)};
    kidx to[2] = {kidx_value(i), kidx_value(j)};
    kvalue *x = kb_load(b, ktile_scalar(a->bias->ty.buf.dt), kmem_at(a->bias, from));
    kb_store(b, kb_cast(b, x, a->acc), kmem_at(a->gathered, to));
    kb_for_end(b, keys, NULL, 0);
    kb_for_end(b, rows, NULL, 0);
    kidx first[2] = {kidx_const(0), kidx_const(0)};
    kmem m = kmem_at(a->gathered, first);
    attention_bound(&m, 1, n);
    return kb_load(b, row_type(a->acc, t->height, width), m);
}

static kvalue *bias_of(kernel *k, const attention_at *at, const row_tile *t, kvalue *key, kvalue *left, int width)
{
    if (at->run.gaps) return gathered_bias(k, at, t, key, left, width);
    kvalue *shift = at->run.shift; /* NULL: 0 */
    return dense_bias(k, at, t, attention_op(k, KOP_ADD, t->row, shift), attention_op(k, KOP_ADD, key, shift), left,
                      width);
}

void attention_scores_tile(kernel *k, const attention_at *at, const row_tile *t, kvalue *col, int width)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    dim_ctx *dc = k->lw->m->dims;
    kvalue *panel = attention_op_const(k, KOP_DIV, col, a->panel), *key = attention_op(k, KOP_ADD, col, at->first_key);
    kvalue *left = attention_op(k, KOP_SUB, at->n_keys, col);
    kvalue *s = a->direct ? direct_dots(k, at, t, col) : packed_dots(k, at, t, panel, width);
    if (a->bias)
        s = kb_map3(b, KOP_FMA, bias_of(k, at, t, key, left, width), kb_const(b, row_type(a->acc, 1, 1), a->unit), s);
    if (a->key_mask) {
        kidx m_at[2] = {at->batch, kidx_value(key)};
        kmem m = kmem_at(a->key_mask, m_at);
        attention_bound(&m, 1, left);
        s = masked(k, a, kb_load(b, row_type(DT_BOOL, 1, width), m), s);
    }
    if (a->mask) {
        kidx m_at[3] = {at->batch, kidx_value(t->row), kidx_value(key)};
        kmem m = kmem_at(a->mask, m_at);
        attention_bound(&m, 1, left);
        s = masked(k, a, kb_load(b, row_type(DT_BOOL, t->height, width), m), s);
    }
    kidx to[2] = {kidx_const(0), kidx_value(col)};
    kmem dst = kmem_at(a->scores, to);
    if (at->run.gaps) {
        kb_store(b, masked(k, a, seen(k, at, t, col, width), s), dst);
        return;
    }
    /* A mask is false beyond the end. */
    bool ragged =
        !a->key_mask && !a->mask && (a->offsets || !dim_divides(dc, a->halves ? a->lanes : a->panel, a->keys));
    if (!ragged && !attention_is_banded(a)) {
        kb_store(b, s, dst);
        return;
    }
    kvalue *whole = kb_map2(b, KOP_LE, attention_op_const(k, KOP_ADD, col, width), t->keys.all_hi);
    if (t->keys.all_lo) whole = kb_map2(b, KOP_AND, whole, kb_map2(b, KOP_LE, t->keys.all_lo, col));
    kop *edge = kb_if(b, whole);
    kb_store(b, s, dst);
    kb_else(b, edge, NULL, 0);
    kb_store(b, masked(k, a, seen(k, at, t, col, width), s), dst);
    kb_if_end(b, edge, NULL, 0);
}

/* ---- values ---- */

#define VALUES_AHEAD 16 /* rows of packed values that are fetched before they are needed */

typedef struct {
    kidx col;
    int width;
    bool bounded;
    kidx bound;
} columns;

static kvalue *value_row(kernel *k, const attention_at *at, const columns *c, kvalue *j)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    if (!a->direct) {
        kvalue *panel = attention_op_const(k, KOP_DIV, kidx_as_value(k, c->col), a->panel);
        kidx v_at[3] = {kidx_value(panel), kidx_value(j), kidx_const(0)};
        kidx ahead[3] = {kidx_value(panel), kidx_plus(j, VALUES_AHEAD), kidx_const(0)};
        kb_prefetch(b, kmem_at(a->packed_v, ahead), 1);
        return kb_load(b, row_type(a->acc, 1, c->width), kmem_at(a->packed_v, v_at));
    }
    kvalue *key = attention_op(k, KOP_ADD, j, at->first_key);
    kidx v_at[4] = {at->batch, at->kv_head, kidx_value(key), c->col};
    kmem m = kmem_at(a->v, v_at);
    m.bounded[1] = c->bounded;
    m.bound[1] = c->bound;
    kvalue *v = kb_cast(b, kb_load(b, row_type(a->v->ty.buf.dt, 1, c->width), m), a->acc);
    attention_prefetch_values(k, at, key, c->col, c->width);
    if (!a->key_mask) return v;
    kidx m_at[2] = {at->batch, kidx_value(key)};
    kvalue *keep = kb_load(b, row_type(DT_BOOL, 1, 1), kmem_at(a->key_mask, m_at));
    return kb_map3(b, KOP_SELECT, keep, v, kb_const(b, row_type(a->acc, 1, 1), 0));
}

/* Which rows of a tile see local key j. */
static kvalue *rows_that_see(kernel *k, const attention_at *at, const row_tile *t, kvalue *j)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    kvalue *key = attention_op(k, KOP_ADD, j, at->first_key), *keep = NULL, *rows = NULL;
    if (a->positions) {
        kidx of_key = kidx_value(key);
        key = kb_load(b, ktile_scalar(DT_I64), kmem_at(a->positions, &of_key));
        rows = row_positions(k, a, t);
    }
    if (a->mask) {
        kidx m_at[3] = {at->batch, kidx_value(t->row), kidx_value(key)};
        keep = kb_load(b, row_type(DT_BOOL, t->height, 1), kmem_at(a->mask, m_at));
    }
    for (int end = 0; end < 2; end++) {
        if (a->row_heads || !(end ? a->has_to : a->has_from)) continue;
        kvalue *bound = kb_dim(b, end ? a->to : a->from);
        if (!a->positions) bound = attention_op(k, KOP_ADD, t->row, bound);
        kvalue *limit = kb_map2(b, KOP_ADD, rows ? rows : kb_iota(b, row_type(DT_I64, t->height, 1), 0), bound);
        kvalue *in = kb_map2(b, end ? KOP_GE : KOP_LE, limit, key);
        keep = keep ? kb_map2(b, KOP_AND, keep, in) : in;
    }
    return keep;
}

/* sums + weights times values over the keys that the tile's rows see. Weights of keys that a row does not see are 0;
 * `exact`: where the value is NaN or infinite, they are not multiplied with it. */
static kvalue *weighted(kernel *k, const attention_at *at, const row_tile *t, const columns *c, kvalue *sums,
                        bool exact)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    kop *keys =
        kb_for(b, kidx_value(t->keys.some_lo), kidx_value(t->keys.some_hi), 1, KMAP_SERIAL, exact ? 1 : 4, &sums, 1);
    kvalue *j = b->block->args[0], *before = b->block->args[1];
    kidx p_at[2] = {kidx_const(0), kidx_value(j)};
    kvalue *p = kb_load(b, row_type(a->acc, t->height, 1), kmem_at(a->scores, p_at));
    kvalue *next = kb_contract(b, before, p, value_row(k, at, c, j));
    if (exact) next = kb_map3(b, KOP_SELECT, rows_that_see(k, at, t, j), next, before);
    kb_for_end(b, keys, &next, 1);
    return keys->results[0];
}

void attention_values_tile(kernel *k, const attention_at *at, const row_tile *t, kidx col, int width, bool bounded,
                           kidx bound)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    columns c = {col, width, bounded, bound};
    kidx f_at[1] = {kidx_const(0)};
    kmem f = kmem_at(a->factor, f_at);
    f.axes[0] = 0;
    f.axes[1] = KAXIS_NONE;
    kvalue *state = attention_state(k, at, t);
    kidx total_at[2] = {kidx_value(state), col};
    kvalue *sums = kb_const(b, row_type(a->acc, t->height, width), 0);
    if (a->online)
        sums = kb_map2(b, KOP_MUL, kb_load(b, row_type(a->acc, t->height, width), kmem_at(a->total, total_at)),
                       kb_load(b, row_type(a->acc, t->height, 1), f));
    bool masks = a->mask || (attention_is_banded(a) && !a->row_heads);
    if (masks && at->finite) {
        kop *pick = kb_if(b, at->finite);
        kvalue *fast = weighted(k, at, t, &c, sums, false);
        kb_else(b, pick, &fast, 1);
        kvalue *slow = weighted(k, at, t, &c, sums, true);
        kb_if_end(b, pick, &slow, 1);
        sums = pick->results[0];
    } else {
        sums = weighted(k, at, t, &c, sums, masks);
    }
    if (a->online) {
        kb_store(b, sums, kmem_at(a->total, total_at));
        return;
    }
    sums = attention_normalised(k, a, sums, kb_load(b, row_type(a->acc, t->height, 1), f));
    kidx o_at[4] = {at->batch, at->head, kidx_value(t->row), col};
    kmem o = kmem_at(a->out, o_at);
    o.bounded[1] = bounded;
    o.bound[1] = bound;
    kb_store(b, kb_cast(b, sums, a->out->ty.buf.dt), o);
}
