/* Costs as JSON: docs/cost-model.md describes the fields. */
#include "ir/kir/kcost_internal.h"

static void number(strbuf *out, const char *key, double v)
{
    strbuf_addf(out, ", \"%s\": %.12g", key, v);
}

static void string(strbuf *out, const char *key, const char *s)
{
    strbuf_addf(out, "%s\"%s\": ", out->s[out->len - 1] == '{' ? "" : ", ", key);
    strbuf_add_json(out, s);
}

static void print_machine(const machine *m, strbuf *out)
{
    strbuf_adds(out, "{");
    string(out, "name", m->name);
    string(out, "source", m->source);
#define MACHINE_INT(key, least, greatest, text) number(out, #key, (double)m->key);
#define MACHINE_REAL(key, least, greatest, text) number(out, #key, m->key);
#include "ir/machine.def"
#undef MACHINE_INT
#undef MACHINE_REAL
    strbuf_adds(out, "}");
}

typedef struct {
    double flops, read, written, loaded, stored, weights, us, from[KCOST_COUNT];
} totals;

static void print_totals(const totals *t, strbuf *out)
{
    static const char *const levels[KCOST_COUNT] = {"L1", "L2", "L3", "dram"};
    number(out, "flops", t->flops);
    number(out, "bytes_read", t->read);
    number(out, "bytes_written", t->written);
    number(out, "weights_bytes", t->weights);
    number(out, "bytes_loaded", t->loaded);
    number(out, "bytes_stored", t->stored);
    for (int l = 0; l < KCOST_COUNT; l++)
        strbuf_addf(out, "%s\"%s\": %.12g", l ? ", " : ", \"bytes_from\": {", levels[l], t->from[l]);
    strbuf_adds(out, "}");
    number(out, "ceiling_us", t->us);
}

static totals totals_of(const klaunch_cost *c)
{
    totals t = {.flops = c->cost.flops,
                .loaded = c->cost.loaded,
                .stored = c->cost.stored,
                .weights = c->weight_bytes,
                .us = c->estimate.us};
    for (uint32_t i = 0; i < c->kernel->params.len; i++) {
        t.read += c->cost.buffers[i].read;
        t.written += c->cost.buffers[i].written;
    }
    memcpy(t.from, c->estimate.from, sizeof t.from);
    return t;
}

static void add(totals *to, const totals *t)
{
    to->flops += t->flops;
    to->read += t->read;
    to->written += t->written;
    to->loaded += t->loaded;
    to->stored += t->stored;
    to->weights += t->weights;
    to->us += t->us;
    for (int l = 0; l < KCOST_COUNT; l++) to->from[l] += t->from[l];
}

static void print_launch(const kfunction *plan, const klaunch_cost *c, const totals *t, strbuf *out)
{
    const kop *o = c->launch;
    const source_set *sources = plan->m->sources;
    const source_file *f = sources && o->source.begin ? source_of(sources, o->source.begin) : NULL;
    uint32_t line = 0, column = 0;
    if (f) source_line_col(sources, o->source.begin, &line, &column);
    strbuf_adds(out, "{");
    string(out, "kernel", c->kernel->name);
    string(out, "path", o->at.path ? o->at.path : "");
    string(out, "file", f ? f->name : "");
    number(out, "line", line);
    number(out, "column", column);
    print_totals(t, out);
    string(out, "bound", kbound_name(c->estimate.bound));
    strbuf_addf(out, ", \"exact\": %s}", c->cost.exact ? "true" : "false");
}

void costs_print_json(const kfunction *plan, const int64_t *dims, const machine *m, const klaunch_costs *costs,
                      const kmemory_use *memory, strbuf *out)
{
    totals sum = {0};
    strbuf_adds(out, "{\"machine\": ");
    print_machine(m, out);
    strbuf_adds(out, ",\n \"entry\": ");
    strbuf_add_json(out, plan->name);
    strbuf_adds(out, ",\n \"dims\": {");
    for (uint32_t i = 0; i < dim_symbol_count(plan->dims); i++) {
        if (i) strbuf_adds(out, ", ");
        strbuf_add_json(out, dim_symbol_at(plan->dims, i)->name);
        strbuf_addf(out, ": %lld", (long long)dims[i]);
    }
    strbuf_adds(out, "},\n \"launches\": [");
    vec_foreach (klaunch_cost, c, costs) {
        totals t = totals_of(c);
        add(&sum, &t);
        strbuf_adds(out, c == costs->data ? "\n  " : ",\n  ");
        print_launch(plan, c, &t, out);
    }
    strbuf_adds(out, "],\n \"total\": {\"launches\": ");
    strbuf_addf(out, "%u", costs->len);
    print_totals(&sum, out);
    strbuf_addf(out, "},\n \"memory\": {\"workspace_bytes\": %lld, \"live_bytes\": %lld, \"scratch_bytes\": %lld}}\n",
                (long long)memory->workspace, (long long)memory->live, (long long)memory->scratch);
}
