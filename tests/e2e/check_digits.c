/* The digits model, compiled, against PyTorch: tests/e2e/check_digits TENSORS.so GOLDENS.npz DIGITS.so EXAMPLE_DIR
 *
 * TENSORS.so is digits_tensors.tfx, which returns every intermediate tensor. The largest and the root mean square error
 * of each against the f64 reference are at most twice PyTorch's own (batch 1 and 3); the logits are judged over all
 * test images, by the root mean square (goldens/README.md says why), and each of them is within 1e-4 of PyTorch's. */
#include "runtime/npy.h"
#include "runtime/tfx.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FACTOR 2.0
#define LOGIT_LIMIT 1e-4
#define MAX_OUTPUTS 16

typedef struct {
    double largest, rms;
} errors;

static errors errors_of(const float *got, const double *want, size_t n)
{
    errors e = {0, 0};
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - want[i]);
        if (!(d <= e.largest)) e.largest = d; /* NaN stays */
        e.rms += d * d;
    }
    e.rms = sqrt(e.rms / (double)n);
    return e;
}

static const npy_array *member(const npy_array *all, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(all[i].name, name)) return &all[i];
    fprintf(stderr, "no array '%s' in the goldens\n", name);
    exit(2);
}

static void check_status(tfx_model *m, tfx_status s)
{
    if (s == TFX_OK) return;
    fprintf(stderr, "run failed: %s\n", tfx_error(m));
    exit(2);
}

static tfx_model *open_model(const char *path)
{
    char message[256] = "";
    tfx_options o = TFX_OPTIONS_INIT;
    tfx_model *m;
    o.message = message;
    o.message_bytes = sizeof message;
    if (tfx_open(path, &o, &m) == TFX_OK) return m;
    fprintf(stderr, "%s: %s\n", path, message);
    exit(2);
}

/* Runs entry 0 on `batch` images; out[i] are freshly allocated f32 outputs of sizes[i] elements. */
static void run_images(tfx_model *m, const float *images, int64_t batch, float **out, size_t *sizes)
{
    const tfx_entry_info *e = &tfx_get_info(m)->entries[0];
    int64_t in_shape[4] = {batch, 1, 8, 8}, shapes[MAX_OUTPUTS][TFX_MAX_RANK], dims[8];
    tfx_tensor in = {.data = (void *)(uintptr_t)images, .shape = in_shape, .dtype = TFX_F32, .rank = 4};
    tfx_tensor outs[MAX_OUTPUTS];
    tfx_args args = {.inputs = &in, .outputs = outs, .n_inputs = 1, .n_outputs = e->n_outputs};
    check_status(m, tfx_dims(m, 0, &args, dims));
    for (uint32_t i = 0; i < e->n_outputs; i++) {
        check_status(m, tfx_shape(m, 0, e->n_inputs + i, dims, shapes[i]));
        sizes[i] = 1;
        for (int k = 0; k < e->outputs[i].rank; k++) sizes[i] *= (size_t)shapes[i][k];
        out[i] = malloc(sizes[i] * sizeof(float));
        if (!out[i]) exit(2);
        outs[i] = (tfx_tensor){.data = out[i], .shape = shapes[i], .dtype = TFX_F32, .rank = e->outputs[i].rank};
    }
    check_status(m, tfx_run(m, 0, &args));
}

static bool judge(const char *name, int64_t batch, errors ours, errors torch, bool largest_too)
{
    bool ok = ours.rms <= FACTOR * torch.rms && (!largest_too || ours.largest <= FACTOR * torch.largest);
    printf("%5lld %-12s largest %9.2e (PyTorch %9.2e)  rms %9.2e (%9.2e)%s\n", (long long)batch, name, ours.largest,
           torch.largest, ours.rms, torch.rms, ok ? "" : "  TOO FAR");
    return ok;
}

static bool check_tensors(const char *path, const char *goldens)
{
    npy_array *g;
    size_t n, sizes[MAX_OUTPUTS];
    char err[256], key[64];
    float *out[MAX_OUTPUTS];
    bool ok = true;
    if (!npz_read(goldens, &g, &n, err, sizeof err)) {
        fprintf(stderr, "%s\n", err);
        exit(2);
    }
    tfx_model *m = open_model(path);
    const tfx_entry_info *e = &tfx_get_info(m)->entries[0];
    const float *pixels = member(g, n, "pixels")->data;
    for (int row = 0; row < 2; row++) {
        int64_t batch = row ? 3 : 1;
        run_images(m, pixels, batch, out, sizes);
        for (uint32_t i = 0; i < e->n_outputs; i++) {
            const char *name = e->outputs[i].name;
            snprintf(key, sizeof key, "%s.torch_error", name);
            const double *torch = (const double *)member(g, n, key)->data + 2 * row;
            errors ours = errors_of(out[i], member(g, n, name)->data, sizes[i]);
            if (strcmp(name, "logits")) ok = judge(name, batch, ours, (errors){torch[0], torch[1]}, true) && ok;
            free(out[i]);
        }
    }
    tfx_close(m);
    npz_free(g, n);
    return ok;
}

static npy_array read_array(const char *dir, const char *name)
{
    char path[1024], err[256];
    npy_array a;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (npy_read(path, &a, err, sizeof err)) return a;
    fprintf(stderr, "%s\n", err);
    exit(2);
}

static bool check_logits(const char *path, const char *dir)
{
    npy_array images = read_array(dir, "test_images.npy"), exact = read_array(dir, "golden_logits_f64.npy");
    npy_array torch = read_array(dir, "golden_logits_f32.npy"), labels = read_array(dir, "test_labels.npy");
    tfx_model *m = open_model(path);
    int64_t n = images.shape[0], most = tfx_get_info(m)->dims[0].max, right = 0;
    size_t count = (size_t)n * 10, sizes[MAX_OUTPUTS];
    float *all = malloc(count * sizeof *all), *out[MAX_OUTPUTS];
    if (!all) exit(2);
    for (int64_t i = 0; i < n; i += most) {
        int64_t batch = n - i < most ? n - i : most;
        run_images(m, (const float *)images.data + i * 64, batch, out, sizes);
        memcpy(all + i * 10, out[0], sizes[0] * sizeof *all);
        free(out[0]);
    }
    for (int64_t i = 0; i < n; i++) {
        int best = 0;
        for (int k = 1; k < 10; k++)
            if (all[i * 10 + k] > all[i * 10 + best]) best = k;
        right += best == ((const int64_t *)labels.data)[i];
    }
    double far = 0;
    for (size_t i = 0; i < count; i++) {
        double d = fabs((double)all[i] - (double)((const float *)torch.data)[i]);
        if (!(d <= far)) far = d;
    }
    bool ok = judge("logits", n, errors_of(all, exact.data, count), errors_of(torch.data, exact.data, count), false);
    printf("logits are at most %.2e from PyTorch's; %lld of %lld images right\n", far, (long long)right, (long long)n);
    tfx_close(m);
    free(all);
    npy_free(&images), npy_free(&exact), npy_free(&torch), npy_free(&labels);
    return ok && far <= LOGIT_LIMIT && right * 100 >= n * 96;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: check_digits TENSORS.so GOLDENS.npz DIGITS.so EXAMPLE_DIR\n");
        return 2;
    }
    bool tensors = check_tensors(argv[1], argv[2]);
    return check_logits(argv[3], argv[4]) && tensors ? 0 : 1;
}
