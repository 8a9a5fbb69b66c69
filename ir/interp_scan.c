/* Running the body of a scan, once for each index. */
#include "ir/interp_internal.h"

/* The part of a stack that run `at` yields. */
static tensor row_of(const tensor *stack, int64_t at)
{
    tensor row = {.dt = stack->dt, .rank = (uint8_t)(stack->rank - 1)};
    for (uint32_t k = 0; k < row.rank; k++) row.shape[k] = stack->shape[k + 1];
    uint64_t first = (uint64_t)at * tensor_elements(&row);
    if (dtype_is_float(stack->dt)) row.u.f = stack->u.f + first;
    else row.u.i = stack->u.i + first;
    return row;
}

/* The body reads its carries in y; only when all of it has run are they replaced, for a result may be an argument that
 * is carried on elsewhere. */
bool interp_eval_scan(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch)
{
    const function *body = node_attr(n, ATTR_BODY)->u.f;
    uint32_t carries = (uint32_t)node_attr(n, ATTR_CARRIES)->u.i;
    int32_t index = dim_is_symbol(r->m->dims, node_attr(n, ATTR_INDEX)->u.d);
    int64_t extent;
    if (!interp_dim(r, n, "the extent of a scan", node_attr(n, ATTR_EXTENT)->u.d, &extent)) return false;
    tensor **next = ARENA_ARRAY(scratch, tensor *, carries);
    for (uint32_t i = 0; i < carries; i++) {
        tensor_copy(y[i], x[i]);
        next[i] = tensor_new(scratch, y[i]->dt, y[i]->rank, y[i]->shape);
    }
    interp inner = *r;
    inner.f = body;
    for (int64_t at = 0; at < extent; at++) {
        arena *parent = inner.scratch = interp_new_arena(scratch);
        r->dims[index] = at;
        for (uint32_t i = 0; i < body->args.len; i++)
            r->slots[body->args.data[i].v->id] = (interp_slot){.t = i < carries ? y[i] : x[i]};
        bool ok = interp_run_nodes(&inner);
        for (uint32_t i = 0; i < n->n_results && ok; i++) {
            const tensor *t = r->slots[body->results.data[i].v->id].t;
            tensor row = i < carries ? *next[i] : row_of(y[i], at);
            tensor_copy(&row, t);
        }
        for (uint32_t i = 0; i < n->n_results && ok; i++) interp_release(&r->slots[body->results.data[i].v->id]);
        arena_free(parent);
        if (!ok) return false;
        for (uint32_t i = 0; i < carries; i++) tensor_copy(y[i], next[i]);
    }
    return true;
}
