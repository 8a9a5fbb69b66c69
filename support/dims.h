/* Dims: symbolic integers for tensor sizes, closed under + - * floordiv ceildiv mod min max.
 *
 * Every expression is interned in canonical form: a sum of monomials with integer coefficients, each monomial a sorted
 * product of atoms, an atom being a symbol or an irreducible floordiv/mod/min/max (mod only by what is not constant).
 * So two dims that are equal as polynomials have the same id, and `a == b` on ids is the (sound, incomplete) proof of
 * equality. ceildiv(a, b) is -floordiv(-a, b). All arithmetic on coefficients and bounds is overflow-checked: what does
 * not fit in 64 bits is DIM_BAD, never wrong. */
#ifndef SUPPORT_DIMS_H
#define SUPPORT_DIMS_H

#include "support/intern.h"
#include "support/strbuf.h"

typedef uint32_t dim; /* an expression of one dim_ctx */
/* Absent, divided by the constant 0, or possibly over 64 bits within the bounds of its symbols. Absorbs in every
 * operation; nothing can be proved of it. */
#define DIM_BAD ((dim)0)

typedef enum {
    DIM_INPUT,   /* found from an input tensor's shape, or given as a `dim` argument */
    DIM_SETTING, /* a run-time knob */
    DIM_DATA     /* decided while running: what merging keeps, a ragged batch */
} dim_origin;

typedef struct {
    const char *name; /* interned, unique in the context */
    dim_origin origin;
    int64_t min, max; /* inclusive; both always known */
    int64_t multiple; /* the value is a multiple of this; 1 if nothing is known */
    const char *doc;  /* what the source says of it; NULL: nothing */
} dim_symbol;

typedef struct dim_ctx dim_ctx;
dim_ctx *dims_new(arena *a, interner *names);

dim dim_const(dim_ctx *c, int64_t v);
/* A symbol; the same name twice returns the first (asserts that the facts agree). Some multiple must lie in min..max.
 */
dim dim_sym(dim_ctx *c, const char *name, dim_origin origin, int64_t min, int64_t max, int64_t multiple);
dim dim_find(const dim_ctx *c, const char *name);           /* DIM_BAD when there is none */
void dim_document(dim_ctx *c, dim symbol, const char *doc); /* keeps the first; doc is borrowed */
uint32_t dim_symbol_count(const dim_ctx *c);
const dim_symbol *dim_symbol_at(const dim_ctx *c, uint32_t i); /* in order of creation: the order of the dims table */

dim dim_add(dim_ctx *c, dim a, dim b);
dim dim_sub(dim_ctx *c, dim a, dim b);
dim dim_mul(dim_ctx *c, dim a, dim b);
/* Rounds to minus infinity; exact divisions of polynomials by constants fold. */
dim dim_floordiv(dim_ctx *c, dim a, dim b);
dim dim_ceildiv(dim_ctx *c, dim a, dim b);
dim dim_mod(dim_ctx *c, dim a, dim b); /* a - b * floordiv(a, b), folded when provable */
dim dim_min(dim_ctx *c, dim a, dim b);
dim dim_max(dim_ctx *c, dim a, dim b);

bool dim_is_const(const dim_ctx *c, dim d, int64_t *v); /* v may be NULL */
/* When d is one bare symbol: its index for dim_symbol_at; else -1. */
int32_t dim_is_symbol(const dim_ctx *c, dim d);
/* Inclusive bounds of d over all values of its symbols: sound, exact where d is linear in each symbol, mostly tight
 * through floordiv, min and max. */
void dim_bounds(const dim_ctx *c, dim d, int64_t *lo, int64_t *hi);
bool dim_le(dim_ctx *c, dim a, dim b);          /* provably a <= b for all values */
bool dim_divides(dim_ctx *c, int64_t k, dim a); /* provably k | a */
/* The largest constant known to divide d (1 when nothing is known; 0 for the constant 0, which all divide). */
int64_t dim_known_multiple(dim_ctx *c, dim d);

/* The value of d when symbol i has values[i], which must keep its facts (else the value is meaningless). False when an
 * operation overflows or divides by zero. */
bool dim_eval(const dim_ctx *c, dim d, const int64_t *values, int64_t *out);
/* d with symbol i replaced by with[i] (DIM_BAD: left as it is). */
dim dim_subst(dim_ctx *c, dim d, const dim *with, uint32_t n);
/* True when symbol i occurs in d. */
bool dim_uses(const dim_ctx *c, dim d, uint32_t symbol);

/* Visits the expression as a tree for code generation: the callbacks build values bottom-up. Sums and products may be
 * done in wrapping 64-bit arithmetic: operands of the other four always fit, and so does d. */
typedef enum {
    DIM_OP_CONST,
    DIM_OP_SYM,
    DIM_OP_ADD,
    DIM_OP_MUL,
    DIM_OP_FLOORDIV,
    DIM_OP_MOD,
    DIM_OP_MIN,
    DIM_OP_MAX
} dim_op;
typedef uint64_t dim_fold_fn(void *arg, dim_op op, int64_t constant_or_symbol, uint64_t left, uint64_t right);
uint64_t dim_fold(const dim_ctx *c, dim d, dim_fold_fn *fn, void *arg);

/* Text: "B", "B * S + 1", "ceildiv(S, 32)", "mod(S, 8)", "min(B, 4)"; dim_parse reads it back to the same id. Unknown
 * names are looked up with dim_find; on an error DIM_BAD and *err_at set to the offending byte. `*used` receives the
 * bytes consumed: parsing stops at the first character that cannot continue an expression. */
void dim_print(const dim_ctx *c, dim d, strbuf *out);
dim dim_parse(dim_ctx *c, const char *s, size_t n, size_t *used, size_t *err_at);

#endif
