/* Opening a model's file, or saying why not and what to do. */
#include "runtime/tfxrun.h"

#include <string.h>

/* What is no model, or not one yet. */
static void hint_file(const char *path)
{
    const char *dot = strrchr(path, '.');
    int stem = dot ? (int)(dot - path) : 0;
    if (dot && (!strcmp(dot, ".tfx") || !strcmp(dot, ".tir")))
        hint("compile it first: tfxc %s -o %.*s.so", path, stem, path);
    else if (dot && (!strcmp(dot, ".o") || !strcmp(dot, ".a")))
        hint("it is linked into a program; what tfxrun opens is made by -o %.*s.so", stem, path);
    else if (!dot || strcmp(dot, ".so") != 0) hint("what tfxrun opens is made by tfxc MODEL.tfx -o MODEL.so");
}

int model_load(const options *o, const tfx_api **api, void **library)
{
    char message[1024];
    tfx_options to = TFX_OPTIONS_INIT;
    to.message = message;
    to.message_bytes = sizeof message;
    if (tfx_load(o->model, &to, api, library) == TFX_OK) return RUN_OK;
    complain("%s", message);
    hint_file(o->model);
    return RUN_FILE;
}

int model_open(const options *o, tfx_model **m)
{
    char message[1024];
    tfx_options to = TFX_OPTIONS_INIT;
    to.message = message;
    to.message_bytes = sizeof message;
    to.weights_path = o->weights;
    to.threads = o->threads;
    to.variant = o->variant;
    tfx_status opened = tfx_open(o->model, &to, m);
    if (opened == TFX_OK) return RUN_OK;
    complain("%s", message);
    if (opened == TFX_ERR_LOAD) hint_file(o->model);
    if (opened == TFX_ERR_WEIGHTS && !o->weights) hint("give --weights FILE");
    return RUN_FILE;
}
