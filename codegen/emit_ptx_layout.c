/* The layouts of GPU tiles as arithmetic: see ptx_layout.h. */
#include "codegen/ptx_layout.h"

#include <assert.h>

static ptx_axis one(void)
{
    return (ptx_axis){.size = 1, .slots = 1, .piece = 1, .group = 1, .div = 1, .mod = 1};
}

/* Every element in every lane. */
static ptx_axis whole(int32_t size)
{
    return (ptx_axis){.size = size, .slots = size, .piece = 1, .group = 1, .div = 1, .mod = 1};
}

/* Groups of eight, one element of each for every quad of lanes. */
static ptx_axis by_quads(int32_t size)
{
    if (size == 1) return one();
    return (ptx_axis){.size = size, .slots = size / 8, .piece = 1, .group = 8, .div = 4, .mod = 8, .scale = 1};
}

/* Groups of eight, two neighbours of each for every lane of a quad. */
static ptx_axis in_quads(int32_t size)
{
    if (size == 1) return one();
    return (ptx_axis){.size = size, .slots = size / 4, .piece = 2, .group = 8, .div = 1, .mod = 4, .scale = 2};
}

/* Sixteen rows for each of the four warps. */
static ptx_axis by_warps(int32_t size)
{
    if (size == 1) return one();
    assert(size == 64);
    ptx_axis x = by_quads(16);
    x.size = size;
    x.warp_scale = 16;
    return x;
}

static ptx_axis dealt(int32_t size, int lanes)
{
    if (size == 1) return one();
    int32_t piece = 4;
    while (piece > 1 && (size % piece || piece * lanes > size)) piece /= 2;
    int32_t group = piece * lanes;
    return (ptx_axis){.size = size,
                      .slots = (size + group - 1) / group * piece,
                      .piece = piece,
                      .group = group,
                      .div = 1,
                      .mod = lanes,
                      .scale = piece};
}

ptx_layout ptx_layout_of(ktile t, int lanes)
{
    ptx_layout l = {.layout = t.layout, .lanes = lanes, .packed = -1};
    int32_t rows = t.rank == 2 ? t.shape[0] : 1, cols = t.rank ? t.shape[t.rank - 1] : 1;
    ptx_axis *r = &l.axis[PTX_ROW], *c = &l.axis[PTX_COL];
    if (t.rank == 0) {
        *r = *c = one();
    } else if (t.layout == KL_LANES) {
        *r = whole(rows);
        *c = dealt(cols, lanes);
    } else if (t.layout == KL_MMA_B) {
        *r = in_quads(rows);
        *c = by_quads(cols);
        l.packed = PTX_ROW;
    } else {
        assert(t.layout == KL_MMA_A || t.layout == KL_MMA_C || t.layout == KL_WGMMA_C);
        *r = t.layout == KL_WGMMA_C ? by_warps(rows) : by_quads(rows);
        *c = in_quads(cols);
        l.packed = t.layout == KL_MMA_A ? PTX_COL : -1;
    }
    l.registers = r->slots * c->slots / (l.packed < 0 ? 1 : 2);
    return l;
}

int32_t ptx_slot_at(const ptx_axis *x, int slot)
{
    assert(slot >= 0 && slot < x->slots);
    return slot / x->piece * x->group + slot % x->piece;
}

int32_t ptx_lane_part(const ptx_axis *x, int lane)
{
    return lane / x->div % x->mod * x->scale + lane / 32 * x->warp_scale;
}

int32_t ptx_lane_most(const ptx_axis *x, int lanes)
{
    return (x->mod - 1) * x->scale + (lanes - 1) / 32 * x->warp_scale;
}

bool ptx_slot_ragged(const ptx_layout *l, int axis, int slot)
{
    const ptx_axis *x = &l->axis[axis];
    return ptx_slot_at(x, slot) + ptx_lane_most(x, l->lanes) >= x->size;
}

int ptx_register_of(const ptx_layout *l, int row_slot, int col_slot)
{
    int cols = l->axis[PTX_COL].slots;
    if (l->packed == PTX_ROW) return row_slot / 2 * cols + col_slot;
    if (l->packed == PTX_COL) return row_slot * (cols / 2) + col_slot / 2;
    return row_slot * cols + col_slot;
}

uint32_t ptx_replicated_bits(const ptx_layout *l)
{
    uint32_t used = 0;
    for (int i = 0; i < 2; i++) {
        const ptx_axis *x = &l->axis[i];
        used |= (uint32_t)((x->mod - 1) * x->div);
        if (x->warp_scale) used |= ~UINT32_C(31);
    }
    return ~used & (uint32_t)(l->lanes - 1);
}

/* Bits 16..29: offset of the second 8x8 brick along the contiguous axis, not read for swizzled operands of one row's
 * width. Bits 32..45: offset of the next eight rows. Bits 62..63: 1, 2, 3 for a swizzle of 128, 64, 32 bytes. Offsets
 * in units of 16. */
uint64_t ptx_wgmma_descriptor(int row_bytes)
{
    uint64_t mode = row_bytes == 128 ? 1 : row_bytes == 64 ? 2 : 3;
    assert(row_bytes == 128 || row_bytes == 64 || row_bytes == 32);
    return UINT64_C(1) << 16 | (uint64_t)(8 * row_bytes / 16) << 32 | mode << 62;
}

uint64_t ptx_wgmma_address(uint32_t address)
{
    return (address & 0x3ffff) >> 4;
}
