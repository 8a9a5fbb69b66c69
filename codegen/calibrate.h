/* Measuring the machine that tfxc runs on, with kernels that tfxc compiles. */
#ifndef CODEGEN_CALIBRATE_H
#define CODEGEN_CALIBRATE_H

#include "codegen/codegen.h"
#include "ir/machine.h"

/* Replaces the rates in *m, which has this machine's vectors and cache sizes, by measured ones: medians of samples
 * taken in turn over a few seconds, in processor time of the thread. Rates of what kernels have no instruction for keep
 * their ratio to f32's; what the runtime takes for a launch stays. `report` gets a table with the spread of each. False
 * with diagnostics; *m is then unchanged. */
bool machine_calibrate(machine *m, const codegen_options *o, arena *a, interner *names, source_set *sources, diags *d,
                       strbuf *report);

#endif
