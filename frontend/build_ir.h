/* From the elaborated program to tensor IR. With frontend.c the only part of the front end that knows the IR. */
#ifndef FRONTEND_BUILD_IR_H
#define FRONTEND_BUILD_IR_H

#include "frontend/frontend.h"
#include "frontend/sema.h"

/* `weights`: the file behind p->weights; NULL: parameters get random numbers from `seed`. */
struct module *build_ir(const frontend_session *s, const sema_program *p, const struct weights_file *weights,
                        uint64_t seed);

/* Opens the weights file at `path` and makes its table. NULL after reporting.
 */
struct weights_file *build_ir_open_weights(const frontend_session *s, const char *path, weights_view *out);

#endif
