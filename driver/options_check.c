/* What a command line asks for, once its flags are read. */
#include "driver/files.h"
#include "driver/options_internal.h"
#include "ir/machine.h"

#include <errno.h>
#include <stdlib.h>

/* ---- the job ---- */

/* EMIT_COUNT when the extension says nothing. */
static job job_of_extension(const char *path)
{
    const char *dot = strrchr(path, '.');
    for (int i = 0; dot && i < EMIT_COUNT; i++)
        if (emit_rows[i].extension && !strcmp(dot, emit_rows[i].extension)) return (job)i;
    return EMIT_COUNT;
}

static bool no_kind(const options *o, arena *a, diags *d)
{
    diag *g = diag_usage(d, "cannot tell from '%s' what to write", o->output);
    strbuf known = strbuf_new(a);
    for (int i = 0; i < EMIT_COUNT; i++)
        if (emit_rows[i].extension) strbuf_addf(&known, " %s", emit_rows[i].extension);
    diag_note(g, "extensions that are known:%s", known.s);
    diag_hint(g, "say --emit=KIND");
    return false;
}

/* What is written, from -o and --emit. */
static bool choose_output(options *o, arena *a, diags *d)
{
    job named = o->output ? job_of_extension(o->output) : EMIT_COUNT;
    if (o->tune && !o->output && !o->emit_given) {
        o->job = JOB_TUNE;
        return true;
    }
    o->job = o->emit_given ? o->emit : named;
    if (!o->output && o->job != EMIT_NOTHING) {
        diag *g = diag_usage(d, "no output");
        diag_hint(g, "say -o %s.%s", files_stem(a, o->input), o->emit_given ? emit_rows[o->emit].name : "so");
        return false;
    }
    if (o->job == EMIT_COUNT) return no_kind(o, a, d);
    if (named != EMIT_COUNT && named != o->job) {
        diag_usage(d, "-o %s and --emit=%s do not agree", o->output, emit_rows[o->job].name);
        return false;
    }
    if (emit_rows[o->job].holds == EMIT_HOLDS_WEIGHTS && !strcmp(o->output, "-")) {
        diag_usage(d, "standard output is for text; '%s' needs a file", emit_rows[o->job].name);
        return false;
    }
    return true;
}

bool options_choose_job(options *o, arena *a, diags *d)
{
    bool emits = !o->format && !o->print_blocks && !o->calibrate && !o->interpret;
    bool many = o->format || o->print_blocks;
    if (o->inputs.len > 1 && !many) {
        diag_usage(d, "a second input file, '%s'", o->inputs.data[1]);
        return false;
    }
    if (!o->inputs.len && !o->print_blocks && !o->calibrate) {
        diag *g = diag_usage(d, "no input file");
        diag_hint(g, "usage: tfxc MODEL.tfx -o MODEL.so; tfxc --help lists the flags");
        return false;
    }
    if (o->inputs.len) o->input = o->inputs.data[0];
    size_t stem = o->input ? strlen(files_stem(a, o->input)) : 0;
    if (emits && o->input && !strcmp(o->input + stem, ".safetensors")) {
        diag *g = diag_usage(d, "'%s' holds weights, and what is compiled is a program, MODEL.tfx", o->input);
        diag_hint(g, "the program names its weights; --weights=%s takes these instead", o->input);
        return false;
    }
    o->job = o->format ? JOB_FORMAT : o->print_blocks ? JOB_PRINT_BLOCKS : o->calibrate ? JOB_CALIBRATE : JOB_INTERPRET;
    return !emits || choose_output(o, a, d);
}

/* ---- the rest ---- */

static bool complete_calibration(options *o, arena *a, diags *d)
{
    const char *other = o->target.triple                                        ? "--target"
                        : o->target.features                                    ? "-mattr"
                        : o->target.cpu && strcmp(o->target.cpu, "native") != 0 ? "-mcpu"
                                                                                : NULL;
    if (o->input) diag_usage(d, "--calibrate-machine compiles nothing: '%s' is left over", o->input);
    if (other) diag_usage(d, "--calibrate-machine measures the machine that it runs on: %s does not go with it", other);
    if (!*o->calibrate && !(o->calibrate = machine_calibrated_path(a)))
        diag_usage(d, "no home directory to keep a machine in: say --calibrate-machine=FILE");
    return o->calibrate && !o->input && !other;
}

/* No flag is about one processor. */
static bool multiversion_fits(const options *o, diags *d)
{
    const char *flag = o->target.cpu        ? "-mcpu"
                       : o->target.features ? "-mattr"
                       : o->machine         ? "--machine"
                       : o->tune            ? "--tune"
                                            : NULL;
    if (flag) diag_usage(d, "--multiversion is for several processors, and %s is about one", flag);
    return !flag;
}

/* --machine=calibrated and =default name no file. */
static bool find_machine(options *o, arena *a, diags *d)
{
    if (!strcmp(o->machine, "default")) o->machine = NULL;
    else if (!strcmp(o->machine, "calibrated") && !(o->machine = machine_calibrated_path(a))) {
        diag_usage(d, "there is no home directory that could hold a calibrated machine");
        return false;
    }
    return true;
}

/* --weights=random:SEED */
static bool read_random(options *o, diags *d)
{
    static const char word[] = "random";
    enum { LENGTH = sizeof word - 1 };
    if (strncmp(o->weights, word, LENGTH) || (o->weights[LENGTH] && o->weights[LENGTH] != ':')) return true;
    const char *text = o->weights[LENGTH] ? o->weights + LENGTH + 1 : "0";
    char *end;
    errno = 0;
    o->weights = NULL;
    o->random_weights = true;
    o->seed = strtoull(text, &end, 10);
    bool ok = *text >= '0' && *text <= '9' && !*end && !errno;
    if (!ok) diag_usage(d, "'%s' is no seed for random weights", text);
    return ok;
}

bool options_complete(options *o, arena *a, diags *d)
{
    if (o->job == JOB_CALIBRATE) return complete_calibration(o, a, d);
    if (o->depfile && (!o->output || !strcmp(o->output, "-"))) {
        diag_usage(d, "--depfile=%s needs an output file to make the rule for", o->depfile);
        return false;
    }
    if (o->tune && !*o->tune) o->tune = arena_printf(a, "%s.schedules", files_stem(a, o->input));
    return (!o->multiversion || multiversion_fits(o, d)) && (!o->machine || find_machine(o, a, d)) &&
           (!o->weights || read_random(o, d));
}
