/* The kernel IR: kernels in which the schedule is visible, and plans that launch them.
 *
 * A kernel is structured SSA over scalars, register tiles and buffers. A tile (`f32<14x32>`) is one value; its layout
 * says how it lies in registers (layouts.def), so the ops are few and the same on every target, and each has one
 * emitter function per target. Loops say what they are mapped to. Text form:
 *
 *   kernel @matmul cpu (M in 1..4096, K in 1..4096, N in 1..4096)
 *       (%a: f32 global[M, K] in, %b: f32 global[ceildiv(N, 32), K, 32] in, %c: f32 global[M, N] out) {
 *     %np = dim ceildiv(N, 32) : i64
 *     for %p = 0 to %np step 1 parallel {
 *       ...
 *       %acc = for %k = 0 to %kk step 1 unroll 4 carry (%s = %zero) {
 *         %bv = load %b[%p, %k, 0] : f32<1x32>
 *         %av = load %a[%i, %k] : f32<14x1>
 *         prefetch %b[%p, %k + 64, 0] {level = 1}
 *         %t = contract %s, %av, %bv : f32<14x32>
 *         yield %t
 *       } : f32<14x32>
 *       %left = ...
 *       store %c[%i, %j], %acc bound [_, %left]
 *     }
 *   }
 *
 * A CPU kernel has exactly one `parallel` loop, at the top level, from 0 by 1: its trip count is the number of tasks;
 * before it only pure ops stand. A GPU kernel has one to three nested `block` loops at the top, shared allocations
 * inside them, then one `warp` or `warpgroup` loop that holds everything else. */
#ifndef IR_KIR_KIR_H
#define IR_KIR_KIR_H

#include "ir/constant.h"

#define KMAX_RANK 6      /* of buffers */
#define KMAX_TILE_RANK 2 /* of tiles; rank 0 is a scalar */
#define KMAX_UNROLL 64
#define KMAX_NESTING 64    /* of blocks */
#define KMAX_RESULTS 64    /* of an op: carried values of a loop */
#define KSTACK_BYTES 65536 /* of all stack buffers of a kernel together */

typedef enum {
#define LAYOUT(name, NAME, agent, text) KL_##NAME,
#include "ir/kir/layouts.def"
#undef LAYOUT
    KL_COUNT
} klayout;
typedef enum { KAGENT_THREAD, KAGENT_WARP, KAGENT_WARPGROUP } kagent;

enum { K_PURE = 1, K_MEM = 2, K_BLOCKS = 4, K_PLAN = 8, K_KERNEL = 16, K_GPU = 32, K_ELEMENTWISE = 64 };
typedef enum {
#define KOP(name, NAME, props, attrs, text) KOP_##NAME,
#include "ir/kir/kops.def"
#undef KOP
#define SCALAR(name, NAME, arity, operands, result, f, i, math) KOP_##NAME,
#include "ir/kir/kscalar.def"
#undef SCALAR
    KOP_COUNT
} kop_kind;

typedef enum { KTARGET_CPU, KTARGET_PTX, KTARGET_PLAN } ktarget;
typedef enum { KSPACE_GLOBAL, KSPACE_STACK, KSPACE_SCRATCH, KSPACE_SHARED, KSPACE_WORKSPACE } kspace;
typedef enum { KQUEUE_COPY, KQUEUE_MMA } kqueue;
typedef enum { KMAP_SERIAL, KMAP_PARALLEL, KMAP_BLOCK, KMAP_WARP, KMAP_WARPGROUP } kmap;
typedef enum { KREDUCE_ADD, KREDUCE_MAX, KREDUCE_MIN } kreduce;
typedef enum { KACCESS_IN, KACCESS_OUT, KACCESS_INOUT } kaccess_mode; /* out: what it holds before is never read */

/* ---- types ---- */
typedef struct {
    dtype dt;
    uint8_t rank;                  /* 0 scalar, 1, 2 */
    klayout layout;                /* KL_VEC for scalars */
    int32_t shape[KMAX_TILE_RANK]; /* every size >= 1 */
} ktile;

/* XOR swizzle of byte offsets from the buffer's first byte: bits [base, base + bits) ^= bits [base + shift, base +
 * shift + bits). bits 0: none. (3, 4, 3) is the 128-byte swizzle of TMA and wgmma. The hardware swizzles addresses, so
 * a swizzled buffer is aligned to its period of 2^(base + shift + bits) bytes (views too): then both are the same.
 * Shared space only. */
typedef struct {
    uint8_t bits, base, shift;
} kswizzle;

typedef struct {
    dtype dt;
    kspace space;
    uint8_t rank;
    kswizzle swizzle;
    bool dense; /* row-major; else strides[] hold element strides */
    dim shape[KMAX_RANK];
    dim strides[KMAX_RANK];
    uint32_t align; /* guaranteed alignment of element 0 in bytes; 0: that of the element */
} kbuffer;

typedef enum { KV_TILE, KV_BUFFER } kvalue_kind;
typedef struct kop kop;
typedef struct kblock kblock;
typedef struct kfunction kfunction;

typedef struct kvalue {
    uint32_t id; /* dense in the function */
    kvalue_kind kind;
    const char *name; /* NULL: printed as %id */
    union {
        ktile tile;
        kbuffer buf;
    } ty;
    kop *def;       /* NULL: a block argument or a function parameter */
    kblock *arg_of; /* block argument of */
} kvalue;

/* An integer that ops take in place: value + offset, either part may be absent (v NULL: the constant `off`). */
typedef struct {
    kvalue *v; /* scalar i64 */
    int64_t off;
} kidx;

/* The rectangle of a buffer that a tile is loaded from or stored to. Tile axis t runs along buffer axis axes[t]; by
 * default the tile's axes are the last axes of the buffer in order, and a leading tile axis that the buffer lacks is
 * KAXIS_NONE. */
#define KAXIS_NONE 255    /* no buffer axis: the tile's size there is 1 (a row or column vector in a rank-1 buffer) */
#define KAXIS_DEFAULT 254 /* to builders only: the default; never in an op */
typedef struct {
    kvalue *buf;
    uint8_t n_idx;
    kidx idx[KMAX_RANK];
    uint8_t axes[KMAX_TILE_RANK];
    bool bounded[KMAX_TILE_RANK];
    kidx bound[KMAX_TILE_RANK]; /* valid where bounded */
} kmem;

typedef struct {
    double real;
    int64_t i, axis, level, keep, step, unroll, arg;
    dim d, most, offset;
    kreduce reduce;
    kqueue queue;
    kmap map;
    struct {
        uint16_t n;
        const int64_t *v;
    } cases;
    const char *callee;
    const char *path; /* launch: the block instance it computes, for profiles; NULL: none */
} kattrs;

struct kop {
    kop_kind op;
    uint32_t id;
    uint32_t n_operands, n_results, n_blocks;
    uint8_t n_mem;     /* load store prefetch view: mem[0]; copy: mem[0] destination, mem[1] source */
    kvalue **operands; /* tiles and scalars by value; launch: buffer arguments; for, while: carried initial values */
    kvalue **results;
    kmem mem[2];
    kidx lo, hi;      /* for */
    ktile shape;      /* copy: the rectangle */
    dim *launch_dims; /* launch: in the order of the callee's symbols, over the plan's dims */
    uint32_t n_launch_dims;
    kblock **blocks; /* if: then, else (always both; may be empty); switch: one a case, then the default */
    kattrs at;
    span source;
    kblock *parent;
    kop *prev, *next;
};

struct kblock {
    kvalue **args; /* for: induction variable, then carried values; while: carried */
    uint32_t n_args;
    kop *first, *last; /* the last is a yield where values leave; else absent */
    kop *parent;       /* NULL: the function's body */
    kfunction *fn;
};

typedef enum {
    KPARAM_BUFFER,
    KPARAM_INPUT,
    KPARAM_OUTPUT,
    KPARAM_WEIGHT
} kparam_role; /* kernels: BUFFER; plans: the others */
typedef struct {
    kvalue *v;
    kparam_role role;
    kaccess_mode mode;
    const cexpr *weight; /* KPARAM_WEIGHT: what is stored in the artefact */
    const char *tensor;  /* INPUT, OUTPUT: the public name; WEIGHT: path(s), for reports */
} kparam;

struct kfunction {
    const char *name;
    ktarget target;
    dim_ctx *dims; /* the symbols are its dim parameters in order; functions may share one */
    VEC(kparam) params;
    uint32_t warps; /* GPU: warps per block, a multiple of 4 when agents are warpgroups; 0 on a CPU */
    kblock *body;
    VEC(span) sources; /* model positions, main one first: debug info and profiles */
    const char *block; /* for reports: "bert.layer/linear+gelu", may be NULL */
    uint32_t n_values, n_ops;
    struct kmodule *m;
};

/* The first `n` functions by their names. */
typedef struct {
    ptrmap *by_name;
    uint32_t n;
} kmodule_index;

typedef struct kmodule {
    arena *a;
    interner *names;
    source_set *sources; /* may be NULL */
    const char *name;
    VEC(kfunction *) functions; /* kernels before the plans that launch them */
    kmodule_index *index;       /* of kmodule_find */
} kmodule;

/* ---- tables ---- */
typedef enum {
#define KATTR(name, NAME, field, KIND) KATTR_##NAME,
#include "ir/kir/kattrs.def"
#undef KATTR
    KATTR_COUNT
} kattr_name;
typedef struct {
    const char *name;
    uint8_t props;
    uint8_t n_attrs;
    kattr_name attrs[3];
    const char *text;
} kop_info;
const kop_info *kop_row(kop_kind op);
bool kop_find(const char *name, size_t n, kop_kind *out);
const char *kattr_text(kattr_name a);
kagent klayout_agent(klayout l);
const char *klayout_name(klayout l);
const char *kspace_name(kspace s);
const char *kmap_name(kmap m);
void kops_print_reference(strbuf *out); /* the tables as a page of docs/ */

/* ---- construction ---- */
kmodule *kmodule_new(arena *a, interner *names, source_set *sources, const char *name);
kfunction *kfunction_new(kmodule *m, const char *name, ktarget target);
kfunction *kmodule_find(const kmodule *m, const char *name); /* NULL when there is none */
void kmodule_take(kmodule *m, kfunction *f);                 /* f of another module moves to the end of m */
kvalue *kparam_add(kfunction *f, const char *name, kbuffer ty, kparam_role role, kaccess_mode mode);

ktile ktile_scalar(dtype dt);
ktile ktile_make(dtype dt, int32_t rows, int32_t cols, klayout l); /* rank 2 */
ktile ktile_vector(dtype dt, int32_t n, klayout l);                /* rank 1 */
kbuffer kbuffer_dense(dtype dt, kspace s, uint32_t rank, const dim *shape);
bool ktile_equal(ktile a, ktile b);
static inline int64_t ktile_elements(ktile t)
{
    int64_t n = 1;
    for (int i = 0; i < t.rank; i++) n *= t.shape[i];
    return n;
}
/* Bytes from the first element to behind the last; DIM_BAD when that overflows. */
dim kbuffer_bytes(dim_ctx *c, const kbuffer *b);
/* Element stride of an axis, of dense buffers too. */
dim kbuffer_stride(dim_ctx *c, const kbuffer *b, uint32_t axis);
/* Expression d of one function's dims over another's: symbol i becomes with[i], an expression of `to`. */
dim kdim_translate(const dim_ctx *from, dim d, dim_ctx *to, const dim *with);

typedef struct {
    kfunction *f;
    kblock *block; /* ops are appended here; kb_for, kb_if and their like move it */
    span at;
    kop *before; /* not NULL: ops go before this one (of `block`) instead */
} kbuilder;

static inline kidx kidx_const(int64_t v)
{
    return (kidx){NULL, v};
}
static inline kidx kidx_value(kvalue *v)
{
    return (kidx){v, 0};
}
static inline kidx kidx_plus(kvalue *v, int64_t off)
{
    return (kidx){v, off};
}

kvalue *kb_dim(kbuilder *b, dim d);                /* i64 */
kvalue *kb_const(kbuilder *b, ktile ty, double v); /* float types */
kvalue *kb_int(kbuilder *b, ktile ty, int64_t v);  /* int and bool types */
kvalue *kb_i64(kbuilder *b, int64_t v);            /* an i64 scalar constant */
kvalue *kb_iota(kbuilder *b, ktile ty, int axis);
kvalue *kb_cast(kbuilder *b, kvalue *a, dtype to); /* a itself when nothing changes */
kvalue *kb_bitcast(kbuilder *b, kvalue *a, dtype to);
kvalue *kb_map(kbuilder *b, kop_kind op, kvalue *const *args,
               uint32_t n); /* scalar.def ops; result shape by broadcasting */
kvalue *kb_map1(kbuilder *b, kop_kind op, kvalue *x);
kvalue *kb_map2(kbuilder *b, kop_kind op, kvalue *x, kvalue *y);
kvalue *kb_map3(kbuilder *b, kop_kind op, kvalue *x, kvalue *y, kvalue *z);
kmem kmem_at(kvalue *buf, const kidx *idx); /* one index per axis; default axes, no bounds */
kvalue *kb_load(kbuilder *b, ktile ty, kmem at);
void kb_store(kbuilder *b, kvalue *v, kmem at);
/* From here on the data dim `counted` has the value of the element, which is i64 and at most `most`. */
kvalue *kb_read_dim(kbuilder *b, kmem at, dim counted, dim most);
void kb_prefetch(kbuilder *b, kmem at, int level);
kvalue *kb_contract(kbuilder *b, kvalue *acc, kvalue *x, kvalue *y);
kvalue *kb_reduce(kbuilder *b, kreduce kind, int axis, kvalue *x);
kvalue *kb_transpose(kbuilder *b, kvalue *x);
kvalue *kb_alloc(kbuilder *b, const char *name, kbuffer ty);
kvalue *kb_view(kbuilder *b, kmem at, kbuffer ty);
void kb_copy(kbuilder *b, ktile shape, kmem dst, kmem src);
void kb_commit(kbuilder *b, kqueue q);
void kb_wait(kbuilder *b, kqueue q, int keep);
void kb_fence(kbuilder *b, kqueue q);
void kb_barrier(kbuilder *b);
void kb_check(kbuilder *b, kvalue *ok, kvalue *index, kvalue *found, kvalue *limit, int arg);
/* Opens a loop and moves the builder into its body; block args are [induction variable, carried...]. kb_for_end yields
 * `next`, leaves the loop and returns its results in op->results. */
kop *kb_for(kbuilder *b, kidx lo, kidx hi, int64_t step, kmap map, int64_t unroll, kvalue *const *init,
            uint32_t n_carried);
void kb_for_end(kbuilder *b, kop *loop, kvalue *const *next, uint32_t n);
kop *kb_if(kbuilder *b, kvalue *cond);                                     /* enters the then block */
void kb_else(kbuilder *b, kop *op, kvalue *const *yielded, uint32_t n);    /* ends then, enters else */
void kb_if_end(kbuilder *b, kop *op, kvalue *const *yielded, uint32_t n);  /* works with or without kb_else */
kop *kb_switch(kbuilder *b, kvalue *on, const int64_t *cases, uint16_t n); /* enters the first case */
void kb_case_next(kbuilder *b, kop *op); /* ends this block, enters the next (last: default) */
void kb_switch_end(kbuilder *b, kop *op);
kop *kb_while(kbuilder *b, kvalue *const *init, uint32_t n); /* enters the condition's block */
void kb_while_do(kbuilder *b, kop *op, kvalue *go_on, kvalue *const *carried,
                 uint32_t n); /* ends it, enters the body */
void kb_while_end(kbuilder *b, kop *op, kvalue *const *next, uint32_t n);
kop *kb_launch(kbuilder *b, kfunction *callee, kvalue *const *bufs, const dim *dims);
/* Any op from parts, results typed by the caller: used by the parser and by rewrites. */
kop *kb_op(kbuilder *b, kop_kind op, kvalue *const *operands, uint32_t n, const ktile *result_types,
           uint32_t n_results);

/* Calls fn on the address of every value that the op reads, indices and bounds included (not those inside its blocks).
 */
void kop_foreach_read(kop *op, void (*fn)(void *arg, kvalue **slot), void *arg);
void kop_erase(kop *op); /* its results have no readers any more (not checked) */
void kop_move_before(kop *op, kop *before);
void kvalue_replace(kfunction *f, kvalue *old, kvalue *with);  /* every read of `old` */
uint32_t *kfunction_count_reads(const kfunction *f, arena *a); /* reads per value, by id */
bool kblock_inside(const kblock *inner, const kblock *outer);  /* is outer, or nested in it */
#define kblock_foreach(o, b) for (kop *o = (b)->first, *o##_next; o && (o##_next = o->next, true); o = o##_next)

/* ---- text, verification ---- */
void kmodule_print(const kmodule *m, strbuf *out);
void kfunction_print(const kfunction *f, strbuf *out);
void kop_print(const kop *op, strbuf *out); /* one line, as in its function; of ops with blocks the heading */
void kvalue_print(const kfunction *f, const kvalue *v, strbuf *out); /* "%name", as in its function */
void ktile_print(ktile t, strbuf *out);
void kbuffer_print(const dim_ctx *c, const kbuffer *b, strbuf *out);
/* Reads what kmodule_print prints. NULL with located messages on a mistake; what comes back is not verified yet. */
kmodule *kmodule_parse(arena *a, interner *names, source_set *sources, diags *d, const source_file *f);
/* Every rule that the interpreter and the emitters rely on. False with a message per violation, the op printed. */
bool kmodule_verify(const kmodule *m, diags *d);
bool kfunction_verify(const kfunction *f, diags *d);
/* Structural equality of kernels but for their names: lowering shares equal kernels between layers. */
bool kfunction_equal(const kfunction *a, const kfunction *b);
uint64_t kfunction_hash(const kfunction *f);

#endif
