/* The workspace: how large, how divided, and pages from the system.
 *
 * [buffers of the plan][scratch of worker 0][scratch of worker 1]...[compact copies of strided tensors] */
#include "runtime/rt_internal.h"

#include <sys/mman.h>

uint64_t rt_round_up(uint64_t n)
{
    return (n + (RT_ALIGN - 1)) & ~(uint64_t)(RT_ALIGN - 1);
}

#define LIMIT \
    ((uint64_t)INT64_MAX / 4) /* nothing near the end of 63 bits, so that sums and rounding need no further tests */

static bool copies_bytes(const struct rt_model *m, const tfx_tensor_info *tensors, uint32_t n, const int64_t *dims,
                         uint64_t *sum)
{
    for (uint32_t i = 0; i < n; i++) {
        int64_t shape[TFX_MAX_RANK];
        uint64_t bytes;
        if (dims) {
            if (!rt_tensor_shape(m, &tensors[i], dims, shape)) return false;
        } else {
            for (int32_t k = 0; k < tensors[i].rank; k++) shape[k] = tensors[i].axes[k].max;
        }
        if (!rt_compact_bytes(tensors[i].dtype, (uint32_t)tensors[i].rank, shape, &bytes)) return false;
        if (bytes > LIMIT || *sum > LIMIT) return false;
        *sum += rt_round_up(bytes);
    }
    return true;
}

bool rt_divide(const struct rt_model *m, const struct rt_entry *entries, uint32_t entry, const int64_t *dims,
               uint32_t workers, uint32_t flags, struct rt_division *out)
{
    const struct rt_entry *e = &entries[entry];
    const tfx_entry_info *info = &m->info.entries[entry];
    int64_t buffers = dims ? e->buffer_bytes(dims) : e->buffer_bound;
    int64_t scratch = dims ? e->scratch_bytes(dims) : e->scratch_bound;
    if (buffers < 0 || scratch < 0 || (uint64_t)buffers > LIMIT || (uint64_t)scratch > LIMIT / TFX_MAX_WORKERS)
        return false;
    out->scratch = rt_round_up((uint64_t)buffers);
    out->scratch_stride = rt_round_up((uint64_t)scratch);
    out->copies = out->scratch + out->scratch_stride * workers;
    uint64_t copies = 0;
    if (flags & TFX_STRIDED) {
        if (!copies_bytes(m, info->inputs, info->n_inputs, dims, &copies)) return false;
        if (!copies_bytes(m, info->outputs, info->n_outputs, dims, &copies)) return false;
    }
    out->total = out->copies + copies;
    return out->total <= (uint64_t)INT64_MAX;
}

int64_t rt_workspace_size(const struct rt_model *m, uint32_t entry, const int64_t *dims, uint32_t max_workers,
                          uint32_t flags)
{
    if (max_workers == 0) max_workers = 1;
    if (max_workers > TFX_MAX_WORKERS || (flags & ~RT_FLAGS)) return -1;
    if (entry >= m->info.n_entries && entry != TFX_ALL_ENTRIES) return -1;
    for (uint32_t i = 0; dims && i < m->info.n_dims; i++)
        if (!rt_dim_allowed(&m->info.dims[i], dims[i])) return -1;
    uint32_t first = entry == TFX_ALL_ENTRIES ? 0 : entry,
             end = entry == TFX_ALL_ENTRIES ? m->info.n_entries : entry + 1;
    uint64_t most = 0;
    for (uint32_t i = first; i < end; i++)
        for (uint32_t v = 0; v < m->info.n_variants; v++) { /* which of them will run is known at open */
            struct rt_division d;
            if (!rt_divide(m, m->variants[v].entries, i, dims, max_workers, flags, &d)) return -1;
            if (d.total > most) most = d.total;
        }
    return (int64_t)most;
}

void *rt_pages_reserve(uint64_t bytes)
{
    if (bytes == 0 || bytes > SIZE_MAX) return NULL;
    void *p = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void rt_pages_release(void *p, uint64_t bytes)
{
    if (p) munmap(p, (size_t)bytes);
}
