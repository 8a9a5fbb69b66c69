#include "codegen/rt_tables.h"
#include "codegen/emit_work.h"
#include "codegen/plan_memory.h"

#include <assert.h>

/* ---- constants ---- */

typedef struct {
    emit_module *m;
    const kmodule *k;
    const codegen_model *model;
    const weights_layout *weights;
    ptrmap *texts;     /* interned text -> global */
    VEC(dim) computed; /* sizes that are neither constant nor one dim */
} tables;

static LLVMValueRef c_struct(tables *t, LLVMValueRef *fields, unsigned n)
{
    return LLVMConstStructInContext(t->m->ctx, fields, n, false);
}

static LLVMValueRef i32(tables *t, int64_t v)
{
    return cg_const_i32(t->m, v);
}

static LLVMValueRef i64(tables *t, int64_t v)
{
    return cg_const_i64(t->m, v);
}

static LLVMValueRef null_ptr(tables *t)
{
    return LLVMConstNull(t->m->ptr);
}

static LLVMValueRef constant(tables *t, const char *name, LLVMValueRef init)
{
    LLVMValueRef g = LLVMAddGlobal(t->m->mod, LLVMTypeOf(init), name);
    LLVMSetInitializer(g, init);
    LLVMSetGlobalConstant(g, true);
    LLVMSetLinkage(g, LLVMInternalLinkage);
    return g;
}

/* A constant array of structs of one type, or null when there are none. */
static LLVMValueRef array_of(tables *t, const char *name, LLVMValueRef *rows, unsigned n)
{
    if (!n) return null_ptr(t);
    return constant(t, name, LLVMConstArray2(LLVMTypeOf(rows[0]), rows, n));
}

static LLVMValueRef *rows_for(tables *t, uint32_t n)
{
    return ARENA_ARRAY(t->m->a, LLVMValueRef, n);
}

/* A zero-terminated text; NULL gives a null pointer. Each different text once. */
static LLVMValueRef text(tables *t, const char *s)
{
    if (!s) return null_ptr(t);
    const char *key = intern_z(t->k->names, s);
    LLVMValueRef g = ptrmap_get(t->texts, key);
    if (!g) {
        g = constant(t, "text", LLVMConstStringInContext2(t->m->ctx, s, strlen(s), false));
        LLVMSetUnnamedAddress(g, LLVMGlobalUnnamedAddr);
        LLVMSetAlignment(g, 1);
        ptrmap_set(t->texts, key, g);
    }
    return g;
}

static LLVMValueRef u32_array(tables *t, const uint32_t *v, uint32_t n)
{
    LLVMValueRef *row = rows_for(t, n);
    for (uint32_t i = 0; i < n; i++) row[i] = i32(t, v[i]);
    return array_of(t, "indices", row, n);
}

/* ---- expressions ---- */

typedef struct {
    dim_op op;
    int64_t number;
    uint64_t left, right;
} expr_node;
typedef struct {
    arena *a;
    VEC(expr_node) nodes;
} expr_tree;

static uint64_t add_node(void *arg, dim_op op, int64_t number, uint64_t left, uint64_t right)
{
    expr_tree *x = arg;
    expr_node n = {op, number, left, right};
    vec_push(x->a, &x->nodes, n);
    return x->nodes.len - 1;
}

static const int expr_ops[] = {
    [DIM_OP_CONST] = RT_EXPR_CONST, [DIM_OP_SYM] = RT_EXPR_DIM,           [DIM_OP_ADD] = RT_EXPR_ADD,
    [DIM_OP_MUL] = RT_EXPR_MUL,     [DIM_OP_FLOORDIV] = RT_EXPR_FLOORDIV, [DIM_OP_MOD] = RT_EXPR_MOD,
    [DIM_OP_MIN] = RT_EXPR_MIN,     [DIM_OP_MAX] = RT_EXPR_MAX,
};

static bool is_leaf(dim_op op)
{
    return op == DIM_OP_CONST || op == DIM_OP_SYM;
}

/* How much stack node i needs. Sums and products lean to the left, so this stays small. */
static int depth_of(const expr_tree *x, uint64_t i)
{
    const expr_node *n = &x->nodes.data[i];
    if (is_leaf(n->op)) return 1;
    int l = depth_of(x, n->left), r = depth_of(x, n->right) + 1;
    return l > r ? l : r;
}

static void postfix(tables *t, const expr_tree *x, uint64_t i, LLVMValueRef *row, unsigned *n)
{
    const expr_node *e = &x->nodes.data[i];
    if (!is_leaf(e->op)) {
        postfix(t, x, e->left, row, n);
        postfix(t, x, e->right, row, n);
    }
    LLVMValueRef fields[] = {i64(t, expr_ops[e->op]), i64(t, is_leaf(e->op) ? e->number : 0)};
    row[(*n)++] = c_struct(t, fields, 2);
}

static LLVMValueRef expression(tables *t, dim d)
{
    expr_tree x = {.a = t->m->a};
    uint64_t root = dim_fold(t->model->dims, d, add_node, &x);
    assert(depth_of(&x, root) <= RT_EXPR_DEPTH && "an expression too deep for the runtime");
    LLVMValueRef *row = rows_for(t, x.nodes.len);
    unsigned n = 0;
    postfix(t, &x, root, row, &n);
    LLVMValueRef fields[] = {array_of(t, "expression", row, n), i64(t, n)};
    return c_struct(t, fields, 2);
}

static int32_t computed_index(tables *t, dim d)
{
    for (uint32_t i = 0; i < t->computed.len; i++)
        if (t->computed.data[i] == d) return (int32_t)i;
    vec_push(t->m->a, &t->computed, d);
    return (int32_t)t->computed.len - 1;
}

/* ---- what callers see ---- */

static LLVMValueRef axis_info_row(tables *t, dim d)
{
    dim_ctx *c = t->model->dims;
    int64_t size = -1, lo, hi;
    bool fixed = dim_is_const(c, d, &size);
    int32_t symbol = fixed ? -1 : dim_is_symbol(c, d);
    dim_bounds(c, d, &lo, &hi);
    strbuf s = strbuf_new(t->m->a);
    dim_print(c, d, &s);
    LLVMValueRef fields[] = {text(t, s.s),
                             i64(t, fixed ? size : -1),
                             i64(t, lo < 0 ? 0 : lo),
                             i64(t, hi),
                             i32(t, symbol),
                             i32(t, fixed || symbol >= 0 ? -1 : computed_index(t, d))};
    return c_struct(t, fields, 6);
}

/* dtype and tfx_dtype list the same types in the same order. */
_Static_assert((int)DT_BOOL == TFX_BOOL && (int)DT_U64 == TFX_U64 && (int)DT_F16 == TFX_F16 && (int)DT_F32 == TFX_F32 &&
                   (int)DT_F8E8M0 == TFX_F8E8M0 && (int)DT_F6E3M2 == TFX_F6E3M2,
               "tfx_dtype must follow dtypes.def");

static LLVMValueRef tensor_table(tables *t, const codegen_tensor *tensors, uint32_t n)
{
    LLVMValueRef *row = rows_for(t, n);
    for (uint32_t i = 0; i < n; i++) {
        const codegen_tensor *x = &tensors[i];
        LLVMValueRef *axes = rows_for(t, x->rank);
        for (int a = 0; a < x->rank; a++) axes[a] = axis_info_row(t, x->shape[a]);
        LLVMValueRef fields[] = {text(t, x->name), text(t, x->doc), i32(t, (int)x->dt), i32(t, x->rank),
                                 array_of(t, "axes", axes, x->rank)};
        row[i] = c_struct(t, fields, 5);
    }
    return array_of(t, "tensors", row, n);
}

static LLVMValueRef entry_info_row(tables *t, const codegen_entry *e)
{
    LLVMValueRef fields[] = {text(t, e->name),
                             text(t, e->doc),
                             tensor_table(t, e->inputs, e->n_inputs),
                             tensor_table(t, e->outputs, e->n_outputs),
                             u32_array(t, e->dims, e->n_dims),
                             u32_array(t, e->given, e->n_given),
                             i32(t, e->n_inputs),
                             i32(t, e->n_outputs),
                             i32(t, e->n_dims),
                             i32(t, e->n_given)};
    return c_struct(t, fields, 10);
}

static LLVMValueRef dim_table(tables *t)
{
    uint32_t n = dim_symbol_count(t->model->dims);
    LLVMValueRef *row = rows_for(t, n);
    for (uint32_t i = 0; i < n; i++) {
        const dim_symbol *s = dim_symbol_at(t->model->dims, i);
        LLVMValueRef fields[] = {text(t, s->name), i64(t, s->min), i64(t, s->max),
                                 i64(t, s->multiple > 0 ? s->multiple : 1)};
        row[i] = c_struct(t, fields, 4);
    }
    return array_of(t, "dims", row, n);
}

/* "x86_64-unknown-linux-gnu x86-64-v3, x86-64" */
static const char *target_text(arena *a, const codegen_target *targets, uint32_t n)
{
    strbuf s = strbuf_new(a);
    strbuf_adds(&s, targets[0].triple);
    for (uint32_t i = 0; i < n; i++) strbuf_addf(&s, "%s%s", i ? ", " : " ", targets[i].name);
    return s.s;
}

static LLVMValueRef variant_infos(tables *t, const codegen_target *targets, uint32_t n)
{
    LLVMValueRef *row = rows_for(t, n);
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef fields[] = {text(t, targets[i].name), i32(t, 8 * targets[i].vector_bytes), i32(t, 0)};
        row[i] = c_struct(t, fields, 3);
    }
    return array_of(t, "variant_infos", row, n);
}

static LLVMValueRef info_struct(tables *t, const codegen_target *targets, uint32_t n, bool external)
{
    const codegen_model *model = t->model;
    LLVMValueRef *entries = rows_for(t, model->n_entries);
    uint32_t most = 0;
    for (uint32_t i = 0; i < model->n_entries; i++) {
        const codegen_entry *e = &model->entries[i];
        entries[i] = entry_info_row(t, e);
        if (e->n_inputs + e->n_outputs > most) most = e->n_inputs + e->n_outputs;
    }
    LLVMValueRef fields[] = {i32(t, sizeof(tfx_info)),
                             i32(t, model->n_entries),
                             i32(t, dim_symbol_count(model->dims)),
                             i32(t, n),
                             text(t, model->name),
                             text(t, model->doc),
                             text(t, model->source ? model->source : ""),
                             text(t, model->compiler),
                             text(t, target_text(t->m->a, targets, n)),
                             array_of(t, "entry_infos", entries, model->n_entries),
                             dim_table(t),
                             variant_infos(t, targets, n),
                             i64(t, (int64_t)t->weights->bytes),
                             LLVMConstNull(LLVMArrayType2(t->m->i8, 32)),
                             i32(t, external),
                             i32(t, most)};
    return c_struct(t, fields, 16);
}

/* ---- launches ---- */

typedef struct {
    tables *t;
    const codegen_entry *entry;
    LLVMValueRef *row;
    uint32_t n;
} launch_rows;

/* The buffer whose elements, numbered row-major, are those of `v`: through views that only rename its axes. */
static const kvalue *whole_buffer(const kvalue *v)
{
    while (v->def && v->def->op == KOP_VIEW && v->ty.buf.dense) {
        const kmem *at = &v->def->mem[0];
        for (uint8_t i = 0; i < at->n_idx; i++)
            if (at->idx[i].v || at->idx[i].off) return v;
        if (!at->buf->ty.buf.dense || at->buf->ty.buf.dt != v->ty.buf.dt) return v;
        v = at->buf;
    }
    return v;
}

/* The plan's input number of a buffer; -1 when it is none. */
static int64_t input_number(const kfunction *plan, const kvalue *v)
{
    int64_t n = 0;
    vec_foreach (const kparam, p, &plan->params) {
        if (p->v == v) return p->role == KPARAM_INPUT ? n : -1;
        n += p->role == KPARAM_INPUT;
    }
    return -1;
}

static const char *buffer_name(const kfunction *plan, const kvalue *v)
{
    vec_foreach (const kparam, p, &plan->params)
        if (p->v == v && p->tensor) return p->tensor;
    return v->name;
}

static void find_checks(const kblock *b, bool *checked)
{
    kblock_foreach(op, b)
    {
        if (op->op == KOP_CHECK) checked[op->at.arg] = true;
        for (uint32_t i = 0; i < op->n_blocks; i++) find_checks(op->blocks[i], checked);
    }
}

static LLVMValueRef fault_table(tables *t, const kfunction *plan, const kop *launch, const kfunction *callee,
                                uint32_t *n)
{
    bool *checked = ARENA_ARRAY(t->m->a, bool, callee->params.len);
    find_checks(callee->body, checked);
    LLVMValueRef *row = rows_for(t, callee->params.len);
    *n = 0;
    for (uint32_t i = 0; i < callee->params.len; i++) {
        if (!checked[i]) continue;
        const kvalue *v = whole_buffer(launch->operands[i]);
        int64_t input = input_number(plan, v);
        const char *name = input >= 0 ? NULL : buffer_name(plan, v);
        LLVMValueRef fields[] = {i64(t, i), i64(t, input), name ? text(t, name) : null_ptr(t)};
        row[(*n)++] = c_struct(t, fields, 3);
    }
    return array_of(t, "faults", row, *n);
}

static void add_launch(void *arg, const kop *op)
{
    launch_rows *r = arg;
    tables *t = r->t;
    const kfunction *callee = kmodule_find(t->k, op->at.callee);
    const source_file *f = t->k->sources && op->source.begin ? source_of(t->k->sources, op->source.begin) : NULL;
    uint32_t line = 0, col = 0, n_faults;
    if (f) source_line_col(t->k->sources, op->source.begin, &line, &col);
    LLVMValueRef info_fields[] = {text(t, callee->name), text(t, op->at.path ? op->at.path : ""),
                                  text(t, f ? f->name : ""), i32(t, line), i32(t, col)};
    LLVMValueRef faults = fault_table(t, r->entry->plan, op, callee, &n_faults);
    LLVMValueRef kernel = LLVMGetNamedFunction(t->m->mod, emit_symbol(t->m, "launch", callee->name));
    LLVMValueRef work = LLVMGetNamedFunction(t->m->mod, emit_symbol(t->m, "work", callee->name));
    LLVMValueRef fields[] = {c_struct(t, info_fields, 5), kernel, work, faults, i64(t, n_faults)};
    r->row[r->n++] = c_struct(t, fields, 5);
}

static void count_launch(void *arg, const kop *op)
{
    (void)op;
    ++*(uint32_t *)arg;
}

/* ---- sizes of memory ---- */

/* int64_t name(const int64_t *dims) */
static LLVMValueRef size_function(tables *t, const char *name, const kfunction *plan, const most_bytes *bytes,
                                  const uint32_t *symbol_index)
{
    emit_module *m = t->m;
    LLVMValueRef fn = emit_add_function(m, name, LLVMFunctionType(m->i64, &m->ptr, 1, false), LLVMInternalLinkage);
    emitter e;
    emit_begin(&e, m, plan, fn);
    emit_load_dims(&e, LLVMGetParam(fn, 0), symbol_index);
    LLVMValueRef most = cg_const_i64(m, 0);
    LLVMBasicBlockRef last = emit_new_block(&e, "last");
    emit_to(&e, last);
    vec_foreach (const dim, d, bytes) most = cg_max_i64(&e, most, cg_dim(&e, *d));
    LLVMBuildRet(e.b, most);
    emit_finish(&e, last);
    return fn;
}

/* ---- entries ---- */

static LLVMValueRef check_table(tables *t, const codegen_entry *e)
{
    static const int ops[] = {[CODEGEN_CHECK_EQ] = RT_CHECK_EQ,
                              [CODEGEN_CHECK_LE] = RT_CHECK_LE,
                              [CODEGEN_CHECK_MULTIPLE] = RT_CHECK_MULTIPLE};
    LLVMValueRef *row = rows_for(t, e->n_checks);
    for (uint32_t i = 0; i < e->n_checks; i++) {
        const codegen_check *c = &e->checks[i];
        LLVMValueRef fields[] = {expression(t, c->lhs), expression(t, c->rhs), i64(t, ops[c->op]), text(t, c->text),
                                 text(t, c->place)};
        row[i] = c_struct(t, fields, 5);
    }
    return array_of(t, "checks", row, e->n_checks);
}

static const uint32_t *symbol_indices(tables *t, const kfunction *plan)
{
    uint32_t n = dim_symbol_count(plan->dims);
    uint32_t *index = ARENA_ARRAY(t->m->a, uint32_t, n);
    for (uint32_t i = 0; i < n; i++) {
        dim d = dim_find(t->model->dims, dim_symbol_at(plan->dims, i)->name);
        assert(d != DIM_BAD && "a plan's dims are the model's");
        index[i] = (uint32_t)dim_is_symbol(t->model->dims, d);
    }
    return index;
}

/* The launch table is declared first, since the plan refers to it, and filled in afterwards. */
static LLVMValueRef entry_row(tables *t, const codegen_entry *e)
{
    emit_module *m = t->m;
    const kfunction *plan = e->plan;
    uint32_t n_launches = 0;
    plan_foreach_launch(plan, count_launch, &n_launches);
    launch_rows launches = {t, e, rows_for(t, n_launches), 0};
    plan_foreach_launch(plan, add_launch, &launches);
    LLVMValueRef table = array_of(t, emit_symbol(m, "launches", e->name), launches.row, n_launches);

    uint64_t *offset = ARENA_ARRAY(m->a, uint64_t, plan->params.len);
    for (uint32_t i = 0; i < plan->params.len; i++)
        if (plan->params.data[i].role == KPARAM_WEIGHT)
            offset[i] = weights_offset(t->weights, plan->params.data[i].weight);
    plan_layout layout = {offset, symbol_indices(t, plan), table};
    LLVMValueRef fn = emit_plan(m, plan, emit_symbol(m, "plan", e->name), &layout);

    most_bytes buffers = plan_workspace_bytes(plan), scratch = plan_scratch_bytes(t->k, plan);
    LLVMValueRef fields[] = {
        fn,
        size_function(t, emit_symbol(m, "buffer_bytes", e->name), plan, &buffers, layout.symbol_index),
        size_function(t, emit_symbol(m, "scratch_bytes", e->name), plan, &scratch, layout.symbol_index),
        i64(t, most_bytes_bound(plan->dims, &buffers)),
        i64(t, most_bytes_bound(plan->dims, &scratch)),
        check_table(t, e),
        table,
        i32(t, e->n_checks),
        i32(t, n_launches)};
    return c_struct(t, fields, 9);
}

/* The weights pointer is the artefact's only reference to them and 64 bits wide, so their size has no limit. */
static LLVMValueRef weights_placeholder(tables *t, bool external)
{
    if (external || !t->weights->bytes) return null_ptr(t);
    LLVMValueRef g = constant(t, "weights", LLVMConstNull(LLVMArrayType2(t->m->i8, 64)));
    LLVMSetSection(g, WEIGHTS_SECTION);
    LLVMSetAlignment(g, 4096);
    return g;
}

/* The kernels, plans and tables of one variant. */
static LLVMValueRef variant_row(tables *t, const codegen_variant *v, const codegen_target *target)
{
    emit_module *m = t->m;
    t->k = v->k;
    t->model = v->model;
    m->target = target;
    for (uint32_t i = 0; i < v->k->functions.len; i++)
        if (v->k->functions.data[i]->target == KTARGET_CPU) {
            LLVMSetLinkage(emit_kernel(m, v->k->functions.data[i]), LLVMInternalLinkage);
            LLVMSetLinkage(emit_task_count(m, v->k->functions.data[i]), LLVMInternalLinkage);
            LLVMSetLinkage(emit_work(m, v->k->functions.data[i]), LLVMInternalLinkage);
        }
    LLVMValueRef *entries = rows_for(t, v->model->n_entries);
    for (uint32_t i = 0; i < v->model->n_entries; i++) entries[i] = entry_row(t, &v->model->entries[i]);
    LLVMValueRef fields[] = {array_of(t, "entries", entries, v->model->n_entries), i64(t, (int64_t)target->required)};
    return c_struct(t, fields, 2);
}

void emit_model(emit_module *m, const codegen_variant *variants, const codegen_target *targets, uint32_t n,
                const weights_layout *w, bool external)
{
    tables t = {.m = m, .weights = w, .texts = ptrmap_new(m->a)};
    LLVMValueRef *rows = rows_for(&t, n);
    for (uint32_t i = 0; i < n; i++) {
        m->variant = n > 1 ? arena_printf(m->a, ".%s", targets[i].name) : "";
        rows[i] = variant_row(&t, &variants[i], &targets[i]);
    }
    LLVMValueRef info = info_struct(&t, targets, n, external); /* numbers the computed sizes */
    LLVMValueRef *computed = rows_for(&t, t.computed.len);
    for (uint32_t i = 0; i < t.computed.len; i++) computed[i] = expression(&t, t.computed.data[i]);

    LLVMValueRef weights[] = {weights_placeholder(&t, external), i64(&t, (int64_t)w->bytes)};
    LLVMValueRef fields[] = {i32(&t, RT_ABI_VERSION),
                             i32(&t, t.computed.len),
                             info,
                             array_of(&t, "variants", rows, n),
                             array_of(&t, "computed", computed, t.computed.len),
                             c_struct(&t, weights, 2)};
    LLVMValueRef g = constant(&t, "rt_the_model", c_struct(&t, fields, 6));
    LLVMSetLinkage(g, LLVMExternalLinkage);
    LLVMSetVisibility(g, LLVMHiddenVisibility);
    LLVMSetAlignment(g, 64);
    /* weight_id is written into the object file, so no code may be made from its value here. */
    LLVMSetExternallyInitialized(g, true);
    assert(LLVMABISizeOfType(LLVMGetModuleDataLayout(m->mod), LLVMGlobalGetValueType(g)) == sizeof(struct rt_model));
}
