/* Result types: infer_##name for every row of ops.def, one rule for all rows of scalar.def.
 *
 * Sizes are equal when their dims are the same expression. Where a fact cannot be decided for symbolic dims (a slice
 * that starts at P in an axis of S), only what is provably wrong is refused: the frontend has asked for a `require`,
 * and the interpreter and the artefact check at run time. */
#include "ir/internal.h"

#include <stdarg.h>

typedef struct {
    infer_ctx *c;
    module *m;
    op_kind op;
    value *const *operands;
    uint32_t n;
    const attr *attrs;
    const type *given; /* NULL: none */
} inputs;

static __attribute__((format(printf, 2, 3))) bool fail(const inputs *in, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    in->c->why = arena_vprintf(in->m->a, fmt, ap);
    va_end(ap);
    return false;
}

static const char *text(const inputs *in, const type *t)
{
    strbuf b = strbuf_new(in->m->a);
    type_print(in->m, t, &b);
    return b.s;
}

static const char *dim_text(const inputs *in, dim d)
{
    strbuf b = strbuf_new(in->m->a);
    dim_print(in->m->dims, d, &b);
    return b.s;
}

static const type *operand(const inputs *in, uint32_t i)
{
    return &in->operands[i]->ty;
}

static const attr *get(const inputs *in, attr_name name)
{
    const op_info *row = op_row(in->op);
    for (int i = 0; i < row->n_attrs; i++)
        if (row->attrs[i] == name) return &in->attrs[i];
    return NULL;
}

static bool is_size(const inputs *in, dim d, int64_t v)
{
    int64_t k;
    return dim_is_const(in->m->dims, d, &k) && k == v;
}

/* Checks that `axis` names one of `rank` axes. */
static bool axis_in(const inputs *in, int64_t axis, int rank)
{
    if (axis >= 0 && axis < rank) return true;
    return fail(in, "axis %lld of a tensor of rank %d", (long long)axis, rank);
}

/* A strictly increasing, non-empty list of axes. */
static bool axes_in(const inputs *in, const attr *a, int rank)
{
    if (!a->u.ints.n) return fail(in, "no axes");
    for (int i = 0; i < a->u.ints.n; i++) {
        if (!axis_in(in, a->u.ints.v[i], rank)) return false;
        if (i && a->u.ints.v[i - 1] >= a->u.ints.v[i]) return fail(in, "axes are not in increasing order");
    }
    return true;
}

static bool is_int(dtype t)
{
    return dtype_class_of(t) == DTC_INT || dtype_class_of(t) == DTC_UINT;
}

/* ---- leaves ---- */

static bool infer_param(const inputs *in, type *out)
{
    const param *p = get(in, ATTR_PARAM)->u.p;
    if (in->given && !type_equal(in->given, &p->ty))
        return fail(in, "parameter \"%s\" is %s, not %s", p->path, text(in, &p->ty), text(in, in->given));
    *out = p->ty;
    return true;
}

static bool infer_const(const inputs *in, type *out)
{
    const attr *real = get(in, ATTR_VALUE), *whole = get(in, ATTR_IVALUE);
    *out = *in->given;
    if (dtype_is_float(out->dt) ? !real->set || whole->set : real->set || !whole->set)
        return fail(in, "a const of %s needs %s", dtype_name(out->dt), dtype_is_float(out->dt) ? "value" : "ivalue");
    if (out->dt == DT_BOOL && whole->u.i != 0 && whole->u.i != 1) return fail(in, "a bool is 0 or 1");
    return true;
}

static bool infer_iota(const inputs *in, type *out)
{
    *out = *in->given;
    if (out->dt == DT_BOOL) return fail(in, "indices of dtype bool");
    return axis_in(in, get(in, ATTR_AXIS)->u.i, out->rank);
}

/* ---- views ---- */

static bool infer_cast(const inputs *in, type *out)
{
    *out = *operand(in, 0);
    out->dt = in->given->dt;
    if (!type_equal(out, in->given))
        return fail(in, "a cast of %s to %s changes the shape", text(in, operand(in, 0)), text(in, in->given));
    return true;
}

static bool infer_broadcast(const inputs *in, type *out)
{
    const type *a = operand(in, 0);
    const attr *axes = get(in, ATTR_AXES);
    *out = *in->given;
    if (out->dt != a->dt) return fail(in, "a broadcast of %s to %s changes the dtype", text(in, a), text(in, out));
    if (axes->u.ints.n != a->rank) return fail(in, "%d axes for an operand of rank %d", axes->u.ints.n, a->rank);
    for (int i = 0; i < a->rank; i++) {
        int64_t to = axes->u.ints.v[i];
        if (!axis_in(in, to, out->rank)) return false;
        if (i && axes->u.ints.v[i - 1] >= to) return fail(in, "axes are not in increasing order");
        if (a->shape[i] != out->shape[to] && !is_size(in, a->shape[i], 1))
            return fail(in, "axis %d of size %s cannot become axis %d of size %s", i, dim_text(in, a->shape[i]),
                        (int)to, dim_text(in, out->shape[to]));
    }
    return true;
}

static bool infer_transpose(const inputs *in, type *out)
{
    const type *a = operand(in, 0);
    const attr *perm = get(in, ATTR_PERM);
    if (perm->u.ints.n != a->rank)
        return fail(in, "a permutation of %d axes for an operand of rank %d", perm->u.ints.n, a->rank);
    *out = *a;
    unsigned seen = 0;
    for (int i = 0; i < a->rank; i++) {
        int64_t from = perm->u.ints.v[i];
        if (!axis_in(in, from, a->rank)) return false;
        if (seen >> from & 1) return fail(in, "axis %d occurs twice in the permutation", (int)from);
        seen |= 1u << from;
        out->shape[i] = a->shape[from];
    }
    return true;
}

static bool infer_reshape(const inputs *in, type *out)
{
    const type *a = operand(in, 0);
    *out = *in->given;
    if (out->dt != a->dt) return fail(in, "a reshape of %s to %s changes the dtype", text(in, a), text(in, out));
    dim have = type_elements(in->m, a), want = type_elements(in->m, out);
    if (have == DIM_BAD || want == DIM_BAD) return fail(in, "the number of elements overflows");
    if (have != want)
        return fail(in, "cannot show that %s and %s have equally many elements", text(in, a), text(in, out));
    return true;
}

static bool infer_slice(const inputs *in, type *out)
{
    const type *a = operand(in, 0);
    const attr *start = get(in, ATTR_START), *step = get(in, ATTR_STEP);
    dim_ctx *d = in->m->dims;
    *out = *in->given;
    if (out->dt != a->dt || out->rank != a->rank)
        return fail(in, "a slice of %s cannot be %s", text(in, a), text(in, out));
    if (start->u.dims.n != a->rank || step->u.ints.n != a->rank)
        return fail(in, "start and step need one entry for each of %d axes", a->rank);
    for (int i = 0; i < a->rank; i++) {
        int64_t by = step->u.ints.v[i];
        if (by < 1) return fail(in, "step %lld of axis %d is not positive", (long long)by, i);
        /* The last index read, plus one. An empty slice reads nothing. */
        dim from = start->u.dims.v[i], size = out->shape[i];
        dim end = dim_add(d, from,
                          dim_add(d, dim_mul(d, dim_sub(d, size, dim_const(d, 1)), dim_const(d, by)), dim_const(d, 1)));
        if (end == DIM_BAD) return fail(in, "the bounds of axis %d overflow", i);
        int64_t lo, hi;
        dim_bounds(d, from, &lo, &hi);
        if (hi < 0) return fail(in, "axis %d starts at %s, before 0", i, dim_text(in, from));
        dim_bounds(d, size, &lo, &hi);
        if (hi == 0) continue;
        dim_bounds(d, dim_sub(d, end, a->shape[i]), &lo, &hi);
        int64_t least_size, most_size;
        dim_bounds(d, size, &least_size, &most_size);
        if (lo > 0 && least_size > 0)
            return fail(in, "axis %d of size %s is read up to %s", i, dim_text(in, a->shape[i]), dim_text(in, end));
    }
    return true;
}

static bool infer_concat(const inputs *in, type *out)
{
    int64_t axis = get(in, ATTR_AXIS)->u.i;
    *out = *operand(in, 0);
    if (!axis_in(in, axis, out->rank)) return false;
    for (uint32_t o = 1; o < in->n; o++) {
        const type *t = operand(in, o);
        if (t->dt != out->dt || t->rank != out->rank)
            return fail(in, "operand %u is %s beside %s", o, text(in, t), text(in, operand(in, 0)));
        for (int i = 0; i < out->rank; i++) {
            if (i == axis) out->shape[i] = dim_add(in->m->dims, out->shape[i], t->shape[i]);
            else if (t->shape[i] != out->shape[i])
                return fail(in, "operand %u is %s beside %s", o, text(in, t), text(in, operand(in, 0)));
        }
    }
    if (out->shape[axis] == DIM_BAD) return fail(in, "the size of axis %d overflows", (int)axis);
    return true;
}

/* ---- arithmetic over axes ---- */

static bool infer_contract(const inputs *in, type *out)
{
    const labels *l = &get(in, ATTR_LABELS)->u.lab;
    const type *x = operand(in, 0), *y = operand(in, 1);
    if (x->dt != y->dt || x->dt == DT_BOOL) return fail(in, "a contraction of %s and %s", text(in, x), text(in, y));
    dim size[128] = {0};
    for (int o = 0; o < 2; o++) {
        const type *t = operand(in, (uint32_t)o);
        if (l->rank[o] != t->rank) return fail(in, "%d labels for operand %d of rank %d", l->rank[o], o, t->rank);
        bool seen[128] = {0};
        for (int i = 0; i < t->rank; i++) {
            unsigned char c = (unsigned char)l->label[o][i];
            if (seen[c & 127]) return fail(in, "label '%c' occurs twice in operand %d", c, o);
            seen[c & 127] = true;
            if (size[c & 127] && size[c & 127] != t->shape[i])
                return fail(in, "label '%c' is of size %s and of size %s", c, dim_text(in, size[c & 127]),
                            dim_text(in, t->shape[i]));
            size[c & 127] = t->shape[i];
        }
    }
    *out = (type){.dt = x->dt, .rank = l->rank[2]};
    bool seen[128] = {0};
    for (int i = 0; i < l->rank[2]; i++) {
        unsigned char c = (unsigned char)l->label[2][i];
        if (!size[c & 127]) return fail(in, "label '%c' of the result is in no operand", c);
        if (seen[c & 127]) return fail(in, "label '%c' occurs twice in the result", c);
        seen[c & 127] = true;
        out->shape[i] = size[c & 127];
    }
    return true;
}

static bool infer_reduce(const inputs *in, type *out)
{
    const type *a = operand(in, 0);
    const attr *axes = get(in, ATTR_AXES);
    reduce_kind k = (reduce_kind)get(in, ATTR_KIND)->u.i;
    if (!axes_in(in, axes, a->rank)) return false;
    bool on_bool = k == REDUCE_ANY || k == REDUCE_ALL;
    if ((a->dt == DT_BOOL) != on_bool || (k == REDUCE_MEAN && !dtype_is_float(a->dt)))
        return fail(in, "%s of %s", reduce_name(k), dtype_name(a->dt));
    *out = (type){.dt = a->dt};
    int next = 0;
    for (int i = 0; i < a->rank; i++) {
        if (next < axes->u.ints.n && axes->u.ints.v[next] == i) next++;
        else out->shape[out->rank++] = a->shape[i];
    }
    return true;
}

/* An index exists only where an element does. */
static bool infer_argmax(const inputs *in, type *out)
{
    const type *a = operand(in, 0);
    int64_t axis = get(in, ATTR_AXIS)->u.i, least, most;
    if (!axis_in(in, axis, a->rank)) return false;
    if (a->dt == DT_BOOL) return fail(in, "argmax of bool");
    dim_bounds(in->m->dims, a->shape[axis], &least, &most);
    if (least < 1) return fail(in, "axis %d of size %s may be empty", (int)axis, dim_text(in, a->shape[axis]));
    *out = (type){.dt = DT_I64};
    for (int i = 0; i < a->rank; i++)
        if (i != axis) out->shape[out->rank++] = a->shape[i];
    return true;
}

static bool needs_float(const inputs *in, const type *t)
{
    return dtype_is_float(t->dt) || fail(in, "%s of %s", op_row(in->op)->name, dtype_name(t->dt));
}

static bool infer_softmax(const inputs *in, type *out)
{
    *out = *operand(in, 0);
    return needs_float(in, out) && axis_in(in, get(in, ATTR_AXIS)->u.i, out->rank);
}

static bool infer_normalize(const inputs *in, type *out)
{
    *out = *operand(in, 0);
    return needs_float(in, out) && axes_in(in, get(in, ATTR_AXES), out->rank);
}

/* ---- packing ---- */

static bool is_mask(const inputs *in, const type *mask)
{
    return mask->dt == DT_BOOL && mask->rank == 2 ? true
                                                  : fail(in, "a mask of type %s, not bool[B, S]", text(in, mask));
}

/* `offsets` are those of a mask, whose true elements `size` counts. Kernels rely on it: they look for nothing outside
 * of the runs. */
static bool counts_mask(const inputs *in, const value *offsets, dim size)
{
    if (!offsets->def || offsets->def->op != OP_OFFSETS) return fail(in, "offsets that are not those of a mask");
    for (const use *u = offsets->uses; u; u = u->next) {
        const node *n = u->user;
        if (n && n->op == OP_POSITIONS && n->operands[0] == offsets->def->operands[0] &&
            node_attr(n, ATTR_TOKENS)->u.d == size)
            return true;
    }
    return fail(in, "%s is not counted by positions of the mask", dim_text(in, size));
}

static bool are_offsets_of(const inputs *in, const value *offsets, const value *mask)
{
    bool fit = offsets->def && offsets->def->op == OP_OFFSETS && offsets->def->operands[0] == mask;
    return fit ? true : fail(in, "offsets that are not those of the mask");
}

static bool infer_offsets(const inputs *in, type *out)
{
    const type *mask = operand(in, 0);
    if (!is_mask(in, mask)) return false;
    *out = (type){.dt = DT_I64, .rank = 1};
    out->shape[0] = dim_add(in->m->dims, mask->shape[0], dim_const(in->m->dims, 1));
    return true;
}

static bool infer_positions(const inputs *in, type *out)
{
    const type *mask = operand(in, 0);
    const attr *along = get(in, ATTR_ALONG);
    dim_ctx *d = in->m->dims;
    dim tokens = get(in, ATTR_TOKENS)->u.d;
    if (!is_mask(in, mask) || !are_offsets_of(in, in->operands[1], in->operands[0])) return false;
    if (along->set && !axis_in(in, along->u.i, mask->rank)) return false;
    int32_t symbol = dim_is_symbol(d, tokens);
    if (symbol < 0 || dim_symbol_at(d, (uint32_t)symbol)->origin != DIM_DATA)
        return fail(in, "tokens is %s, no dim of origin data", dim_text(in, tokens));
    const dim_symbol *s = dim_symbol_at(d, (uint32_t)symbol);
    int64_t least, most;
    dim_bounds(d, dim_mul(d, mask->shape[0], mask->shape[1]), &least, &most);
    if (s->min > 0 || s->max < most || s->multiple != 1)
        return fail(in, "%s is %lld..%lld, and %s has 0..%lld true elements", s->name, (long long)s->min,
                    (long long)s->max, text(in, mask), (long long)most);
    *out = (type){.dt = DT_I64, .rank = 1};
    out->shape[0] = tokens;
    return true;
}

static bool infer_unpack(const inputs *in, type *out)
{
    const type *x = operand(in, 0), *mask = operand(in, 1);
    if (!is_mask(in, mask) || !are_offsets_of(in, in->operands[2], in->operands[1])) return false;
    if (x->rank == 0 || x->rank == MAX_RANK || x->enc.kind != ENC_ROWS)
        return fail(in, "%s cannot be unpacked", text(in, x));
    if (!counts_mask(in, in->operands[2], x->shape[0])) return false;
    *out = (type){.dt = x->dt, .rank = (uint8_t)(x->rank + 1)};
    out->shape[0] = mask->shape[0];
    memcpy(out->shape + 1, x->shape, x->rank * sizeof *x->shape);
    out->shape[1] = mask->shape[1];
    return true;
}

/* ---- attention ---- */

static bool is_shape(const type *t, dim d0, dim d1, dim d2, dim d3)
{
    return t->rank == 4 && t->shape[0] == d0 && t->shape[1] == d1 && t->shape[2] == d2 && t->shape[3] == d3;
}

/* Attention of packed sequences, from the operands behind the offsets on. Bounds by positions are wider than the same
 * bounds by rows, and kernels rely on it: for this they must not leave out the query's own place. */
static bool infer_runs(const inputs *in, const value *mask, type *out)
{
    const type *q = operand(in, 0);
    dim_ctx *d = in->m->dims;
    const attr *from = get(in, ATTR_FROM), *to = get(in, ATTR_TO);
    dim zero = dim_const(d, 0);
    uint32_t next = 4;
    if (next < in->n && operand(in, next)->dt == DT_I64) {
        const node *positions = in->operands[next++]->def;
        if (!positions || positions->op != OP_POSITIONS || positions->operands[0] != mask ||
            positions->result->ty.shape[0] != q->shape[2] || !node_attr(positions, ATTR_ALONG)->set ||
            node_attr(positions, ATTR_ALONG)->u.i != 1)
            return fail(in, "positions that are not those of the mask along axis 1");
        if ((from->set && !dim_le(d, from->u.d, zero)) || (to->set && !dim_le(d, zero, to->u.d)))
            return fail(in, "bounds by positions that may leave out a query's own place");
    }
    if (next < in->n) {
        const type *bias = operand(in, next++);
        const dim *runs = mask->ty.shape;
        if (next == 5) return fail(in, "runs with a bias need positions");
        if (!dtype_is_float(bias->dt) || !is_shape(bias, runs[0], q->shape[1], runs[1], runs[1]))
            return fail(in, "bias %s does not fit queries %s and the mask %s", text(in, bias), text(in, q),
                        text(in, &mask->ty));
    }
    if (next < in->n) return fail(in, "nothing may follow the bias");
    *out = *q;
    out->shape[3] = operand(in, 2)->shape[3];
    return true;
}

static bool infer_attention(const inputs *in, type *out)
{
    const type *q = operand(in, 0), *k = operand(in, 1), *v = operand(in, 2);
    if (!needs_float(in, q)) return false;
    if (k->dt != q->dt || v->dt != q->dt)
        return fail(in, "queries, keys and values of %s, %s and %s", dtype_name(q->dt), dtype_name(k->dt),
                    dtype_name(v->dt));
    if (q->rank != 4 || k->rank != 4 || v->rank != 4)
        return fail(in, "queries, keys and values need 4 axes, got %d, %d and %d", q->rank, k->rank, v->rank);
    if (q->shape[0] != k->shape[0] || q->shape[0] != v->shape[0] || k->shape[1] != v->shape[1] ||
        k->shape[2] != v->shape[2] || q->shape[3] != k->shape[3])
        return fail(in, "queries %s, keys %s and values %s do not fit", text(in, q), text(in, k), text(in, v));
    int64_t heads, groups;
    bool divides = q->shape[1] == k->shape[1] ||
                   (dim_is_const(in->m->dims, q->shape[1], &heads) && dim_is_const(in->m->dims, k->shape[1], &groups) &&
                    groups > 0 && heads % groups == 0);
    if (!divides)
        return fail(in, "%s query heads cannot share %s key heads", dim_text(in, q->shape[1]),
                    dim_text(in, k->shape[1]));
    uint32_t next = 3;
    if (next < in->n && operand(in, next)->dt == DT_BOOL) {
        const type *mask = operand(in, next++);
        if (mask->rank != 3 || mask->shape[0] != q->shape[0] || mask->shape[1] != q->shape[2] ||
            mask->shape[2] != k->shape[2])
            return fail(in, "mask %s does not fit queries %s and keys %s", text(in, mask), text(in, q), text(in, k));
    }
    if (next == 3 && next < in->n && operand(in, next)->dt == DT_I64) {
        const value *offsets = in->operands[next++];
        if (!counts_mask(in, offsets, q->shape[2])) return false;
        if (!is_size(in, q->shape[0], 1) || k->shape[2] != q->shape[2])
            return fail(in, "queries %s and keys %s do not fit runs of one batch", text(in, q), text(in, k));
        return infer_runs(in, offsets->def->operands[0], out);
    }
    if (next < in->n) {
        const type *bias = operand(in, next++);
        if (!dtype_is_float(bias->dt))
            return fail(in, "operand %u of type %s is neither a mask (bool) nor offsets (i64) nor a bias", next - 1,
                        text(in, bias));
        if (!is_shape(bias, q->shape[0], q->shape[1], q->shape[2], k->shape[2]))
            return fail(in, "bias %s does not fit queries %s and keys %s", text(in, bias), text(in, q), text(in, k));
    }
    if (next < in->n) return fail(in, "nothing may follow the bias");
    *out = *q;
    out->shape[3] = v->shape[3];
    return true;
}

static bool infer_gather(const inputs *in, type *out)
{
    const type *table = operand(in, 0), *ids = operand(in, 1);
    int64_t axis = get(in, ATTR_AXIS)->u.i;
    if (!axis_in(in, axis, table->rank)) return false;
    if (!is_int(ids->dt)) return fail(in, "indices of dtype %s", dtype_name(ids->dt));
    if (table->rank - 1 + ids->rank > MAX_RANK) return fail(in, "the result has more than %d axes", MAX_RANK);
    *out = (type){.dt = table->dt};
    for (int i = 0; i < table->rank; i++) {
        if (i != axis) {
            out->shape[out->rank++] = table->shape[i];
            continue;
        }
        for (int j = 0; j < ids->rank; j++) out->shape[out->rank++] = ids->shape[j];
    }
    return true;
}

static bool infer_update(const inputs *in, type *out)
{
    const type *a = operand(in, 0), *box = operand(in, 1);
    const attr *start = get(in, ATTR_START);
    dim_ctx *d = in->m->dims;
    *out = *a;
    if (box->dt != a->dt || box->rank != a->rank)
        return fail(in, "%s cannot be put into %s", text(in, box), text(in, a));
    if (start->u.dims.n != a->rank) return fail(in, "start needs one entry for each of %d axes", a->rank);
    for (int i = 0; i < a->rank; i++) {
        dim from = start->u.dims.v[i], size = box->shape[i], end = dim_add(d, from, size);
        if (end == DIM_BAD) return fail(in, "the bounds of axis %d overflow", i);
        int64_t least, most, least_size;
        dim_bounds(d, from, &least, &most);
        if (most < 0) return fail(in, "axis %d starts at %s, before 0", i, dim_text(in, from));
        dim_bounds(d, size, &least_size, &most);
        dim_bounds(d, dim_sub(d, end, a->shape[i]), &least, &most);
        if (least > 0 && least_size > 0)
            return fail(in, "axis %d of size %s is written up to %s", i, dim_text(in, a->shape[i]), dim_text(in, end));
    }
    return true;
}

static bool infer_top_k(const inputs *in, type *out)
{
    const type *a = operand(in, 0);
    int64_t axis = get(in, ATTR_AXIS)->u.i, count = get(in, ATTR_COUNT)->u.i, least, most;
    if (!axis_in(in, axis, a->rank)) return false;
    if (a->dt == DT_BOOL) return fail(in, "the largest elements of bool");
    dim_bounds(in->m->dims, a->shape[axis], &least, &most);
    if (count < 0 || count > least)
        return fail(in, "%lld elements of axis %d of size %s", (long long)count, (int)axis,
                    dim_text(in, a->shape[axis]));
    out[0] = *a;
    out[0].shape[axis] = dim_const(in->m->dims, count);
    out[1] = out[0];
    out[1].dt = DT_I64;
    return true;
}

/* The index is a symbol that can be 0 .. extent - 1. */
static bool index_fits(const inputs *in)
{
    dim_ctx *d = in->m->dims;
    dim index = get(in, ATTR_INDEX)->u.d, extent = get(in, ATTR_EXTENT)->u.d;
    int32_t symbol = dim_is_symbol(d, index);
    if (symbol < 0 || dim_symbol_at(d, (uint32_t)symbol)->origin != DIM_DATA)
        return fail(in, "the index %s is no dim of origin data", dim_text(in, index));
    const dim_symbol *s = dim_symbol_at(d, (uint32_t)symbol);
    int64_t least, most;
    dim_bounds(d, extent, &least, &most);
    if (least < 0) return fail(in, "the extent %s may be negative", dim_text(in, extent));
    if (dim_uses(d, extent, (uint32_t)symbol)) return fail(in, "the extent depends on the index %s", s->name);
    if (s->min > 0 || s->max < most - 1 || s->multiple != 1)
        return fail(in, "the index %s is %lld..%lld, and runs up to %lld", s->name, (long long)s->min,
                    (long long)s->max, (long long)most - 1);
    return true;
}

static bool uses_index(const inputs *in, const type *t)
{
    uint32_t symbol = (uint32_t)dim_is_symbol(in->m->dims, get(in, ATTR_INDEX)->u.d);
    for (int i = 0; i < t->rank; i++)
        if (dim_uses(in->m->dims, t->shape[i], symbol)) return true;
    return false;
}

static bool infer_scan(const inputs *in, type *out)
{
    const function *body = get(in, ATTR_BODY)->u.f;
    int64_t carries = get(in, ATTR_CARRIES)->u.i;
    if (!index_fits(in)) return false;
    if (body->args.len != in->n)
        return fail(in, "@%s has %u arguments, and gets %u operands", body->name, body->args.len, in->n);
    for (uint32_t i = 0; i < in->n; i++) {
        const type *t = &body->args.data[i].v->ty;
        if (!type_equal(t, operand(in, i)))
            return fail(in, "operand %u is %s, argument '%s' of @%s is %s", i, text(in, operand(in, i)),
                        body->args.data[i].name, body->name, text(in, t));
        if (uses_index(in, t))
            return fail(in, "argument '%s' of @%s depends on the index", body->args.data[i].name, body->name);
    }
    uint32_t n = body->results.len;
    if (!n) return fail(in, "@%s has no results", body->name);
    if (carries < 0 || carries > in->n || carries > n)
        return fail(in, "%lld carries of %u operands and %u results of @%s", (long long)carries, in->n, n, body->name);
    for (uint32_t i = 0; i < n; i++) {
        const char *name = body->results.data[i].name;
        const type *t = &body->results.data[i].v->ty;
        out[i] = *t;
        if (i < carries) {
            if (type_equal(t, operand(in, i))) continue;
            return fail(in, "carry '%s' of @%s becomes %s, and was %s", name, body->name, text(in, t),
                        text(in, operand(in, i)));
        }
        if (uses_index(in, t)) return fail(in, "result '%s' of @%s depends on the index", name, body->name);
        if (t->rank == MAX_RANK) return fail(in, "result '%s' of @%s has no room for another axis", name, body->name);
        if (t->enc.kind != ENC_ROWS) return fail(in, "result '%s' of @%s is encoded", name, body->name);
        out[i].rank++;
        out[i].shape[0] = get(in, ATTR_EXTENT)->u.d;
        memcpy(&out[i].shape[1], t->shape, t->rank * sizeof *t->shape);
    }
    return true;
}

/* ---- elementwise ---- */

static bool infer_scalar(const inputs *in, type *out)
{
    const scalar_info *s = scalar_row(in->op);
    const char *name = op_row(in->op)->name;
    const type *last = operand(in, in->n - 1);
    for (uint32_t o = 0; o < in->n; o++) {
        const type *t = operand(in, o);
        if (t->rank != last->rank || memcmp(t->shape, last->shape, t->rank * sizeof *t->shape))
            return fail(in, "operands of different shapes %s and %s", text(in, t), text(in, last));
        bool condition = s->operands == S_SELECT && o == 0;
        if (condition ? t->dt != DT_BOOL : t->dt != last->dt)
            return condition ? fail(in, "the condition is %s, not bool", dtype_name(t->dt))
                             : fail(in, "operands of dtypes %s and %s", dtype_name(t->dt), dtype_name(last->dt));
    }
    bool ok = true;
    switch (s->operands) {
    case S_FLOAT: ok = dtype_is_float(last->dt); break;
    case S_INT: ok = is_int(last->dt); break;
    case S_BOOL: ok = last->dt == DT_BOOL; break;
    case S_SELECT: break;
    case S_SAME:
        ok = dtype_is_float(last->dt) ? s->on_float : s->on_int && (last->dt != DT_BOOL || s->result == R_BOOL);
        break;
    }
    if (!ok) return fail(in, "%s of %s", name, dtype_name(last->dt));
    *out = *last;
    if (s->result == R_BOOL) out->dt = DT_BOOL;
    return true;
}

/* ---- the entry ---- */

bool op_needs_type(op_kind op)
{
    return op_row(op)->props & P_TYPED;
}

/* A list of words of an enumeration is closed: text and passes may only give what attrs.c can print. */
static bool attrs_valid(const inputs *in)
{
    const op_info *row = op_row(in->op);
    for (int i = 0; i < row->n_attrs; i++) {
        const attr *a = &in->attrs[i];
        if (a->name != row->attrs[i]) return fail(in, "attribute %d is not %s", i, attr_text(row->attrs[i]));
        if (!a->set) {
            if (attr_is_optional(a->name)) continue;
            return fail(in, "attribute %s is missing", attr_text(a->name));
        }
        bool ok = true;
        switch (attr_kind_of(a->name)) {
        case AK_ENUM_REDUCE: ok = a->u.i >= 0 && reduce_name((reduce_kind)a->u.i); break;
        case AK_ENUM_NORM: ok = a->u.i >= 0 && norm_name((norm_mode)a->u.i); break;
        case AK_INTS: ok = a->u.ints.n <= MAX_RANK; break;
        case AK_DIM: ok = a->u.d != DIM_BAD; break;
        case AK_DIMS:
            ok = a->u.dims.n <= MAX_RANK;
            for (int k = 0; ok && k < a->u.dims.n; k++) ok = a->u.dims.v[k] != DIM_BAD;
            break;
        case AK_PARAM: ok = a->u.p != NULL; break;
        case AK_BODY: ok = a->u.f && a->u.f->kind == FUNCTION_BODY && a->u.f->m == in->m; break;
        default: break;
        }
        if (!ok) return fail(in, "attribute %s has no valid value", attr_text(a->name));
    }
    return true;
}

bool op_infer(infer_ctx *c, op_kind op, value *const *operands, uint32_t n, const attr *attrs, const type *given,
              type *out)
{
    inputs in = {.c = c, .m = c->m, .op = op, .operands = operands, .n = n, .attrs = attrs, .given = given};
    const op_info *row = op_row(op);
    if (n < (uint32_t)row->min_operands || (row->max_operands >= 0 && n > (uint32_t)row->max_operands))
        return fail(&in, "%s has %u operands", row->name, n);
    if (!attrs_valid(&in)) return false;
    if (op_needs_type(op) && !given && op != OP_PARAM) return fail(&in, "%s needs a result type", row->name);
    for (uint32_t o = 0; o < n; o++) {
        /* Encoded tensors are read by contractions alone, as their second operand. */
        if (operands[o]->ty.enc.kind != ENC_ROWS && !(op == OP_CONTRACT && o == 1))
            return fail(&in, "operand %u is encoded", o);
    }
    if (given && given->enc.kind != ENC_ROWS && op != OP_PARAM) return fail(&in, "only parameters are encoded");
    if (row->props & P_ELEMENTWISE) return infer_scalar(&in, out);
    static bool (*const rules[OP_COUNT])(const inputs *, type *) = {
#define OP(name, NAME, lo, hi, props, attrs, axes, math) [OP_##NAME] = infer_##name,
#include "ir/ops.def"
#undef OP
    };
    return rules[op](&in, out);
}
