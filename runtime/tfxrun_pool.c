/* A pool of threads, as an application would bring its own: a parallel_for for the model.
 *
 * Workers take tasks in small ranges from a shared counter. Between two launches of one run, which come microseconds
 * apart, a worker spins for a moment before it sleeps; between runs all of them sleep. */
#include "runtime/tfxrun.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

typedef struct {
    struct pool *pool;
    pthread_t thread;
    uint32_t worker;
} member;

struct pool {
    uint32_t n;      /* threads, the caller included */
    member *members; /* n - 1 */
    pthread_mutex_t lock;
    pthread_cond_t work, finished;
    _Atomic uint64_t round; /* counts pool_for calls: a new number is new work */
    _Atomic bool stop;
    tfx_task_fn *fn; /* of the current round, as are the next three */
    void *arg;
    int64_t n_tasks, grain;
    _Atomic int64_t next;
    _Atomic uint32_t busy; /* members that have not finished the round */
};

static void take_tasks(pool *p, uint32_t worker)
{
    for (;;) {
        int64_t begin = atomic_fetch_add(&p->next, p->grain);
        if (begin >= p->n_tasks) return;
        int64_t end = begin + p->grain < p->n_tasks ? begin + p->grain : p->n_tasks;
        p->fn(p->arg, begin, end, worker);
    }
}

static int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#define SPIN_NS 50000

/* Returns when there is a round after `seen` or the pool stops. */
static void wait_for_work(pool *p, uint64_t seen)
{
    int64_t until = clock_ns() + SPIN_NS;
    while (clock_ns() < until)
        for (int i = 0; i < 64; i++)
            if (atomic_load(&p->round) != seen || atomic_load(&p->stop)) return;
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->round) == seen && !atomic_load(&p->stop)) pthread_cond_wait(&p->work, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

static void *run_member(void *arg)
{
    member *m = arg;
    pool *p = m->pool;
    for (uint64_t seen = 0;;) {
        wait_for_work(p, seen);
        if (atomic_load(&p->stop)) return NULL;
        seen = atomic_load(&p->round);
        take_tasks(p, m->worker);
        if (atomic_fetch_sub(&p->busy, 1) == 1) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->finished);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

void pool_for(void *ctx, int64_t n_tasks, tfx_task_fn *fn, void *arg)
{
    pool *p = ctx;
    p->fn = fn;
    p->arg = arg;
    p->n_tasks = n_tasks;
    p->grain = n_tasks / (8 * (int64_t)p->n) + 1;
    atomic_store(&p->next, 0);
    atomic_store(&p->busy, p->n - 1);
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->round, 1);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    take_tasks(p, 0);
    for (int i = 0; i < 2000 && atomic_load(&p->busy); i++) continue;
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->busy)) pthread_cond_wait(&p->finished, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

pool *pool_new(uint32_t threads)
{
    pool *p = calloc(1, sizeof *p);
    member *members = calloc(threads, sizeof *members);
    if (!p || !members || pthread_mutex_init(&p->lock, NULL) != 0) {
        free(p);
        free(members);
        return NULL;
    }
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->finished, NULL);
    p->members = members;
    for (p->n = 1; p->n < threads; p->n++) {
        member *m = &members[p->n - 1];
        *m = (member){.pool = p, .worker = p->n};
        if (pthread_create(&m->thread, NULL, run_member, m) != 0) {
            pool_free(p);
            return NULL;
        }
    }
    return p;
}

void pool_free(pool *p)
{
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, true);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i + 1 < p->n; i++) pthread_join(p->members[i].thread, NULL);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->finished);
    pthread_mutex_destroy(&p->lock);
    free(p->members);
    free(p);
}
