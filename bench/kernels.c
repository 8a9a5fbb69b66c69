/* kbench: how near hand-written kernels come to this machine's peak.
 *
 *     kbench [-r ROUNDS] [-k FILTER] [-s MxKxN] [-c MEGABYTES] [-mcpu=NAME] [-O0..3]
 *     kbench --peak
 *
 * Reads kernels of tests/golden/kir and bench/kir (run it from the source root), and makes those of attention from
 * tensor IR, compiles them as models are compiled,
 * and prints the share of the peak that each reaches: floating-point operations a second over those of a loop of
 * register-only fused multiply-adds, compiled the same way and measured right before and after each sample. Weights are
 * cycled through more than 400 MB (-c), as a model's are that come from memory once a run. Medians over the rounds; one
 * thread (pin it: taskset -c 1 kbench). --peak prints the peak and measures nothing else. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "codegen/codegen.h"
#include "codegen/lower.h"
#include "codegen/plan_memory.h"

enum { MAX_DIMS = 8, MAX_PARAMS = 12, MAX_ROUNDS = 1000 };

typedef struct {
    arena *a;
    interner *names;
    source_set *sources;
    diags *d;
    codegen_options options;
    int rounds;
    const char *filter;
    uint64_t cycle_bytes;
    uint64_t seed;
} bench;

static void fail(bench *b, const char *what)
{
    strbuf s = strbuf_new(b->a);
    diags_render_text(b->d, &s);
    fprintf(stderr, "%skbench: %s\n", s.s, what);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* other programs may take the processor meanwhile */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_size);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* ---- kernels ---- */

typedef struct {
    kmodule *m;
    const kfunction *f;
    codegen_jit *jit;
    rt_kernel_fn *fn;
} kernel;

typedef struct {
    const char *name;
    int64_t v;
} binding;

/* Fixes dims to values, as a model's kernels have them: sizes of weights are constants there. */
static void bind_dims(kfunction *f, const binding *with, int n)
{
    for (int i = 0; i < n; i++) {
        dim d = dim_find(f->dims, with[i].name);
        if (d == DIM_BAD) continue;
        dim_symbol *s = (dim_symbol *)(uintptr_t)dim_symbol_at(f->dims, (uint32_t)dim_is_symbol(f->dims, d));
        s->min = s->max = with[i].v;
    }
}

static kernel compile(bench *b, const source_file *file, const char *name, const binding *with, int n)
{
    kernel k = {.m = kmodule_parse(b->a, b->names, b->sources, b->d, file)};
    if (!k.m || !kmodule_verify(k.m, b->d)) fail(b, file->name);
    for (uint32_t i = 0; i < k.m->functions.len; i++) bind_dims(k.m->functions.data[i], with, n);
    k.f = kmodule_find(k.m, name);
    if (!k.f) fail(b, name);
    plan_memory(k.m);
    expand_math(k.m);
    k.jit = codegen_jit_new(k.m, &b->options, b->d);
    if (!k.jit || !(k.fn = codegen_jit_kernel(k.jit, name))) fail(b, name);
    return k;
}

/* Replaces the first `from` in the file's text (NULL: nothing). */
static kernel compile_file(bench *b, const char *path, const char *name, const binding *with, int n, const char *from,
                           const char *to)
{
    const char *why = NULL;
    const source_file *file = source_read(b->sources, path, path, &why);
    if (!file) {
        fprintf(stderr, "kbench: %s: %s\n", path, why);
        exit(1);
    }
    const char *at = from ? strstr(file->text, from) : NULL;
    if (at) {
        char *text = arena_printf(b->a, "%.*s%s%s", (int)(at - file->text), file->text, to, at + strlen(from));
        file = source_add(b->sources, path, path, text, strlen(text));
    }
    return compile(b, file, name, with, n);
}

/* ---- the peak ---- */

/* 24 accumulators of one vector each, so that every latency is hidden, and nothing but fused multiply-adds in the loop.
 */
static const char peak_text[] = "kernel @peak cpu (N in 1..1000000000) (%%a: f32 global[4] in, %%b: f32 global[%d] in, "
                                "%%c: f32 global[24, %d] out) {\n"
                                "  %%n = dim N : i64\n"
                                "  for %%i = 0 to 1 step 1 parallel {\n"
                                "    %%z = const 1.0 : f32<%dx%d>\n"
                                "    %%x = load %%a[0] : f32<1x1>\n"
                                "    %%y = load %%b[0] : f32<1x%d>\n"
                                "    %%acc = for %%k = 0 to %%n step 1 unroll 4 carry (%%s = %%z) {\n"
                                "      %%t = fma %%x, %%y, %%s : f32<%dx%d>\n"
                                "      yield %%t\n"
                                "    } : f32<%dx%d>\n"
                                "    store %%c[0, 0], %%acc\n"
                                "  }\n"
                                "}\n";

typedef struct {
    kernel k;
    double flops; /* of one sample */
    int64_t dims[1];
    float *a, *b, *c;
} peak_loop;

static peak_loop peak_make(bench *b)
{
    codegen_target t;
    if (!codegen_target_describe(&b->options, b->a, b->d, &t)) fail(b, "no target");
    int w = t.vector_bytes / 4, rows = t.registers >= 32 ? 24 : 12;
    char *text = arena_printf(b->a, peak_text, w, w, rows, w, w, rows, w, rows, w);
    peak_loop p = {.k = compile(b, source_add(b->sources, "peak", "peak", text, strlen(text)), "peak", NULL, 0)};
    p.dims[0] = 200000;
    p.flops = 2.0 * rows * w * (double)p.dims[0];
    p.a = aligned_alloc(64, 64);
    p.b = aligned_alloc(64, 64);
    p.c = aligned_alloc(64, sizeof(float) * (size_t)(24 * w));
    for (int i = 0; i < w; i++) p.b[i] = 0.5f;
    p.a[0] = 1e-3f;
    return p;
}

/* Floating-point operations a second. */
static double peak_sample(const peak_loop *p)
{
    struct rt_fault fault;
    void *bufs[] = {p->a, p->b, p->c};
    double t = now();
    p->k.fn(bufs, p->dims, NULL, &fault, 0, 1);
    return p->flops / (now() - t);
}

/* ---- measuring ---- */

typedef struct {
    const char *name;
    kernel k;
    int64_t dims[MAX_DIMS];
    double flops; /* of one call */
    void *bufs[MAX_PARAMS];
    int cycled;            /* the parameter whose memory changes from call to call; -1: none */
    uint64_t cycled_bytes; /* from one copy to the next */
    int copies;
    void *scratch;
} run;

static void *memory(uint64_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        perror("kbench: mmap");
        exit(1);
    }
    return p;
}

static float next_float(bench *b)
{
    b->seed = b->seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(b->seed >> 40) * 0x1p-23f - 1;
}

static uint64_t value_of(bench *b, const kfunction *f, dim d, const int64_t *dims)
{
    int64_t v;
    if (!dim_eval(f->dims, d, dims, &v) || v < 0) fail(b, "a size cannot be evaluated");
    return (uint64_t)v;
}

/* Memory for all buffers, floats filled with numbers in [-1, 1). */
static void allocate(bench *b, run *r)
{
    const kfunction *f = r->k.f;
    for (uint32_t i = 0; i < f->params.len; i++) {
        const kbuffer *t = &f->params.data[i].v->ty.buf;
        uint64_t bytes = value_of(b, f, kbuffer_bytes(f->dims, t), r->dims), step = (bytes + 4095) / 4096 * 4096;
        int copies = (int)i == r->cycled ? (int)(b->cycle_bytes / step) + 1 : 1;
        uint8_t *p = memory(step * (uint64_t)copies);
        if (t->dt == DT_F32)
            for (uint64_t k = 0; k < bytes / 4; k++) ((float *)p)[k] = next_float(b);
        for (int c = 1; c < copies; c++) memcpy(p + (uint64_t)c * step, p, bytes);
        r->bufs[i] = p;
        if ((int)i == r->cycled) {
            r->copies = copies;
            r->cycled_bytes = step;
        }
    }
    uint64_t scratch = value_of(b, f, kernel_scratch_bytes(f), r->dims);
    r->scratch = scratch ? memory(scratch) : NULL;
}

static double run_once(const run *r, int64_t tasks, int *copy)
{
    struct rt_fault fault = {.index = INT64_MAX, .arg = INT64_MAX};
    void *bufs[MAX_PARAMS];
    memcpy(bufs, r->bufs, sizeof bufs);
    if (r->cycled >= 0) {
        bufs[r->cycled] = (uint8_t *)bufs[r->cycled] + (uint64_t)*copy * r->cycled_bytes;
        *copy = (*copy + 1) % r->copies;
    }
    double t = now();
    r->k.fn(bufs, r->dims, r->scratch, &fault, 0, tasks);
    return now() - t;
}

/* Prints share of the peak, medians over the rounds; the peak is the mean of the samples on either side. */
static void measure(bench *b, const peak_loop *p, run *r)
{
    static double share[MAX_ROUNDS], rate[MAX_ROUNDS];
    int64_t tasks = codegen_jit_tasks(r->k.jit, r->k.f->name, r->dims);
    int copy = 0, calls = 1;
    double once = run_once(r, tasks, &copy);
    while (calls * once < 2e-3) calls *= 2;
    double before = peak_sample(p);
    for (int i = 0; i < b->rounds; i++) {
        double t = 0;
        for (int c = 0; c < calls; c++) t += run_once(r, tasks, &copy);
        double after = peak_sample(p);
        rate[i] = r->flops * calls / t;
        share[i] = rate[i] / ((before + after) / 2);
        before = after;
    }
    qsort(share, (size_t)b->rounds, sizeof *share, by_size);
    printf("%-44s %6.1f GFLOP/s  %5.1f %% of peak  (quartiles %.1f to %.1f, best %.1f)\n", r->name,
           median(rate, b->rounds) * 1e-9, 100 * share[b->rounds / 2], 100 * share[b->rounds / 4],
           100 * share[b->rounds * 3 / 4], 100 * share[b->rounds - 1]);
    fflush(stdout);
}

static bool wanted(const bench *b, const char *name)
{
    return !b->filter || strstr(name, b->filter);
}

static void release(run *r)
{
    codegen_jit_free(r->k.jit);
}

/* ---- the cases ---- */

static void matmul(bench *b, const peak_loop *p, const char *path, const char *kernel_name, int64_t m, int64_t kk,
                   int64_t n)
{
    run r = {
        .cycled = 1,
        .name = arena_printf(b->a, "%s %lld x %lld, M = %lld", kernel_name, (long long)kk, (long long)n, (long long)m)};
    if (!wanted(b, r.name)) return;
    binding with[] = {{"K", kk}, {"N", n}};
    /* Rows that lie a multiple of 2 KiB apart share a few sets of the first-level cache; activations are stored with a
     * line between. */
    bool pad = kk * 4 % 2048 == 0;
    r.k = compile_file(b, path, kernel_name, with, 2, pad ? "global[M, K] in" : NULL,
                       "global[M, K] strides[K + 16, 1] in");
    int64_t dims[] = {m, kk, n};
    memcpy(r.dims, dims, sizeof dims);
    r.flops = 2.0 * (double)m * (double)kk * (double)n;
    allocate(b, &r);
    measure(b, p, &r);
    release(&r);
}

typedef struct {
    const char *what;
    int64_t heads, kv_heads, size, queries, keys;
    const char *attributes; /* of the op, after its scale */
    double pairs;           /* of queries and keys that are seen, over all of them */
} attention_case;

/* A tensor [1, heads, n, size] that lies in memory as projections leave it, [1, n, heads * size]. */
static const char *heads_text(bench *b, const char *name, int64_t heads, int64_t n, int64_t size)
{
    return arena_printf(b->a,
                        "  %%%s1 = reshape %%%s : f32[1, %" PRId64 ", %" PRId64 ", %" PRId64 "]\n"
                        "  %%%s2 = transpose %%%s1 {perm = [0, 2, 1, 3]} : f32[1, %" PRId64 ", %" PRId64 ", %" PRId64
                        "]\n",
                        name, name, n, heads, size, name, name, heads, n, size);
}

/* The kernel that a model with this attention has. Keys and values for one query come from a cache, whose heads lie one
 * after the other. */
static kernel lower_case(bench *b, const attention_case *c)
{
    bool cached = c->queries == 1;
    const char *keys =
        cached ? arena_printf(b->a, "f32[1, %" PRId64 ", %" PRId64 ", %" PRId64 "]", c->kv_heads, c->keys, c->size)
               : arena_printf(b->a, "f32[1, %" PRId64 ", %" PRId64 "]", c->keys, c->kv_heads * c->size);
    char *text = arena_printf(b->a,
                              "module bench\nfunc @f(%%q: f32[1, %" PRId64 ", %" PRId64
                              "], %%k: %s, %%v: %s) -> (y: f32[1, %" PRId64 ", %" PRId64 ", %" PRId64 "]) {\n%s%s%s"
                              "  %%y = attention %%q2, %%k%s, %%v%s {scale = 0.125%s} : f32[1, %" PRId64 ", %" PRId64
                              ", %" PRId64 "]\n"
                              "  return %%y\n}\n",
                              c->queries, c->heads * c->size, keys, keys, c->heads, c->queries, c->size,
                              heads_text(b, "q", c->heads, c->queries, c->size),
                              cached ? "" : heads_text(b, "k", c->kv_heads, c->keys, c->size),
                              cached ? "" : heads_text(b, "v", c->kv_heads, c->keys, c->size), cached ? "" : "2",
                              cached ? "" : "2", c->attributes, c->heads, c->queries, c->size);
    module *m =
        module_parse(b->a, b->names, b->sources, b->d, source_add(b->sources, "case", "case", text, strlen(text)));
    codegen_target t;
    if (!m || !module_verify(m, b->d) || !codegen_target_describe(&b->options, b->a, b->d, &t)) fail(b, text);
    machine here = machine_default(b->a, "", 8 * t.vector_bytes, t.registers);
    machine_take_caches(b->a, &here);
    lower_target lt = {.vector_floats = t.vector_bytes / 4, .registers = t.registers, .machine = &here};
    kernel k = {.m = lower_module(m, b->a, b->d, &lt)};
    if (!k.m || !kmodule_verify(k.m, b->d)) fail(b, text);
    k.f = k.m->functions.data[0];
    expand_math(k.m);
    k.jit = codegen_jit_new(k.m, &b->options, b->d);
    if (!k.jit || !(k.fn = codegen_jit_kernel(k.jit, k.f->name))) fail(b, text);
    return k;
}

/* Both products count where a query sees a key; packing and softmax do not. */
static void attention(bench *b, const peak_loop *p, const attention_case *c)
{
    run r = {.cycled = -1,
             .name = arena_printf(b->a, "attention %s %" PRId64 " heads of %" PRId64 ", S = %" PRId64 ", T = %" PRId64,
                                  c->what, c->heads, c->size, c->queries, c->keys)};
    if (!wanted(b, r.name)) return;
    r.k = lower_case(b, c);
    r.flops = 2.0 * 2.0 * (double)c->heads * (double)c->queries * (double)c->keys * (double)c->size * c->pairs;
    allocate(b, &r);
    measure(b, p, &r);
    release(&r);
}

/* Blocks at random places, as many in each block row. The share is of the work on them: times 1 / (1 - sparsity) it is
 * the speed-up over a dense kernel at peak. */
static void block_sparse(bench *b, const peak_loop *p, int64_t m, int64_t kk, int64_t n, int percent)
{
    run r = {.cycled = 1,
             .name = arena_printf(b->a, "block_sparse_4x4 %lld x %lld, M = %lld, %d %%", (long long)kk, (long long)n,
                                  (long long)m, percent)};
    if (!wanted(b, r.name)) return;
    int64_t rows = n / 4, columns = kk / 4, per_row = (columns * (100 - percent) + 50) / 100, blocks = rows * per_row;
    binding with[] = {{"K", kk}, {"N", n}};
    r.k = compile_file(b, "tests/golden/kir/block_sparse_4x4.kir", "block_sparse_4x4", with, 2, NULL, NULL);
    int64_t dims[] = {m, kk, n, blocks};
    memcpy(r.dims, dims, sizeof dims);
    r.flops = 2.0 * 16.0 * (double)blocks * (double)m;
    allocate(b, &r);
    int32_t *start = r.bufs[2], *column = r.bufs[3];
    for (int64_t i = 0; i <= rows; i++) start[i] = (int32_t)(i * per_row);
    for (int64_t i = 0; i < rows; i++) { /* the first per_row of a random order, ascending */
        int64_t left = per_row, at = i * per_row;
        for (int64_t c = 0; c < columns && left; c++)
            if ((next_float(b) + 1) / 2 * (float)(columns - c) < (float)left) {
                column[at++] = (int32_t)c;
                left--;
            }
    }
    measure(b, p, &r);
    release(&r);
}

static int usage(void)
{
    fprintf(stderr, "usage: kbench [-r ROUNDS] [-k FILTER] [-s MxKxN] [-c MEGABYTES] [-mcpu=NAME] [-O0..3] [--peak]\n");
    return 2;
}

int main(int argc, char **argv)
{
    bench b = {.a = arena_new(NULL, NULL), .rounds = 21, .seed = 1, .cycle_bytes = 400u << 20};
    b.names = interner_new(b.a);
    b.sources = source_set_new(b.a);
    b.d = diags_new(b.a, b.sources, 0);
    b.options.opt = 2;
    int64_t one[3] = {0};
    bool peak_only = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-r") && i + 1 < argc) b.rounds = atoi(argv[++i]);
        else if (!strcmp(argv[i], "-k") && i + 1 < argc) b.filter = argv[++i];
        else if (!strcmp(argv[i], "-s") && i + 1 < argc) {
            if (sscanf(argv[++i], "%" SCNd64 "x%" SCNd64 "x%" SCNd64, &one[0], &one[1], &one[2]) != 3) return usage();
        } else if (!strcmp(argv[i], "-c") && i + 1 < argc) b.cycle_bytes = strtoull(argv[++i], NULL, 10) << 20;
        else if (!strcmp(argv[i], "--peak")) peak_only = true;
        else if (!strncmp(argv[i], "-mcpu=", 6)) b.options.cpu = argv[i] + 6;
        else if (!strncmp(argv[i], "-O", 2)) b.options.opt = atoi(argv[i] + 2);
        else return usage();
    }
    if (b.rounds < 1 || b.rounds > MAX_ROUNDS) b.rounds = 21;
    peak_loop p = peak_make(&b);
    double peaks[31];
    for (int i = 0; i < 31; i++) peaks[i] = peak_sample(&p);
    printf("peak %.1f GFLOP/s\n", median(peaks, 31) * 1e-9);
    if (peak_only) return 0;

    static const int64_t shapes[][3] = {{128, 768, 3072}, {128, 768, 768}, {128, 3072, 768}, {128, 384, 1536}};
    for (size_t i = 0; i < (one[0] ? 1 : sizeof shapes / sizeof *shapes); i++) {
        const int64_t *s = one[0] ? one : shapes[i];
        matmul(&b, &p, "bench/kir/matmul.kir", "matmul", s[0], s[1], s[2]);
        matmul(&b, &p, "tests/golden/kir/matmul_gelu.kir", "matmul_gelu", s[0], s[1], s[2]);
    }
    static const attention_case cases[] = {
        {"all", 12, 12, 64, 128, 128, "", 1},
        {"all", 12, 12, 64, 512, 512, "", 1},
        {"all", 12, 12, 64, 2048, 2048, "", 1},
        {"all", 12, 12, 32, 128, 128, "", 1},
        {"all", 12, 12, 32, 512, 512, "", 1},
        {"all", 16, 2, 128, 512, 512, "", 1},
        {"all", 4, 4, 256, 512, 512, "", 1},
        {"causal,", 12, 12, 64, 512, 512, ", to = 0", 513.0 / 1024},
        {"causal,", 12, 12, 64, 2048, 2048, ", to = 0", 2049.0 / 4096},
        {"window of 128,", 12, 12, 64, 2048, 2048, ", from = -64, to = 64", (129.0 * 2048 - 64 * 65) / 2048 / 2048},
        {"window of 128,", 12, 12, 64, 8192, 8192, ", from = -64, to = 64", (129.0 * 8192 - 64 * 65) / 8192 / 8192},
        {"one query,", 12, 12, 64, 1, 2048, "", 1},
        {"one query, 2 key heads,", 16, 2, 128, 1, 2048, "", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) attention(&b, &p, &cases[i]);
    static const int percents[] = {70, 80, 90, 95};
    for (int i = 0; i < 4; i++) block_sparse(&b, &p, 128, 768, 3072, percents[i]);
    return 0;
}
