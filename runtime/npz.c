/* .npz: a ZIP archive with one .npy file per array. Only what NumPy and ordinary zip tools write is read: members
 * stored or deflated, with or without the 64-bit extensions (APPNOTE.TXT 4.3). The central directory at the end is what
 * counts; a member's own header is only used to find where its data begins. */
#include "runtime/npy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

enum {
    LOCAL_SIG = 0x04034b50,
    LOCAL_SIZE = 30,
    ENTRY_SIG = 0x02014b50,
    ENTRY_SIZE = 46,
    END_SIG = 0x06054b50,
    END_SIZE = 22,
    END64_SIG = 0x06064b50,
    END64_SIZE = 56,
    LOCATOR_SIG = 0x07064b50,
    LOCATOR_SIZE = 20,
    EXTRA_ZIP64 = 1,
    STORED = 0,
    DEFLATED = 8,
    FLAG_ENCRYPTED = 1,
    DOS_EPOCH_DATE = 0x21 /* 1980-01-01 */
};
#define IN_ZIP64_32 UINT32_C(0xffffffff)
#define IN_ZIP64_16 0xffff

__attribute__((format(printf, 3, 4))) static bool failed(char *err, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (size) vsnprintf(err, size, fmt, ap);
    va_end(ap);
    return false;
}

static uint32_t u16(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const uint8_t *p)
{
    return u16(p) | u16(p + 2) << 16;
}

static uint64_t u64(const uint8_t *p)
{
    return u32(p) | (uint64_t)u32(p + 4) << 32;
}

/* ---- reading ---- */

typedef struct {
    const uint8_t *p;
    size_t n;
    const char *what;
    char *err;
    size_t err_size;
} archive;

typedef struct {
    const uint8_t *name;
    uint32_t name_length, flags, method, crc;
    uint64_t packed, size, local;
} member;

/* True when `length` bytes from `at` lie within the archive. */
static bool within(const archive *z, uint64_t at, uint64_t length)
{
    return at <= z->n && length <= z->n - at;
}

static bool damaged(const archive *z, const char *why)
{
    return failed(z->err, z->err_size, "%s: %s", z->what, why);
}

/* Where the central directory is and how many members it has. */
static bool find_directory(const archive *z, uint64_t *at, uint64_t *bytes, uint64_t *count)
{
    if (z->n < END_SIZE) return damaged(z, "not a .npz file");
    /* The end record is last but for a comment of up to 65535 bytes. */
    size_t lowest = z->n > END_SIZE + 0xffff ? z->n - END_SIZE - 0xffff : 0, end = z->n - END_SIZE;
    while (u32(z->p + end) != END_SIG || end + END_SIZE + u16(z->p + end + 20) != z->n) {
        if (end == lowest) return damaged(z, "not a .npz file, or cut off: it has no end of archive record");
        end--;
    }
    const uint8_t *e = z->p + end;
    if (u16(e + 4) != 0 || u16(e + 6) != 0 || u16(e + 8) != u16(e + 10))
        return damaged(z, "archives in several parts are not supported");
    *count = u16(e + 10);
    *bytes = u32(e + 12);
    *at = u32(e + 16);
    if (*count == IN_ZIP64_16 || *bytes == IN_ZIP64_32 || *at == IN_ZIP64_32) {
        if (end < LOCATOR_SIZE || u32(e - LOCATOR_SIZE) != LOCATOR_SIG)
            return damaged(z, "the 64-bit end record is missing");
        uint64_t end64 = u64(e - LOCATOR_SIZE + 8);
        if (!within(z, end64, END64_SIZE) || u32(z->p + end64) != END64_SIG)
            return damaged(z, "the 64-bit end record is not where it should be");
        *count = u64(z->p + end64 + 32);
        *bytes = u64(z->p + end64 + 40);
        *at = u64(z->p + end64 + 48);
    }
    if (!within(z, *at, *bytes) || *at + *bytes > end)
        return damaged(z, "the directory of members lies outside of the file");
    if (*count > *bytes / ENTRY_SIZE) return damaged(z, "the directory of members is shorter than its count says");
    return true;
}

/* Replaces those of size, packed and local that are 0xffffffff by the values of the 64-bit extra field. */
static bool widen(member *m, const uint8_t *extra, uint32_t length)
{
    uint64_t *fields[3] = {&m->size, &m->packed, &m->local};
    while (length >= 4) {
        uint32_t id = u16(extra), n = u16(extra + 2);
        if (n > length - 4) return false;
        if (id == EXTRA_ZIP64) {
            const uint8_t *v = extra + 4, *end = v + n;
            for (int i = 0; i < 3; i++)
                if (*fields[i] == IN_ZIP64_32) {
                    if (end - v < 8) return false;
                    *fields[i] = u64(v);
                    v += 8;
                }
            return true;
        }
        extra += 4 + n;
        length -= 4 + n;
    }
    return m->size != IN_ZIP64_32 && m->packed != IN_ZIP64_32 && m->local != IN_ZIP64_32;
}

/* Reads the entry at *at of the directory and moves past it. */
static bool next_member(const archive *z, uint64_t *at, uint64_t end, member *m)
{
    const uint8_t *e = z->p + *at;
    if (end - *at < ENTRY_SIZE || u32(e) != ENTRY_SIG) return damaged(z, "the directory of members is damaged");
    *m = (member){.flags = u16(e + 8),
                  .method = u16(e + 10),
                  .crc = u32(e + 16),
                  .packed = u32(e + 20),
                  .size = u32(e + 24),
                  .name_length = u16(e + 28),
                  .local = u32(e + 42),
                  .name = e + ENTRY_SIZE};
    uint32_t extra = u16(e + 30), comment = u16(e + 32);
    uint64_t whole = (uint64_t)ENTRY_SIZE + m->name_length + extra + comment;
    if (whole > end - *at || !widen(m, m->name + m->name_length, extra))
        return damaged(z, "the directory of members is damaged");
    *at += whole;
    return true;
}

static void *allocate_zlib(void *unused, unsigned items, unsigned size)
{
    (void)unused;
    return calloc(items, size);
}

static void free_zlib(void *unused, void *p)
{
    (void)unused;
    free(p);
}

/* Inflates exactly `size` bytes from `packed` ones; both may be beyond 4 GB, which zlib takes in pieces. */
static bool inflate_member(const uint8_t *from, uint64_t packed, uint8_t *to, uint64_t size)
{
    z_stream s = {.zalloc = allocate_zlib, .zfree = free_zlib};
    if (inflateInit2(&s, -15) != Z_OK) return false;
    const uint64_t piece = UINT64_C(1) << 30;
    int status = Z_OK;
    s.next_in = (Bytef *)(uintptr_t)from;
    s.next_out = to;
    while (status == Z_OK) {
        uint64_t in = packed - (uint64_t)(s.next_in - from), out = size - (uint64_t)(s.next_out - to);
        uInt in_now = (uInt)(in < piece ? in : piece), out_now = (uInt)(out < piece ? out : piece);
        s.avail_in = in_now;
        s.avail_out = out_now;
        status = inflate(&s, Z_NO_FLUSH);
        if (status == Z_OK && s.avail_in == in_now && s.avail_out == out_now) status = Z_BUF_ERROR;
    }
    bool ok = status == Z_STREAM_END && (uint64_t)(s.next_out - to) == size && (uint64_t)(s.next_in - from) == packed;
    inflateEnd(&s);
    return ok;
}

static uint32_t crc_of(const uint8_t *p, uint64_t n)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), p, n);
}

static bool read_member(const archive *z, const member *m, npy_array *out)
{
    char label[160]; /* path and member, cut to what a message needs */
    int shown = m->name_length < 60 ? (int)m->name_length : 60;
    snprintf(label, sizeof label, "%.90s: member '%.*s'", z->what, shown, (const char *)m->name);
    for (char *c = label; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) *c = '?';
    char *err = z->err;
    size_t err_size = z->err_size;

    if (m->name_length <= 4 || memcmp(m->name + m->name_length - 4, ".npy", 4) != 0 ||
        memchr(m->name, 0, m->name_length))
        return failed(err, err_size, "%s: not a .npy file by its name", label);
    if (m->flags & FLAG_ENCRYPTED) return failed(err, err_size, "%s: encrypted", label);
    if (m->method != STORED && m->method != DEFLATED)
        return failed(err, err_size, "%s: compression method %u is not supported", label, m->method);
    if (!within(z, m->local, LOCAL_SIZE) || u32(z->p + m->local) != LOCAL_SIG)
        return failed(err, err_size, "%s: its header is not where the directory says", label);
    const uint8_t *local = z->p + m->local;
    uint64_t data = m->local + LOCAL_SIZE + u16(local + 26) + u16(local + 28);
    if (!within(z, data, m->packed))
        return failed(err, err_size, "%s: its data goes beyond the end of the file", label);
    /* Deflate packs 1032 to 1 at most: a larger claim is a lie, found before memory is taken for it. */
    if (m->method == STORED ? m->size != m->packed : m->size / 1032 > m->packed)
        return failed(err, err_size, "%s: %llu bytes cannot become %llu", label, (unsigned long long)m->packed,
                      (unsigned long long)m->size);

    uint8_t *unpacked = NULL;
    const uint8_t *bytes = z->p + data;
    if (m->method == DEFLATED) {
        unpacked = m->size < PTRDIFF_MAX ? malloc((size_t)m->size + 1) : NULL;
        if (!unpacked) return failed(err, err_size, "%s: out of memory", label);
        if (!inflate_member(bytes, m->packed, unpacked, m->size)) {
            free(unpacked);
            return failed(err, err_size, "%s: the compressed data is damaged", label);
        }
        bytes = unpacked;
    }
    bool ok = crc_of(bytes, m->size) == m->crc || failed(err, err_size, "%s: the data is damaged (CRC)", label);
    npy_array a = {0};
    ok = ok && npy_parse(bytes, (size_t)m->size, label, &a, err, err_size);
    free(unpacked);
    if (!ok) return false;
    a.name = strndup((const char *)m->name, m->name_length - 4);
    if (!a.name) {
        npy_free(&a);
        return failed(err, err_size, "%s: out of memory", label);
    }
    *out = a;
    return true;
}

void npz_free(npy_array *arrays, size_t n)
{
    for (size_t i = 0; i < n; i++) npy_free(&arrays[i]);
    free(arrays);
}

bool npz_parse(const void *bytes, size_t n_bytes, const char *what, npy_array **arrays, size_t *n, char *err,
               size_t size)
{
    const archive z = {bytes, n_bytes, what, err, size};
    uint64_t at = 0, length = 0, count = 0;
    if (!find_directory(&z, &at, &length, &count)) return false;
    npy_array *list = calloc((size_t)count + 1, sizeof *list);
    if (!list) return damaged(&z, "out of memory");
    size_t done = 0;
    bool ok = true;
    uint64_t packed = 0; /* members that share their data could blow up without bound */
    for (uint64_t end = at + length; ok && done < count;) {
        member m;
        npy_array a;
        ok = next_member(&z, &at, end, &m);
        if (ok && (__builtin_add_overflow(packed, m.packed, &packed) || packed > n_bytes))
            ok = damaged(&z, "the members have more bytes than the file");
        ok = ok && read_member(&z, &m, &a);
        if (!ok) break;
        for (size_t i = 0; i < done && ok; i++)
            if (strcmp(list[i].name, a.name) == 0) ok = failed(err, size, "%s: two members have one name", what);
        list[done++] = a;
    }
    if (!ok) {
        npz_free(list, done);
        return false;
    }
    *arrays = list;
    *n = done;
    return true;
}

bool npz_read(const char *path, npy_array **arrays, size_t *n, char *err, size_t size)
{
    uint8_t *bytes;
    size_t length;
    if (!npy_slurp(path, &bytes, &length, err, size)) return false;
    bool ok = npz_parse(bytes, length, path, arrays, n, err, size);
    free(bytes);
    return ok;
}

bool npy_load(const char *path, npy_array **arrays, size_t *n, char *err, size_t size)
{
    uint8_t *bytes;
    size_t length;
    if (!npy_slurp(path, &bytes, &length, err, size)) return false;
    bool ok;
    if (length >= 2 && memcmp(bytes, "PK", 2) == 0) {
        ok = npz_parse(bytes, length, path, arrays, n, err, size);
    } else {
        npy_array *one = calloc(1, sizeof *one);
        ok = one ? npy_parse(bytes, length, path, one, err, size) : failed(err, size, "%s: out of memory", path);
        if (ok) {
            *arrays = one;
            *n = 1;
        } else {
            free(one);
        }
    }
    free(bytes);
    return ok;
}

/* ---- writing ---- */

typedef struct {
    uint8_t b[160];
    size_t n;
} record;

static void put(record *r, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) r->b[r->n++] = (uint8_t)(v >> 8 * i);
}

typedef struct {
    uint64_t at, size;
    uint32_t crc;
    char *head;
    size_t head_size;
    size_t name_length;
} placed;

/* The fields that a local header and a directory entry share, from "version needed" to the extra field's length; sizes
 * that may pass 32 bits go to a 64-bit extra field, which `extra` receives. */
static void put_common(record *r, record *extra, const placed *m, bool in_directory)
{
    bool big = m->size >= IN_ZIP64_32, far = in_directory && m->at >= IN_ZIP64_32;
    if (big || far) {
        put(extra, EXTRA_ZIP64, 2);
        put(extra, (big ? 16 : 0) + (far ? 8 : 0), 2);
        if (big) put(extra, m->size, 8), put(extra, m->size, 8);
        if (far) put(extra, m->at, 8);
    }
    put(r, big || far ? 45 : 20, 2); /* version needed */
    put(r, 1 << 11, 2);              /* names are UTF-8 */
    put(r, STORED, 2);
    put(r, 0, 2); /* time */
    put(r, DOS_EPOCH_DATE, 2);
    put(r, m->crc, 4);
    put(r, big ? IN_ZIP64_32 : m->size, 4);
    put(r, big ? IN_ZIP64_32 : m->size, 4);
    put(r, m->name_length, 2);
    put(r, extra->n, 2);
}

static bool write_record(FILE *f, const record *r, uint64_t *at)
{
    *at += r->n;
    return fwrite(r->b, 1, r->n, f) == r->n;
}

static bool write_name(FILE *f, const char *name, const placed *m, uint64_t *at)
{
    *at += m->name_length;
    return fwrite(name, 1, m->name_length - 4, f) == m->name_length - 4 && fwrite(".npy", 1, 4, f) == 4;
}

static bool write_member(FILE *f, const npy_array *a, placed *m, uint64_t *at)
{
    record local = {.n = 0}, extra = {.n = 0};
    m->at = *at;
    m->size = m->head_size + a->bytes;
    m->crc = (uint32_t)crc32_z(crc_of((const uint8_t *)m->head, m->head_size), a->data, a->bytes);
    put(&local, LOCAL_SIG, 4);
    put_common(&local, &extra, m, false);
    *at += m->size;
    return write_record(f, &local, at) && write_name(f, a->name, m, at) && write_record(f, &extra, at) &&
           fwrite(m->head, 1, m->head_size, f) == m->head_size && fwrite(a->data, 1, a->bytes, f) == a->bytes;
}

static bool write_entry(FILE *f, const npy_array *a, const placed *m, uint64_t *at)
{
    record entry = {.n = 0}, extra = {.n = 0};
    put(&entry, ENTRY_SIG, 4);
    put(&entry, 45, 2); /* version made by */
    put_common(&entry, &extra, m, true);
    put(&entry, 0, 2); /* comment */
    put(&entry, 0, 2); /* disk */
    put(&entry, 0, 2); /* internal attributes */
    put(&entry, 0, 4); /* external attributes */
    put(&entry, m->at >= IN_ZIP64_32 ? IN_ZIP64_32 : m->at, 4);
    return write_record(f, &entry, at) && write_name(f, a->name, m, at) && write_record(f, &extra, at);
}

static bool write_end(FILE *f, uint64_t count, uint64_t directory, uint64_t at)
{
    record end = {.n = 0};
    uint64_t bytes = at - directory;
    bool wide = count >= IN_ZIP64_16 || bytes >= IN_ZIP64_32 || directory >= IN_ZIP64_32;
    if (wide) {
        put(&end, END64_SIG, 4);
        put(&end, END64_SIZE - 12, 8);
        put(&end, 45, 2), put(&end, 45, 2);
        put(&end, 0, 4), put(&end, 0, 4);
        put(&end, count, 8), put(&end, count, 8);
        put(&end, bytes, 8);
        put(&end, directory, 8);
        put(&end, LOCATOR_SIG, 4);
        put(&end, 0, 4);
        put(&end, at, 8);
        put(&end, 1, 4);
    }
    put(&end, END_SIG, 4);
    put(&end, 0, 2), put(&end, 0, 2);
    uint64_t shown = wide ? IN_ZIP64_16 : count;
    put(&end, shown, 2), put(&end, shown, 2);
    put(&end, wide ? IN_ZIP64_32 : bytes, 4);
    put(&end, wide ? IN_ZIP64_32 : directory, 4);
    put(&end, 0, 2);
    return write_record(f, &end, &at);
}

bool npz_write(const char *path, const npy_array *arrays, size_t n, char *err, size_t size)
{
    placed *members = calloc(n + 1, sizeof *members);
    bool ok = members != NULL;
    for (size_t i = 0; i < n && ok; i++) {
        members[i].name_length = arrays[i].name ? strlen(arrays[i].name) + 4 : 0;
        if (members[i].name_length <= 4 || members[i].name_length > 0xffff) {
            failed(err, size, "%s: array %zu has no usable name", path, i);
            goto refused;
        }
        members[i].head = npy_header(&arrays[i], &members[i].head_size);
        ok = members[i].head != NULL;
    }
    if (!ok) {
        failed(err, size, "%s: out of memory", path);
        goto refused;
    }
    FILE *f = fopen(path, "wb");
    if (!f) {
        failed(err, size, "%s: cannot write: %s", path, strerror(errno));
        goto refused;
    }
    uint64_t at = 0;
    for (size_t i = 0; i < n && ok; i++) ok = write_member(f, &arrays[i], &members[i], &at);
    uint64_t directory = at;
    for (size_t i = 0; i < n && ok; i++) ok = write_entry(f, &arrays[i], &members[i], &at);
    ok = ok && write_end(f, n, directory, at);
    ok = npy_close(f, path, ok, err, size);
    for (size_t i = 0; i < n; i++) free(members[i].head);
    free(members);
    return ok;

refused:
    for (size_t i = 0; members && i < n; i++) free(members[i].head);
    free(members);
    return false;
}
