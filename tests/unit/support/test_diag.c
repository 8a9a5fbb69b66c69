#include "support/diag.h"

#include "unit/cmocka_all.h"

typedef struct {
    arena *a;
    source_set *sources;
    diags *d;
} fixture;

static fixture fresh(uint32_t limit)
{
    fixture f = {.a = arena_new(NULL, NULL)};
    f.sources = source_set_new(f.a);
    f.d = diags_new(f.a, f.sources, limit);
    return f;
}

static const source_file *add(fixture *f, const char *name, const char *text)
{
    return source_add(f->sources, name, name, text, strlen(text));
}

/* Where `what` first stands in the file; its end when what is "". */
static span find(const source_file *f, const char *what)
{
    const char *at = *what ? strstr(f->text, what) : f->text + f->size;
    assert_non_null(at);
    srcpos begin = f->base + (srcpos)(at - f->text);
    return (span){begin, begin + (srcpos)strlen(what)};
}

static void assert_rendered(fixture *f, const char *expected)
{
    strbuf b = strbuf_new(f->a);
    diags_render_text(f->d, &b);
    assert_string_equal(b.s, expected);
}

/* The four shapes of message that docs/language.md shows. */
static void test_expected_and_got(void **state)
{
    (void)state;
    fixture f = fresh(0);
    const source_file *s =
        add(&f, "a.tfx", "\n\n\n\n\n\n\n\n  x = bert.layer(x, mask, heads = 12, hidden = 1536)\n}\n");
    diag *g = diag_error(f.d, find(s, "mask"), "argument '%s' of '%s' has the wrong type", "mask", "bert.layer");
    diag_expected(g, "bool[B, S]   (B, S from argument 'x')");
    diag_got(g, "i64[B, S]");
    diag_hint(g, "write 'mask != 0'");
    assert_rendered(&f, "a.tfx:9:21: error: argument 'mask' of 'bert.layer' has the wrong type\n"
                        "  9 |   x = bert.layer(x, mask, heads = 12, hidden = 1536)\n"
                        "    |                     ^~~~\n"
                        "  expected: bool[B, S]   (B, S from argument 'x')\n"
                        "       got: i64[B, S]\n"
                        "  hint: write 'mask != 0'\n");
    arena_free(f.a);
}

static void test_two_underlines(void **state)
{
    (void)state;
    fixture f = fresh(0);
    const source_file *s = add(&f, "a.tfx", "\n\n\n\n\n\n\n\n\n\n\n  let y = s + m\n");
    span at = find(s, "+");
    diag *g = diag_error(f.d, at, "cannot show that dims S and S + P are equal");
    diag_underline(g, (span){at.begin - 2, at.begin - 1});
    diag_underline(g, (span){at.begin + 2, at.begin + 3});
    diag_line(g, "left", "f32[B, S, S]");
    diag_line(g, "right", "f32[B, S, S + P]");
    diag_note(g, "equal only if P == 0; 0 <= P <= 4095");
    diag_hint(g, "slice the right side, or add 'require P == 0'");
    assert_rendered(&f, "a.tfx:12:13: error: cannot show that dims S and S + P are equal\n"
                        " 12 |   let y = s + m\n"
                        "    |           ~ ^ ~\n"
                        "  left:  f32[B, S, S]\n"
                        "  right: f32[B, S, S + P]\n"
                        "  note: equal only if P == 0; 0 <= P <= 4095\n"
                        "  hint: slice the right side, or add 'require P == 0'\n");
    arena_free(f.a);
}

static void test_runs_of_labels(void **state)
{
    (void)state;
    fixture f = fresh(0);
    const source_file *s = add(&f, "a.tfx", "x");
    diag *g = diag_error(f.d, find(s, "x"), "m");
    diag_got(g, "alone"); /* no run: no padding */
    diag_note(g, "first\nsecond");
    diag_expected(g, "one\ntwo");
    diag_got(g, "three");
    diag_line(g, "a long label", "%s", "value\nmore");
    diag_line(g, "l", "v");
    diag_hint(g, "ends in a newline\n");
    assert_rendered(&f, "a.tfx:1:1: error: m\n"
                        "  1 | x\n"
                        "    | ^\n"
                        "  got: alone\n"
                        "  note: first\n"
                        "        second\n"
                        "  expected: one\n"
                        "            two\n"
                        "       got: three\n"
                        "  a long label: value\n"
                        "                more\n"
                        "  l:            v\n"
                        "  hint: ends in a newline\n");
    arena_free(f.a);
}

static void test_tabs_and_utf8(void **state)
{
    (void)state;
    fixture f = fresh(0);
    const source_file *s = add(&f, "t.tfx", "\tlet\tx = \"h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\" + y\n");
    diag_error(f.d, find(s, "y"), "tab stops are 8 columns");
    diag_error(f.d, find(s, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "a code point is one column");
    diag_error(f.d, find(s, "\tx"), "the caret is on a tab");
    diag_error(f.d, find(s, "let\tx"), "tildes run through a tab");
    assert_rendered(&f, "t.tfx:1:2: error: tildes run through a tab\n"
                        "  1 |         let     x = \"h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\" + y\n"
                        "    |         ^~~~~~~~~\n"
                        "t.tfx:1:5: error: the caret is on a tab\n"
                        "  1 |         let     x = \"h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\" + y\n"
                        "    |            ^    ~\n"
                        "t.tfx:1:12: error: a code point is one column\n"
                        "  1 |         let     x = \"h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\" + y\n"
                        "    |                       ^~~\n"
                        "t.tfx:1:25: error: tab stops are 8 columns\n"
                        "  1 |         let     x = \"h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\" + y\n"
                        "    |                              ^\n");
    arena_free(f.a);
}

/* What could drive a terminal, and bytes that are no text, are shown as '?'. */
static void test_hostile_bytes(void **state)
{
    (void)state;
    fixture f = fresh(0);
    const source_file *s = add(&f, "h", "a\x1b[31m\x7f \xc0\xaf \xed\xa0\x80 \xff \xe2\x82 \xf5\x80\x80\x80 end");
    diag_error(f.d, find(s, "end"), "here");
    assert_rendered(&f, "h:1:26: error: here\n"
                        "  1 | a?[31m? ?? ??? ? ?? ???? end\n"
                        "    |                          ^~~\n");
    arena_free(f.a);
}

static void test_spans(void **state)
{
    (void)state;
    fixture f = fresh(0);
    const source_file *s = add(&f, "s", "block {\n  one\n  two\n}\n\nlast");
    diag_error(f.d, find(s, "one\n  two"), "over two lines");
    diag_error(f.d, (span){find(s, "{").begin, find(s, "{").begin}, "empty span");
    diag_error(f.d, (span){find(s, "{").begin + 1, find(s, "{").begin + 2}, "at the newline");
    diag_error(f.d, (span){find(s, "last").begin - 1, find(s, "last").begin}, "on an empty line");
    diag_error(f.d, find(s, ""), "at the end");
    diag *g = diag_error(f.d, find(s, "last"), "underline on another line");
    diag_underline(g, find(s, "one"));
    assert_rendered(&f, "s:1:7: error: empty span\n"
                        "  1 | block {\n"
                        "    |       ^\n"
                        "s:1:8: error: at the newline\n"
                        "  1 | block {\n"
                        "    |        ^\n"
                        "s:2:3: error: over two lines\n"
                        "  2 |   one\n"
                        "    |   ^~~\n"
                        "s:5:1: error: on an empty line\n"
                        "  5 |\n"
                        "    | ^\n"
                        "s:6:1: error: underline on another line\n"
                        "  6 | last\n"
                        "    | ^~~~\n"
                        "s:6:5: error: at the end\n"
                        "  6 | last\n"
                        "    |     ^\n");
    arena_free(f.a);
}

static void test_end_of_file_after_newline(void **state)
{
    (void)state;
    fixture f = fresh(0);
    diag_error(f.d, find(add(&f, "n", "model\r\n"), ""), "expected '{'");
    diag_error(f.d, find(add(&f, "e", ""), ""), "empty file");
    assert_rendered(&f, "n:2:1: error: expected '{'\n"
                        "  2 |\n"
                        "    | ^\n"
                        "e:1:1: error: empty file\n"
                        "  1 |\n"
                        "    | ^\n");
    arena_free(f.a);
}

static void test_wide_line_numbers(void **state)
{
    (void)state;
    fixture f = fresh(0);
    strbuf text = strbuf_new(f.a);
    strbuf_pad(&text, 12344, '\n');
    strbuf_adds(&text, "x y");
    const source_file *s = add(&f, "w", text.s);
    diag_warning(f.d, find(s, "y"), "m");
    assert_rendered(&f, "w:12345:3: warning: m\n"
                        "12345 | x y\n"
                        "      |   ^\n");
    arena_free(f.a);
}

static void test_order_and_repeats(void **state)
{
    (void)state;
    fixture f = fresh(0);
    const source_file *s = add(&f, "a", "x y"), *t = add(&f, "b", "z");
    span none = {0, 0};
    diag_in_file(diag_error(f.d, none, "lost"), "w.safetensors");
    diag_add(f.d, DIAG_REMARK, find(t, "z"), "remark");
    diag_error(f.d, find(s, "y"), "second");
    diag_error(f.d, find(s, "x"), "first");
    diag_error(f.d, find(s, "y"), "second, added later");
    diag *repeat = diag_error(f.d, find(s, "y"), "second");
    assert_non_null(repeat);
    diag_hint(repeat, "not seen");
    diag_warning(f.d, find(s, "y"), "second"); /* another severity is another message */
    diag_in_file(diag_error(f.d, none, "lost"), "w.safetensors");
    diag_in_file(diag_error(f.d, none, "lost"), "v.safetensors");
    diag_error(f.d, none, "lost");
    assert_rendered(&f, "a:1:1: error: first\n"
                        "  1 | x y\n"
                        "    | ^\n"
                        "a:1:3: error: second\n"
                        "  1 | x y\n"
                        "    |   ^\n"
                        "a:1:3: error: second, added later\n"
                        "  1 | x y\n"
                        "    |   ^\n"
                        "a:1:3: warning: second\n"
                        "  1 | x y\n"
                        "    |   ^\n"
                        "b:1:1: remark: remark\n"
                        "  1 | z\n"
                        "    | ^\n"
                        "w.safetensors: error: lost\n"
                        "v.safetensors: error: lost\n"
                        "tfxc: error: lost\n");
    assert_int_equal(diags_errors(f.d), 7);
    assert_int_equal(diags_warnings(f.d), 1);
    arena_free(f.a);
}

static void test_limit(void **state)
{
    (void)state;
    fixture f = fresh(2);
    const source_file *s = add(&f, "a", "pqrst");
    assert_false(diags_full(f.d));
    for (const char *c = "pppq"; *c; c++) diag_error(f.d, find(s, (char[]){*c, 0}), "e"); /* repeats are free */
    assert_true(diags_full(f.d));
    diag_warning(f.d, find(s, "t"), "warnings are not limited");
    diag *g = diag_error(f.d, find(s, "r"), "hidden");
    diag_code(g, "overflow");
    assert_rendered(&f, "a:1:1: error: e\n  1 | pqrst\n    | ^\n"
                        "a:1:2: error: e\n  1 | pqrst\n    |  ^\n"
                        "a:1:5: warning: warnings are not limited\n  1 | pqrst\n    |     ^\n"
                        "1 more error is not shown\n");
    diag_error(f.d, find(s, "s"), "hidden too");
    assert_int_equal(diags_errors(f.d), 4);
    strbuf b = strbuf_new(f.a);
    diags_render_text(f.d, &b);
    assert_non_null(strstr(b.s, "2 more errors are not shown\n"));
    arena_free(f.a);

    f = fresh(0);
    s = add(&f, "a", "0123456789012345678901234567890123456789");
    for (srcpos i = 0; i < 20; i++) {
        assert_false(diags_full(f.d));
        diag_error(f.d, (span){s->base + i, s->base + i + 1}, "e");
    }
    assert_true(diags_full(f.d));
    arena_free(f.a);
}

static void test_json(void **state)
{
    (void)state;
    fixture f = fresh(0);
    strbuf empty = strbuf_new(f.a);
    diags_render_json(f.d, &empty);
    assert_string_equal(empty.s, "[]\n");

    const source_file *s = add(&f, "a \"b\".tfx", "let \xc3\xa9 = 1\nlet y = 2");
    diag *g = diag_error(f.d, find(s, "1\nlet"), "tab\t quote\" back\\ bell\a bad\xff \xe2\x82\xac");
    diag_code(g, "dims-not-equal");
    diag_expected(g, "one\ntwo");
    diag_got(g, "three");
    diag_in_file(diag_warning(f.d, (span){0, 0}, "unused"), "w.safetensors");
    diag_add(f.d, DIAG_REMARK, (span){s->base + s->size, s->base + s->size + 9}, "end");
    strbuf b = strbuf_new(f.a);
    diags_render_json(f.d, &b);
    assert_string_equal(
        b.s, "[\n {\"severity\": \"error\", \"code\": \"dims-not-equal\", "
             "\"message\": \"tab\\t quote\\\" back\\\\ bell\\u0007 bad\\ufffd \xe2\x82\xac\", \"file\": \"a "
             "\\\"b\\\".tfx\", "
             "\"line\": 1, \"column\": 10, \"end_line\": 2, \"end_column\": 4, "
             "\"underlines\": [], \"lines\": [{\"label\": \"expected\", \"text\": \"one\\ntwo\"}, {\"label\": \"got\", "
             "\"text\": \"three\"}]},\n"
             " {\"severity\": \"remark\", \"code\": null, \"message\": \"end\", \"file\": \"a \\\"b\\\".tfx\", "
             "\"line\": 2, \"column\": 10, \"end_line\": 2, \"end_column\": 10, \"underlines\": [], \"lines\": []},\n"
             " {\"severity\": \"warning\", \"code\": null, \"message\": \"unused\", \"file\": \"w.safetensors\", "
             "\"line\": null, \"column\": null, \"end_line\": null, \"end_column\": null, \"underlines\": [], "
             "\"lines\": []}\n]\n");
    arena_free(f.a);
}

static void test_places(void **state)
{
    (void)state;
    fixture f = fresh(0);
    const source_file *s = add(&f, "std/bert.tfx", "\n\n  let x");
    assert_string_equal(diag_place(f.d, find(s, "let")), "std/bert.tfx:3:3");
    assert_string_equal(diag_place(f.d, (span){0, 0}), "<built in>");
    arena_free(f.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expected_and_got),
        cmocka_unit_test(test_two_underlines),
        cmocka_unit_test(test_runs_of_labels),
        cmocka_unit_test(test_tabs_and_utf8),
        cmocka_unit_test(test_hostile_bytes),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_end_of_file_after_newline),
        cmocka_unit_test(test_wide_line_numbers),
        cmocka_unit_test(test_order_and_repeats),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
