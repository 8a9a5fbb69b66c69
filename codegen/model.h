/* What a caller sees of a model, and which plan computes each of its entries: filled in by the driver from the tensor
 * IR, turned into `struct rt_model` by rt_tables.c and into model.h by header.c.
 *
 * Everything is borrowed; pointers that go with a count of 0 may be NULL. Text is NUL-terminated. */
#ifndef CODEGEN_MODEL_H
#define CODEGEN_MODEL_H

#include "ir/kir/kir.h"

typedef struct {
    const char *name;
    const char *doc; /* from the source; NULL: none */
    dtype dt;
    uint8_t rank;        /* at most MAX_RANK */
    dim shape[MAX_RANK]; /* over codegen_model.dims */
} codegen_tensor;

/* A condition between dims that is tested before every run. */
typedef struct {
    enum { CODEGEN_CHECK_EQ, CODEGEN_CHECK_LE, CODEGEN_CHECK_MULTIPLE } op; /* lhs is a multiple of rhs */
    dim lhs, rhs;                                                           /* over codegen_model.dims */
    const char *text;                                                       /* "P + S <= 4096" */
    const char *place;                                                      /* "llama.tfx:31:3" */
} codegen_check;

typedef struct {
    const char *name;
    const char *doc; /* NULL: none */
    const codegen_tensor *inputs, *outputs;
    uint32_t n_inputs, n_outputs;
    const uint32_t *dims;  /* symbols that the entry depends on: indices into codegen_model.dims, ascending */
    const uint32_t *given; /* those among them that no input's shape shows: the caller passes them, in this order */
    uint32_t n_dims, n_given;
    const codegen_check *checks;
    uint32_t n_checks;
    /* Its KPARAM_INPUT and KPARAM_OUTPUT parameters are `inputs` and `outputs` in order; the symbols of its dim_ctx are
     * found among the model's by name. */
    const kfunction *plan;
    /* Bytes of workspace that a run on one worker needs at most, when no tensor is copied, whichever variant of the
     * model runs; 0: not known. */
    int64_t workspace_bytes;
} codegen_entry;

typedef struct {
    const char *name;
    const char *doc;      /* NULL: none */
    const char *source;   /* the .tfx file as named on the command line; "" when there is none */
    const char *compiler; /* "tfxc 0.1.0" */
    dim_ctx *dims;        /* its symbols, in order, are the model's dims table */
    const codegen_entry *entries;
    uint32_t n_entries;
} codegen_model;

#endif
