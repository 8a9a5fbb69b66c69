/* memory_check N MODEL.so [--random SEED --range NAME=LO..HI]
 *
 * Holds what workspace_size says to what runs do: at N random dims of every entry, with 1, 2 and 5
 * workers in turn, a run gets just so many bytes, a page that nobody may touch behind them and a pattern before them.
 * What the memory held before must not show in any bit of the outputs, and 64 bytes less must be refused where a run
 * uses any. The most over all dims, which open reserves, must be no less than any of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/tfxrun.h"
#include "support/guard.h"

enum { MOST_BYTES = 1 << 20, MAX_DIMS = 16, MAX_RANGES = 16, TRIES = 1000 };

static uint64_t random_state;

static double unit(void) /* [0, 1) */
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(random_state >> 11) * 0x1p-53;
}

/* Of all magnitudes; the ends are more likely than others. */
static int64_t random_dim(const tfx_dim_info *d)
{
    double lo = (double)d->min, hi = (double)d->max, v = exp(unit() * log(hi - lo + 1.999)) - 1 + lo;
    int64_t n = unit() < 0.1 ? d->max : unit() < 0.1 ? d->min : (int64_t)v;
    n += (d->multiple - n % d->multiple) % d->multiple;
    return n > d->max ? n - d->multiple : n;
}

/* The model takes these dims: they keep the conditions of its source. */
static bool allowed(tfx_model *m, uint32_t entry, const int64_t *dims)
{
    const tfx_entry_info *e = &tfx_get_info(m)->entries[entry];
    tfx_tensor *inputs = calloc(e->n_inputs + 1u, sizeof *inputs);
    int64_t (*shapes)[TFX_MAX_RANK] = calloc(e->n_inputs + 1u, sizeof *shapes);
    int64_t given[MAX_DIMS], found[MAX_DIMS];
    bool ok = inputs && shapes;
    for (uint32_t i = 0; i < e->n_inputs && ok; i++) {
        ok = tfx_shape(m, entry, i, dims, shapes[i]) == TFX_OK;
        inputs[i] = tfx_compact(NULL, e->inputs[i].dtype, e->inputs[i].rank, shapes[i]);
    }
    for (uint32_t i = 0; i < e->n_given; i++) given[i] = dims[e->given[i]];
    tfx_args args = {inputs, NULL, given, e->n_inputs, 0, e->n_given, 0};
    ok = ok && tfx_dims(m, entry, &args, found) == TFX_OK;
    free(inputs);
    free(shapes);
    return ok;
}

static bool choose_dims(tfx_model *m, uint32_t entry, int64_t *dims)
{
    const tfx_info *info = tfx_get_info(m);
    for (int i = 0; i < TRIES; i++) {
        for (uint32_t k = 0; k < info->n_dims; k++) dims[k] = random_dim(&info->dims[k]);
        int64_t bytes = m->api->workspace_size(entry, dims, 1, 0);
        if (bytes >= 0 && bytes <= MOST_BYTES && allowed(m, entry, dims)) return true;
    }
    return false;
}

/* Every second task, then the others, each on another worker than the task before. */
static void scattered(void *ctx, int64_t n, tfx_task_fn *fn, void *arg)
{
    uint32_t workers = *(const uint32_t *)ctx;
    for (int64_t from = 0; from < 2; from++)
        for (int64_t i = from; i < n; i += 2) fn(arg, i, i + 1, (uint32_t)i % workers);
}

static void poison(const guard *g, int how)
{
    uint32_t *words = (uint32_t *)(void *)g->data;
    for (size_t i = 0; i < g->bytes / 4; i++)
        words[i] = how == 0   ? 0x7fc00000u /* a NaN */
                   : how == 1 ? 0xff7fffffu /* the least float; as an integer far out of any range */
                              : (uint32_t)i * 2654435761u;
}

static int fail(const session *s, uint32_t workers, const char *what)
{
    printf("FAILED: %s at", s->e->name);
    for (uint32_t i = 0; i < s->info->n_dims; i++) printf(" %s=%lld", s->info->dims[i].name, (long long)s->dims[i]);
    printf(", %u workers: %s\n", workers, what);
    return 1;
}

static tfx_status open_with(const session *s, const guard *g, uint32_t *workers, tfx_model **m)
{
    tfx_options o = TFX_OPTIONS_INIT;
    o.max_workers = *workers;
    o.parallel_for = *workers > 1 ? scattered : NULL;
    o.parallel_ctx = workers;
    o.workspace = g->data;
    o.workspace_bytes = g->bytes;
    return s->model->api->open(&o, m);
}

/* One set of dims. The outputs of s->tensors are overwritten by every run; `kept` holds the first ones. */
static int check_dims(session *s, uint32_t workers)
{
    int64_t need = s->model->api->workspace_size(s->entry, s->dims, workers, 0);
    int64_t most = s->model->api->workspace_size(s->entry, NULL, workers, 0);
    if (need < 0 || need % TFX_WORKSPACE_ALIGN) return fail(s, workers, "no size");
    if (need > most) return fail(s, workers, "more than the most over all dims");
    int failed = session_run(s);
    void **kept = calloc(s->e->n_outputs + 1u, sizeof *kept);
    for (uint32_t i = 0; i < s->e->n_outputs && kept && !failed; i++) {
        size_t bytes = s->outputs[i].array.bytes;
        kept[i] = malloc(bytes + 1);
        if (kept[i]) memcpy(kept[i], s->outputs[i].array.data, bytes);
        else failed = fail(s, workers, "no memory");
    }
    for (int how = 0; how < 3 && !failed; how++) {
        guard g = guard_make((size_t)need, TFX_WORKSPACE_ALIGN, GUARD_HIGH);
        poison(&g, how);
        tfx_model *m = NULL;
        if (open_with(s, &g, &workers, &m) != TFX_OK || tfx_run(m, s->entry, &s->args) != TFX_OK)
            failed = fail(s, workers, m ? tfx_error(m) : "open");
        for (uint32_t i = 0; i < s->e->n_outputs && !failed; i++)
            if (memcmp(kept[i], s->outputs[i].array.data, s->outputs[i].array.bytes))
                failed = fail(s, workers, s->e->outputs[i].name);
        if (!guard_intact(&g)) failed = fail(s, workers, "something was written before the workspace");
        tfx_close(m);
        guard_free(&g);
    }
    if (need > 0 && !failed) {
        guard g = guard_make((size_t)need - TFX_WORKSPACE_ALIGN, TFX_WORKSPACE_ALIGN, GUARD_HIGH);
        tfx_model *m = NULL;
        if (open_with(s, &g, &workers, &m) != TFX_OK || tfx_run(m, s->entry, &s->args) != TFX_ERR_WORKSPACE)
            failed = fail(s, workers, "a smaller workspace is not refused");
        tfx_close(m);
        guard_free(&g);
    }
    for (uint32_t i = 0; kept && i < s->e->n_outputs; i++) free(kept[i]);
    free(kept);
    return failed;
}

/* The ranges that are of inputs of the entry. */
static named_list ranges_of(const options *o, const tfx_entry_info *e, named *room)
{
    named_list out = {room, 0};
    for (size_t r = 0; r < o->ranges.n && out.n < MAX_RANGES; r++)
        for (uint32_t i = 0; i < e->n_inputs; i++)
            if (!strcmp(o->ranges.items[r].name, e->inputs[i].name)) room[out.n++] = o->ranges.items[r];
    return out;
}

static int check_entry(const options *given, tfx_model *m, uint32_t entry, int64_t rounds, int64_t *done)
{
    static const uint32_t workers[] = {1, 2, 5};
    const tfx_info *info = tfx_get_info(m);
    for (int64_t r = 0; r < rounds; r++) {
        int64_t dims[MAX_DIMS];
        named names[MAX_DIMS], ranges[MAX_RANGES];
        char text[MAX_DIMS][24];
        options o = *given;
        o.entry = info->entries[entry].name;
        o.random = true;
        o.seed = (uint64_t)r;
        if (!choose_dims(m, entry, dims)) return printf("FAILED: %s: no dims are small enough\n", o.entry), 1;
        o.dims = (named_list){names, 0};
        o.ranges = ranges_of(given, &info->entries[entry], ranges);
        for (uint32_t k = 0; k < info->entries[entry].n_dims; k++) {
            uint32_t d = info->entries[entry].dims[k];
            snprintf(text[k], sizeof text[k], "%lld", (long long)dims[d]);
            names[o.dims.n++] = (named){info->dims[d].name, text[k]};
        }
        session s = {.model = m};
        int failed = session_prepare(&s, &o);
        if (!failed) failed = check_dims(&s, workers[r % 3]);
        session_free(&s);
        if (failed) return failed;
        ++*done;
    }
    return 0;
}

int main(int argc, char **argv)
{
    int64_t rounds;
    options o = {0};
    int status = argc > 2 && parse_int(argv[1], &rounds) ? options_read(argc - 1, argv + 1, &o) : RUN_USAGE;
    if (!status && o.model) {
        tfx_model *m;
        status = model_open(&o, &m);
        if (!status && tfx_get_info(m)->n_dims > MAX_DIMS) complain("too many dims"), status = RUN_USAGE;
        int64_t done = 0;
        for (uint32_t e = 0; !status && e < tfx_get_info(m)->n_entries; e++)
            status = check_entry(&o, m, e, rounds, &done);
        if (!status) printf("memory_check: %lld sets of dims\n", (long long)done);
        tfx_close(m);
    }
    options_free(&o);
    return status;
}
