/* Where tile elements lie in registers, against the fragment tables of the PTX ISA as they are written there. */
#include "codegen/ptx_layout.h"

#include "unit/cmocka_all.h"

#include <string.h>

typedef struct {
    int row, col;
} place;

/* ---- the ISA's tables: fragment element n of thread `lane` ---- */

/* mma.m16n8k16, .f16 / .bf16, matrix A: a0..a7 */
static place isa_a(int lane, int n)
{
    int group = lane >> 2, in_group = lane % 4;
    return (place){(n >= 0 && n < 2) || (n >= 4 && n < 6) ? group : group + 8,
                   in_group * 2 + (n & 1) + (n >= 4 ? 8 : 0)};
}

/* matrix B: b0..b3 */
static place isa_b(int lane, int n)
{
    return (place){lane % 4 * 2 + (n & 1) + (n >= 2 ? 8 : 0), lane >> 2};
}

/* matrix C and D: c0..c3 */
static place isa_c(int lane, int n)
{
    return (place){n < 2 ? lane >> 2 : (lane >> 2) + 8, lane % 4 * 2 + (n & 1)};
}

/* wgmma.m64nNk16, matrix D: d0..d(N/2 - 1) of thread 0..127 */
static place isa_d(int thread, int n)
{
    int warp = thread / 32, lane = thread % 32;
    return (place){warp * 16 + lane / 4 + (n % 4 >= 2 ? 8 : 0), n / 4 * 8 + lane % 4 * 2 + n % 2};
}

/* ---- the layouts ---- */

static place place_of(const ptx_layout *l, int lane, int r, int c)
{
    return (place){ptx_slot_at(&l->axis[PTX_ROW], r) + ptx_lane_part(&l->axis[PTX_ROW], lane),
                   ptx_slot_at(&l->axis[PTX_COL], c) + ptx_lane_part(&l->axis[PTX_COL], lane)};
}

/* How often each element of the tile is held, and by whom; nobody but the lanes that differ in replicated bits share
 * one. */
static void check_cover(ktile t, int lanes)
{
    ptx_layout l = ptx_layout_of(t, lanes);
    int rows = t.rank == 2 ? t.shape[0] : 1, cols = t.rank ? t.shape[t.rank - 1] : 1;
    enum { MOST = 1 << 16 };
    static uint8_t held[MOST];
    assert_true(rows * cols <= MOST);
    memset(held, 0, sizeof held);
    uint32_t same = ptx_replicated_bits(&l);
    for (int lane = 0; lane < lanes; lane++)
        for (int r = 0; r < l.axis[PTX_ROW].slots; r++)
            for (int c = 0; c < l.axis[PTX_COL].slots; c++) {
                place p = place_of(&l, lane, r, c);
                int reg = ptx_register_of(&l, r, c);
                assert_in_range(reg, 0, l.registers - 1);
                bool exists = p.row < rows && p.col < cols;
                if (!exists) assert_true(ptx_slot_ragged(&l, PTX_ROW, r) || ptx_slot_ragged(&l, PTX_COL, c));
                if (!exists || (uint32_t)lane & same) continue;
                held[p.row * cols + p.col]++;
            }
    for (int i = 0; i < rows * cols; i++)
        if (held[i] != 1)
            fail_msg("%s<%dx%d>: element %d is held %d times", klayout_name(t.layout), rows, cols, i, held[i]);
    /* Lanes that differ in replicated bits hold the same. */
    for (int lane = 0; lane < lanes; lane++)
        for (int r = 0; r < l.axis[PTX_ROW].slots; r++)
            for (int c = 0; c < l.axis[PTX_COL].slots; c++) {
                place p = place_of(&l, lane, r, c), q = place_of(&l, (int)((uint32_t)lane & ~same), r, c);
                assert_true(p.row == q.row && p.col == q.col);
            }
}

static void test_every_element_once(void **state)
{
    (void)state;
    static const int widths[] = {1, 2, 3, 4, 7, 8, 16, 31, 32, 33, 63, 64, 100, 127, 128, 130, 257, 512, 768};
    for (int lanes = 32; lanes <= 128; lanes *= 4)
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
            check_cover(ktile_vector(DT_F32, widths[i], KL_LANES), lanes);
            check_cover(ktile_make(DT_BF16, 3, widths[i], KL_LANES), lanes);
            check_cover(ktile_make(DT_I64, widths[i], 1, KL_LANES), lanes);
        }
    check_cover(ktile_scalar(DT_I64), 32);
    check_cover(ktile_make(DT_BF16, 64, 48, KL_MMA_A), 32);
    check_cover(ktile_make(DT_F16, 48, 40, KL_MMA_B), 32);
    check_cover(ktile_make(DT_F32, 64, 40, KL_MMA_C), 32);
    check_cover(ktile_make(DT_F32, 1, 40, KL_MMA_C), 32);
    check_cover(ktile_make(DT_F32, 64, 1, KL_MMA_C), 32);
    check_cover(ktile_make(DT_F32, 1, 1, KL_MMA_C), 32);
    check_cover(ktile_make(DT_F32, 64, 256, KL_WGMMA_C), 128);
    check_cover(ktile_make(DT_F32, 1, 24, KL_WGMMA_C), 128);
    check_cover(ktile_make(DT_F32, 64, 1, KL_WGMMA_C), 128);
}

/* Element n of the fragment at fragment position (i, j) is slot (r, c) of the tile, and the slot lies where the ISA
 * says. */
static void expect_slot(const ptx_layout *l, int lane, int r, int c, int row0, int col0, place isa)
{
    place p = place_of(l, lane, r, c);
    if (p.row != row0 + isa.row || p.col != col0 + isa.col)
        fail_msg("%s, lane %d, slot (%d, %d): expected (%d, %d), got (%d, %d)", klayout_name(l->layout), lane, r, c,
                 row0 + isa.row, col0 + isa.col, p.row, p.col);
}

static void test_mma_fragments(void **state)
{
    (void)state;
    ptx_layout a = ptx_layout_of(ktile_make(DT_BF16, 48, 32, KL_MMA_A), 32);
    ptx_layout b = ptx_layout_of(ktile_make(DT_BF16, 32, 24, KL_MMA_B), 32);
    ptx_layout c = ptx_layout_of(ktile_make(DT_F32, 48, 24, KL_MMA_C), 32);
    for (int lane = 0; lane < 32; lane++) {
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 2; j++)
                for (int n = 0; n < 8;
                     n++) { /* register n / 2 of the instruction: rows 8 (n / 2 & 1), columns 8 (n / 4) */
                    int r = 2 * i + (n / 2 & 1), s = 4 * j + 2 * (n / 4) + (n & 1);
                    expect_slot(&a, lane, r, s, 16 * i, 16 * j, isa_a(lane, n));
                    assert_int_equal(ptx_register_of(&a, r, s), (2 * i + (n / 2 & 1)) * 4 + 2 * j + n / 4);
                }
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 3; j++)
                for (int n = 0; n < 4; n++) {
                    int r = 4 * i + n;
                    expect_slot(&b, lane, r, j, 16 * i, 8 * j, isa_b(lane, n));
                    assert_int_equal(ptx_register_of(&b, r, j), (2 * i + n / 2) * 3 + j);
                }
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                for (int n = 0; n < 4; n++)
                    expect_slot(&c, lane, 2 * i + n / 2, 2 * j + n % 2, 16 * i, 8 * j, isa_c(lane, n));
    }
    assert_int_equal(a.registers, 3 * 2 * 4);
    assert_int_equal(b.registers, 2 * 3 * 2);
    assert_int_equal(c.registers, 3 * 3 * 4);
}

static void test_wgmma_fragment(void **state)
{
    (void)state;
    static const int widths[] = {8, 24, 128, 256};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        ptx_layout d = ptx_layout_of(ktile_make(DT_F32, 64, widths[i], KL_WGMMA_C), 128);
        assert_int_equal(d.registers, widths[i] / 2);
        for (int thread = 0; thread < 128; thread++)
            for (int n = 0; n < widths[i] / 2; n++)
                expect_slot(&d, thread, n / 2 % 2, n / 4 * 2 + n % 2, 0, 0, isa_d(thread, n));
    }
}

/* ldmatrix gives thread T of matrix m row T / 4, elements 2 (T % 4) and the next: with m the block that the functions
 * say, that is what the fragments of A and of B (whose stored rows are columns of the tile) hold. */
static void test_ldmatrix(void **state)
{
    (void)state;
    ptx_layout a = ptx_layout_of(ktile_make(DT_BF16, 16, 16, KL_MMA_A), 32),
               b = ptx_layout_of(ktile_make(DT_BF16, 16, 16, KL_MMA_B), 32);
    for (int m = 0; m < 4; m++) {
        int i = ptx_matrix_row(8 * m), j = ptx_matrix_col(8 * m);
        for (int lane = 8 * m; lane < 8 * m + 8; lane++)
            assert_true(ptx_matrix_row(lane) == i && ptx_matrix_col(lane) == j);
        assert_int_equal(m, i + 2 * j);
        for (int lane = 0; lane < 32; lane++)
            for (int n = 0; n < 2; n++) {
                int stored_row = lane / 4, stored_col = lane % 4 * 2 + n;
                expect_slot(&a, lane, i, 2 * j + n, 8 * i, 8 * j, (place){stored_row, stored_col});
                assert_int_equal(ptx_register_of(&a, i, 2 * j + n), i * 2 + j);
                expect_slot(&b, lane, 2 * i + n, j, 8 * i, 8 * j, (place){stored_col, stored_row});
                assert_int_equal(ptx_register_of(&b, 2 * i + n, j), i * 2 + j);
            }
    }
}

/* Fields as the ISA numbers them: start 0-13, leading offset 16-29, stride offset 32-45, base offset 49-51, swizzle
 * 62-63. */
static void test_descriptor(void **state)
{
    (void)state;
    static const struct {
        int row_bytes, mode;
    } rows[] = {{128, 1}, {64, 2}, {32, 3}};
    for (size_t i = 0; i < 3; i++) {
        uint64_t d = ptx_wgmma_descriptor(rows[i].row_bytes) + ptx_wgmma_address(0x2c420);
        assert_int_equal(d & 0x3fff, 0x2c42);
        assert_int_equal(d >> 32 & 0x3fff, 8 * rows[i].row_bytes / 16);
        assert_int_equal(d >> 49 & 7, 0);
        assert_int_equal(d >> 62, rows[i].mode);
        assert_int_equal(d & UINT64_C(0x3ff1c000c000c000), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_element_once), cmocka_unit_test(test_mma_fragments),
        cmocka_unit_test(test_wgmma_fragment),     cmocka_unit_test(test_ldmatrix),
        cmocka_unit_test(test_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
