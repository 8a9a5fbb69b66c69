#include "support/depfile.h"

static void print_name(strbuf *out, const char *name)
{
    size_t backslashes = 0; /* just before this character */
    for (const char *p = name; *p; p++) {
        if (*p == ' ' || *p == '\t') strbuf_pad(out, backslashes + 1, '\\');
        else if (*p == '#') strbuf_addc(out, '\\');
        else if (*p == '$') strbuf_addc(out, '$');
        backslashes = *p == '\\' ? backslashes + 1 : 0;
        strbuf_addc(out, *p);
    }
}

void depfile_print(strbuf *out, const char *target, const char *const *files, uint32_t n)
{
    print_name(out, target);
    strbuf_addc(out, ':');
    for (uint32_t i = 0; i < n; i++) {
        strbuf_adds(out, " \\\n  ");
        print_name(out, files[i]);
    }
    strbuf_addc(out, '\n');
    for (uint32_t i = 0; i < n; i++) {
        strbuf_addc(out, '\n');
        print_name(out, files[i]);
        strbuf_adds(out, ":\n");
    }
}
