/* std/bert.tfx against a BERT encoder written here as plain loops in double, on random weights. */
#include "front.h"

#include <math.h>

#include "unit/cmocka_all.h"

enum { B = 3, S = 7, D = 12, H = 3, F = 20, VOCAB = 11, POSITIONS = 9, LAYERS = 2 };

static const char program[] =
    "import \"std/bert.tfx\" as bert\n"
    "model mini(ids: i64[B, S], mask: bool[B, S]) -> (x: f32[B, S, 12], emb: f32[B, 12]) where B <= 4, S <= 9 {\n"
    "  let x = bert.embeddings(ids, vocab = 11, dim = 12, positions = 9) @ \"embeddings\"\n"
    "  for l in 0..2 { x = bert.layer(x, mask, heads = 3, hidden = 20) @ \"encoder.layer.{l}\" }\n"
    "  return x, l2_normalize(mean_pool(x, mask)) }";

static const double *weight(front *f, const char *prefix, const char *name)
{
    const char *path = arena_printf(f->a, "%s.%s", prefix, name);
    const param *p = module_find_param(f->m, path);
    if (!p) fail_msg("no parameter %s", path);
    return interp_constant(f->a, p->value, f->d)->u.f;
}

/* out[n] = w[n, k] x[k] + b[n] */
static void linear(front *f, const char *path, int n, int k, const double *x, double *out)
{
    const double *w = weight(f, path, "weight"), *b = weight(f, path, "bias");
    for (int i = 0; i < n; i++) {
        out[i] = b[i];
        for (int j = 0; j < k; j++) out[i] += w[i * k + j] * x[j];
    }
}

static void layer_norm(front *f, const char *path, double *x)
{
    const double *w = weight(f, path, "weight"), *b = weight(f, path, "bias");
    double mean = 0, var = 0;
    for (int i = 0; i < D; i++) mean += x[i] / D;
    for (int i = 0; i < D; i++) var += (x[i] - mean) * (x[i] - mean) / D;
    for (int i = 0; i < D; i++) x[i] = (x[i] - mean) / sqrt(var + 1e-12) * w[i] + b[i];
}

static void attend(const double (*q)[D], const double (*k)[D], const double (*v)[D], const int64_t *mask,
                   double (*out)[D])
{
    const int size = D / H;
    for (int h = 0; h < H; h++)
        for (int i = 0; i < S; i++) {
            double score[S], sum = 0;
            for (int j = 0; j < S; j++) {
                double dot = 0;
                for (int d = 0; d < size; d++) dot += q[i][h * size + d] * k[j][h * size + d];
                score[j] = mask[j] ? exp(dot / sqrt(size)) : 0;
                sum += score[j];
            }
            for (int d = 0; d < size; d++) {
                out[i][h * size + d] = 0;
                for (int j = 0; j < S && sum > 0; j++) out[i][h * size + d] += score[j] / sum * v[j][h * size + d];
            }
        }
}

static void layer(front *f, const char *path, double (*x)[D], const int64_t *mask)
{
    double q[S][D], k[S][D], v[S][D], a[S][D];
    for (int s = 0; s < S; s++) {
        linear(f, arena_printf(f->a, "%s.attention.self.query", path), D, D, x[s], q[s]);
        linear(f, arena_printf(f->a, "%s.attention.self.key", path), D, D, x[s], k[s]);
        linear(f, arena_printf(f->a, "%s.attention.self.value", path), D, D, x[s], v[s]);
    }
    attend((const double (*)[D])q, (const double (*)[D])k, (const double (*)[D])v, mask, a);
    for (int s = 0; s < S; s++) {
        double y[D], h[F];
        linear(f, arena_printf(f->a, "%s.attention.output.dense", path), D, D, a[s], y);
        for (int d = 0; d < D; d++) x[s][d] += y[d];
        layer_norm(f, arena_printf(f->a, "%s.attention.output.LayerNorm", path), x[s]);
        linear(f, arena_printf(f->a, "%s.intermediate.dense", path), F, D, x[s], h);
        for (int i = 0; i < F; i++) h[i] = 0.5 * h[i] * (1 + erf(h[i] / sqrt(2)));
        linear(f, arena_printf(f->a, "%s.output.dense", path), D, F, h, y);
        for (int d = 0; d < D; d++) x[s][d] += y[d];
        layer_norm(f, arena_printf(f->a, "%s.output.LayerNorm", path), x[s]);
    }
}

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-10 * (1 + fabs(want)))) fail_msg("%.17g, expected %.17g", got, want);
}

static void encoder(void **state)
{
    (void)state;
    front f = front_compile(program);
    static const int64_t shape[] = {B, S};
    tensor *in[] = {front_tensor(&f, DT_I64, 2, shape, VOCAB, 3), tensor_new(f.a, DT_BOOL, 2, shape)};
    for (int b = 0; b < B; b++) /* all, some with a hole, none */
        for (int s = 0; s < S; s++) in[1]->u.i[b * S + s] = b == 0 || (b == 1 && s != 2 && s < 5);
    tensor **out = front_run(&f, in, NULL);

    const double *words = weight(&f, "embeddings.word_embeddings", "weight");
    const double *places = weight(&f, "embeddings.position_embeddings", "weight");
    const double *kinds = weight(&f, "embeddings.token_type_embeddings", "weight");
    for (int b = 0; b < B; b++) {
        double x[S][D], mean[D] = {0}, count = 0, norm = 0;
        const int64_t *mask = in[1]->u.i + b * S;
        for (int s = 0; s < S; s++) {
            for (int d = 0; d < D; d++) x[s][d] = words[in[0]->u.i[b * S + s] * D + d] + kinds[d] + places[s * D + d];
            layer_norm(&f, "embeddings.LayerNorm", x[s]);
        }
        for (int l = 0; l < LAYERS; l++) layer(&f, arena_printf(f.a, "encoder.layer.%d", l), x, mask);
        for (int s = 0; s < S; s++) {
            count += (double)mask[s];
            for (int d = 0; d < D; d++) {
                near(out[0]->u.f[(b * S + s) * D + d], x[s][d]);
                mean[d] += mask[s] ? x[s][d] : 0;
            }
        }
        for (int d = 0; d < D; d++) {
            mean[d] /= fmax(count, 1);
            norm += mean[d] * mean[d];
        }
        for (int d = 0; d < D; d++) near(out[1]->u.f[b * D + d], mean[d] / fmax(sqrt(norm), 1e-12));
    }
    front_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(encoder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
