/* Element types: exact conversions between packed storage and double / int64.
 *
 * All small floats go through one decoder and one encoder, driven by a format row. Encoding rounds once, straight from
 * the double: going by way of f32 would round twice and be wrong near ties. */
#include "ir/dtype.h"

#include <assert.h>
#include <math.h>
#include <string.h>

typedef struct {
    const char *name;
    uint8_t bits;
    dtype_class cls;
} dtype_row;

static const dtype_row rows[DT_COUNT] = {
#define DTYPE(name, TEXT, bits, cls, safetensors) {#name, bits, cls},
#include "ir/dtypes.def"
#undef DTYPE
};

const char *dtype_name(dtype t)
{
    assert((unsigned)t < DT_COUNT);
    return rows[t].name;
}

uint32_t dtype_bits(dtype t)
{
    assert((unsigned)t < DT_COUNT);
    return rows[t].bits;
}

dtype_class dtype_class_of(dtype t)
{
    assert((unsigned)t < DT_COUNT);
    return rows[t].cls;
}

bool dtype_is_float(dtype t)
{
    return dtype_class_of(t) == DTC_FLOAT;
}

size_t dtype_bytes(dtype t, uint64_t n)
{
    uint64_t bits = dtype_bits(t);
    return (size_t)(bits % 8 == 0 ? n * (bits / 8) : n / 8 * bits + (n % 8 * bits + 7) / 8);
}

bool dtype_parse(const char *s, size_t n, dtype *out)
{
    for (unsigned t = 0; t < DT_COUNT; t++)
        if (strlen(rows[t].name) == n && memcmp(rows[t].name, s, n) == 0) {
            *out = (dtype)t;
            return true;
        }
    return false;
}

/* ---- small floats ---- */

typedef enum {
    SPECIAL_IEEE, /* the largest exponent holds infinities and NaNs */
    SPECIAL_FN,   /* no infinity; all ones is the only NaN (OCP E4M3FN) */
    SPECIAL_NONE  /* every code is a number (OCP MX element formats) */
} special_codes;

typedef struct {
    uint8_t exp, man;
    int16_t bias;
    special_codes special;
} float_format;

/* Only the formats that need the generic codec have an exponent width; bf16 and f16 are in it too. */
static const float_format formats[DT_COUNT] = {
    [DT_F16] = {5, 10, 15, SPECIAL_IEEE},  [DT_BF16] = {8, 7, 127, SPECIAL_IEEE},
    [DT_F8E4M3] = {4, 3, 7, SPECIAL_FN},   [DT_F8E5M2] = {5, 2, 15, SPECIAL_IEEE},
    [DT_F4] = {2, 1, 1, SPECIAL_NONE},     [DT_F6E2M3] = {2, 3, 1, SPECIAL_NONE},
    [DT_F6E3M2] = {3, 2, 3, SPECIAL_NONE},
};

static double from_bits(uint64_t u)
{
    double d;
    memcpy(&d, &u, sizeof d);
    return d;
}

static uint64_t to_bits(double d)
{
    uint64_t u;
    memcpy(&u, &d, sizeof u);
    return u;
}

#define F64_QUIET (UINT64_C(1) << 51)
#define F64_INF (UINT64_C(0x7ff) << 52)

static double decode(const float_format *f, uint32_t code)
{
    uint32_t exp_max = (1u << f->exp) - 1, man_max = (1u << f->man) - 1;
    uint64_t sign = (uint64_t)(code >> (f->exp + f->man) & 1) << 63;
    uint32_t e = code >> f->man & exp_max, m = code & man_max;
    uint64_t fraction = (uint64_t)m << (52 - f->man);
    if (e == exp_max && f->special == SPECIAL_IEEE) return from_bits(sign | F64_INF | (m ? F64_QUIET | fraction : 0));
    if (e == exp_max && m == man_max && f->special == SPECIAL_FN) return from_bits(sign | F64_INF | F64_QUIET);
    if (e == 0) { /* subnormal: m units of 2^(1 - bias - man), an exact product */
        double v = (double)m * from_bits((uint64_t)(1 - f->bias - f->man + 1023) << 52);
        return sign ? -v : v;
    }
    return from_bits(sign | (uint64_t)((int)e - f->bias + 1023) << 52 | fraction);
}

static uint32_t encode(const float_format *f, double v)
{
    uint32_t exp_max = (1u << f->exp) - 1, man_max = (1u << f->man) - 1;
    uint32_t all_ones = exp_max << f->man | man_max;
    uint32_t highest = f->special == SPECIAL_IEEE ? (exp_max << f->man) - 1
                       : f->special == SPECIAL_FN ? all_ones - 1
                                                  : all_ones;
    uint64_t u = to_bits(v), fraction = u & ((UINT64_C(1) << 52) - 1);
    uint32_t sign = (uint32_t)(u >> 63) << (f->exp + f->man);
    int e = (int)(u >> 52 & 0x7ff) - 1023;

    if (e == 1024 && fraction) {
        switch (f->special) {
        case SPECIAL_IEEE: return sign | exp_max << f->man | 1u << (f->man - 1) | (uint32_t)(fraction >> (52 - f->man));
        case SPECIAL_FN: return sign | all_ones;
        case SPECIAL_NONE: return highest;
        }
    }
    if (e == 1024) return sign | (f->special == SPECIAL_IEEE ? highest + 1 : highest);
    if (e == -1023) return sign; /* zero, or a double too small for any of these formats */

    /* Drop bits of the 53-bit significand until its unit is the format's; a carry out of the rounding walks into the
     * exponent field by itself, because the codes of a format are ordered like its values. */
    int lowest_exp = 1 - f->bias;
    int drop = 52 - f->man + (e < lowest_exp ? lowest_exp - e : 0);
    if (drop > 53) return sign;
    uint64_t significand = UINT64_C(1) << 52 | fraction;
    uint64_t kept = significand >> drop, rest = significand & ((UINT64_C(1) << drop) - 1),
             half = UINT64_C(1) << (drop - 1);
    if (rest > half || (rest == half && (kept & 1))) kept++;
    uint64_t code = kept + ((uint64_t)(e < lowest_exp ? 0 : e - lowest_exp) << f->man);
    if (code > highest) return sign | (f->special == SPECIAL_IEEE ? highest + 1 : highest);
    return sign | (uint32_t)code;
}

/* f8e8m0: 2^(code - 127), 0xff is NaN. */
static double decode_e8m0(uint32_t code)
{
    return from_bits(code == 0xff ? F64_INF | F64_QUIET : (uint64_t)(code - 127 + 1023) << 52);
}

static uint32_t encode_e8m0(double v)
{
    if (isnan(v) || v < 0) return 0xff;
    uint64_t u = to_bits(v);
    int e = (int)(u >> 52 & 0x7ff) - 1023 + (int)(u >> 51 & 1);
    return e < -127 || v == 0 ? 0 : e > 127 ? 0xfe : (uint32_t)(e + 127);
}

/* ---- packed storage ---- */

uint32_t dtype_load_code(dtype t, const void *base, uint64_t i)
{
    const uint8_t *p = base;
    uint32_t bits = rows[t].bits;
    if (bits == 8) return p[i];
    if (bits == 16) {
        uint16_t h;
        memcpy(&h, p + i * 2, 2);
        return h;
    }
    uint64_t bit = i % 8 * bits, byte = i / 8 * bits + bit / 8;
    uint32_t shift = (uint32_t)(bit % 8), code = (uint32_t)p[byte] >> shift;
    if (shift + bits > 8) code |= (uint32_t)p[byte + 1] << (8 - shift);
    return code & ((1u << bits) - 1);
}

void dtype_store_code(dtype t, void *base, uint64_t i, uint32_t code)
{
    uint8_t *p = base;
    uint32_t bits = rows[t].bits;
    if (bits == 8) {
        p[i] = (uint8_t)code;
        return;
    }
    if (bits == 16) {
        uint16_t h = (uint16_t)code;
        memcpy(p + i * 2, &h, 2);
        return;
    }
    uint64_t bit = i % 8 * bits, byte = i / 8 * bits + bit / 8;
    uint32_t shift = (uint32_t)(bit % 8), mask = ((1u << bits) - 1) << shift, put = code << shift;
    p[byte] = (uint8_t)((p[byte] & ~mask) | (put & mask));
    if (shift + bits > 8) p[byte + 1] = (uint8_t)((p[byte + 1] & ~(mask >> 8)) | (put >> 8 & mask >> 8));
}

/* ---- ints ---- */

int64_t dtype_wrap(dtype t, int64_t v)
{
    switch (t) {
    case DT_BOOL: return v != 0;
    case DT_I8: return (int8_t)v;
    case DT_U8: return (uint8_t)v;
    case DT_I16: return (int16_t)v;
    case DT_U16: return (uint16_t)v;
    case DT_I32: return (int32_t)v;
    case DT_U32: return (uint32_t)v;
    case DT_I64:
    case DT_U64: return v;
    default: assert(!"dtype_wrap: not an int dtype"); return v;
    }
}

/* v toward zero, kept within the int dtype t; the 64 bits of a u64 as an int64. */
static int64_t truncate_to(dtype t, double v)
{
    if (t == DT_BOOL) return !(v == 0);
    if (isnan(v)) return 0;
    uint32_t bits = rows[t].bits;
    if (rows[t].cls == DTC_UINT) {
        if (v < 0) return 0;
        if (v >= ldexp(1, (int)bits)) return bits == 64 ? -1 : (INT64_C(1) << bits) - 1;
        return (int64_t)(uint64_t)v;
    }
    double above = ldexp(1, (int)bits - 1); /* the first whole number out of range; -above is in it */
    if (v >= above) return bits == 64 ? INT64_MAX : (INT64_C(1) << (bits - 1)) - 1;
    if (v <= -above) return bits == 64 ? INT64_MIN : -(INT64_C(1) << (bits - 1));
    return (int64_t)v;
}

int64_t dtype_load_i64(dtype t, const void *base, uint64_t i)
{
    const char *p = base;
    switch (t) {
#define LOAD(T)                                 \
    {                                           \
        T x;                                    \
        memcpy(&x, p + i * sizeof x, sizeof x); \
        return (int64_t)x;                      \
    }
    case DT_BOOL: return p[i] != 0;
    case DT_I8: LOAD(int8_t)
    case DT_U8: LOAD(uint8_t)
    case DT_I16: LOAD(int16_t)
    case DT_U16: LOAD(uint16_t)
    case DT_I32: LOAD(int32_t)
    case DT_U32: LOAD(uint32_t)
    case DT_I64:
    case DT_U64: LOAD(int64_t)
#undef LOAD
    default: return truncate_to(DT_I64, dtype_load_f64(t, base, i));
    }
}

void dtype_store_i64(dtype t, void *base, uint64_t i, int64_t v)
{
    char *p = base;
    switch (t) {
#define STORE(T)                                \
    {                                           \
        T x = (T)v;                             \
        memcpy(p + i * sizeof x, &x, sizeof x); \
        return;                                 \
    }
    case DT_BOOL: p[i] = v != 0; return;
    case DT_I8:
    case DT_U8: STORE(uint8_t)
    case DT_I16:
    case DT_U16: STORE(uint16_t)
    case DT_I32:
    case DT_U32: STORE(uint32_t)
    case DT_I64:
    case DT_U64: STORE(int64_t)
    case DT_F32: { /* once from the int, not by way of a double */
        float x = (float)v;
        memcpy(p + i * sizeof x, &x, sizeof x);
        return;
    }
#undef STORE
    case DT_F64: dtype_store_f64(t, base, i, (double)v); return;
    default: {
        /* Small floats: a magnitude beyond 53 bits keeps its dropped bits as one sticky bit, so that it is rounded
         * once. */
        uint64_t magnitude = v < 0 ? -(uint64_t)v : (uint64_t)v;
        if (magnitude >> 53) magnitude = (magnitude & ~UINT64_C(0xfff)) | (magnitude & 0xfff ? 0x800 : 0);
        dtype_store_f64(t, base, i, v < 0 ? -(double)magnitude : (double)magnitude);
    }
    }
}

/* ---- doubles ---- */

double dtype_load_f64(dtype t, const void *base, uint64_t i)
{
    const char *p = base;
    switch (t) {
    case DT_F32: {
        float x;
        memcpy(&x, p + i * 4, 4);
        return x;
    }
    case DT_F64: {
        double x;
        memcpy(&x, p + i * 8, 8);
        return x;
    }
    case DT_U64: return (double)(uint64_t)dtype_load_i64(t, base, i);
    case DT_F8E8M0: return decode_e8m0(dtype_load_code(t, base, i));
    default:
        if (rows[t].cls != DTC_FLOAT) return (double)dtype_load_i64(t, base, i);
        return decode(&formats[t], dtype_load_code(t, base, i));
    }
}

void dtype_store_f64(dtype t, void *base, uint64_t i, double v)
{
    char *p = base;
    switch (t) {
    case DT_F32: {
        float x = (float)v;
        memcpy(p + i * 4, &x, 4);
        return;
    }
    case DT_F64: memcpy(p + i * 8, &v, 8); return;
    case DT_F8E8M0: dtype_store_code(t, base, i, encode_e8m0(v)); return;
    default:
        if (rows[t].cls != DTC_FLOAT) dtype_store_i64(t, base, i, truncate_to(t, v));
        else dtype_store_code(t, base, i, encode(&formats[t], v));
    }
}

double dtype_round(dtype t, double v)
{
    switch (t) {
    case DT_F32: return (double)(float)v;
    case DT_F64: return v;
    case DT_F8E8M0: return decode_e8m0(encode_e8m0(v));
    case DT_U64: return (double)(uint64_t)truncate_to(t, v);
    default:
        if (rows[t].cls != DTC_FLOAT) return (double)truncate_to(t, v);
        return decode(&formats[t], encode(&formats[t], v));
    }
}

void dtype_convert(dtype to, void *out, dtype from, const void *in, uint64_t n)
{
    if (to == from && rows[to].bits % 8 == 0) {
        if (n) memcpy(out, in, dtype_bytes(to, n));
    } else if (from == DT_BF16 && to == DT_F32) { /* whole checkpoints are widened like this: worth a loop of its own */
        for (uint64_t i = 0; i < n; i++) {
            uint16_t h;
            memcpy(&h, (const char *)in + i * 2, 2);
            uint32_t wide = (uint32_t)h << 16;
            if ((h & 0x7f80) == 0x7f80 && (h & 0x7f)) wide |= 0x400000; /* quiet, as everywhere here */
            memcpy((char *)out + i * 4, &wide, 4);
        }
    } else if (dtype_is_float(from)) {
        for (uint64_t i = 0; i < n; i++) dtype_store_f64(to, out, i, dtype_load_f64(from, in, i));
    } else if (from == DT_U64 && dtype_is_float(to)) {
        for (uint64_t i = 0; i < n; i++) {
            uint64_t v = (uint64_t)dtype_load_i64(from, in, i);
            if (v >> 63) { /* by way of half of it with a sticky bit, which is an int64 */
                dtype_store_i64(to, out, i, (int64_t)(v >> 1 | (v & 1)));
                dtype_store_f64(to, out, i, 2 * dtype_load_f64(to, out, i));
            } else {
                dtype_store_i64(to, out, i, (int64_t)v);
            }
        }
    } else {
        for (uint64_t i = 0; i < n; i++) dtype_store_i64(to, out, i, dtype_load_i64(from, in, i));
    }
}

/* ---- ranges ---- */

typedef struct {
    double lowest, highest; /* finite */
    double smallest;        /* least positive value: the unit near zero */
    int significand;
    bool zero, nan, infinity;
} float_facts;

static float_facts facts_of(dtype t)
{
    if (t == DT_F32) return (float_facts){-0x1.fffffep127, 0x1.fffffep127, 0x1p-149, 24, true, true, true};
    if (t == DT_F64)
        return (float_facts){-0x1.fffffffffffffp1023, 0x1.fffffffffffffp1023, 0x1p-1074, 53, true, true, true};
    if (t == DT_F8E8M0) return (float_facts){0x1p-127, 0x1p127, 0x1p-127, 1, false, true, false};
    const float_format *f = &formats[t];
    uint32_t all_ones = (1u << (f->exp + f->man)) - 1;
    uint32_t top = f->special == SPECIAL_IEEE ? (((1u << f->exp) - 1) << f->man) - 1
                   : f->special == SPECIAL_FN ? all_ones - 1
                                              : all_ones;
    double highest = decode(f, top);
    return (float_facts){
        -highest, highest, decode(f, 1), f->man + 1, true, f->special != SPECIAL_NONE, f->special == SPECIAL_IEEE};
}

void dtype_range(dtype t, double *lowest, double *highest, int *significand_bits)
{
    double lo, hi;
    int bits;
    if (dtype_is_float(t)) {
        float_facts f = facts_of(t);
        lo = f.lowest, hi = f.highest, bits = f.significand;
    } else if (t == DT_BOOL) {
        lo = 0, hi = 1, bits = 1;
    } else {
        bool is_signed = rows[t].cls == DTC_INT;
        bits = rows[t].bits - is_signed;
        lo = is_signed ? -ldexp(1, bits) : 0;
        hi = bits > 53 ? ldexp(1, bits) : ldexp(1, bits) - 1;
    }
    if (lowest) *lowest = lo;
    if (highest) *highest = hi;
    if (significand_bits) *significand_bits = bits;
}

bool dtype_contains(dtype to, dtype from)
{
    if (to == from) return true;
    double to_lo, to_hi, lo, hi;
    int to_bits_n, bits;
    dtype_range(to, &to_lo, &to_hi, &to_bits_n);
    dtype_range(from, &lo, &hi, &bits);
    if (dtype_is_float(from)) {
        if (!dtype_is_float(to)) return false;
        float_facts t = facts_of(to), f = facts_of(from);
        return lo >= to_lo && hi <= to_hi && f.smallest >= t.smallest && bits <= to_bits_n && f.zero <= t.zero &&
               f.nan <= t.nan && f.infinity <= t.infinity;
    }
    if (dtype_is_float(to)) return to != DT_F8E8M0 && bits <= to_bits_n && lo >= to_lo && hi <= to_hi;
    return lo >= to_lo && bits <= to_bits_n;
}
