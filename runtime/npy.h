/* NumPy files: .npy (format versions 1 to 3) and .npz (ZIP of .npy members, stored or deflated), read and written.
 *
 * Files are never trusted: every size is checked against what is there before memory is taken for it. Arrays come out
 * in C order and native byte order whatever the file holds. Not supported, and refused by name: structured, string,
 * object, complex, date and long double arrays; encrypted or multi-disk archives.
 *
 * All functions that can fail return false after writing a message ("ids.npy: ...") of at most `size` bytes to `err`;
 * outputs are then untouched. Memory is malloc'ed and the caller's. Nothing here is shared: any thread may call
 * anything. */
#ifndef RUNTIME_NPY_H
#define RUNTIME_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define NPY_MAX_RANK 32

typedef enum {
    NPY_BOOL, /* one byte an element, 0 or 1 */
    NPY_I8,
    NPY_U8,
    NPY_I16,
    NPY_U16,
    NPY_I32,
    NPY_U32,
    NPY_I64,
    NPY_U64,
    NPY_F16,
    NPY_F32,
    NPY_F64,
    NPY_RAW8,  /* descr "|V1": what NumPy writes for 8-bit floats of ml_dtypes */
    NPY_RAW16, /* descr "<V2" or "|V2": what NumPy writes for bf16 of ml_dtypes; the bytes are kept as they are */
    NPY_TYPES
} npy_type;

typedef struct {
    char *name; /* the member's name in an .npz without its ".npy"; NULL for a plain .npy */
    npy_type type;
    uint32_t rank;
    int64_t shape[NPY_MAX_RANK];
    void *data;   /* C order, 64-byte aligned, never NULL; free with npy_free */
    size_t bytes; /* elements * npy_item_size(type) */
} npy_array;

const char *npy_type_name(npy_type t); /* "f32", "bool", "raw16" */
size_t npy_item_size(npy_type t);
uint64_t npy_elements(const npy_array *a);

/* An array of zeros. False when the sizes overflow or memory is out. `name` is copied; NULL is allowed. */
bool npy_new(npy_array *out, const char *name, npy_type t, uint32_t rank, const int64_t *shape);
void npy_free(npy_array *a);                /* what it holds, not `a` itself; safe on a zeroed one */
void npz_free(npy_array *arrays, size_t n); /* the arrays and the list */

/* One array from an .npy file (or pipe). Bytes after the array are an error. */
bool npy_read(const char *path, npy_array *out, char *err, size_t size);
/* All arrays of an .npz, in the archive's order, names unique; members that are not .npy are an error. */
bool npz_read(const char *path, npy_array **arrays, size_t *n, char *err, size_t size);
/* Either kind, told apart by its first bytes; a plain .npy gives one array without a name. */
bool npy_load(const char *path, npy_array **arrays, size_t *n, char *err, size_t size);

/* The same from memory; `what` stands for the path in messages. */
bool npy_parse(const void *bytes, size_t n_bytes, const char *what, npy_array *out, char *err, size_t size);
bool npz_parse(const void *bytes, size_t n_bytes, const char *what, npy_array **arrays, size_t *n, char *err,
               size_t size);

/* Writing is deterministic (no time stamps). A file that could not be written whole is removed. */
bool npy_write(const char *path, const npy_array *a, char *err, size_t size);
bool npz_write(const char *path, const npy_array *arrays, size_t n, char *err,
               size_t size); /* stored, like numpy.savez */

/* The .npy header of an array, as a malloc'ed string of *n bytes (a multiple of 64); NULL when memory is out. */
char *npy_header(const npy_array *a, size_t *n);
/* Closes a file that was written to; `ok` says whether every write went well (errno set if not). */
bool npy_close(FILE *f, const char *path, bool ok, char *err, size_t size);
/* The whole of a file or pipe in malloc'ed memory. */
bool npy_slurp(const char *path, uint8_t **bytes, size_t *n, char *err, size_t size);

#endif
