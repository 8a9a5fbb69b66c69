/* tfxc --format: files rewritten in place, or only looked at. */
#include "frontend/format.h"
#include "support/outfile.h"

#include <stdlib.h>

/* Says where a file first differs from its normal form. */
static bool report_unformatted(diags *d, const source_file *f, const strbuf *want)
{
    uint32_t i = 0, begin, got, expected;
    while (i < f->size && i < want->len && f->text[i] == want->s[i]) i++;
    for (begin = i; begin > 0 && f->text[begin - 1] != '\n'; begin--) {}
    got = (uint32_t)strcspn(f->text + begin, "\r\n");
    expected = (uint32_t)strcspn(want->s + begin, "\n");
    diag *g = diag_error(d, (span){f->base + begin, f->base + begin + got}, "'%s' is not formatted", f->name);
    diag_code(g, "not-formatted");
    bool ends_alone = expected <= got && !memcmp(want->s + begin, f->text + begin, expected) &&
                      strspn(f->text + begin + expected, " \t") >= got - expected;
    if (ends_alone) diag_note(g, "lines end without blanks, in LF, and so does the file");
    else diag_expected(g, "%.*s", (int)expected, want->s + begin);
    diag_hint(g, "tfxc --format rewrites it");
    return false;
}

static bool rewrite(ast_session *s, const char *path, const strbuf *text)
{
    outfile out;
    bool ok = outfile_open(&out, s->arena, s->diags, path, "", OUTFILE_TEXT) && outfile_like_before(&out) &&
              outfile_write(&out, text->s, text->len) && outfile_commit(&out);
    outfile_discard(&out);
    return ok;
}

static bool format_one(ast_session *s, source_set *sources, const char *input, bool check)
{
    bool standard = !strcmp(input, "-");
    /* Through a link it is what the link leads to that is rewritten. */
    char *path = standard ? NULL : realpath(input, NULL);
    const source_file *f = diag_read(s->diags, standard ? "standard input" : input,
                                     standard ? "/dev/stdin"
                                     : path   ? path
                                              : input);
    free(path);
    strbuf text = strbuf_new(s->arena);
    if (!f || !format_file(s, sources, f, &text)) return false;
    bool same = text.len == f->size && !memcmp(text.s, f->text, f->size);
    if (check) return same || report_unformatted(s->diags, f, &text);
    if (standard) return outfile_write_text(s->arena, s->diags, "-", &text);
    return same || rewrite(s, f->path, &text);
}

bool format_files(ast_session *s, source_set *sources, const char *const *paths, uint32_t n, bool check)
{
    bool ok = true;
    for (uint32_t i = 0; i < n; i++) ok = format_one(s, sources, paths[i], check) && ok;
    return ok;
}
