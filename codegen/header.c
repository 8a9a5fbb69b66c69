/* Writes model.h. See header.h. */
#include "codegen/header.h"

#include "codegen/header_names.h"
#include "runtime/tfx.h"

#include <inttypes.h>

/* C types that callers pass; formats that C lacks travel as their bits. */
static const char *c_type(dtype t)
{
    switch (dtype_class_of(t)) {
    case DTC_BOOL: return "uint8_t";
    case DTC_FLOAT:
        if (dtype_bits(t) == 64) return "double";
        if (dtype_bits(t) == 32) return "float";
        return dtype_bits(t) == 16 ? "uint16_t" : "uint8_t";
    case DTC_INT:
        return (const char *const[]){"int8_t", "int16_t", "int32_t",
                                     "int64_t"}[dtype_bits(t) / 16 - dtype_bits(t) / 64];
    case DTC_UINT: break;
    }
    return (const char *const[]){"uint8_t", "uint16_t", "uint32_t",
                                 "uint64_t"}[dtype_bits(t) / 16 - dtype_bits(t) / 64];
}

typedef struct {
    const codegen_model *m;
    const char *prefix, *PREFIX;
    strbuf *out;
    arena *a;
    bool external_weights;
    name_set names;         /* macros, functions and the parameters below: no two alike */
    const char **parameter; /* of each dim, as functions of dims take it: "dim_B" */
    const char **DIM;       /* and the stem of its macros: "DIGITS_DIM_B" */
    const char *program;    /* an example for the head of the file, or NULL */
} writer;

/* One tensor of an entry and the names it goes by. */
typedef struct {
    const codegen_tensor *t;
    const char *MACRO;     /* DIGITS_INPUT_PIXELS */
    const char *function;  /* digits_input_pixels, before _shape and _elements */
    const char *parameter; /* in_pixels */
    bool *uses;            /* which dims its sizes depend on */
} tensor_names;

/* ---- sizes as C expressions ---- */

typedef struct {
    writer *w;
    VEC(const char *) nodes; /* what dim_fold's values index */
} c_dims;

static uint64_t c_node(void *arg, dim_op op, int64_t v, uint64_t left, uint64_t right)
{
    c_dims *c = arg;
    arena *a = c->w->a;
    const char *text = NULL;
    const char *l = op > DIM_OP_SYM ? c->nodes.data[left] : NULL, *r = op > DIM_OP_SYM ? c->nodes.data[right] : NULL;
    switch (op) {
    case DIM_OP_CONST:
        if (v == INT64_MIN) text = "INT64_MIN";
        else if (v > INT32_MAX || v < -INT32_MAX)
            text = arena_printf(a, v < 0 ? "(-INT64_C(%" PRId64 "))" : "INT64_C(%" PRId64 ")", v < 0 ? -v : v);
        else text = arena_printf(a, v < 0 ? "(%" PRId64 ")" : "%" PRId64, v);
        break;
    case DIM_OP_SYM: text = c->w->parameter[v]; break;
    case DIM_OP_ADD: text = arena_printf(a, "(%s + %s)", l, r); break;
    case DIM_OP_MUL: text = arena_printf(a, "(%s * %s)", l, r); break;
    case DIM_OP_FLOORDIV: text = arena_printf(a, "tfx_floordiv(%s, %s)", l, r); break;
    case DIM_OP_MOD: text = arena_printf(a, "tfx_mod(%s, %s)", l, r); break;
    case DIM_OP_MIN: text = arena_printf(a, "tfx_min(%s, %s)", l, r); break;
    case DIM_OP_MAX: text = arena_printf(a, "tfx_max(%s, %s)", l, r); break;
    }
    vec_push(a, &c->nodes, text);
    return c->nodes.len - 1;
}

static const char *c_dim(writer *w, dim d)
{
    c_dims c = {.w = w};
    uint64_t whole = dim_fold(w->m->dims, d, c_node, &c); /* first: it moves c.nodes.data */
    const char *text = c.nodes.data[whole];
    size_t n = strlen(text);
    return text[0] == '(' && text[1] != '-' ? arena_strndup(w->a, text + 1, n - 2)
                                            : text; /* the outermost pair is noise */
}

/* "f32[B, 3, S + 1]" */
static const char *type_text(writer *w, const codegen_tensor *t)
{
    strbuf b = strbuf_new(w->a);
    strbuf_adds(&b, dtype_name(t->dt));
    strbuf_addc(&b, '[');
    for (uint32_t i = 0; i < t->rank; i++) {
        if (i) strbuf_adds(&b, ", ");
        dim_print(w->m->dims, t->shape[i], &b);
    }
    strbuf_addc(&b, ']');
    return b.s;
}

/* "int64_t dim_B, int64_t dim_S" for the dims in `uses`; `empty` when there are none. */
static const char *dim_parameters(writer *w, const bool *uses, const char *empty)
{
    strbuf b = strbuf_new(w->a);
    for (uint32_t i = 0; i < dim_symbol_count(w->m->dims); i++)
        if (uses[i]) strbuf_addf(&b, "%sint64_t %s", b.len ? ", " : "", w->parameter[i]);
    return b.len ? b.s : empty;
}

/* The most elements that the tensor can have; -1 when that does not fit. */
static int64_t most_elements(writer *w, const codegen_tensor *t)
{
    int64_t n = 1, lo, hi;
    for (uint32_t i = 0; i < t->rank; i++) {
        dim_bounds(w->m->dims, t->shape[i], &lo, &hi);
        if (hi < 0 || __builtin_mul_overflow(n, hi, &n)) return -1;
    }
    return n;
}

/* ---- parts of the file ---- */

static void write_comment(writer *w, const char *doc)
{
    if (doc && *doc) strbuf_addf(w->out, "/* %s */\n", names_doc(w->a, doc));
}

static void write_exports(writer *w)
{
    strbuf_adds(w->out, "/* ---- the model's functions; struct tfx_api above says more about each ---- */\n\n");
#define RT_EXPORT(suffix, result, parameters, text)                                                            \
    {                                                                                                          \
        const char *returns = #result, *star = returns[strlen(returns) - 1] == '*' ? "" : " ";                 \
        strbuf_addf(w->out, "/* %s */\n%s%s%s_" #suffix "%s;\n", text, returns, star, w->prefix, #parameters); \
        names_reserve(&w->names, arena_printf(w->a, "%s_" #suffix, w->prefix));                                \
    }
#include "runtime/rt_exports.def"
#undef RT_EXPORT
}

/* The most that any entry needs; nothing where that is not known. */
static void write_workspace(writer *w)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < w->m->n_entries; i++) {
        if (!w->m->entries[i].workspace_bytes) return;
        if (w->m->entries[i].workspace_bytes > most) most = w->m->entries[i].workspace_bytes;
    }
    if (!most) return;
    strbuf_addf(w->out,
                "\n/* Bytes for tfx_options.workspace that are enough for every run on one thread and without "
                "TFX_STRIDED. What several\n * threads or a run with certain dims need, %s_workspace_size tells. */\n"
                "#define %s %" PRId64 "\n",
                w->prefix, names_unique(&w->names, "%s_WORKSPACE_BYTES", w->PREFIX), most);
}

static void write_dims(writer *w)
{
    uint32_t n = dim_symbol_count(w->m->dims);
    strbuf_addf(w->out,
                "\n/* ---- dims: index in an array of %s dim values, bounds ---- */\n\n#define %s %" PRIu32 "\n",
                w->prefix, names_unique(&w->names, "%s_DIMS", w->PREFIX), n);
    for (uint32_t i = 0; i < n; i++) {
        const dim_symbol *s = dim_symbol_at(w->m->dims, i);
        if (s->origin == DIM_DATA) continue; /* no caller gives or sees a value */
        const char *M = names_stem(&w->names, (const char *const[]){"_MIN", "_MAX", "_MULTIPLE", NULL}, "%s_DIM_%s",
                                   w->PREFIX, names_upper(w->a, s->name));
        w->DIM[i] = M;
        write_comment(w, s->doc);
        strbuf_addf(w->out, "#define %s %" PRIu32 " /* %s */\n", M, i, names_comment(w->a, s->name));
        strbuf_addf(w->out, s->min < 0 ? "#define %s_MIN (%" PRId64 ")\n" : "#define %s_MIN %" PRId64 "\n", M, s->min);
        strbuf_addf(w->out, s->max < 0 ? "#define %s_MAX (%" PRId64 ")\n" : "#define %s_MAX %" PRId64 "\n", M, s->max);
        if (s->multiple > 1) strbuf_addf(w->out, "#define %s_MULTIPLE %" PRId64 "\n", M, s->multiple);
    }
}

static void write_tensor(writer *w, const tensor_names *n, uint32_t index)
{
    const codegen_tensor *t = n->t;
    strbuf *o = w->out;
    strbuf_addf(o, "\n/* %s: %s%s%s */\n", names_comment(w->a, t->name), names_comment(w->a, type_text(w, t)),
                t->doc && *t->doc ? "\n * " : "", t->doc && *t->doc ? names_doc(w->a, t->doc) : "");
    strbuf_addf(o, "#define %s %" PRIu32 "\n", n->MACRO, index);
    strbuf_addf(o, "#define %s_DTYPE TFX_%s\n", n->MACRO, names_upper(w->a, dtype_name(t->dt)));
    strbuf_addf(o, "#define %s_RANK %d\n", n->MACRO, t->rank);
    int64_t size;
    for (uint32_t i = 0; i < t->rank; i++)
        if (dim_is_const(w->m->dims, t->shape[i], &size))
            strbuf_addf(o, "#define %s_SIZE_%" PRIu32 " %" PRId64 "\n", n->MACRO, i, size);
    int64_t most = most_elements(w, t);
    if (most >= 0) strbuf_addf(o, "#define %s_MAX_ELEMENTS %" PRId64 "\n", n->MACRO, most);

    strbuf_addf(o, "static inline int64_t %s_elements(%s)\n{\n    return ", n->function,
                dim_parameters(w, n->uses, "void"));
    for (uint32_t i = 0; i < t->rank; i++) {
        bool plain = dim_is_const(w->m->dims, t->shape[i], NULL) || dim_is_symbol(w->m->dims, t->shape[i]) >= 0;
        strbuf_addf(o, plain || t->rank == 1 ? "%s%s" : "%s(%s)", i ? " * " : "", c_dim(w, t->shape[i]));
    }
    strbuf_adds(o, t->rank ? ";\n}\n" : "1;\n}\n");
    if (t->rank == 0) return;
    const char *dims = dim_parameters(w, n->uses, "");
    strbuf_addf(o, "static inline void %s_shape(%s%sint64_t *shape)\n{\n", n->function, dims, *dims ? ", " : "");
    for (uint32_t i = 0; i < t->rank; i++) strbuf_addf(o, "    shape[%" PRIu32 "] = %s;\n", i, c_dim(w, t->shape[i]));
    strbuf_adds(o, "}\n");
}

/* What a type that C lacks is passed as. */
static const char *as_what(dtype t)
{
    if (dtype_class_of(t) == DTC_BOOL) return ", one byte each";
    if (dtype_class_of(t) != DTC_FLOAT || dtype_bits(t) >= 32) return "";
    return dtype_bits(t) >= 8 ? ", as bit patterns" : ", as bit patterns without gaps";
}

/* A whole program around the call, for the head of the file. */
static const char *example(writer *w, const codegen_entry *e, const char *call, const tensor_names *in,
                           const tensor_names *out)
{
    strbuf b = strbuf_new(w->a);
    strbuf_addf(&b, " *     #include \"%s.h\"\n *     #include <stdio.h>\n *\n *     int main(void)\n *     {\n",
                w->prefix);
    for (uint32_t i = 0; i < e->n_inputs + e->n_outputs; i++) {
        const tensor_names *t = i < e->n_inputs ? &in[i] : &out[i - e->n_inputs];
        if (most_elements(w, t->t) < 0) return NULL;
        strbuf_addf(&b, " *         static %s %s[%s_MAX_ELEMENTS];\n", c_type(t->t->dt), t->parameter, t->MACRO);
    }
    strbuf_adds(&b, " *         char why[256];\n *         tfx_model *m;\n *         tfx_options options = "
                    "TFX_OPTIONS_INIT;\n *         options.message = why;\n *         options.message_bytes = sizeof "
                    "why;\n");
    if (w->external_weights)
        strbuf_adds(&b, " *         options.weights_path = \"...\"; // the file that --external-weights wrote\n");
    strbuf_addf(&b, " *         if (%s_open(&options, &m) != TFX_OK) return puts(why), 1;\n *         if (%s(m",
                w->prefix, call);
    for (uint32_t i = 0; i < e->n_dims; i++) strbuf_addf(&b, ", %s_MIN", w->DIM[e->dims[i]]);
    for (uint32_t i = 0; i < e->n_inputs + e->n_outputs; i++)
        strbuf_addf(&b, ", %s", i < e->n_inputs ? in[i].parameter : out[i - e->n_inputs].parameter);
    strbuf_addf(&b, ") != TFX_OK) puts(%s_error(m));\n *         %s_close(m);\n *         return 0;\n *     }\n",
                w->prefix, w->prefix);
    return b.s;
}

/* A model without entries of its own has one that is called as the model. */
static bool is_sole(const codegen_model *m)
{
    return m->n_entries == 1 && strcmp(m->entries[0].name, m->name) == 0;
}

/* The function that takes pointers: its parameters are the entry's dims, then inputs, then outputs. */
static void write_call(writer *w, const codegen_entry *e, const char *call, const char *ENTRY, const tensor_names *in,
                       const tensor_names *out)
{
    strbuf *o = w->out;
    const char *doc = is_sole(w->m) && !e->doc ? w->m->doc : e->doc;
    bool documented = doc && *doc;
    strbuf_addf(o, "\n/* %s%sRuns entry '%s' on compact tensors: row-major, without gaps. ",
                documented ? names_doc(w->a, doc) : "", documented ? "\n *\n * " : "", names_comment(w->a, e->name));
    strbuf_addf(o,
                "Inputs are read only, outputs are written whole, and\n * overlap nothing. TFX_OK, or what is wrong, "
                "which %s_error(m) says in words.",
                w->prefix);
    if (e->n_dims + e->n_inputs + e->n_outputs) strbuf_adds(o, "\n *");
    for (uint32_t i = 0; i < e->n_dims; i++) {
        const dim_symbol *s = dim_symbol_at(w->m->dims, e->dims[i]);
        strbuf_addf(o, "\n *   %s: %s, from %" PRId64 " to %" PRId64, w->parameter[e->dims[i]],
                    names_comment(w->a, s->name), s->min, s->max);
        if (s->multiple > 1) strbuf_addf(o, ", a multiple of %" PRId64, s->multiple);
    }
    for (uint32_t i = 0; i < e->n_inputs + e->n_outputs; i++) {
        const tensor_names *t = i < e->n_inputs ? &in[i] : &out[i - e->n_inputs];
        strbuf_addf(o, "\n *   %s: %s%s", t->parameter, names_comment(w->a, type_text(w, t->t)), as_what(t->t->dt));
    }
    strbuf_addf(o, " */\nstatic inline tfx_status %s(tfx_model *m", call);
    for (uint32_t i = 0; i < e->n_dims; i++) strbuf_addf(o, ", int64_t %s", w->parameter[e->dims[i]]);
    for (uint32_t i = 0; i < e->n_inputs; i++)
        strbuf_addf(o, ",\n    const %s *%s", c_type(in[i].t->dt), in[i].parameter);
    for (uint32_t i = 0; i < e->n_outputs; i++) strbuf_addf(o, ",\n    %s *%s", c_type(out[i].t->dt), out[i].parameter);
    strbuf_adds(o, ")\n{\n");
    uint32_t n = e->n_inputs + e->n_outputs;
    bool any_shape = false;
    for (uint32_t i = 0; i < n; i++) any_shape |= (i < e->n_inputs ? in[i] : out[i - e->n_inputs]).t->rank > 0;
    if (any_shape) strbuf_addf(o, "    int64_t shapes[%" PRIu32 "][TFX_MAX_RANK];\n", n);
    strbuf_addf(o, "    tfx_tensor tensors[%" PRIu32 "];\n", n ? n : 1);
    if (e->n_given) strbuf_addf(o, "    int64_t given[%" PRIu32 "];\n", e->n_given);
    strbuf_adds(o, "    tfx_args args;\n");
    for (uint32_t i = 0; i < n; i++) {
        const tensor_names *t = i < e->n_inputs ? &in[i] : &out[i - e->n_inputs];
        if (t->t->rank) {
            strbuf_addf(o, "    %s_shape(", t->function);
            for (uint32_t k = 0; k < dim_symbol_count(w->m->dims); k++)
                if (t->uses[k]) strbuf_addf(o, "%s, ", w->parameter[k]);
            strbuf_addf(o, "shapes[%" PRIu32 "]);\n", i);
        }
        strbuf_addf(o, "    tensors[%" PRIu32 "] = tfx_compact(%s, %s_DTYPE, %s_RANK, ", i, t->parameter, t->MACRO,
                    t->MACRO);
        if (t->t->rank) strbuf_addf(o, "shapes[%" PRIu32 "]);\n", i);
        else strbuf_adds(o, "NULL);\n");
    }
    for (uint32_t i = 0; i < e->n_given; i++)
        strbuf_addf(o, "    given[%" PRIu32 "] = %s;\n", i, w->parameter[e->given[i]]);
    strbuf_addf(o,
                "    args.inputs = tensors;\n    args.outputs = tensors + %" PRIu32 ";\n    args.dims = %s;\n"
                "    args.n_inputs = %" PRIu32 ";\n    args.n_outputs = %" PRIu32 ";\n    args.n_dims = %" PRIu32
                ";\n    args.reserved = 0;\n    return %s_run(m, %s, &args);\n}\n",
                e->n_inputs, e->n_given ? "given" : "NULL", e->n_inputs, e->n_outputs, e->n_given, w->prefix, ENTRY);
}

static tensor_names *name_tensors(writer *w, const char *scope, const codegen_tensor *t, uint32_t n, const char *kind)
{
    static const char *const macros[] = {"_DTYPE",  "_RANK",   "_MAX_ELEMENTS", "_SIZE_0", "_SIZE_1", "_SIZE_2",
                                         "_SIZE_3", "_SIZE_4", "_SIZE_5",       "_SIZE_6", "_SIZE_7", NULL};
    static const char *const functions[] = {"_elements", "_shape", NULL};
    tensor_names *names = ARENA_ARRAY(w->a, tensor_names, n ? n : 1);
    for (uint32_t i = 0; i < n; i++) {
        names[i].t = &t[i];
        names[i].MACRO = names_stem(&w->names, macros, "%s_%s%s_%s", w->PREFIX, names_upper(w->a, scope),
                                    names_upper(w->a, kind), names_upper(w->a, t[i].name));
        names[i].function = names_stem(&w->names, functions, "%s_%s%s_%s", w->prefix, scope, kind, t[i].name);
        uint32_t n_dims = dim_symbol_count(w->m->dims);
        names[i].uses = ARENA_ARRAY(w->a, bool, n_dims ? n_dims : 1);
        for (uint32_t d = 0; d < n_dims; d++)
            for (uint32_t k = 0; k < t[i].rank; k++) names[i].uses[d] |= dim_uses(w->m->dims, t[i].shape[k], d);
    }
    return names;
}

/* Parameters of one function: they may be called as those of another, but not as what the function calls. */
static void name_parameters(name_set *names, tensor_names *t, uint32_t n, const char *kind)
{
    for (uint32_t i = 0; i < n; i++) t[i].parameter = names_unique(names, "%s_%s", kind, t[i].t->name);
}

static void write_entry(writer *w, uint32_t index)
{
    const codegen_entry *e = &w->m->entries[index];
    bool sole = is_sole(w->m);
    const char *name = sole ? "infer" : e->name, *scope = sole ? "" : arena_printf(w->a, "%s_", e->name);
    strbuf_addf(w->out, "\n/* ---- entry '%s' ---- */\n\n", names_comment(w->a, e->name));
    write_comment(w, e->doc);
    const char *ENTRY = names_unique(&w->names, "%s_ENTRY_%s", w->PREFIX, names_upper(w->a, name));
    strbuf_addf(w->out, "#define %s %" PRIu32 "\n", ENTRY, index);
    const char *call = names_unique(&w->names, "%s_%s", w->prefix, name);
    tensor_names *in = name_tensors(w, scope, e->inputs, e->n_inputs, "input");
    tensor_names *out = name_tensors(w, scope, e->outputs, e->n_outputs, "output");
    name_set parameters;
    names_copy(&parameters, &w->names);
    name_parameters(&parameters, in, e->n_inputs, "in");
    name_parameters(&parameters, out, e->n_outputs, "out");
    for (uint32_t i = 0; i < e->n_inputs; i++) write_tensor(w, &in[i], i);
    for (uint32_t i = 0; i < e->n_outputs; i++) write_tensor(w, &out[i], i);
    write_call(w, e, call, ENTRY, in, out);
    if (index == 0) w->program = example(w, e, call, in, out);
}

static void write_intro(const writer *w, strbuf *o)
{
    const codegen_model *m = w->m;
    strbuf_addf(o, "/* Model '%s'", names_comment(w->a, m->name));
    if (m->source && *m->source) strbuf_addf(o, ", compiled from %s", names_comment(w->a, m->source));
    strbuf_addf(o, " by %s. Do not edit.\n", names_comment(w->a, m->compiler));
    if (m->doc && *m->doc) strbuf_addf(o, " *\n * %s\n", names_doc(w->a, m->doc));
    strbuf_adds(o, " *\n * First comes tfx.h, which is the same for all models; then this model's functions, sizes and "
                   "entries. Link the\n * program with the object or archive that was written with this file, -lm and "
                   "-lpthread.\n");
    if (w->external_weights)
        strbuf_adds(o, " * The weights are in a file of their own, which the program names when it opens the model.\n");
    if (w->program) strbuf_addf(o, " *\n%s", w->program);
    strbuf_adds(o, " */\n");
}

void header_write(const codegen_model *m, const char *prefix, bool external_weights, const char *tfx_h, strbuf *out)
{
    arena *a = out->a;
    strbuf body = strbuf_new(a);
    writer w = {.m = m, .prefix = prefix, .PREFIX = names_upper(a, prefix), .out = &body, .a = a};
    w.external_weights = external_weights;
    names_init(&w.names, a);
    const char *guard = names_unique(&w.names, "%s_MODEL_H", w.PREFIX);
    write_exports(&w);
    uint32_t n = dim_symbol_count(m->dims);
    w.parameter = ARENA_ARRAY(a, const char *, n ? n : 1);
    w.DIM = ARENA_ARRAY(a, const char *, n ? n : 1);
    for (uint32_t i = 0; i < n; i++) w.parameter[i] = names_unique(&w.names, "dim_%s", dim_symbol_at(m->dims, i)->name);
    write_workspace(&w);
    write_dims(&w);
    for (uint32_t i = 0; i < m->n_entries; i++) write_entry(&w, i);

    write_intro(&w, out);
    strbuf_addf(out, "#ifndef %s\n#define %s\n\n%s\n", guard, guard, tfx_h);
    strbuf_addf(out,
                "#if TFX_ABI_VERSION != %d\n#error \"another version of tfx.h was included before; compile the models "
                "of a program with one tfxc\"\n#endif\n\n",
                TFX_ABI_VERSION);
    strbuf_adds(out, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
    strbuf_add(out, body.s, body.len);
    strbuf_adds(out, "\n#ifdef __cplusplus\n}\n#endif\n#endif\n");
}

bool header_prefix_valid(const char *prefix, const char **why)
{
    /* <sys>_open, <sys>_close, <sys>_error ... are functions of POSIX and its neighbours. */
    static const char *const system[] = {"sem", "mq", "shm", "aio", "dbm", "gdbm", "pthread", "sched", "posix"};
    *why = NULL;
    bool letter = (*prefix >= 'a' && *prefix <= 'z') || (*prefix >= 'A' && *prefix <= 'Z') || *prefix == '_';
    if (!letter) *why = "it does not begin with a letter or '_'";
    for (const char *p = prefix; *p && !*why; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_'))
            *why = "it has a character that C identifiers cannot have";
    if (!*why && strlen(prefix) > 200) *why = "it is longer than 200 characters";
    if (!*why && prefix[0] == '_') *why = "names that begin with '_' belong to the compiler and the system";
    for (size_t i = 0; !*why && i < sizeof system / sizeof *system; i++)
        if (strcmp(prefix, system[i]) == 0) *why = "the system's libraries have functions of that prefix";
    bool tfx = (prefix[0] == 't' || prefix[0] == 'T') && (prefix[1] == 'f' || prefix[1] == 'F') &&
               (prefix[2] == 'x' || prefix[2] == 'X');
    if (!*why && tfx && (prefix[3] == 0 || prefix[3] == '_')) *why = "names that begin with 'tfx' belong to tfx.h";
    return !*why;
}
