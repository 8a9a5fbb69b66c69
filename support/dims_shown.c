/* What a polynomial is shown as, and its evaluation, substitution and translation, which all go by that form. */
#include "support/dims_impl.h"

#include <assert.h>

static bool fits(wide v)
{
    return v >= INT64_MIN && v <= INT64_MAX;
}

static int64_t symbol_multiple(const dim_ctx *c, const atom *x)
{
    return c->symbols.data[x->symbol]->facts.multiple;
}

uint32_t term_factors(const dim_ctx *c, term t, term_factor *f, int64_t *coef)
{
    uint32_t n = 0;
    const monomial *m = &c->monos.data[t.mono];
    *coef = t.coef;
    for (uint32_t i = 0; i < m->n; i++) {
        const atom *x = &c->atoms.data[m->f[i].atom];
        for (uint32_t power = m->f[i].power; power--; n++) {
            f[n] = (term_factor){false, m->f[i].atom};
            if (x->kind != ATOM_SYMBOL || *coef % symbol_multiple(c, x)) continue;
            f[n] = (term_factor){true, x->symbol};
            *coef /= symbol_multiple(c, x);
        }
    }
    return n;
}

static int64_t coefficient(const polynomial *p, uint32_t mono)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (p->t[i].mono == mono) return p->t[i].coef;
    return 0;
}

/* The coefficient of mono in j * a for a mod, in j * (a + b) for a max. */
static wide covered_coefficient(const dim_ctx *c, const shorthand *s, uint32_t mono)
{
    wide sum = coefficient(poly_of(c, s->x->args[0]), mono);
    if (s->x->kind == ATOM_MIN) sum += coefficient(poly_of(c, s->x->args[1]), mono);
    return sum * s->j;
}

bool shorthand_covers(const dim_ctx *c, const shorthand *s, const term *t)
{
    if (!s->at || t == s->at) return false;
    return !t->mono || covered_coefficient(c, s, t->mono);
}

/* Whether all terms that s stands for are in p; completes s. */
static bool complete(const dim_ctx *c, const polynomial *p, shorthand *s)
{
    for (uint32_t i = 0; i < (s->x->kind == ATOM_MIN ? 2 : 1); i++) {
        const polynomial *a = poly_of(c, s->x->args[i]);
        for (uint32_t t = 0; t < a->n; t++)
            if (a->t[t].mono && coefficient(p, a->t[t].mono) != covered_coefficient(c, s, a->t[t].mono)) return false;
    }
    wide left = coefficient(p, 0) - covered_coefficient(c, s, 0);
    s->constant_left = (int64_t)left;
    /* With a constant over, 32 * ceildiv(S, 32) - S would be 31 - mod(S + 31, 32). */
    return fits(left) && (!left || s->x->kind == ATOM_MIN);
}

shorthand find_shorthand(const dim_ctx *c, const polynomial *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const monomial *m = &c->monos.data[p->t[i].mono];
        int64_t k = 1;
        if (m->degree != 1 || p->t[i].coef == INT64_MIN) continue;
        shorthand s = {.at = &p->t[i], .x = &c->atoms.data[m->f[0].atom]};
        if (s.x->n != 2 || (s.x->kind != ATOM_MIN && s.x->kind != ATOM_FLOORDIV)) continue;
        if (s.x->kind == ATOM_FLOORDIV && !dim_is_const(c, s.x->args[1], &k)) continue;
        s.j = -(p->t[i].coef / k);
        if (p->t[i].coef % k == 0 && complete(c, p, &s)) return s;
    }
    return (shorthand){0};
}

static bool poly_eval(const dim_ctx *c, dim d, const int64_t *values, int64_t *out);

static bool atom_eval(const dim_ctx *c, uint32_t id, const int64_t *values, int64_t *out)
{
    const atom *x = &c->atoms.data[id];
    if (x->kind == ATOM_SYMBOL) {
        *out = (int64_t)wide_floordiv(values[x->symbol], c->symbols.data[x->symbol]->facts.multiple);
        return true;
    }
    int64_t left, right;
    if (!poly_eval(c, x->args[0], values, &left)) return false;
    for (uint32_t i = 1; i < x->n; i++) {
        if (!poly_eval(c, x->args[i], values, &right)) return false;
        if (x->kind == ATOM_MIN) left = right < left ? right : left;
        else if (!right) return false;
        else {
            wide q = wide_floordiv(left, right);
            wide result = x->kind == ATOM_FLOORDIV ? q : (wide)left - q * right;
            if (!fits(result)) return false;
            left = (int64_t)result;
        }
    }
    *out = left;
    return true;
}

static bool poly_eval(const dim_ctx *c, dim d, const int64_t *values, int64_t *out)
{
    const polynomial *p = poly_of(c, d);
    wide sum = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        term_factor f[MAX_DEGREE];
        int64_t coef;
        uint32_t n = term_factors(c, p->t[i], f, &coef);
        wide product = coef;
        for (uint32_t j = 0; j < n; j++) {
            int64_t v;
            if (f[j].is_symbol) v = values[f[j].id];
            else if (!atom_eval(c, f[j].id, values, &v)) return false;
            if (__builtin_mul_overflow(product, (wide)v, &product)) return false;
        }
        if (__builtin_add_overflow(sum, product, &sum)) return false;
    }
    *out = (int64_t)sum;
    return fits(sum);
}

bool dim_eval(const dim_ctx *c, dim d, const int64_t *values, int64_t *out)
{
    return d != DIM_BAD && poly_eval(c, d, values, out);
}

static dim atom_subst(dim_ctx *c, uint32_t id, const dim *with, uint32_t n)
{
    const atom x = c->atoms.data[id];
    if (x.kind == ATOM_SYMBOL) {
        if (x.symbol >= n || with[x.symbol] == DIM_BAD) return dim_of_atom(c, id);
        return dim_floordiv(c, with[x.symbol], dim_const(c, c->symbols.data[x.symbol]->facts.multiple));
    }
    dim left = dim_subst(c, x.args[0], with, n);
    for (uint32_t i = 1; i < x.n; i++) {
        dim right = dim_subst(c, x.args[i], with, n);
        switch (x.kind) {
        case ATOM_FLOORDIV: left = dim_floordiv(c, left, right); break;
        case ATOM_MOD: left = dim_mod(c, left, right); break;
        default: left = dim_min(c, left, right); break;
        }
    }
    return left;
}

dim dim_subst(dim_ctx *c, dim d, const dim *with, uint32_t n)
{
    if (d == DIM_BAD) return DIM_BAD;
    const polynomial p = *poly_of(c, d);
    work *sum = work_get(c);
    for (uint32_t i = 0; i < p.n; i++) {
        term_factor f[MAX_DEGREE];
        int64_t coef;
        uint32_t factors = term_factors(c, p.t[i], f, &coef);
        work *product = work_get(c);
        work_add(c, product, 0, coef);
        for (uint32_t j = 0; j < factors; j++) {
            dim by;
            if (!f[j].is_symbol) by = atom_subst(c, f[j].id, with, n);
            else if (f[j].id < n && with[f[j].id] != DIM_BAD) by = with[f[j].id];
            else by = c->symbols.data[f[j].id]->d;
            work_multiply(c, product, by);
        }
        work_add_work(c, sum, product, 1);
        work_put(c, product);
    }
    return work_finish(c, sum);
}

bool dim_uses(const dim_ctx *c, dim d, uint32_t symbol)
{
    if (d == DIM_BAD) return false;
    const polynomial *p = poly_of(c, d);
    for (uint32_t i = 0; i < p->n; i++) {
        const monomial *m = &c->monos.data[p->t[i].mono];
        for (uint32_t j = 0; j < m->n; j++) {
            const atom *x = &c->atoms.data[m->f[j].atom];
            if (x->kind == ATOM_SYMBOL && x->symbol == symbol) return true;
            for (uint32_t k = 0; k < x->n; k++)
                if (dim_uses(c, x->args[k], symbol)) return true;
        }
    }
    return false;
}

static uint64_t atom_fold(const dim_ctx *c, const atom *x, dim_op op, dim_fold_fn *fn, void *arg)
{
    uint64_t left = dim_fold(c, x->args[0], fn, arg);
    for (uint32_t i = 1; i < x->n; i++) left = fn(arg, op, 0, left, dim_fold(c, x->args[i], fn, arg));
    return left;
}

static uint64_t factor_fold(const dim_ctx *c, term_factor f, dim_fold_fn *fn, void *arg)
{
    static const dim_op op_of[] = {[ATOM_FLOORDIV] = DIM_OP_FLOORDIV, [ATOM_MOD] = DIM_OP_MOD, [ATOM_MIN] = DIM_OP_MIN};
    if (f.is_symbol) return fn(arg, DIM_OP_SYM, f.id, 0, 0);
    const atom *x = &c->atoms.data[f.id];
    if (x->kind != ATOM_SYMBOL) return atom_fold(c, x, op_of[x->kind], fn, arg);
    uint64_t symbol = fn(arg, DIM_OP_SYM, x->symbol, 0, 0);
    return fn(arg, DIM_OP_FLOORDIV, 0, symbol, fn(arg, DIM_OP_CONST, symbol_multiple(c, x), 0, 0));
}

static uint64_t scaled_fold(uint64_t value, int64_t by, dim_fold_fn *fn, void *arg)
{
    return by == 1 ? value : fn(arg, DIM_OP_MUL, 0, value, fn(arg, DIM_OP_CONST, by, 0, 0));
}

static uint64_t term_fold(const dim_ctx *c, term t, dim_fold_fn *fn, void *arg)
{
    term_factor f[MAX_DEGREE];
    int64_t coef;
    uint32_t n = term_factors(c, t, f, &coef);
    if (!n) return fn(arg, DIM_OP_CONST, coef, 0, 0);
    uint64_t product = factor_fold(c, f[0], fn, arg);
    for (uint32_t j = 1; j < n; j++) product = fn(arg, DIM_OP_MUL, 0, product, factor_fold(c, f[j], fn, arg));
    return scaled_fold(product, coef, fn, arg);
}

uint64_t dim_fold(const dim_ctx *c, dim d, dim_fold_fn *fn, void *arg)
{
    assert(d != DIM_BAD);
    const polynomial *p = poly_of(c, d);
    shorthand s = find_shorthand(c, p);
    uint64_t sum = 0;
    bool first = true;
    for (uint32_t i = 0; i < p->n; i++) {
        uint64_t part;
        if (shorthand_covers(c, &s, &p->t[i])) continue;
        if (&p->t[i] == s.at)
            part =
                scaled_fold(atom_fold(c, s.x, s.x->kind == ATOM_MIN ? DIM_OP_MAX : DIM_OP_MOD, fn, arg), s.j, fn, arg);
        else part = term_fold(c, p->t[i], fn, arg);
        sum = first ? part : fn(arg, DIM_OP_ADD, 0, sum, part);
        first = false;
    }
    if (s.at && s.constant_left) sum = fn(arg, DIM_OP_ADD, 0, sum, fn(arg, DIM_OP_CONST, s.constant_left, 0, 0));
    return first ? fn(arg, DIM_OP_CONST, 0, 0, 0) : sum;
}
