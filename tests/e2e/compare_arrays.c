/* compare_arrays GOT.npz EXPECTED.npz ATOL RTOL: every array of GOT is in EXPECTED, with the same shape and with
 * elements within ATOL + RTOL * |expected|. Prints the largest difference of each; exits with 1 if one is beyond. */
#include "runtime/npy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void load(const char *path, npy_array **arrays, size_t *n)
{
    char err[512];
    if (npz_read(path, arrays, n, err, sizeof err)) return;
    fprintf(stderr, "%s\n", err);
    exit(2);
}

static double element(const npy_array *a, uint64_t i)
{
    switch (a->type) {
    case NPY_F64: return ((const double *)a->data)[i];
    case NPY_F32: return (double)((const float *)a->data)[i];
    case NPY_I32: return ((const int32_t *)a->data)[i];
    case NPY_I64: return (double)((const int64_t *)a->data)[i];
    case NPY_BOOL: return ((const uint8_t *)a->data)[i];
    default: fprintf(stderr, "%s: no comparison of %s\n", a->name, npy_type_name(a->type)); exit(2);
    }
}

static bool compare(const npy_array *got, const npy_array *want, double atol, double rtol)
{
    bool same = got->rank == want->rank;
    for (uint32_t k = 0; same && k < got->rank; k++) same = got->shape[k] == want->shape[k];
    if (!same) {
        printf("%s: other shapes\n", got->name);
        return false;
    }
    uint64_t beyond = 0;
    double largest = 0;
    for (uint64_t i = 0; i < npy_elements(got); i++) {
        double g = element(got, i), w = element(want, i), e = fabs(g - w);
        if (!(e <= largest)) largest = e; /* NaN stays */
        beyond += !(e <= atol + rtol * fabs(w));
    }
    printf("%s: max abs %.3g", got->name, largest);
    if (beyond)
        printf(", %llu of %llu beyond the tolerance", (unsigned long long)beyond,
               (unsigned long long)npy_elements(got));
    putchar('\n');
    return !beyond;
}

int main(int argc, char **argv)
{
    if (argc != 5) return fprintf(stderr, "usage: compare_arrays GOT.npz EXPECTED.npz ATOL RTOL\n"), 2;
    npy_array *got, *want;
    size_t n_got, n_want;
    load(argv[1], &got, &n_got);
    load(argv[2], &want, &n_want);
    double atol = strtod(argv[3], NULL), rtol = strtod(argv[4], NULL);
    bool ok = n_got > 0;
    for (size_t i = 0; i < n_got; i++) {
        size_t k = 0;
        while (k < n_want && strcmp(want[k].name, got[i].name)) k++;
        if (k == n_want) printf("%s: not in %s\n", got[i].name, argv[2]);
        ok &= k < n_want && compare(&got[i], &want[k], atol, rtol);
    }
    npz_free(got, n_got);
    npz_free(want, n_want);
    return ok ? 0 : 1;
}
