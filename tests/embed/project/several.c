/* One model under three prefixes, with its weights inside, in a file, and in a shared library; and another model. The
 * argument is the file of the weights. */
#include "Pair.h"
#include "digits.h"
#include "wrapped.h"
#include "zwei.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int failures;

#define EXPECT(condition)                                          \
    do {                                                           \
        if (!(condition)) {                                        \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            failures++;                                            \
        }                                                          \
    } while (0)

int main(int argc, char **argv)
{
    static float pixels[DIGITS_INPUT_PIXELS_MAX_ELEMENTS];
    float a[10], b[10], c[10], x[3] = {1, 2, 3}, y[2];
    char why[256] = "";
    tfx_model *digits = NULL, *zwei = NULL, *pair = NULL;
    tfx_options options = TFX_OPTIONS_INIT;
    if (argc != 2) return 2;
    for (int i = 0; i < 64; i++) pixels[i] = (float)(i % 17) / 16;

    options.message = why;
    options.message_bytes = sizeof why;
    EXPECT(zwei_open(&options, &zwei) == TFX_ERR_WEIGHTS && !zwei && strstr(why, "weights"));
    options.weights_path = argv[1];
    EXPECT(zwei_open(&options, &zwei) == TFX_OK);
    EXPECT(digits_open(NULL, &digits) == TFX_OK && Pair_open(NULL, &pair) == TFX_OK);
    if (failures) return puts(why), 1;

    EXPECT(digits_infer(digits, 1, pixels, a) == TFX_OK);
    EXPECT(zwei_infer(zwei, 1, pixels, b) == TFX_OK);
    EXPECT(wrapped_classify(pixels, c));
    EXPECT(memcmp(a, c, sizeof a) == 0);
    for (int i = 0; i < 10; i++) EXPECT(fabsf(a[i] - b[i]) < 1e-4f); /* for another processor */
    EXPECT(strstr(zwei_info()->target, "x86-64") && memcmp(zwei_info()->weight_id, digits_info()->weight_id, 32) == 0);
    EXPECT(Pair_infer(pair, 1, x, y) == TFX_OK && y[0] != y[1]);
    EXPECT(digits_workspace_size(TFX_ALL_ENTRIES, NULL, 1, 0) == DIGITS_WORKSPACE_BYTES);
    EXPECT(zwei_workspace_size(TFX_ALL_ENTRIES, NULL, 1, 0) == ZWEI_WORKSPACE_BYTES);
    digits_close(digits);
    zwei_close(zwei);
    Pair_close(pair);
    return failures != 0;
}
