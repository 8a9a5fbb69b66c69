/* The digits model linked into a program: images as raw floats from standard input, logits to standard output. */
#include "digits.h"

#include <stdio.h>

static float pixels[DIGITS_INPUT_PIXELS_MAX_ELEMENTS], logits[DIGITS_OUTPUT_LOGITS_MAX_ELEMENTS];

int main(void)
{
    tfx_model *m;
    size_t images =
        fread(pixels, sizeof(float) * DIGITS_INPUT_PIXELS_SIZE_2 * DIGITS_INPUT_PIXELS_SIZE_3, DIGITS_DIM_B_MAX, stdin);
    if (digits_open(NULL, &m) != TFX_OK) return 1;
    if (digits_infer(m, (int64_t)images, pixels, logits) != TFX_OK) {
        fprintf(stderr, "%s\n", digits_error(m));
        return 1;
    }
    digits_close(m);
    return fwrite(logits, sizeof(float) * DIGITS_OUTPUT_LOGITS_SIZE_1, images, stdout) == images ? 0 : 1;
}
