/* Reading blocks and ops of the .kir form. Ops are made from parts, nothing is asserted about their types. */
#include "ir/kir/kir_parse.h"

#include <assert.h>

enum { MAX_LIST = 4096 };

typedef VEC(kvalue *) value_list;

static arena *mem(const kir_parser *p)
{
    return p->m->a;
}

/* ---- parts ---- */

static kvalue *parse_tile_value(kir_parser *p)
{
    uint32_t begin = text_here(&p->t);
    kvalue *v = kir_parse_value(p);
    if (v && v->kind != KV_TILE) {
        text_error(&p->t, begin, "a buffer is not a value to compute with");
        return NULL;
    }
    return v;
}

static kvalue *parse_buffer_value(kir_parser *p)
{
    uint32_t begin = text_here(&p->t);
    kvalue *v = kir_parse_value(p);
    if (v && v->kind != KV_BUFFER) {
        text_error(&p->t, begin, "expected a buffer");
        return NULL;
    }
    return v;
}

static void set_operands(kir_parser *p, kop *o, const value_list *l)
{
    o->n_operands = l->len;
    o->operands = ARENA_ARRAY(mem(p), kvalue *, l->len);
    for (uint32_t i = 0; i < l->len; i++) o->operands[i] = l->data[i];
}

/* "%a, %b"; none at all is fine. */
static bool parse_operands(kir_parser *p, kop *o)
{
    value_list l = {0};
    if (text_peek(&p->t, "%")) {
        do {
            kvalue *v = parse_tile_value(p);
            if (!v) return false;
            vec_push(mem(p), &l, v);
        } while (text_punct(&p->t, ","));
    }
    set_operands(p, o, &l);
    return true;
}

/* "%k", "%k + 64", "-3" */
static bool parse_index(kir_parser *p, kidx *out)
{
    text *t = &p->t;
    *out = (kidx){0};
    if (!text_peek(t, "%")) return text_int(t, &out->off);
    if (!(out->v = parse_tile_value(p))) return false;
    bool minus = text_peek(t, "-");
    if (!minus && !text_punct(t, "+")) return true;
    if (minus) return text_int(t, &out->off);
    uint32_t at = text_here(t);
    if (!text_int(t, &out->off)) return false;
    if (out->off >= 0) return true;
    text_error(t, at, "an offset behind '+' has no sign");
    return false;
}

static bool parse_element(kir_parser *p, kmem *m)
{
    text *t = &p->t;
    *m = (kmem){.axes = {KAXIS_DEFAULT, KAXIS_DEFAULT}};
    if (!(m->buf = parse_buffer_value(p)) || !text_expect(t, "[")) return false;
    if (text_punct(t, "]")) return true;
    do {
        if (m->n_idx == KMAX_RANK) {
            text_error(t, t->at, "a buffer has at most %d axes", KMAX_RANK);
            return false;
        }
        if (!parse_index(p, &m->idx[m->n_idx++])) return false;
    } while (text_punct(t, ","));
    return text_expect(t, "]");
}

static bool parse_axis(kir_parser *p, kmem *m, int i)
{
    text *t = &p->t;
    int64_t axis;
    if (text_punct(t, "_")) {
        m->axes[i] = KAXIS_NONE;
        return true;
    }
    uint32_t at = text_here(t);
    if (!text_int(t, &axis)) return false;
    if (axis < 0 || axis >= KMAX_RANK) {
        text_error(t, at, "no axis %lld", (long long)axis);
        return false;
    }
    m->axes[i] = (uint8_t)axis;
    return true;
}

static bool parse_bound(kir_parser *p, kmem *m, int i)
{
    if (text_punct(&p->t, "_")) return true;
    m->bounded[i] = true;
    return parse_index(p, &m->bound[i]);
}

/* "[x, y]", one item for each axis of the tile. `*n` is the number of items: 0 when there is no such clause. */
static bool parse_per_axis(kir_parser *p, const char *word, bool (*one)(kir_parser *, kmem *, int), kmem *m, int *n)
{
    text *t = &p->t;
    *n = 0;
    if (!text_keyword(t, word)) return true;
    if (!text_expect(t, "[")) return false;
    do {
        if (*n == KMAX_TILE_RANK) {
            text_error(t, t->at, "a tile has at most %d axes", KMAX_TILE_RANK);
            return false;
        }
        if (!one(p, m, (*n)++)) return false;
    } while (text_punct(t, ","));
    return text_expect(t, "]");
}

typedef struct {
    uint32_t at;
    int axes, bounds;
} clauses;

static bool parse_rectangle(kir_parser *p, kmem *m, clauses *c)
{
    c->at = text_here(&p->t);
    return parse_per_axis(p, "axes", parse_axis, m, &c->axes) && parse_per_axis(p, "bound", parse_bound, m, &c->bounds);
}

/* Once the tile is known. */
static bool finish_rectangle(kir_parser *p, kmem *m, clauses c, uint32_t rank)
{
    if ((c.axes && c.axes != (int)rank) || (c.bounds && c.bounds != (int)rank)) {
        text_error(&p->t, c.at, "axes and bound have one item for each of the tile's %u axes", rank);
        return false;
    }
    kmem_default_axes(m, rank);
    return true;
}

static bool parse_word_attr(kir_parser *p, kattrs *at, kattr_name a)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    const char *w = text_word(t, "a word");
    if (!w) return false;
    for (int i = 0; kattr_word(kattr_kind_of(a), i); i++)
        if (!strcmp(w, kattr_word(kattr_kind_of(a), i))) {
            kattr_set_int(at, a, i);
            return true;
        }
    text_error(t, begin, "%s cannot be '%s'", kattr_text(a), w);
    return false;
}

static bool parse_attr(kir_parser *p, kop *o, kattr_name a)
{
    int64_t v;
    switch (kattr_kind_of(a)) {
    case KK_INT:
        if (!text_int(&p->t, &v)) return false;
        kattr_set_int(&o->at, a, v);
        return true;
    case KK_DIM:
        v = text_dim(&p->t, p->f->dims);
        kattr_set_dim(&o->at, a, (dim)v);
        return v != DIM_BAD;
    default: return parse_word_attr(p, &o->at, a);
    }
}

/* "{axis = 1, kind = max}", each attribute of the op once. */
static bool parse_attrs(kir_parser *p, kop *o)
{
    text *t = &p->t;
    const kop_info *row = kop_row(o->op);
    unsigned seen = 0;
    uint32_t begin = text_here(t);
    if (text_punct(t, "{")) {
        do {
            uint32_t at = text_here(t);
            const char *w = text_word(t, "an attribute");
            if (!w) return false;
            int i = 0;
            while (i < row->n_attrs && strcmp(w, kattr_text(row->attrs[i])) != 0) i++;
            if (i == row->n_attrs || seen >> i & 1) {
                text_error(t, at, i == row->n_attrs ? "%s has no attribute '%s'" : "%s: '%s' is given twice", row->name,
                           w);
                return false;
            }
            seen |= 1u << i;
            if (!text_expect(t, "=") || !parse_attr(p, o, row->attrs[i])) return false;
        } while (text_punct(t, ","));
        if (!text_expect(t, "}")) return false;
    }
    for (int i = 0; i < row->n_attrs; i++)
        if (!(seen >> i & 1) && row->attrs[i] != KATTR_OFFSET) {
            text_error(t, begin, "%s needs the attribute '%s'", row->name, kattr_text(row->attrs[i]));
            return false;
        }
    return true;
}

/* ": T, T", types for the results that were named. */
static bool parse_result_types(kir_parser *p, kop *o)
{
    if (o->n_results == 0) return true;
    if (!text_expect(&p->t, ":")) return false;
    for (uint32_t i = 0; i < o->n_results; i++)
        if ((i && !text_expect(&p->t, ",")) || !kir_parse_type(p, o->results[i])) return false;
    return true;
}

/* ---- ops: from behind the name to the end, types and blocks included ---- */

static bool parse_plain(kir_parser *p, kop *o)
{
    return parse_operands(p, o) && parse_attrs(p, o) && parse_result_types(p, o);
}

/* An op without operands: a value behind it is the result of the next op. */
static bool parse_bare(kir_parser *p, kop *o)
{
    return parse_attrs(p, o) && parse_result_types(p, o);
}

static bool parse_dim(kir_parser *p, kop *o)
{
    o->at.d = text_dim(&p->t, p->f->dims);
    return o->at.d != DIM_BAD && parse_result_types(p, o);
}

static bool parse_const(kir_parser *p, kop *o)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    bool yes = text_keyword(t, "true"), no = !yes && text_keyword(t, "false");
    /* How the number reads is known from the type behind it. */
    if (!yes && !no) {
        double real;
        if (!text_real(t, &real)) return false;
        o->at.real = real;
    }
    if (!parse_result_types(p, o)) return false;
    if (o->n_results != 1 || o->results[0]->kind != KV_TILE) {
        text_error(t, begin, "const has one result, a tile or scalar");
        return false;
    }
    dtype dt = o->results[0]->ty.tile.dt;
    if (yes || no ? dt != DT_BOOL : dt == DT_BOOL) {
        text_error(t, begin, dt == DT_BOOL ? "expected true or false" : "only a bool is true or false");
        return false;
    }
    o->at.i = yes;
    if (dtype_is_float(dt) || dt == DT_BOOL) return true;
    o->at.real = 0;
    uint32_t end = t->at;
    t->at = begin;
    if (!text_int(t, &o->at.i)) return false;
    if (!text_peek(t, ":")) {
        text_error(t, begin, "expected an integer");
        return false;
    }
    t->at = end;
    return true;
}

/* Result types come behind the access, whose default axes depend on them. */
static bool parse_load(kir_parser *p, kop *o)
{
    clauses c;
    o->n_mem = 1;
    if (!parse_element(p, &o->mem[0]) || !parse_rectangle(p, &o->mem[0], &c) || !parse_result_types(p, o)) return false;
    if (o->n_results == 1 && o->results[0]->kind == KV_TILE)
        return finish_rectangle(p, &o->mem[0], c, o->results[0]->ty.tile.rank);
    text_error(&p->t, c.at, "load has one result, a tile or scalar");
    return false;
}

static bool parse_store(kir_parser *p, kop *o)
{
    clauses c;
    o->n_mem = 1;
    o->n_operands = 1;
    o->operands = ARENA_ARRAY(mem(p), kvalue *, 1);
    return parse_element(p, &o->mem[0]) && text_expect(&p->t, ",") && (o->operands[0] = parse_tile_value(p)) &&
           parse_rectangle(p, &o->mem[0], &c) && finish_rectangle(p, &o->mem[0], c, o->operands[0]->ty.tile.rank) &&
           parse_result_types(p, o);
}

static bool parse_prefetch(kir_parser *p, kop *o)
{
    o->n_mem = 1;
    if (!parse_element(p, &o->mem[0])) return false;
    kmem_default_axes(&o->mem[0], 0);
    return parse_attrs(p, o) && parse_result_types(p, o);
}

static bool parse_read_dim(kir_parser *p, kop *o)
{
    return parse_prefetch(p, o);
}

static bool parse_view(kir_parser *p, kop *o)
{
    o->n_mem = 1;
    if (!parse_element(p, &o->mem[0])) return false;
    kmem_default_axes(&o->mem[0], 0);
    return parse_result_types(p, o);
}

static bool parse_copy(kir_parser *p, kop *o)
{
    clauses c[2];
    o->n_mem = 2;
    for (int i = 0; i < 2; i++)
        if ((i && !text_expect(&p->t, ",")) || !parse_element(p, &o->mem[i]) || !parse_rectangle(p, &o->mem[i], &c[i]))
            return false;
    if (!text_expect(&p->t, ":") || !kir_parse_tile(p, &o->shape)) return false;
    for (int i = 0; i < 2; i++)
        if (!finish_rectangle(p, &o->mem[i], c[i], o->shape.rank)) return false;
    if (o->n_results == 0) return true;
    text_error(&p->t, c[0].at, "copy has no results");
    return false;
}

/* "carry (%x = %a, %y = %b)": defines block arguments and sets the operands. */
static bool parse_carried(kir_parser *p, kop *o, kvalue *induction)
{
    text *t = &p->t;
    value_list args = {0}, init = {0};
    if (induction) vec_push(mem(p), &args, induction);
    if (text_keyword(t, "carry")) {
        if (!text_expect(t, "(")) return false;
        do {
            kvalue *arg = kir_define(p, KV_TILE);
            if (!arg || !text_expect(t, "=")) return false;
            kvalue *from = parse_tile_value(p);
            if (!from) return false;
            arg->ty.tile = from->ty.tile;
            vec_push(mem(p), &args, arg);
            vec_push(mem(p), &init, from);
        } while (text_punct(t, ","));
        if (!text_expect(t, ")")) return false;
    }
    set_operands(p, o, &init);
    kblock *b = o->blocks[0];
    b->n_args = args.len;
    b->args = args.data;
    for (uint32_t i = 0; i < args.len; i++) args.data[i]->arg_of = b;
    return true;
}

static bool parse_for(kir_parser *p, kop *o)
{
    text *t = &p->t;
    kvalue *i = kir_define(p, KV_TILE);
    if (!i) return false;
    i->ty.tile = ktile_scalar(DT_I64);
    if (!text_expect(t, "=") || !parse_index(p, &o->lo) || !text_expect_keyword(t, "to") || !parse_index(p, &o->hi) ||
        !text_expect_keyword(t, "step") || !text_int(t, &o->at.step))
        return false;
    for (int k = 0; kattr_word(KK_WORD_MAP, k); k++)
        if (text_keyword(t, kattr_word(KK_WORD_MAP, k))) {
            o->at.map = (kmap)k;
            break;
        }
    o->at.unroll = 1;
    if (text_keyword(t, "unroll") && !text_int(t, &o->at.unroll)) return false;
    return parse_carried(p, o, i) && kir_parse_block(p, o->blocks[0]) && parse_result_types(p, o);
}

static bool parse_if(kir_parser *p, kop *o)
{
    return parse_operands(p, o) && kir_parse_block(p, o->blocks[0]) &&
           (!text_keyword(&p->t, "else") || kir_parse_block(p, o->blocks[1])) && parse_result_types(p, o);
}

static bool parse_switch(kir_parser *p, kop *o)
{
    text *t = &p->t;
    VEC(int64_t) cases = {0};
    VEC(kblock *) blocks = {0};
    if (!parse_operands(p, o)) return false;
    for (bool last = false; !last;) {
        uint32_t at = text_here(t);
        int64_t v;
        last = text_keyword(t, "default");
        if (!last && (!text_expect_keyword(t, "case") || !text_int(t, &v))) return false;
        if (!last) vec_push(mem(p), &cases, v);
        if (cases.len > MAX_LIST) {
            text_error(t, at, "more than %d cases", MAX_LIST);
            return false;
        }
        kblock *b = kblock_new(p->f, o, 0);
        vec_push(mem(p), &blocks, b);
        if (!kir_parse_block(p, b)) return false;
    }
    o->at.cases.n = (uint16_t)cases.len;
    o->at.cases.v = cases.data;
    o->n_blocks = blocks.len;
    o->blocks = blocks.data;
    return parse_result_types(p, o);
}

static bool parse_while(kir_parser *p, kop *o)
{
    text *t = &p->t;
    if (!parse_carried(p, o, NULL) || !kir_parse_block(p, o->blocks[0]) || !text_expect_keyword(t, "do")) return false;
    kblock *cond = o->blocks[0], *body = o->blocks[1];
    body->n_args = cond->n_args;
    body->args = ARENA_ARRAY(mem(p), kvalue *, cond->n_args);
    for (uint32_t i = 0; i < cond->n_args; i++) {
        if (!text_expect(t, i ? "," : "(") || !(body->args[i] = kir_define(p, KV_TILE))) return false;
        body->args[i]->ty.tile = cond->args[i]->ty.tile;
        body->args[i]->arg_of = body;
    }
    if (cond->n_args && !text_expect(t, ")")) return false;
    return kir_parse_block(p, body) && parse_result_types(p, o);
}

static bool parse_launch_dims(kir_parser *p, kop *o, const kfunction *callee)
{
    text *t = &p->t;
    if (!text_expect(t, "(")) return false;
    for (uint32_t i = 0; i < o->n_launch_dims; i++) {
        const char *name = dim_symbol_at(callee->dims, i)->name;
        if ((i && !text_expect(t, ",")) || !text_expect_keyword(t, name) || !text_expect(t, "=")) return false;
        if ((o->launch_dims[i] = text_dim(t, p->f->dims)) == DIM_BAD) return false;
    }
    return text_expect(t, ")");
}

static bool parse_launch(kir_parser *p, kop *o)
{
    text *t = &p->t;
    uint32_t at = text_here(t);
    const char *name = text_expect(t, "@") ? text_name(t, "a kernel's name") : NULL;
    if (!name) return false;
    const kfunction *callee = kmodule_find(p->m, name);
    if (!callee) {
        text_error(t, at, "unknown kernel @%s", name);
        return false;
    }
    o->at.callee = callee->name;
    o->n_launch_dims = dim_symbol_count(callee->dims);
    o->launch_dims = ARENA_ARRAY(mem(p), dim, o->n_launch_dims);
    if (!parse_launch_dims(p, o, callee) || !text_expect(t, "(")) return false;
    value_list l = {0};
    if (!text_peek(t, ")")) {
        do {
            kvalue *v = parse_buffer_value(p);
            if (!v) return false;
            vec_push(mem(p), &l, v);
        } while (text_punct(t, ","));
    }
    set_operands(p, o, &l);
    if (!text_expect(t, ")")) return false;
    if (text_keyword(t, "at") && !(o->at.path = text_string(t, "the path of a block instance"))) return false;
    return parse_result_types(p, o);
}

#define parse_iota parse_bare
#define parse_cast parse_plain
#define parse_bitcast parse_plain
#define parse_contract parse_plain
#define parse_reduce parse_plain
#define parse_transpose parse_plain
#define parse_alloc parse_bare
#define parse_commit parse_bare
#define parse_wait parse_bare
#define parse_fence parse_bare
#define parse_barrier parse_bare
#define parse_check parse_plain
#define parse_yield parse_plain

/* ---- blocks ---- */

typedef struct {
    const char *name;
    uint32_t at;
} result_name;

static bool parse_op(kir_parser *p, kblock *b)
{
    static bool (*const parse[KOP_COUNT])(kir_parser *, kop *) = {
#define KOP(name, NAME, props, attrs, text) [KOP_##NAME] = parse_##name,
#include "ir/kir/kops.def"
#undef KOP
#define SCALAR(name, NAME, arity, operands, result, f, i, math) [KOP_##NAME] = parse_plain,
#include "ir/kir/kscalar.def"
#undef SCALAR
    };
    text *t = &p->t;
    uint32_t begin = text_here(t);
    VEC(result_name) results = {0};
    if (text_peek(t, "%")) {
        do {
            result_name r = {.at = text_here(t)};
            if (!(r.name = text_value(t))) return false;
            vec_push(mem(p), &results, r);
        } while (text_punct(t, ","));
        if (!text_expect(t, "=")) return false;
    }
    uint32_t at = text_here(t);
    const char *word = text_word(t, "an op");
    if (!word) return false;
    kop_kind kind;
    if (!kop_find(word, strlen(word), &kind)) {
        text_error(t, at, "unknown op '%s'", word);
        return false;
    }
    uint32_t n_blocks = kind == KOP_IF || kind == KOP_WHILE ? 2 : kind == KOP_FOR;
    kop *o = kop_new(p->f, kind, 0, results.len, n_blocks);
    for (uint32_t i = 0; i < results.len; i++) {
        o->results[i] = kvalue_new(p->f, KV_TILE, is_identifier(results.data[i].name) ? results.data[i].name : NULL);
        o->results[i]->def = o;
    }
    kblock_insert(b, o, NULL);
    if (!parse[kind](p, o)) return false;
    o->source = text_since(t, begin);
    /* Names count from behind their op: it cannot read its own results. */
    for (uint32_t i = 0; i < results.len; i++) {
        if (ptrmap_has(p->values, results.data[i].name)) {
            t->at = results.data[i].at + 1 + (uint32_t)strlen(results.data[i].name);
            text_error(t, results.data[i].at, "%%%s is defined twice", results.data[i].name);
            return false;
        }
        ptrmap_set(p->values, results.data[i].name, o->results[i]);
    }
    return true;
}

bool kir_parse_block(kir_parser *p, kblock *b)
{
    text *t = &p->t;
    if (p->depth == KMAX_NESTING) {
        text_error(t, t->at, "blocks are nested more than %d deep", KMAX_NESTING);
        return false;
    }
    p->depth++;
    if (!text_expect(t, "{")) return false;
    while (!text_punct(t, "}"))
        if (t->failed || !parse_op(p, b)) return false;
    p->depth--;
    return true;
}
