/* The syntax tree of a .tfx file: exactly what was written, with a span on everything. The parser's actions build it
 * and nothing else; every judgement about names, types and values is sema's.
 *
 * All nodes live in the compilation's arena. Names and string contents are interned. Strings have no escapes: byte i of
 * the contents is byte begin + 1 + i of the source, so that carets can point into a pattern or a path. */
#ifndef FRONTEND_AST_H
#define FRONTEND_AST_H

#include "support/diag.h"
#include "support/intern.h"
#include "support/source.h"
#include "support/vec.h"

/* How deep expressions and statements may nest. Later stages recurse over the tree, so the limit bounds their stack. */
#define AST_MAX_DEPTH 256
/* Of a signature. */
#define AST_MAX_FORMALS 1024
/* The largest source file accepted, in bytes: far above any model, far below what exhausts memory as a tree. */
#define AST_MAX_FILE (1u << 20)

typedef struct ast_expr ast_expr;
typedef struct ast_stmt ast_stmt;
typedef struct ast_decl ast_decl;
typedef VEC(ast_expr *) ast_exprs;

typedef struct {
    const char *name; /* interned; for a string: its contents */
    span at;          /* for a string: with its quotes */
} ast_name;
typedef VEC(ast_name) ast_names;

typedef struct {
    ast_name key; /* name NULL: positional */
    ast_expr *value;
    span at;
} ast_arg;
typedef VEC(ast_arg) ast_args;

typedef enum { INDEX_POINT, INDEX_RANGE, INDEX_ALL, INDEX_ELLIPSIS } ast_index_kind;
typedef struct {
    ast_index_kind kind;
    ast_expr *begin, *end; /* POINT: begin; RANGE: both */
    span at;
} ast_index;
typedef VEC(ast_index) ast_indices;

typedef struct {
    ast_name name;
    ast_expr *extent;
} ast_axis; /* one "b: B" of a set-builder */
typedef VEC(ast_axis) ast_axes;

typedef struct {
    ast_name name;
    ast_expr *init;
} ast_carry;
typedef VEC(ast_carry) ast_carries;

typedef VEC(ast_stmt *) ast_stmts;
typedef struct {
    ast_stmts stmts;
    span at; /* with its braces */
    uint32_t depth;
} ast_body;

typedef enum {
    AST_OR,
    AST_AND,
    AST_EQ,
    AST_NE,
    AST_LT,
    AST_LE,
    AST_GT,
    AST_GE,
    AST_ADD,
    AST_SUB,
    AST_MUL,
    AST_DIV,
    AST_MOD,
    AST_NOT,
    AST_NEG
} ast_op;

typedef enum {
    EX_NAME,
    EX_INT,
    EX_FLOAT,
    EX_STRING,
    EX_BOOL,
    EX_UNARY,
    EX_BINARY,
    EX_FIELD,
    EX_INDEX,
    EX_CALL,
    EX_LIST,
    EX_BUILDER,
    EX_SCAN, /* only directly after 'let ... =' */
} ast_expr_kind;

struct ast_expr {
    ast_expr_kind kind;
    uint32_t depth; /* 1 for a leaf; at most AST_MAX_DEPTH */
    span at;        /* without enclosing parentheses */
    union {
        ast_name name; /* NAME, STRING (contents) */
        int64_t integer;
        double real;
        bool boolean;
        struct {
            ast_op op;
            span op_at;
            ast_expr *left, *right; /* UNARY: right only */
        } op;
        struct {
            ast_expr *base;
            ast_name name;
        } field;
        struct {
            ast_expr *base;
            ast_indices indices;
        } index;
        struct {
            ast_expr *callee;
            ast_args args;
            ast_name path; /* the string after '@'; name NULL: none */
        } call;
        ast_exprs list;
        struct {
            ast_axes axes;
            ast_expr *value;
        } builder;
        struct {
            ast_name var;
            ast_expr *extent;
            ast_carries carries;
            ast_body body;
        } scan;
    };
};

typedef struct {
    ast_expr *size; /* NULL: '...' */
    span at;
} ast_dim;
typedef VEC(ast_dim) ast_dims;

typedef struct {
    ast_name name;
    bool shaped; /* has brackets */
    ast_dims dims;
    span at;
} ast_type;

typedef struct {
    ast_name name;
    ast_type type;
    ast_expr *init;  /* the default; NULL: none */
    const char *doc; /* what its `///` lines say, here and below; NULL: none */
    span at;
} ast_formal;
typedef VEC(ast_formal) ast_formals;

typedef struct {
    ast_name name; /* name NULL: unnamed */
    ast_type type;
    const char *doc;
    span at;
} ast_result;
typedef VEC(ast_result) ast_results;

typedef struct {
    bool present; /* a model may have none */
    ast_formals formals;
    ast_results results;
    span at;
} ast_sig;

typedef enum {
    ST_LET,
    ST_POINT,
    ST_ASSIGN,
    ST_PARAM,
    ST_STATE,
    ST_CONST,
    ST_FOR,
    ST_SCOPE,
    ST_IF,
    ST_REQUIRE,
    ST_RETURN,
    ST_YIELD,
    ST_BLOCK,
    ST_ENTRY, /* only directly in a model's braces */
} ast_stmt_kind;

struct ast_stmt {
    ast_stmt_kind kind;
    uint32_t depth;
    span at;
    const char *doc; /* of PARAM, STATE, POINT and CONST */
    union {
        struct {
            ast_names names;
            ast_expr *value;
        } let; /* LET; POINT and CONST with one name */
        struct {
            ast_name name;
            bool indexed;
            ast_indices indices;
            ast_expr *value;
        } assign;
        struct {
            ast_name name;
            ast_type type;
            ast_name path; /* name NULL: none */
        } param;           /* PARAM, STATE */
        struct {
            ast_name var;
            ast_expr *begin, *end; /* end NULL: the '..' is missing */
            ast_body body;
        } loop;
        struct {
            ast_name path;
            ast_body body;
        } scope;
        struct {
            ast_expr *cond;
            ast_body then, otherwise;
            bool has_else;
        } branch;
        ast_exprs values; /* REQUIRE, RETURN, YIELD */
        ast_decl *decl;   /* BLOCK, ENTRY */
    };
};

/* `valid S by mask`: which elements of an axis count. */
typedef struct {
    ast_name axis;
    ast_expr *mask;
    span at;
} ast_validity;
typedef VEC(ast_validity) ast_validities;

typedef struct {
    bool is_map;
    ast_name pattern;  /* map */
    ast_expr *value;   /* map */
    ast_names ignored; /* ignore */
    span at;
} ast_weight_rule;
typedef VEC(ast_weight_rule) ast_weight_rules;

typedef struct {
    bool present;
    ast_name file;
    ast_weight_rules rules;
} ast_weights;

typedef struct {
    ast_name verb;
    ast_name subject;  /* name NULL: none */
    ast_name relation; /* "in", "after" or "before" */
    ast_name place;
    ast_args args;
    bool has_expect;
    int64_t expect;
    span at;
} ast_rule;
typedef VEC(ast_rule) ast_rules;

typedef enum { DECL_IMPORT, DECL_CONST, DECL_BLOCK, DECL_ENTRY, DECL_MODEL, DECL_OPTIMIZE } ast_decl_kind;
struct ast_decl {
    ast_decl_kind kind;
    ast_name name; /* IMPORT: the alias; OPTIMIZE: the model */
    span at;
    const char *doc; /* of CONST, BLOCK, ENTRY and MODEL */
    union {
        ast_name import_path;
        ast_expr *value; /* CONST */
        struct {
            ast_sig sig;
            ast_exprs where;
            ast_validities valid; /* ENTRY, MODEL */
            ast_weights weights;  /* MODEL */
            ast_body body;
        } code; /* BLOCK, ENTRY, MODEL */
        ast_rules rules;
    };
};
typedef VEC(ast_decl *) ast_decls;

typedef struct {
    const source_file *source;
    ast_decls decls;
    bool failed; /* had errors; what could be parsed is here */
} ast_file;

/* What a parse needs. `names`, `diags` and the arena outlive the tree. */
typedef struct {
    arena *arena;
    interner *names;
    diags *diags;
} ast_session;

/* Parses one file. Errors and warnings go to the diags (several a run); the result is never NULL. */
ast_file *ast_parse(ast_session *s, const source_file *file);

/* Node builders for the parser: they compute spans and depths, nothing more. */
ast_expr *ast_expr_new(arena *a, ast_expr_kind kind, span at);
ast_expr *ast_unary(arena *a, ast_op op, span op_at, ast_expr *right);
ast_expr *ast_binary(arena *a, ast_op op, span op_at, ast_expr *left, ast_expr *right);
ast_stmt *ast_stmt_new(arena *a, ast_stmt_kind kind, span at);
/* Sets e->depth from its children; called once they are all in place. */
ast_expr *ast_expr_seal(ast_expr *e);
ast_stmt *ast_stmt_seal(ast_stmt *s);
void ast_body_seal(ast_body *b);

const char *ast_op_text(ast_op op); /* "+", "not", ... */

#endif
