#include "frontend/ast.h"

static uint32_t max_depth(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}
static uint32_t expr_depth(const ast_expr *e)
{
    return e ? e->depth : 0;
}

ast_expr *ast_expr_new(arena *a, ast_expr_kind kind, span at)
{
    ast_expr *e = ARENA_NEW(a, ast_expr);
    e->kind = kind;
    e->at = at;
    e->depth = 1;
    return e;
}

ast_expr *ast_unary(arena *a, ast_op op, span op_at, ast_expr *right)
{
    ast_expr *e = ast_expr_new(a, EX_UNARY, span_join(op_at, right->at));
    e->op.op = op;
    e->op.op_at = op_at;
    e->op.right = right;
    return ast_expr_seal(e);
}

ast_expr *ast_binary(arena *a, ast_op op, span op_at, ast_expr *left, ast_expr *right)
{
    ast_expr *e = ast_expr_new(a, EX_BINARY, span_join(left->at, right->at));
    e->op.op = op;
    e->op.op_at = op_at;
    e->op.left = left;
    e->op.right = right;
    return ast_expr_seal(e);
}

ast_stmt *ast_stmt_new(arena *a, ast_stmt_kind kind, span at)
{
    ast_stmt *s = ARENA_NEW(a, ast_stmt);
    s->kind = kind;
    s->at = at;
    s->depth = 1;
    return s;
}

static uint32_t indices_depth(const ast_indices *v)
{
    uint32_t d = 0;
    vec_foreach (ast_index, i, v) d = max_depth(d, max_depth(expr_depth(i->begin), expr_depth(i->end)));
    return d;
}

ast_expr *ast_expr_seal(ast_expr *e)
{
    uint32_t d = 0;
    switch (e->kind) {
    case EX_NAME:
    case EX_INT:
    case EX_FLOAT:
    case EX_STRING:
    case EX_BOOL: break;
    case EX_UNARY:
    case EX_BINARY: d = max_depth(expr_depth(e->op.left), expr_depth(e->op.right)); break;
    case EX_FIELD: d = e->field.base->depth; break;
    case EX_INDEX: d = max_depth(e->index.base->depth, indices_depth(&e->index.indices)); break;
    case EX_CALL:
        d = e->call.callee->depth;
        vec_foreach (ast_arg, arg, &e->call.args) d = max_depth(d, arg->value->depth);
        break;
    case EX_LIST:
        vec_foreach (ast_expr *, p, &e->list) d = max_depth(d, (*p)->depth);
        break;
    case EX_BUILDER:
        d = e->builder.value->depth;
        vec_foreach (ast_axis, x, &e->builder.axes) d = max_depth(d, x->extent->depth);
        break;
    case EX_SCAN:
        d = max_depth(e->scan.extent->depth, e->scan.body.depth);
        vec_foreach (ast_carry, c, &e->scan.carries) d = max_depth(d, c->init->depth);
        break;
    }
    e->depth = d + 1;
    return e;
}

void ast_body_seal(ast_body *b)
{
    b->depth = 0;
    vec_foreach (ast_stmt *, s, &b->stmts) b->depth = max_depth(b->depth, (*s)->depth);
}

/* Types are not counted: their dims are expressions that the parser has checked on their own. */
ast_stmt *ast_stmt_seal(ast_stmt *s)
{
    uint32_t d = 0;
    switch (s->kind) {
    case ST_LET:
    case ST_POINT:
    case ST_CONST: d = expr_depth(s->let.value); break;
    case ST_ASSIGN: d = max_depth(indices_depth(&s->assign.indices), expr_depth(s->assign.value)); break;
    case ST_PARAM:
    case ST_STATE: break;
    case ST_FOR:
        d = max_depth(s->loop.body.depth, max_depth(expr_depth(s->loop.begin), expr_depth(s->loop.end)));
        break;
    case ST_SCOPE: d = s->scope.body.depth; break;
    case ST_IF:
        d = max_depth(expr_depth(s->branch.cond), max_depth(s->branch.then.depth, s->branch.otherwise.depth));
        break;
    case ST_REQUIRE:
    case ST_RETURN:
    case ST_YIELD:
        vec_foreach (ast_expr *, e, &s->values) d = max_depth(d, (*e)->depth);
        break;
    case ST_BLOCK:
    case ST_ENTRY: d = s->decl->code.body.depth; break;
    }
    s->depth = d + 1;
    return s;
}

const char *ast_op_text(ast_op op)
{
    static const char *const text[] = {
        [AST_OR] = "or", [AST_AND] = "and", [AST_EQ] = "==", [AST_NE] = "!=",   [AST_LT] = "<",
        [AST_LE] = "<=", [AST_GT] = ">",    [AST_GE] = ">=", [AST_ADD] = "+",   [AST_SUB] = "-",
        [AST_MUL] = "*", [AST_DIV] = "/",   [AST_MOD] = "%", [AST_NOT] = "not", [AST_NEG] = "-",
    };
    return text[op];
}
