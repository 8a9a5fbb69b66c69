/* Element types, shared by the tensor IR, the kernel IR and the weights reader. The table is dtypes.def. */
#ifndef IR_DTYPE_H
#define IR_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
#define DTYPE(name, TEXT, bits, cls, safetensors) DT_##TEXT,
#include "ir/dtypes.def"
#undef DTYPE
    DT_COUNT
} dtype;

typedef enum { DTC_BOOL, DTC_INT, DTC_UINT, DTC_FLOAT } dtype_class;

const char *dtype_name(dtype t);         /* "f32" */
uint32_t dtype_bits(dtype t);            /* storage bits; BOOL is stored in 8 */
size_t dtype_bytes(dtype t, uint64_t n); /* bytes of n elements, rounded up to whole bytes */
dtype_class dtype_class_of(dtype t);
bool dtype_parse(const char *s, size_t n, dtype *out);
bool dtype_is_float(dtype t);

/* Element i of packed storage as a double / int64, and back (round to nearest even; saturating where the format has no
 * infinity; ints wrap like C conversions do). i64 beyond 2^53 keeps its value only through the _i64 pair.
 *
 * The corners, all defined: a float stored as an int is truncated toward zero and saturates, NaN gives 0; anything but
 * zero (NaN too) stored as bool is true; u64 travels through the _i64 pair as the same 64 bits. NaN stored in a format
 * without NaN (f4, f6*) gives the largest finite value. f8e8m0 has no sign and no zero: negative values give NaN, zero
 * the smallest value, 1.5 * 2^n rounds up (the significand 2 is the even one). Signalling NaNs come back quiet. */
double dtype_load_f64(dtype t, const void *base, uint64_t i);
int64_t dtype_load_i64(dtype t, const void *base, uint64_t i);
void dtype_store_f64(dtype t, void *base, uint64_t i, double v);
void dtype_store_i64(dtype t, void *base, uint64_t i, int64_t v);
/* n packed elements of `from` as elements of `to`, each rounded once: what a cast does. */
void dtype_convert(dtype to, void *out, dtype from, const void *in, uint64_t n);
/* The bits of element i of a dtype of at most 16 bits. */
uint32_t dtype_load_code(dtype t, const void *base, uint64_t i);
void dtype_store_code(dtype t, void *base, uint64_t i, uint32_t code);
double dtype_round(dtype t, double v);  /* v rounded to what t can hold */
int64_t dtype_wrap(dtype t, int64_t v); /* v reduced to the width of an int dtype, as C conversions do (bool: v != 0) */
/* True when every value of `from` is a value of `to`, so that a cast loses nothing (equal types too). */
bool dtype_contains(dtype to, dtype from);
/* The finite range of t and, for floats, the significand's bits (the implicit one counted). For int dtypes bounds of 64
 * bits are rounded to double. Any pointer may be NULL. */
void dtype_range(dtype t, double *lowest, double *highest, int *significand_bits);

#endif
