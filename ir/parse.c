/* Reading the .tir text form: what module_print prints, plus comments and free white space. docs/tir.md describes it.
 *
 * The text may come from anywhere. Every name, number and size is checked before it is used, the first mistake ends the
 * reading with a located error, and a module is only handed out when the verifier has nothing to say. */
#include "ir/constant.h"
#include "ir/internal.h"
#include "ir/text.h"

static bool parse_dim_symbol(tir_parser *p)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    const char *name = text_word(t, "the dim's name");
    if (!name) return false;
    if (dim_find(p->m->dims, name) != DIM_BAD) {
        text_error(t, begin, "dim %s is declared twice", name);
        return false;
    }
    if (strchr(name, '.')) {
        text_error(t, begin, "a dim's name holds no '.'");
        return false;
    }
    dim_origin origin;
    if (text_keyword(t, "input")) origin = DIM_INPUT;
    else if (text_keyword(t, "setting")) origin = DIM_SETTING;
    else if (text_keyword(t, "data")) origin = DIM_DATA;
    else {
        text_error(t, t->at, "expected input, setting or data");
        return false;
    }
    int64_t min, max, multiple = 1;
    uint32_t range = text_here(t);
    if (!text_int(t, &min) || !text_expect(t, "..") || !text_int(t, &max)) return false;
    if (min < 0 || min > max) {
        text_error(t, range, "the bounds of dim %s are not in order", name);
        return false;
    }
    if (text_keyword(t, "multiple")) {
        uint32_t at = text_here(t);
        if (!text_int(t, &multiple)) return false;
        if (multiple < 1) {
            text_error(t, at, "a multiple of %lld", (long long)multiple);
            return false;
        }
    }
    if (dim_sym(p->m->dims, name, origin, min, max, multiple) == DIM_BAD) {
        text_error(t, begin, "the bounds of dim %s cannot be represented", name);
        return false;
    }
    return true;
}

static bool parse_check(tir_parser *p)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    dim_check c = {0};
    if ((c.lhs = text_dim(t, p->m->dims)) == DIM_BAD) return false;
    if (text_punct(t, "==")) c.op = CHECK_EQ;
    else if (text_punct(t, "<=")) c.op = CHECK_LE;
    else if (text_keyword(t, "multiple")) c.op = CHECK_MULTIPLE;
    else {
        text_error(t, t->at, "expected '==', '<=' or 'multiple'");
        return false;
    }
    uint32_t at = text_here(t);
    if ((c.rhs = text_dim(t, p->m->dims)) == DIM_BAD) return false;
    int64_t k;
    if (c.op == CHECK_MULTIPLE && (!dim_is_const(p->m->dims, c.rhs, &k) || k < 1)) {
        text_error(t, at, "expected a positive constant");
        return false;
    }
    c.at = text_since(t, begin);
    vec_push(p->m->a, &p->m->checks, c);
    return true;
}

static bool parse_param(tir_parser *p)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    const char *path = text_string(t, "the parameter's path");
    if (!path) return false;
    span declared = text_since(t, begin);
    if (module_find_param(p->m, path)) {
        text_error(t, begin, "parameter \"%s\" is declared twice", path);
        return false;
    }
    type ty;
    int64_t shape[MAX_RANK], bits;
    if (!text_expect(t, ":")) return false;
    uint32_t type_at = text_here(t);
    if (!text_type(t, p->m->dims, &ty)) return false;
    if (!type_is_const(p->m, &ty, shape)) {
        text_error(t, type_at, "the sizes of a parameter are constants");
        return false;
    }
    bits = dtype_bits(ty.dt);
    bool fits = true;
    for (int i = 0; i < ty.rank; i++) fits = fits && !__builtin_mul_overflow(bits, shape[i], &bits);
    if (!fits || bits > INT64_MAX / 2) {
        text_error(t, type_at, "the parameter is too large");
        return false;
    }
    const cexpr *v =
        text_punct(t, "=") ? parse_constant(t, &ty, shape, path) : default_constant(t->a, &ty, shape, 0, path);
    if (!v || t->failed) return false;
    module_param(p->m, path, ty, v, declared);
    return true;
}

/* ---- functions ---- */

static bool parse_args(tir_parser *p, function *f)
{
    text *t = &p->t;
    if (!text_expect(t, "(")) return false;
    if (text_punct(t, ")")) return true;
    do {
        uint32_t begin = text_here(t);
        const char *name = text_value(t);
        type ty;
        if (!name || !text_expect(t, ":") || !text_type(t, p->m->dims, &ty)) return false;
        if (ptrmap_has(p->values, name)) {
            text_error(t, begin, "%%%s is defined twice", name);
            return false;
        }
        ptrmap_set(p->values, name, function_arg(f, name, ty));
    } while (text_punct(t, ","));
    return text_expect(t, ")");
}

typedef struct {
    const char *name;
    type ty;
} declared_result;
typedef VEC(declared_result) result_list;

static bool parse_results(tir_parser *p, result_list *out)
{
    text *t = &p->t;
    if (!text_expect(t, "->") || !text_expect(t, "(")) return false;
    if (text_punct(t, ")")) return true;
    do {
        declared_result r;
        if (!(r.name = text_name(t, "the result's name")) || !text_expect(t, ":") || !text_type(t, p->m->dims, &r.ty))
            return false;
        vec_push(t->a, out, r);
    } while (text_punct(t, ","));
    return text_expect(t, ")");
}

static bool parse_region(tir_parser *p, function *f)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    const char *word = text_word(t, "the region's name");
    if (!word) return false;
    if (ptrmap_has(p->regions, word)) {
        text_error(t, begin, "region %s is declared twice", word);
        return false;
    }
    const char *block, *path;
    if (!text_expect(t, "=") || !(block = text_string(t, "the block's name")) || !text_expect_keyword(t, "at") ||
        !(path = text_string(t, "the region's path")))
        return false;
    span call = text_since(t, begin);
    region *parent = f->root;
    if (text_keyword(t, "in")) {
        uint32_t at = text_here(t);
        const char *w = text_word(t, "a region");
        if (!w) return false;
        parent = ptrmap_get(p->regions, w);
        if (!parent) {
            text_error(t, at, "no region '%s' is declared above", w);
            return false;
        }
    }
    ptrmap_set(p->regions, word, region_new(p->m, parent, *block ? block : NULL, path, call));
    return true;
}

static value *parse_use(tir_parser *p)
{
    uint32_t begin = text_here(&p->t);
    const char *name = text_value(&p->t);
    value *v = name ? ptrmap_get(p->values, name) : NULL;
    if (!v) text_error(&p->t, begin, "%%%s is not defined", name ? name : "");
    return v;
}

static bool parse_point(tir_parser *p, function *f)
{
    const char *place = text_string(&p->t, "the point's place");
    if (!place || !text_expect(&p->t, "=")) return false;
    value *v = parse_use(p);
    if (v) function_add_point(f, place, v);
    return v != NULL;
}

static bool parse_return(tir_parser *p, function *f, const result_list *results)
{
    text *t = &p->t;
    for (uint32_t i = 0; i < results->len; i++) {
        if (i && !text_expect(t, ",")) return false;
        uint32_t begin = text_here(t);
        value *v = parse_use(p);
        if (!v) return false;
        if (!type_equal(&v->ty, &results->data[i].ty)) {
            strbuf s = strbuf_new(t->a);
            type_print(p->m, &v->ty, &s);
            text_error(t, begin, "result '%s' is declared with another type than %s", results->data[i].name, s.s);
            return false;
        }
        function_add_result(f, results->data[i].name, v);
    }
    return true;
}

static bool parse_function(tir_parser *p)
{
    text *t = &p->t;
    p->regions = ptrmap_new(t->a);
    p->values = ptrmap_new(t->a);
    const char *name;
    if (!text_expect(t, "@") || !(name = text_name(t, "the function's name"))) return false;
    function *f = function_new(p->m, name);
    result_list results = {0};
    if (!parse_args(p, f) || !parse_results(p, &results) || !text_expect(t, "{")) return false;
    for (;;) {
        if (text_peek(t, "%")) {
            if (!parse_node(p, f)) return false;
        } else if (text_keyword(t, "region")) {
            if (!parse_region(p, f)) return false;
        } else if (text_keyword(t, "point")) {
            if (!parse_point(p, f)) return false;
        } else if (text_keyword(t, "return")) {
            return parse_return(p, f, &results) && text_expect(t, "}");
        } else {
            text_error(t, t->at, "expected a node, region, point or return");
            return false;
        }
    }
}

static bool parse_module(tir_parser *p)
{
    text *t = &p->t;
    while (!text_at_end(t)) {
        bool ok;
        if (text_keyword(t, "dim")) ok = parse_dim_symbol(p);
        else if (text_keyword(t, "check")) ok = parse_check(p);
        else if (text_keyword(t, "param")) ok = parse_param(p);
        else if (text_keyword(t, "func")) ok = parse_function(p);
        else {
            text_error(t, t->at, "expected dim, check, param or func");
            ok = false;
        }
        if (!ok) return false;
    }
    return true;
}

module *module_parse(arena *a, interner *names, source_set *sources, diags *d, const source_file *f)
{
    tir_parser p = {.t = text_new(a, names, d, f)};
    const char *name;
    if (!text_expect_keyword(&p.t, "module") || !(name = text_name(&p.t, "the module's name"))) return NULL;
    p.m = module_new(a, names, sources, dims_new(a, names), name);
    bool ok = parse_module(&p) && module_verify(p.m, d);
    for (uint32_t i = 0; i < p.t.files.len; i++) vec_push(a, &p.m->files, p.t.files.data[i]);
    if (ok) return p.m;
    module_close(p.m);
    return NULL;
}

void module_close(module *m)
{
    for (uint32_t i = 0; i < m->files.len; i++) weights_close(m->files.data[i]);
    m->files.len = 0;
}
