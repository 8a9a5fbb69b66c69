/* The command line of tfxc, read. It is made of the rooms' own options, so this room sees their headers; it calls
 * nothing that compiles. */
#ifndef DRIVER_OPTIONS_H
#define DRIVER_OPTIONS_H

#include "codegen/codegen.h"
#include "ir/interp_files.h"
#include "passes/pass.h"

/* "tfxc 0.1.0" */
extern const char tfxc_version[];

enum { EXIT_DONE = 0, EXIT_ERRORS = 1, EXIT_USAGE = 2, EXIT_MEMORY = 3 };

/* What tfxc does: it writes one of the table, or something else. */
typedef enum {
#define EMIT(NAME, name, extension, holds, what) EMIT_##NAME,
#include "driver/emit.def"
#undef EMIT
    EMIT_COUNT,
    JOB_INTERPRET = EMIT_COUNT,
    JOB_TUNE, /* alone: nothing is written beside the schedules */
    JOB_FORMAT,
    JOB_PRINT_BLOCKS,
    JOB_CALIBRATE,
    JOB_COUNT
} job;

typedef struct {
    job job;
    VEC(const char *) inputs; /* several with JOB_FORMAT and JOB_PRINT_BLOCKS */
    const char *input;        /* the first */

    /* As given; NULL: not given. */
    const char *output, *external_weights, *prefix, *depfile, *linker, *sysroot, *model, *weights, *machine, *calibrate,
        *tuned, *tune, *interpret, *format;
    const char *multiversion; /* "": the processors that are known for the target */
    bool separate_matmuls, print_blocks, json;
    codegen_options target;
    pass_options passes;
    interpretation interpretation;

    bool emit_given;
    job emit;            /* what --emit names */
    bool random_weights; /* instead of a file: `weights` is NULL then */
    uint64_t seed;
} options;

/* "so": as --emit names it. */
const char *emit_name(job j);

/* Reads a command line. False when that is all: something was printed, or it makes no sense, with a diagnostic;
 * *exit_status tells. `o` says then how diagnostics are to be shown. */
bool options_read(options *o, int argc, char **argv, arena *a, diags *d, int *exit_status);

#endif
