/* The simulator sees what it is there to see: faults put into good kernels, and small programs that a GPU would not
 * run. */
#include "unit/ptx/session.h"

#include "unit/cmocka_all.h"
#include "unit/ptx/ptx_sim.h"

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

/* ---- good kernels made bad ---- */

static void expect_difference(const char *file, ptx_case c)
{
    session s = session_new();
    c.opt = 2;
    kmodule *m = session_read(&s, arena_printf(s.a, "tests/golden/%s", file));
    if (!find_difference(&s, m, c)) fail_msg("%s with '%s' for '%s' goes unnoticed", file, c.with, c.old);
    session_free(&s);
}

static void test_seeded_faults(void **state)
{
    (void)state;
    static const struct {
        const char *file, *old, *with;
    } faults[] = {
        {"kir/mma_matmul.kir", "cp.async.wait_group 1;", ""},
        {"kir/mma_matmul.kir", "cp.async.wait_group 1;", "cp.async.wait_group 2;"},
        {"kir/mma_matmul.kir", "bar.sync 0;", ""},
        {"kir/mma_matmul.kir", "ldmatrix.sync.aligned.m8n8.x4", "ldmatrix.sync.aligned.m8n8.x4.trans"},
        {"kir/mma_matmul.kir", "cp.async.commit_group;", ""},
        {"kir/mma_matmul.kir", "selp.b32 	%r", "or.pred %r"},
        {"kir/wgmma_matmul.kir", "wgmma.wait_group.sync.aligned 0;", ""},
        {"kir/wgmma_matmul.kir", "wgmma.wait_group.sync.aligned 0;", "wgmma.wait_group.sync.aligned 1;"},
        {"kir/wgmma_matmul.kir", "wgmma.commit_group.sync.aligned;", ""},
        {"kir/wgmma_matmul.kir", "cp.async.wait_group 1;", ""},
        {"kir/wgmma_matmul.kir", "bar.sync 0;", ""},
        {"kir/wgmma_matmul.kir", "accumulate, 1, 1, 0, 0;", "accumulate, 1, 1, 0, 1;"},
        {"kir/wgmma_matmul.kir", "4611686293305360384", "4611686156000000000"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        expect_difference(faults[i].file, (ptx_case){.sm = "sm_90a",
                                                     .dims = DIMS(67, 136, 131),
                                                     .tolerance = 0.02,
                                                     .old = faults[i].old,
                                                     .with = faults[i].with});
    expect_difference("ptx/copies.kir",
                      (ptx_case){.sm = "sm_80", .dims = DIMS(23, 34), .old = "bar.warp.sync 0xffffffff;", .with = ""});
    expect_difference(
        "ptx/fragments.kir",
        (ptx_case){
            .kernel = "transposed", .sm = "sm_80", .dims = DIMS(0), .tolerance = 2e-3, .old = ".trans", .with = ""});
    expect_difference("ptx/rows.kir", (ptx_case){.kernel = "softmax",
                                                 .sm = "sm_80",
                                                 .dims = DIMS(3, 100),
                                                 .old = "shfl.sync.bfly.b32",
                                                 .with = "shfl.sync.idx.b32"});
    expect_difference("ptx/flow.kir", (ptx_case){.kernel = "embed",
                                                 .sm = "sm_80",
                                                 .dims = DIMS(13, 50, 128),
                                                 .ints_below = 50,
                                                 .faulty = -1,
                                                 .old = "st.release.gpu.global.b32",
                                                 .with = "ld.global.b32 %rx, [0]; //"});
}

/* ---- programs ---- */

static uint32_t out[64];

/* 64 threads run `body` with %rd1 the address of 64 words and %r1 their number. */
static const char *run_program(session *s, const char *shared, const char *body, bool late)
{
    const char *text = arena_printf(
        s->a,
        ".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry k(\n.param .u64 k_param_0\n)\n"
        ".reqntid 64, 1, 1\n{\n.reg .b32 %%r<9>;\n%s\nld.param.b64 %%rd1, [k_param_0];\nmov.u32 %%r1, %%tid.x;\n"
        "%s\nret;\n}\n",
        shared, body);
    memset(out, 0, sizeof out);
    uint64_t params[] = {(uint64_t)(uintptr_t)out};
    ptx_region words = {out, sizeof out, true};
    ptx_run run = {.grid = {1, 1, 1},
                   .threads = 64,
                   .params = params,
                   .n_params = 1,
                   .regions = &words,
                   .n_regions = 1,
                   .late = late};
    return ptx_simulate(s->a, text, "k", &run);
}

static void expect_error(const char *body, const char *message)
{
    session s = session_new();
    const char *why = run_program(&s, ".shared .align 16 .b8 buf[256];", body, false);
    if (!why || !strstr(why, message)) fail_msg("expected '%s', got '%s'", message, why ? why : "no error");
    session_free(&s);
}

static void test_refused_programs(void **state)
{
    (void)state;
    expect_error("st.global.b32 [%rd1+256], %r1;", "outside of global memory");
    expect_error("st.global.b16 [%rd1+1], %r1;", "is not aligned to 2");
    expect_error("ld.global.v4.b32 {%r2, %r3, %r4, %r5}, [%rd1+8];", "is not aligned to 16");
    expect_error("mov.b64 %rd2, buf;\nst.shared.b32 [%rd2+256], %r1;", "outside of shared memory");
    expect_error("setp.eq.b32 %p1, %r1, 3;\n@%p1 bra $L__BB0_1;\nshfl.sync.idx.b32 %r2, %r1, 0, 31, -1;\n$L__BB0_1:",
                 "has ended");
    expect_error("setp.lt.u32 %p1, %r1, 32;\n@%p1 bra $L__BB0_1;\nbar.sync 0;\n$L__BB0_1:", "has ended");
    expect_error("setp.lt.u32 %p1, %r1, 32;\n@%p1 bra $L__BB0_1;\nbar.sync 0;\nbra $L__BB0_2;\n$L__BB0_1:\nbar.sync "
                 "0;\n$L__BB0_2:",
                 "wait at different instructions");
    expect_error("frobnicate.b32 %r1, %r2;", "unknown instruction");
    expect_error("bra $L__BB0_7;", "no such label");
    expect_error("mov.b64 %rd2, buf;\ncp.async.ca.shared.global [%rd2], [%rd1+2], 4;", "source");
    expect_error("mov.b64 %rd2, buf;\ncp.async.ca.shared.global [%rd2], [%rd1], 4, 5;", "5 bytes of 4");
}

/* Each thread hands a word to its neighbour through shared memory: with a barrier, and without in either order. */
static void test_barrier(void **state)
{
    (void)state;
    for (int barrier = 0; barrier < 2; barrier++) {
        session s = session_new();
        const char *body = arena_printf(s.a,
                                        "mov.b64 %%rd2, buf;\nmul.wide.u32 %%rd3, %%r1, 4;\nadd.s64 %%rd4, %%rd2, "
                                        "%%rd3;\nst.shared.b32 [%%rd4], %%r1;\n%s\n"
                                        "xor.b32 %%r2, %%r1, 33;\nmul.wide.u32 %%rd5, %%r2, 4;\nadd.s64 %%rd6, %%rd2, "
                                        "%%rd5;\nld.shared.b32 %%r3, [%%rd6];\n"
                                        "add.s64 %%rd7, %%rd1, %%rd3;\nst.global.b32 [%%rd7], %%r3;",
                                        barrier ? "bar.sync 0;" : "");
        for (int late = 0; late < 2; late++) {
            assert_null(run_program(&s, ".shared .align 16 .b8 buf[256];", body, late));
            uint32_t wrong = 0;
            for (uint32_t i = 0; i < 64; i++) wrong += out[i] != (i ^ 33);
            assert_int_equal(wrong != 0, !barrier);
        }
        session_free(&s);
    }
}

/* Numbers that the kernels' tests rely on. */
static void test_arithmetic(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        uint32_t want;
    } all[] = {
        {"mov.b32 %r2, 0f3f800000; add.rn.f32 %r3, %r2, 0f33800000;", 0x3f800000},
        {"mov.b32 %r2, 0f3f800001; fma.rn.f32 %r3, %r2, %r2, 0fbf800002;", 0x28800000},
        {"mov.b32 %r2, 0f3f808000; cvt.rn.bf16x2.f32 %r3, %r2, 0f3f818000;", 0x3f803f82},
        {"mov.b32 %r2, 0f477ff000; cvt.rn.f16.f32 %rs1, %r2; cvt.u32.u16 %r3, %rs1;", 0x7c00},
        {"mov.b32 %r2, 0fc0200000; cvt.rzi.s32.f32 %r3, %r2;", 0xfffffffe},
        {"mov.b32 %r2, 0f7fc00000; cvt.rzi.s32.f32 %r3, %r2;", 0},
        {"mov.b32 %r2, -7; shr.s32 %r3, %r2, 40;", 0xffffffff},
        {"mov.b32 %r2, -7; div.s32 %r3, %r2, 2;", 0xfffffffd},
        {"mov.b32 %r2, 0x12345678; prmt.b32 %r3, %r2, 0, 0x0123;", 0x78563412},
        {"mov.b32 %r2, 0x12345678; bfe.u32 %r3, %r2, 8, 12;", 0x456},
        {"mov.b64 %rd2, 0x123456789; mul.hi.u64 %rd3, %rd2, %rd2; cvt.u32.u64 %r3, %rd3;", 1},
        {"mov.b32 %r2, 0f80000000; max.f32 %r3, %r2, 0f00000000;", 0},
        {"mov.b32 %r2, 0f80000000; min.f32 %r3, 0f00000000, %r2;", 0x80000000},
        {"mov.b32 %r2, 0f7fc00000; max.f32 %r3, %r2, 0f3f800000;", 0x3f800000},
        {"setp.lt.s32 %p1, -1, 0; selp.b32 %r3, 5, 6, %p1;", 5},
        {"setp.lo.u32 %p1, -1, 0; selp.b32 %r3, 5, 6, %p1;", 6},
        {"mov.b32 %r2, 0f7fc00000; setp.neu.f32 %p1, %r2, %r2; selp.b32 %r3, 5, 6, %p1;", 5},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        session s = session_new();
        const char *why =
            run_program(&s, "", arena_printf(s.a, "%s\nst.global.b32 [%%rd1], %%r3;", all[i].code), false);
        if (why) fail_msg("%s: %s", all[i].code, why);
        if (out[0] != all[i].want) fail_msg("%s: expected 0x%x, got 0x%x", all[i].code, all[i].want, out[0]);
        session_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeded_faults),
        cmocka_unit_test(test_refused_programs),
        cmocka_unit_test(test_barrier),
        cmocka_unit_test(test_arithmetic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
