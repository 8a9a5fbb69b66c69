/* See interp_arrays.h. */
#include "ir/interp_arrays.h"

#include "ir/interp_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOWHERE ((span){0, 0})

/* ---- element types ---- */

static const struct {
    npy_type npy;
    dtype dt;
} rows[] = {{NPY_BOOL, DT_BOOL}, {NPY_I8, DT_I8},   {NPY_U8, DT_U8},      {NPY_I16, DT_I16},    {NPY_U16, DT_U16},
            {NPY_I32, DT_I32},   {NPY_U32, DT_U32}, {NPY_I64, DT_I64},    {NPY_U64, DT_U64},    {NPY_F16, DT_F16},
            {NPY_F32, DT_F32},   {NPY_F64, DT_F64}, {NPY_RAW16, DT_BF16}, {NPY_RAW8, DT_F8E4M3}};
enum { N_ROWS = sizeof rows / sizeof *rows };

tensor *tensor_from_array(arena *a, const npy_array *from)
{
    for (int i = 0; i < N_ROWS && from->rank <= MAX_RANK; i++)
        if (rows[i].npy == from->type) return tensor_from_bytes(a, rows[i].dt, from->rank, from->shape, from->data);
    return NULL;
}

bool tensor_to_array(arena *a, const tensor *t, const char *name, npy_array *out)
{
    for (int i = 0; i < N_ROWS; i++) {
        if (rows[i].dt != t->dt) continue;
        if (!npy_new(out, name, rows[i].npy, t->rank, t->shape)) arena_out_of_memory(a);
        tensor_to_bytes(t, out->data);
        return true;
    }
    return false;
}

/* ---- states ---- */

static bool fail(diags *d, const char *path, const char *why)
{
    diag *g = diag_error(d, NOWHERE, "%s", why);
    diag_in_file(g, path);
    return false;
}

/* For messages of npy.h, which begin with the path. */
static bool fail_npy(diags *d, const char *why)
{
    diag_error(d, NOWHERE, "%s", why);
    return false;
}

static bool unknown_state(const char *path, const char *name, const module *m, arena *a, diags *d)
{
    const char **known = ARENA_ARRAY(a, const char *, m->states.len);
    for (uint32_t i = 0; i < m->states.len; i++) known[i] = m->states.data[i]->path;
    diag *g = diag_error(d, NOWHERE, "the model has no state '%s'", name);
    diag_in_file(g, path);
    const char *near = suggest(name, known, m->states.len);
    if (near) diag_hint(g, "did you mean '%s'?", near);
    return false;
}

static bool read_state(const char *path, const npy_array *from, const module *m, const interp_states *s, arena *a,
                       diags *d)
{
    const state_var *v = module_find_state(m, from->name);
    if (!v) return unknown_state(path, from->name, m, a, d);
    tensor *to = s->of[v->id];
    const tensor *t = tensor_from_array(a, from);
    if (t && t->dt == to->dt && t->rank == to->rank && !memcmp(t->shape, to->shape, t->rank * sizeof *t->shape)) {
        tensor_copy(to, t);
        return true;
    }
    diag *g = diag_error(d, NOWHERE, "the array of state '%s' has the wrong type", v->path);
    diag_in_file(g, path);
    diag_expected(g, "%s", interp_type_text(a, to->dt, to->rank, to->shape));
    strbuf got = strbuf_new(a);
    strbuf_adds(&got, npy_type_name(from->type));
    for (uint32_t i = 0; i < from->rank; i++) strbuf_addf(&got, "%s%lld", i ? ", " : "[", (long long)from->shape[i]);
    if (from->rank) strbuf_addc(&got, ']');
    diag_got(g, "%s", got.s);
    return false;
}

bool states_read(const char *path, const module *m, const interp_states *s, arena *a, diags *d)
{
    struct stat st;
    if (stat(path, &st) != 0) return errno == ENOENT || fail(d, path, strerror(errno));
    if (!S_ISREG(st.st_mode)) return fail(d, path, "is no regular file, so it cannot hold states");
    char why[256];
    npy_array *arrays;
    size_t n;
    if (!npz_read(path, &arrays, &n, why, sizeof why)) return fail_npy(d, why);
    bool ok = true;
    for (size_t i = 0; i < n; i++) ok = read_state(path, &arrays[i], m, s, a, d) && ok;
    npz_free(arrays, n);
    return ok;
}

bool states_write(const char *path, const module *m, const interp_states *s, arena *a, diags *d)
{
    const char *temporary = arena_printf(a, "%s.%ld.tmp", path, (long)getpid());
    npy_array *arrays = ARENA_ARRAY(a, npy_array, s->n);
    size_t named = strlen(temporary) + strlen(": "), room = named + 256;
    char *why = ARENA_ARRAY(a, char, room);
    bool ok = true;
    for (uint32_t i = 0; i < s->n && ok; i++)
        if (!tensor_to_array(a, s->of[i], m->states.data[i]->path, &arrays[i]))
            ok = fail(d, path, "a state's element type has no .npy form");
    if (ok && !npz_write(temporary, arrays, s->n, why, room))
        ok = fail(d, path, why + named); /* the user knows no temporary name */
    for (uint32_t i = 0; i < s->n; i++) npy_free(&arrays[i]);
    if (ok && rename(temporary, path) != 0) {
        ok = fail(d, path, arena_printf(a, "cannot write: %s", strerror(errno)));
        unlink(temporary);
    }
    return ok;
}
