/* Everything a caller can get wrong about shapes, dims and counts: the status and the whole message. */
#include "toy_call.h"

static tfx_model *m;

static int open_model(void **state)
{
    (void)state;
    m = toy_open(NULL);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    tfx_close(m);
    return 0;
}

static void entry_and_counts(void **state)
{
    (void)state;
    toy_call c;
    toy_embed(&c, 2, 3);
    assert_fails(m, tfx_run(m, 3, &c.args), TFX_ERR_ARGUMENT, "entry 3 does not exist: the model has 3");
    assert_fails(m, tfx_run(m, 0, NULL), TFX_ERR_ARGUMENT, "args is NULL");
    c.args.n_inputs = 2;
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_ARGUMENT, "entry 'embed': expected 1 inputs, got 2");
    c.args.n_inputs = 1;
    c.args.n_outputs = 0;
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_ARGUMENT, "entry 'embed': expected 1 outputs, got 0");
    c.args.n_outputs = 1;
    c.args.n_dims = 1;
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_ARGUMENT, "entry 'embed': expected 0 dims, got 1");
    c.args.n_dims = 0;
    c.args.inputs = NULL;
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_ARGUMENT, "entry 'embed': inputs is NULL");
    c.args.inputs = c.in;
    c.args.outputs = NULL;
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_ARGUMENT, "entry 'embed': outputs is NULL");
    toy_window(&c, 2, 8, 1);
    c.args.n_dims = 0;
    assert_fails(m, tfx_run(m, 1, &c.args), TFX_ERR_ARGUMENT, "entry 'window': expected 1 dims: P, got 0");
    c.args.n_dims = 1;
    c.args.dims = NULL;
    assert_fails(m, tfx_run(m, 1, &c.args), TFX_ERR_ARGUMENT, "entry 'window': dims is NULL");
}

static void kinds(void **state)
{
    (void)state;
    toy_call c;
    toy_embed(&c, 2, 3);
    c.in[0].dtype = TFX_I32;
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_DTYPE, "input 'ids': expected i64, got i32");
    c.in[0].dtype = 99;
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_DTYPE, "input 'ids': expected i64, got ?");
    c.in[0].dtype = TFX_I64;
    c.in[0].rank = 1;
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_RANK, "input 'ids': expected rank 2 [B, S], got rank 1 [2]");
    c.in[0].rank = -1;
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_RANK, "input 'ids': expected rank 2 [B, S], got rank -1");
    c.in[0].rank = 1000000; /* the shape must not be read that far */
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_RANK, "input 'ids': expected rank 2 [B, S], got rank 1000000");
    c.in[0].rank = 2;
    c.in[0].shape = NULL;
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_ARGUMENT, "input 'ids': shape is NULL, expected [B, S]");
    toy_embed(&c, 2, 3);
    c.out[0].dtype = TFX_F64;
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_DTYPE, "output 'emb': expected f32, got f64");
    toy_embed(&c, 2, 3);
    c.out[0].rank = 2;
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_RANK, "output 'emb': expected rank 3 [2, 3, 4], got rank 2 [2, 3]");
    c.out[0].rank = 3;
    c.out[0].shape = NULL;
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_ARGUMENT, "output 'emb': shape is NULL, expected [2, 3, 4]");
}

static void sizes(void **state)
{
    (void)state;
    toy_call c;
    toy_embed(&c, 5, 3);
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_BOUND, "input 'ids', axis 0: dim 'B': expected 1..4, got 5");
    toy_embed(&c, 0, 3);
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_BOUND, "input 'ids', axis 0: dim 'B': expected 1..4, got 0");
    toy_embed(&c, 1, 3);
    c.shapes[0][1] = -2;
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_SHAPE, "input 'ids', axis 1: size -2 is negative");
    toy_embed(&c, 2, 3);
    c.shapes[1][0] = 1;
    assert_fails(m, tfx_run(m, 0, &c.args), TFX_ERR_SHAPE,
                 "output 'emb', axis 0: expected 2 (B), got 1 (expected [2, 3, 4], got [1, 3, 4])");
    toy_ident(&c, 2, 3);
    c.shapes[0][2] = 4;
    assert_fails(m, tfx_run(m, 2, &c.args), TFX_ERR_SHAPE,
                 "input 'a', axis 2: expected 3, got 4 (expected [B, S, 3], got [2, 3, 4])");
    toy_window(&c, 3, 12, 1);
    assert_fails(m, tfx_run(m, 1, &c.args), TFX_ERR_BOUND,
                 "input 'x', axis 1: dim 'M': expected a multiple of 8, got 12");
    toy_window(&c, 3, 8, 1);
    c.shapes[1][0] = 8;
    assert_fails(m, tfx_run(m, 1, &c.args), TFX_ERR_SHAPE,
                 "input 'y', axis 0: expected 7 (2 * S + 1), got 8 (expected [2 * S + 1], got [8])");
    toy_window(&c, 3, 8, 9);
    assert_fails(m, tfx_run(m, 1, &c.args), TFX_ERR_BOUND, "dim 'P': expected 0..8, got 9");
    toy_window(&c, 3, 8, 1);
    c.shapes[3][0] = 3;
    assert_fails(m, tfx_run(m, 1, &c.args), TFX_ERR_SHAPE,
                 "output 'z', axis 0: expected 4 (S + P), got 3 (expected [4], got [3])");
    toy_window(&c, 16, 8, 4); /* P + S is just 20 */
    assert_int_equal(tfx_run(m, 1, &c.args), TFX_OK);
    toy_window(&c, 16, 8, 5);
    assert_fails(m, tfx_run(m, 1, &c.args), TFX_ERR_REQUIRE,
                 "expected P + S <= 20 (toy.tfx:9:3), got S = 16, M = 8, P = 5");
}

/* Two axes that share a dim: the message says where the other size came from. */
static void shared_dims(void **state)
{
    (void)state;
    static const tfx_axis_info ab[] = {{"B", -1, 1, 4, 0, -1}, {"B", -1, 1, 4, 0, -1}};
    static const tfx_tensor_info inputs[] = {{"left", NULL, TFX_F32, 2, ab}, {"right", NULL, TFX_F32, 1, ab}};
    static const uint32_t used[] = {0};
    static const tfx_entry_info info = {"pair", NULL, inputs, NULL, used, NULL, 2, 0, 1, 0};
    static const struct rt_entry entry = {0};
    struct rt_model pair = toy_model;
    pair.info.entries = &info;
    pair.info.n_entries = 1;
    const struct rt_variant variant = {&entry, 0};
    pair.variants = &variant;
    tfx_model *h = NULL;
    assert_int_equal(rt_open(&pair, tfx_model_v1(), NULL, &h), TFX_OK);
    int64_t square[] = {3, 3}, oblong[] = {3, 2}, two[] = {2}, dims[TOY_DIMS];
    tfx_tensor in[] = {{NULL, square, NULL, TFX_F32, 2}, {NULL, two, NULL, TFX_F32, 1}};
    tfx_args args = {in, NULL, NULL, 2, 0, 0, 0};
    assert_fails(h, rt_dims(&pair, h, 0, &args, dims), TFX_ERR_SHAPE,
                 "input 'right', axis 0: expected 3 (B, from input 'left', axis 0), got 2 (expected [B], got [2])");
    in[0].shape = oblong;
    assert_fails(
        h, rt_dims(&pair, h, 0, &args, dims), TFX_ERR_SHAPE,
        "input 'left', axis 1: expected 3 (B, from input 'left', axis 0), got 2 (expected [B, B], got [3, 2])");
    rt_close(h);
}

static void finding_dims_and_shapes(void **state)
{
    (void)state;
    toy_call c;
    toy_window(&c, 3, 16, 2);
    int64_t dims[TOY_DIMS] = {-1, -1, -1, -1}, shape[TFX_MAX_RANK];
    for (int i = 0; i < 3; i++) c.in[i].data = NULL; /* only shapes are looked at */
    c.args.outputs = NULL;
    assert_int_equal(tfx_dims(m, TOY_WINDOW, &c.args, dims), TFX_OK);
    assert_int_equal(dims[TOY_B], 1); /* not of this entry: the least allowed */
    assert_int_equal(dims[TOY_S], 3);
    assert_int_equal(dims[TOY_M], 16);
    assert_int_equal(dims[TOY_P], 2);
    assert_int_equal(tfx_shape(m, TOY_WINDOW, 1, dims, shape), TFX_OK); /* y */
    assert_int_equal(shape[0], 7);
    assert_int_equal(tfx_shape(m, TOY_WINDOW, 3, dims, shape), TFX_OK); /* z */
    assert_int_equal(shape[0], 5);
    assert_int_equal(tfx_shape(m, TOY_WINDOW, 4, dims, NULL), TFX_OK); /* rank 0 */
    assert_fails(m, tfx_shape(m, TOY_WINDOW, 5, dims, shape), TFX_ERR_ARGUMENT, "shape: entry 1 has no tensor 5");
    assert_fails(m, tfx_shape(m, 7, 0, dims, shape), TFX_ERR_ARGUMENT, "shape: entry 7 has no tensor 0");
    assert_fails(m, tfx_shape(m, TOY_WINDOW, 0, NULL, shape), TFX_ERR_ARGUMENT, "shape: a pointer is NULL");
    assert_fails(m, tfx_shape(m, TOY_WINDOW, 0, dims, NULL), TFX_ERR_ARGUMENT, "shape: a pointer is NULL");
    dims[TOY_M] = 12;
    assert_fails(m, tfx_shape(m, TOY_WINDOW, 0, dims, shape), TFX_ERR_BOUND,
                 "dim 'M': expected a multiple of 8, got 12");
    assert_fails(m, tfx_dims(m, TOY_WINDOW, &c.args, NULL), TFX_ERR_ARGUMENT, "dims: the array for the values is NULL");
}

static void workspace_sizes(void **state)
{
    (void)state;
    const tfx_api *api = m->api;
    int64_t dims[TOY_DIMS] = {2, 3, 8, 0};
    /* embed: 2 * 3 * 16 = 96 bytes of buffers -> 128, scratch 16 -> 64 a worker */
    assert_int_equal(api->workspace_size(TOY_EMBED, dims, 1, 0), 128 + 64);
    assert_int_equal(api->workspace_size(TOY_EMBED, dims, 0, 0), 128 + 64); /* 0 workers means 1 */
    assert_int_equal(api->workspace_size(TOY_EMBED, dims, 5, 0), 128 + 5 * 64);
    /* copies: ids 48 -> 64, emb 96 -> 128 */
    assert_int_equal(api->workspace_size(TOY_EMBED, dims, 1, TFX_STRIDED), 128 + 64 + 64 + 128);
    assert_int_equal(api->workspace_size(TOY_EMBED, NULL, 1, 0), 1024 + 64);
    assert_int_equal(api->workspace_size(TOY_WINDOW, dims, 9, 0), 0);
    assert_int_equal(api->workspace_size(TFX_ALL_ENTRIES, dims, 1, 0), 128 + 64);
    assert_int_equal(api->workspace_size(3, dims, 1, 0), -1);
    assert_int_equal(api->workspace_size(TOY_EMBED, dims, TFX_MAX_WORKERS + 1, 0), -1);
    assert_int_equal(api->workspace_size(TOY_EMBED, dims, 1, 8), -1);
    dims[TOY_S] = 17;
    assert_int_equal(api->workspace_size(TOY_EMBED, dims, 1, 0), -1);
    dims[TOY_S] = 0;
    assert_int_equal(api->workspace_size(TOY_EMBED, dims, 1, 0), 64);
}

static void wrong_handle(void **state)
{
    (void)state;
    toy_call c;
    toy_embed(&c, 1, 1);
    assert_int_equal(m->api->run(NULL, 0, &c.args), TFX_ERR_ARGUMENT);
    struct rt_model other = toy_model;
    assert_int_equal(rt_run(&other, m, 0, &c.args), TFX_ERR_ARGUMENT);
    assert_string_equal(m->api->error(NULL), "");
    m->api->profile(NULL, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entry_and_counts),
        cmocka_unit_test(kinds),
        cmocka_unit_test(sizes),
        cmocka_unit_test(shared_dims),
        cmocka_unit_test(wrong_handle),
        cmocka_unit_test(workspace_sizes),
        cmocka_unit_test(finding_dims_and_shapes),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
