/* The kernel interpreter: memory accesses. Every element that an op touches is looked up in its granule's marks: is it
 * inside the buffer, has anything been written there through this very buffer, and could another task or agent touch it
 * at the same time. */
#include "ir/kir/kinterp_internal.h"

kobject *kobject_new(arena *a, void *data, uint64_t bytes, uint32_t granule, bool defined, bool writable)
{
    kobject *o = ARENA_NEW(a, kobject);
    *o = (kobject){.data = data, .bytes = bytes, .granule = granule, .defined = defined, .writable = writable};
    if (writable || !defined) o->marks = ARENA_ARRAY(a, kmark, bytes / granule + 1);
    return o;
}

int64_t kindex_value(const kmachine *m, const kagent_state *g, kidx i)
{
    int64_t v = i.v ? kreg_int(m, g, i.v) : 0, sum;
    if (__builtin_add_overflow(v, i.off, &sum)) return i.off < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

/* ---- rectangles ---- */

static int64_t clamp(int64_t v, int64_t hi)
{
    return v < 0 ? 0 : v > hi ? hi : v;
}

static bool inside(kmachine *m, const kagent_state *g, const kaccess *x, uint32_t axis, int64_t index, int64_t extent)
{
    int64_t size = x->extent->shape[axis];
    if (index >= 0 && index < size && extent <= size - index) return true;
    if (extent == 1)
        kreport(m, g, x->op, KREPORT_OUTSIDE, "index %lld of axis %u of %s is outside of its size %lld",
                (long long)index, axis, kmachine_name(m, x->buf), (long long)size);
    else
        kreport(m, g, x->op, KREPORT_OUTSIDE, "elements %lld to %lld of axis %u of %s are outside of its size %lld",
                (long long)index, (long long)(index + extent - 1), axis, kmachine_name(m, x->buf), (long long)size);
    return false;
}

bool kaccess_begin(kmachine *m, const kagent_state *g, const kop *o, const kmem *mem, ktile t, kaccess *out)
{
    const kbuffer *b = &mem->buf->ty.buf;
    uint32_t bits = dtype_bits(b->dt);
    *out = (kaccess){.op = o,
                     .buf = mem->buf,
                     .ref = *kreg_ref(m, g, mem->buf),
                     .extent = &m->extents[mem->buf->id],
                     .dt = b->dt,
                     .swizzle = b->swizzle,
                     .size = {ktile_rows(t), ktile_cols(t)},
                     .bits = bits % 8 != 0};
    out->valid[0] = out->size[0];
    out->valid[1] = out->size[1];
    int64_t unit = out->bits ? 1 : bits / 8, extent[KMAX_RANK];
    for (int i = 0; i < mem->n_idx; i++) extent[i] = 1;
    for (int k = 0; k < t.rank; k++) {
        int place = k + 2 - t.rank; /* a vector is one row */
        uint8_t axis = mem->axes[k];
        if (mem->bounded[k]) out->valid[place] = clamp(kindex_value(m, g, mem->bound[k]), out->size[place]);
        if (axis == KAXIS_NONE) continue;
        extent[axis] = out->valid[place];
        out->step[place] = out->extent->stride[axis] * unit;
    }
    if (out->valid[0] == 0 || out->valid[1] == 0) return false;
    out->start = out->bits ? 0 : out->ref.base;
    for (uint32_t i = 0; i < mem->n_idx; i++) {
        int64_t index = kindex_value(m, g, mem->idx[i]);
        if (!inside(m, g, out, i, index, extent[i])) return false;
        out->start += index * out->extent->stride[i] * unit;
    }
    /* Never true of a buffer that was made right: after a view that was refused, nothing may be touched through it. */
    int64_t end = out->start + (out->valid[0] - 1) * out->step[0] + (out->valid[1] - 1) * out->step[1] + unit;
    if (out->bits) end = out->ref.base + (end * bits + 7) / 8;
    if ((uint64_t)end <= out->ref.obj->bytes) return true;
    kreport(m, g, o, KREPORT_OUTSIDE, "%s ends outside of its memory", kmachine_name(m, mem->buf));
    return false;
}

static int64_t swizzled(kswizzle s, int64_t offset)
{
    uint64_t v = (uint64_t)offset, mask = ((UINT64_C(1) << s.bits) - 1) << s.base;
    return (int64_t)(v ^ ((v >> s.shift) & mask));
}

int64_t kaccess_offset(const kaccess *x, int64_t r, int64_t c)
{
    int64_t at = x->start + r * x->step[0] + c * x->step[1];
    return x->swizzle.bits ? x->ref.base + swizzled(x->swizzle, at - x->ref.base) : at;
}

/* ---- marks ---- */

/* Granules of an element: usually one. */
static uint64_t granules(const kaccess *x, int64_t offset, uint64_t *n)
{
    const kobject *o = x->ref.obj;
    uint64_t begin = (uint64_t)offset, bytes = dtype_bits(x->dt) / 8;
    if (x->bits) {
        begin = (uint64_t)x->ref.base + (uint64_t)offset * dtype_bits(x->dt) / 8;
        bytes = ((uint64_t)offset * dtype_bits(x->dt) % 8 + dtype_bits(x->dt) + 7) / 8;
    }
    uint64_t first = begin / o->granule;
    *n = (begin + bytes - 1) / o->granule - first + 1;
    return first;
}

static bool race(kmachine *m, const kagent_state *g, const kaccess *x, uint32_t stamp, uint32_t agent, const char *how)
{
    bool block = stamp < m->block_stamp;
    const char *unit = m->f->target == KTARGET_CPU ? "task" : block ? "block" : "agent";
    if (agent == KAGENTS_MANY || block)
        kreport(m, g, x->op, KREPORT_RACE, "race on %s: another %s %s the same memory, and nothing orders the two",
                kmachine_name(m, x->buf), unit, how);
    else
        kreport(m, g, x->op, KREPORT_RACE, "race on %s: %s %u %s the same memory with no barrier between",
                kmachine_name(m, x->buf), unit, agent, how);
    return false;
}

/* Accesses before this stamp are over: those of earlier launches, and of earlier blocks to memory that is each block's
 * own. */
static uint32_t since(const kmachine *m, const kaccess *x)
{
    return x->ref.alive > m->launch_stamp ? x->ref.alive : m->launch_stamp;
}

/* A write with mark `k` that this agent cannot know to be over. */
static bool unordered_write(const kmachine *m, const kagent_state *g, const kaccess *x, const kmark *k)
{
    if (k->write < since(m, x)) return false;
    return k->write < m->block_stamp || (k->write == m->in->stamp && k->write_agent != g->index);
}

static bool read_granule(kmachine *m, kagent_state *g, const kaccess *x, uint64_t i)
{
    kobject *o = x->ref.obj;
    kmark *k = &o->marks[i];
    if (o->async && !kasync_settle(m, g, x, i)) return false;
    if (!o->defined || k->write) {
        if (k->write < x->ref.alive || (!o->defined && !k->write)) {
            kreport(m, g, x->op, KREPORT_UNWRITTEN, "reads %s where nothing has been written",
                    kmachine_name(m, x->buf));
            return false;
        }
        if (k->write && k->writer != x->ref.owner) {
            kreport(m, g, x->op, KREPORT_UNWRITTEN,
                    "reads %s where another buffer that shares its memory has been written", kmachine_name(m, x->buf));
            return false;
        }
    }
    if (!x->ref.races) return true;
    if (unordered_write(m, g, x, k)) return race(m, g, x, k->write, k->write_agent, "writes");
    if (k->read >= since(m, x) && k->read < m->block_stamp) k->read_before = k->read;
    if (k->read == m->in->stamp) {
        if (k->read_agent != g->index) k->read_agent = KAGENTS_MANY;
    } else {
        k->read = m->in->stamp;
        k->read_agent = (uint8_t)g->index;
    }
    return true;
}

static bool write_granule(kmachine *m, kagent_state *g, const kaccess *x, uint64_t i)
{
    kobject *o = x->ref.obj;
    kmark *k = &o->marks[i];
    bool ok = true;
    if (o->async) {
        ok = kasync_settle(m, g, x, i);
        if (o->mma_reads) kasync_check_write(m, g, x, i);
    }
    if (ok && x->ref.races) {
        if (unordered_write(m, g, x, k)) ok = race(m, g, x, k->write, k->write_agent, "writes");
        else if (k->read >= since(m, x) && k->read < m->block_stamp) ok = race(m, g, x, k->read, KAGENTS_MANY, "reads");
        else if (k->read_before >= since(m, x) && k->read_before < m->block_stamp)
            ok = race(m, g, x, k->read_before, KAGENTS_MANY, "reads");
        else if (k->read == m->in->stamp && k->read_agent != g->index)
            ok = race(m, g, x, k->read, k->read_agent, "reads");
    }
    k->write = m->in->stamp;
    k->write_agent = (uint8_t)g->index;
    k->writer = x->ref.owner;
    if (o->async) o->async[i] = (kasync_mark){0, g->fences};
    return ok;
}

bool kaccess_read(kmachine *m, kagent_state *g, const kaccess *x, int64_t offset)
{
    uint64_t n, first = granules(x, offset, &n);
    bool ok = true;
    if (!x->ref.obj->marks) return true;
    for (uint64_t i = 0; i < n; i++) ok &= read_granule(m, g, x, first + i);
    return ok;
}

bool kaccess_write(kmachine *m, kagent_state *g, const kaccess *x, int64_t offset)
{
    uint64_t n, first = granules(x, offset, &n);
    bool ok = true;
    for (uint64_t i = 0; i < n; i++) ok &= write_granule(m, g, x, first + i);
    return ok;
}

/* ---- load, store, view ---- */

static void read_element(const kaccess *x, int64_t offset, void *reg, int64_t i)
{
    const kobject *o = x->ref.obj;
    if (x->bits) kmath_load(x->dt, o->data + x->ref.base, offset, reg, i);
    else kmath_load(x->dt, o->data + offset, 0, reg, i);
}

/* A reference, read when a contraction runs. Its matrices are 8 rows of 16 bytes within the period of the swizzle. */
static void make_descriptor(kmachine *m, const kagent_state *g, const kop *o, kaccess *out)
{
    if (!kaccess_begin(m, g, o, &o->mem[0], o->results[0]->ty.tile, out)) {
        out->valid[0] = 0;
        return;
    }
    int64_t row = out->extent->stride[o->mem[0].n_idx - 2] * dtype_bits(out->dt) / 8, at = out->start - out->ref.base;
    if (at / row % 8 || at % row % 16)
        kreport(m, g, o, KREPORT_ALIGN, "a descriptor stands at a multiple of 8 rows and of 16 bytes in its row");
}

void kmemory_load(kmachine *m, kagent_state *g, const kop *o)
{
    const kvalue *v = o->results[0];
    ktile t = v->ty.tile;
    uint8_t *out = kreg(m, g, v);
    kaccess x;
    if (t.layout == KL_SHARED) {
        make_descriptor(m, g, o, kreg(m, g, v));
        return;
    }
    memset(out, 0, (size_t)ktile_elements(t) * kreg_bytes(t.dt));
    if (!kaccess_begin(m, g, o, &o->mem[0], t, &x)) return;
    bool rows = x.dt == DT_F32 && x.step[1] == 4 && !x.swizzle.bits;
    for (int64_t r = 0; r < x.valid[0]; r++) {
        if (x.ref.obj->marks)
            for (int64_t c = 0; c < x.valid[1]; c++) kaccess_read(m, g, &x, kaccess_offset(&x, r, c));
        if (rows) {
            memcpy((float *)out + r * x.size[1], x.ref.obj->data + x.start + r * x.step[0], (size_t)x.valid[1] * 4);
            continue;
        }
        for (int64_t c = 0; c < x.valid[1]; c++) read_element(&x, kaccess_offset(&x, r, c), out, r * x.size[1] + c);
    }
    m->in->result->bytes_loaded += (uint64_t)(x.valid[0] * x.valid[1]) * dtype_bits(x.dt) / 8;
    if (x.ref.obj->async) kbanks_count(m, &x, t.layout);
}

void kmemory_store(kmachine *m, kagent_state *g, const kop *o)
{
    const kvalue *v = o->operands[0];
    ktile t = v->ty.tile;
    const uint8_t *in = kreg(m, g, v);
    kaccess x;
    if (!kaccess_begin(m, g, o, &o->mem[0], t, &x)) return;
    if (!x.ref.obj->writable) {
        kreport(m, g, o, KREPORT_READ_ONLY, "writes %s, which is only to be read", kmachine_name(m, x.buf));
        return;
    }
    for (int64_t r = 0; r < x.valid[0]; r++)
        for (int64_t c = 0; c < x.valid[1]; c++) {
            int64_t offset = kaccess_offset(&x, r, c);
            kaccess_write(m, g, &x, offset);
            if (x.bits) kmath_store(x.dt, x.ref.obj->data + x.ref.base, offset, in, r * x.size[1] + c);
            else kmath_store(x.dt, x.ref.obj->data + offset, 0, in, r * x.size[1] + c);
        }
    m->in->result->bytes_stored += (uint64_t)(x.valid[0] * x.valid[1]) * dtype_bits(x.dt) / 8;
    if (x.ref.obj->async) kbanks_count(m, &x, t.layout);
}

void kmemory_view(kmachine *m, kagent_state *g, const kop *o)
{
    const kvalue *v = o->results[0];
    const kextent *to = &m->extents[v->id], *from = &m->extents[o->mem[0].buf->id];
    const kbuffer *b = &v->ty.buf, *old = &o->mem[0].buf->ty.buf;
    kref *ref = kreg_ref(m, g, v), base = *kreg_ref(m, g, o->mem[0].buf);
    int64_t at = 0;
    *ref = base;
    for (int i = 0; i < o->mem[0].n_idx; i++) {
        int64_t index = kindex_value(m, g, o->mem[0].idx[i]), step;
        if (__builtin_mul_overflow(index, from->stride[i], &step) || __builtin_add_overflow(at, step, &at)) at = -1;
    }
    int64_t bytes = at, limit = 1 << b->swizzle.bits << b->swizzle.base << b->swizzle.shift;
    if (__builtin_mul_overflow(at, dtype_bits(old->dt) / 8, &bytes)) bytes = -1;
    /* An empty view may stand anywhere; it is never read. */
    bool empty = to->bytes == 0;
    if (!empty && (bytes < 0 || bytes > from->bytes || to->bytes > from->bytes - bytes)) {
        kreport(m, g, o, KREPORT_OUTSIDE, "the view is bytes %lld to %lld of %s, which has %lld", (long long)bytes,
                (long long)(bytes + to->bytes - 1), kmachine_name(m, o->mem[0].buf), (long long)from->bytes);
        *ref = (kref){.obj = kobject_new(m->a, NULL, 0, 1, true, true)};
        return;
    }
    ref->base += empty && (bytes < 0 || bytes > from->bytes) ? 0 : bytes;
    uint32_t align = b->align ? b->align : dtype_bits(b->dt) / 8;
    if (ref->base % (int64_t)align)
        kreport(m, g, o, KREPORT_ALIGN, "the view stands at byte %lld, which is not aligned to %u",
                (long long)ref->base, align);
    if (b->swizzle.bits && ref->base % limit)
        kreport(m, g, o, KREPORT_ALIGN, "a view of a swizzled buffer stands at a multiple of %lld bytes",
                (long long)limit);
}
