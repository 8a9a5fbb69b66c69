/* Constant expressions: construction, equality and text. Reading is in constant_read.c; maps and
 * broadcasts are in constant_map.c.
 *
 * Constructors leave out what changes nothing (a cast to the same dtype, a slice of everything), so that equal
 * constants made in different ways are more often equal expressions. Arguments have been checked by the caller; misfits
 * assert.
 *
 * Random values. The generator is counter-based, so any element is made without those before it, on any machine alike:
 *     stream = FNV-1a (64 bits) of the path;  s = mix(seed) ^ stream;  x = mix(s + (i + 1) * 0x9e3779b97f4a7c15)
 *     value i = scale * (2 * (x >> 11) / 2^53 - 1)
 * with mix the finaliser of SplitMix64 (Steele, Lea, Flood 2014). Scale is 1 / sqrt(last size) for tensors of two axes
 * or more, so that products with them keep the size of their input, else 0.1. Int dtypes are all zeros: they are
 * indices, for which zero is always valid. f8e8m0, which has no sign, takes the magnitude. */
#include "ir/constant_internal.h"

#include <assert.h>
#include <math.h>

#include "ir/internal.h"

static uint64_t product(uint32_t rank, const int64_t *shape)
{
    uint64_t n = 1;
    for (uint32_t i = 0; i < rank; i++) n *= (uint64_t)shape[i];
    return n;
}

uint64_t cexpr_elements(const cexpr *e)
{
    return product(e->rank, e->shape);
}

uint64_t cexpr_bytes(const cexpr *e)
{
    return dtype_bytes(e->dt, cexpr_elements(e));
}

/* ---- construction ---- */

cexpr *cexpr_new(arena *a, cexpr_kind kind, dtype dt, uint32_t rank, const int64_t *shape)
{
    assert(rank <= MAX_RANK);
    cexpr *e = ARENA_NEW(a, cexpr);
    e->kind = kind;
    e->dt = dt;
    e->rank = (uint8_t)rank;
    for (uint32_t i = 0; i < rank; i++) {
        assert(shape[i] >= 0);
        e->shape[i] = shape[i];
    }
    return e;
}

void cexpr_set_args(arena *a, cexpr *e, const cexpr *const *args, uint32_t n)
{
    assert(n > 0 && n <= UINT32_MAX / sizeof *args);
    const cexpr **copy = ARENA_ARRAY(a, const cexpr *, n);
    for (uint32_t i = 0; i < n; i++) copy[i] = args[i];
    e->args = copy;
    e->n_args = n;
}

static cexpr *make_on(arena *a, cexpr_kind kind, const cexpr *arg, uint32_t rank, const int64_t *shape)
{
    cexpr *e = cexpr_new(a, kind, arg->dt, rank, shape);
    cexpr_set_args(a, e, &arg, 1);
    return e;
}

const cexpr *cexpr_file(arena *a, const weights_file *f, const weights_tensor *t)
{
    cexpr *e = cexpr_new(a, CE_FILE, t->dt, t->rank, t->shape);
    e->u.file.file = f;
    e->u.file.tensor = t;
    return e;
}

static uint64_t fnv1a(const char *s)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *s; s++) h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    return h;
}

const cexpr *cexpr_random(arena *a, dtype dt, uint32_t rank, const int64_t *shape, uint64_t seed, const char *path)
{
    double scale = rank >= 2 && shape[rank - 1] > 0 ? 1 / sqrt((double)shape[rank - 1]) : 0.1;
    return cexpr_random_stream(a, dt, rank, shape, seed, fnv1a(path), scale);
}

const cexpr *cexpr_random_stream(arena *a, dtype dt, uint32_t rank, const int64_t *shape, uint64_t seed,
                                 uint64_t stream, double scale)
{
    cexpr *e = cexpr_new(a, CE_RANDOM, dt, rank, shape);
    e->u.random.seed = seed;
    e->u.random.stream = stream;
    e->u.random.scale = scale;
    return e;
}

const cexpr *cexpr_splat(arena *a, dtype dt, uint32_t rank, const int64_t *shape, double v)
{
    cexpr *e = cexpr_new(a, CE_SPLAT, dt, rank, shape);
    e->u.splat = v;
    return e;
}

const cexpr *cexpr_data(arena *a, dtype dt, uint32_t rank, const int64_t *shape, const void *data)
{
    cexpr *e = cexpr_new(a, CE_DATA, dt, rank, shape);
    e->u.data = data;
    return e;
}

const cexpr *cexpr_cast(arena *a, const cexpr *e, dtype to)
{
    if (e->dt == to) return e;
    cexpr *c = make_on(a, CE_CAST, e, e->rank, e->shape);
    c->dt = to;
    return c;
}

const cexpr *cexpr_slice(arena *a, const cexpr *e, const int64_t *start, const int64_t *size)
{
    bool all = true;
    for (uint32_t i = 0; i < e->rank; i++) {
        assert(start[i] >= 0 && size[i] >= 0 && start[i] <= e->shape[i] && size[i] <= e->shape[i] - start[i]);
        all = all && size[i] == e->shape[i];
    }
    if (all) return e;
    int64_t from[MAX_RANK];
    for (uint32_t i = 0; i < e->rank; i++) from[i] = start[i] + (e->kind == CE_SLICE ? e->u.start[i] : 0);
    cexpr *c = make_on(a, CE_SLICE, e->kind == CE_SLICE ? e->args[0] : e, e->rank, size);
    for (uint32_t i = 0; i < e->rank; i++) c->u.start[i] = from[i];
    return c;
}

const cexpr *cexpr_transpose(arena *a, const cexpr *e, const uint8_t *perm)
{
    int64_t shape[MAX_RANK];
    uint8_t through[MAX_RANK];
    bool same = true;
    unsigned seen = 0;
    const cexpr *of = e->kind == CE_TRANSPOSE ? e->args[0] : e;
    for (uint32_t i = 0; i < e->rank; i++) {
        assert(perm[i] < e->rank && !(seen >> perm[i] & 1));
        seen |= 1u << perm[i];
        shape[i] = e->shape[perm[i]];
        through[i] = e->kind == CE_TRANSPOSE ? e->u.perm[perm[i]] : perm[i];
        same = same && through[i] == i;
    }
    if (same) return of;
    cexpr *c = make_on(a, CE_TRANSPOSE, of, e->rank, shape);
    for (uint32_t i = 0; i < e->rank; i++) c->u.perm[i] = through[i];
    return c;
}

const cexpr *cexpr_concat(arena *a, const cexpr *const *parts, uint32_t n, int axis)
{
    assert(n > 0 && axis >= 0 && axis < parts[0]->rank);
    if (n == 1) return parts[0];
    int64_t shape[MAX_RANK];
    memcpy(shape, parts[0]->shape, sizeof shape);
    for (uint32_t i = 1; i < n; i++) {
        assert(parts[i]->dt == parts[0]->dt && parts[i]->rank == parts[0]->rank);
        for (int k = 0; k < parts[0]->rank; k++) assert(k == axis || parts[i]->shape[k] == shape[k]);
        shape[axis] += parts[i]->shape[axis];
    }
    cexpr *c = cexpr_new(a, CE_CONCAT, parts[0]->dt, parts[0]->rank, shape);
    cexpr_set_args(a, c, parts, n);
    c->u.axis = axis;
    return c;
}

const cexpr *cexpr_stack(arena *a, const cexpr *const *parts, uint32_t n)
{
    assert(n > 0 && parts[0]->rank < MAX_RANK);
    int64_t shape[MAX_RANK] = {n};
    for (uint32_t k = 0; k < parts[0]->rank; k++) shape[k + 1] = parts[0]->shape[k];
    if (n == 1) return cexpr_reshape(a, parts[0], parts[0]->rank + 1u, shape);
    for (uint32_t i = 1; i < n; i++) {
        assert(parts[i]->dt == parts[0]->dt && parts[i]->rank == parts[0]->rank);
        for (uint32_t k = 0; k < parts[0]->rank; k++) assert(parts[i]->shape[k] == parts[0]->shape[k]);
    }
    cexpr *c = cexpr_new(a, CE_STACK, parts[0]->dt, parts[0]->rank + 1u, shape);
    cexpr_set_args(a, c, parts, n);
    return c;
}

static bool shape_is(const cexpr *e, uint32_t rank, const int64_t *shape)
{
    return e->rank == rank && memcmp(e->shape, shape, rank * sizeof *shape) == 0;
}

const cexpr *cexpr_reshape(arena *a, const cexpr *e, uint32_t rank, const int64_t *shape)
{
    assert(product(rank, shape) == cexpr_elements(e));
    if (shape_is(e, rank, shape)) return e;
    if (e->kind == CE_RESHAPE) return cexpr_reshape(a, e->args[0], rank, shape);
    return make_on(a, CE_RESHAPE, e, rank, shape);
}

const cexpr *cexpr_scale(arena *a, const cexpr *e, double by)
{
    assert(dtype_is_float(e->dt));
    if (by == 1) return e;
    cexpr *c = make_on(a, CE_SCALE, e, e->rank, e->shape);
    c->u.scale = by;
    return c;
}

const cexpr *cexpr_encode(arena *a, const cexpr *e, encoding enc)
{
    int64_t n = (int64_t)encoding_elements(enc, e->rank, e->shape);
    if (enc.kind == ENC_ROWS) return cexpr_reshape(a, e, 1, &n);
    cexpr *c = make_on(a, CE_ENCODE, e, 1, &n);
    c->u.enc = enc;
    return c;
}

/* ---- equality ---- */

static bool same_double(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

bool cexpr_equal(const cexpr *a, const cexpr *b)
{
    if (a == b) return true;
    if (a->kind != b->kind || a->dt != b->dt || a->n_args != b->n_args || !shape_is(a, b->rank, b->shape)) return false;
    bool same = true;
    switch (a->kind) {
    case CE_FILE: same = a->u.file.file == b->u.file.file && a->u.file.tensor == b->u.file.tensor; break;
    case CE_RANDOM:
        same = a->u.random.seed == b->u.random.seed && a->u.random.stream == b->u.random.stream &&
               same_double(a->u.random.scale, b->u.random.scale);
        break;
    case CE_SPLAT: same = same_double(a->u.splat, b->u.splat); break;
    case CE_DATA:
        same = a->u.data == b->u.data || !cexpr_bytes(a) || memcmp(a->u.data, b->u.data, cexpr_bytes(a)) == 0;
        break;
    case CE_SLICE: same = memcmp(a->u.start, b->u.start, a->rank * sizeof *a->u.start) == 0; break;
    case CE_TRANSPOSE: same = memcmp(a->u.perm, b->u.perm, a->rank * sizeof *a->u.perm) == 0; break;
    case CE_CONCAT: same = a->u.axis == b->u.axis; break;
    case CE_SCALE: same = same_double(a->u.scale, b->u.scale); break;
    case CE_MAP: same = a->u.op == b->u.op; break;
    case CE_BROADCAST:
        same = a->args[0]->rank == b->args[0]->rank && !memcmp(a->u.axes, b->u.axes, a->args[0]->rank);
        break;
    case CE_ENCODE: same = a->u.enc.kind == b->u.enc.kind && a->u.enc.param == b->u.enc.param; break;
    case CE_CAST:
    case CE_RESHAPE:
    case CE_STACK: break;
    }
    for (uint32_t i = 0; same && i < a->n_args; i++) same = cexpr_equal(a->args[i], b->args[i]);
    return same;
}

uint64_t cexpr_hash(const cexpr *e)
{
    uint64_t h = hash_bytes(e->shape, e->rank * sizeof *e->shape, (uint64_t)e->kind << 8 | (uint64_t)e->dt);
    switch (e->kind) {
    case CE_FILE: h = hash_bytes(&e->u.file.tensor, sizeof e->u.file.tensor, h); break;
    case CE_RANDOM: h = hash_bytes(&e->u.random.stream, sizeof e->u.random.stream, h ^ e->u.random.seed); break;
    case CE_SPLAT: h = hash_bytes(&e->u.splat, sizeof e->u.splat, h); break;
    case CE_DATA: h = hash_bytes(e->u.data, cexpr_bytes(e) < 64 ? cexpr_bytes(e) : 64, h); break;
    case CE_SLICE: h = hash_bytes(e->u.start, e->rank * sizeof *e->u.start, h); break;
    case CE_TRANSPOSE: h = hash_bytes(e->u.perm, e->rank * sizeof *e->u.perm, h); break;
    case CE_SCALE: h = hash_bytes(&e->u.scale, sizeof e->u.scale, h); break;
    case CE_MAP: h = hash_bytes(&e->u.op, sizeof e->u.op, h); break;
    default: break;
    }
    for (uint32_t i = 0; i < e->n_args; i++) h = h * 31 + cexpr_hash(e->args[i]);
    return h;
}

/* ---- text ---- */

static void print_sizes(uint32_t rank, const int64_t *shape, strbuf *out)
{
    strbuf_addc(out, '[');
    for (uint32_t i = 0; i < rank; i++) strbuf_addf(out, "%s%lld", i ? ", " : "", (long long)shape[i]);
    strbuf_addc(out, ']');
}

static void print_axes(uint32_t n, const uint8_t *axes, strbuf *out)
{
    int64_t v[MAX_RANK];
    for (uint32_t i = 0; i < n; i++) v[i] = axes[i];
    print_sizes(n, v, out);
}

static void print_type(const cexpr *e, strbuf *out)
{
    strbuf_adds(out, dtype_name(e->dt));
    if (e->rank) print_sizes(e->rank, e->shape, out);
}

static void print_data(const cexpr *e, strbuf *out)
{
    uint64_t n = cexpr_elements(e);
    strbuf_addc(out, '[');
    for (uint64_t i = 0; i < n; i++) {
        if (i) strbuf_adds(out, ", ");
        if (dtype_is_float(e->dt)) strbuf_add_double(out, dtype_load_f64(e->dt, e->u.data, i));
        else if (e->dt == DT_U64) strbuf_addf(out, "%llu", (unsigned long long)dtype_load_i64(e->dt, e->u.data, i));
        else strbuf_addf(out, "%lld", (long long)dtype_load_i64(e->dt, e->u.data, i));
    }
    strbuf_addc(out, ']');
}

static void print_encoding(encoding enc, strbuf *out)
{
    static const struct {
        const char *name;
        int params;
    } encodings[ENC_COUNT] = {
#define ENCODING(name, NAME, params, math) [ENC_##NAME] = {#name, params},
#include "ir/encodings.def"
#undef ENCODING
    };
    strbuf_adds(out, encodings[enc.kind].name);
    if (encodings[enc.kind].params) strbuf_addf(out, " %d", enc.param);
}

void cexpr_print(const cexpr *e, strbuf *out)
{
    switch (e->kind) {
    case CE_FILE:
        strbuf_adds(out, "file ");
        print_quoted(out, weights_path(e->u.file.file));
        strbuf_addc(out, ' ');
        print_quoted(out, e->u.file.tensor->name);
        return;
    case CE_RANDOM:
        strbuf_adds(out, "random ");
        print_type(e, out);
        strbuf_addf(out, " seed %llu stream %llu scale ", (unsigned long long)e->u.random.seed,
                    (unsigned long long)e->u.random.stream);
        strbuf_add_double(out, e->u.random.scale);
        return;
    case CE_SPLAT:
        strbuf_adds(out, "splat ");
        print_type(e, out);
        strbuf_addc(out, ' ');
        strbuf_add_double(out, e->u.splat);
        return;
    case CE_DATA:
        strbuf_addf(out, "data %s", dtype_name(e->dt)); /* rank 0 is i32[], or its sizes would be taken from the data */
        print_sizes(e->rank, e->shape, out);
        strbuf_addc(out, ' ');
        print_data(e, out);
        return;
    case CE_CAST: strbuf_addf(out, "cast %s", dtype_name(e->dt)); break;
    case CE_SLICE:
        strbuf_adds(out, "slice ");
        print_sizes(e->rank, e->u.start, out);
        strbuf_addc(out, ' ');
        print_sizes(e->rank, e->shape, out);
        break;
    case CE_TRANSPOSE:
        strbuf_adds(out, "transpose ");
        print_axes(e->rank, e->u.perm, out);
        break;
    case CE_BROADCAST:
        strbuf_adds(out, "broadcast ");
        print_axes(e->args[0]->rank, e->u.axes, out);
        strbuf_addc(out, ' ');
        print_sizes(e->rank, e->shape, out);
        break;
    case CE_MAP: strbuf_addf(out, "map %s", op_row(e->u.op)->name); break;
    case CE_CONCAT: strbuf_addf(out, "concat %d", e->u.axis); break;
    case CE_RESHAPE:
        strbuf_adds(out, "reshape ");
        print_sizes(e->rank, e->shape, out);
        break;
    case CE_SCALE:
        strbuf_adds(out, "scale ");
        strbuf_add_double(out, e->u.scale);
        break;
    case CE_STACK: strbuf_adds(out, "stack"); break;
    case CE_ENCODE:
        strbuf_adds(out, "encode ");
        print_encoding(e->u.enc, out);
        break;
    }
    strbuf_adds(out, " (");
    for (uint32_t i = 0; i < e->n_args; i++) {
        if (i) strbuf_adds(out, ", ");
        cexpr_print(e->args[i], out);
    }
    strbuf_addc(out, ')');
}

/* ---- encodings ---- */

uint64_t encoding_elements(encoding enc, uint32_t rank, const int64_t *shape)
{
    uint64_t n = product(rank, shape);
    if (enc.kind == ENC_ROWS) return n;
    assert(enc.kind == ENC_PANEL && enc.param > 0 && rank >= 2);
    uint64_t nr = (uint64_t)enc.param, rows = (uint64_t)shape[rank - 2];
    return product(rank - 2, shape) * ((rows + nr - 1) / nr) * (uint64_t)shape[rank - 1] * nr;
}

uint64_t encoding_offset(encoding enc, uint32_t rank, const int64_t *shape, const int64_t *index)
{
    uint64_t at = 0;
    if (enc.kind == ENC_ROWS) {
        for (uint32_t i = 0; i < rank; i++) at = at * (uint64_t)shape[i] + (uint64_t)index[i];
        return at;
    }
    assert(enc.kind == ENC_PANEL && enc.param > 0 && rank >= 2);
    for (uint32_t i = 0; i < rank - 2; i++) at = at * (uint64_t)shape[i] + (uint64_t)index[i];
    uint64_t nr = (uint64_t)enc.param, rows = (uint64_t)shape[rank - 2], depth = (uint64_t)shape[rank - 1];
    uint64_t n = (uint64_t)index[rank - 2], k = (uint64_t)index[rank - 1];
    return at * ((rows + nr - 1) / nr) * depth * nr + ((n / nr) * depth + k) * nr + n % nr;
}
