/* Matmuls with constant weights: what kernels of one (lower_matmul.c) and blocks of rows (lower_row_block.c) share. */
#ifndef CODEGEN_LOWER_MATMUL_H
#define CODEGEN_LOWER_MATMUL_H

#include "codegen/lower_contract.h"
#include "codegen/schedule.h"

#define MATMUL_PIECES (MATMUL_WIDE / MATMUL_PANEL)

/* A group's contraction as rows [M, K] times weights [N, K]. */
typedef struct {
    value *left;
    dim shape[2], stride[2]; /* the left operand as [M, K] */
    const cexpr *weights;
    const char *path; /* of the weights, for reports; NULL: none */
    space s;          /* of the group's results, [M, N] */
} matmul_form;

/* False where the group's root is something else. The roles are those of the contraction's labels. */
bool matmul_form_of(lowering *lw, const group *g, matmul_form *f);
bool constant_matmul_form(lowering *lw, const group *g, const roles *r, matmul_form *f);
/* `asks`: the kernel's name, "" for none. */
matmul_shape matmul_form_shape(const group *g, const matmul_form *f, const char *asks);
matmul_schedule matmul_form_schedule(lowering *lw, const group *g, const matmul_form *f, const char *asks);
/* A kernel of its own. */
void lower_matmul(lowering *lw, const group *g, const matmul_form *f);

/* Blocks of K: one before the last; the last; either, as `more` tells. */
typedef enum { BLOCK_BEFORE, BLOCK_LAST, BLOCK_ANY } which_block;

/* A matmul in a kernel. */
typedef struct {
    tile_plan tp;
    node *root;
    value *const *half; /* the halves of the columns that the epilogue reads, or NULL */
    kvalue *waiting;    /* stack: [rows of a tile, its columns], the sums of a tile */
    dtype acc;
    matmul_schedule s;
    kvalue *x, *w;   /* [M, K], [panels, K, MATMUL_PANEL] */
    bool x_of_chunk; /* x has the rows of the chunk alone */
    dim m;
    int64_t n, depth;            /* N, K */
    kvalue *partial;             /* scratch: [rows of a chunk, columns of a task], NULL when one block does */
    const kept_rows *to;         /* where the result goes; NULL: to the group's outputs */
    kvalue *row_first, *pace;    /* the chunk: its first row, and one divided by their number, in 2^24ths */
    kvalue *col_first, *col_end; /* of the task; the end is NULL where it is that of the group of columns */
    /* Columns of the tile: `pieces` runs of `width`, each in a panel of its own. */
    int pieces, width;
    kvalue *col, *panel[MATMUL_PIECES];
    kidx part;   /* where in the panel */
    bool beyond; /* some of them may be behind the last one */
    /* The block of K. */
    kidx lo;
    int64_t len;
    which_block which;
    kvalue *more;
    kvalue *not_first; /* bool, or NULL: it is the only one */
} matmul;

/* Row tiles first .. end - 1, and their rows. */
typedef struct {
    row_tiles tiles;
    kvalue *first, *end;
    kvalue *row_first, *row_end;
} tile_range;

kvalue *matmul_bind_rows(kernel *k, const matmul_form *f); /* the left operand as [M, K] */
/* The matmul of rows x, with its weights bound. */
matmul matmul_begin(kernel *k, const group *g, const matmul_form *f, kvalue *x);
/* Memory that it works in, for at most `rows` rows and `columns` columns of weights at a time. */
void matmul_alloc(kernel *k, matmul *mm, dim rows, int64_t columns);
/* Row tiles that are number `chunk` of so many shares. */
tile_range matmul_chunk(kernel *k, matmul *mm, const row_tiles *tiles, kvalue *chunk, kvalue *chunks);
/* Blocks of K, one after the other; or one of them, from lo on. */
typedef void matmul_block(kernel *k, matmul *mm, void *arg);
void matmul_blocks(kernel *k, matmul *mm, matmul_block *body, void *arg);
void matmul_one_block(kernel *k, matmul *mm, kidx lo, int64_t len, which_block which, matmul_block *body, void *arg);
/* A block for the columns of the task and the rows of a tile_range. */
void matmul_chunk_block(kernel *k, matmul *mm, void *range);

#endif
