/* Files that tfxc carries inside itself; their definitions are written by cmake/embed.c during the build. */
#ifndef SUPPORT_EMBEDDED_H
#define SUPPORT_EMBEDDED_H

#include <stddef.h>

/* The runtime that is linked into every model, as LLVM bitcode, once for each architecture that tfxc was built for. */
typedef struct {
    const char *arch;           /* as triples begin: "x86_64" */
    const unsigned char *bytes; /* 16-byte aligned */
    size_t size;
} runtime_bitcode;
extern const runtime_bitcode runtime_bitcodes[];
extern const size_t runtime_bitcode_count;

/* The text of runtime/tfx.h, NUL-terminated. */
extern const char tfx_h_text[];
extern const size_t tfx_h_size;

/* The standard library of blocks, sorted by name. */
typedef struct {
    const char *name; /* as imported: "std/bert.tfx" */
    const char *text; /* NUL-terminated */
    size_t size;
} std_file;
extern const std_file std_files[];
extern const size_t std_file_count;

#endif
