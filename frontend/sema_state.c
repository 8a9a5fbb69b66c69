/* State: tensors that live between runs. Their paths are their identity, like those of parameters.
 *
 * A state is allocated at the bounds of its dims, so that a row stays where it is when a later run is larger; a
 * declaration sees the part that its sizes name. Statements execute in order: what a state holds is the value that the
 * last assignment gave it. */
#include "frontend/sema_internal.h"

typedef struct state_use {
    sema_state *st;
    sema_instance *in; /* the first that declared it */
    uint32_t owner;    /* of the path it was last declared under */
    sema_function *entry;
    uint32_t port; /* in entry->states */
} state_use;

/* t at the largest dims. */
static sema_type at_bounds(sema *s, const sema_type *t)
{
    sema_type r = *t;
    for (uint32_t i = 0; i < t->rank; i++) {
        int64_t lo, hi;
        dim_bounds(s->dims, t->shape[i], &lo, &hi);
        r.shape[i] = dim_const(s->dims, hi);
    }
    return r;
}

static bool equal_types(const sema_type *a, const sema_type *b)
{
    return a->dt == b->dt && a->rank == b->rank &&
           (!a->rank || !memcmp(a->shape, b->shape, a->rank * sizeof *a->shape));
}

static state_use *new_use(sema *s, const ast_stmt *st, const char *path, const sema_type *bounds)
{
    state_use *u = ARENA_NEW(s->a, state_use);
    u->in = s->frame->in;
    u->st = ARENA_NEW(s->a, sema_state);
    *u->st = (sema_state){s->program->states.len, path, *bounds, st->at};
    vec_push(s->a, &s->program->states, u->st);
    ptrmap_set(s->states, path, u);
    return u;
}

void exec_state(sema *s, const ast_stmt *st)
{
    frame *f = s->frame;
    sema_type t;
    const char *rel = st->param.name.name;
    if (st->param.path.name && !sema_interpolate(s, st->param.path, &rel)) rel = NULL;
    binding *b = scope_add(s, f->names, st->param.name.name, BIND_STATE, sema_error_value(), st->param.name.at);
    if (sema_not_in_scan(s, st->at, "a state") || !rel || !sema_eval_type(s, &st->param.type, &t)) return;
    const char *path = sema_join_path(s, f->path, rel);
    if (strstr(path, "{*}") || ptrmap_has(s->params, path)) {
        if (strstr(path, "{*}"))
            sema_error(s, st->at, "path", "'{*}' stacks parameters; a state is not read from a file");
        else sema_error(s, st->at, "declared-twice", "'%s' is a parameter, too", path);
        return;
    }
    sema_type bounds = at_bounds(s, &t);
    state_use *u = ptrmap_get(s->states, path);
    if (!u) {
        u = new_use(s, st, path, &bounds);
    } else if (u->entry == s->entry && u->owner == f->path_owner) {
        report_ambiguous(s, st, path, u->in, u->st->declared);
        return;
    } else if (!equal_types(&u->st->ty, &bounds)) {
        diag *g = sema_error(s, st->at, "parameter-types", "state '%s' is shared, but with two types", path);
        diag_expected(g, "%s   (from %s)", sema_type_text(s, &u->st->ty), sema_where(s, u->st->declared));
        diag_got(g, "%s", sema_type_text(s, &bounds));
        diag_note(g, "a state is allocated at the bounds of its dims");
        return;
    }
    if (u->entry != s->entry) {
        sema_node *n = sn_new(s, SN_STATE, bounds, st->at, NULL, 0);
        n->state = u->st;
        u->port = s->entry->states.len;
        vec_push(s->a, &s->entry->states, ((sema_state_port){u->st, n, n}));
        u->entry = s->entry;
    }
    u->owner = f->path_owner;
    b->stored = u;
    b->visible = t;
}

static sema_state_port *port_of(const sema *s, const state_use *u)
{
    return &s->entry->states.data[u->port];
}

static bool begins_at_zero(const sema *s, const sema_node *slice)
{
    for (uint32_t i = 0; i < slice->ty.rank; i++)
        if (slice->slice.start[i] != dim_const(s->dims, 0) || slice->slice.step[i] != 1) return false;
    return true;
}

value state_read(sema *s, binding *b)
{
    static const int64_t steps[SEMA_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    if (!b->stored) return sema_error_value();
    dim start[SEMA_MAX_RANK];
    for (uint32_t i = 0; i < b->visible.rank; i++) start[i] = dim_const(s->dims, 0);
    return sema_tensor_value(sn_slice(s, port_of(s, b->stored)->out, start, steps, b->visible.shape, b->at));
}

void state_write(sema *s, binding *b, sema_node *v, span at)
{
    sema_node **now = &port_of(s, b->stored)->out, *seen = v->op == SN_UPDATE ? v->args[0] : NULL;
    if (seen && seen->op == SN_SLICE && seen->args[0] == *now && begins_at_zero(s, seen)) {
        *now = sn_update(s, *now, v->args[1], v->slice.start, at); /* a part of what is seen is a part of the state */
        return;
    }
    v = sn_stretch(s, v, b->visible.rank, b->visible.shape, at);
    dim start[SEMA_MAX_RANK];
    for (uint32_t i = 0; i < b->visible.rank; i++) start[i] = dim_const(s->dims, 0);
    *now = equal_types(&v->ty, &(*now)->ty) ? v : sn_update(s, *now, v, start, at);
}
