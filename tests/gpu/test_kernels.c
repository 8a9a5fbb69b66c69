/* Golden GPU kernels on a GPU: small ones against the kernel interpreter, large products against sums in f64, with
 * their speed. Without a driver or a GPU the program says so and ends with status 77, which ctest counts as skipped. */
#include "gpu/cuda_driver.h"
#include "unit/cmocka_all.h"
#include "unit/ptx/cases.h"

#include <math.h>
#include <stdio.h>

static cuda_driver *gpu; /* opened by main, before any test */

/* The GPU's own, or what the driver translates for it. */
static const char *processor(void)
{
    return session_has_processor(cuda_processor(gpu)) ? cuda_processor(gpu) : "sm_80";
}

static const char *execute(arena *a, const char *text, const char *entry, const ptx_run *run)
{
    return cuda_execute(gpu, a, text, entry, run, 1, NULL);
}

static bool runs_here(const char *sm)
{
    return strcmp(sm, "sm_90a") != 0 || !strcmp(processor(), "sm_90a");
}

static void test_against_the_interpreter(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ptx_case c = cases[i].c;
        if (!runs_here(c.sm)) continue;
        session s = session_new();
        c.sm = processor();
        c.opt = 2;
        c.execute = execute;
        expect_same_run(&s, session_read(&s, arena_printf(s.a, "tests/golden/%s", cases[i].file)), c);
        session_free(&s);
    }
}

/* ---- large products ---- */

typedef struct {
    session s;
    int64_t m, k, n;
    uint16_t *a, *b; /* bf16 [m, k], [n, k] */
    float *bias;
    void *c;
    dtype out;
} product;

static double random_unit(uint64_t i, uint64_t seed)
{
    return (double)(int32_t)hash_bytes(&i, sizeof i, seed) / 2147483648.0;
}

static product product_new(int64_t m, int64_t k, int64_t n, dtype out)
{
    product p = {.s = session_new(), .m = m, .k = k, .n = n, .out = out};
    p.a = arena_alloc(p.s.a, (size_t)(m * k) * 2, 256);
    p.b = arena_alloc(p.s.a, (size_t)(n * k) * 2, 256);
    p.bias = arena_alloc(p.s.a, (size_t)n * 4, 256);
    p.c = arena_alloc(p.s.a, (size_t)(m * n) * 4, 256);
    for (uint64_t i = 0; i < (uint64_t)(m * k); i++) dtype_store_f64(DT_BF16, p.a, i, random_unit(i, 1));
    for (uint64_t i = 0; i < (uint64_t)(n * k); i++) dtype_store_f64(DT_BF16, p.b, i, random_unit(i, 2));
    for (uint64_t i = 0; i < (uint64_t)n; i++) p.bias[i] = (float)random_unit(i, 3);
    return p;
}

/* 4096 elements spread over the result. Sums of k products below 1 in f32, in whatever order: an error of k 2^-24 and
 * more at most. */
static void check_product(const product *p)
{
    for (uint64_t t = 0; t < 4096; t++) {
        uint64_t at = hash_bytes(&t, sizeof t, 4) % (uint64_t)(p->m * p->n), i = at / (uint64_t)p->n,
                 j = at % (uint64_t)p->n;
        double want = (double)p->bias[j], got = dtype_load_f64(p->out, p->c, at);
        for (int64_t k = 0; k < p->k; k++)
            want += dtype_load_f64(DT_BF16, p->a, i * (uint64_t)p->k + (uint64_t)k) *
                    dtype_load_f64(DT_BF16, p->b, j * (uint64_t)p->k + (uint64_t)k);
        double within = (double)p->k * 6e-8 + (p->out == DT_BF16 ? fabs(want) / 256 : 0);
        if (!(fabs(got - want) <= within))
            fail_msg("[%llu, %llu]: expected %.9g, got %.9g", (unsigned long long)i, (unsigned long long)j, want, got);
    }
}

static void run_product(const char *file, product *p)
{
    session *s = &p->s;
    codegen_ptx ptx =
        session_emit(s, session_read(s, arena_printf(s->a, "tests/golden/kir/%s.kir", file)), processor(), 2);
    const codegen_ptx_launch *l = ptx.launches;
    uint64_t fault[8] = {INT64_MAX, INT64_MAX};
    ptx_region regions[] = {{p->a, (uint64_t)(p->m * p->k) * 2, false},
                            {p->b, (uint64_t)(p->n * p->k) * 2, false},
                            {p->bias, (uint64_t)p->n * 4, false},
                            {p->c, (uint64_t)(p->m * p->n) * (dtype_bits(p->out) / 8), true},
                            {fault, sizeof fault, true}};
    uint64_t params[8];
    const int64_t dims[] = {p->m, p->k, p->n};
    for (int i = 0; i < 4; i++) params[i] = (uint64_t)(uintptr_t)regions[i].base;
    for (int i = 0; i < 3; i++) params[4 + i] = (uint64_t)dims[i];
    params[7] = (uint64_t)(uintptr_t)fault;
    ptx_run run = {.threads = l->threads,
                   .dynamic_bytes = l->dynamic_bytes,
                   .params = params,
                   .n_params = 8,
                   .regions = regions,
                   .n_regions = 5};
    for (int i = 0; i < 3; i++) {
        int64_t side;
        assert_true(dim_eval(l->kernel->dims, l->grid[i], dims, &side));
        run.grid[i] = (uint32_t)side;
    }
    float ms = 0;
    const char *why = cuda_execute(gpu, s->a, ptx.text, l->name, &run, 10, &ms);
    if (why) fail_msg("@%s: %s", l->name, why);
    check_product(p);
    double flops = 2.0 * (double)p->m * (double)p->k * (double)p->n;
    print_message("    %-14s %5lld x %5lld x %5lld  %8.3f ms  %7.1f TFLOP/s\n", l->name, (long long)p->m,
                  (long long)p->k, (long long)p->n, (double)ms, flops / (double)ms * 1e-9);
}

static void test_large_products(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{4096, 4096, 4096}, {1024, 768, 3072}, {4095, 4104, 4097}, {128, 8192, 512}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        product p = product_new(sizes[i][0], sizes[i][1], sizes[i][2], DT_BF16);
        run_product("mma_matmul", &p);
        p.out = DT_F32;
        if (runs_here("sm_90a")) run_product("wgmma_matmul", &p);
        session_free(&p.s);
    }
}

int main(void)
{
    arena *a = arena_new(NULL, NULL);
    const char *why = NULL;
    gpu = cuda_open(a, &why);
    if (!gpu) {
        printf("skipped: %s\n", why);
        arena_free(a);
        return 77;
    }
    printf("%s, %s\n", cuda_device(gpu), processor());
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_the_interpreter),
                                       cmocka_unit_test(test_large_products)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cuda_close(gpu);
    arena_free(a);
    return failed;
}
