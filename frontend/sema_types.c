/* Types and dims: evaluating them, comparing them, and saying why they do not fit. */
#include "frontend/aliases.h"
#include "frontend/sema_internal.h"

sema_type sema_type_of(dtype dt, uint32_t rank, const dim *shape)
{
    sema_type t = {.dt = dt, .rank = (uint8_t)rank};
    if (rank) memcpy(t.shape, shape, rank * sizeof *shape);
    return t;
}

/* ---- text ---- */

void sema_type_print(const dim_ctx *c, const sema_type *t, strbuf *out)
{
    strbuf_adds(out, dtype_name(t->dt));
    if (!t->rank) return;
    strbuf_addc(out, '[');
    for (uint32_t i = 0; i < t->rank; i++) {
        if (i) strbuf_adds(out, ", ");
        if (t->shape[i] == DIM_BAD) strbuf_addc(out, '?');
        else dim_print(c, t->shape[i], out);
    }
    strbuf_addc(out, ']');
}

const char *sema_type_text(sema *s, const sema_type *t)
{
    strbuf b = strbuf_new(s->a);
    sema_type_print(s->dims, t, &b);
    return b.s;
}

const char *const *axis_names(sema *s, const sema_type *t)
{
    const char **names = ARENA_ARRAY(s->a, const char *, SEMA_MAX_RANK);
    static const char *const fallback[SEMA_MAX_RANK] = {"a", "c", "e", "f", "g", "i", "j", "k"};
    for (uint32_t i = 0; i < t->rank; i++) {
        int32_t symbol = t->shape[i] == DIM_BAD ? -1 : dim_is_symbol(s->dims, t->shape[i]);
        names[i] = fallback[i];
        if (symbol < 0) {
            if (i + 1 == t->rank) names[i] = "d";
            continue;
        }
        char *low = arena_printf(s->a, "%s", dim_symbol_at(s->dims, (uint32_t)symbol)->name);
        for (char *p = low; *p; p++)
            if (*p >= 'A' && *p <= 'Z') *p = (char)(*p + 32);
        names[i] = low;
    }
    for (uint32_t i = 0, next = 0; i < t->rank; i++) /* no name twice */
        for (uint32_t k = 0; k < t->rank; k++)
            if (k != i && strcmp(names[k], names[i]) == 0) names[i] = fallback[next++ % SEMA_MAX_RANK], k = UINT32_MAX;
    return names;
}

const char *sema_dim_text(sema *s, dim d)
{
    if (d == DIM_BAD) return "?";
    strbuf b = strbuf_new(s->a);
    dim_print(s->dims, d, &b);
    return b.s;
}

const char *sema_value_text(sema *s, const value *v)
{
    switch (v->kind) {
    case V_ERROR: return "?";
    case V_TENSOR: return sema_type_text(s, &v->node->ty);
    case V_CELL: return arena_printf(s->a, "%s element of a set-builder", dtype_name(v->node->ty.dt));
    case V_INDEX: return "an index of a set-builder";
    case V_INT:
        if (dim_is_const(s->dims, v->size, NULL))
            return arena_printf(s->a, "the integer %s", sema_dim_text(s, v->size));
        return arena_printf(s->a, "the dim %s", sema_dim_text(s, v->size));
    case V_FLOAT: {
        strbuf b = strbuf_new(s->a);
        strbuf_adds(&b, "the number ");
        strbuf_add_double(&b, v->real);
        return b.s;
    }
    case V_BOOL: return v->flag ? "true" : "false";
    case V_NONE: return "none";
    case V_STRING: return arena_printf(s->a, "the string \"%s\"", v->string.text);
    case V_DTYPE: return arena_printf(s->a, "the type %s", dtype_name(v->dt));
    case V_COND:
        return arena_printf(s->a, "%s %s %s, known only at run time", sema_dim_text(s, v->cond.left),
                            ast_op_text(v->cond.op), sema_dim_text(s, v->cond.right));
    case V_LIST: return arena_printf(s->a, "a list of %u", v->list.n);
    case V_TUPLE: return arena_printf(s->a, "%u results", v->list.n);
    case V_BLOCK: return arena_printf(s->a, "the block '%s'", v->block->decl->name.name);
    case V_BUILTIN: return "a built-in function";
    case V_MODULE: return "an imported file";
    }
    return "?";
}

/* Source text on one line: types as the user wrote them. */
const char *sema_source_text(sema *s, span at)
{
    const source_file *f = source_of(s->o->sources, at.begin);
    if (!f) return "";
    strbuf b = strbuf_new(s->a);
    bool blank = false;
    for (uint32_t i = at.begin - f->base; i < at.end - f->base && b.len < 200; i++) {
        char c = f->text[i];
        bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
        if (!space && blank && b.len) strbuf_addc(&b, ' ');
        if (!space) strbuf_addc(&b, c);
        blank = space;
    }
    return b.s;
}

/* Spans leave out parentheses around the whole, so that what is left need not be an expression. */
const char *sema_hint_text(sema *s, span at)
{
    enum { LONGEST = 60 };
    const char *text = sema_source_text(s, at);
    int depth = 0, least = 0;
    for (const char *p = text; *p; p++) {
        depth += *p == '(' || *p == '[';
        depth -= *p == ')' || *p == ']';
        if (depth < least) least = depth;
    }
    return strlen(text) > LONGEST || depth || least ? "..." : text;
}

/* ---- dtypes ---- */

bool sema_dtype_in_language(dtype t)
{
    return dtype_class_of(t) != DTC_FLOAT || dtype_bits(t) >= 16;
}

bool sema_dtype_by_name(const char *name, dtype *out)
{
    return dtype_parse(name, strlen(name), out) && sema_dtype_in_language(*out);
}

bool is_compile_time_type(const ast_type *t)
{
    static const char *const names[] = {"int", "float", "bool", "string", "dtype", "dim"};
    if (t->shaped) return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(t->name.name, names[i]) == 0) return true;
    return false;
}

static bool eval_dtype(sema *s, const ast_type *t, dtype *out)
{
    const char *name = t->name.name;
    binding *b = sema_lookup_binding(s, name);
    if (b) {
        value v = binding_value(s, b);
        if (v.kind == V_DTYPE) return *out = v.dt, true;
    }
    if (sema_dtype_by_name(name, out)) return true;
    dtype stored;
    if (b && b->v.kind == V_ERROR) {
        s->failed = true;
    } else if (is_compile_time_type(t)) {
        diag *g = sema_error(s, t->at, "wrong-type", "'%s' is a compile-time type: it has no place here", name);
        const char *meant = alias_hint(ALIAS_TYPE, name);
        if (meant) diag_hint(g, "%s", meant);
    } else if (dtype_parse(name, strlen(name), &stored)) {
        sema_error(s, t->name.at, "wrong-type", "'%s' is a storage format: nothing is computed in it", name);
    } else {
        sema_unknown_type(s, t);
    }
    return false;
}

void sema_unknown_type(sema *s, const ast_type *t)
{
    const char *name = t->name.name;
    diag *g = sema_error(s, t->name.at, "unknown-name", "unknown type '%s'", name);
    static const char *const candidates[] = {"bool", "i8",  "u8",   "i16", "u16", "i32", "u32",   "i64",
                                             "u64",  "f16", "bf16", "f32", "f64", "int", "float", "dim"};
    const char *near = suggest(name, candidates, sizeof candidates / sizeof *candidates);
    const char *meant = alias_hint(ALIAS_TYPE, name);
    if (meant) diag_hint(g, "%s", meant);
    else if (near) hint_near(g, near);
    else if (name[0] >= 'A' && name[0] <= 'Z') diag_note(g, "a dtype variable is found from an argument's type");
}

/* ---- dims ---- */

bool sema_eval_dim(sema *s, const ast_expr *e, dim *out)
{
    value v = eval(s, e);
    if (v.kind == V_INT) return *out = v.size, v.size != DIM_BAD;
    if (v.kind != V_ERROR) {
        diag *g = sema_error(s, e->at, "wrong-type", "a dim must be an integer");
        diag_got(g, "%s", sema_value_text(s, &v));
    }
    return false;
}

bool sema_eval_type(sema *s, const ast_type *t, sema_type *out)
{
    *out = (sema_type){0};
    bool ok = eval_dtype(s, t, &out->dt);
    uint32_t rank = 0;
    vec_foreach (ast_dim, d, &t->dims) {
        dim found[SEMA_MAX_RANK];
        uint32_t n = 1;
        if (!d->size) {
            binding *pack = sema_lookup_binding(s, intern_z(s->names, "..."));
            if (!pack || pack->v.kind != V_LIST) {
                if (!pack)
                    sema_error(s, d->at, "unfindable-dim", "'...' stands for no axes here: no argument has them");
                return false;
            }
            n = pack->v.list.n;
            for (uint32_t i = 0; i < n; i++) found[i] = pack->v.list.items[i].size;
        } else {
            if (!sema_eval_dim(s, d->size, &found[0])) {
                ok = false;
                found[0] = DIM_BAD;
            } else {
                int64_t lo, hi;
                dim_bounds(s->dims, found[0], &lo, &hi);
                if (hi < 0) {
                    sema_error(s, d->at, "negative-dim", "this dim is negative: %s", sema_dim_text(s, found[0]));
                    ok = false;
                }
            }
        }
        if (rank + n > SEMA_MAX_RANK) {
            sema_error(s, t->at, "rank", "a tensor has at most %d axes", SEMA_MAX_RANK);
            return false;
        }
        memcpy(out->shape + rank, found, n * sizeof *found);
        rank += n;
    }
    out->rank = (uint8_t)rank;
    return ok;
}

bool sema_dims_equal_plain(sema *s, dim a, dim b)
{
    (void)s;
    return a == b || a == DIM_BAD || b == DIM_BAD;
}

/* d with what has been required of dims put in: "P == 0" makes S + P into S. */
static dim with_facts(sema *s, dim d)
{
    uint32_t n = dim_symbol_count(s->dims);
    dim *with = ARENA_ARRAY(s->a, dim, n);
    vec_foreach (sema_fact, f, &s->facts) {
        for (int side = 0; side < 2; side++) {
            int32_t i = dim_is_symbol(s->dims, side ? f->right : f->left);
            dim other = side ? f->left : f->right;
            if (i < 0 || dim_uses(s->dims, other, (uint32_t)i)) continue;
            with[i] = other;
            d = dim_subst(s->dims, d, with, n);
            with[i] = DIM_BAD;
            break;
        }
    }
    return d;
}

bool sema_dims_equal(sema *s, dim a, dim b)
{
    if (sema_dims_equal_plain(s, a, b)) return true;
    return s->facts.len && with_facts(s, a) == with_facts(s, b);
}

bool sema_dims_fit(sema *s, dim want, dim got)
{
    return sema_dims_equal_plain(s, want, got) || (sema_dims_equal(s, want, got) && dim_le(s->dims, want, got));
}

bool sema_dims_differ(sema *s, dim a, dim b)
{
    if (sema_dims_equal_plain(s, a, b)) return false;
    dim d = dim_sub(s->dims, a, b);
    if (d == DIM_BAD) return false;
    int64_t lo, hi;
    dim_bounds(s->dims, d, &lo, &hi);
    return lo > 0 || hi < 0;
}

/* d with symbol i replaced. */
static dim put(sema *s, dim d, uint32_t symbol, dim replacement)
{
    uint32_t n = dim_symbol_count(s->dims);
    dim *with = ARENA_ARRAY(s->a, dim, n);
    with[symbol] = replacement;
    return dim_subst(s->dims, d, with, n);
}

/* 0 <= d for every step of the n outermost scans. A d that is linear in a scan's index is least at its first or its
 * last step. */
static bool not_negative(sema *s, dim d, uint32_t n)
{
    dim zero = dim_const(s->dims, 0), one = dim_const(s->dims, 1);
    if (n == 0 || d == DIM_BAD) return dim_le(s->dims, zero, d);
    const scan_index *x = &s->scan_indices.data[n - 1];
    if (!dim_uses(s->dims, d, x->symbol)) return not_negative(s, d, n - 1);
    dim index = dim_find(s->dims, dim_symbol_at(s->dims, x->symbol)->name), first = put(s, d, x->symbol, zero);
    dim slope = dim_sub(s->dims, put(s, d, x->symbol, one), first);
    if (dim_add(s->dims, first, dim_mul(s->dims, slope, index)) != d) return dim_le(s->dims, zero, d);
    dim last = put(s, d, x->symbol, dim_sub(s->dims, x->extent, one));
    return not_negative(s, first, n - 1) && not_negative(s, last, n - 1);
}

bool sema_dim_le(sema *s, dim a, dim b)
{
    if (dim_le(s->dims, a, b)) return true;
    dim d = dim_sub(s->dims, b, a);
    if (not_negative(s, d, s->scan_indices.len)) return true;
    /* b - a is at least right - left, which is not negative. What was required last is tried first; a program of
     * thousands of requirements must not take their square. */
    enum { TRIED = 64 };
    for (uint32_t i = s->orders.len, tried = 0; i-- > 0 && tried < TRIED; tried++) {
        const sema_fact *f = &s->orders.data[i];
        if (not_negative(s, dim_sub(s->dims, d, dim_sub(s->dims, f->right, f->left)), s->scan_indices.len)) return true;
    }
    return false;
}

/* The only symbol in d when d == coef * symbol + constant with that symbol alone; else -1. */
static int32_t linear_in_one(sema *s, dim d, int64_t *coef, int64_t *constant)
{
    uint32_t n = dim_symbol_count(s->dims);
    int32_t only = -1;
    for (uint32_t i = 0; i < n; i++) {
        if (!dim_uses(s->dims, d, i)) continue;
        if (only >= 0) return -1;
        only = (int32_t)i;
    }
    if (only < 0) return -1;
    int64_t *at = ARENA_ARRAY(s->a, int64_t, n);
    int64_t v1;
    at[only] = 0;
    if (!dim_eval(s->dims, d, at, constant)) return -1;
    at[only] = 1;
    if (!dim_eval(s->dims, d, at, &v1) || __builtin_sub_overflow(v1, *constant, coef) || *coef == 0) return -1;
    const dim_symbol *sym = dim_symbol_at(s->dims, (uint32_t)only);
    dim line = dim_add(s->dims, dim_mul(s->dims, dim_const(s->dims, *coef), dim_find(s->dims, sym->name)),
                       dim_const(s->dims, *constant));
    return line == d ? only : -1;
}

void sema_explain_dims(sema *s, diag *g, dim left, dim right, bool sides)
{
    dim d = dim_sub(s->dims, right, left);
    if (d == DIM_BAD || (dim_is_const(s->dims, left, NULL) && dim_is_const(s->dims, right, NULL))) return;
    int64_t k, coef;
    if (dim_is_const(s->dims, d, &k)) {
        diag_note(g, "they always differ, by %lld", (long long)(k < 0 ? -k : k));
        return;
    }
    int32_t i = linear_in_one(s, d, &coef, &k);
    if (i >= 0) {
        const dim_symbol *sym = dim_symbol_at(s->dims, (uint32_t)i);
        if (k % coef != 0 || -k / coef < sym->min || -k / coef > sym->max) {
            diag_note(g, "never equal: %lld <= %s <= %lld", (long long)sym->min, sym->name, (long long)sym->max);
            return;
        }
        diag_note(g, "equal only if %s == %lld; %lld <= %s <= %lld", sym->name, (long long)(-k / coef),
                  (long long)sym->min, sym->name, (long long)sym->max);
        int64_t lo, hi;
        dim_bounds(s->dims, d, &lo, &hi);
        /* A size that is written as a number is rarely meant to bind a dim. */
        bool number = dim_is_const(s->dims, left, NULL) || dim_is_const(s->dims, right, NULL);
        const char *larger = lo >= 0 ? "right" : hi <= 0 ? "left" : NULL;
        if (sides && larger && !number)
            diag_hint(g, "slice the %s side, or add 'require %s == %lld'", larger, sym->name, (long long)(-k / coef));
        else if (!number) diag_hint(g, "add 'require %s == %lld'", sym->name, (long long)(-k / coef));
        return;
    }
    diag_note(g, "equal only if %s == %s", sema_dim_text(s, left), sema_dim_text(s, right));
}

value sema_compare_dims(sema *s, ast_op op, dim a, dim b)
{
    dim one = dim_const(s->dims, 1);
    int known = -1;
    switch (op) {
    case AST_EQ:
    case AST_NE:
        known = sema_dims_equal(s, a, b) ? 1 : sema_dims_differ(s, a, b) ? 0 : -1;
        if (op == AST_NE && known >= 0) known = !known;
        break;
    case AST_LT: known = sema_dim_le(s, dim_add(s->dims, a, one), b) ? 1 : sema_dim_le(s, b, a) ? 0 : -1; break;
    case AST_LE: known = sema_dim_le(s, a, b) ? 1 : sema_dim_le(s, dim_add(s->dims, b, one), a) ? 0 : -1; break;
    case AST_GT:
    case AST_GE: {
        value v = sema_compare_dims(s, op == AST_GT ? AST_LT : AST_LE, b, a);
        if (v.kind == V_BOOL) return v;
        break; /* told as it was written */
    }
    default: assert(!"a comparison");
    }
    if (known >= 0) return (value){.kind = V_BOOL, .flag = known};
    return (value){.kind = V_COND, .cond = {op, a, b}};
}
