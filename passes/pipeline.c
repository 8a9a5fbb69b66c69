/* The order of the passes, each step with its reason. */
#include "passes/pass.h"

static const pipeline_step steps[] = {
    /* 1 */ {PASS_CANONICALISE, "the frontend writes what the program says; every later pattern expects one spelling"},
    /* 2 */ {PASS_DCE, "what composing left behind still reads parameters; folding asks who reads them"},
    /* 3 */ {PASS_NARROW_WEIGHTS, "before folding, which gives views of parameters to other parameters"},
    /* 4 */ {PASS_KEEP_EXACT, "takes the marks off: what changes the model has run"},
    /* 5 */ {PASS_FOLD, "needs composed views and constants on the right; leaves constants that make new identities"},
    /* 6 */ {PASS_CANONICALISE, "removes the identities that folding made"},
    /* 7 */ {PASS_CSE, "equal expressions have one spelling now; fusion counts uses, so duplicates go before it"},
    /* 8 */ {PASS_PRECOMPUTE, "duplicates are gone, and would be stored; makes scales that are parameters"},
    /* 9 */ {PASS_DCE, "what precomputing left behind still reads parameters; folding scales asks who reads them"},
    /* 10 */ {PASS_FOLD_SCALE, "needs scales that are parameters, and values with one reader: no duplicates"},
    /* 11 */ {PASS_CANONICALISE, "views that a scale or shift stood between meet now"},
    /* 12 */ {PASS_RECOGNISE_SOFTMAX, "attention is found by its softmax; leaves the parts, which read the scores"},
    /* 13 */ {PASS_DCE, "the passes above leave unused nodes behind, and fusion counts uses"},
    /* 14 */
    {PASS_RECOGNISE_ATTENTION, "needs one spelling of views, and values with one reader; leaves views and masks"},
    /* 15 */ {PASS_CANONICALISE, "composes the views that attention was given"},
    /* 16 */ {PASS_ATTENTION_BANDS, "needs masks in one spelling; what they are made of may be shared by layers"},
    /* 17 */ {PASS_CSE, "layers have masks and biases in common that were built for each"},
    /* 18 */ {PASS_DCE, "the scores are unused now, and read the queries; merging asks who reads a value"},
    /* 19 */ {PASS_MERGE_MATMULS, "needs equal inputs to be one value, and weights in their last form; leaves slices"},
    /* 20 */ {PASS_CANONICALISE, "slices meet the views behind them"},
    /* 21 */
    {PASS_REMOVE_PADDING, "needs masks of keys, and every form that fusion looks for; what it packs has other sizes"},
    /* 22 */ {PASS_CANONICALISE, "what is packed is seen through views"},
    /* 23 */ {PASS_DCE, "last: lowering counts uses"},
};

const pipeline_step *pipeline_steps(uint32_t *n)
{
    *n = sizeof steps / sizeof *steps;
    return steps;
}

static void print_verbs(strbuf *out)
{
    policy_verbs verbs = passes_verbs(out->a);
    strbuf_adds(out, "\n| rule | argument | values |\n|---|---|---|\n");
    for (uint32_t i = 0; i < verbs.n; i++) {
        const policy_verb *v = &verbs.rows[i];
        strbuf_adds(out, "| `");
        strbuf whole = strbuf_new(out->a);
        policy_verb_print(v, &whole);
        for (const char *c = whole.s; *c; c++) strbuf_adds(out, *c == '|' ? "\\|" : (char[]){*c, 0});
        strbuf_adds(out, v->n_params ? "` |" : "` | | |\n");
        for (uint32_t k = 0; k < v->n_params; k++) {
            const policy_param *p = &v->params[k];
            strbuf_addf(out, "%s `%s`: %s | ", k ? "| |" : "", p->name, p->summary);
            policy_param_print(p, out);
            if (!p->required) strbuf_adds(out, "; without it: ");
            if (!p->required) policy_value_print(&p->preset, out);
            strbuf_adds(out, " |\n");
        }
    }
}

void passes_print_reference(strbuf *out)
{
    static const char *const stages[] = {
        [STAGE_CLEAN] = "clean", [STAGE_POLICY] = "policy", [STAGE_FUSE] = "fuse", [STAGE_LAYOUT] = "layout"};
    static const char *const numerics[] = {
        [NUMERICS_EXACT] = "exact", [NUMERICS_REASSOCIATES] = "reassociates", [NUMERICS_APPROXIMATE] = "approximate"};
    strbuf_adds(out, "| pass | stage | numerics | what it does |\n|---|---|---|---|\n");
    for (int i = 0; i < PASS_COUNT; i++) {
        const pass_info *p = pass_row((pass_id)i);
        strbuf_addf(out, "| `%s` | %s | %s%s | %s |\n", p->name, stages[p->stage], numerics[p->numerics],
                    p->flags & PASS_ASSUMES_FINITE ? ", assumes finite values" : "", p->summary);
    }
    strbuf_adds(out, "\n| step | pass | why here |\n|---|---|---|\n");
    for (uint32_t i = 0; i < sizeof steps / sizeof *steps; i++)
        strbuf_addf(out, "| %u | `%s` | %s |\n", i + 1, pass_row(steps[i].pass)->name, steps[i].reason);
    print_verbs(out);
}
