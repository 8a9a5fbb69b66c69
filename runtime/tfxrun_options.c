/* The command line. */
#include "runtime/tfxrun.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool parse_int(const char *s, int64_t *v)
{
    char *end;
    errno = 0;
    long long n = strtoll(s, &end, 0);
    if (!*s || *end || errno || *s == ' ') return false;
    *v = n;
    return true;
}

/* A number of at least `least`, at most `most`. */
static bool read_int(const char *flag, const char *s, int64_t least, int64_t most, int64_t *v)
{
    if (parse_int(s, v) && *v >= least && *v <= most) return true;
    complain("%s: expected a whole number from %lld to %lld, got '%s'", flag, (long long)least, (long long)most, s);
    return false;
}

static bool read_tolerance(const char *flag, const char *s, double *v)
{
    char *end;
    *v = strtod(s, &end);
    if (*s && !*end && *v >= 0 && !isinf(*v)) return true;
    complain("%s: expected a number that is not negative, got '%s'", flag, s);
    return false;
}

/* NAME=VALUE, or VALUE alone where that is allowed. */
static bool add_named(const char *flag, const char *s, bool name_needed, options *o, named_list *list)
{
    const char *eq = s + strcspn(s, "=/"); /* what stands behind a '/' belongs to the file's name */
    if (*eq != '=') eq = NULL;
    if ((!eq && name_needed) || eq == s || (eq && !eq[1]) || !*s) {
        complain("%s: expected NAME=%s, got '%s'", flag, name_needed ? "VALUE" : "FILE (or a FILE with all of them)",
                 s);
        return false;
    }
    named *item = &list->items[list->n++];
    *item = (named){NULL, eq ? eq + 1 : s};
    if (eq) {
        item->name = o->names; /* room for all arguments, see options_read */
        memcpy(o->names, s, (size_t)(eq - s));
        o->names += eq - s + 1;
    }
    return true;
}

#define SET(name) static bool set_##name(const char *flag, const char *s, options *o)
SET(input)
{
    return add_named(flag, s, false, o, &o->inputs);
}
SET(output)
{
    return add_named(flag, s, false, o, &o->outputs);
}
SET(expect)
{
    return add_named(flag, s, false, o, &o->expects);
}
SET(dim)
{
    return add_named(flag, s, true, o, &o->dims);
}
SET(range)
{
    return add_named(flag, s, true, o, &o->ranges);
}
SET(entry)
{
    return (void)flag, o->entry = s, true;
}
SET(weights)
{
    return (void)flag, o->weights = s, true;
}
SET(variant)
{
    return (void)flag, o->variant = s, true;
}
SET(rtol)
{
    return read_tolerance(flag, s, &o->rtol);
}
SET(atol)
{
    return read_tolerance(flag, s, &o->atol);
}
SET(warmup)
{
    return read_int(flag, s, 0, 1000000000, &o->warmup);
}
SET(repeats)
{
    return read_int(flag, s, 1, 1000000000, &o->repeats);
}
SET(describe)
{
    return (void)flag, (void)s, o->describe = true;
}
SET(cast)
{
    return (void)flag, (void)s, o->cast = true;
}
SET(bench)
{
    return (void)flag, (void)s, o->bench = true;
}
SET(profile)
{
    return (void)flag, (void)s, o->profile = true;
}
SET(json)
{
    return (void)flag, (void)s, o->json = true;
}
SET(random)
{
    int64_t v;
    if (!read_int(flag, s, 0, INT64_MAX, &v)) return false;
    o->seed = (uint64_t)v;
    return o->random = true;
}
SET(threads)
{
    int64_t v;
    if (!read_int(flag, s, 1, TFX_MAX_WORKERS, &v)) return false;
    o->threads = (uint32_t)v;
    return true;
}

enum { RUNS = 0, DESCRIBES = 1 /* goes with --describe */, EACH = 2 /* may be given several times */ };
static const struct {
    const char *flag, *value, *help;
    bool (*set)(const char *flag, const char *s, options *o);
    unsigned is;
} flags[] = {
    {"--describe", NULL, "print what the model looks like, and run nothing; with --dim: the workspace there",
     set_describe, DESCRIBES},
    {"--entry", "NAME", "which entry to run (default: the first)", set_entry, RUNS},
    {"--input", "NAME=FILE",
     "an input from a .npy, or from a member of an .npz;\nFILE.npz alone: all inputs it has by name", set_input, EACH},
    {"--random", "SEED", "make up the inputs that no file gives: floats in -1..1, integers in 0..99", set_random, RUNS},
    {"--range", "NAME=LO..HI", "made-up values of that input are within LO..HI instead", set_range, EACH},
    {"--dim", "NAME=N", "a dim that no input shows, or the size of made-up inputs\n(default: the least above 0)",
     set_dim, DESCRIBES | EACH},
    {"--cast", NULL, "let values of an input file be rounded to the input's type", set_cast, RUNS},
    {"--output", "NAME=FILE", "write an output as .npy; FILE.npz alone: all outputs", set_output, EACH},
    {"--expect", "NAME=FILE", "compare an output with a file; FILE alone: every output it has by name", set_expect,
     EACH},
    {"--rtol", "R", "tolerated: |got - expected| <= A + R * |expected| (default 1e-4;\noutputs of f16 and bf16: 1e-2)",
     set_rtol, RUNS},
    {"--atol", "A", "(default 1e-5; outputs of f16 and bf16: 1e-3)", set_atol, RUNS},
    {"--bench", NULL, "time runs: median, 90th percentile, minimum; also the start, and memory", set_bench, RUNS},
    {"--warmup", "N", "runs before timing starts (default: 100 ms worth of them)", set_warmup, RUNS},
    {"--repeats", "N", "timed runs (default: 1 s worth of them)", set_repeats, RUNS},
    {"--profile", NULL, "time spent in each kernel, with its place in the source", set_profile, RUNS},
    {"--threads", "N", "threads that share a run (default 1)", set_threads, RUNS},
    {"--weights", "FILE", "the weights file of a model with external weights", set_weights, DESCRIBES},
    {"--variant", "NAME",
     "run the code for that processor (--describe lists them)\ninstead of the best that this machine can run",
     set_variant, RUNS},
    {"--json", NULL, "print one JSON object instead of text", set_json, DESCRIBES},
};
#define N_FLAGS (sizeof flags / sizeof *flags)

static void print_help(void)
{
    puts("usage: tfxrun MODEL.so [options]\n\nRuns a model that tfxc compiled.\n");
    for (size_t i = 0; i < N_FLAGS; i++) {
        char left[40];
        snprintf(left, sizeof left, "%s%s%s", flags[i].flag, flags[i].value ? " " : "",
                 flags[i].value ? flags[i].value : "");
        printf("  %-22s", left);
        for (const char *p = flags[i].help; *p; p++) *p == '\n' ? printf("\n%24s", "") : putchar(*p);
        putchar('\n');
    }
    puts("  --help                this text\n\n"
         "Exit status: 0 done; 1 an output differs from --expect; 2 wrong usage; 3 a file cannot be\n"
         "read, written or loaded; 4 the model refused the run.");
}

static int unknown_flag(const char *flag, size_t n)
{
    const char *names[N_FLAGS + 1];
    for (size_t i = 0; i < N_FLAGS; i++) names[i] = flags[i].flag;
    names[N_FLAGS] = "--help";
    char copy[64];
    snprintf(copy, sizeof copy, "%.*s", (int)n, flag);
    complain("unknown option '%.*s'", (int)n, flag);
    const char *meant = nearest(copy, names, N_FLAGS + 1);
    if (meant) hint("did you mean '%s'?", meant);
    else hint("tfxrun --help lists the options");
    return RUN_USAGE;
}

/* One option at argv[*i]: --flag, --flag VALUE or --flag=VALUE. `given` is set at its row. */
static int read_flag(int argc, char **argv, int *i, options *o, bool *given)
{
    const char *arg = argv[*i], *eq = strchr(arg, '=');
    size_t n = eq ? (size_t)(eq - arg) : strlen(arg), f = 0;
    while (f < N_FLAGS && (strlen(flags[f].flag) != n || strncmp(flags[f].flag, arg, n) != 0)) f++;
    if (f == N_FLAGS) return unknown_flag(arg, n);
    const char *value = eq ? eq + 1 : NULL;
    if (!flags[f].value && value) {
        complain("%s takes no value, got '%s'", flags[f].flag, value);
        return RUN_USAGE;
    }
    if (flags[f].value && !value) {
        if (*i + 1 == argc) {
            complain("%s needs a value: %s", flags[f].flag, flags[f].value);
            return RUN_USAGE;
        }
        value = argv[++*i];
    }
    if (given[f] && !(flags[f].is & EACH)) {
        complain("%s is given twice", flags[f].flag);
        return RUN_USAGE;
    }
    given[f] = true;
    return flags[f].set(flags[f].flag, value, o) ? RUN_OK : RUN_USAGE;
}

static int check_combination(const options *o, const bool *given)
{
    if (!o->model) {
        complain("which model? usage: tfxrun MODEL.so [options]; tfxrun --help says more");
        return RUN_USAGE;
    }
    if (!o->bench && !o->profile && (o->warmup >= 0 || o->repeats >= 0)) {
        complain("--warmup and --repeats need --bench or --profile");
        return RUN_USAGE;
    }
    if (o->ranges.n && !o->random) {
        complain("--range needs --random");
        return RUN_USAGE;
    }
    if (!o->expects.n && (o->rtol >= 0 || o->atol >= 0)) {
        complain("--rtol and --atol need --expect");
        return RUN_USAGE;
    }
    for (size_t f = 0; f < N_FLAGS; f++) {
        if (!o->describe || !given[f] || flags[f].is & DESCRIBES) continue;
        complain("--describe runs nothing: %s does not go with it", flags[f].flag);
        return RUN_USAGE;
    }
    return RUN_OK;
}

int options_read(int argc, char **argv, options *o)
{
    *o = (options){.rtol = -1, .atol = -1, .warmup = -1, .repeats = -1, .threads = 1};
    named_list *const lists[] = {&o->inputs, &o->outputs, &o->expects, &o->dims, &o->ranges};
    size_t text = 1;
    for (int i = 1; i < argc; i++) text += strlen(argv[i]) + 1;
    size_t slots = 5 * (size_t)argc * sizeof(named);
    char *room = calloc(1, slots + text); /* lists, then names: enough for any command line of this length */
    if (!room) {
        complain("no memory");
        return RUN_FILE;
    }
    for (size_t i = 0; i < 5; i++) lists[i]->items = (named *)(void *)room + i * (size_t)argc;
    o->names = room + slots;
    bool given[N_FLAGS] = {false};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help();
            o->model = NULL;
            return RUN_OK;
        }
        int status = RUN_OK;
        if (argv[i][0] == '-') status = read_flag(argc, argv, &i, o, given);
        else if (!o->model) o->model = argv[i];
        else {
            complain("one model at a time: got '%s' and '%s'", o->model, argv[i]);
            status = RUN_USAGE;
        }
        if (status) return status;
    }
    return check_combination(o, given);
}

void options_free(options *o)
{
    free(o->inputs.items); /* the block that options_read made */
    *o = (options){0};
}
