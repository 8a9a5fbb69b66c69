/* tfxc: the driver. Arguments, the session, and the pipeline as prose; the only file that sees every room. */
#include "codegen/calibrate.h"
#include "codegen/codegen.h"
#include "codegen/describe.h"
#include "codegen/header.h"
#include "codegen/lower.h"
#include "codegen/outfile.h"
#include "codegen/plan_memory.h"
#include "codegen/ptx.h"
#include "codegen/tune.h"
#include "frontend/blocks.h"
#include "frontend/format.h"
#include "frontend/frontend.h"
#include "ir/interp_files.h"
#include "ir/kir/kcost.h"
#include "passes/pass.h"
#include "support/depfile.h"
#include "support/embedded.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define TFXC_VERSION "tfxc 0.1.0"

/* ---- what can be written ---- */

typedef enum {
    EMIT_SO,
    EMIT_OBJ,
    EMIT_AR,
    EMIT_LL,
    EMIT_ASM,
    EMIT_TIR,
    EMIT_KIR,
    EMIT_PTX,
    EMIT_HEADER,
    EMIT_COSTS,
    EMIT_NOTHING,
    EMIT_COUNT
} emit_kind;
static const struct {
    const char *name, *extension, *what;
    bool binary; /* holds the weights; no text */
} emit_rows[EMIT_COUNT] = {
    [EMIT_SO] = {"so", ".so", "shared object", true},
    [EMIT_OBJ] = {"o", ".o", "relocatable object, with a C header beside it", true},
    [EMIT_AR] = {"a", ".a", "static library, with a C header beside it", true},
    [EMIT_LL] = {"ll", ".ll", "LLVM IR", false},
    [EMIT_ASM] = {"s", ".s", "assembly", false},
    [EMIT_TIR] = {"tir", ".tir", "tensor IR, after the passes", false},
    [EMIT_KIR] = {"kir", ".kir", "kernel IR, as it is compiled", false},
    [EMIT_PTX] = {"ptx", ".ptx", "PTX of the GPU kernels in a .kir file (-mcpu=sm_90a picks the target)", false},
    [EMIT_HEADER] = {"h", ".h", "the C header alone", false},
    [EMIT_COSTS] = {"costs", NULL, "JSON: what each kernel launch costs at the dims that --dim gives", false},
    [EMIT_NOTHING] = {"nothing", NULL, "check the program only", false},
};

typedef struct {
    const char *input, *output, *model, *prefix, *weights, *external_weights, *depfile, *linker, *sysroot, *interpret,
        *machine, *calibrate, *tune, *tuned, *multiversion;
    emit_kind emit;
    VEC(const char *) inputs; /* all of them, for --format */
    enum { FORMAT_NOT, FORMAT_WRITE, FORMAT_CHECK } format;
    bool emit_given, json, print_blocks, separate_matmuls;
    codegen_options target;
    pass_options passes;
    interpretation interpretation;
} options;

/* A processor that is compiled for. */
typedef struct {
    codegen_options options;
    codegen_target target;
    machine on; /* the machine that it is in */
} compile_target;

/* A session: everything one compilation owns. */
typedef struct {
    arena *a;
    interner *names;
    source_set *sources;
    diags *d;
    dim_ctx *dims;
    options o;
    weights_file *weights;
    const source_file *machine; /* what --machine names; NULL: the default */
    tuned *tuned;               /* what --tuned names, and what --tune found; NULL: nothing */
    compile_target *targets;    /* what is compiled for; of several, the preferred first */
    uint32_t n_targets;
    jmp_buf out_of_memory;
} session;

enum { EXIT_DONE = 0, EXIT_ERRORS = 1, EXIT_USAGE = 2, EXIT_MEMORY = 3 };

static void out_of_memory(void *arg)
{
    longjmp(((session *)arg)->out_of_memory, 1);
}

/* Text to a file, which is there whole or not at all; to standard output for "-". */
static bool write_text(session *s, const char *path, const strbuf *text)
{
    outfile f;
    bool ok = outfile_open(&f, s->a, s->d, path, "", OUTFILE_TEXT) && outfile_write(&f, text->s, text->len) &&
              outfile_commit(&f);
    outfile_discard(&f);
    return ok;
}

/* ---- arguments ---- */

/* Flags with their help. A flag whose value is kept as it stands says where. */
#define INTO(field) offsetof(options, field)
enum { NOWHERE = INTO(input) }; /* no flag gives the input */
static const struct {
    const char *flag, *value, *what;
    size_t into;
} flag_rows[] = {
    {"-o", "FILE", "output; its extension says what is written (\"-\": standard output, for text)", NOWHERE},
    {"--emit=", "KIND", "what is written, when the extension does not say it", NOWHERE},
    {"--weights=", "FILE", "the weights file instead of the one that the model names, or random[:SEED]", INTO(weights)},
    {"--external-weights=", "FILE", "put the weights there and not into the output: opened with it at run time",
     INTO(external_weights)},
    {"--depfile=", "FILE", "write there which files were read, as a rule for Make or Ninja", INTO(depfile)},
    {"--model=", "NAME", "which model of the file, when it has several", INTO(model)},
    {"--prefix=", "NAME", "prefix of all exported symbols (default: the model's name)", INTO(prefix)},
    {"--target=", "TRIPLE", "what to compile for: aarch64-linux-gnu (default: this machine)", INTO(target.triple)},
    {"-mcpu=", "NAME", "processor to compile for (default: native; for another target its baseline)", INTO(target.cpu)},
    {"-mattr=", "LIST", "processor features to add or remove: +avx512f,-fma", INTO(target.features)},
    {"--multiversion", "", "code for several processors of the target, of which open takes the best that it can run",
     NOWHERE},
    {"--multiversion=", "LIST", "the same for these, the preferred first: x86-64-v4,x86-64-v3,x86-64", NOWHERE},
    {"-O", "N", "optimisation level 0 to 3 (default: 2)", NOWHERE},
    {"--machine=", "FILE",
     "description of the machine; \"calibrated\": what --calibrate-machine kept (default: by -mcpu)", INTO(machine)},
    {"--calibrate-machine", "", "measure this machine and keep that for --machine=calibrated", NOWHERE},
    {"--calibrate-machine=", "FILE", "the same into a file", INTO(calibrate)},
    {"--tuned=", "FILE", "measured schedules, which win over the compiler's rules", INTO(tuned)},
    {"--tune", "", "measure schedules at the dims that --dim gives, and keep them in MODEL.schedules", NOWHERE},
    {"--tune=", "FILE", "the same into a file, beside the lines that --tuned=FILE has", INTO(tune)},
    {"--separate-matmuls", "", "a kernel for each matmul and norm, also where they could be one", NOWHERE},
    {"--linker=", "PATH", "ld.lld to link with", INTO(linker)},
    {"--sysroot=", "DIR", "where the target's C library is (default: this system's, or /usr/TRIPLE)", INTO(sysroot)},
    {"--interpret=", "IR", "tir or kir: run the model in an interpreter instead of writing it", INTO(interpret)},
    {"--entry=", "NAME", "with --interpret, --emit=costs and --tune: which of the model's entries (default: the first)",
     INTO(interpretation.entry)},
    {"--input=", "NAME=FILE", "with --interpret: an input (.npy); FILE.npz alone: all of them", NOWHERE},
    {"--save=", "NAME=FILE", "with --interpret: where an output goes (.npy); FILE.npz alone: all of them", NOWHERE},
    {"--dim=", "NAME=N", "with --interpret: a dim that no input shows; with --emit=costs and --tune: any dim", NOWHERE},
    {"--state=", "FILE", "with --interpret=tir: where states come from, if it exists, and go to (.npz)",
     INTO(interpretation.states)},
    {"--diagnostics=", "FORM", "text or json", NOWHERE},
    {"--format", "", "rewrite the given .tfx files as all are written (\"-\": standard input to standard output)",
     NOWHERE},
    {"--format=check", "", "report those that --format would change", NOWHERE},
    {"--print-blocks", "", "the blocks of the given files or of the standard library, as Markdown", NOWHERE},
    {"--print-ops", "", "the tensor-IR ops, as Markdown", NOWHERE},
    {"--print-passes", "", "the passes and their order, as Markdown", NOWHERE},
    {"--print-targets", "", "the targets and processors that can be compiled for", NOWHERE},
    {"--version", "", "print the version", NOWHERE},
    {"--help", "", "print this", NOWHERE},
};
enum { N_FLAGS = sizeof flag_rows / sizeof *flag_rows };

static void print_help(strbuf *b)
{
    strbuf_adds(b, "usage: tfxc MODEL.tfx -o MODEL.so [options]\n\nCompiles a model to one native file. MODEL.tir is "
                   "accepted too.\n\n");
    for (int i = 0; i < N_FLAGS; i++) {
        size_t at = b->len;
        strbuf_addf(b, "  %s%s%s", flag_rows[i].flag,
                    *flag_rows[i].flag == '-' && flag_rows[i].flag[1] == 'o' ? " " : "", flag_rows[i].value);
        size_t used = b->len - at;
        strbuf_pad(b, used < 26 ? 26 - used : 1, ' ');
        strbuf_addf(b, "%s\n", flag_rows[i].what);
    }
    strbuf_adds(b, "\nwhat is written:\n");
    for (int i = 0; i < EMIT_COUNT; i++) {
        strbuf_addf(b, "  %-8s %s\n", emit_rows[i].name, emit_rows[i].what);
    }
    strbuf_adds(b, "\npasses:\n");
    pass_options_help(b);
    strbuf_adds(b, "\nExit status: 0 done (there may be warnings); 1 errors; 2 wrong usage; 3 out of memory.\n");
}

static bool starts(const char *s, const char *with, const char **rest)
{
    size_t n = strlen(with);
    if (strncmp(s, with, n)) return false;
    *rest = s + n;
    return true;
}

static bool usage_error(session *s, const char *fmt, const char *arg)
{
    diag *g = diag_error(s->d, (span){0, 0}, fmt, arg);
    diag_code(g, "usage");
    diag_in_file(g, "tfxc");
    return false;
}

static bool parse_emit(session *s, const char *name)
{
    const char *names[EMIT_COUNT];
    for (int i = 0; i < EMIT_COUNT; i++) {
        names[i] = emit_rows[i].name;
        if (strcmp(name, names[i])) continue;
        s->o.emit = (emit_kind)i;
        s->o.emit_given = true;
        return true;
    }
    diag *g = diag_error(s->d, (span){0, 0}, "'%s' is nothing that --emit can write", name);
    diag_code(g, "usage");
    diag_in_file(g, "tfxc");
    const char *near = suggest(name, names, EMIT_COUNT);
    if (near) diag_hint(g, "did you mean '%s'?", near);
    return false;
}

static bool parse_binding(session *s, const char *text, const char *flag, named_files *list)
{
    const char *eq = text + strcspn(text, "=/"); /* what stands behind a '/' belongs to the file's name */
    if (*eq != '=') eq = NULL;
    size_t n = strlen(text);
    bool all = !eq && n > 4 && !strcmp(text + n - 4, ".npz");
    if (!all && (!eq || eq == text || !eq[1])) return usage_error(s, "%s needs NAME=FILE, or a FILE.npz", flag);
    named_file b = {all ? NULL : arena_strndup(s->a, text, (size_t)(eq - text)), all ? text : eq + 1};
    vec_push(s->a, list, b);
    return true;
}

static bool parse_dim(session *s, const char *text)
{
    const char *eq = strchr(text, '=');
    char *end = NULL;
    errno = 0;
    long long n = eq ? strtoll(eq + 1, &end, 10) : 0;
    if (!eq || eq == text || end == eq + 1 || *end || errno || eq[1] == ' ')
        return usage_error(s, "--dim needs NAME=N, not '%s'", text);
    named_dim d = {arena_strndup(s->a, text, (size_t)(eq - text)), n};
    vec_push(s->a, &s->o.interpretation.dims, d);
    return true;
}

/* Suggests one of the flags that --help shows, those of the passes included. */
static bool unknown_flag(session *s, const char *arg)
{
    VEC(const char *) known = {0};
    strbuf help = strbuf_new(s->a);
    print_help(&help);
    for (const char *line = help.s; *line; line += strcspn(line, "\n") + 1) {
        size_t n = starts(line, "  -", &(const char *){NULL}) ? strcspn(line + 2, "= ") : 0;
        if (n) vec_push(s->a, &known, arena_strndup(s->a, line + 2, n + (line[2 + n] == '=')));
    }
    const char *eq = strchr(arg, '=');
    const char *flag = eq ? arena_strndup(s->a, arg, (size_t)(eq - arg) + 1) : arg;
    const char *near = suggest(flag, known.data, known.len);
    diag *g = diag_error(s->d, (span){0, 0}, "unknown flag '%s'", arg);
    diag_code(g, "usage");
    diag_in_file(g, "tfxc");
    if (near) diag_hint(g, "did you mean '%s'?", near);
    else diag_hint(g, "tfxc --help lists the flags");
    return false;
}

static bool parse_flag(session *s, const char *arg)
{
    options *o = &s->o;
    const char *v;
    if (starts(arg, "--emit=", &v)) return parse_emit(s, v);
    for (int i = 0; i < N_FLAGS; i++) {
        if (flag_rows[i].into == NOWHERE || !starts(arg, flag_rows[i].flag, &v)) continue;
        if (!*v) return usage_error(s, "'%s' needs a value", arg);
        memcpy((char *)o + flag_rows[i].into, &v, sizeof v);
        return true;
    }
    if (starts(arg, "--input=", &v)) return parse_binding(s, v, "--input", &o->interpretation.inputs);
    if (starts(arg, "--save=", &v)) return parse_binding(s, v, "--save", &o->interpretation.outputs);
    if (starts(arg, "--dim=", &v)) return parse_dim(s, v);
    if (starts(arg, "--diagnostics=", &v)) {
        o->json = !strcmp(v, "json");
        return o->json || !strcmp(v, "text") || usage_error(s, "--diagnostics takes text or json, not '%s'", v);
    }
    if (!strcmp(arg, "--print-blocks")) return o->print_blocks = true;
    if (!strcmp(arg, "--separate-matmuls")) return o->separate_matmuls = true;
    if (!strcmp(arg, "--multiversion")) {
        o->multiversion = "";
        return true;
    }
    if (starts(arg, "--multiversion=", &o->multiversion))
        return *o->multiversion || usage_error(s, "'%s' needs a value", arg);
    if (!strcmp(arg, "--tune")) {
        o->tune = ""; /* named when the model is */
        return true;
    }
    if (!strcmp(arg, "--calibrate-machine")) {
        o->calibrate = machine_calibrated_path(s->a);
        return o->calibrate || usage_error(s, "no home directory to keep a machine in: say %s=FILE", arg);
    }
    if (!strcmp(arg, "--format") || !strcmp(arg, "--format=check")) {
        o->format = arg[8] ? FORMAT_CHECK : FORMAT_WRITE;
        return true;
    }
    if (starts(arg, "-O", &v)) {
        if (v[0] < '0' || v[0] > '3' || v[1]) return usage_error(s, "-O takes 0 to 3, not '%s'", v);
        o->target.opt = v[0] - '0';
        return true;
    }
    flag_result r = pass_options_flag(&o->passes, s->a, s->d, arg);
    if (r == FLAG_UNKNOWN) return unknown_flag(s, arg);
    return r == FLAG_TAKEN;
}

/* EMIT_NOTHING when the extension says nothing. */
static emit_kind emit_of_extension(const char *path)
{
    const char *dot = strrchr(path, '.');
    for (int i = 0; dot && i < EMIT_COUNT; i++)
        if (emit_rows[i].extension && !strcmp(dot, emit_rows[i].extension)) return (emit_kind)i;
    return EMIT_NOTHING;
}

/* What is written, from -o and --emit. */
static bool choose_output(session *s)
{
    options *o = &s->o;
    if (o->tune && !o->output && !o->emit_given) {
        o->emit = EMIT_NOTHING;
        o->emit_given = true;
    }
    if (!o->output && !(o->emit_given && o->emit == EMIT_NOTHING))
        return usage_error(s, "no output: say -o FILE%s", "");
    emit_kind named = o->output ? emit_of_extension(o->output) : EMIT_NOTHING;
    if (!o->emit_given && named == EMIT_NOTHING) {
        diag *g = diag_error(s->d, (span){0, 0}, "cannot tell from '%s' what to write", o->output);
        diag_code(g, "usage");
        diag_in_file(g, "tfxc");
        diag_note(g, "extensions that are known: .so .o .a .ll .s .tir .kir .ptx .h");
        diag_hint(g, "say --emit=KIND");
        return false;
    }
    if (!o->emit_given) o->emit = named;
    if (named != EMIT_NOTHING && named != o->emit) {
        diag *g = diag_error(s->d, (span){0, 0}, "'%s' and --emit=%s do not agree", o->output, emit_rows[o->emit].name);
        diag_code(g, "usage");
        diag_in_file(g, "tfxc");
        return false;
    }
    if (emit_rows[o->emit].binary && !strcmp(o->output, "-"))
        return usage_error(s, "standard output is for text; '%s' needs a file", emit_rows[o->emit].name);
    if (!emit_rows[o->emit].binary && o->external_weights)
        return usage_error(s, "--external-weights goes with so, o and a, not with %s", emit_rows[o->emit].name);
    if (o->multiversion && (o->emit == EMIT_KIR || o->emit == EMIT_COSTS || o->emit == EMIT_PTX))
        return usage_error(s, "--multiversion goes with so, o, a, ll, s and h, not with %s", emit_rows[o->emit].name);
    if (o->depfile && (!o->output || !strcmp(o->output, "-")))
        return usage_error(s, "--depfile=%s needs an output file to make the rule for", o->depfile);
    return true;
}

static void print_version(strbuf *b)
{
    strbuf_adds(b, TFXC_VERSION "\n");
}

/* Flags that only print something. */
static bool prints_itself(session *s, const char *arg, int *exit_status)
{
    static const struct {
        const char *flag;
        void (*print)(strbuf *out);
    } rows[] = {{"--help", print_help},
                {"-h", print_help},
                {"--version", print_version},
                {"--print-ops", ops_print_reference},
                {"--print-passes", passes_print_reference},
                {"--print-targets", codegen_print_targets}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(arg, rows[i].flag)) continue;
        strbuf b = strbuf_new(s->a);
        rows[i].print(&b);
        *exit_status = write_text(s, "-", &b) ? EXIT_DONE : EXIT_ERRORS;
        return true;
    }
    return false;
}

/* No flag is about one processor. */
static bool multiversion_fits(session *s)
{
    const options *o = &s->o;
    const char *flag = o->target.cpu        ? "-mcpu"
                       : o->target.features ? "-mattr"
                       : o->machine         ? "--machine"
                       : o->tune            ? "--tune"
                       : o->interpret       ? "--interpret"
                                            : NULL;
    return !flag || usage_error(s, "--multiversion is for several processors, and %s is about one", flag);
}

/* True when there is something to compile; *exit_status tells how it ended otherwise. */
static bool parse_arguments(session *s, int argc, char **argv, int *exit_status)
{
    options *o = &s->o;
    bool ok = true;
    *exit_status = EXIT_DONE;
    o->target.opt = 2;
    o->passes = pass_options_default();
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (prints_itself(s, arg, exit_status)) return false;
        if (!strcmp(arg, "-o")) {
            if (i + 1 < argc) o->output = argv[++i];
            else ok = usage_error(s, "%s needs a file", "-o");
        } else if (arg[0] == '-' && arg[1]) {
            ok = parse_flag(s, arg) && ok;
        } else {
            vec_push(s->a, &o->inputs, arg);
        }
    }
    *exit_status = EXIT_USAGE;
    if (o->inputs.len > 1 && !o->format && !o->print_blocks)
        ok = usage_error(s, "a second input file, '%s'", o->inputs.data[1]);
    if (!ok) return false;
    if (o->print_blocks) return true;
    if (o->calibrate) {
        if (o->inputs.len)
            return usage_error(s, "--calibrate-machine compiles nothing: '%s' is left over", *o->inputs.data);
        if (o->target.triple || o->target.features || (o->target.cpu && strcmp(o->target.cpu, "native")))
            return usage_error(s, "--calibrate-machine measures the machine that it runs on: %s does not go with it",
                               o->target.triple     ? "--target"
                               : o->target.features ? "-mattr"
                                                    : "-mcpu");
        return true;
    }
    if (!o->inputs.len) return usage_error(s, "no input file%s", ""), false;
    if (o->multiversion && !multiversion_fits(s)) return false;
    o->input = o->inputs.data[0];
    if (o->tune && !*o->tune) {
        const char *dot = strrchr(o->input, '.');
        o->tune =
            arena_printf(s->a, "%.*s.schedules", (int)(dot ? dot - o->input : (ptrdiff_t)strlen(o->input)), o->input);
    }
    if (o->format) return !o->output || usage_error(s, "%s goes without -o: files are rewritten in place", "--format");
    const interpretation *run = &o->interpretation;
    bool costs = (o->emit_given && o->emit == EMIT_COSTS) || o->tune;
    if (!o->interpret &&
        (run->inputs.len || run->outputs.len || run->states || (!costs && (run->entry || run->dims.len))))
        return usage_error(s, "--entry, --input, --save, --dim and --state are for --interpret%s", ""), false;
    if (o->tune && o->interpret) return usage_error(s, "--tune and --interpret are two things%s", ""), false;
    if (o->interpret && o->depfile) return usage_error(s, "--depfile is not for --interpret%s", ""), false;
    if (!o->interpret) return choose_output(s);
    o->emit = EMIT_NOTHING;
    return !strcmp(o->interpret, "tir") || !strcmp(o->interpret, "kir") ||
           usage_error(s, "--interpret takes tir or kir, not '%s'", o->interpret);
}

/* ---- the stages ---- */

static bool has_extension(const char *path, const char *extension)
{
    size_t n = strlen(path), k = strlen(extension);
    return n > k && !strcmp(path + n - k, extension);
}

static void cannot_read(session *s, const char *path, const char *why)
{
    diag *g = diag_error(s->d, (span){0, 0}, "%s", why);
    diag_in_file(g, path);
    diag_code(g, "cannot-read");
}

static bool parse_seed(session *s, const char *text, uint64_t *seed)
{
    char *end;
    errno = 0;
    *seed = strtoull(text, &end, 10);
    return (*text >= '0' && *text <= '9' && !*end && !errno) ||
           usage_error(s, "'%s' is no seed for random weights", text);
}

/* model.tfx (or .tir) to a verified module. */
static module *read_model(session *s)
{
    const char *path = s->o.input;
    if (has_extension(path, ".tir")) {
        const char *why;
        const source_file *f = source_read(s->sources, path, path, &why);
        if (!f) {
            cannot_read(s, path, why);
            return NULL;
        }
        module *m = module_parse(s->a, s->names, s->sources, s->d, f);
        return m && module_verify(m, s->d) ? m : NULL;
    }
    frontend_session fs = {s->a, s->names, s->sources, s->d, s->dims};
    policy_verbs verbs = passes_verbs(s->a);
    frontend_options fo = {.weights_path = s->o.weights, .model = s->o.model, .verbs = &verbs};
    frontend_result r = {0};
    const char *seed;
    if (s->o.weights && starts(s->o.weights, "random", &seed) && (!*seed || *seed == ':')) {
        fo.weights = FRONTEND_WEIGHTS_RANDOM;
        fo.weights_path = NULL;
        if (*seed && !parse_seed(s, seed + 1, &fo.seed)) return NULL;
    }
    bool ok = frontend_compile(&fs, path, &fo, &r);
    s->weights = r.weights;
    return ok ? r.module : NULL;
}

static bool run_passes(session *s, module *m)
{
    pass_session ps = {.d = s->d, .options = &s->o.passes};
    return passes_run(m, &ps) == STATUS_OK;
}

/* A calibrated machine is read only where the command line says so: equal flags give equal artefacts. */
static bool read_machine(session *s)
{
    const char *why, *path = s->o.machine;
    if (!path || !strcmp(path, "default")) return true;
    if (!strcmp(path, "calibrated")) path = machine_calibrated_path(s->a);
    if (!path) return usage_error(s, "there is no home directory that could hold a %s machine", s->o.machine);
    s->machine = source_read(s->sources, path, path, &why);
    if (!s->machine) cannot_read(s, path, why);
    return s->machine;
}

static bool read_schedules(session *s)
{
    const char *why;
    if (!s->o.tuned) return true;
    const source_file *f = source_read(s->sources, s->o.tuned, s->o.tuned, &why);
    if (!f) {
        cannot_read(s, s->o.tuned, why);
        return false;
    }
    s->tuned = tuned_parse(s->a, s->names, s->d, f);
    return s->tuned;
}

/* A processor and the machine that it is in. */
static bool describe_target(session *s, const char *cpu, compile_target *out)
{
    codegen_target *t = &out->target;
    machine *on = &out->on;
    out->options = s->o.target;
    out->options.cpu = cpu;
    if (!codegen_target_describe(&out->options, s->a, s->d, t)) return false;
    *on = machine_default(s->a, t->name, 8 * t->vector_bytes, t->registers);
    if (t->native) machine_take_caches(s->a, on);
    if (s->machine && !machine_parse(s->a, s->names, s->d, s->machine, on)) return false;
    if (s->o.passes.remarks) {
        diag *g =
            diag_add(s->d, DIAG_REMARK, (span){0, 0}, "kernels are scheduled for '%s' (%s)", on->name, on->source);
        diag_in_file(g, "tfxc");
    }
    if (on->vector_bits == 8 * t->vector_bytes && on->vector_registers == t->registers) return true;
    diag *g = diag_warning(s->d, (span){0, 0}, "this machine is not the target");
    diag_in_file(g, s->machine->name);
    diag_code(g, "machine");
    diag_expected(g, "%d vector registers of %d bits", t->registers, 8 * t->vector_bytes);
    diag_got(g, "%lld of %lld bits", (long long)on->vector_registers, (long long)on->vector_bits);
    diag_note(g, "its rates and sizes are used all the same");
    on->vector_bits = 8 * t->vector_bytes;
    on->vector_registers = t->registers;
    return true;
}

/* Whatever runs the last of two variants runs the first as well, which is preferred. */
static void warn_never_taken(session *s, const compile_target *first, const compile_target *then)
{
    if (first->target.required & ~then->target.required) return;
    diag *g = diag_warning(s->d, (span){0, 0}, "variant '%s' is never taken: every machine that runs it prefers '%s'",
                           then->target.name, first->target.name);
    diag_in_file(g, "tfxc");
    diag_code(g, "target");
    diag_hint(g, "name the processors that need more first");
}

/* What is compiled for: one target, or those of --multiversion. */
static bool describe_targets(session *s)
{
    VEC(const char *) cpus = {0};
    if (!s->o.multiversion) vec_push(s->a, &cpus, s->o.target.cpu);
    const char *list = s->o.multiversion;
    if (list && !*list) list = codegen_multiversion_default(&s->o.target, s->a, s->d);
    if (s->o.multiversion && !list) return false;
    for (size_t n; list && *list; list += n + (list[n] == ',')) {
        n = strcspn(list, ",");
        vec_push(s->a, &cpus, arena_strndup(s->a, list, n));
    }
    s->targets = ARENA_ARRAY(s->a, compile_target, cpus.len);
    for (s->n_targets = 0; s->n_targets < cpus.len; s->n_targets++) {
        compile_target *t = &s->targets[s->n_targets];
        if (!describe_target(s, cpus.data[s->n_targets], t)) return false;
        for (uint32_t i = 0; i < s->n_targets; i++) {
            if (!strcmp(s->targets[i].target.name, t->target.name))
                return usage_error(s, "--multiversion names '%s' twice", t->target.name);
            warn_never_taken(s, &s->targets[i], t);
        }
    }
    return true;
}

static lower_target lowering_target(session *s, compile_target *t)
{
    return (lower_target){.vector_floats = t->target.vector_bytes / 4,
                          .registers = t->target.registers,
                          .machine = &t->on,
                          .separate_matmuls = s->o.separate_matmuls,
                          .remarks = s->o.passes.remarks,
                          .tuned = s->tuned};
}

static kmodule *lower(session *s, module *m, compile_target *t)
{
    lower_target lt = lowering_target(s, t);
    kmodule *km = lower_module(m, s->a, s->d, &lt);
    if (!km) return NULL;
    if (s->tuned && s->o.passes.remarks) tuned_report_unused(s->tuned, &lt, s->d);
    expand_math(km);
    return kmodule_verify(km, s->d) ? km : NULL;
}

/* What is linked statically has its header beside it. NULL for the rest. */
static const char *header_path(session *s)
{
    if (s->o.emit != EMIT_OBJ && s->o.emit != EMIT_AR) return NULL;
    const char *dot = strrchr(s->o.output, '.'), *slash = strrchr(s->o.output, '/');
    if (dot && slash && dot < slash) dot = NULL;
    return arena_printf(s->a, "%.*s.h", (int)(dot ? dot - s->o.output : (ptrdiff_t)strlen(s->o.output)), s->o.output);
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return !strcmp(a, b) ||
           (!stat(a, &x) && !stat(b, &y) && S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

typedef VEC(const char *) file_names;

/* What was read from disk: sources, imports and weights. `m` may be NULL. */
static file_names files_read(session *s, const module *m)
{
    file_names files = {0};
    for (uint32_t i = 0; i < source_count(s->sources); i++) {
        const source_file *f = source_at(s->sources, i);
        if (f->from_disk) vec_push(s->a, &files, f->path);
    }
    if (s->weights) vec_push(s->a, &files, weights_path(s->weights));
    for (uint32_t i = 0; m && i < m->files.len; i++) vec_push(s->a, &files, weights_path(m->files.data[i]));
    return files;
}

/* No output takes the place of an input or of another output. */
static bool outputs_are_apart(session *s, const file_names *inputs)
{
    const char *outputs[] = {s->o.output, s->o.external_weights, header_path(s), s->o.depfile, s->o.tune};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        if (!outputs[i]) continue;
        bool updates = outputs[i] == s->o.tune && s->o.tuned && same_file(outputs[i], s->o.tuned);
        vec_foreach (const char *, input, inputs)
            if (!updates && same_file(outputs[i], *input))
                return usage_error(s, "the output '%s' would replace what is read", outputs[i]);
        for (size_t k = 0; k < i; k++)
            if (outputs[k] && same_file(outputs[i], outputs[k]))
                return usage_error(s, "'%s' is to be written twice", outputs[i]);
    }
    return true;
}

/* Begins the file that --depfile asks for; who commits it says that the output is there. */
static bool write_depfile(session *s, const file_names *inputs, outfile *f)
{
    *f = OUTFILE_NONE;
    if (!s->o.depfile) return true;
    strbuf rule = strbuf_new(s->a);
    depfile_print(&rule, s->o.output, inputs->data, inputs->len);
    return outfile_open(f, s->a, s->d, s->o.depfile, "", OUTFILE_TEXT) && outfile_write(f, rule.s, rule.len);
}

static bool write_artefact(session *s, module *m, kmodule *const *km)
{
    static const codegen_kind kinds[] = {[EMIT_SO] = CODEGEN_SO,
                                         [EMIT_OBJ] = CODEGEN_OBJ,
                                         [EMIT_AR] = CODEGEN_AR,
                                         [EMIT_LL] = CODEGEN_LL,
                                         [EMIT_ASM] = CODEGEN_ASM};
    const char *prefix = s->o.prefix ? s->o.prefix : m->name;
    const char *why;
    if (!header_prefix_valid(prefix, &why)) {
        diag *g = diag_error(s->d, (span){0, 0}, "'%s' cannot be the prefix of exported names: %s", prefix, why);
        diag_code(g, "usage");
        diag_in_file(g, "tfxc");
        diag_hint(g, "say --prefix=NAME");
        return false;
    }
    codegen_model *models = codegen_describe(m, km, s->n_targets, s->o.input, TFXC_VERSION, s->a);
    if (s->o.emit == EMIT_HEADER) {
        strbuf text = strbuf_new(s->a);
        header_write(models, prefix, false, tfx_h_text, &text);
        return write_text(s, s->o.output, &text);
    }
    codegen_output out = {.kind = kinds[s->o.emit],
                          .path = s->o.output,
                          .prefix = prefix,
                          .linker = s->o.linker,
                          .sysroot = s->o.sysroot,
                          .weights_path = s->o.external_weights,
                          .header_path = header_path(s)};
    codegen_variant *variants = ARENA_ARRAY(s->a, codegen_variant, s->n_targets);
    for (uint32_t i = 0; i < s->n_targets; i++)
        variants[i] = (codegen_variant){km[i], &models[i], &s->targets[i].options};
    return codegen_emit(variants, s->n_targets, &out, s->a, s->d);
}

static bool write_costs(session *s, module *m, const kmodule *km)
{
    int64_t *dims = ARENA_ARRAY(s->a, int64_t, dim_symbol_count(m->dims));
    const function *entry;
    klaunch_costs costs;
    if (!interpretation_dims(&s->o.interpretation, m, s->a, s->d, &entry, dims)) return false;
    kmemory_use memory;
    kfunction *plan = kmodule_find(km, entry->name);
    const machine *on = &s->targets[0].on;
    if (!plan_cost(plan, dims, on, s->a, &costs) || !plan_memory_use(km, plan, dims, &memory))
        return usage_error(s, "a size of '%s' cannot be computed", entry->name);
    strbuf b = strbuf_new(s->a);
    costs_print_json(plan, dims, on, &costs, &memory, &b);
    return write_text(s, s->o.output, &b);
}

/* The schedules of one entry's kernels, beside those that --tuned gave. */
static bool tune_model(session *s, module *m)
{
    int64_t *dims = ARENA_ARRAY(s->a, int64_t, dim_symbol_count(m->dims));
    const function *entry;
    if (!interpretation_dims(&s->o.interpretation, m, s->a, s->d, &entry, dims)) return false;
    compile_target *ct = &s->targets[0];
    if (!codegen_target_runs_here(&ct->target, s->a, s->d))
        return usage_error(s, "--tune runs the kernels, and this machine cannot run those for '%s'", ct->target.name);
    if (!s->tuned) {
        s->tuned = ARENA_NEW(s->a, tuned);
        s->tuned->a = s->a;
    }
    tuning t = {.m = m,
                .entry = entry->name,
                .dims = dims,
                .target = lowering_target(s, ct),
                .options = &ct->options,
                .a = s->a,
                .d = s->d};
    strbuf report = strbuf_new(s->a), text = strbuf_new(s->a);
    if (!tune(&t, s->tuned, &report)) return false;
    tuned_print(s->tuned, &text);
    bool shown = !strcmp(s->o.tune, "-");
    fputs(report.s, shown ? stderr : stdout);
    return write_text(s, s->o.tune, &text);
}

/* ---- formatting ---- */

/* Says where a file first differs from its normal form. */
static bool report_unformatted(session *s, const source_file *f, const strbuf *want)
{
    uint32_t i = 0, begin, got, expected;
    while (i < f->size && i < want->len && f->text[i] == want->s[i]) i++;
    for (begin = i; begin > 0 && f->text[begin - 1] != '\n'; begin--) {}
    got = (uint32_t)strcspn(f->text + begin, "\r\n");
    expected = (uint32_t)strcspn(want->s + begin, "\n");
    diag *g = diag_error(s->d, (span){f->base + begin, f->base + begin + got}, "'%s' is not formatted", f->name);
    diag_code(g, "not-formatted");
    bool ends_alone = expected <= got && !memcmp(want->s + begin, f->text + begin, expected) &&
                      strspn(f->text + begin + expected, " \t") >= got - expected;
    if (ends_alone) diag_note(g, "lines end without blanks, in LF, and so does the file");
    else diag_expected(g, "%.*s", (int)expected, want->s + begin);
    diag_hint(g, "tfxc --format rewrites it");
    return false;
}

static bool format_one(session *s, const char *input)
{
    bool standard = !strcmp(input, "-");
    const char *name = standard ? "standard input" : input, *why = NULL;
    /* Through a link it is what the link leads to that is rewritten. */
    char *path = standard ? strdup("/dev/stdin") : realpath(input, NULL);
    const source_file *f = source_read(s->sources, name, path ? path : input, &why);
    free(path);
    if (!f) {
        cannot_read(s, name, why);
        return false;
    }
    strbuf text = strbuf_new(s->a);
    ast_session as = {s->a, s->names, s->d};
    if (!format_file(&as, s->sources, f, &text)) return false;
    bool same = text.len == f->size && !memcmp(text.s, f->text, f->size);
    if (s->o.format == FORMAT_CHECK) return same || report_unformatted(s, f, &text);
    if (standard) return write_text(s, "-", &text);
    if (same) return true;
    outfile out;
    bool ok = outfile_open(&out, s->a, s->d, f->path, "", OUTFILE_TEXT) && outfile_like_before(&out) &&
              outfile_write(&out, text.s, text.len) && outfile_commit(&out);
    outfile_discard(&out);
    return ok;
}

static bool format_all(session *s)
{
    bool ok = true;
    vec_foreach (const char *, input, &s->o.inputs) ok = format_one(s, *input) && ok;
    return ok;
}

/* ---- the index of blocks ---- */

static bool print_blocks(session *s)
{
    ast_session as = {s->a, s->names, s->d};
    strbuf b = strbuf_new(s->a);
    bool ok = s->o.inputs.len > 0 || blocks_print_library(&as, s->sources, &b);
    vec_foreach (const char *, path, &s->o.inputs) {
        const char *why = NULL;
        const source_file *f = blocks_library_file(s->sources, *path);
        if (!f) f = source_read(s->sources, *path, *path, &why);
        if (!f) cannot_read(s, *path, why);
        ok = f && blocks_print(&as, f, &b) && ok;
    }
    return ok && write_text(s, "-", &b);
}

/* ---- this machine ---- */

static bool calibrate(session *s)
{
    codegen_target t;
    machine m;
    strbuf report = strbuf_new(s->a), text = strbuf_new(s->a);
    const char *kept = machine_calibrated_path(s->a);
    if (!codegen_target_describe(&s->o.target, s->a, s->d, &t)) return false;
    if (kept && !strcmp(kept, s->o.calibrate) && !outfile_make_directories(s->a, s->d, kept)) return false;
    m = machine_default(s->a, t.name, 8 * t.vector_bytes, t.registers);
    machine_take_caches(s->a, &m);
    if (!machine_calibrate(&m, &s->o.target, s->a, s->names, s->sources, s->d, &report)) return false;
    machine_print(&m, &text);
    bool shown = !strcmp(s->o.calibrate, "-"); /* then standard output holds the machine alone */
    if (!write_text(s, s->o.calibrate, &text)) return false;
    if (!shown) strbuf_addf(&report, "kept in %s\n", s->o.calibrate);
    fputs(report.s, shown ? stderr : stdout);
    return true;
}

/* ---- the whole way ---- */

/* A .kir file, as it was read. NULL with diagnostics. */
static kmodule *read_kernels(session *s)
{
    const char *path = s->o.input, *why;
    if (s->o.tune) return usage_error(s, "--tune is for models, and '%s' holds kernels alone", path), NULL;
    if (s->o.interpret) return usage_error(s, "--interpret runs models, and '%s' holds kernels alone", path), NULL;
    const source_file *f = source_read(s->sources, path, path, &why);
    if (!f) {
        cannot_read(s, path, why);
        return NULL;
    }
    kmodule *km = kmodule_parse(s->a, s->names, s->sources, s->d, f);
    return km && kmodule_verify(km, s->d) ? km : NULL;
}

/* Kernels as they stand. */
static bool write_kernels(session *s, kmodule *km)
{
    strbuf b = strbuf_new(s->a);
    if (s->o.emit == EMIT_PTX) {
        codegen_ptx_options o = {.sm = s->o.target.cpu, .features = s->o.target.features, .opt = s->o.target.opt};
        codegen_ptx ptx;
        expand_math(km);
        if (!codegen_emit_ptx(km, &o, s->a, s->d, &ptx)) return false;
        strbuf_add(&b, ptx.text, ptx.size);
    } else if (s->o.emit == EMIT_KIR) {
        kmodule_print(km, &b);
    } else if (s->o.emit != EMIT_NOTHING) {
        return usage_error(s, "kernels alone can be written as kir and ptx, not as %s", emit_rows[s->o.emit].name);
    }
    return s->o.emit == EMIT_NOTHING || write_text(s, s->o.output, &b);
}

/* A model, from its passes on. */
static bool write_model(session *s, module *m)
{
    if (!run_passes(s, m)) return false;
    if (s->o.interpret && !strcmp(s->o.interpret, "tir")) return interpret(&s->o.interpretation, m, NULL, s->a, s->d);
    if (s->o.tune && (!describe_targets(s) || !tune_model(s, m))) return false;
    if (s->o.emit == EMIT_NOTHING && !s->o.interpret) return true;
    if (s->o.emit == EMIT_TIR) {
        strbuf b = strbuf_new(s->a);
        module_print(m, &b);
        return write_text(s, s->o.output, &b);
    }
    if (s->o.emit == EMIT_PTX)
        return usage_error(s, "models are not compiled for GPUs yet%s", ""); /* the kernels of a .kir file are */
    if (!s->o.tune && !describe_targets(s)) return false;
    kmodule **km = ARENA_ARRAY(s->a, kmodule *, s->n_targets);
    for (uint32_t i = 0; i < s->n_targets; i++)
        if (!(km[i] = lower(s, m, &s->targets[i]))) return false;
    if (s->o.emit == EMIT_COSTS) return write_costs(s, m, km[0]);
    if (s->o.interpret) return interpret(&s->o.interpretation, m, km[0], s->a, s->d);
    if (s->o.emit == EMIT_KIR) {
        strbuf b = strbuf_new(s->a);
        kmodule_print(km[0], &b);
        return write_text(s, s->o.output, &b);
    }
    return write_artefact(s, m, km);
}

/* The whole way. */
static bool compile(session *s)
{
    bool kernels_alone = has_extension(s->o.input, ".kir");
    kmodule *km = kernels_alone ? read_kernels(s) : NULL;
    module *m = kernels_alone ? NULL : read_model(s);
    if ((!km && !m) || !read_machine(s) || !read_schedules(s)) return false;
    file_names inputs = files_read(s, m);
    outfile depfile;
    return outputs_are_apart(s, &inputs) && write_depfile(s, &inputs, &depfile) &&
           (m ? write_model(s, m) : write_kernels(s, km)) && (!s->o.depfile || outfile_commit(&depfile));
}

/* What the arguments ask for. */
static bool work(session *s)
{
    if (s->o.format) return format_all(s);
    if (s->o.print_blocks) return print_blocks(s);
    if (s->o.calibrate) return calibrate(s);
    return compile(s);
}

static void show_diagnostics(session *s)
{
    strbuf b = strbuf_new(s->a);
    (s->o.json ? diags_render_json : diags_render_text)(s->d, &b);
    fputs(b.s, stderr);
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
    if (parse_arguments(&s, argc, argv, &exit_status))
        exit_status = work(&s) && !diags_errors(s.d) ? EXIT_DONE : EXIT_ERRORS;
    show_diagnostics(&s);
    if (s.weights) weights_close(s.weights);
    arena_free(s.a);
    return exit_status;
}
