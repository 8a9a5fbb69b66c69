/* What programs compute: compiled, run by the interpreter, and compared with loops written here. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "front.h"
#include "unit/cmocka_all.h"

#define SHAPE(...)    \
    (const int64_t[]) \
    {                 \
        __VA_ARGS__   \
    }

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * (1 + fabs(want)))) fail_msg("%.17g, expected %.17g", got, want);
}

static int64_t shape_product(const tensor *t)
{
    int64_t n = 1;
    for (uint32_t i = 0; i < t->rank; i++) n *= t->shape[i];
    return n;
}

static void set_builders(void **state)
{
    (void)state;
    enum { B = 3, S = 5, P = 4 };
    front f = front_compile("model m(t: f32[S, B], start: i32[B], P: dim) -> (m: bool[B, S, P + S], pos: i32[B, S], y: "
                            "f32[B, S], z: f32[B, 2])\n"
                            "  where B <= 8, 2 <= S, S <= 16, P <= 9 {\n"
                            "  let m = [b: B, i: S, j: P + S | start[b] <= j and j <= P + i]\n"
                            "  let pos = [b: B, s: S | P + s - start[b]]\n"
                            "  let y = [b: B, s: S | t[s, b] * f32(s * S + b) - t[0, b] / 2]\n"
                            "  return m, pos, y, [b: B, c: 2 | t[S - 1, b] + t[c, b]] }");
    tensor *in[] = {front_tensor(&f, DT_F32, 2, SHAPE(S, B), 0, 1), front_tensor(&f, DT_I32, 1, SHAPE(B), 5, 2)};
    if (!f.m) fail_msg("%s", front_messages(&f));
    int64_t settings[8] = {0};
    for (uint32_t i = 0; i < dim_symbol_count(f.dims); i++)
        if (strcmp(dim_symbol_at(f.dims, i)->name, "P") == 0) settings[i] = P;
    tensor **out = front_run(&f, in, settings);
    const double *t = in[0]->u.f;
    const int64_t *start = in[1]->u.i;
    for (int b = 0; b < B; b++)
        for (int i = 0; i < S; i++) {
            for (int j = 0; j < P + S; j++)
                assert_int_equal(out[0]->u.i[(b * S + i) * (P + S) + j], start[b] <= j && j <= P + i);
            assert_int_equal(out[1]->u.i[b * S + i], P + i - start[b]);
            near(out[2]->u.f[b * S + i], t[i * B + b] * (i * S + b) - t[b] / 2);
        }
    for (int b = 0; b < B; b++)
        for (int c = 0; c < 2; c++) near(out[3]->u.f[b * 2 + c], t[(S - 1) * B + b] + t[c * B + b]);
    front_close(&f);
}

/* Indices that are no slices: backwards, of two variables, computed, a diagonal, and variables that two axes share. */
static void looked_up_elements(void **state)
{
    (void)state;
    enum { B = 3, S = 11, K = 2 };
    front f = front_compile(
        "model m(t: f32[S, B], ids: i64[B, K], u: f32[B, S, 4], w: f32[9, 5], q: f32[5, 5], one: i32[1])\n"
        "  -> (a: f32[S, B], b: f32[B, K, 4], c: f32[5], d: f32[B, 4], e: f32[3, 4], f: f32[4, B, K], g: f32[B, S],\n"
        "      h: f32[1, B], i: f32[2, B])\n"
        "  where B <= 8, 8 <= S, S <= 16, K <= 5 {\n"
        "  return [s: S, b: B | t[S - 1 - s, b]], [b: B, k: K, d: 4 | u[b, ids[b, k], d]], [i: 5 | q[i, i]],\n"
        "         [b: B, d: 4 | u[b, ids[b, 0] + 1, d]], [i: 3, j: 4 | w[i + 2 * j, 1]],\n"
        "         [d: 4, b: B, k: K | t[ids[b, k], 0] + u[0, 1, d]], [b: B, s: S | u[b, s % 3, 1]],\n"
        "         [z: 1, b: B | t[one[z], b]], [z: 2, b: B | u[b, one[0], ids[b, z * (K - K)]]] }");
    tensor *in[] = {front_tensor(&f, DT_F32, 2, SHAPE(S, B), 0, 1),    front_tensor(&f, DT_I64, 2, SHAPE(B, K), 4, 2),
                    front_tensor(&f, DT_F32, 3, SHAPE(B, S, 4), 0, 3), front_tensor(&f, DT_F32, 2, SHAPE(9, 5), 0, 4),
                    front_tensor(&f, DT_F32, 2, SHAPE(5, 5), 0, 5),    front_tensor(&f, DT_I32, 1, SHAPE(1), 4, 6)};
    if (!f.m) fail_msg("%s", front_messages(&f));
    tensor **out = front_run(&f, in, NULL);
    const double *t = in[0]->u.f, *u = in[2]->u.f, *w = in[3]->u.f, *q = in[4]->u.f;
    const int64_t *ids = in[1]->u.i, one = in[5]->u.i[0];
    for (int b = 0; b < B; b++) {
        for (int s = 0; s < S; s++) near(out[0]->u.f[s * B + b], t[(S - 1 - s) * B + b]);
        for (int k = 0; k < K; k++)
            for (int d = 0; d < 4; d++) {
                int64_t id = ids[b * K + k];
                near(out[1]->u.f[(b * K + k) * 4 + d], u[(b * S + id) * 4 + d]);
                near(out[5]->u.f[(d * B + b) * K + k], t[id * B] + u[4 + d]);
            }
        for (int d = 0; d < 4; d++) near(out[3]->u.f[b * 4 + d], u[(b * S + ids[b * K] + 1) * 4 + d]);
        for (int s = 0; s < S; s++) near(out[6]->u.f[b * S + s], u[(b * S + s % 3) * 4 + 1]);
        near(out[7]->u.f[b], t[one * B + b]);
        for (int z = 0; z < 2; z++) near(out[8]->u.f[z * B + b], u[(b * S + one) * 4 + ids[b * K]]);
    }
    for (int i = 0; i < 5; i++) near(out[2]->u.f[i], q[i * 5 + i]);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) near(out[4]->u.f[i * 4 + j], w[(i + 2 * j) * 5 + 1]);
    front_close(&f);
}

/* One of two computed positions is wrong: the run fails, although the flat position would be inside. */
static void wrong_positions_are_found(void **state)
{
    (void)state;
    front f =
        front_compile("model m(t: f32[3, 4], i: i64[2], j: i64[2]) -> y: f32[2] { return [k: 2 | t[i[k], j[k]]] }");
    if (!f.m) fail_msg("%s", front_messages(&f));
    tensor *in[] = {front_tensor(&f, DT_F32, 2, SHAPE(3, 4), 0, 1), front_tensor(&f, DT_I64, 1, SHAPE(2), 2, 2),
                    front_tensor(&f, DT_I64, 1, SHAPE(2), 2, 3)};
    in[1]->u.i[0] = 0, in[1]->u.i[1] = 1;
    in[2]->u.i[0] = 3, in[2]->u.i[1] = 4;
    tensor *out[1];
    assert_false(interp_run(f.m->functions.data[0], in, NULL, NULL, f.a, f.d, out));
    assert_non_null(strstr(front_messages(&f), "-1"));
    in[2]->u.i[1] = 0;
    assert_true(interp_run(f.m->functions.data[0], in, NULL, NULL, f.a, f.d, out));
    near(out[0]->u.f[0], in[0]->u.f[3]);
    near(out[0]->u.f[1], in[0]->u.f[4]);
    front_close(&f);
}

static void einsums(void **state)
{
    (void)state;
    enum { B = 2, S = 3, D = 4, O = 5 };
    front f = front_compile(
        "model m(x: f32[B, S, 4], w: f32[5, 4], v: f32[5], y: f32[B, S, 4])\n"
        "  -> (a: f32[5, B, S], e: f32[B, S], f: f32[B, 5], g: f32[S, B, 5, 4], h: f32[B]) where B <= 8, S <= 9 {\n"
        "  return einsum(\"... k, o k -> o ...\", x, w), einsum(\"b s d, o d, o -> b s\", x, w, v),\n"
        "         einsum(\"b s d, o d, b t d -> b o\", x, w, y), einsum(\"b s d, o d -> s b o d\", x, w),\n"
        "         einsum(\"b s d -> b\", x) }");
    tensor *in[] = {front_tensor(&f, DT_F32, 3, SHAPE(B, S, D), 0, 1), front_tensor(&f, DT_F32, 2, SHAPE(O, D), 0, 2),
                    front_tensor(&f, DT_F32, 1, SHAPE(O), 0, 3), front_tensor(&f, DT_F32, 3, SHAPE(B, S, D), 0, 4)};
    tensor **out = front_run(&f, in, NULL);
    const double *x = in[0]->u.f, *w = in[1]->u.f, *v = in[2]->u.f, *y = in[3]->u.f;
    double fb[B][O] = {{0}}, hb[B] = {0};
    for (int b = 0; b < B; b++)
        for (int s = 0; s < S; s++) {
            double e = 0;
            for (int o = 0; o < O; o++) {
                double dot = 0;
                for (int d = 0; d < D; d++) {
                    double xw = x[(b * S + s) * D + d] * w[o * D + d];
                    dot += xw;
                    near(out[3]->u.f[((s * B + b) * O + o) * D + d], xw);
                    for (int t = 0; t < S; t++) fb[b][o] += xw * y[(b * S + t) * D + d];
                }
                near(out[0]->u.f[(o * B + b) * S + s], dot);
                e += dot * v[o];
            }
            near(out[1]->u.f[b * S + s], e);
            for (int d = 0; d < D; d++) hb[b] += x[(b * S + s) * D + d];
        }
    for (int b = 0; b < B; b++) {
        for (int o = 0; o < O; o++) near(out[2]->u.f[b * O + o], fb[b][o]);
        near(out[4]->u.f[b], hb[b]);
    }
    front_close(&f);
}

static void rearranging(void **state)
{
    (void)state;
    enum { B = 2, C = 2, H = 4, W = 6 };
    front f = front_compile("model m(x: f32[B, 2, 4, 6]) -> y: f32[B, 6, 8] where B <= 8 {\n"
                            "  return rearrange(x, \"b c (h p) (w q) -> b (h w) (p q c)\", p = 2, q = 2) }");
    tensor *in[] = {front_tensor(&f, DT_F32, 4, SHAPE(B, C, H, W), 0, 7)};
    tensor **out = front_run(&f, in, NULL);
    for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++)
            for (int w = 0; w < W; w++)
                for (int c = 0; c < C; c++)
                    near(out[0]->u.f[(b * 6 + h / 2 * 3 + w / 2) * 8 + ((h % 2) * 2 + w % 2) * 2 + c],
                         in[0]->u.f[((b * C + c) * H + h) * W + w]);
    front_close(&f);
}

/* Facts, slices, arithmetic of ints, min and max, several results, loops with a condition. */
static void statements(void **state)
{
    (void)state;
    enum { B = 3 };
    front f = front_compile(
        "const N = 3\n"
        "block twice(x: T[..., K], n: int = K * 2) -> (a: T[..., K], b: T[..., K]) { return x * n, x - n }\n"
        "model m(x: f32[B, 4], k: i64[B]) -> (y: f32[B, 4], z: i64[B], w: f32[B, 1]) where B <= 8 {\n"
        "  for i in 0..N { if i % 2 == 0 { x = x + i } else { x = x * 2 } }\n"
        "  let p, q = twice(x)\n"
        "  let x = p + q\n"
        "  return x, max((k - 7) / 2, -2) + k % 4, min(x, axis = 1) }");
    tensor *in[] = {front_tensor(&f, DT_F32, 2, SHAPE(B, 4), 0, 5), front_tensor(&f, DT_I64, 1, SHAPE(B), 30, 6)};
    tensor **out = front_run(&f, in, NULL);
    for (int b = 0; b < B; b++) {
        double low = INFINITY;
        for (int d = 0; d < 4; d++) {
            double x = (in[0]->u.f[b * 4 + d] + 0) * 2 + 2, y = x * 8 + (x - 8);
            near(out[0]->u.f[b * 4 + d], y);
            low = fmin(low, y);
        }
        near(out[2]->u.f[b], low);
        int64_t k = in[1]->u.i[b], half = (int64_t)floor((double)(k - 7) / 2);
        assert_int_equal(out[1]->u.i[b], (half > -2 ? half : -2) + k % 4);
    }
    front_close(&f);
}

/* The pooling blocks of the prelude, with a row that has no true position. */
static void pooling(void **state)
{
    (void)state;
    enum { B = 2, S = 3, D = 4 };
    front f = front_compile(
        "model m(x: f32[B, S, 4], mask: bool[B, S]) -> (p: f32[B, 4], n: f32[B, 4]) where B <= 8, S <= 9 {\n"
        "  let p = mean_pool(x, mask) return p, l2_normalize(p) }");
    tensor *in[] = {front_tensor(&f, DT_F32, 3, SHAPE(B, S, D), 0, 5), tensor_new(f.a, DT_BOOL, 2, SHAPE(B, S))};
    in[1]->u.i[0] = in[1]->u.i[2] = 1;
    tensor **out = front_run(&f, in, NULL);
    double norm = 0, mean[D];
    for (int d = 0; d < D; d++) {
        mean[d] = (in[0]->u.f[d] + in[0]->u.f[2 * D + d]) / 2;
        norm += mean[d] * mean[d];
    }
    for (int d = 0; d < D; d++) {
        near(out[0]->u.f[d], mean[d]);
        near(out[1]->u.f[d], mean[d] / sqrt(norm));
        near(out[0]->u.f[D + d], 0);
        near(out[1]->u.f[D + d], 0);
    }
    front_close(&f);
}

static void activations(void **state)
{
    (void)state;
    front f = front_compile(
        "model m(x: f32[B]) -> (a: f32[B], b: f32[B], c: f32[B], d: f32[B], e: f32[B], g: f32[B]) where B <= 8 {\n"
        "  return relu(x), sigmoid(x), silu(x), softplus(x), gelu(x), gelu_tanh(x) }");
    tensor *in[] = {tensor_new(f.a, DT_F32, 1, SHAPE(5))};
    static const double xs[] = {-800, -1.5, 0, 0.25, 800};
    memcpy(in[0]->u.f, xs, sizeof xs);
    tensor **out = front_run(&f, in, NULL);
    for (int i = 0; i < 5; i++) {
        double x = xs[i];
        near(out[0]->u.f[i], fmax(x, 0));
        near(out[1]->u.f[i], x < -700 ? 0 : 1 / (1 + exp(-x)));
        near(out[2]->u.f[i], x < -700 ? 0 : x / (1 + exp(-x)));
        near(out[3]->u.f[i], x > 700 ? x : log1p(exp(x)));
        near(out[4]->u.f[i], 0.5 * x * (1 + erf(x / sqrt(2))));
        near(out[5]->u.f[i], 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x))));
    }
    front_close(&f);
}

/* Sizes of one, the bound itself, primes: a vision transformer block runs at all of them and rows do not depend on each
 * other. */
static void batch_rows_are_independent(void **state)
{
    (void)state;
    front f = front_compile("import \"std/vit.tfx\" as vit\n"
                            "model m(x: f32[B, S, 8]) -> y: f32[B, S, 8] where B <= 7, S <= 13 {\n"
                            "  return vit.layer(x, heads = 2, hidden = 12) @ \"l\" }");
    int64_t sizes[][2] = {{1, 1}, {7, 13}, {2, 5}};
    for (int k = 0; k < 3; k++) {
        int64_t B = sizes[k][0], S = sizes[k][1];
        tensor *all[] = {front_tensor(&f, DT_F32, 3, SHAPE(B, S, 8), 0, 9)};
        tensor **out = front_run(&f, all, NULL);
        assert_int_equal(shape_product(out[0]), B * S * 8);
        tensor *last[] = {tensor_new(f.a, DT_F32, 3, SHAPE(1, S, 8))};
        memcpy(last[0]->u.f, all[0]->u.f + (B - 1) * S * 8, (size_t)(S * 8) * sizeof(double));
        tensor **alone = front_run(&f, last, NULL);
        for (int64_t i = 0; i < S * 8; i++) near(alone[0]->u.f[i], out[0]->u.f[(B - 1) * S * 8 + i]);
    }
    front_close(&f);
}

/* A false requirement on dims is found when the model runs. */
static void run_time_checks(void **state)
{
    (void)state;
    front f = front_compile(
        "model m(x: f32[B, S]) -> y: f32[B, S] where B <= 8, S <= 9 { require B <= S, B % 2 == 0 return x + 1 }");
    if (!f.m) fail_msg("%s", front_messages(&f));
    assert_int_equal(f.m->functions.data[0]->checks.len, 2);
    static const int64_t good[] = {2, 2}, bad[] = {3, 4}, worse[] = {4, 3};
    const function *fn = f.m->functions.data[0];
    tensor *out[1];
    interp_options o = {0};
    tensor *in[] = {tensor_new(f.a, DT_F32, 2, good)};
    assert_true(interp_run(fn, in, NULL, &o, f.a, f.d, out));
    in[0] = tensor_new(f.a, DT_F32, 2, bad);
    assert_false(interp_run(fn, in, NULL, &o, f.a, f.d, out));
    in[0] = tensor_new(f.a, DT_F32, 2, worse);
    assert_false(interp_run(fn, in, NULL, &o, f.a, f.d, out));
    front_close(&f);
}

static void *compile_thread(void *arg)
{
    front f = front_compile(arg);
    bool ok = f.m != NULL && module_verify(f.m, f.d);
    strbuf b = strbuf_new(f.a);
    if (ok) module_print(f.m, &b);
    char *copy = ok ? strdup(b.s) : NULL;
    front_close(&f);
    return copy;
}

/* No session shares anything: two at once give what each gives alone. */
static void two_threads(void **state)
{
    (void)state;
    static const char *const programs[] = {
        "import \"std/vit.tfx\" as vit\nmodel a(x: f32[B, S, 8]) -> y: f32[B, S, 8] where B <= 7, S <= 13 {\n"
        "for l in 0..20 { x = vit.layer(x, heads = 2, hidden = 12) @ \"l.{l}\" } return x }",
        "import \"std/bert.tfx\" as bert\nmodel b(x: f32[N, L, 6], m: bool[N, L]) -> y: f32[N, L, 6] where N <= 7, L "
        "<= 13 {\n"
        "for l in 0..20 { x = bert.layer(x, m, heads = 3, hidden = 12) @ \"l.{l}\" } return x }",
    };
    pthread_t t[2];
    void *together[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, compile_thread, (void *)(uintptr_t)programs[i]), 0);
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_join(t[i], &together[i]), 0);
    for (int i = 0; i < 2; i++) {
        char *alone = compile_thread((void *)(uintptr_t)programs[i]);
        assert_non_null(alone);
        assert_non_null(together[i]);
        assert_string_equal(together[i], alone);
        free(together[i]);
        free(alone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_builders),
        cmocka_unit_test(looked_up_elements),
        cmocka_unit_test(wrong_positions_are_found),
        cmocka_unit_test(einsums),
        cmocka_unit_test(rearranging),
        cmocka_unit_test(statements),
        cmocka_unit_test(pooling),
        cmocka_unit_test(activations),
        cmocka_unit_test(batch_rows_are_independent),
        cmocka_unit_test(run_time_checks),
        cmocka_unit_test(two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
