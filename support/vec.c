#include "support/vec.h"

void *vec_grown(arena *a, void *data, uint32_t len, uint32_t *cap, uint32_t extra, size_t size, size_t align)
{
    if (extra <= *cap - len) return data;
    if (extra > UINT32_MAX - len) arena_out_of_memory(a);
    uint32_t need = len + extra;
    uint32_t grown = *cap > UINT32_MAX / 2 ? UINT32_MAX : *cap * 2;
    if (grown < 8) grown = 8;
    if (grown < need) grown = need;
    void *fresh = arena_array(a, grown, size, align);
    if (len) memcpy(fresh, data, (size_t)len * size);
    *cap = grown;
    return fresh;
}
