/* Control flow: loops with carried tiles as phis, unrolling, branches; and `check`, which reports and goes on. */
#include "codegen/emit.h"
#include "runtime/rt_abi.h"

#include <assert.h>

/* ---- carried values ---- */

/* All values of a block's end, flattened, that become phis. */
typedef struct {
    uint32_t n;
    cg_value *v;
} carried;

static cg_value copy_value(emitter *e, const cg_value *x)
{
    cg_value y = *x;
    size_t n = (size_t)(x->rows * x->chunks);
    y.v = ARENA_ARRAY(e->m->a, LLVMValueRef, n);
    memcpy(y.v, x->v, n * sizeof *y.v);
    return y;
}

/* Value x in the chunks of a tile of type t; i64 scalars with their offset added. */
static cg_value normal_form(emitter *e, const kvalue *x, ktile t)
{
    cg_value y = cg_tile(e, t);
    const cg_value *from = cg_get(e, x);
    for (int r = 0; r < y.rows; r++)
        for (int k = 0; k < y.chunks; k++)
            y.v[r * y.chunks + k] = cg_chunk(e, from, r, k, y.lanes, cg_chunk_lanes(&y, k));
    return y;
}

static carried read_values(emitter *e, kvalue *const *values, uint32_t n, kvalue *const *like)
{
    carried c = {n, ARENA_ARRAY(e->m->a, cg_value, n)};
    for (uint32_t i = 0; i < n; i++) c.v[i] = normal_form(e, values[i], like[i]->ty.tile);
    return c;
}

static carried yielded(emitter *e, const kblock *b, kvalue *const *like)
{
    const kop *y = block_yield(b);
    return read_values(e, y ? y->operands : NULL, y ? y->n_operands : 0, like);
}

/* A block and what it yields to values of the types of `like`. */
static carried emit_nested(emitter *e, const kblock *b, kvalue *const *like)
{
    uint32_t mark = e->rebound.len;
    if (e->enter) e->enter(e, b);
    emit_block(e, b);
    carried c = yielded(e, b, like);
    cg_unbind(e, mark);
    return c;
}

/* Phis for values of c's types at the start of the current block; incoming edges are added later. */
static carried new_phis(emitter *e, const carried *c)
{
    carried p = {c->n, ARENA_ARRAY(e->m->a, cg_value, c->n)};
    for (uint32_t i = 0; i < c->n; i++) {
        p.v[i] = copy_value(e, &c->v[i]);
        for (int j = 0; j < p.v[i].rows * p.v[i].chunks; j++)
            p.v[i].v[j] = LLVMBuildPhi(e->b, LLVMTypeOf(c->v[i].v[j]), "");
    }
    return p;
}

static void add_incoming(const carried *phis, const carried *c, LLVMBasicBlockRef from)
{
    for (uint32_t i = 0; i < phis->n; i++)
        for (int j = 0; j < phis->v[i].rows * phis->v[i].chunks; j++)
            LLVMAddIncoming(phis->v[i].v[j], &c->v[i].v[j], &from, 1);
}

static void bind(emitter *e, kvalue *const *names, const carried *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        ktile t = names[i]->ty.tile;
        if (t.rank == 0 && t.dt == DT_I64) cg_set_affine(e, names[i], c->v[i].v[0], 0);
        else cg_set(e, names[i], c->v[i]);
    }
}

/* ---- for ---- */

/* One copy of the body: iv and the values carried in, the values carried out. */
static carried emit_body(emitter *e, const kop *op, LLVMValueRef iv, int64_t iv_off, const carried *in)
{
    const kblock *body = op->blocks[0];
    cg_set_affine(e, body->args[0], iv, iv_off);
    bind(e, body->args + 1, in);
    return emit_nested(e, body, op->results);
}

/* Between the copies of a body that contracts: LLVM's scheduler otherwise loads the rows of many steps ahead, which
 * takes more registers than there are, and spills them. Nothing is emitted, but loads stay on their side. */
static void keep_apart(emitter *e, const kop *op)
{
    bool contracts = false;
    for (const kop *i = op->blocks[0]->first; i; i = i->next) contracts = contracts || i->op == KOP_CONTRACT;
    if (!contracts) return;
    LLVMTypeRef none = LLVMFunctionType(LLVMVoidTypeInContext(e->m->ctx), NULL, 0, false);
    LLVMValueRef nothing = LLVMGetInlineAsm(none, "", 0, "", 0, true, false, LLVMInlineAsmDialectATT, false);
    LLVMBuildCall2(e->b, none, nothing, NULL, 0, "");
}

/* A loop bound: v + off, v NULL: off alone. */
typedef struct {
    LLVMValueRef v;
    int64_t off;
} bound;

static bound bound_of(emitter *e, kidx i)
{
    if (!i.v) return (bound){NULL, i.off};
    const cg_value *x = cg_get(e, i.v);
    return (bound){x->v[0], x->off + i.off};
}

static LLVMValueRef bound_value(emitter *e, bound x)
{
    LLVMValueRef off = cg_const_i64(e->m, x.off);
    if (!x.v || !x.off) return x.v ? x.v : off;
    return LLVMBuildAdd(e->b, x.v, off, "");
}

/* A counted loop from lo to hi with `copies` bodies a round (more than one: lo + copies * step divides hi - lo evenly).
 * `surely`: it is known to make a round. */
static carried emit_loop(emitter *e, const kop *op, LLVMValueRef lo, LLVMValueRef hi, int copies, bool surely,
                         const carried *init)
{
    LLVMBasicBlockRef before = emit_here(e), body = emit_new_block(e, "loop"), exit = emit_new_block(e, "done");
    if (surely) emit_br(e, body);
    else LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, lo, hi, ""), body, exit);

    emit_to(e, body);
    e->depth++;
    LLVMValueRef iv = LLVMBuildPhi(e->b, e->m->i64, "");
    carried in = new_phis(e, init), out = in;
    for (int i = 0; i < copies; i++) {
        if (i) keep_apart(e, op);
        out = emit_body(e, op, iv, i * op->at.step, &out);
    }
    e->depth--;
    LLVMValueRef next = LLVMBuildNSWAdd(e->b, iv, cg_const_i64(e->m, copies * op->at.step), "");
    LLVMBasicBlockRef latch = emit_here(e);
    LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, next, hi, ""), body, exit);
    LLVMAddIncoming(iv, (LLVMValueRef[]){lo, next}, (LLVMBasicBlockRef[]){before, latch}, 2);
    add_incoming(&in, init, before);
    add_incoming(&in, &out, latch);

    emit_to(e, exit);
    if (surely) return out;
    carried result = new_phis(e, init);
    add_incoming(&result, init, before);
    add_incoming(&result, &out, latch);
    return result;
}

static carried emit_copies(emitter *e, const kop *op, bound lo, int64_t n, carried c)
{
    for (int64_t i = 0; i < n; i++) {
        if (i) keep_apart(e, op);
        c = emit_body(e, op, lo.v, lo.off + i * op->at.step, &c);
    }
    return c;
}

/* Bodies `unroll` at a time up to the last multiple, then one at a time. With a known number of rounds parts vanish
 * that are empty, and become straight code when they run once. */
static carried emit_counted(emitter *e, const kop *op, bound lo, int64_t trips, int64_t unroll, carried c)
{
    if (trips <= unroll) return emit_copies(e, op, lo, trips, c);
    int64_t step = op->at.step, main = trips - trips % unroll;
    bound stop = {lo.v, lo.off + main * step}, end = {lo.v, lo.off + trips * step};
    LLVMValueRef first = bound_value(e, lo), middle = bound_value(e, stop);
    c = main == unroll ? emit_copies(e, op, lo, main, c) : emit_loop(e, op, first, middle, (int)unroll, true, &c);
    if (trips == main) return c;
    return trips - main == 1 ? emit_copies(e, op, stop, 1, c)
                             : emit_loop(e, op, middle, bound_value(e, end), 1, true, &c);
}

static carried emit_unrolled(emitter *e, const kop *op, LLVMValueRef lo, LLVMValueRef hi, int64_t unroll, carried c)
{
    if (unroll == 1) return emit_loop(e, op, lo, hi, 1, false, &c);
    LLVMValueRef length = cg_max_i64(e, LLVMBuildSub(e->b, hi, lo, ""), cg_const_i64(e->m, 0));
    LLVMValueRef round = cg_const_i64(e->m, unroll * op->at.step);
    LLVMValueRef whole = LLVMBuildMul(e->b, LLVMBuildUDiv(e->b, length, round, ""), round, "");
    LLVMValueRef stop = LLVMBuildAdd(e->b, lo, whole, "");
    c = emit_loop(e, op, lo, stop, (int)unroll, false, &c);
    return emit_loop(e, op, stop, hi, 1, false, &c);
}

void emit_cpu_for(emitter *e, kop *op)
{
    bool parallel = op->at.map == KMAP_PARALLEL;
    bound lo = parallel ? (bound){e->begin, 0} : bound_of(e, op->lo),
          hi = parallel ? (bound){e->end, 0} : bound_of(e, op->hi);
    int64_t unroll = op->at.unroll > 1 ? op->at.unroll : 1, step = op->at.step, length = hi.off - lo.off;
    carried init = read_values(e, op->operands, op->n_operands, op->results), out;
    if (lo.v == hi.v) out = emit_counted(e, op, lo, length > 0 ? (length + step - 1) / step : 0, unroll, init);
    else out = emit_unrolled(e, op, bound_value(e, lo), bound_value(e, hi), unroll, init);
    bind(e, op->results, &out);
}

/* ---- branches ---- */

void emit_cpu_if(emitter *e, kop *op)
{
    LLVMValueRef cond = cg_scalar(e, op->operands[0]);
    LLVMBasicBlockRef yes = emit_new_block(e, "then"), no = emit_new_block(e, "else"),
                      join = emit_new_block(e, "endif");
    LLVMBuildCondBr(e->b, cond, yes, no);
    carried out[2];
    LLVMBasicBlockRef from[2];
    for (int i = 0; i < 2; i++) {
        emit_to(e, i == 0 ? yes : no);
        out[i].n = 0;
        if ((uint32_t)i < op->n_blocks) {
            out[i] = emit_nested(e, op->blocks[i], op->results);
        }
        from[i] = emit_here(e);
        emit_br(e, join);
    }
    emit_to(e, join);
    if (!op->n_results) return;
    carried phis = new_phis(e, &out[0]);
    add_incoming(&phis, &out[0], from[0]);
    add_incoming(&phis, &out[1], from[1]);
    bind(e, op->results, &phis);
}

void emit_cpu_switch(emitter *e, kop *op)
{
    LLVMValueRef on = cg_i64(e, op->operands[0]);
    LLVMBasicBlockRef other = emit_new_block(e, "default"), join = emit_new_block(e, "endswitch");
    LLVMValueRef sw = LLVMBuildSwitch(e->b, on, other, op->at.cases.n);
    for (uint32_t i = 0; i < op->n_blocks; i++) {
        LLVMBasicBlockRef b = other;
        if (i < op->at.cases.n) {
            b = emit_new_block(e, "case");
            LLVMAddCase(sw, cg_const_i64(e->m, op->at.cases.v[i]), b);
        }
        emit_to(e, b);
        emit_nested(e, op->blocks[i], NULL);
        emit_br(e, join);
    }
    emit_to(e, join);
}

void emit_cpu_while(emitter *e, kop *op)
{
    const kblock *test = op->blocks[0], *body = op->blocks[1];
    carried init = read_values(e, op->operands, op->n_operands, op->results);
    LLVMBasicBlockRef before = emit_here(e), head = emit_new_block(e, "while"), run = emit_new_block(e, "do"),
                      exit = emit_new_block(e, "endwhile");
    emit_br(e, head);
    emit_to(e, head);
    e->depth++;
    carried in = new_phis(e, &init);
    add_incoming(&in, &init, before);
    bind(e, test->args, &in);
    emit_block(e, test);
    const kop *y = block_yield(test);
    carried tested = read_values(e, y->operands + 1, y->n_operands - 1, op->results);
    LLVMBuildCondBr(e->b, cg_scalar(e, y->operands[0]), run, exit);
    emit_to(e, run);
    bind(e, body->args, &tested);
    emit_block(e, body);
    carried next = yielded(e, body, op->results);
    add_incoming(&in, &next, emit_here(e));
    emit_br(e, head);
    e->depth--;
    emit_to(e, exit);
    bind(e, op->results, &tested);
}

/* Its operands are read by the op whose block it ends. */
void emit_cpu_yield(emitter *e, kop *op)
{
    (void)e, (void)op;
}

/* ---- check ---- */

static LLVMValueRef field(emitter *e, size_t offset)
{
    return cg_offset_const(e, e->fault, (int64_t)offset);
}

/* The lowest (index, argument) is kept: see rt_fault. */
void emit_cpu_check(emitter *e, kop *op)
{
    LLVMValueRef ok = cg_scalar(e, op->operands[0]), index = cg_i64(e, op->operands[1]),
                 arg = cg_const_i64(e->m, op->at.arg);
    LLVMBasicBlockRef bad = emit_new_block(e, "bad"), lower = emit_new_block(e, "report"),
                      on = emit_new_block(e, "checked");
    LLVMBuildCondBr(e->b, ok, on, bad);
    emit_to(e, bad);
    LLVMValueRef old = LLVMBuildLoad2(e->b, e->m->i64, field(e, offsetof(struct rt_fault, index)), "");
    LLVMValueRef old_arg = LLVMBuildLoad2(e->b, e->m->i64, field(e, offsetof(struct rt_fault, arg)), "");
    LLVMValueRef below = LLVMBuildICmp(e->b, LLVMIntSLT, index, old, "");
    LLVMValueRef same = LLVMBuildAnd(e->b, LLVMBuildICmp(e->b, LLVMIntEQ, index, old, ""),
                                     LLVMBuildICmp(e->b, LLVMIntSLT, arg, old_arg, ""), "");
    LLVMBuildCondBr(e->b, LLVMBuildOr(e->b, below, same, ""), lower, on);
    emit_to(e, lower);
    LLVMBuildStore(e->b, index, field(e, offsetof(struct rt_fault, index)));
    LLVMBuildStore(e->b, arg, field(e, offsetof(struct rt_fault, arg)));
    LLVMBuildStore(e->b, cg_i64(e, op->operands[2]), field(e, offsetof(struct rt_fault, value)));
    LLVMBuildStore(e->b, cg_i64(e, op->operands[3]), field(e, offsetof(struct rt_fault, bound)));
    emit_br(e, on);
    emit_to(e, on);
}

/* ---- ops of other targets, which the verifier keeps out of CPU kernels ---- */

#define GPU_ONLY(name)                        \
    void emit_cpu_##name(emitter *e, kop *op) \
    {                                         \
        (void)e, (void)op;                    \
        assert(!"a GPU op in a CPU kernel");  \
    }
GPU_ONLY(copy)
GPU_ONLY(commit)
GPU_ONLY(wait)
GPU_ONLY(fence)
GPU_ONLY(barrier)
