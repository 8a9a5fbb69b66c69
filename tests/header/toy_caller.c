/* Calls the toy model through nothing but its generated header; compiled as C99, C11, C++11 and C++20. */
#include "toy.h"

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

int main(void)
{
    static int64_t ids[TOY_EMBED_INPUT_IDS_MAX_ELEMENTS];
    static float emb[TOY_EMBED_OUTPUT_EMB_MAX_ELEMENTS];
    float x[3 * 8], y[7], z[5];
    uint8_t on = 1;
    int32_t n = 0;
    int64_t shape[TFX_MAX_RANK];
    int i;
    tfx_model *m = NULL;
    tfx_options o = TFX_OPTIONS_INIT;
    o.max_workers = 2;
    EXPECT(toy_open(&o, &m) == TFX_OK);
    EXPECT(toy_info()->n_dims == TOY_DIMS && strcmp(toy_info()->dims[TOY_DIM_P].name, "P") == 0);
    EXPECT(toy_api()->info == toy_info && m->api == toy_api());

    for (i = 0; i < 6; i++) ids[i] = 9 - i;
    EXPECT(toy_embed(m, 2, 3, ids, emb) == TFX_OK);
    for (i = 0; i < toy_embed_output_emb_elements(2, 3); i++) EXPECT(emb[i] == (float)(2 * (10 * (9 - i / 4) + i % 4)));
    ids[4] = 10;
    EXPECT(toy_embed(m, 2, 3, ids, emb) == TFX_ERR_VALUE);
    EXPECT(strcmp(toy_error(m), "input 'ids': element [1, 1] is 10, allowed 0..9") == 0);
    EXPECT(toy_embed(m, TOY_DIM_B_MAX + 1, 3, ids, emb) == TFX_ERR_BOUND);

    for (i = 0; i < 24; i++) x[i] = 1;
    for (i = 0; i < 7; i++) y[i] = 2;
    EXPECT(toy_window(m, 3, TOY_DIM_M_MIN, 2, x, y, &on, z, &n) == TFX_OK);
    EXPECT(z[0] == 8 && z[2] == 8 && z[3] == -1 && z[4] == -1 && n == 2);
    toy_window_output_z_shape(3, 2, shape);
    EXPECT(shape[0] == 5 && toy_window_input_y_elements(3) == 7);
    EXPECT(toy_workspace_size(TOY_ENTRY_WINDOW, NULL, 1, 0) == 0);
    EXPECT(toy_workspace_size(TFX_ALL_ENTRIES, NULL, 1, 0) == TOY_WORKSPACE_BYTES);
    toy_close(m);
    return failures != 0;
}
