/* One small kernel a ceiling: multiply-adds that stay in registers, and sums over buffers that just fit a level.
 * Samples of all of them are taken in turn, so that a change of the clock or a noisy neighbour meets each alike, and
 * the median is kept: a ceiling is what is there most of the time. */
#include "codegen/calibrate.h"
#include "support/outfile.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { ROUNDS = 31, RUNS = 5, BUSY_PERCENT = 10 };
#define RUN_SECONDS 5e-4

/* Accumulators fill most registers, so that no latency shows. */
static const char fma_text[] =
    "kernel @%s cpu (N in 1..1000000000) (%%a: %s global[1] in, %%c: %s global[%d, %d] out) {\n"
    "  %%n = dim N : i64\n"
    "  for %%i = 0 to 1 step 1 parallel {\n"
    "    %%z = const 1.0 : %s<%dx%d>\n"
    "    %%y = const 0.5 : %s<1x%d>\n"
    "    %%x = load %%a[0] axes [_, 0] : %s<1x1>\n"
    "    %%sum = for %%k = 0 to %%n step 1 unroll 4 carry (%%s = %%z) {\n"
    "      %%t = fma %%x, %%y, %%s : %s<%dx%d>\n"
    "      yield %%t\n"
    "    } : %s<%dx%d>\n"
    "    store %%c[0, 0], %%sum\n"
    "  }\n"
    "}\n";

static const char read_text[] = "kernel @read cpu (N in 1..1000000000, R in 1..1000000000)\n"
                                "    (%%a: f32 global[N, %d] align 64 in, %%c: f32 global[%d] out) {\n"
                                "  %%n = dim N : i64\n"
                                "  %%r = dim R : i64\n"
                                "  for %%i = 0 to 1 step 1 parallel {\n"
                                "    %%z = const 0.0 : f32<1x%d>\n"
                                "    %%all = for %%m = 0 to %%r step 1 carry (%%t = %%z) {\n"
                                "      %%sum = for %%k = 0 to %%n step 1 unroll 2 carry (%%s = %%t) {\n"
                                "        %%x = load %%a[%%k, 0] : f32<1x%d>\n"
                                "        %%u = add %%s, %%x : f32<1x%d>\n"
                                "        yield %%u\n"
                                "      } : f32<1x%d>\n"
                                "      yield %%sum\n"
                                "    } : f32<1x%d>\n"
                                "    store %%c[0], %%all\n"
                                "  }\n"
                                "}\n";

typedef enum { PEAK_F32, PEAK_F64, READ_L1, READ_L2, READ_L3, READ_DRAM, CEILINGS } ceiling;
static const struct {
    size_t at; /* in machine */
    const char *what, *unit;
} rows[CEILINGS] = {
    [PEAK_F32] = {offsetof(machine, f32_gflops), "f32 multiply-adds", "GFLOP/s"},
    [PEAK_F64] = {offsetof(machine, f64_gflops), "f64 multiply-adds", "GFLOP/s"},
    [READ_L1] = {offsetof(machine, l1_gb_per_s), "reads, first level", "GB/s"},
    [READ_L2] = {offsetof(machine, l2_gb_per_s), "reads, second level", "GB/s"},
    [READ_L3] = {offsetof(machine, l3_gb_per_s), "reads, last level", "GB/s"},
    [READ_DRAM] = {offsetof(machine, dram_gb_per_s), "reads, memory", "GB/s"},
};

typedef struct {
    rt_kernel_fn *fn;
    int64_t dims[2];
    void *bufs[2];
    double work;         /* of one call: operations or bytes */
    uint64_t step, size; /* where the next call reads: further on by step, within size; 0: the same place */
    uint64_t next;
} probe;

typedef struct {
    arena *a;
    diags *d;
    probe probes[CEILINGS];
    codegen_jit *jit;
    void *memory;
    uint64_t memory_bytes;
    float *out;
} calibration;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool compile(calibration *c, const machine *m, const codegen_options *o, interner *names, source_set *sources)
{
    strbuf text = strbuf_new(c->a);
    int lanes = (int)m->vector_bits / 32, sums = m->vector_registers >= 32 ? 24 : 12, wide = 12 * lanes;
    for (int i = 0; i < 2; i++) {
        const char *t = i ? "f64" : "f32";
        int n = i ? lanes / 2 : lanes;
        strbuf_addf(&text, fma_text, t, t, t, sums, n, t, sums, n, t, n, t, t, sums, n, t, sums, n);
        c->probes[i ? PEAK_F64 : PEAK_F32].work = 2.0 * sums * n;
    }
    strbuf_addf(&text, read_text, wide, wide, wide, wide, wide, wide, wide);
    const source_file *f = source_add(sources, "calibration", "calibration", text.s, text.len);
    kmodule *k = f ? kmodule_parse(c->a, names, sources, c->d, f) : NULL;
    if (!k || !kmodule_verify(k, c->d)) return false;
    c->jit = codegen_jit_new(k, o, c->d);
    if (!c->jit) return false;
    static const char *const kernels[CEILINGS] = {"f32", "f64", "read", "read", "read", "read"};
    for (int i = 0; i < CEILINGS; i++) {
        c->probes[i].fn = codegen_jit_kernel(c->jit, kernels[i]);
        if (!c->probes[i].fn) return false;
    }
    return true;
}

/* A probe reads `bytes` from the start of the memory, or, beyond all caches, that much of it after the other. */
static void set_read(calibration *c, probe *p, uint64_t row, uint64_t bytes, uint64_t size)
{
    p->dims[0] = (int64_t)(bytes / row);
    p->dims[1] = 1;
    p->work = (double)((uint64_t)p->dims[0] * row);
    p->size = size;
    p->step = size ? (uint64_t)p->dims[0] * row : 0;
    p->bufs[0] = c->memory;
}

static uint64_t clamp(uint64_t v, uint64_t lo, uint64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static bool prepare(calibration *c, const machine *m)
{
    uint64_t l1 = (uint64_t)m->l1d_bytes, l2 = (uint64_t)m->l2_bytes, l3 = (uint64_t)m->l3_bytes;
    uint64_t row = 12 * (uint64_t)m->vector_bits / 8, far = clamp(16 * l3, 128u << 20, 512u << 20);
    c->memory_bytes = far;
    c->memory = mmap(NULL, far, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (c->memory == MAP_FAILED) {
        c->memory = NULL;
        diag_error(c->d, (span){0, 0}, "no memory to measure with: %s", strerror(errno));
        return false;
    }
    memset(c->memory, 1, far); /* small floats; an untouched page would be the one page of zeros */
    c->out = arena_alloc(c->a, 24 * (size_t)m->vector_bits / 8, 64);
    for (int i = 0; i < CEILINGS; i++) {
        c->probes[i].bufs[0] = c->memory;
        c->probes[i].bufs[1] = c->out;
        c->probes[i].dims[0] = c->probes[i].dims[1] = 1;
    }
    set_read(c, &c->probes[READ_L1], row, l1 / 2, 0);
    set_read(c, &c->probes[READ_L2], row, clamp(l2 / 2, 2 * l1, l2), 0);
    set_read(c, &c->probes[READ_L3], row, clamp(l3 / 4, 4 * l2, far), 0);
    set_read(c, &c->probes[READ_DRAM], row, clamp(far / 32, 2 * l2, far), far);
    return true;
}

/* Seconds of one call on `n` times the work. */
static double call(calibration *c, ceiling which, int64_t n)
{
    probe *p = &c->probes[which];
    struct rt_fault fault = {.index = INT64_MAX, .arg = INT64_MAX};
    if (which == PEAK_F32 || which == PEAK_F64) p->dims[0] = n;
    else p->dims[1] = p->step ? 1 : n;
    if (!p->step) {
        double t = now();
        p->fn(p->bufs, p->dims, NULL, &fault, 0, 1);
        return now() - t;
    }
    double seconds = 0;
    for (int64_t i = 0; i < n; i++) {
        void *bufs[2] = {(uint8_t *)p->bufs[0] + p->next, p->bufs[1]};
        p->next = p->next + 2 * p->step <= p->size ? p->next + p->step : 0;
        double t = now();
        p->fn(bufs, p->dims, NULL, &fault, 0, 1);
        seconds += now() - t;
    }
    return seconds;
}

static void measure(calibration *c, double samples[CEILINGS][ROUNDS])
{
    int64_t times[CEILINGS];
    for (int i = 0; i < CEILINGS; i++)
        for (times[i] = 1; call(c, (ceiling)i, times[i]) < RUN_SECONDS && times[i] < 1 << 28;) times[i] *= 2;
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < CEILINGS; i++) {
            call(c, (ceiling)i, 1 + times[i] / 16); /* brings its data to where they belong */
            double least = INFINITY;
            for (int k = 0; k < RUNS; k++) least = fmin(least, call(c, (ceiling)i, times[i]));
            samples[i][r] = c->probes[i].work * (double)times[i] / least * 1e-9;
        }
}

static void take(machine *m, double samples[CEILINGS][ROUNDS], strbuf *report)
{
    double bf16 = m->bf16_gflops / m->f32_gflops, int8 = m->int8_gops / m->f32_gflops, widest = 0;
    strbuf_addf(report, "%-22s %9s   %s\n", m->name, "median", "quartiles");
    for (int i = 0; i < CEILINGS; i++) {
        qsort(samples[i], ROUNDS, sizeof **samples, by_size);
        double median = samples[i][ROUNDS / 2], low = samples[i][ROUNDS / 4], high = samples[i][3 * ROUNDS / 4];
        *(double *)(void *)((char *)m + rows[i].at) = median;
        strbuf_addf(report, "%-22s %9.1f   %.1f to %.1f %s\n", rows[i].what, median, low, high, rows[i].unit);
        if (median > 0 && (high - low) / median > widest) widest = (high - low) / median;
    }
    m->bf16_gflops = bf16 * m->f32_gflops;
    m->int8_gops = int8 * m->f32_gflops;
    if (widest * 100 > BUSY_PERCENT)
        strbuf_addf(report,
                    "The figures vary by %.0f %%: the machine is busy or changes its clock. Pin tfxc to a core "
                    "and repeat.\n",
                    widest * 100);
}

/* Replaces the rates in *m, which has this machine's vectors and cache sizes, by measured ones. */
static bool calibrate(machine *m, const codegen_options *o, arena *a, interner *names, source_set *sources, diags *d,
                      strbuf *report)
{
    calibration c = {.a = a, .d = d};
    double samples[CEILINGS][ROUNDS];
    bool ok = compile(&c, m, o, names, sources) && prepare(&c, m);
    if (ok) {
        measure(&c, samples);
        take(m, samples, report);
    }
    if (c.memory) munmap(c.memory, c.memory_bytes);
    codegen_jit_free(c.jit);
    return ok;
}

bool calibrate_to(const char *path, const codegen_options *o, arena *a, interner *names, source_set *sources, diags *d,
                  strbuf *report)
{
    codegen_target t;
    const char *kept = machine_calibrated_path(a);
    if (!codegen_target_describe(o, a, d, &t)) return false;
    if (kept && !strcmp(kept, path) && !outfile_make_directories(a, d, kept)) return false;
    machine m = machine_default(a, t.name, 8 * t.vector_bytes, t.registers);
    machine_take_caches(a, &m);
    if (!calibrate(&m, o, a, names, sources, d, report)) return false;
    strbuf text = strbuf_new(a);
    machine_print(&m, &text);
    return outfile_write_text(a, d, path, &text);
}
