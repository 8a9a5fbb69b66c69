/* The digits model whole, from its .tfx source and trained weights, in the interpreter: every intermediate tensor and
 * the logits against PyTorch in f64. */
#include "frontend/frontend.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "ir/interp.h"
#include "runtime/npy.h"
#include "tests/support/tir_session.h"

typedef struct {
    tir_session s;
    frontend_result compiled;
} program;

static program compile(const char *path)
{
    program p = {.s = tir_open()};
    frontend_session s = {p.s.a, p.s.names, p.s.sources, p.s.d, dims_new(p.s.a, p.s.names)};
    frontend_options o = {.weights = FRONTEND_WEIGHTS_FILE};
    if (!frontend_compile(&s, path, &o, &p.compiled)) fail_msg("%s", tir_messages(&p.s));
    assert_string_equal(tir_messages(&p.s), "");
    if (!module_verify(p.compiled.module, p.s.d)) fail_msg("%s", tir_messages(&p.s));
    assert_int_equal(p.compiled.module->functions.len, 1);
    return p;
}

static void close_program(program *p)
{
    weights_close(p->compiled.weights);
    tir_close(&p->s);
}

static tensor *pixels_of(program *p, const npy_array *images, int64_t n)
{
    assert_int_equal(images->type, NPY_F32);
    assert_true(images->rank == 4 && images->shape[0] >= n);
    return tensor_from_bytes(p->s.a, DT_F32, 4, (const int64_t[]){n, 1, 8, 8}, images->data);
}

static npy_array read_array(const char *path)
{
    npy_array a;
    char err[256];
    if (!npy_read(path, &a, err, sizeof err)) fail_msg("%s", err);
    return a;
}

static void test_every_tensor(void **state)
{
    (void)state;
    program p = compile("tests/e2e/goldens/digits_tensors.tfx");
    const function *f = p.compiled.module->functions.data[0];
    npy_array *goldens;
    size_t n;
    char err[256];
    if (!npz_read("tests/e2e/goldens/digits_tensors.npz", &goldens, &n, err, sizeof err)) fail_msg("%s", err);
    const npy_array *images = NULL;
    for (size_t i = 0; i < n; i++)
        if (!strcmp(goldens[i].name, "pixels")) images = &goldens[i];
    assert_non_null(images);
    tensor *pixels = pixels_of(&p, images, 3), *out[16];
    assert_int_equal(f->results.len, 11);
    if (!interp_run(f, &pixels, NULL, NULL, p.s.a, p.s.d, out)) fail_msg("%s", tir_messages(&p.s));
    for (uint32_t r = 0; r < f->results.len; r++) {
        const char *name = f->results.data[r].name;
        const npy_array *want = NULL;
        for (size_t i = 0; i < n; i++)
            if (!strcmp(goldens[i].name, name)) want = &goldens[i];
        if (!want) fail_msg("no golden '%s'", name);
        assert_int_equal(want->type, NPY_F64);
        assert_int_equal(tensor_elements(out[r]), npy_elements(want));
        for (uint64_t i = 0; i < npy_elements(want); i++) {
            double w = ((const double *)want->data)[i], g = out[r]->u.f[i];
            if (!(fabs(w - g) <= 1e-12 * (1 + fabs(w))))
                fail_msg("%s[%d]: expected %.17g, got %.17g", name, (int)i, w, g);
        }
    }
    npz_free(goldens, n);
    close_program(&p);
}

/* Logits of some test images; rounding every op to f32 is as far from f64 as PyTorch's f32 is, not further. */
static void test_logits(void **state)
{
    (void)state;
    enum { IMAGES = 16 };
    program p = compile("examples/digits/digits.tfx");
    const function *f = p.compiled.module->functions.data[0];
    npy_array images = read_array("examples/digits/test_images.npy");
    npy_array exact = read_array("examples/digits/golden_logits_f64.npy");
    npy_array torch = read_array("examples/digits/golden_logits_f32.npy");
    tensor *pixels = pixels_of(&p, &images, IMAGES), *logits, *rounded;
    interp_options round = {.round = true};
    if (!interp_run(f, &pixels, NULL, NULL, p.s.a, p.s.d, &logits) ||
        !interp_run(f, &pixels, NULL, &round, p.s.a, p.s.d, &rounded))
        fail_msg("%s", tir_messages(&p.s));
    double ours = 0, theirs = 0;
    for (int i = 0; i < IMAGES * 10; i++) {
        double want = ((const double *)exact.data)[i];
        if (!(fabs(logits->u.f[i] - want) <= 1e-12 * (1 + fabs(want))))
            fail_msg("logit %d: expected %.17g, got %.17g", i, want, logits->u.f[i]);
        ours += (rounded->u.f[i] - want) * (rounded->u.f[i] - want);
        theirs += ((double)((const float *)torch.data)[i] - want) * ((double)((const float *)torch.data)[i] - want);
        assert_true(rounded->u.f[i] == dtype_round(DT_F32, rounded->u.f[i]));
    }
    assert_true(ours > 0); /* it did round */
    assert_true(sqrt(ours) <= 2 * sqrt(theirs));

    /* too many images: the message says which dim */
    tensor *many = tensor_new(p.s.a, DT_F32, 4, (const int64_t[]){65, 1, 8, 8});
    assert_false(interp_run(f, &many, NULL, NULL, p.s.a, p.s.d, &logits));
    assert_string_equal(tir_messages(&p.s), "tfxc: error: dim 'B' is out of bounds, from axis 0 of argument 'pixels'\n"
                                            "  expected: 1 <= B <= 64\n"
                                            "       got: B = 65\n");
    npy_free(&images);
    npy_free(&exact);
    npy_free(&torch);
    close_program(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_tensor), cmocka_unit_test(test_logits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
