/* offsets, positions, unpack, attention on runs: by hand; which dims are known where; what is refused. */
#include "unit/ir/tensors.h"

#define HEAD "module m\ndim B input 0..3\ndim S input 0..4\ndim T data 0..12\ndim U data 0..12\n"

static void by_hand(void **state)
{
    (void)state;
    fixture x = open_fixture();
    const char *text = HEAD "func @f(%m: bool[B, S]) -> (o: i64[B + 1], n: i64[B, S], b: i64[B, S], s: i64[B, S]) {\n"
                            " %o = offsets %m : i64[B + 1]\n"
                            " %n = positions %m, %o {tokens = T} : i64[T]\n"
                            " %b = positions %m, %o {tokens = T, along = 0} : i64[T]\n"
                            " %s = positions %m, %o {tokens = T, along = 1} : i64[T]\n"
                            " %0 = unpack %n, %m, %o : i64[B, S]\n %1 = unpack %b, %m, %o : i64[B, S]\n"
                            " %2 = unpack %s, %m, %o : i64[B, S]\n return %o, %0, %1, %2\n}\n";
    tensor *mask = INTS(DT_BOOL, SHAPE(3, 4), 0, 1, 0, 1, 0, 0, 0, 0, 1, 1, 1, 0);
    (void)result(&x, text, &mask);
    IS_INTS(x.out[0], SHAPE(4), 0, 2, 2, 5);
    IS_INTS(x.out[1], SHAPE(3, 4), 0, 1, 0, 3, 0, 0, 0, 0, 8, 9, 10, 0);
    IS_INTS(x.out[2], SHAPE(3, 4), 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 0);
    IS_INTS(x.out[3], SHAPE(3, 4), 0, 1, 0, 3, 0, 0, 0, 0, 0, 1, 2, 0);
    mask = INTS(DT_BOOL, SHAPE(2, 1), 0, 0);
    (void)result(&x, text, &mask);
    IS_INTS(x.out[0], SHAPE(3), 0, 0, 0);
    mask = INTS(DT_BOOL, SHAPE(0, 4), 0);
    (void)result(&x, text, &mask);
    IS_INTS(x.out[0], SHAPE(1), 0);
    tir_close(&x.s);
}

/* A query sees the keys of its own run: with all scores 0 it gets the mean of their values. */
static void attention_on_runs(void **state)
{
    (void)state;
    fixture x = open_fixture();
    const char *text = HEAD "func @f(%x: f32[B, S, 1], %m: bool[B, S]) -> (y: f32[B, S, 1]) {\n"
                            " %o = offsets %m : i64[B + 1]\n"
                            " %n = positions %m, %o {tokens = T} : i64[T]\n"
                            " %0 = reshape %x : f32[B * S, 1]\n %1 = gather %0, %n {axis = 0} : f32[T, 1]\n"
                            " %2 = reshape %1 : f32[1, 1, T, 1]\n"
                            " %3 = attention %2, %2, %2, %o {scale = 0.0} : f32[1, 1, T, 1]\n"
                            " %4 = reshape %3 : f32[T, 1]\n %5 = unpack %4, %m, %o : f32[B, S, 1]\n return %5\n}\n";
    tensor *in[2] = {FLOATS(DT_F32, SHAPE(3, 4, 1), 9, 2, 9, 4, NAN, 9, 9, 9, 1, 2, 6, INFINITY),
                     INTS(DT_BOOL, SHAPE(3, 4), 0, 1, 0, 1, 0, 0, 0, 0, 1, 1, 1, 0)};
    (void)result(&x, text, in);
    IS_FLOATS(x.out[0], SHAPE(3, 4, 1), 0, 3, 0, 3, 0, 0, 0, 0, 3, 3, 3, 0);
    tir_close(&x.s);
}

/* Bounds go by packed rows, or by positions where they are given; so does a bias. */
static void places_in_runs(void **state)
{
    (void)state;
    static const struct {
        const char *operands, *bounds;
        double want[4]; /* of the tokens at places 0, 2 and 3 of one run, and at place 1 of the other */
    } cases[] = {
        {"%o", ", to = 0", {1, 1.5, 3, 5}},
        {"%o", ", from = 0, to = 1", {1.5, 4, 6, 5}},
        {"%o", ", to = -1", {0, 1, 1.5, 0}},
        {"%o, %n", ", to = 0", {1, 1.5, 3, 5}},
        {"%o, %n", ", from = -1, to = 0", {1, 2, 4, 5}},
        {"%o, %n", ", from = 0, to = 2", {1.5, 4, 6, 5}},
        /* the bias leaves the key at place 2 alone */
        {"%o, %n, %b", "", {2, 2, 2, 5}},
        {"%o, %n, %b", ", to = 0", {1, 2, 2, 5}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture x = open_fixture();
        const char *text = arena_printf(
            x.s.a,
            HEAD "func @f(%%x: f32[B, S, 1], %%m: bool[B, S]) -> (y: f32[B, S, 1]) {\n"
                 " %%o = offsets %%m : i64[B + 1]\n"
                 " %%all = positions %%m, %%o {tokens = T} : i64[T]\n"
                 " %%n = positions %%m, %%o {tokens = T, along = 1} : i64[T]\n"
                 " %%j = iota {axis = 3} : i64[B, 1, S, S]\n %%two = const {ivalue = 2} : i64[B, 1, S, S]\n"
                 " %%is = eq %%j, %%two : bool[B, 1, S, S]\n %%big = const {value = 1000.0} : f32[B, 1, S, S]\n"
                 " %%none = const {value = 0.0} : f32[B, 1, S, S]\n"
                 " %%b = select %%is, %%big, %%none : f32[B, 1, S, S]\n"
                 " %%0 = reshape %%x : f32[B * S, 1]\n %%1 = gather %%0, %%all {axis = 0} : f32[T, 1]\n"
                 " %%2 = reshape %%1 : f32[1, 1, T, 1]\n"
                 " %%3 = attention %%2, %%2, %%2, %s {scale = 0.0%s} : f32[1, 1, T, 1]\n"
                 " %%4 = reshape %%3 : f32[T, 1]\n %%5 = unpack %%4, %%m, %%o : f32[B, S, 1]\n return %%5\n}\n",
            cases[i].operands, cases[i].bounds);
        tensor *in[2] = {FLOATS(DT_F32, SHAPE(2, 4, 1), 1, NAN, 2, 6, NAN, 5, NAN, NAN),
                         INTS(DT_BOOL, SHAPE(2, 4), 1, 0, 1, 1, 0, 1, 0, 0)};
        (void)result(&x, text, in);
        const double *w = cases[i].want;
        IS_FLOATS(x.out[0], SHAPE(2, 4, 1), w[0], 0, w[1], w[2], 0, w[3], 0, 0);
        tir_close(&x.s);
    }
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *body, *want;
    } cases[] = {
        {"%0 = offsets %x : i64[B + 1]\n return %x", "a mask of type f32[B, S], not bool[B, S]"},
        {"%0 = reshape %m : bool[B * S]\n %1 = offsets %0 : i64[B * S + 1]\n return %x", "a mask of type bool[B * S]"},
        {"%0 = positions %m, %i {tokens = T} : i64[T]\n return %x", "offsets that are not those of the mask"},
        {"%0 = offsets %k : i64[B + 1]\n %1 = positions %m, %0 {tokens = T} : i64[T]\n return %x",
         "offsets that are not those of the mask"},
        {"%0 = offsets %m : i64[B + 1]\n %1 = positions %m, %0 {tokens = S} : i64[S]\n return %x",
         "tokens is S, no dim of origin data"},
        {"%0 = offsets %m : i64[B + 1]\n %1 = positions %m, %0 {tokens = T + 1} : i64[T + 1]\n return %x",
         "tokens is T + 1, no dim of origin data"},
        {"%0 = offsets %m : i64[B + 1]\n %1 = positions %m, %0 {tokens = V} : i64[V]\n return %x",
         "V is 0..11, and bool[B, S] has 0..12 true elements"},
        {"%0 = offsets %m : i64[B + 1]\n %1 = positions %m, %0 {tokens = T, along = 2} : i64[T]\n return %x",
         "axis 2 of a tensor of rank 2"},
        {"%0 = offsets %m : i64[B + 1]\n %1 = unpack %x, %m, %0 : f32[B, S, S]\n return %x",
         "B is not counted by positions of the mask"},
        {"%0 = offsets %m : i64[B + 1]\n %1 = positions %m, %0 {tokens = T} : i64[T]\n"
         " %2 = unpack %1, %k, %0 : i64[B, S]\n return %x",
         "offsets that are not those of the mask"},
        {"%0 = offsets %m : i64[B + 1]\n %1 = positions %m, %0 {tokens = T} : i64[T]\n"
         " %2 = const {value = 1.0} : f32[1, 2, U, 4]\n %3 = attention %2, %2, %2, %0 {scale = 1.0} : f32[1, 2, U, 4]\n"
         " return %x",
         "U is not counted by positions of the mask"},
        {"%0 = offsets %m : i64[B + 1]\n %1 = positions %m, %0 {tokens = T} : i64[T]\n"
         " %2 = const {value = 1.0} : f32[2, 2, T, 4]\n %3 = attention %2, %2, %2, %0 {scale = 1.0} : f32[2, 2, T, 4]\n"
         " return %x",
         "do not fit runs of one batch"},
        {"%0 = offsets %m : i64[B + 1]\n %1 = positions %m, %0 {tokens = T} : i64[T]\n"
         " %2 = const {value = 1.0} : f32[1, 2, T, 4]\n"
         " %3 = attention %2, %2, %2, %0, %1 {scale = 1.0} : f32[1, 2, T, 4]\n return %x",
         "positions that are not those of the mask along axis 1"},
        {"%0 = offsets %m : i64[B + 1]\n %1 = positions %m, %0 {tokens = T, along = 1} : i64[T]\n"
         " %2 = const {value = 1.0} : f32[1, 2, T, 4]\n"
         " %3 = attention %2, %2, %2, %0, %1 {scale = 1.0, to = -1} : f32[1, 2, T, 4]\n return %x",
         "bounds by positions that may leave out a query's own place"},
        {"%0 = offsets %m : i64[B + 1]\n %1 = positions %m, %0 {tokens = T, along = 1} : i64[T]\n"
         " %2 = const {value = 1.0} : f32[1, 2, T, 4]\n %b = const {value = 1.0} : f32[B, 2, S, S]\n"
         " %3 = attention %2, %2, %2, %0, %b {scale = 1.0} : f32[1, 2, T, 4]\n return %x",
         "runs with a bias need positions"},
        {"%0 = offsets %m : i64[B + 1]\n %1 = positions %m, %0 {tokens = T, along = 1} : i64[T]\n"
         " %2 = const {value = 1.0} : f32[1, 2, T, 4]\n %b = const {value = 1.0} : f32[1, 2, T, T]\n"
         " %3 = attention %2, %2, %2, %0, %1, %b {scale = 1.0} : f32[1, 2, T, 4]\n return %x",
         "bias f32[1, 2, T, T] does not fit queries f32[1, 2, T, 4] and the mask bool[B, S]"},
        /* what only the whole function shows */
        {"%0 = const {value = 1.0} : f32[T]\n %1 = offsets %m : i64[B + 1]\n"
         " %2 = positions %m, %1 {tokens = T} : i64[T]\n return %x",
         "f32[T] has a size that has not been counted"},
        {"%0 = offsets %m : i64[B + 1]\n %1 = positions %m, %0 {tokens = T} : i64[T]\n"
         " %2 = offsets %k : i64[B + 1]\n %3 = positions %k, %2 {tokens = T} : i64[T]\n return %x",
         "a dim counts the elements of two masks"},
        {"check T <= 3\n %0 = offsets %m : i64[B + 1]\n %1 = positions %m, %0 {tokens = T} : i64[T]\n return %x",
         "a check has a size that has not been counted"},
        {"valid %x\n return %x", "what says which elements count is no mask of the function"},
    };
    fixture x = open_fixture();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = arena_printf(x.s.a,
                                        HEAD "dim V data 0..11\nfunc @f(%%x: f32[B, S], %%m: bool[B, S], "
                                             "%%k: bool[B, S], %%i: i64[B + 1]) -> (y: f32[B, S]) {\n %s\n}\n",
                                        cases[i].body);
        tir_forget(&x.s);
        if (tir_parse(&x.s, text)) fail_msg("accepted: %s", cases[i].body);
        if (!strstr(tir_messages(&x.s), cases[i].want))
            fail_msg("expected: %s\ngot:\n%s", cases[i].want, tir_messages(&x.s));
    }
    tir_forget(&x.s);
    const char *leaves = HEAD "func @f(%m: bool[B, S]) -> (y: i64[T]) {\n %0 = offsets %m : i64[B + 1]\n"
                              " %1 = positions %m, %0 {tokens = T} : i64[T]\n return %1\n}\n";
    assert_null(tir_parse(&x.s, leaves));
    assert_non_null(strstr(tir_messages(&x.s), "has a size that has not been counted"));
    tir_close(&x.s);
}

static void nobody_gives_them(void **state)
{
    (void)state;
    fixture x = open_fixture();
    module *m = tir_parse(&x.s, HEAD "func @f(%m: bool[B, S]) -> (y: i64[B, S]) {\n %0 = offsets %m : i64[B + 1]\n"
                                     " %1 = positions %m, %0 {tokens = U} : i64[U]\n"
                                     " %2 = unpack %1, %m, %0 : i64[B, S]\n return %2\n}\n");
    assert_non_null(m);
    bool used[4];
    function_symbols(m->functions.data[0], used);
    assert_true(used[0] && used[1] && !used[2] && !used[3]);
    dim T = dim_find(m->dims, "T"), U = dim_find(m->dims, "U");
    assert_null(function_counting_node(m->functions.data[0], T));
    assert_int_equal(function_counting_node(m->functions.data[0], U)->op, OP_POSITIONS);
    tir_close(&x.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_hand), cmocka_unit_test(attention_on_runs),
                                       cmocka_unit_test(places_in_runs), cmocka_unit_test(refusals),
                                       cmocka_unit_test(nobody_gives_them)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
