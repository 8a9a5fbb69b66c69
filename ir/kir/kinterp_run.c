/* The kernel interpreter: the machine that runs blocks of ops.
 *
 * An agent is a stack of frames, one for each block that it is in, so it can stop at a barrier in the middle of nested
 * loops and go on later. Loops that are mapped to tasks, blocks or agents are run from here, in an order that the seed
 * decides. */
#include "ir/kir/kinterp_internal.h"

#include <assert.h>

uint32_t krun_next_stamp(kmachine *m)
{
    kinterp *in = m->in;
    if (in->stamp == UINT32_MAX) {
        kreport(m, NULL, NULL, KREPORT_LIMIT, "the run is too long to follow");
        in->stop = true;
        return in->stamp;
    }
    return ++in->stamp;
}

/* ---- frames ---- */

void krun_push(kmachine *m, kagent_state *g, const kop *owner, const kblock *b)
{
    (void)m;
    assert(g->depth < KMAX_FRAMES);
    g->frames[g->depth++] = (kframe){.block = b, .next = b->first, .owner = owner};
}

static uint32_t slot_bytes(const kvalue *v)
{
    if (v->kind == KV_BUFFER) return sizeof(kref);
    ktile t = v->ty.tile;
    return t.layout == KL_SHARED ? sizeof(kaccess) : (uint32_t)ktile_elements(t) * kreg_bytes(t.dt);
}

static void move_one(const kmachine *m, kagent_state *g, const kvalue *from, const kvalue *to)
{
    memmove(kreg(m, g, to), kreg(m, g, from), slot_bytes(to));
    if (g->tags) kasync_move(m, g, from, to);
}

/* All at once: values may change places. */
void krun_move(const kmachine *m, kagent_state *g, kvalue *const *from, kvalue *const *to, uint32_t n)
{
    bool swap = false;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = i + 1; k < n; k++) swap = swap || from[k] == to[i];
    if (!swap) {
        for (uint32_t i = 0; i < n; i++) move_one(m, g, from[i], to[i]);
        return;
    }
    uint8_t *at = m->temp;
    kvalue_tag tags[KMAX_RESULTS];
    assert(n <= KMAX_RESULTS);
    for (uint32_t i = 0; i < n; at += slot_bytes(to[i]), i++) {
        memcpy(at, kreg(m, g, from[i]), slot_bytes(to[i]));
        if (g->tags) tags[i] = g->tags[from[i]->id];
    }
    at = m->temp;
    for (uint32_t i = 0; i < n; at += slot_bytes(to[i]), i++) {
        memcpy(kreg(m, g, to[i]), at, slot_bytes(to[i]));
        if (g->tags) g->tags[to[i]->id] = tags[i];
    }
}

/* The block at the top of the stack is at its end, with the values of its yield. */
static void leave_block(kmachine *m, kagent_state *g, kvalue *const *values, uint32_t n)
{
    kframe *f = &g->frames[g->depth - 1];
    const kop *o = f->owner;
    bool loop = o && o->op == KOP_FOR && o->at.map == KMAP_SERIAL;
    if (loop && !__builtin_add_overflow(f->i, o->at.step, &f->i) && f->i < f->hi) {
        krun_move(m, g, values, f->block->args + 1, n);
        *(int64_t *)kreg(m, g, f->block->args[0]) = f->i;
        f->next = f->block->first;
        return;
    }
    if (o && o->op == KOP_WHILE) {
        bool body = f->block == o->blocks[1];
        bool go_on = body || kreg_int(m, g, values[0]);
        if (!body) values++, n--;
        if (go_on) {
            krun_move(m, g, values, o->blocks[!body]->args, n);
            f->block = o->blocks[!body];
            f->next = f->block->first;
            return;
        }
    }
    if (n) krun_move(m, g, values, o->results, n);
    g->depth--;
}

/* Runs an agent until it is back at `depth` frames, stands at a barrier, or everything stops. */
static void run_until(kmachine *m, kagent_state *g, uint32_t depth)
{
    kinterp *in = m->in;
    while (g->depth > depth && g->status == KAGENT_RUNNING && !in->stop) {
        kframe *f = &g->frames[g->depth - 1];
        const kop *o = f->next;
        if (in->o->max_ops && in->steps++ >= in->o->max_ops) {
            kreport(m, g, o, KREPORT_LIMIT, "gave up after %llu steps", (unsigned long long)in->o->max_ops);
            in->stop = true;
            return;
        }
        if (!o) {
            leave_block(m, g, NULL, 0);
        } else if (o->op == KOP_YIELD) {
            in->result->ops++;
            leave_block(m, g, o->operands, o->n_operands);
        } else {
            f->next = o->next;
            in->result->ops++;
            krun_op(m, g, o);
        }
    }
}

/* ---- orders ---- */

static uint64_t random_below(kinterp *in, uint64_t n)
{
    in->random += UINT64_C(0x9e3779b97f4a7c15);
    return hash_bytes(&in->random, sizeof in->random, 0) % n;
}

/* 0..n-1 in the order of this run; NULL: as they come. Orders of very long loops are not shuffled. */
static const uint32_t *order_of(kmachine *m, int64_t n)
{
    if (!m->in->o->seed || n < 2 || n > 1 << 20) return NULL;
    uint32_t *order = ARENA_ARRAY(m->a, uint32_t, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        uint64_t k = random_below(m->in, (uint64_t)i + 1);
        order[i] = order[k];
        order[k] = (uint32_t)i;
    }
    return order;
}

/* ---- tasks and blocks: one after the other, though nothing orders them ---- */

static void run_in_turn(kmachine *m, kagent_state *g, const kop *o, int64_t n)
{
    const kblock *b = o->blocks[0];
    const uint32_t *order = order_of(m, n);
    uint32_t level = m->n_position++;
    for (int64_t i = 0; i < n && !m->in->stop; i++) {
        int64_t at = order ? order[i] : i;
        m->position[level] = at;
        if (o->at.map == KMAP_PARALLEL) m->block_stamp = krun_next_stamp(m);
        krun_push(m, g, o, b);
        *(int64_t *)kreg(m, g, b->args[0]) = at;
        run_until(m, g, g->depth - 1);
    }
    m->n_position = level;
}

/* ---- agents of one block ---- */

static void start_agents(kmachine *m, const kop *o)
{
    for (uint32_t i = 0; i < m->n_agents; i++) {
        kagent_state *g = &m->agents[i];
        memcpy(g->regs, m->scalar->regs, m->regs_bytes);
        g->depth = 0;
        g->status = KAGENT_RUNNING;
        g->copies.committed = g->copies.done = g->mmas.committed = g->mmas.done = g->fences = 0;
        g->copies.when.len = g->mmas.when.len = g->fence_stamps.len = 0;
        if (g->tags) memset(g->tags, 0, m->f->n_values * sizeof *g->tags);
        krun_push(m, g, o, o->blocks[0]);
        *(int64_t *)kreg(m, g, o->blocks[0]->args[0]) = i;
    }
}

/* All agents stand still: true when all stand at one barrier. */
static bool all_at_barrier(kmachine *m)
{
    const kagent_state *first = NULL, *ended = NULL;
    for (uint32_t i = 0; i < m->n_agents; i++) {
        const kagent_state *g = &m->agents[i];
        if (g->status == KAGENT_ENDED) ended = g;
        else if (!first) first = g;
    }
    if (!first) return false;
    if (ended) {
        kreport(m, first, first->barrier, KREPORT_BARRIER,
                "agent %u waits at a barrier that agent %u, which has ended, never reaches", first->index,
                ended->index);
        return false;
    }
    for (uint32_t i = 0; i < m->n_agents; i++)
        if (m->agents[i].barrier != first->barrier) {
            kreport(m, first, first->barrier, KREPORT_BARRIER,
                    "agent %u waits at this barrier while agent %u waits at another one", first->index, i);
            return false;
        }
    return true;
}

static void run_agents(kmachine *m, const kop *o)
{
    m->block_stamp = krun_next_stamp(m);
    m->fenced = 0;
    start_agents(m, o);
    const uint32_t *order = order_of(m, m->n_agents);
    for (bool more = true; more && !m->in->stop;) {
        for (uint32_t i = 0; i < m->n_agents; i++) {
            kagent_state *g = &m->agents[order ? order[i] : i];
            run_until(m, g, 0);
            if (g->status == KAGENT_RUNNING) g->status = KAGENT_ENDED;
        }
        more = !m->in->stop && all_at_barrier(m);
        if (!more) break;
        kasync_barrier(m);
        krun_next_stamp(m);
        for (uint32_t i = 0; i < m->n_agents; i++) m->agents[i].status = KAGENT_RUNNING;
    }
}

void krun_for(kmachine *m, kagent_state *g, const kop *o)
{
    int64_t lo = kindex_value(m, g, o->lo), hi = kindex_value(m, g, o->hi);
    const kblock *b = o->blocks[0];
    if (o->at.map == KMAP_PARALLEL || o->at.map == KMAP_BLOCK) {
        run_in_turn(m, g, o, hi);
    } else if (o->at.map != KMAP_SERIAL) {
        run_agents(m, o);
    } else if (lo >= hi) {
        krun_move(m, g, o->operands, o->results, o->n_operands);
    } else {
        krun_move(m, g, o->operands, b->args + 1, o->n_operands);
        krun_push(m, g, o, b);
        kframe *f = &g->frames[g->depth - 1];
        f->i = lo;
        f->hi = hi;
        *(int64_t *)kreg(m, g, b->args[0]) = lo;
    }
}

void kmachine_run(kmachine *m)
{
    kagent_state *g = m->scalar;
    krun_push(m, g, NULL, m->f->body);
    run_until(m, g, 0);
    g->depth = 0;
}
