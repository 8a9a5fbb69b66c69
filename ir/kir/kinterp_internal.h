/* What the files of the kernel interpreter share.
 *
 *   kinterp.c         entry: bindings, plans and launches
 *   kinterp_machine.c preparing a function at given dims: slots of values, sizes, memory of allocs
 *   kinterp_run.c     the machine: frames, loops, tasks, blocks, agents, barriers
 *   kinterp_ops.c     one run_##name per op
 *   kinterp_math.c    arithmetic on tiles
 *   kinterp_memory.c  accesses: bounds, what was written, races
 *   kinterp_async.c   copy and mma queues
 *   kinterp_banks.c   shared-memory wavefronts
 *
 * Registers. Every value of a function has one slot in its agent's registers for the whole run: SSA values are
 * overwritten only when their op runs again. A tile's elements lie there row-major: as float for f32 and narrower
 * floats (which all fit), as double for f64, as int64_t for ints and bool (u64: the same bits). A buffer's slot holds a
 * kref.
 *
 * Time. `stamp` counts up over a whole run. Each task, block, barrier and alloc begins with a new one, so of two stamps
 * the later is the larger, and stamps from `launch_stamp` on are of this launch, from `block_stamp` on of this block
 * (or task); equal stamps mean that nothing orders two agents. */
#ifndef IR_KIR_KINTERP_INTERNAL_H
#define IR_KIR_KINTERP_INTERNAL_H

#include "ir/kir/kinterp.h"
#include "ir/kir/kir_internal.h"

/* ---- memory ---- */

enum { KAGENTS_MANY = 255, KMAX_AGENTS = 32 };

/* What is known of one granule (as many bytes as the smallest element that is used there). */
typedef struct {
    uint32_t write;                  /* stamp of the last write; 0: never */
    uint32_t read;                   /* stamp of the last read that could race */
    uint32_t read_before;            /* of a read by another block than that of `read` */
    uint16_t writer;                 /* kref.owner that it was last written through */
    uint8_t write_agent, read_agent; /* read_agent KAGENTS_MANY: several with that stamp */
} kmark;

typedef struct {
    uint32_t group;  /* of a copy that wrote it: the copy's group of write_agent; 0: a plain write */
    uint32_t fences; /* how many mma fences the writer had executed */
} kasync_mark;

typedef struct {
    uint8_t *data;
    uint64_t bytes;
    uint32_t granule;    /* a power of two, in bytes */
    kmark *marks;        /* NULL: all of it is defined and nobody writes */
    kasync_mark *async;  /* shared memory; else NULL */
    uint32_t *mma_reads; /* [agent][granule]: last mma group that reads it; NULL where there are no warpgroups */
    bool defined;        /* contents were given: reading needs no write before */
    bool writable;
} kobject;

/* A buffer while running. */
typedef struct {
    kobject *obj;
    int64_t base;   /* of element 0, in bytes */
    uint32_t alive; /* writes with smaller stamps were to something else */
    uint16_t owner; /* of workspace and scratch: which alloc; 0 elsewhere */
    bool races;     /* other tasks or agents may touch it while it is written */
} kref;

/* Sizes of a buffer type at the run's dims. */
typedef struct {
    int64_t shape[KMAX_RANK], stride[KMAX_RANK]; /* strides in elements */
    int64_t bytes;
} kextent;

/* ---- agents ---- */

typedef struct {
    const kblock *block;
    const kop *next;  /* NULL: the block is at its end */
    const kop *owner; /* whose block it is */
    int64_t i, hi;    /* for */
} kframe;

typedef struct {
    uint32_t stamp, fences; /* when the group was waited for */
} kgroup_done;

/* A queue of asynchronous groups. Groups are numbered from 1; the open one is committed + 1. */
typedef struct {
    uint32_t committed, done;
    VEC(kgroup_done) when; /* when[g - 1] for g <= done */
} kqueue_state;

/* Of a wgmma accumulator in registers. */
typedef struct {
    uint32_t group;  /* mma group that makes it; 0: an ordinary op made it */
    uint32_t fences; /* ... at this count of fences */
} kvalue_tag;

enum { KMAX_FRAMES = KMAX_NESTING + 4 };
typedef enum { KAGENT_RUNNING, KAGENT_AT_BARRIER, KAGENT_ENDED } kagent_status;
typedef struct {
    uint8_t *regs;
    kvalue_tag *tags; /* by value id; NULL without warpgroups */
    kframe frames[KMAX_FRAMES];
    uint32_t depth;
    kagent_status status;
    const kop *barrier; /* where it stands */
    uint32_t index;     /* in its block */
    kqueue_state copies, mmas;
    uint32_t fences;
    VEC(uint32_t) fence_stamps;
} kagent_state;

/* ---- a run ---- */

typedef struct {
    const kinterp_options *o;
    diags *d;
    arena *a; /* for the whole run */
    kinterp_result *result;
    uint32_t stamp;
    uint32_t reports, max_reports;
    uint64_t random;
    uint64_t steps;
    const kop *fault_op; /* the check behind result->fault */
    bool failed, stop;
} kinterp;

/* One function at one set of dims. */
typedef struct {
    kinterp *in;
    const kfunction *f;
    arena *a;       /* of this launch */
    int64_t *dims;  /* its own: plans count */
    uint32_t *slot; /* by value id: byte offset in the registers */
    uint64_t regs_bytes;
    kextent *extents;    /* by value id, of buffers */
    int64_t *dim_values; /* by op id, of dim ops */
    bool *dim_fits;      /* by op id: the dim has a value in 64 bits */
    uint16_t *reported;  /* by op id: kinds of reports made */
    const char **names;  /* by value id; made when first needed */
    uint32_t launch_stamp, block_stamp;
    kagent_state *agents;
    uint32_t n_agents;
    kagent_state *scalar; /* the registers of everything outside of agents */
    kref *allocs;         /* by op id: where each alloc lies; scratch and workspace allocs lie in one object */
    int64_t position[4];  /* the task, or the block's indices, for messages */
    uint32_t n_position;
    uint32_t fenced; /* the last stamp before this block's current one under which some agent fenced */
    uint8_t *temp;   /* for values that change places */
} kmachine;

/* ---- reports ---- */
typedef enum {
    KREPORT_OUTSIDE,
    KREPORT_UNWRITTEN,
    KREPORT_RACE,
    KREPORT_PENDING,
    KREPORT_READ_ONLY,
    KREPORT_BARRIER,
    KREPORT_FENCE,
    KREPORT_ALIGN,
    KREPORT_LIMIT,
    KREPORT_ACCUMULATOR,
    KREPORT_OTHER
} kreport_kind;
/* Adds a located error unless `o` has had one of this kind; the run is false then. */
void kreport(kmachine *m, const kagent_state *g, const kop *o, kreport_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
const char *kmachine_name(kmachine *m, const kvalue *v);

/* ---- values ---- */
static inline bool kreg_is_f32(dtype t)
{
    return dtype_is_float(t) && t != DT_F64;
}
static inline uint32_t kreg_bytes(dtype t)
{
    return kreg_is_f32(t) ? 4 : 8;
}
static inline void *kreg(const kmachine *m, const kagent_state *g, const kvalue *v)
{
    return g->regs + m->slot[v->id];
}
static inline kref *kreg_ref(const kmachine *m, const kagent_state *g, const kvalue *v)
{
    return (kref *)kreg(m, g, v);
}
static inline int64_t kreg_int(const kmachine *m, const kagent_state *g, const kvalue *v)
{
    return *(const int64_t *)kreg(m, g, v);
}
int64_t kindex_value(const kmachine *m, const kagent_state *g, kidx i); /* saturates */

/* A tile's elements and their places: rank 0 and 1 are rows. */
static inline int64_t ktile_rows(ktile t)
{
    return t.rank == 2 ? t.shape[0] : 1;
}
static inline int64_t ktile_cols(ktile t)
{
    return t.rank == 2 ? t.shape[1] : t.rank == 1 ? t.shape[0] : 1;
}

/* kinterp_math.c */
void kmath_map(kop_kind op, ktile result, const ktile *types, void *out, const void *const *in);
void kmath_const(ktile t, void *out, double real, int64_t i);
void kmath_iota(ktile t, int64_t axis, void *out);
void kmath_cast(ktile from, dtype to, const void *in, void *out);
void kmath_bitcast(ktile from, dtype to, const void *in, void *out);
void kmath_transpose(ktile from, const void *in, void *out);
void kmath_reduce(kreduce kind, ktile from, int64_t axis, const void *in, void *out, void *temp);
void kmath_contract(ktile acc, ktile a, ktile b, const void *av, const void *bv, void *acc_out);
/* One element between memory and registers: `reg` is a tile's storage, `i` the element in it. */
void kmath_load(dtype t, const void *base, int64_t index, void *reg, int64_t i);
void kmath_store(dtype t, void *base, int64_t index, const void *reg, int64_t i);

/* ---- accesses (kinterp_memory.c) ---- */

/* A rectangle, its indices evaluated: element (r, c) of the tile lies at byte start + r * step[0] + c * step[1] of the
 * object. */
typedef struct {
    const kop *op;
    const kvalue *buf;
    kref ref;
    const kextent *extent;
    dtype dt;
    kswizzle swizzle;
    int64_t start;
    int64_t step[2];
    int64_t size[2];  /* of the tile */
    int64_t valid[2]; /* what exists of it: bounds applied */
    bool bits;        /* elements smaller than a byte: start and step count elements */
} kaccess;

/* False when nothing may be touched: reported, or nothing exists. */
bool kaccess_begin(kmachine *m, const kagent_state *g, const kop *o, const kmem *mem, ktile t, kaccess *out);
int64_t kaccess_offset(const kaccess *x, int64_t r, int64_t c); /* byte in the object; where `bits`, the element */
bool kaccess_read(kmachine *m, kagent_state *g, const kaccess *x, int64_t offset); /* checks and marks one element */
bool kaccess_write(kmachine *m, kagent_state *g, const kaccess *x, int64_t offset);
void kmemory_load(kmachine *m, kagent_state *g, const kop *o);
void kmemory_store(kmachine *m, kagent_state *g, const kop *o);
void kmemory_view(kmachine *m, kagent_state *g, const kop *o);
kobject *kobject_new(arena *a, void *data, uint64_t bytes, uint32_t granule, bool defined, bool writable);

/* kinterp_async.c */
void kasync_copy(kmachine *m, kagent_state *g, const kop *o);
void kasync_contract(kmachine *m, kagent_state *g, const kop *o);
void kasync_commit(kmachine *m, kagent_state *g, const kop *o);
void kasync_wait(kmachine *m, kagent_state *g, const kop *o);
void kasync_fence(kmachine *m, kagent_state *g);
void kasync_barrier(kmachine *m); /* all agents have arrived; the stamp is still the old one */
/* Resolves a copy that is over; false, reported, when it may still be writing. */
bool kasync_settle(kmachine *m, const kagent_state *g, const kaccess *x, uint64_t mark);
void kasync_check_write(kmachine *m, const kagent_state *g, const kaccess *x, uint64_t mark);
void kasync_check_operands(kmachine *m, const kagent_state *g, const kop *o); /* accumulators that are not ready */
void kasync_move(const kmachine *m, kagent_state *g, const kvalue *from, const kvalue *to);
void kasync_define(const kmachine *m, kagent_state *g, const kop *o);

/* kinterp_banks.c */
void kbanks_count(kmachine *m, const kaccess *x, klayout layout);
void kbanks_count_copy(kmachine *m, const kaccess *dst, const kaccess *src);

/* ---- preparing (kinterp_machine.c) ---- */
/* The dim that op `count` counts is n from here on. */
void kmachine_count(kmachine *m, const kop *o, int64_t n);

/* ---- the machine (kinterp_run.c, kinterp_ops.c) ---- */
void krun_op(kmachine *m, kagent_state *g, const kop *o);
void krun_for(kmachine *m, kagent_state *g, const kop *o);
void krun_push(kmachine *m, kagent_state *g, const kop *owner, const kblock *b);
void krun_move(const kmachine *m, kagent_state *g, kvalue *const *from, kvalue *const *to, uint32_t n);
uint32_t krun_next_stamp(kmachine *m);
/* Prepares f at `dims` (checked to be within their bounds); `params` are its buffers. NULL, reported, when sizes are
 * impossible. */
kmachine *kmachine_new(kinterp *in, const kfunction *f, arena *a, const int64_t *dims, const kref *params);
void kmachine_run(kmachine *m);
/* Of the smallest element under which a buffer is used, views and launches included. */
uint32_t kgranule(const kfunction *f, const kvalue *root);
void krun_launch(kmachine *m, kagent_state *g, const kop *o); /* kinterp.c */

#endif
