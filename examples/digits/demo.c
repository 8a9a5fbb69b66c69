/* Reads handwriting with the compiled model: draws some of the held-out digits beside what the model says they are,
 * then counts over all of them and compares every logit with PyTorch's.
 *
 *     tfxc examples/digits/digits.tfx -o build/digits.o              (writes build/digits.h too)
 *     cc -Ibuild examples/digits/demo.c build/digits.o -lm -lpthread -o build/digits-demo
 *     build/digits-demo examples/digits
 *
 * Ends with 0 when at least 96 % are right and every logit is within 1e-4 of PyTorch's, 1 when not, 2 when it could not
 * be tried. */
#include "digits.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined __BYTE_ORDER__ && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the .npy files of this example are little-endian"
#endif

enum { SIDE = DIGITS_INPUT_PIXELS_SIZE_2, PIXELS = SIDE * SIDE, CLASSES = DIGITS_OUTPUT_LOGITS_SIZE_1, SHOWN = 4 };
#define MIN_ACCURACY 0.96
#define MAX_DIFFERENCE 1e-4

#if defined __GNUC__
__attribute__((noreturn, format(printf, 1, 2)))
#endif
static void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("digits-demo: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

/* ---- .npy files of one known element type and shape (N, axes...): enough of the format for the files here ---- */

typedef struct {
    void *data;
    size_t n; /* the first axis */
} array;

static void read_exactly(FILE *f, void *to, size_t bytes, const char *path)
{
    if (fread(to, 1, bytes, f) != bytes) fail("%s: %s", path, ferror(f) ? strerror(errno) : "the file ends too early");
}

/* What the header says after 'key':, or fails. */
static const char *header_value(const char *header, const char *key, const char *path)
{
    const char *at = strstr(header, key);
    if (!at) fail("%s: its header has no %s", path, key);
    at += strlen(key);
    return at + strspn(at, ": ");
}

/* An array of `descr` elements ("<f4") with the shape (N, axes[0], ... axes[n_axes - 1]), any N from 1. The data is
 * malloc'ed and stays for the whole program. */
static array read_npy(const char *dir, const char *name, const char *descr, size_t item, const long *axes, int n_axes)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) fail("%s: the path is too long", dir);
    FILE *f = fopen(path, "rb");
    if (!f) fail("%s: %s", path, strerror(errno));

    unsigned char head[10];
    read_exactly(f, head, sizeof head, path);
    if (memcmp(head, "\x93NUMPY\x01", 7) != 0) fail("%s: not a .npy file of format 1", path);
    size_t header_bytes = head[8] + 256u * head[9];
    char header[65536];
    read_exactly(f, header, header_bytes, path);
    header[header_bytes] = '\0';

    const char *type = header_value(header, "'descr'", path);
    if (*type != '\'' || strncmp(type + 1, descr, strlen(descr)) != 0 || type[1 + strlen(descr)] != '\'')
        fail("%s: expected elements of type %s, got %.5s", path, descr, type);
    if (strncmp(header_value(header, "'fortran_order'", path), "False", 5) != 0)
        fail("%s: expected the last axis to vary fastest", path);

    const char *shape = header_value(header, "'shape'", path);
    if (*shape++ != '(') fail("%s: cannot read the shape", path);
    long long n = 0;
    size_t row = item;
    for (int axis = 0; axis <= n_axes; axis++) {
        char *end;
        long long size = strtoll(shape, &end, 10);
        if (end == shape) fail("%s: expected %d axes, got %d", path, n_axes + 1, axis);
        if (axis == 0) {
            if (size < 1 || size > 1000000) fail("%s: cannot use %lld rows", path, size);
            n = size;
        } else {
            if (size != axes[axis - 1]) fail("%s: axis %d: expected %ld, got %lld", path, axis, axes[axis - 1], size);
            row *= (size_t)size;
        }
        shape = end + strspn(end, ", ");
    }
    if (*shape != ')') fail("%s: expected %d axes, got more", path, n_axes + 1);

    array a = {malloc((size_t)n * row), (size_t)n};
    if (!a.data) fail("%s: out of memory", path);
    read_exactly(f, a.data, a.n * row, path);
    if (fgetc(f) != EOF) fail("%s: bytes follow the array", path);
    fclose(f);
    return a;
}

/* ---- the model ---- */

/* logits[n][CLASSES] of images[n][PIXELS], as many at a time as the model takes. */
static void classify(tfx_model *model, const float *images, size_t n, float *logits)
{
    for (size_t done = 0, rows; done < n; done += rows) {
        rows = n - done < DIGITS_DIM_B_MAX ? n - done : DIGITS_DIM_B_MAX;
        if (digits_infer(model, (int64_t)rows, images + done * PIXELS, logits + done * CLASSES) != TFX_OK)
            fail("%s", digits_error(model));
    }
}

/* The class of the largest logit. */
static int best(const float *logits)
{
    int b = 0;
    for (int c = 1; c < CLASSES; c++)
        if (logits[c] > logits[b]) b = c;
    return b;
}

/* How sure the model is of class `c`: its softmax. */
static double probability(const float *logits, int c)
{
    double sum = 0;
    for (int i = 0; i < CLASSES; i++) sum += exp((double)logits[i] - (double)logits[c]);
    return 1 / sum;
}

/* ---- drawing ---- */

/* Up to SHOWN images beside each other, each over what the model says and what it is. */
static void draw(const float *images, const float *logits, const int64_t *labels, const size_t *which, int count)
{
    static const char ramp[] = " .:-=+*#%@";
    for (int y = 0; y < SIDE; y++) {
        for (int i = 0; i < count; i++) {
            const float *row = images + which[i] * PIXELS + y * SIDE;
            printf("  ");
            for (int x = 0; x < SIDE; x++) {
                float ink = row[x] < 0 ? 0 : row[x] > 1 ? 1 : row[x];
                char c = ramp[(int)(ink * 9 + 0.5f)];
                printf("%c%c", c, c); /* characters are about twice as high as wide */
            }
        }
        printf("\n");
    }
    for (int i = 0; i < count; i++) {
        const float *l = logits + which[i] * CLASSES;
        char text[32];
        snprintf(text, sizeof text, "%d (%.0f %%), is %d", best(l), 100 * probability(l, best(l)),
                 (int)labels[which[i]]);
        printf("  %-16s", text);
    }
    printf("\n\n");
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY   (the one with test_images.npy)\n", argv[0]);
        return 2;
    }
    array images = read_npy(argv[1], "test_images.npy", "<f4", sizeof(float), (long[]){1, SIDE, SIDE}, 3);
    array labels = read_npy(argv[1], "test_labels.npy", "<i8", sizeof(int64_t), NULL, 0);
    array golden = read_npy(argv[1], "golden_logits_f32.npy", "<f4", sizeof(float), (long[]){CLASSES}, 1);
    size_t n = images.n;
    if (labels.n != n || golden.n != n)
        fail("%zu images, but %zu labels and %zu rows of golden logits", n, labels.n, golden.n);
    const float *pixels = images.data, *expected = golden.data;
    const int64_t *digit = labels.data;

    char message[512];
    tfx_options options = TFX_OPTIONS_INIT;
    options.message = message;
    options.message_bytes = sizeof message;
    tfx_model *model;
    if (digits_open(&options, &model) != TFX_OK) fail("%s", message);

    float *logits = malloc(n * CLASSES * sizeof *logits);
    if (!logits) fail("out of memory");
    classify(model, pixels, n, logits); /* once to touch weights and workspace, then on the clock */
    struct timespec begin, end;
    timespec_get(&begin, TIME_UTC);
    classify(model, pixels, n, logits);
    timespec_get(&end, TIME_UTC);
    double ms = 1e3 * (double)(end.tv_sec - begin.tv_sec) + 1e-6 * (double)(end.tv_nsec - begin.tv_nsec);

    size_t right = 0, first[SHOWN] = {0}, misread[SHOWN] = {0};
    int n_first = 0, n_misread = 0;
    double difference = 0;
    for (size_t i = 0; i < n; i++) {
        if (n_first < SHOWN) first[n_first++] = i;
        if (best(logits + i * CLASSES) == digit[i]) right++;
        else if (n_misread < SHOWN) misread[n_misread++] = i;
        for (size_t j = i * CLASSES; j < (i + 1) * CLASSES; j++) {
            double d = fabs((double)logits[j] - (double)expected[j]);
            if (d > difference || isnan(d)) difference = d; /* a NaN stays: nothing is greater */
        }
    }
    double accuracy = (double)right / (double)n;
    printf("The first of %zu held-out images, and what the model says:\n\n", n);
    draw(pixels, logits, digit, first, n_first);
    if (n_misread > 0) {
        printf("Misread:\n\n");
        draw(pixels, logits, digit, misread, n_misread);
    }
    printf("test accuracy                %.2f %% (%zu of %zu)\n", 100 * accuracy, right, n);
    printf("largest |logit - PyTorch's|  %.2g\n", difference);
    printf("time                         %.1f ms, %.3f ms an image, one thread\n", ms, ms / (double)n);

    digits_close(model);
    free(logits);
    free(images.data);
    free(labels.data);
    free(golden.data);
    if (!(difference <= MAX_DIFFERENCE)) {
        fprintf(stderr, "digits-demo: a logit is more than %g away from PyTorch's\n", MAX_DIFFERENCE);
        return 1;
    }
    if (accuracy < MIN_ACCURACY) {
        fprintf(stderr, "digits-demo: accuracy under %g %%\n", 100 * MIN_ACCURACY);
        return 1;
    }
    return 0;
}
