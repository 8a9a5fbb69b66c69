/* The packing of buffers, held to what it must be by looking at every pair of them: on random plans, at random dims. */
#include "codegen/plan_memory.h"
#include "session.h"
#include "unit/cmocka_all.h"

enum { BUFFERS = 40, PLANS = 30, POINTS = 25, B_MOST = 64, S_MOST = 512 };

/* Sizes in floats, as text and as numbers; some are multiples of 64 bytes for all dims, some are not. */
static const char *const size_text[] = {"B, S, 96", "B, S, 384",    "B, S, S",      "B, 64",
                                        "S, 16",    "3 * B, S + 1", "B, S, 7",      "5",
                                        "B, S, 96", "B, S, 96",     "max(B, S), 9", "ceildiv(S, 32), 32"};
enum { SIZES = sizeof size_text / sizeof *size_text };

static int64_t size_value(int which, int64_t b, int64_t s)
{
    const int64_t n[SIZES] = {b * s * 96, b * s * 384,     b * s * s,           b * 64,
                              s * 16,     3 * b * (s + 1), b * s * 7,           5,
                              b * s * 96, b * s * 96,      (b > s ? b : s) * 9, (s + 31) / 32 * 32};
    return (n[which] * 4 + 63) / 64 * 64;
}

typedef struct {
    int size;
    int first, last; /* lines of the plan that use it */
    const kop *alloc;
} buffer;

typedef struct {
    buffer b[BUFFERS];
    int n;
    strbuf text;
} made_up;

static uint64_t state;
static int below(int n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((state >> 33) % (uint64_t)n);
}

static const char kernel[] = "kernel @touch cpu (M in 0..100000000) (%x: f32 global[M] inout) {\n"
                             "  for %i = 0 to 1 step 1 parallel {\n  }\n}\n";

/* A plan that makes buffers and uses them until it forgets them; `hoard`: seldom. */
static made_up make_up(arena *a, int hoard)
{
    made_up p = {.text = strbuf_new(a)};
    bool alive[BUFFERS] = {false};
    int line = 0;
    strbuf_addf(&p.text, "module \"m\"\n%splan @p (B in 1..%d, S in 1..%d) (%%in: f32 global[1] input \"in\") {\n",
                kernel, B_MOST, S_MOST);
    while (p.n < BUFFERS) {
        int i = below(p.n + 1);
        if (p.n == 0 || below(3) == 0) {
            i = p.n++;
            p.b[i] = (buffer){.size = below(SIZES), .first = line};
            strbuf_addf(&p.text, "  %%b%d = alloc : f32 workspace[%s]\n", i, size_text[p.b[i].size]);
            alive[i] = true;
        } else if (i == p.n || !alive[i]) {
            continue;
        } else if (below(hoard) == 0) {
            alive[i] = false;
            continue;
        } else {
            strbuf_addf(&p.text, "  launch @touch (M = 1) (%%b%d)\n", i);
        }
        p.b[i].last = line++;
    }
    strbuf_adds(&p.text, "}\n");
    return p;
}

static void find_allocs(made_up *p, const kfunction *plan)
{
    int i = 0;
    kblock_foreach(op, plan->body) if (op->op == KOP_ALLOC) p->b[i++].alloc = op;
    assert_int_equal(i, p->n);
}

static int64_t number(const kfunction *f, dim d, const int64_t *dims)
{
    int64_t v = -1;
    assert_true(dim_eval(f->dims, d, dims, &v));
    return v;
}

/* Returns how far the sum is from the most that is alive at once. */
static double check_at(const made_up *p, const kfunction *plan, const most_bytes *most, const live_ranges *ranges,
                       const int64_t *dims)
{
    int64_t end = 0, live = 0;
    for (int i = 0; i < p->n; i++) {
        const buffer *x = &p->b[i];
        int64_t at = number(plan, x->alloc->at.offset, dims), bytes = size_value(x->size, dims[0], dims[1]), now = 0;
        assert_true(at >= 0 && at % MEMORY_ALIGN == 0);
        if (at + bytes > end) end = at + bytes;
        for (int k = 0; k < p->n; k++) {
            const buffer *y = &p->b[k];
            if (y->first <= x->first && x->first <= y->last) now += size_value(y->size, dims[0], dims[1]);
            if (k == i || x->first > y->last || y->first > x->last) continue;
            int64_t other = number(plan, y->alloc->at.offset, dims);
            if (at + bytes > other && other + size_value(y->size, dims[0], dims[1]) > at)
                fail_msg("b%d and b%d overlap at B = %lld, S = %lld\n%s", i, k, (long long)dims[0], (long long)dims[1],
                         p->text.s);
        }
        if (now > live) live = now;
    }
    int64_t said;
    assert_true(most_bytes_at(plan->dims, most, dims, &said));
    assert_int_equal(said, end);
    assert_true(said <= most_bytes_bound(plan->dims, most));
    assert_true(live_ranges_most(ranges, plan->dims, dims, plan->m->a, &said));
    assert_int_equal(said, live);
    return (double)end / (double)live;
}

static void test_random_plans(void **unused)
{
    (void)unused;
    double sum = 0;
    int n = 0;
    for (int k = 0; k < PLANS; k++) {
        state = (uint64_t)k;
        session s = session_new();
        made_up p = make_up(s.a, k % 3 == 0 ? 2 : k % 3 == 1 ? 6 : 1000);
        kmodule *m = session_parse(&s, "made_up.kir", p.text.s);
        plan_memory(m);
        kfunction *plan = m->functions.data[1];
        find_allocs(&p, plan);
        most_bytes most = plan_workspace_bytes(plan);
        live_ranges ranges = live_ranges_of(plan, KSPACE_WORKSPACE);
        for (int i = 0; i < POINTS; i++) {
            int64_t dims[2] = {1 + below(B_MOST), 1 + below(S_MOST)};
            if (i < 4) dims[0] = i % 2 ? B_MOST : 1, dims[1] = i / 2 ? S_MOST : 1;
            sum += check_at(&p, plan, &most, &ranges, dims);
            n++;
        }
        session_free(&s);
    }
    if (sum / n > 1.1) fail_msg("%.3f times what is alive, on average", sum / n);
}

/* Layers of a transformer, feed-forward and all: no byte more than is alive. */
static void test_layers_take_what_is_alive(void **unused)
{
    (void)unused;
    session s = session_new();
    strbuf text = strbuf_new(s.a);
    strbuf_addf(&text, "module \"m\"\n%splan @p (B in 1..%d, S in 1..%d) (%%in: f32 global[1] input \"in\") {\n",
                kernel, B_MOST, S_MOST);
    strbuf_adds(&text, "  %x = alloc : f32 workspace[B, S, 384]\n  launch @touch (M = 1) (%x)\n");
    const char *x = "x";
    for (int l = 0; l < 3; l++) {
        static const struct {
            const char *name, *columns, *dies;
        } steps[] = {{"qkv", "1152", NULL},
                     {"heads", "384", "qkv"},
                     {"sum", "384", "heads"},
                     {"up", "1536", NULL},
                     {"down", "384", "up"}};
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            strbuf_addf(&text, "  %%%s%d = alloc : f32 workspace[B, S, %s]\n  launch @touch (M = 1) (%%%s%d)\n",
                        steps[i].name, l, steps[i].columns, steps[i].name, l);
            if (steps[i].dies) strbuf_addf(&text, "  launch @touch (M = 1) (%%%s%d)\n", steps[i].dies, l);
            if (i == 2) strbuf_addf(&text, "  launch @touch (M = 1) (%%%s)\n", x);
            if (i == 4) strbuf_addf(&text, "  launch @touch (M = 1) (%%sum%d)\n", l);
        }
        x = arena_printf(s.a, "down%d", l);
    }
    strbuf_adds(&text, "}\n");
    kmodule *m = session_parse(&s, "layers.kir", text.s);
    plan_memory(m);
    kfunction *plan = m->functions.data[1];
    dim tokens = dim_mul(plan->dims, dim_find(plan->dims, "B"), dim_find(plan->dims, "S"));
    most_bytes b = plan_workspace_bytes(plan);
    assert_int_equal(b.len, 1);
    assert_int_equal(b.data[0], dim_mul(plan->dims, tokens, dim_const(plan->dims, 6 * 384 * 4)));
    session_free(&s);
}

/* What a loop touches of older memory lives as long as the loop; what its body makes is made anew each time. */
static void test_loops(void **unused)
{
    (void)unused;
    session s = session_new();
    kmodule *m = session_parse(&s, "loop.kir",
                               "module \"m\"\nkernel @k cpu (M in 1..100) (%x: f32 global[M] inout) {\n"
                               "  for %t = 0 to 1 step 1 parallel {\n"
                               "    %a = alloc : f32 scratch[16]\n"
                               "    %z = const 0.0 : f32<16>\n"
                               "    store %a[0], %z\n"
                               "    for %i = 0 to 4 step 1 {\n"
                               "      %v = load %a[0] : f32<16>\n"
                               "      %b = alloc : f32 scratch[M]\n"
                               "      store %b[0], %v bound [1]\n"
                               "      %d = alloc : f32 scratch[16]\n"
                               "      store %d[0], %v\n"
                               "    }\n"
                               "    %c = alloc : f32 scratch[16]\n"
                               "    store %c[0], %z\n"
                               "  }\n"
                               "}\n");
    plan_memory(m);
    const kfunction *f = m->functions.data[0];
    int64_t most = 100;
    dim bytes = kernel_scratch_bytes(f);
    assert_int_equal(number(f, bytes, &most), 64 + 448); /* %d lies where %b was, %c where %a was */
    most = 1;
    assert_int_equal(number(f, bytes, &most), 128);
    session_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_plans),
        cmocka_unit_test(test_layers_take_what_is_alive),
        cmocka_unit_test(test_loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
