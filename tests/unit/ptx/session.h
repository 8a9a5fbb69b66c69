/* A compilation session for PTX tests, and kernels run twice: by the kernel interpreter, and as PTX by the simulator.
 */
#ifndef TESTS_UNIT_PTX_SESSION_H
#define TESTS_UNIT_PTX_SESSION_H

#include "codegen/ptx.h"
#include "support/session.h"
#include "unit/ptx/ptx_sim.h"

/* Parsed and verified, functions expanded; fails the test otherwise. */
kmodule *session_parse(session *s, const char *text);
kmodule *session_read(session *s, const char *path);
codegen_ptx session_emit(session *s, const kmodule *m, const char *sm,
                         int opt); /* fails the test with the diagnostics */

bool session_has_processor(const char *sm); /* this build compiles for it */

typedef const char *ptx_executor(arena *a, const char *text, const char *entry,
                                 const ptx_run *run); /* as ptx_simulate */

typedef struct {
    const char *kernel; /* NULL: the module's first */
    const char *sm;
    int opt;
    ptx_executor *execute; /* NULL: the simulator */
    const int64_t *dims;
    double tolerance;       /* relative to 1 + |want|; 0: bit for bit, but NaN is NaN */
    int64_t ints_below;     /* int inputs are in 0..ints_below-1; 0: all values */
    int64_t faulty;         /* not 0: every 7th int input is this number */
    const char *old, *with; /* not NULL: all places of `old` in the PTX text are replaced before the simulation */
    bool special;           /* infinities, NaN, signed zeros, denormals, least and greatest ints among the inputs */
} ptx_case;

/* Runs the kernel on random inputs by the interpreter and by the simulator (with early and with late asynchronous work)
 * on memory that is aligned no better than promised, and compares everything written, and the fault. Fails the test on
 * any difference. */
void expect_same_run(session *s, const kmodule *m, ptx_case c);
/* The first difference, or what the simulator reports; NULL: none. */
const char *find_difference(session *s, const kmodule *m, ptx_case c);

#endif
