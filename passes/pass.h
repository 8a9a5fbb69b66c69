/* What a pass is, and how passes are run. docs/add-a-pass.md shows how to write one. */
#ifndef PASSES_PASS_H
#define PASSES_PASS_H

#include "ir/interp.h"

#include <stdio.h>

typedef enum { STATUS_OK, STATUS_FAILED } status; /* failed: an error was added to the diagnostics */

typedef enum {
#define PASS(name, NAME, STAGE, NUMERICS, FLAGS, summary) PASS_##NAME,
#include "passes/passes.def"
    PASS_COUNT
} pass_id;

typedef enum { STAGE_CLEAN, STAGE_POLICY, STAGE_FUSE, STAGE_LAYOUT } pass_stage;
typedef enum { NUMERICS_EXACT, NUMERICS_REASSOCIATES, NUMERICS_APPROXIMATE } pass_numerics;
enum { PASS_ASSUMES_FINITE = 1 };

/* Runs a function of m on one tensor per argument (ir/interp.h); false with a diagnostic when that is impossible. */
typedef bool pass_execute_fn(void *arg, const module *m, const function *f, tensor *const *args, arena *a, diags *d,
                             tensor **results);
/* Seconds that one run of f takes when it is compiled for the session's target, at the given dim values; negative when
 * it cannot be measured. */
typedef double pass_measure_fn(void *arg, const module *m, const function *f, const int64_t *dims);

typedef struct {
    bool verify_each; /* verify, and compare each pass's claim of change with the printed IR (default: debug builds) */
    bool roundtrip_each; /* print, parse and print again after each pass */
    bool print_after_all;
    bool time_passes;
    bool remarks;
    bool print_after[PASS_COUNT];
    bool skip[PASS_COUNT];
    int stop_after; /* a pass_id, or -1 */
    bool only;      /* run exactly `list` instead of the pipeline */
    VEC(pass_id) list;
} pass_options;

/* What a run of passes is given: nothing here is owned. execute and measure may be NULL where no pass needs them. */
typedef struct {
    diags *d;
    const pass_options *options;
    FILE *log; /* where printed IR and times go; NULL: stderr */
    pass_execute_fn *execute;
    pass_measure_fn *measure;
    void *callback_arg;
} pass_session;

typedef struct pass_info pass_info;
typedef struct {
    const pass_session *session;
    const pass_info *pass;
    arena *scratch; /* freed when the pass returns */
    diags *d;
    policy_rule *const *rules; /* those that ask for this pass, in the order of the source; out of the module already */
    uint32_t n_rules;
} pass_ctx;

/* Changes m, sets *changed exactly when the printed form changes (that rules are gone from it is the runner's doing).
 * On failure m is not used further. */
typedef status pass_fn(pass_ctx *ctx, module *m, bool *changed);
#define PASS(name, NAME, STAGE, NUMERICS, FLAGS, summary) pass_fn pass_##name;
#include "passes/passes.def"

struct pass_info {
    pass_id id; /* PASS_COUNT: not of the table */
    const char *name;
    pass_stage stage;
    pass_numerics numerics;
    unsigned flags;
    const char *summary;
    pass_fn *run;
};
const pass_info *pass_row(pass_id id);
bool pass_find(const char *name, size_t n, pass_id *out);

/* A remark about n, shown under --remarks: what a pass did, or why it declined. n NULL: about the module. */
void pass_remark(pass_ctx *ctx, const node *n, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same about a rule, or any other place in the source. */
void pass_remark_at(pass_ctx *ctx, span at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- policies (policy.c) ---- */
/* The verbs that rules may use, from passes.def. */
policy_verbs passes_verbs(arena *a);
/* What text could get wrong and a front end cannot: whether each rule's verb exists and is used as its row says; and
 * rules that contradict each other. False after errors at the rules. */
bool policy_check(const module *m, diags *d);
/* For every region by id: whether it lies within one of the rule's (relation `in`). */
bool *policy_inside(const module *m, const policy_rule *r, arena *a);
/* For every region by id: whether a rule `keep_exact` covers it. */
bool *policy_kept_exact(const module *m, arena *a);

/* ---- flags (flags.c) ---- */
pass_options pass_options_default(void);
typedef enum { FLAG_UNKNOWN, FLAG_TAKEN, FLAG_WRONG } flag_result;
/* Reads one command-line argument: "--flag" or "--flag=VALUE" of pass_flags.def. FLAG_UNKNOWN: it is none of these;
 * FLAG_WRONG: it is, with a mistake that was added to d. Lists are kept in a. */
flag_result pass_options_flag(pass_options *o, arena *a, diags *d, const char *arg);

/* ---- running (runner.c) ---- */

/* Runs the pipeline, or the passes that --run-pass lists, on m. A module without functions is left as it is. */
status passes_run(module *m, const pass_session *s);
/* Runs the given passes in order, which need not be of the table (a pass being tried out); skipping, printing and
 * stopping know those of the table only. */
status passes_run_rows(module *m, const pass_session *s, const pass_info *const *rows, uint32_t n);

/* ---- the pipeline (pipeline.c) ---- */
typedef struct {
    pass_id pass;
    const char *reason; /* why it runs here */
} pipeline_step;
const pipeline_step *pipeline_steps(uint32_t *n);
/* The passes and the pipeline as Markdown tables (in docs/passes.md). */
void passes_print_reference(strbuf *out);

#endif
