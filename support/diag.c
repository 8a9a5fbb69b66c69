#include "support/diag.h"

#include "support/intern.h"
#include "support/vec.h"

#include <assert.h>
#include <stdlib.h>

#define ELLIPSIS "..."
enum { LONGEST_LINE = 200 }; /* bytes of a source line that are shown */
enum { DEFAULT_LIMIT = 20, TAB_STOP = 8, GUTTER = 3 /* digits of a line number that need no wider gutter */ };

typedef enum { LINE_EXPECTATION, LINE_LABEL, LINE_REMARK } line_kind; /* a run is made of lines of one kind */

typedef struct {
    line_kind kind;
    const char *label, *text;
} diag_text;

struct diag {
    diags *owner;
    diag_severity severity;
    span at;
    const char *file; /* of a message without source text */
    const char *code;
    const char *message;
    uint32_t order;
    VEC(span) underlines;
    VEC(diag_text) lines;
};

struct diags {
    arena *a;
    source_set *sources;
    uint32_t limit;
    uint32_t errors, warnings;
    uint32_t hidden; /* errors past the limit */
    interner *keys;
    ptrmap *seen; /* located messages by severity, place and text */
    VEC(diag *) kept;
};

static const char *const severity_name[] = {"error", "warning", "remark"};

diags *diags_new(arena *a, source_set *sources, uint32_t limit)
{
    diags *d = ARENA_NEW(a, diags);
    d->a = a;
    d->sources = sources;
    d->limit = limit ? limit : DEFAULT_LIMIT;
    d->keys = interner_new(a);
    d->seen = ptrmap_new(a);
    return d;
}

/* True the first time. A loop unrolled twelve times says the same thing of one line twelve times. */
static bool note_new(diags *d, const diag *g)
{
    if (!g->at.begin) return true; /* its file is not known yet: see is_repeat */
    const char *text = arena_printf(d->a, "%d %u %u %s", (int)g->severity, g->at.begin, g->at.end, g->message);
    const char *key = intern_z(d->keys, text);
    if (ptrmap_has(d->seen, key)) return false;
    ptrmap_set(d->seen, key, NULL);
    return true;
}

static diag *add(diags *d, diag_severity sev, span at, const char *fmt, va_list ap)
{
    diag *g = ARENA_NEW(d->a, diag);
    g->owner = d;
    g->severity = sev;
    g->at = at;
    g->message = arena_vprintf(d->a, fmt, ap);
    if (!note_new(d, g)) return g; /* a repeat: the caller may dress it, nobody will see it */
    if (sev == DIAG_WARNING) d->warnings++;
    if (sev == DIAG_ERROR && d->errors++ >= d->limit) {
        d->hidden++;
        return g;
    }
    g->order = d->kept.len;
    vec_push(d->a, &d->kept, g);
    return g;
}

diag *diag_add(diags *d, diag_severity sev, span at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    diag *g = add(d, sev, at, fmt, ap);
    va_end(ap);
    return g;
}

diag *diag_error(diags *d, span at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    diag *g = add(d, DIAG_ERROR, at, fmt, ap);
    va_end(ap);
    return g;
}

diag *diag_warning(diags *d, span at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    diag *g = add(d, DIAG_WARNING, at, fmt, ap);
    va_end(ap);
    return g;
}

diag *diag_usage(diags *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    diag *g = add(d, DIAG_ERROR, (span){0, 0}, fmt, ap);
    va_end(ap);
    diag_code(g, "usage");
    return g;
}

const source_file *diag_read(diags *d, const char *name, const char *path)
{
    const char *why;
    const source_file *f = source_read(d->sources, name, path, &why);
    if (f) return f;
    diag *g = diag_error(d, (span){0, 0}, "%s", why);
    diag_in_file(g, name);
    diag_code(g, "cannot-read");
    return NULL;
}

void diag_in_file(diag *g, const char *file)
{
    g->file = arena_strndup(g->owner->a, file, strlen(file));
}

void diag_underline(diag *g, span also)
{
    vec_push(g->owner->a, &g->underlines, also);
}

#ifdef TFXC_DEBUG
static bool is_code(const char *code)
{
    static const char *const codes[] = {
#define DIAG_CODE(name, meaning) name,
#include "support/diag_codes.def"
#undef DIAG_CODE
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strcmp(codes[i], code) == 0) return true;
    return false;
}
#endif

void diag_code(diag *g, const char *code)
{
#ifdef TFXC_DEBUG
    /* The code of a remark is the name of the pass that makes it. In every build tests/run_catalogue.sh compares the
     * table with the source. */
    assert(g->severity == DIAG_REMARK || is_code(code));
#endif
    g->code = arena_strndup(g->owner->a, code, strlen(code));
}

static void add_line(diag *g, line_kind kind, const char *label, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

static void add_line(diag *g, line_kind kind, const char *label, const char *fmt, va_list ap)
{
    arena *a = g->owner->a;
    diag_text line = {kind, arena_strndup(a, label, strlen(label)), arena_vprintf(a, fmt, ap)};
    vec_push(a, &g->lines, line);
}

void diag_expected(diag *g, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_line(g, LINE_EXPECTATION, "expected", fmt, ap);
    va_end(ap);
}

void diag_got(diag *g, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_line(g, LINE_EXPECTATION, "got", fmt, ap);
    va_end(ap);
}

void diag_line(diag *g, const char *label, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_line(g, LINE_LABEL, label, fmt, ap);
    va_end(ap);
}

void diag_note(diag *g, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_line(g, LINE_REMARK, "note", fmt, ap);
    va_end(ap);
}

void diag_hint(diag *g, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_line(g, LINE_REMARK, "hint", fmt, ap);
    va_end(ap);
}

const char *diag_place(diags *d, span at)
{
    const source_file *f = source_of(d->sources, at.begin);
    if (!f) return "<built in>";
    uint32_t line, col;
    source_line_col(d->sources, at.begin, &line, &col);
    return arena_printf(d->a, "%s:%u:%u", f->name, line, col);
}

uint32_t diags_errors(const diags *d)
{
    return d->errors;
}

uint32_t diags_warnings(const diags *d)
{
    return d->warnings;
}

bool diags_full(const diags *d)
{
    return d->errors >= d->limit;
}

static bool within(span s, srcpos p)
{
    return s.begin && s.begin <= p && p < s.end;
}

static char mark_at(const diag *g, srcpos p)
{
    if (p == g->at.begin) return '^';
    if (within(g->at, p)) return '~';
    for (uint32_t i = 0; i < g->underlines.len; i++) {
        span u = g->underlines.data[i];
        if (within(u, p) || u.begin == p) return '~';
    }
    return ' ';
}

static void trim_end(strbuf *b)
{
    while (b->len && b->s[b->len - 1] == ' ') b->len--;
    b->s[b->len] = 0;
}

/* The part of a long line that is shown: around the place. */
static void find_window(const char *text, uint32_t n, uint32_t place, uint32_t *first, uint32_t *last)
{
    *first = 0;
    *last = n;
    if (n <= LONGEST_LINE) return;
    uint32_t before = LONGEST_LINE / 2, room = LONGEST_LINE;
    if (place > before) *first = place - before;
    if (*first + room > n) *first = n - room;
    *last = *first + room;
    while (*first > 0 && ((unsigned char)text[*first] & 0xc0) == 0x80) --*first; /* whole code points */
    while (*last < n && ((unsigned char)text[*last] & 0xc0) == 0x80) ++*last;
}

/* The line of g->at and below it the row of marks. Tabs are widened in both, each code point is one column, and what a
 * terminal could act on (control bytes, invalid UTF-8) is shown as '?'. */
static void render_source(const diags *d, const diag *g, strbuf *out)
{
    uint32_t line, col, n;
    source_line_col(d->sources, g->at.begin, &line, &col);
    const char *text = source_line_text(d->sources, g->at.begin, &n);
    srcpos begin = g->at.begin - (col - 1);
    uint32_t first, last;
    find_window(text, n, col - 1, &first, &last);

    strbuf marks = strbuf_new(out->a);
    const char *number = arena_printf(out->a, "%*u", GUTTER, line);
    strbuf_addf(out, "%s | ", number);
    strbuf_addf(&marks, "%*s | ", (int)strlen(number), "");

    uint32_t column = 0;
    if (first > 0) {
        strbuf_adds(out, ELLIPSIS);
        strbuf_pad(&marks, strlen(ELLIPSIS), ' ');
    }
    for (uint32_t i = first; i < last;) {
        uint32_t len = utf8_sequence(text + i, n - i);
        char mark = mark_at(g, begin + i);
        uint32_t width = 1;
        if (text[i] == '\t') {
            width = TAB_STOP - column % TAB_STOP;
            strbuf_pad(out, width, ' ');
        } else if (!len || (unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            len = 1;
            strbuf_addc(out, '?');
        } else {
            strbuf_add(out, text + i, len);
        }
        strbuf_addc(&marks, mark);
        strbuf_pad(&marks, width - 1, mark == '^' ? ' ' : mark);
        column += width;
        i += len;
    }
    if (last < n) strbuf_adds(out, ELLIPSIS);
    /* Positions at the end of the line: a token that is missing there, the end of the file. */
    if (g->at.begin >= begin + n) strbuf_addc(&marks, '^');
    trim_end(out);
    trim_end(&marks);
    strbuf_addc(out, '\n');
    strbuf_add(out, marks.s, marks.len);
    strbuf_addc(out, '\n');
}

/* Without what a terminal could act on. */
static const char *harmless(arena *a, const char *text)
{
    char *copy = NULL;
    for (size_t i = 0; text[i]; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c >= 0x20 || c == '\n' || c == '\t') && c != 0x7f) continue;
        if (!copy) copy = arena_strndup(a, text, strlen(text));
        copy[i] = '?';
    }
    return copy ? copy : text;
}

/* Text whose further lines are indented to stand under its first. */
static void add_indented(strbuf *out, const char *text, size_t indent)
{
    text = harmless(out->a, text);
    for (const char *nl; (nl = strchr(text, '\n')); text = nl + 1) {
        strbuf_add(out, text, (size_t)(nl - text) + 1);
        if (nl[1]) strbuf_pad(out, indent, ' ');
    }
    strbuf_adds(out, text);
    if (out->len && out->s[out->len - 1] != '\n') strbuf_addc(out, '\n');
}

static void render_lines(const diag *g, strbuf *out)
{
    for (uint32_t i = 0; i < g->lines.len;) {
        line_kind kind = g->lines.data[i].kind;
        size_t widest = 0;
        uint32_t end = i;
        for (; end < g->lines.len && g->lines.data[end].kind == kind; end++) {
            size_t width = strlen(g->lines.data[end].label);
            if (width > widest) widest = width;
        }
        for (; i < end; i++) {
            const diag_text *t = &g->lines.data[i];
            size_t pad = kind == LINE_REMARK ? 0 : widest - strlen(t->label);
            strbuf_pad(out, 2 + (kind == LINE_EXPECTATION ? pad : 0), ' ');
            strbuf_addf(out, "%s: ", t->label);
            strbuf_pad(out, kind == LINE_LABEL ? pad : 0, ' ');
            add_indented(out, t->text, 2 + strlen(t->label) + pad + 2);
        }
    }
}

static void render_one(const diags *d, const diag *g, strbuf *out)
{
    const source_file *f = source_of(d->sources, g->at.begin);
    if (f) {
        uint32_t line, col;
        source_line_col(d->sources, g->at.begin, &line, &col);
        strbuf_addf(out, "%s:%u:%u: ", harmless(out->a, f->name), line, col);
    } else {
        strbuf_addf(out, "%s: ", g->file ? harmless(out->a, g->file) : "tfxc");
    }
    strbuf_addf(out, "%s: ", severity_name[g->severity]);
    add_indented(out, g->message, 2);
    if (f) render_source(d, g, out);
    render_lines(g, out);
}

static int by_place(const void *left, const void *right)
{
    const diag *x = *(diag *const *)left, *y = *(diag *const *)right;
    /* Messages without a place come last: begin - 1 wraps them to the top. */
    uint32_t px = x->at.begin - 1, py = y->at.begin - 1;
    if (px != py) return px < py ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static bool is_repeat(diag *const *sorted, uint32_t i)
{
    const diag *g = sorted[i];
    if (g->at.begin) return false; /* refused when added */
    for (uint32_t j = i; j-- > 0 && !sorted[j]->at.begin;) {
        const diag *h = sorted[j];
        bool same_file = g->file && h->file ? !strcmp(g->file, h->file) : g->file == h->file;
        if (same_file && g->severity == h->severity && !strcmp(g->message, h->message)) return true;
    }
    return false;
}

/* What is to be shown, in order; its length in *n. */
static diag **in_order(const diags *d, arena *a, uint32_t *n)
{
    diag **sorted = ARENA_ARRAY(a, diag *, d->kept.len), **shown = ARENA_ARRAY(a, diag *, d->kept.len);
    *n = 0;
    if (!d->kept.len) return shown;
    memcpy(sorted, d->kept.data, d->kept.len * sizeof *sorted);
    qsort(sorted, d->kept.len, sizeof *sorted, by_place);
    for (uint32_t i = 0; i < d->kept.len; i++)
        if (!is_repeat(sorted, i)) shown[(*n)++] = sorted[i];
    return shown;
}

void diags_render_text(const diags *d, strbuf *out)
{
    uint32_t n;
    diag **shown = in_order(d, out->a, &n);
    for (uint32_t i = 0; i < n; i++) render_one(d, shown[i], out);
    if (d->hidden) strbuf_addf(out, "%u more error%s not shown\n", d->hidden, d->hidden == 1 ? " is" : "s are");
}

static void json_position(const diags *d, strbuf *out, srcpos p, const char *line_key, const char *column_key)
{
    uint32_t line, col;
    source_line_col(d->sources, p, &line, &col);
    if (line) strbuf_addf(out, ", \"%s\": %u, \"%s\": %u", line_key, line, column_key, col);
    else strbuf_addf(out, ", \"%s\": null, \"%s\": null", line_key, column_key);
}

static void json_span(const diags *d, strbuf *out, span at)
{
    uint32_t line, col, end_line, end_col;
    source_line_col(d->sources, at.begin, &line, &col);
    source_line_col(d->sources, at.end, &end_line, &end_col);
    strbuf_addf(out, "{\"line\": %u, \"column\": %u, \"end_line\": %u, \"end_column\": %u}", line, col, end_line,
                end_col);
}

static void json_one(const diags *d, const diag *g, strbuf *out)
{
    const source_file *f = source_of(d->sources, g->at.begin);
    strbuf_addf(out, "{\"severity\": \"%s\", \"code\": ", severity_name[g->severity]);
    strbuf_add_json(out, g->code);
    strbuf_adds(out, ", \"message\": ");
    strbuf_add_json(out, g->message);
    strbuf_adds(out, ", \"file\": ");
    strbuf_add_json(out, f ? f->name : g->file);
    json_position(d, out, g->at.begin, "line", "column");
    srcpos end = !f ? 0 : g->at.end < g->at.begin ? g->at.begin : g->at.end;
    if (f && end > f->base + f->size) end = f->base + f->size;
    json_position(d, out, end, "end_line", "end_column");
    strbuf_adds(out, ", \"underlines\": [");
    for (uint32_t i = 0; i < g->underlines.len; i++) {
        strbuf_adds(out, i ? ", " : "");
        json_span(d, out, g->underlines.data[i]);
    }
    strbuf_adds(out, "], \"lines\": [");
    for (uint32_t i = 0; i < g->lines.len; i++) {
        strbuf_adds(out, i ? ", {\"label\": " : "{\"label\": ");
        strbuf_add_json(out, g->lines.data[i].label);
        strbuf_adds(out, ", \"text\": ");
        strbuf_add_json(out, g->lines.data[i].text);
        strbuf_addc(out, '}');
    }
    strbuf_adds(out, "]}");
}

void diags_render_json(const diags *d, strbuf *out)
{
    uint32_t n;
    diag **shown = in_order(d, out->a, &n);
    strbuf_addc(out, '[');
    for (uint32_t i = 0; i < n; i++) {
        strbuf_adds(out, i ? ",\n " : "\n ");
        json_one(d, shown[i], out);
    }
    strbuf_adds(out, n ? "\n]\n" : "]\n");
}
