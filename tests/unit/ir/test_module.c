/* Building and changing modules: uses stay exact, the verifier sees every broken invariant, copies are apart. */
#include "ir/constant.h"
#include "ir/internal.h"
#include "tests/support/tir_session.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char small[] = "module m\n"
                            "dim B input 1..64\n"
                            "param \"w\" : f32[8, 4] = splat f32[8, 4] 1.0\n"
                            "func @f(%x: f32[B, 4]) -> (y: f32[B, 8], z: f32[B, 8]) {\n"
                            "  region r1 = \"linear\" at \"a\"\n"
                            "  region r2 = \"gelu\" at \"a\" in r1\n"
                            "  region r3 = \"gelu\" at \"b\"\n"
                            "  %0 = param \"w\" : f32[8, 4] in r1\n"
                            "  %1 = contract %x, %0 {labels = \"bk,nk->bn\"} : f32[B, 8] in r1\n"
                            "  %2 = mul %1, %1 : f32[B, 8] in r2\n"
                            "  %3 = add %2, %1 : f32[B, 8] in r3\n"
                            "  point \"a:mid\" = %2\n"
                            "  return %3, %2\n"
                            "}\n"
                            "\n"
                            "rule narrow linear in \"a\" (to = \"bf16\", of = [1, 2]) at @f r1, @f\n"
                            "rule merge after \"a:mid\" at @f \"a:mid\"\n";

static node *nth(module *m, uint32_t i)
{
    node *n = m->functions.data[0]->first;
    while (i--) n = n->next;
    return n;
}

static void uses_are_exact(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(&s, small);
    assert_non_null(m);
    function *f = m->functions.data[0];
    value *v1 = nth(m, 1)->result, *v2 = nth(m, 2)->result;
    assert_int_equal(value_use_count(v1), 3);
    assert_int_equal(value_use_count(v2), 2);
    assert_true(value_is_output(v2));
    assert_false(value_is_output(v1));

    node_set_operand(nth(m, 2), 1, v1); /* the same again: nothing changes */
    assert_int_equal(value_use_count(v1), 3);
    node_set_operand(nth(m, 3), 0, v1);
    assert_int_equal(value_use_count(v1), 4);
    assert_int_equal(value_use_count(v2), 1);
    assert_true(module_verify(m, s.d));

    /* All readers, results and points move. */
    value_replace(f, v2, v1);
    assert_int_equal(value_use_count(v2), 0);
    assert_ptr_equal(f->results.data[1].v, v1);
    assert_ptr_equal(f->points.data[0].v, v1);
    assert_true(module_verify(m, s.d));
    node_erase(nth(m, 2));
    assert_int_equal(value_use_count(v1), 3);
    assert_true(module_verify(m, s.d));

    function_set_result(f, 1, f->args.data[0].v->uses->user->result);
    function_set_result(f, 0, v1);
    assert_int_equal(value_use_count(nth(m, 2)->result), 0);
    node_erase(f->last);
    assert_ptr_equal(f->last, v1->def);
    assert_true(module_verify(m, s.d));
    assert_string_equal(tir_messages(&s), "");
    tir_close(&s);
}

static void nodes_go_before_others(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(&s, small);
    node *mul = nth(m, 2), *first = nth(m, 0);
    builder b = builder_before(mul);
    value *v = build_scalar(&b, OP_EXP, &mul->operands[0], 1);
    assert_ptr_equal(mul->prev, v->def);
    assert_ptr_equal(v->def->in, mul->in);
    assert_ptr_equal(v->def->sources, mul->sources);
    builder at_front = builder_before(first);
    value *c = build_const(&at_front, DT_F32, 0, NULL, 2);
    assert_ptr_equal(m->functions.data[0]->first, c->def);
    assert_true(module_verify(m, s.d));
    tir_close(&s);
}

static void sources_are_joined_once(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(&s, small);
    node *a = nth(m, 2), *b = nth(m, 3);
    node_add_sources(m, a, b);
    node_add_sources(m, a, b);
    assert_int_equal(a->n_sources, 2);
    assert_int_equal(a->sources[1].begin, b->sources[0].begin);
    assert_int_equal(b->n_sources, 1);
    tir_close(&s);
}

static void regions_nest(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(&s, small);
    region *root = m->functions.data[0]->root, *r1 = nth(m, 1)->in, *r2 = nth(m, 2)->in, *r3 = nth(m, 3)->in;
    assert_true(region_within(r2, r1));
    assert_false(region_within(r1, r2));
    assert_ptr_equal(region_common(r2, r1), r1);
    assert_ptr_equal(region_common(r2, r3), root);
    assert_ptr_equal(region_common(r2, r2), r2);
    tir_close(&s);
}

static void copies_are_apart(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(&s, small);
    module *c = module_clone(m, s.a);
    assert_true(module_verify(c, s.d));
    const char *before = tir_text(&s, m);
    assert_string_equal(tir_text(&s, c), before);
    assert_int_equal(nth(c, 2)->result->id, nth(m, 2)->result->id);

    function *f = c->functions.data[0];
    value_replace(f, nth(c, 3)->result, nth(c, 2)->result);
    node_erase(nth(c, 3));
    module_remove_param(c, c->params.data[0]);
    c->policy.data[0]->regions.len = 1;
    function_remove_point(f, 0);
    assert_string_equal(tir_text(&s, m), before);
    assert_true(module_verify(m, s.d));
    assert_non_null(module_find_param(m, "w"));
    tir_close(&s);
}

static void constants_are_seen_through_views(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(
        &s, "module m\nfunc @f(%x: f32[2]) -> () {\n"
            "%0 = const {value = 0.1} : f32\n%1 = broadcast %0 {axes = []} : f32[2, 3]\n"
            "%2 = transpose %1 {perm = [1, 0]} : f32[3, 2]\n%3 = cast %2 : f64[3, 2]\n%4 = cast %2 : bf16[3, 2]\n"
            "%5 = const {ivalue = 3} : i32\n%6 = cast %5 : f32\n%7 = cast %5 : bool\n%8 = const {value = -1.0} : f32\n"
            "%9 = cast %8 : u8\n%10 = cast %8 : i8\n%11 = const {ivalue = 9007199254740993} : i64\nreturn }");
    assert_non_null(m);
    static const struct {
        uint32_t node;
        bool known;
        double v;
    } want[] = {{0, true, 0.1}, {2, true, 0.1}, {3, true, 0.1}, {4, false, 0}, {6, true, 3},
                {7, false, 0},  {9, false, 0},  {10, true, -1}, {11, false, 0}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        double v = 0;
        assert_int_equal(value_const_splat(nth(m, want[i].node)->result, &v), want[i].known);
        if (want[i].known) assert_true(v == want[i].v);
    }
    double v;
    assert_false(value_const_splat(m->functions.data[0]->args.data[0].v, &v));
    tir_close(&s);
}

/* A rule knows regions for good and points while they are there. */
static void rules_follow_points(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(&s, small);
    function *f = m->functions.data[0];
    policy_rule *narrow = m->policy.data[0], *merge = m->policy.data[1];
    assert_ptr_equal(narrow->regions.data[0], nth(m, 1)->in);
    assert_ptr_equal(narrow->regions.data[1], f->root);
    assert_string_equal(policy_rule_arg(narrow, "to")->word, "bf16");
    assert_int_equal(policy_rule_arg(narrow, "of")->ints.v[1], 2);
    function_add_point(f, "a:mid", nth(m, 3)->result);
    function_remove_point(f, 0);
    assert_int_equal(merge->points.len, 1); /* another value has the name */
    assert_true(module_verify(m, s.d));
    function_remove_point(f, 0);
    assert_int_equal(merge->points.len, 0);
    assert_true(module_verify(m, s.d));
    strbuf b = strbuf_new(s.a);
    policy_rule_print(narrow, &b);
    assert_string_equal(b.s, "narrow linear in \"a\" (to = \"bf16\", of = [1, 2])");
    tir_close(&s);
}

/* ---- the verifier ---- */

typedef void breaker(module *m);
static void break_operand_order(module *m)
{
    node *a = nth(m, 2), *b = nth(m, 3); /* swap the definition of %2 and %3 */
    a->prev->next = b;
    b->prev = a->prev;
    b->next = a;
    a->prev = b;
    a->next = NULL;
    m->functions.data[0]->last = a;
}
static void break_use_missing(module *m)
{
    nth(m, 1)->result->uses = nth(m, 1)->result->uses->next;
}
static void break_use_wrong(module *m)
{
    nth(m, 1)->result->uses->index = 7;
}
static void break_use_extra(module *m)
{
    use *u = ARENA_NEW(m->a, use);
    *u = *nth(m, 2)->result->uses;
    u->next = nth(m, 2)->result->uses;
    nth(m, 2)->result->uses = u;
}
static void break_type(module *m)
{
    nth(m, 2)->result->ty.dt = DT_F16;
}
static void break_size(module *m)
{
    nth(m, 2)->result->ty.shape[0] = DIM_BAD;
}
static void break_attr(module *m)
{
    nth(m, 1)->attrs[0].set = false;
}
static void break_attr_name(module *m)
{
    nth(m, 1)->attrs[0].name = ATTR_AXIS;
}
static void break_region(module *m)
{
    nth(m, 1)->in = NULL;
}
static void break_function(module *m)
{
    nth(m, 1)->fn = NULL;
}
static void break_result(module *m)
{
    m->functions.data[0]->results.data[0].v = NULL;
}
static void break_point(module *m)
{
    value *v = ARENA_NEW(m->a, value);
    v->id = 1;
    m->functions.data[0]->points.data[0].v = v;
}
static void break_list(module *m)
{
    nth(m, 2)->prev = NULL;
}
static void break_last(module *m)
{
    m->functions.data[0]->last = nth(m, 2);
}
static void break_param(module *m)
{
    m->params.len = 0;
}
static void break_param_value(module *m)
{
    m->params.data[0]->value = NULL;
}
static void break_param_shape(module *m)
{
    m->params.data[0]->value = cexpr_splat(m->a, DT_F32, 1, (int64_t[]){32}, 1);
}
static void break_id(module *m)
{
    nth(m, 1)->result->id = nth(m, 2)->result->id;
}
static void break_id_range(module *m)
{
    nth(m, 3)->result->id = 1000;
}
static void break_region_order(module *m)
{
    m->regions.data[1]->parent = m->regions.data[2];
}
static void break_def(module *m)
{
    nth(m, 1)->result->def = nth(m, 2);
}
static void break_rule_region(module *m)
{
    region *r = ARENA_NEW(m->a, region);
    *r = *m->policy.data[0]->regions.data[0];
    m->policy.data[0]->regions.data[0] = r;
}
static void break_rule_point(module *m)
{
    m->policy.data[1]->points.data[0].place = "a:nothing";
}
static void break_rule_places(module *m)
{
    m->policy.data[1]->relation = POLICY_IN;
}
static void break_erased(module *m)
{
    value_replace(m->functions.data[0], nth(m, 2)->result, nth(m, 1)->result);
    node *n = nth(m, 2);
    node_erase(n);
    nth(m, 2)->operands[0] = n->result;
}

static void every_broken_invariant_is_seen(void **state)
{
    (void)state;
    static breaker *const breakers[] = {
        break_operand_order, break_use_missing, break_use_wrong,   break_use_extra,   break_type,
        break_size,          break_attr,        break_attr_name,   break_region,      break_function,
        break_result,        break_point,       break_list,        break_last,        break_param,
        break_param_value,   break_id,          break_id_range,    break_param_shape, break_region_order,
        break_def,           break_erased,      break_rule_region, break_rule_point,  break_rule_places,
    };
    for (size_t i = 0; i < sizeof breakers / sizeof *breakers; i++) {
        tir_session s = tir_open();
        module *m = tir_parse(&s, small);
        assert_non_null(m);
        breakers[i](m);
        bool sound = module_verify(m, s.d);
        if (sound || !diags_errors(s.d)) fail_msg("breaker %zu was not seen", i);
        tir_close(&s);
    }
}

static void a_violation_shows_the_node(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(&s, small);
    break_type(m);
    assert_false(module_verify(m, s.d));
    assert_non_null(strstr(tir_messages(&s), "function @f: the result is f16[B, 8], its operands make it f32[B, 8]"));
    assert_non_null(strstr(tir_messages(&s), "in %2 = mul %1, %1 : f16[B, 8]"));
    tir_close(&s);
}

/* ---- axis roles and cost ---- */

static const char axes_text[] = "module m\ndim B input 1..64\ndim S input 8..512\n"
                                "func @f(%x: f32[B, S, 12], %q: f32[B, 4, S, 8], %k: f32[B, 2, 16, 8], %c: bool[B, S, "
                                "16], %t: f32[100, 12], %i: i32[B, S]) -> () {\n"
                                "%0 = exp %x : f32[B, S, 12]\n"
                                "%1 = broadcast %i {axes = [0, 2]} : i32[B, 3, S]\n"
                                "%2 = transpose %x {perm = [2, 0, 1]} : f32[12, B, S]\n"
                                "%3 = reshape %x : f32[B, S, 3, 4]\n"
                                "%4 = reshape %x : f32[B * S, 12]\n"
                                "%5 = slice %x {start = [0, 2, 0], step = [1, 1, 1]} : f32[B, 4, 12]\n"
                                "%6 = concat %x, %x {axis = 1} : f32[B, 2 * S, 12]\n"
                                "%7 = contract %x, %t {labels = \"bsk,nk->nbs\"} : f32[100, B, S]\n"
                                "%8 = reduce %x {kind = sum, axes = [1]} : f32[B, 12]\n"
                                "%9 = softmax %x {axis = 2} : f32[B, S, 12]\n"
                                "%10 = normalize %x {mode = standard, axes = [1, 2], eps = 0.5} : f32[B, S, 12]\n"
                                "%11 = attention %q, %k, %k, %c {scale = 1.0} : f32[B, 4, S, 8]\n"
                                "%12 = gather %t, %i {axis = 0} : f32[B, S, 12]\n"
                                "%13 = const {value = 1.0} : f32[B]\n"
                                "return }\n";

static void roles_and_maps(void **state)
{
    (void)state;
    /* Per node: roles in order (p, r, x), then operand maps, '-' for none. */
    static const char *const want[] = {
        "ppp 012",     "ppp 02",      "ppp 120", "pppp 01-", "pp --1",  "ppp 0-2",
        "ppp 0-2 0-2", "pppr 123 03", "ppr 021", "ppr 012",  "prr 012", "pppprr 0125 0-45 0-43 024",
        "pppx 32 01",  "p",
    };
    tir_session s = tir_open();
    module *m = tir_parse(&s, axes_text);
    assert_string_equal(tir_messages(&s), "");
    uint32_t i = 0;
    function_foreach (n, m->functions.data[0]) {
        axis_info x;
        node_axes(m, n, &x);
        strbuf b = strbuf_new(s.a);
        for (uint32_t k = 0; k < x.n; k++) strbuf_addc(&b, "prwx"[x.role[k]]);
        for (uint32_t o = 0; o < n->n_operands; o++) {
            strbuf_addc(&b, ' ');
            for (int k = 0; k < n->operands[o]->ty.rank; k++)
                strbuf_addc(&b, x.operand_axis[o][k] < 0 ? '-' : (char)('0' + x.operand_axis[o][k]));
        }
        if (strcmp(b.s, want[i])) fail_msg("node %u: %s, expected %s", i, b.s, want[i]);
        i++;
    }
    assert_int_equal(i, sizeof want / sizeof *want);
    tir_close(&s);
}

static void costs(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(&s, axes_text);
    assert_non_null(m);
    const int64_t dims[] = {2, 10};
    node_cost exp = node_cost_at(m, nth(m, 0), dims), view = node_cost_at(m, nth(m, 2), dims);
    assert_true(exp.flops == 240 && exp.bytes_read == 960 && exp.bytes_written == 960);
    assert_true(view.flops == 0 && view.bytes_read == 0 && view.bytes_written == 0);
    node_cost contract = node_cost_at(m, nth(m, 7), dims);
    assert_true(contract.flops == 2.0 * 100 * 2 * 10 * 12);
    assert_true(contract.bytes_read == 960 + 4800);
    node_cost attention = node_cost_at(m, nth(m, 11), dims);
    assert_true(attention.flops == 2.0 * 4 * 10 * 16 * (2 * 8 + 2 * 8 + 4));
    node_cost gather = node_cost_at(m, nth(m, 12), dims); /* the rows read, not the table */
    assert_true(gather.bytes_read == 960 + 80 && gather.flops == 0);
    tir_close(&s);
}

static void the_reference_lists_every_op(void **state)
{
    (void)state;
    tir_session s = tir_open();
    strbuf b = strbuf_new(s.a);
    ops_print_reference(&b);
    for (int op = 0; op < OP_COUNT; op++)
        assert_non_null(strstr(b.s, arena_printf(s.a, "| `%s` |", op_row((op_kind)op)->name)));
    assert_true(op_commutes(OP_ADD) && op_commutes(OP_MAX));
    assert_false(op_commutes(OP_SUB) || op_commutes(OP_CONTRACT));
    tir_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uses_are_exact),
        cmocka_unit_test(nodes_go_before_others),
        cmocka_unit_test(sources_are_joined_once),
        cmocka_unit_test(regions_nest),
        cmocka_unit_test(rules_follow_points),
        cmocka_unit_test(copies_are_apart),
        cmocka_unit_test(constants_are_seen_through_views),
        cmocka_unit_test(every_broken_invariant_is_seen),
        cmocka_unit_test(a_violation_shows_the_node),
        cmocka_unit_test(roles_and_maps),
        cmocka_unit_test(costs),
        cmocka_unit_test(the_reference_lists_every_op),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
