/* Source files and positions.
 *
 * A position is one 32-bit number over all files of a session: file base + byte offset. Line and column exist only when
 * printed. Position 0 means "no position" (built by the compiler itself). */
#ifndef SUPPORT_SOURCE_H
#define SUPPORT_SOURCE_H

#include "support/arena.h"

typedef uint32_t srcpos;
typedef struct {
    srcpos begin, end; /* half open; begin == 0: none */
} span;

typedef struct {
    const char *name; /* as shown in messages */
    const char *path; /* as opened; equals name for files given on the command line */
    const char *text; /* NUL-terminated; may hold no other NUL (checked when added) */
    uint32_t size;
    srcpos base;
    bool from_disk; /* by source_read */
} source_file;

typedef struct source_set source_set;
source_set *source_set_new(arena *a);

/* Adds text under a name. All are copied. NULL when all positions are used up (4 GiB) or text holds a NUL. */
const source_file *source_add(source_set *s, const char *name, const char *path, const char *text, size_t size);
/* Reads a file. On failure returns NULL and sets *why to a message in the set's arena ("No such file or directory",
 * "is a directory", "larger than 16 MiB", "contains a NUL byte at offset 12"). */
const source_file *source_read(source_set *s, const char *name, const char *path, const char **why);

/* The files in the order in which they were added. */
uint32_t source_count(const source_set *s);
const source_file *source_at(const source_set *s, uint32_t i);

const source_file *source_of(const source_set *s, srcpos p); /* NULL for 0 */
/* 1-based line and column (column in bytes). Both 0 for no position. The end of a file is a position of it. */
void source_line_col(const source_set *s, srcpos p, uint32_t *line, uint32_t *col);
/* The text of the line that holds p, without its newline (LF or CRLF); not NUL-terminated. "" for no position. */
const char *source_line_text(const source_set *s, srcpos p, uint32_t *length);

static inline span span_join(span a, span b)
{
    if (!a.begin) return b;
    if (!b.begin) return a;
    return (span){a.begin < b.begin ? a.begin : b.begin, a.end > b.end ? a.end : b.end};
}

#endif
