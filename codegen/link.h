/* Linking shared objects with lld. */
#ifndef CODEGEN_LINK_H
#define CODEGEN_LINK_H

#include "support/diag.h"

typedef struct {
    const char *triple;
    bool is_host;        /* the machine that tfxc runs on, whose C library is at hand */
    const char *sysroot; /* where the target's C library is; NULL: the host's own, or /usr/<triple> */
    const char *linker;  /* a path or a name to find in PATH; NULL: the default */
} link_target;

/* Links `object` to the shared object `out`, which may only depend on libc, libm and libpthread. `soname`: the name it
 * carries. False with a diagnostic that holds what the linker said. */
bool link_shared(const link_target *target, const char *object, const char *out, const char *soname, arena *a,
                 diags *d);

#endif
