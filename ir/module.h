/* The tensor IR: a module of functions that share parameters.
 *
 * A function is a list of nodes in SSA form without control flow; a node applies one op of ops.def (or one scalar op of
 * scalar.def) to values and has one or several results. Everything lives in the module's arena and has a dense id, so
 * passes keep their scratch in side tables indexed by id. Nodes keep all source positions they were made from, and the
 * block instance (named region) that they belong to.
 *
 * Functions are entries, or bodies that a scan runs. What lasts between runs is a state: an entry sees it as a value at
 * its start and says which value it is at its end, so a pass that knows values knows states. */
#ifndef IR_MODULE_H
#define IR_MODULE_H

#include "ir/dtype.h"
#include "ir/policy.h"
#include "support/diag.h"
#include "support/dims.h"
#include "support/vec.h"

#define MAX_RANK 8
#define MAX_SCAN_DEPTH 32 /* scans inside of scans */

typedef enum {
#define OP(name, NAME, lo, hi, props, attrs, axes, math) OP_##NAME,
#include "ir/ops.def"
#undef OP
#define SCALAR(name, NAME, arity, operands, result, f, i, math) OP_##NAME,
#include "ir/scalar.def"
#undef SCALAR
    OP_COUNT
} op_kind;

enum {
    P_PURE_VIEW = 1,
    P_COMMUTES = 2,
    P_LEAF = 4,
    P_ELEMENTWISE = 8,
    P_TYPED = 16,
    P_SEVERAL = 32,
    P_INTERPRETED = 64,
    P_COUNTS = 128
};
typedef enum {
    X_NONE,
    X_POINTWISE,
    X_BROADCAST,
    X_TRANSPOSE,
    X_RESHAPE,
    X_SLICE,
    X_CONCAT,
    X_LABELS,
    X_REDUCE,
    X_ROWWISE,
    X_ATTENTION,
    X_GATHER,
    X_UPDATE,
    X_TOP_K,
    X_RUNS,
    X_OPAQUE
} op_axes;

typedef enum {
#define ENCODING(name, NAME, params, math) ENC_##NAME,
#include "ir/encodings.def"
#undef ENCODING
    ENC_COUNT
} encoding_kind;
typedef struct {
    encoding_kind kind;
    int32_t param; /* panel: nr */
} encoding;

typedef struct {
    dtype dt;
    uint8_t rank;
    encoding enc;
    dim shape[MAX_RANK];
} type;

/* ---- attributes ---- */
typedef enum {
#define ATTR(name, NAME, KIND) ATTR_##NAME,
#include "ir/attrs.def"
#undef ATTR
    N_ATTRS
} attr_name;
typedef enum {
    AK_INT,
    AK_INTS,
    AK_DIM,
    AK_DIMS,
    AK_DTYPE,
    AK_REAL,
    AK_LABELS,
    AK_PARAM,
    AK_BODY,
    AK_ENUM_REDUCE,
    AK_ENUM_NORM
} attr_kind;
typedef enum { REDUCE_SUM, REDUCE_MEAN, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD, REDUCE_ANY, REDUCE_ALL } reduce_kind;
typedef enum { NORM_STANDARD, NORM_RMS } norm_mode;

/* einsum of two operands: label[o][i] is the letter of axis i of operand o (0, 1) or of the result (2). */
typedef struct {
    uint8_t rank[3];
    char label[3][MAX_RANK];
} labels;

typedef struct param param;
typedef struct function function;
typedef struct {
    attr_name name;
    bool set;
    union {
        int64_t i;   /* INT, ENUM_x */
        double real; /* REAL */
        dim d;       /* DIM */
        dtype dt;    /* DTYPE */
        struct {
            uint8_t n;
            int64_t v[MAX_RANK];
        } ints; /* INTS */
        struct {
            uint8_t n;
            dim v[MAX_RANK];
        } dims;      /* DIMS */
        labels lab;  /* LABELS */
        param *p;    /* PARAM */
        function *f; /* BODY */
    } u;
} attr;
#define MAX_ATTRS 4

/* ---- values, nodes, functions ---- */
typedef struct node node;
typedef struct module module;
typedef struct region region;
typedef struct value value;

typedef struct use {
    node *user;     /* NULL: it leaves the function */
    bool state;     /* it leaves as the value of a state */
    uint32_t index; /* which operand, function result or state of the function */
    struct use *next;
} use;

struct value {
    uint32_t id; /* dense in the module */
    type ty;
    node *def;        /* NULL: an argument, or a state at the start */
    uint32_t index;   /* which result of def */
    function *fn;     /* where def is NULL: whose argument or state it is */
    const char *name; /* arguments and named values; else NULL (printed as %id) */
    use *uses;        /* kept exact by the builders and replace functions */
};

struct node {
    op_kind op;
    uint32_t n_operands;
    value **operands;
    uint32_t n_results; /* at least 1 */
    value **results;
    value *result;         /* results[0] */
    attr attrs[MAX_ATTRS]; /* in the row's order */
    region *in;            /* innermost block instance; never NULL (the function's root region) */
    span *sources;         /* all positions it was made from, the first is the main one */
    uint32_t n_sources;
    function *fn;
    node *prev, *next;
};

/* A block instance of the source program: the unit a pass may claim as a whole and a policy addresses by path. */
struct region {
    uint32_t id;
    region *parent;    /* NULL: root of a function */
    const char *block; /* "gelu", "bert.layer"; NULL for a root */
    const char *path;  /* absolute scope path, "encoder.layer.0.attention.self"; "" at the root */
    span call;
};

/* A promised name for a value: `point attended = ...` in scope P is "P:attended". */
typedef struct {
    const char *place;
    value *v;
} point;

typedef struct {
    const char *name;
    const char *doc; /* what the source says of it, here and below; NULL: nothing */
    value *v;
} named_value;

/* What lasts between runs: a KV cache. The path is its identity, so entries that name one path share it. Zeros when a
 * model is opened and after a reset. */
typedef struct {
    uint32_t id; /* its place in module.states */
    const char *path;
    type ty; /* sizes constant: allocated at the bounds of its dims */
    span declared;
} state_var;

/* A state as a function threads it: `in` at its start, `out` at its end (in: it is only read). */
typedef struct {
    state_var *s;
    value *in, *out;
} function_state_entry;

typedef struct {
    dim lhs;
    enum { CHECK_EQ, CHECK_LE, CHECK_MULTIPLE } op; /* multiple: rhs, a constant, divides lhs */
    dim rhs;
    span at;
} dim_check;

typedef enum { FUNCTION_ENTRY, FUNCTION_BODY } function_kind;

struct function {
    function_kind kind;
    const char *name; /* an entry's name; a model without entries has one named as the model */
    const char *doc;  /* an entry's */
    uint32_t id;      /* dense over entries and bodies */
    VEC(named_value) args;
    VEC(named_value) results; /* change with function_set_result so that uses stay exact */
    /* Of entries only: */
    VEC(function_state_entry) states; /* change with function_set_state so that uses stay exact */
    VEC(point) points;
    VEC(value *) valid;    /* masks bool[B, S]: what is at places of an axis S where they are false does not count */
    VEC(dim_check) checks; /* `require` and `where` facts that cannot be proved: tested before each run */
    node *scan;            /* of a body: the one node that runs it; NULL: not yet, or dropped with its node */
    region *root;
    node *first, *last;
    module *m;
};

typedef struct cexpr cexpr; /* ir/constant.h */
struct param {
    uint32_t id;
    const char *path;   /* identity: "encoder.layer.0.attention.self.query.weight" */
    type ty;            /* sizes constant */
    const cexpr *value; /* where its elements come from */
    span declared;
};

/* An `optimize` rule: which pass is asked for, where and with what. The place is resolved when the module is made,
 * before any pass runs; regions stay, and a point that goes is taken from the rules (function_remove_point). The runner
 * takes a rule out of the module when it hands it to its pass. */
typedef struct {
    function *fn;
    const char *place;
} policy_point;
typedef struct {
    const char *verb;
    const char *subject; /* the block that it is about; NULL: whatever stands at the place */
    policy_relation relation;
    const char *place;     /* as written */
    VEC(policy_arg) args;  /* all of the verb's, those left out too */
    VEC(region *) regions; /* IN: block instances, or the root of a function; each stands for all regions within it */
    VEC(policy_point) points; /* AFTER, BEFORE */
    span at;
} policy_rule;

struct module {
    arena *a;
    interner *names;
    source_set *sources; /* may be NULL for modules parsed from .tir */
    dim_ctx *dims;
    const char *name; /* the model's name */
    const char *doc;
    VEC(function *) functions; /* the entries */
    VEC(function *) bodies;    /* in no order that means something, see module_walk */
    VEC(state_var *) states;
    VEC(param *) params; /* change with module_param and module_remove_param alone */
    ptrmap *params_by_path;
    VEC(region *) regions;
    VEC(policy_rule *) policy;        /* in the order of the source */
    VEC(struct weights_file *) files; /* opened by module_parse for its constants */
    uint32_t n_values, n_nodes, n_functions;
};

/* ---- tables ---- */
typedef struct {
    const char *name;
    int8_t min_operands, max_operands; /* max -1: any number */
    uint8_t props;
    uint8_t n_attrs;
    uint8_t attrs[MAX_ATTRS]; /* attr_name */
    op_axes axes;
    const char *math;
} op_info;
const op_info *op_row(op_kind op);
bool op_commutes(op_kind op); /* operands 0 and 1 may be swapped without changing one bit of the result */
bool op_find(const char *name, size_t n, op_kind *out);
uint32_t op_result_count(op_kind op, const attr *attrs); /* of a node of this op; attrs in the row's order */
/* The reference of all ops, dtypes and encodings as Markdown, from the tables (docs/ops.md). */
void ops_print_reference(strbuf *out);

/* ---- attributes by kind (ir/attrs.c) ---- */
const char *attr_text(attr_name a); /* "axis" */
attr_kind attr_kind_of(attr_name a);
bool attr_is_optional(attr_name a); /* an op that has it may leave it out */
bool attr_find(const char *name, size_t n, attr_name *out);
bool attr_equal(const attr *a, const attr *b); /* reals by their bits */
uint64_t attr_hash(const attr *a, uint64_t seed);
void attr_print(const module *m, const attr *a, strbuf *out); /* the value alone: "[0, 2]" */
const char *reduce_name(reduce_kind k);
const char *norm_name(norm_mode k);
/* "abk,nk->abn"; false when it is malformed (only the form is checked here, see infer_contract for the meaning). */
bool labels_parse(const char *s, size_t n, labels *out);

/* ---- construction ---- */
/* Paths, places and names are interned by these functions; nothing else is copied. */
module *module_new(arena *a, interner *names, source_set *sources, dim_ctx *dims, const char *name);
function *function_new(module *m, const char *name);
value *function_arg(function *f, const char *name, type ty);
void function_add_result(function *f, const char *name, value *v);
void function_set_result(function *f, uint32_t i, value *v);
/* A function that a scan runs. A name that is taken gets a number behind it. Its arguments and results are made like
 * those of an entry; build_scan says what they mean. */
function *body_new(module *m, const char *name);
/* All entries and bodies, each body behind the function whose scan runs it. In arena a. */
function **module_walk(const module *m, arena *a, uint32_t *n);
/* The state at `path`, made at the first use. Asserts that the type agrees on later ones. */
state_var *module_state(module *m, const char *path, type ty, span declared);
state_var *module_find_state(const module *m, const char *path);
value *function_state(function *f,
                      state_var *s); /* what the state holds at the start; threaded from the first use on */
void function_set_state(function *f, state_var *s, value *out); /* what it holds at the end; the last call counts */
void function_add_point(function *f, const char *place, value *v);
void function_remove_point(function *f, uint32_t i);
void function_add_valid(function *f, value *mask);
void function_remove_valid(function *f, const value *mask); /* where it is one */
bool function_has_valid(const function *f, const value *mask);
const point *function_find_point(const function *f, const char *place); /* NULL: none has that name */
region *region_new(module *m, region *parent, const char *block, const char *path, span call);
/* The parameter at `path`, made at the first use. Asserts that type agrees on later ones. */
param *module_param(module *m, const char *path, type ty, const cexpr *v, span declared);
param *module_find_param(const module *m, const char *path);
void module_remove_param(module *m, param *p); /* asserts nothing: the caller knows that no node refers to p */
/* A rule without arguments and places, at the end of m->policy. */
policy_rule *policy_rule_new(module *m, const char *verb, const char *subject, policy_relation relation,
                             const char *place, span at);
void policy_rule_add_arg(module *m, policy_rule *r, const char *name, policy_value v); /* words and lists are copied */
const policy_value *policy_rule_arg(const policy_rule *r, const char *name); /* asserts that the rule has it */
void policy_rule_print(const policy_rule *r, strbuf *out); /* 'narrow_weights linear in "a.**" (to = "bf16")' */
/* The entry or body that r is a region of; NULL when that is gone. */
function *region_function(const module *m, const region *r);
bool region_within(const region *r, const region *outer); /* r is outer or inside it */
region *region_common(region *a, region *b);              /* the innermost region around both (one function) */

type type_make(dtype dt, uint32_t rank, const dim *shape);
bool type_equal(const type *a, const type *b);
void type_print(const module *m, const type *t, strbuf *out); /* "f32[B, S, 384]" (+ "{panel 32}") */
dim type_elements(module *m, const type *t);
bool type_is_const(const module *m, const type *t, int64_t *shape); /* all sizes constant (shape may be NULL) */

/* Where new nodes go and what they are marked with. */
typedef struct {
    function *fn;
    node *before; /* NULL: at the end */
    region *in;   /* NULL: the root */
    span at;
    node *like; /* when set, sources and region are taken from this node instead */
} builder;

/* The builder of nodes before `n`, marked like it. */
builder builder_before(node *n);

/* Typed builders of what passes and tests make; operands must already fit: a violation is an assert. */
value *build_param(builder *b, param *p);
value *build_const(builder *b, dtype dt, uint32_t rank, const dim *shape, double v);      /* float dtypes */
value *build_const_int(builder *b, dtype dt, uint32_t rank, const dim *shape, int64_t v); /* int and bool dtypes */
value *build_iota(builder *b, dtype dt, uint32_t rank, const dim *shape, int axis);
value *build_cast(builder *b, value *a, dtype to); /* returns a when nothing changes */
value *build_broadcast(builder *b, value *a, const int *axes, uint32_t rank, const dim *shape);
value *build_transpose(builder *b, value *a, const int *perm);
value *build_reshape(builder *b, value *a, uint32_t rank, const dim *shape);
value *build_slice(builder *b, value *a, const dim *start, const dim *size, const int64_t *step);
value *build_concat(builder *b, value *const *parts, uint32_t n, int axis);
value *build_contract(builder *b, value *x, value *y, const labels *l);
value *build_reduce(builder *b, value *a, reduce_kind k, const int *axes, uint32_t n);
value *build_softmax(builder *b, value *a, int axis);
value *build_normalize(builder *b, value *a, norm_mode mode, const int *axes, uint32_t n, double eps);
/* mask NULL: all keys; bias NULL: none */
value *build_attention(builder *b, value *q, value *k, value *v, value *mask, value *bias, double scale);
/* Query i sees the keys i + from .. i + to. */
typedef struct {
    bool has_from, has_to;
    dim from, to;
} attention_band;
value *build_banded_attention(builder *b, value *q, value *k, value *v, value *mask, value *bias, double scale,
                              attention_band band);
attention_band attention_band_of(const node *n); /* of an attention node */
value *attention_mask(const node *n);            /* NULL: none */
value *attention_bias(const node *n);
value *attention_offsets(const node *n);
value *attention_positions(const node *n);
value *build_gather(builder *b, value *table, value *ids, int axis);
/* Packing: only the elements where mask bool[B, S] is true, one after the other. `tokens` is a symbol of origin
 * DIM_DATA, which holds how many there are from `positions` on. */
value *build_offsets(builder *b, value *mask);
value *build_positions(builder *b, value *mask, value *offsets, dim tokens, int along); /* along -1: flat numbers */
value *build_unpack(builder *b, value *packed, value *mask, value *offsets);
/* q, k and v are packed by the mask that offsets are of. positions (NULL: the band goes by packed rows) are its
 * columns; bias (NULL: none) needs them. */
value *build_ragged_attention(builder *b, value *q, value *k, value *v, value *offsets, value *positions, value *bias,
                              double scale, attention_band band);
/* r = a, but for the box of b's shape that begins at start, which holds b. */
value *build_update(builder *b, value *a, value *box, const dim *start);
/* The count largest elements along axis, in falling order, first of equals first: results are the elements and their
 * indices, i64. */
node *build_top_k(builder *b, value *a, int axis, int64_t count);
/* Runs `body`, which no other scan runs, for index = 0 .. extent - 1. `index` is a symbol of origin DIM_DATA whose
 * bounds hold these values; several scans may use the same one, but not one inside the other. The operands are the
 * initial carries, then captured values, and are the body's arguments in each run but that carries are the ones of the
 * run before. The body's results are the new carries, then what is yielded; the node's are the last carries, then each
 * yielded value stacked on a new axis 0. */
node *build_scan(builder *b, function *body, dim index, dim extent, uint32_t n_carries, value *const *operands,
                 uint32_t n_operands);
value *build_scalar(builder *b, op_kind op, value *const *operands, uint32_t n); /* any row of scalar.def */
/* Any op from parts, the result types inferred (or checked, when `ty` is given: leaves, reshape, broadcast, cast need
 * it); the first result. NULL with *why set (in the module's arena) when the operands do not fit: used by the parser
 * and by generic rewrites. */
value *build_node(builder *b, op_kind op, value *const *operands, uint32_t n, const attr *attrs, const type *ty,
                  const char **why);
/* build_node for operands that are known to fit: a violation is an assert. */
value *build_op(builder *b, op_kind op, value *const *operands, uint32_t n, const attr *attrs, const type *ty);

/* ---- access and change ---- */
const attr *node_attr(const node *n, attr_name name); /* asserts that the op has it */
uint32_t value_use_count(const value *v);
bool value_is_output(const value *v);
void value_replace(function *f, value *old, value *with); /* all uses, results, states, points and declared masks */
void node_set_operand(node *n, uint32_t i, value *v);
bool node_is_used(const node *n);      /* some result of it is */
void node_move(node *n, node *before); /* operands and readers are the caller's concern */
void node_erase(node *n);              /* asserts that no result has uses; its body goes with it */
void node_add_sources(module *m, node *n, const node *from); /* a fused node keeps all of its sources' (up to 256) */
bool value_const_splat(const value *v, double *out);         /* v is a const (through broadcast/cast) */

#define function_foreach(n, f) for (node *n = (f)->first, *n##_next; n && (n##_next = n->next, true); n = n##_next)

/* ---- shape inference (ir/infer.c): infer_##name per row ---- */
typedef struct {
    module *m;
    const char *why; /* set on failure, in the module's arena */
} infer_ctx;
/* The result types of an op: `out` has room for op_result_count of them. `given` is the type that leaves and re-shaping
 * ops carry (NULL elsewhere; when it is set for an op that infers its type, it is not looked at). attrs are in the
 * row's order. */
bool op_infer(infer_ctx *c, op_kind op, value *const *operands, uint32_t n, const attr *attrs, const type *given,
              type *out);
bool op_needs_type(op_kind op); /* the result type is given, not inferred */

/* ---- which dims a function depends on (ir/symbols.c) ---- */
/* used[i]: the function's types, attributes, checks, or those of the bodies it runs, have symbol i. What a run finds
 * itself is not among them: nobody gives the values of the indices of scans, and of dims that a node counts. */
void function_symbols(const function *f, bool *used);
bool module_symbol_is_index(const module *m, uint32_t symbol);
/* The node of f that gives the data dim d its value; NULL: none does. */
node *function_counting_node(const function *f, dim d);
/* Some type of f besides n's has the dim that n counts (P_COUNTS): n stays though nobody reads it. */
bool node_count_is_used(const node *n);

/* ---- axis roles (ir/axes.c) ---- */
typedef enum { AXIS_PARALLEL, AXIS_REDUCTION, AXIS_WINDOW, AXIS_INDEXED } axis_role;
/* The iteration axes of a node: first the (first) result's axes in order (of role AXIS_REDUCTION where a row-wise op
 * reduces the axis but keeps it), then the reductions; last, of role AXIS_INDEXED, an operand axis that is reached
 * through indices and not iterated. operand_axis[o][k] is the iteration axis that axis k of operand o runs along, or -1
 * (broadcast, or not a plain map, as across a reshape or an offset). Of what is opaque nothing is said: no operand axis
 * has a map, and no axis is parallel. Operands that have no entry (of a long concat) are like
 * the first. */
enum { MAX_MAPPED = 6 };
typedef struct {
    uint32_t n;
    axis_role role[2 * MAX_RANK];
    dim size[2 * MAX_RANK];
    int8_t operand_axis[MAX_MAPPED][MAX_RANK];
} axis_info;
void node_axes(module *m, const node *n, axis_info *out);

/* ---- text, verification, interpretation ---- */
void module_print(const module *m, strbuf *out);
void node_print(const node *n, strbuf *out); /* one line without indentation; values numbered as module_print does */
/* Parses what module_print prints (the .tir form). NULL with diagnostics on a mistake. Weights files that it names stay
 * mapped until module_close. */
module *module_parse(arena *a, interner *names, source_set *sources, diags *d, const source_file *f);
/* Unmaps the weights files that module_parse opened; constants that read them are dead then. */
void module_close(module *m);
/* Checks every invariant. False with one message per violation added to `d` (node printed). */
bool module_verify(const module *m, diags *d);
module *module_clone(const module *m, arena *a);

/* FLOPs (a fused multiply-add counts 2) and bytes touched once of one node, at the given dim values (ir/cost.c). */
typedef struct {
    double flops, bytes_read, bytes_written;
} node_cost;
node_cost node_cost_at(module *m, const node *n, const int64_t *dims);

#endif
