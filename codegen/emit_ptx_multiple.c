/* Which powers of two divide a scalar: what decides between one 16-byte access and several small ones. */
#include "codegen/emit_ptx.h"

#include <assert.h>

int64_t ptx_low_bit(int64_t x)
{
    int64_t b = x & -x;
    return b > 0 && b < PTX_MOST_MULTIPLE ? b : PTX_MOST_MULTIPLE;
}

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t ptx_multiple_product(int64_t a, int64_t b)
{
    return a >= PTX_MOST_MULTIPLE / b ? PTX_MOST_MULTIPLE : a * b;
}

static int64_t operand(emitter *e, const kop *op, uint32_t i)
{
    return ptx_known_multiple(e, op->operands[i]);
}

static bool constant_operand(const kop *op, uint32_t i, int64_t *out)
{
    const kop *def = op->operands[i]->def;
    if (!def || def->op != KOP_CONST) return false;
    *out = def->at.i;
    return true;
}

static int64_t of_dim(emitter *e, const kop *op)
{
    return ptx_low_bit(dim_known_multiple(e->f->dims, op->at.d));
}

static int64_t of_const(emitter *e, const kop *op)
{
    (void)e;
    return ptx_low_bit(op->at.i);
}

static int64_t of_mul(emitter *e, const kop *op)
{
    return ptx_multiple_product(operand(e, op, 0), operand(e, op, 1));
}

static int64_t of_both(emitter *e, const kop *op)
{
    return lesser(operand(e, op, 0), operand(e, op, 1));
}

static int64_t of_select(emitter *e, const kop *op)
{
    return lesser(operand(e, op, 1), operand(e, op, 2));
}

static int64_t of_shl(emitter *e, const kop *op)
{
    int64_t by;
    if (!constant_operand(op, 1, &by) || by < 0 || by > 62) return 1;
    return ptx_multiple_product(operand(e, op, 0), lesser(INT64_C(1) << by, PTX_MOST_MULTIPLE));
}

static int64_t of_bitand(emitter *e, const kop *op)
{
    int64_t a = operand(e, op, 0), b = operand(e, op, 1);
    return a > b ? a : b;
}

typedef int64_t multiple_fn(emitter *e, const kop *op);
static multiple_fn *const table[KOP_COUNT] = {
    [KOP_DIM] = of_dim,  [KOP_CONST] = of_const,   [KOP_MUL] = of_mul,  [KOP_ADD] = of_both,
    [KOP_SUB] = of_both, [KOP_MIN] = of_both,      [KOP_MAX] = of_both, [KOP_SELECT] = of_select,
    [KOP_SHL] = of_shl,  [KOP_BITAND] = of_bitand,
};

/* A loop's variable: the first value and all steps. */
static int64_t of_argument(emitter *e, const kvalue *v)
{
    const kop *loop = v->arg_of ? v->arg_of->parent : NULL;
    if (!loop || loop->op != KOP_FOR || v->arg_of->args[0] != v) return 1;
    return lesser(ptx_index_multiple(e, loop->lo), ptx_low_bit(loop->at.step));
}

int64_t ptx_known_multiple(emitter *e, const kvalue *v)
{
    void *known = ptrmap_get(e->ptx->multiples, v);
    if (known) return (int64_t)(intptr_t)known;
    int64_t m = !v->def ? of_argument(e, v) : table[v->def->op] ? table[v->def->op](e, v->def) : 1;
    ptrmap_set(e->ptx->multiples, v, (void *)(intptr_t)m);
    return m;
}

int64_t ptx_index_multiple(emitter *e, kidx i)
{
    int64_t m = ptx_low_bit(i.off);
    return i.v ? lesser(m, ptx_known_multiple(e, i.v)) : m;
}
