/* A front-end session on one text, for the tests of this directory. */
#ifndef TESTS_UNIT_FRONTEND_FRONT_H
#define TESTS_UNIT_FRONTEND_FRONT_H

#include "frontend/frontend.h"
#include "ir/interp.h"
#include "ir/module.h"

typedef struct {
    arena *a;
    source_set *sources;
    interner *names;
    diags *d;
    dim_ctx *dims;
    module *m; /* NULL: errors */
} front;

front front_open(void);
void front_close(front *f);
/* Compiles with random weights; imports only the standard library. Rules may use the verbs of tests/support/verbs.h. */
front front_compile(const char *text);
/* All messages as a user would see them. */
const char *front_messages(front *f);
/* Runs the only function of f->m. Inputs in order; fails the test on a diagnostic. */
tensor **front_run(front *f, tensor *const *inputs, const int64_t *settings);
/* A tensor of small reproducible numbers in [-1, 1) (ints: 0 .. below). */
tensor *front_tensor(front *f, dtype dt, uint32_t rank, const int64_t *shape, int64_t below, uint64_t seed);

#endif
