/* Reading the .kir text form: what kmodule_print prints, plus comments and free white space. docs/kernel-ir.md
 * describes it.
 *
 * The text may come from anywhere. The first mistake ends the reading with a located error. What is checked here is
 * that the text is well-formed and that names are known; types and structure are the verifier's. Functions and ops in
 * kir_parse_op.c. */
#include "ir/kir/kir_parse.h"

#include "ir/constant.h"

/* ---- types ---- */

static bool parse_dim_list(kir_parser *p, dim *out, uint8_t *n)
{
    text *t = &p->t;
    *n = 0;
    if (!text_expect(t, "[")) return false;
    if (text_punct(t, "]")) return true;
    do {
        if (*n == KMAX_RANK) {
            text_error(t, t->at, "a buffer has at most %d axes", KMAX_RANK);
            return false;
        }
        dim d = text_dim(t, p->f->dims);
        if (t->failed) return false;
        out[(*n)++] = d;
    } while (text_punct(t, ","));
    return text_expect(t, "]");
}

static bool parse_small(kir_parser *p, int64_t limit, int64_t *out)
{
    uint32_t at = text_here(&p->t);
    if (!text_int(&p->t, out)) return false;
    if (*out >= 0 && *out <= limit) return true;
    text_error(&p->t, at, "not in 0..%lld", (long long)limit);
    return false;
}

static bool parse_swizzle(kir_parser *p, kswizzle *out)
{
    int64_t v[3];
    text *t = &p->t;
    if (!text_expect(t, "(")) return false;
    for (int i = 0; i < 3; i++)
        if ((i && !text_expect(t, ",")) || !parse_small(p, 8, &v[i])) return false;
    *out = (kswizzle){(uint8_t)v[0], (uint8_t)v[1], (uint8_t)v[2]};
    return text_expect(t, ")");
}

/* Behind the dtype. */
static bool parse_buffer_type(kir_parser *p, kbuffer *b)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    const char *space = text_word(t, "a space");
    if (!space) return false;
    int s = KSPACE_GLOBAL;
    while (s <= (int)KSPACE_WORKSPACE && strcmp(kspace_name((kspace)s), space) != 0) s++;
    if (s > (int)KSPACE_WORKSPACE) {
        text_error(t, begin, "unknown space '%s'", space);
        return false;
    }
    b->space = (kspace)s;
    b->dense = true;
    if (!parse_dim_list(p, b->shape, &b->rank)) return false;
    if (text_keyword(t, "strides")) {
        uint8_t n;
        uint32_t at = text_here(t);
        b->dense = false;
        if (!parse_dim_list(p, b->strides, &n)) return false;
        if (n != b->rank) {
            text_error(t, at, "%d strides for %d axes", n, b->rank);
            return false;
        }
    }
    if (text_keyword(t, "swizzle") && !parse_swizzle(p, &b->swizzle)) return false;
    if (text_keyword(t, "align")) {
        int64_t align;
        if (!parse_small(p, 1 << 20, &align)) return false;
        b->align = (uint32_t)align;
    }
    return true;
}

static bool parse_layout(kir_parser *p, klayout *out)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    const char *w = text_word(t, "a layout");
    if (!w) return false;
    for (int l = 0; l < KL_COUNT; l++)
        if (!strcmp(klayout_name((klayout)l), w)) {
            *out = (klayout)l;
            return true;
        }
    text_error(t, begin, "unknown layout '%s'", w);
    return false;
}

/* Behind the dtype: nothing, or "<14x32, mma_c>". */
static bool parse_tile_shape(kir_parser *p, ktile *out)
{
    text *t = &p->t;
    if (!text_punct(t, "<")) return true;
    do {
        uint32_t at = text_here(t);
        int64_t size;
        if (out->rank == KMAX_TILE_RANK) {
            text_error(t, at, "a tile has at most %d axes", KMAX_TILE_RANK);
            return false;
        }
        if (!text_int(t, &size)) return false;
        if (size < 1 || size > INT32_MAX) {
            text_error(t, at, "a tile of size %lld", (long long)size);
            return false;
        }
        out->shape[out->rank++] = (int32_t)size;
    } while (text_punct(t, "x"));
    if (text_punct(t, ",") && !parse_layout(p, &out->layout)) return false;
    return text_expect(t, ">");
}

bool kir_parse_tile(kir_parser *p, ktile *out)
{
    *out = (ktile){0};
    return text_dtype(&p->t, &out->dt) && parse_tile_shape(p, out);
}

bool kir_parse_type(kir_parser *p, kvalue *v)
{
    dtype dt;
    text *t = &p->t;
    if (!text_dtype(t, &dt)) return false;
    /* A space makes it a buffer. It cannot be taken for the next op: no op has the name of a space. */
    for (int s = KSPACE_GLOBAL; s <= (int)KSPACE_WORKSPACE; s++) {
        uint32_t at = t->at;
        if (!text_keyword(t, kspace_name((kspace)s))) continue;
        t->at = at;
        v->kind = KV_BUFFER;
        v->ty.buf = (kbuffer){.dt = dt};
        return parse_buffer_type(p, &v->ty.buf);
    }
    v->kind = KV_TILE;
    v->ty.tile = (ktile){.dt = dt};
    return parse_tile_shape(p, &v->ty.tile);
}

/* ---- values ---- */

kvalue *kir_parse_value(kir_parser *p)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    const char *name = text_value(t);
    if (!name) return NULL;
    kvalue *v = ptrmap_get(p->values, name);
    if (!v) text_error(t, begin, "unknown value %%%s", name);
    return v;
}

kvalue *kir_define(kir_parser *p, kvalue_kind kind)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    const char *name = text_value(t);
    if (!name) return NULL;
    if (ptrmap_has(p->values, name)) {
        text_error(t, begin, "%%%s is defined twice", name);
        return NULL;
    }
    /* A number is the printer's, not a name. */
    kvalue *v = kvalue_new(p->f, kind, is_identifier(name) ? name : NULL);
    ptrmap_set(p->values, name, v);
    return v;
}

/* ---- functions ---- */

static bool parse_symbol(kir_parser *p)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    const char *name = text_word(t, "the dim's name");
    if (!name) return false;
    if (dim_find(p->f->dims, name) != DIM_BAD || strchr(name, '.')) {
        text_error(t, begin, strchr(name, '.') ? "a dim's name holds no '.'" : "dim %s is declared twice", name);
        return false;
    }
    int64_t min, max, multiple = 1;
    if (!text_expect_keyword(t, "in")) return false;
    uint32_t range = text_here(t);
    if (!text_int(t, &min) || !text_expect(t, "..") || !text_int(t, &max)) return false;
    if (text_keyword(t, "multiple") && !text_int(t, &multiple)) return false;
    if (min < 0 || multiple < 1 || max / multiple * multiple < min) {
        text_error(t, range, "no value of dim %s is in these bounds", name);
        return false;
    }
    dim_origin origin = text_keyword(t, "setting") ? DIM_SETTING : text_keyword(t, "data") ? DIM_DATA : DIM_INPUT;
    if (dim_sym(p->f->dims, name, origin, min, max, multiple) != DIM_BAD) return true;
    text_error(t, begin, "the bounds of dim %s cannot be represented", name);
    return false;
}

static bool parse_weight(kir_parser *p, kparam *k)
{
    text *t = &p->t;
    const kbuffer *b = &k->v->ty.buf;
    type ty = {.dt = b->dt, .rank = b->rank};
    int64_t shape[MAX_RANK];
    uint64_t bytes = dtype_bits(b->dt);
    uint32_t begin = text_here(t);
    for (int i = 0; i < b->rank; i++) {
        ty.shape[i] = b->shape[i];
        if (dim_is_const(p->f->dims, b->shape[i], &shape[i]) && shape[i] >= 0 &&
            !__builtin_mul_overflow(bytes, (uint64_t)(shape[i] ? shape[i] : 1), &bytes) && bytes <= INT64_MAX / 2)
            continue;
        text_error(t, begin, "a weight has constant sizes whose bytes can be counted");
        return false;
    }
    k->weight = parse_constant(t, &ty, shape, k->tensor);
    return k->weight != NULL;
}

static bool parse_param(kir_parser *p)
{
    static const char *const modes[] = {[KACCESS_IN] = "in", [KACCESS_OUT] = "out", [KACCESS_INOUT] = "inout"};
    static const char *const roles[] = {
        [KPARAM_INPUT] = "input", [KPARAM_OUTPUT] = "output", [KPARAM_WEIGHT] = "weight"};
    text *t = &p->t;
    kvalue *v = kir_define(p, KV_BUFFER);
    if (!v || !text_expect(t, ":")) return false;
    uint32_t begin = text_here(t);
    if (!kir_parse_type(p, v)) return false;
    if (v->kind != KV_BUFFER) {
        text_error(t, begin, "a parameter is a buffer");
        return false;
    }
    kparam k = {.v = v};
    bool known = false;
    for (int i = 0; i < 3 && !known; i++)
        if (text_keyword(t, modes[i])) {
            k.mode = (kaccess_mode)i;
            known = true;
        }
    for (int i = KPARAM_INPUT; i <= (int)KPARAM_WEIGHT && !known; i++)
        if (text_keyword(t, roles[i])) {
            k.role = (kparam_role)i;
            k.mode = k.role == KPARAM_OUTPUT ? KACCESS_OUT : KACCESS_IN;
            known = true;
            if (!(k.tensor = text_string(t, "the tensor's name"))) return false;
        }
    if (!known) {
        text_error(t, t->at, "expected in, out, inout, input, output or weight");
        return false;
    }
    if (k.role == KPARAM_WEIGHT && text_punct(t, "=") && !parse_weight(p, &k)) return false;
    vec_push(p->m->a, &p->f->params, k);
    return true;
}

static bool parse_list(kir_parser *p, bool (*one)(kir_parser *))
{
    if (!text_expect(&p->t, "(")) return false;
    if (text_punct(&p->t, ")")) return true;
    do
        if (!one(p)) return false;
    while (text_punct(&p->t, ","));
    return text_expect(&p->t, ")");
}

static bool parse_function(kir_parser *p)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    bool kernel = text_keyword(t, "kernel");
    if (!kernel && !text_keyword(t, "plan")) {
        text_error(t, t->at, "expected 'kernel' or 'plan'");
        return false;
    }
    if (!text_expect(t, "@")) return false;
    uint32_t at = t->at;
    const char *name = text_name(t, "the function's name");
    if (!name) return false;
    if (kmodule_find(p->m, name)) {
        text_error(t, at, "function @%s is defined twice", name);
        return false;
    }
    ktarget target = KTARGET_PLAN;
    if (kernel) {
        if (text_keyword(t, "cpu")) target = KTARGET_CPU;
        else if (text_expect_keyword(t, "ptx")) target = KTARGET_PTX;
        else return false;
    }
    p->f = kfunction_new(p->m, name, target);
    p->values = ptrmap_new(p->m->a);
    if (!parse_list(p, parse_symbol) || !parse_list(p, parse_param)) return false;
    int64_t warps = 0;
    if (text_keyword(t, "warps") && !parse_small(p, 1024, &warps)) return false;
    p->f->warps = (uint32_t)warps;
    if (text_keyword(t, "block") && !(p->f->block = text_string(t, "the block's name"))) return false;
    vec_push(p->m->a, &p->f->sources, text_since(t, begin));
    return kir_parse_block(p, p->f->body);
}

kmodule *kmodule_parse(arena *a, interner *names, source_set *sources, diags *d, const source_file *f)
{
    kir_parser p = {.t = text_new(a, names, d, f)};
    p.m = kmodule_new(a, names, sources, NULL);
    if (text_keyword(&p.t, "module") && !(p.m->name = text_string(&p.t, "the module's name"))) return NULL;
    while (!p.t.failed && !text_at_end(&p.t))
        if (!parse_function(&p)) return NULL;
    return p.t.failed ? NULL : p.m;
}
