/* Dims of one run: symbols get their values from the arguments' shapes and from the settings; bounds, requirements and
 * every axis are checked before anything is computed. */
#include <assert.h>

#include "ir/interp_internal.h"

#define NO_PLACE ((span){0, 0})

typedef struct {
    const function *f;
    const dim_ctx *dims;
    tensor *const *args;
    arena *a;
    diags *d;
    int64_t *values;
    uint32_t n;
    bool *known, *needed;
    struct {
        uint32_t arg, axis;
    } *shown; /* where a symbol stands alone in an argument; arg UINT32_MAX: nowhere */
} binding;

const char *interp_type_text(arena *a, dtype dt, uint32_t rank, const int64_t *shape)
{
    strbuf s = strbuf_new(a);
    strbuf_adds(&s, dtype_name(dt));
    for (uint32_t i = 0; i < rank; i++) strbuf_addf(&s, "%s%lld", i ? ", " : "[", (long long)shape[i]);
    if (rank) strbuf_addc(&s, ']');
    return s.s;
}

static const char *dim_text(const binding *b, dim d)
{
    strbuf s = strbuf_new(b->a);
    dim_print(b->dims, d, &s);
    return s.s;
}

static const char *type_text(const binding *b, const type *t)
{
    strbuf s = strbuf_new(b->a);
    type_print(b->f->m, t, &s);
    return s.s;
}

static const char *arg_type_text(const binding *b, uint32_t i)
{
    return interp_type_text(b->a, b->args[i]->dt, b->args[i]->rank, b->args[i]->shape);
}

/* "axis 1 of argument 'ids'", or "the settings" for a symbol that no argument shows. */
static const char *origin(const binding *b, uint32_t symbol)
{
    if (b->shown[symbol].arg == UINT32_MAX) return "the settings";
    return arena_printf(b->a, "axis %u of argument '%s'", b->shown[symbol].axis,
                        b->f->args.data[b->shown[symbol].arg].name);
}

static bool check_ranks(const binding *b)
{
    bool ok = true;
    for (uint32_t i = 0; i < b->f->args.len; i++) {
        const type *t = &b->f->args.data[i].v->ty;
        if (b->args[i]->dt == t->dt && b->args[i]->rank == t->rank) continue;
        diag *g = diag_error(b->d, NO_PLACE, "argument '%s' has the wrong type", b->f->args.data[i].name);
        diag_expected(g, "%s", type_text(b, t));
        diag_got(g, "%s", arg_type_text(b, i));
        ok = false;
    }
    return ok;
}

static void bind_shown(binding *b)
{
    for (uint32_t i = 0; i < b->f->args.len; i++) {
        const type *t = &b->f->args.data[i].v->ty;
        for (uint32_t k = 0; k < t->rank; k++) {
            int32_t s = dim_is_symbol(b->dims, t->shape[k]);
            if (s < 0 || b->known[s]) continue;
            b->values[s] = b->args[i]->shape[k];
            b->known[s] = true;
            b->shown[s].arg = i;
            b->shown[s].axis = k;
        }
    }
}

static bool bind_settings(binding *b, const int64_t *settings)
{
    bool ok = true;
    for (uint32_t s = 0; s < b->n; s++) {
        if (b->known[s] || !b->needed[s]) continue;
        if (settings) {
            b->values[s] = settings[s];
            b->known[s] = true;
        } else {
            diag_error(b->d, NO_PLACE, "dim '%s' has no value: no argument shows it and no settings were given",
                       dim_symbol_at(b->dims, s)->name);
            ok = false;
        }
    }
    return ok;
}

static bool check_bounds(const binding *b)
{
    bool ok = true;
    for (uint32_t s = 0; s < b->n; s++) {
        if (!b->known[s]) continue;
        const dim_symbol *y = dim_symbol_at(b->dims, s);
        int64_t v = b->values[s];
        bool within = v >= y->min && v <= y->max;
        if (within && (y->multiple <= 1 || v % y->multiple == 0)) continue;
        diag *g = diag_error(b->d, NO_PLACE, "dim '%s' is out of bounds, from %s", y->name, origin(b, s));
        if (!within) diag_expected(g, "%lld <= %s <= %lld", (long long)y->min, y->name, (long long)y->max);
        else diag_expected(g, "a multiple of %lld", (long long)y->multiple);
        diag_got(g, "%s = %lld", y->name, (long long)v);
        ok = false;
    }
    return ok;
}

static bool check_shapes(const binding *b)
{
    bool ok = true;
    for (uint32_t i = 0; i < b->f->args.len; i++) {
        const type *t = &b->f->args.data[i].v->ty;
        int64_t want[MAX_RANK];
        uint32_t wrong = t->rank;
        for (uint32_t k = 0; k < t->rank; k++) {
            if (!dim_eval(b->dims, t->shape[k], b->values, &want[k])) {
                diag_error(b->d, NO_PLACE, "argument '%s': the size of axis %u, %s, overflows or divides by zero",
                           b->f->args.data[i].name, k, dim_text(b, t->shape[k]));
                return false;
            }
            if (want[k] != b->args[i]->shape[k] && wrong == t->rank) wrong = k;
        }
        if (wrong == t->rank) continue;
        diag *g = diag_error(b->d, NO_PLACE, "argument '%s' has the wrong shape", b->f->args.data[i].name);
        diag_expected(g, "%s", interp_type_text(b->a, t->dt, t->rank, want));
        diag_got(g, "%s", arg_type_text(b, i));
        for (uint32_t s = 0; s < b->n; s++)
            if (dim_uses(b->dims, t->shape[wrong], s))
                diag_note(g, "axis %u is %s, with %s = %lld from %s", wrong, dim_text(b, t->shape[wrong]),
                          dim_symbol_at(b->dims, s)->name, (long long)b->values[s], origin(b, s));
        ok = false;
    }
    return ok;
}

static bool check_requirements(const binding *b)
{
    static const char *const relations[] = {[CHECK_EQ] = "==", [CHECK_LE] = "<=", [CHECK_MULTIPLE] = "a multiple of"};
    bool ok = true;
    vec_foreach (const dim_check, c, &b->f->checks) {
        int64_t lhs = 0, rhs = 0;
        bool computed = dim_eval(b->dims, c->lhs, b->values, &lhs) && dim_eval(b->dims, c->rhs, b->values, &rhs);
        bool holds = false;
        switch (c->op) {
        case CHECK_EQ: holds = lhs == rhs; break;
        case CHECK_LE: holds = lhs <= rhs; break;
        case CHECK_MULTIPLE: holds = rhs != 0 && lhs % rhs == 0; break;
        }
        if (computed && holds) continue;
        diag *g = diag_error(b->d, c->at, "the sizes of the arguments break a requirement");
        diag_expected(g, "%s %s %s", dim_text(b, c->lhs), relations[c->op], dim_text(b, c->rhs));
        if (computed) diag_got(g, "%lld and %lld", (long long)lhs, (long long)rhs);
        else diag_got(g, "a value that overflows or divides by zero");
        ok = false;
    }
    return ok;
}

static binding binding_new(const function *f, tensor *const *args, arena *a, diags *d, int64_t *values)
{
    uint32_t n = dim_symbol_count(f->m->dims);
    binding b = {.f = f, .dims = f->m->dims, .args = args, .a = a, .d = d, .values = values, .n = n};
    b.known = ARENA_ARRAY(a, bool, n);
    b.needed = ARENA_ARRAY(a, bool, n);
    b.shown = arena_array(a, n, sizeof *b.shown, _Alignof(uint32_t));
    for (uint32_t s = 0; s < n; s++) b.shown[s].arg = UINT32_MAX;
    function_symbols(f, b.needed);
    return b;
}

bool interp_dims(const function *f, tensor *const *args, const int64_t *settings, arena *a, diags *d, int64_t *values)
{
    binding b = binding_new(f, args, a, d, values);
    if (!check_ranks(&b)) return false;
    bind_shown(&b);
    return bind_settings(&b, settings) && check_bounds(&b) && check_shapes(&b) && check_requirements(&b);
}

bool interp_settings(const function *f, const int64_t *settings, arena *a, diags *d, int64_t *values)
{
    binding b = binding_new(f, NULL, a, d, values);
    return bind_settings(&b, settings) && check_bounds(&b) && check_requirements(&b);
}
