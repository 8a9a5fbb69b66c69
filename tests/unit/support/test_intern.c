#include "support/intern.h"

#include "unit/cmocka_all.h"

#include <stdio.h>

static void test_equal_text_is_one_pointer(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    interner *in = interner_new(a);
    char text[] = "weight";
    const char *w = intern(in, text, 6);
    assert_ptr_not_equal(w, text);
    text[0] = 'h';
    assert_string_equal(w, "weight");
    assert_ptr_equal(intern_z(in, "weight"), w);
    assert_ptr_equal(intern(in, "weights", 6), w);
    assert_ptr_not_equal(intern_z(in, "weights"), w);
    assert_ptr_not_equal(intern_z(in, text), w);
    assert_ptr_equal(intern(in, NULL, 0), intern_z(in, ""));
    /* Bytes count, not strings. */
    const char *nul = intern(in, "a\0b", 3);
    assert_ptr_not_equal(nul, intern_z(in, "a"));
    assert_memory_equal(nul, "a\0b", 4);
    arena_free(a);
}

static void test_many_names(void **state)
{
    (void)state;
    enum { N = 20000 };
    arena *a = arena_new(NULL, NULL);
    interner *in = interner_new(a);
    const char **seen = ARENA_ARRAY(a, const char *, N);
    char text[64];
    for (int i = 0; i < N; i++) seen[i] = intern(in, text, (size_t)snprintf(text, sizeof text, "layer.%d.weight", i));
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "layer.%d.weight", i);
        assert_string_equal(seen[i], text);
        assert_ptr_equal(intern_z(in, text), seen[i]);
    }
    arena_free(a);
}

static void test_map(void **state)
{
    (void)state;
    enum { N = 3001 };
    arena *a = arena_new(NULL, NULL);
    ptrmap *m = ptrmap_new(a);
    int *keys = ARENA_ARRAY(a, int, N), *values = ARENA_ARRAY(a, int, 2);
    assert_null(ptrmap_get(m, &keys[0]));
    assert_false(ptrmap_has(m, &keys[0]));
    assert_int_equal(ptrmap_len(m), 0);
    for (int i = 0; i < N; i++) {
        assert_false(ptrmap_has(m, &keys[i]));
        ptrmap_set(m, &keys[i], &values[0]);
    }
    for (int i = 0; i < N; i += 2) ptrmap_set(m, &keys[i], &values[1]); /* replaces */
    assert_int_equal(ptrmap_len(m), N);
    for (int i = 0; i < N; i++) {
        assert_ptr_equal(ptrmap_get(m, &keys[i]), &values[i % 2 == 0]);
        assert_ptr_equal(ptrmap_key_at(m, (uint32_t)i), &keys[i]); /* in order of insertion */
        assert_ptr_equal(ptrmap_value_at(m, (uint32_t)i), &values[i % 2 == 0]);
    }
    assert_false(ptrmap_has(m, values));
    /* NULL is a value like any other, and a key too. */
    ptrmap_set(m, NULL, NULL);
    assert_true(ptrmap_has(m, NULL));
    assert_null(ptrmap_get(m, NULL));
    ptrmap_set(m, &keys[0], NULL);
    assert_true(ptrmap_has(m, &keys[0]));
    arena_free(a);
}

/* Pinned: names of generated things and the order of tables must not depend on the machine. */
static void test_hash_is_the_same_everywhere(void **state)
{
    (void)state;
    assert_int_equal(hash_bytes("", 0, 0), hash_bytes(NULL, 0, 0));
    char text[] = " the quick brown fox";
    uint64_t h = hash_bytes(text + 1, 19, 0);
    memmove(text, text + 1, 19);
    assert_int_equal(hash_bytes(text, 19, 0), h); /* whatever the alignment */
    assert_int_not_equal(hash_bytes(text, 19, 1), h);
    assert_int_not_equal(hash_bytes(text, 18, 0), h);
    assert_true(hash_bytes("tfxc", 4, 0) == UINT64_C(0x2b1fc86fc7b4270a));
    assert_true(hash_bytes("safetensors", 11, 7) == UINT64_C(0xb79f559dd8685afd));
}

/* Each flipped bit of the input flips about half of the output. */
static void test_hash_spreads(void **state)
{
    (void)state;
    unsigned char text[24] = {0};
    uint64_t h = hash_bytes(text, sizeof text, 0);
    for (size_t bit = 0; bit < 8 * sizeof text; bit++) {
        text[bit / 8] ^= (unsigned char)(1u << bit % 8);
        int changed = __builtin_popcountll(h ^ hash_bytes(text, sizeof text, 0));
        text[bit / 8] ^= (unsigned char)(1u << bit % 8);
        if (changed < 12 || changed > 52) fail_msg("bit %zu changes %d bits", bit, changed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_text_is_one_pointer),
        cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_hash_is_the_same_everywhere),
        cmocka_unit_test(test_hash_spreads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
