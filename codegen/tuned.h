/* Schedules that were measured: a table with a text form that one can commit, read before the rules of schedule.c.
 *
 *     schedules version 1
 *     matmul weights f32 sums f32 n 768 k 3072 vectors 256 x 16 = rows 6 cols 16 wide 2 depth 768 chunk 14 group 96
 * level 2
 *
 * A line is for one shape of work on one kind of machine (width and number of its vector registers); lines for other
 * kinds stand beside it and are left alone. */
#ifndef CODEGEN_TUNED_H
#define CODEGEN_TUNED_H

#include "codegen/schedule.h"

typedef struct {
    matmul_shape shape; /* kernel NULL */
    int vector_bits, registers;
    matmul_schedule schedule;
    span at;          /* in its file */
    const char *note; /* a comment for the file; NULL: none */
    bool used;
} tuned_line;

/* Who asked for a schedule, and for what. */
typedef struct {
    matmul_shape shape;
    matmul_schedule schedule; /* what was answered */
} tuned_use;

typedef struct tuned {
    arena *a;
    VEC(tuned_line) lines;
    VEC(tuned_use) uses; /* of the last lowering */
} tuned;

tuned *tuned_new(arena *a);                                                              /* without lines */
bool matmul_shape_equal(const matmul_shape *x, const matmul_shape *y);                   /* kernels aside */
tuned_line *tuned_find(tuned *t, const matmul_shape *s, int vector_bits, int registers); /* NULL: none */
/* Puts a line in, in the place of one with the same key. */
void tuned_put(tuned *t, const tuned_line *line);

/* Sorted, whatever the order of the lines. */
void tuned_print(const tuned *t, strbuf *out);
/* NULL with located errors: unknown words, numbers that no kernel can have, a key twice. */
tuned *tuned_parse(arena *a, interner *names, diags *d, const source_file *f);
/* A remark for every line of the target's kind that no kernel asked for. */
void tuned_report_unused(const tuned *t, const lower_target *target, diags *d);

#endif
