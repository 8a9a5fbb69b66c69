/* What a node costs: floating-point operations and bytes, each operand and the result touched once.
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

node_cost node_cost_at(module *m, const node *n, const int64_t *dims)
{
    const op_info *row = op_row(n->op);
    node_cost c = {0};
    if (row->props & (P_LEAF | P_PURE_VIEW)) return c;

    c.bytes_written = bytes(m, &n->result->ty, dims);
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
        type rows = *q;
        rows.rank = 3;
        c.flops = elements(m, &rows, dims) * (double)keys * (2 * (double)size + 2 * (double)values + 4);
        break;
    }
    case OP_SOFTMAX: c.flops = 4 * points; break;
    case OP_NORMALIZE: c.flops = (node_attr(n, ATTR_MODE)->u.i == NORM_STANDARD ? 6 : 3) * points; break;
    case OP_GATHER: /* reads the rows that are asked for, not the table */
        c.bytes_read = c.bytes_written + bytes(m, &n->operands[1]->ty, dims);
        c.flops = 0;
        break;
    case OP_CONCAT: c.flops = 0; break;
    case OP_FMA: c.flops = 2 * points; break;
    default: break;
    }
    return c;
}
