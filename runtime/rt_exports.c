/* The functions that an artefact exports, bound to its one model. */
#include "runtime/rt_internal.h"

/* Defined by generated code. In the runtime's own library it is an unresolved name that only this file refers to. */
#define MODEL (&rt_the_model)

#define RT_EXPORT(suffix, result, parameters, text) result rt_export_##suffix parameters;
#include "runtime/rt_exports.def"
#undef RT_EXPORT
const tfx_api *tfx_model_v1(void);

static const tfx_api api = {
    .abi_version = TFX_ABI_VERSION,
    .size = sizeof(tfx_api),
    .info = rt_export_info,
    .open = rt_export_open,
    .close = rt_export_close,
    .run = rt_export_run,
    .dims = rt_export_dims,
    .shape = rt_export_shape,
    .workspace_size = rt_export_workspace_size,
    .error = rt_export_error,
    .profile = rt_export_profile,
    .variant = rt_export_variant,
};

const tfx_info *rt_export_info(void)
{
    return &MODEL->info;
}

const tfx_api *rt_export_api(void)
{
    return &api;
}

const tfx_api *tfx_model_v1(void)
{
    return &api;
}

tfx_status rt_export_open(const tfx_options *options, tfx_model **out)
{
    return rt_open(MODEL, &api, options, out);
}

void rt_export_close(tfx_model *m)
{
    rt_close(m);
}

tfx_status rt_export_run(tfx_model *m, uint32_t entry, const tfx_args *args)
{
    return rt_run(MODEL, m, entry, args);
}

tfx_status rt_export_dims(tfx_model *m, uint32_t entry, const tfx_args *args, int64_t *dims)
{
    return rt_dims(MODEL, m, entry, args, dims);
}

tfx_status rt_export_shape(tfx_model *m, uint32_t entry, uint32_t tensor, const int64_t *dims, int64_t *shape)
{
    return rt_shape(MODEL, m, entry, tensor, dims, shape);
}

int64_t rt_export_workspace_size(uint32_t entry, const int64_t *dims, uint32_t max_workers, uint32_t flags)
{
    return rt_workspace_size(MODEL, entry, dims, max_workers, flags);
}

const char *rt_export_error(const tfx_model *m)
{
    return rt_error(m);
}

void rt_export_profile(tfx_model *m, tfx_profile_fn *fn, void *ctx)
{
    rt_profile(m, fn, ctx);
}

int32_t rt_export_variant(const tfx_model *m)
{
    return rt_variant_of(MODEL, m);
}
