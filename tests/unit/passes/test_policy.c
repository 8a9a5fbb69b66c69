/* Rules on their way through the runner: handed to their passes, left where a flag leaves a pass out, refused where
 * nothing takes them or where they contradict each other; and what narrow_weights computes, exactly. */
#include "equivalence.h"
#include "ir/constant.h"
#include "tests/support/tir_session.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define BODY                                                                                               \
    "module m\nparam \"w\" : f32[4, 4] = random\nparam \"v\" : f32[4, 4] = random\n"                       \
    "func @f(%x: f32[4]) -> (y: f32[4]) {\n"                                                               \
    "  region r1 = \"mlp\" at \"a\"\n  region r2 = \"linear\" at \"a.up\" in r1\n"                         \
    "  region r3 = \"linear\" at \"a.down\" in r1\n"                                                       \
    "  %0 = param \"w\" : f32[4, 4] in r2\n  %1 = contract %x, %0 {labels = \"k,nk->n\"} : f32[4] in r2\n" \
    "  %2 = param \"v\" : f32[4, 4] in r3\n  %3 = contract %1, %2 {labels = \"k,nk->n\"} : f32[4] in r3\n" \
    "  point \"a:p\" = %1\n  return %3\n}\n"
#define NARROW "rule narrow_weights in \"a.up\" (to = \"bf16\") at @f r2\n"
#define KEEP "rule keep_exact in \"a.down\" at @f r3\n"

static pass_options options(tir_session *s, const char *flags)
{
    pass_options o = pass_options_default();
    o.verify_each = o.roundtrip_each = true;
    char *words = arena_strndup(s->a, flags, strlen(flags)), *rest = words;
    for (char *w; (w = strtok_r(rest, " ", &rest));) assert_int_equal(pass_options_flag(&o, s->a, s->d, w), FLAG_TAKEN);
    return o;
}

/* ---- where rules go ---- */

static void rules_are_taken_or_left(void **state)
{
    (void)state;
    static const struct {
        const char *flags;
        uint32_t left;
        const char *said; /* NULL: nothing */
    } cases[] = {
        {"", 0, NULL},
        {"--skip-pass=narrow_weights", 1, NULL},
        {"--skip-pass=narrow_weights --remarks", 1,
         "test.tir:15:6: remark: narrow_weights: not done: --skip-pass leaves the pass out"},
        {"--stop-after=canonicalise --remarks", 2,
         "test.tir:16:6: remark: keep_exact: not done: --stop-after leaves the pass out"},
        {"--run-pass=dce --remarks", 2, "remark: narrow_weights: not done: --run-pass leaves the pass out"},
        {"--run-pass=keep_exact,narrow_weights", 0, NULL},
        {"--run-pass=dce", 2, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tir_session s = tir_open();
        module *m = tir_parse(&s, BODY NARROW KEEP);
        pass_options o = options(&s, cases[i].flags);
        pass_session ps = {.d = s.d, .options = &o};
        assert_int_equal(passes_run(m, &ps), STATUS_OK);
        const char *messages = tir_messages(&s);
        if (m->policy.len != cases[i].left) fail_msg("%s: %u rules are left", cases[i].flags, m->policy.len);
        if (cases[i].said ? !strstr(messages, cases[i].said) : *messages) fail_msg("%s: %s", cases[i].flags, messages);
        tir_close(&s);
    }
}

/* A pipeline without a rule's pass. */
static void a_rule_that_nothing_takes_is_an_error(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(&s, BODY NARROW KEEP);
    const pass_info *rows[] = {pass_row(PASS_DCE), pass_row(PASS_KEEP_EXACT)};
    pass_options o = options(&s, "");
    pass_session ps = {.d = s.d, .options = &o};
    assert_int_equal(passes_run_rows(m, &ps, rows, 2), STATUS_FAILED);
    assert_string_equal(tir_messages(&s), "test.tir:15:6: error: no pass took this rule\n"
                                          " 15 | rule narrow_weights in \"a.up\" (to = \"bf16\") at @f r2\n"
                                          "    |      ^~~~~~~~~~~~~~~~~~~~~~~~\n"
                                          "  got: narrow_weights in \"a.up\" (to = \"bf16\")\n");
    tir_close(&s);
}

/* ---- passes that change the model ---- */

static status change_everything(pass_ctx *ctx, module *m, bool *changed)
{
    (void)ctx;
    function_foreach (n, m->functions.data[0])
        if (n->op == OP_CONTRACT) {
            builder b = builder_before(n);
            value *twice[] = {n->operands[0], n->operands[0]};
            node_set_operand(n, 0, build_scalar(&b, OP_ADD, twice, 2));
        }
    *changed = true;
    return STATUS_OK;
}

static void marks_hold_and_nothing_runs_unasked(void **state)
{
    (void)state;
    static const struct {
        const char *rules, *said;
        status want;
    } cases[] = {
        {"", "", STATUS_OK}, /* nothing asks: not run */
        {NARROW, "", STATUS_OK},
        {NARROW KEEP, "pass narrow_weights changed what is to stay exact", STATUS_FAILED},
    };
    /* Stands for the real one, so that rules ask for it. */
    pass_info bad = *pass_row(PASS_NARROW_WEIGHTS);
    bad.run = change_everything;
    const pass_info *rows[] = {&bad, pass_row(PASS_KEEP_EXACT)};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tir_session s = tir_open();
        module *m = tir_parse(&s, arena_printf(s.a, "%s%s", BODY, cases[i].rules));
        const char *before = tir_text(&s, m);
        pass_options o = options(&s, "");
        pass_session ps = {.d = s.d, .options = &o};
        assert_int_equal(passes_run_rows(m, &ps, rows, 2), cases[i].want);
        if (!strstr(tir_messages(&s), cases[i].said)) fail_msg("case %zu: %s", i, tir_messages(&s));
        if (!*cases[i].rules) assert_string_equal(tir_text(&s, m), before);
        tir_close(&s);
    }
}

static status look_at_rules(pass_ctx *ctx, module *m, bool *changed)
{
    (void)changed;
    assert_int_equal(m->policy.len, 1); /* the mark; its own are out */
    assert_int_equal(ctx->n_rules, 2);
    assert_string_equal(ctx->rules[0]->place, "a.up");
    assert_string_equal(ctx->rules[1]->place, "b");
    assert_string_equal(policy_rule_arg(ctx->rules[1], "to")->word, "f16");
    const bool *inside = policy_inside(m, ctx->rules[0], ctx->scratch), *kept = policy_kept_exact(m, ctx->scratch);
    for (uint32_t i = 0; i < m->regions.len; i++) {
        assert_int_equal(inside[i], !strcmp(m->regions.data[i]->path, "a.up"));
        assert_int_equal(kept[i], !strcmp(m->regions.data[i]->path, "a.down"));
    }
    return STATUS_OK;
}

static void a_pass_gets_its_rules_in_order(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(&s, BODY "func @g() -> () {\nregion r1 = \"linear\" at \"b\"\nreturn }\n" NARROW KEEP
                                   "rule narrow_weights in \"b\" (to = \"f16\") at @g r1\n");
    pass_info row = *pass_row(PASS_NARROW_WEIGHTS);
    row.run = look_at_rules;
    const pass_info *rows[] = {&row, pass_row(PASS_KEEP_EXACT)};
    pass_options o = options(&s, "");
    pass_session ps = {.d = s.d, .options = &o};
    if (passes_run_rows(m, &ps, rows, 2) != STATUS_OK) fail_msg("%s", tir_messages(&s));
    tir_close(&s);
}

/* ---- rules that cannot be followed ---- */

static void wrong_rules_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *rules, *said;
    } cases[] = {
        {"rule narrow_weigths in \"a\" at @f r1", "no pass takes rules of the name 'narrow_weigths'\n"},
        {"rule narrow_weigths in \"a\" at @f r1", "hint: did you mean 'narrow_weights'?"},
        {"rule dce in \"a\" at @f r1", "no pass takes rules of the name 'dce'"},
        {"rule narrow_weights in \"a\" at @f r1", "this is no rule of 'narrow_weights'"},
        {"rule narrow_weights in \"a\" (to = \"f32\") at @f r1", "this is no rule of 'narrow_weights'"},
        {"rule narrow_weights in \"a\" (to = 16) at @f r1", "this is no rule of 'narrow_weights'"},
        {"rule narrow_weights in \"a\" (to = \"f16\", of = 1) at @f r1", "this is no rule of 'narrow_weights'"},
        {"rule narrow_weights gelu in \"a\" (to = \"f16\") at @f r1", "this is no rule of 'narrow_weights'"},
        {"rule narrow_weights after \"a:p\" (to = \"f16\") at @f \"a:p\"", "this is no rule of 'narrow_weights'"},
        {"rule keep_exact gelu in \"a\" at @f r1", "  expected: keep_exact in \"PLACE\"\n"
                                                   "       got: keep_exact gelu in \"a\"\n"},
        {NARROW "rule narrow_weights in \"a.up\" (to = \"f16\") at @f r2",
         "two rules of 'narrow_weights' meet at one place"},
        {NARROW NARROW, "both cover \"a.up\""},
        {NARROW "rule narrow_weights in \"a\" (to = \"f16\") at @f r1",
         "test.tir:16:6: error: two rules of 'narrow_weights' meet at one place\n"},
        {"rule narrow_weights in \"**\" (to = \"f16\") at @f\n" NARROW, "both cover \"a.up\", a call of 'linear'"},
        {NARROW "rule keep_exact in \"a\" at @f r1", "nothing is left for this rule: all of its places are kept exact"},
        {NARROW "rule keep_exact in \"**\" at @f", "note: by keep_exact in \"**\" at test.tir:16:6"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tir_session s = tir_open();
        module *m = tir_parse(&s, arena_printf(s.a, "%s%s", BODY, cases[i].rules));
        if (!m) fail_msg("%s", tir_messages(&s));
        bool ok = policy_check(m, s.d);
        if (ok || !strstr(tir_messages(&s), cases[i].said))
            fail_msg("%s\nexpected: %s\ngot: %s", cases[i].rules, cases[i].said, tir_messages(&s));
        pass_options o = options(&s, "");
        pass_session ps = {.d = s.d, .options = &o};
        assert_int_equal(passes_run(m, &ps), STATUS_FAILED);
        tir_close(&s);
    }
}

static void what_goes_together(void **state)
{
    (void)state;
    static const char *const cases[] = {
        NARROW KEEP,
        KEEP KEEP "rule keep_exact in \"a\" at @f r1", /* marks may overlap */
        NARROW "rule narrow_weights in \"a.down\" (to = \"f16\") at @f r3\n",
        "rule narrow_weights in \"a\" (to = \"f16\") at @f r1\n" KEEP, /* something is left */
        "rule narrow_weights in \"a.up\" (to = \"f16\") at @f r2, @f r2\n",
        "rule narrow_weights in \"gone\" (to = \"f16\")\n", /* places that went with dead code */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tir_session s = tir_open();
        module *m = tir_parse(&s, arena_printf(s.a, "%s%s", BODY, cases[i]));
        assert_non_null(m);
        if (!policy_check(m, s.d)) fail_msg("%s: %s", cases[i], tir_messages(&s));
        tir_close(&s);
    }
}

/* ---- narrow_weights ---- */

/* The module that one gets by rounding the weights themselves, everything else as it was. */
static void round_params(module *m, const module *like)
{
    vec_foreach (param *, p, &m->params) {
        const param *q = module_find_param(like, (*p)->path);
        if (q && q->ty.dt != (*p)->ty.dt)
            (*p)->value = cexpr_cast(m->a, cexpr_cast(m->a, (*p)->value, q->ty.dt), (*p)->ty.dt);
    }
}

static void narrow_weights_rounds_weights_and_nothing_else(void **state)
{
    (void)state;
    glob_t files;
    assert_int_equal(glob("tests/golden/passes/narrow-weights*.tirtest", 0, NULL, &files), 0);
    uint32_t narrowed = 0, compared = 0;
    for (size_t i = 0; i < files.gl_pathc; i++) {
        tir_session s = tir_open();
        FILE *f = fopen(files.gl_pathv[i], "r");
        assert_non_null(f);
        strbuf text = strbuf_new(s.a);
        char chunk[4096];
        for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;) strbuf_add(&text, chunk, n);
        fclose(f);
        const char *in = strstr(text.s, "== in.tir\n") + 10;
        module *m = tir_parse_n(&s, in, (size_t)(strstr(in, "== args") - in));
        assert_non_null(m);
        module *rounded = module_clone(m, s.a);
        pass_options o = options(&s, "--run-pass=narrow_weights,keep_exact");
        pass_session ps = {.d = s.d, .options = &o};
        assert_int_equal(passes_run(m, &ps), STATUS_OK);
        round_params(rounded, m);
        vec_foreach (param *, p, &m->params) narrowed += (*p)->value->kind == CE_CAST;
        const char *bad = compare_modules(s.a, rounded, m, NUMERICS_EXACT, 0, &compared);
        if (bad) fail_msg("%s: %s", files.gl_pathv[i], bad);
        tir_close(&s);
    }
    globfree(&files);
    assert_true(narrowed >= 6 && compared >= 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_taken_or_left),
        cmocka_unit_test(a_rule_that_nothing_takes_is_an_error),
        cmocka_unit_test(marks_hold_and_nothing_runs_unasked),
        cmocka_unit_test(a_pass_gets_its_rules_in_order),
        cmocka_unit_test(wrong_rules_are_told),
        cmocka_unit_test(what_goes_together),
        cmocka_unit_test(narrow_weights_rounds_weights_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
