/* The .tir text form, written so that parsing and printing it again gives the same bytes. docs/tir.md describes it.
 *
 * Values are numbered in order of appearance, not by id, so erased nodes leave no trace in the text. */
#include "ir/internal.h"

#include "ir/constant.h"

bool is_identifier(const char *s)
{
    if (!s || !((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_')) return false;
    for (; *s; s++)
        if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || *s == '_' ||
              *s == '.'))
            return false;
    return true;
}

void print_quoted(strbuf *out, const char *s)
{
    strbuf_addc(out, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') strbuf_addf(out, "\\%c", c);
        else if (c == '\n') strbuf_adds(out, "\\n");
        else if (c == '\t') strbuf_adds(out, "\\t");
        else if (c < 0x20 || c == 0x7f) strbuf_addf(out, "\\x%02x", c);
        else strbuf_addc(out, *s);
    }
    strbuf_addc(out, '"');
}

void print_name(strbuf *out, const char *s)
{
    if (is_identifier(s)) strbuf_adds(out, s);
    else print_quoted(out, s);
}

typedef struct {
    arena *a;
    const char **names;
    ptrmap *taken;
    uint32_t number;
} naming;

static void give_name(naming *x, const value *v)
{
    bool named = is_identifier(v->name) && !ptrmap_has(x->taken, v->name);
    if (named) ptrmap_set(x->taken, v->name, (void *)v);
    x->names[v->id] = named ? v->name : arena_printf(x->a, "%u", x->number++);
}

const char **value_names(const function *f, arena *a)
{
    naming x = {.a = a, .names = ARENA_ARRAY(a, const char *, f->m->n_values), .taken = ptrmap_new(a)};
    for (uint32_t i = 0; i < f->args.len; i++) give_name(&x, f->args.data[i].v);
    for (uint32_t i = 0; i < f->states.len; i++) give_name(&x, f->states.data[i].in);
    function_foreach (n, f)
        for (uint32_t i = 0; i < n->n_results; i++) give_name(&x, n->results[i]);
    return x.names;
}

static void print_value(const value *v, const char *const *names, strbuf *out)
{
    strbuf_addf(out, "%%%s", names[v->id] ? names[v->id] : "<undefined>");
}

void node_print_with(const node *n, const char *const *names, strbuf *out)
{
    const module *m = n->fn->m;
    const op_info *row = op_row(n->op);
    for (uint32_t i = 0; i < n->n_results; i++) {
        if (i) strbuf_adds(out, ", ");
        print_value(n->results[i], names, out);
    }
    strbuf_addf(out, " = %s", row->name);
    int inline_attr = attr_is_inline(row);
    if (inline_attr >= 0 && n->attrs[inline_attr].set) { /* reads as the operand that it stands for */
        strbuf_addc(out, ' ');
        attr_print(m, &n->attrs[inline_attr], out);
    }
    for (uint32_t i = 0; i < n->n_operands; i++) {
        strbuf_adds(out, i ? ", " : " ");
        print_value(n->operands[i], names, out);
    }
    bool open = false;
    for (int i = 0; i < row->n_attrs; i++) {
        const attr *a = &n->attrs[i];
        if (!a->set || i == inline_attr) continue;
        strbuf_addf(out, "%s%s = ", open ? ", " : " {", attr_text(a->name));
        attr_print(m, a, out);
        open = true;
    }
    if (open) strbuf_addc(out, '}');
    for (uint32_t i = 0; i < n->n_results; i++) {
        strbuf_adds(out, i ? ", " : " : ");
        type_print(m, &n->results[i]->ty, out);
    }
}

void node_print(const node *n, strbuf *out)
{
    node_print_with(n, value_names(n->fn, out->a), out);
}

/* ---- whole modules ---- */

static void print_doc(strbuf *out, const char *doc)
{
    if (!doc) return;
    strbuf_adds(out, " doc ");
    print_quoted(out, doc);
}

static void print_dim_symbol(const dim_symbol *s, strbuf *out)
{
    static const char *const origins[] = {[DIM_INPUT] = "input", [DIM_SETTING] = "setting", [DIM_DATA] = "data"};
    strbuf_addf(out, "dim %s %s %lld..%lld", s->name, origins[s->origin], (long long)s->min, (long long)s->max);
    if (s->multiple != 1) strbuf_addf(out, " multiple %lld", (long long)s->multiple);
    print_doc(out, s->doc);
    strbuf_addc(out, '\n');
}

static void print_check(const module *m, const dim_check *c, strbuf *out)
{
    static const char *const relations[] = {[CHECK_EQ] = "==", [CHECK_LE] = "<=", [CHECK_MULTIPLE] = "multiple"};
    strbuf_adds(out, "  check ");
    dim_print(m->dims, c->lhs, out);
    strbuf_addf(out, " %s ", relations[c->op]);
    dim_print(m->dims, c->rhs, out);
    strbuf_addc(out, '\n');
}

/* Regions of f that get a number: all but the root. Numbers count from 1 in order of creation. */
static uint32_t *region_numbers(const function *f, arena *a)
{
    uint32_t *number = ARENA_ARRAY(a, uint32_t, f->m->regions.len);
    uint32_t next = 1;
    for (uint32_t i = 0; i < f->m->regions.len; i++) {
        const region *r = f->m->regions.data[i];
        if (r->parent == f->root || (r->parent && number[r->parent->id])) number[r->id] = next++;
    }
    return number;
}

static void print_signature(const function *f, const char *const *names, strbuf *out)
{
    const module *m = f->m;
    strbuf_adds(out, f->kind == FUNCTION_BODY ? "\nbody @" : "\nfunc @");
    print_name(out, f->name);
    strbuf_addc(out, '(');
    for (uint32_t i = 0; i < f->args.len; i++) {
        if (i) strbuf_adds(out, ", ");
        print_value(f->args.data[i].v, names, out);
        strbuf_adds(out, ": ");
        type_print(m, &f->args.data[i].v->ty, out);
        print_doc(out, f->args.data[i].doc);
    }
    strbuf_adds(out, ") -> (");
    for (uint32_t i = 0; i < f->results.len; i++) {
        if (i) strbuf_adds(out, ", ");
        print_name(out, f->results.data[i].name);
        strbuf_adds(out, ": ");
        type_print(m, &f->results.data[i].v->ty, out);
        print_doc(out, f->results.data[i].doc);
    }
    strbuf_addc(out, ')');
    print_doc(out, f->doc);
    strbuf_adds(out, " {\n");
}

static void print_states_in(const function *f, const char *const *names, strbuf *out)
{
    for (uint32_t i = 0; i < f->states.len; i++) {
        strbuf_adds(out, "  ");
        print_value(f->states.data[i].in, names, out);
        strbuf_adds(out, " = state ");
        print_quoted(out, f->states.data[i].s->path);
        strbuf_adds(out, " : ");
        type_print(f->m, &f->states.data[i].s->ty, out);
        strbuf_addc(out, '\n');
    }
}

/* States that are only read end as they began. */
static void print_states_out(const function *f, const char *const *names, strbuf *out)
{
    for (uint32_t i = 0; i < f->states.len; i++) {
        if (f->states.data[i].out == f->states.data[i].in) continue;
        strbuf_adds(out, "  state ");
        print_quoted(out, f->states.data[i].s->path);
        strbuf_adds(out, " = ");
        print_value(f->states.data[i].out, names, out);
        strbuf_addc(out, '\n');
    }
}

/* With the bodies that it runs before it: whoever reads it needs their types. */
static void print_function(const function *f, strbuf *out)
{
    const module *m = f->m;
    function_foreach (n, f) {
        const function *body = node_body(n);
        if (body && body->scan == n) print_function(body, out);
    }
    const char **names = value_names(f, out->a);
    uint32_t *number = region_numbers(f, out->a);
    print_signature(f, names, out);
    print_states_in(f, names, out);
    for (uint32_t i = 0; i < f->checks.len; i++) print_check(m, &f->checks.data[i], out);
    for (uint32_t i = 0; i < m->regions.len; i++) {
        const region *r = m->regions.data[i];
        if (!number[r->id]) continue;
        strbuf_addf(out, "  region r%u = ", number[r->id]);
        print_quoted(out, r->block ? r->block : "");
        strbuf_adds(out, " at ");
        print_quoted(out, r->path);
        if (r->parent != f->root) strbuf_addf(out, " in r%u", number[r->parent->id]);
        strbuf_addc(out, '\n');
    }
    function_foreach (n, f) {
        strbuf_adds(out, "  ");
        node_print_with(n, names, out);
        if (n->in != f->root) strbuf_addf(out, " in r%u", number[n->in->id]);
        strbuf_addc(out, '\n');
    }
    for (uint32_t i = 0; i < f->points.len; i++) {
        strbuf_adds(out, "  point ");
        print_quoted(out, f->points.data[i].place);
        strbuf_adds(out, " = ");
        print_value(f->points.data[i].v, names, out);
        strbuf_addc(out, '\n');
    }
    vec_foreach (value *const, v, &f->valid) {
        strbuf_adds(out, "  valid ");
        print_value(*v, names, out);
        strbuf_addc(out, '\n');
    }
    print_states_out(f, names, out);
    strbuf_adds(out, "  return");
    for (uint32_t i = 0; i < f->results.len; i++) {
        strbuf_adds(out, i ? ", " : " ");
        print_value(f->results.data[i].v, names, out);
    }
    strbuf_adds(out, "\n}\n");
}

/* The places of a rule: "@f" is the whole function, "@f r3" an instance in it. What only a dropped body has is left
 * out.
 */
static void print_places(const module *m, const policy_rule *r, uint32_t *const *numbers, strbuf *out)
{
    const char *before = " at @";
    vec_foreach (region *, x, &r->regions) {
        const function *f = region_function(m, *x);
        if (!f || !numbers[f->id]) continue;
        strbuf_adds(out, before);
        print_name(out, f->name);
        if (*x != f->root) strbuf_addf(out, " r%u", numbers[f->id][(*x)->id]);
        before = ", @";
    }
    vec_foreach (policy_point, p, &r->points) {
        strbuf_adds(out, before);
        print_name(out, p->fn->name);
        strbuf_addc(out, ' ');
        print_quoted(out, p->place);
        before = ", @";
    }
}

static void print_policy(const module *m, strbuf *out)
{
    if (!m->policy.len) return;
    uint32_t n, **numbers = ARENA_ARRAY(out->a, uint32_t *, m->n_functions);
    function **all = module_walk(m, out->a, &n);
    for (uint32_t i = 0; i < n; i++) numbers[all[i]->id] = region_numbers(all[i], out->a);
    strbuf_addc(out, '\n');
    vec_foreach (policy_rule *, r, &m->policy) {
        strbuf_adds(out, "rule ");
        policy_rule_print(*r, out);
        print_places(m, *r, numbers, out);
        strbuf_addc(out, '\n');
    }
}

void module_print(const module *m, strbuf *out)
{
    strbuf_adds(out, "module ");
    print_name(out, m->name);
    print_doc(out, m->doc);
    strbuf_addc(out, '\n');
    for (uint32_t i = 0; i < dim_symbol_count(m->dims); i++) print_dim_symbol(dim_symbol_at(m->dims, i), out);
    for (uint32_t i = 0; i < m->params.len; i++) {
        const param *p = m->params.data[i];
        strbuf_adds(out, "param ");
        print_quoted(out, p->path);
        strbuf_adds(out, " : ");
        type_print(m, &p->ty, out);
        strbuf_adds(out, " = ");
        cexpr_print(p->value, out);
        strbuf_addc(out, '\n');
    }
    for (uint32_t i = 0; i < m->states.len; i++) {
        strbuf_adds(out, "state ");
        print_quoted(out, m->states.data[i]->path);
        strbuf_adds(out, " : ");
        type_print(m, &m->states.data[i]->ty, out);
        strbuf_addc(out, '\n');
    }
    for (uint32_t i = 0; i < m->functions.len; i++) print_function(m->functions.data[i], out);
    print_policy(m, out);
}
