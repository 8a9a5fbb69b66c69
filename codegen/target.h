/* What is known of architectures: their names, their processors' features and how to find these out. */
#ifndef CODEGEN_TARGET_H
#define CODEGEN_TARGET_H

#include "codegen/codegen.h"

typedef enum { ARCH_x86_64, ARCH_aarch64, ARCH_riscv64, N_ARCHS, ARCH_OTHER = N_ARCHS } target_arch;

typedef struct {
    int bit;          /* in codegen_target.required */
    const char *name; /* LLVM's */
} cpu_feature;

/* A processor that -mcpu= takes. */
typedef struct {
    target_arch arch;
    const char *name, *llvm, *features; /* ours; LLVM's; LLVM's features in addition */
} cpu_name;

typedef struct {
    const char *name, *cpu; /* as triples begin; the processor when none is named */
    const char *versions;   /* the processors of --multiversion when none are named; NULL: no list */
    int reach;              /* bits of the offsets by which the parts of a file reach one another across its weights */
    const cpu_feature *features;
    int n_features;
} arch_row;
extern const arch_row arch_rows[N_ARCHS];

target_arch arch_of(const char *triple);

/* NULL: unknown, with a diagnostic. */
const cpu_name *target_cpu_find(target_arch arch, const char *name, arena *a, diags *d);
/* The processors of an architecture, in the table's order. */
void target_cpus_each(target_arch arch, void (*fn)(void *arg, const char *name), void *arg);
/* Whether each of "+a,-b" is a feature of the table; else a diagnostic. */
bool target_features_check(target_arch arch, const char *list, arena *a, diags *d);
/* The bits of the features that LLVM turns on for a processor with `features` in addition. */
uint64_t target_features_of(target_arch arch, const char *triple, const char *cpu, const char *features, arena *a,
                            diags *d);
/* The bits of those that a list names with '+'. */
uint64_t target_features_listed(target_arch arch, const char *list);

#endif
