/* The interpreter against PyTorch's f64 results (tests/e2e/goldens): each case becomes a function of the ops that the
 * language's blocks are made of. Agreement is to the rounding of doubles, NaN and infinities included. */
#include "ir/interp.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "runtime/npy.h"
#include "tests/support/tir_session.h"

typedef struct {
    const npy_array *arrays; /* of the file */
    size_t n;
    const char *name; /* of the case */
    tir_session s;
    module *m;
    builder b;
    VEC(tensor *) args;
} golden;

static const npy_array *find(const golden *g, const char *what)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", g->name, what);
    for (size_t i = 0; i < g->n; i++)
        if (!strcmp(g->arrays[i].name, full)) return &g->arrays[i];
    return NULL;
}

static double number(const golden *g, const char *what)
{
    const npy_array *a = find(g, what);
    assert_non_null(a);
    return a->type == NPY_I64 ? (double)*(int64_t *)a->data : *(double *)a->data;
}

/* The array as an argument of the function; NULL when the case has none of that name. */
static value *input(golden *g, const char *what)
{
    static const dtype types[NPY_TYPES] = {
        [NPY_F32] = DT_F32, [NPY_F64] = DT_F64, [NPY_I64] = DT_I64, [NPY_BOOL] = DT_BOOL};
    const npy_array *a = find(g, what);
    if (!a) return NULL;
    dim shape[MAX_RANK];
    for (uint32_t k = 0; k < a->rank; k++) shape[k] = dim_const(g->m->dims, a->shape[k]);
    tensor *t = tensor_from_bytes(g->s.a, types[a->type], a->rank, a->shape, a->data);
    vec_push(g->s.a, &g->args, t);
    return function_arg(g->b.fn, what, type_make(t->dt, t->rank, shape));
}

static value *two(golden *g, op_kind op, value *a, value *b)
{
    return build_scalar(&g->b, op, (value *[]){a, b}, 2);
}

static value *one(golden *g, op_kind op, value *a)
{
    return build_scalar(&g->b, op, &a, 1);
}

static value *constant(golden *g, const value *like, double v)
{
    return build_const(&g->b, like->ty.dt, like->ty.rank, like->ty.shape, v);
}

/* A vector along the last axis of `like`. */
static value *along_last(golden *g, value *v, const value *like)
{
    return build_broadcast(&g->b, v, (const int[]){like->ty.rank - 1}, like->ty.rank, like->ty.shape);
}

/* ---- one function a file ---- */

static value *linear(golden *g)
{
    value *x = input(g, "x"), *weight = input(g, "weight"), *bias = input(g, "bias");
    labels l = {.rank = {x->ty.rank, 2, x->ty.rank}};
    for (int k = 0; k < x->ty.rank; k++) l.label[0][k] = l.label[2][k] = (char)('a' + k);
    l.label[1][0] = l.label[2][x->ty.rank - 1] = 'z';
    l.label[1][1] = l.label[0][x->ty.rank - 1];
    value *y = build_contract(&g->b, x, weight, &l);
    return bias ? two(g, OP_ADD, y, along_last(g, bias, y)) : y;
}

static value *layer_norm(golden *g)
{
    value *x = input(g, "x"), *weight = input(g, "weight"), *bias = input(g, "bias");
    value *y = build_normalize(&g->b, x, NORM_STANDARD, (const int[]){x->ty.rank - 1}, 1, number(g, "eps"));
    return two(g, OP_ADD, two(g, OP_MUL, y, along_last(g, weight, y)), along_last(g, bias, y));
}

static value *softmax(golden *g)
{
    value *x = input(g, "x");
    int axis = (int)number(g, "axis");
    return build_softmax(&g->b, x, axis < 0 ? axis + x->ty.rank : axis);
}

static value *gelu(golden *g)
{
    value *x = input(g, "x"), *inner;
    if (!strncmp(g->name, "erf", 3)) {
        inner = one(g, OP_ERF, two(g, OP_MUL, x, constant(g, x, 0.70710678118654752440)));
    } else {
        value *cube = two(g, OP_MUL, two(g, OP_MUL, x, x), x);
        value *sum = two(g, OP_ADD, x, two(g, OP_MUL, cube, constant(g, x, 0.044715)));
        inner = one(g, OP_TANH, two(g, OP_MUL, sum, constant(g, x, 0.79788456080286535588)));
    }
    value *phi = two(g, OP_MUL, two(g, OP_ADD, inner, constant(g, x, 1)), constant(g, x, 0.5));
    return two(g, OP_MUL, x, phi);
}

static value *attention(golden *g)
{
    value *q = input(g, "q"), *k = input(g, "k"), *v = input(g, "v"), *mask = input(g, "mask");
    return build_attention(&g->b, q, k, v, mask, NULL, 1 / sqrt((double)find(g, "q")->shape[3]));
}

static value *embedding(golden *g)
{
    value *table = input(g, "table"), *ids = input(g, "ids");
    return build_gather(&g->b, table, ids, 0);
}

/* "... k, o k -> ... o": the words of a side become letters; "..." stands for the axes that are left over. */
static void side(const char **s, char words[26][16], int *n_words, uint8_t rank, char *label, uint8_t *out_rank)
{
    char seen[MAX_RANK][16];
    int n = 0;
    while (**s && **s != ',' && **s != '>') {
        while (**s == ' ' || **s == '-') ++*s;
        int length = (int)strcspn(*s, " ,->");
        if (!length) continue;
        snprintf(seen[n++], 16, "%.*s", length, *s);
        *s += length;
    }
    if (**s) ++*s;
    for (int i = 0; i < n; i++) {
        int repeat = strcmp(seen[i], "...") ? 1 : rank - (n - 1);
        for (int r = 0; r < repeat; r++) {
            char word[16] = "";
            snprintf(word, sizeof word, strcmp(seen[i], "...") ? "%s" : "%s%d", seen[i], r);
            int w = 0;
            while (w < *n_words && strcmp(words[w], word)) w++;
            if (w == *n_words) strcpy(words[(*n_words)++], word);
            label[(*out_rank)++] = (char)('a' + w);
        }
    }
}

static value *einsum(golden *g)
{
    char equation[128], words[26][16];
    const npy_array *text = find(g, "equation");
    snprintf(equation, sizeof equation, "%.*s", (int)text->bytes, (const char *)text->data);
    value *a = input(g, "a"), *b = input(g, "b");
    labels l = {.rank = {0}};
    int n_words = 0;
    const char *s = equation;
    side(&s, words, &n_words, a->ty.rank, l.label[0], &l.rank[0]);
    if (b) side(&s, words, &n_words, b->ty.rank, l.label[1], &l.rank[1]);
    else b = build_const(&g->b, a->ty.dt, 0, NULL, 1); /* a transpose or sum is a contraction with 1 */
    side(&s, words, &n_words, find(g, "ref")->rank > MAX_RANK ? 0 : (uint8_t)find(g, "ref")->rank, l.label[2],
         &l.rank[2]);
    return build_contract(&g->b, a, b, &l);
}

/* ---- the comparison ---- */

static void check_case(const npy_array *arrays, size_t n, const char *name, value *(*make)(golden *))
{
    golden g = {.arrays = arrays, .n = n, .name = name, .s = tir_open()};
    g.m = module_new(g.s.a, g.s.names, g.s.sources, dims_new(g.s.a, g.s.names), "golden");
    g.b.fn = function_new(g.m, "f");
    function_add_result(g.b.fn, "y", make(&g));
    if (!module_verify(g.m, g.s.d)) fail_msg("%s: %s", name, tir_messages(&g.s));
    tensor *y;
    if (!interp_run(g.b.fn, g.args.data, NULL, NULL, g.s.a, g.s.d, &y)) fail_msg("%s: %s", name, tir_messages(&g.s));
    const npy_array *ref = find(&g, "ref");
    assert_int_equal(ref->type, NPY_F64);
    assert_int_equal(y->rank, ref->rank);
    for (uint32_t k = 0; k < ref->rank; k++) assert_int_equal(y->shape[k], ref->shape[k]);
    for (uint64_t i = 0; i < tensor_elements(y); i++) {
        double want = ((const double *)ref->data)[i], got = y->u.f[i];
        bool ok = isfinite(want) ? fabs(got - want) <= 1e-12 * (1 + fabs(want))
                  : isnan(want)  ? isnan(got)
                                 : got == want;
        if (!ok) fail_msg("%s element %d: expected %.17g, got %.17g", name, (int)i, want, got);
    }
    tir_close(&g.s);
}

static void check_file(const char *file, value *(*make)(golden *), int least)
{
    char path[128], err[256];
    snprintf(path, sizeof path, "tests/e2e/goldens/%s.npz", file);
    npy_array *arrays;
    size_t n;
    if (!npz_read(path, &arrays, &n, err, sizeof err)) fail_msg("%s", err);
    int cases = 0;
    for (size_t i = 0; i < n; i++) {
        char *dot = strrchr(arrays[i].name, '.');
        if (!dot || strcmp(dot, ".ref")) continue;
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)(dot - arrays[i].name), arrays[i].name);
        check_case(arrays, n, name, make);
        cases++;
    }
    npz_free(arrays, n);
    assert_true(cases >= least);
}

static void test_linear(void **state)
{
    (void)state;
    check_file("linear", linear, 11);
}
static void test_layer_norm(void **state)
{
    (void)state;
    check_file("layer_norm", layer_norm, 8);
}
static void test_softmax(void **state)
{
    (void)state;
    check_file("softmax", softmax, 13);
}
static void test_gelu(void **state)
{
    (void)state;
    check_file("gelu", gelu, 8);
}
static void test_attention(void **state)
{
    (void)state;
    check_file("attention", attention, 13);
}
static void test_embedding(void **state)
{
    (void)state;
    check_file("embedding", embedding, 4);
}
static void test_einsum(void **state)
{
    (void)state;
    check_file("einsum", einsum, 21);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear), cmocka_unit_test(test_layer_norm), cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_gelu),   cmocka_unit_test(test_attention),  cmocka_unit_test(test_embedding),
        cmocka_unit_test(test_einsum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
