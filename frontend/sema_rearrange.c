/* rearrange: split axes, permute them, merge them, as a reshape, a transposition and a reshape. */
#include "frontend/sema_pattern.h"

typedef struct {
    pattern p;
    dim size[PATTERN_MAX_AXES]; /* of the left side's axes; DIM_BAD: not known yet */
    dim dots[SEMA_MAX_RANK];
    uint32_t n_dots;
    const ast_args *args;
    bool used[64];
} work;

/* The size given by a named argument; false after reporting. *size stays DIM_BAD when there is none. */
static bool given_size(sema *s, work *w, const char *name, dim *size)
{
    for (uint32_t i = 0; i < w->args->len; i++) {
        const ast_arg *arg = &w->args->data[i];
        if (arg->key.name != name) continue;
        w->used[i] = true;
        if (!sema_eval_dim(s, arg->value, size)) return false;
        if (sema_dim_le(s, dim_const(s->dims, 1), *size)) return true;
        diag *g = sema_error(s, arg->value->at, "wrong-type", "the size of axis '%s' must be at least 1", name);
        diag_got(g, "%s", sema_dim_text(s, *size));
        return false;
    }
    return true;
}

/* Sizes of the axes of one left group, whose tensor axis has size `whole`. */
static bool solve_group(sema *s, work *w, uint32_t first, uint32_t end, dim whole)
{
    const pattern_side *left = &w->p.input[0];
    dim known = dim_const(s->dims, 1);
    int open = -1;
    for (uint32_t i = first; i < end; i++) {
        if (left->axis[i].name == w->p.one) w->size[i] = dim_const(s->dims, 1);
        else if (!given_size(s, w, left->axis[i].name, &w->size[i])) return false;
        if (w->size[i] != DIM_BAD) {
            known = dim_mul(s->dims, known, w->size[i]);
        } else if (open >= 0) {
            diag *g = sema_error(s, left->axis[i].at, "pattern", "the sizes of '%s' and '%s' are both unknown",
                                 left->axis[open].name, left->axis[i].name);
            diag_hint(g, "add an argument: %s = ...", left->axis[i].name);
            return false;
        } else {
            open = (int)i;
        }
    }
    span at = {left->axis[first].at.begin, left->axis[end - 1].at.end};
    if (known == DIM_BAD) {
        sema_error(s, at, "overflow", "the size of this group is too large");
        return false;
    }
    if (open < 0) {
        if (sema_dims_equal_plain(s, known, whole)) return true;
        diag *g = sema_error(s, at, "dims-not-equal", "this group has the wrong size");
        diag_expected(g, "%s", sema_dim_text(s, whole));
        diag_got(g, "%s", sema_dim_text(s, known));
        return false;
    }
    dim q = dim_floordiv(s->dims, whole, known);
    if (q != DIM_BAD && dim_mul(s->dims, q, known) == whole) {
        w->size[open] = q;
        return true;
    }
    bool never = dim_is_const(s->dims, whole, NULL) && dim_is_const(s->dims, known, NULL);
    diag *g = sema_error(s, at, "inexact-division",
                         never ? "%s is not divisible by %s" : "cannot show that %s is divisible by %s",
                         sema_dim_text(s, whole), sema_dim_text(s, known));
    diag_note(g, "the size of axis '%s' would be %s / %s", left->axis[open].name, sema_dim_text(s, whole),
              sema_dim_text(s, known));
    return false;
}

static bool check_sides(sema *s, const work *w)
{
    const pattern_side *left = &w->p.input[0], *right = &w->p.output;
    for (uint32_t i = 0; i < left->n; i++) {
        const char *name = left->axis[i].name;
        if (name == w->p.one || pattern_find(right, name) >= 0) continue;
        diag *g = sema_error(s, left->axis[i].at, "axis-lost", "axis '%s' is lost", name);
        diag_note(g, "every axis on the left must stand on the right; to sum over it use einsum");
        return false;
    }
    for (uint32_t i = 0; i < right->n; i++) {
        const char *name = right->axis[i].name;
        if (name == w->p.one || pattern_find(left, name) >= 0) continue;
        diag *g = sema_error(s, right->axis[i].at, "pattern", "axis '%s' is not on the left", name);
        diag_hint(g, "write 1 for a new axis");
        return false;
    }
    return true;
}

static value run(sema *s, work *w, sema_node *x, span at)
{
    const pattern_side *left = &w->p.input[0], *right = &w->p.output;
    bool dots = pattern_ellipses(&w->p, left);
    uint32_t fixed = left->groups - dots;
    if (dots ? x->ty.rank < fixed : x->ty.rank != fixed) {
        diag *g = sema_error(s, left->at, "rank", "the pattern has %u axes%s", fixed, dots ? " or more" : "");
        diag_got(g, "%s", sema_type_text(s, &x->ty));
        return sema_error_value();
    }
    w->n_dots = x->ty.rank - fixed;
    if (!check_sides(s, w)) return sema_error_value();

    /* Split: one axis per name, without the ones. `place` is where each left axis begins in the split tensor. */
    dim split[PATTERN_MAX_AXES + SEMA_MAX_RANK];
    uint32_t place[PATTERN_MAX_AXES], n = 0, axis = 0;
    for (uint32_t i = 0; i < left->n;) {
        uint32_t end = i + 1;
        while (end < left->n && left->axis[end].group == left->axis[i].group) end++;
        if (left->axis[i].name == w->p.dots) {
            place[i] = n;
            for (uint32_t k = 0; k < w->n_dots; k++) split[n++] = w->dots[k] = x->ty.shape[axis++];
        } else {
            if (!solve_group(s, w, i, end, x->ty.shape[axis++])) return sema_error_value();
            for (uint32_t k = i; k < end; k++) {
                place[k] = n;
                if (left->axis[k].name != w->p.one) split[n++] = w->size[k];
            }
        }
        i = end;
    }
    if (n > SEMA_MAX_RANK) {
        sema_error(s, w->p.at, "rank", "the pattern has more than %d axes", SEMA_MAX_RANK);
        return sema_error_value();
    }
    /* Permute, and merge groups: the sizes of the result. An empty pair of parentheses is an axis of size 1. */
    uint8_t perm[SEMA_MAX_RANK];
    dim result[PATTERN_MAX_AXES + SEMA_MAX_RANK];
    uint32_t m = 0, rank = 0;
    for (uint32_t group = 0, i = 0; group < right->groups; group++) {
        dim size = dim_const(s->dims, 1);
        bool was_dots = false;
        for (; i < right->n && right->axis[i].group == group; i++) {
            const char *name = right->axis[i].name;
            if (name == w->p.one) continue;
            int l = pattern_find(left, name);
            if (name == w->p.dots) {
                was_dots = true;
                for (uint32_t k = 0; k < w->n_dots; k++) {
                    perm[m++] = (uint8_t)(place[l] + k);
                    result[rank++] = w->dots[k];
                }
            } else {
                perm[m++] = (uint8_t)place[l];
                size = dim_mul(s->dims, size, w->size[l]);
            }
        }
        if (!was_dots) result[rank++] = size;
        if (size == DIM_BAD || rank > SEMA_MAX_RANK) {
            sema_error(s, right->at, "rank",
                       size == DIM_BAD ? "the size of an axis is too large" : "the result has too many axes");
            return sema_error_value();
        }
    }
    assert(m == n);
    sema_node *r = sn_reshape(s, x, n, split, at);
    r = sn_transpose(s, r, perm, at);
    return sema_tensor_value(sn_reshape(s, r, rank, result, at));
}

value builtin_rearrange(sema *s, const ast_expr *e)
{
    work *w = ARENA_NEW(s->a, work);
    w->args = &e->call.args;
    const ast_args *args = w->args;
    if (args->len < 2 || args->data[0].key.name || args->data[1].key.name || args->len > sizeof w->used) {
        sema_error(s, e->call.callee->at, "arity", "'rearrange' takes a tensor and a pattern, then sizes by name");
        return sema_error_value();
    }
    value x = eval(s, args->data[0].value), text = eval(s, args->data[1].value);
    if (x.kind == V_STRING && text.kind != V_STRING) {
        diag *g = sema_error(s, args->data[0].value->at, "arguments", "the pattern of 'rearrange' comes second");
        diag_hint(g, "write rearrange(%s, %s)", sema_source_text(s, args->data[1].value->at),
                  sema_source_text(s, args->data[0].value->at));
        return sema_error_value();
    }
    if (x.kind == V_ERROR || !pattern_parse(s, &text, args->data[1].value->at, true, &w->p)) return sema_error_value();
    if (x.kind != V_TENSOR) {
        diag_got(sema_error(s, args->data[0].value->at, "wrong-type", "a tensor is needed here"), "%s",
                 sema_value_text(s, &x));
        return sema_error_value();
    }
    if (w->p.n_inputs != 1) {
        sema_error(s, w->p.input[1].at, "pattern", "'rearrange' has one operand");
        return sema_error_value();
    }
    for (uint32_t i = 2; i < args->len; i++) {
        if (args->data[i].key.name) continue;
        sema_error(s, args->data[i].at, "arity", "sizes are given by name: h = 12");
        return sema_error_value();
    }
    value r = run(s, w, x.node, e->at);
    if (r.kind == V_ERROR) return r;
    for (uint32_t i = 2; i < args->len; i++) {
        if (w->used[i]) continue;
        diag *g = sema_error(s, args->data[i].key.at, "unknown-argument", "the pattern has no axis '%s' on its left",
                             args->data[i].key.name);
        name_list axes = {0};
        for (uint32_t k = 0; k < w->p.input[0].n; k++) vec_push(s->a, &axes, w->p.input[0].axis[k].name);
        hint_near(g, suggest(args->data[i].key.name, axes.data, axes.len));
        return sema_error_value();
    }
    return r;
}
