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

static void copy_elements(tensor *to, const tensor *from)
{
    uint64_t n = tensor_elements(from);
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

/* ---- running ---- */

bool interp_dim(const interp *r, const node *n, const char *what, dim d, int64_t *out)
{
    if (dim_eval(r->m->dims, d, r->dims, out)) return true;
    strbuf s = strbuf_new(r->scratch);
    dim_print(r->m->dims, d, &s);
    diag *g = diag_error(r->d, n->n_sources ? n->sources[0] : NO_PLACE, "%s cannot be computed", what);
    diag_line(g, "in", "%s", op_row(n->op)->name);
    diag_got(g, "%s, which overflows or divides by zero", s.s);
    return false;
}

const char *interp_value_name(const interp *r, const value *v)
{
    const char *name = value_names(r->f, r->scratch)[v->id];
    return v->def ? arena_printf(r->scratch, "%%%s", name) : name;
}

static bool result_shape(const interp *r, const node *n, int64_t *shape)
{
    const type *t = &n->result->ty;
    for (uint32_t k = 0; k < t->rank; k++) {
        if (!interp_dim(r, n, "the size of an axis", t->shape[k], &shape[k])) return false;
        if (shape[k] >= 0) continue;
        strbuf s = strbuf_new(r->scratch);
        dim_print(r->m->dims, t->shape[k], &s);
        diag *g = diag_error(r->d, n->n_sources ? n->sources[0] : NO_PLACE, "axis %u of '%s' has a negative size", k,
                             interp_value_name(r, n->result));
        diag_expected(g, "0 <= %s", s.s);
        diag_got(g, "%lld", (long long)shape[k]);
        return false;
    }
    if (countable(t->rank, shape)) return true;
    diag *g =
        diag_error(r->d, n->n_sources ? n->sources[0] : NO_PLACE, "'%s' is too large", interp_value_name(r, n->result));
    diag_got(g, "%s", interp_type_text(r->scratch, t->dt, t->rank, shape));
    return false;
}

static void round_all(tensor *t)
{
    uint64_t n = tensor_elements(t);
    if (dtype_is_float(t->dt) && t->dt != DT_F64)
        for (uint64_t i = 0; i < n; i++) t->u.f[i] = dtype_round(t->dt, t->u.f[i]);
}

/* Each value lives in an arena of its own, freed after its last use: a model's run needs the memory of what is live. */
typedef struct {
    arena *home; /* NULL: an argument, or not computed */
    tensor *t;
    uint32_t uses;
} slot;

static _Noreturn void scratch_out_of_memory(void *arg)
{
    arena_out_of_memory(arg);
}

static arena *scratch_arena(arena *a)
{
    arena *s = arena_new(scratch_out_of_memory, a);
    if (!s) arena_out_of_memory(a);
    return s;
}

static void release(slot *s)
{
    arena_free(s->home);
    *s = (slot){0};
}

static void count_uses(const function *f, slot *slots)
{
    function_foreach (n, f)
        for (uint32_t i = 0; i < n->n_operands; i++) slots[n->operands[i]->id].uses++;
    for (uint32_t i = 0; i < f->results.len; i++) slots[f->results.data[i].v->id].uses++;
}

static bool run_node(const interp *r, const node *n, slot *slots, arena *parent)
{
    int64_t shape[MAX_RANK];
    if (!result_shape(r, n, shape)) return false;
    arena *scratch = scratch_arena(parent);
    tensor **x = ARENA_ARRAY(scratch, tensor *, n->n_operands);
    for (uint32_t i = 0; i < n->n_operands; i++) x[i] = slots[n->operands[i]->id].t;
    slot *s = &slots[n->result->id];
    s->home = scratch_arena(parent);
    s->t = tensor_new(s->home, n->result->ty.dt, n->result->ty.rank, shape);
    bool ok = interp_eval_of(n->op)(r, n, x, s->t, scratch);
    arena_free(scratch);
    if (!ok) return false;
    if (r->o && r->o->round) round_all(s->t);
    if (r->o && r->o->observe) r->o->observe(r->o->observe_arg, n, s->t);
    for (uint32_t i = 0; i < n->n_operands; i++) {
        slot *operand = &slots[n->operands[i]->id];
        if (--operand->uses == 0) release(operand);
    }
    if (s->uses == 0) release(s);
    return true;
}

bool interp_run(const function *f, tensor *const *args, const int64_t *settings, const interp_options *o, arena *a,
                diags *d, tensor **results)
{
    arena *scratch = scratch_arena(a);
    int64_t *dims = ARENA_ARRAY(scratch, int64_t, dim_symbol_count(f->m->dims));
    interp r = {.f = f, .m = f->m, .o = o, .dims = dims, .scratch = scratch, .d = d};
    if (!interp_dims(f, args, settings, scratch, d, dims)) {
        arena_free(scratch);
        return false;
    }
    slot *slots = ARENA_ARRAY(scratch, slot, f->m->n_values);
    count_uses(f, slots);
    for (uint32_t i = 0; i < f->args.len; i++) slots[f->args.data[i].v->id].t = args[i];
    bool ok = true;
    function_foreach (n, f) {
        ok = run_node(&r, n, slots, a);
        if (!ok) break;
    }
    for (uint32_t i = 0; i < f->results.len && ok; i++) {
        const tensor *t = slots[f->results.data[i].v->id].t;
        results[i] = tensor_new(a, t->dt, t->rank, t->shape);
        copy_elements(results[i], t);
    }
    for (uint32_t i = 0; i < f->m->n_values; i++) arena_free(slots[i].home);
    arena_free(scratch);
    return ok;
}
