/* Arbitrary bytes as a .npy and as a .npz file; what is accepted has the bytes that its shape says. */
#include "fuzz/fuzz_main.h"
#include "runtime/npy.h"

static void check(const npy_array *a)
{
    if (a->rank <= NPY_MAX_RANK && a->bytes == npy_elements(a) * npy_item_size(a->type)) return;
    fprintf(stderr, "an array of %zu bytes and %u axes\n", a->bytes, a->rank);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char err[96];
    npy_array one, *list;
    size_t n;
    if (npy_parse(data, size, "fuzz.npy", &one, err, sizeof err)) {
        check(&one);
        npy_free(&one);
    }
    if (npz_parse(data, size, "fuzz.npz", &list, &n, err, sizeof err)) {
        for (size_t i = 0; i < n; i++) check(&list[i]);
        npz_free(list, n);
    }
    return 0;
}
