/* See format.h. Three steps over the pieces of a file:
 *
 *   1. choose_gaps  what stands before each piece: the user's line breaks where they make sense, those that every
 *                   program has (a statement begins a line), blanks by the table of format_pieces.c
 *   2. open_units   statements whose bodies are not on one line with them get a line for each brace
 *   3. lay_out      line by line: indentation, and breaks where a line is too long
 *
 * That formatting twice changes nothing follows from two rules. What a step decides depends on tokens, comments and
 * line breaks alone, never on columns of the source. And a break that a step makes is one that step 1 keeps. */
#include "frontend/format.h"

#include "frontend/format_pieces.h"
#include "frontend/parser.h"

enum {
    INDENT = 2,
    CONTINUED = 4,
    FURTHEST = 60, /* a bracket that begins behind this column does not indent what is in it */
    SHORTEST_SPLIT = 8,
    AWAY = 40, /* a bracket that begins behind this column is rather kept whole on a line of its own */
};

static piece *at(const format_pieces *p, uint32_t i)
{
    return &p->pieces.data[i];
}

/* ---- 1. gaps ---- */

typedef struct {
    format_pieces *p;
    VEC(uint32_t) open;      /* brackets alone */
    bool clause_on_own_line; /* in the head of a declaration: a clause begins a line, so the body does too */
} chooser;

/* The bracket's contents begin on the line below it. */
static bool hangs(const format_pieces *p, uint32_t open)
{
    const piece *next = at(p, open + 1);
    return next->gap >= GAP_LINE || piece_is_comment(next);
}

static piece_gap line_gap(const piece *b, bool may_be_blank)
{
    return may_be_blank && b->newlines > 1 ? GAP_BLANK : GAP_LINE;
}

static bool opens_any(const piece *a)
{
    return piece_opens(a) || a->kind == TOK_LBRACE;
}

/* Directly inside of a bracket or a body, a comment behind its opening aside: no blank line stands there. */
static bool is_first(const format_pieces *p, uint32_t i)
{
    const piece *a = at(p, i - 1);
    return opens_any(a) || (piece_is_comment(a) && a->gap == GAP_TRAIL && opens_any(a - 1));
}

static piece_gap comment_gap(const format_pieces *p, uint32_t i)
{
    const piece *a = at(p, i - 1), *b = at(p, i);
    bool first = a->kind == TOK_LBRACE || a->kind == TOK_LPAREN; /* documentation belongs to what follows */
    if (b->newlines == 0 && !piece_is_comment(a) && !(first && piece_is_doc(b))) return GAP_TRAIL;
    return line_gap(b, !is_first(p, i));
}

/* Between two tokens, or a comment and a token. */
static piece_gap token_gap(chooser *c, uint32_t i)
{
    const piece *a = at(c->p, i - 1), *b = at(c->p, i);
    bool inner = !is_first(c->p, i) && !piece_closes(b) && b->kind != TOK_RBRACE;
    if (piece_is_comment(a)) return line_gap(b, inner);
    if (b->begins) return a->kind == TOK_LBRACE && !b->newlines ? GAP_SPACE : line_gap(b, inner);
    switch (b->kind) {
    case TOK_END: return GAP_LINE;
    case TOK_RBRACE: return a->kind == TOK_LBRACE ? GAP_NONE : b->newlines ? GAP_LINE : GAP_SPACE;
    case TOK_LBRACE: return c->clause_on_own_line ? GAP_LINE : GAP_SPACE;
    case TOK_VALID:
        if (c->clause_on_own_line) return GAP_LINE;
        /* fall through */
    case TOK_WHERE: return b->newlines || c->p->units.data[b->unit].has_weights ? GAP_LINE : GAP_SPACE;
    case TOK_WEIGHTS:
    case TOK_MAP:
    case TOK_IGNORE: return GAP_LINE;
    default: break;
    }
    if (b->newlines && piece_closes(b) && hangs(c->p, b->match)) return GAP_LINE;
    if (b->newlines && piece_may_break(a, b))
        return line_gap(b, a->kind == TOK_COMMA && c->open.len && hangs(c->p, vec_last(&c->open)));
    return piece_spacing(a, b);
}

static void choose_gaps(format_pieces *p)
{
    chooser c = {.p = p};
    for (uint32_t i = 0; i < p->pieces.len; i++) {
        piece *b = at(p, i);
        if (b->begins) c.clause_on_own_line = false;
        if (i) b->gap = piece_is_comment(b) ? comment_gap(p, i) : token_gap(&c, i);
        if (b->gap >= GAP_LINE && (b->kind == TOK_WHERE || b->kind == TOK_VALID || b->kind == TOK_WEIGHTS))
            c.clause_on_own_line = true;
        if (b->kind == TOK_LBRACE) c.clause_on_own_line = false;
        if (piece_opens(b)) vec_push(p->a, &c.open, i);
        if (piece_closes(b)) c.open.len--;
    }
}

/* ---- 2. bodies ---- */

static void end_line_before(piece *b)
{
    if (b->gap < GAP_TRAIL) b->gap = GAP_LINE;
}

/* Gives each body of a unit lines of its own. Empty ones stay closed. */
static void open_unit(format_pieces *p, const unit *u)
{
    for (uint32_t i = u->first; i < u->last; i++) {
        if (at(p, i)->kind != TOK_LBRACE) continue;
        uint32_t end = at(p, i)->match;
        if (end > i + 1) {
            end_line_before(at(p, i + 1));
            end_line_before(at(p, end));
        }
        i = end;
    }
}

static void open_units(format_pieces *p)
{
    uint32_t *lines = ARENA_ARRAY(p->a, uint32_t, p->pieces.len); /* line ends up to and with the gap of each piece */
    for (uint32_t i = 1; i < p->pieces.len; i++) lines[i] = lines[i - 1] + (at(p, i)->gap >= GAP_LINE);
    vec_foreach (unit, u, &p->units)
        if (lines[u->last] != lines[u->first]) open_unit(p, u);
}

/* ---- 3. lines ---- */

/* Where lines begin. */
typedef struct {
    uint32_t unit; /* the statement or declaration */
    uint32_t item; /* an item in a bracket whose contents begin on their own line */
    uint32_t rest; /* what goes on from the line above */
} margins;

/* A bracket or a body that the line at hand begins in. */
typedef struct {
    uint32_t open;
    uint32_t indent; /* of the line that it is on */
    margins outside;
} level;

typedef struct {
    format_pieces *p;
    VEC(level) levels;
    margins at;
} layout;

/* A line as it is written; comments behind code are aligned once their neighbours are known. */
typedef struct {
    uint32_t begin, end; /* pieces */
    uint32_t indent, width;
    const piece *comment; /* behind code */
} line;
typedef VEC(line) line_list;

static const level *bracket(const layout *l)
{
    const level *v = l->levels.len ? &vec_last(&l->levels) : NULL;
    return v && piece_opens(at(l->p, v->open)) ? v : NULL;
}

static uint32_t columns(const piece *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->length; i++) n += (b->text[i] & 0xC0) != 0x80;
    return n;
}

static uint32_t margin_of_unit(layout *l, uint32_t indent)
{
    l->at.rest = indent + CONTINUED;
    return l->at.unit = indent;
}

static uint32_t margin_of_clause(layout *l, uint32_t indent)
{
    l->at.rest = indent + CONTINUED;
    return indent;
}

/* Indentation of the line that begins with piece i. `token` is the first token at or after i. */
static uint32_t indentation(layout *l, uint32_t i, uint32_t token)
{
    const piece *b = at(l->p, token);
    bool comment = token != i;
    const level *in = bracket(l);
    uint32_t before = i; /* the last token before it */
    while (before > 0 && piece_is_comment(at(l->p, before - 1))) before--;
    const piece *a = before ? at(l->p, before - 1) : NULL;
    uint32_t body = l->levels.len && !in ? vec_last(&l->levels).outside.unit + INDENT : 0;

    if (b->kind == TOK_END) return 0;
    if (b->begins) return margin_of_unit(l, body);
    if (b->kind == TOK_RBRACE) return comment ? body : body - INDENT;
    if (b->kind == TOK_LBRACE) return comment ? l->at.unit + INDENT : l->at.unit;
    if (b->kind == TOK_ELSE) return l->at.unit;
    if (!in && (b->kind == TOK_WHERE || b->kind == TOK_VALID || b->kind == TOK_WEIGHTS))
        return margin_of_clause(l, l->at.unit + INDENT);
    if (!in && (b->kind == TOK_MAP || b->kind == TOK_IGNORE)) return margin_of_clause(l, l->at.unit + 2 * INDENT);
    if (in && hangs(l->p, in->open)) {
        if (piece_closes(b)) return comment ? l->at.item : in->indent;
        if (a && (a->kind == TOK_COMMA || in->open + 1 == before)) return l->at.item;
    }
    return l->at.rest;
}

/* Follows brackets and bodies over a piece that ends before `column` of a line with that indentation. */
static void pass(layout *l, uint32_t i, uint32_t indent, uint32_t column)
{
    const piece *b = at(l->p, i);
    if (b->begins && b->gap < GAP_LINE && i) margin_of_unit(l, vec_last(&l->levels).outside.unit + INDENT);
    if (opens_any(b)) {
        level v = {.open = i, .indent = indent, .outside = l->at};
        vec_push(l->p->a, &l->levels, v);
        if (piece_opens(b) && hangs(l->p, i)) {
            l->at.item = indent + INDENT;
            l->at.rest = l->at.item + CONTINUED;
        } else if (piece_opens(b) && column <= FURTHEST) {
            l->at.rest = column;
        }
    } else if (piece_closes(b) || b->kind == TOK_RBRACE) {
        l->at = vec_pop(&l->levels).outside;
    }
}

/* The line that begins with piece i, as it is now. */
static line measure(const format_pieces *p, uint32_t i, uint32_t indent)
{
    line n = {.begin = i, .end = i + 1, .indent = indent, .width = indent + columns(at(p, i))};
    for (; at(p, n.end)->kind != TOK_END && at(p, n.end)->gap < GAP_TRAIL; n.end++)
        n.width += (at(p, n.end)->gap == GAP_SPACE) + columns(at(p, n.end));
    if (at(p, n.end)->gap == GAP_TRAIL) n.comment = at(p, n.end++);
    return n;
}

/* Gives the bodies on a line lines of their own. False when there are none. */
static bool split_bodies(format_pieces *p, const line *n)
{
    bool found = false;
    for (uint32_t i = n->begin; i < n->end; i++) {
        const piece *b = at(p, i);
        if (b->kind != TOK_LBRACE || b->match == i + 1 || at(p, i + 1)->gap >= GAP_TRAIL) continue;
        const unit *u = &p->units.data[b->unit];
        open_unit(p, u);
        i = u->last;
        found = true;
    }
    return found;
}

/* Puts a where clause, and one of validity, on a line of its own, and the body behind it. */
static bool split_clause(format_pieces *p, const line *n)
{
    for (uint32_t i = n->begin + 1; i < n->end; i++) {
        if (at(p, i)->kind != TOK_WHERE && at(p, i)->kind != TOK_VALID) continue;
        at(p, i)->gap = GAP_LINE;
        for (; at(p, i)->kind != TOK_LBRACE; i++)
            if (at(p, i)->kind == TOK_VALID) at(p, i)->gap = GAP_LINE;
        at(p, i)->gap = GAP_LINE;
        return true;
    }
    return false;
}

/* The line ends before piece i, a comma behind it. Where that is in a list whose next line goes on with it, the rest of
 * the list is filled anew, so that no short line stays between. */
static bool join_rest_of_list(format_pieces *p, uint32_t i)
{
    uint32_t open = at(p, i - 1)->match, end = i + 1;
    if (at(p, i - 1)->kind != TOK_COMMA || (open && hangs(p, open))) return false;
    while (at(p, end)->gap < GAP_TRAIL && end < i + FORMAT_WIDTH) end++;
    const piece *last = at(p, end - 1);
    bool goes_on = last->kind == TOK_COMMA && last->match == open && !piece_is_comment(at(p, end));
    if (!goes_on || at(p, end)->gap != GAP_LINE) return false;
    at(p, end)->gap = GAP_SPACE;
    return true;
}

/* The width of pieces begin .. end on a line; FORMAT_WIDTH + 1 where that is too wide, or there is a line break. */
static uint32_t width_of(const format_pieces *p, uint32_t begin, uint32_t end)
{
    uint32_t n = columns(at(p, begin));
    for (uint32_t i = begin + 1; i <= end && n <= FORMAT_WIDTH; i++) {
        if (at(p, i)->gap >= GAP_TRAIL) return FORMAT_WIDTH + 1;
        n += (at(p, i)->gap == GAP_SPACE) + columns(at(p, i));
    }
    return n <= FORMAT_WIDTH ? n : FORMAT_WIDTH + 1;
}

/* A place to end a line. */
typedef struct {
    uint32_t at; /* before this piece; 0: nowhere */
    int cost;
    uint32_t bracket, column; /* the outermost bracket that it is in, and where what is in that begins; 0: none */
} line_end;

/* Whether to end the line, which is full at piece `full`, behind its "=" instead: where the other place is in a bracket
 * far to the right that will then be whole, or is so far to the right that nothing could stand below its first item;
 * where there is no other place, when it helps. */
static bool ends_at_assignment(const format_pieces *p, uint32_t value, const line_end *other, uint32_t full,
                               uint32_t rest)
{
    if (!value || (other->at && other->column <= AWAY)) return false;
    if (other->column > FURTHEST) return true;
    return rest + width_of(p, value, other->at ? at(p, other->bracket)->match : full) <= FORMAT_WIDTH;
}

/* Ends a line that is too long where its parts are bound most loosely: outside of as many brackets as can be, as late
 * as fits. Where nothing fits, at the first place there is. Looks no further than it must, for a line may be a file.
 * What goes on behind it is indented by `rest`. */
static bool split_at_operator(format_pieces *p, uint32_t begin, uint32_t indent, uint32_t rest, bool *joined)
{
    int depth = 0;
    uint32_t column = indent, value = 0, bracket = 0, bracket_column = 0;
    line_end best = {0};
    for (uint32_t i = begin; i == begin || at(p, i)->gap < GAP_TRAIL; i++) {
        const piece *b = at(p, i);
        if (piece_closes(b) && --depth <= 0) bracket = bracket_column = 0;
        int rank = i > begin ? piece_split_rank(b - 1, b) : 0;
        if (rank && column - indent > SHORTEST_SPLIT && (column <= FORMAT_WIDTH || !best.at)) {
            int cost = depth * 16 + rank;
            if (!best.at || cost <= best.cost) best = (line_end){i, cost, bracket, bracket_column};
        }
        if (i > begin && b[-1].kind == TOK_ASSIGN && depth == 0 && !value && column > rest) value = i;
        column += (i > begin && b->gap == GAP_SPACE) + columns(b);
        if (column > FORMAT_WIDTH && ends_at_assignment(p, value, &best, i, rest)) best = (line_end){.at = value};
        if (column > FORMAT_WIDTH && best.at) {
            at(p, best.at)->gap = GAP_LINE;
            *joined |= join_rest_of_list(p, best.at);
            return true;
        }
        if (piece_opens(b) && depth++ == 0) bracket = i, bracket_column = column;
    }
    return false;
}

static line_list lay_out(layout *l)
{
    line_list lines = {0};
    format_pieces *p = l->p;
    uint32_t settled = 0; /* up to here, bodies and clauses are where they belong */
    for (uint32_t i = 0; at(p, i)->kind != TOK_END;) {
        uint32_t token = i;
        while (piece_is_comment(at(p, token))) token++;
        uint32_t indent = indentation(l, i, token);
        if (i >= settled) {
            line whole = measure(p, i, indent);
            while (whole.width > FORMAT_WIDTH && (split_bodies(p, &whole) || split_clause(p, &whole)))
                whole = measure(p, i, indent);
            settled = whole.end;
        }
        bool joined = false;
        while (token == i && split_at_operator(p, i, indent, l->at.unit + CONTINUED, &joined)) {}
        if (joined) settled = 0;
        line n = measure(p, i, indent);
        uint32_t column = indent;
        for (uint32_t k = n.begin; k < n.end; k++) {
            column += columns(at(p, k)) + (k > n.begin && at(p, k)->gap == GAP_SPACE);
            pass(l, k, indent, column);
        }
        vec_push(p->a, &lines, n);
        i = n.end;
    }
    return lines;
}

/* ---- writing ---- */

static bool opens_body(const format_pieces *p, const line *n)
{
    return n->comment && at(p, n->end - 2)->kind == TOK_LBRACE;
}

/* Lines from i on whose comments stand in one column. */
static uint32_t aligned_lines(const format_pieces *p, const line_list *lines, uint32_t i, uint32_t *width)
{
    uint32_t end = i;
    *width = 0;
    for (; end < lines->len; end++) {
        const line *n = &lines->data[end];
        bool apart = end > i && (at(p, n->begin)->gap == GAP_BLANK || opens_body(p, n) || opens_body(p, n - 1));
        if (!n->comment || n->indent != lines->data[i].indent || apart) break;
        if (n->width > *width) *width = n->width;
    }
    return end;
}

static void write_lines(const format_pieces *p, const line_list *lines, strbuf *out)
{
    uint32_t aligned = 0, width = 0;
    for (uint32_t i = 0; i < lines->len; i++) {
        const line *n = &lines->data[i];
        if (i >= aligned) aligned = aligned_lines(p, lines, i, &width);
        if (i && at(p, n->begin)->gap == GAP_BLANK) strbuf_addc(out, '\n');
        strbuf_pad(out, n->indent, ' ');
        for (uint32_t k = n->begin; k < n->end; k++) {
            const piece *b = at(p, k);
            if (b == n->comment) strbuf_pad(out, width - n->width + 1, ' ');
            else if (k > n->begin && b->gap == GAP_SPACE) strbuf_addc(out, ' ');
            strbuf_add(out, b->text, b->length);
        }
        strbuf_addc(out, '\n');
    }
}

/* ---- the whole ---- */

/* The same tokens and comments, and documentation of the same things. */
static bool same_program(const parse_ctx *x, const parse_ctx *y)
{
    if (x->pieces->len != y->pieces->len || x->docs.len != y->docs.len || y->result->failed) return false;
    for (uint32_t i = 0; i < x->pieces->len; i++) {
        const parse_piece *a = &x->pieces->data[i], *b = &y->pieces->data[i];
        uint32_t n = a->at.end - a->at.begin, m = b->at.end - b->at.begin;
        const char *s = x->file->text + (a->at.begin - x->file->base),
                   *t = y->file->text + (b->at.begin - y->file->base);
        bool comment = a->kind == PARSE_COMMENT;
        if (a->kind != b->kind || (comment ? m > n : m != n) || memcmp(s, t, m) != 0) return false;
    }
    for (uint32_t i = 0; i < x->docs.len; i++)
        if (x->docs.data[i].used != y->docs.data[i].used) return false;
    return true;
}

bool format_file(ast_session *s, source_set *sources, const source_file *file, strbuf *out)
{
    parse_pieces from = {0}, to = {0};
    parse_ctx read = {.pieces = &from}, again = {.pieces = &to};
    parse_run(&read, s, file);
    if (read.result->failed) return false;
    format_pieces p;
    pieces_read(&p, s->arena, file, &from);
    choose_gaps(&p);
    open_units(&p);
    layout l = {.p = &p};
    line_list lines = lay_out(&l);
    strbuf text = strbuf_new(s->arena);
    write_lines(&p, &lines, &text);

    if (text.len > AST_MAX_FILE) {
        diag *g = diag_error(s->diags, (span){0}, "formatted, this file would be too large");
        diag_in_file(g, file->name);
        diag_code(g, "limit");
        diag_note(g, "it would have %zu bytes; the limit is %u", text.len, AST_MAX_FILE);
        return false;
    }
    /* Whatever mistake this formatter may have: it does not change a program. */
    ast_session scratch = {s->arena, s->names, diags_new(s->arena, sources, 1)};
    const source_file *result = source_add(sources, file->name, file->path, text.s, text.len);
    if (result) parse_run(&again, &scratch, result);
    if (!result || !same_program(&read, &again)) {
        diag *g = diag_error(s->diags, (span){0}, "the formatter would change this program, so it is left as it is");
        diag_in_file(g, file->name);
        diag_note(g, "this is a mistake of tfxc, not of the program");
        return false;
    }
    strbuf_add(out, text.s, text.len);
    return true;
}
