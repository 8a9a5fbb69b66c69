/* The operations of scalar.def on LLVM values, scalars and vectors alike: one function map_<name> per row.
 *
 * Results are those of ir/scalar_eval.h bit for bit (but for the payload of NaNs): no fast-math flags, no contraction.
 * 16-bit floats compute in f32 and round after each operation; for + - * / and sqrt that equals rounding once. What
 * LLVM leaves undefined (division by zero, shifts beyond the width) is defined here as there. */
#include "codegen/emit.h"

#include <assert.h>

typedef struct {
    emitter *e;
    LLVMBuilderRef b;
    dtype dt; /* of the operands that are not select's condition */
    dtype_class cls;
    int lanes;
    LLVMTypeRef type; /* of those operands */
} map_ctx;
typedef LLVMValueRef map_fn(map_ctx *c, LLVMValueRef *x);

static bool is_float(const map_ctx *c)
{
    return c->cls == DTC_FLOAT;
}

static bool is_signed(const map_ctx *c)
{
    return c->cls == DTC_INT;
}

static LLVMValueRef number(map_ctx *c, int64_t v)
{
    return cg_const(c->e->m, c->dt, c->lanes, 0, v);
}

static LLVMValueRef real(map_ctx *c, double v)
{
    return cg_const(c->e->m, c->dt, c->lanes, v, 0);
}

static LLVMValueRef pick(map_ctx *c, LLVMValueRef cond, LLVMValueRef yes, LLVMValueRef no)
{
    return LLVMBuildSelect(c->b, cond, yes, no, "");
}

static LLVMValueRef call2(map_ctx *c, const char *name, LLVMValueRef x, LLVMValueRef y)
{
    LLVMValueRef args[] = {x, y};
    return cg_intrinsic(c->e, name, &c->type, 1, args, 2);
}

/* ---- arithmetic ---- */

static LLVMValueRef map_add(map_ctx *c, LLVMValueRef *x)
{
    return is_float(c) ? LLVMBuildFAdd(c->b, x[0], x[1], "") : LLVMBuildAdd(c->b, x[0], x[1], "");
}

static LLVMValueRef map_sub(map_ctx *c, LLVMValueRef *x)
{
    return is_float(c) ? LLVMBuildFSub(c->b, x[0], x[1], "") : LLVMBuildSub(c->b, x[0], x[1], "");
}

static LLVMValueRef map_mul(map_ctx *c, LLVMValueRef *x)
{
    return is_float(c) ? LLVMBuildFMul(c->b, x[0], x[1], "") : LLVMBuildMul(c->b, x[0], x[1], "");
}

/* The divisor that LLVM may divide by: 1 instead of 0 and, for signed types, of -1 (whose quotient can overflow). */
static LLVMValueRef safe_divisor(map_ctx *c, LLVMValueRef d)
{
    LLVMValueRef bad = LLVMBuildICmp(c->b, LLVMIntEQ, d, number(c, 0), "");
    if (is_signed(c)) bad = LLVMBuildOr(c->b, bad, LLVMBuildICmp(c->b, LLVMIntEQ, d, number(c, -1), ""), "");
    return pick(c, bad, number(c, 1), d);
}

/* True where the truncated remainder r of a division by d is on the wrong side of a quotient rounded to minus infinity.
 */
static LLVMValueRef must_round_down(map_ctx *c, LLVMValueRef r, LLVMValueRef d)
{
    LLVMValueRef signs = LLVMBuildICmp(c->b, LLVMIntSLT, LLVMBuildXor(c->b, r, d, ""), number(c, 0), "");
    return LLVMBuildAnd(c->b, LLVMBuildICmp(c->b, LLVMIntNE, r, number(c, 0), ""), signs, "");
}

static LLVMValueRef map_div(map_ctx *c, LLVMValueRef *x)
{
    if (is_float(c)) return LLVMBuildFDiv(c->b, x[0], x[1], "");
    LLVMValueRef d = safe_divisor(c, x[1]);
    LLVMValueRef zero = LLVMBuildICmp(c->b, LLVMIntEQ, x[1], number(c, 0), "");
    if (!is_signed(c)) return pick(c, zero, number(c, 0), LLVMBuildUDiv(c->b, x[0], d, ""));
    LLVMValueRef q = LLVMBuildSDiv(c->b, x[0], d, ""), r = LLVMBuildSRem(c->b, x[0], d, "");
    q = pick(c, must_round_down(c, r, d), LLVMBuildSub(c->b, q, number(c, 1), ""), q);
    LLVMValueRef minus = LLVMBuildICmp(c->b, LLVMIntEQ, x[1], number(c, -1), "");
    q = pick(c, minus, LLVMBuildNeg(c->b, x[0], ""), q);
    return pick(c, zero, number(c, 0), q);
}

static LLVMValueRef float_mod(map_ctx *c, LLVMValueRef a, LLVMValueRef d)
{
    LLVMValueRef zero = real(c, 0.0);
    LLVMValueRef r = LLVMBuildFRem(c->b, a, d, "");
    LLVMValueRef r_neg = LLVMBuildFCmp(c->b, LLVMRealOLT, r, zero, "");
    LLVMValueRef d_neg = LLVMBuildFCmp(c->b, LLVMRealOLT, d, zero, "");
    LLVMValueRef ordered = LLVMBuildFCmp(c->b, LLVMRealORD, r, r, "");
    LLVMValueRef wrong = LLVMBuildAnd(c->b, LLVMBuildXor(c->b, r_neg, d_neg, ""), ordered, "");
    LLVMValueRef fixed = pick(c, wrong, LLVMBuildFAdd(c->b, r, d, ""), r);
    LLVMValueRef none = LLVMBuildFCmp(c->b, LLVMRealOEQ, r, zero, "");
    return pick(c, none, call2(c, "llvm.copysign", r, d), fixed);
}

static LLVMValueRef map_mod(map_ctx *c, LLVMValueRef *x)
{
    if (is_float(c)) return float_mod(c, x[0], x[1]);
    LLVMValueRef d = safe_divisor(c, x[1]);
    LLVMValueRef zero = LLVMBuildICmp(c->b, LLVMIntEQ, x[1], number(c, 0), "");
    if (!is_signed(c)) return pick(c, zero, x[0], LLVMBuildURem(c->b, x[0], d, ""));
    LLVMValueRef r = LLVMBuildSRem(c->b, x[0], d, ""); /* by -1, replaced by 1: 0 */
    r = pick(c, must_round_down(c, r, d), LLVMBuildAdd(c->b, r, d, ""), r);
    return pick(c, zero, x[0], r);
}

/* minimum and maximum of IEEE 754-2019. LLVM 19 loses a NaN beside a zero where the processor has AVX-512, so they are
 * spelled out there: equal numbers differ at most in the sign of zero, which `and` and `or` of the bits decide. */
static LLVMValueRef float_extreme(map_ctx *c, LLVMValueRef a, LLVMValueRef b, bool largest)
{
#if LLVM_MAJOR >= 20
    return call2(c, largest ? "llvm.maximum" : "llvm.minimum", a, b);
#else
    LLVMTypeRef t = LLVMTypeOf(a);
    int lanes = cg_lanes_of(a);
    LLVMTypeRef element = lanes > 1 ? LLVMGetElementType(t) : t;
    LLVMTypeRef bits =
        cg_vector_of(LLVMGetTypeKind(element) == LLVMDoubleTypeKind ? c->e->m->i64 : c->e->m->i32, lanes);
    LLVMValueRef x = LLVMBuildBitCast(c->b, a, bits, ""), y = LLVMBuildBitCast(c->b, b, bits, "");
    LLVMValueRef both = largest ? LLVMBuildAnd(c->b, x, y, "") : LLVMBuildOr(c->b, x, y, "");
    LLVMValueRef first = LLVMBuildFCmp(c->b, largest ? LLVMRealOGT : LLVMRealOLT, a, b, "");
    LLVMValueRef r = LLVMBuildSelect(c->b, first, a, b, "");
    r = LLVMBuildSelect(c->b, LLVMBuildFCmp(c->b, LLVMRealOEQ, a, b, ""), LLVMBuildBitCast(c->b, both, t, ""), r, "");
    return LLVMBuildSelect(c->b, LLVMBuildFCmp(c->b, LLVMRealUNO, a, b, ""), LLVMBuildFAdd(c->b, a, b, ""), r, "");
#endif
}

static LLVMValueRef map_min(map_ctx *c, LLVMValueRef *x)
{
    if (is_float(c)) return float_extreme(c, x[0], x[1], false);
    return call2(c, is_signed(c) ? "llvm.smin" : "llvm.umin", x[0], x[1]);
}

static LLVMValueRef map_max(map_ctx *c, LLVMValueRef *x)
{
    if (is_float(c)) return float_extreme(c, x[0], x[1], true);
    return call2(c, is_signed(c) ? "llvm.smax" : "llvm.umax", x[0], x[1]);
}

static LLVMValueRef map_neg(map_ctx *c, LLVMValueRef *x)
{
    return is_float(c) ? LLVMBuildFNeg(c->b, x[0], "") : LLVMBuildNeg(c->b, x[0], "");
}

static LLVMValueRef map_abs(map_ctx *c, LLVMValueRef *x)
{
    if (is_float(c)) return cg_intrinsic1(c->e, "llvm.fabs", x[0]);
    if (!is_signed(c)) return x[0];
    LLVMValueRef args[] = {x[0], LLVMConstInt(c->e->m->i1, 0, false)};
    return cg_intrinsic(c->e, "llvm.abs", &c->type, 1, args, 2);
}

/* Without FMA hardware llvm.fma is a call per element; there the product is rounded first and results differ from the
 * interpreter's in the last bit. */
static LLVMValueRef map_fma(map_ctx *c, LLVMValueRef *x)
{
    return cg_intrinsic(c->e, c->e->m->target->fma ? "llvm.fma" : "llvm.fmuladd", &c->type, 1, x, 3);
}

/* ---- functions ---- */

static LLVMValueRef map_sqrt(map_ctx *c, LLVMValueRef *x)
{
    return cg_intrinsic1(c->e, "llvm.sqrt", x[0]);
}

static LLVMValueRef map_rsqrt(map_ctx *c, LLVMValueRef *x)
{
    return LLVMBuildFDiv(c->b, real(c, 1.0), cg_intrinsic1(c->e, "llvm.sqrt", x[0]), "");
}

/* libm's function of doubles, element by element: what is left of these ops after expand_math is f64, or code that is
 * not meant to be fast. f32 is computed as the interpreter does, in double and rounded once. */
static LLVMValueRef libm(map_ctx *c, const char *name, LLVMValueRef x)
{
    emit_module *m = c->e->m;
    LLVMTypeRef signature = LLVMFunctionType(m->f64, &m->f64, 1, false);
    LLVMValueRef fn = LLVMGetNamedFunction(m->mod, name);
    if (!fn) fn = LLVMAddFunction(m->mod, name, signature);
    LLVMValueRef out = c->lanes == 1 ? NULL : LLVMGetPoison(c->type);
    for (int i = 0; i < c->lanes; i++) {
        LLVMValueRef at = cg_const_i64(m, i);
        LLVMValueRef v = c->lanes == 1 ? x : LLVMBuildExtractElement(c->b, x, at, "");
        if (c->dt != DT_F64) v = LLVMBuildFPExt(c->b, v, m->f64, "");
        v = LLVMBuildCall2(c->b, signature, fn, &v, 1, "");
        if (c->dt != DT_F64) v = LLVMBuildFPTrunc(c->b, v, m->f32, "");
        out = c->lanes == 1 ? v : LLVMBuildInsertElement(c->b, out, v, at, "");
    }
    return out;
}

static LLVMValueRef map_exp(map_ctx *c, LLVMValueRef *x)
{
    return libm(c, "exp", x[0]);
}

static LLVMValueRef map_exp_nonpositive(map_ctx *c, LLVMValueRef *x)
{
    return libm(c, "exp", x[0]);
}

static LLVMValueRef map_log(map_ctx *c, LLVMValueRef *x)
{
    return libm(c, "log", x[0]);
}

static LLVMValueRef map_erf(map_ctx *c, LLVMValueRef *x)
{
    return libm(c, "erf", x[0]);
}

static LLVMValueRef map_tanh(map_ctx *c, LLVMValueRef *x)
{
    return libm(c, "tanh", x[0]);
}

/* As sc_logistic of scalar_eval.h. */
static LLVMValueRef map_sigmoid(map_ctx *c, LLVMValueRef *x)
{
    LLVMTypeRef f64 = cg_vector_of(c->e->m->f64, c->lanes);
    map_ctx w = {c->e, c->b, DT_F64, DTC_FLOAT, c->lanes, f64};
    LLVMValueRef a = c->dt == DT_F64 ? x[0] : LLVMBuildFPExt(c->b, x[0], f64, "");
    LLVMValueRef e = LLVMBuildFNeg(c->b, cg_intrinsic1(c->e, "llvm.fabs", a), ""), one = real(&w, 1.0);
    e = libm(&w, "exp", e);
    LLVMValueRef below = LLVMBuildFCmp(c->b, LLVMRealOLT, a, real(&w, 0.0), "");
    LLVMValueRef y = LLVMBuildFDiv(c->b, pick(&w, below, e, one), LLVMBuildFAdd(c->b, one, e, ""), "");
    return c->dt == DT_F64 ? y : LLVMBuildFPTrunc(c->b, y, c->type, "");
}

static LLVMValueRef map_sin(map_ctx *c, LLVMValueRef *x)
{
    return libm(c, "sin", x[0]);
}

static LLVMValueRef map_cos(map_ctx *c, LLVMValueRef *x)
{
    return libm(c, "cos", x[0]);
}

static LLVMValueRef map_floor(map_ctx *c, LLVMValueRef *x)
{
    return cg_intrinsic1(c->e, "llvm.floor", x[0]);
}

static LLVMValueRef map_rint(map_ctx *c, LLVMValueRef *x)
{
    return cg_intrinsic1(c->e, "llvm.rint", x[0]);
}

/* ---- comparisons and logic ---- */

static LLVMValueRef compare(map_ctx *c, LLVMValueRef *x, LLVMRealPredicate f, LLVMIntPredicate s, LLVMIntPredicate u)
{
    if (is_float(c)) return LLVMBuildFCmp(c->b, f, x[0], x[1], "");
    return LLVMBuildICmp(c->b, is_signed(c) ? s : u, x[0], x[1], "");
}

static LLVMValueRef map_eq(map_ctx *c, LLVMValueRef *x)
{
    return compare(c, x, LLVMRealOEQ, LLVMIntEQ, LLVMIntEQ);
}

static LLVMValueRef map_ne(map_ctx *c, LLVMValueRef *x)
{
    return compare(c, x, LLVMRealUNE, LLVMIntNE, LLVMIntNE);
}

static LLVMValueRef map_lt(map_ctx *c, LLVMValueRef *x)
{
    return compare(c, x, LLVMRealOLT, LLVMIntSLT, LLVMIntULT);
}

static LLVMValueRef map_le(map_ctx *c, LLVMValueRef *x)
{
    return compare(c, x, LLVMRealOLE, LLVMIntSLE, LLVMIntULE);
}

static LLVMValueRef map_gt(map_ctx *c, LLVMValueRef *x)
{
    return compare(c, x, LLVMRealOGT, LLVMIntSGT, LLVMIntUGT);
}

static LLVMValueRef map_ge(map_ctx *c, LLVMValueRef *x)
{
    return compare(c, x, LLVMRealOGE, LLVMIntSGE, LLVMIntUGE);
}

static LLVMValueRef map_and(map_ctx *c, LLVMValueRef *x)
{
    return LLVMBuildAnd(c->b, x[0], x[1], "");
}

static LLVMValueRef map_or(map_ctx *c, LLVMValueRef *x)
{
    return LLVMBuildOr(c->b, x[0], x[1], "");
}

static LLVMValueRef map_not(map_ctx *c, LLVMValueRef *x)
{
    return LLVMBuildNot(c->b, x[0], "");
}

static LLVMValueRef map_select(map_ctx *c, LLVMValueRef *x)
{
    return pick(c, x[0], x[1], x[2]);
}

static LLVMValueRef map_bitand(map_ctx *c, LLVMValueRef *x)
{
    return LLVMBuildAnd(c->b, x[0], x[1], "");
}

static LLVMValueRef map_bitor(map_ctx *c, LLVMValueRef *x)
{
    return LLVMBuildOr(c->b, x[0], x[1], "");
}

static LLVMValueRef map_bitxor(map_ctx *c, LLVMValueRef *x)
{
    return LLVMBuildXor(c->b, x[0], x[1], "");
}

/* Counts are compared unsigned, so negative ones are too large as well. */
static LLVMValueRef too_far(map_ctx *c, LLVMValueRef count)
{
    return LLVMBuildICmp(c->b, LLVMIntUGE, count, number(c, dtype_bits(c->dt)), "");
}

static LLVMValueRef map_shl(map_ctx *c, LLVMValueRef *x)
{
    LLVMValueRef far = too_far(c, x[1]);
    LLVMValueRef shifted = LLVMBuildShl(c->b, x[0], pick(c, far, number(c, 0), x[1]), "");
    return pick(c, far, number(c, 0), shifted);
}

static LLVMValueRef map_shr(map_ctx *c, LLVMValueRef *x)
{
    LLVMValueRef far = too_far(c, x[1]);
    if (is_signed(c)) return LLVMBuildAShr(c->b, x[0], pick(c, far, number(c, dtype_bits(c->dt) - 1), x[1]), "");
    LLVMValueRef shifted = LLVMBuildLShr(c->b, x[0], pick(c, far, number(c, 0), x[1]), "");
    return pick(c, far, number(c, 0), shifted);
}

/* ---- the table ---- */

static map_fn *const map_table[KOP_COUNT] = {
#define SCALAR(name, NAME, arity, operands, result, f, i, math) [KOP_##NAME] = map_##name,
#include "ir/kir/kscalar.def"
#undef SCALAR
};

enum { S_SAME, S_FLOAT, S_INT, S_BOOL, S_SELECT };
enum { R_SAME, R_BOOL };
static const struct {
    uint8_t arity, operands, result;
} map_rows[KOP_COUNT] = {
#define SCALAR(name, NAME, arity, operands, result, f, i, math) [KOP_##NAME] = {arity, operands, result},
#include "ir/kir/kscalar.def"
#undef SCALAR
};

/* Small floats compute in f32. */
static bool computes_in_f32(dtype dt)
{
    return dtype_is_float(dt) && dt != DT_F32 && dt != DT_F64;
}

LLVMValueRef emit_scalar_op(emitter *e, kop_kind op, dtype dt, LLVMValueRef *x)
{
    int first = map_rows[op].operands == S_SELECT, n = map_rows[op].arity;
    bool moves = op == KOP_SELECT; /* nothing is computed: bits go through as they are */
    LLVMValueRef in[3] = {0};
    bool widen = computes_in_f32(dt) && !moves;
    for (int i = 0; i < n; i++) in[i] = widen && i >= first ? emit_convert(e, x[i], dt, DT_F32) : x[i];
    dtype at = widen ? DT_F32 : dt;
    map_ctx c = {e, e->b, at, dtype_class_of(at), cg_lanes_of(in[first]), LLVMTypeOf(in[first])};
    LLVMValueRef v = map_table[op](&c, in);
    return widen && map_rows[op].result == R_SAME ? emit_convert(e, v, DT_F32, dt) : v;
}
