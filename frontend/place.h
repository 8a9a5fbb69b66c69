/* Places of policies: patterns over the scope paths of a program, with a point's name behind a colon.
 *
 *   vit.encoder.layer.*.(intermediate|output).dense        encoder.**        vit.encoder.layer.*:attended
 *
 * `*` is one segment of a path, `**` any number, `(a|b)` one of several. A pattern is matched with a whole tree of
 * paths at once: each node holds the set of positions in the pattern that its path can have reached, made of its
 * parent's. The cost is nodes times segments, whatever the pattern. */
#ifndef FRONTEND_PLACE_H
#define FRONTEND_PLACE_H

#include "support/intern.h"
#include "support/vec.h"

#include <stdbool.h>

/* ---- the tree of a program's paths ---- */

typedef struct place_node {
    uint32_t id; /* above its parent's */
    struct place_node *parent;
    const char *segment; /* interned; "" for the root, whose path is "" */
    uint32_t depth;      /* segments of its path */
    ptrmap *children;    /* segment -> node; NULL: none */
} place_node;

typedef struct {
    arena *a;
    interner *names;
    VEC(place_node *) nodes; /* by id; the root first */
    ptrmap *by_path;         /* interned path -> node, of the paths asked for */
} place_tree;

place_tree *place_tree_new(arena *a, interner *names);
place_node *place_tree_at(place_tree *t, const char *path); /* made when it is not there; path is interned */
const char *place_path(const place_tree *t, const place_node *n);
/* The first `depth` segments of n's path, numbers as `*`. */
const char *place_path_general(const place_tree *t, const place_node *n, uint32_t depth);

/* ---- patterns ---- */

enum { PLACE_MAX_SEGMENTS = 60, PLACE_MAX_WORDS = 64 };

typedef enum { PLACE_WORDS, PLACE_ONE, PLACE_ANY } place_kind;
typedef struct {
    place_kind kind;
    uint32_t begin, end; /* in the text */
    uint32_t n;
    const char **words; /* interned */
} place_segment;

typedef struct {
    const char *text;
    uint32_t n;
    place_segment segments[PLACE_MAX_SEGMENTS];
    bool has_point;
    place_segment point;
} place;

typedef struct {
    size_t begin, end;          /* in the text */
    const char *message, *hint; /* hint NULL: none */
} place_mistake;

/* False with *wrong filled. The text stays referred to. */
bool place_parse(arena *a, interner *names, const char *text, place *out, place_mistake *wrong);
/* Sets states[id] for every node: bit i when the first i segments can be its path. */
void place_match(const place_tree *t, const place *p, uint64_t *states);
/* n's path is the whole pattern (the point's name apart). */
bool place_matched(const place *p, uint64_t state);
bool place_word_fits(const place_segment *s, const char *word); /* `word` is interned */
/* The most segments from the pattern's beginning that some path has. */
uint32_t place_reached(const place_tree *t, const place *p, const uint64_t *states);

#endif
