/* Sema: from syntax trees to an elaborated, typed program. Every mistake a user can make is found here.
 *
 * Elaboration runs the model's statements: compile-time values are computed, loops unroll, each block call becomes an
 * instance with a scope path, and each operation on tensors becomes a node with a dtype and symbolic dims. What comes
 * out has no names to resolve and nothing to infer; build_ir turns it into tensor IR node by node.
 *
 * The element types and the operations are the tables ir/dtypes.def, ir/ops.def and ir/scalar.def, which every room
 * shares; of the IR itself only build_ir.c knows anything. */
#ifndef FRONTEND_SEMA_H
#define FRONTEND_SEMA_H

#include "frontend/ast.h"
#include "ir/dtype.h"
#include "ir/policy.h"
#include "support/dims.h"

#define SEMA_MAX_RANK 8

typedef struct {
    dtype dt;
    uint8_t rank;
    dim shape[SEMA_MAX_RANK];
} sema_type;

/* One call of a block (or, with parent NULL, the body of a function). */
typedef struct sema_instance {
    uint32_t id; /* dense in the program */
    struct sema_instance *parent;
    const char
        *block; /* "gelu" (prelude), "bert.layer" (std/bert.tfx), "app.tfx:layer" (a user's file); NULL for a root */
    const char *written; /* the callee as the caller wrote it, for messages */
    const char *path;    /* absolute scope path, "" at the root */
    span call;           /* the call's callee */
    span named;          /* the string after its '@'; begin 0: none */
} sema_instance;

/* ---- weights ---- */

/* What the weights file holds. Filled by the caller of sema from the file's header. */
typedef struct {
    const char *name;
    dtype dt;
    uint32_t rank;
    int64_t shape[SEMA_MAX_RANK];
} weights_entry;
typedef struct {
    const char *file; /* as shown in messages */
    uint32_t count;
    const weights_entry *entries;
} weights_view;

/* Where a parameter's elements come from: views of file tensors. Sizes are constant. */
typedef enum { SW_FILE, SW_CAST, SW_SLICE, SW_TRANSPOSE, SW_CONCAT, SW_STACK } sema_weight_kind;
typedef struct sema_weight {
    sema_weight_kind kind;
    dtype dt;
    uint8_t rank;
    int64_t shape[SEMA_MAX_RANK];
    uint32_t n_args;
    const struct sema_weight *const *args;
    union {
        uint32_t entry; /* FILE: index in the weights_view */
        int64_t start[SEMA_MAX_RANK];
        uint8_t perm[SEMA_MAX_RANK]; /* result axis i is argument axis perm[i] */
        int axis;                    /* CONCAT; STACK puts a new leading axis */
    };
} sema_weight;

typedef struct {
    uint32_t id;
    const char *path; /* its identity; with "{*}" for a stack of tensors */
    const char *name; /* as declared */
    sema_type ty;     /* sizes constant */
    uint32_t stack;   /* tensors stacked along axis 0 where path has "{*}"; 0: none */
    span declared;
    sema_instance *in;      /* the first instance that declared it */
    const char *shape_text; /* "(out, K)": the sizes as declared */
    const char *tied;       /* a plain map rule's target: parameters with one target share their elements; NULL: none */
    const sema_weight *source; /* NULL without a weights file */
} sema_param;

/* A tensor that lives between runs: zero when the model is opened or reset, allocated at the bounds of its dims. */
typedef struct {
    uint32_t id;
    const char *path; /* its identity */
    sema_type ty;     /* sizes constant: the bounds */
    span declared;
} sema_state;

/* ---- nodes ---- */

typedef enum {
#define SCALAR(name, NAME, arity, operands, result, f, i, math) SCALAR_##NAME,
#include "ir/scalar.def"
#undef SCALAR
    SCALAR_COUNT
} sema_scalar;

/* What a node does: the op of ir/ops.def of that name, or one of those below. Operands have exactly the shapes that
 * the op needs: broadcasts are explicit nodes. */
typedef enum {
#define OP(name, NAME, lo, hi, props, attrs, axes, math) SN_##NAME,
#include "ir/ops.def"
#undef OP
    SN_INPUT,  /* an input of the function */
    SN_STATE,  /* what a state holds when the function begins */
    SN_RESULT, /* result `axis` of its operand, which has several; the operand itself stands for the first */
    SN_DIM,    /* rank 0: the value of a dim, as an integer dtype */
    SN_SCALAR, /* a row of scalar.def */
} sema_op;

typedef enum { SEMA_SUM, SEMA_MEAN, SEMA_MAX, SEMA_MIN } sema_reduce;

typedef struct sema_node sema_node;
typedef struct sema_function sema_function;
struct sema_node {
    sema_op op;
    sema_function *fn;
    uint32_t id; /* dense in the program */
    sema_type ty;
    span at;
    sema_instance *in;
    uint32_t n_args;
    sema_node **args;
    union { /* what the op needs beside its operands; its attributes in the IR are made of it (build_ir.c) */
        uint32_t input; /* INPUT: index of the function's input */
        dim size;       /* DIM */
        sema_scalar scalar;
        sema_param *param;
        double value;   /* CONST of a float dtype; the scale of ATTENTION */
        int64_t ivalue; /* CONST of another dtype */
        sema_state *state;
        struct {
            int axis;      /* of ops with one axis */
            int64_t count; /* TOP_K */
        };
        struct { /* of ops with several */
            uint8_t n;
            uint8_t v[SEMA_MAX_RANK];
            sema_reduce reduce; /* REDUCE */
            bool rms;           /* NORMALIZE */
            double eps;
        } axes;
        struct {
            dim start[SEMA_MAX_RANK];
            int64_t step[SEMA_MAX_RANK]; /* SLICE */
        } slice;                         /* SLICE, UPDATE */
        struct {
            sema_function *body; /* takes the node's operands, gives the new carries, then the yields */
            dim index, extent;   /* the index is a symbol that only the body uses */
            uint32_t n_carries;
        } scan;
        char label[3][SEMA_MAX_RANK]; /* CONTRACT: a letter per axis of operand 0, operand 1 and the result */
    };
};

/* ---- functions ---- */

typedef struct {
    const char *name;
    const char *doc; /* from the source, here and below; NULL: none */
    sema_type ty;    /* inputs that are `dim` arguments are no tensors: they are symbols of the dim_ctx */
    sema_node *node; /* inputs: the SN_INPUT node; results: the value */
    span at;
} sema_port;

typedef struct {
    const char *place; /* "vit.encoder.layer.0:attended" */
    sema_node *node;
    span at;
} sema_point;

typedef struct {
    sema_state *state;
    sema_node *in, *out; /* at the beginning and at the end */
} sema_state_port;

typedef enum { SEMA_CHECK_EQ, SEMA_CHECK_LE } sema_check_op;
typedef struct {
    sema_check_op op;
    dim left, right; /* a fact that the function requires of its dims and that only a run can show */
    span at;
} sema_check;

/* An entry, or the body of a scan. */
struct sema_function {
    const char *name;
    const char *doc; /* of an entry */
    span at;
    sema_instance *root; /* NULL: a body */
    VEC(sema_port) inputs;
    VEC(sema_port) results;
    VEC(sema_point) points;
    VEC(sema_node *) valid; /* masks of which elements of their last axis count */
    VEC(sema_state_port) states;
    VEC(sema_check) checks;
    VEC(sema_node *) nodes; /* in an order in which operands come first */
};

/* A rule of the model's policies, and where it points. */
typedef struct {
    sema_function *fn;
    const char *place;
} sema_rule_point;
typedef struct {
    const policy_verb *verb;
    const char *subject; /* NULL: none */
    policy_relation relation;
    const char *place;
    const policy_value *args;       /* one per parameter of the verb */
    VEC(sema_instance *) instances; /* IN */
    VEC(sema_rule_point) points;    /* AFTER, BEFORE */
    span at;
} sema_rule;

typedef struct {
    const char *name; /* the model's */
    const char *doc;
    span at;
    dim_ctx *dims;
    const weights_view *weights; /* NULL: random */
    VEC(sema_function *) functions;
    VEC(sema_param *) params;
    VEC(sema_state *) states;
    VEC(sema_instance *) instances;
    VEC(sema_rule *) rules;
    uint32_t n_nodes, n_scans;
} sema_program;

/* ---- running sema ---- */

typedef struct {
    arena *arena;
    interner *names;
    source_set *sources;
    diags *diags;
    dim_ctx *dims;
    const char *model;         /* which model of the file to compile; NULL: its only one */
    bool embedded_only;        /* import nothing from disk (for tests on untrusted text) */
    const policy_verbs *verbs; /* what rules may ask for; NULL: nothing */
    /* Called once with the file named by the model's weights clause (NULL: it has none), relative to the model's file.
     * Fills *out and returns true; or false when there is nothing to check against: then `*failed` tells whether that
     * is an error, which has been reported. */
    bool (*open_weights)(void *arg, const source_file *model_file, const char *clause, span at, weights_view *out,
                         bool *failed);
    void *open_arg;
} sema_options;

/* The program of the model in `root`; NULL after reporting at least one error. */
sema_program *sema_run(const sema_options *o, ast_file *root);

/* "f32[B, S, 384]" */
void sema_type_print(const dim_ctx *c, const sema_type *t, strbuf *out);

#endif
