#define _GNU_SOURCE
#include "support/source.h"

#include "support/vec.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGEST_FILE (UINT32_C(16) << 20)

typedef struct {
    source_file file;
    uint32_t *lines; /* offset of the first byte of each line */
    uint32_t nlines;
} entry;

struct source_set {
    arena *a;
    VEC(entry *) files; /* bases ascend */
    srcpos next;
};

source_set *source_set_new(arena *a)
{
    source_set *s = ARENA_NEW(a, source_set);
    s->a = a;
    s->next = 1;
    return s;
}

static void find_lines(arena *a, entry *e)
{
    uint32_t n = 1;
    for (uint32_t i = 0; i < e->file.size; i++) n += e->file.text[i] == '\n';
    e->lines = ARENA_ARRAY(a, uint32_t, n);
    e->nlines = 1;
    for (uint32_t i = 0; i < e->file.size; i++)
        if (e->file.text[i] == '\n') e->lines[e->nlines++] = i + 1;
}

static const source_file *add(source_set *s, const char *name, const char *path, const char *text, size_t size,
                              bool from_disk)
{
    /* A file owns size + 1 positions: its end is one too. */
    if (size >= UINT32_MAX - s->next) return NULL;
    if (size && memchr(text, 0, size)) return NULL;
    entry *e = ARENA_NEW(s->a, entry);
    e->file = (source_file){
        .name = arena_strndup(s->a, name, strlen(name)),
        .path = arena_strndup(s->a, path, strlen(path)),
        .text = arena_strndup(s->a, text, size),
        .size = (uint32_t)size,
        .base = s->next,
        .from_disk = from_disk,
    };
    find_lines(s->a, e);
    s->next += (uint32_t)size + 1;
    vec_push(s->a, &s->files, e);
    return &e->file;
}

const source_file *source_add(source_set *s, const char *name, const char *path, const char *text, size_t size)
{
    return add(s, name, path, text, size, false);
}

uint32_t source_count(const source_set *s)
{
    return s->files.len;
}

const source_file *source_at(const source_set *s, uint32_t i)
{
    return &s->files.data[i]->file;
}

static const char *message_of(arena *a, int error)
{
    char text[128];
    return arena_printf(a, "%s", strerror_r(error, text, sizeof text));
}

/* The bytes of an open regular file or pipe, at most LARGEST_FILE, or NULL. */
static char *read_all(arena *a, int fd, size_t *size, const char **why)
{
    struct stat st;
    if (fstat(fd, &st)) return *why = message_of(a, errno), NULL;
    if (S_ISDIR(st.st_mode)) return *why = "is a directory", NULL;
    size_t cap = st.st_size > 0 ? (size_t)st.st_size + 1 : 4096, len = 0;
    if (cap > LARGEST_FILE + 1) cap = LARGEST_FILE + 1;
    char *text = arena_alloc(a, cap, 1);
    for (;;) {
        if (len == cap) {
            if (len > LARGEST_FILE) return *why = "larger than 16 MiB", NULL;
            size_t grown = cap * 2 > LARGEST_FILE + 1 ? LARGEST_FILE + 1 : cap * 2;
            char *more = arena_alloc(a, grown, 1);
            memcpy(more, text, len);
            text = more;
            cap = grown;
        }
        ssize_t n = read(fd, text + len, cap - len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return *why = message_of(a, errno), NULL;
        if (n == 0) break;
        len += (size_t)n;
    }
    *size = len;
    return text;
}

/* A pipe that has no writer yet reads like an empty file. poll tells the two apart: it reports neither data nor an end
 * until there was a writer. */
static bool wait_for_writer(int fd, const char **why)
{
    enum { SECONDS = 5 };
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISFIFO(st.st_mode)) return true;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int ready;
    do ready = poll(&p, 1, SECONDS * 1000);
    while (ready < 0 && errno == EINTR);
    if (ready == 0) *why = "nothing came through this pipe for 5 s";
    return ready != 0;
}

const source_file *source_read(source_set *s, const char *name, const char *path, const char **why)
{
    /* Opened without blocking, so that a pipe to which nobody writes does not hang; then it is waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return *why = message_of(s->a, errno), NULL;
    if (!wait_for_writer(fd, why)) return close(fd), NULL;
    fcntl(fd, F_SETFL, 0);
    size_t size = 0;
    char *text = read_all(s->a, fd, &size, why);
    close(fd);
    if (!text) return NULL;
    const char *nul = size ? memchr(text, 0, size) : NULL;
    if (nul) return *why = arena_printf(s->a, "contains a NUL byte at offset %zu", (size_t)(nul - text)), NULL;
    const source_file *f = add(s, name, path, text, size, true);
    if (!f) *why = "more than 4 GiB of source text";
    return f;
}

static const entry *entry_of(const source_set *s, srcpos p)
{
    if (!p || p >= s->next) return NULL;
    uint32_t lo = 0, hi = s->files.len; /* the last file with base <= p is in [lo, hi) */
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (s->files.data[mid]->file.base <= p) lo = mid;
        else hi = mid;
    }
    return s->files.data[lo];
}

/* Index of the line that holds offset. */
static uint32_t line_of(const entry *e, uint32_t offset)
{
    uint32_t lo = 0, hi = e->nlines;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (e->lines[mid] <= offset) lo = mid;
        else hi = mid;
    }
    return lo;
}

const source_file *source_of(const source_set *s, srcpos p)
{
    const entry *e = entry_of(s, p);
    return e ? &e->file : NULL;
}

void source_line_col(const source_set *s, srcpos p, uint32_t *line, uint32_t *col)
{
    const entry *e = entry_of(s, p);
    *line = *col = 0;
    if (!e) return;
    uint32_t at = line_of(e, p - e->file.base);
    *line = at + 1;
    *col = p - e->file.base - e->lines[at] + 1;
}

const char *source_line_text(const source_set *s, srcpos p, uint32_t *length)
{
    const entry *e = entry_of(s, p);
    *length = 0;
    if (!e) return "";
    uint32_t at = line_of(e, p - e->file.base);
    uint32_t begin = e->lines[at], end = at + 1 < e->nlines ? e->lines[at + 1] - 1 : e->file.size;
    if (end > begin && e->file.text[end - 1] == '\r') end--;
    *length = end - begin;
    return e->file.text + begin;
}
