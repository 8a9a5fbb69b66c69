/* The loader: finds a model in a shared object at run time. */
#define _GNU_SOURCE
#include "runtime/tfx.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static tfx_status refuse(const tfx_options *o, tfx_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static tfx_status refuse(const tfx_options *o, tfx_status status, const char *fmt, ...)
{
    if (o && o->size >= sizeof *o && o->message && o->message_bytes) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(o->message, o->message_bytes, fmt, ap);
        va_end(ap);
    }
    return status;
}

static void unload(void *library)
{
    dlclose(library);
}

/* dlopen searches the system's directories for a name without '/'; a file in the current directory is what is meant. */
static void *load(const char *path)
{
    char *here = NULL;
    if (!strchr(path, '/') && access(path, F_OK) == 0 && asprintf(&here, "./%s", path) < 0) here = NULL;
    void *library = dlopen(here ? here : path, RTLD_NOW | RTLD_LOCAL);
    free(here);
    return library;
}

tfx_status tfx_open(const char *path, const tfx_options *options, tfx_model **out)
{
    if (!out) return refuse(options, TFX_ERR_ARGUMENT, "open: out is NULL");
    *out = NULL;
    if (!path || !*path) return refuse(options, TFX_ERR_ARGUMENT, "open: path is empty");
    void *library = load(path);
    if (!library) return refuse(options, TFX_ERR_LOAD, "%s", dlerror());
    tfx_model_v1_fn *find = NULL;
    void *symbol = dlsym(library, TFX_MODEL_SYMBOL);
    memcpy(&find, &symbol, sizeof find); /* ISO C has no conversion from object to function pointers */
    tfx_status s;
    if (!find) {
        s = refuse(options, TFX_ERR_LOAD, "%s: not a model of tfxc (it lacks the symbol %s)", path, TFX_MODEL_SYMBOL);
    } else {
        const tfx_api *api = find();
        if (api->abi_version != TFX_ABI_VERSION || api->size < sizeof(tfx_api))
            s = refuse(options, TFX_ERR_VERSION, "%s: expected interface version %u, got %u", path, TFX_ABI_VERSION,
                       api->abi_version);
        else s = api->open(options, out);
    }
    if (s != TFX_OK) {
        dlclose(library);
        return s;
    }
    (*out)->library = library;
    (*out)->unload = unload;
    return TFX_OK;
}

const char *tfx_status_name(int32_t status)
{
    static const char *const names[] = {
        [TFX_OK] = "TFX_OK",
        [TFX_ERR_ARGUMENT] = "TFX_ERR_ARGUMENT",
        [TFX_ERR_DTYPE] = "TFX_ERR_DTYPE",
        [TFX_ERR_RANK] = "TFX_ERR_RANK",
        [TFX_ERR_SHAPE] = "TFX_ERR_SHAPE",
        [TFX_ERR_BOUND] = "TFX_ERR_BOUND",
        [TFX_ERR_REQUIRE] = "TFX_ERR_REQUIRE",
        [TFX_ERR_STRIDE] = "TFX_ERR_STRIDE",
        [TFX_ERR_ALIGNMENT] = "TFX_ERR_ALIGNMENT",
        [TFX_ERR_ALIAS] = "TFX_ERR_ALIAS",
        [TFX_ERR_VALUE] = "TFX_ERR_VALUE",
        [TFX_ERR_WORKSPACE] = "TFX_ERR_WORKSPACE",
        [TFX_ERR_MEMORY] = "TFX_ERR_MEMORY",
        [TFX_ERR_WEIGHTS] = "TFX_ERR_WEIGHTS",
        [TFX_ERR_CPU] = "TFX_ERR_CPU",
        [TFX_ERR_BUSY] = "TFX_ERR_BUSY",
        [TFX_ERR_LOAD] = "TFX_ERR_LOAD",
        [TFX_ERR_VERSION] = "TFX_ERR_VERSION",
    };
    return status >= 0 && (size_t)status < sizeof names / sizeof *names ? names[status] : "?";
}

const char *tfx_dtype_name(int32_t dtype)
{
    static const char *const names[] = {
        [TFX_BOOL] = "bool", [TFX_I8] = "i8",         [TFX_U8] = "u8",         [TFX_I16] = "i16",
        [TFX_U16] = "u16",   [TFX_I32] = "i32",       [TFX_U32] = "u32",       [TFX_I64] = "i64",
        [TFX_U64] = "u64",   [TFX_F16] = "f16",       [TFX_BF16] = "bf16",     [TFX_F32] = "f32",
        [TFX_F64] = "f64",   [TFX_F8E4M3] = "f8e4m3", [TFX_F8E5M2] = "f8e5m2", [TFX_F8E8M0] = "f8e8m0",
        [TFX_F4] = "f4",     [TFX_F6E2M3] = "f6e2m3", [TFX_F6E3M2] = "f6e3m2",
    };
    return dtype >= 0 && (size_t)dtype < sizeof names / sizeof *names ? names[dtype] : "?";
}
