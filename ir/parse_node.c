/* Reading nodes and attributes of the .tir form. */
#include "ir/internal.h"
#include "ir/text.h"

/* "[" item ("," item)* "]" of at most MAX_RANK items; `one` reads item i. */
static bool list(tir_parser *p, uint8_t *n, bool (*one)(tir_parser *p, attr *out, int i), attr *out)
{
    *n = 0;
    if (!text_expect(&p->t, "[")) return false;
    if (text_punct(&p->t, "]")) return true;
    do {
        if (*n == MAX_RANK) {
            text_error(&p->t, p->t.at, "a list of axes has at most %d entries", MAX_RANK);
            return false;
        }
        if (!one(p, out, *n)) return false;
        (*n)++;
    } while (text_punct(&p->t, ","));
    return text_expect(&p->t, "]");
}

static bool one_int(tir_parser *p, attr *out, int i)
{
    return text_int(&p->t, &out->u.ints.v[i]);
}

static bool one_dim(tir_parser *p, attr *out, int i)
{
    return (out->u.dims.v[i] = text_dim(&p->t, p->m->dims)) != DIM_BAD;
}

static bool word_of(tir_parser *p, attr *out, const char *(*name)(int))
{
    uint32_t begin = text_here(&p->t);
    const char *w = text_word(&p->t, attr_text(out->name));
    if (!w) return false;
    for (int i = 0; name(i); i++)
        if (!strcmp(name(i), w)) {
            out->u.i = i;
            return true;
        }
    text_error(&p->t, begin, "'%s' is not a value of %s", w, attr_text(out->name));
    return false;
}

static const char *reduce_word(int i)
{
    return reduce_name((reduce_kind)i);
}

static const char *norm_word(int i)
{
    return norm_name((norm_mode)i);
}

bool parse_attr_value(tir_parser *p, attr *out)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    out->set = true;
    switch (attr_kind_of(out->name)) {
    case AK_INT: return text_int(t, &out->u.i);
    case AK_REAL: return text_real(t, &out->u.real);
    case AK_DIM: return (out->u.d = text_dim(t, p->m->dims)) != DIM_BAD;
    case AK_DTYPE: return text_dtype(t, &out->u.dt);
    case AK_INTS: return list(p, &out->u.ints.n, one_int, out);
    case AK_DIMS: return list(p, &out->u.dims.n, one_dim, out);
    case AK_ENUM_REDUCE: return word_of(p, out, reduce_word);
    case AK_ENUM_NORM: return word_of(p, out, norm_word);
    case AK_LABELS: {
        const char *s = text_string(t, "labels");
        if (!s) return false;
        if (labels_parse(s, strlen(s), &out->u.lab)) return true;
        text_error(t, begin, "labels are not of the form \"ij,jk->ik\" with at most %d letters each", MAX_RANK);
        return false;
    }
    case AK_BODY: {
        const char *s = text_expect(t, "@") ? text_name(t, "a body's name") : NULL;
        if (!s) return false;
        out->u.f = ptrmap_get(p->bodies, s);
        if (!out->u.f) text_error(t, begin, "no body @%s is declared above", s);
        else if (out->u.f->scan) text_error(t, begin, "body @%s is run by another scan", s);
        return !t->failed;
    }
    case AK_PARAM: {
        const char *s = text_string(t, "a parameter's path");
        if (!s) return false;
        out->u.p = module_find_param(p->m, s);
        if (!out->u.p) text_error(t, begin, "no parameter \"%s\" is declared", s);
        return out->u.p != NULL;
    }
    }
    return false;
}

/* "{name = value, ...}" into the slots of the op's row. */
static bool parse_attrs(tir_parser *p, const op_info *row, attr *attrs)
{
    if (!text_punct(&p->t, "{")) return !p->t.failed;
    do {
        uint32_t begin = text_here(&p->t);
        const char *w = text_word(&p->t, "an attribute");
        if (!w) return false;
        int slot = 0;
        while (slot < row->n_attrs && strcmp(attr_text(row->attrs[slot]), w)) slot++;
        if (slot == row->n_attrs || slot == attr_is_inline(row)) {
            text_error(&p->t, begin, "op %s has no attribute '%s'", row->name, w);
            return false;
        }
        if (attrs[slot].set) {
            text_error(&p->t, begin, "attribute '%s' is given twice", w);
            return false;
        }
        if (!text_expect(&p->t, "=") || !parse_attr_value(p, &attrs[slot])) return false;
    } while (text_punct(&p->t, ","));
    return text_expect(&p->t, "}");
}

static value *parse_operand(tir_parser *p)
{
    uint32_t begin = text_here(&p->t);
    const char *name = text_value(&p->t);
    if (!name) return NULL;
    value *v = ptrmap_get(p->values, name);
    if (!v) text_error(&p->t, begin, "%%%s is not defined above", name);
    return v;
}

static region *parse_region_of(tir_parser *p, function *f)
{
    if (!text_keyword(&p->t, "in")) return f->root;
    uint32_t begin = text_here(&p->t);
    const char *w = text_word(&p->t, "a region");
    region *r = w ? ptrmap_get(p->regions, w) : NULL;
    if (!r) text_error(&p->t, begin, "no region '%s' is declared", w ? w : "");
    return r;
}

typedef VEC(const char *) name_list;
typedef VEC(type) type_list;

/* "%a, %b" of values that are not defined yet. */
static bool parse_names(tir_parser *p, name_list *out)
{
    text *t = &p->t;
    do {
        uint32_t begin = text_here(t);
        const char *name = text_value(t);
        if (!name) return false;
        bool twice = ptrmap_has(p->values, name);
        for (uint32_t i = 0; i < out->len && !twice; i++) twice = out->data[i] == name;
        if (twice) {
            text_error(t, begin, "%%%s is defined twice", name);
            return false;
        }
        vec_push(t->a, out, name);
    } while (text_punct(t, ","));
    return true;
}

static void name_value(tir_parser *p, const char *name, value *v)
{
    if (is_identifier(name)) v->name = name;
    ptrmap_set(p->values, name, v);
}

/* What follows "%k = state": its path and type. */
static bool parse_state_in(tir_parser *p, function *f, const char *name)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    const char *path = text_string(t, "a state's path");
    state_var *s = path ? module_find_state(p->m, path) : NULL;
    if (!s) {
        text_error(t, begin, "no state \"%s\" is declared", path ? path : "");
        return false;
    }
    if (f->kind == FUNCTION_BODY) {
        text_error(t, begin, "a body has no states");
        return false;
    }
    bool known = false;
    for (uint32_t i = 0; i < f->states.len && !known; i++) known = f->states.data[i].s == s;
    if (known) {
        text_error(t, begin, "state \"%s\" has a value already", path);
        return false;
    }
    type ty;
    if (!text_expect(t, ":")) return false;
    uint32_t type_at = text_here(t);
    if (!text_type(t, p->m->dims, &ty)) return false;
    if (!type_equal(&ty, &s->ty)) {
        strbuf b = strbuf_new(t->a);
        type_print(p->m, &s->ty, &b);
        text_error(t, type_at, "state \"%s\" is %s", path, b.s);
        return false;
    }
    name_value(p, name, function_state(f, s));
    return true;
}

/* The types behind ":", which are those of v's node. */
static bool types_agree(tir_parser *p, const value *v, const type_list *types, uint32_t type_at)
{
    text *t = &p->t;
    const node *n = v->def;
    bool same = types->len == n->n_results;
    for (uint32_t i = 0; i < n->n_results && same; i++) same = type_equal(&n->results[i]->ty, &types->data[i]);
    if (same) return true;
    strbuf s = strbuf_new(t->a);
    for (uint32_t i = 0; i < n->n_results; i++) {
        if (i) strbuf_adds(&s, ", ");
        type_print(p->m, &n->results[i]->ty, &s);
    }
    text_error(t, type_at, "the result of %s is %s", op_row(n->op)->name, s.s);
    return false;
}

bool parse_node(tir_parser *p, function *f)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    name_list names = {0};
    if (!parse_names(p, &names) || !text_expect(t, "=")) return false;
    if (names.len == 1 && text_keyword(t, "state")) return parse_state_in(p, f, names.data[0]);
    uint32_t op_at = text_here(t);
    const char *word = text_word(t, "an op");
    if (!word) return false;
    op_kind op;
    if (!op_find(word, strlen(word), &op)) {
        text_error(t, op_at, "unknown op '%s'", word);
        return false;
    }
    const op_info *row = op_row(op);
    attr attrs[MAX_ATTRS] = {0};
    for (int i = 0; i < row->n_attrs; i++) attrs[i].name = row->attrs[i];
    if (attr_is_inline(row) >= 0 && !parse_attr_value(p, &attrs[attr_is_inline(row)])) return false;

    VEC(value *) operands = {0};
    if (text_peek(t, "%")) {
        do {
            value *v = parse_operand(p);
            if (!v) return false;
            vec_push(t->a, &operands, v);
        } while (text_punct(t, ","));
    }
    if (!parse_attrs(p, row, attrs)) return false;
    type_list types = {0};
    if (!text_expect(t, ":")) return false;
    uint32_t type_at = text_here(t);
    do {
        type ty;
        if (!text_type(t, p->m->dims, &ty)) return false;
        vec_push(t->a, &types, ty);
    } while (text_punct(t, ","));
    span all = text_since(t, begin);
    uint32_t type_end = t->at;
    region *in = parse_region_of(p, f);
    if (!in) return false;
    uint32_t region_end = t->at;

    builder b = {.fn = f, .in = in, .at = all};
    const char *why = NULL;
    value *v = build_node(&b, op, operands.data, operands.len, attrs, types.data, &why);
    if (!v) {
        text_error(t, op_at, "%s", why);
        return false;
    }
    t->at = type_end;
    if (!types_agree(p, v, &types, type_at)) return false;
    t->at = region_end;
    if (names.len != v->def->n_results) {
        text_error(t, begin, "%s has %u results, not %u", row->name, v->def->n_results, names.len);
        return false;
    }
    for (uint32_t i = 0; i < names.len; i++) name_value(p, names.data[i], v->def->results[i]);
    return true;
}
