/* A simulator of the PTX that this compiler emits: what a GPU would do with the text, lane by lane, on a machine that
 * has none.
 *
 * Threads run one after the other up to instructions that a warp, a warpgroup or a block executes together; fragments
 * of ldmatrix, mma.sync and wgmma are those of the PTX ISA, written here from its tables and not from codegen's. Every
 * access is checked against the launch's regions and the block's shared memory, and its natural alignment. Asynchronous
 * work (cp.async, wgmma) lands either as soon as it is issued or only at the wait that completes it, and the threads
 * run in ascending or in descending order: a kernel is right when both give the right result. */
#ifndef TESTS_UNIT_PTX_PTX_SIM_H
#define TESTS_UNIT_PTX_PTX_SIM_H

#include "support/strbuf.h"

typedef struct {
    void *base;
    uint64_t bytes;
    bool writable;
} ptx_region;

typedef struct {
    uint32_t grid[3], threads, dynamic_bytes;
    const uint64_t *params; /* 64 bits each; addresses are those of this process */
    uint32_t n_params;
    const ptx_region *regions; /* all global memory that the kernel may touch */
    uint32_t n_regions;
    bool late; /* asynchronous work lands at its wait, and the last thread runs first */
} ptx_run;

/* Runs entry point `entry` of the module `text`. NULL when all blocks ended, else what went wrong and where, in the
 * arena. */
const char *ptx_simulate(arena *a, const char *text, const char *entry, const ptx_run *run);

#endif
