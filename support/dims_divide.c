/* floordiv, ceildiv and mod: each is brought to one form, so that equal expressions mostly get equal ids.
 *
 * By a constant k > 0, with every rule an identity over the integers:
 *   multiples of k leave the numerator              floordiv(65 * S + 7, 32) = 2 * S + floordiv(S + 7, 32)
 *   common divisors of k and the coefficients too   floordiv(2 * S + 1, 4) = floordiv(S, 2)
 *   a division inside becomes part of this one      floordiv(floordiv(S, 4) + B, 8) = floordiv(S + 4 * B, 32)
 *   the first coefficient becomes positive          floordiv(-S, 32) = -floordiv(S + 31, 32)
 * mod by a constant is a - k * floordiv(a, k) and no atom of its own. Divisors that are not constant keep what can be
 * shown of them; a fold there needs a divisor that is provably not 0. */
#include "support/dims_impl.h"

#define NONE UINT32_MAX

static bool fits(wide v)
{
    return v >= INT64_MIN && v <= INT64_MAX;
}

/* Takes multiples of k out of w's terms into quotient, leaving residues in (-k/2, k/2], the constant's in [0, k). */
static void take_multiples(dim_ctx *c, work *w, wide k, work *quotient)
{
    for (uint32_t i = 0; i < w->t.len; i++) {
        work_term *t = &w->t.data[i];
        wide q = wide_floordiv(t->coef, k);
        if (t->mono && (t->coef - q * k) * 2 > k) q++;
        t->coef -= q * k;
        if (q) work_add(c, quotient, t->mono, q);
    }
    work_normalize(c, w);
}

static wide constant_of(const work *w)
{
    return w->t.len && !w->t.data[w->t.len - 1].mono ? w->t.data[w->t.len - 1].coef : 0;
}

/* Whether -w + k - 1 is the preferred numerator: decided by the first term that the change would change. A residue k/2
 * stays itself, its negation being itself less k. */
static bool prefer_negated(const work *w, wide k)
{
    for (uint32_t i = 0; i < w->t.len && w->t.data[i].mono; i++)
        if (w->t.data[i].coef * 2 != k) return w->t.data[i].coef < 0;
    return k - 1 - constant_of(w) < constant_of(w);
}

static void negate(dim_ctx *c, work *w, wide add)
{
    for (uint32_t i = 0; i < w->t.len; i++) w->t.data[i].coef = -w->t.data[i].coef;
    work_add(c, w, 0, add);
    work_normalize(c, w);
}

static dim divide(dim_ctx *c, work *w, wide k);

/* When a term of w is +-floordiv(a, j): floordiv of w by k as one division of a + j * others by j * k. False: no such
 * term, or the result does not fit. */
static bool merge_inner(dim_ctx *c, const work *w, wide k, dim *result)
{
    for (uint32_t i = 0; i < w->t.len; i++) {
        work_term t = w->t.data[i];
        const monomial *m = &c->monos.data[t.mono];
        if ((t.coef != 1 && t.coef != -1) || m->degree != 1) continue;
        const atom x = c->atoms.data[m->f[0].atom];
        int64_t j;
        if (x.kind != ATOM_FLOORDIV || !dim_is_const(c, x.args[1], &j) || !fits(j * k)) continue;
        work *merged = work_get(c);
        /* -floordiv(a, j) = floordiv(j - 1 - a, j) */
        work_add_dim(c, merged, x.args[0], t.coef);
        if (t.coef < 0) work_add(c, merged, 0, (wide)j - 1);
        for (uint32_t o = 0; o < w->t.len && !merged->bad; o++) {
            wide coef;
            if (o == i) continue;
            if (__builtin_mul_overflow(w->t.data[o].coef, (wide)j, &coef)) merged->bad = true;
            else work_add(c, merged, w->t.data[o].mono, coef);
        }
        bool ok = !merged->bad;
        if (ok) {
            work_normalize(c, merged);
            *result = divide(c, merged, j * k);
            ok = *result != DIM_BAD;
        }
        work_put(c, merged);
        if (ok) return true;
    }
    return false;
}

/* The atom floordiv(w, k) of a reduced w, or what its bounds decide. */
static dim division_atom(dim_ctx *c, const work *w, wide k)
{
    work *numerator = work_get(c);
    work_add_work(c, numerator, w, 1);
    dim args[2] = {work_finish(c, numerator), dim_const(c, (int64_t)k)};
    if (args[0] == DIM_BAD) return DIM_BAD;
    int64_t lo, hi;
    dim_bounds(c, args[0], &lo, &hi);
    lo = (int64_t)wide_floordiv(lo, k);
    hi = (int64_t)wide_floordiv(hi, k);
    if (lo == hi) return dim_const(c, lo);
    uint32_t x = atom_make(c, ATOM_FLOORDIV, 0, args, 2, lo, hi);
    return x == NONE ? DIM_BAD : dim_of_atom(c, x);
}

/* floordiv(w, k), k > 0 and w normalized; w is changed but stays the caller's. */
static dim divide(dim_ctx *c, work *w, wide k)
{
    work *quotient = work_get(c);
    take_multiples(c, w, k, quotient);
    dim part = DIM_BAD;
    wide sign = 1;
    if (!w->t.len || !w->t.data[0].mono) {
        part = dim_const(c, 0); /* what is left is a constant in [0, k) */
    } else {
        wide g = k;
        for (uint32_t i = 0; i < w->t.len && w->t.data[i].mono; i++) g = wide_gcd(g, w->t.data[i].coef);
        if (g > 1) {
            for (uint32_t i = 0; i < w->t.len; i++) w->t.data[i].coef = wide_floordiv(w->t.data[i].coef, g);
            work_normalize(c, w);
            k /= g;
        }
        if (prefer_negated(w, k)) {
            sign = -1;
            negate(c, w, k - 1);
            work *correction = work_get(c);
            take_multiples(c, w, k, correction);
            work_add_work(c, quotient, correction, -1);
            work_put(c, correction);
        }
        if (!merge_inner(c, w, k, &part)) part = division_atom(c, w, k);
    }
    work_add_dim(c, quotient, part, sign);
    return work_finish(c, quotient);
}

/* a = q * b + r by repeatedly removing the leading term of b where it divides a term: r in *rest, q the result. The
 * order of terms is one that products keep, so this ends; on hostile input it gives up with q = 0. */
static dim quotient_by(dim_ctx *c, dim a, dim b, dim *rest)
{
    const polynomial divisor = *poly_of(c, b);
    work *q = work_get(c);
    *rest = a;
    for (int step = 0; step < 64; step++) {
        const polynomial p = *poly_of(c, *rest);
        uint32_t i = 0, mono = NONE;
        for (; i < p.n; i++) {
            if (p.t[i].coef % divisor.t[0].coef || (mono = mono_quotient(c, p.t[i].mono, divisor.t[0].mono)) == NONE)
                continue;
            break;
        }
        if (i == p.n) return work_finish(c, q);
        wide coef = (wide)p.t[i].coef / divisor.t[0].coef;
        work *less = work_get(c);
        work_add_dim(c, less, *rest, 1);
        work_add_product(c, less, mono, -coef, b);
        dim next = work_finish(c, less);
        if (next == DIM_BAD) break;
        work_add(c, q, mono, coef);
        *rest = next;
    }
    work_put(c, q);
    *rest = a;
    return dim_const(c, 0);
}

static bool never_zero(const polynomial *p)
{
    return p->lo > 0 || p->hi < 0;
}

/* The atoms that are never 0 and that every term of both has, with their common powers. */
static uint32_t common_monomial(dim_ctx *c, const polynomial *a, const polynomial *b)
{
    uint32_t common = 0;
    const monomial first = c->monos.data[b->t[0].mono];
    for (uint32_t j = 0; j < first.n; j++) {
        uint32_t x = first.f[j].atom, least = first.f[j].power;
        if (c->atoms.data[x].lo <= 0 && c->atoms.data[x].hi >= 0) continue;
        for (uint32_t i = 0; i < a->n + b->n; i++) {
            uint32_t power = mono_power(c, i < a->n ? a->t[i].mono : b->t[i - a->n].mono, x);
            if (power < least) least = power;
        }
        while (least--) common = mono_product(c, common, mono_of_atom(c, x));
    }
    return common;
}

/* Divides a and b, b not constant, by the largest *k * *mono that divides all their terms and is not 0; its sign makes
 * b's first coefficient positive. */
static bool reduce_pair(dim_ctx *c, dim *a, dim *b, wide *k, uint32_t *mono)
{
    wide g = 0;
    const polynomial p = *poly_of(c, *a), d = *poly_of(c, *b);
    for (uint32_t i = 0; i < p.n; i++) g = wide_gcd(g, p.t[i].coef);
    for (uint32_t i = 0; i < d.n; i++) g = wide_gcd(g, d.t[i].coef);
    if (d.t[0].coef < 0) g = -g;
    *k = g;
    *mono = common_monomial(c, &p, &d);
    work *x = work_get(c), *y = work_get(c);
    for (uint32_t i = 0; i < p.n; i++) work_add(c, x, mono_quotient(c, p.t[i].mono, *mono), p.t[i].coef / g);
    for (uint32_t i = 0; i < d.n; i++) work_add(c, y, mono_quotient(c, d.t[i].mono, *mono), d.t[i].coef / g);
    *a = work_finish(c, x);
    *b = work_finish(c, y);
    return *a != DIM_BAD && *b != DIM_BAD;
}

static dim floordiv_symbolic(dim_ctx *c, dim a, dim b)
{
    wide g, lo = 0, hi = 0;
    uint32_t mono;
    int64_t k;
    if (!reduce_pair(c, &a, &b, &g, &mono)) return DIM_BAD;
    if (dim_is_const(c, b, &k)) return dim_floordiv(c, a, b);
    const polynomial divisor = *poly_of(c, b);
    if (never_zero(&divisor)) {
        dim rest, quotient = quotient_by(c, a, b, &rest);
        if (dim_is_const(c, rest, &k) && k == 0) return quotient;
        if (rest != a) return dim_add(c, quotient, floordiv_symbolic(c, rest, b)); /* may have a common factor again */
    }
    const polynomial p = *poly_of(c, a);
    if (divisor.lo >= 1 && p.n && p.t[0].mono && p.t[0].coef < 0) {
        /* floordiv(-x, b) = -floordiv(x + b - 1, b) = -1 - floordiv(x - 1, b) */
        dim flipped = dim_plus_const(c, dim_scaled(c, a, -1), -1);
        if (flipped == DIM_BAD) return DIM_BAD;
        return dim_plus_const(c, dim_scaled(c, floordiv_symbolic(c, flipped, b), -1), -1);
    }
    if (!floordiv_bounds(&p, &divisor, &lo, &hi) || !fits(lo) || !fits(hi)) return DIM_BAD;
    if (divisor.lo >= 1 && p.lo >= 0 && dim_le(c, dim_plus_const(c, a, 1), b)) hi = lo = 0;
    if (lo == hi && never_zero(&divisor)) return dim_const(c, (int64_t)lo);
    dim args[2] = {a, b};
    uint32_t x = atom_make(c, ATOM_FLOORDIV, 0, args, 2, (int64_t)lo, (int64_t)hi);
    return x == NONE ? DIM_BAD : dim_of_atom(c, x);
}

dim dim_floordiv(dim_ctx *c, dim a, dim b)
{
    if (a == DIM_BAD || b == DIM_BAD) return DIM_BAD;
    int64_t k;
    if (!dim_is_const(c, b, &k)) return floordiv_symbolic(c, a, b);
    if (!k) return DIM_BAD;
    work *w = work_get(c);
    work_add_dim(c, w, a, k < 0 ? -1 : 1);
    dim d = DIM_BAD;
    if (!w->bad) {
        work_normalize(c, w);
        d = divide(c, w, k < 0 ? -(wide)k : k);
    }
    work_put(c, w);
    return d;
}

dim dim_ceildiv(dim_ctx *c, dim a, dim b)
{
    return dim_scaled(c, dim_floordiv(c, dim_scaled(c, a, -1), b), -1);
}

/* mod(a, b) of a reduced pair. */
static dim mod_reduced(dim_ctx *c, dim a, dim b)
{
    if (dim_is_const(c, b, NULL)) return dim_mod(c, a, b);
    const polynomial divisor = *poly_of(c, b);
    if (never_zero(&divisor)) {
        dim rest;
        quotient_by(c, a, b, &rest);
        if (rest != a) return dim_mod(c, rest, b); /* may have a common factor again */
    }
    const polynomial p = *poly_of(c, a);
    if (!p.n && never_zero(&divisor)) return a;
    if (divisor.lo >= 1 && p.lo >= 0 && dim_le(c, dim_plus_const(c, a, 1), b)) return a;
    wide lo, hi;
    mod_bounds(&p, &divisor, &lo, &hi);
    dim args[2] = {a, b};
    uint32_t x = atom_make(c, ATOM_MOD, 0, args, 2, (int64_t)lo, (int64_t)hi);
    return x == NONE ? DIM_BAD : dim_of_atom(c, x);
}

dim dim_mod(dim_ctx *c, dim a, dim b)
{
    if (a == DIM_BAD || b == DIM_BAD) return DIM_BAD;
    int64_t k;
    if (dim_is_const(c, b, &k)) return dim_sub(c, a, dim_scaled(c, dim_floordiv(c, a, b), k));
    wide g;
    uint32_t mono;
    if (!reduce_pair(c, &a, &b, &g, &mono)) return DIM_BAD;
    work *w = work_get(c);
    work_add_product(c, w, mono, g, mod_reduced(c, a, b)); /* mod(g * a, g * b) = g * mod(a, b) for either sign of g */
    return work_finish(c, w);
}
