/* Interning and pointer maps: open addressing with linear probing, tables at most half full. */
#include "support/intern.h"

#include <assert.h>

enum { FIRST_SLOTS = 64 };

/* Eight bytes in little-endian order on every machine. */
static uint64_t load8(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    h ^= h >> 32;
    return h;
}

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed)
{
    const unsigned char *s = p;
    uint64_t h = mix(seed ^ ((uint64_t)n * UINT64_C(0x9e3779b97f4a7c15)));
    for (; n >= 8; s += 8, n -= 8) h = mix(h ^ load8(s, 8)) + UINT64_C(0x9e3779b97f4a7c15);
    if (n) h = mix(h ^ load8(s, n)) + UINT64_C(0x9e3779b97f4a7c15);
    return mix(h);
}

typedef struct {
    const char *text; /* NULL: free */
    size_t len;
    uint64_t hash;
} interned;

struct interner {
    arena *a;
    interned *slots;
    uint32_t count, cap;
};

interner *interner_new(arena *a)
{
    interner *in = ARENA_NEW(a, interner);
    *in = (interner){.a = a, .slots = ARENA_ARRAY(a, interned, FIRST_SLOTS), .cap = FIRST_SLOTS};
    return in;
}

static void interner_grow(interner *in)
{
    if (in->cap > UINT32_MAX / 2) arena_out_of_memory(in->a);
    uint32_t cap = in->cap * 2;
    interned *slots = ARENA_ARRAY(in->a, interned, cap);
    for (uint32_t i = 0; i < in->cap; i++) {
        if (!in->slots[i].text) continue;
        uint32_t at = (uint32_t)in->slots[i].hash & (cap - 1);
        while (slots[at].text) at = (at + 1) & (cap - 1);
        slots[at] = in->slots[i];
    }
    in->slots = slots;
    in->cap = cap;
}

const char *intern(interner *in, const char *s, size_t n)
{
    uint64_t h = hash_bytes(s, n, 0);
    uint32_t at = (uint32_t)h & (in->cap - 1);
    for (; in->slots[at].text; at = (at + 1) & (in->cap - 1)) {
        const interned *e = &in->slots[at];
        if (e->hash == h && e->len == n && (!n || !memcmp(e->text, s, n))) return e->text;
    }
    const char *text = arena_strndup(in->a, s, n);
    in->slots[at] = (interned){text, n, h};
    if (++in->count > in->cap / 2) interner_grow(in);
    return text;
}

const char *intern_z(interner *in, const char *s)
{
    return intern(in, s, strlen(s));
}

struct ptrmap {
    arena *a;
    uint32_t *slots; /* entry index + 1; 0: free */
    uint32_t slot_cap;
    const void **keys; /* in order of insertion */
    void **values;
    uint32_t len, cap;
};

ptrmap *ptrmap_new(arena *a)
{
    ptrmap *m = ARENA_NEW(a, ptrmap);
    m->a = a;
    return m;
}

static uint32_t slot_of(const ptrmap *m, const void *key)
{
    uint32_t at = (uint32_t)mix((uint64_t)(uintptr_t)key) & (m->slot_cap - 1);
    while (m->slots[at] && m->keys[m->slots[at] - 1] != key) at = (at + 1) & (m->slot_cap - 1);
    return at;
}

bool ptrmap_has(const ptrmap *m, const void *key)
{
    return m->len && m->slots[slot_of(m, key)];
}

void *ptrmap_get(const ptrmap *m, const void *key)
{
    if (!m->len) return NULL;
    uint32_t entry = m->slots[slot_of(m, key)];
    return entry ? m->values[entry - 1] : NULL;
}

static void ptrmap_grow(ptrmap *m)
{
    if (m->cap > UINT32_MAX / 4) arena_out_of_memory(m->a);
    uint32_t cap = m->cap ? m->cap * 2 : 8;
    const void **keys = ARENA_ARRAY(m->a, const void *, cap);
    void **values = ARENA_ARRAY(m->a, void *, cap);
    if (m->len) {
        memcpy(keys, m->keys, m->len * sizeof *keys);
        memcpy(values, m->values, m->len * sizeof *values);
    }
    m->keys = keys;
    m->values = values;
    m->cap = cap;
    m->slot_cap = cap * 2;
    m->slots = ARENA_ARRAY(m->a, uint32_t, m->slot_cap);
    for (uint32_t i = 0; i < m->len; i++) m->slots[slot_of(m, keys[i])] = i + 1;
}

void ptrmap_set(ptrmap *m, const void *key, void *value)
{
    if (m->len) {
        uint32_t entry = m->slots[slot_of(m, key)];
        if (entry) {
            m->values[entry - 1] = value;
            return;
        }
    }
    if (m->len == m->cap) ptrmap_grow(m);
    m->keys[m->len] = key;
    m->values[m->len] = value;
    uint32_t at = slot_of(m, key);
    m->slots[at] = ++m->len;
}

uint32_t ptrmap_len(const ptrmap *m)
{
    return m->len;
}

const void *ptrmap_key_at(const ptrmap *m, uint32_t i)
{
    assert(i < m->len);
    return m->keys[i];
}

void *ptrmap_value_at(const ptrmap *m, uint32_t i)
{
    assert(i < m->len);
    return m->values[i];
}
