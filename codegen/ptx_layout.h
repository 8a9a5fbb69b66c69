/* Where the elements of a tile lie in the registers of a GPU agent (a warp of 32 lanes or a warpgroup of 128).
 *
 * Every layout of layouts.def is separable: a lane holds the same grid of slots whatever the lane, and slot (r, c) is
 * the element (row, col) with row = rows.at(r) + rows.part(lane),   col = cols.at(c) + cols.part(lane) at(s) = s /
 * piece * group + s % piece,   part(lane) = lane / div % mod * scale + lane / 32 * warp_scale An axis of size 1 has one
 * slot in every lane. Coordinates at or beyond the size do not exist (layout `lanes` only).
 *
 * lanes: each row begins again at lane 0 and is dealt in pieces of 4, 2 or 1 elements, so that a column belongs to the
 * same lane in every tile of that width, and a row of at least as many elements as lanes keeps all of them busy. mma_*,
 * wgmma_c: the fragment tables of the PTX ISA, sections "Matrix fragments for mma.m16n8k16" and "Register fragments for
 * wgmma.mma_async.m64nNk16"; tests/unit/codegen/test_ptx_layout.c holds them in the ISA's own form. */
#ifndef CODEGEN_PTX_LAYOUT_H
#define CODEGEN_PTX_LAYOUT_H

#include "ir/kir/kir.h"

typedef struct {
    int32_t size;
    int32_t slots, piece, group;
    int32_t div, mod, scale, warp_scale; /* mod 1: the same part in all lanes */
} ptx_axis;

typedef struct {
    klayout layout;
    int lanes;        /* of the agent */
    ptx_axis axis[2]; /* rows, columns; a tile of rank 1 is one row, a scalar one element */
    int packed; /* the axis along which two 16-bit neighbours share a register; -1: a register holds one element */
    int registers;
} ptx_layout;

enum { PTX_ROW, PTX_COL };

/* The layout of a tile that is held in registers (not `shared`) by agents of 32 or 128 lanes. */
ptx_layout ptx_layout_of(ktile t, int lanes);
int32_t ptx_slot_at(const ptx_axis *x, int slot);
int32_t ptx_lane_part(const ptx_axis *x, int lane);
int32_t ptx_lane_most(const ptx_axis *x, int lanes);                  /* the largest part of any lane */
bool ptx_slot_ragged(const ptx_layout *l, int axis, int slot);        /* the element is beyond the size in some lane */
int ptx_register_of(const ptx_layout *l, int row_slot, int col_slot); /* packed: of the pair that holds it */
/* Bits of the lane number that no axis reads: lanes that differ only there hold the same elements. */
uint32_t ptx_replicated_bits(const ptx_layout *l);

/* The 8x8 blocks of 16-bit elements that one ldmatrix moves, relative to block (i, j) of a tile in layout mma_a or
 * mma_b: result register n is block (i + (n & 1), j + n / 2), and lane l gives the address of stored row l % 8 of block
 * (i + ptx_matrix_row(l), j + ptx_matrix_col(l)). */
static inline int ptx_matrix_row(int lane)
{
    return lane >> 3 & 1;
}
static inline int ptx_matrix_col(int lane)
{
    return lane >> 4 & 1;
}

/* The shared-memory matrix descriptor of wgmma without its start address: rows of `row_bytes` (32, 64 or 128) with the
 * swizzle of that width, groups of eight rows one after the other. */
uint64_t ptx_wgmma_descriptor(int row_bytes);
/* The start address, in bytes of the shared window, as it is added to the descriptor. */
uint64_t ptx_wgmma_address(uint32_t address);

#endif
