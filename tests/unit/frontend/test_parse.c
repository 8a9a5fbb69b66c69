/* The scanner and the parser: structure, spans, limits, recovery. Messages are pinned in tests/diag. */
#include "frontend/ast.h"

#include <stdio.h>

#include "front.h"
#include "support/ast_text.h"
#include "unit/cmocka_all.h"

static ast_file *parse_n(front *f, const char *text, size_t n)
{
    ast_session s = {f->a, f->names, f->d};
    const source_file *src = source_add(f->sources, "a.tfx", "a.tfx", text, n);
    assert_non_null(src);
    return ast_parse(&s, src);
}

static ast_file *parse(front *f, const char *text)
{
    return parse_n(f, text, strlen(text));
}

static void check_expr(const char *text, const char *expected)
{
    front f = front_open();
    ast_file *file = parse(&f, arena_printf(f.a, "const x = %s", text));
    if (file->failed) fail_msg("%s", front_messages(&f));
    strbuf b = strbuf_new(f.a);
    ast_text_expr(file->decls.data[0]->value, &b);
    assert_string_equal(b.s, expected);
    front_close(&f);
}

static void expressions(void **state)
{
    (void)state;
    check_expr("a or b and not c == d", "(a or (b and (not (c == d))))");
    check_expr("a - b - c", "((a - b) - c)");
    check_expr("a + b * c % d / e", "(a + (((b * c) % d) / e))");
    check_expr("-a * -b", "((- a) * (- b))");
    check_expr("- - a.b", "(- (- a.b))");
    check_expr("-f(x)[0]", "(- f(x)[0])");
    check_expr("(a + b) * c", "((a + b) * c)");
    check_expr("not a < b", "(not (a < b))");
    check_expr("m.f(x, k = 1 + 2) @ \"p.{l}\"", "m.f(x, k = (1 + 2))@'p.{l}'");
    check_expr("x + f(y) @ \"a\" * 2", "(x + (f(y)@'a' * 2))");
    check_expr("f(x) @ \"a\"[0]", "f(x)@'a'[0]");
    check_expr("x[:, 0, 1..n + 1, ...]", "x[:, 0, 1..(n + 1), ...]");
    check_expr("x[0..6]", "x[0..6]");
    check_expr("[1, 2.5, 1e-12, 5e5]", "[1, 2.5, 1e-12, 500000.0]");
    check_expr("[i: S, j: P + S | j <= i]", "[i: S, j: (P + S) | (j <= i)]");
    check_expr("[i]", "[i]");
    check_expr("\"x\"[0..2]", "'x'[0..2]");
    check_expr("9223372036854775807", "9223372036854775807");
    check_expr("007", "7");
    check_expr("true and false", "(true and false)");
    check_expr("f()", "f()");
    check_expr("a // comment with \xC3\xA9\n + b", "(a + b)");
}

static void spans(void **state)
{
    (void)state;
    front f = front_open();
    const char *text = "const x = a + f(b) @ \"p\"\n";
    ast_file *file = parse(&f, text);
    const ast_expr *e = file->decls.data[0]->value;
    uint32_t base = file->source->base;
    assert_int_equal(e->at.begin - base, 10);
    assert_int_equal(e->at.end - base, 24);
    assert_int_equal(e->op.op_at.begin - base, 12);
    const ast_expr *call = e->op.right;
    assert_int_equal(call->at.begin - base, 14);
    assert_int_equal(call->call.callee->at.end - base, 15);
    assert_int_equal(call->call.path.at.begin - base, 21);
    assert_int_equal(call->call.path.at.end - base, 24);
    front_close(&f);
}

/* Every construct of the grammar, once. */
static void whole_language(void **state)
{
    (void)state;
    front f = front_open();
    ast_file *file =
        parse(&f, "import \"std/x.tfx\" as x\n"
                  "const C = 1\n"
                  "block b(x: T[..., K], n: int = K) -> (a: T[K], f32) where K > 1, n < 3 {\n"
                  "  param w: T[n] @ \"w\" state k: T[2] @ \"k\" state l: T[2]\n"
                  "  const D = 2 let a, c = f(x) point p = a\n"
                  "  k[:, 0..2] = a a = c\n"
                  "  for i in 0..3 { scope \"s{i}\" { if i == 0 { a = c } else if i == 1 { } else { } } }\n"
                  "  let y, last = scan t: 4 carry h = a, g = c { yield h, g }\n"
                  "  require a == 1, true return a, c }\n"
                  "model m where B <= 4 weights \"w\" map \"a.*\" = transpose(\"b.*\"[0..2]) ignore \"c\", \"d\" {\n"
                  "  block q(x: f32) -> f32 { return x } const E = 3\n"
                  "  entry one(x: f32[B, 3]) -> y: f32 where B > 1 { return x }\n"
                  "  entry two() -> f32 { return C } }\n"
                  "model n(x: bool[2], P: dim) -> y: bool[2] { return x }\n"
                  "optimize m { merge after \"a.*:p\" (r = 8, 2) expect 12 keep in \"q\" drop linear before \"x\" }\n");
    if (file->failed) fail_msg("%s", front_messages(&f));
    assert_int_equal(file->decls.len, 6);
    const ast_decl *b = file->decls.data[2], *m = file->decls.data[3], *o = file->decls.data[5];
    assert_int_equal(b->code.body.stmts.len, 12);
    assert_int_equal(b->code.where.len, 2);
    assert_int_equal(b->code.sig.results.len, 2);
    assert_false(m->code.sig.present);
    assert_int_equal(m->code.weights.rules.len, 2);
    assert_int_equal(m->code.body.stmts.len, 4);
    assert_int_equal(o->rules.len, 3);
    assert_int_equal(o->rules.data[0].expect, 12);
    assert_string_equal(o->rules.data[2].subject.name, "linear");
    front_close(&f);
}

static uint32_t errors_in(const char *text)
{
    front f = front_open();
    parse(&f, text);
    uint32_t n = diags_errors(f.d);
    front_close(&f);
    return n;
}

static void recovery(void **state)
{
    (void)state;
    assert_int_equal(errors_in("block f(x: f32) -> f32 {\n let a = \n let b = 1 + \n let c = x }\n"), 2);
    assert_int_equal(errors_in("block f(x: f32) -> f32 { for i in 0, 3 { let a = x } return x }\nconst = 3\n"), 2);
    assert_int_equal(errors_in("const a = 1 1\nconst b = )\nmodel m(x: f32) -> f32 { return x }"), 2);
    assert_int_equal(errors_in("}"), 1);
    assert_int_equal(errors_in("model m {"), 1);
    assert_int_equal(errors_in(""), 0);
    assert_int_equal(errors_in("const"), 1);
    assert_int_equal(errors_in("optimize m { a b c }"), 1);
}

/* `n` times `open`, then `middle`, then `n` times `close`. */
static char *nested(arena *a, const char *before, const char *open, const char *middle, const char *close, int n,
                    const char *after)
{
    strbuf b = strbuf_new(a);
    strbuf_adds(&b, before);
    for (int i = 0; i < n; i++) strbuf_adds(&b, open);
    strbuf_adds(&b, middle);
    for (int i = 0; i < n; i++) strbuf_adds(&b, close);
    strbuf_adds(&b, after);
    return b.s;
}

static void check_nesting(const char *before, const char *open, const char *middle, const char *close, int n,
                          const char *after, bool fits)
{
    front f = front_open();
    ast_file *file = parse(&f, nested(f.a, before, open, middle, close, n, after));
    if (file->failed == fits) fail_msg("%s %d: %s", open, n, front_messages(&f));
    if (!fits) assert_non_null(strstr(front_messages(&f), "nested too deeply"));
    front_close(&f);
}

static void nesting(void **state)
{
    (void)state;
    check_nesting("const x = ", "-", "1", "", AST_MAX_DEPTH - 1, "", true);
    check_nesting("const x = ", "-", "1", "", AST_MAX_DEPTH, "", false);
    check_nesting("const x = ", "-", "1", "", 100000, "", false);
    check_nesting("const x = ", "(", "1", ")", 1000, "", true);
    check_nesting("const x = ", "(", "1", ")", 100000, "", false);
    check_nesting("const x = ", "[", "1", "]", 300, "", false);
    check_nesting("const x = 1", "", "", "+ 1", 255, "", true);
    check_nesting("const x = 1", "", "", "+ 1", 256, "", false);
    check_nesting("const x = ", "f(", "1", ")", 100000, "", false);
    check_nesting("const x = f", "", "", "(1)", 100000, "", false);
    check_nesting("block f(x: f32) -> f32 { ", "if true { ", "x = x", " }", 200, " return x }", true);
    check_nesting("block f(x: f32) -> f32 { ", "if true { ", "x = x", " }", 300, " return x }", false);
    check_nesting("block f(x: f32) -> f32 { if a { } ", "else if a { } ", "", "", 300, " return x }", false);
    check_nesting("block f(x: f32) -> f32 { ", "for i in 0..1 { ", "", " }", 50000, "", false);
}

static void check_bytes(const char *text, size_t n, const char *message)
{
    front f = front_open();
    ast_file *file = parse_n(&f, text, n);
    assert_int_equal(file->failed, message != NULL);
    if (message && !strstr(front_messages(&f), message)) fail_msg("%s", front_messages(&f));
    front_close(&f);
}

static void bytes(void **state)
{
    (void)state;
#define BYTES(s, message) check_bytes(s, sizeof(s) - 1, message)
    BYTES("// \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80\nconst x = \"\xC3\xA9\"", NULL);
    BYTES("// \x80", "byte 0x80 is not UTF-8");
    BYTES("// \xC3", "byte 0xC3 is not UTF-8");
    BYTES("// \xC0\x80", "byte 0xC0 is not UTF-8");
    BYTES("// \xED\xA0\x80", "byte 0xED is not UTF-8");
    BYTES("// \xF4\x90\x80\x80", "byte 0xF4 is not UTF-8");
    BYTES("// \xE0\x80\x80", "byte 0xE0 is not UTF-8");
    BYTES("const x = 1 \x01", "unexpected byte 0x01");
    BYTES("const x = \"a\tb\"", "control character 0x09");
    BYTES("const x = 1\r\nconst y = 2\r\n", NULL);
    BYTES("const x = 0x10", "malformed number");
    BYTES("const x = 1_000", "malformed number");
    BYTES("const x = 1.", "unexpected end of line");
    BYTES("const x = 9223372036854775808", "does not fit");
#undef BYTES
}

static void sizes(void **state)
{
    (void)state;
    front f = front_open();
    size_t n = AST_MAX_FILE + 1;
    char *big = arena_alloc(f.a, n, 1);
    memset(big, ' ', n);
    assert_true(parse_n(&f, big, n)->failed);
    assert_non_null(strstr(front_messages(&f), "this file is too large"));
    assert_false(parse_n(&f, big, n - 1)->failed);
    front_close(&f);

    char name[200] = "const ";
    memset(name + 6, 'a', 129);
    strcpy(name + 135, " = 1");
    check_bytes(name, strlen(name), "longer than 128 characters");
    char text[1200] = "const a = \"";
    memset(text + 11, 'b', 1025);
    strcpy(text + 11 + 1025, "\"");
    check_bytes(text, strlen(text), "longer than 1024 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions), cmocka_unit_test(spans),   cmocka_unit_test(whole_language),
        cmocka_unit_test(recovery),    cmocka_unit_test(nesting), cmocka_unit_test(bytes),
        cmocka_unit_test(sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
