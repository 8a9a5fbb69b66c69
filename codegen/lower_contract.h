/* What the contraction's two lowerings share: which of its labels are rows, columns and sums. */
#ifndef CODEGEN_LOWER_CONTRACT_H
#define CODEGEN_LOWER_CONTRACT_H

#include "codegen/lower_internal.h"

typedef struct {
    int x;                /* which operand gives the rows; the other is y */
    int n_m, n_n, n_k;    /* axes of rows, columns, sums */
    int m_axis[MAX_RANK]; /* axes of x, in the result's order */
    int n_axis[MAX_RANK]; /* axes of y */
    int kx[MAX_RANK], ky[MAX_RANK];
    bool plain; /* result is rows then columns; nothing batched, nothing summed in one operand alone */
} roles;

/* The axis of an operand (2: the result) with the label c, or -1. */
int label_axis(const labels *l, int operand, char c);

/* n can be lowered with a constant right operand. */
bool constant_matmul_fits(lowering *lw, const node *n, const roles *r);

#endif
