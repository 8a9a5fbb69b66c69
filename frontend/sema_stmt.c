/* Statements: run in order, with loops unrolled and conditions decided. */
#include "frontend/sema_internal.h"

static void exec(sema *s, const ast_stmt *st);

static void run_stmts(sema *s, const ast_body *b)
{
    vec_foreach (ast_stmt *, p, &b->stmts) {
        if (s->stopped) return;
        if (s->frame->returned) {
            if (p != b->stmts.data && p[-1]->kind == ST_RETURN && !s->frame->aborted)
                sema_warning(s, (*p)->at, "never-runs", "this is never reached: a return stands before it");
            return;
        }
        if (!sema_step(s, (*p)->at) || !sema_enter(s, (*p)->at)) return;
        exec(s, *p);
        s->recursion--;
    }
}

void exec_body(sema *s, const ast_body *b)
{
    frame *f = s->frame;
    scope *outer = f->names;
    f->names = scope_new(s, outer);
    run_stmts(s, b);
    f->names = outer;
}

/* ---- paths ---- */

const char *sema_join_path(sema *s, const char *base, const char *rel)
{
    if (!*base) return intern_z(s->names, rel);
    const char *joined = arena_printf(s->a, "%s.%s", base, rel);
    return intern_z(s->names, joined);
}

bool sema_interpolate(sema *s, ast_name text, const char **out)
{
    strbuf b = strbuf_new(s->a);
    uint32_t first = text.at.begin + 1;
    const char *t = text.name;
    if (!*t) {
        sema_error(s, text.at, "path", "this path is empty");
        return false;
    }
    for (size_t i = 0; t[i];) {
        if (t[i] == '}') {
            sema_error(s, (span){first + (uint32_t)i, first + (uint32_t)i + 1}, "path", "'}' without '{'");
            return false;
        }
        if (t[i] != '{') {
            strbuf_addc(&b, t[i++]);
            continue;
        }
        size_t end = i + strcspn(t + i, "}");
        span at = {first + (uint32_t)i, first + (uint32_t)end + (t[end] != 0)};
        if (!t[end]) {
            sema_error(s, at, "path", "'{' is not closed");
            return false;
        }
        size_t n = end - i - 1;
        const char *inner = t + i + 1;
        i = end + 1;
        if (n == 1 && *inner == '*') {
            strbuf_adds(&b, "{*}");
            continue;
        }
        bool is_name = n > 0 && !(inner[0] >= '0' && inner[0] <= '9');
        for (size_t k = 0; k < n; k++)
            is_name &= inner[k] == '_' || (inner[k] >= '0' && inner[k] <= '9') ||
                       ((inner[k] | 32) >= 'a' && (inner[k] | 32) <= 'z');
        if (!is_name) {
            diag *g = sema_error(s, at, "path", "braces in a path hold one name");
            diag_hint(g, "compute it before: const next = l + 1");
            return false;
        }
        value v = sema_lookup(s, (ast_name){intern(s->names, inner, n), (span){at.begin + 1, at.end - 1}});
        if (v.kind == V_INT && dim_is_const(s->dims, v.size, NULL)) {
            strbuf_adds(&b, sema_dim_text(s, v.size));
        } else if (v.kind == V_STRING) {
            strbuf_adds(&b, v.string.text);
        } else {
            if (v.kind != V_ERROR)
                diag_got(sema_error(s, at, "path", "a path is made of strings and compile-time integers"), "%s",
                         sema_value_text(s, &v));
            return false;
        }
        if (b.len > 4096) {
            sema_error(s, text.at, "path", "this path is too long");
            return false;
        }
    }
    const char *r = b.s, *percent = strchr(text.name, '%');
    if (percent) { /* "layer.%d", as C and Python have it */
        span at = {first + (uint32_t)(percent - text.name), first + (uint32_t)(percent - text.name) + 1};
        diag *g = sema_error(s, at, "path", "unexpected '%%' in a path");
        diag_hint(g, "names stand in braces: \"layer.{l}\"");
        return false;
    }
    bool bad = r[0] == '.' || r[b.len - 1] == '.' || strstr(r, "..") != NULL;
    if (bad || strlen(s->frame->path) > 4096) {
        sema_error(s, text.at, "path", bad ? "a path is a list of names with dots between" : "this path is too long");
        return false;
    }
    *out = intern_z(s->names, r);
    return true;
}

/* ---- let, point, const ---- */

static binding *define(sema *s, const ast_stmt *st, ast_name name, value v)
{
    bind_kind kind = st->kind == ST_CONST ? BIND_CONST : st->kind == ST_POINT ? BIND_POINT : BIND_LET;
    if (v.kind == V_CELL || v.kind == V_INDEX) v = sema_error_value();
    if (kind == BIND_CONST && v.kind == V_TENSOR) {
        diag *g = sema_error(s, st->let.value->at, "wrong-type", "a const is known at compile time");
        diag_got(g, "%s", sema_value_text(s, &v));
        v = sema_error_value();
    }
    if (kind == BIND_POINT) {
        if (v.kind != V_TENSOR && v.kind != V_ERROR) {
            diag_got(sema_error(s, st->let.value->at, "wrong-type", "a point names a tensor"), "%s",
                     sema_value_text(s, &v));
            v = sema_error_value();
        }
        if (v.kind == V_TENSOR && !sema_not_in_scan(s, name.at, "a point")) {
            const char *place = intern_z(s->names, arena_printf(s->a, "%s:%s", s->frame->path, name.name));
            sema_point *old = ptrmap_get(s->points, place);
            if (old) {
                diag *g = sema_error(s, name.at, "declared-twice", "there are two points '%s'", place);
                diag_note(g, "the first is at %s", sema_where(s, old->at));
                diag_hint(g, "give each call a path of its own with '@'");
            } else {
                sema_point *p = ARENA_NEW(s->a, sema_point);
                *p = (sema_point){place, v.node, name.at};
                ptrmap_set(s->points, place, p);
                vec_push(s->a, &s->fn->points, *p);
            }
        }
    }
    return scope_add(s, s->frame->names, name.name, kind, v, name.at);
}

/* The let, an argument or a state of that name in a scope further out. */
static const binding *hidden_by(const frame *f, const char *name)
{
    const binding *b = f->names->parent ? scope_find(f->names->parent, name) : NULL;
    bool variable = b && (b->kind == BIND_LET || b->kind == BIND_FORMAL || b->kind == BIND_STATE);
    return variable && !scope_find_here(f->names, name) ? b : NULL;
}

void warn_unused_lets(sema *s)
{
    ptrmap *used = ptrmap_new(s->a); /* by place: one pass of a loop may use what another does not */
    vec_foreach (user_let, l, &s->lets)
        for (uint32_t i = 0; i < l->n; i++)
            if (l->names[i]->used) ptrmap_set(used, (const void *)(uintptr_t)l->names[0]->at.begin, s);
    vec_foreach (user_let, l, &s->lets) {
        const binding *b = l->names[0];
        if (ptrmap_has(used, (const void *)(uintptr_t)b->at.begin) || b->name[0] == '_') continue;
        ptrmap_set(used, (const void *)(uintptr_t)b->at.begin, s);
        diag *g = sema_warning(s, b->at, "unused-name", "'%s' is never used", b->name);
        if (!l->hidden) continue;
        diag_note(g, "it hides the '%s' declared at %s", b->name, sema_where(s, l->hidden->at));
        diag_hint(g, "to give that one a new value write '%s = ...', without 'let'", b->name);
    }
}

static void exec_let(sema *s, const ast_stmt *st)
{
    value v = eval(s, st->let.value);
    const ast_names *names = &st->let.names;
    const binding *hidden = names->len == 1 ? hidden_by(s->frame, names->data[0].name) : NULL;
    if (names->len == 1 && v.kind == V_TUPLE) {
        diag *g = sema_error(s, st->let.value->at, "arity", "this gives %u values", v.list.n);
        diag_hint(g, "name them all: let a, b = ...");
        v = sema_error_value();
    } else if (names->len > 1 && v.kind != V_ERROR && (v.kind != V_TUPLE || v.list.n != names->len)) {
        diag *g = sema_error(s, span_join(names->data[0].at, names->data[names->len - 1].at), "arity",
                             "%u names for %u value%s", names->len, v.kind == V_TUPLE ? v.list.n : 1,
                             v.kind == V_TUPLE && v.list.n != 1 ? "s" : "");
        diag_got(g, "%s", sema_value_text(s, &v));
        v = sema_error_value();
    }
    binding **made = ARENA_ARRAY(s->a, binding *, names->len);
    for (uint32_t i = 0; i < names->len; i++) {
        bool part = names->len > 1 && v.kind == V_TUPLE;
        made[i] = define(s, st, names->data[i], part ? v.list.items[i] : v);
    }
    if (st->kind == ST_LET && !s->frame->file->embedded)
        vec_push(s->a, &s->lets, ((user_let){made, names->len, hidden}));
}

/* ---- for, if, scope ---- */

static void exec_for(sema *s, const ast_stmt *st)
{
    int64_t from, to;
    if (!st->loop.end) {
        const ast_expr *e = st->loop.begin; /* range(12), as Python has it */
        bool python = e->kind == EX_CALL && e->call.callee->kind == EX_NAME && e->call.args.len &&
                      strcmp(e->call.callee->name.name, "range") == 0;
        value v = python ? sema_error_value() : eval(s, e);
        diag *g = sema_error(s, st->loop.begin->at, "missing-range", "a loop runs over a range");
        if (python && e->call.args.len == 1)
            diag_hint(g, "write '0..%s'", sema_source_text(s, e->call.args.data[0].value->at));
        else if (python) diag_hint(g, "write 'a..b', half open as well");
        if (v.kind == V_INT && !dim_is_const(s->dims, v.size, NULL))
            diag_note(
                g,
                "loops are unrolled: their bounds are compile-time integers; over positions go set-builders and scans");
        else if (v.kind == V_INT) diag_hint(g, "write '0..%s'", sema_source_text(s, st->loop.begin->at));
        return;
    }
    value a = eval_int_const(s, st->loop.begin, &from), b = eval_int_const(s, st->loop.end, &to);
    if (a.kind == V_ERROR || b.kind == V_ERROR) return;
    if (to < from) {
        diag *g =
            sema_warning(s, span_join(st->loop.begin->at, st->loop.end->at), "never-runs", "this loop never runs");
        diag_note(g, "its range goes from %lld up to %lld", (long long)from, (long long)to);
    }
    frame *f = s->frame;
    scope *outer = f->names;
    for (int64_t i = from; i < to && !f->returned && sema_step(s, st->at); i++) {
        f->names = scope_new(s, outer);
        scope_add(s, f->names, st->loop.var.name, BIND_LOOP, (value){.kind = V_INT, .size = dim_const(s->dims, i)},
                  st->loop.var.at);
        exec_body(s, &st->loop.body);
    }
    f->names = outer;
}

static void exec_if(sema *s, const ast_stmt *st)
{
    value v = eval(s, st->branch.cond);
    if (v.kind == V_BOOL) {
        if (v.flag) exec_body(s, &st->branch.then);
        else if (st->branch.has_else) exec_body(s, &st->branch.otherwise);
        return;
    }
    if (v.kind == V_ERROR) return;
    diag *g = sema_error(s, st->branch.cond->at, "run-time-condition", "a condition must be known at compile time");
    diag_got(g, "%s", sema_value_text(s, &v));
    if (v.kind == V_TENSOR) diag_hint(g, "to choose by element write select(cond, a, b)");
}

static void exec_scope(sema *s, const ast_stmt *st)
{
    frame *f = s->frame;
    const char *rel, *outer = f->path;
    uint32_t owner = f->path_owner;
    if (!sema_interpolate(s, st->scope.path, &rel)) return;
    f->path = sema_join_path(s, outer, rel);
    f->path_owner = ++s->owners;
    exec_body(s, &st->scope.body);
    f->path = outer;
    f->path_owner = owner;
}

/* ---- require ---- */

/* "D = 384, heads = 7": the names in a condition. */
static void tell_names(sema *s, const ast_expr *e, strbuf *out, name_list *seen)
{
    if (e->kind == EX_BINARY || e->kind == EX_UNARY) {
        if (e->kind == EX_BINARY) tell_names(s, e->op.left, out, seen);
        tell_names(s, e->op.right, out, seen);
    }
    if (e->kind != EX_NAME) return;
    vec_foreach (const char *, n, seen)
        if (*n == e->name.name) return;
    vec_push(s->a, seen, e->name.name);
    value v = sema_lookup(s, e->name);
    if (v.kind == V_INT) strbuf_addf(out, "%s%s = %s", out->len ? ", " : "", e->name.name, sema_dim_text(s, v.size));
    if (v.kind == V_FLOAT) {
        strbuf_addf(out, "%s%s = ", out->len ? ", " : "", e->name.name);
        strbuf_add_double(out, v.real);
    }
}

/* What is required of a block is a mistake of its caller, so the caret goes to the call when the block is a library's.
 */
static void require_failed(sema *s, const ast_expr *e, bool is_where)
{
    bool library;
    span call = sema_user_call(s, &library);
    const char *text = sema_source_text(s, e->at);
    diag *g;
    if (library && call.begin) {
        g = sema_error(s, call, "requirement", "'%s' requires %s", sema_source_text(s, call), text);
        diag_note(g, "stated at %s", sema_where(s, e->at));
    } else {
        g = sema_error(s, e->at, "requirement",
                       is_where ? "this condition does not hold" : "this requirement does not hold");
    }
    strbuf known = strbuf_new(s->a);
    name_list seen = {0};
    tell_names(s, e, &known, &seen);
    if (known.len) diag_note(g, "%s", known.s);
    s->frame->returned = s->frame->aborted = true;
}

static void require_at_run_time(sema *s, const ast_expr *e, const value *v)
{
    dim a = v->cond.left, b = v->cond.right, one = dim_const(s->dims, 1);
    sema_check check = {.at = e->at};
    switch (v->cond.op) {
    case AST_EQ: check.op = SEMA_CHECK_EQ, check.left = a, check.right = b; break;
    case AST_LE: check.op = SEMA_CHECK_LE, check.left = a, check.right = b; break;
    case AST_LT: check.op = SEMA_CHECK_LE, check.left = dim_add(s->dims, a, one), check.right = b; break;
    case AST_GE: check.op = SEMA_CHECK_LE, check.left = b, check.right = a; break;
    case AST_GT: check.op = SEMA_CHECK_LE, check.left = dim_add(s->dims, b, one), check.right = a; break;
    default: {
        diag *g = sema_error(s, e->at, "requirement", "this cannot be shown, and '!=' is not checked at run time");
        diag_got(g, "%s", sema_value_text(s, v));
        return;
    }
    }
    if (check.left == DIM_BAD || check.right == DIM_BAD) {
        sema_error(s, e->at, "overflow", "this integer is too large");
        return;
    }
    vec_foreach (scan_index, x, &s->scan_indices) {
        if (!dim_uses(s->dims, check.left, x->symbol) && !dim_uses(s->dims, check.right, x->symbol)) continue;
        diag *g = sema_error(s, e->at, "requirement", "cannot show this requirement for every step of the scan");
        diag_got(g, "%s", sema_value_text(s, v));
        return;
    }
    vec_foreach (sema_check, c, &s->entry->checks)
        if (c->op == check.op && c->left == check.left && c->right == check.right) return;
    if (s->entry->checks.len >= SEMA_MAX_CHECKS) {
        sema_error(s, e->at, "limit", "more than %u requirements are left to the run", SEMA_MAX_CHECKS);
        s->stopped = true;
        return;
    }
    vec_push(s->a, &s->entry->checks, check);
    sema_fact fact = {check.left, check.right};
    if (check.op == SEMA_CHECK_EQ) vec_push(s->a, &s->facts, fact);
    else vec_push(s->a, &s->orders, fact);
}

static void require(sema *s, const ast_expr *e, bool is_where)
{
    if (e->kind == EX_BINARY && e->op.op == AST_AND) {
        require(s, e->op.left, is_where);
        require(s, e->op.right, is_where);
        return;
    }
    value v = eval(s, e);
    switch (v.kind) {
    case V_ERROR: return;
    case V_BOOL:
        if (!v.flag) require_failed(s, e, is_where);
        return;
    case V_COND: require_at_run_time(s, e, &v); return;
    default: {
        diag *g = sema_error(s, e->at, "wrong-type", "a requirement is a condition on dims and compile-time values");
        diag_got(g, "%s", sema_value_text(s, &v));
    }
    }
}

void exec_require(sema *s, const ast_exprs *conds, bool is_where)
{
    vec_foreach (ast_expr *, e, conds) require(s, *e, is_where);
}

/* ---- the rest ---- */

static void exec_return(sema *s, const ast_stmt *st)
{
    frame *f = s->frame;
    if (f->scan) {
        diag *g = sema_error(s, st->at, "scan", "a scan has no return");
        diag_hint(g, "write 'yield' for what each step gives");
        f->scan->failed = true;
        return;
    }
    f->results = ARENA_ARRAY(s->a, value, st->values.len);
    for (uint32_t i = 0; i < st->values.len; i++) {
        f->results[i] = eval(s, st->values.data[i]);
        if (f->results[i].kind == V_TUPLE && st->values.len > 1) {
            sema_error(s, st->values.data[i]->at, "arity", "this gives %u values where one is returned",
                       f->results[i].list.n);
            f->results[i] = sema_error_value();
        }
    }
    f->returned_exprs = &st->values;
    f->returned = true;
}

static void exec(sema *s, const ast_stmt *st)
{
    switch (st->kind) {
    case ST_LET:
    case ST_POINT:
    case ST_CONST: exec_let(s, st); return;
    case ST_ASSIGN: exec_assign(s, st); return;
    case ST_PARAM: exec_param(s, st); return;
    case ST_STATE: exec_state(s, st); return;
    case ST_FOR: exec_for(s, st); return;
    case ST_SCOPE: exec_scope(s, st); return;
    case ST_IF: exec_if(s, st); return;
    case ST_REQUIRE: exec_require(s, &st->values, false); return;
    case ST_RETURN: exec_return(s, st); return;
    case ST_YIELD: exec_yield(s, st); return;
    case ST_BLOCK: return; /* declared before the statements ran */
    case ST_ENTRY: return; /* run as a function of its own */
    }
}
