/* Plans as LLVM functions: rt_plan_fn. A plan loads its dims and base addresses from struct rt_call, computes buffer
 * addresses and dims, and calls rt_call.launch for each region of launches in turn; a status that is not 0 is returned
 * at once. */
#include "codegen/emit_plan.h"

#include "codegen/plan_memory.h"
#include "codegen/plan_regions.h"

#include <assert.h>
#include <stddef.h>

struct plan_state {
    const plan_layout *layout;
    const bool *ends;            /* by launch: a region ends with it */
    uint32_t *param_of, *number; /* by value id: 1 + the parameter; by parameter: which input or output it is */
    bool in_parts;               /* addresses and dims are computed where they are needed */
    VEC(uint32_t) set;           /* ids of the values that are at hand, in the order they were computed in */
    uint32_t n_launches;         /* emitted so far */
    uint32_t most_works, most_bufs, most_dims; /* of a region */
    LLVMValueRef works, bufs, dims;            /* arrays on the stack, as long as the longest region needs */
    uint32_t n_works, n_bufs, n_dims;          /* how much of them this region has filled */
    LLVMBasicBlockRef body, leave;             /* leave returns `status` */
    LLVMValueRef status;                       /* phi */
};

/* ---- how many tasks a kernel has ---- */

static const kop *parallel_loop(const kfunction *f)
{
    kblock_foreach(op, f->body) if (op->op == KOP_FOR && op->at.map == KMAP_PARALLEL) return op;
    return NULL;
}

LLVMBasicBlockRef emit_dims_function(emitter *e, emit_module *m, const kfunction *f, const char *name)
{
    LLVMTypeRef signature = LLVMFunctionType(m->i64, &m->ptr, 1, false);
    LLVMValueRef fn = emit_add_function(m, emit_symbol(m, name, f->name), signature, LLVMExternalLinkage);
    emit_begin(e, m, f, fn);
    LLVMBasicBlockRef body = emit_new_block(e, "body");
    emit_to(e, body);
    emit_load_dims(e, LLVMGetParam(fn, 0), NULL);
    return body;
}

LLVMValueRef emit_task_count(emit_module *m, const kfunction *f)
{
    emitter e;
    LLVMBasicBlockRef body = emit_dims_function(&e, m, f, "tasks");
    const kop *loop = parallel_loop(f);
    assert(loop && "a CPU kernel has one parallel loop");
    for (kop *op = f->body->first; op != loop; op = op->next)
        if (kop_row(op->op)->props & K_PURE) emit_cpu_table[op->op](&e, op);
    LLVMBuildRet(e.b, cg_max_i64(&e, cg_index(&e, loop->hi), cg_const_i64(m, 0)));
    emit_finish(&e, body);
    return e.fn;
}

void emit_load_dims(emitter *e, LLVMValueRef table, const uint32_t *index)
{
    for (uint32_t i = 0; i < dim_symbol_count(e->f->dims); i++) {
        LLVMValueRef at = cg_const_i64(e->m, index ? index[i] : i);
        e->symbols[i] = LLVMBuildLoad2(e->entry, e->m->i64, LLVMBuildGEP2(e->entry, e->m->i64, table, &at, 1, ""), "");
    }
}

/* ---- buffers ---- */

static LLVMValueRef call_field(emitter *e, size_t offset)
{
    LLVMValueRef at = cg_const_i64(e->m, (int64_t)offset);
    LLVMValueRef p = LLVMBuildGEP2(e->entry, e->m->i8, e->call, &at, 1, "");
    return LLVMBuildLoad2(e->entry, e->m->ptr, p, "");
}

static LLVMValueRef nth_pointer(emitter *e, LLVMValueRef table, uint32_t i)
{
    LLVMValueRef at = cg_const_i64(e->m, i);
    return LLVMBuildLoad2(e->entry, e->m->ptr, LLVMBuildGEP2(e->entry, e->m->ptr, table, &at, 1, ""), "");
}

/* A parameter's base address. Inputs and outputs are numbered in their order. */
static void bind_param(emitter *e, const kvalue *v)
{
    const struct plan_state *s = e->plan;
    uint32_t i = s->param_of[v->id] - 1;
    LLVMValueRef p;
    switch (e->f->params.data[i].role) {
    case KPARAM_INPUT: p = nth_pointer(e, call_field(e, offsetof(struct rt_call, inputs)), s->number[i]); break;
    case KPARAM_OUTPUT: p = nth_pointer(e, call_field(e, offsetof(struct rt_call, outputs)), s->number[i]); break;
    default: {
        LLVMValueRef at = cg_const_i64(e->m, (int64_t)s->layout->weight_offset[i]);
        p = LLVMBuildGEP2(e->entry, e->m->i8, call_field(e, offsetof(struct rt_call, weights)), &at, 1, "");
    }
    }
    LLVMValueRef *one = ARENA_NEW(e->m->a, LLVMValueRef);
    *one = p;
    cg_set(e, v, (cg_value){.v = one, .rows = 1, .cols = 1, .lanes = 1, .chunks = 1});
}

/* An address or a number. */
static bool is_computed(const kop *op)
{
    return op->op == KOP_ALLOC || kop_row(op->op)->props & K_PURE;
}

/* Addresses and dims are computed in each part of the plan that needs them, when it does. */
static void need(emitter *e, const kvalue *v)
{
    struct plan_state *s = e->plan;
    if (!s->in_parts || !v || e->values[v->id].v) return;
    vec_push(e->m->a, &s->set, v->id);
    if (s->param_of[v->id]) {
        bind_param(e, v);
        return;
    }
    kop *op = v->def;
    assert(op && (op->op == KOP_READ_DIM || is_computed(op)));
    if (op->op == KOP_READ_DIM) {
        cg_set_affine(e, v, cg_dim(e, op->at.d), 0);
        return;
    }
    for (uint32_t i = 0; i < op->n_operands; i++) need(e, op->operands[i]);
    for (int i = 0; i < op->n_mem; i++) {
        need(e, op->mem[i].buf);
        for (int k = 0; k < op->mem[i].n_idx; k++) need(e, op->mem[i].idx[k].v);
    }
    emit_cpu_table[op->op](e, op);
}

/* ---- launches ---- */

static LLVMValueRef nth(emitter *e, LLVMTypeRef t, LLVMValueRef table, uint32_t i)
{
    LLVMValueRef at = cg_const_i64(e->m, i);
    return LLVMBuildGEP2(e->b, t, table, &at, 1, "");
}

static void store_field(emitter *e, LLVMValueRef work, size_t offset, LLVMValueRef v)
{
    LLVMBuildStore(e->b, v, cg_offset_const(e, work, (int64_t)offset));
}

/* The values computed after the first `from` are no longer at hand. */
static void forget(emitter *e, uint32_t from)
{
    struct plan_state *s = e->plan;
    for (uint32_t i = from; i < s->set.len; i++) e->values[s->set.data[i]] = (cg_value){0};
    s->set.len = from;
}

/* Fills in the struct rt_work of a launch. */
static void emit_launch_work(emitter *e, const kop *op)
{
    struct plan_state *s = e->plan;
    emit_module *m = e->m;
    const kfunction *callee = kmodule_find(e->f->m, op->at.callee);
    assert(callee && callee->params.len == op->n_operands);
    uint32_t n_dims = dim_symbol_count(callee->dims);
    for (uint32_t i = 0; i < op->n_operands; i++) need(e, op->operands[i]);
    LLVMValueRef bufs = nth(e, m->ptr, s->bufs, s->n_bufs), dims = nth(e, m->i64, s->dims, s->n_dims);
    for (uint32_t i = 0; i < op->n_operands; i++)
        LLVMBuildStore(e->b, cg_buffer(e, op->operands[i]), nth(e, m->ptr, bufs, i));
    for (uint32_t i = 0; i < n_dims; i++) LLVMBuildStore(e->b, cg_dim(e, op->launch_dims[i]), nth(e, m->i64, dims, i));
    LLVMValueRef count = LLVMGetNamedFunction(m->mod, emit_symbol(m, "tasks", callee->name));
    LLVMValueRef row = cg_const_i64(m, (int64_t)(s->n_launches * sizeof(struct rt_launch)));
    LLVMValueRef work = cg_offset_const(e, s->works, (int64_t)(s->n_works * sizeof(struct rt_work)));
    store_field(e, work, offsetof(struct rt_work, launch),
                LLVMBuildGEP2(e->b, m->i8, s->layout->launches, &row, 1, ""));
    store_field(e, work, offsetof(struct rt_work, bufs), bufs);
    store_field(e, work, offsetof(struct rt_work, dims), dims);
    store_field(e, work, offsetof(struct rt_work, tasks),
                LLVMBuildCall2(e->b, LLVMGlobalGetValueType(count), count, &dims, 1, ""));
    s->n_launches++;
    s->n_works++;
    s->n_bufs += op->n_operands;
    s->n_dims += n_dims;
}

static void leave_unless_ok(emitter *e, LLVMValueRef status)
{
    struct plan_state *s = e->plan;
    LLVMBasicBlockRef on = emit_new_block(e, "launched"), here = emit_here(e);
    LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntEQ, status, cg_const_i32(e->m, 0), ""), on, s->leave);
    LLVMAddIncoming(s->status, &status, &here, 1);
    emit_to(e, on);
}

void emit_cpu_launch(emitter *e, kop *op)
{
    struct plan_state *s = e->plan;
    emit_module *m = e->m;
    emit_launch_work(e, op);
    if (!s->ends[s->n_launches - 1]) return;
    LLVMTypeRef types[] = {m->ptr, m->ptr, m->i64};
    LLVMTypeRef signature = LLVMFunctionType(m->i32, types, 3, false);
    LLVMValueRef fn = LLVMBuildLoad2(e->b, m->ptr, cg_offset_const(e, e->call, offsetof(struct rt_call, launch)), "");
    LLVMValueRef args[] = {e->call, s->works, cg_const_i64(m, s->n_works)};
    LLVMValueRef status = LLVMBuildCall2(e->b, signature, fn, args, 3, "");
    s->n_works = s->n_bufs = s->n_dims = 0;

    leave_unless_ok(e, status);
}

/* What the arrays must hold: the most of any region. */
typedef struct {
    const kmodule *k;
    const bool *ends;
    uint32_t n; /* launches passed */
    uint32_t works, bufs, dims;
    uint32_t most_works, most_bufs, most_dims;
} longest;

static void measure(void *arg, const kop *op)
{
    longest *l = arg;
    l->works++;
    l->bufs += op->n_operands;
    l->dims += dim_symbol_count(kmodule_find(l->k, op->at.callee)->dims);
    if (l->works > l->most_works) l->most_works = l->works;
    if (l->bufs > l->most_bufs) l->most_bufs = l->bufs;
    if (l->dims > l->most_dims) l->most_dims = l->dims;
    if (l->ends[l->n++]) l->works = l->bufs = l->dims = 0;
}

/* ---- parts ---- */

/* How many launches one function has: LLVM's time for a function grows faster than the function. */
enum { PART_LAUNCHES = 64 };

/* int32_t symbol(struct rt_call *call): returns at once what is not 0. */
static LLVMValueRef begin_function(emitter *e, emit_module *m, const kfunction *f, const char *symbol, cg_value *values,
                                   struct plan_state *s)
{
    LLVMValueRef fn = emit_add_function(m, symbol, LLVMFunctionType(m->i32, &m->ptr, 1, false), LLVMExternalLinkage);
    emit_begin_with(e, m, f, fn, values);
    e->plan = s;
    e->call = LLVMGetParam(fn, 0);
    s->body = emit_new_block(e, "body");
    s->leave = emit_new_block(e, "leave");
    emit_to(e, s->leave);
    s->status = LLVMBuildPhi(e->b, m->i32, "status");
    LLVMBuildRet(e->b, s->status);
    emit_to(e, s->body);
    span at = f->sources.len ? f->sources.data[0] : (span){0, 0};
    debug_function(m, fn, symbol, at);
    debug_at(e, at);
    return fn;
}

static void end_function(emitter *e, struct plan_state *s)
{
    LLVMBasicBlockRef last = emit_here(e);
    LLVMValueRef ok = cg_const_i32(e->m, 0);
    LLVMAddIncoming(s->status, &ok, &last, 1);
    emit_br(e, s->leave);
    emit_finish(e, s->body);
    debug_function_end(e->m);
}

static void begin_launches(emitter *e, struct plan_state *s)
{
    s->works = emit_stack(e, s->most_works * sizeof(struct rt_work), 8, "works");
    s->bufs = emit_stack(e, s->most_bufs * sizeof(void *), 8, "bufs");
    s->dims = emit_stack(e, s->most_dims * sizeof(int64_t), 8, "dims");
    emit_load_dims(e, call_field(e, offsetof(struct rt_call, dims)), s->layout->symbol_index);
    e->workspace = call_field(e, offsetof(struct rt_call, workspace));
}

static void emit_step(emitter *e, kop *op);

/* What one side computes is not at hand behind it. */
static void emit_branch(emitter *e, kop *op)
{
    struct plan_state *s = e->plan;
    need(e, op->operands[0]);
    LLVMBasicBlockRef side[2] = {emit_new_block(e, "then"), emit_new_block(e, "else")},
                      join = emit_new_block(e, "endif");
    LLVMBuildCondBr(e->b, cg_scalar(e, op->operands[0]), side[0], side[1]);
    for (uint32_t i = 0; i < op->n_blocks; i++) {
        uint32_t before = s->set.len;
        emit_to(e, side[i]);
        kblock_foreach(o, op->blocks[i]) emit_step(e, o);
        forget(e, before);
        emit_br(e, join);
    }
    emit_to(e, join);
}

/* The count is kept in the table of dims, where further parts find it. */
static void emit_count(emitter *e, kop *op)
{
    need(e, op->mem[0].buf);
    for (int k = 0; k < op->mem[0].n_idx; k++) need(e, op->mem[0].idx[k].v);
    emit_cpu_read_dim(e, op);
    int32_t symbol = dim_is_symbol(e->f->dims, op->at.d);
    LLVMValueRef table = call_field(e, offsetof(struct rt_call, dims));
    LLVMBuildStore(e->b, cg_dim(e, op->at.d), nth(e, e->m->i64, table, e->plan->layout->symbol_index[symbol]));
    vec_push(e->m->a, &e->plan->set, op->results[0]->id);
}

/* What a plan does, one after the other. */
static emit_fn *const steps[KOP_COUNT] = {
    [KOP_LAUNCH] = emit_cpu_launch, [KOP_IF] = emit_branch, [KOP_READ_DIM] = emit_count};

static void emit_step(emitter *e, kop *op)
{
    if (!steps[op->op]) return;
    e->at = op;
    debug_at(e, op->source);
    steps[op->op](e, op);
}

/* A function of the launches from *at on, as many as a part has and its last region needs. */
static LLVMValueRef emit_part(emit_module *m, const kfunction *f, const char *symbol, cg_value *values,
                              struct plan_state *s, kop **at)
{
    emitter e;
    LLVMValueRef fn = begin_function(&e, m, f, symbol, values, s);
    begin_launches(&e, s);
    uint32_t end = s->n_launches + PART_LAUNCHES;
    for (; *at && (s->n_launches < end || !s->ends[s->n_launches - 1]); *at = (*at)->next) emit_step(&e, *at);
    end_function(&e, s);
    forget(&e, 0);
    return fn;
}

/* A function that calls the parts in turn. */
static LLVMValueRef emit_parts(emit_module *m, const kfunction *f, const char *symbol, struct plan_state *s,
                               uint32_t launches)
{
    VEC(LLVMValueRef) parts = {0};
    cg_value *values = ARENA_ARRAY(m->a, cg_value, f->n_values);
    kop *at = f->body->first;
    unsigned kind = LLVMGetEnumAttributeKindForName("noinline", strlen("noinline"));
    LLVMAttributeRef alone = LLVMCreateEnumAttribute(m->ctx, kind, 0); /* else -O3 makes one function of them */
    if (launches <= PART_LAUNCHES) return emit_part(m, f, symbol, values, s, &at);
    while (s->n_launches < launches) {
        LLVMValueRef part = emit_part(m, f, arena_printf(m->a, "%s.%u", symbol, parts.len), values, s, &at);
        LLVMSetLinkage(part, LLVMInternalLinkage);
        LLVMAddAttributeAtIndex(part, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, alone);
        vec_push(m->a, &parts, part);
    }
    emitter e;
    LLVMValueRef fn = begin_function(&e, m, f, symbol, values, s);
    vec_foreach (LLVMValueRef, part, &parts) {
        LLVMValueRef status = LLVMBuildCall2(e.b, LLVMGlobalGetValueType(*part), *part, &e.call, 1, "");
        leave_unless_ok(&e, status);
    }
    end_function(&e, s);
    return fn;
}

/* Nothing but addresses and dims goes from one step to the next. */
static bool has_parts(const kblock *b)
{
    kblock_foreach(op, b)
    {
        if ((!steps[op->op] && !is_computed(op)) || (op->op == KOP_IF && op->n_results)) return false;
        for (uint32_t i = 0; i < op->n_blocks; i++)
            if (!has_parts(op->blocks[i])) return false;
    }
    return true;
}

LLVMValueRef emit_plan(emit_module *m, const kfunction *f, const char *symbol, const plan_layout *l)
{
    assert(f->target == KTARGET_PLAN);
    struct plan_state s = {
        .layout = l, .ends = plan_region_ends(f, RT_REGION_WORKS, m->a), .in_parts = has_parts(f->body)};
    longest most = {.k = f->m, .ends = s.ends, .most_works = 1, .most_bufs = 1, .most_dims = 1};
    plan_foreach_launch(f, measure, &most);
    s.most_works = most.most_works;
    s.most_bufs = most.most_bufs;
    s.most_dims = most.most_dims;
    s.param_of = ARENA_ARRAY(m->a, uint32_t, f->n_values);
    s.number = ARENA_ARRAY(m->a, uint32_t, f->params.len);
    uint32_t n[KPARAM_WEIGHT + 1] = {0};
    for (uint32_t i = 0; i < f->params.len; i++) {
        s.param_of[f->params.data[i].v->id] = i + 1;
        s.number[i] = n[f->params.data[i].role]++;
    }
    if (s.in_parts) return emit_parts(m, f, symbol, &s, most.n);
    emitter e;
    LLVMValueRef fn = begin_function(&e, m, f, symbol, ARENA_ARRAY(m->a, cg_value, f->n_values), &s);
    begin_launches(&e, &s);
    for (uint32_t i = 0; i < f->params.len; i++) bind_param(&e, f->params.data[i].v);
    emit_block(&e, f->body);
    end_function(&e, &s);
    return fn;
}
