/* What a task of attention copies before it computes: queries times the scale, keys turned into panels, values into
 * panels. */
#include "codegen/lower_attention.h"

/* ---- prefetching ---- */

#define MAX_LINES 16 /* of a row: heads of 256 floats */
#define AHEAD 32     /* so many keys before they are needed rows are fetched */

static int line_elements(const kvalue *buffer)
{
    return LINE_BYTES / (int)dtype_bytes(buffer->ty.buf.dt, 1);
}

void attention_prefetch_keys(kernel *k, const attention_at *at, kvalue *key, kidx d)
{
    const attention *a = at->a;
    int parts = line_elements(a->k) > a->lanes ? line_elements(a->k) / a->lanes : 1;
    kvalue *step = attention_op_const(k, KOP_DIV, kidx_as_value(k, d), a->lanes);
    kvalue *part = attention_op_const(k, KOP_MUL, attention_op_const(k, KOP_MOD, step, parts), a->panel / parts);
    kvalue *first = attention_op(k, KOP_ADD, key, part);
    for (int i = 0; i < a->panel / parts; i++) {
        kidx ahead[4] = {at->batch, at->kv_head, kidx_plus(first, AHEAD + i), d};
        kb_prefetch(&k->b, kmem_at(a->k, ahead), 1);
    }
}

void attention_prefetch_values(kernel *k, const attention_at *at, kvalue *key, kidx col, int width)
{
    const attention *a = at->a;
    for (int c = 0; c < width; c += line_elements(a->v)) {
        kidx ahead[4] = {at->batch, at->kv_head, kidx_plus(key, AHEAD), {col.v, col.off + c}};
        kb_prefetch(&k->b, kmem_at(a->v, ahead), 1);
    }
}

/* ---- queries ---- */

typedef struct {
    const attention_at *at;
    const row_tile *tile;
    kvalue *row;
} query_row;

static kvalue *query_columns(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    const query_row *r = arg;
    const attention *a = r->at->a;
    kbuilder *b = &k->b;
    kidx from[4] = {r->at->batch, r->at->head, kidx_value(r->row), col};
    kmem src = kmem_at(a->q, from);
    src.bounded[1] = bounded || width < a->lanes; /* rows are whole vectors in scratch, zeros behind the last element */
    src.bound[1] = bounded ? bound : kidx_const(width);
    width = a->lanes;
    kvalue *x = kb_cast(b, kb_load(b, row_type(a->q->ty.buf.dt, 1, width), src), a->acc);
    x = kb_map2(b, KOP_MUL, x, kb_const(b, row_type(a->acc, 1, 1), a->scale * a->unit));
    kvalue *local = attention_op(k, KOP_SUB, r->row, r->tile->row);
    kidx to[2] = {kidx_value(local), col};
    kb_store(b, x, kmem_at(a->queries, to));
    return carried;
}

static void prefetch_row(kernel *k, kvalue *buffer, kidx batch, kidx head, kidx row)
{
    int64_t n, step = line_elements(buffer);
    if (!dim_is_const(k->lw->m->dims, buffer->ty.buf.shape[3], &n)) return;
    for (int64_t c = 0; c < n && c < MAX_LINES * step; c += step) {
        kidx at[4] = {batch, head, row, kidx_const(c)};
        kb_prefetch(&k->b, kmem_at(buffer, at), 1);
    }
}

void attention_prefetch_rows(kernel *k, const attention_at *at, const row_tile *t, kvalue *local)
{
    const attention *a = at->a;
    if (a->direct) return;
    kvalue *row = attention_op(k, KOP_ADD, t->row, local);
    prefetch_row(k, a->q, at->batch, at->head, kidx_plus(row, a->tile_rows));
    if (!a->online) prefetch_row(k, a->out, at->batch, at->head, kidx_value(row));
}

void attention_pack_queries(kernel *k, const attention_at *at, const row_tile *t)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    kop *rows = kb_for(b, kidx_value(t->row), kidx_value(t->end), 1, KMAP_SERIAL, 1, NULL, 0);
    query_row r = {at, t, b->block->args[0]};
    kvalue *full, *tail;
    for_columns(k, a->depth, a->lanes, NULL, NULL, query_columns, &r, &full, &tail);
    kb_for_end(b, rows, NULL, 0);
}

/* ---- keys ---- */

typedef struct {
    const attention_at *at;
    kvalue *panel, *key, *left;
} key_panel;

/* packed_k[panel, d, j] = k[key + j, d], zero beyond the last key */
static kvalue *key_columns(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    const key_panel *p = arg;
    const attention *a = p->at->a;
    kbuilder *b = &k->b;
    kidx from[4] = {p->at->batch, p->at->kv_head, kidx_value(p->key), col};
    kmem src = kmem_at(a->k, from);
    attention_bound(&src, 0, p->left);
    src.bounded[1] = bounded;
    src.bound[1] = bound;
    kvalue *x = kb_cast(b, kb_load(b, row_type(a->k->ty.buf.dt, a->panel, width), src), a->acc);
    attention_prefetch_keys(k, p->at, p->key, col);
    kidx to[3] = {kidx_value(p->panel), col, kidx_const(0)};
    kmem dst = kmem_at(a->packed_k, to);
    dst.bounded[0] = bounded;
    dst.bound[0] = bound;
    kb_store(b, kb_transpose(b, x), dst);
    return carried;
}

void attention_pack_keys(kernel *k, const attention_at *at)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    kvalue *n = attention_op_const(k, KOP_DIV, attention_op_const(k, KOP_ADD, at->n_keys, a->panel - 1), a->panel);
    kop *panels = kb_for(b, kidx_const(0), kidx_value(n), 1, KMAP_SERIAL, 1, NULL, 0);
    key_panel p = {.at = at, .panel = b->block->args[0]};
    kvalue *local = attention_op_const(k, KOP_MUL, p.panel, a->panel);
    p.key = attention_op(k, KOP_ADD, local, at->first_key);
    p.left = attention_op(k, KOP_SUB, at->n_keys, local);
    kvalue *full, *tail;
    for_columns(k, a->depth, a->lanes, NULL, NULL, key_columns, &p, &full, &tail);
    kb_for_end(b, panels, NULL, 0);
}

/* ---- values ---- */

typedef struct {
    const attention_at *at;
    kvalue *j, *key; /* counted from the block's first key, and from 0 */
    kvalue *keep;    /* by the key mask, NULL: there is none */
} value_row;

/* packed_v[col / panel, j, c] = v[j, col + c], zeros behind the last column, and where the key mask is false: what
 * masked keys hold, NaN and infinities included, never meets a weight. */
static kvalue *value_columns(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    const value_row *r = arg;
    const attention *a = r->at->a;
    kbuilder *b = &k->b;
    kidx from[4] = {r->at->batch, r->at->kv_head, kidx_value(r->key), col};
    kmem src = kmem_at(a->v, from);
    src.bounded[1] = bounded || width < a->panel;
    src.bound[1] = bounded ? bound : kidx_const(width);
    kvalue *x = kb_cast(b, kb_load(b, row_type(a->v->ty.buf.dt, 1, a->panel), src), a->acc);
    attention_prefetch_values(k, r->at, r->key, col, width);
    if (r->keep) x = kb_map3(b, KOP_SELECT, r->keep, x, kb_const(b, row_type(a->acc, 1, 1), 0));
    kvalue *panel = attention_op_const(k, KOP_DIV, kidx_as_value(k, col), a->panel);
    kidx to[3] = {kidx_value(panel), kidx_value(r->j), kidx_const(0)};
    kb_store(b, x, kmem_at(a->packed_v, to));
    return carried;
}

/* Whether all packed values are finite: 0 times their sum is 0, and not NaN. */
static kvalue *all_finite(kernel *k, const attention_at *at)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    kvalue *panels = kb_dim(b, a->packed_v->ty.buf.shape[0]), *zero = kb_const(b, row_type(a->acc, 1, a->panel), 0);
    kop *outer = kb_for(b, kidx_const(0), kidx_value(panels), 1, KMAP_SERIAL, 1, &zero, 1);
    kvalue *panel = b->block->args[0], *sums = b->block->args[1];
    kop *inner = kb_for(b, kidx_const(0), kidx_value(at->n_keys), 1, KMAP_SERIAL, 4, &sums, 1);
    kidx v_at[3] = {kidx_value(panel), kidx_value(b->block->args[0]), kidx_const(0)};
    kvalue *x = kb_load(b, row_type(a->acc, 1, a->panel), kmem_at(a->packed_v, v_at));
    kvalue *next = kb_map3(b, KOP_FMA, x, kb_const(b, row_type(a->acc, 1, 1), 0), b->block->args[1]);
    kb_for_end(b, inner, &next, 1);
    kb_for_end(b, outer, &inner->results[0], 1);
    kidx first = kidx_const(0);
    kb_store(b, kb_reduce(b, KREDUCE_ADD, 1, outer->results[0]), kmem_at(a->note, &first));
    kvalue *poison = kb_load(b, ktile_scalar(a->acc), kmem_at(a->note, &first));
    return kb_map2(b, KOP_EQ, poison, poison);
}

/* A row at a time, with all its columns: rows lie pages apart. */
void attention_pack_values(kernel *k, attention_at *at)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    kop *rows = kb_for(b, kidx_const(0), kidx_value(at->n_keys), 1, KMAP_SERIAL, 1, NULL, 0);
    value_row r = {.at = at, .j = b->block->args[0]};
    r.key = attention_op(k, KOP_ADD, r.j, at->first_key);
    if (a->key_mask) {
        kidx m_at[2] = {at->batch, kidx_value(r.key)};
        r.keep = kb_load(b, row_type(DT_BOOL, 1, 1), kmem_at(a->key_mask, m_at));
    }
    kvalue *full, *tail;
    for_columns(k, a->width, a->panel, NULL, NULL, value_columns, &r, &full, &tail);
    kb_for_end(b, rows, NULL, 0);
    if (a->mask || attention_is_banded(a)) at->finite = all_finite(k, at);
}

/* ---- the ends of the key mask ---- */

#define MASK_KEYS 32

/* A tile's only element as a scalar. It is within 0 and n already; said again, it is known to the cost model, which
 * does not look into memory. */
static kvalue *key_from(kernel *k, const attention *a, kvalue *tile, kvalue *n)
{
    kidx first = kidx_const(0);
    kb_store(&k->b, tile, kmem_at(a->place, &first));
    kvalue *key = kb_load(&k->b, ktile_scalar(DT_I64), kmem_at(a->place, &first));
    return attention_op(k, KOP_MAX, attention_op(k, KOP_MIN, key, n), NULL);
}

void attention_trim_keys(kernel *k, attention_at *at)
{
    const attention *a = at->a;
    kbuilder *b = &k->b;
    ktile wide = row_type(DT_I64, 1, MASK_KEYS), one = row_type(DT_I64, 1, 1);
    kvalue *n = kb_dim(b, a->keys), *none = kb_int(b, wide, 0);
    kvalue *start = kb_map2(b, KOP_ADD, none, n); /* lowest key: behind the last, highest end: 0 */
    kvalue *ends[2] = {start, none};
    kop *scan = kb_for(b, kidx_const(0), kidx_value(n), MASK_KEYS, KMAP_SERIAL, 1, ends, 2);
    kvalue *key = b->block->args[0], *lo = b->block->args[1], *hi = b->block->args[2];
    kidx m_at[2] = {at->batch, kidx_value(key)};
    kmem m = kmem_at(a->key_mask, m_at);
    attention_bound(&m, 1, attention_op(k, KOP_SUB, n, key));
    kvalue *keep = kb_load(b, row_type(DT_BOOL, 1, MASK_KEYS), m);
    kvalue *j = kb_map2(b, KOP_ADD, kb_iota(b, wide, 1), key);
    kvalue *next[2] = {
        kb_map2(b, KOP_MIN, lo, kb_map3(b, KOP_SELECT, keep, j, start)),
        kb_map2(b, KOP_MAX, hi, kb_map3(b, KOP_SELECT, keep, kb_map2(b, KOP_ADD, j, kb_int(b, one, 1)), none))};
    kb_for_end(b, scan, next, 2);
    at->key_lo = key_from(k, a, kb_reduce(b, KREDUCE_MIN, 1, scan->results[0]), n);
    at->key_hi = key_from(k, a, kb_reduce(b, KREDUCE_MAX, 1, scan->results[1]), n);
}
