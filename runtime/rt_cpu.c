/* Does this processor have the instructions that the model was compiled for? Asked before any of them runs. */
#include "runtime/rt_internal.h"

static const char *const names[RT_CPU_END] = {
#define RT_CPU(NAME, bit, llvm, leaf, subleaf, reg, regbit, state) [bit] = llvm,
#include "runtime/rt_cpu.def"
#undef RT_CPU
};

const char *rt_cpu_name(uint32_t bit)
{
    return bit < RT_CPU_END ? names[bit] : "?";
}

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

/* XCR0: the register state that the operating system saves, or 0 when it has not turned that on. */
static uint64_t saved_state(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27))) return 0;
    unsigned lo, hi;
    __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static bool has(uint32_t leaf, uint32_t subleaf, char reg, uint32_t bit)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid_count(leaf, subleaf, &a, &b, &c, &d)) return false;
    unsigned r = reg == 'A' ? a : reg == 'B' ? b : reg == 'C' ? c : d;
    return r >> bit & 1;
}

uint64_t rt_cpu_missing(uint64_t required)
{
    uint64_t missing = required >> (RT_CPU_END - 1) >> 1 << (RT_CPU_END - 1) << 1; /* bits that no row explains */
    uint64_t saved = saved_state();
    const uint64_t state_mask[] = {0, 0x6, 0xe6};
#define RT_CPU(NAME, bit, llvm, leaf, subleaf, reg, regbit, state)                                  \
    if ((required >> (bit) & 1) &&                                                                  \
        (!has(leaf, subleaf, #reg[0], regbit) || (saved & state_mask[state]) != state_mask[state])) \
        missing |= (uint64_t)1 << (bit);
#include "runtime/rt_cpu.def"
#undef RT_CPU
    return missing;
}
#else
uint64_t rt_cpu_missing(uint64_t required)
{
    return required;
}
#endif
