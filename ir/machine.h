/* What a machine can do: the ceilings that costs are held against, and the sizes that schedules are chosen by.
 *
 * A description is data and comes from one of three places, which `source` names: the table of processors
 * (machines.def), that table with the cache sizes of this very machine (for -mcpu=native), or a file that
 * tfxc --calibrate-machine wrote and a person may edit. docs/cost-model.md describes the text form. */
#ifndef IR_MACHINE_H
#define IR_MACHINE_H

#include "support/diag.h"
#include "support/intern.h"

typedef struct {
    const char *name;   /* for people: "znver3" */
    const char *source; /* "defaults for znver3", a file's name */
#define MACHINE_INT(key, least, greatest, text) int64_t key;
#define MACHINE_REAL(key, least, greatest, text) double key;
#include "ir/machine.def"
#undef MACHINE_INT
#undef MACHINE_REAL
} machine;

/* What the table says of a processor by LLVM's name; a typical one for a name that it lacks. The target's vectors and
 * registers win over the processor's, whose features may have been taken away. */
machine machine_default(arena *a, const char *cpu, int vector_bits, int vector_registers);
/* The cache sizes of the machine that runs, as far as the system tells plausible ones. */
void machine_take_caches(arena *a, machine *m);

/* Where tfxc --calibrate-machine keeps what it measured: $XDG_CONFIG_HOME/tfxc/machine, or below ~/.config. NULL: there
 * is no home. It is read only where a flag asks for it. */
const char *machine_calibrated_path(arena *a);

void machine_print(const machine *m, strbuf *out); /* the text form, each key with its meaning */
/* Keys that the file lacks stay as they are in *m. False with located errors. */
bool machine_parse(arena *a, interner *names, diags *d, const source_file *f, machine *m);

#endif
