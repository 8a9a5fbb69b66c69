/* States: zeros at first, kept between runs and entries, unchanged by a run that fails; update, which writes them;
 * their file; what is refused. */
#include "ir/interp_arrays.h"
#include "unit/ir/tensors.h"

#include <sys/stat.h>
#include <unistd.h>

/* A cache with P slots filled: puts x there, gives the filled part back. */
static const char cache[] = "module m\ndim S input 0..4\ndim P input 0..6\n"
                            "state \"k\" : f32[6]\nstate \"runs\" : i64\n"
                            "func @put(%x: f32[S]) -> (all: f32[P + S]) {\n"
                            " %k = state \"k\" : f32[6]\n %runs = state \"runs\" : i64\n"
                            " %one = const {ivalue = 1} : i64\n %more = add %runs, %one : i64\n"
                            " %new = update %k, %x {start = [P]} : f32[6]\n"
                            " %all = slice %new {start = [0], step = [1]} : f32[P + S]\n"
                            " state \"k\" = %new\n state \"runs\" = %more\n return %all\n}\n"
                            "func @look() -> (k: f32[6], runs: i64) {\n"
                            " %k = state \"k\" : f32[6]\n %runs = state \"runs\" : i64\n return %k, %runs\n}\n";

static module *parse(fixture *x, const char *text)
{
    module *m = tir_parse(&x->s, text);
    if (!m) fail_msg("%s\n%s", text, tir_messages(&x->s));
    return m;
}

static bool call(fixture *x, const module *m, uint32_t entry, tensor *const *args, int64_t P)
{
    const int64_t dims[] = {0, P};
    return interp_run(m->functions.data[entry], args, dims, &x->o, x->s.a, x->s.d, x->out);
}

static void kept_between_runs(void **state)
{
    (void)state;
    fixture x = open_fixture();
    module *m = parse(&x, cache);
    x.o.states = interp_states_new(m, x.s.a);
    assert_true(call(&x, m, 1, NULL, 0));
    IS_FLOATS(x.out[0], SHAPE(6), 0, 0, 0, 0, 0, 0);
    assert_true(call(&x, m, 0, ARGS(FLOATS(DT_F32, SHAPE(3), 1, 2, 3)), 0));
    IS_FLOATS(x.out[0], SHAPE(3), 1, 2, 3);
    assert_true(call(&x, m, 0, ARGS(FLOATS(DT_F32, SHAPE(1), 4)), 3));
    IS_FLOATS(x.out[0], SHAPE(4), 1, 2, 3, 4);
    assert_true(call(&x, m, 0, ARGS(FLOATS(DT_F32, SHAPE(0), 0)), 6)); /* an empty box at the bound */
    assert_true(call(&x, m, 0, ARGS(FLOATS(DT_F32, SHAPE(2), 5, 6)), 4));
    IS_FLOATS(x.out[0], SHAPE(6), 1, 2, 3, 4, 5, 6);
    assert_true(call(&x, m, 1, NULL, 0)); /* another entry sees the same states */
    IS_FLOATS(x.out[0], SHAPE(6), 1, 2, 3, 4, 5, 6);
    IS_INTS(x.out[1], SHAPE(), 4);
    /* without a store every run begins at zeros */
    x.o.states = NULL;
    assert_true(call(&x, m, 0, ARGS(FLOATS(DT_F32, SHAPE(1), 7)), 1));
    IS_FLOATS(x.out[0], SHAPE(2), 0, 7);
    tir_close(&x.s);
}

static void a_run_that_fails_changes_nothing(void **state)
{
    (void)state;
    fixture x = open_fixture();
    module *m = parse(&x, cache);
    x.o.states = interp_states_new(m, x.s.a);
    assert_true(call(&x, m, 0, ARGS(FLOATS(DT_F32, SHAPE(2), 1, 2)), 0));
    assert_false(call(&x, m, 0, ARGS(FLOATS(DT_F32, SHAPE(3), 7, 8, 9)), 4));
    const char *want = "error: an update writes outside of 'k'\n 11 |  %new = update %k, %x {start = [P]} : f32[6]\n";
    if (!strstr(tir_messages(&x.s), want)) fail_msg("expected: %s\ngot:\n%s", want, tir_messages(&x.s));
    assert_non_null(
        strstr(tir_messages(&x.s), "expected: indices of axis 0 from 0 to 5\n       got: 3 indices from 4\n"));
    assert_true(call(&x, m, 1, NULL, 0));
    IS_FLOATS(x.out[0], SHAPE(6), 1, 2, 0, 0, 0, 0);
    IS_INTS(x.out[1], SHAPE(), 1);
    tir_close(&x.s);
}

/* Two states change places; a third is written twice, and the last value counts. */
static void together(void **state)
{
    (void)state;
    fixture x = open_fixture();
    module *m = parse(&x, "module m\nstate \"a\" : i32[2]\nstate \"b\" : i32[2]\nstate \"c\" : i32[3]\n"
                          "func @f(%x: i32[2]) -> (a: i32[2], c: i32[3]) {\n"
                          " %a = state \"a\" : i32[2]\n %b = state \"b\" : i32[2]\n %c = state \"c\" : i32[3]\n"
                          " %0 = update %c, %x {start = [0]} : i32[3]\n %1 = update %0, %x {start = [1]} : i32[3]\n"
                          " %2 = add %a, %x : i32[2]\n"
                          " state \"a\" = %b\n state \"b\" = %2\n state \"c\" = %1\n return %a, %0\n}\n");
    x.o.states = interp_states_new(m, x.s.a);
    for (int i = 0; i < 3; i++)
        assert_true(
            interp_run(m->functions.data[0], ARGS(INTS(DT_I32, SHAPE(2), 1, 10)), NULL, &x.o, x.s.a, x.s.d, x.out));
    IS_INTS(x.o.states->of[0], SHAPE(2), 1, 10);
    IS_INTS(x.o.states->of[1], SHAPE(2), 2, 20);
    IS_INTS(x.o.states->of[2], SHAPE(3), 1, 1, 10);
    IS_INTS(x.out[0], SHAPE(2), 1, 10); /* what it was at the start of the run */
    IS_INTS(x.out[1], SHAPE(3), 1, 10, 10);
    tir_close(&x.s);
}

/* What is stored has its dtype's precision, whether or not the interpreter rounds. */
static void stored_exactly(void **state)
{
    (void)state;
    fixture x = open_fixture();
    module *m = parse(&x, "module m\nstate \"s\" : f16\nfunc @f() -> (old: f16, new: f16) {\n %s = state \"s\" : f16\n"
                          " %0 = const {value = 0.1} : f16\n %1 = add %s, %0 : f16\n state \"s\" = %1\n"
                          " return %s, %1\n}\n");
    x.o.states = interp_states_new(m, x.s.a);
    for (int i = 0; i < 2; i++) assert_true(interp_run(m->functions.data[0], NULL, NULL, &x.o, x.s.a, x.s.d, x.out));
    IS_FLOATS(x.out[0], SHAPE(), dtype_round(DT_F16, 0.1));
    IS_FLOATS(x.out[1], SHAPE(), dtype_round(DT_F16, 0.1) + 0.1);
    tir_close(&x.s);
}

static void boxes(void **state)
{
    (void)state;
    fixture x = open_fixture();
    static const char text[] = "module m\ndim P input 0..5\n"
                               "func @f(%a: i32[3, 5, 2], %b: i32[2, 2, 2], %n: f32[P]) -> (y: i32[3, 5, 2]) {\n"
                               " %y = update %a, %b {start = [1, P, 0]} : i32[3, 5, 2]\n return %y\n}\n";
    tensor *a = shaped(&x, DT_I32, SHAPE(3, 5, 2)), *b = INTS(DT_I32, SHAPE(2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8);
    for (int i = 0; i < 30; i++) a->u.i[i] = 100 + i;
    for (int64_t P = 0; P <= 3; P++) {
        const tensor *y = result(&x, text, ARGS(a, b, shaped(&x, DT_F32, SHAPE(P))));
        for (int64_t i = 0; i < 3; i++)
            for (int64_t j = 0; j < 5; j++)
                for (int64_t k = 0; k < 2; k++) {
                    bool in = i >= 1 && j >= P && j < P + 2;
                    int64_t at = (i * 5 + j) * 2 + k, want = in ? b->u.i[((i - 1) * 2 + j - P) * 2 + k] : 100 + at;
                    assert_int_equal(y->u.i[at], want);
                }
    }
    assert_false(run(&x, text, ARGS(a, b, shaped(&x, DT_F32, SHAPE(4)))));
    assert_non_null(
        strstr(tir_messages(&x.s), "expected: indices of axis 1 from 0 to 4\n       got: 2 indices from 4\n"));
    /* a tensor without axes is replaced whole */
    IS_INTS(result(&x,
                   "module m\nfunc @f(%a: i32, %b: i32) -> (y: i32) {\n %y = update %a, %b {start = []} : i32\n"
                   " return %y\n}\n",
                   ARGS(INTS(DT_I32, SHAPE(), 1), INTS(DT_I32, SHAPE(), 2))),
            SHAPE(), 2);
    module *m = parse(&x, text);
    const node *n = m->functions.data[0]->first;
    axis_info info;
    node_axes(m, n, &info);
    assert_int_equal(info.n, 3);
    for (int k = 0; k < 3; k++) {
        assert_int_equal(info.role[k], AXIS_PARALLEL);
        assert_int_equal(info.operand_axis[0][k], k);
        assert_int_equal(info.operand_axis[1][k], k == 2 ? 2 : -1); /* the axis that the box spans */
    }
    node_cost c = node_cost_at(m, n, (int64_t[]){2});
    assert_true(c.bytes_read == 32 && c.bytes_written == 32 && c.flops == 0);
    tir_close(&x.s);
}

/* ---- uses ---- */

static void uses_of_states(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(&s, cache);
    function *put = m->functions.data[0], *look = m->functions.data[1];
    state_var *k = module_find_state(m, "k");
    assert_ptr_equal(module_state(m, "k", k->ty, (span){0}), k);
    assert_null(module_find_state(m, "x"));
    assert_ptr_equal(k, put->states.data[0].s);
    assert_ptr_equal(k, look->states.data[0].s);
    value *in = function_state(put, k), *out = put->states.data[0].out;
    assert_ptr_equal(function_state(put, k), in);
    assert_ptr_equal(in->fn, put);
    assert_null(in->def);
    assert_true(value_is_output(out));
    assert_int_equal(value_use_count(in), 1);
    assert_int_equal(value_use_count(out), 2);                     /* the slice, and the state */
    assert_int_equal(value_use_count(function_state(look, k)), 2); /* the result, and the state that stays */
    value_replace(put, out, in);
    assert_ptr_equal(put->states.data[0].out, in);
    assert_true(module_verify(m, s.d));
    function_set_state(put, k, out);
    assert_true(module_verify(m, s.d));
    assert_int_equal(value_use_count(out), 1);

    module *copy = module_clone(m, s.a);
    assert_true(module_verify(copy, s.d));
    assert_string_equal(tir_text(&s, copy), tir_text(&s, m));
    assert_ptr_equal(copy->functions.data[0]->states.data[0].s, copy->states.data[0]);
    assert_ptr_not_equal(copy->states.data[0], m->states.data[0]);

    /* broken invariants are seen */
    put->states.data[0].out = in;
    assert_false(module_verify(m, s.d));
    put->states.data[0].out = put->args.data[0].v;
    assert_false(module_verify(m, s.d));
    assert_non_null(strstr(tir_messages(&s), "state \"k\" becomes another type"));
    put->states.data[0].out = out;
    assert_true(module_verify(m, s.d));
    put->states.data[1].s = k;
    assert_false(module_verify(m, s.d));
    assert_non_null(strstr(tir_messages(&s), "state \"k\" is threaded twice"));
    put->states.data[1].s = copy->states.data[1];
    tir_forget(&s);
    assert_false(module_verify(m, s.d));
    assert_non_null(strstr(tir_messages(&s), "state 1 is not in the module"));
    put->states.data[1].s = m->states.data[1];
    m->states.data[1]->path = k->path;
    tir_forget(&s);
    assert_false(module_verify(m, s.d));
    assert_non_null(strstr(tir_messages(&s), "two states are named \"k\""));
    tir_close(&s);
}

static void mistakes(void **state)
{
    (void)state;
#define F(body) "module m\nstate \"s\" : f32[2]\nfunc @f(%x: f32[2], %y: f32[3]) -> () {\n" body "\n return\n}\n"
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"module m\nstate \"s\" : f32[2]\nstate \"s\" : f32[2]", "state \"s\" is declared twice"},
        {"module m\nstate s : f32[2]", "expected the state's path in quotes"},
        {"module m\ndim B input 1..4\nstate \"s\" : f32[B]", "the sizes of a state are constants"},
        {"module m\nstate \"s\" : f32[4000000000, 4000000000]", "the state is too large"},
        {"module m\nstate \"s\" : f32[4, 4]{panel 4}", "a state is not encoded"},
        {F(" %s = state \"t\" : f32[2]"), "no state \"t\" is declared"},
        {F(" %s = state \"s\" : f32[3]"), "state \"s\" is f32[2]"},
        {F(" %s = state \"s\" : f32[2]\n %t = state \"s\" : f32[2]"), "state \"s\" has a value already"},
        {F(" %x = state \"s\" : f32[2]"), "%x is defined twice"},
        {F(" state \"s\" = %x"), "the function has no state \"s\""},
        {F(" %s = state \"s\" : f32[2]\n state \"s\" = %y"), "state \"s\" is f32[2]"},
        {F(" %s = state \"s\" : f32[2]\n state \"s\" = %z"), "%z is not defined"},
        {F(" %s = state \"s\" : f32[2]\n state \"s\" = %x\n state \"s\" = %x"), "state \"s\" is set twice"},
        {F(" %0 = update %x, %y {start = [0]} : f32[2]"), "axis 0 of size 2 is written up to 3"},
        {F(" %0 = update %y, %x {start = [2]} : f32[3]"), "axis 0 of size 3 is written up to 4"},
        {F(" %0 = update %y, %x {start = [-1]} : f32[3]"), "axis 0 starts at -1, before 0"},
        {F(" %0 = update %y, %x {start = [0, 0]} : f32[3]"), "start needs one entry for each of 1 axes"},
        {F(" %0 = cast %x : f16[2]\n %1 = update %y, %0 {start = [0]} : f32[3]"), "f16[2] cannot be put into f32[3]"},
        {F(" %0 = update %y, %x {start = [0]} : f32[2]"), "the result of update is f32[3]"},
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

/* ---- the file ---- */

static void file(void **state)
{
    (void)state;
    fixture x = open_fixture();
    char dir[] = "/tmp/tfxc-states-XXXXXX";
    assert_non_null(mkdtemp(dir));
    const char *path = arena_printf(x.s.a, "%s/s.npz", dir);
    module *m = parse(&x, "module m\nstate \"a.b\" : bf16[2, 1]\nstate \"n\" : i64\nstate \"none\" : f32[0]\n");
    interp_states *s = interp_states_new(m, x.s.a), *t = interp_states_new(m, x.s.a);
    assert_true(states_read(path, m, s, x.s.a, x.s.d)); /* no file: zeros */
    s->of[0]->u.f[0] = 1.5;
    s->of[0]->u.f[1] = -INFINITY;
    s->of[1]->u.i[0] = INT64_MIN;
    assert_true(states_write(path, m, s, x.s.a, x.s.d));
    assert_true(states_write(path, m, s, x.s.a, x.s.d)); /* over the old one */
    assert_true(states_read(path, m, t, x.s.a, x.s.d));
    IS_FLOATS(t->of[0], SHAPE(2, 1), 1.5, -INFINITY);
    IS_INTS(t->of[1], SHAPE(), INT64_MIN);

    /* states that the file lacks are left alone, others' types are looked at */
    module *other = parse(&x, "module m\nstate \"n\" : i64\nstate \"more\" : f32[1]\nstate \"a.b\" : bf16[2]\n");
    interp_states *o = interp_states_new(other, x.s.a);
    assert_false(states_read(path, other, o, x.s.a, x.s.d));
    const char *messages = tir_messages(&x.s);
    assert_non_null(strstr(messages, "s.npz: error: the array of state 'a.b' has the wrong type\n  expected: bf16[2]\n"
                                     "       got: raw16[2, 1]\n"));
    assert_non_null(strstr(messages, "s.npz: error: the model has no state 'none'\n"));
    tir_forget(&x.s);
    assert_false(states_read(dir, m, t, x.s.a, x.s.d));
    assert_non_null(strstr(tir_messages(&x.s), "is no regular file, so it cannot hold states"));
    tir_forget(&x.s);
    assert_false(states_write(arena_printf(x.s.a, "%s/none/s.npz", dir), m, s, x.s.a, x.s.d));
    assert_non_null(strstr(tir_messages(&x.s), "none/s.npz: error: cannot write: No such file or directory\n"));
    /* a file that is damaged is said to be, and nothing is left beside it */
    FILE *f = fopen(path, "w");
    fputs("PK", f);
    fclose(f);
    assert_false(states_read(path, m, t, x.s.a, x.s.d));
    IS_INTS(t->of[1], SHAPE(), INT64_MIN);
    unlink(path);
    assert_int_equal(rmdir(dir), 0);
    tir_close(&x.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_between_runs),
        cmocka_unit_test(a_run_that_fails_changes_nothing),
        cmocka_unit_test(together),
        cmocka_unit_test(stored_exactly),
        cmocka_unit_test(boxes),
        cmocka_unit_test(uses_of_states),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
