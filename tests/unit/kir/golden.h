/* Running the golden kernels. */
#ifndef TESTS_UNIT_KIR_GOLDEN_H
#define TESTS_UNIT_KIR_GOLDEN_H

#include "unit/kir/session.h"

/* tests/golden/kir/NAME prints, parses back and is equal to itself. Comments are not part of the form. */
void check_golden_text(const char *name);
/* The module's first kernel. `result` may be NULL. */
bool run_kernel(session *s, const kmodule *m, const int64_t *dims, const kbinding *params, uint64_t seed,
                kinterp_result *result);

float *random_f32(session *s, int64_t n, uint64_t seed);     /* in (-1, 1) */
uint16_t *random_bf16(session *s, int64_t n, uint64_t seed); /* the same, rounded */
double bf16_value(uint16_t v);
void expect_near(double got, double want, double tolerance, int64_t i, int64_t j); /* relative to 1 + |want| */

#endif
