/* Values that emitters exchange: types, chunks of tiles, scalars with a constant offset, and small LLVM helpers. */
#include "codegen/emit.h"

#include <assert.h>

/* ---- types ---- */

LLVMTypeRef cg_scalar_type(emit_module *m, dtype dt)
{
    if (dt == DT_BOOL) return m->i1;
    if (dt == DT_F32) return m->f32;
    if (dt == DT_F64) return m->f64;
    return LLVMIntTypeInContext(m->ctx, dtype_bits(dt)); /* ints, and the floats below f32 as their bits */
}

LLVMTypeRef cg_memory_type(emit_module *m, dtype dt)
{
    return dt == DT_BOOL ? m->i8 : cg_scalar_type(m, dt);
}

LLVMTypeRef cg_vector_of(LLVMTypeRef scalar, int lanes)
{
    return lanes == 1 ? scalar : LLVMVectorType(scalar, (unsigned)lanes);
}

int cg_lanes_of(LLVMValueRef v)
{
    LLVMTypeRef t = LLVMTypeOf(v);
    return LLVMGetTypeKind(t) == LLVMVectorTypeKind ? (int)LLVMGetVectorSize(t) : 1;
}

/* ---- constants ---- */

LLVMValueRef cg_const_i64(emit_module *m, int64_t v)
{
    return LLVMConstInt(m->i64, (unsigned long long)v, true);
}

LLVMValueRef cg_const_i32(emit_module *m, int64_t v)
{
    return LLVMConstInt(m->i32, (unsigned long long)v, true);
}

bool cg_is_const(LLVMValueRef v, int64_t *out)
{
    if (!LLVMIsAConstantInt(v)) return false;
    *out = LLVMConstIntGetSExtValue(v);
    return true;
}

LLVMValueRef cg_splat_const(LLVMValueRef scalar, int lanes)
{
    if (lanes == 1) return scalar;
    LLVMValueRef all[64];
    assert(lanes <= 64);
    for (int i = 0; i < lanes; i++) all[i] = scalar;
    return LLVMConstVector(all, (unsigned)lanes);
}

/* A float constant of any dtype goes through its bits, so that NaNs, infinities and rounding are those of
 * dtype_store_f64. */
LLVMValueRef cg_const(emit_module *m, dtype dt, int lanes, double real, int64_t i)
{
    LLVMTypeRef t = cg_scalar_type(m, dt);
    LLVMValueRef c;
    if (dtype_is_float(dt)) {
        uint64_t bits = 0;
        dtype_store_f64(dt, &bits, 0, real);
        LLVMTypeRef bits_type = LLVMIntTypeInContext(m->ctx, dtype_bits(dt));
        c = LLVMConstBitCast(LLVMConstInt(bits_type, bits, false), t);
    } else {
        c = LLVMConstInt(t, (unsigned long long)dtype_wrap(dt, i), true);
    }
    return cg_splat_const(c, lanes);
}

/* ---- vectors ---- */

LLVMValueRef cg_shuffle(emitter *e, LLVMValueRef a, LLVMValueRef b, const int *lanes, int n)
{
    LLVMValueRef mask[64];
    assert(n > 1 && n <= 64);
    for (int i = 0; i < n; i++) mask[i] = lanes[i] < 0 ? LLVMGetPoison(e->m->i32) : cg_const_i32(e->m, lanes[i]);
    return LLVMBuildShuffleVector(e->b, a, b, LLVMConstVector(mask, (unsigned)n), "");
}

LLVMValueRef cg_splat(emitter *e, LLVMValueRef scalar, int lanes)
{
    if (lanes == 1) return scalar;
    if (LLVMIsConstant(scalar) && !LLVMIsPoison(scalar)) return cg_splat_const(scalar, lanes);
    LLVMTypeRef t = LLVMVectorType(LLVMTypeOf(scalar), (unsigned)lanes);
    LLVMValueRef one = LLVMBuildInsertElement(e->b, LLVMGetPoison(t), scalar, cg_const_i64(e->m, 0), "");
    LLVMValueRef zeros = LLVMConstNull(LLVMVectorType(e->m->i32, (unsigned)lanes));
    return LLVMBuildShuffleVector(e->b, one, LLVMGetPoison(t), zeros, "");
}

LLVMValueRef cg_first_lanes(emitter *e, LLVMValueRef v, int n)
{
    int have = cg_lanes_of(v);
    if (have == n) return v;
    assert(n < have);
    if (n == 1) return LLVMBuildExtractElement(e->b, v, cg_const_i64(e->m, 0), "");
    int lanes[64];
    for (int i = 0; i < n; i++) lanes[i] = i;
    return cg_shuffle(e, v, LLVMGetPoison(LLVMTypeOf(v)), lanes, n);
}

/* ---- tiles ---- */

static int last_chunk_lanes(int left)
{
    int n = 1;
    while (n < left) n *= 2;
    return n;
}

int cg_chunk_lanes(const cg_value *x, int chunk)
{
    int left = x->cols - chunk * x->lanes;
    return left >= x->lanes ? x->lanes : last_chunk_lanes(left);
}

cg_value cg_tile(emitter *e, ktile t)
{
    if (e->tile) return e->tile(e, t);
    cg_value x = {.rows = 1, .cols = 1, .depth = e->depth};
    if (t.rank >= 1) x.cols = t.shape[t.rank - 1];
    if (t.rank == 2) x.rows = t.shape[0];
    x.lanes = t.layout == KL_SCALARS || x.cols == 1 ? 1 : e->lanes;
    x.chunks = (x.cols + x.lanes - 1) / x.lanes;
    x.v = ARENA_ARRAY(e->m->a, LLVMValueRef, (size_t)(x.rows * x.chunks));
    return x;
}

cg_value *cg_get(emitter *e, const kvalue *v)
{
    assert(v->id < e->f->n_values && (e->values[v->id].v || e->values[v->id].rows) &&
           "value used before it is emitted");
    return &e->values[v->id];
}

void cg_set(emitter *e, const kvalue *v, cg_value x)
{
    assert(v->id < e->f->n_values);
    x.depth = e->depth;
    e->values[v->id] = x;
}

void cg_rebind(emitter *e, kvalue *v, cg_value x)
{
    vec_push(e->m->a, &e->rebound, ((cg_rebound){v, *cg_get(e, v)}));
    cg_set(e, v, x);
}

void cg_unbind(emitter *e, uint32_t mark)
{
    while (e->rebound.len > mark) {
        cg_rebound r = vec_pop(&e->rebound);
        e->values[r.v->id] = r.was;
    }
}

LLVMValueRef cg_buffer(emitter *e, const kvalue *v)
{
    assert(v->kind == KV_BUFFER);
    return cg_get(e, v)->v[0];
}

static LLVMValueRef *one_value(emitter *e, LLVMValueRef x)
{
    LLVMValueRef *v = ARENA_NEW(e->m->a, LLVMValueRef);
    *v = x;
    return v;
}

void cg_set_scalar(emitter *e, const kvalue *v, LLVMValueRef x)
{
    cg_set(e, v, (cg_value){.v = one_value(e, x), .rows = 1, .cols = 1, .lanes = 1, .chunks = 1});
}

/* Constant offsets are kept apart, so that the addresses of an unrolled body's copies share their variable part. */
void cg_set_affine(emitter *e, const kvalue *v, LLVMValueRef x, int64_t off)
{
    int64_t c;
    if (x && cg_is_const(x, &c)) {
        off = (int64_t)((uint64_t)off + (uint64_t)c);
        x = NULL;
    }
    cg_set(e, v, (cg_value){.v = one_value(e, x), .rows = 1, .cols = 1, .lanes = 1, .chunks = 1, .off = off});
}

static LLVMValueRef add_offset(emitter *e, const cg_value *x)
{
    if (!x->v[0]) return cg_const_i64(e->m, x->off);
    if (!x->off) return x->v[0];
    return LLVMBuildAdd(e->b, x->v[0], cg_const_i64(e->m, x->off), "");
}

LLVMValueRef cg_i64(emitter *e, const kvalue *v)
{
    assert(v->kind == KV_TILE && v->ty.tile.rank == 0 && v->ty.tile.dt == DT_I64);
    return add_offset(e, cg_get(e, v));
}

LLVMValueRef cg_scalar(emitter *e, const kvalue *v)
{
    assert(v->kind == KV_TILE && v->ty.tile.rank == 0);
    return add_offset(e, cg_get(e, v));
}

LLVMValueRef cg_index(emitter *e, kidx i)
{
    if (!i.v) return cg_const_i64(e->m, i.off);
    cg_value x = *cg_get(e, i.v);
    x.off += i.off;
    return add_offset(e, &x);
}

LLVMValueRef cg_element(emitter *e, const cg_value *x, int row, int col)
{
    if (x->rows == 1) row = 0;
    if (x->cols == 1) col = 0;
    if (x->rows == 1 && x->cols == 1) return add_offset(e, x);
    LLVMValueRef chunk = x->v[row * x->chunks + col / x->lanes];
    if (cg_lanes_of(chunk) == 1) return chunk;
    return LLVMBuildExtractElement(e->b, chunk, cg_const_i64(e->m, col % x->lanes), "");
}

LLVMValueRef cg_chunk(emitter *e, const cg_value *x, int row, int chunk, int lanes, int width)
{
    if (x->rows == 1) row = 0;
    if (x->cols == 1) return cg_splat(e, cg_element(e, x, row, 0), width);
    if (x->lanes == lanes) {
        LLVMValueRef v = x->v[row * x->chunks + chunk];
        assert(cg_lanes_of(v) == width);
        return v;
    }
    if (width == 1) return cg_element(e, x, row, chunk * lanes);
    LLVMTypeRef t = LLVMVectorType(LLVMTypeOf(cg_element(e, x, row, 0)), (unsigned)width);
    LLVMValueRef v = LLVMConstNull(t);
    for (int i = 0; i < width && chunk * lanes + i < x->cols; i++)
        v = LLVMBuildInsertElement(e->b, v, cg_element(e, x, row, chunk * lanes + i), cg_const_i64(e->m, i), "");
    return v;
}

/* ---- calls and arithmetic ---- */

LLVMValueRef cg_intrinsic(emitter *e, const char *name, LLVMTypeRef *types, unsigned n_types, LLVMValueRef *args,
                          unsigned n_args)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    assert(id && "no such intrinsic");
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(e->m->mod, id, types, n_types);
    return LLVMBuildCall2(e->b, LLVMGlobalGetValueType(fn), fn, args, n_args, "");
}

LLVMValueRef cg_intrinsic1(emitter *e, const char *name, LLVMValueRef x)
{
    LLVMTypeRef t = LLVMTypeOf(x);
    return cg_intrinsic(e, name, &t, 1, &x, 1);
}

static LLVMValueRef pick_i64(emitter *e, LLVMIntPredicate p, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, p, a, b, ""), a, b, "");
}

LLVMValueRef cg_min_i64(emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return pick_i64(e, LLVMIntSLT, a, b);
}

LLVMValueRef cg_max_i64(emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return pick_i64(e, LLVMIntSGT, a, b);
}

LLVMValueRef cg_offset(emitter *e, LLVMValueRef ptr, LLVMValueRef bytes)
{
    int64_t c;
    if (cg_is_const(bytes, &c)) return cg_offset_const(e, ptr, c);
    return LLVMBuildGEP2(e->b, e->m->i8, ptr, &bytes, 1, "");
}

LLVMValueRef cg_offset_const(emitter *e, LLVMValueRef ptr, int64_t bytes)
{
    if (!bytes) return ptr;
    LLVMValueRef b = cg_const_i64(e->m, bytes);
    return LLVMBuildGEP2(e->b, e->m->i8, ptr, &b, 1, "");
}
