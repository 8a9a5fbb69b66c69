/* Arbitrary bytes through the formatter: what it accepts keeps its syntax tree, documentation and comments, a second
 * formatting changes nothing, and no line ends in a blank. */
#include "frontend/format.h"
#include "frontend/parse.h"
#include "fuzz/fuzz_main.h"
#include "support/ast_text.h"

static void stop(const char *what, const char *before, const char *after)
{
    fprintf(stderr, "%s\n---- before\n%s\n---- after\n%s\n", what, before, after);
    abort();
}

static const char *tree(ast_session *s, const source_file *f)
{
    strbuf b = strbuf_new(s->arena);
    ast_text(ast_parse(s, f), &b);
    return b.s;
}

static uint32_t comments(const char *s)
{
    uint32_t n = 0;
    bool quoted = false;
    for (; *s; s++) {
        if (*s == '\n') quoted = false;
        else if (*s == '"') quoted = !quoted;
        else if (!quoted && s[0] == '/' && s[1] == '/') {
            n++;
            while (s[1] && s[1] != '\n') s++;
        }
    }
    return n;
}

static bool check(ast_session *s, source_set *sources, const char *text, size_t size)
{
    const source_file *f = source_add(sources, "fuzz.tfx", "fuzz.tfx", text, size);
    strbuf once = strbuf_new(s->arena), twice = strbuf_new(s->arena);
    if (!f) return false;
    if (!format_file(s, sources, f, &once)) {
        strbuf messages = strbuf_new(s->arena);
        diags_render_text(s->diags, &messages);
        if (diags_errors(s->diags) == 0) stop("refused without an error", text, "");
        if (strstr(messages.s, "mistake of tfxc")) stop("the formatter's own check", text, messages.s);
        return false;
    }
    const source_file *g = source_add(sources, "once.tfx", "once.tfx", once.s, once.len);
    if (!g || !format_file(s, sources, g, &twice)) stop("the formatted text does not parse", text, once.s);
    if (strcmp(once.s, twice.s) != 0) stop("a second formatting changes something", once.s, twice.s);
    if (strcmp(tree(s, f), tree(s, g)) != 0) stop("another tree", text, once.s);
    if (comments(text) != comments(once.s)) stop("comments were lost", text, once.s);
    if (strstr(once.s, " \n") || strstr(once.s, "\n\n\n")) stop("blanks", text, once.s);
    return true;
}

/* The same tokens with other blanks, line ends and comments between them. */
static const char *respaced(ast_session *s, source_set *sources, const char *text, size_t size, uint64_t seed)
{
    static const char *const between[] = {" ",       " ",         " ",        "\n",        "\n\n",        "\t\r\n \n\n",
                                          " // c\n", "\n// c\n ", " /// d\n", "\n/// d\n", "\n/// d\n\n", "\n  "};
    parse_pieces pieces = {0};
    parse_ctx ctx = {.pieces = &pieces};
    parse_run(&ctx, s, source_add(sources, "fuzz.tfx", "fuzz.tfx", text, size));
    strbuf b = strbuf_new(s->arena);
    uint64_t often = seed % 7 + 1;
    vec_foreach (parse_piece, p, &pieces) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t r = seed >> 33;
        if (p->kind == PARSE_COMMENT) continue;
        strbuf_adds(&b, r % 8 < often ? between[r / 8 % (sizeof between / sizeof *between)] : " ");
        strbuf_add(&b, ctx.file->text + (p->at.begin - ctx.file->base), p->at.end - p->at.begin);
    }
    return b.s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena *a = arena_new(NULL, NULL);
    source_set *sources = source_set_new(a);
    ast_session s = {a, interner_new(a), diags_new(a, sources, 0)};
    const char *text = arena_strndup(a, (const char *)data, size);
    if (!memchr(text, 0, size) && check(&s, sources, text, size)) {
        uint64_t seed = 14695981039346656037u;
        for (size_t i = 0; i < size; i++) seed = (seed ^ data[i]) * 1099511628211u;
        for (int i = 0; i < 4; i++) {
            const char *other = respaced(&s, sources, text, size, seed + (uint64_t)i);
            if (!check(&s, sources, other, strlen(other)) && strlen(other) < AST_MAX_FILE)
                stop("other blanks, and it does not parse", text, other);
        }
    }
    arena_free(a);
    return 0;
}
