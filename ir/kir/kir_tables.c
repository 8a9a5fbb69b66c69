/* The kernel IR's tables as rows that can be looked up, and as the reference page. */
#include "ir/kir/kir_internal.h"

#include <assert.h>

const kop_info *kop_row(kop_kind op)
{
/* The table writes attributes without their prefix. */
#define KA0() 0, {KATTR_COUNT}
#define KA1(a) 1, {KATTR_##a}
#define KA2(a, b) 2, {KATTR_##a, KATTR_##b}
#define KA3(a, b, c) 3, {KATTR_##a, KATTR_##b, KATTR_##c}
#define KA_PICK(none, a, b, c, form, ...) form
#define KA(...) KA_PICK(0, ##__VA_ARGS__, KA3, KA2, KA1, KA0)(__VA_ARGS__)
    static const kop_info rows[KOP_COUNT] = {
#define KOP(name, NAME, props, attrs, text) [KOP_##NAME] = {#name, props, attrs, text},
#include "ir/kir/kops.def"
#undef KOP
#undef KA
#undef KA_PICK
#define SCALAR(name, NAME, arity, operands, result, f, i, math) \
    [KOP_##NAME] = {#name, K_PURE | K_KERNEL | K_PLAN | K_ELEMENTWISE, 0, {0}, math},
#include "ir/kir/kscalar.def"
#undef SCALAR
    };
    assert((unsigned)op < KOP_COUNT);
    return &rows[op];
}

bool kop_find(const char *name, size_t n, kop_kind *out)
{
    for (int op = 0; op < KOP_COUNT; op++) {
        const char *s = kop_row((kop_kind)op)->name;
        if (strlen(s) == n && !memcmp(s, name, n)) {
            *out = (kop_kind)op;
            return true;
        }
    }
    return false;
}

const kscalar_info *kscalar_row(kop_kind op)
{
/* The table writes X where an op is not defined for a class of numbers. */
#define DEFINED(expression) (sizeof(#expression) != 2 || #expression[0] != 'X')
    static const kscalar_info rows[KOP_COUNT] = {
#define SCALAR(name, NAME, arity, operands, result, f, i, math) \
    [KOP_##NAME] = {arity, operands, result, DEFINED(f), DEFINED(i)},
#include "ir/kir/kscalar.def"
#undef SCALAR
    };
#undef DEFINED
    assert(kop_row(op)->props & K_ELEMENTWISE);
    return &rows[op];
}

static const struct {
    const char *name;
    kagent agent;
    const char *text;
} layouts[KL_COUNT] = {
#define LAYOUT(name, NAME, agent, text) [KL_##NAME] = {#name, KAGENT_##agent, text},
#include "ir/kir/layouts.def"
#undef LAYOUT
};

kagent klayout_agent(klayout l)
{
    assert((unsigned)l < KL_COUNT);
    return layouts[l].agent;
}

const char *klayout_name(klayout l)
{
    assert((unsigned)l < KL_COUNT);
    return layouts[l].name;
}

const char *kspace_name(kspace s)
{
    static const char *const names[] = {[KSPACE_GLOBAL] = "global",
                                        [KSPACE_STACK] = "stack",
                                        [KSPACE_SCRATCH] = "scratch",
                                        [KSPACE_SHARED] = "shared",
                                        [KSPACE_WORKSPACE] = "workspace"};
    assert((unsigned)s < sizeof names / sizeof names[0]);
    return names[s];
}

const char *kmap_name(kmap m)
{
    const char *name = kattr_word(KK_WORD_MAP, (int)m);
    assert(name);
    return name;
}

/* ---- the reference page ---- */

/* Markdown tables end a cell at a bar, and take <x> for a tag. */
static void print_cell(const char *s, strbuf *out)
{
    for (; *s; s++) {
        if (*s == '<') {
            strbuf_adds(out, "&lt;");
            continue;
        }
        if (*s == '|') strbuf_addc(out, '\\');
        strbuf_addc(out, *s);
    }
}

static void print_where(uint8_t props, strbuf *out)
{
    if (props & K_GPU) strbuf_adds(out, "GPU kernels");
    else if (props & K_KERNEL) strbuf_adds(out, props & K_PLAN ? "kernels, plans" : "kernels");
    else strbuf_adds(out, "plans");
}

void kops_print_reference(strbuf *out)
{
    strbuf_adds(out, "| op | in | attributes | semantics |\n|---|---|---|---|\n");
    for (int op = 0; op < KOP_COUNT; op++) {
        const kop_info *o = kop_row((kop_kind)op);
        if (o->props & K_ELEMENTWISE) continue;
        strbuf_addf(out, "| `%s` | ", o->name);
        print_where(o->props, out);
        strbuf_adds(out, " | ");
        for (int i = 0; i < o->n_attrs; i++) strbuf_addf(out, "%s`%s`", i ? ", " : "", kattr_text(o->attrs[i]));
        strbuf_adds(out, " | ");
        print_cell(o->text, out);
        strbuf_adds(out, " |\n");
    }
    strbuf_adds(out, "\nElementwise ops, over scalars and tiles:\n\n"
                     "| op | operands | float | int | bool | result | mathematics |\n|---|---|---|---|---|---|---|\n");
    for (int op = 0; op < KOP_COUNT; op++) {
        const kop_info *o = kop_row((kop_kind)op);
        if (!(o->props & K_ELEMENTWISE)) continue;
        const kscalar_info *s = kscalar_row((kop_kind)op);
        bool numbers = s->operands != S_BOOL;
        bool bools = s->operands == S_BOOL || s->operands == S_SELECT || (s->operands == S_SAME && s->result == R_BOOL);
        strbuf_addf(out, "| `%s` | %d | %s | %s | %s | %s | ", o->name, s->arity, numbers && s->on_float ? "x" : "",
                    numbers && s->on_int ? "x" : "", bools ? "x" : "", s->result == R_BOOL ? "bool" : "as operands");
        print_cell(o->text, out);
        strbuf_adds(out, " |\n");
    }
    strbuf_adds(out, "\nLayouts of tiles:\n\n| layout | held by | elements |\n|---|---|---|\n");
    static const char *const agents[] = {
        [KAGENT_THREAD] = "one CPU thread", [KAGENT_WARP] = "a warp", [KAGENT_WARPGROUP] = "a warpgroup"};
    for (int l = 0; l < KL_COUNT; l++)
        strbuf_addf(out, "| `%s` | %s | %s |\n", layouts[l].name, agents[layouts[l].agent], layouts[l].text);
}
