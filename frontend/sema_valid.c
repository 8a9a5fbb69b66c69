/* `valid S by mask`: which elements of an axis count. What a model or an entry declares, the blocks called in it ask
 * for with an argument whose default is `valid`: left out at a call, it is the mask declared for the last axis of its
 * type,
 *
 *     block mean_pool(x: T[B, S, D], mask: bool[B, S] = valid) -> T[B, D]
 *
 * and none where nothing is declared. The axis is found by its size: one that has been cut or lengthened (S + 1, S / 2)
 * has lost what was known of it. There the argument must be given, for being silently without a mask is wrong. */
#include "frontend/sema_internal.h"

bool is_validity(const sema *s, const ast_formal *f)
{
    return f->init && f->init->kind == EX_NAME && f->init->name.name == intern_z(s->names, "valid");
}

/* ---- declarations ---- */

static bool declared_before(sema *s, const ast_validity *v, dim axis)
{
    vec_foreach (validity, old, &s->valid) {
        if (old->axis != axis) continue;
        diag *g = sema_error(s, v->at, "declared-twice", "two masks are declared for axis '%s'", v->axis.name);
        diag_note(g, "the first at %s", sema_where(s, old->at));
        diag_hint(g, "write one mask: valid %s by a and b", v->axis.name);
        return true;
    }
    return false;
}

/* The size of the axis; DIM_BAD after reporting. */
static dim axis_of(sema *s, const ast_validity *v)
{
    const binding *b = scope_find_here(s->frame->names, v->axis.name);
    if (b && b->v.kind == V_INT && dim_is_symbol(s->dims, b->v.size) >= 0) return b->v.size;
    if (b && b->v.kind == V_ERROR) return DIM_BAD;
    diag *g = sema_error(s, v->axis.at, "unknown-name", "no input has a dim '%s'", v->axis.name);
    name_list dims = {0};
    vec_foreach (binding *, x, &s->frame->names->names)
        if ((*x)->v.kind == V_INT) vec_push(s->a, &dims, (*x)->name);
    hint_near(g, suggest(v->axis.name, dims.data, dims.len));
    return DIM_BAD;
}

static void declare(sema *s, const ast_validity *v)
{
    dim axis = axis_of(s, v);
    value mask = eval(s, v->mask);
    if (axis == DIM_BAD || mask.kind == V_ERROR || declared_before(s, v, axis)) return;
    const sema_type *t = mask.kind == V_TENSOR ? &mask.node->ty : NULL;
    if (!t || t->dt != DT_BOOL || !t->rank || !sema_dims_equal(s, t->shape[t->rank - 1], axis)) {
        diag *g = sema_error(s, v->mask->at, "wrong-type", "this is no mask of axis '%s'", v->axis.name);
        diag_expected(g, "bool[..., %s]", v->axis.name);
        diag_got(g, "%s", sema_value_text(s, &mask));
        if (t && t->dt != DT_BOOL && !dtype_is_float(t->dt))
            diag_hint(g, "write '%s != 0'", sema_hint_text(s, v->mask->at));
        return;
    }
    validity d = {axis, mask.node, v->axis.name, v->at, false};
    vec_push(s->a, &s->valid, d);
    vec_push(s->a, &s->fn->valid, mask.node);
}

void declare_validity(sema *s, const ast_validities *list)
{
    s->valid.len = 0; /* an entry's are its own */
    vec_foreach (ast_validity, v, list) declare(s, v);
}

void warn_unused_validity(sema *s)
{
    vec_foreach (validity, v, &s->valid) {
        if (v->used) continue;
        diag *g = sema_warning(s, v->at, "unused-name", "nothing asks which elements of axis '%s' are valid", v->name);
        diag_note(g, "blocks ask for it by an argument that is left out: mask: bool[B, %s] = valid", v->name);
    }
}

/* ---- at calls ---- */

static value no_validity(diag *g, const ast_formal *f, const char *callee)
{
    diag_note(g, "argument '%s' of '%s' is left out", f->name.name, callee);
    diag_hint(g, "give it: %s = ..., or %s = none where every element counts", f->name.name, f->name.name);
    return sema_error_value();
}

value find_validity(sema *s, frame *f, const ast_formal *formal, span call, const char *callee)
{
    const ast_type *t = &formal->type;
    if (strcmp(t->name.name, "bool") != 0 || !t->dims.len || !vec_last(&t->dims).size) {
        diag *g = sema_error(s, formal->init->at, "wrong-type", "only masks have the default 'valid'");
        diag_expected(g, "bools of the elements of an axis, as bool[B, S]");
        diag_got(g, "%s", sema_source_text(s, t->at));
        return sema_error_value();
    }
    if (!s->valid.len) return (value){.kind = V_NONE};
    sema_type want;
    frame *caller = s->frame;
    s->frame = f; /* the type speaks of the callee's names */
    bool known = sema_eval_type(s, t, &want);
    s->frame = caller;
    if (!known) return sema_error_value();
    dim axis = want.shape[want.rank - 1];
    vec_foreach (validity, v, &s->valid) {
        if (!sema_dims_equal(s, v->axis, axis)) continue;
        v->used = true;
        bool fits = v->mask->ty.rank == want.rank;
        for (uint32_t i = 0; fits && i < want.rank; i++) fits = sema_dims_equal(s, want.shape[i], v->mask->ty.shape[i]);
        if (fits) return sema_tensor_value(v->mask);
        diag *g = sema_error(s, call, "wrong-argument", "the mask declared for axis '%s' does not fit here", v->name);
        diag_expected(g, "%s", sema_type_text(s, &want));
        diag_got(g, "%s   (%s)", sema_type_text(s, &v->mask->ty), sema_where(s, v->at));
        return no_validity(g, formal, callee);
    }
    vec_foreach (validity, v, &s->valid) {
        if (!dim_uses(s->dims, axis, (uint32_t)dim_is_symbol(s->dims, v->axis))) continue;
        diag *g = sema_error(s, call, "wrong-argument", "which elements of axis %s are valid is not known",
                             sema_dim_text(s, axis));
        diag_note(g, "it is declared for %s, at %s", v->name, sema_where(s, v->at));
        return no_validity(g, formal, callee);
    }
    return (value){.kind = V_NONE};
}
