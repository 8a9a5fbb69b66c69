/* --bench and --profile. */
#include "runtime/tfxrun.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The most memory that this process ever had, in bytes; 0 when the system does not say. getrusage would count what the
 * process was before exec. */
static int64_t peak_memory(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    if (!f) return 0;
    char text[256];
    int64_t kib = 0;
    while (fgets(text, sizeof text, f))
        if (!strncmp(text, "VmHWM:", 6)) kib = strtoll(text + 6, NULL, 10);
    fclose(f);
    return kib * 1024;
}

/* Bytes of this process's memory that are pages of one of the model's files. */
static int64_t mapped_memory(const options *o)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    if (!f) return 0;
    char line[PATH_MAX + 256], *paths[2] = {realpath(o->model, NULL), o->weights ? realpath(o->weights, NULL) : NULL};
    int64_t kib = 0;
    bool ours = false;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        const char *path = strchr(line, '/');
        bool head = strspn(line, "0123456789abcdef-") > 8; /* "7f0123456000-7f0123457000 r--p ..." */
        if (head) ours = path && ((paths[0] && !strcmp(path, paths[0])) || (paths[1] && !strcmp(path, paths[1])));
        else if (ours && !strncmp(line, "Rss:", 4)) kib += strtoll(line + 4, NULL, 10);
    }
    fclose(f);
    free(paths[0]);
    free(paths[1]);
    return kib * 1024;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Runs before timing: `warmup` of them, or (-1) until 100 ms are over. */
static int warm_up(session *s, int64_t warmup, int64_t *runs)
{
    int64_t start = now_ns();
    for (*runs = 0; warmup < 0 ? *runs == 0 || now_ns() - start < 100000000 : *runs < warmup; ++*runs) {
        int status = session_run(s);
        if (status) return status;
    }
    return RUN_OK;
}

/* Runs and times them: `repeats` of them, or (-1) for `budget` ns but at least `least`. The times are malloc'ed. */
static int time_runs(session *s, int64_t repeats, int64_t budget, int64_t least, int64_t **times, int64_t *n)
{
    enum { MOST = 1000000 };
    int64_t room = repeats > 0 ? repeats : 1024, start = now_ns();
    *times = malloc((size_t)room * sizeof **times);
    for (*n = 0; *times; ++*n) {
        if (repeats > 0 ? *n == repeats : *n >= MOST || (*n >= least && now_ns() - start >= budget)) return RUN_OK;
        if (*n == room) {
            int64_t *more = realloc(*times, (size_t)(room *= 2) * sizeof **times);
            if (!more) break;
            *times = more;
        }
        int64_t t = now_ns();
        int status = session_run(s);
        (*times)[*n] = now_ns() - t;
        if (status) {
            free(*times);
            *times = NULL;
            return status;
        }
    }
    free(*times);
    *times = NULL;
    complain("no memory");
    return RUN_FILE;
}

/* The smallest time that a share `p` of the sorted times does not exceed. */
static int64_t percentile(const int64_t *sorted, int64_t n, double p)
{
    int64_t i = (int64_t)(p * (double)(n - 1) + 0.5);
    return sorted[i];
}

static void print_ms(const char *what, int64_t ns)
{
    printf("%s %.*f ms", what, ns < 1000000 ? 4 : 3, (double)ns * 1e-6);
}

int bench_run(session *s, const options *o, json *j)
{
    int64_t warm, n, *times;
    int status = warm_up(s, o->warmup, &warm);
    if (!status) status = time_runs(s, o->repeats, 1000000000, 10, &times, &n);
    if (status) return status;
    double mean = 0;
    for (int64_t i = 0; i < n; i++) mean += (double)times[i] / (double)n;
    qsort(times, (size_t)n, sizeof *times, by_time);
    int64_t median = percentile(times, n, 0.5), p90 = percentile(times, n, 0.9);
    if (j) {
        json_open(j, "bench", '{');
        json_int(j, "threads", o->threads);
        json_int(j, "warmup", warm);
        json_int(j, "repeats", n);
        json_int(j, "median_ns", median);
        json_int(j, "p90_ns", p90);
        json_int(j, "min_ns", times[0]);
        json_int(j, "max_ns", times[n - 1]);
        json_real(j, "mean_ns", mean);
        json_int(j, "load_ns", s->load_ns);
        json_int(j, "first_ns", s->first_ns);
        json_int(j, "peak_bytes", peak_memory());
        json_int(j, "mapped_bytes", mapped_memory(o));
        json_int(j, "workspace_bytes", s->model->api->workspace_size(s->entry, s->dims, o->threads, 0));
        json_close(j);
    } else {
        print_ms("bench: median", median);
        print_ms(", p90", p90);
        print_ms(", min", times[0]);
        printf("   (%" PRId64 " runs after %" PRId64 ", %" PRIu32 " thread%s)\n", n, warm, o->threads,
               o->threads == 1 ? "" : "s");
        print_ms("start: load", s->load_ns);
        print_ms(", first run", s->first_ns);
        printf(", peak memory %.1f MB (%.1f MB of it the model's files)\n", (double)peak_memory() * 1e-6,
               (double)mapped_memory(o) * 1e-6);
    }
    free(times);
    return RUN_OK;
}

/* ---- profile ---- */

typedef struct {
    const tfx_kernel_info *kernel;
    int64_t tasks, ns, least, calls; /* `least` of one call, `ns` of all */
} line;

typedef struct {
    line *lines;
    size_t n, room;
    size_t next; /* the line expected next: launches come in the same order in every run */
    bool failed;
} profile;

static void record(void *ctx, const tfx_kernel_info *kernel, int64_t tasks, int64_t ns)
{
    profile *p = ctx;
    size_t i = p->next < p->n && p->lines[p->next].kernel == kernel ? p->next : 0;
    while (i < p->n && p->lines[i].kernel != kernel) i++;
    if (i == p->n) {
        if (p->n == p->room) {
            size_t room = p->room ? 2 * p->room : 64;
            line *more = realloc(p->lines, room * sizeof *more);
            if (!more) {
                p->failed = true;
                return;
            }
            p->lines = more;
            p->room = room;
        }
        p->lines[p->n++] = (line){.kernel = kernel, .least = ns};
    }
    p->lines[i].tasks = tasks;
    p->lines[i].ns += ns;
    if (ns < p->lines[i].least) p->lines[i].least = ns;
    p->lines[i].calls++;
    p->next = i + 1;
}

static int by_share(const void *a, const void *b)
{
    const line *x = a, *y = b;
    if (x->ns != y->ns) return x->ns < y->ns ? 1 : -1;
    return (x->kernel > y->kernel) - (x->kernel < y->kernel);
}

static bool same_place(const tfx_kernel_info *a, const tfx_kernel_info *b)
{
    return strcmp(a->kernel, b->kernel) == 0 && strcmp(a->path, b->path) == 0 && strcmp(a->file, b->file) == 0 &&
           a->line == b->line && a->column == b->column;
}

/* Adds up launches that a reader cannot tell apart: the same kernel for the same place, as in every layer of a loop. */
static void merge_places(profile *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->n; i++) {
        size_t k = 0;
        while (k < kept && !same_place(p->lines[k].kernel, p->lines[i].kernel)) k++;
        if (k == kept) {
            p->lines[kept++] = p->lines[i];
        } else {
            p->lines[k].ns += p->lines[i].ns;
            p->lines[k].calls += p->lines[i].calls;
            if (p->lines[k].tasks != p->lines[i].tasks) p->lines[k].tasks = -1;
        }
    }
    p->n = kept;
}

/* Rows of the table; the widest kernel name makes the column. */
static void print_profile(const profile *p, double runs, double total)
{
    double inside = 0;
    int width = 24;
    for (size_t i = 0; i < p->n; i++)
        if ((int)strlen(p->lines[i].kernel->kernel) > width) width = (int)strlen(p->lines[i].kernel->kernel);
    printf("%12s %7s %9s %7s  %-*s  %s\n", "us/run", "share", "launches", "tasks", width, "kernel", "where");
    for (size_t i = 0; i < p->n; i++) {
        const line *l = &p->lines[i];
        const tfx_kernel_info *k = l->kernel;
        inside += (double)l->ns;
        printf("%12.2f %6.1f%% %9.0f ", (double)l->ns / runs * 1e-3, 100 * (double)l->ns / total,
               (double)l->calls / runs);
        if (l->tasks < 0) printf("%7s", "varies");
        else printf("%7" PRId64, l->tasks);
        printf("  %-*s  %s:%" PRIu32 ":%" PRIu32 "%s%s\n", width, k->kernel, k->file, k->line, k->column,
               *k->path ? "  " : "", k->path);
    }
    printf("%12.2f %6.1f%% %17s  (checks, plan, clock)\n", (total - inside) / runs * 1e-3,
           100 * (total - inside) / total, "");
    printf("%12.2f %6.1f%% %17s  whole run\n", total / runs * 1e-3, 100.0, "");
}

static void json_profile(json *j, const profile *p, int64_t runs, int64_t total)
{
    json_open(j, "profile", '{');
    json_int(j, "runs", runs);
    json_real(j, "run_ns", (double)total / (double)runs);
    json_open(j, "launches", '[');
    for (size_t i = 0; i < p->n; i++) {
        const line *l = &p->lines[i];
        json_open(j, NULL, '{');
        json_string(j, "kernel", l->kernel->kernel);
        json_string(j, "path", l->kernel->path);
        json_string(j, "file", l->kernel->file);
        json_int(j, "line", l->kernel->line);
        json_int(j, "column", l->kernel->column);
        json_int(j, "tasks", l->tasks);
        json_real(j, "ns", (double)l->ns / (double)runs);
        json_int(j, "min_ns", l->least);
        json_close(j);
    }
    json_close(j);
    json_close(j);
}

int profile_run(session *s, const options *o, json *j)
{
    int64_t warm, n, *times;
    int status = warm_up(s, o->warmup, &warm);
    if (status) return status;
    profile p = {0};
    tfx_profile(s->model, record, &p);
    status = time_runs(s, o->repeats, 500000000, 1, &times, &n);
    tfx_profile(s->model, NULL, NULL);
    if (!status && p.failed) status = RUN_FILE, complain("no memory for the profile");
    if (!status) {
        int64_t total = 0;
        for (int64_t i = 0; i < n; i++) total += times[i];
        free(times);
        if (!j) merge_places(&p);
        if (p.n) qsort(p.lines, p.n, sizeof *p.lines, by_share);
        if (j) json_profile(j, &p, n, total);
        else print_profile(&p, (double)n, (double)total);
    }
    free(p.lines);
    return status;
}
