/* The kernel-IR verifier: types of single ops, and where memory accesses may go. One check_##name per row of kops.def.
 */
#include "ir/kir/kir_verify.h"

enum { MAX_TILE_ELEMENTS = 1 << 16, MAX_KEEP = 7 };

/* ---- types ---- */

bool kverify_scalar(const kvalue *x, dtype dt)
{
    return x->kind == KV_TILE && x->ty.tile.rank == 0 && x->ty.tile.dt == dt;
}

static bool is_fragment(klayout l)
{
    return l == KL_MMA_A || l == KL_MMA_B || l == KL_MMA_C || l == KL_WGMMA_C;
}

/* Rows and columns of one fragment; 1 where an axis of size 1 is allowed besides. */
static bool fragment_fits(ktile t, int32_t rows, int32_t cols, bool or_one)
{
    return t.rank == 2 && (t.shape[0] % rows == 0 || (or_one && t.shape[0] == 1)) &&
           (t.shape[1] % cols == 0 || (or_one && t.shape[1] == 1));
}

static bool check_fragments(kverifier *v, const kop *o, ktile t)
{
    bool ok = true;
    switch (t.layout) {
    case KL_MMA_A: ok = dtype_bits(t.dt) == 16 && fragment_fits(t, 16, 16, false); break;
    case KL_MMA_B: ok = dtype_bits(t.dt) == 16 && fragment_fits(t, 16, 8, false); break;
    case KL_MMA_C: ok = fragment_fits(t, 16, 8, true); break;
    case KL_WGMMA_C: ok = fragment_fits(t, 64, 8, true) && t.shape[0] <= 64 && t.shape[1] <= 256; break;
    case KL_SHARED: ok = dtype_bits(t.dt) == 16 && t.rank == 2; break;
    default: break;
    }
    if (ok && is_fragment(t.layout)) ok = dtype_bits(t.dt) <= 32;
    return ok ? true : kverify_error(v, o, "the tile is no whole number of %s fragments", klayout_name(t.layout));
}

bool kverify_tile(kverifier *v, const kop *o, ktile t)
{
    if ((unsigned)t.dt >= DT_COUNT || t.rank > KMAX_TILE_RANK || (unsigned)t.layout >= KL_COUNT)
        return kverify_error(v, o, "not a tile type");
    for (int i = 0; i < t.rank; i++)
        if (t.shape[i] < 1) return kverify_error(v, o, "a tile of size %d", t.shape[i]);
    if (ktile_elements(t) > MAX_TILE_ELEMENTS)
        return kverify_error(v, o, "a tile of more than %d elements", MAX_TILE_ELEMENTS);
    if (t.rank == 0) return t.layout == KL_VEC ? true : kverify_error(v, o, "a scalar has no layout");
    if (v->level == KLEVEL_PLAN || v->level == KLEVEL_TOP || v->level == KLEVEL_BLOCK)
        return kverify_error(v, o, "a tile outside of the loop over tasks or agents");
    kagent agent = klayout_agent(t.layout);
    bool fits = v->level == KLEVEL_THREAD ? agent == KAGENT_THREAD : agent == v->agent || t.layout == KL_LANES;
    if (!fits) return kverify_error(v, o, "layout %s is not one of this loop's agents", klayout_name(t.layout));
    return check_fragments(v, o, t);
}

static bool check_swizzle(kverifier *v, const kop *o, const kbuffer *b)
{
    kswizzle s = b->swizzle;
    if (!s.bits) return true;
    uint32_t top = (uint32_t)s.bits + s.base + s.shift;
    if (b->space != KSPACE_SHARED) return kverify_error(v, o, "only shared memory is swizzled");
    if (s.shift < s.bits || top > 16) return kverify_error(v, o, "a swizzle with overlapping or too many bits");
    int64_t bytes;
    if (!dim_is_const(v->f->dims, kbuffer_bytes(v->f->dims, b), &bytes) || bytes % (1 << (s.bits + s.base)))
        return kverify_error(v, o, "a swizzled buffer is a whole number of blocks of %d bytes", 1 << (s.bits + s.base));
    if (b->align < 1u << top)
        return kverify_error(v, o, "swizzle(%d, %d, %d) needs align %u", s.bits, s.base, s.shift, 1u << top);
    return true;
}

bool kverify_buffer(kverifier *v, const kop *o, const kbuffer *b)
{
    if ((unsigned)b->dt >= DT_COUNT || (unsigned)b->space > KSPACE_WORKSPACE || b->rank > KMAX_RANK)
        return kverify_error(v, o, "not a buffer type");
    for (int i = 0; i < b->rank; i++) {
        int64_t lo = 0, stride = 0, hi;
        if (b->shape[i] == DIM_BAD || (!b->dense && b->strides[i] == DIM_BAD))
            return kverify_error(v, o, "a size or stride that does not fit in 64 bits");
        dim_bounds(v->f->dims, b->shape[i], &lo, &hi);
        if (!b->dense) dim_bounds(v->f->dims, b->strides[i], &stride, &hi);
        if (lo < 0 || stride < 0) return kverify_error(v, o, "a size or stride that may be negative");
    }
    if (b->align & (b->align - 1)) return kverify_error(v, o, "align %u is no power of two", b->align);
    if (dtype_bits(b->dt) % 8 && !b->dense)
        return kverify_error(v, o, "a strided buffer of elements smaller than a byte");
    if (kbuffer_bytes(v->f->dims, b) == DIM_BAD)
        return kverify_error(v, o, "a buffer whose bytes do not fit in 64 bits");
    return check_swizzle(v, o, b);
}

const kvalue *kbuffer_root(const kvalue *b)
{
    while (b->def && b->def->op == KOP_VIEW) b = b->def->mem[0].buf;
    return b;
}

const kparam *kfunction_param(const kfunction *f, const kvalue *b)
{
    for (uint32_t i = 0; i < f->params.len && !b->def && !b->arg_of; i++)
        if (f->params.data[i].v == b) return &f->params.data[i];
    return NULL;
}

/* ---- accesses ---- */

static bool check_indices(kverifier *v, const kop *o, const kmem *m)
{
    if (m->buf->kind != KV_BUFFER) return kverify_error(v, o, "what is accessed is not a buffer");
    if (m->n_idx != m->buf->ty.buf.rank)
        return kverify_error(v, o, "%d indices for a buffer of %d axes", m->n_idx, m->buf->ty.buf.rank);
    for (int i = 0; i < m->n_idx; i++)
        if (m->idx[i].v && !kverify_scalar(m->idx[i].v, DT_I64))
            return kverify_error(v, o, "index %d is not an i64", i);
    return true;
}

/* An access that is outside of the buffer whatever the dims are. */
static bool check_static_range(kverifier *v, const kop *o, const kmem *m, ktile t)
{
    const kbuffer *b = &m->buf->ty.buf;
    for (int i = 0; i < t.rank; i++)
        if (m->bounded[i]) return true;
    for (int i = 0; i < m->n_idx; i++) {
        int64_t extent = 1, lo, hi, end;
        for (int k = 0; k < t.rank; k++)
            if (m->axes[k] == i) extent = t.shape[k];
        dim_bounds(v->f->dims, b->shape[i], &lo, &hi);
        if (m->idx[i].v) {
            if (extent > hi) return kverify_error(v, o, "the tile is larger than axis %d of the buffer", i);
            continue;
        }
        if (m->idx[i].off < 0 || __builtin_add_overflow(m->idx[i].off, extent, &end) || end > hi)
            return kverify_error(v, o, "outside of axis %d of the buffer", i);
    }
    return true;
}

static bool check_access(kverifier *v, const kop *o, const kmem *m, ktile t)
{
    if (!check_indices(v, o, m)) return false;
    const kbuffer *b = &m->buf->ty.buf;
    if (b->dt != t.dt) return kverify_error(v, o, "the buffer holds %s", dtype_name(b->dt));
    if (dtype_bits(b->dt) % 8 && t.layout == KL_SHARED) return kverify_error(v, o, "elements smaller than a byte");
    for (int i = 0; i < t.rank; i++) {
        uint8_t axis = m->axes[i];
        if (axis == KAXIS_NONE) {
            if (t.shape[i] != 1) return kverify_error(v, o, "axis %d of the tile runs along no axis of the buffer", i);
            if (m->bounded[i]) return kverify_error(v, o, "a bound along no axis of the buffer");
            continue;
        }
        if (axis >= b->rank) return kverify_error(v, o, "the buffer has no axis %d", axis);
        if (i && axis == m->axes[0]) return kverify_error(v, o, "both axes of the tile run along axis %d", axis);
        if (m->bounded[i] && m->bound[i].v && !kverify_scalar(m->bound[i].v, DT_I64))
            return kverify_error(v, o, "a bound is not an i64");
    }
    for (int i = t.rank; i < KMAX_TILE_RANK; i++)
        if (m->bounded[i]) return kverify_error(v, o, "a bound for an axis that the tile lacks");
    return check_static_range(v, o, m, t);
}

/* Where kernels may reach: CPU global, stack, scratch; GPU global, shared. */
static bool check_written(kverifier *v, const kop *o, const kmem *m)
{
    const kparam *k = kfunction_param(v->f, kbuffer_root(m->buf));
    if (k && k->mode == KACCESS_IN) return kverify_error(v, o, "writes to an `in` buffer");
    return true;
}

static bool check_counts(kverifier *v, const kop *o, uint32_t operands, uint32_t results)
{
    if (o->n_operands != operands || o->n_results != results || o->n_blocks)
        return kverify_error(v, o, "%s has %u operands and %u results", kop_row(o->op)->name, operands, results);
    for (uint32_t i = 0; i < operands; i++)
        if (o->operands[i]->kind != KV_TILE) return kverify_error(v, o, "operand %u is a buffer", i);
    return true;
}

static bool check_one_tile(kverifier *v, const kop *o, uint32_t operands)
{
    if (!check_counts(v, o, operands, 1)) return false;
    return o->results[0]->kind == KV_TILE ? true : kverify_error(v, o, "the result is not a tile or scalar");
}

static ktile result_tile(const kop *o)
{
    return o->results[0]->ty.tile;
}

static ktile operand_tile(const kop *o, uint32_t i)
{
    return o->operands[i]->ty.tile;
}

static bool check_result(kverifier *v, const kop *o, ktile want)
{
    if (ktile_equal(result_tile(o), want)) return true;
    strbuf b = strbuf_new(v->a);
    ktile_print(want, &b);
    return kverify_error(v, o, "the result is of type %s", b.s);
}

/* ---- one function an op ---- */

static bool check_dim(kverifier *v, const kop *o)
{
    if (!check_one_tile(v, o, 0)) return false;
    if (o->at.d == DIM_BAD) return kverify_error(v, o, "the dim does not fit in 64 bits");
    return check_result(v, o, ktile_scalar(DT_I64));
}

static bool check_const(kverifier *v, const kop *o)
{
    if (!check_one_tile(v, o, 0)) return false;
    ktile t = result_tile(o);
    if (t.layout == KL_SHARED) return kverify_error(v, o, "a constant in shared memory");
    if (dtype_is_float(t.dt)) return true;
    bool fits = t.dt == DT_BOOL ? o->at.i == 0 || o->at.i == 1 : dtype_wrap(t.dt, o->at.i) == o->at.i;
    return fits ? true : kverify_error(v, o, "the value does not fit in %s", dtype_name(t.dt));
}

static bool check_iota(kverifier *v, const kop *o)
{
    if (!check_one_tile(v, o, 0)) return false;
    ktile t = result_tile(o);
    dtype_class c = dtype_class_of(t.dt);
    if (c != DTC_INT && c != DTC_UINT) return kverify_error(v, o, "the result is not a tile of ints");
    if (t.layout == KL_SHARED) return kverify_error(v, o, "an iota in shared memory");
    if (o->at.axis < 0 || o->at.axis >= t.rank) return kverify_error(v, o, "no axis %lld", (long long)o->at.axis);
    return true;
}

static bool check_cast(kverifier *v, const kop *o)
{
    if (!check_one_tile(v, o, 1)) return false;
    ktile want = operand_tile(o, 0);
    if (want.layout == KL_SHARED) return kverify_error(v, o, "a tile in shared memory has no elements in registers");
    want.dt = result_tile(o).dt;
    return check_result(v, o, want);
}

static bool check_bitcast(kverifier *v, const kop *o)
{
    if (!check_cast(v, o)) return false;
    dtype from = operand_tile(o, 0).dt, to = result_tile(o).dt;
    if (from == DT_BOOL || to == DT_BOOL) return kverify_error(v, o, "a bool has no bits to look at");
    return dtype_bits(from) == dtype_bits(to) ? true : kverify_error(v, o, "the dtypes differ in width");
}

static bool check_load(kverifier *v, const kop *o)
{
    if (!check_one_tile(v, o, 0)) return false;
    ktile t = result_tile(o);
    const kmem *m = &o->mem[0];
    if (!check_access(v, o, m, t)) return false;
    if (t.layout != KL_SHARED) return true;
    /* What a wgmma descriptor can say: K- or MN-major, whole swizzled rows, groups of eight of them one after the
     * other. */
    const kbuffer *b = &m->buf->ty.buf;
    int64_t row = 0;
    if (b->space != KSPACE_SHARED || !b->dense || b->rank < 2)
        return kverify_error(v, o, "a descriptor refers to a dense buffer of rank 2 or more in shared memory");
    uint8_t last = (uint8_t)(b->rank - 1), before = (uint8_t)(b->rank - 2);
    if ((m->axes[0] != last || m->axes[1] != before) && (m->axes[0] != before || m->axes[1] != last))
        return kverify_error(v, o, "a descriptor's axes are the last two of the buffer");
    dim_is_const(v->f->dims, b->shape[last], &row);
    row *= dtype_bits(b->dt) / 8;
    bool swizzled = b->swizzle.base == 4 && b->swizzle.shift == 3 && b->swizzle.bits >= 1 && b->swizzle.bits <= 3;
    if (!swizzled || row != 16 << b->swizzle.bits)
        return kverify_error(
            v, o, "a descriptor's rows are 32, 64 or 128 bytes with swizzle(1, 4, 3), (2, 4, 3) or (3, 4, 3)");
    if (m->bounded[0] || m->bounded[1]) return kverify_error(v, o, "a descriptor has no bounds");
    return true;
}

static bool check_store(kverifier *v, const kop *o)
{
    if (!check_counts(v, o, 1, 0)) return false;
    ktile t = operand_tile(o, 0);
    if (t.layout == KL_SHARED || t.layout == KL_MMA_A || t.layout == KL_MMA_B)
        return kverify_error(v, o, "a tile of layout %s cannot be stored", klayout_name(t.layout));
    return check_access(v, o, &o->mem[0], t) && check_written(v, o, &o->mem[0]);
}

static bool check_prefetch(kverifier *v, const kop *o)
{
    if (!check_counts(v, o, 0, 0) || !check_indices(v, o, &o->mem[0])) return false;
    return o->at.level == 1 || o->at.level == 2 ? true : kverify_error(v, o, "level is 1 or 2");
}

static bool check_read_dim(kverifier *v, const kop *o)
{
    dim_ctx *c = v->f->dims;
    if (!check_one_tile(v, o, 0) || !check_access(v, o, &o->mem[0], ktile_scalar(DT_I64))) return false;
    if (v->nesting) return kverify_error(v, o, "a dim is read inside of a block");
    int32_t symbol = dim_is_symbol(c, o->at.d);
    if (symbol < 0 || dim_symbol_at(c, (uint32_t)symbol)->origin != DIM_DATA)
        return kverify_error(v, o, "what is read is no data dim");
    const dim_symbol *s = dim_symbol_at(c, (uint32_t)symbol);
    int64_t lo, hi;
    dim_bounds(c, o->at.most, &lo, &hi);
    if (o->at.most == DIM_BAD || dim_uses(c, o->at.most, (uint32_t)symbol) || lo < 0 || s->min > 0 || s->max < hi)
        return kverify_error(v, o, "%s does not hold 0 to most", s->name);
    return check_result(v, o, ktile_scalar(DT_I64));
}

static bool check_contract(kverifier *v, const kop *o)
{
    const char *why = NULL;
    if (!check_one_tile(v, o, 3)) return false;
    if (!kcontract_type(operand_tile(o, 0), operand_tile(o, 1), operand_tile(o, 2), &why))
        return kverify_error(v, o, "%s", why);
    return check_result(v, o, operand_tile(o, 0));
}

static bool check_reduce(kverifier *v, const kop *o)
{
    const char *why = NULL;
    ktile want;
    if (!check_one_tile(v, o, 1)) return false;
    if (!kreduce_type(operand_tile(o, 0), o->at.axis, &want, &why)) return kverify_error(v, o, "%s", why);
    return check_result(v, o, want);
}

static bool check_transpose(kverifier *v, const kop *o)
{
    if (!check_one_tile(v, o, 1)) return false;
    ktile t = operand_tile(o, 0), want = t;
    if (t.rank != 2) return kverify_error(v, o, "the operand is not of rank 2");
    if (t.layout != KL_VEC && t.layout != KL_SCALARS)
        return kverify_error(v, o, "not defined for layout %s", klayout_name(t.layout));
    want.shape[0] = t.shape[1];
    want.shape[1] = t.shape[0];
    return check_result(v, o, want);
}

static bool check_alloc(kverifier *v, const kop *o)
{
    if (!check_counts(v, o, 0, 1)) return false;
    if (o->results[0]->kind != KV_BUFFER) return kverify_error(v, o, "the result is not a buffer");
    const kbuffer *b = &o->results[0]->ty.buf;
    if (!kverify_buffer(v, o, b)) return false;
    bool fits = v->level == KLEVEL_PLAN     ? b->space == KSPACE_WORKSPACE
                : v->level == KLEVEL_THREAD ? b->space == KSPACE_STACK || b->space == KSPACE_SCRATCH
                                            : v->level == KLEVEL_BLOCK && b->space == KSPACE_SHARED;
    if (!fits) return kverify_error(v, o, "no %s buffer can be made here", kspace_name(b->space));
    bool planned = b->space == KSPACE_SCRATCH || b->space == KSPACE_WORKSPACE;
    if (o->at.offset != DIM_BAD && !planned) return kverify_error(v, o, "offsets are for scratch and workspace");
    if (planned) return b->dense ? true : kverify_error(v, o, "scratch and workspace buffers are dense");
    int64_t bytes;
    if (!dim_is_const(v->f->dims, kbuffer_bytes(v->f->dims, b), &bytes))
        return kverify_error(v, o, "a %s buffer has a constant size", kspace_name(b->space));
    if (__builtin_add_overflow(v->stack_bytes, bytes, &v->stack_bytes) ||
        v->stack_bytes > (b->space == KSPACE_STACK ? KSTACK_BYTES : 1 << 20))
        return kverify_error(v, o, "more than %d bytes of %s buffers",
                             b->space == KSPACE_STACK ? KSTACK_BYTES : 1 << 20, kspace_name(b->space));
    return true;
}

static bool check_view(kverifier *v, const kop *o)
{
    if (!check_counts(v, o, 0, 1) || !check_indices(v, o, &o->mem[0])) return false;
    if (o->results[0]->kind != KV_BUFFER) return kverify_error(v, o, "the result is not a buffer");
    const kbuffer *b = &o->results[0]->ty.buf, *from = &o->mem[0].buf->ty.buf;
    if (!kverify_buffer(v, o, b)) return false;
    if (b->space != from->space) return kverify_error(v, o, "a view stays in its space");
    if (dtype_bits(from->dt) % 8 || dtype_bits(b->dt) % 8)
        return kverify_error(v, o, "a view of elements smaller than a byte");
    bool swizzled = b->swizzle.bits || from->swizzle.bits;
    if (swizzled && (!b->dense || !from->dense || b->dt != from->dt))
        return kverify_error(v, o, "a view of a swizzled buffer is dense and of the same dtype");
    if (b->swizzle.bits != from->swizzle.bits || b->swizzle.base != from->swizzle.base ||
        b->swizzle.shift != from->swizzle.shift)
        return kverify_error(v, o, "a view of a swizzled buffer keeps its swizzle");
    return true;
}

static bool check_copy(kverifier *v, const kop *o)
{
    if (!check_counts(v, o, 0, 0)) return false;
    if (o->n_mem != 2 || o->shape.rank != 2 || o->shape.layout != KL_VEC)
        return kverify_error(v, o, "a copy moves a rectangle of two axes, without a layout");
    if (o->mem[0].buf->ty.buf.space != KSPACE_SHARED || o->mem[1].buf->ty.buf.space != KSPACE_GLOBAL)
        return kverify_error(v, o, "a copy goes from global to shared memory");
    ktile t = o->shape;
    if (t.shape[0] < 1 || t.shape[1] < 1 || ktile_elements(t) > MAX_TILE_ELEMENTS)
        return kverify_error(v, o, "a copy of more than %d elements", MAX_TILE_ELEMENTS);
    if (dtype_bits(t.dt) % 8) return kverify_error(v, o, "a copy of elements smaller than a byte");
    if ((int64_t)t.shape[1] * dtype_bits(t.dt) % 32) return kverify_error(v, o, "a copy's rows are whole 4-byte words");
    return check_access(v, o, &o->mem[0], t) && check_access(v, o, &o->mem[1], t);
}

static bool check_queue(kverifier *v, const kop *o)
{
    if (!check_counts(v, o, 0, 0)) return false;
    if (o->at.queue == KQUEUE_MMA && v->agent != KAGENT_WARPGROUP)
        return kverify_error(v, o, "queue mma belongs to warpgroups");
    return true;
}

static bool check_commit(kverifier *v, const kop *o)
{
    return check_queue(v, o);
}

static bool check_wait(kverifier *v, const kop *o)
{
    if (!check_queue(v, o)) return false;
    return o->at.keep >= 0 && o->at.keep <= MAX_KEEP ? true : kverify_error(v, o, "keep is not in 0..%d", MAX_KEEP);
}

static bool check_fence(kverifier *v, const kop *o)
{
    if (!check_queue(v, o)) return false;
    return o->at.queue == KQUEUE_MMA ? true : kverify_error(v, o, "only queue mma has a fence");
}

static bool check_barrier(kverifier *v, const kop *o)
{
    return check_counts(v, o, 0, 0);
}

static bool check_check(kverifier *v, const kop *o)
{
    if (!check_counts(v, o, 4, 0)) return false;
    for (uint32_t i = 0; i < 4; i++)
        if (!kverify_scalar(o->operands[i], i ? DT_I64 : DT_BOOL))
            return kverify_error(v, o, "the operands are a bool and three i64");
    if (o->at.arg < 0 || o->at.arg >= (int64_t)v->f->params.len)
        return kverify_error(v, o, "no buffer argument %lld", (long long)o->at.arg);
    return true;
}

/* Checked with the block that it ends. */
static bool check_yield(kverifier *v, const kop *o)
{
    return check_counts(v, o, o->n_operands, 0);
}

static bool check_launch(kverifier *v, const kop *o)
{
    return kverify_launch(v, o);
}

static bool check_map(kverifier *v, const kop *o)
{
    ktile types[3], want;
    const char *why = NULL;
    if (o->n_operands > 3) return kverify_error(v, o, "wrong number of operands");
    if (!check_one_tile(v, o, o->n_operands)) return false;
    for (uint32_t i = 0; i < o->n_operands; i++) types[i] = operand_tile(o, i);
    if (!kmap_type(o->op, types, o->n_operands, &want, &why)) return kverify_error(v, o, "%s", why);
    return check_result(v, o, want);
}

/* Control flow is checked with its blocks, in kir_verify.c. */
#define check_for check_map
#define check_if check_map
#define check_switch check_map
#define check_while check_map

bool kverify_op(kverifier *v, const kop *o)
{
    static bool (*const check[KOP_COUNT])(kverifier *, const kop *) = {
#define KOP(name, NAME, props, attrs, text) [KOP_##NAME] = check_##name,
#include "ir/kir/kops.def"
#undef KOP
#define SCALAR(name, NAME, arity, operands, result, f, i, math) [KOP_##NAME] = check_map,
#include "ir/kir/kscalar.def"
#undef SCALAR
    };
    uint8_t n_mem = kop_row(o->op)->props & K_MEM ? (o->op == KOP_COPY ? 2 : 1) : 0;
    if (o->n_mem != n_mem) return kverify_error(v, o, "%s has %d memory accesses", kop_row(o->op)->name, n_mem);
    return check[o->op](v, o);
}
