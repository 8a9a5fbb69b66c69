/* tfxc: the driver. Arguments, the session, and the pipeline as prose; the only file that sees every room. */
#include "codegen/codegen.h"
#include "codegen/describe.h"
#include "codegen/header.h"
#include "codegen/lower.h"
#include "codegen/ptx.h"
#include "frontend/frontend.h"
#include "passes/pass.h"
#include "support/embedded.h"
#include "tfxc_interpret.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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
    EMIT_NOTHING,
    EMIT_COUNT
} emit_kind;
static const struct {
    const char *name, *extension, *what;
} emit_rows[EMIT_COUNT] = {
    [EMIT_SO] = {"so", ".so", "shared object"},
    [EMIT_OBJ] = {"o", ".o", "relocatable object, with a C header beside it"},
    [EMIT_AR] = {"a", ".a", "static library, with a C header beside it"},
    [EMIT_LL] = {"ll", ".ll", "LLVM IR"},
    [EMIT_ASM] = {"s", ".s", "assembly"},
    [EMIT_TIR] = {"tir", ".tir", "tensor IR, after the passes"},
    [EMIT_KIR] = {"kir", ".kir", "kernel IR, as it is compiled"},
    [EMIT_PTX] = {"ptx", ".ptx", "PTX of the GPU kernels in a .kir file (-mcpu=sm_90a picks the target)"},
    [EMIT_HEADER] = {"h", ".h", "the C header alone"},
    [EMIT_NOTHING] = {"nothing", NULL, "check the program only"},
};

typedef struct {
    const char *input, *output, *model, *prefix, *weights, *linker, *interpret;
    emit_kind emit;
    bool emit_given, json;
    codegen_options target;
    pass_options passes;
    interpretation interpretation;
} options;

/* A session: everything one compilation owns. */
typedef struct {
    arena *a;
    interner *names;
    source_set *sources;
    diags *d;
    dim_ctx *dims;
    options o;
    weights_file *weights;
    jmp_buf out_of_memory;
} session;

enum { EXIT_DONE = 0, EXIT_ERRORS = 1, EXIT_USAGE = 2, EXIT_MEMORY = 3 };

static void out_of_memory(void *arg)
{
    longjmp(((session *)arg)->out_of_memory, 1);
}

/* ---- arguments ---- */

static const struct {
    const char *flag, *value, *what;
} help_rows[] = {
    {"-o", "FILE", "output; its extension says what is written (\"-\": standard output, for text)"},
    {"--emit=", "KIND", "what is written, when the extension does not say it"},
    {"--weights=", "FILE", "the weights file instead of the one that the model names, or random[:SEED]"},
    {"--model=", "NAME", "which model of the file, when it has several"},
    {"--prefix=", "NAME", "prefix of all exported symbols (default: the model's name)"},
    {"-mcpu=", "NAME", "processor to compile for (default: native)"},
    {"-mtriple=", "TRIPLE", "target triple (default: this machine)"},
    {"-mattr=", "LIST", "processor features to add or remove: +avx512f,-fma"},
    {"-O", "N", "optimisation level 0 to 3 (default: 2)"},
    {"--linker=", "PATH", "ld.lld to link with"},
    {"--interpret=", "IR", "tir or kir: run the model in an interpreter instead of writing it"},
    {"--entry=", "NAME", "with --interpret: which of the model's entries (default: the first)"},
    {"--input=", "NAME=FILE", "with --interpret: an input tensor (.npy)"},
    {"--save=", "NAME=FILE", "with --interpret: where an output tensor goes (.npy)"},
    {"--diagnostics=", "FORM", "text or json"},
    {"--print-ops", "", "the tensor-IR ops, as Markdown"},
    {"--print-passes", "", "the passes and their order, as Markdown"},
    {"--version", "", "print the version"},
    {"--help", "", "print this"},
};

static void print_help(arena *a)
{
    strbuf b = strbuf_new(a);
    strbuf_adds(&b, "usage: tfxc MODEL.tfx -o MODEL.so [options]\n\nCompiles a model to one native file. MODEL.tir is "
                    "accepted too.\n\n");
    for (size_t i = 0; i < sizeof help_rows / sizeof *help_rows; i++) {
        size_t at = b.len;
        strbuf_addf(&b, "  %s%s%s", help_rows[i].flag,
                    *help_rows[i].flag == '-' && help_rows[i].flag[1] == 'o' ? " " : "", help_rows[i].value);
        size_t used = b.len - at;
        strbuf_pad(&b, used < 26 ? 26 - used : 1, ' ');
        strbuf_addf(&b, "%s\n", help_rows[i].what);
    }
    strbuf_adds(&b, "\nwhat is written:\n");
    for (int i = 0; i < EMIT_COUNT; i++) {
        strbuf_addf(&b, "  %-8s %s\n", emit_rows[i].name, emit_rows[i].what);
    }
    strbuf_adds(&b, "\npasses:\n");
    pass_options_help(&b);
    fputs(b.s, stdout);
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
    diag_in_file(g, "tfxc");
    const char *near = suggest(name, names, EMIT_COUNT);
    if (near) diag_hint(g, "did you mean '%s'?", near);
    return false;
}

static bool parse_binding(session *s, const char *text, const char *flag, named_file *out)
{
    const char *eq = strchr(text, '=');
    if (!eq || eq == text || !eq[1]) return usage_error(s, "%s needs NAME=FILE", flag);
    *out = (named_file){arena_strndup(s->a, text, (size_t)(eq - text)), eq + 1};
    return true;
}

static bool unknown_flag(session *s, const char *arg)
{
    const char *names[sizeof help_rows / sizeof *help_rows];
    uint32_t n = 0;
    for (size_t i = 0; i < sizeof help_rows / sizeof *help_rows; i++) names[n++] = help_rows[i].flag;
    const char *eq = strchr(arg, '=');
    const char *flag = eq ? arena_strndup(s->a, arg, (size_t)(eq - arg) + 1) : arg;
    const char *near = suggest(flag, names, n);
    diag *g = diag_error(s->d, (span){0, 0}, "unknown flag '%s'", arg);
    diag_in_file(g, "tfxc");
    if (near) diag_hint(g, "did you mean '%s'?", near);
    else diag_hint(g, "tfxc --help lists the flags");
    return false;
}

static bool parse_flag(session *s, const char *arg)
{
    options *o = &s->o;
    const char *v;
    named_file b;
    if (starts(arg, "--emit=", &v)) return parse_emit(s, v);
    if (starts(arg, "--weights=", &v)) return o->weights = v, true;
    if (starts(arg, "--model=", &v)) return o->model = v, true;
    if (starts(arg, "--prefix=", &v)) return o->prefix = v, true;
    if (starts(arg, "-mcpu=", &v)) return o->target.cpu = v, true;
    if (starts(arg, "-mtriple=", &v)) return o->target.triple = v, true;
    if (starts(arg, "-mattr=", &v)) return o->target.features = v, true;
    if (starts(arg, "--linker=", &v)) return o->linker = v, true;
    if (starts(arg, "--interpret=", &v)) {
        o->interpret = v;
        return !strcmp(v, "tir") || !strcmp(v, "kir") || usage_error(s, "--interpret takes tir or kir, not '%s'", v);
    }
    if (starts(arg, "--entry=", &v)) return o->interpretation.entry = v, true;
    if (starts(arg, "--input=", &v)) {
        if (!parse_binding(s, v, "--input", &b)) return false;
        vec_push(s->a, &o->interpretation.inputs, b);
        return true;
    }
    if (starts(arg, "--save=", &v)) {
        if (!parse_binding(s, v, "--save", &b)) return false;
        vec_push(s->a, &o->interpretation.outputs, b);
        return true;
    }
    if (starts(arg, "--diagnostics=", &v)) {
        o->json = !strcmp(v, "json");
        return o->json || !strcmp(v, "text") || usage_error(s, "--diagnostics takes text or json, not '%s'", v);
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

static bool emit_from_extension(session *s)
{
    const char *dot = strrchr(s->o.output, '.');
    for (int i = 0; dot && i < EMIT_COUNT; i++) {
        if (!emit_rows[i].extension || strcmp(dot, emit_rows[i].extension)) continue;
        s->o.emit = (emit_kind)i;
        return true;
    }
    usage_error(s, "cannot tell from '%s' what to write", s->o.output);
    diag *g = diag_add(s->d, DIAG_REMARK, (span){0, 0},
                       "extensions that are known: .so .o .a .ll .s .tir .kir .h; or say --emit=KIND");
    diag_in_file(g, "tfxc");
    return false;
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
        if (!strcmp(arg, "--help") || !strcmp(arg, "-h")) return print_help(s->a), false;
        if (!strcmp(arg, "--version")) return puts(TFXC_VERSION), false;
        if (!strcmp(arg, "--print-ops") || !strcmp(arg, "--print-passes")) {
            strbuf b = strbuf_new(s->a);
            (arg[8] == 'o' ? ops_print_reference : passes_print_reference)(&b);
            return fputs(b.s, stdout), false;
        }
        if (!strcmp(arg, "-o")) {
            if (i + 1 < argc) o->output = argv[++i];
            else ok = usage_error(s, "%s needs a file", "-o");
        } else if (arg[0] == '-' && arg[1]) {
            ok = parse_flag(s, arg) && ok;
        } else if (o->input) {
            ok = usage_error(s, "a second input file, '%s'", arg);
        } else {
            o->input = arg;
        }
    }
    *exit_status = EXIT_USAGE;
    if (!ok) return false;
    if (!o->input) return usage_error(s, "no input file%s", ""), false;
    const interpretation *run = &o->interpretation;
    if (!o->interpret && (run->entry || run->inputs.len || run->outputs.len))
        return usage_error(s, "--entry, --input and --save are for --interpret%s", ""), false;
    if (o->interpret) return o->emit = EMIT_NOTHING, true;
    if (!o->output && !o->emit_given) return usage_error(s, "no output: say -o FILE%s", ""), false;
    if (!o->emit_given && !emit_from_extension(s)) return false;
    if (!o->output && o->emit != EMIT_NOTHING) return usage_error(s, "no output: say -o FILE%s", ""), false;
    return true;
}

/* ---- the stages ---- */

static bool has_extension(const char *path, const char *extension)
{
    size_t n = strlen(path), k = strlen(extension);
    return n > k && !strcmp(path + n - k, extension);
}

/* Text to a file by way of a temporary one, so that it is never half there; to standard output for "-"; straight into
 * what is no regular file, which a rename would replace (/dev/null, a pipe). */
static bool write_text(session *s, const char *path, const strbuf *text)
{
    struct stat st;
    bool to_stdout = !strcmp(path, "-"), direct = to_stdout || (!stat(path, &st) && !S_ISREG(st.st_mode));
    const char *part = direct ? path : arena_printf(s->a, "%s.part%ld", path, (long)getpid());
    FILE *f = to_stdout ? stdout : fopen(part, "wb");
    bool ok = f && fwrite(text->s, 1, text->len, f) == text->len && !fflush(f);
    int why = errno;
    if (f && !to_stdout && fclose(f) && ok) ok = false, why = errno;
    if (ok && !direct && rename(part, path)) ok = false, why = errno;
    if (ok) return true;
    diag_in_file(diag_error(s->d, (span){0, 0}, "cannot write: %s", strerror(why)),
                 to_stdout ? "standard output" : path);
    if (f && !direct) unlink(part);
    return false;
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
            diag_in_file(diag_error(s->d, (span){0, 0}, "%s", why), path);
            return NULL;
        }
        module *m = module_parse(s->a, s->names, s->sources, s->d, f);
        return m && module_verify(m, s->d) ? m : NULL;
    }
    frontend_session fs = {s->a, s->names, s->sources, s->d, s->dims};
    frontend_options fo = {.weights_path = s->o.weights, .model = s->o.model};
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

static kmodule *lower(session *s, module *m)
{
    codegen_target t;
    if (!codegen_target_describe(&s->o.target, s->a, s->d, &t)) return NULL;
    lower_target lt = {.vector_floats = t.vector_bytes / 4, .registers = t.registers};
    kmodule *km = lower_module(m, s->a, s->d, &lt);
    if (!km) return NULL;
    expand_math(km);
    return kmodule_verify(km, s->d) ? km : NULL;
}

static const char *header_path(session *s)
{
    const char *dot = strrchr(s->o.output, '.');
    return arena_printf(s->a, "%.*s.h", (int)(dot ? dot - s->o.output : (ptrdiff_t)strlen(s->o.output)), s->o.output);
}

static bool write_header(session *s, const codegen_model *model, const char *prefix, const char *path)
{
    strbuf b = strbuf_new(s->a);
    header_write(model, prefix, tfx_h_text, &b);
    return write_text(s, path, &b);
}

static bool write_artefact(session *s, module *m, kmodule *km)
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
        diag_in_file(g, "tfxc");
        diag_hint(g, "say --prefix=NAME");
        return false;
    }
    codegen_model *model = codegen_describe(m, km, s->o.input, TFXC_VERSION, s->a);
    if (s->o.emit == EMIT_HEADER) return write_header(s, model, prefix, s->o.output);
    codegen_output out = {.kind = kinds[s->o.emit], .path = s->o.output, .prefix = prefix, .linker = s->o.linker};
    if (!codegen_emit(km, model, &s->o.target, &out, s->a, s->d)) return false;
    bool linked_by_header = s->o.emit == EMIT_OBJ || s->o.emit == EMIT_AR;
    return !linked_by_header || write_header(s, model, prefix, header_path(s));
}

/* ---- the whole way ---- */

/* A .kir file: its kernels as they stand. */
static bool compile_kernels(session *s)
{
    const char *path = s->o.input, *why;
    if (s->o.interpret) return usage_error(s, "--interpret runs models, and '%s' holds kernels alone", path);
    const source_file *f = source_read(s->sources, path, path, &why);
    if (!f) {
        diag_in_file(diag_error(s->d, (span){0, 0}, "%s", why), path);
        return false;
    }
    kmodule *km = kmodule_parse(s->a, s->names, s->sources, s->d, f);
    if (!km || !kmodule_verify(km, s->d)) return false;
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

/* The whole way of one model. */
static bool compile(session *s)
{
    if (has_extension(s->o.input, ".kir")) return compile_kernels(s);
    module *m = read_model(s);
    if (!m || !run_passes(s, m)) return false;
    if (s->o.interpret && !strcmp(s->o.interpret, "tir")) return interpret(&s->o.interpretation, m, NULL, s->a, s->d);
    if (s->o.emit == EMIT_NOTHING && !s->o.interpret) return true;
    if (s->o.emit == EMIT_TIR) {
        strbuf b = strbuf_new(s->a);
        module_print(m, &b);
        return write_text(s, s->o.output, &b);
    }
    if (s->o.emit == EMIT_PTX)
        return usage_error(s, "models are not compiled for GPUs yet%s", ""); /* the kernels of a .kir file are */
    kmodule *km = lower(s, m);
    if (!km) return false;
    if (s->o.interpret) return interpret(&s->o.interpretation, m, km, s->a, s->d);
    if (s->o.emit == EMIT_KIR) {
        strbuf b = strbuf_new(s->a);
        kmodule_print(km, &b);
        return write_text(s, s->o.output, &b);
    }
    return write_artefact(s, m, km);
}

static void show_diagnostics(session *s)
{
    strbuf b = strbuf_new(s->a);
    (s->o.json ? diags_render_json : diags_render_text)(s->d, &b);
    fputs(b.s, stderr);
}

int main(int argc, char **argv)
{
    session s = {0};
    if (setjmp(s.out_of_memory)) {
        fputs("tfxc: error: out of memory\n", stderr);
        return EXIT_MEMORY;
    }
    s.a = arena_new(out_of_memory, &s);
    if (!s.a) out_of_memory(&s);
    s.names = interner_new(s.a);
    s.sources = source_set_new(s.a);
    s.d = diags_new(s.a, s.sources, 0);
    s.dims = dims_new(s.a, s.names);
    int exit_status;
    if (parse_arguments(&s, argc, argv, &exit_status))
        exit_status = compile(&s) && !diags_errors(s.d) ? EXIT_DONE : EXIT_ERRORS;
    show_diagnostics(&s);
    if (s.weights) weights_close(s.weights);
    arena_free(s.a);
    return exit_status;
}
