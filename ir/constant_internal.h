/* What the files of constant expressions share. */
#ifndef IR_CONSTANT_INTERNAL_H
#define IR_CONSTANT_INTERNAL_H

#include "ir/constant.h"

/* An expression without its arguments, or of n of them. */
cexpr *cexpr_new(arena *a, cexpr_kind kind, dtype dt, uint32_t rank, const int64_t *shape);
void cexpr_set_args(arena *a, cexpr *e, const cexpr *const *args, uint32_t n);

/* The bytes of an element while it is read: sub-byte ones take a byte each. */
size_t cexpr_unit(dtype t);
/* cexpr_read in those units, without looking at the files again. */
void cexpr_read_units(const cexpr *e, uint64_t first, uint64_t n, uint8_t *out);

/* ---- constant_map.c ---- */
void cexpr_read_broadcast(const cexpr *e, uint64_t first, uint64_t n, uint8_t *out);
void cexpr_read_map(const cexpr *e, uint64_t first, uint64_t n, uint8_t *out);

#endif
