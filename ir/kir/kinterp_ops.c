/* The kernel interpreter: one run_##name for each row of kops.def. */
#include "ir/kir/kinterp_internal.h"

typedef void run_fn(kmachine *m, kagent_state *g, const kop *o);

static void *result(const kmachine *m, const kagent_state *g, const kop *o)
{
    return kreg(m, g, o->results[0]);
}

static void *operand(const kmachine *m, const kagent_state *g, const kop *o, uint32_t i)
{
    return kreg(m, g, o->operands[i]);
}

static void run_map(kmachine *m, kagent_state *g, const kop *o)
{
    ktile types[3], t = o->results[0]->ty.tile;
    const void *in[3];
    for (uint32_t i = 0; i < o->n_operands; i++) {
        types[i] = o->operands[i]->ty.tile;
        in[i] = operand(m, g, o, i);
    }
    kmath_map(o->op, t, types, result(m, g, o), in);
    if (dtype_is_float(types[o->n_operands - 1].dt))
        m->in->result->flops += (uint64_t)ktile_elements(t) * (o->op == KOP_FMA ? 2 : 1);
}

static void run_dim(kmachine *m, kagent_state *g, const kop *o)
{
    if (!m->dim_fits[o->id]) kreport(m, g, o, KREPORT_OTHER, "the dim has no value in 64 bits");
    *(int64_t *)result(m, g, o) = m->dim_values[o->id];
}

static void run_const(kmachine *m, kagent_state *g, const kop *o)
{
    kmath_const(o->results[0]->ty.tile, result(m, g, o), o->at.real, o->at.i);
}

static void run_iota(kmachine *m, kagent_state *g, const kop *o)
{
    kmath_iota(o->results[0]->ty.tile, o->at.axis, result(m, g, o));
}

static void run_cast(kmachine *m, kagent_state *g, const kop *o)
{
    kmath_cast(o->operands[0]->ty.tile, o->results[0]->ty.tile.dt, operand(m, g, o, 0), result(m, g, o));
}

static void run_bitcast(kmachine *m, kagent_state *g, const kop *o)
{
    kmath_bitcast(o->operands[0]->ty.tile, o->results[0]->ty.tile.dt, operand(m, g, o, 0), result(m, g, o));
}

static void run_load(kmachine *m, kagent_state *g, const kop *o)
{
    kmemory_load(m, g, o);
}

static void run_read_dim(kmachine *m, kagent_state *g, const kop *o)
{
    int64_t most;
    uint64_t loaded = m->in->result->bytes_loaded;
    kmemory_load(m, g, o);
    m->in->result->bytes_loaded = loaded; /* what kernels do is counted */
    int64_t n = *(const int64_t *)result(m, g, o);
    if (!dim_eval(m->f->dims, o->at.most, m->dims, &most) || n < 0 || n > most) {
        kreport(m, g, o, KREPORT_OTHER, "a dim of %lld, which is not in 0..%lld", (long long)n, (long long)most);
        n = 0;
    }
    kmachine_count(m, o, n);
}

static void run_store(kmachine *m, kagent_state *g, const kop *o)
{
    kmemory_store(m, g, o);
}

static void run_prefetch(kmachine *m, kagent_state *g, const kop *o)
{
    (void)g, (void)o;
    m->in->result->prefetches++;
}

static void run_contract(kmachine *m, kagent_state *g, const kop *o)
{
    ktile acc = o->results[0]->ty.tile, a = o->operands[1]->ty.tile, b = o->operands[2]->ty.tile;
    m->in->result->flops += 2 * (uint64_t)ktile_elements(acc) * (uint64_t)a.shape[1];
    if (a.layout == KL_SHARED) {
        kasync_contract(m, g, o);
        return;
    }
    void *out = result(m, g, o);
    memcpy(out, operand(m, g, o, 0), (size_t)ktile_elements(acc) * kreg_bytes(acc.dt));
    kmath_contract(acc, a, b, operand(m, g, o, 1), operand(m, g, o, 2), out);
}

static void run_reduce(kmachine *m, kagent_state *g, const kop *o)
{
    ktile t = o->operands[0]->ty.tile;
    kmath_reduce(o->at.reduce, t, o->at.axis, operand(m, g, o, 0), result(m, g, o), m->temp);
    m->in->result->flops += (uint64_t)ktile_elements(t);
}

static void run_transpose(kmachine *m, kagent_state *g, const kop *o)
{
    kmath_transpose(o->operands[0]->ty.tile, operand(m, g, o, 0), result(m, g, o));
}

/* New memory each time: what was written there before is gone. */
static void run_alloc(kmachine *m, kagent_state *g, const kop *o)
{
    kref *ref = kreg_ref(m, g, o->results[0]);
    *ref = m->allocs[o->id];
    ref->alive = krun_next_stamp(m);
    kobject *obj = ref->obj;
    if (obj->async) memset(obj->async, 0, (obj->bytes / obj->granule + 1) * sizeof *obj->async);
    if (obj->mma_reads)
        memset(obj->mma_reads, 0, m->n_agents * (obj->bytes / obj->granule + 1) * sizeof *obj->mma_reads);
}

static void run_view(kmachine *m, kagent_state *g, const kop *o)
{
    kmemory_view(m, g, o);
}

static void run_copy(kmachine *m, kagent_state *g, const kop *o)
{
    kasync_copy(m, g, o);
}

static void run_commit(kmachine *m, kagent_state *g, const kop *o)
{
    kasync_commit(m, g, o);
}

static void run_wait(kmachine *m, kagent_state *g, const kop *o)
{
    kasync_wait(m, g, o);
}

static void run_fence(kmachine *m, kagent_state *g, const kop *o)
{
    (void)o;
    kasync_fence(m, g);
}

static void run_barrier(kmachine *m, kagent_state *g, const kop *o)
{
    (void)m;
    g->status = KAGENT_AT_BARRIER;
    g->barrier = o;
}

static void run_check(kmachine *m, kagent_state *g, const kop *o)
{
    int64_t v[4];
    kfault *f = &m->in->result->fault;
    for (uint32_t i = 0; i < 4; i++) v[i] = kreg_int(m, g, o->operands[i]);
    if (v[0] || (f->set && (f->index < v[1] || (f->index == v[1] && f->arg <= o->at.arg)))) return;
    *f = (kfault){true, o->at.arg, v[1], v[2], v[3], m->f->name};
    m->in->fault_op = o;
}

static void run_for(kmachine *m, kagent_state *g, const kop *o)
{
    krun_for(m, g, o);
}

static void run_if(kmachine *m, kagent_state *g, const kop *o)
{
    krun_push(m, g, o, o->blocks[kreg_int(m, g, o->operands[0]) ? 0 : 1]);
}

static void run_switch(kmachine *m, kagent_state *g, const kop *o)
{
    int64_t on = kreg_int(m, g, o->operands[0]);
    uint32_t i = 0;
    while (i < o->at.cases.n && o->at.cases.v[i] != on) i++;
    krun_push(m, g, o, o->blocks[i]);
}

static void run_while(kmachine *m, kagent_state *g, const kop *o)
{
    krun_move(m, g, o->operands, o->blocks[0]->args, o->n_operands);
    krun_push(m, g, o, o->blocks[0]);
}

/* Ends its block, which the machine does. */
static void run_yield(kmachine *m, kagent_state *g, const kop *o)
{
    (void)m, (void)g, (void)o;
}

static void run_launch(kmachine *m, kagent_state *g, const kop *o)
{
    krun_launch(m, g, o);
}

void krun_op(kmachine *m, kagent_state *g, const kop *o)
{
    static run_fn *const run[KOP_COUNT] = {
#define KOP(name, NAME, props, attrs, text) [KOP_##NAME] = run_##name,
#include "ir/kir/kops.def"
#undef KOP
#define SCALAR(name, NAME, arity, operands, result, f, i, math) [KOP_##NAME] = run_map,
#include "ir/kir/kscalar.def"
#undef SCALAR
    };
    bool moves = o->op == KOP_FOR || o->op == KOP_WHILE;
    if (g->tags && !moves) kasync_check_operands(m, g, o);
    run[o->op](m, g, o);
    if (g->tags && !moves && !o->n_blocks && !(o->op == KOP_CONTRACT && o->operands[1]->ty.tile.layout == KL_SHARED))
        kasync_define(m, g, o);
}
