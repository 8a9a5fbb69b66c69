/* The kernel interpreter: runs kernels and plans on real memory, slowly, and checks what hardware does not.
 *
 * Arithmetic is that of the dtype, operation by operation (f32 adds round to f32, fma rounds once), so a compiled CPU
 * kernel gives the same bits. What it reports, with the op's text and place: access outside a buffer or beyond its
 * bound; reads of memory that nothing has written; two tasks of one launch, or two warps between barriers, that touch
 * the same byte with at least one write; reads of memory or accumulators whose asynchronous work was not waited for;
 * barriers that not all agents reach; writes to `in` buffers; shared-memory bank conflicts and misaligned or split
 * 16-byte rows (counted). */
#ifndef IR_KIR_KINTERP_H
#define IR_KIR_KINTERP_H

#include "ir/kir/kir.h"

typedef struct {
    void *data; /* storage of the buffer type's dtype, strides and (for parameters: no) swizzle */
    uint64_t bytes;
} kbinding;

typedef struct {
    uint64_t seed;        /* order in which tasks, blocks and warps run (0: in order) */
    uint32_t max_reports; /* stop after so many (0: 10) */
    uint64_t max_ops;     /* give up after so many executed ops (0: no limit) */
} kinterp_options;

/* A failed `check`: element `index` of buffer argument `arg` holds `value`, which is not in 0..limit-1. */
typedef struct {
    bool set;
    int64_t arg, index, value, limit;
    const char *kernel; /* the launched kernel's name */
} kfault;

typedef struct {
    uint64_t ops, flops;     /* executed; a fused multiply-add counts 2 */
    uint64_t bank_conflicts; /* extra shared-memory wavefronts over all warp-wide accesses */
    uint64_t split_rows;     /* 16-byte rows and pieces that are misaligned or not contiguous in memory */
    uint64_t bytes_loaded, bytes_stored, prefetches;
    kfault fault; /* of the lowest element (then argument) that failed a check, in the launch that stopped the run */
} kinterp_result;

/* Runs a verified kernel or plan. `dims`: one value per symbol of f->dims; `params`: one binding per parameter (plans:
 * weights may be bound with data NULL, their constants are then evaluated). `o` and `result` may be NULL. False when
 * anything was reported (added to `d`), a failed check included. */
bool kinterp_run(const kfunction *f, const int64_t *dims, const kbinding *params, const kinterp_options *o, arena *a,
                 diags *d, kinterp_result *result);

#endif
