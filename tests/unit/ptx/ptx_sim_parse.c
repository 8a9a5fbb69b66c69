/* Reading PTX text. */
#include "unit/ptx/ptx_sim_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    sim_machine *s;
    const char *at;
} reader;

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || c == '%' || c == '.';
}

static void skip(reader *r)
{
    for (;;) {
        while (isspace((unsigned char)*r->at)) r->at++;
        if (r->at[0] != '/' || r->at[1] != '/') return;
        while (*r->at && *r->at != '\n') r->at++;
    }
}

static const char *word(reader *r)
{
    skip(r);
    const char *begin = r->at;
    while (is_name(*r->at) || (r->at[0] == ':' && (r->at[1] == ':' || (r->at > begin && r->at[-1] == ':')))) r->at++;
    return arena_strndup(r->s->a, begin, (size_t)(r->at - begin));
}

static bool take(reader *r, char c)
{
    skip(r);
    if (*r->at != c) return false;
    r->at++;
    return true;
}

/* ---- operands ---- */

static int register_number(sim_machine *s, const char *name)
{
    for (uint32_t i = 0; i < s->reg_names.len; i++)
        if (!strcmp(s->reg_names.data[i], name)) return (int)i;
    vec_push(s->a, &s->reg_names, name);
    return (int)s->reg_names.len - 1;
}

static bool symbol_value(sim_machine *s, const char *name, uint64_t *v)
{
    for (uint32_t i = 0; i < s->symbols.len; i++)
        if (!strcmp(s->symbols.data[i], name)) return *v = s->symbol_at.data[i], true;
    return false;
}

static bool number(reader *r, uint64_t *v)
{
    skip(r);
    bool minus = *r->at == '-';
    const char *p = r->at + minus;
    if (!isdigit((unsigned char)*p)) return false;
    char *end;
    if (p[0] == '0' && (p[1] == 'f' || p[1] == 'd')) *v = strtoull(p + 2, &end, 16);
    else *v = strtoull(p, &end, 0);
    if (*end == 'U') end++;
    if (minus) *v = 0 - *v;
    r->at = end;
    return true;
}

static bool is_label(const char *name)
{
    return !strncmp(name, "$L", 2);
}

static bool is_special(const char *name)
{
    return !strncmp(name, "%tid.", 5) || !strncmp(name, "%ctaid.", 7) || !strcmp(name, "%laneid");
}

static sim_arg operand(reader *r);

static sim_arg operand_list(reader *r)
{
    sim_arg x = {.kind = ARG_LIST, .list = ARENA_ARRAY(r->s->a, sim_arg, 256)};
    while (!take(r, '}')) {
        x.list[x.n++] = operand(r);
        take(r, ',');
    }
    return x;
}

static sim_arg operand(reader *r)
{
    sim_arg x = {.reg = -1};
    skip(r);
    if (take(r, '{')) return operand_list(r);
    if (take(r, '[')) {
        x = operand(r);
        uint64_t more = 0;
        if (take(r, '+')) number(r, &more);
        take(r, ']');
        if (x.kind != ARG_REG) x.reg = -1;
        x.number = (x.kind == ARG_NUMBER ? x.number : 0) + more;
        x.kind = ARG_ADDRESS;
        return x;
    }
    if (number(r, &x.number)) {
        x.kind = ARG_NUMBER;
        return x;
    }
    x.negated = take(r, '!');
    x.name = word(r);
    if (is_label(x.name)) x.kind = ARG_LABEL;
    else if (is_special(x.name)) x.kind = ARG_SPECIAL;
    else if (symbol_value(r->s, x.name, &x.number)) x.kind = ARG_NUMBER;
    else if (strstr(x.name, "_param_")) x.kind = ARG_ADDRESS;
    else x.kind = ARG_REG, x.reg = register_number(r->s, x.name);
    return x;
}

/* ---- instructions ---- */

static bool type_of(const char *w, sim_type *t)
{
    static const struct {
        const char *name;
        sim_type t;
    } names[] = {{"bf16x2", {'h', 16, 2}}, {"f16x2", {'f', 16, 2}}, {"bf16", {'h', 16, 1}}, {"pred", {'p', 1, 1}}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(w, names[i].name)) return *t = names[i].t, true;
    if (!strchr("busf", w[0]) || !isdigit((unsigned char)w[1])) return false;
    *t = (sim_type){w[0], atoi(w + 1), 1};
    return true;
}

static void split_opcode(sim_machine *s, sim_instr *i, const char *op)
{
    i->type = i->from = (sim_type){'b', 32, 1};
    int types = 0, vector = 1;
    for (const char *p = op; *p && i->n_words < MAX_WORDS;) {
        size_t n = strcspn(p, ".");
        const char *w = arena_strndup(s->a, p, n);
        sim_type t;
        i->word[i->n_words++] = w;
        if (w[0] == 'v' && (w[1] == '2' || w[1] == '4') && !w[2]) vector = w[1] - '0';
        if (type_of(w, &t)) {
            i->from = types++ ? i->type : t;
            i->type = t;
        }
        p += n + (p[n] == '.');
    }
    /* cvt.TO.FROM: read in that order */
    if (types > 1) {
        sim_type last = i->type;
        i->type = i->from;
        i->from = last;
    }
    if (vector > 1) i->type.vector = vector;
}

static bool instruction(reader *r)
{
    sim_machine *s = r->s;
    sim_instr i = {.guard = -1};
    const char *end = strchr(r->at, ';');
    if (!end) return false;
    i.text = arena_strndup(s->a, r->at, (size_t)(end - r->at));
    if (take(r, '@')) {
        i.guard_not = take(r, '!');
        i.guard = register_number(s, word(r));
    }
    split_opcode(s, &i, word(r));
    i.args = ARENA_ARRAY(s->a, sim_arg, 12);
    while (!take(r, ';')) {
        if (i.n_args == 12 || r->at > end) {
            sim_fail(s, &i, "not to be read");
            return false;
        }
        i.args[i.n_args++] = operand(r);
        if (!take(r, ',')) take(r, '|'); /* "d|p" of shfl: the predicate is the next operand */
    }
    i.exec = sim_find_collective(&i, &i.scope);
    if (!i.exec) i.exec = sim_find_exec(&i, &i.scope);
    if (!i.exec) {
        sim_fail(s, &i, "unknown instruction");
        return false;
    }
    vec_push(s->a, &s->program, i);
    return true;
}

/* ---- declarations ---- */

static void declare_shared(reader *r, bool external)
{
    sim_machine *s = r->s;
    uint64_t align = 1, size = 0;
    for (const char *w = word(r);; w = word(r)) {
        if (!strcmp(w, ".align")) number(r, &align);
        else if (w[0] != '.') {
            take(r, '[');
            number(r, &size);
            take(r, ']');
            take(r, ';');
            s->shared_bytes = (s->shared_bytes + align - 1) / align * align;
            vec_push(s->a, &s->symbols, w);
            vec_push(s->a, &s->symbol_at, SHARED_WINDOW + s->shared_bytes);
            s->shared_bytes += external ? s->run->dynamic_bytes : size;
            return;
        }
    }
}

static void skip_past(reader *r, char c)
{
    while (*r->at && *r->at != c) r->at++;
    if (*r->at) r->at++;
}

/* "(.param .u64 .ptr .global .align 16 name, ...)" */
static void parameters(reader *r)
{
    take(r, '(');
    while (!take(r, ')')) {
        const char *w = word(r);
        if (!*w) r->at++;
        else if (w[0] != '.' && !isdigit((unsigned char)w[0])) vec_push(r->s->a, &r->s->params, w);
    }
}

static void body(reader *r)
{
    sim_machine *s = r->s;
    for (int depth = 0; !s->error;) {
        skip(r);
        if (!*r->at) return;
        if (take(r, '{')) {
            depth++;
        } else if (take(r, '}')) {
            if (--depth == 0) return;
        } else if (*r->at == '.') {
            const char *w = word(r);
            if (!strcmp(w, ".shared")) declare_shared(r, false);
            else skip_past(r, depth && strcmp(w, ".loc") ? ';' : '\n');
        } else if (*r->at == '$') {
            const char *name = word(r);
            take(r, ':');
            vec_push(s->a, &s->labels, name);
            vec_push(s->a, &s->label_at, s->program.len);
        } else if (!instruction(r)) {
            return;
        }
    }
}

static void resolve_labels(sim_machine *s)
{
    vec_foreach (sim_instr, i, &s->program)
        for (int k = 0; k < i->n_args; k++) {
            if (i->args[k].kind != ARG_LABEL) continue;
            bool found = false;
            for (uint32_t l = 0; l < s->labels.len; l++) {
                if (strcmp(s->labels.data[l], i->args[k].name) != 0) continue;
                i->args[k].number = s->label_at.data[l];
                found = true;
            }
            if (!found) sim_fail(s, i, "no such label");
        }
}

/* Everything of the module that is not the wanted entry point is passed over. */
bool sim_parse(sim_machine *s, const char *text, const char *entry)
{
    reader r = {s, text};
    bool external = false;
    while (skip(&r), *r.at && !s->error) {
        const char *w = word(&r);
        if (!*w) {
            r.at++;
        } else if (!strcmp(w, ".extern")) {
            external = true;
        } else if (!strcmp(w, ".shared")) {
            declare_shared(&r, external);
            external = false;
        } else if (!strcmp(w, ".entry")) {
            if (strcmp(word(&r), entry) != 0) continue;
            parameters(&r);
            body(&r);
            resolve_labels(s);
            return !s->error;
        }
    }
    if (!s->error) sim_fail(s, NULL, "no entry point '%s'", entry);
    return false;
}
