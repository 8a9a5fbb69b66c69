/* Attributes of kernel-IR ops: where each lives in kattrs, and per kind how it is printed, compared and set. */
#include "ir/kir/kir_internal.h"

#include <assert.h>

static const struct {
    const char *name;
    size_t at;
    kattr_kind kind;
} attrs[KATTR_COUNT] = {
#define KATTR(name, NAME, field, KIND) [KATTR_##NAME] = {#name, offsetof(kattrs, field), KK_##KIND},
#include "ir/kir/kattrs.def"
#undef KATTR
};

const char *kattr_text(kattr_name a)
{
    assert((unsigned)a < KATTR_COUNT);
    return attrs[a].name;
}

kattr_kind kattr_kind_of(kattr_name a)
{
    assert((unsigned)a < KATTR_COUNT);
    return attrs[a].kind;
}

const char *kattr_word(kattr_kind k, int n)
{
    static const char *const reduces[] = {[KREDUCE_ADD] = "add", [KREDUCE_MAX] = "max", [KREDUCE_MIN] = "min", NULL};
    static const char *const queues[] = {[KQUEUE_COPY] = "copy", [KQUEUE_MMA] = "mma", NULL};
    static const char *const maps[] = {[KMAP_SERIAL] = "serial", [KMAP_PARALLEL] = "parallel",   [KMAP_BLOCK] = "block",
                                       [KMAP_WARP] = "warp",     [KMAP_WARPGROUP] = "warpgroup", NULL};
    const char *const *words = k == KK_WORD_REDUCE  ? reduces
                               : k == KK_WORD_QUEUE ? queues
                               : k == KK_WORD_MAP   ? maps
                                                    : NULL;
    if (!words) return NULL;
    for (int i = 0; i <= n; i++)
        if (!words[i]) return NULL;
    return words[n];
}

static const void *field(const kattrs *at, kattr_name a)
{
    return (const char *)at + attrs[a].at;
}

int64_t kattr_int(const kattrs *at, kattr_name a)
{
    switch (attrs[a].kind) {
    case KK_INT: return *(const int64_t *)field(at, a);
    case KK_WORD_REDUCE: return (int64_t)*(const kreduce *)field(at, a);
    case KK_WORD_QUEUE: return (int64_t)*(const kqueue *)field(at, a);
    case KK_WORD_MAP: return (int64_t)*(const kmap *)field(at, a);
    default: assert(!"an integer attribute"); return 0;
    }
}

void kattr_set_int(kattrs *at, kattr_name a, int64_t v)
{
    void *to = (char *)at + attrs[a].at;
    switch (attrs[a].kind) {
    case KK_INT: *(int64_t *)to = v; break;
    case KK_WORD_REDUCE: *(kreduce *)to = (kreduce)v; break;
    case KK_WORD_QUEUE: *(kqueue *)to = (kqueue)v; break;
    case KK_WORD_MAP: *(kmap *)to = (kmap)v; break;
    default: assert(!"an integer attribute");
    }
}

dim kattr_dim(const kattrs *at, kattr_name a)
{
    assert(attrs[a].kind == KK_DIM);
    return *(const dim *)field(at, a);
}

void kattr_set_dim(kattrs *at, kattr_name a, dim v)
{
    assert(attrs[a].kind == KK_DIM);
    *(dim *)((char *)at + attrs[a].at) = v;
}

bool kattr_is_set(const kattrs *at, kattr_name a)
{
    return a != KATTR_OFFSET || at->offset != DIM_BAD;
}

void kattr_print(const kfunction *f, const kattrs *at, kattr_name a, strbuf *out)
{
    switch (attrs[a].kind) {
    case KK_REAL: strbuf_add_double(out, *(const double *)field(at, a)); break;
    case KK_INT: strbuf_addf(out, "%lld", (long long)kattr_int(at, a)); break;
    case KK_DIM: dim_print(f->dims, *(const dim *)field(at, a), out); break;
    case KK_WORD_REDUCE:
    case KK_WORD_QUEUE:
    case KK_WORD_MAP: {
        const char *word = kattr_word(attrs[a].kind, (int)kattr_int(at, a));
        strbuf_adds(out, word ? word : "?");
        break;
    }
    case KK_SYMBOL: strbuf_addf(out, "@%s", *(const char *const *)field(at, a)); break;
    case KK_INTS:
        strbuf_addc(out, '[');
        for (int i = 0; i < at->cases.n; i++) strbuf_addf(out, "%s%lld", i ? ", " : "", (long long)at->cases.v[i]);
        strbuf_addc(out, ']');
        break;
    }
}

/* Of reals the bits are compared, so that -0 and 0 differ and a NaN equals itself. */
bool kattr_equal(const kattrs *x, const kattrs *y, kattr_name a, kdim_same_fn *same, void *arg)
{
    switch (attrs[a].kind) {
    case KK_REAL: return !memcmp(field(x, a), field(y, a), sizeof(double));
    case KK_DIM: return same(arg, *(const dim *)field(x, a), *(const dim *)field(y, a));
    case KK_SYMBOL: {
        const char *s = *(const char *const *)field(x, a), *t = *(const char *const *)field(y, a);
        return s == t || (s && t && !strcmp(s, t));
    }
    case KK_INTS:
        if (x->cases.n != y->cases.n) return false;
        return x->cases.n == 0 || !memcmp(x->cases.v, y->cases.v, x->cases.n * sizeof *x->cases.v);
    default: return kattr_int(x, a) == kattr_int(y, a);
    }
}
