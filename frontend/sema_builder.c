/* Set-builders: [i: S, j: S | start[i] <= j and j <= i].
 *
 * The expression is elementwise over the builder's axes. A value inside it is a "cell": a tensor with one axis per
 * builder axis, of size 1 where it does not vary. Index variables stay affine expressions until they meet something
 * that is not, so that t[i, j + 1] is a slice and a transposition, never a gather. */
#include "frontend/sema_internal.h"

index_expr *index_of_dim(sema *s, dim d)
{
    index_expr *x = ARENA_NEW(s->a, index_expr);
    x->base = d;
    for (uint32_t i = 0; i < SEMA_MAX_RANK; i++) x->coef[i] = dim_const(s->dims, 0);
    return x;
}

const index_expr *as_index(sema *s, const value *v)
{
    return v->kind == V_INDEX ? v->index : index_of_dim(s, v->size);
}

static bool is_constant_index(sema *s, const index_expr *x)
{
    for (uint32_t i = 0; i < SEMA_MAX_RANK; i++)
        if (x->coef[i] != dim_const(s->dims, 0)) return false;
    return true;
}

value index_arith(sema *s, const ast_expr *e, value a, value b)
{
    const index_expr *x = as_index(s, &a), *y = as_index(s, &b);
    ast_op op = e->kind == EX_UNARY ? AST_SUB : e->op.op;
    if (op == AST_MUL && !is_constant_index(s, x)) {
        const index_expr *t = x;
        x = y;
        y = t;
    }
    if (op == AST_MUL && !is_constant_index(s, x)) { /* i * j: not affine, computed */
        value args[2] = {{.kind = V_CELL, .node = index_cell(s, x, DT_I64, e->op.left->at)},
                         {.kind = V_CELL, .node = index_cell(s, y, DT_I64, e->op.right->at)}};
        span at[2] = {e->op.left->at, e->op.right->at};
        return apply_scalar(s, SCALAR_MUL, args, at, 2, e->op.op_at, e->at);
    }
    index_expr *r = ARENA_NEW(s->a, index_expr);
    bool ok = true;
    for (uint32_t i = 0; i <= SEMA_MAX_RANK; i++) {
        dim p = i < SEMA_MAX_RANK ? x->coef[i] : x->base, q = i < SEMA_MAX_RANK ? y->coef[i] : y->base, d;
        if (op == AST_ADD) d = dim_add(s->dims, p, q);
        else if (op == AST_SUB) d = dim_sub(s->dims, p, q);
        else d = dim_mul(s->dims, x->base, q);
        ok &= d != DIM_BAD;
        *(i < SEMA_MAX_RANK ? &r->coef[i] : &r->base) = d;
    }
    if (!ok) {
        sema_error(s, e->at, "overflow", "this index is too large");
        return sema_error_value();
    }
    return (value){.kind = V_INDEX, .index = r};
}

void index_bounds(sema *s, const index_expr *x, dim *low, dim *high)
{
    const builder_ctx *b = s->frame->builder;
    dim one = dim_const(s->dims, 1), zero = dim_const(s->dims, 0);
    *low = *high = x->base;
    for (uint32_t i = 0; i < b->n; i++) {
        dim reach = dim_mul(s->dims, x->coef[i], dim_sub(s->dims, b->extent[i], one));
        *low = dim_add(s->dims, *low, dim_min(s->dims, reach, zero));
        *high = dim_add(s->dims, *high, dim_max(s->dims, reach, zero));
    }
}

dtype index_dtype(sema *s, const index_expr *x)
{
    dim low, high;
    int64_t lo, hi, unused;
    index_bounds(s, x, &low, &high);
    if (low == DIM_BAD || high == DIM_BAD) return DT_I64;
    dim_bounds(s->dims, low, &lo, &unused);
    dim_bounds(s->dims, high, &unused, &hi);
    return lo >= INT32_MIN && hi <= INT32_MAX ? DT_I32 : DT_I64;
}

/* One term of an affine index: coef * (the axis's index), as a cell. */
static sema_node *index_term(sema *s, uint32_t axis, dim coef, dtype dt, span at)
{
    const builder_ctx *b = s->frame->builder;
    dim shape[SEMA_MAX_RANK];
    for (uint32_t i = 0; i < b->n; i++) shape[i] = i == axis ? b->extent[i] : dim_const(s->dims, 1);
    sema_node *iota = sn_iota(s, sema_type_of(dt, b->n, shape), (int)axis, at);
    if (coef == dim_const(s->dims, 1)) return iota;
    int64_t k;
    sema_node *factor = dim_is_const(s->dims, coef, &k) ? sn_const(s, iota->ty, 0, k, at)
                                                        : sn_stretch(s, sn_dim(s, dt, coef, at), b->n, shape, at);
    sema_node *pair[2] = {iota, factor};
    return sn_scalar(s, SCALAR_MUL, pair, 2, dt, at);
}

sema_node *index_cell(sema *s, const index_expr *x, dtype dt, span at)
{
    const builder_ctx *b = s->frame->builder;
    if (dtype_class_of(dt) != DTC_INT && dtype_class_of(dt) != DTC_UINT) {
        diag *g =
            sema_error(s, at, "dtype-mismatch", "an index is an integer: it does not combine with %s", dtype_name(dt));
        diag_hint(g, "cast it: %s(...)", dtype_name(dt));
        return NULL;
    }
    if (dt != DT_I64 && !(dt == DT_I32 && index_dtype(s, x) == DT_I32)) {
        dim low, high;
        int64_t lo, hi, unused,
            limit = dtype_bits(dt) >= 63 ? INT64_MAX : INT64_C(1) << (dtype_bits(dt) - (dtype_class_of(dt) == DTC_INT));
        index_bounds(s, x, &low, &high);
        dim_bounds(s->dims, low, &lo, &unused);
        dim_bounds(s->dims, high, &unused, &hi);
        if (low == DIM_BAD || high == DIM_BAD || lo < (dtype_class_of(dt) == DTC_INT ? -limit : 0) || hi >= limit) {
            diag *g = sema_error(s, at, "does-not-fit", "this index does not fit %s", dtype_name(dt));
            diag_note(g, "its values reach from %lld to %lld", (long long)lo, (long long)hi);
            diag_hint(g, "cast the other side: i64(...)");
            return NULL;
        }
    }
    sema_node *sum = NULL;
    for (uint32_t i = 0; i < b->n; i++) {
        if (x->coef[i] == dim_const(s->dims, 0)) continue;
        sema_node *term = index_term(s, i, x->coef[i], dt, at);
        if (!sum) {
            sum = term;
            continue;
        }
        sema_type joined;
        bool fits = sema_join_shapes(s, &sum->ty, &term->ty, at, at, at, &joined);
        assert(fits), (void)fits;
        sema_node *pair[2] = {sn_stretch(s, sum, joined.rank, joined.shape, at),
                              sn_stretch(s, term, joined.rank, joined.shape, at)};
        sum = sn_scalar(s, SCALAR_ADD, pair, 2, dt, at);
    }
    int64_t k;
    bool constant = dim_is_const(s->dims, x->base, &k);
    if (!sum) return constant ? sn_const(s, sema_type_of(dt, 0, NULL), 0, k, at) : sn_dim(s, dt, x->base, at);
    if (constant && k == 0) return sum;
    sema_node *base = constant ? sn_const(s, sum->ty, 0, k, at)
                               : sn_stretch(s, sn_dim(s, dt, x->base, at), sum->ty.rank, sum->ty.shape, at);
    sema_node *pair[2] = {sum, base};
    return sn_scalar(s, SCALAR_ADD, pair, 2, dt, at);
}

/* ---- the builder itself ---- */

value eval_builder(sema *s, const ast_expr *e)
{
    const ast_axes *axes = &e->builder.axes;
    if (s->frame->builder) {
        sema_error(s, e->at, "unsupported", "a set-builder cannot stand inside another");
        return sema_error_value();
    }
    if (axes->len > SEMA_MAX_RANK) {
        sema_error(s, e->at, "rank", "a tensor has at most %d axes", SEMA_MAX_RANK);
        return sema_error_value();
    }
    builder_ctx b = {.n = axes->len, .names = scope_new(s, NULL), .at = e->at};
    for (uint32_t i = 0; i < b.n; i++) {
        const ast_axis *x = &axes->data[i];
        b.name[i] = x->name.name;
        if (!sema_eval_dim(s, x->extent, &b.extent[i])) return sema_error_value();
        if (!sema_dim_le(s, dim_const(s->dims, 0), b.extent[i])) {
            diag *g = sema_error(s, x->extent->at, "negative-dim", "cannot show that this extent is not negative");
            diag_got(g, "%s", sema_dim_text(s, b.extent[i]));
            return sema_error_value();
        }
        if (scope_find_here(b.names, x->name.name)) {
            sema_error(s, x->name.at, "declared-twice", "'%s' names two axes", x->name.name);
            return sema_error_value();
        }
        index_expr *v = index_of_dim(s, dim_const(s->dims, 0));
        v->coef[i] = dim_const(s->dims, 1);
        scope_add(s, b.names, x->name.name, BIND_AXIS, (value){.kind = V_INDEX, .index = v}, x->name.at);
    }
    s->frame->builder = &b;
    value v = eval(s, e->builder.value);
    sema_node *n = NULL;
    span at = e->builder.value->at;
    switch (v.kind) {
    case V_ERROR: break;
    case V_INDEX: n = index_cell(s, v.index, DT_I64, at); break;
    case V_CELL: n = v.node; break;
    case V_TENSOR:
        if (v.node->ty.rank == 0) {
            n = v.node;
        } else {
            diag *g = sema_error(s, at, "unindexed", "inside a set-builder a tensor must be indexed");
            diag_got(g, "%s", sema_value_text(s, &v));
        }
        break;
    case V_INT: {
        value c = sema_cast_value(s, v, DT_I64, at);
        if (c.kind != V_ERROR) n = c.node;
        break;
    }
    case V_FLOAT: {
        value c = sema_cast_value(s, v, DT_F32, at);
        if (c.kind != V_ERROR) n = c.node;
        break;
    }
    case V_BOOL:
    case V_COND: {
        value c = sema_cast_value(s, v, DT_BOOL, at);
        if (c.kind != V_ERROR) n = c.node;
        break;
    }
    default: {
        diag *g = sema_error(s, at, "wrong-type", "a set-builder makes numbers or bools");
        diag_got(g, "%s", sema_value_text(s, &v));
    }
    }
    s->frame->builder = NULL;
    return n ? sema_tensor_value(sn_stretch(s, n, b.n, b.extent, e->at)) : sema_error_value();
}
