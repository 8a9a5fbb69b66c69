/* Inputs: from files, converted when nothing is lost, or made up; and the dims that follow. */
#include "runtime/tfxrun_session.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_BYTES 512

/* The tfx_dtype of what a file holds, when it is to become `want`: raw bytes are taken to be what is wanted. */
static int32_t dtype_of(npy_type t, int32_t want)
{
    static const int32_t plain[] = {[NPY_BOOL] = TFX_BOOL, [NPY_I8] = TFX_I8,   [NPY_U8] = TFX_U8,
                                    [NPY_I16] = TFX_I16,   [NPY_U16] = TFX_U16, [NPY_I32] = TFX_I32,
                                    [NPY_U32] = TFX_U32,   [NPY_I64] = TFX_I64, [NPY_U64] = TFX_U64,
                                    [NPY_F16] = TFX_F16,   [NPY_F32] = TFX_F32, [NPY_F64] = TFX_F64};
    if (t < NPY_RAW8) return plain[t];
    return value_npy(want) == t ? want : -1;
}

/* Does the integer fit? `wide`: it is a u64 and stands for 2^64 more than it says when negative. */
static bool fits(int32_t to, int64_t v, bool wide)
{
    static const int64_t low[] = {0, INT8_MIN, 0, INT16_MIN, 0, INT32_MIN, 0, INT64_MIN, 0};
    static const int64_t high[] = {1,         INT8_MAX,   UINT8_MAX, INT16_MAX, UINT16_MAX,
                                   INT32_MAX, UINT32_MAX, INT64_MAX, INT64_MAX};
    if (wide && v < 0) return to == TFX_U64;
    return v >= low[to] && v <= high[to];
}

/* Element i of `from` into element i of `to`; false when `to` cannot hold it (with `cast`: not even rounded). */
static bool convert(int32_t from, const void *src, int32_t to, void *dst, int64_t i, bool cast)
{
    double v = value_get(from, src, i);
    if (value_is_float(to)) {
        value_set(to, dst, i, v);
        double back = value_get(to, dst, i);
        bool exact = back == v || (isnan(v) && isnan(back));
        if (!value_is_float(from) && fabs(v) >= 0x1p53) exact = false;
        return exact || (cast && (!isinf(back) || isinf(v)));
    }
    int64_t n;
    if (value_is_float(from)) {
        double whole = nearbyint(v);
        if (isnan(v) || fabs(whole) >= 0x1p63 || (whole != v && !cast)) return false;
        n = (int64_t)whole;
    } else {
        n = value_get_int(from, src, i);
    }
    if (!fits(to, n, from == TFX_U64)) return false;
    switch (to) { /* through doubles large integers would be rounded */
    case TFX_I64: ((int64_t *)dst)[i] = n; break;
    case TFX_U64: ((uint64_t *)dst)[i] = (uint64_t)n; break;
    default: value_set(to, dst, i, (double)n);
    }
    return true;
}

/* Takes over `a`, converted to the input's type. */
static int take_array(tensor *t, npy_array *a, const char *file, bool cast)
{
    const char *name = t->info->name;
    if (t->given) {
        complain("input '%s' is given twice", name);
        return RUN_USAGE;
    }
    if (a->rank > TFX_MAX_RANK) {
        complain("input '%s': %s has %" PRIu32 " axes, expected %d", name, file, a->rank, t->info->rank);
        return RUN_USAGE;
    }
    int32_t want = t->info->dtype, have = dtype_of(a->type, want);
    if (have < 0 || value_npy(want) == NPY_TYPES) {
        complain("input '%s': expected %s, but %s holds %s", name, tfx_dtype_name(want), file, npy_type_name(a->type));
        return RUN_USAGE;
    }
    t->elements = (int64_t)npy_elements(a);
    memcpy(t->shape, a->shape, sizeof t->shape);
    t->given = true;
    if (have == want) {
        t->array = *a;
        a->data = NULL; /* moved */
        a->name = NULL;
        return RUN_OK;
    }
    if (!npy_new(&t->array, NULL, value_npy(want), a->rank, a->shape)) {
        complain("no memory for input '%s'", name);
        return RUN_FILE;
    }
    for (int64_t i = 0; i < t->elements; i++)
        if (!convert(have, a->data, want, t->array.data, i, cast)) {
            fprintf(stderr, "tfxrun: error: input '%s': element ", name);
            print_index(stderr, a->rank, a->shape, i);
            if (value_is_float(have)) fprintf(stderr, " of %s is %.9g", file, value_get(have, a->data, i));
            else fprintf(stderr, " of %s is %" PRId64, file, value_get_int(have, a->data, i));
            fprintf(stderr, ", which %s cannot hold exactly\n", tfx_dtype_name(want));
            if (!cast && value_is_float(have)) hint("--cast rounds");
            return RUN_USAGE;
        }
    return RUN_OK;
}

/* --input NAME=FILE or --input FILE */
int read_input(session *s, const named *n, bool cast)
{
    tensor *t = NULL;
    if (n->name) {
        t = find_tensor(s->inputs, s->e->n_inputs, n->name);
        if (!t) return unknown_tensor("input", n->name, s->e->inputs, s->e->n_inputs);
    }
    npy_array *arrays;
    size_t count;
    char err[ERROR_BYTES];
    if (!npy_load(n->value, &arrays, &count, err, sizeof err)) {
        complain("%s", err);
        return RUN_FILE;
    }
    int status = RUN_OK;
    size_t used = 0;
    for (size_t i = 0; i < count && !status; i++) {
        tensor *to = t;
        if (!t && arrays[i].name) to = find_tensor(s->inputs, s->e->n_inputs, arrays[i].name);
        else if (!t) to = s->e->n_inputs == 1 ? s->inputs : NULL;
        else if (count > 1 && strcmp(arrays[i].name, n->name) != 0) to = NULL;
        if (!to) continue;
        used++;
        status = take_array(to, &arrays[i], n->value, cast);
    }
    if (!status && !used) {
        if (t) complain("%s has several arrays, and none is called '%s'", n->value, n->name);
        else complain("%s has nothing that an input is called like", n->value);
        hint("write --input NAME=FILE");
        status = RUN_USAGE;
    }
    npz_free(arrays, count);
    return status;
}

/* ---- dims ---- */

static int64_t default_dim(const tfx_dim_info *d)
{
    int64_t v = d->min < 1 ? 1 : d->min, m = d->multiple < 1 ? 1 : d->multiple;
    v = (v + m - 1) / m * m;
    return v <= d->max ? v : d->max;
}

int read_dims(session *s, const named_list *list)
{
    const char *names[64];
    uint32_t n = s->e->n_dims < 64 ? s->e->n_dims : 64;
    for (uint32_t i = 0; i < n; i++) names[i] = s->info->dims[s->e->dims[i]].name;
    for (size_t i = 0; i < list->n; i++) {
        uint32_t d = 0;
        while (d < s->e->n_dims && strcmp(s->info->dims[s->e->dims[d]].name, list->items[i].name) != 0) d++;
        if (d == s->e->n_dims) {
            complain("entry '%s' has no dim '%s'", s->e->name, list->items[i].name);
            const char *meant = nearest(list->items[i].name, names, n);
            if (meant) hint("did you mean '%s'?", meant);
            else hint("--describe shows its dims");
            return RUN_USAGE;
        }
        if (!parse_int(list->items[i].value, &s->dims[s->e->dims[d]])) {
            complain("--dim %s: expected a whole number, got '%s'", list->items[i].name, list->items[i].value);
            return RUN_USAGE;
        }
    }
    return RUN_OK;
}

/* What the files' shapes say comes first; then --dim; then the least. Contradictions are the model's to find. */
void fill_dims(session *s)
{
    for (uint32_t i = 0; i < s->e->n_inputs; i++) {
        const tensor *t = &s->inputs[i];
        if (!t->given || (int32_t)t->array.rank != t->info->rank) continue;
        for (int32_t k = 0; k < t->info->rank; k++)
            if (t->info->axes[k].dim >= 0) s->dims[t->info->axes[k].dim] = t->shape[k];
    }
    for (uint32_t i = 0; i < s->info->n_dims; i++)
        if (s->dims[i] == DIM_UNKNOWN) s->dims[i] = default_dim(&s->info->dims[i]);
    for (uint32_t i = 0; i < s->e->n_given; i++) s->given[i] = s->dims[s->e->given[i]];
}

/* ---- made-up inputs ---- */

/* SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): number i of stream `seed`. */
static uint64_t random_bits(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

typedef struct {
    double lo, hi; /* floats: [lo, hi); integers: lo..hi */
} range;

static int read_range(const named *n, const tfx_tensor_info *t, range *r)
{
    char *end;
    r->lo = strtod(n->value, &end);
    bool ok = end != n->value && end[0] == '.' && end[1] == '.';
    if (!ok && end > n->value && end[-1] == '.' && end[0] == '.') ok = true, end--; /* "0..9" reads as "0." and ".9" */
    const char *second = end + 2;
    if (ok) {
        r->hi = strtod(second, &end);
        ok = end != second && !*end && r->lo <= r->hi && isfinite(r->lo) && isfinite(r->hi);
    }
    if (ok && !value_is_float(t->dtype)) {
        ok = r->lo == floor(r->lo) && r->hi == floor(r->hi) && fabs(r->lo) < 0x1p53 && fabs(r->hi) < 0x1p53 &&
             fits(t->dtype, (int64_t)r->lo, false) && fits(t->dtype, (int64_t)r->hi, false);
    }
    if (!ok)
        complain("--range %s: expected LO..HI, two numbers that %s holds, got '%s'", n->name, tfx_dtype_name(t->dtype),
                 n->value);
    return ok ? RUN_OK : RUN_USAGE;
}

static void fill_random(tensor *t, uint64_t seed, range r)
{
    for (const char *p = t->info->name; *p; p++)
        seed = random_bits(seed, (unsigned char)*p); /* a stream for each input */
    bool is_float = value_is_float(t->info->dtype);
    for (int64_t i = 0; i < t->elements; i++) {
        double unit = (double)(random_bits(seed, (uint64_t)i) >> 11) * 0x1p-53; /* [0, 1) */
        double v = is_float ? r.lo + unit * (r.hi - r.lo) : r.lo + floor(unit * (r.hi - r.lo + 1));
        value_set(t->info->dtype, t->array.data, i, v);
    }
}

int make_inputs(session *s, const options *o)
{
    for (size_t i = 0; i < o->ranges.n; i++)
        if (!find_tensor(s->inputs, s->e->n_inputs, o->ranges.items[i].name))
            return unknown_tensor("input", o->ranges.items[i].name, s->e->inputs, s->e->n_inputs);
    for (uint32_t i = 0; i < s->e->n_inputs; i++) {
        tensor *t = &s->inputs[i];
        if (t->given) continue;
        if (!o->random) {
            complain("input '%s' is missing", t->info->name);
            hint("give --input %s=FILE, or --random SEED to make it up", t->info->name);
            return RUN_USAGE;
        }
        if (tfx_shape(s->model, s->entry, i, s->dims, t->shape) != TFX_OK) {
            complain("%s", tfx_error(s->model));
            return RUN_REFUSED;
        }
        if (value_npy(t->info->dtype) == NPY_TYPES) {
            complain("input '%s': %s tensors cannot be made up", t->info->name, tfx_dtype_name(t->info->dtype));
            return RUN_USAGE;
        }
        if (!npy_new(&t->array, NULL, value_npy(t->info->dtype), (uint32_t)t->info->rank, t->shape)) {
            complain("no memory for input '%s'", t->info->name);
            return RUN_FILE;
        }
        t->elements = (int64_t)npy_elements(&t->array);
        range r = value_is_float(t->info->dtype) ? (range){-1, 1} : (range){0, t->info->dtype == TFX_BOOL ? 1 : 99};
        for (size_t k = 0; k < o->ranges.n; k++)
            if (strcmp(o->ranges.items[k].name, t->info->name) == 0 && read_range(&o->ranges.items[k], t->info, &r))
                return RUN_USAGE;
        fill_random(t, o->seed, r);
    }
    return RUN_OK;
}
