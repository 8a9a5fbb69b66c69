/* Two matmuls in a row as one kernel, and norms beside them: a feed-forward block.
 *
 *   %1 = normalize %x           [M, K]      its result: read by %2 alone
 *   %2 = contract %1, W1        [M, H]      with what follows it up to the activation (or gate); read by %4 alone
 *   %3 = gelu (%2 + b1)         [M, H]
 *   %4 = contract %3, W2        [M, N]      with bias, residual ...; read by %5 alone
 *   %5 = normalize %4           [M, N]
 *
 *   for chunk of row tiles                                     a task each
 *     normed = the norm of the rows                            scratch, [rows of the chunk, K]
 *     for block of H                                           as deep as the second matmul sums at a time
 *       hidden = the first matmul's columns of the block       scratch, [rows of the chunk, columns of the block]
 *       the second matmul's sums over the block                partial sums in scratch, or the epilogue
 *     the norm of what the second matmul has left in scratch
 *
 * Either norm may be missing. All stages but the last leave their rows in scratch, that is in the second-level cache.
 *
 * Each sum is taken in the order in which the kernels alone take it: the results are theirs, bit for bit.
 *
 * Few rows are one or two tasks then, where columns would give work to many threads: below some number of rows the plan
 * launches a kernel for each stage. The buffers between these are as large as so many rows need them. */
#include "codegen/lower_row_block.h"
#include "codegen/lower_rows.h"

/* ---- the kernel ---- */

typedef struct {
    const struct row_block *of;
    matmul mm[2];
    row_pass norm[2];                 /* before and behind them */
    kept_rows kept[BLOCK_STAGES - 1]; /* by stage: where its rows are for the next one */
    tile_range r;
    int64_t block; /* columns of the hidden values that a block has */
    int64_t unit;  /* and that a register tile of the first matmul gives */
} row_block;

static bool has_norm_before(const struct row_block *of)
{
    return of->first > 0;
}

static bool has_norm_behind(const struct row_block *of)
{
    return of->first + 2 < of->n;
}

/* The same memory from element `at` of axis `axis` on, with `size` elements there. */
static kvalue *window(kernel *k, kvalue *buf, int axis, kvalue *at, int64_t size)
{
    dim_ctx *dc = k->lw->m->dims;
    kbuffer ty = buf->ty.buf;
    kidx idx[KMAX_RANK] = {{0}};
    for (uint32_t i = 0; i < ty.rank; i++) ty.strides[i] = kbuffer_stride(dc, &buf->ty.buf, i);
    ty.dense = false;
    ty.align = 0;
    ty.shape[axis] = dim_const(dc, size);
    idx[axis] = kidx_value(at);
    return kb_view(&k->b, kmem_at(buf, idx), ty);
}

/* Columns lo .. lo + block - 1 of the hidden values, from the beginning of a register tile on. */
static void hidden_columns(kernel *k, row_block *p, kept_rows *hidden, kvalue *lo)
{
    kbuilder *b = &k->b;
    matmul *a = &p->mm[0];
    kvalue *each = kb_i64(b, a->half ? 2 : 1), *unit = kb_i64(b, p->unit);
    hidden->col = p->block % p->unit ? kb_map2(b, KOP_MUL, kb_map2(b, KOP_DIV, lo, unit), unit) : lo;
    kvalue *end = kb_map2(b, KOP_MIN, kb_map2(b, KOP_ADD, lo, kb_i64(b, p->block)), kb_i64(b, p->mm[1].depth));
    a->col_first = kb_map2(b, KOP_MUL, hidden->col, each);
    a->col_end = kb_map2(b, KOP_MUL, end, each);
    matmul_blocks(k, a, matmul_chunk_block, &p->r);
}

/* The second matmul's sums over `len` of the hidden values, from `lo` on. */
static void sums_over_block(kernel *k, row_block *p, const kept_rows *hidden, kvalue *lo, int64_t len,
                            which_block which)
{
    matmul *b = &p->mm[1];
    kvalue *w = b->w;
    b->w = window(k, w, 1, lo, len);
    b->x = window(k, hidden->buf, 1, kb_map2(&k->b, KOP_SUB, lo, hidden->col), len);
    matmul_one_block(k, b, kidx_const(0), len, which, matmul_chunk_block, &p->r);
    b->w = w;
}

static void both_matmuls(kernel *k, row_block *p)
{
    kbuilder *b = &k->b;
    matmul *second = &p->mm[1];
    kept_rows *hidden = &p->kept[p->of->first];
    int64_t depth = second->depth, before = (depth - 1) / p->block * p->block;
    second->not_first = NULL;
    if (before == 0) {
        kvalue *lo = kb_i64(b, 0);
        hidden_columns(k, p, hidden, lo);
        sums_over_block(k, p, hidden, lo, depth, BLOCK_LAST);
        return;
    }
    kop *loop = kb_for(b, kidx_const(0), kidx_const(depth), p->block, KMAP_SERIAL, 1, NULL, 0);
    kvalue *lo = b->block->args[0];
    second->not_first = kb_map2(b, KOP_GT, lo, kb_i64(b, 0));
    hidden_columns(k, p, hidden, lo);
    second->more = kb_map2(b, KOP_LT, lo, kb_i64(b, before));
    if (depth - before == p->block) {
        sums_over_block(k, p, hidden, lo, p->block, BLOCK_ANY);
    } else {
        kop *more = kb_if(b, second->more);
        sums_over_block(k, p, hidden, lo, p->block, BLOCK_BEFORE);
        kb_else(b, more, NULL, 0);
        sums_over_block(k, p, hidden, lo, depth - before, BLOCK_LAST);
        kb_if_end(b, more, NULL, 0);
    }
    kb_for_end(b, loop, NULL, 0);
}

static void norm_rows(kernel *k, const row_block *p, row_pass *norm)
{
    kbuilder *b = &k->b;
    kop *loop = kb_for(b, kidx_value(p->r.row_first), kidx_value(p->r.row_end), 1, KMAP_SERIAL, 1, NULL, 0);
    norm->t.at[0] = kidx_value(b->block->args[0]);
    normalize_row(k, norm);
    kb_for_end(b, loop, NULL, 0);
}

static void block_task(kernel *k, row_block *p, const row_tiles *tiles, kvalue *task, kvalue *chunks)
{
    matmul *first = &p->mm[0], *second = &p->mm[1];
    p->r = matmul_chunk(k, first, tiles, task, chunks);
    second->row_first = first->row_first;
    second->pace = first->pace;
    second->col_first = kb_i64(&k->b, 0);
    for (int i = 0; i < p->of->n - 1; i++) p->kept[i].row = p->r.row_first;
    if (has_norm_before(p->of)) norm_rows(k, p, &p->norm[0]);
    both_matmuls(k, p);
    if (has_norm_behind(p->of)) norm_rows(k, p, &p->norm[1]);
}

/* The parameters of a stage. */
static void bind_stage(kernel *k, row_block *p, int i)
{
    const struct row_block *of = p->of;
    const block_stage *s = &of->stage[i];
    const kept_rows *from = i > 0 ? &p->kept[i - 1] : NULL, *to = i < of->n - 1 ? &p->kept[i] : NULL;
    if (!s->f.weights) {
        p->norm[i > 0] = row_pass_begin(k, s->g, &s->f.s, from, to);
        return;
    }
    matmul *mm = &p->mm[i > of->first];
    *mm = matmul_begin(k, s->g, &s->f, from ? NULL : matmul_bind_rows(k, &s->f));
    mm->x_of_chunk = from;
    mm->to = to;
    if (to) tile_plan_leaves(k, s->g, &s->f.s, &mm->tp);
    else tile_plan_make(k, s->g, &s->f.s, &mm->tp);
}

/* Memory for the rows that a stage hands to the next one. */
static kvalue *keep_rows(kernel *k, row_block *p, int stage, const char *name, dim rows, int64_t columns)
{
    dtype dt = p->of->stage[stage].g->out->result->ty.dt;
    int64_t bytes = (int64_t)dtype_bytes(dt, 1);
    columns += row_gap_bytes(k->lw, columns * bytes) / bytes;
    dim shape[2] = {rows, dim_const(k->lw->m->dims, columns)};
    return p->kept[stage].buf = kb_alloc(&k->b, name, kbuffer_dense(dt, KSPACE_SCRATCH, 2, shape));
}

static void alloc_scratch(kernel *k, row_block *p, dim rows)
{
    const struct row_block *of = p->of;
    matmul *first = &p->mm[0], *second = &p->mm[1];
    int64_t columns = ceil_to(p->block, p->unit) + (p->block % p->unit ? p->unit : 0);
    if (has_norm_before(of)) first->x = keep_rows(k, p, 0, "normed", rows, first->depth);
    keep_rows(k, p, of->first, "hidden", rows, columns);
    matmul_alloc(k, first, rows, columns * (first->half ? 2 : 1));
    matmul_alloc(k, second, rows, second->s.group);
    if (!has_norm_behind(of)) return;
    /* What becomes of the last sums can lie where they do. */
    const value *sums = of->stage[of->first + 1].g->out->result;
    if (second->partial && !second->half && second->acc == sums->ty.dt) p->kept[of->first + 1].buf = second->partial;
    else keep_rows(k, p, of->first + 1, "sums", rows, stage_columns(k->lw, &of->stage[of->first + 1]));
}

static void one_kernel(lowering *lw, const struct row_block *of)
{
    dim_ctx *dc = lw->m->dims;
    kernel k = kernel_begin(lw, "matmuls", of->stage[of->first + 1].g->root);
    k.written = lw->buffers[of->stage[of->n - 1].g->out->result->id];
    row_block p = {.of = of};
    for (int i = 0; i < of->n; i++) bind_stage(&k, &p, i);
    matmul *first = &p.mm[0], *second = &p.mm[1];
    second->s.group = (int)ceil_to(second->n, MATMUL_WIDE);
    p.block = second->s.depth < second->depth ? second->s.depth : second->depth;
    p.unit = first->half ? first->s.cols / 2 : first->s.cols;

    /* The plan launches it for so many rows only. */
    dim m = dim_max(dc, first->m, dim_const(dc, of->s.least));
    dim tiles = dim_ceildiv(dc, m, dim_const(dc, of->s.tile)), share = dim_const(dc, of->s.tasks);
    dim chunks = dim_mul(dc, dim_ceildiv(dc, dim_ceildiv(dc, tiles, dim_const(dc, of->s.chunk)), share), share);
    kop *loop = kb_for(&k.b, kidx_const(0), kidx_value(kb_dim(&k.b, chunks)), 1, KMAP_PARALLEL, 1, NULL, 0);
    alloc_scratch(&k, &p, dim_const(dc, (int64_t)of->s.chunk * of->s.tile));
    kvalue *task = k.b.block->args[0];
    row_tiles t = row_tiles_of(&k, m, of->s.tile);
    block_task(&k, &p, &t, task, kb_dim(&k.b, chunks));
    kb_for_end(&k.b, loop, NULL, 0);
    kernel_end(&k);
}

/* ---- the plan ---- */

/* A kernel for each stage, for fewer than `end` rows. */
static void kernels_apart(lowering *lw, const struct row_block *of, int64_t end)
{
    dim_ctx *dc = lw->m->dims;
    for (int i = 0; i < of->n; i++) {
        matmul_form f = of->stage[i].f;
        dim rows = dim_min(dc, f.shape[0], dim_const(dc, end - 1));
        f.shape[0] = rows;
        f.s.size[0] = rows;
        if (f.weights) lower_matmul(lw, of->stage[i].g, &f);
        else lower_normalize_rows(lw, of->stage[i].g, &f.s);
    }
}

static bool reads_buffer(lowering *lw, const group *g, const kvalue *buf)
{
    value_list leaves = {0};
    group_leaves(lw, g, &leaves);
    vec_foreach (value *, v, &leaves)
        if (lw->buffers[view_of(lw, *v)->base->id] == buf) return true;
    return false;
}

/* The buffer of the block's results if a norm that is the last stage can be computed there in place; else NULL. */
static kvalue *in_place_of_norm(lowering *lw, const struct row_block *of)
{
    const block_stage *norm = &of->stage[of->n - 1];
    value *in = of->stage[of->n - 2].g->out->result, *out = norm->g->out->result;
    kvalue *buf = lw->buffers[out->id];
    dim strides[MAX_RANK];
    if (!has_norm_behind(of) || !buf || !buf->def || buf->def->op != KOP_ALLOC || in->ty.dt != out->ty.dt ||
        base_strides(lw, in, strides) != base_strides(lw, out, strides) || reads_buffer(lw, norm->g, buf))
        return NULL;
    return buf;
}

/* What fewer than `end` rows are between the stages, as it lies for the next one. */
static void make_between(lowering *lw, const struct row_block *of, int64_t end)
{
    dim_ctx *dc = lw->m->dims;
    for (int i = 0; i < of->n - 1; i++) {
        const matmul_form *reader = &of->stage[i + 1].f;
        const value *v = of->stage[i].g->out->result;
        dim n = dim_mul(dc, dim_min(dc, reader->shape[0], dim_const(dc, end - 1)), reader->stride[0]);
        kvalue *buf = i == of->n - 2 ? in_place_of_norm(lw, of) : NULL;
        if (!buf) buf = kb_alloc(&lw->pb, NULL, kbuffer_dense(v->ty.dt, KSPACE_WORKSPACE, 1, &n));
        lw->buffers[v->id] = buf;
    }
}

void lower_row_block(lowering *lw, const group *g)
{
    const struct row_block *of = g->block;
    int64_t lo, hi, least = of->s.least;
    dim rows = of->stage[0].f.shape[0];
    dim_bounds(lw->m->dims, rows, &lo, &hi);
    if (lo >= least) {
        one_kernel(lw, of);
        return;
    }
    /* What a branch makes is gone behind it. The results' buffer first: what fewer rows need finds room beside it. */
    base_buffer(lw, view_of(lw, g->out->result)->base);
    make_between(lw, of, least);
    kvalue *many = kb_map2(&lw->pb, KOP_GE, kb_dim(&lw->pb, rows), kb_i64(&lw->pb, least));
    kop *branch = kb_if(&lw->pb, many);
    one_kernel(lw, of);
    kb_else(&lw->pb, branch, NULL, 0);
    kernels_apart(lw, of, least);
    kb_if_end(&lw->pb, branch, NULL, 0);
}
