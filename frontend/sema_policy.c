/* Policies: the form of `optimize` rules, against the table of verbs. Where they point is found by sema_place.c. */
#include "frontend/place.h"
#include "frontend/sema_internal.h"

static const char *usage_text(sema *s, const policy_verb *v)
{
    strbuf b = strbuf_new(s->a);
    policy_verb_print(v, &b);
    return b.s;
}

static const char *accepted_text(sema *s, const policy_param *p)
{
    strbuf b = strbuf_new(s->a);
    policy_param_print(p, &b);
    return b.s;
}

/* The words of a list with blanks between, interned. */
static void split_words(sema *s, const char *list, name_list *out)
{
    for (const char *w = list; w && *w; w += strcspn(w, " "), w += *w == ' ')
        vec_push(s->a, out, intern(s->names, w, strcspn(w, " ")));
}

/* ---- verb, relation, subject ---- */

static const policy_verb *check_verb(sema *s, const ast_rule *r)
{
    const policy_verbs *all = s->o->verbs;
    const policy_verb *v = policy_verb_find(all, r->verb.name);
    if (v) return v;
    name_list names = {0};
    strbuf known = strbuf_new(s->a);
    for (uint32_t i = 0; all && i < all->n; i++) {
        vec_push(s->a, &names, all->rows[i].name);
        strbuf_addf(&known, "%s%s", i ? ", " : "", all->rows[i].name);
    }
    diag *g = sema_error(s, r->verb.at, "unknown-name", "there is no rule '%s'", r->verb.name);
    const char *near = suggest(r->verb.name, names.data, names.len);
    if (near) diag_hint(g, "did you mean '%s'?", near);
    else if (known.len) diag_note(g, "the rules are %s", known.s);
    return NULL;
}

static bool check_relation(sema *s, const ast_rule *r, const policy_verb *v, policy_relation *out)
{
    for (int i = 0; i < POLICY_RELATIONS; i++) {
        *out = (policy_relation)i;
        if (strcmp(policy_relation_name(*out), r->relation.name) != 0) continue;
        if (v->relations >> i & 1) return true;
        diag *g = sema_error(s, r->relation.at, "rule", "'%s' is not followed by '%s'", v->name, r->relation.name);
        diag_expected(g, "%s", usage_text(s, v));
        return false;
    }
    return false;
}

static bool check_subject(sema *s, const ast_rule *r, const policy_verb *v)
{
    const char *word = r->subject.name;
    if (!word || policy_has_word(v->subjects, word)) return true;
    if (!v->subjects) {
        diag *g = sema_error(s, r->subject.at, "rule", "'%s' takes no name of a block", v->name);
        diag_expected(g, "%s", usage_text(s, v));
        return false;
    }
    strbuf b = strbuf_new(s->a);
    policy_words_print(v->subjects, &b);
    diag *g = sema_error(s, r->subject.at, "rule", "'%s' is not about '%s'", v->name, word);
    diag_expected(g, "%s, or nothing for whatever stands at the place", b.s);
    name_list names = {0};
    split_words(s, v->subjects, &names);
    const char *near = suggest(word, names.data, names.len);
    if (near) diag_hint(g, "did you mean '%s'?", near);
    return false;
}

/* The pattern's own mistakes, and points where blocks are meant or the other way round. */
static bool check_place(sema *s, const ast_rule *r, policy_relation relation)
{
    place p;
    place_mistake wrong;
    uint32_t first = r->place.at.begin + 1;
    if (!place_parse(s->a, s->names, r->place.name, &p, &wrong)) {
        span at = {first + (uint32_t)wrong.begin, first + (uint32_t)wrong.end};
        diag *g = sema_error(s, at, "place", "%s", wrong.message);
        if (wrong.hint) diag_hint(g, "%s", wrong.hint);
        return false;
    }
    if (p.has_point == (relation != POLICY_IN)) return true;
    diag *g = sema_error(s, r->place.at, "place",
                         p.has_point ? "'%s' takes the path of a block, and this is a point"
                                     : "'%s' takes a point, and this is the path of a block",
                         r->relation.name);
    diag_expected(g, p.has_point ? "\"path\"" : "\"path:name\"");
    return false;
}

/* ---- arguments ---- */

/* Numbers, names and lists of them: nothing that would put operations into the model. */
static bool is_plain(const ast_expr *e)
{
    switch (e->kind) {
    case EX_NAME:
    case EX_INT:
    case EX_FLOAT:
    case EX_STRING:
    case EX_BOOL: return true;
    case EX_FIELD: return is_plain(e->field.base);
    case EX_UNARY: return is_plain(e->op.right);
    case EX_BINARY: return is_plain(e->op.left) && is_plain(e->op.right);
    case EX_LIST:
        vec_foreach (ast_expr *, x, &e->list)
            if (!is_plain(*x)) return false;
        return true;
    default: return false;
    }
}

static bool list_value(sema *s, const value *v, policy_value *out)
{
    int64_t *all = ARENA_ARRAY(s->a, int64_t, v->list.n);
    for (uint32_t i = 0; i < v->list.n; i++)
        if (v->list.items[i].kind != V_INT || !dim_is_const(s->dims, v->list.items[i].size, &all[i])) return false;
    *out = (policy_value){.kind = POLICY_INTS};
    out->ints.n = v->list.n;
    out->ints.v = all;
    return true;
}

/* v as an argument of the kind that p wants; false when it has none of the kinds. */
static bool convert(sema *s, const value *v, const policy_param *p, policy_value *out)
{
    int64_t i;
    switch (v->kind) {
    case V_INT:
        if (!dim_is_const(s->dims, v->size, &i)) return false;
        *out = (policy_value){.kind = POLICY_INT, .i = i};
        if (p->kind == POLICY_FLOAT) *out = (policy_value){.kind = POLICY_FLOAT, .real = (double)i};
        return true;
    case V_FLOAT: *out = (policy_value){.kind = POLICY_FLOAT, .real = v->real}; return true;
    case V_BOOL: *out = (policy_value){.kind = POLICY_BOOL, .flag = v->flag}; return true;
    case V_STRING: *out = (policy_value){.kind = POLICY_WORD, .word = v->string.text}; return true;
    case V_DTYPE: *out = (policy_value){.kind = POLICY_WORD, .word = dtype_name(v->dt)}; return true;
    case V_LIST: return list_value(s, v, out);
    default: return false;
    }
}

static bool check_value(sema *s, const ast_arg *a, const policy_verb *v, const policy_param *p, policy_value *out)
{
    const char *got = sema_source_text(s, a->value->at);
    if (is_plain(a->value)) {
        value x = eval(s, a->value);
        if (x.kind == V_ERROR) return false;
        if (convert(s, &x, p, out) && policy_accepts(p, out)) return true;
        if (x.kind != V_LIST) got = sema_value_text(s, &x);
    }
    diag *g = sema_error(s, a->value->at, "wrong-argument", "argument '%s' of '%s' cannot be this", p->name, v->name);
    diag_expected(g, "%s", accepted_text(s, p));
    diag_got(g, "%s", got);
    name_list words = {0};
    if (p->kind == POLICY_WORD && out->kind == POLICY_WORD && out->word) {
        split_words(s, p->words, &words);
        const char *near = suggest(out->word, words.data, words.len);
        if (near) diag_hint(g, "did you mean '%s'?", near);
    }
    return false;
}

/* The parameter that an argument names; NULL after reporting. */
static const policy_param *check_name(sema *s, const ast_arg *a, const policy_verb *v)
{
    const policy_param *p = a->key.name ? policy_param_find(v, a->key.name) : NULL;
    if (p) return p;
    diag *g = a->key.name
                  ? sema_error(s, a->key.at, "unknown-argument", "'%s' has no argument '%s'", v->name, a->key.name)
                  : sema_error(s, a->at, "unknown-argument", "the arguments of a rule are given by name");
    diag_expected(g, "%s", usage_text(s, v));
    name_list names = {0};
    for (uint32_t i = 0; i < v->n_params; i++) vec_push(s->a, &names, v->params[i].name);
    const char *near = a->key.name ? suggest(a->key.name, names.data, names.len) : NULL;
    if (near) diag_hint(g, "did you mean '%s'?", near);
    return NULL;
}

static const policy_value *check_args(sema *s, const ast_rule *r, const policy_verb *v)
{
    policy_value *values = ARENA_ARRAY(s->a, policy_value, v->n_params);
    const ast_arg **given = ARENA_ARRAY(s->a, const ast_arg *, v->n_params);
    bool ok = true;
    vec_foreach (ast_arg, a, &r->args) {
        const policy_param *p = check_name(s, a, v);
        size_t i = p ? (size_t)(p - v->params) : 0;
        if (p && given[i]) {
            diag *g = sema_error(s, a->key.at, "arguments", "argument '%s' is given twice", p->name);
            diag_note(g, "first at %s", sema_where(s, given[i]->key.at));
        }
        ok &= p && !given[i] && check_value(s, a, v, p, &values[i]);
        if (p && !given[i]) given[i] = a;
    }
    for (uint32_t i = 0; i < v->n_params; i++) {
        const policy_param *p = &v->params[i];
        if (given[i]) continue;
        values[i] = p->preset;
        if (!p->required) continue;
        if (ok) {
            diag *g = sema_error(s, r->verb.at, "arity", "argument '%s' of '%s' is missing", p->name, v->name);
            diag_expected(g, "%s", usage_text(s, v));
        }
        ok = false;
    }
    return ok ? values : NULL;
}

/* ---- rules ---- */

static sema_rule *check_rule(sema *s, const ast_rule *r)
{
    const policy_verb *v = check_verb(s, r);
    policy_relation relation;
    if (!v) return NULL;
    bool ok = check_relation(s, r, v, &relation);
    ok = ok && check_place(s, r, relation);
    ok &= check_subject(s, r, v);
    const policy_value *args = check_args(s, r, v);
    if (!ok || !args) return NULL;
    sema_rule *x = ARENA_NEW(s->a, sema_rule);
    *x = (sema_rule){.verb = v,
                     .subject = r->subject.name,
                     .relation = relation,
                     .place = r->place.name,
                     .args = args,
                     .at = {r->verb.at.begin, r->place.at.end}};
    return x;
}

/* Whether a policy is one of the model that is compiled; reports a model that is not there. */
static bool is_for_model(sema *s, const ast_decl *policy)
{
    name_list names = {0};
    bool found = false;
    vec_foreach (ast_decl *, d, &s->root->ast->decls) {
        if ((*d)->kind != DECL_MODEL) continue;
        vec_push(s->a, &names, (*d)->name.name);
        found |= (*d)->name.name == policy->name.name;
    }
    if (found) return policy->name.name == s->model->name.name;
    diag *g = sema_error(s, policy->name.at, "unknown-name", "this file has no model '%s'", policy->name.name);
    const char *near = suggest(policy->name.name, names.data, names.len);
    if (near) diag_hint(g, "did you mean '%s'?", near);
    return false;
}

void check_policies(sema *s, bool whole)
{
    frame f = {.file = s->root, .decl = s->model, .names = scope_new(s, NULL), .path = ""};
    place_finder *finder = NULL;
    s->frame = &f;
    vec_foreach (ast_decl *, d, &s->root->ast->decls) {
        if ((*d)->kind != DECL_OPTIMIZE) continue;
        bool ours = is_for_model(s, *d) && whole;
        vec_foreach (ast_rule, r, &(*d)->rules) {
            if (s->stopped) break;
            sema_rule *x = check_rule(s, r);
            if (!x || !ours) continue;
            if (!finder) finder = place_finder_new(s);
            if (find_place(finder, r, x)) vec_push(s->a, &s->program->rules, x);
        }
    }
    s->frame = NULL;
}
