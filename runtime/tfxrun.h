/* tfxrun: runs a model's .so from the command line. What its parts share.
 *
 * Parts report problems on stderr themselves and return an exit status; only main exits. */
#ifndef RUNTIME_TFXRUN_H
#define RUNTIME_TFXRUN_H

#include <stdbool.h>
#include <stdio.h>

#include "runtime/npy.h"
#include "runtime/tfx.h"

/* Exit statuses. */
enum {
    RUN_OK = 0,
    RUN_DIFFERS = 1, /* --expect: beyond the tolerance */
    RUN_USAGE = 2,   /* the command line makes no sense, for tfxrun or for this model */
    RUN_FILE = 3,    /* a file cannot be read, written or loaded */
    RUN_REFUSED = 4  /* the model refused to run */
};

/* ---- messages (tfxrun_report.c) ---- */

void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* "tfxrun: error: ..." */
void hint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));     /* "  hint: ..." */
/* The candidate that `name` may have been meant to be, or NULL. */
const char *nearest(const char *name, const char *const *candidates, size_t n);
void print_shape(FILE *f, uint32_t rank, const int64_t *shape);            /* "[2, 3]" */
void print_index(FILE *f, uint32_t rank, const int64_t *shape, int64_t i); /* "[1, 0]": where element i is */
void print_type(FILE *f, const tfx_tensor_info *t);                        /* "f32[B, 3]" */

/* JSON on a stream. Calls nest as the document does; keys are given inside objects and NULL inside lists. */
typedef struct {
    FILE *f;
    int depth;
    bool more[16]; /* at each depth: something stands before */
    char closing[16];
} json;
void json_open(json *j, const char *key, char bracket);    /* '{' or '[' */
void json_close(json *j);                                  /* what was opened last */
void json_string(json *j, const char *key, const char *s); /* NULL: null */
void json_int(json *j, const char *key, int64_t v);
void json_bool(json *j, const char *key, bool v);
void json_real(json *j, const char *key, double v); /* NaN and infinities, which JSON lacks, as strings */
void json_sizes(json *j, const char *key, uint32_t n, const int64_t *v);

/* ---- the command line (tfxrun_options.c) ---- */

typedef struct {
    const char *name; /* NULL: none was given, the value stands for all */
    const char *value;
} named;

typedef struct {
    named *items;
    size_t n;
} named_list;

typedef struct {
    const char *model, *entry, *weights, *variant;
    named_list inputs, outputs, expects, dims, ranges;
    bool describe, json, cast, random, bench, profile;
    uint64_t seed;
    double rtol, atol;       /* -1: those of the output's type */
    int64_t warmup, repeats; /* -1: chosen by the time a run takes */
    uint32_t threads;
    char *names; /* storage */
} options;

/* RUN_OK and the model to run, or RUN_OK and no model (help was asked for and printed), or an error. Free in any case.
 */
int options_read(int argc, char **argv, options *o);
void options_free(options *o);
bool parse_int(const char *s, int64_t *v); /* the whole of s; false if it is no number or does not fit */

/* ---- the model's file (tfxrun_open.c) ---- */

/* The model that the options name, with their weights, threads and variant: for tfx_close, NULL where it fails. An exit
 * status. */
int model_open(const options *o, tfx_model **m);
/* Its functions without a handle, which need no weights: until tfx_unload(*library). An exit status. */
int model_load(const options *o, const tfx_api **api, void **library);

/* ---- elements (tfxrun_values.c) ---- */

/* Element i of compact storage as a double, and for integer types as int64_t (u64 beyond it wraps). */
bool value_is_float(int32_t dtype);
double value_get(int32_t dtype, const void *data, int64_t i);
int64_t value_get_int(int32_t dtype, const void *data, int64_t i);
/* Stores v rounded to nearest even (saturating where the format has no infinity). For integer types v must fit. */
void value_set(int32_t dtype, void *data, int64_t i, double v);
/* The NumPy type that holds elements of this dtype; NPY_TYPES when none does. */
npy_type value_npy(int32_t dtype);

/* ---- a model with its arguments (tfxrun_session.c) ---- */

typedef struct {
    const tfx_tensor_info *info;
    int64_t shape[TFX_MAX_RANK];
    int64_t elements;
    npy_array array; /* the data; its type and rank are those of info */
    bool given;      /* read from a file */
} tensor;

typedef struct {
    tfx_model *model;
    const tfx_info *info;
    uint32_t entry;
    const tfx_entry_info *e;
    tensor *inputs, *outputs;
    int64_t *dims;  /* info->n_dims values, once the inputs are known */
    int64_t *given; /* e->n_given */
    tfx_tensor *tensors;
    tfx_args args;             /* of every run */
    int64_t load_ns, first_ns; /* to open the model, and for the run that came first */
} session;

/* Finds the entry, reads or makes the inputs, asks the model for dims and shapes, makes room for the outputs. */
int session_prepare(session *s, const options *o);
void session_free(session *s); /* what prepare made; not the model */
int session_run(session *s);
int session_write_outputs(const session *s, const options *o);
void session_print_outputs(const session *s);
void session_json_outputs(const session *s, json *j);

/* ---- the rest of what it does ---- */

/* tfxrun_describe.c */
/* The dims of --dim, others at their most: an array to be freed, NULL where none is given. An exit status. */
int describe_dims(const tfx_api *api, const named_list *given, int64_t **dims);
void describe_text(FILE *f, const tfx_api *api, const int64_t *dims);
void describe_json(json *j, const tfx_api *api, const int64_t *dims);

/* tfxrun_compare.c: all --expect files; RUN_DIFFERS when a tensor is beyond the tolerance. `j` NULL: text on stdout. */
int compare_outputs(const session *s, const options *o, json *j);

/* tfxrun_bench.c */
int64_t now_ns(void);
int bench_run(session *s, const options *o, json *j);
int profile_run(session *s, const options *o, json *j);

#endif
