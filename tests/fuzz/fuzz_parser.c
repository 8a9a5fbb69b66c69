/* Arbitrary bytes through the scanner, the parser, sema and the IR builder; a module that comes out must verify. */
#include "frontend/frontend.h"
#include "fuzz/fuzz_main.h"
#include "ir/module.h"
#include "tests/support/verbs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena *a = arena_new(NULL, NULL);
    source_set *sources = source_set_new(a);
    interner *names = interner_new(a);
    diags *d = diags_new(a, sources, 0);
    frontend_session s = {a, names, sources, d, dims_new(a, names)};
    const policy_verbs verbs = test_verbs();
    frontend_options o = {.weights = FRONTEND_WEIGHTS_RANDOM, .embedded_only = true, .verbs = &verbs};
    frontend_result r;
    char *text = arena_strndup(a, (const char *)data, size);
    bool ok = frontend_compile_text(&s, "fuzz.tfx", text, size, &o, &r);
    strbuf out = strbuf_new(a);
    if (ok && !module_verify(r.module, d)) {
        diags_render_text(d, &out);
        fprintf(stderr, "%sa module that does not verify\n", out.s);
        abort();
    }
    if (!ok && diags_errors(d) == 0) {
        fprintf(stderr, "failed without an error\n");
        abort();
    }
    diags_render_text(d, &out);
    diags_render_json(d, &out);
    arena_free(a);
    return 0;
}
