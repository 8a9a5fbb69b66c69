/* Between tfxrun_session.c and tfxrun_inputs.c. All return exit statuses and report problems themselves. */
#ifndef RUNTIME_TFXRUN_SESSION_H
#define RUNTIME_TFXRUN_SESSION_H

#include "runtime/tfxrun.h"

#define DIM_UNKNOWN INT64_MIN

/* "the model has no input 'x'", with the nearest that it has. Returns RUN_USAGE. */
int unknown_tensor(const char *what, const char *name, const tfx_tensor_info *t, uint32_t n);
tensor *find_tensor(tensor *t, uint32_t n, const char *name); /* NULL when there is none */

int read_dims(session *s, const named_list *list);     /* --dim, into s->dims */
int read_input(session *s, const named *n, bool cast); /* one --input */
/* All dims: what the files' shapes say comes first, then --dim, then the least above 0. Contradictions are the model's
 * to find. Also s->given. */
void fill_dims(session *s);
int make_inputs(session *s, const options *o); /* those that no file gave */

#endif
