/* The text form of machines: a heading, then one `key = number` a key in any order.
 *
 *     machine "znver3" version 1
 *     l1d_bytes = 32768   // first-level data cache
 */
#include "ir/machine.h"

#include "ir/text.h"

#define VERSION 1

typedef struct {
    const char *key, *text;
    bool real;
    size_t at; /* in machine */
    double least, greatest;
} machine_key;
static const machine_key keys[] = {
#define MACHINE_INT(key, least, greatest, text) {#key, text, false, offsetof(machine, key), least, greatest},
#define MACHINE_REAL(key, least, greatest, text) {#key, text, true, offsetof(machine, key), least, greatest},
#include "ir/machine.def"
#undef MACHINE_INT
#undef MACHINE_REAL
};
enum { N_KEYS = sizeof keys / sizeof *keys };

static void print_number(const machine *m, const machine_key *k, strbuf *out)
{
    const char *field = (const char *)m + k->at;
    if (k->real) strbuf_addf(out, "%.6g", *(const double *)(const void *)field);
    else strbuf_addf(out, "%lld", (long long)*(const int64_t *)(const void *)field);
}

/* Strings of the text form are quoted as those of .tir. */
static void print_name(const char *s, strbuf *out)
{
    for (strbuf_addc(out, '"'); *s; s++) {
        if (*s == '"' || *s == '\\') strbuf_addc(out, '\\');
        strbuf_addc(out, (unsigned char)*s < ' ' ? ' ' : *s);
    }
    strbuf_addc(out, '"');
}

void machine_print(const machine *m, strbuf *out)
{
    strbuf_adds(out, "machine ");
    print_name(m->name, out);
    strbuf_addf(out, " version %d\n", VERSION);
    for (int i = 0; i < N_KEYS; i++) {
        size_t begin = out->len;
        strbuf_addf(out, "%s = ", keys[i].key);
        print_number(m, &keys[i], out);
        size_t used = out->len - begin;
        strbuf_pad(out, used < 32 ? 32 - used : 1, ' ');
        strbuf_addf(out, "// %s\n", keys[i].text);
    }
}

/* ---- reading ---- */

static const machine_key *find_key(text *t, uint32_t begin, const char *word)
{
    const char *known[N_KEYS];
    for (int i = 0; i < N_KEYS; i++) {
        known[i] = keys[i].key;
        if (!strcmp(word, known[i])) return &keys[i];
    }
    t->failed = true;
    diag *g = diag_error(t->d, text_since(t, begin), "a machine has no '%s'", word);
    diag_code(g, "machine");
    const char *near = suggest(word, known, N_KEYS);
    if (near) diag_hint(g, "did you mean '%s'?", near);
    return NULL;
}

static bool out_of_range(text *t, uint32_t begin, const machine_key *k)
{
    t->failed = true;
    diag *g = diag_error(t->d, text_since(t, begin), "'%s' cannot be that", k->key);
    diag_code(g, "machine");
    diag_expected(g, "%.12g to %.12g", k->least, k->greatest);
    diag_got(g, "%.*s", (int)(t->at - begin), t->f->text + begin);
    diag_note(g, "%s: %s", k->key, k->text);
    return false;
}

static bool parse_key(text *t, machine *m, bool *given)
{
    uint32_t begin = text_here(t);
    const char *word = text_word(t, "a key");
    const machine_key *k = word ? find_key(t, begin, word) : NULL;
    if (!k) return false;
    if (given[k - keys]) {
        text_error(t, begin, "'%s' stands twice", word);
        return false;
    }
    given[k - keys] = true;
    if (!text_expect(t, "=")) return false;
    uint32_t number = text_here(t);
    double real;
    int64_t integer = 0;
    if (k->real ? !text_real(t, &real) : !text_int(t, &integer)) return false;
    if (!k->real) real = (double)integer;
    if (!(real >= k->least && real <= k->greatest)) return out_of_range(t, number, k); /* NaN is not either */
    char *field = (char *)m + k->at;
    if (k->real) memcpy(field, &real, sizeof real);
    else memcpy(field, &integer, sizeof integer);
    return true;
}

bool machine_parse(arena *a, interner *names, diags *d, const source_file *f, machine *m)
{
    text t = text_new(a, names, d, f);
    t.code = "machine";
    bool given[N_KEYS] = {false};
    int64_t version;
    const char *name;
    if (!text_expect_keyword(&t, "machine") || !(name = text_string(&t, "the machine's name")) ||
        !text_expect_keyword(&t, "version"))
        return false;
    uint32_t at = text_here(&t);
    if (!text_int(&t, &version)) return false;
    if (version != VERSION) {
        text_error(&t, at, "machines of version %lld are not known, only of version %d", (long long)version, VERSION);
        return false;
    }
    m->name = name;
    m->source = f->name;
    while (!text_at_end(&t))
        if (!parse_key(&t, m, given)) return false;
    return true;
}
