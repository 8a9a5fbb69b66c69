/* tests/compare_npy GOT.npy [WANT.npz:]WANT LIMIT
 *
 * Ends with 0 when both hold f32 of one shape and no two elements are more than LIMIT apart; prints how far they are.
 * Two arrays of NaN are not equal. WANT is a .npy file or, with an archive before the colon, the name of one of its
 * arrays. */
#include "runtime/npy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static npy_array load(const char *argument)
{
    char path[4096], message[512];
    const char *name = strstr(argument, ".npz:");
    snprintf(path, sizeof path, "%.*s", name ? (int)(name + 4 - argument) : (int)strlen(argument), argument);
    npy_array *arrays;
    size_t n;
    if (!npy_load(path, &arrays, &n, message, sizeof message)) {
        fprintf(stderr, "%s: %s\n", path, message);
        exit(2);
    }
    for (size_t i = 0; i < n; i++)
        if (!name || !strcmp(arrays[i].name, name + 5)) return arrays[i];
    fprintf(stderr, "%s has no such array\n", argument);
    exit(2);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: %s GOT.npy [WANT.npz:]WANT LIMIT\n", argv[0]);
        return 2;
    }
    npy_array got = load(argv[1]), want = load(argv[2]);
    double limit = atof(argv[3]), worst = 0;
    if (got.type != NPY_F32 || want.type != NPY_F32 || got.rank != want.rank ||
        memcmp(got.shape, want.shape, got.rank * sizeof *got.shape) != 0) {
        printf("not f32 of the same shape\n");
        return 1;
    }
    for (size_t i = 0; i < npy_elements(&got); i++) {
        double d = fabs((double)((float *)got.data)[i] - (double)((float *)want.data)[i]);
        if (!(d <= worst)) worst = d; /* NaN stays */
    }
    printf("largest difference %.3g, allowed %g\n", worst, limit);
    return worst <= limit ? 0 : 1;
}
