/* The kernel-IR verifier: structure, scopes and control flow in kir_verify.c; types, memory accesses and spaces of
 * single ops in kir_verify_op.c; launches in kir_verify_launch.c. */
#ifndef IR_KIR_KIR_VERIFY_H
#define IR_KIR_KIR_VERIFY_H

#include "ir/kir/kir_internal.h"

typedef enum {
    KLEVEL_TOP,    /* of a kernel: pure ops and the mapped loop */
    KLEVEL_BLOCK,  /* GPU: inside block loops */
    KLEVEL_THREAD, /* CPU: inside the parallel loop */
    KLEVEL_AGENT,  /* GPU: inside the warp or warpgroup loop */
    KLEVEL_PLAN
} klevel;

typedef struct {
    const kfunction *f;
    diags *d;
    arena *a;                 /* of the module: for messages */
    const char *const *names; /* NULL: the structure is too broken to print */
    bool ok;
    klevel level;
    kagent agent; /* on KLEVEL_AGENT */
    uint32_t block_loops, nesting;
    int64_t stack_bytes;
    bool *defined;          /* by value id: in scope */
    VEC(const kop *) reads; /* of dims, in a plan */
    ptrmap *callees;        /* what stands before a plan; made at its first launch */
} kverifier;

/* Always false. The message is followed by the op as text. */
bool kverify_error(kverifier *v, const kop *o, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

bool kverify_op(kverifier *v, const kop *o); /* what is true of an op by itself; check_##name */
bool kverify_buffer(kverifier *v, const kop *o, const kbuffer *b);
bool kverify_tile(kverifier *v, const kop *o, ktile t);
bool kverify_scalar(const kvalue *x, dtype dt);
bool kverify_launch(kverifier *v, const kop *o);
const kvalue *kbuffer_root(const kvalue *b); /* what views lead to: a parameter or the result of an alloc */
const kparam *kfunction_param(const kfunction *f, const kvalue *b); /* NULL: not a parameter */

#endif
