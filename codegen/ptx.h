/* GPU kernels as PTX text: the public face of the PTX target.
 *
 * A kernel @k of the module becomes the entry point `k` with the parameters
 *     one 64-bit address of global memory for each buffer, in order; one 64-bit integer for each dim symbol, in order;
 *     the address of a struct rt_fault in global memory
 * launched with `grid` blocks of `threads` threads and `dynamic_bytes` of dynamic shared memory. A grid of which one
 * side is 0 has nothing to do and is not launched. Addresses are aligned as the buffer types promise (element-aligned
 * where they do not); a parameter that is written overlaps no other.
 *
 * Faults: before a launch the caller sets index and arg to INT64_MAX and pad to zeros; afterwards index and arg name
 * the lowest element that failed a check, with its value and bound (see rt_fault; pad[0] serves as a lock while the
 * kernel runs). */
#ifndef CODEGEN_PTX_H
#define CODEGEN_PTX_H

#include "codegen/codegen.h"

typedef struct {
    const char *sm;       /* "sm_80", "sm_90a": docs/ptx.md lists them. NULL: sm_80 */
    const char *features; /* LLVM's, as "+ptx74"; NULL: the oldest PTX version that has what the kernels use */
    int opt;              /* 0 to 3, as codegen_options.opt */
} codegen_ptx_options;

typedef struct {
    const kfunction *kernel;
    const char *name;       /* of the entry point */
    dim grid[3];            /* x, y, z, over the kernel's dims */
    uint32_t threads;       /* of a block, along x */
    uint32_t shared_bytes;  /* of a block, in all */
    uint32_t dynamic_bytes; /* of these, how many the launch asks for: all or none. Above 48 KiB the function's limit
                               must be raised first (CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) */
} codegen_ptx_launch;

typedef struct {
    const char *text; /* NUL-terminated, in the arena */
    size_t size;
    uint32_t n_launches;
    const codegen_ptx_launch *launches; /* one for each PTX kernel, in the module's order */
} codegen_ptx;

/* The i-th processor that this build compiles for (it depends on its LLVM); NULL behind the last. */
const char *codegen_ptx_processor(uint32_t i);

/* Compiles the PTX kernels of `m` (CPU kernels and plans are left out) to one PTX module, preceded by a comment line
 * with the launch facts of each kernel. `m` is compiled as it stands: expand_math is the caller's. False with located
 * diagnostics for an unknown target, or an op, layout or shape that no instruction of the target covers. Equal inputs
 * give equal text. */
bool codegen_emit_ptx(const kmodule *m, const codegen_ptx_options *o, arena *a, diags *d, codegen_ptx *out);

#endif
