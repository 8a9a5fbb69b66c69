/* Messages and JSON. */
#include "runtime/tfxrun.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

void complain(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("tfxrun: error: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

void hint(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("  hint: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

/* Edits (insert, delete, replace, swap neighbours) from a to b; anything long counts as far. */
static size_t distance(const char *a, const char *b)
{
    enum { MOST = 64 };
    size_t n = strlen(a), m = strlen(b);
    if (n >= MOST || m >= MOST) return MOST;
    size_t row[3][MOST + 1];
    for (size_t k = 0; k <= m; k++) row[0][k] = k;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (size_t k = 1; k <= m; k++) {
            size_t best = last[k - 1] + (a[i - 1] != b[k - 1]);
            if (last[k] + 1 < best) best = last[k] + 1;
            if (now[k - 1] + 1 < best) best = now[k - 1] + 1;
            bool swapped = i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1];
            if (swapped && before[k - 2] + 1 < best) best = before[k - 2] + 1;
            now[k] = best;
        }
    }
    return row[n % 3][m];
}

const char *nearest(const char *name, const char *const *candidates, size_t n)
{
    const char *best = NULL;
    size_t least = strlen(name) / 3 + 2; /* so many edits are another name */
    for (size_t i = 0; i < n; i++) {
        size_t d = distance(name, candidates[i]);
        if (d < least && d < strlen(candidates[i])) least = d, best = candidates[i];
    }
    return best;
}

void print_shape(FILE *f, uint32_t rank, const int64_t *shape)
{
    fputc('[', f);
    for (uint32_t k = 0; k < rank; k++) fprintf(f, "%s%" PRId64, k ? ", " : "", shape[k]);
    fputc(']', f);
}

void print_index(FILE *f, uint32_t rank, const int64_t *shape, int64_t i)
{
    int64_t at[NPY_MAX_RANK];
    for (uint32_t k = rank; k-- > 0; i /= shape[k]) at[k] = i % shape[k];
    print_shape(f, rank, at);
}

void print_type(FILE *f, const tfx_tensor_info *t)
{
    fprintf(f, "%s[", tfx_dtype_name(t->dtype));
    for (int32_t k = 0; k < t->rank; k++) fprintf(f, "%s%s", k ? ", " : "", t->axes[k].text);
    fputc(']', f);
}

/* ---- JSON ---- */

static void put_string(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') fprintf(f, "\\%c", c);
        else if (c == '\n') fputs("\\n", f);
        else if (c < 0x20) fprintf(f, "\\u%04x", c);
        else fputc(c, f);
    }
    fputc('"', f);
}

static void item(json *j, const char *key)
{
    if (j->depth) {
        fprintf(j->f, "%s\n%*s", j->more[j->depth] ? "," : "", 2 * j->depth, "");
        j->more[j->depth] = true;
    }
    if (key) {
        put_string(j->f, key);
        fputs(": ", j->f);
    }
}

void json_open(json *j, const char *key, char bracket)
{
    item(j, key);
    fputc(bracket, j->f);
    j->depth++;
    j->more[j->depth] = false;
    j->closing[j->depth] = bracket == '[' ? ']' : '}';
}

void json_close(json *j)
{
    char bracket = j->closing[j->depth];
    bool any = j->more[j->depth--];
    if (any) fprintf(j->f, "\n%*s", 2 * j->depth, "");
    fputc(bracket, j->f);
    if (!j->depth) fputc('\n', j->f);
}

void json_string(json *j, const char *key, const char *s)
{
    item(j, key);
    if (s) put_string(j->f, s);
    else fputs("null", j->f);
}

void json_int(json *j, const char *key, int64_t v)
{
    item(j, key);
    fprintf(j->f, "%" PRId64, v);
}

void json_bool(json *j, const char *key, bool v)
{
    item(j, key);
    fputs(v ? "true" : "false", j->f);
}

void json_real(json *j, const char *key, double v)
{
    item(j, key);
    if (isnan(v)) fputs("\"nan\"", j->f);
    else if (isinf(v)) fputs(v < 0 ? "\"-inf\"" : "\"inf\"", j->f);
    else fprintf(j->f, "%.17g", v);
}

void json_sizes(json *j, const char *key, uint32_t n, const int64_t *v)
{
    item(j, key);
    print_shape(j->f, n, v);
}
