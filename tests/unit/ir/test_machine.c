/* Descriptions of machines: defaults, the text form and its mistakes. */
#include "ir/machine.h"

#include "support/session.h"
#include "unit/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>

static bool read_text(session *s, const char *text, machine *m)
{
    return machine_parse(s->a, s->names, s->d, source_add(s->sources, "m", "m", text, strlen(text)), m);
}

static const char *printed(session *s, const machine *m)
{
    strbuf b = strbuf_new(s->a);
    machine_print(m, &b);
    return b.s;
}

static void test_round_trip(void **state)
{
    (void)state;
    session s = session_new();
    machine m = machine_default(s.a, "znver4", 512, 32), n = machine_default(s.a, "core2", 128, 16);
    m.f32_gflops = 118.25;
    m.l3_bytes = 16777216;
    m.name = "a \"b\\c\" d\n";
    assert_true(read_text(&s, printed(&s, &m), &n));
    assert_string_equal(n.name, "a \"b\\c\" d ");
    assert_string_equal(n.source, "m");
    n.name = m.name;
    assert_string_equal(printed(&s, &m), printed(&s, &n));
    assert_int_equal(diags_errors(s.d), 0);
    arena_free(s.a);
}

/* Every row is a machine that its own text form accepts, with caches that grow and rates that fall from level to level.
 */
static void test_defaults(void **state)
{
    (void)state;
    session s = session_new();
    static const char *const cpus[] = {
#define CPU(name, ...) name,
#include "ir/machines.def"
#undef CPU
    };
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++)
        for (int bits = 128; bits <= 512; bits *= 2) {
            machine m = machine_default(s.a, cpus[i], bits, 32), n = m;
            assert_true(read_text(&s, printed(&s, &m), &n));
            assert_true(m.l1d_bytes < m.l2_bytes && m.l1d_bytes < m.l3_bytes);
            assert_true(m.l1_gb_per_s >= m.l2_gb_per_s && m.l2_gb_per_s >= m.l3_gb_per_s &&
                        m.l3_gb_per_s >= m.dram_gb_per_s);
            assert_true(m.l1d_bytes % (m.l1d_ways * 64) == 0 && m.l2_bytes % (m.l2_ways * 64) == 0);
        }
    machine wide = machine_default(s.a, "znver5", 512, 32), narrow = machine_default(s.a, "znver5", 128, 16);
    assert_true(wide.f32_gflops == 4 * narrow.f32_gflops);
    assert_string_equal(machine_default(s.a, "znver3", 256, 16).source, "defaults for znver3");
    assert_string_equal(machine_default(s.a, "no such one", 256, 16).source, "defaults");
    arena_free(s.a);
}

static void test_missing_keys_stay(void **state)
{
    (void)state;
    session s = session_new();
    machine m = machine_default(s.a, "znver3", 256, 16), n = m;
    assert_true(read_text(&s, "machine \"x\" version 1 // nothing else\n dram_gb_per_s=1e1", &n));
    assert_true(n.dram_gb_per_s == 10 && n.l2_bytes == m.l2_bytes && n.f32_gflops == m.f32_gflops);
    arena_free(s.a);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "m:1:1: error: expected 'machine'"},
        {"machin \"x\" version 1", "expected 'machine'"},
        {"machine x version 1", "expected the machine's name in quotes"},
        {"machine \"x", "the string has no end on its line"},
        {"machine \"x\"", "expected 'version'"},
        {"machine \"x\" version 2", "machines of version 2 are not known, only of version 1"},
        {"machine \"x\" version 1 l2_byte = 1", "did you mean 'l2_bytes'?"},
        {"machine \"x\" version 1\nfrobnicate = 1", "m:2:1: error: a machine has no 'frobnicate'"},
        {"machine \"x\" version 1 l2_bytes 1", "expected '='"},
        {"machine \"x\" version 1 l2_bytes = ", "expected an integer"},
        {"machine \"x\" version 1 l2_bytes = 65536K", "a machine has no 'K'"},
        {"machine \"x\" version 1 l2_bytes = 12", "expected: 4096 to 4294967296"},
        {"machine \"x\" version 1 l2_bytes = -4096", "got: -4096"},
        {"machine \"x\" version 1 l2_bytes = 99999999999999999999", "does not fit in 64 bits"},
        {"machine \"x\" version 1 f32_gflops = 0", "'f32_gflops' cannot be that"},
        {"machine \"x\" version 1 f32_gflops = nan", "'f32_gflops' cannot be that"},
        {"machine \"x\" version 1 f32_gflops = inf", "'f32_gflops' cannot be that"},
        {"machine \"x\" version 1 f32_gflops = fast", "expected a number"},
        {"machine \"x\" version 1 launch_ns = 1 launch_ns = 2", "'launch_ns' stands twice"},
        {"machine \"x\" version 1 = 1", "expected a key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        session s = session_new();
        machine m = machine_default(s.a, "", 256, 16);
        assert_false(read_text(&s, cases[i].text, &m));
        strbuf b = strbuf_new(s.a);
        diags_render_text(s.d, &b);
        if (!strstr(b.s, cases[i].message)) fail_msg("'%s' says: %s", cases[i].text, b.s);
        arena_free(s.a);
    }
}

/* Whatever a system tells, what comes out is plausible. */
static void test_this_machine(void **state)
{
    (void)state;
    session s = session_new();
    machine m = machine_default(s.a, "", 256, 16), n = m;
    machine_take_caches(s.a, &m);
    assert_true(read_text(&s, printed(&s, &m), &n));
    assert_true(m.l1d_bytes >= 4096 && m.l2_bytes >= 32768 && m.line_bytes >= 16);
    assert_string_equal(m.source, "defaults, cache sizes of this machine");
    arena_free(s.a);
}

static void test_where_it_is_kept(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    setenv("XDG_CONFIG_HOME", "/x", 1);
    assert_string_equal(machine_calibrated_path(a), "/x/tfxc/machine");
    setenv("XDG_CONFIG_HOME", "relative", 1); /* to be ignored, as the specification says */
    setenv("HOME", "/h", 1);
    assert_string_equal(machine_calibrated_path(a), "/h/.config/tfxc/machine");
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("HOME");
    assert_null(machine_calibrated_path(a));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_missing_keys_stay), cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_this_machine),      cmocka_unit_test(test_where_it_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
