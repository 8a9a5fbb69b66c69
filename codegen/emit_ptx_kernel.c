/* GPU kernels as PTX entry points: launch facts, parameters, the memory that a block shares, and the table of emitters.
 */
#include "codegen/emit_ptx.h"

#include <assert.h>

emit_fn *const emit_ptx_table[KOP_COUNT] = {
#define KOP(name, NAME, props, attrs, text) [KOP_##NAME] = emit_ptx_##name,
#include "ir/kir/kops.def"
#undef KOP
#define SCALAR(name, NAME, arity, operands, result, f, i, math) [KOP_##NAME] = emit_ptx_map,
#include "ir/kir/kscalar.def"
#undef SCALAR
};

enum { MAX_GRID_YZ = 65535, MAX_GRID_X = INT32_MAX };

/* ---- launch facts ---- */

static const kop *mapped_loop(const kblock *b)
{
    kblock_foreach(op, b) if (op->op == KOP_FOR && op->at.map != KMAP_SERIAL) return op;
    return NULL;
}

static dim trip_count(emitter *e, const kop *loop)
{
    dim_ctx *c = e->f->dims;
    if (!loop->hi.v) return dim_const(c, loop->hi.off);
    const kop *def = loop->hi.v->def;
    assert(def && def->op == KOP_DIM && "verified");
    return dim_add(c, def->at.d, dim_const(c, loop->hi.off));
}

/* Blocks are numbered with the innermost loop along x, which the hardware counts first. Where y or z might be too large
 * for the hardware, all loops are counted along x. */
static void set_grid(emitter *e, codegen_ptx_launch *l, bool *linear, dim *counts, int *n)
{
    dim_ctx *c = e->f->dims;
    const kop *loop = mapped_loop(e->f->body);
    dim total = dim_const(c, 1);
    *linear = false;
    for (*n = 0; loop && loop->at.map == KMAP_BLOCK; loop = mapped_loop(loop->blocks[0])) {
        assert(*n < 3 && "verified");
        counts[*n] = trip_count(e, loop);
        total = dim_mul(c, total, counts[(*n)++]);
    }
    int64_t lo, hi = 0;
    for (int i = 0; i < *n - 1; i++) {
        dim_bounds(c, counts[i], &lo, &hi);
        *linear |= hi > MAX_GRID_YZ;
    }
    for (int i = 0; i < 3; i++) l->grid[i] = i < *n && !*linear ? counts[*n - 1 - i] : dim_const(c, 1);
    if (*linear) l->grid[0] = total;
    if (l->grid[0] == DIM_BAD) hi = INT64_MAX;
    else dim_bounds(c, l->grid[0], &lo, &hi);
    if (hi > MAX_GRID_X) emit_unsupported(e, "a grid of more than %d blocks", MAX_GRID_X);
}

static LLVMValueRef read_register(emitter *e, const char *name)
{
    return cg_intrinsic(e, arena_printf(e->m->a, "llvm.nvvm.read.ptx.sreg.%s", name), NULL, 0, NULL, 0);
}

static void read_blocks(emitter *e, bool linear, const dim *counts, int n)
{
    static const char *const names[] = {"ctaid.x", "ctaid.y", "ctaid.z"};
    ptx_state *s = e->ptx;
    LLVMValueRef rest = linear ? read_register(e, names[0]) : NULL;
    for (int i = n - 1; i >= 0; i--) {
        LLVMValueRef at = linear ? rest : read_register(e, names[n - 1 - i]);
        if (linear && i > 0) {
            LLVMValueRef count = LLVMBuildTrunc(e->b, cg_dim(e, counts[i]), e->m->i32, "");
            at = LLVMBuildURem(e->b, rest, count, "");
            rest = LLVMBuildUDiv(e->b, rest, count, "");
        }
        s->block[i] = LLVMBuildZExt(e->b, at, e->m->i64, "");
    }
}

/* ---- agents ---- */

static int lanes_of(const kfunction *f)
{
    const kop *loop = mapped_loop(f->body);
    while (loop && loop->at.map == KMAP_BLOCK) loop = mapped_loop(loop->blocks[0]);
    return loop && loop->at.map == KMAP_WARPGROUP ? 128 : 32;
}

/* The agent's number is read from its first lane, which tells the assembler that it is the same in all. */
static void read_agent(emitter *e)
{
    ptx_state *s = e->ptx;
    LLVMValueRef thread = read_register(e, "tid.x");
    s->lane = LLVMBuildAnd(e->b, thread, cg_const_i32(e->m, s->lanes - 1), "lane");
    LLVMValueRef agent = LLVMBuildLShr(e->b, thread, cg_const_i32(e->m, __builtin_ctz((unsigned)s->lanes)), "");
    LLVMValueRef args[] = {cg_const_i32(e->m, -1), agent, cg_const_i32(e->m, 0), cg_const_i32(e->m, 31)};
    s->agent = cg_intrinsic(e, "llvm.nvvm.shfl.sync.idx.i32", NULL, 0, args, 4);
}

/* ---- shared memory ---- */

static void place_shared(emitter *e, const kblock *b, uint64_t *bytes, uint32_t *align)
{
    kblock_foreach(op, b)
    {
        if (op->op == KOP_ALLOC && op->results[0]->ty.buf.space == KSPACE_SHARED) {
            const kbuffer *ty = &op->results[0]->ty.buf;
            int64_t size = 0;
            uint64_t to = ty->align > 16 ? ty->align : 16;
            bool fixed = dim_is_const(e->f->dims, kbuffer_bytes(e->f->dims, ty), &size);
            assert(fixed && "verified");
            (void)fixed;
            *bytes = (*bytes + to - 1) / to * to;
            ptrmap_set(e->ptx->offsets, op->results[0], (void *)(uintptr_t)(*bytes + 1));
            *bytes += (uint64_t)size;
            if (to > *align) *align = (uint32_t)to;
        }
        for (uint32_t i = 0; i < op->n_blocks; i++) place_shared(e, op->blocks[i], bytes, align);
    }
}

static void make_shared(emitter *e, codegen_ptx_launch *l)
{
    uint64_t bytes = 0, most = e->ptx->pm->cpu->shared_bytes;
    uint32_t align = 16;
    place_shared(e, e->f->body, &bytes, &align);
    if (bytes > most) {
        emit_unsupported(e, "%llu bytes of shared memory, of which a block may have %llu", (unsigned long long)bytes,
                         (unsigned long long)most);
        bytes = 0;
    }
    l->shared_bytes = (uint32_t)bytes;
    l->dynamic_bytes = bytes > PTX_STATIC_SHARED ? l->shared_bytes : 0;
    if (!bytes) return;
    LLVMTypeRef t = LLVMArrayType2(e->m->i8, l->dynamic_bytes ? 0 : bytes);
    const char *name = arena_printf(e->m->a, "%s_shared", l->name);
    LLVMValueRef g = LLVMAddGlobalInAddressSpace(e->m->mod, t, name, PTX_SHARED);
    LLVMSetAlignment(g, align);
    if (!l->dynamic_bytes) {
        LLVMSetLinkage(g, LLVMInternalLinkage);
        LLVMSetInitializer(g, LLVMGetUndef(t));
    }
    e->ptx->shared = g;
}

/* ---- the entry point ---- */

/* PTX identifiers are letters, digits, _ and $; every other byte of the kernel's name becomes $ and its two hex digits.
 */
static const char *entry_name(arena *a, const char *name)
{
    strbuf s = strbuf_new(a);
    for (const char *p = name; *p; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z'), digit = *p >= '0' && *p <= '9';
        if (letter || (s.len && (digit || *p == '_'))) strbuf_addc(&s, *p);
        else strbuf_addf(&s, "$%02x", (unsigned char)*p);
    }
    return s.s;
}

static void add_string_attribute(emit_module *m, LLVMValueRef fn, const char *name, const char *text)
{
    LLVMAttributeRef at = LLVMCreateStringAttribute(m->ctx, name, (unsigned)strlen(name), text, (unsigned)strlen(text));
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, at);
}

/* The block's size is known, so the assembler may plan registers for exactly that many threads. */
static void set_threads(emit_module *m, LLVMValueRef fn, uint32_t threads)
{
#if LLVM_MAJOR >= 21
    add_string_attribute(m, fn, "nvvm.reqntid", arena_printf(m->a, "%u,1,1", threads));
#else
    static const char *const axes[] = {"reqntidx", "reqntidy", "reqntidz"};
    for (int i = 0; i < 3; i++) {
        LLVMValueRef fact[] = {fn, LLVMMDStringInContext(m->ctx, axes[i], (unsigned)strlen(axes[i])),
                               LLVMConstInt(m->i32, i ? 1 : threads, false)};
        LLVMAddNamedMetadataOperand(m->mod, "nvvm.annotations", LLVMMDNodeInContext(m->ctx, fact, 3));
    }
#endif
    add_string_attribute(m, fn, "target-cpu", m->target->cpu);
    add_string_attribute(m, fn, "target-features", m->target->features);
    unsigned kind = LLVMGetEnumAttributeKindForName("nounwind", 8);
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(m->ctx, kind, 0));
}

static LLVMValueRef add_entry(emit_module *m, ptx_module *pm, const kfunction *f, const codegen_ptx_launch *l)
{
    unsigned n_bufs = f->params.len, n_dims = dim_symbol_count(f->dims), n = 0;
    LLVMTypeRef *types = ARENA_ARRAY(m->a, LLVMTypeRef, n_bufs + n_dims + 1);
    for (unsigned i = 0; i < n_bufs; i++) types[n++] = pm->global_ptr;
    for (unsigned i = 0; i < n_dims; i++) types[n++] = m->i64;
    types[n++] = pm->global_ptr;
    LLVMValueRef fn = LLVMAddFunction(m->mod, l->name, LLVMFunctionType(m->void_type, types, n, false));
    LLVMSetFunctionCallConv(fn, LLVMPTXKernelCallConv);
    for (unsigned i = 0; i < n_bufs; i++) emit_describe_buffer(m, fn, i, f, &f->params.data[i]);
    set_threads(m, fn, l->threads);
    return fn;
}

static void bind_parameters(emitter *e)
{
    const kfunction *f = e->f;
    unsigned n_bufs = f->params.len, n_dims = dim_symbol_count(f->dims);
    for (unsigned i = 0; i < n_bufs; i++) {
        LLVMValueRef *p = ARENA_NEW(e->m->a, LLVMValueRef);
        *p = LLVMGetParam(e->fn, i);
        cg_set(e, f->params.data[i].v, (cg_value){.v = p, .rows = 1, .cols = 1, .lanes = 1, .chunks = 1});
    }
    for (unsigned i = 0; i < n_dims; i++) e->symbols[i] = LLVMGetParam(e->fn, n_bufs + i);
    e->fault = LLVMGetParam(e->fn, n_bufs + n_dims);
}

LLVMValueRef emit_ptx_kernel(emit_module *m, ptx_module *pm, const kfunction *f)
{
    assert(f->target == KTARGET_PTX);
    codegen_ptx_launch *l = &pm->launches[pm->n_launches++];
    *l = (codegen_ptx_launch){.kernel = f, .name = entry_name(m->a, f->name), .threads = f->warps * 32};
    LLVMValueRef fn = add_entry(m, pm, f, l);
    ptx_state s = {
        .pm = pm, .launch = l, .lanes = lanes_of(f), .offsets = ptrmap_new(m->a), .multiples = ptrmap_new(m->a)};
    s.accessed = ARENA_ARRAY(m->a, uint8_t, f->n_values);
    emitter e;
    emit_begin(&e, m, f, fn);
    e.table = emit_ptx_table;
    e.tile = ptx_tile;
    e.enter = ptx_order_enter;
    e.ptx = &s;
    LLVMBasicBlockRef body = emit_new_block(&e, "body");
    emit_to(&e, body);
    bind_parameters(&e);
    span at = f->sources.len ? f->sources.data[0] : (span){0, 0};
    debug_function(m, fn, f->name, at);
    debug_at(&e, at);
    bool linear;
    dim counts[3];
    int n;
    set_grid(&e, l, &linear, counts, &n);
    make_shared(&e, l);
    if (!m->failed) {
        read_blocks(&e, linear, counts, n);
        read_agent(&e);
        emit_block(&e, f->body);
    }
    LLVMBuildRetVoid(e.b);
    emit_finish(&e, body);
    debug_function_end(m);
    return fn;
}
