/* Which dims a function depends on: whoever runs it has to give their values. */
#include "ir/internal.h"

static bool is_index(const module *m, const node *n, uint32_t symbol)
{
    return n->op == OP_SCAN && dim_is_symbol(m->dims, node_attr(n, ATTR_INDEX)->u.d) == (int32_t)symbol;
}

bool module_symbol_is_index(const module *m, uint32_t symbol)
{
    for (uint32_t i = 0; i < m->bodies.len; i++)
        if (m->bodies.data[i]->scan && is_index(m, m->bodies.data[i]->scan, symbol)) return true;
    return false;
}

node *function_counting_node(const function *f, dim d)
{
    for (node *n = f->first; n; n = n->next)
        if (op_row(n->op)->props & P_COUNTS && node_attr(n, ATTR_TOKENS)->u.d == d) return n;
    return NULL;
}

static bool is_counted(const function *f, uint32_t symbol)
{
    for (const node *n = f->first; n; n = n->next)
        if (op_row(n->op)->props & P_COUNTS &&
            dim_is_symbol(f->m->dims, node_attr(n, ATTR_TOKENS)->u.d) == (int32_t)symbol)
            return true;
    return false;
}

bool node_count_is_used(const node *n)
{
    if (!(op_row(n->op)->props & P_COUNTS)) return false;
    const dim_ctx *c = n->fn->m->dims;
    dim counted = node_attr(n, ATTR_TOKENS)->u.d;
    uint32_t symbol = (uint32_t)dim_is_symbol(c, counted);
    for (const node *x = n->fn->first; x; x = x->next) {
        if (x == n) continue;
        if (op_row(x->op)->props & P_COUNTS && node_attr(x, ATTR_TOKENS)->u.d == counted) return false; /* it stays */
        for (int k = 0; k < x->result->ty.rank; k++)
            if (dim_uses(c, x->result->ty.shape[k], symbol)) return true;
    }
    return false;
}

static void mark(const module *m, dim d, bool *used)
{
    uint32_t n = dim_symbol_count(m->dims);
    if (dim_is_const(m->dims, d, NULL)) return;
    for (uint32_t s = 0; s < n; s++) used[s] = used[s] || dim_uses(m->dims, d, s);
}

static void mark_type(const module *m, const type *t, bool *used)
{
    for (int k = 0; k < t->rank; k++) mark(m, t->shape[k], used);
}

/* The types of a body's arguments are those of its operands. */
static void mark_function(const function *f, bool *used)
{
    const module *m = f->m;
    for (uint32_t i = 0; i < f->args.len; i++) mark_type(m, &f->args.data[i].v->ty, used);
    function_foreach (n, f) {
        for (uint32_t i = 0; i < n->n_results; i++) mark_type(m, &n->results[i]->ty, used);
        for (int i = 0; i < op_row(n->op)->n_attrs; i++) {
            const attr *a = &n->attrs[i];
            if (!a->set) continue;
            if (attr_kind_of(a->name) == AK_DIM) mark(m, a->u.d, used);
            if (attr_kind_of(a->name) == AK_DIMS)
                for (int k = 0; k < a->u.dims.n; k++) mark(m, a->u.dims.v[k], used);
            if (attr_kind_of(a->name) == AK_BODY) mark_function(a->u.f, used);
        }
    }
    vec_foreach (const dim_check, c, &f->checks) {
        mark(m, c->lhs, used);
        mark(m, c->rhs, used);
    }
}

void function_symbols(const function *f, bool *used)
{
    uint32_t n = dim_symbol_count(f->m->dims);
    memset(used, 0, n * sizeof *used);
    mark_function(f, used);
    for (uint32_t s = 0; s < n; s++) used[s] = used[s] && !module_symbol_is_index(f->m, s) && !is_counted(f, s);
}
