/* Launches: a kernel over all its tasks, on the run's thread or through the caller's parallel_for; faults and the
 * profile. */
#include "runtime/rt_internal.h"

#include <stdatomic.h>
#include <time.h>

struct work {
    const struct rt_call *call;
    struct rt_handle *h;
    rt_kernel_fn *kernel;
    void *const *bufs;
    const int64_t *dims;
    int64_t tasks;
    _Atomic int64_t done;    /* tasks that were handed out */
    _Atomic int64_t misused; /* 1 + a worker that is too high; -1: a range that is no part of the tasks; 0: neither */
};

static void run_range(void *arg, int64_t begin, int64_t end, uint32_t worker)
{
    struct work *w = arg;
    if (worker >= w->h->max_workers || begin < 0 || end > w->tasks || begin > end) {
        atomic_store_explicit(&w->misused, worker >= w->h->max_workers ? 1 + (int64_t)worker : -1,
                              memory_order_relaxed);
        return;
    }
    uint8_t *scratch = w->call->scratch ? w->call->scratch + (int64_t)worker * w->call->scratch_stride : NULL;
    w->kernel(w->bufs, w->dims, scratch, &w->h->faults[worker], begin, end);
    atomic_fetch_add_explicit(&w->done, end - begin, memory_order_relaxed);
}

static int32_t misused(struct rt_handle *h, int64_t how, int64_t done, int64_t tasks)
{
    if (how > 0)
        return rt_fail(h, TFX_ERR_ARGUMENT, "parallel_for: expected workers below %u, got worker %lld", h->max_workers,
                       (long long)(how - 1));
    if (how < 0)
        return rt_fail(h, TFX_ERR_ARGUMENT, "parallel_for: got a range that is not within 0..%lld", (long long)tasks);
    return rt_fail(h, TFX_ERR_ARGUMENT, "parallel_for: expected %lld tasks to be done, got %lld", (long long)tasks,
                   (long long)done);
}

/* "[3, 17]": element number `index` of the input, whose shape is known to be right. */
static void add_position(struct rt_text *t, const struct rt_handle *h, const tfx_tensor_info *info, const int64_t *dims,
                         int64_t index)
{
    int64_t shape[TFX_MAX_RANK], at[TFX_MAX_RANK];
    if (!rt_tensor_shape(h->model, info, dims, shape)) return;
    for (int32_t k = info->rank; k-- > 0;) {
        at[k] = shape[k] > 0 ? index % shape[k] : 0;
        index = shape[k] > 0 ? index / shape[k] : 0;
    }
    rt_text_sizes(t, (uint32_t)info->rank, at);
}

static int32_t report(const struct rt_call *call, struct rt_handle *h, const struct rt_launch *launch,
                      const struct rt_fault *f)
{
    const struct rt_fault_source *from = NULL;
    for (uint64_t i = 0; i < launch->n_faults; i++)
        if (launch->faults[i].arg == f->arg) from = &launch->faults[i];
    struct rt_text t;
    rt_text_start(&t, h->message, sizeof h->message);
    bool wide = false;
    if (from && from->input >= 0) {
        const tfx_tensor_info *info = &h->model->info.entries[call->entry].inputs[from->input];
        rt_text_add(&t, "input '%s': element ", info->name);
        add_position(&t, h, info, call->dims, f->index);
        wide = info->dtype == TFX_U64;
    } else {
        if (from && from->name) rt_text_add(&t, "tensor '%s'", from->name);
        else rt_text_add(&t, "a computed index");
        rt_text_add(&t, " (%s:%u:%u): element %lld", launch->info.file, launch->info.line, launch->info.column,
                    (long long)f->index);
    }
    if (wide) rt_text_add(&t, " is %llu", (unsigned long long)f->value);
    else rt_text_add(&t, " is %lld", (long long)f->value);
    if (f->bound > 0) rt_text_add(&t, ", allowed 0..%lld", (long long)(f->bound - 1));
    else rt_text_add(&t, ", but no value is allowed");
    return TFX_ERR_VALUE;
}

static int32_t check_faults(const struct rt_call *call, struct rt_handle *h, const struct rt_launch *launch)
{
    const struct rt_fault *first = &h->faults[0];
    for (uint32_t i = 1; i < h->max_workers; i++) {
        const struct rt_fault *f = &h->faults[i];
        if (f->index < first->index || (f->index == first->index && f->arg < first->arg)) first = f;
    }
    return first->index == INT64_MAX ? TFX_OK : report(call, h, launch, first);
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int32_t rt_launch_kernel(struct rt_call *call, const struct rt_launch *launch, void *const *bufs, const int64_t *dims,
                         int64_t tasks)
{
    struct rt_handle *h = rt_handle_of(call->model);
    if (launch->n_faults)
        for (uint32_t i = 0; i < h->max_workers; i++) h->faults[i].index = h->faults[i].arg = INT64_MAX;
    int64_t start = h->profile ? now() : 0;
    if (tasks > 1 && h->parallel_for) {
        struct work w = {call, h, launch->kernel, bufs, dims, tasks, 0, 0};
        h->parallel_for(h->parallel_ctx, tasks, run_range, &w);
        int64_t done = atomic_load_explicit(&w.done, memory_order_relaxed);
        int64_t how = atomic_load_explicit(&w.misused, memory_order_relaxed);
        if (how != 0 || done != tasks) return misused(h, how, done, tasks);
    } else if (tasks > 0) {
        launch->kernel(bufs, dims, call->scratch, &h->faults[0], 0, tasks);
    }
    if (h->profile) h->profile(h->profile_ctx, &launch->info, tasks, now() - start);
    return launch->n_faults && tasks > 0 ? check_faults(call, h, launch) : TFX_OK;
}
