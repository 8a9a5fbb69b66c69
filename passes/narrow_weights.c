/* Stores weights in fewer bits, where a rule asks for it.
 *
 *   rule narrow_weights linear in "head" (to = "bf16") at @f r1
 *   param "head.weight" : f32[10, 64] = file "m.safetensors" "head.weight"
 *   %0 = param "head.weight" : f32[10, 64] in r1
 *   %1 = contract %x, %0 {labels = "ak,nk->an"} : f32[B, 10] in r1
 * ->
 *   param "head.weight" : bf16[10, 64] = cast bf16 (file "m.safetensors" "head.weight")
 *   %0 = param "head.weight" : bf16[10, 64] in r1
 *   %1 = cast %0 : f32[10, 64] in r1
 *   %2 = contract %x, %1 {labels = "ak,nk->an"} : f32[B, 10] in r1
 *
 * Every number changes by at most 2^-8 of itself with bf16 and 2^-11 with f16 (below 2^-14, f16: by at most 2^-25), so
 * a contraction changes by at most that part of the sum of |x| |w|. All arithmetic stays in the dtype of the program,
 * and lowering makes the cast part of reading the weight.
 *
 * Requires: parameters as the program has them (before fold), so that regions say who owns them. Breaks: a parameter's
 * dtype is no longer the program's.
 *
 * Declined, with a remark: vectors (biases and scales: nothing is gained, and each number goes into every result);
 * parameters that are also read outside of the rule's places or where a rule keeps them exact; parameters that are
 * narrow already; and those with a number that the narrow dtype would turn into an infinity, which is why the weights
 * are read here, although constants are otherwise read only while the artefact is written. Narrowing the operand on the
 * edge that a rule speaks of, and not the parameter, would be the obvious way; it would store a shared weight twice. */
#include "ir/constant.h"
#include "passes/pass.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>

typedef struct {
    pass_ctx *ctx;
    module *m;
    const policy_rule *rule;
    dtype to;
    const bool *inside, *kept; /* by region id */
    uint32_t narrowed, vectors;
    uint64_t bytes_before, bytes_after;
    const char *declined; /* why, the first time */
} narrowing;

typedef struct {
    VEC(node *) reads;   /* its nodes, in all functions */
    bool here;           /* the rule reaches a reader */
    const node *outside; /* a reader that it does not reach, or the parameter's node itself when it is a result */
} usage;

static void decline(narrowing *x, span at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void decline(narrowing *x, span at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *why = arena_vprintf(x->ctx->scratch, fmt, ap);
    va_end(ap);
    pass_remark_at(x->ctx, at, "declined: %s", why);
    if (!x->declined) x->declined = why;
}

static usage *find_usage(const narrowing *x)
{
    const module *m = x->m;
    uint32_t ids = 0;
    vec_foreach (param *, p, &m->params)
        if ((*p)->id >= ids) ids = (*p)->id + 1;
    usage *all = ARENA_ARRAY(x->ctx->scratch, usage, ids);
    uint32_t n_functions;
    function **functions = module_walk(m, x->ctx->scratch, &n_functions);
    for (uint32_t i = 0; i < n_functions; i++)
        function_foreach (n, functions[i]) {
            if (n->op != OP_PARAM) continue;
            usage *u = &all[node_attr(n, ATTR_PARAM)->u.p->id];
            vec_push(x->ctx->scratch, &u->reads, n);
            for (const use *r = n->result->uses; r; r = r->next) {
                const node *reader = r->user ? r->user : n;
                bool inside = r->user && x->inside[reader->in->id];
                if (inside) u->here = true;
                if (!inside || x->kept[reader->in->id]) u->outside = reader;
            }
        }
    return all;
}

/* The largest finite magnitude among the elements. False after an error. */
static bool largest(narrowing *x, const param *p, double *out)
{
    enum { PIECE = 1 << 16 };
    const cexpr *e = p->value;
    void *piece = arena_alloc(x->ctx->scratch, dtype_bytes(e->dt, PIECE), 64);
    uint64_t n = cexpr_elements(e);
    *out = 0;
    for (uint64_t first = 0; first < n; first += PIECE) {
        uint64_t now = n - first < PIECE ? n - first : PIECE;
        const char *why = NULL;
        if (!cexpr_read(e, first, now, piece, &why)) {
            diag_error(x->ctx->d, p->declared, "cannot read weight '%s': %s", p->path, why);
            return false;
        }
        for (uint64_t i = 0; i < now; i++) {
            double v = fabs(dtype_load_f64(e->dt, piece, i));
            if (v > *out && v <= DBL_MAX) *out = v;
        }
    }
    cexpr_done(e);
    return true;
}

/* Whether p can be narrowed; false in *ok after an error. */
static bool may_narrow(narrowing *x, const param *p, const usage *u, bool *ok)
{
    span at = x->rule->at;
    if (!u->here) return false;
    if (!dtype_is_float(p->ty.dt) || p->ty.enc.kind != ENC_ROWS || dtype_bits(p->ty.dt) <= dtype_bits(x->to)) {
        decline(x, at, "'%s' is stored as %s", p->path, dtype_name(p->ty.dt));
        return false;
    }
    if (u->outside) {
        const node *n = u->outside;
        const char *path = n->in->path;
        if (x->kept[n->in->id]) decline(x, at, "'%s' is read in \"%s\", which is kept exact", p->path, path);
        else if (n->op == OP_PARAM) decline(x, at, "'%s' is also a result of the model", p->path);
        else decline(x, at, "'%s' is also read in \"%s\", which this rule does not reach", p->path, path);
        return false;
    }
    if (p->ty.rank < 2) {
        x->vectors++;
        return false;
    }
    double most;
    *ok = largest(x, p, &most);
    if (!*ok) return false;
    if (isfinite(dtype_round(x->to, most))) return true;
    decline(x, at, "'%s' holds %g, which is too large for %s", p->path, most, dtype_name(x->to));
    return false;
}

static void narrow(narrowing *x, param *p, const usage *u)
{
    dtype wide = p->ty.dt;
    x->bytes_before += cexpr_bytes(p->value);
    p->value = cexpr_cast(x->m->a, p->value, x->to);
    p->ty.dt = x->to;
    x->bytes_after += cexpr_bytes(p->value);
    x->narrowed++;
    vec_foreach (node *, n, &u->reads) {
        builder b = builder_before(*n);
        value *v = build_cast(&b, build_param(&b, p), wide);
        value_replace((*n)->fn, (*n)->result, v);
        node_erase(*n);
    }
}

static const char *amount(arena *a, uint64_t bytes)
{
    if (bytes < 1 << 10) return arena_printf(a, "%u bytes", (unsigned)bytes);
    if (bytes < 1 << 20) return arena_printf(a, "%.1f KiB", (double)bytes / 1024);
    return arena_printf(a, "%.1f MiB", (double)bytes / (1 << 20));
}

static bool follow(narrowing *x)
{
    const usage *all = find_usage(x);
    arena *a = x->ctx->scratch;
    bool ok = true;
    vec_foreach (param *, p, &x->m->params)
        if (may_narrow(x, *p, &all[(*p)->id], &ok)) narrow(x, *p, &all[(*p)->id]);
        else if (!ok) return false;
    if (x->narrowed)
        pass_remark_at(x->ctx, x->rule->at, "stored %u parameter%s as %s: %s instead of %s", x->narrowed,
                       x->narrowed == 1 ? "" : "s", dtype_name(x->to), amount(a, x->bytes_after),
                       amount(a, x->bytes_before));
    if (x->vectors)
        decline(x, x->rule->at, "%u vector%s: biases and scales stay as they are", x->vectors,
                x->vectors == 1 ? "" : "s");
    if (x->narrowed) return true;
    diag *g = diag_warning(x->ctx->d, x->rule->at, "this rule changes nothing");
    diag_code(g, "rule");
    diag_note(g, "%s", x->declined ? x->declined : "nothing that it reaches reads a parameter");
    return true;
}

status pass_narrow_weights(pass_ctx *ctx, module *m, bool *changed)
{
    const bool *kept = policy_kept_exact(m, ctx->scratch);
    for (uint32_t i = 0; i < ctx->n_rules; i++) {
        narrowing x = {.ctx = ctx, .m = m, .rule = ctx->rules[i], .kept = kept};
        const char *to = policy_rule_arg(x.rule, "to")->word;
        if (!dtype_parse(to, strlen(to), &x.to)) return STATUS_FAILED;
        x.inside = policy_inside(m, x.rule, ctx->scratch);
        if (!follow(&x)) return STATUS_FAILED;
        if (x.narrowed) *changed = true;
    }
    return STATUS_OK;
}
