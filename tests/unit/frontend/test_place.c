/* Places: what a pattern matches, against a matcher that tries everything; patterns that would take such a matcher for
 * ever; and what is no pattern. */
#include "frontend/place.h"
#include "support/strbuf.h"

#include <string.h>
#include <time.h>

#include "unit/cmocka_all.h"

typedef struct {
    arena *a;
    interner *names;
    place_tree *tree;
} forest;

static forest forest_new(void)
{
    forest f = {.a = arena_new(NULL, NULL)};
    f.names = interner_new(f.a);
    f.tree = place_tree_new(f.a, f.names);
    return f;
}

static place_node *plant(forest *f, const char *path)
{
    return place_tree_at(f->tree, intern(f->names, path, strlen(path)));
}

static bool matches(forest *f, const char *pattern, const char *path)
{
    place p;
    place_mistake wrong;
    if (!place_parse(f->a, f->names, pattern, &p, &wrong)) fail_msg("%s: %s", pattern, wrong.message);
    place_node *n = plant(f, path);
    uint64_t *states = ARENA_ARRAY(f->a, uint64_t, f->tree->nodes.len);
    place_match(f->tree, &p, states);
    return place_matched(&p, states[n->id]);
}

static void what_patterns_match(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *path;
        bool want;
    } cases[] = {
        {"a.b", "a.b", true},
        {"a.b", "a", false},
        {"a.b", "a.b.c", false},
        {"a.*", "a.b", true},
        {"a.*", "a", false},
        {"a.*", "a.b.c", false},
        {"a.**", "a", true},
        {"a.**", "a.b.c", true},
        {"**", "", true},
        {"**", "a.b", true},
        {"*", "", false},
        {"**.c", "c", true},
        {"**.c", "a.b.c", true},
        {"**.c", "a.c.b", false},
        {"a.**.c", "a.c", true},
        {"a.**.**.c", "a.c", true},
        {"a.**.b.**.c", "a.b.c", true},
        {"a.**.b.**.c", "a.x.b.y.z.c", true},
        {"a.**.b.**.c", "a.x.y.c", false},
        {"(a|b).c", "a.c", true},
        {"(a|b).c", "b.c", true},
        {"(a|b).c", "c.c", false},
        {"(a|b|long).c", "long.c", true},
        {"(a)", "a", true},
        {"l.*.(i|o).d", "l.11.o.d", true},
        {"**.*", "a", true},
        {"**.*", "", false},
        {"*.**.*", "a.b", true},
        {"*.**.*", "a", false},
        {"ab", "a", false},
        {"a", "ab", false},
        {"vit.encoder.layer.*:attended", "vit.encoder.layer.3", true},
        {":p", "", true},
        {":p", "a", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        forest f = forest_new();
        if (matches(&f, cases[i].pattern, cases[i].path) != cases[i].want)
            fail_msg("\"%s\" and \"%s\"", cases[i].pattern, cases[i].path);
        arena_free(f.a);
    }
}

/* Tries all ways, one segment at a time. */
static bool slow(const char *p, const char *t)
{
    if (!*p) return !*t;
    size_t pn = strcspn(p, ".");
    const char *p_rest = p + pn + (p[pn] == '.');
    size_t tn = strcspn(t, ".");
    const char *t_rest = t + tn + (t[tn] == '.');
    if (pn == 2 && !memcmp(p, "**", 2)) return slow(p_rest, t) || (*t && slow(p, t_rest));
    if (!*t) return false;
    bool fits = pn == 1 && *p == '*';
    if (*p == '(') { /* words of one letter here */
        for (size_t i = 1; i < pn; i += 2) fits |= tn == 1 && p[i] == *t;
    } else {
        fits |= pn == tn && !memcmp(p, t, pn);
    }
    return fits && slow(p_rest, t_rest);
}

static uint32_t next_random(uint32_t *x)
{
    return *x = *x * 1664525u + 1013904223u;
}

static void agrees_with_trying_everything(void **state)
{
    (void)state;
    static const char *const parts[] = {"a", "b", "*", "**", "(a|b)", "(b|c)", "c", "**"};
    static const char *const words[] = {"a", "b", "c"};
    uint32_t random = 7, hits = 0, misses = 0;
    for (int i = 0; i < 20000; i++) {
        char pattern[64] = "", path[64] = "";
        int n = 1 + (int)(next_random(&random) >> 28) % 5, m = (int)(next_random(&random) >> 27) % 6;
        for (int k = 0; k < n; k++) strcat(strcat(pattern, k ? "." : ""), parts[(next_random(&random) >> 24) % 8]);
        for (int k = 0; k < m; k++) strcat(strcat(path, k ? "." : ""), words[(next_random(&random) >> 24) % 3]);
        forest f = forest_new();
        bool want = slow(pattern, path);
        hits += want;
        misses += !want;
        if (matches(&f, pattern, path) != want) fail_msg("\"%s\" and \"%s\"", pattern, path);
        arena_free(f.a);
    }
    assert_true(hits > 2000 && misses > 2000);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Thirty '**' and a path of two thousand segments that ends wrong: there are more ways to try than atoms. */
static void hostile_patterns_take_no_time(void **state)
{
    (void)state;
    forest f = forest_new();
    strbuf pattern = strbuf_new(f.a), path = strbuf_new(f.a);
    for (int i = 0; i < 29; i++) strbuf_adds(&pattern, "**.a.");
    strbuf_adds(&pattern, "**.b");
    for (int i = 0; i < 2000; i++) strbuf_adds(&path, "a.");
    strbuf_adds(&path, "c");
    double start = seconds();
    assert_false(matches(&f, pattern.s, path.s));
    assert_true(matches(&f, arena_printf(f.a, "%.*sc", (int)pattern.len - 1, pattern.s), path.s));
    assert_true(seconds() - start < 1);
    arena_free(f.a);
}

static void what_is_no_pattern(void **state)
{
    (void)state;
    forest f = forest_new();
    strbuf many = strbuf_new(f.a), wide = strbuf_new(f.a);
    strbuf_adds(&many, "a");
    for (int i = 0; i < PLACE_MAX_SEGMENTS; i++) strbuf_adds(&many, ".a");
    strbuf_adds(&wide, "(a");
    for (int i = 0; i < PLACE_MAX_WORDS; i++) strbuf_adds(&wide, "|a");
    strbuf_addc(&wide, ')');
    const struct {
        const char *text, *message;
        size_t begin;
    } cases[] = {
        {"", "this place is empty", 0},
        {"a.", "a segment of this place is empty", 2},
        {".a", "a segment of this place is empty", 0},
        {"a:", "a segment of this place is empty", 2},
        {"a.:p", "a segment of this place is empty", 2},
        {"a*", "'*' cannot stand inside a segment of a place", 1},
        {"a.***", "'*' cannot stand inside a segment of a place", 2},
        {"(a", "this parenthesis is not closed within its segment", 0},
        {"(", "this parenthesis is not closed within its segment", 0},
        {"a)", "')' cannot stand inside a segment of a place", 1},
        {"(a|b)c", "this parenthesis is not closed within its segment", 0},
        {"((a|b))", "'(' cannot stand inside a segment of a place", 1},
        {"(a|*)", "'*' cannot stand inside a segment of a place", 3},
        {"()", "a name is missing here", 0},
        {"(|)", "a name is missing here", 0},
        {"a|b", "'|' stands between parentheses", 1},
        {"(a.b|c)", "this parenthesis is not closed within its segment", 0},
        {"a:b:c", "a place ends with the name of its point", 3},
        {"a:b.c", "a place ends with the name of its point", 3},
        {"a:**", "'**' does not stand for names of points", 2},
        {many.s, "this place has too many segments", 2 * PLACE_MAX_SEGMENTS},
        {wide.s, "too many names in one segment", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        place p;
        place_mistake wrong = {0};
        if (place_parse(f.a, f.names, cases[i].text, &p, &wrong)) fail_msg("\"%s\" is a pattern", cases[i].text);
        if (strcmp(wrong.message, cases[i].message) || wrong.begin != cases[i].begin || wrong.end <= wrong.begin)
            fail_msg("\"%s\": %s at %zu", cases[i].text, wrong.message, wrong.begin);
    }
    arena_free(f.a);
}

static void the_tree_knows_its_paths(void **state)
{
    (void)state;
    forest f = forest_new();
    place_node *n = plant(&f, "vit.encoder.layer.11.output");
    assert_ptr_equal(plant(&f, "vit.encoder.layer.11.output"), n);
    assert_int_equal(f.tree->nodes.len, 6);
    assert_int_equal(n->depth, 5);
    assert_string_equal(place_path(f.tree, n), "vit.encoder.layer.11.output");
    assert_string_equal(place_path_general(f.tree, n, 4), "vit.encoder.layer.*");
    assert_string_equal(place_path(f.tree, plant(&f, "")), "");
    place p;
    place_mistake wrong;
    uint64_t states[6];
    assert_true(place_parse(f.a, f.names, "vit.*.layers.*", &p, &wrong));
    place_match(f.tree, &p, states);
    assert_int_equal(place_reached(f.tree, &p, states), 2);
    arena_free(f.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_patterns_match),           cmocka_unit_test(agrees_with_trying_everything),
        cmocka_unit_test(hostile_patterns_take_no_time), cmocka_unit_test(what_is_no_pattern),
        cmocka_unit_test(the_tree_knows_its_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
