/* See place.h. */
#include "frontend/place.h"

#include "support/strbuf.h"

#include <string.h>

/* ---- the tree ---- */

static place_node *node_new(place_tree *t, place_node *parent, const char *segment)
{
    place_node *n = ARENA_NEW(t->a, place_node);
    n->id = t->nodes.len;
    n->parent = parent;
    n->segment = segment;
    n->depth = parent ? parent->depth + 1 : 0;
    vec_push(t->a, &t->nodes, n);
    return n;
}

place_tree *place_tree_new(arena *a, interner *names)
{
    place_tree *t = ARENA_NEW(a, place_tree);
    t->a = a;
    t->names = names;
    t->by_path = ptrmap_new(a);
    node_new(t, NULL, intern(names, "", 0));
    return t;
}

place_node *place_tree_at(place_tree *t, const char *path)
{
    place_node *n = ptrmap_get(t->by_path, path);
    if (n) return n;
    n = t->nodes.data[0];
    for (const char *s = path; *s; s += *s == '.') {
        size_t len = strcspn(s, ".");
        const char *segment = intern(t->names, s, len);
        if (!n->children) n->children = ptrmap_new(t->a);
        place_node *child = ptrmap_get(n->children, segment);
        if (!child) {
            child = node_new(t, n, segment);
            ptrmap_set(n->children, segment, child);
        }
        n = child;
        s += len;
    }
    ptrmap_set(t->by_path, path, n);
    return n;
}

static const char *path_of(const place_tree *t, const place_node *n, uint32_t depth, bool general)
{
    const place_node **way = ARENA_ARRAY(t->a, const place_node *, n->depth);
    for (const place_node *x = n; x->parent; x = x->parent) way[x->depth - 1] = x;
    strbuf b = strbuf_new(t->a);
    for (uint32_t i = 0; i < depth && i < n->depth; i++) {
        const char *s = way[i]->segment;
        bool number = *s && s[strspn(s, "0123456789")] == 0;
        if (i) strbuf_addc(&b, '.');
        strbuf_adds(&b, general && number ? "*" : s);
    }
    return b.s;
}

const char *place_path(const place_tree *t, const place_node *n)
{
    return path_of(t, n, n->depth, false);
}

const char *place_path_general(const place_tree *t, const place_node *n, uint32_t depth)
{
    return path_of(t, n, depth, true);
}

/* ---- reading a pattern ---- */

typedef struct {
    arena *a;
    interner *names;
    const char *text;
    place_mistake *wrong;
} reader;

static bool mistake(reader *r, size_t begin, size_t end, const char *message, const char *hint)
{
    *r->wrong = (place_mistake){begin, end > begin ? end : begin + 1, message, hint};
    return false;
}

/* "(a|b|c)" or one name. */
static bool read_words(reader *r, place_segment *s)
{
    const char *t = r->text;
    bool group = t[s->begin] == '(';
    size_t at = s->begin + (group ? 1 : 0), stop = s->end - (group ? 1 : 0);
    if (group && (s->end - s->begin < 2 || t[s->end - 1] != ')'))
        return mistake(r, s->begin, s->end, "this parenthesis is not closed within its segment",
                       "write (a|b) for one whole segment");
    uint32_t count = 1;
    for (size_t i = at; i < stop; i++) count += t[i] == '|';
    if (count > PLACE_MAX_WORDS) return mistake(r, s->begin, s->end, "too many names in one segment", NULL);
    s->kind = PLACE_WORDS;
    s->words = ARENA_ARRAY(r->a, const char *, count);
    for (size_t i = at;; i++) {
        if (i < stop && t[i] != '|') {
            if (!strchr("*()", t[i])) continue;
            return mistake(r, i, i + 1, arena_printf(r->a, "'%c' cannot stand inside a segment of a place", t[i]),
                           "'*' and (a|b) stand for whole segments");
        }
        if (i == at) return mistake(r, s->begin, s->end, "a name is missing here", NULL);
        if (i < stop && !group)
            return mistake(r, i, i + 1, "'|' stands between parentheses", "write (a|b) for one whole segment");
        s->words[s->n++] = intern(r->names, t + at, i - at);
        at = i + 1;
        if (i >= stop) return true;
    }
}

static bool read_segment(reader *r, size_t begin, size_t end, place_segment *out)
{
    *out = (place_segment){.begin = (uint32_t)begin, .end = (uint32_t)end};
    const char *s = r->text + begin;
    if (end == begin) return mistake(r, begin, end, "a segment of this place is empty", NULL);
    if (end - begin == 1 && *s == '*') out->kind = PLACE_ONE;
    else if (end - begin == 2 && !memcmp(s, "**", 2)) out->kind = PLACE_ANY;
    else return read_words(r, out);
    return true;
}

bool place_parse(arena *a, interner *names, const char *text, place *out, place_mistake *wrong)
{
    reader r = {a, names, text, wrong};
    memset(out, 0, sizeof *out);
    out->text = text;
    if (!*text) return mistake(&r, 0, 0, "this place is empty", "\"**\" is the whole model");
    const char *colon = strchr(text, ':');
    size_t size = strlen(text), paths = colon ? (size_t)(colon - text) : size;
    for (size_t at = 0; paths > 0;) {
        size_t end = at + strcspn(text + at, ".:");
        if (out->n == PLACE_MAX_SEGMENTS) return mistake(&r, at, paths, "this place has too many segments", NULL);
        if (!read_segment(&r, at, end, &out->segments[out->n++])) return false;
        if (end == paths) break;
        at = end + 1;
    }
    out->has_point = colon != NULL;
    if (!colon) return true;
    size_t end = strcspn(colon + 1, ".:") + paths + 1;
    if (end < size) return mistake(&r, end, end + 1, "a place ends with the name of its point", NULL);
    if (!read_segment(&r, paths + 1, end, &out->point)) return false;
    if (out->point.kind != PLACE_ANY) return true;
    return mistake(&r, paths + 1, end, "'**' does not stand for names of points", "'*' is any point");
}

/* ---- matching ---- */

bool place_word_fits(const place_segment *s, const char *word)
{
    if (s->kind != PLACE_WORDS) return true;
    for (uint32_t i = 0; i < s->n; i++)
        if (s->words[i] == word) return true;
    return false;
}

/* `**` may also stand for nothing. */
static uint64_t skip_any(const place *p, uint64_t state)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (state >> i & 1 && p->segments[i].kind == PLACE_ANY) state |= UINT64_C(1) << (i + 1);
    return state;
}

static uint64_t step(const place *p, uint64_t state, const char *segment)
{
    uint64_t next = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        if (!(state >> i & 1)) continue;
        if (p->segments[i].kind == PLACE_ANY) next |= UINT64_C(1) << i;
        else if (place_word_fits(&p->segments[i], segment)) next |= UINT64_C(1) << (i + 1);
    }
    return skip_any(p, next);
}

void place_match(const place_tree *t, const place *p, uint64_t *states)
{
    states[0] = skip_any(p, 1);
    for (uint32_t i = 1; i < t->nodes.len; i++) {
        const place_node *n = t->nodes.data[i];
        uint64_t above = states[n->parent->id];
        states[i] = above ? step(p, above, n->segment) : 0;
    }
}

bool place_matched(const place *p, uint64_t state)
{
    return state >> p->n & 1;
}

uint32_t place_reached(const place_tree *t, const place *p, const uint64_t *states)
{
    uint64_t all = 0;
    for (uint32_t i = 0; i < t->nodes.len; i++) all |= states[i];
    uint32_t most = p->n;
    while (most > 0 && !(all >> most & 1)) most--;
    return most;
}
