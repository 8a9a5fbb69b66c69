/* Expressions: dispatch, names, lists, and indexing of tensors outside set-builders. */
#include "frontend/aliases.h"
#include "frontend/sema_internal.h"

/* x.view(...), x.shape, x.relu(): what to write instead. */
static void hint_member(sema *s, diag *g, const ast_expr *e)
{
    const char *name = e->field.name.name, *meant = alias_hint(ALIAS_MEMBER, name);
    bool found = builtin_find(name) != NULL;
    if (!found && s->prelude) sema_file_lookup(s, s->prelude, name, &found);
    if (found)
        diag_hint(g, "functions take the tensor as an argument: %s(%s, ...)", name,
                  sema_source_text(s, e->field.base->at));
    else if (meant) diag_hint(g, "%s", meant);
}

static value eval_field(sema *s, const ast_expr *e)
{
    value base = eval(s, e->field.base);
    if (base.kind == V_ERROR) return base;
    if (base.kind != V_MODULE) {
        diag *g = sema_error(s, e->field.name.at, "wrong-type", "only an imported file has members");
        diag_got(g, "%s", sema_value_text(s, &base));
        hint_member(s, g, e);
        return sema_error_value();
    }
    bool found;
    value v = sema_file_lookup(s, base.module, e->field.name.name, &found);
    if (found) return v;
    diag *g = sema_error(s, e->field.name.at, "unknown-name", "%s has no '%s'", base.module->source->name,
                         e->field.name.name);
    name_list names = {0};
    for (uint32_t i = 0; i < ptrmap_len(base.module->decls); i++)
        vec_push(s->a, &names, (const char *)ptrmap_key_at(base.module->decls, i));
    const char *near = suggest(e->field.name.name, names.data, names.len);
    hint_near(g, near);
    return sema_error_value();
}

static value eval_list(sema *s, const ast_expr *e)
{
    value v = {.kind = V_LIST};
    v.list.n = e->list.len;
    v.list.items = ARENA_ARRAY(s->a, value, e->list.len);
    bool ok = true;
    for (uint32_t i = 0; i < e->list.len; i++) {
        v.list.items[i] = eval(s, e->list.data[i]);
        ok &= v.list.items[i].kind != V_ERROR;
    }
    return ok ? v : sema_error_value();
}

static value eval_inner(sema *s, const ast_expr *e)
{
    switch (e->kind) {
    case EX_NAME: return sema_lookup(s, e->name);
    case EX_INT: return (value){.kind = V_INT, .size = dim_const(s->dims, e->integer)};
    case EX_FLOAT: return (value){.kind = V_FLOAT, .real = e->real};
    case EX_STRING: return (value){.kind = V_STRING, .string = {e->name.name, e->name.at}};
    case EX_BOOL: return (value){.kind = V_BOOL, .flag = e->boolean};
    case EX_UNARY: {
        value x = eval(s, e->op.right);
        return apply_unary(s, e, x);
    }
    case EX_BINARY: {
        value x = eval(s, e->op.left);
        value y = eval(s, e->op.right);
        return apply_binary(s, e, x, y);
    }
    case EX_FIELD: return eval_field(s, e);
    case EX_INDEX: {
        value base = eval(s, e->index.base);
        return base.kind == V_ERROR ? base : eval_index(s, e, base);
    }
    case EX_CALL: return eval_call(s, e);
    case EX_LIST: return eval_list(s, e);
    case EX_BUILDER: return eval_builder(s, e);
    case EX_SCAN: return eval_scan(s, e);
    }
    return sema_error_value();
}

value eval(sema *s, const ast_expr *e)
{
    if (!sema_step(s, e->at) || !sema_enter(s, e->at)) return sema_error_value();
    value v = eval_inner(s, e);
    s->recursion--;
    return v;
}

value eval_int_const(sema *s, const ast_expr *e, int64_t *out)
{
    value v = eval(s, e);
    if (v.kind == V_ERROR) return v;
    if (v.kind == V_INT && dim_is_const(s->dims, v.size, out)) return v;
    diag *g = sema_error(s, e->at, "wrong-type", "a compile-time integer is needed here");
    diag_got(g, "%s", sema_value_text(s, &v));
    return sema_error_value();
}

/* ---- indexing ---- */

/* 0 <= d, and d <= limit (or d < limit when `strict`). Reports what cannot be shown. */
static bool check_bound(sema *s, dim d, dim limit, bool strict, span at, uint32_t axis, const sema_type *of)
{
    dim upper = strict ? dim_add(s->dims, d, dim_const(s->dims, 1)) : d;
    bool low = sema_dim_le(s, dim_const(s->dims, 0), d), high = sema_dim_le(s, upper, limit);
    if (low && high) return true;
    bool never = dim_le(s->dims, d, dim_const(s->dims, -1)) ||
                 dim_le(s->dims, dim_add(s->dims, limit, dim_const(s->dims, 1)), upper);
    diag *g = sema_error(s, at, "index-range",
                         never ? "index %s is outside of axis %u" : "cannot show that index %s is inside of axis %u",
                         sema_dim_text(s, d), axis);
    diag_note(g, "axis %u of %s has the indices 0..%s", axis, sema_type_text(s, of), sema_dim_text(s, limit));
    if (!never) {
        int64_t lo, hi;
        dim which = dim_is_const(s->dims, d, NULL) ? limit : d;
        dim_bounds(s->dims, which, &lo, &hi);
        diag_note(g, "%lld <= %s <= %lld", (long long)lo, sema_dim_text(s, which), (long long)hi);
    }
    return false;
}

static bool int_index(sema *s, const ast_expr *e, dim *out)
{
    value v = eval(s, e);
    if (v.kind == V_INT) return *out = v.size, true;
    if (v.kind == V_ERROR) return false;
    diag *g = sema_error(s, e->at, "wrong-type", "an index must be an integer known at compile time or a dim");
    diag_got(g, "%s", sema_value_text(s, &v));
    if (v.kind == V_TENSOR) diag_hint(g, "to look rows up by a tensor of ids write gather(table, ids)");
    return false;
}

/* -1 is the last one. Only constants count from the end: a dim's sign is not known where it is written. */
static dim from_end(sema *s, dim d, dim size)
{
    int64_t k;
    return dim_is_const(s->dims, d, &k) && k < 0 ? dim_add(s->dims, size, d) : d;
}

static value index_list(sema *s, const ast_expr *e, const value *list)
{
    if (e->index.indices.len != 1 || e->index.indices.data[0].kind != INDEX_POINT) {
        sema_error(s, e->at, "wrong-type", "a list takes one index");
        return sema_error_value();
    }
    int64_t i;
    value v = eval_int_const(s, e->index.indices.data[0].begin, &i);
    if (v.kind == V_ERROR) return v;
    if (i < 0) i += list->list.n;
    if (i >= 0 && i < list->list.n) return list->list.items[i];
    diag *g = sema_error(s, e->index.indices.data[0].at, "index-range", "the list has no such element");
    diag_note(g, "it has %u", list->list.n);
    return sema_error_value();
}

bool sema_index_box(sema *s, const ast_indices *list, const sema_type *t, span at, index_box *out)
{
    *out = (index_box){.part = {.dt = t->dt}};
    for (uint32_t i = 0; i < t->rank; i++) {
        out->start[i] = dim_const(s->dims, 0);
        out->size[i] = t->shape[i];
    }
    uint32_t written = 0, ellipses = 0;
    vec_foreach (ast_index, x, list) *(x->kind == INDEX_ELLIPSIS ? &ellipses : &written) += 1;
    if (ellipses > 1) {
        sema_error(s, at, "rank", "'...' can stand only once");
        return false;
    }
    if (written > t->rank) {
        diag *g = sema_error(s, at, "rank", "too many indices: %u for %u %s", written, t->rank,
                             t->rank == 1 ? "axis" : "axes");
        diag_got(g, "%s", sema_type_text(s, t));
        return false;
    }
    uint32_t axis = 0;
    vec_foreach (ast_index, x, list) {
        switch (x->kind) {
        case INDEX_ELLIPSIS: axis += t->rank - written; continue;
        case INDEX_ALL: break;
        case INDEX_POINT: {
            dim d;
            if (!int_index(s, x->begin, &d)) return false;
            d = from_end(s, d, t->shape[axis]);
            if (!check_bound(s, d, t->shape[axis], true, x->at, axis, t)) return false;
            out->start[axis] = d;
            out->size[axis] = dim_const(s->dims, 1);
            out->dropped[axis] = true;
            break;
        }
        case INDEX_RANGE: {
            dim from, to;
            if (!int_index(s, x->begin, &from) || !int_index(s, x->end, &to)) return false;
            from = from_end(s, from, t->shape[axis]);
            to = from_end(s, to, t->shape[axis]);
            if (!check_bound(s, to, t->shape[axis], false, x->end->at, axis, t)) return false;
            if (!check_bound(s, from, to, false, x->begin->at, axis, t)) return false;
            out->start[axis] = from;
            out->size[axis] = dim_sub(s->dims, to, from);
            break;
        }
        }
        axis++;
    }
    for (uint32_t i = 0; i < t->rank; i++)
        if (!out->dropped[i]) out->part.shape[out->part.rank++] = out->size[i];
    return true;
}

static bool is_new_axis(const ast_index *x)
{
    return x->kind == INDEX_POINT && x->begin->kind == EX_NAME &&
           (!strcmp(x->begin->name.name, "None") || !strcmp(x->begin->name.name, "newaxis"));
}

static bool has_new_axis(const ast_indices *list)
{
    vec_foreach (ast_index, x, list)
        if (is_new_axis(x)) return true;
    return false;
}

/* x[:, None, :], as NumPy puts axes in. */
static void refuse_new_axis(sema *s, const ast_expr *e, const sema_type *t)
{
    const char *const *names = axis_names(s, t);
    strbuf left = strbuf_new(s->a), right = strbuf_new(s->a);
    uint32_t axis = 0, written = 0;
    span at = e->at;
    vec_foreach (ast_index, x, &e->index.indices) written += x->kind != INDEX_ELLIPSIS && !is_new_axis(x);
    for (uint32_t i = 0; i < t->rank; i++) strbuf_addf(&left, "%s%s", i ? " " : "", names[i]);
    vec_foreach (ast_index, x, &e->index.indices) {
        uint32_t n = x->kind != INDEX_ELLIPSIS ? 1 : t->rank > written ? t->rank - written : 0;
        if (is_new_axis(x)) strbuf_adds(&right, right.len ? " 1" : "1"), at = x->at, n = 0;
        for (; n && axis < t->rank; n--) strbuf_addf(&right, "%s%s", right.len ? " " : "", names[axis++]);
    }
    while (axis < t->rank) strbuf_addf(&right, " %s", names[axis++]);
    diag *g = sema_error(s, at, "rank", "an index takes positions; it puts no axis in");
    diag_got(g, "%s", sema_type_text(s, t));
    diag_hint(g, "write rearrange(%s, \"%s -> %s\")", sema_source_text(s, e->index.base->at), left.s, right.s);
}

value eval_index(sema *s, const ast_expr *e, value base)
{
    if (base.kind == V_LIST || base.kind == V_TUPLE) return index_list(s, e, &base);
    if (base.kind != V_TENSOR) {
        diag *g = sema_error(s, e->index.base->at, "wrong-type", "only tensors and lists can be indexed");
        diag_got(g, "%s", sema_value_text(s, &base));
        return sema_error_value();
    }
    if (s->frame->builder) return index_of_tensor(s, e, base);

    static const int64_t steps[SEMA_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    index_box box;
    if (has_new_axis(&e->index.indices)) {
        refuse_new_axis(s, e, &base.node->ty);
        return sema_error_value();
    }
    if (!sema_index_box(s, &e->index.indices, &base.node->ty, e->at, &box)) return sema_error_value();
    sema_node *n = sn_slice(s, base.node, box.start, steps, box.size, e->at);
    return sema_tensor_value(sn_reshape(s, n, box.part.rank, box.part.shape, e->at));
}
