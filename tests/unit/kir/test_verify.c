/* What the verifier refuses: each row puts one mistake into tests/golden/kir/ops.kir. */
#include "unit/kir/session.h"

#include "unit/cmocka_all.h"

typedef struct {
    const char *old, *with, *message;
} mistake;

static const mistake mistakes[] = {
    /* scopes */
    {"store %c[%i, 0], %other bound [16]", "store %c[%i, 0], %half", "%half is not defined here"},
    {"    store %d[%i, 0], %chosen\n", "    store %d[%i, 0], %row\n", "%row is not defined here"},
    {"yield %u, %v\n", "yield %acc, %v\n", "unknown value %acc"},
    /* types of operands and results */
    {"%lim = const 9223372036854775807 : i64", "%lim = const 9223372036854775807 : i32",
     "the value does not fit in i32"},
    {"%both = and %ok, %yes : bool", "%both = add %ok, %yes : bool", "not defined for this dtype"},
    {"%both = and %ok, %yes : bool", "%both = and %ok, %wide : bool", "operands of different dtypes"},
    {"%both = and %ok, %yes : bool", "%both = and %ok : bool", "wrong number of operands"},
    {"%both = and %ok, %yes : bool", "%both = and %ok, %yes : i64", "the result is of type bool"},
    {"%v = max %t, %u : f32<1x16>", "%v = max %t, %col : f32<1x16>", "the result is of type f32<4x16>"},
    {"%wider = mul %col, %row : f32<4x16>", "%wider = mul %top0, %row : f32<4x16>", "unknown value"},
    {"%u = contract %s, %x, %wider", "%u = contract %s, %wider, %x", "shapes are not [m, n], [m, k], [k, n]"},
    {"%u = contract %s, %x, %wider : f32<1x16>", "%u = contract %s, %x, %wider : f32<1x16, scalars>",
     "the types are not those of the values that its op hands on"},
    {"%sum = reduce %acc {kind = add, axis = 1}", "%sum = reduce %acc {kind = add, axis = 2}", "no such axis"},
    {"%turned = transpose %acc : f32<16x1>", "%turned = transpose %acc : f32<1x16>", "the result is of type f32<16x1>"},
    {"%io = iota {axis = 1} : i32<1x16>", "%io = iota {axis = 1} : f32<1x16>", "the result is not a tile of ints"},
    {"%io = iota {axis = 1}", "%io = iota {axis = 2}", "no axis 2"},
    {"%bits = bitcast %io : f32<1x16>", "%bits = bitcast %io : f64<1x16>", "the dtypes differ in width"},
    {"%wide = cast %id : i64", "%wide = cast %id : i64<1>", "the result is of type i64"},
    {"check %both, %i, %wide, %lim {arg = 2}", "check %both, %i, %wide, %lim {arg = 5}", "no buffer argument 5"},
    {"check %both, %i, %wide, %lim {arg = 2}", "check %both, %i, %id, %lim {arg = 2}",
     "the operands are a bool and three i64"},
    {"%four = const 4.0 : f32<16>", "%four = const 4.0 : f32<16, mma_c>",
     "layout mma_c is not one of this loop's agents"},
    {"%four = const 4.0 : f32<16>", "%four = const 4.0 : f32<100000>", "a tile of more than 65536 elements"},
    /* memory */
    {"%id = load %ids[%i] : i32", "%id = load %ids[%i] : i64", "the buffer holds i32"},
    {"%id = load %ids[%i] : i32", "%id = load %ids[%i, 0] : i32", "2 indices for a buffer of 1 axes"},
    {"%id = load %ids[%i] : i32", "%id = load %ids[-1] : i32", "outside of axis 0 of the buffer"},
    {"%row = load %b[0, 0] bound [_, %m]", "%row = load %b[0, 17]", "outside of axis 1 of the buffer"},
    {"axes [1, 0] bound [4, _]", "axes [1, 1] bound [4, _]", "both axes of the tile run along axis 1"},
    {"axes [1, 0] bound [4, _]", "axes [2, 0] bound [4, _]", "the buffer has no axis 2"},
    {"axes [1, 0] bound [4, _]", "axes [_, 0] bound [_, _]", "axis 0 of the tile runs along no axis of the buffer"},
    {"axes [1, 0] bound [4, _]", "axes [1, 0] bound [%yes, _]", "a bound is not an i64"},
    {"store %d[%i, 0], %chosen\n", "store %b[%i, 0], %chosen\n", "writes to an `in` buffer"},
    {"prefetch %b[%k + 64, 0] {level = 2}", "prefetch %b[%k + 64, 0] {level = 3}", "level is 1 or 2"},
    {"%st = alloc : f32 stack[4, 16] align 64", "%st = alloc : f32 stack[4, M] align 64",
     "a stack buffer has a constant size"},
    {"%st = alloc : f32 stack[4, 16] align 64", "%st = alloc : f32 stack[400, 160] align 64",
     "more than 65536 bytes of stack buffers"},
    {"%st = alloc : f32 stack[4, 16] align 64", "%st = alloc : f32 shared[4, 16] align 64",
     "no shared buffer can be made here"},
    {"%st = alloc : f32 stack[4, 16] align 64", "%st = alloc : f32 stack[4, 16] align 48",
     "align 48 is no power of two"},
    {"%st = alloc : f32 stack[4, 16] align 64", "%st = alloc {offset = 0} : f32 stack[4, 16] align 64",
     "offsets are for scratch and workspace"},
    {": f32 scratch[16, 2 * K]", ": f32 scratch[16, M - 2]", "a size or stride that may be negative"},
    {"%part = view %st[1, 0] : f32 stack[32]", "%part = view %st[1, 0] : f32 scratch[32]", "a view stays in its space"},
    {"%part = view %st[1, 0] : f32 stack[32]", "%part = view %st[1] : f32 stack[32]",
     "1 indices for a buffer of 2 axes"},
    /* control */
    {"step 4 unroll 4", "step 0 unroll 4", "the step is not positive"},
    {"step 4 unroll 4", "step 4 unroll 65", "the unroll factor is not in 1..64"},
    {"yield %u, %v\n", "yield %u\n", "expected 2 values, got 1"},
    {"yield %u, %v\n", "yield %u, %x\n", "the types are not those of the values that its op hands on"},
    {"      yield %u, %v\n", "", "a block of it does not yield its 2 values"},
    {"      yield %top\n", "", "a block of it does not yield its 1 value"},
    {"%again = load %st[0, 0] : f32<4x16>", "%again = load %st[0, 0] : f32<4x16>\n yield %again",
     "a yield stands only at the end"},
    {"if %yes {", "if %m {", "the condition is not one bool"},
    {"switch %odd case 0", "switch %odd case -1", "case -1 stands twice"},
    {"switch %odd case 0", "switch %yes case 0", "the operand is not one i64"},
    {"for %i = 0 to %m step 1 parallel {", "for %i = 1 to %m step 1 parallel {",
     "a parallel loop starts at 0, steps by 1 and carries nothing"},
    {"for %i = 0 to %m step 1 parallel {", "for %i = 0 to %m step 1 {",
     "only pure ops stand outside of the parallel loop"},
    {"unroll 4 carry", "parallel carry", "a parallel loop"},
    {"for %i = 0 to %m step 1 parallel {", "for %i = 0 to %m step 1 block {",
     "a block loop stands only at the top of a GPU kernel"},
    {"  %m = dim M : i64\n  for %i = 0 to %m step 1 parallel {",
     "  %m = dim M : i64\n  %id0 = load %ids[0] : i32\n  for %i = 0 to %m step 1 parallel {",
     "only pure ops stand outside of the parallel loop"},
    /* GPU */
    {"warps 2 {", "warps 3 {", "the loop does not run over the block's 3 agents"},
    {"warps 2 {", "{", "0 warps: a GPU kernel has 1 to 32"},
    {"warps 4 {", "warps 6 {", "6 warps are no whole number of warpgroups"},
    {"%m = dim ceildiv(M, 16) : i64\n  for %i = 0 to %m step 1 block {",
     "%m = dim ceildiv(M, 16) : i64\n  for %i = 0 to %m step 1 {", "only pure ops stand outside of the warp loop"},
    {"swizzle(1, 4, 3) align 256", "swizzle(1, 4, 3) align 128", "swizzle(1, 4, 3) needs align 256"},
    {"swizzle(1, 4, 3) align 256", "swizzle(4, 4, 3) align 2048", "a swizzle with overlapping or too many bits"},
    {"%a: bf16 global[M, K] align 16 in", "%a: bf16 global[M, K] swizzle(1, 4, 3) align 256 in",
     "only shared memory is swizzled"},
    {"copy %sb[0, 0], %b[0, 0]", "copy %b[0, 0], %sb[0, 0]", "a copy goes from global to shared memory"},
    {"copy %sb[0, 0], %b[0, 0] : bf16<16x8>", "copy %sb[0, 0], %b[0, 0] : bf16<16x7>",
     "a copy's rows are whole 4-byte words"},
    {"copy %sb[0, 0], %b[0, 0] : bf16<16x8>", "copy %sb[0, 0], %b[0, 0] : f16<16x8>", "the buffer holds bf16"},
    {"%fa = load %sa[0, 0] : bf16<16x16, mma_a>", "%fa = load %sa[0, 0] : bf16<8x16, mma_a>",
     "the tile is no whole number of mma_a fragments"},
    {"%fb = load %sb[0, 0] : bf16<16x8, mma_b>", "%fb = load %sb[0, 0] : bf16<16x8, mma_c>",
     "layouts are not mma_c, mma_a, mma_b"},
    {"%bv = load %bias[0] : f32<1x8, mma_c>", "%bv = load %bias[0] : f32<1x8, wgmma_c>",
     "layout wgmma_c is not one of this loop's agents"},
    {"%bv = load %bias[0] : f32<1x8, mma_c>", "%bv = load %bias[0] : f32<1x8, lanes>", "operands of different layouts"},
    {"wait {queue = copy, keep = 0}\n      barrier\n      %fa",
     "wait {queue = mma, keep = 0}\n      barrier\n      %fa", "queue mma belongs to warpgroups"},
    {"fence {queue = mma}", "fence {queue = copy}", "only queue mma has a fence"},
    {"wait {queue = mma, keep = 0}", "wait {queue = mma, keep = 8}", "keep is not in 0..7"},
    {"%x = load %sa[0, 0] : f16<64x64, shared>", "%x = load %a[0, 0] : f16<64x64, shared>",
     "a descriptor refers to a dense buffer"},
    {"%x = load %sa[0, 0] : f16<64x64, shared>", "%x = load %sa[0, 0] bound [4, _] : f16<64x64, shared>",
     "a descriptor has no bounds"},
    {"%y = load %sa[0, 0] axes [1, 0] : f16<64x64, shared>", "%y = load %sa[0, 0] axes [1, 0] : f16<48x64, shared>",
     "shapes are not [m, n], [m, k], [k, n]"},
    {"      %t = contract %zero, %x",
     "      %carried = for %l = 0 to 1 step 1 carry (%again = %x) { yield %again } : f16<64x64, shared>\n      %t = "
     "contract %zero, %x",
     "a descriptor is only an operand of contractions"},
    {"store %c[0, 0], %t\n", "%down = reduce %t {kind = add, axis = 0} : f32<1x64, wgmma_c>\n store %c[0, 0], %t\n",
     "the rows of a wgmma accumulator lie in different warps"},
    {"for %i = 0 to %m step 1 block {\n    %sa = alloc : bf16",
     "%half = add %m, %m : i64\n  for %i = 0 to %half step 1 block {\n    %sa = alloc : bf16",
     "the end of a block loop is a dim or a constant"},
    {"    %st = alloc", "    barrier\n    %st = alloc", "only an op of GPU kernels"},
    /* plans */
    {"launch @cpu_ops (M = B, K = 16", "launch @cpu_ops (M = B, K = 17", "dim K is not known to be a multiple of 16"},
    {"launch @cpu_ops (M = B, K = 16", "launch @cpu_ops (M = B * 17, K = 16",
     "dim M leaves the kernel's bounds 1..64 at B = 4"},
    {"launch @cpu_ops (M = B, K = 16", "launch @cpu_ops (M = B - 1, K = 16",
     "dim M leaves the kernel's bounds 1..64 at B = 1"},
    {"S = 0, E = 9) (%flat, %w, %ids, %h, %y)", "S = 0, E = 9) (%flat, %w, %ids, %h)",
     "@cpu_ops has 5 buffers and 4 dims"},
    {"S = 0, E = 9) (%flat, %w, %ids, %h, %y)", "S = 0, E = 9) (%flat, %w, %w, %h, %y)",
     "argument 2 (ids) holds f32, the kernel wants i32"},
    {"S = 0, E = 9) (%flat, %w, %ids, %h, %y)", "S = 0, E = 9) (%y, %w, %ids, %h, %y)",
     "argument 0 (a) is too small at B = 4, K = 8: 352 > 256 bytes"},
    {"S = 0, E = 9) (%flat, %w, %ids, %h, %y)", "S = 0, E = 9) (%flat, %w, %ids, %h, %x)",
     "the kernel writes argument 4 (d)"},
    {"S = 0, E = 9) (%flat, %w, %ids, %h, %y)", "S = 0, E = 9) (%flat, %w, %ids, %h, %flat)",
     "argument 4 (d) is written and also passed as argument 0"},
    {"S = 0, E = 9) (%flat, %w, %ids, %h, %y)", "S = 0, E = 9) (%flat, %x, %ids, %h, %y)",
     "argument 1 (b) is aligned to 4, the kernel wants 64"},
    {"launch @cpu_ops (M = B,", "launch @entry (M = B,", "expected 'B'"},
    {"= splat f32[32, 32] 0.5", "= splat f32[32, 31] 0.5", "its constant has 3968 bytes"},
    {"= splat f32[32, 32] 0.5", "= splat f16[32, 32] 0.5", "has the dtype f16"},
    {"%ids: i32 global[B] input \"ids\"", "%ids: i32 global[B] in", "plans have inputs, outputs and weights"},
    {"%c: f32 global[64, 64] out) warps 4", "%c: f32 global[64, 64] output \"c\") warps 4", "kernels have buffers"},
    {"yield %go, %n", "yield %n, %n", "the condition is not a bool"},
    {"%less = sub %now, %one : i64", "%less = sub %now, %one : i64\n    barrier", "not an op of plans"},
    {"{dim = T, most = B}", "{dim = B, most = B}", "what is read is no data dim"},
    {"{dim = T, most = B}", "{dim = T + 1, most = B}", "what is read is no data dim"},
    {"{dim = T, most = B}", "{dim = T, most = T}", "T does not hold 0 to most"},
    {"{dim = T, most = B}", "{dim = T, most = 2 * B}", "T does not hold 0 to most"},
    {"{dim = T, most = B}", "{dim = T, most = B - 2}", "T does not hold 0 to most"},
    {"{dim = T, most = B} : i64", "{dim = T, most = B} : i32", "the result is of type i64"},
    {"read_dim %n[%last]", "read_dim %x[%last, %last]", "the buffer holds f32"},
    {"%last = const 0 : i64", "%early = alloc : f32 workspace[T, 16]\n  %last = const 0 : i64",
     "a dim is used before it is read"},
    {"%last = const 0 : i64", "%last = dim T : i64", "a dim is used before it is read"},
    {"%one = const 1 : i64\n  %more", "%one = const 1 : i64\n  %bad = const 1.0 : f32<4>\n  %more",
     "a tile outside of the loop over tasks or agents"},
};

static void test_mistakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        const mistake *x = &mistakes[i];
        session s = session_new();
        const char *text = read_golden(&s, "ops.kir");
        const char *wrong = substitute(&s, text, x->old, x->with);
        kmodule *m = parse_text(&s, wrong);
        if (m && kmodule_verify(m, s.d)) fail_msg("'%s' for '%s' went unseen", x->with, x->old);
        expect_message(&s, x->message);
        session_free(&s);
    }
}

/* What text cannot say: graphs that are not whole. */
static void test_broken_graphs(void **state)
{
    (void)state;
    session s = session_new();
    const char *text = read_golden(&s, "ops.kir");
    kmodule *m = parse_valid(&s, text);
    kfunction *f = m->functions.data[0];
    kop *first = f->body->first;

    uint32_t id = first->results[0]->id;
    first->results[0]->id = f->n_values;
    assert_false(kfunction_verify(f, s.d));
    expect_message(&s, "is used twice or out of range");
    first->results[0]->id = id;
    assert_true(kfunction_verify(f, s.d));

    kop *loop = first->next;
    kvalue *used = loop->hi.v;
    loop->hi.v = m->functions.data[1]->body->first->results[0];
    loop->hi.v->id = f->n_values + 7;
    assert_false(kfunction_verify(f, s.d));
    expect_message(&s, "an op reads a value of another function");
    loop->hi.v = used;

    f->body->last = first;
    assert_false(kfunction_verify(f, s.d));
    expect_message(&s, "a block does not know its last op");
    f->body->last = loop;

    first->results[0]->def = loop;
    assert_false(kfunction_verify(f, s.d));
    expect_message(&s, "a result does not know its op");
    first->results[0]->def = first;
    assert_true(kfunction_verify(f, s.d));
    session_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mistakes), cmocka_unit_test(test_broken_graphs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
