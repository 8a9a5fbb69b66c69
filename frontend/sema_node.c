/* Making nodes. Operands have been checked; results are computed here, so a node's type is always its op's. */
#include "frontend/sema_internal.h"

/* Sizes and offsets of later stages are 64-bit numbers of bytes: the bound leaves them room. */
static void check_size(sema *s, const sema_type *t, span at)
{
    int64_t elements = 1, lo, hi;
    bool fits = true;
    for (uint32_t i = 0; i < t->rank; i++) {
        dim_bounds(s->dims, t->shape[i], &lo, &hi);
        fits &= !__builtin_mul_overflow(elements, hi > 1 ? hi : 1, &elements);
    }
    if (fits && elements <= SEMA_MAX_ELEMENTS) return;
    diag *g = sema_error(s, at, "limit", "this tensor is too large");
    diag_got(g, "%s", sema_type_text(s, t));
    diag_note(g, "at the largest dims it would have more than 2^46 elements");
}

sema_node *sn_new(sema *s, sema_op op, sema_type ty, span at, sema_node *const *args, uint32_t n)
{
    sema_node *x = ARENA_NEW(s->a, sema_node);
    x->op = op;
    x->id = s->program->n_nodes++;
    x->ty = ty;
    x->at = at;
    x->in = s->frame->in;
    x->fn = s->fn;
    x->n_args = n;
    x->args = ARENA_ARRAY(s->a, sema_node *, n);
    if (n) memcpy(x->args, args, n * sizeof *args);
    if (s->frame->in) vec_push(s->a, &s->fn->nodes, x);
    else sema_error(s, at, "wrong-type", "a constant is known at compile time: it cannot be made of tensors");
    check_size(s, &x->ty, at);
    return x;
}

value sema_tensor_value(sema_node *n)
{
    return (value){.kind = V_TENSOR, .node = n};
}

sema_node *sn_const(sema *s, sema_type ty, double v, int64_t i, span at)
{
    sema_node *n = sn_new(s, SN_CONST, ty, at, NULL, 0);
    if (dtype_is_float(ty.dt)) n->value = v;
    else n->ivalue = i;
    return n;
}

sema_node *sn_iota(sema *s, sema_type ty, int axis, span at)
{
    sema_node *n = sn_new(s, SN_IOTA, ty, at, NULL, 0);
    n->axis = axis;
    return n;
}

sema_node *sn_dim(sema *s, dtype dt, dim d, span at)
{
    sema_node *n = sn_new(s, SN_DIM, sema_type_of(dt, 0, NULL), at, NULL, 0);
    n->size = d;
    return n;
}

sema_node *sn_cast(sema *s, sema_node *a, dtype to, span at)
{
    if (a->ty.dt == to) return a;
    return sn_new(s, SN_CAST, sema_type_of(to, a->ty.rank, a->ty.shape), at, &a, 1);
}

sema_node *sn_broadcast(sema *s, sema_node *a, uint32_t rank, const dim *shape, const uint8_t *axes, span at)
{
    sema_node *n = sn_new(s, SN_BROADCAST, sema_type_of(a->ty.dt, rank, shape), at, &a, 1);
    n->axes.n = a->ty.rank;
    if (a->ty.rank) memcpy(n->axes.v, axes, a->ty.rank);
    return n;
}

static bool has_shape(const sema_node *a, uint32_t rank, const dim *shape)
{
    return a->ty.rank == rank && (rank == 0 || memcmp(a->ty.shape, shape, rank * sizeof *shape) == 0);
}

sema_node *sn_stretch(sema *s, sema_node *a, uint32_t rank, const dim *shape, span at)
{
    assert(a->ty.rank <= rank);
    if (has_shape(a, rank, shape)) return a;
    if (a->op == SN_CONST) return sn_const(s, sema_type_of(a->ty.dt, rank, shape), a->value, a->ivalue, a->at);

    /* An axis that is only known to be equal through a required fact is cut to the wanted size: the fact is checked
     * when the model runs, so nothing is lost, and the shapes become the same expression. */
    uint32_t lead = rank - a->ty.rank;
    dim one = dim_const(s->dims, 1), zero = dim_const(s->dims, 0);
    dim start[SEMA_MAX_RANK], size[SEMA_MAX_RANK];
    int64_t step[SEMA_MAX_RANK];
    uint8_t axes[SEMA_MAX_RANK];
    for (uint32_t i = 0; i < a->ty.rank; i++) {
        axes[i] = (uint8_t)(lead + i);
        start[i] = zero;
        step[i] = 1;
        size[i] = a->ty.shape[i] == one ? one : shape[lead + i];
    }
    a = sn_slice(s, a, start, step, size, at);
    return has_shape(a, rank, shape) ? a : sn_broadcast(s, a, rank, shape, axes, at);
}

sema_node *sn_scalar(sema *s, sema_scalar op, sema_node *const *args, uint32_t n, dtype result, span at)
{
    sema_node *x = sn_new(s, SN_SCALAR, sema_type_of(result, args[0]->ty.rank, args[0]->ty.shape), at, args, n);
    x->scalar = op;
    return x;
}

sema_node *sn_transpose(sema *s, sema_node *a, const uint8_t *perm, span at)
{
    bool identity = true;
    dim shape[SEMA_MAX_RANK];
    for (uint32_t i = 0; i < a->ty.rank; i++) {
        identity &= perm[i] == i;
        shape[i] = a->ty.shape[perm[i]];
    }
    if (identity) return a;
    sema_node *n = sn_new(s, SN_TRANSPOSE, sema_type_of(a->ty.dt, a->ty.rank, shape), at, &a, 1);
    n->axes.n = a->ty.rank;
    memcpy(n->axes.v, perm, a->ty.rank);
    return n;
}

sema_node *sn_reshape(sema *s, sema_node *a, uint32_t rank, const dim *shape, span at)
{
    if (has_shape(a, rank, shape)) return a;
    while (a->op == SN_RESHAPE) a = a->args[0];
    if (has_shape(a, rank, shape)) return a;
    return sn_new(s, SN_RESHAPE, sema_type_of(a->ty.dt, rank, shape), at, &a, 1);
}

sema_node *sn_slice(sema *s, sema_node *a, const dim *start, const int64_t *step, const dim *size, span at)
{
    bool whole = true;
    for (uint32_t i = 0; i < a->ty.rank; i++)
        whole &= size[i] == a->ty.shape[i] && step[i] == 1 && start[i] == dim_const(s->dims, 0);
    if (whole) return a;
    sema_node *n = sn_new(s, SN_SLICE, sema_type_of(a->ty.dt, a->ty.rank, size), at, &a, 1);
    memcpy(n->slice.start, start, a->ty.rank * sizeof *start);
    memcpy(n->slice.step, step, a->ty.rank * sizeof *step);
    return n;
}

sema_node *sn_update(sema *s, sema_node *a, sema_node *part, const dim *start, span at)
{
    sema_node *pair[2] = {a, part};
    sema_node *n = sn_new(s, SN_UPDATE, a->ty, at, pair, 2);
    memcpy(n->slice.start, start, a->ty.rank * sizeof *start);
    return n;
}

sema_node *sn_result(sema *s, sema_node *of, uint32_t i, sema_type ty, span at)
{
    sema_node *n = sn_new(s, SN_RESULT, ty, at, &of, 1);
    n->axis = (int)i;
    return n;
}

sema_node *sn_reduce(sema *s, sema_node *a, sema_reduce kind, const uint8_t *axes, uint32_t n, span at)
{
    dim shape[SEMA_MAX_RANK];
    uint32_t rank = 0;
    for (uint32_t i = 0; i < a->ty.rank; i++) {
        bool reduced = false;
        for (uint32_t k = 0; k < n; k++) reduced |= axes[k] == i;
        if (!reduced) shape[rank++] = a->ty.shape[i];
    }
    sema_node *x = sn_new(s, SN_REDUCE, sema_type_of(a->ty.dt, rank, shape), at, &a, 1);
    x->axes.n = (uint8_t)n;
    if (n) memcpy(x->axes.v, axes, n);
    x->axes.reduce = kind;
    return x;
}
