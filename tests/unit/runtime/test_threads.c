/* Threads inside a run: results for any number of them, who works and who sleeps, handles side by side, faults, forks,
 * signals, and threads that the system refuses. Built three times: as it is, for the thread sanitizer, and without
 * futexes. */
#define _GNU_SOURCE
#include "toy_call.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "support/malloc_trap.h"

/* ---- a model with regions ----
 *
 * Entry ident: b[i] = x[i] * y[n - 1 - i] with x = a + 1 and y = 2 a, repeated with b for a. x and y are one region;
 * what needs them reads what other tasks wrote. */

enum { ROUNDS = 5 };

static _Atomic int64_t calls;  /* of kernels */
static _Atomic int64_t widest; /* the most tasks of a call */
static int64_t work_of_task;   /* what the launches say */

static void note_call(int64_t begin, int64_t end)
{
    atomic_fetch_add(&calls, 1);
    int64_t n = end - begin, most = atomic_load(&widest);
    while (n > most && !atomic_compare_exchange_weak(&widest, &most, n)) continue;
}

/* Goes through scratch, so that workers that share one would show. */
static void add_one(void *const *bufs, const int64_t *d, void *scratch, struct rt_fault *f, int64_t begin, int64_t end)
{
    (void)d, (void)f;
    note_call(begin, end);
    for (int64_t i = begin; i < end; i++) {
        *(float *)scratch = ((const float *)bufs[0])[i];
        ((float *)bufs[1])[i] = *(float *)scratch + 1;
    }
}

static void twice(void *const *bufs, const int64_t *d, void *scratch, struct rt_fault *f, int64_t begin, int64_t end)
{
    (void)d, (void)f;
    note_call(begin, end);
    for (int64_t i = begin; i < end; i++) {
        *(float *)scratch = ((const float *)bufs[0])[i];
        ((float *)bufs[1])[i] = 2 * *(float *)scratch;
    }
}

static void cross(void *const *bufs, const int64_t *d, void *scratch, struct rt_fault *f, int64_t begin, int64_t end)
{
    (void)scratch, (void)f;
    note_call(begin, end);
    for (int64_t i = begin; i < end; i++)
        ((float *)bufs[2])[i] = ((const float *)bufs[0])[i] * ((const float *)bufs[1])[d[0] - 1 - i] * 0.125f;
}

static int64_t work(const int64_t *d)
{
    return d[0] * work_of_task;
}

static const struct rt_launch launches[] = {
    {{"add_one", "", "crowd.tfx", 1, 1}, add_one, work, NULL, 0},
    {{"twice", "", "crowd.tfx", 2, 1}, twice, work, NULL, 0},
    {{"cross", "", "crowd.tfx", 3, 1}, cross, work, NULL, 0},
};

static int32_t crowd_plan(struct rt_call *call)
{
    const int64_t n = call->dims[TOY_B] * call->dims[TOY_S] * 3;
    float *x = (float *)(void *)call->workspace, *y = x + 192, *next = y + 192;
    const void *a = call->inputs[0];
    for (int r = 0; r < ROUNDS; r++) {
        void *b = r == ROUNDS - 1 ? call->outputs[0] : next;
        void *to_x[] = {(void *)(uintptr_t)a, x}, *to_y[] = {(void *)(uintptr_t)a, y}, *to_b[] = {x, y, b};
        struct rt_work both[] = {{.launch = &launches[0], .bufs = to_x, .dims = &n, .tasks = n},
                                 {.launch = &launches[1], .bufs = to_y, .dims = &n, .tasks = n}};
        struct rt_work last = {.launch = &launches[2], .bufs = to_b, .dims = &n, .tasks = n};
        int32_t s = call->launch(call, both, 2);
        if (!s) s = call->launch(call, &last, 1);
        if (s) return s;
        a = b;
    }
    return 0;
}

static int64_t crowd_buffers(const int64_t *d)
{
    (void)d;
    return 3 * 192 * (int64_t)sizeof(float);
}

static int64_t crowd_scratch(const int64_t *d)
{
    (void)d;
    return (int64_t)sizeof(float);
}

static struct rt_entry crowd_entries[2][TOY_ENTRIES];
static struct rt_variant crowd_variants[2];
static struct rt_model crowd[2]; /* two models that compute the same */

static int make_models(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        memcpy(crowd_entries[i], toy_model.variants[0].entries, sizeof crowd_entries[i]);
        struct rt_entry *e = &crowd_entries[i][TOY_IDENT];
        *e = (struct rt_entry){.plan = crowd_plan,
                               .buffer_bytes = crowd_buffers,
                               .scratch_bytes = crowd_scratch,
                               .buffer_bound = 3 * 192 * sizeof(float),
                               .scratch_bound = sizeof(float),
                               .launches = launches,
                               .n_launches = 3};
        crowd[i] = toy_model;
        crowd_variants[i] = toy_model.variants[0];
        crowd_variants[i].entries = crowd_entries[i];
        crowd[i].variants = &crowd_variants[i];
    }
    work_of_task = RT_POOL_GRAIN / 8;
    return 0;
}

static void expect_crowd(const toy_call *c, int64_t n)
{
    float a[192], b[192];
    memcpy(a, c->a, sizeof a);
    for (int r = 0; r < ROUNDS; r++, memcpy(a, b, sizeof a))
        for (int64_t i = 0; i < n; i++) b[i] = (a[i] + 1) * (2 * a[n - 1 - i]) * 0.125f;
    for (int64_t i = 0; i < n; i++) assert_true(c->b[i] == b[i]);
}

/* Everything that has two tasks is shared, where `all`. */
static tfx_model *open_crowd(int which, const tfx_options *o, bool all)
{
    tfx_model *m = NULL;
    tfx_status s = rt_open(&crowd[which], tfx_model_v1(), o, &m);
    assert_int_equal(s, TFX_OK);
    if (all) rt_handle_of(m)->grain = 0;
    return m;
}

static tfx_model *open_threads(uint32_t threads, bool all)
{
    tfx_options o = TFX_OPTIONS_INIT;
    o.threads = threads;
    return open_crowd(0, &o, all);
}

static void run_crowd(int which, tfx_model *m, int64_t b, int64_t s)
{
    toy_call c;
    toy_ident(&c, b, s);
    assert_int_equal(rt_run(&crowd[which], m, TOY_IDENT, &c.args), TFX_OK);
    expect_crowd(&c, b * s * 3);
}

/* ---- results ---- */

static void any_number_of_threads(void **state)
{
    (void)state;
    static const uint32_t numbers[] = {0, 1, 2, 3, 7, 16};
    static const int64_t shapes[][2] = {{4, 16}, {1, 1}, {1, 0}, {3, 5}, {4, 7}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        for (int all = 0; all < 2; all++) {
            tfx_model *m = open_threads(numbers[i], all);
            for (int r = 0; r < 20; r++) run_crowd(0, m, shapes[r % 5][0], shapes[r % 5][1]);
            rt_close(m);
        }
}

static void opened_and_closed(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20; i++) rt_close(open_threads(2 + i % 6, true));
}

/* ---- who works ---- */

static void run_counted(tfx_model *m, int64_t work_each)
{
    work_of_task = work_each;
    atomic_store(&calls, 0);
    atomic_store(&widest, 0);
    run_crowd(0, m, 4, 16);
    work_of_task = RT_POOL_GRAIN / 8;
}

static void little_work_stays(void **state)
{
    (void)state;
    tfx_model *m = open_threads(3, false);
    run_counted(m, RT_POOL_GRAIN / 192); /* two launches of one grain: a region of just less than two */
    assert_int_equal(atomic_load(&calls), 3 * ROUNDS);
    assert_int_equal(atomic_load(&widest), 192);
    rt_close(m);
}

/* Units are worth a grain each, whoever takes them, and with much work every task is one. */
static void units_by_work(void **state)
{
    (void)state;
    tfx_options o = TFX_OPTIONS_INIT;
    o.threads = 7;
    tfx_model *m = open_crowd(0, &o, false);
    run_counted(m, 100 * RT_POOL_GRAIN);
    assert_true(atomic_load(&calls) > 3 * ROUNDS * 7);
    assert_true(atomic_load(&widest) <= 2 * 192 / 7 / 2 + 1);
    rt_close(m);
}

typedef struct {
    int64_t calls, units, done[400];
} counted;

static void count_units(void *ctx, int64_t n, tfx_task_fn *fn, void *arg)
{
    counted *p = ctx;
    p->calls++;
    p->units = n;
    for (int64_t i = n; i-- > 0;) fn(arg, i, i + 1, (uint32_t)(i % 2));
}

static void units_for_a_parallel_for(void **state)
{
    (void)state;
    counted p = {0};
    tfx_options o = TFX_OPTIONS_INIT;
    o.max_workers = 2;
    o.parallel_for = count_units;
    o.parallel_ctx = &p;
    tfx_model *m = open_crowd(0, &o, false);
    run_counted(m, RT_PARALLEL_FOR_GRAIN / 10); /* ten tasks a unit; 192 tasks: 20 units, and 40 of both launches */
    assert_int_equal(p.calls, 2 * ROUNDS);
    assert_int_equal(p.units, 20);
    assert_int_equal(atomic_load(&calls), 60 * ROUNDS);
    assert_int_equal(atomic_load(&widest), 10);
    p.calls = 0;
    run_counted(m, RT_PARALLEL_FOR_GRAIN / 192); /* not worth it but for two launches together */
    assert_int_equal(p.calls, 0);
    rt_close(m);
}

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void nothing_spins_between_runs(void **state)
{
    (void)state;
    tfx_model *m = open_threads(4, true);
    for (int i = 0; i < 50; i++) run_crowd(0, m, 4, 16);
    struct timespec pause = {0, 5000000}, idle = {0, 200000000};
    nanosleep(&pause, NULL); /* they go to sleep */
    int64_t before = cpu_ns();
    nanosleep(&idle, NULL);
    assert_true(cpu_ns() - before < 20000000);
    rt_close(m);
}

/* ---- what runs report ---- */

static void faults(void **state)
{
    (void)state;
    tfx_options o = TFX_OPTIONS_INIT;
    o.threads = 3;
    tfx_model *m = toy_open(&o);
    rt_handle_of(m)->grain = 0;
    toy_call c;
    for (int r = 0; r < 50; r++) {
        toy_embed(&c, 4, 16);
        c.ids[60] = 50;
        c.ids[20] = 51;
        assert_fails(m, tfx_run(m, TOY_EMBED, &c.args), TFX_ERR_VALUE,
                     "input 'ids': element [1, 4] is 51, allowed 0..9");
        toy_embed(&c, 4, 16);
        assert_int_equal(tfx_run(m, TOY_EMBED, &c.args), TFX_OK);
        for (int i = 0; i < 64; i++) assert_true(c.emb[4 * i + 3] == 2 * toy_table(c.ids[i], 3));
    }
    tfx_close(m);
}

static void record(void *ctx, const tfx_kernel_info *k, int64_t tasks, int64_t ns)
{
    assert_true(ns >= 0);
    assert_int_equal(tasks, 192);
    ((int *)ctx)[k->line - 1]++;
}

static void profiles(void **state)
{
    (void)state;
    int n[3] = {0};
    tfx_model *m = open_threads(3, true);
    rt_profile(m, record, n);
    run_crowd(0, m, 4, 16);
    for (int i = 0; i < 3; i++) assert_int_equal(n[i], ROUNDS);
    rt_close(m);
}

static void workspace_for_each(void **state)
{
    (void)state;
    _Alignas(64) static uint8_t memory[8192];
    int64_t dims[TOY_DIMS] = {4, 16, 8, 0};
    int64_t need = rt_workspace_size(&crowd[0], TOY_IDENT, dims, 3, TFX_PINNED);
    assert_int_equal(need, 3 * 192 * 4 + 3 * 64);
    tfx_options o = TFX_OPTIONS_INIT;
    o.threads = 3;
    o.workspace = memory;
    o.workspace_bytes = (uint64_t)need;
    tfx_model *m = open_crowd(0, &o, true);
    memset(memory, 0x77, sizeof memory);
    for (int r = 0; r < 20; r++) run_crowd(0, m, 4, 16);
    for (size_t i = (size_t)need; i < sizeof memory; i++) assert_int_equal(memory[i], 0x77);
    rt_close(m);
    o.workspace_bytes -= 64;
    m = open_crowd(0, &o, true);
    toy_call c;
    toy_ident(&c, 4, 16);
    assert_int_equal(rt_run(&crowd[0], m, TOY_IDENT, &c.args), TFX_ERR_WORKSPACE);
    assert_string_equal(rt_error(m), "workspace: expected 2496 bytes for these dims and 3 workers, got 2432");
    rt_close(m);
}

static void run_allocates_nothing(void **state)
{
    (void)state;
    tfx_model *m = open_threads(3, true);
    toy_call c;
    toy_ident(&c, 4, 16);
    trap_start();
    tfx_status s = rt_run(&crowd[0], m, TOY_IDENT, &c.args);
    long n = trap_stop();
    assert_int_equal(s, TFX_OK);
    assert_int_equal(n, 0);
    rt_close(m);
}

/* ---- handles side by side ---- */

static void *use_handle(void *arg)
{
    int which = *(int *)arg;
    tfx_options o = TFX_OPTIONS_INIT;
    o.threads = 3;
    tfx_model *m = NULL;
    if (rt_open(&crowd[which], tfx_model_v1(), &o, &m) != TFX_OK) return "open";
    rt_handle_of(m)->grain = 0;
    toy_call c, alone;
    toy_ident(&alone, 4, 16);
    tfx_model *one = NULL;
    if (rt_open(&crowd[which], tfx_model_v1(), NULL, &one) != TFX_OK) return "open";
    if (rt_run(&crowd[which], one, TOY_IDENT, &alone.args) != TFX_OK) return "run";
    rt_close(one);
    const char *wrong = NULL;
    for (int r = 0; r < 100 && !wrong; r++) {
        toy_ident(&c, 4, 16);
        if (rt_run(&crowd[which], m, TOY_IDENT, &c.args) != TFX_OK) wrong = "run";
        else if (memcmp(c.b, alone.b, sizeof c.b)) wrong = "bits";
    }
    rt_close(m);
    return (void *)(uintptr_t)wrong;
}

static void handles_side_by_side(void **state)
{
    (void)state;
    pthread_t threads[8];
    int which[8];
    for (int i = 0; i < 8; i++) {
        which[i] = i % 2; /* two models */
        assert_int_equal(pthread_create(&threads[i], NULL, use_handle, &which[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

/* One handle, used by one thread after the other. */
static void *use_once(void *m)
{
    run_crowd(0, m, 4, 16);
    return NULL;
}

static void one_handle_from_many_threads(void **state)
{
    (void)state;
    tfx_model *m = open_threads(3, true);
    for (int i = 0; i < 10; i++) {
        pthread_t t;
        assert_int_equal(pthread_create(&t, NULL, use_once, m), 0);
        pthread_join(t, NULL);
    }
    rt_close(m);
}

/* ---- fork ---- */

static int in_child(tfx_model *m)
{
    alarm(60);
    toy_call c;
    for (int r = 0; r < 20; r++) {
        toy_ident(&c, 4, 16);
        if (rt_run(&crowd[0], m, TOY_IDENT, &c.args) != TFX_OK) return 2;
        for (int i = 0; i < 192; i++)
            if (c.b[i] == -1) return 3;
    }
    rt_close(m);
    return 0;
}

static void after_fork(void **state)
{
    (void)state;
    for (int runs = 0; runs < 3; runs++) {
        tfx_model *m = open_threads(4, true);
        for (int r = 0; r < runs; r++) run_crowd(0, m, 4, 16);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) _exit(in_child(m));
        run_crowd(0, m, 4, 16); /* the parent's threads work on */
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        run_crowd(0, m, 4, 16);
        rt_close(m);
    }
}

/* ---- the threads themselves ---- */

/* A line of /proc/self/task/<tid>/<file> that begins with `key`, behind it; false: no such thread or line. */
static bool task_line(const char *tid, const char *file, const char *key, char *value, size_t n)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/self/task/%.20s/%s", tid, file);
    FILE *f = fopen(path, "r");
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key))) {
            snprintf(value, n, "%.*s", (int)strcspn(line + strlen(key), "\n"), line + strlen(key));
            found = true;
        }
    if (f) fclose(f);
    return found;
}

typedef struct {
    int n;
    char tids[64][24];
} workers;

/* The threads of this process that are called like the toy's. */
static workers find_workers(void)
{
    workers w = {0};
    DIR *d = opendir("/proc/self/task");
    assert_non_null(d);
    char name[64];
    for (struct dirent *e; (e = readdir(d)) && w.n < 64;)
        if (task_line(e->d_name, "comm", "", name, sizeof name) && !strncmp(name, "toy-", 4))
            snprintf(w.tids[w.n++], sizeof w.tids[0], "%.20s", e->d_name);
    closedir(d);
    return w;
}

/* A thread names itself when it starts. */
static workers wait_for_workers(int n)
{
    workers w;
    struct timespec pause = {0, 1000000};
    for (int i = 0; i < 5000 && (w = find_workers()).n < n; i++) nanosleep(&pause, NULL);
    assert_int_equal(w.n, n);
    return w;
}

static void names_signals_and_ends(void **state)
{
    (void)state;
    sigset_t was, before, after;
    sigemptyset(&before);
    sigaddset(&before, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &before, &was);
    tfx_model *m = open_threads(4, true);
    pthread_sigmask(SIG_SETMASK, &was, &after);
    for (int s = 1; s < 32; s++) assert_int_equal(sigismember(&before, s), sigismember(&after, s));
    workers w = wait_for_workers(3);
    for (int i = 0; i < w.n; i++) {
        char blocked[64];
        assert_true(task_line(w.tids[i], "status", "SigBlk:\t", blocked, sizeof blocked));
        uint64_t mask = strtoull(blocked, NULL, 16);
        const uint64_t never = (uint64_t)1 << (SIGKILL - 1) | (uint64_t)1 << (SIGSTOP - 1);
        uint64_t own = 0;
        static const int faults_of_own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
        for (size_t k = 0; k < 6; k++) own |= (uint64_t)1 << (faults_of_own[k] - 1);
        assert_true((mask & 0x7fffffff) == (0x7fffffff & ~never & ~own));
    }
    rt_close(m);
    assert_int_equal(find_workers().n, 0);
}

static void pinned(void **state)
{
    (void)state;
    tfx_options o = TFX_OPTIONS_INIT;
    o.threads = 4;
    o.flags = TFX_PINNED;
    cpu_set_t before, after;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    tfx_model *m = open_crowd(0, &o, true);
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
    workers w = wait_for_workers(3);
    for (int i = 0; i < w.n; i++) {
        char list[128];
        assert_true(task_line(w.tids[i], "status", "Cpus_allowed_list:\t", list, sizeof list));
        assert_true(strspn(list, "0123456789") == strlen(list)); /* a single one */
        assert_true(CPU_ISSET(atoi(list), &before));
    }
    run_crowd(0, m, 4, 16);
    rt_close(m);
}

static void all_processors(void **state)
{
    (void)state;
    cpu_set_t mine, one;
    assert_int_equal(sched_getaffinity(0, sizeof mine, &mine), 0);
    tfx_options o = TFX_OPTIONS_INIT;
    o.threads = TFX_ALL_PROCESSORS;
    tfx_model *m = open_crowd(0, &o, true);
    wait_for_workers(CPU_COUNT(&mine) - 1);
    run_crowd(0, m, 4, 16);
    rt_close(m);
    /* A process that is held to one processor gets no threads. */
    int cpu = 0;
    while (!CPU_ISSET(cpu, &mine)) cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    m = open_crowd(0, &o, true);
    assert_null(rt_handle_of(m)->pool);
    run_crowd(0, m, 4, 16);
    rt_close(m);
    assert_int_equal(sched_setaffinity(0, sizeof mine, &mine), 0);
}

/* ---- threads that cannot be had ---- */

/* The linker puts it in the place of pthread_create. */
int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
static int creations_left = -1; /* below 0: any number */

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
    if (creations_left == 0) return EAGAIN;
    if (creations_left > 0) creations_left--;
    return __real_pthread_create(t, a, fn, arg);
}

static void refused_threads(void **state)
{
    (void)state;
    char why[128];
    tfx_options o = TFX_OPTIONS_INIT;
    o.threads = 5;
    o.message = why;
    o.message_bytes = sizeof why;
    for (int n = 0; n < 4; n++) {
        tfx_model *m = NULL;
        creations_left = n;
        tfx_status s = rt_open(&crowd[0], tfx_model_v1(), &o, &m);
        creations_left = -1;
        assert_int_equal(s, TFX_ERR_MEMORY);
        assert_null(m);
        char expected[128];
        snprintf(expected, sizeof expected, "the system gives only %d of 4 threads (error %d)", n, EAGAIN);
        assert_string_equal(why, expected);
        assert_int_equal(find_workers().n, 0);
    }
    o.parallel_for = count_units;
    tfx_model *m = NULL;
    assert_int_equal(rt_open(&crowd[0], tfx_model_v1(), &o, &m), TFX_ERR_ARGUMENT);
    assert_string_equal(why, "options: expected threads or a parallel_for, got both");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_threads),
        cmocka_unit_test(opened_and_closed),
        cmocka_unit_test(little_work_stays),
        cmocka_unit_test(units_by_work),
        cmocka_unit_test(units_for_a_parallel_for),
        cmocka_unit_test(nothing_spins_between_runs),
        cmocka_unit_test(faults),
        cmocka_unit_test(profiles),
        cmocka_unit_test(workspace_for_each),
        cmocka_unit_test(run_allocates_nothing),
        cmocka_unit_test(handles_side_by_side),
        cmocka_unit_test(one_handle_from_many_threads),
        cmocka_unit_test(after_fork),
        cmocka_unit_test(names_signals_and_ends),
        cmocka_unit_test(pinned),
        cmocka_unit_test(all_processors),
        cmocka_unit_test(refused_threads),
    };
    return cmocka_run_group_tests_name("threads", tests, make_models, NULL);
}
