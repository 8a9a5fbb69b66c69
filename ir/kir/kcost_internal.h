/* What the files of the cost model share. */
#ifndef IR_KIR_KCOST_INTERNAL_H
#define IR_KIR_KCOST_INTERNAL_H

#include "ir/kir/kcost.h"
#include "ir/kir/kir_internal.h"

#define KCOST_USABLE 0.75 /* of a cache, before its ways conflict */

/* A scalar integer or bool: all that is known of its values over the rounds being looked at. Of what is read from
 * memory a minimum or maximum is known on one side: the other one is INT64_MIN or INT64_MAX then. */
typedef struct {
    bool known;
    int64_t lo, hi;
} kinterval;

static inline kinterval kinterval_point(int64_t v)
{
    return (kinterval){true, v, v};
}
static inline bool kinterval_is_point(kinterval x)
{
    return x.known && x.lo == x.hi;
}
/* Known on both sides. */
static inline bool kinterval_is_limited(kinterval x)
{
    return x.known && x.lo != INT64_MIN && x.hi != INT64_MAX;
}
/* The result of an elementwise op of type `dt`; unknown where it may leave 64 bits or the dtype. */
kinterval kinterval_map(kop_kind op, dtype dt, const kinterval *in);

/* By value id: whether it decides how often something is done or how much of it exists (conditions, ends of loops,
 * bounds), directly or through other values. */
bool *kcontrol_values(const kfunction *f, arena *a);

/* Calls fn for every launch of a plan in order, those of both ways where a run decides. */
typedef void klaunch_fn(void *arg, const kop *launch);
void kcost_launches(const kfunction *plan, const int64_t *dims, arena *a, klaunch_fn *fn, void *arg);

#endif
