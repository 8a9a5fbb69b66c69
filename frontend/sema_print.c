/* The elaborated program as text: one node a line. */
#include "frontend/sema.h"

static const char *const op_name[] = {
    [SN_INPUT] = "input",         [SN_PARAM] = "param",     [SN_CONST] = "const",     [SN_DIM] = "dim",
    [SN_IOTA] = "iota",           [SN_SCALAR] = "scalar",   [SN_CAST] = "cast",       [SN_BROADCAST] = "broadcast",
    [SN_TRANSPOSE] = "transpose", [SN_RESHAPE] = "reshape", [SN_SLICE] = "slice",     [SN_CONCAT] = "concat",
    [SN_CONTRACT] = "contract",   [SN_REDUCE] = "reduce",   [SN_SOFTMAX] = "softmax", [SN_NORMALIZE] = "normalize",
    [SN_ATTENTION] = "attention", [SN_GATHER] = "gather",
};

static const char *const scalar_name[] = {
#define SCALAR(name, NAME, arity, operands, result, f, i, math) #name,
#include "ir/scalar.def"
#undef SCALAR
};

static const char *const reduce_name[] = {"sum", "mean", "max", "min"};

static void print_axes(const sema_node *n, strbuf *out)
{
    strbuf_addc(out, '[');
    for (uint32_t i = 0; i < n->axes.n; i++) strbuf_addf(out, "%s%d", i ? ", " : "", n->axes.v[i]);
    strbuf_addc(out, ']');
}

static void print_details(const sema_program *p, const sema_node *n, strbuf *out)
{
    switch (n->op) {
    case SN_INPUT: strbuf_addf(out, " %u", n->input); break;
    case SN_PARAM: strbuf_addf(out, " \"%s\"", n->param->path); break;
    case SN_CONST:
        strbuf_addc(out, ' ');
        if (dtype_is_float(n->ty.dt)) strbuf_add_double(out, n->value);
        else strbuf_addf(out, "%lld", (long long)n->ivalue);
        break;
    case SN_DIM:
        strbuf_addc(out, ' ');
        dim_print(p->dims, n->size, out);
        break;
    case SN_IOTA:
    case SN_CONCAT:
    case SN_SOFTMAX:
    case SN_GATHER: strbuf_addf(out, " axis %d", n->axis); break;
    case SN_BROADCAST:
    case SN_TRANSPOSE:
        strbuf_addc(out, ' ');
        print_axes(n, out);
        break;
    case SN_REDUCE:
        strbuf_addf(out, " %s ", reduce_name[n->axes.reduce]);
        print_axes(n, out);
        break;
    case SN_SLICE:
        strbuf_adds(out, " from [");
        for (uint32_t i = 0; i < n->ty.rank; i++) {
            if (i) strbuf_adds(out, ", ");
            dim_print(p->dims, n->slice.start[i], out);
            if (n->slice.step[i] != 1) strbuf_addf(out, " step %lld", (long long)n->slice.step[i]);
        }
        strbuf_addc(out, ']');
        break;
    case SN_CONTRACT:
        strbuf_addf(out, " %.*s,%.*s->%.*s", n->args[0]->ty.rank, n->label[0], n->args[1]->ty.rank, n->label[1],
                    n->ty.rank, n->label[2]);
        break;
    case SN_NORMALIZE:
        strbuf_addf(out, " %s axis %d eps ", n->norm.rms ? "rms" : "standard", n->norm.axis);
        strbuf_add_double(out, n->norm.eps);
        break;
    case SN_ATTENTION:
        strbuf_adds(out, " scale ");
        strbuf_add_double(out, n->value);
        break;
    case SN_SCALAR:
    case SN_CAST:
    case SN_RESHAPE: break;
    }
}

static void print_function(const sema_program *p, const sema_function *f, strbuf *out)
{
    strbuf_addf(out, "\nfunction %s\n", f->name);
    vec_foreach (sema_port, in, &f->inputs) {
        strbuf_addf(out, "  in %s: ", in->name);
        sema_type_print(p->dims, &in->ty, out);
        strbuf_addc(out, '\n');
    }
    vec_foreach (sema_node *, at, &f->nodes) {
        const sema_node *n = *at;
        strbuf_addf(out, "  %%%u: ", n->id);
        sema_type_print(p->dims, &n->ty, out);
        strbuf_addf(out, " = %s", n->op == SN_SCALAR ? scalar_name[n->scalar] : op_name[n->op]);
        for (uint32_t i = 0; i < n->n_args; i++) strbuf_addf(out, "%s%%%u", i ? ", " : " ", n->args[i]->id);
        print_details(p, n, out);
        if (n->in->block) strbuf_addf(out, "  // %s @ \"%s\"", n->in->block, n->in->path);
        strbuf_addc(out, '\n');
    }
    vec_foreach (sema_point, pt, &f->points) strbuf_addf(out, "  point \"%s\" %%%u\n", pt->place, pt->node->id);
    vec_foreach (sema_port, r, &f->results) {
        strbuf_addf(out, "  out %s: ", r->name);
        sema_type_print(p->dims, &r->ty, out);
        strbuf_addf(out, " = %%%u\n", r->node->id);
    }
}

static void print_weight(const sema_program *p, const sema_weight *w, strbuf *out)
{
    static const char *const names[] = {[SW_CAST] = "cast",
                                        [SW_SLICE] = "slice",
                                        [SW_TRANSPOSE] = "transpose",
                                        [SW_CONCAT] = "concat",
                                        [SW_STACK] = "stack"};
    if (w->kind == SW_FILE) {
        strbuf_addf(out, "\"%s\"", p->weights->entries[w->entry].name);
        return;
    }
    strbuf_addf(out, "%s(", names[w->kind]);
    for (uint32_t i = 0; i < w->n_args; i++) {
        if (i) strbuf_adds(out, ", ");
        print_weight(p, w->args[i], out);
    }
    if (w->kind == SW_CAST) strbuf_addf(out, ", %s", dtype_name(w->dt));
    if (w->kind == SW_CONCAT) strbuf_addf(out, ", axis = %d", w->axis);
    for (uint32_t i = 0; w->kind == SW_TRANSPOSE && i < w->rank; i++)
        strbuf_addf(out, "%s%d", i ? " " : ", ", w->perm[i]);
    for (uint32_t i = 0; w->kind == SW_SLICE && i < w->rank; i++)
        strbuf_addf(out, ", %lld..%lld", (long long)w->start[i], (long long)(w->start[i] + w->shape[i]));
    strbuf_addc(out, ')');
}

void sema_program_print(const sema_program *p, strbuf *out)
{
    strbuf_addf(out, "model %s\n", p->name);
    vec_foreach (sema_param *, at, &p->params) {
        const sema_param *q = *at;
        strbuf_addf(out, "param \"%s\": ", q->path);
        sema_type_print(p->dims, &q->ty, out);
        if (q->tied) strbuf_addf(out, " tied \"%s\"", q->tied);
        if (q->source) {
            strbuf_adds(out, " = ");
            print_weight(p, q->source, out);
        }
        strbuf_addc(out, '\n');
    }
    vec_foreach (sema_check, c, &p->checks) {
        strbuf_adds(out, "check ");
        dim_print(p->dims, c->left, out);
        strbuf_adds(out, c->op == SEMA_CHECK_EQ ? " == " : " <= ");
        dim_print(p->dims, c->right, out);
        strbuf_addc(out, '\n');
    }
    vec_foreach (sema_function *, f, &p->functions) print_function(p, *f, out);
}
