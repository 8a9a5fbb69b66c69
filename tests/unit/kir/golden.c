#include "unit/kir/golden.h"

#include "unit/cmocka_all.h"

#include <math.h>

void check_golden_text(const char *name)
{
    session s = session_new();
    kmodule *m = parse_valid(&s, read_golden(&s, name));
    const char *once = printed(&s, m);
    kmodule *again = parse_valid(&s, once);
    expect_same_text(printed(&s, again), once);
    assert_true(kfunction_equal(m->functions.data[0], again->functions.data[0]));
    expect_silence(&s);
    session_free(&s);
}

bool run_kernel(session *s, const kmodule *m, const int64_t *dims, const kbinding *params, uint64_t seed,
                kinterp_result *result)
{
    kinterp_options o = {.seed = seed};
    return kinterp_run(m->functions.data[0], dims, params, &o, s->a, s->d, result);
}

float *random_f32(session *s, int64_t n, uint64_t seed)
{
    float *v = ARENA_ARRAY(s->a, float, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        int32_t bits = (int32_t)hash_bytes(&i, sizeof i, seed);
        v[i] = (float)bits / 2147483648.0f;
    }
    return v;
}

uint16_t *random_bf16(session *s, int64_t n, uint64_t seed)
{
    const float *f = random_f32(s, n, seed);
    uint16_t *v = ARENA_ARRAY(s->a, uint16_t, (size_t)n);
    for (int64_t i = 0; i < n; i++) dtype_store_f64(DT_BF16, v, (uint64_t)i, (double)f[i]);
    return v;
}

double bf16_value(uint16_t v)
{
    return dtype_load_f64(DT_BF16, &v, 0);
}

void expect_near(double got, double want, double tolerance, int64_t i, int64_t j)
{
    if (fabs(got - want) <= tolerance * (1 + fabs(want))) return;
    fail_msg("element [%lld, %lld]: expected %.9g, got %.9g", (long long)i, (long long)j, want, got);
}
