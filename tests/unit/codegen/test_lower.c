/* Lowering against the truth: every function of every tests/programs/<name>.tir is lowered, and its plan run by the
 * kernel interpreter on random inputs over several sizes (1, primes, the bounds, empty where allowed) must agree with
 * the tensor interpreter. The kernel interpreter also reports what hardware would not: accesses out of bounds, races
 * between tasks, reads of unwritten memory. The program's shared object must then give the kernel interpreter's results
 * bit for bit, also where threads share out every task, and its guess of how much work a launch is must be near the
 * cost model's count. */
#include "codegen/codegen.h"
#include "codegen/describe.h"
#include "codegen/lower.h"
#include "codegen/plan_memory.h"
#include "codegen/tuned.h"
#include "ir/interp.h"
#include "ir/kir/kcost.h"
#include "ir/kir/kinterp.h"
#include "runtime/rt_internal.h"

#include <dirent.h>
#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define PROGRAMS "tests/programs"

typedef struct {
    arena *a;
    interner *names;
    source_set *sources;
    diags *d;
    module *m;
    kmodule *km;
    void *library; /* the shared object */
    tfx_model *model;
    tfx_model *shared; /* the same on threads, which share whatever has two tasks */
    int lanes;         /* f32 in a vector of the compiled code */
    bool exact;        /* compiled code has the fused multiply-add that the kernels ask for */
} lowered;

static void show(lowered *l)
{
    strbuf b = strbuf_new(l->a);
    diags_render_text(l->d, &b);
    print_error("%s", b.s);
}

static lowered lower_program(const char *name, lower_target t)
{
    lowered l = {.a = arena_new(NULL, NULL)};
    l.names = interner_new(l.a);
    l.sources = source_set_new(l.a);
    l.d = diags_new(l.a, l.sources, 0);
    const char *why = NULL, *path = arena_printf(l.a, PROGRAMS "/%s", name);
    const source_file *f = source_read(l.sources, path, path, &why);
    if (!f) fail_msg("%s: %s", path, why);
    l.m = module_parse(l.a, l.names, l.sources, l.d, f);
    if (l.m && module_verify(l.m, l.d)) l.km = lower_module(l.m, l.a, l.d, &t);
    if (!l.km || !kmodule_verify(l.km, l.d)) {
        show(&l);
        fail_msg("%s cannot be lowered", name);
    }
    return l;
}

/* Compiles the kernels as they stand and opens the model. */
static void load(lowered *l)
{
    char path[] = "/tmp/tfxc-program-XXXXXX", message[256] = "";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    codegen_options o = {.opt = 2};
    codegen_output out = {.kind = CODEGEN_SO, .path = path, .prefix = l->m->name};
    codegen_target target;
    bool ok = codegen_target_describe(&o, l->a, l->d, &target) &&
              codegen_emit(&(codegen_variant){l->km, codegen_describe(l->m, &l->km, 1, "", "test", l->a), &o}, 1, &out,
                           l->a, l->d);
    l->exact = ok && target.fma;
    l->lanes = target.vector_bytes / 4;
    if (ok) l->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    unlink(path);
    if (!l->library) {
        show(l);
        fail_msg("%s cannot be compiled or loaded: %s", l->m->name, ok ? dlerror() : "see above");
    }
    tfx_model_v1_fn *api = (tfx_model_v1_fn *)(uintptr_t)dlsym(l->library, TFX_MODEL_SYMBOL);
    assert_non_null(api);
    tfx_options open = TFX_OPTIONS_INIT;
    open.message = message;
    open.message_bytes = sizeof message;
    if (api()->open(&open, &l->model) != TFX_OK) fail_msg("%s", message);
    open.threads = 3;
    if (api()->open(&open, &l->shared) != TFX_OK) fail_msg("%s", message);
    rt_handle_of(l->shared)->grain = 0;
}

static void release(lowered *l)
{
    if (l->model) l->model->api->close(l->model);
    if (l->shared) l->shared->api->close(l->shared);
    if (l->library) dlclose(l->library);
    arena_free(l->a);
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Ordinary numbers; numbers of which many are equal; with NaN and infinities among them. */
typedef enum { INPUT_SPREAD, INPUT_TIED, INPUT_SPECIAL, INPUT_KINDS } input_kind;

static double random_float(input_kind kind, uint64_t r)
{
    static const double special[] = {NAN, INFINITY, -INFINITY, -0.0};
    if (kind == INPUT_SPECIAL && r % 64 < 4) return special[r % 64];
    if (kind == INPUT_TIED) return (double)(r >> 11 & 7) / 2 - 2;
    return (double)(float)((double)(r >> 11) * 0x1p-51 - 2.0);
}

static tensor *random_tensor(lowered *l, const type *t, const int64_t *dims, input_kind kind, uint64_t *state)
{
    int64_t shape[MAX_RANK];
    for (int i = 0; i < t->rank; i++) assert_true(dim_eval(l->m->dims, t->shape[i], dims, &shape[i]));
    tensor *x = tensor_new(l->a, t->dt, t->rank, shape);
    uint64_t n = tensor_elements(x);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t r = next_random(state);
        if (dtype_is_float(t->dt)) x->u.f[i] = random_float(kind, r);
        else x->u.i[i] = t->dt == DT_BOOL ? (int64_t)(r % 4 != 0) : (int64_t)(r % 11);
    }
    return x;
}

static kbinding bind_tensor(lowered *l, const tensor *x)
{
    uint64_t bytes = dtype_bytes(x->dt, tensor_elements(x));
    kbinding b = {arena_alloc(l->a, bytes, 64), bytes};
    tensor_to_bytes(x, b.data);
    return b;
}

/* Floats may differ by `tolerance` (1 + |expected|). */
static void compare(const char *what, const tensor *want, const tensor *got, double tolerance)
{
    uint64_t n = tensor_elements(want);
    for (uint64_t i = 0; i < n; i++) {
        if (!dtype_is_float(want->dt)) {
            if (want->u.i[i] != got->u.i[i])
                fail_msg("%s: element %llu is %lld, expected %lld", what, (unsigned long long)i, (long long)got->u.i[i],
                         (long long)want->u.i[i]);
            continue;
        }
        double w = want->u.f[i], g = got->u.f[i];
        if (isnan(w) && isnan(g)) continue;
        if (!(w == g) && !(fabs(w - g) <= tolerance * (1 + fabs(w))))
            fail_msg("%s: element %llu is %.9g, expected %.9g", what, (unsigned long long)i, g, w);
    }
}

/* One call of a function: packed inputs, the truth, and room for the results that others compute. */
typedef struct {
    const function *f;
    uint32_t entry, n_args, n_results;
    tensor **args, **want;
    kbinding *params;
    const char *what;
} call;

static void clear_results(const call *c)
{
    for (uint32_t i = 0; i < c->n_results; i++)
        memset(c->params[c->n_args + i].data, 0x5a, c->params[c->n_args + i].bytes);
}

static tensor *result(lowered *l, const call *c, uint32_t i)
{
    const tensor *like = c->want[i];
    return tensor_from_bytes(l->a, like->dt, like->rank, like->shape, c->params[c->n_args + i].data);
}

/* The compiled function on the same arguments: its results are the kernel interpreter's, `kernels`. */
static void check_compiled(lowered *l, const call *c, tensor *const *kernels)
{
    uint32_t n = c->n_args + c->n_results;
    tfx_tensor *t = ARENA_ARRAY(l->a, tfx_tensor, n);
    for (uint32_t i = 0; i < n; i++) {
        const tensor *x = i < c->n_args ? c->args[i] : c->want[i - c->n_args];
        t[i] = (tfx_tensor){.data = c->params[i].data, .shape = x->shape, .dtype = (int32_t)x->dt, .rank = x->rank};
    }
    tfx_args args = {t, t + c->n_args, NULL, c->n_args, c->n_results, 0, 0};
    for (int threads = 0; threads < 2; threads++) {
        tfx_model *m = threads ? l->shared : l->model;
        clear_results(c);
        if (tfx_run(m, c->entry, &args) != TFX_OK) fail_msg("%s: %s", c->what, tfx_error(m));
        for (uint32_t i = 0; i < c->n_results; i++)
            compare(arena_printf(l->a, "%s, compiled%s, result %u", c->what, threads ? " for threads" : "", i),
                    kernels[i], result(l, c, i), l->exact ? 0 : 2e-5);
    }
}

/* The compiled guess of a launch's work: between the cost model's instructions, were all of them fused multiply-adds,
 * and those, were none, with what the model does not count: scalars, up to what is worth handing out. */
static void check_work(const lowered *l, const struct rt_launch *launch, const klaunch_cost *c, const int64_t *dims,
                       const char *what)
{
    int64_t *at = ARENA_ARRAY(l->a, int64_t, c->launch->n_launch_dims);
    for (uint32_t i = 0; i < c->launch->n_launch_dims; i++)
        assert_true(dim_eval(l->m->dims, c->launch->launch_dims[i], dims, &at[i]));
    double vectors = c->cost.work / l->lanes, accesses = c->cost.l1_bytes / (4 * l->lanes);
    double guess = (double)launch->work(at);
    if (guess < (vectors / 2 + accesses) / 3 || guess > 3 * (vectors + accesses) + RT_POOL_GRAIN)
        fail_msg("%s: kernel %s: guessed %.0f instructions, counted %.0f to %.0f", what, c->kernel->name, guess,
                 vectors / 2 + accesses, vectors + accesses);
}

typedef struct {
    const kop *launch;
    uint32_t number;
    bool found;
} search;

static void pass_launch(void *arg, const kop *op)
{
    search *s = arg;
    s->found |= op == s->launch;
    s->number += !s->found;
}

/* Of the plan's launches, those of branches that are not taken included. */
static uint32_t number_of(const kfunction *plan, const kop *launch)
{
    search s = {.launch = launch};
    plan_foreach_launch(plan, pass_launch, &s);
    assert_true(s.found);
    return s.number;
}

/* What the cost model counts without running anything is what the interpreter did. */
static void check_costs(lowered *l, uint32_t entry, const kfunction *plan, const int64_t *dims,
                        const kinterp_result *did, const char *what)
{
    machine m = machine_default(l->a, "", 32 * (l->lanes ? l->lanes : 8), 16);
    klaunch_costs costs;
    double flops = 0, loaded = 0, stored = 0;
    if (!plan_cost(plan, dims, &m, l->a, &costs)) fail_msg("%s: no costs", what);
    const struct rt_entry *e = l->model ? &rt_handle_of(l->model)->entries[entry] : NULL;
    vec_foreach (klaunch_cost, c, &costs) {
        if (!c->cost.exact) return;
        if (e) check_work(l, &e->launches[number_of(plan, c->launch)], c, dims, what);
        flops += c->cost.flops;
        loaded += c->cost.loaded;
        stored += c->cost.stored;
    }
    if (flops != (double)did->flops || loaded != (double)did->bytes_loaded || stored != (double)did->bytes_stored)
        fail_msg("%s: counted %.0f FLOPs, %.0f bytes loaded, %.0f stored; done %llu, %llu, %llu", what, flops, loaded,
                 stored, (unsigned long long)did->flops, (unsigned long long)did->bytes_loaded,
                 (unsigned long long)did->bytes_stored);
}

/* Takes what a run counts into the array of dims. */
static void note_count(void *dims, const value *v, const tensor *t)
{
    const node *n = v->def;
    if (!(op_row(n->op)->props & P_COUNTS)) return;
    ((int64_t *)dims)[dim_is_symbol(n->fn->m->dims, node_attr(n, ATTR_TOKENS)->u.d)] = t->shape[0];
}

static void check_call(lowered *l, uint32_t entry, int64_t *dims, input_kind kind, uint64_t seed)
{
    const function *f = l->m->functions.data[entry];
    const kfunction *plan = kmodule_find(l->km, f->name);
    call c = {.f = f, .entry = entry, .n_args = f->args.len, .n_results = f->results.len};
    c.args = ARENA_ARRAY(l->a, tensor *, c.n_args);
    c.want = ARENA_ARRAY(l->a, tensor *, c.n_results);
    c.params = ARENA_ARRAY(l->a, kbinding, plan->params.len);
    c.what = arena_printf(l->a, "%s at sizes %lld, %lld with inputs %d", f->name, (long long)dims[0],
                          (long long)dims[1], kind);
    for (uint32_t i = 0; i < c.n_args; i++) {
        c.args[i] = random_tensor(l, &f->args.data[i].v->ty, dims, kind, &seed);
        c.params[i] = bind_tensor(l, c.args[i]);
    }
    interp_options io = {.observe = note_count, .observe_arg = dims};
    bool ok = interp_run(f, c.args, dims, &io, l->a, l->d, c.want);
    for (uint32_t i = 0; ok && i < c.n_results; i++) c.params[c.n_args + i] = bind_tensor(l, c.want[i]);
    if (ok) clear_results(&c);
    kinterp_options ko = {.seed = seed | 1};
    kinterp_result did;
    ok = ok && kinterp_run(plan, dims, c.params, &ko, l->a, l->d, &did);
    if (!ok) {
        show(l);
        fail_msg("%s failed", c.what);
    }
    check_costs(l, entry, plan, dims, &did, c.what);
    tensor **kernels = ARENA_ARRAY(l->a, tensor *, c.n_results);
    for (uint32_t i = 0; i < c.n_results; i++) {
        kernels[i] = result(l, &c, i);
        compare(arena_printf(l->a, "%s, result %u", c.what, i), c.want[i], kernels[i], 2e-5);
    }
    if (l->model) check_compiled(l, &c, kernels);
}

static const lower_target wide = {.vector_floats = 16, .registers = 32};

/* Every `every`th size. */
static void check_sizes(lowered *l, size_t every)
{
    static const int64_t sizes[] = {0, 1, 2, 3, 13, 32, 45, 65, 67, 131};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    uint32_t symbols = dim_symbol_count(l->m->dims);
    int64_t *dims = ARENA_ARRAY(l->a, int64_t, symbols + 2);
    for (uint32_t i = 0; i < l->m->functions.len; i++) {
        uint64_t seed = i;
        for (size_t k = 0; k < SIZES; k += every) {
            /* The first dim (a batch) stays small; the others take the sizes in turn. */
            for (uint32_t s = 0; s < symbols; s++) {
                const dim_symbol *d = dim_symbol_at(l->m->dims, s);
                int64_t v = sizes[(k + 3 * s) % SIZES];
                if (s == 0) v = 1 + (int64_t)(k % 3);
                dims[s] = v < d->min ? d->min : v > d->max ? d->max : v;
            }
            input_kind kind = (input_kind)((k + i) % INPUT_KINDS);
            check_call(l, i, dims, kind, seed++);
        }
    }
}

/* One schedule of a program; `compiled`: also as machine code. */
static void check_schedule(const char *program, lower_target t, bool compiled, size_t every)
{
    lowered l = lower_program(program, t);
    expand_math(l.km);
    if (compiled) load(&l);
    check_sizes(&l, every);
    release(&l);
}

/* Caches so small that work is cut into blocks; and matmuls in a row become one kernel, if that is ever done, from few
 * rows on, because weights come at once. */
static machine small_machine(arena *a, int vector_bits, int registers)
{
    machine m = machine_default(a, "", vector_bits, registers);
    m.l2_bytes = 4096;
    m.l3_gb_per_s = m.dram_gb_per_s = 1e6;
    return m;
}

/* This machine's schedule as it is, and for a smaller one; then those of others. */
static void check_program(void **state)
{
    arena *a = arena_new(NULL, NULL);
    diags *d = diags_new(a, NULL, 0);
    codegen_options o = {.opt = 2};
    codegen_target native;
    assert_true(codegen_target_describe(&o, a, d, &native));
    lower_target t = {.vector_floats = native.vector_bytes / 4, .registers = native.registers};
    check_schedule(*state, t, true, 1);
    machine small = small_machine(a, 8 * native.vector_bytes, native.registers);
    t.machine = &small;
    check_schedule(*state, t, true, 2);
    machine small_wide = small_machine(a, 512, 32);
    lower_target other = wide;
    other.machine = &small_wide;
    check_schedule(*state, other, false, 4);
    check_schedule(*state, wide, false, 4);
    for (int floats = 8; floats >= 4; floats /= 2)
        check_schedule(*state, (lower_target){.vector_floats = floats, .registers = 16}, false, 4);
    arena_free(a);
}

/* Whatever schedule a file may ask for, the sums are right: in the interpreter, tiles of many heights take long to
 * compile. */
static void test_any_schedule_is_right(void **state)
{
    (void)state;
    static const matmul_schedule odd[] = {
        {.rows = 1, .cols = 4, .wide = 0, .depth = 8, .chunk = 1, .group = 32, .level = 0},
        {.rows = 32, .cols = 16, .wide = 16, .depth = 16, .chunk = 1, .group = 64, .level = 1},
        {.rows = 3, .cols = 32, .wide = 2, .depth = 1 << 20, .chunk = 1 << 20, .group = 65536, .level = 2},
        {.rows = 5, .cols = 8, .wide = 16, .depth = 24, .chunk = 2, .group = 96, .level = 2},
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        arena *a = arena_new(NULL, NULL);
        tuned t = {.a = a};
        lower_target target = wide;
        target.tuned = &t;
        lowered l = lower_program("contract.tir", target);
        assert_true(t.uses.len > 3);
        vec_foreach (tuned_use, u, &t.uses) {
            tuned_line line = {.shape = u->shape, .vector_bits = 512, .registers = 32, .schedule = odd[i]};
            tuned_put(&t, &line);
        }
        release(&l);
        l = lower_program("contract.tir", target);
        vec_foreach (tuned_line, line, &t.lines) assert_true(line->used);
        expand_math(l.km);
        check_sizes(&l, 5);
        release(&l);
        arena_free(a);
    }
}

/* Layers of one shape share one kernel: the two equal projections of `linear` programs below do. */
static void test_kernels_are_shared(void **state)
{
    (void)state;
    lowered l = lower_program("elementwise.tir", wide);
    uint32_t kernels = 0, launches = 0;
    for (uint32_t i = 0; i < l.km->functions.len; i++) {
        const kfunction *f = l.km->functions.data[i];
        if (f->target != KTARGET_PLAN) kernels++;
        else kblock_foreach(op, f->body) launches += op->op == KOP_LAUNCH;
    }
    assert_true(kernels < launches);
    release(&l);
}

/* Casts of narrow parameters are done where the parameters are read: no kernel more, and what is stored is narrow. */
static void test_narrow_parameters_cost_no_kernel(void **state)
{
    (void)state;
    static const struct {
        const char *function;
        uint32_t launches;
    } want[] = {{"linear", 1}, {"half", 1}, {"views_between", 2}, {"batched", 1}, {"lookup", 1}};
    lowered l = lower_program("narrow.tir", wide);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const kfunction *f = kmodule_find(l.km, want[i].function);
        uint32_t launches = 0;
        kblock_foreach(op, f->body) launches += op->op == KOP_LAUNCH;
        if (launches != want[i].launches) fail_msg("@%s launches %u kernels", f->name, launches);
        for (uint32_t k = 0; k < f->params.len; k++) {
            const kparam *p = &f->params.data[k];
            if (p->weight && dtype_bits(p->weight->dt) > 16) fail_msg("@%s stores %s wide", f->name, p->tensor);
        }
    }
    release(&l);
}

/* No less than what was done, and no more than a panel of scores adds. */
static bool is_most(double counted, uint64_t did)
{
    return counted >= (double)did && counted <= 1.2 * (double)did;
}

/* Which keys a mask leaves is not known before the run: all are counted, and whole panels of them. */
static void test_keys_under_a_mask_are_counted(void **state)
{
    (void)state;
    lowered l = lower_program("attention.tir", wide);
    const kfunction *plan = kmodule_find(l.km, "masked");
    machine m = machine_default(l.a, "", 512, 32);
    expand_math(l.km);
    for (int64_t keys = 1; keys <= 70; keys += 23) {
        const int64_t dims[] = {3, 45, keys};
        kbinding *params = ARENA_ARRAY(l.a, kbinding, plan->params.len);
        for (uint32_t i = 0; i < plan->params.len; i++) {
            int64_t bytes;
            assert_true(dim_eval(l.m->dims, kbuffer_bytes(plan->dims, &plan->params.data[i].v->ty.buf), dims, &bytes));
            params[i] = (kbinding){arena_alloc(l.a, (size_t)bytes, 1024), (uint64_t)bytes};
            memset(params[i].data, 1, (size_t)bytes); /* true; floats that are finite */
        }
        klaunch_costs costs;
        assert_true(plan_cost(plan, dims, &m, l.a, &costs));
        assert_int_equal(costs.len, 1);
        const kcost *c = &costs.data[0].cost;
        for (int masked = 0; masked < 2; masked++) {
            if (masked) memset(params[3].data, 0, params[3].bytes);
            kinterp_options o = {0};
            kinterp_result did;
            if (!kinterp_run(plan, dims, params, &o, l.a, l.d, &did)) show(&l);
            bool all = is_most(c->flops, did.flops) && is_most(c->loaded, did.bytes_loaded) &&
                       is_most(c->stored, did.bytes_stored);
            bool more = c->flops > (double)did.flops && c->loaded > (double)did.bytes_loaded;
            if (c->exact || !(masked ? more : all))
                fail_msg("%lld keys, masked %d: counted %.0f FLOPs, %.0f bytes; done %llu, %llu", (long long)keys,
                         masked, c->flops, c->loaded, (unsigned long long)did.flops,
                         (unsigned long long)did.bytes_loaded);
        }
    }
    release(&l);
}

static uint32_t launches_of(const kblock *b, const char *kernel)
{
    uint32_t n = 0;
    kblock_foreach(op, b)
    {
        n += op->op == KOP_LAUNCH && !strncmp(op->at.callee, kernel, strlen(kernel));
        for (uint32_t i = 0; i < op->n_blocks; i++) n += launches_of(op->blocks[i], kernel);
    }
    return n;
}

/* Which matmuls become one kernel: in a branch beside their own, or always. */
static void test_pairs_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *function;
        uint32_t together, alone;
    } want[] = {{"feed_forward", 1, 2}, {"primes", 1, 2},    {"gated", 1, 2},           {"gate_from_memory", 1, 2},
                {"deep", 1, 2},         {"narrow", 1, 2},    {"narrow_between", 1, 2},  {"double", 1, 2},
                {"fixed", 1, 0},        {"chain", 1, 3},     {"read_twice", 0, 2},      {"also_result", 0, 2},
                {"turned", 0, 2},       {"placed", 0, 2},    {"part_of_rows", 0, 2},    {"part_of_columns", 0, 2},
                {"named", 0, 2},        {"read_late", 1, 2}, {"residual_of_rows", 1, 2}};
    arena *a = arena_new(NULL, NULL);
    machine m = small_machine(a, 256, 16);
    lower_target t = {.vector_floats = 8, .registers = 16, .machine = &m};
    lowered l = lower_program("pairs.tir", t);
    assert_int_equal(l.m->functions.len, sizeof want / sizeof *want);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const kfunction *f = kmodule_find(l.km, want[i].function);
        uint32_t together = launches_of(f->body, "matmuls_"), alone = launches_of(f->body, "matmul_");
        if (together != want[i].together || alone != want[i].alone)
            fail_msg("@%s launches %u pairs and %u matmuls", f->name, together, alone);
    }
    release(&l);
    /* A file of schedules may give the two tiles of different heights. */
    matmul_shape shape = {.weights = DT_F32, .sums = DT_F32, .n = 900, .k = 40};
    tuned_line line = {.shape = shape, .vector_bits = 256, .registers = 16};
    line.schedule = matmul_schedule_by_rule(&t, &shape);
    line.schedule.rows--;
    tuned file = {.a = a};
    tuned_put(&file, &line);
    t.tuned = &file;
    l = lower_program("pairs.tir", t);
    assert_int_equal(launches_of(kmodule_find(l.km, "feed_forward")->body, "matmuls_"), 0);
    assert_int_equal(launches_of(kmodule_find(l.km, "gated")->body, "matmuls_"), 1);
    release(&l);
    t.separate_matmuls = true;
    l = lower_program("pairs.tir", t);
    for (uint32_t i = 0; i < l.km->functions.len; i++)
        assert_int_equal(launches_of(l.km->functions.data[i]->body, "matmuls_"), 0);
    release(&l);
    arena_free(a);
}

/* A kernel with such a name reads and writes a buffer. */
static bool writes_in_place(const lowered *l, const kblock *b, const char *kernel)
{
    kblock_foreach(op, b)
    {
        const kfunction *f = op->op == KOP_LAUNCH ? kmodule_find(l->km, op->at.callee) : NULL;
        for (uint32_t i = 0; f && !strncmp(f->name, kernel, strlen(kernel)) && i < f->params.len; i++)
            if (f->params.data[i].mode == KACCESS_INOUT) return true;
        for (uint32_t i = 0; i < op->n_blocks; i++)
            if (writes_in_place(l, op->blocks[i], kernel)) return true;
    }
    return false;
}

/* Which norms are in the kernel of the matmuls beside them, which have kernels beside it (in the branch for few rows,
 * or for all), and whether it writes where it reads. */
static void test_norms_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *function;
        uint32_t together, alone;
        bool in_place;
    } want[] = {{"norm_behind", 1, 1, false},    {"norm_before", 1, 1, true},    {"gated_between", 1, 2, false},
                {"gated_always", 1, 0, false},   {"primes", 1, 2, false},        {"deep", 1, 0, false},
                {"double", 1, 2, false},         {"fixed", 1, 0, false},         {"views", 1, 2, false},
                {"residual_behind", 1, 2, true}, {"placed_behind", 1, 1, false}, {"read_before", 1, 1, false},
                {"read_behind", 1, 1, false},    {"named_before", 1, 1, false},  {"named_behind", 1, 1, false},
                {"columns", 1, 2, false},        {"halves", 1, 2, false},        {"some_rows", 1, 1, false}};
    arena *a = arena_new(NULL, NULL);
    machine m = small_machine(a, 256, 16);
    lower_target t = {.vector_floats = 8, .registers = 16, .machine = &m};
    lowered l = lower_program("row_blocks.tir", t);
    assert_int_equal(l.m->functions.len, sizeof want / sizeof *want);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const kfunction *f = kmodule_find(l.km, want[i].function);
        uint32_t together = launches_of(f->body, "matmuls_"), alone = launches_of(f->body, "normalize_");
        bool in_place = writes_in_place(&l, f->body, "matmuls_");
        if (together != want[i].together || alone != want[i].alone || in_place != want[i].in_place)
            fail_msg("@%s launches %u blocks%s and %u norms", f->name, together, in_place ? " in place" : "", alone);
    }
    release(&l);
    t.separate_matmuls = true;
    l = lower_program("row_blocks.tir", t);
    for (uint32_t i = 0; i < l.km->functions.len; i++)
        assert_int_equal(launches_of(l.km->functions.data[i]->body, "matmuls_"), 0);
    release(&l);
    arena_free(a);
}

/* A function's first result in the kernel interpreter, on inputs that `seed` decides; and what it did. */
static kbinding run_kernels(lowered *l, uint32_t entry, const int64_t *dims, input_kind kind, uint64_t seed,
                            kinterp_result *did)
{
    const function *f = l->m->functions.data[entry];
    const kfunction *plan = kmodule_find(l->km, f->name);
    kbinding *params = ARENA_ARRAY(l->a, kbinding, plan->params.len), none = {0};
    for (uint32_t i = 0; i < f->args.len + f->results.len; i++) {
        const value *v = i < f->args.len ? f->args.data[i].v : f->results.data[i - f->args.len].v;
        params[i] = bind_tensor(l, random_tensor(l, &v->ty, dims, kind, &seed));
    }
    kinterp_options ko = {.seed = 1};
    if (kinterp_run(plan, dims, params, &ko, l->a, l->d, did)) return params[f->args.len];
    show(l);
    fail_msg("%s failed", f->name);
    return none;
}

/* Matmuls and norms in one kernel give the bits of kernels of their own, and so do these on either side of the branch.
 */
static void test_blocks_change_no_bit(void **state)
{
    (void)state;
    static const char *const programs[] = {"pairs.tir", "row_blocks.tir"};
    arena *a = arena_new(NULL, NULL);
    for (size_t k = 0; k < 4; k++) {
        int registers = k / 2 ? 32 : 16;
        /* The number of rows from which on they are one kernel, and others on both sides of it. */
        const int64_t least = 16 * (k / 2 ? 14 : 6) * 2 / 3, rows[] = {1, least - 1, least, least + 1, 160};
        machine m = small_machine(a, 16 * registers, registers);
        lower_target t = {.vector_floats = registers / 2, .registers = registers, .machine = &m};
        lowered together = lower_program(programs[k % 2], t);
        t.separate_matmuls = true;
        lowered apart = lower_program(programs[k % 2], t);
        for (uint32_t i = 0; i < together.m->functions.len; i++)
            for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
                int64_t dims[] = {1, rows[r] - (rows[r] == 160 ? i % 7 : 0), 150 + i % 7};
                input_kind kind = (input_kind)((i + r) % INPUT_KINDS);
                kinterp_result did;
                kbinding x = run_kernels(&together, i, dims, kind, i, &did);
                kbinding y = run_kernels(&apart, i, dims, kind, i, &did);
                assert_int_equal(x.bytes, y.bytes);
                if (memcmp(x.data, y.data, x.bytes))
                    fail_msg("@%s differs at %lld rows", together.m->functions.data[i]->name, (long long)dims[1]);
            }
        release(&together);
        release(&apart);
    }
    arena_free(a);
}

/* Weights are fetched ahead once, however few rows there are: in one register tile or two, as deep as a round divides.
 */
static void test_weights_are_fetched_once(void **state)
{
    (void)state;
    static const struct {
        lower_target target;
        int64_t rows[5];
    } cases[] = {{{.vector_floats = 16, .registers = 32}, {1, 5, 14, 16, 28}},
                 {{.vector_floats = 8, .registers = 16}, {1, 2, 5, 6, 12}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lowered l = lower_program("few_rows.tir", cases[i].target);
        for (int r = 0; r < 5; r++) {
            kinterp_result did;
            run_kernels(&l, 0, (int64_t[]){1, cases[i].rows[r]}, INPUT_SPREAD, 1, &did);
            assert_int_equal(did.prefetches, 64 * 96 * sizeof(float) / 64); /* lines */
        }
        release(&l);
    }
}

/* Results take the buffers of operands that end there, and of no others: so many buffers remain. */
static void test_results_in_place(void **state)
{
    (void)state;
    static const struct {
        const char *function;
        uint32_t buffers, in_place; /* parameters that kernels read and write */
    } want[] = {{"residual", 2, 3},  {"still_read", 1, 0},  {"other_places", 4, 1},
                {"softmaxes", 2, 2}, {"both_halves", 2, 3}, {"windows", 1, 0}};
    lower_target target = wide;
    target.separate_matmuls = true;
    lowered l = lower_program("in_place.tir", target);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const kfunction *f = kmodule_find(l.km, want[i].function);
        uint32_t buffers = 0, in_place = 0;
        kblock_foreach(op, f->body)
        {
            buffers += op->op == KOP_ALLOC;
            const kfunction *kernel = op->op == KOP_LAUNCH ? kmodule_find(l.km, op->at.callee) : NULL;
            for (uint32_t k = 0; kernel && k < kernel->params.len; k++)
                in_place += kernel->params.data[k].mode == KACCESS_INOUT;
        }
        if (buffers != want[i].buffers || in_place != want[i].in_place)
            fail_msg("@%s has %u buffers, and %u are written in place", f->name, buffers, in_place);
    }
    release(&l);
}

static int is_program(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return n > 4 && !strcmp(e->d_name + n - 4, ".tir");
}

static const struct CMUnitTest others[] = {
    cmocka_unit_test(test_kernels_are_shared),       cmocka_unit_test(test_narrow_parameters_cost_no_kernel),
    cmocka_unit_test(test_any_schedule_is_right),    cmocka_unit_test(test_pairs_are_found),
    cmocka_unit_test(test_norms_are_found),          cmocka_unit_test(test_blocks_change_no_bit),
    cmocka_unit_test(test_results_in_place),         cmocka_unit_test(test_keys_under_a_mask_are_counted),
    cmocka_unit_test(test_weights_are_fetched_once),
};

int main(void)
{
    struct dirent **programs;
    int n = scandir(PROGRAMS, &programs, is_program, alphasort);
    if (n <= 0) return perror(PROGRAMS), 1;
    size_t all = (size_t)n + sizeof others / sizeof *others;
    struct CMUnitTest *tests = calloc(all, sizeof *tests);
    if (!tests) return perror("calloc"), 1;
    for (int i = 0; i < n; i++)
        tests[i] = (struct CMUnitTest){
            .name = programs[i]->d_name, .test_func = check_program, .initial_state = programs[i]->d_name};
    memcpy(tests + n, others, sizeof others);
    int failed = _cmocka_run_group_tests("lower", tests, all, NULL, NULL);
    for (int i = 0; i < n; i++) free(programs[i]);
    free(programs);
    free(tests);
    return failed;
}
