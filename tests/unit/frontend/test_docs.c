/* Documentation: which lines belong together, and to what. */
#include "frontend/ast.h"

#include "front.h"
#include "support/ast_text.h"
#include "unit/cmocka_all.h"

static ast_file *parse(front *f, const char *text)
{
    ast_session s = {f->a, f->names, f->d};
    ast_file *file = ast_parse(&s, source_add(f->sources, "a.tfx", "a.tfx", text, strlen(text)));
    if (file->failed) fail_msg("%s", front_messages(f));
    return file;
}

/* The documentation of the constant that the text ends with; and how many warnings there are. */
static void check_const(const char *before, const char *doc, uint32_t warnings)
{
    front f = front_open();
    ast_file *file = parse(&f, arena_printf(f.a, "%sconst x = 1", before));
    const char *got = vec_last(&file->decls)->doc;
    if (!doc) assert_null(got);
    else if (!got || strcmp(got, doc) != 0) fail_msg("%s: '%s' expected, got '%s'", before, doc, got ? got : "(none)");
    assert_int_equal(diags_warnings(f.d), warnings);
    front_close(&f);
}

static void lines(void **state)
{
    (void)state;
    check_const("", NULL, 0);
    check_const("// a\n", NULL, 0);
    check_const("//// a\n", NULL, 0);
    check_const("/// a\n", "a", 0);
    check_const("///a\n", "a", 0);
    check_const("///   a  \t\n", "  a", 0);
    check_const("/// a\r\n/// b\r\n", "a\nb", 0);
    check_const("  /// a\n\t/// b\n", "a\nb", 0);
    check_const("/// a\n///\n/// b\n", "a\n\nb", 0);
    check_const("///\n/// a\n///\n", "a", 0);
    check_const("///\n", NULL, 0);
    check_const("/// a\n// c\n/// b\n//// d\n", "a\nb", 0);
    check_const("/// a\n\n/// b\n", "b", 1);
    check_const("/// a\n// c\n\n/// b\n", "b", 1);
    check_const("/// a\n\n", NULL, 1);
    check_const("/// a\n \r\n", NULL, 1);
    check_const("/// a\n/// b\n\n// c\n", NULL, 1);
    check_const("/// a\x01"
                "b\x7F\xC3\xA9\n",
                "a b \xC3\xA9", 0);
    check_const("/// a \"b\" /* c */ // d\n", "a \"b\" /* c */ // d", 0);
    check_const("const y = 2 /// a\n", NULL, 1);
    check_const("const y = 2 /// a\n/// b\n", "b", 1);
    check_const("const y = [ /// a\n1]\n", NULL, 1);
    check_const("import /// a\n\"x\" as y ", NULL, 1);
}

static void places(void **state)
{
    (void)state;
    front f = front_open();
    ast_file *file =
        parse(&f, "/// 1\nconst c = 1\n"
                  "/// 2\nblock b(/// 3\nx: f32, /// no\n/// 4\nn: int = 1) -> (/// 5\nf32,\n/// 6\ny: f32) { /// 7\n"
                  "  param w: f32\n  /// 8\n  state s: f32\n  /// 9\n  point p = x\n  /// 10\n  const d = 1\n"
                  "  if a {/// 11\n param v: f32 }\n  return x }\n"
                  "/// 12\nmodel m {\n  /// 13\n  entry e() -> \n/// 14\nf32 { return 1 }\n  /// 15\n"
                  "  block q() -> f32 { return 1 }\n  /// 16\n  const e = 2 }\n"
                  "/// 17\nmodel n() -> f32 { return 1 }\n");
    strbuf b = strbuf_new(f.a);
    ast_text(file, &b);
    const char *at = b.s;
    for (int i = 1; i <= 17; i++) { /* every one, and in this order */
        const char *doc = strstr(at, arena_printf(f.a, "{/// %d} ", i));
        if (!doc) fail_msg("documentation %d is lost or misplaced:\n%s", i, b.s);
        at = doc + 1;
    }
    assert_null(strstr(at + 1, "{///"));
    assert_int_equal(diags_warnings(f.d), 1);
    front_close(&f);
}

/* What is worth a warning once is worth it a few times, not for each line of a file. */
static void warnings_end(void **state)
{
    (void)state;
    front f = front_open();
    strbuf b = strbuf_new(f.a);
    for (int i = 0; i < 1000; i++) strbuf_adds(&b, "/// a\n\n");
    parse(&f, b.s);
    assert_int_equal(diags_warnings(f.d), 20);
    front_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(places),
        cmocka_unit_test(warnings_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
