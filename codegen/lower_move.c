/* Ops that move elements: copies of views, concat, stored reshapes, gather. */
#include "codegen/lower_internal.h"

#define WIDTH 64

static bool is_one(lowering *lw, dim d)
{
    int64_t v;
    return dim_is_const(lw->m->dims, d, &v) && v == 1;
}

typedef struct {
    kvalue *from, *to;
    kidx at[KMAX_RANK];
    int n;
} copying;

static kvalue *copy_columns(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    copying *c = arg;
    c->at[c->n - 1] = col;
    kmem src = kmem_at(c->from, c->at), dst = kmem_at(c->to, c->at);
    src.bounded[1] = dst.bounded[1] = bounded;
    src.bound[1] = dst.bound[1] = bound;
    kvalue *x = kb_load(&k->b, ktile_make(c->from->ty.buf.dt, 1, width, KL_VEC), src);
    kb_store(&k->b, kb_cast(&k->b, x, c->to->ty.buf.dt), dst);
    return carried;
}

void lower_copy(lowering *lw, const node *at, const lview *from, kvalue *to, dim offset, const dim *stride)
{
    dim_ctx *dc = lw->m->dims;
    dim one = dim_const(dc, 1), zero = dim_const(dc, 0);
    /* Axes of size 1 are dropped and neighbours merged where both sides nest. At least two axes stay. */
    dim size[MAX_RANK + 2], in[MAX_RANK + 2], out[MAX_RANK + 2];
    int n = 0;
    for (int i = 0; i < from->rank; i++) {
        if (is_one(lw, from->shape[i])) continue;
        if (n && in[n - 1] == dim_mul(dc, from->stride[i], from->shape[i]) &&
            out[n - 1] == dim_mul(dc, stride[i], from->shape[i])) {
            size[n - 1] = dim_mul(dc, size[n - 1], from->shape[i]);
        } else {
            size[n++] = from->shape[i];
        }
        in[n - 1] = from->stride[i];
        out[n - 1] = stride[i];
    }
    while (n < 2) {
        for (int i = n; i > 0; i--) size[i] = size[i - 1], in[i] = in[i - 1], out[i] = out[i - 1];
        size[0] = one;
        in[0] = out[0] = zero;
        n++;
    }
    kernel k = kernel_begin(lw, "copy", at);
    if (n > KMAX_RANK) {
        diag_error(lw->d, k.at, "a copy needs more than %d separate axes", KMAX_RANK);
        return;
    }
    copying c = {.n = n};
    c.from = kernel_bind(&k, from->base, from->offset, (uint32_t)n, size, in, KACCESS_IN);
    c.to = kernel_bind_buffer(&k, to, offset, (uint32_t)n, size, out, KACCESS_OUT);
    dim tasks = one;
    for (int i = 0; i < n - 1; i++) tasks = dim_mul(dc, tasks, size[i]);
    kop *loop = kb_for(&k.b, kidx_const(0), kidx_value(kb_dim(&k.b, tasks)), 1, KMAP_PARALLEL, 1, NULL, 0);
    unflatten(&k, k.b.block->args[0], n - 1, size, c.at);
    kvalue *full, *tail;
    for_columns(&k, size[n - 1], WIDTH, NULL, NULL, copy_columns, &c, &full, &tail);
    kb_for_end(&k.b, loop, NULL, 0);
    kernel_end(&k);
}

/* Copies the parts that their kernels have not written in place. */
void lower_concat(lowering *lw, group *g)
{
    dim_ctx *dc = lw->m->dims;
    node *n = g->root;
    int axis = (int)node_attr(n, ATTR_AXIS)->u.i;
    const lview *to = view_of(lw, n->result);
    kvalue *buffer = base_buffer(lw, to->base);
    dim offset = to->offset;
    for (uint32_t i = 0; i < n->n_operands; i++) {
        value *part = n->operands[i];
        const lview *from = view_of(lw, part);
        /* Of size 1 along the axis it may have no stride there. */
        bool there = from->base == to->base && from->offset == offset;
        for (int k = 0; k < from->rank && there; k++)
            there = from->stride[k] == to->stride[k] || from->shape[k] == dim_const(dc, 1);
        if (!there) lower_copy(lw, n, from, buffer, offset, to->stride);
        offset = dim_add(dc, offset, dim_mul(dc, part->ty.shape[axis], to->stride[axis]));
    }
}

/* A reshape that no strides express: the elements in row-major order of the operand's shape. */
void lower_reshape(lowering *lw, group *g)
{
    dim_ctx *dc = lw->m->dims;
    node *n = g->root;
    const lview *from = view_of(lw, n->operands[0]);
    dim stride[MAX_RANK], s = dim_const(dc, 1);
    for (int i = from->rank - 1; i >= 0; i--) {
        stride[i] = s;
        s = dim_mul(dc, s, from->shape[i]);
    }
    lower_copy(lw, n, from, base_buffer(lw, n->result), dim_const(dc, 0), stride);
}

/* A transpose whose reader wants another order in memory. */
void lower_transpose(lowering *lw, group *g)
{
    node *n = g->root;
    lview from = transposed_view(lw, n);
    lower_copy(lw, n, &from, base_buffer(lw, n->result), dim_const(lw->m->dims, 0), view_of(lw, n->result)->stride);
}

/* ---- gather ---- */

/* All that reads v are gathers, by the indices that it is. */
static bool only_indexes(const value *v)
{
    for (const use *u = v->uses; u; u = u->next) {
        if (!u->user) return false;
        bool reshaped = u->user->op == OP_RESHAPE && only_indexes(u->user->result);
        if (!reshaped && (u->user->op != OP_GATHER || u->index != 1)) return false;
    }
    return true;
}

bool gather_packs_indices(const node *n)
{
    if (n->op != OP_GATHER || n->operands[0]->ty.rank != 1) return false;
    const node *positions = n->operands[1]->def;
    return positions && positions->op == OP_POSITIONS && only_indexes(n->result);
}

/* The gather that packs `ids`, which is done in the kernel that reads them: what it says of an index that is out of
 * range names the tensor that holds it and the place there. NULL: they are stored. */
static node *packs(const value *ids)
{
    while (ids->def && ids->def->op == OP_RESHAPE) ids = ids->def->operands[0];
    return ids->def && gather_packs_indices(ids->def) ? ids->def : NULL;
}

typedef struct {
    kvalue *table, *ids, *out;
    int axis, table_rank, ids_rank;
    kidx at[2 * MAX_RANK]; /* result index */
    kidx row;              /* the checked id */
} gathering;

static kvalue *gather_columns(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried)
{
    gathering *x = arg;
    int rank = x->table_rank - 1 + x->ids_rank;
    kidx src[KMAX_RANK], dst[KMAX_RANK];
    x->at[rank - 1] = col;
    src[0] = dst[0] = kidx_const(0);
    for (int i = 0; i < x->table_rank; i++)
        src[i + 1] = i < x->axis ? x->at[i] : i == x->axis ? x->row : x->at[i - 1 + x->ids_rank];
    for (int i = 0; i < rank; i++) dst[i + 1] = x->at[i];
    kmem from = kmem_at(x->table, src), to = kmem_at(x->out, dst);
    from.bounded[1] = to.bounded[1] = bounded;
    from.bound[1] = to.bound[1] = bound;
    kvalue *row = kb_load(&k->b, ktile_make(x->table->ty.buf.dt, 1, width, KL_VEC), from);
    kb_store(&k->b, kb_cast(&k->b, row, x->out->ty.buf.dt), to);
    return carried;
}

/* A view as a parameter with a leading axis of size 1, so that rank-1 tensors have a row axis for tiles. */
static kvalue *bind_padded(kernel *k, const lview *w, kaccess_mode mode)
{
    dim shape[MAX_RANK + 1], stride[MAX_RANK + 1];
    shape[0] = dim_const(k->lw->m->dims, 1);
    stride[0] = dim_const(k->lw->m->dims, 0);
    memcpy(shape + 1, w->shape, sizeof w->shape);
    memcpy(stride + 1, w->stride, sizeof w->stride);
    return kernel_bind(k, w->base, w->offset, w->rank + 1u, shape, stride, mode);
}

void lower_gather(lowering *lw, group *g)
{
    dim_ctx *dc = lw->m->dims;
    node *n = g->root;
    value *table = n->operands[0], *ids = n->operands[1];
    gathering x = {.axis = (int)node_attr(n, ATTR_AXIS)->u.i, .table_rank = table->ty.rank, .ids_rank = ids->ty.rank};
    const type *t = &n->result->ty;
    bool inner = x.axis < x.table_rank - 1; /* rows are copied; else single elements are */
    kernel k = kernel_begin(lw, "gather", n);
    if (table->ty.rank + 1 > KMAX_RANK || t->rank + 1 > KMAX_RANK) {
        diag_error(lw->d, k.at, "a gather with %d result axes; at most %d can be compiled", t->rank, KMAX_RANK - 1);
        return;
    }
    kbuilder *b = &k.b;
    x.table = bind_padded(&k, view_of(lw, table), KACCESS_IN);
    int ids_arg = (int)k.args.len;
    const node *packing = packs(ids);
    x.ids = bind_padded(&k, view_of(lw, packing ? packing->operands[0] : ids), KACCESS_IN);
    kvalue *positions = packing ? bind_padded(&k, view_of(lw, packing->operands[1]), KACCESS_IN) : NULL;
    x.out = bind_padded(&k, view_of(lw, n->result), KACCESS_OUT);
    int outer = t->rank - (inner ? 1 : 0);
    dim tasks = dim_const(dc, 1);
    for (int i = 0; i < outer; i++) tasks = dim_mul(dc, tasks, t->shape[i]);
    kop *loop = kb_for(b, kidx_const(0), kidx_value(kb_dim(b, tasks)), 1, KMAP_PARALLEL, 1, NULL, 0);
    unflatten(&k, b->block->args[0], outer, t->shape, x.at);

    kidx id_at[KMAX_RANK];
    id_at[0] = kidx_const(0);
    kvalue *flat = kb_i64(b, 0);
    for (int i = 0; i < x.ids_rank; i++) {
        id_at[i + 1] = x.at[x.axis + i];
        flat = kb_map2(b, KOP_ADD, kb_map2(b, KOP_MUL, flat, kb_dim(b, ids->ty.shape[i])),
                       kidx_as_value(&k, id_at[i + 1]));
    }
    if (packing) {
        id_at[1] = kidx_value(flat);
        flat = kb_load(b, ktile_scalar(DT_I64), kmem_at(positions, id_at));
        id_at[1] = kidx_value(flat);
    }
    kvalue *id = kb_cast(b, kb_load(b, ktile_scalar(ids->ty.dt), kmem_at(x.ids, id_at)), DT_I64);
    kvalue *limit = kb_dim(b, table->ty.shape[x.axis]), *none = kb_i64(b, 0);
    kvalue *ok = kb_map2(b, KOP_AND, kb_map2(b, KOP_GE, id, none), kb_map2(b, KOP_LT, id, limit));
    kb_check(b, ok, flat, id, limit, ids_arg);
    x.row = kidx_value(kb_map3(b, KOP_SELECT, ok, id, none));
    if (inner) {
        kvalue *full, *tail;
        for_columns(&k, t->shape[t->rank - 1], WIDTH, NULL, NULL, gather_columns, &x, &full, &tail);
    } else {
        kidx last = t->rank ? x.at[t->rank - 1] : kidx_const(0);
        gather_columns(&k, &x, last, 1, false, kidx_const(0), NULL);
    }
    kb_for_end(b, loop, NULL, 0);
    kernel_end(&k);
}
