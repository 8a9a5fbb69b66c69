/* The table of flags: its help, and command lines read by it. */
#include "driver/options_internal.h"

#include <errno.h>
#include <stdlib.h>

const char tfxc_version[] = TFXC_VERSION;

/* ---- sets of jobs, for the table ---- */

#define ONE(job) (1u << (job))
#define BINARIES (ONE(EMIT_SO) | ONE(EMIT_OBJ) | ONE(EMIT_AR))
#define CODE (BINARIES | ONE(EMIT_LL) | ONE(EMIT_ASM) | ONE(EMIT_HEADER))
#define CHECKS ONE(EMIT_NOTHING)
#define EMITS (ONE(EMIT_COUNT) - 1)
#define INTERPRETATION ONE(JOB_INTERPRET)
#define TUNING ONE(JOB_TUNE)
#define RUNS (INTERPRETATION | TUNING | ONE(EMIT_COSTS))
#define MODELS (EMITS | INTERPRETATION | TUNING)
#define FORMATTING ONE(JOB_FORMAT)
#define BLOCKS ONE(JOB_PRINT_BLOCKS)
#define CALIBRATION ONE(JOB_CALIBRATE)
#define ANYTHING (ONE(JOB_COUNT) - 1)

const emit_row emit_rows[EMIT_COUNT] = {
#define EMIT(NAME, name, extension, holds, what) [EMIT_##NAME] = {name, extension, EMIT_HOLDS_##holds, what},
#include "driver/emit.def"
#undef EMIT
};

const char *emit_name(job j)
{
    return emit_rows[j].name;
}

/* ---- values that need reading ---- */

typedef struct {
    options *o;
    arena *a;
    diags *d;
} reader;

static bool read_emit(reader *r, const char *flag, const char *text)
{
    const char *names[EMIT_COUNT];
    (void)flag;
    for (int i = 0; i < EMIT_COUNT; i++) {
        names[i] = emit_rows[i].name;
        if (strcmp(text, names[i])) continue;
        r->o->emit = (job)i;
        return r->o->emit_given = true;
    }
    diag *g = diag_usage(r->d, "'%s' is nothing that --emit can write", text);
    const char *near = suggest(text, names, EMIT_COUNT);
    if (near) diag_hint(g, "did you mean '%s'?", near);
    else diag_hint(g, "tfxc --help lists what can be written");
    return false;
}

static bool read_level(reader *r, const char *flag, const char *text)
{
    bool ok = text[0] >= '0' && text[0] <= '3' && !text[1];
    if (ok) r->o->target.opt = text[0] - '0';
    else diag_usage(r->d, "%s takes 0 to 3, not '%s'", flag, text);
    return ok;
}

static bool read_diagnostics(reader *r, const char *flag, const char *text)
{
    r->o->json = !strcmp(text, "json");
    if (r->o->json || !strcmp(text, "text")) return true;
    diag_usage(r->d, "%s takes text or json, not '%s'", flag, text);
    return false;
}

static bool read_interpret(reader *r, const char *flag, const char *text)
{
    r->o->interpret = text;
    if (!strcmp(text, "tir") || !strcmp(text, "kir")) return true;
    diag_usage(r->d, "%s takes tir or kir, not '%s'", flag, text);
    return false;
}

static bool read_format(reader *r, const char *flag, const char *text)
{
    r->o->format = text;
    if (!*text || !strcmp(text, "check")) return true;
    diag_usage(r->d, "%s takes check or nothing, not '%s'", flag, text);
    return false;
}

static bool read_dim(reader *r, const char *flag, const char *text)
{
    const char *eq = strchr(text, '=');
    char *end = NULL;
    errno = 0;
    long long n = eq ? strtoll(eq + 1, &end, 10) : 0;
    if (!eq || eq == text || end == eq + 1 || *end || errno || eq[1] == ' ') {
        diag_usage(r->d, "%s needs NAME=N, not '%s'", flag, text);
        return false;
    }
    named_dim d = {arena_strndup(r->a, text, (size_t)(eq - text)), n};
    vec_push(r->a, &r->o->interpretation.dims, d);
    return true;
}

static bool read_binding(reader *r, const char *flag, const char *text, named_files *list)
{
    const char *eq = text + strcspn(text, "=/"); /* what stands behind a '/' belongs to the file's name */
    if (*eq != '=') eq = NULL;
    size_t n = strlen(text);
    bool all = !eq && n > 4 && !strcmp(text + n - 4, ".npz");
    if (!all && (!eq || eq == text || !eq[1])) {
        diag_usage(r->d, "%s needs NAME=FILE, or a FILE.npz, not '%s'", flag, text);
        return false;
    }
    named_file b = {all ? NULL : arena_strndup(r->a, text, (size_t)(eq - text)), all ? text : eq + 1};
    vec_push(r->a, list, b);
    return true;
}

static bool read_input(reader *r, const char *flag, const char *text)
{
    return read_binding(r, flag, text, &r->o->interpretation.inputs);
}

static bool read_save(reader *r, const char *flag, const char *text)
{
    return read_binding(r, flag, text, &r->o->interpretation.outputs);
}

static bool read_passes(reader *r, const char *flag, const char *text)
{
    const char *arg = *text ? arena_printf(r->a, "%s=%s", flag, text) : flag;
    return pass_options_flag(&r->o->passes, r->a, r->d, arg) == FLAG_TAKEN;
}

/* ---- the table ---- */

static void print_version(strbuf *b);
static void print_help(strbuf *b);

typedef struct {
    const char *flag; /* NULL: a group */
    const char *value, *help;
    unsigned jobs;
    size_t into; /* of a value that is kept, and of a switch: the field */
    bool (*read)(reader *r, const char *flag, const char *text);
    void (*print)(strbuf *b);
    bool each; /* may be given several times */
} flag_row;

static const flag_row rows[] = {
#define INTO(field) .into = offsetof(options, field)
#define FLAG_GROUP(title) {.help = title},
#define FLAG_TEXT(name, form, with, field, what) {name, form, what, with, INTO(field)},
#define FLAG_LAST(name, form, with, field, what) {name, form, what, with, INTO(field), .each = true},
#define FLAG_READ(name, form, with, function, what) {name, form, what, with, .read = read_##function},
#define FLAG_EACH(name, form, with, function, what) {name, form, what, with, .read = read_##function, .each = true},
#define FLAG_SWITCH(name, with, field, what) {name, "", what, with, INTO(field), .each = true},
#define FLAG_PRINT(name, function, what) {name, "", what, ANYTHING, .print = function},
#include "driver/flags.def"
#undef INTO
#undef FLAG_GROUP
#undef FLAG_TEXT
#undef FLAG_LAST
#undef FLAG_READ
#undef FLAG_EACH
#undef FLAG_SWITCH
#undef FLAG_PRINT
};
enum { N_ROWS = sizeof rows / sizeof *rows };

static void print_version(strbuf *b)
{
    strbuf_addf(b, "%s\n", tfxc_version);
}

/* Text that begins in this column, also on its further lines. */
static void add_help(strbuf *b, size_t line, size_t column, const char *help)
{
    for (;;) {
        size_t used = b->len - line, n = strcspn(help, "\n");
        strbuf_pad(b, used < column ? column - used : 1, ' ');
        strbuf_addf(b, "%.*s\n", (int)n, help);
        if (!help[n]) return;
        help += n + 1;
        line = b->len;
    }
}

static void print_help(strbuf *b)
{
    strbuf_adds(b, "usage: tfxc MODEL.tfx -o MODEL.so [options]\n\nCompiles a model to one native file. MODEL.tir is "
                   "accepted too.\n");
    for (int i = 0; i < N_ROWS; i++) {
        size_t line = b->len;
        if (rows[i].flag) {
            strbuf_addf(b, "  %s%s", rows[i].flag, rows[i].value);
            add_help(b, line, 31, rows[i].help);
        } else {
            strbuf_addf(b, "\n%s:\n", rows[i].help);
        }
    }
    strbuf_adds(b, "\nkinds of output, as --emit and extensions name them:\n");
    for (int i = 0; i < EMIT_COUNT; i++) {
        size_t line = b->len;
        strbuf_addf(b, "  %s", emit_rows[i].name);
        add_help(b, line, 11, emit_rows[i].what);
    }
    strbuf_adds(b, "\nExit status: 0 done (there may be warnings); 1 errors; 2 wrong usage; 3 out of memory.\n");
}

/* ---- reading ---- */

/* "--flag" or "--flag=VALUE"; the level of -O follows at once. *text NULL: there is none in `arg`. */
static const flag_row *find_flag(const char *arg, const char **text)
{
    bool level = arg[1] == 'O';
    size_t n = level ? 2 : strcspn(arg, "=");
    *text = !arg[n] ? NULL : level ? arg + n : arg + n + 1;
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i].flag && strlen(rows[i].flag) == n && !strncmp(rows[i].flag, arg, n)) return &rows[i];
    return !strcmp(arg, "-h") ? find_flag("--help", text) : NULL;
}

static bool unknown_flag(reader *r, const char *arg)
{
    const char *names[N_ROWS];
    uint32_t n = 0;
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i].flag) names[n++] = rows[i].flag;
    size_t length = strcspn(arg, "=");
    bool processor = !strncmp(arg, "-march", 6) || !strncmp(arg, "-mtune", 6); /* of other compilers */
    const char *near = processor ? "-mcpu" : length > 2 ? suggest(arena_strndup(r->a, arg, length), names, n) : NULL;
    const char *text;
    diag *g = diag_usage(r->d, "unknown flag '%s'", arg);
    if (near) diag_hint(g, "did you mean '%s%s'?", near, find_flag(near, &text)->value);
    else diag_hint(g, "tfxc --help lists the flags");
    return false;
}

/* What a flag's value is called: "FILE" of "=FILE" and of "[=FILE]". */
static const char *value_name(reader *r, const flag_row *f)
{
    const char *name = f->value + strspn(f->value, "[= ");
    return arena_strndup(r->a, name, strcspn(name, "]"));
}

/* A flag, with the value that stands in its argument or, where it needs one, in the next. */
static bool read_flag(reader *r, const flag_row *f, const char *text, const char **given)
{
    if (!*f->value && text) {
        diag_usage(r->d, "%s takes no value, got '%s'", f->flag, text);
        return false;
    }
    if (*f->value == '[' && !text) text = "";
    else if (*f->value && (!text || !*text)) {
        diag_usage(r->d, "%s needs a value: %s", f->flag, value_name(r, f));
        return false;
    }
    if (!text) text = "";
    if (*given && strcmp(*given, text) && !f->each) {
        diag_usage(r->d, "%s is given twice: '%s' and '%s'", f->flag, *given, text);
        return false;
    }
    *given = text;
    if (f->read) return f->read(r, f->flag, text);
    if (*f->value) memcpy((char *)r->o + f->into, &text, sizeof text);
    else *(bool *)((char *)r->o + f->into) = true;
    return true;
}

/* ---- what goes with what ---- */

static const char *job_name(reader *r, int j)
{
    if (j < EMIT_COUNT) return arena_printf(r->a, "--emit=%s", emit_rows[j].name);
    static const char *const names[] = {"--interpret", "--tune", "--format", "--print-blocks", "--calibrate-machine"};
    return names[j - EMIT_COUNT];
}

/* Every flag that was given goes with what is done. */
static bool flags_fit(reader *r, const char *const *given)
{
    enum { MOST_NAMED = 6 }; /* longer lists say nothing */
    unsigned done = ONE(r->o->job) | (r->o->tune && r->o->job < EMIT_COUNT ? TUNING : 0);
    bool ok = true;
    for (int i = 0; i < N_ROWS; i++) {
        const flag_row *f = &rows[i];
        if (!given[i] || f->jobs & done) continue;
        diag *g = diag_usage(r->d, "%s does not go with %s", f->flag, job_name(r, (int)r->o->job));
        int n = __builtin_popcount(f->jobs), left = n;
        strbuf names = strbuf_new(r->a);
        for (int j = 0; j < JOB_COUNT && n <= MOST_NAMED; j++) {
            if (!(f->jobs & ONE(j))) continue;
            strbuf_addf(&names, "%s%s", left == n ? "" : left > 1 ? ", " : " and ", job_name(r, j));
            left--;
        }
        if (names.len) diag_note(g, "it goes with %s", names.s);
        ok = false;
    }
    return ok;
}

bool options_read(options *o, int argc, char **argv, arena *a, diags *d, int *exit_status)
{
    reader r = {o, a, d};
    const char *given[N_ROWS] = {0};
    bool ok = true;
    *o = (options){.target = {.opt = 2}, .passes = pass_options_default()};
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *text;
        if (arg[0] != '-' || !arg[1]) {
            vec_push(a, &o->inputs, arg);
            continue;
        }
        const flag_row *f = find_flag(arg, &text);
        if (f && f->print && !text) {
            strbuf b = strbuf_new(a);
            f->print(&b);
            *exit_status = outfile_write_text(a, d, "-", &b) ? EXIT_DONE : EXIT_ERRORS;
            return false;
        }
        bool elsewhere = f && !text && *f->value && *f->value != '[' && i + 1 < argc && strncmp(argv[i + 1], "--", 2);
        if (elsewhere) text = argv[++i];
        ok = (f ? read_flag(&r, f, text, &given[f - rows]) : unknown_flag(&r, arg)) && ok;
    }
    *exit_status = EXIT_USAGE;
    return ok && options_choose_job(o, a, d) && flags_fit(&r, given) && options_complete(o, a, d);
}
