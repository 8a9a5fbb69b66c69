/* scan t: S carry h = e { ... yield v }: a loop of the run, whose body becomes a function of its own.
 *
 * The body is elaborated where it stands, with the names around it in sight. What it then reads of the outside becomes
 * an operand of the scan and an input of the body; parameters and constants are simply made again inside. */
#include "frontend/sema_internal.h"

bool sema_not_in_scan(sema *s, span at, const char *what)
{
    if (!s->scan_indices.len) return false;
    sema_error(s, at, "scan", "%s cannot be declared inside a scan", what);
    return true;
}

/* ---- the index ---- */

static bool in_use(const sema *s, uint32_t symbol)
{
    vec_foreach (scan_index, x, &s->scan_indices)
        if (x->symbol == symbol) return true;
    return false;
}

/* A symbol for the steps 0 .. extent - 1. Scans that do not enclose one another share it, so that equal layers have
 * equal bodies. */
static dim index_symbol(sema *s, const char *name, dim extent)
{
    int64_t lo, hi;
    dim_bounds(s->dims, extent, &lo, &hi);
    int64_t last = hi > 0 ? hi - 1 : 0;
    const char *tried = name;
    for (uint32_t k = 1;; k++) {
        dim old = dim_find(s->dims, tried);
        if (old == DIM_BAD) return dim_sym(s->dims, tried, DIM_DATA, 0, last, 1);
        uint32_t i = (uint32_t)dim_is_symbol(s->dims, old);
        const dim_symbol *sym = dim_symbol_at(s->dims, i);
        if (sym->origin == DIM_DATA && sym->max == last && !in_use(s, i)) return old;
        tried = intern_z(s->names, arena_printf(s->a, "%s_%u", name, k));
    }
}

/* ---- captures ---- */

typedef struct {
    sema *s;
    sema_function *body;
    ptrmap *inside;         /* node outside -> its stand-in */
    VEC(sema_node *) front; /* the stand-ins */
    VEC(sema_node *) operands;
} capture;

static sema_node *stand_in(capture *c, sema_node *n)
{
    if (n->fn == c->body) return n;
    sema_node *x = ptrmap_get(c->inside, n);
    if (x) return x;
    sema *s = c->s;
    x = ARENA_NEW(s->a, sema_node);
    *x = *n;
    x->id = s->program->n_nodes++;
    x->fn = c->body;
    if (n->op != SN_PARAM && n->op != SN_CONST && n->op != SN_IOTA && n->op != SN_DIM) {
        x->op = SN_INPUT;
        x->n_args = 0;
        x->input = c->body->inputs.len;
        sema_port port = {arena_printf(s->a, "captured%u", c->operands.len), NULL, n->ty, x, n->at};
        vec_push(s->a, &c->body->inputs, port);
        vec_push(s->a, &c->operands, n);
    }
    ptrmap_set(c->inside, n, x);
    vec_push(s->a, &c->front, x);
    return x;
}

/* Closes the body over what it reads of the outside; gives the operands of the scan that follow the carries. */
static void close_body(capture *c)
{
    sema *s = c->s;
    vec_foreach (sema_node *, n, &c->body->nodes)
        for (uint32_t i = 0; i < (*n)->n_args; i++) (*n)->args[i] = stand_in(c, (*n)->args[i]);
    vec_foreach (sema_port, r, &c->body->results) r->node = stand_in(c, r->node);
    vec_foreach (sema_node *, n, &c->body->nodes) vec_push(s->a, &c->front, *n);
    c->body->nodes.len = 0;
    vec_foreach (sema_node *, n, &c->front) vec_push(s->a, &c->body->nodes, *n);
}

/* ---- the scan ---- */

void exec_yield(sema *s, const ast_stmt *st)
{
    scan_ctx *c = s->frame->scan;
    if (!c) {
        diag *g = sema_error(s, st->at, "scan", "'yield' stands in a scan");
        diag_hint(g, "a block gives its results with 'return'");
        return;
    }
    if (c->yield) {
        diag *g = sema_error(s, st->at, "scan", "a scan yields once a step");
        diag_note(g, "the first yield is at %s", sema_where(s, c->yield->at));
        diag_hint(g, "yield several values at once: yield a, b");
        return;
    }
    c->yield = st;
    c->yielded = ARENA_ARRAY(s->a, value, st->values.len);
    for (uint32_t i = 0; i < st->values.len; i++) c->yielded[i] = eval(s, st->values.data[i]);
}

/* The initial carries. False after reporting. */
static bool read_carries(sema *s, const ast_carries *carries, sema_node **initial)
{
    bool ok = true;
    for (uint32_t i = 0; i < carries->len; i++) {
        const ast_carry *c = &carries->data[i];
        for (uint32_t k = 0; k < i; k++) {
            if (carries->data[k].name.name != c->name.name) continue;
            sema_error(s, c->name.at, "declared-twice", "'%s' is carried twice", c->name.name);
            ok = false;
        }
        value v = eval(s, c->init);
        if (v.kind == V_TENSOR) {
            initial[i] = v.node;
            continue;
        }
        if (v.kind != V_ERROR) {
            diag *g = sema_error(s, c->init->at, "wrong-type", "a carry begins as a tensor");
            diag_got(g, "%s", sema_value_text(s, &v));
            diag_hint(g, "zeros([...]) and full([...], x) make one");
        }
        ok = false;
    }
    return ok;
}

static void add_result(sema *s, sema_function *body, const char *name, sema_node *n, span at)
{
    sema_port port = {name, NULL, n->ty, n, at};
    vec_push(s->a, &body->results, port);
}

/* What the body yields: tensors whose shape is the same at every step. False after reporting. */
static bool add_yields(sema *s, sema_function *body, const scan_ctx *c, uint32_t symbol)
{
    uint32_t n = c->yield ? c->yield->values.len : 0;
    for (uint32_t i = 0; i < n; i++) {
        const value *v = &c->yielded[i];
        span at = c->yield->values.data[i]->at;
        if (v->kind == V_ERROR) return false;
        if (v->kind != V_TENSOR) {
            diag_got(sema_error(s, at, "wrong-type", "a scan yields tensors"), "%s", sema_value_text(s, v));
            return false;
        }
        const sema_type *t = &v->node->ty;
        for (uint32_t k = 0; k < t->rank; k++) {
            if (!dim_uses(s->dims, t->shape[k], symbol)) continue;
            diag *g = sema_error(s, at, "wrong-type", "what a scan yields has the same shape at every step");
            diag_got(g, "%s", sema_type_text(s, t));
            return false;
        }
        if (t->rank == SEMA_MAX_RANK) {
            sema_error(s, at, "rank", "a tensor has at most %d axes, and the steps are one more", SEMA_MAX_RANK);
            return false;
        }
        add_result(s, body, arena_printf(s->a, "yield%u", i), v->node, at);
    }
    return true;
}

/* Elaborates the body into `body`, which is the current function meanwhile. False after reporting. */
static bool run_body(sema *s, const ast_expr *e, sema_function *body, dim index, sema_node *const *initial,
                     uint32_t symbol)
{
    frame *f = s->frame;
    const ast_carries *carries = &e->scan.carries;
    scope *outer = f->names, *names = scope_new(s, outer);
    scan_ctx c = {.outer = f->scan, .names = names};
    scope_add(s, names, e->scan.var.name, BIND_LOOP, (value){.kind = V_INT, .size = index}, e->scan.var.at);
    binding **carry = ARENA_ARRAY(s->a, binding *, carries->len);
    for (uint32_t i = 0; i < carries->len; i++) {
        ast_name name = carries->data[i].name;
        sema_node *n = sn_new(s, SN_INPUT, initial[i]->ty, name.at, NULL, 0);
        n->input = body->inputs.len;
        sema_port port = {name.name, NULL, n->ty, n, name.at};
        vec_push(s->a, &body->inputs, port);
        carry[i] = scope_add(s, names, name.name, BIND_LET, sema_tensor_value(n), name.at);
    }
    f->names = names;
    f->scan = &c;
    exec_body(s, &e->scan.body);
    f->names = outer;
    f->scan = c.outer;
    if (f->returned || s->stopped || c.failed) return false;
    for (uint32_t i = 0; i < carries->len; i++) {
        if (carry[i]->v.kind != V_TENSOR) return false;
        const sema_type *t = &initial[i]->ty;
        sema_node *n = sn_stretch(s, carry[i]->v.node, t->rank, t->shape, carry[i]->at);
        add_result(s, body, arena_printf(s->a, "next_%s", carry[i]->name), n, carry[i]->at);
    }
    return add_yields(s, body, &c, symbol);
}

/* The values of the scan: what was yielded, stacked, then what the carries are at the end. */
static value results_of(sema *s, sema_node *scan, const sema_function *body, uint32_t n_carries, dim extent, span at)
{
    uint32_t n = body->results.len;
    value v = {.kind = V_TUPLE, .list = {ARENA_ARRAY(s->a, value, n), n}};
    for (uint32_t i = 0; i < n; i++) {
        sema_type t = body->results.data[i].ty;
        bool stacked = i >= n_carries;
        if (stacked) {
            memmove(t.shape + 1, t.shape, t.rank * sizeof *t.shape);
            t.shape[0] = extent;
            t.rank++;
        }
        v.list.items[stacked ? i - n_carries : n - n_carries + i] = sema_tensor_value(sn_result(s, scan, i, t, at));
    }
    return n == 1 ? v.list.items[0] : v;
}

value eval_scan(sema *s, const ast_expr *e)
{
    const ast_carries *carries = &e->scan.carries;
    sema_node **initial = ARENA_ARRAY(s->a, sema_node *, carries->len);
    dim extent;
    assert(s->frame->in); /* a scan stands behind 'let' */
    if (!sema_eval_dim(s, e->scan.extent, &extent) || !read_carries(s, carries, initial)) return sema_error_value();
    if (!sema_dim_le(s, dim_const(s->dims, 0), extent)) {
        diag *g = sema_error(s, e->scan.extent->at, "negative-dim", "cannot show that this extent is not negative");
        diag_got(g, "%s", sema_dim_text(s, extent));
        return sema_error_value();
    }
    dim index = index_symbol(s, e->scan.var.name, extent);
    uint32_t symbol = (uint32_t)dim_is_symbol(s->dims, index);
    sema_function *outer = s->fn, *body = ARENA_NEW(s->a, sema_function);
    body->name = arena_printf(s->a, "%s.scan%u", s->entry->name, s->program->n_scans++);
    body->at = e->at;

    s->fn = body;
    vec_push(s->a, &s->scan_indices, ((scan_index){symbol, extent}));
    bool ok = run_body(s, e, body, index, initial, symbol);
    s->scan_indices.len--;
    s->fn = outer;
    if (!ok) return sema_error_value();

    capture c = {.s = s, .body = body, .inside = ptrmap_new(s->a)};
    close_body(&c);
    uint32_t n = carries->len + c.operands.len;
    sema_node **operands = ARENA_ARRAY(s->a, sema_node *, n);
    memcpy(operands, initial, carries->len * sizeof *operands);
    if (c.operands.len) memcpy(operands + carries->len, c.operands.data, c.operands.len * sizeof *operands);
    sema_node *scan = sn_new(s, SN_SCAN, body->results.data[0].ty, e->at, operands, n);
    scan->scan.body = body;
    scan->scan.index = index;
    scan->scan.extent = extent;
    scan->scan.n_carries = carries->len;
    return results_of(s, scan, body, carries->len, extent, e->at);
}
