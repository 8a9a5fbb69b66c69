/* The tensor interpreter: tensors, and running a function node by node. The ops are in interp_ops.c and
 * interp_scalar.c, one function a row of the tables. */
#include <assert.h>

#include "ir/interp_internal.h"

#define NO_PLACE ((span){0, 0})

/* ---- tensors ---- */

uint64_t tensor_elements(const tensor *t)
{
    uint64_t n = 1;
    for (uint32_t i = 0; i < t->rank; i++) n *= (uint64_t)t->shape[i];
    return n;
}

/* False when the elements cannot be counted, let alone stored. */
static bool countable(uint32_t rank, const int64_t *shape)
{
    uint64_t n = sizeof(double);
    bool empty = false;
    for (uint32_t i = 0; i < rank; i++) {
        if (shape[i] == 0) empty = true;
        else if (__builtin_mul_overflow(n, (uint64_t)shape[i], &n)) return false;
    }
    return empty || n <= PTRDIFF_MAX;
}

tensor *tensor_new(arena *a, dtype dt, uint32_t rank, const int64_t *shape)
{
    assert(rank <= MAX_RANK && countable(rank, shape));
    tensor *t = ARENA_NEW(a, tensor);
    t->dt = dt;
    t->rank = (uint8_t)rank;
    for (uint32_t i = 0; i < rank; i++) t->shape[i] = shape[i];
    if (dtype_is_float(dt)) t->u.f = ARENA_ARRAY(a, double, tensor_elements(t));
    else t->u.i = ARENA_ARRAY(a, int64_t, tensor_elements(t));
    return t;
}

tensor *tensor_from_bytes(arena *a, dtype dt, uint32_t rank, const int64_t *shape, const void *bytes)
{
    tensor *t = tensor_new(a, dt, rank, shape);
    uint64_t n = tensor_elements(t);
    if (dtype_is_float(dt))
        for (uint64_t i = 0; i < n; i++) t->u.f[i] = dtype_load_f64(dt, bytes, i);
    else
        for (uint64_t i = 0; i < n; i++) t->u.i[i] = dtype_load_i64(dt, bytes, i);
    return t;
}

void tensor_to_bytes(const tensor *t, void *bytes)
{
    uint64_t n = tensor_elements(t);
    if (dtype_is_float(t->dt))
        for (uint64_t i = 0; i < n; i++) dtype_store_f64(t->dt, bytes, i, t->u.f[i]);
    else
        for (uint64_t i = 0; i < n; i++) dtype_store_i64(t->dt, bytes, i, t->u.i[i]);
}

void tensor_copy(tensor *to, const tensor *from)
{
    uint64_t n = tensor_elements(from);
    assert(tensor_elements(to) == n);
    if (!n) return;
    if (dtype_is_float(from->dt)) memcpy(to->u.f, from->u.f, n * sizeof *to->u.f);
    else memcpy(to->u.i, from->u.i, n * sizeof *to->u.i);
}

/* ---- constants ---- */

static const char *file_of(const cexpr *e)
{
    if (e->kind == CE_FILE) return weights_path(e->u.file.file);
    const char *path = NULL;
    for (uint32_t i = 0; i < e->n_args && !path; i++) path = file_of(e->args[i]);
    return path;
}

tensor *interp_constant(arena *a, const cexpr *e, diags *d)
{
    enum { CHUNK = 8192 };
    uint64_t chunk[CHUNK]; /* no element is wider */
    tensor *t = tensor_new(a, e->dt, e->rank, e->shape);
    uint64_t n = tensor_elements(t);
    for (uint64_t first = 0; first < n; first += CHUNK) {
        uint64_t now = n - first < CHUNK ? n - first : CHUNK;
        const char *why;
        if (!cexpr_read(e, first, now, chunk, &why)) {
            diag *g = diag_error(d, NO_PLACE, "%s", why);
            const char *file = file_of(e);
            if (file) diag_in_file(g, file);
            return NULL;
        }
        if (dtype_is_float(e->dt))
            for (uint64_t i = 0; i < now; i++) t->u.f[first + i] = dtype_load_f64(e->dt, chunk, i);
        else
            for (uint64_t i = 0; i < now; i++) t->u.i[first + i] = dtype_load_i64(e->dt, chunk, i);
    }
    return t;
}

/* ---- states ---- */

interp_states *interp_states_new(const module *m, arena *a)
{
    interp_states *s = ARENA_NEW(a, interp_states);
    s->n = m->states.len;
    s->of = ARENA_ARRAY(a, tensor *, s->n);
    for (uint32_t i = 0; i < s->n; i++) {
        int64_t shape[MAX_RANK];
        const type *t = &m->states.data[i]->ty;
        bool fixed = type_is_const(m, t, shape);
        assert(fixed);
        (void)fixed;
        s->of[i] = tensor_new(a, t->dt, t->rank, shape);
    }
    return s;
}

/* ---- running ---- */

span interp_place(const node *n)
{
    return n->n_sources ? n->sources[0] : NO_PLACE;
}

bool interp_dim(const interp *r, const node *n, const char *what, dim d, int64_t *out)
{
    if (dim_eval(r->m->dims, d, r->dims, out)) return true;
    strbuf s = strbuf_new(r->scratch);
    dim_print(r->m->dims, d, &s);
    diag *g = diag_error(r->d, interp_place(n), "%s cannot be computed", what);
    diag_line(g, "in", "%s", op_row(n->op)->name);
    diag_got(g, "%s, which overflows or divides by zero", s.s);
    return false;
}

const char *interp_value_name(const interp *r, const value *v)
{
    const char *name = value_names(r->f, r->scratch)[v->id];
    return v->def ? arena_printf(r->scratch, "%%%s", name) : name;
}

static bool result_shape(const interp *r, const value *v, int64_t *shape)
{
    const type *t = &v->ty;
    for (uint32_t k = 0; k < t->rank; k++) {
        if (!interp_dim(r, v->def, "the size of an axis", t->shape[k], &shape[k])) return false;
        if (shape[k] >= 0) continue;
        strbuf s = strbuf_new(r->scratch);
        dim_print(r->m->dims, t->shape[k], &s);
        diag *g =
            diag_error(r->d, interp_place(v->def), "axis %u of '%s' has a negative size", k, interp_value_name(r, v));
        diag_expected(g, "0 <= %s", s.s);
        diag_got(g, "%lld", (long long)shape[k]);
        return false;
    }
    if (countable(t->rank, shape)) return true;
    diag *g = diag_error(r->d, interp_place(v->def), "'%s' is too large", interp_value_name(r, v));
    diag_got(g, "%s", interp_type_text(r->scratch, t->dt, t->rank, shape));
    return false;
}

static void round_all(tensor *t)
{
    uint64_t n = tensor_elements(t);
    if (dtype_is_float(t->dt) && t->dt != DT_F64)
        for (uint64_t i = 0; i < n; i++) t->u.f[i] = dtype_round(t->dt, t->u.f[i]);
}

static _Noreturn void scratch_out_of_memory(void *arg)
{
    arena_out_of_memory(arg);
}

arena *interp_new_arena(arena *a)
{
    arena *s = arena_new(scratch_out_of_memory, a);
    if (!s) arena_out_of_memory(a);
    return s;
}

void interp_release(interp_slot *s)
{
    arena_free(s->home);
    *s = (interp_slot){0};
}

static void count_uses(const function *f, interp_slot *slots)
{
    function_foreach (n, f) {
        for (uint32_t i = 0; i < n->n_results; i++) slots[n->results[i]->id] = (interp_slot){0};
        for (uint32_t i = 0; i < n->n_operands; i++) slots[n->operands[i]->id].uses++;
    }
    for (uint32_t i = 0; i < f->results.len; i++) slots[f->results.data[i].v->id].uses++;
    for (uint32_t i = 0; i < f->states.len; i++) slots[f->states.data[i].out->id].uses++;
}

/* The dim that a node counts has its value before the node's result is made. */
static void count_tokens(const interp *r, const node *n, const tensor *mask)
{
    int64_t *count = &r->dims[dim_is_symbol(r->m->dims, node_attr(n, ATTR_TOKENS)->u.d)];
    *count = 0;
    for (uint64_t i = 0; i < tensor_elements(mask); i++) *count += mask->u.i[i] != 0;
}

static bool run_node(const interp *r, const node *n)
{
    arena *scratch = interp_new_arena(r->parent);
    tensor **x = ARENA_ARRAY(scratch, tensor *, n->n_operands), **y = ARENA_ARRAY(scratch, tensor *, n->n_results);
    bool ok = true;
    for (uint32_t i = 0; i < n->n_operands; i++) x[i] = r->slots[n->operands[i]->id].t;
    if (op_row(n->op)->props & P_COUNTS) count_tokens(r, n, x[0]);
    for (uint32_t i = 0; i < n->n_results && ok; i++) {
        const value *v = n->results[i];
        interp_slot *s = &r->slots[v->id];
        int64_t shape[MAX_RANK];
        ok = result_shape(r, v, shape);
        if (!ok) break;
        s->home = interp_new_arena(r->parent);
        y[i] = s->t = tensor_new(s->home, v->ty.dt, v->ty.rank, shape);
    }
    ok = ok && interp_eval_of(n->op)(r, n, x, y, scratch);
    for (uint32_t i = 0; i < n->n_results && ok; i++) {
        if (r->o && r->o->round) round_all(y[i]);
        if (r->o && r->o->observe) r->o->observe(r->o->observe_arg, n->results[i], y[i]);
    }
    arena_free(scratch);
    if (!ok) return false;
    for (uint32_t i = 0; i < n->n_operands; i++) {
        interp_slot *operand = &r->slots[n->operands[i]->id];
        if (--operand->uses == 0) interp_release(operand);
    }
    for (uint32_t i = 0; i < n->n_results; i++)
        if (r->slots[n->results[i]->id].uses == 0) interp_release(&r->slots[n->results[i]->id]);
    return true;
}

bool interp_run_nodes(const interp *r)
{
    count_uses(r->f, r->slots);
    function_foreach (n, r->f)
        if (!run_node(r, n)) return false;
    return true;
}

/* States begin as copies: what a run changes counts only when all of it has run. */
static void load_states(const interp *r)
{
    for (uint32_t i = 0; i < r->f->states.len; i++) {
        const function_state_entry *e = &r->f->states.data[i];
        int64_t shape[MAX_RANK];
        (void)type_is_const(r->m, &e->s->ty, shape);
        interp_slot *s = &r->slots[e->in->id];
        s->home = interp_new_arena(r->parent);
        s->t = tensor_new(s->home, e->s->ty.dt, e->s->ty.rank, shape);
        if (r->o && r->o->states) tensor_copy(s->t, r->o->states->of[e->s->id]);
    }
}

/* What is stored has its dtype's precision, rounding or not, as an input has. */
static void store_states(const interp *r)
{
    for (uint32_t i = 0; i < r->f->states.len && r->o && r->o->states; i++) {
        const function_state_entry *e = &r->f->states.data[i];
        tensor *to = r->o->states->of[e->s->id];
        tensor_copy(to, r->slots[e->out->id].t);
        round_all(to);
    }
}

bool interp_run(const function *f, tensor *const *args, const int64_t *settings, const interp_options *o, arena *a,
                diags *d, tensor **results)
{
    assert(f->kind == FUNCTION_ENTRY);
    arena *scratch = interp_new_arena(a);
    interp r = {.f = f, .m = f->m, .o = o, .parent = a, .scratch = scratch, .d = d};
    r.dims = ARENA_ARRAY(scratch, int64_t, dim_symbol_count(f->m->dims));
    if (!interp_dims(f, args, settings, scratch, d, r.dims)) {
        arena_free(scratch);
        return false;
    }
    r.slots = ARENA_ARRAY(scratch, interp_slot, f->m->n_values);
    for (uint32_t i = 0; i < f->args.len; i++) r.slots[f->args.data[i].v->id].t = args[i];
    load_states(&r);
    bool ok = interp_run_nodes(&r);
    for (uint32_t i = 0; i < f->results.len && ok; i++) {
        const tensor *t = r.slots[f->results.data[i].v->id].t;
        results[i] = tensor_new(a, t->dt, t->rank, t->shape);
        tensor_copy(results[i], t);
    }
    if (ok) store_states(&r);
    for (uint32_t i = 0; i < f->m->n_values; i++) arena_free(r.slots[i].home);
    arena_free(scratch);
    return ok;
}
