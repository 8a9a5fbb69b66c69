#define _GNU_SOURCE
#include "support/strbuf.h"

#include <assert.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void make_room(strbuf *b, size_t extra)
{
    if (extra < b->cap - b->len) return; /* one byte more than asked for holds the NUL */
    size_t need;
    if (__builtin_add_overflow(b->len, extra, &need) || need == SIZE_MAX) arena_out_of_memory(b->a);
    size_t cap = b->cap > SIZE_MAX / 2 ? SIZE_MAX : b->cap * 2;
    if (cap < need + 1) cap = need + 1;
    char *s = arena_alloc(b->a, cap, 1);
    memcpy(s, b->s, b->len);
    b->s = s;
    b->cap = cap;
}

strbuf strbuf_new(arena *a)
{
    enum { FIRST = 64 };
    return (strbuf){.a = a, .s = arena_alloc(a, FIRST, 1), .cap = FIRST};
}

void strbuf_add(strbuf *b, const char *s, size_t n)
{
    make_room(b, n);
    if (n) memcpy(b->s + b->len, s, n);
    b->len += n;
    b->s[b->len] = 0;
}

void strbuf_adds(strbuf *b, const char *s)
{
    strbuf_add(b, s, strlen(s));
}

void strbuf_addc(strbuf *b, char c)
{
    strbuf_add(b, &c, 1);
}

void strbuf_addf(strbuf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    assert(n >= 0);
    make_room(b, (size_t)n);
    vsnprintf(b->s + b->len, (size_t)n + 1, fmt, again);
    b->len += (size_t)n;
    va_end(again);
    va_end(ap);
}

void strbuf_pad(strbuf *b, size_t n, char c)
{
    make_room(b, n);
    memset(b->s + b->len, c, n);
    b->len += n;
    b->s[b->len] = 0;
}

#define MANTISSA_BITS 52
#define MANTISSA ((UINT64_C(1) << MANTISSA_BITS) - 1)
#define QUIET (UINT64_C(1) << (MANTISSA_BITS - 1))
#define EXPONENT (UINT64_C(0x7ff) << MANTISSA_BITS)
#define SIGN (UINT64_C(1) << 63)

static uint64_t bits_of(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static double double_of(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* printf writes the locale's decimal point, which may be several bytes: whatever is not part of a number becomes '.'.
 */
static void undo_locale(char *s)
{
    char *to = s;
    for (; *s; s++) {
        bool number = (*s >= '0' && *s <= '9') || *s == '-' || *s == '+' || *s == 'e';
        if (number) *to++ = *s;
        else if (to[-1] != '.') *to++ = '.';
    }
    *to = 0;
}

void strbuf_add_double(strbuf *b, double x)
{
    uint64_t u = bits_of(x);
    if ((u & EXPONENT) == EXPONENT) {
        if (u & SIGN) strbuf_addc(b, '-');
        uint64_t payload = u & MANTISSA;
        if (!payload) strbuf_adds(b, "inf");
        else if (payload == QUIET) strbuf_adds(b, "nan");
        else strbuf_addf(b, "nan(0x%llx)", (unsigned long long)payload);
        return;
    }
    char text[64];
    static const int digits[] = {9, 15, 16, 17};
    for (size_t i = 0; i < sizeof digits / sizeof *digits; i++) {
        double back;
        snprintf(text, sizeof text, "%.*g", digits[i], x);
        undo_locale(text);
        if (parse_double(text, strlen(text), &back) && bits_of(back) == u) break;
        assert(digits[i] != 17); /* 17 digits always round-trip */
    }
    strbuf_adds(b, text);
    if (!strpbrk(text, ".e")) strbuf_adds(b, ".0");
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* "inf", "nan" or "nan(0x1)", without sign. */
static bool parse_nonfinite(const char *s, size_t n, uint64_t *out)
{
    if (n == 3 && !memcmp(s, "inf", 3)) return *out = EXPONENT, true;
    if (n < 3 || memcmp(s, "nan", 3)) return false;
    if (n == 3) return *out = EXPONENT | QUIET, true;
    if (n < 8 || memcmp(s + 3, "(0x", 3) || s[n - 1] != ')') return false;
    uint64_t payload = 0;
    for (size_t i = 6; i < n - 1; i++) {
        int v = hex_value(s[i]);
        if (v < 0 || payload > MANTISSA >> 4) return false;
        payload = payload << 4 | (uint64_t)v;
    }
    if (!payload) return false;
    return *out = EXPONENT | payload, true;
}

/* [+-] (digits with at most one '.') [exponent], decimal or hexadecimal: strtod alone would also take white space. */
static bool is_finite_number(const char *s, size_t n)
{
    size_t i = 0, digits = 0, dots = 0;
    if (i < n && (s[i] == '-' || s[i] == '+')) i++;
    bool hex = n - i > 2 && s[i] == '0' && (s[i + 1] == 'x' || s[i + 1] == 'X');
    if (hex) i += 2;
    for (; i < n; i++) {
        int v = hex_value(s[i]);
        if (v >= 0 && (hex || v < 10)) digits++;
        else if (s[i] == '.') dots++;
        else break;
    }
    if (!digits || dots > 1) return false;
    if (i == n) return true;
    if (hex ? s[i] != 'p' && s[i] != 'P' : s[i] != 'e' && s[i] != 'E') return false;
    i++;
    if (i < n && (s[i] == '-' || s[i] == '+')) i++;
    if (i == n) return false;
    for (; i < n; i++)
        if (s[i] < '0' || s[i] > '9') return false;
    return true;
}

bool parse_double(const char *s, size_t n, double *out)
{
    bool negative = n && s[0] == '-';
    size_t sign = n && (negative || s[0] == '+');
    uint64_t u;
    if (parse_nonfinite(s + sign, n - sign, &u)) {
        *out = double_of(u | (negative ? SIGN : 0));
        return true;
    }
    if (!is_finite_number(s, n)) return false;

    char small[128], *text = n < sizeof small ? small : malloc(n + 1);
    if (!text) return false;
    memcpy(text, s, n);
    text[n] = 0;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    bool ok = c != (locale_t)0;
    if (ok) {
        char *end;
        double x = strtod_l(text, &end, c);
        ok = *end == 0 && isfinite(x);
        if (ok) *out = x;
        freelocale(c);
    }
    if (text != small) free(text);
    return ok;
}

enum { LONGEST_NAME = 255 };

/* Edits (insert, delete, replace, swap neighbours) from a to b, or over when there are more than `most`. */
static uint32_t edit_distance(const char *a, size_t na, const char *b, size_t nb, uint32_t most)
{
    uint32_t rows[3][LONGEST_NAME + 1];
    uint32_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= nb; j++) last[j] = (uint32_t)j;
    for (size_t i = 1; i <= na; i++) {
        uint32_t least = row[0] = (uint32_t)i;
        for (size_t j = 1; j <= nb; j++) {
            uint32_t d = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < d) d = last[j] + 1;
            if (row[j - 1] + 1 < d) d = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < d)
                d = before[j - 2] + 1;
            row[j] = d;
            if (d < least) least = d;
        }
        if (least > most + 1) return least; /* a swap may look one row further back, hence + 1 */
        uint32_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[nb];
}

const char *suggest(const char *name, const char *const *candidates, uint32_t n)
{
    size_t len = strlen(name);
    if (!len || len > LONGEST_NAME) return NULL;
    const char *best = NULL;
    uint32_t most = len < 3 ? 1 : (uint32_t)(len + 2) / 4; /* about a quarter of the letters may be wrong */
    if (most > 6) most = 6;
    for (uint32_t i = 0; i < n; i++) {
        size_t other = strlen(candidates[i]);
        if (!other || other > LONGEST_NAME || !strcmp(name, candidates[i])) continue;
        if ((len > other ? len - other : other - len) > most) continue;
        uint32_t d = edit_distance(name, len, candidates[i], other, most);
        if (d >= len || d > most) continue; /* nothing of the name is left */
        if (best && d == most) continue;
        best = candidates[i];
        most = d;
        if (!d) break;
    }
    return best;
}

/* ---- UTF-8 and JSON ---- */

uint32_t utf8_sequence(const char *text, uint32_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80) return 1;
    uint32_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n < len) return 0;
    for (uint32_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if (s[0] == 0xe0 && s[1] < 0xa0) return 0;
    if (s[0] == 0xed && s[1] > 0x9f) return 0;
    if (s[0] == 0xf0 && s[1] < 0x90) return 0;
    if (s[0] == 0xf4 && s[1] > 0x8f) return 0;
    return len;
}

void strbuf_add_json(strbuf *out, const char *s)
{
    if (!s) {
        strbuf_adds(out, "null");
        return;
    }
    size_t n = strlen(s);
    strbuf_addc(out, '"');
    for (size_t i = 0; i < n;) {
        uint32_t left = n - i > 4 ? 4 : (uint32_t)(n - i), len = utf8_sequence(s + i, left);
        unsigned char c = (unsigned char)s[i];
        if (!len) {
            len = 1;
            strbuf_adds(out, "\\ufffd");
        } else if (c == '"' || c == '\\') {
            strbuf_addf(out, "\\%c", c);
        } else if (c == '\n') {
            strbuf_adds(out, "\\n");
        } else if (c == '\t') {
            strbuf_adds(out, "\\t");
        } else if (c < 0x20 || c == 0x7f) {
            strbuf_addf(out, "\\u%04x", c);
        } else {
            strbuf_add(out, s + i, len);
        }
        i += len;
    }
    strbuf_addc(out, '"');
}
