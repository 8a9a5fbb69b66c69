#include "frontend/sema_pattern.h"

typedef struct {
    sema *s;
    const char *text;
    size_t i;
    span string; /* of the literal; begin 0 when the text is not a literal in the source */
    bool groups;
    pattern *p;
} reader;

static span place(const reader *r, size_t from, size_t to)
{
    if (to == from) to++;
    uint32_t first = r->string.begin + 1;
    return (span){first + (uint32_t)from, first + (uint32_t)to};
}

static void blanks(reader *r)
{
    while (r->text[r->i] == ' ') r->i++;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool add_axis(reader *r, pattern_side *side, const char *name, size_t from)
{
    if (side->n == PATTERN_MAX_AXES) {
        sema_error(r->s, place(r, from, r->i), "pattern", "this pattern has too many axes");
        return false;
    }
    side->axis[side->n++] = (pattern_axis){name, place(r, from, r->i), (uint8_t)side->groups};
    return true;
}

/* One side up to ',' or '->' or the end. */
static bool read_side(reader *r, pattern_side *side)
{
    bool inside = false;
    size_t begin = r->i, opened = 0;
    for (;;) {
        blanks(r);
        size_t from = r->i;
        char c = r->text[r->i];
        if (c == 0 || c == ',' || (c == '-' && r->text[r->i + 1] == '>')) break;
        if (c == '(' && r->groups && !inside) {
            inside = true;
            opened = r->i++;
            continue;
        }
        if (c == ')' && inside) {
            if (side->n == 0 || side->axis[side->n - 1].group != side->groups) {
                diag *g = sema_error(r->s, place(r, from, from + 1), "pattern", "these parentheses are empty");
                diag_hint(g, "write 1 for an axis of size 1");
                return false;
            }
            inside = false;
            r->i++;
            side->groups++;
            continue;
        }
        const char *name;
        if (c == '.' && strncmp(r->text + r->i, "...", 3) == 0) {
            name = r->p->dots;
            r->i += 3;
        } else if (c == '1' && !is_digit(r->text[r->i + 1]) && r->groups) {
            name = r->p->one;
            r->i++;
        } else if (is_letter(c)) {
            while (is_letter(r->text[r->i]) || is_digit(r->text[r->i])) r->i++;
            name = intern(r->s->names, r->text + from, r->i - from);
        } else {
            diag *g = sema_error(r->s, place(r, from, from + 1), "pattern", "unexpected '%c' in a pattern", c);
            if (c == '(' && !r->groups) diag_hint(g, "einsum has no groups: rearrange first");
            if (c == '*') diag_hint(g, "axes that are one stand in parentheses: (h d)");
            if (is_digit(c)) diag_hint(g, "axes have names, and the size of one is given beside the pattern: h = 12");
            return false;
        }
        if (!add_axis(r, side, name, from)) return false;
        if (name == r->p->dots && inside) {
            sema_error(r->s, place(r, from, r->i), "pattern", "'...' cannot stand in parentheses");
            return false;
        }
        if (!inside) side->groups++;
    }
    side->at = place(r, begin, r->i);
    if (!inside) return true;
    sema_error(r->s, place(r, opened, opened + 1), "pattern", "this parenthesis is not closed");
    return false;
}

static bool check_names(reader *r, const pattern_side *side)
{
    for (uint32_t i = 0; i < side->n; i++) {
        if (side->axis[i].name == r->p->one) continue;
        if (pattern_find(side, side->axis[i].name) == (int)i) continue;
        sema_error(r->s, side->axis[i].at, "pattern", "axis '%s' stands twice", side->axis[i].name);
        return false;
    }
    return true;
}

bool pattern_parse(sema *s, const value *v, span at, bool groups, pattern *out)
{
    memset(out, 0, sizeof *out);
    if (v->kind != V_STRING) {
        if (v->kind != V_ERROR)
            diag_got(sema_error(s, at, "wrong-type", "a pattern is a string"), "%s", sema_value_text(s, v));
        return false;
    }
    out->dots = intern_z(s->names, PATTERN_ELLIPSIS);
    out->one = intern_z(s->names, PATTERN_ONE);
    out->at = v->string.at;
    reader r = {s, v->string.text, 0, v->string.at, groups, out};
    for (;;) {
        if (out->n_inputs == PATTERN_MAX_SIDES) {
            sema_error(s, out->at, "pattern", "this pattern has too many operands");
            return false;
        }
        pattern_side *side = &out->input[out->n_inputs++];
        if (!read_side(&r, side) || !check_names(&r, side)) return false;
        if (r.text[r.i] != ',') break;
        r.i++;
    }
    if (r.text[r.i] == 0) {
        sema_error(s, out->at, "pattern", "this pattern has no '->'");
        return false;
    }
    r.i += 2;
    if (!read_side(&r, &out->output) || !check_names(&r, &out->output)) return false;
    if (r.text[r.i] == 0) return true;
    sema_error(s, place(&r, r.i, r.i + 1), "pattern", "a pattern has one result");
    return false;
}

int pattern_find(const pattern_side *side, const char *name)
{
    for (uint32_t i = 0; i < side->n; i++)
        if (side->axis[i].name == name) return (int)i;
    return -1;
}

uint32_t pattern_ellipses(const pattern *p, const pattern_side *side)
{
    return pattern_find(side, p->dots) >= 0;
}
