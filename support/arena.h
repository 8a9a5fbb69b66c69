/* Arenas: memory that is freed all at once.
 *
 * Two lifetimes exist in the compiler: the compilation's arena (source text, AST, IR) and a pass's arena
 * (side tables, worklists). Nothing allocated here is freed on its own; what was allocated last can be taken back.
 *
 * Exhaustion: allocation never returns NULL. When the system has no memory left, the arena calls its
 * `oom` handler, which must not return (the driver's handler jumps to its clean-up and exits with a status). */
#ifndef SUPPORT_ARENA_H
#define SUPPORT_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct arena arena;
typedef void arena_oom_fn(void *arg);

/* A new arena, or NULL when even its header cannot be allocated. `oom` NULL means abort(). */
arena *arena_new(arena_oom_fn *oom, void *oom_arg);
/* A new arena that runs out of memory as `outer` does, to be freed on its own. */
arena *arena_within(arena *outer);
void arena_free(arena *a); /* NULL is allowed */
/* Calls fn(arg) when the arena is freed, the last one asked for first: for what must not outlive it, however the
 * compilation ends (temporary files). */
void arena_on_free(arena *a, void (*fn)(void *arg), void *arg);

/* `size` zeroed bytes aligned to `align` (a power of two). Size 0 gives a unique valid pointer. */
void *arena_alloc(arena *a, size_t size, size_t align);
/* At most `bytes` from the system in all; what would go over is out of memory. For bounded and fault-injecting runs. */
void arena_limit(arena *a, size_t bytes);
size_t arena_bytes(const arena *a); /* bytes taken from the system, for --time-passes */

/* A place in the order of allocation. */
typedef struct {
    void *chunk, *behind;
    size_t used;
} arena_mark;
arena_mark arena_here(const arena *a);
/* Frees all that was allocated since the mark was taken, when nothing has asked to be called since. */
void arena_back_to(arena *a, arena_mark m);

/* The handler of `a`, for growable things that live outside an arena. Does not return. */
_Noreturn void arena_out_of_memory(arena *a);

char *arena_strndup(arena *a, const char *s, size_t n); /* NUL-terminated copy */
char *arena_printf(arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(arena *a, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

#define ARENA_NEW(a, T) ((T *)arena_alloc((a), sizeof(T), _Alignof(T)))
/* n * sizeof(T) is checked for overflow and exhaustion. */
#define ARENA_ARRAY(a, T, n) ((T *)arena_array((a), (n), sizeof(T), _Alignof(T)))
void *arena_array(arena *a, size_t n, size_t size, size_t align);

#endif
