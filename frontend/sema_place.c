/* What the places of rules name: block instances and points of the elaborated program; and what to say of a place that
 * names nothing, or not as much as it should.
 *
 * Places are counted, not instances: a block that is called twice under one path, or by two entries, is one place. */
#include "frontend/place.h"
#include "frontend/sema_internal.h"

#define MAX_WORK (UINT64_C(1) << 27) /* nodes visited for all rules, and what they found: a second at most */
enum { FOUND_WORK = 32, MAX_SHOWN = 4, MAX_REPAIRS = 8, MAX_NAMES = 4096 };

typedef struct {
    const char *name; /* interned */
    sema_function *fn;
    const char *place;
} found_point;

/* What stands at a path. */
typedef struct {
    VEC(sema_instance *) instances;
    VEC(found_point) points;
    bool is_param;
    bool leads; /* an instance or a point stands here or below */
} stand;

struct place_finder {
    sema *s;
    place_tree *tree;
    stand *at;        /* by node id */
    uint64_t *states; /* by node id, of the place at hand */
    uint64_t work;
};

/* What a rule wants of the nodes that its place matches. */
typedef struct {
    const place *p;
    bool points;
    const char *subject; /* NULL: any block */
} wanted;

/* ---- the tree ---- */

place_finder *place_finder_new(sema *s)
{
    const sema_program *program = s->program;
    place_finder *f = ARENA_NEW(s->a, place_finder);
    f->s = s;
    f->tree = place_tree_new(s->a, s->names);
    vec_foreach (sema_instance *, in, &program->instances) place_tree_at(f->tree, intern_z(s->names, (*in)->path));
    vec_foreach (sema_param *, p, &program->params) place_tree_at(f->tree, (*p)->path);
    vec_foreach (sema_function *, fn, &program->functions)
        vec_foreach (sema_point, p, &(*fn)->points)
            place_tree_at(f->tree, intern(s->names, p->place, strcspn(p->place, ":")));

    f->at = ARENA_ARRAY(s->a, stand, f->tree->nodes.len);
    f->states = ARENA_ARRAY(s->a, uint64_t, f->tree->nodes.len);
    vec_foreach (sema_instance *, in, &program->instances) {
        stand *x = &f->at[place_tree_at(f->tree, intern_z(s->names, (*in)->path))->id];
        vec_push(s->a, &x->instances, *in);
        x->leads = true;
    }
    vec_foreach (sema_param *, p, &program->params) f->at[place_tree_at(f->tree, (*p)->path)->id].is_param = true;
    vec_foreach (sema_function *, fn, &program->functions)
        vec_foreach (sema_point, p, &(*fn)->points) {
            size_t n = strcspn(p->place, ":");
            stand *x = &f->at[place_tree_at(f->tree, intern(s->names, p->place, n))->id];
            found_point point = {intern_z(s->names, p->place + n + 1), *fn, p->place};
            vec_push(s->a, &x->points, point);
            x->leads = true;
        }
    for (uint32_t i = f->tree->nodes.len; i-- > 1;)
        if (f->at[i].leads) f->at[f->tree->nodes.data[i]->parent->id].leads = true;
    return f;
}

/* ---- finding ---- */

static bool instance_fits(const wanted *w, const sema_instance *in)
{
    return !w->subject || (in->block && strcmp(in->block, w->subject) == 0);
}

/* The names of a path's points that fit, each once though several entries may have it. */
static uint32_t count_points(const wanted *w, const stand *x)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->points.len; i++) {
        const char *name = x->points.data[i].name;
        bool again = false;
        for (uint32_t k = 0; k < i && !again; k++) again = x->points.data[k].name == name;
        n += !again && place_word_fits(&w->p->point, name);
    }
    return n;
}

static uint32_t count_at(const wanted *w, const stand *x)
{
    if (w->points) return count_points(w, x);
    vec_foreach (sema_instance *, in, &x->instances)
        if (instance_fits(w, *in)) return 1;
    return 0;
}

/* How many places w names; 0 beyond the limit of work. */
static uint32_t count_places(place_finder *f, const wanted *w)
{
    uint32_t n = 0;
    f->work += f->tree->nodes.len;
    if (f->work > MAX_WORK) return 0;
    place_match(f->tree, w->p, f->states);
    for (uint32_t i = 0; i < f->tree->nodes.len; i++)
        if (place_matched(w->p, f->states[i])) n += count_at(w, &f->at[i]);
    return n;
}

static void collect(place_finder *f, const wanted *w, sema_rule *out)
{
    sema *s = f->s;
    for (uint32_t i = 0; i < f->tree->nodes.len && f->work <= MAX_WORK; i++) {
        if (!place_matched(w->p, f->states[i])) continue;
        const stand *x = &f->at[i];
        f->work += FOUND_WORK * (uint64_t)(w->points ? x->points.len : x->instances.len);
        if (!w->points)
            vec_foreach (sema_instance *, in, &x->instances)
                if (instance_fits(w, *in)) vec_push(s->a, &out->instances, *in);
        if (w->points)
            vec_foreach (found_point, p, &x->points) {
                if (!place_word_fits(&w->p->point, p->name)) continue;
                sema_rule_point at = {p->fn, p->place};
                vec_push(s->a, &out->points, at);
            }
    }
}

/* ---- repairing a place that names nothing ---- */

/* What could stand where segment `at` of the place does: segments below the paths that match what is before it. */
static void possible(place_finder *f, uint32_t at, name_list *out)
{
    ptrmap *seen = ptrmap_new(f->s->a);
    vec_foreach (place_node *, n, &f->tree->nodes) {
        if (out->len == MAX_NAMES) return;
        const place_node *up = (*n)->parent;
        if (!up || !(f->states[up->id] >> at & 1) || !f->at[(*n)->id].leads || ptrmap_has(seen, (*n)->segment))
            continue;
        ptrmap_set(seen, (*n)->segment, f);
        vec_push(f->s->a, out, (*n)->segment);
    }
}

static void possible_points(place_finder *f, const wanted *w, name_list *out)
{
    ptrmap *seen = ptrmap_new(f->s->a);
    for (uint32_t i = 0; i < f->tree->nodes.len; i++) {
        if (!place_matched(w->p, f->states[i])) continue;
        vec_foreach (found_point, p, &f->at[i].points) {
            if (ptrmap_has(seen, p->name)) continue;
            ptrmap_set(seen, p->name, f);
            vec_push(f->s->a, out, p->name);
        }
    }
}

/* The text with the words of one segment that are not possible replaced by near ones; NULL where none is near. */
static const char *replace_words(place_finder *f, const char *text, const place_segment *seg, const name_list *names)
{
    if (seg->kind != PLACE_WORDS) return NULL;
    sema *s = f->s;
    strbuf b = strbuf_new(s->a);
    strbuf_add(&b, text, seg->begin);
    bool group = text[seg->begin] == '(';
    if (group) strbuf_addc(&b, '(');
    for (uint32_t i = 0; i < seg->n; i++) {
        const char *word = seg->words[i], *with = NULL;
        bool number = word[strspn(word, "0123456789")] == 0; /* another layer is no misspelling */
        for (uint32_t k = 0; k < names->len && !with; k++)
            if (names->data[k] == word) with = word;
        if (!with && !number) with = suggest(word, names->data, names->len);
        if (!with) return NULL;
        strbuf_addf(&b, "%s%s", i ? "|" : "", with);
    }
    if (group) strbuf_addc(&b, ')');
    strbuf_adds(&b, text + seg->end);
    return b.s;
}

/* The place below the path under which the program has it: "encoder.*" -> "vit.encoder.*". */
static const char *with_prefix(place_finder *f, const place *p)
{
    sema *s = f->s;
    place inner;
    place_mistake ignored;
    const char *deep = arena_printf(s->a, "**.%s", p->text);
    if (!p->n || p->segments[0].kind == PLACE_ANY || !place_parse(s->a, s->names, deep, &inner, &ignored)) return NULL;
    for (uint32_t i = 1; i < p->n; i++)
        if (p->segments[i].kind == PLACE_ANY) return NULL; /* how long the prefix is cannot be told */
    place_match(f->tree, &inner, f->states);
    vec_foreach (place_node *, n, &f->tree->nodes)
        if (place_matched(&inner, f->states[(*n)->id]) && (*n)->depth > p->n)
            return arena_printf(s->a, "%s.%s", place_path_general(f->tree, *n, (*n)->depth - p->n), p->text);
    return NULL;
}

/* The text of a place that names something, with words of its alternatives that are not possible replaced as well. */
static const char *repair_words(place_finder *f, const place *p)
{
    sema *s = f->s;
    place now = *p;
    for (uint32_t i = 0; i < now.n; i++) {
        if (now.segments[i].n < 2) continue;
        name_list names = {0};
        possible(f, i, &names);
        const char *text = replace_words(f, now.text, &now.segments[i], &names);
        place_mistake ignored;
        if (text && !place_parse(s->a, s->names, text, &now, &ignored)) return p->text;
    }
    return now.text;
}

/* A place near w's that names something; NULL when none is found. Leaves f->states undefined. */
static const char *repair(place_finder *f, const wanted *w)
{
    sema *s = f->s;
    place now = *w->p;
    wanted try = {.p = &now, .points = w->points, .subject = w->subject};
    for (int i = 0; i < MAX_REPAIRS; i++) {
        if (count_places(f, &try)) return repair_words(f, &now);
        if (f->work > MAX_WORK) return NULL;
        uint32_t reached = place_reached(f->tree, &now, f->states);
        const char *text;
        name_list names = {0};
        if (reached < now.n) {
            possible(f, reached, &names);
            text = replace_words(f, now.text, &now.segments[reached], &names);
            if (!text && reached == 0) text = with_prefix(f, &now);
        } else if (w->points) {
            possible_points(f, &try, &names);
            text = replace_words(f, now.text, &now.point, &names);
        } else {
            text = now.n && now.segments[now.n - 1].kind != PLACE_ANY ? arena_printf(s->a, "%s.**", now.text) : NULL;
        }
        place_mistake ignored;
        if (!text || !place_parse(s->a, s->names, text, &now, &ignored)) return NULL;
    }
    return NULL;
}

/* ---- what to say ---- */

static const char *quoted_list(sema *s, const name_list *names)
{
    strbuf b = strbuf_new(s->a);
    for (uint32_t i = 0; i < names->len && i < MAX_SHOWN; i++) strbuf_addf(&b, "%s'%s'", i ? ", " : "", names->data[i]);
    if (names->len > MAX_SHOWN) strbuf_addf(&b, ", ... (%u)", names->len);
    return b.s;
}

/* The pattern's text up to segment n. */
static const char *prefix_text(sema *s, const place *p, uint32_t n)
{
    return n ? arena_strndup(s->a, p->text, p->segments[n - 1].end) : "";
}

/* The blocks whose instances stand at the paths that matched. */
static void blocks_there(place_finder *f, const place *p, name_list *out)
{
    ptrmap *seen = ptrmap_new(f->s->a);
    for (uint32_t i = 0; i < f->tree->nodes.len; i++) {
        if (!place_matched(p, f->states[i])) continue;
        vec_foreach (sema_instance *, in, &f->at[i].instances) {
            if (!(*in)->block || ptrmap_has(seen, (*in)->block)) continue;
            ptrmap_set(seen, (*in)->block, f);
            vec_push(f->s->a, out, (*in)->block);
        }
    }
}

static bool names_param(const place_finder *f, const place *p)
{
    for (uint32_t i = 0; i < f->tree->nodes.len; i++)
        if (f->at[i].is_param && place_matched(p, f->states[i])) return true;
    return false;
}

/* Why w names nothing. */
static void explain(place_finder *f, const wanted *w, diag *g)
{
    sema *s = f->s;
    const place *p = w->p;
    uint32_t reached = place_reached(f->tree, p, f->states);
    const char *matches = prefix_text(s, p, reached);
    name_list names = {0};
    if (reached < p->n) {
        const place_segment *seg = &p->segments[reached];
        const char *word = arena_strndup(s->a, p->text + seg->begin, seg->end - seg->begin);
        if (reached) diag_note(g, "\"%s\" matches; \"%s\" does not", matches, word);
        else diag_note(g, "no path begins with \"%s\"", word);
        possible(f, reached, &names);
        if (names.len && !replace_words(f, p->text, seg, &names)) diag_note(g, "there: %s", quoted_list(s, &names));
    } else if (w->points) {
        possible_points(f, w, &names);
        const char *path = *matches ? arena_printf(s->a, "\"%s\" matches, and", matches) : "the model's own body";
        if (names.len) diag_note(g, "%s has the points %s", path, quoted_list(s, &names));
        else diag_note(g, "%s has no points", path);
    } else if (names_param(f, p)) {
        diag_note(g, "this is a parameter; a place names the block that it belongs to");
        if (p->n > 1) diag_hint(g, "write \"%s\"", prefix_text(s, p, p->n - 1));
    } else {
        blocks_there(f, p, &names);
        if (names.len) diag_note(g, "\"%s\" matches calls of %s", matches, quoted_list(s, &names));
        else diag_note(g, "\"%s\" only leads to calls of blocks", matches);
    }
}

/* The places that w names. */
static void list_places(place_finder *f, const wanted *w, diag *g)
{
    sema *s = f->s;
    name_list names = {0};
    for (uint32_t i = 0; i < f->tree->nodes.len && names.len <= MAX_SHOWN; i++) {
        const stand *x = &f->at[i];
        if (!place_matched(w->p, f->states[i]) || !count_at(w, x)) continue;
        if (!w->points) vec_push(s->a, &names, place_path(f->tree, f->tree->nodes.data[i]));
        for (uint32_t k = 0; w->points && k < x->points.len; k++)
            if (place_word_fits(&w->p->point, x->points.data[k].name)) vec_push(s->a, &names, x->points.data[k].place);
    }
    strbuf b = strbuf_new(s->a);
    for (uint32_t i = 0; i < names.len && i < MAX_SHOWN; i++) strbuf_addf(&b, "%s\"%s\"", i ? ", " : "", names.data[i]);
    diag_note(g, "at %s%s", b.s, names.len > MAX_SHOWN ? ", ..." : "");
}

/* A word of an alternative that alone names nothing. */
static void blame_words(place_finder *f, const wanted *w, diag *g)
{
    for (uint32_t i = 0; i < w->p->n + w->p->has_point; i++) {
        bool is_point = i == w->p->n;
        const place_segment *seg = is_point ? &w->p->point : &w->p->segments[i];
        for (uint32_t k = 0; seg->n > 1 && k < seg->n; k++) {
            place alone = *w->p;
            place_segment *one = is_point ? &alone.point : &alone.segments[i];
            one->words = &seg->words[k];
            one->n = 1;
            if (count_places(f, &(wanted){&alone, w->points, w->subject})) continue;
            if (f->work > MAX_WORK) return;
            diag_note(g, "\"%s\" names nothing", seg->words[k]);
            name_list names = {0};
            if (is_point) possible_points(f, w, &names);
            else possible(f, i, &names);
            const char *near = suggest(seg->words[k], names.data, names.len);
            if (near) diag_hint(g, "did you mean '%s'?", near);
            return;
        }
    }
}

static const char *noun(sema *s, const wanted *w, uint64_t n)
{
    if (w->points) return n == 1 ? "point" : "points";
    const char *blocks = n == 1 ? "block" : "blocks";
    return w->subject ? arena_printf(s->a, "'%s' %s", w->subject, blocks) : blocks;
}

bool find_place(place_finder *f, const ast_rule *r, sema_rule *out)
{
    sema *s = f->s;
    place p;
    place_mistake ignored;
    if (!place_parse(s->a, s->names, r->place.name, &p, &ignored)) return false;
    wanted w = {&p, out->relation != POLICY_IN, out->subject};
    uint32_t n = count_places(f, &w);
    bool as_expected = !r->has_expect || r->expect == n;
    if (n && as_expected) collect(f, &w, out);
    if (f->work > MAX_WORK) {
        diag *g = sema_error(s, r->place.at, "limit", "the rules of this file name too much");
        diag_note(g, "the limit is %llu paths looked at", (unsigned long long)MAX_WORK);
        s->stopped = true;
        return false;
    }
    if (n && as_expected) return true;
    const char *expected = r->has_expect ? arena_printf(s->a, ", %lld expected", (long long)r->expect) : "";
    diag *g = sema_error(s, r->place.at, "place", "place matched %u %s%s", n, noun(s, &w, n), expected);
    if (n) {
        list_places(f, &w, g);
        blame_words(f, &w, g);
        return false;
    }
    explain(f, &w, g);
    const char *better = repair(f, &w);
    if (better) diag_hint(g, "did you mean \"%s\"?", better);
    return false;
}
