/* What a model is compiled for. See targets.h. */
#include "codegen/targets.h"

/* A processor and the machine that it is in. */
static bool describe(const targets_wanted *w, const char *cpu, arena *a, interner *names, diags *d, compile_target *out)
{
    codegen_target *t = &out->target;
    machine *on = &out->on;
    out->options = *w->options;
    out->options.cpu = cpu;
    if (!codegen_target_describe(&out->options, a, d, t)) return false;
    *on = machine_default(a, t->name, 8 * t->vector_bytes, t->registers);
    if (t->native) machine_take_caches(a, on);
    if (w->machine && !machine_parse(a, names, d, w->machine, on)) return false;
    if (w->remarks) diag_add(d, DIAG_REMARK, (span){0, 0}, "kernels are scheduled for '%s' (%s)", on->name, on->source);
    if (on->vector_bits == 8 * t->vector_bytes && on->vector_registers == t->registers) return true;
    diag *g = diag_warning(d, (span){0, 0}, "this machine is not the target");
    diag_in_file(g, w->machine->name);
    diag_code(g, "machine");
    diag_expected(g, "%d vector registers of %d bits", t->registers, 8 * t->vector_bytes);
    diag_got(g, "%lld of %lld bits", (long long)on->vector_registers, (long long)on->vector_bits);
    diag_note(g, "its rates and sizes are used all the same");
    on->vector_bits = 8 * t->vector_bytes;
    on->vector_registers = t->registers;
    return true;
}

/* Whatever runs the last of two variants runs the first as well, which is preferred. */
static void warn_never_taken(diags *d, const compile_target *first, const compile_target *then)
{
    if (first->target.required & ~then->target.required) return;
    diag *g = diag_warning(d, (span){0, 0}, "variant '%s' is never taken: every machine that runs it prefers '%s'",
                           then->target.name, first->target.name);
    diag_code(g, "target");
    diag_hint(g, "name the processors that need more first");
}

compile_target *targets_describe(const targets_wanted *w, arena *a, interner *names, diags *d, uint32_t *n)
{
    VEC(const char *) cpus = {0};
    const char *list = w->processors;
    if (!list) vec_push(a, &cpus, w->options->cpu);
    else if (!*list && !(list = codegen_multiversion_default(w->options, a, d))) return NULL;
    for (size_t len; list && *list; list += len + (list[len] == ',')) {
        len = strcspn(list, ",");
        vec_push(a, &cpus, arena_strndup(a, list, len));
    }
    compile_target *targets = ARENA_ARRAY(a, compile_target, cpus.len);
    for (*n = 0; *n < cpus.len; ++*n) {
        compile_target *t = &targets[*n];
        if (!describe(w, cpus.data[*n], a, names, d, t)) return NULL;
        for (uint32_t i = 0; i < *n; i++) {
            if (!strcmp(targets[i].target.name, t->target.name)) {
                diag_usage(d, "--multiversion names '%s' twice", t->target.name);
                return NULL;
            }
            warn_never_taken(d, &targets[i], t);
        }
    }
    return targets;
}
