/* The C header of a model: what a program needs to call it, and nothing else.
 *
 * One file: the text of tfx.h (behind its own guard, so that the headers of several models live in one program), the
 * exported functions of rt_exports.def under the model's prefix, and for each entry and tensor macros with what is
 * constant, functions of the dims with what is not, and one function that takes plain pointers. C99 and C++11, without
 * warnings. */
#ifndef CODEGEN_HEADER_H
#define CODEGEN_HEADER_H

#include "codegen/model.h"

/* True when `prefix` can begin the exported names of a model. Else a sentence in *why, static text: it is no C
 * identifier, or names of that form belong to the system or to tfx.h. */
bool header_prefix_valid(const char *prefix, const char **why);

/* Appends the header of `m` to `out`. `prefix` is valid; `external_weights`: open needs the file of the weights;
 * `tfx_h` is the text of tfx.h. The arena is out's. Every name
 * in it is distinct and no keyword, whatever the model's tensors and dims are called; comments give the names of the
 * model. */
void header_write(const codegen_model *m, const char *prefix, bool external_weights, const char *tfx_h, strbuf *out);

#endif
