/* The .kir text form, written so that parsing and printing it again gives the same bytes. docs/kernel-ir.md describes
 * it.
 *
 * Values without a name of their own are numbered in order of appearance, not by id, so erased ops leave no trace. */
#include "ir/kir/kir_internal.h"

#include "ir/constant.h"

#include <assert.h>

/* ---- names ---- */

typedef struct {
    const kfunction *f;
    arena *a;
    const char **names;
    ptrmap *taken;
    uint32_t number;
} namer;

static void give_name(namer *n, const kvalue *v)
{
    assert(v->id < n->f->n_values);
    if (!is_identifier(v->name)) {
        n->names[v->id] = arena_printf(n->a, "%u", n->number++);
        return;
    }
    /* A second %acc becomes %acc.1, unless something has that very name. */
    const char *name = v->name;
    for (uint32_t k = 1; ptrmap_has(n->taken, name); k++) {
        char *next = arena_printf(n->a, "%s.%u", v->name, k);
        name = intern_z(n->f->m->names, next);
    }
    ptrmap_set(n->taken, name, (void *)v);
    n->names[v->id] = name;
}

static void name_block(namer *n, const kblock *b)
{
    for (uint32_t i = 0; i < b->n_args; i++) give_name(n, b->args[i]);
    for (const kop *o = b->first; o; o = o->next) {
        for (uint32_t i = 0; i < o->n_results; i++) give_name(n, o->results[i]);
        for (uint32_t i = 0; i < o->n_blocks; i++) name_block(n, o->blocks[i]);
    }
}

const char **kvalue_names(const kfunction *f, arena *a)
{
    namer n = {.f = f, .a = a, .names = ARENA_ARRAY(a, const char *, f->n_values), .taken = ptrmap_new(a)};
    for (uint32_t i = 0; i < f->params.len; i++) give_name(&n, f->params.data[i].v);
    name_block(&n, f->body);
    return n.names;
}

typedef struct {
    const kfunction *f;
    const char *const *names;
    strbuf *out;
    int depth;
} printer;

static void print_value(const printer *p, const kvalue *v)
{
    const char *name = v ? p->names[v->id] : NULL;
    strbuf_addf(p->out, "%%%s", name ? name : "<undefined>");
}

static void print_symbol(strbuf *out, const char *name)
{
    strbuf_addc(out, '@');
    if (is_identifier(name)) strbuf_adds(out, name);
    else print_quoted(out, name);
}

/* ---- types ---- */

void ktile_print(ktile t, strbuf *out)
{
    strbuf_adds(out, dtype_name(t.dt));
    if (t.rank == 0) return;
    for (int i = 0; i < t.rank; i++) strbuf_addf(out, "%c%d", i ? 'x' : '<', t.shape[i]);
    if (t.layout != KL_VEC) strbuf_addf(out, ", %s", klayout_name(t.layout));
    strbuf_addc(out, '>');
}

static void print_dims(const dim_ctx *c, const dim *d, uint32_t n, strbuf *out)
{
    strbuf_addc(out, '[');
    for (uint32_t i = 0; i < n; i++) {
        if (i) strbuf_adds(out, ", ");
        dim_print(c, d[i], out);
    }
    strbuf_addc(out, ']');
}

void kbuffer_print(const dim_ctx *c, const kbuffer *b, strbuf *out)
{
    strbuf_addf(out, "%s %s", dtype_name(b->dt), kspace_name(b->space));
    print_dims(c, b->shape, b->rank, out);
    if (!b->dense) {
        strbuf_adds(out, " strides");
        print_dims(c, b->strides, b->rank, out);
    }
    if (b->swizzle.bits) strbuf_addf(out, " swizzle(%d, %d, %d)", b->swizzle.bits, b->swizzle.base, b->swizzle.shift);
    if (b->align) strbuf_addf(out, " align %u", b->align);
}

static void print_type(const printer *p, const kvalue *v)
{
    if (v->kind == KV_TILE) ktile_print(v->ty.tile, p->out);
    else kbuffer_print(p->f->dims, &v->ty.buf, p->out);
}

static void print_result_types(const printer *p, const kop *o)
{
    for (uint32_t i = 0; i < o->n_results; i++) {
        strbuf_adds(p->out, i ? ", " : " : ");
        print_type(p, o->results[i]);
    }
}

/* ---- parts of ops ---- */

static void print_index(const printer *p, kidx i)
{
    if (!i.v) {
        strbuf_addf(p->out, "%lld", (long long)i.off);
        return;
    }
    print_value(p, i.v);
    uint64_t magnitude = i.off < 0 ? -(uint64_t)i.off : (uint64_t)i.off;
    if (i.off) strbuf_addf(p->out, " %c %llu", i.off < 0 ? '-' : '+', (unsigned long long)magnitude);
}

static void print_element(const printer *p, const kmem *m)
{
    print_value(p, m->buf);
    strbuf_addc(p->out, '[');
    for (int i = 0; i < m->n_idx; i++) {
        if (i) strbuf_adds(p->out, ", ");
        print_index(p, m->idx[i]);
    }
    strbuf_addc(p->out, ']');
}

static void print_rectangle(const printer *p, const kmem *m, uint32_t rank)
{
    bool axes = false, bound = false;
    for (uint32_t t = 0; t < rank; t++) {
        axes |= m->axes[t] != kmem_default_axis(m->n_idx, rank, t);
        bound |= m->bounded[t];
    }
    if (axes) {
        strbuf_adds(p->out, " axes [");
        for (uint32_t t = 0; t < rank; t++) {
            if (t) strbuf_adds(p->out, ", ");
            if (m->axes[t] == KAXIS_NONE) strbuf_addc(p->out, '_');
            else strbuf_addf(p->out, "%d", m->axes[t]);
        }
        strbuf_addc(p->out, ']');
    }
    if (bound) {
        strbuf_adds(p->out, " bound [");
        for (uint32_t t = 0; t < rank; t++) {
            if (t) strbuf_adds(p->out, ", ");
            if (m->bounded[t]) print_index(p, m->bound[t]);
            else strbuf_addc(p->out, '_');
        }
        strbuf_addc(p->out, ']');
    }
}

static void print_operands(const printer *p, kvalue *const *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        strbuf_adds(p->out, i ? ", " : " ");
        print_value(p, v[i]);
    }
}

static void print_attrs(const printer *p, const kop *o)
{
    const kop_info *row = kop_row(o->op);
    bool open = false;
    for (int i = 0; i < row->n_attrs; i++) {
        if (!kattr_is_set(&o->at, row->attrs[i])) continue;
        strbuf_addf(p->out, "%s%s = ", open ? ", " : " {", kattr_text(row->attrs[i]));
        kattr_print(p->f, &o->at, row->attrs[i], p->out);
        open = true;
    }
    if (open) strbuf_addc(p->out, '}');
}

static void print_carried(const printer *p, const kop *o, uint32_t first)
{
    const kblock *b = o->blocks[0];
    if (b->n_args <= first) return;
    strbuf_adds(p->out, " carry (");
    for (uint32_t i = first; i < b->n_args; i++) {
        if (i > first) strbuf_adds(p->out, ", ");
        print_value(p, b->args[i]);
        strbuf_adds(p->out, " = ");
        print_value(p, o->operands[i - first]);
    }
    strbuf_addc(p->out, ')');
}

/* ---- ops: the heading of each, from behind its name to before its types ---- */

static void print_plain(const printer *p, const kop *o)
{
    print_operands(p, o->operands, o->n_operands);
    print_attrs(p, o);
}

static void print_dim(const printer *p, const kop *o)
{
    strbuf_addc(p->out, ' ');
    dim_print(p->f->dims, o->at.d, p->out);
}

static void print_const(const printer *p, const kop *o)
{
    strbuf_addc(p->out, ' ');
    dtype t = o->results[0]->ty.tile.dt;
    if (dtype_is_float(t)) strbuf_add_double(p->out, o->at.real);
    else if (t == DT_BOOL) strbuf_adds(p->out, o->at.i ? "true" : "false");
    else strbuf_addf(p->out, "%lld", (long long)o->at.i);
}

static void print_load(const printer *p, const kop *o)
{
    strbuf_addc(p->out, ' ');
    print_element(p, &o->mem[0]);
    print_rectangle(p, &o->mem[0], o->results[0]->ty.tile.rank);
}

static void print_store(const printer *p, const kop *o)
{
    strbuf_addc(p->out, ' ');
    print_element(p, &o->mem[0]);
    strbuf_adds(p->out, ", ");
    print_value(p, o->operands[0]);
    print_rectangle(p, &o->mem[0], o->operands[0]->ty.tile.rank);
}

static void print_prefetch(const printer *p, const kop *o)
{
    strbuf_addc(p->out, ' ');
    print_element(p, &o->mem[0]);
    print_attrs(p, o);
}

static void print_read_dim(const printer *p, const kop *o)
{
    print_prefetch(p, o);
}

static void print_view(const printer *p, const kop *o)
{
    strbuf_addc(p->out, ' ');
    print_element(p, &o->mem[0]);
}

static void print_copy(const printer *p, const kop *o)
{
    for (int i = 0; i < o->n_mem; i++) {
        strbuf_adds(p->out, i ? ", " : " ");
        print_element(p, &o->mem[i]);
        print_rectangle(p, &o->mem[i], o->shape.rank);
    }
    strbuf_adds(p->out, " : ");
    ktile_print(o->shape, p->out);
}

static void print_for(const printer *p, const kop *o)
{
    strbuf_addc(p->out, ' ');
    print_value(p, o->blocks[0]->args[0]);
    strbuf_adds(p->out, " = ");
    print_index(p, o->lo);
    strbuf_adds(p->out, " to ");
    print_index(p, o->hi);
    strbuf_addf(p->out, " step %lld", (long long)o->at.step);
    if (o->at.map != KMAP_SERIAL) strbuf_addf(p->out, " %s", kmap_name(o->at.map));
    if (o->at.unroll > 1) strbuf_addf(p->out, " unroll %lld", (long long)o->at.unroll);
    print_carried(p, o, 1);
}

static void print_while(const printer *p, const kop *o)
{
    print_carried(p, o, 0);
}

static void print_launch(const printer *p, const kop *o)
{
    strbuf_addc(p->out, ' ');
    print_symbol(p->out, o->at.callee);
    strbuf_adds(p->out, " (");
    const kfunction *callee = p->f->m ? kmodule_find(p->f->m, o->at.callee) : NULL;
    for (uint32_t i = 0; i < o->n_launch_dims; i++) {
        if (i) strbuf_adds(p->out, ", ");
        if (callee && i < dim_symbol_count(callee->dims))
            strbuf_addf(p->out, "%s = ", dim_symbol_at(callee->dims, i)->name);
        dim_print(p->f->dims, o->launch_dims[i], p->out);
    }
    strbuf_adds(p->out, ") (");
    for (uint32_t i = 0; i < o->n_operands; i++) {
        if (i) strbuf_adds(p->out, ", ");
        print_value(p, o->operands[i]);
    }
    strbuf_addc(p->out, ')');
    if (o->at.path) {
        strbuf_adds(p->out, " at ");
        print_quoted(p->out, o->at.path);
    }
}

#define print_iota print_plain
#define print_cast print_plain
#define print_bitcast print_plain
#define print_contract print_plain
#define print_reduce print_plain
#define print_transpose print_plain
#define print_alloc print_plain
#define print_commit print_plain
#define print_wait print_plain
#define print_fence print_plain
#define print_barrier print_plain
#define print_check print_plain
#define print_yield print_plain
#define print_if print_plain
#define print_switch print_plain

static void print_heading(const printer *p, const kop *o)
{
    static void (*const print[KOP_COUNT])(const printer *, const kop *) = {
#define KOP(name, NAME, props, attrs, text) [KOP_##NAME] = print_##name,
#include "ir/kir/kops.def"
#undef KOP
#define SCALAR(name, NAME, arity, operands, result, f, i, math) [KOP_##NAME] = print_plain,
#include "ir/kir/kscalar.def"
#undef SCALAR
    };
    for (uint32_t i = 0; i < o->n_results; i++) {
        if (i) strbuf_adds(p->out, ", ");
        print_value(p, o->results[i]);
    }
    strbuf_addf(p->out, "%s%s", o->n_results ? " = " : "", kop_row(o->op)->name);
    /* `switch` shows its cases at their blocks. */
    if (o->op == KOP_SWITCH) print_operands(p, o->operands, o->n_operands);
    else print[o->op](p, o);
}

void kop_print_with(const kop *o, const char *const *names, strbuf *out)
{
    printer p = {o->parent->fn, names, out, 0};
    print_heading(&p, o);
    if (!o->n_blocks) print_result_types(&p, o);
}

void kop_print(const kop *o, strbuf *out)
{
    kop_print_with(o, kvalue_names(o->parent->fn, out->a), out);
}

void kvalue_print(const kfunction *f, const kvalue *v, strbuf *out)
{
    const char *name = kvalue_names(f, out->a)[v->id];
    strbuf_addf(out, "%%%s", name ? name : "<undefined>");
}

/* ---- blocks, functions, modules ---- */

static void indent(const printer *p)
{
    strbuf_pad(p->out, (size_t)p->depth * 2, ' ');
}

static void print_block(printer *p, const kblock *b);

static void print_blocks(printer *p, const kop *o)
{
    uint32_t n = o->n_blocks;
    if (o->op == KOP_IF && !o->blocks[1]->first) n = 1; /* an empty else is not written */
    for (uint32_t i = 0; i < n; i++) {
        if (o->op == KOP_SWITCH) {
            if (i + 1 < n) strbuf_addf(p->out, " case %lld", (long long)o->at.cases.v[i]);
            else strbuf_adds(p->out, " default");
        } else if (i) {
            strbuf_adds(p->out, o->op == KOP_IF ? " else" : " do");
            for (uint32_t k = 0; k < o->blocks[i]->n_args; k++) {
                strbuf_adds(p->out, k ? ", " : " (");
                print_value(p, o->blocks[i]->args[k]);
            }
            if (o->blocks[i]->n_args) strbuf_addc(p->out, ')');
        }
        strbuf_adds(p->out, " {\n");
        print_block(p, o->blocks[i]);
        indent(p);
        strbuf_addc(p->out, '}');
    }
}

static void print_block(printer *p, const kblock *b)
{
    p->depth++;
    for (const kop *o = b->first; o; o = o->next) {
        indent(p);
        print_heading(p, o);
        if (o->n_blocks) print_blocks(p, o);
        print_result_types(p, o);
        strbuf_addc(p->out, '\n');
    }
    p->depth--;
}

static void print_symbols(const kfunction *f, strbuf *out)
{
    strbuf_adds(out, " (");
    for (uint32_t i = 0; i < dim_symbol_count(f->dims); i++) {
        const dim_symbol *s = dim_symbol_at(f->dims, i);
        strbuf_addf(out, "%s%s in %lld..%lld", i ? ", " : "", s->name, (long long)s->min, (long long)s->max);
        if (s->multiple > 1) strbuf_addf(out, " multiple %lld", (long long)s->multiple);
        if (s->origin != DIM_INPUT) strbuf_adds(out, s->origin == DIM_SETTING ? " setting" : " data");
    }
    strbuf_addc(out, ')');
}

static void print_role(const kparam *k, strbuf *out)
{
    static const char *const modes[] = {[KACCESS_IN] = "in", [KACCESS_OUT] = "out", [KACCESS_INOUT] = "inout"};
    static const char *const roles[] = {
        [KPARAM_INPUT] = "input", [KPARAM_OUTPUT] = "output", [KPARAM_WEIGHT] = "weight"};
    if (k->role == KPARAM_BUFFER) {
        strbuf_addf(out, " %s", modes[k->mode]);
        return;
    }
    strbuf_addf(out, " %s ", roles[k->role]);
    print_quoted(out, k->tensor ? k->tensor : "");
    if (k->role != KPARAM_WEIGHT || !k->weight) return;
    strbuf_adds(out, " = ");
    cexpr_print(k->weight, out);
}

void kfunction_print(const kfunction *f, strbuf *out)
{
    static const char *const targets[] = {
        [KTARGET_CPU] = "kernel @ cpu", [KTARGET_PTX] = "kernel @ ptx", [KTARGET_PLAN] = "plan @"};
    const char *heading = targets[f->target], *at = strchr(heading, '@');
    strbuf_add(out, heading, (size_t)(at - heading));
    print_symbol(out, f->name);
    strbuf_adds(out, at + 1);
    print_symbols(f, out);
    strbuf_adds(out, "\n    (");
    printer p = {.f = f, .names = kvalue_names(f, out->a), .out = out};
    for (uint32_t i = 0; i < f->params.len; i++) {
        const kparam *k = &f->params.data[i];
        if (i) strbuf_adds(out, ",\n     ");
        print_value(&p, k->v);
        strbuf_adds(out, ": ");
        print_type(&p, k->v);
        print_role(k, out);
    }
    strbuf_addc(out, ')');
    if (f->warps) strbuf_addf(out, " warps %u", f->warps);
    if (f->block) {
        strbuf_adds(out, " block ");
        print_quoted(out, f->block);
    }
    strbuf_adds(out, " {\n");
    print_block(&p, f->body);
    strbuf_adds(out, "}\n");
}

void kmodule_print(const kmodule *m, strbuf *out)
{
    if (m->name) {
        strbuf_adds(out, "module ");
        print_quoted(out, m->name);
        strbuf_adds(out, "\n\n");
    }
    for (uint32_t i = 0; i < m->functions.len; i++) {
        if (i) strbuf_addc(out, '\n');
        kfunction_print(m->functions.data[i], out);
    }
}
