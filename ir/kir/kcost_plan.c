/* From costs to time: the machine's ceilings, and where the buffers of a plan lie from launch to launch. */
#include "ir/kir/kcost_internal.h"

#include <assert.h>
#include <math.h>

static const char *const bound_names[] = {[KBOUND_FMA] = "fma", [KBOUND_L1] = "L1",     [KBOUND_L2] = "L2",
                                          [KBOUND_L3] = "L3",   [KBOUND_DRAM] = "dram", [KBOUND_LAUNCH] = "launch"};

const char *kbound_name(kbound b)
{
    return bound_names[b];
}

/* A buffer that lies at a level is missed in the caches above at its first touch, in the others only when it has been
 * pushed out meanwhile. */
kestimate kcost_estimate(const kcost *c, uint32_t n_params, const kcost_level *at, const machine *m)
{
    kestimate e = {.from = {c->l1_bytes}};
    for (int k = 0; k < KCACHES; k++) {
        double beyond = c->local_miss[k];
        for (uint32_t i = 0; i < n_params; i++) {
            const kcost_buffer *b = &c->buffers[i];
            bool there = at && k >= (int)at[i];
            beyond += there ? fmax(0, b->miss[k] - b->touched) : b->miss[k];
        }
        e.from[k + 1] = beyond;
    }
    const double us[] = {
        [KBOUND_FMA] = c->work / m->f32_gflops * 1e-3,
        [KBOUND_L1] = e.from[KCOST_L1] / m->l1_gb_per_s * 1e-3,
        [KBOUND_L2] = e.from[KCOST_L2] / m->l2_gb_per_s * 1e-3,
        [KBOUND_L3] = e.from[KCOST_L3] / m->l3_gb_per_s * 1e-3,
        [KBOUND_DRAM] = e.from[KCOST_DRAM] / m->dram_gb_per_s * 1e-3,
        [KBOUND_LAUNCH] = m->launch_ns * 1e-3,
    };
    for (int b = 0; b <= KBOUND_LAUNCH; b++)
        if (us[b] > e.us) e.us = us[b], e.bound = (kbound)b;
    return e;
}

/* ---- plans ---- */

typedef struct {
    const kfunction *plan;
    const int64_t *dims;
    const machine *m;
    arena *a;
    klaunch_costs *out;
    VEC(const int64_t *) dims_of; /* by launch */
    bool ok;
} plan_walk;

/* Layers share kernels: equal work is looked at once. */
static const klaunch_cost *seen_before(const plan_walk *w, const kfunction *f, const int64_t *dims, uint32_t n)
{
    for (uint32_t i = 0; i < w->out->len; i++) {
        const klaunch_cost *c = &w->out->data[i];
        if (c->kernel == f && !memcmp(w->dims_of.data[i], dims, n * sizeof *dims)) return c;
    }
    return NULL;
}

static void add_launch(void *arg, const kop *o)
{
    plan_walk *w = arg;
    const kfunction *f = kmodule_find(w->plan->m, o->at.callee);
    assert(f);
    int64_t *dims = ARENA_ARRAY(w->a, int64_t, o->n_launch_dims);
    for (uint32_t i = 0; i < o->n_launch_dims; i++)
        if (!dim_eval(w->plan->dims, o->launch_dims[i], w->dims, &dims[i])) w->ok = false;
    const klaunch_cost *same = seen_before(w, f, dims, o->n_launch_dims);
    klaunch_cost c = {.launch = o, .kernel = f, .cost = same ? same->cost : kernel_cost(f, dims, w->m, w->a)};
    if (isnan(c.cost.flops)) w->ok = false;
    vec_push(w->a, w->out, c);
    vec_push(w->a, &w->dims_of, dims);
}

/* What a buffer of a plan is a part of: a parameter or an allocation. */
static const kvalue *whole(const kvalue *v)
{
    while (v->def && v->def->op == KOP_VIEW) v = v->def->mem[0].buf;
    return v;
}

static bool is_weight(const kfunction *plan, const kvalue *v)
{
    vec_foreach (const kparam, p, &plan->params)
        if (p->v == v) return p->role == KPARAM_WEIGHT;
    return false;
}

/* The nearest level that still holds a buffer after `bytes` of others were touched. */
static kcost_level level_after(const machine *m, double bytes)
{
    const int64_t sizes[KCACHES] = {m->l1d_bytes, m->l2_bytes, m->l3_bytes};
    int c = 0;
    while (c < KCACHES && bytes > KCOST_USABLE * (double)sizes[c]) c++;
    return (kcost_level)c;
}

/* Workspace is shared out again and again: what counts is when its bytes were touched, under whatever name. */
typedef struct {
    const kvalue *v;
    bool placed; /* in workspace, at [begin, end) */
    int64_t begin, end;
    double last; /* bytes touched in all when this was; below 0: not yet in this run */
} place;
typedef VEC(place) places;

static place *place_of(plan_walk *w, places *all, const kvalue *v)
{
    vec_foreach (place, p, all)
        if (p->v == v) return p;
    place p = {.v = v, .last = -1};
    if (v->def && v->def->op == KOP_ALLOC) {
        dim bytes = kbuffer_bytes(w->plan->dims, &v->ty.buf);
        p.placed = v->def->at.offset != DIM_BAD && dim_eval(w->plan->dims, v->def->at.offset, w->dims, &p.begin) &&
                   dim_eval(w->plan->dims, bytes, w->dims, &p.end) && !__builtin_add_overflow(p.begin, p.end, &p.end);
    }
    vec_push(w->a, all, p);
    return &vec_last(all);
}

static double last_touch(const places *all, const place *of)
{
    double last = of->last;
    if (of->placed)
        vec_foreach (place, p, all)
            if (p->placed && p->begin < of->end && of->begin < p->end) last = fmax(last, p->last);
    return last;
}

/* Runs follow one another: what this one touches first, the last one touched a whole run ago. */
static void estimate_all(plan_walk *w)
{
    places all = {0};
    double now = 0, run = 0;
    vec_foreach (klaunch_cost, c, w->out)
        for (uint32_t i = 0; i < c->kernel->params.len; i++) run += c->cost.buffers[i].touched;
    vec_foreach (klaunch_cost, c, w->out) {
        uint32_t n = c->kernel->params.len;
        kcost_level *at = ARENA_ARRAY(w->a, kcost_level, n);
        for (uint32_t i = 0; i < n; i++) {
            const kvalue *v = whole(c->launch->operands[i]);
            double last = last_touch(&all, place_of(w, &all, v));
            at[i] = level_after(w->m, last < 0 ? run : now - last);
            if (is_weight(w->plan, v)) c->weight_bytes += c->cost.buffers[i].read;
        }
        c->estimate = kcost_estimate(&c->cost, n, at, w->m);
        for (uint32_t i = 0; i < n; i++) place_of(w, &all, whole(c->launch->operands[i]))->last = now;
        for (uint32_t i = 0; i < n; i++) now += c->cost.buffers[i].touched; /* from its start on */
    }
}

bool plan_cost(const kfunction *plan, const int64_t *dims, const machine *m, arena *a, klaunch_costs *out)
{
    plan_walk w = {.plan = plan, .dims = dims, .m = m, .a = a, .out = out, .ok = true};
    *out = (klaunch_costs){0};
    kcost_launches(plan, dims, a, add_launch, &w);
    if (!w.ok) return false;
    estimate_all(&w);
    return true;
}
