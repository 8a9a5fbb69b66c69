/* One model under two prefixes and another model, statically linked into one program, each called through its own
 * header. */
#include "one.h"
#include "small.h"
#include "two.h"

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

static float pixels[ONE_INPUT_PIXELS_MAX_ELEMENTS];
static float a[ONE_OUTPUT_LOGITS_MAX_ELEMENTS], b[TWO_OUTPUT_LOGITS_MAX_ELEMENTS];

int main(void)
{
    int32_t ids[2 * 3] = {0, 49, 7, 7, 1, 0};
    float y[2 * 3 * 8];
    tfx_model *one = NULL, *two = NULL, *small = NULL;
    int i;
    for (i = 0; i < ONE_INPUT_PIXELS_MAX_ELEMENTS; i++) pixels[i] = (float)(i % 17) / 16;
    EXPECT(one_open(NULL, &one) == TFX_OK && two_open(NULL, &two) == TFX_OK && small_open(NULL, &small) == TFX_OK);
    if (failures) return 1;
    EXPECT(one_infer(one, 3, pixels, a) == TFX_OK && two_infer(two, 3, pixels, b) == TFX_OK);
    EXPECT(memcmp(a, b, sizeof(float) * (size_t)one_output_logits_elements(3)) == 0);

    /* A handle belongs to the model that made it, even when the other is the same model. */
    EXPECT(one_infer(two, 3, pixels, a) == TFX_ERR_ARGUMENT);
    EXPECT(tfx_get_info(one) == one_info() && one_info() != two_info());

    EXPECT(small_infer(small, 2, 3, ids, y) == TFX_OK);
    EXPECT(memcmp(y + 2 * 8, y + 3 * 8, 8 * sizeof(float)) == 0); /* ids 7 and 7 */
    EXPECT(memcmp(y, y + 8, 8 * sizeof(float)) != 0);             /* ids 0 and 49 */
    ids[4] = 50;
    EXPECT(small_infer(small, 2, 3, ids, y) == TFX_ERR_VALUE);
    EXPECT(strcmp(small_error(small), "input 'ids': element [1, 1] is 50, allowed 0..49") == 0);
    ids[4] = -1;
    EXPECT(small_infer(small, 2, 3, ids, y) == TFX_ERR_VALUE);
    EXPECT(strcmp(small_error(small), "input 'ids': element [1, 1] is -1, allowed 0..49") == 0);
    EXPECT(small_infer(small, SMALL_DIM_B_MAX + 1, 3, ids, y) == TFX_ERR_BOUND);
    EXPECT(strcmp(small_error(small), "input 'ids', axis 0: dim 'B': expected 1..4, got 5") == 0);

    one_close(one);
    tfx_close(two);
    small_close(small);
    return failures != 0;
}
