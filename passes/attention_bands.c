/* Causal and window masks become bounds of attention, so that what they leave out is not computed.
 *
 *   %0 = iota {axis = 1} : i64[B, S, S]
 *   %1 = iota {axis = 2} : i64[B, S, S]
 *   %2 = le %1, %0 : bool[B, S, S]
 *   %3 = broadcast %keep {axes = [0, 2]} : bool[B, S, S]
 *   %4 = and %3, %2 : bool[B, S, S]
 *   %5 = attention %q, %k, %v, %4 {scale = 0.125} : f32[B, H, S, E]
 * ->
 *   %3 = broadcast %keep {axes = [0, 2]} : bool[B, S, S]
 *   %5 = attention %q, %k, %v, %3 {scale = 0.125, to = 0} : f32[B, H, S, E]
 *
 * A mask is a conjunction, whose parts may have been broadcast at any stage. A part that compares indices, (j - i) +
 * offset with 0 or |j - i + offset| with a number, is a bound; the offset may be an expression of dims. Parts that do
 * not depend on the query are put together before they are broadcast over the queries: a mask of keys is then read as a
 * row. What is left of a mask is the conjunction of the other parts.
 *
 * Requires views as canonicalise leaves them. Breaks nothing: masked keys take no part in the reference either. Leaves
 * the old mask to dce.
 *
 * Looking for the few ways in which models write causal masks is the obvious way, and misses the next one: offsets,
 * orders of the conjunction, strict comparisons, negations, and both sides of comparisons are data here. */
#include "passes/match.h"
#include "passes/pass.h"

enum { MAX_PARTS = 8 };

/* A value seen from the mask [B, S, T]: axis k of the value lies along axis to[k] of the mask, or has one element (-1).
 * Ascending. */
typedef struct {
    value *v;
    int to[MAX_RANK];
} seen;

/* queries * i + keys * j + offset, where query i meets key j. */
typedef struct {
    int64_t queries, keys;
    dim offset;
} affine;

typedef struct {
    module *m;
    const type *mask;
    attention_band band;
    bool found; /* a bound */
    uint32_t n_parts;
    seen parts[MAX_PARTS]; /* that are no bounds */
} mask_parts;

/* ---- views ---- */

static bool is_one(const module *m, dim d)
{
    int64_t v;
    return dim_is_const(m->dims, d, &v) && v == 1;
}

/* The operand of a view that only repeats elements or adds and drops axes of one element. */
static bool look_through(const module *m, const seen *s, seen *out)
{
    const seen from = *s;
    const node *n = from.v->def;
    if (!n || (n->op != OP_BROADCAST && n->op != OP_RESHAPE)) return false;
    seen to = {.v = n->operands[0]};
    int a = 0;
    for (int k = 0; k < to.v->ty.rank; k++) {
        bool one = is_one(m, to.v->ty.shape[k]);
        if (n->op == OP_BROADCAST) {
            const attr *axes = node_attr(n, ATTR_AXES);
            if (k && axes->u.ints.v[k] <= axes->u.ints.v[k - 1]) return false;
            to.to[k] = one ? -1 : from.to[axes->u.ints.v[k]];
            continue;
        }
        while (!one && a < from.v->ty.rank && is_one(m, from.v->ty.shape[a])) a++;
        if (!one && (a == from.v->ty.rank || from.v->ty.shape[a] != to.v->ty.shape[k])) return false;
        to.to[k] = one ? -1 : from.to[a++];
    }
    while (n->op == OP_RESHAPE && a < from.v->ty.rank)
        if (!is_one(m, from.v->ty.shape[a++])) return false;
    *out = to;
    return true;
}

static seen operand(const seen *s, uint32_t i)
{
    seen o = *s; /* elementwise: the same axes */
    o.v = s->v->def->operands[i];
    return o;
}

/* ---- indices ---- */

/* x holds everywhere what its dtype can: no wrapping has happened. */
static bool fits(const mask_parts *p, const affine *x, dtype dt)
{
    dim_ctx *dc = p->m->dims;
    double least, most;
    dtype_range(dt, &least, &most, NULL);
    dim one = dim_const(dc, 1), ends[2] = {dim_sub(dc, p->mask->shape[1], one), dim_sub(dc, p->mask->shape[2], one)};
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
static bool index_along(const mask_parts *p, const seen *s, int axis, dim start, int64_t step, affine *out)
{
    *out = constant(start);
    if (is_one(p->m, s->v->ty.shape[axis])) return true;
    if (s->to[axis] == 1) out->queries = step;
    else if (s->to[axis] == 2) out->keys = step;
    else return false;
    return true;
}

static bool affine_of(const mask_parts *p, const seen *s, affine *out)
{
    dim_ctx *dc = p->m->dims;
    const node *n = s->v->def;
    dtype dt = s->v->ty.dt;
    double splat;
    seen inner;
    affine y;
    if (!n || dtype_is_float(dt) || dt == DT_BOOL) return false;
    if (value_const_splat(s->v, &splat)) {
        if (splat < -0x1p52 || splat > 0x1p52) return false;
        *out = constant(dim_const(dc, (int64_t)splat));
        return true;
    }
    if (look_through(p->m, s, &inner)) return affine_of(p, &inner, out);
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
        inner = operand(s, 0);
        ok = affine_of(p, &inner, out);
        break;
    case OP_NEG:
        inner = operand(s, 0);
        ok = affine_of(p, &inner, &y);
        *out = (affine){-y.queries, -y.keys, dim_sub(dc, dim_const(dc, 0), y.offset)};
        break;
    case OP_ADD:
    case OP_SUB: {
        seen l = operand(s, 0), r = operand(s, 1);
        affine x;
        if (!affine_of(p, &l, &x) || !affine_of(p, &r, &y)) return false;
        int64_t sign = n->op == OP_ADD ? 1 : -1;
        *out = (affine){x.queries + sign * y.queries, x.keys + sign * y.keys,
                        n->op == OP_ADD ? dim_add(dc, x.offset, y.offset) : dim_sub(dc, x.offset, y.offset)};
        ok = true;
        break;
    }
    case OP_MUL: {
        inner = operand(s, 0);
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
    bool single = is_one(p->m, p->mask->shape[1]);                                            /* i is 0 */
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
static bool bounds_of(mask_parts *p, const seen *s, bool holds)
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
        seen l = operand(s, swap), r = operand(s, !swap);
        affine x, y;
        attention_band before = p->band;
        bool found = p->found, ok;
        while (look_through(p->m, &l, &l)) {}
        bool distance = match_op(l.v, OP_ABS) != NULL;
        if (distance) l = operand(&l, 0);
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

/* Takes the mask s (holds: false: its negation) apart. False when it has too many parts. */
static bool take_apart(mask_parts *p, const seen *s, bool holds)
{
    const node *n = s->v->def;
    seen inner;
    if (n && n->op == (holds ? OP_AND : OP_OR)) {
        seen l = operand(s, 0), r = operand(s, 1);
        return take_apart(p, &l, holds) && take_apart(p, &r, holds);
    }
    if (n && n->op == OP_NOT) {
        mask_parts before = *p;
        inner = operand(s, 0);
        if (take_apart(p, &inner, !holds)) return true;
        *p = before;
    } else if (look_through(p->m, s, &inner)) {
        return take_apart(p, &inner, holds);
    }
    if (bounds_of(p, s, holds)) return true;
    if (!holds || p->n_parts == MAX_PARTS) return false; /* a negation stays as it is */
    p->parts[p->n_parts++] = *s;
    return true;
}

/* ---- the new mask ---- */

static bool depends_on_query(const seen *s)
{
    for (int k = 0; k < s->v->ty.rank; k++)
        if (s->to[k] == 1) return true;
    return false;
}

/* The part as [B, S, T], or [B, 1, T]. */
static value *widened(builder *b, const mask_parts *p, const seen *s, bool rows)
{
    int axes[MAX_RANK];
    uint8_t rank = 0;
    dim kept[MAX_RANK], shape[3] = {p->mask->shape[0], p->mask->shape[1], p->mask->shape[2]};
    if (!rows) shape[1] = dim_const(p->m->dims, 1);
    for (int k = 0; k < s->v->ty.rank; k++)
        if (s->to[k] >= 0) {
            axes[rank] = s->to[k];
            kept[rank++] = s->v->ty.shape[k];
        }
    value *v = rank == s->v->ty.rank ? s->v : build_reshape(b, s->v, rank, kept);
    bool whole = rank == 3 && rows;
    return whole ? v : build_broadcast(b, v, axes, 3, shape);
}

/* The conjunction of the parts, NULL where there are none. */
static value *remaining_mask(builder *b, const mask_parts *p)
{
    value *keys = NULL, *all = NULL;
    uint32_t of_keys = 0;
    for (uint32_t i = 0; i < p->n_parts; i++) of_keys += !depends_on_query(&p->parts[i]);
    bool narrow = of_keys > 1 && !is_one(p->m, p->mask->shape[1]);
    for (uint32_t i = 0; i < p->n_parts; i++) {
        bool rows = depends_on_query(&p->parts[i]);
        value **sum = rows ? &all : &keys, *v = widened(b, p, &p->parts[i], rows || !narrow);
        *sum = *sum ? build_scalar(b, OP_AND, (value *[]){*sum, v}, 2) : v;
    }
    if (!keys) return all;
    if (narrow) keys = build_broadcast(b, keys, (int[]){0, 1, 2}, 3, p->mask->shape);
    return all ? build_scalar(b, OP_AND, (value *[]){keys, all}, 2) : keys;
}

/* A bound that limits nothing goes. */
static void drop_idle_bounds(mask_parts *p)
{
    dim_ctx *dc = p->m->dims;
    dim one = dim_const(dc, 1);
    if (p->band.has_from && dim_le(dc, p->band.from, dim_sub(dc, one, p->mask->shape[1]))) p->band.has_from = false;
    if (p->band.has_to && dim_le(dc, dim_sub(dc, p->mask->shape[2], one), p->band.to)) p->band.has_to = false;
}

static void remark(pass_ctx *ctx, const module *m, const node *n, const mask_parts *p)
{
    strbuf s = strbuf_new(ctx->scratch);
    strbuf_adds(&s, p->band.has_from || p->band.has_to ? "query i sees the keys " : "query i sees all keys");
    for (int end = 0; end < 2 && (p->band.has_from || p->band.has_to); end++) {
        if (end) strbuf_adds(&s, " .. ");
        if (!(end ? p->band.has_to : p->band.has_from)) {
            strbuf_adds(&s, end ? "last" : "0");
            continue;
        }
        strbuf_adds(&s, "i + ");
        dim_print(m->dims, end ? p->band.to : p->band.from, &s);
    }
    pass_remark(ctx, n, "%s%s", s.s, p->n_parts ? ", and a mask is left" : "");
}

static bool rewrite(pass_ctx *ctx, module *m, node *n)
{
    value *mask = attention_mask(n);
    if (!mask) return false;
    mask_parts p = {.m = m, .mask = &mask->ty, .band = attention_band_of(n)};
    seen whole = {.v = mask, .to = {0, 1, 2}};
    if (!take_apart(&p, &whole, true) || !p.found) return false;
    drop_idle_bounds(&p);
    builder b = builder_before(n);
    value *y = build_banded_attention(&b, n->operands[0], n->operands[1], n->operands[2], remaining_mask(&b, &p),
                                      attention_bias(n), node_attr(n, ATTR_SCALE)->u.real, p.band);
    remark(ctx, m, y->def, &p);
    value_replace(n->fn, n->result, y);
    node_erase(n);
    return true;
}

status pass_attention_bands(pass_ctx *ctx, module *m, bool *changed)
{
    uint32_t n_functions;
    function **all = module_walk(m, ctx->scratch, &n_functions);
    for (uint32_t i = 0; i < n_functions; i++)
        function_foreach (n, all[i])
            if (n->op == OP_ATTENTION) *changed |= rewrite(ctx, m, n);
    return STATUS_OK;
}
