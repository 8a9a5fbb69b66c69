/* Ops that make and combine whole tiles. */
#include "codegen/emit.h"

#include <assert.h>
#include <math.h>

static void set_tile(emitter *e, const kvalue *v, cg_value x)
{
    if (v->ty.tile.rank == 0 && v->ty.tile.dt == DT_I64) cg_set_affine(e, v, x.v[0], 0);
    else cg_set(e, v, x);
}

void emit_cpu_dim(emitter *e, kop *op)
{
    cg_set_affine(e, op->results[0], cg_dim(e, op->at.d), 0);
}

void emit_cpu_const(emitter *e, kop *op)
{
    ktile t = op->results[0]->ty.tile;
    cg_value out = cg_tile(e, t);
    for (int r = 0; r < out.rows; r++)
        for (int k = 0; k < out.chunks; k++)
            out.v[r * out.chunks + k] = cg_const(e->m, t.dt, cg_chunk_lanes(&out, k), op->at.real, op->at.i);
    set_tile(e, op->results[0], out);
}

void emit_cpu_iota(emitter *e, kop *op)
{
    ktile t = op->results[0]->ty.tile;
    cg_value out = cg_tile(e, t);
    bool along_row = op->at.axis == t.rank - 1;
    for (int r = 0; r < out.rows; r++)
        for (int k = 0; k < out.chunks; k++) {
            LLVMValueRef lane[64];
            int n = cg_chunk_lanes(&out, k);
            for (int i = 0; i < n; i++) lane[i] = cg_const(e->m, t.dt, 1, 0, along_row ? k * out.lanes + i : r);
            out.v[r * out.chunks + k] = n == 1 ? lane[0] : LLVMConstVector(lane, (unsigned)n);
        }
    set_tile(e, op->results[0], out);
}

/* ---- contract ---- */

/* out[row, :] += a[row, step] b[step, :] */
static void contract_row(emitter *e, const kop *op, cg_value *out, int row, int step)
{
    ktile ta = op->operands[1]->ty.tile, tb = op->operands[2]->ty.tile, tr = op->results[0]->ty.tile;
    const cg_value *a = cg_get(e, op->operands[1]), *b = cg_get(e, op->operands[2]);
    LLVMValueRef left = emit_convert(e, cg_element(e, a, row, step), ta.dt, tr.dt);
    for (int k = 0; k < out->chunks; k++) {
        int n = cg_chunk_lanes(out, k);
        LLVMValueRef *sum = &out->v[row * out->chunks + k];
        LLVMValueRef right = emit_convert(e, cg_chunk(e, b, step, k, out->lanes, n), tb.dt, tr.dt);
        LLVMValueRef x[] = {cg_splat(e, left, n), right, *sum};
        if (dtype_is_float(tr.dt)) {
            *sum = emit_scalar_op(e, KOP_FMA, tr.dt, x);
        } else {
            LLVMValueRef y[] = {*sum, emit_scalar_op(e, KOP_MUL, tr.dt, x)};
            *sum = emit_scalar_op(e, KOP_ADD, tr.dt, y);
        }
    }
}

/* The contraction behind `op` when it has the same left operand and does not wait for one of the run from `first` on.
 */
static kop *next_of_run(const kop *first, const kop *op)
{
    kop *next = op->next;
    if (!next || next->op != KOP_CONTRACT || next->operands[1] != op->operands[1]) return NULL;
    for (const kop *o = first; o != next; o = o->next)
        if (next->operands[0] == o->results[0] || next->operands[2] == o->results[0]) return NULL;
    return next;
}

/* acc[i, j] + a[i, k] b[k, j], k ascending, one multiply-add for each. Left elements are broadcast over the lanes;
 * every one is used for a whole row of vectors before the next, and in all contractions of a run, so that few registers
 * hold them. */
kop *emit_contract_run(emitter *e, kop *first, int most)
{
    cg_value out[CONTRACT_RUN];
    int n = 0;
    kop *end = first;
    for (kop *op = first; op && n < most; op = next_of_run(first, op)) {
        const cg_value *acc = cg_get(e, op->operands[0]);
        out[n] = cg_tile(e, op->results[0]->ty.tile);
        for (int r = 0; r < out[n].rows; r++)
            for (int k = 0; k < out[n].chunks; k++)
                out[n].v[r * out[n].chunks + k] = cg_chunk(e, acc, r, k, out[n].lanes, cg_chunk_lanes(&out[n], k));
        n++;
        end = op->next;
    }
    int depth = first->operands[1]->ty.tile.shape[1];
    for (int p = 0; p < depth; p++)
        for (int r = 0; r < out[0].rows; r++) {
            kop *op = first;
            for (int i = 0; i < n; i++, op = op->next) contract_row(e, op, &out[i], r, p);
        }
    kop *op = first;
    for (int i = 0; i < n; i++, op = op->next) cg_set(e, op->results[0], out[i]);
    return end;
}

void emit_cpu_contract(emitter *e, kop *op)
{
    (void)emit_contract_run(e, op, 1);
}

/* ---- reduce ---- */

static LLVMValueRef combine(emitter *e, kreduce kind, dtype dt, LLVMValueRef a, LLVMValueRef b)
{
    static const kop_kind ops[] = {[KREDUCE_ADD] = KOP_ADD, [KREDUCE_MAX] = KOP_MAX, [KREDUCE_MIN] = KOP_MIN};
    LLVMValueRef x[] = {a, b};
    return emit_scalar_op(e, ops[kind], dt, x);
}

/* What an absent element counts as: combining with it changes no element, zeros' signs included. */
static LLVMValueRef neutral(emitter *e, kreduce kind, dtype dt, int lanes)
{
    double lo, hi;
    dtype_range(dt, &lo, &hi, NULL);
    int bits = (int)dtype_bits(dt);
    bool is_signed = dtype_class_of(dt) == DTC_INT;
    int64_t least = is_signed ? (int64_t)(UINT64_MAX << (bits - 1)) : 0,
            most = (int64_t)(is_signed ? ~(uint64_t)least : UINT64_MAX);
    if (kind == KREDUCE_ADD) return cg_const(e->m, dt, lanes, -0.0, 0);
    if (kind == KREDUCE_MAX) return cg_const(e->m, dt, lanes, (double)-INFINITY, least);
    return cg_const(e->m, dt, lanes, (double)INFINITY, most);
}

/* The first `n` lanes of v kept, the others neutral, widened to `lanes`. */
static LLVMValueRef pad(emitter *e, kreduce kind, dtype dt, LLVMValueRef v, int n, int lanes)
{
    int have = cg_lanes_of(v), pick[64];
    if (have == lanes && n == have) return v;
    if (have == 1) {
        LLVMValueRef all = neutral(e, kind, dt, lanes);
        return lanes == 1 ? v : LLVMBuildInsertElement(e->b, all, v, cg_const_i64(e->m, 0), "");
    }
    for (int i = 0; i < lanes; i++) pick[i] = i < n ? i : have;
    return cg_shuffle(e, v, neutral(e, kind, dt, have), pick, lanes);
}

/* One row to one element: halves are combined, chunks first, then lanes. */
static LLVMValueRef reduce_row(emitter *e, kreduce kind, dtype dt, const cg_value *x, int row)
{
    int p = 1, lanes = x->lanes;
    while (p < x->cols) p *= 2;
    if (p < lanes) lanes = p;
    int n = p / lanes;
    LLVMValueRef *part = ARENA_ARRAY(e->m->a, LLVMValueRef, (size_t)n); /* NULL: all absent */
    for (int k = 0; k < x->chunks; k++) {
        int present = x->cols - k * x->lanes;
        part[k] = pad(e, kind, dt, cg_chunk(e, x, row, k, x->lanes, cg_chunk_lanes(x, k)),
                      present < lanes ? present : lanes, lanes);
    }
    for (int h = n / 2; h >= 1; h /= 2)
        for (int k = 0; k < h; k++)
            if (part[k + h]) part[k] = combine(e, kind, dt, part[k], part[k + h]);
    LLVMValueRef v = part[0];
    for (int h = lanes / 2; h >= 1; h /= 2) {
        if (h == 1) {
            v = combine(e, kind, dt, LLVMBuildExtractElement(e->b, v, cg_const_i64(e->m, 0), ""),
                        LLVMBuildExtractElement(e->b, v, cg_const_i64(e->m, 1), ""));
            break;
        }
        int high[64];
        for (int i = 0; i < h; i++) high[i] = h + i;
        LLVMValueRef upper = cg_shuffle(e, v, LLVMGetPoison(LLVMTypeOf(v)), high, h);
        v = combine(e, kind, dt, cg_first_lanes(e, v, h), upper);
    }
    return v;
}

void emit_cpu_reduce(emitter *e, kop *op)
{
    ktile t = op->operands[0]->ty.tile;
    const cg_value *x = cg_get(e, op->operands[0]);
    cg_value out = cg_tile(e, op->results[0]->ty.tile);
    if (op->at.axis == t.rank - 1) {
        for (int r = 0; r < out.rows; r++) out.v[r] = reduce_row(e, op->at.reduce, t.dt, x, r);
    } else {
        int p = 1;
        while (p < x->rows) p *= 2;
        for (int k = 0; k < out.chunks; k++) {
            LLVMValueRef *part = ARENA_ARRAY(e->m->a, LLVMValueRef, (size_t)x->rows);
            for (int r = 0; r < x->rows; r++) part[r] = cg_chunk(e, x, r, k, out.lanes, cg_chunk_lanes(&out, k));
            for (int h = p / 2; h >= 1; h /= 2)
                for (int r = 0; r < h && r + h < x->rows; r++)
                    part[r] = combine(e, op->at.reduce, t.dt, part[r], part[r + h]);
            out.v[k] = part[0];
        }
    }
    set_tile(e, op->results[0], out);
}

/* ---- transpose ---- */

/* Transposes the n x n elements of `row` (n vectors of n lanes, n a power of two) in place: log n rounds of exchanging
 * the off-diagonal halves of ever smaller blocks. */
static void transpose_square(emitter *e, LLVMValueRef *row, int n)
{
    for (int h = n / 2; h >= 1; h /= 2)
        for (int i = 0; i < n; i++) {
            if (i & h) continue;
            int low[64], high[64];
            for (int j = 0; j < n; j++) {
                low[j] = j & h ? n + (j ^ h) : j;
                high[j] = j & h ? n + j : j ^ h;
            }
            LLVMValueRef a = row[i], b = row[i + h];
            row[i] = cg_shuffle(e, a, b, low, n);
            row[i + h] = cg_shuffle(e, a, b, high, n);
        }
}

/* Chunk k of output row `row`, gathered element by element. */
static LLVMValueRef gather_column(emitter *e, const cg_value *x, const cg_value *out, int row, int k)
{
    int width = cg_chunk_lanes(out, k), first = k * out->lanes;
    if (width == 1) return cg_element(e, x, first, row);
    LLVMValueRef v = LLVMConstNull(LLVMVectorType(LLVMTypeOf(cg_element(e, x, 0, 0)), (unsigned)width));
    for (int j = 0; j < width && first + j < out->cols; j++)
        v = LLVMBuildInsertElement(e->b, v, cg_element(e, x, first + j, row), cg_const_i64(e->m, j), "");
    return v;
}

/* v with zeros behind its lanes, n in all. */
static LLVMValueRef widen(emitter *e, LLVMValueRef v, int n)
{
    int have = cg_lanes_of(v), pick[64];
    if (have == n) return v;
    if (have == 1)
        return LLVMBuildInsertElement(e->b, LLVMConstNull(LLVMVectorType(LLVMTypeOf(v), (unsigned)n)), v,
                                      cg_const_i64(e->m, 0), "");
    for (int i = 0; i < n; i++) pick[i] = i < have ? i : have;
    return cg_shuffle(e, v, LLVMConstNull(LLVMTypeOf(v)), pick, n);
}

/* Output rows first .. first + rows - 1 of chunk k: one column of vectors of x, turned as a square. */
static void transpose_chunk(emitter *e, const cg_value *x, cg_value *out, int first, int k)
{
    int left = out->rows - first, rows = left < x->lanes ? left : x->lanes, width = cg_chunk_lanes(out, k), n = width;
    while (n < rows) n *= 2;
    LLVMValueRef square[64];
    for (int j = 0; j < n; j++) {
        int row = k * out->lanes + j;
        square[j] = row < x->rows ? widen(e, x->v[row * x->chunks + first / x->lanes], n)
                                  : LLVMConstNull(LLVMTypeOf(square[0]));
    }
    transpose_square(e, square, n);
    for (int i = 0; i < rows; i++) out->v[(first + i) * out->chunks + k] = cg_first_lanes(e, square[i], width);
}

cg_value emit_transposed(emitter *e, const cg_value *x, ktile to)
{
    cg_value out = cg_tile(e, to);
    bool vectors = x->lanes > 1 && out.lanes > 1;
    for (int k = 0; k < out.chunks; k++)
        for (int r = 0; r < out.rows; r += vectors ? x->lanes : 1) {
            if (vectors) transpose_chunk(e, x, &out, r, k);
            else out.v[r * out.chunks + k] = gather_column(e, x, &out, r, k);
        }
    return out;
}

void emit_cpu_transpose(emitter *e, kop *op)
{
    cg_set(e, op->results[0], emit_transposed(e, cg_get(e, op->operands[0]), op->results[0]->ty.tile));
}
