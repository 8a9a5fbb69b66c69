/* Handles: open takes everything from the system that runs will need, close gives it back. */
#include "runtime/rt_internal.h"

#include <stdatomic.h>
#include <string.h>

/* Options as this version knows them. A caller built against an older tfx.h passes a shorter structure; one built
 * against a newer one may pass a longer one, as long as what this version does not know is zero. */
static bool read_options(const tfx_options *given, tfx_options *o, struct rt_text *why)
{
    *o = (tfx_options)TFX_OPTIONS_INIT;
    if (!given) return true;
    if (given->size < TFX_OPTIONS_LEAST) {
        rt_text_add(why,
                    "options: size is %u, expected at least %u: start from TFX_OPTIONS_INIT, with the tfx.h of the "
                    "tfxc that compiled the model",
                    given->size, (unsigned)TFX_OPTIONS_LEAST);
        return false;
    }
    const unsigned char *bytes = (const unsigned char *)given;
    for (size_t i = sizeof *o; i < given->size; i++)
        if (bytes[i]) {
            rt_text_add(why, "options: set something that the model, which is older than the program, does not have; "
                             "compile it again");
            return false;
        }
    memcpy(o, given, given->size < sizeof *o ? given->size : sizeof *o);
    if (o->threads == TFX_ALL_PROCESSORS) {
        o->threads = rt_pool_processors();
        if (o->threads > TFX_MAX_WORKERS) o->threads = TFX_MAX_WORKERS;
    }
    if (o->threads > 1) o->max_workers = o->threads;
    if (o->max_workers == 0) o->max_workers = 1;
    return true;
}

static tfx_status check_options(const tfx_options *o, struct rt_text *why)
{
    if (o->flags & ~RT_FLAGS) {
        rt_text_add(why, "options: unknown flags %#x", o->flags & ~RT_FLAGS);
        return TFX_ERR_ARGUMENT;
    }
    if (o->threads > TFX_MAX_WORKERS) {
        rt_text_add(why, "options: threads is %u, expected at most %u", o->threads, TFX_MAX_WORKERS);
        return TFX_ERR_ARGUMENT;
    }
    if (o->threads > 1 && o->parallel_for) {
        rt_text_add(why, "options: expected threads or a parallel_for, got both");
        return TFX_ERR_ARGUMENT;
    }
    if (o->max_workers > TFX_MAX_WORKERS) {
        rt_text_add(why, "options: max_workers is %u, expected at most %u", o->max_workers, TFX_MAX_WORKERS);
        return TFX_ERR_ARGUMENT;
    }
    if ((uintptr_t)o->workspace % RT_ALIGN) {
        rt_text_add(why, "options: expected workspace aligned to %d bytes, got address %p", RT_ALIGN, o->workspace);
        return TFX_ERR_ALIGNMENT;
    }
    return TFX_OK;
}

static tfx_status find_variant(const struct rt_model *m, const char *name, struct rt_text *why, uint32_t *variant)
{
    if (m->abi_version != RT_ABI_VERSION) {
        rt_text_add(why, "the model's tables have version %u, expected %u", m->abi_version, RT_ABI_VERSION);
        return TFX_ERR_VERSION;
    }
    struct rt_cpu cpu = rt_cpu_here();
    return rt_choose(m, &cpu, name, why, variant);
}

/* The handle and its arrays, in pages of their own. */
static struct rt_handle *new_handle(const struct rt_model *m, uint32_t workers)
{
    uint64_t dims = rt_round_up(sizeof(struct rt_handle));
    uint64_t data = dims + rt_round_up(m->info.n_dims * sizeof(int64_t));
    uint64_t faults = data + rt_round_up(m->info.max_tensors * sizeof(void *));
    uint64_t bytes = faults + workers * sizeof(struct rt_fault);
    uint8_t *p = rt_pages_reserve(bytes);
    if (!p) return NULL;
    struct rt_handle *h = (struct rt_handle *)(void *)p;
    h->bytes = bytes;
    h->dims = (int64_t *)(void *)(p + dims);
    h->data = (void **)(void *)(p + data);
    h->faults = (struct rt_fault *)(void *)(p + faults);
    return h;
}

static tfx_status find_workspace(struct rt_handle *h, const tfx_options *o)
{
    if (o->workspace) {
        h->workspace = o->workspace;
        h->workspace_bytes = o->workspace_bytes;
        return TFX_OK;
    }
    int64_t bytes = rt_workspace_size(h->model, TFX_ALL_ENTRIES, NULL, h->max_workers, h->flags);
    if (bytes < 0) return rt_fail(h, TFX_ERR_MEMORY, "the workspace is larger than the address space");
    if (bytes == 0) return TFX_OK;
    h->workspace = rt_pages_reserve((uint64_t)bytes);
    if (!h->workspace)
        return rt_fail(h, TFX_ERR_MEMORY, "the system refuses to reserve %lld bytes of workspace", (long long)bytes);
    h->workspace_bytes = (uint64_t)bytes;
    h->workspace_reserved = true;
    return TFX_OK;
}

tfx_status rt_open(const struct rt_model *m, const tfx_api *api, const tfx_options *options, tfx_model **out)
{
    struct rt_text why;
    bool readable = options && options->size >= TFX_OPTIONS_LEAST;
    rt_text_start(&why, readable ? options->message : NULL, readable ? options->message_bytes : 0);
    if (!out) {
        rt_text_add(&why, "open: out is NULL");
        return TFX_ERR_ARGUMENT;
    }
    *out = NULL;
    tfx_options o;
    if (!read_options(options, &o, &why)) return TFX_ERR_VERSION;
    tfx_status s = check_options(&o, &why);
    uint32_t variant = 0;
    if (!s) s = find_variant(m, o.variant, &why, &variant);
    if (s) return s;
    struct rt_handle *h = new_handle(m, o.max_workers);
    if (!h) {
        rt_text_add(&why, "the system gives no memory for a handle");
        return TFX_ERR_MEMORY;
    }
    h->head.api = api;
    h->model = m;
    h->variant = variant;
    h->entries = m->variants[variant].entries;
    h->flags = o.flags;
    h->max_workers = o.max_workers;
    h->parallel_for = o.parallel_for;
    h->parallel_ctx = o.parallel_ctx;
    h->grain = o.parallel_for ? RT_PARALLEL_FOR_GRAIN : RT_POOL_GRAIN;
    for (uint32_t i = 0; i < h->max_workers; i++) h->faults[i].index = h->faults[i].arg = INT64_MAX;
    s = rt_weights_find(h, o.weights_path);
    if (!s) s = find_workspace(h, &o);
    if (!s && o.threads > 1) s = rt_pool_open(h, o.threads, o.flags & TFX_PINNED);
    if (s) {
        rt_text_add(&why, "%s", h->message);
        rt_close(&h->head);
        return s;
    }
    *out = &h->head;
    return TFX_OK;
}

void rt_close(tfx_model *m)
{
    if (!m) return;
    struct rt_handle *h = rt_handle_of(m);
    rt_pool_close(h->pool);
    rt_weights_release(h);
    if (h->workspace_reserved) rt_pages_release(h->workspace, h->workspace_bytes);
    rt_pages_release(h, h->bytes);
}

int32_t rt_variant_of(const struct rt_model *model, const tfx_model *m)
{
    if (m) return (int32_t)((const struct rt_handle *)(const void *)m)->variant;
    struct rt_text why;
    rt_text_start(&why, NULL, 0);
    uint32_t variant;
    return find_variant(model, NULL, &why, &variant) ? -1 : (int32_t)variant;
}

const char *rt_error(const tfx_model *m)
{
    return m ? ((const struct rt_handle *)(const void *)m)->message : "";
}

void rt_profile(tfx_model *m, tfx_profile_fn *fn, void *ctx)
{
    if (!m) return;
    struct rt_handle *h = rt_handle_of(m);
    h->profile = fn;
    h->profile_ctx = ctx;
}
