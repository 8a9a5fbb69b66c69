/* The functions that the expressions of scalar.def are written in, for both interpreters.
 *
 * A row is expanded by naming its operands a, b, c with the C type wanted and defining X:
 *
 *     #define X sc_not_defined(a)
 *     #define SCALAR(name, NAME, arity, operands, result, f, i, math) \
 *         static float scalar_f32_##name(float a, float b, float c) { (void)a, (void)b, (void)c; return (float)(f); }
 *     #include "ir/scalar.def"
 *
 * Every sc_ name is a type-generic macro. Float operands give a float, computed as compiled code computes it (each
 * operation rounded to f32 on its own; transcendental functions evaluated in double and rounded once); other floating
 * operands are doubles. Ints: uint64_t operands are unsigned, all others are taken as int64_t and the caller wraps the
 * result to its width (dtype_wrap). Nothing here is undefined for any operands.
 *
 * Compile with -ffp-contract=off: a * b + c may not become one fma behind the table's back. */
#ifndef IR_SCALAR_EVAL_H
#define IR_SCALAR_EVAL_H

#include <math.h>
#include <stdint.h>

#define SC_INLINE static inline __attribute__((unused))

/* ---- floats ---- */
/* 1 / (1 + exp(-a)), by an exponential that cannot overflow. */
SC_INLINE double sc_logistic(double a)
{
    double e = exp(-fabs(a));
    return (a < 0 ? e : 1.0) / (1.0 + e);
}

#define SC_UNARY(name, for_f64, for_f32)       \
    SC_INLINE double sc_##name##_f64(double a) \
    {                                          \
        return for_f64;                        \
    }                                          \
    SC_INLINE float sc_##name##_f32(float a)   \
    {                                          \
        return for_f32;                        \
    }
SC_UNARY(fabs, fabs(a), fabsf(a))
SC_UNARY(sqrt, sqrt(a), sqrtf(a))
SC_UNARY(rsqrt, 1.0 / sqrt(a), 1.0f / sqrtf(a))
SC_UNARY(exp, exp(a), (float)exp((double)a))
SC_UNARY(log, log(a), (float)log((double)a))
SC_UNARY(erf, erf(a), (float)erf((double)a))
SC_UNARY(tanh, tanh(a), (float)tanh((double)a))
SC_UNARY(sigmoid, sc_logistic(a), (float)sc_logistic((double)a))
SC_UNARY(sin, sin(a), (float)sin((double)a))
SC_UNARY(cos, cos(a), (float)cos((double)a))
SC_UNARY(floor, floor(a), floorf(a))
SC_UNARY(rint, rint(a), rintf(a))
#undef SC_UNARY

/* min and max are minimum and maximum of IEEE 754-2019: NaN wins, -0 is below +0. mod is exact, with the sign of b, and
 * mod(a, inf) = a for a >= 0 as floor(a / inf) = 0 says; mod(a, 0) is NaN. */
#define SC_PAIR(T, suffix, FMA, FMOD, COPYSIGN)          \
    SC_INLINE T sc_fma_##suffix(T a, T b, T c)           \
    {                                                    \
        return FMA(a, b, c);                             \
    }                                                    \
    SC_INLINE T sc_fmin_##suffix(T a, T b)               \
    {                                                    \
        if (a != a || b != b) return a + b;              \
        return a < b || (a == b && signbit(a)) ? a : b;  \
    }                                                    \
    SC_INLINE T sc_fmax_##suffix(T a, T b)               \
    {                                                    \
        if (a != a || b != b) return a + b;              \
        return a > b || (a == b && !signbit(a)) ? a : b; \
    }                                                    \
    SC_INLINE T sc_fmod_##suffix(T a, T b)               \
    {                                                    \
        T r = FMOD(a, b);                                \
        if (r == 0) return COPYSIGN(r, b);               \
        return (r < 0) != (b < 0) && r == r ? r + b : r; \
    }
SC_PAIR(double, f64, fma, fmod, copysign)
SC_PAIR(float, f32, fmaf, fmodf, copysignf)
#undef SC_PAIR

#define SC_FLOAT(name, a) _Generic((a), float: sc_##name##_f32, default: sc_##name##_f64)
#define sc_fabs(a) SC_FLOAT(fabs, a)(a)
#define sc_sqrt(a) SC_FLOAT(sqrt, a)(a)
#define sc_rsqrt(a) SC_FLOAT(rsqrt, a)(a)
#define sc_exp(a) SC_FLOAT(exp, a)(a)
#define sc_log(a) SC_FLOAT(log, a)(a)
#define sc_erf(a) SC_FLOAT(erf, a)(a)
#define sc_tanh(a) SC_FLOAT(tanh, a)(a)
#define sc_sigmoid(a) SC_FLOAT(sigmoid, a)(a)
#define sc_sin(a) SC_FLOAT(sin, a)(a)
#define sc_cos(a) SC_FLOAT(cos, a)(a)
#define sc_floor(a) SC_FLOAT(floor, a)(a)
#define sc_rint(a) SC_FLOAT(rint, a)(a)
#define sc_fma(a, b, c) SC_FLOAT(fma, a)(a, b, c)
#define sc_fmin(a, b) SC_FLOAT(fmin, a)(a, b)
#define sc_fmax(a, b) SC_FLOAT(fmax, a)(a, b)
#define sc_fmod(a, b) SC_FLOAT(fmod, a)(a, b)

/* ---- ints ---- */
SC_INLINE int64_t sc_wrap_add_i64(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}
SC_INLINE int64_t sc_wrap_sub_i64(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}
SC_INLINE int64_t sc_wrap_mul_i64(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a * (uint64_t)b);
}
SC_INLINE uint64_t sc_wrap_add_u64(uint64_t a, uint64_t b)
{
    return a + b;
}
SC_INLINE uint64_t sc_wrap_sub_u64(uint64_t a, uint64_t b)
{
    return a - b;
}
SC_INLINE uint64_t sc_wrap_mul_u64(uint64_t a, uint64_t b)
{
    return a * b;
}

/* x / 0 is 0 and x mod 0 is x (so that a == b * div + mod holds); INT64_MIN / -1 wraps to itself. */
SC_INLINE int64_t sc_floordiv_i64(int64_t a, int64_t b)
{
    if (b == 0) return 0;
    if (b == -1) return sc_wrap_sub_i64(0, a);
    int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}
SC_INLINE int64_t sc_mod_i64(int64_t a, int64_t b)
{
    if (b == 0) return a;
    if (b == -1) return 0;
    int64_t r = a % b;
    return r != 0 && (a < 0) != (b < 0) ? r + b : r;
}
SC_INLINE uint64_t sc_floordiv_u64(uint64_t a, uint64_t b)
{
    return b == 0 ? 0 : a / b;
}
SC_INLINE uint64_t sc_mod_u64(uint64_t a, uint64_t b)
{
    return b == 0 ? a : a % b;
}

/* Counts outside of 0 .. 63 shift everything out: 0, or the sign for an arithmetic shift right. */
SC_INLINE int64_t sc_shl_i64(int64_t a, int64_t b)
{
    return b < 0 || b > 63 ? 0 : (int64_t)((uint64_t)a << b);
}
SC_INLINE int64_t sc_shr_i64(int64_t a, int64_t b)
{
    return a >> (b < 0 || b > 63 ? 63 : b);
}
SC_INLINE uint64_t sc_shl_u64(uint64_t a, uint64_t b)
{
    return b > 63 ? 0 : a << b;
}
SC_INLINE uint64_t sc_shr_u64(uint64_t a, uint64_t b)
{
    return b > 63 ? 0 : a >> b;
}

/* The literal 0 of sc_wrap_sub(0, a) must not decide: the macros look at both operands. */
#define SC_INT(name, a, b)         \
    _Generic((a),                  \
        uint64_t: sc_##name##_u64, \
        default: _Generic((b), uint64_t: sc_##name##_u64, default: sc_##name##_i64))
#define sc_wrap_add(a, b) SC_INT(wrap_add, a, b)(a, b)
#define sc_wrap_sub(a, b) SC_INT(wrap_sub, a, b)(a, b)
#define sc_wrap_mul(a, b) SC_INT(wrap_mul, a, b)(a, b)
#define sc_floordiv(a, b) SC_INT(floordiv, a, b)(a, b)
#define sc_mod(a, b) SC_INT(mod, a, b)(a, b)
#define sc_shl(a, b) SC_INT(shl, a, b)(a, b)
#define sc_shr(a, b) SC_INT(shr, a, b)(a, b)

/* What X stands for when a table row is not defined for a class of operands: never evaluated in a verified module. */
#define sc_not_defined(a) ((a) - (a))

#endif
