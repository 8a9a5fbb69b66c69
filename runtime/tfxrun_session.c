/* A model with its arguments: prepared, run, its outputs written and summed up. */
#include "runtime/tfxrun_session.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_BYTES 512

int unknown_tensor(const char *what, const char *name, const tfx_tensor_info *t, uint32_t n)
{
    const char *names[64];
    uint32_t count = n < 64 ? n : 64;
    for (uint32_t i = 0; i < count; i++) names[i] = t[i].name;
    complain("the model has no %s '%s'", what, name);
    const char *meant = nearest(name, names, count);
    if (meant) {
        hint("did you mean '%s'?", meant);
        return RUN_USAGE;
    }
    fprintf(stderr, "  hint: its %s%s:", what, count == 1 ? " is" : "s are");
    for (uint32_t i = 0; i < count; i++) {
        fputs(i ? ", " : " ", stderr);
        fputs(names[i], stderr);
        fputs(": ", stderr);
        print_type(stderr, &t[i]);
    }
    fputs(count < n ? ", ...\n" : "\n", stderr);
    return RUN_USAGE;
}

tensor *find_tensor(tensor *t, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(t[i].info->name, name) == 0) return &t[i];
    return NULL;
}

static int find_entry(session *s, const char *name)
{
    const char *names[64];
    uint32_t n = s->info->n_entries < 64 ? s->info->n_entries : 64;
    s->entry = 0;
    for (uint32_t i = 0; i < n; i++) names[i] = s->info->entries[i].name;
    while (name && s->entry < s->info->n_entries && strcmp(s->info->entries[s->entry].name, name) != 0) s->entry++;
    if (s->entry < s->info->n_entries) {
        s->e = &s->info->entries[s->entry];
        return RUN_OK;
    }
    complain("the model has no entry '%s'", name ? name : "");
    const char *meant = name ? nearest(name, names, n) : NULL;
    if (meant) hint("did you mean '%s'?", meant);
    else if (n) hint("its first entry is '%s'; --describe shows them all", names[0]);
    return RUN_USAGE;
}

/* ---- the session ---- */

static void describe_args(session *s)
{
    uint32_t n_in = s->e->n_inputs, n_out = s->e->n_outputs;
    for (uint32_t i = 0; i < n_in + n_out; i++) {
        const tensor *x = i < n_in ? &s->inputs[i] : &s->outputs[i - n_in];
        s->tensors[i] = tfx_compact(x->array.data, x->info->dtype, (int32_t)x->array.rank, x->shape);
    }
    s->args = (tfx_args){s->tensors, s->tensors + n_in, s->given, n_in, n_out, s->e->n_given, 0};
}

static int make_outputs(session *s)
{
    for (uint32_t i = 0; i < s->e->n_outputs; i++) {
        tensor *t = &s->outputs[i];
        if (tfx_shape(s->model, s->entry, s->e->n_inputs + i, s->dims, t->shape) != TFX_OK) {
            complain("%s", tfx_error(s->model));
            return RUN_REFUSED;
        }
        if (value_npy(t->info->dtype) == NPY_TYPES) {
            complain("output '%s': .npy has no type for %s", t->info->name, tfx_dtype_name(t->info->dtype));
            return RUN_USAGE;
        }
        if (!npy_new(&t->array, t->info->name, value_npy(t->info->dtype), (uint32_t)t->info->rank, t->shape)) {
            complain("no memory for output '%s'", t->info->name);
            return RUN_FILE;
        }
        t->elements = (int64_t)npy_elements(&t->array);
    }
    return RUN_OK;
}

static bool allocate(session *s)
{
    s->inputs = calloc(s->e->n_inputs + 1u, sizeof *s->inputs);
    s->outputs = calloc(s->e->n_outputs + 1u, sizeof *s->outputs);
    s->dims = calloc(s->info->n_dims + 1u, sizeof *s->dims);
    s->given = calloc(s->e->n_given + 1u, sizeof *s->given);
    s->tensors = calloc(s->e->n_inputs + s->e->n_outputs + 1u, sizeof *s->tensors);
    if (!s->inputs || !s->outputs || !s->dims || !s->given || !s->tensors) return false;
    for (uint32_t i = 0; i < s->e->n_inputs; i++) s->inputs[i].info = &s->e->inputs[i];
    for (uint32_t i = 0; i < s->e->n_outputs; i++) s->outputs[i].info = &s->e->outputs[i];
    for (uint32_t i = 0; i < s->info->n_dims; i++) s->dims[i] = DIM_UNKNOWN;
    return true;
}

/* Asks the model about the shapes as they are now. */
static int confirm_dims(session *s)
{
    describe_args(s);
    if (tfx_dims(s->model, s->entry, &s->args, s->dims) == TFX_OK) return RUN_OK;
    complain("%s", tfx_error(s->model));
    return RUN_REFUSED;
}

int session_prepare(session *s, const options *o)
{
    s->info = tfx_get_info(s->model);
    int status = find_entry(s, o->entry);
    if (status) return status;
    if (!allocate(s)) return complain("no memory"), RUN_FILE;
    status = read_dims(s, &o->dims);
    for (size_t i = 0; i < o->inputs.n && !status; i++) status = read_input(s, &o->inputs.items[i], o->cast);
    if (status) return status;
    fill_dims(s);
    status = make_inputs(s, o);
    if (!status) status = confirm_dims(s);
    if (!status) status = make_outputs(s);
    if (!status) describe_args(s); /* now with the outputs' memory */
    return status;
}

void session_free(session *s)
{
    for (uint32_t i = 0; s->inputs && i < s->e->n_inputs; i++) npy_free(&s->inputs[i].array);
    for (uint32_t i = 0; s->outputs && i < s->e->n_outputs; i++) npy_free(&s->outputs[i].array);
    free(s->inputs);
    free(s->outputs);
    free(s->dims);
    free(s->given);
    free(s->tensors);
}

int session_run(session *s)
{
    tfx_status status = tfx_run(s->model, s->entry, &s->args);
    if (status == TFX_OK) return RUN_OK;
    complain("%s", tfx_error(s->model));
    for (uint32_t i = 0; i < s->e->n_inputs && status == TFX_ERR_VALUE; i++) {
        const char *name = s->inputs[i].info->name, *told = strstr(tfx_error(s->model), "input '");
        size_t n = strlen(name);
        if (!told || s->inputs[i].given || strncmp(told + 7, name, n) != 0 || told[7 + n] != '\'') continue;
        hint("--range %s=LO..HI keeps made-up values within bounds", name);
    }
    return RUN_REFUSED;
}

/* ---- outputs ---- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* All outputs that go to the file of o->outputs.items[first]. */
static int write_file(const session *s, const options *o, size_t first)
{
    const char *path = o->outputs.items[first].value;
    npy_array *arrays = calloc(s->e->n_outputs + 1u, sizeof *arrays);
    if (!arrays) return complain("no memory"), RUN_FILE;
    size_t n = 0;
    for (uint32_t i = 0; i < s->e->n_outputs; i++) {
        bool here = false;
        for (size_t k = first; k < o->outputs.n; k++) {
            const named *item = &o->outputs.items[k];
            here |=
                strcmp(item->value, path) == 0 && (!item->name || strcmp(item->name, s->outputs[i].info->name) == 0);
        }
        if (here) arrays[n++] = s->outputs[i].array;
    }
    char err[ERROR_BYTES];
    int status = RUN_OK;
    if (!ends_with(path, ".npz") && n != 1) {
        complain("%s: %zu outputs need an .npz", path, n);
        status = RUN_USAGE;
    } else if (!(ends_with(path, ".npz") ? npz_write(path, arrays, n, err, sizeof err)
                                         : npy_write(path, arrays, err, sizeof err))) {
        complain("%s", err);
        status = RUN_FILE;
    }
    free(arrays);
    return status;
}

int session_write_outputs(const session *s, const options *o)
{
    for (size_t i = 0; i < o->outputs.n; i++) {
        const char *name = o->outputs.items[i].name;
        if (name && !find_tensor(s->outputs, s->e->n_outputs, name))
            return unknown_tensor("output", name, s->e->outputs, s->e->n_outputs);
    }
    for (size_t i = 0; i < o->outputs.n; i++) {
        size_t before = 0;
        while (before < i && strcmp(o->outputs.items[before].value, o->outputs.items[i].value) != 0) before++;
        int status = before == i ? write_file(s, o, i) : RUN_OK;
        if (status) return status;
    }
    return RUN_OK;
}

typedef struct {
    double min, max, mean;
    int64_t nan;
} statistics;

static statistics summarize(const tensor *t)
{
    statistics st = {INFINITY, -INFINITY, 0, 0};
    for (int64_t i = 0; i < t->elements; i++) {
        double v = value_get(t->info->dtype, t->array.data, i);
        if (isnan(v)) {
            st.nan++;
            continue;
        }
        if (v < st.min) st.min = v;
        if (v > st.max) st.max = v;
        st.mean += v;
    }
    st.mean /= t->elements > st.nan ? (double)(t->elements - st.nan) : 1;
    return st;
}

void session_print_outputs(const session *s)
{
    enum { SHOWN = 10 };
    for (uint32_t i = 0; i < s->e->n_outputs; i++) {
        const tensor *t = &s->outputs[i];
        printf("%s: %s", t->info->name, tfx_dtype_name(t->info->dtype));
        print_shape(stdout, t->array.rank, t->shape);
        for (int64_t k = 0; k < t->elements && k < SHOWN; k++) {
            putchar(' ');
            if (value_is_float(t->info->dtype)) printf("%.6g", value_get(t->info->dtype, t->array.data, k));
            else printf("%" PRId64, value_get_int(t->info->dtype, t->array.data, k));
        }
        if (t->elements > SHOWN) {
            statistics st = summarize(t);
            printf(" ...   min %.6g, max %.6g, mean %.6g", st.min, st.max, st.mean);
            if (st.nan) printf(", %" PRId64 " NaN", st.nan);
        }
        putchar('\n');
    }
}

void session_json_outputs(const session *s, json *j)
{
    json_open(j, "outputs", '[');
    for (uint32_t i = 0; i < s->e->n_outputs; i++) {
        const tensor *t = &s->outputs[i];
        statistics st = summarize(t);
        json_open(j, NULL, '{');
        json_string(j, "name", t->info->name);
        json_string(j, "dtype", tfx_dtype_name(t->info->dtype));
        json_sizes(j, "shape", t->array.rank, t->shape);
        if (t->elements > st.nan) {
            json_real(j, "min", st.min);
            json_real(j, "max", st.max);
            json_real(j, "mean", st.mean);
        }
        json_int(j, "nan", st.nan);
        json_close(j);
    }
    json_close(j);
}
