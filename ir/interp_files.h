/* One entry of a model, run by an interpreter on arrays from files: what --interpret does. The arrays are read and
 * written by runtime/npy.h, which needs nothing but libc and zlib. Files are named as tfxrun names them. */
#ifndef IR_INTERP_FILES_H
#define IR_INTERP_FILES_H

#include "ir/kir/kir.h"

typedef struct {
    const char *name; /* NULL: the .npz at `path` stands for every tensor it has by name */
    const char *path;
} named_file;
typedef VEC(named_file) named_files;
typedef struct {
    const char *name;
    int64_t value;
} named_dim;

typedef struct {
    const char *entry;           /* NULL: the model's first */
    named_files inputs, outputs; /* every input has one, outputs without one are not kept */
    VEC(named_dim) dims;         /* that no input shows; each such one is there */
    const char *states; /* an .npz that the states are read from, when it exists, and written to; NULL: zeros */
} interpretation;

/* With `km` (what `m` was lowered to) the kernels and the plan run in the kernel interpreter; with NULL the tensors of
 * `m` in the tensor interpreter. False with diagnostics. */
bool interpret(const interpretation *o, module *m, const kmodule *km, arena *a, diags *d);

/* The entry that is asked for and the values of all its dims, without a run: o->dims gives every one, but that those
 * which a run counts may be left out: they are the most that they can be. `dims` has room
 * for all symbols. False with diagnostics. */
bool interpretation_dims(const interpretation *o, module *m, arena *a, diags *d, const function **entry, int64_t *dims);

#endif
