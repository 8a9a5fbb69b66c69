/* The ops of ops.def, one function a row: eval_##name. Scans are in interp_scan.c.
 *
 * Axes are walked by tables of offsets: offsets(axes) lists where every combination of indices along those axes lies,
 * in row-major order, so that "for each row, for each element of the row" is two loops whatever the axes are. */
#include <assert.h>
#include <math.h>

#include "ir/interp_internal.h"

/* ---- elements ---- */

static void copy_element(tensor *to, uint64_t i, const tensor *from, uint64_t k)
{
    if (dtype_is_float(to->dt)) to->u.f[i] = from->u.f[k];
    else to->u.i[i] = from->u.i[k];
}

static void row_major_strides(const tensor *t, uint64_t *stride)
{
    uint64_t s = 1;
    for (uint32_t k = t->rank; k-- > 0; s *= (uint64_t)t->shape[k]) stride[k] = s;
}

typedef struct {
    uint64_t n;
    uint64_t *at;
} offsets;

/* The offsets of all combinations of `rank` indices below `size` with the given strides. */
static offsets make_offsets(arena *a, uint32_t rank, const int64_t *size, const uint64_t *stride)
{
    offsets o = {.n = 1};
    for (uint32_t k = 0; k < rank; k++) o.n *= (uint64_t)size[k];
    o.at = ARENA_ARRAY(a, uint64_t, o.n);
    uint64_t filled = o.n ? 1 : 0;
    /* Each axis, innermost last, repeats what is there `size` times: expand from the back so that nothing is
     * overwritten. */
    for (uint32_t k = 0; k < rank && filled; k++) {
        for (uint64_t i = filled; i-- > 0;)
            for (uint64_t j = (uint64_t)size[k]; j-- > 0;) o.at[i * (uint64_t)size[k] + j] = o.at[i] + j * stride[k];
        filled *= (uint64_t)size[k];
    }
    return o;
}

/* The offsets within t along the axes where `in[axis]` is `which`. */
static offsets along(arena *a, const tensor *t, const bool *in, bool which)
{
    int64_t size[MAX_RANK];
    uint64_t stride[MAX_RANK], all[MAX_RANK];
    uint32_t rank = 0;
    row_major_strides(t, all);
    for (uint32_t k = 0; k < t->rank; k++)
        if (in[k] == which) {
            size[rank] = t->shape[k];
            stride[rank++] = all[k];
        }
    return make_offsets(a, rank, size, stride);
}

static void mark_axes(const attr *axes, bool *in)
{
    memset(in, 0, MAX_RANK * sizeof *in);
    for (int i = 0; i < axes->u.ints.n; i++) in[axes->u.ints.v[i]] = true;
}

/* out[i] = x[base + offset of i with these strides]: every op that only moves elements. */
static void gather_strided(arena *a, tensor *out, const tensor *x, uint64_t base, const uint64_t *stride)
{
    offsets o = make_offsets(a, out->rank, out->shape, stride);
    for (uint64_t i = 0; i < o.n; i++) copy_element(out, i, x, base + o.at[i]);
}

/* ---- leaves ---- */

static bool eval_param(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    tensor *out = y[0];
    (void)x;
    const param *p = node_attr(n, ATTR_PARAM)->u.p;
    tensor *t = interp_constant(scratch, p->value, r->d);
    if (!t) return false;
    encoding enc = p->ty.enc;
    assert(t->dt == out->dt && tensor_elements(t) == encoding_elements(enc, out->rank, out->shape));
    uint64_t elements = tensor_elements(out);
    int64_t index[MAX_RANK] = {0};
    for (uint64_t i = 0; i < elements; i++) {
        copy_element(out, i, t, enc.kind == ENC_ROWS ? i : encoding_offset(enc, out->rank, out->shape, index));
        for (uint32_t k = out->rank; k-- > 0 && ++index[k] == out->shape[k];) index[k] = 0;
    }
    return true;
}

static bool eval_const(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    (void)r, (void)x, (void)scratch;
    tensor *out = y[0];
    uint64_t elements = tensor_elements(out);
    for (uint64_t i = 0; i < elements; i++)
        if (dtype_is_float(out->dt)) out->u.f[i] = node_attr(n, ATTR_VALUE)->u.real;
        else out->u.i[i] = dtype_wrap(out->dt, node_attr(n, ATTR_IVALUE)->u.i);
    return true;
}

static bool eval_iota(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    (void)r, (void)x, (void)scratch;
    tensor *out = y[0];
    uint64_t inner = 1, elements = tensor_elements(out);
    int64_t axis = node_attr(n, ATTR_AXIS)->u.i;
    for (uint32_t k = (uint32_t)axis + 1; k < out->rank; k++) inner *= (uint64_t)out->shape[k];
    for (uint64_t i = 0; i < elements; i++) {
        int64_t index = (int64_t)(i / inner % (uint64_t)out->shape[axis]);
        if (dtype_is_float(out->dt)) out->u.f[i] = (double)index;
        else out->u.i[i] = dtype_wrap(out->dt, index);
    }
    return true;
}

/* ---- conversions and views ---- */

/* A cast is part of the model, so it rounds even where nothing else does: to a float that does not hold every value of
 * the source's dtype. To an int it truncates toward zero and saturates. */
static bool eval_cast(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    (void)r, (void)n, (void)scratch;
    tensor *out = y[0];
    const tensor *a = x[0];
    bool to_float = dtype_is_float(out->dt), from_float = dtype_is_float(a->dt),
         rounds = !dtype_contains(out->dt, a->dt);
    uint64_t elements = tensor_elements(out);
    for (uint64_t i = 0; i < elements; i++) {
        if (from_float && to_float) {
            out->u.f[i] = rounds ? dtype_round(out->dt, a->u.f[i]) : a->u.f[i];
        } else if (from_float) {
            int64_t bits = 0;
            dtype_store_f64(out->dt, &bits, 0, a->u.f[i]);
            out->u.i[i] = dtype_load_i64(out->dt, &bits, 0);
        } else if (to_float) {
            double v;
            dtype_convert(DT_F64, &v, a->dt == DT_U64 ? DT_U64 : DT_I64, &a->u.i[i], 1);
            if (rounds && out->dt != DT_F64) { /* once, from the int */
                uint64_t bits = 0;
                dtype_convert(out->dt, &bits, a->dt == DT_U64 ? DT_U64 : DT_I64, &a->u.i[i], 1);
                v = dtype_load_f64(out->dt, &bits, 0);
            }
            out->u.f[i] = v;
        } else {
            out->u.i[i] = dtype_wrap(out->dt, a->u.i[i]);
        }
    }
    return true;
}

static bool eval_broadcast(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    (void)r;
    tensor *out = y[0];
    const attr *axes = node_attr(n, ATTR_AXES);
    uint64_t from[MAX_RANK], stride[MAX_RANK] = {0};
    row_major_strides(x[0], from);
    for (uint32_t k = 0; k < x[0]->rank; k++) {
        int64_t to = axes->u.ints.v[k];
        assert(x[0]->shape[k] == 1 || x[0]->shape[k] == out->shape[to]);
        if (x[0]->shape[k] != 1) stride[to] = from[k];
    }
    gather_strided(scratch, out, x[0], 0, stride);
    return true;
}

static bool eval_transpose(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    (void)r;
    tensor *out = y[0];
    const attr *perm = node_attr(n, ATTR_PERM);
    uint64_t from[MAX_RANK], stride[MAX_RANK];
    row_major_strides(x[0], from);
    for (uint32_t k = 0; k < out->rank; k++) stride[k] = from[perm->u.ints.v[k]];
    gather_strided(scratch, out, x[0], 0, stride);
    return true;
}

static bool eval_reshape(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    (void)r, (void)n, (void)scratch;
    tensor *out = y[0];
    uint64_t elements = tensor_elements(out);
    assert(elements == tensor_elements(x[0]));
    for (uint64_t i = 0; i < elements; i++) copy_element(out, i, x[0], i);
    return true;
}

static bool eval_slice(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    tensor *out = y[0];
    const attr *start = node_attr(n, ATTR_START), *step = node_attr(n, ATTR_STEP);
    uint64_t from[MAX_RANK], stride[MAX_RANK], base = 0;
    row_major_strides(x[0], from);
    for (uint32_t k = 0; k < out->rank; k++) {
        int64_t first, by = step->u.ints.v[k], size = out->shape[k], last = -1;
        if (!interp_dim(r, n, "the start of a slice", start->u.dims.v[k], &first)) return false;
        bool ok = size == 0 || (first >= 0 && !__builtin_mul_overflow(size - 1, by, &last) &&
                                !__builtin_add_overflow(last, first, &last) && last < x[0]->shape[k]);
        if (!ok) {
            diag *g = diag_error(r->d, interp_place(n), "a slice reads outside of '%s'",
                                 interp_value_name(r, n->operands[0]));
            diag_expected(g, "indices of axis %u from 0 to %lld", k, (long long)x[0]->shape[k] - 1);
            diag_got(g, "%lld indices from %lld in steps of %lld", (long long)size, (long long)first, (long long)by);
            return false;
        }
        base += size ? (uint64_t)first * from[k] : 0;
        stride[k] = (uint64_t)by * from[k];
    }
    gather_strided(scratch, out, x[0], base, stride);
    return true;
}

static bool eval_update(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    tensor *out = y[0];
    const attr *start = node_attr(n, ATTR_START);
    uint64_t stride[MAX_RANK], base = 0;
    row_major_strides(out, stride);
    for (uint32_t k = 0; k < out->rank; k++) {
        int64_t first, size = x[1]->shape[k];
        if (!interp_dim(r, n, "the start of an update", start->u.dims.v[k], &first)) return false;
        if (size && (first < 0 || size > out->shape[k] || first > out->shape[k] - size)) {
            diag *g = diag_error(r->d, interp_place(n), "an update writes outside of '%s'",
                                 interp_value_name(r, n->operands[0]));
            diag_expected(g, "indices of axis %u from 0 to %lld", k, (long long)out->shape[k] - 1);
            diag_got(g, "%lld indices from %lld", (long long)size, (long long)first);
            return false;
        }
        base += (uint64_t)first * stride[k];
    }
    tensor_copy(out, x[0]);
    if (tensor_elements(x[1]) == 0) return true;
    offsets o = make_offsets(scratch, out->rank, x[1]->shape, stride);
    for (uint64_t i = 0; i < o.n; i++) copy_element(out, base + o.at[i], x[1], i);
    return true;
}

static bool eval_concat(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    (void)r, (void)scratch;
    tensor *out = y[0];
    int64_t axis = node_attr(n, ATTR_AXIS)->u.i;
    uint64_t outer = 1, inner = 1, row, done = 0;
    for (int64_t k = 0; k < axis; k++) outer *= (uint64_t)out->shape[k];
    for (uint32_t k = (uint32_t)axis + 1; k < out->rank; k++) inner *= (uint64_t)out->shape[k];
    row = inner * (uint64_t)out->shape[axis];
    for (uint32_t p = 0; p < n->n_operands; p++) {
        uint64_t part = inner * (uint64_t)x[p]->shape[axis];
        for (uint64_t o = 0; o < outer; o++)
            for (uint64_t i = 0; i < part; i++) copy_element(out, o * row + done + i, x[p], o * part + i);
        done += part;
    }
    assert(done == row);
    return true;
}

/* ---- contraction ---- */

/* Which of the letters' roles: the result's letters that both operands have, that one has, and the letters summed over.
 */
typedef struct {
    uint32_t n;
    int64_t size[2 * MAX_RANK];
    uint64_t stride[3][2 * MAX_RANK]; /* in the operands and the result; 0: the letter is not there */
} letters;

static int find_label(const labels *l, int operand, char c)
{
    for (int k = 0; k < l->rank[operand]; k++)
        if (l->label[operand][k] == c) return k;
    return -1;
}

static void add_letter(letters *to, const labels *l, char c, tensor *const *t, uint64_t stride[3][MAX_RANK])
{
    for (int o = 0; o < 3; o++) {
        int k = find_label(l, o, c);
        to->stride[o][to->n] = k < 0 ? 0 : stride[o][k];
        if (k >= 0) to->size[to->n] = t[o]->shape[k];
    }
    to->n++;
}

/* `own` x `reduced` elements of t from `base` on, packed. */
static void pack(tensor *to, const tensor *t, uint64_t base, const offsets *own, const offsets *reduced)
{
    for (uint64_t i = 0; i < own->n; i++)
        for (uint64_t k = 0; k < reduced->n; k++)
            copy_element(to, i * reduced->n + k, t, base + own->at[i] + reduced->at[k]);
}

static double dot(const double *a, const double *b, uint64_t n)
{
    double s[4] = {0}; /* four sums, so that each does not wait for the one before */
    uint64_t k = 0;
    for (; k + 4 <= n; k += 4)
        for (int j = 0; j < 4; j++) s[j] += a[k + j] * b[k + j];
    for (; k < n; k++) s[0] += a[k] * b[k];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

static int64_t dot_int(const int64_t *a, const int64_t *b, uint64_t n)
{
    uint64_t s = 0;
    for (uint64_t k = 0; k < n; k++) s += (uint64_t)a[k] * (uint64_t)b[k];
    return (int64_t)s;
}

/* For each batch: both operands packed as [own, reduced], then a dot product an element. A letter that only one operand
 * has and the result lacks is summed like the others; the other operand repeats along it. */
static bool eval_contract(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    (void)r;
    tensor *out = y[0];
    enum { BLOCK = 16 }; /* columns whose packed operand stays in cache */
    const labels *l = &node_attr(n, ATTR_LABELS)->u.lab;
    tensor *const t[3] = {x[0], x[1], out};
    uint64_t stride[3][MAX_RANK];
    letters batch = {.n = 0}, rows = {.n = 0}, columns = {.n = 0}, sum = {.n = 0};
    for (int o = 0; o < 3; o++) row_major_strides(t[o], stride[o]);
    for (int k = 0; k < l->rank[2]; k++) {
        char c = l->label[2][k];
        bool in_x = find_label(l, 0, c) >= 0, in_y = find_label(l, 1, c) >= 0;
        add_letter(in_x && in_y ? &batch : in_x ? &rows : &columns, l, c, t, stride);
    }
    for (int o = 0; o < 2; o++)
        for (int k = 0; k < l->rank[o]; k++) {
            char c = l->label[o][k];
            if (find_label(l, 2, c) < 0 && (o == 0 || find_label(l, 0, c) < 0)) add_letter(&sum, l, c, t, stride);
        }
    offsets b[3], m[3], c[3], s[3];
    for (int o = 0; o < 3; o++) {
        b[o] = make_offsets(scratch, batch.n, batch.size, batch.stride[o]);
        m[o] = make_offsets(scratch, rows.n, rows.size, rows.stride[o]);
        c[o] = make_offsets(scratch, columns.n, columns.size, columns.stride[o]);
        s[o] = make_offsets(scratch, sum.n, sum.size, sum.stride[o]);
    }
    uint64_t depth = s[0].n;
    tensor *px = tensor_new(scratch, x[0]->dt, 2, (const int64_t[]){(int64_t)m[0].n, (int64_t)depth});
    tensor *py = tensor_new(scratch, x[1]->dt, 2, (const int64_t[]){(int64_t)c[1].n, (int64_t)depth});
    for (uint64_t i = 0; i < b[0].n; i++) {
        pack(px, x[0], b[0].at[i], &m[0], &s[0]);
        pack(py, x[1], b[1].at[i], &c[1], &s[1]);
        for (uint64_t first = 0; first < c[1].n; first += BLOCK)
            for (uint64_t row = 0; row < m[0].n; row++)
                for (uint64_t col = first; col < c[1].n && col < first + BLOCK; col++) {
                    uint64_t to = b[2].at[i] + m[2].at[row] + c[2].at[col];
                    if (dtype_is_float(out->dt))
                        out->u.f[to] = dot(px->u.f + row * depth, py->u.f + col * depth, depth);
                    else
                        out->u.i[to] =
                            dtype_wrap(out->dt, dot_int(px->u.i + row * depth, py->u.i + col * depth, depth));
                }
    }
    return true;
}

/* ---- reductions and rows ---- */

/* NaN wins, as in the scalar max; the first of equals is kept. */
static double larger(double a, double b)
{
    return isnan(a) || a > b || (a == b && !signbit(a)) ? a : b;
}

static double smaller(double a, double b)
{
    return isnan(a) || a < b || (a == b && signbit(a)) ? a : b;
}

static double reduce_float(reduce_kind kind, const double *row, const offsets *in)
{
    double v = kind == REDUCE_PROD ? 1 : kind == REDUCE_MAX ? -INFINITY : kind == REDUCE_MIN ? INFINITY : 0;
    for (uint64_t i = 0; i < in->n; i++) {
        double e = row[in->at[i]];
        switch (kind) {
        case REDUCE_SUM:
        case REDUCE_MEAN: v += e; break;
        case REDUCE_PROD: v *= e; break;
        case REDUCE_MAX: v = larger(v, e); break;
        case REDUCE_MIN: v = smaller(v, e); break;
        case REDUCE_ANY:
        case REDUCE_ALL: assert(!"any and all are of bools"); break;
        }
    }
    return kind == REDUCE_MEAN ? v / (double)in->n : v; /* the mean of nothing is NaN */
}

/* The value that a maximum (minimum) of nothing has: the dtype's lowest (highest). */
static int64_t lowest_int(dtype t)
{
    return dtype_class_of(t) == DTC_INT ? INT64_MIN >> (64 - dtype_bits(t)) : 0;
}

static int64_t highest_int(dtype t)
{
    return (int64_t)(UINT64_MAX >> (64 - dtype_bits(t) + (dtype_class_of(t) == DTC_INT)));
}

static int64_t reduce_int(reduce_kind kind, dtype t, const int64_t *row, const offsets *in)
{
    int64_t v = kind == REDUCE_PROD || kind == REDUCE_ALL ? 1
                : kind == REDUCE_MAX                      ? lowest_int(t)
                : kind == REDUCE_MIN                      ? highest_int(t)
                                                          : 0;
    for (uint64_t i = 0; i < in->n; i++) {
        int64_t e = row[in->at[i]];
        bool less = t == DT_U64 ? (uint64_t)e < (uint64_t)v : e < v;
        switch (kind) {
        case REDUCE_SUM: v = dtype_wrap(t, (int64_t)((uint64_t)v + (uint64_t)e)); break;
        case REDUCE_PROD: v = dtype_wrap(t, (int64_t)((uint64_t)v * (uint64_t)e)); break;
        case REDUCE_MAX: v = less ? v : e; break;
        case REDUCE_MIN: v = less ? e : v; break;
        case REDUCE_ANY: v |= e; break;
        case REDUCE_ALL: v &= e; break;
        case REDUCE_MEAN: assert(!"the mean of ints"); break;
        }
    }
    return v;
}

static bool eval_reduce(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    (void)r;
    tensor *out = y[0];
    reduce_kind kind = (reduce_kind)node_attr(n, ATTR_KIND)->u.i;
    bool reduced[MAX_RANK];
    mark_axes(node_attr(n, ATTR_AXES), reduced);
    offsets rows = along(scratch, x[0], reduced, false), in = along(scratch, x[0], reduced, true);
    assert(rows.n == tensor_elements(out));
    for (uint64_t i = 0; i < rows.n; i++)
        if (dtype_is_float(out->dt)) out->u.f[i] = reduce_float(kind, x[0]->u.f + rows.at[i], &in);
        else out->u.i[i] = reduce_int(kind, out->dt, x[0]->u.i + rows.at[i], &in);
    return true;
}

/* Element k of a row is larger than element `best`; NaN is larger than everything but NaN. */
static bool beats(const tensor *x, uint64_t k, uint64_t best)
{
    if (dtype_is_float(x->dt)) return x->u.f[k] > x->u.f[best] || (isnan(x->u.f[k]) && !isnan(x->u.f[best]));
    return x->dt == DT_U64 ? (uint64_t)x->u.i[k] > (uint64_t)x->u.i[best] : x->u.i[k] > x->u.i[best];
}

static bool eval_argmax(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    (void)r;
    tensor *out = y[0];
    bool reduced[MAX_RANK] = {0};
    reduced[node_attr(n, ATTR_AXIS)->u.i] = true;
    offsets rows = along(scratch, x[0], reduced, false), in = along(scratch, x[0], reduced, true);
    for (uint64_t i = 0; i < rows.n; i++) {
        uint64_t best = 0;
        for (uint64_t k = 1; k < in.n; k++)
            if (beats(x[0], rows.at[i] + in.at[k], rows.at[i] + in.at[best])) best = k;
        out->u.i[i] = (int64_t)best;
    }
    return true;
}

/* The largest element that has not been taken, again and again. */
static bool eval_top_k(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    (void)r;
    bool in_row[MAX_RANK] = {0};
    in_row[node_attr(n, ATTR_AXIS)->u.i] = true;
    offsets rows = along(scratch, x[0], in_row, false), in = along(scratch, x[0], in_row, true);
    offsets to_rows = along(scratch, y[0], in_row, false), to = along(scratch, y[0], in_row, true);
    bool *taken = ARENA_ARRAY(scratch, bool, in.n);
    for (uint64_t i = 0; i < rows.n; i++) {
        memset(taken, 0, in.n * sizeof *taken);
        for (uint64_t rank = 0; rank < to.n; rank++) {
            uint64_t best = in.n;
            for (uint64_t k = 0; k < in.n; k++)
                if (!taken[k] && (best == in.n || beats(x[0], rows.at[i] + in.at[k], rows.at[i] + in.at[best])))
                    best = k;
            taken[best] = true;
            copy_element(y[0], to_rows.at[i] + to.at[rank], x[0], rows.at[i] + in.at[best]);
            y[1]->u.i[to_rows.at[i] + to.at[rank]] = (int64_t)best;
        }
    }
    return true;
}

/* A row that holds NaN or +inf, or is -inf throughout, becomes NaN, as the formula says. */
static bool eval_softmax(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    (void)r;
    tensor *out = y[0];
    bool in_row[MAX_RANK] = {0};
    in_row[node_attr(n, ATTR_AXIS)->u.i] = true;
    offsets rows = along(scratch, out, in_row, false), in = along(scratch, out, in_row, true);
    for (uint64_t i = 0; i < rows.n; i++) {
        const double *row = x[0]->u.f + rows.at[i];
        double *to = out->u.f + rows.at[i], max = -INFINITY, sum = 0;
        for (uint64_t k = 0; k < in.n; k++) max = larger(max, row[in.at[k]]);
        for (uint64_t k = 0; k < in.n; k++) sum += to[in.at[k]] = exp(row[in.at[k]] - max);
        for (uint64_t k = 0; k < in.n; k++) to[in.at[k]] /= sum;
    }
    return true;
}

static bool eval_normalize(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    (void)r;
    tensor *out = y[0];
    bool standard = node_attr(n, ATTR_MODE)->u.i == NORM_STANDARD, in_row[MAX_RANK];
    double eps = node_attr(n, ATTR_EPS)->u.real;
    mark_axes(node_attr(n, ATTR_AXES), in_row);
    offsets rows = along(scratch, out, in_row, false), in = along(scratch, out, in_row, true);
    for (uint64_t i = 0; i < rows.n; i++) {
        const double *row = x[0]->u.f + rows.at[i];
        double *to = out->u.f + rows.at[i], mean = 0, squares = 0;
        if (standard) mean = reduce_float(REDUCE_MEAN, row, &in);
        for (uint64_t k = 0; k < in.n; k++) squares += (row[in.at[k]] - mean) * (row[in.at[k]] - mean);
        double scale = 1 / sqrt(squares / (double)in.n + eps);
        for (uint64_t k = 0; k < in.n; k++) to[in.at[k]] = (row[in.at[k]] - mean) * scale;
    }
    return true;
}

/* ---- attention ---- */

/* One query: its scores over the true keys of lo .. hi - 1, their softmax, and the weighted sum of the values. Keys
 * that the mask leaves out are not looked at, so a NaN there does no harm. `mask` and `bias` (NULL: none) are the
 * query's rows. */
static void attend(const double *q, const double *k, const double *v, const int64_t *mask, const double *bias,
                   uint64_t lo, uint64_t hi, uint64_t d, uint64_t e, double scale, double *score, double *out)
{
    double max = -INFINITY, sum = 0;
    for (uint64_t j = lo; j < hi; j++) {
        if (mask && !mask[j]) continue;
        score[j] = scale * dot(q, k + j * d, d) + (bias ? bias[j] : 0);
        max = larger(max, score[j]);
    }
    if (max == -INFINITY) return; /* no true key, or none that counts: out is zeros */
    for (uint64_t j = lo; j < hi; j++) {
        if (mask && !mask[j]) continue;
        double p = exp(score[j] - max);
        sum += p;
        for (uint64_t c = 0; c < e; c++) out[c] += p * v[j * e + c];
    }
    for (uint64_t c = 0; c < e; c++) out[c] /= sum;
}

/* i + offset, limited to 0 .. keys. */
static uint64_t band_key(int64_t i, int64_t offset, int64_t keys)
{
    if (offset >= keys) return (uint64_t)keys;
    int64_t v = offset <= -i ? 0 : i + offset;
    return (uint64_t)(v > keys ? keys : v);
}

static bool eval_band(const interp *r, const node *n, int64_t *from, int64_t *to)
{
    attention_band band = attention_band_of(n);
    *from = INT64_MIN / 2;
    *to = INT64_MAX / 2;
    return (!band.has_from || interp_dim(r, n, "the first key that a query sees", band.from, from)) &&
           (!band.has_to || interp_dim(r, n, "the last key that a query sees", band.to, to));
}

/* Packed sequences: which keys of its run a query sees is written into a row of a mask. */
static bool eval_runs(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    const tensor *q = x[0], *k = x[1], *v = x[2], *runs = x[3];
    const tensor *positions = attention_positions(n) ? x[4] : NULL,
                 *bias = attention_bias(n) ? x[n->n_operands - 1] : NULL;
    double scale = node_attr(n, ATTR_SCALE)->u.real;
    int64_t heads = q->shape[1], rows = q->shape[2], groups = k->shape[1], d = q->shape[3], e = v->shape[3], from, to;
    if (!eval_band(r, n, &from, &to)) return false;
    double *score = ARENA_ARRAY(scratch, double, rows), *addend = ARENA_ARRAY(scratch, double, rows);
    int64_t *seen = ARENA_ARRAY(scratch, int64_t, rows);
    for (int64_t run = 0; run + 1 < runs->shape[0]; run++) {
        int64_t lo = runs->u.i[run], hi = runs->u.i[run + 1];
        for (int64_t h = 0; h < heads; h++)
            for (int64_t i = lo; i < hi; i++) {
                int64_t at = positions ? positions->u.i[i] : i, group = h / (heads / groups), row = h * rows + i;
                for (int64_t j = lo; j < hi; j++) {
                    int64_t to_j = positions ? positions->u.i[j] : j;
                    seen[j] = to_j - at >= from && to_j - at <= to;
                    if (bias) addend[j] = bias->u.f[((run * heads + h) * bias->shape[2] + at) * bias->shape[3] + to_j];
                }
                attend(q->u.f + row * d, k->u.f + group * rows * d, v->u.f + group * rows * e, seen,
                       bias ? addend : NULL, (uint64_t)lo, (uint64_t)hi, (uint64_t)d, (uint64_t)e, scale, score,
                       y[0]->u.f + row * e);
            }
    }
    return true;
}

static bool eval_attention(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    tensor *out = y[0];
    const tensor *q = x[0], *k = x[1], *v = x[2];
    const tensor *mask = attention_mask(n) ? x[3] : NULL, *bias = attention_bias(n) ? x[n->n_operands - 1] : NULL;
    if (attention_offsets(n)) return eval_runs(r, n, x, y, scratch);
    double scale = node_attr(n, ATTR_SCALE)->u.real;
    uint64_t batch = (uint64_t)q->shape[0], heads = (uint64_t)q->shape[1], rows = (uint64_t)q->shape[2];
    uint64_t groups = (uint64_t)k->shape[1], keys = (uint64_t)k->shape[2], d = (uint64_t)q->shape[3],
             e = (uint64_t)v->shape[3];
    attention_band band = attention_band_of(n);
    int64_t from, to;
    if (!eval_band(r, n, &from, &to)) return false;
    double *score = ARENA_ARRAY(scratch, double, keys);
    assert(heads == 0 || (groups > 0 && heads % groups == 0));
    for (uint64_t b = 0; b < batch; b++)
        for (uint64_t h = 0; h < heads; h++) {
            uint64_t group = b * groups + h / (heads / groups);
            for (uint64_t i = 0; i < rows; i++) {
                uint64_t row = (b * heads + h) * rows + i, lo, hi;
                lo = band.has_from ? band_key((int64_t)i, from, (int64_t)keys) : 0;
                hi = band.has_to ? band_key((int64_t)i + 1, to, (int64_t)keys) : keys;
                attend(q->u.f + row * d, k->u.f + group * keys * d, v->u.f + group * keys * e,
                       mask ? mask->u.i + (b * rows + i) * keys : NULL, bias ? bias->u.f + row * keys : NULL, lo, hi, d,
                       e, scale, score, out->u.f + row * e);
            }
        }
    return true;
}

/* ---- gather ---- */

static const char *position_text(arena *a, const tensor *t, uint64_t i)
{
    int64_t index[MAX_RANK];
    for (uint32_t k = t->rank; k-- > 0; i /= (uint64_t)t->shape[k]) index[k] = (int64_t)(i % (uint64_t)t->shape[k]);
    strbuf s = strbuf_new(a);
    strbuf_addc(&s, '[');
    for (uint32_t k = 0; k < t->rank; k++) strbuf_addf(&s, "%s%lld", k ? ", " : "", (long long)index[k]);
    strbuf_addc(&s, ']');
    return s.s;
}

static bool eval_gather(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    tensor *out = y[0];
    const tensor *table = x[0], *ids = x[1];
    int64_t axis = node_attr(n, ATTR_AXIS)->u.i, size = table->shape[axis];
    uint64_t outer = 1, inner = 1, count = tensor_elements(ids);
    for (int64_t k = 0; k < axis; k++) outer *= (uint64_t)table->shape[k];
    for (uint32_t k = (uint32_t)axis + 1; k < table->rank; k++) inner *= (uint64_t)table->shape[k];
    for (uint64_t j = 0; j < count; j++) {
        bool above = ids->dt == DT_U64 ? (uint64_t)ids->u.i[j] >= (uint64_t)size : ids->u.i[j] >= size;
        if (!above && (ids->dt == DT_U64 || ids->u.i[j] >= 0)) continue;
        diag *g = diag_error(r->d, interp_place(n), "'%s' holds an index that is out of range",
                             interp_value_name(r, n->operands[1]));
        diag_expected(g, "0 <= index < %lld", (long long)size);
        if (ids->dt == DT_U64)
            diag_got(g, "%llu at %s", (unsigned long long)ids->u.i[j], position_text(scratch, ids, j));
        else diag_got(g, "%lld at %s", (long long)ids->u.i[j], position_text(scratch, ids, j));
        return false;
    }
    for (uint64_t o = 0; o < outer; o++)
        for (uint64_t j = 0; j < count; j++)
            for (uint64_t i = 0; i < inner; i++)
                copy_element(out, (o * count + j) * inner + i, table,
                             (o * (uint64_t)size + (uint64_t)ids->u.i[j]) * inner + i);
    return true;
}

/* ---- packing ---- */

static bool eval_offsets(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    (void)r, (void)n, (void)scratch;
    const tensor *mask = x[0];
    int64_t rows = mask->shape[0], cols = mask->shape[1], *out = y[0]->u.i;
    out[0] = 0;
    for (int64_t b = 0; b < rows; b++) {
        out[b + 1] = out[b];
        for (int64_t s = 0; s < cols; s++) out[b + 1] += mask->u.i[b * cols + s] != 0;
    }
    return true;
}

static bool eval_positions(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    (void)r, (void)scratch;
    const tensor *mask = x[0];
    const attr *along = node_attr(n, ATTR_ALONG);
    int64_t cols = mask->shape[1], *out = y[0]->u.i;
    for (int64_t i = 0; i < mask->shape[0] * cols; i++)
        if (mask->u.i[i]) *out++ = !along->set ? i : along->u.i == 0 ? i / cols : i % cols;
    return true;
}

static bool eval_unpack(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    (void)r, (void)n, (void)scratch;
    const tensor *packed = x[0], *mask = x[1];
    uint64_t inner = 1, next = 0, count = tensor_elements(mask);
    for (uint32_t k = 1; k < packed->rank; k++) inner *= (uint64_t)packed->shape[k];
    for (uint64_t i = 0; i < count; i++) {
        if (!mask->u.i[i]) continue;
        for (uint64_t c = 0; c < inner; c++) copy_element(y[0], i * inner + c, packed, next * inner + c);
        next++;
    }
    return true;
}

/* ---- the table ---- */

#define eval_scan interp_eval_scan
interp_eval *interp_eval_of(op_kind op)
{
    static interp_eval *const functions[OP_COUNT] = {
#define OP(name, NAME, lo, hi, props, attrs, axes, math) [OP_##NAME] = eval_##name,
#include "ir/ops.def"
#undef OP
    };
    return op_row(op)->props & P_ELEMENTWISE ? interp_eval_scalar : functions[op];
}
