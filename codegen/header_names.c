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

const char *names_comment(arena *a, const char *s)
{
    strbuf b = strbuf_new(a);
    for (; *s; s++) {
        bool joins = b.len && ((b.s[b.len - 1] == '*' && *s == '/') || (b.s[b.len - 1] == '/' && *s == '*'));
        if (joins) strbuf_addc(&b, ' ');
        if (*s == '\n') strbuf_adds(&b, "\n *");
        if (*s == '\n' && s[1] && s[1] != '\n') strbuf_addc(&b, ' ');
        else if (*s != '\n' && *s != '\r') strbuf_addc(&b, *s);
    }
    return b.s;
}
