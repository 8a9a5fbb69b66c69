/* The functions of builtins.def, and the rows of scalar.def called as functions. */
#include "frontend/sema_internal.h"

#include <math.h>

enum { MAX_PARAMS = 6 };

typedef struct {
    const builtin *b;
    const ast_expr *call;
    bool given[MAX_PARAMS];
    value v[MAX_PARAMS];
    span at[MAX_PARAMS];
} args;

struct builtin {
    const char *name;
    const char *params; /* NULL: raw, or a scalar op */
    const char *signature;
    value (*fn)(sema *s, args *a);
    value (*raw)(sema *s, const ast_expr *call);
    sema_scalar scalar;
};

#define BUILTIN(name, params, signature) static value builtin_##name(sema *s, args *a);
#include "frontend/builtins.def"
#undef BUILTIN

static const builtin table[] = {
#define BUILTIN(name, params, signature) {#name, params, signature, builtin_##name, NULL, SCALAR_COUNT},
#include "frontend/builtins.def"
#undef BUILTIN
    {"einsum", NULL, "einsum(pattern: string, x, y, ...)", NULL, builtin_einsum, SCALAR_COUNT},
    {"rearrange", NULL, "rearrange(x, pattern: string, name = size, ...)", NULL, builtin_rearrange, SCALAR_COUNT},
#define SCALAR(name, NAME, arity, operands, result, f, i, math) {#name, NULL, #name "(...)", NULL, NULL, SCALAR_##NAME},
#include "ir/scalar.def"
#undef SCALAR
};
enum { TABLE_SIZE = sizeof table / sizeof *table };

/* Rows of scalar.def that are written with an operator are no functions. */
static bool is_operator(sema_scalar op)
{
    switch (op) {
    case SCALAR_ADD:
    case SCALAR_SUB:
    case SCALAR_MUL:
    case SCALAR_DIV:
    case SCALAR_MOD:
    case SCALAR_NEG:
    case SCALAR_EQ:
    case SCALAR_NE:
    case SCALAR_LT:
    case SCALAR_LE:
    case SCALAR_GT:
    case SCALAR_GE:
    case SCALAR_AND:
    case SCALAR_OR:
    case SCALAR_NOT: return true;
    default: return false;
    }
}

const builtin *builtin_find(const char *name)
{
    for (int i = 0; i < TABLE_SIZE; i++)
        if (strcmp(table[i].name, name) == 0 && !is_operator(table[i].scalar)) return &table[i];
    return NULL;
}

void builtin_names(sema *s, name_list *out)
{
    for (int i = 0; i < TABLE_SIZE; i++)
        if (!is_operator(table[i].scalar)) vec_push(s->a, out, table[i].name);
}

/* ---- arguments ---- */

/* The i-th name of "x axis keep?", its length, and whether it may be left out; false past the end. */
static bool param_at(const char *params, uint32_t i, const char **name, size_t *n, bool *optional)
{
    for (const char *p = params; *p; i--) {
        size_t len = strcspn(p, " ");
        if (i == 0) {
            *optional = p[len - 1] == '?';
            *name = p;
            *n = len - *optional;
            return true;
        }
        p += len + (p[len] == ' ');
    }
    return false;
}

static void show_signature(diag *g, const builtin *b)
{
    diag_line(g, "signature", "%s", b->signature);
}

static bool read_args(sema *s, const builtin *b, const ast_expr *e, args *out)
{
    out->call = e;
    uint32_t positional = 0;
    bool ok = true, optional;
    const char *name;
    size_t n;
    vec_foreach (ast_arg, arg, &e->call.args) {
        uint32_t i = positional;
        if (arg->key.name) {
            for (i = 0; param_at(b->params, i, &name, &n, &optional); i++)
                if (strlen(arg->key.name) == n && memcmp(arg->key.name, name, n) == 0) break;
            if (!param_at(b->params, i, &name, &n, &optional)) {
                diag *g =
                    sema_error(s, arg->key.at, "unknown-argument", "'%s' has no argument '%s'", b->name, arg->key.name);
                name_list names = {0};
                for (i = 0; param_at(b->params, i, &name, &n, &optional); i++) {
                    const char *known = arena_strndup(s->a, name, n);
                    vec_push(s->a, &names, known);
                }
                show_signature(g, b);
                hint_argument(g, arg->key.name, &names);
                ok = false;
                continue;
            }
        } else if (!param_at(b->params, positional++, &name, &n, &optional)) {
            uint32_t most = positional - 1;
            show_signature(sema_error(s, arg->at, "arity", "'%s' takes at most %u argument%s", b->name, most,
                                      most == 1 ? "" : "s"),
                           b);
            return false;
        }
        if (out->given[i]) {
            sema_error(s, arg->at, "arguments", "argument '%.*s' is given twice", (int)n, name);
            ok = false;
            continue;
        }
        out->given[i] = true;
        out->v[i] = eval(s, arg->value);
        out->at[i] = arg->value->at;
        ok &= out->v[i].kind != V_ERROR;
    }
    for (uint32_t i = 0; ok && param_at(b->params, i, &name, &n, &optional); i++) {
        if (optional && out->v[i].kind == V_NONE) out->given[i] = false;
        if (out->given[i] || optional) continue;
        show_signature(
            sema_error(s, e->call.callee->at, "arity", "argument '%.*s' of '%s' is missing", (int)n, name, b->name), b);
        return false;
    }
    return ok;
}

static value call_scalar(sema *s, const builtin *b, const ast_expr *e)
{
    sema_scalar op;
    uint32_t arity;
    if (!scalar_by_name(b->name, &op, &arity)) return sema_error_value();
    bool keyword = false;
    vec_foreach (ast_arg, arg, &e->call.args) keyword |= arg->key.name != NULL;
    if (e->call.args.len != arity || keyword) {
        sema_error(s, e->call.callee->at, "arity", "'%s' takes %u argument%s, without names", b->name, arity,
                   arity == 1 ? "" : "s");
        return sema_error_value();
    }
    value v[3];
    span at[3];
    for (uint32_t i = 0; i < arity; i++) {
        v[i] = eval(s, e->call.args.data[i].value);
        at[i] = e->call.args.data[i].value->at;
    }
    return apply_scalar(s, op, v, at, arity, e->call.callee->at, e->at);
}

value call_builtin(sema *s, const builtin *b, const ast_expr *e)
{
    if (b->raw) return b->raw(s, e);
    if (!b->fn) return call_scalar(s, b, e);
    args a = {.b = b};
    return read_args(s, b, e, &a) ? b->fn(s, &a) : sema_error_value();
}

/* ---- checks shared by the functions ---- */

static span callee_at(const args *a)
{
    return a->call->call.callee->at;
}

/* Argument i is not the kind of value that the function takes. */
static diag *wrong_kind(sema *s, const args *a, uint32_t i, const char *needed)
{
    diag *g = sema_error(s, a->at[i], "wrong-type", "%s", needed);
    diag_got(g, "%s", sema_value_text(s, &a->v[i]));
    show_signature(g, a->b);
    return g;
}

/* Argument i as a whole tensor; NULL after reporting. */
static sema_node *need_tensor(sema *s, const args *a, uint32_t i)
{
    if (a->v[i].kind == V_TENSOR) return a->v[i].node;
    wrong_kind(s, a, i, "a tensor is needed here");
    return NULL;
}

static void hint_cast(sema *s, diag *g, span at)
{
    diag_hint(g, "write f32(%s)", sema_hint_text(s, at));
}

static sema_node *need_floats(sema *s, const args *a, uint32_t i)
{
    sema_node *x = need_tensor(s, a, i);
    if (!x || dtype_is_float(x->ty.dt)) return x;
    diag *g = sema_error(s, a->at[i], "wrong-type", "'%s' takes floats", sema_source_text(s, callee_at(a)));
    diag_got(g, "%s", sema_type_text(s, &x->ty));
    hint_cast(s, g, a->at[i]);
    return NULL;
}

static sema_node *need_numbers(sema *s, const args *a, uint32_t i)
{
    sema_node *x = need_tensor(s, a, i);
    if (!x || x->ty.dt != DT_BOOL) return x;
    diag *g = sema_error(s, a->at[i], "wrong-type", "'%s' takes numbers", sema_source_text(s, callee_at(a)));
    diag_got(g, "%s", sema_type_text(s, &x->ty));
    hint_cast(s, g, a->at[i]);
    return NULL;
}

/* Argument i as an axis of t, counted from the end when negative. */
static bool to_axis(sema *s, const value *v, span at, const sema_type *t, uint32_t *axis)
{
    int64_t k;
    if (v->kind != V_INT || !dim_is_const(s->dims, v->size, &k)) {
        diag *g = sema_error(s, at, "wrong-type", "an axis is a compile-time integer");
        diag_got(g, "%s", sema_value_text(s, v));
        return false;
    }
    if (k < 0 ? k >= -(int64_t)t->rank : k < t->rank) {
        *axis = (uint32_t)(k < 0 ? k + t->rank : k);
        return true;
    }
    diag *g = sema_error(s, at, "axis", "there is no axis %lld", (long long)k);
    diag_got(g, "%s", sema_type_text(s, t));
    if (t->rank) diag_note(g, "its axes are 0 .. %d, or -%d .. -1", t->rank - 1, t->rank);
    return false;
}

static bool axis_or(sema *s, const args *a, uint32_t i, int64_t otherwise, const sema_type *t, uint32_t *axis)
{
    value v = a->given[i] ? a->v[i] : (value){.kind = V_INT, .size = dim_const(s->dims, otherwise)};
    return to_axis(s, &v, a->given[i] ? a->at[i] : callee_at(a), t, axis);
}

static bool bool_or(sema *s, const args *a, uint32_t i, bool otherwise, bool *out)
{
    *out = otherwise;
    if (!a->given[i]) return true;
    if (a->v[i].kind == V_BOOL) return *out = a->v[i].flag, true;
    wrong_kind(s, a, i, "true or false is needed here");
    return false;
}

static bool need_number(sema *s, const args *a, uint32_t i, double *out)
{
    int64_t k;
    if (a->v[i].kind == V_FLOAT) return *out = a->v[i].real, true;
    if (a->v[i].kind == V_INT && dim_is_const(s->dims, a->v[i].size, &k)) return *out = (double)k, true;
    wrong_kind(s, a, i, "a compile-time number is needed here");
    return false;
}

/* ---- reductions ---- */

static value reduce(sema *s, args *a, sema_reduce kind, uint32_t axis_arg)
{
    sema_node *x = kind == SEMA_MEAN ? need_floats(s, a, 0) : need_numbers(s, a, 0);
    bool keep;
    if (!x || !bool_or(s, a, axis_arg + 1, true, &keep)) return sema_error_value();
    const value *v = &a->v[axis_arg];
    uint32_t n = v->kind == V_LIST ? v->list.n : 1;
    bool reduced[SEMA_MAX_RANK] = {0};
    for (uint32_t i = 0; i < n; i++) {
        uint32_t axis;
        if (!to_axis(s, v->kind == V_LIST ? &v->list.items[i] : v, a->at[axis_arg], &x->ty, &axis))
            return sema_error_value();
        if (reduced[axis]) {
            sema_error(s, a->at[axis_arg], "axis", "axis %u is named twice", axis);
            return sema_error_value();
        }
        reduced[axis] = true;
    }
    uint8_t axes[SEMA_MAX_RANK];
    uint32_t count = 0;
    dim shape[SEMA_MAX_RANK];
    for (uint32_t i = 0; i < x->ty.rank; i++) {
        shape[i] = reduced[i] ? dim_const(s->dims, 1) : x->ty.shape[i];
        if (reduced[i]) axes[count++] = (uint8_t)i;
    }
    sema_node *r = sn_reduce(s, x, kind, axes, count, a->call->at);
    return sema_tensor_value(keep ? sn_reshape(s, r, x->ty.rank, shape, a->call->at) : r);
}

static value builtin_sum(sema *s, args *a)
{
    return reduce(s, a, SEMA_SUM, 1);
}

static value builtin_mean(sema *s, args *a)
{
    return reduce(s, a, SEMA_MEAN, 1);
}

static value builtin_argmax(sema *s, args *a)
{
    sema_node *x = need_numbers(s, a, 0);
    uint32_t axis, rank = 0;
    bool keep;
    if (!x || !to_axis(s, &a->v[1], a->at[1], &x->ty, &axis) || !bool_or(s, a, 2, true, &keep))
        return sema_error_value();
    dim one = dim_const(s->dims, 1), size = x->ty.shape[axis], dropped[SEMA_MAX_RANK], kept[SEMA_MAX_RANK];
    if (!sema_dim_le(s, one, size)) {
        diag *g = sema_error(s, a->at[0], "out-of-range", "'argmax' over axis %u, which may be empty", axis);
        diag_got(g, "%s", sema_type_text(s, &x->ty));
        if (!dim_is_const(s->dims, size, NULL)) diag_hint(g, "bound it: where %s >= 1", sema_dim_text(s, size));
        return sema_error_value();
    }
    for (uint32_t i = 0; i < x->ty.rank; i++) {
        kept[i] = i == axis ? one : x->ty.shape[i];
        if (i != axis) dropped[rank++] = x->ty.shape[i];
    }
    sema_node *r = sn_new(s, SN_ARGMAX, sema_type_of(DT_I64, rank, dropped), a->call->at, &x, 1);
    r->axis = (int)axis;
    return sema_tensor_value(keep ? sn_reshape(s, r, x->ty.rank, kept, a->call->at) : r);
}

static value builtin_top_k(sema *s, args *a)
{
    sema_node *x = need_numbers(s, a, 0);
    uint32_t axis;
    int64_t count;
    if (!x || !axis_or(s, a, 2, -1, &x->ty, &axis)) return sema_error_value();
    if (a->v[1].kind != V_INT || !dim_is_const(s->dims, a->v[1].size, &count) || count < 1) {
        diag *g = sema_error(s, a->at[1], "wrong-type", "how many 'top_k' gives is a compile-time integer, at least 1");
        diag_got(g, "%s", sema_value_text(s, &a->v[1]));
        return sema_error_value();
    }
    sema_type t = x->ty, ids;
    if (!sema_dim_le(s, a->v[1].size, t.shape[axis])) {
        diag *g = sema_error(s, a->at[1], "out-of-range", "cannot show that axis %u has so many elements", axis);
        diag_expected(g, "%lld <= %s", (long long)count, sema_dim_text(s, t.shape[axis]));
        diag_got(g, "%s", sema_type_text(s, &x->ty));
        return sema_error_value();
    }
    t.shape[axis] = a->v[1].size;
    ids = sema_type_of(DT_I64, t.rank, t.shape);
    sema_node *n = sn_new(s, SN_TOP_K, t, a->call->at, &x, 1);
    n->axis = (int)axis;
    n->count = count;
    value r = {.kind = V_TUPLE, .list = {ARENA_ARRAY(s->a, value, 2), 2}};
    r.list.items[0] = sema_tensor_value(sn_result(s, n, 0, t, a->call->at));
    r.list.items[1] = sema_tensor_value(sn_result(s, n, 1, ids, a->call->at));
    return r;
}

/* max(x, y) is elementwise; max(x, axis = 1) reduces. */
static value extreme(sema *s, args *a, sema_scalar op, sema_reduce kind)
{
    if (a->given[1] == a->given[2]) {
        diag *g = sema_error(s, callee_at(a), "arity", "'%s' takes two operands, or one and an axis",
                             sema_source_text(s, callee_at(a)));
        if (a->given[1]) diag_note(g, "a second operand and an axis are both given");
        return sema_error_value();
    }
    if (a->given[2]) return reduce(s, a, kind, 2);
    if (a->v[0].kind == V_INT && a->v[1].kind == V_INT) {
        dim d = op == SCALAR_MAX ? dim_max(s->dims, a->v[0].size, a->v[1].size)
                                 : dim_min(s->dims, a->v[0].size, a->v[1].size);
        if (d != DIM_BAD) return (value){.kind = V_INT, .size = d};
        sema_error(s, a->call->at, "overflow", "this integer is too large");
        return sema_error_value();
    }
    return apply_scalar(s, op, a->v, a->at, 2, callee_at(a), a->call->at);
}

static value builtin_max(sema *s, args *a)
{
    return extreme(s, a, SCALAR_MAX, SEMA_MAX);
}

static value builtin_min(sema *s, args *a)
{
    return extreme(s, a, SCALAR_MIN, SEMA_MIN);
}

static value builtin_abs(sema *s, args *a)
{
    if (a->v[0].kind == V_INT) {
        dim d = dim_max(s->dims, a->v[0].size, dim_sub(s->dims, dim_const(s->dims, 0), a->v[0].size));
        if (d != DIM_BAD) return (value){.kind = V_INT, .size = d};
        sema_error(s, a->call->at, "overflow", "this integer is too large");
        return sema_error_value();
    }
    return apply_scalar(s, SCALAR_ABS, a->v, a->at, 1, callee_at(a), a->call->at);
}

static value builtin_select(sema *s, args *a)
{
    if (a->v[0].kind == V_BOOL) return a->v[a->v[0].flag ? 1 : 2];
    return apply_scalar(s, SCALAR_SELECT, a->v, a->at, 3, callee_at(a), a->call->at);
}

/* ---- rows ---- */

static value builtin_softmax(sema *s, args *a)
{
    sema_node *x = need_floats(s, a, 0);
    uint32_t axis;
    if (!x || !axis_or(s, a, 1, -1, &x->ty, &axis)) return sema_error_value();
    sema_node *n = sn_new(s, SN_SOFTMAX, x->ty, a->call->at, &x, 1);
    n->axis = (int)axis;
    return sema_tensor_value(n);
}

static value builtin_normalize(sema *s, args *a)
{
    sema_node *x = need_floats(s, a, 0);
    uint32_t axis;
    double eps;
    bool center;
    if (!x || !need_number(s, a, 1, &eps) || !axis_or(s, a, 2, -1, &x->ty, &axis) || !bool_or(s, a, 3, true, &center))
        return sema_error_value();
    if (!(eps >= 0) || !isfinite(eps)) {
        sema_error(s, a->at[1], "out-of-range", "eps must not be negative");
        return sema_error_value();
    }
    sema_node *n = sn_new(s, SN_NORMALIZE, x->ty, a->call->at, &x, 1);
    n->axes.v[n->axes.n++] = (uint8_t)axis;
    n->axes.rms = !center;
    n->axes.eps = eps;
    return sema_tensor_value(n);
}

/* ---- attention ---- */

/* Axis i of argument p must be dim `want`, which argument `from` showed. */
static bool same_dim(sema *s, const args *a, uint32_t p, uint32_t axis, dim want, const char *name, const char *from)
{
    const sema_type *t = &a->v[p].node->ty;
    dim got = t->shape[axis];
    if (sema_dims_fit(s, want, got)) return true;
    diag *g;
    if (sema_dims_differ(s, want, got))
        g = sema_error(s, a->at[p], "dims-not-equal", "dims %s and %s are not equal", sema_dim_text(s, want),
                       sema_dim_text(s, got));
    else
        g = sema_error(s, a->at[p], "dims-not-equal", "cannot show that dims %s and %s are equal",
                       sema_dim_text(s, want), sema_dim_text(s, got));
    diag_expected(g, "axis %u is %s = %s   (from %s)", axis, name, sema_dim_text(s, want), from);
    diag_got(g, "%s", sema_type_text(s, t));
    sema_explain_dims(s, g, want, got, false);
    return false;
}

/* [B, K], [B, 1, 1, K]: the usual masks over keys, as bools of [B, 1, K]; and integers. */
static void hint_mask(sema *s, diag *g, const args *a, const sema_type *m, const dim *want)
{
    const char *text = sema_hint_text(s, a->at[3]);
    dim one = dim_const(s->dims, 1);
    if (m->dt != DT_BOOL) text = arena_printf(s->a, "%s != 0", text);
    bool keys = m->rank == 2 && sema_dims_equal(s, m->shape[0], want[0]) && sema_dims_equal(s, m->shape[1], want[2]);
    bool four = m->rank == 4 && m->shape[1] == one &&
                (m->shape[0] == one || sema_dims_equal(s, m->shape[0], want[0])) &&
                sema_dims_equal(s, m->shape[3], want[2]);
    if (keys) diag_hint(g, "write rearrange(%s, \"b k -> b 1 k\")", text);
    else if (four) diag_hint(g, "write rearrange(%s, \"b 1 s k -> b s k\")", text);
    else if (m->dt != DT_BOOL && dtype_is_float(m->dt))
        diag_hint(g, "the mask says which keys count; numbers that are added to the scores are not taken");
    else if (m->dt != DT_BOOL) diag_hint(g, "write '%s'", text);
}

/* Mask or bias, argument p of 'attend', stretched to `want`; NULL after a message. */
static sema_node *attend_extra(sema *s, const args *a, uint32_t p, const char *what, dtype dt, uint32_t rank,
                               const dim *want)
{
    sema_node *m = need_tensor(s, a, p);
    if (!m) return NULL;
    bool fits = m->ty.dt == dt && m->ty.rank <= rank;
    for (uint32_t i = 0; fits && i < m->ty.rank; i++) {
        dim w = want[rank - m->ty.rank + i], got = m->ty.shape[i];
        fits = sema_dims_fit(s, w, got) || got == dim_const(s->dims, 1);
    }
    if (!fits) {
        diag *g = sema_error(s, a->at[p], "wrong-type", "the %s of 'attend' has the wrong type", what);
        sema_type wanted = sema_type_of(dt, rank, want);
        diag_expected(g, "%s   (axes of size 1 stretch)", sema_type_text(s, &wanted));
        diag_got(g, "%s", sema_type_text(s, &m->ty));
        if (dt == DT_BOOL) hint_mask(s, g, a, &m->ty, want);
        return NULL;
    }
    return sn_stretch(s, m, rank, want, a->at[p]);
}

static value builtin_attend(sema *s, args *a)
{
    sema_node *in[5];
    static const char *const shape_of[] = {"q[B, H, S, D]", "k[B, G, K, D]", "v[B, G, K, E]", "mask[B, S, K]"};
    for (uint32_t i = 0; i < 3; i++) {
        in[i] = need_floats(s, a, i);
        if (!in[i]) return sema_error_value();
        if (in[i]->ty.rank != 4 || in[i]->ty.dt != in[0]->ty.dt) {
            diag *g = sema_error(s, a->at[i], "wrong-type", "'attend' takes q, k and v with four axes and of one type");
            diag_expected(g, "%s", shape_of[i]);
            diag_got(g, "%s", sema_type_text(s, &in[i]->ty));
            return sema_error_value();
        }
    }
    const dim *q = in[0]->ty.shape, *k = in[1]->ty.shape;
    if (!same_dim(s, a, 1, 0, q[0], "B", "q") || !same_dim(s, a, 1, 3, q[3], "D", "q") ||
        !same_dim(s, a, 2, 0, q[0], "B", "q") || !same_dim(s, a, 2, 1, k[1], "G", "k") ||
        !same_dim(s, a, 2, 2, k[2], "K", "k"))
        return sema_error_value();
    int64_t heads, groups;
    if (!dim_is_const(s->dims, q[1], &heads) || !dim_is_const(s->dims, k[1], &groups) || groups < 1 ||
        heads % groups != 0) {
        diag *g = sema_error(s, a->at[1], "requirement", "the heads of q must be a multiple of those of k and v");
        diag_line(g, "q", "%s heads", sema_dim_text(s, q[1]));
        diag_line(g, "k", "%s heads", sema_dim_text(s, k[1]));
        return sema_error_value();
    }
    dim kt[4] = {q[0], k[1], k[2], q[3]}, vt[4] = {q[0], k[1], k[2], in[2]->ty.shape[3]};
    in[1] = sn_stretch(s, in[1], 4, kt, a->at[1]);
    in[2] = sn_stretch(s, in[2], 4, vt, a->at[2]);
    k = in[1]->ty.shape;
    uint32_t n = 3;
    if (a->given[3]) {
        dim want[3] = {q[0], q[2], k[2]};
        in[n] = attend_extra(s, a, 3, "mask", DT_BOOL, 3, want);
        if (!in[n++]) return sema_error_value();
    }
    if (a->given[5]) {
        dim want[4] = {q[0], q[1], q[2], k[2]};
        in[n] = attend_extra(s, a, 5, "bias", in[0]->ty.dt, 4, want);
        if (!in[n++]) return sema_error_value();
    }
    double scale;
    int64_t size;
    if (a->given[4]) {
        if (!need_number(s, a, 4, &scale)) return sema_error_value();
    } else if (dim_is_const(s->dims, q[3], &size) && size > 0) {
        scale = 1.0 / sqrt((double)size);
    } else {
        sema_error(s, a->at[0], "wrong-type", "the head size must be a constant, or 'scale' be given");
        return sema_error_value();
    }
    dim shape[4] = {q[0], q[1], q[2], in[2]->ty.shape[3]};
    sema_node *r = sn_new(s, SN_ATTENTION, sema_type_of(in[0]->ty.dt, 4, shape), a->call->at, in, n);
    r->value = scale;
    return sema_tensor_value(r);
}

/* ---- moving elements ---- */

/* Ids that are positions, [s: S | s], are known when the model is compiled: they are held against the table like an
 * index. */
static bool check_positions(sema *s, const args *a, const sema_node *ids, const sema_type *rows, uint32_t axis)
{
    while (ids->op == SN_RESHAPE || ids->op == SN_BROADCAST || ids->op == SN_CAST) ids = ids->args[0];
    if (ids->op != SN_IOTA) return true;
    dim end = ids->ty.shape[ids->axis], size = rows->shape[axis];
    if (sema_dim_le(s, end, size)) return true;
    int64_t lo, hi;
    diag *g = sema_error(s, a->at[1], "index-range", "cannot show that these positions are inside of axis %u", axis);
    diag_got(g, "0..%s", sema_dim_text(s, end));
    diag_note(g, "axis %u of %s has the indices 0..%s", axis, sema_type_text(s, rows), sema_dim_text(s, size));
    dim_bounds(s->dims, end, &lo, &hi);
    if (!dim_is_const(s->dims, end, NULL))
        diag_note(g, "%lld <= %s <= %lld", (long long)lo, sema_dim_text(s, end), (long long)hi);
    return false;
}

static value builtin_gather(sema *s, args *a)
{
    sema_node *in[2] = {need_tensor(s, a, 0), NULL};
    if (!in[0]) return sema_error_value();
    in[1] = need_tensor(s, a, 1);
    uint32_t axis;
    if (!in[1] || !axis_or(s, a, 2, 0, &in[0]->ty, &axis)) return sema_error_value();
    dtype dt = in[1]->ty.dt;
    if (dt != DT_I32 && dt != DT_I64) {
        diag *g = sema_error(s, a->at[1], "wrong-type", "ids must be i32 or i64");
        diag_got(g, "%s", sema_type_text(s, &in[1]->ty));
        return sema_error_value();
    }
    const sema_type *t = &in[0]->ty, *ids = &in[1]->ty;
    if (!check_positions(s, a, in[1], t, axis)) return sema_error_value();
    if (t->rank - 1u + ids->rank > SEMA_MAX_RANK) {
        sema_error(s, a->call->at, "rank", "a tensor has at most %d axes", SEMA_MAX_RANK);
        return sema_error_value();
    }
    dim shape[2 * SEMA_MAX_RANK];
    uint32_t rank = 0;
    for (uint32_t i = 0; i < axis; i++) shape[rank++] = t->shape[i];
    for (uint32_t i = 0; i < ids->rank; i++) shape[rank++] = ids->shape[i];
    for (uint32_t i = axis + 1; i < t->rank; i++) shape[rank++] = t->shape[i];
    sema_node *r = sn_new(s, SN_GATHER, sema_type_of(t->dt, rank, shape), a->call->at, in, 2);
    r->axis = (int)axis;
    return sema_tensor_value(r);
}

static bool need_list(sema *s, const args *a, uint32_t i)
{
    if (a->v[i].kind == V_LIST && a->v[i].list.n) return true;
    wrong_kind(s, a, i, "a list is needed here: [a, b]");
    return false;
}

/* Sizes beside `axis` differ only where one of them is 1. */
static bool only_ones_differ(sema *s, const sema_type *t, const sema_type *u, uint32_t axis)
{
    dim one = dim_const(s->dims, 1);
    bool all = t->dt == u->dt && t->rank == u->rank;
    for (uint32_t k = 0; all && k < t->rank; k++)
        all = k == axis || t->shape[k] == one || u->shape[k] == one || sema_dims_fit(s, t->shape[k], u->shape[k]);
    return all;
}

static value builtin_concat(sema *s, args *a)
{
    if (!need_list(s, a, 0)) return sema_error_value();
    const value *list = &a->v[0];
    sema_node **parts = ARENA_ARRAY(s->a, sema_node *, list->list.n);
    for (uint32_t i = 0; i < list->list.n; i++) {
        if (list->list.items[i].kind != V_TENSOR) {
            diag *g = sema_error(s, a->at[0], "wrong-type", "'concat' takes a list of tensors");
            diag_got(g, "%s", sema_value_text(s, &list->list.items[i]));
            return sema_error_value();
        }
        parts[i] = list->list.items[i].node;
    }
    uint32_t axis;
    sema_type t = parts[0]->ty;
    if (!axis_or(s, a, 1, 0, &t, &axis)) return sema_error_value();
    for (uint32_t i = 1; i < list->list.n; i++) {
        const sema_type *u = &parts[i]->ty;
        bool fits = u->dt == t.dt && u->rank == t.rank;
        for (uint32_t k = 0; fits && k < t.rank; k++) fits = k == axis || sema_dims_fit(s, t.shape[k], u->shape[k]);
        if (!fits) {
            diag *g = sema_error(s, a->at[0], "wrong-type", "the parts differ in more than axis %u", axis);
            diag_line(g, "first", "%s", sema_type_text(s, &t));
            diag_line(g, arena_printf(s->a, "part %u", i + 1), "%s", sema_type_text(s, u));
            if (only_ones_differ(s, &t, u, axis))
                diag_hint(g,
                          "an axis of size 1 does not stretch here; this repeats one: [b: B, i: 1, d: D | x[0, i, d]]");
            return sema_error_value();
        }
        t.shape[axis] = dim_add(s->dims, t.shape[axis], u->shape[axis]);
        if (t.shape[axis] == DIM_BAD) {
            sema_error(s, a->call->at, "overflow", "the size of axis %u is too large", axis);
            return sema_error_value();
        }
    }
    for (uint32_t i = 1; i < list->list.n; i++) { /* sizes equal by a required fact become one expression */
        dim want[SEMA_MAX_RANK];
        memcpy(want, t.shape, sizeof want);
        want[axis] = parts[i]->ty.shape[axis];
        parts[i] = sn_stretch(s, parts[i], t.rank, want, a->at[0]);
    }
    if (list->list.n == 1) return sema_tensor_value(parts[0]);
    sema_node *r = sn_new(s, SN_CONCAT, t, a->call->at, parts, list->list.n);
    r->axis = (int)axis;
    return sema_tensor_value(r);
}

static value builtin_split(sema *s, args *a)
{
    sema_node *x = need_tensor(s, a, 0);
    uint32_t axis;
    if (!x || !need_list(s, a, 1) || !axis_or(s, a, 2, -1, &x->ty, &axis)) return sema_error_value();
    uint32_t n = a->v[1].list.n;
    dim total = dim_const(s->dims, 0);
    for (uint32_t i = 0; i < n; i++) {
        const value *v = &a->v[1].list.items[i];
        if (v->kind == V_INT && sema_dim_le(s, dim_const(s->dims, 0), v->size)) {
            total = dim_add(s->dims, total, v->size);
            continue;
        }
        diag *g = sema_error(s, a->at[1], "wrong-type", "the sizes of a split are integers that are not negative");
        diag_got(g, "%s", sema_value_text(s, v));
        return sema_error_value();
    }
    if (total != x->ty.shape[axis]) {
        diag *g = sema_error(s, a->at[1], "wrong-type", "the sizes do not add up to axis %u", axis);
        diag_expected(g, "%s", sema_dim_text(s, x->ty.shape[axis]));
        diag_got(g, "%s", sema_dim_text(s, total));
        return sema_error_value();
    }
    value r = {.kind = V_TUPLE, .list = {ARENA_ARRAY(s->a, value, n), n}};
    dim start[SEMA_MAX_RANK], size[SEMA_MAX_RANK];
    int64_t step[SEMA_MAX_RANK];
    for (uint32_t k = 0; k < x->ty.rank; k++) {
        start[k] = dim_const(s->dims, 0);
        size[k] = x->ty.shape[k];
        step[k] = 1;
    }
    for (uint32_t i = 0; i < n; i++) {
        size[axis] = a->v[1].list.items[i].size;
        r.list.items[i] = sema_tensor_value(sn_slice(s, x, start, step, size, a->call->at));
        start[axis] = dim_add(s->dims, start[axis], size[axis]);
    }
    return r;
}

/* ---- making tensors ---- */

static value filled(sema *s, args *a, uint32_t dtype_arg, const value *with, span with_at)
{
    if (!need_list(s, a, 0)) return sema_error_value();
    dim shape[SEMA_MAX_RANK];
    uint32_t rank = a->v[0].list.n;
    if (rank > SEMA_MAX_RANK) {
        sema_error(s, a->at[0], "rank", "a tensor has at most %d axes", SEMA_MAX_RANK);
        return sema_error_value();
    }
    for (uint32_t i = 0; i < rank; i++) {
        const value *v = &a->v[0].list.items[i];
        if (v->kind != V_INT || !sema_dim_le(s, dim_const(s->dims, 0), v->size)) {
            diag *g = sema_error(s, a->at[0], "wrong-type", "a shape is a list of integers that are not negative");
            diag_got(g, "%s", sema_value_text(s, v));
            return sema_error_value();
        }
        shape[i] = v->size;
    }
    dtype dt = DT_F32;
    if (a->given[dtype_arg]) {
        if (a->v[dtype_arg].kind != V_DTYPE) {
            wrong_kind(s, a, dtype_arg, "a dtype is needed here, such as f32");
            return sema_error_value();
        }
        dt = a->v[dtype_arg].dt;
    }
    value x = sema_cast_value(s, *with, dt, with_at);
    if (x.kind == V_TENSOR && x.node->ty.rank == 0)
        return sema_tensor_value(sn_stretch(s, x.node, rank, shape, a->call->at));
    if (x.kind != V_ERROR) {
        diag *g = sema_error(s, with_at, "wrong-type", "one number is needed here");
        diag_got(g, "%s", sema_value_text(s, &x));
    }
    return sema_error_value();
}

static value builtin_zeros(sema *s, args *a)
{
    bool to_bool = a->given[1] && a->v[1].kind == V_DTYPE && a->v[1].dt == DT_BOOL;
    value zero = to_bool ? (value){.kind = V_BOOL} : (value){.kind = V_INT, .size = dim_const(s->dims, 0)};
    return filled(s, a, 1, &zero, a->call->at);
}

static value builtin_full(sema *s, args *a)
{
    return filled(s, a, 2, &a->v[1], a->at[1]);
}

/* ---- dims ---- */

static value rounded_division(sema *s, args *a, dim (*divide)(dim_ctx *, dim, dim))
{
    for (uint32_t i = 0; i < 2; i++) {
        if (a->v[i].kind == V_INT) continue;
        diag *g = sema_error(s, a->at[i], "wrong-type", "an integer is needed here");
        diag_got(g, "%s", sema_value_text(s, &a->v[i]));
        return sema_error_value();
    }
    int64_t lo, hi;
    dim_bounds(s->dims, a->v[1].size, &lo, &hi);
    if (lo <= 0 && hi >= 0) {
        sema_error(s, a->at[1], "division-by-zero", "%s may be zero", sema_dim_text(s, a->v[1].size));
        return sema_error_value();
    }
    dim d = divide(s->dims, a->v[0].size, a->v[1].size);
    if (d != DIM_BAD) return (value){.kind = V_INT, .size = d};
    sema_error(s, a->call->at, "overflow", "this integer is too large");
    return sema_error_value();
}

static value builtin_floordiv(sema *s, args *a)
{
    return rounded_division(s, a, dim_floordiv);
}

static value builtin_ceildiv(sema *s, args *a)
{
    return rounded_division(s, a, dim_ceildiv);
}
