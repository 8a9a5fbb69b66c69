/* Weight files: safetensors (https://huggingface.co/docs/safetensors), memory-mapped and never trusted.
 *
 * Format: 8 bytes little-endian header length N, N bytes of JSON {"name": {"dtype", "shape", "data_offsets": [begin,
 * end]},
 * "__metadata__": {string: string}}, then the data. Opening checks everything the format promises: N within the file
 * and 100 MB, JSON well-formed, no duplicate names, known dtypes, sizes that equal shape x dtype without overflow,
 * offsets in order, without gaps or overlaps, ending at the end of the file. A file that breaks any of it is refused
 * with the name of the tensor. */
#ifndef IR_WEIGHTS_H
#define IR_WEIGHTS_H

#include "ir/dtype.h"
#include "support/diag.h"

#define WEIGHTS_MAX_RANK 8

typedef struct {
    const char *name;
    dtype dt;
    uint8_t rank;
    int64_t shape[WEIGHTS_MAX_RANK];
    uint64_t offset, bytes; /* in the data section */
} weights_tensor;

typedef struct weights_file weights_file;

/* Maps the file. NULL after adding an error to `d` ("model.safetensors: error: tensor 'x': ..."). Everything lives in
 * `a`; weights_close unmaps. */
weights_file *weights_open(arena *a, diags *d, const char *path);
void weights_close(weights_file *w);
const char *weights_path(const weights_file *w);
uint32_t weights_count(const weights_file *w);
const weights_tensor *weights_at(const weights_file *w, uint32_t i);         /* in file order */
const weights_tensor *weights_find(const weights_file *w, const char *name); /* NULL when absent */
const void *weights_data(const weights_file *w, const weights_tensor *t);
const char *weights_metadata(const weights_file *w, const char *key); /* NULL when absent */
/* False with *why (a constant string) when the file on disk is no longer the one that was opened. Pages of a file that
 * became shorter raise SIGBUS when touched, which cannot be turned into an error afterwards: readers ask this before
 * each large read (cexpr_read does), so only a file that shrinks within that read is fatal. */
bool weights_unchanged(const weights_file *w, const char **why);
/* Drops pages of the mapping that a streaming reader is done with, so that peak memory stays flat. */
void weights_done(const weights_file *w, uint64_t offset, uint64_t bytes);
/* Parses a header held in memory (for fuzzing): the same checks without a file. */
bool weights_check(arena *a, diags *d, const char *name, const void *bytes, uint64_t size);

#endif
