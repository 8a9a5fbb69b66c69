/* What the parts of the command line's reader share. */
#ifndef DRIVER_OPTIONS_INTERNAL_H
#define DRIVER_OPTIONS_INTERNAL_H

#include "driver/options.h"
#include "support/outfile.h"

typedef struct {
    const char *name, *extension;
    enum { EMIT_HOLDS_TEXT, EMIT_HOLDS_WEIGHTS, EMIT_HOLDS_NOTHING } holds;
    const char *what;
} emit_row;
extern const emit_row emit_rows[EMIT_COUNT]; /* by emit.def */

/* From what was given: o->job, and o->input and o->output as far as it needs them. False with a diagnostic. */
bool options_choose_job(options *o, arena *a, diags *d);
/* Fills in what follows from the rest, and refuses what contradicts it. False with a diagnostic. */
bool options_complete(options *o, arena *a, diags *d);

#endif
