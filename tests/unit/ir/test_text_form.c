/* The .tir form: printing what was parsed gives the same bytes, whatever the module holds; mistakes and hostile text
 * end in a located message. */
#include "ir/constant.h"
#include "ir/internal.h"
#include "tests/support/tir_session.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

/* Every op of ops.def and every kind of attribute, dim, check, parameter, state, function, region and name. */
static const char everything[] =
    "module \"odd name\" doc \"It is \\\"odd\\\".\\n\\n\\t\xC3\xA9\"\n"
    "dim B input 1..64\n"
    "dim S input 8..512 multiple 8\n"
    "dim K setting 0..16 doc \"\"\n"
    "dim N data 0..100\n"
    "dim M data 0..2\n"
    "param \"a.weight\" : f32[8, 4] = random f32[8, 4] seed 3 stream 77 scale 0.25\n"
    "param \"we \\\"ird\\\\\\n\\x01\" : bf16[4] = splat bf16[4] 1.5\n"
    "param \"table\" : f32[10, 4] = data f32[10, 4] ["
    "0.0, -0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, "
    "0.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, "
    "inf, -inf, nan, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 0.25, "
    "0.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]\n"
    "param \"packed\" : f32[8, 4]{panel 16} = encode panel 16 (transpose [1, 0] (splat f32[4, 8] 2.0))\n"
    "param \"ids\" : i64[3] = data i64[3] [-9223372036854775808, 0, 9]\n"
    "state \"layers.0.\\\"k\\\"\" : f32[8, 4]\n"
    "state \"seen\" : i64\n"
    "\n"
    "func @main(%x: f32[B, 4], %mask: bool[B, S, S] doc \"true: seen\", %n: i32) -> (y: f32[B, 8] doc \"the sum\", "
    "\"odd result\": f32) doc \"Does all.\" {\n"
    "  check S <= 512\n"
    "  check B * S == B * S\n"
    "  check S multiple 8\n"
    "  region r1 = \"bert.layer\" at \"encoder.layer.0\"\n"
    "  region r2 = \"gelu\" at \"encoder.layer.0\" in r1\n"
    "  region r3 = \"\" at \"\"\n"
    "  %0 = param \"a.weight\" : f32[8, 4]\n"
    "  %1 = contract %x, %0 {labels = \"bk,nk->bn\"} : f32[B, 8] in r1\n"
    "  %2 = const {value = 0.1} : f32[B, 8] in r2\n"
    "  %3 = const {ivalue = -3} : i32\n"
    "  %4 = const {ivalue = 1} : bool[B]\n"
    "  %5 = const {value = nan} : f32[1, 4]\n"
    "  %6 = const {value = -0.0} : f32\n"
    "  %7 = const {value = 1e-300} : f64\n"
    "  %8 = iota {axis = 1} : i32[B, S]\n"
    "  %9 = cast %8 : f32[B, S]\n"
    "  %10 = broadcast %5 {axes = [0, 1]} : f32[B, 4]\n"
    "  %11 = broadcast %6 {axes = []} : f32[B, 4]\n"
    "  %12 = transpose %9 {perm = [1, 0]} : f32[S, B]\n"
    "  %13 = reshape %12 : f32[B * S]\n"
    "  %14 = slice %9 {start = [0, S - 8], step = [1, 2]} : f32[B, 4]\n"
    "  %15 = concat %14, %10, %11 {axis = 1} : f32[B, 12]\n"
    "  %16 = reduce %15 {kind = mean, axes = [0, 1]} : f32\n"
    "  %17 = reduce %mask {kind = any, axes = [2]} : bool[B, S]\n"
    "  %18 = softmax %15 {axis = 1} : f32[B, 12]\n"
    "  %19 = normalize %18 {mode = rms, axes = [0], eps = 1e-12} : f32[B, 12]\n"
    "  %20 = broadcast %x {axes = [0, 3]} : f32[B, 4, S, 4]\n"
    "  %21 = attention %20, %20, %20, %mask {scale = 0.5} : f32[B, 4, S, 4]\n"
    "  %22 = attention %20, %20, %20 {scale = 0.5} : f32[B, 4, S, 4]\n"
    "  %23 = param \"table\" : f32[10, 4]\n"
    "  %24 = param \"ids\" : i64[3]\n"
    "  %25 = gather %23, %24 {axis = 0} : f32[3, 4]\n"
    "  %26 = param \"packed\" : f32[8, 4]{panel 16}\n"
    "  %27 = contract %x, %26 {labels = \"bk,nk->bn\"} : f32[B, 8]\n"
    "  %28 = fma %1, %2, %27 : f32[B, 8] in r3\n"
    "  %named.value = add %28, %1 : f32[B, 8]\n"
    "  %29 = lt %1, %28 : bool[B, 8]\n"
    "  %30 = select %29, %1, %named.value : f32[B, 8]\n"
    "  point \"encoder.layer.0:attended\" = %30\n"
    "  return %30, %16\n"
    "}\n"
    "\n"
    "func @second() -> () {\n"
    "  region r1 = \"gelu\" at \"a\"\n"
    "  return\n"
    "}\n"
    "\n"
    "body @inner(%c: f32[4]) -> (c: f32[4]) {\n"
    "  region r1 = \"mixer\" at \"layers.1\"\n"
    "  %0 = exp %c : f32[4] in r1\n"
    "  return %0\n"
    "}\n"
    "\n"
    "body @\"odd body\"(%h: f32[4], %k: f32[8, 4]) -> (h: f32[4], y: f32[1, 4]) {\n"
    "  %0 = scan @inner %h {index = M, extent = 3, carries = 1} : f32[4]\n"
    "  %row = slice %k {start = [mod(N, 8), 0], step = [1, 1]} : f32[1, 4]\n"
    "  return %0, %row\n"
    "}\n"
    "\n"
    "body @nothing() -> (n: i32) {\n"
    "  %0 = const {ivalue = 1} : i32\n"
    "  return %0\n"
    "}\n"
    "\n"
    "func @third(%x: f32[1, 4]) -> (v: f32[4, 2], all: f32[K, 1, 4], ones: i32[2]) {\n"
    "  %0 = state \"layers.0.\\\"k\\\"\" : f32[8, 4]\n"
    "  %seen = state \"seen\" : i64\n"
    "  check K <= 7\n"
    "  %1 = update %0, %x {start = [0, 0]} : f32[8, 4]\n"
    "  %2 = reshape %x : f32[4]\n"
    "  %last, %all = scan @\"odd body\" %2, %1 {index = N, extent = K, carries = 1} : f32[4], f32[K, 1, 4]\n"
    "  %3 = scan @nothing {index = M, extent = 2, carries = 0} : i32[2]\n"
    "  %4 = broadcast %last {axes = [0]} : f32[4, 2]\n"
    "  %5, %i = top_k %4 {axis = 0, count = 4} : f32[4, 2], i64[4, 2]\n"
    "  point \"layers.0:top\" = %i\n"
    "  state \"layers.0.\\\"k\\\"\" = %1\n"
    "  return %5, %all, %3\n"
    "}\n"
    "\n"
    "rule some_verb linear in \"encoder.**\" (n = 8, x = 0.5, big = 1e+300, on = true, off = false, word = \"odd "
    "\\\"word\", "
    "list = [-1, 2], none = []) at @main r2, @second r1, @main\n"
    "rule after_verb after \"*:attended\" at @main \"encoder.layer.0:attended\"\n"
    "rule before_verb before \"gone:p\" (x = nan)\n";

static void prints_what_it_reads(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(&s, everything);
    assert_string_equal(tir_messages(&s), "");
    assert_non_null(m);
    const char *once = tir_text(&s, m);
    for (size_t i = 0; i < sizeof everything; i++)
        if (once[i] != everything[i]) fail_msg("differs at: %.60s\nexpected: %.60s", once + i, everything + i);
    module *again = tir_parse(&s, once);
    assert_non_null(again);
    assert_string_equal(tir_text(&s, again), once);
    tir_close(&s);
}

/* Comments, white space, attribute order, free names, default parameters. */
static void reads_more_than_it_prints(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(
        &s, "// a comment\nmodule m dim B input 1..4\nparam \"w\" : f32[2, 2]\nparam \"v\":f32[2] = random seed 7\n"
            "func@f(%x:f32[B,2]) -> (y: f32[B]) { // another\n"
            "%k9 = reduce %x {axes=[1], kind=sum} : f32[B]\n\n return %k9 }");
    assert_string_equal(tir_messages(&s), "");
    assert_non_null(m);
    assert_string_equal(m->functions.data[0]->results.data[0].v->name, "k9");
    assert_string_equal(m->params.data[1]->path, "v");
    const char *text = tir_text(&s, m);
    module *again = tir_parse(&s, text);
    assert_non_null(again);
    assert_string_equal(tir_text(&s, again), text);
    tir_close(&s);
}

typedef struct {
    const char *text, *message; /* the message must be among the diagnostics */
} bad;

#define F(body)                                                                                                        \
    "module m\ndim B input 1..4\ndim S input 1..8\nparam \"w\" : f32[2, 3] = splat f32[2, 3] 0.0\nfunc @f(%x: f32[B, " \
    "2], %i: i32[B], %c: bool[B, 2]) -> (y: f32[B, 2]) {\n" body "\n  return %x\n}\n"
#define R(rule)                                                                                            \
    "module m\nfunc @f(%x: f32) -> (y: f32) {\nregion r1 = \"b\" at \"a\"\npoint \"a:p\" = %x\nreturn %x " \
    "}\nrule " rule
#define P(value) "module m\nparam \"p\" : f32[2, 2] = " value "\n"

static const bad mistakes[] = {
    {"", "expected 'module'"},
    {"modul m", "expected 'module'"},
    {"module m\nfunk", "expected dim, param, state, body, func or rule"},
    {"module m\ndim B input 4..1", "not in order"},
    {"module m\ndim B input -1..1", "not in order"},
    {"module m\ndim B input 1..99999999999999999999", "does not fit in 64 bits"},
    {"module m\ndim B input 1..4\ndim B input 1..4", "declared twice"},
    {"module m\ndim B input 1..4 multiple 0", "a multiple of 0"},
    {"module m\ndim B other 1..4", "expected input, setting or data"},
    {F("check 4 multiple 0"), "expected a positive constant"},
    {F("check Q == 4"), "expected a dim"},
    {F("check 4 < 5"), "expected '==', '<=' or 'multiple'"},
    {"module m\nparam \"p\" : f99[2]", "unknown dtype 'f99'"},
    {"module m\nparam \"p\" : f32[1,1,1,1,1,1,1,1,1]", "at most 8 axes"},
    {"module m\nparam \"p\" : f32[-1]", "a size below 0"},
    {"module m\ndim B input 1..4\nparam \"p\" : f32[B]", "sizes of a parameter are constants"},
    {"module m\nparam \"p\" : f32[4000000000, 4000000000]", "too large"},
    {"module m\nparam \"p\" : f32[4]{panel 16}", "is a matrix"},
    {"module m\nparam \"p\" : f32[4, 4]{panel 0}", "not in 1..4096"},
    {"module m\nparam \"p\" : f32[4, 4]{swizzle}", "unknown encoding"},
    {"module m\nparam \"p\" : f32[2]\nparam \"p\" : f32[2]", "declared twice"},
    {"module m\nparam \"p : f32[2]\n", "no end on its line"},
    {"module m\nparam \"\\q\" : f32[2]\n", "unknown escape"},
    {"module m\nparam \"\\x00\" : f32[2]\n", "unknown escape"},
    {P("nothing"), "expected a constant"},
    {P("splat f32[3] 1.0"), "the value of parameter \"p\" is not f32[2, 2]"},
    {P("splat f32[2, 2] one"), "expected a number"},
    {P("splat f32[4000000000, 4000000000] 1.0"), "out of range"},
    {P("data f32[2, 2] [1.0, 2.0]"), "expected ','"},
    {P("data f32[2, 2] [1.0, 2.0, 3.0, 4.0, 5.0]"), "expected ']'"},
    {P("data f32[1000000, 1000000] [1.0]"), "fewer elements"},
    {P("file \"/nonexistent/x.safetensors\" \"t\""), "/nonexistent/x.safetensors"},
    {P("slice [1, 0] [2, 2] (splat f32[2, 2] 1.0)"), "not inside its argument"},
    {P("slice [9223372036854775807, 0] [1, 2] (splat f32[2, 2] 1.0)"), "not inside its argument"},
    {P("slice [-1, 0] [2, 2] (splat f32[2, 2] 1.0)"), "not inside its argument"},
    {P("transpose [0, 0] (splat f32[2, 2] 1.0)"), "not a permutation"},
    {P("transpose [0, 1, 2] (splat f32[2, 2] 1.0)"), "not a permutation"},
    {P("reshape [5] (splat f32[2, 2] 1.0)"), "another number of elements"},
    {P("concat 2 (splat f32[2, 2] 1.0)"), "cannot be joined"},
    {P("concat 0 (splat f32[1, 2] 1.0, splat f32[1, 3] 1.0)"), "cannot be joined"},
    {P("stack (splat f32[2] 1.0, splat f32[3] 1.0)"), "cannot be stacked"},
    {P("broadcast [1] [2, 2] (splat f32[3] 1.0)"), "does not stretch"},
    {P("broadcast [2] [2, 2] (splat f32[2] 1.0)"), "does not stretch"},
    {P("broadcast [1, 0] [2, 2] (splat f32[2, 2] 1.0)"), "does not stretch"},
    {P("broadcast [] [2, 2] (splat f32[1] 1.0)"), "does not stretch"},
    {P("broadcast [0] [-2, 2] (splat f32[1] 1.0)"), "out of range"},
    {P("map softmax (splat f32[2, 2] 1.0)"), "'softmax' is no elementwise op"},
    {P("map add (splat f32[2, 2] 1.0)"), "do not fit 'add'"},
    {P("map add (splat f32[2, 2] 1.0, splat f32[2] 1.0)"), "do not fit 'add'"},
    {P("map add (splat f4[2, 2] 1.0, splat f4[2, 2] 1.0)"), "do not fit 'add'"},
    {P("scale 2.0 (splat i32[2, 2] 1.0)"), "only floats are scaled"},
    {P("encode panel 4 (splat f32[2] 1.0)"), "needs a matrix"},
    {P("encode rows (splat f32[2, 2] 1.0)"), "rows is how"},
    {P("cast f32 (splat f32[2] 1.0, splat f32[2] 1.0)"), "expected one argument"},
    {F("%1 = frob %x : f32[B, 2]"), "unknown op 'frob'"},
    {F("%1 = exp %y : f32[B, 2]"), "%y is not defined above"},
    {F("%1 = exp %1 : f32[B, 2]"), "%1 is not defined above"},
    {F("%x = exp %x : f32[B, 2]"), "%x is defined twice"},
    {F("%1 = exp %x : f32[B, 3]"), "the result of exp is f32[B, 2]"},
    {F("%1 = exp %x, %x : f32[B, 2]"), "exp has 2 operands"},
    {F("%1 = exp %i : i32[B]"), "exp of i32"},
    {F("%1 = exp %x {axis = 1} : f32[B, 2]"), "has no attribute 'axis'"},
    {F("%1 = exp %x : f32[B, 2] in r1"), "no region 'r1'"},
    {F("%1 = add %x, %i : f32[B, 2]"), "different shapes"},
    {F("%1 = add %c, %c : bool[B, 2]"), "add of bool"},
    {F("%1 = and %x, %x : f32[B, 2]"), "and of f32"},
    {F("%1 = bitand %x, %x : f32[B, 2]"), "bitand of f32"},
    {F("%1 = select %x, %x, %x : f32[B, 2]"), "the condition is f32"},
    {F("%1 = const {value = 1.0} : i32"), "needs ivalue"},
    {F("%1 = const {ivalue = 1} : f32"), "needs value"},
    {F("%1 = const : f32"), "needs value"},
    {F("%1 = const {value = 1.0, ivalue = 1} : f32"), "needs value"},
    {F("%1 = const {value = 1.0, value = 1.0} : f32"), "given twice"},
    {F("%1 = const {ivalue = 2} : bool"), "a bool is 0 or 1"},
    {F("%1 = iota {axis = 2} : i32[B, 2]"), "axis 2 of a tensor of rank 2"},
    {F("%1 = iota {axis = -1} : i32[B, 2]"), "axis -1"},
    {F("%1 = iota {axis = 0} : bool[B]"), "indices of dtype bool"},
    {F("%1 = param \"q\" : f32[2, 3]"), "no parameter \"q\""},
    {F("%1 = param \"w\" : f32[3, 2]"), "is f32[2, 3], not f32[3, 2]"},
    {F("%1 = cast %x : i32[B]"), "changes the shape"},
    {F("%1 = broadcast %x {axes = [0]} : f32[B, 2]"), "1 axes for an operand of rank 2"},
    {F("%1 = broadcast %x {axes = [1, 0]} : f32[2, B]"), "not in increasing order"},
    {F("%1 = broadcast %x {axes = [0, 1]} : f32[B, 3]"), "cannot become"},
    {F("%1 = broadcast %x {axes = [0, 2]} : f32[B, 2]"), "axis 2 of a tensor of rank 2"},
    {F("%1 = transpose %x {perm = [0, 0]} : f32[B, B]"), "occurs twice in the permutation"},
    {F("%1 = transpose %x {perm = [0]} : f32[B]"), "a permutation of 1 axes"},
    {F("%1 = reshape %x : f32[B, 3]"), "equally many elements"},
    {F("%1 = reshape %x : f32[S, 2]"), "equally many elements"},
    {F("%1 = slice %x {start = [0, 1], step = [1, 1]} : f32[B, 2]"), "is read up to 3"},
    {F("%1 = slice %x {start = [0, 0], step = [1, 2]} : f32[B, 2]"), "is read up to 3"},
    {F("%1 = slice %x {start = [0, -1], step = [1, 1]} : f32[B, 1]"), "before 0"},
    {F("%1 = slice %x {start = [0, 0], step = [1, 0]} : f32[B, 1]"), "not positive"},
    {F("%1 = slice %x {start = [0], step = [1]} : f32[B, 1]"), "one entry for each of 2 axes"},
    {F("%1 = concat %x, %x {axis = 2} : f32[B, 4]"), "axis 2"},
    {F("%1 = concat %x, %i {axis = 0} : f32[B, 4]"), "operand 1 is i32[B]"},
    {F("%1 = concat {axis = 0} : f32[B, 4]"), "concat has 0 operands"},
    {F("%1 = contract %x, %x {labels = \"ab,ab\"} : f32"), "not of the form"},
    {F("%1 = contract %x, %x {labels = \"ab,ac->abd\"} : f32[B, 2, 2]"), "is in no operand"},
    {F("%1 = contract %x, %x {labels = \"aa,bc->bc\"} : f32[B, 2]"), "occurs twice in operand 0"},
    {F("%1 = contract %x, %x {labels = \"ab,bc->ac\"} : f32[B, 2]"), "is of size"},
    {F("%1 = contract %x, %x {labels = \"ab,c->ab\"} : f32[B, 2]"), "1 labels for operand 1"},
    {F("%1 = contract %x, %x {labels = \"ab,ab->aa\"} : f32[B, B]"), "occurs twice in the result"},
    {F("%1 = contract %c, %c {labels = \"ab,ab->a\"} : bool[B]"), "a contraction of"},
    {F("%1 = reduce %x {kind = sum, axes = []} : f32[B, 2]"), "no axes"},
    {F("%1 = reduce %x {kind = sum, axes = [1, 0]} : f32"), "not in increasing order"},
    {F("%1 = reduce %x {kind = median, axes = [1]} : f32[B]"), "not a value of kind"},
    {F("%1 = reduce %x {kind = any, axes = [1]} : f32[B]"), "any of f32"},
    {F("%1 = reduce %c {kind = sum, axes = [1]} : bool[B]"), "sum of bool"},
    {F("%1 = reduce %i {kind = mean, axes = [0]} : i32"), "mean of i32"},
    {F("%1 = reduce %x {kind = sum} : f32[B]"), "attribute axes is missing"},
    {F("%1 = softmax %i {axis = 0} : i32[B]"), "softmax of i32"},
    {F("%1 = attention %x, %x, %x {scale = 1.0} : f32[B, 2]"), "need 4 axes"},
    {F("%1 = gather %x, %x {axis = 0} : f32[B, 2, 2]"), "indices of dtype f32"},
    {F("%1 = exp %x : f32[B, 2] region"), "expected"},
    {F("region r1 = \"a\" at \"b\" in r2"), "no region 'r2'"},
    {F("region r1 = \"a\" at \"b\"\nregion r1 = \"a\" at \"b\""), "declared twice"},
    {F("point \"a:b\" = %q"), "%q is not defined"},
    {F("exp"), "expected a node, region, check, point, valid, state or return"},
    {R("\"verb\" in \"a\""), "expected a verb"},
    {R("verb \"a\""), "expected in, after or before"},
    {R("verb sub ject in \"a\""), "expected in, after or before"},
    {R("verb in a"), "expected a place in quotes"},
    {R("verb in \"a\" ()"), "expected an argument"},
    {R("verb in \"a\" (x 1)"), "expected '='"},
    {R("verb in \"a\" (x = )"), "expected a number"},
    {R("verb in \"a\" (x = bf16)"), "expected a number"},
    {R("verb in \"a\" (x = [1, 0.5])"), "expected ']'"},
    {R("verb in \"a\" (x = 99999999999999999999)"), "does not fit in 64 bits"},
    {R("verb in \"a\" (x = 1, x = 2)"), "argument x is given twice"},
    {R("verb in \"a\" (x = 1"), "expected ')'"},
    {R("verb in \"a\" at f"), "expected '@'"},
    {R("verb in \"a\" at @g"), "no function @g"},
    {R("verb in \"a\" at @f r9"), "@f has no region 'r9'"},
    {R("verb in \"a\" at @f r1,"), "expected '@'"},
    {R("verb in \"a\" at @f \"a:p\""), "expected a region"},
    {R("verb after \"a:p\" at @f r1"), "expected a point in quotes"},
    {R("verb after \"a:p\" at @f \"a:q\""), "@f has no point \"a:q\""},
    {"module m\nfunc @f(%x: f32) -> (y: i32) { return %x }", "declared with another type"},
    {"module m\nfunc @f(%x: f32, %x: f32) -> (y: f32) { return %x }", "defined twice"},
    {"module m\nfunc @f(%x: f32) -> (y: f32) { return %x", "expected '}'"},
    {"module m\nfunc @f() -> () { return }\nfunc @f() -> () { return }", "two functions have this name"},
    {"module m\nfunc @f(%x: f32[4611686018427387904, 8]) -> () { return }", "negative or overflow"},
    {"module m\nfunc @f() -> () { %1 = const {value = 1.0} : f32[4611686018427387904, 8] return }",
     "negative or overflow"},
};

static void mistakes_are_located(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        tir_session s = tir_open();
        module *m = tir_parse(&s, mistakes[i].text);
        const char *messages = tir_messages(&s);
        if (m || !strstr(messages, mistakes[i].message))
            fail_msg("%s\nexpected: %s\ngot: %s", mistakes[i].text, mistakes[i].message, m ? "a module" : messages);
        tir_close(&s);
    }
}

static void a_message_shows_the_place(void **state)
{
    (void)state;
    tir_session s = tir_open();
    assert_null(
        tir_parse(&s, "module m\nfunc @f(%x: f32[2]) -> (y: f32[2]) {\n  %0 = exp %z : f32[2]\n  return %0\n}\n"));
    assert_string_equal(tir_messages(&s), "test.tir:3:12: error: %z is not defined above\n"
                                          "  3 |   %0 = exp %z : f32[2]\n"
                                          "    |            ^~\n");
    tir_close(&s);
}

/* Constants within constants end at a depth, not at the end of the stack. */
static void nesting_is_bounded(void **state)
{
    (void)state;
    tir_session s = tir_open();
    strbuf b = strbuf_new(s.a);
    strbuf_adds(&b, "module m\nparam \"p\" : f32 = ");
    for (int i = 0; i < 100000; i++) strbuf_adds(&b, "scale 2.0 (");
    assert_null(tir_parse(&s, b.s));
    assert_non_null(strstr(tir_messages(&s), "nested more than"));
    tir_close(&s);
}

/* Every prefix, and every byte replaced by a few others: never a crash, and a module only when it verifies
 * (module_parse says so itself) and prints to text that reads back. */
static void damaged_text_is_refused_or_sound(void **state)
{
    (void)state;
    size_t n = sizeof everything - 1;
    for (size_t i = 0; i < n; i += 3) {
        tir_session s = tir_open();
        module *m = tir_parse_n(&s, everything, i);
        if (!m) assert_true(diags_errors(s.d) > 0);
        tir_close(&s);
    }
    static const char with[] = "0-[\"%,";
    for (size_t i = 0; i < n; i++) {
        tir_session s = tir_open();
        char *text = arena_strndup(s.a, everything, n);
        text[i] = with[i % (sizeof with - 1)];
        module *m = tir_parse_n(&s, text, n);
        if (m) {
            const char *printed = tir_text(&s, m);
            module *again = tir_parse(&s, printed);
            assert_non_null(again);
            assert_string_equal(tir_text(&s, again), printed);
        } else {
            assert_true(diags_errors(s.d) > 0);
        }
        tir_close(&s);
    }
}

/* A parameter from a weights file: opened once, read, printed as it was written, closed with the module. */
static void weights_files_are_opened(void **state)
{
    (void)state;
    char path[] = "/tmp/test_text_form_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "wb");
    static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                                 "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}";
    uint64_t n = sizeof header - 1;
    fwrite(&n, 8, 1, f);
    fwrite(header, 1, n, f);
    fwrite((float[]){1.5f, -2, 3, 0.25f}, 4, 4, f);
    fclose(f);

    tir_session s = tir_open();
    char *text = arena_printf(s.a,
                              "module m\nparam \"x\" : f32[2] = file \"%s\" \"a\"\nparam \"y\" : f32[1] = slice [1] "
                              "[1] (file \"%s\" \"b\")\n",
                              path, path);
    module *m = tir_parse(&s, text);
    assert_string_equal(tir_messages(&s), "");
    assert_string_equal(tir_text(&s, m), text);
    assert_int_equal(m->files.len, 1);
    float v[2];
    const char *why;
    assert_true(cexpr_read(m->params.data[0]->value, 0, 2, v, &why));
    assert_true(v[0] == 1.5f && v[1] == -2);
    assert_true(cexpr_read(m->params.data[1]->value, 0, 1, v, &why));
    assert_true(v[0] == 0.25f);
    module_close(m);

    assert_null(tir_parse(&s, arena_printf(s.a, "module m\nparam \"x\" : f32[2] = file \"%s\" \"c\"\n", path)));
    assert_non_null(strstr(tir_messages(&s), "has no tensor \"c\""));
    tir_forget(&s);
    assert_null(tir_parse(&s, arena_printf(s.a, "module m\nparam \"x\" : f32[3] = file \"%s\" \"a\"\n", path)));
    assert_non_null(strstr(tir_messages(&s), "the value of parameter \"x\" is not f32[3]"));
    tir_close(&s);
    unlink(path);
}

static void reals_keep_their_bits(void **state)
{
    (void)state;
    static const double values[] = {0.0,  -0.0,       0.1,      1.0 / 3,  5e-324, 1.7976931348623157e308,
                                    1e22, 16777217.0, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        tir_session s = tir_open();
        module *m = module_new(s.a, s.names, s.sources, dims_new(s.a, s.names), "m");
        function *f = function_new(m, "f");
        builder b = {.fn = f};
        function_add_result(f, "y", build_const(&b, DT_F64, 0, NULL, values[i]));
        module *again = tir_parse(&s, tir_text(&s, m));
        assert_non_null(again);
        double got = node_attr(again->functions.data[0]->first, ATTR_VALUE)->u.real;
        assert_memory_equal(&got, &values[i], sizeof got);
        tir_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_what_it_reads),     cmocka_unit_test(reads_more_than_it_prints),
        cmocka_unit_test(mistakes_are_located),     cmocka_unit_test(a_message_shows_the_place),
        cmocka_unit_test(nesting_is_bounded),       cmocka_unit_test(damaged_text_is_refused_or_sound),
        cmocka_unit_test(weights_files_are_opened), cmocka_unit_test(reals_keep_their_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
