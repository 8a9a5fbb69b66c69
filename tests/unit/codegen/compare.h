/* Compiled kernels against the interpreter, bit for bit, with every buffer between pages that nobody may touch. */
#ifndef TESTS_UNIT_CODEGEN_COMPARE_H
#define TESTS_UNIT_CODEGEN_COMPARE_H

#include "session.h"

typedef enum {
    FILL_SMALL,   /* numbers around 1; ints 0..15; both bools */
    FILL_SPECIAL, /* infinities, NaN, signed zeros, denormals, the largest among them */
} fill;

typedef struct {
    session s;
    kmodule *m; /* expanded and planned: what is compiled and what is interpreted */
    codegen_jit *jit;
    uint64_t seed;
} comparison;

/* Reads a .kir file and compiles its kernels for `cpu` (NULL: native), which this machine must be able to run. */
comparison comparison_read(const char *path, const char *cpu, int opt);
comparison comparison_parse(const char *text, const char *cpu, int opt);
void comparison_free(comparison *c);
/* Changes inputs before a run: buffer `param` (as the kernel declares them) holds `n` elements. */
typedef void set_input(void *arg, uint32_t which, void *data, uint64_t bytes);
/* Runs the kernel both ways for these dims (in the order declared), the compiled one at each placement of its buffers
 * and with its tasks in several divisions. Fails the test on any difference, NaNs counting as equal, and on any stray
 * write. */
void compare_kernel(comparison *c, const char *name, const int64_t *dims, fill with, set_input *set, void *arg);

#endif
