/* store_arrays FROM.npz TO.npz: the same arrays, none of them compressed, for readers that cannot inflate. */
#include "runtime/npy.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    char err[512];
    npy_array *arrays;
    size_t n;
    if (argc != 3) {
        fputs("usage: store_arrays FROM.npz TO.npz\n", stderr);
        return 2;
    }
    bool ok = npz_read(argv[1], &arrays, &n, err, sizeof err) && npz_write(argv[2], arrays, n, err, sizeof err);
    if (!ok) fprintf(stderr, "%s\n", err);
    return !ok;
}
