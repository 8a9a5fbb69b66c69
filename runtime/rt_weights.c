/* The weights: in the artefact itself, or a file that fits it, mapped read-only. Both end as one pointer. */
#include "runtime/rt_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static tfx_status check_header(struct rt_handle *h, const char *path, const struct rt_weights_header *w,
                               uint64_t file_bytes)
{
    const tfx_info *info = &h->model->info;
    if (memcmp(w->magic, RT_WEIGHTS_MAGIC, sizeof w->magic) != 0)
        return rt_fail(h, TFX_ERR_WEIGHTS, "weights '%s': not a weights file of tfxc", path);
    if (w->version != 1 || w->header_bytes != sizeof *w)
        return rt_fail(h, TFX_ERR_WEIGHTS,
                       "weights '%s': expected version 1 with a header of %u bytes, got version %u with %u", path,
                       (unsigned)sizeof *w, w->version, w->header_bytes);
    if (memcmp(w->id, info->weight_id, sizeof w->id) != 0)
        return rt_fail(h, TFX_ERR_WEIGHTS, "weights '%s': made for another model or from other weights", path);
    if (w->bytes != h->model->weights.bytes || w->offset % 4096 || w->offset < sizeof *w || w->offset > file_bytes ||
        file_bytes - w->offset < w->bytes)
        return rt_fail(h, TFX_ERR_WEIGHTS, "weights '%s': expected %llu bytes of weights, got a file of %llu bytes",
                       path, (unsigned long long)h->model->weights.bytes, (unsigned long long)file_bytes);
    return TFX_OK;
}

static tfx_status map_file(struct rt_handle *h, const char *path, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return rt_fail(h, TFX_ERR_WEIGHTS, "weights '%s': not a file", path);
    uint64_t bytes = (uint64_t)st.st_size;
    if (bytes < sizeof(struct rt_weights_header))
        return rt_fail(h, TFX_ERR_WEIGHTS, "weights '%s': only %llu bytes long", path, (unsigned long long)bytes);
    void *map = mmap(NULL, (size_t)bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) return rt_fail(h, TFX_ERR_WEIGHTS, "weights '%s': cannot be mapped", path);
    tfx_status s = check_header(h, path, map, bytes);
    if (s) {
        munmap(map, (size_t)bytes);
        return s;
    }
    h->weights_map = map;
    h->weights_map_bytes = bytes;
    h->weights = (const uint8_t *)map + ((const struct rt_weights_header *)map)->offset;
    return TFX_OK;
}

/* strerror need not be safe in threads. */
static const char *why_not_opened(int error)
{
    switch (error) {
    case ENOENT: return "no such file";
    case EACCES: return "no permission to read it";
    case ENOTDIR: return "a part of the path is no directory";
    case ELOOP: return "too many symbolic links";
    case EMFILE:
    case ENFILE: return "too many open files";
    default: return "cannot be opened";
    }
}

tfx_status rt_weights_find(struct rt_handle *h, const char *path)
{
    const struct rt_model *m = h->model;
    if (!m->info.weights_external) {
        if (path) return rt_fail(h, TFX_ERR_ARGUMENT, "weights_path '%s': this model's weights are inside it", path);
        h->weights = m->weights.data;
        return TFX_OK;
    }
    if (!path)
        return rt_fail(h, TFX_ERR_WEIGHTS, "weights_path is NULL: this model's weights are in a file of their own");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would wait for who writes it */
    if (fd < 0) return rt_fail(h, TFX_ERR_WEIGHTS, "weights '%s': %s", path, why_not_opened(errno));
    tfx_status s = map_file(h, path, fd);
    close(fd);
    return s;
}

void rt_weights_release(struct rt_handle *h)
{
    if (h->weights_map) munmap(h->weights_map, (size_t)h->weights_map_bytes);
    h->weights_map = NULL;
    h->weights = NULL;
}
