/* The files of a compilation. See files.h. */
#include "driver/files.h"

#include "support/depfile.h"

#include <sys/stat.h>

const char *files_stem(arena *a, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    return dot && dot > name ? arena_strndup(a, path, (size_t)(dot - path)) : path;
}

file_names files_read(const source_set *sources, const weights_file *weights, const module *m, arena *a)
{
    file_names files = {0};
    for (uint32_t i = 0; i < source_count(sources); i++) {
        const source_file *f = source_at(sources, i);
        if (f->from_disk) vec_push(a, &files, f->path);
    }
    if (weights) vec_push(a, &files, weights_path(weights));
    for (uint32_t i = 0; m && i < m->files.len; i++) vec_push(a, &files, weights_path(m->files.data[i]));
    return files;
}

const char *files_header(const options *o, arena *a)
{
    if (o->job != EMIT_OBJ && o->job != EMIT_AR) return NULL;
    return arena_printf(a, "%s.h", files_stem(a, o->output));
}

static bool same_file(const char *x, const char *y)
{
    struct stat s, t;
    return !strcmp(x, y) ||
           (!stat(x, &s) && !stat(y, &t) && S_ISREG(s.st_mode) && s.st_dev == t.st_dev && s.st_ino == t.st_ino);
}

bool files_are_apart(const options *o, const file_names *inputs, arena *a, diags *d)
{
    const char *outputs[] = {o->output, o->external_weights, files_header(o, a), o->depfile, o->tune};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        if (!outputs[i]) continue;
        bool updates = outputs[i] == o->tune && o->tuned && same_file(outputs[i], o->tuned);
        vec_foreach (const char *, input, inputs) {
            if (updates || !same_file(outputs[i], *input)) continue;
            diag_usage(d, "the output '%s' would replace what is read", outputs[i]);
            return false;
        }
        for (size_t k = 0; k < i; k++) {
            if (!outputs[k] || !same_file(outputs[i], outputs[k])) continue;
            diag_usage(d, "'%s' is to be written twice", outputs[i]);
            return false;
        }
    }
    return true;
}

bool files_depfile(const options *o, const file_names *inputs, outfile *f, arena *a, diags *d)
{
    *f = OUTFILE_NONE;
    if (!o->depfile) return true;
    strbuf rule = strbuf_new(a);
    depfile_print(&rule, o->output, inputs->data, inputs->len);
    return outfile_open(f, a, d, o->depfile, "", OUTFILE_TEXT) && outfile_write(f, rule.s, rule.len);
}
