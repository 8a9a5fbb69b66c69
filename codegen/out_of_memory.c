/* LLVM allocates by itself, and ends the process when it cannot. Both ways in which it finds out are led to a handler:
 * its own allocations, and operator new. These functions are part of LLVM's C++ interface and have no counterpart in
 * the C one; a release without them gets no handler. */
#include "codegen/codegen.h"

typedef void bad_alloc_fn(void *arg, const char *reason, bool with_report);

/* llvm::install_bad_alloc_error_handler(void (*)(void *, const char *, bool), void *) */
extern void install_bad_alloc_handler(bad_alloc_fn *fn,
                                      void *arg) __asm__("_ZN4llvm31install_bad_alloc_error_handlerEPFvPvPKcbES0_")
    __attribute__((weak));
/* llvm::install_out_of_memory_new_handler() */
extern void install_new_handler(void) __asm__("_ZN4llvm33install_out_of_memory_new_handlerEv") __attribute__((weak));

/* What the handler gets. */
typedef struct {
    void (*fn)(void *arg);
    void *arg;
} listener;

static void tell(void *arg, const char *reason, bool with_report)
{
    (void)reason, (void)with_report;
    const listener *l = arg;
    l->fn(l->arg);
}

void codegen_on_out_of_memory(void (*fn)(void *arg), void *arg, arena *a)
{
    if (!install_bad_alloc_handler || !install_new_handler) return;
    listener *l = ARENA_NEW(a, listener);
    *l = (listener){fn, arg};
    install_bad_alloc_handler(tell, l);
    install_new_handler();
}
