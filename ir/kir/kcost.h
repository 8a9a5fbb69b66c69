/* What kernels and plans cost at given dims, read off the kernel IR: operations, bytes, and the least time that a
 * machine can need for them.
 *
 * Nothing is run. The walk follows loops, conditions and indices as an interpreter of the scalar integers alone: a loop
 * whose body costs the same in every round is walked once, one whose rounds differ (tiles of two heights, a ragged last
 * panel, causal attention) round by round. So operations and bytes are exact, as kinterp_run would count them, unless
 * the kernel branches on what it reads; kcost.exact tells. */
#ifndef IR_KIR_KCOST_H
#define IR_KIR_KCOST_H

#include "ir/kir/kir.h"
#include "ir/machine.h"

/* Where bytes come from. */
typedef enum { KCOST_L1, KCOST_L2, KCOST_L3, KCOST_DRAM, KCOST_COUNT } kcost_level;
enum { KCACHES = KCOST_DRAM }; /* levels that are caches */

/* One buffer parameter. Bytes. */
typedef struct {
    double loaded, stored; /* at every access */
    double read, written;  /* the same elements once: what has to come and go whatever the schedule */
    double touched;        /* either */
    double miss[KCACHES];  /* not found in a cache, first touches included */
} kcost_buffer;

typedef struct {
    double flops; /* as kinterp_result.flops: a fused multiply-add counts 2, any other operation on floats 1 */
    /* FLOPs that the machine's vector units could have done in the time that these take: whole vectors, also where a
     * tile fills only part of one; a multiplication takes a unit as long as a multiply-add, a division ten times. */
    double work;
    double loaded, stored;      /* bytes at every access, of parameters, scratch and stack */
    double l1_bytes;            /* the same in whole vectors, as the load and store units move them */
    double local_miss[KCACHES]; /* of scratch and stack, first touches left out */
    kcost_buffer *buffers;      /* one per parameter */
    bool exact;                 /* false: where control depends on data, the dearest way was counted */
} kcost;

/* `dims`: one value per symbol of f->dims. The result lies in `a`. NAN where a size cannot be computed. */
kcost kernel_cost(const kfunction *f, const int64_t *dims, const machine *m, arena *a);

typedef enum { KBOUND_FMA, KBOUND_L1, KBOUND_L2, KBOUND_L3, KBOUND_DRAM, KBOUND_LAUNCH } kbound;
const char *kbound_name(kbound b); /* "fma", "L2", "dram" */

typedef struct {
    double from[KCOST_COUNT]; /* bytes that each level delivers or takes */
    double us;                /* the greatest of operations over peak, bytes over bandwidth, the launch itself */
    kbound bound;             /* which that is */
} kestimate;

/* `at`: where each parameter lies when the kernel starts (NULL: all in memory). One worker. */
kestimate kcost_estimate(const kcost *c, uint32_t n_params, const kcost_level *at, const machine *m);

/* ---- plans ---- */

typedef struct {
    const kop *launch;
    const kfunction *kernel;
    kcost cost;
    kestimate estimate;
    double weight_bytes; /* of the bytes read, those of weights */
} klaunch_cost;
typedef VEC(klaunch_cost) klaunch_costs;

/* The launches of a plan in order, those of both ways where a run decides. Weights come from memory unless all of the
 * plan's fit the last level; other buffers from the level that still holds them, by the bytes touched since they were.
 * False when a dim cannot be computed. */
bool plan_cost(const kfunction *plan, const int64_t *dims, const machine *m, arena *a, klaunch_costs *out);

/* What a run takes of memory at given dims. Bytes. */
typedef struct {
    int64_t workspace; /* of the plan's buffers, without scratch */
    int64_t live;      /* of them alive at once, at the most: no plan needs less workspace */
    int64_t scratch;   /* of one worker */
} kmemory_use;

/* The text of --emit=costs. */
void costs_print_json(const kfunction *plan, const int64_t *dims, const machine *m, const klaunch_costs *c,
                      const kmemory_use *memory, strbuf *out);

#endif
