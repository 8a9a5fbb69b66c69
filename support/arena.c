/* Arenas: chunks of zeroed memory, each handed out from front to back.
 *
 * Chunks come from calloc, so fresh pages from the system are not written a second time. A request that would waste
 * much of a chunk gets a chunk of its own behind the current one. Under AddressSanitizer the unused part of each chunk
 * is poisoned and allocations are kept apart by a red zone, so that overruns inside an arena are seen. */
#include "support/arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#define RED_ZONE(room) ((room) < 16 ? (room) : (size_t)16)
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#define RED_ZONE(room) ((room) * 0)
#endif

enum { FIRST_CHUNK = 16 * 1024, LARGEST_CHUNK = 1024 * 1024 };

typedef struct chunk chunk;
struct chunk {
    chunk *next;
    size_t size, used; /* of bytes[] */
    _Alignas(max_align_t) unsigned char bytes[];
};

typedef struct hook hook;
struct hook {
    hook *next;
    void (*fn)(void *arg);
    void *arg;
};

struct arena {
    hook *hooks;
    chunk *current; /* the head of the list of all chunks */
    size_t next_size;
    size_t taken, limit;
    arena_oom_fn *oom;
    void *oom_arg;
};

arena *arena_new(arena_oom_fn *oom, void *oom_arg)
{
    arena *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    *a = (arena){.next_size = FIRST_CHUNK, .limit = SIZE_MAX, .oom = oom, .oom_arg = oom_arg};
    return a;
}

/* Frees the chunks of a list up to `end`, which it returns. */
static chunk *free_chunks(arena *a, chunk *c, chunk *end)
{
    while (c != end) {
        chunk *next = c->next;
        a->taken -= c->size + sizeof *c;
        UNPOISON(c->bytes, c->size);
        free(c);
        c = next;
    }
    return end;
}

void arena_free(arena *a)
{
    if (!a) return;
    for (hook *h = a->hooks; h; h = h->next) h->fn(h->arg);
    free_chunks(a, a->current, NULL);
    free(a);
}

arena *arena_within(arena *outer)
{
    arena *a = arena_new(outer->oom, outer->oom_arg);
    if (!a) arena_out_of_memory(outer);
    return a;
}

/* Chunks of one request go behind the current one, the others before it: what is younger than a mark is before its
 * chunk, or between that and the one that was behind it. */
arena_mark arena_here(const arena *a)
{
    chunk *c = a->current;
    return c ? (arena_mark){c, c->next, c->used} : (arena_mark){0};
}

void arena_back_to(arena *a, arena_mark m)
{
    chunk *c = a->current = free_chunks(a, a->current, m.chunk);
    if (!c) return;
    c->next = free_chunks(a, c->next, m.behind);
    assert(m.used <= c->used);
    UNPOISON(c->bytes + m.used, c->used - m.used);
    memset(c->bytes + m.used, 0, c->used - m.used);
    POISON(c->bytes + m.used, c->used - m.used);
    c->used = m.used;
}

void arena_on_free(arena *a, void (*fn)(void *arg), void *arg)
{
    hook *h = ARENA_NEW(a, hook);
    *h = (hook){a->hooks, fn, arg};
    a->hooks = h;
}

void arena_limit(arena *a, size_t bytes)
{
    a->limit = bytes;
}

size_t arena_bytes(const arena *a)
{
    return a->taken;
}

_Noreturn void arena_out_of_memory(arena *a)
{
    if (a->oom) a->oom(a->oom_arg);
    abort();
}

static chunk *new_chunk(arena *a, size_t size)
{
    if (size > SIZE_MAX - sizeof(chunk)) arena_out_of_memory(a);
    size_t total = size + sizeof(chunk);
    if (total > a->limit || a->taken > a->limit - total) arena_out_of_memory(a);
    chunk *c = calloc(1, total);
    if (!c) arena_out_of_memory(a);
    a->taken += total;
    c->size = size;
    POISON(c->bytes, size);
    return c;
}

/* Takes size bytes from c, or NULL when they do not fit. */
static void *take(chunk *c, size_t size, size_t align)
{
    uintptr_t at = (uintptr_t)(c->bytes + c->used);
    size_t pad = (size_t)(-at & (align - 1));
    size_t room = c->size - c->used;
    if (room < pad || room - pad < size) return NULL;
    unsigned char *p = c->bytes + c->used + pad;
    c->used += pad + size;
    c->used += RED_ZONE(c->size - c->used); /* else the system allocator guards the chunk's end */
    UNPOISON(p, size);
    return p;
}

void *arena_alloc(arena *a, size_t size, size_t align)
{
    assert(align && !(align & (align - 1)));
    if (!size) size = 1;
    void *p = a->current ? take(a->current, size, align) : NULL;
    if (p) return p;

    size_t need = size;
    if (need > SIZE_MAX - align) arena_out_of_memory(a);
    need += align; /* room to align in, wherever the chunk lands */
    if (need > a->next_size / 4) {
        chunk *own = new_chunk(a, need);
        if (a->current) {
            own->next = a->current->next;
            a->current->next = own;
        } else {
            a->current = own;
        }
        p = take(own, size, align);
    } else {
        chunk *c = new_chunk(a, a->next_size);
        c->next = a->current;
        a->current = c;
        if (a->next_size < LARGEST_CHUNK) a->next_size *= 2;
        p = take(c, size, align);
    }
    assert(p);
    return p;
}

void *arena_array(arena *a, size_t n, size_t size, size_t align)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) arena_out_of_memory(a);
    return arena_alloc(a, bytes, align);
}

char *arena_strndup(arena *a, const char *s, size_t n)
{
    if (n == SIZE_MAX) arena_out_of_memory(a);
    char *copy = arena_alloc(a, n + 1, 1);
    if (n) memcpy(copy, s, n);
    return copy;
}

char *arena_vprintf(arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    assert(n >= 0); /* only an encoding error or a text over INT_MAX could fail */
    char *s = arena_alloc(a, (size_t)n + 1, 1);
    vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s;
}

char *arena_printf(arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}
