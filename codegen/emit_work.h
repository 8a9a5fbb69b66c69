/* How much work a launch is, as code over its dims. */
#ifndef CODEGEN_EMIT_WORK_H
#define CODEGEN_EMIT_WORK_H

#include "codegen/emit.h"

/* The kernel's rt_work_fn, as an external function work.<kernel>. */
LLVMValueRef emit_work(emit_module *m, const kfunction *f);

#endif
