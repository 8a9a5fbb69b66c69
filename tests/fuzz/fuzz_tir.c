/* Arbitrary bytes as .tir text: what is accepted verifies, prints and reads back to the same bytes, has copies that are
 * equal and valid, and goes through all passes, each of which must leave valid IR and have changed what it says. */
#include "fuzz/fuzz_main.h"
#include "passes/pass.h"

static void stop(diags *d, arena *a, const char *what)
{
    strbuf out = strbuf_new(a);
    diags_render_text(d, &out);
    fprintf(stderr, "%s%s\n", out.s, what);
    abort();
}

static void check_copy(const module *m, diags *d, arena *a)
{
    const module *copy = module_clone(m, a);
    if (!module_verify(copy, d)) stop(d, a, "a copy is not valid");
    strbuf one = strbuf_new(a), two = strbuf_new(a);
    module_print(m, &one);
    module_print(copy, &two);
    if (one.len != two.len || memcmp(one.s, two.s, one.len)) stop(d, a, "a copy prints something else");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena *a = arena_new(NULL, NULL);
    source_set *sources = source_set_new(a);
    interner *names = interner_new(a);
    diags *d = diags_new(a, sources, 0);
    char *text = arena_strndup(a, (const char *)data, size);
    const source_file *f = source_add(sources, "fuzz.tir", "fuzz.tir", text, size);
    module *m = f ? module_parse(a, names, sources, d, f) : NULL;
    if (f && !m && diags_errors(d) == 0) stop(d, a, "failed without an error");
    if (m) {
        check_copy(m, d, a);
        pass_options o = pass_options_default();
        o.verify_each = o.roundtrip_each = o.remarks = true;
        pass_session s = {.d = d, .options = &o};
        bool refused = !policy_check(m, d); /* rules may ask for anything */
        if (refused && diags_errors(d) == 0) stop(d, a, "rules refused without an error");
        if (!refused && passes_run(m, &s) != STATUS_OK) stop(d, a, "a pass failed");
        module_close(m);
    }
    strbuf out = strbuf_new(a);
    diags_render_text(d, &out);
    arena_free(a);
    return 0;
}
