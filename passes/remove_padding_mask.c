/* Which keys of an attention its masks and biases declare padding. */
#include "passes/match.h"
#include "passes/remove_padding.h"

/* The masks of an attention, and what of its bias is none. */
typedef struct {
    module *m;
    key_mask *out;
    mask_parts parts;
} analysis;

static bool decline(key_mask *out, const char *why)
{
    out->mask.v = NULL;
    out->why = why;
    return false;
}

/* A value that is true where v is false. */
static value *negation_of(const value *v)
{
    for (const use *u = v->uses; u; u = u->next)
        if (u->user && u->user->op == OP_NOT) return u->user->result;
    return NULL;
}

static bool add_condition(analysis *a, const mask_view *s, bool holds)
{
    if (mask_view_depends_on(a->m, s, MASK_HEAD)) return false;
    mask_parts before = a->parts;
    if (mask_parts_add(&a->parts, s, holds)) return true;
    a->parts = before;
    mask_view other = *s;
    other.v = holds ? NULL : negation_of(s->v);
    return other.v && mask_parts_add(&a->parts, &other, true);
}

/* A conjunction of masks of keys is one of them; only bounds are taken out of what depends on the query. */
static bool add_mask(analysis *a, mask_view s)
{
    while (mask_view_through(a->m, &s, &s)) {}
    if (mask_view_depends_on(a->m, &s, MASK_QUERY)) {
        if (!match_op(s.v, OP_AND)) return mask_parts_add(&a->parts, &s, true);
        return add_mask(a, mask_view_operand(&s, 0)) && add_mask(a, mask_view_operand(&s, 1));
    }
    if (a->parts.n_parts == MAX_PARTS) return false;
    a->parts.parts[a->parts.n_parts++] = s;
    return true;
}

/* Takes a bias apart: masks that are added, and the rest. */
static bool add_bias(analysis *a, const mask_view *s)
{
    const node *n = s->v->def;
    mask_view inner;
    mask_bias b;
    bool masks = mask_bias_of(a->m, s, &b);
    if (masks && !b.low_enough) a->out->why = "its bias at masked keys is above -1e9, which scores might outweigh";
    if (masks && b.low_enough) {
        for (uint32_t i = 0; i < b.n; i++)
            if (!add_condition(a, &b.of[i], b.holds[i])) return decline(a->out, "its bias makes no mask of keys");
        a->out->finite = true;
        return true;
    }
    if (mask_view_through(a->m, s, &inner) && match_op(inner.v, OP_ADD)) return add_bias(a, &inner);
    if (n && n->op == OP_ADD) {
        mask_view l = mask_view_operand(s, 0), r = mask_view_operand(s, 1);
        return add_bias(a, &l) && add_bias(a, &r);
    }
    if (a->out->n_bias == MAX_PARTS) return decline(a->out, "its bias has too many terms");
    a->out->bias[a->out->n_bias++] = *s;
    return true;
}

/* The mask of keys that is all that bounds have left. */
static bool choose_mask(analysis *a, dim batch)
{
    key_mask *out = a->out;
    for (uint32_t i = 0; i < a->parts.n_parts; i++) {
        const mask_view *s = &a->parts.parts[i];
        if (mask_view_depends_on(a->m, s, MASK_QUERY)) return decline(out, "its mask depends on the query");
        if (!mask_view_depends_on(a->m, s, MASK_KEY)) return decline(out, "its mask does not depend on the key");
        if (!mask_view_depends_on(a->m, s, MASK_BATCH) && !mask_is_one(a->m, batch))
            return decline(out, "its mask is the same for all sequences");
        if (i && !mask_view_same(a->m, *s, out->mask)) return decline(out, "it has several masks of keys");
        out->mask = *s;
    }
    if (!out->mask.v) return false;
    out->why = NULL;
    return true;
}

/* Bounds that only ask which of two tokens comes first hold whatever lies between them. */
static bool is_order(const module *m, const attention_band *b)
{
    int64_t from = 0, to = 0;
    if (b->has_from && !dim_is_const(m->dims, b->from, &from)) return false;
    if (b->has_to && !dim_is_const(m->dims, b->to, &to)) return false;
    return (!b->has_from || from == 0 || from == 1) && (!b->has_to || to == 0 || to == -1);
}

/* Every query sees the key at its own place, where the mask does. */
static bool sees_itself(const module *m, const attention_band *b)
{
    dim zero = dim_const(m->dims, 0);
    return (!b->has_from || dim_le(m->dims, b->from, zero)) && (!b->has_to || dim_le(m->dims, zero, b->to));
}

bool padding_key_mask(module *m, const node *n, key_mask *out)
{
    *out = (key_mask){0};
    value *mask = attention_mask(n), *bias = attention_bias(n);
    const dim *q = n->result->ty.shape;
    analysis a = {.m = m, .out = out};
    a.parts = (mask_parts){.m = m, .queries = q[2], .keys = n->operands[1]->ty.shape[2], .band = attention_band_of(n)};
    if (attention_offsets(n)) return false;
    mask_view of_mask = {mask, {MASK_BATCH, MASK_QUERY, MASK_KEY}},
              of_bias = {bias, {MASK_BATCH, MASK_HEAD, MASK_QUERY, MASK_KEY}};
    if (mask && !add_mask(&a, of_mask)) return decline(out, "its mask has too many parts");
    if (bias && !add_bias(&a, &of_bias)) return false;
    if (bias && !out->finite) { /* as it is */
        out->n_bias = 1;
        out->bias[0] = of_bias;
    }
    if (!choose_mask(&a, q[0])) return false;
    out->band = a.parts.band;
    out->by_place = out->n_bias > 0 || !is_order(m, &out->band);
    out->own = q[2] == n->operands[1]->ty.shape[2] && sees_itself(m, &out->band);
    return true;
}

bool padding_may_join(module *m, const node *n, key_mask *out)
{
    if (!padding_key_mask(m, n, out)) return false;
    if (n->operands[0]->ty.shape[2] != n->operands[1]->ty.shape[2])
        return decline(out, "its queries are not the keys' tokens");
    if ((out->finite || out->by_place) && !out->own) return decline(out, "a query may not see its own place");
    return true;
}
