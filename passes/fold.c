/* Constant folding: what depends on no input is computed now.
 *
 *   %0 = const {value = 2.0} : f32[B]
 *   %1 = mul %0, %0 : f32[B]                             ->  %1 = const {value = 4.0} : f32[B]
 *   %2 = param "w" : f32[768, 64]
 *   %3 = transpose %2 {perm = [1, 0]} : f32[64, 768]     ->  %3 = param "transpose(w)" : f32[64, 768]
 *
 * Three kinds of folding:
 *   numbers   an elementwise op on constants is the constant of the interpreter's result
 *   tables    an op on known small tensors (iota, constants, folded tables) becomes a parameter that holds its
 *             elements; equal tables are one parameter, so that what the layers compute of them is equal, too
 *   views     transpose, reshape, slice, cast and concat of parameters become part of the parameter's expression, when
 *             nothing else reads it; expressions are evaluated while the artefact is written
 *
 * Requires composed views (canonicalise) to see the parameter behind them; leaves unused nodes for dce. Breaks the
 * identity of a viewed parameter: its path becomes "transpose(w)", and policies must have been resolved before.
 *
 * Computing in double and storing the result is the obvious way, and not exact: (1e8 + 1) - 1e8 is 1 in double and 0
 * in f32, and a table of cosines in f32 is not what the interpreter sees that does not round. So each node is
 * evaluated twice, with and without rounding, and folded only where what is stored serves both; the others are remarked
 * on. Folding every view copies weights: a tied embedding that is also transposed for the output layer would be stored
 * twice, so a parameter with another reader stays as it is, and so does one that a cast would make larger. Tables of
 * ints and truth values are not stored: a causal mask is recognised from its comparison, and computing it costs less
 * than reading it. */
#include "ir/constant.h"
#include "passes/match.h"
#include "passes/params.h"
#include "passes/pass.h"

enum { MAX_TABLE = 4096 }; /* elements that are worth carrying in the artefact instead of computing them */

/* ---- evaluation by the interpreter ---- */

typedef struct {
    pass_ctx *ctx;
    module *m;
    uint32_t *readers; /* by param id: nodes that read it, in all functions */
    tensor **known;    /* by value id: what it holds, when that is known, equal with and without rounding */
    bool changed;
} folder;

/* Copies the type t, whose sizes are constants, into the dims of another module. */
static bool constant_type(const module *from, const type *t, dim_ctx *to, type *out)
{
    int64_t shape[MAX_RANK];
    if (!type_is_const(from, t, shape)) return false;
    *out = *t;
    for (int i = 0; i < t->rank; i++) out->shape[i] = dim_const(to, shape[i]);
    return true;
}

/* Runs a copy of n, its result of type t, on known operands in a module of its own. NULL when the interpreter refuses.
 */
static tensor *evaluate_in(arena *a, const folder *x, const node *n, const type *t, tensor *const *operands, bool round)
{
    source_set *sources = source_set_new(a);
    module *m = module_new(a, x->m->names, sources, dims_new(a, x->m->names), "fold");
    function *f = function_new(m, "fold");
    value **args = ARENA_ARRAY(a, value *, n->n_operands);
    for (uint32_t i = 0; i < n->n_operands; i++) {
        dim shape[MAX_RANK];
        for (int k = 0; k < operands[i]->rank; k++) shape[k] = dim_const(m->dims, operands[i]->shape[k]);
        args[i] = function_arg(f, arena_printf(a, "x%u", i), type_make(operands[i]->dt, operands[i]->rank, shape));
    }
    attr attrs[MAX_ATTRS];
    memcpy(attrs, n->attrs, sizeof attrs);
    for (int i = 0; i < op_row(n->op)->n_attrs; i++)
        if (attr_kind_of(attrs[i].name) == AK_DIMS)
            for (int k = 0; k < attrs[i].u.dims.n; k++) {
                int64_t v;
                if (!dim_is_const(x->m->dims, attrs[i].u.dims.v[k], &v)) return NULL;
                attrs[i].u.dims.v[k] = dim_const(m->dims, v);
            }
    type result;
    if (!constant_type(x->m, t, m->dims, &result)) return NULL;
    builder b = {.fn = f};
    value *v = build_node(&b, n->op, args, n->n_operands, attrs, &result, NULL);
    if (!v) return NULL;
    function_add_result(f, "y", v);
    interp_options o = {.round = round};
    tensor *y = NULL;
    return interp_run(f, operands, NULL, &o, a, diags_new(a, sources, 1), &y) ? y : NULL;
}

static void out_of_memory(void *arg)
{
    arena_out_of_memory(arg);
}

/* The same with only the result left in the pass's memory. */
static tensor *evaluate(const folder *x, const node *n, const type *t, tensor *const *operands, bool round)
{
    arena *a = arena_new(out_of_memory, x->ctx->scratch);
    if (!a) arena_out_of_memory(x->ctx->scratch);
    const tensor *y = evaluate_in(a, x, n, t, operands, round);
    tensor *kept = y ? tensor_new(x->ctx->scratch, y->dt, y->rank, y->shape) : NULL;
    if (y) memcpy(kept->u.f, y->u.f, tensor_elements(y) * sizeof *y->u.f); /* int64_t elements are as wide */
    arena_free(a);
    return kept;
}

static bool same_number(double a, double b)
{
    return (a != a && b != b) || !memcmp(&a, &b, sizeof a);
}

/* ---- numbers ---- */

static tensor *number(arena *a, const value *v, bool round)
{
    const node *c = match_op(v, OP_CONST);
    tensor *t = tensor_new(a, v->ty.dt, 0, NULL);
    if (dtype_is_float(v->ty.dt)) {
        double x = node_attr(c, ATTR_VALUE)->u.real;
        t->u.f[0] = round ? dtype_round(v->ty.dt, x) : x;
    } else {
        t->u.i[0] = node_attr(c, ATTR_IVALUE)->u.i;
    }
    return t;
}

static value *same_constant(node *n, const value *c)
{
    builder b = builder_before(n);
    const type *t = &n->result->ty;
    if (dtype_is_float(t->dt)) return build_const(&b, t->dt, t->rank, t->shape, node_attr(c->def, ATTR_VALUE)->u.real);
    return build_const_int(&b, t->dt, t->rank, t->shape, node_attr(c->def, ATTR_IVALUE)->u.i);
}

/* An elementwise op or cast of constants: one number stands for all elements, so sizes need not be known. */
static value *fold_number(folder *x, node *n)
{
    if (op_row(n->op)->props & P_PURE_VIEW)
        return match_op(n->operands[0], OP_CONST) ? same_constant(n, n->operands[0]) : NULL;
    if (n->op != OP_CAST && !(op_row(n->op)->props & P_ELEMENTWISE)) return NULL;
    tensor *exact[3], *rounded[3];
    if (n->n_operands > 3) return NULL;
    for (uint32_t i = 0; i < n->n_operands; i++) {
        if (!match_op(n->operands[i], OP_CONST)) return NULL;
        exact[i] = number(x->ctx->scratch, n->operands[i], false);
        rounded[i] = number(x->ctx->scratch, n->operands[i], true);
    }
    const type *t = &n->result->ty;
    type one = type_make(t->dt, 0, NULL);
    const tensor *u = evaluate(x, n, &one, exact, false), *r = evaluate(x, n, &one, rounded, true);
    if (!u || !r) return NULL;
    builder b = builder_before(n);
    if (!dtype_is_float(t->dt))
        return u->u.i[0] == r->u.i[0] ? build_const_int(&b, t->dt, t->rank, t->shape, u->u.i[0]) : NULL;
    if (same_number(dtype_round(t->dt, u->u.f[0]), r->u.f[0]))
        return build_const(&b, t->dt, t->rank, t->shape, u->u.f[0]);
    pass_remark(x->ctx, n, "not folded: rounding in between gives another number");
    return NULL;
}

/* ---- tables ---- */

static bool is_exact(const tensor *t)
{
    if (!dtype_is_float(t->dt)) return true;
    uint64_t n = tensor_elements(t);
    for (uint64_t i = 0; i < n; i++)
        if (!same_number(dtype_round(t->dt, t->u.f[i]), t->u.f[i])) return false;
    return true;
}

static bool equal_tensors(const tensor *a, const tensor *b)
{
    uint64_t n = tensor_elements(a);
    for (uint64_t i = 0; i < n; i++)
        if (dtype_is_float(a->dt) ? !same_number(a->u.f[i], b->u.f[i]) : a->u.i[i] != b->u.i[i]) return false;
    return true;
}

static bool is_uniform(const tensor *t)
{
    uint64_t n = tensor_elements(t);
    for (uint64_t i = 1; i < n; i++)
        if (dtype_is_float(t->dt) ? !same_number(t->u.f[0], t->u.f[i]) : t->u.i[0] != t->u.i[i]) return false;
    return n > 0;
}

static bool is_small(const folder *x, const type *t)
{
    int64_t shape[MAX_RANK], n = 1;
    if (!type_is_const(x->m, t, shape)) return false;
    for (int i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(n, shape[i], &n) || n > MAX_TABLE) return false;
    return true;
}

/* What n holds, when its operands are known, both ways of rounding agree, and it is small. */
static tensor *known_result(const folder *x, const node *n)
{
    arena *a = x->ctx->scratch;
    if (n->op == OP_SCAN || n->n_results > 1) return NULL; /* what a body computes is not known here */
    if (!is_small(x, &n->result->ty)) return NULL;
    if (n->op == OP_PARAM) {
        const param *p = node_attr(n, ATTR_PARAM)->u.p;
        return p->value->kind == CE_DATA ? interp_constant(a, p->value, diags_new(a, source_set_new(a), 1)) : NULL;
    }
    tensor **operands = ARENA_ARRAY(a, tensor *, n->n_operands);
    for (uint32_t i = 0; i < n->n_operands; i++)
        if (!(operands[i] = x->known[n->operands[i]->id])) return NULL;
    tensor *u = evaluate(x, n, &n->result->ty, operands, false);
    tensor *r = u && is_exact(u) ? evaluate(x, n, &n->result->ty, operands, true) : NULL;
    if (!r || !equal_tensors(u, r)) {
        if (u && !(op_row(n->op)->props & P_LEAF))
            pass_remark(x->ctx, n, "not folded: %s cannot hold the exact elements", dtype_name(n->result->ty.dt));
        return NULL;
    }
    return u;
}

/* Somebody needs v, directly or through views, and does not hold a known value itself. */
static bool is_needed(const folder *x, const value *v, int depth)
{
    if (depth == 64) return true; /* a longer chain of views than canonicalise leaves */
    for (const use *u = v->uses; u; u = u->next) {
        if (!u->user || !x->known[u->user->result->id]) return true; /* of several results none is known */
        if ((op_row(u->user->op)->props & P_PURE_VIEW) && is_needed(x, u->user->result, depth + 1)) return true;
    }
    return false;
}

static value *store_table(folder *x, node *n, const tensor *t)
{
    module *m = x->m;
    builder b = builder_before(n);
    const type *ty = &n->result->ty;
    if (is_uniform(t))
        return dtype_is_float(t->dt) ? build_const(&b, t->dt, ty->rank, ty->shape, t->u.f[0])
                                     : build_const_int(&b, t->dt, ty->rank, ty->shape, t->u.i[0]);
    if (!dtype_is_float(t->dt) || (op_row(n->op)->props & P_PURE_VIEW)) return NULL;
    void *bytes = arena_alloc(m->a, dtype_bytes(t->dt, tensor_elements(t)), 64);
    tensor_to_bytes(t, bytes);
    const cexpr *e = cexpr_data(m->a, t->dt, t->rank, t->shape, bytes);
    span at = n->n_sources ? n->sources[0] : (span){0};
    return build_param(&b, param_made(m, x->ctx->scratch, "folded", *ty, e, at));
}

static void fold_tables(folder *x, function *f)
{
    function_foreach (n, f) x->known[n->result->id] = known_result(x, n);
    function_foreach (n, f) {
        const tensor *t = x->known[n->result->id];
        const op_info *row = op_row(n->op);
        if (row->axes == X_RUNS) continue; /* whoever reads the offsets of a mask asks them for the mask */
        if (!t || (row->props & P_LEAF) || !n->result->uses || !is_needed(x, n->result, 0)) continue;
        value *v = store_table(x, n, t);
        if (!v) continue;
        value_replace(f, n->result, v);
        x->changed = true;
    }
}

/* ---- views of parameters ---- */

/* The expression of a parameter that nothing but this operand reads. */
static const cexpr *owned_constant(const folder *x, const value *v)
{
    enum { MAX_DEPTH = 32 }; /* operations in one expression; alternating views in hostile text could go on for ever */
    const node *p = match_op(v, OP_PARAM);
    if (!p || !match_single_use(v) || v->ty.enc.kind != ENC_ROWS) return NULL;
    const param *q = node_attr(p, ATTR_PARAM)->u.p;
    int depth = 0;
    for (const cexpr *e = q->value; e->n_args && depth < MAX_DEPTH; e = e->args[0]) depth++;
    return x->readers[q->id] == 1 && depth < MAX_DEPTH ? q->value : NULL;
}

static const cexpr *slice_of(const folder *x, const node *n, const cexpr *e, arena *a)
{
    int64_t start[MAX_RANK], size[MAX_RANK];
    for (int i = 0; i < e->rank; i++) {
        if (node_attr(n, ATTR_STEP)->u.ints.v[i] != 1 ||
            !dim_is_const(x->m->dims, node_attr(n, ATTR_START)->u.dims.v[i], &start[i]) ||
            !dim_is_const(x->m->dims, n->result->ty.shape[i], &size[i]))
            return NULL;
        /* An empty slice may start anywhere; an expression's may not. */
        if (start[i] < 0 || start[i] > e->shape[i] || size[i] > e->shape[i] - start[i]) return NULL;
    }
    return cexpr_slice(a, e, start, size);
}

static const cexpr *narrowed(const node *n, const cexpr *e, arena *a)
{
    static const dtype plain[] = {DT_F16, DT_BF16, DT_F32, DT_F64};
    int found = 0;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        found += (plain[i] == e->dt) + (plain[i] == n->result->ty.dt);
    return found == 2 && dtype_bits(n->result->ty.dt) < dtype_bits(e->dt) ? cexpr_cast(a, e, n->result->ty.dt) : NULL;
}

static const cexpr *view_of_constant(const folder *x, const node *n, const cexpr *const *parts)
{
    arena *a = x->m->a;
    if (n->op == OP_TRANSPOSE) {
        uint8_t perm[MAX_RANK];
        for (int i = 0; i < n->result->ty.rank; i++) perm[i] = (uint8_t)node_attr(n, ATTR_PERM)->u.ints.v[i];
        return cexpr_transpose(a, parts[0], perm);
    }
    if (n->op == OP_RESHAPE) {
        int64_t shape[MAX_RANK];
        return type_is_const(x->m, &n->result->ty, shape) ? cexpr_reshape(a, parts[0], n->result->ty.rank, shape)
                                                          : NULL;
    }
    if (n->op == OP_SLICE) return slice_of(x, n, parts[0], a);
    if (n->op == OP_CAST) return narrowed(n, parts[0], a);
    if (n->op == OP_CONCAT) return cexpr_concat(a, parts, n->n_operands, (int)node_attr(n, ATTR_AXIS)->u.i);
    return NULL;
}

static value *fold_view(folder *x, node *n)
{
    if (!n->n_operands || !(op_row(n->op)->props & P_PURE_VIEW || n->op == OP_CAST || n->op == OP_CONCAT)) return NULL;
    const cexpr **parts = ARENA_ARRAY(x->m->a, const cexpr *, n->n_operands);
    strbuf path = strbuf_new(x->ctx->scratch);
    strbuf_addf(&path, "%s(", op_row(n->op)->name);
    for (uint32_t i = 0; i < n->n_operands; i++) {
        parts[i] = owned_constant(x, n->operands[i]);
        if (!parts[i]) return NULL;
        strbuf_addf(&path, "%s%s", i ? ", " : "", node_attr(n->operands[i]->def, ATTR_PARAM)->u.p->path);
    }
    strbuf_addc(&path, ')');
    const cexpr *e = view_of_constant(x, n, parts);
    if (!e) return NULL;
    const param *first = node_attr(n->operands[0]->def, ATTR_PARAM)->u.p;
    param *p = param_made(x->m, x->ctx->scratch, path.s, n->result->ty, e, first->declared);
    builder b = builder_before(n);
    value *v = build_param(&b, p);
    for (uint32_t i = 0; i < n->n_operands; i++) node_add_sources(x->m, v->def, n->operands[i]->def);
    return v;
}

/* ---- the pass ---- */

status pass_fold(pass_ctx *ctx, module *m, bool *changed)
{
    uint32_t n_functions;
    function **all = module_walk(m, ctx->scratch, &n_functions);
    /* At most one parameter is made for each node. */
    folder x = {.ctx = ctx, .m = m, .readers = param_readers(m, ctx->scratch, module_node_count(m, ctx->scratch))};
    for (uint32_t i = 0; i < n_functions; i++) {
        function *f = all[i];
        function_foreach (n, f) {
            if (!n->result->uses) continue;
            value *v = fold_number(&x, n);
            if (!v && (v = fold_view(&x, n))) x.readers[node_attr(v->def, ATTR_PARAM)->u.p->id]++;
            if (!v) continue;
            value_replace(f, n->result, v);
            x.changed = true;
        }
        /* The folds above made values; tables are of those that exist now. */
        x.known = ARENA_ARRAY(ctx->scratch, tensor *, (size_t)m->n_values);
        fold_tables(&x, f);
    }
    if (x.changed) *changed = true;
    return STATUS_OK;
}
