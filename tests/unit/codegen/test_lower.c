/* Lowering against the truth: every function of tests/programs/<name>.tir is lowered, and its plan run by the kernel interpreter on
 * random inputs over several sizes (1, primes, the bounds, empty where allowed) must agree with the tensor interpreter. The kernel
 * interpreter also reports what hardware would not: accesses out of bounds, races between tasks, reads of unwritten memory. */
#include "codegen/codegen.h"
#include "codegen/lower.h"
#include "ir/interp.h"
#include "ir/kir/kinterp.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct {
    arena *a;
    interner *names;
    source_set *sources;
    diags *d;
    module *m;
    kmodule *km;
} lowered;

static void show(lowered *l)
{
    strbuf b = strbuf_new(l->a);
    diags_render_text(l->d, &b);
    print_error("%s", b.s);
}

static lowered lower_program(const char *name, bool math)
{
    lowered l = {.a = arena_new(NULL, NULL)};
    l.names = interner_new(l.a);
    l.sources = source_set_new(l.a);
    l.d = diags_new(l.a, l.sources, 0);
    const char *why = NULL, *path = arena_printf(l.a, "tests/programs/%s.tir", name);
    const source_file *f = source_read(l.sources, path, path, &why);
    if (!f) fail_msg("%s: %s", path, why);
    l.m = module_parse(l.a, l.names, l.sources, l.d, f);
    lower_target t = {.vector_floats = 16, .registers = 32};
    if (l.m && module_verify(l.m, l.d)) l.km = lower_module(l.m, l.a, l.d, &t);
    if (l.km && math) expand_math(l.km);
    if (!l.km || !kmodule_verify(l.km, l.d)) {
        show(&l);
        fail_msg("%s cannot be lowered", name);
    }
    return l;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static tensor *random_tensor(lowered *l, const type *t, const int64_t *dims, uint64_t *state)
{
    int64_t shape[MAX_RANK];
    for (int i = 0; i < t->rank; i++) assert_true(dim_eval(l->m->dims, t->shape[i], dims, &shape[i]));
    tensor *x = tensor_new(l->a, t->dt, t->rank, shape);
    uint64_t n = tensor_elements(x);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t r = next_random(state);
        if (dtype_is_float(t->dt)) x->u.f[i] = (double)(float)((double)(r >> 11) * 0x1p-51 - 2.0);
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

static void compare(const char *what, const tensor *want, const tensor *got)
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
        if (!(w == g) && !(fabs(w - g) <= 2e-5 * (1 + fabs(w))))
            fail_msg("%s: element %llu is %.9g, expected %.9g", what, (unsigned long long)i, g, w);
    }
}

static void check_function(lowered *l, const function *f, const int64_t *dims, uint64_t seed)
{
    const kfunction *plan = kmodule_find(l->km, f->name);
    uint32_t n_args = f->args.len, n_results = f->results.len;
    tensor **args = ARENA_ARRAY(l->a, tensor *, n_args), **want = ARENA_ARRAY(l->a, tensor *, n_results);
    kbinding *params = ARENA_ARRAY(l->a, kbinding, plan->params.len);
    char what[128];
    for (uint32_t i = 0; i < n_args; i++) {
        args[i] = random_tensor(l, &f->args.data[i].v->ty, dims, &seed);
        params[i] = bind_tensor(l, args[i]);
    }
    interp_options io = {0};
    bool ok = interp_run(f, args, dims, &io, l->a, l->d, want);
    for (uint32_t i = 0; ok && i < n_results; i++) {
        params[n_args + i] = bind_tensor(l, want[i]);
        memset(params[n_args + i].data, 0x5a, params[n_args + i].bytes);
    }
    kinterp_options ko = {.seed = seed | 1};
    ok = ok && kinterp_run(plan, dims, params, &ko, l->a, l->d, NULL);
    if (!ok) {
        show(l);
        fail_msg("%s failed at sizes %lld, %lld", f->name, (long long)dims[0], (long long)dims[1]);
    }
    for (uint32_t i = 0; i < n_results; i++) {
        tensor *got = tensor_from_bytes(l->a, want[i]->dt, want[i]->rank, want[i]->shape, params[n_args + i].data);
        snprintf(what, sizeof what, "%s.%s at sizes %lld, %lld", f->name, f->results.data[i].name, (long long)dims[0],
                 (long long)dims[1]);
        compare(what, want[i], got);
    }
}

static void check_program(const char *name)
{
    static const int64_t sizes[] = {0, 1, 2, 3, 13, 32, 45, 65, 67, 131};
    lowered l = lower_program(name, true);
    uint32_t symbols = dim_symbol_count(l.m->dims);
    int64_t *dims = ARENA_ARRAY(l.a, int64_t, symbols + 2);
    for (uint32_t i = 0; i < l.m->functions.len; i++) {
        uint64_t seed = i;
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            for (uint32_t s = 0; s < symbols; s++) { /* the first dim (a batch) stays small; the others take the sizes in turn */
                const dim_symbol *d = dim_symbol_at(l.m->dims, s);
                int64_t v = sizes[(k + 3 * s) % (sizeof sizes / sizeof *sizes)];
                if (s == 0) v = 1 + (int64_t)(k % 3);
                dims[s] = v < d->min ? d->min : v > d->max ? d->max : v;
            }
            check_function(&l, l.m->functions.data[i], dims, seed++);
        }
    }
    arena_free(l.a);
}

static void test_elementwise(void **state)
{
    (void)state;
    check_program("elementwise");
}

static void test_move(void **state)
{
    (void)state;
    check_program("move");
}

static void test_contract(void **state)
{
    (void)state;
    check_program("contract");
}

static void test_rows(void **state)
{
    (void)state;
    check_program("rows");
}

static void test_attention(void **state)
{
    (void)state;
    check_program("attention");
}

/* Layers of one shape share one kernel: the two equal projections of `linear` programs below do. */
static void test_kernels_are_shared(void **state)
{
    (void)state;
    lowered l = lower_program("elementwise", false);
    uint32_t kernels = 0, launches = 0;
    for (uint32_t i = 0; i < l.km->functions.len; i++) {
        const kfunction *f = l.km->functions.data[i];
        if (f->target != KTARGET_PLAN) kernels++;
        else
            kblock_foreach(op, f->body) launches += op->op == KOP_LAUNCH;
    }
    assert_true(kernels < launches);
    arena_free(l.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elementwise), cmocka_unit_test(test_move),      cmocka_unit_test(test_contract),
        cmocka_unit_test(test_rows),        cmocka_unit_test(test_attention), cmocka_unit_test(test_kernels_are_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
