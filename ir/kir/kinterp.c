/* The kernel interpreter: its entry, bindings, plans' launches, and reports. */
#include "ir/kir/kinterp_internal.h"

/* ---- reports ---- */

const char *kmachine_name(kmachine *m, const kvalue *v)
{
    if (!m->names) m->names = kvalue_names(m->f, m->a);
    return arena_printf(m->a, "%%%s", m->names[v->id]);
}

static void add_position(const kmachine *m, const kagent_state *g, strbuf *b)
{
    if (m->f->target == KTARGET_CPU && m->n_position) strbuf_addf(b, "in task %lld", (long long)m->position[0]);
    if (m->f->target == KTARGET_PTX && m->n_position) {
        strbuf_adds(b, "in block [");
        for (uint32_t i = 0; i < m->n_position; i++) strbuf_addf(b, "%s%lld", i ? ", " : "", (long long)m->position[i]);
        strbuf_addc(b, ']');
        if (g && g != m->scalar) strbuf_addf(b, ", agent %u", g->index);
    }
    for (uint32_t i = 0; i < dim_symbol_count(m->f->dims); i++)
        strbuf_addf(b, "%s%s = %lld",
                    i        ? ", "
                    : b->len ? ", at "
                             : "at ",
                    dim_symbol_at(m->f->dims, i)->name, (long long)m->dims[i]);
}

void kreport(kmachine *m, const kagent_state *g, const kop *o, kreport_kind kind, const char *fmt, ...)
{
    kinterp *in = m->in;
    uint16_t *seen = &m->reported[o ? o->id : m->f->n_ops];
    in->failed = true;
    if (*seen >> kind & 1) return;
    *seen |= (uint16_t)(1u << kind);
    va_list ap;
    va_start(ap, fmt);
    const char *message = arena_vprintf(m->a, fmt, ap);
    va_end(ap);
    diag *d = diag_error(in->d, o ? o->source : (span){0}, "@%s: %s", m->f->name, message);
    diag_code(d, "invalid-ir");
    strbuf b = strbuf_new(m->a);
    if (o) {
        if (!m->names) m->names = kvalue_names(m->f, m->a);
        kop_print_with(o, m->names, &b);
        diag_note(d, "%s", b.s);
    }
    b.len = 0;
    add_position(m, g, &b);
    if (b.len) diag_note(d, "%s", b.s);
    if (++in->reports >= in->max_reports) in->stop = true;
}

/* ---- running ---- */

static bool check_dims(kinterp *in, const kfunction *f, const kop *o, const int64_t *dims)
{
    for (uint32_t i = 0; i < dim_symbol_count(f->dims); i++) {
        const dim_symbol *s = dim_symbol_at(f->dims, i);
        if (dims[i] >= s->min && dims[i] <= s->max && dims[i] % s->multiple == 0) continue;
        diag *d = diag_error(in->d, o ? o->source : (span){0}, "@%s: dim %s has a value that it cannot have", f->name,
                             s->name);
        diag_expected(d, "%lld..%lld, a multiple of %lld", (long long)s->min, (long long)s->max,
                      (long long)s->multiple);
        diag_got(d, "%lld", (long long)dims[i]);
        in->failed = true;
        return false;
    }
    return true;
}

static void report_fault(kinterp *in, const kfunction *f)
{
    const kfault *t = &in->result->fault;
    diag *d = diag_error(in->d, in->fault_op->source, "@%s: element %lld of buffer argument %lld is out of range",
                         f->name, (long long)t->index, (long long)t->arg);
    diag_code(d, "invalid-ir");
    diag_expected(d, "0..%lld", (long long)t->limit - 1);
    diag_got(d, "%lld", (long long)t->value);
    in->failed = true;
    in->stop = true;
}

/* A kernel, or a plan up to the launch that fails a check. */
static kmachine *run_function(kinterp *in, const kfunction *f, arena *a, const int64_t *dims, const kref *refs,
                              const int64_t *have, const kop *at)
{
    kmachine *m = kmachine_new(in, f, a, dims, refs);
    if (!m) return NULL;
    for (uint32_t i = 0; i < f->params.len; i++) {
        const kextent *e = &m->extents[f->params.data[i].v->id];
        if (e->bytes <= have[i]) continue;
        diag *d = diag_error(in->d, at ? at->source : (span){0}, "@%s: the memory given for %s is too small", f->name,
                             kmachine_name(m, f->params.data[i].v));
        diag_expected(d, "%lld bytes", (long long)e->bytes);
        diag_got(d, "%lld bytes", (long long)have[i]);
        in->failed = true;
        return NULL;
    }
    kmachine_run(m);
    if (f->target != KTARGET_PLAN && in->result->fault.set) report_fault(in, f);
    return m;
}

/* ---- launches ---- */

/* Tasks race on what the launch writes, and on what it only reads where that shares memory with what it writes. */
static void mark_races(const kfunction *f, kref *refs, const int64_t *bytes)
{
    for (uint32_t i = 0; i < f->params.len; i++) {
        bool races = f->params.data[i].mode != KACCESS_IN;
        for (uint32_t k = 0; k < f->params.len && !races; k++)
            races = f->params.data[k].mode != KACCESS_IN && refs[k].obj == refs[i].obj &&
                    refs[k].base < refs[i].base + bytes[i] && refs[i].base < refs[k].base + bytes[k];
        refs[i].races = races;
    }
}

void krun_launch(kmachine *m, kagent_state *g, const kop *o)
{
    kinterp *in = m->in;
    const kfunction *f = kmodule_find(m->f->m, o->at.callee);
    int64_t *dims = ARENA_ARRAY(m->a, int64_t, o->n_launch_dims), *have = ARENA_ARRAY(m->a, int64_t, o->n_operands);
    kref *refs = ARENA_ARRAY(m->a, kref, o->n_operands);
    for (uint32_t i = 0; i < o->n_launch_dims; i++)
        if (!dim_eval(m->f->dims, o->launch_dims[i], m->dims, &dims[i])) {
            kreport(m, g, o, KREPORT_OTHER, "dim %s has no value in 64 bits", dim_symbol_at(f->dims, i)->name);
            return;
        }
    if (!check_dims(in, f, o, dims)) {
        in->stop = true;
        return;
    }
    for (uint32_t i = 0; i < o->n_operands; i++) {
        refs[i] = *kreg_ref(m, g, o->operands[i]);
        have[i] = m->extents[o->operands[i]->id].bytes;
    }
    mark_races(f, refs, have);
    if (!run_function(in, f, m->a, dims, refs, have, o)) in->stop = true;
}

/* ---- entry ---- */

/* Where a parameter lies. NULL when a weight cannot be read. */
static kobject *bind(kinterp *in, const kfunction *f, uint32_t i, const kbinding *b, uint64_t *bytes)
{
    const kparam *k = &f->params.data[i];
    void *data = b->data;
    *bytes = b->bytes;
    if (!data && k->weight) {
        const char *why = NULL;
        *bytes = cexpr_bytes(k->weight);
        data = arena_alloc(in->a, *bytes, 64);
        if (!cexpr_read(k->weight, 0, cexpr_elements(k->weight), data, &why)) {
            diag_error(in->d, (span){0}, "@%s: weight '%s': %s", f->name, k->tensor, why);
            return NULL;
        }
    }
    return kobject_new(in->a, data, data ? *bytes : 0, kgranule(f, k->v), k->mode != KACCESS_OUT,
                       k->mode != KACCESS_IN);
}

static void check_outputs(kinterp *in, const kfunction *f, const kref *refs, const int64_t *have)
{
    for (uint32_t i = 0; i < f->params.len; i++) {
        const kparam *k = &f->params.data[i];
        if (k->role != KPARAM_OUTPUT) continue;
        const kobject *o = refs[i].obj;
        for (uint64_t n = 0; n < (uint64_t)have[i] / o->granule; n++)
            if (!o->marks[n].write) {
                diag_error(in->d, (span){0}, "@%s: element %llu of output '%s' is never written", f->name,
                           (unsigned long long)(n * o->granule * 8 / dtype_bits(k->v->ty.buf.dt)), k->tensor);
                in->failed = true;
                break;
            }
    }
}

bool kinterp_run(const kfunction *f, const int64_t *dims, const kbinding *params, const kinterp_options *o, arena *a,
                 diags *d, kinterp_result *result)
{
    static const kinterp_options defaults;
    kinterp_result unused;
    if (!result) result = &unused;
    *result = (kinterp_result){0};
    kinterp in = {.o = o ? o : &defaults, .a = a, .d = d, .result = result};
    in.max_reports = in.o->max_reports ? in.o->max_reports : 10;
    in.random = in.o->seed;
    if (!check_dims(&in, f, NULL, dims)) return false;
    kref *refs = ARENA_ARRAY(a, kref, f->params.len);
    int64_t *have = ARENA_ARRAY(a, int64_t, f->params.len);
    for (uint32_t i = 0; i < f->params.len; i++) {
        uint64_t bytes;
        if (!(refs[i].obj = bind(&in, f, i, &params[i], &bytes))) return false;
        refs[i].races = f->params.data[i].mode != KACCESS_IN;
        have[i] = (int64_t)refs[i].obj->bytes;
    }
    const kmachine *m = run_function(&in, f, a, dims, refs, have, NULL);
    if (!m || in.failed) return false;
    for (uint32_t i = 0; i < f->params.len; i++) have[i] = m->extents[f->params.data[i].v->id].bytes;
    check_outputs(&in, f, refs, have);
    return !in.failed;
}
