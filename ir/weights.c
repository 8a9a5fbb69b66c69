/* The safetensors reader. The header is checked whole at open, so everything after it may rely on every tensor lying
 * within the file and holding exactly its shape's bytes. */
#include "ir/weights.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/vec.h"

#define HEADER_FORMAT UINT64_C(100000000) /* the longest header, by the format's reference implementation */
#define HEADER_MAX UINT64_C(16000000)     /* the longest that is read: 150,000 tensors with common names */
#define NO_PLACE ((span){0, 0})

typedef struct {
    const char *key, *value;
} metadata_entry;

struct weights_file {
    const char *path;
    int fd;
    struct stat opened;
    const uint8_t *map;
    uint64_t size;
    uint64_t data_at; /* where the data section begins in the file */
    uint32_t count;
    weights_tensor *tensors;        /* by offset */
    const weights_tensor **by_name; /* sorted with strcmp */
    VEC(metadata_entry) metadata;
};

static const struct {
    const char *name;
    dtype dt;
} stored_names[DT_COUNT] = {
#define DTYPE(name, TEXT, bits, cls, safetensors) {safetensors, DT_##TEXT},
#include "ir/dtypes.def"
#undef DTYPE
};

typedef struct {
    arena *a;
    diags *d;
    const char *path;
} reader;

/* A tensor's name as it may appear in a message: cut, without control characters. */
static const char *shown(const reader *r, const char *name)
{
    enum { LONGEST = 120 };
    size_t n = strlen(name);
    char *s = arena_printf(r->a, "%.*s%s", LONGEST, name, n > LONGEST ? "..." : "");
    for (char *c = s; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) *c = '?';
    return s;
}

static diag *refuse(const reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static diag *refuse(const reader *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    diag *g = diag_error(r->d, NO_PLACE, "%s", arena_vprintf(r->a, fmt, ap));
    va_end(ap);
    diag_in_file(g, r->path);
    diag_code(g, "bad-weights-file");
    return g;
}

/* ---- one tensor's entry ---- */

static bool read_shape(const reader *r, const char *name, const json_t *shape, weights_tensor *t)
{
    if (!json_is_array(shape)) return refuse(r, "tensor '%s': 'shape' is not a list", name), false;
    if (json_array_size(shape) > WEIGHTS_MAX_RANK)
        return refuse(r, "tensor '%s': %zu axes; at most %d are supported", name, json_array_size(shape),
                      WEIGHTS_MAX_RANK),
               false;
    t->rank = (uint8_t)json_array_size(shape);
    for (uint32_t i = 0; i < t->rank; i++) {
        const json_t *size = json_array_get(shape, i);
        if (!json_is_integer(size) || json_integer_value(size) < 0) {
            diag *g = refuse(r, "tensor '%s': size %u of its shape is not an integer that is zero or more", name, i);
            if (json_is_integer(size)) diag_got(g, "%lld", (long long)json_integer_value(size));
            return false;
        }
        t->shape[i] = json_integer_value(size);
    }
    return true;
}

/* Bytes of the shape. Sizes whose product overflows are refused even where a zero is among them. */
static bool shape_bytes(const reader *r, const char *name, weights_tensor *t)
{
    int64_t elements = 1, bits;
    bool empty = false;
    for (uint32_t i = 0; i < t->rank; i++) {
        if (t->shape[i] == 0) empty = true;
        else if (__builtin_mul_overflow(elements, t->shape[i], &elements))
            return refuse(r, "tensor '%s': the product of its sizes overflows", name), false;
    }
    if (__builtin_mul_overflow(elements, (int64_t)dtype_bits(t->dt), &bits))
        return refuse(r, "tensor '%s': the product of its sizes overflows", name), false;
    if (empty) bits = 0;
    if (bits % 8 != 0)
        return refuse(r, "tensor '%s': its %s elements do not fill whole bytes", name, dtype_name(t->dt)), false;
    t->bytes = (uint64_t)bits / 8;
    return true;
}

static bool read_offsets(const reader *r, const char *name, const json_t *offsets, uint64_t data_bytes,
                         weights_tensor *t)
{
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 || !json_is_integer(json_array_get(offsets, 0)) ||
        !json_is_integer(json_array_get(offsets, 1)))
        return refuse(r, "tensor '%s': 'data_offsets' is not a list of two integers", name), false;
    int64_t begin = json_integer_value(json_array_get(offsets, 0)),
            end = json_integer_value(json_array_get(offsets, 1));
    if (begin < 0 || end < begin)
        return refuse(r, "tensor '%s': its data lies from byte %lld to byte %lld", name, (long long)begin,
                      (long long)end),
               false;
    if ((uint64_t)end > data_bytes)
        return refuse(r, "tensor '%s': its data ends at byte %lld, the file has %llu bytes of data", name,
                      (long long)end, (unsigned long long)data_bytes),
               false;
    if ((uint64_t)(end - begin) != t->bytes) {
        diag *g = refuse(r, "tensor '%s': its data does not have the bytes of its shape", name);
        strbuf shape = strbuf_new(r->a);
        for (uint32_t i = 0; i < t->rank; i++) strbuf_addf(&shape, "%s%lld", i ? ", " : "", (long long)t->shape[i]);
        diag_expected(g, "%llu bytes for %s[%s]", (unsigned long long)t->bytes, dtype_name(t->dt), shape.s);
        diag_got(g, "%lld bytes", (long long)(end - begin));
        return false;
    }
    t->offset = (uint64_t)begin;
    return true;
}

static bool read_tensor(const reader *r, const char *key, json_t *entry, uint64_t data_bytes, weights_tensor *t)
{
    const char *name = shown(r, key);
    *t = (weights_tensor){.name = arena_strndup(r->a, key, strlen(key))};
    for (const char *c = key; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return refuse(r, "tensor '%s': its name has a control character", name), false;
    if (!json_is_object(entry)) return refuse(r, "tensor '%s': its entry is not a JSON object", name), false;
    const char *field;
    json_t *value;
    json_object_foreach(entry, field, value)
    {
        if (strcmp(field, "dtype") != 0 && strcmp(field, "shape") != 0 && strcmp(field, "data_offsets") != 0)
            return refuse(r, "tensor '%s': the format has no field '%s'", name, shown(r, field)), false;
    }
    const json_t *dt = json_object_get(entry, "dtype"), *shape = json_object_get(entry, "shape"),
                 *offsets = json_object_get(entry, "data_offsets");
    const char *missing = !dt ? "dtype" : !shape ? "shape" : !offsets ? "data_offsets" : NULL;
    if (missing) return refuse(r, "tensor '%s': '%s' is missing", name, missing), false;
    if (!json_is_string(dt)) return refuse(r, "tensor '%s': 'dtype' is not a string", name), false;
    int found = -1;
    for (int i = 0; i < DT_COUNT; i++)
        if (strcmp(stored_names[i].name, json_string_value(dt)) == 0) found = i;
    if (found < 0) {
        refuse(r, "tensor '%s': dtype '%s' is not supported", name, shown(r, json_string_value(dt)));
        return false;
    }
    t->dt = stored_names[found].dt;
    return read_shape(r, name, shape, t) && shape_bytes(r, name, t) && read_offsets(r, name, offsets, data_bytes, t);
}

/* ---- the header ---- */

static int by_offset(const void *x, const void *y)
{
    const weights_tensor *a = x, *b = y;
    if (a->offset != b->offset) return a->offset < b->offset ? -1 : 1;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? -1 : 1; /* empty tensors before the one that begins there */
    return strcmp(a->name, b->name);
}

static int by_name(const void *x, const void *y)
{
    const weights_tensor *const *a = x, *const *b = y;
    return strcmp((*a)->name, (*b)->name);
}

/* The data section must be covered exactly: no gap, no overlap, nothing after the last tensor. */
static bool check_layout(const reader *r, const weights_file *w, uint64_t data_bytes)
{
    uint64_t end = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        const weights_tensor *t = &w->tensors[i];
        if (t->offset != end) {
            diag *g = t->offset < end ? refuse(r, "tensor '%s': its data overlaps that of '%s'", shown(r, t->name),
                                               shown(r, w->tensors[i - 1].name))
                      : i             ? refuse(r, "tensor '%s': there is a gap between its data and that of '%s'",
                                               shown(r, t->name), shown(r, w->tensors[i - 1].name))
                                      : refuse(r, "tensor '%s': there is a gap before its data", shown(r, t->name));
            diag_expected(g, "data from byte %llu", (unsigned long long)end);
            diag_got(g, "data from byte %llu", (unsigned long long)t->offset);
            return false;
        }
        end = t->offset + t->bytes;
    }
    if (end == data_bytes) return true;
    if (w->count == 0) {
        refuse(r, "there are %llu bytes of data, but no tensor", (unsigned long long)data_bytes);
    } else {
        diag *g = refuse(r, "tensor '%s': it is the last one, but the file goes on after it",
                         shown(r, w->tensors[w->count - 1].name));
        diag_expected(g, "%llu bytes of data", (unsigned long long)end);
        diag_got(g, "%llu", (unsigned long long)data_bytes);
    }
    return false;
}

static bool read_metadata(const reader *r, json_t *entries, weights_file *w)
{
    if (!json_is_object(entries)) return refuse(r, "'__metadata__' is not a JSON object"), false;
    const char *key;
    json_t *value;
    json_object_foreach(entries, key, value)
    {
        if (!json_is_string(value)) return refuse(r, "'__metadata__': '%s' is not a string", shown(r, key)), false;
        const char *text = json_string_value(value);
        metadata_entry m = {arena_strndup(r->a, key, strlen(key)), arena_strndup(r->a, text, strlen(text))};
        vec_push(r->a, &w->metadata, m);
    }
    return true;
}

static bool read_entries(const reader *r, json_t *root, uint64_t data_bytes, weights_file *w)
{
    if (!json_is_object(root)) return refuse(r, "the header is not a JSON object"), false;
    w->tensors = ARENA_ARRAY(r->a, weights_tensor, json_object_size(root));
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        if (strcmp(key, "__metadata__") == 0) {
            if (!read_metadata(r, value, w)) return false;
        } else if (!read_tensor(r, key, value, data_bytes, &w->tensors[w->count++])) {
            return false;
        }
    }
    qsort(w->tensors, w->count, sizeof *w->tensors, by_offset);
    if (!check_layout(r, w, data_bytes)) return false;
    w->by_name = ARENA_ARRAY(r->a, const weights_tensor *, w->count);
    for (uint32_t i = 0; i < w->count; i++) w->by_name[i] = &w->tensors[i];
    qsort(w->by_name, w->count, sizeof *w->by_name, by_name);
    return true;
}

/* What people take for a safetensors file. */
static bool refuse_other_format(const reader *r, const uint8_t *bytes, uint64_t size, uint64_t header)
{
    static const struct {
        const char *begins, *is, *hint;
    } formats[] = {
        {"PK\3\4", "a PyTorch checkpoint",
         "convert it: safetensors.torch.save_file(torch.load(path), \"model.safetensors\")"},
        {"\x80\2", "a PyTorch checkpoint",
         "convert it: safetensors.torch.save_file(torch.load(path), \"model.safetensors\")"},
        {"version https://git-lfs", "a pointer of Git LFS, not the file itself", "fetch it: git lfs pull"},
        {"<", "a web page", "the download went wrong"},
        {"GGUF", "a GGUF file", "take the model's safetensors file"},
        {"\x89HDF", "an HDF5 file", "take the model's safetensors file"},
        {"\x93NUMPY", "a NumPy array", "weights are read from safetensors files"},
    };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        size_t n = strlen(formats[i].begins);
        if (size < n || memcmp(bytes, formats[i].begins, n) != 0) continue;
        diag_hint(refuse(r, "not a safetensors file: it looks like %s", formats[i].is), "%s", formats[i].hint);
        return false;
    }
    diag *g = refuse(r, "not a safetensors file: its header would be too long");
    diag_expected(g, "at most %llu bytes", (unsigned long long)HEADER_FORMAT);
    diag_got(g, "%llu", (unsigned long long)header);
    return false;
}

static bool parse(const reader *r, const uint8_t *bytes, uint64_t size, weights_file *w)
{
    if (size == 0) return refuse(r, "the file is empty"), false;
    if (size < 8) return refuse(r, "the file is cut off: it has %llu bytes", (unsigned long long)size), false;
    uint64_t n = 0;
    for (int i = 0; i < 8; i++) n |= (uint64_t)bytes[i] << 8 * i;
    if (n > HEADER_FORMAT) return refuse_other_format(r, bytes, size, n);
    if (n > HEADER_MAX || n > size - 8) {
        bool cut = n > size - 8;
        diag *g = refuse(r, cut ? "the file is cut off within its header" : "the header is too long");
        diag_expected(g, cut ? "%llu bytes" : "at most %llu bytes", (unsigned long long)(cut ? n : HEADER_MAX));
        diag_got(g, "%llu", (unsigned long long)(cut ? size - 8 : n));
        return false;
    }
    if (n == 0 || bytes[8] != '{') return refuse(r, "the header does not begin with '{'"), false;
    json_error_t error;
    json_t *root = json_loadb((const char *)bytes + 8, (size_t)n, JSON_REJECT_DUPLICATES, &error);
    if (!root && json_error_code(&error) == json_error_duplicate_key) {
        const char *at = strstr(error.text, "near '");
        return refuse(r, "two entries have the name %s", at ? shown(r, at + strlen("near ")) : "of one tensor"), false;
    }
    if (!root) {
        /* No tensor can be named yet, but the text near the place often holds its name. */
        return refuse(r, "the header is not valid JSON at byte %d: %s", error.position, shown(r, error.text)), false;
    }
    w->data_at = 8 + n;
    bool ok = read_entries(r, root, size - w->data_at, w);
    json_decref(root);
    return ok;
}

bool weights_check(arena *a, diags *d, const char *name, const void *bytes, uint64_t size)
{
    weights_file w = {.fd = -1};
    return parse(&(reader){a, d, name}, bytes, size, &w);
}

/* ---- files ---- */

weights_file *weights_open(arena *a, diags *d, const char *path)
{
    reader r = {a, d, path};
    weights_file *w = ARENA_NEW(a, weights_file);
    w->path = arena_strndup(a, path, strlen(path));
    w->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer must not hang */
    if (w->fd < 0) {
        refuse(&r, "%s", strerror(errno));
        return NULL;
    }
    bool ok = false;
    if (fstat(w->fd, &w->opened) != 0) refuse(&r, "%s", strerror(errno));
    else if (!S_ISREG(w->opened.st_mode))
        refuse(&r, S_ISDIR(w->opened.st_mode) ? "is a directory" : "is not a regular file");
    else if (w->opened.st_size == 0) refuse(&r, "the file is empty");
    else {
        w->size = (uint64_t)w->opened.st_size;
        void *map = mmap(NULL, (size_t)w->size, PROT_READ, MAP_PRIVATE, w->fd, 0);
        if (map == MAP_FAILED) {
            refuse(&r, "cannot be mapped into memory: %s", strerror(errno));
        } else {
            w->map = map;
            ok = parse(&r, w->map, w->size, w);
        }
    }
    if (ok) return w;
    weights_close(w);
    return NULL;
}

void weights_close(weights_file *w)
{
    if (!w) return;
    if (w->map) munmap((void *)(uintptr_t)w->map, (size_t)w->size);
    if (w->fd >= 0) close(w->fd);
    w->map = NULL;
    w->fd = -1;
}

const char *weights_path(const weights_file *w)
{
    return w->path;
}

uint32_t weights_count(const weights_file *w)
{
    return w->count;
}

const weights_tensor *weights_at(const weights_file *w, uint32_t i)
{
    assert(i < w->count);
    return &w->tensors[i];
}

const weights_tensor *weights_find(const weights_file *w, const char *name)
{
    weights_tensor key = {.name = name};
    const weights_tensor *k = &key;
    const weights_tensor *const *found =
        w->count ? bsearch(&k, w->by_name, w->count, sizeof *w->by_name, by_name) : NULL;
    return found ? *found : NULL;
}

const void *weights_data(const weights_file *w, const weights_tensor *t)
{
    assert(w->map && t >= w->tensors && t < w->tensors + w->count);
    return w->map + w->data_at + t->offset;
}

const char *weights_metadata(const weights_file *w, const char *key)
{
    vec_foreach (metadata_entry, m, &w->metadata)
        if (strcmp(m->key, key) == 0) return m->value;
    return NULL;
}

bool weights_unchanged(const weights_file *w, const char **why)
{
    struct stat now;
    if (fstat(w->fd, &now) != 0) {
        *why = "the weights file can no longer be examined";
        return false;
    }
    if (now.st_size < w->opened.st_size) *why = "the weights file became shorter while it was in use";
    else if (now.st_size != w->opened.st_size || now.st_mtim.tv_sec != w->opened.st_mtim.tv_sec ||
             now.st_mtim.tv_nsec != w->opened.st_mtim.tv_nsec)
        *why = "the weights file was changed while it was in use";
    else return true;
    return false;
}

void weights_done(const weights_file *w, uint64_t offset, uint64_t bytes)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t begin = w->data_at + offset, end = begin + bytes;
    assert(end >= begin && end <= w->size);
    begin = (begin + page - 1) / page * page; /* only pages that no neighbour shares */
    if (end != w->size) end = end / page * page;
    if (begin < end) madvise((void *)(uintptr_t)(w->map + begin), (size_t)(end - begin), MADV_DONTNEED);
}
