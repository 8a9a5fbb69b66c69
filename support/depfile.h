/* Dependency files: which files a compilation read, as Make and Ninja take them. */
#ifndef SUPPORT_DEPFILE_H
#define SUPPORT_DEPFILE_H

#include "support/strbuf.h"

/* Appends the rule "target: files", and for each file a rule without prerequisites, so that a file which is gone by the
 * next build means making the target again and not an error of Make. Names are quoted as GCC quotes them: spaces, tabs,
 * '#' and '$'. Make has no way to write a newline. */
void depfile_print(strbuf *out, const char *target, const char *const *files, uint32_t n);

#endif
