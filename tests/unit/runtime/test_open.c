/* Opening: options, versions, processors, external weights, and what close gives back. */
#include "toy_call.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char message[256];

/* Opens `model` and expects it to fail with this message. */
static void expect_refused(const struct rt_model *model, tfx_options o, tfx_status status, const char *text)
{
    o.message = message;
    o.message_bytes = sizeof message;
    tfx_model *h = (tfx_model *)(uintptr_t)16;
    tfx_status s = rt_open(model, tfx_model_v1(), &o, &h);
    assert_string_equal(message, text);
    assert_int_equal(s, status);
    assert_null(h);
}

static const tfx_options init = TFX_OPTIONS_INIT;

static void defaults(void **state)
{
    (void)state;
    tfx_model *h = toy_open(NULL);
    assert_string_equal(tfx_error(h), "");
    assert_ptr_equal(h->api, tfx_model_v1());
    assert_null(h->library);
    assert_int_equal(h->api->abi_version, TFX_ABI_VERSION);
    assert_int_equal(h->api->size, sizeof(tfx_api));
    assert_int_equal(tfx_get_info(h)->size, sizeof(tfx_info));
    const tfx_info *info = tfx_get_info(h);
    assert_string_equal(info->name, "toy");
    assert_int_equal(info->n_entries, TOY_ENTRIES);
    tfx_close(h);
    tfx_close(NULL);
    tfx_model_v1()->close(NULL);
}

static void options(void **state)
{
    (void)state;
    tfx_options o = init;
    o.size = 8; /* too short to have a message */
    tfx_model *h = (tfx_model *)(uintptr_t)16;
    assert_int_equal(tfx_model_v1()->open(&o, &h), TFX_ERR_VERSION);
    assert_null(h);
    o = init;
    o.flags = 6;
    expect_refused(&toy_model, o, TFX_ERR_ARGUMENT, "options: unknown flags 0x4");
    o = init;
    o.threads = TFX_MAX_WORKERS + 1;
    expect_refused(&toy_model, o, TFX_ERR_ARGUMENT, "options: threads is 1025, expected at most 1024");
    o = init;
    o.max_workers = TFX_MAX_WORKERS + 1;
    expect_refused(&toy_model, o, TFX_ERR_ARGUMENT, "options: max_workers is 1025, expected at most 1024");
    o = init;
    o.workspace = (void *)(uintptr_t)0x1020;
    o.workspace_bytes = 4096;
    expect_refused(&toy_model, o, TFX_ERR_ALIGNMENT,
                   "options: expected workspace aligned to 64 bytes, got address 0x1020");
    assert_int_equal(tfx_model_v1()->open(NULL, NULL), TFX_ERR_ARGUMENT);
    o = init;
    o.max_workers = 0; /* means 1 */
    tfx_close(toy_open(&o));
    o.max_workers = TFX_MAX_WORKERS;
    tfx_close(toy_open(&o));
}

/* A caller built against a later tfx.h passes a longer structure. */
static void longer_options(void **state)
{
    (void)state;
    struct {
        tfx_options o;
        uint64_t later;
    } longer = {init, 0};
    longer.o.size = sizeof longer;
    tfx_close(toy_open(&longer.o));
    longer.later = 1;
    longer.o.message = message;
    longer.o.message_bytes = sizeof message;
    tfx_model *h;
    assert_int_equal(tfx_model_v1()->open(&longer.o, &h), TFX_ERR_VERSION);
    assert_string_equal(
        message,
        "options: set something that the model, which is older than the program, does not have; compile it again");
}

static void message_is_cut(void **state)
{
    (void)state;
    tfx_options o = init;
    o.threads = TFX_MAX_WORKERS + 1;
    char tiny[9];
    memset(tiny, 'x', sizeof tiny);
    o.message = tiny;
    o.message_bytes = 8;
    tfx_model *h;
    assert_int_equal(tfx_model_v1()->open(&o, &h), TFX_ERR_ARGUMENT);
    assert_string_equal(tiny, "options");
    assert_int_equal(tiny[8], 'x');
}

static void versions_and_processors(void **state)
{
    (void)state;
    struct rt_model model = toy_model;
    model.abi_version = 7;
    expect_refused(&model, init, TFX_ERR_VERSION, "the model's tables have version 7, expected 2");
    model = toy_model;
    struct rt_variant variant = toy_model.variants[0];
    model.variants = &variant;
    variant.required = (uint64_t)1 << 63; /* a feature that no row of the table has */
    expect_refused(&model, init, TFX_ERR_CPU, "the model was compiled for any; this machine lacks: ?");
    assert_int_equal(rt_variant_of(&model, NULL), -1);
#ifdef __x86_64__
    variant.required = (uint64_t)1 << RT_X86_SSE3; /* every x86-64 since 2005 */
    tfx_model *h = NULL;
    assert_int_equal(rt_open(&model, tfx_model_v1(), NULL, &h), TFX_OK);
    rt_close(h);
    /* Bit by bit what the compiler's own detection says. */
    __builtin_cpu_init();
#define AGREES(NAME, text) \
    assert_int_equal(rt_cpu_here().features >> RT_X86_##NAME & 1, __builtin_cpu_supports(text) != 0)
    AGREES(SSE41, "sse4.1");
    AGREES(SSE42, "sse4.2");
    AGREES(POPCNT, "popcnt");
    AGREES(AVX, "avx");
    AGREES(AVX2, "avx2");
    AGREES(FMA, "fma");
    AGREES(BMI, "bmi");
    AGREES(BMI2, "bmi2");
    AGREES(AVX512F, "avx512f");
    AGREES(AVX512BW, "avx512bw");
    AGREES(AVX512VL, "avx512vl");
    AGREES(AVX512DQ, "avx512dq");
    AGREES(AVX512CD, "avx512cd");
    AGREES(AVX512VNNI, "avx512vnni");
    AGREES(AVX512BF16, "avx512bf16");
    AGREES(AVX512VBMI, "avx512vbmi");
    AGREES(AVX512BITALG, "avx512bitalg");
    AGREES(GFNI, "gfni");
    assert_string_equal(rt_cpu_name(RT_X86_AVX512VNNI), "avx512vnni");
#endif
    assert_string_equal(rt_cpu_name(60), "?");
}

/* ---- external weights ---- */

static char path[] = "/tmp/tfx_weights_XXXXXX";

static void write_file(const struct rt_weights_header *w, const void *data, size_t data_bytes, size_t cut)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    uint8_t *page = calloc(1, 4096 + data_bytes);
    memcpy(page, w, sizeof *w);
    memcpy(page + 4096, data, data_bytes);
    assert_int_equal(fwrite(page, 1, 4096 + data_bytes - cut, f), 4096 + data_bytes - cut);
    fclose(f);
    free(page);
}

static void external_weights(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct rt_model model = toy_model;
    model.info.weights_external = 1;
    const uint8_t *table = model.weights.data;
    model.weights.data = NULL;
    struct rt_weights_header good = {RT_WEIGHTS_MAGIC, 1, sizeof good, 4096, model.weights.bytes, {1, 2, 3}};
    char text[256];
    tfx_options o = init;
    expect_refused(&model, o, TFX_ERR_WEIGHTS, "weights_path is NULL: this model's weights are in a file of their own");
    o.weights_path = "/nonexistent/w";
    expect_refused(&model, o, TFX_ERR_WEIGHTS, "weights '/nonexistent/w': no such file");
    o.weights_path = "/";
    expect_refused(&model, o, TFX_ERR_WEIGHTS, "weights '/': not a file");
    o.weights_path = path;
    snprintf(text, sizeof text, "weights '%s': only 0 bytes long", path);
    expect_refused(&model, o, TFX_ERR_WEIGHTS, text);

    struct rt_weights_header w = good;
    w.magic[0] = 'x';
    write_file(&w, table, 160, 0);
    snprintf(text, sizeof text, "weights '%s': not a weights file of tfxc", path);
    expect_refused(&model, o, TFX_ERR_WEIGHTS, text);
    w = good;
    w.version = 2;
    write_file(&w, table, 160, 0);
    snprintf(text, sizeof text, "weights '%s': expected version 1 with a header of 64 bytes, got version 2 with 64",
             path);
    expect_refused(&model, o, TFX_ERR_WEIGHTS, text);
    w = good;
    w.id[31] = 9;
    write_file(&w, table, 160, 0);
    snprintf(text, sizeof text, "weights '%s': made for another model or from other weights", path);
    expect_refused(&model, o, TFX_ERR_WEIGHTS, text);
    snprintf(text, sizeof text, "weights '%s': expected 160 bytes of weights, got a file of 4255 bytes", path);
    write_file(&good, table, 160, 1); /* truncated */
    expect_refused(&model, o, TFX_ERR_WEIGHTS, text);
    const uint64_t bad_offsets[] = {UINT64_MAX - 4095, 8192, 64, 0};
    for (size_t i = 0; i < sizeof bad_offsets / sizeof *bad_offsets; i++) {
        w = good;
        w.offset = bad_offsets[i];
        write_file(&w, table, 160, 0);
        snprintf(text, sizeof text, "weights '%s': expected 160 bytes of weights, got a file of 4256 bytes", path);
        expect_refused(&model, o, TFX_ERR_WEIGHTS, text);
    }

    write_file(&good, table, 160, 0);
    tfx_model *h = NULL;
    assert_int_equal(rt_open(&model, tfx_model_v1(), &o, &h), TFX_OK);
    toy_call c;
    toy_embed(&c, 2, 3);
    assert_int_equal(rt_run(&model, h, TOY_EMBED, &c.args), TFX_OK);
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 4; k++) assert_true(c.emb[4 * i + k] == 2 * toy_table(c.ids[i], k));
    rt_close(h);

    expect_refused(&toy_model, o, TFX_ERR_ARGUMENT,
                   (snprintf(text, sizeof text, "weights_path '%s': this model's weights are inside it", path), text));
    unlink(path);
}

/* Opening and closing many times gives everything back: address space would run out before this ends if it did not. */
static int64_t huge(const int64_t *dims)
{
    (void)dims;
    return (int64_t)1 << 40;
}

static void large_workspace_is_only_reserved(void **state)
{
    (void)state;
    static struct rt_entry entries[TOY_ENTRIES];
    memcpy(entries, toy_model.variants[0].entries, sizeof entries);
    entries[0].buffer_bytes = huge;
    entries[0].buffer_bound = (int64_t)1 << 40;
    const struct rt_variant variant = {entries, 0};
    struct rt_model model = toy_model;
    model.variants = &variant;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    for (int i = 0; i < 300; i++) { /* 300 TiB in all, more than 47 bits hold */
        tfx_model *h = NULL;
        assert_int_equal(rt_open(&model, tfx_model_v1(), NULL, &h), TFX_OK);
        rt_close(h);
    }
#endif
    entries[0].buffer_bound = INT64_MAX / 8; /* more than any machine has */
    char text[128];
    snprintf(text, sizeof text, "the system refuses to reserve %lld bytes of workspace",
             (long long)(rt_round_up((uint64_t)(INT64_MAX / 8)) + 64));
    expect_refused(&model, init, TFX_ERR_MEMORY, text);
    entries[0].buffer_bound = INT64_MAX;
    expect_refused(&model, init, TFX_ERR_MEMORY, "the workspace is larger than the address space");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(options),
        cmocka_unit_test(longer_options),
        cmocka_unit_test(message_is_cut),
        cmocka_unit_test(versions_and_processors),
        cmocka_unit_test(external_weights),
        cmocka_unit_test(large_workspace_is_only_reserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
