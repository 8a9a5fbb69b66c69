/* --describe: what a model looks like. */
#include "runtime/tfxrun.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Documentation, its further lines as far from the margin as `indent` says. */
static void text_doc(FILE *f, const char *before, const char *doc, int indent, const char *after)
{
    if (!doc || !*doc) return;
    fputs(before, f);
    for (; *doc; doc++) {
        fputc(*doc, f);
        if (*doc == '\n' && doc[1] != '\n') fprintf(f, "%*s", indent, "");
    }
    fputs(after, f);
}

static void text_tensors(FILE *f, const char *what, const tfx_tensor_info *t, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        fprintf(f, "  %-6s  %s: ", i ? "" : what, t[i].name);
        print_type(f, &t[i]);
        text_doc(f, "   ", t[i].doc, 12, "");
        fputc('\n', f);
    }
}

static void text_dims(FILE *f, const tfx_info *info, const tfx_entry_info *e)
{
    for (uint32_t i = 0; i < e->n_dims; i++) {
        const tfx_dim_info *d = &info->dims[e->dims[i]];
        fprintf(f, "  %-6s  %s: %" PRId64 "..%" PRId64, i ? "" : "dims", d->name, d->min, d->max);
        if (d->multiple > 1) fprintf(f, ", a multiple of %" PRId64, d->multiple);
        for (uint32_t k = 0; k < e->n_given; k++)
            if (e->given[k] == e->dims[i]) fputs("   (given with each run)", f);
        fputc('\n', f);
    }
}

static void text_bytes(FILE *f, double n)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    int u = 0;
    for (; n >= 1024 && u < 4; u++) n /= 1024;
    fprintf(f, u ? "%.1f %s" : "%.0f %s", n, units[u]);
}

/* Several processors that it has code for, and which of them this machine would be. */
static void text_variants(FILE *f, const tfx_api *api)
{
    const tfx_info *info = api->info();
    int32_t taken = api->variant(NULL);
    for (uint32_t i = 0; i < info->n_variants && info->n_variants > 1; i++) {
        const tfx_variant_info *v = &info->variants[i];
        fprintf(f, "  %-8s %s: vectors of %u bits%s\n", i ? "" : "variants", v->name, v->vector_bits,
                (int32_t)i == taken ? "   (taken on this machine)" : "");
    }
}

/* ---- memory ---- */

/* Workspace of an entry: with one worker, and what each further one adds. */
typedef struct {
    int64_t bytes, each;
} workspace;

static workspace workspace_at(const tfx_api *api, uint32_t entry, const int64_t *dims)
{
    workspace w = {.bytes = api->workspace_size(entry, dims, 1, 0)};
    w.each = api->workspace_size(entry, dims, 2, 0) - w.bytes;
    return w;
}

static bool uses_dim(const tfx_entry_info *e, uint32_t dim)
{
    for (uint32_t i = 0; i < e->n_dims; i++)
        if (e->dims[i] == dim) return true;
    return false;
}

int describe_dims(const tfx_api *api, const named_list *given, int64_t **dims)
{
    const tfx_info *info = api->info();
    *dims = NULL;
    if (!given->n) return RUN_OK;
    *dims = calloc(info->n_dims + 1u, sizeof **dims);
    if (!*dims) return complain("no memory"), RUN_FILE;
    for (uint32_t i = 0; i < info->n_dims; i++)
        (*dims)[i] = info->dims[i].max - info->dims[i].max % info->dims[i].multiple;
    for (size_t k = 0; k < given->n; k++) {
        const named *n = &given->items[k];
        uint32_t i = 0;
        while (i < info->n_dims && strcmp(info->dims[i].name, n->name) != 0) i++;
        if (i == info->n_dims) return complain("the model has no dim '%s'", n->name), RUN_USAGE;
        const tfx_dim_info *d = &info->dims[i];
        int64_t v;
        if (!parse_int(n->value, &v))
            return complain("--dim %s: expected a whole number, got '%s'", n->name, n->value), RUN_USAGE;
        if (v < d->min || v > d->max)
            return complain("--dim %s: expected %" PRId64 "..%" PRId64 ", got %" PRId64, n->name, d->min, d->max, v),
                   RUN_USAGE;
        if (v % d->multiple)
            return complain("--dim %s: expected a multiple of %" PRId64 ", got %" PRId64, n->name, d->multiple, v),
                   RUN_USAGE;
        (*dims)[i] = v;
    }
    return RUN_OK;
}

static void text_workspace(FILE *f, const char *what, const char *most, workspace w)
{
    fprintf(f, "  %-6s  %s", what, most);
    text_bytes(f, (double)w.bytes);
    fputs(" of workspace", f);
    if (!w.each) return;
    fputs(", and ", f);
    text_bytes(f, (double)w.each);
    fputs(" for each worker beside the first", f);
}

static void text_memory(FILE *f, const tfx_api *api, uint32_t entry, const int64_t *dims)
{
    const tfx_info *info = api->info();
    const tfx_entry_info *e = &info->entries[entry];
    text_workspace(f, "memory", e->n_dims ? "at most " : "", workspace_at(api, entry, NULL));
    fputc('\n', f);
    if (!dims || !e->n_dims) return;
    text_workspace(f, "", "", workspace_at(api, entry, dims));
    for (uint32_t i = 0; i < e->n_dims; i++)
        fprintf(f, "%s %s = %" PRId64, i ? "," : ", at", info->dims[e->dims[i]].name, dims[e->dims[i]]);
    fputc('\n', f);
}

static void json_workspace(json *j, workspace w)
{
    json_int(j, "workspace_bytes", w.bytes);
    json_int(j, "worker_bytes", w.each);
}

static void json_memory(json *j, const tfx_api *api, uint32_t entry, const int64_t *dims)
{
    const tfx_info *info = api->info();
    json_workspace(j, workspace_at(api, entry, NULL));
    if (!dims) return;
    json_open(j, "at", '{');
    json_open(j, "dims", '{');
    for (uint32_t i = 0; i < info->n_dims; i++)
        if (uses_dim(&info->entries[entry], i)) json_int(j, info->dims[i].name, dims[i]);
    json_close(j);
    json_workspace(j, workspace_at(api, entry, dims));
    json_close(j);
}

/* ---- all of it ---- */

void describe_text(FILE *f, const tfx_api *api, const int64_t *dims)
{
    const tfx_info *info = api->info();
    fprintf(f, "model '%s'", info->name);
    if (info->source && *info->source) fprintf(f, ", from %s", info->source);
    fprintf(f, ", compiled by %s for %s\n", info->compiler, info->target);
    text_doc(f, "  ", info->doc, 2, "\n");
    fputs("  weights ", f);
    text_bytes(f, (double)info->weight_bytes);
    fputs(info->weights_external ? ", in a file of their own\n" : "\n", f);
    text_variants(f, api);
    for (uint32_t i = 0; i < info->n_entries; i++) {
        const tfx_entry_info *e = &info->entries[i];
        fprintf(f, "\nentry '%s'\n", e->name);
        text_doc(f, "  ", e->doc, 2, "\n");
        text_tensors(f, "in", e->inputs, e->n_inputs);
        text_tensors(f, "out", e->outputs, e->n_outputs);
        text_dims(f, info, e);
        text_memory(f, api, i, dims);
    }
}

static void json_tensors(json *j, const char *key, const tfx_info *info, const tfx_tensor_info *t, uint32_t n)
{
    json_open(j, key, '[');
    for (uint32_t i = 0; i < n; i++) {
        json_open(j, NULL, '{');
        json_string(j, "name", t[i].name);
        json_string(j, "doc", t[i].doc);
        json_string(j, "dtype", tfx_dtype_name(t[i].dtype));
        json_open(j, "shape", '[');
        for (int32_t k = 0; k < t[i].rank; k++) {
            const tfx_axis_info *a = &t[i].axes[k];
            json_open(j, NULL, '{');
            json_string(j, "text", a->text);
            if (a->size >= 0) json_int(j, "size", a->size);
            if (a->dim >= 0) json_string(j, "dim", info->dims[a->dim].name);
            json_int(j, "min", a->min);
            json_int(j, "max", a->max);
            json_close(j);
        }
        json_close(j);
        json_close(j);
    }
    json_close(j);
}

static void json_dims(json *j, const tfx_info *info, const tfx_entry_info *e)
{
    json_open(j, "dims", '[');
    for (uint32_t i = 0; i < e->n_dims; i++) {
        const tfx_dim_info *d = &info->dims[e->dims[i]];
        bool given = false;
        for (uint32_t k = 0; k < e->n_given; k++) given |= e->given[k] == e->dims[i];
        json_open(j, NULL, '{');
        json_string(j, "name", d->name);
        json_int(j, "min", d->min);
        json_int(j, "max", d->max);
        json_int(j, "multiple", d->multiple);
        json_bool(j, "given", given);
        json_close(j);
    }
    json_close(j);
}

void describe_json(json *j, const tfx_api *api, const int64_t *dims)
{
    const tfx_info *info = api->info();
    char id[65];
    for (int i = 0; i < 32; i++) snprintf(id + 2 * i, 3, "%02x", info->weight_id[i]);
    json_string(j, "model", info->name);
    json_string(j, "doc", info->doc);
    json_string(j, "source", info->source);
    json_string(j, "compiler", info->compiler);
    json_string(j, "target", info->target);
    json_open(j, "variants", '[');
    for (uint32_t i = 0; i < info->n_variants; i++) {
        json_open(j, NULL, '{');
        json_string(j, "name", info->variants[i].name);
        json_int(j, "vector_bits", info->variants[i].vector_bits);
        json_close(j);
    }
    json_close(j);
    int32_t taken = api->variant(NULL);
    json_string(j, "variant", taken < 0 ? NULL : info->variants[taken].name);
    json_int(j, "weight_bytes", (int64_t)info->weight_bytes);
    json_bool(j, "weights_external", info->weights_external != 0);
    json_string(j, "weight_id", id);
    json_open(j, "entries", '[');
    for (uint32_t i = 0; i < info->n_entries; i++) {
        const tfx_entry_info *e = &info->entries[i];
        json_open(j, NULL, '{');
        json_string(j, "name", e->name);
        json_string(j, "doc", e->doc);
        json_tensors(j, "inputs", info, e->inputs, e->n_inputs);
        json_tensors(j, "outputs", info, e->outputs, e->n_outputs);
        json_dims(j, info, e);
        json_memory(j, api, i, dims);
        json_close(j);
    }
    json_close(j);
}
