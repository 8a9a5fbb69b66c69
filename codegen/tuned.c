/* See tuned.h. */
#include "codegen/tuned.h"

#include "ir/text.h"

#include <stdlib.h>

#define VERSION 1

/* ---- the table ---- */

tuned *tuned_new(arena *a)
{
    tuned *t = ARENA_NEW(a, tuned);
    t->a = a;
    return t;
}

bool matmul_shape_equal(const matmul_shape *x, const matmul_shape *y)
{
    return x->weights == y->weights && x->sums == y->sums && x->n == y->n && x->k == y->k;
}

tuned_line *tuned_find(tuned *t, const matmul_shape *s, int vector_bits, int registers)
{
    vec_foreach (tuned_line, l, &t->lines)
        if (matmul_shape_equal(&l->shape, s) && l->vector_bits == vector_bits && l->registers == registers) return l;
    return NULL;
}

void tuned_put(tuned *t, const tuned_line *line)
{
    tuned_line *old = tuned_find(t, &line->shape, line->vector_bits, line->registers);
    if (old) *old = *line;
    else vec_push(t->a, &t->lines, *line);
}

matmul_schedule matmul_schedule_for(const lower_target *t, const matmul_shape *s)
{
    if (!t->tuned) return matmul_schedule_by_rule(t, s);
    tuned_line *l = tuned_find(t->tuned, s, 32 * t->vector_floats, t->registers);
    if (l) l->used = true;
    tuned_use asked = {*s, l ? l->schedule : matmul_schedule_by_rule(t, s)};
    vec_push(t->tuned->a, &t->tuned->uses, asked);
    return asked.schedule;
}

/* ---- text ---- */

/* The numbers of a schedule, in the order of the text, with what the kernels' loops can do with them. */
static const struct {
    const char *name;
    size_t at;
    int least, most, multiple;
} fields[] = {
    {"rows", offsetof(matmul_schedule, rows), 1, 32, 1},
    {"cols", offsetof(matmul_schedule, cols), 4, MATMUL_WIDE, 4},
    {"wide", offsetof(matmul_schedule, wide), 0, 16, 1},
    {"depth", offsetof(matmul_schedule, depth), MATMUL_STEPS, 1 << 20, MATMUL_STEPS},
    {"chunk", offsetof(matmul_schedule, chunk), 1, 1 << 20, 1},
    {"group", offsetof(matmul_schedule, group), MATMUL_WIDE, 1 << 16, MATMUL_WIDE},
    {"level", offsetof(matmul_schedule, level), 0, 2, 1},
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

static int *field_of(matmul_schedule *s, int i)
{
    return (int *)(void *)((char *)s + fields[i].at);
}

static int compare(const void *a, const void *b)
{
    const tuned_line *x = *(const tuned_line *const *)a, *y = *(const tuned_line *const *)b;
    int64_t keys[][2] = {
        {x->vector_bits, y->vector_bits}, {x->registers, y->registers}, {x->shape.weights, y->shape.weights},
        {x->shape.sums, y->shape.sums},   {x->shape.n, y->shape.n},     {x->shape.k, y->shape.k}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i][0] != keys[i][1]) return keys[i][0] < keys[i][1] ? -1 : 1;
    return 0;
}

void tuned_print(const tuned *t, strbuf *out)
{
    const tuned_line **sorted = ARENA_ARRAY(out->a, const tuned_line *, t->lines.len);
    for (uint32_t i = 0; i < t->lines.len; i++) sorted[i] = &t->lines.data[i];
    if (t->lines.len) qsort(sorted, t->lines.len, sizeof *sorted, compare);
    strbuf_addf(out, "schedules version %d\n", VERSION);
    for (uint32_t i = 0; i < t->lines.len; i++) {
        tuned_line l = *sorted[i];
        strbuf_addf(out, "matmul weights %s sums %s n %lld k %lld vectors %d x %d =", dtype_name(l.shape.weights),
                    dtype_name(l.shape.sums), (long long)l.shape.n, (long long)l.shape.k, l.vector_bits, l.registers);
        for (int k = 0; k < N_FIELDS; k++) strbuf_addf(out, " %s %d", fields[k].name, *field_of(&l.schedule, k));
        if (l.note) strbuf_addf(out, " // %s", l.note);
        strbuf_addc(out, '\n');
    }
}

static bool parse_number(text *t, const char *word, int64_t least, int64_t most, int64_t multiple, int64_t *out)
{
    if (!text_expect_keyword(t, word)) return false;
    uint32_t at = text_here(t);
    if (!text_int(t, out)) return false;
    if (*out >= least && *out <= most && *out % multiple == 0) return true;
    t->failed = true;
    diag *g = diag_error(t->d, text_since(t, at), "no kernel has this many '%s'", word);
    diag_code(g, "schedule");
    if (multiple == 1) diag_expected(g, "%lld to %lld", (long long)least, (long long)most);
    else
        diag_expected(g, "a multiple of %lld from %lld to %lld", (long long)multiple, (long long)least,
                      (long long)most);
    diag_got(g, "%lld", (long long)*out);
    return false;
}

static bool parse_float_type(text *t, const char *word, dtype *out)
{
    if (!text_expect_keyword(t, word)) return false;
    uint32_t at = text_here(t);
    if (!text_dtype(t, out)) return false;
    if (dtype_is_float(*out)) return true;
    text_error(t, at, "matmuls are of floats");
    return false;
}

/* What the numbers have to be to one another. */
static bool parts_agree(text *t, uint32_t at, const tuned_line *l)
{
    int lanes = l->vector_bits / (int)dtype_bits(l->shape.sums), vectors = (l->schedule.cols + lanes - 1) / lanes;
    const char *wrong = NULL;
    if (MATMUL_WIDE % l->schedule.cols) wrong = "the columns do not divide 32";
    else if (l->schedule.rows * vectors > l->registers) wrong = "the sums of a tile do not fit the registers";
    if (wrong) text_error(t, at, "%s", wrong);
    return !wrong;
}

static bool parse_line(text *t, tuned *out)
{
    uint32_t begin = text_here(t);
    tuned_line l = {0};
    int64_t bits, registers, v;
    if (!text_expect_keyword(t, "matmul") || !parse_float_type(t, "weights", &l.shape.weights) ||
        !parse_float_type(t, "sums", &l.shape.sums) || !parse_number(t, "n", 1, INT32_MAX, 1, &l.shape.n) ||
        !parse_number(t, "k", 1, INT32_MAX, 1, &l.shape.k) || !parse_number(t, "vectors", 128, 2048, 128, &bits) ||
        !parse_number(t, "x", 8, 256, 1, &registers))
        return false;
    l.vector_bits = (int)bits;
    l.registers = (int)registers;
    l.at = text_since(t, begin);
    if (tuned_find(out, &l.shape, l.vector_bits, l.registers)) {
        text_error(t, begin, "this shape stands twice");
        return false;
    }
    if (!text_expect(t, "=")) return false;
    uint32_t at = text_here(t);
    for (int i = 0; i < N_FIELDS; i++) {
        if (!parse_number(t, fields[i].name, fields[i].least, fields[i].most, fields[i].multiple, &v)) return false;
        *field_of(&l.schedule, i) = (int)v;
    }
    if (!parts_agree(t, at, &l)) return false;
    vec_push(out->a, &out->lines, l);
    return true;
}

tuned *tuned_parse(arena *a, interner *names, diags *d, const source_file *f)
{
    tuned *out = tuned_new(a);
    text t = text_new(a, names, d, f);
    t.code = "schedule";
    int64_t version;
    if (!text_expect_keyword(&t, "schedules") || !parse_number(&t, "version", VERSION, VERSION, 1, &version))
        return NULL;
    while (!text_at_end(&t))
        if (!parse_line(&t, out)) return NULL;
    return out;
}

void tuned_report_unused(const tuned *t, const lower_target *target, diags *d)
{
    vec_foreach (tuned_line, l, &t->lines) {
        if (l->used || l->vector_bits != 32 * target->vector_floats || l->registers != target->registers) continue;
        diag_add(d, DIAG_REMARK, l->at, "the model has no such matmul: this line is not used");
    }
}
