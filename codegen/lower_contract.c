/* Contractions: with constant weights as matmuls (lower_matmul.c); any other one row of the result at a time, columns
 * along the last axis, loops over the summed axes. */
#include "codegen/lower_matmul.h"

#define MOST_COLUMNS 64

/* ---- roles of labels ---- */

int label_axis(const labels *l, int operand, char c)
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
        int ax = label_axis(l, x, l->label[2][i]), ay = label_axis(l, y, l->label[2][i]);
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
        if (label_axis(l, 2, c) >= 0) continue;
        int ay = label_axis(l, y, c);
        if (ay < 0) r.plain = false;
        else r.kx[r.n_k] = i, r.ky[r.n_k++] = ay;
    }
    if (r.n_n + r.n_k != l->rank[y]) r.plain = false;
    return r;
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
    int axis = label_axis(w->l, 2, c);
    for (int i = 0; i < w->tp.s.n; i++)
        if (w->tp.s.from[i] == axis) return t->at[i];
    return kidx_const(0);
}

static kvalue *operand_tile(kernel *k, const anyway *w, const tile_at *t, int o)
{
    int rank = w->l->rank[o];
    kidx idx[KMAX_RANK];
    idx[0] = kidx_const(0);
    int col = w->l->rank[2] ? label_axis(w->l, o, w->l->label[2][w->l->rank[2] - 1]) : -1;
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
    t.known[0].v = w->root->result;
    t.known[0].tile = kb_cast(&k->b, sum_nest(k, w, &t, 0, zero), w->root->result->ty.dt);
    tile_store(k, &w->tp, &t);
    return carried;
}

/* Several vectors, whose sums do not wait for each other; but no more than the columns ever fill, and one where an
 * operand's elements lie apart, which are read one by one whether they exist or not. */
static int columns_at_a_time(lowering *lw, const node *n)
{
    const labels *l = &node_attr(n, ATTR_LABELS)->u.lab;
    int rank = n->result->ty.rank, columns = lw->target.vector_floats;
    int64_t lo, hi, step;
    if (rank == 0) return columns;
    for (int o = 0; o < 2; o++) {
        int axis = label_axis(l, o, l->label[2][rank - 1]);
        if (axis >= 0 && !(dim_is_const(lw->m->dims, view_of(lw, n->operands[o])->stride[axis], &step) && step == 1))
            return columns;
    }
    dim_bounds(lw->m->dims, n->result->ty.shape[rank - 1], &lo, &hi);
    while (columns < MOST_COLUMNS && columns < hi) columns *= 2;
    return columns;
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
            if (label_axis(w.l, 2, c) >= 0 || memchr(w.sums, c, (size_t)w.n_sums)) continue;
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
    for_columns(&k, own.size[c], columns_at_a_time(lw, n), NULL, NULL, any_columns, &w, &full, &tail);
    kb_for_end(&k.b, loop, NULL, 0);
    kernel_end(&k);
}

bool contraction_has_halves(lowering *lw, const node *n)
{
    for (int x = 0; x < 2; x++) {
        roles r = roles_with(&node_attr(n, ATTR_LABELS)->u.lab, x);
        if (constant_matmul_fits(lw, n, &r)) return r.n_n == 1;
    }
    return false;
}

bool matmul_form_of(lowering *lw, const group *g, matmul_form *f)
{
    if (!g->root || g->root->op != OP_CONTRACT) return false;
    for (int x = 0; x < 2; x++) {
        roles r = roles_with(&node_attr(g->root, ATTR_LABELS)->u.lab, x);
        if (constant_matmul_form(lw, g, &r, f)) return true;
    }
    return false;
}

void lower_contract(lowering *lw, group *g)
{
    matmul_form f;
    if (matmul_form_of(lw, g, &f)) lower_matmul(lw, g, &f);
    else lower_any_contraction(lw, g);
}
