/* The threads of a handle. They share out what the run's own thread has to do, and sleep between runs.
 *
 * Work is a number of units. Each worker, the run's thread being number 0, is given an equal range of them, the same
 * part of every work: so it finds in its caches what it wrote before. It takes units from the front of its range, in
 * order; who has none left takes from the back of others' (affinity scheduling: Markatos and LeBlanc, 1994). A range is
 * one word, and nothing else is read before units are taken. While somebody holds units the work cannot end; so a
 * thread that comes late finds either work that is still going on, or nothing.
 *
 *   run's thread:  publish, wake;  take units ...;  wait until `done` counts all units
 *   a worker:      spin, sleep until it has units;  take units ...
 *
 * A worker that finds nothing spins for SPIN_NS while a run is going on, then sleeps on its `state`; when the run ends
 * it sleeps at once. Workers are woken as a tree: each wakes two more, as the run's thread does, so that this costs the
 * run's thread two calls of the system at most.
 *
 * After a fork the child has the handle but not the threads. No unit is taken by them there, so the run's thread does
 * all; it stops offering them to anybody as soon as it would have to wake somebody. */
#define _GNU_SOURCE
#include "runtime/rt_internal.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#define SPIN_NS 50000
#define STACK_BYTES (512 * 1024) /* kernels have at most 64 KiB of stack buffers, and call nothing deep */
/* Work that is done alone before sleeping workers are woken for it: as long as it takes them to come. */
#define WAKE_WORK 200000
#define LINE 64 /* of a cache */

enum { AWAKE, ASLEEP };          /* a worker's state */
enum { IDLE, RUNNING, CLOSING }; /* the pool's phase */

struct worker {
    _Alignas(LINE) _Atomic uint64_t range; /* units not taken: the first, and in the upper half the one behind the last;
                                              0: none */
    _Atomic uint32_t state;
    uint32_t index;
    struct rt_pool *pool;
    pthread_t thread;
    char name[16];
};

struct rt_pool {
    uint32_t n;      /* workers; number 0 is the run's own thread */
    uint32_t bytes;  /* of all this */
    int64_t spin_ns; /* 0 where they outnumber the processors */
    pid_t process;   /* that has the threads */
    struct rt_parking parking;
    /* The run's thread's own. */
    uint32_t started; /* threads */
    uint32_t useful;  /* workers that this run, before it begins the last one, had units for */
    bool alone;       /* this process is another one */
    int64_t owed;     /* work of this run that was done alone while the workers slept */
    /* What is being done. */
    tfx_task_fn *fn;
    void *arg;
    _Atomic uint32_t wanted; /* workers that can be of use */
    _Atomic uint32_t phase;
    /* What the run's thread waits for. */
    _Alignas(LINE) _Atomic uint32_t done;
    _Atomic uint32_t waiting; /* it sleeps */
    struct worker workers[];
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- waking ---- */

static void wake(struct rt_pool *p, struct worker *w)
{
    uint32_t asleep = ASLEEP;
    if (atomic_load(&w->state) == ASLEEP && atomic_compare_exchange_strong(&w->state, &asleep, AWAKE))
        rt_unpark(&p->parking, &w->state);
}

/* The two workers below worker i in the tree, as far as they are wanted. */
static void wake_children(struct rt_pool *p, uint32_t i)
{
    uint32_t wanted = atomic_load_explicit(&p->wanted, memory_order_relaxed);
    for (uint32_t k = 2 * i + 1; k <= 2 * i + 2 && k < wanted; k++) wake(p, &p->workers[k]);
}

/* ---- taking units ---- */

static uint64_t range_of(uint64_t first, uint64_t end)
{
    return first < end ? first | end << 32 : 0;
}

/* Does some of the units in `of`'s range: from its front an eighth if it is one's own, else half of it from its back.
 * How many it were; 0: there were none. */
static uint32_t take_some(struct rt_pool *p, struct worker *of, struct worker *w)
{
    uint64_t range = atomic_load_explicit(&of->range, memory_order_relaxed);
    while (range) {
        uint32_t first = (uint32_t)range, end = (uint32_t)(range >> 32), left = end - first;
        uint32_t n = of == w ? left / 8 + 1 : (left + 1) / 2;
        uint64_t rest = of == w ? range_of(first + n, end) : range_of(first, end - n);
        if (!atomic_compare_exchange_weak_explicit(&of->range, &range, rest, memory_order_acquire,
                                                   memory_order_relaxed))
            continue;
        if (of != w) first = end - n;
        p->fn(p->arg, first, first + n, w->index);
        return n;
    }
    return 0;
}

static void count_done(struct rt_pool *p, uint32_t n)
{
    if (!n) return;
    atomic_fetch_add(&p->done, n);
    if (atomic_load(&p->waiting)) rt_unpark(&p->parking, &p->done);
}

/* Until all are taken. What is done is counted before looking for more, which takes a moment. */
static void take_units(struct rt_pool *p, struct worker *w)
{
    uint32_t mine = 0, wanted = atomic_load_explicit(&p->wanted, memory_order_relaxed);
    for (uint32_t n; (n = take_some(p, w, w)) != 0;) mine += n;
    count_done(p, mine);
    for (uint32_t k = 1; k <= wanted;) {
        uint32_t n = take_some(p, &p->workers[(w->index + k) % wanted], w);
        count_done(p, n);
        if (!n) k++;
    }
}

/* ---- workers ---- */

/* Until there are units, or the pool has nothing to wait for, or time is up. */
static void spin_for_work(struct rt_pool *p, struct worker *w)
{
    for (int64_t until = rt_now() + p->spin_ns; rt_now() < until;)
        for (int i = 0; i < 32; i++) {
            if (atomic_load_explicit(&w->range, memory_order_relaxed)) return;
            if (atomic_load_explicit(&p->phase, memory_order_relaxed) != RUNNING) return;
            relax();
        }
}

/* True: there may be units. False: the pool closes. */
static bool wait_for_work(struct rt_pool *p, struct worker *w)
{
    spin_for_work(p, w);
    if (atomic_load(&w->range)) return true;
    /* Whoever publishes units looks at the state afterwards; here it is the other way round. */
    atomic_store(&w->state, ASLEEP);
    uint32_t asleep = ASLEEP;
    bool stay = !atomic_load(&w->range) && atomic_load(&p->phase) != CLOSING;
    if (!stay) atomic_compare_exchange_strong(&w->state, &asleep, AWAKE);
    while (atomic_load(&w->state) == ASLEEP) rt_park(&p->parking, &w->state, ASLEEP);
    return atomic_load(&p->phase) != CLOSING;
}

static void *run_worker(void *arg)
{
    struct worker *w = arg;
    struct rt_pool *p = w->pool;
#ifdef __linux__
    prctl(PR_SET_NAME, w->name);
#endif
    while (wait_for_work(p, w)) {
        wake_children(p, w->index);
        take_units(p, w);
    }
    return NULL;
}

/* ---- the run's thread ---- */

static bool is_alone(struct rt_pool *p)
{
    if (!p->alone && getpid() != p->process) p->alone = true;
    return p->alone;
}

static void wait_for_others(struct rt_pool *p, uint32_t units)
{
    if (atomic_load_explicit(&p->done, memory_order_acquire) == units) return;
    for (int64_t until = rt_now() + p->spin_ns; rt_now() < until;)
        for (int i = 0; i < 32; i++) {
            if (atomic_load_explicit(&p->done, memory_order_acquire) == units) return;
            relax();
        }
    atomic_store(&p->waiting, 1);
    for (uint32_t done; (done = atomic_load(&p->done)) != units;) rt_park(&p->parking, &p->done, done);
    atomic_store_explicit(&p->waiting, 0, memory_order_relaxed);
}

void rt_pool_begin(struct rt_pool *p)
{
    p->owed = 0;
    atomic_store_explicit(&p->phase, RUNNING, memory_order_relaxed);
    if (p->useful && !is_alone(p)) {
        atomic_store_explicit(&p->wanted, p->useful, memory_order_relaxed);
        wake_children(p, 0);
    }
    p->useful = 0;
}

void rt_pool_end(struct rt_pool *p)
{
    atomic_store_explicit(&p->phase, IDLE, memory_order_relaxed);
}

void rt_pool_run(struct rt_pool *p, uint32_t units, int64_t work, tfx_task_fn *fn, void *arg)
{
    bool asleep = atomic_load_explicit(&p->workers[1].state, memory_order_relaxed) == ASLEEP;
    if (asleep && !p->alone) p->owed += work < WAKE_WORK ? work : WAKE_WORK;
    if (p->alone || (asleep && (p->owed < WAKE_WORK || is_alone(p)))) {
        fn(arg, 0, units, 0);
        return;
    }
    uint32_t wanted = units < p->n ? units : p->n;
    if (p->useful < wanted) p->useful = wanted;
    p->fn = fn;
    p->arg = arg;
    atomic_store_explicit(&p->done, 0, memory_order_relaxed);
    atomic_store_explicit(&p->wanted, wanted, memory_order_relaxed);
    for (uint32_t i = wanted; i-- > 0;)
        atomic_store(&p->workers[i].range, range_of((uint64_t)i * units / wanted, (i + (uint64_t)1) * units / wanted));
    wake_children(p, 0);
    take_units(p, &p->workers[0]);
    wait_for_others(p, units);
}

/* ---- opening ---- */

#ifdef __linux__
uint32_t rt_pool_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return (uint32_t)CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint32_t)n : 1;
}

/* Worker i on the i-th of the processors that the calling thread may use, counted round. */
static int pin(pthread_attr_t *attr, uint32_t i)
{
    cpu_set_t all, one;
    int error = pthread_getaffinity_np(pthread_self(), sizeof all, &all);
    if (error) return error;
    uint32_t nth = i % (uint32_t)CPU_COUNT(&all);
    int cpu = 0;
    while (!CPU_ISSET(cpu, &all) || nth--) cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return pthread_attr_setaffinity_np(attr, sizeof one, &one);
}
#else
uint32_t rt_pool_processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint32_t)n : 1;
}

static int pin(pthread_attr_t *attr, uint32_t i)
{
    (void)attr, (void)i;
    return ENOTSUP;
}
#endif

static int start_worker(struct rt_pool *p, uint32_t index, bool pinned, const char *name)
{
    struct worker *w = &p->workers[index];
    w->index = index;
    w->pool = p;
    struct rt_text text;
    rt_text_start(&text, w->name, sizeof w->name);
    rt_text_add(&text, "%.9s-%u", name, index);
    pthread_attr_t attr;
    int error = pthread_attr_init(&attr);
    if (error) return error;
    long least = sysconf(_SC_THREAD_STACK_MIN); /* with glibc, thread-local storage included */
    error = pthread_attr_setstacksize(&attr, STACK_BYTES + (least > 0 ? (size_t)least : 0));
    if (!error && pinned) error = pin(&attr, index);
    if (!error) error = pthread_create(&w->thread, &attr, run_worker, w);
    pthread_attr_destroy(&attr);
    return error;
}

/* All but those that a thread's own mistake raises: blocked, they would pass by a program's crash handler. */
static void block_signals(sigset_t *set)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    sigfillset(set);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) sigdelset(set, own[i]);
}

tfx_status rt_pool_open(struct rt_handle *h, uint32_t workers, bool pinned)
{
    uint64_t bytes = sizeof(struct rt_pool) + workers * sizeof(struct worker);
    struct rt_pool *p = rt_pages_reserve(bytes);
    if (!p || !rt_parking_init(&p->parking)) {
        rt_pages_release(p, bytes);
        return rt_fail(h, TFX_ERR_MEMORY, "the system gives no memory for %u threads", workers);
    }
    p->n = workers;
    p->bytes = (uint32_t)bytes;
    p->process = getpid();
    p->spin_ns = workers > rt_pool_processors() ? 0 : SPIN_NS;
    h->pool = p;
    sigset_t blocked, before;
    block_signals(&blocked);
    int error = pthread_sigmask(SIG_SETMASK, &blocked, &before); /* what threads inherit */
    for (uint32_t i = 1; i < workers && !error; i++) {
        error = start_worker(p, i, pinned, h->model->info.name);
        if (!error) p->started = i;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error) return TFX_OK;
    return rt_fail(h, TFX_ERR_MEMORY, "the system gives only %u of %u threads (error %d)", p->started, workers - 1,
                   error);
}

void rt_pool_close(struct rt_pool *p)
{
    if (!p) return;
    if (!is_alone(p)) {
        atomic_store(&p->phase, CLOSING);
        for (uint32_t i = 1; i <= p->started; i++) wake(p, &p->workers[i]);
        for (uint32_t i = 1; i <= p->started; i++) pthread_join(p->workers[i].thread, NULL);
        rt_parking_free(&p->parking);
    }
    rt_pages_release(p, p->bytes);
}
