/* scan: what it computes on extents 0, 1 and more, carries that change places, bodies within bodies; what is refused;
 * and that a body goes where its node goes. */
#include "unit/ir/tensors.h"

#define HEAD "module m\ndim S input 0..7\ndim t data 0..6\ndim u data 0..6\n"

/* Running sums: the last, and all. */
static const char sums[] =
    HEAD "body @add(%h: f32[2], %x: f32[S, 2]) -> (h: f32[2], y: f32[2]) {\n"
         " %0 = slice %x {start = [t, 0], step = [1, 1]} : f32[1, 2]\n %1 = reshape %0 : f32[2]\n"
         " %2 = add %h, %1 : f32[2]\n return %2, %2\n}\n"
         "func @f(%x: f32[S, 2], %h: f32[2]) -> (last: f32[2], all: f32[S, 2]) {\n"
         " %l, %a = scan @add %h, %x {index = t, extent = S, carries = 1} : f32[2], f32[S, 2]\n return %l, %a\n}\n";

static void running_sums(void **state)
{
    (void)state;
    fixture x = open_fixture();
    tensor *h = FLOATS(DT_F32, SHAPE(2), 10, 20);
    (void)result(&x, sums, ARGS(FLOATS(DT_F32, SHAPE(3, 2), 1, 2, 3, 4, 5, 6), h));
    IS_FLOATS(x.out[0], SHAPE(2), 19, 32);
    IS_FLOATS(x.out[1], SHAPE(3, 2), 11, 22, 14, 26, 19, 32);
    (void)result(&x, sums, ARGS(FLOATS(DT_F32, SHAPE(1, 2), 1, 2), h));
    IS_FLOATS(x.out[0], SHAPE(2), 11, 22);
    IS_FLOATS(x.out[1], SHAPE(1, 2), 11, 22);
    /* extent 0: the carries are the initial ones, what is yielded is empty */
    (void)result(&x, sums, ARGS(FLOATS(DT_F32, SHAPE(0, 2), 0), h));
    IS_FLOATS(x.out[0], SHAPE(2), 10, 20);
    IS_FLOATS(x.out[1], SHAPE(0, 2), 0);
    tir_close(&x.s);
}

static void carries_change_places(void **state)
{
    (void)state;
    fixture x = open_fixture();
    static const char swap[] = HEAD "body @swap(%a: i32, %b: i32) -> (a: i32, b: i32, y: i32) { return %b, %a, %a }\n"
                                    "func @f(%a: i32, %b: i32, %x: f32[S]) -> (a: i32, b: i32, y: i32[S]) {\n"
                                    " %p, %q, %y = scan @swap %a, %b {index = t, extent = S, carries = 2} : i32, i32, "
                                    "i32[S]\n return %p, %q, %y\n}\n";
    (void)result(&x, swap, ARGS(INTS(DT_I32, SHAPE(), 1), INTS(DT_I32, SHAPE(), 2), shaped(&x, DT_F32, SHAPE(5))));
    IS_INTS(x.out[0], SHAPE(), 2);
    IS_INTS(x.out[1], SHAPE(), 1);
    IS_INTS(x.out[2], SHAPE(5), 1, 2, 1, 2, 1);
    tir_close(&x.s);
}

/* Sizes in a body may grow with its index: y[t] = x[0] + ... + x[t]. */
static void sizes_follow_the_index(void **state)
{
    (void)state;
    fixture x = open_fixture();
    static const char text[] =
        HEAD "body @prefix(%x: f32[S]) -> (y: f32) {\n"
             " %0 = slice %x {start = [0], step = [1]} : f32[t + 1]\n"
             " %1 = reduce %0 {kind = sum, axes = [0]} : f32\n return %1\n}\n"
             "func @f(%x: f32[S]) -> (y: f32[S]) {\n"
             " %y = scan @prefix %x {index = t, extent = S, carries = 0} : f32[S]\n return %y\n}\n";
    IS_FLOATS(result(&x, text, ARGS(FLOATS(DT_F32, SHAPE(7), 1, 2, 3, 4, 5, 6, 7))), SHAPE(7), 1, 3, 6, 10, 15, 21, 28);
    tir_close(&x.s);
}

/* A product of matrices by two scans, one inside the other: rows outside, columns inside. */
static void nested(void **state)
{
    (void)state;
    fixture x = open_fixture();
    static const char text[] = HEAD
        "body @column(%c: f32, %x: f32[S, 3], %row: f32[3]) -> (c: f32, y: f32) {\n"
        " %0 = slice %x {start = [u, 0], step = [1, 1]} : f32[1, 3]\n %1 = reshape %0 : f32[3]\n"
        " %2 = contract %1, %row {labels = \"a,a->\"} : f32\n %3 = add %c, %2 : f32\n return %3, %2\n}\n"
        "body @row(%sum: f32, %x: f32[S, 3]) -> (s: f32, y: f32[S]) {\n"
        " %0 = slice %x {start = [t, 0], step = [1, 1]} : f32[1, 3]\n %1 = reshape %0 : f32[3]\n"
        " %s, %y = scan @column %sum, %x, %1 {index = u, extent = S, carries = 1} : f32, f32[S]\n return %s, %y\n}\n"
        "func @f(%x: f32[S, 3], %zero: f32) -> (sum: f32, y: f32[S, S]) {\n"
        " %s, %y = scan @row %zero, %x {index = t, extent = S, carries = 1} : f32, f32[S, S]\n return %s, %y\n}\n";
    (void)result(&x, text, ARGS(FLOATS(DT_F32, SHAPE(2, 3), 1, 2, 3, 4, 5, 6), FLOATS(DT_F32, SHAPE(), 100)));
    IS_FLOATS(x.out[1], SHAPE(2, 2), 14, 32, 32, 77);
    IS_FLOATS(x.out[0], SHAPE(), 255);
    (void)result(&x, text, ARGS(FLOATS(DT_F32, SHAPE(0, 3), 0), FLOATS(DT_F32, SHAPE(), 100)));
    IS_FLOATS(x.out[1], SHAPE(0, 0), 0);
    IS_FLOATS(x.out[0], SHAPE(), 100);
    tir_close(&x.s);
}

static void count(void *arg, const value *v, const tensor *t)
{
    (void)t;
    if (v->def->op == OP_ADD) ++*(int *)arg;
}

static void rounding_and_observing(void **state)
{
    (void)state;
    fixture x = open_fixture();
    int seen = 0;
    x.o = (interp_options){.round = true, .observe = count, .observe_arg = &seen};
    tensor *h = FLOATS(DT_F32, SHAPE(2), 16777216, 0);
    (void)result(&x, sums, ARGS(FLOATS(DT_F32, SHAPE(2, 2), 1, 0, 1, 0), h));
    IS_FLOATS(x.out[0], SHAPE(2), 16777216, 0); /* f32 has no 16777217 */
    assert_int_equal(seen, 2);
    x.o.round = false;
    (void)result(&x, sums, ARGS(FLOATS(DT_F32, SHAPE(2, 2), 1, 0, 1, 0), h));
    IS_FLOATS(x.out[0], SHAPE(2), 16777218, 0);
    tir_close(&x.s);
}

/* A mistake in a body is located in it, and the run ends. */
static void errors_in_bodies(void **state)
{
    (void)state;
    fixture x = open_fixture();
    static const char text[] =
        HEAD "body @look(%ids: i64[S], %table: f32[3]) -> (y: f32) {\n"
             " %0 = slice %ids {start = [t], step = [1]} : i64[1]\n %1 = reshape %0 : i64\n"
             " %2 = gather %table, %1 {axis = 0} : f32\n return %2\n}\n"
             "func @f(%ids: i64[S], %table: f32[3]) -> (y: f32[S]) {\n"
             " %y = scan @look %ids, %table {index = t, extent = S, carries = 0} : f32[S]\n return %y\n}\n";
    tensor *table = FLOATS(DT_F32, SHAPE(3), 5, 6, 7);
    IS_FLOATS(result(&x, text, ARGS(INTS(DT_I64, SHAPE(2), 2, 0), table)), SHAPE(2), 7, 5);
    assert_false(run(&x, text, ARGS(INTS(DT_I64, SHAPE(3), 2, 3, 0), table)));
    const char *want = ":8:2: error: '%1' holds an index that is out of range\n"
                       "  8 |  %2 = gather %table, %1 {axis = 0} : f32\n";
    if (!strstr(tir_messages(&x.s), want)) fail_msg("expected: %s\ngot:\n%s", want, tir_messages(&x.s));
    tir_close(&x.s);
}

/* ---- what is refused ---- */

#define BODY(body) HEAD "state \"s\" : f32[2]\nbody @b(%h: f32[2], %x: f32[S]) -> (h: f32[2], y: f32) {\n" body "\n}\n"
#define PICK " %y = slice %x {start = [t], step = [1]} : f32[1]\n %z = reshape %y : f32\n"
#define GOOD BODY(PICK " return %h, %z")
#define USE(scan) GOOD "func @f(%h: f32[2], %x: f32[S], %n: i32[t]) -> () {\n" scan "\n return\n}\n"
#define USED(scan) GOOD "func @f(%h: f32[2], %x: f32[S]) -> () {\n" scan "\n return\n}\n"
#define SCAN "%a, %c = scan @b %h, %x {index = t, extent = S, carries = 1} : f32[2], f32[S]"

static void mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } bad[] = {
        {GOOD, "no scan runs the body"},
        {USED(SCAN "\n%d, %e = scan @b %h, %x {index = t, extent = S, carries = 1} : f32[2], f32[S]"),
         "run by another scan"},
        {USE(SCAN), "index t is used outside of its scan"},
        {USED(SCAN "\n%d = slice %x {start = [t], step = [1]} : f32[1]"), "index t is used outside of its scan"},
        {USED(SCAN "\ncheck t <= 3"), "index t is used outside of its scan"},
        {USED("%a, %c = scan @b %h, %x {index = S, extent = S, carries = 1} : f32[2], f32[S]"),
         "no dim of origin data"},
        {USED("%a, %c = scan @b %h, %x {index = t + 1, extent = S, carries = 1} : f32[2], f32[S]"),
         "no dim of origin data"},
        {USED("%a, %c = scan @b %h, %x {index = t, extent = S + 1, carries = 1} : f32[2], f32[S + 1]"),
         "the index t is 0..6, and runs up to 7"},
        {USED("%a, %c = scan @b %h, %x {index = t, extent = S - 1, carries = 1} : f32[2], f32[S]"), "may be negative"},
        {USED("%a, %c = scan @b %h, %x {index = t, extent = t, carries = 1} : f32[2], f32[t]"), "depends on the index"},
        {USED("%a, %c = scan @b %h, %x {index = t, extent = S, carries = 2} : f32[2], f32"),
         "carry 'y' of @b becomes f32, and was f32[S]"},
        {USED("%a, %c = scan @b %h, %x {index = t, extent = S, carries = 3} : f32[2], f32"),
         "3 carries of 2 operands and 2 results of @b"},
        {USED("%a, %c = scan @b %h, %x {index = t, extent = S, carries = -1} : f32[2], f32[S]"), "-1 carries"},
        {USED("%a, %c = scan @b %h {index = t, extent = S, carries = 1} : f32[2], f32[S]"),
         "@b has 2 arguments, and gets 1 operands"},
        {USED("%a, %c = scan @b %x, %h {index = t, extent = S, carries = 1} : f32[2], f32[S]"),
         "operand 0 is f32[S], argument 'h' of @b is f32[2]"},
        {USED("%a, %c = scan @nope %h, %x {index = t, extent = S, carries = 1} : f32[2], f32[S]"),
         "no body @nope is declared above"},
        {USED("%a, %c = scan {index = t, extent = S, carries = 1} : f32[2], f32[S]"), "expected '@'"},
        {USED("%a, %c = scan @b %h, %x {index = t, extent = S, carries = 1, body = 1} : f32[2], f32[S]"),
         "has no attribute 'body'"},
        {USED("%a, %c = scan @f %h, %x {index = t, extent = S, carries = 1} : f32[2], f32[S]"), "no body @f"},
        {HEAD
         "body @b() -> () { return }\nfunc @f() -> () {\n %a = scan @b {index = t, extent = 3, carries = 0} : f32\n"
         " return }",
         "@b has no results"},
        {HEAD
         "body @b(%x: f32[7]) -> (y: f32[t]) {\n %0 = slice %x {start = [0], step = [1]} : f32[t]\n return %0 }\n"
         "func @f(%x: f32[7]) -> () {\n %y = scan @b %x {index = t, extent = 7, carries = 0} : f32[7, 7]\n return }",
         "result 'y' of @b depends on the index"},
        {HEAD "body @b(%x: f32[1, 1, 1, 1, 1, 1, 1, 1]) -> (y: f32[1, 1, 1, 1, 1, 1, 1, 1]) { return %x }\n"
              "func @f(%x: f32[1, 1, 1, 1, 1, 1, 1, 1]) -> () {\n %y = scan @b %x {index = t, extent = 7, carries = 0} "
              ": f32[7]\n return }",
         "no room for another axis"},
        {HEAD "body @i(%x: f32[7]) -> (y: f32[7]) { return %x }\nbody @o(%x: f32[7]) -> (y: f32[7]) {\n"
              " %y = scan @i %x {index = t, extent = 7, carries = 1} : f32[7]\n return %y }\n"
              "func @f(%x: f32[7]) -> () {\n %y = scan @o %x {index = t, extent = 7, carries = 1} : f32[7]\n return }",
         "a scan has the index of one around it"},
        {BODY(" %s = state \"s\" : f32[2]\n" PICK " return %h, %z"), "a body has no states"},
        {BODY(PICK " state \"s\" = %h\n return %h, %z"), "the function has no state"},
        {BODY(PICK " check S <= 3\n return %h, %z"), "a body has no checks"},
        {BODY(PICK " point \"p:q\" = %z\n return %h, %z"), "a body has no points"},
        {GOOD "body @b() -> () { return }", "two functions are called @b"},
        {USED(SCAN) "func @b() -> () { return }", "two functions have this name"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tir_session s = tir_open();
        module *m = tir_parse(&s, bad[i].text);
        const char *messages = tir_messages(&s);
        if (m || !strstr(messages, bad[i].message))
            fail_msg("%s\nexpected: %s\ngot: %s", bad[i].text, bad[i].message, m ? "a module" : messages);
        tir_close(&s);
    }
}

/* `depth` scans, each in the body of the next. */
static const char *tower(tir_session *s, int depth)
{
    strbuf b = strbuf_new(s->a);
    strbuf_adds(&b, "module m\n");
    for (int i = 0; i < depth; i++) strbuf_addf(&b, "dim t%d data 0..1\n", i);
    for (int i = 0; i <= depth; i++) {
        strbuf_addf(&b, "%s @f%d(%%x: f32) -> (y: f32) {\n", i == depth ? "func" : "body", i);
        if (i)
            strbuf_addf(&b, " %%y = scan @f%d %%x {index = t%d, extent = 2, carries = 1} : f32\n return %%y\n}\n",
                        i - 1, i - 1);
        else strbuf_adds(&b, " %y = add %x, %x : f32\n return %y\n}\n");
    }
    return b.s;
}

static void depth_is_bounded(void **state)
{
    (void)state;
    fixture x = open_fixture();
    IS_FLOATS(result(&x, tower(&x.s, 3), ARGS(FLOATS(DT_F32, SHAPE(), 1))), SHAPE(), 256);
    assert_non_null(tir_parse(&x.s, tower(&x.s, MAX_SCAN_DEPTH)));
    assert_null(tir_parse(&x.s, tower(&x.s, MAX_SCAN_DEPTH + 1)));
    assert_non_null(strstr(tir_messages(&x.s), "scans are nested deeper than 32"));
    tir_close(&x.s);
}

/* ---- bodies as parts of a module ---- */

/* The same running sums by the builders, in the order in which a frontend meets things: outside first. */
static void built(void **state)
{
    (void)state;
    fixture x = open_fixture();
    dim_ctx *d = dims_new(x.s.a, x.s.names);
    module *m = module_new(x.s.a, x.s.names, x.s.sources, d, "m");
    dim S = dim_sym(d, "S", DIM_INPUT, 0, 7, 1), t = dim_sym(d, "t", DIM_DATA, 0, 6, 1), zero = dim_const(d, 0);
    type state_ty = type_make(DT_F32, 1, (dim[]){dim_const(d, 2)}),
         in_ty = type_make(DT_F32, 2, (dim[]){S, dim_const(d, 2)});
    function *f = function_new(m, "f");
    value *in = function_arg(f, "x", in_ty), *h = function_arg(f, "h", state_ty);
    function *body = body_new(m, "step"), *other = body_new(m, "step");
    assert_string_equal(body->name, "step");
    assert_string_equal(other->name, "step.2");
    value *carry = function_arg(body, "h", state_ty), *xs = function_arg(body, "x", in_ty);
    builder inner = {.fn = body}, outer = {.fn = f};
    value *row = build_slice(&inner, xs, (dim[]){t, zero}, (dim[]){dim_const(d, 1), dim_const(d, 2)}, NULL);
    value *sum = build_scalar(&inner, OP_ADD, (value *[]){carry, build_reshape(&inner, row, 1, state_ty.shape)}, 2);
    function_add_result(body, "h", sum);
    function_add_result(body, "y", sum);
    node *scan = build_scan(&outer, body, t, S, 1, (value *[]){h, in}, 2);
    assert_int_equal(scan->n_results, 2);
    assert_ptr_equal(scan->result, scan->results[0]);
    assert_ptr_equal(body->scan, scan);
    assert_int_equal(scan->results[1]->index, 1);
    function_add_result(f, "last", scan->results[0]);
    function_add_result(f, "all", scan->results[1]);
    assert_false(module_verify(m, x.s.d)); /* nothing runs the other one */
    assert_non_null(strstr(tir_messages(&x.s), "function @step.2: no scan runs the body"));
    m->bodies.len--;
    tir_forget(&x.s);
    assert_true(module_verify(m, x.s.d));
    module *again = tir_parse(&x.s, sums);
    assert_non_null(again);
    tensor *args[] = {FLOATS(DT_F32, SHAPE(2, 2), 1, 2, 3, 4), FLOATS(DT_F32, SHAPE(2), 0, 0)};
    assert_true(interp_run(f, args, NULL, NULL, x.s.a, x.s.d, x.out));
    IS_FLOATS(x.out[1], SHAPE(2, 2), 1, 2, 4, 6);
    bool used[2];
    function_symbols(f, used);
    assert_true(used[0] && !used[1]); /* the index is nobody's to give */
    assert_true(module_symbol_is_index(m, 1) && !module_symbol_is_index(m, 0));
    tir_close(&x.s);
}

static void bodies_go_with_their_nodes(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(&s, tower(&s, 3));
    assert_int_equal(m->bodies.len, 3);
    uint32_t n;
    function **all = module_walk(m, s.a, &n);
    assert_int_equal(n, 4);
    for (uint32_t i = 0; i < n; i++) assert_string_equal(all[i]->name, arena_printf(s.a, "f%u", 3 - i));
    /* a copy has bodies of its own */
    module *copy = module_clone(m, s.a);
    assert_true(module_verify(copy, s.d));
    assert_string_equal(tir_text(&s, copy), tir_text(&s, m));
    for (uint32_t i = 0; i < 3; i++) {
        assert_ptr_not_equal(copy->bodies.data[i], m->bodies.data[i]);
        assert_ptr_not_equal(copy->bodies.data[i]->scan, m->bodies.data[i]->scan);
    }
    /* a node that takes over a body keeps it when the first one goes */
    function *f = m->functions.data[0];
    node *scan = f->first;
    builder b = builder_before(scan);
    dim index = node_attr(scan, ATTR_INDEX)->u.d, two = dim_const(m->dims, 2);
    node *second = build_scan(&b, all[1], index, two, 1, scan->operands, 1);
    value_replace(f, scan->result, second->result);
    node_erase(scan);
    assert_int_equal(m->bodies.len, 3);
    assert_true(module_verify(m, s.d));
    /* the outermost goes, and with it all that it runs */
    value_replace(f, second->result, f->args.data[0].v);
    node_erase(second);
    assert_int_equal(m->bodies.len, 0);
    assert_true(module_verify(m, s.d));
    assert_int_equal(copy->bodies.len, 3);
    tir_close(&s);
}

/* Opaque axes, and the cost of all runs: of 1, 2 ... S elements here, S * (S + 1) / 2 additions. */
static void roles_and_cost(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(&s, HEAD "body @b(%x: f32[S]) -> (y: f32) {\n"
                                   " %0 = slice %x {start = [0], step = [1]} : f32[t + 1]\n"
                                   " %1 = reduce %0 {kind = sum, axes = [0]} : f32\n return %1\n}\n"
                                   "func @f(%x: f32[S]) -> (y: f32[S]) {\n"
                                   " %y = scan @b %x {index = t, extent = S, carries = 0} : f32[S]\n return %y\n}\n");
    assert_string_equal(tir_messages(&s), "");
    const node *scan = m->functions.data[0]->first;
    axis_info x;
    node_axes(m, scan, &x);
    assert_int_equal(x.n, 1);
    assert_int_equal(x.role[0], AXIS_REDUCTION);
    assert_int_equal(x.operand_axis[0][0], -1);
    for (int64_t S = 0; S < 8; S++) {
        node_cost c = node_cost_at(m, scan, (int64_t[]){S, 3, 3});
        assert_true(c.flops == (double)(S * (S + 1)) / 2);
        assert_true(c.bytes_written == 4.0 * (double)S);
    }
    tir_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_sums),
        cmocka_unit_test(carries_change_places),
        cmocka_unit_test(sizes_follow_the_index),
        cmocka_unit_test(nested),
        cmocka_unit_test(rounding_and_observing),
        cmocka_unit_test(errors_in_bodies),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(built),
        cmocka_unit_test(bodies_go_with_their_nodes),
        cmocka_unit_test(roles_and_cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
