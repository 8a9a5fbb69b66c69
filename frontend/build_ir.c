/* One IR node for each node of the elaborated program: sema has already made every broadcast, cast and shape explicit.
 */
#include "frontend/build_ir.h"

#include <assert.h>

#include "ir/constant.h"
#include "ir/module.h"
#include "ir/weights.h"

_Static_assert(SEMA_MAX_RANK == MAX_RANK && WEIGHTS_MAX_RANK <= SEMA_MAX_RANK, "ranks agree");

typedef VEC(region *) region_list;

typedef struct {
    const frontend_session *s;
    const sema_program *p;
    const weights_file *weights;
    uint64_t seed;
    module *m;
    value **values;           /* by sema_node id */
    state_var **states;       /* by sema_state id */
    region **regions;         /* by sema_instance id, in the function being built */
    region_list *made;        /* by sema_instance id, in all functions: a body has regions of its own */
    const sema_instance *top; /* of the entry being built */
} work;

static type ir_type(const sema_type *t)
{
    return type_make(t->dt, t->rank, t->shape);
}

/* ---- parameters ---- */

static const cexpr *constant_of(work *w, const sema_weight *x)
{
    arena *a = w->s->arena;
    switch (x->kind) {
    case SW_FILE: return cexpr_file(a, w->weights, weights_at(w->weights, x->entry));
    case SW_CAST: return cexpr_cast(a, constant_of(w, x->args[0]), x->dt);
    case SW_SLICE: return cexpr_slice(a, constant_of(w, x->args[0]), x->start, x->shape);
    case SW_TRANSPOSE: return cexpr_transpose(a, constant_of(w, x->args[0]), x->perm);
    case SW_CONCAT:
    case SW_STACK: {
        const cexpr **parts = ARENA_ARRAY(a, const cexpr *, x->n_args);
        for (uint32_t i = 0; i < x->n_args; i++) parts[i] = constant_of(w, x->args[i]);
        return x->kind == SW_STACK ? cexpr_stack(a, parts, x->n_args) : cexpr_concat(a, parts, x->n_args, x->axis);
    }
    }
    return NULL;
}

static param *ir_param(work *w, const sema_param *p)
{
    const cexpr *v;
    if (p->source) {
        v = constant_of(w, p->source);
    } else {
        int64_t shape[MAX_RANK];
        for (uint32_t i = 0; i < p->ty.rank; i++) dim_is_const(w->p->dims, p->ty.shape[i], &shape[i]);
        v = cexpr_random(w->s->arena, p->ty.dt, p->ty.rank, shape, w->seed, p->tied ? p->tied : p->path);
    }
    return module_param(w->m, p->path, ir_type(&p->ty), v, p->declared);
}

/* ---- nodes ---- */

static region *region_of(work *w, const function *f, const sema_instance *in)
{
    if (!in->parent) return f->root;
    region **r = &w->regions[in->id];
    if (*r) return *r;
    *r = region_new(w->m, region_of(w, f, in->parent), in->block, in->path, in->call);
    vec_push(w->s->arena, &w->made[in->id], *r);
    return *r;
}

/* The value of a dim is an element of an iota that is just long enough: the IR has no op for dims as data. */
static value *dim_value(work *w, builder *b, const sema_node *n)
{
    dim_ctx *c = w->p->dims;
    dim length = dim_add(c, n->size, dim_const(c, 1)), one = dim_const(c, 1);
    int64_t step = 1, lo, hi;
    dim_bounds(c, n->size, &lo, &hi);
    value *v;
    if (lo >= 0) {
        v = build_slice(b, build_iota(b, n->ty.dt, 1, &length, 0), &n->size, &one, &step);
    } else { /* x = (x - lo) + lo, whose first part is not negative */
        dim up = dim_sub(c, n->size, dim_const(c, lo));
        length = dim_add(c, up, one);
        value *pair[2] = {build_slice(b, build_iota(b, n->ty.dt, 1, &length, 0), &up, &one, &step),
                          build_const_int(b, n->ty.dt, 1, &one, lo)};
        v = build_scalar(b, OP_ADD, pair, 2);
    }
    return build_reshape(b, v, 0, NULL);
}

static labels ir_labels(const sema_node *n)
{
    labels l = {.rank = {n->args[0]->ty.rank, n->args[1]->ty.rank, n->ty.rank}};
    for (int o = 0; o < 3; o++) memcpy(l.label[o], n->label[o], l.rank[o]);
    return l;
}

/* An attribute of the IR's op, from the node's field for it. */
static attr ir_attr(work *w, const sema_node *n, attr_name name)
{
    static const reduce_kind kinds[] = {
        [SEMA_SUM] = REDUCE_SUM, [SEMA_MEAN] = REDUCE_MEAN, [SEMA_MAX] = REDUCE_MAX, [SEMA_MIN] = REDUCE_MIN};
    bool is_float = dtype_is_float(n->ty.dt);
    attr a = {.name = name, .set = true};
    switch (name) {
    case ATTR_PARAM: a.u.p = ir_param(w, n->param); break;
    case ATTR_VALUE:
        a.set = is_float;
        if (a.set) a.u.real = n->value;
        break;
    case ATTR_IVALUE:
        a.set = !is_float;
        if (a.set) a.u.i = n->ivalue;
        break;
    case ATTR_AXIS: a.u.i = n->axis; break;
    case ATTR_AXES:
    case ATTR_PERM:
        a.u.ints.n = n->axes.n;
        for (uint32_t i = 0; i < n->axes.n; i++) a.u.ints.v[i] = n->axes.v[i];
        break;
    case ATTR_START:
        a.u.dims.n = n->ty.rank;
        for (uint32_t i = 0; i < n->ty.rank; i++) a.u.dims.v[i] = n->slice.start[i];
        break;
    case ATTR_STEP:
        a.u.ints.n = n->ty.rank;
        for (uint32_t i = 0; i < n->ty.rank; i++) a.u.ints.v[i] = n->slice.step[i];
        break;
    case ATTR_LABELS: a.u.lab = ir_labels(n); break;
    case ATTR_KIND: a.u.i = kinds[n->axes.reduce]; break;
    case ATTR_MODE: a.u.i = n->axes.rms ? NORM_RMS : NORM_STANDARD; break;
    case ATTR_EPS: a.u.real = n->axes.eps; break;
    case ATTR_SCALE: a.u.real = n->value; break;
    case ATTR_FROM:
    case ATTR_TO: a.set = false; break; /* passes find them in masks */
    case ATTR_COUNT: a.u.i = n->count; break;
    case ATTR_TOKENS:
    case ATTR_ALONG: assert(!"only passes pack"); break;
    case ATTR_BODY:
    case ATTR_INDEX:
    case ATTR_EXTENT:
    case ATTR_CARRIES: assert(!"scan has a builder of its own"); break;
    case N_ATTRS: assert(!"an attribute");
    }
    return a;
}

static value *ir_node(work *w, builder *b, const sema_node *n, value *const *in)
{
    static const op_kind ops[] = {
#define OP(name, NAME, lo, hi, props, attrs, axes, math) [SN_##NAME] = OP_##NAME,
#include "ir/ops.def"
#undef OP
    };
    const op_info *row = op_row(ops[n->op]);
    attr attrs[MAX_ATTRS] = {{0}};
    for (int i = 0; i < row->n_attrs; i++) attrs[i] = ir_attr(w, n, (attr_name)row->attrs[i]);
    type ty = ir_type(&n->ty);
    return build_op(b, ops[n->op], in, n->n_args, attrs, &ty);
}

static function *build_body(work *w, const sema_function *sf);

static value *scan_value(work *w, builder *b, const sema_node *n, value *const *in)
{
    region **outer = w->regions; /* a body has regions of its own */
    function *body = build_body(w, n->scan.body);
    w->regions = outer;
    return build_scan(b, body, n->scan.index, n->scan.extent, n->scan.n_carries, in, n->n_args)->result;
}

static value *build(work *w, builder *b, const sema_node *n)
{
    static const op_kind scalars[] = {
#define SCALAR(name, NAME, arity, operands, result, f, i, math) [SCALAR_##NAME] = OP_##NAME,
#include "ir/scalar.def"
#undef SCALAR
    };
    value **in = ARENA_ARRAY(w->s->arena, value *, n->n_args);
    for (uint32_t i = 0; i < n->n_args; i++) in[i] = w->values[n->args[i]->id];
    switch (n->op) {
    case SN_INPUT: return b->fn->args.data[n->input].v;
    case SN_STATE: return function_state(b->fn, w->states[n->state->id]);
    case SN_DIM: return dim_value(w, b, n);
    case SN_RESULT: return in[0]->def->results[n->axis];
    case SN_SCAN: return scan_value(w, b, n, in);
    case SN_TOP_K: return build_top_k(b, in[0], n->axis, n->count)->result;
    case SN_SCALAR: return build_scalar(b, scalars[n->scalar], in, n->n_args);
    default: return ir_node(w, b, n, in);
    }
}

/* What no result, state or point needs is left out: sema makes a node for each number it meets, also for those that
 * end up as part of another. */
static bool *find_live(work *w, const sema_function *sf)
{
    bool *live = ARENA_ARRAY(w->s->arena, bool, w->p->n_nodes);
    vec_foreach (sema_port, r, &sf->results) live[r->node->id] = true;
    vec_foreach (sema_point, pt, &sf->points) live[pt->node->id] = true;
    vec_foreach (sema_node *, v, &sf->valid) live[(*v)->id] = true;
    vec_foreach (sema_state_port, st, &sf->states) live[st->out->id] = true;
    for (uint32_t i = sf->nodes.len; i-- > 0;) {
        const sema_node *n = sf->nodes.data[i];
        for (uint32_t k = 0; live[n->id] && k < n->n_args; k++) live[n->args[k]->id] = true;
    }
    return live;
}

static void build_nodes(work *w, function *f, const sema_function *sf)
{
    const bool *live = find_live(w, sf);
    w->regions = ARENA_ARRAY(w->s->arena, region *, w->p->instances.len);
    vec_push(w->s->arena, &w->made[w->top->id], f->root);
    f->doc = sf->doc;
    vec_foreach (sema_port, in, &sf->inputs) {
        function_arg(f, in->name, ir_type(&in->ty));
        vec_last(&f->args).doc = in->doc;
    }
    builder b = {.fn = f};
    vec_foreach (sema_node *, n, &sf->nodes) {
        if (!live[(*n)->id]) continue;
        b.in = region_of(w, f, (*n)->in);
        b.at = (*n)->at;
        value *v = build(w, &b, *n);
        type want = ir_type(&(*n)->ty);
        assert(v && type_equal(&v->ty, &want));
        (void)want;
        w->values[(*n)->id] = v;
    }
    vec_foreach (sema_port, r, &sf->results) {
        function_add_result(f, r->name, w->values[r->node->id]);
        vec_last(&f->results).doc = r->doc;
    }
}

static function *build_body(work *w, const sema_function *sf)
{
    function *f = body_new(w->m, sf->name);
    build_nodes(w, f, sf);
    return f;
}

static void build_entry(work *w, const sema_function *sf)
{
    function *f = function_new(w->m, sf->name);
    w->top = sf->root;
    build_nodes(w, f, sf);
    vec_foreach (sema_point, pt, &sf->points) function_add_point(f, pt->place, w->values[pt->node->id]);
    vec_foreach (sema_node *, v, &sf->valid) function_add_valid(f, w->values[(*v)->id]);
    vec_foreach (sema_state_port, st, &sf->states) {
        function_state(f, w->states[st->state->id]);
        function_set_state(f, w->states[st->state->id], w->values[st->out->id]);
    }
    vec_foreach (sema_check, c, &sf->checks) {
        dim_check check = {
            .lhs = c->left, .op = c->op == SEMA_CHECK_EQ ? CHECK_EQ : CHECK_LE, .rhs = c->right, .at = c->at};
        vec_push(w->s->arena, &f->checks, check);
    }
}

/* An instance that nothing is left of has no region, and no place in the rule. */
static void build_rule(work *w, const sema_rule *r)
{
    policy_rule *x = policy_rule_new(w->m, r->verb->name, r->subject, r->relation, r->place, r->at);
    for (uint32_t i = 0; i < r->verb->n_params; i++) policy_rule_add_arg(w->m, x, r->verb->params[i].name, r->args[i]);
    vec_foreach (sema_instance *, in, &r->instances)
        vec_foreach (region *, y, &w->made[(*in)->id]) vec_push(w->m->a, &x->regions, *y);
    vec_foreach (sema_rule_point, p, &r->points)
        for (uint32_t k = 0; k < w->p->functions.len; k++) {
            if (w->p->functions.data[k] != p->fn) continue;
            policy_point at = {w->m->functions.data[k], p->place};
            vec_push(w->m->a, &x->points, at);
        }
}

module *build_ir(const frontend_session *s, const sema_program *p, const weights_file *weights, uint64_t seed)
{
    work w = {.s = s, .p = p, .weights = weights, .seed = seed};
    w.m = module_new(s->arena, s->names, s->sources, s->dims, p->name);
    w.m->doc = p->doc;
    w.values = ARENA_ARRAY(s->arena, value *, p->n_nodes);
    w.made = ARENA_ARRAY(s->arena, region_list, p->instances.len);
    w.states = ARENA_ARRAY(s->arena, state_var *, p->states.len);
    vec_foreach (sema_state *, st, &p->states)
        w.states[(*st)->id] = module_state(w.m, (*st)->path, ir_type(&(*st)->ty), (*st)->declared);
    vec_foreach (sema_function *, f, &p->functions) build_entry(&w, *f);
    vec_foreach (sema_rule *, r, &p->rules) build_rule(&w, *r);
    return w.m;
}

/* ---- the weights file's table ---- */

weights_file *build_ir_open_weights(const frontend_session *s, const char *path, weights_view *out)
{
    weights_file *f = weights_open(s->arena, s->diags, path);
    if (!f) return NULL;
    const char *slash = strrchr(path, '/');
    uint32_t n = weights_count(f);
    weights_entry *entries = ARENA_ARRAY(s->arena, weights_entry, n);
    for (uint32_t i = 0; i < n; i++) {
        const weights_tensor *t = weights_at(f, i);
        entries[i] = (weights_entry){.name = t->name, .dt = t->dt, .rank = t->rank};
        memcpy(entries[i].shape, t->shape, sizeof t->shape);
    }
    *out = (weights_view){slash ? slash + 1 : path, n, entries};
    return f;
}
