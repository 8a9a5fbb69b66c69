/* Reading constant expressions of the .tir form (see cexpr_print in constant.h). The builders of constant.h assert that
 * their arguments fit, so everything is checked here first. */
#include "ir/constant.h"
#include "ir/text.h"

enum { MAX_DEPTH = 64 };

typedef struct {
    text *t;
    const type *ty; /* of the parameter, for `random` alone */
    const int64_t *shape;
    const char *path;
} context;

static const cexpr *parse(context *c, int depth);

const cexpr *default_constant(arena *a, const type *ty, const int64_t *shape, uint64_t seed, const char *path)
{
    const cexpr *e = cexpr_random(a, ty->dt, ty->rank, shape, seed, path);
    return ty->enc.kind == ENC_ROWS ? e : cexpr_encode(a, e, ty->enc);
}

/* Sizes of a tensor whose bytes can be counted in 63 bits. */
static bool check_size(context *c, uint32_t at, dtype dt, uint32_t rank, const int64_t *shape)
{
    int64_t bits = dtype_bits(dt);
    bool zero = false;
    for (uint32_t i = 0; i < rank; i++) zero = zero || shape[i] == 0;
    for (uint32_t i = 0; i < rank; i++)
        if (shape[i] < 0 || (!zero && __builtin_mul_overflow(bits, shape[i], &bits)) || bits > INT64_MAX / 2) {
            text_error(c->t, at, "the size of the constant is out of range");
            return false;
        }
    return true;
}

static bool sizes(context *c, uint32_t *n, int64_t *out)
{
    *n = 0;
    if (!text_expect(c->t, "[")) return false;
    if (text_punct(c->t, "]")) return true;
    do {
        if (*n == MAX_RANK) {
            text_error(c->t, c->t->at, "a tensor has at most %d axes", MAX_RANK);
            return false;
        }
        if (!text_int(c->t, &out[(*n)++])) return false;
    } while (text_punct(c->t, ","));
    return text_expect(c->t, "]");
}

/* "f32[2, 3]" with constant sizes. */
static bool leaf_type(context *c, dtype *dt, uint32_t *rank, int64_t *shape)
{
    uint32_t at = text_here(c->t);
    *rank = 0;
    if (!text_dtype(c->t, dt)) return false;
    if (text_peek(c->t, "[") && !sizes(c, rank, shape)) return false;
    return check_size(c, at, *dt, *rank, shape);
}

static const cexpr *parse_file(context *c)
{
    text *t = c->t;
    uint32_t at = text_here(t);
    const char *path = text_string(t, "the file's path");
    const char *name = path ? text_string(t, "the tensor's name") : NULL;
    if (!name) return NULL;
    weights_file *w = NULL;
    for (uint32_t i = 0; i < t->files.len && !w; i++)
        if (!strcmp(weights_path(t->files.data[i]), path)) w = t->files.data[i];
    if (!w) {
        w = weights_open(t->a, t->d, path);
        if (!w) {
            text_error(t, at, "cannot read the weights file \"%s\"", path);
            return NULL;
        }
        vec_push(t->a, &t->files, w);
    }
    const weights_tensor *x = weights_find(w, name);
    if (!x) {
        text_error(t, at, "\"%s\" has no tensor \"%s\"", path, name);
        return NULL;
    }
    return cexpr_file(t->a, w, x);
}

static bool dtype_stands(text *t)
{
    const char *s = t->f->text + text_here(t);
    size_t n = 0;
    while ((s[n] >= 'a' && s[n] <= 'z') || (s[n] >= '0' && s[n] <= '9')) n++;
    dtype dt;
    return dtype_parse(s, n, &dt);
}

/* "random" or "random seed 3", by the parameter's type and path; or with everything written out. */
static const cexpr *parse_random(context *c, int depth)
{
    text *t = c->t;
    if (depth == 0 && !dtype_stands(t)) {
        uint64_t seed = 0;
        if (text_keyword(t, "seed") && !text_uint(t, &seed)) return NULL;
        return default_constant(t->a, c->ty, c->shape, seed, c->path);
    }
    cexpr *e = ARENA_NEW(t->a, cexpr);
    uint32_t rank;
    e->kind = CE_RANDOM;
    if (!leaf_type(c, &e->dt, &rank, e->shape) || !text_expect_keyword(t, "seed") || !text_uint(t, &e->u.random.seed) ||
        !text_expect_keyword(t, "stream") || !text_uint(t, &e->u.random.stream) || !text_expect_keyword(t, "scale") ||
        !text_real(t, &e->u.random.scale))
        return NULL;
    e->rank = (uint8_t)rank;
    return e;
}

static const cexpr *parse_data(context *c)
{
    text *t = c->t;
    uint32_t at = text_here(t), rank;
    dtype dt;
    int64_t shape[MAX_RANK];
    if (!leaf_type(c, &dt, &rank, shape) || !text_expect(t, "[")) return NULL;
    uint64_t n = 1;
    for (uint32_t i = 0; i < rank; i++) n *= (uint64_t)shape[i];
    /* Each element takes at least one byte of text. */
    if (n > t->f->size) {
        text_error(t, at, "fewer elements than the type says");
        return NULL;
    }
    void *data = arena_alloc(t->a, dtype_bytes(dt, n), 8);
    for (uint64_t i = 0; i < n; i++) {
        if (i && !text_expect(t, ",")) return NULL;
        if (dtype_is_float(dt)) {
            double v;
            if (!text_real(t, &v)) return NULL;
            dtype_store_f64(dt, data, i, v);
        } else {
            int64_t v = 0;
            uint64_t u = 0;
            bool negative = text_peek(t, "-");
            if (negative ? !text_int(t, &v) : !text_uint(t, &u)) return NULL;
            dtype_store_i64(dt, data, i, negative ? v : (int64_t)u);
        }
    }
    if (!text_expect(t, "]")) return NULL;
    return cexpr_data(t->a, dt, rank, shape, data);
}

/* "(E, E)" */
static bool arguments(context *c, int depth, const cexpr ***out, uint32_t *n)
{
    VEC(const cexpr *) v = {0};
    if (!text_expect(c->t, "(")) return false;
    do {
        const cexpr *e = parse(c, depth + 1);
        if (!e) return false;
        vec_push(c->t->a, &v, e);
    } while (text_punct(c->t, ","));
    *out = v.data;
    *n = v.len;
    return text_expect(c->t, ")");
}

static const cexpr *argument(context *c, int depth)
{
    const cexpr **v;
    uint32_t n;
    uint32_t at = text_here(c->t);
    if (!arguments(c, depth, &v, &n)) return NULL;
    if (n == 1) return v[0];
    text_error(c->t, at, "expected one argument");
    return NULL;
}

static const cexpr *parse_slice(context *c, int depth, uint32_t at)
{
    int64_t start[MAX_RANK], size[MAX_RANK];
    uint32_t n, k;
    if (!sizes(c, &n, start) || !sizes(c, &k, size)) return NULL;
    const cexpr *e = argument(c, depth);
    if (!e) return NULL;
    bool ok = n == e->rank && k == n;
    for (uint32_t i = 0; ok && i < n; i++)
        ok = start[i] >= 0 && size[i] >= 0 && start[i] <= e->shape[i] && size[i] <= e->shape[i] - start[i];
    if (ok) return cexpr_slice(c->t->a, e, start, size);
    text_error(c->t, at, "the slice is not inside its argument");
    return NULL;
}

static const cexpr *parse_transpose(context *c, int depth, uint32_t at)
{
    int64_t v[MAX_RANK];
    uint8_t perm[MAX_RANK];
    uint32_t n;
    if (!sizes(c, &n, v)) return NULL;
    const cexpr *e = argument(c, depth);
    if (!e) return NULL;
    bool ok = n == e->rank;
    unsigned seen = 0;
    for (uint32_t i = 0; ok && i < n; i++) {
        ok = v[i] >= 0 && v[i] < n && !(seen >> v[i] & 1);
        if (!ok) break;
        seen |= 1u << v[i];
        perm[i] = (uint8_t)v[i];
    }
    if (ok) return cexpr_transpose(c->t->a, e, perm);
    text_error(c->t, at, "not a permutation of the argument's axes");
    return NULL;
}

static const cexpr *parse_concat(context *c, int depth, uint32_t at)
{
    int64_t axis;
    const cexpr **v;
    uint32_t n;
    if (!text_int(c->t, &axis) || !arguments(c, depth, &v, &n)) return NULL;
    bool ok = axis >= 0 && axis < v[0]->rank;
    int64_t total = 0;
    for (uint32_t i = 0; ok && i < n; i++) {
        ok = v[i]->dt == v[0]->dt && v[i]->rank == v[0]->rank &&
             !__builtin_add_overflow(total, v[i]->shape[axis], &total);
        for (int k = 0; ok && k < v[0]->rank; k++) ok = k == axis || v[i]->shape[k] == v[0]->shape[k];
    }
    if (!ok) {
        text_error(c->t, at, "the arguments cannot be joined along axis %lld", (long long)axis);
        return NULL;
    }
    int64_t shape[MAX_RANK];
    memcpy(shape, v[0]->shape, sizeof shape);
    shape[axis] = total;
    return check_size(c, at, v[0]->dt, v[0]->rank, shape) ? cexpr_concat(c->t->a, v, n, (int)axis) : NULL;
}

static const cexpr *parse_stack(context *c, int depth, uint32_t at)
{
    const cexpr **v;
    uint32_t n;
    if (!arguments(c, depth, &v, &n)) return NULL;
    bool ok = v[0]->rank < MAX_RANK;
    for (uint32_t i = 1; ok && i < n; i++)
        ok = v[i]->dt == v[0]->dt && v[i]->rank == v[0]->rank &&
             !memcmp(v[i]->shape, v[0]->shape, v[0]->rank * sizeof(int64_t));
    if (!ok) {
        text_error(c->t, at, "the arguments cannot be stacked");
        return NULL;
    }
    int64_t shape[MAX_RANK] = {n};
    memcpy(shape + 1, v[0]->shape, v[0]->rank * sizeof *shape);
    return check_size(c, at, v[0]->dt, v[0]->rank + 1u, shape) ? cexpr_stack(c->t->a, v, n) : NULL;
}

static const cexpr *parse_reshape(context *c, int depth, uint32_t at)
{
    int64_t shape[MAX_RANK];
    uint32_t n;
    if (!sizes(c, &n, shape)) return NULL;
    const cexpr *e = argument(c, depth);
    if (!e || !check_size(c, at, e->dt, n, shape)) return NULL;
    uint64_t count = 1;
    for (uint32_t i = 0; i < n; i++) count *= (uint64_t)shape[i];
    if (count == cexpr_elements(e)) return cexpr_reshape(c->t->a, e, n, shape);
    text_error(c->t, at, "the argument has another number of elements");
    return NULL;
}

static const cexpr *parse_broadcast(context *c, int depth, uint32_t at)
{
    int64_t v[MAX_RANK], shape[MAX_RANK];
    uint8_t axes[MAX_RANK];
    uint32_t n, rank;
    if (!sizes(c, &n, v) || !sizes(c, &rank, shape)) return NULL;
    const cexpr *e = argument(c, depth);
    if (!e || !check_size(c, at, e->dt, rank, shape)) return NULL;
    bool ok = n == e->rank;
    for (uint32_t k = 0; ok && k < n; k++) {
        ok = v[k] >= 0 && v[k] < rank && (k == 0 || v[k - 1] < v[k]);
        ok = ok && (e->shape[k] == 1 || e->shape[k] == shape[v[k]]);
        if (ok) axes[k] = (uint8_t)v[k];
    }
    if (ok) return cexpr_broadcast(c->t->a, e, axes, rank, shape);
    text_error(c->t, at, "the argument does not stretch to these sizes");
    return NULL;
}

static const cexpr *parse_map(context *c, int depth, uint32_t at)
{
    const cexpr **v;
    uint32_t n;
    op_kind op;
    dtype dt;
    const char *name = text_word(c->t, "an elementwise op");
    if (!name) return NULL;
    if (!op_find(name, strlen(name), &op) || !(op_row(op)->props & P_ELEMENTWISE)) {
        text_error(c->t, at, "'%s' is no elementwise op", name);
        return NULL;
    }
    if (!arguments(c, depth, &v, &n)) return NULL;
    if (cexpr_map_type(op, v, n, &dt)) return cexpr_map(c->t->a, op, v, n);
    text_error(c->t, at, "the arguments do not fit '%s'", name);
    return NULL;
}

static const cexpr *parse(context *c, int depth)
{
    text *t = c->t;
    uint32_t at = text_here(t);
    if (depth == MAX_DEPTH) {
        text_error(t, at, "constants are nested more than %d deep", MAX_DEPTH);
        return NULL;
    }
    if (text_keyword(t, "file")) return parse_file(c);
    if (text_keyword(t, "random")) return parse_random(c, depth);
    if (text_keyword(t, "data")) return parse_data(c);
    if (text_keyword(t, "splat")) {
        dtype dt;
        uint32_t rank;
        int64_t shape[MAX_RANK];
        double v;
        return leaf_type(c, &dt, &rank, shape) && text_real(t, &v) ? cexpr_splat(t->a, dt, rank, shape, v) : NULL;
    }
    if (text_keyword(t, "cast")) {
        dtype dt;
        const cexpr *e = text_dtype(t, &dt) ? argument(c, depth) : NULL;
        return e && check_size(c, at, dt, e->rank, e->shape) ? cexpr_cast(t->a, e, dt) : NULL;
    }
    if (text_keyword(t, "scale")) {
        double by;
        const cexpr *e = text_real(t, &by) ? argument(c, depth) : NULL;
        if (e && dtype_is_float(e->dt)) return cexpr_scale(t->a, e, by);
        if (e) text_error(t, at, "only floats are scaled");
        return NULL;
    }
    if (text_keyword(t, "encode")) {
        encoding enc;
        const cexpr *e = text_encoding(t, &enc) ? argument(c, depth) : NULL;
        if (!e) return NULL;
        if (e->rank == 2 && enc.kind != ENC_ROWS) return cexpr_encode(t->a, e, enc);
        text_error(t, at, enc.kind == ENC_ROWS ? "rows is how elements lie already" : "the encoding needs a matrix");
        return NULL;
    }
    if (text_keyword(t, "slice")) return parse_slice(c, depth, at);
    if (text_keyword(t, "transpose")) return parse_transpose(c, depth, at);
    if (text_keyword(t, "concat")) return parse_concat(c, depth, at);
    if (text_keyword(t, "stack")) return parse_stack(c, depth, at);
    if (text_keyword(t, "reshape")) return parse_reshape(c, depth, at);
    if (text_keyword(t, "broadcast")) return parse_broadcast(c, depth, at);
    if (text_keyword(t, "map")) return parse_map(c, depth, at);
    text_error(t, at, "expected a constant: file, random, splat, data, or an operation on them");
    return NULL;
}

const cexpr *parse_constant(text *t, const type *ty, const int64_t *shape, const char *path)
{
    context c = {t, ty, shape, path};
    return parse(&c, 0);
}
