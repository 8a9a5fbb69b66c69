#include "support/arena.h"
#include "support/vec.h"

#include "unit/cmocka_all.h"

#include <setjmp.h>

/* Runs out of memory into a jump, as the driver's handler does. */
typedef struct {
    jmp_buf env;
    int calls;
} exhaustion;

static void jump(void *arg)
{
    exhaustion *e = arg;
    e->calls++;
    longjmp(e->env, 1);
}

#define assert_exhausts(e, statement)                             \
    do {                                                          \
        int before = (e)->calls;                                  \
        if (!setjmp((e)->env)) {                                  \
            statement;                                            \
            fail_msg("%s did not run out of memory", #statement); \
        }                                                         \
        assert_int_equal((e)->calls, before + 1);                 \
    } while (0)

static void test_alignment_and_zeroes(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    for (size_t align = 1; align <= 65536; align *= 2)
        for (size_t size = 0; size < 5000; size = size * 2 + 1) {
            unsigned char *p = arena_alloc(a, size, align);
            assert_int_equal((uintptr_t)p % align, 0);
            for (size_t i = 0; i < size; i++) {
                if (p[i]) fail_msg("byte %zu of %zu is not zero", i, size);
                p[i] = 0xff; /* a later allocation that overlaps sees it */
            }
        }
    arena_free(a);
    arena_free(NULL);
}

static void test_empty_allocations_differ(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    void *p = arena_alloc(a, 0, 1), *q = arena_alloc(a, 0, 1);
    assert_non_null(p);
    assert_ptr_not_equal(p, q);
    arena_free(a);
}

static void test_large_allocations(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    char *small = arena_strndup(a, "kept", 4);
    size_t before = arena_bytes(a);
    char *large = arena_alloc(a, 8 << 20, 4096);
    large[0] = large[(8 << 20) - 1] = 1;
    assert_true(arena_bytes(a) >= before + (8 << 20));
    /* What was left of the first chunk is still used. */
    before = arena_bytes(a);
    arena_alloc(a, 100, 8);
    assert_int_equal(arena_bytes(a), before);
    assert_string_equal(small, "kept");
    arena_free(a);
}

static void test_exhaustion(void **state)
{
    (void)state;
    exhaustion e = {.calls = 0};
    arena *a = arena_new(jump, &e);
    arena_limit(a, 100000);
    char *kept = arena_printf(a, "%d kept", 1);
    assert_exhausts(&e, arena_alloc(a, 100000, 1));
    assert_exhausts(&e, arena_alloc(a, SIZE_MAX, 16));
    assert_exhausts(&e, arena_alloc(a, SIZE_MAX - 20, 1));
    assert_exhausts(&e, arena_array(a, SIZE_MAX / 4, 8, 8));
    assert_exhausts(&e, arena_array(a, (size_t)1 << 33, (size_t)1 << 33, 8)); /* 2^66 is 0 in size_t */
    assert_exhausts(&e, arena_strndup(a, "", SIZE_MAX));
    assert_exhausts(&e, arena_out_of_memory(a));
    assert_exhausts(&e, for (;;) arena_alloc(a, 1000, 1));
    assert_true(arena_bytes(a) <= 100000);
    assert_string_equal(kept, "1 kept");
    arena_limit(a, SIZE_MAX);
    assert_non_null(arena_alloc(a, 200000, 1)); /* an arena outlives its exhaustion */
    arena_free(a);
}

static void test_printf(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    assert_string_equal(arena_printf(a, "%s", ""), "");
    char *s = arena_printf(a, "%1000d|%s", 7, "x");
    assert_int_equal(strlen(s), 1002);
    assert_string_equal(s + 999, "7|x");
    assert_string_equal(arena_strndup(a, "abc", 2), "ab");
    assert_string_equal(arena_strndup(a, NULL, 0), "");
    arena_free(a);
}

static void test_vectors(void **state)
{
    (void)state;
    exhaustion e = {.calls = 0};
    arena *a = arena_new(jump, &e);
    VEC(uint64_t) v = {0};
    for (uint64_t i = 0; i < 10007; i++) vec_push(a, &v, i * i);
    assert_int_equal(v.len, 10007);
    for (uint64_t i = 0; i < v.len; i++) assert_int_equal(v.data[i], i * i);
    vec_push(a, &v, vec_last(&v)); /* the pushed expression reads the vector */
    uint64_t popped = vec_pop(&v);
    assert_int_equal(popped, vec_last(&v));
    uint64_t sum = 0, expected = 0;
    vec_foreach (uint64_t, p, &v) sum += *p;
    for (uint64_t i = 0; i < 10007; i++) expected += i * i;
    assert_int_equal(sum, expected);

    uint64_t *data = v.data;
    vec_reserve(a, &v, v.cap - v.len);
    assert_ptr_equal(data, v.data);
    assert_exhausts(&e, vec_reserve(a, &v, UINT32_MAX - 5)); /* len + extra wraps */
    VEC(char) none = {0};
    vec_foreach (char, p, &none) fail();
    vec_reserve(a, &none, 0);
    assert_int_equal(none.len, 0);
    arena_free(a);
}

typedef struct {
    int digit, *number;
} wish;

static void append_digit(void *arg)
{
    wish *w = arg;
    *w->number = *w->number * 10 + w->digit;
}

/* The last hook runs first, while what it points to in the arena is still there. */
static void test_hooks(void **state)
{
    (void)state;
    int number = 0;
    arena *a = arena_new(NULL, NULL);
    for (int i = 1; i <= 3; i++) {
        wish *w = ARENA_NEW(a, wish);
        *w = (wish){i, &number};
        arena_on_free(a, append_digit, w);
    }
    assert_int_equal(number, 0);
    arena_free(a);
    assert_int_equal(number, 321);
    arena_free(NULL);
}

/* Goes back over small requests, chunks that were full and chunks of one request, from everywhere in a chunk: what
 * stood before the mark stands, what is taken then is zero, and no memory is lost. */
static void test_back_to_a_mark(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 40, 700, 5000, 40000, 3 << 20};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    arena *a = arena_new(NULL, NULL);
    arena_mark start = arena_here(a);
    VEC(char *) kept = {0};
    arena *b = arena_new(NULL, NULL); /* of the list */
    uint32_t random = 1;
    for (int round = 0; round < 200; round++) {
        arena_mark m = arena_here(a);
        size_t before = arena_bytes(a);
        for (int i = 0; i < 30; i++) {
            random = random * 1664525 + 1013904223;
            size_t n = sizes[(random >> 16) % SIZES];
            unsigned char *p = arena_alloc(a, n, (size_t)1 << (random >> 28) % 7);
            for (size_t k = 0; k < n; k++)
                if (p[k]) fail_msg("round %d: byte %zu of %zu is not zero", round, k, n);
            memset(p, 0xff, n);
        }
        arena_back_to(a, m);
        assert_int_equal(arena_bytes(a), before);
        vec_push(b, &kept, arena_printf(a, "%d%*d", round, round * 10, round));
    }
    for (uint32_t i = 0; i < kept.len; i++)
        assert_string_equal(kept.data[i], arena_printf(b, "%u%*u", i, (int)i * 10, i));
    arena_back_to(a, start);
    assert_int_equal(arena_bytes(a), 0);
    assert_non_null(arena_alloc(a, 100, 8));
    arena_free(a);
    arena_free(b);
}

static void test_within(void **state)
{
    (void)state;
    exhaustion e = {.calls = 0};
    arena *outer = arena_new(jump, &e), *inner = arena_within(outer);
    arena_limit(inner, 1000);
    assert_exhausts(&e, arena_alloc(inner, 100000, 1));
    arena_free(inner);
    arena_free(outer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment_and_zeroes),
        cmocka_unit_test(test_empty_allocations_differ),
        cmocka_unit_test(test_large_allocations),
        cmocka_unit_test(test_exhaustion),
        cmocka_unit_test(test_printf),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_hooks),
        cmocka_unit_test(test_back_to_a_mark),
        cmocka_unit_test(test_within),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
