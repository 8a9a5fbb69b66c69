/* Scalars of kernels as intervals, and which of them steer. */
#include "ir/kir/kcost_internal.h"
#include "ir/scalar_eval.h"

/* ---- arithmetic ---- */

static const kinterval unknown = {false, 0, 0};

static kinterval make(int64_t lo, int64_t hi)
{
    return (kinterval){true, lo, hi};
}

static kinterval add(kinterval x, kinterval y)
{
    kinterval r = {.known = true};
    bool over = __builtin_add_overflow(x.lo, y.lo, &r.lo);
    over |= __builtin_add_overflow(x.hi, y.hi, &r.hi);
    return over ? unknown : r;
}

static kinterval negate(kinterval x)
{
    return x.lo == INT64_MIN ? unknown : make(-x.hi, -x.lo);
}

/* The least and the greatest of a function that is monotonic in each operand, at the corners. */
typedef bool corner_fn(int64_t a, int64_t b, int64_t *out);
static kinterval corners(kinterval x, kinterval y, corner_fn *fn)
{
    int64_t v[4], a[2] = {x.lo, x.hi}, b[2] = {y.lo, y.hi};
    kinterval r = unknown;
    for (int i = 0; i < 4; i++) {
        if (!fn(a[i / 2], b[i % 2], &v[i])) return unknown;
        if (!r.known || v[i] < r.lo) r.lo = v[i];
        if (!r.known || v[i] > r.hi) r.hi = v[i];
        r.known = true;
    }
    return r;
}

static bool product(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static bool quotient(int64_t a, int64_t b, int64_t *out)
{
    *out = sc_floordiv_i64(a, b);
    return b > 0;
}

static bool left_shift(int64_t a, int64_t b, int64_t *out)
{
    return b >= 0 && b < 63 && !__builtin_mul_overflow(a, (int64_t)1 << b, out);
}

static bool right_shift(int64_t a, int64_t b, int64_t *out)
{
    *out = b >= 0 && b < 64 ? a >> b : 0;
    return b >= 0 && b < 64;
}

static kinterval modulo(kinterval x, kinterval y)
{
    if (!kinterval_is_point(y) || y.lo <= 0) return unknown;
    int64_t q = sc_floordiv_i64(x.lo, y.lo), lo = x.lo - q * y.lo;
    if (sc_floordiv_i64(x.hi, y.lo) == q) return make(lo, lo + (x.hi - x.lo));
    return make(0, y.lo - 1);
}

static kinterval truth(bool always, bool never)
{
    return make(always, !never);
}

/* Bitwise operations of single values. */
static kinterval bits(kop_kind op, kinterval x, kinterval y)
{
    if (!kinterval_is_point(x) || !kinterval_is_point(y)) return unknown;
    return kinterval_point(op == KOP_BITAND ? x.lo & y.lo : op == KOP_BITOR ? x.lo | y.lo : x.lo ^ y.lo);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t greatest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static kinterval map(kop_kind op, const kinterval *in)
{
    kinterval x = in[0], y = in[1];
    switch (op) {
    case KOP_ADD: return add(x, y);
    case KOP_SUB: return y.lo == INT64_MIN ? unknown : add(x, negate(y));
    case KOP_MUL: return corners(x, y, product);
    case KOP_DIV: return corners(x, y, quotient);
    case KOP_MOD: return modulo(x, y);
    case KOP_MIN: return make(least(x.lo, y.lo), least(x.hi, y.hi));
    case KOP_MAX: return make(greatest(x.lo, y.lo), greatest(x.hi, y.hi));
    case KOP_NEG: return negate(x);
    case KOP_EQ:
        return truth(kinterval_is_point(x) && kinterval_is_point(y) && x.lo == y.lo, x.hi < y.lo || y.hi < x.lo);
    case KOP_NE:
        return truth(x.hi < y.lo || y.hi < x.lo, kinterval_is_point(x) && kinterval_is_point(y) && x.lo == y.lo);
    case KOP_LT: return truth(x.hi < y.lo, x.lo >= y.hi);
    case KOP_LE: return truth(x.hi <= y.lo, x.lo > y.hi);
    case KOP_GT: return truth(x.lo > y.hi, x.hi <= y.lo);
    case KOP_GE: return truth(x.lo >= y.hi, x.hi < y.lo);
    case KOP_AND: return truth(x.lo && y.lo, !x.hi || !y.hi);
    case KOP_OR: return truth(x.lo || y.lo, !x.hi && !y.hi);
    case KOP_NOT: return truth(!x.hi, x.lo);
    case KOP_SHL: return corners(x, y, left_shift);
    case KOP_SHR: return corners(x, y, right_shift);
    case KOP_BITAND:
    case KOP_BITOR:
    case KOP_BITXOR: return bits(op, x, y);
    default: return unknown;
    }
}

/* Whether all of x is a value of the dtype. */
static bool fits(dtype dt, kinterval x)
{
    uint32_t n = dtype_bits(dt);
    if (dt == DT_BOOL) return x.lo >= 0 && x.hi <= 1;
    if (dtype_class_of(dt) == DTC_UINT) return x.lo >= 0 && (n >= 63 || x.hi >> n == 0);
    return n >= 64 || (x.lo >= -((int64_t)1 << (n - 1)) && x.hi < (int64_t)1 << (n - 1));
}

kinterval kinterval_map(kop_kind op, dtype dt, const kinterval *in)
{
    kinterval r;
    if (op == KOP_SELECT) {
        if (kinterval_is_point(in[0])) r = in[0].lo ? in[1] : in[2];
        else if (!in[1].known || !in[2].known) return unknown;
        else r = make(least(in[1].lo, in[2].lo), greatest(in[1].hi, in[2].hi));
        return r;
    }
    if (op == KOP_CAST) {
        r = in[0];
    } else {
        int arity = kscalar_row(op)->arity;
        bool limits = dt == DT_I64 && (op == KOP_MIN || op == KOP_MAX), limited = true;
        kinterval x[3];
        for (int i = 0; i < arity; i++) {
            x[i] = in[i].known ? in[i] : make(INT64_MIN, INT64_MAX);
            limited = limited && kinterval_is_limited(x[i]);
        }
        if (!limited && !limits) return unknown;
        r = map(op, x);
        if (r.lo == INT64_MIN && r.hi == INT64_MAX) return unknown;
    }
    return r.known && fits(dt, r) ? r : unknown;
}

/* ---- control ---- */

typedef struct {
    bool *steers;
    bool changed;
} control;

static void mark(control *c, const kvalue *v)
{
    if (!v || v->kind != KV_TILE || v->ty.tile.rank || c->steers[v->id]) return;
    c->steers[v->id] = true;
    c->changed = true;
}

static void mark_slot(void *arg, kvalue **slot)
{
    mark(arg, *slot);
}

static const kop *yield_of(const kblock *b)
{
    return b->last && b->last->op == KOP_YIELD ? b->last : NULL;
}

/* What a result is made of. */
static void mark_sources(control *c, kop *o)
{
    for (uint32_t i = 0; i < o->n_results; i++) {
        bool wanted = c->steers[o->results[i]->id];
        if (o->op == KOP_FOR) {
            const kvalue *carried = o->blocks[0]->args[i + 1];
            if (!wanted && !c->steers[carried->id]) continue;
            mark(c, carried);
            mark(c, o->operands[i]);
            mark(c, yield_of(o->blocks[0])->operands[i]);
        } else if (wanted && o->op == KOP_IF) {
            for (uint32_t k = 0; k < o->n_blocks; k++) mark(c, yield_of(o->blocks[k])->operands[i]);
        } else if (wanted && o->op != KOP_LOAD) {
            kop_foreach_read(o, mark_slot, c);
        }
    }
}

static void visit(control *c, const kblock *b)
{
    for (kop *o = b->last; o; o = o->prev) {
        mark_sources(c, o);
        if (o->op == KOP_FOR) mark(c, o->lo.v), mark(c, o->hi.v);
        if (o->op == KOP_IF || o->op == KOP_SWITCH) mark(c, o->operands[0]);
        for (int m = 0; m < o->n_mem; m++)
            for (int t = 0; t < KMAX_TILE_RANK; t++)
                if (o->mem[m].bounded[t]) mark(c, o->mem[m].bound[t].v);
        for (uint32_t i = 0; i < o->n_blocks; i++) visit(c, o->blocks[i]);
        mark_sources(c, o);
    }
}

bool *kcontrol_values(const kfunction *f, arena *a)
{
    control c = {ARENA_ARRAY(a, bool, f->n_values), true};
    while (c.changed) {
        c.changed = false;
        visit(&c, f->body);
    }
    return c.steers;
}
