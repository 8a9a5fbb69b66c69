/* The files of a compilation: what it reads, what it writes, and that these are apart. */
#ifndef DRIVER_FILES_H
#define DRIVER_FILES_H

#include "driver/options.h"
#include "ir/module.h"
#include "ir/weights.h"
#include "support/outfile.h"

typedef VEC(const char *) file_names;

/* "dir/model" of "dir/model.tfx". */
const char *files_stem(arena *a, const char *path);

/* What was read from disk: sources, imports, the weights file of a program, and those of a module's text. The last two
 * may be NULL. */
file_names files_read(const source_set *sources, const weights_file *weights, const module *m, arena *a);

/* The header beside what is linked statically. NULL for the rest. */
const char *files_header(const options *o, arena *a);

/* No output takes the place of an input or of another output; else false with a diagnostic. */
bool files_are_apart(const options *o, const file_names *inputs, arena *a, diags *d);

/* Begins the file that --depfile asks for; who commits it says that the output is there. False with a diagnostic. */
bool files_depfile(const options *o, const file_names *inputs, outfile *f, arena *a, diags *d);

#endif
