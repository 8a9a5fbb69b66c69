/* Precomputation: what depends on parameters alone is computed while the artefact is written.
 *
 *   %0 = param "running_var" : f32[64]
 *   %1 = const {value = 1e-05} : f32[64]
 *   %2 = add %0, %1 : f32[64]
 *   %3 = rsqrt %2 : f32[64]                     ->      %3 = param "rsqrt(running_var)" : f32[64]
 *
 * The new parameter's value is an expression on the old one's (map rsqrt (map add (...))), computed in f64 and rounded
 * once. What becomes a parameter is the last elementwise op before the inputs of the model come in, or before a view
 * that they are combined with: the scale of a batch norm keeps its 64 elements and is broadcast when it is used.
 *
 * Requires folded constants (fold), which are operands here, and no duplicates (cse): each would be stored. Breaks the
 * identity of the parameters it reads; policies must have been resolved before.
 *
 * Evaluating every such op is the obvious way, and makes artefacts larger: a table that is the sum of a row and a
 * column takes less to compute than to read, and a weight that is widened would be stored twice as large. So a result
 * is stored when it is small, or takes the place of a parameter that is as large and that nothing else reads. */
#include "passes/match.h"
#include "passes/params.h"
#include "passes/pass.h"

enum {
    SMALL = 64 << 10, /* bytes that are stored whatever they are made of */
    MAX_COST = 64,    /* operations on an element while the artefact is written */
    MAX_DEPTH = 24    /* their nesting: reading takes stack for each, and texts are read to a depth of 64 */
};

typedef struct {
    pass_ctx *ctx;
    module *m;
    uint32_t *readers;    /* by param id */
    const cexpr **known;  /* by value id: its elements, floats in f64; NULL: they depend on more than parameters */
    const param **origin; /* by value id: the largest parameter that they are made of and that nothing else reads */
    bool changed;
} precomputer;

/* ---- what is known ---- */

static bool constant_shape(const module *m, const type *t, int64_t *shape)
{
    return t->enc.kind == ENC_ROWS && type_is_const(m, t, shape);
}

static const cexpr *known_leaf(const precomputer *x, const node *n, const int64_t *shape)
{
    arena *a = x->m->a;
    const type *t = &n->result->ty;
    if (n->op == OP_PARAM) {
        const cexpr *e = node_attr(n, ATTR_PARAM)->u.p->value;
        return dtype_is_float(t->dt) ? constant_wide(a, e) : e;
    }
    if (n->op != OP_CONST) return NULL;
    if (dtype_is_float(t->dt)) return cexpr_splat(a, DT_F64, t->rank, shape, node_attr(n, ATTR_VALUE)->u.real);
    int64_t v = node_attr(n, ATTR_IVALUE)->u.i;
    return (int64_t)(double)v == v && dtype_bits(t->dt) < 64 ? cexpr_splat(a, t->dt, t->rank, shape, (double)v) : NULL;
}

/* A cast rounds where the new dtype is narrower; that is what the program says, so it is kept. */
static const cexpr *known_cast(const precomputer *x, const node *n, const cexpr *e)
{
    arena *a = x->m->a;
    dtype from = n->operands[0]->ty.dt, to = n->result->ty.dt;
    if (!dtype_is_float(to)) return NULL;
    return cexpr_cast(a, dtype_contains(to, from) ? e : cexpr_cast(a, e, to), DT_F64);
}

static const cexpr *known_slice(const precomputer *x, const node *n, const cexpr *e, const int64_t *size)
{
    int64_t start[MAX_RANK];
    for (int i = 0; i < e->rank; i++) {
        if (node_attr(n, ATTR_STEP)->u.ints.v[i] != 1 ||
            !dim_is_const(x->m->dims, node_attr(n, ATTR_START)->u.dims.v[i], &start[i]) || start[i] < 0 ||
            start[i] > e->shape[i] || size[i] > e->shape[i] - start[i])
            return NULL;
    }
    return cexpr_slice(x->m->a, e, start, size);
}

static const cexpr *known_view(const precomputer *x, const node *n, const cexpr *e, const int64_t *shape)
{
    arena *a = x->m->a;
    uint32_t rank = n->result->ty.rank;
    uint8_t axes[MAX_RANK];
    if (n->op == OP_RESHAPE) return cexpr_reshape(a, e, rank, shape);
    if (n->op == OP_SLICE) return known_slice(x, n, e, shape);
    if (n->op != OP_TRANSPOSE && n->op != OP_BROADCAST) return NULL;
    const attr *list = node_attr(n, n->op == OP_TRANSPOSE ? ATTR_PERM : ATTR_AXES);
    for (int i = 0; i < e->rank; i++) axes[i] = (uint8_t)list->u.ints.v[i];
    return n->op == OP_TRANSPOSE ? cexpr_transpose(a, e, axes) : cexpr_broadcast(a, e, axes, rank, shape);
}

static const cexpr *known_map(const precomputer *x, const node *n, const cexpr *const *args)
{
    dtype dt;
    return cexpr_map_type(n->op, args, n->n_operands, &dt) ? cexpr_map(x->m->a, n->op, args, n->n_operands) : NULL;
}

static const cexpr *known_result(const precomputer *x, const node *n)
{
    enum { MOST = 3 };
    const cexpr *args[MOST];
    int64_t shape[MAX_RANK];
    if (n->n_operands > MOST || !constant_shape(x->m, &n->result->ty, shape)) return NULL;
    for (uint32_t i = 0; i < n->n_operands; i++)
        if (!(args[i] = x->known[n->operands[i]->id])) return NULL;
    const cexpr *e = n->n_operands == 0                     ? known_leaf(x, n, shape)
                     : n->op == OP_CAST                     ? known_cast(x, n, args[0])
                     : op_row(n->op)->props & P_PURE_VIEW   ? known_view(x, n, args[0], shape)
                     : op_row(n->op)->props & P_ELEMENTWISE ? known_map(x, n, args)
                                                            : NULL;
    uint32_t depth;
    return e && constant_cost(e, MAX_COST, &depth) <= MAX_COST && depth <= MAX_DEPTH ? e : NULL;
}

static const param *origin_of(const precomputer *x, const node *n)
{
    if (n->op == OP_PARAM) {
        const param *p = node_attr(n, ATTR_PARAM)->u.p;
        return x->readers[p->id] == 1 && match_single_use(n->result) ? p : NULL;
    }
    const param *largest = NULL;
    if (!match_single_use(n->result)) return NULL;
    for (uint32_t i = 0; i < n->n_operands; i++) {
        const param *p = x->origin[n->operands[i]->id];
        if (p && (!largest || cexpr_bytes(p->value) > cexpr_bytes(largest->value))) largest = p;
    }
    return largest;
}

/* ---- what is stored ---- */

/* Somebody needs v, directly or through views, who is not known himself. */
static bool is_needed(const precomputer *x, const value *v, int depth)
{
    if (depth == 64) return true; /* a longer chain of views than canonicalise leaves */
    for (const use *u = v->uses; u; u = u->next) {
        if (!u->user || !x->known[u->user->result->id]) return true;
        if ((op_row(u->user->op)->props & P_PURE_VIEW) && is_needed(x, u->user->result, depth + 1)) return true;
    }
    return false;
}

/* The paths of the parameters that n is computed from, each once: "mul(bn.weight, bn.running_var)". */
static void list_params(const precomputer *x, const node *n, ptrmap *seen, strbuf *out)
{
    if (n->op == OP_PARAM) {
        const param *p = node_attr(n, ATTR_PARAM)->u.p;
        if (ptrmap_has(seen, p)) return;
        if (out->s[out->len - 1] != '(') strbuf_adds(out, ", ");
        strbuf_adds(out, p->path);
        ptrmap_set(seen, p, (void *)p);
    }
    for (uint32_t i = 0; i < n->n_operands; i++)
        if (n->operands[i]->def) list_params(x, n->operands[i]->def, seen, out);
}

static bool reads_param(const cexpr *e)
{
    if (e->kind == CE_FILE || e->kind == CE_RANDOM || e->kind == CE_DATA) return true;
    for (uint32_t i = 0; i < e->n_args; i++)
        if (reads_param(e->args[i])) return true;
    return false;
}

static value *stored(precomputer *x, node *n)
{
    module *m = x->m;
    const cexpr *e = cexpr_cast(m->a, x->known[n->result->id], n->result->ty.dt);
    const param *from = x->origin[n->result->id];
    uint64_t bytes = cexpr_bytes(e);
    if (!reads_param(e)) return NULL; /* numbers are fold's */
    if (bytes > SMALL && (!from || bytes > cexpr_bytes(from->value))) {
        pass_remark(x->ctx, n, "not precomputed: %llu bytes would be stored in the place of fewer",
                    (unsigned long long)bytes);
        return NULL;
    }
    strbuf path = strbuf_new(x->ctx->scratch);
    strbuf_addf(&path, "%s(", op_row(n->op)->name);
    list_params(x, n, ptrmap_new(x->ctx->scratch), &path);
    strbuf_addc(&path, ')');
    span at = n->n_sources ? n->sources[0] : (span){0};
    builder b = builder_before(n);
    return build_param(&b, param_made(m, x->ctx->scratch, path.s, n->result->ty, e, at));
}

status pass_precompute(pass_ctx *ctx, module *m, bool *changed)
{
    precomputer x = {.ctx = ctx, .m = m, .readers = param_readers(m, ctx->scratch, 0)};
    uint32_t n_functions;
    function **all = module_walk(m, ctx->scratch, &n_functions);
    for (uint32_t i = 0; i < n_functions; i++) {
        function *f = all[i];
        x.known = ARENA_ARRAY(ctx->scratch, const cexpr *, m->n_values);
        x.origin = ARENA_ARRAY(ctx->scratch, const param *, m->n_values);
        function_foreach (n, f) {
            x.known[n->result->id] = known_result(&x, n);
            if (x.known[n->result->id]) x.origin[n->result->id] = origin_of(&x, n);
        }
        function_foreach (n, f) {
            if (!(op_row(n->op)->props & P_ELEMENTWISE) || !x.known[n->result->id] ||
                !dtype_is_float(n->result->ty.dt) || !n->result->uses)
                continue;
            if (!is_needed(&x, n->result, 0)) continue;
            value *v = stored(&x, n);
            if (!v) continue;
            value_replace(f, n->result, v);
            x.changed = true;
        }
    }
    if (x.changed) *changed = true;
    return STATUS_OK;
}
