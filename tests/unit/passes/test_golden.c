/* Every case of tests/golden/passes, without the driver: the text that must come out, and, which text cannot show, that
 * the module computes what it did. GOLDEN_UPDATE=1 rewrites the expectations; read the difference before committing it.
 */
#include "equivalence.h"
#include "passes/canonicalise.h"
#include "tests/support/tir_session.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef struct {
    const char *path;
    const char *comment, *in, *args, *tir, *err; /* sections; err NULL: none */
} golden;

static const char *section(arena *a, const char *text, const char *name)
{
    const char *header = arena_printf(a, "\n== %s\n", name), *at = strstr(text, header);
    if (!at) return NULL;
    at += strlen(header);
    const char *end = strstr(at, "\n== ");
    if (!strncmp(at, "== ", 3)) return "";
    return arena_strndup(a, at, end ? (size_t)(end - at) + 1 : strlen(at));
}

static golden read_golden(arena *a, const char *path)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    strbuf b = strbuf_new(a);
    char chunk[4096];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;) strbuf_add(&b, chunk, n);
    fclose(f);
    golden g = {.path = path};
    const char *first = strstr(b.s, "\n== ");
    if (!first) fail_msg("%s has no section", path);
    g.comment = arena_strndup(a, b.s, (size_t)(first + 1 - b.s));
    g.in = section(a, b.s, "in.tir");
    g.args = section(a, b.s, "args");
    g.tir = section(a, b.s, "tir");
    g.err = section(a, b.s, "stderr");
    if (!g.in || !g.args || !g.tir) fail_msg("%s lacks a section", path);
    return g;
}

static void write_golden(const golden *g, const char *tir, const char *err)
{
    FILE *f = fopen(g->path, "w");
    assert_non_null(f);
    fprintf(f, "%s== in.tir\n%s== args\n%s== tir\n%s", g->comment, g->in, g->args, tir);
    if (g->err) fprintf(f, "== stderr\n%s", err);
    fclose(f);
}

static pass_options read_options(tir_session *s, const char *args)
{
    pass_options o = pass_options_default();
    char *words = arena_strndup(s->a, args, strlen(args)), *rest = words;
    for (char *w; (w = strtok_r(rest, " \n", &rest));)
        if (pass_options_flag(&o, s->a, s->d, w) != FLAG_TAKEN) fail_msg("argument %s: %s", w, tir_messages(s));
    o.verify_each = o.roundtrip_each = true;
    return o;
}

/* The least exact of the passes that a case runs. */
static pass_numerics numerics_of(const pass_options *o, unsigned *flags)
{
    pass_numerics worst = NUMERICS_EXACT;
    uint32_t n;
    const pipeline_step *steps = pipeline_steps(&n);
    if (o->only) n = o->list.len;
    for (uint32_t i = 0; i < n; i++) {
        const pass_info *row = pass_row(o->only ? o->list.data[i] : steps[i].pass);
        if (row->numerics > worst) worst = row->numerics;
        *flags |= row->flags;
    }
    return worst;
}

static module *parse_case(tir_session *s, const golden *g)
{
    const source_file *f = source_add(s->sources, "in.tir", "in.tir", g->in, strlen(g->in));
    module *m = module_parse(s->a, s->names, s->sources, s->d, f);
    if (!m) fail_msg("%s: %s", g->path, tir_messages(s));
    return m;
}

static void run_case(const char *path)
{
    tir_session s = tir_open();
    golden g = read_golden(s.a, path);
    pass_options o = read_options(&s, g.args);
    module *m = parse_case(&s, &g);
    module *before = module_clone(m, s.a);
    pass_session ps = {.d = s.d, .options = &o};
    if (passes_run(m, &ps) != STATUS_OK) fail_msg("%s: %s", path, tir_messages(&s));

    const char *text = tir_text(&s, m), *err = tir_messages(&s);
    if (getenv("GOLDEN_UPDATE")) write_golden(&g, text, err);
    else {
        if (strcmp(text, g.tir)) fail_msg("%s\nexpected:\n%s\ngot:\n%s", path, g.tir, text);
        if (strcmp(err, g.err ? g.err : "")) fail_msg("%s\nexpected:\n%s\ngot:\n%s", path, g.err ? g.err : "", err);
    }
    uint32_t compared = 0;
    unsigned flags = 0;
    pass_numerics numerics = numerics_of(&o, &flags);
    const char *bad = compare_modules(s.a, before, m, numerics, flags, &compared);
    if (bad) fail_msg("%s: %s", path, bad);
    bool refused = strstr(g.comment, "an error at run time") != NULL;
    if (refused ? compared > 0 : compared < 4) fail_msg("%s: only %u runs were compared", path, compared);

    /* A second time nothing changes, pass by pass. */
    for (uint32_t i = 0; i < o.list.len; i++) {
        pass_options once = pass_options_default();
        once.verify_each = once.only = true;
        vec_push(s.a, &once.list, o.list.data[i]);
        pass_session again = {.d = s.d, .options = &once};
        assert_int_equal(passes_run(m, &again), STATUS_OK);
    }
    if (strcmp(tir_text(&s, m), text))
        fail_msg("%s: running the passes again changes\n%s\ninto\n%s", path, text, tir_text(&s, m));
    tir_close(&s);
}

static void all_cases(void **state)
{
    (void)state;
    glob_t files;
    assert_int_equal(glob("tests/golden/passes/*.tirtest", 0, NULL, &files), 0);
    assert_true(files.gl_pathc >= 20);
    for (size_t i = 0; i < files.gl_pathc; i++) run_case(files.gl_pathv[i]);
    globfree(&files);
}

/* A rule that no case reaches is untested. */
static void every_rule_is_reached(void **state)
{
    (void)state;
    tir_session s = tir_open();
    strbuf all = strbuf_new(s.a);
    glob_t files;
    assert_int_equal(glob("tests/golden/passes/*.tirtest", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        golden g = read_golden(s.a, files.gl_pathv[i]);
        tir_forget(&s);
        module *m = parse_case(&s, &g);
        pass_options o = pass_options_default();
        o.only = o.remarks = true;
        vec_push(s.a, &o.list, PASS_CANONICALISE);
        pass_session ps = {.d = s.d, .options = &o};
        assert_int_equal(passes_run(m, &ps), STATUS_OK);
        strbuf_adds(&all, tir_messages(&s));
    }
    globfree(&files);
    for (uint32_t i = 0; i < n_arithmetic_rules + n_view_rules; i++) {
        const rule *r = i < n_arithmetic_rules ? &arithmetic_rules[i] : &view_rules[i - n_arithmetic_rules];
        if (!strstr(all.s, arena_printf(s.a, "remark: canonicalise: %s\n", r->text)))
            fail_msg("no case reaches: %s", r->text);
    }
    tir_close(&s);
}

/* The comparison itself must be able to fail: it tells add from sub, 0 from -0, and x + 0 from x. */
static void the_comparison_can_fail(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"%0 = add %x, %y : f32[B, 9]", "%0 = sub %x, %y : f32[B, 9]"},
        {"%0 = add %x, %z : f32[B, 9]", "%0 = abs %x : f32[B, 9]"},
        {"%0 = add %x, %z : f32[B, 9]", "%0 = mul %x, %o : f32[B, 9]"},
        {"%1 = mul %x, %z : f32[B, 9] %0 = add %1, %y : f32[B, 9]", "%0 = add %y, %z : f32[B, 9]"},
        {"%1 = add %x, %o : f32[B, 9] %0 = add %1, %o : f32[B, 9]",
         "%1 = add %o, %o : f32[B, 9] %0 = add %x, %1 : f32[B, 9]"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        tir_session s = tir_open();
        module *m[2];
        for (int k = 0; k < 2; k++)
            m[k] = tir_parse(
                &s, arena_printf(
                        s.a,
                        "module m dim B input 1..40 func @f(%%x: f32[B, 9], %%y: f32[B, 9]) -> (r: f32[B, 9]) {"
                        "%%z = const {value = 0.0} : f32[B, 9] %%o = const {value = 1.0} : f32[B, 9] %s return %%0 }",
                        pairs[i][k]));
        assert_string_equal(tir_messages(&s), "");
        uint32_t compared = 0;
        const char *bad = compare_modules(s.a, m[0], m[1], NUMERICS_EXACT, 0, &compared);
        if (!bad) fail_msg("pair %zu looks equal", i);
        assert_null(compare_modules(s.a, m[0], m[0], NUMERICS_EXACT, 0, &compared));
        tir_close(&s);
    }
}

/* Text may nest deeper than any model: chains of casts, views, concats and additions end, and take no stack. */
static void long_chains(void **state)
{
    (void)state;
    static const struct {
        const char *odd, *even, *shape; /* @: the operand */
    } links[] = {
        {"cast @ : f64[4]", "cast @ : f32[4]", "4"},
        {"reshape @ : f32[2, 2]", "transpose @ {perm = [1, 0]} : f32[2, 2]", "2, 2"},
        {"neg @ : f32[4]", "abs @ : f32[4]", "4"},
        {"concat @ {axis = 0} : f32[4]", "reshape @ : f32[4]", "4"},
    };
    for (size_t k = 0; k < sizeof links / sizeof *links; k++)
        for (int leaf = 0; leaf < 2; leaf++) {
            tir_session s = tir_open();
            enum { LENGTH = 20000 };
            strbuf b = strbuf_new(s.a);
            strbuf_addf(&b, "module m param \"w\" : f32[%s] func @f() -> (y: f32[%s]) {\n%%0 = %s : f32[%s]\n",
                        links[k].shape, links[k].shape, leaf ? "param \"w\"" : "const {value = 0.1}", links[k].shape);
            for (int i = 1; i <= LENGTH; i++) {
                const char *link = i & 1 ? links[k].odd : links[k].even, *mark = strchr(link, '@');
                strbuf_addf(&b, "%%%d = %.*s%%%d%s\n", i, (int)(mark - link), link, i - 1, mark + 1);
            }
            strbuf_addf(&b, "return %%%d }", LENGTH);
            module *m = tir_parse(&s, b.s);
            if (!m) fail_msg("%s", tir_messages(&s));
            pass_options o = pass_options_default();
            pass_session ps = {.d = s.d, .options = &o};
            assert_int_equal(passes_run(m, &ps), STATUS_OK);
            assert_true(module_verify(m, s.d));
            tir_close(&s);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_cases),
        cmocka_unit_test(every_rule_is_reached),
        cmocka_unit_test(the_comparison_can_fail),
        cmocka_unit_test(long_chains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
