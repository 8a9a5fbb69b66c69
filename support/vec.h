/* Typed growable arrays in an arena: VEC(int) v = {0}; vec_push(a, &v, 3); v.data[0]; v.len. */
#ifndef SUPPORT_VEC_H
#define SUPPORT_VEC_H

#include "support/arena.h"

#define VEC(T)             \
    struct {               \
        T *data;           \
        uint32_t len, cap; \
    }

/* Makes room for `extra` more elements; old storage stays in the arena (growth doubles, so the waste is bounded). */
#define vec_reserve(a, v, extra) \
    ((v)->data =                 \
         vec_grown((a), (v)->data, (v)->len, &(v)->cap, (extra), sizeof *(v)->data, _Alignof(__typeof__(*(v)->data))))
#define vec_push(a, v, x) ((void)vec_reserve((a), (v), 1), (void)((v)->data[(v)->len] = (x)), (void)(v)->len++)
#define vec_last(v) ((v)->data[(v)->len - 1])
#define vec_pop(v) ((v)->data[--(v)->len])
#define vec_foreach(T, p, v) for (__typeof__(T) *p = (v)->data, *p##_end = (v)->data + (v)->len; p != p##_end; p++)

/* The storage of vec_reserve: `data` itself, or a larger copy. */
void *vec_grown(arena *a, void *data, uint32_t len, uint32_t *cap, uint32_t extra, size_t size, size_t align);

#endif
