/* Arrays in, one run of an interpreter, arrays out. */
#include "ir/interp_files.h"

#include "ir/interp.h"
#include "ir/kir/kinterp.h"
#include "runtime/npy.h"

#define NOWHERE ((span){0, 0})

typedef struct {
    const interpretation *o;
    module *m;
    const kmodule *km;
    const function *f;
    arena *a;
    diags *d;
} run;

static bool fail(const run *r, const char *fmt, const char *what)
{
    diag_in_file(diag_error(r->d, NOWHERE, fmt, what), "tfxc");
    return false;
}

/* ---- names ---- */

static bool unknown(const run *r, const char *fmt, const char *name, const char *const *known, uint32_t n)
{
    diag *g = diag_error(r->d, NOWHERE, fmt, name);
    diag_in_file(g, "tfxc");
    const char *near = suggest(name, known, n);
    if (near) diag_hint(g, "did you mean '%s'?", near);
    return false;
}

static bool find_entry(run *r)
{
    uint32_t n = r->m->functions.len;
    const char **names = ARENA_ARRAY(r->a, const char *, n);
    for (uint32_t i = 0; i < n; i++) {
        names[i] = r->m->functions.data[i]->name;
        if (!r->f && (!r->o->entry || !strcmp(names[i], r->o->entry))) r->f = r->m->functions.data[i];
    }
    if (r->f) return true;
    return r->o->entry ? unknown(r, "the model has no entry '%s'", r->o->entry, names, n)
                       : fail(r, "the model has no entry%s", "");
}

/* Every file is for one of the tensors. */
static bool names_known(const run *r, const char *fmt, const named_files *files, const named_value *tensors,
                        uint32_t n_tensors)
{
    const char **names = ARENA_ARRAY(r->a, const char *, n_tensors);
    for (uint32_t i = 0; i < n_tensors; i++) names[i] = tensors[i].name;
    bool ok = true;
    for (uint32_t i = 0; i < files->len; i++) {
        bool found = !files->data[i].name;
        for (uint32_t k = 0; k < n_tensors && !found; k++) found = !strcmp(files->data[i].name, names[k]);
        if (!found) ok = unknown(r, fmt, files->data[i].name, names, n_tensors);
    }
    return ok;
}

/* ---- files ---- */

static const struct {
    npy_type npy;
    dtype dt;
} npy_rows[] = {{NPY_BOOL, DT_BOOL}, {NPY_I8, DT_I8},   {NPY_U8, DT_U8},      {NPY_I16, DT_I16},    {NPY_U16, DT_U16},
                {NPY_I32, DT_I32},   {NPY_U32, DT_U32}, {NPY_I64, DT_I64},    {NPY_U64, DT_U64},    {NPY_F16, DT_F16},
                {NPY_F32, DT_F32},   {NPY_F64, DT_F64}, {NPY_RAW16, DT_BF16}, {NPY_RAW8, DT_F8E4M3}};

static bool dtype_from_npy(npy_type t, dtype *out)
{
    for (size_t i = 0; i < sizeof npy_rows / sizeof *npy_rows; i++)
        if (npy_rows[i].npy == t) return *out = npy_rows[i].dt, true;
    return false;
}

static bool npy_from_dtype(dtype t, npy_type *out)
{
    for (size_t i = 0; i < sizeof npy_rows / sizeof *npy_rows; i++)
        if (npy_rows[i].dt == t) return *out = npy_rows[i].npy, true;
    return false;
}

/* What the files hold for one input: the file of its name, or the member of its name in an .npz. */
static bool read_array(const run *r, const char *name, const char **path, npy_array *out)
{
    const named_files *files = &r->o->inputs;
    char why[256];
    for (uint32_t i = 0; i < files->len; i++) {
        *path = files->data[i].path;
        if (files->data[i].name) {
            if (strcmp(files->data[i].name, name)) continue;
            return npy_read(*path, out, why, sizeof why) || fail(r, "%s", why);
        }
        npy_array *all;
        size_t n, k = 0;
        if (!npz_read(*path, &all, &n, why, sizeof why)) return fail(r, "%s", why);
        while (k < n && strcmp(all[k].name, name)) k++;
        bool found = k < n;
        if (found) *out = all[k], all[k] = (npy_array){0};
        npz_free(all, n);
        if (found) return true;
    }
    return fail(r, "input '%s' has no --input", name);
}

/* One tensor per argument of the entry. */
static bool load_inputs(const run *r, tensor **args)
{
    for (uint32_t i = 0; i < r->f->args.len; i++) {
        const char *path;
        npy_array a;
        dtype dt;
        if (!read_array(r, r->f->args.data[i].name, &path, &a)) return false;
        bool ok = a.rank <= MAX_RANK && dtype_from_npy(a.type, &dt);
        if (ok) args[i] = tensor_from_bytes(r->a, dt, a.rank, a.shape, a.data);
        npy_free(&a);
        if (!ok) return fail(r, "%s: an array of this type or rank is no input of a model", path);
    }
    return true;
}

/* The output as an array that is to be freed. */
static bool to_array(const run *r, const char *name, const tensor *t, npy_array *out)
{
    npy_type form;
    if (!npy_from_dtype(t->dt, &form)) return fail(r, "the element type of output '%s' has no .npy form", name);
    if (!npy_new(out, name, form, t->rank, t->shape)) arena_out_of_memory(r->a);
    tensor_to_bytes(t, out->data);
    return true;
}

/* Writes to one file the outputs that are meant for it. */
static bool save_outputs(const run *r, const named_file *to, tensor *const *results)
{
    const function *f = r->f;
    npy_array *arrays = ARENA_ARRAY(r->a, npy_array, f->results.len);
    char why[256];
    size_t n = 0;
    bool ok = true;
    for (uint32_t i = 0; i < f->results.len && ok; i++) {
        const char *name = f->results.data[i].name;
        if (to->name && strcmp(to->name, name)) continue;
        ok = to_array(r, name, results[i], &arrays[n]);
        n += ok;
    }
    if (ok) {
        ok = to->name ? npy_write(to->path, arrays, why, sizeof why) : npz_write(to->path, arrays, n, why, sizeof why);
        if (!ok) fail(r, "%s", why);
    }
    for (size_t i = 0; i < n; i++) npy_free(&arrays[i]);
    return ok;
}

/* ---- running ---- */

static kbinding storage(const run *r, dtype dt, uint64_t elements)
{
    uint64_t bytes = dtype_bytes(dt, elements);
    return (kbinding){arena_alloc(r->a, bytes, 64), bytes};
}

/* The plan on real memory, at the dims that the tensor interpreter finds. */
static bool run_kernels(const run *r, tensor *const *args, tensor **results)
{
    const function *f = r->f;
    const kfunction *plan = kmodule_find(r->km, f->name);
    int64_t *dims = ARENA_ARRAY(r->a, int64_t, dim_symbol_count(r->m->dims)), shape[MAX_RANK];
    if (!interp_dims(f, args, NULL, r->a, r->d, dims)) return false;
    kbinding *params = ARENA_ARRAY(r->a, kbinding, plan->params.len);
    for (uint32_t i = 0; i < f->args.len; i++) {
        params[i] = storage(r, args[i]->dt, tensor_elements(args[i]));
        tensor_to_bytes(args[i], params[i].data);
    }
    for (uint32_t i = 0; i < f->results.len; i++) {
        const type *t = &f->results.data[i].v->ty;
        for (int k = 0; k < t->rank; k++)
            if (!dim_eval(r->m->dims, t->shape[k], dims, &shape[k]))
                return fail(r, "the shape of output '%s' cannot be computed", f->results.data[i].name);
        results[i] = tensor_new(r->a, t->dt, t->rank, shape);
        params[f->args.len + i] = storage(r, t->dt, tensor_elements(results[i]));
    }
    kinterp_options o = {0};
    if (!kinterp_run(plan, dims, params, &o, r->a, r->d, NULL)) return false;
    for (uint32_t i = 0; i < f->results.len; i++) {
        tensor *t = results[i];
        results[i] = tensor_from_bytes(r->a, t->dt, t->rank, t->shape, params[f->args.len + i].data);
    }
    return true;
}

bool interpret(const interpretation *o, module *m, const kmodule *km, arena *a, diags *d)
{
    run r = {.o = o, .m = m, .km = km, .a = a, .d = d};
    if (!find_entry(&r)) return false;
    const function *f = r.f;
    bool in = names_known(&r, "the model has no input '%s'", &o->inputs, f->args.data, f->args.len);
    bool out = names_known(&r, "the model has no output '%s'", &o->outputs, f->results.data, f->results.len);
    if (!in || !out) return false;
    tensor **args = ARENA_ARRAY(a, tensor *, f->args.len), **results = ARENA_ARRAY(a, tensor *, f->results.len);
    if (!load_inputs(&r, args)) return false;
    interp_options io = {0};
    if (km ? !run_kernels(&r, args, results) : !interp_run(f, args, NULL, &io, a, d, results)) return false;
    for (uint32_t i = 0; i < o->outputs.len; i++)
        if (!save_outputs(&r, &o->outputs.data[i], results)) return false;
    return true;
}
