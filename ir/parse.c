/* Reading the .tir text form: what module_print prints, plus comments and free white space. docs/tir.md describes it.
 *
 * The text may come from anywhere. Every name, number and size is checked before it is used, the first mistake ends the
 * reading with a located error, and a module is only handed out when the verifier has nothing to say. */
#include "ir/constant.h"
#include "ir/internal.h"
#include "ir/text.h"

/* 'doc "..."', if it stands here. False on a mistake. */
static bool parse_doc(text *t, const char **doc)
{
    return !text_keyword(t, "doc") || (*doc = text_string(t, "documentation"));
}

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
    dim d = dim_sym(p->m->dims, name, origin, min, max, multiple);
    if (d == DIM_BAD) {
        text_error(t, begin, "the bounds of dim %s cannot be represented", name);
        return false;
    }
    const char *doc = NULL;
    if (!parse_doc(t, &doc)) return false;
    if (doc) dim_document(p->m->dims, d, doc);
    return true;
}

static bool parse_check(tir_parser *p, function *f)
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
    if (f->kind == FUNCTION_BODY) {
        text_error(t, begin, "a body has no checks");
        return false;
    }
    vec_push(p->m->a, &f->checks, c);
    return true;
}

/* ": f32[4, 8]" of something that is stored: sizes that are constants and can be counted. */
static bool parse_stored_type(tir_parser *p, const char *what, type *ty, int64_t *shape)
{
    text *t = &p->t;
    if (!text_expect(t, ":")) return false;
    uint32_t type_at = text_here(t);
    if (!text_type(t, p->m->dims, ty)) return false;
    if (!type_is_const(p->m, ty, shape)) {
        text_error(t, type_at, "the sizes of a %s are constants", what);
        return false;
    }
    int64_t bits = dtype_bits(ty->dt);
    bool fits = true;
    for (int i = 0; i < ty->rank; i++) fits = fits && !__builtin_mul_overflow(bits, shape[i], &bits);
    if (!fits || bits > INT64_MAX / 2) {
        text_error(t, type_at, "the %s is too large", what);
        return false;
    }
    return true;
}

static bool parse_state(tir_parser *p)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    const char *path = text_string(t, "the state's path");
    if (!path) return false;
    span declared = text_since(t, begin);
    if (module_find_state(p->m, path)) {
        text_error(t, begin, "state \"%s\" is declared twice", path);
        return false;
    }
    type ty;
    int64_t shape[MAX_RANK];
    if (!parse_stored_type(p, "state", &ty, shape)) return false;
    if (ty.enc.kind != ENC_ROWS) {
        text_error(t, begin, "a state is not encoded");
        return false;
    }
    module_state(p->m, path, ty, declared);
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
    int64_t shape[MAX_RANK];
    if (!parse_stored_type(p, "parameter", &ty, shape)) return false;
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
        if (!parse_doc(t, &vec_last(&f->args).doc)) return false;
    } while (text_punct(t, ","));
    return text_expect(t, ")");
}

typedef struct {
    const char *name, *doc;
    type ty;
} declared_result;
typedef VEC(declared_result) result_list;

static bool parse_results(tir_parser *p, result_list *out)
{
    text *t = &p->t;
    if (!text_expect(t, "->") || !text_expect(t, "(")) return false;
    if (text_punct(t, ")")) return true;
    do {
        declared_result r = {0};
        if (!(r.name = text_name(t, "the result's name")) || !text_expect(t, ":") || !text_type(t, p->m->dims, &r.ty) ||
            !parse_doc(t, &r.doc))
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
    if (f->kind == FUNCTION_BODY) {
        text_error(&p->t, p->t.at, "a body has no points");
        return false;
    }
    const char *place = text_string(&p->t, "the point's place");
    if (!place || !text_expect(&p->t, "=")) return false;
    value *v = parse_use(p);
    if (v) function_add_point(f, place, v);
    return v != NULL;
}

static bool parse_valid(tir_parser *p, function *f)
{
    if (f->kind == FUNCTION_BODY) {
        text_error(&p->t, p->t.at, "a body declares no masks");
        return false;
    }
    value *v = parse_use(p);
    if (v) function_add_valid(f, v);
    return v != NULL;
}

/* What follows "state" before the return: path and value. */
static bool parse_state_out(tir_parser *p, function *f)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    const char *path = text_string(t, "a state's path");
    state_var *s = path ? module_find_state(p->m, path) : NULL;
    uint32_t i = 0;
    while (i < f->states.len && f->states.data[i].s != s) i++;
    if (!s || i == f->states.len) {
        text_error(t, begin, "the function has no state \"%s\"", path ? path : "");
        return false;
    }
    if (f->states.data[i].out != f->states.data[i].in) {
        text_error(t, begin, "state \"%s\" is set twice", path);
        return false;
    }
    if (!text_expect(t, "=")) return false;
    uint32_t value_at = text_here(t);
    value *v = parse_use(p);
    if (!v) return false;
    if (!type_equal(&v->ty, &s->ty)) {
        strbuf b = strbuf_new(t->a);
        type_print(p->m, &s->ty, &b);
        text_error(t, value_at, "state \"%s\" is %s", path, b.s);
        return false;
    }
    function_set_state(f, s, v);
    return true;
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
        vec_last(&f->results).doc = results->data[i].doc;
    }
    return true;
}

static bool parse_function(tir_parser *p, function_kind kind)
{
    text *t = &p->t;
    p->regions = ptrmap_new(t->a);
    p->values = ptrmap_new(t->a);
    vec_push(t->a, &p->regions_of, p->regions);
    const char *name;
    if (!text_expect(t, "@")) return false;
    uint32_t begin = text_here(t);
    if (!(name = text_name(t, "the function's name"))) return false;
    if (kind == FUNCTION_BODY && (ptrmap_has(p->bodies, name) || ptrmap_has(p->entries, name))) {
        text_error(t, begin, "two functions are called @%s", name);
        return false;
    }
    function *f = kind == FUNCTION_BODY ? body_new(p->m, name) : function_new(p->m, name);
    result_list results = {0};
    if (!parse_args(p, f) || !parse_results(p, &results) || !parse_doc(t, &f->doc) || !text_expect(t, "{"))
        return false;
    for (;;) {
        if (text_peek(t, "%")) {
            if (!parse_node(p, f)) return false;
        } else if (text_keyword(t, "region")) {
            if (!parse_region(p, f)) return false;
        } else if (text_keyword(t, "check")) {
            if (!parse_check(p, f)) return false;
        } else if (text_keyword(t, "state")) {
            if (!parse_state_out(p, f)) return false;
        } else if (text_keyword(t, "point")) {
            if (!parse_point(p, f)) return false;
        } else if (text_keyword(t, "valid")) {
            if (!parse_valid(p, f)) return false;
        } else if (text_keyword(t, "return")) {
            if (!parse_return(p, f, &results) || !text_expect(t, "}")) return false;
            ptrmap_set(kind == FUNCTION_BODY ? p->bodies : p->entries, f->name, f); /* from here on it may be run */
            return true;
        } else {
            text_error(t, t->at, "expected a node, region, check, point, valid, state or return");
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
        else if (text_keyword(t, "param")) ok = parse_param(p);
        else if (text_keyword(t, "state")) ok = parse_state(p);
        else if (text_keyword(t, "body")) ok = parse_function(p, FUNCTION_BODY);
        else if (text_keyword(t, "func")) ok = parse_function(p, FUNCTION_ENTRY);
        else if (text_keyword(t, "rule")) ok = parse_rule(p);
        else {
            text_error(t, t->at, "expected dim, param, state, body, func or rule");
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
    p.bodies = ptrmap_new(a);
    p.entries = ptrmap_new(a);
    bool ok = parse_doc(&p.t, &p.m->doc) && parse_module(&p) && module_verify(p.m, d);
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
