/* See policy.h. */
#include "ir/policy.h"

#include "ir/internal.h"

#include <math.h>

const char *policy_relation_name(policy_relation r)
{
    static const char *const names[POLICY_RELATIONS] = {
        [POLICY_IN] = "in", [POLICY_AFTER] = "after", [POLICY_BEFORE] = "before"};
    return names[r];
}

const policy_verb *policy_verb_find(const policy_verbs *v, const char *name)
{
    for (uint32_t i = 0; v && i < v->n; i++)
        if (!strcmp(v->rows[i].name, name)) return &v->rows[i];
    return NULL;
}

const policy_param *policy_param_find(const policy_verb *v, const char *name)
{
    for (uint32_t i = 0; i < v->n_params; i++)
        if (!strcmp(v->params[i].name, name)) return &v->params[i];
    return NULL;
}

/* ---- values ---- */

bool policy_has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *w = list; w && *w; w += strcspn(w, " "), w += *w == ' ')
        if (strcspn(w, " ") == n && !memcmp(w, word, n)) return n > 0;
    return false;
}

static bool in_range(const policy_param *p, double x)
{
    return p->least == p->most || (x >= p->least && x <= p->most);
}

bool policy_accepts(const policy_param *p, const policy_value *v)
{
    if (v->kind != p->kind) return false;
    switch (v->kind) {
    case POLICY_INT: return in_range(p, (double)v->i);
    case POLICY_FLOAT: return !isnan(v->real) && in_range(p, v->real);
    case POLICY_BOOL: return true;
    case POLICY_WORD: return policy_has_word(p->words, v->word);
    case POLICY_INTS:
        for (uint32_t i = 0; i < v->ints.n; i++)
            if (!in_range(p, (double)v->ints.v[i])) return false;
        return (!p->fewest && !p->longest) || (v->ints.n >= p->fewest && v->ints.n <= p->longest);
    }
    return false;
}

bool policy_value_equal(const policy_value *a, const policy_value *b)
{
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case POLICY_INT: return a->i == b->i;
    case POLICY_FLOAT: return !memcmp(&a->real, &b->real, sizeof a->real);
    case POLICY_BOOL: return a->flag == b->flag;
    case POLICY_WORD: return !strcmp(a->word, b->word);
    case POLICY_INTS:
        return a->ints.n == b->ints.n && (!a->ints.n || !memcmp(a->ints.v, b->ints.v, a->ints.n * sizeof *a->ints.v));
    }
    return false;
}

/* ---- text ---- */

void policy_words_print(const char *list, strbuf *out)
{
    for (const char *w = list; w && *w;) {
        size_t n = strcspn(w, " ");
        const char *next = w + n + (w[n] == ' ');
        if (w != list) strbuf_adds(out, *next ? ", " : " or ");
        strbuf_add(out, w, n);
        w = next;
    }
}

static void print_bound(const policy_param *p, double x, strbuf *out)
{
    if (p->kind == POLICY_FLOAT) strbuf_add_double(out, x);
    else strbuf_addf(out, "%.0f", x);
}

static void print_range(const policy_param *p, strbuf *out)
{
    if (p->least == p->most) return;
    strbuf_adds(out, " in ");
    print_bound(p, p->least, out);
    strbuf_adds(out, "..");
    print_bound(p, p->most, out);
}

void policy_param_print(const policy_param *p, strbuf *out)
{
    switch (p->kind) {
    case POLICY_INT: strbuf_adds(out, "an integer"); break;
    case POLICY_FLOAT: strbuf_adds(out, "a number"); break;
    case POLICY_BOOL: strbuf_adds(out, "true or false"); return;
    case POLICY_WORD: policy_words_print(p->words, out); return;
    case POLICY_INTS:
        if (!p->fewest && !p->longest) strbuf_adds(out, "a list of integers");
        else if (p->fewest == p->longest) strbuf_addf(out, "a list of %u integers", p->fewest);
        else strbuf_addf(out, "a list of %u to %u integers", p->fewest, p->longest);
        break;
    }
    print_range(p, out);
}

void policy_value_print(const policy_value *v, strbuf *out)
{
    switch (v->kind) {
    case POLICY_INT: strbuf_addf(out, "%lld", (long long)v->i); break;
    case POLICY_FLOAT: strbuf_add_double(out, v->real); break;
    case POLICY_BOOL: strbuf_adds(out, v->flag ? "true" : "false"); break;
    case POLICY_WORD: print_quoted(out, v->word); break;
    case POLICY_INTS:
        strbuf_addc(out, '[');
        for (uint32_t i = 0; i < v->ints.n; i++) strbuf_addf(out, "%s%lld", i ? ", " : "", (long long)v->ints.v[i]);
        strbuf_addc(out, ']');
        break;
    }
}

/* "linear|embedding" */
static void print_choice(const char *words, strbuf *out)
{
    for (; *words; words++) strbuf_addc(out, *words == ' ' ? '|' : *words);
}

static void print_argument(const policy_param *p, strbuf *out)
{
    static const char *const kinds[] = {
        [POLICY_INT] = "INT", [POLICY_FLOAT] = "FLOAT", [POLICY_BOOL] = "true|false", [POLICY_INTS] = "[INT, ...]"};
    strbuf_addf(out, "%s = ", p->name);
    if (p->kind == POLICY_WORD) print_choice(p->words, out);
    else strbuf_adds(out, kinds[p->kind]);
}

void policy_verb_print(const policy_verb *v, strbuf *out)
{
    strbuf_adds(out, v->name);
    if (v->subjects) {
        strbuf_adds(out, " [");
        print_choice(v->subjects, out);
        strbuf_addc(out, ']');
    }
    bool open = false;
    for (int r = 0; r < POLICY_RELATIONS; r++) {
        if (!(v->relations >> r & 1)) continue;
        strbuf_addf(out, "%c%s", open ? '|' : ' ', policy_relation_name((policy_relation)r));
        open = true;
    }
    strbuf_adds(out, " \"PLACE\"");
    for (uint32_t i = 0; i < v->n_params; i++) {
        strbuf_adds(out, i ? ", " : " (");
        if (!v->params[i].required) strbuf_addc(out, '[');
        print_argument(&v->params[i], out);
        if (!v->params[i].required) strbuf_addc(out, ']');
    }
    if (v->n_params) strbuf_addc(out, ')');
}
