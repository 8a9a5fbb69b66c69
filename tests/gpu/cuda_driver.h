/* The few functions of NVIDIA's driver that the GPU tests call, found by dlopen: nothing of CUDA is needed to build
 * them. */
#ifndef TESTS_GPU_CUDA_DRIVER_H
#define TESTS_GPU_CUDA_DRIVER_H

#include "unit/ptx/ptx_sim.h"

#include <stddef.h>

typedef struct cuda_driver cuda_driver;

/* The first GPU, its primary context current in this thread. NULL with *why set when there is no driver or no GPU. */
cuda_driver *cuda_open(arena *a, const char **why);
const char *cuda_device(const cuda_driver *d);    /* "NVIDIA H100 80GB HBM3" */
const char *cuda_processor(const cuda_driver *d); /* the tfxc processor that runs there: "sm_90a" */
void cuda_close(cuda_driver *d);

/* Runs an entry point as ptx_simulate does: regions are copied to the GPU, keeping how they are aligned, and back.
 * Launched `repeats` times; *milliseconds (may be NULL) is the least time of one. NULL, or what went wrong. */
const char *cuda_execute(cuda_driver *d, arena *a, const char *text, const char *entry, const ptx_run *run, int repeats,
                         float *milliseconds);

#endif
