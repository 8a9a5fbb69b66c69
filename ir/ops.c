/* The op tables: ops.def and scalar.def as rows that can be looked up, and as the reference page. */
#include "ir/internal.h"

#include <assert.h>

const op_info *op_row(op_kind op)
{
    /* The table writes attributes without their prefix; inside this function the bare words mean them. */
    enum {
#define ATTR(name, NAME, KIND) NAME = ATTR_##NAME,
#include "ir/attrs.def"
#undef ATTR
    };
    static const op_info rows[OP_COUNT] = {
#define A(...) (uint8_t)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), {__VA_ARGS__}
#define OP(name, NAME, lo, hi, props, attrs, axes, math) [OP_##NAME] = {#name, lo, hi, props, attrs, axes, math},
#include "ir/ops.def"
#undef OP
#undef A
#define SCALAR(name, NAME, arity, operands, result, f, i, math) \
    [OP_##NAME] = {#name, arity, arity, P_ELEMENTWISE, 0, {0}, X_POINTWISE, math},
#include "ir/scalar.def"
#undef SCALAR
    };
    assert((unsigned)op < OP_COUNT);
    return &rows[op];
}

bool op_commutes(op_kind op)
{
    switch (op) {
#define SCALAR(name, NAME, arity, operands, result, f, i, math)
#define SCALAR_COMMUTES(NAME) case OP_##NAME:
#include "ir/scalar.def"
#undef SCALAR_COMMUTES
#undef SCALAR
        return true;
    default: return (op_row(op)->props & P_COMMUTES) != 0;
    }
}

const scalar_info *scalar_row(op_kind op)
{
/* The table writes X where an op is not defined for a class of numbers. */
#define DEFINED(expression) (sizeof(#expression) != 2 || #expression[0] != 'X')
    static const scalar_info rows[OP_COUNT] = {
#define SCALAR(name, NAME, arity, operands, result, f, i, math) \
    [OP_##NAME] = {operands, result, DEFINED(f), DEFINED(i)},
#include "ir/scalar.def"
#undef SCALAR
    };
#undef DEFINED
    assert(op_row(op)->props & P_ELEMENTWISE);
    return &rows[op];
}

uint32_t op_result_count(op_kind op, const attr *attrs)
{
    const op_info *row = op_row(op);
    if (!(row->props & P_SEVERAL)) return 1;
    for (int i = 0; i < row->n_attrs; i++)
        if (row->attrs[i] == ATTR_BODY) return attrs[i].set && attrs[i].u.f ? attrs[i].u.f->results.len : 0;
    return 2; /* elements and their indices */
}

bool op_find(const char *name, size_t n, op_kind *out)
{
    for (int op = 0; op < OP_COUNT; op++) {
        const char *s = op_row((op_kind)op)->name;
        if (strlen(s) == n && !memcmp(s, name, n)) {
            *out = (op_kind)op;
            return true;
        }
    }
    return false;
}

/* ---- the reference page ---- */

static const char *const axes_text[] = {
    [X_NONE] = "no operands",
    [X_POINTWISE] = "all parallel, the same in operands and result",
    [X_BROADCAST] = "parallel; operand axis k runs along result axis axes[k]",
    [X_TRANSPOSE] = "parallel; permuted by perm",
    [X_RESHAPE] = "parallel; runs of axes merged or split",
    [X_SLICE] = "parallel; offset by start, spaced by step",
    [X_CONCAT] = "parallel; offset along axis",
    [X_LABELS] = "letters of the result parallel, the others reductions",
    [X_REDUCE] = "axes are reductions, the others parallel",
    [X_ROWWISE] = "parallel, but the row's axes are reduced within the op",
    [X_ATTENTION] = "b, h, s, e parallel; t and d reductions",
    [X_GATHER] = "parallel; the table's axis is indexed",
    [X_UPDATE] = "parallel; operand 1 offset by start",
    [X_TOP_K] = "the operand's axis is a reduction, the others parallel",
    [X_RUNS] = "a mask says which element is where",
    [X_OPAQUE] = "nothing is known",
};

static void print_operand_count(const op_info *o, strbuf *out)
{
    if (o->max_operands < 0) strbuf_addf(out, "%d or more", o->min_operands);
    else if (o->min_operands == o->max_operands) strbuf_addf(out, "%d", o->min_operands);
    else strbuf_addf(out, "%d to %d", o->min_operands, o->max_operands);
}

/* What the table marks P_INTERPRETED, in a sentence. */
static void print_not_compiled(strbuf *out)
{
    int left = 0;
    for (int op = 0; op < OP_COUNT; op++) left += (op_row((op_kind)op)->props & P_INTERPRETED) != 0;
    if (!left) return;
    strbuf_adds(out, "\nNot compiled yet, run by the tensor interpreter alone: ");
    for (int op = 0; op < OP_COUNT; op++)
        if (op_row((op_kind)op)->props & P_INTERPRETED)
            strbuf_addf(out, "`%s`%s", op_row((op_kind)op)->name, --left ? ", " : ".\n");
}

static const char *result_count_text(const op_info *o)
{
    for (int i = 0; i < o->n_attrs; i++)
        if (o->attrs[i] == ATTR_BODY) return "the body's";
    return o->props & P_SEVERAL ? "2" : "1";
}

/* Markdown tables end a cell at a bar. */
static void print_cell(const char *s, strbuf *out)
{
    for (; *s; s++) {
        if (*s == '|') strbuf_addc(out, '\\');
        strbuf_addc(out, *s);
    }
}

void ops_print_reference(strbuf *out)
{
    strbuf_adds(out, "# Ops of the tensor IR\n\n"
                     "This page is generated from the tables in `ir/*.def` by `tfxc --print-ops`; edit those.\n\n"
                     "## Tensor ops\n\n"
                     "| op | operands | results | attributes | axes | mathematics |\n|---|---|---|---|---|---|\n");
    for (int op = 0; op < OP_COUNT; op++) {
        const op_info *o = op_row((op_kind)op);
        if (o->props & P_ELEMENTWISE) continue;
        strbuf_addf(out, "| `%s` | ", o->name);
        print_operand_count(o, out);
        strbuf_addf(out, " | %s | ", result_count_text(o));
        for (int i = 0; i < o->n_attrs; i++) strbuf_addf(out, "%s`%s`", i ? ", " : "", attr_text(o->attrs[i]));
        strbuf_addf(out, " | %s | ", axes_text[o->axes]);
        print_cell(o->math, out);
        strbuf_adds(out, " |\n");
    }
    print_not_compiled(out);
    strbuf_adds(
        out, "\n## Elementwise ops\n\n"
             "Operands have exactly the result's shape; `broadcast` makes it so. An op is defined for the classes of\n"
             "dtypes that are marked.\n\n"
             "| op | operands | float | int | bool | result | commutes | mathematics |\n"
             "|---|---|---|---|---|---|---|---|\n");
    for (int op = 0; op < OP_COUNT; op++) {
        const op_info *o = op_row((op_kind)op);
        if (!(o->props & P_ELEMENTWISE)) continue;
        const scalar_info *s = scalar_row((op_kind)op);
        bool on_bool =
            s->operands == S_BOOL || s->operands == S_SELECT || (s->operands == S_SAME && s->result == R_BOOL);
        strbuf_addf(out, "| `%s` | ", o->name);
        print_operand_count(o, out);
        strbuf_addf(out, " | %s | %s | %s | %s | %s | ", s->on_float && s->operands != S_BOOL ? "x" : "",
                    s->on_int && s->operands != S_BOOL ? "x" : "", on_bool ? "x" : "",
                    s->result == R_BOOL ? "bool" : "as operands", op_commutes((op_kind)op) ? "yes" : "");
        print_cell(o->math, out);
        strbuf_adds(out, " |\n");
    }
    strbuf_adds(out, "\n## Attributes\n\n| attribute | kind |\n|---|---|\n");
    static const char *const kinds[] = {
        [AK_INT] = "integer",
        [AK_INTS] = "list of integers",
        [AK_DIM] = "dim",
        [AK_DIMS] = "list of dims",
        [AK_DTYPE] = "dtype",
        [AK_REAL] = "real number",
        [AK_LABELS] = "einsum labels",
        [AK_PARAM] = "a parameter's path",
        [AK_BODY] = "a body's name",
        [AK_ENUM_REDUCE] = "sum, mean, max, min, prod, any or all",
        [AK_ENUM_NORM] = "standard or rms",
    };
    for (int a = 0; a < N_ATTRS; a++)
        strbuf_addf(out, "| `%s` | %s |\n", attr_text((attr_name)a), kinds[attr_kind_of((attr_name)a)]);
    strbuf_adds(out, "\n## Element types\n\n| dtype | storage bits | in a safetensors header |\n|---|---|---|\n");
#define DTYPE(name, TEXT, bits, cls, safetensors) strbuf_addf(out, "| `%s` | %d | %s |\n", #name, bits, safetensors);
#include "ir/dtypes.def"
#undef DTYPE
    strbuf_adds(out, "\n## Encodings\n\n| encoding | parameters | where an element lies |\n|---|---|---|\n");
#define ENCODING(name, NAME, params, math) strbuf_addf(out, "| `%s` | %d | `%s` |\n", #name, params, math);
#include "ir/encodings.def"
#undef ENCODING
}
