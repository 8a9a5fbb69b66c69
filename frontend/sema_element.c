/* Elements of tensors inside a set-builder: t[i, j + 1, 0], t[ids[b], d].
 *
 * An index that runs forwards along one variable of the builder is a slice, and the whole element then a slice and a
 * transposition. Whatever else an index may be (computed from a tensor, made of two variables, backwards, a variable
 * that another axis of t follows too) is looked up: the axes concerned become one, gathered by their flat positions;
 * the others stay slices. */
#include "frontend/sema_internal.h"

/* The index of one axis of t. */
typedef struct {
    const index_expr *affine; /* NULL: computed */
    sema_node *computed;      /* an integer cell */
    bool looked_up;
    /* not looked up: the builder's axis it follows (-1: one position), its first index, count and step */
    int follows;
    dim start, count;
    int64_t step;
} position;

typedef struct {
    const value *base;
    const sema_type *t;
    const ast_indices *list;
    span at;
    position p[SEMA_MAX_RANK];
} element;

static bool read_position(sema *s, const ast_index *x, position *p)
{
    if (x->kind != INDEX_POINT) {
        sema_error(s, x->at, "wrong-type", "inside a set-builder every index is a single position");
        return false;
    }
    value v = eval(s, x->begin);
    bool array = v.kind == V_CELL || (v.kind == V_TENSOR && v.node->ty.rank == 0);
    if (v.kind == V_ERROR) return false;
    if (v.kind == V_INDEX || v.kind == V_INT) {
        p->affine = as_index(s, &v);
        return true;
    }
    if (array && (dtype_class_of(v.node->ty.dt) == DTC_INT || dtype_class_of(v.node->ty.dt) == DTC_UINT)) {
        p->computed = sn_cast(s, v.node, DT_I64, x->at);
        return true;
    }
    diag *g = sema_error(s, x->at, "wrong-type", "an index must be an integer");
    diag_got(g, "%s", sema_value_text(s, &v));
    if (v.kind == V_TENSOR && v.node->ty.rank)
        diag_hint(g, "index it, too: inside a set-builder a tensor is named by element");
    return false;
}

/* Whether builder axis k moves p. */
static bool depends_on(sema *s, const position *p, uint32_t k)
{
    if (p->affine) return p->affine->coef[k] != dim_const(s->dims, 0);
    return p->computed->ty.rank && p->computed->ty.shape[k] != dim_const(s->dims, 1);
}

/* Reads p as a slice where it can be one. */
static void plan_slice(sema *s, position *p, dim size)
{
    const builder_ctx *b = s->frame->builder;
    dim one = dim_const(s->dims, 1);
    int64_t k;
    p->looked_up = !p->affine;
    if (p->looked_up) return;
    p->follows = -1;
    p->start = p->affine->base;
    p->count = one;
    p->step = 1;
    for (uint32_t i = 0; i < b->n; i++) {
        if (!depends_on(s, p, i)) continue;
        p->looked_up |= p->follows >= 0 || !dim_is_const(s->dims, p->affine->coef[i], &p->step) || p->step < 1;
        p->follows = (int)i;
        p->count = b->extent[i];
    }
    if (p->follows < 0 && dim_is_const(s->dims, p->start, &k) && k < 0) p->start = dim_add(s->dims, size, p->start);
}

/* That an affine index stays inside of its axis must be provable; a computed one is checked by the run. */
static bool check_inside(sema *s, const element *e, uint32_t axis)
{
    const position *p = &e->p[axis];
    dim size = e->t->shape[axis], zero = dim_const(s->dims, 0), one = dim_const(s->dims, 1), low, high;
    if (!p->affine) return true;
    if (p->looked_up) {
        index_bounds(s, p->affine, &low, &high);
    } else {
        low = p->start;
        high = dim_add(s->dims, low, dim_mul(s->dims, dim_const(s->dims, p->step), dim_sub(s->dims, p->count, one)));
        if (p->follows >= 0 && sema_dims_fit(s, p->count, size) && low == zero && p->step == 1) return true;
    }
    dim end = dim_add(s->dims, high, one);
    if (sema_dim_le(s, zero, low) && sema_dim_le(s, end, size)) return true;
    diag *g = sema_error(s, e->list->data[axis].at, "index-range",
                         "cannot show that this index stays inside of axis %u", axis);
    diag_got(g, "%s..%s", sema_dim_text(s, low), sema_dim_text(s, end));
    diag_note(g, "axis %u of %s has the indices 0..%s", axis, sema_type_text(s, e->t), sema_dim_text(s, size));
    return false;
}

/* Axes that follow a variable which another axis of t depends on, too, move together with it. */
static void join_entangled(sema *s, element *e)
{
    for (uint32_t i = 0; i < e->t->rank; i++) {
        position *p = &e->p[i];
        for (uint32_t k = 0; k < e->t->rank && !p->looked_up && p->follows >= 0; k++)
            p->looked_up = k != i && depends_on(s, &e->p[k], (uint32_t)p->follows);
    }
}

/* ---- lookup ---- */

/* One elementwise operation on cells of the builder's rank (or rank 0). */
static sema_node *on_cells(sema *s, sema_scalar op, sema_node *const *x, uint32_t n, dtype result, span at)
{
    sema_type shape = x[0]->ty;
    sema_node *y[3];
    for (uint32_t i = 1; i < n; i++) {
        bool fits = sema_join_shapes(s, &shape, &x[i]->ty, at, at, at, &shape);
        assert(fits), (void)fits;
    }
    for (uint32_t i = 0; i < n; i++) y[i] = sn_stretch(s, x[i], shape.rank, shape.shape, at);
    return sn_scalar(s, op, y, n, result, at);
}

static sema_node *on_pair(sema *s, sema_scalar op, sema_node *x, sema_node *y, dtype result, span at)
{
    return on_cells(s, op, (sema_node *[]){x, y}, 2, result, at);
}

static sema_node *size_node(sema *s, dim size, span at)
{
    int64_t k;
    return dim_is_const(s->dims, size, &k) ? sn_const(s, sema_type_of(DT_I64, 0, NULL), 0, k, at)
                                           : sn_dim(s, DT_I64, size, at);
}

/* The row-major position among the looked-up axes. Where one of several computed positions is outside of its own axis
 * the whole is -1, which no table has: a wrong index is an error of the run, never another element. */
static sema_node *flat_position(sema *s, const element *e, uint32_t n_looked_up)
{
    sema_node *flat = NULL, *inside = NULL;
    sema_type number = sema_type_of(DT_I64, 0, NULL);
    for (uint32_t i = 0; i < e->t->rank; i++) {
        const position *p = &e->p[i];
        span at = e->list->data[i].at;
        if (!p->looked_up) continue;
        sema_node *x = p->affine ? index_cell(s, p->affine, DT_I64, at) : p->computed;
        sema_node *size = size_node(s, e->t->shape[i], at);
        if (!p->affine && n_looked_up > 1) {
            sema_node *low = on_pair(s, SCALAR_GE, x, sn_const(s, number, 0, 0, at), DT_BOOL, at);
            sema_node *both = on_pair(s, SCALAR_AND, low, on_pair(s, SCALAR_LT, x, size, DT_BOOL, at), DT_BOOL, at);
            inside = inside ? on_pair(s, SCALAR_AND, inside, both, DT_BOOL, at) : both;
        }
        flat = flat ? on_pair(s, SCALAR_ADD, on_pair(s, SCALAR_MUL, flat, size, DT_I64, at), x, DT_I64, at) : x;
    }
    if (!inside) return flat;
    return on_cells(s, SCALAR_SELECT, (sema_node *[]){inside, flat, sn_const(s, number, 0, -1, e->at)}, 3, DT_I64,
                    e->at);
}

/* ---- the element ---- */

/* u, which has the looked-up axes of t first and then those that follow a variable in the builder's order, as a cell:
 * positions replace the looked-up axes. */
static sema_node *look_up(sema *s, const element *e, sema_node *u, uint32_t n_looked_up, const int *axis_of)
{
    const builder_ctx *b = s->frame->builder;
    dim table[SEMA_MAX_RANK], cell[SEMA_MAX_RANK], ids_shape[SEMA_MAX_RANK], got[SEMA_MAX_RANK];
    uint32_t n_ids = 0, n_free = 0, rank = 1;
    sema_node *ids = flat_position(s, e, n_looked_up);
    dim one = dim_const(s->dims, 1);

    table[0] = one;
    for (uint32_t i = 0; i < n_looked_up; i++) table[0] = dim_mul(s->dims, table[0], u->ty.shape[i]);
    for (uint32_t i = n_looked_up; i < u->ty.rank; i++) table[rank++] = u->ty.shape[i];
    if (table[0] == DIM_BAD) {
        sema_error(s, e->at, "overflow", "the axes that are looked up here are too large together");
        return NULL;
    }
    u = sn_reshape(s, u, rank, table, e->at);

    for (uint32_t k = 0; k < b->n; k++) {
        cell[k] = axis_of[k] >= 0 ? b->extent[k] : ids->ty.rank ? ids->ty.shape[k] : one;
        if (axis_of[k] < 0) ids_shape[n_ids++] = cell[k];
    }
    ids = sn_reshape(s, ids, n_ids, ids_shape, e->at);
    memcpy(got, ids_shape, n_ids * sizeof *got);
    memcpy(got + n_ids, table + 1, (rank - 1) * sizeof *got);
    sema_node *r =
        sn_new(s, SN_GATHER, sema_type_of(u->ty.dt, n_ids + rank - 1, got), e->at, (sema_node *[]){u, ids}, 2);
    uint8_t perm[SEMA_MAX_RANK];
    for (uint32_t k = 0, i = 0; k < b->n; k++) perm[k] = (uint8_t)(axis_of[k] >= 0 ? n_ids + n_free++ : i++);
    return sn_transpose(s, r, perm, e->at);
}

/* The element as a cell: one axis per axis of the builder, of size 1 where it does not vary. */
static sema_node *make_cell(sema *s, const element *e)
{
    const builder_ctx *b = s->frame->builder;
    dim start[SEMA_MAX_RANK], size[SEMA_MAX_RANK], kept[SEMA_MAX_RANK], cell[SEMA_MAX_RANK];
    int64_t step[SEMA_MAX_RANK];
    int axis_of[SEMA_MAX_RANK],
        kept_as[SEMA_MAX_RANK]; /* builder axis -> axis of t; axis of t -> axis after dropping */
    uint8_t perm[SEMA_MAX_RANK];
    uint32_t rank = 0, n_looked_up = 0, next = 0;
    for (uint32_t k = 0; k < b->n; k++) axis_of[k] = -1;
    for (uint32_t i = 0; i < e->t->rank; i++) {
        const position *p = &e->p[i];
        start[i] = p->looked_up ? dim_const(s->dims, 0) : p->start;
        size[i] = p->looked_up ? e->t->shape[i] : p->count;
        step[i] = p->looked_up ? 1 : p->step;
        kept_as[i] = (int)rank;
        if (p->looked_up || p->follows >= 0) kept[rank++] = size[i];
        if (p->looked_up) n_looked_up++;
        else if (p->follows >= 0) axis_of[p->follows] = (int)i;
    }
    sema_node *n = sn_slice(s, e->base->node, start, step, size, e->at);
    n = sn_reshape(s, n, rank, kept, e->at);
    for (uint32_t i = 0; i < e->t->rank; i++)
        if (e->p[i].looked_up) perm[next++] = (uint8_t)kept_as[i];
    for (uint32_t k = 0; k < b->n; k++)
        if (axis_of[k] >= 0) perm[next++] = (uint8_t)kept_as[axis_of[k]];
    n = sn_transpose(s, n, perm, e->at);
    if (n_looked_up) return look_up(s, e, n, n_looked_up, axis_of);
    for (uint32_t k = 0; k < b->n; k++) cell[k] = axis_of[k] >= 0 ? b->extent[k] : dim_const(s->dims, 1);
    return sn_reshape(s, n, b->n, cell, e->at);
}

value index_of_tensor(sema *s, const ast_expr *expr, value base)
{
    element e = {.base = &base, .t = &base.node->ty, .list = &expr->index.indices, .at = expr->at};
    if (e.list->len != e.t->rank) {
        diag *g = sema_error(s, e.at, "rank", "inside a set-builder every axis needs an index: %u for %u %s",
                             e.list->len, e.t->rank, e.t->rank == 1 ? "axis" : "axes");
        diag_got(g, "%s", sema_type_text(s, e.t));
        return sema_error_value();
    }
    for (uint32_t i = 0; i < e.t->rank; i++) {
        if (!read_position(s, &e.list->data[i], &e.p[i])) return sema_error_value();
        plan_slice(s, &e.p[i], e.t->shape[i]);
    }
    join_entangled(s, &e);
    for (uint32_t i = 0; i < e.t->rank; i++)
        if (!check_inside(s, &e, i)) return sema_error_value();
    sema_node *n = make_cell(s, &e);
    return n ? (value){.kind = V_CELL, .node = n} : sema_error_value();
}
