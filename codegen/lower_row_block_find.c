/* Which groups become blocks of rows (lower_row_block.c): matmuls in a row, and norms beside them.
 *
 * Not where somebody else reads what is between two of them or a point names it: these want it in memory. */
#include "codegen/lower_row_block.h"
#include "codegen/lower_rows.h"

static bool is_named(const function *f, const value *v)
{
    vec_foreach (const point, p, &f->points)
        if (p->v == v) return true;
    return false;
}

/* v is what `left` shows whole, through views, and nobody else reads it. */
static bool read_alone(lowering *lw, value *left, const value *v)
{
    for (value *x = left;; x = x->def->operands[0]) {
        if (!x->def || !x->uses || x->uses->next || is_named(lw->fn, x)) return false;
        if (!node_is_view(lw, x->def) || value_is_base(lw, x)) return x == v;
    }
}

int64_t stage_columns(lowering *lw, const block_stage *s)
{
    int64_t n = 0;
    if (s->f.weights) return s->f.weights->shape[0] / (s->g->half[0] ? 2 : 1);
    dim_is_const(lw->m->dims, s->f.shape[1], &n);
    return n;
}

/* g as a stage, if it can be one. */
static bool stage_of(lowering *lw, const group *g, block_stage *s)
{
    *s = (block_stage){.g = g};
    if (!g || !g->root || g->also.len || g->inside || g->block) return false;
    if (g->root->op != OP_NORMALIZE) return matmul_form_of(lw, g, &s->f);
    if (!normalize_space(lw, g, &s->f.s) || s->f.s.n != 2) return false;
    bool along[SPACE_MAX];
    s->f.left = g->root->operands[0];
    memcpy(s->f.shape, s->f.s.size, sizeof s->f.shape);
    space_strides(lw, &s->f.s, view_of(lw, s->f.left), s->f.stride, along);
    return true;
}

/* `to` reads the whole of what `from` computes, row by row. */
static bool reads_rows_of(lowering *lw, const block_stage *to, const block_stage *from)
{
    dim_ctx *dc = lw->m->dims;
    value *between = from->g->out->result;
    const lview *w = view_of(lw, to->f.left);
    int64_t step, one, n = stage_columns(lw, from);
    return n > 0 && w->base == between && !lw->places[between->id] && w->offset == dim_const(dc, 0) &&
           to->f.shape[0] == from->f.shape[0] && to->f.shape[1] == dim_const(dc, n) &&
           dim_is_const(dc, to->f.stride[1], &one) && one == 1 && dim_is_const(dc, to->f.stride[0], &step) && step >= n;
}

/* The stage whose rows s reads. */
static bool stage_before(lowering *lw, const block_stage *s, block_stage *before)
{
    return stage_of(lw, lw->groups[view_of(lw, s->f.left)->base->id], before) && before->g != s->g &&
           reads_rows_of(lw, s, before);
}

/* The norm that reads the rows of s, through views or not. */
static bool norm_after(lowering *lw, const block_stage *s, const value *v, block_stage *after)
{
    for (const use *u = v->uses; u; u = u->next) {
        if (!u->user) continue;
        const group *g = lw->groups[u->user->result->id];
        bool view = node_is_view(lw, u->user) && !value_is_base(lw, u->user->result);
        if (view ? norm_after(lw, s, u->user->result, after)
                 : u->user->op == OP_NORMALIZE && stage_of(lw, g, after) && reads_rows_of(lw, after, s))
            return true;
    }
    return false;
}

static void remark(lowering *lw, const node *at, const char *what)
{
    if (lw->target.remarks) diag_add(lw->d, DIAG_REMARK, user_place(lw, at), "%s", what);
}

/* Nobody else wants in memory what `before` hands to `after`. */
static bool joins(lowering *lw, const block_stage *before, const block_stage *after)
{
    if (read_alone(lw, after->f.left, before->g->out->result)) return true;
    bool two = before->f.weights && after->f.weights;
    remark(lw, (before->f.weights ? after : before)->g->root,
           two ? "two matmuls are two kernels: what is between them is read elsewhere, or named"
               : "this norm is a kernel of its own: what is between it and the matmul is read elsewhere, or named");
    return false;
}

/* ---- which are worth a kernel ---- */

/* A norm, two matmuls, a norm: as far as they are there. */
typedef struct {
    block_stage s[BLOCK_STAGES];
    bool norm[2]; /* before, behind */
    row_block_schedule schedule;
} candidate;
typedef VEC(candidate) candidates;

static bool has_stage(const candidate *c, int i)
{
    return i == 1 || i == 2 || c->norm[i > 0];
}

static group *group_of(lowering *lw, const block_stage *s)
{
    return lw->groups[s->g->out->result->id];
}

static row_block_schedule schedule_of(lowering *lw, const block_stage *two)
{
    matmul_shape shape[2];
    matmul_schedule s[2];
    for (int i = 0; i < 2; i++) {
        shape[i] = matmul_form_shape(two[i].g, &two[i].f, "");
        s[i] = matmul_form_schedule(lw, two[i].g, &two[i].f, "");
    }
    row_block_schedule r = row_block_schedule_by_rule(&lw->target, &shape[0], &s[0], &shape[1], &s[1]);
    int64_t lo, hi;
    dim_bounds(lw->m->dims, two[0].f.shape[0], &lo, &hi);
    if (!r.why_not && hi < r.least) r.why_not = arena_printf(lw->a, "there are never %lld rows", (long long)r.least);
    return r;
}

/* The block whose second matmul is g. From here on its groups are in no other. */
static void find_candidate(lowering *lw, const group *g, candidates *all)
{
    candidate c = {0};
    block_stage *first = &c.s[1], *second = &c.s[2];
    if (!stage_of(lw, g, second) || !stage_before(lw, second, first) || !first->f.weights || !joins(lw, first, second))
        return;
    c.schedule = schedule_of(lw, first);
    if (c.schedule.why_not) {
        remark(lw, g->root, arena_printf(lw->a, "two matmuls are two kernels: %s", c.schedule.why_not));
        return;
    }
    c.norm[0] = stage_before(lw, first, &c.s[0]) && !c.s[0].f.weights && joins(lw, &c.s[0], first);
    c.norm[1] = norm_after(lw, second, g->out->result, &c.s[3]) && joins(lw, second, &c.s[3]);
    for (int i = 0; i < BLOCK_STAGES; i++)
        if (has_stage(&c, i)) group_of(lw, &c.s[i])->inside = g;
    vec_push(lw->a, all, c);
}

static bool same_sizes(const candidate *x, const candidate *y)
{
    for (int i = 1; i <= 2; i++)
        if (memcmp(x->s[i].f.weights->shape, y->s[i].f.weights->shape, 2 * sizeof *x->s[i].f.weights->shape))
            return false;
    return true;
}

/* Blocks of the same sizes share their code, which is long. A norm that few of them have would need all of it once
 * more. */
static bool is_common(const candidates *all, const candidate *c, int which)
{
    uint32_t alike = 0, with = 0;
    vec_foreach (const candidate, x, all) {
        if (!same_sizes(x, c)) continue;
        alike++;
        with += x->norm[which];
    }
    return 2 * with >= alike;
}

static void make_block(lowering *lw, const candidates *all, const candidate *c)
{
    static const char *const norms[] = {"", " and the norm before them", " and the norm behind them",
                                        " and the norms around them"};
    struct row_block *b = ARENA_NEW(lw->a, struct row_block);
    candidate kept = *c;
    for (int i = 0; i < 2; i++) {
        kept.norm[i] = c->norm[i] && is_common(all, c, i);
        if (c->norm[i] && !kept.norm[i])
            remark(lw, c->s[3 * i].g->root,
                   "this norm is a kernel of its own: few matmuls of these sizes have one there");
    }
    b->s = c->schedule;
    for (int i = 0; i < BLOCK_STAGES; i++) {
        if (has_stage(c, i)) group_of(lw, &c->s[i])->inside = NULL;
        if (has_stage(&kept, i)) b->stage[b->n++] = c->s[i];
    }
    b->first = kept.norm[0];
    group *last = group_of(lw, &b->stage[b->n - 1]);
    for (int i = 0; i < b->n - 1; i++) group_of(lw, &b->stage[i])->inside = last;
    last->block = b;
    remark(lw, c->s[2].g->root,
           arena_printf(lw->a, "two matmuls%s are one kernel from %lld rows on, with at most %d rows a task",
                        norms[kept.norm[0] + 2 * kept.norm[1]], (long long)b->s.least, b->s.chunk * b->s.tile));
}

void row_blocks_build(lowering *lw)
{
    candidates all = {0};
    function_foreach (n, lw->fn) {
        const group *g = lw->groups[n->result->id];
        if (g && g->out == n && g->root && g->root->op == OP_CONTRACT) find_candidate(lw, g, &all);
    }
    vec_foreach (const candidate, c, &all) make_block(lw, &all, c);
}
