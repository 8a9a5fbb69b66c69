/* Launches: kernels over all their tasks, on the run's thread, shared out to the threads of the handle or through the
 * caller's parallel_for; faults and the profile.
 *
 * What is handed out are units: runs of tasks of one kernel that are worth a thread's while. Results do not depend on
 * it, for a kernel gives the same bits for every division of its tasks. */
#include "runtime/rt_internal.h"

#include <stdatomic.h>

#define MOST_UNITS ((int64_t)1 << 20) /* of a launch */

struct region {
    const struct rt_call *call;
    struct rt_handle *h;
    const struct rt_work *works;
    int64_t units;
    int64_t work; /* of all */
};

/* ---- division ---- */

static void divide(struct region *r, struct rt_work *works, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        struct rt_work *w = &works[i];
        int64_t work = w->launch->work ? w->launch->work(w->dims) : w->tasks * r->h->grain;
        int64_t each = w->tasks > 0 ? work / w->tasks : 0, least = w->tasks / MOST_UNITS + 1;
        w->unit = each > 0 ? (r->h->grain + each - 1) / each : r->h->grain ? w->tasks : 1;
        if (w->unit < least) w->unit = least;
        r->units += w->tasks > 0 ? (w->tasks - 1) / w->unit + 1 : 0;
        r->work += work;
        w->end = r->units;
    }
}

/* Units first .. end - 1. */
static void run_units(const struct region *r, int64_t first, int64_t end, uint32_t worker)
{
    const struct rt_call *call = r->call;
    uint8_t *scratch = call->scratch ? call->scratch + (int64_t)worker * call->scratch_stride : NULL;
    int64_t begin = 0; /* of w's units */
    for (const struct rt_work *w = r->works; first < end; begin = w->end, w++) {
        if (first >= w->end) continue;
        int64_t stop = end < w->end ? end : w->end, task = (first - begin) * w->unit, last = (stop - begin) * w->unit;
        w->launch->kernel(w->bufs, w->dims, scratch, &r->h->faults[worker], task, last < w->tasks ? last : w->tasks);
        first = stop;
    }
}

static void run_alone(const struct region *r, int64_t n)
{
    for (const struct rt_work *w = r->works; w < r->works + n; w++)
        if (w->tasks > 0) w->launch->kernel(w->bufs, w->dims, r->call->scratch, &r->h->faults[0], 0, w->tasks);
}

static void run_pool_units(void *arg, int64_t begin, int64_t end, uint32_t worker)
{
    run_units(arg, begin, end, worker);
}

/* ---- the caller's parallel_for ---- */

struct shared {
    struct region r;
    _Atomic int64_t done;    /* units that were handed out */
    _Atomic int64_t misused; /* 1 + a worker that is too high; -1: a range that is no part of the tasks; 0: neither */
};

static void run_checked_units(void *arg, int64_t begin, int64_t end, uint32_t worker)
{
    struct shared *s = arg;
    const struct rt_handle *h = s->r.h;
    if (worker >= h->max_workers || begin < 0 || end > s->r.units || begin > end) {
        atomic_store_explicit(&s->misused, worker >= h->max_workers ? 1 + (int64_t)worker : -1, memory_order_relaxed);
        return;
    }
    run_units(&s->r, begin, end, worker);
    atomic_fetch_add_explicit(&s->done, end - begin, memory_order_relaxed);
}

static int32_t run_parallel_for(const struct region *r)
{
    struct rt_handle *h = r->h;
    struct shared s = {*r, 0, 0};
    h->parallel_for(h->parallel_ctx, r->units, run_checked_units, &s);
    int64_t done = atomic_load_explicit(&s.done, memory_order_relaxed);
    int64_t how = atomic_load_explicit(&s.misused, memory_order_relaxed);
    if (how > 0)
        return rt_fail(h, TFX_ERR_ARGUMENT, "parallel_for: expected workers below %u, got worker %lld", h->max_workers,
                       (long long)(how - 1));
    if (how < 0)
        return rt_fail(h, TFX_ERR_ARGUMENT, "parallel_for: got a range that is not within 0..%lld",
                       (long long)r->units);
    if (done != r->units)
        return rt_fail(h, TFX_ERR_ARGUMENT, "parallel_for: expected %lld tasks to be done, got %lld",
                       (long long)r->units, (long long)done);
    return TFX_OK;
}

/* ---- faults ---- */

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

/* ---- launches ---- */

/* The launch among the works that has faults to report; NULL: none. */
static const struct rt_launch *checked(const struct rt_work *works, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (works[i].launch->n_faults && works[i].tasks > 0) return works[i].launch;
    return NULL;
}

static int32_t run_region(struct rt_call *call, struct rt_handle *h, struct rt_work *works, int64_t n)
{
    const struct rt_launch *may_fail = checked(works, n);
    if (may_fail)
        for (uint32_t i = 0; i < h->max_workers; i++) h->faults[i].index = h->faults[i].arg = INT64_MAX;
    struct region r = {.call = call, .h = h, .works = works};
    bool several = n > 1 || works->tasks > 1;
    if (several && (h->pool || h->parallel_for)) divide(&r, works, n);
    if (r.units < 2 || r.work < 2 * h->grain) {
        run_alone(&r, n);
    } else if (h->pool) {
        rt_pool_run(h->pool, (uint32_t)r.units, r.work, run_pool_units, &r);
    } else {
        int32_t s = run_parallel_for(&r);
        if (s) return s;
    }
    return may_fail ? check_faults(call, h, may_fail) : TFX_OK;
}

int32_t rt_launch(struct rt_call *call, struct rt_work *works, int64_t n)
{
    struct rt_handle *h = rt_handle_of(call->model);
    if (!h->profile) return run_region(call, h, works, n);
    /* Timed apart, one after the other. */
    for (int64_t i = 0; i < n; i++) {
        int64_t start = rt_now();
        int32_t s = run_region(call, h, &works[i], 1);
        h->profile(h->profile_ctx, &works[i].launch->info, works[i].tasks, rt_now() - start);
        if (s) return s;
    }
    return TFX_OK;
}
