/* Rules with verbs of all kinds (tests/support/verbs.h): what reaches the module, and the whole messages that need
 * points or kinds of arguments that no pass has yet. What is said of the verbs that passes have: tests/diag/policy-*.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "front.h"
#include "unit/cmocka_all.h"

#define MODEL                                                    \
    "const R = 8\n"                                              \
    "block layer(x: f32[B, 4]) -> f32[B, 4] {\n"                 \
    "  point attended = linear(x) @ \"att\"\n"                   \
    "  point normed = layer_norm(attended) @ \"norm\"\n"         \
    "  return normed\n"                                          \
    "}\n"                                                        \
    "model m(x: f32[B, 4]) -> y: f32[B, 4]\n"                    \
    "  where B <= 8\n"                                           \
    "{\n"                                                        \
    "  for l in 0..3 { x = layer(x) @ \"encoder.layer.{l}\" }\n" \
    "  point pooled = x * 2\n"                                   \
    "  return linear(pooled) @ \"head\"\n"                       \
    "}\n"                                                        \
    "optimize m {\n"

static const policy_value *arg(const front *f, uint32_t rule, const char *name)
{
    return policy_rule_arg(f->m->policy.data[rule], name);
}

static void arguments_arrive_typed(void **state)
{
    (void)state;
    front f = front_compile(MODEL "  merge_tokens after \"encoder.layer.*:attended\" (remove = 2 * R) expect 3\n"
                                  "  merge_tokens before \":pooled\" (remove = 1, restore = true, protect = 0)\n"
                                  "  sparsify linear in \"**\" (tile = [4, R], sparsity = 0.5, by = \"saliency\") "
                                  "expect 4\n"
                                  "  sparsify in \"head\" (tile = [1, 1], sparsity = 0)\n}");
    if (!f.m) fail_msg("%s", front_messages(&f));
    assert_int_equal(f.m->policy.len, 4);
    assert_int_equal(arg(&f, 0, "remove")->i, 16);
    assert_int_equal(arg(&f, 0, "protect")->i, 1); /* left out */
    assert_false(arg(&f, 0, "restore")->flag);
    assert_int_equal(f.m->policy.data[0]->points.len, 3);
    assert_string_equal(f.m->policy.data[0]->points.data[2].place, "encoder.layer.2:attended");
    assert_int_equal(f.m->policy.data[0]->relation, POLICY_AFTER);
    assert_true(arg(&f, 1, "restore")->flag);
    assert_int_equal(arg(&f, 1, "protect")->i, 0);
    assert_string_equal(f.m->policy.data[1]->points.data[0].place, ":pooled");
    assert_int_equal(arg(&f, 2, "tile")->ints.v[1], 8);
    assert_true(arg(&f, 2, "sparsity")->real == 0.5);
    assert_string_equal(arg(&f, 2, "by")->word, "saliency");
    assert_int_equal(f.m->policy.data[2]->regions.len, 4);
    assert_string_equal(f.m->policy.data[2]->regions.data[3]->block, "linear");
    assert_true(arg(&f, 3, "sparsity")->kind == POLICY_FLOAT && arg(&f, 3, "sparsity")->real == 0);
    assert_string_equal(arg(&f, 3, "by")->word, "size");

    /* A copy has places of its own. */
    module *copy = module_clone(f.m, f.a);
    assert_ptr_equal(copy->policy.data[2]->regions.data[3],
                     copy->regions.data[f.m->policy.data[2]->regions.data[3]->id]);
    assert_ptr_equal(copy->policy.data[0]->points.data[0].fn, copy->functions.data[0]);
    assert_true(module_verify(copy, f.d));
    front_close(&f);
}

/* `**` is the model's own body as well, and what has no path of its own. */
static void the_whole_model_is_a_place(void **state)
{
    (void)state;
    front f = front_compile(MODEL "  keep_exact in \"**\" expect 11\n}");
    if (!f.m) fail_msg("%s", front_messages(&f));
    const policy_rule *r = f.m->policy.data[0];
    assert_ptr_equal(r->regions.data[0], f.m->functions.data[0]->root);
    front_close(&f);
}

/* ---- whole messages ---- */

static const char *read_file(arena *a, const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) fail_msg("cannot read %s", path);
    strbuf b = strbuf_new(a);
    char chunk[4096];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;) strbuf_add(&b, chunk, n);
    fclose(f);
    return b.s;
}

/* MESSAGES holds sections "== RULE" with what is said of that rule in MODEL. GOLDEN_UPDATE=1 rewrites them. */
#define MESSAGES "tests/golden/policy/messages.txt"

static void messages(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    const char *text = read_file(a, MESSAGES), *section = strstr(text, "\n== ");
    assert_non_null(section);
    strbuf now = strbuf_new(a);
    strbuf_add(&now, text, (size_t)(section + 1 - text));
    uint32_t rules = 0;
    for (; section; rules++) {
        const char *rule = section + 4, *body = strchr(rule, '\n'), *next = strstr(body, "\n== ");
        front f = front_compile(arena_printf(a, MODEL "  %.*s\n}\n", (int)(body - rule), rule));
        strbuf_addf(&now, "== %.*s\n%s", (int)(body - rule), rule, front_messages(&f));
        if (f.m) fail_msg("accepted: %.*s", (int)(body - rule), rule);
        front_close(&f);
        section = next;
    }
    assert_true(rules >= 20);
    if (getenv("GOLDEN_UPDATE")) {
        FILE *out = fopen(MESSAGES, "w");
        assert_non_null(out);
        fputs(now.s, out);
        fclose(out);
    } else if (strcmp(now.s, text)) {
        size_t i = 0;
        while (now.s[i] == text[i]) i++;
        fail_msg("%s differs at:\n%.400s\ngot:\n%.400s", MESSAGES, text + i, now.s + i);
    }
    arena_free(a);
}

/* Many rules over many paths end with an error and not with the user's patience. */
static void work_is_bounded(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    strbuf b = strbuf_new(a);
    strbuf_adds(&b,
                "block f(x: f32[B], n: int) -> f32[B] {\n  let y = x\n  for i in 0..300 { if n < 1 { y = f(y, n + 1) @ "
                "\"p{i}\" } }\n  return y\n}\nmodel m(x: f32[B]) -> y: f32[B]\n  where B <= 8\n{\n  let y = x\n"
                "  for i in 0..60 { y = f(y, 0) @ \"q{i}\" }\n  return y\n}\noptimize m {\n");
    for (int i = 0; i < 20000; i++) strbuf_adds(&b, "  keep_exact in \"**.**.**.z\"\n");
    strbuf_adds(&b, "}\n");
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    front f = front_compile(b.s);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_null(f.m);
    assert_true(end.tv_sec - start.tv_sec < 30); /* seconds in a sanitizer's build */
    front_close(&f);
    arena_free(a);

    a = arena_new(NULL, NULL);
    b = strbuf_new(a);
    strbuf_adds(&b,
                "model m(x: f32[B]) -> y: f32[B]\n  where B <= 8\n{\n  let y = x\n  for i in 0..3000 { y = relu(y) @ "
                "\"q{i}\" }\n  return y\n}\noptimize m {\n");
    for (int i = 0; i < 20000; i++) strbuf_adds(&b, "  keep_exact in \"**\"\n");
    strbuf_adds(&b, "}\n");
    f = front_compile(b.s);
    assert_null(f.m);
    if (!strstr(front_messages(&f), "the rules of this file name too much")) fail_msg("%s", front_messages(&f));
    front_close(&f);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(arguments_arrive_typed),
                                       cmocka_unit_test(the_whole_model_is_a_place), cmocka_unit_test(messages),
                                       cmocka_unit_test(work_is_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
