/* The index file. All numbers are little-endian.
 *
 *     bytes            field
 *     0-7              "minilmix"
 *     8-11             version of this format, 1
 *     12-15            numbers of an embedding, 384
 *     16-23            n, the texts
 *     24-31            bytes of all titles
 *     32-63            identity of the weights (tfx_info.weight_id): embeddings of different models do not compare
 *     then             n embeddings, f32, of length 1
 *     then             n + 1 u64: where each title begins, and where the last one ends
 *     then             the titles, UTF-8, without separators */
#include "search.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    char magic[8];
    uint32_t version, dims;
    uint64_t n, title_bytes;
    uint8_t weights[32];
} header;
_Static_assert(sizeof(header) == 64, "as the file has it");

static const char MAGIC[8] = {'m', 'i', 'n', 'i', 'l', 'm', 'i', 'x'};
enum { VERSION = 1, ROW = DIMS * sizeof(float) };

static void put(FILE *f, const void *data, size_t bytes)
{
    if (bytes > 0) fwrite(data, 1, bytes, f); /* the stream remembers an error until index_write asks */
}

static size_t write_all(FILE *f, const texts *t, const float *rows)
{
    header h = {.version = VERSION, .dims = DIMS};
    memcpy(h.magic, MAGIC, sizeof h.magic);
    memcpy(h.weights, minilm_info()->weight_id, sizeof h.weights);
    for (size_t i = 0; i < t->n; i++) {
        if (t->at[i].n_ids == 0) continue;
        h.n++;
        h.title_bytes += t->at[i].title_bytes;
    }
    put(f, &h, sizeof h);
    for (size_t i = 0; i < t->n; i++)
        if (t->at[i].n_ids > 0) put(f, rows + i * DIMS, ROW);
    uint64_t offset = 0;
    put(f, &offset, sizeof offset);
    for (size_t i = 0; i < t->n; i++) {
        if (t->at[i].n_ids == 0) continue;
        offset += t->at[i].title_bytes;
        put(f, &offset, sizeof offset);
    }
    for (size_t i = 0; i < t->n; i++)
        if (t->at[i].n_ids > 0) put(f, t->titles + t->at[i].title, t->at[i].title_bytes);
    return h.n;
}

size_t index_write(const char *path, const texts *t, const float *rows)
{
    size_t bytes = strlen(path) + sizeof ".XXXXXX";
    char *temporary = resize(NULL, bytes, 1);
    snprintf(temporary, bytes, "%s.XXXXXX", path);
    int fd = mkstemp(temporary);
    if (fd < 0) fail(BAD_FILE, "%s: %s", temporary, strerror(errno));
    mode_t mask = umask(0);
    umask(mask);
    FILE *f = fchmod(fd, 0666 & ~mask) == 0 ? fdopen(fd, "wb") : NULL;
    size_t n = f ? write_all(f, t, rows) : 0;
    bool good = f && !ferror(f);
    if (f) good = fclose(f) == 0 && good;
    if (!good || rename(temporary, path) != 0) {
        int why = errno;
        unlink(temporary);
        fail(BAD_FILE, "%s: %s", path, strerror(why));
    }
    free(temporary);
    return n;
}

/* What is wrong with the mapped bytes, or NULL. */
static const char *defect(const uint8_t *map, uint64_t bytes)
{
    const header *h = (const header *)map;
    if (bytes < sizeof *h || memcmp(h->magic, MAGIC, sizeof h->magic) != 0) return "is not an index";
    if (h->version != VERSION) return "has another version of the format: make it again";
    if (h->dims != DIMS || memcmp(h->weights, minilm_info()->weight_id, sizeof h->weights) != 0)
        return "was made with other weights: make it again";
    uint64_t rest = bytes - sizeof *h;
    if (h->n > rest / (ROW + sizeof(uint64_t)) || rest - h->n * (ROW + sizeof(uint64_t)) < sizeof(uint64_t) ||
        rest - h->n * (ROW + sizeof(uint64_t)) - sizeof(uint64_t) != h->title_bytes)
        return "is cut off or damaged: its size is not what its head says";
    const uint64_t *titles = (const uint64_t *)(map + sizeof *h + h->n * ROW);
    for (uint64_t i = 0; i < h->n; i++)
        if (titles[i] > titles[i + 1]) return "is damaged: its titles are out of order";
    if (titles[0] != 0 || titles[h->n] != h->title_bytes)
        return "is damaged: its titles do not end where the file does";
    return NULL;
}

search_index index_open(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) fail(BAD_FILE, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size == 0) fail(BAD_FILE, "%s is not an index", path);
    search_index x = {.map_bytes = (size_t)st.st_size};
    x.map = mmap(NULL, x.map_bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (x.map == MAP_FAILED) fail(BAD_FILE, "%s: %s", path, strerror(errno));
    close(fd);
    const char *wrong = defect(x.map, x.map_bytes);
    if (wrong) fail(BAD_FILE, "%s %s", path, wrong);
    const header *h = x.map;
    x.n = h->n;
    x.rows = (const float *)(h + 1);
    x.titles = (const uint64_t *)(x.rows + x.n * DIMS);
    x.text = (const char *)(x.titles + x.n + 1);
    return x;
}

void index_close(search_index *x)
{
    munmap(x->map, x->map_bytes);
    *x = (search_index){0};
}
