/* Axis roles: how the axes of a node's operands relate to those of its result, from the AXES column of ops.def.
 *
 * The column has few values, so this is the only place that knows them; fusion, tiling and token rewrites read
 * axis_info and never ask which op a node is. */
#include "ir/internal.h"

#include <assert.h>

static int add_axis(axis_info *x, axis_role role, dim size)
{
    assert(x->n < 2 * MAX_RANK);
    x->role[x->n] = role;
    x->size[x->n] = size;
    return (int)x->n++;
}

static void map_all(axis_info *x, const node *n)
{
    for (uint32_t o = 0; o < n->n_operands && o < MAX_MAPPED; o++)
        for (int k = 0; k < n->operands[o]->ty.rank; k++) x->operand_axis[o][k] = (int8_t)k;
}

/* An operand axis is a result axis where equal products of sizes stand before and after both. */
static void map_reshape(module *m, const node *n, axis_info *x)
{
    const type *a = &n->operands[0]->ty, *r = &n->result->ty;
    int from = 0;
    dim before_a = dim_const(m->dims, 1);
    for (int k = 0; k < a->rank; k++) {
        dim before_r = dim_const(m->dims, 1);
        for (int j = 0; j < r->rank; j++) {
            if (j >= from && before_a == before_r && a->shape[k] == r->shape[j]) {
                x->operand_axis[0][k] = (int8_t)j;
                from = j + 1;
                break;
            }
            before_r = dim_mul(m->dims, before_r, r->shape[j]);
        }
        before_a = dim_mul(m->dims, before_a, a->shape[k]);
    }
}

static void map_labels(const node *n, axis_info *x)
{
    const labels *l = &node_attr(n, ATTR_LABELS)->u.lab;
    int axis_of[128];
    for (int c = 0; c < 128; c++) axis_of[c] = -1;
    for (int i = 0; i < l->rank[2]; i++) axis_of[l->label[2][i] & 127] = i;
    for (int o = 0; o < 2; o++)
        for (int k = 0; k < l->rank[o]; k++) {
            int *axis = &axis_of[l->label[o][k] & 127];
            if (*axis < 0) *axis = add_axis(x, AXIS_REDUCTION, n->operands[o]->ty.shape[k]);
            x->operand_axis[o][k] = (int8_t)*axis;
        }
}

static void map_attention(const node *n, axis_info *x)
{
    const type *q = &n->operands[0]->ty, *k = &n->operands[1]->ty;
    int t = add_axis(x, AXIS_REDUCTION, k->shape[2]);
    int d = add_axis(x, AXIS_REDUCTION, q->shape[3]);
    int8_t group = q->shape[1] == k->shape[1] ? 1 : -1; /* several query heads share one key head */
    const int8_t maps[3][4] = {{0, 1, 2, (int8_t)d}, {0, group, (int8_t)t, (int8_t)d}, {0, group, (int8_t)t, 3}};
    const int8_t mask[4] = {0, 2, (int8_t)t}, bias[4] = {0, 1, 2, (int8_t)t}, indexed[4] = {-1, -1, -1, -1};
    bool runs = attention_offsets(n) != NULL;
    for (uint32_t o = 0; o < n->n_operands; o++) {
        const type *of = &n->operands[o]->ty;
        const int8_t *map = o < 3 ? maps[o] : runs ? indexed : of->dt == DT_BOOL ? mask : bias;
        for (int i = 0; i < of->rank; i++) x->operand_axis[o][i] = map[i];
    }
}

/* An operand axis is a result axis where the operand spans all of it. */
static void map_box(module *m, const node *n, uint32_t o, const dim *start, axis_info *x)
{
    const type *r = &n->result->ty;
    for (int k = 0; k < r->rank; k++)
        if (start[k] == dim_const(m->dims, 0) && n->operands[o]->ty.shape[k] == r->shape[k])
            x->operand_axis[o][k] = (int8_t)k;
}

/* The operand axes that attribute `axis` or `axes` names. */
static void mark_attr_axes(const node *n, bool *marked)
{
    const op_info *row = op_row(n->op);
    for (int i = 0; i < row->n_attrs; i++) {
        const attr *a = &n->attrs[i];
        if (a->name == ATTR_AXIS) marked[a->u.i] = true;
        if (a->name == ATTR_AXES)
            for (int k = 0; k < a->u.ints.n; k++) marked[a->u.ints.v[k]] = true;
    }
}

void node_axes(module *m, const node *n, axis_info *x)
{
    const type *r = &n->result->ty;
    memset(x, 0, sizeof *x);
    memset(x->operand_axis, -1, sizeof x->operand_axis);
    for (int i = 0; i < r->rank; i++) add_axis(x, AXIS_PARALLEL, r->shape[i]);

    switch (op_row(n->op)->axes) {
    case X_NONE: break;
    case X_POINTWISE: map_all(x, n); break;
    case X_BROADCAST: {
        const attr *axes = node_attr(n, ATTR_AXES);
        for (int k = 0; k < axes->u.ints.n; k++) {
            int to = (int)axes->u.ints.v[k];
            if (n->operands[0]->ty.shape[k] == r->shape[to]) x->operand_axis[0][k] = (int8_t)to;
        }
        break;
    }
    case X_TRANSPOSE: {
        const attr *perm = node_attr(n, ATTR_PERM);
        for (int i = 0; i < r->rank; i++) x->operand_axis[0][perm->u.ints.v[i]] = (int8_t)i;
        break;
    }
    case X_RESHAPE: map_reshape(m, n, x); break;
    case X_SLICE: {
        /* An axis that is read whole and in order is the same axis; a window of it is not. */
        const attr *start = node_attr(n, ATTR_START), *step = node_attr(n, ATTR_STEP);
        for (int k = 0; k < r->rank; k++)
            if (start->u.dims.v[k] == dim_const(m->dims, 0) && step->u.ints.v[k] == 1 &&
                n->operands[0]->ty.shape[k] == r->shape[k])
                x->operand_axis[0][k] = (int8_t)k;
        break;
    }
    case X_CONCAT:
        map_all(x, n);
        for (int o = 0; o < MAX_MAPPED; o++) x->operand_axis[o][node_attr(n, ATTR_AXIS)->u.i] = -1;
        break;
    case X_LABELS: map_labels(n, x); break;
    case X_REDUCE: {
        bool reduced[MAX_RANK] = {0};
        int kept = 0;
        mark_attr_axes(n, reduced);
        for (int k = 0; k < n->operands[0]->ty.rank; k++)
            x->operand_axis[0][k] =
                (int8_t)(reduced[k] ? add_axis(x, AXIS_REDUCTION, n->operands[0]->ty.shape[k]) : kept++);
        break;
    }
    case X_ROWWISE: {
        bool in_row[MAX_RANK] = {0};
        map_all(x, n);
        mark_attr_axes(n, in_row);
        for (int k = 0; k < r->rank; k++)
            if (in_row[k]) x->role[k] = AXIS_REDUCTION;
        break;
    }
    case X_ATTENTION: map_attention(n, x); break;
    case X_UPDATE:
        for (int k = 0; k < r->rank; k++) x->operand_axis[0][k] = (int8_t)k;
        map_box(m, n, 1, node_attr(n, ATTR_START)->u.dims.v, x);
        break;
    case X_TOP_K: {
        int axis = (int)node_attr(n, ATTR_AXIS)->u.i;
        map_all(x, n);
        x->operand_axis[0][axis] = (int8_t)add_axis(x, AXIS_REDUCTION, n->operands[0]->ty.shape[axis]);
        break;
    }
    case X_RUNS:
    case X_OPAQUE:
        for (int k = 0; k < r->rank; k++) x->role[k] = AXIS_REDUCTION;
        break;
    case X_GATHER: {
        int axis = (int)node_attr(n, ATTR_AXIS)->u.i, ids = n->operands[1]->ty.rank;
        for (int k = 0; k < n->operands[0]->ty.rank; k++) x->operand_axis[0][k] = (int8_t)(k < axis ? k : k - 1 + ids);
        x->operand_axis[0][axis] = (int8_t)add_axis(x, AXIS_INDEXED, n->operands[0]->ty.shape[axis]);
        for (int k = 0; k < ids; k++) x->operand_axis[1][k] = (int8_t)(axis + k);
        break;
    }
    }
}
