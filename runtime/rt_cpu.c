/* Which features the processor has, and which of a model's variants runs on it. Asked before any code of the model. */
#include "runtime/rt_internal.h"

#include <string.h>

/* ---- x86-64 ---- */

/* What an operating system must save for a feature, as bits of XCR0: nothing; SSE and AVX; these, masks and zmm. */
static const uint64_t saved_state[] = {0, 0x6, 0xe6};

static bool x86_has(const struct rt_cpuid *q, uint32_t leaf, uint32_t subleaf, char reg, uint32_t bit)
{
    uint32_t regs[4] = {0};
    return q->leaf(q->arg, leaf, subleaf, regs) && (regs[reg - 'A'] >> bit & 1);
}

static void x86_signature(const struct rt_cpuid *q, char vendor[13], uint32_t *family, uint32_t *model)
{
    uint32_t r[4] = {0};
    q->leaf(q->arg, 0, 0, r);
    memcpy(vendor, &r[1], 4);
    memcpy(vendor + 4, &r[3], 4);
    memcpy(vendor + 8, &r[2], 4);
    vendor[12] = 0;
    memset(r, 0, sizeof r);
    q->leaf(q->arg, 1, 0, r);
    *family = r[0] >> 8 & 15;
    *model = r[0] >> 4 & 15;
    if (*family == 6 || *family == 15) *model |= (r[0] >> 16 & 15) << 4;
    if (*family == 15) *family += r[0] >> 20 & 255;
}

static void x86_brand(const struct rt_cpuid *q, char brand[49])
{
    memset(brand, 0, 49);
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t r[4] = {0};
        if (q->leaf(q->arg, 0x80000002 + i, 0, r)) memcpy(brand + 16 * i, r, 16);
    }
}

static uint32_t x86_best_bits(const struct rt_cpuid *q)
{
    static const struct {
        const char *vendor;
        uint32_t family, model;
        const char *brand;
        uint32_t bits;
    } rows[] = {
#define RT_NARROW(vendor, family, model, brand, bits) {vendor, family, model, brand, bits},
#include "runtime/rt_narrow.def"
#undef RT_NARROW
    };
    char vendor[13], brand[49];
    uint32_t family, model;
    x86_signature(q, vendor, &family, &model);
    x86_brand(q, brand);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (family == rows[i].family && model == rows[i].model && !strcmp(vendor, rows[i].vendor) &&
            strstr(brand, rows[i].brand))
            return rows[i].bits;
    return 0;
}

struct rt_cpu rt_cpu_x86(const struct rt_cpuid *q)
{
    static const struct {
        uint32_t leaf, subleaf, regbit, state, bit;
        char reg;
    } rows[] = {
#define RT_CPU_X86(NAME, bit, llvm, leaf, subleaf, reg, regbit, state) {leaf, subleaf, regbit, state, bit, #reg[0]},
#include "runtime/rt_cpu.def"
    };
    /* Without OSXSAVE xgetbv is no instruction, and nothing beyond SSE is saved. */
    uint64_t saved = x86_has(q, 1, 0, 'C', 27) ? q->saved(q->arg) : 0;
    struct rt_cpu cpu = {0, x86_best_bits(q)};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (x86_has(q, rows[i].leaf, rows[i].subleaf, rows[i].reg, rows[i].regbit) &&
            !(saved_state[rows[i].state] & ~saved))
            cpu.features |= (uint64_t)1 << rows[i].bit;
    return cpu;
}

/* ---- by the auxiliary vector ---- */

struct rt_cpu rt_cpu_arm(uint64_t hwcap, uint64_t hwcap2)
{
    struct rt_cpu cpu = {0};
#define RT_CPU_ARM(NAME, bit, llvm, word, wordbit) \
    if (((word) == 1 ? hwcap : hwcap2) >> (wordbit) & 1) cpu.features |= (uint64_t)1 << (bit);
#include "runtime/rt_cpu.def"
    return cpu;
}

struct rt_cpu rt_cpu_riscv(uint64_t letters)
{
    struct rt_cpu cpu = {0};
#define RT_CPU_RISCV(NAME, bit, llvm, hwcap) \
    if (letters >> (hwcap) & 1) cpu.features |= (uint64_t)1 << (bit);
#include "runtime/rt_cpu.def"
    return cpu;
}

/* ---- this machine ---- */

#if defined(__x86_64__)
#include <cpuid.h>

static bool cpuid_here(const void *arg, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    (void)arg;
    return __get_cpuid_count(leaf, subleaf, &regs[0], &regs[1], &regs[2], &regs[3]);
}

static uint64_t saved_here(const void *arg)
{
    (void)arg;
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

struct rt_cpu rt_cpu_here(void)
{
    return rt_cpu_x86(&(struct rt_cpuid){cpuid_here, saved_here, NULL});
}

static const char *const names[64] = {
#define RT_CPU_X86(NAME, bit, llvm, leaf, subleaf, reg, regbit, state) [bit] = llvm,
#include "runtime/rt_cpu.def"
};
#else
#include <sys/auxv.h>

struct rt_cpu rt_cpu_here(void)
{
#if defined(__aarch64__)
    return rt_cpu_arm(getauxval(AT_HWCAP), getauxval(AT_HWCAP2));
#elif defined(__riscv)
    return rt_cpu_riscv(getauxval(AT_HWCAP));
#else
    return (struct rt_cpu){0};
#endif
}

static const char *const names[64] = {
#if defined(__aarch64__)
#define RT_CPU_ARM(NAME, bit, llvm, word, wordbit) [bit] = llvm,
#elif defined(__riscv)
#define RT_CPU_RISCV(NAME, bit, llvm, hwcap) [bit] = llvm,
#endif
#include "runtime/rt_cpu.def"
};
#endif

const char *rt_cpu_name(uint32_t bit)
{
    return bit < 64 && names[bit] ? names[bit] : "?";
}

/* ---- which variant ---- */

static void add_missing(struct rt_text *why, uint64_t missing)
{
    for (uint32_t bit = 0; bit < 64; bit++)
        if (missing >> bit & 1) rt_text_add(why, " %s", rt_cpu_name(bit));
}

static tfx_status refuse(const struct rt_model *m, const struct rt_cpu *cpu, struct rt_text *why)
{
    if (m->info.n_variants == 1) {
        rt_text_add(why, "the model was compiled for %s; this machine lacks:", m->info.target);
        add_missing(why, m->variants[0].required & ~cpu->features);
        return TFX_ERR_CPU;
    }
    rt_text_add(why, "no variant of the model runs on this machine");
    for (uint32_t i = m->info.n_variants; i-- > 0;) { /* the last one needs least */
        rt_text_add(why, "; '%s' needs:", m->info.variants[i].name);
        add_missing(why, m->variants[i].required & ~cpu->features);
    }
    return TFX_ERR_CPU;
}

static tfx_status named(const struct rt_model *m, const struct rt_cpu *cpu, const char *name, struct rt_text *why,
                        uint32_t *out)
{
    for (uint32_t i = 0; i < m->info.n_variants; i++) {
        if (strcmp(m->info.variants[i].name, name) != 0) continue;
        *out = i;
        uint64_t missing = m->variants[i].required & ~cpu->features;
        if (!missing) return TFX_OK;
        rt_text_add(why, "options: variant '%s' cannot run: this machine lacks:", name);
        add_missing(why, missing);
        return TFX_ERR_CPU;
    }
    rt_text_add(why, "options: the model has no variant '%s', only", name);
    for (uint32_t i = 0; i < m->info.n_variants; i++)
        rt_text_add(why, "%s '%s'", i ? "," : "", m->info.variants[i].name);
    return TFX_ERR_ARGUMENT;
}

tfx_status rt_choose(const struct rt_model *m, const struct rt_cpu *cpu, const char *name, struct rt_text *why,
                     uint32_t *out)
{
    if (name) return named(m, cpu, name, why, out);
    uint32_t n = m->info.n_variants, first = n;
    for (uint32_t i = n; i-- > 0;) {
        if (m->variants[i].required & ~cpu->features) continue;
        first = i;
    }
    if (first == n) return refuse(m, cpu, why);
    *out = first;
    /* Where wide vectors are slow, the first variant of the width that is not, if there is one. */
    for (uint32_t i = n; i-- > first && cpu->best_bits;)
        if (m->info.variants[i].vector_bits == cpu->best_bits && !(m->variants[i].required & ~cpu->features)) *out = i;
    return TFX_OK;
}
