/* Masks that are added: (1 - f32(mask)) * -1e9 and its like.
 *
 * How it is written says little: subtracted from 1, compared with 0, scaled, selected, made of a causal mask and one of
 * keys at once. So the bias is taken as a function of the truth values in it and computed for each combination of them:
 * it is a mask when one of these gives 0 and all others give a number far below any score. */
#include <math.h>

#include "ir/interp.h"
#include "passes/mask_parts.h"

enum { MAX_DEPTH = 24 };

static int find_condition(const mask_bias *b, const mask_view *s)
{
    for (uint32_t i = 0; i < b->n; i++) {
        bool same = b->of[i].v == s->v;
        for (int k = 0; k < s->v->ty.rank && same; k++) same = b->of[i].to[k] == s->to[k];
        if (same) return (int)i;
    }
    return -1;
}

/* Fills the conditions that s is a function of. False: it depends on something else as well. */
static bool find_conditions(const module *m, mask_bias *b, const mask_view *s, int depth)
{
    const node *n = s->v->def;
    mask_view inner;
    double splat;
    uint32_t before = b->n;
    if (depth == MAX_DEPTH) return false;
    if (value_const_splat(s->v, &splat) || find_condition(b, s) >= 0) return true;
    if (mask_view_through(m, s, &inner)) return find_conditions(m, b, &inner, depth + 1);
    bool computed = n && (op_row(n->op)->props & P_ELEMENTWISE || (n->op == OP_CAST && dtype_is_float(s->v->ty.dt)));
    for (uint32_t o = 0; computed && o < n->n_operands; o++) {
        inner = mask_view_operand(s, o);
        computed = find_conditions(m, b, &inner, depth + 1);
    }
    if (computed) return true;
    b->n = before;
    if (s->v->ty.dt != DT_BOOL || b->n == MAX_CONDITIONS) return false;
    b->of[b->n++] = *s;
    return true;
}

/* What s is where condition k holds or not as bit k of `truth` says. */
static scalar_number number(const module *m, const mask_bias *b, const mask_view *s, unsigned truth)
{
    const node *n = s->v->def;
    dtype dt = s->v->ty.dt;
    mask_view inner;
    double splat;
    int condition = find_condition(b, s);
    if (condition >= 0) return (scalar_number){.i = truth >> condition & 1};
    if (value_const_splat(s->v, &splat))
        return dtype_is_float(dt) ? (scalar_number){.f = splat} : (scalar_number){.i = (int64_t)splat};
    if (mask_view_through(m, s, &inner)) return number(m, b, &inner, truth);
    scalar_number x[3] = {{0}};
    for (uint32_t o = 0; o < n->n_operands; o++) {
        inner = mask_view_operand(s, o);
        x[o] = number(m, b, &inner, truth);
    }
    dtype from = n->operands[n->n_operands - 1]->ty.dt;
    if (n->op != OP_CAST) return scalar_function(n->op, from)(x[0], x[1], x[2]);
    return (scalar_number){.f = dtype_round(dt, dtype_is_float(from) ? x[0].f : (double)x[0].i)};
}

bool mask_bias_of(const module *m, const mask_view *s, mask_bias *out)
{
    *out = (mask_bias){.low_enough = true};
    if (!dtype_is_float(s->v->ty.dt) || !find_conditions(m, out, s, 0) || out->n == 0) return false;
    uint32_t zeros = 0;
    for (unsigned truth = 0; truth < 1u << out->n; truth++) {
        double v = number(m, out, s, truth).f;
        if (v == 0) {
            zeros++;
            for (uint32_t i = 0; i < out->n; i++) out->holds[i] = truth >> i & 1;
        } else if (!(v < 0)) {
            return false;
        } else if (v > LEAST_FILL) {
            out->low_enough = false;
        }
    }
    return zeros == 1;
}
