/* Loads and stores of tiles, views, allocations.
 *
 * Every lane moves the elements that its slots hold, several at once where they are neighbours in memory and the
 * address is known to be aligned. Elements beyond a bound are left out by predicated instructions, without branches. */
#include "codegen/emit_ptx.h"

#include <assert.h>

/* One tile in memory, as the lanes see it. */
typedef struct {
    emitter *e;
    const ptx_access *a;
    ptx_layout l;
    ptx_offset lane;
    LLVMValueRef *present[2]; /* per axis and slot: an i1, NULL where the element surely exists */
    int along;                /* the axis whose neighbours are moved together */
    int width;                /* how many */
} transfer;

/* ---- shape of the transfer ---- */

static ptx_offset axis_units(emitter *e, const ptx_axis *x)
{
    bool simple = !(x->scale & (x->scale - 1)); /* powers of two, as the fields of all layouts are */
    int64_t mask = (int64_t)(x->mod - 1) * x->scale + (int64_t)(e->ptx->lanes / 32 - 1) * x->warp_scale;
    return (ptx_offset){.v = ptx_part(e, x), .mask = simple ? mask : -1, .multiple = ptx_low_bit(x->scale)};
}

static LLVMValueRef slot_present(const transfer *t, int axis, int slot)
{
    emitter *e = t->e;
    LLVMValueRef limit = t->a->bounded[axis]                  ? t->a->bound[axis]
                         : ptx_slot_ragged(&t->l, axis, slot) ? cg_const_i32(e->m, t->l.axis[axis].size)
                                                              : NULL;
    return limit ? LLVMBuildICmp(e->b, LLVMIntSLT, ptx_coordinate(e, &t->l.axis[axis], slot), limit, "") : NULL;
}

/* True when `width` neighbours along `axis` are one access in every slot that begins such a group. */
static bool can_move(const transfer *t, int axis, int width)
{
    const ptx_access *a = t->a;
    const ptx_axis *x = &t->l.axis[axis], *y = &t->l.axis[!axis];
    if (width == 1) return true;
    if (x->piece % width || x->size % width || a->stride[axis] || a->step[axis] != a->bytes || width * a->bytes > 16)
        return false;
    if (a->bounded[axis] && a->bound_multiple[axis] < width) return false;
    for (int s = 0; s < x->slots; s += width)
        for (int o = 0; o < y->slots; o++) {
            int64_t at[2] = {ptx_slot_at(axis ? y : x, axis ? o : s), ptx_slot_at(axis ? x : y, axis ? s : o)};
            if (ptx_alignment(a, t->lane, at[PTX_ROW], at[PTX_COL]) < width * a->bytes) return false;
        }
    return true;
}

static transfer transfer_begin(emitter *e, const ptx_access *a, ktile tile)
{
    transfer t = {.e = e, .a = a, .l = ptx_layout_at(e, tile), .width = 1, .along = PTX_COL};
    t.lane = ptx_lane_offset(e, a, axis_units(e, &t.l.axis[PTX_ROW]), axis_units(e, &t.l.axis[PTX_COL]));
    for (int axis = PTX_COL; axis >= PTX_ROW; axis--)
        for (int w = 4; w > t.width; w /= 2)
            if (can_move(&t, axis, w)) {
                t.along = axis;
                t.width = w;
            }
    for (int axis = 0; axis < 2; axis++) {
        int n = t.l.axis[axis].slots;
        t.present[axis] = ARENA_ARRAY(e->m->a, LLVMValueRef, (size_t)n);
        for (int s = 0; s < n; s++) t.present[axis][s] = slot_present(&t, axis, s);
    }
    return t;
}

static LLVMValueRef both(emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return !a ? b : !b ? a : LLVMBuildAnd(e->b, a, b, "");
}

/* ---- one access ---- */

/* How an access of so many bytes goes through inline PTX. */
typedef struct {
    int bytes;
    const char *type, *zero, *reg; /* of the instruction, of the register it goes through, constraint */
    int registers;
} asm_form;

static const asm_form *form_of(int bytes)
{
    static const asm_form forms[] = {{1, "b8", "b16", "h", 1},
                                     {2, "b16", "b16", "h", 1},
                                     {4, "b32", "b32", "r", 1},
                                     {8, "v2.b32", "b32", "r", 2},
                                     {16, "v4.b32", "b32", "r", 4}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (forms[i].bytes == bytes) return &forms[i];
    assert(!"an access of 1, 2, 4, 8 or 16 bytes");
    return NULL;
}

static void print_registers(strbuf *s, const asm_form *f, int first)
{
    strbuf_adds(s, f->registers > 1 ? "{" : "");
    for (int i = 0; i < f->registers; i++) strbuf_addf(s, "%s$%d", i ? ", " : "", first + i);
    strbuf_adds(s, f->registers > 1 ? "}" : "");
}

static LLVMTypeRef form_register(emitter *e, const asm_form *f)
{
    return f->registers > 1 || f->bytes == 4 ? e->m->i32 : LLVMInt16TypeInContext(e->m->ctx);
}

static const char *space_name(const ptx_access *a)
{
    return a->shared ? "shared" : "global";
}

static LLVMTypeRef memory_type(const transfer *t)
{
    return cg_vector_of(cg_memory_type(t->e->m, t->a->ty->dt), t->width);
}

/* The words of a value of the memory type, and back. */
static void to_words(const transfer *t, LLVMValueRef v, const asm_form *f, LLVMValueRef *words)
{
    emitter *e = t->e;
    if (f->registers == 1) {
        LLVMValueRef bits = LLVMBuildBitCast(e->b, v, LLVMIntTypeInContext(e->m->ctx, (unsigned)f->bytes * 8), "");
        words[0] = f->bytes == 1 ? LLVMBuildZExt(e->b, bits, form_register(e, f), "") : bits;
        return;
    }
    LLVMValueRef all = LLVMBuildBitCast(e->b, v, cg_vector_of(e->m->i32, f->registers), "");
    for (int i = 0; i < f->registers; i++) words[i] = LLVMBuildExtractElement(e->b, all, cg_const_i32(e->m, i), "");
}

static LLVMValueRef from_words(const transfer *t, const asm_form *f, LLVMValueRef asm_result)
{
    emitter *e = t->e;
    if (f->registers == 1) {
        if (f->bytes == 1) asm_result = LLVMBuildTrunc(e->b, asm_result, e->m->i8, "");
        return LLVMBuildBitCast(e->b, asm_result, memory_type(t), "");
    }
    LLVMValueRef all = LLVMGetPoison(cg_vector_of(e->m->i32, f->registers));
    for (int i = 0; i < f->registers; i++)
        all = LLVMBuildInsertElement(e->b, all, LLVMBuildExtractValue(e->b, asm_result, (unsigned)i, ""),
                                     cg_const_i32(e->m, i), "");
    return LLVMBuildBitCast(e->b, all, memory_type(t), "");
}

static LLVMValueRef address_word(const transfer *t, LLVMValueRef p)
{
    return t->a->shared ? ptx_shared_window(t->e, p) : LLVMBuildPtrToInt(t->e->b, p, t->e->m->i64, "");
}

static LLVMValueRef load_if(const transfer *t, LLVMValueRef p, LLVMValueRef present)
{
    emitter *e = t->e;
    const asm_form *f = form_of(t->width * (int)t->a->bytes);
    strbuf text = strbuf_new(e->m->a), with = strbuf_new(e->m->a);
    for (int i = 0; i < f->registers; i++) {
        strbuf_addf(&text, "mov.%s $%d, 0;\n\t", f->zero, i);
        strbuf_addf(&with, "=&%s,", f->reg);
    }
    strbuf_addf(&text, "@$%d ld.%s.%s ", f->registers + 1, space_name(t->a), f->type);
    print_registers(&text, f, 0);
    strbuf_addf(&text, ", [$%d];", f->registers);
    strbuf_addf(&with, "%s,b,~{memory}", t->a->shared ? "r" : "l");
    LLVMTypeRef word = form_register(e, f), words[] = {word, word, word, word};
    LLVMTypeRef result =
        f->registers == 1 ? word : LLVMStructTypeInContext(e->m->ctx, words, (unsigned)f->registers, false);
    LLVMValueRef args[] = {address_word(t, p), present};
    return from_words(t, f, ptx_emit_asm(e, text.s, with.s, result, args, 2));
}

static void store_if(const transfer *t, LLVMValueRef v, LLVMValueRef p, LLVMValueRef present)
{
    emitter *e = t->e;
    const asm_form *f = form_of(t->width * (int)t->a->bytes);
    strbuf text = strbuf_new(e->m->a), with = strbuf_new(e->m->a);
    LLVMValueRef args[6];
    to_words(t, v, f, args);
    for (int i = 0; i < f->registers; i++) strbuf_addf(&with, "%s,", f->reg);
    strbuf_addf(&text, "@$%d st.%s.%s [$%d], ", f->registers + 1, space_name(t->a), f->type, f->registers);
    print_registers(&text, f, 0);
    strbuf_addc(&text, ';');
    strbuf_addf(&with, "%s,b,~{memory}", t->a->shared ? "r" : "l");
    args[f->registers] = address_word(t, p);
    args[f->registers + 1] = present;
    ptx_emit_asm(e, text.s, with.s, NULL, args, (unsigned)f->registers + 2);
}

/* ---- tiles ---- */

/* The first of the elements moved together, by slots of both axes. */
typedef struct {
    int slot[2];
    LLVMValueRef p, present;
} place;

static place place_at(const transfer *t, int row_slot, int col_slot, LLVMValueRef owner)
{
    place w = {.slot = {row_slot, col_slot}};
    w.p = ptx_address(t->e, t->a, t->lane, ptx_slot_at(&t->l.axis[PTX_ROW], row_slot),
                      ptx_slot_at(&t->l.axis[PTX_COL], col_slot));
    w.present = both(t->e, both(t->e, t->present[PTX_ROW][row_slot], t->present[PTX_COL][col_slot]), owner);
    return w;
}

static unsigned place_align(const transfer *t, const place *w)
{
    return (unsigned)ptx_alignment(t->a, t->lane, ptx_slot_at(&t->l.axis[PTX_ROW], w->slot[PTX_ROW]),
                                   ptx_slot_at(&t->l.axis[PTX_COL], w->slot[PTX_COL]));
}

static LLVMValueRef load_place(const transfer *t, const place *w)
{
    if (w->present) return load_if(t, w->p, w->present);
    LLVMValueRef v = LLVMBuildLoad2(t->e->b, memory_type(t), w->p, "");
    LLVMSetAlignment(v, place_align(t, w));
    return v;
}

static void store_place(const transfer *t, const place *w, LLVMValueRef v)
{
    if (w->present) store_if(t, v, w->p, w->present);
    else LLVMSetAlignment(LLVMBuildStore(t->e->b, v, w->p), place_align(t, w));
}

static void set_element(const transfer *t, cg_value *x, int r, int c, LLVMValueRef v)
{
    emitter *e = t->e;
    if (t->a->ty->dt == DT_BOOL) v = LLVMBuildICmp(e->b, LLVMIntNE, v, LLVMConstNull(LLVMTypeOf(v)), "");
    LLVMValueRef *reg = &x->v[ptx_register_of(&t->l, r, c)];
    if (t->l.packed < 0) {
        *reg = v;
        return;
    }
    if (!*reg) *reg = LLVMGetPoison(cg_vector_of(LLVMTypeOf(v), 2));
    *reg = LLVMBuildInsertElement(e->b, *reg, v, cg_const_i32(e->m, (t->l.packed == PTX_ROW ? r : c) % 2), "");
}

static void load_tile(const transfer *t, cg_value *x)
{
    int row_step = t->along == PTX_ROW ? t->width : 1, col_step = t->along == PTX_COL ? t->width : 1;
    for (int r = 0; r < t->l.axis[PTX_ROW].slots; r += row_step)
        for (int c = 0; c < t->l.axis[PTX_COL].slots; c += col_step) {
            place w = place_at(t, r, c, NULL);
            LLVMValueRef v = load_place(t, &w);
            for (int i = 0; i < t->width; i++) {
                LLVMValueRef one =
                    t->width == 1 ? v : LLVMBuildExtractElement(t->e->b, v, cg_const_i32(t->e->m, i), "");
                set_element(t, x, r + (t->along == PTX_ROW ? i : 0), c + (t->along == PTX_COL ? i : 0), one);
            }
        }
}

static LLVMValueRef element_in_memory(const transfer *t, const cg_value *x, int r, int c)
{
    LLVMValueRef v = ptx_element(t->e, x, &t->l, r, c);
    return t->a->ty->dt == DT_BOOL ? LLVMBuildZExt(t->e->b, v, t->e->m->i8, "") : v;
}

/* Of lanes that hold the same elements, the first one stores them. */
static LLVMValueRef owner(emitter *e, const ptx_layout *l)
{
    uint32_t same = ptx_replicated_bits(l);
    if (!same) return NULL;
    LLVMValueRef bits = LLVMBuildAnd(e->b, e->ptx->lane, cg_const_i32(e->m, same), "");
    return LLVMBuildICmp(e->b, LLVMIntEQ, bits, cg_const_i32(e->m, 0), "");
}

static void store_tile(const transfer *t, const cg_value *x)
{
    emitter *e = t->e;
    LLVMValueRef mine = owner(e, &t->l);
    int row_step = t->along == PTX_ROW ? t->width : 1, col_step = t->along == PTX_COL ? t->width : 1;
    for (int r = 0; r < t->l.axis[PTX_ROW].slots; r += row_step)
        for (int c = 0; c < t->l.axis[PTX_COL].slots; c += col_step) {
            place w = place_at(t, r, c, mine);
            LLVMValueRef v = t->width == 1 ? NULL : LLVMGetPoison(memory_type(t));
            for (int i = 0; i < t->width; i++) {
                LLVMValueRef one =
                    element_in_memory(t, x, r + (t->along == PTX_ROW ? i : 0), c + (t->along == PTX_COL ? i : 0));
                v = v ? LLVMBuildInsertElement(e->b, v, one, cg_const_i32(e->m, i), "") : one;
            }
            store_place(t, &w, v);
        }
}

/* ---- ops ---- */

static void load_reference(emitter *e, const kop *op, const ptx_access *a)
{
    ptx_offset none = {NULL, 0, PTX_MOST_MULTIPLE};
    cg_value x = cg_tile(e, op->results[0]->ty.tile);
    assert(a->shared && "verified");
    /* The address of the first element as if nothing were swizzled: the instruction swizzles what it adds up. */
    ptx_access plain = *a;
    kbuffer unswizzled = *a->ty;
    unswizzled.swizzle = (kswizzle){0};
    plain.ty = &unswizzled;
    x.v[0] = ptx_shared_window(e, ptx_address(e, &plain, none, 0, 0));
    cg_set(e, op->results[0], x);
}

void emit_ptx_load(emitter *e, kop *op)
{
    const kvalue *r = op->results[0];
    ktile tile = r->ty.tile;
    ptx_access a = ptx_access_begin(e, &op->mem[0], tile);
    if (tile.layout == KL_SHARED) {
        load_reference(e, op, &a);
        return;
    }
    ptx_order_read(e, op->mem[0].buf);
    cg_value x = cg_tile(e, tile);
    ptx_layout l = ptx_layout_at(e, tile);
    if (!ptx_load_matrices(e, &a, &l, &x)) {
        transfer t = transfer_begin(e, &a, tile);
        load_tile(&t, &x);
    }
    ptx_set_tile(e, r, x);
}

void emit_ptx_store(emitter *e, kop *op)
{
    const kvalue *v = op->operands[0];
    ptx_order_write(e, op->mem[0].buf);
    ptx_access a = ptx_access_begin(e, &op->mem[0], v->ty.tile);
    transfer t = transfer_begin(e, &a, v->ty.tile);
    store_tile(&t, cg_get(e, v));
}

/* Only a hint, and what PTX does about addresses outside of an allocation, which kernels may name here, is not written
 * anywhere. */
void emit_ptx_prefetch(emitter *e, kop *op)
{
    (void)e, (void)op;
}

static void set_buffer(emitter *e, const kvalue *v, LLVMValueRef p)
{
    LLVMValueRef *one = ARENA_NEW(e->m->a, LLVMValueRef);
    *one = p;
    cg_set(e, v, (cg_value){.v = one, .rows = 1, .cols = 1, .lanes = 1, .chunks = 1});
}

void emit_ptx_view(emitter *e, kop *op)
{
    ptx_offset none = {NULL, 0, PTX_MOST_MULTIPLE};
    ptx_access a = ptx_access_begin(e, &op->mem[0], ktile_scalar(op->mem[0].buf->ty.buf.dt));
    set_buffer(e, op->results[0], ptx_address(e, &a, none, 0, 0));
}

void emit_ptx_alloc(emitter *e, kop *op)
{
    const kvalue *v = op->results[0];
    assert(v->ty.buf.space == KSPACE_SHARED && "verified");
    int64_t at = (int64_t)(intptr_t)ptrmap_get(e->ptx->offsets, v) - 1;
    assert(at >= 0);
    set_buffer(e, v, cg_offset_const(e, e->ptx->shared, at));
}
