/* Builders of nodes. The typed ones take what the frontend and the passes have already checked: operands that do not
 * fit are a broken invariant, and stop the compiler with the reason. */
#include "ir/internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

builder builder_before(node *n)
{
    return (builder){.fn = n->fn, .before = n, .like = n};
}

value *build_node(builder *b, op_kind op, value *const *operands, uint32_t n, const attr *attrs, const type *ty,
                  const char **why)
{
    module *m = b->fn->m;
    infer_ctx c = {.m = m};
    type few[2], *results = few;
    uint32_t n_results = op_result_count(op, attrs);
    if (n_results > 2) results = ARENA_ARRAY(m->a, type, n_results);
    if (!op_infer(&c, op, operands, n, attrs, ty, results)) {
        if (why) *why = c.why;
        return NULL;
    }
    node *x = node_new(m, b->fn, op, operands, n, attrs, results);
    function *body = node_body(x);
    if (body) body->scan = x;
    if (b->like) {
        x->in = b->like->in;
        x->sources = b->like->sources;
        x->n_sources = b->like->n_sources;
    } else {
        x->in = b->in ? b->in : b->fn->root;
        if (b->at.begin) {
            x->sources = ARENA_NEW(m->a, span);
            x->sources[0] = b->at;
            x->n_sources = 1;
        }
    }
    node_insert(x, b->before);
    return x->result;
}

value *build_op(builder *b, op_kind op, value *const *operands, uint32_t n, const attr *attrs, const type *ty)
{
    const char *why = NULL;
    value *v = build_node(b, op, operands, n, attrs, ty, &why);
    if (v) return v;
    fprintf(stderr, "tfxc: broken invariant: %s: %s\n", op_row(op)->name, why);
    strbuf t = strbuf_new(b->fn->m->a);
    for (uint32_t i = 0; i < n; i++) {
        strbuf_adds(&t, "  operand: ");
        type_print(b->fn->m, &operands[i]->ty, &t);
        strbuf_addc(&t, '\n');
    }
    uint32_t line = 0, col = 0;
    span at = b->like && b->like->n_sources ? b->like->sources[0] : b->at;
    const source_file *f = b->fn->m->sources ? source_of(b->fn->m->sources, at.begin) : NULL;
    if (f) source_line_col(b->fn->m->sources, at.begin, &line, &col);
    fprintf(stderr, "%s  at %s:%u:%u in function %s\n", t.s ? t.s : "", f ? f->name : "?", line, col, b->fn->name);
    abort();
}

/* ---- attributes ---- */

static attr attr_int(attr_name name, int64_t v)
{
    return (attr){.name = name, .set = true, .u.i = v};
}

static attr attr_real(attr_name name, double v)
{
    return (attr){.name = name, .set = true, .u.real = v};
}

static attr attr_axes(attr_name name, const int *v, uint32_t n)
{
    assert(n <= MAX_RANK);
    attr a = {.name = name, .set = true};
    a.u.ints.n = (uint8_t)n;
    for (uint32_t i = 0; i < n; i++) a.u.ints.v[i] = v[i];
    return a;
}

/* ---- one builder an op ---- */

value *build_param(builder *b, param *p)
{
    attr a = {.name = ATTR_PARAM, .set = true, .u.p = p};
    return build_op(b, OP_PARAM, NULL, 0, &a, &p->ty);
}

value *build_const(builder *b, dtype dt, uint32_t rank, const dim *shape, double v)
{
    assert(dtype_is_float(dt));
    attr a[2] = {attr_real(ATTR_VALUE, v), {.name = ATTR_IVALUE}};
    type t = type_make(dt, rank, shape);
    return build_op(b, OP_CONST, NULL, 0, a, &t);
}

value *build_const_int(builder *b, dtype dt, uint32_t rank, const dim *shape, int64_t v)
{
    assert(!dtype_is_float(dt));
    attr a[2] = {{.name = ATTR_VALUE}, attr_int(ATTR_IVALUE, v)};
    type t = type_make(dt, rank, shape);
    return build_op(b, OP_CONST, NULL, 0, a, &t);
}

value *build_iota(builder *b, dtype dt, uint32_t rank, const dim *shape, int axis)
{
    attr a = attr_int(ATTR_AXIS, axis);
    type t = type_make(dt, rank, shape);
    return build_op(b, OP_IOTA, NULL, 0, &a, &t);
}

value *build_cast(builder *b, value *a, dtype to)
{
    if (a->ty.dt == to) return a;
    type t = a->ty;
    t.dt = to;
    return build_op(b, OP_CAST, &a, 1, NULL, &t);
}

value *build_broadcast(builder *b, value *a, const int *axes, uint32_t rank, const dim *shape)
{
    attr x = attr_axes(ATTR_AXES, axes, a->ty.rank);
    type t = type_make(a->ty.dt, rank, shape);
    return build_op(b, OP_BROADCAST, &a, 1, &x, &t);
}

value *build_transpose(builder *b, value *a, const int *perm)
{
    attr x = attr_axes(ATTR_PERM, perm, a->ty.rank);
    return build_op(b, OP_TRANSPOSE, &a, 1, &x, NULL);
}

value *build_reshape(builder *b, value *a, uint32_t rank, const dim *shape)
{
    type t = type_make(a->ty.dt, rank, shape);
    return build_op(b, OP_RESHAPE, &a, 1, NULL, &t);
}

value *build_slice(builder *b, value *a, const dim *start, const dim *size, const int64_t *step)
{
    attr x[2] = {{.name = ATTR_START, .set = true}, {.name = ATTR_STEP, .set = true}};
    x[0].u.dims.n = x[1].u.ints.n = a->ty.rank;
    for (int i = 0; i < a->ty.rank; i++) {
        x[0].u.dims.v[i] = start[i];
        x[1].u.ints.v[i] = step ? step[i] : 1;
    }
    type t = type_make(a->ty.dt, a->ty.rank, size);
    return build_op(b, OP_SLICE, &a, 1, x, &t);
}

value *build_concat(builder *b, value *const *parts, uint32_t n, int axis)
{
    attr a = attr_int(ATTR_AXIS, axis);
    return build_op(b, OP_CONCAT, parts, n, &a, NULL);
}

value *build_contract(builder *b, value *x, value *y, const labels *l)
{
    attr a = {.name = ATTR_LABELS, .set = true, .u.lab = *l};
    return build_op(b, OP_CONTRACT, (value *[]){x, y}, 2, &a, NULL);
}

value *build_reduce(builder *b, value *a, reduce_kind k, const int *axes, uint32_t n)
{
    attr x[2] = {attr_int(ATTR_KIND, k), attr_axes(ATTR_AXES, axes, n)};
    return build_op(b, OP_REDUCE, &a, 1, x, NULL);
}

value *build_softmax(builder *b, value *a, int axis)
{
    attr x = attr_int(ATTR_AXIS, axis);
    return build_op(b, OP_SOFTMAX, &a, 1, &x, NULL);
}

value *build_normalize(builder *b, value *a, norm_mode mode, const int *axes, uint32_t n, double eps)
{
    attr x[3] = {attr_int(ATTR_MODE, mode), attr_axes(ATTR_AXES, axes, n), attr_real(ATTR_EPS, eps)};
    return build_op(b, OP_NORMALIZE, &a, 1, x, NULL);
}

value *build_attention(builder *b, value *q, value *k, value *v, value *mask, value *bias, double scale)
{
    return build_banded_attention(b, q, k, v, mask, bias, scale, (attention_band){0});
}

/* Operands that are NULL are left out. */
static value *attention_node(builder *b, value *const *operands, uint32_t n_operands, double scale, attention_band band)
{
    attr x[3] = {attr_real(ATTR_SCALE, scale),
                 {.name = ATTR_FROM, .set = band.has_from, .u.d = band.from},
                 {.name = ATTR_TO, .set = band.has_to, .u.d = band.to}};
    value *in[6];
    uint32_t n = 0;
    for (uint32_t o = 0; o < n_operands; o++)
        if (operands[o]) in[n++] = operands[o];
    return build_op(b, OP_ATTENTION, in, n, x, NULL);
}

value *build_banded_attention(builder *b, value *q, value *k, value *v, value *mask, value *bias, double scale,
                              attention_band band)
{
    return attention_node(b, (value *[]){q, k, v, mask, bias}, 5, scale, band);
}

attention_band attention_band_of(const node *n)
{
    const attr *from = node_attr(n, ATTR_FROM), *to = node_attr(n, ATTR_TO);
    return (attention_band){from->set, to->set, from->u.d, to->u.d};
}

value *attention_mask(const node *n)
{
    return n->n_operands > 3 && n->operands[3]->ty.dt == DT_BOOL ? n->operands[3] : NULL;
}

value *attention_bias(const node *n)
{
    value *last = n->operands[n->n_operands - 1];
    return n->n_operands > 3 && dtype_is_float(last->ty.dt) ? last : NULL;
}

static value *index_operand(const node *n, uint32_t at)
{
    return n->n_operands > at && n->operands[at]->ty.dt == DT_I64 ? n->operands[at] : NULL;
}

value *attention_offsets(const node *n)
{
    return index_operand(n, 3);
}

value *attention_positions(const node *n)
{
    return index_operand(n, 4);
}

value *build_ragged_attention(builder *b, value *q, value *k, value *v, value *offsets, value *positions, value *bias,
                              double scale, attention_band band)
{
    return attention_node(b, (value *[]){q, k, v, offsets, positions, bias}, 6, scale, band);
}

value *build_offsets(builder *b, value *mask)
{
    return build_op(b, OP_OFFSETS, &mask, 1, NULL, NULL);
}

value *build_positions(builder *b, value *mask, value *offsets, dim tokens, int along)
{
    attr x[2] = {{.name = ATTR_TOKENS, .set = true, .u.d = tokens}, attr_int(ATTR_ALONG, along)};
    x[1].set = along >= 0;
    return build_op(b, OP_POSITIONS, (value *[]){mask, offsets}, 2, x, NULL);
}

value *build_unpack(builder *b, value *packed, value *mask, value *offsets)
{
    return build_op(b, OP_UNPACK, (value *[]){packed, mask, offsets}, 3, NULL, NULL);
}

value *build_gather(builder *b, value *table, value *ids, int axis)
{
    attr x = attr_int(ATTR_AXIS, axis);
    return build_op(b, OP_GATHER, (value *[]){table, ids}, 2, &x, NULL);
}

value *build_update(builder *b, value *a, value *box, const dim *start)
{
    attr x = {.name = ATTR_START, .set = true};
    x.u.dims.n = a->ty.rank;
    for (int i = 0; i < a->ty.rank; i++) x.u.dims.v[i] = start[i];
    return build_op(b, OP_UPDATE, (value *[]){a, box}, 2, &x, NULL);
}

node *build_top_k(builder *b, value *a, int axis, int64_t count)
{
    attr x[2] = {attr_int(ATTR_AXIS, axis), attr_int(ATTR_COUNT, count)};
    return build_op(b, OP_TOP_K, &a, 1, x, NULL)->def;
}

node *build_scan(builder *b, function *body, dim index, dim extent, uint32_t n_carries, value *const *operands,
                 uint32_t n_operands)
{
    attr x[4] = {{.name = ATTR_BODY, .set = true, .u.f = body},
                 {.name = ATTR_INDEX, .set = true, .u.d = index},
                 {.name = ATTR_EXTENT, .set = true, .u.d = extent},
                 attr_int(ATTR_CARRIES, n_carries)};
    return build_op(b, OP_SCAN, operands, n_operands, x, NULL)->def;
}

value *build_scalar(builder *b, op_kind op, value *const *operands, uint32_t n)
{
    assert(op_row(op)->props & P_ELEMENTWISE);
    return build_op(b, op, operands, n, NULL, NULL);
}
