/* Semantic search on a compiled all-MiniLM-L6-v2: what the files of the program share.
 *
 *     texts.c   reads tokenised texts          embed.c   runs the model
 *     index.c   the file of embeddings         search.c  the commands */
#ifndef MINILM_SEARCH_H
#define MINILM_SEARCH_H

#include "minilm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined __BYTE_ORDER__ && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "index and .npy files are little-endian"
#endif

enum { DIMS = MINILM_OUTPUT_EMB_SIZE_1, MAX_TOKENS = MINILM_DIM_S_MAX, VOCABULARY = 30522 };

/* Exit statuses. */
enum { BAD_INPUT = 1, BAD_USAGE = 2, BAD_FILE = 3, BAD_RUN = 4 };

/* Prints "search: ..." and exits. */
__attribute__((noreturn, format(printf, 2, 3))) void fail(int status, const char *format, ...);

/* As realloc, of n items; fails when there is no memory. */
void *resize(void *memory, size_t n, size_t item);

/* ---- texts ---- */

typedef struct {
    size_t ids; /* where its ids begin in texts.ids */
    size_t n_ids;
    size_t title; /* where its title begins in texts.titles; not ended by a zero byte */
    size_t title_bytes;
    size_t line; /* of the input, from 1 */
} text;

typedef struct {
    text *at;
    int32_t *ids;
    char *titles;
    size_t n, n_ids, title_bytes;
} texts;

/* All texts of standard input, one a line: ids in decimal, separated by single spaces; then, optionally, a tab and the
 * title. A text without ids is empty. Fails on anything else, with the line's number. */
texts texts_read(void);
void texts_free(texts *t);

/* ---- embeddings ---- */

/* One row of DIMS for each text, in their order, on up to `threads` threads; zeros for an empty text. Rows have length
 * 1, so that their products are cosines. Freed by the caller. */
float *embed(const texts *t, unsigned threads);

/* ---- the index ---- */

typedef struct {
    size_t n;
    const float *rows;      /* n of DIMS */
    const uint64_t *titles; /* n + 1 offsets into text */
    const char *text;
    void *map;
    size_t map_bytes;
} search_index;

/* Writes the texts that are not empty. The file appears whole or not at all. Returns how many they are. */
size_t index_write(const char *path, const texts *t, const float *rows);

/* Maps a file of index_write; fails when it is damaged or made with other weights. */
search_index index_open(const char *path);
void index_close(search_index *x);

#endif
