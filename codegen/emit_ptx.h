/* Inside codegen: emitting GPU kernels. The PTX column of the op table and what its files share.
 *
 * GPU form of a tile: cg_value.v holds the registers of one lane, numbered by ptx_register_of; each is an LLVM scalar,
 * or a vector of two 16-bit elements where the layout packs pairs. All lanes of an agent compute every scalar. A tile
 * in layout `shared` is the i32 address of its first element in the shared window. Buffers are pointers to address
 * space 1 (global) or 3 (shared). */
#ifndef CODEGEN_EMIT_PTX_H
#define CODEGEN_EMIT_PTX_H

#include "codegen/emit.h"
#include "codegen/ptx.h"
#include "codegen/ptx_layout.h"

enum { PTX_GLOBAL = 1, PTX_SHARED = 3 }; /* LLVM's address spaces */
enum { PTX_STATIC_SHARED = 48 << 10 };   /* more is allocated at launch */

/* What the processors differ in: a row of the table in target_ptx.c. */
typedef struct {
    const char *name, *features; /* LLVM's */
    int llvm;                    /* first LLVM version that knows it */
    uint32_t shared_bytes;       /* that one block may have */
    bool wgmma;
} ptx_processor;

typedef struct {
    const ptx_processor *cpu;
    LLVMTypeRef global_ptr, shared_ptr;
    codegen_ptx_launch *launches;
    uint32_t n_launches;
} ptx_module;

typedef struct ptx_order ptx_order;
typedef struct ptx_state {
    ptx_module *pm;
    codegen_ptx_launch *launch;
    int lanes;             /* of an agent: 32 or 128 */
    LLVMValueRef lane;     /* i32: its number in the agent */
    LLVMValueRef agent;    /* i32: the agent's number in the block, the same in all its lanes */
    LLVMValueRef block[3]; /* i64: position in the grid by nesting depth of the block loop, outermost first */
    int n_blocks;          /* block loops entered */
    LLVMValueRef shared;   /* all shared buffers of a block together */
    ptrmap *offsets;       /* result of an alloc -> its offset in there + 1 */
    ptrmap *multiples;     /* scalar -> power of two that divides it */
    uint8_t *accessed;     /* by kvalue id, of buffers: emit_ptx_order.c */
    ptx_order *order;      /* of the op whose blocks are being emitted */
} ptx_state;

extern emit_fn *const emit_ptx_table[KOP_COUNT];

/* ---- the column ---- */
#define KOP(name, NAME, props, attrs, text) void emit_ptx_##name(emitter *e, kop *op);
#include "ir/kir/kops.def"
#undef KOP
void emit_ptx_map(emitter *e, kop *op);

/* ---- emit_ptx_kernel.c ---- */
LLVMValueRef emit_ptx_kernel(emit_module *m, ptx_module *pm, const kfunction *f);

/* ---- emit_ptx_value.c: registers of tiles ---- */
cg_value ptx_tile(emitter *e, ktile t);
ptx_layout ptx_layout_at(const emitter *e, ktile t);
/* The lane's part of coordinates along an axis: an i32, NULL when it is 0 in all lanes. */
LLVMValueRef ptx_part(emitter *e, const ptx_axis *x);
LLVMValueRef ptx_coordinate(emitter *e, const ptx_axis *x, int slot); /* i32 */
LLVMValueRef ptx_lane_bits(emitter *e, int shift, int mask);          /* lane >> shift & mask, an i32 */
/* Element (row, col) slot of x as a scalar; the axes of x have the slots of the tile around it or one. */
LLVMValueRef ptx_element(emitter *e, const cg_value *x, const ptx_layout *l, int row_slot, int col_slot);
void ptx_set_tile(emitter *e, const kvalue *v, cg_value x);
void emit_ptx_undefined(emitter *e, const kop *op); /* results after a diagnostic: emission goes on */

/* ---- emit_ptx_multiple.c: powers of two that divide, at most PTX_MOST_MULTIPLE ---- */
enum { PTX_MOST_MULTIPLE = 1 << 20 };
int64_t ptx_low_bit(int64_t x); /* of a constant; the most for 0 */
int64_t ptx_multiple_product(int64_t a, int64_t b);
int64_t ptx_known_multiple(emitter *e, const kvalue *v); /* of an i64 scalar, for all dims and iterations */
int64_t ptx_index_multiple(emitter *e, kidx i);

/* ---- emit_ptx_asm.c: instructions that LLVM has no portable name for ---- */
/* In LLVM's syntax: "$0", "=r,l,~{memory}". Never moved across memory accesses nor copied into other paths. */
LLVMValueRef ptx_emit_asm(emitter *e, const char *text, const char *constraints, LLVMTypeRef result, LLVMValueRef *args,
                          unsigned n);
/* The f32 registers v[0..n) are read and written by `text` as $0..., the i64 `more` follow behind their second mention
 * as
 * $(2 n)...: v becomes what it leaves in them. */
void ptx_emit_accumulate(emitter *e, const char *text, LLVMValueRef *v, unsigned n, LLVMValueRef *more,
                         unsigned n_more);

/* ---- emit_ptx_address.c ---- */
typedef struct {
    const kbuffer *ty;
    bool shared;
    int64_t bytes;        /* of an element */
    LLVMValueRef base;    /* the buffer */
    LLVMValueRef uniform; /* variable part of the byte offset, equal in all lanes: i64, in shared memory i32; NULL: 0 */
    int64_t off;          /* constant part */
    int64_t multiple;     /* power of two that divides base and uniform */
    LLVMValueRef stride[2];     /* bytes along the tile's rows and columns where not constant: i64 */
    int64_t step[2];            /* else */
    int64_t stride_multiple[2]; /* powers of two that divide them */
    bool bounded[2];
    LLVMValueRef bound[2]; /* i32, clamped to 0..size */
    int64_t bound_multiple[2];
} ptx_access;

/* A number that differs between lanes, not negative. */
typedef struct {
    LLVMValueRef v;   /* i32; as a byte offset in global memory i64; NULL: 0 */
    int64_t mask;     /* bits that may be set; -1: unknown */
    int64_t multiple; /* power of two that divides it */
} ptx_offset;

ptx_access ptx_access_begin(emitter *e, const kmem *at, ktile tile);
/* The byte offset of the element `rows` rows and `cols` columns into the rectangle. */
ptx_offset ptx_lane_offset(emitter *e, const ptx_access *a, ptx_offset rows, ptx_offset cols);
/* The address of the element `row` rows and `col` columns from the lane's. */
LLVMValueRef ptx_address(emitter *e, const ptx_access *a, ptx_offset lane, int64_t row, int64_t col);
int64_t ptx_alignment(const ptx_access *a, ptx_offset lane, int64_t row, int64_t col); /* of that address */
LLVMValueRef ptx_shared_window(emitter *e, LLVMValueRef ptr); /* i32 address as instructions on shared memory take it */

/* ---- emit_ptx_order.c: called before the access is emitted ---- */
void ptx_order_read(emitter *e, const kvalue *buffer);
void ptx_order_write(emitter *e, const kvalue *buffer);
void ptx_order_copy(emitter *e, const kvalue *to, const kvalue *from);
void ptx_order_copied(emitter *e); /* at a wait for copies */
void ptx_order_barrier(emitter *e);
void ptx_order_open(emitter *e, const kop *op);    /* around an op with blocks */
void ptx_order_enter(emitter *e, const kblock *b); /* before each time that one of its blocks is emitted */
void ptx_order_close(emitter *e);

/* ---- emit_ptx_mma.c, emit_ptx_wgmma.c ---- */
/* Loads a tile in layout mma_a or mma_b by ldmatrix. False, with nothing emitted, when the rectangle is no matter for
 * it. */
bool ptx_load_matrices(emitter *e, const ptx_access *a, const ptx_layout *l, cg_value *out);
void ptx_contract_wgmma(emitter *e, kop *op);
/* Emits `text` so that wgmma accumulators which are read after `op` are read only after it, and computed before. */
void ptx_emit_ordered(emitter *e, const kop *op, const char *text);

#endif
