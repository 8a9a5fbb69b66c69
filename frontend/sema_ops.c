/* Elementwise operations: on compile-time numbers, on tensors, and between the two.
 *
 * Numbers have no dtype of their own: they take the dtype of the tensor they meet, if they fit it. Shapes are aligned
 * at their last axes; an axis of size 1 stretches. Everything else is a mistake: there are no implicit casts. */
#include "frontend/sema_internal.h"
#include "ir/scalar_eval.h"

typedef enum { S_SAME, S_FLOAT, S_INT, S_BOOL, S_SELECT } operand_class;
typedef enum { R_SAME, R_BOOL } result_class;
typedef struct {
    const char *name;
    uint32_t arity;
    operand_class operands;
    result_class result;
    double (*fold)(double a, double b, double c);
} scalar_row;

#define X sc_not_defined(a)
#define SCALAR(name, NAME, arity, operands, result, f, i, math) \
    static double fold_##name(double a, double b, double c)     \
    {                                                           \
        (void)a, (void)b, (void)c;                              \
        return (double)(f);                                     \
    }
#include "ir/scalar.def"
#undef SCALAR
#undef X

static const scalar_row rows[SCALAR_COUNT] = {
#define SCALAR(name, NAME, arity, operands, result, f, i, math) {#name, arity, operands, result, fold_##name},
#include "ir/scalar.def"
#undef SCALAR
};

bool scalar_by_name(const char *name, sema_scalar *op, uint32_t *arity)
{
    for (uint32_t i = 0; i < SCALAR_COUNT; i++) {
        if (strcmp(rows[i].name, name) != 0) continue;
        *op = (sema_scalar)i;
        *arity = rows[i].arity;
        return true;
    }
    return false;
}

static sema_scalar scalar_of(ast_op op)
{
    static const sema_scalar of[] = {
        [AST_OR] = SCALAR_OR,   [AST_AND] = SCALAR_AND, [AST_EQ] = SCALAR_EQ,   [AST_NE] = SCALAR_NE,
        [AST_LT] = SCALAR_LT,   [AST_LE] = SCALAR_LE,   [AST_GT] = SCALAR_GT,   [AST_GE] = SCALAR_GE,
        [AST_ADD] = SCALAR_ADD, [AST_SUB] = SCALAR_SUB, [AST_MUL] = SCALAR_MUL, [AST_DIV] = SCALAR_DIV,
        [AST_MOD] = SCALAR_MOD, [AST_NOT] = SCALAR_NOT, [AST_NEG] = SCALAR_NEG,
    };
    return of[op];
}

/* How an operation is called in messages: "'+'", "'erf'". */
static const char *op_title(sema_scalar op)
{
    static const char *const infix[SCALAR_COUNT] = {
        [SCALAR_OR] = "or", [SCALAR_AND] = "and", [SCALAR_EQ] = "==", [SCALAR_NE] = "!=",   [SCALAR_LT] = "<",
        [SCALAR_LE] = "<=", [SCALAR_GT] = ">",    [SCALAR_GE] = ">=", [SCALAR_ADD] = "+",   [SCALAR_SUB] = "-",
        [SCALAR_MUL] = "*", [SCALAR_DIV] = "/",   [SCALAR_MOD] = "%", [SCALAR_NOT] = "not", [SCALAR_NEG] = "-",
    };
    return infix[op] ? infix[op] : rows[op].name;
}

/* ---- shapes ---- */

/* Where the axes of the smaller operand stand among those of the larger one, from the last: a mask [B, S] meets [B, S,
 * D] as [B, S, 1]. False when some have no place. */
static bool hint_axes(sema *s, diag *g, const sema_type *a, const sema_type *b, span a_at, span b_at)
{
    const sema_type *small = a->rank < b->rank ? a : b, *large = small == a ? b : a;
    const char *text = sema_hint_text(s, small == a ? a_at : b_at), *const *names = axis_names(s, large);
    bool stands[SEMA_MAX_RANK] = {0};
    uint32_t k = small->rank;
    for (uint32_t i = large->rank; i-- > 0 && k > 0;)
        if (small->shape[k - 1] == large->shape[i]) stands[i] = true, k--;
    if (k > 0 || small->rank == large->rank || small->rank == 0) return false;
    strbuf left = strbuf_new(s->a), right = strbuf_new(s->a);
    for (uint32_t i = 0; i < large->rank; i++) {
        strbuf_addf(&right, "%s%s", i ? " " : "", stands[i] ? names[i] : "1");
        if (stands[i]) strbuf_addf(&left, "%s%s", left.len ? " " : "", names[i]);
    }
    diag_note(g, "shapes are aligned at their last axes");
    diag_hint(g, "write rearrange(%s, \"%s -> %s\")", text, left.s, right.s);
    return true;
}

bool sema_join_shapes(sema *s, const sema_type *a, const sema_type *b, span a_at, span b_at, span op_at, sema_type *out)
{
    uint32_t rank = a->rank > b->rank ? a->rank : b->rank;
    dim one = dim_const(s->dims, 1);
    out->dt = a->dt;
    out->rank = (uint8_t)rank;
    for (uint32_t i = 0; i < rank; i++) {
        dim x = i + a->rank < rank ? one : a->shape[i + a->rank - rank];
        dim y = i + b->rank < rank ? one : b->shape[i + b->rank - rank];
        if (sema_dims_equal_plain(s, x, y) || y == one) {
            out->shape[i] = x == DIM_BAD ? y : x;
        } else if (x == one) {
            out->shape[i] = y;
        } else if (sema_dims_equal(s, x, y) && dim_le(s->dims, x, y)) {
            out->shape[i] = x;
        } else if (sema_dims_equal(s, x, y) && dim_le(s->dims, y, x)) {
            out->shape[i] = y;
        } else {
            diag *g;
            if (sema_dims_differ(s, x, y))
                g = sema_error(s, op_at, "dims-not-equal", "dims %s and %s are not equal", sema_dim_text(s, x),
                               sema_dim_text(s, y));
            else
                g = sema_error(s, op_at, "dims-not-equal", "cannot show that dims %s and %s are equal",
                               sema_dim_text(s, x), sema_dim_text(s, y));
            diag_underline(g, a_at);
            diag_underline(g, b_at);
            diag_line(g, "left", "%s", sema_type_text(s, a));
            diag_line(g, "right", "%s", sema_type_text(s, b));
            if (!hint_axes(s, g, a, b, a_at, b_at)) sema_explain_dims(s, g, x, y, true);
            return false;
        }
    }
    return true;
}

/* ---- operands ---- */

static bool is_number(const value *v)
{
    return v->kind == V_INT || v->kind == V_FLOAT;
}

static bool is_array(const value *v)
{
    return v->kind == V_TENSOR || v->kind == V_CELL;
}

static bool fits_integer(dtype dt, int64_t lo, int64_t hi)
{
    uint32_t bits = dtype_bits(dt);
    if (dtype_class_of(dt) == DTC_UINT) return lo >= 0 && (bits >= 63 || hi >> bits == 0);
    if (dtype_class_of(dt) != DTC_INT) return false;
    return bits == 64 || (lo >= -(INT64_C(1) << (bits - 1)) && hi < INT64_C(1) << (bits - 1));
}

/* A compile-time number as a tensor element of dtype dt; NULL after reporting when it does not fit. */
static sema_node *number_node(sema *s, const value *v, dtype dt, span at)
{
    sema_type scalar = sema_type_of(dt, 0, NULL);
    bool is_float = dtype_is_float(dt);
    if (v->kind == V_BOOL && dt == DT_BOOL) return sn_const(s, scalar, 0, v->flag, at);
    if (v->kind == V_FLOAT && is_float) {
        if (isfinite(v->real) && !isfinite(dtype_round(dt, v->real))) {
            sema_error(s, at, "does-not-fit", "this number is too large for %s", dtype_name(dt));
            return NULL;
        }
        return sn_const(s, scalar, v->real, 0, at);
    }
    int64_t lo, hi, k;
    if (v->kind == V_INT && dt != DT_BOOL) {
        dim_bounds(s->dims, v->size, &lo, &hi);
        bool constant = dim_is_const(s->dims, v->size, &k);
        if (is_float) {
            if (!constant) return sn_cast(s, sn_dim(s, DT_I64, v->size, at), dt, at);
            if (dtype_round(dt, (double)k) == (double)k && (int64_t)(double)k == k)
                return sn_const(s, scalar, (double)k, 0, at);
            sema_error(s, at, "does-not-fit", "%lld is not exact in %s", (long long)k, dtype_name(dt));
            return NULL;
        }
        if (!fits_integer(dt, lo, hi)) {
            diag *g =
                sema_error(s, at, "does-not-fit", "%s does not fit %s", sema_dim_text(s, v->size), dtype_name(dt));
            if (!constant) diag_note(g, "%lld <= %s <= %lld", (long long)lo, sema_dim_text(s, v->size), (long long)hi);
            return NULL;
        }
        return constant ? sn_const(s, scalar, 0, k, at) : sn_dim(s, dt, v->size, at);
    }
    diag *g =
        sema_error(s, at, "wrong-type", "%s cannot stand where %s is wanted", sema_value_text(s, v), dtype_name(dt));
    if (v->kind == V_FLOAT && !is_float) diag_hint(g, "cast the tensor: f32(...)");
    return NULL;
}

/* A comparison of dims, as a bool element. */
static sema_node *cond_node(sema *s, const value *v, span at)
{
    sema_node *pair[2] = {sn_dim(s, DT_I64, v->cond.left, at), sn_dim(s, DT_I64, v->cond.right, at)};
    return sn_scalar(s, scalar_of(v->cond.op), pair, 2, DT_BOOL, at);
}

/* Operand v as a node of dtype dt (tensors have it already). */
static sema_node *operand_node(sema *s, const value *v, dtype dt, span at)
{
    switch (v->kind) {
    case V_TENSOR:
        if (s->frame->builder && v->node->ty.rank) {
            diag *g = sema_error(s, at, "unindexed", "inside a set-builder a tensor must be indexed");
            diag_got(g, "%s", sema_value_text(s, v));
            return NULL;
        }
        return v->node;
    case V_CELL: return v->node;
    case V_INDEX: return index_cell(s, v->index, dt, at);
    case V_COND: return cond_node(s, v, at);
    default: return number_node(s, v, dt, at);
    }
}

/* The dtype that the operands have in common. `first` .. n are the data operands. */
static bool common_dtype(sema *s, sema_scalar op, const value *args, const span *at, uint32_t first, uint32_t n,
                         span op_at, dtype *dt)
{
    int32_t found = -1;
    for (uint32_t i = first; i < n; i++) {
        if (!is_array(&args[i])) continue;
        if (found < 0) {
            found = (int32_t)i;
            *dt = args[i].node->ty.dt;
        } else if (args[i].node->ty.dt != *dt) {
            diag *g = sema_error(s, op_at, "dtype-mismatch", "the operands of '%s' have different types", op_title(op));
            diag_underline(g, at[found]);
            diag_underline(g, at[i]);
            diag_line(g, n - first == 2 ? "left" : "first", "%s", sema_value_text(s, &args[found]));
            diag_line(g, n - first == 2 ? "right" : "second", "%s", sema_value_text(s, &args[i]));
            if (dtype_is_float(*dt) || dtype_class_of(args[i].node->ty.dt) == DTC_BOOL ||
                !dtype_is_float(args[i].node->ty.dt))
                diag_hint(g, "cast one side: %s(...)", dtype_name(*dt));
            else diag_hint(g, "cast one side: %s(...)", dtype_name(args[i].node->ty.dt));
            return false;
        }
    }
    if (found >= 0) return true;

    bool any_index = false, any_bool = false, any_float = false;
    for (uint32_t i = first; i < n; i++) {
        any_index |= args[i].kind == V_INDEX;
        any_bool |= args[i].kind == V_BOOL || args[i].kind == V_COND;
        any_float |= args[i].kind == V_FLOAT;
    }
    *dt = any_bool ? DT_BOOL : any_float ? DT_F32 : DT_I64;
    if (any_index && rows[op].result == R_BOOL && !any_bool) {
        /* Nobody sees the width of a comparison's operands: take the narrow one where all values fit. */
        *dt = DT_I32;
        for (uint32_t i = first; i < n; i++) {
            int64_t lo = 0, hi = 0;
            if (args[i].kind == V_INDEX && index_dtype(s, args[i].index) != DT_I32) *dt = DT_I64;
            if (args[i].kind == V_INT) dim_bounds(s->dims, args[i].size, &lo, &hi);
            if (!fits_integer(DT_I32, lo, hi)) *dt = DT_I64;
        }
    }
    return true;
}

static bool check_class(sema *s, sema_scalar op, dtype dt, const value *first, span op_at)
{
    operand_class want = rows[op].operands;
    const char *wanted = NULL, *hint = NULL;
    dtype_class got = dtype_class_of(dt);
    switch (want) {
    case S_FLOAT:
        if (got != DTC_FLOAT) wanted = "floats", hint = "cast it: f32(...)";
        break;
    case S_INT:
        if (got != DTC_INT && got != DTC_UINT) wanted = "integers";
        break;
    case S_BOOL:
        if (got != DTC_BOOL) wanted = "bools", hint = "compare first, for example with '!= 0'";
        break;
    case S_SAME:
        if (got == DTC_BOOL && op != SCALAR_EQ && op != SCALAR_NE) wanted = "numbers", hint = "cast the bool: f32(...)";
        break;
    case S_SELECT: break;
    }
    if (!wanted) return true;
    diag *g = sema_error(s, op_at, "wrong-type", "'%s' takes %s", op_title(op), wanted);
    diag_got(g, "%s", sema_value_text(s, first));
    if (hint) diag_hint(g, "%s", hint);
    return false;
}

static bool is_operand(const value *v)
{
    return is_number(v) || is_array(v) || v->kind == V_BOOL || v->kind == V_COND || v->kind == V_INDEX;
}

value apply_scalar(sema *s, sema_scalar op, value *args, const span *at, uint32_t n, span op_at, span whole)
{
    uint32_t first = rows[op].operands == S_SELECT;
    bool any_cell = false, all_numbers = true;
    for (uint32_t i = 0; i < n; i++) {
        if (args[i].kind == V_ERROR) return sema_error_value();
        if (!is_operand(&args[i])) {
            diag *g = sema_error(s, at[i], "wrong-type", "'%s' takes tensors and numbers", op_title(op));
            diag_got(g, "%s", sema_value_text(s, &args[i]));
            return sema_error_value();
        }
        any_cell |= args[i].kind == V_CELL || args[i].kind == V_INDEX;
        all_numbers &= is_number(&args[i]) && (args[i].kind == V_FLOAT || dim_is_const(s->dims, args[i].size, NULL));
    }
    if (all_numbers) {
        double v[3] = {0};
        for (uint32_t i = 0; i < n; i++) {
            int64_t k = 0;
            if (args[i].kind == V_INT) dim_is_const(s->dims, args[i].size, &k);
            v[i] = args[i].kind == V_INT ? (double)k : args[i].real;
        }
        double r = rows[op].fold(v[0], v[1], v[2]);
        if (rows[op].result == R_BOOL) return (value){.kind = V_BOOL, .flag = r != 0};
        if (r == r && rows[op].operands != S_INT) return (value){.kind = V_FLOAT, .real = r};
        sema_error(s, whole, "out-of-range", "'%s' of these numbers is not a number", op_title(op));
        return sema_error_value();
    }

    for (uint32_t i = 0; i < n && rows[op].operands == S_BOOL; i++) {
        if (!is_array(&args[i]) || args[i].node->ty.dt == DT_BOOL) continue;
        check_class(s, op, args[i].node->ty.dt, &args[i], op_at);
        return sema_error_value();
    }
    dtype dt;
    if (!common_dtype(s, op, args, at, first, n, op_at, &dt)) return sema_error_value();
    uint32_t shown = first;
    while (shown + 1 < n && !is_array(&args[shown])) shown++;
    if (!check_class(s, op, dt, &args[shown], op_at)) return sema_error_value();
    if (first && is_array(&args[0]) && args[0].node->ty.dt != DT_BOOL) {
        diag *g = sema_error(s, at[0], "wrong-type", "'select' chooses by bools");
        diag_got(g, "%s", sema_value_text(s, &args[0]));
        diag_hint(g, "write '%s != 0'", sema_hint_text(s, at[0]));
        return sema_error_value();
    }

    sema_node *x[3];
    for (uint32_t i = 0; i < n; i++) {
        x[i] = operand_node(s, &args[i], i < first ? DT_BOOL : dt, at[i]);
        if (!x[i]) return sema_error_value();
    }
    sema_type shape = x[0]->ty;
    span so_far = at[0];
    for (uint32_t i = 1; i < n; i++) {
        sema_type joined;
        if (!sema_join_shapes(s, &shape, &x[i]->ty, so_far, at[i], op_at, &joined)) return sema_error_value();
        shape = joined;
        so_far = span_join(so_far, at[i]);
    }
    for (uint32_t i = 0; i < n; i++) x[i] = sn_stretch(s, x[i], shape.rank, shape.shape, at[i]);
    value r = sema_tensor_value(sn_scalar(s, op, x, n, rows[op].result == R_BOOL ? DT_BOOL : dt, whole));
    if (any_cell) r.kind = V_CELL;
    return r;
}

value sema_cast_value(sema *s, value v, dtype to, span at)
{
    switch (v.kind) {
    case V_ERROR: return v;
    case V_TENSOR:
    case V_CELL: {
        sema_node *x = operand_node(s, &v, to, at);
        if (!x) return sema_error_value();
        v.node = sn_cast(s, x, to, at);
        return v;
    }
    case V_INDEX: {
        sema_node *x = index_cell(s, v.index, index_dtype(s, v.index), at);
        return (value){.kind = V_CELL, .node = sn_cast(s, x, to, at)};
    }
    case V_COND: return sema_tensor_value(sn_cast(s, cond_node(s, &v, at), to, at));
    case V_BOOL:
    case V_INT:
    case V_FLOAT: {
        sema_node *x;
        int64_t k;
        if (v.kind == V_BOOL && to != DT_BOOL) x = sn_const(s, sema_type_of(to, 0, NULL), v.flag, v.flag, at);
        else if (v.kind == V_INT && dtype_is_float(to) && dim_is_const(s->dims, v.size, &k))
            x = sn_const(s, sema_type_of(to, 0, NULL), (double)k, 0, at); /* a written cast may round */
        else x = number_node(s, &v, to, at);
        return x ? sema_tensor_value(x) : sema_error_value();
    }
    default: break;
    }
    diag *g = sema_error(s, at, "wrong-type", "only tensors and numbers can be cast");
    diag_got(g, "%s", sema_value_text(s, &v));
    return sema_error_value();
}

/* ---- compile-time arithmetic ---- */

static value int_value(dim d)
{
    return (value){.kind = V_INT, .size = d};
}

static value overflow(sema *s, const ast_expr *e)
{
    sema_error(s, e->at, "overflow", "this integer is too large");
    return sema_error_value();
}

static value int_divide(sema *s, const ast_expr *e, dim a, dim b)
{
    int64_t lo, hi;
    dim_bounds(s->dims, b, &lo, &hi);
    if (lo <= 0 && hi >= 0) {
        diag *g = sema_error(s, e->op.op_at, "division-by-zero",
                             lo == 0 && hi == 0 ? "division by zero" : "%s may be zero", sema_dim_text(s, b));
        if (lo != hi) diag_note(g, "%lld <= %s <= %lld", (long long)lo, sema_dim_text(s, b), (long long)hi);
        return sema_error_value();
    }
    if (e->op.op == AST_MOD) return int_value(dim_mod(s->dims, a, b));
    dim q = dim_floordiv(s->dims, a, b);
    if (q == DIM_BAD) return overflow(s, e);
    if (dim_mul(s->dims, q, b) == a) return int_value(q);
    diag *g;
    if (sema_dims_differ(s, dim_mod(s->dims, a, b), dim_const(s->dims, 0)))
        g = sema_error(s, e->op.op_at, "inexact-division", "%s is not divisible by %s", sema_dim_text(s, a),
                       sema_dim_text(s, b));
    else
        g = sema_error(s, e->op.op_at, "inexact-division", "cannot show that %s is divisible by %s",
                       sema_dim_text(s, a), sema_dim_text(s, b));
    diag_underline(g, e->op.left->at);
    diag_underline(g, e->op.right->at);
    diag_hint(g, "write floordiv(a, b) or ceildiv(a, b) to round");
    return sema_error_value();
}

static bool is_comparison(ast_op op)
{
    return op >= AST_EQ && op <= AST_GE;
}

static value int_binary(sema *s, const ast_expr *e, dim a, dim b)
{
    ast_op op = e->op.op;
    if (is_comparison(op)) return sema_compare_dims(s, op, a, b);
    value r;
    switch (op) {
    case AST_ADD: r = int_value(dim_add(s->dims, a, b)); break;
    case AST_SUB: r = int_value(dim_sub(s->dims, a, b)); break;
    case AST_MUL: r = int_value(dim_mul(s->dims, a, b)); break;
    case AST_DIV:
    case AST_MOD: r = int_divide(s, e, a, b); break;
    default: {
        diag *g = sema_error(s, e->op.op_at, "wrong-type", "'%s' takes bools", ast_op_text(op));
        diag_underline(g, e->op.left->at);
        diag_underline(g, e->op.right->at);
        return sema_error_value();
    }
    }
    return r.kind == V_INT && r.size == DIM_BAD ? overflow(s, e) : r;
}

/* and, or of compile-time conditions. */
static value bool_binary(sema *s, const ast_expr *e, value x, value y)
{
    if (x.kind == V_COND) { /* the known one first */
        value t = x;
        x = y;
        y = t;
    }
    bool is_and = e->op.op == AST_AND;
    if (x.kind == V_BOOL) return x.flag == is_and ? y : x;
    diag *g = sema_error(s, e->op.op_at, "run-time-condition", "conditions on run-time dims cannot be combined here");
    if (is_and) diag_hint(g, "list them: a, b");
    return sema_error_value();
}

static value mismatch(sema *s, const ast_expr *e, const value *x, const value *y)
{
    diag *g = sema_error(s, e->op.op_at, "wrong-type", "'%s' cannot combine these", ast_op_text(e->op.op));
    diag_underline(g, e->op.left->at);
    diag_underline(g, e->op.right->at);
    diag_line(g, "left", "%s", sema_value_text(s, x));
    diag_line(g, "right", "%s", sema_value_text(s, y));
    return sema_error_value();
}

static bool is_truth(const value *v)
{
    return v->kind == V_BOOL || v->kind == V_COND;
}

value apply_binary(sema *s, const ast_expr *e, value x, value y)
{
    if (x.kind == V_ERROR || y.kind == V_ERROR) return sema_error_value();
    ast_op op = e->op.op;
    if ((x.kind == V_NONE || y.kind == V_NONE) && (op == AST_EQ || op == AST_NE))
        return (value){.kind = V_BOOL, .flag = (x.kind == y.kind) == (op == AST_EQ)};
    if (x.kind == V_INT && y.kind == V_INT) return int_binary(s, e, x.size, y.size);
    if ((x.kind == V_INDEX || x.kind == V_INT) && (y.kind == V_INDEX || y.kind == V_INT) &&
        (op == AST_ADD || op == AST_SUB || op == AST_MUL))
        return index_arith(s, e, x, y);
    if (is_truth(&x) && is_truth(&y) && (op == AST_AND || op == AST_OR) &&
        (!s->frame->builder || x.kind == V_BOOL || y.kind == V_BOOL))
        return bool_binary(s, e, x, y);
    if (x.kind == V_STRING && y.kind == V_STRING && (op == AST_EQ || op == AST_NE))
        return (value){.kind = V_BOOL, .flag = (x.string.text == y.string.text) == (op == AST_EQ)};
    if (x.kind == V_DTYPE && y.kind == V_DTYPE && (op == AST_EQ || op == AST_NE))
        return (value){.kind = V_BOOL, .flag = (x.dt == y.dt) == (op == AST_EQ)};
    if (x.kind == V_BOOL && y.kind == V_BOOL && (op == AST_EQ || op == AST_NE))
        return (value){.kind = V_BOOL, .flag = (x.flag == y.flag) == (op == AST_EQ)};
    if (is_number(&x) && is_number(&y) && (op == AST_AND || op == AST_OR)) return mismatch(s, e, &x, &y);
    if (is_number(&x) && is_number(&y) &&
        ((x.kind == V_INT && !dim_is_const(s->dims, x.size, NULL)) ||
         (y.kind == V_INT && !dim_is_const(s->dims, y.size, NULL)))) {
        value r = mismatch(s, e, &x, &y);
        diag_hint(s->open, "a run-time dim becomes a number of the run with f32(...)");
        return r;
    }
    if (!is_operand(&x) || !is_operand(&y)) return mismatch(s, e, &x, &y);
    bool truths = is_truth(&x) && is_truth(&y);
    if (truths && !s->frame->builder) return mismatch(s, e, &x, &y);
    if (is_truth(&x) != is_truth(&y) && !is_array(&x) && !is_array(&y) && x.kind != V_INDEX && y.kind != V_INDEX)
        return mismatch(s, e, &x, &y);
    value args[2] = {x, y};
    span at[2] = {e->op.left->at, e->op.right->at};
    return apply_scalar(s, scalar_of(op), args, at, 2, e->op.op_at, e->at);
}

value apply_unary(sema *s, const ast_expr *e, value x)
{
    if (x.kind == V_ERROR) return x;
    if (e->op.op == AST_NOT) {
        if (x.kind == V_BOOL) return (value){.kind = V_BOOL, .flag = !x.flag};
        if (x.kind == V_COND) {
            static const ast_op negated[] = {[AST_EQ] = AST_NE, [AST_NE] = AST_EQ, [AST_LT] = AST_GE,
                                             [AST_LE] = AST_GT, [AST_GT] = AST_LE, [AST_GE] = AST_LT};
            x.cond.op = negated[x.cond.op];
            return x;
        }
        if (is_number(&x)) {
            diag *g = sema_error(s, e->op.op_at, "wrong-type", "'not' takes bools");
            diag_got(g, "%s", sema_value_text(s, &x));
            return sema_error_value();
        }
    } else {
        dim zero = dim_const(s->dims, 0);
        if (x.kind == V_INT) {
            dim d = dim_sub(s->dims, zero, x.size);
            return d == DIM_BAD ? overflow(s, e) : int_value(d);
        }
        if (x.kind == V_FLOAT) return (value){.kind = V_FLOAT, .real = -x.real};
        if (x.kind == V_INDEX) return index_arith(s, e, int_value(zero), x);
    }
    span at = e->op.right->at;
    return apply_scalar(s, scalar_of(e->op.op), &x, &at, 1, e->op.op_at, e->at);
}
