/* The runner holds passes to what they claim, and its flags do what --help says. */
#include "passes/pass.h"
#include "tests/support/tir_session.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char text[] = "module m\nfunc @f(%x: f32[4]) -> (y: f32[4]) {\n"
                           "  %0 = const {value = 1.0} : f32[4]\n  %1 = mul %0, %x : f32[4]\n  %2 = exp %1 : f32[4]\n"
                           "  %3 = exp %1 : f32[4]\n  %4 = add %2, %3 : f32[4]\n  return %4\n}\n";

/* ---- passes that misbehave ---- */

static status lie_nothing(pass_ctx *ctx, module *m, bool *changed)
{
    (void)ctx, (void)changed;
    m->functions.data[0]->last->op = OP_SUB;
    return STATUS_OK;
}
static status lie_change(pass_ctx *ctx, module *m, bool *changed)
{
    (void)ctx, (void)m;
    *changed = true;
    return STATUS_OK;
}
static status break_ir(pass_ctx *ctx, module *m, bool *changed)
{
    (void)ctx;
    m->functions.data[0]->last->op = OP_AND;
    *changed = true;
    return STATUS_OK;
}
static status give_up(pass_ctx *ctx, module *m, bool *changed)
{
    (void)m, (void)changed;
    diag_error(ctx->d, (span){0}, "cannot");
    return STATUS_FAILED;
}
static status honest(pass_ctx *ctx, module *m, bool *changed)
{
    pass_remark(ctx, m->functions.data[0]->last, "turned %s into sub", "add");
    m->functions.data[0]->last->op = OP_SUB;
    *changed = true;
    return STATUS_OK;
}
static status strange_name(pass_ctx *ctx, module *m, bool *changed)
{
    (void)ctx;
    m->functions.data[0]->results.data[0].name = "\xff\x01"; /* prints, and must read back */
    *changed = true;
    return STATUS_OK;
}

static status run_fake(tir_session *s, module *m, pass_fn *run, pass_options o)
{
    const pass_info row = {.id = PASS_COUNT, .name = "fake", .run = run};
    const pass_info *rows[] = {&row};
    pass_session ps = {.d = s->d, .options = &o};
    return passes_run_rows(m, &ps, rows, 1);
}

static void claims_are_checked(void **state)
{
    (void)state;
    static const struct {
        pass_fn *run;
        const char *message; /* NULL: succeeds */
    } fakes[] = {
        {lie_nothing, "pass fake says that it changed nothing, but the IR is different"},
        {lie_change, "pass fake says that it changed the IR, but the IR is the same"},
        {break_ir, "pass fake left invalid IR"},
        {give_up, "cannot"},
        {honest, NULL},
        {strange_name, NULL},
    };
    for (size_t i = 0; i < sizeof fakes / sizeof *fakes; i++) {
        tir_session s = tir_open();
        module *m = tir_parse(&s, text);
        pass_options o = pass_options_default();
        o.verify_each = o.roundtrip_each = true;
        status st = run_fake(&s, m, fakes[i].run, o);
        const char *messages = tir_messages(&s);
        assert_int_equal(st, fakes[i].message ? STATUS_FAILED : STATUS_OK);
        if (fakes[i].message ? !strstr(messages, fakes[i].message) : *messages) fail_msg("case %zu: %s", i, messages);
        tir_close(&s);
    }
}

static void remarks_are_asked_for(void **state)
{
    (void)state;
    for (int on = 0; on < 2; on++) {
        tir_session s = tir_open();
        module *m = tir_parse(&s, text);
        pass_options o = pass_options_default();
        o.remarks = on;
        assert_int_equal(run_fake(&s, m, honest, o), STATUS_OK);
        assert_int_equal(strstr(tir_messages(&s), "test.tir:7:3: remark: fake: turned add into sub") != NULL, on);
        tir_close(&s);
    }
}

/* ---- flags ---- */

/* Runs text with the given flags; returns what was logged. */
static char *run_with(tir_session *s, module **m, const char *flags)
{
    pass_options o = pass_options_default();
    o.verify_each = true;
    char *words = arena_strndup(s->a, flags, strlen(flags)), *rest = words;
    for (char *w; (w = strtok_r(rest, " ", &rest));) assert_int_equal(pass_options_flag(&o, s->a, s->d, w), FLAG_TAKEN);
    *m = tir_parse(s, text);
    char *log = NULL;
    size_t size;
    FILE *f = open_memstream(&log, &size);
    pass_session ps = {.d = s->d, .options = &o, .log = f};
    assert_int_equal(passes_run(*m, &ps), STATUS_OK);
    fclose(f);
    char *copy = arena_strndup(s->a, log, size);
    free(log);
    return copy;
}

static uint32_t count(const char *s, const char *what)
{
    uint32_t n = 0;
    for (; (s = strstr(s, what)); s++) n++;
    return n;
}

static void flags_choose_what_runs(void **state)
{
    (void)state;
    static const struct {
        const char *flags;
        uint32_t muls, exps;
    } cases[] = {
        {"", 0, 1},
        {"--skip-pass=canonicalise,fold", 1, 1},
        {"--skip-pass=cse", 0, 2},
        {"--skip-pass=canonicalise,cse,dce,fold", 1, 2},
        {"--stop-after=canonicalise", 1, 2}, /* dead, not yet removed */
        {"--run-pass=dce", 1, 2},
        {"--run-pass=canonicalise,dce", 0, 2},
        {"--run-pass=canonicalise --run-pass=dce", 0, 2},
        {"--run-pass=cse --stop-after=cse --skip-pass=cse", 1, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tir_session s = tir_open();
        module *m;
        assert_string_equal(run_with(&s, &m, cases[i].flags), "");
        const char *out = tir_text(&s, m);
        if (count(out, "= mul") != cases[i].muls || count(out, "= exp") != cases[i].exps)
            fail_msg("%s gives\n%s", cases[i].flags, out);
        tir_close(&s);
    }
}

static void flags_choose_what_is_shown(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m;
    uint32_t steps, shown = 0;
    const pipeline_step *all = pipeline_steps(&steps);
    for (uint32_t i = 0; i < steps; i++) shown += all[i].pass == PASS_CSE || all[i].pass == PASS_DCE;
    const char *log = run_with(&s, &m, "--print-after=cse,dce");
    assert_int_equal(count(log, "// ---- after "), shown);
    assert_non_null(strstr(log, arena_printf(s.a, "// ---- after dce (step 2 of %u, changed)\nmodule m\n", steps)));
    assert_non_null(strstr(log, arena_printf(s.a, "// ---- after cse (step 7 of %u, changed)\nmodule m\n", steps)));
    assert_non_null(strstr(log, arena_printf(s.a, "// ---- after dce (step %u of %u, unchanged)\n", steps, steps)));
    log = run_with(&s, &m, "--print-after-all --roundtrip-each");
    assert_int_equal(count(log, "// ---- after "), steps);
    assert_non_null(strstr(log, arena_printf(s.a, "step 3 of %u, unchanged", steps)));
    /* What is printed reads back, comments and all. */
    assert_non_null(tir_parse(&s, strstr(log, arena_printf(s.a, "// ---- after dce (step %u", steps))));
    log = run_with(&s, &m, "--time-passes --no-verify-each");
    shown = 0;
    for (uint32_t i = 0; i < steps; i++) shown += all[i].pass == PASS_CANONICALISE;
    assert_int_equal(count(log, "\ncanonicalise "), shown);
    assert_non_null(strstr(log, "\ntotal "));
    assert_non_null(strstr(log, "2 ->      2")); /* dce */
    tir_close(&s);
}

static void wrong_flags_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *flag;
        flag_result want;
        const char *message;
    } cases[] = {
        {"--print-after=csee", FLAG_WRONG, "--print-after: no pass is named 'csee'"},
        {"--skip-pass=", FLAG_WRONG, "--skip-pass: no pass is named ''"},
        {"--skip-pass=cse,", FLAG_WRONG, "no pass is named ''"},
        {"--stop-after=cse,dce", FLAG_WRONG, "--stop-after takes one pass"},
        {"--run-pass=all", FLAG_WRONG, "--run-pass: no pass is named 'all'"},
        {"--run-passes=cse", FLAG_UNKNOWN, ""},
        {"--verify-each=yes", FLAG_UNKNOWN, ""},
        {"--remark", FLAG_UNKNOWN, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tir_session s = tir_open();
        pass_options o = pass_options_default();
        assert_int_equal(pass_options_flag(&o, s.a, s.d, cases[i].flag), cases[i].want);
        assert_non_null(strstr(tir_messages(&s), cases[i].message));
        tir_close(&s);
    }
    tir_session s = tir_open();
    pass_options o = pass_options_default();
    pass_options_flag(&o, s.a, s.d, "--skip-pass=canonicalize");
    assert_non_null(strstr(tir_messages(&s), "did you mean 'canonicalise'?"));
    tir_close(&s);
}

static void every_flag_of_the_table_is_taken(void **state)
{
    (void)state;
    static const char *const flags[] = {
#define PASS_SWITCH(flag, field, setting, help) flag,
#define PASS_LIST(flag, value, take, help) flag "=cse",
#include "passes/pass_flags.def"
#undef PASS_SWITCH
#undef PASS_LIST
    };
    tir_session s = tir_open();
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        static const pass_options before[2] = {{.verify_each = false}, {.verify_each = true}};
        unsigned changed = 0;
        for (int k = 0; k < 2; k++) {
            pass_options o;
            memcpy(&o, &before[k], sizeof o);
            assert_int_equal(pass_options_flag(&o, s.a, s.d, flags[i]), FLAG_TAKEN);
            changed += memcmp(&o, &before[k], sizeof o) != 0;
        }
        if (!changed) fail_msg("%s does nothing", flags[i]);
    }
    tir_close(&s);
}

/* A module without functions, and a pass list without passes. */
static void nothing_to_do(void **state)
{
    (void)state;
    tir_session s = tir_open();
    module *m = tir_parse(&s, "module empty\ndim B input 1..4\n");
    pass_options o = pass_options_default();
    o.verify_each = o.time_passes = true;
    FILE *f = fopen("/dev/null", "w");
    pass_session ps = {.d = s.d, .options = &o, .log = f};
    assert_int_equal(passes_run(m, &ps), STATUS_OK);
    o.only = true;
    assert_int_equal(passes_run(m, &ps), STATUS_OK);
    fclose(f);
    assert_string_equal(tir_messages(&s), "");
    tir_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_are_checked),     cmocka_unit_test(remarks_are_asked_for),
        cmocka_unit_test(flags_choose_what_runs), cmocka_unit_test(flags_choose_what_is_shown),
        cmocka_unit_test(wrong_flags_are_told),   cmocka_unit_test(every_flag_of_the_table_is_taken),
        cmocka_unit_test(nothing_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
