/* Weights: every parameter against the file's table, through the model's map rules; and what the file has besides. */
#include "frontend/sema_internal.h"

enum { MAX_CAPTURES = 8, MAX_DEEP = 2, MAX_MISSING_SHOWN = 8 };

typedef struct {
    const char *s[MAX_CAPTURES];
    size_t n[MAX_CAPTURES];
    uint32_t count;
} captures;

typedef struct {
    const ast_weight_rule *rule;
    bool used;
} map_rule;

typedef struct {
    sema *s;
    const weights_view *view; /* NULL: there is no file */
    ptrmap *by_name;          /* interned name -> entry + 1 */
    bool *used;               /* per entry */
    VEC(map_rule) maps;
    VEC(const sema_param *) missing;
    VEC(const char *) missing_names;
} work;

/* ---- patterns: '*' is one segment, '**' any number ---- */

/* What follows the first segment; NULL when nothing does. */
static const char *next_segment(const char *s)
{
    s += strcspn(s, ".");
    return *s ? s + 1 : NULL;
}

static void capture(captures *c, uint32_t slot, const char *from, size_t n)
{
    c->s[slot] = from;
    c->n[slot] = n;
    c->count = slot + 1;
}

/* p and t are NULL past their last segment. Wildcards beyond MAX_CAPTURES match nothing: check_pattern has refused
 * them. */
static bool match(const char *p, const char *t, captures *c)
{
    for (; p; p = next_segment(p), t = next_segment(t)) {
        size_t pn = strcspn(p, ".");
        if (pn == 2 && p[0] == '*' && p[1] == '*') {
            uint32_t slot = c->count;
            if (slot == MAX_CAPTURES) return false;
            for (const char *rest = t;; rest = next_segment(rest)) { /* the fewest segments that let the rest match */
                capture(c, slot, t ? t : "", !t || rest == t ? 0 : rest ? (size_t)(rest - t) - 1 : strlen(t));
                if (match(next_segment(p), rest, c)) return true;
                if (!rest) return false;
            }
        }
        if (!t) return false;
        size_t tn = strcspn(t, ".");
        if (pn == 1 && p[0] == '*') {
            if (c->count == MAX_CAPTURES) return false;
            capture(c, c->count, t, tn);
        } else if (pn != tn || memcmp(p, t, pn) != 0) {
            return false;
        }
    }
    return !t;
}

/* Matching tries all ways to divide a path, so a pattern may not have many wildcards. */
static bool check_pattern(sema *s, ast_name pattern)
{
    uint32_t all = 0, deep = 0;
    for (const char *p = pattern.name; *p;) {
        size_t n = strcspn(p, ".");
        bool one = n == 1 && p[0] == '*', any = n == 2 && p[0] == '*' && p[1] == '*';
        all += one || any;
        deep += any;
        p += n + (p[n] == '.');
    }
    if (all <= MAX_CAPTURES && deep <= MAX_DEEP) return true;
    diag *g = sema_error(s, pattern.at, "pattern", "this pattern has too many wildcards");
    diag_note(g, "the limits are %d, and %d '**'", MAX_CAPTURES, MAX_DEEP);
    return false;
}

/* The k-th wildcard of `text` becomes the k-th capture. */
static const char *substitute(sema *s, const char *text, const captures *c)
{
    strbuf b = strbuf_new(s->a);
    uint32_t k = 0;
    for (const char *p = text; p; p = next_segment(p)) {
        size_t n = strcspn(p, ".");
        const char *with = p;
        bool wild = (n == 1 && p[0] == '*') || (n == 2 && p[0] == '*' && p[1] == '*');
        if (wild && k < c->count) {
            with = c->s[k];
            n = c->n[k++];
            if (n == 0) continue; /* '**' that stands for nothing */
        }
        if (b.len) strbuf_addc(&b, '.');
        strbuf_add(&b, with, n);
    }
    return intern_z(s->names, b.s);
}

/* ---- views of file tensors ---- */

static const weights_entry *find_entry(work *w, const char *name, uint32_t *index)
{
    uintptr_t i = (uintptr_t)ptrmap_get(w->by_name, intern_z(w->s->names, name));
    if (!i) return NULL;
    *index = (uint32_t)(i - 1);
    return &w->view->entries[i - 1];
}

static sema_weight *weight_new(sema *s, sema_weight_kind kind, dtype dt, uint32_t rank, const int64_t *shape,
                               const sema_weight *const *args, uint32_t n)
{
    sema_weight *x = ARENA_NEW(s->a, sema_weight);
    x->kind = kind;
    x->dt = dt;
    x->rank = (uint8_t)rank;
    if (rank) memcpy(x->shape, shape, rank * sizeof *shape);
    x->n_args = n;
    const sema_weight **copy = ARENA_ARRAY(s->a, const sema_weight *, n);
    if (n) memcpy(copy, args, n * sizeof *args);
    x->args = copy;
    return x;
}

static const sema_weight *weight_file(work *w, const char *name)
{
    uint32_t i;
    const weights_entry *e = find_entry(w, name, &i);
    if (!e) return NULL;
    w->used[i] = true;
    sema_weight *x = weight_new(w->s, SW_FILE, e->dt, e->rank, e->shape, NULL, 0);
    x->entry = i;
    return x;
}

static const char *shape_of(sema *s, const int64_t *shape, uint32_t rank)
{
    strbuf b = strbuf_new(s->a);
    strbuf_addc(&b, '[');
    for (uint32_t i = 0; i < rank; i++) strbuf_addf(&b, "%s%lld", i ? ", " : "", (long long)shape[i]);
    strbuf_addc(&b, ']');
    return b.s;
}

/* The entry that is most likely meant by a name that does not exist: one that ends with it, that it ends with, or a
 * near one. */
static const char *nearest(work *w, const char *name)
{
    size_t n = strlen(name);
    name_list names = {0};
    for (uint32_t i = 0; i < w->view->count; i++) {
        const char *e = w->view->entries[i].name;
        size_t m = strlen(e);
        if (m > n && e[m - n - 1] == '.' && strcmp(e + m - n, name) == 0) return e;
        if (n > m && name[n - m - 1] == '.' && strcmp(name + n - m, e) == 0) return e;
        if (m > n && strncmp(e, name, n) == 0 && strcmp(e + n, ".weight") == 0) return e;
        vec_push(w->s->a, &names, e);
    }
    return names.len <= 4096 ? suggest(name, names.data, names.len) : NULL;
}

static const sema_weight *eval_view(work *w, const ast_expr *e, const captures *c);

static const sema_weight *slice_view(work *w, const ast_expr *e, const captures *c)
{
    sema *s = w->s;
    const sema_weight *base = eval_view(w, e->index.base, c);
    if (!base) return NULL;
    if (e->index.indices.len > base->rank) {
        diag_got(sema_error(s, e->at, "rank", "too many indices"), "%s", shape_of(s, base->shape, base->rank));
        return NULL;
    }
    int64_t start[SEMA_MAX_RANK] = {0}, size[SEMA_MAX_RANK];
    memcpy(size, base->shape, sizeof size);
    for (uint32_t i = 0; i < e->index.indices.len; i++) {
        const ast_index *x = &e->index.indices.data[i];
        int64_t to;
        if (x->kind == INDEX_ALL) continue;
        if (x->kind != INDEX_RANGE) {
            sema_error(s, x->at, "wrong-type", "a view of a stored tensor takes ranges: [0..768]");
            return NULL;
        }
        if (eval_int_const(s, x->begin, &start[i]).kind == V_ERROR || eval_int_const(s, x->end, &to).kind == V_ERROR)
            return NULL;
        if (start[i] < 0 || to < start[i] || to > base->shape[i]) {
            diag *g = sema_error(s, x->at, "index-range", "this range is outside of axis %u", i);
            diag_note(g, "the stored tensor is %s", shape_of(s, base->shape, base->rank));
            return NULL;
        }
        size[i] = to - start[i];
    }
    sema_weight *x = weight_new(s, SW_SLICE, base->dt, base->rank, size, &base, 1);
    memcpy(x->start, start, sizeof start);
    return x;
}

static const sema_weight *transpose_view(work *w, const ast_expr *e, const captures *c)
{
    sema *s = w->s;
    const ast_args *args = &e->call.args;
    if (args->len < 1 || args->len > 2) {
        sema_error(s, e->at, "arity", "'transpose' takes a tensor and, if it has more than two axes, their order");
        return NULL;
    }
    const sema_weight *base = eval_view(w, args->data[0].value, c);
    if (!base) return NULL;
    uint8_t perm[SEMA_MAX_RANK] = {1, 0};
    bool ok = args->len == 2 || base->rank == 2, seen[SEMA_MAX_RANK] = {0};
    if (args->len == 2) {
        value v = eval(s, args->data[1].value);
        ok = v.kind == V_LIST && v.list.n == base->rank;
        for (uint32_t i = 0; ok && i < base->rank; i++) {
            int64_t k = -1;
            ok = v.list.items[i].kind == V_INT && dim_is_const(s->dims, v.list.items[i].size, &k) && k >= 0 &&
                 k < base->rank && !seen[k];
            if (ok) seen[k] = true, perm[i] = (uint8_t)k;
        }
    }
    if (!ok) {
        diag *g = sema_error(s, e->at, "rank", "an order of %u axes is needed", base->rank);
        diag_hint(g, "transpose(\"...\", [1, 0, 2])");
        return NULL;
    }
    int64_t shape[SEMA_MAX_RANK];
    for (uint32_t i = 0; i < base->rank; i++) shape[i] = base->shape[perm[i]];
    sema_weight *x = weight_new(s, SW_TRANSPOSE, base->dt, base->rank, shape, &base, 1);
    memcpy(x->perm, perm, sizeof perm);
    return x;
}

static const sema_weight *concat_view(work *w, const ast_expr *e, const captures *c)
{
    sema *s = w->s;
    const ast_args *args = &e->call.args;
    int64_t axis = 0;
    const ast_expr *list = args->len ? args->data[0].value : NULL;
    if (args->len == 2 && eval_int_const(s, args->data[1].value, &axis).kind == V_ERROR) return NULL;
    if (!list || list->kind != EX_LIST || args->len > 2) {
        sema_error(s, e->at, "arity", "'concat' takes a list of tensors and an axis");
        return NULL;
    }
    const sema_weight **parts = ARENA_ARRAY(s->a, const sema_weight *, list->list.len);
    int64_t shape[SEMA_MAX_RANK];
    for (uint32_t i = 0; i < list->list.len; i++) {
        parts[i] = eval_view(w, list->list.data[i], c);
        if (!parts[i]) return NULL;
        bool ok =
            axis >= 0 && axis < parts[i]->rank && parts[i]->rank == parts[0]->rank && parts[i]->dt == parts[0]->dt;
        for (uint32_t k = 0; ok && k < parts[i]->rank; k++) ok = k == axis || parts[i]->shape[k] == parts[0]->shape[k];
        if (!ok) {
            diag *g = sema_error(s, list->list.data[i]->at, "wrong-type",
                                 "these tensors cannot be joined along axis %lld", (long long)axis);
            diag_line(g, "first", "%s%s", dtype_name(parts[0]->dt), shape_of(s, parts[0]->shape, parts[0]->rank));
            diag_line(g, "this", "%s%s", dtype_name(parts[i]->dt), shape_of(s, parts[i]->shape, parts[i]->rank));
            return NULL;
        }
        if (i == 0) memcpy(shape, parts[0]->shape, sizeof shape);
        else if (__builtin_add_overflow(shape[axis], parts[i]->shape[axis], &shape[axis])) return NULL;
    }
    sema_weight *x = weight_new(s, SW_CONCAT, parts[0]->dt, parts[0]->rank, shape, parts, list->list.len);
    x->axis = (int)axis;
    return x;
}

static const sema_weight *eval_view(work *w, const ast_expr *e, const captures *c)
{
    sema *s = w->s;
    if (e->kind == EX_STRING) {
        const char *name = substitute(s, e->name.name, c);
        const sema_weight *x = weight_file(w, name);
        if (x) return x;
        diag *g = sema_error(s, e->at, "missing-tensor", "the weights file has no tensor '%s'", name);
        const char *near = nearest(w, name);
        if (near) diag_note(g, "nearest in %s: '%s'", w->view->file, near);
        return NULL;
    }
    if (e->kind == EX_INDEX) return slice_view(w, e, c);
    if (e->kind == EX_CALL && e->call.callee->kind == EX_NAME) {
        if (strcmp(e->call.callee->name.name, "transpose") == 0) return transpose_view(w, e, c);
        if (strcmp(e->call.callee->name.name, "concat") == 0) return concat_view(w, e, c);
    }
    diag *g = sema_error(s, e->at, "wrong-type", "a map rule is made of stored tensors, ranges, transpose and concat");
    diag_hint(g, "map \"a.*.weight\" = transpose(\"b.*.w\"[0..768])");
    return NULL;
}

/* ---- from parameters to tensors ---- */

static map_rule *rule_for(work *w, const char *path, captures *c, bool *clash)
{
    map_rule *found = NULL;
    vec_foreach (map_rule, r, &w->maps) {
        captures mine = {0};
        if (!match(r->rule->pattern.name, path, &mine)) continue;
        if (found) {
            diag *g = sema_error(w->s, r->rule->pattern.at, "map-twice", "two rules map '%s'", path);
            diag_note(g, "the other is at %s", sema_where(w->s, found->rule->at));
            *clash = r->used = true;
            return NULL;
        }
        r->used = true;
        found = r;
        *c = mine;
    }
    return found;
}

static bool widens(dtype from, dtype to)
{
    if (from == to) return true;
    return dtype_class_of(from) == dtype_class_of(to) && dtype_class_of(to) != DTC_BOOL &&
           dtype_bits(from) < dtype_bits(to) && !(from == DT_BF16 && to == DT_F16);
}

/* "h.0.mlp.weight" -> "h.*.mlp.weight" */
static const char *generalise(sema *s, const char *path)
{
    strbuf b = strbuf_new(s->a);
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, ".");
        bool number = n > 0 && strspn(p, "0123456789") == n;
        strbuf_add(&b, number ? "*" : p, number ? 1 : n);
        p += n;
        if (*p) strbuf_addc(&b, *p++);
    }
    return b.s;
}

/* The tensor called `name` against what the parameter wants (for a stack: one of its layers). NULL after reporting. */
static const sema_weight *fit(work *w, const sema_param *p, const sema_weight *x, const char *name, bool plain)
{
    sema *s = w->s;
    int64_t want[SEMA_MAX_RANK];
    uint32_t skip = p->stack ? 1 : 0, rank = p->ty.rank - skip;
    bool same = x->rank == rank, reversed = x->rank == rank && rank == 2;
    for (uint32_t i = 0; i < rank; i++) dim_is_const(s->dims, p->ty.shape[i + skip], &want[i]);
    for (uint32_t i = 0; same && i < rank; i++) same = want[i] == x->shape[i];
    for (uint32_t i = 0; reversed && i < rank; i++) reversed = want[i] == x->shape[rank - 1 - i];
    if (!same) {
        diag *g = sema_error(s, param_place(s, p), "wrong-shape", "tensor '%s' has the wrong shape", name);
        diag_expected(g, "%s  %s", shape_of(s, want, rank), p->stack ? "(one of the stack)" : p->shape_text);
        diag_got(g, "%s", shape_of(s, x->shape, x->rank));
        if (reversed && plain) {
            const char *any = generalise(s, p->path);
            diag_hint(g, "stored transposed; add: map \"%s\" = transpose(\"%s\")", any, any);
        } else {
            diag_note(g, "%s", param_story(s, p));
        }
        return NULL;
    }
    if (!widens(x->dt, p->ty.dt)) {
        diag *g = sema_error(s, param_place(s, p), "wrong-dtype", "tensor '%s' has the wrong type", name);
        diag_expected(g, "%s, %s", dtype_name(p->ty.dt), param_story(s, p));
        diag_got(g, "%s", dtype_name(x->dt));
        diag_note(g, "stored numbers are only ever widened");
        return NULL;
    }
    if (x->dt == p->ty.dt) return x;
    return weight_new(s, SW_CAST, p->ty.dt, x->rank, x->shape, &x, 1);
}

static const sema_weight *find_source(work *w, sema_param *p, const char *path)
{
    sema *s = w->s;
    captures c = {0};
    bool clash = false;
    map_rule *r = rule_for(w, path, &c, &clash);
    if (clash) return NULL;
    if (r) {
        const ast_expr *e = r->rule->value;
        if (e->kind == EX_STRING && !p->stack) p->tied = substitute(s, e->name.name, &c);
        if (!w->view) return NULL;
        const sema_weight *x = eval_view(w, e, &c);
        return x ? fit(w, p, x, path, false) : NULL;
    }
    if (!w->view) return NULL;
    const sema_weight *x = weight_file(w, path);
    if (x) return fit(w, p, x, path, true);
    vec_push(s->a, &w->missing, p);
    vec_push(s->a, &w->missing_names, path);
    return NULL;
}

static void bind_param(work *w, sema_param *p)
{
    sema *s = w->s;
    if (!p->stack) {
        p->source = find_source(w, p, p->path);
        return;
    }
    const char *star = strstr(p->path, "{*}");
    const sema_weight **layers = ARENA_ARRAY(s->a, const sema_weight *, p->stack);
    bool all = true;
    for (uint32_t i = 0; i < p->stack && !s->stopped; i++) {
        const char *path = arena_printf(s->a, "%.*s%u%s", (int)(star - p->path), p->path, i, star + 3);
        layers[i] = find_source(w, p, path);
        all &= layers[i] != NULL;
    }
    if (!all) return;
    int64_t shape[SEMA_MAX_RANK];
    for (uint32_t i = 0; i < p->ty.rank; i++) dim_is_const(s->dims, p->ty.shape[i], &shape[i]);
    p->source = weight_new(s, SW_STACK, p->ty.dt, p->ty.rank, shape, layers, p->stack);
}

/* ---- reports ---- */

/* A prefix under which the file has all the missing names; NULL when there is none. */
static const char *common_prefix(work *w)
{
    const char *first = w->missing_names.data[0];
    size_t n = strlen(first);
    for (uint32_t i = 0; i < w->view->count; i++) {
        const char *e = w->view->entries[i].name;
        size_t m = strlen(e);
        if (m <= n + 1 || e[m - n - 1] != '.' || strcmp(e + m - n, first) != 0) continue;
        const char *prefix = arena_strndup(w->s->a, e, m - n);
        bool all = true;
        uint32_t unused;
        for (uint32_t k = 0; all && k < w->missing_names.len; k++)
            all = find_entry(w, arena_printf(w->s->a, "%s%s", prefix, w->missing_names.data[k]), &unused) != NULL;
        if (all) return prefix;
    }
    return NULL;
}

/* A prefix that all the missing names have, and without which the file has them. */
static const char *surplus_prefix(work *w)
{
    const char *first = w->missing_names.data[0];
    uint32_t unused;
    for (const char *dot = strchr(first, '.'); dot; dot = strchr(dot + 1, '.')) {
        size_t n = (size_t)(dot + 1 - first);
        bool all = true;
        for (uint32_t k = 0; all && k < w->missing_names.len; k++) {
            const char *name = w->missing_names.data[k];
            all = strncmp(name, first, n) == 0 && find_entry(w, name + n, &unused) != NULL;
        }
        if (all) return arena_strndup(w->s->a, first, n);
    }
    return NULL;
}

/* Bytes of `name` up to the first segment that no tensor has there. */
static size_t known_prefix(const work *w, const char *name)
{
    size_t best = 0;
    for (uint32_t i = 0; i < w->view->count; i++) {
        const char *e = w->view->entries[i].name;
        size_t k = 0, whole = 0;
        for (; name[k] && name[k] == e[k]; k++)
            if (name[k] == '.') whole = k + 1;
        if (!name[k] && (!e[k] || e[k] == '.')) whole = k;
        if (whole > best) best = whole;
    }
    return best;
}

/* What made the part of the name that the file does not know: the '@' of a call in a file of the user's, or that call.
 */
static span name_place(const work *w, const sema_param *p, const char *name)
{
    size_t known = known_prefix(w, name);
    const sema_instance *wrong = NULL;
    for (const sema_instance *in = p->in; in; in = in->parent)
        if (strlen(in->path) > known) wrong = in;
    if (!wrong) return param_place(w->s, p);
    bool made_here = !sema_in_library(w->s, wrong->call);
    for (; wrong && sema_in_library(w->s, wrong->call); wrong = wrong->parent) made_here = false;
    if (!wrong || !wrong->call.begin) return param_place(w->s, p);
    return made_here && wrong->named.begin ? wrong->named : wrong->call;
}

static void report_missing(work *w)
{
    sema *s = w->s;
    uint32_t count = w->missing.len;
    if (!count) return;
    const char *prefix = common_prefix(w), *surplus = prefix ? NULL : surplus_prefix(w);
    uint32_t shown = prefix || surplus ? 1 : count < MAX_MISSING_SHOWN ? count : MAX_MISSING_SHOWN;
    for (uint32_t i = 0; i < shown; i++) {
        const sema_param *p = w->missing.data[i];
        const char *name = w->missing_names.data[i];
        diag *g = sema_error(s, name_place(w, p, name), "missing-tensor", "the weights file has no tensor '%s'", name);
        diag_expected(g, "%s, %s", sema_type_text(s, &p->ty), param_story(s, p));
        const char *near = nearest(w, name);
        if (near) diag_note(g, "nearest in %s: '%s'", w->view->file, near);
        const char *all = count == 1 ? "this name exists" : arena_printf(s->a, "all %u missing names exist", count);
        if (prefix) {
            int n = (int)strlen(prefix);
            diag_hint(g, "%s under '%s'; wrap the body in scope \"%.*s\"", all, prefix, n - 1, prefix);
        } else if (surplus) {
            diag_hint(g, "%s without '%s'; remove it from the paths", all, surplus);
        } else if (i == 0 && count > 1) {
            diag_note(g, "%u tensors are missing", count);
        }
    }
}

static void report_unused(work *w, const ast_weights *clause)
{
    sema *s = w->s;
    bool *ignored = ARENA_ARRAY(s->a, bool, w->view->count);
    vec_foreach (ast_weight_rule, r, &clause->rules) {
        vec_foreach (ast_name, pat, &r->ignored) {
            bool any = false;
            if (!check_pattern(s, *pat)) continue;
            for (uint32_t i = 0; i < w->view->count; i++) {
                captures c = {0};
                if (!match(pat->name, w->view->entries[i].name, &c)) continue;
                any = ignored[i] = true;
            }
            if (!any) sema_warning(s, pat->at, "unused-rule", "nothing in the weights file matches '%s'", pat->name);
        }
    }
    uint32_t count = 0;
    strbuf names = strbuf_new(s->a), patterns = strbuf_new(s->a);
    ptrmap *shown = ptrmap_new(s->a); /* layers that differ by their numbers are one pattern */
    for (uint32_t i = 0; i < w->view->count; i++) {
        if (w->used[i] || ignored[i]) continue;
        if (count < 3) strbuf_addf(&names, "%s'%s'", count ? ", " : "", w->view->entries[i].name);
        count++;
        const char *any = intern_z(s->names, generalise(s, w->view->entries[i].name));
        if (ptrmap_has(shown, any)) continue;
        if (ptrmap_len(shown) < 4) strbuf_addf(&patterns, "%s\"%s\"", ptrmap_len(shown) ? ", " : "", any);
        ptrmap_set(shown, any, s);
    }
    if (!count) return;
    diag *g = sema_warning(s, clause->present ? clause->file.at : s->model->name.at, "unused-tensor",
                           count == 1 ? "the model does not use %u tensor of the weights file"
                                      : "the model does not use %u tensors of the weights file",
                           count);
    diag_note(g, "%s%s", names.s, count > 3 ? ", ..." : "");
    diag_hint(g, "if that is right, add: ignore %s%s", patterns.s, ptrmap_len(shown) > 4 ? ", ..." : "");
}

void check_weights(sema *s)
{
    const ast_weights *clause = &s->model->code.weights;
    weights_view *view = ARENA_NEW(s->a, weights_view);
    bool failed = false, have = false;
    if (s->failed) return;
    bool needed = clause->present || s->program->params.len > 0;
    if (s->o->open_weights && needed)
        have = s->o->open_weights(s->o->open_arg, s->root->source, clause->present ? clause->file.name : NULL,
                                  clause->present ? clause->file.at : s->model->name.at, view, &failed);
    if (failed) {
        s->failed = true;
        return;
    }
    work w = {.s = s, .view = have ? view : NULL, .by_name = ptrmap_new(s->a)};
    if (have) {
        s->program->weights = view;
        w.used = ARENA_ARRAY(s->a, bool, view->count);
        for (uint32_t i = 0; i < view->count; i++)
            ptrmap_set(w.by_name, intern_z(s->names, view->entries[i].name), (void *)(uintptr_t)(i + 1));
    }
    vec_foreach (ast_weight_rule, r, &clause->rules)
        if (r->is_map && check_pattern(s, r->pattern)) vec_push(s->a, &w.maps, ((map_rule){r, false}));

    frame f = {.file = s->root, .decl = s->model, .path = ""};
    s->frame = &f;
    vec_foreach (sema_param *, p, &s->program->params) bind_param(&w, *p);
    if (have) report_missing(&w);
    vec_foreach (map_rule, r, &w.maps)
        if (!r->used) {
            diag *g = sema_error(s, r->rule->pattern.at, "unused-rule", "this rule maps no parameter");
            name_list paths = {0};
            vec_foreach (sema_param *, p, &s->program->params) vec_push(s->a, &paths, generalise(s, (*p)->path));
            const char *near = paths.len <= 4096 ? suggest(r->rule->pattern.name, paths.data, paths.len) : NULL;
            if (near) diag_hint(g, "did you mean \"%s\"?", near);
        }
    if (have && !s->failed) report_unused(&w, clause);
    s->frame = NULL;
}
