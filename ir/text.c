/* See text.h. */
#include "ir/text.h"

#include <stdarg.h>

text text_new(arena *a, interner *names, diags *d, const source_file *f)
{
    return (text){.a = a, .names = names, .d = d, .f = f};
}

static bool is_word_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_word_start(c) || is_digit(c) || c == '.';
}

uint32_t text_here(text *t)
{
    const char *s = t->f->text;
    for (;;) {
        char c = s[t->at];
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') t->at++;
        else if (c == '/' && s[t->at + 1] == '/')
            while (s[t->at] && s[t->at] != '\n') t->at++;
        else return t->at;
    }
}

bool text_at_end(text *t)
{
    return text_here(t) >= t->f->size;
}

span text_since(const text *t, uint32_t begin)
{
    return (span){t->f->base + begin, t->f->base + (t->at > begin ? t->at : begin + 1)};
}

void text_error(text *t, uint32_t begin, const char *fmt, ...)
{
    if (t->failed) return;
    t->failed = true;
    if (begin >= t->at) {
        begin = text_here(t);
        const char *s = t->f->text;
        while (is_word(s[t->at])) t->at++;
    }
    va_list ap;
    va_start(ap, fmt);
    const char *message = arena_vprintf(t->a, fmt, ap);
    va_end(ap);
    diag_code(diag_error(t->d, text_since(t, begin), "%s", message), t->code ? t->code : "invalid-ir");
}

static bool stands(text *t, const char *p)
{
    size_t n = strlen(p);
    uint32_t at = text_here(t);
    return t->f->size - at >= n && !memcmp(t->f->text + at, p, n);
}

bool text_peek(text *t, const char *p)
{
    return !t->failed && stands(t, p);
}

bool text_punct(text *t, const char *p)
{
    if (!text_peek(t, p)) return false;
    t->at += (uint32_t)strlen(p);
    return true;
}

bool text_keyword(text *t, const char *w)
{
    if (!text_peek(t, w) || is_word(t->f->text[t->at + strlen(w)])) return false;
    t->at += (uint32_t)strlen(w);
    return true;
}

bool text_expect(text *t, const char *p)
{
    if (text_punct(t, p)) return true;
    text_error(t, t->at, "expected '%s'", p);
    return false;
}

bool text_expect_keyword(text *t, const char *w)
{
    if (text_keyword(t, w)) return true;
    text_error(t, t->at, "expected '%s'", w);
    return false;
}

static const char *take(text *t, uint32_t begin)
{
    return intern(t->names, t->f->text + begin, t->at - begin);
}

const char *text_word(text *t, const char *what)
{
    uint32_t begin = text_here(t);
    const char *s = t->f->text;
    if (t->failed || !is_word_start(s[begin])) {
        text_error(t, t->at, "expected %s", what);
        return NULL;
    }
    /* A word ends before "..", the sign of a range. */
    while (is_word(s[t->at]) && !(s[t->at] == '.' && s[t->at + 1] == '.')) t->at++;
    return take(t, begin);
}

static int hex_digit(char c)
{
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

const char *text_string(text *t, const char *what)
{
    uint32_t begin = text_here(t);
    const char *s = t->f->text;
    if (t->failed || s[begin] != '"') {
        text_error(t, t->at, "expected %s in quotes", what);
        return NULL;
    }
    strbuf b = strbuf_new(t->a);
    t->at++;
    while (s[t->at] != '"') {
        char c = s[t->at];
        if (!c || c == '\n') {
            text_error(t, begin, "the string has no end on its line");
            return NULL;
        }
        t->at++;
        if (c == '\\') {
            char e = s[t->at];
            int hi = e == 'x' ? hex_digit(s[t->at + 1]) : -1, lo = hi >= 0 ? hex_digit(s[t->at + 2]) : -1;
            if (e == '"' || e == '\\') {
                c = e;
                t->at++;
            } else if (e == 'n' || e == 't') {
                c = e == 'n' ? '\n' : '\t';
                t->at++;
            } else if (lo >= 0 && hi * 16 + lo > 0) {
                c = (char)(hi * 16 + lo);
                t->at += 3;
            } else {
                text_error(t, t->at - 1, "unknown escape in a string");
                return NULL;
            }
        }
        strbuf_addc(&b, c);
    }
    t->at++;
    return intern(t->names, b.s, b.len);
}

const char *text_name(text *t, const char *what)
{
    return text_peek(t, "\"") ? text_string(t, what) : text_word(t, what);
}

const char *text_value(text *t)
{
    if (!text_expect(t, "%")) return NULL;
    uint32_t begin = t->at;
    const char *s = t->f->text;
    while (is_word(s[t->at])) t->at++;
    if (t->at == begin) {
        text_error(t, begin, "expected a value's name after '%%'");
        return NULL;
    }
    return take(t, begin);
}

bool text_uint(text *t, uint64_t *out)
{
    uint32_t begin = text_here(t);
    const char *s = t->f->text;
    uint64_t v = 0;
    bool fits = true;
    while (!t->failed && is_digit(s[t->at])) {
        uint64_t digit = (uint64_t)(s[t->at++] - '0');
        fits = fits && !__builtin_mul_overflow(v, 10, &v) && !__builtin_add_overflow(v, digit, &v);
    }
    if (t->at == begin || !fits) {
        text_error(t, begin, fits ? "expected an integer" : "the integer does not fit in 64 bits");
        return false;
    }
    *out = v;
    return true;
}

bool text_int(text *t, int64_t *out)
{
    uint32_t begin = text_here(t);
    bool negative = text_punct(t, "-");
    uint64_t v;
    if (!text_uint(t, &v)) return false;
    if (v > (uint64_t)INT64_MAX + negative) {
        text_error(t, begin, "the integer does not fit in 64 bits");
        return false;
    }
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool text_real(text *t, double *out)
{
    uint32_t begin = text_here(t);
    const char *s = t->f->text;
    while (!t->failed && (is_word(s[t->at]) || s[t->at] == '+' || s[t->at] == '-')) t->at++;
    /* nan(0x123) is one number. */
    if (t->at - begin >= 3 && !memcmp(s + t->at - 3, "nan", 3) && s[t->at] == '(') {
        while (s[t->at] && s[t->at] != ')' && s[t->at] != '\n') t->at++;
        if (s[t->at] == ')') t->at++;
    }
    if (t->at > begin && parse_double(s + begin, t->at - begin, out)) return true;
    text_error(t, begin, "expected a number");
    return false;
}

dim text_dim(text *t, dim_ctx *c)
{
    uint32_t begin = text_here(t);
    if (t->failed) return DIM_BAD;
    size_t used = 0, wrong = 0;
    dim d = dim_parse(c, t->f->text + begin, t->f->size - begin, &used, &wrong);
    if (d == DIM_BAD) {
        uint32_t at = begin + (wrong < t->f->size - begin ? (uint32_t)wrong : t->f->size - begin);
        t->at = at;
        text_error(t, at, "expected a dim: a declared name, an integer, or an expression of them that fits in 64 bits");
        return DIM_BAD;
    }
    t->at = begin + (uint32_t)used;
    return d;
}

bool text_dtype(text *t, dtype *out)
{
    uint32_t begin = text_here(t);
    const char *w = text_word(t, "a dtype");
    if (!w) return false;
    if (dtype_parse(w, strlen(w), out)) return true;
    text_error(t, begin, "unknown dtype '%s'", w);
    return false;
}

bool text_encoding(text *t, encoding *out)
{
    static const struct {
        const char *name;
        int params;
    } rows[ENC_COUNT] = {
#define ENCODING(name, NAME, params, math) [ENC_##NAME] = {#name, params},
#include "ir/encodings.def"
#undef ENCODING
    };
    uint32_t begin = text_here(t);
    const char *w = text_word(t, "an encoding");
    if (!w) return false;
    for (int e = 0; e < ENC_COUNT; e++) {
        if (strcmp(w, rows[e].name)) continue;
        *out = (encoding){.kind = (encoding_kind)e};
        if (!rows[e].params) return true;
        int64_t v;
        uint32_t at = text_here(t);
        if (!text_int(t, &v)) return false;
        if (v >= 1 && v <= 4096) {
            out->param = (int32_t)v;
            return true;
        }
        text_error(t, at, "the parameter of encoding %s is not in 1..4096", w);
        return false;
    }
    text_error(t, begin, "unknown encoding '%s'", w);
    return false;
}

bool text_type(text *t, dim_ctx *c, type *out)
{
    *out = (type){0};
    if (!text_dtype(t, &out->dt)) return false;
    if (text_punct(t, "[") && !text_punct(t, "]")) {
        do {
            if (out->rank == MAX_RANK) {
                text_error(t, t->at, "a tensor has at most %d axes", MAX_RANK);
                return false;
            }
            uint32_t begin = text_here(t);
            dim d = text_dim(t, c);
            int64_t size;
            if (d != DIM_BAD && dim_is_const(c, d, &size) && size < 0) text_error(t, begin, "a size below 0");
            if (t->failed) return false;
            out->shape[out->rank++] = d;
        } while (text_punct(t, ","));
        if (!text_expect(t, "]")) return false;
    }
    uint32_t begin = text_here(t);
    if (text_punct(t, "{")) {
        if (!text_encoding(t, &out->enc) || !text_expect(t, "}")) return false;
        if (out->enc.kind != ENC_ROWS && out->rank != 2) text_error(t, begin, "an encoded tensor is a matrix");
    }
    return !t->failed;
}
