/* Structural equality and hashing of kernels: names, sources and reports do not count; everything that code depends on
 * does.
 *
 * Two functions may have different dim contexts. For equality the dims of one are rebuilt in the other's context,
 * symbol for symbol, where equal expressions are one id. For the hash an expression is evaluated as a polynomial over
 * the integers modulo 2^61 - 1 at fixed pseudo-random points, with opaque mixing for the atoms that are no polynomials:
 * what is equal hashes equal whatever order its terms stand in. */
#include "ir/kir/kir_internal.h"

typedef struct {
    const kfunction *a, *b;
    const kvalue **pair; /* by id of a's values: b's */
    dim *symbols;        /* of b's context: the same of a's */
} comparison;

static bool same_dim(void *arg, dim x, dim y)
{
    const comparison *c = arg;
    if (x == DIM_BAD || y == DIM_BAD) return x == y;
    if (c->a->dims == c->b->dims) return x == y;
    return x == kdim_translate(c->b->dims, y, c->a->dims, c->symbols);
}

static bool same_value(const comparison *c, const kvalue *x, const kvalue *y)
{
    if (!x || !y) return x == y;
    return c->pair[x->id] == y;
}

static bool same_index(const comparison *c, kidx x, kidx y)
{
    return x.off == y.off && same_value(c, x.v, y.v);
}

static bool same_buffer(comparison *c, const kbuffer *x, const kbuffer *y)
{
    if (x->dt != y->dt || x->space != y->space || x->rank != y->rank || x->dense != y->dense || x->align != y->align ||
        x->swizzle.bits != y->swizzle.bits || x->swizzle.base != y->swizzle.base ||
        x->swizzle.shift != y->swizzle.shift)
        return false;
    for (int i = 0; i < x->rank; i++)
        if (!same_dim(c, x->shape[i], y->shape[i]) || (!x->dense && !same_dim(c, x->strides[i], y->strides[i])))
            return false;
    return true;
}

/* Two definitions: the same type, and from here on a pair. */
static bool pair_values(comparison *c, const kvalue *x, const kvalue *y)
{
    if (x->kind != y->kind) return false;
    if (x->kind == KV_TILE ? !ktile_equal(x->ty.tile, y->ty.tile) : !same_buffer(c, &x->ty.buf, &y->ty.buf))
        return false;
    c->pair[x->id] = y;
    return true;
}

static bool same_access(const comparison *c, const kmem *x, const kmem *y)
{
    if (x->n_idx != y->n_idx || !same_value(c, x->buf, y->buf)) return false;
    for (int i = 0; i < x->n_idx; i++)
        if (!same_index(c, x->idx[i], y->idx[i])) return false;
    for (int t = 0; t < KMAX_TILE_RANK; t++)
        if (x->axes[t] != y->axes[t] || x->bounded[t] != y->bounded[t] ||
            (x->bounded[t] && !same_index(c, x->bound[t], y->bound[t])))
            return false;
    return true;
}

static bool same_block(comparison *c, const kblock *x, const kblock *y);

static bool same_op(comparison *c, const kop *x, const kop *y)
{
    if (x->op != y->op || x->n_operands != y->n_operands || x->n_results != y->n_results ||
        x->n_blocks != y->n_blocks || x->n_mem != y->n_mem || x->n_launch_dims != y->n_launch_dims ||
        !ktile_equal(x->shape, y->shape))
        return false;
    const kop_info *row = kop_row(x->op);
    for (int i = 0; i < row->n_attrs; i++)
        if (!kattr_equal(&x->at, &y->at, row->attrs[i], same_dim, c)) return false;
    for (uint32_t i = 0; i < x->n_operands; i++)
        if (!same_value(c, x->operands[i], y->operands[i])) return false;
    for (int i = 0; i < x->n_mem; i++)
        if (!same_access(c, &x->mem[i], &y->mem[i])) return false;
    if (!same_index(c, x->lo, y->lo) || !same_index(c, x->hi, y->hi)) return false;
    for (uint32_t i = 0; i < x->n_launch_dims; i++)
        if (!same_dim(c, x->launch_dims[i], y->launch_dims[i])) return false;
    for (uint32_t i = 0; i < x->n_blocks; i++)
        if (!same_block(c, x->blocks[i], y->blocks[i])) return false;
    for (uint32_t i = 0; i < x->n_results; i++)
        if (!pair_values(c, x->results[i], y->results[i])) return false;
    return true;
}

static bool same_block(comparison *c, const kblock *x, const kblock *y)
{
    if (x->n_args != y->n_args) return false;
    for (uint32_t i = 0; i < x->n_args; i++)
        if (!pair_values(c, x->args[i], y->args[i])) return false;
    const kop *o = x->first, *p = y->first;
    for (; o && p; o = o->next, p = p->next)
        if (!same_op(c, o, p)) return false;
    return o == p;
}

static bool same_symbols(comparison *c, arena *scratch)
{
    const dim_ctx *x = c->a->dims, *y = c->b->dims;
    if (x == y) return true;
    uint32_t n = dim_symbol_count(x);
    if (n != dim_symbol_count(y)) return false;
    c->symbols = ARENA_ARRAY(scratch, dim, n);
    for (uint32_t i = 0; i < n; i++) {
        const dim_symbol *s = dim_symbol_at(x, i), *t = dim_symbol_at(y, i);
        if (s->min != t->min || s->max != t->max || s->multiple != t->multiple || s->origin != t->origin) return false;
        c->symbols[i] = dim_sym(c->a->dims, s->name, s->origin, s->min, s->max, s->multiple);
    }
    return true;
}

static bool same_param(comparison *c, const kparam *x, const kparam *y)
{
    if (x->role != y->role || x->mode != y->mode || !pair_values(c, x->v, y->v)) return false;
    if (x->role == KPARAM_BUFFER) return true;
    if (strcmp(x->tensor ? x->tensor : "", y->tensor ? y->tensor : "") != 0) return false;
    return x->weight == y->weight || (x->weight && y->weight && cexpr_equal(x->weight, y->weight));
}

bool kfunction_equal(const kfunction *a, const kfunction *b)
{
    if (a == b) return true;
    if (a->target != b->target || a->warps != b->warps || a->params.len != b->params.len) return false;
    arena *scratch = a->m->a;
    comparison c = {.a = a, .b = b, .pair = ARENA_ARRAY(scratch, const kvalue *, a->n_values)};
    bool same = same_symbols(&c, scratch);
    for (uint32_t i = 0; same && i < a->params.len; i++) same = same_param(&c, &a->params.data[i], &b->params.data[i]);
    same = same && same_block(&c, a->body, b->body);
    return same;
}

/* ---- hashing ---- */

static const uint64_t prime = (UINT64_C(1) << 61) - 1;

static uint64_t reduced(unsigned __int128 x)
{
    return (uint64_t)(x % prime);
}

static uint64_t mixed(uint64_t x, uint64_t salt)
{
    return reduced(hash_bytes(&x, sizeof x, salt));
}

static uint64_t hash_dim_op(void *arg, dim_op op, int64_t n, uint64_t l, uint64_t r)
{
    (void)arg;
    switch (op) {
    case DIM_OP_CONST: return n < 0 ? prime - (uint64_t)(-(n + 1)) % prime - 1 : (uint64_t)n % prime;
    case DIM_OP_SYM: return mixed((uint64_t)n, 1);
    case DIM_OP_ADD: return reduced((unsigned __int128)l + r);
    case DIM_OP_MUL: return reduced((unsigned __int128)l * r);
    case DIM_OP_FLOORDIV: return mixed(l, mixed(r, 2));
    case DIM_OP_MOD: return mixed(l, mixed(r, 3));
    case DIM_OP_MIN: /* x + y + c x y: the same however a chain of them is nested and ordered */
    case DIM_OP_MAX:
        return reduced(l + (unsigned __int128)r +
                       (unsigned __int128)reduced((unsigned __int128)l * r) * (op == DIM_OP_MIN ? 5 : 7));
    }
    return 0;
}

typedef struct {
    const kfunction *f;
    uint32_t *number; /* of values, in order of definition */
    uint32_t next;
    uint64_t h;
} hasher;

static void add(hasher *s, uint64_t x)
{
    s->h = hash_bytes(&x, sizeof x, s->h);
}

static void add_dim(hasher *s, dim d)
{
    add(s, d == DIM_BAD ? 0 : 1 + dim_fold(s->f->dims, d, hash_dim_op, NULL));
}

static void add_index(hasher *s, kidx i)
{
    add(s, i.v ? s->number[i.v->id] : 0);
    add(s, (uint64_t)i.off);
}

static void define(hasher *s, const kvalue *v)
{
    s->number[v->id] = ++s->next;
    if (v->kind == KV_TILE) {
        ktile t = v->ty.tile;
        add(s, (uint64_t)t.dt | (uint64_t)t.rank << 8 | (uint64_t)t.layout << 16);
        for (int i = 0; i < t.rank; i++) add(s, (uint64_t)t.shape[i]);
        return;
    }
    const kbuffer *b = &v->ty.buf;
    add(s, (uint64_t)b->dt | (uint64_t)b->space << 8 | (uint64_t)b->rank << 16 | (uint64_t)b->dense << 24);
    for (int i = 0; i < b->rank; i++) {
        add_dim(s, b->shape[i]);
        if (!b->dense) add_dim(s, b->strides[i]);
    }
}

static void hash_block(hasher *s, const kblock *b);

static void hash_op(hasher *s, const kop *o)
{
    add(s, (uint64_t)o->op);
    const kop_info *row = kop_row(o->op);
    for (int i = 0; i < row->n_attrs; i++) {
        switch (kattr_kind_of(row->attrs[i])) {
        case KK_REAL: s->h = hash_bytes(&o->at.real, sizeof o->at.real, s->h); break;
        case KK_DIM: add_dim(s, kattr_dim(&o->at, row->attrs[i])); break;
        case KK_SYMBOL: s->h = hash_bytes(o->at.callee, strlen(o->at.callee), s->h); break;
        case KK_INTS:
            for (uint32_t k = 0; k < o->at.cases.n; k++) add(s, (uint64_t)o->at.cases.v[k]);
            break;
        default: add(s, (uint64_t)kattr_int(&o->at, row->attrs[i]));
        }
    }
    for (uint32_t i = 0; i < o->n_operands; i++) add(s, s->number[o->operands[i]->id]);
    for (int k = 0; k < o->n_mem; k++) {
        const kmem *m = &o->mem[k];
        add(s, s->number[m->buf->id]);
        for (int i = 0; i < m->n_idx; i++) add_index(s, m->idx[i]);
        for (int t = 0; t < KMAX_TILE_RANK; t++) {
            add(s, (uint64_t)m->axes[t] | (uint64_t)m->bounded[t] << 8);
            if (m->bounded[t]) add_index(s, m->bound[t]);
        }
    }
    add_index(s, o->lo);
    add_index(s, o->hi);
    for (uint32_t i = 0; i < o->n_launch_dims; i++) add_dim(s, o->launch_dims[i]);
    for (uint32_t i = 0; i < o->n_blocks; i++) hash_block(s, o->blocks[i]);
    for (uint32_t i = 0; i < o->n_results; i++) define(s, o->results[i]);
}

static void hash_block(hasher *s, const kblock *b)
{
    for (uint32_t i = 0; i < b->n_args; i++) define(s, b->args[i]);
    for (const kop *o = b->first; o; o = o->next) hash_op(s, o);
}

uint64_t kfunction_hash(const kfunction *f)
{
    arena *scratch = f->m->a;
    hasher s = {.f = f, .number = ARENA_ARRAY(scratch, uint32_t, f->n_values), .h = (uint64_t)f->target};
    add(&s, f->warps);
    for (uint32_t i = 0; i < dim_symbol_count(f->dims); i++) {
        add(&s, (uint64_t)dim_symbol_at(f->dims, i)->min);
        add(&s, (uint64_t)dim_symbol_at(f->dims, i)->max);
    }
    for (uint32_t i = 0; i < f->params.len; i++) {
        add(&s, (uint64_t)f->params.data[i].mode);
        define(&s, f->params.data[i].v);
    }
    hash_block(&s, f->body);
    return s.h;
}
