/* Elements of any type as doubles, and back. Small floats are described by their fields, not one by one. */
#include "runtime/tfxrun.h"

#include <math.h>
#include <string.h>

/* A float format of at most 16 bits: 1 sign bit (0 for f8e8m0), then exponent, then mantissa. */
typedef struct {
    int exponent, mantissa, bias;
    bool infinite; /* the highest exponent means infinity and NaN; else only all ones is NaN (e4m3) */
    bool sign;
} small_float;

static bool small_format(int32_t dtype, small_float *f)
{
    switch (dtype) {
    case TFX_F16: *f = (small_float){5, 10, 15, true, true}; return true;
    case TFX_BF16: *f = (small_float){8, 7, 127, true, true}; return true;
    case TFX_F8E4M3: *f = (small_float){4, 3, 7, false, true}; return true;
    case TFX_F8E5M2: *f = (small_float){5, 2, 15, true, true}; return true;
    case TFX_F8E8M0: *f = (small_float){8, 0, 127, false, false}; return true;
    default: return false;
    }
}

static double small_decode(small_float f, uint32_t bits)
{
    uint32_t m_mask = (1u << f.mantissa) - 1, e_mask = (1u << f.exponent) - 1;
    uint32_t m = bits & m_mask, e = bits >> f.mantissa & e_mask;
    bool negative = f.sign && bits >> (f.mantissa + f.exponent) & 1;
    double v;
    if (f.infinite && e == e_mask) v = m ? (double)NAN : (double)INFINITY;
    else if (!f.infinite && e == e_mask && m == m_mask) v = (double)NAN;
    else if (e == 0 && f.sign) v = ldexp(m, 1 - f.bias - f.mantissa);
    else v = ldexp(1 + ldexp(m, -f.mantissa), (int)e - f.bias);
    return negative ? -v : v;
}

/* The bits of v rounded to nearest even; beyond the largest: infinity, or the largest where there is none. */
static uint32_t small_encode(small_float f, double v)
{
    uint32_t m_mask = (1u << f.mantissa) - 1, e_mask = (1u << f.exponent) - 1;
    uint32_t sign = f.sign && signbit(v) ? 1u << (f.mantissa + f.exponent) : 0;
    if (isnan(v)) return sign | e_mask << f.mantissa | (f.infinite ? 1u << (f.mantissa ? f.mantissa - 1 : 0) : m_mask);
    uint32_t largest = f.infinite ? (e_mask << f.mantissa) - 1 : (e_mask << f.mantissa | m_mask) - 1;
    uint32_t beyond = f.infinite ? e_mask << f.mantissa : largest;
    double a = f.sign ? fabs(v) : v < 0 ? 0 : v;
    if (isinf(a)) return sign | beyond;
    int e;
    (void)frexp(a, &e); /* a = 0.1xxx * 2^e, so its exponent as 1.xxx is e - 1 */
    int lowest = f.sign ? 1 - f.bias : -f.bias;
    if (a == 0 || e - 1 < lowest) e = lowest + 1;
    double scaled = nearbyint(ldexp(a, f.mantissa - (e - 1))); /* in units of the last mantissa bit */
    uint32_t whole = (uint32_t)scaled;
    uint32_t bits;
    if (!f.sign) bits = whole == 0 ? 0 : (uint32_t)(e - 1 + f.bias) + (whole > 1);
    else bits = whole > m_mask ? ((uint32_t)(e - 1 + f.bias) << f.mantissa) + (whole - m_mask - 1) : whole;
    return sign | (bits > largest ? beyond : bits);
}

bool value_is_float(int32_t dtype)
{
    return dtype >= TFX_F16;
}

npy_type value_npy(int32_t dtype)
{
    switch (dtype) {
    case TFX_BOOL: return NPY_BOOL;
    case TFX_I8: return NPY_I8;
    case TFX_U8: return NPY_U8;
    case TFX_I16: return NPY_I16;
    case TFX_U16: return NPY_U16;
    case TFX_I32: return NPY_I32;
    case TFX_U32: return NPY_U32;
    case TFX_I64: return NPY_I64;
    case TFX_U64: return NPY_U64;
    case TFX_F16: return NPY_F16;
    case TFX_F32: return NPY_F32;
    case TFX_F64: return NPY_F64;
    case TFX_BF16: return NPY_RAW16;
    case TFX_F8E4M3:
    case TFX_F8E5M2:
    case TFX_F8E8M0: return NPY_RAW8;
    default: return NPY_TYPES;
    }
}

#define LOAD(type, data, i) (((const type *)(data))[i])

int64_t value_get_int(int32_t dtype, const void *data, int64_t i)
{
    switch (dtype) {
    case TFX_BOOL: return LOAD(uint8_t, data, i) != 0;
    case TFX_I8: return LOAD(int8_t, data, i);
    case TFX_U8: return LOAD(uint8_t, data, i);
    case TFX_I16: return LOAD(int16_t, data, i);
    case TFX_U16: return LOAD(uint16_t, data, i);
    case TFX_I32: return LOAD(int32_t, data, i);
    case TFX_U32: return LOAD(uint32_t, data, i);
    case TFX_U64: return (int64_t)LOAD(uint64_t, data, i);
    default: return LOAD(int64_t, data, i);
    }
}

double value_get(int32_t dtype, const void *data, int64_t i)
{
    small_float f;
    if (dtype == TFX_F32) return (double)LOAD(float, data, i);
    if (dtype == TFX_F64) return LOAD(double, data, i);
    if (dtype == TFX_U64) return (double)LOAD(uint64_t, data, i);
    if (!small_format(dtype, &f)) return (double)value_get_int(dtype, data, i);
    return small_decode(f, f.exponent + f.mantissa + f.sign > 8 ? LOAD(uint16_t, data, i) : LOAD(uint8_t, data, i));
}

#define STORE(type, v) (((type *)data)[i] = (type)(v))

void value_set(int32_t dtype, void *data, int64_t i, double v)
{
    small_float f;
    switch (dtype) {
    case TFX_F32: STORE(float, v); return;
    case TFX_F64: STORE(double, v); return;
    case TFX_BOOL: STORE(uint8_t, v != 0); return;
    case TFX_I8: STORE(int8_t, v); return;
    case TFX_U8: STORE(uint8_t, v); return;
    case TFX_I16: STORE(int16_t, v); return;
    case TFX_U16: STORE(uint16_t, v); return;
    case TFX_I32: STORE(int32_t, v); return;
    case TFX_U32: STORE(uint32_t, v); return;
    case TFX_I64: STORE(int64_t, v); return;
    case TFX_U64: STORE(uint64_t, v); return;
    default: break;
    }
    if (!small_format(dtype, &f)) return;
    uint32_t bits = small_encode(f, v);
    if (f.exponent + f.mantissa + f.sign > 8) STORE(uint16_t, bits);
    else STORE(uint8_t, bits);
}
