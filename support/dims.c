/* Dims: the context, canonical polynomials, addition and multiplication, and what is asked of a finished dim. */
#define _GNU_SOURCE
#include "support/dims_impl.h"

#include <assert.h>
#include <stdlib.h>

#define NONE UINT32_MAX

static bool fits(wide v)
{
    return v >= INT64_MIN && v <= INT64_MAX;
}

wide wide_gcd(wide a, wide b)
{
    if (a < 0) a = -a;
    if (b < 0) b = -b;
    while (b) {
        wide r = a % b;
        a = b;
        b = r;
    }
    return a;
}

wide wide_floordiv(wide a, wide b)
{
    wide q = a / b;
    return q - (a % b != 0 && (a < 0) != (b < 0));
}

/* Interning. */

static uint32_t words_intern(arena *a, word_set *s, const uint64_t *words, uint32_t n)
{
    uint64_t hash = hash_bytes(words, n * sizeof *words, n);
    if (s->keys.len >= s->cap / 2) {
        s->cap = s->cap ? s->cap * 2 : 64;
        s->slots = ARENA_ARRAY(a, uint32_t, s->cap);
        for (uint32_t id = 0; id < s->keys.len; id++) {
            uint32_t at = (uint32_t)s->hashes.data[id] & (s->cap - 1);
            while (s->slots[at]) at = (at + 1) & (s->cap - 1);
            s->slots[at] = id + 1;
        }
    }
    uint32_t at = (uint32_t)hash & (s->cap - 1);
    for (; s->slots[at]; at = (at + 1) & (s->cap - 1)) {
        uint32_t id = s->slots[at] - 1;
        const uint64_t *key = s->keys.data[id];
        if (s->hashes.data[id] == hash && key[0] == n && (!n || !memcmp(key + 1, words, n * sizeof *words))) return id;
    }
    uint64_t *key = ARENA_ARRAY(a, uint64_t, (size_t)n + 1);
    key[0] = n;
    if (n) memcpy(key + 1, words, n * sizeof *words);
    vec_push(a, &s->keys, key);
    vec_push(a, &s->hashes, hash);
    s->slots[at] = s->keys.len;
    return s->keys.len - 1;
}

static void key_begin(dim_ctx *c)
{
    c->key.len = 0;
}

static void key_add(dim_ctx *c, uint64_t word)
{
    vec_push(c->a, &c->key, word);
}

static uint32_t key_intern(dim_ctx *c, word_set *s)
{
    return words_intern(c->a, s, c->key.data, c->key.len);
}

static uint32_t mono_intern(dim_ctx *c, const factor *f, uint32_t n)
{
    key_begin(c);
    uint32_t degree = 0;
    for (uint32_t i = 0; i < n; i++) {
        key_add(c, (uint64_t)f[i].atom << 32 | f[i].power);
        degree += f[i].power;
    }
    uint32_t id = key_intern(c, &c->mono_set);
    if (id == c->monos.len) {
        factor *copy = ARENA_ARRAY(c->a, factor, n);
        if (n) memcpy(copy, f, n * sizeof *f);
        monomial m = {copy, n, degree};
        vec_push(c->a, &c->monos, m);
    }
    return id;
}

uint32_t atom_make(dim_ctx *c, atom_kind kind, uint32_t symbol, const dim *args, uint32_t n, int64_t lo, int64_t hi)
{
    key_begin(c);
    key_add(c, (uint64_t)kind << 32 | symbol);
    uint64_t weight = 1;
    for (uint32_t i = 0; i < n; i++) {
        key_add(c, args[i]);
        weight += poly_of(c, args[i])->weight;
    }
    if (weight > MAX_WEIGHT) return NONE;
    uint32_t id = key_intern(c, &c->atom_set);
    if (id == c->atoms.len) {
        dim *copy = ARENA_ARRAY(c->a, dim, n);
        if (n) memcpy(copy, args, n * sizeof *args);
        atom x = {kind, symbol, n, copy, lo, hi, (uint32_t)weight};
        vec_push(c->a, &c->atoms, x);
    }
    return id;
}

/* Orders. All compare structure, never ids: the same expressions print alike in every context. */

static int atom_order(const dim_ctx *c, uint32_t a, uint32_t b)
{
    if (a == b) return 0;
    const atom *x = &c->atoms.data[a], *y = &c->atoms.data[b];
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    if (x->symbol != y->symbol) return x->symbol < y->symbol ? -1 : 1;
    for (uint32_t i = 0; i < x->n && i < y->n; i++) {
        int o = dim_order(c, x->args[i], y->args[i]);
        if (o) return o;
    }
    return x->n < y->n ? -1 : x->n > y->n;
}

/* Lexicographic on exponents, earlier atoms weighing more: an order that products keep, which division relies on. */
int mono_order(const dim_ctx *c, uint32_t a, uint32_t b)
{
    if (a == b) return 0;
    const monomial *x = &c->monos.data[a], *y = &c->monos.data[b];
    for (uint32_t i = 0; i < x->n && i < y->n; i++) {
        int o = atom_order(c, x->f[i].atom, y->f[i].atom);
        if (o) return -o;
        if (x->f[i].power != y->f[i].power) return x->f[i].power < y->f[i].power ? -1 : 1;
    }
    return x->n < y->n ? -1 : x->n > y->n;
}

int dim_order(const dim_ctx *c, dim a, dim b)
{
    if (a == b) return 0;
    const polynomial *x = poly_of(c, a), *y = poly_of(c, b);
    for (uint32_t i = 0; i < x->n && i < y->n; i++) {
        int o = mono_order(c, x->t[i].mono, y->t[i].mono);
        if (o) return -o;
        if (x->t[i].coef != y->t[i].coef) return x->t[i].coef < y->t[i].coef ? -1 : 1;
    }
    return x->n < y->n ? -1 : x->n > y->n;
}

/* Monomials. */

uint32_t mono_of_atom(dim_ctx *c, uint32_t a)
{
    factor f = {a, 1};
    return mono_intern(c, &f, 1);
}

uint32_t mono_product(dim_ctx *c, uint32_t a, uint32_t b)
{
    if (!a) return b;
    if (!b) return a;
    const monomial x = c->monos.data[a], y = c->monos.data[b];
    if (x.degree + y.degree > MAX_DEGREE) return NONE;
    factor f[MAX_DEGREE];
    uint32_t n = 0, i = 0, j = 0;
    while (i < x.n || j < y.n) {
        int o = i == x.n ? 1 : j == y.n ? -1 : atom_order(c, x.f[i].atom, y.f[j].atom);
        f[n] = o <= 0 ? x.f[i++] : y.f[j++];
        if (!o) f[n].power += y.f[j++].power;
        n++;
    }
    return mono_intern(c, f, n);
}

uint32_t mono_power(const dim_ctx *c, uint32_t mono, uint32_t a)
{
    const monomial *m = &c->monos.data[mono];
    for (uint32_t i = 0; i < m->n; i++)
        if (m->f[i].atom == a) return m->f[i].power;
    return 0;
}

uint32_t mono_quotient(dim_ctx *c, uint32_t a, uint32_t b)
{
    const monomial x = c->monos.data[a], y = c->monos.data[b];
    factor f[MAX_DEGREE];
    uint32_t n = 0, found = 0;
    for (uint32_t i = 0; i < x.n; i++) {
        uint32_t less = mono_power(c, b, x.f[i].atom);
        if (less > x.f[i].power) return NONE;
        found += less != 0;
        if (x.f[i].power > less) f[n++] = (factor){x.f[i].atom, x.f[i].power - less};
    }
    return found == y.n ? mono_intern(c, f, n) : NONE;
}

uint32_t mono_without(dim_ctx *c, uint32_t mono, uint32_t a)
{
    return mono_quotient(c, mono, mono_of_atom(c, a));
}

/* Polynomials under construction. */

work *work_get(dim_ctx *c)
{
    work *w = c->free_works;
    if (w) c->free_works = w->next_free;
    else w = ARENA_NEW(c->a, work);
    w->t.len = 0;
    w->bad = false;
    return w;
}

void work_put(dim_ctx *c, work *w)
{
    w->next_free = c->free_works;
    c->free_works = w;
}

void work_add(dim_ctx *c, work *w, uint32_t mono, wide coef)
{
    /* Far below overflow of the sums in work_normalize, far above every coefficient that can be kept. */
    const wide limit = (wide)1 << 110;
    if (mono == NONE || coef > limit || coef < -limit || w->t.len >= MAX_TERMS * 16) {
        w->bad = true;
        return;
    }
    work_term t = {mono, coef};
    vec_push(c->a, &w->t, t);
}

void work_add_product(dim_ctx *c, work *w, uint32_t mono, wide coef, dim d)
{
    if (d == DIM_BAD) {
        w->bad = true;
        return;
    }
    const polynomial p = *poly_of(c, d);
    for (uint32_t i = 0; i < p.n && !w->bad; i++) {
        wide product;
        if (__builtin_mul_overflow(coef, (wide)p.t[i].coef, &product)) w->bad = true;
        else work_add(c, w, mono_product(c, mono, p.t[i].mono), product);
    }
}

void work_add_dim(dim_ctx *c, work *w, dim d, wide scale)
{
    work_add_product(c, w, 0, scale, d);
}

static int descending(const void *left, const void *right, void *arg)
{
    const work_term *x = left, *y = right;
    return -mono_order(arg, x->mono, y->mono);
}

void work_normalize(dim_ctx *c, work *w)
{
    if (w->t.len > 1) qsort_r(w->t.data, w->t.len, sizeof *w->t.data, descending, c);
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->t.len;) {
        work_term sum = w->t.data[i++];
        while (i < w->t.len && w->t.data[i].mono == sum.mono) sum.coef += w->t.data[i++].coef;
        if (sum.coef) w->t.data[n++] = sum;
    }
    w->t.len = n;
}

/* The id of a normalized w, DIM_BAD when something of it does not fit. */
static dim intern_poly(dim_ctx *c, const work *w)
{
    if (w->bad || w->t.len > MAX_TERMS) return DIM_BAD;
    uint64_t weight = 1;
    for (uint32_t i = 0; i < w->t.len; i++) {
        if (!fits(w->t.data[i].coef)) return DIM_BAD;
        const monomial *m = &c->monos.data[w->t.data[i].mono];
        weight++;
        for (uint32_t j = 0; j < m->n; j++) weight += (uint64_t)m->f[j].power * c->atoms.data[m->f[j].atom].weight;
    }
    if (weight > MAX_WEIGHT) return DIM_BAD;

    key_begin(c);
    for (uint32_t i = 0; i < w->t.len; i++) {
        key_add(c, w->t.data[i].mono);
        key_add(c, (uint64_t)(int64_t)w->t.data[i].coef);
    }
    uint32_t id = key_intern(c, &c->poly_set);
    if (id == c->polys.len) {
        term *t = ARENA_ARRAY(c->a, term, w->t.len);
        for (uint32_t i = 0; i < w->t.len; i++) t[i] = (term){w->t.data[i].mono, (int64_t)w->t.data[i].coef};
        polynomial p = {.t = t, .n = w->t.len, .weight = (uint32_t)weight};
        p.unbounded = !work_bounds(c, w, &p.lo, &p.hi); /* interns monomials only */
        assert(id == c->polys.len);
        vec_push(c->a, &c->polys, p);
    }
    return c->polys.data[id].unbounded ? DIM_BAD : id + 1;
}

dim work_finish(dim_ctx *c, work *w)
{
    if (!w->bad) work_normalize(c, w);
    dim d = intern_poly(c, w);
    work_put(c, w);
    return d;
}

void work_multiply(dim_ctx *c, work *w, dim by)
{
    work *product = work_get(c);
    for (uint32_t i = 0; i < w->t.len && !product->bad; i++)
        work_add_product(c, product, w->t.data[i].mono, w->t.data[i].coef, by);
    work_normalize(c, product);
    work swap = *w;
    w->t = product->t;
    w->bad = swap.bad || product->bad;
    product->t = swap.t;
    work_put(c, product);
}

void work_add_work(dim_ctx *c, work *w, const work *other, wide scale)
{
    w->bad = w->bad || other->bad;
    for (uint32_t i = 0; i < other->t.len && !w->bad; i++) {
        wide coef;
        if (__builtin_mul_overflow(other->t.data[i].coef, scale, &coef)) w->bad = true;
        else work_add(c, w, other->t.data[i].mono, coef);
    }
}

/* Context and symbols. */

dim_ctx *dims_new(arena *a, interner *names)
{
    dim_ctx *c = ARENA_NEW(a, dim_ctx);
    c->a = a;
    c->names = names;
    c->by_name = ptrmap_new(a);
    uint32_t one = mono_intern(c, NULL, 0);
    assert(one == 0);
    (void)one;
    return c;
}

dim dim_sym(dim_ctx *c, const char *name, dim_origin origin, int64_t min, int64_t max, int64_t multiple)
{
    name = intern_z(c->names, name);
    const symbol_entry *known = ptrmap_get(c->by_name, name);
    if (known) {
        const dim_symbol *k = &known->facts;
        assert(k->origin == origin && k->min == min && k->max == max && k->multiple == multiple);
        return known->d;
    }
    assert(min <= max && multiple >= 1);
    wide lo = -wide_floordiv(-(wide)min, multiple), hi = wide_floordiv(max, multiple);
    assert(lo <= hi); /* some multiple lies between the bounds */
    symbol_entry *s = ARENA_NEW(c->a, symbol_entry);
    s->facts = (dim_symbol){name, origin, min, max, multiple, NULL};
    uint32_t x = atom_make(c, ATOM_SYMBOL, c->symbols.len, NULL, 0, (int64_t)lo, (int64_t)hi);
    vec_push(c->a, &c->symbols, s);
    ptrmap_set(c->by_name, name, s);
    s->d = dim_scaled(c, dim_of_atom(c, x), multiple);
    return s->d;
}

void dim_document(dim_ctx *c, dim symbol, const char *doc)
{
    int32_t i = dim_is_symbol(c, symbol);
    assert(i >= 0);
    dim_symbol *s = &c->symbols.data[i]->facts;
    if (!s->doc) s->doc = doc;
}

dim dim_find(const dim_ctx *c, const char *name)
{
    const symbol_entry *s = ptrmap_get(c->by_name, intern_z(c->names, name));
    return s ? s->d : DIM_BAD;
}

uint32_t dim_symbol_count(const dim_ctx *c)
{
    return c->symbols.len;
}

const dim_symbol *dim_symbol_at(const dim_ctx *c, uint32_t i)
{
    assert(i < c->symbols.len);
    return &c->symbols.data[i]->facts;
}

/* Sums and products. */

dim dim_const(dim_ctx *c, int64_t v)
{
    work *w = work_get(c);
    work_add(c, w, 0, v);
    return work_finish(c, w);
}

dim dim_of_atom(dim_ctx *c, uint32_t x)
{
    work *w = work_get(c);
    work_add(c, w, mono_of_atom(c, x), 1);
    return work_finish(c, w);
}

static dim combined(dim_ctx *c, dim a, wide scale_a, dim b, wide scale_b)
{
    if (a == DIM_BAD || b == DIM_BAD) return DIM_BAD;
    work *w = work_get(c);
    work_add_dim(c, w, a, scale_a);
    work_add_dim(c, w, b, scale_b);
    return work_finish(c, w);
}

dim dim_add(dim_ctx *c, dim a, dim b)
{
    return combined(c, a, 1, b, 1);
}

dim dim_sub(dim_ctx *c, dim a, dim b)
{
    return combined(c, a, 1, b, -1);
}

dim dim_scaled(dim_ctx *c, dim d, wide scale)
{
    work *w = work_get(c);
    work_add_dim(c, w, d, scale);
    return work_finish(c, w);
}

dim dim_plus_const(dim_ctx *c, dim d, wide v)
{
    work *w = work_get(c);
    work_add_dim(c, w, d, 1);
    work_add(c, w, 0, v);
    return work_finish(c, w);
}

dim dim_mul(dim_ctx *c, dim a, dim b)
{
    if (a == DIM_BAD || b == DIM_BAD) return DIM_BAD;
    work *w = work_get(c);
    const polynomial p = *poly_of(c, a);
    for (uint32_t i = 0; i < p.n && !w->bad; i++) work_add_product(c, w, p.t[i].mono, p.t[i].coef, b);
    return work_finish(c, w);
}

/* Questions. */

bool dim_is_const(const dim_ctx *c, dim d, int64_t *v)
{
    if (d == DIM_BAD) return false;
    const polynomial *p = poly_of(c, d);
    if (p->n > 1 || (p->n == 1 && p->t[0].mono)) return false;
    if (v) *v = p->n ? p->t[0].coef : 0;
    return true;
}

int64_t dim_constant_term(const dim_ctx *c, dim d)
{
    const polynomial *p = poly_of(c, d);
    return p->n && !p->t[p->n - 1].mono ? p->t[p->n - 1].coef : 0;
}

int32_t dim_is_symbol(const dim_ctx *c, dim d)
{
    if (d == DIM_BAD) return -1;
    const polynomial *p = poly_of(c, d);
    if (p->n != 1) return -1;
    const monomial *m = &c->monos.data[p->t[0].mono];
    if (m->degree != 1) return -1;
    const atom *x = &c->atoms.data[m->f[0].atom];
    if (x->kind != ATOM_SYMBOL || p->t[0].coef != c->symbols.data[x->symbol]->facts.multiple) return -1;
    return (int32_t)x->symbol;
}

void dim_bounds(const dim_ctx *c, dim d, int64_t *lo, int64_t *hi)
{
    *lo = d == DIM_BAD ? INT64_MIN : poly_of(c, d)->lo;
    *hi = d == DIM_BAD ? INT64_MAX : poly_of(c, d)->hi;
}

bool dim_le(dim_ctx *c, dim a, dim b)
{
    if (a == DIM_BAD || b == DIM_BAD) return false;
    if (a == b || poly_of(c, a)->hi <= poly_of(c, b)->lo) return true;
    work *w = work_get(c);
    work_add_dim(c, w, b, 1);
    work_add_dim(c, w, a, -1);
    work_normalize(c, w);
    /* g * x + k >= 0 just when x + floordiv(k, g) >= 0, whose bounds are tighter. */
    wide g = 0;
    for (uint32_t i = 0; i < w->t.len && w->t.data[i].mono; i++) g = wide_gcd(g, w->t.data[i].coef);
    for (uint32_t i = 0; i < w->t.len && g; i++) w->t.data[i].coef = wide_floordiv(w->t.data[i].coef, g);
    work_normalize(c, w);
    int64_t lo, hi;
    bool le = !w->bad && work_bounds(c, w, &lo, &hi) && lo >= 0;
    work_put(c, w);
    return le;
}

static int64_t atom_multiple(dim_ctx *c, uint32_t id)
{
    const atom x = c->atoms.data[id];
    if (x.kind == ATOM_SYMBOL || x.kind == ATOM_FLOORDIV) return 1;
    wide g = 0; /* min, max: one of the operands; mod: their difference of multiples */
    for (uint32_t i = 0; i < x.n; i++) g = wide_gcd(g, dim_known_multiple(c, x.args[i]));
    return (int64_t)g;
}

int64_t dim_known_multiple(dim_ctx *c, dim d)
{
    if (d == DIM_BAD) return 1;
    const polynomial p = *poly_of(c, d);
    wide g = 0;
    for (uint32_t i = 0; i < p.n; i++) {
        wide k = p.t[i].coef;
        const monomial m = c->monos.data[p.t[i].mono];
        for (uint32_t j = 0; j < m.n; j++) {
            int64_t of_atom = atom_multiple(c, m.f[j].atom);
            for (uint32_t power = m.f[j].power; power--;)
                if (!fits(k * of_atom)) break;
                else k *= of_atom;
        }
        g = wide_gcd(g, k);
    }
    return fits(g) ? (int64_t)g : INT64_C(1) << 62; /* |INT64_MIN| */
}

bool dim_divides(dim_ctx *c, int64_t k, dim a)
{
    if (a == DIM_BAD) return false;
    int64_t m = dim_known_multiple(c, a);
    if (!k) return m == 0;
    return (wide)m % k == 0;
}
