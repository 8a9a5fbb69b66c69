/* .npy and .npz: what NumPy writes is read, what is written here is what NumPy writes, and damage is refused. */
#include "runtime/npy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

typedef struct {
    uint8_t b[8192];
    size_t n;
} buffer;

static void add(buffer *o, const void *p, size_t n)
{
    assert_true(o->n + n <= sizeof o->b);
    if (n) memcpy(o->b + o->n, p, n);
    o->n += n;
}

static void add_int(buffer *o, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        uint8_t b = (uint8_t)(v >> 8 * i);
        add(o, &b, 1);
    }
}

static buffer npy(int version, const char *dict, const void *data, size_t bytes)
{
    buffer o = {.n = 0};
    add(&o, "\x93NUMPY", 6);
    add_int(&o, (uint64_t)version, 2);
    add_int(&o, strlen(dict), version == 1 ? 2 : 4);
    add(&o, dict, strlen(dict));
    add(&o, data, bytes);
    return o;
}

static char err[256];

static bool parse(const buffer *o, npy_array *a)
{
    /* exactly sized, so that a read past the end is seen by ASan */
    uint8_t *copy = malloc(o->n ? o->n : 1);
    memcpy(copy, o->b, o->n);
    err[0] = 0;
    bool ok = npy_parse(copy, o->n, "x.npy", a, err, sizeof err);
    free(copy);
    return ok;
}

static void refused(const buffer *o, const char *why)
{
    npy_array a;
    if (parse(o, &a)) fail_msg("accepted, expected: %s", why);
    if (!strstr(err, why)) fail_msg("expected '%s', got '%s'", why, err);
    assert_non_null(strstr(err, "x.npy: "));
}

static void test_reads_what_numpy_writes(void **state)
{
    (void)state;
    const float f[6] = {0, 1, 2, 3, 4, 5};
    npy_array a;
    for (int version = 1; version <= 3; version++) {
        buffer o = npy(version, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n", f, sizeof f);
        assert_true(parse(&o, &a));
        assert_int_equal(a.type, NPY_F32);
        assert_int_equal(a.rank, 2);
        assert_int_equal(a.shape[0], 2);
        assert_int_equal(a.shape[1], 3);
        assert_int_equal(a.bytes, 24);
        assert_memory_equal(a.data, f, 24);
        assert_int_equal((uintptr_t)a.data % 64, 0);
        npy_free(&a);
    }
    /* Fortran order, other key order, double quotes */
    buffer o = npy(1, "{\"shape\": (2,3), 'fortran_order': True, 'descr': '<f4'}\n", f, sizeof f);
    assert_true(parse(&o, &a));
    const float c_order[6] = {0, 2, 4, 1, 3, 5};
    assert_memory_equal(a.data, c_order, 24);
    npy_free(&a);
    /* three axes in Fortran order */
    int64_t v[24], want[24];
    for (int i = 0; i < 24; i++) v[i] = i;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 4; k++) want[(i * 3 + j) * 4 + k] = i + 2 * j + 6 * k;
    o = npy(1, "{'descr': '<i8', 'fortran_order': True, 'shape': (2, 3, 4), }\n", v, sizeof v);
    assert_true(parse(&o, &a));
    assert_memory_equal(a.data, want, sizeof want);
    npy_free(&a);
    /* big endian */
    const uint8_t big[8] = {0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0};
    o = npy(1, "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }\n", big, 8);
    assert_true(parse(&o, &a));
    assert_true(((float *)a.data)[0] == 1 && ((float *)a.data)[1] == -2);
    npy_free(&a);
    /* a scalar, an empty array, Python 2 longs, bools that are not 0 or 1 */
    o = npy(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }\n", &(double){2.5}, 8);
    assert_true(parse(&o, &a));
    assert_int_equal(a.rank, 0);
    assert_true(*(double *)a.data == 2.5);
    npy_free(&a);
    o = npy(1, "{'descr': '<f8', 'fortran_order': True, 'shape': (3, 0, 5), }\n", NULL, 0);
    assert_true(parse(&o, &a));
    assert_int_equal(a.bytes, 0);
    assert_non_null(a.data);
    npy_free(&a);
    o = npy(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (3L,), }\n", "\x00\x02\xff", 3);
    assert_true(parse(&o, &a));
    assert_memory_equal(a.data, "\x00\x01\x01", 3);
    npy_free(&a);
    o = npy(1, "{'descr': '?', 'fortran_order': False, 'shape': (1,)}", "\x01", 1);
    assert_true(parse(&o, &a));
    assert_int_equal(a.type, NPY_BOOL);
    npy_free(&a);
    /* what ml_dtypes gives */
    o = npy(1, "{'descr': '<V2', 'fortran_order': False, 'shape': (1,), }", "\x80\x3f", 2);
    assert_true(parse(&o, &a));
    assert_int_equal(a.type, NPY_RAW16);
    assert_memory_equal(a.data, "\x80\x3f", 2);
    npy_free(&a);
}

static void test_refuses_damage(void **state)
{
    (void)state;
    const float f[6] = {0};
    const struct {
        const char *dict;
        size_t bytes;
        const char *why;
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 23, "24 bytes by its header, 23 in the file"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", 17, "16 bytes by its header, 17 in the file"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3), }", 24, "not a number"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2.0, 3), }", 24, "tuple of numbers"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6), }", 24, "not a tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': 6, }", 24, "not a tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,,), }", 24, "not a number"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 24, "64 bits"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 4), }", 24, "overflow"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9223372036854775807, 4), }", 0, "overflow"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,), }", 0, "overflow"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': "
         "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
         "1,1), }",
         4, "more than 32 axes"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (6,), }", 24, "neither True nor False"},
        {"{'descr': '<f4', 'shape': (6,), }", 24, "lacks"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", 24, "twice"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,), 'x': 1}", 24, "not of the format"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,)} 1", 24, "goes on"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,)", 24, "not a Python dict"},
        {"{'descr': '<f4' 'fortran_order': False, 'shape': (6,)}", 24, "not a Python dict"},
        {"{'descr", 24, "not a Python dict"},
        {"", 24, "not a Python dict"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }", 24, "structured"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (6,), }", 24, "Python objects"},
        {"{'descr': '<U3', 'fortran_order': False, 'shape': (2,), }", 24, "strings"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (3,), }", 24, "complex"},
        {"{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (3,), }", 24, "dates"},
        {"{'descr': '<f16', 'fortran_order': False, 'shape': (1,), }", 16, "floats of this size"},
        {"{'descr': '<x4', 'fortran_order': False, 'shape': (1,), }", 4, "not known"},
        {"{'descr': '', 'fortran_order': False, 'shape': (1,), }", 4, "not known"},
        {"{'descr': '<', 'fortran_order': False, 'shape': (1,), }", 4, "not known"},
        {"{'descr': 4, 'fortran_order': False, 'shape': (1,), }", 4, "not a string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buffer o = npy(1 + (int)(i % 3), cases[i].dict, f, cases[i].bytes);
        refused(&o, cases[i].why);
    }
    buffer o = npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", f, 24);
    for (size_t n = 0; n < o.n; n++) { /* cut anywhere */
        buffer cut = o;
        cut.n = n;
        npy_array a;
        assert_false(parse(&cut, &a));
    }
    o.b[6] = 4;
    refused(&o, "version 4.0");
    o.b[6] = 1;
    o.b[8] = o.b[9] = 0xff;
    refused(&o, "the header should have 65535 bytes");
    o.b[0] = 0;
    refused(&o, "not a .npy file");
}

static void temporary(char path[64])
{
    strcpy(path, "/tmp/tfxc-npy-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

static void test_every_type_round_trips(void **state)
{
    (void)state;
    const int64_t shapes[][3] = {{0}, {5}, {2, 3}, {3, 1, 7}, {4, 0, 2}};
    const uint32_t ranks[] = {0, 1, 2, 3, 3};
    char path[64];
    temporary(path);
    for (int t = 0; t < NPY_TYPES; t++)
        for (int s = 0; s < 5; s++) {
            npy_array a, b;
            assert_true(npy_new(&a, NULL, (npy_type)t, ranks[s], shapes[s]));
            assert_int_equal(a.bytes, npy_elements(&a) * npy_item_size(a.type));
            for (size_t i = 0; i < a.bytes; i++) ((uint8_t *)a.data)[i] = (uint8_t)(t == NPY_BOOL ? i % 2 : i * 37 + 1);
            assert_true(npy_write(path, &a, err, sizeof err));
            assert_true(npy_read(path, &b, err, sizeof err));
            assert_int_equal(b.type, t);
            assert_int_equal(b.rank, a.rank);
            assert_memory_equal(a.shape, b.shape, sizeof a.shape);
            assert_int_equal(a.bytes, b.bytes);
            if (a.bytes) assert_memory_equal(a.data, b.data, a.bytes);
            size_t n;
            char *head = npy_header(&a, &n);
            assert_int_equal(n % 64, 0);
            assert_int_equal(head[n - 1], '\n');
            free(head);
            npy_free(&a);
            npy_free(&b);
        }
    unlink(path);
    npy_array a;
    const int64_t negative[1] = {-1}, huge[2] = {INT64_MAX, 2};
    assert_false(npy_new(&a, NULL, NPY_F32, 1, negative));
    assert_false(npy_new(&a, NULL, NPY_U8, 2, huge));
    /* one and two axes exactly as NumPy writes them */
    assert_true(npy_new(&a, NULL, NPY_F32, 1, (int64_t[]){3}));
    size_t n;
    char *head = npy_header(&a, &n);
    assert_non_null(strstr(head + 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"));
    free(head);
    npy_free(&a);
    assert_true(npy_new(&a, NULL, NPY_BOOL, 2, (int64_t[]){3, 4}));
    head = npy_header(&a, &n);
    assert_non_null(strstr(head + 10, "{'descr': '|b1', 'fortran_order': False, 'shape': (3, 4), }"));
    free(head);
    npy_free(&a);
}

static void test_files_that_cannot_be_used(void **state)
{
    (void)state;
    npy_array a, *list;
    size_t n;
    assert_false(npy_read("/nonexistent/x.npy", &a, err, sizeof err));
    assert_string_equal(err, "/nonexistent/x.npy: No such file or directory");
    assert_false(npy_read("/tmp", &a, err, sizeof err));
    assert_string_equal(err, "/tmp: Is a directory");
    assert_false(npy_load("/dev/null", &list, &n, err, sizeof err));
    assert_non_null(strstr(err, "not a .npy file"));
    assert_true(npy_new(&a, "a", NPY_F32, 1, (int64_t[]){70000}));
    assert_false(npy_write("/dev/full", &a, err, sizeof err));
    assert_string_equal(err, "/dev/full: cannot write: No space left on device");
    assert_false(npz_write("/dev/full", &a, 1, err, sizeof err));
    assert_string_equal(err, "/dev/full: cannot write: No space left on device");
    assert_int_equal(access("/dev/full", F_OK), 0);
    assert_false(npz_write("/nonexistent/x.npz", &a, 1, err, sizeof err));
    npy_free(&a);
}

/* ---- archives, built by hand as zip tools build them ---- */

typedef struct {
    const char *name;
    buffer data;
    int method;
    bool zip64, streamed; /* 64-bit extra fields as numpy.savez forces; sizes after the data */
    bool bad_crc, encrypted;
    int64_t claim; /* uncompressed size to claim, -1: the truth */
} entry;

static buffer zip(const entry *entries, int n, bool end64)
{
    buffer o = {.n = 0}, dir = {.n = 0};
    for (int i = 0; i < n; i++) {
        const entry *e = &entries[i];
        uint8_t packed[8192];
        size_t packed_n = e->data.n;
        memcpy(packed, e->data.b, e->data.n);
        if (e->method == 8) {
            z_stream s = {0};
            deflateInit2(&s, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
            s.next_in = (Bytef *)(uintptr_t)e->data.b;
            s.avail_in = (uInt)e->data.n;
            s.next_out = packed;
            s.avail_out = sizeof packed;
            assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
            packed_n = s.total_out;
            deflateEnd(&s);
        }
        uint64_t size = e->claim >= 0 ? (uint64_t)e->claim : e->data.n, at = o.n;
        uint32_t crc = (uint32_t)crc32(0, e->data.b, (uInt)e->data.n) ^ e->bad_crc;
        unsigned flags = (e->encrypted ? 1u : 0) | (e->streamed ? 8u : 0);
        add_int(&o, 0x04034b50, 4);
        add_int(&o, 20, 2), add_int(&o, flags, 2), add_int(&o, (uint64_t)e->method, 2), add_int(&o, 0, 4);
        add_int(&o, e->streamed ? 0 : crc, 4);
        add_int(&o, e->zip64 ? 0xffffffff : e->streamed ? 0 : packed_n, 4);
        add_int(&o, e->zip64 ? 0xffffffff : e->streamed ? 0 : size, 4);
        add_int(&o, strlen(e->name), 2), add_int(&o, e->zip64 ? 20 : 0, 2);
        add(&o, e->name, strlen(e->name));
        if (e->zip64) add_int(&o, 1, 2), add_int(&o, 16, 2), add_int(&o, size, 8), add_int(&o, packed_n, 8);
        add(&o, packed, packed_n);
        if (e->streamed)
            add_int(&o, 0x08074b50, 4), add_int(&o, crc, 4), add_int(&o, packed_n, 4), add_int(&o, size, 4);

        add_int(&dir, 0x02014b50, 4);
        add_int(&dir, 20, 2), add_int(&dir, 20, 2), add_int(&dir, flags, 2), add_int(&dir, (uint64_t)e->method, 2);
        add_int(&dir, 0, 4), add_int(&dir, crc, 4);
        add_int(&dir, e->zip64 ? 0xffffffff : packed_n, 4), add_int(&dir, e->zip64 ? 0xffffffff : size, 4);
        add_int(&dir, strlen(e->name), 2), add_int(&dir, e->zip64 ? 28 + 5 : 0, 2), add_int(&dir, 0, 2);
        add_int(&dir, 0, 2), add_int(&dir, 0, 2), add_int(&dir, 0, 4);
        add_int(&dir, e->zip64 ? 0xffffffff : at, 4);
        add(&dir, e->name, strlen(e->name));
        if (e->zip64) { /* an unknown field first */
            add_int(&dir, 0x5455, 2), add_int(&dir, 1, 2), add_int(&dir, 0, 1);
            add_int(&dir, 1, 2), add_int(&dir, 24, 2), add_int(&dir, size, 8), add_int(&dir, packed_n, 8),
                add_int(&dir, at, 8);
        }
    }
    uint64_t start = o.n, end = o.n + dir.n;
    add(&o, dir.b, dir.n);
    if (end64) {
        add_int(&o, 0x06064b50, 4), add_int(&o, 44, 8), add_int(&o, 45, 2), add_int(&o, 45, 2), add_int(&o, 0, 8);
        add_int(&o, (uint64_t)n, 8), add_int(&o, (uint64_t)n, 8), add_int(&o, dir.n, 8), add_int(&o, start, 8);
        add_int(&o, 0x07064b50, 4), add_int(&o, 0, 4), add_int(&o, end, 8), add_int(&o, 1, 4);
    }
    add_int(&o, 0x06054b50, 4), add_int(&o, 0, 4);
    add_int(&o, end64 ? 0xffff : (uint64_t)n, 2), add_int(&o, end64 ? 0xffff : (uint64_t)n, 2);
    add_int(&o, end64 ? 0xffffffff : dir.n, 4), add_int(&o, end64 ? 0xffffffff : start, 4), add_int(&o, 0, 2);
    return o;
}

static bool unzip(const buffer *o, npy_array **list, size_t *n)
{
    uint8_t *copy = malloc(o->n ? o->n : 1);
    memcpy(copy, o->b, o->n);
    err[0] = 0;
    bool ok = npz_parse(copy, o->n, "x.npz", list, n, err, sizeof err);
    free(copy);
    return ok;
}

static void zip_refused(const buffer *o, const char *why)
{
    npy_array *list;
    size_t n;
    if (unzip(o, &list, &n)) fail_msg("accepted, expected: %s", why);
    if (!strstr(err, why)) fail_msg("expected '%s', got '%s'", why, err);
    assert_non_null(strstr(err, "x.npz: "));
}

static buffer floats(int n)
{
    float f[64];
    char dict[96];
    for (int i = 0; i < n; i++) f[i] = (float)i;
    snprintf(dict, sizeof dict, "{'descr': '<f4', 'fortran_order': False, 'shape': (%d,), }", n);
    return npy(1, dict, f, (size_t)n * 4);
}

static void test_archives(void **state)
{
    (void)state;
    entry e[] = {
        {.name = "a.npy", .data = floats(3), .claim = -1},
        {.name = "b c.npy", .data = floats(64), .method = 8, .claim = -1},
        {.name = "dir/c.npy", .data = floats(7), .zip64 = true, .claim = -1},
        {.name = "d.npy", .data = floats(9), .method = 8, .streamed = true, .claim = -1},
    };
    for (int end64 = 0; end64 < 2; end64++) {
        buffer o = zip(e, 4, end64);
        npy_array *list;
        size_t n;
        if (!unzip(&o, &list, &n)) fail_msg("%s", err);
        assert_int_equal(n, 4);
        const char *names[] = {"a", "b c", "dir/c", "d"};
        const int sizes[] = {3, 64, 7, 9};
        for (int i = 0; i < 4; i++) {
            assert_string_equal(list[i].name, names[i]);
            assert_int_equal(list[i].shape[0], sizes[i]);
            for (int k = 0; k < sizes[i]; k++) assert_true(((float *)list[i].data)[k] == (float)k);
        }
        npz_free(list, n);
        npy_array *none;
        for (size_t cut = 0; cut < o.n; cut++) {
            buffer part = o;
            part.n = cut;
            assert_false(unzip(&part, &none, &n));
        }
    }
    buffer o = zip(e, 0, false);
    npy_array *list;
    size_t n;
    assert_true(unzip(&o, &list, &n));
    assert_int_equal(n, 0);
    npz_free(list, n);
}

static void test_refuses_damaged_archives(void **state)
{
    (void)state;
    entry good = {.name = "a.npy", .data = floats(3), .claim = -1}, e = good;
    buffer o;
    e.bad_crc = true, o = zip(&e, 1, false), zip_refused(&o, "member 'a.npy': the data is damaged (CRC)");
    e = good, e.encrypted = true, o = zip(&e, 1, false), zip_refused(&o, "encrypted");
    e = good, e.name = "a.txt", o = zip(&e, 1, false), zip_refused(&o, "not a .npy file by its name");
    e = good, e.name = ".npy", o = zip(&e, 1, false), zip_refused(&o, "not a .npy file by its name");
    e = good, e.name = "a\033[31m.npy", e.bad_crc = true, o = zip(&e, 1, false), zip_refused(&o, "'a?[31m.npy'");
    e = good, e.claim = 100, o = zip(&e, 1, false), zip_refused(&o, "cannot become 100");
    e = good, e.claim = 0xfffffff0, e.method = 8, o = zip(&e, 1, false), zip_refused(&o, "cannot become 4294967280");
    e = good, e.claim = 50, e.method = 8, o = zip(&e, 1, false), zip_refused(&o, "compressed data is damaged");
    e = good, e.claim = 500, e.method = 8, o = zip(&e, 1, false), zip_refused(&o, "compressed data is damaged");
    e = good, e.method = 9, o = zip(&e, 1, false), zip_refused(&o, "method 9");
    e = good, e.data.n -= 1, o = zip(&e, 1, false), zip_refused(&o, "12 bytes by its header, 11 in the file");
    entry twice[2] = {good, good};
    o = zip(twice, 2, false), zip_refused(&o, "two members have one name");
    o = zip(&good, 1, false);
    o.b[o.n - 22 + 8] = o.b[o.n - 22 + 10] = 2, zip_refused(&o, "shorter than its count");
    o.b[o.n - 22 + 8] = o.b[o.n - 22 + 10] = 1;
    /* three entries that all point at the first one's data */
    entry shared[3] = {good, good, good};
    shared[0].data = floats(64);
    shared[1].name = "b.npy", shared[2].name = "c.npy";
    buffer two = zip(shared, 3, false);
    size_t first = two.n - 22 - 3 * 51;
    for (size_t k = 1; k < 3; k++) memcpy(two.b + first + k * 51 + 16, two.b + first + 16, 12);
    for (size_t k = 1; k < 3; k++) memset(two.b + first + k * 51 + 42, 0, 4);
    zip_refused(&two, "more bytes than the file");
    o.b[o.n - 22 + 16] = 0xf0, zip_refused(&o, "outside of the file");
    /* every byte flipped in turn: nothing crashes, and what is accepted is the array */
    o = zip(&good, 1, true);
    for (size_t i = 0; i < o.n; i++)
        for (int bit = 0; bit < 8; bit++) {
            buffer flipped = o;
            flipped.b[i] ^= (uint8_t)(1 << bit);
            npy_array *list;
            size_t n;
            if (!unzip(&flipped, &list, &n)) continue;
            for (size_t k = 0; k < n; k++) assert_int_equal(list[k].bytes, 12);
            npz_free(list, n);
        }
}

static void test_written_archives_are_read(void **state)
{
    (void)state;
    char path[64];
    temporary(path);
    npy_array a[2], *back;
    size_t n;
    assert_true(npy_new(&a[0], "x", NPY_F32, 2, (int64_t[]){2, 3}));
    assert_true(npy_new(&a[1], "a.long-name/y", NPY_I64, 0, NULL));
    *(int64_t *)a[1].data = -5;
    ((float *)a[0].data)[5] = 7;
    assert_true(npz_write(path, a, 2, err, sizeof err));
    for (int by = 0; by < 2; by++) {
        assert_true(by ? npz_read(path, &back, &n, err, sizeof err) : npy_load(path, &back, &n, err, sizeof err));
        assert_int_equal(n, 2);
        for (int i = 0; i < 2; i++) {
            assert_string_equal(back[i].name, a[i].name);
            assert_int_equal(back[i].bytes, a[i].bytes);
            assert_memory_equal(back[i].data, a[i].data, a[i].bytes);
        }
        npz_free(back, n);
    }
    assert_true(npz_write(path, NULL, 0, err, sizeof err));
    assert_true(npy_load(path, &back, &n, err, sizeof err));
    assert_int_equal(n, 0);
    npz_free(back, n);
    assert_true(npy_write(path, &a[0], err, sizeof err));
    assert_true(npy_load(path, &back, &n, err, sizeof err));
    assert_int_equal(n, 1);
    assert_null(back[0].name);
    npz_free(back, n);
    free(a[1].name);
    a[1].name = NULL;
    assert_false(npz_write(path, a, 2, err, sizeof err));
    assert_non_null(strstr(err, "array 1 has no usable name"));
    npy_free(&a[0]);
    npy_free(&a[1]);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_numpy_writes),
        cmocka_unit_test(test_refuses_damage),
        cmocka_unit_test(test_every_type_round_trips),
        cmocka_unit_test(test_files_that_cannot_be_used),
        cmocka_unit_test(test_archives),
        cmocka_unit_test(test_refuses_damaged_archives),
        cmocka_unit_test(test_written_archives_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
