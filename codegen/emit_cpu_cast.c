/* Conversions between dtypes, as dtype_store_* and `cast` of kops.def define them. Formats without instructions on
 * every processor (f16, bf16, the 8-bit floats) are packed and unpacked with integer arithmetic on f32's bits: exact,
 * denormals included. (The bf16 conversion instructions of AVX-512 flush denormals, so they cannot serve here; for the
 * same reason these formats are held as integers, since LLVM may move bfloat vectors by converting them.) */
#include "codegen/emit.h"

#include <assert.h>

/* A float format of at most 16 bits with `mantissa` stored significand bits. */
typedef struct {
    int bits, mantissa, bias;
    bool infinity; /* the largest exponent means infinity and NaN; else all bits set is NaN and what overflows saturates
                    */
} small_format;

static bool small_float(dtype dt, small_format *f)
{
    static const struct {
        dtype dt;
        small_format f;
    } all[] = {{DT_F16, {16, 10, 15, true}},
               {DT_BF16, {16, 7, 127, true}},
               {DT_F8E5M2, {8, 2, 15, true}},
               {DT_F8E4M3, {8, 3, 7, false}}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].dt == dt) {
            *f = all[i].f;
            return true;
        }
    return false;
}

/* ---- vectors of 32-bit integers ---- */

typedef struct {
    emitter *e;
    LLVMBuilderRef b;
    int lanes;
    LLVMTypeRef i32, f32;
} bit_ctx;

static LLVMValueRef c32(bit_ctx *c, uint32_t v)
{
    return cg_splat_const(LLVMConstInt(c->e->m->i32, v, false), c->lanes);
}

static LLVMValueRef as_int(bit_ctx *c, LLVMValueRef x)
{
    return LLVMBuildBitCast(c->b, x, c->i32, "");
}

static LLVMValueRef as_float(bit_ctx *c, LLVMValueRef x)
{
    return LLVMBuildBitCast(c->b, x, c->f32, "");
}

static LLVMValueRef and32(bit_ctx *c, LLVMValueRef x, uint32_t k)
{
    return LLVMBuildAnd(c->b, x, c32(c, k), "");
}

static LLVMValueRef add32(bit_ctx *c, LLVMValueRef x, uint32_t k)
{
    return LLVMBuildAdd(c->b, x, c32(c, k), "");
}

static LLVMValueRef shr32(bit_ctx *c, LLVMValueRef x, int n)
{
    return n ? LLVMBuildLShr(c->b, x, c32(c, (uint32_t)n), "") : x;
}

static LLVMValueRef shl32(bit_ctx *c, LLVMValueRef x, int n)
{
    return n ? LLVMBuildShl(c->b, x, c32(c, (uint32_t)n), "") : x;
}

static LLVMValueRef above(bit_ctx *c, LLVMValueRef x, uint32_t k)
{
    return LLVMBuildICmp(c->b, LLVMIntUGT, x, c32(c, k), "");
}

static bit_ctx bits_of(emitter *e, int lanes)
{
    return (bit_ctx){e, e->b, lanes, cg_vector_of(e->m->i32, lanes), cg_vector_of(e->m->f32, lanes)};
}

static uint32_t float_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* 2^n */
static float power(int n)
{
    uint32_t u = (uint32_t)(n + 127) << 23;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* ---- small floats ---- */

/* The bits of a small float to f32: moved to f32's place they are a float too small by a power of two, denormals as
 * well. */
static LLVMValueRef unpack(bit_ctx *c, LLVMValueRef bits, small_format f)
{
    LLVMValueRef x = LLVMBuildZExt(c->b, bits, c->i32, "");
    int shift = 23 - f.mantissa;
    if (shift == 32 - f.bits) return as_float(c, shl32(c, x, shift)); /* bf16 is the upper half of f32 */
    LLVMValueRef sign = shl32(c, and32(c, x, 1u << (f.bits - 1)), 32 - f.bits);
    LLVMValueRef rest = and32(c, x, (1u << (f.bits - 1)) - 1);
    LLVMValueRef v = shl32(c, rest, shift);
    if (f.bias != 127) {
        LLVMValueRef scale = cg_const(c->e->m, DT_F32, c->lanes, (double)power(127 - f.bias), 0);
        v = as_int(c, LLVMBuildFMul(c->b, as_float(c, v), scale, ""));
        uint32_t all = (1u << (f.bits - 1)) - 1, top = f.infinity ? all & ~((1u << f.mantissa) - 1) : all;
        LLVMValueRef special = LLVMBuildICmp(c->b, LLVMIntUGE, rest, c32(c, top), "");
        v = LLVMBuildOr(
            c->b, v, LLVMBuildSelect(c->b, special, c32(c, f.infinity ? 0x7f800000u : 0x7fc00000u), c32(c, 0), ""), "");
    }
    return as_float(c, LLVMBuildOr(c->b, v, sign, ""));
}

/* f32 to the bits of a small float, round to nearest even. */
static LLVMValueRef pack(bit_ctx *c, LLVMValueRef x, small_format f)
{
    int shift = 23 - f.mantissa;
    LLVMValueRef u = as_int(c, x);
    LLVMValueRef sign = shr32(c, and32(c, u, 0x80000000u), 32 - f.bits);
    LLVMValueRef mag = and32(c, u, 0x7fffffffu);
    LLVMValueRef is_nan = above(c, mag, 0x7f800000u);
    uint32_t all = (1u << (f.bits - 1)) - 1, inf = all & ~((1u << f.mantissa) - 1);
    uint32_t nan = f.infinity ? inf | 1u << (f.mantissa - 1) : all, most = f.infinity ? inf : all - 1;

    /* Normal results: move the exponent, add half a unit (less one unless the last kept bit is odd), cut. */
    LLVMValueRef odd = and32(c, shr32(c, mag, shift), 1);
    uint32_t rebias = (uint32_t)(f.bias - 127) << 23;
    LLVMValueRef v = shr32(c, LLVMBuildAdd(c->b, add32(c, mag, rebias + (1u << (shift - 1)) - 1), odd, ""), shift);
    /* What is too large becomes infinity or the largest number, before the sum above can wrap. */
    float limit = power(f.infinity ? (int)(inf >> f.mantissa) - f.bias : 9);
    if (f.bias != 127) v = LLVMBuildSelect(c->b, above(c, mag, float_bits(limit) - 1), c32(c, most), v, "");
    if (!f.infinity) v = LLVMBuildSelect(c->b, above(c, v, most), c32(c, most), v, "");
    if (f.bias != 127) {
        /* Denormal results: adding a power of two lets the addition round at the right bit. */
        float magic = power(1 - f.bias + shift);
        LLVMValueRef m = cg_const(c->e->m, DT_F32, c->lanes, (double)magic, 0);
        LLVMValueRef low = as_int(c, LLVMBuildFAdd(c->b, as_float(c, mag), m, ""));
        low = LLVMBuildSub(c->b, low, c32(c, float_bits(magic)), "");
        LLVMValueRef normal = above(c, mag, float_bits(power(1 - f.bias)) - 1);
        v = LLVMBuildSelect(c->b, normal, v, low, "");
    }
    v = LLVMBuildSelect(c->b, is_nan, c32(c, nan), v, "");
    v = LLVMBuildOr(c->b, v, sign, "");
    return LLVMBuildTrunc(c->b, v, cg_vector_of(LLVMIntTypeInContext(c->e->m->ctx, (unsigned)f.bits), c->lanes), "");
}

/* f64 to f32 rounded to odd: a later rounding to far fewer bits gives what rounding once would have given. */
static LLVMValueRef narrow_to_odd(bit_ctx *c, LLVMValueRef x)
{
    LLVMValueRef f = LLVMBuildFPTrunc(c->b, x, c->f32, "");
    LLVMValueRef back = LLVMBuildFPExt(c->b, f, LLVMTypeOf(x), "");
    LLVMValueRef u = as_int(c, f);
    LLVMValueRef a = cg_intrinsic1(c->e, "llvm.fabs", x), ab = cg_intrinsic1(c->e, "llvm.fabs", back);
    LLVMValueRef inexact = LLVMBuildFCmp(c->b, LLVMRealONE, back, x, "");
    LLVMValueRef grew = LLVMBuildFCmp(c->b, LLVMRealOGT, ab, a, "");
    LLVMValueRef cut = LLVMBuildSelect(c->b, grew, add32(c, u, 0xffffffffu), u, "");
    cut = LLVMBuildOr(c->b, cut, c32(c, 1), "");
    return as_float(c, LLVMBuildSelect(c->b, inexact, cut, u, ""));
}

/* LLVM's own type of a small float whose conversions are instructions; else NULL. */
static LLVMTypeRef native_float(bit_ctx *c, dtype dt)
{
    const emit_module *m = c->e->m;
    if (dt == DT_F16 && m->target->f16) return cg_vector_of(LLVMHalfTypeInContext(m->ctx), c->lanes);
    if (dt == DT_BF16 && m->bf16) return cg_vector_of(LLVMBFloatTypeInContext(m->ctx), c->lanes);
    return NULL;
}

/* Between a small float's bits and f32. */
static LLVMValueRef small_to_f32(bit_ctx *c, LLVMValueRef x, dtype from, small_format f)
{
    LLVMTypeRef native = native_float(c, from);
    return native ? LLVMBuildFPExt(c->b, LLVMBuildBitCast(c->b, x, native, ""), c->f32, "") : unpack(c, x, f);
}

static LLVMValueRef f32_to_small(bit_ctx *c, LLVMValueRef x, dtype to, small_format f)
{
    LLVMTypeRef native = native_float(c, to), bits = cg_vector_of(cg_scalar_type(c->e->m, to), c->lanes);
    return native ? LLVMBuildBitCast(c->b, LLVMBuildFPTrunc(c->b, x, native, ""), bits, "") : pack(c, x, f);
}

/* ---- all pairs ---- */

static LLVMValueRef int_to_float(bit_ctx *c, LLVMValueRef x, dtype from, LLVMTypeRef to)
{
    if (dtype_class_of(from) == DTC_INT) return LLVMBuildSIToFP(c->b, x, to, "");
    return LLVMBuildUIToFP(c->b, x, to, "");
}

static LLVMValueRef float_to_int(bit_ctx *c, LLVMValueRef x, dtype to)
{
    LLVMTypeRef types[] = {cg_vector_of(cg_scalar_type(c->e->m, to), c->lanes), LLVMTypeOf(x)};
    const char *name = dtype_class_of(to) == DTC_INT ? "llvm.fptosi.sat" : "llvm.fptoui.sat";
    return cg_intrinsic(c->e, name, types, 2, &x, 1);
}

static LLVMValueRef int_to_int(bit_ctx *c, LLVMValueRef x, dtype from, dtype to)
{
    if (to == DT_BOOL) return LLVMBuildICmp(c->b, LLVMIntNE, x, LLVMConstNull(LLVMTypeOf(x)), "");
    LLVMTypeRef t = cg_vector_of(cg_scalar_type(c->e->m, to), c->lanes);
    uint32_t have = from == DT_BOOL ? 1 : dtype_bits(from), want = dtype_bits(to);
    if (have == want) return x;
    if (have > want) return LLVMBuildTrunc(c->b, x, t, "");
    return dtype_class_of(from) == DTC_INT ? LLVMBuildSExt(c->b, x, t, "") : LLVMBuildZExt(c->b, x, t, "");
}

LLVMValueRef emit_convert(emitter *e, LLVMValueRef x, dtype from, dtype to)
{
    if (from == to) return x;
    bit_ctx c = bits_of(e, cg_lanes_of(x));
    LLVMTypeRef f64 = cg_vector_of(e->m->f64, c.lanes), result = cg_vector_of(cg_scalar_type(e->m, to), c.lanes);
    bool from_float = dtype_is_float(from), to_float = dtype_is_float(to);
    small_format f;
    if (!from_float && !to_float) return int_to_int(&c, x, from, to);
    if (!from_float && (to == DT_F32 || to == DT_F64)) return int_to_float(&c, x, from, result);

    /* The operand as f32 or f64 without loss (i64 beyond 2^53 rounds to f64 first). */
    bool wide = from == DT_F64;
    if (!from_float) {
        x = int_to_float(&c, x, from, f64);
        wide = true;
    } else if (from != DT_F32 && from != DT_F64) {
        if (!small_float(from, &f)) {
            emit_unsupported(e, "conversion from %s", dtype_name(from));
            return LLVMConstNull(result);
        }
        x = small_to_f32(&c, x, from, f);
    }
    if (!to_float) {
        if (to == DT_BOOL) return LLVMBuildFCmp(c.b, LLVMRealUNE, x, LLVMConstNull(LLVMTypeOf(x)), "");
        return float_to_int(&c, x, to);
    }
    if (to == DT_F64) return wide ? x : LLVMBuildFPExt(c.b, x, f64, "");
    if (to == DT_F32) return wide ? LLVMBuildFPTrunc(c.b, x, c.f32, "") : x;
    if (!small_float(to, &f)) {
        emit_unsupported(e, "conversion to %s", dtype_name(to));
        return LLVMConstNull(result);
    }
    return f32_to_small(&c, wide ? narrow_to_odd(&c, x) : x, to, f);
}
