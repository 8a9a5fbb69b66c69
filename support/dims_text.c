/* Dims as text, both ways. What is printed parses back to the same id: the parser only calls the arithmetic, and every
 * shorthand printed (ceildiv, mod, a symbol for its atom) is an identity of it. */
#include "support/dims_impl.h"

#include <assert.h>
#include <stdio.h>

/* Printing. */

/* coef * text, as the first or a further summand. */
static void begin_term(strbuf *out, bool first, int64_t coef, bool alone)
{
    uint64_t magnitude = coef < 0 ? -(uint64_t)coef : (uint64_t)coef;
    if (coef < 0) strbuf_adds(out, first ? "-" : " - ");
    else if (!first) strbuf_adds(out, " + ");
    if (alone) strbuf_addf(out, "%llu", (unsigned long long)magnitude);
    else if (magnitude != 1) strbuf_addf(out, "%llu * ", (unsigned long long)magnitude);
}

static void print_terms(const dim_ctx *c, const term *t, uint32_t n, int64_t scale, strbuf *out);

/* The least number that times p leaves no symbol divided by its multiple; 1 when that is not small. */
static int64_t whole_scale(const dim_ctx *c, const polynomial *p)
{
    wide scale = 1;
    for (uint32_t i = 0; i < p->n; i++) {
        const monomial *m = &c->monos.data[p->t[i].mono];
        wide need = 1;
        for (uint32_t j = 0; j < m->n; j++) {
            const atom *x = &c->atoms.data[m->f[j].atom];
            for (uint32_t power = m->f[j].power; x->kind == ATOM_SYMBOL && power-- && need <= UINT32_MAX;)
                need *= c->symbols.data[x->symbol]->facts.multiple;
        }
        need /= wide_gcd(need, p->t[i].coef);
        scale *= need / wide_gcd(need, scale);
        if (scale > UINT32_MAX) return 1;
    }
    for (uint32_t i = 0; i < p->n; i++)
        if (p->t[i].coef > INT64_MAX / scale || p->t[i].coef < INT64_MIN / scale) return 1;
    return (int64_t)scale;
}

/* floordiv(a, k); one whose a ends in + k - 1 is written as ceildiv. Both parts are scaled to show symbols whole. */
static void print_floordiv(const dim_ctx *c, const polynomial *a, int64_t k, strbuf *out)
{
    bool ceil = a->n > 1 && !a->t[a->n - 1].mono && a->t[a->n - 1].coef == k - 1;
    polynomial shown = *a;
    shown.n -= ceil;
    int64_t scale = whole_scale(c, &shown);
    if (k > INT64_MAX / scale) scale = 1;
    strbuf_adds(out, ceil ? "ceildiv(" : "floordiv(");
    print_terms(c, shown.t, shown.n, scale, out);
    strbuf_addf(out, ", %lld)", (long long)(k * scale));
}

static void print_factor(const dim_ctx *c, term_factor f, strbuf *out)
{
    if (f.is_symbol) {
        strbuf_adds(out, c->symbols.data[f.id]->facts.name);
        return;
    }
    const atom *x = &c->atoms.data[f.id];
    int64_t k;
    if (x->kind == ATOM_SYMBOL) {
        const dim_symbol *s = &c->symbols.data[x->symbol]->facts;
        strbuf_addf(out, "floordiv(%s, %lld)", s->name, (long long)s->multiple);
    } else if (x->kind == ATOM_FLOORDIV && dim_is_const(c, x->args[1], &k)) {
        print_floordiv(c, poly_of(c, x->args[0]), k, out);
    } else {
        strbuf_adds(out, x->kind == ATOM_FLOORDIV ? "floordiv(" : x->kind == ATOM_MOD ? "mod(" : "min(");
        for (uint32_t i = 0; i < x->n; i++) {
            if (i) strbuf_adds(out, ", ");
            dim_print(c, x->args[i], out);
        }
        strbuf_addc(out, ')');
    }
}

static void print_term(const dim_ctx *c, term t, bool first, strbuf *out)
{
    term_factor f[MAX_DEGREE];
    int64_t coef;
    uint32_t n = term_factors(c, t, f, &coef);
    begin_term(out, first, coef, n == 0);
    for (uint32_t i = 0; i < n; i++) {
        if (i) strbuf_adds(out, " * ");
        print_factor(c, f[i], out);
    }
}

static void print_terms(const dim_ctx *c, const term *t, uint32_t n, int64_t scale, strbuf *out)
{
    for (uint32_t i = 0; i < n; i++) print_term(c, (term){t[i].mono, t[i].coef * scale}, i == 0, out);
    if (!n) strbuf_addc(out, '0');
}

/* j * mod(a, k) or j * max(a, b) */
static void print_shorthand(const dim_ctx *c, const shorthand *s, bool first, strbuf *out)
{
    const polynomial *a = poly_of(c, s->x->args[0]);
    int64_t k = 1, scale = whole_scale(c, a);
    bool mod = s->x->kind == ATOM_FLOORDIV && dim_is_const(c, s->x->args[1], &k);
    if (!mod || s->j % scale || k > INT64_MAX / scale) scale = 1;
    begin_term(out, first, s->j / scale, false);
    strbuf_adds(out, mod ? "mod(" : "max(");
    print_terms(c, a->t, a->n, scale, out);
    strbuf_adds(out, ", ");
    if (mod) strbuf_addf(out, "%lld", (long long)(k * scale));
    else dim_print(c, s->x->args[1], out);
    strbuf_addc(out, ')');
}

void dim_print(const dim_ctx *c, dim d, strbuf *out)
{
    if (d == DIM_BAD) {
        strbuf_adds(out, "<bad>");
        return;
    }
    const polynomial *p = poly_of(c, d);
    shorthand s = find_shorthand(c, p);
    bool first = true;
    for (uint32_t i = 0; i < p->n; i++) {
        if (shorthand_covers(c, &s, &p->t[i])) continue;
        if (&p->t[i] == s.at) print_shorthand(c, &s, first, out);
        else print_term(c, p->t[i], first, out);
        first = false;
    }
    if (s.at && s.constant_left) print_term(c, (term){0, s.constant_left}, first, out);
    else if (first) strbuf_addc(out, '0');
}

/* Parsing. */

enum { MAX_NESTING = 100 };

typedef struct {
    dim_ctx *c;
    const char *s;
    size_t n, at; /* at: the next byte */
    size_t used;  /* behind the last token taken */
    size_t error_at;
    bool failed;
    int depth;
} parser;

static dim fail(parser *p, size_t at)
{
    if (!p->failed) p->error_at = at;
    p->failed = true;
    return DIM_BAD;
}

static void skip_space(parser *p)
{
    while (p->at < p->n && (p->s[p->at] == ' ' || p->s[p->at] == '\t' || p->s[p->at] == '\n' || p->s[p->at] == '\r'))
        p->at++;
}

static bool next_is(parser *p, char ch)
{
    skip_space(p);
    return p->at < p->n && p->s[p->at] == ch;
}

static bool take(parser *p, char ch)
{
    if (!next_is(p, ch)) return false;
    p->used = ++p->at;
    return true;
}

static bool is_digit(char ch)
{
    return ch >= '0' && ch <= '9';
}

static bool is_letter(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_';
}

static dim parse_sum(parser *p);

static dim checked(parser *p, dim d, size_t at)
{
    return d == DIM_BAD ? fail(p, at) : d;
}

/* A literal up to 2^63, which only a minus before it makes fit. */
static wide parse_number(parser *p)
{
    const uint64_t limit = (uint64_t)INT64_MAX + 1;
    size_t begin = p->at;
    uint64_t v = 0;
    for (; p->at < p->n && is_digit(p->s[p->at]); p->at++) {
        uint64_t digit = (uint64_t)(p->s[p->at] - '0');
        if (v > (limit - digit) / 10) {
            fail(p, begin);
            return 0;
        }
        v = v * 10 + digit;
    }
    if (p->at < p->n && is_letter(p->s[p->at])) fail(p, p->at);
    p->used = p->at;
    return (wide)v;
}

typedef dim binary(dim_ctx *c, dim a, dim b);

/* The operation called `name`, or NULL. */
static binary *find_function(const char *name, size_t n)
{
    static const struct {
        const char *name;
        binary *fn;
    } functions[] = {
        {"floordiv", dim_floordiv}, {"ceildiv", dim_ceildiv}, {"mod", dim_mod}, {"min", dim_min}, {"max", dim_max}};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strlen(functions[i].name) == n && !memcmp(functions[i].name, name, n)) return functions[i].fn;
    return NULL;
}

/* The operands of a function, from behind its '('; min and max take two operands or more. */
static dim parse_call(parser *p, binary *fn, size_t name_at)
{
    bool more = fn == dim_min || fn == dim_max;
    dim args[MAX_ARGS];
    uint32_t n = 0;
    do args[n++] = parse_sum(p);
    while (!p->failed && n < (more ? MAX_ARGS : 2) && take(p, ','));
    if (p->failed) return DIM_BAD;
    dim value;
    if (fn == dim_min) {
        value = dim_min_of(p->c, args, n);
    } else {
        value = args[0];
        for (uint32_t i = 1; i < n; i++) value = fn(p->c, value, args[i]);
    }
    while (more && !p->failed && take(p, ',')) { /* more than one atom holds */
        args[0] = parse_sum(p);
        if (!p->failed) value = fn(p->c, value, args[0]);
    }
    if (p->failed) return DIM_BAD;
    if (n < 2 || !take(p, ')')) {
        skip_space(p);
        return fail(p, p->at);
    }
    return checked(p, value, name_at);
}

static dim parse_name(parser *p)
{
    size_t begin = p->at;
    while (p->at < p->n && (is_letter(p->s[p->at]) || is_digit(p->s[p->at]))) p->at++;
    size_t end = p->at;
    binary *fn = find_function(p->s + begin, end - begin);
    if (fn && take(p, '(')) return parse_call(p, fn, begin);
    p->at = p->used = end;
    return checked(p, dim_find(p->c, intern(p->c->names, p->s + begin, end - begin)), begin);
}

static dim parse_primary(parser *p)
{
    if (p->at == p->n || p->depth == MAX_NESTING) return fail(p, p->at);
    p->depth++;
    dim d;
    if (take(p, '(')) {
        d = parse_sum(p);
        if (!p->failed && !take(p, ')')) {
            skip_space(p);
            d = fail(p, p->at);
        }
    } else if (is_letter(p->s[p->at])) {
        d = parse_name(p);
    } else {
        d = fail(p, p->at);
    }
    p->depth--;
    return d;
}

static work *scaled(parser *p, work *w, wide by)
{
    work *result = work_get(p->c);
    work_add_work(p->c, result, w, by);
    work_put(p->c, w);
    return result;
}

/* Sums and products are kept wide until they are whole: a part of one may exceed 64 bits where the whole does not. */
static work *parse_product(parser *p)
{
    work *value = work_get(p->c);
    work_add(p->c, value, 0, 1);
    do {
        wide sign = 1;
        while (take(p, '-')) sign = -sign;
        skip_space(p);
        if (p->at < p->n && is_digit(p->s[p->at])) {
            value = scaled(p, value, sign * parse_number(p));
        } else {
            dim d = parse_primary(p);
            if (p->failed) break;
            work_multiply(p->c, value, d);
            value = scaled(p, value, sign);
        }
    } while (!p->failed && take(p, '*'));
    return value;
}

static dim parse_sum(parser *p)
{
    work *sum = work_get(p->c);
    skip_space(p);
    size_t begin = p->at;
    bool minus = false;
    do {
        work *product = parse_product(p);
        work_add_work(p->c, sum, product, minus ? -1 : 1);
        work_put(p->c, product);
        minus = !p->failed && next_is(p, '-');
    } while (!p->failed && (take(p, '-') || take(p, '+')));
    dim d = work_finish(p->c, sum);
    return p->failed ? DIM_BAD : checked(p, d, begin);
}

dim dim_parse(dim_ctx *c, const char *s, size_t n, size_t *used, size_t *err_at)
{
    parser p = {.c = c, .s = s, .n = n};
    dim d = parse_sum(&p);
    if (used) *used = p.used;
    if (p.failed && err_at) *err_at = p.error_at;
    return p.failed ? DIM_BAD : d;
}
