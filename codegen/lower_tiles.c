/* Row tiles: rows of a result cut into register tiles whose heights differ by at most one, so that none is nearly
 * empty. Which heights can occur is found by trying the dims' values: a model of fixed size has code for one or two. */
#include "codegen/lower_internal.h"

static void note_heights(bool *seen, int64_t rows, int max)
{
    if (rows <= 0) return;
    int64_t tiles = (rows + max - 1) / max;
    seen[rows / tiles] = true;
    if (rows % tiles) seen[rows / tiles + 1] = true;
}

uint32_t tile_heights(lowering *lw, dim rows, int max, int64_t *heights)
{
    dim_ctx *dc = lw->m->dims;
    bool seen[64] = {false};
    int64_t fixed;
    int32_t only = -1;
    uint32_t symbols = dim_symbol_count(dc), used = 0;
    for (uint32_t i = 0; i < symbols; i++)
        if (dim_uses(dc, rows, i)) only = (int32_t)i, used++;
    const dim_symbol *s = used == 1 ? dim_symbol_at(dc, (uint32_t)only) : NULL;
    if (dim_is_const(dc, rows, &fixed)) {
        note_heights(seen, fixed, max);
    } else if (s && s->max - s->min < 65536) {
        int64_t *values = ARENA_ARRAY(lw->a, int64_t, symbols), m;
        for (values[only] = s->min; values[only] <= s->max; values[only]++)
            if (dim_eval(dc, rows, values, &m)) note_heights(seen, m, max);
    } else { /* from max * max rows on no tile is lower than max - 1 */
        int64_t lo, hi, square = (int64_t)max * max;
        dim_bounds(dc, rows, &lo, &hi);
        int64_t first = lo < square ? lo : square, end = square + max;
        for (int64_t m = first; m <= hi && m <= end; m++) note_heights(seen, m, max);
    }
    uint32_t n = 0;
    for (int h = 1; h <= max; h++)
        if (seen[h]) heights[n++] = h;
    return n;
}

/* The first row of tile t: the first `extra` tiles have a row more than `height`. */
static kvalue *first_row(kbuilder *b, kvalue *t, kvalue *height, kvalue *extra)
{
    return kb_map2(b, KOP_ADD, kb_map2(b, KOP_MUL, t, height), kb_map2(b, KOP_MIN, t, extra));
}

row_tiles row_tiles_of(kernel *k, dim rows, int max)
{
    dim_ctx *dc = k->lw->m->dims;
    kbuilder *b = &k->b;
    row_tiles r = {0};
    r.n_heights = tile_heights(k->lw, rows, max, r.heights);
    dim count = dim_ceildiv(dc, rows, dim_const(dc, max));
    r.count = kb_dim(b, count);
    kvalue *m = kb_dim(b, rows), *some = kb_map2(b, KOP_MAX, r.count, kb_i64(b, 1));
    r.height = kb_map2(b, KOP_DIV, m, some);
    r.extra = kb_map2(b, KOP_SUB, m, kb_map2(b, KOP_MUL, r.height, some));
    return r;
}

kvalue *row_tiles_first(kernel *k, const row_tiles *r, kvalue *t)
{
    return first_row(&k->b, t, r->height, r->extra);
}

void for_row_tiles(kernel *k, const row_tiles *r, kvalue *first, kvalue *end, row_tile_body *body, void *arg)
{
    kbuilder *b = &k->b;
    if (r->n_heights == 0) return; /* never any row */
    kop *loop = kb_for(b, kidx_value(first), kidx_value(end), 1, KMAP_SERIAL, 1, NULL, 0);
    kvalue *t = b->block->args[0], *taller = kb_cast(b, kb_map2(b, KOP_LT, t, r->extra), DT_I64);
    body(k, arg, row_tiles_first(k, r, t), kb_map2(b, KOP_ADD, r->height, taller));
    kb_for_end(b, loop, NULL, 0);
}

void row_tiles_by_height(kernel *k, const row_tiles *r, kvalue *height, height_body *body, void *arg)
{
    kbuilder *b = &k->b;
    kop *sw = r->n_heights > 1 ? kb_switch(b, height, r->heights, (uint16_t)(r->n_heights - 1)) : NULL;
    for (uint32_t i = 0; i < r->n_heights; i++) {
        if (i) kb_case_next(b, sw);
        body(k, arg, (int)r->heights[i]);
    }
    if (sw) kb_switch_end(b, sw);
}
