/* Reading the rules of a .tir file:
 *
 *   rule narrow_weights linear in "encoder.**" (to = "bf16") at @minilm r3, @minilm r7
 *   rule merge_tokens after "layer.*:attended" (remove = 8, keep = [0, 1]) at @minilm "layer.0:attended"
 *
 * Which verbs there are and what they take is not known here: passes check it before they run. */
#include "ir/text.h"

static bool parse_ints(text *t, policy_value *out)
{
    VEC(int64_t) v = {0};
    *out = (policy_value){.kind = POLICY_INTS};
    if (!text_expect(t, "[")) return false;
    if (text_punct(t, "]")) return true;
    do {
        int64_t x;
        if (!text_int(t, &x)) return false;
        vec_push(t->a, &v, x);
    } while (text_punct(t, ","));
    out->ints.v = v.data;
    out->ints.n = v.len;
    return text_expect(t, "]");
}

/* Digits alone, perhaps behind a sign, are an integer; every other number is a float. */
static bool is_integer(text *t)
{
    const char *s = t->f->text + text_here(t);
    if (*s == '-') s++;
    size_t n = strspn(s, "0123456789");
    return n > 0 && !strchr(".eExXpP", s[n]);
}

static bool parse_value(text *t, policy_value *out)
{
    if (text_peek(t, "[")) return parse_ints(t, out);
    if (text_peek(t, "\"")) {
        *out = (policy_value){.kind = POLICY_WORD};
        return (out->word = text_string(t, "a word")) != NULL;
    }
    bool yes = text_keyword(t, "true");
    if (yes || text_keyword(t, "false")) {
        *out = (policy_value){.kind = POLICY_BOOL, .flag = yes};
        return true;
    }
    *out = (policy_value){.kind = is_integer(t) ? POLICY_INT : POLICY_FLOAT};
    return out->kind == POLICY_INT ? text_int(t, &out->i) : text_real(t, &out->real);
}

static bool parse_args(tir_parser *p, policy_rule *r)
{
    text *t = &p->t;
    if (!text_punct(t, "(")) return !t->failed;
    do {
        uint32_t begin = text_here(t);
        const char *name = text_word(t, "an argument");
        policy_value v;
        if (!name || !text_expect(t, "=") || !parse_value(t, &v)) return false;
        vec_foreach (policy_arg, a, &r->args)
            if (a->name == name) {
                text_error(t, begin, "argument %s is given twice", name);
                return false;
            }
        policy_rule_add_arg(p->m, r, name, v);
    } while (text_punct(t, ","));
    return text_expect(t, ")");
}

/* What may follow a rule. */
static bool declaration_stands(text *t)
{
    static const char *const words[] = {"rule", "func", "body", "state", "param", "dim"};
    uint32_t at = text_here(t);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (text_keyword(t, words[i])) {
            t->at = at;
            return true;
        }
    return false;
}

static bool parse_place(tir_parser *p, policy_rule *r)
{
    text *t = &p->t;
    if (!text_expect(t, "@")) return false;
    uint32_t begin = text_here(t);
    const char *name = text_name(t, "a function");
    function *f = name ? ptrmap_get(p->entries, name) : NULL;
    if (name && !f) f = ptrmap_get(p->bodies, name);
    if (!f) {
        text_error(t, begin, "no function @%s is defined above", name ? name : "");
        return false;
    }
    begin = text_here(t);
    if (r->relation != POLICY_IN) {
        const char *place = text_string(t, "a point");
        if (!place) return false;
        policy_point at = {f, place};
        vec_push(p->m->a, &r->points, at);
        if (function_find_point(f, place)) return true;
        text_error(t, begin, "@%s has no point \"%s\"", f->name, place);
        return false;
    }
    region *x = f->root;
    if (!text_at_end(t) && !text_peek(t, ",") && !declaration_stands(t)) {
        const char *w = text_word(t, "a region");
        x = w ? ptrmap_get(p->regions_of.data[f->id], w) : NULL;
        if (!x) text_error(t, begin, "@%s has no region '%s'", f->name, w ? w : "");
    }
    if (x) vec_push(p->m->a, &r->regions, x);
    return x != NULL;
}

bool parse_rule(tir_parser *p)
{
    text *t = &p->t;
    uint32_t begin = text_here(t);
    const char *verb = text_word(t, "a verb"), *subject = NULL;
    if (!verb) return false;
    policy_relation relation = 0;
    for (int tries = 0;; tries++) {
        for (relation = 0; relation < POLICY_RELATIONS; relation++)
            if (text_keyword(t, policy_relation_name(relation))) break;
        if (relation < POLICY_RELATIONS) break;
        if (tries || !(subject = text_word(t, "in, after or before"))) {
            text_error(t, t->at, "expected in, after or before");
            return false;
        }
    }
    const char *place = text_string(t, "a place");
    if (!place) return false;
    policy_rule *r = policy_rule_new(p->m, verb, subject, relation, place, text_since(t, begin));
    if (!parse_args(p, r)) return false;
    if (!text_keyword(t, "at")) return !t->failed;
    do {
        if (!parse_place(p, r)) return false;
    } while (text_punct(t, ","));
    return true;
}
