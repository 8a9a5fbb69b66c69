/* Linking shared objects with lld. */
#ifndef CODEGEN_LINK_H
#define CODEGEN_LINK_H

#include "support/diag.h"

/* Links `object` to the shared object `out`, which may only depend on libc, libm and libpthread. `linker`: a path or a
 * name to find in PATH; NULL: the default. `soname`: the name it carries. False with a diagnostic that holds what the
 * linker said. */
bool link_shared(const char *linker, const char *object, const char *out, const char *soname, arena *a, diags *d);

#endif
