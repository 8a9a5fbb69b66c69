/* A growable string in an arena, for printers and messages. Always NUL-terminated. */
#ifndef SUPPORT_STRBUF_H
#define SUPPORT_STRBUF_H

#include "support/arena.h"

typedef struct {
    arena *a;
    char *s;
    size_t len, cap;
} strbuf;

strbuf strbuf_new(arena *a);
void strbuf_add(strbuf *b, const char *s, size_t n);
void strbuf_adds(strbuf *b, const char *s);
void strbuf_addc(strbuf *b, char c);
void strbuf_addf(strbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_pad(strbuf *b, size_t n, char c);

/* Floats as text that parses back to the same bits: the first of 9, 15, 16, 17 digits that round-trips, always with a
 * '.', 'e', "inf" or "nan" in it (a NaN that is not the default quiet one as "nan(0x...)", its mantissa); independent
 * of the locale. */
void strbuf_add_double(strbuf *b, double x);
/* Parses what strbuf_add_double prints (and C decimal or hex floats). False when s[0..n) is not exactly one
 * number, or a finite one that overflows. */
bool parse_double(const char *s, size_t n, double *out);

/* s as a string of JSON, or null; what is not UTF-8 becomes U+FFFD. */
void strbuf_add_json(strbuf *b, const char *s);
/* Bytes of the UTF-8 character that text[0..n) begins with, n > 0; 0: it does not begin with one. */
uint32_t utf8_sequence(const char *text, uint32_t n);

/* The candidate nearest to `name` in edit distance, or NULL when none is near enough to be what was meant. */
const char *suggest(const char *name, const char *const *candidates, uint32_t n);

#endif
