/* tfxrun MODEL.so: describes a model, runs it on files or made-up inputs, compares, times and profiles. */
#include "runtime/tfxrun.h"

#include <stdlib.h>
#include <string.h>

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

/* A model that has not been compiled. */
static void hint_source(const char *path)
{
    const char *dot = strrchr(path, '.');
    bool source = dot && (!strcmp(dot, ".tfx") || !strcmp(dot, ".tir"));
    if (source) hint("compile it first: tfxc %s -o %.*s.so", path, (int)(dot - path), path);
    else if (dot && (!strcmp(dot, ".o") || !strcmp(dot, ".a")))
        hint("it is linked into a program; what tfxrun opens is made by -o %.*s.so", (int)(dot - path), path);
}

/* Needs neither the weights nor the processor that the model was compiled for. */
static int describe(const options *o)
{
    char message[1024];
    tfx_options to = TFX_OPTIONS_INIT;
    to.message = message;
    to.message_bytes = sizeof message;
    const tfx_api *api;
    void *library;
    if (tfx_load(o->model, &to, &api, &library) != TFX_OK) {
        complain("%s", message);
        hint_source(o->model);
        return RUN_FILE;
    }
    int64_t *dims;
    int status = describe_dims(api, &o->dims, &dims);
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
    char message[1024];
    tfx_options to = TFX_OPTIONS_INIT;
    to.message = message;
    to.message_bytes = sizeof message;
    to.weights_path = o->weights;
    to.threads = o->threads;
    to.variant = o->variant;
    tfx_model *m;
    int status = RUN_FILE;
    int64_t start = now_ns();
    tfx_status opened = tfx_open(o->model, &to, &m);
    if (opened == TFX_OK) {
        status = run(o, m, now_ns() - start);
    } else {
        complain("%s", message);
        hint_source(o->model);
        if (opened == TFX_ERR_WEIGHTS && !o->weights) hint("give --weights FILE");
    }
    tfx_close(m);
    return status;
}

int main(int argc, char **argv)
{
    options o;
    int status = options_read(argc, argv, &o);
    if (!status && o.model) status = o.describe ? describe(&o) : open_and_run(&o);
    options_free(&o);
    if (fflush(stdout) != 0 && !status) complain("standard output cannot be written"), status = RUN_FILE;
    return status;
}
