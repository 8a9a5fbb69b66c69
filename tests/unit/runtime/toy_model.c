#include "toy_model.h"

#include <stdlib.h>
#include <string.h>

/* Mistakes that generated code could make, one at a time, for the tests of tests/e2e/embed_check.c. */
#ifndef TOY_MISTAKE
#define TOY_MISTAKE 0
#endif
enum {
    OVER_READ = 1,
    WRITE_BEFORE,
    STALE_WORKSPACE,
    DEPENDS_ON_DIVISION,
    ALLOCATES,
    SCRATCH_TOO_SMALL,
    WEIGHTS_OVER_READ,
    WRITES_INPUT
};
static volatile float sink;

static int32_t launch(struct rt_call *call, const struct rt_launch *l, void *const *bufs, const int64_t *dims,
                      int64_t tasks)
{
    struct rt_work work = {.launch = l, .bufs = bufs, .dims = dims, .tasks = tasks};
    return call->launch(call, &work, 1);
}

#define CONST_AXIS(n) {#n, n, n, n, -1, -1}
#define DIM_AXIS(name, lo, hi) {#name, -1, lo, hi, TOY_##name, -1}

static const tfx_dim_info dims[TOY_DIMS] = {{"B", 1, 4, 1}, {"S", 0, 16, 1}, {"M", 8, 32, 8}, {"P", 0, 8, 1}};

/* ---- computed sizes ---- */
enum { SIZE_2S1, SIZE_SP };
static const struct rt_expr_op ops_2s1[] = {
    {RT_EXPR_CONST, 2}, {RT_EXPR_DIM, TOY_S}, {RT_EXPR_MUL, 0}, {RT_EXPR_CONST, 1}, {RT_EXPR_ADD, 0}};
static const struct rt_expr_op ops_sp[] = {{RT_EXPR_DIM, TOY_S}, {RT_EXPR_DIM, TOY_P}, {RT_EXPR_ADD, 0}};
static const struct rt_expr_op ops_20[] = {{RT_EXPR_CONST, 20}};
static const struct rt_expr computed[] = {[SIZE_2S1] = {ops_2s1, 5}, [SIZE_SP] = {ops_sp, 3}};

/* ---- weights ---- */
#define ROW(i) 10 * i, 10 * i + 1, 10 * i + 2, 10 * i + 3
static const float table[40]
    __attribute__((aligned(64))) = {ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6), ROW(7), ROW(8), ROW(9)};

/* ---- entry embed ---- */
static const tfx_axis_info ids_axes[] = {DIM_AXIS(B, 1, 4), DIM_AXIS(S, 0, 16)};
static const tfx_axis_info emb_axes[] = {DIM_AXIS(B, 1, 4), DIM_AXIS(S, 0, 16), CONST_AXIS(4)};
static const tfx_tensor_info embed_inputs[] = {{"ids", "token numbers", TFX_I64, 2, ids_axes}};
static const tfx_tensor_info embed_outputs[] = {{"emb", NULL, TFX_F32, 3, emb_axes}};
static const uint32_t embed_dims[] = {TOY_B, TOY_S};

/* bufs: ids, table, out; dims: S, vocabulary. Tasks: rows of ids. */
static void gather(void *const *bufs, const int64_t *d, void *scratch, struct rt_fault *fault, int64_t begin,
                   int64_t end)
{
    (void)scratch;
    const int64_t *ids = bufs[0];
    const float *weights = bufs[1];
    float *out = bufs[2];
    if (TOY_MISTAKE == OVER_READ && end > begin) sink = (float)ids[end * d[0]];
    if (TOY_MISTAKE == WEIGHTS_OVER_READ) sink = weights[48]; /* 160 bytes, readable to 192 */
    if (TOY_MISTAKE == WRITES_INPUT && end > begin) ((int64_t *)bufs[0])[0] = 0;
    for (int64_t i = begin * d[0]; i < end * d[0]; i++) {
        int64_t id = ids[i];
        if (id < 0 || id >= d[1]) {
            if (i < fault->index || (i == fault->index && 0 < fault->arg)) {
                fault->index = i;
                fault->arg = 0;
                fault->value = id;
                fault->bound = d[1];
            }
            id = 0;
        }
        if (TOY_MISTAKE == STALE_WORKSPACE && i == 0) continue;
        memcpy(out + 4 * i, weights + 4 * id, 4 * sizeof(float));
        if (TOY_MISTAKE == DEPENDS_ON_DIVISION) out[4 * i] += (float)(i - begin * d[0]);
    }
}

/* bufs: in, out. Tasks: rows of 4. Goes through scratch, so that workers that share one would show. */
static void twice(void *const *bufs, const int64_t *d, void *scratch, struct rt_fault *fault, int64_t begin,
                  int64_t end)
{
    (void)d, (void)fault;
    for (int64_t i = begin; i < end; i++) {
        memcpy(scratch, (const float *)bufs[0] + 4 * i, 4 * sizeof(float));
        for (int k = 0; k < 4; k++) ((float *)scratch)[k] *= 2;
        if (TOY_MISTAKE == SCRATCH_TOO_SMALL) ((float *)scratch)[16] = 1;
        if (TOY_MISTAKE == WRITE_BEFORE && i == 0) ((float *)bufs[1])[-1] = 1;
        memcpy((float *)bufs[1] + 4 * i, scratch, 4 * sizeof(float));
    }
}

static const struct rt_fault_source gather_faults[] = {{0, 0, NULL}};
static const struct rt_launch embed_launches[] = {
    {{"toy_gather", "embeddings", "toy.tfx", 3, 11}, gather, NULL, gather_faults, 1},
    {{"toy_twice", "", "toy.tfx", 4, 10}, twice, NULL, NULL, 0},
};

static int32_t embed_plan(struct rt_call *call)
{
    const int64_t *d = call->dims;
    void *bufs[] = {call->inputs[0], (void *)(uintptr_t)call->weights, call->workspace};
    int64_t extents[] = {d[TOY_S], 10};
    if (TOY_MISTAKE == ALLOCATES) {
        void *volatile p = malloc(10);
        free(p);
    }
    int32_t s = launch(call, &embed_launches[0], bufs, extents, d[TOY_B]);
    if (s) return s;
    void *bufs2[] = {call->workspace, call->outputs[0]};
    return launch(call, &embed_launches[1], bufs2, extents, d[TOY_B] * d[TOY_S]);
}

static int64_t embed_buffers(const int64_t *d)
{
    return d[TOY_B] * d[TOY_S] * 4 * (int64_t)sizeof(float);
}

static int64_t embed_scratch(const int64_t *d)
{
    (void)d;
    return 4 * (int64_t)sizeof(float);
}

/* ---- entry window ---- */
static const tfx_axis_info x_axes[] = {DIM_AXIS(S, 0, 16), DIM_AXIS(M, 8, 32)};
static const tfx_axis_info y_axes[] = {{"2 * S + 1", -1, 1, 33, -1, SIZE_2S1}};
static const tfx_axis_info z_axes[] = {{"S + P", -1, 0, 24, -1, SIZE_SP}};
static const tfx_tensor_info window_inputs[] = {
    {"x", NULL, TFX_F32, 2, x_axes}, {"y", NULL, TFX_F32, 1, y_axes}, {"on", NULL, TFX_BOOL, 0, NULL}};
static const tfx_tensor_info window_outputs[] = {{"z", NULL, TFX_F32, 1, z_axes}, {"n", NULL, TFX_I32, 0, NULL}};
static const uint32_t window_dims[] = {TOY_S, TOY_M, TOY_P}, window_given[] = {TOY_P};
static const struct rt_check window_checks[] = {{{ops_sp, 3}, {ops_20, 1}, RT_CHECK_LE, "P + S <= 20", "toy.tfx:9:3"}};

/* bufs: x, y, on, z, n; dims: S, M, P. One task. */
static void window(void *const *bufs, const int64_t *d, void *scratch, struct rt_fault *fault, int64_t begin,
                   int64_t end)
{
    (void)scratch, (void)fault;
    const float *x = bufs[0], *y = bufs[1];
    float *z = bufs[3];
    if (begin == end) return;
    for (int64_t i = 0; i < d[0] + d[2]; i++) {
        float sum = 0;
        for (int64_t k = 0; i < d[0] && k < d[1]; k++) sum += x[i * d[1] + k];
        z[i] = i >= d[0] ? -1 : *(const uint8_t *)bufs[2] ? sum : y[i];
    }
    int32_t n = (int32_t)d[2];
    memcpy(bufs[4], &n, sizeof n);
}

static const struct rt_launch window_launches[] = {{{"toy_window", "window", "toy.tfx", 10, 3}, window, NULL, NULL, 0}};

static int32_t window_plan(struct rt_call *call)
{
    const int64_t *d = call->dims;
    void *bufs[] = {call->inputs[0], call->inputs[1], call->inputs[2], call->outputs[0], call->outputs[1]};
    int64_t extents[] = {d[TOY_S], d[TOY_M], d[TOY_P]};
    return launch(call, &window_launches[0], bufs, extents, 1);
}

static int64_t none(const int64_t *d)
{
    (void)d;
    return 0;
}

/* ---- entry ident ---- */
static const tfx_axis_info abs_axes[] = {DIM_AXIS(B, 1, 4), DIM_AXIS(S, 0, 16), CONST_AXIS(3)};
static const tfx_tensor_info ident_inputs[] = {{"a", NULL, TFX_F32, 3, abs_axes}};
static const tfx_tensor_info ident_outputs[] = {{"b", NULL, TFX_F32, 3, abs_axes}};

static void copy(void *const *bufs, const int64_t *d, void *scratch, struct rt_fault *fault, int64_t begin, int64_t end)
{
    (void)d, (void)scratch, (void)fault;
    if (end > begin)
        memcpy((float *)bufs[1] + begin, (const float *)bufs[0] + begin, (size_t)(end - begin) * sizeof(float));
}

static const struct rt_launch ident_launches[] = {{{"toy_copy", "", "toy.tfx", 15, 3}, copy, NULL, NULL, 0}};

static int32_t ident_plan(struct rt_call *call)
{
    void *bufs[] = {call->inputs[0], call->outputs[0]};
    return launch(call, &ident_launches[0], bufs, call->dims, call->dims[TOY_B] * call->dims[TOY_S] * 3);
}

/* ---- the model ---- */
static const tfx_entry_info infos[TOY_ENTRIES] = {
    {"embed", "Looks tokens up.", embed_inputs, embed_outputs, embed_dims, NULL, 1, 1, 2, 0},
    {"window", NULL, window_inputs, window_outputs, window_dims, window_given, 3, 2, 3, 1},
    {"ident", NULL, ident_inputs, ident_outputs, embed_dims, NULL, 1, 1, 2, 0},
};
static const struct rt_entry entries[TOY_ENTRIES] = {
    {embed_plan, embed_buffers, embed_scratch, 4 * 16 * 16, 16, NULL, embed_launches, 0, 2},
    {window_plan, none, none, 0, 0, window_checks, window_launches, 1, 1},
    {ident_plan, none, none, 0, 0, NULL, ident_launches, 0, 1},
};

static const tfx_variant_info variant_infos[] = {{"any", 0, 0}};
static const struct rt_variant variants[] = {{entries, 0}};

#define MODEL                                              \
    {                                                      \
        .abi_version = RT_ABI_VERSION,                     \
        .n_computed = 2,                                   \
        .info = {.size = sizeof(tfx_info),                 \
                 .name = "toy",                            \
                 .doc = "A model for tests.",              \
                 .source = "toy.tfx",                      \
                 .compiler = "hand",                       \
                 .target = "any",                          \
                 .entries = infos,                         \
                 .dims = dims,                             \
                 .n_entries = TOY_ENTRIES,                 \
                 .n_dims = TOY_DIMS,                       \
                 .weight_bytes = sizeof table,             \
                 .weight_id = {1, 2, 3},                   \
                 .max_tensors = 5,                         \
                 .variants = variant_infos,                \
                 .n_variants = 1},                         \
        .variants = variants,                              \
        .computed = computed,                              \
        .weights = {(const uint8_t *)table, sizeof table}, \
    }
const struct rt_model toy_model = MODEL;
const struct rt_model rt_the_model = MODEL; /* what an artefact calls it */
