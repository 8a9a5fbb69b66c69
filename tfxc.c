/* tfxc: the driver. The session and the pipeline as prose; the only file that sees every room. */
#include "codegen/calibrate.h"
#include "codegen/describe.h"
#include "codegen/header.h"
#include "codegen/lower.h"
#include "codegen/plan_memory.h"
#include "codegen/ptx.h"
#include "codegen/targets.h"
#include "codegen/tune.h"
#include "driver/files.h"
#include "driver/options.h"
#include "frontend/blocks.h"
#include "frontend/format.h"
#include "frontend/frontend.h"
#include "ir/kir/kcost.h"
#include "support/embedded.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* A session: everything one compilation owns. */
typedef struct {
    arena *a;
    interner *names;
    source_set *sources;
    diags *d;
    dim_ctx *dims;
    options o;
    weights_file *weights;      /* NULL: none was opened */
    const source_file *machine; /* what --machine names; NULL: what is known of the processor */
    tuned *tuned;               /* what --tuned names, and what --tune found; NULL: nothing */
    compile_target *targets;    /* what is compiled for; of several, the preferred first */
    uint32_t n_targets;
    jmp_buf out_of_memory;
} session;

static bool write_text(session *s, const char *path, const strbuf *text)
{
    return outfile_write_text(s->a, s->d, path, text);
}

static bool has_extension(const char *path, const char *extension)
{
    size_t n = strlen(path), k = strlen(extension);
    return n > k && !strcmp(path + n - k, extension);
}

/* ---- what is read ---- */

static module *read_tensor_ir(session *s)
{
    const source_file *f = diag_read(s->d, s->o.input, s->o.input);
    module *m = f ? module_parse(s->a, s->names, s->sources, s->d, f) : NULL;
    return m && module_verify(m, s->d) ? m : NULL;
}

static module *read_program(session *s)
{
    frontend_session fs = {s->a, s->names, s->sources, s->d, s->dims};
    policy_verbs verbs = passes_verbs(s->a);
    frontend_options fo = {.weights_path = s->o.weights, .model = s->o.model, .verbs = &verbs, .seed = s->o.seed};
    frontend_result r = {0};
    if (s->o.random_weights) fo.weights = FRONTEND_WEIGHTS_RANDOM;
    bool ok = frontend_compile(&fs, s->o.input, &fo, &r);
    s->weights = r.weights;
    return ok ? r.module : NULL;
}

/* A .kir file, as it was read. */
static kmodule *read_kernels(session *s)
{
    const char *path = s->o.input, *model = s->o.tune ? "--tune" : s->o.interpret ? "--interpret" : NULL;
    if (model) {
        diag_usage(s->d, "%s is for models, and '%s' holds kernels alone", model, path);
        return NULL;
    }
    const source_file *f = diag_read(s->d, path, path);
    kmodule *km = f ? kmodule_parse(s->a, s->names, s->sources, s->d, f) : NULL;
    return km && kmodule_verify(km, s->d) ? km : NULL;
}

/* What is known of the machine beside its processor. A calibrated machine is read only where the command line says so:
 * equal flags give equal artefacts. */
static bool read_measurements(session *s)
{
    const options *o = &s->o;
    if (o->machine && !(s->machine = diag_read(s->d, o->machine, o->machine))) return false;
    const source_file *schedules = o->tuned ? diag_read(s->d, o->tuned, o->tuned) : NULL;
    if (schedules) s->tuned = tuned_parse(s->a, s->names, s->d, schedules);
    return !o->tuned || s->tuned;
}

/* ---- the stages of a model ---- */

static bool run_passes(session *s, module *m)
{
    pass_session ps = {.d = s->d, .options = &s->o.passes};
    return passes_run(m, &ps) == STATUS_OK;
}

static bool describe_targets(session *s)
{
    targets_wanted w = {&s->o.target, s->o.multiversion, s->machine, s->o.passes.remarks};
    s->targets = targets_describe(&w, s->a, s->names, s->d, &s->n_targets);
    return s->targets;
}

static lower_target lowering_target(session *s, const compile_target *t)
{
    return (lower_target){.vector_floats = t->target.vector_bytes / 4,
                          .registers = t->target.registers,
                          .machine = &t->on,
                          .separate_matmuls = s->o.separate_matmuls,
                          .remarks = s->o.passes.remarks,
                          .tuned = s->tuned};
}

/* The schedules of one entry's kernels, beside those that --tuned gave. */
static bool tune_model(session *s, module *m)
{
    int64_t *dims = ARENA_ARRAY(s->a, int64_t, dim_symbol_count(m->dims));
    const function *entry;
    if (!interpretation_dims(&s->o.interpretation, m, s->a, s->d, &entry, dims)) return false;
    const compile_target *on = &s->targets[0];
    if (!codegen_target_runs_here(&on->target, s->a, s->d)) {
        diag_usage(s->d, "--tune runs the kernels, and this machine cannot run those for '%s'", on->target.name);
        return false;
    }
    if (!s->tuned) s->tuned = tuned_new(s->a);
    tuning t = {m, entry->name, dims, lowering_target(s, on), &on->options, s->a, s->d};
    strbuf report = strbuf_new(s->a), text = strbuf_new(s->a);
    if (!tune(&t, s->tuned, &report)) return false;
    tuned_print(s->tuned, &text);
    bool shown = !strcmp(s->o.tune, "-"); /* then standard output holds the schedules alone */
    fputs(report.s, shown ? stderr : stdout);
    return write_text(s, s->o.tune, &text);
}

static kmodule *lower(session *s, module *m, const compile_target *t)
{
    lower_target lt = lowering_target(s, t);
    kmodule *km = lower_module(m, s->a, s->d, &lt);
    if (!km) return NULL;
    if (s->tuned && s->o.passes.remarks) tuned_report_unused(s->tuned, &lt, s->d);
    expand_math(km);
    return kmodule_verify(km, s->d) ? km : NULL;
}

/* ---- what is written ---- */

static bool write_tensor_ir(session *s, const module *m)
{
    strbuf b = strbuf_new(s->a);
    module_print(m, &b);
    return write_text(s, s->o.output, &b);
}

static bool write_kernel_ir(session *s, const kmodule *km)
{
    strbuf b = strbuf_new(s->a);
    kmodule_print(km, &b);
    return write_text(s, s->o.output, &b);
}

static bool write_ptx(session *s, kmodule *km)
{
    codegen_ptx_options o = {.sm = s->o.target.cpu, .features = s->o.target.features, .opt = s->o.target.opt};
    codegen_ptx ptx;
    expand_math(km);
    if (!codegen_emit_ptx(km, &o, s->a, s->d, &ptx)) return false;
    strbuf b = strbuf_new(s->a);
    strbuf_add(&b, ptx.text, ptx.size);
    return write_text(s, s->o.output, &b);
}

static bool write_costs(session *s, module *m, const kmodule *km)
{
    int64_t *dims = ARENA_ARRAY(s->a, int64_t, dim_symbol_count(m->dims));
    const function *entry;
    klaunch_costs costs;
    kmemory_use memory;
    if (!interpretation_dims(&s->o.interpretation, m, s->a, s->d, &entry, dims)) return false;
    kfunction *plan = kmodule_find(km, entry->name);
    const machine *on = &s->targets[0].on;
    if (!plan_cost(plan, dims, on, s->a, &costs) || !plan_memory_use(km, plan, dims, &memory)) {
        diag_usage(s->d, "a size of '%s' cannot be computed at these dims", entry->name);
        return false;
    }
    strbuf b = strbuf_new(s->a);
    costs_print_json(plan, dims, on, &costs, &memory, &b);
    return write_text(s, s->o.output, &b);
}

static bool write_artefact(session *s, module *m, kmodule *const *km)
{
    static const codegen_kind kinds[] = {[EMIT_SO] = CODEGEN_SO,
                                         [EMIT_OBJ] = CODEGEN_OBJ,
                                         [EMIT_AR] = CODEGEN_AR,
                                         [EMIT_LL] = CODEGEN_LL,
                                         [EMIT_ASM] = CODEGEN_ASM};
    const char *prefix = s->o.prefix ? s->o.prefix : m->name, *why;
    if (!header_prefix_valid(prefix, &why)) {
        diag *g = diag_usage(s->d, "'%s' cannot be the prefix of exported names: %s", prefix, why);
        diag_hint(g, "say --prefix=NAME");
        return false;
    }
    codegen_model *models = codegen_describe(m, km, s->n_targets, s->o.input, tfxc_version, s->a);
    if (s->o.job == EMIT_HEADER) {
        strbuf text = strbuf_new(s->a);
        header_write(models, prefix, false, tfx_h_text, &text);
        return write_text(s, s->o.output, &text);
    }
    codegen_output out = {.kind = kinds[s->o.job],
                          .path = s->o.output,
                          .prefix = prefix,
                          .linker = s->o.linker,
                          .sysroot = s->o.sysroot,
                          .weights_path = s->o.external_weights,
                          .header_path = files_header(&s->o, s->a)};
    codegen_variant *variants = ARENA_ARRAY(s->a, codegen_variant, s->n_targets);
    for (uint32_t i = 0; i < s->n_targets; i++)
        variants[i] = (codegen_variant){km[i], &models[i], &s->targets[i].options};
    return codegen_emit(variants, s->n_targets, &out, s->a, s->d);
}

/* ---- the whole way ---- */

/* Kernels as they stand. */
static bool compile_kernels(session *s, kmodule *km)
{
    if (s->o.job == EMIT_NOTHING) return true;
    if (s->o.job == EMIT_PTX) return write_ptx(s, km);
    if (s->o.job == EMIT_KIR) return write_kernel_ir(s, km);
    diag_usage(s->d, "kernels alone can be written as kir and ptx, not as %s", emit_name(s->o.job));
    return false;
}

/* A model, as far as what is asked for needs. */
static bool compile_model(session *s, module *m)
{
    job j = s->o.job;
    bool tensors_alone = j == JOB_INTERPRET && !strcmp(s->o.interpret, "tir");
    if (j == EMIT_PTX) {
        diag *g = diag_usage(s->d, "models are not compiled for GPUs yet");
        diag_hint(g, "what can be written as ptx are the kernels of a .kir file");
        return false;
    }
    if (!run_passes(s, m)) return false;
    if (tensors_alone) return interpret(&s->o.interpretation, m, NULL, s->a, s->d);
    if (s->o.tune && !(describe_targets(s) && tune_model(s, m))) return false;
    if (j == EMIT_NOTHING || j == JOB_TUNE) return true;
    if (j == EMIT_TIR) return write_tensor_ir(s, m);
    if (!s->targets && !describe_targets(s)) return false;
    kmodule **km = ARENA_ARRAY(s->a, kmodule *, s->n_targets);
    for (uint32_t i = 0; i < s->n_targets; i++)
        if (!(km[i] = lower(s, m, &s->targets[i]))) return false;
    if (j == JOB_INTERPRET) return interpret(&s->o.interpretation, m, km[0], s->a, s->d);
    if (j == EMIT_KIR) return write_kernel_ir(s, km[0]);
    if (j == EMIT_COSTS) return write_costs(s, m, km[0]);
    return write_artefact(s, m, km);
}

static bool compile(session *s)
{
    kmodule *km = NULL;
    module *m = NULL;
    if (has_extension(s->o.input, ".kir")) km = read_kernels(s);
    else if (has_extension(s->o.input, ".tir")) m = read_tensor_ir(s);
    else m = read_program(s);
    if ((!km && !m) || !read_measurements(s)) return false;
    file_names inputs = files_read(s->sources, s->weights, m, s->a);
    outfile depfile;
    return files_are_apart(&s->o, &inputs, s->a, s->d) && files_depfile(&s->o, &inputs, &depfile, s->a, s->d) &&
           (m ? compile_model(s, m) : compile_kernels(s, km)) && (!s->o.depfile || outfile_commit(&depfile));
}

static bool format(session *s)
{
    ast_session as = {s->a, s->names, s->d};
    return format_files(&as, s->sources, s->o.inputs.data, s->o.inputs.len, *s->o.format);
}

static bool print_blocks(session *s)
{
    ast_session as = {s->a, s->names, s->d};
    strbuf b = strbuf_new(s->a);
    return blocks_print(&as, s->sources, s->o.inputs.data, s->o.inputs.len, &b) && write_text(s, "-", &b);
}

static bool calibrate(session *s)
{
    strbuf report = strbuf_new(s->a);
    const char *path = s->o.calibrate;
    if (!calibrate_to(path, &s->o.target, s->a, s->names, s->sources, s->d, &report)) return false;
    bool shown = !strcmp(path, "-"); /* then standard output holds the machine alone */
    if (!shown) strbuf_addf(&report, "kept in %s\n", path);
    fputs(report.s, shown ? stderr : stdout);
    return true;
}

/* What the arguments ask for. */
static bool work(session *s)
{
    switch (s->o.job) {
    case JOB_FORMAT: return format(s);
    case JOB_PRINT_BLOCKS: return print_blocks(s);
    case JOB_CALIBRATE: return calibrate(s);
    default: return compile(s);
    }
}

/* ---- the process ---- */

static void show_diagnostics(session *s)
{
    strbuf b = strbuf_new(s->a);
    (s->o.json ? diags_render_json : diags_render_text)(s->d, &b);
    fputs(b.s, stderr);
}

static void out_of_memory(void *arg)
{
    longjmp(((session *)arg)->out_of_memory, 1);
}

/* Nothing that runs at exit can be relied on: what ran out of memory was left where it stood. */
static _Noreturn void end_without_memory(session *s)
{
    static const char json[] =
        "[{\"severity\":\"error\",\"code\":null,\"message\":\"out of memory\",\"file\":null,"
        "\"line\":null,\"column\":null,\"end_line\":null,\"end_column\":null,\"underlines\":[],\"lines\":[]}]\n";
    fputs(s->o.json ? json : "tfxc: error: out of memory\n", stderr);
    arena_free(s->a); /* removes temporary files */
    _Exit(EXIT_MEMORY);
}

int main(int argc, char **argv)
{
    session s = {0};
    signal(SIGXFSZ, SIG_IGN); /* a file that grows too large is an error of write like others */
    if (setjmp(s.out_of_memory)) end_without_memory(&s);
    s.a = arena_new(out_of_memory, &s);
    if (!s.a) out_of_memory(&s);
    codegen_on_out_of_memory(out_of_memory, &s, s.a);
    s.names = interner_new(s.a);
    s.sources = source_set_new(s.a);
    s.d = diags_new(s.a, s.sources, 0);
    s.dims = dims_new(s.a, s.names);
    int exit_status;
    if (options_read(&s.o, argc, argv, s.a, s.d, &exit_status))
        exit_status = work(&s) && !diags_errors(s.d) ? EXIT_DONE : EXIT_ERRORS;
    show_diagnostics(&s);
    if (s.weights) weights_close(s.weights);
    arena_free(s.a);
    return exit_status;
}
