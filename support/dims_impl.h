/* The insides of dims, shared by dims.c (context, arithmetic), dims_divide.c (floordiv, mod), dims_min.c (min, max),
 * dims_bounds.c and dims_text.c. Nobody else includes this.
 *
 * A dim is a polynomial over atoms. The atom of a symbol S stands for S / multiple(S), so a symbol known to be a
 * multiple of 8 is the polynomial 8 * atom and what follows from divisibility needs no rules: it is in the
 * coefficients. Wherever values, text or code come out, term_factors turns as many atoms as possible back into the
 * symbol itself. */
#ifndef SUPPORT_DIMS_IMPL_H
#define SUPPORT_DIMS_IMPL_H

#include "support/dims.h"
#include "support/vec.h"

typedef __int128 wide;

/* Beyond these a dim is DIM_BAD: they bound time and space on hostile input, no model comes near them. */
enum { MAX_DEGREE = 32, MAX_TERMS = 1024, MAX_WEIGHT = 1 << 16, MAX_ARGS = 8 };

typedef enum { ATOM_SYMBOL, ATOM_FLOORDIV, ATOM_MOD, ATOM_MIN } atom_kind;

typedef struct {
    atom_kind kind;
    uint32_t symbol; /* ATOM_SYMBOL */
    uint32_t n;      /* 2, or for min 2..MAX_ARGS operands in the order of dim_order */
    const dim *args;
    int64_t lo, hi;
    uint32_t weight; /* nodes when written out as a tree */
} atom;

typedef struct {
    uint32_t atom, power;
} factor;

typedef struct { /* a product of atoms, in the order of atom_order; id 0 is the empty product */
    const factor *f;
    uint32_t n, degree;
} monomial;

typedef struct {
    uint32_t mono;
    int64_t coef; /* not 0 */
} term;

typedef struct { /* terms in descending order of mono_order */
    const term *t;
    uint32_t n;
    uint32_t weight;
    bool unbounded; /* its bounds do not fit in 64 bits: DIM_BAD outside */
    int64_t lo, hi;
} polynomial;

/* Interns arrays of words; ids count from 0. */
typedef struct {
    VEC(uint64_t *) keys; /* keys[id][0] is the length of what follows */
    VEC(uint64_t) hashes;
    uint32_t *slots; /* id + 1; 0: free */
    uint32_t cap;
} word_set;

/* A polynomial under construction: terms in any order, repeated, with room for intermediate coefficients. */
typedef struct {
    uint32_t mono;
    wide coef;
} work_term;
typedef struct work work;
struct work {
    VEC(work_term) t;
    bool bad; /* something did not fit */
    work *next_free;
};

typedef struct {
    dim_symbol facts;
    dim d;
} symbol_entry;

struct dim_ctx {
    arena *a;
    interner *names;
    ptrmap *by_name; /* interned name -> symbol_entry */
    VEC(symbol_entry *) symbols;
    word_set atom_set, mono_set, poly_set;
    VEC(atom) atoms;
    VEC(monomial) monos;
    VEC(polynomial) polys; /* of dim d: polys.data[d - 1] */
    VEC(uint64_t) key;
    work *free_works;
};

static inline const polynomial *poly_of(const dim_ctx *c, dim d)
{
    return &c->polys.data[d - 1];
}

/* dims.c */
work *work_get(dim_ctx *c); /* empty; from a pool */
void work_put(dim_ctx *c, work *w);
void work_add(dim_ctx *c, work *w, uint32_t mono, wide coef);
void work_add_dim(dim_ctx *c, work *w, dim d, wide scale);                   /* += scale * d */
void work_add_product(dim_ctx *c, work *w, uint32_t mono, wide coef, dim d); /* += coef * mono * d */
void work_add_work(dim_ctx *c, work *w, const work *other, wide scale);      /* += scale * other */
void work_multiply(dim_ctx *c, work *w, dim by);
void work_normalize(dim_ctx *c, work *w);                  /* sort, merge, drop zeros */
dim work_finish(dim_ctx *c, work *w);                      /* also puts w back */
uint32_t mono_product(dim_ctx *c, uint32_t a, uint32_t b); /* UINT32_MAX: over MAX_DEGREE */
uint32_t mono_of_atom(dim_ctx *c, uint32_t atom);
uint32_t mono_without(dim_ctx *c, uint32_t mono, uint32_t atom); /* divided by atom once, which must occur */
uint32_t mono_power(const dim_ctx *c, uint32_t mono, uint32_t atom);
/* The quotient, or UINT32_MAX when b does not divide a. */
uint32_t mono_quotient(dim_ctx *c, uint32_t a, uint32_t b);
/* The atom of that kind over args; bounds are the caller's. UINT32_MAX when too heavy. */
uint32_t atom_make(dim_ctx *c, atom_kind kind, uint32_t symbol, const dim *args, uint32_t n, int64_t lo, int64_t hi);
dim dim_of_atom(dim_ctx *c, uint32_t atom);
int mono_order(const dim_ctx *c, uint32_t a, uint32_t b); /* lexicographic; structural, so the same in every context */
int dim_order(const dim_ctx *c, dim a, dim b);
dim dim_scaled(dim_ctx *c, dim d, wide scale);
dim dim_plus_const(dim_ctx *c, dim d, wide v);
int64_t dim_constant_term(const dim_ctx *c, dim d);
wide wide_gcd(wide a, wide b);
wide wide_floordiv(wide a, wide b);

/* dims_min.c: the least of 1..MAX_ARGS dims. Found at once it can be simpler than two by two. */
dim dim_min_of(dim_ctx *c, const dim *args, uint32_t n);

/* dims_shown.c: what a polynomial is written, evaluated and emitted as. */

/* A term is coef * product of factors, each a symbol itself or an atom. */
typedef struct {
    bool is_symbol;
    uint32_t id; /* symbol or atom; an ATOM_SYMBOL here means floordiv(symbol, multiple) */
} term_factor;
/* Fills f[MAX_DEGREE], returns how many; *coef receives what is left of the coefficient. */
uint32_t term_factors(const dim_ctx *c, term t, term_factor *f, int64_t *coef);

/* At most one group of terms is shown as something shorter:
 *   j * (a - k * floordiv(a, k)) as j * mod(a, k)       j * (a + b - min(a, b)) as j * max(a, b) */
typedef struct {
    const term *at; /* the floordiv's or min's term, in whose place it is shown; NULL: none */
    const atom *x;  /* that floordiv or min */
    int64_t j;
    int64_t constant_left; /* of p's constant term */
} shorthand;
shorthand find_shorthand(const dim_ctx *c, const polynomial *p);
bool shorthand_covers(const dim_ctx *c, const shorthand *s, const term *t); /* other than s->at */

/* dims_bounds.c: inclusive bounds of w (normalized). False when they do not fit in 64 bits. */
bool work_bounds(dim_ctx *c, const work *w, int64_t *lo, int64_t *hi);
/* Bounds of floordiv and mod over operands with these bounds, the divisor not 0; false when there is no such divisor.
 */
bool floordiv_bounds(const polynomial *a, const polynomial *b, wide *lo, wide *hi);
void mod_bounds(const polynomial *a, const polynomial *b, wide *lo, wide *hi);

#endif
