#include "codegen/header_names.h"

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool identifier_byte(char c)
{
    return (upper(c) >= 'A' && upper(c) <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

void names_init(name_set *n, arena *a)
{
    memset(n, 0, sizeof *n);
    n->a = a;
}

void names_copy(name_set *n, const name_set *from)
{
    names_init(n, from->a);
    vec_foreach (const char *, p, &from->taken) vec_push(n->a, &n->taken, *p);
}

static bool is_taken(const name_set *n, const char *name)
{
    vec_foreach (const char *, p, &n->taken)
        if (strcmp(*p, name) == 0) return true;
    return false;
}

void names_reserve(name_set *n, const char *name)
{
    if (!is_taken(n, name)) vec_push(n->a, &n->taken, name);
}

static bool all_free(const name_set *n, const char *stem, const char *const *suffixes)
{
    if (is_taken(n, stem)) return false;
    for (const char *const *s = suffixes; *s; s++)
        if (is_taken(n, arena_printf(n->a, "%s%s", stem, *s))) return false;
    return true;
}

static const char *unique(name_set *n, const char *const *suffixes, char *base)
{
    for (char *p = base; *p; p++)
        if (!identifier_byte(*p)) *p = '_';
    const char *name = base;
    for (int i = 2; !all_free(n, name, suffixes); i++) name = arena_printf(n->a, "%s_%d", base, i);
    vec_push(n->a, &n->taken, name);
    for (const char *const *s = suffixes; *s; s++) vec_push(n->a, &n->taken, arena_printf(n->a, "%s%s", name, *s));
    return name;
}

const char *names_unique(name_set *n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *base = arena_vprintf(n->a, fmt, ap);
    va_end(ap);
    return unique(n, (const char *const[]){NULL}, base);
}

const char *names_stem(name_set *n, const char *const *suffixes, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *base = arena_vprintf(n->a, fmt, ap);
    va_end(ap);
    return unique(n, suffixes, base);
}

const char *names_upper(arena *a, const char *s)
{
    char *u = arena_strndup(a, s, strlen(s));
    for (char *p = u; *p; p++) *p = upper(*p);
    return u;
}

/* The length of the UTF-8 character at s: 0 when there is none. The text is NUL-terminated. */
static size_t utf8_length(const unsigned char *s)
{
    static const unsigned char least[] = {0, 0, 0, 0xA0, 0x90}, most[] = {0, 0, 0, 0x9F, 0x8F}; /* of byte 1 */
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    if ((s[0] == 0xE0 || s[0] == 0xF0) && s[1] < least[n]) return 0;
    if ((s[0] == 0xED || s[0] == 0xF4) && s[1] > most[n]) return 0;
    return n;
}

/* U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069: compilers warn of them, for they can make text look like code. */
static bool turns_direction(const unsigned char *s)
{
    if (s[0] != 0xE2 || (s[1] != 0x80 && s[1] != 0x81)) return false;
    if (s[1] == 0x80) return s[2] == 0x8E || s[2] == 0x8F || (s[2] >= 0xAA && s[2] <= 0xAE);
    return s[2] >= 0xA6 && s[2] <= 0xA9;
}

const char *names_comment(arena *a, const char *s)
{
    strbuf b = strbuf_new(a);
    for (size_t n; *s; s += n) {
        n = utf8_length((const unsigned char *)s);
        char last = b.len ? b.s[b.len - 1] : 0, before = b.len > 1 ? b.s[b.len - 2] : 0;
        bool joins = (last == '*' && *s == '/') || (last == '/' && *s == '*');
        bool trigraph = last == '?' && before == '?' && strchr("=/'()!<>-", *s);
        if (joins || trigraph) strbuf_addc(&b, ' ');
        if (n == 0) {
            strbuf_addc(&b, '?');
            n = 1;
        } else if (*s == '\n') {
            strbuf_adds(&b, s[1] && s[1] != '\n' ? "\n * " : "\n *");
        } else if (*s != '\r' && !(n == 3 && turns_direction((const unsigned char *)s))) {
            strbuf_add(&b, s, n);
        }
    }
    return b.s;
}

const char *names_doc(arena *a, const char *s)
{
    enum { MOST = 110 }; /* columns of a line, without what stands before it */
    char *text = arena_strndup(a, s, strlen(s));
    char *blank = NULL;
    int column = 0, at_blank = 0;
    for (char *p = text; *p; p++) {
        if (*p == '\n') {
            blank = NULL;
            column = 0;
            continue;
        }
        if (((unsigned char)*p & 0xC0) != 0x80) column++;
        if (*p == ' ' && column > 1) blank = p, at_blank = column;
        if (column <= MOST || !blank) continue;
        *blank = '\n';
        column -= at_blank;
        blank = NULL;
    }
    return names_comment(a, text);
}
