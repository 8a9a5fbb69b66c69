/* Memory: addresses of rectangles, loads and stores with bounds, prefetch, views, stack and scratch buffers.
 *
 * An address is the buffer's base, plus the variable parts of the indices (outermost loop first, so that LLVM can hoist
 * prefixes out of inner loops), plus one constant. Nothing outside the rectangle's existing elements is touched: what
 * lies beyond a bound along the rows is read from zeros and written to a scratch vector on the stack, chosen by a
 * select; along the lanes there is a branch to masked accesses unless all of them exist. */
#include "codegen/emit.h"

#include <assert.h>

enum { ROW, COL };

typedef struct {
    ktile tile;
    dtype dt;
    int64_t bytes;     /* of an element */
    LLVMValueRef base; /* address of element (0, 0) but for `off` */
    int64_t off;
    LLVMValueRef stride[2]; /* bytes per tile axis; NULL: `step` */
    int64_t step[2];
    bool bounded[2];
    LLVMValueRef bound[2];
    uint64_t align; /* of base, a power of two */
} access;

/* ---- addresses ---- */

static uint64_t low_bit(uint64_t x)
{
    return x & -x;
}

/* The largest power of two that divides both. */
static uint64_t common_align(uint64_t a, uint64_t b)
{
    return low_bit(a | b);
}

typedef struct {
    LLVMValueRef v;
    int depth;
} summand;

static void add_summand(summand *sum, int *n, LLVMValueRef v, int depth)
{
    int at = (*n)++;
    for (; at > 0 && sum[at - 1].depth > depth; at--) sum[at] = sum[at - 1];
    sum[at] = (summand){v, depth};
}

/* A stride in bytes, computed in the entry block. Constants are seen even where only the dims' bounds make them so. */
static LLVMValueRef stride_bytes(emitter *e, dim stride, int64_t bytes)
{
    dim b = dim_mul(e->f->dims, stride, dim_const(e->f->dims, bytes));
    if (b != DIM_BAD) return cg_dim(e, b);
    emit_unsupported(e, "buffer whose size does not fit in 64 bits");
    return cg_const_i64(e->m, 0);
}

/* Adds index * stride (bytes) to the address: its variable part to `sum`, its constant part to *off. */
static void add_index(emitter *e, kidx i, dim stride, int64_t bytes, summand *sum, int *n, int64_t *off,
                      uint64_t *align)
{
    const cg_value *x = i.v ? cg_get(e, i.v) : NULL;
    int64_t c = i.off + (x ? x->off : 0), s;
    LLVMValueRef v = x ? x->v[0] : NULL;
    LLVMValueRef sv = stride_bytes(e, stride, bytes);
    if (cg_is_const(sv, &s)) {
        *off += c * s;
        if (v && s) {
            *align = common_align(*align, (uint64_t)s);
            add_summand(sum, n, s == 1 ? v : LLVMBuildMul(e->b, v, cg_const_i64(e->m, s), ""), x->depth);
        }
        return;
    }
    *align = common_align(*align, (uint64_t)(dim_known_multiple(e->f->dims, stride) * bytes));
    if (v) add_summand(sum, n, LLVMBuildMul(e->b, v, sv, ""), x->depth);
    if (c) add_summand(sum, n, LLVMBuildMul(e->entry, sv, cg_const_i64(e->m, c), ""), 0);
}

static access access_begin(emitter *e, const kmem *at, ktile tile)
{
    const kbuffer *ty = &at->buf->ty.buf;
    access a = {.tile = tile, .dt = ty->dt, .bytes = dtype_bits(ty->dt) / 8};
    if (dtype_bits(ty->dt) % 8) {
        emit_unsupported(e, "access to packed %s elements", dtype_name(ty->dt));
        a.bytes = 1;
    }
    summand sum[2 * KMAX_RANK];
    int n = 0;
    a.align = ty->align ? ty->align : (uint64_t)a.bytes;
    for (int i = 0; i < ty->rank; i++)
        add_index(e, at->idx[i], kbuffer_stride(e->f->dims, ty, (uint32_t)i), a.bytes, sum, &n, &a.off, &a.align);

    a.base = cg_buffer(e, at->buf);
    for (int i = 0; i < n; i++) a.base = cg_offset(e, a.base, sum[i].v);
    for (int t = 0; t < tile.rank; t++) {
        int to = tile.rank == 2 ? t : COL;
        if (at->axes[t] == KAXIS_NONE) continue;
        dim s = kbuffer_stride(e->f->dims, ty, at->axes[t]);
        LLVMValueRef sv = stride_bytes(e, s, a.bytes);
        if (!cg_is_const(sv, &a.step[to])) {
            a.stride[to] = sv;
            a.align = common_align(a.align, (uint64_t)(dim_known_multiple(e->f->dims, s) * a.bytes));
        }
        if (at->bounded[t]) {
            a.bounded[to] = true;
            a.bound[to] = cg_index(e, at->bound[t]);
        }
    }
    return a;
}

/* The address of element (r, c). */
static LLVMValueRef address(emitter *e, const access *a, int r, int c)
{
    int64_t off = a->off;
    LLVMValueRef p = a->base;
    const int at[2] = {r, c};
    for (int t = ROW; t <= COL; t++) {
        off += at[t] * a->step[t];
        if (a->stride[t] && at[t]) p = cg_offset(e, p, LLVMBuildMul(e->b, a->stride[t], cg_const_i64(e->m, at[t]), ""));
    }
    return cg_offset_const(e, p, off);
}

static unsigned align_of(const access *a, int r, int c)
{
    uint64_t off = (uint64_t)(a->off + r * a->step[ROW] + c * a->step[COL]);
    uint64_t align = common_align(a->align, off);
    return (unsigned)(align ? align : 1);
}

/* ---- one scalar or vector ---- */

static LLVMValueRef from_memory(emitter *e, dtype dt, LLVMValueRef v)
{
    return dt == DT_BOOL ? LLVMBuildICmp(e->b, LLVMIntNE, v, LLVMConstNull(LLVMTypeOf(v)), "") : v;
}

static LLVMValueRef to_memory(emitter *e, dtype dt, LLVMValueRef v)
{
    return dt == DT_BOOL ? LLVMBuildZExt(e->b, v, cg_vector_of(e->m->i8, cg_lanes_of(v)), "") : v;
}

static LLVMValueRef load_at(emitter *e, dtype dt, LLVMValueRef p, int width, unsigned align)
{
    LLVMValueRef v = LLVMBuildLoad2(e->b, cg_vector_of(cg_memory_type(e->m, dt), width), p, "");
    LLVMSetAlignment(v, align);
    return from_memory(e, dt, v);
}

static void store_at(emitter *e, dtype dt, LLVMValueRef v, LLVMValueRef p, unsigned align)
{
    LLVMSetAlignment(LLVMBuildStore(e->b, to_memory(e, dt, v), p), align);
}

/* The alignment is an argument of these intrinsics up to LLVM 21, an attribute of the pointer from then on. */
static void set_pointer_align(emitter *e, LLVMValueRef call, unsigned arg, unsigned align)
{
    unsigned kind = LLVMGetEnumAttributeKindForName("align", 5);
    LLVMAddCallSiteAttribute(call, arg + 1, LLVMCreateEnumAttribute(e->m->ctx, kind, align));
}

static LLVMValueRef masked_load(emitter *e, dtype dt, LLVMValueRef p, LLVMValueRef mask, unsigned align)
{
    LLVMTypeRef t = LLVMVectorType(cg_memory_type(e->m, dt), (unsigned)cg_lanes_of(mask)), types[] = {t, e->m->ptr};
    unsigned id = LLVMLookupIntrinsicID("llvm.masked.load", 16);
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(e->m->mod, id, types, 2), call;
    if (LLVMCountParams(fn) == 4) {
        LLVMValueRef args[] = {p, cg_const_i32(e->m, align), mask, LLVMConstNull(t)};
        call = LLVMBuildCall2(e->b, LLVMGlobalGetValueType(fn), fn, args, 4, "");
    } else {
        LLVMValueRef args[] = {p, mask, LLVMConstNull(t)};
        call = LLVMBuildCall2(e->b, LLVMGlobalGetValueType(fn), fn, args, 3, "");
        set_pointer_align(e, call, 0, align);
    }
    return from_memory(e, dt, call);
}

static void masked_store(emitter *e, dtype dt, LLVMValueRef v, LLVMValueRef p, LLVMValueRef mask, unsigned align)
{
    v = to_memory(e, dt, v);
    LLVMTypeRef types[] = {LLVMTypeOf(v), e->m->ptr};
    unsigned id = LLVMLookupIntrinsicID("llvm.masked.store", 17);
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(e->m->mod, id, types, 2);
    if (LLVMCountParams(fn) == 4) {
        LLVMValueRef args[] = {v, p, cg_const_i32(e->m, align), mask};
        LLVMBuildCall2(e->b, LLVMGlobalGetValueType(fn), fn, args, 4, "");
    } else {
        LLVMValueRef args[] = {v, p, mask};
        LLVMValueRef call = LLVMBuildCall2(e->b, LLVMGlobalGetValueType(fn), fn, args, 3, "");
        set_pointer_align(e, call, 1, align);
    }
}

/* Lanes first, first + 1, ... that are below `limit`. */
static LLVMValueRef lanes_below(emitter *e, int first, int width, LLVMValueRef limit)
{
    LLVMValueRef lane[64];
    for (int i = 0; i < width; i++) lane[i] = cg_const_i64(e->m, first + i);
    return LLVMBuildICmp(e->b, LLVMIntSLT, LLVMConstVector(lane, (unsigned)width), cg_splat(e, limit, width), "");
}

static LLVMValueRef first_lanes_mask(emitter *e, int n, int width)
{
    LLVMValueRef lane[64];
    for (int i = 0; i < width; i++) lane[i] = LLVMConstInt(e->m->i1, i < n, false);
    return LLVMConstVector(lane, (unsigned)width);
}

static LLVMValueRef trash(emitter *e)
{
    if (!e->trash) e->trash = emit_stack(e, (uint64_t)e->lanes * 8, 64, "absent");
    return e->trash;
}

/* p where index < bound, else `other`. */
static LLVMValueRef only_below(emitter *e, LLVMValueRef p, int index, LLVMValueRef bound, LLVMValueRef other)
{
    int64_t c;
    if (cg_is_const(bound, &c)) return index < c ? p : other;
    return LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSGT, bound, cg_const_i64(e->m, index), ""), p, other, "");
}

static LLVMValueRef row_address(emitter *e, const access *a, int r, int c, LLVMValueRef other)
{
    LLVMValueRef p = address(e, a, r, c);
    return a->bounded[ROW] ? only_below(e, p, r, a->bound[ROW], other) : p;
}

static LLVMValueRef element_address(emitter *e, const access *a, int r, int c, LLVMValueRef other)
{
    LLVMValueRef p = row_address(e, a, r, c, other);
    return a->bounded[COL] ? only_below(e, p, c, a->bound[COL], other) : p;
}

/* How many lanes of chunk k are columns of the tile. */
static int present_lanes(const cg_value *x, int k)
{
    int left = x->cols - k * x->lanes;
    return left < x->lanes ? left : x->lanes;
}

static LLVMValueRef zeros(emitter *e)
{
    return e->m->zeros;
}

static void load_row(emitter *e, const access *a, cg_value *x, int r, bool masked)
{
    for (int k = 0; k < x->chunks; k++) {
        int width = cg_chunk_lanes(x, k), n = present_lanes(x, k), c = k * x->lanes;
        LLVMValueRef *v = &x->v[r * x->chunks + k];
        unsigned align = align_of(a, r, c);
        if (width == 1) {
            LLVMValueRef p = masked ? element_address(e, a, r, c, zeros(e)) : row_address(e, a, r, c, zeros(e));
            *v = load_at(e, a->dt, p, 1, align);
            continue;
        }
        LLVMValueRef p = row_address(e, a, r, c, zeros(e));
        LLVMValueRef mask = n < width ? first_lanes_mask(e, n, width) : NULL;
        if (masked) {
            LLVMValueRef below = lanes_below(e, c, width, a->bound[COL]);
            mask = mask ? LLVMBuildAnd(e->b, mask, below, "") : below;
        }
        *v = mask ? masked_load(e, a->dt, p, mask, align) : load_at(e, a->dt, p, width, align);
    }
}

static void store_row(emitter *e, const access *a, const cg_value *x, int r, bool masked)
{
    for (int k = 0; k < x->chunks; k++) {
        int width = cg_chunk_lanes(x, k), n = present_lanes(x, k), c = k * x->lanes;
        LLVMValueRef v = x->v[r * x->chunks + k];
        unsigned align = align_of(a, r, c);
        if (width == 1) {
            LLVMValueRef p = masked ? element_address(e, a, r, c, trash(e))
                                    : row_address(e, a, r, c, a->bounded[ROW] ? trash(e) : NULL);
            store_at(e, a->dt, v, p, align);
            continue;
        }
        LLVMValueRef p = row_address(e, a, r, c, a->bounded[ROW] ? trash(e) : NULL);
        LLVMValueRef mask = n < width ? first_lanes_mask(e, n, width) : NULL;
        if (masked) {
            LLVMValueRef below = lanes_below(e, c, width, a->bound[COL]);
            mask = mask ? LLVMBuildAnd(e->b, mask, below, "") : below;
        }
        if (mask) masked_store(e, a->dt, v, p, mask, align);
        else store_at(e, a->dt, v, p, align);
    }
}

/* ---- whole tiles ---- */

static bool contiguous(const access *a, int axis)
{
    return !a->stride[axis] && a->step[axis] == a->bytes;
}

static void load_elements(emitter *e, const access *a, cg_value *x)
{
    for (int r = 0; r < x->rows; r++)
        for (int k = 0; k < x->chunks; k++) {
            int width = cg_chunk_lanes(x, k), n = present_lanes(x, k), c = k * x->lanes;
            LLVMValueRef *v = &x->v[r * x->chunks + k];
            if (width > 1) *v = LLVMConstNull(LLVMVectorType(cg_scalar_type(e->m, a->dt), (unsigned)width));
            for (int i = 0; i < n; i++) {
                LLVMValueRef p = element_address(e, a, r, c + i, zeros(e));
                LLVMValueRef s = load_at(e, a->dt, p, 1, (unsigned)a->bytes);
                *v = width == 1 ? s : LLVMBuildInsertElement(e->b, *v, s, cg_const_i64(e->m, i), "");
            }
        }
}

static void store_elements(emitter *e, const access *a, const cg_value *x)
{
    for (int r = 0; r < x->rows; r++)
        for (int c = 0; c < x->cols; c++) {
            LLVMValueRef p = element_address(e, a, r, c, a->bounded[ROW] || a->bounded[COL] ? trash(e) : NULL);
            store_at(e, a->dt, cg_element(e, x, r, c), p, (unsigned)a->bytes);
        }
}

/* Branches on whether all columns exist. */
typedef struct {
    LLVMBasicBlockRef full, part, join;
} two_ways;

static two_ways branch_full(emitter *e, const access *a, int cols)
{
    two_ways w = {emit_new_block(e, "all"), emit_new_block(e, "some"), emit_new_block(e, "joined")};
    LLVMValueRef all = LLVMBuildICmp(e->b, LLVMIntSGE, a->bound[COL], cg_const_i64(e->m, cols), "");
    LLVMBuildCondBr(e->b, all, w.full, w.part);
    emit_to(e, w.full);
    return w;
}

/* Masked loads of 32-bit elements cost nothing extra on AVX-512; elsewhere they may be cut into single elements. */
static bool masks_are_free(const emitter *e)
{
    return e->m->target->vector_bytes == 64;
}

static access swapped(const access *a)
{
    access s = *a;
    for (int t = ROW; t <= COL; t++) {
        s.stride[t] = a->stride[!t];
        s.step[t] = a->step[!t];
        s.bounded[t] = a->bounded[!t];
        s.bound[t] = a->bound[!t];
    }
    s.tile.shape[0] = a->tile.shape[1];
    s.tile.shape[1] = a->tile.shape[0];
    return s;
}

static bool needs_mask(const access *a, const cg_value *x)
{
    int64_t c;
    return a->bounded[COL] && !(cg_is_const(a->bound[COL], &c) && c >= x->cols);
}

static cg_value load_tile(emitter *e, const access *a)
{
    cg_value x = cg_tile(e, a->tile);
    if (!contiguous(a, COL) && x.cols > 1) {
        if (contiguous(a, ROW) && x.lanes > 1 && x.rows > 1) {
            access s = swapped(a);
            cg_value t = load_tile(e, &s);
            return emit_transposed(e, &t, a->tile);
        }
        load_elements(e, a, &x);
        return x;
    }
    bool masked = needs_mask(a, &x);
    if (!masked || masks_are_free(e) || x.lanes == 1) {
        for (int r = 0; r < x.rows; r++) load_row(e, a, &x, r, masked);
        return x;
    }
    int n = x.rows * x.chunks;
    two_ways w = branch_full(e, a, x.cols);
    for (int r = 0; r < x.rows; r++) load_row(e, a, &x, r, false);
    LLVMValueRef *full = ARENA_ARRAY(e->m->a, LLVMValueRef, (size_t)n);
    memcpy(full, x.v, (size_t)n * sizeof *full);
    LLVMBasicBlockRef from_full = emit_here(e);
    emit_br(e, w.join);
    emit_to(e, w.part);
    for (int r = 0; r < x.rows; r++) load_row(e, a, &x, r, true);
    LLVMBasicBlockRef from_part = emit_here(e);
    emit_br(e, w.join);
    emit_to(e, w.join);
    for (int i = 0; i < n; i++) {
        LLVMValueRef phi = LLVMBuildPhi(e->b, LLVMTypeOf(full[i]), ""), v[] = {full[i], x.v[i]};
        LLVMAddIncoming(phi, v, (LLVMBasicBlockRef[]){from_full, from_part}, 2);
        x.v[i] = phi;
    }
    return x;
}

static void store_tile(emitter *e, const access *a, const cg_value *x)
{
    if (!contiguous(a, COL) && x->cols > 1) {
        if (contiguous(a, ROW) && x->lanes > 1 && x->rows > 1) {
            access s = swapped(a);
            cg_value t = emit_transposed(e, x, s.tile);
            store_tile(e, &s, &t);
            return;
        }
        store_elements(e, a, x);
        return;
    }
    if (!needs_mask(a, x) || x->lanes == 1) {
        for (int r = 0; r < x->rows; r++) store_row(e, a, x, r, needs_mask(a, x));
        return;
    }
    two_ways w = branch_full(e, a, x->cols);
    for (int r = 0; r < x->rows; r++) store_row(e, a, x, r, false);
    emit_br(e, w.join);
    emit_to(e, w.part);
    for (int r = 0; r < x->rows; r++) store_row(e, a, x, r, true);
    emit_br(e, w.join);
    emit_to(e, w.join);
}

/* ---- ops ---- */

void emit_cpu_load(emitter *e, kop *op)
{
    const kvalue *r = op->results[0];
    access a = access_begin(e, &op->mem[0], r->ty.tile);
    cg_value x = load_tile(e, &a);
    if (r->ty.tile.rank == 0 && r->ty.tile.dt == DT_I64) cg_set_affine(e, r, x.v[0], 0);
    else cg_set(e, r, x);
}

/* The operand's elements in the chunks of a vec tile, whatever its layout. */
static cg_value as_chunks(emitter *e, const kvalue *v)
{
    const cg_value *x = cg_get(e, v);
    cg_value out = cg_tile(e, v->ty.tile);
    for (int r = 0; r < out.rows; r++)
        for (int k = 0; k < out.chunks; k++)
            out.v[r * out.chunks + k] = cg_chunk(e, x, r, k, out.lanes, cg_chunk_lanes(&out, k));
    return out;
}

void emit_cpu_store(emitter *e, kop *op)
{
    const kvalue *v = op->operands[0];
    access a = access_begin(e, &op->mem[0], v->ty.tile);
    cg_value x = as_chunks(e, v);
    store_tile(e, &a, &x);
}

void emit_cpu_read_dim(emitter *e, kop *op)
{
    emit_cpu_load(e, op);
    cg_set_dim(e, (uint32_t)dim_is_symbol(e->f->dims, op->at.d), cg_get(e, op->results[0])->v[0]);
}

void emit_cpu_prefetch(emitter *e, kop *op)
{
    access a = access_begin(e, &op->mem[0], ktile_scalar(op->mem[0].buf->ty.buf.dt));
    LLVMValueRef args[] = {address(e, &a, 0, 0), cg_const_i32(e->m, 0), cg_const_i32(e->m, op->at.level == 1 ? 3 : 2),
                           cg_const_i32(e->m, 1)};
    cg_intrinsic(e, "llvm.prefetch", &e->m->ptr, 1, args, 4);
}

static void set_buffer(emitter *e, const kvalue *v, LLVMValueRef p)
{
    LLVMValueRef *one = ARENA_NEW(e->m->a, LLVMValueRef);
    *one = p;
    cg_set(e, v, (cg_value){.v = one, .rows = 1, .cols = 1, .lanes = 1, .chunks = 1});
}

void emit_cpu_view(emitter *e, kop *op)
{
    access a = access_begin(e, &op->mem[0], ktile_scalar(op->mem[0].buf->ty.buf.dt));
    set_buffer(e, op->results[0], address(e, &a, 0, 0));
}

void emit_cpu_alloc(emitter *e, kop *op)
{
    const kvalue *v = op->results[0];
    const kbuffer *b = &v->ty.buf;
    LLVMValueRef p;
    if (b->space == KSPACE_STACK) {
        int64_t bytes = 0;
        bool fixed = dim_is_const(e->f->dims, kbuffer_bytes(e->f->dims, b), &bytes);
        assert(fixed && "stack buffers have constant sizes");
        p = emit_stack(e, (uint64_t)bytes, b->align > 64 ? b->align : 64, v->name ? v->name : "");
    } else {
        LLVMValueRef base = b->space == KSPACE_SCRATCH ? e->scratch : e->workspace;
        assert(base && op->at.offset != DIM_BAD && "plan_memory has set offsets");
        p = cg_offset(e, base, cg_dim(e, op->at.offset));
    }
    set_buffer(e, v, p);
}
