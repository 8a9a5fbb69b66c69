/* Blocks, threads and memory of the PTX simulator. */
#include "unit/ptx/ptx_sim_internal.h"

#include <stdio.h>

enum { MAX_STEPS = 400 * 1000 * 1000 };

void sim_fail(sim_machine *s, const sim_instr *i, const char *fmt, ...)
{
    if (s->error) return;
    va_list ap;
    va_start(ap, fmt);
    const char *what = arena_vprintf(s->a, fmt, ap);
    va_end(ap);
    s->error = arena_printf(s->a, "block %u,%u,%u: %s%s%s", s->block[0], s->block[1], s->block[2], what, i ? ": " : "",
                            i ? i->text : "");
}

bool sim_has(const sim_instr *i, const char *word)
{
    for (int k = 1; k < i->n_words; k++)
        if (!strcmp(i->word[k], word)) return true;
    return false;
}

/* ---- values ---- */

static uint64_t special(sim_machine *s, const sim_thread *t, const char *name)
{
    if (!strcmp(name, "%tid.x")) return t->id;
    if (!strcmp(name, "%laneid")) return t->id % 32;
    if (!strcmp(name, "%ctaid.x")) return s->block[0];
    if (!strcmp(name, "%ctaid.y")) return s->block[1];
    if (!strcmp(name, "%ctaid.z")) return s->block[2];
    return 0;
}

uint64_t sim_get(sim_machine *s, const sim_thread *t, const sim_arg *x)
{
    switch (x->kind) {
    case ARG_REG: return x->negated ? !t->reg[x->reg] : t->reg[x->reg];
    case ARG_SPECIAL: return special(s, t, x->name);
    case ARG_NUMBER: return x->number;
    default: sim_fail(s, NULL, "operand %s where a value is wanted", x->name ? x->name : "?"); return 0;
    }
}

void sim_set(sim_thread *t, const sim_arg *x, uint64_t v, int bits)
{
    t->reg[x->reg] = bits >= 64 ? v : v & ((UINT64_C(1) << bits) - 1);
}

uint64_t sim_address(sim_machine *s, const sim_thread *t, const sim_arg *x)
{
    if (x->kind != ARG_ADDRESS) {
        sim_fail(s, NULL, "an operand that is no address");
        return 0;
    }
    return (x->reg >= 0 ? t->reg[x->reg] : 0) + x->number;
}

void *sim_memory(sim_machine *s, const sim_instr *i, char space, uint64_t address, uint64_t bytes, uint64_t align,
                 bool write)
{
    if (address % align) {
        sim_fail(s, i, "address 0x%llx is not aligned to %llu", (unsigned long long)address, (unsigned long long)align);
        return NULL;
    }
    if (space == 's') {
        if (address >= SHARED_WINDOW && address + bytes <= SHARED_WINDOW + s->shared_bytes)
            return s->shared + (address - SHARED_WINDOW);
        sim_fail(s, i, "outside of shared memory: 0x%llx", (unsigned long long)address);
        return NULL;
    }
    for (uint32_t k = 0; k < s->run->n_regions; k++) {
        const ptx_region *r = &s->run->regions[k];
        uint64_t base = (uint64_t)(uintptr_t)r->base;
        if (address < base || address + bytes > base + r->bytes || (write && !r->writable)) continue;
        return (void *)(uintptr_t)address;
    }
    sim_fail(s, i, "outside of global memory: 0x%llx, %llu bytes", (unsigned long long)address,
             (unsigned long long)bytes);
    return NULL;
}

/* ---- threads ---- */

static void step(sim_machine *s, sim_thread *t)
{
    if (t->pc >= s->program.len) {
        sim_fail(s, NULL, "ran past the end");
        return;
    }
    const sim_instr *i = &s->program.data[t->pc];
    if (i->guard >= 0 && (t->reg[i->guard] != 0) == i->guard_not) {
        t->pc++;
        return;
    }
    if (i->scope != SCOPE_THREAD) {
        t->blocked = true;
        return;
    }
    t->pc++;
    i->exec(s, t, i);
    if (++s->steps > MAX_STEPS) sim_fail(s, i, "too many steps");
}

/* Those of `n` threads from `first` that still run wait at one instruction of this scope: it is executed. */
static bool release(sim_machine *s, uint32_t first, uint32_t n, sim_scope scope)
{
    const sim_instr *at = NULL;
    for (uint32_t k = first; k < first + n; k++) {
        const sim_thread *t = &s->threads[k];
        if (t->done) continue;
        const sim_instr *i = t->blocked ? &s->program.data[t->pc] : NULL;
        if (!i || i->scope != scope) return false;
        if (at && at != i) return sim_fail(s, i, "threads %u.. wait at different instructions", first), false;
        at = i;
    }
    if (!at) return false;
    for (uint32_t k = first; k < first + n; k++) {
        if (s->threads[k].done) {
            sim_fail(s, at, "thread %u has ended", k);
            return false;
        }
        s->threads[k].blocked = false;
        s->threads[k].pc++;
    }
    at->exec(s, &s->threads[first], at);
    return true;
}

/* Each warp, each warpgroup goes as far as it can before the next one starts: what only a wider barrier orders comes
 * apart. */
static void run_group(sim_machine *s, uint32_t first, uint32_t n, sim_scope scope)
{
    static const uint32_t inner[] = {[SCOPE_WARP] = 1, [SCOPE_WARPGROUP] = 32, [SCOPE_BLOCK] = 128};
    do {
        uint32_t parts = (n + inner[scope] - 1) / inner[scope];
        for (uint32_t k = 0; k < parts && !s->error; k++) {
            uint32_t at = (s->run->late ? parts - 1 - k : k) * inner[scope],
                     size = n - at < inner[scope] ? n - at : inner[scope];
            sim_thread *t = &s->threads[first + at];
            if (scope != SCOPE_WARP) run_group(s, first + at, size, (sim_scope)(scope - 1));
            else
                while (!t->done && !t->blocked && !s->error) step(s, t);
        }
    } while (!s->error && release(s, first, n, scope));
}

static void run_block(sim_machine *s)
{
    uint32_t n = s->run->threads;
    for (uint32_t k = 0; k < n; k++) {
        uint64_t *reg = ARENA_ARRAY(s->a, uint64_t, s->reg_names.len);
        s->threads[k] = (sim_thread){.id = k, .reg = reg};
    }
    memset(s->shared, 0xff, s->shared_bytes); /* NaN in every format: what was not written shows */
    run_group(s, 0, n, SCOPE_BLOCK);
    for (uint32_t k = 0; k < n; k++)
        if (!s->threads[k].done)
            sim_fail(s, &s->program.data[s->threads[k].pc], "threads wait for each other for ever");
}

const char *ptx_simulate(arena *a, const char *text, const char *entry, const ptx_run *run)
{
    sim_machine *s = ARENA_NEW(a, sim_machine);
    s->a = a;
    s->run = run;
    if (!sim_parse(s, text, entry)) return s->error;
    if (s->params.len != run->n_params)
        return arena_printf(a, "%u parameters given, %u declared", run->n_params, s->params.len);
    s->shared = arena_alloc(a, s->shared_bytes + 1, SHARED_ALIGN);
    s->threads = ARENA_ARRAY(a, sim_thread, run->threads);
    for (s->block[2] = 0; s->block[2] < run->grid[2]; s->block[2]++)
        for (s->block[1] = 0; s->block[1] < run->grid[1]; s->block[1]++)
            for (s->block[0] = 0; s->block[0] < run->grid[0]; s->block[0]++) {
                run_block(s);
                if (s->error) return s->error;
            }
    return NULL;
}
