/* Bounds of polynomials over atoms with known bounds.
 *
 * Plain interval arithmetic forgets that the parts of an expression move together: it cannot see that S - min(S, 4) is
 * never negative, nor that 32 * ceildiv(S, 32) - S lies in 0..31, and these are what padding and slicing need. So
 * besides the plain interval, compound atoms are replaced by what is known of them, k * floordiv(a, k) = a - r, 0 <= r
 * < k        min(a, b) is a or b, and at most either and the remaining polynomial is bounded again; every way is sound,
 * so the results are intersected. A polynomial that is linear in each of few atoms takes its extremes at the corners of
 * their box: there the plain interval is exact. */
#include "support/dims_impl.h"

/* Ends beyond these are "no bound": a lower end stays there whatever is added to it. They leave room to add. */
#define INFINITE ((wide)1 << 120)

/* STEPS bounds the polynomials looked at for one answer: the ways to replace atoms multiply. */
enum { CORNER_ATOMS = 6, DEPTH = 3, STEPS = 100 };

typedef struct {
    wide lo, hi;
} interval;

static const interval anything = {-INFINITE, INFINITE};

/* A lower end may be lowered, an upper end raised: so the far side of each is clamped, the near side is infinite. */
static interval clamped(wide lo, wide hi)
{
    if (lo >= INFINITE) lo = INFINITE - 1;
    if (hi <= -INFINITE) hi = -INFINITE + 1;
    return (interval){lo < -INFINITE ? -INFINITE : lo, hi > INFINITE ? INFINITE : hi};
}

static interval plus(interval x, interval y)
{
    return clamped(x.lo == -INFINITE || y.lo == -INFINITE ? -INFINITE : x.lo + y.lo,
                   x.hi == INFINITE || y.hi == INFINITE ? INFINITE : x.hi + y.hi);
}

static wide product_of(wide x, wide y)
{
    wide p;
    if (__builtin_mul_overflow(x, y, &p) || p > INFINITE || p < -INFINITE)
        p = (x < 0) == (y < 0) ? INFINITE : -INFINITE;
    return p;
}

static interval times(interval x, interval y)
{
    wide p[] = {product_of(x.lo, y.lo), product_of(x.lo, y.hi), product_of(x.hi, y.lo), product_of(x.hi, y.hi)};
    wide lo = p[0], hi = p[0];
    for (int i = 1; i < 4; i++) {
        if (p[i] < lo) lo = p[i];
        if (p[i] > hi) hi = p[i];
    }
    return clamped(lo, hi);
}

static interval over(interval x, wide k)
{
    return (interval){x.lo == -INFINITE ? x.lo : -wide_floordiv(-x.lo, k),
                      x.hi == INFINITE ? x.hi : wide_floordiv(x.hi, k)};
}

static interval both(interval x, interval y)
{
    return (interval){x.lo > y.lo ? x.lo : y.lo, x.hi < y.hi ? x.hi : y.hi};
}

static interval atom_interval(const dim_ctx *c, uint32_t id)
{
    return (interval){c->atoms.data[id].lo, c->atoms.data[id].hi};
}

static interval power_interval(interval x, uint32_t power)
{
    interval p = {1, 1};
    for (uint32_t i = 0; i < power; i++) p = times(p, x);
    if (power % 2 == 0 && p.lo < 0) p.lo = 0;
    return p;
}

static interval plain(const dim_ctx *c, const work *w)
{
    interval sum = {0, 0};
    for (uint32_t i = 0; i < w->t.len; i++) {
        const monomial *m = &c->monos.data[w->t.data[i].mono];
        interval p = {w->t.data[i].coef, w->t.data[i].coef};
        for (uint32_t j = 0; j < m->n; j++) p = times(p, power_interval(atom_interval(c, m->f[j].atom), m->f[j].power));
        sum = plus(sum, p);
    }
    return sum;
}

enum { MOST_ATOMS = 2 * CORNER_ATOMS };

typedef struct {
    uint32_t id[MOST_ATOMS], n;
    uint32_t compound; /* those that are no symbols */
    bool linear;       /* no power above 1 */
    bool complete;     /* all of them are here */
} atom_list;

static atom_list atoms_in(const dim_ctx *c, const work *w)
{
    atom_list list = {.linear = true, .complete = true};
    for (uint32_t i = 0; i < w->t.len; i++) {
        const monomial *m = &c->monos.data[w->t.data[i].mono];
        for (uint32_t j = 0; j < m->n; j++) {
            if (m->f[j].power > 1) list.linear = false;
            uint32_t k = 0;
            while (k < list.n && list.id[k] != m->f[j].atom) k++;
            if (k < list.n) continue;
            if (list.n == MOST_ATOMS) {
                list.complete = false;
                return list;
            }
            list.id[list.n++] = m->f[j].atom;
            list.compound += c->atoms.data[m->f[j].atom].kind != ATOM_SYMBOL;
        }
    }
    return list;
}

/* The extremes of w, linear in each of these atoms, over the corners of their box. */
static interval corners(const dim_ctx *c, const work *w, const atom_list *atoms)
{
    interval all = {0, 0};
    for (uint32_t corner = 0; corner < 1u << atoms->n; corner++) {
        interval sum = {0, 0};
        for (uint32_t i = 0; i < w->t.len; i++) {
            interval p = {w->t.data[i].coef, w->t.data[i].coef};
            for (uint32_t k = 0; k < atoms->n; k++) {
                if (!mono_power(c, w->t.data[i].mono, atoms->id[k])) continue;
                const atom *x = &c->atoms.data[atoms->id[k]];
                int64_t v = corner >> k & 1 ? x->hi : x->lo;
                p = times(p, (interval){v, v});
            }
            sum = plus(sum, p);
        }
        if (!corner || sum.lo < all.lo) all.lo = sum.lo;
        if (!corner || sum.hi > all.hi) all.hi = sum.hi;
    }
    return all;
}

static interval bounds(dim_ctx *c, const work *w, int depth, int *steps);

/* Splits w into quotient * x + rest, the quotient free of x; false when x occurs with a power above 1. */
static bool split(dim_ctx *c, const work *w, uint32_t x, work *quotient, work *rest)
{
    for (uint32_t i = 0; i < w->t.len; i++) {
        work_term t = w->t.data[i];
        uint32_t power = mono_power(c, t.mono, x);
        if (power > 1) return false;
        if (power) work_add(c, quotient, mono_without(c, t.mono, x), t.coef);
        else work_add(c, rest, t.mono, t.coef);
    }
    work_normalize(c, quotient);
    return !quotient->bad && !rest->bad;
}

/* Bounds of scale * rest + quotient * d. */
static interval replaced(dim_ctx *c, const work *quotient, const work *rest, wide scale, dim d, int depth, int *steps)
{
    work *w = work_get(c);
    work_add_work(c, w, rest, scale);
    for (uint32_t i = 0; i < quotient->t.len; i++)
        work_add_product(c, w, quotient->t.data[i].mono, quotient->t.data[i].coef, d);
    interval x = anything;
    if (!w->bad) {
        work_normalize(c, w);
        x = bounds(c, w, depth, steps);
    }
    work_put(c, w);
    return x;
}

static interval through_floordiv(dim_ctx *c, const atom x, const work *quotient, const work *rest, int depth,
                                 int *steps)
{
    int64_t k;
    if (!dim_is_const(c, x.args[1], &k)) return anything;
    interval numerator = replaced(c, quotient, rest, k, x.args[0], depth, steps);
    interval lost = times(bounds(c, quotient, depth, steps), (interval){1 - (wide)k, 0});
    return over(plus(numerator, lost), k);
}

static interval through_min(dim_ctx *c, const atom x, const work *quotient, const work *rest, int depth, int *steps)
{
    interval sign = bounds(c, quotient, depth, steps), any = {0, 0}, all = anything;
    for (uint32_t i = 0; i < x.n; i++) {
        interval chosen = replaced(c, quotient, rest, 1, x.args[i], depth, steps);
        if (!i || chosen.lo < any.lo) any.lo = chosen.lo;
        if (!i || chosen.hi > any.hi) any.hi = chosen.hi;
        all = both(all, chosen);
    }
    /* q * min(a, b) + rest <= q * a + rest when q >= 0, and the other way round. */
    return (interval){sign.hi <= 0 ? all.lo : any.lo, sign.lo >= 0 ? all.hi : any.hi};
}

/* quotient * x + rest with the bounds of the three. Unlike plain, sees S * S - S as S * (S - 1). */
static interval factored(dim_ctx *c, const work *w, uint32_t x, int depth, int *steps)
{
    work *quotient = work_get(c), *rest = work_get(c);
    for (uint32_t i = 0; i < w->t.len; i++) {
        work_term t = w->t.data[i];
        if (mono_power(c, t.mono, x)) work_add(c, quotient, mono_without(c, t.mono, x), t.coef);
        else work_add(c, rest, t.mono, t.coef);
    }
    work_normalize(c, quotient);
    work_normalize(c, rest);
    interval result =
        plus(times(atom_interval(c, x), bounds(c, quotient, depth, steps)), bounds(c, rest, depth, steps));
    work_put(c, rest);
    work_put(c, quotient);
    return result;
}

static interval bounds(dim_ctx *c, const work *w, int depth, int *steps)
{
    atom_list atoms = atoms_in(c, w);
    bool exact = atoms.complete && atoms.linear && atoms.n <= CORNER_ATOMS;
    interval best = exact ? corners(c, w, &atoms) : plain(c, w);
    if (depth == 0 || !atoms.complete) return best;

    for (uint32_t i = 0; i < atoms.n && --*steps > 0; i++) {
        const atom x = c->atoms.data[atoms.id[i]];
        if (!exact) best = both(best, factored(c, w, atoms.id[i], depth - 1, steps));
        if (x.kind == ATOM_SYMBOL || x.kind == ATOM_MOD) continue;
        work *quotient = work_get(c), *rest = work_get(c);
        if (split(c, w, atoms.id[i], quotient, rest)) {
            interval through = x.kind == ATOM_FLOORDIV ? through_floordiv(c, x, quotient, rest, depth - 1, steps)
                                                       : through_min(c, x, quotient, rest, depth - 1, steps);
            best = both(best, through);
        }
        work_put(c, rest);
        work_put(c, quotient);
    }
    return best;
}

bool work_bounds(dim_ctx *c, const work *w, int64_t *lo, int64_t *hi)
{
    int steps = STEPS;
    interval x = bounds(c, w, DEPTH, &steps);
    if (x.lo < INT64_MIN || x.hi > INT64_MAX) return false;
    *lo = (int64_t)x.lo;
    *hi = (int64_t)x.hi;
    return true;
}

/* The parts of a divisor's range on either side of 0, whose ends are where quotients take their extremes. */
static uint32_t divisor_ends(const polynomial *b, wide *ends)
{
    uint32_t n = 0;
    if (b->lo < 0) {
        ends[n++] = b->lo;
        ends[n++] = b->hi < -1 ? b->hi : -1;
    }
    if (b->hi > 0) {
        ends[n++] = b->lo > 1 ? b->lo : 1;
        ends[n++] = b->hi;
    }
    return n;
}

bool floordiv_bounds(const polynomial *a, const polynomial *b, wide *lo, wide *hi)
{
    wide ends[4];
    uint32_t n = divisor_ends(b, ends);
    for (uint32_t i = 0; i < n; i++) {
        wide x = wide_floordiv(a->lo, ends[i]), y = wide_floordiv(a->hi, ends[i]);
        if (!i || x < *lo) *lo = x;
        if (!i || x > *hi) *hi = x;
        if (y < *lo) *lo = y;
        if (y > *hi) *hi = y;
    }
    return n != 0;
}

void mod_bounds(const polynomial *a, const polynomial *b, wide *lo, wide *hi)
{
    *lo = b->lo < 0 ? (wide)b->lo + 1 : 0;
    *hi = b->hi > 0 ? (wide)b->hi - 1 : 0;
    if (b->lo > 0 && a->lo >= 0 && a->hi < *hi) *hi = a->hi; /* never more than what is divided */
}
