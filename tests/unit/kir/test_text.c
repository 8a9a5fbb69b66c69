/* The .kir form: what is printed reads back to the same text and to an equal function; mistakes are located. */
#include "unit/kir/session.h"

#include "unit/cmocka_all.h"

/* `text` is as the printer writes it when `exact`. */
static void check_round_trip(const char *text, bool exact)
{
    session s = session_new();
    kmodule *m = parse_text(&s, text);
    if (!m) fail_msg("%s", session_messages(&s));
    const char *once = printed(&s, m);
    if (exact) expect_same_text(once, text);
    kmodule *again = parse_text(&s, once);
    if (!again) fail_msg("what was printed does not parse:\n%s\n%s", once, session_messages(&s));
    expect_same_text(printed(&s, again), once);
    assert_int_equal(m->functions.len, again->functions.len);
    for (uint32_t i = 0; i < m->functions.len; i++) {
        assert_true(kfunction_equal(m->functions.data[i], again->functions.data[i]));
        assert_true(kfunction_hash(m->functions.data[i]) == kfunction_hash(again->functions.data[i]));
    }
    session_free(&s);
}

static void test_every_op(void **state)
{
    (void)state;
    session s = session_new();
    char *text = read_golden(&s, "ops.kir");
    check_round_trip(text, true);
    kmodule *m = parse_valid(&s, text);
    /* No op is left out of the file, so that none can go unprinted, unread or unverified. */
    const char *copy = printed(&s, m);
    for (int op = 0; op < KOP_COUNT; op++) {
        if (kop_row((kop_kind)op)->props & K_ELEMENTWISE) continue;
        const char *name = kop_row((kop_kind)op)->name;
        if (!strstr(copy, arena_printf(s.a, " %s ", name)) && !strstr(copy, arena_printf(s.a, " %s\n", name)))
            fail_msg("ops.kir has no %s", name);
    }
    session_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_op),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
