/* The contract between generated code and the runtime that is linked into every artefact.
 *
 * A compiled model is: one constant `struct rt_model rt_the_model` (the tables below, emitted as LLVM constants in
 * exactly this field order), for each variant one plan function per entry and the kernels, the weights, and the
 * runtime's bitcode. The runtime refers to rt_the_model by name; generated code refers to nothing of the runtime by
 * name: what it calls comes through struct rt_call. All of it is made local except the functions of rt_exports.def.
 *
 *   caller ─PREFIX_run─▶ rt_run: checks, finds dims ─▶ plan(call) ─call->launch─▶ rt_launch ─▶ kernels
 *
 * No table entry is ever written. Text is NUL-terminated. Struct fields that are counts go with the pointer of the same
 * name; the pointer may be null when the count is 0.
 *
 * Kernels and plans are plain C-ABI functions of the target. Runtime functions keep the attributes they were compiled
 * with (baseline processor of the triple): giving them the model's target-cpu would let the processor check itself use
 * what it checks for. */
#ifndef RUNTIME_RT_ABI_H
#define RUNTIME_RT_ABI_H

#include "runtime/tfx.h"

#define RT_ABI_VERSION 2u

struct rt_call;
struct rt_launch;

/* ---- kernels ---- */

/* Where a kernel reports an element that is out of range. One per worker; before a launch the runtime sets `index` and
 * `arg` to INT64_MAX. A kernel that meets element number i (row-major number in the tensor behind buffer argument a)
 * with a value outside [0, bound) sets index, arg, value and bound if
 *
 *     i < fault->index || (i == fault->index && a < fault->arg)
 *
 * and goes on as if the value were 0, so that it stays in bounds. The lowest (index, arg) over all workers is the one
 * reported: the same for every division of the tasks. */
struct rt_fault {
    int64_t index;
    int64_t arg;    /* which element of the kernel's `bufs` */
    int64_t value;  /* what was found, sign-extended (u64: the same bits) */
    int64_t bound;  /* allowed is 0 .. bound - 1 */
    int64_t pad[4]; /* a worker's cache line of its own */
};

/* A kernel does tasks [begin, end) of its outermost parallel loop, 0 <= begin <= end <= tasks of the launch.
 *
 * - bufs: base addresses in the order in which the kernel declares its buffers: inputs, outputs, workspace or weights
 *   alike. A caller's tensors are aligned to their element type only; workspace buffers and weights as the compiler
 *   laid them out from bases that are aligned to 64.
 * - dims: the extents that the kernel declares, as the plan computed them; NOT the model's dims table.
 * - scratch: this worker's memory, aligned to 64, at least rt_entry.scratch_bytes(dims) long and with unspecified
 *   contents; NULL when that is 0.
 * - fault: this worker's report; never NULL.
 *
 * A kernel must give the same bits for every division of [0, tasks) into ranges. It may write only its own tasks'
 * elements of its output buffers, and its scratch. */
typedef void rt_kernel_fn(void *const *bufs, const int64_t *dims, void *scratch, struct rt_fault *fault, int64_t begin,
                          int64_t end);

/* Says what a checked buffer argument of a launch is, for the message. */
struct rt_fault_source {
    int64_t arg;      /* rt_fault.arg */
    int64_t input;    /* the entry's input that it is (elements numbered as there), or -1: an intermediate tensor */
    const char *name; /* of the intermediate tensor; NULL for an input, and where it has none */
};

/* About how many instructions all tasks of a kernel take together, for its extents `dims`: what decides whether threads
 * share them. An estimate, right to a small factor. */
typedef int64_t rt_work_fn(const int64_t *dims);

/* One place of a plan that launches a kernel. Several launches may share a kernel. */
struct rt_launch {
    tfx_kernel_info info; /* name, path, source position: what the profile shows */
    rt_kernel_fn *kernel;
    rt_work_fn *work;                     /* NULL: not known, every task is worth a thread */
    const struct rt_fault_source *faults; /* one row for each argument that the kernel checks */
    uint64_t n_faults;
};

/* ---- plans ---- */

/* A launch about to run. */
struct rt_work {
    const struct rt_launch *launch; /* an element of rt_entry.launches */
    void *const *bufs;
    const int64_t *dims;
    int64_t tasks; /* 0 or more */
    /* For the runtime. */
    int64_t unit; /* tasks that one thread does together */
    int64_t end;  /* units of this and of the works before it */
};

/* Runs one entry once. In `call` a plan changes nothing but dims that it counts. Returns 0, or at once what `launch`
 * returned when that is not 0. A plan uses memory of its stack only for the small arrays it passes to launch. */
typedef int32_t rt_plan_fn(struct rt_call *call);

#define RT_REGION_WORKS 16

/* What a plan gets. The plan may use the first part only. */
struct rt_call {
    /* Runs n kernels, 1 to RT_REGION_WORKS, on all their tasks, in any order and at the same time: none of them writes
     * what another one reads or writes, and at most one has faults to report. Returns when all is done: 0 or a
     * status. `works` and what it points to need to live during the call only. */
    int32_t (*launch)(struct rt_call *call, struct rt_work *works, int64_t n);
    int64_t *dims; /* the model's dims table: rt_model.info.n_dims values, all within their bounds; what the plan counts
                    * is kept here */
    void *const *inputs;  /* compact row-major data of the entry's inputs; may be null for a tensor without elements */
    void *const *outputs; /* the same of its outputs */
    uint8_t *workspace;   /* rt_entry.buffer_bytes(dims) bytes, aligned to 64 */
    const uint8_t *weights; /* rt_model.weights.bytes, rounded up to 64, readable; aligned to 64; NULL: none */
    /* Private to the runtime. */
    uint8_t *scratch;
    int64_t scratch_stride;
    tfx_model *model;
    uint32_t entry;
    uint32_t reserved;
};

/* ---- tables ---- */

/* Sizes that are neither constant nor one bare dim: expressions over the dims table, in postfix form. `ops` leaves
 * exactly one value on a stack of at most RT_EXPR_DEPTH. floordiv rounds to minus infinity, mod has the sign of the
 * divisor. An expression that overflows 64 bits or divides by zero for some dims within their bounds is the compiler's
 * mistake; the runtime then refuses the call with TFX_ERR_BOUND. */
enum {
    RT_EXPR_CONST, /* push value */
    RT_EXPR_DIM,   /* push dims[value] */
    RT_EXPR_ADD,   /* from here on: pop right, pop left, push the result */
    RT_EXPR_SUB,
    RT_EXPR_MUL,
    RT_EXPR_FLOORDIV,
    RT_EXPR_MOD,
    RT_EXPR_MIN,
    RT_EXPR_MAX
};
#define RT_EXPR_DEPTH 32
struct rt_expr_op {
    int64_t op;
    int64_t value;
};
struct rt_expr {
    const struct rt_expr_op *ops;
    uint64_t n_ops;
};

/* A condition between dims that could not be proved at compile time, tested before every run. */
enum { RT_CHECK_EQ, RT_CHECK_LE, RT_CHECK_MULTIPLE /* lhs is a multiple of rhs */ };
struct rt_check {
    struct rt_expr lhs, rhs;
    int64_t op;
    const char *text;  /* "P + S <= 4096" */
    const char *place; /* "llama.tfx:31:3" */
};

struct rt_entry {
    rt_plan_fn *plan;
    /* Bytes of all workspace buffers together, and of one worker's scratch, as functions of the dims table (values
     * within their bounds); and the most over all dims. The runtime rounds both up to 64 and places first the buffers,
     * then one scratch per worker. */
    int64_t (*buffer_bytes)(const int64_t *dims);
    int64_t (*scratch_bytes)(const int64_t *dims);
    int64_t buffer_bound, scratch_bound;
    const struct rt_check *checks;
    const struct rt_launch *launches; /* all launches of the plan */
    uint32_t n_checks, n_launches;
};

struct rt_weights {
    const uint8_t *data; /* the hidden symbol of the embedded weights, as a 64-bit pointer; NULL: none, or external */
    uint64_t bytes;      /* also when external */
};

/* The model's code for one kind of processor. All variants read the same weights. */
struct rt_variant {
    const struct rt_entry *entries; /* info.entries[i] describes entries[i] */
    uint64_t required;              /* bits of rt_cpu.def, of the target's architecture */
};

struct rt_model {
    uint32_t abi_version; /* RT_ABI_VERSION */
    uint32_t n_computed;
    tfx_info info; /* what callers see */
    const struct rt_variant
        *variants; /* info.n_variants of them, the best first; info.variants[i] describes variants[i] */
    const struct rt_expr *computed; /* tfx_axis_info.computed indexes it */
    struct rt_weights weights;
};

/* The model of this artefact. Hidden. */
extern const struct rt_model rt_the_model;

/* A weights file of a model with external weights: this header, zero bytes up to `offset`, then the weights.
 * Little-endian. */
#define RT_WEIGHTS_MAGIC "tfxw\r\n\x1a\n"
struct rt_weights_header {
    char magic[8];
    uint32_t version;      /* 1 */
    uint32_t header_bytes; /* sizeof(struct rt_weights_header) */
    uint64_t offset;       /* of the weights in the file, a multiple of 4096 */
    uint64_t bytes;        /* of the weights; the file ends after them */
    uint8_t id[32];        /* tfx_info.weight_id of the models that it fits */
};

enum {
#define RT_CPU_X86(NAME, bit, llvm, leaf, subleaf, reg, regbit, state) RT_X86_##NAME = bit,
#define RT_CPU_ARM(NAME, bit, llvm, word, wordbit) RT_ARM_##NAME = bit,
#define RT_CPU_RISCV(NAME, bit, llvm, hwcap) RT_RISCV_##NAME = bit,
#include "runtime/rt_cpu.def"
};

/* The layout that emitters rely on, on 64-bit targets. */
#if UINTPTR_MAX > 0xffffffffu && !defined(__cplusplus)
_Static_assert(sizeof(tfx_dim_info) == 32, "");
_Static_assert(sizeof(tfx_axis_info) == 40, "");
_Static_assert(sizeof(tfx_tensor_info) == 32, "");
_Static_assert(sizeof(tfx_entry_info) == 64, "");
_Static_assert(sizeof(tfx_info) == 128, "");
_Static_assert(sizeof(tfx_kernel_info) == 32, "");
_Static_assert(sizeof(struct rt_fault) == 64, "");
_Static_assert(sizeof(struct rt_launch) == 64, "");
_Static_assert(sizeof(struct rt_work) == 48, "");
_Static_assert(offsetof(struct rt_call, weights) == 40, "");
_Static_assert(sizeof(struct rt_entry) == 64, "");
_Static_assert(sizeof(struct rt_check) == 56, "");
_Static_assert(sizeof(struct rt_variant) == 16, "");
_Static_assert(sizeof(struct rt_model) == 168, "");
_Static_assert(sizeof(struct rt_weights_header) == 64, "");
#endif

#endif
