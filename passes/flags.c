/* The flags about passes: pass_flags.def, read. */
#include "passes/pass.h"

pass_options pass_options_default(void)
{
    pass_options o = {.stop_after = -1};
#ifdef TFXC_DEBUG
    o.verify_each = true;
#endif
    return o;
}

/* ---- what is done with the passes that a flag names ---- */

typedef VEC(pass_id) pass_list;
typedef struct {
    pass_options *o;
    arena *a;
    diags *d;
    const char *flag;
} reader;

static flag_result take_run(const reader *r, const pass_list *passes)
{
    vec_foreach (pass_id, id, passes) vec_push(r->a, &r->o->list, *id);
    r->o->only = true;
    return FLAG_TAKEN;
}

static flag_result take_skip(const reader *r, const pass_list *passes)
{
    vec_foreach (pass_id, id, passes) r->o->skip[*id] = true;
    return FLAG_TAKEN;
}

static flag_result take_print(const reader *r, const pass_list *passes)
{
    vec_foreach (pass_id, id, passes) r->o->print_after[*id] = true;
    return FLAG_TAKEN;
}

static flag_result take_stop(const reader *r, const pass_list *passes)
{
    if (passes->len != 1) {
        diag_usage(r->d, "%s takes one pass", r->flag);
        return FLAG_WRONG;
    }
    r->o->stop_after = (int)passes->data[0];
    return FLAG_TAKEN;
}

/* ---- reading ---- */

static flag_result unknown_pass(const reader *r, const char *word)
{
    const char *names[PASS_COUNT];
    for (int i = 0; i < PASS_COUNT; i++) names[i] = pass_row((pass_id)i)->name;
    diag *g = diag_usage(r->d, "%s: no pass is named '%s'", r->flag, word);
    const char *near = suggest(word, names, PASS_COUNT);
    if (near) diag_hint(g, "did you mean '%s'?", near);
    else diag_hint(g, "tfxc --print-passes lists them");
    return FLAG_WRONG;
}

static flag_result read_list(const reader *r, const char *text,
                             flag_result (*take)(const reader *r, const pass_list *passes))
{
    pass_list passes = {0};
    for (;; text++) {
        size_t n = strcspn(text, ",");
        pass_id id;
        if (!pass_find(text, n, &id)) return unknown_pass(r, arena_strndup(r->a, text, n));
        vec_push(r->a, &passes, id);
        text += n;
        if (!*text) return take(r, &passes);
    }
}

static const struct {
    const char *flag;
    size_t into; /* of a switch: which field of pass_options */
    bool setting;
    flag_result (*take)(const reader *r, const pass_list *passes); /* NULL: a switch */
} rows[] = {
#define PASS_SWITCH(flag, field, setting, help) {flag, offsetof(pass_options, field), setting, NULL},
#define PASS_LIST(flag, value, take, help) {flag, 0, false, take_##take},
#include "passes/pass_flags.def"
#undef PASS_SWITCH
#undef PASS_LIST
};

flag_result pass_options_flag(pass_options *o, arena *a, diags *d, const char *arg)
{
    size_t n = strcspn(arg, "=");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strlen(rows[i].flag) != n || strncmp(arg, rows[i].flag, n) || !rows[i].take != !arg[n]) continue;
        if (rows[i].take) return read_list(&(reader){o, a, d, rows[i].flag}, arg + n + 1, rows[i].take);
        *(bool *)((char *)o + rows[i].into) = rows[i].setting;
        return FLAG_TAKEN;
    }
    return FLAG_UNKNOWN;
}
