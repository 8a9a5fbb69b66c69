/* Row-wise ops: what a kernel of one (lower_rows.c) and a block of rows that computes a norm beside matmuls
 * (lower_row_block.c) share. */
#ifndef CODEGEN_LOWER_ROWS_H
#define CODEGEN_LOWER_ROWS_H

#include "codegen/lower_internal.h"

typedef struct {
    tile_plan tp;
    tile_at t; /* the place of the row at hand in the result */
    node *root;
    kvalue *in;            /* the operand in memory ... */
    bool along[SPACE_MAX]; /* which axes of the space it has */
    const kept_rows *from; /* ... or where it is kept */
    const kept_rows *to;   /* where the result is kept; NULL: it is stored */
    dtype acc;
    kvalue *shift, *scale; /* 1x1: subtracted, then multiplied */
} row_pass;

/* The space of a group whose root is normalize: the last axis is what a row is normalized over. False: its axes do not
 * merge into one. */
bool normalize_space(lowering *lw, const group *g, space *s);
row_pass row_pass_begin(kernel *k, const group *g, const space *s, const kept_rows *from, const kept_rows *to);
/* The row at r->t. */
void normalize_row(kernel *k, row_pass *r);
/* A kernel of its own, for the rows of s. */
void lower_normalize_rows(lowering *lw, const group *g, const space *s);

#endif
