/* Attention without a score matrix in memory.
 *
 * A task is a head of a sequence, or a key head with the query heads that share it, or a run of its row tiles where
 * there are many. It goes over the keys in blocks whose packed keys and values stay in the second-level cache:
 *
 *     for each block of keys                          one, where the bound of T allows it
 *         pack keys in panels, transposed; pack values
 *         for each head of the task, row tile         its scores stay in the first-level cache
 *             queries times the scale, to scratch
 *             for each panel                          scores: a register tile over the whole depth
 *             for each row                            softmax: maximum, exponentials, sum
 *             for each panel of values                the product: a register tile over the block's keys
 *
 * With one block the product is divided by the sums in registers and stored; with several, running maximum, sum and
 * product of each row stay in scratch, and what is there shrinks when the maximum grows (Milakov and Gimelshein, 2018).
 * So scratch does not grow with T.
 *
 * Packed sequences (offsets): rows and keys of a task are those of its run, and a run has as many row tiles as it
 * needs. Tasks are dealt for the longest run there can be; what a run lacks of it ends at once. Bounds by positions are
 * wider than the same bounds by rows, since positions ascend: the latter say what is computed. Runs with gaps have
 * scores of their own: positions are compared in every panel, and the bias is gathered.
 *
 * Masks. What lies outside a band (causal, window) or before and behind all keys that a key mask keeps is not computed:
 * row tiles have bounds on their keys. In panels on the edge indices are compared. Weights of masked keys are exactly
 * 0, and where a value could be NaN or infinite they are not multiplied with it: values are zeroed where the key mask
 * is false; for bands and masks that differ from row to row a block of values is looked at while it is packed, and a
 * slower loop that selects takes its place where it holds such a value.
 *
 * Where there are no more rows than a register tile has, nothing is packed: each key is read once, and turned in
 * registers. Figures: docs/kernels.md. */
#include "codegen/lower_attention.h"

#include <math.h>

#define BLOCK_KEYS 1024 /* at most */
#define CHUNK_ROWS 512  /* of a task, at most: packing is below one percent of it then */
#define FEW_TASKS 8     /* key heads are worth a task of their own from so many on */
#define CACHE_SETS 64   /* of the first-level cache */
#define ROW_SETS 39     /* from one row of scores to the next: CACHE_SETS by the golden ratio, odd */

/* ---- shorthand ---- */

kvalue *attention_op(kernel *k, kop_kind op, kvalue *x, kvalue *y)
{
    if (!y && (op == KOP_ADD || op == KOP_SUB)) return x ? x : kb_i64(&k->b, 0);
    if (!x && op == KOP_ADD) return y;
    return kb_map2(&k->b, op, x ? x : kb_i64(&k->b, 0), y ? y : kb_i64(&k->b, 0));
}

kvalue *attention_op_const(kernel *k, kop_kind op, kvalue *x, int64_t y)
{
    return attention_op(k, op, x, kb_i64(&k->b, y));
}

void attention_bound(kmem *m, int axis, kvalue *bound)
{
    m->bounded[axis] = true;
    m->bound[axis] = kidx_value(bound);
}

bool attention_is_banded(const attention *a)
{
    return a->has_from || a->has_to;
}

static kvalue *ceildiv(kernel *k, kvalue *x, int64_t by)
{
    return attention_op_const(k, KOP_DIV, attention_op_const(k, KOP_ADD, x, by - 1), by);
}

static int64_t most(lowering *lw, dim d)
{
    int64_t lo, hi;
    dim_bounds(lw->m->dims, d, &lo, &hi);
    return hi;
}

static int64_t least(lowering *lw, dim d)
{
    int64_t lo, hi;
    dim_bounds(lw->m->dims, d, &lo, &hi);
    return lo;
}

/* ---- rows and keys ---- */

/* Tiles differ in height by one row at most; the higher ones come first. */
static kvalue *row_of_tile(kernel *k, const attention_at *at, kvalue *tile)
{
    const attention *a = at->a;
    if (!tile) return at->run.begin;
    dim_ctx *dc = k->lw->m->dims;
    if (a->offsets) {
        kvalue *first = attention_op(k, KOP_ADD, attention_op(k, KOP_MUL, tile, at->run.height), at->run.begin);
        return attention_op(k, KOP_ADD, first, kb_map2(&k->b, KOP_MIN, tile, at->run.taller));
    }
    dim low = dim_floordiv(dc, a->rows, a->tiles), high = dim_sub(dc, a->rows, dim_mul(dc, low, a->tiles));
    kvalue *row = attention_op(k, KOP_MUL, tile, kb_dim(&k->b, low));
    return kb_map2(&k->b, KOP_ADD, row, kb_map2(&k->b, KOP_MIN, tile, kb_dim(&k->b, high)));
}

static kvalue *end_of_rows(kernel *k, const attention_at *at)
{
    return at->a->offsets ? at->run.end : kb_dim(&k->b, at->a->rows);
}

static kvalue *clamp(kernel *k, kvalue *x, kvalue *hi)
{
    return attention_op(k, KOP_MAX, attention_op(k, KOP_MIN, x, hi), NULL);
}

static key_range keys_of_rows(kernel *k, const attention_at *at, kvalue *row0, kvalue *row1)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    key_range r = {NULL, at->n_keys, NULL, at->n_keys};
    if (a->row_heads) row0 = NULL, row1 = kb_i64(b, 1);
    if (a->has_from) {
        kvalue *from = attention_op(k, KOP_SUB, kb_dim(b, a->from), at->first_key);
        r.some_lo = clamp(k, attention_op(k, KOP_ADD, from, row0), at->n_keys);
        r.all_lo = clamp(k, attention_op_const(k, KOP_ADD, attention_op(k, KOP_ADD, from, row1), -1), at->n_keys);
    }
    if (a->has_to) {
        kvalue *to = attention_op(k, KOP_SUB, kb_dim(b, a->to), at->first_key);
        r.some_hi = clamp(k, attention_op(k, KOP_ADD, to, row1), at->n_keys);
        r.all_hi = clamp(k, attention_op_const(k, KOP_ADD, attention_op(k, KOP_ADD, to, row0), 1), at->n_keys);
    }
    return r;
}

/* ---- a row tile ---- */

typedef void tile_body(kernel *k, const attention_at *at, const row_tile *t);

/* Calls body for every height that a tile can have. */
static void by_height(kernel *k, const attention_at *at, row_tile *t, tile_body *body)
{
    const attention *a = at->a;
    t->height = (int)a->heights[0];
    if (a->n_heights == 1) {
        body(k, at, t);
        return;
    }
    kop *sw = kb_switch(&k->b, t->rows, a->heights, (uint16_t)(a->n_heights - 1));
    for (uint32_t i = 0; i < a->n_heights; i++) {
        if (i) kb_case_next(&k->b, sw);
        t->height = (int)a->heights[i];
        body(k, at, t);
    }
    kb_switch_end(&k->b, sw);
}

/* A body for `n` rows of a tile from `row` on (NULL: 0). */
typedef void rows_body(kernel *k, const attention_at *at, const row_tile *t, kvalue *row, int n);

/* Rows one after the other, where tiles are tall: code for each of their heights would be a third of the kernel. */
static void row_by_row(kernel *k, const attention_at *at, const row_tile *t, rows_body *body)
{
    if (!at->a->by_row) return;
    kop *rows = kb_for(&k->b, kidx_const(0), kidx_value(t->rows), 1, KMAP_SERIAL, 1, NULL, 0);
    body(k, at, t, k->b.block->args[0], 1);
    kb_for_end(&k->b, rows, NULL, 0);
}

/* Else all rows of a tile: none waits for another's result. */
static void rows_at_once(kernel *k, const attention_at *at, const row_tile *t, rows_body *body)
{
    if (!at->a->by_row) body(k, at, t, NULL, t->height);
}

static void scores_of_height(kernel *k, const attention_at *at, const row_tile *t)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    kidx last = t->to;
    if (a->halves) {
        kvalue *from = kidx_as_value(k, t->from), *to = kidx_as_value(k, t->to),
               *n = attention_op(k, KOP_SUB, to, from);
        n = attention_op_const(k, KOP_MUL, attention_op_const(k, KOP_DIV, n, a->panel), a->panel);
        last = kidx_value(attention_op(k, KOP_ADD, from, n));
    }
    kop *panels = kb_for(b, t->from, last, a->panel, KMAP_SERIAL, 1, NULL, 0);
    attention_scores_tile(k, at, t, b->block->args[0], a->panel);
    kb_for_end(b, panels, NULL, 0);
    if (a->halves) {
        kop *half = kb_for(b, last, t->to, a->lanes, KMAP_SERIAL, 1, NULL, 0);
        attention_scores_tile(k, at, t, b->block->args[0], a->lanes);
        kb_for_end(b, half, NULL, 0);
    }
    rows_at_once(k, at, t, attention_max);
}

static void scores_of(kernel *k, const attention_at *at, row_tile *t)
{
    if (!at->run.dense) {
        by_height(k, at, t, scores_of_height);
        return;
    }
    attention_at gaps = *at;
    gaps.run.gaps = true;
    kop *pick = kb_if(&k->b, at->run.dense);
    by_height(k, at, t, scores_of_height);
    kb_else(&k->b, pick, NULL, 0);
    by_height(k, &gaps, t, scores_of_height);
    kb_if_end(&k->b, pick, NULL, 0);
}

typedef struct {
    const attention_at *at;
    const row_tile *tile;
} values_pass;

static kvalue *values_columns(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    const values_pass *v = arg;
    attention_values_tile(k, v->at, v->tile, col, width, bounded, bound);
    return carried;
}

static void values_of(kernel *k, const attention_at *at, const row_tile *t)
{
    rows_at_once(k, at, t, attention_sum);
    values_pass v = {at, t};
    kvalue *full, *tail;
    for_columns(k, at->a->width, at->a->columns, NULL, NULL, values_columns, &v, &full, &tail);
}

/* A row tile (NULL: the only one) against the block of keys. */
static void tile_rows(kernel *k, const attention_at *at, kvalue *tile)
{
    const attention *a = at->a;
    row_tile t = {.row = row_of_tile(k, at, tile)};
    t.end = tile ? row_of_tile(k, at, attention_op_const(k, KOP_ADD, tile, 1)) : end_of_rows(k, at);
    t.rows = attention_op(k, KOP_SUB, t.end, t.row);
    t.keys = keys_of_rows(k, at, t.row, t.end);
    kvalue *lo = t.keys.some_lo ? attention_op_const(k, KOP_DIV, t.keys.some_lo, a->panel) : NULL;
    t.from = lo ? kidx_value(attention_op_const(k, KOP_MUL, lo, a->panel)) : kidx_const(0);
    int part = a->halves ? a->lanes : a->panel;
    t.to = kidx_value(attention_op_const(k, KOP_MUL, ceildiv(k, t.keys.some_hi, part), part));
    /* Of a tile that sees none of the block's keys nothing changes. */
    kop *some = a->online && attention_is_banded(a)
                    ? kb_if(&k->b, kb_map2(&k->b, KOP_LT, kidx_as_value(k, t.from), t.keys.some_hi))
                    : NULL;
    attention_pack_queries(k, at, &t);
    scores_of(k, at, &t);
    row_by_row(k, at, &t, attention_max);
    attention_weights(k, at, &t);
    row_by_row(k, at, &t, attention_sum);
    by_height(k, at, &t, values_of);
    if (some) kb_if_end(&k->b, some, NULL, 0);
}

/* ---- a task ---- */

/* All rows of a head. */
static void head_rows(kernel *k, attention_at *at)
{
    const attention *a = at->a;
    if (most(k->lw, a->tiles) <= 1) {
        tile_rows(k, at, NULL);
        return;
    }
    kop *tiles = kb_for(&k->b, kidx_value(at->tile0), kidx_value(at->tile1), 1, KMAP_SERIAL, 1, NULL, 0);
    tile_rows(k, at, k->b.block->args[0]);
    kb_for_end(&k->b, tiles, NULL, 0);
}

/* Calls body for each query head of the task. */
static void for_heads(kernel *k, attention_at *at, void (*body)(kernel *k, attention_at *at))
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    dim_ctx *dc = k->lw->m->dims;
    if (a->query_heads == dim_const(dc, 1)) {
        body(k, at);
        return;
    }
    kvalue *n = kb_dim(b, a->query_heads), *first = kb_map2(b, KOP_MUL, kidx_as_value(k, at->kv_head), n);
    kop *heads = kb_for(b, kidx_const(0), kidx_value(n), 1, KMAP_SERIAL, 1, NULL, 0);
    kvalue *i = b->block->args[0];
    at->head = kidx_value(kb_map2(b, KOP_ADD, first, i));
    at->state = kb_map2(b, KOP_MUL, i, kb_dim(b, dim_mul(dc, a->chunk_tiles, dim_const(dc, a->tile_rows))));
    body(k, at);
    kb_for_end(b, heads, NULL, 0);
}

static void key_block(kernel *k, attention_at *at)
{
    if (!at->a->direct) {
        attention_pack_keys(k, at);
        attention_pack_values(k, at);
    }
    for_heads(k, at, head_rows);
}

static kvalue *task_rows(kernel *k, const attention_at *at)
{
    kvalue *end = at->tile1 ? row_of_tile(k, at, at->tile1) : end_of_rows(k, at);
    return attention_op(k, KOP_SUB, end, at->row0);
}

static void end_head(kernel *k, attention_at *at)
{
    attention_end_rows(k, at, task_rows(k, at));
}

/* The keys that any row of the task sees. */
static void limit_keys(kernel *k, attention_at *at)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    at->key_lo = at->run.begin;
    at->key_hi = a->offsets ? at->run.end : kb_dim(b, a->keys);
    if (a->key_mask) attention_trim_keys(k, at);
    kvalue *row0 = a->row_heads ? NULL : at->row0;
    kvalue *last =
        a->row_heads ? NULL : attention_op_const(k, KOP_ADD, attention_op(k, KOP_ADD, task_rows(k, at), row0), -1);
    if (a->has_from) {
        kvalue *lo = attention_op(k, KOP_ADD, kb_dim(b, a->from), row0);
        at->key_lo = attention_op(k, KOP_MAX, lo, at->key_lo);
    }
    if (a->has_to) {
        kvalue *hi = attention_op_const(k, KOP_ADD, attention_op(k, KOP_ADD, kb_dim(b, a->to), last), 1);
        at->key_hi = attention_op(k, KOP_MIN, hi, at->key_hi);
    }
}

static void find_run(kernel *k, attention_at *at, kidx n)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    kidx after = {n.v, n.off + 1};
    at->batch = kidx_const(0);
    at->run.sequence = n;
    at->run.begin = kb_load(b, ktile_scalar(DT_I64), kmem_at(a->offsets, &n));
    at->run.end = kb_load(b, ktile_scalar(DT_I64), kmem_at(a->offsets, &after));
    kvalue *rows = attention_op(k, KOP_SUB, at->run.end, at->run.begin);
    at->run.tiles = ceildiv(k, rows, a->tile_rows);
    kvalue *some = kb_map2(b, KOP_MAX, at->run.tiles, kb_i64(b, 1));
    at->run.height = attention_op(k, KOP_DIV, rows, some);
    at->run.taller = attention_op(k, KOP_SUB, rows, attention_op(k, KOP_MUL, at->run.height, some));
}

/* The run has rows. */
static void find_gaps(kernel *k, attention_at *at)
{
    kbuilder *b = &k->b;
    kidx first = kidx_value(at->run.begin), last = kidx_plus(at->run.end, -1);
    kvalue *low = kb_load(b, ktile_scalar(DT_I64), kmem_at(at->a->positions, &first));
    kvalue *high = kb_load(b, ktile_scalar(DT_I64), kmem_at(at->a->positions, &last));
    at->run.shift = attention_op(k, KOP_SUB, low, at->run.begin);
    kvalue *rows = attention_op(k, KOP_SUB, at->run.end, at->run.begin);
    at->run.dense = kb_map2(b, KOP_LT, attention_op(k, KOP_SUB, high, low), rows);
}

static void task_of_keys(kernel *k, attention_at *at);

static void task(kernel *k, const attention *a, const kidx *place)
{
    kbuilder *b = &k->b;
    dim_ctx *dc = k->lw->m->dims;
    attention_at at = {.a = a, .batch = place[0], .kv_head = place[1], .head = place[1]};
    if (a->offsets) find_run(k, &at, place[0]);
    dim ratio = dim_floordiv(dc, a->heads, a->k->ty.buf.shape[1]);
    if (ratio != dim_const(dc, 1))
        at.kv_head = kidx_value(kb_map2(b, KOP_DIV, kidx_as_value(k, at.head), kb_dim(b, ratio)));
    at.tile1 = a->offsets ? at.run.tiles : kb_dim(b, a->tiles);
    at.row0 = at.run.begin;
    if (place[2].v) {
        at.tile0 = kb_map2(b, KOP_MUL, place[2].v, kb_dim(b, a->chunk_tiles));
        at.tile1 = kb_map2(b, KOP_MIN, kb_map2(b, KOP_ADD, at.tile0, kb_dim(b, a->chunk_tiles)), at.tile1);
        at.row0 = row_of_tile(k, &at, at.tile0);
    }
    if (!a->offsets) {
        task_of_keys(k, &at);
        return;
    }
    kop *some = kb_if(b, kb_map2(b, KOP_LT, at.tile0 ? at.tile0 : kb_i64(b, 0), at.tile1));
    task_of_keys(k, &at);
    kb_if_end(b, some, NULL, 0);
}

static void task_of_keys(kernel *k, attention_at *task)
{
    kbuilder *b = &k->b;
    dim_ctx *dc = k->lw->m->dims;
    attention_at at = *task;
    const attention *a = at.a;
    if (a->positions) find_gaps(k, &at);
    limit_keys(k, &at);
    if (!a->online) {
        at.first_key = at.key_lo;
        at.n_keys = attention_op(k, KOP_SUB, at.key_hi, at.key_lo);
        if (at.key_lo || attention_is_banded(a)) at.n_keys = attention_op(k, KOP_MAX, at.n_keys, NULL);
        key_block(k, &at);
        return;
    }
    kvalue *rows = task_rows(k, &at), *all = rows;
    if (a->query_heads != dim_const(dc, 1)) {
        dim before = dim_mul(dc, dim_sub(dc, a->query_heads, dim_const(dc, 1)),
                             dim_mul(dc, a->chunk_tiles, dim_const(dc, a->tile_rows)));
        all = attention_op(k, KOP_ADD, rows, kb_dim(b, before));
    }
    attention_begin_rows(k, &at, all);
    kop *blocks = kb_for(b, kidx_value(at.key_lo), kidx_value(at.key_hi), a->block_keys, KMAP_SERIAL, 1, NULL, 0);
    at.first_key = b->block->args[0];
    at.n_keys = attention_op_const(k, KOP_MIN, attention_op(k, KOP_SUB, at.key_hi, at.first_key), a->block_keys);
    key_block(k, &at);
    kb_for_end(b, blocks, NULL, 0);
    for_heads(k, &at, end_head);
}

/* ---- the kernel ---- */

static kvalue *bind_view(kernel *k, value *v, kaccess_mode mode)
{
    const lview *w = view_of(k->lw, v);
    return kernel_bind(k, w->base, w->offset, w->rank, w->shape, w->stride, mode);
}

/* A tensor [B, H, S, X] as [B, heads, rows, X]. */
static kvalue *bind_rows(kernel *k, const attention *a, value *v, kaccess_mode mode)
{
    if (!a->row_heads) return bind_view(k, v, mode);
    const lview *w = view_of(k->lw, v);
    dim shape[4] = {w->shape[0], a->heads, a->rows, w->shape[3]};
    dim stride[4] = {w->stride[0], dim_mul(k->lw->m->dims, w->stride[1], a->rows), w->stride[1], w->stride[3]};
    return kernel_bind(k, w->base, w->offset, 4, shape, stride, mode);
}

/* A mask that is the same for every query is one of keys. */
static void bind_mask(kernel *k, attention *a, value *v)
{
    const lview *w = view_of(k->lw, v);
    if (w->stride[1] != dim_const(k->lw->m->dims, 0)) {
        a->mask = bind_view(k, v, KACCESS_IN);
        return;
    }
    dim shape[2] = {w->shape[0], w->shape[2]}, stride[2] = {w->stride[0], w->stride[2]};
    a->key_mask = kernel_bind(k, w->base, w->offset, 2, shape, stride, KACCESS_IN);
}

/* n in the fewest parts of at most `most_of_one`, or of 1: the size of one when all are alike. */
static int64_t even_part(int64_t n, int64_t most_of_one)
{
    int64_t parts = most_of_one > 1 ? (n - 1) / most_of_one + 1 : n;
    return (n - 1) / parts + 1;
}

static void choose_schedule(lowering *lw, const node *n, attention *a)
{
    dim_ctx *dc = lw->m->dims;
    const dim *q = n->operands[0]->ty.shape, *kk = n->operands[1]->ty.shape, *vv = n->operands[2]->ty.shape;
    dim one = dim_const(dc, 1), ratio = dim_floordiv(dc, q[1], kk[1]);
    a->lanes = lw->target.vector_floats;
    a->panel = 2 * a->lanes;
    bool tall = lw->target.registers >= 32;
    a->tile_rows = tall ? 14 : 6;
    a->acc = accumulator_of(n->result->ty.dt);
    a->scale = node_attr(n, ATTR_SCALE)->u.real;
    a->unit = a->acc == DT_F32 ? 1 / log(2) : 1;
    a->rows = q[2];
    a->keys = kk[2];
    dim batch = q[0];
    if (attention_offsets(n)) { /* a run is part of a row of the mask */
        const dim *mask = attention_offsets(n)->def->operands[0]->ty.shape;
        batch = mask[0];
        a->rows = a->keys = dim_min(dc, q[2], mask[1]);
    }
    a->depth = q[3];
    a->width = vv[3];
    a->heads = q[1];
    a->query_heads = one;
    if (q[1] != kk[1] && q[2] == one) {
        a->row_heads = true;
        a->rows = ratio;
        a->heads = kk[1];
    } else if (q[1] != kk[1] && least(lw, batch) * least(lw, kk[1]) >= FEW_TASKS) {
        a->query_heads = ratio;
        a->heads = kk[1];
    }
    a->direct = most(lw, a->rows) <= a->tile_rows;
    a->halves = tall && !a->direct; /* of tiles that are not tall half has too few sums to hide its latency */
    /* Values read in place are read by all rows at once: the fewer these are, the more columns fit into registers. */
    int64_t rows = most(lw, a->rows);
    a->columns = a->direct && rows > 0 ? a->panel * (int)(a->tile_rows / rows) : a->panel;
    a->n_heights = tile_heights(lw, a->rows, a->tile_rows, a->heights);
    a->by_row = tall && a->n_heights > 1;
    a->tiles = dim_ceildiv(dc, a->rows, dim_const(dc, a->tile_rows));
    /* Half of the second-level cache is for packed keys and values, a quarter for the state of rows. */
    int64_t cache = lw->target.machine->l2_bytes / (int64_t)dtype_bytes(a->acc, 1);
    int64_t keys = cache / 2 / (most(lw, a->depth) + most(lw, a->width)) / (2 * a->panel) * (2 * a->panel);
    a->block_keys = keys < 2 * a->panel ? 2 * a->panel : keys > BLOCK_KEYS ? BLOCK_KEYS : keys;
    a->online = most(lw, a->keys) > a->block_keys;
    int64_t chunk = a->online ? cache / 4 / (most(lw, a->width) + 2) : CHUNK_ROWS;
    chunk = (chunk > CHUNK_ROWS ? CHUNK_ROWS : chunk) / most(lw, a->query_heads);
    chunk = (chunk + a->tile_rows - 1) / a->tile_rows;
    int64_t window = a->has_from && a->has_to ? most(lw, dim_sub(dc, a->to, a->from)) : INT64_MAX;
    if (a->online && window <= a->block_keys / 2) {
        /* A task of so few rows sees one block of keys, however many there are. */
        int64_t seen = a->block_keys - (window < 0 ? 0 : window);
        a->online = false;
        a->window = true;
        chunk = seen / most(lw, a->query_heads) / a->tile_rows;
    }
    a->chunk_tiles = a->tiles;
    if (most(lw, a->tiles) > chunk) a->chunk_tiles = dim_const(dc, even_part(most(lw, a->tiles), chunk));
}

static kvalue *scratch(kernel *k, const char *name, dtype dt, uint32_t rank, const dim *shape)
{
    return kb_alloc(&k->b, name, kbuffer_dense(dt, KSPACE_SCRATCH, rank, shape));
}

/* Elements from one row of scores to the next, for as many keys as there may be: with a distance that is known, one
 * register addresses all rows, where each would take its own (14 do not fit). The rows begin in sets of the first-level
 * cache that are spread evenly, however few keys there are: next to one another they would push each other out. */
static int64_t score_stride(lowering *lw, const attention *a, dim keys)
{
    int64_t line = LINE_BYTES / (int64_t)dtype_bytes(a->acc, 1), lines = (most(lw, keys) - 1) / line + 1;
    return (lines + ((ROW_SETS - lines) & (CACHE_SETS - 1))) * line;
}

static void make_scratch(kernel *k, attention *a)
{
    dim_ctx *dc = k->lw->m->dims;
    dim one = dim_const(dc, 1), panel = dim_const(dc, a->panel), lanes = dim_const(dc, a->lanes);
    dim rows = dim_const(dc, a->tile_rows), panels = dim_ceildiv(dc, a->keys, panel);
    if (a->online || a->window) panels = dim_const(dc, a->block_keys / a->panel);
    dim keys = dim_mul(dc, panels, panel), columns = dim_ceildiv(dc, a->width, panel);
    if (most(k->lw, a->rows) <= a->tile_rows) rows = a->rows;
    a->scores = scratch(k, "scores", a->acc, 2, (dim[]){rows, dim_const(dc, score_stride(k->lw, a, keys))});
    a->queries = scratch(k, "queries", a->acc, 2, (dim[]){rows, dim_mul(dc, dim_ceildiv(dc, a->depth, lanes), lanes)});
    a->shift = scratch(k, "shift", a->acc, 1, &rows);
    a->sums = scratch(k, "sums", a->acc, 2, (dim[]){rows, lanes});
    a->factor = scratch(k, "factor", a->acc, 1, &rows);
    if (!a->direct) {
        a->packed_k = scratch(k, "keys", a->acc, 3, (dim[]){panels, a->depth, panel});
        a->packed_v = scratch(k, "values", a->acc, 3, (dim[]){columns, keys, panel});
        a->note = scratch(k, "note", a->acc, 1, &one);
    }
    if (a->positions && a->bias) a->gathered = scratch(k, "gathered", a->acc, 2, (dim[]){rows, panel});
    if (a->key_mask) a->place = scratch(k, "place", DT_I64, 1, &one);
    if (!a->online) return;
    dim state = dim_mul(dc, a->query_heads, dim_mul(dc, a->chunk_tiles, dim_const(dc, a->tile_rows)));
    a->max = scratch(k, "max", a->acc, 1, &state);
    a->sum = scratch(k, "sum", a->acc, 1, &state);
    dim wide = dim_const(dc, a->columns);
    a->total = scratch(k, "total", a->acc, 2, (dim[]){state, dim_mul(dc, dim_ceildiv(dc, a->width, wide), wide)});
}

void lower_attention(lowering *lw, group *g)
{
    dim_ctx *dc = lw->m->dims;
    node *n = g->root;
    attention a = {0};
    attention_band band = attention_band_of(n);
    a.has_from = band.has_from;
    a.has_to = band.has_to;
    a.from = band.from;
    a.to = band.to;
    choose_schedule(lw, n, &a);
    if (a.n_heights == 0) return; /* never any row */
    kernel k = kernel_begin(lw, "attention", n);
    a.q = bind_rows(&k, &a, n->operands[0], KACCESS_IN);
    a.k = bind_view(&k, n->operands[1], KACCESS_IN);
    a.v = bind_view(&k, n->operands[2], KACCESS_IN);
    if (attention_mask(n)) bind_mask(&k, &a, attention_mask(n));
    if (attention_offsets(n)) a.offsets = bind_view(&k, attention_offsets(n), KACCESS_IN);
    if (attention_positions(n)) a.positions = bind_view(&k, attention_positions(n), KACCESS_IN);
    if (attention_bias(n)) a.bias = bind_rows(&k, &a, attention_bias(n), KACCESS_IN);
    a.out = bind_rows(&k, &a, n->result, KACCESS_OUT);

    dim axes[3] = {n->result->ty.shape[0], a.heads, dim_ceildiv(dc, a.tiles, a.chunk_tiles)};
    if (a.offsets) axes[0] = dim_sub(dc, a.offsets->ty.buf.shape[0], dim_const(dc, 1));
    if (a.chunk_tiles == a.tiles) axes[2] = dim_const(dc, 1);
    dim tasks = dim_mul(dc, axes[0], dim_mul(dc, axes[1], axes[2]));
    kop *loop = kb_for(&k.b, kidx_const(0), kidx_value(kb_dim(&k.b, tasks)), 1, KMAP_PARALLEL, 1, NULL, 0);
    kidx place[3];
    unflatten(&k, k.b.block->args[0], 3, axes, place);
    make_scratch(&k, &a);
    task(&k, &a, place);
    kb_for_end(&k.b, loop, NULL, 0);
    kernel_end(&k);
}
