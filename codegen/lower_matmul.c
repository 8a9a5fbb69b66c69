/* Contractions.
 *
 * With a constant right operand [N, K]: the weights are stored in panels of PANEL columns, [ceildiv(N, 32)][K][32]; a
 * task is one panel; row tiles of up to 14 rows run inside it with the whole K, the epilogue in registers (shape and
 * figures: docs/kernels.md). Otherwise: one row of the result at a time, columns along the last axis, loops over the
 * summed axes. */
#include "codegen/lower_internal.h"

#include <assert.h>

#define PANEL 32
#define PREFETCH_BYTES 8192
#define SUM_BLOCK 128

/* ---- row tiles ---- */

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
    } else {
        for (int h = 1; h <= max; h++) seen[h] = true;
    }
    uint32_t n = 0;
    for (int h = 1; h <= max; h++)
        if (seen[h]) heights[n++] = h;
    return n;
}

void for_row_tiles(kernel *k, dim rows, int max, row_tile_body *body, void *arg)
{
    dim_ctx *dc = k->lw->m->dims;
    kbuilder *b = &k->b;
    int64_t heights[64], tiles;
    uint32_t n = tile_heights(k->lw, rows, max, heights);
    if (n == 0) return; /* never any row */
    dim n_tiles = dim_ceildiv(dc, rows, dim_const(dc, max));
    if (dim_is_const(dc, n_tiles, &tiles) && tiles == 1 && n == 1) {
        body(k, arg, kb_i64(b, 0), (int)heights[0]);
        return;
    }
    kvalue *count = kb_dim(b, n_tiles), *m = kb_dim(b, rows);
    kop *loop = kb_for(b, kidx_const(0), kidx_value(count), 1, KMAP_SERIAL, 1, NULL, 0);
    kvalue *t = b->block->args[0];
    kvalue *row0 = kb_map2(b, KOP_DIV, kb_map2(b, KOP_MUL, t, m), count);
    kvalue *after = kb_map2(b, KOP_ADD, t, kb_i64(b, 1));
    kvalue *row1 = kb_map2(b, KOP_DIV, kb_map2(b, KOP_MUL, after, m), count);
    if (n == 1) {
        body(k, arg, row0, (int)heights[0]);
    } else {
        kop *sw = kb_switch(b, kb_map2(b, KOP_SUB, row1, row0), heights, (uint16_t)(n - 1));
        for (uint32_t i = 0; i < n; i++) {
            if (i) kb_case_next(b, sw);
            body(k, arg, row0, (int)heights[i]);
        }
        kb_switch_end(b, sw);
    }
    kb_for_end(b, loop, NULL, 0);
}

/* ---- roles of labels ---- */

typedef struct {
    int x;                /* which operand gives the rows; the other is y */
    int n_m, n_n, n_k;    /* axes of rows, columns, sums */
    int m_axis[MAX_RANK]; /* axes of x, in the result's order */
    int n_axis[MAX_RANK]; /* axes of y */
    int kx[MAX_RANK], ky[MAX_RANK];
    bool plain; /* result is rows then columns; nothing batched, nothing summed in one operand alone */
} roles;

static int axis_of(const labels *l, int operand, char c)
{
    for (int i = 0; i < l->rank[operand]; i++)
        if (l->label[operand][i] == c) return i;
    return -1;
}

static roles roles_with(const labels *l, int x)
{
    roles r = {.x = x, .plain = true};
    int y = 1 - x;
    for (int i = 0; i < l->rank[2]; i++) {
        int ax = axis_of(l, x, l->label[2][i]), ay = axis_of(l, y, l->label[2][i]);
        if (ax >= 0 && ay < 0) {
            if (r.n_n) r.plain = false;
            r.m_axis[r.n_m++] = ax;
        } else if (ay >= 0 && ax < 0) {
            r.n_axis[r.n_n++] = ay;
        } else {
            r.plain = false;
        }
    }
    for (int i = 0; i < l->rank[x]; i++) {
        char c = l->label[x][i];
        if (axis_of(l, 2, c) >= 0) continue;
        int ay = axis_of(l, y, c);
        if (ay < 0) r.plain = false;
        else r.kx[r.n_k] = i, r.ky[r.n_k++] = ay;
    }
    if (r.n_n + r.n_k != l->rank[y]) r.plain = false;
    return r;
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

/* ---- constant right operand ---- */

typedef struct {
    tile_plan tp;
    kvalue *x, *w; /* [M, K] and [panels, K, PANEL] */
    dim n_size;
    int64_t depth; /* K */
    kvalue *panel;
    int cols; /* of a register tile; divides PANEL */
    dtype acc;
    node *root;
} matmul;

/* acc + x[row0 .. row0 + height, lo .. hi] w[panel, lo .. hi, part .. part + cols] */
static kvalue *matmul_steps(kernel *k, const matmul *mm, kvalue *row0, int height, int part, kidx lo, kidx hi,
                            kvalue *acc)
{
    kbuilder *b = &k->b;
    dtype wt = mm->w->ty.buf.dt, xt = mm->x->ty.buf.dt;
    int64_t bytes = (int64_t)dtype_bytes(wt, 1), ahead = PREFETCH_BYTES / (PANEL * bytes);
    kop *loop = kb_for(b, lo, hi, 1, KMAP_SERIAL, 4, &acc, 1);
    kvalue *i = b->block->args[0];
    for (int c = part; c < part + mm->cols; c += (int)(64 / bytes)) {
        kidx far[3] = {kidx_value(mm->panel), kidx_plus(i, ahead), kidx_const(c)};
        kb_prefetch(b, kmem_at(mm->w, far), 1);
    }
    kidx at_w[3] = {kidx_value(mm->panel), kidx_value(i), kidx_const(part)};
    kidx at_x[2] = {kidx_value(row0), kidx_value(i)};
    kvalue *wv = kb_cast(b, kb_load(b, ktile_make(wt, 1, mm->cols, KL_VEC), kmem_at(mm->w, at_w)), mm->acc);
    kvalue *xv = kb_cast(b, kb_load(b, ktile_make(xt, height, 1, KL_VEC), kmem_at(mm->x, at_x)), mm->acc);
    kvalue *next = kb_contract(b, b->block->args[1], xv, wv);
    kb_for_end(b, loop, &next, 1);
    return loop->results[0];
}

/* The sums of a tile over the whole K. Blocks of SUM_BLOCK are summed on their own and then added up: a rounding error
 * then passes through K / SUM_BLOCK further additions and not through up to K of them. The totals wait on the stack
 * while a block runs. */
static kvalue *matmul_sums(kernel *k, const matmul *mm, kvalue *row0, int height, int part)
{
    kbuilder *b = &k->b;
    kvalue *zero = kb_const(b, ktile_make(mm->acc, height, mm->cols, KL_VEC), 0);
    int64_t depth = mm->depth, whole = depth - depth % SUM_BLOCK;
    if (depth < 2 * SUM_BLOCK) return matmul_steps(k, mm, row0, height, part, kidx_const(0), kidx_const(depth), zero);
    kop *blocks = kb_for(b, kidx_const(0), kidx_const(whole), SUM_BLOCK, KMAP_SERIAL, 1, &zero, 1);
    kvalue *first = b->block->args[0], *total = b->block->args[1];
    kvalue *sum = matmul_steps(k, mm, row0, height, part, kidx_value(first), kidx_plus(first, SUM_BLOCK), zero);
    kvalue *next = kb_map2(b, KOP_ADD, total, sum);
    kb_for_end(b, blocks, &next, 1);
    if (whole == depth) return blocks->results[0];
    sum = matmul_steps(k, mm, row0, height, part, kidx_const(whole), kidx_const(depth), zero);
    return kb_map2(b, KOP_ADD, blocks->results[0], sum);
}

static void matmul_tile(kernel *k, void *arg, kvalue *row0, int height)
{
    matmul *mm = arg;
    kbuilder *b = &k->b;
    dim_ctx *dc = k->lw->m->dims;
    int64_t known;
    bool one_panel = dim_is_const(dc, mm->n_size, &known) && known <= PANEL;
    for (int part = 0; part < PANEL && !(one_panel && part >= known); part += mm->cols) {
        tile_at t = {.rows = height, .cols = mm->cols, .known = mm->root->result};
        t.known_tile = kb_cast(b, matmul_sums(k, mm, row0, height, part), mm->root->result->ty.dt);
        t.at[0] = kidx_value(row0);
        kvalue *first = kb_map2(b, KOP_MUL, mm->panel, kb_i64(b, PANEL));
        t.at[1] = kidx_plus(first, part);
        /* The last panel may end before, within or behind this part of it. */
        if (one_panel ? part + mm->cols > known : !dim_divides(dc, PANEL, mm->n_size)) {
            t.cols_bounded = true;
            t.col_bound = kidx_plus(kb_map2(b, KOP_SUB, kb_dim(b, mm->n_size), first), -part);
        }
        tile_store(k, &mm->tp, &t);
    }
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

static const char *weight_path(const value *v)
{
    while (v->def && v->def->n_operands) v = v->def->operands[0];
    return v->def && v->def->op == OP_PARAM ? node_attr(v->def, ATTR_PARAM)->u.p->path : NULL;
}

static bool lower_constant_matmul(lowering *lw, group *g, const roles *r)
{
    dim_ctx *dc = lw->m->dims;
    node *n = g->root;
    const cexpr *e = r->plain ? weights_nk(lw, n, r) : NULL;
    dim shape[2], stride[2];
    const lview *xw = view_of(lw, n->operands[r->x]);
    if (!e || !merge_view(lw, xw, r->m_axis, r->n_m, r->kx, r->n_k, shape, stride)) return false;
    space s;
    if (!space_make(lw, g, NULL, r->n_m, n->result->ty.rank - 1, &s) || s.n != 2) return false;

    kernel k = kernel_begin(lw, "matmul", n);
    matmul mm = {.root = n, .acc = accumulator_of(n->result->ty.dt)};
    mm.n_size = dim_const(dc, e->shape[0]);
    mm.depth = e->shape[1];
    mm.cols = 2 * lw->target.vector_floats < PANEL ? 2 * lw->target.vector_floats : PANEL;
    mm.x = kernel_bind(&k, xw->base, xw->offset, 2, shape, stride, KACCESS_IN);
    dim panels = dim_ceildiv(dc, mm.n_size, dim_const(dc, PANEL));
    dim w_shape[3] = {panels, dim_const(dc, mm.depth), dim_const(dc, PANEL)};
    mm.w = kernel_bind_constant(&k, cexpr_encode(lw->a, e, (encoding){ENC_PANEL, PANEL}),
                                weight_path(n->operands[1 - r->x]), 3, w_shape);
    tile_plan_make(&k, g, &s, &mm.tp);
    kop *loop = kb_for(&k.b, kidx_const(0), kidx_value(kb_dim(&k.b, panels)), 1, KMAP_PARALLEL, 1, NULL, 0);
    mm.panel = k.b.block->args[0];
    for_row_tiles(&k, shape[0], lw->target.registers >= 32 ? 14 : 6, matmul_tile, &mm);
    kb_for_end(&k.b, loop, NULL, 0);
    kernel_end(&k);
    return true;
}

/* ---- any contraction ---- */

typedef struct {
    tile_plan tp;
    tile_at t;
    node *root;
    const labels *l;
    kvalue *buf[2]; /* [1, axes of the operand ...] */
    dtype acc;
    char sums[2 * MAX_RANK]; /* labels summed over */
    dim sum_size[2 * MAX_RANK];
    int n_sums;
    kidx sum_at[2 * MAX_RANK];
} anyway;

static kidx label_index(const anyway *w, const tile_at *t, char c)
{
    for (int i = 0; i < w->n_sums; i++)
        if (w->sums[i] == c) return w->sum_at[i];
    int axis = axis_of(w->l, 2, c);
    for (int i = 0; i < w->tp.s.n; i++)
        if (w->tp.s.from[i] == axis) return t->at[i];
    return kidx_const(0);
}

static kvalue *operand_tile(kernel *k, const anyway *w, const tile_at *t, int o)
{
    int rank = w->l->rank[o];
    kidx idx[KMAX_RANK];
    idx[0] = kidx_const(0);
    int col = w->l->rank[2] ? axis_of(w->l, o, w->l->label[2][w->l->rank[2] - 1]) : -1;
    for (int i = 0; i < rank; i++) idx[i + 1] = label_index(w, t, w->l->label[o][i]);
    kmem m = kmem_at(w->buf[o], idx);
    m.axes[0] = 0;
    m.axes[1] = (uint8_t)(col < 0 ? 0 : col + 1);
    if (col < 0) { /* one element: any other axis serves as the column of size 1 */
        if (rank == 0) return kb_load(&k->b, ktile_make(w->buf[o]->ty.buf.dt, 1, 1, KL_VEC), m);
        m.axes[1] = 1;
    }
    if (col >= 0 && t->cols_bounded) {
        m.bounded[1] = true;
        m.bound[1] = t->col_bound;
    }
    return kb_load(&k->b, ktile_make(w->buf[o]->ty.buf.dt, 1, col < 0 ? 1 : t->cols, KL_VEC), m);
}

static kvalue *sum_nest(kernel *k, anyway *w, const tile_at *t, int depth, kvalue *acc)
{
    kbuilder *b = &k->b;
    if (depth == w->n_sums) {
        kvalue *x = kb_cast(b, operand_tile(k, w, t, 0), w->acc), *y = kb_cast(b, operand_tile(k, w, t, 1), w->acc);
        if (dtype_is_float(w->acc)) return kb_map3(b, KOP_FMA, x, y, acc);
        return kb_map2(b, KOP_ADD, kb_map2(b, KOP_MUL, x, y), acc);
    }
    kop *loop = kb_for(b, kidx_const(0), kidx_value(kb_dim(b, w->sum_size[depth])), 1, KMAP_SERIAL, 1, &acc, 1);
    w->sum_at[depth] = kidx_value(b->block->args[0]);
    kvalue *next = sum_nest(k, w, t, depth + 1, b->block->args[1]);
    kb_for_end(b, loop, &next, 1);
    return loop->results[0];
}

static kvalue *any_columns(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    anyway *w = arg;
    tile_at t = w->t;
    t.at[w->tp.s.n - 1] = col;
    t.cols = width;
    t.cols_bounded = bounded;
    t.col_bound = bound;
    ktile ty = ktile_make(w->acc, 1, width, KL_VEC);
    kvalue *zero = dtype_is_float(w->acc) ? kb_const(&k->b, ty, 0) : kb_int(&k->b, ty, 0);
    t.known = w->root->result;
    t.known_tile = kb_cast(&k->b, sum_nest(k, w, &t, 0, zero), w->root->result->ty.dt);
    tile_store(k, &w->tp, &t);
    return carried;
}

static void lower_any_contraction(lowering *lw, group *g)
{
    dim_ctx *dc = lw->m->dims;
    node *n = g->root;
    anyway w = {.root = n, .l = &node_attr(n, ATTR_LABELS)->u.lab, .acc = accumulator_of(n->result->ty.dt)};
    int rank = n->result->ty.rank;
    kernel k = kernel_begin(lw, "contract", n);
    for (int o = 0; o < 2; o++) {
        const lview *v = view_of(lw, n->operands[o]);
        dim shape[MAX_RANK + 1], stride[MAX_RANK + 1];
        shape[0] = dim_const(dc, 1);
        stride[0] = dim_const(dc, 0);
        memcpy(shape + 1, v->shape, sizeof v->shape);
        memcpy(stride + 1, v->stride, sizeof v->stride);
        if (v->rank + 1 > KMAX_RANK) {
            diag_error(lw->d, k.at, "a contraction's operand has %d axes; at most %d can be compiled", v->rank,
                       KMAX_RANK - 1);
            return;
        }
        w.buf[o] = kernel_bind(&k, v->base, v->offset, v->rank + 1u, shape, stride, KACCESS_IN);
        for (int i = 0; i < v->rank; i++) {
            char c = w.l->label[o][i];
            if (axis_of(w.l, 2, c) >= 0 || memchr(w.sums, c, (size_t)w.n_sums)) continue;
            w.sum_size[w.n_sums] = v->shape[i];
            w.sums[w.n_sums++] = c;
        }
    }
    /* Axes stay as they are, so that every label has an index of its own. */
    space *s = &w.tp.s;
    s->n = rank < 2 ? 2 : rank;
    if (s->n > SPACE_MAX) {
        diag_error(lw->d, k.at, "a contraction's result has %d axes; at most %d can be compiled", rank, SPACE_MAX);
        return;
    }
    for (int i = 0; i < s->n; i++) {
        int axis = i - (s->n - rank);
        s->from[i] = s->to[i] = axis < 0 ? -1 : axis;
        s->size[i] = axis < 0 ? dim_const(dc, 1) : n->result->ty.shape[axis];
    }
    space own = *s;
    tile_plan_make(&k, g, &own, &w.tp);
    int c = own.n - 1;
    dim tasks = dim_const(dc, 1);
    for (int i = 0; i < c; i++) tasks = dim_mul(dc, tasks, own.size[i]);
    kop *loop = kb_for(&k.b, kidx_const(0), kidx_value(kb_dim(&k.b, tasks)), 1, KMAP_PARALLEL, 1, NULL, 0);
    w.t.rows = 1;
    unflatten(&k, k.b.block->args[0], c, own.size, w.t.at);
    kvalue *full, *tail;
    for_columns(&k, own.size[c], 64, NULL, NULL, any_columns, &w, &full, &tail);
    kb_for_end(&k.b, loop, NULL, 0);
    kernel_end(&k);
}

void lower_contract(lowering *lw, group *g)
{
    const labels *l = &node_attr(g->root, ATTR_LABELS)->u.lab;
    for (int x = 0; x < 2; x++) {
        roles r = roles_with(l, x);
        if (lower_constant_matmul(lw, g, &r)) return;
    }
    lower_any_contraction(lw, g);
}
