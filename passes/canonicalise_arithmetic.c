/* Rules of canonicalise for elementwise ops, reductions and contractions. See canonicalise.c for what makes a rule
 * exact. */
#include "passes/canonicalise.h"

#include <math.h>

static bool is_float(const node *n)
{
    return dtype_is_float(n->operands[0]->ty.dt);
}

static bool is_number(const node *n) /* an int: neither float nor bool */
{
    return !is_float(n) && n->operands[0]->ty.dt != DT_BOOL;
}

static value *zeros(builder *b, const node *n, int64_t v)
{
    const type *t = &n->result->ty;
    return build_const_int(b, t->dt, t->rank, t->shape, v);
}

static value *unary(builder *b, op_kind op, value *x)
{
    return build_scalar(b, op, &x, 1);
}

static value *binary(builder *b, op_kind op, value *x, value *y)
{
    return build_scalar(b, op, (value *[]){x, y}, 2);
}

/* ---- sums ---- */

static value *add_zero(builder *b, node *n)
{
    (void)b;
    return match_splat(n->operands[1], is_float(n) ? -0.0 : 0) ? n->operands[0] : NULL;
}

static value *add_negated(builder *b, node *n)
{
    if (!is_float(n)) return NULL;
    for (int i = 1; i >= 0; i--) {
        const node *neg = match_op(n->operands[i], OP_NEG);
        if (neg) return binary(b, OP_SUB, n->operands[1 - i], neg->operands[0]);
    }
    return NULL;
}

static value *sub_zero(builder *b, node *n)
{
    (void)b;
    return match_splat(n->operands[1], 0.0) ? n->operands[0] : NULL;
}

static value *sub_negated(builder *b, node *n)
{
    const node *neg = match_op(n->operands[1], OP_NEG);
    return neg && is_float(n) ? binary(b, OP_ADD, n->operands[0], neg->operands[0]) : NULL;
}

static value *sub_itself(builder *b, node *n)
{
    return is_number(n) && n->operands[0] == n->operands[1] ? zeros(b, n, 0) : NULL;
}

/* ---- products ---- */

static value *by_one(builder *b, node *n)
{
    (void)b;
    return match_splat(n->operands[1], 1) ? n->operands[0] : NULL;
}

static value *mul_zero(builder *b, node *n)
{
    return is_number(n) && match_splat(n->operands[1], 0) ? zeros(b, n, 0) : NULL;
}

static value *mul_minus_one(builder *b, node *n)
{
    return is_float(n) && match_splat(n->operands[1], -1) ? unary(b, OP_NEG, n->operands[0]) : NULL;
}

/* 1 / 2^k is exact, and then quotient and product round the same number. Both ends stay far from the dtype's limits. */
static value *div_power_of_two(builder *b, node *n)
{
    double c;
    int exponent;
    if (!is_float(n) || !value_const_splat(n->operands[1], &c) || fabs(frexp(c, &exponent)) != 0.5) return NULL;
    double inverse = 1 / c;
    dtype dt = n->result->ty.dt;
    if (exponent > 100 || exponent < -100 || dtype_round(dt, c) != c || dtype_round(dt, inverse) != inverse)
        return NULL;
    const type *t = &n->result->ty;
    return binary(b, OP_MUL, n->operands[0], build_const(b, t->dt, t->rank, t->shape, inverse));
}

static value *mod_one(builder *b, node *n)
{
    return is_number(n) && match_splat(n->operands[1], 1) ? zeros(b, n, 0) : NULL;
}

/* ---- one operand ---- */

static value *twice_undoes(builder *b, node *n)
{
    (void)b;
    const node *inner = match_op(n->operands[0], n->op);
    return inner ? inner->operands[0] : NULL;
}

static value *twice_is_once(builder *b, node *n)
{
    (void)b;
    return match_op(n->operands[0], n->op) ? n->operands[0] : NULL;
}

static value *abs_neg(builder *b, node *n)
{
    const node *neg = match_op(n->operands[0], OP_NEG);
    return neg && is_float(n) ? unary(b, OP_ABS, neg->operands[0]) : NULL;
}

/* ---- equal operands ---- */

static value *same_is_it(builder *b, node *n)
{
    (void)b;
    return n->operands[0] == n->operands[1] ? n->operands[0] : NULL;
}

static value *same_is_true(builder *b, node *n)
{
    return !is_float(n) && n->operands[0] == n->operands[1] ? zeros(b, n, 1) : NULL;
}

static value *same_is_false(builder *b, node *n)
{
    return !is_float(n) && n->operands[0] == n->operands[1] ? zeros(b, n, 0) : NULL;
}

static value *xor_itself(builder *b, node *n)
{
    return n->operands[0] == n->operands[1] ? zeros(b, n, 0) : NULL;
}

/* ---- comparisons with the constant on the left ---- */

static value *flip(builder *b, node *n, op_kind to)
{
    double x;
    if (!value_const_splat(n->operands[0], &x) || value_const_splat(n->operands[1], &x)) return NULL;
    return binary(b, to, n->operands[1], n->operands[0]);
}

static value *flip_lt(builder *b, node *n)
{
    return flip(b, n, OP_GT);
}

static value *flip_le(builder *b, node *n)
{
    return flip(b, n, OP_GE);
}

static value *flip_gt(builder *b, node *n)
{
    return flip(b, n, OP_LT);
}

static value *flip_ge(builder *b, node *n)
{
    return flip(b, n, OP_LE);
}

/* ---- truth values and bits ---- */

static value *and_true(builder *b, node *n)
{
    (void)b;
    return match_splat(n->operands[1], 1) ? n->operands[0] : NULL;
}

static value *and_false(builder *b, node *n)
{
    (void)b;
    return match_splat(n->operands[1], 0) ? n->operands[1] : NULL;
}

static value *or_false(builder *b, node *n)
{
    (void)b;
    return match_splat(n->operands[1], 0) ? n->operands[0] : NULL;
}

static value *or_true(builder *b, node *n)
{
    (void)b;
    return match_splat(n->operands[1], 1) ? n->operands[1] : NULL;
}

static value *bits_zero(builder *b, node *n) /* | ^ << >> */
{
    (void)b;
    return match_splat(n->operands[1], 0) ? n->operands[0] : NULL;
}

static value *bitand_zero(builder *b, node *n)
{
    return match_splat(n->operands[1], 0) ? zeros(b, n, 0) : NULL;
}

static value *select_known(builder *b, node *n)
{
    (void)b;
    double c;
    return value_const_splat(n->operands[0], &c) ? n->operands[c != 0 ? 1 : 2] : NULL;
}

static value *select_same(builder *b, node *n)
{
    (void)b;
    return n->operands[1] == n->operands[2] ? n->operands[1] : NULL;
}

static value *select_not(builder *b, node *n)
{
    const node *inner = match_op(n->operands[0], OP_NOT);
    if (!inner) return NULL;
    return build_scalar(b, OP_SELECT, (value *[]){inner->operands[0], n->operands[2], n->operands[1]}, 3);
}

/* ---- axes ---- */

static bool keeps_any_order(const node *n)
{
    int64_t k = node_attr(n, ATTR_KIND)->u.i;
    return k == REDUCE_MAX || k == REDUCE_MIN || k == REDUCE_ANY || k == REDUCE_ALL;
}

/* Sums and products start from 0 and 1 and round; extremes and truth values return one of their elements. */
static value *reduce_ones(builder *b, node *n)
{
    if (!keeps_any_order(n)) return NULL;
    const attr *axes = node_attr(n, ATTR_AXES);
    for (int i = 0; i < axes->u.ints.n; i++) {
        int64_t size;
        if (!dim_is_const(b->fn->m->dims, n->operands[0]->ty.shape[axes->u.ints.v[i]], &size) || size != 1) return NULL;
    }
    return build_reshape(b, n->operands[0], n->result->ty.rank, n->result->ty.shape);
}

static value *reduce_twice(builder *b, node *n)
{
    const node *inner = match_op(n->operands[0], OP_REDUCE);
    if (!inner || !keeps_any_order(n) || node_attr(inner, ATTR_KIND)->u.i != node_attr(n, ATTR_KIND)->u.i) return NULL;
    /* Axes of the outer one count those that the inner one left. */
    const attr *in = node_attr(inner, ATTR_AXES), *out = node_attr(n, ATTR_AXES);
    int axes[MAX_RANK];
    uint32_t count = 0;
    int left = 0;
    for (int axis = 0; axis < inner->operands[0]->ty.rank; axis++) {
        bool reduced = false;
        for (int i = 0; i < in->u.ints.n; i++) reduced = reduced || in->u.ints.v[i] == axis;
        if (!reduced) {
            for (int i = 0; i < out->u.ints.n; i++) reduced = reduced || out->u.ints.v[i] == left;
            left++;
        }
        if (reduced) axes[count++] = axis;
    }
    return build_reduce(b, inner->operands[0], (reduce_kind)node_attr(n, ATTR_KIND)->u.i, axes, count);
}

/* The letters of a contraction mean nothing: a, b, c ... in order of appearance. */
static value *rename_labels(builder *b, node *n)
{
    const labels *l = &node_attr(n, ATTR_LABELS)->u.lab;
    labels to = *l;
    char name[128] = {0}, next = 'a';
    for (int o = 0; o < 3; o++)
        for (int i = 0; i < l->rank[o]; i++) {
            char *as = &name[l->label[o][i] & 127];
            if (!*as) *as = next++;
            to.label[o][i] = *as;
        }
    if (!memcmp(&to, l, sizeof to)) return NULL;
    return build_contract(b, n->operands[0], n->operands[1], &to);
}

/* The letters that are summed over, in the order in which the sum runs. */
static int summed(const labels *l, char *out)
{
    int n = 0;
    for (int o = 0; o < 2; o++)
        for (int i = 0; i < l->rank[o]; i++) {
            char c = l->label[o][i];
            if (!memchr(l->label[2], c, l->rank[2]) && !memchr(out, c, (size_t)n)) out[n++] = c;
        }
    return n;
}

/* Labels can say any order of an operand's axes. Where several are summed, their order is that of the additions, and
 * stays. */
static value *contract_transposed(builder *b, node *n)
{
    const labels *l = &node_attr(n, ATTR_LABELS)->u.lab;
    for (int o = 0; o < 2; o++) {
        const node *view = match_op(n->operands[o], OP_TRANSPOSE);
        if (!view) continue;
        labels to = *l;
        for (int i = 0; i < l->rank[o]; i++) to.label[o][node_attr(view, ATTR_PERM)->u.ints.v[i]] = l->label[o][i];
        char before[2 * MAX_RANK] = {0}, after[2 * MAX_RANK] = {0};
        summed(l, before);
        summed(&to, after);
        if (memcmp(before, after, sizeof before)) continue;
        value *x[2] = {n->operands[0], n->operands[1]};
        x[o] = view->operands[0];
        return build_contract(b, x[0], x[1], &to);
    }
    return NULL;
}

static value *attention_all_keys(builder *b, node *n)
{
    value *mask = attention_mask(n);
    if (!mask || !match_splat(mask, 1)) return NULL;
    return build_banded_attention(b, n->operands[0], n->operands[1], n->operands[2], NULL, attention_bias(n),
                                  node_attr(n, ATTR_SCALE)->u.real, attention_band_of(n));
}

const rule arithmetic_rules[] = {
    {OP_ADD, add_zero, "x + -0.0 => x (ints: x + 0)"},
    {OP_ADD, add_negated, "x + -y => x - y"},
    {OP_SUB, sub_zero, "x - 0.0 => x"},
    {OP_SUB, sub_negated, "x - -y => x + y"},
    {OP_SUB, sub_itself, "x - x => 0 (ints)"},
    {OP_MUL, by_one, "x * 1 => x"},
    {OP_MUL, mul_zero, "x * 0 => 0 (ints)"},
    {OP_MUL, mul_minus_one, "x * -1.0 => -x"},
    {OP_DIV, by_one, "x / 1 => x"},
    {OP_DIV, div_power_of_two, "x / 2^k => x * 2^-k"},
    {OP_MOD, mod_one, "x mod 1 => 0 (ints)"},
    {OP_NEG, twice_undoes, "-(-x) => x"},
    {OP_NOT, twice_undoes, "not not x => x"},
    {OP_ABS, twice_is_once, "||x|| => |x|"},
    {OP_FLOOR, twice_is_once, "floor(floor(x)) => floor(x)"},
    {OP_RINT, twice_is_once, "rint(rint(x)) => rint(x)"},
    {OP_ABS, abs_neg, "|-x| => |x|"},
    {OP_MIN, same_is_it, "min(x, x) => x"},
    {OP_MAX, same_is_it, "max(x, x) => x"},
    {OP_AND, same_is_it, "x and x => x"},
    {OP_OR, same_is_it, "x or x => x"},
    {OP_BITAND, same_is_it, "x & x => x"},
    {OP_BITOR, same_is_it, "x | x => x"},
    {OP_BITXOR, xor_itself, "x ^ x => 0"},
    {OP_EQ, same_is_true, "x == x => true (not floats)"},
    {OP_LE, same_is_true, "x <= x => true (not floats)"},
    {OP_GE, same_is_true, "x >= x => true (not floats)"},
    {OP_NE, same_is_false, "x != x => false (not floats)"},
    {OP_LT, same_is_false, "x < x => false (not floats)"},
    {OP_GT, same_is_false, "x > x => false (not floats)"},
    {OP_LT, flip_lt, "c < x => x > c"},
    {OP_LE, flip_le, "c <= x => x >= c"},
    {OP_GT, flip_gt, "c > x => x < c"},
    {OP_GE, flip_ge, "c >= x => x <= c"},
    {OP_AND, and_true, "x and true => x"},
    {OP_AND, and_false, "x and false => false"},
    {OP_OR, or_false, "x or false => x"},
    {OP_OR, or_true, "x or true => true"},
    {OP_BITAND, bitand_zero, "x & 0 => 0"},
    {OP_BITOR, bits_zero, "x | 0 => x"},
    {OP_BITXOR, bits_zero, "x ^ 0 => x"},
    {OP_SHL, bits_zero, "x << 0 => x"},
    {OP_SHR, bits_zero, "x >> 0 => x"},
    {OP_SELECT, select_known, "true ? x : y => x"},
    {OP_SELECT, select_same, "c ? x : x => x"},
    {OP_SELECT, select_not, "not c ? x : y => c ? y : x"},
    {OP_REDUCE, reduce_ones, "max, min, any, all over axes of size 1 => reshape"},
    {OP_REDUCE, reduce_twice, "max of max (min, any, all) => one reduction"},
    {OP_CONTRACT, contract_transposed, "contraction of a transpose => other labels"},
    {OP_CONTRACT, rename_labels, "labels in order of appearance"},
    {OP_ATTENTION, attention_all_keys, "a mask of true => none"},
};
const uint32_t n_arithmetic_rules = sizeof arithmetic_rules / sizeof *arithmetic_rules;
