/* One run: every argument is checked, then the plan does its work. Nothing is allocated. */
#include "runtime/rt_internal.h"

#include <stdatomic.h>

/* The handle, marked as in use; NULL with *s set when it cannot be had. */
static struct rt_handle *enter(const struct rt_model *model, tfx_model *m, tfx_status *s)
{
    struct rt_handle *h = m ? rt_handle_of(m) : NULL;
    *s = TFX_ERR_ARGUMENT;
    if (!h || h->model != model) return NULL;
    *s = TFX_ERR_BUSY;
    if (atomic_exchange_explicit(&h->busy, 1, memory_order_acquire)) return NULL;
    *s = TFX_OK;
    return h;
}

static tfx_status leave(struct rt_handle *h, tfx_status s)
{
    atomic_store_explicit(&h->busy, 0, memory_order_release);
    return s;
}

/* Says what is wrong with an output that should have this shape; TFX_OK: nothing. */
static tfx_status refuse_output(struct rt_handle *h, const tfx_tensor_info *info, const tfx_tensor *t,
                                const int64_t *shape)
{
    char expected[256], got[256];
    struct rt_text te, tg;
    rt_text_start(&te, expected, sizeof expected);
    rt_text_start(&tg, got, sizeof got);
    rt_text_sizes(&te, (uint32_t)info->rank, shape);
    if (t->shape && t->rank >= 0 && t->rank <= TFX_MAX_RANK) rt_text_sizes(&tg, (uint32_t)t->rank, t->shape);
    if (t->dtype != info->dtype)
        return rt_fail(h, TFX_ERR_DTYPE, "output '%s': expected %s, got %s", info->name, rt_dtype_name(info->dtype),
                       rt_dtype_name(t->dtype));
    if (t->rank != info->rank)
        return rt_fail(h, TFX_ERR_RANK, "output '%s': expected rank %d %s, got rank %d %s", info->name, info->rank,
                       expected, t->rank, got);
    if (!t->shape && t->rank > 0)
        return rt_fail(h, TFX_ERR_ARGUMENT, "output '%s': shape is NULL, expected %s", info->name, expected);
    for (int32_t k = 0; k < info->rank; k++)
        if (t->shape[k] != shape[k])
            return rt_fail(h, TFX_ERR_SHAPE, "output '%s', axis %d: expected %lld (%s), got %lld (expected %s, got %s)",
                           info->name, k, (long long)shape[k], info->axes[k].text, (long long)t->shape[k], expected,
                           got);
    return TFX_OK;
}

static tfx_status check_output(struct rt_handle *h, const tfx_tensor_info *info, const tfx_tensor *t,
                               const int64_t *dims)
{
    int64_t shape[TFX_MAX_RANK];
    if (!rt_tensor_shape(h->model, info, dims, shape))
        return rt_fail(h, TFX_ERR_BOUND, "output '%s' has no size for these dims", info->name);
    bool fits = t->dtype == info->dtype && t->rank == info->rank && (t->shape || t->rank == 0);
    for (int32_t k = 0; fits && k < info->rank; k++) fits = t->shape[k] == shape[k];
    return fits ? TFX_OK : refuse_output(h, info, t, shape);
}

static bool overlap(uintptr_t a, uintptr_t a_end, uintptr_t b, uintptr_t b_end)
{
    return a < b_end && b < a_end;
}

struct named_view {
    struct rt_view v;
    const tfx_tensor_info *info;
    bool written;
};

/* The i-th argument: inputs come first. Made again whenever it is needed, so that no array of views has to exist. */
static tfx_status get_view(struct rt_handle *h, const tfx_entry_info *e, const tfx_args *args, uint32_t i,
                           struct named_view *n)
{
    n->written = i >= e->n_inputs;
    n->info = n->written ? &e->outputs[i - e->n_inputs] : &e->inputs[i];
    const tfx_tensor *t = n->written ? &args->outputs[i - e->n_inputs] : &args->inputs[i];
    return rt_view_make(h, n->written ? "output" : "input", n->info, t, n->written, &n->v);
}

/* Outputs apart from everything else, inputs apart from the workspace. Tensors that are copied are apart by being
 * copied. */
static tfx_status check_overlap(struct rt_handle *h, const tfx_entry_info *e, const tfx_args *args,
                                uint64_t workspace_bytes)
{
    uintptr_t work = (uintptr_t)h->workspace;
    struct named_view a, b;
    for (uint32_t i = 0; i < e->n_inputs + e->n_outputs; i++) {
        tfx_status s = get_view(h, e, args, i, &a);
        if (s) return s;
        if (overlap(a.v.lo, a.v.hi, work, work + workspace_bytes))
            return rt_fail(h, TFX_ERR_ALIAS, "%s '%s' overlaps the workspace", a.written ? "output" : "input",
                           a.info->name);
        for (uint32_t k = 0; a.written && !a.v.strides && k < i; k++) {
            s = get_view(h, e, args, k, &b);
            if (s) return s;
            if (!b.v.strides && overlap(a.v.lo, a.v.hi, b.v.lo, b.v.hi))
                return rt_fail(h, TFX_ERR_ALIAS, "output '%s' overlaps %s '%s'", a.info->name,
                               b.written ? "output" : "input", b.info->name);
        }
    }
    return TFX_OK;
}

/* All that can be wrong with a call. On success dims are in h->dims and *d says how the workspace is divided. */
static tfx_status check_call(struct rt_handle *h, uint32_t entry, const tfx_args *args, struct rt_division *d)
{
    const struct rt_model *m = h->model;
    tfx_status s = rt_find_dims(h, entry, args, h->dims);
    if (s) return s;
    const tfx_entry_info *e = &m->info.entries[entry];
    if (args->n_outputs != e->n_outputs)
        return rt_fail(h, TFX_ERR_ARGUMENT, "entry '%s': expected %u outputs, got %u", e->name, e->n_outputs,
                       args->n_outputs);
    if (!args->outputs && e->n_outputs) return rt_fail(h, TFX_ERR_ARGUMENT, "entry '%s': outputs is NULL", e->name);
    for (uint32_t i = 0; i < e->n_outputs; i++) {
        s = check_output(h, &e->outputs[i], &args->outputs[i], h->dims);
        if (s) return s;
    }
    if (!rt_divide(m, h->entries, entry, h->dims, h->max_workers, h->flags, d))
        return rt_fail(h, TFX_ERR_WORKSPACE, "the workspace for these dims is larger than the address space");
    if (d->total > h->workspace_bytes)
        return rt_fail(h, TFX_ERR_WORKSPACE, "workspace: expected %llu bytes for these dims and %u workers, got %llu",
                       (unsigned long long)d->total, h->max_workers, (unsigned long long)h->workspace_bytes);
    return check_overlap(h, e, args, d->total);
}

/* Sets the plan's data pointers; strided inputs are copied, strided outputs get room for a copy. */
static void bind_arguments(struct rt_handle *h, const tfx_entry_info *e, const tfx_args *args, uint8_t *copies)
{
    struct named_view a;
    for (uint32_t i = 0; i < e->n_inputs + e->n_outputs; i++) {
        (void)get_view(h, e, args, i, &a); /* it was found right before */
        h->data[i] = a.v.data;
        if (a.v.strides) {
            h->data[i] = copies;
            if (!a.written) rt_view_gather(&a.v, copies);
        }
        copies += h->flags & TFX_STRIDED ? rt_round_up(a.v.bytes) : 0;
    }
}

static void write_back(struct rt_handle *h, const tfx_entry_info *e, const tfx_args *args)
{
    if (!(h->flags & TFX_STRIDED)) return;
    struct named_view a;
    for (uint32_t i = e->n_inputs; i < e->n_inputs + e->n_outputs; i++) {
        (void)get_view(h, e, args, i, &a);
        if (a.v.strides) rt_view_scatter(&a.v, h->data[i]);
    }
}

tfx_status rt_run(const struct rt_model *model, tfx_model *m, uint32_t entry, const tfx_args *args)
{
    tfx_status s;
    struct rt_handle *h = enter(model, m, &s);
    if (!h) return s;
    struct rt_division d;
    s = check_call(h, entry, args, &d);
    if (s) return leave(h, s);
    const tfx_entry_info *e = &model->info.entries[entry];
    bind_arguments(h, e, args, h->workspace + d.copies);
    struct rt_call call = {
        .launch = rt_launch,
        .dims = h->dims,
        .inputs = h->data,
        .outputs = h->data + e->n_inputs,
        .workspace = h->workspace,
        .weights = h->weights,
        .scratch = d.scratch_stride ? h->workspace + d.scratch : NULL,
        .scratch_stride = (int64_t)d.scratch_stride,
        .model = m,
        .entry = entry,
    };
    if (h->pool) rt_pool_begin(h->pool);
    s = (tfx_status)h->entries[entry].plan(&call);
    if (h->pool) rt_pool_end(h->pool);
    if (!s) write_back(h, e, args);
    return leave(h, s);
}

tfx_status rt_dims(const struct rt_model *model, tfx_model *m, uint32_t entry, const tfx_args *args, int64_t *dims)
{
    tfx_status s;
    struct rt_handle *h = enter(model, m, &s);
    if (!h) return s;
    if (!dims && model->info.n_dims)
        return leave(h, rt_fail(h, TFX_ERR_ARGUMENT, "dims: the array for the values is NULL"));
    return leave(h, rt_find_dims(h, entry, args, dims));
}

tfx_status rt_shape(const struct rt_model *model, tfx_model *m, uint32_t entry, uint32_t tensor, const int64_t *dims,
                    int64_t *shape)
{
    tfx_status s;
    struct rt_handle *h = enter(model, m, &s);
    if (!h) return s;
    const tfx_info *info = &model->info;
    const tfx_entry_info *e = entry < info->n_entries ? &info->entries[entry] : NULL;
    if (!e || tensor >= e->n_inputs + e->n_outputs)
        return leave(h, rt_fail(h, TFX_ERR_ARGUMENT, "shape: entry %u has no tensor %u", entry, tensor));
    const tfx_tensor_info *t = tensor < e->n_inputs ? &e->inputs[tensor] : &e->outputs[tensor - e->n_inputs];
    if ((!dims && info->n_dims) || (!shape && t->rank))
        return leave(h, rt_fail(h, TFX_ERR_ARGUMENT, "shape: a pointer is NULL"));
    for (uint32_t i = 0; i < info->n_dims; i++) {
        s = rt_check_dim(h, &info->dims[i], dims[i], "");
        if (s) return leave(h, s);
    }
    if (!rt_tensor_shape(model, t, dims, shape))
        return leave(h, rt_fail(h, TFX_ERR_BOUND, "tensor '%s' has no size for these dims", t->name));
    return leave(h, TFX_OK);
}
