/* --expect: outputs against files, element by element, in double precision. */
#include "runtime/tfxrun_session.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct {
    int64_t beyond; /* elements beyond the tolerance */
    int64_t first;  /* the first of them */
    double max_abs, max_rel;
    int64_t at_abs, at_rel; /* where those are; -1: nowhere, all is equal */
} difference;

/* A NaN equals a NaN and an infinity itself; against anything else they are infinitely far. */
static double error_of(double got, double expected)
{
    if (got == expected || (isnan(got) && isnan(expected))) return 0;
    double d = fabs(got - expected);
    return isnan(d) ? (double)INFINITY : d;
}

static difference compare(const tensor *t, int32_t dtype, const npy_array *want, double rtol, double atol)
{
    difference d = {.first = -1, .at_abs = -1, .at_rel = -1};
    bool ints = !value_is_float(t->info->dtype) && !value_is_float(dtype);
    for (int64_t i = 0; i < t->elements; i++) {
        double got = value_get(t->info->dtype, t->array.data, i), expected = value_get(dtype, want->data, i);
        double e = error_of(got, expected);
        if (ints && e == 0 && value_get_int(t->info->dtype, t->array.data, i) != value_get_int(dtype, want->data, i))
            e = 1;
        if (e == 0) continue;
        double relative = expected != 0 ? e / fabs(expected) : (double)INFINITY;
        if (isinf(expected) || isnan(expected)) relative = (double)INFINITY;
        if (e > d.max_abs || d.at_abs < 0) d.max_abs = e, d.at_abs = i;
        if (relative > d.max_rel || d.at_rel < 0) d.max_rel = relative, d.at_rel = i;
        if (!(e <= atol + rtol * fabs(expected)) || isinf(e)) {
            if (d.beyond++ == 0) d.first = i;
        }
    }
    return d;
}

static void print_at(const tensor *t, int32_t dtype, const npy_array *want, int64_t i)
{
    fputs(" at ", stdout);
    print_index(stdout, t->array.rank, t->shape, i);
    printf(" (got %.9g, expected %.9g)", value_get(t->info->dtype, t->array.data, i), value_get(dtype, want->data, i));
}

static void print_difference(const tensor *t, int32_t dtype, const npy_array *want, const difference *d)
{
    printf("%s: ", t->info->name);
    if (d->at_abs < 0) {
        printf("equal\n");
        return;
    }
    printf("max abs %.3g", d->max_abs);
    print_at(t, dtype, want, d->at_abs);
    printf(", max rel %.3g", d->max_rel);
    print_at(t, dtype, want, d->at_rel);
    if (d->beyond) printf("; %" PRId64 " of %" PRId64 " beyond the tolerance", d->beyond, t->elements);
    if (d->beyond) printf(", the first"), print_at(t, dtype, want, d->first);
    putchar('\n');
}

static void json_position(json *j, const char *key, const tensor *t, int64_t i)
{
    int64_t at[TFX_MAX_RANK];
    for (uint32_t k = t->array.rank; k-- > 0; i /= t->shape[k]) at[k] = i % t->shape[k];
    json_sizes(j, key, t->array.rank, at);
}

static void json_difference(json *j, const tensor *t, int32_t dtype, const npy_array *want, const difference *d)
{
    json_open(j, NULL, '{');
    json_string(j, "name", t->info->name);
    json_bool(j, "ok", d->beyond == 0);
    json_int(j, "elements", t->elements);
    json_int(j, "beyond", d->beyond);
    json_real(j, "max_abs", d->max_abs);
    json_real(j, "max_rel", d->max_rel);
    if (d->at_abs >= 0) {
        json_position(j, "max_abs_at", t, d->at_abs);
        json_real(j, "got", value_get(t->info->dtype, t->array.data, d->at_abs));
        json_real(j, "expected", value_get(dtype, want->data, d->at_abs));
        json_position(j, "max_rel_at", t, d->at_rel);
    }
    json_close(j);
}

static int compare_one(const tensor *t, const npy_array *want, const char *file, const options *o, json *j)
{
    bool same = want->rank == t->array.rank;
    for (uint32_t k = 0; same && k < want->rank; k++) same = want->shape[k] == t->shape[k];
    if (!same) {
        fprintf(stderr, "tfxrun: error: output '%s': its shape is ", t->info->name);
        print_shape(stderr, t->array.rank, t->shape);
        fprintf(stderr, ", %s has ", file);
        print_shape(stderr, want->rank, want->shape);
        fputc('\n', stderr);
        return RUN_DIFFERS;
    }
    int32_t dtype = t->info->dtype;
    if (want->type != value_npy(dtype)) {
        static const int32_t others[] = {TFX_BOOL, TFX_I8,  TFX_U8,  TFX_I16, TFX_U16, TFX_I32,
                                         TFX_U32,  TFX_I64, TFX_U64, TFX_F16, TFX_F32, TFX_F64};
        dtype = -1;
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            if (value_npy(others[i]) == want->type) dtype = others[i];
        if (dtype < 0) {
            complain("output '%s': %s cannot be compared with %s", t->info->name, file, tfx_dtype_name(t->info->dtype));
            return RUN_USAGE;
        }
    }
    bool half = t->info->dtype == TFX_F16 || t->info->dtype == TFX_BF16;
    double rtol = o->rtol >= 0 ? o->rtol : half ? 1e-2 : 1e-4, atol = o->atol >= 0 ? o->atol : half ? 1e-3 : 1e-5;
    difference d = compare(t, dtype, want, rtol, atol);
    if (j) json_difference(j, t, dtype, want, &d);
    else print_difference(t, dtype, want, &d);
    return d.beyond ? RUN_DIFFERS : RUN_OK;
}

static const tensor *find_output(const session *s, const char *name)
{
    for (uint32_t i = 0; i < s->e->n_outputs; i++)
        if (strcmp(s->outputs[i].info->name, name) == 0) return &s->outputs[i];
    return NULL;
}

static int compare_file(const session *s, const named *n, const options *o, json *j)
{
    const tensor *t = n->name ? find_output(s, n->name) : NULL;
    if (n->name && !t) {
        return unknown_tensor("output", n->name, s->e->outputs, s->e->n_outputs);
    }
    npy_array *arrays;
    size_t count, used = 0;
    char err[512];
    if (!npy_load(n->value, &arrays, &count, err, sizeof err)) {
        complain("%s", err);
        return RUN_FILE;
    }
    int status = RUN_OK;
    for (size_t i = 0; i < count; i++) {
        const tensor *of = t;
        if (!t && arrays[i].name) of = find_output(s, arrays[i].name);
        else if (!t) of = s->e->n_outputs == 1 ? s->outputs : NULL;
        else if (count > 1 && strcmp(arrays[i].name, n->name) != 0) of = NULL;
        if (!of) continue;
        used++;
        int one = compare_one(of, &arrays[i], n->value, o, j);
        if (one > status) status = one;
    }
    npz_free(arrays, count);
    if (!used) {
        complain("--expect: %s has nothing that an output is called like", n->value);
        return RUN_USAGE;
    }
    return status;
}

int compare_outputs(const session *s, const options *o, json *j)
{
    int status = RUN_OK;
    if (j) json_open(j, "expect", '[');
    for (size_t i = 0; i < o->expects.n; i++) {
        int one = compare_file(s, &o->expects.items[i], o, j);
        if (one > status) status = one;
    }
    if (j) json_close(j);
    return status;
}
