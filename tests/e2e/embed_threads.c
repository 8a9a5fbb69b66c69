/* embed_threads MODEL.so [options of tfxrun that say what its inputs are]
 *
 * Several threads, each with a handle of its own, run one model at once, every second handle on threads of its own;
 * every result is the same bits as that of a run alone. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/tfxrun.h"

enum { THREADS = 4, RUNS = 25 };

typedef struct {
    const session *s;
    uint32_t threads;
    pthread_t thread;
    int wrong;
} job;

static void run_once(job *j, tfx_model *m, tfx_tensor *outputs)
{
    const session *s = j->s;
    for (uint32_t i = 0; i < s->e->n_outputs; i++) memset(outputs[i].data, 0xff, s->outputs[i].array.bytes);
    tfx_args args = s->args;
    args.outputs = outputs;
    if (tfx_run(m, s->entry, &args) != TFX_OK) {
        complain("%s", tfx_error(m));
        j->wrong++;
    }
    for (uint32_t i = 0; i < s->e->n_outputs; i++)
        j->wrong += memcmp(outputs[i].data, s->outputs[i].array.data, s->outputs[i].array.bytes) != 0;
}

static void *work(void *arg)
{
    job *j = arg;
    const session *s = j->s;
    tfx_tensor *outputs = calloc(s->e->n_outputs + 1u, sizeof *outputs);
    tfx_model *m = NULL;
    tfx_options o = TFX_OPTIONS_INIT;
    o.threads = j->threads;
    if (!outputs || s->model->api->open(&o, &m) != TFX_OK) {
        j->wrong++;
        free(outputs);
        return NULL;
    }
    bool ready = true;
    for (uint32_t i = 0; i < s->e->n_outputs; i++) {
        outputs[i] = s->args.outputs[i];
        outputs[i].data = malloc(s->outputs[i].array.bytes + 1);
        ready &= outputs[i].data != NULL;
    }
    for (int i = 0; i < RUNS && ready; i++) run_once(j, m, outputs);
    j->wrong += !ready;
    for (uint32_t i = 0; i < s->e->n_outputs; i++) free(outputs[i].data);
    free(outputs);
    tfx_close(m);
    return NULL;
}

static int run_jobs(const session *s)
{
    job jobs[THREADS];
    int wrong = 0;
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (job){.s = s, .threads = 1 + 2 * (i % 2)};
        if (pthread_create(&jobs[i].thread, NULL, work, &jobs[i]) != 0) exit(RUN_FILE);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(jobs[i].thread, NULL);
        wrong += jobs[i].wrong;
    }
    printf("embed_threads: %d runs on %d threads, %d wrong\n", THREADS * RUNS, THREADS, wrong);
    return wrong != 0;
}

int main(int argc, char **argv)
{
    options o;
    int status = options_read(argc, argv, &o);
    tfx_model *m = NULL;
    if (!status && o.model) {
        session s = {0};
        status = model_open(&o, &m);
        s.model = m;
        if (!status) {
            status = session_prepare(&s, &o);
            if (!status) status = session_run(&s);
            if (!status) status = run_jobs(&s);
            session_free(&s);
        }
    }
    tfx_close(m);
    options_free(&o);
    return status;
}
