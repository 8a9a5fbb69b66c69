#include "codegen/weights_layout.h"

#include <assert.h>
#include <stdlib.h>

enum { PIECE = 1 << 20, HELD = 64 * PIECE };

static uint64_t align_up(uint64_t n)
{
    return (n + WEIGHTS_ALIGN - 1) / WEIGHTS_ALIGN * WEIGHTS_ALIGN;
}

static void add_weights(weights_layout *w, const kfunction *plan, arena *a)
{
    vec_foreach (const kparam, p, &plan->params) {
        if (p->role != KPARAM_WEIGHT || constant_set_add(&w->numbers, p->weight) < w->items.len) continue;
        weight_item item = {p->weight, p->tensor ? p->tensor : p->v->name, align_up(w->bytes), cexpr_bytes(p->weight)};
        vec_push(a, &w->items, item);
        w->bytes = item.offset + item.bytes;
    }
}

weights_layout *weights_plan(const codegen_variant *variants, uint32_t n, arena *a)
{
    weights_layout *w = ARENA_NEW(a, weights_layout);
    w->numbers = constant_set_new(a);
    for (uint32_t v = 0; v < n; v++)
        for (uint32_t e = 0; e < variants[v].model->n_entries; e++)
            add_weights(w, variants[v].model->entries[e].plan, a);
    w->bytes = align_up(w->bytes);
    return w;
}

uint64_t weights_offset(const weights_layout *w, const cexpr *constant)
{
    uint32_t i = constant_set_find(&w->numbers, constant);
    assert(i < w->items.len && "a weight of the model");
    return w->items.data[i].offset;
}

static bool stream_zeros(uint64_t n, weights_sink *sink, void *arg)
{
    static const uint8_t zeros[WEIGHTS_ALIGN];
    assert(n < sizeof zeros);
    return n == 0 || sink(arg, zeros, (size_t)n);
}

static bool stream_item(const weight_item *i, uint8_t *piece, weights_sink *sink, void *arg, diags *d)
{
    /* Whole bytes and a multiple of eight elements, whatever the dtype. */
    uint64_t per_piece = (uint64_t)PIECE * 8 / dtype_bits(i->value->dt) / 8 * 8, n = cexpr_elements(i->value), held = 0;
    for (uint64_t first = 0; first < n; first += per_piece) {
        uint64_t now = n - first < per_piece ? n - first : per_piece;
        const char *why = NULL;
        if (!cexpr_read(i->value, first, now, piece, &why)) {
            diag_error(d, (span){0, 0}, "cannot read weight '%s': %s", i->name ? i->name : "?", why);
            return false;
        }
        if (!sink(arg, piece, dtype_bytes(i->value->dt, now))) return false;
        /* Pages of the weights file that were read count as memory of tfxc until they are given back. */
        held += PIECE;
        if (held < HELD) continue;
        cexpr_done(i->value);
        held = 0;
    }
    cexpr_done(i->value);
    return true;
}

bool weights_stream(const weights_layout *w, weights_sink *sink, void *arg, diags *d)
{
    uint8_t *piece = malloc(PIECE);
    if (!piece) {
        diag_error(d, (span){0, 0}, "out of memory");
        return false;
    }
    uint64_t at = 0;
    bool ok = true;
    vec_foreach (const weight_item, i, &w->items) {
        ok = ok && stream_zeros(i->offset - at, sink, arg) && stream_item(i, piece, sink, arg, d);
        at = i->offset + i->bytes;
    }
    ok = ok && stream_zeros(w->bytes - at, sink, arg);
    free(piece);
    return ok;
}
