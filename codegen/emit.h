/* Inside codegen: the state of emitting LLVM IR from kernel IR, and the values that emitters exchange.
 *
 * One emitter function per kernel-IR op and target: emit_cpu_<op>(emitter *, kop *), found through the table that
 * emit_cpu.c expands from kops.def and scalar.def. A further target is a further column: its own emit_<target>_<op> and
 * table.
 *
 * CPU form of a tile: each row is cut into chunks of `lanes` columns, one LLVM vector a chunk; the last chunk of a row
 * is as wide as the next power of two of what is left, and its lanes beyond the tile's columns hold arbitrary numbers.
 * A chunk of one lane is an LLVM scalar. Layout `scalars` is the same with one lane. All dtypes are cut alike, by the
 * f32 lanes of the widest vector, so that the operands of one op lie chunk to chunk. */
#ifndef CODEGEN_EMIT_H
#define CODEGEN_EMIT_H

#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>

#include "codegen/codegen.h"

/* ---- the module being emitted ---- */

typedef struct emit_debug emit_debug;
typedef struct {
    arena *a;
    diags *d;
    source_set *sources;          /* may be NULL: no debug info */
    const codegen_target *target; /* of the functions emitted now */
    const char *variant;          /* what their symbols end in, so that those of several targets differ; may be "" */
    LLVMContextRef ctx;
    LLVMModuleRef mod;
    LLVMTypeRef i1, i8, i32, i64, f32, f64, ptr, void_type;
    emit_debug *debug;  /* NULL: no debug info */
    LLVMValueRef zeros; /* a constant of as many zero bytes as a vector: what absent elements are read from */
    bool bf16;          /* bf16 and f32 convert by instructions, which keep denormals */
    bool failed;        /* a diagnostic was added: the module is not to be used */
} emit_module;

/* ---- values ---- */

typedef struct {
    LLVMValueRef *v; /* tile: [rows][chunks]; buffer: its address in v[0] */
    int32_t rows, cols;
    int32_t lanes, chunks; /* lanes of a full chunk */
    int64_t off;           /* i64 scalars: the value is v[0] + off (v[0] NULL: off alone). Else 0 */
    int depth;             /* loops around the definition */
} cg_value;

typedef struct emitter emitter;
typedef void emit_fn(emitter *e, kop *op);
typedef struct {
    kvalue *v;
    cg_value was;
} cg_rebound;

struct emitter {
    emit_module *m;
    emit_fn *const *table;                 /* the target's column: one function an op */
    cg_value (*tile)(emitter *e, ktile t); /* the target's form of a tile, without values yet; NULL: the CPU form */
    void (*enter)(emitter *e, const kblock *b); /* before each time that a nested block is emitted; may be NULL */
    const kfunction *f;
    LLVMValueRef fn;
    LLVMBuilderRef b;             /* at the end of the block that ops go to */
    LLVMBuilderRef entry;         /* at the end of the block that computes dims, before everything else */
    LLVMValueRef stack;           /* the end of the block before that, which has the stack buffers */
    cg_value *values;             /* by kvalue id */
    LLVMValueRef *symbols;        /* i64 values of f->dims' symbols */
    ptrmap *dims;                 /* dim -> LLVMValueRef, in the entry block */
    bool *counted;                /* by symbol: its value is not known at the entry; NULL: none is such */
    int lanes;                    /* of a full vector chunk */
    int depth;                    /* loops around the current op */
    LLVMValueRef begin, end;      /* kernels: the tasks to do */
    LLVMValueRef scratch, fault;  /* kernels */
    LLVMValueRef call, workspace; /* plans: struct rt_call *, its workspace */
    LLVMValueRef trash;           /* a vector on the stack: where absent elements are stored; NULL until needed */
    struct plan_state *plan;      /* plans: emit_plan.c */
    struct ptx_state *ptx;        /* GPU kernels: emit_ptx.h */
    VEC(cg_rebound) rebound;      /* see cg_rebind */
    const kop *at;                /* for diagnostics */
};

extern emit_fn *const emit_cpu_table[KOP_COUNT];

/* ---- emit_cpu.c: functions and the walk over blocks ---- */
/* The kernel as rt_kernel_fn launch.<name>, external, calling an internal kernel.<name> whose buffer arguments are
 * noalias. NULL after a diagnostic. */
LLVMValueRef emit_kernel(emit_module *m, const kfunction *f);
void emit_block(emitter *e, const kblock *b); /* all ops but the yield */
const kop *block_yield(const kblock *b);      /* NULL when the block has none */
void emit_begin(emitter *e, emit_module *m, const kfunction *f, LLVMValueRef fn);
/* The same with room for the values, all of it zero. */
void emit_begin_with(emitter *e, emit_module *m, const kfunction *f, LLVMValueRef fn, cg_value *values);
LLVMValueRef emit_stack(emitter *e, uint64_t bytes, unsigned align,
                        const char *name); /* memory of the stack, for the whole call */
void emit_finish(emitter *e, LLVMBasicBlockRef body);
/* The symbol of one of the functions that are made of a kernel or a plan: "tasks.<name>". */
const char *emit_symbol(emit_module *m, const char *kind, const char *name);
LLVMValueRef emit_add_function(emit_module *m, const char *name, LLVMTypeRef signature, LLVMLinkage linkage);
LLVMBasicBlockRef emit_new_block(emitter *e, const char *name);
void emit_to(emitter *e, LLVMBasicBlockRef b); /* further ops go to the end of b */
void emit_br(emitter *e, LLVMBasicBlockRef to);
LLVMBasicBlockRef emit_here(emitter *e);
/* What LLVM may assume of buffer parameter i of fn, which is p of f. */
void emit_describe_buffer(emit_module *m, LLVMValueRef fn, unsigned i, const kfunction *f, const kparam *p);
/* Reports an op that this target cannot do. Emission goes on so that all are reported. */
void emit_unsupported(emitter *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- emit_value.c: types, values, small helpers ---- */
LLVMTypeRef cg_scalar_type(emit_module *m, dtype dt);    /* in registers: bool is i1, floats below f32 are their bits */
LLVMTypeRef cg_memory_type(emit_module *m, dtype dt);    /* in memory: bool is i8 */
LLVMTypeRef cg_vector_of(LLVMTypeRef scalar, int lanes); /* the scalar itself for one lane */
int cg_chunk_lanes(const cg_value *x, int chunk);
/* A tile value of this type with room for its chunks. */
cg_value cg_tile(emitter *e, ktile t);
cg_value *cg_get(emitter *e, const kvalue *v);
void cg_set(emitter *e, const kvalue *v, cg_value x);
/* v is x from here to the end of the block that is being emitted: whoever emits a block takes rebound.len before it
 * and, when what it yields has been read, calls cg_unbind. */
void cg_rebind(emitter *e, kvalue *v, cg_value x);
void cg_unbind(emitter *e, uint32_t mark);
LLVMValueRef cg_buffer(emitter *e, const kvalue *v);
LLVMValueRef cg_i64(emitter *e, const kvalue *v);    /* an i64 scalar with its offset added */
LLVMValueRef cg_scalar(emitter *e, const kvalue *v); /* any scalar */
LLVMValueRef cg_index(emitter *e, kidx i);
void cg_set_scalar(emitter *e, const kvalue *v, LLVMValueRef x);
void cg_set_affine(emitter *e, const kvalue *v, LLVMValueRef x, int64_t off);
/* Columns [chunk * lanes, ...) of row r as a vector of `width` lanes, whatever the layout of x; axes of size 1 are
 * broadcast. */
LLVMValueRef cg_chunk(emitter *e, const cg_value *x, int row, int chunk, int lanes, int width);
LLVMValueRef cg_element(emitter *e, const cg_value *x, int row, int col);

LLVMValueRef cg_const_i64(emit_module *m, int64_t v);
LLVMValueRef cg_const_i32(emit_module *m, int64_t v);
bool cg_is_const(LLVMValueRef v, int64_t *out);
LLVMValueRef cg_const(emit_module *m, dtype dt, int lanes, double real, int64_t i);
LLVMValueRef cg_splat(emitter *e, LLVMValueRef scalar, int lanes);
LLVMValueRef cg_splat_const(LLVMValueRef scalar, int lanes);
int cg_lanes_of(LLVMValueRef v);                                                              /* 1 for a scalar */
LLVMValueRef cg_shuffle(emitter *e, LLVMValueRef a, LLVMValueRef b, const int *lanes, int n); /* -1: undefined */
LLVMValueRef cg_first_lanes(emitter *e, LLVMValueRef v, int n);
/* A call of an intrinsic overloaded on `types`. */
LLVMValueRef cg_intrinsic(emitter *e, const char *name, LLVMTypeRef *types, unsigned n_types, LLVMValueRef *args,
                          unsigned n_args);
LLVMValueRef cg_intrinsic1(emitter *e, const char *name, LLVMValueRef x); /* overloaded on x's type */
LLVMValueRef cg_min_i64(emitter *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef cg_max_i64(emitter *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef cg_offset(emitter *e, LLVMValueRef ptr, LLVMValueRef bytes);
LLVMValueRef cg_offset_const(emitter *e, LLVMValueRef ptr, int64_t bytes);

/* ---- emit_dims.c ---- */
LLVMValueRef cg_dim(emitter *e, dim d); /* i64, computed in the entry block, or here where it depends on a count */
/* From here on the symbol has the value v, which was counted. */
void cg_set_dim(emitter *e, uint32_t symbol, LLVMValueRef v);
/* The expression over the given symbol values, at builder b. */
LLVMValueRef cg_dim_at(emit_module *m, LLVMBuilderRef b, const dim_ctx *c, dim d, const LLVMValueRef *symbols);

/* ---- emit_cpu_scalar.c ---- */
/* One operation of scalar.def on LLVM values of equal lanes. */
LLVMValueRef emit_scalar_op(emitter *e, kop_kind op, dtype dt, LLVMValueRef *x);
LLVMValueRef emit_convert(emitter *e, LLVMValueRef x, dtype from, dtype to); /* `cast` of kops.def, lane by lane */

/* ---- emit_cpu_elementwise.c ---- */
void emit_cpu_map(emitter *e, kop *op); /* all ops of scalar.def */
/* Emits the run of elementwise ops on tiles of one shape that starts at `first`, chunk by chunk, or the run of
 * contractions that share a left operand. The op behind the run (NULL: the block ends), or `first` itself when no run
 * starts there and nothing was emitted. */
kop *emit_run(emitter *e, kop *first);

/* ---- emit_cpu_tile.c ---- */
/* Emits the contractions from `first` on, at most `most`, that share its left operand; returns the op behind them. */
#define CONTRACT_RUN 4
kop *emit_contract_run(emitter *e, kop *first, int most);
cg_value emit_transposed(emitter *e, const cg_value *x, ktile to); /* rank 2, axes swapped, in the layout of `to` */

/* ---- the column of emit_cpu_table ---- */
#define KOP(name, NAME, props, attrs, text) void emit_cpu_##name(emitter *e, kop *op);
#include "ir/kir/kops.def"
#undef KOP

/* ---- debug_info.c: all do nothing when m->debug is NULL ---- */
emit_debug *debug_new(emit_module *m, const codegen_options *o, LLVMDWARFEmissionKind kind);
void debug_function(emit_module *m, LLVMValueRef fn, const char *name, span at); /* until debug_function_end */
void debug_function_end(emit_module *m);
void debug_at(emitter *e, span at); /* following instructions belong to `at` */
void debug_finish(emit_debug *g);
void debug_free(emit_debug *g);

/* ---- target_cpu.c, target_features.c ---- */
LLVMTargetMachineRef target_machine(const codegen_target *t, int opt, diags *d); /* NULL with a diagnostic */
void target_function_attributes(emit_module *m, LLVMValueRef fn);
void target_string_attribute(LLVMValueRef fn, const char *name, const char *text);

/* ---- emit_module.c ---- */
/* An empty LLVM module for the target that tm is of. */
emit_module *emit_module_new_for(arena *a, diags *d, const kmodule *k, const codegen_target *t,
                                 LLVMTargetMachineRef tm);
/* The same for native code, with what its emitters need in every module. Debug info when `k` has sources. */
emit_module *emit_module_new(arena *a, diags *d, const kmodule *k, const codegen_target *t, const codegen_options *o);
void emit_module_free(emit_module *m); /* NULL is allowed */
/* Ends debug info, verifies and optimises. False when anything failed. */
bool emit_module_finish(emit_module *m, LLVMTargetMachineRef tm, int opt);
/* LLVM's object file or assembly; NULL with a diagnostic. */
LLVMMemoryBufferRef emit_module_code(emit_module *m, LLVMTargetMachineRef tm, LLVMCodeGenFileType kind);

#endif
