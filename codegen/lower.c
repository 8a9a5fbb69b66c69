/* Tensor IR to kernel IR: buffers for what is stored, one kernel per group, one plan per function. */
#include "codegen/lower_internal.h"
#include "codegen/plan_memory.h"

#include <assert.h>

/* The emitter of a group by its root. */
static lower_fn *const root_emitters[OP_COUNT] = {
#define OP(name, NAME, lo, hi, props, attrs, axes, math) ROOT_##axes([OP_##NAME] = lower_##name, )
#include "ir/ops.def"
#undef OP
};

static kbuffer public_type(lowering *lw, const type *t)
{
    dim one = dim_const(lw->m->dims, 1);
    return kbuffer_dense(t->dt, KSPACE_GLOBAL, t->rank ? t->rank : 1, t->rank ? t->shape : &one);
}

/* The value whose buffer is the result's memory, element for element: the result, or what it is a view of. NULL: the
 * result must be copied. */
static value *stored_as(lowering *lw, value *result)
{
    const lview *w = view_of(lw, result);
    const node *n = w->base->def;
    if (!n || n->op == OP_PARAM || w->offset != dim_const(lw->m->dims, 0) || !view_is_dense(lw, w)) return NULL;
    bool whole = type_elements(lw->m, &w->base->ty) == type_elements(lw->m, &result->ty);
    return whole && w->base->ty.dt == result->ty.dt ? w->base : NULL;
}

/* Inputs, then outputs. A result that is stored anyway is stored in its output; others are copied at the end. */
static bool plan_params(lowering *lw)
{
    function *f = lw->fn;
    for (uint32_t i = 0; i < f->args.len + f->results.len; i++) {
        bool in = i < f->args.len;
        named_value *nv = in ? &f->args.data[i] : &f->results.data[i - f->args.len];
        if (nv->v->ty.rank > KMAX_RANK) {
            diag_error(lw->d, (span){0, 0}, "tensor '%s' has %d axes; at most %d can be compiled", nv->name,
                       nv->v->ty.rank, KMAX_RANK);
            return false;
        }
        kvalue *v = kparam_add(lw->plan, nv->name, public_type(lw, &nv->v->ty), in ? KPARAM_INPUT : KPARAM_OUTPUT,
                               in ? KACCESS_IN : KACCESS_OUT);
        vec_last(&lw->plan->params).tensor = nv->name;
        value *stored = in ? nv->v : stored_as(lw, nv->v);
        if (stored && !lw->buffers[stored->id]) lw->buffers[stored->id] = v;
    }
    return true;
}

static void copy_results(lowering *lw)
{
    function *f = lw->fn;
    for (uint32_t i = 0; i < f->results.len; i++) {
        value *v = f->results.data[i].v;
        kvalue *out = lw->plan->params.data[f->args.len + i].v;
        const value *stored = stored_as(lw, v);
        if (stored && lw->buffers[stored->id] == out) continue;
        dim stride[MAX_RANK], s = dim_const(lw->m->dims, 1);
        for (int k = v->ty.rank - 1; k >= 0; k--) {
            stride[k] = s;
            s = dim_mul(lw->m->dims, s, v->ty.shape[k]);
        }
        node *at = v->def ? v->def : lw->fn->first;
        node none = {0};
        lower_copy(lw, at ? at : &none, view_of(lw, v), out, dim_const(lw->m->dims, 0), stride);
    }
}

static void lower_group(lowering *lw, group *g)
{
    if (g->block) {
        lower_row_block(lw, g);
    } else if (!g->root) {
        lower_elementwise(lw, g);
    } else {
        lower_fn *emit = root_emitters[g->root->op];
        assert(emit);
        emit(lw, g);
    }
}

static void lower_function(lowering *lw, function *f)
{
    lw->fn = f;
    lw->views = ARENA_ARRAY(lw->a, lview *, lw->m->n_values);
    lw->places = ARENA_ARRAY(lw->a, value *, lw->m->n_values);
    lw->groups = ARENA_ARRAY(lw->a, group *, lw->m->n_values);
    lw->buffers = ARENA_ARRAY(lw->a, kvalue *, lw->m->n_values);
    memset(&lw->weights, 0, sizeof lw->weights);
    lw->constants = constant_set_new(lw->a);
    lw->plan = kfunction_new(lw->km, f->name, KTARGET_PLAN);
    lw->plan->dims = lw->m->dims;
    lw->pb = (kbuilder){.f = lw->plan, .block = lw->plan->body};
    places_build(lw);
    if (!plan_params(lw)) return;
    groups_build(lw);
    if (!lw->target.separate_matmuls) row_blocks_build(lw);
    last_reads_build(lw);
    function_foreach (n, f) {
        group *g = lw->groups[n->result->id];
        if (!g || g->out != n || g->inside) continue;
        store_in_place(lw, g);
        lower_group(lw, g);
    }
    copy_results(lw);
}

/* Kernels stand before the plans that launch them. */
static void order_functions(lowering *lw)
{
    kmodule *km = lw->km;
    uint32_t n = 0;
    kfunction **sorted = ARENA_ARRAY(lw->a, kfunction *, km->functions.len);
    for (int plans = 0; plans < 2; plans++)
        for (uint32_t i = 0; i < km->functions.len; i++)
            if ((km->functions.data[i]->target == KTARGET_PLAN) == plans) sorted[n++] = km->functions.data[i];
    memcpy(km->functions.data, sorted, n * sizeof *sorted);
}

static bool refuse(lowering *lw, span at, const char *what, const char *name)
{
    diag *g = diag_error(lw->d, at, "%s %s cannot be compiled yet; --interpret=tir runs it", what, name);
    diag_code(g, "unsupported");
    return false;
}

/* What only the tensor interpreter runs: states, and ops that the table marks. Each is named at its first place. */
static bool can_be_compiled(lowering *lw)
{
    bool ok = true, named[OP_COUNT] = {false};
    uint32_t n;
    function **all = module_walk(lw->m, lw->a, &n);
    for (uint32_t i = 0; i < lw->m->states.len && ok; i++) {
        const state_var *s = lw->m->states.data[i];
        ok = refuse(lw, s->declared, "state", arena_printf(lw->a, "'%s'", s->path));
    }
    for (uint32_t i = 0; i < n; i++)
        function_foreach (x, all[i]) {
            if (!(op_row(x->op)->props & P_INTERPRETED) || named[x->op]) continue;
            named[x->op] = true;
            ok = refuse(lw, user_place(lw, x), "op", op_row(x->op)->name);
        }
    return ok;
}

static void free_kernels(void *memory)
{
    arena_free(memory);
}

kmodule *lower_module(module *m, arena *a, diags *d, const lower_target *target)
{
    uint32_t before = diags_errors(d);
    machine typical = machine_default(a, "", 32 * target->vector_floats, target->registers);
    lowering lw = {.m = m, .a = a, .d = d, .target = *target};
    if (!lw.target.machine) lw.target.machine = &typical;
    lw.km = kmodule_new(a, m->names, m->sources, m->name);
    lw.kernel_memory = arena_within(a);
    arena_on_free(a, free_kernels, lw.kernel_memory);
    lw.kernels = ptrmap_new(a);
    if (!can_be_compiled(&lw)) return NULL;
    for (uint32_t i = 0; i < m->functions.len; i++) lower_function(&lw, m->functions.data[i]);
    if (diags_errors(d) != before) return NULL;
    order_functions(&lw);
    plan_memory(lw.km);
    return lw.km;
}
