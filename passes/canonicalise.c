/* Canonicalisation: each computation is written in one way.
 *
 *   %0 = const {value = 1.0} : f32[B, 4]
 *   %1 = mul %0, %x : f32[B, 4]
 *   %2 = transpose %1 {perm = [1, 0]} : f32[4, B]       ->      %0 = exp %x : f32[B, 4]
 *   %3 = transpose %2 {perm = [1, 0]} : f32[B, 4]
 *   %4 = exp %3 : f32[B, 4]
 *
 * Requires nothing; leaves unused nodes for dce. Breaks nothing: a rule fires where its result has the same bits, under
 * the interpreter with and without rounding, whatever the operands hold.
 *
 * The obvious rules are wrong on floats: x + 0 is not x (-0 + 0 is 0; x + -0 is x), x * 0 is not 0 (NaN, infinities,
 * -0), x - x is not 0, x == x is not true, (x + a) + b is not x + (a + b). A sum over an axis of size 1 is not the axis
 * dropped (0 + -0). Ints have all of these, and have them here. The rules are in canonicalise_arithmetic.c and
 * canonicalise_views.c, each with its text; the unit tests evaluate every golden input before and after on ordinary and
 * extreme values. */
#include "passes/canonicalise.h"
#include "passes/pass.h"

#include <assert.h>

/* Rules by op, in the order of their tables. */
typedef struct {
    const rule **of_op[OP_COUNT];
    uint32_t n[OP_COUNT];
} rule_index;

static void add_rules(rule_index *x, const rule *rules, uint32_t n, arena *a)
{
    for (uint32_t i = 0; i < n; i++) {
        op_kind op = rules[i].op;
        const rule **grown = ARENA_ARRAY(a, const rule *, x->n[op] + 1);
        for (uint32_t k = 0; k < x->n[op]; k++) grown[k] = x->of_op[op][k];
        grown[x->n[op]++] = &rules[i];
        x->of_op[op] = grown;
    }
}

/* Operand 1 is where rules look for a constant. */
static bool constant_to_the_right(node *n)
{
    double x;
    if (!op_commutes(n->op) || !value_const_splat(n->operands[0], &x) || value_const_splat(n->operands[1], &x))
        return false;
    value *left = n->operands[0], *right = n->operands[1];
    node_set_operand(n, 0, right);
    node_set_operand(n, 1, left);
    return true;
}

/* One rule on one node. True when something changed; n may then be without uses. */
static bool rewrite(pass_ctx *ctx, const rule_index *x, function *f, node *n)
{
    if (constant_to_the_right(n)) {
        pass_remark(ctx, n, "constant operand of %s moved to the right", op_row(n->op)->name);
        return true;
    }
    for (uint32_t i = 0; i < x->n[n->op]; i++) {
        const rule *r = x->of_op[n->op][i];
        builder b = builder_before(n);
        value *v = r->apply(&b, n);
        if (!v) continue;
        assert(type_equal(&v->ty, &n->result->ty));
        pass_remark(ctx, n, "%s", r->text);
        if (v == n->result) return true;
        if (v->def && v->def->next == n) node_add_sources(f->m, v->def, n);
        value_replace(f, n->result, v);
        return true;
    }
    return false;
}

status pass_canonicalise(pass_ctx *ctx, module *m, bool *changed)
{
    rule_index x = {0};
    add_rules(&x, arithmetic_rules, n_arithmetic_rules, ctx->scratch);
    add_rules(&x, view_rules, n_view_rules, ctx->scratch);
    uint32_t n_functions;
    function **all = module_walk(m, ctx->scratch, &n_functions);
    for (uint32_t i = 0; i < n_functions; i++) {
        function *f = all[i];
        /* Every rule removes an op, moves one outward, or makes it simpler, so the sweeps end; the bound catches two
         * rules that undo each other. */
        uint32_t sweeps = 0;
        for (bool again = true; again; sweeps++) {
            assert(sweeps < 1000);
            again = false;
            function_foreach (n, f) {
                if (n->n_results > 1 || !n->result->uses) continue; /* no rule has several results; dce's */
                while (n->result->uses && rewrite(ctx, &x, f, n)) again = true;
            }
            if (again) *changed = true;
        }
    }
    return STATUS_OK;
}
