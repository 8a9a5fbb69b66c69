/* See mask_parts.h. */
#include "passes/mask_parts.h"

#include "passes/match.h"
#include "passes/vary.h"

/* queries * i + keys * j + offset, where query i meets key j. */
typedef struct {
    int64_t queries, keys;
    dim offset;
} affine;

/* ---- views ---- */

bool mask_view_through(const module *m, const mask_view *s, mask_view *out)
{
    const mask_view from = *s;
    const node *n = from.v->def;
    if (!n || (n->op != OP_BROADCAST && n->op != OP_RESHAPE)) return false;
    mask_view to = {.v = n->operands[0]};
    int a = 0;
    for (int k = 0; k < to.v->ty.rank; k++) {
        bool one = mask_is_one(m, to.v->ty.shape[k]);
        if (n->op == OP_BROADCAST) {
            const attr *axes = node_attr(n, ATTR_AXES);
            if (k && axes->u.ints.v[k] <= axes->u.ints.v[k - 1]) return false;
            to.to[k] = one ? MASK_NONE : from.to[axes->u.ints.v[k]];
            continue;
        }
        while (!one && a < from.v->ty.rank && mask_is_one(m, from.v->ty.shape[a])) a++;
        if (!one && (a == from.v->ty.rank || from.v->ty.shape[a] != to.v->ty.shape[k])) return false;
        to.to[k] = one ? MASK_NONE : from.to[a++];
    }
    while (n->op == OP_RESHAPE && a < from.v->ty.rank)
        if (!mask_is_one(m, from.v->ty.shape[a++])) return false;
    *out = to;
    return true;
}

mask_view mask_view_operand(const mask_view *s, uint32_t i)
{
    mask_view o = *s; /* elementwise: the same axes */
    o.v = s->v->def->operands[i];
    return o;
}

bool mask_view_depends_on(module *m, const mask_view *s, int axis)
{
    for (int k = 0; k < s->v->ty.rank; k++)
        if (s->to[k] == axis && value_varies(m, s->v, k)) return true;
    return false;
}

static bool same_axes(const mask_view *x, const mask_view *y)
{
    for (int k = 0; k < x->v->ty.rank; k++)
        if (x->to[k] != y->to[k]) return false;
    return true;
}

bool mask_view_same(const module *m, mask_view x, mask_view y)
{
    while (mask_view_through(m, &x, &x)) {}
    while (mask_view_through(m, &y, &y)) {}
    const node *n = x.v->def, *k = y.v->def;
    double a, b;
    if (x.v == y.v && same_axes(&x, &y)) return true;
    if (!n || !k || n->op != k->op || x.v->ty.dt != y.v->ty.dt) return false;
    if (value_const_splat(x.v, &a)) return value_const_splat(y.v, &b) && a == b;
    if (n->op == OP_IOTA) {
        int64_t i = node_attr(n, ATTR_AXIS)->u.i, j = node_attr(k, ATTR_AXIS)->u.i;
        return x.to[i] == y.to[j] && x.v->ty.shape[i] == y.v->ty.shape[j];
    }
    if (n->op != OP_CAST && !(op_row(n->op)->props & P_ELEMENTWISE)) return false;
    for (uint32_t o = 0; o < n->n_operands; o++)
        if (!mask_view_same(m, mask_view_operand(&x, o), mask_view_operand(&y, o))) return false;
    return true;
}

/* ---- indices ---- */

/* x holds everywhere what its dtype can: no wrapping has happened. */
static bool fits(const mask_parts *p, const affine *x, dtype dt)
{
    dim_ctx *dc = p->m->dims;
    double least, most;
    dtype_range(dt, &least, &most, NULL);
    dim one = dim_const(dc, 1), ends[2] = {dim_sub(dc, p->queries, one), dim_sub(dc, p->keys, one)};
    int64_t lo, hi, factors[2] = {x->queries, x->keys};
    dim low = x->offset, high = x->offset;
    for (int k = 0; k < 2; k++) {
        dim reach = dim_mul(dc, ends[k], dim_const(dc, factors[k]));
        if (factors[k] < 0) low = dim_add(dc, low, reach);
        else high = dim_add(dc, high, reach);
    }
    if (low == DIM_BAD || high == DIM_BAD) return false;
    dim_bounds(dc, low, &lo, &hi);
    if ((double)lo < least) return false;
    dim_bounds(dc, high, &lo, &hi);
    return (double)hi <= most;
}

static affine constant(dim offset)
{
    return (affine){0, 0, offset};
}

/* The index along axis `axis` of s, times step, plus start. */
static bool index_along(const mask_parts *p, const mask_view *s, int axis, dim start, int64_t step, affine *out)
{
    *out = constant(start);
    if (mask_is_one(p->m, s->v->ty.shape[axis])) return true;
    if (s->to[axis] == MASK_QUERY) out->queries = step;
    else if (s->to[axis] == MASK_KEY) out->keys = step;
    else return false;
    return true;
}

static bool affine_of(const mask_parts *p, const mask_view *s, affine *out)
{
    dim_ctx *dc = p->m->dims;
    const node *n = s->v->def;
    dtype dt = s->v->ty.dt;
    double splat;
    mask_view inner;
    affine y;
    if (!n || dtype_is_float(dt) || dt == DT_BOOL) return false;
    if (value_const_splat(s->v, &splat)) {
        if (splat < -0x1p52 || splat > 0x1p52) return false;
        *out = constant(dim_const(dc, (int64_t)splat));
        return true;
    }
    if (mask_view_through(p->m, s, &inner)) return affine_of(p, &inner, out);
    bool ok = false;
    switch (n->op) {
    case OP_IOTA: ok = index_along(p, s, (int)node_attr(n, ATTR_AXIS)->u.i, dim_const(dc, 0), 1, out); break;
    case OP_SLICE: { /* of indices: also how the value of a dim is written */
        const node *iota = match_op(n->operands[0], OP_IOTA);
        if (!iota) return false;
        int64_t axis = node_attr(iota, ATTR_AXIS)->u.i;
        ok = index_along(p, s, (int)axis, node_attr(n, ATTR_START)->u.dims.v[axis],
                         node_attr(n, ATTR_STEP)->u.ints.v[axis], out);
        break;
    }
    case OP_CAST:
        inner = mask_view_operand(s, 0);
        ok = affine_of(p, &inner, out);
        break;
    case OP_NEG:
        inner = mask_view_operand(s, 0);
        ok = affine_of(p, &inner, &y);
        *out = (affine){-y.queries, -y.keys, dim_sub(dc, dim_const(dc, 0), y.offset)};
        break;
    case OP_ADD:
    case OP_SUB: {
        mask_view l = mask_view_operand(s, 0), r = mask_view_operand(s, 1);
        affine x;
        if (!affine_of(p, &l, &x) || !affine_of(p, &r, &y)) return false;
        int64_t sign = n->op == OP_ADD ? 1 : -1;
        *out = (affine){x.queries + sign * y.queries, x.keys + sign * y.keys,
                        n->op == OP_ADD ? dim_add(dc, x.offset, y.offset) : dim_sub(dc, x.offset, y.offset)};
        ok = true;
        break;
    }
    case OP_MUL: {
        inner = mask_view_operand(s, 0);
        if (!value_const_splat(n->operands[1], &splat) || splat < -1024 || splat > 1024 || !affine_of(p, &inner, &y))
            return false;
        int64_t f = (int64_t)splat;
        *out = (affine){y.queries * f, y.keys * f, dim_mul(dc, y.offset, dim_const(dc, f))};
        ok = true;
        break;
    }
    default: return false;
    }
    return ok && out->queries > -(1 << 20) && out->queries < 1 << 20 && out->keys > -(1 << 20) && out->keys < 1 << 20 &&
           fits(p, out, dt);
}

/* ---- bounds ---- */

/* distance <= 0 (or < 0) is a bound when distance is j - i or i - j plus an offset. */
static bool add_bound(mask_parts *p, const affine *distance, bool strict)
{
    dim_ctx *dc = p->m->dims;
    dim one = dim_const(dc, strict ? 1 : 0), offset = dim_add(dc, distance->offset, one);
    attention_band *b = &p->band;
    bool single = mask_is_one(p->m, p->queries);                                              /* i is 0 */
    if ((distance->queries == -1 || (single && !distance->queries)) && distance->keys == 1) { /* j <= i - offset */
        dim to = dim_sub(dc, dim_const(dc, 0), offset);
        if (to == DIM_BAD) return false;
        b->to = b->has_to ? dim_min(dc, b->to, to) : to;
        b->has_to = true;
    } else if ((distance->queries == 1 || (single && !distance->queries)) &&
               distance->keys == -1) { /* j >= i + offset */
        if (offset == DIM_BAD) return false;
        b->from = b->has_from ? dim_max(dc, b->from, offset) : offset;
        b->has_from = true;
    } else {
        return false;
    }
    p->found = true;
    return !(b->has_from && b->from == DIM_BAD) && !(b->has_to && b->to == DIM_BAD);
}

static affine difference(dim_ctx *dc, const affine *x, const affine *y)
{
    return (affine){x->queries - y->queries, x->keys - y->keys, dim_sub(dc, x->offset, y->offset)};
}

static affine negated(dim_ctx *dc, const affine *x)
{
    affine zero = constant(dim_const(dc, 0));
    return difference(dc, &zero, x);
}

typedef enum { LESS, LESS_EQUAL, EQUAL, NO_ORDER } order;

/* s compares indices: adds the bounds that it is. Nothing is added unless all of it is bounds. */
static bool bounds_of(mask_parts *p, const mask_view *s, bool holds)
{
    dim_ctx *dc = p->m->dims;
    static const struct {
        op_kind op;
        order o, otherwise; /* of left and right where `swap` is false */
        bool swap, otherwise_swap;
    } comparisons[] = {{OP_LT, LESS, LESS_EQUAL, false, true}, {OP_LE, LESS_EQUAL, LESS, false, true},
                       {OP_GT, LESS, LESS_EQUAL, true, false}, {OP_GE, LESS_EQUAL, LESS, true, false},
                       {OP_EQ, EQUAL, NO_ORDER, false, false}, {OP_NE, NO_ORDER, EQUAL, false, false}};
    const node *n = s->v->def;
    for (size_t i = 0; n && i < sizeof comparisons / sizeof *comparisons; i++) {
        if (comparisons[i].op != n->op) continue;
        order o = holds ? comparisons[i].o : comparisons[i].otherwise;
        bool swap = holds ? comparisons[i].swap : comparisons[i].otherwise_swap;
        mask_view l = mask_view_operand(s, swap), r = mask_view_operand(s, !swap);
        affine x, y;
        attention_band before = p->band;
        bool found = p->found, ok;
        while (mask_view_through(p->m, &l, &l)) {}
        bool distance = match_op(l.v, OP_ABS) != NULL;
        if (distance) l = mask_view_operand(&l, 0);
        if (o == NO_ORDER || !affine_of(p, &l, &x) || !affine_of(p, &r, &y)) return false;
        if (distance && (y.queries || y.keys || o == EQUAL)) return false;
        affine d = difference(dc, &x, &y), back;
        ok = add_bound(p, &d, o == LESS);
        if (distance) { /* |x| <= y: also -x <= y */
            back = negated(dc, &x);
            d = difference(dc, &back, &y);
            ok = ok && add_bound(p, &d, o == LESS);
        } else if (o == EQUAL) {
            back = negated(dc, &d);
            ok = ok && add_bound(p, &back, false);
        }
        if (!ok) {
            p->band = before;
            p->found = found;
        }
        return ok;
    }
    return false;
}

bool mask_parts_add(mask_parts *p, const mask_view *s, bool holds)
{
    const node *n = s->v->def;
    mask_view inner;
    if (n && n->op == (holds ? OP_AND : OP_OR)) {
        mask_view l = mask_view_operand(s, 0), r = mask_view_operand(s, 1);
        return mask_parts_add(p, &l, holds) && mask_parts_add(p, &r, holds);
    }
    if (n && n->op == OP_NOT) {
        mask_parts before = *p;
        inner = mask_view_operand(s, 0);
        if (mask_parts_add(p, &inner, !holds)) return true;
        *p = before;
    } else if (mask_view_through(p->m, s, &inner)) {
        return mask_parts_add(p, &inner, holds);
    }
    if (bounds_of(p, s, holds)) return true;
    if (!holds || p->n_parts == MAX_PARTS) return false; /* a negation stays as it is */
    p->parts[p->n_parts++] = *s;
    return true;
}
