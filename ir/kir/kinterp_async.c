/* The kernel interpreter: asynchronous copies (queue `copy`) and contractions (queue `mma`).
 *
 * Data moves when the op is issued; what is checked is that nobody could tell. A copied granule remembers its group:
 * until the issuing agent waits for that group, whoever touches it is reported, and from the wait on it counts as a
 * plain write of the waiting agent, so that the others need a barrier. A granule that a contraction reads remembers the
 * group likewise: until the wait, whoever writes it is reported.
 *
 * The tensor core reads shared memory through the async proxy: between a write and a contraction that reads it there
 * must be a fence on the path that orders the two, by the writer, by the reader, or by someone between two barriers on
 * the way. */
#include "ir/kir/kinterp_internal.h"

/* ---- queues ---- */

static kqueue_state *queue_of(kagent_state *g, const kop *o)
{
    return o->at.queue == KQUEUE_COPY ? &g->copies : &g->mmas;
}

void kasync_commit(kmachine *m, kagent_state *g, const kop *o)
{
    (void)m;
    queue_of(g, o)->committed++;
}

void kasync_wait(kmachine *m, kagent_state *g, const kop *o)
{
    kqueue_state *q = queue_of(g, o);
    uint32_t keep = (uint32_t)o->at.keep;
    while (q->done + keep < q->committed) {
        vec_push(m->a, &q->when, ((kgroup_done){m->in->stamp, g->fences}));
        q->done++;
    }
}

void kasync_fence(kmachine *m, kagent_state *g)
{
    g->fences++;
    vec_push(m->a, &g->fence_stamps, m->in->stamp);
}

void kasync_barrier(kmachine *m)
{
    for (uint32_t i = 0; i < m->n_agents; i++) {
        const kagent_state *g = &m->agents[i];
        if (g->fence_stamps.len && vec_last(&g->fence_stamps) == m->in->stamp) m->fenced = m->in->stamp;
    }
}

/* ---- copies ---- */

bool kasync_settle(kmachine *m, const kagent_state *g, const kaccess *x, uint64_t i)
{
    kobject *o = x->ref.obj;
    kmark *k = &o->marks[i];
    kasync_mark *a = &o->async[i];
    if (!a->group) return true;
    const kqueue_state *q = &m->agents[k->write_agent].copies;
    if (q->done >= a->group) {
        kgroup_done done = q->when.data[a->group - 1];
        *a = (kasync_mark){0, done.fences};
        k->write = done.stamp;
        return true;
    }
    const char *name = kmachine_name(m, x->buf);
    if (k->write_agent == g->index)
        kreport(m, g, x->op, KREPORT_PENDING,
                "touches %s where its own asynchronous copy may still be writing: no wait has completed it", name);
    else
        kreport(m, g, x->op, KREPORT_PENDING,
                "touches %s where an asynchronous copy of agent %u may still be writing: no wait has completed it",
                name, k->write_agent);
    return false;
}

static void copy_element(kmachine *m, kagent_state *g, const kaccess *dst, const kaccess *src, int64_t r, int64_t c,
                         bool exists)
{
    uint32_t bytes = dtype_bits(dst->dt) / 8;
    int64_t to = kaccess_offset(dst, r, c);
    kobject *o = dst->ref.obj;
    kaccess_write(m, g, dst, to);
    for (uint64_t i = (uint64_t)to / o->granule; i * o->granule < (uint64_t)to + bytes; i++)
        o->async[i].group = g->copies.committed + 1;
    if (exists) {
        int64_t from = kaccess_offset(src, r, c);
        kaccess_read(m, g, src, from);
        memcpy(o->data + to, src->ref.obj->data + from, bytes);
    } else {
        memset(o->data + to, 0, bytes);
    }
}

void kasync_copy(kmachine *m, kagent_state *g, const kop *o)
{
    kaccess dst, src;
    if (!kaccess_begin(m, g, o, &o->mem[0], o->shape, &dst)) return;
    if (!kaccess_begin(m, g, o, &o->mem[1], o->shape, &src) && src.valid[0] && src.valid[1]) return;
    for (int64_t r = 0; r < dst.valid[0]; r++)
        for (int64_t c = 0; c < dst.valid[1]; c++)
            copy_element(m, g, &dst, &src, r, c, r < src.valid[0] && c < src.valid[1]);
    m->in->result->bytes_loaded += (uint64_t)(src.valid[0] * src.valid[1]) * dtype_bits(src.dt) / 8;
    kbanks_count_copy(m, &dst, &src);
}

/* ---- contractions ---- */

void kasync_check_write(kmachine *m, const kagent_state *g, const kaccess *x, uint64_t i)
{
    const kobject *o = x->ref.obj;
    uint64_t n = o->bytes / o->granule + 1;
    for (uint32_t h = 0; h < m->n_agents; h++) {
        uint32_t group = o->mma_reads[h * n + i];
        const kqueue_state *q = &m->agents[h].mmas;
        if (!group) continue;
        if (q->done < group)
            kreport(m, g, x->op, KREPORT_PENDING,
                    "overwrites %s, which an asynchronous contraction of agent %u may still be reading: no wait has "
                    "completed it",
                    kmachine_name(m, x->buf), h);
        else if (h != g->index && q->when.data[group - 1].stamp == m->in->stamp)
            kreport(m, g, x->op, KREPORT_RACE,
                    "race on %s: agent %u has just read it in an asynchronous contraction, with no barrier between",
                    kmachine_name(m, x->buf), h);
    }
}

/* Whether a fence stands between the last write of granule i and what agent g does now. */
static bool fenced(const kmachine *m, const kagent_state *g, const kobject *o, uint64_t i)
{
    const kmark *k = &o->marks[i];
    const kagent_state *w = &m->agents[k->write_agent];
    uint32_t before = o->async[i].fences;
    if (w == g) return g->fences > before;
    if (w->fences > before && w->fence_stamps.data[before] < m->in->stamp) return true;
    if (g->fence_stamps.len && vec_last(&g->fence_stamps) > k->write) return true;
    return m->fenced > k->write;
}

/* Reads an operand through its descriptor into `out`. */
static void read_operand(kmachine *m, kagent_state *g, const kop *o, const kaccess *stored, uint32_t group, float *out)
{
    kaccess x = *stored;
    const kobject *obj = x.ref.obj;
    uint64_t n = obj->bytes / obj->granule + 1;
    x.op = o;
    memset(out, 0, (size_t)(x.size[0] * x.size[1]) * sizeof *out);
    if (!x.valid[0]) return; /* reported where the descriptor was made */
    for (int64_t r = 0; r < x.size[0]; r++)
        for (int64_t c = 0; c < x.size[1]; c++) {
            int64_t at = kaccess_offset(&x, r, c);
            uint64_t i = (uint64_t)at / obj->granule;
            if (kaccess_read(m, g, &x, at) && !fenced(m, g, obj, i))
                kreport(m, g, o, KREPORT_FENCE, "reads %s, but no fence stands between it and the write of its operand",
                        kmachine_name(m, x.buf));
            obj->mma_reads[g->index * n + i] = group;
            kmath_load(x.dt, obj->data + at, 0, out, r * x.size[1] + c);
        }
    kbanks_count(m, &x, KL_SHARED);
}

void kasync_contract(kmachine *m, kagent_state *g, const kop *o)
{
    ktile acc = o->results[0]->ty.tile, a = o->operands[1]->ty.tile, b = o->operands[2]->ty.tile;
    uint32_t group = g->mmas.committed + 1;
    const kvalue_tag *tag = &g->tags[o->operands[0]->id];
    if (!tag->group && g->fences <= tag->fences)
        kreport(m, g, o, KREPORT_ACCUMULATOR, "no fence stands between it and the writing of its accumulator %s",
                kmachine_name(m, o->operands[0]));
    float *av = (float *)m->temp, *bv = av + ktile_elements(a);
    read_operand(m, g, o, kreg(m, g, o->operands[1]), group, av);
    read_operand(m, g, o, kreg(m, g, o->operands[2]), group, bv);
    void *out = kreg(m, g, o->results[0]);
    memcpy(out, kreg(m, g, o->operands[0]), (size_t)ktile_elements(acc) * kreg_bytes(acc.dt));
    kmath_contract(acc, a, b, av, bv, out);
    g->tags[o->results[0]->id] = (kvalue_tag){group, g->fences};
}

/* ---- accumulators ---- */

void kasync_check_operands(kmachine *m, const kagent_state *g, const kop *o)
{
    for (uint32_t i = o->op == KOP_CONTRACT; i < o->n_operands; i++) {
        const kvalue *v = o->operands[i];
        if (g->tags[v->id].group > g->mmas.done)
            kreport(m, g, o, KREPORT_ACCUMULATOR,
                    "reads the accumulator %s before a wait has completed its contraction", kmachine_name(m, v));
    }
}

void kasync_move(const kmachine *m, kagent_state *g, const kvalue *from, const kvalue *to)
{
    (void)m;
    g->tags[to->id] = g->tags[from->id];
}

void kasync_define(const kmachine *m, kagent_state *g, const kop *o)
{
    (void)m;
    for (uint32_t i = 0; i < o->n_results; i++) g->tags[o->results[i]->id] = (kvalue_tag){0, g->fences};
}
