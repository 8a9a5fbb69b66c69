/* What the files of the tensor interpreter share. */
#ifndef IR_INTERP_INTERNAL_H
#define IR_INTERP_INTERNAL_H

#include "ir/internal.h"
#include "ir/interp.h"

/* A value that is alive. Each lives in an arena of its own, freed after its last use: a model's run needs the memory of
 * what is live. */
typedef struct {
    arena *home; /* NULL: owned by whoever runs the function, or not computed */
    tensor *t;
    uint32_t uses; /* that are still to come */
} interp_slot;

/* One run of a function. */
typedef struct {
    const function *f;
    module *m;
    const interp_options *o;
    int64_t *dims;      /* values of the symbols; a scan sets its index */
    interp_slot *slots; /* by value id */
    arena *parent;      /* of the arenas of values */
    arena *scratch;     /* of the run: dims, tables of offsets */
    diags *d;
} interp;

/* Runs r->f on slots of its arguments that are set. On success what leaves the function is in its slots; all others are
 * empty. */
bool interp_run_nodes(const interp *r);
void interp_release(interp_slot *s);
arena *interp_new_arena(arena *a);                /* that runs out of memory as `a` does */
void tensor_copy(tensor *to, const tensor *from); /* elements of two tensors of one shape */

/* Computes n into y, one tensor a result, whose dtype and shape are set and whose elements are zero. False with a
 * diagnostic when the operands' values do not allow it. `scratch` lasts until the op is done. */
typedef bool interp_eval(const interp *r, const node *n, tensor *const *x, tensor *const *y, arena *scratch);
interp_eval *interp_eval_of(op_kind op);
interp_eval interp_eval_scalar, interp_eval_scan;

span interp_place(const node *n);
/* The value of a dim, or a diagnostic at n saying that `what` cannot be computed. */
bool interp_dim(const interp *r, const node *n, const char *what, dim d, int64_t *out);

/* "i64[2, 3]" */
const char *interp_type_text(arena *a, dtype dt, uint32_t rank, const int64_t *shape);
const char *interp_value_name(const interp *r, const value *v); /* as module_print shows it: "ids", "%12" */

#endif
