/* What the parts of the runtime share. Nothing here is visible outside an artefact. */
#ifndef RUNTIME_RT_INTERNAL_H
#define RUNTIME_RT_INTERNAL_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <time.h>

#include "runtime/rt_abi.h"

/* Nanoseconds of a clock that only goes forward. */
static inline int64_t rt_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- messages (rt_text.c) ---- */

/* Text in a fixed buffer: what does not fit is cut off. Always zero-terminated when cap is not 0. */
struct rt_text {
    char *s;
    size_t cap, len;
};
void rt_text_start(struct rt_text *t, char *s, size_t cap);
void rt_text_add(struct rt_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rt_text_sizes(struct rt_text *t, uint32_t n, const int64_t *sizes); /* "[2, 3]" */
void rt_text_spec(struct rt_text *t, const tfx_tensor_info *info);       /* "[B, 3]", as the source says it */
const char *rt_dtype_name(int32_t dtype);                                /* "f32"; "?" when it is none */

/* ---- the handle ---- */

#define RT_MESSAGE_BYTES 768
#define RT_FLAGS (TFX_STRIDED | TFX_PINNED) /* all there are */

struct rt_handle {
    tfx_model head; /* first: a tfx_model * points to it */
    const struct rt_model *model;
    uint32_t variant;               /* of the model: the one that runs */
    const struct rt_entry *entries; /* its */
    _Atomic uint32_t busy;
    uint32_t flags, max_workers;
    tfx_parallel_for_fn *parallel_for;
    void *parallel_ctx;
    struct rt_pool *pool; /* NULL: no threads of its own */
    int64_t grain;        /* work that is worth handing out */
    uint8_t *workspace;
    uint64_t workspace_bytes;
    bool workspace_reserved; /* by open, to be given back */
    const uint8_t *weights;
    void *weights_map; /* of an external file; else NULL */
    uint64_t weights_map_bytes;
    tfx_profile_fn *profile;
    void *profile_ctx;
    uint64_t bytes;          /* of this handle's memory, arrays included */
    int64_t *dims;           /* info.n_dims: those of the current run */
    void **data;             /* info.max_tensors: inputs' then outputs' data for the plan */
    struct rt_fault *faults; /* max_workers */
    char message[RT_MESSAGE_BYTES];
};

static inline struct rt_handle *rt_handle_of(tfx_model *m)
{
    return (struct rt_handle *)(void *)m;
}

/* Starts the handle's message anew. Usage: return rt_fail(h, TFX_ERR_RANK, "input '%s': ...", name); */
tfx_status rt_fail(struct rt_handle *h, tfx_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- sizes (rt_expr.c) ---- */

#define RT_ALIGN TFX_WORKSPACE_ALIGN

/* The value of e for these dims. False when it overflows, divides by zero or is malformed. */
bool rt_expr_eval(const struct rt_expr *e, const int64_t *dims, int64_t *out);
/* The size of an axis for these dims, not negative. */
bool rt_axis_size(const struct rt_model *m, const tfx_axis_info *axis, const int64_t *dims, int64_t *out);
/* All sizes of a tensor. */
bool rt_tensor_shape(const struct rt_model *m, const tfx_tensor_info *info, const int64_t *dims, int64_t *shape);
/* v lies within the bounds of dim d and is one of its multiples. */
bool rt_dim_allowed(const tfx_dim_info *d, int64_t v);
int64_t rt_dim_least(const tfx_dim_info *d); /* the least allowed value */

/* ---- arguments (rt_dims.c) ---- */

/* Finds the values of all dims from inputs and given dims, and checks everything about the inputs but their data:
 * numbers of arguments, dtypes, ranks, sizes, bounds, the model's conditions. */
tfx_status rt_find_dims(struct rt_handle *h, uint32_t entry, const tfx_args *args, int64_t *dims);
/* v is allowed for dim d; if not, the message begins with `where`: "input 'ids', axis 0: " or "". */
tfx_status rt_check_dim(struct rt_handle *h, const tfx_dim_info *d, int64_t v, const char *where);

/* ---- tensors in memory (rt_layout.c) ---- */

/* One argument of a run, after its shape was found right. */
struct rt_view {
    uint8_t *data;
    const int64_t *strides; /* NULL: compact */
    int64_t shape[TFX_MAX_RANK];
    uint32_t rank;
    uint32_t bits;    /* of an element */
    uint64_t bytes;   /* when compact */
    uintptr_t lo, hi; /* the bytes [lo, hi) hold all of it; equal when it has no elements */
};

uint32_t rt_dtype_bits(int32_t dtype); /* 0 when it is none */
/* Bytes of a compact tensor of these sizes; false when they do not fit in 63 bits. */
bool rt_compact_bytes(int32_t dtype, uint32_t rank, const int64_t *shape, uint64_t *bytes);
/* Checks data pointer, alignment and strides of `t`, whose dtype, rank and shape are already known to fit `info`.
 * `what`: "input" or "output". */
tfx_status rt_view_make(struct rt_handle *h, const char *what, const tfx_tensor_info *info, const tfx_tensor *t,
                        bool written, struct rt_view *v);
void rt_view_gather(const struct rt_view *v, uint8_t *compact);        /* compact := v */
void rt_view_scatter(const struct rt_view *v, const uint8_t *compact); /* v := compact */

/* ---- memory (rt_memory.c) ---- */

/* How the workspace is divided. Offsets from its base; all multiples of RT_ALIGN. */
struct rt_division {
    uint64_t scratch;        /* offset of worker 0's scratch; buffers stand before it */
    uint64_t scratch_stride; /* bytes of one worker's */
    uint64_t copies;         /* offset of the compact copies (TFX_STRIDED) */
    uint64_t total;
};
/* For a variant's entries, and dims within their bounds, or dims NULL: the bound. False when it does not fit in 63
 * bits. */
bool rt_divide(const struct rt_model *m, const struct rt_entry *entries, uint32_t entry, const int64_t *dims,
               uint32_t workers, uint32_t flags, struct rt_division *out);
uint64_t rt_round_up(uint64_t n); /* to RT_ALIGN; n <= INT64_MAX */
/* Zeroed pages that become real when touched; NULL when the system refuses. */
void *rt_pages_reserve(uint64_t bytes);
void rt_pages_release(void *p, uint64_t bytes);

/* ---- weights (rt_weights.c) ---- */

/* Finds the weights: embedded ones, or the file at `path`, mapped read-only into h. */
tfx_status rt_weights_find(struct rt_handle *h, const char *path);
void rt_weights_release(struct rt_handle *h);

/* ---- processor (rt_cpu.c) ---- */

struct rt_cpu {
    uint64_t features;  /* bits of rt_cpu.def */
    uint32_t best_bits; /* of the vectors that are fastest, where these are not the widest (rt_narrow.def); else 0 */
};
/* Where the facts of an x86 processor come from. */
struct rt_cpuid {
    /* eax, ebx, ecx, edx of the leaf; false: there is none */
    bool (*leaf)(const void *arg, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);
    uint64_t (*saved)(const void *arg); /* XCR0: the register state that the operating system saves */
    const void *arg;
};
struct rt_cpu rt_cpu_x86(const struct rt_cpuid *q);
struct rt_cpu rt_cpu_arm(uint64_t hwcap, uint64_t hwcap2); /* words of the auxiliary vector */
struct rt_cpu rt_cpu_riscv(uint64_t hwcap);
struct rt_cpu rt_cpu_here(void);       /* this machine's */
const char *rt_cpu_name(uint32_t bit); /* LLVM's name of a feature of the architecture that this was compiled for */

/* The number of the variant to run: the one of that name, or (NULL) the first that the processor can run, and among
 * those one with its best vectors where it has an opinion. When there is none: a status and the reason. */
tfx_status rt_choose(const struct rt_model *m, const struct rt_cpu *cpu, const char *name, struct rt_text *why,
                     uint32_t *out);

/* ---- sleeping (rt_park.c) ---- */

/* RT_PORTABLE: without what only Linux has, for tests. */
#if defined(__linux__) && !defined(RT_PORTABLE)
#define RT_FUTEX
#endif
struct rt_parking {
#ifdef RT_FUTEX
    char none;
#else
    pthread_mutex_t lock;
    pthread_cond_t changed;
#endif
};
bool rt_parking_init(struct rt_parking *p);
void rt_parking_free(struct rt_parking *p);
/* Sleeps while *word is `value`; may return early. At most one thread sleeps on a word. */
void rt_park(struct rt_parking *p, _Atomic uint32_t *word, uint32_t value);
/* Wakes who sleeps on the word, which has been changed. */
void rt_unpark(struct rt_parking *p, _Atomic uint32_t *word);

/* ---- threads (rt_pool.c) ---- */

/* Starts workers - 1 threads for h->pool. On failure part of them may be there: close. */
tfx_status rt_pool_open(struct rt_handle *h, uint32_t workers, bool pinned);
void rt_pool_close(struct rt_pool *p); /* NULL is allowed */
/* A run begins and ends, on the thread that calls rt_pool_run. */
void rt_pool_begin(struct rt_pool *p);
void rt_pool_end(struct rt_pool *p);
/* fn on all of 0 .. units; returns when all of it is done. `work` as in rt_work_fn, of all units. */
void rt_pool_run(struct rt_pool *p, uint32_t units, int64_t work, tfx_task_fn *fn, void *arg);
uint32_t rt_pool_processors(void); /* that the calling thread may use */

/* ---- launches (rt_launch.c) ---- */

/* Work that is worth handing out: to a thread of the pool, and through a caller's parallel_for. About 2 and 10
 * microseconds: several times what handing out takes. */
#define RT_POOL_GRAIN 16000
#define RT_PARALLEL_FOR_GRAIN 80000

int32_t rt_launch(struct rt_call *call, struct rt_work *works, int64_t n);

/* ---- the functions of tfx_api, for any model (rt_open.c, rt_run.c) ---- */
tfx_status rt_open(const struct rt_model *m, const tfx_api *api, const tfx_options *options, tfx_model **out);
void rt_close(tfx_model *m);
tfx_status rt_run(const struct rt_model *model, tfx_model *m, uint32_t entry, const tfx_args *args);
tfx_status rt_dims(const struct rt_model *model, tfx_model *m, uint32_t entry, const tfx_args *args, int64_t *dims);
tfx_status rt_shape(const struct rt_model *model, tfx_model *m, uint32_t entry, uint32_t tensor, const int64_t *dims,
                    int64_t *shape);
int64_t rt_workspace_size(const struct rt_model *m, uint32_t entry, const int64_t *dims, uint32_t max_workers,
                          uint32_t flags);
int32_t rt_variant_of(const struct rt_model *model, const tfx_model *m);
const char *rt_error(const tfx_model *m);
void rt_profile(tfx_model *m, tfx_profile_fn *fn, void *ctx);

#endif
