/* From kernel IR to a file. The weights never pass through LLVM: it writes an object with an empty place for them, and
 * their bytes are streamed behind it while the section header is made to point there. */
#include "codegen/codegen.h"
#include "codegen/elf_object.h"
#include "codegen/header.h"
#include "codegen/link.h"
#include "codegen/plan_memory.h"
#include "codegen/rt_tables.h"
#include "codegen/target.h"
#include "support/embedded.h"
#include "support/outfile.h"

#include <assert.h>
#include <llvm-c/BitReader.h>
#include <llvm-c/Error.h>
#include <llvm-c/Linker.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <llvm-c/blake3.h>
#include <stdio.h>

typedef struct {
    const codegen_variant *variants;
    codegen_target *targets; /* by variant */
    uint32_t n;
    const codegen_output *out;
    arena *a;
    diags *d;
    weights_layout *weights;
    outfile external; /* the weights' own file, until the artefact is there too */
    emit_module *m;
    LLVMTargetMachineRef machine;
} artefact;

/* ---- the runtime ---- */

static const char *const export_suffixes[] = {
#define RT_EXPORT(suffix, result, parameters, text) #suffix,
#include "runtime/rt_exports.def"
#undef RT_EXPORT
};
enum { N_EXPORTS = sizeof export_suffixes / sizeof *export_suffixes };

static const char *export_name(const artefact *x, int i)
{
    return arena_printf(x->a, "%s_%s", x->out->prefix, export_suffixes[i]);
}

static const runtime_bitcode *find_runtime(artefact *x)
{
    const char *triple = x->targets[0].triple, *arch = arch_rows[arch_of(triple)].name;
    for (size_t i = 0; i < runtime_bitcode_count; i++)
        if (!strcmp(runtime_bitcodes[i].arch, arch)) return &runtime_bitcodes[i];
    diag *g = diag_error(x->d, (span){0, 0}, "this tfxc has no runtime for target '%s'", triple);
    diag_code(g, "target");
    diag_note(g,
              "it is built for architectures whose C library's headers are there; assembly and LLVM IR can be written "
              "for any");
    diag_hint(g, "install the headers (Debian: scripts/setup --dev) and build tfxc again");
    return NULL;
}

/* The runtime's functions keep the baseline attributes they were compiled with (see rt_abi.h). */
static bool link_runtime(artefact *x)
{
    const runtime_bitcode *found = find_runtime(x);
    if (!found) return false;
    LLVMMemoryBufferRef bytes =
        LLVMCreateMemoryBufferWithMemoryRange((const char *)found->bytes, found->size, "runtime", false);
    LLVMModuleRef runtime = NULL;
    bool bad = LLVMParseBitcodeInContext2(x->m->ctx, bytes, &runtime);
    LLVMDisposeMemoryBuffer(bytes);
    if (bad) {
        if (!x->m->failed) diag_error(x->d, (span){0, 0}, "internal error: the runtime's bitcode cannot be read");
        return false;
    }
    LLVMSetTarget(runtime, x->targets[0].triple);
    LLVMSetModuleDataLayout(runtime, LLVMGetModuleDataLayout(x->m->mod));
    if (LLVMLinkModules2(x->m->mod, runtime)) {
        if (!x->m->failed)
            diag_error(x->d, (span){0, 0}, "internal error: the runtime does not fit the generated code");
        return false;
    }
    return true;
}

static void make_local(LLVMValueRef v)
{
    if (LLVMIsDeclaration(v) || !strncmp(LLVMGetValueName2(v, &(size_t){0}), "llvm.", 5)) return;
    LLVMSetVisibility(v, LLVMDefaultVisibility);
    LLVMSetLinkage(v, LLVMInternalLinkage);
}

static void make_global(LLVMValueRef v)
{
    LLVMSetLinkage(v, LLVMExternalLinkage);
    LLVMSetVisibility(v, LLVMDefaultVisibility);
}

/* Makes everything local but the exported functions, which get their prefix; then drops what nothing refers to. */
static bool set_exports(artefact *x)
{
    LLVMModuleRef mod = x->m->mod;
    for (LLVMValueRef f = LLVMGetFirstFunction(mod); f; f = LLVMGetNextFunction(f)) make_local(f);
    for (LLVMValueRef g = LLVMGetFirstGlobal(mod); g; g = LLVMGetNextGlobal(g)) make_local(g);
    for (int i = 0; i < N_EXPORTS; i++) {
        LLVMValueRef fn = LLVMGetNamedFunction(mod, arena_printf(x->a, "rt_export_%s", export_suffixes[i]));
        assert(fn && "the runtime defines all exports");
        const char *name = export_name(x, i);
        LLVMSetValueName2(fn, name, strlen(name));
        make_global(fn);
    }
    LLVMValueRef loadable = LLVMGetNamedFunction(mod, TFX_MODEL_SYMBOL);
    assert(loadable);
    if (x->out->kind == CODEGEN_SO) make_global(loadable);

    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(mod, "globaldce", x->machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (!error) return true;
    char *why = LLVMGetErrorMessage(error);
    diag_error(x->d, (span){0, 0}, "LLVM: %s", why);
    LLVMDisposeErrorMessage(why);
    return false;
}

/* ---- weights ---- */

typedef struct {
    outfile *f;
    llvm_blake3_hasher hash;
} weights_writer;

static bool write_weights_piece(void *arg, const void *bytes, size_t n)
{
    weights_writer *w = arg;
    llvm_blake3_hasher_update(&w->hash, bytes, n);
    return outfile_write_sparse(w->f, bytes, n);
}

/* Writes the weights at the file's end and their identity to `id`: the BLAKE3 hash of their bytes. */
static bool write_weights(artefact *x, outfile *f, uint8_t id[32])
{
    weights_writer w = {.f = f};
    llvm_blake3_hasher_init(&w.hash);
    if (!weights_stream(x->weights, write_weights_piece, &w, x->d) || !outfile_end_holes(f)) return false;
    llvm_blake3_hasher_finalize(&w.hash, id, 32);
    return true;
}

static bool write_weights_file(artefact *x, uint8_t id[32])
{
    outfile *f = &x->external;
    struct rt_weights_header h = {
        .magic = RT_WEIGHTS_MAGIC, .version = 1, .header_bytes = sizeof h, .offset = 4096, .bytes = x->weights->bytes};
    if (!outfile_open(f, x->a, x->d, x->out->weights_path, "", OUTFILE_BYTES) || !outfile_pad(f, h.offset) ||
        !write_weights(x, f, id))
        return false;
    memcpy(h.id, id, sizeof h.id);
    return outfile_write_at(f, &h, sizeof h, 0) && outfile_close(f);
}

static bool write_model_header(artefact *x, outfile *f)
{
    if (!x->out->header_path) return true;
    strbuf text = strbuf_new(x->a);
    header_write(x->variants[0].model, x->out->prefix, x->out->weights_path != NULL, tfx_h_text, &text);
    return outfile_open(f, x->a, x->d, x->out->header_path, "", OUTFILE_BYTES) && outfile_write(f, text.s, text.len) &&
           outfile_close(f);
}

/* The artefact and what belongs to it get their names together. */
static bool commit(artefact *x, outfile *f)
{
    outfile header = OUTFILE_NONE;
    bool ok = outfile_close(f) && write_model_header(x, &header) && outfile_commit(&x->external) &&
              outfile_commit(&header) && outfile_commit(f);
    outfile_discard(&header);
    return ok;
}

/* ---- objects ---- */

/* The object's bytes, changed in place: LLVM's buffer is private memory. */
typedef struct {
    uint8_t *bytes;
    size_t n;
    LLVMMemoryBufferRef buffer;
} object;

static bool compile_object(artefact *x, object *out)
{
    out->buffer = emit_module_code(x->m, x->machine, LLVMObjectFile);
    if (!out->buffer) return false;
    out->bytes = (uint8_t *)LLVMGetBufferStart(out->buffer);
    out->n = LLVMGetBufferSize(out->buffer);
    if (elf_object_valid(out->bytes, out->n)) return true;
    diag_error(x->d, (span){0, 0}, "target '%s' does not use 64-bit little-endian ELF objects", x->targets[0].triple);
    return false;
}

/* Appends the object to the file, its weights page-aligned within the object and behind everything else. */
static bool write_object(artefact *x, object *o, outfile *f, uint64_t start)
{
    uint8_t id[32] = {0};
    uint64_t at = (o->n + 4095) / 4096 * 4096, size;
    bool external = x->out->weights_path != NULL, embed = x->weights->bytes && !external;
    if (external && !write_weights_file(x, id)) return false;
    if (embed) {
        bool moved = elf_move_section(o->bytes, o->n, WEIGHTS_SECTION, at, x->weights->bytes);
        assert(moved && "the weights' place in the object");
        if (!outfile_pad(f, start + at) || !write_weights(x, f, id)) return false;
    }
    uint8_t *model = elf_symbol_bytes(o->bytes, o->n, "rt_the_model", &size);
    assert(model && size == sizeof(struct rt_model));
    if (x->weights->bytes) memcpy(model + WEIGHT_ID_OFFSET, id, sizeof id);
    return outfile_write_at(f, o->bytes, o->n, start) && (embed || outfile_pad(f, start + o->n));
}

static bool emit_object_file(artefact *x, object *o)
{
    outfile f;
    bool ok =
        outfile_open(&f, x->a, x->d, x->out->path, "", OUTFILE_BYTES) && write_object(x, o, &f, 0) && commit(x, &f);
    outfile_discard(&f);
    return ok;
}

/* ---- archives ---- */

/* A member's header in the common ar format. All that could differ between two runs is fixed. */
static void ar_header(char out[61], const char *name, uint64_t size)
{
    snprintf(out, 61, "%-16s%-12d%-6d%-6d%-8s%-10llu`\n", name, 0, 0, 0, "100644", (unsigned long long)size);
}

static void put_be32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* "!<arch>", a symbol index (count, then the object's place for each symbol, then the names), the object. */
static bool emit_archive(artefact *x, object *o)
{
    strbuf index = strbuf_new(x->a);
    strbuf_pad(&index, 4 + 4 * N_EXPORTS, 0);
    for (int i = 0; i < N_EXPORTS; i++) strbuf_add(&index, export_name(x, i), strlen(export_name(x, i)) + 1);
    if (index.len % 2) strbuf_addc(&index, 0);
    uint64_t member = 8 + 60 + index.len, start = member + 60;
    put_be32((uint8_t *)index.s, N_EXPORTS);
    for (int i = 0; i < N_EXPORTS; i++) put_be32((uint8_t *)index.s + 4 + 4 * i, (uint32_t)member);

    bool embed = x->weights->bytes && !x->out->weights_path;
    uint64_t size = embed ? (o->n + 4095) / 4096 * 4096 + x->weights->bytes : o->n;
    if (size > 9999999999u) {
        diag *g =
            diag_error(x->d, (span){0, 0}, "%llu bytes are too many for a static library", (unsigned long long)size);
        diag_hint(g, "write an object file, or keep the weights in a file of their own");
        return false;
    }
    char index_header[61], member_header[61];
    ar_header(index_header, "/", index.len);
    ar_header(member_header, "model.o/", size);
    outfile f;
    bool ok = outfile_open(&f, x->a, x->d, x->out->path, "", OUTFILE_BYTES) && outfile_write(&f, "!<arch>\n", 8) &&
              outfile_write(&f, index_header, 60) && outfile_write(&f, index.s, index.len) &&
              outfile_write(&f, member_header, 60) && write_object(x, o, &f, start) &&
              (size % 2 == 0 || outfile_write_at(&f, "\n", 1, start + size)) && commit(x, &f);
    outfile_discard(&f);
    return ok;
}

/* ---- shared objects ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool emit_shared(artefact *x, object *o)
{
    outfile linked = OUTFILE_NONE, f;
    link_target target = {x->targets[0].triple, x->targets[0].is_host, x->out->sysroot, x->out->linker};
    bool ok = outfile_open(&f, x->a, x->d, x->out->path, ".o", OUTFILE_BYTES) && write_object(x, o, &f, 0) &&
              outfile_close(&f) && outfile_open(&linked, x->a, x->d, x->out->path, ".so", OUTFILE_EXECUTABLE) &&
              outfile_close(&linked) &&
              link_shared(&target, f.temporary, linked.temporary, base_name(x->out->path), x->a, x->d) &&
              commit(x, &linked);
    outfile_discard(&linked);
    outfile_discard(&f);
    return ok;
}

/* ---- text ---- */

static bool emit_text(artefact *x, const char *text, size_t n)
{
    outfile f;
    bool ok = outfile_open(&f, x->a, x->d, x->out->path, "", OUTFILE_TEXT) && outfile_write(&f, text, n) &&
              outfile_commit(&f);
    outfile_discard(&f);
    return ok;
}

static bool emit_ir_text(artefact *x)
{
    char *text = LLVMPrintModuleToString(x->m->mod);
    bool ok = emit_text(x, text, strlen(text));
    LLVMDisposeMessage(text);
    return ok;
}

static bool emit_assembly(artefact *x)
{
    LLVMMemoryBufferRef text = emit_module_code(x->m, x->machine, LLVMAssemblyFile);
    if (!text) return false;
    bool ok = emit_text(x, LLVMGetBufferStart(text), LLVMGetBufferSize(text));
    LLVMDisposeMemoryBuffer(text);
    return ok;
}

/* ---- all of it ---- */

static bool emit_binary(artefact *x)
{
    if (!link_runtime(x) || !set_exports(x)) return false;
    object o = {0};
    bool ok = compile_object(x, &o);
    if (ok && x->out->kind == CODEGEN_SO) ok = emit_shared(x, &o);
    else if (ok && x->out->kind == CODEGEN_AR) ok = emit_archive(x, &o);
    else if (ok) ok = emit_object_file(x, &o);
    if (o.buffer) LLVMDisposeMemoryBuffer(o.buffer);
    return ok;
}

/* What the rest takes for granted of plans that were read from text. */
typedef struct {
    const kmodule *k;
    diags *d;
} launch_check;

static void check_launch(void *arg, const kop *op)
{
    launch_check *c = arg;
    const kfunction *callee = kmodule_find(c->k, op->at.callee);
    if (callee && callee->target == KTARGET_CPU) return;
    diag_error(c->d, op->source, "kernel '%s' is not for a CPU: it cannot be part of this artefact", op->at.callee);
}

static bool check_plans(artefact *x, const codegen_variant *v)
{
    uint32_t errors = diags_errors(x->d);
    launch_check c = {v->k, x->d};
    for (uint32_t i = 0; i < v->model->n_entries; i++) {
        const kfunction *plan = v->model->entries[i].plan;
        plan_foreach_launch(plan, check_launch, &c);
        vec_foreach (const kparam, p, &plan->params)
            if (p->role == KPARAM_WEIGHT && !p->weight)
                diag_error(x->d, plan->sources.len ? plan->sources.data[0] : (span){0, 0}, "weight '%s' has no value",
                           p->tensor);
    }
    return diags_errors(x->d) == errors;
}

/* Where there are no sections for large data, the weights lie among the rest. */
static bool weights_fit(artefact *x)
{
    const char *triple = x->targets[0].triple;
    int bits = arch_rows[arch_of(triple)].reach;
    bool binary = x->out->kind == CODEGEN_SO || x->out->kind == CODEGEN_OBJ || x->out->kind == CODEGEN_AR;
    uint64_t margin = 256 << 20; /* for code and tables */
    if (!binary || x->out->weights_path || x->weights->bytes + margin < UINT64_C(1) << bits) return true;
    diag *g = diag_error(x->d, (span){0, 0}, "%llu bytes of weights are too many inside a model for '%s'",
                         (unsigned long long)x->weights->bytes, triple);
    diag_code(g, "target");
    diag_hint(g, "put them into a file of their own with --external-weights=");
    return false;
}

static bool emit(artefact *x)
{
    const char *why;
    if (!header_prefix_valid(x->out->prefix, &why)) {
        diag_error(x->d, (span){0, 0}, "'%s' cannot be a prefix: %s", x->out->prefix, why);
        return false;
    }
    const codegen_options *o = x->variants[0].o;
    x->targets = ARENA_ARRAY(x->a, codegen_target, x->n);
    for (uint32_t i = 0; i < x->n; i++)
        if (!codegen_target_describe(x->variants[i].o, x->a, x->d, &x->targets[i]) || !check_plans(x, &x->variants[i]))
            return false;
    x->weights = weights_plan(x->variants, x->n, x->a);
    if (x->out->weights_path && !x->weights->bytes) {
        diag_in_file(diag_error(x->d, (span){0, 0}, "the model has no weights to be put there"), x->out->weights_path);
        return false;
    }
    if (!weights_fit(x)) return false;
    x->m = emit_module_new(x->a, x->d, x->variants[0].k, &x->targets[0], o);
    x->machine = target_machine(&x->targets[0], o->opt, x->d);
    if (!x->m || !x->machine) return false;
    emit_model(x->m, x->variants, x->targets, x->n, x->weights, x->out->weights_path != NULL);
    /* Before the runtime comes in: it is optimised already, and passes over kernels are paid by their size. */
    if (!emit_module_finish(x->m, x->machine, o->opt)) return false;
    if (x->out->kind == CODEGEN_LL) return emit_ir_text(x);
    if (x->out->kind == CODEGEN_ASM) return emit_assembly(x);
    return emit_binary(x);
}

bool codegen_emit(const codegen_variant *variants, uint32_t n, const codegen_output *out, arena *a, diags *d)
{
    for (uint32_t i = 0; i < n; i++) expand_math(variants[i].k);
    artefact x = {.variants = variants, .n = n, .out = out, .a = a, .d = d, .external = OUTFILE_NONE};
    bool ok = emit(&x);
    outfile_discard(&x.external);
    if (x.machine) LLVMDisposeTargetMachine(x.machine);
    emit_module_free(x.m);
    return ok;
}
