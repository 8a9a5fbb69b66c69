/* Streaming evaluation of constant expressions: any range of elements, without materialising the rest.
 *
 * Inside, elements are units of whole bytes: those of 8 bits or more as they are stored, sub-byte ones as one code a
 * byte. Expressions that keep the order of elements (cast, scale, reshape, map) pass ranges on; slices, concatenations
 * and stacks cut them into runs that are contiguous below; transposes and panels cut them into boxes and move those
 * tile by tile, so that both sides are touched in runs. All scratch is on the stack: at most 32 KiB for each level of
 * nesting.
 */
#include "ir/constant_internal.h"

#include <assert.h>

enum { CHUNK = 4096, TILE_RUN = 128, TILE_ROWS = 32 };

size_t cexpr_unit(dtype t)
{
    return dtype_bits(t) < 8 ? 1 : dtype_bits(t) / 8;
}

/* ---- sources ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void read_random(const cexpr *e, uint64_t first, uint64_t n, uint8_t *out)
{
    size_t unit = cexpr_unit(e->dt);
    if (!dtype_is_float(e->dt)) {
        memset(out, 0, n * unit);
        return;
    }
    uint64_t state = mix(e->u.random.seed) ^ e->u.random.stream;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t x = mix(state + (first + i + 1) * UINT64_C(0x9e3779b97f4a7c15));
        double v = e->u.random.scale * ((double)(x >> 11) * 0x1p-52 - 1);
        dtype_store_f64(e->dt, out + i * unit, 0, e->dt == DT_F8E8M0 && v < 0 ? -v : v);
    }
}

static void read_splat(const cexpr *e, uint64_t n, uint8_t *out)
{
    size_t unit = cexpr_unit(e->dt);
    uint8_t one[8] = {0};
    dtype_store_f64(e->dt, one, 0, e->u.splat);
    for (uint64_t i = 0; i < n; i++) memcpy(out + i * unit, one, unit);
}

static void read_stored(dtype t, const void *base, uint64_t first, uint64_t n, uint8_t *out)
{
    size_t unit = cexpr_unit(t);
    if (dtype_bits(t) >= 8) memcpy(out, (const uint8_t *)base + first * unit, n * unit);
    else
        for (uint64_t i = 0; i < n; i++) out[i] = (uint8_t)dtype_load_code(t, base, first + i);
}

/* ---- element by element ---- */

static void read_converted(const cexpr *e, uint64_t first, uint64_t n, uint8_t *out)
{
    const cexpr *from = e->args[0];
    size_t unit = cexpr_unit(e->dt), from_unit = cexpr_unit(from->dt);
    bool packed = dtype_bits(e->dt) < 8 || dtype_bits(from->dt) < 8;
    uint8_t chunk[CHUNK * 8];
    while (n) {
        uint64_t now = n < CHUNK ? n : CHUNK;
        cexpr_read_units(from, first, now, chunk);
        if (e->kind == CE_SCALE) {
            for (uint64_t i = 0; i < now; i++)
                dtype_store_f64(e->dt, out + i * unit, 0, dtype_load_f64(e->dt, chunk + i * unit, 0) * e->u.scale);
        } else if (packed) { /* units hold one code each */
            for (uint64_t i = 0; i < now; i++) {
                out[i * unit] = 0;
                dtype_convert(e->dt, out + i * unit, from->dt, chunk + i * from_unit, 1);
            }
        } else {
            dtype_convert(e->dt, out, from->dt, chunk, now);
        }
        first += now;
        n -= now;
        out += now * unit;
    }
}

/* ---- in contiguous runs ---- */

static void read_slice(const cexpr *e, uint64_t first, uint64_t n, uint8_t *out)
{
    const cexpr *from = e->args[0];
    size_t unit = cexpr_unit(e->dt);
    /* A run: the trailing axes that are taken whole, and the one before them. */
    uint32_t outer = e->rank;
    uint64_t run = 1;
    while (outer > 0) {
        outer--;
        run *= (uint64_t)e->shape[outer];
        if (e->shape[outer] != from->shape[outer]) break;
    }
    while (n) {
        uint64_t row = first / run, within = first % run, at = 0, stride = 1, now = run - within < n ? run - within : n;
        for (uint32_t k = e->rank; k-- > 0;) {
            uint64_t index = 0;
            if (k < outer) {
                index = row % (uint64_t)e->shape[k];
                row /= (uint64_t)e->shape[k];
            }
            at += ((uint64_t)e->u.start[k] + index) * stride;
            stride *= (uint64_t)from->shape[k];
        }
        cexpr_read_units(from, at + within, now, out);
        first += now;
        n -= now;
        out += now * unit;
    }
}

/* Concatenation along an axis; a stack is one along a new leading axis. */
static void read_concat(const cexpr *e, uint64_t first, uint64_t n, uint8_t *out)
{
    size_t unit = cexpr_unit(e->dt);
    uint64_t inner = 1; /* elements below the axis */
    if (e->kind == CE_CONCAT)
        for (uint32_t k = (uint32_t)e->u.axis + 1; k < e->rank; k++) inner *= (uint64_t)e->shape[k];
    uint64_t row = e->kind == CE_STACK ? cexpr_elements(e) : inner * (uint64_t)e->shape[e->u.axis];
    uint64_t base = 0;
    uint32_t part = 0;
    while (n) {
        uint64_t within = first % row;
        if (within < base) base = part = 0;
        uint64_t extent;
        for (;; part++, base += extent) {
            extent =
                e->kind == CE_STACK ? cexpr_elements(e->args[part]) : inner * (uint64_t)e->args[part]->shape[e->u.axis];
            if (within < base + extent) break;
        }
        uint64_t left = base + extent - within, now = left < n ? left : n;
        cexpr_read_units(e->args[part], first / row * extent + within - base, now, out);
        first += now;
        n -= now;
        out += now * unit;
    }
}

/* ---- in tiles ---- */

typedef struct {
    uint64_t lo[MAX_RANK + 2], len[MAX_RANK + 2];
} box;

/* The largest box that begins at element `first` and holds at most n of those that follow it in row-major order: single
 * indices, then a range along one axis, then whole axes. Returns its elements. */
static uint64_t next_box(uint32_t rank, const uint64_t *shape, uint64_t first, uint64_t n, box *b)
{
    uint64_t rest = first, inner = 1;
    bool whole = true; /* every axis after k starts at 0 and fits */
    for (uint32_t k = rank; k-- > 0;) {
        b->lo[k] = rest % shape[k];
        rest /= shape[k];
        b->len[k] = 1;
        if (!whole) continue;
        uint64_t fits = n / inner, left = shape[k] - b->lo[k];
        b->len[k] = fits < left ? fits : left;
        assert(b->len[k] > 0); /* inner <= n as long as the axes below are whole */
        whole = b->lo[k] == 0 && b->len[k] == shape[k];
        inner *= shape[k];
    }
    uint64_t elements = 1;
    for (uint32_t k = 0; k < rank; k++) elements *= b->len[k];
    return elements;
}

/* to[c * stride + r] = tile[r][c] for r < rows, c < run; both in units. Columns outside, so that writes are runs. */
#define TURN(T)                                                         \
    for (uint64_t c = 0; c < run; c++)                                  \
        for (uint64_t r = 0; r < rows; r++) {                           \
            T x;                                                        \
            memcpy(&x, tile + (r * TILE_RUN + c) * sizeof x, sizeof x); \
            memcpy(to + (c * stride + r) * sizeof x, &x, sizeof x);     \
        }
static void turn(uint8_t *to, uint64_t stride, const uint8_t *tile, uint64_t rows, uint64_t run, size_t unit)
{
    switch (unit) {
    case 1: TURN(uint8_t) break;
    case 2: TURN(uint16_t) break;
    case 4: TURN(uint32_t) break;
    default: TURN(uint64_t) break;
    }
}

/* A transpose or a panel encoding seen as one form: the result has `rank` axes in row-major order; an element's place
 * in the argument is the sum of index * stride. Along result axis `run` the argument is contiguous; `last` is the last
 * result axis. */
typedef struct {
    const cexpr *from;
    uint32_t rank, run;
    uint64_t shape[MAX_RANK + 2], stride[MAX_RANK + 2];
    /* Panels: index `last` + nr * index `panel` must be below `rows`, else the element is padding. rows 0: no padding.
     */
    uint32_t panel;
    uint64_t nr, rows;
} permutation;

/* One tile: `rows` consecutive indices of the last axis by `run` of the run axis, from element `at` of the argument on.
 */
static void move_tile(const permutation *p, uint64_t at, uint64_t rows, uint64_t valid, uint64_t run, uint8_t *to,
                      uint64_t to_stride, size_t unit)
{
    uint8_t tile[TILE_ROWS * TILE_RUN * 8];
    for (uint64_t r = 0; r < rows; r++) {
        uint8_t *row = tile + r * TILE_RUN * unit;
        if (r < valid) cexpr_read_units(p->from, at + r * p->stride[p->rank - 1], run, row);
        else memset(row, 0, run * unit);
    }
    turn(to, to_stride, tile, rows, run, unit);
}

/* How many of `n` consecutive indices of the last axis are not padding. */
static uint64_t not_padding(const permutation *p, const uint64_t *index, uint64_t n)
{
    if (!p->rows) return n;
    uint64_t first = index[p->panel] * p->nr + index[p->rank - 1];
    return first >= p->rows ? 0 : p->rows - first < n ? p->rows - first : n;
}

/* All tiles of the box that share the indices in `index` outside of the run axis and the last one. */
static void move_plane(const permutation *p, const box *b, const uint64_t *index, uint8_t *to,
                       const uint64_t *out_stride, size_t unit)
{
    uint32_t last = p->rank - 1, q = p->run;
    uint64_t at = 0;
    for (uint32_t k = 0; k < p->rank; k++) at += index[k] * p->stride[k];
    uint64_t valid = not_padding(p, index, b->len[last]);
    for (uint64_t c = 0; c < b->len[q]; c += TILE_RUN) {
        uint64_t run = b->len[q] - c < TILE_RUN ? b->len[q] - c : TILE_RUN;
        for (uint64_t r = 0; r < b->len[last]; r += TILE_ROWS) {
            uint64_t rows = b->len[last] - r < TILE_ROWS ? b->len[last] - r : TILE_ROWS;
            uint64_t good = valid <= r ? 0 : valid - r < rows ? valid - r : rows;
            move_tile(p, at + c * p->stride[q] + r * p->stride[last], rows, good, run,
                      to + (c * out_stride[q] + r) * unit, out_stride[q], unit);
        }
    }
}

static void read_permuted(const permutation *p, uint64_t first, uint64_t n, uint8_t *out)
{
    size_t unit = cexpr_unit(p->from->dt);
    uint32_t last = p->rank - 1;
    uint64_t out_stride[MAX_RANK + 2];
    out_stride[last] = 1;
    for (uint32_t k = last; k > 0; k--) out_stride[k - 1] = out_stride[k] * p->shape[k];
    while (n) {
        box b;
        uint64_t now = next_box(p->rank, p->shape, first, n, &b), index[MAX_RANK + 2];
        memcpy(index, b.lo, sizeof index);
        for (;;) {
            uint64_t offset = 0;
            for (uint32_t k = 0; k < p->rank; k++) offset += (index[k] - b.lo[k]) * out_stride[k];
            if (p->run == last) {
                uint64_t at = 0, valid = not_padding(p, index, b.len[last]);
                for (uint32_t k = 0; k < p->rank; k++) at += index[k] * p->stride[k];
                cexpr_read_units(p->from, at, valid, out + offset * unit);
                memset(out + (offset + valid) * unit, 0, (b.len[last] - valid) * unit);
            } else {
                move_plane(p, &b, index, out + offset * unit, out_stride, unit);
            }
            uint32_t k = p->rank;
            while (k-- > 0) {
                if (k == last || k == p->run) continue;
                if (++index[k] < b.lo[k] + b.len[k]) break;
                index[k] = b.lo[k];
            }
            if (k == UINT32_MAX) break;
        }
        first += now;
        n -= now;
        out += now * unit;
    }
}

static void read_transpose(const cexpr *e, uint64_t first, uint64_t n, uint8_t *out)
{
    const cexpr *from = e->args[0];
    uint64_t from_stride[MAX_RANK + 1], stride = 1;
    for (uint32_t k = e->rank; k-- > 0; stride *= (uint64_t)from->shape[k]) from_stride[k] = stride;
    /* Axes of size 1 are left out and axes that stay neighbours are one. */
    permutation p = {.from = from};
    int previous = -2;
    for (uint32_t i = 0; i < e->rank; i++) {
        if (e->shape[i] == 1) continue;
        int axis = e->u.perm[i];
        bool joined = previous >= 0 && axis > previous;
        for (int k = previous + 1; joined && k < axis; k++) joined = from->shape[k] == 1;
        if (!joined) p.rank++, p.shape[p.rank - 1] = 1;
        p.shape[p.rank - 1] *= (uint64_t)e->shape[i];
        p.stride[p.rank - 1] = from_stride[axis];
        previous = axis;
    }
    for (uint32_t k = 0; k < p.rank; k++)
        if (p.stride[k] == 1) p.run = k;
    if (p.rank <= 1) cexpr_read_units(from, first, n, out);
    else read_permuted(&p, first, n, out);
}

/* [batch, N, K] to [batch, ceildiv(N, nr), K, nr] */
static void read_panels(const cexpr *e, uint64_t first, uint64_t n, uint8_t *out)
{
    const cexpr *from = e->args[0];
    uint64_t rows = (uint64_t)from->shape[from->rank - 2], depth = (uint64_t)from->shape[from->rank - 1];
    uint64_t nr = (uint64_t)e->u.enc.param, panels = (rows + nr - 1) / nr, batch = 1;
    for (uint32_t k = 0; k + 2 < from->rank; k++) batch *= (uint64_t)from->shape[k];
    permutation p = {.from = from, .rank = 4, .run = 2, .panel = 1, .nr = nr, .rows = rows};
    p.shape[0] = batch, p.stride[0] = rows * depth;
    p.shape[1] = panels, p.stride[1] = nr * depth;
    p.shape[2] = depth, p.stride[2] = 1;
    p.shape[3] = nr, p.stride[3] = depth;
    if (from->kind == CE_TRANSPOSE && from->rank == 2) { /* stored as [K, N]: the panel's rows are runs there */
        p.from = from->args[0];
        p.run = 3;
        p.stride[1] = nr, p.stride[2] = rows, p.stride[3] = 1;
    }
    read_permuted(&p, first, n, out);
}

void cexpr_read_units(const cexpr *e, uint64_t first, uint64_t n, uint8_t *out)
{
    if (n == 0) return;
    switch (e->kind) {
    case CE_FILE: read_stored(e->dt, weights_data(e->u.file.file, e->u.file.tensor), first, n, out); return;
    case CE_DATA: read_stored(e->dt, e->u.data, first, n, out); return;
    case CE_RANDOM: read_random(e, first, n, out); return;
    case CE_SPLAT: read_splat(e, n, out); return;
    case CE_RESHAPE: cexpr_read_units(e->args[0], first, n, out); return;
    case CE_CAST:
    case CE_SCALE: read_converted(e, first, n, out); return;
    case CE_SLICE: read_slice(e, first, n, out); return;
    case CE_CONCAT:
    case CE_STACK: read_concat(e, first, n, out); return;
    case CE_TRANSPOSE: read_transpose(e, first, n, out); return;
    case CE_BROADCAST: cexpr_read_broadcast(e, first, n, out); return;
    case CE_MAP: cexpr_read_map(e, first, n, out); return;
    case CE_ENCODE:
        assert(e->u.enc.kind == ENC_PANEL);
        read_panels(e, first, n, out);
        return;
    }
}

/* ---- the entry ---- */

static bool files_unchanged(const cexpr *e, const weights_file **last, const char **why)
{
    if (e->kind == CE_FILE && e->u.file.file != *last) {
        *last = e->u.file.file;
        return weights_unchanged(*last, why);
    }
    for (uint32_t i = 0; i < e->n_args; i++)
        if (!files_unchanged(e->args[i], last, why)) return false;
    return true;
}

bool cexpr_read(const cexpr *e, uint64_t first, uint64_t n, void *out, const char **why)
{
    assert(first <= cexpr_elements(e) && n <= cexpr_elements(e) - first);
    const weights_file *last = NULL;
    if (!files_unchanged(e, &last, why)) return false;
    if (dtype_bits(e->dt) >= 8) {
        cexpr_read_units(e, first, n, out);
        return true;
    }
    uint8_t codes[CHUNK];
    for (uint64_t done = 0; done < n;) { /* chunks begin at whole bytes */
        uint64_t now = n - done < CHUNK ? n - done : CHUNK;
        uint8_t *to = (uint8_t *)out + dtype_bytes(e->dt, done);
        cexpr_read_units(e, first + done, now, codes);
        memset(to, 0, dtype_bytes(e->dt, now));
        for (uint64_t i = 0; i < now; i++) dtype_store_code(e->dt, to, i, codes[i]);
        done += now;
    }
    return true;
}

void cexpr_done(const cexpr *e)
{
    if (e->kind == CE_FILE) weights_done(e->u.file.file, e->u.file.tensor->offset, e->u.file.tensor->bytes);
    for (uint32_t i = 0; i < e->n_args; i++) cexpr_done(e->args[i]);
}
