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
        if (slot == row->n_attrs || attr_kind_of(row->attrs[slot]) == AK_PARAM) {
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

value *parse_node(tir_parser *p, function *f)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    const char *name = text_value(t);
    if (!name) return NULL;
    if (ptrmap_has(p->values, name)) {
        text_error(t, begin, "%%%s is defined twice", name);
        return NULL;
    }
    if (!text_expect(t, "=")) return NULL;
    uint32_t op_at = text_here(t);
    const char *word = text_word(t, "an op");
    if (!word) return NULL;
    op_kind op;
    if (!op_find(word, strlen(word), &op)) {
        text_error(t, op_at, "unknown op '%s'", word);
        return NULL;
    }
    const op_info *row = op_row(op);
    attr attrs[MAX_ATTRS] = {0};
    for (int i = 0; i < row->n_attrs; i++) attrs[i].name = row->attrs[i];
    if (row->n_attrs && attr_kind_of(row->attrs[0]) == AK_PARAM && !parse_attr_value(p, &attrs[0])) return NULL;

    VEC(value *) operands = {0};
    if (text_peek(t, "%")) {
        do {
            value *v = parse_operand(p);
            if (!v) return NULL;
            vec_push(t->a, &operands, v);
        } while (text_punct(t, ","));
    }
    if (!parse_attrs(p, row, attrs)) return NULL;
    type ty;
    if (!text_expect(t, ":")) return NULL;
    uint32_t type_at = text_here(t);
    if (!text_type(t, p->m->dims, &ty)) return NULL;
    span all = text_since(t, begin);
    uint32_t type_end = t->at;
    region *in = parse_region_of(p, f);
    if (!in) return NULL;

    builder b = {.fn = f, .in = in, .at = all};
    const char *why = NULL;
    value *v = build_node(&b, op, operands.data, operands.len, attrs, &ty, &why);
    if (!v) {
        text_error(t, op_at, "%s", why);
        return NULL;
    }
    if (!type_equal(&v->ty, &ty)) {
        strbuf s = strbuf_new(t->a);
        type_print(p->m, &v->ty, &s);
        t->at = type_end;
        text_error(t, type_at, "the result of %s is %s", row->name, s.s);
        return NULL;
    }
    if (is_identifier(name)) v->name = name;
    ptrmap_set(p->values, name, v);
    return v;
}
