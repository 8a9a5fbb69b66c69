/* What the files of sema share. */
#ifndef FRONTEND_SEMA_INTERNAL_H
#define FRONTEND_SEMA_INTERNAL_H

#include <assert.h>
#include <stdarg.h>

#include "frontend/sema.h"

/* Limits on what elaboration may grow to: reached only by mistakes (or malice), and reported, never suffered. */
#define SEMA_MAX_STEPS 1000000u /* statements executed and expressions evaluated */
#define SEMA_MAX_NODES 1000000u
#define SEMA_MAX_ELEMENTS (INT64_C(1) << 46) /* of one tensor, at the bounds of its dims */
#define SEMA_MAX_INSTANCES 100000u
#define SEMA_MAX_CALL_DEPTH 48
#define SEMA_MAX_RECURSION 1200u
#define SEMA_MAX_IMPORTS 64
#define SEMA_MAX_LIST 65536u
#define SEMA_MAX_WARNINGS 50u
#define SEMA_MAX_CHECKS 1024u   /* requirements that the run checks */
#define SEMA_MAX_REPEATS 10000u /* of errors that have been reported: a loop that is wrong is not run to its end */

typedef VEC(const char *) name_list;
typedef struct sema sema;
typedef struct sema_file sema_file;
typedef struct frame frame;
typedef struct scope scope;
typedef struct builtin builtin;

/* ---- values ---- */

typedef enum {
    V_ERROR,  /* a mistake has been reported; everything made of it is V_ERROR too, silently */
    V_TENSOR, /* node */
    V_CELL,   /* node: a tensor inside a set-builder, one axis per builder axis (size 1: does not vary) */
    V_INDEX,  /* index: an affine expression of a set-builder's variables */
    V_INT,    /* size: a compile-time integer, or an expression of dims */
    V_FLOAT,
    V_BOOL,
    V_NONE, /* what an optional argument holds that was left out */
    V_STRING,
    V_DTYPE,
    V_COND,  /* cond: a comparison of dims that is not the same for all their values */
    V_LIST,  /* [a, b] */
    V_TUPLE, /* the results of a block that returns several */
    V_BLOCK,
    V_BUILTIN,
    V_MODULE
} value_kind;

typedef struct index_expr {
    dim base;
    dim coef[SEMA_MAX_RANK]; /* per axis of the builder; DIM 0 where the variable does not occur */
} index_expr;

typedef struct block_ref {
    const ast_decl *decl;
    sema_file *file;
    scope *statics;        /* names of the model around a nested block; NULL: none */
    const char *canonical; /* sema_instance.block */
} block_ref;

typedef struct value {
    value_kind kind;
    union {
        sema_node *node;
        const index_expr *index;
        dim size;
        double real;
        bool flag;
        struct {
            const char *text;
            span at; /* of the literal, with quotes; begin 0: not a literal */
        } string;
        dtype dt;
        struct {
            ast_op op; /* AST_EQ .. AST_GE */
            dim left, right;
        } cond;
        struct {
            struct value *items;
            uint32_t n;
        } list;
        const block_ref *block;
        const builtin *builtin;
        sema_file *module;
    };
} value;

/* ---- names ---- */

typedef enum {
    BIND_LET,
    BIND_POINT,
    BIND_PARAM,
    BIND_STATE,
    BIND_CONST,
    BIND_FORMAL,
    BIND_DIM,
    BIND_DTYPE,
    BIND_LOOP,
    BIND_AXIS,
    BIND_BLOCK
} bind_kind;
typedef enum { BIND_READY, BIND_PENDING, BIND_EVALUATING } bind_state;
typedef struct {
    const char *name;
    bind_kind kind;
    bind_state state;
    value v;
    span at;
    bool used;
    const ast_formal *formal; /* PENDING: its default gives the value */
    const char *origin;       /* DIM, DTYPE: the argument it was found from */
    frame *owner;             /* PENDING: where the default is evaluated */
    struct state_use *stored; /* STATE */
    sema_type visible;        /* STATE: the part of it that the declaration names */
} binding;

struct scope {
    scope *parent;
    VEC(binding *) names;
    ptrmap *map; /* name -> binding; made when the scope grows */
};

typedef struct {
    ast_decl *decl;
    bind_state state; /* CONST */
    value v;
} decl_entry;

struct sema_file {
    const source_file *source;
    const char *path;      /* normalised: its identity */
    const char *canonical; /* prefix of its blocks' names: "" (prelude), "bert.", "app.tfx:" */
    ast_file *ast;
    bool embedded;
    bool loading;
    ptrmap *decls;   /* name -> decl_entry */
    ptrmap *imports; /* alias -> sema_file (NULL value: failed to load) */
};

/* ---- activations ---- */

typedef struct builder_ctx {
    struct builder_ctx *outer;
    uint32_t n;
    const char *name[SEMA_MAX_RANK];
    dim extent[SEMA_MAX_RANK];
    scope *names;
    span at;
} builder_ctx;

/* A scan whose body is being elaborated in a frame. */
typedef struct scan_ctx {
    struct scan_ctx *outer; /* of the same frame */
    const scope *names;     /* holds the index and the carries: nothing further out can be assigned to */
    const ast_stmt *yield;  /* NULL: none yet */
    value *yielded;
    bool failed; /* a mistake was reported after which its results make no sense */
} scan_ctx;

/* One running block (or function, or the evaluation of a file's const). */
struct frame {
    frame *caller;
    sema_file *file;
    const ast_decl *decl;
    sema_instance *in;
    scope *names;
    scope *statics;
    const char *path;    /* the current scope path: the instance's, plus `scope` statements */
    uint32_t path_owner; /* which explicit naming ('@', scope, root) the path comes from */
    builder_ctx *builder;
    scan_ctx *scan; /* innermost */
    span call;      /* the call's callee in the caller */
    uint32_t depth;
    bool returned;
    bool aborted;       /* a requirement failed: what would follow makes no sense */
    bool checking_args; /* the arguments are being compared: mistakes are the caller's, no trace */
    value *results;     /* one per returned expression */
    const ast_exprs *returned_exprs;
};

typedef struct {
    dim left, right; /* left == right, or left <= right, has been required */
} sema_fact;

/* The index of a scan whose body is being elaborated: 0 <= symbol < extent. */
typedef struct {
    uint32_t symbol;
    dim extent;
} scan_index;

/* What `valid S by mask` says in the entry being elaborated. */
typedef struct {
    dim axis;
    sema_node *mask; /* bools; its last axis is `axis` */
    const char *name;
    span at;
    bool used;
} validity;

/* A let of a user's file, for the warning about unused ones. */
typedef struct {
    binding *const *names;
    uint32_t n;
    const binding *hidden; /* what the only name hides: a name of a scope further out; NULL: nothing */
} user_let;

struct sema {
    const sema_options *o;
    arena *a;
    interner *names;
    dim_ctx *dims;
    diags *diags;
    sema_program *program;
    sema_function *entry; /* being elaborated */
    sema_function *fn;    /* the same, or the body of the scan that is being elaborated in it */
    sema_file *root, *prelude;
    VEC(sema_file *) files;
    frame *frame; /* innermost */
    uint32_t steps;
    uint32_t recursion; /* of eval and exec */
    uint32_t entries;   /* of the model; 0: it has a signature of its own */
    uint32_t owners;    /* counter for frame.path_owner */
    uint32_t warnings, repeats;
    bool failed;      /* an error was reported */
    bool unbounded;   /* a dim without an upper bound was reported */
    bool stopped;     /* a limit was reached: everything unwinds */
    ptrmap *reported; /* places of errors: one error a place */
    diags *sink;      /* receives what is not to be shown */
    diag *open;       /* the last error, waiting for its trace */
    const char *open_trace;
    ptrmap *params;                /* path -> param_use */
    ptrmap *points;                /* place -> sema_point, of the entry being elaborated */
    ptrmap *states;                /* path -> state_use */
    VEC(sema_fact) facts;          /* equalities */
    VEC(sema_fact) orders;         /* left <= right */
    VEC(validity) valid;           /* axes whose valid elements are declared */
    VEC(scan_index) scan_indices;  /* outermost first */
    VEC(binding *) param_bindings; /* for the warnings about unused ones */
    VEC(user_let) lets;
    const ast_decl *model;
    sema_file *model_file;
};

/* ---- errors (sema.c) ---- */

/* An error at a place; a second error at the same place is swallowed. Never NULL. Marks the run as failed. */
diag *sema_error(sema *s, span at, const char *code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
diag *sema_warning(sema *s, span at, const char *code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void sema_close_error(sema *s);
/* Counts work; false once a limit is reached (reported at `at`). */
bool sema_step(sema *s, span at);
/* Bounds the C stack: across blocks, defaults and constants the syntax tree's own limit does not. The caller counts
 * s->recursion down again after true. */
bool sema_enter(sema *s, span at);
/* The innermost call made in a file of the user's that led here, and whether here is in the standard library. */
span sema_user_call(const sema *s, bool *inside_library);
bool sema_in_library(const sema *s, span at);   /* in a file that is inside the compiler */
const char *sema_where(const sema *s, span at); /* "std/bert.tfx:3:11" */
value sema_error_value(void);

/* ---- names (sema_scope.c) ---- */
scope *scope_new(sema *s, scope *parent);
binding *scope_add(sema *s, scope *in, const char *name, bind_kind kind, value v, span at);
binding *scope_find(const scope *in, const char *name);      /* in this scope and those around it */
binding *scope_find_here(const scope *in, const char *name); /* in this scope only */
/* The value of a name as seen from the current frame. Reports unknown names. */
value sema_lookup(sema *s, ast_name name);
binding *sema_lookup_binding(sema *s, const char *name);
value sema_file_lookup(sema *s, sema_file *f, const char *name, bool *found);
const char *sema_suggest(sema *s, const char *name);
/* "did you mean 'near'?" when there is a near one. */
void hint_near(diag *g, const char *near);
/* "b s d": names for the axes of a tensor in a pattern, from its dims; up to rank letters. */
const char *const *axis_names(sema *s, const sema_type *t);
value binding_value(sema *s, binding *b);

/* ---- files (sema_import.c) ---- */
sema_file *sema_file_new(sema *s, ast_file *ast, const char *path, bool embedded);
void sema_load_imports(sema *s, sema_file *f);
void sema_load_prelude(sema *s);

/* ---- types and dims (sema_types.c) ---- */
sema_type sema_type_of(dtype dt, uint32_t rank, const dim *shape);
const char *sema_type_text(sema *s, const sema_type *t);
const char *sema_dim_text(sema *s, dim d);
const char *sema_value_text(sema *s, const value *v); /* what it is, for "got:" lines: "f32[B, S]", "the integer 3" */
const char *sema_source_text(sema *s, span at);       /* as written, on one line */
const char *sema_hint_text(sema *s, span at);         /* the same where it can be repeated in a hint, else "..." */
bool sema_dims_equal(sema *s, dim a, dim b);          /* provably, with the facts */
bool sema_dims_equal_plain(sema *s, dim a, dim b);    /* without the facts */
/* An axis of size `got` can stand where `want` is: it is the same expression, or equal by a fact and can be cut to it.
 */
bool sema_dims_fit(sema *s, dim want, dim got);
bool sema_dims_differ(sema *s, dim a, dim b); /* provably */
/* Provably a <= b: by the bounds, by what has been required, and at every step of the scans around. */
bool sema_dim_le(sema *s, dim a, dim b);
/* "equal only if P == 0; 0 <= P <= 4095" and what to do about it. */
void sema_explain_dims(sema *s, diag *g, dim left, dim right, bool sides);
bool sema_dtype_by_name(const char *name, dtype *out);
bool sema_dtype_in_language(dtype t);               /* can be computed with: not a storage-only format */
void sema_unknown_type(sema *s, const ast_type *t); /* reports it */
/* A type in the current frame: dtype variables and dims evaluated. False after reporting. `...` must be bound there. */
bool sema_eval_type(sema *s, const ast_type *t, sema_type *out);
bool sema_eval_dim(sema *s, const ast_expr *e, dim *out);
bool is_compile_time_type(const ast_type *t); /* int, float, bool, string, dtype, dim */
/* Compares two dims of V_INT: V_BOOL or V_COND. */
value sema_compare_dims(sema *s, ast_op op, dim a, dim b);

/* ---- nodes (sema_node.c) ---- */
sema_node *sn_new(sema *s, sema_op op, sema_type ty, span at, sema_node *const *args, uint32_t n);
value sema_tensor_value(sema_node *n);
sema_node *sn_const(sema *s, sema_type ty, double v, int64_t i, span at);
sema_node *sn_iota(sema *s, sema_type ty, int axis, span at);
sema_node *sn_dim(sema *s, dtype dt, dim d, span at); /* rank 0 */
sema_node *sn_cast(sema *s, sema_node *a, dtype to, span at);
sema_node *sn_broadcast(sema *s, sema_node *a, uint32_t rank, const dim *shape, const uint8_t *axes, span at);
/* Stretches `a` to `shape`, its axes aligned with the last ones. A no-op when it has that shape. */
sema_node *sn_stretch(sema *s, sema_node *a, uint32_t rank, const dim *shape, span at);
sema_node *sn_scalar(sema *s, sema_scalar op, sema_node *const *args, uint32_t n, dtype result, span at);
sema_node *sn_transpose(sema *s, sema_node *a, const uint8_t *perm, span at);
sema_node *sn_reshape(sema *s, sema_node *a, uint32_t rank, const dim *shape, span at);
sema_node *sn_slice(sema *s, sema_node *a, const dim *start, const int64_t *step, const dim *size, span at);
/* a, in which the box from `start` on that has part's shape holds part. */
sema_node *sn_update(sema *s, sema_node *a, sema_node *part, const dim *start, span at);
/* Result i of a node that has several, of type ty. */
sema_node *sn_result(sema *s, sema_node *of, uint32_t i, sema_type ty, span at);
sema_node *sn_reduce(sema *s, sema_node *a, sema_reduce kind, const uint8_t *axes, uint32_t n, span at);

/* ---- expressions (sema_expr.c, sema_ops.c, sema_builder.c, sema_element.c) ---- */
value eval(sema *s, const ast_expr *e);
value eval_int_const(sema *s, const ast_expr *e,
                     int64_t *out); /* V_ERROR after reporting when not a constant integer */
value apply_unary(sema *s, const ast_expr *e, value x);
value apply_binary(sema *s, const ast_expr *e, value x, value y);
/* One elementwise scalar op on any mix of tensors, cells and compile-time numbers. `at[i]` is the place of operand i.
 */
value apply_scalar(sema *s, sema_scalar op, value *args, const span *at, uint32_t n, span op_at, span whole);
value eval_index(sema *s, const ast_expr *e, value base);
/* The part of a tensor that indices name outside of set-builders. */
typedef struct {
    dim start[SEMA_MAX_RANK], size[SEMA_MAX_RANK];
    bool dropped[SEMA_MAX_RANK]; /* a single position: no axis of the part as it is read */
    sema_type part;              /* the part as it is read */
} index_box;
bool sema_index_box(sema *s, const ast_indices *list, const sema_type *t, span at, index_box *out);
value eval_builder(sema *s, const ast_expr *e);
/* An index expression as a cell of dtype dt. */
sema_node *index_cell(sema *s, const index_expr *x, dtype dt, span at);
value index_arith(sema *s, const ast_expr *e, value x, value y); /* at least one V_INDEX, the other V_INDEX or V_INT */
value index_of_tensor(sema *s, const ast_expr *e, value base);   /* t[...] inside a builder */
dtype index_dtype(sema *s, const index_expr *x); /* the narrower of i32 and i64 that holds all its values */
index_expr *index_of_dim(sema *s, dim d);
const index_expr *as_index(sema *s, const value *v);                  /* of a V_INDEX or V_INT */
void index_bounds(sema *s, const index_expr *x, dim *low, dim *high); /* all values of x lie in [*low, *high] */
/* The common shape of elementwise operands. False after reporting. */
bool sema_join_shapes(sema *s, const sema_type *a, const sema_type *b, span a_at, span b_at, span op_at,
                      sema_type *out);
/* Row of scalar.def by the name of its function; false when there is none. */
bool scalar_by_name(const char *name, sema_scalar *op, uint32_t *arity);
value sema_cast_value(sema *s, value v, dtype to, span at);

/* ---- calls (sema_call.c, sema_builtin.c, sema_einsum.c, sema_rearrange.c) ---- */
value eval_call(sema *s, const ast_expr *e);
const char *signature_text(sema *s, const char *name, const ast_sig *sig);
/* A compile-time argument or default as its formal's type wants it. V_ERROR after reporting. */
value coerce_formal(sema *s, const ast_formal *f, value v, span at, const char *callee);
/* Its default is `none` or `valid`: it may be left out, or be given none. */
bool is_optional(const sema *s, const ast_formal *f);
/* sema_valid.c. The default of a formal is `valid`. */
bool is_validity(const sema *s, const ast_formal *f);
void declare_validity(sema *s, const ast_validities *list);
void warn_unused_validity(sema *s);
/* What such a formal holds that was left out at a call, whose dims are bound in f: a tensor or none. V_ERROR after
 * reporting. */
value find_validity(sema *s, frame *f, const ast_formal *formal, span call, const char *callee);
/* Whether a bare name in a formal's type stands for a dim to be found, rather than for a known value. */
bool binds_dim(sema *s, const frame *f, const ast_sig *sig, const char *name);
/* What the current frame returned, checked against its signature: one value per result, or NULL after reporting. */
value *check_results(sema *s, const ast_sig *sig, const ast_body *body, const char *name);
value call_builtin(sema *s, const builtin *b, const ast_expr *call);
const builtin *builtin_find(const char *name);
void builtin_names(sema *s, name_list *out);
/* Which of the arguments `names` an unknown one may have been meant to be. */
void hint_argument(diag *g, const char *name, const name_list *names);
value builtin_einsum(sema *s, const ast_expr *call);
value builtin_rearrange(sema *s, const ast_expr *call);

/* ---- statements (sema_stmt.c, sema_assign.c, sema_state.c, sema_scan.c) ---- */
/* Runs a body in a new scope; stops at a return. */
void exec_body(sema *s, const ast_body *b);
void exec_require(sema *s, const ast_exprs *conds, bool is_where);
void exec_assign(sema *s, const ast_stmt *st);
void exec_state(sema *s, const ast_stmt *st);
void exec_yield(sema *s, const ast_stmt *st);
value eval_scan(sema *s, const ast_expr *e);
/* Refuses what cannot stand inside a scan; true when this is inside one. */
bool sema_not_in_scan(sema *s, span at, const char *what);
/* What a BIND_STATE holds now, and giving it a new value of the same type. */
value state_read(sema *s, binding *b);
void state_write(sema *s, binding *b, sema_node *v, span at);
bool sema_interpolate(sema *s, ast_name text, const char **out); /* "layer.{l}" -> "layer.3"; "{*}" is kept */
const char *sema_join_path(sema *s, const char *base, const char *rel);

/* ---- functions (sema_model.c), parameters and weights (sema_param.c, sema_weights.c) ---- */
void elaborate_model(sema *s);
void exec_param(sema *s, const ast_stmt *st);
/* Two parameters or states of one path that no '@' tells apart. */
void report_ambiguous(sema *s, const ast_stmt *st, const char *path, const sema_instance *first_in, span first);
void warn_unused_params(sema *s);
void warn_unused_lets(sema *s);
/* Where to put the caret for a mistake about a parameter: the innermost call in the user's file, else its declaration.
 */
span param_place(const sema *s, const sema_param *p);
/* "param 'weight' of 'linear' (std/prelude.tfx:2:3), via std/bert.tfx:3:11" */
const char *param_story(sema *s, const sema_param *p);
void check_weights(sema *s);

/* ---- policies (sema_policy.c, sema_place.c) ---- */
/* Checks the form of all rules of the file; those of the model are resolved as well when `whole`: it has been
 * elaborated without errors. */
void check_policies(sema *s, bool whole);
typedef struct place_finder place_finder;
place_finder *place_finder_new(sema *s); /* over the instances, points and parameters of the program */
/* Finds what the rule's place names, adds it to `out`, and holds its number against `expect`. False after reporting. */
bool find_place(place_finder *f, const ast_rule *r, sema_rule *out);

sema_instance *sema_instance_new(sema *s, sema_instance *parent, const char *block, const char *written,
                                 const char *path, span call);

#endif
