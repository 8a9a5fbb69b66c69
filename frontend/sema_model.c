/* The model: its dims and their bounds, its inputs, its functions. */
#include "frontend/sema_internal.h"

/* What `where` says of one dim. */
typedef struct {
    const char *name;
    span at;
    bool has_min, has_max, used;
    bool shared; /* from the model's where: need not be a dim of every entry */
    int64_t min, max, multiple;
} bound;

typedef struct {
    VEC(bound *) bounds;
    ast_names unbounded;
    ast_exprs others; /* conditions that are no bounds: required once the dims exist */
} constraints;

static bound *bound_of(sema *s, constraints *c, ast_name name)
{
    vec_foreach (bound *, b, &c->bounds)
        if ((*b)->name == name.name) return *b;
    bound *b = ARENA_NEW(s->a, bound);
    *b = (bound){.name = name.name, .at = name.at, .multiple = 1};
    vec_push(s->a, &c->bounds, b);
    return b;
}

/* A bare name that is not a constant of the program. */
static bool is_dim_name(sema *s, const ast_expr *e)
{
    if (e->kind != EX_NAME) return false;
    const frame *f = s->frame;
    return !(f->statics && scope_find(f->statics, e->name.name)) && !ptrmap_has(f->file->decls, e->name.name);
}

static bool has_dim_name(sema *s, const ast_expr *e)
{
    switch (e->kind) {
    case EX_NAME: return is_dim_name(s, e) && !builtin_find(e->name.name);
    case EX_UNARY: return has_dim_name(s, e->op.right);
    case EX_BINARY: return has_dim_name(s, e->op.left) || has_dim_name(s, e->op.right);
    case EX_CALL:
        vec_foreach (ast_arg, a, &e->call.args)
            if (has_dim_name(s, a->value)) return true;
        return false;
    default: return false;
    }
}

static void at_most(bound *b, int64_t v)
{
    b->max = !b->has_max || v < b->max ? v : b->max;
    b->has_max = true;
}

static void at_least(bound *b, int64_t v)
{
    b->min = !b->has_min || v > b->min ? v : b->min;
    b->has_min = true;
}

/* "S <= 512", "8 < S", "S % 8 == 0", "S == 4". False when it is something else. */
static bool read_bound(sema *s, constraints *c, const ast_expr *e)
{
    if (e->kind != EX_BINARY || e->op.op < AST_EQ || e->op.op > AST_GE || e->op.op == AST_NE) return false;
    const ast_expr *left = e->op.left, *right = e->op.right;
    ast_op op = e->op.op;
    int64_t k;
    if (op == AST_EQ && left->kind == EX_BINARY && left->op.op == AST_MOD && is_dim_name(s, left->op.left) &&
        right->kind == EX_INT && right->integer == 0 && !has_dim_name(s, left->op.right)) {
        if (eval_int_const(s, left->op.right, &k).kind == V_ERROR) return true;
        bound *b = bound_of(s, c, left->op.left->name);
        int64_t a = b->multiple, r = k;
        while (r > 0 && a % r != 0) {
            int64_t t = a % r;
            a = r;
            r = t;
        }
        if (k < 1 || __builtin_mul_overflow(b->multiple / r, k, &b->multiple)) {
            sema_error(s, left->op.right->at, "out-of-range", "a divisor must be at least 1");
            b->multiple = 1;
        }
        return true;
    }
    if (!is_dim_name(s, left)) {
        static const ast_op mirrored[] = {
            [AST_EQ] = AST_EQ, [AST_LT] = AST_GT, [AST_LE] = AST_GE, [AST_GT] = AST_LT, [AST_GE] = AST_LE};
        const ast_expr *t = left;
        left = right;
        right = t;
        op = mirrored[op];
    }
    if (!is_dim_name(s, left) || has_dim_name(s, right)) return false;
    if (eval_int_const(s, right, &k).kind == V_ERROR) return true;
    bound *b = bound_of(s, c, left->name);
    if (op == AST_LE || op == AST_EQ) at_most(b, k);
    if (op == AST_LT) at_most(b, k == INT64_MIN ? k : k - 1);
    if (op == AST_GE || op == AST_EQ) at_least(b, k);
    if (op == AST_GT) at_least(b, k == INT64_MAX ? k : k + 1);
    return true;
}

static void read_where(sema *s, constraints *c, ast_expr *e)
{
    if (e->kind == EX_BINARY && e->op.op == AST_AND) {
        read_where(s, c, e->op.left);
        read_where(s, c, e->op.right);
    } else if (!read_bound(s, c, e)) {
        vec_push(s->a, &c->others, e);
    }
}

/* ---- dims ---- */

static bool same_facts(const dim_symbol *d, int64_t min, int64_t max, int64_t multiple)
{
    return d->min == min && d->max == max && d->multiple == multiple;
}

/* The symbol of a dim of the model. DIM_BAD after reporting. */
static dim make_symbol(sema *s, constraints *c, ast_name name, int64_t least)
{
    bound *b = bound_of(s, c, name);
    b->used = true;
    if (!b->has_max) {
        vec_push(s->a, &c->unbounded, name);
        b->has_max = true; /* said once, of all */
        b->max = INT32_MAX;
    }
    dim old = dim_find(s->dims, name.name);
    if (old != DIM_BAD && dim_symbol_at(s->dims, (uint32_t)dim_is_symbol(s->dims, old))->origin == DIM_DATA) {
        diag *g = sema_error(s, name.at, "declared-twice", "'%s' is the index of a scan in another entry", name.name);
        diag_hint(g, "give one of the two another name");
        return DIM_BAD;
    }
    int64_t min = b->has_min ? b->min : least, max = b->max;
    if (min < 0 || min > max || max > INT32_MAX || max / b->multiple * b->multiple < min) {
        diag *g = sema_error(s, b->at, "dim-bounds", "no value is left for dim '%s'", name.name);
        diag_note(g, "%lld <= %s <= %lld%s", (long long)min, name.name, (long long)max,
                  b->multiple > 1 ? arena_printf(s->a, ", a multiple of %lld", (long long)b->multiple) : "");
        if (max > INT32_MAX) diag_note(g, "the largest size is %d", INT32_MAX);
        return DIM_BAD;
    }
    if (old != DIM_BAD &&
        !same_facts(dim_symbol_at(s->dims, (uint32_t)dim_is_symbol(s->dims, old)), min, max, b->multiple)) {
        diag *g = sema_error(s, name.at, "dim-bounds", "dim '%s' has other bounds in another entry", name.name);
        diag_hint(g, "state the bounds once, in the model's 'where'");
        return DIM_BAD;
    }
    return dim_sym(s->dims, name.name, DIM_INPUT, min, max, b->multiple);
}

/* An expression in an input's type: all its dims must appear bare somewhere. */
static bool check_findable(sema *s, constraints *c, const ast_expr *e)
{
    bool ok = true;
    if (e->kind == EX_NAME) {
        if (!is_dim_name(s, e) || builtin_find(e->name.name) || scope_find(s->frame->names, e->name.name)) return true;
        bound_of(s, c, e->name)->used = true;
        diag *g = sema_error(s, e->at, "unfindable-dim", "dim '%s' cannot be found at call time", e->name.name);
        diag_note(g, "a dim must appear by itself in an input's type, or be an argument '%s: dim'", e->name.name);
        return false;
    }
    if (e->kind == EX_UNARY || e->kind == EX_BINARY) ok = check_findable(s, c, e->op.right);
    if (e->kind == EX_BINARY) ok &= check_findable(s, c, e->op.left);
    if (e->kind == EX_CALL)
        vec_foreach (ast_arg, a, &e->call.args) ok &= check_findable(s, c, a->value);
    return ok;
}

static bool declare_dims(sema *s, constraints *c, const ast_sig *sig)
{
    frame *f = s->frame;
    bool ok = true;
    vec_foreach (ast_formal, formal, &sig->formals) {
        const ast_type *t = &formal->type;
        if (formal->init) {
            sema_error(s, formal->init->at, "wrong-type", "an input of a model has no default");
            ok = false;
        }
        bool again = scope_find_here(f->names, formal->name.name) != NULL;
        for (const ast_formal *before = sig->formals.data; before < formal; before++)
            again |= before->name.name == formal->name.name;
        if (again) {
            sema_error(s, formal->name.at, "declared-twice", "'%s' is declared twice", formal->name.name);
            ok = false;
            continue;
        }
        if (is_compile_time_type(t)) {
            if (strcmp(t->name.name, "dim") != 0) {
                diag *g = sema_error(s, t->at, "wrong-type", "the inputs of a model are tensors and dims");
                diag_got(g, "%s", t->name.name);
                ok = false;
                continue;
            }
            dim d = make_symbol(s, c, formal->name, 0);
            ok &= d != DIM_BAD;
            if (d != DIM_BAD && formal->doc) dim_document(s->dims, d, formal->doc);
            scope_add(s, f->names, formal->name.name, BIND_FORMAL,
                      d == DIM_BAD ? sema_error_value() : (value){.kind = V_INT, .size = d}, formal->name.at);
            continue;
        }
        vec_foreach (ast_dim, x, &t->dims) {
            if (!x->size) {
                sema_error(s, x->at, "rank", "an input of a model has a fixed number of axes");
                ok = false;
                continue;
            }
            if (x->size->kind == EX_UNARY && x->size->op.op == AST_NEG && x->size->op.right->kind == EX_INT) {
                diag *g = sema_error(s, x->at, "negative-dim", "this dim is negative");
                diag_hint(g, "a size that varies has a name: f32[B, S]");
                ok = false;
            }
            if (!is_dim_name(s, x->size) || !binds_dim(s, f, sig, x->size->name.name)) continue;
            if (scope_find_here(f->names, x->size->name.name)) continue;
            dim d = make_symbol(s, c, x->size->name, 1);
            ok &= d != DIM_BAD;
            scope_add(s, f->names, x->size->name.name, BIND_DIM,
                      d == DIM_BAD ? sema_error_value() : (value){.kind = V_INT, .size = d}, x->at);
        }
    }
    vec_foreach (ast_formal, formal, &sig->formals)
        vec_foreach (ast_dim, x, &formal->type.dims)
            if (x->size) ok &= check_findable(s, c, x->size);
    return ok;
}

static void report_unbounded(sema *s, const constraints *c, const ast_decl *d)
{
    const ast_names *list = &c->unbounded;
    if (!list->len) return;
    strbuf names = strbuf_new(s->a), bounds = strbuf_new(s->a);
    for (uint32_t i = 0; i < list->len; i++) {
        const char *name = list->data[i].name;
        strbuf_addf(&names, "%s'%s'", !i ? "" : i + 1 == list->len ? " and " : ", ", name);
        strbuf_addf(&bounds, "%s%s <= 512", i ? ", " : "", name);
    }
    diag *g = sema_error(s, list->data[0].at, "unbounded-dim", "dim%s %s ha%s no upper bound", list->len > 1 ? "s" : "",
                         names.s, list->len > 1 ? "ve" : "s");
    for (uint32_t i = 1; i < list->len; i++) diag_underline(g, list->data[i].at);
    if (strcmp(list->data[0].name, "None") == 0) diag_hint(g, "a size that varies has a name of its own: f32[B, S]");
    else if (d->code.where.len) diag_hint(g, "add '%s' to 'where'", bounds.s);
    else diag_hint(g, "add 'where %s' %s", bounds.s, d->code.weights.present ? "before 'weights'" : "before the body");
    s->unbounded = true;
}

static bool declare_inputs(sema *s, const ast_sig *sig)
{
    frame *f = s->frame;
    bool ok = true;
    vec_foreach (ast_formal, formal, &sig->formals) {
        if (is_compile_time_type(&formal->type)) continue;
        sema_type t;
        if (!sema_eval_type(s, &formal->type, &t)) {
            ok = false;
            continue;
        }
        sema_node *n = sn_new(s, SN_INPUT, t, formal->at, NULL, 0);
        n->input = s->fn->inputs.len;
        sema_port port = {formal->name.name, formal->doc, t, n, formal->name.at};
        vec_push(s->a, &s->fn->inputs, port);
        scope_add(s, f->names, formal->name.name, BIND_FORMAL, sema_tensor_value(n), formal->name.at);
    }
    return ok;
}

static void warn_unused_inputs(sema *s, const scope *names)
{
    vec_foreach (binding *, b, &names->names)
        if ((*b)->kind == BIND_FORMAL && !(*b)->used && (*b)->v.kind == V_TENSOR)
            sema_warning(s, (*b)->at, "unused-name", "input '%s' is never used", (*b)->name);
}

/* ---- functions ---- */

static void elaborate_function(sema *s, const ast_decl *d, const ast_exprs *outer_where, scope *statics)
{
    const ast_sig *sig = &d->code.sig;
    vec_foreach (sema_function *, f, &s->program->functions)
        if ((*f)->name == d->name.name) {
            sema_error(s, d->name.at, "declared-twice", "entry '%s' is declared twice", d->name.name);
            return;
        }
    s->entry = s->fn = ARENA_NEW(s->a, sema_function);
    s->fn->name = d->name.name;
    s->fn->doc = d->kind == DECL_ENTRY ? d->doc : NULL; /* a model's is the program's */
    s->fn->at = d->name.at;
    s->points = ptrmap_new(s->a);
    s->facts.len = s->orders.len = 0; /* an entry's facts are its own */
    frame f = {.file = s->model_file,
               .decl = d,
               .names = scope_new(s, NULL),
               .statics = statics,
               .path = "",
               .path_owner = ++s->owners};
    s->frame = &f;
    f.in = s->fn->root = sema_instance_new(s, NULL, NULL, NULL, "", (span){0});

    constraints c = {0};
    if (outer_where)
        vec_foreach (ast_expr *, e, outer_where) read_where(s, &c, *e);
    vec_foreach (bound *, b, &c.bounds) (*b)->shared = true;
    vec_foreach (ast_expr *, e, &d->code.where) read_where(s, &c, *e);
    bool ok = declare_dims(s, &c, sig);
    report_unbounded(s, &c, d);
    bool misnamed = c.unbounded.len && !strcmp(c.unbounded.data[0].name, "None");
    vec_foreach (bound *, b, &c.bounds) {
        if ((*b)->used || (*b)->shared || !ok || misnamed)
            continue; /* an input's dims are wrong: that is the mistake */
        sema_error(s, (*b)->at, "unknown-name", "no input has a dim '%s'", (*b)->name);
        ok = false;
    }
    ok = ok && declare_inputs(s, sig);
    if (ok) {
        exec_require(s, &c.others, true);
        declare_validity(s, &d->code.valid);
        exec_body(s, &d->code.body);
        value *results = check_results(s, sig, &d->code.body, d->name.name);
        for (uint32_t i = 0; results && i < sig->results.len; i++) {
            const ast_result *r = &sig->results.data[i];
            const char *name = r->name.name;
            if (!name) name = intern_z(s->names, sig->results.len == 1 ? "result" : arena_printf(s->a, "result%u", i));
            vec_foreach (sema_port, p, &s->fn->results)
                if (p->name == name) sema_error(s, r->at, "declared-twice", "two results are called '%s'", name);
            if (results[i].kind != V_TENSOR) {
                sema_error(s, r->at, "wrong-type", "the results of a model are tensors");
                continue;
            }
            sema_port port = {name, r->doc, results[i].node->ty, results[i].node, r->at};
            vec_push(s->a, &s->fn->results, port);
        }
        if (!s->failed) warn_unused_inputs(s, f.names);
        if (!s->failed) warn_unused_validity(s);
    }
    vec_push(s->a, &s->program->functions, s->fn);
    s->frame = NULL;
}

static void declare_block(sema *s, scope *statics, const ast_decl *d)
{
    const binding *old = scope_find_here(statics, d->name.name);
    if (old) {
        diag *g = sema_error(s, d->name.at, "declared-twice", "'%s' is declared twice", d->name.name);
        diag_note(g, "first at %s", sema_where(s, old->at));
        return;
    }
    block_ref *b = ARENA_NEW(s->a, block_ref);
    *b = (block_ref){d, s->model_file, statics,
                     arena_printf(s->a, "%s%s.%s", s->model_file->canonical, s->model->name.name, d->name.name)};
    scope_add(s, statics, d->name.name, BIND_BLOCK, (value){.kind = V_BLOCK, .block = b}, d->name.at);
}

/* What the statements of a model without a signature may be: shared constants, blocks, entries. */
static void declare_shared(sema *s, scope *statics, const ast_stmt *st)
{
    if (st->kind == ST_BLOCK || st->kind == ST_ENTRY) return;
    if (st->kind != ST_CONST) {
        diag *g = sema_error(s, st->at, "entries", "a model without a signature holds blocks, constants and entries");
        diag_hint(g, "give the model inputs and a result, or move this into an entry");
        return;
    }
    frame f = {.file = s->model_file, .decl = s->model, .names = statics, .path = ""};
    s->frame = &f;
    value v = eval(s, st->let.value);
    s->frame = NULL;
    if (v.kind == V_ERROR || v.kind == V_TENSOR) v = sema_error_value();
    scope_add(s, statics, st->let.names.data[0].name, BIND_CONST, v, st->let.names.data[0].at);
}

/* A bound of the model's where that no entry has a dim for is a misspelling. */
static void check_shared_bounds(sema *s, scope *statics)
{
    frame f = {.file = s->model_file, .decl = s->model, .statics = statics, .path = ""};
    s->frame = &f;
    constraints c = {0};
    vec_foreach (ast_expr *, e, &s->model->code.where) read_where(s, &c, *e);
    vec_foreach (bound *, b, &c.bounds)
        if (dim_find(s->dims, (*b)->name) == DIM_BAD)
            sema_error(s, (*b)->at, "unknown-name", "no entry has a dim '%s'", (*b)->name);
    s->frame = NULL;
}

void elaborate_model(sema *s)
{
    const ast_decl *m = s->model;
    s->model_file = s->root;
    s->program->name = m->name.name;
    s->program->doc = m->doc;
    s->program->at = m->name.at;
    scope *statics = scope_new(s, NULL);
    vec_foreach (ast_stmt *, st, &m->code.body.stmts) {
        if ((*st)->kind == ST_BLOCK) declare_block(s, statics, (*st)->decl);
        if ((*st)->kind != ST_ENTRY) continue;
        s->entries++;
        if (m->code.sig.present)
            sema_error(s, (*st)->decl->name.at, "entries", "a model with a signature of its own has no entries");
    }
    if (m->code.sig.present) {
        elaborate_function(s, m, NULL, statics);
    } else {
        vec_foreach (ast_stmt *, st, &m->code.body.stmts) declare_shared(s, statics, *st);
        vec_foreach (ast_stmt *, st, &m->code.body.stmts)
            if ((*st)->kind == ST_ENTRY && !s->stopped) elaborate_function(s, (*st)->decl, &m->code.where, statics);
        if (!s->failed) check_shared_bounds(s, statics);
        if (s->entries == 0) {
            diag *g = sema_error(s, m->name.at, "entries", "model '%s' has no signature and no entries", m->name.name);
            diag_hint(g, "write model %s(x: f32[B, 4]) -> y: f32[B, 4]", m->name.name);
        }
    }
    if (!s->failed) warn_unused_params(s);
    if (!s->failed) warn_unused_lets(s);
}
