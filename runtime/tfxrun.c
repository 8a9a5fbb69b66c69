/* tfxrun MODEL.so: describes a model, runs it on files or made-up inputs, compares, times and profiles. */
#include "runtime/tfxrun.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What to do with a model whose inputs are ready; the first problem ends it, but a difference is only remembered. */
static int work(session *s, const options *o, json *j)
{
    int64_t start = now_ns();
    int status = session_run(s), differs = RUN_OK;
    s->first_ns = now_ns() - start;
    if (!status) status = session_write_outputs(s, o);
    if (status) return status;
    if (j) {
        json_string(j, "model", s->info->name);
        json_string(j, "entry", s->e->name);
        json_open(j, "dims", '{');
        for (uint32_t i = 0; i < s->e->n_dims; i++)
            json_int(j, s->info->dims[s->e->dims[i]].name, s->dims[s->e->dims[i]]);
        json_close(j);
        session_json_outputs(s, j);
    } else if (!o->outputs.n && !o->expects.n && !o->bench && !o->profile) {
        session_print_outputs(s);
    }
    if (o->expects.n) {
        differs = compare_outputs(s, o, j);
        if (differs > RUN_DIFFERS) return differs;
    }
    if (o->bench) status = bench_run(s, o, j);
    if (!status && o->profile) status = profile_run(s, o, j);
    return status ? status : differs;
}

/* Ends the JSON that `run` or `describe` began, however far it came; stderr says what failed. */
static int end_json(json *j, int status)
{
    while (j->depth > 1) json_close(j);
    json_int(j, "status", status);
    json_close(j);
    return status;
}

static int run(const options *o, tfx_model *m, int64_t load_ns)
{
    json j = {.f = stdout};
    if (o->json) json_open(&j, NULL, '{');
    session s = {.model = m, .load_ns = load_ns};
    int status = session_prepare(&s, o);
    if (!status) status = work(&s, o, o->json ? &j : NULL);
    session_free(&s);
    return o->json ? end_json(&j, status) : status;
}

/* Whether both are one file that is there. */
static bool same_file(const char *x, const char *y)
{
    struct stat s, t;
    return stat(x, &s) == 0 && stat(y, &t) == 0 && S_ISREG(s.st_mode) && s.st_dev == t.st_dev && s.st_ino == t.st_ino;
}

/* The file that takes an output, among those that are read: a run must not destroy what it came from. */
static bool is_read(const options *o, const char *path)
{
    const named_list *const lists[] = {&o->inputs, &o->expects};
    if (same_file(path, o->model) || (o->weights && same_file(path, o->weights))) return true;
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
        for (size_t i = 0; i < lists[l]->n; i++)
            if (same_file(path, lists[l]->items[i].value)) return true;
    return false;
}

static int check_outputs(const options *o)
{
    for (size_t i = 0; i < o->outputs.n; i++) {
        if (!is_read(o, o->outputs.items[i].value)) continue;
        complain("--output: '%s' would replace what is read", o->outputs.items[i].value);
        return RUN_USAGE;
    }
    return RUN_OK;
}

/* Needs neither the weights nor the processor that the model was compiled for. */
static int describe(const options *o)
{
    const tfx_api *api;
    void *library;
    int64_t *dims;
    int status = model_load(o, &api, &library);
    if (status) return status;
    status = describe_dims(api, &o->dims, &dims);
    if (!status && o->json) {
        json j = {.f = stdout};
        json_open(&j, NULL, '{');
        describe_json(&j, api, dims);
        end_json(&j, RUN_OK);
    } else if (!status) {
        describe_text(stdout, api, dims);
    }
    free(dims);
    tfx_unload(library);
    return status;
}

static int open_and_run(const options *o)
{
    tfx_model *m;
    int64_t start = now_ns();
    int status = model_open(o, &m);
    if (!status) status = run(o, m, now_ns() - start);
    tfx_close(m);
    return status;
}

int main(int argc, char **argv)
{
    options o;
    int status = options_read(argc, argv, &o);
    if (!status && o.model) status = check_outputs(&o);
    if (!status && o.model) status = o.describe ? describe(&o) : open_and_run(&o);
    options_free(&o);
    if (fflush(stdout) != 0 && !status) complain("standard output cannot be written"), status = RUN_FILE;
    return status;
}
