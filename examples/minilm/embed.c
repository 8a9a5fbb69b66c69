#include "search.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tokens of a batch, padding included. The weights (42 MB without the table of words) are read once a batch, so a batch
 * should have hundreds of tokens; with thousands, what lies between two kernels no longer fits the caches. */
enum { BATCH_TOKENS = 2048, MESSAGE = 512 };

typedef struct {
    size_t first, n; /* in job.order */
} batch;

/* What the workers share. */
typedef struct {
    const texts *t;
    const size_t *order; /* texts from the longest to the shortest: those of a batch need little padding, and the last
                            batches, which decide how long some worker has nothing left to do, are short */
    const batch *batches;
    size_t n_batches;
    float *rows;
    atomic_size_t next; /* of batches */
    atomic_bool failed;
    char message[MESSAGE]; /* of the worker that set `failed` */
} job;

static void job_fail(job *j, const char *message)
{
    if (!atomic_exchange(&j->failed, true)) snprintf(j->message, sizeof j->message, "%s", message);
}

static bool embed_batch(tfx_model *model, const job *j, batch b, int64_t *ids, uint8_t *mask, float *out)
{
    size_t longest = j->t->at[j->order[b.first]].n_ids;
    memset(ids, 0, b.n * longest * sizeof *ids);
    memset(mask, 0, b.n * longest);
    for (size_t r = 0; r < b.n; r++) {
        const text *x = &j->t->at[j->order[b.first + r]];
        for (size_t i = 0; i < x->n_ids; i++) ids[r * longest + i] = j->t->ids[x->ids + i];
        memset(mask + r * longest, 1, x->n_ids);
    }
    if (minilm_infer(model, (int64_t)b.n, (int64_t)longest, ids, mask, out) != TFX_OK) return false;
    for (size_t r = 0; r < b.n; r++) memcpy(j->rows + j->order[b.first + r] * DIMS, out + r * DIMS, DIMS * sizeof *out);
    return true;
}

/* One thread: a handle of its own (the weights are shared), and batches while there are any. */
static void *work(void *arg)
{
    job *j = arg;
    char message[MESSAGE];
    tfx_options options = TFX_OPTIONS_INIT;
    options.message = message;
    options.message_bytes = sizeof message;
    tfx_model *model = NULL;
    int64_t *ids = malloc(BATCH_TOKENS * sizeof *ids);
    uint8_t *mask = malloc(BATCH_TOKENS);
    float *out = malloc(MINILM_OUTPUT_EMB_MAX_ELEMENTS * sizeof *out);
    if (!ids || !mask || !out) job_fail(j, "out of memory");
    else if (minilm_open(&options, &model) != TFX_OK) job_fail(j, message);

    for (size_t b; !atomic_load(&j->failed) && (b = atomic_fetch_add(&j->next, 1)) < j->n_batches;)
        if (!embed_batch(model, j, j->batches[b], ids, mask, out)) job_fail(j, minilm_error(model));
    minilm_close(model);
    free(ids);
    free(mask);
    free(out);
    return NULL;
}

/* Where the texts of each length go, by counting. */
static size_t *longest_first(const texts *t)
{
    size_t start[MAX_TOKENS + 2] = {0}; /* [k]: how many are longer than MAX_TOKENS - k */
    for (size_t i = 0; i < t->n; i++) start[MAX_TOKENS - t->at[i].n_ids + 1]++;
    for (size_t k = 1; k <= MAX_TOKENS + 1; k++) start[k] += start[k - 1];
    size_t *order = resize(NULL, t->n, sizeof *order);
    for (size_t i = 0; i < t->n; i++) order[start[MAX_TOKENS - t->at[i].n_ids]++] = i;
    return order;
}

/* Cuts the order into batches; empty texts, which come last, are in none. */
static batch *cut(const texts *t, const size_t *order, size_t *n_batches)
{
    batch *batches = resize(NULL, t->n, sizeof *batches);
    *n_batches = 0;
    for (size_t i = 0, longest; i < t->n && (longest = t->at[order[i]].n_ids) > 0;) {
        size_t n = BATCH_TOKENS / longest;
        if (n > MINILM_DIM_B_MAX) n = MINILM_DIM_B_MAX;
        if (n > t->n - i) n = t->n - i;
        while (t->at[order[i + n - 1]].n_ids == 0) n--;
        batches[(*n_batches)++] = (batch){i, n};
        i += n;
    }
    return batches;
}

float *embed(const texts *t, unsigned threads)
{
    float *rows = resize(NULL, t->n, DIMS * sizeof *rows);
    memset(rows, 0, t->n * DIMS * sizeof *rows);
    size_t *order = longest_first(t), n_batches;
    batch *batches = cut(t, order, &n_batches);
    job j = {.t = t, .order = order, .batches = batches, .n_batches = n_batches, .rows = rows};

    /* This thread is one of them, so it can do all the work when no other can be started. */
    if (threads > n_batches) threads = (unsigned)n_batches;
    pthread_t *others = resize(NULL, threads, sizeof *others);
    unsigned started = 0;
    while (started + 1 < threads && pthread_create(&others[started], NULL, work, &j) == 0) started++;
    if (n_batches > 0) work(&j);
    for (unsigned i = 0; i < started; i++) pthread_join(others[i], NULL);
    if (atomic_load(&j.failed)) fail(BAD_RUN, "%s", j.message);
    free(others);
    free(batches);
    free(order);
    return rows;
}
