/* Constants that are computed from others: broadcasts, and the elementwise ops of scalar.def.
 *
 * A map computes in double and rounds its result to its dtype, as a node does when the interpreter rounds. A chain of
 * them that is to be rounded once is therefore written on f64 and cast at the end. */
#include <assert.h>

#include "ir/constant_internal.h"
#include "ir/interp_internal.h"

enum { CHUNK = 1024 }; /* elements a map reads at once: three operands take 24 KiB of stack */

/* ---- construction ---- */

const cexpr *cexpr_broadcast(arena *a, const cexpr *e, const uint8_t *axes, uint32_t rank, const int64_t *shape)
{
    bool same = e->rank == rank;
    for (uint32_t k = 0; k < e->rank; k++) {
        assert(axes[k] < rank && (k == 0 || axes[k - 1] < axes[k]));
        assert(e->shape[k] == 1 || e->shape[k] == shape[axes[k]]);
        same = same && e->shape[k] == shape[k];
    }
    if (same) return e;
    cexpr *b = cexpr_new(a, CE_BROADCAST, e->dt, rank, shape);
    cexpr_set_args(a, b, &e, 1);
    for (uint32_t k = 0; k < e->rank; k++) b->u.axes[k] = axes[k];
    return b;
}

bool cexpr_map_type(op_kind op, const cexpr *const *args, uint32_t n, dtype *out)
{
    const op_info *row = op_row(op);
    if (!(row->props & P_ELEMENTWISE) || n != (uint32_t)row->min_operands) return false;
    const scalar_info *s = scalar_row(op);
    dtype dt = args[n - 1]->dt;
    bool is_bool = dt == DT_BOOL;
    for (uint32_t i = 0; i < n; i++) {
        dtype want = i == 0 && s->operands == S_SELECT ? DT_BOOL : dt;
        if (args[i]->dt != want || dtype_bits(want) < 8 || args[i]->rank != args[0]->rank ||
            memcmp(args[i]->shape, args[0]->shape, args[0]->rank * sizeof *args[0]->shape))
            return false;
    }
    if (dtype_is_float(dt) ? !s->on_float : !s->on_int) return false;
    if (s->operands == S_BOOL ? !is_bool : is_bool && s->operands != S_SELECT && s->result != R_BOOL) return false;
    *out = s->result == R_BOOL ? DT_BOOL : dt;
    return true;
}

const cexpr *cexpr_map(arena *a, op_kind op, const cexpr *const *args, uint32_t n)
{
    dtype dt = DT_F32;
    bool fits = cexpr_map_type(op, args, n, &dt);
    assert(fits), (void)fits;
    cexpr *e = cexpr_new(a, CE_MAP, dt, args[0]->rank, args[0]->shape);
    cexpr_set_args(a, e, args, n);
    e->u.op = op;
    return e;
}

/* ---- reading ---- */

/* The axes from the last on are one run: either the argument's elements in order, or one element again and again. */
void cexpr_read_broadcast(const cexpr *e, uint64_t first, uint64_t n, uint8_t *out)
{
    const cexpr *from = e->args[0];
    size_t unit = cexpr_unit(e->dt);
    uint64_t stride[MAX_RANK] = {0}, run = 1, inner = 1;
    for (uint32_t k = from->rank; k-- > 0;) {
        if (from->shape[k] > 1) stride[e->u.axes[k]] = inner;
        inner *= (uint64_t)from->shape[k];
    }
    uint32_t outer = e->rank;
    bool repeats = e->rank == 0 || stride[e->rank - 1] == 0;
    while (outer > 0 && stride[outer - 1] == (repeats ? 0 : run)) run *= (uint64_t)e->shape[--outer];
    while (n) {
        uint64_t row = first / run, within = first % run, at = 0, now = run - within < n ? run - within : n;
        for (uint32_t k = outer; k-- > 0;) {
            at += row % (uint64_t)e->shape[k] * stride[k];
            row /= (uint64_t)e->shape[k];
        }
        cexpr_read_units(from, repeats ? at : at + within, repeats ? 1 : now, out);
        if (repeats)
            for (uint64_t i = 1; i < now; i++) memcpy(out + i * unit, out, unit);
        first += now;
        n -= now;
        out += now * unit;
    }
}

static scalar_number load(dtype t, const uint8_t *from, uint64_t i)
{
    return dtype_is_float(t) ? (scalar_number){.f = dtype_load_f64(t, from, i)}
                             : (scalar_number){.i = dtype_load_i64(t, from, i)};
}

void cexpr_read_map(const cexpr *e, uint64_t first, uint64_t n, uint8_t *out)
{
    uint8_t chunk[3][CHUNK * 8];
    scalar_fn *fn = scalar_function(e->u.op, e->args[e->n_args - 1]->dt);
    while (n) {
        uint64_t now = n < CHUNK ? n : CHUNK;
        for (uint32_t k = 0; k < e->n_args; k++) cexpr_read_units(e->args[k], first, now, chunk[k]);
        for (uint64_t i = 0; i < now; i++) {
            scalar_number x[3] = {{0}};
            for (uint32_t k = 0; k < e->n_args; k++) x[k] = load(e->args[k]->dt, chunk[k], i);
            scalar_number v = fn(x[0], x[1], x[2]);
            if (dtype_is_float(e->dt)) dtype_store_f64(e->dt, out, i, v.f);
            else dtype_store_i64(e->dt, out, i, v.i);
        }
        first += now;
        n -= now;
        out += now * cexpr_unit(e->dt);
    }
}
