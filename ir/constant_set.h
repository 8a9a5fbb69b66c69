/* Numbers for constants: equal expressions have equal numbers, counted from 0 in the order in which they came. */
#ifndef IR_CONSTANT_SET_H
#define IR_CONSTANT_SET_H

#include "ir/constant.h"
#include "support/intern.h"
#include "support/vec.h"

typedef struct {
    arena *a;
    ptrmap *by_hash; /* hash -> 1 + the last entry that has it */
    VEC(struct constant_set_entry {
        const cexpr *e;
        uint32_t before; /* 1 + the entry before it with that hash; 0: none */
    }) entries;
} constant_set;

enum { CONSTANT_ABSENT = UINT32_MAX };

constant_set constant_set_new(arena *a);
uint32_t constant_set_add(constant_set *s, const cexpr *e); /* its number, a new one where there is no equal */
uint32_t constant_set_find(const constant_set *s, const cexpr *e);

#endif
