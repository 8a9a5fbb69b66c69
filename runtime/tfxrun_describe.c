/* --describe: what a model looks like. */
#include "runtime/tfxrun.h"

#include <inttypes.h>

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

void describe_text(FILE *f, const tfx_api *api)
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
        fputs("  memory  ", f);
        text_bytes(f, (double)api->workspace_size(i, NULL, 1, 0));
        fputs(" of workspace at most (one thread)\n", f);
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

void describe_json(json *j, const tfx_api *api)
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
        json_int(j, "workspace_bytes", api->workspace_size(i, NULL, 1, 0));
        json_close(j);
    }
    json_close(j);
}
