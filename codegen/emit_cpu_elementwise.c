/* Ops that work element by element: scalar.def's, cast and bitcast. Each has a function for one chunk of its result.
 *
 * A run of such ops on tiles of one shape is emitted chunk by chunk, each chunk through all of them, and not op by op:
 * an epilogue of thirty ops on a tile that fills the registers would else spill the whole tile between every two ops.
 */
#include "codegen/emit.h"

#include <assert.h>

/* The result's chunk from the operands' chunks, `width` lanes each. */
typedef LLVMValueRef chunk_fn(emitter *e, const kop *op, LLVMValueRef *x, int width);

static LLVMValueRef map_chunk(emitter *e, const kop *op, LLVMValueRef *x, int width)
{
    (void)width;
    return emit_scalar_op(e, op->op, op->operands[op->n_operands - 1]->ty.tile.dt, x);
}

static LLVMValueRef cast_chunk(emitter *e, const kop *op, LLVMValueRef *x, int width)
{
    (void)width;
    return emit_convert(e, x[0], op->operands[0]->ty.tile.dt, op->results[0]->ty.tile.dt);
}

static LLVMValueRef bitcast_chunk(emitter *e, const kop *op, LLVMValueRef *x, int width)
{
    return LLVMBuildBitCast(e->b, x[0], cg_vector_of(cg_scalar_type(e->m, op->results[0]->ty.tile.dt), width), "");
}

static chunk_fn *chunk_function(const kop *op)
{
    if (op->op == KOP_CAST) return cast_chunk;
    if (op->op == KOP_BITCAST) return bitcast_chunk;
    return kop_row(op->op)->props & K_ELEMENTWISE ? map_chunk : NULL;
}

static void emit_chunk(emitter *e, const kop *op, chunk_fn *fn, const cg_value *out, int r, int k)
{
    LLVMValueRef x[3] = {0};
    int width = cg_chunk_lanes(out, k);
    assert(op->n_operands <= 3);
    for (uint32_t i = 0; i < op->n_operands; i++)
        x[i] = cg_chunk(e, cg_get(e, op->operands[i]), r, k, out->lanes, width);
    out->v[r * out->chunks + k] = fn(e, op, x, width);
}

/* ---- one op ---- */

static void emit_whole(emitter *e, const kop *op)
{
    const kvalue *result = op->results[0];
    cg_value out = cg_tile(e, result->ty.tile);
    for (int r = 0; r < out.rows; r++)
        for (int k = 0; k < out.chunks; k++) emit_chunk(e, op, chunk_function(op), &out, r, k);
    if (result->ty.tile.rank == 0 && result->ty.tile.dt == DT_I64) cg_set_affine(e, result, out.v[0], 0);
    else cg_set(e, result, out);
}

/* i64 additions of constants only move the constant offset: see cg_set_affine. */
static bool affine(emitter *e, const kop *op)
{
    const kvalue *r = op->results[0];
    if ((op->op != KOP_ADD && op->op != KOP_SUB) || r->ty.tile.rank || r->ty.tile.dt != DT_I64) return false;
    cg_value x = *cg_get(e, op->operands[0]), y = *cg_get(e, op->operands[1]);
    if (op->op == KOP_ADD && !x.v[0]) {
        cg_value t = x;
        x = y;
        y = t;
    }
    if (y.v[0]) return false;
    cg_set_affine(e, r, x.v[0],
                  (int64_t)(op->op == KOP_ADD ? (uint64_t)x.off + (uint64_t)y.off : (uint64_t)x.off - (uint64_t)y.off));
    return true;
}

void emit_cpu_map(emitter *e, kop *op)
{
    if (!affine(e, op)) emit_whole(e, op);
}

void emit_cpu_cast(emitter *e, kop *op)
{
    emit_whole(e, op);
}

void emit_cpu_bitcast(emitter *e, kop *op)
{
    emit_whole(e, op);
}

/* ---- runs ---- */

static bool same_shape(ktile a, ktile b)
{
    return a.rank == b.rank && a.layout == b.layout && !memcmp(a.shape, b.shape, a.rank * sizeof *a.shape);
}

static bool joins(const kop *op, ktile shape)
{
    return chunk_function(op) && same_shape(op->results[0]->ty.tile, shape);
}

kop *emit_run(emitter *e, kop *first)
{
    if (first->op == KOP_CONTRACT) {
        e->at = first;
        debug_at(e, first->source);
        return emit_contract_run(e, first, CONTRACT_RUN);
    }
    if (!chunk_function(first) || first->results[0]->ty.tile.rank == 0) return first;
    ktile shape = first->results[0]->ty.tile;
    int n = 0;
    kop *end = first;
    for (; end && (joins(end, shape) || end->op == KOP_CONST); end = end->next) n += end->op != KOP_CONST;
    if (n < 2) return first;
    for (kop *op = first; op != end; op = op->next) {
        if (op->op == KOP_CONST) emit_cpu_table[op->op](e, op);
        else cg_set(e, op->results[0], cg_tile(e, op->results[0]->ty.tile));
    }
    cg_value out = *cg_get(e, first->results[0]);
    for (int r = 0; r < out.rows; r++)
        for (int k = 0; k < out.chunks; k++)
            for (kop *op = first; op != end; op = op->next) {
                if (op->op == KOP_CONST) continue;
                e->at = op;
                debug_at(e, op->source);
                emit_chunk(e, op, chunk_function(op), cg_get(e, op->results[0]), r, k);
            }
    return end;
}
