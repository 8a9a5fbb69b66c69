/* The kernel-IR verifier: that the lists, trees and ids are whole, that every value is defined once and before it is
 * read, that blocks end as their op wants, and that loops are mapped as the target allows. */
#include "ir/kir/kir_verify.h"

#include <stdio.h>

bool kverify_error(kverifier *v, const kop *o, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *message = arena_vprintf(v->a, fmt, ap);
    va_end(ap);
    v->ok = false;
    diag *g = diag_error(v->d, o ? o->source : (span){0}, "kernel IR @%s: %s", v->f->name, message);
    diag_code(g, "invalid-ir");
    if (!o || !v->names) return false;
    strbuf text = strbuf_new(v->a);
    kop_print_with(o, v->names, &text);
    diag_note(g, "%s", text.s);
    return false;
}

/* ---- shape of the graph: checked first, so that everything after it may follow pointers and print ---- */

typedef struct {
    kverifier *v;
    bool *seen; /* by value id */
    bool ok;
} graph;

static bool graph_value(graph *g, const kvalue *x)
{
    if (!x || x->id >= g->v->f->n_values || g->seen[x->id]) {
        g->ok = kverify_error(g->v, NULL, x ? "the value id %u is used twice or out of range" : "a value is missing",
                              x ? x->id : 0);
        return false;
    }
    g->seen[x->id] = true;
    return true;
}

static void graph_block(graph *g, const kblock *b, const kop *parent);

static void graph_op(graph *g, const kop *o, const kblock *b, const kop *prev)
{
    const kfunction *f = g->v->f;
    if (o->parent != b || o->prev != prev || (unsigned)o->op >= KOP_COUNT || o->id >= f->n_ops) {
        g->ok = kverify_error(g->v, NULL, "an op is not linked into its block");
        return;
    }
    for (uint32_t i = 0; i < o->n_results; i++)
        if (graph_value(g, o->results[i]) && o->results[i]->def != o)
            g->ok = kverify_error(g->v, NULL, "a result does not know its op");
    for (uint32_t i = 0; i < o->n_blocks; i++) graph_block(g, o->blocks[i], o);
}

static void graph_block(graph *g, const kblock *b, const kop *parent)
{
    if (!b || b->parent != parent || b->fn != g->v->f) {
        g->ok = kverify_error(g->v, NULL, "a block is not linked into its op");
        return;
    }
    for (uint32_t i = 0; i < b->n_args; i++)
        if (graph_value(g, b->args[i]) && b->args[i]->arg_of != b)
            g->ok = kverify_error(g->v, NULL, "a block argument does not know its block");
    const kop *prev = NULL;
    for (const kop *o = b->first; o && g->ok; prev = o, o = o->next) graph_op(g, o, b, prev);
    if (g->ok && b->last != prev) g->ok = kverify_error(g->v, NULL, "a block does not know its last op");
}

static void graph_read(void *arg, kvalue **slot)
{
    graph *g = arg;
    if (*slot && (*slot)->id < g->v->f->n_values && g->seen[(*slot)->id]) return;
    if (g->ok) g->ok = kverify_error(g->v, NULL, "an op reads a value of another function");
}

static void graph_reads(graph *g, const kblock *b)
{
    for (const kop *o = b->first; o && g->ok; o = o->next) {
        if (o->op == KOP_LAUNCH && (!o->at.callee || !o->launch_dims))
            g->ok = kverify_error(g->v, NULL, "a launch without a kernel or dims");
        kop_foreach_read((kop *)o, graph_read, g);
        for (uint32_t i = 0; i < o->n_blocks; i++) graph_reads(g, o->blocks[i]);
    }
}

static bool graph_whole(kverifier *v)
{
    graph g = {v, ARENA_ARRAY(v->a, bool, v->f->n_values), true};
    for (uint32_t i = 0; i < v->f->params.len; i++) graph_value(&g, v->f->params.data[i].v);
    if (g.ok) graph_block(&g, v->f->body, NULL);
    if (g.ok) graph_reads(&g, v->f->body);
    return g.ok;
}

/* ---- scopes ---- */

typedef struct {
    kverifier *v;
    const kop *o;
} scope_read;

static void check_in_scope(void *arg, kvalue **slot)
{
    scope_read *r = arg;
    if (!r->v->defined[(*slot)->id]) kverify_error(r->v, r->o, "%%%s is not defined here", r->v->names[(*slot)->id]);
}

/* ---- control flow ---- */

static bool same_types(kvalue *const *x, kvalue *const *y, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (x[i]->kind != KV_TILE || y[i]->kind != KV_TILE || !ktile_equal(x[i]->ty.tile, y[i]->ty.tile)) return false;
    return true;
}

/* The block's yield, checked to hand over `first` (unless NULL: a bool scalar) and then values of the types of `like`.
 */
static bool check_yield(kverifier *v, const kop *o, const kblock *b, bool condition, kvalue *const *like, uint32_t n)
{
    uint32_t want = n + condition;
    const kop *y = b->last && b->last->op == KOP_YIELD ? b->last : NULL;
    if (want == 0) return y ? kverify_error(v, y, "nothing leaves this block") : true;
    if (!y) return kverify_error(v, o, "a block of it does not yield its %u value%s", want, want == 1 ? "" : "s");
    if (y->n_operands != want) return kverify_error(v, y, "expected %u values, got %u", want, y->n_operands);
    if (condition && !kverify_scalar(y->operands[0], DT_BOOL))
        return kverify_error(v, y, "the condition is not a bool");
    if (same_types(y->operands + condition, like, n)) return true;
    return kverify_error(v, y, "the types are not those of the values that its op hands on");
}

static bool constant_index(kidx i, int64_t n)
{
    return !i.v && i.off == n;
}

static bool check_mapped_loop(kverifier *v, const kop *o)
{
    const kfunction *f = v->f;
    if (!constant_index(o->lo, 0) || o->at.step != 1 || o->n_operands)
        return kverify_error(v, o, "a %s loop starts at 0, steps by 1 and carries nothing", kmap_name(o->at.map));
    switch (o->at.map) {
    case KMAP_SERIAL: return true;
    case KMAP_PARALLEL:
        if (f->target == KTARGET_CPU && v->level == KLEVEL_TOP) return true;
        return kverify_error(v, o, "a parallel loop stands only at the top of a CPU kernel");
    case KMAP_BLOCK:
        if (f->target != KTARGET_PTX || (v->level != KLEVEL_TOP && v->level != KLEVEL_BLOCK))
            return kverify_error(v, o, "a block loop stands only at the top of a GPU kernel or in another one");
        if (o->hi.v && !(o->hi.v->def && o->hi.v->def->op == KOP_DIM))
            return kverify_error(v, o,
                                 "the end of a block loop is a dim or a constant: the grid is known before the launch");
        return v->block_loops < 3 ? true : kverify_error(v, o, "more than three nested block loops");
    case KMAP_WARP:
    case KMAP_WARPGROUP: {
        if (v->level != KLEVEL_BLOCK) return kverify_error(v, o, "a loop over agents stands only inside a block loop");
        int64_t agents = o->at.map == KMAP_WARP ? f->warps : f->warps / 4;
        if (o->at.map == KMAP_WARPGROUP && f->warps % 4)
            return kverify_error(v, o, "%u warps are no whole number of warpgroups", f->warps);
        if (constant_index(o->hi, agents)) return true;
        return kverify_error(v, o, "the loop does not run over the block's %lld agents", (long long)agents);
    }
    }
    return false;
}

static bool check_for(kverifier *v, const kop *o)
{
    const kblock *b = o->blocks[0];
    if (o->n_blocks != 1 || b->n_args != o->n_operands + 1 || o->n_results != o->n_operands)
        return kverify_error(v, o, "a loop has one block, and as many arguments and results as carried values");
    if (!kverify_scalar(b->args[0], DT_I64)) return kverify_error(v, o, "the induction variable is not an i64");
    if ((o->lo.v && !kverify_scalar(o->lo.v, DT_I64)) || (o->hi.v && !kverify_scalar(o->hi.v, DT_I64)))
        return kverify_error(v, o, "the range is not i64");
    if (!same_types(o->operands, b->args + 1, o->n_operands) || !same_types(o->operands, o->results, o->n_results))
        return kverify_error(v, o, "initial values, arguments and results have different types");
    if (o->at.step < 1) return kverify_error(v, o, "the step is not positive");
    if (o->at.unroll < 1 || o->at.unroll > KMAX_UNROLL)
        return kverify_error(v, o, "the unroll factor is not in 1..%d", KMAX_UNROLL);
    if (o->at.map != KMAP_SERIAL && !check_mapped_loop(v, o)) return false;
    return check_yield(v, o, b, false, o->results, o->n_results);
}

static bool check_if(kverifier *v, const kop *o)
{
    if (o->n_blocks != 2 || o->blocks[0]->n_args || o->blocks[1]->n_args)
        return kverify_error(v, o, "an if has two blocks without arguments");
    if (o->n_operands != 1 || !kverify_scalar(o->operands[0], DT_BOOL))
        return kverify_error(v, o, "the condition is not one bool");
    return check_yield(v, o, o->blocks[0], false, o->results, o->n_results) &&
           check_yield(v, o, o->blocks[1], false, o->results, o->n_results);
}

static bool check_switch(kverifier *v, const kop *o)
{
    if (o->n_results) return kverify_error(v, o, "a switch has no results");
    if (o->n_blocks != o->at.cases.n + 1u)
        return kverify_error(v, o, "a switch has a block for each case and a default");
    if (o->n_operands != 1 || !kverify_scalar(o->operands[0], DT_I64))
        return kverify_error(v, o, "the operand is not one i64");
    for (uint32_t i = 0; i < o->at.cases.n; i++)
        for (uint32_t k = 0; k < i; k++)
            if (o->at.cases.v[i] == o->at.cases.v[k])
                return kverify_error(v, o, "case %lld stands twice", (long long)o->at.cases.v[i]);
    for (uint32_t i = 0; i < o->n_blocks; i++)
        if (o->blocks[i]->n_args || !check_yield(v, o, o->blocks[i], false, NULL, 0))
            return kverify_error(v, o, "a case takes and gives no values");
    return true;
}

static bool check_while(kverifier *v, const kop *o)
{
    uint32_t n = o->n_operands;
    if (o->n_blocks != 2 || o->n_results != n || o->blocks[0]->n_args != n || o->blocks[1]->n_args != n)
        return kverify_error(v, o, "a while has two blocks with as many arguments as results and carried values");
    if (!same_types(o->operands, o->results, n) || !same_types(o->operands, o->blocks[0]->args, n) ||
        !same_types(o->operands, o->blocks[1]->args, n))
        return kverify_error(v, o, "initial values, arguments and results have different types");
    return check_yield(v, o, o->blocks[0], true, o->results, n) &&
           check_yield(v, o, o->blocks[1], false, o->results, n);
}

/* Where ops may stand: by target, by level, by position in the block. */
static bool check_place(kverifier *v, const kop *o)
{
    const kop_info *row = kop_row(o->op);
    ktarget t = v->f->target;
    if (!(row->props & (t == KTARGET_PLAN ? K_PLAN : K_KERNEL)))
        return kverify_error(v, o, "not an op of %s", t == KTARGET_PLAN ? "plans" : "kernels");
    if (row->props & K_GPU && t != KTARGET_PTX) return kverify_error(v, o, "only an op of GPU kernels");
    if (o->op == KOP_YIELD && (o->next || !o->parent->parent))
        return kverify_error(v, o, "a yield stands only at the end of a nested block");
    if (v->level != KLEVEL_TOP && v->level != KLEVEL_BLOCK) return true;
    bool mapped = o->op == KOP_FOR && o->at.map != KMAP_SERIAL;
    bool shared = o->op == KOP_ALLOC && v->level == KLEVEL_BLOCK;
    if (!mapped && !shared && !(row->props & K_PURE && !(row->props & K_MEM)))
        return kverify_error(v, o, "only pure ops stand outside of the %s loop",
                             t == KTARGET_CPU ? "parallel" : "warp");
    if (mapped && o->next) return kverify_error(v, o, "something follows the %s loop", kmap_name(o->at.map));
    return true;
}

static void walk_block(kverifier *v, const kblock *b);

static void walk_blocks(kverifier *v, const kop *o)
{
    klevel level = v->level;
    uint32_t block_loops = v->block_loops;
    if (v->nesting == KMAX_NESTING) {
        kverify_error(v, o, "blocks are nested more than %d deep", KMAX_NESTING);
        return;
    }
    v->nesting++;
    if (o->op == KOP_FOR && o->at.map == KMAP_PARALLEL) v->level = KLEVEL_THREAD;
    if (o->op == KOP_FOR && o->at.map == KMAP_BLOCK) {
        v->level = KLEVEL_BLOCK;
        v->block_loops++;
    }
    if (o->op == KOP_FOR && (o->at.map == KMAP_WARP || o->at.map == KMAP_WARPGROUP)) {
        v->level = KLEVEL_AGENT;
        v->agent = o->at.map == KMAP_WARP ? KAGENT_WARP : KAGENT_WARPGROUP;
    }
    for (uint32_t i = 0; i < o->n_blocks; i++) walk_block(v, o->blocks[i]);
    v->level = level;
    v->block_loops = block_loops;
    v->nesting--;
}

/* Some symbol of d is counted further down. */
static bool is_counted_later(const kverifier *v, dim d)
{
    for (uint32_t i = 0; i < v->reads.len; i++) {
        const kop *o = v->reads.data[i];
        int32_t s = v->defined[o->results[0]->id] ? -1 : dim_is_symbol(v->f->dims, o->at.d);
        if (s >= 0 && d != DIM_BAD && dim_uses(v->f->dims, d, (uint32_t)s)) return true;
    }
    return false;
}

/* Kernels get all dims, also those that are not counted yet: buffers of such sizes do not exist then. */
static bool check_counted(kverifier *v, const kop *o)
{
    bool later = o->op == KOP_DIM && is_counted_later(v, o->at.d);
    for (uint32_t i = 0; i < o->n_results; i++) {
        const kbuffer *b = o->results[i]->kind == KV_BUFFER ? &o->results[i]->ty.buf : NULL;
        for (int k = 0; b && k < b->rank; k++) later = later || is_counted_later(v, b->shape[k]);
    }
    return later ? kverify_error(v, o, "a dim is used before it is read") : true;
}

static void walk_op(kverifier *v, const kop *o)
{
    scope_read r = {v, o};
    kop_foreach_read((kop *)o, check_in_scope, &r);
    bool ok = check_place(v, o);
    if (ok && v->f->target == KTARGET_PLAN) ok = check_counted(v, o);
    for (uint32_t i = 0; i < o->n_operands && ok; i++)
        if (o->operands[i]->kind == KV_TILE && o->operands[i]->ty.tile.layout == KL_SHARED && o->op != KOP_CONTRACT)
            ok = kverify_error(v, o, "a descriptor is only an operand of contractions");
    if (ok && o->op == KOP_FOR) ok = check_for(v, o);
    else if (ok && o->op == KOP_IF) ok = check_if(v, o);
    else if (ok && o->op == KOP_SWITCH) ok = check_switch(v, o);
    else if (ok && o->op == KOP_WHILE) ok = check_while(v, o);
    else if (ok) ok = kverify_op(v, o);
    if (ok && o->n_results > KMAX_RESULTS) ok = kverify_error(v, o, "more than %d results", KMAX_RESULTS);
    for (uint32_t i = 0; ok && i < o->n_results; i++)
        if (o->results[i]->kind == KV_TILE) ok = kverify_tile(v, o, o->results[i]->ty.tile);
    if (ok) walk_blocks(v, o);
    for (uint32_t i = 0; i < o->n_results; i++) v->defined[o->results[i]->id] = true;
}

static void walk_block(kverifier *v, const kblock *b)
{
    for (uint32_t i = 0; i < b->n_args; i++) v->defined[b->args[i]->id] = true;
    for (const kop *o = b->first; o; o = o->next) walk_op(v, o);
    /* What was defined here ends here. */
    for (uint32_t i = 0; i < b->n_args; i++) v->defined[b->args[i]->id] = false;
    for (const kop *o = b->first; o; o = o->next)
        for (uint32_t i = 0; i < o->n_results; i++) v->defined[o->results[i]->id] = false;
}

/* ---- functions ---- */

static bool check_param(kverifier *v, const kparam *k)
{
    const kfunction *f = v->f;
    const char *name = v->names[k->v->id];
    if (k->v->kind != KV_BUFFER) return kverify_error(v, NULL, "parameter %%%s is not a buffer", name);
    const kbuffer *b = &k->v->ty.buf;
    v->defined[k->v->id] = true;
    if (!kverify_buffer(v, NULL, b)) return kverify_error(v, NULL, "in the type of parameter %%%s", name);
    if (b->space != KSPACE_GLOBAL) return kverify_error(v, NULL, "parameter %%%s is not in global memory", name);
    if ((k->role == KPARAM_BUFFER) != (f->target != KTARGET_PLAN))
        return kverify_error(v, NULL, "parameter %%%s: kernels have buffers, plans have inputs, outputs and weights",
                             name);
    if (k->role == KPARAM_BUFFER) return true;
    if (!k->tensor) return kverify_error(v, NULL, "parameter %%%s has no tensor's name", name);
    if (!b->dense) return kverify_error(v, NULL, "parameter %%%s of a plan is not dense", name);
    if (k->mode != (k->role == KPARAM_OUTPUT ? KACCESS_OUT : KACCESS_IN))
        return kverify_error(v, NULL, "parameter %%%s has the wrong access mode for its role", name);
    int64_t bytes;
    if (!k->weight) return true;
    if (k->weight->dt != b->dt)
        return kverify_error(v, NULL, "weight %%%s has the dtype %s", name, dtype_name(k->weight->dt));
    if (dim_is_const(f->dims, kbuffer_bytes(f->dims, b), &bytes) && bytes >= 0 &&
        (uint64_t)bytes == cexpr_bytes(k->weight))
        return true;
    return kverify_error(v, NULL, "weight %%%s: its constant has %llu bytes, the buffer another size", name,
                         (unsigned long long)cexpr_bytes(k->weight));
}

static uint32_t count_mapped(const kblock *b)
{
    uint32_t n = 0;
    for (const kop *o = b->first; o; o = o->next) {
        if (o->op == KOP_FOR && (o->at.map == KMAP_PARALLEL || o->at.map == KMAP_WARP || o->at.map == KMAP_WARPGROUP))
            n++;
        for (uint32_t i = 0; i < o->n_blocks; i++) n += count_mapped(o->blocks[i]);
    }
    return n;
}

static void check_function(kverifier *v)
{
    const kfunction *f = v->f;
    for (uint32_t i = 0; i < f->params.len; i++) check_param(v, &f->params.data[i]);
    if (f->target == KTARGET_PTX ? f->warps < 1 || f->warps > 32 : f->warps != 0)
        kverify_error(v, NULL, "%u warps: a GPU kernel has 1 to 32, others have none", f->warps);
    if (f->body->n_args) kverify_error(v, NULL, "the body has arguments");
    v->level = f->target == KTARGET_PLAN ? KLEVEL_PLAN : KLEVEL_TOP;
    walk_block(v, f->body);
    uint32_t mapped = f->target == KTARGET_PLAN ? 1 : count_mapped(f->body);
    if (mapped != 1)
        kverify_error(v, NULL, "a kernel has exactly one %s loop, not %u",
                      f->target == KTARGET_CPU ? "parallel" : "warp", mapped);
}

bool kfunction_verify(const kfunction *f, diags *d)
{
    kverifier v = {.f = f, .d = d, .a = f->m->a, .ok = true};
    if (!graph_whole(&v)) return false;
    v.names = kvalue_names(f, v.a);
    v.defined = ARENA_ARRAY(v.a, bool, f->n_values);
    if (f->target == KTARGET_PLAN) kblock_foreach(op, f->body) if (op->op == KOP_READ_DIM) vec_push(v.a, &v.reads, op);
    check_function(&v);
    return v.ok;
}

bool kmodule_verify(const kmodule *m, diags *d)
{
    bool ok = true;
    for (uint32_t i = 0; i < m->functions.len; i++) {
        const kfunction *f = m->functions.data[i];
        for (uint32_t k = 0; k < i; k++)
            if (!strcmp(m->functions.data[k]->name, f->name)) {
                diag_error(d, (span){0}, "kernel IR: two functions are named @%s", f->name);
                ok = false;
            }
        ok &= kfunction_verify(f, d);
    }
    return ok;
}
