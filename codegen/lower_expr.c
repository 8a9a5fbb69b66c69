/* Elementwise work on tiles: the iteration space of a group, its leaves, and the evaluation of its nodes on one tile.
 */
#include "codegen/lower_internal.h"

#include <assert.h>

dtype accumulator_of(dtype dt)
{
    return dt == DT_F64 ? DT_F64 : dtype_is_float(dt) ? DT_F32 : dt;
}

static bool is_one(lowering *lw, dim d)
{
    int64_t v;
    return dim_is_const(lw->m->dims, d, &v) && v == 1;
}

/* True when result axis i and the next one act as one axis for every leaf. */
static bool mergeable(lowering *lw, const value_list *leaves, int i, int j)
{
    for (uint32_t k = 0; k < leaves->len; k++) {
        value *v = leaves->data[k];
        double splat;
        if (value_const_splat(v, &splat)) continue;
        if (value_is_iota(v) || !view_collapses(lw, view_of(lw, v), i, j)) return false;
    }
    return true;
}

/* v is an iota, perhaps seen through views: along which axis it counts (-1: that axis had size 1). */
static bool iota_axis(const value *v, int *axis)
{
    const node *n = v->def;
    if (!n) return false;
    if (n->op == OP_IOTA) {
        *axis = (int)node_attr(n, ATTR_AXIS)->u.i;
        return true;
    }
    if ((n->op != OP_BROADCAST && n->op != OP_TRANSPOSE && n->op != OP_RESHAPE) || !iota_axis(n->operands[0], axis))
        return false;
    if (*axis < 0) return true;
    module *m = v->def->fn->m;
    dim size = n->operands[0]->ty.shape[*axis];
    axis_info x;
    node_axes(m, n, &x);
    *axis = size == dim_const(m->dims, 1) ? -1 : x.operand_axis[0][*axis];
    return size == dim_const(m->dims, 1) || (*axis >= 0 && v->ty.shape[*axis] == size);
}

bool value_is_iota(const value *v)
{
    int axis;
    return iota_axis(v, &axis);
}

bool space_make(lowering *lw, const group *g, value *also, int col_first, int col_last, space *s)
{
    dim_ctx *dc = lw->m->dims;
    const type *t = &g->out->result->ty;
    bool forced = col_first >= 0;
    value_list leaves = {0};
    group_leaves(lw, g, &leaves);
    if (also) vec_push(lw->a, &leaves, also);
    vec_push(lw->a, &leaves, g->out->result); /* it may be a window, or an iota */
    for (uint32_t i = 0; i < g->also.len; i++) vec_push(lw->a, &leaves, g->also.data[i]->result);
    int n = 1, from[MAX_RANK + 2], to[MAX_RANK + 2];
    dim size[MAX_RANK + 2];
    bool open = false; /* the last axis may still take its right neighbour */
    for (int i = 0; i < t->rank; i++) {
        if (forced && i >= col_first && i <= col_last) {
            open = false;
            continue;
        }
        if (is_one(lw, t->shape[i])) continue;
        if (open && mergeable(lw, &leaves, from[n - 1], i)) {
            size[n - 1] = dim_mul(dc, size[n - 1], t->shape[i]);
            to[n - 1] = i;
        } else {
            if (n > MAX_RANK) return false;
            from[n] = to[n] = i;
            size[n++] = t->shape[i];
        }
        open = true;
    }
    if (forced) {
        size[n] = dim_const(dc, 1);
        for (int i = col_first; i <= col_last; i++) size[n] = dim_mul(dc, size[n], t->shape[i]);
        from[n] = col_first <= col_last ? col_first : -1;
        to[n++] = col_last;
        if (!mergeable(lw, &leaves, col_first, col_last)) return false;
    }
    /* Entry 0 is a padding axis of size 1, and so is one more where the result is a single element. */
    int need_second = n < 2, skip = n > 2 ? 1 : 0;
    from[0] = to[0] = -1;
    size[0] = dim_const(dc, 1);
    if (need_second) {
        from[1] = to[1] = -1;
        size[1] = size[0];
        n = 2;
    }
    s->n = n - skip;
    if (s->n > SPACE_MAX) return false;
    for (int i = 0; i < s->n; i++) {
        s->size[i] = size[i + skip];
        s->from[i] = from[i + skip];
        s->to[i] = to[i + skip];
    }
    return true;
}

/* Of each run the innermost axis of size > 1 has the stride. */
void space_strides(lowering *lw, const space *s, const lview *w, dim *stride, bool *along)
{
    dim zero = dim_const(lw->m->dims, 0);
    for (int i = 0; i < s->n; i++) {
        stride[i] = zero;
        if (s->from[i] >= 0)
            for (int k = s->to[i]; k >= s->from[i]; k--)
                if (!is_one(lw, w->shape[k])) {
                    stride[i] = w->stride[k];
                    break;
                }
        along[i] = stride[i] != zero;
    }
}

kvalue *tile_bind(kernel *k, const space *s, const lview *w, bool *along, kaccess_mode mode)
{
    lowering *lw = k->lw;
    dim stride[SPACE_MAX], shape[SPACE_MAX];
    space_strides(lw, s, w, stride, along);
    for (int i = 0; i < s->n; i++) shape[i] = along[i] ? s->size[i] : dim_const(lw->m->dims, 1);
    return kernel_bind(k, w->base, w->offset, (uint32_t)s->n, shape, stride, mode);
}

void tile_plan_leaves(kernel *k, const group *g, const space *s, tile_plan *tp)
{
    lowering *lw = k->lw;
    *tp = (tile_plan){.g = g, .s = *s};
    value_list leaves = {0};
    group_leaves(lw, g, &leaves);
    for (uint32_t i = 0; i < leaves.len; i++) {
        leaf l = {.v = leaves.data[i]};
        double ignored;
        if (value_const_splat(l.v, &ignored) || value_is_iota(l.v)) continue;
        l.buf = tile_bind(k, s, view_of(lw, l.v), l.along, KACCESS_IN);
        vec_push(lw->a, &tp->leaves, l);
    }
}

void tile_plan_make(kernel *k, const group *g, const space *s, tile_plan *tp)
{
    lowering *lw = k->lw;
    tile_plan_leaves(k, g, s, tp);
    for (uint32_t i = 0; i <= g->also.len; i++) {
        leaf l = {.v = (i ? g->also.data[i - 1] : g->out)->result};
        l.buf = tile_bind(k, s, view_of(lw, l.v), l.along, KACCESS_OUT);
        vec_push(lw->a, &tp->outs, l);
    }
}

kmem tile_mem(const tile_plan *tp, const tile_at *t, kvalue *buf, const bool *along)
{
    int n = tp->s.n, row = n - 2, col = n - 1;
    kidx idx[SPACE_MAX];
    for (int i = 0; i < n; i++) idx[i] = !along || along[i] ? t->at[i] : kidx_const(0);
    kmem m = kmem_at(buf, idx);
    m.axes[0] = (uint8_t)row;
    m.axes[1] = (uint8_t)col;
    if (t->rows_bounded && (!along || along[row])) {
        m.bounded[0] = true;
        m.bound[0] = t->row_bound;
    }
    if (t->cols_bounded && (!along || along[col])) {
        m.bounded[1] = true;
        m.bound[1] = t->col_bound;
    }
    return m;
}

kvalue *kidx_as_value(kernel *k, kidx i)
{
    if (!i.v) return kb_i64(&k->b, i.off);
    return i.off ? kb_map2(&k->b, KOP_ADD, i.v, kb_i64(&k->b, i.off)) : i.v;
}

static kvalue *splat(kernel *k, dtype dt, double v)
{
    ktile ty = ktile_make(dt, 1, 1, KL_VEC);
    return dtype_is_float(dt) ? kb_const(&k->b, ty, v) : kb_int(&k->b, ty, (int64_t)v);
}

/* The index of every element of an iota along its axis. */
static kvalue *iota_tile(kernel *k, const tile_plan *tp, const tile_at *t, const value *v)
{
    int of = -1, axis = -1;
    iota_axis(v, &of);
    for (int x = 0; x < tp->s.n && of >= 0; x++)
        if (tp->s.from[x] == of) axis = x;
    dtype dt = v->ty.dt;
    if (axis < 0) return splat(k, dt, 0); /* an axis of size 1 */
    kvalue *i = kidx_as_value(k, t->at[axis]);
    if (axis >= tp->s.n - 2) {
        int is_col = axis == tp->s.n - 1;
        ktile ty = ktile_make(DT_I64, is_col ? 1 : t->rows, is_col ? t->cols : 1, KL_VEC);
        i = kb_map2(&k->b, KOP_ADD, kb_iota(&k->b, ty, is_col), i);
    }
    return kb_cast(&k->b, i, dt);
}

static kvalue *leaf_tile(kernel *k, const tile_plan *tp, const tile_at *t, value *v)
{
    for (uint32_t i = 0; i < tp->leaves.len; i++) {
        const leaf *l = &tp->leaves.data[i];
        if (l->v != v) continue;
        int n = tp->s.n;
        dtype stored = l->buf->ty.buf.dt;
        ktile ty = ktile_make(stored, l->along[n - 2] ? t->rows : 1, l->along[n - 1] ? t->cols : 1, KL_VEC);
        return kb_cast(&k->b, kb_load(&k->b, ty, tile_mem(tp, t, l->buf, l->along)), v->ty.dt);
    }
    assert(!"value is not in the group");
    return NULL;
}

static kvalue *eval(kernel *k, const tile_plan *tp, const tile_at *t, value *v, ptrmap *done)
{
    kvalue *r = ptrmap_get(done, v);
    if (r) return r;
    node *n = v->def;
    double constant;
    if (v == t->known[0].v) {
        r = t->known[0].tile;
    } else if (v == t->known[1].v) {
        r = t->known[1].tile;
    } else if (value_const_splat(v, &constant)) {
        r = splat(k, v->ty.dt, constant);
    } else if (value_is_iota(v)) {
        r = iota_tile(k, tp, t, v);
    } else if (!n || k->lw->groups[v->id] != tp->g || !node_is_elementwise(n)) {
        r = leaf_tile(k, tp, t, v);
    } else {
        kvalue *args[3];
        assert(n->n_operands <= 3);
        for (uint32_t i = 0; i < n->n_operands; i++) args[i] = eval(k, tp, t, n->operands[i], done);
        k->b.at = user_place(k->lw, n);
        kop_kind op;
        if (n->op == OP_CAST) {
            r = kb_cast(&k->b, args[0], v->ty.dt);
        } else {
            const char *name = op_row(n->op)->name;
            bool found = kop_find(name, strlen(name), &op);
            assert(found);
            (void)found;
            r = kb_map(&k->b, op, args, n->n_operands);
        }
    }
    ptrmap_set(done, v, r);
    return r;
}

kvalue *tile_value(kernel *k, const tile_plan *tp, const tile_at *t, value *v)
{
    kvalue *r = eval(k, tp, t, v, ptrmap_new(k->lw->a));
    k->b.at = k->at;
    return r;
}

kvalue *tile_widen(kernel *k, kvalue *r, int rows, int cols)
{
    ktile ty = r->ty.tile;
    if (ty.rank == 2 && ty.shape[0] == rows && ty.shape[1] == cols) return r;
    ktile full = ktile_make(ty.dt, rows, cols, KL_VEC);
    kvalue *all = kb_int(&k->b, ktile_make(DT_BOOL, rows, cols, KL_VEC), 1);
    kvalue *zero = dtype_is_float(ty.dt) ? kb_const(&k->b, full, 0) : kb_int(&k->b, full, 0);
    return kb_map3(&k->b, KOP_SELECT, all, r, zero);
}

void tile_store(kernel *k, const tile_plan *tp, const tile_at *t)
{
    ptrmap *done = ptrmap_new(k->lw->a); /* results have subexpressions in common */
    kvalue **r = ARENA_ARRAY(k->lw->a, kvalue *, tp->outs.len);
    for (uint32_t i = 0; i < tp->outs.len; i++) r[i] = eval(k, tp, t, tp->outs.data[i].v, done);
    k->b.at = k->at;
    for (uint32_t i = 0; i < tp->outs.len; i++)
        kb_store(&k->b, tile_widen(k, r[i], t->rows, t->cols), tile_mem(tp, t, tp->outs.data[i].buf, NULL));
}

kmem kept_at(kernel *k, const kept_rows *kept, const tile_at *t)
{
    kbuilder *b = &k->b;
    kvalue *row = kb_map2(b, KOP_SUB, kidx_as_value(k, t->at[0]), kept->row);
    kidx col = t->at[1];
    if (kept->col) col = kidx_value(kb_map2(b, KOP_SUB, kidx_as_value(k, col), kept->col));
    kmem m = kmem_at(kept->buf, (kidx[2]){kidx_value(row), col});
    m.bounded[1] = t->cols_bounded;
    m.bound[1] = t->col_bound;
    return m;
}

void tile_keep(kernel *k, const tile_plan *tp, const tile_at *t, const kept_rows *to)
{
    kvalue *r = tile_widen(k, tile_value(k, tp, t, tp->g->out->result), t->rows, t->cols);
    kb_store(&k->b, r, kept_at(k, to, t));
}

void unflatten(kernel *k, kvalue *task, int n, const dim *size, kidx *index)
{
    kvalue *rest = task;
    for (int i = n - 1; i >= 0; i--) {
        if (is_one(k->lw, size[i])) {
            index[i] = kidx_const(0);
            continue;
        }
        bool outermost = true;
        for (int j = 0; j < i; j++) outermost = outermost && is_one(k->lw, size[j]);
        if (outermost) {
            index[i] = kidx_value(rest);
            continue;
        }
        kvalue *s = kb_dim(&k->b, size[i]);
        index[i] = kidx_value(kb_map2(&k->b, KOP_MOD, rest, s));
        rest = kb_map2(&k->b, KOP_DIV, rest, s);
    }
}

kvalue *tile_present(kernel *k, const tile_at *t)
{
    if (!t->cols_bounded) return NULL;
    kvalue *col = kb_iota(&k->b, ktile_make(DT_I64, 1, t->cols, KL_VEC), 1);
    return kb_map2(&k->b, KOP_LT, col, kidx_as_value(k, t->col_bound));
}

void for_columns(kernel *k, dim size, int width, kvalue *init, kvalue *tail_init, column_body *body, void *arg,
                 kvalue **full, kvalue **tail)
{
    dim_ctx *dc = k->lw->m->dims;
    kbuilder *b = &k->b;
    dim w = dim_const(dc, width), whole = dim_mul(dc, dim_floordiv(dc, size, w), w), rest = dim_sub(dc, size, whole);
    int64_t n_whole = -1, n_rest = -1;
    *full = init;
    *tail = NULL;
    dim_is_const(dc, whole, &n_whole);
    dim_is_const(dc, rest, &n_rest);
    kidx at_tail = n_whole >= 0 ? kidx_const(n_whole) : kidx_value(kb_dim(b, whole));
    if (n_whole == width) {
        *full = body(k, arg, kidx_const(0), width, false, kidx_const(0), init);
    } else if (n_whole != 0) {
        kop *loop = kb_for(b, kidx_const(0), at_tail, width, KMAP_SERIAL, 1, init ? &init : NULL, init ? 1 : 0);
        kvalue *carried = init ? b->block->args[1] : NULL;
        kvalue *next = body(k, arg, kidx_value(b->block->args[0]), width, false, kidx_const(0), carried);
        kb_for_end(b, loop, init ? &next : NULL, init ? 1 : 0);
        if (init) *full = loop->results[0];
    }
    if (n_rest == 0) return;
    if (n_rest > 0) {
        *tail = body(k, arg, at_tail, (int)n_rest, false, kidx_const(0), tail_init);
    } else {
        *tail = body(k, arg, at_tail, width, true, kidx_value(kb_dim(b, rest)), tail_init);
    }
}

/* ---- groups without a root ---- */

#define CHUNK_COLUMNS 4096 /* columns of one task: enough work to hide a task's start */
#define TILE_COLUMNS 64

typedef struct {
    tile_plan *tp;
    tile_at t;
    kvalue *col0; /* of the chunk, or NULL */
} elementwise_body;

static kvalue *elementwise_columns(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    elementwise_body *e = arg;
    tile_at t = e->t;
    int c = e->tp->s.n - 1;
    t.at[c] = col;
    t.cols = width;
    t.cols_bounded = bounded;
    t.col_bound = bound;
    tile_store(k, e->tp, &t);
    return carried;
}

void lower_elementwise(lowering *lw, const group *g)
{
    dim_ctx *dc = lw->m->dims;
    space s;
    if (!space_make(lw, g, NULL, -1, -1, &s)) {
        diag_error(lw->d, g->out->n_sources ? g->out->sources[0] : (span){0, 0},
                   "an elementwise expression needs more than %d separate axes", SPACE_MAX);
        return;
    }
    kernel k = kernel_begin(lw, "map", g->out);
    tile_plan tp;
    tile_plan_make(&k, g, &s, &tp);
    int c = s.n - 1;
    int64_t lo, hi;
    dim_bounds(dc, s.size[c], &lo, &hi);
    bool chunked = hi > CHUNK_COLUMNS;
    dim chunk = dim_const(dc, CHUNK_COLUMNS);
    dim axes[SPACE_MAX];
    for (int i = 0; i < c; i++) axes[i] = s.size[i];
    axes[c] = chunked ? dim_ceildiv(dc, s.size[c], chunk) : dim_const(dc, 1);
    dim tasks = dim_const(dc, 1);
    for (int i = 0; i <= c; i++) tasks = dim_mul(dc, tasks, axes[i]);
    kop *loop = kb_for(&k.b, kidx_const(0), kidx_value(kb_dim(&k.b, tasks)), 1, KMAP_PARALLEL, 1, NULL, 0);
    elementwise_body e = {.tp = &tp};
    e.t.rows = 1;
    unflatten(&k, k.b.block->args[0], s.n, axes, e.t.at);
    kvalue *full, *tail;
    if (!chunked) {
        for_columns(&k, s.size[c], TILE_COLUMNS, NULL, NULL, elementwise_columns, &e, &full, &tail);
    } else {
        /* A chunk's columns: whole tiles in a loop, the last one of the last chunk bounded. */
        kvalue *first = kb_map2(&k.b, KOP_MUL, e.t.at[c].v, kb_i64(&k.b, CHUNK_COLUMNS));
        kvalue *end = kb_map2(&k.b, KOP_ADD, first, kb_i64(&k.b, CHUNK_COLUMNS));
        kvalue *size = kb_dim(&k.b, s.size[c]);
        end = kb_map2(&k.b, KOP_MIN, end, size);
        kvalue *n = kb_map2(&k.b, KOP_SUB, end, first), *w = kb_i64(&k.b, TILE_COLUMNS);
        kvalue *whole = kb_map2(&k.b, KOP_ADD, first, kb_map2(&k.b, KOP_MUL, kb_map2(&k.b, KOP_DIV, n, w), w));
        kop *cols = kb_for(&k.b, kidx_value(first), kidx_value(whole), TILE_COLUMNS, KMAP_SERIAL, 1, NULL, 0);
        elementwise_columns(&k, &e, kidx_value(k.b.block->args[0]), TILE_COLUMNS, false, kidx_const(0), NULL);
        kb_for_end(&k.b, cols, NULL, 0);
        int64_t known = dim_known_multiple(dc, s.size[c]);
        if (known % TILE_COLUMNS != 0) {
            kvalue *left = kb_map2(&k.b, KOP_SUB, end, whole);
            kop *some = kb_if(&k.b, kb_map2(&k.b, KOP_GT, left, kb_i64(&k.b, 0)));
            elementwise_columns(&k, &e, kidx_value(whole), TILE_COLUMNS, true, kidx_value(left), NULL);
            kb_if_end(&k.b, some, NULL, 0);
        }
    }
    kb_for_end(&k.b, loop, NULL, 0);
    kernel_end(&k);
}
