/* Kernel IR to artefacts: the public face of this room.
 *
 * No function keeps state between calls; two threads may compile two modules at once. Inputs are not changed except
 * where said. */
#ifndef CODEGEN_CODEGEN_H
#define CODEGEN_CODEGEN_H

#include "codegen/model.h"
#include "runtime/rt_abi.h"

/* ---- targets ---- */

typedef struct {
    const char *triple;   /* NULL: the machine that tfxc runs on */
    const char *cpu;      /* NULL or "native": this machine's processor (only for its own triple); else a name of
                             target_cpus.def */
    const char *features; /* "+avx512f,-fma", added to those of `cpu`; may be NULL */
    int opt;              /* 0 to 3, as -O: 0 no optimisation, 1 cheap clean-up, 2 the default, 3 LLVM's own pipeline */
} codegen_options;

/* What schedules need to know of a target. */
typedef struct {
    int vector_bytes;  /* of the widest vector that the kernels use: 64, 32 or 16 */
    int registers;     /* vector registers */
    bool fma;          /* fused multiply-add exists: only then is compiled code bit-equal to the interpreter */
    bool f16;          /* conversion between f16 and f32 is an instruction */
    bool native;       /* the processor is this machine's, found out and not named */
    bool is_host;      /* the architecture is this machine's */
    uint64_t required; /* bits of rt_cpu.def that the compiled code may use */
    const char *name;  /* of the processor, as -mcpu= has it */
    const char *triple, *cpu, *features; /* as given to LLVM, in the arena */
} codegen_target;

/* False with a diagnostic for a triple, processor or feature that LLVM does not know or this room has no emitter for.
 */
bool codegen_target_describe(const codegen_options *o, arena *a, diags *d, codegen_target *out);

/* Whether this machine's processor has all that code for the target may use. */
bool codegen_target_runs_here(const codegen_target *t, arena *a, diags *d);

/* The processors that --multiversion compiles for when it names none: "x86-64-v4,x86-64-v3,x86-64". NULL with a
 * diagnostic for a target that has no such list. */
const char *codegen_multiversion_default(const codegen_options *o, arena *a, diags *d);

/* Targets and processors, for people. */
void codegen_print_targets(strbuf *out);

/* ---- mathematics ---- */

/* Rewrites the functions of math.def on f32 into arithmetic, in place, in every kernel of `m`: what the
 * interpreter checks afterwards is what runs. Accuracy: docs/kernels.md. On f64 these ops stay and become calls of
 * libm. */
void expand_math(kmodule *m);

/* ---- artefacts ---- */

typedef enum {
    CODEGEN_SO,  /* a shared object, linked with lld */
    CODEGEN_OBJ, /* a relocatable object whose only global symbols have the prefix */
    CODEGEN_AR,  /* a static library of that one object */
    CODEGEN_LL,  /* LLVM IR as text: code and tables, without the weights */
    CODEGEN_ASM  /* assembly: the same */
} codegen_kind;

typedef struct {
    codegen_kind kind;
    const char *path;         /* written beside itself under another name, then renamed: never half there */
    const char *prefix;       /* of exported symbols, a C identifier: <prefix>_open ... */
    const char *linker;       /* ld.lld to use; NULL: the one found when tfxc was built, else from PATH */
    const char *sysroot;      /* where the target's C library is; NULL: see link.h */
    const char *weights_path; /* not NULL: the weights go there (rt_weights_header) and not into the artefact */
    const char *header_path;  /* not NULL: the model's C header goes there as well */
} codegen_output;

/* A model's code for one kind of processor. */
typedef struct {
    kmodule *k;
    const codegen_model *model; /* its plans are k's */
    const codegen_options *o;
} codegen_variant;

/* Compiles the kernels and plans of all variants with the runtime's bitcode to one artefact, which picks one when it is
 * opened: the first that the machine can run. The variants are of one model, have one triple and level of optimisation,
 * and share their weights. Calls expand_math. False with diagnostics when something cannot be compiled, read, linked or
 * written; then nothing is left behind. Equal inputs give equal bytes. */
bool codegen_emit(const codegen_variant *variants, uint32_t n, const codegen_output *out, arena *a, diags *d);

/* Calls fn(arg), which must not return, when LLVM runs out of memory. For the whole process, at most once; what is
 * needed for it lies in `a`, which must last as long as LLVM is used. */
void codegen_on_out_of_memory(void (*fn)(void *arg), void *arg, arena *a);

/* ---- in this process, for tests, calibration and measuring ---- */

typedef struct codegen_jit codegen_jit;
/* Compiles the kernels of `m` (plans are left out) for this machine and loads them. `m` is compiled as it stands:
 * expand_math is the caller's. NULL with diagnostics. The caller frees with codegen_jit_free. */
codegen_jit *codegen_jit_new(const kmodule *m, const codegen_options *o, diags *d);
rt_kernel_fn *codegen_jit_kernel(const codegen_jit *j, const char *name); /* NULL: no such kernel */
int64_t codegen_jit_tasks(const codegen_jit *j, const char *name,
                          const int64_t *dims); /* trip count of its parallel loop; -1 */
void codegen_jit_free(codegen_jit *j);          /* NULL is allowed */

#endif
