/* Line tables: each instruction belongs to the place in the .tfx file that its kernel op was made from, so that
 * debuggers and profilers show the model's text. Types and variables are not described. */
#include "codegen/emit.h"

#include <stdio.h>

struct emit_debug {
    LLVMDIBuilderRef di;
    LLVMMetadataRef unit, no_types;
    ptrmap *files;      /* source_file -> DIFile */
    LLVMMetadataRef fn; /* the subprogram of the function being emitted */
    const source_file *fn_file;
    ptrmap *scopes; /* source_file -> scope inside fn for places in other files */
};

static LLVMMetadataRef make_file(emit_debug *g, const char *path)
{
    return LLVMDIBuilderCreateFile(g->di, path, strlen(path), "", 0);
}

static LLVMMetadataRef file_of(emit_module *m, const source_file *f)
{
    emit_debug *g = m->debug;
    LLVMMetadataRef file = ptrmap_get(g->files, f);
    if (!file) ptrmap_set(g->files, f, file = make_file(g, f->name));
    return file;
}

emit_debug *debug_new(emit_module *m, const codegen_options *o, LLVMDWARFEmissionKind kind)
{
    if (!m->sources) return NULL;
    emit_debug *g = ARENA_NEW(m->a, emit_debug);
    g->di = LLVMCreateDIBuilder(m->mod);
    g->files = ptrmap_new(m->a);
    LLVMMetadataRef flags[] = {LLVMValueAsMetadata(cg_const_i32(m, LLVMDebugMetadataVersion())),
                               LLVMValueAsMetadata(cg_const_i32(m, 5))};
    LLVMAddModuleFlag(m->mod, LLVMModuleFlagBehaviorWarning, "Debug Info Version", 18, flags[0]);
    LLVMAddModuleFlag(m->mod, LLVMModuleFlagBehaviorWarning, "Dwarf Version", 13, flags[1]);
    const char *name = LLVMGetModuleIdentifier(m->mod, &(size_t){0});
    g->unit = LLVMDIBuilderCreateCompileUnit(g->di, LLVMDWARFSourceLanguageC11, make_file(g, name), "tfxc", 4,
                                             o->opt > 0, "", 0, 0, "", 0, kind, 0, false, false, "", 0, "", 0);
    g->no_types = LLVMDIBuilderCreateSubroutineType(g->di, make_file(g, name), NULL, 0, LLVMDIFlagZero);
    return g;
}

void debug_function(emit_module *m, LLVMValueRef fn, const char *name, span at)
{
    emit_debug *g = m->debug;
    if (!g) return;
    uint32_t line = 0, col = 0;
    g->fn_file = at.begin ? source_of(m->sources, at.begin) : NULL;
    g->scopes = ptrmap_new(m->a);
    if (g->fn_file) source_line_col(m->sources, at.begin, &line, &col);
    LLVMMetadataRef file =
        g->fn_file ? file_of(m, g->fn_file) : make_file(g, LLVMGetModuleIdentifier(m->mod, &(size_t){0}));
    size_t n;
    const char *symbol = LLVMGetValueName2(fn, &n);
    g->fn = LLVMDIBuilderCreateFunction(g->di, file, name, strlen(name), symbol, n, file, line, g->no_types, true, true,
                                        line, LLVMDIFlagArtificial, true);
    LLVMSetSubprogram(fn, g->fn);
}

/* A place in another file than the function's needs a scope that names that file. */
static LLVMMetadataRef scope_for(emit_module *m, const source_file *f)
{
    emit_debug *g = m->debug;
    if (f == g->fn_file) return g->fn;
    LLVMMetadataRef scope = ptrmap_get(g->scopes, f);
    if (!scope) {
        scope = LLVMDIBuilderCreateLexicalBlockFile(g->di, g->fn, file_of(m, f), 0);
        ptrmap_set(g->scopes, f, scope);
    }
    return scope;
}

void debug_at(emitter *e, span at)
{
    emit_debug *g = e->m->debug;
    if (!g || !g->fn) return;
    const source_file *f = at.begin ? source_of(e->m->sources, at.begin) : NULL;
    uint32_t line = 0, col = 0;
    if (f) source_line_col(e->m->sources, at.begin, &line, &col);
    LLVMMetadataRef place =
        LLVMDIBuilderCreateDebugLocation(e->m->ctx, line, col, f ? scope_for(e->m, f) : g->fn, NULL);
    LLVMSetCurrentDebugLocation2(e->b, place);
    LLVMSetCurrentDebugLocation2(e->entry, place);
}

void debug_function_end(emit_module *m)
{
    if (m->debug) m->debug->fn = NULL;
}

void debug_finish(emit_debug *g)
{
    if (g) LLVMDIBuilderFinalize(g->di);
}

void debug_free(emit_debug *g)
{
    if (g) LLVMDisposeDIBuilder(g->di);
}
