/* Scales and shifts per channel become part of the weights before them: what is left of a batch norm behind a linear
 * layer or a convolution is nothing.
 *
 *   %1 = contract %x, %w {labels = "ab,cb->ac"} : f32[N, 64]
 *   %2 = add %1, %bias : f32[N, 64]                           (%bias, %scale and %shift are parameters of 64 elements,
 *   %3 = mul %2, %scale : f32[N, 64]                           broadcast)
 *   %4 = add %3, %shift : f32[N, 64]
 * ->
 *   %1 = contract %x, %scaled {labels = "ab,cb->ac"} : f32[N, 64]        scaled = w * scale, along axis c
 *   %2 = add %1, %moved : f32[N, 64]                                     moved = bias * scale + shift
 *
 * Two rewrites: a multiplication moves up to the contraction, through additions, transposes and reshapes; an addition
 * moves up to an earlier one. A factor is a number, or a vector along one axis of the result that is an axis of the
 * weight. The products are expressions (ir/constant.h): nothing is computed now.
 *
 * Requires precomputed scales (precompute) and composed views (canonicalise); leaves unused nodes for dce. Breaks the
 * identity of weights and biases, so policies must have been resolved before.
 *
 * Moving a factor whenever there is a weight before it is the obvious way, and stores a weight twice when another layer
 * reads it as well, or computes twice what another reader needs unscaled. So every value in between must have one
 * reader and no promised name, and all readers of the weight, in all entries, must be scaled alike. */
#include <assert.h>

#include "passes/match.h"
#include "passes/params.h"
#include "passes/pass.h"

enum { MAX_STEPS = 16 };

/* A constant that is one number, or a vector along one axis of a value. */
typedef struct {
    const cexpr *e; /* f64[C], or f64 for a number */
    int axis;       /* -1: a number */
    const char *name;
} channel;

/* A multiplication that may move into a weight. */
typedef struct {
    node *mul, *contract;
    channel factor, weight_factor; /* along the multiplication's result, along the weight */
    uint32_t weight;               /* which operand of the contraction */
    node *shifts[MAX_STEPS];       /* additions in between */
    channel shift_factor[MAX_STEPS];
    uint32_t n_shifts;
} scaling;

typedef struct {
    pass_ctx *ctx;
    module *m;
    VEC(scaling) found;
    uint32_t *uses; /* by param id: of all its nodes */
    bool explain;   /* give remarks */
} scaler;

/* ---- constants behind values ---- */

/* The number that v is everywhere, or the vector that it repeats along all axes but one. */
static bool channel_of(const module *m, const value *v, channel *out)
{
    double number;
    if (!dtype_is_float(v->ty.dt)) return false;
    if (value_const_splat(v, &number)) {
        *out = (channel){cexpr_splat(m->a, DT_F64, 0, NULL, number), -1, arena_printf(m->a, "%g", number)};
        return true;
    }
    const node *b = match_op(v, OP_BROADCAST);
    const value *from = b ? b->operands[0] : v;
    const param *p;
    const cexpr *e = param_elements(m, from, &p);
    if (!e) return false;
    *out = (channel){.axis = -1, .name = p->path};
    for (int i = 0; i < e->rank; i++) {
        if (e->shape[i] == 1) continue;
        if (out->axis >= 0) return false;
        out->axis = b ? (int)node_attr(b, ATTR_AXES)->u.ints.v[i] : i;
    }
    int64_t n = (int64_t)cexpr_elements(e);
    out->e = constant_wide(m->a, cexpr_reshape(m->a, e, out->axis < 0 ? 0 : 1, &n));
    return n > 0;
}

/* x op y, channel by channel; false when they run along different axes. */
static bool combine(const module *m, op_kind op, channel x, channel y, channel *out)
{
    if (x.axis >= 0 && y.axis >= 0 && (x.axis != y.axis || x.e->shape[0] != y.e->shape[0])) return false;
    const channel *longer = x.axis >= 0 ? &x : &y;
    const cexpr *args[2] = {cexpr_broadcast(m->a, x.e, (const uint8_t[]){0}, longer->e->rank, longer->e->shape),
                            cexpr_broadcast(m->a, y.e, (const uint8_t[]){0}, longer->e->rank, longer->e->shape)};
    *out = (channel){cexpr_map(m->a, op, args, 2), longer->axis, NULL};
    return constant_affordable(out->e);
}

static bool is_number(const cexpr *e)
{
    if (e->kind != CE_SPLAT && e->kind != CE_MAP && e->kind != CE_BROADCAST) return false;
    for (uint32_t i = 0; i < e->n_args; i++)
        if (!is_number(e->args[i])) return false;
    return true;
}

/* The channel as a value of type t, made before n. */
static value *channel_value(const scaler *x, node *n, channel c, const type *t, const char *path)
{
    module *m = x->m;
    builder b = builder_before(n);
    type of = type_make(t->dt, 0, NULL);
    double number;
    const char *why;
    if (c.axis < 0 && is_number(c.e) && cexpr_read(c.e, 0, 1, &number, &why))
        return build_const(&b, t->dt, t->rank, t->shape, number);
    if (c.axis >= 0) {
        of.rank = 1;
        of.shape[0] = t->shape[c.axis];
    }
    span at = n->n_sources ? n->sources[0] : (span){0};
    value *v = build_param(&b, param_made(m, x->ctx->scratch, path, of, cexpr_cast(m->a, c.e, t->dt), at));
    return build_broadcast(&b, v, &c.axis, t->rank, t->shape);
}

/* ---- moving up ---- */

/* The axis of a reshape's operand whose index is that of axis `k` of its result, or -1. */
static int axis_before_reshape(const module *m, const node *n, int k)
{
    const type *in = &n->operands[0]->ty, *out = &n->result->ty;
    dim after = dim_const(m->dims, 1), below = after;
    for (int i = k + 1; i < out->rank; i++) after = dim_mul(m->dims, after, out->shape[i]);
    for (int i = in->rank; i-- > 0;) {
        if (below == after && in->shape[i] == out->shape[k]) return i;
        below = dim_mul(m->dims, below, in->shape[i]);
    }
    return -1;
}

/* Carries the channel's axis from n's result to its operand; false when n is no view that keeps it. */
static bool through_view(const module *m, const node *n, channel *c)
{
    if (n->op != OP_TRANSPOSE && n->op != OP_RESHAPE) return false;
    if (c->axis < 0) return true;
    c->axis =
        n->op == OP_TRANSPOSE ? (int)node_attr(n, ATTR_PERM)->u.ints.v[c->axis] : axis_before_reshape(m, n, c->axis);
    return c->axis >= 0;
}

/* v has one reader and no promised name, so what it holds may change together with that reader. */
static bool is_private(const function *f, const value *v)
{
    return v->def && match_single_use(v) && !match_point(f, v);
}

/* n adds a channel to, or subtracts it from, another value: which operand is the channel. */
static bool is_shift(const module *m, const node *n, uint32_t *operand, channel *c)
{
    if (n->op != OP_ADD && n->op != OP_SUB) return false;
    for (*operand = 2; (*operand)-- > 0;)
        if (channel_of(m, n->operands[*operand], c)) return true;
    return false;
}

/* The axis of the weight that axis k of the contraction's result is, or -1. */
static int weight_axis(const labels *l, uint32_t weight, int k)
{
    for (int i = 0; i < l->rank[weight]; i++)
        if (l->label[weight][i] == l->label[2][k]) return i;
    return -1;
}

/* Fills s from s->mul and s->factor; false when no weight can take the factor. */
static bool find_weight(scaler *x, const function *f, const value *v, scaling *s)
{
    channel c = s->factor, shift, product;
    const param *p;
    for (int step = 0; step < MAX_STEPS && is_private(f, v); step++) {
        node *n = v->def;
        uint32_t operand;
        if (n->op == OP_CONTRACT) {
            s->contract = n;
            s->weight = param_elements(x->m, n->operands[1], &p) ? 1 : 0;
            const cexpr *e = param_elements(x->m, n->operands[s->weight], &p);
            if (!e) return false;
            s->weight_factor = c;
            if (c.axis >= 0) s->weight_factor.axis = weight_axis(&node_attr(n, ATTR_LABELS)->u.lab, s->weight, c.axis);
            if (c.axis < 0 || s->weight_factor.axis >= 0) return constant_affordable(e);
            if (x->explain) pass_remark(x->ctx, s->mul, "not folded: \"%s\" has no axis for this factor", p->path);
            return false;
        }
        if (is_shift(x->m, n, &operand, &shift)) {
            if (!combine(x->m, OP_MUL, shift, c, &product)) return false;
            s->shifts[s->n_shifts] = n;
            s->shift_factor[s->n_shifts++] = c;
            v = n->operands[1 - operand];
        } else {
            if (!through_view(x->m, n, &c)) return false;
            v = n->operands[0];
        }
    }
    return false;
}

/* ---- scales ---- */

static void find_scales(scaler *x)
{
    x->found.len = 0;
    uint32_t n_functions;
    function **all = module_walk(x->m, x->ctx->scratch, &n_functions);
    for (uint32_t i = 0; i < n_functions; i++) {
        const function *f = all[i];
        function_foreach (n, f) {
            if (n->op != OP_MUL || !n->result->uses) continue;
            for (uint32_t k = 2; k-- > 0;) {
                scaling s = {.mul = n};
                if (!channel_of(x->m, n->operands[k], &s.factor)) continue;
                if (find_weight(x, f, n->operands[1 - k], &s)) vec_push(x->ctx->scratch, &x->found, s);
                break;
            }
        }
    }
}

static const param *weight_of(const scaler *x, const scaling *s)
{
    const param *p = NULL;
    param_elements(x->m, s->contract->operands[s->weight], &p);
    return p;
}

/* Everybody who reads the weight of s scales it alike. */
static bool all_readers_agree(const scaler *x, const scaling *s)
{
    const param *p = weight_of(x, s);
    uint32_t alike = 0;
    vec_foreach (scaling, other, &x->found)
        alike += weight_of(x, other) == p && other->weight_factor.axis == s->weight_factor.axis &&
                 cexpr_equal(other->weight_factor.e, s->weight_factor.e);
    return alike == x->uses[p->id];
}

static void scale_shift(const scaler *x, node *n, channel factor)
{
    channel shift, product;
    uint32_t operand;
    bool fits = is_shift(x->m, n, &operand, &shift) && combine(x->m, OP_MUL, shift, factor, &product);
    assert(fits), (void)fits;
    const char *path = arena_printf(x->ctx->scratch, "mul(%s, %s)", shift.name, factor.name);
    node_set_operand(n, operand, channel_value(x, n, product, &n->result->ty, path));
}

static void apply_scale(const scaler *x, const scaling *s)
{
    module *m = x->m;
    const value *w = s->contract->operands[s->weight];
    const param *p;
    const cexpr *e = param_elements(m, w, &p);
    const uint8_t axis[] = {(uint8_t)s->weight_factor.axis};
    const cexpr *args[2] = {constant_wide(m->a, e), cexpr_broadcast(m->a, s->factor.e, axis, e->rank, e->shape)};
    const cexpr *scaled = cexpr_cast(m->a, cexpr_map(m->a, OP_MUL, args, 2), e->dt);
    const char *path = arena_printf(x->ctx->scratch, "mul(%s, %s)", p->path, s->factor.name);
    builder b = builder_before(s->contract);
    node_set_operand(s->contract, s->weight,
                     build_param(&b, param_made(m, x->ctx->scratch, path, w->ty, scaled, p->declared)));
    for (uint32_t i = 0; i < s->n_shifts; i++) scale_shift(x, s->shifts[i], s->shift_factor[i]);
    node_add_sources(m, s->contract, s->mul);
    channel factor;
    uint32_t other = channel_of(m, s->mul->operands[1], &factor) ? 0 : 1;
    value_replace(s->mul->fn, s->mul->result, s->mul->operands[other]);
    node_erase(s->mul); /* it must not count as a reader */
}

/* One round: a factor behind another one finds its way only when that is gone. */
static bool move_scales(scaler *x)
{
    bool any = false;
    x->uses = param_uses(x->m, x->ctx->scratch);
    find_scales(x);
    for (uint32_t i = 0; i < x->found.len;) {
        const scaling *s = &x->found.data[i];
        const param *p = weight_of(x, s);
        if (!all_readers_agree(x, s)) {
            if (x->explain) pass_remark(x->ctx, s->mul, "not folded: \"%s\" is read elsewhere, unscaled", p->path);
            i++;
            continue;
        }
        uint32_t kept = 0;
        for (uint32_t k = 0; k < x->found.len; k++) {
            if (weight_of(x, &x->found.data[k]) == p) apply_scale(x, &x->found.data[k]);
            else x->found.data[kept++] = x->found.data[k];
        }
        x->found.len = kept;
        any = true;
        i = 0;
    }
    return any;
}

/* ---- shifts ---- */

/* v is a contraction, seen through views. */
static bool is_contraction(const function *f, const value *v)
{
    for (int step = 0; step < MAX_STEPS && is_private(f, v); step++) {
        if (v->def->op == OP_CONTRACT) return true;
        if (v->def->op != OP_TRANSPOSE && v->def->op != OP_RESHAPE) return false;
        v = v->def->operands[0];
    }
    return false;
}

/* n's channel becomes part of the bias of a contraction. Other sums stay as they are written: (x + c) - c is how some
 * programs round. */
static bool move_shift(const scaler *x, function *f, node *n)
{
    channel c, bias, sum;
    uint32_t operand, inner;
    if (!is_shift(x->m, n, &operand, &c) || (n->op == OP_SUB && operand == 0)) return false;
    const char *name = c.name;
    value *v = n->operands[1 - operand];
    for (int step = 0; step < MAX_STEPS && is_private(f, v); step++) {
        node *at = v->def;
        if (is_shift(x->m, at, &inner, &bias)) {
            if (!is_contraction(f, at->operands[1 - inner])) return false;
            bool same_sign = (n->op == OP_ADD) == (at->op == OP_ADD || inner == 0);
            if (!combine(x->m, same_sign ? OP_ADD : OP_SUB, bias, c, &sum)) return false;
            const char *path = arena_printf(x->ctx->scratch, "%s(%s, %s)", same_sign ? "add" : "sub", bias.name, name);
            node_set_operand(at, inner, channel_value(x, at, sum, &at->result->ty, path));
            node_add_sources(x->m, at, n);
            value_replace(f, n->result, n->operands[1 - operand]);
            node_erase(n);
            return true;
        }
        if (!through_view(x->m, at, &c)) return false;
        v = at->operands[0];
    }
    return false;
}

status pass_fold_scale(pass_ctx *ctx, module *m, bool *changed)
{
    scaler x = {.ctx = ctx, .m = m};
    while (move_scales(&x)) *changed = true;
    uint32_t n_functions;
    function **all = module_walk(m, ctx->scratch, &n_functions);
    for (uint32_t i = 0; i < n_functions; i++)
        function_foreach (n, all[i])
            if (n->result->uses && move_shift(&x, all[i], n)) *changed = true;
    x.explain = true;
    move_scales(&x);
    return STATUS_OK;
}
