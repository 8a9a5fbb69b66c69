/* A syntax tree as text that shows everything but positions: expressions with all their parentheses, documentation in
 * braces of its own. Two files have the same text when they are the same program. */
#ifndef TESTS_SUPPORT_AST_TEXT_H
#define TESTS_SUPPORT_AST_TEXT_H

#include "frontend/ast.h"

static void ast_text_body(const ast_body *body, strbuf *b);
static void ast_text_expr(const ast_expr *e, strbuf *b);

static inline void ast_text_doc(const char *doc, strbuf *b)
{
    if (doc) strbuf_addf(b, "{/// %s} ", doc);
}

static void ast_text_exprs(const ast_exprs *list, strbuf *b)
{
    vec_foreach (ast_expr *, e, list) {
        if (e != list->data) strbuf_adds(b, ", ");
        ast_text_expr(*e, b);
    }
}

static void ast_text_indices(const ast_indices *list, strbuf *b)
{
    strbuf_addc(b, '[');
    vec_foreach (ast_index, x, list) {
        if (x != list->data) strbuf_adds(b, ", ");
        if (x->kind == INDEX_ALL) strbuf_addc(b, ':');
        if (x->kind == INDEX_ELLIPSIS) strbuf_adds(b, "...");
        if (x->begin) ast_text_expr(x->begin, b);
        if (x->kind == INDEX_RANGE) strbuf_adds(b, "..");
        if (x->end) ast_text_expr(x->end, b);
    }
    strbuf_addc(b, ']');
}

static void ast_text_args(const ast_args *list, strbuf *b)
{
    strbuf_addc(b, '(');
    vec_foreach (ast_arg, x, list) {
        if (x != list->data) strbuf_adds(b, ", ");
        if (x->key.name) strbuf_addf(b, "%s = ", x->key.name);
        ast_text_expr(x->value, b);
    }
    strbuf_addc(b, ')');
}

static void ast_text_expr(const ast_expr *e, strbuf *b)
{
    switch (e->kind) {
    case EX_NAME: strbuf_adds(b, e->name.name); break;
    case EX_STRING: strbuf_addf(b, "'%s'", e->name.name); break;
    case EX_INT: strbuf_addf(b, "%lld", (long long)e->integer); break;
    case EX_FLOAT: strbuf_add_double(b, e->real); break;
    case EX_BOOL: strbuf_adds(b, e->boolean ? "true" : "false"); break;
    case EX_UNARY:
        strbuf_addf(b, "(%s ", ast_op_text(e->op.op));
        ast_text_expr(e->op.right, b);
        strbuf_addc(b, ')');
        break;
    case EX_BINARY:
        strbuf_addc(b, '(');
        ast_text_expr(e->op.left, b);
        strbuf_addf(b, " %s ", ast_op_text(e->op.op));
        ast_text_expr(e->op.right, b);
        strbuf_addc(b, ')');
        break;
    case EX_FIELD:
        ast_text_expr(e->field.base, b);
        strbuf_addf(b, ".%s", e->field.name.name);
        break;
    case EX_INDEX:
        ast_text_expr(e->index.base, b);
        ast_text_indices(&e->index.indices, b);
        break;
    case EX_CALL:
        ast_text_expr(e->call.callee, b);
        ast_text_args(&e->call.args, b);
        if (e->call.path.name) strbuf_addf(b, "@'%s'", e->call.path.name);
        break;
    case EX_LIST:
        strbuf_addc(b, '[');
        ast_text_exprs(&e->list, b);
        strbuf_addc(b, ']');
        break;
    case EX_BUILDER:
        strbuf_addc(b, '[');
        vec_foreach (ast_axis, x, &e->builder.axes) {
            strbuf_addf(b, "%s%s: ", x == e->builder.axes.data ? "" : ", ", x->name.name);
            ast_text_expr(x->extent, b);
        }
        strbuf_adds(b, " | ");
        ast_text_expr(e->builder.value, b);
        strbuf_addc(b, ']');
        break;
    case EX_SCAN:
        strbuf_addf(b, "scan %s: ", e->scan.var.name);
        ast_text_expr(e->scan.extent, b);
        vec_foreach (ast_carry, c, &e->scan.carries) {
            strbuf_addf(b, " carry %s = ", c->name.name);
            ast_text_expr(c->init, b);
        }
        ast_text_body(&e->scan.body, b);
        break;
    }
}

static void ast_text_type(const ast_type *t, strbuf *b)
{
    strbuf_adds(b, t->name.name);
    if (!t->shaped) return;
    strbuf_addc(b, '[');
    vec_foreach (ast_dim, d, &t->dims) {
        if (d != t->dims.data) strbuf_adds(b, ", ");
        if (d->size) ast_text_expr(d->size, b);
        else strbuf_adds(b, "...");
    }
    strbuf_addc(b, ']');
}

static void ast_text_decl(const ast_decl *d, strbuf *b);

static void ast_text_stmt(const ast_stmt *s, strbuf *b)
{
    static const char *const words[] = {[ST_LET] = "let",         [ST_POINT] = "point",   [ST_PARAM] = "param",
                                        [ST_STATE] = "state",     [ST_CONST] = "const",   [ST_FOR] = "for",
                                        [ST_SCOPE] = "scope",     [ST_IF] = "if",         [ST_ASSIGN] = "assign",
                                        [ST_REQUIRE] = "require", [ST_RETURN] = "return", [ST_YIELD] = "yield"};
    if (s->kind == ST_BLOCK || s->kind == ST_ENTRY) {
        ast_text_decl(s->decl, b);
        return;
    }
    ast_text_doc(s->doc, b);
    strbuf_addf(b, "%s ", words[s->kind]);
    switch (s->kind) {
    case ST_LET:
    case ST_POINT:
    case ST_CONST:
        vec_foreach (ast_name, n, &s->let.names) strbuf_addf(b, "%s, ", n->name);
        strbuf_adds(b, "= ");
        ast_text_expr(s->let.value, b);
        break;
    case ST_ASSIGN:
        strbuf_adds(b, s->assign.name.name);
        if (s->assign.indexed) ast_text_indices(&s->assign.indices, b);
        strbuf_adds(b, " = ");
        ast_text_expr(s->assign.value, b);
        break;
    case ST_PARAM:
    case ST_STATE:
        strbuf_addf(b, "%s: ", s->param.name.name);
        ast_text_type(&s->param.type, b);
        if (s->param.path.name) strbuf_addf(b, " @'%s'", s->param.path.name);
        break;
    case ST_FOR:
        strbuf_addf(b, "%s in ", s->loop.var.name);
        ast_text_expr(s->loop.begin, b);
        strbuf_adds(b, "..");
        if (s->loop.end) ast_text_expr(s->loop.end, b);
        ast_text_body(&s->loop.body, b);
        break;
    case ST_SCOPE:
        strbuf_addf(b, "'%s'", s->scope.path.name);
        ast_text_body(&s->scope.body, b);
        break;
    case ST_IF:
        ast_text_expr(s->branch.cond, b);
        ast_text_body(&s->branch.then, b);
        if (s->branch.has_else) ast_text_body(&s->branch.otherwise, b);
        break;
    case ST_REQUIRE:
    case ST_RETURN:
    case ST_YIELD: ast_text_exprs(&s->values, b); break;
    case ST_BLOCK:
    case ST_ENTRY: break;
    }
    strbuf_addc(b, '\n');
}

static void ast_text_body(const ast_body *body, strbuf *b)
{
    strbuf_adds(b, " {\n");
    vec_foreach (ast_stmt *, s, &body->stmts) ast_text_stmt(*s, b);
    strbuf_adds(b, "}\n");
}

static void ast_text_code(const ast_decl *d, strbuf *b)
{
    if (d->code.sig.present) {
        strbuf_addc(b, '(');
        vec_foreach (ast_formal, f, &d->code.sig.formals) {
            ast_text_doc(f->doc, b);
            strbuf_addf(b, "%s: ", f->name.name);
            ast_text_type(&f->type, b);
            if (f->init) {
                strbuf_adds(b, " = ");
                ast_text_expr(f->init, b);
            }
            strbuf_adds(b, ", ");
        }
        strbuf_adds(b, ") -> (");
        vec_foreach (ast_result, r, &d->code.sig.results) {
            ast_text_doc(r->doc, b);
            if (r->name.name) strbuf_addf(b, "%s: ", r->name.name);
            ast_text_type(&r->type, b);
            strbuf_adds(b, ", ");
        }
        strbuf_addc(b, ')');
    }
    strbuf_adds(b, " where ");
    ast_text_exprs(&d->code.where, b);
    vec_foreach (ast_validity, v, &d->code.valid) {
        strbuf_addf(b, " valid %s by ", v->axis.name);
        ast_text_expr(v->mask, b);
    }
    if (d->code.weights.present) strbuf_addf(b, " weights '%s'", d->code.weights.file.name);
    vec_foreach (ast_weight_rule, w, &d->code.weights.rules) {
        strbuf_addf(b, "\n%s ", w->is_map ? w->pattern.name : "ignore");
        if (w->is_map) ast_text_expr(w->value, b);
        vec_foreach (ast_name, n, &w->ignored) strbuf_addf(b, "'%s', ", n->name);
    }
    ast_text_body(&d->code.body, b);
}

static void ast_text_decl(const ast_decl *d, strbuf *b)
{
    static const char *const words[] = {[DECL_IMPORT] = "import", [DECL_CONST] = "const", [DECL_BLOCK] = "block",
                                        [DECL_ENTRY] = "entry",   [DECL_MODEL] = "model", [DECL_OPTIMIZE] = "optimize"};
    ast_text_doc(d->doc, b);
    strbuf_addf(b, "%s %s", words[d->kind], d->name.name);
    switch (d->kind) {
    case DECL_IMPORT: strbuf_addf(b, " '%s'", d->import_path.name); break;
    case DECL_CONST:
        strbuf_adds(b, " = ");
        ast_text_expr(d->value, b);
        break;
    case DECL_BLOCK:
    case DECL_ENTRY:
    case DECL_MODEL: ast_text_code(d, b); break;
    case DECL_OPTIMIZE:
        vec_foreach (ast_rule, r, &d->rules) {
            strbuf_addf(b, "\n%s %s %s '%s'", r->verb.name, r->subject.name ? r->subject.name : "-", r->relation.name,
                        r->place.name);
            ast_text_args(&r->args, b);
            if (r->has_expect) strbuf_addf(b, " expect %lld", (long long)r->expect);
        }
        break;
    }
    strbuf_addc(b, '\n');
}

static inline void ast_text(const ast_file *f, strbuf *b)
{
    vec_foreach (ast_decl *, d, &f->decls) ast_text_decl(*d, b);
}

#endif
