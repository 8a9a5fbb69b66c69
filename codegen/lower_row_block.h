/* Blocks of rows: which groups they are made of (lower_row_block_find.c), and their kernel (lower_row_block.c). */
#ifndef CODEGEN_LOWER_ROW_BLOCK_H
#define CODEGEN_LOWER_ROW_BLOCK_H

#include "codegen/lower_matmul.h"

#define BLOCK_STAGES 4 /* a norm, two matmuls, a norm */

/* A norm or a matmul. */
typedef struct {
    const group *g;
    matmul_form f; /* of a norm without weights: both axes of the space, and how it reads its operand along them */
} block_stage;

/* What a kernel takes rows through: perhaps a norm, two matmuls, perhaps a norm. Each stage reads the rows of the one
 * before it, and nobody else does. */
struct row_block {
    block_stage stage[BLOCK_STAGES];
    int n;
    int first; /* of the stages: the first matmul; the second follows */
    row_block_schedule s;
};

/* How many columns a stage's rows have. */
int64_t stage_columns(lowering *lw, const block_stage *s);

#endif
