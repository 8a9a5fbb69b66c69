/* What a node costs: floating-point operations and bytes, each operand and result touched once.
 *
 * Views cost nothing, their readers stride; so do leaves, whose bytes are their readers'. The counts per element of the
 * row-wise ops are those of the plain algorithm, a transcendental counted as one operation. */
#include "ir/internal.h"

#include <math.h>

static double elements(const module *m, const type *t, const int64_t *dims)
{
    double n = 1;
    for (int i = 0; i < t->rank; i++) {
        int64_t size;
        if (!dim_eval(m->dims, t->shape[i], dims, &size)) return NAN;
        n *= (double)size;
    }
    return n;
}

static double bytes(const module *m, const type *t, const int64_t *dims)
{
    return elements(m, t, dims) * dtype_bits(t->dt) / 8;
}

static void out_of_memory(void *arg)
{
    arena_out_of_memory(arg);
}

/* The number of points of the iteration space, kept and reduced axes alike. */
static double iterations(module *m, const node *n, const int64_t *dims)
{
    axis_info x;
    node_axes(m, n, &x);
    double points = 1;
    for (uint32_t i = 0; i < x.n; i++) {
        int64_t size;
        if (x.role[i] == AXIS_INDEXED) continue;
        if (!dim_eval(m->dims, x.size[i], dims, &size)) return NAN;
        points *= (double)size;
    }
    return points;
}

/* How many pairs of a query and a key the band of an attention leaves. Packed sequences: of rows in runs of `keys`. */
static double seen_pairs(const module *m, const node *n, const int64_t *dims, int64_t keys)
{
    attention_band band = attention_band_of(n);
    int64_t rows, from = 0, to = 0;
    double pairs = 0, runs = 1;
    if (!dim_eval(m->dims, n->operands[0]->ty.shape[2], dims, &rows)) return NAN;
    if (rows > keys && attention_offsets(n)) {
        runs = (double)rows / (double)(keys ? keys : 1);
        rows = keys;
    }
    if ((band.has_from && !dim_eval(m->dims, band.from, dims, &from)) ||
        (band.has_to && !dim_eval(m->dims, band.to, dims, &to)))
        return NAN;
    if (!band.has_from && !band.has_to) return runs * (double)rows * (double)keys;
    for (int64_t i = 0; i < rows; i++) {
        double lo = band.has_from ? (double)i + (double)from : 0,
               hi = band.has_to ? (double)i + (double)to + 1 : (double)keys;
        pairs += fmax(0, fmin(hi, (double)keys) - fmax(lo, 0));
    }
    return runs * pairs;
}

/* The sum over all runs of the body. What a run costs may depend on the index (a step that looks back at all steps
 * before it): the mean of the first and the last run stands for all, which is exact where that is linear. */
static node_cost scan_cost(module *m, const node *n, const int64_t *dims)
{
    node_cost c = {0};
    const function *body = node_attr(n, ATTR_BODY)->u.f;
    int32_t index = dim_is_symbol(m->dims, node_attr(n, ATTR_INDEX)->u.d);
    int64_t extent;
    if (!dim_eval(m->dims, node_attr(n, ATTR_EXTENT)->u.d, dims, &extent))
        return (node_cost){.flops = NAN, .bytes_read = NAN, .bytes_written = NAN};
    if (extent == 0) return c;
    uint32_t n_dims = dim_symbol_count(m->dims);
    arena *a = arena_new(out_of_memory, m->a);
    if (!a) arena_out_of_memory(m->a);
    int64_t *at = ARENA_ARRAY(a, int64_t, n_dims);
    memcpy(at, dims, n_dims * sizeof *at);
    for (int last = 0; last < 2; last++) {
        at[index] = last ? extent - 1 : 0;
        double share = (double)extent / 2;
        function_foreach (x, body) {
            node_cost part = node_cost_at(m, x, at);
            c.flops += share * part.flops;
            c.bytes_read += share * part.bytes_read;
            c.bytes_written += share * part.bytes_written;
        }
    }
    arena_free(a);
    return c;
}

node_cost node_cost_at(module *m, const node *n, const int64_t *dims)
{
    const op_info *row = op_row(n->op);
    node_cost c = {0};
    if (row->props & (P_LEAF | P_PURE_VIEW)) return c;

    if (n->op == OP_SCAN) return scan_cost(m, n, dims);
    for (uint32_t i = 0; i < n->n_results; i++) c.bytes_written += bytes(m, &n->results[i]->ty, dims);
    for (uint32_t i = 0; i < n->n_operands; i++) c.bytes_read += bytes(m, &n->operands[i]->ty, dims);

    /* One operation a point, but for: */
    double points = iterations(m, n, dims);
    c.flops = points;
    switch (n->op) {
    case OP_CONTRACT: c.flops = 2 * points; break;
    case OP_ATTENTION: {
        /* Both products, and per score: scale, maximum, exponential, sum. */
        const type *q = &n->operands[0]->ty;
        int64_t keys, size, values;
        if (!dim_eval(m->dims, n->operands[1]->ty.shape[2], dims, &keys) ||
            !dim_eval(m->dims, q->shape[3], dims, &size) || !dim_eval(m->dims, n->result->ty.shape[3], dims, &values)) {
            c.flops = NAN;
            break;
        }
        if (attention_offsets(n)) { /* a run is a row of the mask at most */
            int64_t longest;
            const type *mask = &attention_offsets(n)->def->operands[0]->ty;
            if (!dim_eval(m->dims, mask->shape[1], dims, &longest)) longest = keys;
            if (longest < keys) keys = longest;
        }
        type heads = *q;
        heads.rank = 2;
        c.flops =
            elements(m, &heads, dims) * seen_pairs(m, n, dims, keys) * (2 * (double)size + 2 * (double)values + 4);
        break;
    }
    case OP_SOFTMAX: c.flops = 4 * points; break;
    case OP_NORMALIZE: c.flops = (node_attr(n, ATTR_MODE)->u.i == NORM_STANDARD ? 6 : 3) * points; break;
    case OP_GATHER: /* reads the rows that are asked for, not the table */
        c.bytes_read = c.bytes_written + bytes(m, &n->operands[1]->ty, dims);
        c.flops = 0;
        break;
    case OP_CONCAT:
    case OP_OFFSETS:
    case OP_POSITIONS:
    case OP_UNPACK: c.flops = 0; break;
    case OP_UPDATE: /* what lies around the box stays where it is: a state is updated in place */
        c.bytes_read = c.bytes_written = bytes(m, &n->operands[1]->ty, dims);
        c.flops = 0;
        break;
    case OP_FMA: c.flops = 2 * points; break;
    default: break;
    }
    return c;
}
