/* Tensors of the interpreter as NumPy arrays, and back. */
#ifndef IR_INTERP_ARRAYS_H
#define IR_INTERP_ARRAYS_H

#include "ir/interp.h"
#include "runtime/npy.h"

/* NULL: no dtype has the array's element type, or the array has too many axes. */
tensor *tensor_from_array(arena *a, const npy_array *from);
/* False: the dtype has no .npy form. The caller frees *out with npy_free; memory that is out is a's. */
bool tensor_to_array(arena *a, const tensor *t, const char *name, npy_array *out);

/* States in an .npz, one array a state under its path. */
/* Those that the file holds, the others are left as they are; a file that does not exist holds none. False with a
 * diagnostic for an array that is no state, or has another type than it. */
bool states_read(const char *path, const module *m, const interp_states *s, arena *a, diags *d);
/* All of them. The file is there whole, or as it was before. */
bool states_write(const char *path, const module *m, const interp_states *s, arena *a, diags *d);

#endif
