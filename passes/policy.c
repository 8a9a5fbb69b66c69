/* The rules of `optimize`, as passes see them: which verbs there are, and which rules cannot stand together. */
#include "passes/pass.h"

#include <stdarg.h>

/* ---- the table of verbs ---- */

typedef struct {
    pass_id verb;
    policy_param param;
} arg_row;

policy_verbs passes_verbs(arena *a)
{
    enum { IN = 1u << POLICY_IN, AFTER = 1u << POLICY_AFTER, BEFORE = 1u << POLICY_BEFORE };
    static const struct {
        pass_id pass;
        unsigned relations;
        const char *subjects;
    } verbs[] = {
#define VERB(NAME, RELATIONS, SUBJECTS) {PASS_##NAME, RELATIONS, SUBJECTS},
#include "passes/passes.def"
    };
    static const arg_row args[] = {
#define ARG(NAME, name, KIND, summary, ...) {PASS_##NAME, {#name, summary, POLICY_##KIND, __VA_ARGS__}},
#include "passes/passes.def"
    };
    enum { N_VERBS = sizeof verbs / sizeof *verbs, N_ARGS = sizeof args / sizeof *args };
    (void)(AFTER | BEFORE); /* no verb needs them yet */
    policy_verb *rows = ARENA_ARRAY(a, policy_verb, N_VERBS);
    for (int i = 0; i < N_VERBS; i++) {
        policy_param *params = ARENA_ARRAY(a, policy_param, N_ARGS);
        uint32_t n = 0;
        for (int k = 0; k < N_ARGS; k++) {
            if (args[k].verb != verbs[i].pass) continue;
            params[n] = args[k].param;
            params[n++].preset.kind = args[k].param.kind;
        }
        rows[i] = (policy_verb){pass_row(verbs[i].pass)->name, verbs[i].relations, verbs[i].subjects, params, n};
    }
    return (policy_verbs){rows, N_VERBS};
}

/* ---- what a rule covers ---- */

static void mark(const policy_rule *r, bool *inside)
{
    vec_foreach (region *, x, &r->regions) inside[(*x)->id] = true;
}

/* Regions are made after those around them. */
static void mark_nested(const module *m, bool *inside)
{
    vec_foreach (region *, x, &m->regions)
        if ((*x)->parent && inside[(*x)->parent->id]) inside[(*x)->id] = true;
}

bool *policy_inside(const module *m, const policy_rule *r, arena *a)
{
    bool *inside = ARENA_ARRAY(a, bool, m->regions.len);
    mark(r, inside);
    mark_nested(m, inside);
    return inside;
}

static bool is_mark(const policy_rule *r)
{
    return !strcmp(r->verb, pass_row(PASS_KEEP_EXACT)->name);
}

bool *policy_kept_exact(const module *m, arena *a)
{
    bool *kept = ARENA_ARRAY(a, bool, m->regions.len);
    vec_foreach (policy_rule *, r, &m->policy)
        if (is_mark(*r)) mark(*r, kept);
    mark_nested(m, kept);
    return kept;
}

/* ---- rules that cannot be followed ---- */

typedef struct {
    const module *m;
    diags *d;
    arena *a;
    policy_verbs verbs;
    bool ok;
} checker;

static const char *rule_text(checker *c, const policy_rule *r)
{
    strbuf b = strbuf_new(c->a);
    policy_rule_print(r, &b);
    return b.s;
}

static const char *verb_text(checker *c, const policy_verb *v)
{
    strbuf b = strbuf_new(c->a);
    policy_verb_print(v, &b);
    return b.s;
}

static diag *wrong(checker *c, const policy_rule *r, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static diag *wrong(checker *c, const policy_rule *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *message = arena_vprintf(c->a, fmt, ap);
    va_end(ap);
    c->ok = false;
    diag *g = diag_error(c->d, r->at, "%s", message);
    diag_code(g, "rule");
    return g;
}

static bool args_fit(const policy_rule *r, const policy_verb *v)
{
    uint32_t known = 0;
    for (uint32_t i = 0; i < v->n_params; i++)
        vec_foreach (policy_arg, a, &r->args) {
            if (strcmp(a->name, v->params[i].name)) continue;
            known++;
            if (!policy_accepts(&v->params[i], &a->value)) return false;
        }
    return known == v->n_params && known == r->args.len;
}

/* A rule against its verb's row. What a front end made always fits; a .tir file may say anything. */
static bool check_form(checker *c, const policy_rule *r)
{
    const policy_verb *v = policy_verb_find(&c->verbs, r->verb);
    if (!v) {
        const char **names = ARENA_ARRAY(c->a, const char *, c->verbs.n);
        for (uint32_t i = 0; i < c->verbs.n; i++) names[i] = c->verbs.rows[i].name;
        const char *near = suggest(r->verb, names, c->verbs.n);
        diag *g = wrong(c, r, "no pass takes rules of the name '%s'", r->verb);
        if (near) diag_hint(g, "did you mean '%s'?", near);
        return false;
    }
    if ((v->relations >> r->relation & 1) && (!r->subject || policy_has_word(v->subjects, r->subject)) &&
        args_fit(r, v))
        return true;
    diag *g = wrong(c, r, "this is no rule of '%s'", v->name);
    diag_expected(g, "%s", verb_text(c, v));
    diag_got(g, "%s", rule_text(c, r));
    return false;
}

static bool changes_model(const policy_rule *r)
{
    pass_id id;
    return pass_find(r->verb, strlen(r->verb), &id) && pass_row(id)->numerics == NUMERICS_APPROXIMATE;
}

static void meet(checker *c, const policy_rule *a, const policy_rule *b, const char *where)
{
    diag *g = wrong(c, b, "two rules of '%s' meet at one place", b->verb);
    diag_line(g, "first", "%s   (%s)", rule_text(c, a), diag_place(c->d, a->at));
    diag_line(g, "this", "%s", rule_text(c, b));
    diag_note(g, "both cover %s", where);
    diag_hint(g, "leave one out, or let their places be apart");
}

/* Two rules that ask one pass for something at one place, or within each other's. */
static void check_apart(checker *c, uint32_t first)
{
    const module *m = c->m;
    const policy_rule *head = m->policy.data[first];
    const policy_rule **region_of = ARENA_ARRAY(c->a, const policy_rule *, m->regions.len);
    ptrmap *point_of = ptrmap_new(c->a);
    for (uint32_t i = first; i < m->policy.len; i++) {
        const policy_rule *r = m->policy.data[i], *other = NULL;
        const char *where = NULL;
        if (strcmp(r->verb, head->verb)) continue;
        vec_foreach (region *, x, &r->regions) {
            const policy_rule *had = region_of[(*x)->id];
            if (had && had != r && !other) other = had, where = (*x)->path;
            region_of[(*x)->id] = r;
        }
        vec_foreach (policy_point, x, &r->points) {
            const point *p = function_find_point(x->fn, x->place);
            const policy_rule *had = ptrmap_get(point_of, p);
            if (had && had != r && !other) other = had, where = x->place;
            ptrmap_set(point_of, p, (void *)r);
        }
        if (other) {
            meet(c, other, r, arena_printf(c->a, "\"%s\"", where));
            return;
        }
    }
    for (uint32_t i = first; i < m->policy.len; i++) { /* one region within another */
        const policy_rule *r = m->policy.data[i];
        if (strcmp(r->verb, head->verb)) continue;
        vec_foreach (region *, x, &r->regions)
            for (const region *up = (*x)->parent; up; up = up->parent) {
                const policy_rule *other = region_of[up->id];
                if (!other || other == r) continue;
                bool later = other->at.begin > r->at.begin;
                meet(c, later ? r : other, later ? other : r,
                     arena_printf(c->a, "\"%s\", a call of '%s'", (*x)->path, (*x)->block ? (*x)->block : ""));
                return;
            }
    }
}

static uint32_t place_count(const policy_rule *r)
{
    return r->relation == POLICY_IN ? r->regions.len : r->points.len;
}

/* The region that the i-th place of a rule is, or that its point is in. */
static const region *place_region(const policy_rule *r, uint32_t i)
{
    if (r->relation == POLICY_IN) return r->regions.data[i];
    const policy_point *x = &r->points.data[i];
    const value *v = function_find_point(x->fn, x->place)->v;
    return v->def ? v->def->in : x->fn->root;
}

static bool all_kept(const policy_rule *r, const bool *kept)
{
    for (uint32_t i = 0; i < place_count(r); i++)
        if (!kept[place_region(r, i)->id]) return false;
    return place_count(r) > 0;
}

/* Marks win over rules that reach further; a rule that is left with nothing contradicts them. */
static void check_kept(checker *c)
{
    const bool *kept = policy_kept_exact(c->m, c->a);
    vec_foreach (policy_rule *, r, &c->m->policy) {
        if (!changes_model(*r) || !all_kept(*r, kept)) continue;
        diag *g = wrong(c, *r, "nothing is left for this rule: all of its places are kept exact");
        vec_foreach (policy_rule *, k, &c->m->policy)
            if (is_mark(*k) && policy_inside(c->m, *k, c->a)[place_region(*r, 0)->id])
                diag_note(g, "by %s at %s", rule_text(c, *k), diag_place(c->d, (*k)->at));
    }
}

static void out_of_memory(void *arg)
{
    arena_out_of_memory(arg);
}

bool policy_check(const module *m, diags *d)
{
    if (!m->policy.len) return true;
    arena *a = arena_new(out_of_memory, m->a);
    if (!a) arena_out_of_memory(m->a);
    checker c = {.m = m, .d = d, .a = a, .verbs = passes_verbs(a), .ok = true};
    vec_foreach (policy_rule *, r, &m->policy) check_form(&c, *r);
    for (uint32_t i = 0; c.ok && i < m->policy.len; i++) {
        bool seen = false;
        for (uint32_t k = 0; k < i && !seen; k++) seen = !strcmp(m->policy.data[k]->verb, m->policy.data[i]->verb);
        if (!seen && changes_model(m->policy.data[i])) check_apart(&c, i);
    }
    if (c.ok) check_kept(&c);
    arena_free(a);
    return c.ok;
}
