/* The golden GPU kernels and what they are run on: cases.def as a table. */
#ifndef TESTS_UNIT_PTX_CASES_H
#define TESTS_UNIT_PTX_CASES_H

#include "unit/ptx/session.h"

static const struct {
    const char *file;
    ptx_case c;
} cases[] = {
#define CASE(file, name, processor, within, below, bad, ...) \
    {file,                                                   \
     {.kernel = name,                                        \
      .sm = processor,                                       \
      .tolerance = within,                                   \
      .ints_below = below,                                   \
      .faulty = bad,                                         \
      .dims = (const int64_t[]){__VA_ARGS__}}},
#include "unit/ptx/cases.def"
#undef CASE
};

#endif
