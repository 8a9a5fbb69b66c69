/* The values of the dims, found from the shapes of the inputs; everything about shapes that a caller can get wrong.
 *
 * A dim gets its value where it first appears bare, in the order of the inputs; every later axis must agree with it.
 * Sizes that are expressions of dims are compared when all dims are known. */
#include "runtime/rt_internal.h"

#define UNKNOWN INT64_MIN

/* "input 'ids': expected rank 2 [B, S], got rank 1 [7]" needs both shapes: at most one message deep, so buffers are
 * small. */
#define SHAPE_TEXT 256

static const char *spec_text(char *buf, const tfx_tensor_info *info)
{
    struct rt_text t;
    rt_text_start(&t, buf, SHAPE_TEXT);
    rt_text_spec(&t, info);
    return buf;
}

static const char *shape_text(char *buf, uint32_t rank, const int64_t *shape)
{
    struct rt_text t;
    rt_text_start(&t, buf, SHAPE_TEXT);
    rt_text_sizes(&t, rank, shape);
    return buf;
}

static tfx_status check_kind(struct rt_handle *h, const tfx_tensor_info *info, const tfx_tensor *t)
{
    char expected[SHAPE_TEXT], got[SHAPE_TEXT];
    if (t->dtype != info->dtype)
        return rt_fail(h, TFX_ERR_DTYPE, "input '%s': expected %s, got %s", info->name, rt_dtype_name(info->dtype),
                       rt_dtype_name(t->dtype));
    if (t->rank != info->rank) {
        bool readable = t->shape && t->rank >= 0 && t->rank <= TFX_MAX_RANK;
        return rt_fail(h, TFX_ERR_RANK, "input '%s': expected rank %d %s, got rank %d%s%s", info->name, info->rank,
                       spec_text(expected, info), t->rank, readable ? " " : "",
                       readable ? shape_text(got, (uint32_t)t->rank, t->shape) : "");
    }
    if (!t->shape && t->rank > 0)
        return rt_fail(h, TFX_ERR_ARGUMENT, "input '%s': shape is NULL, expected %s", info->name,
                       spec_text(expected, info));
    return TFX_OK;
}

static tfx_status bad_size(struct rt_handle *h, const tfx_tensor_info *info, const tfx_tensor *t, int32_t axis,
                           int64_t expected, const char *why)
{
    char spec[SHAPE_TEXT], got[SHAPE_TEXT];
    return rt_fail(h, TFX_ERR_SHAPE, "input '%s', axis %d: expected %lld%s, got %lld (expected %s, got %s)", info->name,
                   axis, (long long)expected, why, (long long)t->shape[axis], spec_text(spec, info),
                   shape_text(got, (uint32_t)t->rank, t->shape));
}

/* Where dim d got its value: "S, from input 'ids', axis 1". */
static const char *origin_text(char *buf, const struct rt_model *m, const tfx_entry_info *e, int32_t d)
{
    struct rt_text t;
    rt_text_start(&t, buf, SHAPE_TEXT);
    for (uint32_t i = 0; i < e->n_inputs; i++)
        for (int32_t k = 0; k < e->inputs[i].rank; k++)
            if (e->inputs[i].axes[k].dim == d) {
                rt_text_add(&t, " (%s, from input '%s', axis %d)", m->info.dims[d].name, e->inputs[i].name, k);
                return buf;
            }
    rt_text_add(&t, " (%s)", m->info.dims[d].name);
    return buf;
}

tfx_status rt_check_dim(struct rt_handle *h, const tfx_dim_info *d, int64_t v, const char *where)
{
    if (v < d->min || v > d->max)
        return rt_fail(h, TFX_ERR_BOUND, "%sdim '%s': expected %lld..%lld, got %lld", where, d->name, (long long)d->min,
                       (long long)d->max, (long long)v);
    if (!rt_dim_allowed(d, v))
        return rt_fail(h, TFX_ERR_BOUND, "%sdim '%s': expected a multiple of %lld, got %lld", where, d->name,
                       (long long)d->multiple, (long long)v);
    return TFX_OK;
}

/* The dims and constants of one input. */
static tfx_status match_input(struct rt_handle *h, const tfx_entry_info *e, const tfx_tensor_info *info,
                              const tfx_tensor *t, int64_t *dims)
{
    const struct rt_model *m = h->model;
    tfx_status s = check_kind(h, info, t);
    if (s) return s;
    for (int32_t k = 0; k < info->rank; k++) {
        const tfx_axis_info *axis = &info->axes[k];
        int64_t got = t->shape[k];
        if (got < 0)
            return rt_fail(h, TFX_ERR_SHAPE, "input '%s', axis %d: size %lld is negative", info->name, k,
                           (long long)got);
        if (axis->size >= 0) {
            if (got != axis->size) return bad_size(h, info, t, k, axis->size, "");
        } else if (axis->dim >= 0 && dims[axis->dim] == UNKNOWN) {
            const tfx_dim_info *d = &m->info.dims[axis->dim];
            if (!rt_dim_allowed(d, got)) {
                char where[SHAPE_TEXT];
                struct rt_text w;
                rt_text_start(&w, where, sizeof where);
                rt_text_add(&w, "input '%s', axis %d: ", info->name, k);
                return rt_check_dim(h, d, got, where);
            }
            dims[axis->dim] = got;
        } else if (axis->dim >= 0 && dims[axis->dim] != got) {
            char origin[SHAPE_TEXT];
            return bad_size(h, info, t, k, dims[axis->dim], origin_text(origin, m, e, axis->dim));
        }
    }
    return TFX_OK;
}

static tfx_status match_computed(struct rt_handle *h, const tfx_tensor_info *info, const tfx_tensor *t,
                                 const int64_t *dims)
{
    for (int32_t k = 0; k < info->rank; k++) {
        const tfx_axis_info *axis = &info->axes[k];
        if (axis->computed < 0) continue;
        int64_t expected;
        if (!rt_axis_size(h->model, axis, dims, &expected))
            return rt_fail(h, TFX_ERR_BOUND, "input '%s', axis %d: %s is not a size for these dims", info->name, k,
                           axis->text);
        if (t->shape[k] != expected) {
            char why[SHAPE_TEXT];
            struct rt_text w;
            rt_text_start(&w, why, sizeof why);
            rt_text_add(&w, " (%s)", axis->text);
            return bad_size(h, info, t, k, expected, why);
        }
    }
    return TFX_OK;
}

/* The values of the entry's dims, for messages: "P = 4000, S = 200". */
static const char *values_text(char *buf, const struct rt_model *m, const tfx_entry_info *e, const int64_t *dims)
{
    struct rt_text t;
    rt_text_start(&t, buf, SHAPE_TEXT);
    for (uint32_t i = 0; i < e->n_dims; i++)
        rt_text_add(&t, "%s%s = %lld", i ? ", " : "", m->info.dims[e->dims[i]].name, (long long)dims[e->dims[i]]);
    return buf;
}

static tfx_status check_conditions(struct rt_handle *h, uint32_t entry, const int64_t *dims)
{
    const struct rt_entry *e = &h->entries[entry];
    for (uint32_t i = 0; i < e->n_checks; i++) {
        const struct rt_check *c = &e->checks[i];
        int64_t l, r;
        bool holds = rt_expr_eval(&c->lhs, dims, &l) && rt_expr_eval(&c->rhs, dims, &r);
        if (holds) {
            if (c->op == RT_CHECK_EQ) holds = l == r;
            else if (c->op == RT_CHECK_LE) holds = l <= r;
            else holds = r == 0 ? l == 0 : r == -1 || l % r == 0;
        }
        if (!holds) {
            char values[SHAPE_TEXT];
            return rt_fail(h, TFX_ERR_REQUIRE, "expected %s (%s), got %s", c->text, c->place,
                           values_text(values, h->model, &h->model->info.entries[entry], dims));
        }
    }
    return TFX_OK;
}

static tfx_status check_counts(struct rt_handle *h, const tfx_entry_info *e, const tfx_args *args)
{
    if (args->n_inputs != e->n_inputs)
        return rt_fail(h, TFX_ERR_ARGUMENT, "entry '%s': expected %u inputs, got %u", e->name, e->n_inputs,
                       args->n_inputs);
    if (!args->inputs && e->n_inputs) return rt_fail(h, TFX_ERR_ARGUMENT, "entry '%s': inputs is NULL", e->name);
    if (args->n_dims != e->n_given) {
        char names[SHAPE_TEXT];
        struct rt_text t;
        rt_text_start(&t, names, sizeof names);
        for (uint32_t i = 0; i < e->n_given; i++)
            rt_text_add(&t, "%s%s", i ? ", " : ": ", h->model->info.dims[e->given[i]].name);
        return rt_fail(h, TFX_ERR_ARGUMENT, "entry '%s': expected %u dims%s, got %u", e->name, e->n_given, names,
                       args->n_dims);
    }
    if (!args->dims && e->n_given) return rt_fail(h, TFX_ERR_ARGUMENT, "entry '%s': dims is NULL", e->name);
    return TFX_OK;
}

tfx_status rt_find_dims(struct rt_handle *h, uint32_t entry, const tfx_args *args, int64_t *dims)
{
    const struct rt_model *m = h->model;
    if (entry >= m->info.n_entries)
        return rt_fail(h, TFX_ERR_ARGUMENT, "entry %u does not exist: the model has %u", entry, m->info.n_entries);
    if (!args) return rt_fail(h, TFX_ERR_ARGUMENT, "args is NULL");
    const tfx_entry_info *e = &m->info.entries[entry];
    tfx_status s = check_counts(h, e, args);
    if (s) return s;

    for (uint32_t i = 0; i < m->info.n_dims; i++) dims[i] = UNKNOWN;
    for (uint32_t i = 0; i < e->n_given; i++) {
        s = rt_check_dim(h, &m->info.dims[e->given[i]], args->dims[i], "");
        if (s) return s;
        dims[e->given[i]] = args->dims[i];
    }
    for (uint32_t i = 0; i < e->n_inputs; i++) {
        s = match_input(h, e, &e->inputs[i], &args->inputs[i], dims);
        if (s) return s;
    }
    for (uint32_t i = 0; i < m->info.n_dims; i++)
        if (dims[i] == UNKNOWN) dims[i] = rt_dim_least(&m->info.dims[i]);
    for (uint32_t i = 0; i < e->n_inputs; i++) {
        s = match_computed(h, &e->inputs[i], &args->inputs[i], dims);
        if (s) return s;
    }
    return check_conditions(h, entry, dims);
}
