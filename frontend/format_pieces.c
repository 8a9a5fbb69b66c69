/* See format_pieces.h. Statements have no terminators, so where one begins is read off its first two tokens: no
 * expression goes on with a name. */
#include "frontend/format_pieces.h"

#include <assert.h>

#include "frontend/parser.h"

/* Tokens that the scanner does not tell apart, and comments. */
enum { PIECE_NEGATE = TOK_FLOAT + 1, PIECE_ALL, PIECE_NAMES /* a comma of "let a, b" */, PIECE_COMMENT, PIECE_KINDS };

/* ---- the table ---- */

enum { SPACE, GLUE, CALL /* as after a name: f(x), x[i] */ };
enum { BEFORE = 1, AFTER = 2, OPERAND = 4, DECL = 8, STMT = 16 };

/* One row per token that is not simply set off by a blank on each side.
 *
 * left, right  what stands between it and its neighbours
 * flags        BEFORE, AFTER: where the user ended a line there, it stays ended
 *              OPERAND: an expression may end with it
 *              DECL, STMT: begins a declaration, a statement
 * rank         binds this tightly where a long line is broken: before it, or after a comma; 0: not there */
static const struct {
    uint8_t left, right, flags, rank;
} rows[PIECE_KINDS] = {
    [TOK_COMMA] = {GLUE, SPACE, AFTER, 1},
    [TOK_ARROW] = {SPACE, SPACE, BEFORE, 2},
    [TOK_BAR] = {SPACE, SPACE, BEFORE | AFTER, 2},
    [TOK_CARRY] = {SPACE, SPACE, BEFORE | AFTER, 2},
    [TOK_EXPECT] = {SPACE, SPACE, BEFORE, 2},
    [TOK_OR] = {SPACE, SPACE, BEFORE | AFTER, 3},
    [TOK_AND] = {SPACE, SPACE, BEFORE | AFTER, 4},
    [TOK_EQ] = {SPACE, SPACE, BEFORE | AFTER, 5},
    [TOK_NE] = {SPACE, SPACE, BEFORE | AFTER, 5},
    [TOK_LE] = {SPACE, SPACE, BEFORE | AFTER, 5},
    [TOK_GE] = {SPACE, SPACE, BEFORE | AFTER, 5},
    [TOK_LT] = {SPACE, SPACE, BEFORE | AFTER, 5},
    [TOK_GT] = {SPACE, SPACE, BEFORE | AFTER, 5},
    [TOK_PLUS] = {SPACE, SPACE, BEFORE | AFTER, 6},
    [TOK_MINUS] = {SPACE, SPACE, BEFORE | AFTER, 6},
    [TOK_STAR] = {SPACE, SPACE, BEFORE | AFTER, 7},
    [TOK_SLASH] = {SPACE, SPACE, BEFORE | AFTER, 7},
    [TOK_PERCENT] = {SPACE, SPACE, BEFORE | AFTER, 7},
    [TOK_AT] = {SPACE, SPACE, BEFORE, 8},
    [TOK_ASSIGN] = {SPACE, SPACE, AFTER, 0},

    [TOK_LPAREN] = {CALL, GLUE, AFTER, 0},
    [TOK_LBRACKET] = {CALL, GLUE, AFTER, 0},
    [TOK_RPAREN] = {GLUE, SPACE, OPERAND, 0},
    [TOK_RBRACKET] = {GLUE, SPACE, OPERAND, 0},
    [TOK_COLON] = {GLUE, SPACE, 0, 0},
    [TOK_DOT] = {GLUE, GLUE, 0, 0},
    [TOK_RANGE] = {GLUE, GLUE, 0, 0},
    [PIECE_NEGATE] = {SPACE, GLUE, 0, 0},
    [PIECE_NAMES] = {GLUE, SPACE, 0, 0},

    [TOK_ID] = {SPACE, SPACE, OPERAND, 0},
    [TOK_STRING] = {SPACE, SPACE, OPERAND, 0},
    [TOK_INT] = {SPACE, SPACE, OPERAND, 0},
    [TOK_FLOAT] = {SPACE, SPACE, OPERAND, 0},
    [TOK_TRUE] = {SPACE, SPACE, OPERAND, 0},
    [TOK_FALSE] = {SPACE, SPACE, OPERAND, 0},

    [TOK_WHERE] = {SPACE, SPACE, AFTER, 0},
    [TOK_VALID] = {SPACE, SPACE, 0, 0},
    [TOK_BY] = {SPACE, SPACE, 0, 0},
    [TOK_IGNORE] = {SPACE, SPACE, AFTER, 0},
    [TOK_IMPORT] = {SPACE, SPACE, DECL, 0},
    [TOK_MODEL] = {SPACE, SPACE, DECL, 0},
    [TOK_OPTIMIZE] = {SPACE, SPACE, DECL, 0},
    [TOK_BLOCK] = {SPACE, SPACE, DECL | STMT, 0},
    [TOK_CONST] = {SPACE, SPACE, DECL | STMT, 0},
    [TOK_ENTRY] = {SPACE, SPACE, STMT, 0},
    [TOK_LET] = {SPACE, SPACE, STMT, 0},
    [TOK_POINT] = {SPACE, SPACE, STMT, 0},
    [TOK_PARAM] = {SPACE, SPACE, STMT, 0},
    [TOK_STATE] = {SPACE, SPACE, STMT, 0},
    [TOK_FOR] = {SPACE, SPACE, STMT, 0},
    [TOK_SCOPE] = {SPACE, SPACE, STMT, 0},
    [TOK_IF] = {SPACE, SPACE, STMT, 0},
    [TOK_REQUIRE] = {SPACE, SPACE, STMT | AFTER, 0},
    [TOK_RETURN] = {SPACE, SPACE, STMT | AFTER, 0},
    [TOK_YIELD] = {SPACE, SPACE, STMT | AFTER, 0},
};

static bool has(const piece *p, int flags)
{
    return (rows[p->kind].flags & flags) != 0;
}

/* The arguments of a policy's rule stand apart from the place before them. */
static bool rule_arguments(const piece *a, const piece *b)
{
    return a->kind == TOK_STRING && b->kind == TOK_LPAREN;
}

piece_gap piece_spacing(const piece *a, const piece *b)
{
    if (rows[a->kind].right == GLUE || rows[b->kind].left == GLUE) return GAP_NONE;
    if (rows[b->kind].left == CALL && has(a, OPERAND) && !rule_arguments(a, b)) return GAP_NONE;
    return GAP_SPACE;
}

bool piece_may_break(const piece *a, const piece *b)
{
    if (rows[b->kind].left == GLUE) return false;
    return has(a, AFTER) || has(b, BEFORE) || rule_arguments(a, b);
}

int piece_split_rank(const piece *a, const piece *b)
{
    if (a->kind == TOK_COMMA) return rows[TOK_COMMA].rank;
    if (rule_arguments(a, b)) return rows[TOK_COMMA].rank;
    return b->kind == TOK_COMMA ? 0 : rows[b->kind].rank;
}

bool piece_opens(const piece *p)
{
    return p->kind == TOK_LPAREN || p->kind == TOK_LBRACKET;
}

bool piece_closes(const piece *p)
{
    return p->kind == TOK_RPAREN || p->kind == TOK_RBRACKET;
}

bool piece_is_comment(const piece *p)
{
    return p->kind == PIECE_COMMENT;
}

bool piece_is_doc(const piece *p)
{
    return p->kind == PIECE_COMMENT && p->length >= 3 && p->text[2] == '/' && !(p->length > 3 && p->text[3] == '/');
}

/* ---- reading ---- */

typedef struct {
    format_pieces *p;
    const piece *before; /* the last token; NULL: none */
    VEC(uint32_t) open;  /* brackets and braces */
    uint32_t unit;       /* the innermost that is not at its end */
    bool names;          /* between "let" and "=" */
} reader;

static const piece *innermost(const reader *r)
{
    return r->open.len ? &r->p->pieces.data[vec_last(&r->open)] : NULL;
}

/* Whether a declaration, statement or rule begins with `p`. */
static bool begins(const reader *r, const piece *p)
{
    const piece *b = r->before, *in = innermost(r);
    if (!in) return has(p, DECL);
    if (in->kind != TOK_LBRACE) return false;
    if (p->kind != TOK_ID) return has(p, STMT) && !(p->kind == TOK_IF && b->kind == TOK_ELSE);
    if (b->kind == TOK_LBRACE || b->kind == TOK_RBRACE) return true;
    bool rules = r->p->pieces.data[r->p->units.data[in->unit].first].kind == TOK_OPTIMIZE;
    return rules ? b->kind == TOK_STRING || b->kind == TOK_RPAREN || b->kind == TOK_INT : has(b, OPERAND);
}

static int kind_of(const reader *r, int kind)
{
    const piece *b = r->before;
    if (kind == PARSE_COMMENT) return PIECE_COMMENT;
    if (kind == TOK_MINUS && !(b && has(b, OPERAND))) return PIECE_NEGATE;
    /* a default, not a clause */
    if (kind == TOK_VALID && (b->kind == TOK_ASSIGN || (innermost(r) && piece_opens(innermost(r))))) return TOK_ID;
    if (kind == TOK_COMMA && r->names) return PIECE_NAMES;
    if (kind == TOK_COLON && (b->kind == TOK_LBRACKET || b->kind == TOK_COMMA)) return PIECE_ALL;
    return kind;
}

static void read_brackets(reader *r, uint32_t i)
{
    format_pieces *p = r->p;
    piece *x = &p->pieces.data[i];
    if (x->kind == TOK_COMMA) {
        const piece *in = innermost(r);
        x->match = in && piece_opens(in) ? vec_last(&r->open) : 0;
    } else if (piece_opens(x) || x->kind == TOK_LBRACE) {
        vec_push(p->a, &r->open, i);
    } else if (piece_closes(x) || x->kind == TOK_RBRACE) {
        uint32_t open = vec_pop(&r->open);
        x->match = open;
        p->pieces.data[open].match = i;
        if (x->kind != TOK_RBRACE) return;
        x->unit = r->unit = p->pieces.data[open].unit;
        p->units.data[r->unit].last = i;
    }
}

static uint32_t count_newlines(const char *from, const char *to)
{
    uint32_t n = 0;
    for (; from < to && n < 2; from++) n += *from == '\n';
    return n;
}

static uint32_t without_blanks_at_end(const char *s, uint32_t n)
{
    while (n && (unsigned char)s[n - 1] <= ' ') n--;
    return n;
}

void pieces_read(format_pieces *p, arena *a, const source_file *file, const parse_pieces *from)
{
    *p = (format_pieces){.a = a, .file = file};
    reader r = {.p = p};
    const char *end = file->text;
    vec_reserve(a, &p->pieces, from->len); /* pointers into it stay good */
    vec_foreach (parse_piece, f, from) {
        piece x = {.kind = kind_of(&r, f->kind), .text = file->text + (f->at.begin - file->base)};
        x.newlines = count_newlines(end, x.text);
        end = file->text + (f->at.end - file->base);
        x.length = (uint32_t)(end - x.text);
        if (x.kind == PIECE_COMMENT) x.length = without_blanks_at_end(x.text, x.length);
        else x.begins = begins(&r, &x);
        uint32_t i = p->pieces.len;
        if (x.begins) {
            r.unit = p->units.len;
            vec_push(a, &p->units, ((unit){.first = i, .last = i}));
        }
        x.unit = r.unit;
        if (x.kind == TOK_LET || x.kind == TOK_ASSIGN) r.names = x.kind == TOK_LET;
        if (x.kind == TOK_WEIGHTS) p->units.data[r.unit].has_weights = true;
        vec_push(a, &p->pieces, x);
        read_brackets(&r, i);
        if (x.kind != PIECE_COMMENT) r.before = &p->pieces.data[i];
    }
    assert(r.open.len == 0 && vec_last(&p->pieces).kind == TOK_END);
}

void pieces_print(const format_pieces *p, span of, strbuf *out)
{
    const char *begin = p->file->text + (of.begin - p->file->base), *end = p->file->text + (of.end - p->file->base);
    const piece *last = NULL;
    uint32_t lo = 0, hi = p->pieces.len;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (p->pieces.data[mid].text < begin) lo = mid + 1;
        else hi = mid;
    }
    for (uint32_t i = lo; i < p->pieces.len && p->pieces.data[i].text < end; i++) {
        const piece *b = &p->pieces.data[i];
        if (b->kind == PIECE_COMMENT) continue;
        if (last && piece_spacing(last, b) == GAP_SPACE) strbuf_addc(out, ' ');
        strbuf_add(out, b->text, b->length);
        last = b;
    }
}
