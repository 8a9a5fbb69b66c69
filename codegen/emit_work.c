/* Work: about how many instructions a launch takes, which decides whether threads share it (rt_abi.h).
 *
 * The cost model (ir/kir/kcost.h) would know it exactly, but dims are known when the model runs. So the kernel is
 * emitted once more without its tiles: scalars as they are, of loops the round in the middle times the number of
 * rounds, of branches the one that is taken. What is read from memory is not known: a loop that ends by it is taken to
 * run along a whole axis of what it indexes, and of such branches the dearer one counts. */
#include "codegen/emit_work.h"

#include "codegen/emit_plan.h"

#define DIVISION 10 /* instructions that a division or square root takes the time of */

typedef struct {
    emitter e;
    bool *tried; /* by value id: evaluating it was tried */
} work;

/* ---- single ops ---- */

static int64_t vectors(const emitter *e, ktile t)
{
    int64_t rows = t.rank == 2 ? t.shape[0] : 1, cols = t.rank ? t.shape[t.rank - 1] : 1;
    if (t.layout == KL_SCALARS) return rows * cols;
    int64_t wide = dtype_bits(t.dt) > 32 ? dtype_bits(t.dt) / 32 : 1;
    return rows * ((cols + e->lanes - 1) / e->lanes) * (t.rank ? wide : 1);
}

static int64_t access_work(const emitter *e, const kmem *at, ktile t)
{
    const kbuffer *b = &at->buf->ty.buf;
    int64_t one;
    uint32_t last = b->rank - 1u;
    bool neighbours = b->dense || (dim_is_const(e->f->dims, b->strides[last], &one) && one == 1);
    bool along = t.rank == 0 || t.shape[t.rank - 1] == 1 || (neighbours && at->axes[t.rank - 1] == last);
    return along ? vectors(e, t) : ktile_elements(t);
}

static int64_t op_work(const emitter *e, const kop *op)
{
    switch (op->op) {
    case KOP_LOAD: return access_work(e, &op->mem[0], op->results[0]->ty.tile);
    case KOP_STORE: return access_work(e, &op->mem[0], op->operands[0]->ty.tile);
    case KOP_CONTRACT: return vectors(e, op->results[0]->ty.tile) * op->operands[1]->ty.tile.shape[1];
    case KOP_TRANSPOSE: return ktile_elements(op->results[0]->ty.tile);
    case KOP_REDUCE: return vectors(e, op->operands[0]->ty.tile);
    case KOP_DIV:
    case KOP_MOD:
    case KOP_SQRT:
    case KOP_RSQRT: return DIVISION * vectors(e, op->results[0]->ty.tile);
    case KOP_PREFETCH:
    case KOP_CHECK: return 1;
    case KOP_CAST: return vectors(e, op->results[0]->ty.tile);
    default: return kop_row(op->op)->props & K_ELEMENTWISE ? vectors(e, op->results[0]->ty.tile) : 0;
    }
}

/* ---- scalars ---- */

static bool is_integer(const kvalue *v)
{
    return v->kind == KV_TILE && v->ty.tile.rank == 0 && !dtype_is_float(v->ty.tile.dt);
}

static bool is_arithmetic(const kop *op)
{
    return op->op == KOP_DIM || op->op == KOP_CONST || op->op == KOP_CAST || kop_row(op->op)->props & K_ELEMENTWISE;
}

static bool known(work *w, const kvalue *v);

/* Emits the op that defines v. Of the lesser of two values, one of which comes from memory, the other one is the best
 * guess: a bound. */
static void evaluate(work *w, const kvalue *v)
{
    emitter *e = &w->e;
    kop *op = v->def;
    bool all = true;
    for (uint32_t i = 0; i < op->n_operands; i++) all = known(w, op->operands[i]) && all;
    if (all) {
        emit_cpu_table[op->op](e, op);
    } else if (op->op == KOP_MIN && v->ty.tile.dt == DT_I64) {
        for (int i = 0; i < 2; i++)
            if (known(w, op->operands[i])) cg_set_affine(e, v, cg_i64(e, op->operands[i]), 0);
    }
}

/* Whether there is a value for v (NULL: none is needed). Scalars are emitted where they are first asked for: few decide
 * anything, and there are no branches that they could be on the wrong side of. */
static bool known(work *w, const kvalue *v)
{
    if (!v) return true;
    if (!is_integer(v)) return false;
    if (!w->tried[v->id] && v->def && is_arithmetic(v->def)) {
        w->tried[v->id] = true;
        evaluate(w, v);
    }
    return w->e.values[v->id].rows != 0;
}

/* ---- blocks ---- */

static LLVMValueRef block_work(work *w, const kblock *b);

/* The size of an axis that is indexed by v in the block; DIM_BAD: none. */
static dim axis_along(const kblock *b, const kvalue *v)
{
    dim size = DIM_BAD;
    kblock_foreach(op, b)
    {
        for (int m = 0; m < op->n_mem && size == DIM_BAD; m++)
            for (int i = 0; i < op->mem[m].n_idx; i++)
                if (op->mem[m].idx[i].v == v) size = op->mem[m].buf->ty.buf.shape[i];
        for (uint32_t i = 0; i < op->n_blocks && size == DIM_BAD; i++) size = axis_along(op->blocks[i], v);
        if (size != DIM_BAD) break;
    }
    return size;
}

static LLVMValueRef loop_work(work *w, const kop *op)
{
    emitter *e = &w->e;
    const kblock *body = op->blocks[0];
    LLVMValueRef lo, length;
    if (known(w, op->lo.v) && known(w, op->hi.v)) {
        lo = cg_index(e, op->lo);
        length = LLVMBuildSub(e->b, cg_index(e, op->hi), lo, "");
    } else {
        dim size = axis_along(body, body->args[0]);
        lo = cg_const_i64(e->m, 0);
        length = size == DIM_BAD ? cg_const_i64(e->m, op->at.step) : cg_dim(e, size);
    }
    LLVMValueRef zero = cg_const_i64(e->m, 0), one = cg_const_i64(e->m, 1), step = cg_const_i64(e->m, op->at.step);
    length = cg_max_i64(e, LLVMBuildAdd(e->b, length, cg_const_i64(e->m, op->at.step - 1), ""), zero);
    LLVMValueRef rounds = LLVMBuildUDiv(e->b, length, step, "");
    /* Of two rounds the first: the last one is often not whole. */
    LLVMValueRef before = LLVMBuildSub(e->b, cg_max_i64(e, rounds, one), one, "");
    LLVMValueRef middle = LLVMBuildMul(e->b, LLVMBuildUDiv(e->b, before, cg_const_i64(e->m, 2), ""), step, "");
    cg_set_affine(e, body->args[0], LLVMBuildAdd(e->b, lo, middle, ""), 0);
    return LLVMBuildMul(e->b, rounds, block_work(w, body), "");
}

/* Results that are known in both blocks. */
static void choose_results(work *w, const kop *op, LLVMValueRef cond)
{
    emitter *e = &w->e;
    for (uint32_t i = 0; i < op->n_results; i++) {
        const kvalue *r = op->results[i], *yes = block_yield(op->blocks[0])->operands[i],
                     *no = block_yield(op->blocks[1])->operands[i];
        if (r->ty.tile.rank || r->ty.tile.dt != DT_I64 || !known(w, yes) || !known(w, no)) continue;
        cg_set_affine(e, r, LLVMBuildSelect(e->b, cond, cg_i64(e, yes), cg_i64(e, no), ""), 0);
    }
}

static LLVMValueRef choice_work(work *w, const kop *op)
{
    emitter *e = &w->e;
    const kvalue *on = op->operands[0];
    bool decided = known(w, on);
    LLVMValueRef all = NULL, chosen = decided ? cg_scalar(e, on) : NULL;
    for (uint32_t i = op->n_blocks; i-- > 0;) { /* from the default on */
        LLVMValueRef one = block_work(w, op->blocks[i]);
        if (!all) {
            all = one;
        } else if (!decided) {
            all = cg_max_i64(e, all, one);
        } else {
            LLVMValueRef taken = chosen;
            if (op->op == KOP_SWITCH)
                taken = LLVMBuildICmp(e->b, LLVMIntEQ, chosen, cg_const_i64(e->m, op->at.cases.v[i]), "");
            all = LLVMBuildSelect(e->b, taken, one, all, "");
        }
    }
    if (decided && op->op == KOP_IF) choose_results(w, op, chosen);
    return all;
}

static LLVMValueRef block_work(work *w, const kblock *b)
{
    emitter *e = &w->e;
    int64_t fixed = 0;
    LLVMValueRef sum = cg_const_i64(e->m, 0);
    kblock_foreach(op, b)
    {
        LLVMValueRef nested = NULL;
        if (op->op == KOP_FOR) nested = loop_work(w, op);
        else if (op->op == KOP_IF || op->op == KOP_SWITCH) nested = choice_work(w, op);
        else fixed += op_work(e, op);
        if (nested) sum = LLVMBuildAdd(e->b, sum, nested, "");
    }
    return LLVMBuildAdd(e->b, sum, cg_const_i64(e->m, fixed), "");
}

LLVMValueRef emit_work(emit_module *m, const kfunction *f)
{
    work w = {.tried = ARENA_ARRAY(m->a, bool, f->n_values)};
    LLVMBasicBlockRef body = emit_dims_function(&w.e, m, f, "work");
    LLVMBuildRet(w.e.b, block_work(&w, f->body));
    emit_finish(&w.e, body);
    return w.e.fn;
}
