/* What the files of attention's lowering share. The kernel is described in lower_attention.c. */
#ifndef CODEGEN_LOWER_ATTENTION_H
#define CODEGEN_LOWER_ATTENTION_H

#include "codegen/lower_internal.h"

#define LINE_BYTES 64 /* of a cache */

/* The schedule and the buffers: fixed for the kernel. Rows are queries; where a single query meets several heads that
 * share keys, rows are those heads. */
typedef struct {
    int tile_rows, panel, lanes; /* a register tile is tile_rows x panel; lanes: f32 of a vector */
    int columns;                 /* of values at once */
    int64_t block_keys;          /* keys of a block at most */
    bool by_row;                 /* maxima and sums are those of a row, not of all rows of a tile at once */
    bool halves;                 /* of the last panel one half is left out where no key is in it */
    bool direct;                 /* rows are so few that nothing is packed */
    bool online;                 /* keys may take several blocks: running maximum and sum */
    bool window;                 /* all keys that a task sees are one block, of as many as there may be */
    bool row_heads;              /* rows are the query heads of one key head */
    dtype acc;
    double unit; /* scores are in units of ln 2 where acc is f32: weights are powers of two */
    double scale;
    dim rows, keys, depth, width;
    dim heads;       /* key heads, or query heads where each has a task of its own */
    dim query_heads; /* of a task */
    dim tiles;       /* row tiles of all rows */
    dim chunk_tiles; /* row tiles of a task */
    int64_t heights[64];
    uint32_t n_heights;

    kvalue *q, *k, *v, *out; /* [B, heads, rows, D] [B, G, T, D] [B, G, T, E] [B, heads, rows, E] */
    kvalue *key_mask;        /* [B, T], NULL: none */
    kvalue *mask;            /* [B, rows, T], NULL: none */
    kvalue *bias;            /* [B, heads, rows, T], of packed sequences [runs, heads, M, M]; NULL: none */
    bool has_from, has_to;   /* row i sees the keys i + from .. i + to */
    dim from, to;
    kvalue *offsets; /* [runs + 1], where sequences are packed: rows and keys of a task are a run; NULL: they are all */
    kvalue *positions; /* [rows], where bounds and bias go by them: ascending in a run; NULL: rows themselves */

    /* Scratch: */
    kvalue *queries;             /* [rows of a tile, D]: times the scale */
    kvalue *packed_k, *packed_v; /* [panels, D, panel], [ceil(E / panel), keys of a block, panel] */
    kvalue *scores;              /* [rows of a tile, keys of a block] */
    kvalue *shift, *sums;        /* [rows of a tile], [rows of a tile, lanes]: -maximum; sums of weights */
    kvalue *factor;              /* [rows of a tile]: 1 / sum; online what the sums so far shrink by, and before
                                    attention_weights the maximum that they were made with */
    kvalue *max, *sum, *total;   /* online, per row of the task: [rows], [rows], [rows, E] */
    kvalue *gathered;            /* [rows of a tile, panel]: bias of a run with gaps */
    kvalue *note;                /* [1]: scalars that come out of tiles */
    kvalue *place;               /* i64 [1] */
} attention;

/* Where a task stands. Keys are counted from first_key in all scratch. */
typedef struct {
    const attention *a;
    kidx batch, kv_head, head;
    struct {
        kvalue *begin, *end;             /* rows, and keys */
        kvalue *tiles, *height, *taller; /* row tiles; the first `taller` have a row more than `height` */
        kidx sequence;                   /* which run it is */
        kvalue *dense;                   /* its positions have no gaps; NULL: there are none */
        kvalue *shift;                   /* then, its positions less its rows */
        bool gaps;                       /* code for a run with gaps */
    } run;                               /* where there are offsets */
    kvalue *tile0, *tile1;               /* row tiles of the task */
    kvalue *row0;                        /* the task's first row */
    kvalue *state;                       /* this head's first row in max, sum, total; NULL: 0 */
    kvalue *key_lo, *key_hi;             /* keys that any row of the task may see */
    kvalue *first_key, *n_keys;          /* of the block */
    kvalue *finite;                      /* the block's values all are; NULL: it does not matter */
} attention_at;

/* Keys first_key + [lo, hi) that some row of a tile sees, and those that all see. */
typedef struct {
    kvalue *some_lo, *some_hi, *all_lo, *all_hi;
} key_range;

typedef struct {
    kvalue *row, *end; /* the first row, and behind the last */
    kvalue *rows;      /* how many */
    int height;        /* the same, where code is made for it */
    key_range keys;
    kidx from, to; /* keys of whole panels around them; the last one may be half of one */
} row_tile;
bool attention_is_banded(const attention *a);

/* ---- packing (lower_attention_pack.c) ---- */
void attention_pack_queries(kernel *k, const attention_at *at, const row_tile *t);
/* The query of the next tile that stands where `local` does in this one, and the row that this one's result goes to. */
void attention_prefetch_rows(kernel *k, const attention_at *at, const row_tile *t, kvalue *local);
void attention_pack_keys(kernel *k, const attention_at *at);
/* The rows of a head lie far apart, so that no hardware foresees them: keys and values that are read soon are fetched.
 * A step of keys has `lanes` elements from d on, so each step fetches a part of the lines of a panel. */
void attention_prefetch_keys(kernel *k, const attention_at *at, kvalue *key, kidx d);
void attention_prefetch_values(kernel *k, const attention_at *at, kvalue *key, kidx col, int width);
/* Sets at->finite where masks need it. */
void attention_pack_values(kernel *k, attention_at *at);
/* The first and behind the last key of the batch that the key mask keeps, into key_lo and key_hi. */
void attention_trim_keys(kernel *k, attention_at *at);

/* ---- register tiles (lower_attention_tiles.c) ---- */
/* Of `width` keys from local key `col` on: a panel, or half of one. */
void attention_scores_tile(kernel *k, const attention_at *at, const row_tile *t, kvalue *col, int width);
void attention_values_tile(kernel *k, const attention_at *at, const row_tile *t, kidx col, int width, bool bounded,
                           kidx bound);

/* ---- softmax (lower_attention_softmax.c) ---- */
/* In this order; of all rows, or n of them from `row` on (NULL: 0). */
void attention_max(kernel *k, const attention_at *at, const row_tile *t, kvalue *row, int n);
void attention_weights(kernel *k, const attention_at *at, const row_tile *t);
void attention_sum(kernel *k, const attention_at *at, const row_tile *t, kvalue *row, int n);
/* The place of the tile's first row in the state of rows. */
kvalue *attention_state(kernel *k, const attention_at *at, const row_tile *t);
/* Sums of values times the reciprocal sums of weights; zeros for rows without keys (factor 0), whatever the values. */
kvalue *attention_normalised(kernel *k, const attention *a, kvalue *sums, kvalue *factor);
void attention_begin_rows(kernel *k, const attention_at *at, kvalue *rows);
void attention_end_rows(kernel *k, const attention_at *at, kvalue *rows);

/* ---- shorthand ---- */
static inline ktile row_type(dtype dt, int rows, int cols)
{
    return ktile_make(dt, rows, cols, KL_VEC);
}
kvalue *attention_op(kernel *k, kop_kind op, kvalue *x, kvalue *y); /* i64 scalars; NULL: 0 */
kvalue *attention_op_const(kernel *k, kop_kind op, kvalue *x, int64_t y);
void attention_bound(kmem *m, int axis, kvalue *bound);

#endif
