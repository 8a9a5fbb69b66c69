/* One property of the schedules is varied after the other (the register tile, the depth of a block, where weights are
 * prefetched to, the columns and the rows of a task), the others as good as they are so far. Every step lowers and
 * compiles the whole model's matmuls once for each value, and times the values in turn. */
#include "codegen/tune.h"

#include "codegen/plan_memory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { MIN_ROUNDS = 11, MAX_ROUNDS = 101, MAX_CHOICES = 6 };
#define WORTH 0.98       /* of the time so far: what is less is noise */
#define SAMPLES_US 50000 /* together, of one kernel and choice */

typedef struct {
    matmul_shape shape;
    VEC(const char *) kernels;
    matmul_schedule rule, best, choices[MAX_CHOICES];
    int n_choices;
    double rule_us, best_us; /* 0: not measured yet */
} tuned_shape;
typedef VEC(tuned_shape) shapes;

/* One choice for every shape, compiled. */
typedef struct {
    kmodule *km;
    codegen_jit *jit;
} variant;

/* ---- what there is to choose from ---- */

static void choose(tuned_shape *s, matmul_schedule c)
{
    for (int i = 0; i < s->n_choices; i++)
        if (!memcmp(&s->choices[i], &c, sizeof c)) return;
    if (s->n_choices < MAX_CHOICES) s->choices[s->n_choices++] = c;
}

/* As many rows as leave registers for a row of weights and an element of the left side; or one less, which tiles some
 * numbers of rows more evenly. */
static void choose_tiles(tuned_shape *s, const lower_target *t)
{
    int lanes = t->vector_floats * 32 / (int)dtype_bits(s->shape.sums);
    for (int vectors = 1; vectors * lanes <= MATMUL_WIDE && vectors <= 4; vectors *= 2)
        for (int less = 0; less < 2; less++) {
            matmul_schedule c = s->best;
            c.cols = vectors * lanes;
            c.rows = (t->registers - 1 - vectors) / vectors - less;
            if (c.rows > 24) c.rows = 24 - less;
            if (c.rows >= 3 && MATMUL_WIDE % c.cols == 0) choose(s, c);
        }
}

static void choose_depths(tuned_shape *s, const lower_target *t)
{
    (void)t;
    int64_t whole = (s->shape.k + MATMUL_STEPS - 1) / MATMUL_STEPS * MATMUL_STEPS;
    int64_t depths[] = {s->best.depth / 2, s->best.depth / 4, 2 * (int64_t)s->best.depth, whole};
    for (int i = 0; i < 4; i++) {
        matmul_schedule c = s->best;
        int64_t d = (depths[i] + MATMUL_STEPS - 1) / MATMUL_STEPS * MATMUL_STEPS;
        c.depth = (int)(d < whole ? d : whole);
        if (c.depth >= 4 * MATMUL_STEPS) choose(s, c);
    }
}

static void choose_levels(tuned_shape *s, const lower_target *t)
{
    (void)t;
    for (int level = 0; level < 3; level++) {
        matmul_schedule c = s->best;
        c.level = level;
        choose(s, c);
    }
}

static void choose_chunks(tuned_shape *s, const lower_target *t)
{
    (void)t;
    for (int i = 0; i < 2; i++) {
        matmul_schedule c = s->best;
        c.chunk = i ? c.chunk / 2 : 2 * c.chunk;
        if (c.chunk >= 1 && c.chunk <= 1 << 20) choose(s, c);
    }
}

static void choose_groups(tuned_shape *s, const lower_target *t)
{
    (void)t;
    for (int i = 0; i < 2; i++) {
        matmul_schedule c = s->best;
        c.group = (i ? c.group / 2 + MATMUL_WIDE - 1 : 2 * c.group) / MATMUL_WIDE * MATMUL_WIDE;
        if (c.group >= MATMUL_WIDE && c.group < 2 * s->shape.n) choose(s, c);
    }
}

/* ---- lowering and compiling ---- */

static bool wanted(const shapes *all, const char *kernel)
{
    vec_foreach (tuned_shape, s, all)
        vec_foreach (const char *, k, &s->kernels)
            if (!strcmp(*k, kernel)) return true;
    return false;
}

static kmodule *lower_with(const tuning *t, const tuned *with, arena *a)
{
    lower_target target = t->target;
    target.tuned = (tuned *)with;
    target.separate_matmuls = true; /* each is timed by itself */
    target.remarks = false;
    return lower_module(t->m, a, t->d, &target);
}

/* The shapes' kernels alone, as they are with choice `nth` of each (the best so far where it has no such). */
static bool make_variant(const tuning *t, const shapes *all, int nth, arena *a, variant *v)
{
    tuned with = {.a = a};
    vec_foreach (tuned_shape, s, all) {
        tuned_line l = {.shape = s->shape,
                        .vector_bits = 32 * t->target.vector_floats,
                        .registers = t->target.registers,
                        .schedule = nth < s->n_choices ? s->choices[nth] : s->best};
        tuned_put(&with, &l);
    }
    kmodule *whole = lower_with(t, &with, a);
    if (!whole) return false;
    v->km = kmodule_new(a, whole->names, whole->sources, whole->name);
    for (uint32_t i = 0; i < whole->functions.len; i++)
        if (wanted(all, whole->functions.data[i]->name)) vec_push(a, &v->km->functions, whole->functions.data[i]);
    expand_math(v->km);
    v->jit = codegen_jit_new(v->km, t->options, t->d);
    return v->jit;
}

typedef struct {
    const kmodule *km;
    shapes *all;
    const tuned *asked;
    arena *a;
} search;

/* A launch of the entry: if it is a matmul, its shape and kernel are noted. */
static void note_launch(void *arg, const kop *launch)
{
    search *f = arg;
    vec_foreach (tuned_use, u, &f->asked->uses) {
        if (strcmp(u->shape.kernel, launch->at.callee) || wanted(f->all, launch->at.callee)) continue;
        tuned_shape *at = NULL;
        vec_foreach (tuned_shape, s, f->all)
            if (matmul_shape_equal(&s->shape, &u->shape)) at = s;
        if (!at) {
            tuned_shape s = {.shape = u->shape, .rule = u->schedule, .best = u->schedule};
            s.shape.kernel = NULL;
            vec_push(f->a, f->all, s);
            at = &vec_last(f->all);
        }
        vec_push(f->a, &at->kernels, launch->at.callee);
    }
}

static bool find_shapes(const tuning *t, shapes *all)
{
    tuned none = {.a = t->a};
    const kmodule *km = lower_with(t, &none, t->a);
    if (!km) return false;
    search f = {km, all, &none, t->a};
    plan_foreach_launch(kmodule_find(km, t->entry), note_launch, &f);
    return true;
}

/* ---- running ---- */

typedef struct {
    const kfunction *f;
    uint8_t *memory;
    uint64_t bytes;
    void **bufs; /* of the next call */
    int cycled;  /* the parameter of which there are copies; -1: none */
    uint8_t *first;
    uint64_t step;
    uint32_t copies, next;
    void *scratch;
} stage;

static uint64_t value_of(const kfunction *f, dim d, const int64_t *dims)
{
    int64_t v;
    return dim_eval(f->dims, d, dims, &v) && v > 0 ? (uint64_t)v : 0;
}

static uint64_t round_up(uint64_t v)
{
    return (v + 4095) / 4096 * 4096;
}

/* Small numbers that differ, so that no sum overflows and nothing is denormal. */
static void fill(const kbuffer *b, uint8_t *p, uint64_t bytes)
{
    if (!dtype_is_float(b->dt)) return; /* zeros */
    uint64_t n = bytes * 8 / dtype_bits(b->dt);
    for (uint64_t i = 0; i < n; i++) dtype_store_f64(b->dt, p, i, (double)(i * 2654435761u % 255) / 128 - 1);
}

/* Memory for a kernel's buffers. Its largest constant one, the weights, is there so often that no cache holds them all.
 */
static bool set_stage(const tuning *t, const kfunction *f, stage *s)
{
    *s = (stage){.f = f, .cycled = -1, .copies = 1};
    uint64_t *sizes = ARENA_ARRAY(t->a, uint64_t, f->params.len), most = 0;
    uint64_t far = 4 * (uint64_t)t->target.machine->l3_bytes;
    s->bufs = ARENA_ARRAY(t->a, void *, f->params.len);
    if (far > 256u << 20) far = 256u << 20;
    for (uint32_t i = 0; i < f->params.len; i++) {
        const kparam *p = &f->params.data[i];
        dim bytes = kbuffer_bytes(f->dims, &p->v->ty.buf);
        sizes[i] = round_up(value_of(f, bytes, t->dims)) + 4096;
        if (p->mode == KACCESS_IN && dim_is_const(f->dims, bytes, NULL) && sizes[i] > most)
            most = sizes[i], s->cycled = (int)i;
    }
    if (s->cycled >= 0) {
        s->step = most;
        s->copies = (uint32_t)(far / most + 1);
    }
    uint64_t scratch = round_up(value_of(f, kernel_scratch_bytes(f), t->dims)) + 4096;
    s->bytes = scratch;
    for (uint32_t i = 0; i < f->params.len; i++) s->bytes += sizes[i] * ((int)i == s->cycled ? s->copies : 1);
    s->memory = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s->memory == MAP_FAILED) {
        s->memory = NULL;
        diag_error(t->d, (span){0, 0}, "no memory to tune with: %s", strerror(errno));
        return false;
    }
    uint8_t *at = s->memory;
    s->scratch = at;
    at += scratch;
    for (uint32_t i = 0; i < f->params.len; i++) {
        s->bufs[i] = at;
        fill(&f->params.data[i].v->ty.buf, at, sizes[i] - 4096);
        for (uint32_t c = 0; (int)i == s->cycled && c < s->copies; c++, at += sizes[i])
            if (c) memcpy(at, s->bufs[i], sizes[i] - 4096);
        if ((int)i != s->cycled) at += sizes[i];
    }
    if (s->cycled >= 0) s->first = s->bufs[s->cycled];
    return true;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double run_once(const tuning *t, stage *s, const variant *v)
{
    struct rt_fault fault = {.index = INT64_MAX, .arg = INT64_MAX};
    if (s->cycled >= 0) {
        s->bufs[s->cycled] = s->first + s->next * s->step;
        s->next = (s->next + 1) % s->copies;
    }
    rt_kernel_fn *fn = codegen_jit_kernel(v->jit, s->f->name);
    int64_t tasks = codegen_jit_tasks(v->jit, s->f->name, t->dims);
    double start = now();
    fn(s->bufs, t->dims, s->scratch, &fault, 0, tasks);
    return (now() - start) * 1e6;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_size);
    return v[n / 2];
}

/* Adds to us[] the time of a kernel in each of n variants. They run in turn, and each is compared with the first of
 * its round: the clock may change from round to round. */
static bool time_kernel(const tuning *t, const char *kernel, const variant *const *v, int n, double *us)
{
    double samples[MAX_CHOICES][MAX_ROUNDS];
    int rounds = MIN_ROUNDS;
    const kfunction *largest = NULL; /* which scratch a variant needs depends on its schedule */
    for (int i = 0; i < n; i++) {
        const kfunction *f = kmodule_find(v[i]->km, kernel);
        assert(f && "a kernel keeps its name whatever its schedule");
        if (!largest ||
            value_of(f, kernel_scratch_bytes(f), t->dims) > value_of(largest, kernel_scratch_bytes(largest), t->dims))
            largest = f;
    }
    stage s;
    bool ok = set_stage(t, largest, &s);
    for (int r = -1; ok && r < rounds; r++) { /* the first one warms up */
        double last = 0;
        for (int k = 0; k < n; k++) {
            int i = (k + r + 1) % n;
            last = run_once(t, &s, v[i]);
            if (r >= 0) samples[i][r] = last;
        }
        if (r < 0 && last * MIN_ROUNDS < SAMPLES_US)
            rounds = last * MAX_ROUNDS < SAMPLES_US ? MAX_ROUNDS : (int)(SAMPLES_US / last);
    }
    for (int i = 1; ok && i < n; i++)
        for (int r = 0; r < rounds; r++) samples[i][r] /= samples[0][r];
    double first = ok ? median(samples[0], rounds) : 0;
    us[0] += first;
    for (int i = 1; ok && i < n; i++) us[i] += first * median(samples[i], rounds);
    if (s.memory) munmap(s.memory, s.bytes);
    return ok;
}

static bool time_shape(const tuning *t, const tuned_shape *s, const variant *const *v, int n, double *us)
{
    memset(us, 0, (size_t)n * sizeof *us);
    vec_foreach (const char *, k, &s->kernels)
        if (!time_kernel(t, *k, v, n, us)) return false;
    return true;
}

/* ---- the search ---- */

typedef void choices_fn(tuned_shape *s, const lower_target *t);

/* The best of the choices, if it beats the first one twice: the best of several is always lucky, too. */
static bool keep_best(const tuning *t, tuned_shape *s, const variant *all)
{
    const variant *v[MAX_CHOICES];
    double us[MAX_CHOICES], again[2];
    int best = 0;
    for (int i = 0; i < s->n_choices; i++) v[i] = &all[i];
    if (!time_shape(t, s, v, s->n_choices, us)) return false;
    for (int i = 1; i < s->n_choices; i++)
        if (us[i] < us[best]) best = i;
    if (!s->rule_us) s->rule_us = s->best_us = us[0];
    if (us[best] > WORTH * us[0]) return true;
    v[1] = &all[best];
    if (!time_shape(t, s, v, 2, again)) return false;
    if (again[1] > WORTH * again[0]) return true;
    s->best = s->choices[best];
    s->best_us *= again[1] / again[0];
    return true;
}

static bool step(const tuning *t, shapes *all, choices_fn *choices)
{
    arena *a = arena_within(t->a);
    variant v[MAX_CHOICES] = {{0}};
    int most = 0;
    vec_foreach (tuned_shape, s, all) {
        s->n_choices = 0;
        choose(s, s->best);
        choices(s, &t->target);
        if (s->n_choices > most) most = s->n_choices;
    }
    bool ok = true;
    for (int i = 0; ok && i < most; i++) ok = make_variant(t, all, i, a, &v[i]);
    vec_foreach (tuned_shape, s, all) ok = ok && keep_best(t, s, v);
    for (int i = 0; i < most; i++) codegen_jit_free(v[i].jit);
    arena_free(a);
    return ok;
}

bool tune(const tuning *t, tuned *out, strbuf *report)
{
    static choices_fn *const steps[] = {choose_tiles, choose_depths, choose_groups, choose_chunks, choose_levels};
    shapes all = {0};
    if (!find_shapes(t, &all)) return false;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (!step(t, &all, steps[i])) return false;
    vec_foreach (tuned_shape, s, &all) {
        double gain = 100 * (1 - s->best_us / s->rule_us);
        tuned_line l = {.shape = s->shape,
                        .vector_bits = 32 * t->target.vector_floats,
                        .registers = t->target.registers,
                        .schedule = s->best};
        if (memcmp(&s->best, &s->rule, sizeof s->best))
            l.note = arena_printf(t->a, "%.0f %% less time than by rule", gain);
        tuned_put(out, &l);
        strbuf_addf(report, "matmul n %lld k %lld: %.1f us, %s\n", (long long)s->shape.n, (long long)s->shape.k,
                    s->best_us, l.note ? l.note : "as by rule");
    }
    return true;
}
