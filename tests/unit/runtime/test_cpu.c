/* Which features a processor has, by what it would tell; which variant of a model then runs. */
#include "toy_call.h"
#include <string.h>

/* ---- processors that are made up ---- */

typedef struct {
    const char *vendor, *brand;
    uint32_t signature;            /* eax of leaf 1 */
    uint32_t c1, b7, c7, d7, a7_1; /* ecx of leaf 1; ebx, ecx, edx of leaf 7; eax of its subleaf 1 */
    uint32_t most;                 /* the highest leaf */
    uint64_t saved;                /* XCR0 */
} fake;

static bool fake_leaf(const void *arg, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    const fake *f = arg;
    char brand[48] = {0};
    if (leaf > f->most && leaf < 0x80000000) return false;
    memset(regs, 0, 4 * sizeof *regs);
    if (leaf == 0) {
        regs[0] = f->most;
        memcpy(&regs[1], f->vendor, 4);
        memcpy(&regs[3], f->vendor + 4, 4);
        memcpy(&regs[2], f->vendor + 8, 4);
    } else if (leaf == 1) {
        regs[0] = f->signature;
        regs[2] = f->c1;
    } else if (leaf == 7 && subleaf == 0) {
        regs[1] = f->b7;
        regs[2] = f->c7;
        regs[3] = f->d7;
    } else if (leaf == 7 && subleaf == 1) {
        regs[0] = f->a7_1;
    } else if (leaf >= 0x80000002 && leaf <= 0x80000004) {
        if (f->brand) memcpy(brand, f->brand, strlen(f->brand));
        memcpy(regs, brand + 16 * (leaf - 0x80000002), 16);
    } else if (leaf == 0x80000001) {
        regs[2] = f->c1 & 1u << 28 ? 1u << 5 : 0; /* LZCNT comes with AVX here */
    } else if (leaf >= 0x80000000) {
        return false;
    }
    return true;
}

static uint64_t fake_saved(const void *arg)
{
    const fake *f = arg;
    assert_true(f->c1 >> 27 & 1); /* else xgetbv is no instruction */
    return f->saved;
}

static struct rt_cpu cpu_of(const fake *f)
{
    return rt_cpu_x86(&(struct rt_cpuid){fake_leaf, fake_saved, f});
}

#define OSXSAVE (1u << 27)
#define V2_C1 (1u << 0 | 1u << 9 | 1u << 19 | 1u << 20 | 1u << 23)          /* SSE3 to SSE4.2, POPCNT */
#define V3_C1 (V2_C1 | OSXSAVE | 1u << 12 | 1u << 22 | 1u << 28 | 1u << 29) /* FMA, MOVBE, AVX, F16C */
#define V3_B7 (1u << 3 | 1u << 5 | 1u << 8)                                 /* BMI, AVX2, BMI2 */
#define V4_B7 (V3_B7 | 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31)

static const fake nehalem = {"GenuineIntel", "Intel(R) Xeon(R) CPU", 0x106a5, V2_C1, 0, 0, 0, 0, 11, 0};
static const fake haswell = {"GenuineIntel", "Intel(R) Core(TM) i7-4770", 0x306c3, V3_C1, V3_B7, 0, 0, 0, 13, 7};
static const fake skylake_gold = {
    "GenuineIntel", "Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz", 0x50654, V3_C1, V4_B7, 0, 0, 0, 22, 0xe7};

static uint64_t bits_of(const char *const *names)
{
    uint64_t bits = 0;
    for (; *names; names++) {
#define RT_CPU_X86(NAME, bit, llvm, leaf, subleaf, reg, regbit, state) \
    if (!strcmp(*names, llvm)) bits |= (uint64_t)1 << (bit);
#include "runtime/rt_cpu.def"
    }
    return bits;
}
#define BITS(...) bits_of((const char *const[]){__VA_ARGS__, NULL})

static void features(void **state)
{
    (void)state;
    uint64_t v2 = BITS("sse3", "ssse3", "sse4.1", "sse4.2", "popcnt");
    uint64_t v3 = v2 | BITS("avx", "f16c", "fma", "avx2", "bmi", "bmi2", "lzcnt", "movbe");
    uint64_t v4 = v3 | BITS("avx512f", "avx512dq", "avx512cd", "avx512bw", "avx512vl");
    assert_int_equal(cpu_of(&nehalem).features, v2);
    assert_int_equal(cpu_of(&haswell).features, v3);
    assert_int_equal(cpu_of(&skylake_gold).features, v4);

    /* What the operating system does not save must not be used: zmm, masks, ymm one after the other. */
    fake f = skylake_gold;
    f.saved = 0x67; /* masks and low halves of zmm, not zmm16 to 31 */
    assert_int_equal(cpu_of(&f).features, v3);
    f.saved = 0x7;
    assert_int_equal(cpu_of(&f).features, v3);
    f.saved = 0x3;
    assert_int_equal(cpu_of(&f).features, v2 | BITS("bmi", "bmi2", "lzcnt", "movbe"));
    f.c1 &= ~OSXSAVE; /* xgetbv is not asked then: fake_saved asserts */
    assert_int_equal(cpu_of(&f).features, v2 | BITS("bmi", "bmi2", "lzcnt", "movbe"));

    /* A processor whose leaves end before 7, as some systems limit them. */
    f = haswell;
    f.most = 4;
    assert_int_equal(cpu_of(&f).features, v3 & ~BITS("avx2", "bmi", "bmi2"));
    f.most = 0;
    assert_int_equal(cpu_of(&f).features, BITS("lzcnt"));
}

static void other_architectures(void **state)
{
    (void)state;
    assert_int_equal(rt_cpu_arm(0, 0).features, 0);
    assert_int_equal(rt_cpu_arm(1 << 20 | 1 << 8, 0).features, 1 << RT_ARM_DOTPROD | 1 << RT_ARM_LSE);
    assert_int_equal(rt_cpu_arm(0, 1 << 13).features, 1 << RT_ARM_I8MM); /* the second word */
    assert_int_equal(rt_cpu_arm(1 << 13, 0).features, 1 << RT_ARM_JSCONV);
    uint64_t gc = 1 << RT_RISCV_M | 1 << RT_RISCV_A | 1 << RT_RISCV_F | 1 << RT_RISCV_D | 1 << RT_RISCV_C;
    assert_int_equal(rt_cpu_riscv(0x112d).features, gc); /* as Linux tells of a rv64gc */
    assert_int_equal(rt_cpu_riscv(0x20112d).features, gc | 1 << RT_RISCV_V);
}

/* ---- which variant ---- */

enum { V4, V3, BASE, N_VARIANTS };
static const tfx_variant_info infos[] = {
    [V4] = {"x86-64-v4", 512, 0}, [V3] = {"x86-64-v3", 256, 0}, [BASE] = {"x86-64", 128, 0}};

static struct rt_model model_of(struct rt_variant *v, const tfx_variant_info *names, uint32_t n)
{
    struct rt_model m = toy_model;
    for (uint32_t i = 0; i < n; i++) v[i].entries = toy_model.variants[0].entries;
    m.variants = v;
    m.info.variants = names;
    m.info.n_variants = n;
    return m;
}

static uint64_t needs(uint32_t variant)
{
    return variant == BASE ? 0 : cpu_of(variant == V4 ? &skylake_gold : &haswell).features;
}

static uint32_t chosen(const struct rt_model *m, const fake *f)
{
    uint32_t out = 99;
    struct rt_text why;
    struct rt_cpu cpu = cpu_of(f);
    rt_text_start(&why, NULL, 0);
    assert_int_equal(rt_choose(m, &cpu, NULL, &why, &out), TFX_OK);
    return out;
}

static void choice(void **state)
{
    (void)state;
    struct rt_variant v[N_VARIANTS];
    for (uint32_t i = 0; i < N_VARIANTS; i++) v[i].required = needs(i);
    struct rt_model m = model_of(v, infos, N_VARIANTS);
    assert_int_equal(chosen(&m, &nehalem), BASE);
    assert_int_equal(chosen(&m, &haswell), V3);
    assert_int_equal(chosen(&m, &skylake_gold), V4);
    fake f = skylake_gold;
    f.saved = 7;
    assert_int_equal(chosen(&m, &f), V3);
    f.saved = 3;
    assert_int_equal(chosen(&m, &f), BASE);

    /* The order is the compiler's: where narrower vectors come first, they are taken. */
    struct rt_variant w[] = {{NULL, needs(V3)}, {NULL, needs(V4)}};
    const tfx_variant_info names[] = {infos[V3], infos[V4]};
    struct rt_model narrow_first = model_of(w, names, 2);
    assert_int_equal(chosen(&narrow_first, &skylake_gold), 0);
}

/* Servers with one 512-bit unit are faster with vectors of 256 bits, which their brand tells. */
static void slow_at_full_width(void **state)
{
    (void)state;
    static const struct {
        const char *brand;
        uint32_t wants;
    } rows[] = {
        {"Intel(R) Xeon(R) Platinum 8180 CPU @ 2.50GHz", V4}, {"Intel(R) Xeon(R) Silver 4110 CPU @ 2.10GHz", V3},
        {"Intel(R) Xeon(R) Bronze 3106 CPU @ 1.70GHz", V3},   {"Intel(R) Xeon(R) Gold 5118 CPU @ 2.30GHz", V3},
        {"Intel(R) Xeon(R) Gold 5122 CPU @ 3.60GHz", V4},     {"Intel(R) Xeon(R) Gold 5218 CPU @ 2.30GHz", V3},
        {"Intel(R) Xeon(R) Gold 5222 CPU @ 3.80GHz", V4},     {"Intel(R) Xeon(R) W-2195 CPU @ 2.30GHz", V4},
        {"Intel(R) Core(TM) i9-7900X CPU @ 3.30GHz", V4}};
    struct rt_variant v[N_VARIANTS];
    for (uint32_t i = 0; i < N_VARIANTS; i++) v[i].required = needs(i);
    struct rt_model m = model_of(v, infos, N_VARIANTS);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fake f = skylake_gold;
        f.brand = rows[i].brand;
        assert_int_equal(chosen(&m, &f), rows[i].wants);
        f.vendor = "AuthenticAMD"; /* the row is of one maker's */
        assert_int_equal(chosen(&m, &f), V4);
    }
    fake silver = skylake_gold, ice = skylake_gold;
    silver.brand = rows[1].brand;
    ice.brand = "Intel(R) Xeon(R) Silver 4310 CPU @ 2.10GHz"; /* the next generation has two units everywhere */
    ice.signature = 0x606a6;
    assert_int_equal(chosen(&m, &ice), V4);
    /* Without a variant of the better width, the first one: wide vectors are still faster than the baseline. */
    struct rt_variant w[] = {{NULL, needs(V4)}, {NULL, needs(BASE)}};
    const tfx_variant_info names[] = {infos[V4], infos[BASE]};
    struct rt_model without = model_of(w, names, 2);
    assert_int_equal(chosen(&without, &silver), 0);
    silver.saved = 3; /* the better width must run too */
    assert_int_equal(chosen(&m, &silver), BASE);
}

static void expect(const struct rt_model *m, const fake *f, const char *name, tfx_status status, const char *text)
{
    char got[512] = "";
    uint32_t out = 99;
    struct rt_text why;
    struct rt_cpu cpu = cpu_of(f);
    rt_text_start(&why, got, sizeof got);
    assert_int_equal(rt_choose(m, &cpu, name, &why, &out), status);
    assert_string_equal(got, text);
}

static void by_name(void **state)
{
    (void)state;
    struct rt_variant v[N_VARIANTS];
    for (uint32_t i = 0; i < N_VARIANTS; i++) v[i].required = needs(i);
    struct rt_model m = model_of(v, infos, N_VARIANTS);
    expect(&m, &skylake_gold, "x86-64", TFX_OK, "");
    expect(&m, &haswell, "x86-64-v9", TFX_ERR_ARGUMENT,
           "options: the model has no variant 'x86-64-v9', only 'x86-64-v4', 'x86-64-v3', 'x86-64'");
#ifdef __x86_64__ /* names are of the architecture that the runtime is compiled for */
    expect(&m, &haswell, "x86-64-v4", TFX_ERR_CPU,
           "options: variant 'x86-64-v4' cannot run: this machine lacks: avx512f avx512dq avx512cd avx512bw avx512vl");
    struct rt_model two = model_of(v, infos, 2);
    expect(&two, &nehalem, NULL, TFX_ERR_CPU,
           "no variant of the model runs on this machine; 'x86-64-v3' needs: avx f16c fma avx2 bmi bmi2 lzcnt movbe; "
           "'x86-64-v4' needs: avx f16c fma avx2 bmi bmi2 lzcnt movbe avx512f avx512dq avx512cd avx512bw avx512vl");
    struct rt_model one = model_of(v + V3, infos + V3, 1);
    expect(&one, &nehalem, NULL, TFX_ERR_CPU,
           "the model was compiled for any; this machine lacks: avx f16c fma avx2 bmi bmi2 lzcnt movbe");
#endif
}

/* ---- open ---- */

static int64_t more(const int64_t *dims)
{
    (void)dims;
    return 4096;
}

/* The workspace is enough for all variants, and a handle runs the one that was asked for. */
static void open_variants(void **state)
{
    (void)state;
    struct rt_entry large[TOY_ENTRIES];
    memcpy(large, toy_model.variants[0].entries, sizeof large);
    large[0].buffer_bytes = more;
    large[0].buffer_bound = 8192;
    static const tfx_variant_info names[] = {{"small", 0, 0}, {"large", 0, 0}};
    struct rt_variant v[2] = {{NULL, 0}, {NULL, 0}};
    struct rt_model m = model_of(v, names, 2);
    v[1].entries = large;
    int64_t dims[TOY_DIMS] = {1, 1, 8, 0};
    assert_int_equal(rt_workspace_size(&m, 0, dims, 1, 0), 4096 + 64);
    assert_int_equal(rt_workspace_size(&m, TFX_ALL_ENTRIES, NULL, 1, 0), 8192 + 64);
    assert_int_equal(rt_variant_of(&m, NULL), 0);
    for (uint32_t i = 0; i < 2; i++) {
        tfx_options o = TFX_OPTIONS_INIT;
        o.variant = names[i].name;
        tfx_model *h;
        assert_int_equal(rt_open(&m, tfx_model_v1(), &o, &h), TFX_OK);
        assert_int_equal(rt_variant_of(&m, h), i);
        assert_ptr_equal(rt_handle_of(h)->entries, v[i].entries);
        rt_close(h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features), cmocka_unit_test(other_architectures),
        cmocka_unit_test(choice),   cmocka_unit_test(slow_at_full_width),
        cmocka_unit_test(by_name),  cmocka_unit_test(open_variants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
