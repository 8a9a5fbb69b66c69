/* Common subexpression elimination: nodes with equal op, operands, attributes and type become one.
 *
 *   %0 = exp %x : f32[4]
 *   %1 = exp %x : f32[4]          ->      %0 = exp %x : f32[4]
 *   %2 = add %0, %1 : f32[4]              %1 = add %0, %0 : f32[4]
 *
 * Requires one spelling of each computation (canonicalise); of commuting ops either order of operands is recognised.
 * Two scans run two bodies, so they are never equal; what is computed in a body stays in it.
 *
 * Breaks nothing: the kept node has the source positions of both. A function is one straight line, so the first of two
 * equal nodes stands before every reader of the second.
 *
 * Regions. The obvious way keeps the first node where it is. Then a mask that six layers broadcast ends up inside the
 * attention of layer 0, which no pass can claim as a whole any more, because the other five read from its inside. So a
 * shared node moves out to the innermost region around all its readers; only when a whole block instance is a duplicate
 * (gelu of the same value twice) do its nodes stay together where they are. */
#include "passes/pass.h"

typedef struct {
    arena *a;
    value **same; /* by value id: the value that stands for it */
    node **slots; /* open addressing */
    uint32_t mask;
} table;

static value *standing(const table *t, value *v)
{
    return t->same[v->id] ? t->same[v->id] : v;
}

/* Operands 0 and 1 of a commuting op, in order of their ids. */
static void ordered(const table *t, const node *n, value **a, value **b)
{
    *a = standing(t, n->operands[0]);
    *b = standing(t, n->operands[1]);
    if (!op_commutes(n->op) || (*a)->id <= (*b)->id) return;
    value *first = *b;
    *b = *a;
    *a = first;
}

static value *operand(const table *t, const node *n, uint32_t i)
{
    if (i > 1 || n->n_operands < 2) return standing(t, n->operands[i]);
    value *a, *b;
    ordered(t, n, &a, &b);
    return i ? b : a;
}

static uint64_t hash_node(const table *t, const node *n)
{
    const type *ty = &n->result->ty; /* those of further results follow from it */
    uint64_t h = hash_bytes(ty->shape, ty->rank * sizeof *ty->shape, (uint64_t)n->op * 64 + ty->dt);
    for (uint32_t i = 0; i < n->n_operands; i++) h = hash_bytes(&operand(t, n, i)->id, sizeof(uint32_t), h);
    for (int i = 0; i < op_row(n->op)->n_attrs; i++) h = attr_hash(&n->attrs[i], h);
    return h;
}

static bool equal(const table *t, const node *x, const node *y)
{
    if (x->op != y->op || x->n_operands != y->n_operands || !type_equal(&x->result->ty, &y->result->ty)) return false;
    for (uint32_t i = 0; i < x->n_operands; i++)
        if (operand(t, x, i) != operand(t, y, i)) return false;
    for (int i = 0; i < op_row(x->op)->n_attrs; i++)
        if (!attr_equal(&x->attrs[i], &y->attrs[i])) return false;
    return true;
}

/* The node that n equals, or NULL after entering n. */
static node *find_or_enter(table *t, node *n)
{
    for (uint64_t i = hash_node(t, n);; i++) {
        node **slot = &t->slots[i & t->mask];
        if (!*slot) {
            *slot = n;
            return NULL;
        }
        if (equal(t, *slot, n)) return *slot;
    }
}

/* whole[r]: every node of region r and those within it, leaves aside, is a duplicate. */
static bool *whole_duplicates(const table *t, const function *f, arena *a)
{
    uint32_t n_regions = f->m->regions.len;
    uint32_t *nodes = ARENA_ARRAY(a, uint32_t, n_regions), *duplicates = ARENA_ARRAY(a, uint32_t, n_regions);
    function_foreach (n, f) {
        if (op_row(n->op)->props & P_LEAF) continue;
        for (const region *r = n->in; r; r = r->parent) {
            nodes[r->id]++;
            duplicates[r->id] += t->same[n->result->id] != NULL;
        }
    }
    bool *whole = ARENA_ARRAY(a, bool, n_regions);
    for (uint32_t i = 0; i < n_regions; i++) whole[i] = nodes[i] && nodes[i] == duplicates[i];
    return whole;
}

static uint32_t merge_function(pass_ctx *ctx, function *f)
{
    table t = {.a = ctx->scratch};
    uint32_t nodes = 0, merged = 0;
    function_foreach (n, f) nodes++;
    t.same = ARENA_ARRAY(ctx->scratch, value *, f->m->n_values);
    t.mask = 15;
    while (t.mask < nodes * 2) t.mask = t.mask * 2 + 1;
    t.slots = ARENA_ARRAY(ctx->scratch, node *, (size_t)t.mask + 1);

    function_foreach (n, f) {
        const node *first = find_or_enter(&t, n);
        for (uint32_t i = 0; first && i < n->n_results; i++) t.same[n->results[i]->id] = first->results[i];
    }
    bool *whole = whole_duplicates(&t, f, ctx->scratch);
    function_foreach (n, f) {
        if (!t.same[n->result->id]) continue;
        node *kept = t.same[n->result->id]->def;
        bool leaf = (op_row(n->op)->props & P_LEAF) != 0;
        if (leaf || !whole[n->in->id]) kept->in = region_common(kept->in, n->in);
        node_add_sources(f->m, kept, n);
        for (uint32_t i = 0; i < n->n_results; i++) value_replace(f, n->results[i], kept->results[i]);
        if (!leaf) pass_remark(ctx, n, "%s is computed once", op_row(n->op)->name);
        node_erase(n);
        merged++;
    }
    return merged;
}

status pass_cse(pass_ctx *ctx, module *m, bool *changed)
{
    uint32_t n;
    function **all = module_walk(m, ctx->scratch, &n);
    for (uint32_t i = 0; i < n; i++)
        if (merge_function(ctx, all[i])) *changed = true;
    return STATUS_OK;
}
