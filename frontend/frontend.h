/* The front end: from a .tfx file to a module of tensor IR.
 *
 * It reads the file and what it imports, checks everything a user can get wrong, opens the weights file and binds its
 * tensors to parameters. The module refers to the weights file until the artefact is written. */
#ifndef FRONTEND_FRONTEND_H
#define FRONTEND_FRONTEND_H

#include "support/diag.h"
#include "support/dims.h"
#include "support/intern.h"

#include "ir/policy.h"

struct module;       /* ir/module.h */
struct weights_file; /* ir/weights.h */

/* What a session lends to the front end; all of it outlives the module. */
typedef struct {
    arena *arena;
    interner *names;
    source_set *sources;
    diags *diags;
    dim_ctx *dims; /* fresh: the model's dims are made in it */
} frontend_session;

typedef enum {
    FRONTEND_WEIGHTS_FILE,   /* the file of the model's weights clause, or weights_path */
    FRONTEND_WEIGHTS_RANDOM, /* reproducible numbers: needs no file */
    FRONTEND_WEIGHTS_NONE,   /* check the program only; no module is built */
} frontend_weights;

typedef struct {
    const char *model; /* which model of the file; NULL: its only one */
    frontend_weights weights;
    const char
        *weights_path;  /* used instead of the clause's file, relative to the working directory; NULL: the clause's */
    uint64_t seed;      /* of random weights */
    bool embedded_only; /* import nothing from disk */
    const policy_verbs *verbs; /* what `optimize` rules may ask for; NULL: nothing */
} frontend_options;

typedef struct {
    struct module *module;        /* NULL with FRONTEND_WEIGHTS_NONE */
    struct weights_file *weights; /* to be closed with weights_close once the artefact is written; NULL: none */
} frontend_result;

/* Compiles the file at `path`. False after adding at least one error to the diags; warnings alone give true. A weights
 * file that was opened before an error was found is in out->weights even then. */
bool frontend_compile(const frontend_session *s, const char *path, const frontend_options *o, frontend_result *out);
/* The same for text in memory, shown under `name`. */
bool frontend_compile_text(const frontend_session *s, const char *name, const char *text, size_t size,
                           const frontend_options *o, frontend_result *out);

#endif
