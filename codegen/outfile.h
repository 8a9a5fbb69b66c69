/* Output files that are there whole or not at all: written under a temporary name in the same directory, then renamed.
 */
#ifndef CODEGEN_OUTFILE_H
#define CODEGEN_OUTFILE_H

#include "support/diag.h"

typedef struct {
    arena *a;
    diags *d;
    const char *path; /* the final name */
    char *temporary;
    int fd;      /* -1: closed */
    bool failed; /* a diagnostic was added: later writes do nothing */
} outfile;

/* False with a diagnostic. `suffix` ends the temporary name (a linker looks at it); `executable`: x bits as the umask
 * allows. */
bool outfile_open(outfile *f, arena *a, diags *d, const char *path, const char *suffix, bool executable);
bool outfile_write(outfile *f, const void *bytes, size_t n);                     /* at the end */
bool outfile_write_at(outfile *f, const void *bytes, size_t n, uint64_t offset); /* the end stays where it is */
bool outfile_pad(outfile *f, uint64_t to);                                       /* zeros up to this length */
bool outfile_close(outfile *f);   /* the temporary stays for outfile_commit */
bool outfile_commit(outfile *f);  /* gives it the final name */
void outfile_discard(outfile *f); /* removes what is there; after commit too: nothing */

#endif
