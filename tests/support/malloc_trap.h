/* Counts what takes memory from the heap or from the system, in the whole process: also in loaded models.
 *
 * Include it in exactly one .c file of a test program: it defines malloc and its relatives, mmap and munmap over those
 * of libc. Under sanitizers, which own malloc, heap calls are counted through their hooks and mmap is not watched.
 *
 *     trap_start();
 *     ... code that must not allocate ...
 *     assert_int_equal(trap_stop(), 0); */
#ifndef TESTS_SUPPORT_MALLOC_TRAP_H
#define TESTS_SUPPORT_MALLOC_TRAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic bool trap_armed;
static _Atomic long trap_calls;

static inline void trap_start(void)
{
    atomic_store(&trap_calls, 0);
    atomic_store(&trap_armed, true);
}

/* Calls since trap_start. */
static inline long trap_stop(void)
{
    atomic_store(&trap_armed, false);
    return atomic_load(&trap_calls);
}

static inline void trap_count(void)
{
    if (atomic_load_explicit(&trap_armed, memory_order_relaxed)) atomic_fetch_add(&trap_calls, 1);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));
static void trap_on_malloc(const volatile void *p, size_t n)
{
    (void)p, (void)n;
    trap_count();
}
static void trap_on_free(const volatile void *p)
{
    (void)p;
    trap_count();
}
__attribute__((constructor)) static void trap_install(void)
{
    __sanitizer_install_malloc_and_free_hooks(trap_on_malloc, trap_on_free);
}
#else
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

void *malloc(size_t n)
{
    trap_count();
    return __libc_malloc(n);
}
void *calloc(size_t n, size_t size)
{
    trap_count();
    return __libc_calloc(n, size);
}
void *realloc(void *p, size_t n)
{
    trap_count();
    return __libc_realloc(p, n);
}
void *aligned_alloc(size_t align, size_t n)
{
    trap_count();
    return __libc_memalign(align, n);
}
void free(void *p)
{
    if (p) trap_count();
    __libc_free(p);
}
void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    trap_count();
    return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}
int munmap(void *at, size_t n)
{
    trap_count();
    return (int)syscall(SYS_munmap, at, n);
}
#endif

#endif
