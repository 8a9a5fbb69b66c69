/* The tensor interpreter: slow, obvious, and the truth that everything faster is compared with.
 *
 * Every float is a double from input to output (dtypes round only at casts to a narrower float, and inputs are exact),
 * every sum accumulates in f64. With interp_options.round set, each op's result is rounded to its dtype instead. */
#ifndef IR_INTERP_H
#define IR_INTERP_H

#include "ir/constant.h"

typedef struct {
    dtype dt; /* the value's dtype; storage is double for floats, int64_t for ints and bool */
    uint8_t rank;
    int64_t shape[MAX_RANK];
    union {
        double *f;
        int64_t *i;
    } u;
} tensor;

uint64_t tensor_elements(const tensor *t);
tensor *tensor_new(arena *a, dtype dt, uint32_t rank, const int64_t *shape);
/* From and to packed storage of the dtype. */
tensor *tensor_from_bytes(arena *a, dtype dt, uint32_t rank, const int64_t *shape, const void *bytes);
void tensor_to_bytes(const tensor *t, void *bytes);

/* What the states of a module hold, by id: kept between runs by the caller. Elements are exact in the state's dtype. */
typedef struct {
    uint32_t n;
    tensor **of;
} interp_states;
interp_states *interp_states_new(const module *m, arena *a); /* zeros, as after a reset */

typedef struct {
    bool round;
    interp_states
        *states; /* read and, by a run that succeeds, written in place; NULL: zeros, and what they become is lost */
    /* Called with every result of a node when not NULL (tests compare intermediate tensors); those in bodies once a run
     * of the body. */
    void (*observe)(void *arg, const value *v, const tensor *t);
    void *observe_arg;
} interp_options;

/* Runs entry f on one tensor per argument. Dims are found from the arguments' shapes; `settings` gives values for
 * symbols that no argument shows (NULL if there are none; indexed as the dims table). False with a diagnostic that
 * names the tensor, expected and got, for wrong inputs (shape, bound, id out of range). Results: one tensor per result
 * in f's order. */
bool interp_run(const function *f, tensor *const *args, const int64_t *settings, const interp_options *o, arena *a,
                diags *d, tensor **results);
/* The values of all symbols (indexed as the dims table) that interp_run would use, after the same checks. */
bool interp_dims(const function *f, tensor *const *args, const int64_t *settings, arena *a, diags *d, int64_t *values);
/* The same where no tensors are: `settings` gives every symbol of the entry. */
bool interp_settings(const function *f, const int64_t *settings, arena *a, diags *d, int64_t *values);
/* Evaluates a parameter's constant (cached by the caller if wanted). */
tensor *interp_constant(arena *a, const cexpr *e, diags *d);

/* One element of a row of scalar.def, for operands of a dtype (a select's: that of its values). Floats are doubles and
 * not rounded; ints are to be wrapped. */
typedef union {
    double f;
    int64_t i;
} scalar_number;
typedef scalar_number scalar_fn(scalar_number x, scalar_number y, scalar_number z);
scalar_fn *scalar_function(op_kind op, dtype operands);

#endif
