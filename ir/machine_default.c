/* Machines that nobody has measured: the table of processors, and what this system says of its caches. */
#include "ir/machine.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LAUNCH_NS                                                                                       \
    100 /* measured between two kernels of a plan on one worker: the plan's stores, the call, the clock \
         */

typedef struct {
    const char *name;
    double ghz;
    int fma_bits;
    double bf16, int8;
    int l1_kib, l1_ways, l2_kib, l2_ways, l3_kib, l3_ways;
    double l1_bytes, l2_bytes, l3_bytes; /* a cycle */
    double dram_gb;
} cpu_facts;
static const cpu_facts cpus[] = {
#define CPU(...) {__VA_ARGS__},
#include "ir/machines.def"
#undef CPU
};
enum { N_CPUS = sizeof cpus / sizeof *cpus };

static const cpu_facts *facts_of(const char *cpu)
{
    for (int i = 1; i < N_CPUS; i++)
        if (!strcmp(cpus[i].name, cpu)) return &cpus[i];
    return &cpus[0];
}

machine machine_default(arena *a, const char *cpu, int vector_bits, int vector_registers)
{
    const cpu_facts *f = facts_of(cpu);
    /* At most two vectors are multiplied a cycle, and three loaded. */
    double bits = fmin(f->fma_bits, 2 * vector_bits), f32 = f->ghz * bits / 32 * 2;
    double l1 = fmin(f->l1_bytes, 3.0 * vector_bits / 8), l2 = fmin(f->l2_bytes, l1), l3 = fmin(f->l3_bytes, l2);
    return (machine){
        .name = arena_strndup(a, cpu, strlen(cpu)),
        .source = *f->name ? arena_printf(a, "defaults for %s", cpu) : "defaults",
        .vector_bits = vector_bits,
        .vector_registers = vector_registers,
        .line_bytes = 64,
        .l1d_bytes = (int64_t)f->l1_kib << 10,
        .l1d_ways = f->l1_ways,
        .l2_bytes = (int64_t)f->l2_kib << 10,
        .l2_ways = f->l2_ways,
        .l3_bytes = (int64_t)f->l3_kib << 10,
        .l3_ways = f->l3_ways,
        .f32_gflops = f32,
        .f64_gflops = f32 / 2,
        .bf16_gflops = f->bf16 * f32,
        .int8_gops = f->int8 * f32,
        .l1_gb_per_s = f->ghz * l1,
        .l2_gb_per_s = f->ghz * l2,
        .l3_gb_per_s = f->ghz * l3,
        .dram_gb_per_s = f->dram_gb,
        .launch_ns = LAUNCH_NS,
    };
}

/* ---- this system ---- */

/* One line of a file of the system; "" where there is none. */
static void read_line(const char *dir, int cache, const char *file, char *line, int size)
{
    char path[128];
    snprintf(path, sizeof path, "%s%d/%s", dir, cache, file);
    FILE *f = fopen(path, "re");
    if (!f || !fgets(line, size, f)) *line = 0;
    if (f) fclose(f);
    line[strcspn(line, "\n")] = 0;
}

/* "32K", "1M", "64"; 0 for anything else. */
static int64_t read_number(const char *text)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (errno || end == text || v <= 0 || v > INT64_MAX >> 31 || (*end && !shift)) return 0;
    return (int64_t)v << shift;
}

/* How many processors a list like "0-3,8" names; at least 1. */
static int64_t count_list(const char *s)
{
    int64_t n = 0;
    while (*s >= '0' && *s <= '9') {
        char *end;
        long long first = strtoll(s, &end, 10), last = *end == '-' ? strtoll(end + 1, &end, 10) : first;
        if (first >= 0 && last >= first && last < 1 << 20) n += last - first + 1;
        s = end + (*end == ',');
    }
    return n ? n : 1;
}

static void take(int64_t *field, int64_t found, int64_t least, int64_t greatest)
{
    if (found >= least && found <= greatest) *field = found;
}

/* The C library's sysconf tells some of the same, but the whole socket's last level, and of a virtual machine's what
 * the host has. What the kernel tells it shares out among the processors that it gives. */
void machine_take_caches(arena *a, machine *m)
{
    static const char dir[] = "/sys/devices/system/cpu/cpu0/cache/index";
    struct {
        int64_t *bytes, *ways, least, greatest;
    } levels[] = {{&m->l1d_bytes, &m->l1d_ways, 4 << 10, 1 << 20},
                  {&m->l2_bytes, &m->l2_ways, 32 << 10, 64 << 20},
                  {&m->l3_bytes, &m->l3_ways, 128 << 10, (int64_t)4 << 30}};
    bool found = false;
    for (int i = 0; i < 8; i++) {
        char type[32], level[32], size[32], ways[32], line[32], shared[256];
        read_line(dir, i, "type", type, sizeof type);
        read_line(dir, i, "level", level, sizeof level);
        int64_t l = read_number(level);
        if (!*type || !strcmp(type, "Instruction") || l < 1 || l > 3) continue;
        read_line(dir, i, "size", size, sizeof size);
        read_line(dir, i, "ways_of_associativity", ways, sizeof ways);
        read_line(dir, i, "coherency_line_size", line, sizeof line);
        read_line(dir, i, "shared_cpu_list", shared, sizeof shared);
        take(levels[l - 1].bytes, read_number(size) / count_list(shared), levels[l - 1].least, levels[l - 1].greatest);
        take(levels[l - 1].ways, read_number(ways), 1, 1024);
        take(&m->line_bytes, read_number(line), 16, 4096);
        found = true;
    }
    if (!found) { /* no such files: another kernel, or a sandbox */
        take(&m->l1d_bytes, sysconf(_SC_LEVEL1_DCACHE_SIZE), levels[0].least, levels[0].greatest);
        take(&m->l2_bytes, sysconf(_SC_LEVEL2_CACHE_SIZE), levels[1].least, levels[1].greatest);
    }
    m->source = arena_printf(a, "%s, cache sizes of this machine", m->source);
}

const char *machine_calibrated_path(arena *a)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (config && *config == '/') return arena_printf(a, "%s/tfxc/machine", config);
    return home && *home ? arena_printf(a, "%s/.config/tfxc/machine", home) : NULL;
}
