/* The kernel interpreter: arithmetic on tiles, in the dtype itself.
 *
 * f32 and f64 are computed as such, each operation rounded once; narrower floats are computed in f32 and rounded to
 * their dtype after each operation, which is what targets without their arithmetic do; ints wrap to their width. */
#include "ir/kir/kinterp_internal.h"
#include "ir/scalar_eval.h"

/* ---- elementwise ops: a row function for each op and class ---- */

typedef struct {
    const void *in[3];
    int64_t step[3]; /* of the operands, 0 or 1 */
    void *out;
    int64_t n;
} row;

#define OUT_R_SAME(T) T
#define OUT_R_BOOL(T) int64_t
#define X sc_not_defined(a)
#define ROW(T, suffix, name, result, expression)                                      \
    static void row_##suffix##_##name(const row *r)                                   \
    {                                                                                 \
        OUT_##result(T) *out = r->out;                                                \
        const T *pa = r->in[0], *pb = r->in[1], *pc = r->in[2];                       \
        for (int64_t k = 0; k < r->n; k++) {                                          \
            T a = pa[k * r->step[0]], b = pb[k * r->step[1]], c = pc[k * r->step[2]]; \
            (void)a, (void)b, (void)c;                                                \
            out[k] = (OUT_##result(T))(expression);                                   \
        }                                                                             \
    }
/* |a| of an unsigned is a. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtype-limits"
#define SCALAR(name, NAME, arity, operands, result, f, i, math) \
    ROW(float, f32, name, result, f)                            \
    ROW(double, f64, name, result, f)                           \
    ROW(int64_t, i64, name, result, i)                          \
    ROW(uint64_t, u64, name, result, i)
#include "ir/kir/kscalar.def"
#undef SCALAR
#pragma GCC diagnostic pop
#undef ROW
#undef X

typedef void row_fn(const row *r);
typedef enum { CLASS_F32, CLASS_F64, CLASS_I64, CLASS_U64 } reg_class;

static reg_class class_of(dtype t)
{
    if (dtype_is_float(t)) return t == DT_F64 ? CLASS_F64 : CLASS_F32;
    return t == DT_U64 ? CLASS_U64 : CLASS_I64;
}

static row_fn *row_function(kop_kind op, reg_class c)
{
    static row_fn *const functions[KOP_COUNT][4] = {
#define SCALAR(name, NAME, arity, operands, result, f, i, math) \
    [KOP_##NAME] = {row_f32_##name, row_f64_##name, row_i64_##name, row_u64_##name},
#include "ir/kir/kscalar.def"
#undef SCALAR
    };
    return functions[op][c];
}

/* The condition is an int, the others are of any class. */
static void row_select(const row *r, uint32_t bytes)
{
    const int64_t *cond = r->in[0];
    for (int64_t k = 0; k < r->n; k++) {
        int which = cond[k * r->step[0]] ? 1 : 2;
        memcpy((char *)r->out + k * bytes, (const char *)r->in[which] + k * r->step[which] * bytes, bytes);
    }
}

/* Registers may hold more than the dtype can. */
static void fit(dtype t, void *values, int64_t n)
{
    if (dtype_is_float(t)) {
        float *v = values;
        if (t == DT_F32 || t == DT_F64) return;
        for (int64_t k = 0; k < n; k++) v[k] = (float)dtype_round(t, (double)v[k]);
        return;
    }
    int64_t *v = values;
    if (dtype_bits(t) == 64 || t == DT_BOOL) return;
    for (int64_t k = 0; k < n; k++) v[k] = dtype_wrap(t, v[k]);
}

void kmath_map(kop_kind op, ktile result, const ktile *types, void *out, const void *const *in)
{
    int arity = kscalar_row(op)->arity;
    bool select = op == KOP_SELECT;
    dtype dt = types[select ? 1 : 0].dt;
    row_fn *fn = row_function(op, class_of(dt));
    int64_t rows = ktile_rows(result), cols = ktile_cols(result), row_step[3] = {0};
    uint32_t out_bytes = kreg_bytes(result.dt), in_bytes[3] = {0};
    row r = {.n = cols};
    bool whole = true; /* every operand has the result's shape or one element: one long row */
    for (int k = 0; k < arity; k++) {
        int64_t tr = ktile_rows(types[k]), tc = ktile_cols(types[k]);
        r.step[k] = tc > 1;
        row_step[k] = tr > 1 ? tc : 0;
        in_bytes[k] = kreg_bytes(types[k].dt);
        whole = whole && (tr * tc == 1 || (tr == rows && tc == cols));
    }
    if (whole) {
        r.n = rows * cols;
        for (int k = 0; k < arity; k++) r.step[k] = ktile_elements(types[k]) > 1;
        rows = 1;
    }
    for (int64_t i = 0; i < rows; i++) {
        for (int k = 0; k < 3; k++) r.in[k] = k < arity ? (const char *)in[k] + i * row_step[k] * in_bytes[k] : r.in[0];
        r.out = (char *)out + i * cols * out_bytes;
        if (select) row_select(&r, out_bytes);
        else fn(&r);
    }
    if (kscalar_row(op)->result == R_SAME && !select) fit(dt, out, ktile_elements(result));
}

/* ---- making values ---- */

void kmath_const(ktile t, void *out, double real, int64_t i)
{
    int64_t n = ktile_elements(t);
    if (t.dt == DT_F64) {
        for (int64_t k = 0; k < n; k++) ((double *)out)[k] = real;
    } else if (dtype_is_float(t.dt)) {
        float v = (float)dtype_round(t.dt, real);
        for (int64_t k = 0; k < n; k++) ((float *)out)[k] = v;
    } else {
        for (int64_t k = 0; k < n; k++) ((int64_t *)out)[k] = i;
    }
}

void kmath_iota(ktile t, int64_t axis, void *out)
{
    int64_t *v = out, rows = ktile_rows(t), cols = ktile_cols(t);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) v[r * cols + c] = t.rank == 2 && axis == 0 ? r : c;
    fit(t.dt, out, rows * cols);
}

static double as_double(dtype t, const void *in, int64_t i)
{
    if (t == DT_F64) return ((const double *)in)[i];
    if (dtype_is_float(t)) return (double)((const float *)in)[i];
    int64_t v = ((const int64_t *)in)[i];
    return t == DT_U64 ? (double)(uint64_t)v : (double)v;
}

/* Truncates and saturates; NaN gives 0. The conversion itself is dtype.c's, through one element of storage. */
static int64_t float_to_int(dtype to, double v)
{
    uint64_t cell = 0;
    dtype_store_f64(to, &cell, 0, v);
    return dtype_load_i64(to, &cell, 0);
}

static float int_to_f32(dtype from, int64_t v)
{
    return from == DT_U64 ? (float)(uint64_t)v : (float)v;
}

void kmath_cast(ktile from, dtype to, const void *in, void *out)
{
    int64_t n = ktile_elements(from);
    bool from_float = dtype_is_float(from.dt), to_float = dtype_is_float(to);
    for (int64_t k = 0; k < n; k++) {
        if (to == DT_F64) {
            ((double *)out)[k] = as_double(from.dt, in, k);
        } else if (to == DT_F32 && !from_float) {
            ((float *)out)[k] = int_to_f32(from.dt, ((const int64_t *)in)[k]);
        } else if (to_float) {
            ((float *)out)[k] = (float)dtype_round(to, as_double(from.dt, in, k));
        } else if (from_float) {
            ((int64_t *)out)[k] = float_to_int(to, as_double(from.dt, in, k));
        } else {
            ((int64_t *)out)[k] = dtype_wrap(to, ((const int64_t *)in)[k]);
        }
    }
}

void kmath_bitcast(ktile from, dtype to, const void *in, void *out)
{
    int64_t n = ktile_elements(from);
    for (int64_t k = 0; k < n; k++) {
        uint64_t cell = 0;
        kmath_store(from.dt, &cell, 0, in, k);
        kmath_load(to, &cell, 0, out, k);
    }
}

void kmath_transpose(ktile from, const void *in, void *out)
{
    uint32_t b = kreg_bytes(from.dt);
    int64_t rows = ktile_rows(from), cols = ktile_cols(from);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            memcpy((char *)out + (c * rows + r) * b, (const char *)in + (r * cols + c) * b, b);
}

/* ---- reductions ---- */

/* Combines line element i with i + h for h = p/2 ... 1. The line lies in `temp`, as one row. */
static void reduce_line(kreduce kind, dtype dt, void *temp, int64_t n)
{
    static const kop_kind combine[] = {[KREDUCE_ADD] = KOP_ADD, [KREDUCE_MAX] = KOP_MAX, [KREDUCE_MIN] = KOP_MIN};
    uint32_t b = kreg_bytes(dt);
    int64_t h = 1;
    while (h < n) h *= 2;
    for (h /= 2; h >= 1; h /= 2) {
        int64_t with = n < 2 * h ? n - h : h;
        if (with <= 0) continue;
        row r = {.in = {temp, (char *)temp + h * b, temp}, .step = {1, 1, 1}, .out = temp, .n = with};
        row_function(combine[kind], class_of(dt))(&r);
        fit(dt, temp, with);
    }
}

void kmath_reduce(kreduce kind, ktile from, int64_t axis, const void *in, void *out, void *temp)
{
    uint32_t b = kreg_bytes(from.dt);
    int64_t rows = ktile_rows(from), cols = ktile_cols(from);
    bool down = from.rank == 2 && axis == 0;
    int64_t lines = down ? cols : rows, n = down ? rows : cols;
    for (int64_t l = 0; l < lines; l++) {
        for (int64_t k = 0; k < n; k++)
            memcpy((char *)temp + k * b, (const char *)in + (down ? k * cols + l : l * cols + k) * b, b);
        reduce_line(kind, from.dt, temp, n);
        memcpy((char *)out + l * b, temp, b);
    }
}

/* ---- contractions ---- */

static void fma_row_any(float *acc, float a, const float *b, int64_t n)
{
    for (int64_t j = 0; j < n; j++) acc[j] = fmaf(a, b[j], acc[j]);
}

#if defined(__x86_64__) && defined(__GNUC__)
/* The same bits, many times faster than calls of fmaf. */
__attribute__((target("avx2,fma"))) static void fma_row_fast(float *acc, float a, const float *b, int64_t n)
{
    for (int64_t j = 0; j < n; j++) acc[j] = __builtin_fmaf(a, b[j], acc[j]);
}
static bool fma_is_fast(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#else
#define fma_row_fast fma_row_any
static bool fma_is_fast(void)
{
    return false;
}
#endif

static void contract_f32(ktile acc, int64_t k, const float *a, const float *b, float *c)
{
    int64_t m = acc.shape[0], n = acc.shape[1];
    bool fast = fma_is_fast();
    for (int64_t i = 0; i < m; i++)
        for (int64_t p = 0; p < k; p++) {
            (fast ? fma_row_fast : fma_row_any)(c + i * n, a[i * k + p], b + p * n, n);
            fit(acc.dt, c + i * n, n);
        }
}

static void contract_f64(ktile acc, ktile a, ktile b, const void *av, const void *bv, double *c)
{
    int64_t m = acc.shape[0], n = acc.shape[1], k = a.shape[1];
    for (int64_t i = 0; i < m; i++)
        for (int64_t p = 0; p < k; p++) {
            double x = as_double(a.dt, av, i * k + p);
            for (int64_t j = 0; j < n; j++) c[i * n + j] = fma(x, as_double(b.dt, bv, p * n + j), c[i * n + j]);
        }
}

static void contract_int(ktile acc, int64_t k, const int64_t *a, const int64_t *b, int64_t *c)
{
    int64_t m = acc.shape[0], n = acc.shape[1];
    for (int64_t i = 0; i < m; i++)
        for (int64_t p = 0; p < k; p++)
            for (int64_t j = 0; j < n; j++)
                c[i * n + j] = sc_wrap_add(c[i * n + j], sc_wrap_mul(a[i * k + p], b[p * n + j]));
    fit(acc.dt, c, m * n);
}

void kmath_contract(ktile acc, ktile a, ktile b, const void *av, const void *bv, void *c)
{
    if (acc.dt == DT_F64) contract_f64(acc, a, b, av, bv, c);
    else if (dtype_is_float(acc.dt)) contract_f32(acc, a.shape[1], av, bv, c);
    else contract_int(acc, a.shape[1], av, bv, c);
}

/* ---- memory ---- */

void kmath_load(dtype t, const void *base, int64_t index, void *reg, int64_t i)
{
    if (t == DT_F32) {
        memcpy((float *)reg + i, (const char *)base + index * 4, 4);
    } else if (t == DT_F64) {
        memcpy((double *)reg + i, (const char *)base + index * 8, 8);
    } else if (t == DT_BF16) {
        uint16_t half;
        memcpy(&half, (const char *)base + index * 2, 2);
        uint32_t bits = (uint32_t)half << 16;
        memcpy((float *)reg + i, &bits, 4);
    } else if (dtype_is_float(t)) {
        ((float *)reg)[i] = (float)dtype_load_f64(t, base, (uint64_t)index);
    } else {
        ((int64_t *)reg)[i] = dtype_load_i64(t, base, (uint64_t)index);
    }
}

void kmath_store(dtype t, void *base, int64_t index, const void *reg, int64_t i)
{
    if (t == DT_F32) {
        memcpy((char *)base + index * 4, (const float *)reg + i, 4);
    } else if (t == DT_F64) {
        memcpy((char *)base + index * 8, (const double *)reg + i, 8);
    } else if (t == DT_BF16) {
        uint32_t bits;
        memcpy(&bits, (const float *)reg + i, 4);
        uint16_t half = (uint16_t)(bits >> 16);
        memcpy((char *)base + index * 2, &half, 2);
    } else if (dtype_is_float(t)) {
        dtype_store_f64(t, base, (uint64_t)index, (double)((const float *)reg)[i]);
    } else {
        dtype_store_i64(t, base, (uint64_t)index, ((const int64_t *)reg)[i]);
    }
}
