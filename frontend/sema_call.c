/* Calls of blocks: arguments to formals, dims and dtype variables found from tensors, one instance per call. */
#include "frontend/aliases.h"
#include "frontend/sema_internal.h"

const char *signature_text(sema *s, const char *name, const ast_sig *sig)
{
    return arena_printf(s->a, "%s%s", name, sema_source_text(s, sig->at));
}

sema_instance *sema_instance_new(sema *s, sema_instance *parent, const char *block, const char *written,
                                 const char *path, span call)
{
    sema_instance *in = ARENA_NEW(s->a, sema_instance);
    *in = (sema_instance){s->program->instances.len, parent, block, written, path, call, {0}};
    vec_push(s->a, &s->program->instances, in);
    return in;
}

/* ---- compile-time arguments ---- */

bool is_optional(const sema *s, const ast_formal *f)
{
    return is_validity(s, f) ||
           (f->init && f->init->kind == EX_NAME && f->init->name.name == intern_z(s->names, "none"));
}

value coerce_formal(sema *s, const ast_formal *f, value v, span at, const char *callee)
{
    const char *want = f->type.name.name;
    bool constant = v.kind == V_INT && dim_is_const(s->dims, v.size, NULL);
    int64_t k;
    if (strcmp(want, "int") == 0 && constant) return v;
    if (strcmp(want, "dim") == 0 && v.kind == V_INT) return v;
    if (strcmp(want, "float") == 0 && v.kind == V_FLOAT) return v;
    if (strcmp(want, "float") == 0 && constant) {
        dim_is_const(s->dims, v.size, &k);
        return (value){.kind = V_FLOAT, .real = (double)k};
    }
    if (strcmp(want, "bool") == 0 && v.kind == V_BOOL) return v;
    if (strcmp(want, "string") == 0 && v.kind == V_STRING) return v;
    if (strcmp(want, "dtype") == 0 && v.kind == V_DTYPE) return v;
    if (v.kind == V_ERROR || (v.kind == V_NONE && is_optional(s, f))) return v;
    diag *g = sema_error(s, at, "wrong-argument", "argument '%s' of '%s' has the wrong type", f->name.name, callee);
    diag_expected(g, "%s", want);
    diag_got(g, "%s", sema_value_text(s, &v));
    if (v.kind == V_INT && strcmp(want, "int") == 0)
        diag_note(g, "an int is known at compile time; a dim only at run time");
    return sema_error_value();
}

/* ---- matching arguments to formals ---- */

typedef struct {
    const ast_arg *arg; /* NULL: left out */
    value v;
} slot;

static const char *arity_text(sema *s, const ast_sig *sig)
{
    uint32_t most = sig->formals.len, least = 0;
    vec_foreach (ast_formal, f, &sig->formals) least += f->init == NULL;
    if (least == most) return arena_printf(s->a, "%u argument%s", most, most == 1 ? "" : "s");
    return arena_printf(s->a, "%u to %u arguments", least, most);
}

static int find_formal(const ast_sig *sig, const char *name)
{
    for (uint32_t i = 0; i < sig->formals.len; i++)
        if (sig->formals.data[i].name.name == name) return (int)i;
    return -1;
}

void hint_argument(diag *g, const char *name, const name_list *names)
{
    const char *meant = alias_hint(ALIAS_ARG, name);
    vec_foreach (const char *, n, names)
        if (meant && strcmp(*n, meant) == 0) {
            hint_near(g, meant);
            return;
        }
    hint_near(g, suggest(name, names->data, names->len));
}

static bool match_args(sema *s, const ast_expr *e, const ast_sig *sig, const char *callee, slot *slots)
{
    bool ok = true, keyword_seen = false;
    uint32_t positional = 0;
    vec_foreach (ast_arg, arg, &e->call.args) {
        int i;
        if (arg->key.name) {
            keyword_seen = true;
            i = find_formal(sig, arg->key.name);
            if (i < 0) {
                diag *g =
                    sema_error(s, arg->key.at, "unknown-argument", "'%s' has no argument '%s'", callee, arg->key.name);
                name_list names = {0};
                vec_foreach (ast_formal, f, &sig->formals) vec_push(s->a, &names, f->name.name);
                diag_line(g, "signature", "%s", signature_text(s, callee, sig));
                hint_argument(g, arg->key.name, &names);
                ok = false;
                continue;
            }
        } else {
            if (keyword_seen) {
                sema_error(s, arg->at, "arguments", "an argument without a name cannot follow one with a name");
                ok = false;
                continue;
            }
            i = (int)positional++;
            if (positional > sig->formals.len) {
                diag *g = sema_error(s, arg->at, "arity", "'%s' takes %s", callee, arity_text(s, sig));
                diag_line(g, "signature", "%s", signature_text(s, callee, sig));
                return false;
            }
        }
        if (slots[i].arg) {
            sema_error(s, arg->at, "arguments", "argument '%s' is given twice", sig->formals.data[i].name.name);
            ok = false;
            continue;
        }
        slots[i].arg = arg;
        slots[i].v = eval(s, arg->value);
        if (slots[i].v.kind == V_CELL || slots[i].v.kind == V_INDEX) {
            diag *g =
                sema_error(s, arg->at, "wrong-type", "a block takes whole tensors, not elements of a set-builder");
            diag_hint(g, "call '%s' on the built tensor", callee);
            slots[i].v = sema_error_value();
        }
        ok &= slots[i].v.kind != V_ERROR;
    }
    if (!ok) return false;
    for (uint32_t i = 0; i < sig->formals.len; i++) {
        const ast_formal *f = &sig->formals.data[i];
        if (slots[i].arg || f->init) continue;
        diag *g = sema_error(s, e->call.callee->at, "arity", "argument '%s' of '%s' is missing", f->name.name, callee);
        diag_line(g, "signature", "%s", signature_text(s, callee, sig));
        return false;
    }
    return true;
}

/* ---- dims and dtypes from tensors ---- */

bool binds_dim(sema *s, const frame *f, const ast_sig *sig, const char *name)
{
    if (find_formal(sig, name) >= 0) return false;
    if (f->statics && scope_find(f->statics, name)) return false;
    (void)s;
    return !ptrmap_has(f->file->decls, name);
}

static bool is_dtype_variable(const sema *s, const frame *f, const ast_sig *sig, const ast_type *t)
{
    dtype dt;
    (void)s;
    const char *name = t->name.name;
    return name[0] >= 'A' && name[0] <= 'Z' && !sema_dtype_by_name(name, &dt) && find_formal(sig, name) < 0 && f &&
           !alias_hint(ALIAS_TYPE, name); /* Tensor */
}

/* "   (B, S = 12 from argument 'x')": the variables of a formal's type that other arguments decided. */
static const char *origins(sema *s, const ast_formal *formal, const scope *names)
{
    strbuf b = strbuf_new(s->a);
    name_list done = {0};
    for (uint32_t round = 0; round < 8; round++) {
        const char *origin = NULL;
        uint32_t count = 0;
        for (int32_t i = -1; i < (int32_t)formal->type.dims.len; i++) {
            const ast_expr *e = i >= 0 ? formal->type.dims.data[i].size : NULL;
            const char *name = i < 0 ? formal->type.name.name : e && e->kind == EX_NAME ? e->name.name : NULL;
            const binding *v = name ? scope_find_here(names, name) : NULL;
            if (!v || !v->origin || v->origin == formal->name.name) continue;
            bool seen = false;
            vec_foreach (const char *, d, &done) seen |= *d == v->origin && v->origin != origin;
            vec_foreach (const char *, d, &done) seen |= *d == name;
            if (seen || (origin && v->origin != origin)) continue;
            if (!origin) strbuf_adds(&b, b.len ? "; " : "   (");
            strbuf_adds(&b, count++ ? ", " : "");
            origin = v->origin;
            const char *text = v->v.kind == V_DTYPE ? dtype_name(v->v.dt)
                               : v->v.kind == V_INT ? sema_dim_text(s, v->v.size)
                                                    : name;
            strbuf_adds(&b, name);
            if (strcmp(text, name) != 0) strbuf_addf(&b, " = %s", text);
            vec_push(s->a, &done, name);
        }
        if (!origin) break;
        strbuf_addf(&b, " from argument '%s'", origin);
        vec_push(s->a, &done, origin);
    }
    if (b.len) strbuf_addc(&b, ')');
    return b.s ? b.s : "";
}

static diag *wrong_argument(sema *s, const ast_formal *f, const value *v, span at, const char *callee,
                            const scope *names)
{
    diag *g = sema_error(s, at, "wrong-argument", "argument '%s' of '%s' has the wrong type", f->name.name, callee);
    diag_expected(g, "%s%s", sema_source_text(s, f->type.at), origins(s, f, names));
    diag_got(g, "%s", sema_value_text(s, v));
    return g;
}

static void hint_dtype(sema *s, diag *g, dtype want, const value *v, span at)
{
    const char *text = sema_hint_text(s, at);
    dtype got = v->node->ty.dt;
    if (want == DT_BOOL && !dtype_is_float(got)) diag_hint(g, "write '%s != 0'", text);
    else if (want != DT_BOOL) diag_hint(g, "write '%s(%s)'", dtype_name(want), text);
}

typedef struct {
    frame *f;
    const ast_sig *sig;
    const char *callee;
} call_ctx;

/* Binds what a tensor argument shows: its dtype variable, `...` and bare dims. False after reporting. */
static bool bind_tensor(sema *s, const call_ctx *c, const ast_formal *formal, const value *v, span at)
{
    scope *names = c->f->names;
    const ast_type *ft = &formal->type;
    if (v->kind == V_NONE && is_optional(s, formal)) return true;
    if (v->kind != V_TENSOR) {
        wrong_argument(s, formal, v, at, c->callee, names);
        return false;
    }
    if (alias_hint(ALIAS_TYPE, ft->name.name) && !scope_find_here(names, ft->name.name)) { /* Tensor, float32 */
        sema_unknown_type(s, ft);
        return false;
    }
    const sema_type *t = &v->node->ty;
    value dt = {.kind = V_DTYPE, .dt = t->dt};
    if (is_dtype_variable(s, c->f, c->sig, ft)) {
        binding *b = scope_find_here(names, ft->name.name);
        if (!b) {
            b = scope_add(s, names, ft->name.name, BIND_DTYPE, dt, at);
            b->origin = formal->name.name;
        } else if (b->v.kind == V_DTYPE && b->v.dt != t->dt) {
            hint_dtype(s, wrong_argument(s, formal, v, at, c->callee, names), b->v.dt, v, at);
            return false;
        }
    }
    uint32_t written = 0, packs = 0;
    vec_foreach (ast_dim, d, &ft->dims) *(d->size ? &written : &packs) += 1;
    if (packs > 1) {
        sema_error(s, ft->at, "rank", "'...' can stand only once in a type");
        return false;
    }
    if (packs ? t->rank < written : t->rank != written) {
        wrong_argument(s, formal, v, at, c->callee, names);
        return false;
    }
    uint32_t axis = 0;
    vec_foreach (ast_dim, d, &ft->dims) {
        if (!d->size) {
            uint32_t n = t->rank - written;
            const char *dots = intern_z(s->names, "...");
            binding *b = scope_find_here(names, dots);
            if (!b) {
                value pack = {.kind = V_LIST, .list = {ARENA_ARRAY(s->a, value, n), n}};
                for (uint32_t i = 0; i < n; i++)
                    pack.list.items[i] = (value){.kind = V_INT, .size = t->shape[axis + i]};
                scope_add(s, names, dots, BIND_DIM, pack, at)->origin = formal->name.name;
            } else {
                bool same = b->v.list.n == n;
                for (uint32_t i = 0; same && i < n; i++)
                    same = sema_dims_equal(s, b->v.list.items[i].size, t->shape[axis + i]);
                if (!same) {
                    wrong_argument(s, formal, v, at, c->callee, names);
                    return false;
                }
            }
            axis += n;
            continue;
        }
        if (d->size->kind == EX_NAME && binds_dim(s, c->f, c->sig, d->size->name.name) &&
            !scope_find_here(names, d->size->name.name)) {
            value size = {.kind = V_INT, .size = t->shape[axis]};
            scope_add(s, names, d->size->name.name, BIND_DIM, size, d->at)->origin = formal->name.name;
        }
        axis++;
    }
    return true;
}

/* Compares a tensor argument with its formal's type, all of whose variables are known by now. */
static bool check_tensor(sema *s, const call_ctx *c, const ast_formal *formal, const value *v, span at)
{
    sema_type want;
    if (v->kind == V_NONE) return true;
    if (!sema_eval_type(s, &formal->type, &want)) return false;
    const sema_type *got = &v->node->ty;
    if (want.dt != got->dt) {
        hint_dtype(s, wrong_argument(s, formal, v, at, c->callee, c->f->names), want.dt, v, at);
        return false;
    }
    for (uint32_t i = 0; i < want.rank; i++) {
        if (sema_dims_equal(s, want.shape[i], got->shape[i])) continue;
        if (sema_dims_differ(s, want.shape[i], got->shape[i])) {
            wrong_argument(s, formal, v, at, c->callee, c->f->names);
            return false;
        }
        diag *g = sema_error(s, at, "dims-not-equal", "cannot show that dims %s and %s are equal",
                             sema_dim_text(s, want.shape[i]), sema_dim_text(s, got->shape[i]));
        diag_expected(g, "%s%s", sema_source_text(s, formal->type.at), origins(s, formal, c->f->names));
        diag_got(g, "%s", sema_type_text(s, got));
        diag_note(g, "argument '%s' of '%s'", formal->name.name, c->callee);
        sema_explain_dims(s, g, want.shape[i], got->shape[i], false);
        return false;
    }
    return true;
}

/* Fills the callee's frame. Errors are reported as the caller's: the caret is on the argument. */
static bool bind_args(sema *s, frame *f, const ast_sig *sig, const char *callee, const ast_expr *e, slot *slots)
{
    call_ctx c = {f, sig, callee};
    frame *caller = s->frame;
    for (uint32_t i = 0; i < sig->formals.len; i++) {
        const ast_formal *formal = &sig->formals.data[i];
        if (find_formal(sig, formal->name.name) != (int)i) {
            sema_error(s, formal->name.at, "declared-twice", "'%s' is declared twice", formal->name.name);
            return false;
        }
        binding *b = scope_add(s, f->names, formal->name.name, BIND_FORMAL, sema_error_value(), formal->name.at);
        b->state = BIND_PENDING;
        b->owner = f;
        if (!slots[i].arg) {
            b->formal = formal;
            if (is_compile_time_type(&formal->type)) continue;
            if (is_optional(s, formal)) {
                slots[i].v = (value){.kind = V_NONE};
                continue;
            }
            sema_error(s, formal->init->at, "wrong-type", "the default of a tensor can only be none or valid");
            return false;
        }
        if (!is_compile_time_type(&formal->type)) continue;
        value v = coerce_formal(s, formal, slots[i].v, slots[i].arg->value->at, callee);
        if (v.kind == V_ERROR) {
            if (s->open && slots[i].v.kind != V_ERROR)
                diag_line(s->open, "signature", "%s", signature_text(s, callee, sig));
            return false;
        }
        b->v = v;
        b->state = BIND_READY;
    }
    bool ok = true;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; pass == 1 && i < sig->formals.len && ok; i++) { /* all dims are bound */
            const ast_formal *formal = &sig->formals.data[i];
            if (slots[i].arg || is_compile_time_type(&formal->type) || !is_validity(s, formal)) continue;
            slots[i].v = find_validity(s, f, formal, e->call.callee->at, callee);
            scope_find_here(f->names, formal->name.name)->v = slots[i].v;
            ok = slots[i].v.kind != V_ERROR;
        }
        for (uint32_t i = 0; i < sig->formals.len && ok; i++) {
            const ast_formal *formal = &sig->formals.data[i];
            if (is_compile_time_type(&formal->type)) continue;
            span at = slots[i].arg ? slots[i].arg->value->at : formal->at;
            if (pass == 0) {
                ok = bind_tensor(s, &c, formal, &slots[i].v, at);
                binding *b = scope_find_here(f->names, formal->name.name);
                b->v = slots[i].v;
                b->state = BIND_READY;
            } else {
                /* The formal's type speaks of the callee's names; a mistake in the argument is the caller's. */
                s->frame = f;
                f->checking_args = true;
                ok = check_tensor(s, &c, formal, &slots[i].v, at);
                f->checking_args = false;
                s->frame = caller;
            }
        }
    }
    if (!ok) return false;
    for (uint32_t i = 0; i < sig->formals.len; i++) {
        binding *b = scope_find_here(f->names, sig->formals.data[i].name.name);
        if (b->state == BIND_PENDING && binding_value(s, b).kind == V_ERROR) return false;
    }
    return true;
}

/* ---- results ---- */

/* Whether `got` is `want` with further axes of size 1, as reductions leave them. */
static bool has_ones_left(sema *s, const sema_type *got, const sema_type *want)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < got->rank; i++) {
        if (k < want->rank && sema_dims_equal(s, want->shape[k], got->shape[i])) k++;
        else if (got->shape[i] != dim_const(s->dims, 1)) return false;
    }
    return k == want->rank && got->rank > want->rank;
}

static bool check_result(sema *s, const ast_result *r, value *v, span at, const char *name)
{
    if (is_compile_time_type(&r->type)) {
        ast_formal as = {.name = {r->name.name ? r->name.name : "result", r->at}, .type = r->type};
        *v = coerce_formal(s, &as, *v, at, name);
        return v->kind != V_ERROR;
    }
    sema_type want;
    if (!sema_eval_type(s, &r->type, &want)) return false;
    if (v->kind == V_ERROR) return false;
    bool fits = v->kind == V_TENSOR && v->node->ty.dt == want.dt && v->node->ty.rank == want.rank, differ = !fits;
    dim left = DIM_BAD, right = DIM_BAD;
    for (uint32_t i = 0; fits && i < want.rank; i++) {
        if (sema_dims_equal(s, want.shape[i], v->node->ty.shape[i])) continue;
        left = want.shape[i];
        right = v->node->ty.shape[i];
        differ = sema_dims_differ(s, left, right);
        fits = false;
    }
    if (fits) return true;
    diag *g;
    if (differ || left == DIM_BAD) g = sema_error(s, at, "wrong-result", "'%s' returns the wrong type", name);
    else
        g = sema_error(s, at, "dims-not-equal", "cannot show that dims %s and %s are equal", sema_dim_text(s, left),
                       sema_dim_text(s, right));
    const char *declared = sema_source_text(s, r->type.at), *known = sema_type_text(s, &want);
    if (strcmp(declared, known) == 0) diag_expected(g, "%s", declared);
    else diag_expected(g, "%s   (%s)", known, declared);
    diag_got(g, "%s", sema_value_text(s, v));
    if (!differ && left != DIM_BAD) sema_explain_dims(s, g, left, right, false);
    else if (v->kind == V_TENSOR && v->node->ty.dt != want.dt) hint_dtype(s, g, want.dt, v, at);
    else if (v->kind == V_TENSOR && has_ones_left(s, &v->node->ty, &want))
        diag_hint(g, "an axis of size 1 is left: keep = false in a reduction drops it, and so does an index, x[:, 0]");
    return false;
}

value *check_results(sema *s, const ast_sig *sig, const ast_body *body, const char *name)
{
    frame *f = s->frame;
    if (s->stopped || f->aborted) return NULL;
    if (!f->returned) {
        span brace = {body->at.end - 1, body->at.end};
        diag *g = sema_error(s, brace, "no-return", "'%s' ends without a return", name);
        diag_line(g, "signature", "%s", signature_text(s, name, sig));
        return NULL;
    }
    uint32_t n = sig->results.len;
    value *v = f->results;
    uint32_t given = f->returned_exprs->len;
    if (given == 1 && v[0].kind == V_TUPLE) { /* return f(x), where f returns several */
        given = v[0].list.n;
        v = v[0].list.items;
    }
    span all = span_join(f->returned_exprs->data[0]->at, f->returned_exprs->data[f->returned_exprs->len - 1]->at);
    if (given == 1 && v[0].kind == V_ERROR) return NULL;
    if (given != n) {
        diag *g =
            sema_error(s, all, "wrong-result", "'%s' returns %u result%s, not %u", name, n, n == 1 ? "" : "s", given);
        diag_line(g, "signature", "%s", signature_text(s, name, sig));
        return NULL;
    }
    bool ok = true;
    for (uint32_t i = 0; i < n; i++) {
        span at = f->returned_exprs->len == n ? f->returned_exprs->data[i]->at : all;
        ok &= check_result(s, &sig->results.data[i], &v[i], at, name);
    }
    return ok ? v : NULL;
}

/* ---- the call ---- */

static value call_block(sema *s, const ast_expr *e, const block_ref *b)
{
    const ast_decl *d = b->decl;
    const ast_sig *sig = &d->code.sig;
    span at = e->call.callee->at;
    const char *callee = sema_source_text(s, at);
    if (s->frame->depth >= SEMA_MAX_CALL_DEPTH || s->program->instances.len >= SEMA_MAX_INSTANCES) {
        diag *g = sema_error(s, at, "limit",
                             s->frame->depth >= SEMA_MAX_CALL_DEPTH ? "blocks call one another too deeply"
                                                                    : "too many block calls");
        diag_note(g, "the limits are %d levels and %u calls", SEMA_MAX_CALL_DEPTH, SEMA_MAX_INSTANCES);
        s->stopped = true;
        return sema_error_value();
    }
    if (!s->frame->in) {
        sema_error(s, at, "wrong-type", "a constant is known at compile time: it cannot call blocks");
        return sema_error_value();
    }
    slot *slots = ARENA_ARRAY(s->a, slot, sig->formals.len);
    if (!match_args(s, e, sig, callee, slots)) return sema_error_value();

    const char *path = s->frame->path;
    uint32_t owner = s->frame->path_owner;
    if (e->call.path.name) {
        const char *rel;
        if (!sema_interpolate(s, e->call.path, &rel)) return sema_error_value();
        path = sema_join_path(s, path, rel);
        owner = ++s->owners;
    }
    frame *caller = s->frame;
    frame f = {.caller = caller,
               .file = b->file,
               .decl = d,
               .names = scope_new(s, NULL),
               .statics = b->statics,
               .path = path,
               .path_owner = owner,
               .call = at,
               .depth = caller->depth + 1};
    f.in = sema_instance_new(s, caller->in, b->canonical, callee, path, at);
    f.in->named = e->call.path.name ? e->call.path.at : (span){0};
    if (!bind_args(s, &f, sig, callee, e, slots)) return sema_error_value();

    s->frame = &f;
    exec_require(s, &d->code.where, true);
    exec_body(s, &d->code.body);
    value *results = check_results(s, sig, &d->code.body, callee);
    s->frame = caller;
    if (!results) return sema_error_value();
    if (sig->results.len == 1) return results[0];
    return (value){.kind = V_TUPLE, .list = {results, sig->results.len}};
}

value eval_call(sema *s, const ast_expr *e)
{
    value callee = eval(s, e->call.callee);
    if (callee.kind == V_ERROR) return callee;
    if (callee.kind == V_BLOCK) return call_block(s, e, callee.block);
    if (callee.kind != V_BUILTIN && callee.kind != V_DTYPE) {
        diag *g = sema_error(s, e->call.callee->at, "wrong-type", "this cannot be called");
        diag_got(g, "%s", sema_value_text(s, &callee));
        return sema_error_value();
    }
    if (e->call.path.name) {
        diag *g = sema_error(s, e->call.path.at, "no-parameters", "'%s' has no parameters",
                             sema_source_text(s, e->call.callee->at));
        diag_hint(g, "remove the '@'");
        return sema_error_value();
    }
    if (callee.kind == V_BUILTIN) return call_builtin(s, callee.builtin, e);
    if (e->call.args.len != 1 || e->call.args.data[0].key.name) {
        sema_error(s, e->at, "arity", "a cast takes one tensor or number");
        return sema_error_value();
    }
    value v = eval(s, e->call.args.data[0].value);
    return sema_cast_value(s, v, callee.dt, e->at);
}
