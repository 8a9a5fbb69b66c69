#include "front.h"

#include <stdio.h>

#include "tests/support/verbs.h"
#include "unit/cmocka_all.h"

front front_open(void)
{
    front f = {.a = arena_new(NULL, NULL)};
    f.sources = source_set_new(f.a);
    f.names = interner_new(f.a);
    f.d = diags_new(f.a, f.sources, 0);
    f.dims = dims_new(f.a, f.names);
    return f;
}

void front_close(front *f)
{
    arena_free(f->a);
}

front front_compile(const char *text)
{
    front f = front_open();
    frontend_session s = {f.a, f.names, f.sources, f.d, f.dims};
    const policy_verbs verbs = test_verbs();
    frontend_options o = {.weights = FRONTEND_WEIGHTS_RANDOM, .embedded_only = true, .verbs = &verbs};
    frontend_result r;
    if (frontend_compile_text(&s, "a.tfx", text, strlen(text), &o, &r)) f.m = r.module;
    return f;
}

const char *front_messages(front *f)
{
    strbuf b = strbuf_new(f->a);
    diags_render_text(f->d, &b);
    return b.s ? b.s : "";
}

tensor **front_run(front *f, tensor *const *inputs, const int64_t *settings)
{
    if (!f->m) fail_msg("%s", front_messages(f));
    if (!module_verify(f->m, f->d)) fail_msg("%s", front_messages(f));
    const function *fn = f->m->functions.data[0];
    tensor **out = ARENA_ARRAY(f->a, tensor *, fn->results.len);
    interp_options o = {0};
    if (!interp_run(fn, inputs, settings, &o, f->a, f->d, out)) fail_msg("%s", front_messages(f));
    return out;
}

tensor *front_tensor(front *f, dtype dt, uint32_t rank, const int64_t *shape, int64_t below, uint64_t seed)
{
    tensor *t = tensor_new(f->a, dt, rank, shape);
    uint64_t x = seed * 2654435761u + 12345;
    for (uint64_t i = 0; i < tensor_elements(t); i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        if (dtype_is_float(dt)) t->u.f[i] = (double)(int64_t)(x >> 33) / (double)(1 << 30) - 1.0;
        else t->u.i[i] = (int64_t)((x >> 33) % (uint64_t)below);
    }
    return t;
}
