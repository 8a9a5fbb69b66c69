/* What the files of the lowering share. Flow: views (how a value reads a stored one) -> groups (which nodes become one
 * kernel) -> one emitter per kind of root, all of which read leaves and write results through tiles. */
#ifndef CODEGEN_LOWER_INTERNAL_H
#define CODEGEN_LOWER_INTERNAL_H

#include "codegen/lower.h"
#include "ir/constant_set.h"

/* A value as a strided window on a stored base value. Bases are what gets a buffer: arguments, parameters, kernel
 * results. */
typedef struct {
    value *base; /* of the value's dtype, or narrower: who loads it casts */
    dim offset;  /* elements from the base's first */
    uint8_t rank;
    dim shape[MAX_RANK];
    dim stride[MAX_RANK]; /* in elements; 0 along broadcast axes and axes of size 1 */
} lview;

/* Nodes that become one kernel: at most one root (contraction, reduction ...) and the elementwise nodes after it. */
typedef struct group {
    node *root;       /* NULL: elementwise only */
    value *half[2];   /* the halves of a contraction's columns, where the group reads these; else NULL */
    node *out;        /* the node whose result is stored; of several the last */
    VEC(node *) also; /* others of the same shape whose results are stored as well; of groups without a root */
    /* A kernel may take rows through several groups: the last of them has the block, the others are inside the last. */
    const struct row_block *block;
    const struct group *inside;
    VEC(node *) members;
} group;

typedef VEC(kvalue *) stored_constants; /* one constant as weights of the plan, under several shapes */

typedef struct {
    module *m;
    function *fn;
    kmodule *km;
    arena *a;
    diags *d;
    lower_target target;
    kfunction *plan;
    kbuilder pb;            /* builds the plan */
    lview **views;          /* by value id */
    value **places;         /* by value id: the concat whose buffer the value is stored in, NULL: one of its own */
    group **groups;         /* by value id of a member's result */
    kvalue **buffers;       /* by value id: the plan's buffer of a stored value */
    uint32_t *turn;         /* by value id: the place of its node in the function */
    uint32_t *last_read;    /* by value id of a base: the turn of the last kernel that reads it */
    constant_set constants; /* of the plan's weights */
    VEC(stored_constants) weights; /* by their numbers */
    arena *kernel_memory;          /* kernels and nothing else: those that are shared are taken back */
    ptrmap *kernels;               /* hash -> list of kernels, for sharing */
    uint32_t n_names;
} lowering;

/* ---- views (lower_view.c) ---- */
/* How v reads stored memory. A reshape that no strides express is itself a base (its node is lowered to a copy). */
const lview *view_of(lowering *lw, value *v);
/* The operand of a transpose in the order of its result, whether that is a view or not. */
lview transposed_view(lowering *lw, const node *n);
/* n only says how to read what its operand's base stores (a reshape may still be a base: see value_is_base). */
bool node_is_view(lowering *lw, const node *n);
/* True when v is stored in a buffer of its own. */
bool value_is_base(lowering *lw, value *v);
/* Strides with which a base is stored; returns how many elements it takes. Row-major but for attention, whose heads lie
 * inside the tokens, and for gaps between rows of inconvenient sizes. */
dim base_strides(lowering *lw, const value *v, dim *stride);
bool base_is_row_major(lowering *lw, const value *v);
/* Bytes that keep rows of so many bytes apart in the first-level cache, 0 where they are. */
int64_t row_gap_bytes(const lowering *lw, int64_t row_bytes);
bool view_is_dense(lowering *lw, const lview *w);
/* True when axes [first, last] act as one axis: their strides nest. */
bool view_collapses(lowering *lw, const lview *w, int first, int last);
/* Strides of `w` under another shape with the same elements; false where no strides express it. */
bool view_reshape_strides(lowering *lw, const lview *w, uint8_t rank, const dim *shape, dim *stride);
/* v as a constant expression through parameters and views of them, or NULL; in a narrower dtype than v's where that
 * holds the same numbers. */
const cexpr *constant_of(lowering *lw, value *v);

/* ---- places (lower_place.c) ---- */
/* Finds the values that are written where a concat wants them. Before any view is asked for. */
void places_build(lowering *lw);
/* Where v lies in the concat that places_build chose. */
lview *placed_view(lowering *lw, value *v);

/* ---- groups (lower_group.c) ---- */
void groups_build(lowering *lw);
bool node_is_elementwise(const node *n);
/* Values that members read and that are not members: leaves (constants and iotas included), each once, in first-read
 * order. */
typedef VEC(value *) value_list;
void group_leaves(lowering *lw, const group *g, value_list *out);

/* n is a gather of indices by positions, which the kernels that read them do (lower_move.c). */
bool gather_packs_indices(const node *n);

/* ---- blocks of rows (lower_row_block_find.c, lower_row_block.c) ---- */
/* Finds matmuls in a row and norms beside them that are worth a kernel. After the groups. */
void row_blocks_build(lowering *lw);
/* The kernel of a group that has a block. */
void lower_row_block(lowering *lw, const group *last);

/* ---- in place (lower_in_place.c) ---- */
/* Finds when every base is read for the last time. After row_blocks_build. */
void last_reads_build(lowering *lw);
/* Gives results of g the buffers of operands that are not needed after it, where each element is read just where it
 * is written. */
void store_in_place(lowering *lw, const group *g);

/* n's kernel can compute both halves of its columns at a time (lower_contract.c). */
bool contraction_has_halves(lowering *lw, const node *n);

/* ---- kernels (lower_kernel.c) ---- */
typedef struct {
    lowering *lw;
    arena_mark before; /* in the memory of kernels */
    kfunction *f;      /* in a module of its own until it is known to be new */
    kbuilder b;
    VEC(kvalue *) args; /* the plan's buffers, one per parameter */
    VEC(struct bound_buffer {
        const kvalue *buf;
        dim offset;
        uint32_t param;
    }) bound;              /* by kernel_bind and kernel_bind_buffer */
    const kvalue *written; /* the buffer of the results, where several stages of a kernel may read what lies there */
    span at;               /* where the user's own file asks for it */
    const char *path;      /* the block instance */
} kernel;

/* The innermost call outside the standard library that led to a node: what a user can look up. */
span user_place(lowering *lw, const node *n);

kernel kernel_begin(lowering *lw, const char *family, const node *at);
/* A parameter that reads (or writes) memory of `base` from element `offset` on, with the given logical shape and
 * strides. */
kvalue *kernel_bind(kernel *k, value *base, dim offset, uint32_t rank, const dim *shape, const dim *stride,
                    kaccess_mode mode);
kvalue *kernel_bind_buffer(kernel *k, kvalue *buf, dim offset, uint32_t rank, const dim *shape, const dim *stride,
                           kaccess_mode mode);
/* A constant as a parameter, stored in its own encoding with the given shape. */
kvalue *kernel_bind_constant(kernel *k, const cexpr *e, const char *path, uint32_t rank, const dim *shape);
void kernel_end(kernel *k); /* shares an equal kernel if there is one, and launches it */
/* The plan's buffer of a base, made when first needed. */
kvalue *base_buffer(lowering *lw, value *v);

/* ---- tiles and expressions (lower_expr.c) ---- */
#define SPACE_MAX 6
/* The iteration space of a group: axes of the result, adjacent ones merged where every leaf allows it. At least two
 * axes; the last is the column axis (along the lanes), the one before it the row axis. */
typedef struct {
    int n;
    dim size[SPACE_MAX];
    int from[SPACE_MAX]; /* first result axis merged into it, -1: none (a padding axis of size 1) */
    int to[SPACE_MAX];
} space;

/* A stored value that the group reads. Constants and iotas are computed in place. */
typedef struct {
    value *v;
    kvalue *buf;
    bool along[SPACE_MAX]; /* has a stride along the axis */
} leaf;

typedef struct {
    const group *g;
    space s;
    VEC(leaf) leaves;
    VEC(leaf) outs; /* bound for writing */
} tile_plan;

/* Where a tile lies: the index of its first element on every axis, its size, and how much of it exists. */
typedef struct {
    kidx at[SPACE_MAX];
    int rows, cols;
    bool rows_bounded, cols_bounded;
    kidx row_bound, col_bound;
    struct {
        value *v;     /* what the root gives: its result, or the halves of it ... */
        kvalue *tile; /* ... as a tile */
    } known[2];
} tile_at;

/* Chooses the space of a group, in which `also` (NULL: nothing) can be read as well. With col_first >= 0 the result
 * axes [col_first, col_last] together are the column axis, also where that run is empty or of size 1; else the last
 * axis is. False when too many axes remain or the columns do not merge. */
bool space_make(lowering *lw, const group *g, value *also, int col_first, int col_last, space *s);
bool value_is_iota(const value *v); /* an iota, or a view of one: computed where it is used */
/* Strides of a view along the axes of a space; along[i]: it has one there. */
void space_strides(lowering *lw, const space *s, const lview *w, dim *stride, bool *along);
/* A parameter that reads a view along the axes of a space, in the dtype it is stored in; along[i]: it has a stride
 * there. */
kvalue *tile_bind(kernel *k, const space *s, const lview *w, bool *along, kaccess_mode mode);
/* Binds leaves; leaves and outputs. */
void tile_plan_leaves(kernel *k, const group *g, const space *s, tile_plan *tp);
void tile_plan_make(kernel *k, const group *g, const space *s, tile_plan *tp);
/* The group's value `v` on a tile. */
kvalue *tile_value(kernel *k, const tile_plan *tp, const tile_at *t, value *v);
void tile_store(kernel *k, const tile_plan *tp, const tile_at *t); /* evaluates and stores the group's results */
/* Rows that a task keeps in scratch instead of storing them: [rows, columns], from a row and a column on. */
typedef struct {
    kvalue *buf;
    kvalue *row, *col; /* col NULL: 0 */
} kept_rows;
kmem kept_at(kernel *k, const kept_rows *kept, const tile_at *t);
/* Evaluates the group's result and keeps it. */
void tile_keep(kernel *k, const tile_plan *tp, const tile_at *t, const kept_rows *to);
/* r on rows x cols, also when its value is the same along an axis. */
kvalue *tile_widen(kernel *k, kvalue *r, int rows, int cols);
kvalue *kidx_as_value(kernel *k, kidx i);
/* Which columns of a bounded tile exist, as a bool tile; NULL when all do. */
kvalue *tile_present(kernel *k, const tile_at *t);
/* A memory access of a rank-n buffer bound along a space. */
kmem tile_mem(const tile_plan *tp, const tile_at *t, kvalue *buf, const bool *along);
/* Splits a flat task number over axes [0, n) of the given sizes into indices. */
void unflatten(kernel *k, kvalue *task, int n, const dim *size, kidx *index);
/* The C type that a tensor's tile has in registers and the accumulator type for sums of it. */
dtype accumulator_of(dtype dt);

/* Runs `body` over [0, size) in tiles of `width` columns: full tiles in a loop with a carried 1 x width tile (init;
 * NULL: none), then the rest with its exact width where constant, or bounded. Results: *full (carried tile after the
 * loop) and *tail (what body returned for the rest, or NULL where there is none; then *tail_exists says whether a
 * bounded tail may be empty). */
typedef kvalue *column_body(kernel *k, void *arg, kidx col, int width, bool bounded, kidx bound, kvalue *carried);
void for_columns(kernel *k, dim size, int width, kvalue *init, kvalue *tail_init, column_body *body, void *arg,
                 kvalue **full, kvalue **tail);

/* ---- one emitter per kind of group ---- */
void lower_elementwise(lowering *lw, const group *g);
/* Copies a view into a window of a plan's buffer with the given strides (concat, stored reshapes, outputs). */
void lower_copy(lowering *lw, const node *at, const lview *from, kvalue *to, dim offset, const dim *stride);
typedef void lower_fn(lowering *lw, group *g);
/* lower_##name for each row of ops.def that can be a group's root. Its axes say whether it can: leaves and pointwise
 * ops are computed inside groups, and views are strides, but for a reshape that no strides express and a transposed
 * bias. */
#define ROOT_X_NONE(...)
#define ROOT_X_POINTWISE(...)
#define ROOT_X_BROADCAST(...)
#define ROOT_X_TRANSPOSE(...) __VA_ARGS__
#define ROOT_X_SLICE(...)
#define ROOT_X_RESHAPE(...) __VA_ARGS__
#define ROOT_X_CONCAT(...) __VA_ARGS__
#define ROOT_X_LABELS(...) __VA_ARGS__
#define ROOT_X_REDUCE(...) __VA_ARGS__
#define ROOT_X_ROWWISE(...) __VA_ARGS__
#define ROOT_X_ATTENTION(...) __VA_ARGS__
#define ROOT_X_GATHER(...) __VA_ARGS__
#define ROOT_X_UPDATE(...) /* P_INTERPRETED, like the next two */
#define ROOT_X_TOP_K(...)
#define ROOT_X_RUNS(...) __VA_ARGS__
#define ROOT_X_OPAQUE(...)
#define OP(name, NAME, lo, hi, props, attrs, axes, math) ROOT_##axes(lower_fn lower_##name;)
#include "ir/ops.def"
#undef OP

/* ---- reductions (lower_reduce.c) ---- */
/* A kernel that reduces axes of one operand. A task is a row of the result where the operand's last axis is kept: that
 * axis then lies along the lanes. Otherwise it is one element, and the last reduced axis can lie along the lanes. */
typedef struct {
    tile_plan tp;
    tile_at t; /* the task's place in the result */
    node *root;
    const lview *view; /* the operand */
    kvalue *in;        /* the operand as [1, axes of view ...] */
    kidx
        at[MAX_RANK]; /* the task's index per kept operand axis; those of reduced axes are set by who loops over them */
    bool reduced[MAX_RANK];
    int col;       /* operand axis along the lanes; set to -1 to load single elements */
    bool col_kept; /* it is kept; else the columns of the result are one */
    kop *tasks;
} reduction;
/* Opens kernel and tasks. False after a diagnostic. */
bool reduction_begin(lowering *lw, group *g, const char *family, const bool *reduced, kernel *k, reduction *r);
/* The operand's elements at r->at and, along axis r->col, the columns of t. */
kvalue *reduction_load(kernel *k, const reduction *r, const tile_at *t);
/* Runs `body` once per tile of a task's columns; it ends with reduction_store. */
typedef void reduction_body(kernel *k, reduction *r, tile_at *t);
void reduction_columns(kernel *k, reduction *r, reduction_body *body);
/* `x` is the root's result on the tile: evaluates what follows it in the group and stores. */
void reduction_store(kernel *k, reduction *r, tile_at *t, kvalue *x);
void reduction_end(kernel *k, reduction *r);

/* ---- row tiles (lower_tiles.c) ---- */
/* All heights that balanced tiles of at most `max` rows of `rows` rows can have. */
uint32_t tile_heights(lowering *lw, dim rows, int max, int64_t *heights);
/* Rows cut into register tiles: `count` of them, the first `extra` with a row more than the others' `height`. */
typedef struct {
    uint32_t n_heights;
    int64_t heights[64];
    kvalue *count, *height, *extra;
} row_tiles;
row_tiles row_tiles_of(kernel *k, dim rows, int max);
kvalue *row_tiles_first(kernel *k, const row_tiles *r, kvalue *t); /* the first row of tile t */
/* Calls body inside a loop over the tiles first .. end - 1. */
typedef void row_tile_body(kernel *k, void *arg, kvalue *row0, kvalue *height);
void for_row_tiles(kernel *k, const row_tiles *r, kvalue *first, kvalue *end, row_tile_body *body, void *arg);
/* Calls body once per height; what it emits runs where the tile has that height. */
typedef void height_body(kernel *k, void *arg, int height);
void row_tiles_by_height(kernel *k, const row_tiles *r, kvalue *height, height_body *body, void *arg);

#endif
