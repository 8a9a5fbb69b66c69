/* The invariants of a module, checked one by one. Runs after every pass in debug builds and on everything that is read
 * from text; a violation by a pass is a bug in the pass, and the message shows the node. */
#include "ir/constant.h"
#include "ir/internal.h"

#include <stdarg.h>

typedef struct {
    const module *m;
    diags *d;
    arena *a;
    uint32_t violations;
    bool list_ok;         /* the nodes of the function at hand can be walked */
    const value **by_id;  /* the value that owns an id */
    uint32_t *defined;    /* 1 + position of a value's definition in the function at hand; 0: not defined in it */
    uint32_t *uses;       /* by value id: in the function at hand */
    const param **params; /* by id: those that the module lists */
    uint32_t n_param_ids;
    bool *is_index;        /* by symbol: some scan counts with it */
    bool *is_counted;      /* by symbol: some node gives it its value */
    const value **mask_of; /* by symbol: the mask whose elements it counts, from here on in the function at hand */
} verifier;

/* A node's results can be looked at. */
static bool results_sound(const verifier *v, const node *n)
{
    if (!n->n_results || !n->results || n->result != n->results[0]) return false;
    for (uint32_t i = 0; i < n->n_results; i++)
        if (!n->results[i] || n->results[i]->id >= v->m->n_values) return false;
    return true;
}

/* A broken node is only shown when the printer cannot trip over it. */
static bool is_printable(const verifier *v, const function *f, const node *n)
{
    if (!f || !n || n->fn != f || f->m != v->m || !results_sound(v, n)) return false;
    for (uint32_t i = 0; i < n->n_operands; i++)
        if (!n->operands[i] || n->operands[i]->id >= v->m->n_values) return false;
    const op_info *row = op_row(n->op);
    for (int i = 0; i < row->n_attrs; i++) {
        const attr *a = &n->attrs[i];
        if (a->name != row->attrs[i] || (a->set && attr_kind_of(a->name) == AK_PARAM && !a->u.p)) return false;
        if (a->set && attr_kind_of(a->name) == AK_BODY && !a->u.f) return false;
    }
    return v->list_ok;
}

static __attribute__((format(printf, 4, 5))) void violation(verifier *v, const function *f, const node *n,
                                                            const char *fmt, ...)
{
    v->violations++;
    va_list ap;
    va_start(ap, fmt);
    const char *message = arena_vprintf(v->a, fmt, ap);
    va_end(ap);
    span at = n && n->n_sources ? n->sources[0] : (span){0};
    diag *g =
        f ? diag_error(v->d, at, "function @%s: %s", f->name, message) : diag_error(v->d, at, "module: %s", message);
    diag_code(g, "invalid-ir");
    if (!is_printable(v, f, n)) return;
    strbuf s = strbuf_new(v->a);
    node_print(n, &s);
    diag_note(g, "in %s", s.s);
}

static const char *shown(verifier *v, const type *t)
{
    strbuf s = strbuf_new(v->a);
    type_print(v->m, t, &s);
    return s.s;
}

/* A type whose sizes exist, are not negative and whose bytes can be counted. */
static bool type_ok(verifier *v, const type *t)
{
    if ((unsigned)t->dt >= DT_COUNT || t->rank > MAX_RANK || (unsigned)t->enc.kind >= ENC_COUNT) return false;
    if (t->enc.kind == ENC_ROWS ? t->enc.param != 0 : t->rank != 2 || t->enc.param < 1) return false;
    dim bits = dim_const(v->m->dims, dtype_bits(t->dt));
    for (int i = 0; i < t->rank; i++) {
        int64_t size;
        if (t->shape[i] == DIM_BAD) return false;
        if (dim_is_const(v->m->dims, t->shape[i], &size) && size < 0) return false;
        bits = dim_mul(v->m->dims, bits, t->shape[i]);
    }
    return bits != DIM_BAD;
}

static void verify_params(verifier *v)
{
    const module *m = v->m;
    ptrmap *paths = ptrmap_new(v->a);
    for (uint32_t i = 0; i < m->params.len; i++) {
        const param *p = m->params.data[i];
        int64_t shape[MAX_RANK];
        if (ptrmap_has(paths, p->path)) violation(v, NULL, NULL, "two parameters are named \"%s\"", p->path);
        ptrmap_set(paths, p->path, (void *)p);
        if (p->id >= v->n_param_ids || v->params[p->id]) {
            violation(v, NULL, NULL, "parameter \"%s\" has the id of another", p->path);
            continue;
        }
        v->params[p->id] = p;
        if (!type_ok(v, &p->ty) || !type_is_const(m, &p->ty, shape)) {
            violation(v, NULL, NULL, "parameter \"%s\" is %s", p->path, shown(v, &p->ty));
            continue;
        }
        const cexpr *e = p->value;
        if (!e) {
            violation(v, NULL, NULL, "parameter \"%s\" has no value", p->path);
            continue;
        }
        bool fits = e->dt == p->ty.dt;
        if (p->ty.enc.kind == ENC_ROWS)
            fits = fits && e->rank == p->ty.rank && !memcmp(e->shape, shape, e->rank * sizeof *shape);
        else
            fits = fits && e->kind == CE_ENCODE && e->u.enc.kind == p->ty.enc.kind &&
                   e->u.enc.param == p->ty.enc.param && e->args[0]->rank == p->ty.rank &&
                   !memcmp(e->args[0]->shape, shape, p->ty.rank * sizeof *shape);
        if (!fits) violation(v, NULL, NULL, "the value of parameter \"%s\" is not %s", p->path, shown(v, &p->ty));
    }
}

static void verify_states(verifier *v)
{
    const module *m = v->m;
    ptrmap *paths = ptrmap_new(v->a);
    for (uint32_t i = 0; i < m->states.len; i++) {
        const state_var *s = m->states.data[i];
        if (s->id != i) violation(v, NULL, NULL, "state \"%s\" has the id of another", s->path);
        if (ptrmap_has(paths, s->path)) violation(v, NULL, NULL, "two states are named \"%s\"", s->path);
        ptrmap_set(paths, s->path, (void *)s);
        if (!type_ok(v, &s->ty) || !type_is_const(m, &s->ty, NULL) || s->ty.enc.kind != ENC_ROWS)
            violation(v, NULL, NULL, "state \"%s\" is %s", s->path, shown(v, &s->ty));
    }
}

/* False when walking up from a region might not end. */
static bool verify_regions(verifier *v)
{
    uint32_t before = v->violations;
    const module *m = v->m;
    for (uint32_t i = 0; i < m->regions.len; i++) {
        const region *r = m->regions.data[i];
        if (r->id != i || (r->parent && r->parent->id >= i))
            violation(v, NULL, NULL, "region %u is not numbered after its parent", i);
    }
    return v->violations == before;
}

/* The places of rules are regions and points of the module. */
static void verify_policy(verifier *v)
{
    const module *m = v->m;
    vec_foreach (policy_rule *, p, &m->policy) {
        const policy_rule *r = *p;
        bool of_regions = r->relation == POLICY_IN;
        if ((of_regions && r->points.len) || (!of_regions && r->regions.len))
            violation(v, NULL, NULL, "rule %s has places of the wrong kind", r->verb);
        vec_foreach (region *, x, &r->regions)
            if ((*x)->id >= m->regions.len || m->regions.data[(*x)->id] != *x)
                violation(v, NULL, NULL, "a region of rule %s is not in the module", r->verb);
        vec_foreach (policy_point, x, &r->points)
            if (x->fn->m != m || !function_find_point(x->fn, x->place))
                violation(v, NULL, NULL, "rule %s speaks of \"%s\", which is no point", r->verb, x->place);
    }
}

/* The first half of a value: its id and type. */
static void verify_value(verifier *v, const function *f, const node *n, const value *x, uint32_t position)
{
    if (x->id >= v->m->n_values || (v->by_id[x->id] && v->by_id[x->id] != x)) {
        violation(v, f, NULL, "value id %u is out of range or taken", x->id);
        return;
    }
    v->by_id[x->id] = x;
    v->defined[x->id] = position;
    if (x->def != n || (n ? x->index >= n->n_results || n->results[x->index] != x : x->fn != f))
        violation(v, f, n, "a value does not know its definition");
    if (!type_ok(v, &x->ty))
        violation(v, f, n, "the type %s has sizes that are negative or overflow", shown(v, &x->ty));
}

static bool is_defined(const verifier *v, const value *x, uint32_t before)
{
    return x && x->id < v->m->n_values && v->by_id[x->id] == x && v->defined[x->id] && v->defined[x->id] < before;
}

static void verify_node(verifier *v, const function *f, const node *n, uint32_t position)
{
    const op_info *row = op_row(n->op);
    bool operands_ok = true;
    for (uint32_t i = 0; i < n->n_operands; i++)
        if (!is_defined(v, n->operands[i], position)) {
            violation(v, f, NULL, "operand %u of a node of op %s is not defined before it", i, row->name);
            operands_ok = false;
        }
    for (uint32_t i = 0; i < n->n_results; i++) verify_value(v, f, n, n->results[i], position);
    if (!n->in || !region_within(n->in, f->root)) violation(v, f, n, "a node is in no region of its function");
    if (n->n_sources && !n->sources) violation(v, f, n, "a node lost its sources");
    for (int i = 0; i < row->n_attrs; i++) {
        const attr *a = &n->attrs[i];
        if (attr_kind_of(row->attrs[i]) != AK_PARAM || !a->u.p) continue;
        if (a->u.p->id >= v->n_param_ids || v->params[a->u.p->id] != a->u.p)
            violation(v, f, NULL, "a node reads parameter \"%s\", which is not in the module", a->u.p->path);
    }
    if (!operands_ok) return;
    const function *body = node_body(n);
    if (body && body->scan != n) violation(v, f, n, "a body does not know what runs it");
    if (n->n_results != op_result_count(n->op, n->attrs)) {
        violation(v, f, n, "%u results, and not %u", n->n_results, op_result_count(n->op, n->attrs));
        return;
    }
    infer_ctx c = {.m = (module *)v->m};
    type *t = ARENA_ARRAY(v->a, type, n->n_results);
    if (!op_infer(&c, n->op, n->operands, n->n_operands, n->attrs, &n->result->ty, t)) {
        violation(v, f, n, "%s", c.why);
        return;
    }
    for (uint32_t i = 0; i < n->n_results; i++)
        if (!type_equal(&t[i], &n->results[i]->ty))
            violation(v, f, n, "the result is %s, its operands make it %s", shown(v, &n->results[i]->ty),
                      shown(v, &t[i]));
}

/* Where a use says that a value leaves the function. */
static const value *leaving(const function *f, const use *u)
{
    if (u->state) return u->index < f->states.len ? f->states.data[u->index].out : NULL;
    return u->index < f->results.len ? f->results.data[u->index].v : NULL;
}

/* Every use is an operand or result, and there are as many of them: then the lists are exact. */
static void verify_uses(verifier *v, const function *f)
{
    uint32_t *count = v->uses;
    memset(count, 0, v->m->n_values * sizeof *count);
    function_foreach (n, f)
        for (uint32_t i = 0; i < n->n_operands; i++) count[n->operands[i]->id]++;
    for (uint32_t i = 0; i < f->results.len; i++) count[f->results.data[i].v->id]++;
    for (uint32_t i = 0; i < f->states.len; i++) count[f->states.data[i].out->id]++;
    for (uint32_t id = 0; id < v->m->n_values; id++) {
        const value *x = v->by_id[id];
        if (!x || !v->defined[id]) continue;
        uint32_t listed = 0;
        for (const use *u = x->uses; u && listed <= count[id]; u = u->next, listed++) {
            bool exact = u->user
                             ? u->user->fn == f && u->index < u->user->n_operands && u->user->operands[u->index] == x
                             : leaving(f, u) == x;
            if (!exact) violation(v, f, x->def, "a use of value %u does not use it", id);
        }
        if (listed != count[id])
            violation(v, f, x->def, "value %u is used %u times, its list has %u", id, count[id], listed);
    }
}

/* The list of nodes, looked at before anything walks it: linked both ways, of this function, with results of known ids.
 */
static bool list_is_sound(verifier *v, const function *f)
{
    const node *prev = NULL;
    v->list_ok = false;
    for (const node *n = f->first; n; prev = n, n = n->next) {
        if (n->prev == prev && n->fn == f && results_sound(v, n)) continue;
        violation(v, f, NULL, "the list of nodes is broken at one of op %s", op_row(n->op)->name);
        return false;
    }
    if (f->last != prev) violation(v, f, NULL, "the list of nodes does not end at its last node");
    for (uint32_t i = 0; i < f->args.len; i++)
        if (f->args.data[i].v->id >= v->m->n_values) violation(v, f, NULL, "argument %u has an unknown id", i);
    for (uint32_t i = 0; i < f->states.len; i++)
        if (f->states.data[i].in->id >= v->m->n_values) violation(v, f, NULL, "state %u has an unknown id", i);
    return v->list_ok = f->last == prev;
}

static void verify_function_states(verifier *v, const function *f)
{
    for (uint32_t i = 0; i < f->states.len; i++) {
        const function_state_entry *e = &f->states.data[i];
        bool listed = e->s && e->s->id < v->m->states.len && v->m->states.data[e->s->id] == e->s;
        if (!listed) violation(v, f, NULL, "state %u is not in the module", i);
        for (uint32_t k = 0; k < i && listed; k++)
            if (f->states.data[k].s == e->s) violation(v, f, NULL, "state \"%s\" is threaded twice", e->s->path);
        if (!is_defined(v, e->out, UINT32_MAX))
            violation(v, f, NULL, "what state %u becomes is not a value of the function", i);
        else if (listed && (!type_equal(&e->in->ty, &e->s->ty) || !type_equal(&e->out->ty, &e->s->ty)))
            violation(v, f, NULL, "state \"%s\" becomes another type", e->s->path);
    }
}

/* What only entries have, and what only bodies have. */
static void verify_kind(verifier *v, const function *f)
{
    if (f->kind == FUNCTION_ENTRY) {
        if (f->scan) violation(v, f, NULL, "an entry is run by a scan");
        vec_foreach (const dim_check, c, &f->checks)
            if (c->lhs == DIM_BAD || c->rhs == DIM_BAD) violation(v, f, NULL, "a check without a dim");
        return;
    }
    if (f->states.len || f->points.len || f->valid.len || f->checks.len)
        violation(v, f, NULL, "a body has states, points, masks or checks");
    if (!f->scan || node_body(f->scan) != f) violation(v, f, NULL, "no scan runs the body");
}

static void verify_function(verifier *v, const function *f)
{
    uint32_t before = v->violations, position = 1;
    if (f->m != v->m) violation(v, f, NULL, "a function does not know its module");
    if (!list_is_sound(v, f) || before != v->violations) return;
    memset(v->defined, 0, v->m->n_values * sizeof *v->defined);
    for (uint32_t i = 0; i < f->args.len; i++) verify_value(v, f, NULL, f->args.data[i].v, position);
    for (uint32_t i = 0; i < f->states.len; i++) verify_value(v, f, NULL, f->states.data[i].in, position);
    function_foreach (n, f) verify_node(v, f, n, ++position);
    for (uint32_t i = 0; i < f->results.len; i++)
        if (!is_defined(v, f->results.data[i].v, UINT32_MAX))
            violation(v, f, NULL, "result '%s' is not a value of the function", f->results.data[i].name);
    for (uint32_t i = 0; i < f->points.len; i++)
        if (!is_defined(v, f->points.data[i].v, UINT32_MAX))
            violation(v, f, NULL, "point \"%s\" is not a value of the function", f->points.data[i].place);
    vec_foreach (value *const, x, &f->valid)
        if (!is_defined(v, *x, UINT32_MAX) || (*x)->ty.dt != DT_BOOL || !(*x)->ty.rank)
            violation(v, f, NULL, "what says which elements count is no mask of the function");
    verify_function_states(v, f);
    verify_kind(v, f);
    if (v->violations == before) verify_uses(v, f);
}

/* ---- indices of scans ---- */

/* Some scan around the nodes of f counts with the symbol. */
static bool counts_around(const verifier *v, const function *f, uint32_t symbol)
{
    for (int depth = 0; f->scan && depth <= MAX_SCAN_DEPTH; depth++, f = f->scan->fn)
        if (dim_is_symbol(v->m->dims, node_attr(f->scan, ATTR_INDEX)->u.d) == (int32_t)symbol) return true;
    return false;
}

static void verify_index_use(verifier *v, const function *f, const node *n, dim d)
{
    if (dim_is_const(v->m->dims, d, NULL)) return;
    for (uint32_t s = 0; s < dim_symbol_count(v->m->dims); s++)
        if (v->is_index[s] && dim_uses(v->m->dims, d, s) && !counts_around(v, f, s))
            violation(v, f, n, "index %s is used outside of its scan", dim_symbol_at(v->m->dims, s)->name);
}

static void verify_index_uses_of_type(verifier *v, const function *f, const node *n, const type *t)
{
    for (int k = 0; k < t->rank; k++) verify_index_use(v, f, n, t->shape[k]);
}

/* An index has a value while its scan runs, and no other value then. */
static void verify_indices(verifier *v, const function *f)
{
    const function *outer = f;
    for (int depth = 0; outer->scan; depth++, outer = outer->scan->fn)
        if (depth == MAX_SCAN_DEPTH) {
            violation(v, f, NULL, "scans are nested deeper than %d", MAX_SCAN_DEPTH);
            return;
        }
    for (uint32_t i = 0; i < f->args.len; i++) verify_index_uses_of_type(v, f, NULL, &f->args.data[i].v->ty);
    function_foreach (n, f) {
        for (uint32_t i = 0; i < n->n_results; i++) verify_index_uses_of_type(v, f, n, &n->results[i]->ty);
        for (int i = 0; i < op_row(n->op)->n_attrs; i++) {
            const attr *a = &n->attrs[i];
            if (!a->set) continue;
            if (a->name == ATTR_INDEX) {
                if (counts_around(v, f, (uint32_t)dim_is_symbol(v->m->dims, a->u.d)))
                    violation(v, f, n, "a scan has the index of one around it");
                continue;
            }
            if (attr_kind_of(a->name) == AK_DIM) verify_index_use(v, f, n, a->u.d);
            if (attr_kind_of(a->name) == AK_DIMS)
                for (int k = 0; k < a->u.dims.n; k++) verify_index_use(v, f, n, a->u.dims.v[k]);
        }
    }
    vec_foreach (const dim_check, c, &f->checks) {
        verify_index_use(v, f, NULL, c->lhs);
        verify_index_use(v, f, NULL, c->rhs);
    }
}

/* ---- dims that are counted ---- */

static bool dim_is_known(const verifier *v, dim d)
{
    if (dim_is_const(v->m->dims, d, NULL)) return true;
    for (uint32_t s = 0; s < dim_symbol_count(v->m->dims); s++)
        if (v->is_counted[s] && !v->mask_of[s] && dim_uses(v->m->dims, d, s)) return false;
    return true;
}

static void verify_known(verifier *v, const function *f, const node *n, const type *t)
{
    for (int k = 0; k < t->rank; k++)
        if (!dim_is_known(v, t->shape[k])) {
            violation(v, f, n, "%s has a size that has not been counted", shown(v, t));
            return;
        }
}

/* A counted dim has one value in a function, and has it before anything needs it. No caller knows it. */
static void verify_counts(verifier *v, const function *f)
{
    uint32_t symbols = dim_symbol_count(v->m->dims);
    memset(v->mask_of, 0, symbols * sizeof *v->mask_of);
    for (uint32_t i = 0; i < f->args.len; i++) verify_known(v, f, NULL, &f->args.data[i].v->ty);
    vec_foreach (const dim_check, c, &f->checks)
        if (!dim_is_known(v, c->lhs) || !dim_is_known(v, c->rhs))
            violation(v, f, NULL, "a check has a size that has not been counted");
    function_foreach (n, f) {
        const attr *tokens = op_row(n->op)->props & P_COUNTS ? node_attr(n, ATTR_TOKENS) : NULL;
        if (tokens) {
            const value **mask = &v->mask_of[dim_is_symbol(v->m->dims, tokens->u.d)];
            if (*mask && *mask != n->operands[0]) violation(v, f, n, "a dim counts the elements of two masks");
            *mask = n->operands[0];
        }
        for (uint32_t i = 0; i < n->n_results; i++) verify_known(v, f, n, &n->results[i]->ty);
        for (int i = 0; i < op_row(n->op)->n_attrs; i++) {
            const attr *a = &n->attrs[i];
            bool known = true;
            if (a->set && attr_kind_of(a->name) == AK_DIM) known = dim_is_known(v, a->u.d);
            if (a->set && attr_kind_of(a->name) == AK_DIMS)
                for (int k = 0; k < a->u.dims.n; k++) known = known && dim_is_known(v, a->u.dims.v[k]);
            if (!known) violation(v, f, n, "an attribute has a size that has not been counted");
        }
    }
    memset(v->mask_of, 0, symbols * sizeof *v->mask_of);
    for (uint32_t i = 0; i < f->results.len; i++)
        verify_known(v, f, f->results.data[i].v->def, &f->results.data[i].v->ty);
}

static void find_counted(verifier *v, const function *f)
{
    function_foreach (n, f)
        if (op_row(n->op)->props & P_COUNTS)
            v->is_counted[dim_is_symbol(v->m->dims, node_attr(n, ATTR_TOKENS)->u.d)] = true;
}

static void verify_functions(verifier *v)
{
    const module *m = v->m;
    ptrmap *names = ptrmap_new(v->a);
    uint32_t n = m->functions.len + m->bodies.len, before = v->violations;
    const function **all = ARENA_ARRAY(v->a, const function *, n);
    for (uint32_t i = 0; i < n; i++) {
        bool entry = i < m->functions.len;
        all[i] = entry ? m->functions.data[i] : m->bodies.data[i - m->functions.len];
        if (all[i]->kind != (entry ? FUNCTION_ENTRY : FUNCTION_BODY)) violation(v, all[i], NULL, "of the wrong kind");
        if (ptrmap_has(names, all[i]->name)) violation(v, all[i], NULL, "two functions have this name");
        ptrmap_set(names, all[i]->name, (void *)all[i]);
        verify_function(v, all[i]);
    }
    if (v->violations != before) return;
    /* What runs a body is itself part of the module, so walking up from it ends. */
    for (uint32_t i = 0; i < n; i++) {
        const node *scan = all[i]->scan;
        if (scan && (!scan->fn || ptrmap_get(names, scan->fn->name) != scan->fn))
            violation(v, all[i], NULL, "what runs the body is not in the module");
    }
    if (v->violations != before) return;
    for (uint32_t s = 0; s < dim_symbol_count(m->dims); s++) v->is_index[s] = module_symbol_is_index(m, s);
    for (uint32_t i = 0; i < n; i++) verify_indices(v, all[i]);
    for (uint32_t i = 0; i < n; i++) find_counted(v, all[i]);
    for (uint32_t i = 0; i < n; i++) verify_counts(v, all[i]);
}

static void out_of_memory(void *arg)
{
    arena_out_of_memory(arg);
}

bool module_verify(const module *m, diags *d)
{
    arena *a = arena_new(out_of_memory, m->a);
    if (!a) arena_out_of_memory(m->a);
    verifier v = {.m = m, .d = d, .a = a};
    for (uint32_t i = 0; i < m->params.len; i++)
        if (m->params.data[i]->id >= v.n_param_ids) v.n_param_ids = m->params.data[i]->id + 1;
    v.by_id = ARENA_ARRAY(a, const value *, m->n_values);
    v.defined = ARENA_ARRAY(a, uint32_t, m->n_values);
    v.params = ARENA_ARRAY(a, const param *, v.n_param_ids);
    v.uses = ARENA_ARRAY(a, uint32_t, m->n_values);
    v.is_index = ARENA_ARRAY(a, bool, dim_symbol_count(m->dims));
    v.is_counted = ARENA_ARRAY(a, bool, dim_symbol_count(m->dims));
    v.mask_of = ARENA_ARRAY(a, const value *, dim_symbol_count(m->dims));
    verify_params(&v);
    verify_states(&v);
    if (verify_regions(&v)) verify_functions(&v);
    verify_policy(&v);
    uint32_t violations = v.violations;
    arena_free(a);
    return violations == 0;
}
