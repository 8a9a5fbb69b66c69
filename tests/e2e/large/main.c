/* Reads what tests/run_large_weights.sh has put at both ends of the weights and at 2 GiB. Argument: the weights file of
 * a model that has one. */
#include "large.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    static const int64_t ids[5] = {0, 1, 524287, 524288, 799999};
    static const float want[5] = {1.5f, 0.5f, 2.5f, 4.5f, 8.5f};
    static float y[5 * 1024];
    char why[256] = "";
    tfx_options o = TFX_OPTIONS_INIT;
    tfx_model *m;
    o.message = why;
    o.message_bytes = sizeof why;
    o.weights_path = argc > 1 ? argv[1] : NULL;
    if (large_open(&o, &m) != TFX_OK) return puts(why), 1;
    if (large_infer(m, 5, ids, y) != TFX_OK) return puts(large_error(m)), 1;
    large_close(m);
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < 1024; k++)
            if (y[1024 * i + k] != want[i])
                return printf("row %d, column %d: %g, expected %g\n", (int)ids[i], k, (double)y[1024 * i + k],
                              (double)want[i]),
                       1;
    return 0;
}
