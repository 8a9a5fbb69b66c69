/* The safetensors reader: what is legal is read, and every lie in a header is refused with the tensor's name. */
#include "ir/weights.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct {
    arena *a;
    diags *d;
} session;

static session begin(void)
{
    arena *a = arena_new(NULL, NULL);
    return (session){a, diags_new(a, source_set_new(a), 0)};
}

static const char *messages(session s)
{
    strbuf out = strbuf_new(s.a);
    diags_render_text(s.d, &out);
    return out.s;
}

/* A file's bytes, exactly sized on the heap. */
static uint8_t *file_bytes(const char *json, uint64_t header, uint64_t data, uint64_t *size)
{
    uint64_t n = strlen(json);
    *size = 8 + n + data;
    uint8_t *p = calloc(1, *size);
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(header >> 8 * i);
    memcpy(p + 8, json, n);
    for (uint64_t i = 0; i < data; i++) p[8 + n + i] = (uint8_t)i;
    return p;
}

static void accepted(const char *json, uint64_t data)
{
    session s = begin();
    uint64_t size;
    uint8_t *p = file_bytes(json, strlen(json), data, &size);
    if (!weights_check(s.a, s.d, "m.safetensors", p, size)) fail_msg("refused: %s\n%s", json, messages(s));
    assert_int_equal(diags_errors(s.d), 0);
    free(p);
    arena_free(s.a);
}

static void refused_as(const char *json, uint64_t header, uint64_t data, const char *why)
{
    session s = begin();
    uint64_t size;
    uint8_t *p = file_bytes(json, header, data, &size);
    if (weights_check(s.a, s.d, "m.safetensors", p, size)) fail_msg("accepted: %s", json);
    assert_int_equal(diags_errors(s.d), 1);
    const char *text = messages(s);
    if (strncmp(text, "m.safetensors: error: ", 22) != 0 || !strstr(text, why))
        fail_msg("expected '%s', got '%s'", why, text);
    free(p);
    arena_free(s.a);
}

static void refused(const char *json, uint64_t data, const char *why)
{
    refused_as(json, strlen(json), data, why);
}

static void test_legal_headers(void **state)
{
    (void)state;
    accepted("{}", 0);
    accepted("{}        ", 0);
    accepted("{\"__metadata__\":{\"format\":\"pt\"}}", 0);
    accepted("{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}", 24);
    /* rank 0, sizes of zero, entries out of order, a name that is not ASCII, an empty name */
    accepted("{\"b\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[2,10]},"
             "\"e\":{\"dtype\":\"F32\",\"shape\":[3,0,4],\"data_offsets\":[2,2]},"
             "\"\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[10,10]},"
             "\"\\u00e9\":{\"data_offsets\":[0,2],\"dtype\":\"BF16\",\"shape\":[1,1,1,1,1,1,1,1]}}",
             10);
    /* every dtype, sub-byte ones in whole bytes */
    const char *names[] = {"BOOL", "I8",  "U8",  "I16",     "U16",     "I32",     "U32", "I64",     "U64",    "F16",
                           "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4",  "F6_E2M3", "F6_E3M2"};
    const int bits[] = {8, 8, 8, 16, 16, 32, 32, 64, 64, 16, 16, 32, 64, 8, 8, 8, 4, 6, 6};
    for (int i = 0; i < 19; i++) {
        char json[128];
        snprintf(json, sizeof json, "{\"t\":{\"dtype\":\"%s\",\"shape\":[4],\"data_offsets\":[0,%d]}}", names[i],
                 bits[i] / 2);
        accepted(json, (uint64_t)bits[i] / 2);
    }
}

#define T(name, dtype, shape, offsets) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define ONE(dtype, shape, offsets) "{" T("x", dtype, shape, offsets) "}"

static void test_lies_about_a_tensor(void **state)
{
    (void)state;
    const struct {
        const char *json;
        uint64_t data;
        const char *why;
    } cases[] = {
        {ONE("F32", "[2,3]", "[0,20]"), 20, "tensor 'x': its data does not have the bytes of its shape"},
        {ONE("F32", "[2,3]", "[0,28]"), 28, "24 bytes for f32[2, 3]"},
        {ONE("F32", "[]", "[0,0]"), 0, "4 bytes for f32[]"},
        {ONE("F32", "[2,3]", "[0,24]"), 23, "tensor 'x': its data ends at byte 24, the file has 23 bytes of data"},
        {ONE("F32", "[2,3]", "[0,24]"), 25, "tensor 'x': it is the last one, but the file goes on after it"},
        {ONE("F32", "[2,3]", "[4,28]"), 28, "tensor 'x': there is a gap before its data"},
        {ONE("F32", "[2,3]", "[24,0]"), 24, "from byte 24 to byte 0"},
        {ONE("F32", "[2,3]", "[-24,0]"), 24, "from byte -24 to byte 0"},
        {ONE("F32", "[2,3]", "[0]"), 24, "not a list of two integers"},
        {ONE("F32", "[2,3]", "[0,24,24]"), 24, "not a list of two integers"},
        {ONE("F32", "[2,3]", "[0,24.0]"), 24, "not a list of two integers"},
        {ONE("F32", "[2,3]", "{}"), 24, "not a list of two integers"},
        {ONE("F32", "[2,3]", "[0,9223372036854775807]"), 24, "ends at byte 9223372036854775807"},
        {ONE("F32", "[2,3]", "[0,9223372036854775808]"), 24, "not valid JSON"},
        {ONE("F32", "[2,-3]", "[0,24]"), 24, "tensor 'x': size 1 of its shape is not an integer"},
        {ONE("F32", "[2,3.0]", "[0,24]"), 24, "size 1 of its shape"},
        {ONE("F32", "[2,1e400]", "[0,24]"), 24, "not valid JSON"},
        {ONE("F32", "[2,true]", "[0,24]"), 24, "size 1 of its shape"},
        {ONE("F32", "[\"2\",3]", "[0,24]"), 24, "size 0 of its shape"},
        {ONE("F32", "6", "[0,24]"), 24, "'shape' is not a list"},
        {ONE("F32", "[4294967296,4294967296]", "[0,24]"), 24, "the product of its sizes overflows"},
        {ONE("F32", "[4294967296,2147483647]", "[0,24]"), 24, "the product of its sizes overflows"},
        {ONE("U8", "[4294967296,4294967296,0]", "[0,0]"), 0, "the product of its sizes overflows"},
        {ONE("U8", "[4611686018427387905,4]", "[0,4]"), 4, "the product of its sizes overflows"},
        {ONE("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "9 axes; at most 8"},
        {ONE("F33", "[1]", "[0,4]"), 4, "tensor 'x': dtype 'F33' is not supported"},
        {ONE("f32", "[1]", "[0,4]"), 4, "dtype 'f32' is not supported"},
        {ONE("C64", "[1]", "[0,8]"), 8, "dtype 'C64' is not supported"},
        {ONE("", "[1]", "[0,4]"), 4, "dtype '' is not supported"},
        {ONE("F4", "[3]", "[0,2]"), 2, "its f4 elements do not fill whole bytes"},
        {"{\"x\":{\"dtype\":4,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "'dtype' is not a string"},
        {"{\"x\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor 'x': 'dtype' is missing"},
        {"{\"x\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "tensor 'x': 'shape' is missing"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "tensor 'x': 'data_offsets' is missing"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"y\":1}}", 4,
         "tensor 'x': the format has no field 'y'"},
        {"{\"x\":[1]}", 4, "tensor 'x': its entry is not a JSON object"},
        {"{\"x\":null}", 4, "tensor 'x': its entry is not a JSON object"},
        {"{" T("a", "U8", "[4]", "[0,4]") "," T("b", "U8", "[4]", "[3,7]") "}", 7,
         "tensor 'b': its data overlaps that of 'a'"},
        {"{" T("b", "U8", "[4]", "[0,4]") "," T("a", "U8", "[4]", "[0,4]") "}", 4,
         "tensor 'b': its data overlaps that of 'a'"},
        {"{" T("a", "U8", "[4]", "[0,4]") "," T("b", "U8", "[4]", "[5,9]") "}", 9,
         "tensor 'b': there is a gap between its data and that of 'a'"},
        {"{" T("a", "U8", "[4]", "[0,4]") "," T("e", "U8", "[0]", "[2,2]") "}", 4, "tensor 'e': its data overlaps"},
        {"{" T("a\\u001b[31m", "F33", "[4]", "[0,4]") "}", 4, "tensor 'a?[31m'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) refused(cases[i].json, cases[i].data, cases[i].why);
}

static void test_lies_about_the_header(void **state)
{
    (void)state;
    const char *good = ONE("F32", "[2,3]", "[0,24]");
    refused_as(good, strlen(good) + 25, 24, "cut off within its header");
    refused_as(good, UINT64_MAX, 24, "its header would be too long");
    refused_as(good, UINT64_C(1) << 63, 24, "its header would be too long");
    refused_as(good, 100000001, 24, "its header would be too long");
    refused_as(good, strlen(good) - 1, 24, "not valid JSON");
    refused_as(good, strlen(good) + 1, 24, "not valid JSON");
    refused_as(good, 0, 24, "does not begin with '{'");
    refused("", 0, "does not begin with '{'");
    refused("[]", 0, "does not begin with '{'");
    refused(" {}", 0, "does not begin with '{'");
    refused("{} x", 0, "not valid JSON");
    refused("{\"a\":}", 0, "not valid JSON at byte");
    refused("{}", 3, "3 bytes of data, but no tensor");
    refused("{" T("same", "U8", "[1]", "[0,1]") "," T("same", "U8", "[1]", "[1,2]") "}", 2, "same");
    refused("{\"x\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "dtype");
    refused("{\"\xff\":{}}", 0, "not valid JSON");
    refused("{\"\xc3\":{}}", 0, "not valid JSON");
    refused("{\"a\\u0000b\":{}}", 0, "not valid JSON");
    refused("{" T("a\\nb", "U8", "[1]", "[0,1]") "}", 1, "its name has a control character");
    refused("{\"__metadata__\":[]}", 0, "'__metadata__' is not a JSON object");
    refused("{\"__metadata__\":{\"n\":1}}", 0, "'__metadata__': 'n' is not a string");
    char deep[6000];
    memset(deep, '[', sizeof deep);
    memcpy(deep, "{\"x\":", 5);
    deep[sizeof deep - 1] = 0;
    refused(deep, 0, "not valid JSON");

    session s = begin();
    assert_false(weights_check(s.a, s.d, "e", "", 0));
    assert_string_equal(messages(s), "e: error: the file is empty\n");
    arena_free(s.a);
    for (uint64_t n = 1; n < 8; n++) {
        s = begin();
        uint8_t *p = calloc(1, n);
        assert_false(weights_check(s.a, s.d, "m", p, n));
        assert_non_null(strstr(messages(s), "cut off"));
        free(p);
        arena_free(s.a);
    }
    /* cut at every byte */
    uint64_t size;
    uint8_t *p = file_bytes(good, strlen(good), 24, &size);
    for (uint64_t n = 0; n < size; n++) {
        s = begin();
        uint8_t *cut = malloc(n ? n : 1);
        memcpy(cut, p, n);
        assert_false(weights_check(s.a, s.d, "m", cut, n));
        assert_int_equal(diags_errors(s.d), 1);
        free(cut);
        arena_free(s.a);
    }
    free(p);
}

static void test_a_message_whole(void **state)
{
    (void)state;
    session s = begin();
    uint64_t size;
    const char *json = ONE("F32", "[2,3]", "[0,20]");
    uint8_t *p = file_bytes(json, strlen(json), 20, &size);
    assert_false(weights_check(s.a, s.d, "dir/m.safetensors", p, size));
    assert_string_equal(messages(s),
                        "dir/m.safetensors: error: tensor 'x': its data does not have the bytes of its shape\n"
                        "  expected: 24 bytes for f32[2, 3]\n"
                        "       got: 20 bytes\n");
    free(p);
    arena_free(s.a);
}

/* ---- files ---- */

static void write_file(char path[64], const void *bytes, uint64_t n)
{
    strcpy(path, "/tmp/tfxc-weights-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    close(fd);
}

static void test_reading_a_file(void **state)
{
    (void)state;
    const char *json = "{\"__metadata__\":{\"format\":\"pt\",\"k\":\"v\"}," T("b", "U8", "[3]", "[8,11]") "," T(
        "a.weight", "F32", "[1,2]", "[0,8]") "," T("zero", "F32", "[0]", "[0,0]") "}";
    uint64_t size;
    uint8_t *p = file_bytes(json, strlen(json), 11, &size);
    char path[64];
    write_file(path, p, size);
    session s = begin();
    weights_file *w = weights_open(s.a, s.d, path);
    if (!w) fail_msg("%s", messages(s));
    assert_string_equal(weights_path(w), path);
    assert_int_equal(weights_count(w), 3);
    assert_string_equal(weights_at(w, 0)->name, "zero");
    assert_string_equal(weights_at(w, 1)->name, "a.weight");
    assert_string_equal(weights_at(w, 2)->name, "b");
    const weights_tensor *t = weights_find(w, "a.weight");
    assert_ptr_equal(t, weights_at(w, 1));
    assert_int_equal(t->dt, DT_F32);
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->shape[1], 2);
    assert_memory_equal(weights_data(w, t), "\0\1\2\3\4\5\6\7", 8);
    assert_memory_equal(weights_data(w, weights_at(w, 2)), "\x8\x9\xa", 3);
    assert_null(weights_find(w, "a.weigh"));
    assert_null(weights_find(w, "a.weight2"));
    assert_null(weights_find(w, ""));
    assert_string_equal(weights_metadata(w, "format"), "pt");
    assert_string_equal(weights_metadata(w, "k"), "v");
    assert_null(weights_metadata(w, "none"));
    weights_done(w, t->offset, t->bytes);
    assert_memory_equal(weights_data(w, t), "\0\1\2\3\4\5\6\7", 8);

    const char *why = NULL;
    assert_true(weights_unchanged(w, &why));
    assert_int_equal(truncate(path, (off_t)size - 1), 0);
    assert_false(weights_unchanged(w, &why));
    assert_non_null(strstr(why, "shorter"));
    weights_close(w);
    unlink(path);
    free(p);
    arena_free(s.a);
}

/* Pages given back come again from the file. */
static void test_done_pages(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    char json[160];
    snprintf(json, sizeof json, "{" T("a", "U8", "[%d]", "[0,%d]") "," T("b", "U8", "[3]", "[%d,%d]") "}", N, N, N,
             N + 3);
    uint64_t size;
    uint8_t *p = file_bytes(json, strlen(json), N + 3, &size);
    char path[64];
    write_file(path, p, size);
    session s = begin();
    weights_file *w = weights_open(s.a, s.d, path);
    assert_non_null(w);
    for (int round = 0; round < 2; round++) {
        const weights_tensor *t = weights_find(w, "a");
        const uint8_t *data = weights_data(w, t);
        for (int i = 0; i < N; i++) assert_int_equal(data[i], (uint8_t)i);
        weights_done(w, t->offset, t->bytes);
        assert_memory_equal(weights_data(w, weights_find(w, "b")), "\0\1\2", 3);
        weights_done(w, N, 3);
    }
    weights_close(w);
    unlink(path);
    free(p);
    arena_free(s.a);
}

static void cannot_open(const char *path, const char *want)
{
    session s = begin();
    assert_null(weights_open(s.a, s.d, path));
    assert_string_equal(messages(s), want);
    arena_free(s.a);
}

static void test_files_that_cannot_be_opened(void **state)
{
    (void)state;
    cannot_open("/nonexistent/m.safetensors", "/nonexistent/m.safetensors: error: No such file or directory\n");
    cannot_open("/tmp", "/tmp: error: is a directory\n");
    cannot_open("/dev/zero", "/dev/zero: error: is not a regular file\n");
    cannot_open("", ": error: No such file or directory\n");
    char path[64], want[128];
    write_file(path, "", 0);
    snprintf(want, sizeof want, "%s: error: the file is empty\n", path);
    cannot_open(path, want);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(want, sizeof want, "%s: error: is not a regular file\n", path);
    cannot_open(path, want);
    unlink(path);
    if (geteuid() != 0) { /* root may read anything */
        write_file(path, "x", 1);
        chmod(path, 0);
        snprintf(want, sizeof want, "%s: error: Permission denied\n", path);
        cannot_open(path, want);
        unlink(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_legal_headers),
        cmocka_unit_test(test_lies_about_a_tensor),
        cmocka_unit_test(test_lies_about_the_header),
        cmocka_unit_test(test_a_message_whole),
        cmocka_unit_test(test_reading_a_file),
        cmocka_unit_test(test_done_pages),
        cmocka_unit_test(test_files_that_cannot_be_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
