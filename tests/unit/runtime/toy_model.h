/* A model as tfxc would emit it, written by hand in C: what the runtime's tests run.
 *
 * Entry 0 "embed"  (ids: i64[B, S]) -> emb: f32[B, S, 4]
 *     emb[b, s, :] = 2 * table[ids[b, s], :] with a table f32[10, 4] of weights: table[i, k] = 10 i + k
 *     Two launches: "gather" (tasks: B, checks ids) into the workspace, "twice" (tasks: B * S, uses scratch) out of it.
 * Entry 1 "window" (x: f32[S, M], y: f32[2 * S + 1], on: bool[], P: dim) -> (z: f32[S + P], n: i32[])
 *     require P + S <= 20;  z[i] = on ? sum of x[i, :] : y[i] for i < S, else -1;  n = P
 * Entry 2 "ident"  (a: f32[B, S, 3]) -> (b: f32[B, S, 3]): b = a; works in place of nothing: for strides and overlaps
 * where B <= 4, 0 <= S <= 16, 8 <= M <= 32, M % 8 == 0, 0 <= P <= 8 */
#ifndef TOY_MODEL_H
#define TOY_MODEL_H

#include "runtime/rt_abi.h"

enum { TOY_B, TOY_S, TOY_M, TOY_P, TOY_DIMS };
enum { TOY_EMBED, TOY_WINDOW, TOY_IDENT, TOY_ENTRIES };

extern const struct rt_model toy_model;

/* toy_table(i, k): element of the table. */
static inline float toy_table(int64_t i, int64_t k)
{
    return (float)(10 * i + k);
}

#endif
