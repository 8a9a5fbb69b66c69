/* Attributes by kind: equality, hash and text come from the row of attrs.def alone. Parsing is in parse_node.c. */
#include "ir/internal.h"

#include <assert.h>

static const struct {
    const char *text;
    attr_kind kind;
} rows[N_ATTRS] = {
#define ATTR(name, NAME, KIND) [ATTR_##NAME] = {#name, AK_##KIND},
#include "ir/attrs.def"
#undef ATTR
};

const char *attr_text(attr_name a)
{
    assert((unsigned)a < N_ATTRS);
    return rows[a].text;
}

attr_kind attr_kind_of(attr_name a)
{
    assert((unsigned)a < N_ATTRS);
    return rows[a].kind;
}

bool attr_is_optional(attr_name a)
{
    /* const has one of its two, which infer_const sees to. */
    static const bool optional[N_ATTRS] = {
        [ATTR_VALUE] = true, [ATTR_IVALUE] = true, [ATTR_FROM] = true, [ATTR_TO] = true, [ATTR_ALONG] = true};
    return optional[a];
}

bool attr_find(const char *name, size_t n, attr_name *out)
{
    for (int a = 0; a < N_ATTRS; a++)
        if (strlen(rows[a].text) == n && !memcmp(rows[a].text, name, n)) {
            *out = (attr_name)a;
            return true;
        }
    return false;
}

const char *reduce_name(reduce_kind k)
{
    static const char *const names[] = {[REDUCE_SUM] = "sum", [REDUCE_MEAN] = "mean", [REDUCE_MAX] = "max",
                                        [REDUCE_MIN] = "min", [REDUCE_PROD] = "prod", [REDUCE_ANY] = "any",
                                        [REDUCE_ALL] = "all"};
    return (unsigned)k < sizeof names / sizeof *names ? names[k] : NULL;
}

const char *norm_name(norm_mode k)
{
    static const char *const names[] = {[NORM_STANDARD] = "standard", [NORM_RMS] = "rms"};
    return (unsigned)k < sizeof names / sizeof *names ? names[k] : NULL;
}

int attr_is_inline(const op_info *row)
{
    attr_kind k = row->n_attrs ? attr_kind_of(row->attrs[0]) : AK_INT;
    return k == AK_PARAM || k == AK_BODY ? 0 : -1;
}

bool attr_equal(const attr *a, const attr *b)
{
    if (a->name != b->name || a->set != b->set) return false;
    if (!a->set) return true;
    switch (attr_kind_of(a->name)) {
    case AK_INT:
    case AK_ENUM_REDUCE:
    case AK_ENUM_NORM: return a->u.i == b->u.i;
    case AK_REAL: return !memcmp(&a->u.real, &b->u.real, sizeof a->u.real);
    case AK_DIM: return a->u.d == b->u.d;
    case AK_DTYPE: return a->u.dt == b->u.dt;
    case AK_PARAM: return a->u.p == b->u.p;
    case AK_BODY: return a->u.f == b->u.f;
    case AK_INTS:
        return a->u.ints.n == b->u.ints.n && !memcmp(a->u.ints.v, b->u.ints.v, a->u.ints.n * sizeof *a->u.ints.v);
    case AK_DIMS:
        return a->u.dims.n == b->u.dims.n && !memcmp(a->u.dims.v, b->u.dims.v, a->u.dims.n * sizeof *a->u.dims.v);
    case AK_LABELS:
        for (int o = 0; o < 3; o++)
            if (a->u.lab.rank[o] != b->u.lab.rank[o] || memcmp(a->u.lab.label[o], b->u.lab.label[o], a->u.lab.rank[o]))
                return false;
        return true;
    }
    return false;
}

uint64_t attr_hash(const attr *a, uint64_t seed)
{
    seed = hash_bytes(&(uint64_t){(uint64_t)a->name * 2 + a->set}, sizeof(uint64_t), seed);
    if (!a->set) return seed;
    switch (attr_kind_of(a->name)) {
    case AK_INT:
    case AK_ENUM_REDUCE:
    case AK_ENUM_NORM: return hash_bytes(&a->u.i, sizeof a->u.i, seed);
    case AK_REAL: return hash_bytes(&a->u.real, sizeof a->u.real, seed);
    case AK_DIM: return hash_bytes(&a->u.d, sizeof a->u.d, seed);
    case AK_DTYPE: return hash_bytes(&a->u.dt, sizeof a->u.dt, seed);
    case AK_PARAM: return hash_bytes(&a->u.p->id, sizeof a->u.p->id, seed);
    case AK_BODY: return hash_bytes(&a->u.f->id, sizeof a->u.f->id, seed);
    case AK_INTS: return hash_bytes(a->u.ints.v, a->u.ints.n * sizeof *a->u.ints.v, seed);
    case AK_DIMS: return hash_bytes(a->u.dims.v, a->u.dims.n * sizeof *a->u.dims.v, seed);
    case AK_LABELS:
        for (int o = 0; o < 3; o++) seed = hash_bytes(a->u.lab.label[o], a->u.lab.rank[o], seed + a->u.lab.rank[o]);
        return seed;
    }
    return seed;
}

void attr_print(const module *m, const attr *a, strbuf *out)
{
    switch (attr_kind_of(a->name)) {
    case AK_INT: strbuf_addf(out, "%lld", (long long)a->u.i); break;
    case AK_ENUM_REDUCE:
    case AK_ENUM_NORM: {
        bool reduce = attr_kind_of(a->name) == AK_ENUM_REDUCE;
        const char *word = reduce ? reduce_name((reduce_kind)a->u.i) : norm_name((norm_mode)a->u.i);
        strbuf_adds(out, word ? word : "?"); /* the verifier prints what it refuses */
        break;
    }
    case AK_REAL: strbuf_add_double(out, a->u.real); break;
    case AK_DIM: dim_print(m->dims, a->u.d, out); break;
    case AK_DTYPE: strbuf_adds(out, dtype_name(a->u.dt)); break;
    case AK_PARAM: print_quoted(out, a->u.p->path); break;
    case AK_BODY:
        strbuf_addc(out, '@');
        print_name(out, a->u.f->name);
        break;
    case AK_INTS:
        strbuf_addc(out, '[');
        for (int i = 0; i < a->u.ints.n; i++) strbuf_addf(out, "%s%lld", i ? ", " : "", (long long)a->u.ints.v[i]);
        strbuf_addc(out, ']');
        break;
    case AK_DIMS:
        strbuf_addc(out, '[');
        for (int i = 0; i < a->u.dims.n; i++) {
            if (i) strbuf_adds(out, ", ");
            dim_print(m->dims, a->u.dims.v[i], out);
        }
        strbuf_addc(out, ']');
        break;
    case AK_LABELS:
        strbuf_addc(out, '"');
        strbuf_add(out, a->u.lab.label[0], a->u.lab.rank[0]);
        strbuf_addc(out, ',');
        strbuf_add(out, a->u.lab.label[1], a->u.lab.rank[1]);
        strbuf_adds(out, "->");
        strbuf_add(out, a->u.lab.label[2], a->u.lab.rank[2]);
        strbuf_addc(out, '"');
        break;
    }
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool labels_parse(const char *s, size_t n, labels *out)
{
    *out = (labels){0};
    size_t i = 0;
    for (int o = 0; o < 3; o++) {
        while (i < n && is_letter(s[i])) {
            if (out->rank[o] == MAX_RANK) return false;
            out->label[o][out->rank[o]++] = s[i++];
        }
        const char *sep = o == 0 ? "," : o == 1 ? "->" : "";
        size_t len = strlen(sep);
        if (n - i < len || memcmp(s + i, sep, len)) return false;
        i += len;
    }
    return i == n;
}
