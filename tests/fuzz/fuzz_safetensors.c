/* Arbitrary bytes as a safetensors file: refused with one message or accepted, never read past the end. */
#include "fuzz/fuzz_main.h"
#include "ir/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena *a = arena_new(NULL, NULL);
    diags *d = diags_new(a, source_set_new(a), 0);
    bool ok = weights_check(a, d, "fuzz.safetensors", data, size);
    strbuf out = strbuf_new(a);
    diags_render_text(d, &out);
    diags_render_json(d, &out);
    if (ok != (diags_errors(d) == 0) || diags_errors(d) > 1) {
        fprintf(stderr, "%s%s with %u errors\n", out.s, ok ? "accepted" : "refused", diags_errors(d));
        abort();
    }
    arena_free(a);
    return 0;
}
