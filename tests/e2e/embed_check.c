/* embed_check MODEL.so [options of tfxrun that say what its inputs are]
 *
 * Holds a compiled model to its contract. Generated code is invisible to sanitizers, so every tensor, the workspace and
 * the weights stand between pages that nobody may touch, at both ends and at no more alignment than promised; inputs
 * and weights are read-only. Results must be the same bits
 *   - wherever things lie,
 *   - whatever the workspace held before,
 *   - however the tasks are divided among workers, a caller's or the model's own threads,
 *   - with strided tensors,
 * and no run may allocate. Exit status 0 when all that holds. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/rt_internal.h" /* to move the weights and divide all work, which callers cannot */
#include "runtime/tfxrun.h"
#include "support/guard.h"
#include "support/malloc_trap.h"

#define MAX_TENSORS 64
#define WORKERS 3

typedef struct {
    const char *what; /* "high placement, workspace of NaNs" */
    guard guards[MAX_TENSORS + 2];
    const char *names[MAX_TENSORS + 2];
    uint32_t n;
} scene;

static scene *current; /* for the signal handler */

/* Says next to what the stray access was. */
static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)context;
    char text[256] = "";
    const uint8_t *at = info->si_addr;
    for (uint32_t i = 0; current && i < current->n; i++) {
        const guard *g = &current->guards[i];
        if (at < g->map || at >= g->map + g->map_bytes) continue;
        const char *side = at < g->data               ? "before the start"
                           : at >= g->data + g->bytes ? "past the end"
                                                      : "inside (written?)";
        long far = at < g->data               ? (long)(g->data - at)
                   : at >= g->data + g->bytes ? (long)(at - g->data - g->bytes)
                                              : (long)(at - g->data);
        snprintf(text, sizeof text, "stray access to '%s', %ld bytes %s (%s)\n", current->names[i], far, side,
                 current->what);
    }
    if (!*text) snprintf(text, sizeof text, "signal %d at %p (%s)\n", sig, info->si_addr, current ? current->what : "");
    if (write(2, text, strlen(text)) < 0) _exit(9);
    _exit(8);
}

static int failures;

static void fail(const char *what, const char *name)
{
    printf("FAILED: %s: %s\n", what, name);
    failures++;
}

/* ---- ways to divide tasks; each must give the same bits ---- */

static void backwards(void *ctx, int64_t n, tfx_task_fn *fn, void *arg)
{
    (void)ctx;
    for (int64_t i = n; i-- > 0;) fn(arg, i, i + 1, (uint32_t)(i % WORKERS));
}

static void uneven(void *ctx, int64_t n, tfx_task_fn *fn, void *arg)
{
    (void)ctx;
    int64_t a = n / 5, b = n - n / 7;
    fn(arg, b, n, 2);
    fn(arg, 0, a, 1);
    fn(arg, a, b, 2);
}

/* ---- one run with everything in its place ---- */

typedef struct {
    const char *name;
    guard_placement where;
    int fill; /* of the workspace */
    uint32_t workers;
    tfx_parallel_for_fn *parallel_for; /* NULL: with several workers, the model's own threads */
    bool strided;                      /* tensors with an unused element after each row's element */
} variant;

static guard *add_guard(scene *c, const char *name, size_t bytes, size_t align, guard_placement where)
{
    c->guards[c->n] = guard_make(bytes, align, where);
    c->names[c->n] = name;
    return &c->guards[c->n++];
}

/* Room for `t` when element i stands at 2 i: a stride of 2 everywhere. */
static size_t room_for(const tensor *t, bool strided)
{
    size_t bytes = t->array.bytes;
    return strided && t->elements > 0 ? 2 * bytes - bytes / (size_t)t->elements : bytes;
}

static void spread(uint8_t *to, const tensor *t, bool strided)
{
    size_t size = t->elements ? t->array.bytes / (size_t)t->elements : 0;
    for (int64_t i = 0; i < t->elements; i++)
        memcpy(to + (size_t)i * size * (strided ? 2 : 1), (const uint8_t *)t->array.data + (size_t)i * size, size);
}

static bool same(const uint8_t *got, const tensor *t, bool strided)
{
    size_t size = t->elements ? t->array.bytes / (size_t)t->elements : 0;
    for (int64_t i = 0; i < t->elements; i++)
        if (memcmp(got + (size_t)i * size * (strided ? 2 : 1), (const uint8_t *)t->array.data + (size_t)i * size, size))
            return false;
    return true;
}

static void double_strides(const tensor *t, int64_t *strides)
{
    int64_t step = 2;
    for (uint32_t k = t->array.rank; k-- > 0; step *= t->shape[k]) strides[k] = step;
}

static void run_variant(const session *s, const variant *v)
{
    static scene c;
    c.n = 0;
    c.what = v->name;
    current = &c;
    uint32_t flags = v->strided ? TFX_STRIDED : 0, n = s->e->n_inputs + s->e->n_outputs;
    int64_t need = s->model->api->workspace_size(s->entry, s->dims, v->workers, flags);
    guard *work = add_guard(&c, "workspace", (size_t)need, TFX_WORKSPACE_ALIGN, v->where);
    memset(work->data, v->fill, work->bytes);

    tfx_options o = TFX_OPTIONS_INIT;
    o.flags = flags;
    o.max_workers = v->workers;
    o.threads = v->parallel_for ? 1 : v->workers;
    o.parallel_for = v->parallel_for;
    o.workspace = work->data;
    o.workspace_bytes = (uint64_t)need;
    tfx_model *m = NULL;
    if (s->model->api->open(&o, &m) != TFX_OK) {
        fail(v->name, "open");
        return;
    }
    struct rt_handle *h = rt_handle_of(m);
    h->grain = 0; /* a model for a test has too little work to be divided otherwise */
    guard *weights = add_guard(&c, "weights", (size_t)s->info->weight_bytes, 64, v->where);
    if (weights->bytes) memcpy(weights->data, h->weights, weights->bytes);
    guard_read_only(weights);
    h->weights = weights->data;

    tfx_tensor tensors[MAX_TENSORS];
    int64_t strides[MAX_TENSORS][TFX_MAX_RANK];
    uint32_t first = c.n;
    for (uint32_t i = 0; i < n; i++) {
        const tensor *t = i < s->e->n_inputs ? &s->inputs[i] : &s->outputs[i - s->e->n_inputs];
        guard *g = add_guard(&c, t->info->name, room_for(t, v->strided), npy_item_size(t->array.type), v->where);
        if (i < s->e->n_inputs) spread(g->data, t, v->strided), guard_read_only(g);
        tensors[i] = tfx_compact(g->data, t->info->dtype, t->info->rank, t->shape);
        double_strides(t, strides[i]);
        if (v->strided) tensors[i].strides = strides[i];
    }
    tfx_args args = s->args;
    args.inputs = tensors;
    args.outputs = tensors + s->e->n_inputs;

    trap_start();
    tfx_status status = tfx_run(m, s->entry, &args);
    long calls = trap_stop();
    if (status) fail(v->name, tfx_error(m));
    if (calls) fail(v->name, "the run allocates");
    for (uint32_t i = 0; i < s->e->n_outputs && !status; i++)
        if (!same(c.guards[first + s->e->n_inputs + i].data, &s->outputs[i], v->strided)) {
            fail(v->name, s->outputs[i].info->name);
            printf("    its bits differ from those of the plain run\n");
        }
    for (uint32_t i = 0; i < c.n; i++)
        if (!guard_intact(&c.guards[i])) fail(v->name, c.names[i]), printf("    something was written beside it\n");
    tfx_close(m);
    for (uint32_t i = 0; i < c.n; i++) guard_free(&c.guards[i]);
    current = NULL;
}

static int check(const options *o, tfx_model *m)
{
    session s = {.model = m};
    int status = session_prepare(&s, o);
    if (!status) status = session_run(&s); /* the plain run: the reference */
    if (!status && s.e->n_inputs + s.e->n_outputs > MAX_TENSORS) complain("too many tensors"), status = RUN_USAGE;
    static const variant variants[] = {
        {"low placement, workspace of zeros", GUARD_LOW, 0, 1, NULL, false},
        {"high placement, workspace of NaNs", GUARD_HIGH, 0xff, 1, NULL, false},
        {"odd placement, workspace of large numbers", GUARD_ODD, 0x7e, 1, NULL, false},
        {"tasks one by one, backwards", GUARD_HIGH, 0xff, WORKERS, backwards, false},
        {"tasks in uneven ranges", GUARD_LOW, 0x55, WORKERS, uneven, false},
        {"threads of its own", GUARD_HIGH, 0xff, WORKERS, NULL, false},
        {"strided tensors, low", GUARD_LOW, 0xff, 1, NULL, true},
        {"strided tensors, high", GUARD_HIGH, 0x7e, WORKERS, backwards, true},
    };
    size_t n = sizeof variants / sizeof *variants;
    for (size_t i = 0; i < n && !status; i++) run_variant(&s, &variants[i]);
    if (!status) printf("embed_check: %zu variants, %d failures\n", n, failures);
    session_free(&s);
    return status ? status : failures != 0;
}

int main(int argc, char **argv)
{
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &act, NULL);
    sigaction(SIGBUS, &act, NULL);
    options o;
    int status = options_read(argc, argv, &o);
    if (!status && o.model) {
        tfx_model *m;
        status = model_open(&o, &m);
        if (!status) status = check(&o, m);
        tfx_close(m);
    }
    options_free(&o);
    return status;
}
