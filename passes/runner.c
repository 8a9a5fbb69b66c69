/* Runs passes: verifies, prints, times, and holds every pass to what it claims. */
#include "passes/pass.h"

#include <assert.h>
#include <stdarg.h>
#include <time.h>

const pass_info *pass_row(pass_id id)
{
    static const pass_info rows[PASS_COUNT] = {
#define PASS(name, NAME, STAGE, NUMERICS, FLAGS, summary) \
    [PASS_##NAME] = {PASS_##NAME, #name, STAGE_##STAGE, NUMERICS_##NUMERICS, FLAGS, summary, pass_##name},
#include "passes/passes.def"
    };
    assert((unsigned)id < PASS_COUNT);
    return &rows[id];
}

bool pass_find(const char *name, size_t n, pass_id *out)
{
    for (int i = 0; i < PASS_COUNT; i++) {
        const char *s = pass_row((pass_id)i)->name;
        if (strlen(s) == n && !memcmp(s, name, n)) {
            *out = (pass_id)i;
            return true;
        }
    }
    return false;
}

static void remark(pass_ctx *ctx, span at, const char *fmt, va_list ap)
{
    if (!ctx->session->options->remarks) return;
    const char *message = arena_vprintf(ctx->scratch, fmt, ap);
    diag *g = diag_add(ctx->d, DIAG_REMARK, at, "%s: %s", ctx->pass->name, message);
    diag_code(g, ctx->pass->name);
}

void pass_remark(pass_ctx *ctx, const node *n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    remark(ctx, n && n->n_sources ? n->sources[0] : (span){0}, fmt, ap);
    va_end(ap);
}

void pass_remark_at(pass_ctx *ctx, span at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    remark(ctx, at, fmt, ap);
    va_end(ap);
}

/* ---- running ---- */

typedef struct {
    const pass_info *pass;
    double seconds;
    size_t scratch;
    uint32_t nodes_before, nodes_after;
    bool changed;
} run_record;

typedef struct {
    const pass_session *s;
    module *m;
    VEC(run_record) records; /* in the module's arena */
} runner;

static uint32_t count_nodes(const module *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->functions.len; i++)
        function_foreach (x, m->functions.data[i]) n++;
    for (uint32_t i = 0; i < m->bodies.len; i++)
        function_foreach (x, m->bodies.data[i]) n++;
    return n;
}

static FILE *log_of(const pass_session *s)
{
    return s->log ? s->log : stderr;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void out_of_memory(void *arg)
{
    arena_out_of_memory(arg);
}

/* Held against the pass by the runner: a broken invariant of the compiler, told as an error so that the node is seen.
 */
static bool check_result(runner *r, const pass_info *p, const strbuf *before, bool changed, arena *a)
{
    const pass_session *s = r->s;
    const char *name = p->name;
    if (!module_verify(r->m, s->d)) {
        diag_error(s->d, (span){0}, "pass %s left invalid IR", name);
        return false;
    }
    strbuf text = strbuf_new(a);
    module_print(r->m, &text);
    bool differs = text.len != before->len || memcmp(text.s, before->s, text.len);
    if (differs == changed) return true;
    diag_error(s->d, (span){0}, "pass %s says that it changed %s, but the IR is %s", name,
               changed ? "the IR" : "nothing", differs ? "different" : "the same");
    return false;
}

static bool check_roundtrip(runner *r, const pass_info *p, arena *a)
{
    const pass_session *s = r->s;
    strbuf text = strbuf_new(a), again = strbuf_new(a);
    module_print(r->m, &text);
    source_set *sources = source_set_new(a);
    diags *d = diags_new(a, sources, 1);
    const source_file *f = source_add(sources, "<printed>", "<printed>", text.s, text.len);
    module *m = f ? module_parse(a, r->m->names, sources, d, f) : NULL;
    if (m) {
        module_print(m, &again);
        module_close(m);
    }
    if (m && again.len == text.len && !memcmp(again.s, text.s, text.len)) return true;
    diag *g = diag_error(s->d, (span){0}, "the IR after pass %s does not read back from its text", p->name);
    strbuf why = strbuf_new(a);
    diags_render_text(d, &why);
    if (why.len) diag_note(g, "%s", why.s);
    return false;
}

static void print_module(const runner *r, const pass_info *p, uint32_t step, uint32_t steps, bool changed, arena *a)
{
    strbuf text = strbuf_new(a);
    module_print(r->m, &text);
    fprintf(log_of(r->s), "// ---- after %s (step %u of %u, %s)\n%s", p->name, step, steps,
            changed ? "changed" : "unchanged", text.s);
}

/* ---- policies ---- */

/* Takes the rules that ask for p out of the module. */
static uint32_t take_rules(module *m, const pass_info *p, arena *a, policy_rule ***out)
{
    VEC(policy_rule *) taken = {0};
    uint32_t kept = 0;
    vec_foreach (policy_rule *, r, &m->policy) {
        if (!strcmp((*r)->verb, p->name)) vec_push(a, &taken, *r);
        else m->policy.data[kept++] = *r;
    }
    m->policy.len = kept;
    *out = taken.data;
    return taken.len;
}

/* What the regions that are to stay exact compute: the ops and types of their nodes, in order. */
static void print_kept(const module *m, arena *a, strbuf *out)
{
    const bool *kept = policy_kept_exact(m, a);
    uint32_t n_functions;
    function **functions = module_walk(m, a, &n_functions);
    for (uint32_t i = 0; i < n_functions; i++)
        function_foreach (n, functions[i]) {
            if (!kept[n->in->id]) continue;
            strbuf_addf(out, "%s ", op_row(n->op)->name);
            type_print(m, &n->result->ty, out);
            strbuf_addc(out, '\n');
        }
}

/* A rule that is still there at the end had no pass to take it. That is an error unless the user left the pass out. */
static bool check_taken(const runner *r, bool stopped)
{
    const pass_options *o = r->s->options;
    bool ok = true;
    vec_foreach (policy_rule *, p, &r->m->policy) {
        const char *verb = (*p)->verb;
        pass_id id;
        bool skipped = pass_find(verb, strlen(verb), &id) && o->skip[id];
        const char *flag = skipped ? "--skip-pass" : o->only ? "--run-pass" : stopped ? "--stop-after" : NULL;
        if (flag && !o->remarks) continue;
        strbuf text = strbuf_new(r->m->a);
        policy_rule_print(*p, &text);
        if (!flag) {
            diag *g = diag_error(r->s->d, (*p)->at, "no pass took this rule");
            diag_code(g, "rule");
            diag_got(g, "%s", text.s);
            ok = false;
        } else {
            diag *g = diag_add(r->s->d, DIAG_REMARK, (*p)->at, "%s: not done: %s leaves the pass out", verb, flag);
            diag_code(g, verb);
        }
    }
    return ok;
}

static bool run_one(runner *r, const pass_info *p, uint32_t step, uint32_t steps)
{
    const pass_session *s = r->s;
    const pass_options *o = s->options;
    arena *a = arena_new(out_of_memory, r->m->a);
    if (!a) arena_out_of_memory(r->m->a);
    strbuf before = strbuf_new(a), kept = strbuf_new(a), still = strbuf_new(a);
    bool guarded = o->verify_each && p->numerics == NUMERICS_APPROXIMATE;
    if (o->verify_each) module_print(r->m, &before);
    if (guarded) print_kept(r->m, a, &kept);
    policy_rule **rules = NULL;
    uint32_t n_rules = take_rules(r->m, p, a, &rules);

    /* The pass gets an arena of its own, so that its memory is told apart from the runner's. */
    arena *scratch = arena_new(out_of_memory, r->m->a);
    if (!scratch) arena_out_of_memory(r->m->a);
    pass_ctx ctx = {.session = s, .pass = p, .scratch = scratch, .d = s->d, .rules = rules, .n_rules = n_rules};
    run_record record = {.pass = p, .nodes_before = o->time_passes ? count_nodes(r->m) : 0};
    double start = now();
    /* What changes the model runs only where a rule asks for it. */
    bool asked = n_rules || p->numerics != NUMERICS_APPROXIMATE;
    bool ok = !asked || p->run(&ctx, r->m, &record.changed) == STATUS_OK;
    record.changed |= n_rules > 0;
    record.seconds = now() - start;
    record.scratch = arena_bytes(scratch);
    record.nodes_after = o->time_passes ? count_nodes(r->m) : 0;
    vec_push(r->m->a, &r->records, record);
    arena_free(scratch);

    /* Print first: of IR that is wrong one wants to see the text. */
    if (ok && (o->print_after_all || (p->id < PASS_COUNT && o->print_after[p->id])))
        print_module(r, p, step, steps, record.changed, a);
    if (ok && o->verify_each) ok = check_result(r, p, &before, record.changed, a);
    if (ok && o->roundtrip_each) ok = check_roundtrip(r, p, a);
    if (ok && guarded) {
        print_kept(r->m, a, &still);
        ok = kept.len == still.len && !memcmp(kept.s, still.s, kept.len);
        if (!ok) diag_error(s->d, (span){0}, "pass %s changed what is to stay exact", p->name);
    }
    arena_free(a);
    return ok;
}

static void print_times(const runner *r)
{
    FILE *log = log_of(r->s);
    double total = 0;
    fprintf(log, "%-16s %10s %12s %18s\n", "pass", "ms", "scratch KiB", "nodes");
    for (uint32_t i = 0; i < r->records.len; i++) {
        const run_record *x = &r->records.data[i];
        total += x->seconds;
        fprintf(log, "%-16s %10.3f %12.1f %8u -> %6u%s\n", x->pass->name, x->seconds * 1e3, (double)x->scratch / 1024,
                x->nodes_before, x->nodes_after, x->changed ? "" : "  unchanged");
    }
    fprintf(log, "%-16s %10.3f\n", "total", total * 1e3);
}

status passes_run_rows(module *m, const pass_session *s, const pass_info *const *rows, uint32_t n)
{
    const pass_options *o = s->options;
    runner r = {.s = s, .m = m};
    bool ok = policy_check(m, s->d), stopped = false;
    for (uint32_t i = 0; ok && i < n && !stopped; i++) {
        pass_id id = rows[i]->id;
        if (id < PASS_COUNT && o->skip[id]) continue;
        ok = run_one(&r, rows[i], i + 1, n);
        stopped = id < PASS_COUNT && o->stop_after == (int)id;
    }
    ok = ok && check_taken(&r, stopped);
    if (o->time_passes) print_times(&r);
    return ok ? STATUS_OK : STATUS_FAILED;
}

status passes_run(module *m, const pass_session *s)
{
    const pass_options *o = s->options;
    uint32_t n;
    const pipeline_step *pipeline = pipeline_steps(&n);
    if (o->only) n = o->list.len;
    const pass_info **rows = ARENA_ARRAY(m->a, const pass_info *, n);
    for (uint32_t i = 0; i < n; i++) rows[i] = pass_row(o->only ? o->list.data[i] : pipeline[i].pass);
    return passes_run_rows(m, s, rows, n);
}
