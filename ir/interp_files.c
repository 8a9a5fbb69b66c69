/* Arrays in, one run of an interpreter, arrays out. */
#include "ir/interp_files.h"

#include "ir/interp_arrays.h"
#include "ir/kir/kinterp.h"

#define NOWHERE ((span){0, 0})

typedef struct {
    const interpretation *o;
    module *m;
    const kmodule *km;
    const function *f;
    int64_t *settings; /* by symbol: what --dim says */
    bool no_arrays;    /* then no dim is shown by one */
    arena *a;
    diags *d;
} run;

static bool fail(const run *r, const char *fmt, const char *what)
{
    diag_usage(r->d, fmt, what);
    return false;
}

/* ---- names ---- */

static bool unknown(const run *r, const char *fmt, const char *name, const char *const *known, uint32_t n)
{
    diag *g = diag_usage(r->d, fmt, name);
    const char *near = suggest(name, known, n);
    strbuf all = strbuf_new(r->a);
    for (uint32_t i = 0; i < n; i++) strbuf_addf(&all, "%s%s", i ? ", " : "", known[i]);
    if (near) diag_hint(g, "did you mean '%s'?", near);
    else if (n) diag_note(g, "known: %s", all.s);
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
    diag_hint(diag_usage(r->d, "input '%s' has no --input", name), "say --input=%s=FILE.npy", name);
    return false;
}

/* One tensor per argument of the entry. */
static bool load_inputs(const run *r, tensor **args)
{
    for (uint32_t i = 0; i < r->f->args.len; i++) {
        const char *path;
        npy_array a;
        if (!read_array(r, r->f->args.data[i].name, &path, &a)) return false;
        args[i] = tensor_from_array(r->a, &a);
        npy_free(&a);
        if (!args[i]) return fail(r, "%s: an array of this type or rank is no input of a model", path);
    }
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
        ok = tensor_to_array(r->a, results[i], name, &arrays[n]) ||
             fail(r, "the element type of output '%s' has no .npy form", name);
        n += ok;
    }
    if (ok) {
        ok = to->name ? npy_write(to->path, arrays, why, sizeof why) : npz_write(to->path, arrays, n, why, sizeof why);
        if (!ok) fail(r, "%s", why);
    }
    for (size_t i = 0; i < n; i++) npy_free(&arrays[i]);
    return ok;
}

/* ---- dims ---- */

static bool is_shown(const run *r, uint32_t symbol)
{
    if (r->no_arrays) return false;
    for (uint32_t i = 0; i < r->f->args.len; i++) {
        const type *t = &r->f->args.data[i].v->ty;
        for (int k = 0; k < t->rank; k++)
            if (dim_is_symbol(r->m->dims, t->shape[k]) == (int32_t)symbol) return true;
    }
    return false;
}

#define NOT_GIVEN INT64_MIN /* of a dim that a run would count */

/* Every dim that the entry needs and no input shows has a value, and no other has. */
static bool take_dims(run *r)
{
    uint32_t n = dim_symbol_count(r->m->dims), n_given = 0;
    bool *used = ARENA_ARRAY(r->a, bool, n), ok = true;
    const char **given = ARENA_ARRAY(r->a, const char *, n);
    r->settings = ARENA_ARRAY(r->a, int64_t, n);
    function_symbols(r->f, used);
    for (uint32_t s = 0; s < n; s++) {
        const char *name = dim_symbol_at(r->m->dims, s)->name;
        bool counted = r->no_arrays && function_counting_node(r->f, dim_find(r->m->dims, name));
        if (!counted && (!used[s] || is_shown(r, s))) continue;
        given[n_given++] = name;
        if (counted) r->settings[s] = NOT_GIVEN;
        bool found = false;
        vec_foreach (const named_dim, d, &r->o->dims) {
            if (strcmp(d->name, name)) continue;
            r->settings[s] = d->value;
            found = true;
        }
        if (found || counted) continue;
        const char *where = r->no_arrays ? "" : ", and no input shows it";
        diag_hint(diag_usage(r->d, "dim '%s' has no --dim%s", name, where), "say --dim=%s=N", name);
        ok = false;
    }
    vec_foreach (const named_dim, d, &r->o->dims) {
        bool found = false;
        for (uint32_t i = 0; i < n_given && !found; i++) found = !strcmp(given[i], d->name);
        if (!found) ok = unknown(r, "the entry takes no dim '%s'", d->name, given, n_given);
    }
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
    if (!interp_dims(f, args, r->settings, r->a, r->d, dims)) return false;
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
    if (!in || !out || !take_dims(&r)) return false;
    if (o->states && !m->states.len) return fail(&r, "--state: the model has no states%s", "");
    tensor **args = ARENA_ARRAY(a, tensor *, f->args.len), **results = ARENA_ARRAY(a, tensor *, f->results.len);
    if (!load_inputs(&r, args)) return false;
    interp_options io = {.states = interp_states_new(m, a)};
    if (o->states && !states_read(o->states, m, io.states, a, d)) return false;
    if (km ? !run_kernels(&r, args, results) : !interp_run(f, args, r.settings, &io, a, d, results)) return false;
    for (uint32_t i = 0; i < o->outputs.len; i++)
        if (!save_outputs(&r, &o->outputs.data[i], results)) return false;
    return !o->states || states_write(o->states, m, io.states, a, d);
}

/* Dims that a run would count: as given, else the most that they can be. */
static bool take_counts(const run *r, int64_t *dims)
{
    for (uint32_t s = 0; s < dim_symbol_count(r->m->dims); s++) {
        const char *name = dim_symbol_at(r->m->dims, s)->name;
        const node *n = function_counting_node(r->f, dim_find(r->m->dims, name));
        int64_t most;
        if (!n) continue;
        dim elements = type_elements(r->m, &n->operands[0]->ty);
        if (!dim_eval(r->m->dims, elements, dims, &most))
            return fail(r, "the bound of dim '%s' cannot be computed", name);
        dims[s] = r->settings[s] == NOT_GIVEN ? most : r->settings[s];
        if (dims[s] >= 0 && dims[s] <= most) continue;
        diag *g = diag_error(r->d, NOWHERE, "dim '%s' is out of bounds, from the settings", name);
        diag_expected(g, "0 <= %s <= %lld", name, (long long)most);
        diag_got(g, "%s = %lld", name, (long long)dims[s]);
        return false;
    }
    return true;
}

bool interpretation_dims(const interpretation *o, module *m, arena *a, diags *d, const function **entry, int64_t *dims)
{
    run r = {.o = o, .m = m, .a = a, .d = d, .no_arrays = true};
    if (!find_entry(&r) || !take_dims(&r)) return false;
    *entry = r.f;
    return interp_settings(r.f, r.settings, a, d, dims) && take_counts(&r, dims);
}
