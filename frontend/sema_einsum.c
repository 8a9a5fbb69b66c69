/* einsum: sums of products over named axes, as contractions of two operands at a time from the left. */
#include "frontend/sema_pattern.h"

enum { MAX_LABELS = 26 };

/* Labels are small integers over the whole pattern: the named axes, then those that '...' stands for. */
typedef struct {
    uint32_t n;
    const char *name[MAX_LABELS]; /* NULL: from '...' */
    dim size[MAX_LABELS];
    uint32_t first_dot, dots; /* labels that '...' stands for, aligned at the last */
} label_table;

typedef struct {
    uint32_t rank;
    uint8_t label[SEMA_MAX_RANK];
} axis_labels;

static int find_label(const label_table *t, const char *name)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (t->name[i] == name) return (int)i;
    return -1;
}

static int add_label(sema *s, label_table *t, const char *name, dim size, span at)
{
    if (t->n == MAX_LABELS) {
        sema_error(s, at, "pattern", "this pattern has too many axes");
        return -1;
    }
    t->name[t->n] = name;
    t->size[t->n] = size;
    return (int)t->n++;
}

/* The operand's axis must have the size that its label has elsewhere. */
static bool agree(sema *s, const label_table *t, int label, dim got, span at, const char *name)
{
    dim want = t->size[label];
    if (sema_dims_fit(s, want, got)) return true;
    diag *g;
    if (sema_dims_differ(s, want, got))
        g = sema_error(s, at, "dims-not-equal", "axis '%s' is %s here, but %s before", name, sema_dim_text(s, got),
                       sema_dim_text(s, want));
    else
        g = sema_error(s, at, "dims-not-equal", "cannot show that dims %s and %s of axis '%s' are equal",
                       sema_dim_text(s, want), sema_dim_text(s, got), name);
    sema_explain_dims(s, g, want, got, false);
    return false;
}

/* "bsd,btd->bst", as NumPy writes it. */
static bool written_without_blanks(const pattern *p)
{
    bool all = p->output.n <= 1;
    for (uint32_t i = 0; i < p->n_inputs; i++) all &= p->input[i].n <= 1;
    return all;
}

static void add_letters(const pattern_side *side, strbuf *out)
{
    for (const char *c = side->n ? side->axis[0].name : ""; *c; c++)
        strbuf_addf(out, "%s%c", c > side->axis[0].name ? " " : "", *c);
}

static const char *with_blanks(sema *s, const pattern *p)
{
    strbuf b = strbuf_new(s->a);
    for (uint32_t i = 0; i < p->n_inputs; i++) {
        if (i) strbuf_adds(&b, ", ");
        add_letters(&p->input[i], &b);
    }
    strbuf_adds(&b, " -> ");
    add_letters(&p->output, &b);
    return b.s;
}

static bool label_operand(sema *s, const pattern *p, const pattern_side *side, const sema_node *x, label_table *t,
                          axis_labels *out)
{
    uint32_t dots = pattern_ellipses(p, side), named = side->n - dots;
    if (dots ? x->ty.rank < named : x->ty.rank != named) {
        diag *g = sema_error(s, side->at, "rank", "this operand has %u axes", x->ty.rank);
        diag_expected(g, "%u axes%s", named, dots ? " or more" : "");
        diag_got(g, "%s", sema_type_text(s, &x->ty));
        if (written_without_blanks(p)) diag_hint(g, "names stand apart: \"%s\"", with_blanks(s, p));
        return false;
    }
    uint32_t filler = x->ty.rank - named, axis = 0;
    for (uint32_t i = 0; i < side->n; i++) {
        const pattern_axis *a = &side->axis[i];
        if (a->name != p->dots) {
            int l = find_label(t, a->name);
            if (l < 0) l = add_label(s, t, a->name, x->ty.shape[axis], a->at);
            if (l < 0 || !agree(s, t, l, x->ty.shape[axis], a->at, a->name)) return false;
            out->label[axis++] = (uint8_t)l;
            continue;
        }
        if (t->dots == 0) {
            t->first_dot = t->n;
            for (uint32_t k = 0; k < filler; k++)
                if (add_label(s, t, NULL, x->ty.shape[axis + k], a->at) < 0) return false;
            t->dots = filler;
        }
        if (filler > t->dots) {
            sema_error(s, a->at, "rank", "'...' stands for %u axes here, but for %u before", filler, t->dots);
            return false;
        }
        for (uint32_t k = 0; k < filler; k++) {
            int l = (int)(t->first_dot + t->dots - filler + k);
            if (!agree(s, t, l, x->ty.shape[axis], a->at, "...")) return false;
            out->label[axis++] = (uint8_t)l;
        }
    }
    out->rank = axis;
    return true;
}

static bool has_label(const axis_labels *a, uint32_t label)
{
    for (uint32_t i = 0; i < a->rank; i++)
        if (a->label[i] == label) return true;
    return false;
}

static bool wanted_later(uint32_t label, const axis_labels *rest, uint32_t n, const axis_labels *output)
{
    for (uint32_t i = 0; i < n; i++)
        if (has_label(&rest[i], label)) return true;
    return has_label(output, label);
}

/* Sums the axes of x that nobody else has. */
static sema_node *drop_lonely(sema *s, sema_node *x, axis_labels *l, const axis_labels *rest, uint32_t n,
                              const axis_labels *output, span at)
{
    uint8_t axes[SEMA_MAX_RANK];
    uint32_t count = 0;
    axis_labels kept = {0};
    for (uint32_t i = 0; i < l->rank; i++) {
        if (wanted_later(l->label[i], rest, n, output)) kept.label[kept.rank++] = l->label[i];
        else axes[count++] = (uint8_t)i;
    }
    *l = kept;
    return count ? sn_reduce(s, x, SEMA_SUM, axes, count, at) : x;
}

static sema_node *contract(sema *s, sema_node *x, const axis_labels *xl, sema_node *y, const axis_labels *yl,
                           const axis_labels *zl, const label_table *t, span at)
{
    dim shape[SEMA_MAX_RANK];
    for (uint32_t i = 0; i < zl->rank; i++) shape[i] = t->size[zl->label[i]];
    sema_node *in[2] = {x, y};
    sema_node *n = sn_new(s, SN_CONTRACT, sema_type_of(x->ty.dt, zl->rank, shape), at, in, 2);
    const axis_labels *all[3] = {xl, yl, zl};
    for (int o = 0; o < 3; o++)
        for (uint32_t i = 0; i < all[o]->rank; i++) n->label[o][i] = (char)('a' + all[o]->label[i]);
    return n;
}

static sema_node *to_order(sema *s, sema_node *x, const axis_labels *have, const axis_labels *want, span at)
{
    uint8_t perm[SEMA_MAX_RANK];
    for (uint32_t i = 0; i < want->rank; i++)
        for (uint32_t k = 0; k < have->rank; k++)
            if (have->label[k] == want->label[i]) perm[i] = (uint8_t)k;
    return sn_transpose(s, x, perm, at);
}

static bool output_labels(sema *s, const pattern *p, const label_table *t, axis_labels *out)
{
    for (uint32_t i = 0; i < p->output.n; i++) {
        const pattern_axis *a = &p->output.axis[i];
        bool dots = a->name == p->dots;
        uint32_t n = dots ? t->dots : 1;
        int l = dots ? (int)t->first_dot : find_label(t, a->name);
        if (l < 0) {
            sema_error(s, a->at, "pattern", "axis '%s' of the result is in no operand", a->name);
            return false;
        }
        if (out->rank + n > SEMA_MAX_RANK) {
            sema_error(s, a->at, "rank", "a tensor has at most %d axes", SEMA_MAX_RANK);
            return false;
        }
        for (uint32_t k = 0; k < n; k++) out->label[out->rank++] = (uint8_t)((uint32_t)l + k);
    }
    return true;
}

value builtin_einsum(sema *s, const ast_expr *e)
{
    const ast_args *args = &e->call.args;
    pattern p;
    vec_foreach (ast_arg, arg, args)
        if (arg->key.name) {
            sema_error(s, arg->key.at, "unknown-argument", "'einsum' takes no named arguments");
            return sema_error_value();
        }
    if (args->len < 2) {
        sema_error(s, e->call.callee->at, "arity", "'einsum' takes a pattern and its operands");
        return sema_error_value();
    }
    value text = eval(s, args->data[0].value);
    if (text.kind != V_STRING && text.kind != V_ERROR && args->data[args->len - 1].value->kind == EX_STRING) {
        diag *g =
            sema_error(s, args->data[args->len - 1].value->at, "arguments", "the pattern of 'einsum' comes first");
        diag_hint(g, "write einsum(%s, x, ...)", sema_source_text(s, args->data[args->len - 1].value->at));
        return sema_error_value();
    }
    if (!pattern_parse(s, &text, args->data[0].value->at, false, &p)) return sema_error_value();
    uint32_t n = args->len - 1;
    if (n != p.n_inputs) {
        diag *g = sema_error(s, p.at, "arity", "this pattern has %u operand%s", p.n_inputs, p.n_inputs == 1 ? "" : "s");
        diag_got(g, "%u", n);
        return sema_error_value();
    }
    sema_node *x[PATTERN_MAX_SIDES];
    axis_labels l[PATTERN_MAX_SIDES] = {0}, output = {0};
    label_table t = {0};
    for (uint32_t i = 0; i < n; i++) {
        const ast_expr *arg = args->data[i + 1].value;
        value v = eval(s, arg);
        if (v.kind == V_ERROR) return v;
        if (v.kind != V_TENSOR || !dtype_is_float(v.node->ty.dt) || (i && v.node->ty.dt != x[0]->ty.dt)) {
            diag *g = sema_error(s, arg->at, "wrong-type", "'einsum' takes float tensors of one type");
            if (i) diag_expected(g, "%s[...]", dtype_name(x[0]->ty.dt));
            diag_got(g, "%s", sema_value_text(s, &v));
            return sema_error_value();
        }
        x[i] = v.node;
        if (!label_operand(s, &p, &p.input[i], x[i], &t, &l[i])) return sema_error_value();
    }
    if (!output_labels(s, &p, &t, &output)) return sema_error_value();
    for (uint32_t i = 0; i < n; i++) { /* sizes equal by a required fact become one expression */
        dim shape[SEMA_MAX_RANK];
        for (uint32_t k = 0; k < l[i].rank; k++) shape[k] = t.size[l[i].label[k]];
        x[i] = sn_stretch(s, x[i], l[i].rank, shape, e->at);
    }
    for (uint32_t i = 0; i < n; i++) {
        axis_labels others[PATTERN_MAX_SIDES];
        uint32_t count = 0;
        for (uint32_t k = 0; k < n; k++)
            if (k != i) others[count++] = l[k];
        x[i] = drop_lonely(s, x[i], &l[i], others, count, &output, e->at);
    }
    for (uint32_t i = 1; i < n; i++) {
        axis_labels z = {0};
        if (i + 1 == n) {
            z = output;
        } else {
            for (int o = 0; o < 2; o++) {
                const axis_labels *from = o ? &l[i] : &l[0];
                for (uint32_t k = 0; k < from->rank; k++) {
                    if (has_label(&z, from->label[k]) || !wanted_later(from->label[k], l + i + 1, n - i - 1, &output))
                        continue;
                    if (z.rank == SEMA_MAX_RANK) {
                        sema_error(s, p.at, "rank", "an intermediate result has more than %d axes", SEMA_MAX_RANK);
                        return sema_error_value();
                    }
                    z.label[z.rank++] = from->label[k];
                }
            }
        }
        x[0] = contract(s, x[0], &l[0], x[i], &l[i], &z, &t, e->at);
        l[0] = z;
    }
    return sema_tensor_value(to_order(s, x[0], &l[0], &output, e->at));
}
