/* .npy: a magic string, a version, and a Python dict literal that describes the array, then its elements.
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#include "runtime/npy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
    const char *name, *descr;
    uint8_t size;
} types[NPY_TYPES] = {
    [NPY_BOOL] = {"bool", "|b1", 1}, [NPY_I8] = {"i8", "|i1", 1},       [NPY_U8] = {"u8", "|u1", 1},
    [NPY_I16] = {"i16", "<i2", 2},   [NPY_U16] = {"u16", "<u2", 2},     [NPY_I32] = {"i32", "<i4", 4},
    [NPY_U32] = {"u32", "<u4", 4},   [NPY_I64] = {"i64", "<i8", 8},     [NPY_U64] = {"u64", "<u8", 8},
    [NPY_F16] = {"f16", "<f2", 2},   [NPY_F32] = {"f32", "<f4", 4},     [NPY_F64] = {"f64", "<f8", 8},
    [NPY_RAW8] = {"raw8", "|V1", 1}, [NPY_RAW16] = {"raw16", "<V2", 2},
};

const char *npy_type_name(npy_type t)
{
    return types[t].name;
}

size_t npy_item_size(npy_type t)
{
    return types[t].size;
}

__attribute__((format(printf, 3, 4))) static bool failed(char *err, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (size) vsnprintf(err, size, fmt, ap);
    va_end(ap);
    return false;
}

/* ---- arrays ---- */

uint64_t npy_elements(const npy_array *a)
{
    uint64_t n = 1;
    for (uint32_t i = 0; i < a->rank; i++) n *= (uint64_t)a->shape[i];
    return n;
}

/* Bytes of a shape; false when any size is negative or the product does not fit (whatever zeros are in it). */
static bool shape_bytes(npy_type t, uint32_t rank, const int64_t *shape, size_t *bytes)
{
    uint64_t n = types[t].size;
    bool empty = false;
    for (uint32_t i = 0; i < rank; i++) {
        if (shape[i] < 0) return false;
        if (shape[i] == 0) empty = true;
        else if (__builtin_mul_overflow(n, (uint64_t)shape[i], &n) || n > PTRDIFF_MAX) return false;
    }
    *bytes = empty ? 0 : (size_t)n;
    return true;
}

bool npy_new(npy_array *out, const char *name, npy_type t, uint32_t rank, const int64_t *shape)
{
    npy_array a = {.type = t, .rank = rank};
    if (rank > NPY_MAX_RANK || !shape_bytes(t, rank, shape, &a.bytes) || a.bytes > PTRDIFF_MAX - 64) return false;
    if (rank) memcpy(a.shape, shape, rank * sizeof *shape);
    size_t room = a.bytes ? (a.bytes + 63) / 64 * 64 : 64;
    a.data = aligned_alloc(64, room);
    a.name = name ? strdup(name) : NULL;
    if (!a.data || (name && !a.name)) {
        npy_free(&a);
        return false;
    }
    memset(a.data, 0, room);
    *out = a;
    return true;
}

void npy_free(npy_array *a)
{
    free(a->name);
    free(a->data);
    a->name = NULL;
    a->data = NULL;
}

/* ---- the header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } ---- */

typedef struct {
    const char *s, *end;
} cursor;

typedef struct {
    npy_type type;
    bool swap, fortran;
    uint32_t rank;
    int64_t shape[NPY_MAX_RANK];
} header;

static void skip_space(cursor *c)
{
    while (c->s < c->end && (*c->s == ' ' || *c->s == '\t' || *c->s == '\n' || *c->s == '\r')) c->s++;
}

static bool accept(cursor *c, char ch)
{
    skip_space(c);
    if (c->s == c->end || *c->s != ch) return false;
    c->s++;
    return true;
}

static bool accept_word(cursor *c, const char *word)
{
    skip_space(c);
    size_t n = strlen(word);
    if ((size_t)(c->end - c->s) < n || memcmp(c->s, word, n) != 0) return false;
    c->s += n;
    return true;
}

/* A quoted string without escapes: no key or type of this format needs one. */
static bool parse_string(cursor *c, const char **text, size_t *n)
{
    skip_space(c);
    if (c->s == c->end || (*c->s != '\'' && *c->s != '"')) return false;
    char quote = *c->s++;
    *text = c->s;
    while (c->s < c->end && *c->s != quote && *c->s != '\\' && *c->s != '\n') c->s++;
    if (c->s == c->end || *c->s != quote) return false;
    *n = (size_t)(c->s - *text);
    c->s++;
    return true;
}

static const char *parse_shape(cursor *c, header *h)
{
    if (!accept(c, '(')) return "'shape' is not a tuple";
    h->rank = 0;
    while (!accept(c, ')')) {
        if (h->rank == NPY_MAX_RANK) return "the array has more than 32 axes";
        skip_space(c);
        uint64_t v = 0;
        const char *first = c->s;
        for (; c->s < c->end && *c->s >= '0' && *c->s <= '9'; c->s++)
            if (__builtin_mul_overflow(v, UINT64_C(10), &v) || __builtin_add_overflow(v, (uint64_t)(*c->s - '0'), &v) ||
                v > INT64_MAX)
                return "a size does not fit in 64 bits";
        if (c->s == first) return "a size is not a number that is zero or more";
        accept(c, 'L'); /* as Python 2 wrote them */
        h->shape[h->rank++] = (int64_t)v;
        if (!accept(c, ',')) {
            if (!accept(c, ')')) return "'shape' is not a tuple of numbers";
            if (h->rank == 1) return "'shape' is not a tuple"; /* (3) is a number in Python */
            break;
        }
    }
    return NULL;
}

static const char *parse_descr(cursor *c, header *h)
{
    const char *s;
    size_t n;
    if (accept(c, '[')) return "structured arrays are not supported";
    if (!parse_string(c, &s, &n)) return "'descr' is not a string";
    if (n && strchr("<>|=", *s)) {
        h->swap = *s == '>';
        s++, n--;
    }
    for (int t = 0; t < NPY_TYPES; t++)
        if (n == 2 && memcmp(types[t].descr + 1, s, 2) == 0) {
            h->type = (npy_type)t;
            h->swap = h->swap && types[t].size > 1 && t != NPY_RAW16;
            return NULL;
        }
    if (n == 1 && *s == '?') {
        h->type = NPY_BOOL;
        h->swap = false;
        return NULL;
    }
    switch (n ? *s : 0) {
    case 'O': return "arrays of Python objects are not supported";
    case 'U':
    case 'S':
    case 'a': return "arrays of strings are not supported";
    case 'c': return "complex arrays are not supported";
    case 'M':
    case 'm': return "arrays of dates are not supported";
    case 'f': return "floats of this size are not supported";
    default: return "the element type is not known";
    }
}

static const char *parse_header(const char *s, size_t n, header *h)
{
    cursor c = {s, s + n};
    unsigned seen = 0;
    memset(h, 0, sizeof *h);
    if (!accept(&c, '{')) return "the header is not a Python dict";
    while (!accept(&c, '}')) {
        const char *key, *why = NULL;
        size_t length;
        unsigned bit;
        if (!parse_string(&c, &key, &length) || !accept(&c, ':')) return "the header is not a Python dict";
        if (length == 5 && memcmp(key, "descr", 5) == 0) {
            bit = 1;
            why = parse_descr(&c, h);
        } else if (length == 13 && memcmp(key, "fortran_order", 13) == 0) {
            bit = 2;
            h->fortran = accept_word(&c, "True");
            if (!h->fortran && !accept_word(&c, "False")) why = "'fortran_order' is neither True nor False";
        } else if (length == 5 && memcmp(key, "shape", 5) == 0) {
            bit = 4;
            why = parse_shape(&c, h);
        } else {
            return "the header has a key that is not of the format";
        }
        if (why) return why;
        if (seen & bit) return "the header has a key twice";
        seen |= bit;
        if (!accept(&c, ',')) {
            if (!accept(&c, '}')) return "the header is not a Python dict";
            break;
        }
    }
    skip_space(&c);
    if (c.s != c.end) return "the header goes on after its dict";
    if (seen != 7) return "the header lacks 'descr', 'fortran_order' or 'shape'";
    return NULL;
}

/* ---- elements ---- */

static void swap_bytes(uint8_t *p, size_t bytes, size_t item)
{
    for (size_t i = 0; i < bytes; i += item)
        for (size_t k = 0; k < item / 2; k++) {
            uint8_t t = p[i + k];
            p[i + k] = p[i + item - 1 - k];
            p[i + item - 1 - k] = t;
        }
}

/* First axis fastest in `from`, last axis fastest in `to`; both hold at least one element. */
static void from_fortran(uint8_t *to, const uint8_t *from, const npy_array *a)
{
    size_t item = types[a->type].size, stride[NPY_MAX_RANK] = {0}, at = 0;
    int64_t index[NPY_MAX_RANK] = {0};
    for (uint32_t k = 0; k < a->rank; k++) stride[k] = k ? stride[k - 1] * (size_t)a->shape[k - 1] : item;
    for (size_t i = 0; i < a->bytes; i += item) {
        memcpy(to + i, from + at, item);
        for (uint32_t k = a->rank; k-- > 0;) {
            at += stride[k];
            if (++index[k] < a->shape[k]) break;
            at -= stride[k] * (size_t)a->shape[k];
            index[k] = 0;
        }
    }
}

bool npy_parse(const void *bytes, size_t n_bytes, const char *what, npy_array *out, char *err, size_t size)
{
    const uint8_t *p = bytes;
    if (n_bytes < 10 || memcmp(p, "\x93NUMPY", 6) != 0) return failed(err, size, "%s: not a .npy file", what);
    if (p[6] < 1 || p[6] > 3 || p[7] != 0)
        return failed(err, size, "%s: .npy format version %d.%d is not supported", what, p[6], p[7]);
    size_t start = p[6] == 1 ? 10 : 12;
    if (n_bytes < start) return failed(err, size, "%s: the file ends within its header", what);
    size_t length = p[8] | (size_t)p[9] << 8;
    if (p[6] > 1) length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (length > n_bytes - start)
        return failed(err, size, "%s: the header should have %zu bytes, the file has %zu", what, length,
                      n_bytes - start);

    header h;
    const char *why = parse_header((const char *)p + start, length, &h);
    if (why) return failed(err, size, "%s: %s", what, why);
    size_t want, have = n_bytes - start - length;
    if (!shape_bytes(h.type, h.rank, h.shape, &want)) return failed(err, size, "%s: the sizes overflow", what);
    if (want != have)
        return failed(err, size, "%s: the array has %zu bytes by its header, %zu in the file", what, want, have);

    npy_array a;
    if (!npy_new(&a, NULL, h.type, h.rank, h.shape)) return failed(err, size, "%s: out of memory", what);
    const uint8_t *data = p + start + length;
    if (h.fortran && h.rank > 1 && want) from_fortran(a.data, data, &a);
    else memcpy(a.data, data, want);
    if (h.swap) swap_bytes(a.data, want, types[h.type].size);
    if (h.type == NPY_BOOL)
        for (size_t i = 0; i < want; i++) ((uint8_t *)a.data)[i] = ((uint8_t *)a.data)[i] != 0;
    *out = a;
    return true;
}

/* ---- files ---- */

bool npy_slurp(const char *path, uint8_t **bytes, size_t *n, char *err, size_t size)
{
    FILE *f = fopen(path, "rb");
    if (!f) return failed(err, size, "%s: %s", path, strerror(errno));
    struct stat st = {0};
    if (fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode)) {
        fclose(f);
        return failed(err, size, "%s: Is a directory", path);
    }
    /* One byte more than the size, so that a file of the expected size needs no second round to see its end. */
    size_t room = S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size + 1 : 1 << 16, used = 0;
    uint8_t *buffer = malloc(room);
    while (buffer) {
        used += fread(buffer + used, 1, room - used, f);
        if (used < room) break;
        uint8_t *more = room <= PTRDIFF_MAX / 2 ? realloc(buffer, room *= 2) : NULL;
        if (!more) free(buffer);
        buffer = more;
    }
    int error = ferror(f) ? errno : 0;
    fclose(f);
    if (!buffer) return failed(err, size, "%s: out of memory", path);
    if (error) {
        free(buffer);
        return failed(err, size, "%s: %s", path, strerror(error));
    }
    *bytes = buffer;
    *n = used;
    return true;
}

bool npy_read(const char *path, npy_array *out, char *err, size_t size)
{
    uint8_t *bytes;
    size_t n;
    if (!npy_slurp(path, &bytes, &n, err, size)) return false;
    bool ok = npy_parse(bytes, n, path, out, err, size);
    free(bytes);
    return ok;
}

char *npy_header(const npy_array *a, size_t *n)
{
    /* Sizes have 19 digits at most; the fixed text and the padding fit in the rest. */
    size_t room = 256 + (size_t)a->rank * 24;
    char *s = malloc(room);
    if (!s) return NULL;
    int used = snprintf(s + 10, room - 10, "{'descr': '%s', 'fortran_order': False, 'shape': (", types[a->type].descr);
    for (uint32_t i = 0; i < a->rank; i++)
        used += snprintf(s + 10 + used, room - 10 - (size_t)used, i && i + 1 == a->rank ? "%lld" : "%lld, ",
                         (long long)a->shape[i]);
    if (a->rank == 1) used--; /* "(3,)" */
    used += snprintf(s + 10 + used, room - 10 - (size_t)used, "), }");
    size_t total = (10 + (size_t)used + 1 + 63) / 64 * 64;
    memset(s + 10 + used, ' ', total - 10 - (size_t)used);
    s[total - 1] = '\n';
    memcpy(s, "\x93NUMPY\x01", 7);
    s[7] = 0;
    s[8] = (char)((total - 10) & 0xff);
    s[9] = (char)((total - 10) >> 8);
    *n = total;
    return s;
}

bool npy_close(FILE *f, const char *path, bool ok, char *err, size_t size)
{
    int error = errno;
    struct stat st = {0};
    bool regular = fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode); /* a device or pipe stays */
    if (fclose(f) != 0 && ok) {
        ok = false;
        error = errno;
    }
    if (ok) return true;
    if (regular) remove(path);
    return failed(err, size, "%s: cannot write: %s", path, strerror(error));
}

bool npy_write(const char *path, const npy_array *a, char *err, size_t size)
{
    size_t n;
    char *head = npy_header(a, &n);
    if (!head) return failed(err, size, "%s: out of memory", path);
    FILE *f = fopen(path, "wb");
    if (!f) {
        free(head);
        return failed(err, size, "%s: cannot write: %s", path, strerror(errno));
    }
    bool ok = fwrite(head, 1, n, f) == n && fwrite(a->data, 1, a->bytes, f) == a->bytes;
    free(head);
    return npy_close(f, path, ok, err, size);
}
