/* Asynchronous copies (cp.async), their groups, barriers.
 *
 * A copy is dealt to the lanes in pieces: 16 bytes where both sides are known to be aligned, else 8 or 4. A piece that
 * its source lacks in part or whole is filled with zeros by the instruction itself, which then reads only what exists.
 */
#include "codegen/emit_ptx.h"

#include <assert.h>

typedef struct {
    emitter *e;
    ptx_access dst, src;
    int rows, cols;              /* of the rectangle */
    int bytes, elements, pieces; /* of a piece; of a piece; of a row */
    int across;                  /* lanes beside each other in a row, a power of two */
    ptx_offset row, col;         /* the lane's part of a place, in rows and elements */
    ptx_offset from, to;         /* the same in bytes */
} copying;

/* ---- how it is dealt ---- */

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A power of two that divides the addresses of all pieces of n elements. */
static int64_t piece_alignment(const ptx_access *a, int n)
{
    ptx_offset none = {NULL, 0, PTX_MOST_MULTIPLE};
    return lesser(lesser(ptx_alignment(a, none, 0, 0), a->stride_multiple[PTX_ROW]), ptx_low_bit(n * a->bytes));
}

static bool contiguous(const ptx_access *a)
{
    return !a->stride[PTX_COL] && a->step[PTX_COL] == a->bytes;
}

static bool choose_piece(copying *c)
{
    int64_t size = c->src.bytes;
    if (!contiguous(&c->dst) || !contiguous(&c->src)) {
        emit_unsupported(c->e, "a copy whose rows are not contiguous on both sides");
        return false;
    }
    for (c->bytes = 16; c->bytes >= 4; c->bytes /= 2) {
        if (c->bytes < size) break;
        c->elements = c->bytes / (int)size;
        if (c->cols % c->elements || (c->dst.bounded[PTX_COL] && c->dst.bound_multiple[PTX_COL] < c->elements))
            continue;
        if (piece_alignment(&c->dst, c->elements) < c->bytes || piece_alignment(&c->src, c->elements) < c->bytes)
            continue;
        c->pieces = c->cols / c->elements;
        return true;
    }
    int64_t dst = piece_alignment(&c->dst, c->cols), src = piece_alignment(&c->src, c->cols);
    emit_unsupported(
        c->e,
        "a copy in pieces of 4 bytes: rows are known to be aligned to %lld in the source and %lld in the destination",
        (long long)src, (long long)dst);
    return false;
}

static void deal(copying *c)
{
    emitter *e = c->e;
    c->across = 1;
    while (c->across < c->pieces && c->across < e->ptx->lanes) c->across *= 2;
    int shift = __builtin_ctz((unsigned)c->across), rows = e->ptx->lanes / c->across;
    if (rows > 1) c->row = (ptx_offset){ptx_lane_bits(e, shift, rows - 1), rows - 1, 1};
    else c->row = (ptx_offset){NULL, 0, PTX_MOST_MULTIPLE};
    c->col = (ptx_offset){NULL, 0, PTX_MOST_MULTIPLE};
    if (c->across > 1) {
        LLVMValueRef v = LLVMBuildMul(e->b, ptx_lane_bits(e, 0, c->across - 1), cg_const_i32(e->m, c->elements), "");
        c->col = (ptx_offset){v, (int64_t)(c->across - 1) * c->elements, ptx_low_bit(c->elements)};
    }
    c->to = ptx_lane_offset(e, &c->dst, c->row, c->col);
    c->from = ptx_lane_offset(e, &c->src, c->row, c->col);
}

/* ---- one piece ---- */

/* True in lanes whose place, `at` further, is below the limit; NULL: in all. */
static LLVMValueRef below(copying *c, ptx_offset lane, int at, LLVMValueRef limit)
{
    emitter *e = c->e;
    LLVMValueRef x = cg_const_i32(e->m, at);
    if (lane.v) x = LLVMBuildAdd(e->b, lane.v, x, "");
    return LLVMBuildICmp(e->b, LLVMIntSLT, x, limit, "");
}

static LLVMValueRef both(emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return !a ? b : !b ? a : LLVMBuildAnd(e->b, a, b, "");
}

/* Whether the lane has this piece at all; NULL: every lane. */
static LLVMValueRef piece_exists(copying *c, int row, int col)
{
    emitter *e = c->e;
    int rows = e->ptx->lanes / c->across;
    LLVMValueRef p = NULL;
    if (row + rows > c->rows) p = below(c, c->row, row, cg_const_i32(e->m, c->rows));
    if (col + c->across * c->elements > c->cols) p = both(e, p, below(c, c->col, col, cg_const_i32(e->m, c->cols)));
    if (c->dst.bounded[PTX_ROW]) p = both(e, p, below(c, c->row, row, c->dst.bound[PTX_ROW]));
    if (c->dst.bounded[PTX_COL]) p = both(e, p, below(c, c->col, col, c->dst.bound[PTX_COL]));
    return p;
}

/* How many bytes of the piece the source has; NULL: all of them. */
static LLVMValueRef source_bytes(copying *c, int row, int col)
{
    emitter *e = c->e;
    LLVMValueRef all = cg_const_i32(e->m, c->bytes), none = cg_const_i32(e->m, 0), n = NULL;
    const ptx_access *s = &c->src;
    if (s->bounded[PTX_COL] && s->bound_multiple[PTX_COL] >= c->elements) {
        n = LLVMBuildSelect(e->b, below(c, c->col, col, s->bound[PTX_COL]), all, none, "");
    } else if (s->bounded[PTX_COL]) {
        LLVMValueRef at = cg_const_i32(e->m, col);
        if (c->col.v) at = LLVMBuildAdd(e->b, c->col.v, at, "");
        n = LLVMBuildMul(e->b, LLVMBuildSub(e->b, s->bound[PTX_COL], at, ""), cg_const_i32(e->m, s->bytes), "");
        LLVMTypeRef t = e->m->i32;
        n = cg_intrinsic(e, "llvm.smax", &t, 1, (LLVMValueRef[]){n, none}, 2);
        n = cg_intrinsic(e, "llvm.smin", &t, 1, (LLVMValueRef[]){n, all}, 2);
    }
    if (!s->bounded[PTX_ROW]) return n;
    return LLVMBuildSelect(e->b, below(c, c->row, row, s->bound[PTX_ROW]), n ? n : all, none, "");
}

static void copy_piece(copying *c, int row, int col)
{
    emitter *e = c->e;
    LLVMValueRef exists = piece_exists(c, row, col), size = source_bytes(c, row, col), args[4];
    args[0] = ptx_shared_window(e, ptx_address(e, &c->dst, c->to, row, col));
    args[1] = LLVMBuildPtrToInt(e->b, ptx_address(e, &c->src, c->from, row, col), e->m->i64, "");
    unsigned n = 2;
    strbuf text = strbuf_new(e->m->a), with = strbuf_new(e->m->a);
    strbuf_adds(&with, "r,l");
    if (size) strbuf_adds(&with, ",r");
    if (exists) strbuf_addf(&text, "@$%d ", size ? 3 : 2);
    /* 16 bytes need not pass through the first-level cache. */
    strbuf_addf(&text, "cp.async.%s.shared.global [$0], [$1], %d%s;", c->bytes == 16 ? "cg" : "ca", c->bytes,
                size ? ", $2" : "");
    if (size) args[n++] = size;
    if (exists) {
        strbuf_adds(&with, ",b");
        args[n++] = exists;
    }
    strbuf_adds(&with, ",~{memory}");
    ptx_emit_asm(e, text.s, with.s, NULL, args, n);
}

/* ---- ops ---- */

void emit_ptx_copy(emitter *e, kop *op)
{
    copying c = {.e = e, .rows = op->shape.shape[0], .cols = op->shape.shape[1]};
    c.dst = ptx_access_begin(e, &op->mem[0], op->shape);
    c.src = ptx_access_begin(e, &op->mem[1], op->shape);
    if (!choose_piece(&c)) return;
    ptx_order_copy(e, op->mem[0].buf, op->mem[1].buf);
    deal(&c);
    int rows = e->ptx->lanes / c.across, cols = c.across * c.elements;
    for (int row = 0; row < c.rows; row += rows)
        for (int col = 0; col < c.cols; col += cols) copy_piece(&c, row, col);
}

static void plain(emitter *e, const char *text)
{
    ptx_emit_asm(e, text, "~{memory}", NULL, NULL, 0);
}

void emit_ptx_commit(emitter *e, kop *op)
{
    plain(e, op->at.queue == KQUEUE_COPY ? "cp.async.commit_group;" : "wgmma.commit_group.sync.aligned;");
}

void emit_ptx_wait(emitter *e, kop *op)
{
    int keep = (int)op->at.keep;
    if (op->at.queue == KQUEUE_COPY) {
        plain(e, arena_printf(e->m->a, "cp.async.wait_group %d;", keep));
        ptx_order_copied(e);
        return;
    }
    ptx_emit_ordered(e, op, arena_printf(e->m->a, "wgmma.wait_group.sync.aligned %d;", keep));
}

/* Registers first, then what ordinary instructions wrote to shared memory: wgmma reads it through another path. */
void emit_ptx_fence(emitter *e, kop *op)
{
    ptx_emit_ordered(e, op, "fence.proxy.async.shared::cta;\n\twgmma.fence.sync.aligned;");
}

void emit_ptx_barrier(emitter *e, kop *op)
{
    (void)op;
    plain(e, "bar.sync 0;");
    ptx_order_barrier(e);
}
