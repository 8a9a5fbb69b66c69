/* Memory between pages that nobody may touch: generated code is invisible to address sanitizers, the MMU sees it.
 *
 *     guard g = guard_make(n * sizeof(float), sizeof(float), GUARD_HIGH);
 *     ... g.data ...
 *     assert_true(guard_intact(&g));
 *     guard_free(&g);
 *
 * A stray access beyond the guarded end faults at once. The slack between the other end and its page is filled with a
 * pattern that guard_intact looks at, so a stray write there is found too. A test that must cover both ends runs once
 * with each placement. */
#ifndef TESTS_SUPPORT_GUARD_H
#define TESTS_SUPPORT_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef enum {
    GUARD_LOW,  /* the first byte follows an untouchable page (so it is page-aligned) */
    GUARD_HIGH, /* the last byte (rounded up to `align`) precedes an untouchable page */
    GUARD_ODD,  /* aligned to `align` and to nothing more; both ends watched by the pattern only */
    GUARD_PLACEMENTS
} guard_placement;

typedef struct {
    uint8_t *data;
    size_t bytes;
    uint8_t *inner; /* the touchable pages */
    size_t inner_bytes;
    uint8_t *map;
    size_t map_bytes;
} guard;

#define GUARD_PATTERN 0xa5u

/* `bytes` of memory (0 is allowed: data then points to where nothing may be touched at the guarded end) aligned to
 * `align`, a power of two up to the page size. Contents are the pattern. Exits on failure: tests cannot go on without
 * it. */
static inline guard guard_make(size_t bytes, size_t align, guard_placement where)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = bytes + 2 * align;
    guard g = {.bytes = bytes, .inner_bytes = (room + page - 1) / page * page};
    g.map_bytes = g.inner_bytes + 2 * page;
    g.map = mmap(NULL, g.map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (g.map == MAP_FAILED || mprotect(g.map + page, g.inner_bytes, PROT_READ | PROT_WRITE) != 0) {
        perror("guard_make");
        exit(99);
    }
    g.inner = g.map + page;
    memset(g.inner, GUARD_PATTERN, g.inner_bytes);
    if (where == GUARD_LOW) g.data = g.inner;
    else if (where == GUARD_ODD)
        g.data = g.inner + align; /* a page is a multiple of 2 * align, so this is no multiple of it */
    else g.data = g.inner + g.inner_bytes - (bytes + align - 1) / align * align;
    return g;
}

/* From now on writing faults: for inputs and weights. */
static inline void guard_read_only(const guard *g)
{
    if (mprotect(g->inner, g->inner_bytes, PROT_READ) != 0) {
        perror("guard_read_only");
        exit(99);
    }
}

/* Nothing but [data, data + bytes) was written. */
static inline bool guard_intact(const guard *g)
{
    for (const uint8_t *p = g->inner; p < g->inner + g->inner_bytes; p++)
        if ((p < g->data || p >= g->data + g->bytes) && *p != GUARD_PATTERN) return false;
    return true;
}

static inline void guard_free(guard *g)
{
    munmap(g->map, g->map_bytes);
    memset(g, 0, sizeof *g);
}

#endif
