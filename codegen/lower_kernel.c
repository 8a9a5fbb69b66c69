/* One kernel under construction: its parameters, and in the plan the buffers that they are launched on. */
#include "codegen/lower_internal.h"

#include <assert.h>

/* The stored shape of a base; one flat axis where it is not row-major. */
static kbuffer base_type(lowering *lw, const value *v, kspace in)
{
    dim one = dim_const(lw->m->dims, 1), stride[MAX_RANK];
    if (v->ty.rank <= KMAX_RANK && base_is_row_major(lw, v))
        return kbuffer_dense(v->ty.dt, in, v->ty.rank ? v->ty.rank : 1, v->ty.rank ? v->ty.shape : &one);
    dim n = base_strides(lw, v, stride);
    return kbuffer_dense(v->ty.dt, in, 1, &n);
}

static kvalue *stored_constant(lowering *lw, const cexpr *e, const char *path, kbuffer ty)
{
    uint32_t number = constant_set_add(&lw->constants, e);
    if (number == lw->weights.len) vec_push(lw->a, &lw->weights, (stored_constants){0});
    stored_constants *known = &lw->weights.data[number];
    vec_foreach (kvalue *, have, known)
        if ((*have)->ty.buf.rank == ty.rank && !memcmp((*have)->ty.buf.shape, ty.shape, ty.rank * sizeof(dim)))
            return *have;
    kvalue *v = kparam_add(lw->plan, NULL, ty, KPARAM_WEIGHT, KACCESS_IN);
    kparam *p = &vec_last(&lw->plan->params);
    p->weight = e;
    p->tensor = path;
    vec_push(lw->a, known, v);
    return v;
}

kvalue *base_buffer(lowering *lw, value *v)
{
    if (lw->buffers[v->id]) return lw->buffers[v->id];
    kvalue *b;
    if (v->def && v->def->op == OP_PARAM) {
        const param *p = node_attr(v->def, ATTR_PARAM)->u.p;
        b = stored_constant(lw, p->value, p->path, base_type(lw, v, KSPACE_GLOBAL));
    } else {
        b = kb_alloc(&lw->pb, NULL, base_type(lw, v, KSPACE_WORKSPACE));
    }
    lw->buffers[v->id] = b;
    return b;
}

span user_place(lowering *lw, const node *n)
{
    span at = n->n_sources ? n->sources[0] : (span){0, 0};
    for (const region *r = n->in; r && r->parent && lw->m->sources; r = r->parent) {
        const source_file *f = at.begin ? source_of(lw->m->sources, at.begin) : NULL;
        if (!f || strncmp(f->name, "std/", 4)) break;
        at = r->call;
    }
    return at;
}

kernel kernel_begin(lowering *lw, const char *family, const node *at)
{
    kernel k = {.lw = lw, .at = user_place(lw, at)};
    k.path = at->in && *at->in->path ? at->in->path : NULL;
    arena *a = lw->kernel_memory;
    k.before = arena_here(a);
    const char *name = arena_printf(a, "%s_%u", family, lw->n_names++);
    k.f = kfunction_new(kmodule_new(a, lw->km->names, lw->km->sources, NULL), name, KTARGET_CPU);
    k.f->dims = lw->m->dims;
    vec_push(a, &k.f->sources, k.at);
    for (uint32_t i = 0; i < at->n_sources; i++) vec_push(a, &k.f->sources, at->sources[i]);
    k.b = (kbuilder){.f = k.f, .block = k.f->body, .at = k.at};
    return k;
}

/* The plan's memory of `base` from `offset` on under another type. */
static kvalue *plan_view(lowering *lw, kvalue *base, dim offset, kbuffer ty)
{
    const kbuffer *have = &base->ty.buf;
    dim_ctx *dc = lw->m->dims;
    kidx zeros[KMAX_RANK] = {{0}};
    if (offset == dim_const(dc, 0)) {
        if (have->rank == ty.rank && ty.dense && !memcmp(have->shape, ty.shape, ty.rank * sizeof(dim))) return base;
        return kb_view(&lw->pb, kmem_at(base, zeros), ty);
    }
    if (have->rank != 1) {
        dim n = dim_const(dc, 1);
        for (int i = 0; i < have->rank; i++) n = dim_mul(dc, n, have->shape[i]);
        base = kb_view(&lw->pb, kmem_at(base, zeros), kbuffer_dense(ty.dt, have->space, 1, &n));
    }
    kidx at = kidx_value(kb_dim(&lw->pb, offset));
    return kb_view(&lw->pb, kmem_at(base, &at), ty);
}

static kbuffer strided_type(lowering *lw, dtype dt, uint32_t rank, const dim *shape, const dim *stride)
{
    kbuffer ty = kbuffer_dense(dt, KSPACE_GLOBAL, rank, shape);
    dim expect = dim_const(lw->m->dims, 1), one = expect;
    for (int i = (int)rank - 1; i >= 0; i--) {
        if (shape[i] != one && stride[i] != expect) ty.dense = false;
        expect = dim_mul(lw->m->dims, expect, shape[i]);
    }
    if (!ty.dense)
        for (uint32_t i = 0; i < rank; i++) ty.strides[i] = stride[i];
    return ty;
}

static bool same_type(const kbuffer *a, const kbuffer *b)
{
    if (a->dt != b->dt || a->rank != b->rank || a->dense != b->dense) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->shape[i] != b->shape[i] || (!a->dense && a->strides[i] != b->strides[i])) return false;
    return true;
}

/* What is computed in place is one parameter, read and written: of parameters that are written none overlaps another.
 */
static kvalue *bound_in_place(kernel *k, const kvalue *buf, dim offset, const kbuffer *ty, kaccess_mode mode)
{
    for (uint32_t i = 0; i < k->bound.len; i++) {
        kparam *p = &k->f->params.data[k->bound.data[i].param];
        if (k->bound.data[i].buf != buf || k->bound.data[i].offset != offset || !same_type(&p->v->ty.buf, ty)) continue;
        bool read_only = mode == KACCESS_IN && p->mode == KACCESS_IN;
        if (read_only && buf != k->written) continue;
        if (!read_only) p->mode = KACCESS_INOUT;
        return p->v;
    }
    return NULL;
}

kvalue *kernel_bind_buffer(kernel *k, kvalue *buf, dim offset, uint32_t rank, const dim *shape, const dim *stride,
                           kaccess_mode mode)
{
    kbuffer ty = strided_type(k->lw, buf->ty.buf.dt, rank, shape, stride);
    kvalue *bound = bound_in_place(k, buf, offset, &ty, mode);
    if (bound) return bound;
    kbuffer plan_ty = ty;
    plan_ty.space = buf->ty.buf.space;
    vec_push(k->lw->kernel_memory, &k->bound, ((struct bound_buffer){buf, offset, k->args.len}));
    vec_push(k->lw->kernel_memory, &k->args, plan_view(k->lw, buf, offset, plan_ty));
    return kparam_add(k->f, NULL, ty, KPARAM_BUFFER, mode);
}

kvalue *kernel_bind(kernel *k, value *base, dim offset, uint32_t rank, const dim *shape, const dim *stride,
                    kaccess_mode mode)
{
    return kernel_bind_buffer(k, base_buffer(k->lw, base), offset, rank, shape, stride, mode);
}

kvalue *kernel_bind_constant(kernel *k, const cexpr *e, const char *path, uint32_t rank, const dim *shape)
{
    kbuffer ty = kbuffer_dense(e->dt, KSPACE_GLOBAL, rank, shape);
    vec_push(k->lw->kernel_memory, &k->args, stored_constant(k->lw, e, path, ty));
    return kparam_add(k->f, NULL, ty, KPARAM_BUFFER, KACCESS_IN);
}

typedef VEC(kfunction *) kernel_list;

/* The kernel that stands for f: an equal earlier one, or f itself, which becomes part of the module. */
static kfunction *shared_kernel(lowering *lw, kfunction *f)
{
    const void *key = (const void *)(uintptr_t)(kfunction_hash(f) | 1);
    kernel_list *same = ptrmap_get(lw->kernels, key);
    if (!same) {
        same = ARENA_NEW(lw->a, kernel_list);
        ptrmap_set(lw->kernels, key, same);
    }
    for (uint32_t i = 0; i < same->len; i++)
        if (kfunction_equal(f, same->data[i])) return same->data[i];
    vec_push(lw->a, same, f);
    kmodule_take(lw->km, f);
    return f;
}

void kernel_end(kernel *k)
{
    lowering *lw = k->lw;
    dim_ctx *dc = lw->m->dims;
    kfunction *f = shared_kernel(lw, k->f);
    uint32_t n = dim_symbol_count(dc);
    dim *dims = ARENA_ARRAY(lw->kernel_memory, dim, n);
    for (uint32_t i = 0; i < n; i++) dims[i] = dim_find(dc, dim_symbol_at(dc, i)->name);
    lw->pb.at = k->at;
    kb_launch(&lw->pb, f, k->args.data, dims)->at.path = k->path;
    if (f != k->f) arena_back_to(lw->kernel_memory, k->before);
}
