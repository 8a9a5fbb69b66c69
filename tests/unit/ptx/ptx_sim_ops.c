/* Instructions that a thread executes alone. */
#include "unit/ptx/ptx_sim_internal.h"

#include "ir/dtype.h"

#include <math.h>

/* ---- numbers ---- */

static uint64_t low_bits(uint64_t v, int bits)
{
    return bits >= 64 ? v : v & ((UINT64_C(1) << bits) - 1);
}

static int64_t as_signed(uint64_t v, int bits)
{
    return bits >= 64 ? (int64_t)v : (int64_t)(v << (64 - bits)) >> (64 - bits);
}

static float f32_of(uint64_t v)
{
    uint32_t u = (uint32_t)v;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint64_t f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static double f64_of(uint64_t v)
{
    double f;
    memcpy(&f, &v, sizeof f);
    return f;
}

static uint64_t f64_bits(double f)
{
    uint64_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

float sim_half_value(char kind, uint16_t bits)
{
    return (float)dtype_load_f64(kind == 'h' ? DT_BF16 : DT_F16, &bits, 0);
}

uint16_t sim_half_bits(char kind, float v)
{
    uint16_t out;
    dtype_store_f64(kind == 'h' ? DT_BF16 : DT_F16, &out, 0, (double)v);
    return out;
}

static bool is_float(sim_type t)
{
    return t.kind == 'f' || t.kind == 'h';
}

static double float_of(sim_type t, uint64_t v)
{
    if (t.bits == 64) return f64_of(v);
    return t.bits == 32 ? (double)f32_of(v) : (double)sim_half_value(t.kind, (uint16_t)v);
}

/* Rounded once from a double that is exact or rounded to odd well below the format. */
static uint64_t float_bits(sim_type t, double v)
{
    if (t.bits == 64) return f64_bits(v);
    if (t.bits == 32) return f32_bits((float)v);
    uint16_t out;
    dtype_store_f64(t.kind == 'h' ? DT_BF16 : DT_F16, &out, 0, v);
    return out;
}

static uint64_t arg(sim_machine *s, sim_thread *t, const sim_instr *i, int k)
{
    return sim_get(s, t, &i->args[k]);
}

static void result(sim_thread *t, const sim_instr *i, uint64_t v, int bits)
{
    sim_set(t, &i->args[0], v, bits);
}

/* ---- moves ---- */

static void exec_mov(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    const sim_arg *to = &i->args[0], *from = &i->args[1];
    uint64_t v = 0;
    if (from->kind == ARG_LIST) {
        int part = i->type.bits / from->n;
        for (int k = 0; k < from->n; k++) v |= low_bits(sim_get(s, t, &from->list[k]), part) << (k * part);
    } else {
        v = sim_get(s, t, from);
    }
    if (to->kind != ARG_LIST) {
        result(t, i, v, i->type.bits);
        return;
    }
    int part = i->type.bits / to->n;
    for (int k = 0; k < to->n; k++) sim_set(t, &to->list[k], v >> (k * part), part);
}

static char space_of(const sim_instr *i)
{
    return sim_has(i, "shared") ? 's' : 'g';
}

static void exec_ld(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    const sim_arg *to = &i->args[0], *at = &i->args[1];
    if (sim_has(i, "param")) {
        for (uint32_t k = 0; k < s->params.len; k++)
            if (!strcmp(s->params.data[k], at->name)) result(t, i, s->run->params[k], i->type.bits);
        return;
    }
    int n = i->type.vector, bytes = i->type.bits / 8;
    const uint8_t *p =
        sim_memory(s, i, space_of(i), sim_address(s, t, at), (uint64_t)(n * bytes), (uint64_t)(n * bytes), false);
    for (int k = 0; p && k < n; k++) {
        uint64_t v = 0;
        memcpy(&v, p + k * bytes, (size_t)bytes);
        if (i->type.kind == 's') v = (uint64_t)as_signed(v, i->type.bits);
        sim_set(t, n > 1 ? &to->list[k] : to, v, 64);
    }
}

static void exec_st(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    const sim_arg *at = &i->args[0], *from = &i->args[1];
    int n = i->type.vector, bytes = i->type.bits / 8;
    uint8_t *p =
        sim_memory(s, i, space_of(i), sim_address(s, t, at), (uint64_t)(n * bytes), (uint64_t)(n * bytes), true);
    for (int k = 0; p && k < n; k++) {
        uint64_t v = sim_get(s, t, n > 1 ? &from->list[k] : from);
        memcpy(p + k * bytes, &v, (size_t)bytes);
    }
}

static void exec_atom(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    if (!sim_has(i, "cas")) sim_fail(s, i, "unknown atomic");
    uint32_t *p = sim_memory(s, i, 'g', sim_address(s, t, &i->args[1]), 4, 4, true);
    if (!p) return;
    result(t, i, *p, 32);
    if (*p == (uint32_t)arg(s, t, i, 2)) *p = (uint32_t)arg(s, t, i, 3);
}

/* ---- arithmetic ---- */

/* On one or two halves: in double, where at most the last bits of sums that no half comes near are lost. */
static void half_op(sim_machine *s, sim_thread *t, const sim_instr *i, char op)
{
    sim_type one = {i->type.kind, 16, 1};
    uint64_t v = 0, x[3] = {0};
    for (int k = 1; k < i->n_args; k++) x[k - 1] = arg(s, t, i, k);
    for (int n = 0; n < i->type.vector; n++) {
        double a = float_of(one, x[0] >> 16 * n), b = float_of(one, x[1] >> 16 * n), c = float_of(one, x[2] >> 16 * n);
        double y = op == '+' ? a + b : op == '-' ? a - b : op == '*' ? a * b : a * b + c;
        v |= float_bits(one, y) << 16 * n;
    }
    result(t, i, v, 16 * i->type.vector);
}

static void float_op(sim_machine *s, sim_thread *t, const sim_instr *i, char op)
{
    uint64_t a = arg(s, t, i, 1), b = arg(s, t, i, 2);
    if (i->type.bits == 64) {
        double x = f64_of(a), y = f64_of(b);
        result(t, i, f64_bits(op == '+' ? x + y : op == '-' ? x - y : op == '*' ? x * y : x / y), 64);
        return;
    }
    if (i->type.bits == 16) {
        half_op(s, t, i, op);
        return;
    }
    float x = f32_of(a), y = f32_of(b);
    result(t, i, f32_bits(op == '+' ? x + y : op == '-' ? x - y : op == '*' ? x * y : x / y), 32);
}

static void exec_add(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    if (is_float(i->type)) float_op(s, t, i, '+');
    else result(t, i, arg(s, t, i, 1) + arg(s, t, i, 2), i->type.bits);
}

static void exec_sub(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    if (is_float(i->type)) float_op(s, t, i, '-');
    else result(t, i, arg(s, t, i, 1) - arg(s, t, i, 2), i->type.bits);
}

/* The whole product of two numbers of the instruction's type, 128 bits. */
static __uint128_t product(sim_type ty, uint64_t a, uint64_t b)
{
    if (ty.kind == 's') return (__uint128_t)((__int128_t)as_signed(a, ty.bits) * as_signed(b, ty.bits));
    return (__uint128_t)low_bits(a, ty.bits) * low_bits(b, ty.bits);
}

static void exec_mul(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    if (is_float(i->type)) {
        float_op(s, t, i, '*');
        return;
    }
    __uint128_t p = product(i->type, arg(s, t, i, 1), arg(s, t, i, 2));
    bool wide = sim_has(i, "wide"), hi = sim_has(i, "hi");
    result(t, i, (uint64_t)(hi ? p >> i->type.bits : p), wide ? i->type.bits * 2 : i->type.bits);
}

static void exec_mad(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    __uint128_t p = product(i->type, arg(s, t, i, 1), arg(s, t, i, 2));
    if (sim_has(i, "hi")) p >>= i->type.bits;
    result(t, i, (uint64_t)p + arg(s, t, i, 3), sim_has(i, "wide") ? i->type.bits * 2 : i->type.bits);
}

static void exec_fma(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    uint64_t a = arg(s, t, i, 1), b = arg(s, t, i, 2), c = arg(s, t, i, 3);
    if (i->type.bits == 64) result(t, i, f64_bits(fma(f64_of(a), f64_of(b), f64_of(c))), 64);
    else if (i->type.bits == 32) result(t, i, f32_bits(fmaf(f32_of(a), f32_of(b), f32_of(c))), 32);
    else half_op(s, t, i, 'f');
}

static void exec_div(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    if (is_float(i->type)) {
        float_op(s, t, i, '/');
        return;
    }
    bool rem = !strcmp(i->word[0], "rem");
    int bits = i->type.bits;
    uint64_t a = arg(s, t, i, 1), b = arg(s, t, i, 2);
    if (!low_bits(b, bits)) {
        result(t, i, UINT64_MAX, bits);
    } else if (i->type.kind == 's') {
        int64_t x = as_signed(a, bits), y = as_signed(b, bits);
        result(t, i, y == -1 ? (rem ? 0 : 0 - (uint64_t)x) : (uint64_t)(rem ? x % y : x / y), bits);
    } else {
        uint64_t x = low_bits(a, bits), y = low_bits(b, bits);
        result(t, i, rem ? x % y : x / y, bits);
    }
}

static void exec_minmax(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    bool max = !strcmp(i->word[0], "max");
    uint64_t a = arg(s, t, i, 1), b = arg(s, t, i, 2);
    int bits = i->type.bits;
    bool first;
    if (is_float(i->type)) {
        double x = float_of(i->type, a), y = float_of(i->type, b);
        if (isnan(x) || isnan(y)) {
            bool spread = sim_has(i, "NaN") || (isnan(x) && isnan(y));
            result(t, i, spread ? float_bits(i->type, (double)NAN) : isnan(x) ? b : a, bits);
            return;
        }
        first = x == y ? (signbit(x) != 0) != max : (x > y) == max;
    } else if (i->type.kind == 's') {
        first = (as_signed(a, bits) > as_signed(b, bits)) == max;
    } else {
        first = (low_bits(a, bits) > low_bits(b, bits)) == max;
    }
    result(t, i, first ? a : b, bits);
}

static void exec_neg(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    uint64_t a = arg(s, t, i, 1);
    if (is_float(i->type) && i->type.vector == 2) result(t, i, a ^ 0x80008000, 32);
    else if (is_float(i->type)) result(t, i, a ^ UINT64_C(1) << (i->type.bits - 1), i->type.bits);
    else result(t, i, 0 - a, i->type.bits);
}

static void exec_abs(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    uint64_t a = arg(s, t, i, 1);
    int64_t v = as_signed(a, i->type.bits);
    if (is_float(i->type)) result(t, i, low_bits(a, i->type.bits - 1), i->type.bits);
    else result(t, i, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, i->type.bits);
}

static void exec_sqrt(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    uint64_t a = arg(s, t, i, 1);
    result(t, i, i->type.bits == 64 ? f64_bits(sqrt(f64_of(a))) : f32_bits(sqrtf(f32_of(a))), i->type.bits);
}

static void exec_rcp(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    uint64_t a = arg(s, t, i, 1);
    result(t, i, i->type.bits == 64 ? f64_bits(1.0 / f64_of(a)) : f32_bits(1.0f / f32_of(a)), i->type.bits);
}

static void exec_copysign(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    int top = i->type.bits - 1;
    result(t, i, low_bits(arg(s, t, i, 2), top) | (arg(s, t, i, 1) >> top & 1) << top, i->type.bits);
}

/* ---- bits ---- */

static void exec_logic(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    uint64_t a = arg(s, t, i, 1), b = i->n_args > 2 ? arg(s, t, i, 2) : 0;
    char op = i->word[0][0];
    result(t, i, op == 'a' ? a & b : op == 'o' ? a | b : op == 'x' ? a ^ b : ~a, i->type.bits);
}

static void exec_shift(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    int bits = i->type.bits;
    uint64_t a = arg(s, t, i, 1), n = low_bits(arg(s, t, i, 2), 32);
    if (n > (uint64_t)bits) n = (uint64_t)bits;
    if (!strcmp(i->word[0], "shl")) result(t, i, n >= 64 ? 0 : a << n, bits);
    else if (i->type.kind == 's') result(t, i, (uint64_t)(as_signed(a, bits) >> (n >= 64 ? 63 : n)), bits);
    else result(t, i, n >= 64 ? 0 : low_bits(a, bits) >> n, bits);
}

static void exec_bfe(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    int bits = i->type.bits, at = (int)(arg(s, t, i, 2) & 255), n = (int)(arg(s, t, i, 3) & 255);
    uint64_t v = at >= bits ? 0 : low_bits(arg(s, t, i, 1), bits) >> at;
    v = n ? low_bits(v, n) : 0;
    result(t, i, i->type.kind == 's' && n ? (uint64_t)as_signed(v, n) : v, bits);
}

static void exec_prmt(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    uint64_t both = low_bits(arg(s, t, i, 1), 32) | arg(s, t, i, 2) << 32, pick = arg(s, t, i, 3), v = 0;
    for (int k = 0; k < 4; k++) {
        uint64_t n = pick >> 4 * k & 15, byte = both >> 8 * (n & 7) & 255;
        if (n & 8) byte = byte & 128 ? 255 : 0;
        v |= byte << 8 * k;
    }
    result(t, i, v, 32);
}

/* ---- comparisons ---- */

static bool compare(const char *op, double x, double y, bool ordered)
{
    if (!strcmp(op, "num")) return ordered;
    if (!strcmp(op, "nan")) return !ordered;
    bool unordered = op[2] == 'u';
    if (!ordered) return unordered;
    if (op[0] == 'e') return x == y;
    if (op[0] == 'n') return x != y;
    if (op[0] == 'l') return op[1] == 't' ? x < y : x <= y;
    return op[1] == 't' ? x > y : x >= y;
}

static bool compare_int(sim_type ty, const char *op, uint64_t a, uint64_t b)
{
    bool less, equal = low_bits(a, ty.bits) == low_bits(b, ty.bits);
    less = ty.kind == 's' ? as_signed(a, ty.bits) < as_signed(b, ty.bits) : low_bits(a, ty.bits) < low_bits(b, ty.bits);
    if (op[0] == 'e') return equal;
    if (op[0] == 'n') return !equal;
    if (op[0] == 'l') return less || ((op[1] == 'e' || op[1] == 's') && equal);
    return !less && !(equal && (op[1] == 't' || op[1] == 'i'));
}

static void exec_setp(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    uint64_t a = arg(s, t, i, 1), b = arg(s, t, i, 2);
    bool v;
    if (is_float(i->type)) {
        double x = float_of(i->type, a), y = float_of(i->type, b);
        v = compare(i->word[1], x, y, !isnan(x) && !isnan(y));
    } else {
        v = compare_int(i->type, i->word[1], a, b);
    }
    if (i->n_args > 3) {
        bool c = arg(s, t, i, 3) & 1;
        v = sim_has(i, "and") ? v && c : sim_has(i, "or") ? v || c : v != c;
    }
    result(t, i, v, 1);
}

static void exec_selp(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    result(t, i, arg(s, t, i, 3) & 1 ? arg(s, t, i, 1) : arg(s, t, i, 2), i->type.bits);
}

/* ---- conversions ---- */

static double rounded(const sim_instr *i, double v)
{
    if (sim_has(i, "rzi")) return trunc(v);
    if (sim_has(i, "rmi")) return floor(v);
    if (sim_has(i, "rpi")) return ceil(v);
    return sim_has(i, "rni") ? rint(v) : v;
}

static uint64_t int_of_float(sim_type ty, double v)
{
    if (isnan(v)) return 0;
    double lo = ty.kind == 's' ? -ldexp(1, ty.bits - 1) : 0, hi = ldexp(1, ty.kind == 's' ? ty.bits - 1 : ty.bits);
    if (v < lo) return (uint64_t)(int64_t)lo;
    if (v >= hi) return ty.kind == 's' ? (UINT64_C(1) << (ty.bits - 1)) - 1 : low_bits(UINT64_MAX, ty.bits);
    return ty.kind == 's' ? (uint64_t)(int64_t)v : (uint64_t)v;
}

static void exec_cvt(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    sim_type to = i->type, from = i->from;
    uint64_t a = arg(s, t, i, 1);
    if (to.vector == 2) { /* the first source goes to the upper half */
        sim_type one = {to.kind, 16, 1};
        uint64_t high = float_bits(one, float_of(from, a)), low = float_bits(one, float_of(from, arg(s, t, i, 2)));
        result(t, i, high << 16 | low, 32);
    } else if (is_float(from) && is_float(to)) {
        result(t, i, float_bits(to, rounded(i, float_of(from, a))), to.bits);
    } else if (is_float(from)) {
        result(t, i, int_of_float(to, rounded(i, float_of(from, a))), to.bits);
    } else if (is_float(to)) {
        int64_t v = as_signed(a, from.bits);
        uint64_t u = low_bits(a, from.bits);
        if (to.bits == 32) result(t, i, f32_bits(from.kind == 's' ? (float)v : (float)u), 32);
        else result(t, i, float_bits(to, from.kind == 's' ? (double)v : (double)u), to.bits);
    } else {
        result(t, i, from.kind == 's' ? (uint64_t)as_signed(a, from.bits) : low_bits(a, from.bits), to.bits);
    }
}

/* ---- control, asynchronous copies ---- */

static void exec_bra(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    (void)s;
    t->pc = (uint32_t)i->args[0].number;
}

static void exec_ret(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    (void)s, (void)i;
    t->done = true;
}

static void exec_nothing(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    (void)s, (void)t, (void)i;
}

static void land(sim_machine *s, const sim_instr *i, const sim_copy *c)
{
    uint8_t *to = sim_memory(s, i, 's', c->dst, c->bytes, c->bytes, true);
    /* The source's address is aligned even where nothing is read. */
    if (c->src % c->bytes) sim_fail(s, i, "source 0x%llx is not aligned", (unsigned long long)c->src);
    const uint8_t *from = c->present && to ? sim_memory(s, i, 'g', c->src, c->present, 1, false) : NULL;
    if (from) memcpy(to, from, c->present);
    if (to) memset(to + c->present, 0, c->bytes - c->present);
}

static void exec_copy(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    sim_copy c = {.dst = sim_address(s, t, &i->args[0]), .src = sim_address(s, t, &i->args[1]), .group = t->copy_group};
    c.bytes = (uint32_t)i->args[2].number;
    c.present = i->n_args > 3 ? (uint32_t)arg(s, t, i, 3) : c.bytes;
    if (c.present > c.bytes) sim_fail(s, i, "%u bytes of %u", c.present, c.bytes);
    if (sim_has(i, "cg") && c.bytes != 16) sim_fail(s, i, "cg copies 16 bytes");
    if (s->error) return;
    if (s->run->late) vec_push(s->a, &t->copies, c);
    else land(s, i, &c);
}

static void exec_copy_commit(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    (void)s, (void)i;
    t->copy_group++;
}

static void exec_copy_wait(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    uint32_t keep = (uint32_t)i->args[0].number, kept = 0;
    for (uint32_t k = 0; k < t->copies.len; k++) {
        sim_copy c = t->copies.data[k];
        if (c.group + keep < t->copy_group) land(s, i, &c);
        else t->copies.data[kept++] = c;
    }
    t->copies.len = kept;
}

static void exec_cp(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    if (sim_has(i, "commit_group")) exec_copy_commit(s, t, i);
    else if (sim_has(i, "wait_group")) exec_copy_wait(s, t, i);
    else exec_copy(s, t, i);
}

sim_exec *sim_find_exec(const sim_instr *i, sim_scope *scope)
{
    static const struct {
        const char *name;
        sim_exec *exec;
    } all[] = {
        {"mov", exec_mov},           {"ld", exec_ld},     {"st", exec_st},         {"atom", exec_atom},
        {"add", exec_add},           {"sub", exec_sub},   {"mul", exec_mul},       {"mad", exec_mad},
        {"fma", exec_fma},           {"div", exec_div},   {"rem", exec_div},       {"min", exec_minmax},
        {"max", exec_minmax},        {"neg", exec_neg},   {"abs", exec_abs},       {"sqrt", exec_sqrt},
        {"rcp", exec_rcp},           {"and", exec_logic}, {"or", exec_logic},      {"xor", exec_logic},
        {"not", exec_logic},         {"shl", exec_shift}, {"shr", exec_shift},     {"bfe", exec_bfe},
        {"prmt", exec_prmt},         {"setp", exec_setp}, {"selp", exec_selp},     {"cvt", exec_cvt},
        {"bra", exec_bra},           {"ret", exec_ret},   {"fence", exec_nothing}, {"cp", exec_cp},
        {"copysign", exec_copysign},
    };
    *scope = SCOPE_THREAD;
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (!strcmp(i->word[0], all[k].name)) return all[k].exec;
    return NULL;
}
