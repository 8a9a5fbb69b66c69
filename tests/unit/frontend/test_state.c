/* State, scans, indexed assignment and top_k: programs compiled and run by the interpreter, compared with loops written
 * here. */
#include <math.h>
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

static const function *entry(const front *f, const char *name)
{
    for (uint32_t i = 0; i < f->m->functions.len; i++)
        if (strcmp(f->m->functions.data[i]->name, name) == 0) return f->m->functions.data[i];
    fail_msg("no entry %s", name);
    return NULL;
}

static void verified(front *f)
{
    if (!f->m || !module_verify(f->m, f->d)) fail_msg("%s", front_messages(f));
}

/* Runs an entry with dim argument P (if there is one) on the given states. */
static tensor **run(front *f, const char *name, tensor *const *in, int64_t P, interp_states *states)
{
    int64_t *settings = ARENA_ARRAY(f->a, int64_t, dim_symbol_count(f->dims));
    for (uint32_t i = 0; i < dim_symbol_count(f->dims); i++)
        if (strcmp(dim_symbol_at(f->dims, i)->name, "P") == 0) settings[i] = P;
    const function *fn = entry(f, name);
    tensor **out = ARENA_ARRAY(f->a, tensor *, fn->results.len);
    interp_options o = {.states = states};
    if (!interp_run(fn, in, settings, &o, f->a, f->d, out)) fail_msg("%s", front_messages(f));
    return out;
}

static const char cache_text[] =
    "model cache where B <= 4, S <= 6, P < 8 {\n"
    "  block store(x: f32[B, S, 2], P: dim) -> f32[B, P + S, 2] {\n"
    "    require P + S <= 9\n"
    "    state k: f32[B, 9, 2]\n"
    "    let old = k[:, P..P + S]\n"
    "    k[:, P..P + S] = x\n"
    "    k[:, P, 1] = k[:, P, 1] + old[:, 0, 1]\n"
    "    return k[:, 0..P + S]\n"
    "  }\n"
    "  entry put(x: f32[B, S, 2], P: dim) -> y: f32[B, P + S, 2] { return store(x, P) @ \"a\" }\n"
    "  entry first(x: f32[B, S, 2]) -> y: f32[B, S, 2] { return store(x, 0) @ \"a\" }\n"
    "  entry look(x: f32[B]) -> y: f32[B, 9, 2] { scope \"a\" { state k: f32[B, 9, 2]\n return k + x[0] * 0 } }\n"
    "  entry clear(x: f32[B]) -> y: f32[B] { scope \"a\" { state k: f32[B, 9, 2]\n k = zeros([B, 9, 2]) } return x }\n"
    "}\n";

static void state_is_shared_between_entries(void **unused)
{
    (void)unused;
    front f = front_compile(cache_text);
    verified(&f);
    assert_int_equal(f.m->states.len, 1);
    assert_string_equal(f.m->states.data[0]->path, "a.k");
    interp_states *states = interp_states_new(f.m, f.a);
    double want[4][9][2] = {0};
    static const struct {
        int B, S, P;
    } steps[] = {{2, 3, 0}, {4, 2, 3}, {1, 6, 1}, {3, 1, 7}, {2, 2, 4}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        int B = steps[i].B, S = steps[i].S, P = steps[i].P;
        tensor *x = front_tensor(&f, DT_F32, 3, SHAPE(B, S, 2), 0, i + 1);
        for (int k = 0; k < B * S * 2; k++) x->u.f[k] = (double)(float)x->u.f[k];
        for (int b = 0; b < B; b++) {
            double before = want[b][P][1];
            for (int s = 0; s < S; s++)
                for (int c = 0; c < 2; c++) want[b][P + s][c] = x->u.f[(b * S + s) * 2 + c];
            want[b][P][1] += before;
        }
        tensor **out = run(&f, i ? "put" : "first", &x, P, states);
        for (int b = 0; b < B; b++)
            for (int s = 0; s < P + S; s++)
                for (int c = 0; c < 2; c++) near(out[0]->u.f[(b * (P + S) + s) * 2 + c], want[b][s][c]);
        for (int b = 0; b < B; b++) want[b][P][1] = (double)(float)want[b][P][1]; /* as it is kept */
        tensor *rows = front_tensor(&f, DT_F32, 1, SHAPE(4), 0, 9); /* all rows, whatever the last run had */
        out = run(&f, "look", &rows, 0, states);
        for (int k = 0; k < 4 * 9 * 2; k++) near(out[0]->u.f[k], (&want[0][0][0])[k]);
    }
    tensor *two = front_tensor(&f, DT_F32, 1, SHAPE(2), 0, 9), *four = front_tensor(&f, DT_F32, 1, SHAPE(4), 0, 9);
    run(&f, "clear", &two, 0, states);
    tensor **out = run(&f, "look", &four, 0, states);
    for (int k = 0; k < 4 * 9 * 2; k++) near(out[0]->u.f[k], k < 2 * 9 * 2 ? 0 : (&want[0][0][0])[k]);
    front_close(&f);
}

static void a_requirement_belongs_to_its_entry(void **unused)
{
    (void)unused;
    front f = front_compile(cache_text);
    verified(&f);
    assert_int_equal(entry(&f, "put")->checks.len, 1);
    assert_int_equal(entry(&f, "look")->checks.len, 0);
    front_close(&f);
}

static void scans(void **unused)
{
    (void)unused;
    enum { B = 3, S = 5 };
    front f = front_compile(
        "model m(x: f32[B, S, 3], s: f32[B, 3], w: f32[3])\n"
        "  -> (y: f32[S, B, 3], last: f32[B, 3], n: f32[B], z: f32[S, 2, B], back: f32[S, B]) where B <= 4, S <= 6 {\n"
        "  let scale = s * 2\n"
        "  let y, last, n = scan t: S carry h = s, n = zeros([B]) {\n"
        "    for twice in 0..2 { h = h + x[:, t] * w }\n"
        "    h = h * scale\n"
        "    n = n + f32(t)\n"
        "    yield h\n"
        "  }\n"
        "  let z, e = scan t: S carry a = zeros([B]) {\n"
        "    let inner, b = scan k: 2 carry c = a { c = c + x[:, t, k]\n yield c * 1 }\n"
        "    a = b\n"
        "    yield inner\n"
        "  }\n"
        "  let back, d = scan t: S carry h = e * 0 { h = h * 0.5 + x[:, S - 1 - t, 0]\n yield h }\n"
        "  return y, last, n, z, back }");
    verified(&f);
    tensor *in[] = {front_tensor(&f, DT_F32, 3, SHAPE(B, S, 3), 0, 1), front_tensor(&f, DT_F32, 2, SHAPE(B, 3), 0, 2),
                    front_tensor(&f, DT_F32, 1, SHAPE(3), 0, 3)};
    tensor **out = front_run(&f, in, NULL);
    const double *x = in[0]->u.f, *s = in[1]->u.f, *w = in[2]->u.f;
    for (int b = 0; b < B; b++) {
        for (int c = 0; c < 3; c++) {
            double h = s[b * 3 + c];
            for (int t = 0; t < S; t++) {
                for (int i = 0; i < 2; i++) h += x[(b * S + t) * 3 + c] * w[c];
                h *= s[b * 3 + c] * 2;
                near(out[0]->u.f[(t * B + b) * 3 + c], h);
            }
            near(out[1]->u.f[b * 3 + c], h);
        }
        near(out[2]->u.f[b], 0 + 1 + 2 + 3 + 4);
        double a = 0, h = 0;
        for (int t = 0; t < S; t++)
            for (int k = 0; k < 2; k++) near(out[3]->u.f[(t * 2 + k) * B + b], a += x[(b * S + t) * 3 + k]);
        for (int t = 0; t < S; t++) near(out[4]->u.f[t * B + b], h = h * 0.5 + x[(b * S + S - 1 - t) * 3]);
    }
    front_close(&f);
}

static void a_scan_of_no_steps(void **unused)
{
    (void)unused;
    front f = front_compile("model m(x: f32[B, 2], P: dim) -> (y: f32[P, B, 2], h: f32[B, 2]) where B <= 4, P <= 3 {\n"
                            "  let y, h = scan t: P carry h = x { h = h + f32(t) + 1\n yield h * 2 }\n"
                            "  return y, h }");
    verified(&f);
    for (int64_t P = 0; P <= 3; P++) {
        tensor *x = front_tensor(&f, DT_F32, 2, SHAPE(3, 2), 0, 1);
        tensor **out = run(&f, "m", &x, P, NULL);
        assert_int_equal(out[0]->shape[0], P);
        for (int i = 0; i < 6; i++) {
            double h = x->u.f[i];
            for (int64_t t = 0; t < P; t++) near(out[0]->u.f[t * 6 + i], (h += (double)t + 1) * 2);
            near(out[1]->u.f[i], h);
        }
    }
    front_close(&f);
}

static void parts_are_replaced(void **unused)
{
    (void)unused;
    enum { B = 3, S = 5 };
    front f = front_compile("model m(x: f32[B, S, 4], r: f32[4]) -> (y: f32[B, S, 4], old: f32[B, S, 4], n: i32[3])\n"
                            "  where B <= 8, 2 <= S, S <= 16 {\n"
                            "  let y = x\n y[:, 0] = r\n y[:, -1, 1..3] = 0\n y[..., 3] = y[..., 2]\n"
                            "  let n = zeros([3], i32)\n n[1] = 5\n return y, x, n }");
    verified(&f);
    tensor *in[] = {front_tensor(&f, DT_F32, 3, SHAPE(B, S, 4), 0, 1), front_tensor(&f, DT_F32, 1, SHAPE(4), 0, 2)};
    tensor **out = front_run(&f, in, NULL);
    for (int b = 0; b < B; b++)
        for (int s = 0; s < S; s++) {
            double row[4];
            for (int c = 0; c < 4; c++) row[c] = s == 0 ? in[1]->u.f[c] : in[0]->u.f[(b * S + s) * 4 + c];
            if (s == S - 1) row[1] = row[2] = 0;
            row[3] = row[2];
            for (int c = 0; c < 4; c++) {
                near(out[0]->u.f[(b * S + s) * 4 + c], row[c]);
                near(out[1]->u.f[(b * S + s) * 4 + c], in[0]->u.f[(b * S + s) * 4 + c]);
            }
        }
    for (int i = 0; i < 3; i++) assert_int_equal(out[2]->u.i[i], i == 1 ? 5 : 0);
    front_close(&f);
}

static void the_largest(void **unused)
{
    (void)unused;
    enum { B = 3, N = 7, K = 3 };
    front f =
        front_compile("model m(x: f32[B, 7]) -> (v: f32[B, 3], i: i64[B, 3], w: f32[2, 7]) where 2 <= B, B <= 8 {\n"
                      "  let v, i = top_k(x, 3)\n let w, j = top_k(x, 2, axis = 0)\n return v, i, w }");
    verified(&f);
    tensor *x = front_tensor(&f, DT_F32, 2, SHAPE(B, N), 0, 1);
    tensor **out = front_run(&f, &x, NULL);
    for (int b = 0; b < B; b++)
        for (int k = 0; k < K; k++) {
            int above = 0;
            for (int i = 0; i < N; i++) above += x->u.f[b * N + i] > out[0]->u.f[b * K + k];
            assert_int_equal(above, k);
            near(out[0]->u.f[b * K + k], x->u.f[b * N + out[1]->u.i[b * K + k]]);
        }
    for (int i = 0; i < N; i++) {
        double best = -2;
        for (int b = 0; b < B; b++) best = fmax(best, x->u.f[b * N + i]);
        near(out[2]->u.f[i], best);
        assert_true(out[2]->u.f[N + i] <= best);
    }
    front_close(&f);
}

/* What a block or the model requires of its dims is known from then on. */
static void required_orders_are_used(void **unused)
{
    (void)unused;
    front f =
        front_compile("block rows(x: f32[B, S]) -> f32[S, 3] where S <= 5 { param w: f32[5, 3]\n return w[0..S] }\n"
                      "model m(x: f32[B, S]) -> (y: f32[S, 3], z: f32[B]) where B <= 8, S <= 16, 2 * B <= S {\n"
                      "  return rows(x) @ \"t\", x[0, B..B + B] }");
    verified(&f);
    assert_int_equal(f.m->functions.data[0]->checks.len, 2);
    front_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_is_shared_between_entries),
        cmocka_unit_test(a_requirement_belongs_to_its_entry),
        cmocka_unit_test(scans),
        cmocka_unit_test(a_scan_of_no_steps),
        cmocka_unit_test(parts_are_replaced),
        cmocka_unit_test(the_largest),
        cmocka_unit_test(required_orders_are_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
