/* Measuring the machine that tfxc runs on, with kernels that tfxc compiles. */
#ifndef CODEGEN_CALIBRATE_H
#define CODEGEN_CALIBRATE_H

#include "codegen/codegen.h"
#include "ir/machine.h"

/* Writes to `path` ("-": standard output) a description of this machine whose rates were measured: medians of samples
 * taken in turn over a few seconds, in processor time of the thread. Rates of what kernels have no instruction for keep
 * their ratio to f32's; what the runtime takes for a launch stays. The directories of the place where tfxc keeps such a
 * description are made. `report` gets a table with the spread of each rate. False with diagnostics; nothing is then
 * written. */
bool calibrate_to(const char *path, const codegen_options *o, arena *a, interner *names, source_set *sources, diags *d,
                  strbuf *report);

#endif
