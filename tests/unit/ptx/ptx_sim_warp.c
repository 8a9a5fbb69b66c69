/* Instructions that a warp, a warpgroup or a block executes together. Fragments are written down as the PTX ISA gives
 * them. */
#include "unit/ptx/ptx_sim_internal.h"

#include <stdlib.h>

static float f32_of(uint64_t v)
{
    uint32_t u = (uint32_t)v;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint64_t f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* ---- shuffles ---- */

static void exec_shfl(sim_machine *s, sim_thread *w, const sim_instr *i)
{
    uint64_t v[32], out[32];
    for (int lane = 0; lane < 32; lane++) v[lane] = sim_get(s, &w[lane], &i->args[1]);
    for (int lane = 0; lane < 32; lane++) {
        int b = (int)(sim_get(s, &w[lane], &i->args[2]) & 31);
        int from = sim_has(i, "bfly") ? lane ^ b : sim_has(i, "idx") ? b : sim_has(i, "down") ? lane + b : lane - b;
        if (from < 0 || from > 31) from = lane;
        if ((uint32_t)sim_get(s, &w[lane], &i->args[4]) != UINT32_MAX) sim_fail(s, i, "not all lanes take part");
        out[lane] = v[from];
    }
    for (int lane = 0; lane < 32; lane++) sim_set(&w[lane], &i->args[0], out[lane], 32);
}

/* ---- ldmatrix ---- */

/* Thread T receives of matrix m (rows addressed by threads 8m .. 8m+7) row T/4, elements 2 (T%4) and the next;
 * transposed: column T/4, rows 2 (T%4) and the next. */
static void exec_ldmatrix(sim_machine *s, sim_thread *w, const sim_instr *i)
{
    int n = sim_has(i, "x4") ? 4 : sim_has(i, "x2") ? 2 : 1;
    bool trans = sim_has(i, "trans");
    for (int m = 0; m < n; m++) {
        uint16_t matrix[8][8];
        for (int r = 0; r < 8; r++) {
            const uint8_t *p = sim_memory(s, i, 's', sim_address(s, &w[8 * m + r], &i->args[1]), 16, 16, false);
            if (!p) return;
            memcpy(matrix[r], p, 16);
        }
        for (int lane = 0; lane < 32; lane++) {
            int row = lane / 4, col = lane % 4 * 2;
            uint32_t low = trans ? matrix[col][row] : matrix[row][col];
            uint32_t high = trans ? matrix[col + 1][row] : matrix[row][col + 1];
            sim_set(&w[lane], &i->args[0].list[m], low | high << 16, 32);
        }
    }
}

/* ---- mma.m16n8k16 ---- */

static char half_kind(const sim_instr *i)
{
    return sim_has(i, "bf16") ? 'h' : 'f';
}

static float half_of_pair(char kind, uint64_t pair, int n)
{
    return sim_half_value(kind, (uint16_t)(pair >> 16 * n));
}

static void exec_mma(sim_machine *s, sim_thread *w, const sim_instr *i)
{
    float a[16][16], b[16][8], c[16][8];
    char kind = half_kind(i);
    if (!sim_has(i, "m16n8k16") || !sim_has(i, "row") || !sim_has(i, "col")) sim_fail(s, i, "another shape");
    for (int lane = 0; lane < 32; lane++) {
        int group = lane >> 2, in_group = lane % 4;
        for (int n = 0; n < 8; n++) { /* a0..a7 */
            int row = (n < 2) || (n >= 4 && n < 6) ? group : group + 8;
            int col = in_group * 2 + (n & 1) + (n >= 4 ? 8 : 0);
            a[row][col] = half_of_pair(kind, sim_get(s, &w[lane], &i->args[1].list[n / 2]), n & 1);
        }
        for (int n = 0; n < 4; n++) { /* b0..b3 */
            int row = in_group * 2 + (n & 1) + (n >= 2 ? 8 : 0);
            b[row][group] = half_of_pair(kind, sim_get(s, &w[lane], &i->args[2].list[n / 2]), n & 1);
        }
        for (int n = 0; n < 4; n++) { /* c0..c3 */
            int row = n < 2 ? group : group + 8, col = in_group * 2 + (n & 1);
            c[row][col] = f32_of(sim_get(s, &w[lane], &i->args[3].list[n]));
        }
    }
    for (int r = 0; r < 16; r++)
        for (int col = 0; col < 8; col++) {
            double sum = 0;
            for (int k = 0; k < 16; k++) sum += (double)a[r][k] * (double)b[k][col];
            c[r][col] = (float)((double)c[r][col] + sum);
        }
    for (int lane = 0; lane < 32; lane++)
        for (int n = 0; n < 4; n++) {
            int row = n < 2 ? lane >> 2 : (lane >> 2) + 8, col = lane % 4 * 2 + (n & 1);
            sim_set(&w[lane], &i->args[0].list[n], f32_bits(c[row][col]), 32);
        }
}

/* ---- wgmma ---- */

/* Element (mn, k) of an operand: mn along M or N. The canonical layouts of the ISA: rows as wide as the swizzle, eight
 * of them a pattern; SBO bytes to the next pattern along the strided axis, LBO along the contiguous one. Address
 * bits 4.. are exchanged with bits 7... */
static float operand_element(sim_machine *s, const sim_instr *i, uint64_t desc, bool transposed, int mn, int k)
{
    uint64_t start = (desc & 0x3fff) << 4, lbo = (desc >> 16 & 0x3fff) << 4, sbo = (desc >> 32 & 0x3fff) << 4;
    int mode = (int)(desc >> 62), bits = mode == 1 ? 3 : mode == 2 ? 2 : mode == 3 ? 1 : 0, width = 16 << bits;
    if (!bits || (desc >> 49 & 7)) sim_fail(s, i, "a descriptor that is not swizzled or has a base offset");
    int inner = transposed ? mn : k, outer = transposed ? k : mn;
    uint64_t at = start + (uint64_t)(outer / 8) * sbo + (uint64_t)(outer % 8 * width) + (uint64_t)(inner * 2 % width);
    if (transposed) at += (uint64_t)(inner * 2 / width) * lbo;
    else if (inner * 2 >= width) sim_fail(s, i, "an operand of more than one row's width");
    at ^= (at >> 7 & (uint64_t)((1 << bits) - 1)) << 4;
    const uint16_t *p = sim_memory(s, i, 's', at, 2, 2, false);
    return p ? sim_half_value(half_kind(i), *p) : 0;
}

static void perform(sim_machine *s, sim_thread *g, const sim_product *p)
{
    const sim_instr *i = p->i;
    int n = 0, n_args = i->n_args;
    for (int k = 0; k < i->n_words; k++)
        if (!strncmp(i->word[k], "m64n", 4)) n = atoi(i->word[k] + 4);
    bool ta = i->args[n_args - 2].number, tb = i->args[n_args - 1].number;
    if (i->args[0].n != n / 2) sim_fail(s, i, "%d accumulators for n = %d", i->args[0].n, n);
    float *a = ARENA_ARRAY(s->a, float, 64 * 16), *b = ARENA_ARRAY(s->a, float, (size_t)n * 16);
    for (int k = 0; k < 16; k++) {
        for (int m = 0; m < 64; m++) a[m * 16 + k] = operand_element(s, i, p->a, ta, m, k);
        for (int m = 0; m < n; m++) b[m * 16 + k] = operand_element(s, i, p->b, tb, m, k);
    }
    for (int t = 0; t < 128; t++)
        for (int r = 0; r < n / 2; r++) { /* d0, d1, d2, ... of thread t */
            int row = t / 32 * 16 + t % 32 / 4 + (r % 4 >= 2 ? 8 : 0), col = r / 4 * 8 + t % 4 * 2 + r % 2;
            const sim_arg *d = &i->args[0].list[r];
            double sum = 0;
            for (int k = 0; k < 16; k++) sum += (double)a[row * 16 + k] * (double)b[col * 16 + k];
            sim_set(&g[t], d, f32_bits((float)((double)f32_of(sim_get(s, &g[t], d)) + sum)), 32);
        }
}

static void exec_product(sim_machine *s, sim_thread *g, const sim_instr *i)
{
    sim_product p = {i, sim_get(s, g, &i->args[1]), sim_get(s, g, &i->args[2]), g->product_group};
    for (int t = 1; t < 128; t++)
        if (sim_get(s, &g[t], &i->args[1]) != p.a || sim_get(s, &g[t], &i->args[2]) != p.b)
            sim_fail(s, i, "the threads of a warpgroup have different descriptors");
    /* Starts at an address whose swizzle pattern is that of the instruction: within 16-byte units of a row. */
    if (s->run->late) vec_push(s->a, &s->products[g->id / 128], p);
    else perform(s, g, &p);
}

static void exec_wgmma(sim_machine *s, sim_thread *g, const sim_instr *i)
{
    if (sim_has(i, "mma_async")) {
        exec_product(s, g, i);
    } else if (sim_has(i, "commit_group")) {
        g->product_group++;
    } else if (sim_has(i, "wait_group")) {
        uint32_t keep = (uint32_t)i->args[0].number, kept = 0, n = s->products[g->id / 128].len;
        sim_product *all = s->products[g->id / 128].data;
        for (uint32_t k = 0; k < n; k++) {
            if (all[k].group + keep < g->product_group) perform(s, g, &all[k]);
            else all[kept++] = all[k];
        }
        s->products[g->id / 128].len = kept;
    } else if (!sim_has(i, "fence")) {
        sim_fail(s, i, "unknown instruction");
    }
}

static void exec_barrier(sim_machine *s, sim_thread *t, const sim_instr *i)
{
    (void)s, (void)t, (void)i;
}

sim_exec *sim_find_collective(const sim_instr *i, sim_scope *scope)
{
    static const struct {
        const char *name;
        sim_exec *exec;
        sim_scope scope;
    } all[] = {{"shfl", exec_shfl, SCOPE_WARP},
               {"ldmatrix", exec_ldmatrix, SCOPE_WARP},
               {"mma", exec_mma, SCOPE_WARP},
               {"wgmma", exec_wgmma, SCOPE_WARPGROUP},
               {"bar", exec_barrier, SCOPE_BLOCK}};
    if (!strcmp(i->word[0], "bar") && (sim_has(i, "warp") || i->n_args == 2)) { /* of the lanes of an agent */
        *scope = sim_has(i, "warp") ? SCOPE_WARP : SCOPE_WARPGROUP;
        return exec_barrier;
    }
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (!strcmp(i->word[0], all[k].name)) {
            *scope = all[k].scope;
            return all[k].exec;
        }
    return NULL;
}
