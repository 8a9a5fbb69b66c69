#include "gpu/cuda_driver.h"

#include <dlfcn.h>

typedef int cu_result; /* 0: success */
typedef uint64_t cu_address;
typedef struct cu_object *cu_handle;

/* The driver's names; versions as a program built against CUDA 12 would get them. */
#define CUDA_FUNCTIONS(X)                                                                                      \
    X(init, cuInit, unsigned)                                                                                  \
    X(device_get, cuDeviceGet, int *, int)                                                                     \
    X(device_name, cuDeviceGetName, char *, int, int)                                                          \
    X(device_attribute, cuDeviceGetAttribute, int *, int, int)                                                 \
    X(retain, cuDevicePrimaryCtxRetain, cu_handle *, int)                                                      \
    X(release, cuDevicePrimaryCtxRelease_v2, int)                                                              \
    X(set_current, cuCtxSetCurrent, cu_handle)                                                                 \
    X(synchronize, cuCtxSynchronize, void)                                                                     \
    X(module_load, cuModuleLoadDataEx, cu_handle *, const void *, unsigned, int *, void **)                    \
    X(module_unload, cuModuleUnload, cu_handle)                                                                \
    X(module_function, cuModuleGetFunction, cu_handle *, cu_handle, const char *)                              \
    X(function_set, cuFuncSetAttribute, cu_handle, int, int)                                                   \
    X(alloc, cuMemAlloc_v2, cu_address *, size_t)                                                              \
    X(free, cuMemFree_v2, cu_address)                                                                          \
    X(to_device, cuMemcpyHtoD_v2, cu_address, const void *, size_t)                                            \
    X(to_host, cuMemcpyDtoH_v2, void *, cu_address, size_t)                                                    \
    X(launch, cuLaunchKernel, cu_handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, \
      cu_handle, void **, void **)                                                                             \
    X(event_create, cuEventCreate, cu_handle *, unsigned)                                                      \
    X(event_destroy, cuEventDestroy_v2, cu_handle)                                                             \
    X(event_record, cuEventRecord, cu_handle, cu_handle)                                                       \
    X(event_synchronize, cuEventSynchronize, cu_handle)                                                        \
    X(event_time, cuEventElapsedTime, float *, cu_handle, cu_handle)                                           \
    X(error_name, cuGetErrorName, cu_result, const char **)

enum {
    ATTRIBUTE_MAJOR = 75,
    ATTRIBUTE_MINOR = 76,
    FUNCTION_MAX_DYNAMIC_SHARED = 8,
    JIT_ERROR_LOG = 5,
    JIT_ERROR_LOG_BYTES = 6
};

struct cuda_driver {
    void *library;
    int device;
    char name[128];
    const char *processor;
#define FIELD(field, symbol, ...) cu_result (*field)(__VA_ARGS__);
    CUDA_FUNCTIONS(FIELD)
#undef FIELD
};

static bool load(cuda_driver *d, const char **why)
{
    d->library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!d->library) return *why = "no CUDA driver (libcuda.so.1)", false;
#define LOAD(field, symbol, ...)                      \
    *(void **)&d->field = dlsym(d->library, #symbol); \
    if (!d->field) return *why = "the CUDA driver lacks " #symbol, false;
    CUDA_FUNCTIONS(LOAD)
#undef LOAD
    return true;
}

/* wgmma is in sm_90a alone; the other families run the plain processor of their first member. */
static const char *processor_of(int major, int minor)
{
    if (major == 8) return minor == 9 ? "sm_89" : minor == 7 ? "sm_87" : minor == 6 ? "sm_86" : "sm_80";
    if (major == 9) return "sm_90a";
    if (major == 10) return "sm_100";
    return major == 12 ? "sm_120" : NULL;
}

cuda_driver *cuda_open(arena *a, const char **why)
{
    cuda_driver *d = ARENA_NEW(a, cuda_driver);
    cu_handle context;
    int major = 0, minor = 0;
    if (!load(d, why)) return NULL;
    if (d->init(0) || d->device_get(&d->device, 0)) return *why = "no GPU", NULL;
    d->device_name(d->name, sizeof d->name, d->device);
    d->device_attribute(&major, ATTRIBUTE_MAJOR, d->device);
    d->device_attribute(&minor, ATTRIBUTE_MINOR, d->device);
    d->processor = processor_of(major, minor);
    if (!d->processor) return *why = arena_printf(a, "%s is of a processor that tfxc does not know", d->name), NULL;
    if (d->retain(&context, d->device) || d->set_current(context)) return *why = "the GPU gives no context", NULL;
    return d;
}

const char *cuda_device(const cuda_driver *d)
{
    return d->name;
}

const char *cuda_processor(const cuda_driver *d)
{
    return d->processor;
}

void cuda_close(cuda_driver *d)
{
    d->release(d->device);
    dlclose(d->library);
}

/* ---- running ---- */

typedef struct {
    cuda_driver *d;
    arena *a;
    cu_handle module, function, before, after;
    cu_address *allocated, *address; /* by region: what was allocated, and where the region begins in it */
    const char *error;
} job;

static bool ok(job *j, cu_result r, const char *what)
{
    const char *name = "?";
    if (!r || j->error) return !j->error;
    j->d->error_name(r, &name);
    j->error = arena_printf(j->a, "%s: %s", what, name);
    return false;
}

static bool load_module(job *j, const char *text, const char *entry)
{
    char log[4096] = "";
    int options[] = {JIT_ERROR_LOG, JIT_ERROR_LOG_BYTES};
    void *values[] = {log, (void *)sizeof log};
    if (!ok(j, j->d->module_load(&j->module, text, 2, options, values), "loading the module")) {
        if (*log) j->error = arena_printf(j->a, "%s\n%s", j->error, log);
        return false;
    }
    return ok(j, j->d->module_function(&j->function, j->module, entry), "finding the entry point");
}

/* Allocations are aligned to 256; a region keeps its host address' place in that. */
static bool send(job *j, const ptx_run *run)
{
    for (uint32_t i = 0; i < run->n_regions; i++) {
        const ptx_region *r = &run->regions[i];
        uint64_t place = (uint64_t)(uintptr_t)r->base % 256;
        if (!ok(j, j->d->alloc(&j->allocated[i], r->bytes + 512), "allocating")) return false;
        j->address[i] = j->allocated[i] + place;
        if (r->bytes && !ok(j, j->d->to_device(j->address[i], r->base, r->bytes), "copying to the GPU")) return false;
    }
    return true;
}

static void fetch(job *j, const ptx_run *run)
{
    for (uint32_t i = 0; i < run->n_regions; i++)
        if (run->regions[i].writable && run->regions[i].bytes)
            ok(j, j->d->to_host(run->regions[i].base, j->address[i], run->regions[i].bytes), "copying from the GPU");
}

static uint64_t translated(const job *j, const ptx_run *run, uint64_t v)
{
    for (uint32_t i = 0; i < run->n_regions; i++)
        if ((uint64_t)(uintptr_t)run->regions[i].base == v) return j->address[i];
    return v;
}

static void launch(job *j, const ptx_run *run, int repeats, float *least)
{
    uint64_t *values = ARENA_ARRAY(j->a, uint64_t, run->n_params);
    void **params = ARENA_ARRAY(j->a, void *, run->n_params);
    for (uint32_t i = 0; i < run->n_params; i++) {
        values[i] = translated(j, run, run->params[i]);
        params[i] = &values[i];
    }
    if (run->dynamic_bytes)
        ok(j, j->d->function_set(j->function, FUNCTION_MAX_DYNAMIC_SHARED, (int)run->dynamic_bytes),
           "asking for shared memory");
    ok(j, j->d->event_create(&j->before, 0), "making an event");
    ok(j, j->d->event_create(&j->after, 0), "making an event");
    for (int k = 0; k < repeats && !j->error; k++) {
        float time = 0;
        ok(j, j->d->event_record(j->before, NULL), "recording an event");
        ok(j,
           j->d->launch(j->function, run->grid[0], run->grid[1], run->grid[2], run->threads, 1, 1, run->dynamic_bytes,
                        NULL, params, NULL),
           "launching");
        ok(j, j->d->event_record(j->after, NULL), "recording an event");
        ok(j, j->d->synchronize(), "running the kernel");
        if (!j->error) ok(j, j->d->event_time(&time, j->before, j->after), "timing");
        if (least && (k == 0 || time < *least)) *least = time;
    }
}

const char *cuda_execute(cuda_driver *d, arena *a, const char *text, const char *entry, const ptx_run *run, int repeats,
                         float *milliseconds)
{
    job j = {.d = d, .a = a};
    j.allocated = ARENA_ARRAY(a, cu_address, run->n_regions);
    j.address = ARENA_ARRAY(a, cu_address, run->n_regions);
    if (run->grid[0] && run->grid[1] && run->grid[2] && load_module(&j, text, entry) && send(&j, run)) {
        launch(&j, run, repeats, milliseconds);
        fetch(&j, run);
    }
    if (j.before) d->event_destroy(j.before);
    if (j.after) d->event_destroy(j.after);
    for (uint32_t i = 0; i < run->n_regions; i++)
        if (j.allocated[i]) d->free(j.allocated[i]);
    if (j.module) d->module_unload(j.module);
    return j.error;
}
