/* Assignments: x = e gives a name a new value of the same type, x[i, a..b] = e a tensor in which that part is replaced.
 * Values are never changed in place: what was made of the old one stays as it is. */
#include "frontend/sema_internal.h"

static bool same_type(sema *s, const value *old, const value *v)
{
    if (old->kind != v->kind) return false;
    if (old->kind != V_TENSOR) return true;
    const sema_type *a = &old->node->ty, *b = &v->node->ty;
    bool same = a->dt == b->dt && a->rank == b->rank;
    for (uint32_t i = 0; same && i < a->rank; i++) same = sema_dims_equal(s, a->shape[i], b->shape[i]);
    return same;
}

/* Whether the name is declared outside of the scan that is being elaborated. */
static bool outside_of_scan(const frame *f, const binding *b)
{
    if (!f->scan) return false;
    for (const scope *sc = f->names; sc; sc = sc->parent) {
        if (scope_find_here(sc, b->name) == b) return false;
        if (sc == f->scan->names) return true;
    }
    return true;
}

/* The binding to assign to. NULL after reporting. */
static binding *target(sema *s, ast_name name)
{
    binding *b = sema_lookup_binding(s, name.name);
    if (!b) {
        diag *g = sema_error(s, name.at, "unknown-name", "unknown name '%s'", name.name);
        const char *near = sema_suggest(s, name.name);
        if (near && sema_lookup_binding(s, near)) diag_hint(g, "did you mean '%s'?", near);
        else diag_hint(g, "a new name is made by 'let %s = ...'", name.name);
        return NULL;
    }
    bool assignable = b->kind == BIND_LET || b->kind == BIND_FORMAL || b->kind == BIND_STATE;
    if (!assignable || b->state != BIND_READY) {
        static const char *const what[] = {
            [BIND_POINT] = "a point", [BIND_PARAM] = "a parameter", [BIND_CONST] = "a const",
            [BIND_DIM] = "a dim",     [BIND_DTYPE] = "a type",      [BIND_LOOP] = "a loop variable",
            [BIND_AXIS] = "an axis",  [BIND_BLOCK] = "a block",     [BIND_FORMAL] = "an argument"};
        diag *g =
            sema_error(s, name.at, "not-assignable", "'%s' is %s: it cannot be assigned to", name.name, what[b->kind]);
        diag_hint(g, "shadow it: 'let %s = ...'", name.name);
        return NULL;
    }
    if (outside_of_scan(s->frame, b)) {
        diag *g = sema_error(s, name.at, "not-assignable", "'%s' lies outside of this scan: it cannot be assigned to",
                             name.name);
        diag_note(g, "declared at %s", sema_where(s, b->at));
        diag_hint(g, "what a step leaves to the next one is a carry of the scan");
        return NULL;
    }
    return b;
}

/* v as the part `box` of a tensor: numbers and axes of size 1 stretch, as they do for operators. NULL after reporting.
 */
static sema_node *fit_part(sema *s, const index_box *box, value v, const sema_type *whole, span at)
{
    const sema_type *want = &box->part;
    bool number = v.kind == V_INT || v.kind == V_FLOAT || v.kind == V_BOOL;
    if (number && (v.kind == V_FLOAT) <= dtype_is_float(want->dt) && (v.kind == V_BOOL) == (want->dt == DT_BOOL))
        v = sema_cast_value(s, v, want->dt, at);
    if (v.kind == V_ERROR) return NULL;
    bool fits = v.kind == V_TENSOR && v.node->ty.dt == want->dt && v.node->ty.rank <= want->rank;
    for (uint32_t i = 0; fits && i < v.node->ty.rank; i++) {
        dim got = v.node->ty.shape[i], size = want->shape[want->rank - v.node->ty.rank + i];
        fits = got == dim_const(s->dims, 1) || sema_dims_fit(s, size, got);
    }
    if (!fits) {
        diag *g = sema_error(s, at, "changes-type", "this does not fit the part that it is to replace");
        diag_expected(g, "%s   (of %s)", sema_type_text(s, want), sema_type_text(s, whole));
        diag_got(g, "%s", sema_value_text(s, &v));
        return NULL;
    }
    sema_node *n = sn_stretch(s, v.node, want->rank, want->shape, at);
    return sn_reshape(s, n, whole->rank, box->size, at);
}

static value replaced_part(sema *s, const ast_stmt *st, value base, value v)
{
    if (base.kind == V_ERROR) return base;
    if (base.kind != V_TENSOR) {
        diag *g = sema_error(s, st->assign.name.at, "wrong-type", "only parts of tensors can be assigned to");
        diag_got(g, "%s", sema_value_text(s, &base));
        return sema_error_value();
    }
    index_box box;
    if (!sema_index_box(s, &st->assign.indices, &base.node->ty, st->assign.name.at, &box)) return sema_error_value();
    sema_node *part = fit_part(s, &box, v, &base.node->ty, st->assign.value->at);
    return part ? sema_tensor_value(sn_update(s, base.node, part, box.start, st->at)) : sema_error_value();
}

void exec_assign(sema *s, const ast_stmt *st)
{
    ast_name name = st->assign.name;
    value v = eval(s, st->assign.value);
    binding *b = target(s, name);
    if (!b) return;
    bool was_used = b->used;
    value old = binding_value(s, b);
    b->used = was_used || st->assign.indexed; /* to be replaced is no use */
    if (st->assign.indexed) v = replaced_part(s, st, old, v);
    if (v.kind == V_ERROR) return; /* its type stays, so what follows is still checked */
    if (old.kind != V_ERROR && old.kind != V_NONE && !same_type(s, &old, &v)) {
        diag *g =
            sema_error(s, st->assign.value->at, "changes-type", "this assignment changes the type of '%s'", name.name);
        diag_expected(g, "%s   (declared at %s)", sema_value_text(s, &old), sema_where(s, b->at));
        diag_got(g, "%s", sema_value_text(s, &v));
        diag_hint(g, "make a new one: 'let %s = ...'", name.name);
        b->v = sema_error_value();
        return;
    }
    if (b->kind != BIND_STATE) b->v = v;
    else if (old.kind != V_ERROR) state_write(s, b, v.node, st->at);
}
