/* The formatter's view of a file: its tokens and comments in order, and which of them belong together. */
#ifndef FRONTEND_FORMAT_PIECES_H
#define FRONTEND_FORMAT_PIECES_H

#include "frontend/parse.h"

/* What stands before a piece in the formatted text. */
typedef enum { GAP_NONE, GAP_SPACE, GAP_TRAIL /* a comment behind code */, GAP_LINE, GAP_BLANK /* line */ } piece_gap;

typedef struct {
    int kind; /* a TOK_, or a PIECE_ below */
    const char *text;
    uint32_t length;
    uint32_t newlines; /* before it in the source: 0, 1 or 2 */
    piece_gap gap;
    uint32_t match; /* of a bracket: the other one; of a comma: the bracket that it is in, 0: none */
    uint32_t unit;  /* the statement, declaration or rule it belongs to */
    bool begins;    /* the first of its unit */
} piece;

/* A declaration, a statement or a rule of a policy. One with bodies in braces is written either on one line or with
 * each body on lines of its own. */
typedef struct {
    uint32_t first, last; /* pieces; last: the end of its last body, or `first` without any */
    bool has_weights;
} unit;

typedef struct {
    arena *a;
    const source_file *file;
    VEC(piece) pieces; /* the last one is TOK_END */
    VEC(unit) units;
} format_pieces;

/* The pieces of a file that parsed. */
void pieces_read(format_pieces *p, arena *a, const source_file *file, const parse_pieces *from);
/* The tokens of a span on one line, without comments. */
void pieces_print(const format_pieces *p, span of, strbuf *out);
bool piece_is_comment(const piece *p);
bool piece_is_doc(const piece *p); /* "///" */

/* ---- the table of format_pieces.c ---- */

/* GAP_NONE or GAP_SPACE: what stands between two tokens on a line. */
piece_gap piece_spacing(const piece *a, const piece *b);
/* A line may end between the two where the user ended one. */
bool piece_may_break(const piece *a, const piece *b);
/* A line that is too long may be broken between the two: how loosely they are bound, 1 the loosest; 0: not at all. */
int piece_split_rank(const piece *a, const piece *b);
bool piece_opens(const piece *p);  /* ( or [ */
bool piece_closes(const piece *p); /* ) or ] */

#endif
