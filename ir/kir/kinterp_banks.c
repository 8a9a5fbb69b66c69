/* The kernel interpreter: shared-memory wavefronts.
 *
 * Shared memory has 32 banks of 4 bytes. A warp-wide access is served in phases of at most 128 bytes: all 32 lanes at
 * once for words of 4 bytes, half of them for 8, a quarter for 16; ldmatrix and the tensor core take the 8 rows of 16
 * bytes of one 8x8 matrix in a phase. A phase takes as many wavefronts as the most different words that fall into one
 * bank. What is counted is the wavefronts beyond the first of each phase. */
#include "ir/kir/kinterp_internal.h"

enum { BANKS = 32 };

typedef struct {
    int64_t at[BANKS]; /* byte offset of each lane's piece */
    uint32_t n, bytes; /* lanes so far, bytes of a piece */
} phase;

static uint32_t wavefronts(const phase *p)
{
    int64_t words[BANKS][BANKS];
    uint32_t count[BANKS] = {0}, most = 0;
    for (uint32_t l = 0; l < p->n; l++)
        for (int64_t w = p->at[l] / 4; w * 4 < p->at[l] + p->bytes; w++) {
            uint32_t bank = (uint32_t)(w % BANKS), k = 0;
            while (k < count[bank] && words[bank][k] != w) k++;
            if (k == BANKS || k < count[bank]) continue;
            words[bank][count[bank]++] = w;
        }
    for (int b = 0; b < BANKS; b++)
        if (count[b] > most) most = count[b];
    return most;
}

static void flush(kmachine *m, phase *p)
{
    uint32_t n = wavefronts(p);
    if (n > 1) m->in->result->bank_conflicts += n - 1;
    p->n = 0;
}

static void add_piece(kmachine *m, phase *p, int64_t at)
{
    p->at[p->n++] = at;
    if (p->n * (p->bytes < 4 ? 4 : p->bytes) == 128) flush(m, p);
}

/* `n` elements from (r, c) on along axis `along` as one piece; counted as split when they do not lie together. */
static void add_run(kmachine *m, phase *p, const kaccess *x, int64_t r, int64_t c, int along, int64_t n, bool banks)
{
    uint32_t bytes = dtype_bits(x->dt) / 8;
    int64_t at = kaccess_offset(x, r, c);
    bool split = at % p->bytes != 0;
    for (int64_t k = 1; k < n && !split; k++)
        split = kaccess_offset(x, r + (along == 0 ? k : 0), c + (along == 1 ? k : 0)) != at + k * (int64_t)bytes;
    if (split) m->in->result->split_rows++;
    if (banks) add_piece(m, p, at);
}

/* 8x8 matrices of 16-bit elements, rows along the axis that is not contiguous. */
static void count_matrices(kmachine *m, const kaccess *x)
{
    int along = x->step[1] == dtype_bits(x->dt) / 8 ? 1 : 0;
    int64_t rows = x->valid[!along], cols = x->valid[along];
    for (int64_t r = 0; r < rows; r += 8)
        for (int64_t c = 0; c < cols; c += 8) {
            phase p = {.bytes = 16};
            for (int64_t k = r; k < r + 8 && k < rows; k++)
                add_run(m, &p, x, along ? k : c, along ? c : k, along, cols - c < 8 ? cols - c : 8, true);
            flush(m, &p);
        }
}

/* Accumulator fragments: lane l holds columns 2 (l % 4) and the next of row l / 4, for rows 0..7 and 8..15 of each
 * 16x8. */
static void count_fragments(kmachine *m, const kaccess *x)
{
    int64_t pair = x->valid[1] > 1 ? 2 : 1;
    for (int64_t r = 0; r < x->valid[0]; r += 8)
        for (int64_t c = 0; c < x->valid[1]; c += 8) {
            phase p = {.bytes = (uint32_t)pair * dtype_bits(x->dt) / 8};
            for (int64_t l = 0; l < BANKS; l++) {
                int64_t row = r + l / 4, col = c + l % 4 * pair;
                if (row < x->valid[0] && col < x->valid[1])
                    add_run(m, &p, x, row, col, 1, col + pair <= x->valid[1] ? pair : 1, true);
            }
            flush(m, &p);
        }
}

/* Pieces of up to 16 bytes in row-major order. Outside of shared memory there are no banks, but pieces that are split.
 */
static void count_pieces(kmachine *m, const kaccess *x, bool banks)
{
    uint32_t bytes = dtype_bits(x->dt) / 8, piece = 16;
    while (piece > bytes && x->size[1] * bytes % piece) piece /= 2;
    int64_t n = piece / bytes;
    phase p = {.bytes = piece};
    for (int64_t r = 0; r < x->valid[0]; r++)
        for (int64_t c = 0; c < x->valid[1]; c += n)
            add_run(m, &p, x, r, c, 1, x->valid[1] - c < n ? x->valid[1] - c : n, banks);
    if (banks) flush(m, &p);
}

void kbanks_count(kmachine *m, const kaccess *x, klayout layout)
{
    if (x->bits) return;
    switch (layout) {
    case KL_MMA_A:
    case KL_MMA_B:
    case KL_SHARED: count_matrices(m, x); break;
    case KL_MMA_C:
    case KL_WGMMA_C: count_fragments(m, x); break;
    case KL_LANES: count_pieces(m, x, true); break;
    default: break; /* one address for all lanes */
    }
}

void kbanks_count_copy(kmachine *m, const kaccess *dst, const kaccess *src)
{
    count_pieces(m, dst, true);
    count_pieces(m, src, false);
}
