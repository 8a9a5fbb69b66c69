/* Entries, tensors, dims and checks of a model. A dim that some input shows as a whole axis is found from its shape;
 * any other dim that the entry depends on is given by the caller. */
#include "codegen/describe.h"

#include "codegen/plan_memory.h"

#include <assert.h>

static codegen_tensor *tensors(const void *data, uint32_t n, arena *a)
{
    const named_value *v = data;
    codegen_tensor *t = ARENA_ARRAY(a, codegen_tensor, n);
    for (uint32_t i = 0; i < n; i++) {
        t[i] = (codegen_tensor){.name = v[i].name, .doc = v[i].doc, .dt = v[i].v->ty.dt, .rank = v[i].v->ty.rank};
        memcpy(t[i].shape, v[i].v->ty.shape, sizeof t[i].shape);
    }
    return t;
}

static bool shown_by_input(const module *m, const function *f, uint32_t symbol)
{
    for (uint32_t i = 0; i < f->args.len; i++) {
        const type *t = &f->args.data[i].v->ty;
        for (int k = 0; k < t->rank; k++)
            if (dim_is_symbol(m->dims, t->shape[k]) == (int32_t)symbol) return true;
    }
    return false;
}

static const char *check_text(const module *m, dim lhs, const char *op, dim rhs, const char *after, arena *a)
{
    strbuf b = strbuf_new(a);
    dim_print(m->dims, lhs, &b);
    strbuf_adds(&b, op);
    dim_print(m->dims, rhs, &b);
    strbuf_adds(&b, after);
    return b.s;
}

static codegen_check *checks(const function *f, arena *a)
{
    const module *m = f->m;
    codegen_check *out = ARENA_ARRAY(a, codegen_check, f->checks.len);
    for (uint32_t i = 0; i < f->checks.len; i++) {
        const dim_check *c = &f->checks.data[i];
        codegen_check *o = &out[i];
        o->lhs = c->lhs;
        o->rhs = c->rhs;
        o->op = c->op == CHECK_EQ ? CODEGEN_CHECK_EQ : c->op == CHECK_LE ? CODEGEN_CHECK_LE : CODEGEN_CHECK_MULTIPLE;
        o->text = c->op == CHECK_EQ   ? check_text(m, c->lhs, " == ", c->rhs, "", a)
                  : c->op == CHECK_LE ? check_text(m, c->lhs, " <= ", c->rhs, "", a)
                                      : check_text(m, c->lhs, " % ", c->rhs, " == 0", a);
        o->place = "";
        if (m->sources && c->at.begin) {
            uint32_t line, col;
            source_line_col(m->sources, c->at.begin, &line, &col);
            o->place = arena_printf(a, "%s:%u:%u", source_of(m->sources, c->at.begin)->name, line, col);
        }
    }
    return out;
}

/* Of one variant; 0: not known. */
static int64_t workspace_bytes(const kmodule *km, const kfunction *plan)
{
    most_bytes b = plan_workspace_bytes(plan), s = plan_scratch_bytes(km, plan);
    int64_t buffers = most_bytes_bound(plan->dims, &b), scratch = most_bytes_bound(plan->dims, &s), sum;
    if (__builtin_add_overflow(buffers, scratch, &sum)) return 0;
    return sum ? sum : MEMORY_ALIGN; /* an array of no bytes is none */
}

static const kfunction *plan_of(const kmodule *km, const function *f)
{
    const kfunction *plan = kmodule_find(km, f->name);
    assert(plan && plan->target == KTARGET_PLAN);
    return plan;
}

/* What is enough for whichever variant runs. */
static int64_t most_workspace(const function *f, kmodule *const *km, uint32_t n)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < n; i++) {
        int64_t bytes = workspace_bytes(km[i], plan_of(km[i], f));
        if (!bytes) return 0;
        if (bytes > most) most = bytes;
    }
    return most;
}

codegen_model *codegen_describe(const module *m, kmodule *const *km, uint32_t n, const char *source,
                                const char *compiler, arena *a)
{
    codegen_model *out = ARENA_ARRAY(a, codegen_model, n);
    uint32_t symbols = dim_symbol_count(m->dims);
    codegen_entry *entries = ARENA_ARRAY(a, codegen_entry, m->functions.len);
    bool *used = ARENA_ARRAY(a, bool, symbols);
    for (uint32_t i = 0; i < m->functions.len; i++) {
        const function *f = m->functions.data[i];
        codegen_entry *e = &entries[i];
        uint32_t *dims = ARENA_ARRAY(a, uint32_t, symbols), *given = ARENA_ARRAY(a, uint32_t, symbols);
        function_symbols(f, used);
        for (uint32_t s = 0; s < symbols; s++) {
            if (!used[s]) continue;
            dims[e->n_dims++] = s;
            if (!shown_by_input(m, f, s)) given[e->n_given++] = s;
        }
        e->name = f->name;
        e->doc = f->doc;
        e->inputs = tensors(f->args.data, f->args.len, a);
        e->outputs = tensors(f->results.data, f->results.len, a);
        e->n_inputs = f->args.len;
        e->n_outputs = f->results.len;
        e->dims = dims;
        e->given = given;
        e->checks = checks(f, a);
        e->n_checks = f->checks.len;
        e->workspace_bytes = most_workspace(f, km, n);
    }
    for (uint32_t v = 0; v < n; v++) {
        codegen_entry *own = ARENA_ARRAY(a, codegen_entry, m->functions.len);
        for (uint32_t i = 0; i < m->functions.len; i++) {
            own[i] = entries[i];
            own[i].plan = plan_of(km[v], m->functions.data[i]);
        }
        out[v] = (codegen_model){.name = m->name,
                                 .doc = m->doc,
                                 .source = source,
                                 .compiler = compiler,
                                 .dims = m->dims,
                                 .entries = own,
                                 .n_entries = m->functions.len};
    }
    return out;
}
