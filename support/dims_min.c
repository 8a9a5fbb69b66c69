/* min and max: brought to one form, so that equal expressions mostly get equal ids.
 *
 * There is only min: max(a, b) is a + b - min(a, b). Operands are moved by what makes all their coefficients
 * nonnegative with a 0 among those of each monomial, and divided by their common factor; so max(P, 4) is P + 4 - min(P,
 * 4), which dim_print and dim_fold turn back. */

#include "support/dims_impl.h"

#include <assert.h>

#define NONE UINT32_MAX

typedef struct {
    dim arg[MAX_ARGS];
    uint32_t n;
} choice;

/* The term k * min(...), k > 0, of a, alone in its product; NULL when there is none. */
static const term *find_min(const dim_ctx *c, dim a)
{
    const polynomial *p = poly_of(c, a);
    for (uint32_t i = 0; i < p->n; i++) {
        const monomial *m = &c->monos.data[p->t[i].mono];
        if (p->t[i].coef > 0 && m->degree == 1 && c->atoms.data[m->f[0].atom].kind == ATOM_MIN) return &p->t[i];
    }
    return NULL;
}

/* Adds operand a; an operand k * min(...) + rest as each k * operand + rest. False: no room. */
static bool add_flat(dim_ctx *c, choice *x, dim a)
{
    const term *inner = find_min(c, a);
    if (!inner) {
        if (x->n == MAX_ARGS) return false;
        x->arg[x->n++] = a;
        return true;
    }
    const atom nested = c->atoms.data[c->monos.data[inner->mono].f[0].atom];
    for (uint32_t i = 0; i < nested.n; i++) {
        work *w = work_get(c);
        work_add_dim(c, w, a, 1);
        work_add(c, w, inner->mono, -(wide)inner->coef);
        work_add_dim(c, w, nested.args[i], inner->coef);
        dim each = work_finish(c, w);
        if (each == DIM_BAD || !add_flat(c, x, each)) return false;
    }
    return true;
}

/* Replaces operands that are themselves minima: all of them, or none when that would be too many for one atom. */
static bool flatten(dim_ctx *c, choice *x)
{
    choice flat = {.n = 0};
    for (uint32_t i = 0; i < x->n; i++)
        if (!add_flat(c, &flat, x->arg[i])) return false;
    bool replaced = flat.n > x->n;
    *x = flat;
    return replaced;
}

static void sort_operands(const dim_ctx *c, choice *x)
{
    for (uint32_t i = 1; i < x->n; i++)
        for (uint32_t j = i; j && dim_order(c, x->arg[j], x->arg[j - 1]) < 0; j--) {
            dim other = x->arg[j];
            x->arg[j] = x->arg[j - 1];
            x->arg[j - 1] = other;
        }
}

/* Drops operands that are provably at least another one. Sorted first, so that the result does not depend on the order
 * of writing. */
static void drop_decided(dim_ctx *c, choice *x)
{
    sort_operands(c, x);
    for (uint32_t i = x->n; i-- > 0;) {
        bool decided = false;
        for (uint32_t j = 0; j < x->n && !decided; j++) decided = i != j && dim_le(c, x->arg[j], x->arg[i]);
        if (!decided) continue;
        x->n--;
        for (uint32_t j = i; j < x->n; j++) x->arg[j] = x->arg[j + 1];
    }
}

static int64_t coefficient(const polynomial *p, uint32_t mono)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (p->t[i].mono == mono) return p->t[i].coef;
    return 0;
}

/* Each monomial's least coefficient among the operands. */
static void least_coefficients(dim_ctx *c, const choice *x, work *least)
{
    for (uint32_t i = 0; i < x->n; i++) {
        const polynomial p = *poly_of(c, x->arg[i]);
        for (uint32_t t = 0; t < p.n; t++) {
            int64_t low = INT64_MAX;
            bool seen = false;
            for (uint32_t j = 0; j < x->n; j++) {
                int64_t other = coefficient(poly_of(c, x->arg[j]), p.t[t].mono);
                if (other < low) low = other;
                seen = seen || (j < i && other); /* counted with an earlier operand */
            }
            if (!seen) work_add(c, least, p.t[t].mono, low);
        }
    }
}

/* Each operand becomes (itself - less) / by. */
static bool rescale(dim_ctx *c, choice *x, const work *less, wide by)
{
    for (uint32_t i = 0; i < x->n; i++) {
        work *w = work_get(c);
        work_add_dim(c, w, x->arg[i], 1);
        work_add_work(c, w, less, -1);
        work_normalize(c, w);
        for (uint32_t t = 0; t < w->t.len; t++) w->t.data[t].coef /= by;
        x->arg[i] = work_finish(c, w);
        if (x->arg[i] == DIM_BAD) return false;
    }
    return true;
}

/* The atom min(x), or NONE. */
static uint32_t min_atom(dim_ctx *c, choice *x)
{
    sort_operands(c, x);
    const polynomial *p = poly_of(c, x->arg[0]);
    int64_t lo = p->lo, hi = p->hi;
    for (uint32_t i = 1; i < x->n; i++) {
        p = poly_of(c, x->arg[i]);
        if (p->lo < lo) lo = p->lo;
        if (p->hi < hi) hi = p->hi;
    }
    return atom_make(c, ATOM_MIN, 0, x->arg, x->n, lo, hi);
}

/* g * min(x), its operands divided by their common factor g, added to result. */
static bool add_min(dim_ctx *c, choice *x, work *result)
{
    wide g = 0;
    for (uint32_t i = 0; i < x->n; i++) {
        const polynomial *p = poly_of(c, x->arg[i]);
        for (uint32_t t = 0; t < p->n; t++) g = wide_gcd(g, p->t[t].coef);
    }
    assert(g); /* equal operands were dropped as decided */
    work *nothing = work_get(c);
    bool ok = rescale(c, x, nothing, g);
    work_put(c, nothing);
    uint32_t id = ok ? min_atom(c, x) : NONE;
    if (id == NONE) return false;
    work_add(c, result, mono_of_atom(c, id), g);
    return true;
}

dim dim_min_of(dim_ctx *c, const dim *args, uint32_t n)
{
    choice x = {.n = n};
    assert(n && n <= MAX_ARGS);
    for (uint32_t i = 0; i < n; i++) {
        if (args[i] == DIM_BAD) return DIM_BAD;
        x.arg[i] = args[i];
    }
    drop_decided(c, &x); /* before operands are taken apart, so that what needs no min stays as it is */
    if (x.n == 1) return x.arg[0];
    work *result = work_get(c);
    bool ok = true;
    /* Moving the operands by -min(...) can leave min(...) in another one: then once more. */
    for (bool again = true; again && ok;) {
        flatten(c, &x);
        drop_decided(c, &x);
        work *least = work_get(c);
        if (x.n > 1) {
            least_coefficients(c, &x, least);
            ok = !least->bad && rescale(c, &x, least, 1);
            work_add_work(c, result, least, 1);
        }
        work_put(c, least);
        choice tried = x;
        again = ok && x.n > 1 && flatten(c, &tried);
    }
    if (ok && x.n == 1) work_add_dim(c, result, x.arg[0], 1);
    else if (!ok || !add_min(c, &x, result)) result->bad = true;
    return work_finish(c, result);
}

dim dim_min(dim_ctx *c, dim a, dim b)
{
    return dim_min_of(c, (dim[]){a, b}, 2);
}

dim dim_max(dim_ctx *c, dim a, dim b)
{
    dim least = dim_min(c, a, b);
    if (least == DIM_BAD) return DIM_BAD;
    work *w = work_get(c);
    work_add_dim(c, w, a, 1);
    work_add_dim(c, w, b, 1);
    work_add_dim(c, w, least, -1);
    return work_finish(c, w);
}
