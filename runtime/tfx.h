/* tfx.h: the interface of a compiled model.
 *
 * A model is used in one of two ways, and one program can do both:
 *
 * - linked: model.o, model.a or model.so is linked; model.h, which contains this file, declares PREFIX_open and the
 *   rest;
 * - loaded: tfx_open(path, ...) of the loader library finds a model.so at run time.
 *
 * Both give a tfx_model handle, and every tfx_ function below works on any handle:
 *
 *     tfx_model *m;
 *     if (digits_open(NULL, &m) != TFX_OK) ...             // or tfx_open("digits.so", NULL, &m)
 *     if (tfx_run(m, 0, &args) != TFX_OK) fprintf(stderr, "%s\n", tfx_error(m));
 *     tfx_close(m);
 *
 * Threads. A handle is used by one thread at a time; open as many handles as there are threads of control. Handles of
 * one model share its weights, which nothing ever writes. A run that finds its handle in use by another run returns
 * TFX_ERR_BUSY. No function here uses thread-local storage or changes process state (signals, rounding mode, locale).
 * A run stays on the thread that calls it unless tfx_options says how many threads share its work.
 *
 * Memory. Only open takes memory from the system and only close gives it back: run allocates nothing.
 *
 * Reads and writes. Of a tensor exactly the elements that its descriptor describes are read or written, not one byte
 * before or after them. The alignment of the element type suffices. */
#ifndef TFX_H
#define TFX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface. It stays while the interface only grows: tfx_api, tfx_info and tfx_options, which
 * begin with their size, get members at their end, and enumerations get values. Whatever else changes here changes the
 * version. So a model serves programs that were built with the tfx.h of its compiler or with an older one of the same
 * version; others are refused with TFX_ERR_VERSION, by tfx_open or, in the case of options, by the model itself. */
#define TFX_ABI_VERSION 2

/* What a call came to. After anything but TFX_OK (and TFX_ERR_BUSY) tfx_error has a message. */
typedef enum tfx_status {
    TFX_OK = 0,
    TFX_ERR_ARGUMENT = 1, /* a null pointer, an entry that does not exist, a wrong number of tensors or dims */
    TFX_ERR_DTYPE = 2,    /* a tensor has another element type */
    TFX_ERR_RANK = 3,     /* a tensor has another number of axes */
    TFX_ERR_SHAPE = 4,    /* an axis has another size, or two axes that share a dim differ */
    TFX_ERR_BOUND = 5,    /* a dim is below its minimum, above its maximum, or not a multiple of what it must be */
    TFX_ERR_REQUIRE = 6,  /* a condition that the model's source states between dims does not hold */
    TFX_ERR_STRIDE =
        7, /* a tensor is not compact and the handle was not opened with TFX_STRIDED, or an output overlaps itself */
    TFX_ERR_ALIGNMENT = 8, /* a tensor's data is not aligned to its element type, or the workspace not to 64 bytes */
    TFX_ERR_ALIAS = 9,     /* an output overlaps another tensor, or a tensor overlaps the workspace */
    TFX_ERR_VALUE = 10, /* an element of an input is out of the range that the model allows (an id beyond its table) */
    TFX_ERR_WORKSPACE = 11, /* the caller's workspace is too small for these dims */
    TFX_ERR_MEMORY = 12,    /* the system gave no memory */
    TFX_ERR_WEIGHTS = 13,   /* the weights file is missing, damaged, or belongs to another model */
    TFX_ERR_CPU = 14,       /* this machine lacks instructions that the model was compiled for */
    TFX_ERR_BUSY = 15,      /* the handle is inside another run */
    TFX_ERR_LOAD = 16,      /* the file is not a loadable model */
    TFX_ERR_VERSION = 17    /* the model was compiled for another version of this interface */
} tfx_status;

/* Element types. bool is one byte, 0 is false and anything else true. f16, bf16 and the 8-bit floats are passed as
 * their bit patterns in uint16_t and uint8_t; f4 and f6 are packed without gaps, the first element in the lowest bits.
 */
typedef enum tfx_dtype {
    TFX_BOOL = 0,
    TFX_I8 = 1,
    TFX_U8 = 2,
    TFX_I16 = 3,
    TFX_U16 = 4,
    TFX_I32 = 5,
    TFX_U32 = 6,
    TFX_I64 = 7,
    TFX_U64 = 8,
    TFX_F16 = 9,
    TFX_BF16 = 10,
    TFX_F32 = 11,
    TFX_F64 = 12,
    TFX_F8E4M3 = 13,
    TFX_F8E5M2 = 14,
    TFX_F8E8M0 = 15,
    TFX_F4 = 16,
    TFX_F6E2M3 = 17,
    TFX_F6E3M2 = 18
} tfx_dtype;

#define TFX_MAX_RANK 8
#define TFX_MAX_WORKERS 1024
#define TFX_WORKSPACE_ALIGN 64 /* bytes; a caller's workspace starts at a multiple of it */
#define TFX_ALL_ENTRIES 0xffffffffu

/* A tensor in the caller's memory. The descriptor, its shape and its strides are only read, and only during the call.
 */
typedef struct tfx_tensor {
    /* Element [0, 0, ...], aligned to the element type. Never written through for an input. May be NULL when the tensor
     * has no elements. */
    void *data;
    const int64_t *shape; /* rank sizes; may be NULL when rank is 0 */
    /* rank strides in elements (as DLPack has them), or NULL: compact, row-major. The stride of an axis of size 1 means
     * nothing. Anything not compact needs a handle opened with TFX_STRIDED; then inputs may have any strides (negative,
     * zero), outputs any that keep their elements apart. */
    const int64_t *strides;
    int32_t dtype; /* a tfx_dtype */
    int32_t rank;  /* 0 to TFX_MAX_RANK */
} tfx_tensor;

/* ---- what a model looks like ----
 * Constant data of the artefact: valid while it stays loaded, never freed by the caller. */

/* A size that is only known at run time. */
typedef struct tfx_dim_info {
    const char *name; /* as in the source: "B" */
    int64_t min, max; /* inclusive */
    int64_t multiple; /* the value is a multiple of this; at least 1 */
} tfx_dim_info;

/* One axis of a tensor of the model. */
typedef struct tfx_axis_info {
    const char *text; /* the size as in the source: "64", "B", "S - 48" */
    int64_t size;     /* the size when it is constant, else -1 */
    int64_t min, max; /* bounds of the size (equal to it when constant) */
    int32_t dim;      /* index into tfx_info.dims when the size is one bare dim, else -1 */
    int32_t computed; /* else its number among the model's computed sizes (same number, same size), or -1 */
} tfx_axis_info;

typedef struct tfx_tensor_info {
    const char *name;
    const char *doc; /* from the source; NULL when there is none */
    int32_t dtype;   /* a tfx_dtype */
    int32_t rank;
    const tfx_axis_info *axes; /* rank of them */
} tfx_tensor_info;

/* One way to call the model. */
typedef struct tfx_entry_info {
    const char *name;
    const char *doc;
    const tfx_tensor_info *inputs;
    const tfx_tensor_info *outputs;
    const uint32_t *dims;  /* the dims that this entry depends on: indices into tfx_info.dims, ascending */
    const uint32_t *given; /* those that no input's shape shows, so that the caller gives them in tfx_args.dims */
    uint32_t n_inputs, n_outputs, n_dims, n_given;
} tfx_entry_info;

/* The code of a model for one kind of processor. All variants have the same entries and read the same weights. */
typedef struct tfx_variant_info {
    const char *name;     /* the processor or level, as the compiler was told: "x86-64-v3" */
    uint32_t vector_bits; /* of the widest vectors that its kernels use */
    uint32_t reserved;
} tfx_variant_info;

/* May grow at its end. */
typedef struct tfx_info {
    uint32_t size; /* sizeof(tfx_info) of the model */
    uint32_t n_entries, n_dims;
    uint32_t n_variants; /* at least 1 */
    const char *name;    /* the model's name */
    const char *doc;
    const char *source;   /* the .tfx file that it was compiled from, as named then; for messages only */
    const char *compiler; /* "tfxc 0.1.0" */
    const char *target;   /* triple and processor: "x86_64-unknown-linux-gnu znver4" */
    const tfx_entry_info *entries;
    const tfx_dim_info *dims;         /* all dims of the model; an array of dim values has this order and length */
    const tfx_variant_info *variants; /* the processors that it was compiled for, the preferred one first */
    uint64_t weight_bytes;            /* 0: the model has none */
    uint8_t weight_id[32];            /* identity of the weights' contents */
    uint32_t weights_external;        /* 1: open needs tfx_options.weights_path */
    uint32_t max_tensors;             /* the most inputs plus outputs that any entry has */
} tfx_info;

/* ---- opening ---- */

/* A piece of work: does tasks [begin, end). `worker` tells which of the max_workers memories it may use. */
typedef void tfx_task_fn(void *arg, int64_t begin, int64_t end, uint32_t worker);

/* A caller's way to work in parallel. Must call fn on ranges that together cover [0, n_tasks) exactly once, in any
 * order and on any threads, and return when all calls have returned. No two calls that overlap in time have the same
 * worker, and every worker is below tfx_options.max_workers. How the tasks are divided never changes a result. Work
 * that takes less than some 20 microseconds, or cannot be divided, is done without it. What it gets wrong (a worker too
 * high, tasks left out) makes the run return TFX_ERR_ARGUMENT. */
typedef void tfx_parallel_for_fn(void *ctx, int64_t n_tasks, tfx_task_fn *fn, void *arg);

/* Flag of tfx_options and of workspace_size: accept tensors that are not compact. They are copied: the workspace has
 * room for it, such inputs are read before any output is written, and such outputs are written last. Where two outputs
 * share elements the values there are unspecified. */
#define TFX_STRIDED 1u

/* Flag of tfx_options: each of the handle's own threads stays on one processor. Thread i, counted from 1, takes the
 * i-th of those that the thread that opens may use (in a circle, from 0); the calling thread moves as before.
 * workspace_size ignores it. Only on Linux; elsewhere open then fails. */
#define TFX_PINNED 2u

#define TFX_ALL_PROCESSORS 0xffffffffu /* as tfx_options.threads: as many as the thread that opens may use */

/* Start from TFX_OPTIONS_INIT and set what is needed. May grow at its end, where zero means what was before; a model
 * refuses what is set there that it does not know. Everything pointed to is borrowed: workspace and parallel_ctx
 * until close, the rest during open only. */
typedef struct tfx_options {
    uint32_t size;        /* sizeof(tfx_options) */
    uint32_t flags;       /* TFX_STRIDED, TFX_PINNED, both or 0 */
    uint32_t max_workers; /* of parallel_for; 0 means 1; at most TFX_MAX_WORKERS. Not looked at where threads > 1 */

    /* So many threads work on a run: the calling one and threads - 1 of the handle's own, which open starts and close
     * ends. 0 and 1: the calling thread alone. At most TFX_MAX_WORKERS; not together with parallel_for. The workspace
     * is that for max_workers = threads.
     *
     * The threads help where there is work enough to share: the steps of a run that take less than a few microseconds
     * stay on the calling thread, and a run of which that is true of all wakes nobody. Inside a run a thread that waits
     * spins for at most 50 microseconds (where there are processors for all), then sleeps; between runs all of them
     * sleep. They block all signals but faults of their own. After fork the child's handle works, on the calling thread
     * alone. */
    uint32_t threads;

    /* The program's own threads share the work of a run. NULL: they do not. */
    tfx_parallel_for_fn *parallel_for;
    void *parallel_ctx; /* passed to parallel_for */

    /* Memory for intermediate tensors, aligned to TFX_WORKSPACE_ALIGN, for this handle alone. Contents need no
     * initialisation and mean nothing between runs. Less than the most that any call can need is allowed: a run that
     * needs more returns TFX_ERR_WORKSPACE. NULL: open reserves the most, and pages become real when first touched. */
    void *workspace;
    uint64_t workspace_bytes;

    /* The weights file of a model with external weights; else NULL. */
    const char *weights_path;

    /* Receives the message when open fails: cut to fit, always ended by a zero byte. May be NULL. */
    char *message;
    size_t message_bytes;

    /* The name of the variant to run (tfx_info.variants). NULL: the best that this machine can run. */
    const char *variant;
} tfx_options;
#define TFX_OPTIONS_LEAST (offsetof(tfx_options, variant) + sizeof(const char *)) /* in all of TFX_ABI_VERSION */
#define TFX_OPTIONS_INIT {sizeof(tfx_options), 0, 1, 0, NULL, NULL, NULL, 0, NULL, NULL, 0, NULL}

/* ---- running ---- */

/* The arguments of a run. */
typedef struct tfx_args {
    const tfx_tensor *inputs;  /* in the order of tfx_entry_info.inputs */
    const tfx_tensor *outputs; /* memory for the results, in their order; shapes as tfx_dims and tfx_shape tell them */
    const int64_t *dims;       /* values of tfx_entry_info.given; may be NULL when there are none */
    uint32_t n_inputs, n_outputs, n_dims;
    uint32_t reserved; /* 0 */
} tfx_args;

/* One kernel launch of a plan, for the profile. Constant data of the artefact, the same address for every run. */
typedef struct tfx_kernel_info {
    const char *kernel;    /* the kernel's symbol: "digits_matmul_14x32_f32" */
    const char *path;      /* the block instance it computes, "encoder.layer.0.attention"; "" at the top */
    const char *file;      /* where the source says so */
    uint32_t line, column; /* 1-based; 0 when unknown */
} tfx_kernel_info;

/* Called on the thread of the run after each launch: how many tasks it had and how many nanoseconds it took. */
typedef void tfx_profile_fn(void *ctx, const tfx_kernel_info *kernel, int64_t tasks, int64_t ns);

/* ---- the functions of a model, as a table. PREFIX_open, PREFIX_run ... of model.h are these same functions. ---- */
/* May grow at its end. The two numbers stand first in every version: they can be read whatever the version is. */
typedef struct tfx_model tfx_model;
typedef struct tfx_api tfx_api;
struct tfx_api {
    uint32_t abi_version; /* TFX_ABI_VERSION of the model */
    uint32_t size;        /* sizeof(tfx_api) there */

    /* What the model looks like. Never fails. */
    const tfx_info *(*info)(void);

    /* A new handle in *out, or NULL there and a status (message in options->message). `options` may be NULL. */
    tfx_status (*open)(const tfx_options *options, tfx_model **out);

    /* Frees the handle and what open reserved; NULL is allowed. Not during a run. Use tfx_close, which also unloads a
     * loaded model. */
    void (*close)(tfx_model *m);

    /* Computes the outputs. All arguments are checked before anything is written; after TFX_ERR_VALUE the outputs hold
     * unspecified values. Same inputs, same artefact: the same bits, however many workers. */
    tfx_status (*run)(tfx_model *m, uint32_t entry, const tfx_args *args);

    /* The values of all dims (info()->n_dims of them, into `dims`) that follow from args->inputs (shapes only; data may
     * be NULL) and args->dims; dims that the entry does not depend on get the least value they allow. Checks as run
     * does; outputs are not looked at. */
    tfx_status (*dims)(tfx_model *m, uint32_t entry, const tfx_args *args, int64_t *dims);

    /* The shape of a tensor for dim values as `dims` gave them, into `shape` (its rank of sizes). `tensor` counts the
     * inputs, then the outputs. */
    tfx_status (*shape)(tfx_model *m, uint32_t entry, uint32_t tensor, const int64_t *dims, int64_t *shape);

    /* Bytes of workspace that a run of `entry` (TFX_ALL_ENTRIES: the most that any needs) takes with these dim values
     * (info()->n_dims of them), max_workers (or threads) and flags as at open; `dims` NULL: the most over all dims.
     * Enough for every variant. A multiple of 64. -1 when the entry does not exist or a dim is out of its bounds. Needs
     * no handle. */
    int64_t (*workspace_size)(uint32_t entry, const int64_t *dims, uint32_t max_workers, uint32_t flags);

    /* The message of the last call on m that failed; "" before the first. Owned by m, valid until its next call. */
    const char *(*error)(const tfx_model *m);

    /* From now on calls `fn` after each launch; NULL: stop. Timing costs two clock reads a launch. */
    void (*profile)(tfx_model *m, tfx_profile_fn *fn, void *ctx);

    /* The number in info()->variants of the variant that the handle runs. m NULL: of the one that open takes on this
     * machine when options name none; -1 when it would refuse. Its results are the same bits on every machine. */
    int32_t (*variant)(const tfx_model *m);
};

/* The visible head of a handle; the rest is private. Only read it. */
struct tfx_model {
    const tfx_api *api;
    void *library; /* of a loaded model; else NULL */
    void (*unload)(void *library);
};

/* A loadable model exports this one name beside its own prefix, a function that returns its table; the name is the same
 * in every version. Who does without the loader library looks at abi_version and size of the table, then at size of
 * the info, before anything else. */
#define TFX_MODEL_SYMBOL "tfx_model_v1"
typedef const tfx_api *tfx_model_v1_fn(void);

static inline const tfx_info *tfx_get_info(const tfx_model *m)
{
    return m->api->info();
}
static inline tfx_status tfx_run(tfx_model *m, uint32_t entry, const tfx_args *args)
{
    return m->api->run(m, entry, args);
}
static inline tfx_status tfx_dims(tfx_model *m, uint32_t entry, const tfx_args *args, int64_t *dims)
{
    return m->api->dims(m, entry, args, dims);
}
static inline tfx_status tfx_shape(tfx_model *m, uint32_t entry, uint32_t tensor, const int64_t *dims, int64_t *shape)
{
    return m->api->shape(m, entry, tensor, dims, shape);
}
static inline const char *tfx_error(const tfx_model *m)
{
    return m->api->error(m);
}
static inline void tfx_profile(tfx_model *m, tfx_profile_fn *fn, void *ctx)
{
    m->api->profile(m, fn, ctx);
}

/* Closes any handle, linked or loaded; NULL is allowed. The info of a loaded model is gone afterwards. */
static inline void tfx_close(tfx_model *m)
{
    if (m) {
        void *library = m->library;
        void (*unload)(void *) = m->unload;
        m->api->close(m);
        if (unload) unload(library);
    }
}

/* ---- conveniences ---- */

/* The descriptor of a compact tensor. */
static inline tfx_tensor tfx_compact(const void *data, int32_t element_type, int32_t rank, const int64_t *shape)
{
    tfx_tensor t;
    t.data = (void *)data;
    t.shape = shape;
    t.strides = NULL;
    t.dtype = element_type;
    t.rank = rank;
    return t;
}

/* Arithmetic of sizes as the language defines it: floordiv rounds to minus infinity, mod has the sign of b. b != 0. */
static inline int64_t tfx_floordiv(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a % b < 0) != (b < 0));
}
static inline int64_t tfx_mod(int64_t a, int64_t b)
{
    return a - b * tfx_floordiv(a, b);
}
static inline int64_t tfx_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static inline int64_t tfx_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- the loader library (libtfx.a; needs dlopen). Not part of a model. ---- */

/* Loads the model at `path` (as dlopen finds it; a name without '/' is looked for in the current directory first) and
 * opens a handle. On failure *out is NULL and options->message, when given, has the text. */
tfx_status tfx_open(const char *path, const tfx_options *options, tfx_model **out);

/* Loads the model without opening a handle: api->info and api->workspace_size need none, and answer where open would
 * not, without the weights and on any processor. Of the options only message is used. tfx_unload(*library) ends it;
 * handles that api->open gave are closed before. */
tfx_status tfx_load(const char *path, const tfx_options *options, const tfx_api **api, void **library);
void tfx_unload(void *library);

/* "TFX_ERR_SHAPE", "f32"; "?" for a number that is none. Static text. */
const char *tfx_status_name(int32_t status);
const char *tfx_dtype_name(int32_t dtype);

#ifdef __cplusplus
}
#endif
#endif
