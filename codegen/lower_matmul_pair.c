/* Two matmuls in a row as one kernel: a feed-forward block.
 *
 *   %1 = contract %x, W1        [M, H]      first group, with what follows it up to the activation (or gate)
 *   %2 = gelu (%1 + b1)         [M, H]      its result: read by %3 alone
 *   %3 = contract %2, W2        [M, N]      second group, with bias, residual ...
 *
 *   for chunk of row tiles                                     a task each
 *     for block of H                                           as deep as the second matmul sums at a time
 *       hidden = the first matmul's columns of the block       scratch, [rows of the chunk, columns of the block]
 *       the second matmul's sums over the block                partial sums in scratch, or the epilogue
 *
 * Each sum is taken in the order in which the two kernels alone take it: the results are theirs, bit for bit.
 *
 * Few rows are one or two tasks then, where columns would give work to many threads: below some number of rows the plan
 * launches the two kernels. The hidden values' buffer is as large as these need it.
 *
 * Not where somebody else reads the hidden values or a point names them: these want them in memory. */
#include "codegen/lower_matmul.h"

/* ---- which ---- */

static bool is_named(const function *f, const value *v)
{
    vec_foreach (const point, p, &f->points)
        if (p->v == v) return true;
    return false;
}

/* The value that `left` shows whole, through views, where nobody else reads it. */
static value *read_alone(lowering *lw, value *left)
{
    for (value *v = left;; v = v->def->operands[0]) {
        if (!v->def || !v->uses || v->uses->next || is_named(lw->fn, v)) return NULL;
        if (!node_is_view(lw, v->def) || value_is_base(lw, v)) return v;
    }
}

/* f reads the whole of what the first group computes, row by row. */
static bool reads_rows_of(lowering *lw, const matmul_form *f, const group *first, const matmul_form *of)
{
    dim_ctx *dc = lw->m->dims;
    const lview *w = view_of(lw, f->left);
    int64_t step, one, n = of->weights->shape[0] / (first->half[0] ? 2 : 1);
    return n > 0 && f->weights->shape[0] > 0 && w->base == first->out->result && w->offset == dim_const(dc, 0) &&
           f->shape[0] == of->shape[0] && f->weights->shape[1] == n && dim_is_const(dc, f->stride[1], &one) &&
           one == 1 && dim_is_const(dc, f->stride[0], &step) && step >= n;
}

static void remark_apart(lowering *lw, const group *second, const char *why)
{
    if (lw->target.remarks)
        diag_add(lw->d, DIAG_REMARK, user_place(lw, second->root), "two matmuls are two kernels: %s", why);
}

static void find_pair(lowering *lw, group *second)
{
    struct matmul_pair p;
    if (!matmul_form_of(lw, second, &p.of[1])) return;
    value *hidden = view_of(lw, p.of[1].left)->base;
    p.first = lw->groups[hidden->id];
    if (!p.first || p.first == second || p.first->out->result != hidden || p.first->also.len || p.first->inside ||
        p.first->pair || lw->places[hidden->id] || !matmul_form_of(lw, p.first, &p.of[0]) ||
        !reads_rows_of(lw, &p.of[1], p.first, &p.of[0]))
        return;
    if (read_alone(lw, p.of[1].left) != hidden) {
        remark_apart(lw, second, "what is between them is read elsewhere, or named");
        return;
    }
    const group *g[2] = {p.first, second};
    matmul_shape shape[2];
    matmul_schedule s[2];
    for (int i = 0; i < 2; i++) {
        shape[i] = matmul_form_shape(g[i], &p.of[i], "");
        s[i] = matmul_form_schedule(lw, g[i], &p.of[i], "");
    }
    p.s = matmul_pair_schedule_by_rule(&lw->target, &shape[0], &s[0], &shape[1], &s[1]);
    int64_t lo, hi;
    dim_bounds(lw->m->dims, p.of[0].shape[0], &lo, &hi);
    if (!p.s.why_not && hi < p.s.least)
        p.s.why_not = arena_printf(lw->a, "there are never %lld rows", (long long)p.s.least);
    if (p.s.why_not) {
        remark_apart(lw, second, p.s.why_not);
        return;
    }
    if (lw->target.remarks)
        diag_add(lw->d, DIAG_REMARK, user_place(lw, second->root),
                 "two matmuls are one kernel from %lld rows on, with at most %d rows a task", (long long)p.s.least,
                 p.s.chunk * s[0].rows);
    p.first->inside = second;
    struct matmul_pair *kept = ARENA_NEW(lw->a, struct matmul_pair);
    *kept = p;
    second->pair = kept;
}

void pairs_build(lowering *lw)
{
    function_foreach (n, lw->fn) {
        group *g = lw->groups[n->result->id];
        if (g && g->out == n && g->root && g->root->op == OP_CONTRACT) find_pair(lw, g);
    }
}

/* ---- the kernel ---- */

typedef struct {
    matmul a, b; /* the first and the second */
    tile_range r;
    int64_t block;  /* columns of the hidden values that a block has */
    int64_t unit;   /* and that a register tile of the first matmul gives */
    kvalue *hidden; /* scratch: [rows of a chunk, block rounded up to units] */
} pair;

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
static kvalue *hidden_columns(kernel *k, pair *p, kvalue *lo)
{
    kbuilder *b = &k->b;
    matmul *a = &p->a;
    kvalue *each = kb_i64(b, a->half ? 2 : 1), *unit = kb_i64(b, p->unit), *first = lo;
    if (p->block % p->unit) first = kb_map2(b, KOP_MUL, kb_map2(b, KOP_DIV, lo, unit), unit);
    kvalue *end = kb_map2(b, KOP_MIN, kb_map2(b, KOP_ADD, lo, kb_i64(b, p->block)), kb_i64(b, p->b.depth));
    a->col_first = kb_map2(b, KOP_MUL, first, each);
    a->col_end = kb_map2(b, KOP_MUL, end, each);
    a->to = p->hidden;
    a->to_col = first;
    matmul_blocks(k, a, matmul_chunk_block, &p->r);
    return first;
}

/* The second matmul's sums over `len` of the hidden values, which begin at column `first`. */
static void sums_over_block(kernel *k, pair *p, kvalue *w, kvalue *lo, kvalue *first, int64_t len, which_block which)
{
    matmul *b = &p->b;
    b->w = window(k, w, 1, lo, len);
    b->x = window(k, p->hidden, 1, kb_map2(&k->b, KOP_SUB, lo, first), len);
    b->x_of_chunk = true;
    matmul_one_block(k, b, kidx_const(0), len, which, matmul_chunk_block, &p->r);
}

static void pair_task(kernel *k, pair *p, const row_tiles *tiles, kvalue *task, kvalue *chunks)
{
    kbuilder *b = &k->b;
    p->r = matmul_chunk(k, &p->a, tiles, task, chunks);
    p->b.row_first = p->a.row_first;
    p->b.pace = p->a.pace;
    p->b.col_first = kb_i64(b, 0);
    kvalue *w = p->b.w;
    int64_t depth = p->b.depth, before = (depth - 1) / p->block * p->block;
    p->b.not_first = NULL;
    if (before == 0) {
        kvalue *lo = kb_i64(b, 0), *first = hidden_columns(k, p, lo);
        sums_over_block(k, p, w, lo, first, depth, BLOCK_LAST);
        return;
    }
    kop *loop = kb_for(b, kidx_const(0), kidx_const(depth), p->block, KMAP_SERIAL, 1, NULL, 0);
    kvalue *lo = b->block->args[0];
    p->b.not_first = kb_map2(b, KOP_GT, lo, kb_i64(b, 0));
    kvalue *first = hidden_columns(k, p, lo);
    p->b.more = kb_map2(b, KOP_LT, lo, kb_i64(b, before));
    if (depth - before == p->block) {
        sums_over_block(k, p, w, lo, first, p->block, BLOCK_ANY);
    } else {
        kop *more = kb_if(b, p->b.more);
        sums_over_block(k, p, w, lo, first, p->block, BLOCK_BEFORE);
        kb_else(b, more, NULL, 0);
        sums_over_block(k, p, w, lo, first, depth - before, BLOCK_LAST);
        kb_if_end(b, more, NULL, 0);
    }
    kb_for_end(b, loop, NULL, 0);
}

static void one_kernel(lowering *lw, const group *second)
{
    dim_ctx *dc = lw->m->dims;
    const struct matmul_pair *of = second->pair;
    kernel k = kernel_begin(lw, "matmuls", second->root);
    pair p;
    kvalue *x = matmul_bind_rows(&k, &of->of[0]);
    p.a = matmul_begin(&k, of->first, &of->of[0], x);
    tile_plan_leaves(&k, of->first, &of->of[0].s, &p.a.tp);
    p.b = matmul_begin(&k, second, &of->of[1], NULL);
    tile_plan_make(&k, second, &of->of[1].s, &p.b.tp);
    p.block = p.b.s.depth < p.b.depth ? p.b.s.depth : p.b.depth;
    p.unit = p.a.half ? p.a.s.cols / 2 : p.a.s.cols;
    p.b.s.group = (int)ceil_to(p.b.n, MATMUL_WIDE);

    /* The plan launches it for so many rows only. */
    dim m = dim_max(dc, p.a.m, dim_const(dc, of->s.least));
    dim rows = dim_const(dc, (int64_t)of->s.chunk * p.a.s.rows);
    dim tiles = dim_ceildiv(dc, m, dim_const(dc, p.a.s.rows)), share = dim_const(dc, of->s.tasks);
    dim chunks = dim_mul(dc, dim_ceildiv(dc, dim_ceildiv(dc, tiles, dim_const(dc, of->s.chunk)), share), share);
    kop *loop = kb_for(&k.b, kidx_const(0), kidx_value(kb_dim(&k.b, chunks)), 1, KMAP_PARALLEL, 1, NULL, 0);
    int64_t columns = ceil_to(p.block, p.unit) + (p.block % p.unit ? p.unit : 0);
    dtype dt = of->first->out->result->ty.dt;
    int64_t bytes = (int64_t)dtype_bytes(dt, 1);
    columns += row_gap_bytes(lw, columns * bytes) / bytes;
    dim hidden[2] = {rows, dim_const(dc, columns)};
    p.hidden = kb_alloc(&k.b, "hidden", kbuffer_dense(dt, KSPACE_SCRATCH, 2, hidden));
    matmul_alloc(&k, &p.a, rows, columns * (p.a.half ? 2 : 1));
    matmul_alloc(&k, &p.b, rows, p.b.s.group);
    kvalue *task = k.b.block->args[0];
    row_tiles t = row_tiles_of(&k, m, p.a.s.rows);
    pair_task(&k, &p, &t, task, kb_dim(&k.b, chunks));
    kb_for_end(&k.b, loop, NULL, 0);
    kernel_end(&k);
}

/* The two kernels, for fewer than `end` rows. */
static void two_kernels(lowering *lw, const group *second, int64_t end)
{
    dim_ctx *dc = lw->m->dims;
    for (int i = 0; i < 2; i++) {
        const group *g = i ? second : second->pair->first;
        matmul_form f = second->pair->of[i];
        dim rows = dim_min(dc, f.shape[0], dim_const(dc, end - 1));
        f.shape[0] = rows;
        f.s.size[0] = rows;
        lower_matmul(lw, g, &f);
    }
}

/* The hidden values of fewer than `end` rows, as they lie for the second matmul. */
static void make_hidden(lowering *lw, const group *second, int64_t end)
{
    dim_ctx *dc = lw->m->dims;
    const matmul_form *f = &second->pair->of[1];
    value *hidden = second->pair->first->out->result;
    dim n = dim_mul(dc, dim_min(dc, f->shape[0], dim_const(dc, end - 1)), f->stride[0]);
    lw->buffers[hidden->id] = kb_alloc(&lw->pb, NULL, kbuffer_dense(hidden->ty.dt, KSPACE_WORKSPACE, 1, &n));
}

void lower_matmul_pair(lowering *lw, const group *second)
{
    const struct matmul_pair *p = second->pair;
    int64_t lo, hi, least = p->s.least;
    dim rows = p->of[0].shape[0];
    dim_bounds(lw->m->dims, rows, &lo, &hi);
    if (lo >= least) {
        one_kernel(lw, second);
        return;
    }
    /* What a branch makes is gone behind it. */
    make_hidden(lw, second, least);
    base_buffer(lw, view_of(lw, second->out->result)->base);
    kvalue *many = kb_map2(&lw->pb, KOP_GE, kb_dim(&lw->pb, rows), kb_i64(&lw->pb, least));
    kop *branch = kb_if(&lw->pb, many);
    one_kernel(lw, second);
    kb_else(&lw->pb, branch, NULL, 0);
    two_kernels(lw, second, least);
    kb_if_end(&lw->pb, branch, NULL, 0);
}
