/* Output files that are there whole or not at all: written under a temporary name in the same directory, then renamed.
 */
#ifndef SUPPORT_OUTFILE_H
#define SUPPORT_OUTFILE_H

#include "support/diag.h"

typedef enum {
    OUTFILE_TEXT, /* may also go to standard output ("-") and, as it is written, to what is no regular file */
    OUTFILE_BYTES,
    OUTFILE_EXECUTABLE, /* x bits as the umask allows */
} outfile_kind;

typedef struct {
    arena *a;
    diags *d;
    const char *path;           /* the final name */
    const char *temporary;      /* NULL: committed, discarded, or written directly */
    struct temporary_file *own; /* removes it when the arena is freed before that */
    int fd;                     /* -1: closed */
    bool failed;                /* a diagnostic was added: later writes do nothing */
} outfile;

/* Nothing: what discard and commit take for a file that was never opened. */
#define OUTFILE_NONE ((outfile){.fd = -1})

/* False with a diagnostic. `suffix` ends the temporary name (a linker looks at it). */
bool outfile_open(outfile *f, arena *a, diags *d, const char *path, const char *suffix, outfile_kind kind);
/* The directories above a path, where they are missing. False with a diagnostic. */
bool outfile_make_directories(arena *a, diags *d, const char *path);
/* For a file that takes another's place: the same permissions, and the same owner where that is allowed. False with a
 * diagnostic where the file may not be written. */
bool outfile_like_before(outfile *f);
bool outfile_write(outfile *f, const void *bytes, size_t n); /* at the end */
/* The same; runs of zeros become holes of the file, which take no place on the disk. Then outfile_end_holes. */
bool outfile_write_sparse(outfile *f, const void *bytes, size_t n);
bool outfile_end_holes(outfile *f); /* the file ends where the last write does, also behind a hole */
bool outfile_write_at(outfile *f, const void *bytes, size_t n,
                      uint64_t offset);    /* the end stays where it is; not for text */
bool outfile_pad(outfile *f, uint64_t to); /* zeros up to this length; not for text */
bool outfile_close(outfile *f);            /* the temporary stays for outfile_commit */
bool outfile_commit(outfile *f);           /* gives it the final name */
void outfile_discard(outfile *f);          /* removes what is there; after commit too: nothing */

/* All of it in one call: a file of text, or standard output for "-". False with a diagnostic. */
bool outfile_write_text(arena *a, diags *d, const char *path, const strbuf *text);

#endif
