/* Contractions with constant weights [N, K], by the loops of schedule.h. The weights are stored in panels of 16
 * columns, [ceildiv(N, 16)][K][16], whatever the schedule. Partial sums wait in scratch between the blocks of K; the
 * last block finishes them and runs the epilogue in registers.
 *
 * Runs of SUM_RUN products are summed on their own and then added up: a rounding error passes through K / SUM_RUN
 * further additions and not through up to K of them.
 *
 * A product of an activation and a gate reads both halves of the columns. Then a panel has MATMUL_HALF columns of
 * either, and the epilogue takes the sums apart through the stack. Panels of one half and of the other in turn would
 * not need that, and made 16 rows a fifth slower: with vectors of 8 a tile then uses half of each line it reads.
 *
 * Few rows use each weight too seldom to hide its way from memory behind sums: then a tile takes more columns, and
 * reads two panels at once. */
#include "codegen/lower_matmul.h"

#define SUM_RUN 384
#define TAILS_FROM 50 /* narrower tiles for the last columns where whole ones add a part in so many, or more */
#define PACE_BITS 24
#define ROUND_SUMS 28 /* multiply-adds of a vector that hide the rest of a loop's round */

static void prefetch_step(kernel *k, const matmul *mm, kvalue *step)
{
    for (int p = 0; p < mm->pieces; p++) {
        kidx far[3] = {kidx_plus(mm->panel[p], mm->pieces), kidx_value(step), mm->part};
        kb_prefetch(&k->b, kmem_at(mm->w, far), mm->s.level);
    }
}

/* Prefetches the same steps of the columns after these, spread over the tiles of the chunk: as great a part of them as
 * is done here. That is `before` rows times steps, and `done` steps of the tile, of which `unroll` are next. */
static void prefetch_next(kernel *k, const matmul *mm, int height, int unroll, kvalue *before, kvalue *done)
{
    kbuilder *b = &k->b;
    if (mm->s.level == 0) return;
    kvalue *bits = kb_i64(b, PACE_BITS), *rows = kb_i64(b, height), *round = kb_i64(b, unroll * height);
    kvalue *part = kb_map2(b, KOP_MUL, kb_map2(b, KOP_ADD, before, kb_map2(b, KOP_MUL, done, rows)), mm->pace);
    kvalue *at = kb_map2(b, KOP_ADD, kidx_as_value(k, mm->lo), kb_map2(b, KOP_SHR, part, bits));
    prefetch_step(k, mm, at);
    kvalue *up = kb_i64(b, (1 << PACE_BITS) - 1), *each = kb_map2(b, KOP_MUL, round, mm->pace);
    kvalue *steps = kb_map2(b, KOP_SHR, kb_map2(b, KOP_ADD, each, up), bits);
    kop *more = kb_for(b, kidx_const(1), kidx_value(steps), 1, KMAP_SERIAL, 1, NULL, 0);
    prefetch_step(k, mm, kb_map2(b, KOP_ADD, at, b->block->args[0]));
    kb_for_end(b, more, NULL, 0);
}

/* acc + x[row .. row + height, lo .. hi] w[lo .. hi, the tile's columns], steps of k unrolled by `unroll` */
static void matmul_steps(kernel *k, const matmul *mm, kvalue *row, int height, kidx lo, kidx hi, int unroll,
                         kvalue **acc)
{
    kbuilder *b = &k->b;
    dtype wt = mm->w->ty.buf.dt, xt = mm->x->ty.buf.dt;
    kop *loop = kb_for(b, lo, hi, 1, KMAP_SERIAL, unroll, acc, (uint32_t)mm->pieces);
    kvalue *i = b->block->args[0], *next[MATMUL_PIECES];
    kidx at_x[2] = {kidx_value(row), kidx_value(i)};
    kvalue *xv = kb_cast(b, kb_load(b, ktile_make(xt, height, 1, KL_VEC), kmem_at(mm->x, at_x)), mm->acc);
    /* Contractions of one left operand, side by side, are emitted row by row. */
    kvalue *wv[MATMUL_PIECES];
    for (int p = 0; p < mm->pieces; p++) {
        kidx at_w[3] = {kidx_value(mm->panel[p]), kidx_value(i), mm->part};
        wv[p] = kb_cast(b, kb_load(b, ktile_make(wt, 1, mm->width, KL_VEC), kmem_at(mm->w, at_w)), mm->acc);
    }
    for (int p = 0; p < mm->pieces; p++) next[p] = kb_contract(b, loop->blocks[0]->args[1 + p], xv, wv[p]);
    kb_for_end(b, loop, next, (uint32_t)mm->pieces);
    for (int p = 0; p < mm->pieces; p++) acc[p] = loop->results[p];
}

/* How many steps a round of a tile's loop has: no more than hide the rest of it, since each is code. */
static int steps_a_round(const kernel *k, const matmul *mm, int height)
{
    int lanes = k->lw->target.vector_floats * 4 / (int)dtype_bytes(mm->acc, 1), steps = MATMUL_STEPS;
    int sums = height * mm->pieces * ((mm->width + lanes - 1) / lanes);
    while (steps > 2 && steps / 2 * sums >= ROUND_SUMS) steps /= 2;
    return steps;
}

static kvalue *row_in_chunk(kernel *k, const matmul *mm, kvalue *row0)
{
    return kb_map2(&k->b, KOP_SUB, row0, mm->row_first);
}

/* A row tile. */
typedef struct {
    const matmul *mm;
    kvalue *row0;
} tile;

/* A row's sums of a piece where they wait for what follows. */
static kmem waiting_at(const matmul *mm, kidx row, int piece)
{
    return kmem_at(mm->waiting, (kidx[2]){row, kidx_const(piece * mm->width)});
}

/* Steps of the block that are summed in whole runs. */
static int64_t steps_in_runs(const matmul *mm)
{
    return mm->len < 2 * SUM_RUN ? 0 : mm->len / SUM_RUN * SUM_RUN;
}

/* The sums of a tile over steps first .. first + len - 1 of the block: they wait, or are added to those that do. */
static void run_sums(kernel *k, const tile *t, int height, kidx first, int64_t len)
{
    const matmul *mm = t->mm;
    kbuilder *b = &k->b;
    uint32_t n = (uint32_t)mm->pieces;
    kvalue *row = mm->x_of_chunk ? row_in_chunk(k, mm, t->row0) : t->row0, *acc[MATMUL_PIECES];
    kvalue *before = kb_map2(b, KOP_MUL, row_in_chunk(k, mm, t->row0), kb_i64(b, mm->len));
    int unroll = steps_a_round(k, mm, height);
    int64_t whole = len / unroll * unroll;
    kvalue *block = kidx_as_value(k, mm->lo), *lo = kb_map2(b, KOP_ADD, block, kidx_as_value(k, first));
    for (uint32_t p = 0; p < n; p++) acc[p] = kb_const(b, ktile_make(mm->acc, height, mm->width, KL_VEC), 0);
    if (whole) {
        kop *loop = kb_for(b, kidx_value(lo), kidx_plus(lo, whole), unroll, KMAP_SERIAL, 1, acc, n);
        kvalue *at = b->block->args[0];
        for (uint32_t p = 0; p < n; p++) acc[p] = b->block->args[1 + p];
        prefetch_next(k, mm, height, unroll, before, kb_map2(b, KOP_SUB, at, block));
        matmul_steps(k, mm, row, height, kidx_value(at), kidx_plus(at, unroll), unroll, acc);
        kb_for_end(b, loop, acc, n);
        for (uint32_t p = 0; p < n; p++) acc[p] = loop->results[p];
    }
    if (whole < len) matmul_steps(k, mm, row, height, kidx_plus(lo, whole), kidx_plus(lo, len), 1, acc);
    for (int p = 0; p < mm->pieces; p++) {
        kmem to = waiting_at(mm, kidx_const(0), p);
        if (steps_in_runs(mm)) acc[p] = kb_map2(b, KOP_ADD, kb_load(b, acc[p]->ty.tile, to), acc[p]);
        kb_store(b, acc[p], to);
    }
}

static void tile_sums(kernel *k, void *arg, int height)
{
    const tile *t = arg;
    kbuilder *b = &k->b;
    int64_t whole = steps_in_runs(t->mm), rest = t->mm->len - whole;
    if (whole) {
        kop *runs = kb_for(b, kidx_const(0), kidx_const(whole), SUM_RUN, KMAP_SERIAL, 1, NULL, 0);
        run_sums(k, t, height, kidx_value(b->block->args[0]), SUM_RUN);
        kb_for_end(b, runs, NULL, 0);
    }
    if (rest || !whole) run_sums(k, t, height, kidx_const(whole), rest);
}

/* ---- behind the sums ---- */

static kmem partial_at(kernel *k, const matmul *mm, kvalue *row, int piece)
{
    kvalue *col = kb_map2(&k->b, KOP_SUB, mm->col, mm->col_first);
    return kmem_at(mm->partial, (kidx[2]){kidx_value(row_in_chunk(k, mm, row)), kidx_plus(col, piece * mm->width)});
}

/* The sums of the blocks before this one are in scratch: adds them. */
static void add_partial(kernel *k, const matmul *mm, kvalue *row, kvalue **acc)
{
    kbuilder *b = &k->b;
    kop *some = mm->which == BLOCK_LAST ? NULL : kb_if(b, mm->not_first);
    kvalue *sum[MATMUL_PIECES];
    for (int p = 0; p < mm->pieces; p++)
        sum[p] = kb_map2(b, KOP_ADD, kb_load(b, acc[p]->ty.tile, partial_at(k, mm, row, p)), acc[p]);
    if (some) {
        kb_else(b, some, sum, (uint32_t)mm->pieces);
        kb_if_end(b, some, acc, (uint32_t)mm->pieces);
    }
    for (int p = 0; p < mm->pieces; p++) acc[p] = some ? some->results[p] : sum[p];
}

/* Evaluates what follows the sums and stores it. */
static void store_result(kernel *k, const matmul *mm, const tile_at *t)
{
    if (mm->to) tile_keep(k, &mm->tp, t, mm->to);
    else tile_store(k, &mm->tp, t);
}

/* The epilogue of a piece that is MATMUL_HALF columns of one half, then as many of the other: taken apart where they
 * wait. */
static void halves_store(kernel *k, const matmul *mm, kvalue *row, int piece, kmem waiting, kvalue *acc)
{
    kbuilder *b = &k->b;
    tile_at t = {.rows = 1, .cols = MATMUL_HALF};
    kb_store(b, acc, waiting);
    for (int h = 0; h < 2; h++, waiting.idx[1].off += MATMUL_HALF) {
        kvalue *sums = kb_load(b, ktile_make(mm->acc, t.rows, MATMUL_HALF, KL_VEC), waiting);
        t.known[h].v = mm->half[h];
        t.known[h].tile = kb_cast(b, sums, mm->root->result->ty.dt);
    }
    t.at[0] = kidx_value(row);
    t.at[1] = kidx_plus(kb_map2(b, KOP_DIV, mm->col, kb_i64(b, 2)), piece * MATMUL_HALF);
    t.cols_bounded = mm->beyond;
    if (t.cols_bounded) t.col_bound = kidx_value(kb_map2(b, KOP_SUB, kb_i64(b, mm->n / 2), kidx_as_value(k, t.at[1])));
    store_result(k, mm, &t);
}

/* The epilogue of a piece. */
static void piece_store(kernel *k, const matmul *mm, kvalue *row, int p, kvalue *acc)
{
    kbuilder *b = &k->b;
    tile_at t = {.rows = 1, .cols = mm->width};
    t.known[0].v = mm->root->result;
    t.known[0].tile = kb_cast(b, acc, mm->root->result->ty.dt);
    t.at[0] = kidx_value(row);
    t.at[1] = kidx_plus(mm->col, p * mm->width);
    t.cols_bounded = mm->beyond;
    if (t.cols_bounded) t.col_bound = kidx_plus(kb_map2(b, KOP_SUB, kb_i64(b, mm->n), mm->col), -p * mm->width);
    store_result(k, mm, &t);
}

/* A row of a tile whose sums are there: on to the next block of K, or through the epilogue. */
static void tile_row(kernel *k, const matmul *mm, kvalue *row, kidx in_tile)
{
    kbuilder *b = &k->b;
    kvalue *acc[MATMUL_PIECES];
    for (int p = 0; p < mm->pieces; p++)
        acc[p] = kb_load(b, ktile_make(mm->acc, 1, mm->width, KL_VEC), waiting_at(mm, in_tile, p));
    if (mm->not_first) add_partial(k, mm, row, acc);
    kop *waits = mm->which == BLOCK_ANY ? kb_if(b, mm->more) : NULL;
    if (mm->which != BLOCK_LAST)
        for (int p = 0; p < mm->pieces; p++) kb_store(b, acc[p], partial_at(k, mm, row, p));
    if (waits) kb_else(b, waits, NULL, 0);
    for (int p = 0; p < mm->pieces && mm->which != BLOCK_BEFORE; p++) {
        if (mm->half) halves_store(k, mm, row, p, waiting_at(mm, in_tile, p), acc[p]);
        else piece_store(k, mm, row, p, acc[p]);
    }
    if (waits) kb_if_end(b, waits, NULL, 0);
}

/* A tile over the block. What is not in loops over K goes row by row: its code is there once and not for each row of
 * each height. */
static void matmul_tile(kernel *k, const matmul *mm, const row_tiles *heights, kvalue *row0, kvalue *height)
{
    kbuilder *b = &k->b;
    tile t = {mm, row0};
    if (steps_in_runs(mm)) {
        kop *zeros = kb_for(b, kidx_const(0), kidx_value(height), 1, KMAP_SERIAL, 1, NULL, 0);
        kvalue *zero = kb_const(b, ktile_make(mm->acc, 1, mm->width, KL_VEC), 0);
        for (int p = 0; p < mm->pieces; p++) kb_store(b, zero, waiting_at(mm, kidx_value(b->block->args[0]), p));
        kb_for_end(b, zeros, NULL, 0);
    }
    row_tiles_by_height(k, heights, height, tile_sums, &t);
    kop *rows = kb_for(b, kidx_const(0), kidx_value(height), 1, KMAP_SERIAL, 1, NULL, 0);
    kvalue *row = b->block->args[0];
    tile_row(k, mm, kb_map2(b, KOP_ADD, row0, row), kidx_value(row));
    kb_for_end(b, rows, NULL, 0);
}

void matmul_one_block(kernel *k, matmul *mm, kidx lo, int64_t len, which_block which, matmul_block *body, void *arg)
{
    mm->lo = lo;
    mm->len = len;
    mm->which = which;
    body(k, mm, arg);
}

/* The last block by itself where it is shorter. */
void matmul_blocks(kernel *k, matmul *mm, matmul_block *body, void *arg)
{
    kbuilder *b = &k->b;
    int64_t blocks = mm->depth ? (mm->depth + mm->s.depth - 1) / mm->s.depth : 1, before = (blocks - 1) * mm->s.depth;
    int64_t rest = mm->depth - before; /* in the last block */
    bool equal = rest == mm->s.depth;
    mm->not_first = NULL;
    if (blocks > 1) {
        kop *loop =
            kb_for(b, kidx_const(0), kidx_const(equal ? mm->depth : before), mm->s.depth, KMAP_SERIAL, 1, NULL, 0);
        kvalue *lo = b->block->args[0];
        mm->not_first = kb_map2(b, KOP_GT, lo, kb_i64(b, 0));
        if (equal) mm->more = kb_map2(b, KOP_LT, lo, kb_i64(b, before));
        matmul_one_block(k, mm, kidx_value(lo), mm->s.depth, equal ? BLOCK_ANY : BLOCK_BEFORE, body, arg);
        kb_for_end(b, loop, NULL, 0);
        if (equal) return;
    }
    matmul_one_block(k, mm, kidx_const(before), rest, BLOCK_LAST, body, arg);
}

/* How many rows a chunk has decides how fast the next weights must come. */
static void set_rows(kernel *k, matmul *mm, kvalue *first, kvalue *rows)
{
    kbuilder *b = &k->b;
    mm->row_first = first;
    mm->pace = kb_map2(b, KOP_DIV, kb_i64(b, 1 << PACE_BITS), kb_map2(b, KOP_MAX, rows, kb_i64(b, 1)));
}

/* The columns of the tile: `cols` from `col` on, of `end` in the matmul. */
static void set_columns(kernel *k, matmul *mm, kvalue *col, int cols, int64_t end)
{
    kbuilder *b = &k->b;
    mm->width = cols < MATMUL_PANEL ? cols : MATMUL_PANEL;
    mm->pieces = cols / mm->width;
    mm->beyond = end % cols != 0;
    mm->col = col;
    kvalue *panel = kb_i64(b, MATMUL_PANEL);
    mm->panel[0] = kb_map2(b, KOP_DIV, col, panel);
    mm->part = cols < MATMUL_PANEL ? kidx_value(kb_map2(b, KOP_MOD, col, panel)) : kidx_const(0);
    /* The last tile may lack its second panel: what is read instead is not stored. */
    kvalue *last = kb_i64(b, (mm->n - 1) / MATMUL_PANEL);
    for (int p = 1; p < mm->pieces; p++)
        mm->panel[p] = kb_map2(b, KOP_MIN, kb_map2(b, KOP_ADD, mm->panel[0], kb_i64(b, p)), last);
}

/* Opens a loop over the columns of a task that are before `end`, `cols` at a time. */
static kop *columns_begin(kernel *k, matmul *mm, int cols, int64_t end)
{
    kbuilder *b = &k->b;
    kvalue *before = kb_i64(b, end + cols - 1), *each = kb_i64(b, cols);
    if (mm->col_end) before = kb_map2(b, KOP_ADD, mm->col_end, kb_i64(b, cols - 1));
    kvalue *units = kb_map2(b, KOP_DIV, kb_map2(b, KOP_SUB, before, mm->col_first), each);
    if (!mm->col_end) units = kb_map2(b, KOP_MIN, units, kb_i64(b, mm->s.group / cols));
    kop *loop = kb_for(b, kidx_const(0), kidx_value(units), 1, KMAP_SERIAL, 1, NULL, 0);
    set_columns(k, mm, kb_map2(b, KOP_ADD, mm->col_first, kb_map2(b, KOP_MUL, b->block->args[0], each)), cols, end);
    return loop;
}

/* Half a vector, where vectors have 16 elements: one of 8 takes half the time on processors that split these. */
static int narrowest(const matmul *mm)
{
    return mm->s.cols / 2 < MATMUL_HALF ? mm->s.cols / 2 : MATMUL_HALF;
}

/* The last columns get tiles of their own, as narrow as will do, where whole tiles would add much to the work. Returns
 * how many columns are before them. */
static int64_t columns_of_whole_tiles(const matmul *mm)
{
    int64_t rest = mm->n % mm->s.cols, missing = rest ? mm->s.cols - rest : 0;
    bool apart = !mm->half && !mm->col_end && missing >= narrowest(mm) && missing * TAILS_FROM > mm->n;
    return apart ? mm->n - rest : mm->n;
}

typedef struct {
    const matmul *mm;
    const row_tiles *heights;
} tiles_of;

static void any_tile(kernel *k, void *arg, kvalue *row0, kvalue *height)
{
    const tiles_of *t = arg;
    matmul_tile(k, t->mm, t->heights, row0, height);
}

void matmul_chunk_block(kernel *k, matmul *mm, void *range)
{
    kbuilder *b = &k->b;
    const tile_range *r = range;
    tiles_of t = {mm, &r->tiles};
    int64_t at = columns_of_whole_tiles(mm);
    if (at > 0) {
        kop *loop = columns_begin(k, mm, mm->s.cols, at);
        for_row_tiles(k, &r->tiles, r->first, r->end, any_tile, &t);
        kb_for_end(b, loop, NULL, 0);
    }
    if (at == mm->n) return;
    kvalue *end = kb_map2(b, KOP_ADD, mm->col_first, kb_i64(b, mm->s.group));
    kop *last = kb_if(b, kb_map2(b, KOP_GE, end, kb_i64(b, mm->n)));
    for (int cols = mm->s.cols / 2; at < mm->n; cols /= 2) {
        /* The next width takes what is left, unless that is more than it has. */
        bool taken = cols == narrowest(mm) || mm->n - at > cols / 2;
        if (!taken) continue;
        set_columns(k, mm, kb_i64(b, at), cols, mm->n - at < cols ? mm->n : at + cols);
        for_row_tiles(k, &r->tiles, r->first, r->end, any_tile, &t);
        at += cols;
    }
    kb_if_end(b, last, NULL, 0);
}

/* A block for few rows, which are all there are: MATMUL_WIDE columns a tile. */
static void wide_block(kernel *k, matmul *mm, void *arg)
{
    const int *rows = arg;
    row_tiles one = {.n_heights = 1, .heights = {*rows}};
    kop *loop = columns_begin(k, mm, MATMUL_WIDE, mm->n);
    matmul_tile(k, mm, &one, kb_i64(&k->b, 0), kb_i64(&k->b, *rows));
    kb_for_end(&k->b, loop, NULL, 0);
}

/* A view's axes in another order, merged to [rows, k]. False when they do not merge. */
static bool merge_view(lowering *lw, const lview *w, const int *rows, int n_rows, const int *k, int n_k, dim *shape,
                       dim *stride)
{
    dim_ctx *dc = lw->m->dims;
    lview p = *w;
    for (int i = 0; i < n_rows + n_k; i++) {
        int axis = i < n_rows ? rows[i] : k[i - n_rows];
        p.shape[i] = w->shape[axis];
        p.stride[i] = w->stride[axis];
    }
    if (!view_collapses(lw, &p, 0, n_rows - 1) || !view_collapses(lw, &p, n_rows, n_rows + n_k - 1)) return false;
    for (int half = 0; half < 2; half++) {
        shape[half] = dim_const(dc, 1);
        stride[half] = dim_const(dc, 0);
        for (int i = half ? n_rows : 0; i < (half ? n_rows + n_k : n_rows); i++) {
            int64_t one;
            shape[half] = dim_mul(dc, shape[half], p.shape[i]);
            if (!(dim_is_const(dc, p.shape[i], &one) && one == 1)) stride[half] = p.stride[i];
        }
    }
    return true;
}

/* The weights as [N, K] in the order of the rows' sums, or NULL when y is not constant. */
static const cexpr *weights_nk(lowering *lw, const node *n, const roles *r)
{
    const cexpr *e = constant_of(lw, n->operands[1 - r->x]);
    if (!e || !dtype_is_float(e->dt)) return NULL;
    uint8_t perm[MAX_RANK];
    int64_t shape[2] = {1, 1};
    for (int i = 0; i < r->n_n; i++) {
        perm[i] = (uint8_t)r->n_axis[i];
        shape[0] *= e->shape[r->n_axis[i]];
    }
    for (int i = 0; i < r->n_k; i++) {
        perm[r->n_n + i] = (uint8_t)r->ky[i];
        shape[1] *= e->shape[r->ky[i]];
    }
    return cexpr_reshape(lw->a, cexpr_transpose(lw->a, e, perm), 2, shape);
}

/* The rows [N, K] with MATMUL_HALF of one half and of the other in turn. */
static const cexpr *interleaved(arena *a, const cexpr *e)
{
    int64_t n = e->shape[0], k = e->shape[1];
    const cexpr *cut = cexpr_reshape(a, e, 4, (int64_t[]){2, n / MATMUL_PANEL, MATMUL_HALF, k});
    return cexpr_reshape(a, cexpr_transpose(a, cut, (const uint8_t[]){1, 0, 2, 3}), 2, (int64_t[]){n, k});
}

static const char *weight_path(const value *v)
{
    while (v->def && v->def->n_operands) v = v->def->operands[0];
    return v->def && v->def->op == OP_PARAM ? node_attr(v->def, ATTR_PARAM)->u.p->path : NULL;
}

static bool is_wide(lowering *lw, dim rows, int most, int64_t *heights, uint32_t *n)
{
    int64_t lo, hi;
    dim_bounds(lw->m->dims, rows, &lo, &hi);
    *n = 0;
    for (int64_t h = lo > 1 ? lo : 1; h <= hi && h <= most; h++) heights[(*n)++] = h;
    return *n > 0;
}

tile_range matmul_chunk(kernel *k, matmul *mm, const row_tiles *tiles, kvalue *chunk, kvalue *chunks)
{
    kbuilder *b = &k->b;
    tile_range r = {.tiles = *tiles};
    kvalue *after = kb_map2(b, KOP_ADD, chunk, kb_i64(b, 1));
    r.first = kb_map2(b, KOP_DIV, kb_map2(b, KOP_MUL, chunk, r.tiles.count), chunks);
    r.end = kb_map2(b, KOP_DIV, kb_map2(b, KOP_MUL, after, r.tiles.count), chunks);
    kvalue *row0 = row_tiles_first(k, &r.tiles, r.first), *row1 = row_tiles_first(k, &r.tiles, r.end);
    r.row_first = row0;
    r.row_end = row1;
    set_rows(k, mm, row0, kb_map2(b, KOP_SUB, row1, row0));
    return r;
}

/* A task: some of the columns for a chunk of the rows. */
static void matmul_task(kernel *k, matmul *mm, kvalue *task, kvalue *groups)
{
    lowering *lw = k->lw;
    dim_ctx *dc = lw->m->dims;
    kbuilder *b = &k->b;
    int64_t heights[16], lo, hi;
    uint32_t n;
    dim_bounds(dc, mm->m, &lo, &hi);
    mm->col_first = kb_map2(b, KOP_MUL, kb_map2(b, KOP_MOD, task, groups), kb_i64(b, mm->s.group));
    kop *few = NULL;
    if (mm->s.cols < MATMUL_WIDE && is_wide(lw, mm->m, mm->s.wide, heights, &n)) {
        bool always = hi <= heights[n - 1];
        if (!always) few = kb_if(b, kb_map2(b, KOP_LE, kb_dim(b, mm->m), kb_i64(b, heights[n - 1])));
        kop *sw = n > 1 ? kb_switch(b, kb_dim(b, mm->m), heights, (uint16_t)(n - 1)) : NULL;
        for (uint32_t i = 0; i < n; i++) {
            if (i) kb_case_next(b, sw);
            int rows = (int)heights[i];
            set_rows(k, mm, kb_i64(b, 0), kb_i64(b, rows));
            matmul_blocks(k, mm, wide_block, &rows);
        }
        if (sw) kb_switch_end(b, sw);
        if (always) return;
        kb_else(b, few, NULL, 0);
    }
    row_tiles rows = row_tiles_of(k, mm->m, mm->s.rows);
    dim tiles = dim_ceildiv(dc, mm->m, dim_const(dc, mm->s.rows));
    kvalue *chunks = kb_dim(b, dim_ceildiv(dc, tiles, dim_const(dc, mm->s.chunk)));
    tile_range r = matmul_chunk(k, mm, &rows, kb_map2(b, KOP_DIV, task, groups), chunks);
    matmul_blocks(k, mm, matmul_chunk_block, &r);
    if (few) kb_if_end(b, few, NULL, 0);
}

bool constant_matmul_fits(lowering *lw, const node *n, const roles *r)
{
    dim shape[2], stride[2];
    return r->plain && weights_nk(lw, n, r) &&
           merge_view(lw, view_of(lw, n->operands[r->x]), r->m_axis, r->n_m, r->kx, r->n_k, shape, stride);
}

bool constant_matmul_form(lowering *lw, const group *g, const roles *r, matmul_form *f)
{
    const node *n = g->root;
    f->weights = r->plain ? weights_nk(lw, n, r) : NULL;
    f->left = n->operands[r->x];
    f->path = weight_path(n->operands[1 - r->x]);
    if (!f->weights || !merge_view(lw, view_of(lw, f->left), r->m_axis, r->n_m, r->kx, r->n_k, f->shape, f->stride))
        return false;
    return space_make(lw, g, NULL, r->n_m, n->result->ty.rank - 1, &f->s) && f->s.n == 2;
}

matmul_shape matmul_form_shape(const group *g, const matmul_form *f, const char *asks)
{
    return (matmul_shape){.weights = f->weights->dt,
                          .sums = accumulator_of(g->root->result->ty.dt),
                          .n = f->weights->shape[0],
                          .k = f->weights->shape[1],
                          .kernel = asks};
}

matmul_schedule matmul_form_schedule(lowering *lw, const group *g, const matmul_form *f, const char *asks)
{
    matmul_shape of = matmul_form_shape(g, f, asks);
    matmul_schedule s = matmul_schedule_for(&lw->target, &of);
    if (g->half[0] && s.cols < MATMUL_PANEL) { /* whole panels, of fewer rows */
        s.rows = (s.rows * s.cols + MATMUL_PANEL - 1) / MATMUL_PANEL;
        s.cols = MATMUL_PANEL;
    }
    return s;
}

matmul matmul_begin(kernel *k, const group *g, const matmul_form *f, kvalue *x)
{
    lowering *lw = k->lw;
    dim_ctx *dc = lw->m->dims;
    const cexpr *e = g->half[0] ? interleaved(lw->a, f->weights) : f->weights;
    matmul mm = {.root = g->root,
                 .half = g->half[0] ? g->half : NULL,
                 .acc = accumulator_of(g->root->result->ty.dt),
                 .x = x,
                 .m = f->shape[0],
                 .n = e->shape[0],
                 .depth = e->shape[1]};
    mm.s = matmul_form_schedule(lw, g, f, k->f->name);
    int64_t panels = (mm.n + MATMUL_PANEL - 1) / MATMUL_PANEL;
    dim w_shape[3] = {dim_const(dc, panels), dim_const(dc, mm.depth), dim_const(dc, MATMUL_PANEL)};
    mm.w = kernel_bind_constant(k, cexpr_encode(lw->a, e, (encoding){ENC_PANEL, MATMUL_PANEL}), f->path, 3, w_shape);
    return mm;
}

kvalue *matmul_bind_rows(kernel *k, const matmul_form *f)
{
    const lview *w = view_of(k->lw, f->left);
    return kernel_bind(k, w->base, w->offset, 2, f->shape, f->stride, KACCESS_IN);
}

void matmul_alloc(kernel *k, matmul *mm, dim rows, int64_t columns)
{
    dim_ctx *dc = k->lw->m->dims;
    if (mm->depth > mm->s.depth) {
        dim sums[2] = {rows, dim_const(dc, columns)};
        mm->partial = kb_alloc(&k->b, "partial", kbuffer_dense(mm->acc, KSPACE_SCRATCH, 2, sums));
    }
    int64_t most = mm->s.rows > mm->s.wide ? mm->s.rows : mm->s.wide;
    dim sums[2] = {dim_const(dc, most), dim_const(dc, MATMUL_WIDE)};
    mm->waiting = kb_alloc(&k->b, "waiting", kbuffer_dense(mm->acc, KSPACE_STACK, 2, sums));
}

void lower_matmul(lowering *lw, const group *g, const matmul_form *f)
{
    dim_ctx *dc = lw->m->dims;
    kernel k = kernel_begin(lw, "matmul", g->root);
    kvalue *x = matmul_bind_rows(&k, f);
    matmul mm = matmul_begin(&k, g, f, x);
    tile_plan_make(&k, g, &f->s, &mm.tp);
    int64_t groups = (mm.n + mm.s.group - 1) / mm.s.group;
    dim tiles = dim_ceildiv(dc, mm.m, dim_const(dc, mm.s.rows)), chunk = dim_const(dc, mm.s.chunk);
    dim tasks = dim_mul(dc, dim_ceildiv(dc, tiles, chunk), dim_const(dc, groups));
    kop *loop = kb_for(&k.b, kidx_const(0), kidx_value(kb_dim(&k.b, tasks)), 1, KMAP_PARALLEL, 1, NULL, 0);
    kvalue *task = k.b.block->args[0];
    matmul_alloc(&k, &mm, dim_min(dc, mm.m, dim_const(dc, (int64_t)mm.s.chunk * mm.s.rows)), mm.s.group);
    matmul_task(&k, &mm, task, kb_i64(&k.b, groups));
    kb_for_end(&k.b, loop, NULL, 0);
    kernel_end(&k);
}
