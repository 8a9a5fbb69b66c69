/* Files of schedules: their text and its mistakes. That whatever they may say lowers to right kernels is in test_lower.
 */
#include "codegen/tuned.h"
#include "unit/codegen/session.h"

#include "unit/cmocka_all.h"

static tuned *read_text(session *s, const char *text)
{
    return tuned_parse(s->a, s->names, s->d, source_add(s->sources, "t", "t", text, strlen(text)));
}

#define HEAD "schedules version 1\n"
#define KEY "matmul weights f32 sums f32 n 768 k 3072 vectors 256 x 16 = "
#define REST "rows 6 cols 16 wide 4 depth 192 chunk 8 group 64 level 2"

static void test_text(void **state)
{
    (void)state;
    session s = session_new();
    tuned *t =
        read_text(&s, HEAD KEY REST " // fast\n"
                                    "matmul weights bf16 sums f32 n 10 k 7 vectors 512 x 32 = rows 14 cols 32 wide 0 "
                                    "depth 8 chunk 1 group 32 level 0\n"
                                    "matmul weights f32 sums f32 n 32 k 64\n vectors 256 x 16 = " REST);
    assert_non_null(t);
    strbuf b = strbuf_new(s.a);
    tuned_print(t, &b);
    assert_string_equal(b.s, HEAD "matmul weights f32 sums f32 n 32 k 64 vectors 256 x 16 = " REST "\n" KEY REST "\n"
                                  "matmul weights bf16 sums f32 n 10 k 7 vectors 512 x 32 = rows 14 cols 32 wide 0 "
                                  "depth 8 chunk 1 group 32 level 0\n");
    strbuf again = strbuf_new(s.a);
    tuned_print(read_text(&s, b.s), &again);
    assert_string_equal(again.s, b.s);
    strbuf none = strbuf_new(s.a);
    tuned_print(read_text(&s, HEAD), &none);
    assert_string_equal(none.s, HEAD);
    session_free(&s);
}

static void test_table(void **state)
{
    (void)state;
    session s = session_new();
    tuned *t = read_text(&s, HEAD KEY REST);
    lower_target target = {.vector_floats = 8, .registers = 16, .tuned = t};
    machine m = machine_default(s.a, "", 256, 16);
    target.machine = &m;
    matmul_shape shape = {.weights = DT_F32, .sums = DT_F32, .n = 768, .k = 3072, .kernel = "k"};
    assert_int_equal(matmul_schedule_for(&target, &shape).depth, 192);
    assert_true(t->lines.data[0].used && t->uses.len == 1);
    shape.k = 3071; /* another shape, and another machine: by rule */
    target.tuned = NULL;
    matmul_schedule rule = matmul_schedule_for(&target, &shape);
    target.tuned = t;
    matmul_schedule got = matmul_schedule_for(&target, &shape);
    assert_memory_equal(&got, &rule, sizeof rule);
    shape.k = 3072;
    target.registers = 32;
    assert_true(matmul_schedule_for(&target, &shape).depth != 192);
    tuned_line line = t->lines.data[0];
    line.schedule.depth = 64;
    tuned_put(t, &line);
    line.registers = 32;
    tuned_put(t, &line);
    assert_true(t->lines.len == 2 && t->lines.data[0].schedule.depth == 64);
    session_free(&s);
}

static void test_unused(void **state)
{
    (void)state;
    session s = session_new();
    tuned *t = read_text(&s, HEAD KEY REST "\nmatmul weights f32 sums f32 n 768 k 3072 vectors 512 x 32 = " REST);
    lower_target target = {.vector_floats = 8, .registers = 16, .tuned = t};
    tuned_report_unused(t, &target, s.d);
    assert_string_equal(session_diags(&s), "t:2:1: remark: the model has no such matmul: this line is not used\n"
                                           "  2 | " KEY REST "\n"
                                           "    | ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~\n");
    session_free(&s);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "t:1:1: error: expected 'schedules'"},
        {"schedules version 2", "no kernel has this many 'version'"},
        {HEAD "conv n 3", "t:2:1: error: expected 'matmul'"},
        {HEAD "matmul weights f33", "unknown dtype 'f33'"},
        {HEAD "matmul weights i32", "matmuls are of floats"},
        {HEAD "matmul weights f32 sums f32 n 0", "no kernel has this many 'n'"},
        {HEAD "matmul weights f32 sums f32 n 99999999999999999999", "does not fit in 64 bits"},
        {HEAD "matmul weights f32 sums f32 n 1 k 1 vectors 200 x 16", "expected: a multiple of 128 from 128 to 2048"},
        {HEAD "matmul weights f32 sums f32 n 1 k 1 vectors 256 x 16 rows", "expected '='"},
        {HEAD KEY "rows 33", "expected: 1 to 32"},
        {HEAD KEY "rows 0", "got: 0"},
        {HEAD KEY "rows -1", "got: -1"},
        {HEAD KEY "rows 6 cols 12 wide 4 depth 192 chunk 8 group 64 level 2", "the columns do not divide 32"},
        {HEAD KEY "rows 6 cols 64", "expected: a multiple of 4 from 4 to 32"},
        {HEAD KEY "rows 12 cols 32 wide 4 depth 8 chunk 8 group 64 level 2",
         "the sums of a tile do not fit the registers"},
        {HEAD KEY "rows 6 cols 16 wide 4 depth 100", "expected: a multiple of 8 from 8 to 1048576"},
        {HEAD KEY "rows 6 cols 16 wide 17", "expected: 0 to 16"},
        {HEAD KEY "rows 6 cols 16 wide 4 depth 8 chunk 0", "no kernel has this many 'chunk'"},
        {HEAD KEY "rows 6 cols 16 wide 4 depth 8 chunk 8 group 64 level 3", "expected: 0 to 2"},
        {HEAD KEY "cols 6", "expected 'rows'"},
        {HEAD KEY "rows 6 cols 16 wide 4 depth 8", "expected 'chunk'"},
        {HEAD KEY REST "\n" KEY REST, "t:3:1: error: this shape stands twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        session s = session_new();
        assert_null(read_text(&s, cases[i].text));
        if (!strstr(session_diags(&s), cases[i].message)) fail_msg("'%s' says: %s", cases[i].text, session_diags(&s));
        session_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_unused),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
