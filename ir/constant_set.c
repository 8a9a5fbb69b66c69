#include "ir/constant_set.h"

static const void *hash_key(const cexpr *e)
{
    return (const void *)(uintptr_t)(cexpr_hash(e) | 1);
}

constant_set constant_set_new(arena *a)
{
    return (constant_set){.a = a, .by_hash = ptrmap_new(a)};
}

static uint32_t find(const constant_set *s, const cexpr *e, uintptr_t last)
{
    for (uint32_t i = (uint32_t)last; i; i = s->entries.data[i - 1].before)
        if (cexpr_equal(s->entries.data[i - 1].e, e)) return i - 1;
    return CONSTANT_ABSENT;
}

uint32_t constant_set_find(const constant_set *s, const cexpr *e)
{
    return find(s, e, (uintptr_t)ptrmap_get(s->by_hash, hash_key(e)));
}

uint32_t constant_set_add(constant_set *s, const cexpr *e)
{
    const void *key = hash_key(e);
    uintptr_t last = (uintptr_t)ptrmap_get(s->by_hash, key);
    uint32_t known = find(s, e, last);
    if (known != CONSTANT_ABSENT) return known;
    struct constant_set_entry added = {e, (uint32_t)last};
    vec_push(s->a, &s->entries, added);
    ptrmap_set(s->by_hash, key, (void *)(uintptr_t)s->entries.len);
    return s->entries.len - 1;
}
