/* The .kir form: what is printed reads back to the same text and to an equal function; mistakes are located. */
#include "unit/kir/session.h"

#include "unit/cmocka_all.h"

/* `text` is as the printer writes it when `exact`. */
static void check_round_trip(const char *text, bool exact)
{
    session s = session_new();
    kmodule *m = parse_text(&s, text);
    if (!m) fail_msg("%s", session_messages(&s));
    const char *once = printed(&s, m);
    if (exact) expect_same_text(once, text);
    kmodule *again = parse_text(&s, once);
    if (!again) fail_msg("what was printed does not parse:\n%s\n%s", once, session_messages(&s));
    expect_same_text(printed(&s, again), once);
    assert_int_equal(m->functions.len, again->functions.len);
    for (uint32_t i = 0; i < m->functions.len; i++) {
        assert_true(kfunction_equal(m->functions.data[i], again->functions.data[i]));
        assert_true(kfunction_hash(m->functions.data[i]) == kfunction_hash(again->functions.data[i]));
    }
    session_free(&s);
}

static void test_every_op(void **state)
{
    (void)state;
    session s = session_new();
    char *text = read_golden(&s, "ops.kir");
    check_round_trip(text, true);
    kmodule *m = parse_valid(&s, text);
    /* No op is left out of the file, so that none can go unprinted, unread or unverified. */
    const char *copy = printed(&s, m);
    for (int op = 0; op < KOP_COUNT; op++) {
        if (kop_row((kop_kind)op)->props & K_ELEMENTWISE) continue;
        const char *name = kop_row((kop_kind)op)->name;
        if (!strstr(copy, arena_printf(s.a, " %s ", name)) && !strstr(copy, arena_printf(s.a, " %s\n", name)))
            fail_msg("ops.kir has no %s", name);
    }
    session_free(&s);
}

/* ---- mistakes in the text: one message, at the right place ---- */

static void expect_syntax_error(const char *text, const char *message)
{
    session s = session_new();
    kmodule *m = parse_text(&s, text);
    if (m) fail_msg("read without a word: %s", text);
    assert_int_equal(diags_errors(s.d), 1);
    expect_message(&s, message);
    session_free(&s);
}

#define KERNEL(body) "kernel @k cpu (N in 1..9) (%x: f32 global[N] in) {\n" body "\n}"

static void test_syntax_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"kernal @k", "t.kir:1:1: error: expected 'kernel' or 'plan'"},
        {"module 3", "expected the module's name in quotes"},
        {"kernel @k gpu () () {}", "t.kir:1:11: error: expected 'ptx'"},
        {"kernel @k cpu (N in 4..3) () {}", "no value of dim N is in these bounds"},
        {"kernel @k cpu (N in 5..7 multiple 4) () {}", "no value of dim N is in these bounds"},
        {"kernel @k cpu (N in 1..3, N in 1..3) () {}", "dim N is declared twice"},
        {"kernel @k cpu () (%x: f32 global[Q] in) {}", "t.kir:1:34: error: expected a dim"},
        {"kernel @k cpu () (%x: f32 planet[4] in) {}", "a parameter is a buffer"},
        {"kernel @k cpu () (%x: f32 global[4]) {}", "expected in, out, inout, input, output or weight"},
        {"kernel @k cpu () (%x: f32 global[1,2,3,4,5,6,7] in) {}", "a buffer has at most 6 axes"},
        {"kernel @k cpu () (%x: f33 global[1] in) {}", "unknown dtype 'f33'"},
        {"kernel @k cpu () (%x: f32 in) {}", "a parameter is a buffer"},
        {"kernel @k cpu () (%x: f32 global[2] strides[1, 2] in) {}", "2 strides for 1 axes"},
        {"kernel @k cpu () (%x: f32 global[2] in, %x: f32 global[2] in) {}", "%x is defined twice"},
        {"kernel @k cpu () () {} kernel @k cpu () () {}", "function @k is defined twice"},
        {"plan @p () (%w: f32 global[2] weight \"w\" = nothing) {}", "expected a constant"},
        {"plan @p (B in 1..2) (%w: f32 global[B] weight \"w\" = random) {}", "a weight has constant sizes"},
        {KERNEL("%a = frob %b : f32"), "t.kir:2:6: error: unknown op 'frob'"},
        {KERNEL("%a = neg %b : f32"), "t.kir:2:10: error: unknown value %b"},
        {KERNEL("%a = neg %a : f32"), "unknown value %a"},
        {KERNEL("%a = neg %x : f32"), "a buffer is not a value to compute with"},
        {KERNEL("%a = const 1.0 : f32 %a = const 1.0 : f32"), "t.kir:2:22: error: %a is defined twice"},
        {KERNEL("%a = const 1.5 : i32"), "expected an integer"},
        {KERNEL("%a = const true : f32"), "only a bool is true or false"},
        {KERNEL("%a = const 1 : bool"), "expected true or false"},
        {KERNEL("%a = const : f32"), "expected a number"},
        {KERNEL("%a = const 1.0 : f32<0>"), "a tile of size 0"},
        {KERNEL("%a = const 1.0 : f32<1x2x3>"), "a tile has at most 2 axes"},
        {KERNEL("%a = const 1.0 : f32<4, wide>"), "unknown layout 'wide'"},
        {KERNEL("%a = const 1.0"), "expected ':'"},
        {KERNEL("%a = load %x[0, 1, 2, 3, 4, 5, 6] : f32"), "a buffer has at most 6 axes"},
        {KERNEL("%a = load %x[0] axes [0] bound [3, 3] : f32<4>"),
         "axes and bound have one item for each of the tile's 1 axes"},
        {KERNEL("%a = load %x[0] axes [9] : f32<4>"), "no axis 9"},
        {KERNEL("%a = load %x[99999999999999999999] : f32"), "the integer does not fit in 64 bits"},
        {KERNEL("%a = iota : i32<4>"), "iota needs the attribute 'axis'"},
        {KERNEL("%a = iota {axis = 0, axis = 0} : i32<4>"), "iota: 'axis' is given twice"},
        {KERNEL("%a = iota {level = 0} : i32<4>"), "iota has no attribute 'level'"},
        {KERNEL("%a = const 1.0 : f32<4> %b = reduce %a {kind = mul, axis = 0} : f32<1>"), "kind cannot be 'mul'"},
        {KERNEL("for %i = 0 to 4 step 1 { "), "expected an op"},
        {KERNEL("for %i = 0 to 4 { }"), "expected 'step'"},
        {KERNEL("for %i = 0 to %x step 1 { }"), "a buffer is not a value to compute with"},
        {KERNEL("%z = const 0 : i64 switch %z case 1 { }"), "expected 'case'"},
        {KERNEL("launch @nothing () ()"), "unknown kernel @nothing"},
        {"kernel @a cpu (N in 1..9) () {} plan @p () () { launch @a (M = 3) () }", "expected 'N'"},
        {"kernel @k cpu () () { } }", "expected 'kernel' or 'plan'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) expect_syntax_error(cases[i].text, cases[i].message);
}

/* Very deep text is refused before the stack is. */
static void test_nesting(void **state)
{
    (void)state;
    session s = session_new();
    strbuf b = strbuf_new(s.a);
    strbuf_adds(&b, "kernel @k cpu () () {");
    for (int i = 0; i < 100000; i++) strbuf_addf(&b, "for %%i%d = 0 to 1 step 1 {", i);
    assert_null(parse_text(&s, b.s));
    expect_message(&s, "blocks are nested more than 64 deep");
    session_free(&s);
}

/* ---- what builders make prints and reads back, names that clash included ---- */

static kfunction *built(kmodule *m, const char *name, const char *value_name, int64_t step)
{
    kfunction *f = kfunction_new(m, name, KTARGET_CPU);
    dim n = dim_sym(f->dims, intern_z(m->names, "N"), DIM_INPUT, 0, 100, 1);
    /* Dims are equal by what they are, not by how their context came to them. */
    dim three = dim_const(f->dims, 3), square, third;
    if (step == 4 && strcmp(value_name, "x") != 0) {
        third = dim_floordiv(f->dims, n, three);
        dim_min(f->dims, dim_const(f->dims, 5), n);
        square = dim_mul(f->dims, n, n);
    } else {
        square = dim_mul(f->dims, n, n);
        third = dim_floordiv(f->dims, n, three);
    }
    dim size_of_x = dim_add(f->dims, n, dim_mul(f->dims, dim_max(f->dims, third, three), square));
    kvalue *x =
        kparam_add(f, value_name, kbuffer_dense(DT_F32, KSPACE_GLOBAL, 1, &size_of_x), KPARAM_BUFFER, KACCESS_IN);
    kvalue *y = kparam_add(f, "same", kbuffer_dense(DT_F32, KSPACE_GLOBAL, 1, &n), KPARAM_BUFFER, KACCESS_OUT);
    kbuilder b = {.f = f, .block = f->body};
    kvalue *size = kb_dim(&b, n);
    size->name = intern_z(m->names, "same");
    kop *tasks = kb_for(&b, kidx_const(0), kidx_value(size), 1, KMAP_PARALLEL, 1, NULL, 0);
    tasks->blocks[0]->args[0]->name = intern_z(m->names, "1 strange-name");
    kvalue *zero = kb_const(&b, ktile_vector(DT_F32, 4, KL_VEC), -0.0);
    zero->name = intern_z(m->names, "same.1");
    kop *loop = kb_for(&b, kidx_value(tasks->blocks[0]->args[0]), kidx_plus(size, -3), step, KMAP_SERIAL, 2, &zero, 1);
    kmem at = kmem_at(x, (const kidx[]){kidx_plus(loop->blocks[0]->args[0], 1)});
    at.bounded[0] = true;
    at.bound[0] = kidx_value(size);
    kvalue *v = kb_load(&b, ktile_vector(DT_F32, 4, KL_VEC), at);
    kvalue *sum = kb_map2(&b, KOP_ADD, loop->blocks[0]->args[1], v);
    kb_for_end(&b, loop, &sum, 1);
    kvalue *yes = kb_map2(&b, KOP_LT, size, kb_i64(&b, 7));
    kop *cond = kb_if(&b, yes);
    kb_store(&b, loop->results[0], kmem_at(y, (const kidx[]){kidx_const(0)}));
    kb_if_end(&b, cond, NULL, 0);
    kb_for_end(&b, tasks, NULL, 0);
    return f;
}

static void test_builders(void **state)
{
    (void)state;
    session s = session_new();
    kmodule *m = kmodule_new(s.a, s.names, s.sources, "built");
    kfunction *f = built(m, "f", "x", 4), *g = built(m, "g g", "same", 4), *h = built(m, "h", "x", 3);
    if (!kmodule_verify(m, s.d)) fail_msg("%s", session_messages(&s));
    assert_true(kfunction_equal(f, g) && kfunction_hash(f) == kfunction_hash(g));
    assert_false(kfunction_equal(f, h));
    assert_true(kfunction_hash(f) != kfunction_hash(h));
    check_round_trip(printed(&s, m), true);
    session_free(&s);
}

/* A kernel and its copy with one thing changed are not equal, and seldom have one hash. */
static void test_equality(void **state)
{
    (void)state;
    static const char *const changes[][2] = {
        {"unroll 4", "unroll 2"},
        {"0.707106781", "0.707106782"},
        {"M in 1..4096", "M in 1..4095"},
        {"case 13", "case 10"},
        {"%k14 + 64, 16", "%k14 + 64, 15"},
        {"global[N] in", "global[N] align 8 in"},
        {"bound [_, %cols] : f32<1x32>", ": f32<1x32>"},
        {"mul %acc14", "add %acc14"},
        {"ceildiv(N, 32) : i64", "ceildiv(N, 16) : i64"},
        {"%c: f32 global[M, N] out", "%c: f32 global[M, N] inout"},
    };
    session s = session_new();
    char *text = read_golden(&s, "matmul_gelu.kir");
    kfunction *f = parse_valid(&s, text)->functions.data[0];
    kfunction *same =
        parse_valid(&s, substitute_all(&s, substitute_all(&s, text, "%acc", "%sum"), "@matmul_gelu", "@m"))
            ->functions.data[0];
    assert_true(kfunction_equal(f, same) && kfunction_hash(f) == kfunction_hash(same));
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        kmodule *m =
            strstr(text, changes[i][0]) ? parse_text(&s, substitute_all(&s, text, changes[i][0], changes[i][1])) : NULL;
        if (!m) continue;
        if (kfunction_equal(f, m->functions.data[0])) fail_msg("'%s' makes no difference", changes[i][1]);
    }
    session_free(&s);
}

/* ---- hostile text: cut off anywhere, or with bytes changed, it is read, refused, or run, but nothing breaks ---- */

static void survive(session *s, const char *text)
{
    kmodule *m = parse_text(s, text);
    if (!m || !kmodule_verify(m, s->d)) return;
    const char *once = printed(s, m);
    kmodule *again = parse_text(s, once);
    assert_non_null(again);
    expect_same_text(printed(s, again), once);
    for (uint32_t i = 0; i < m->functions.len; i++) {
        const kfunction *f = m->functions.data[i];
        static uint8_t memory[1 << 16];
        kbinding params[8];
        int64_t dims[8];
        kinterp_options o = {.seed = 1, .max_ops = 300};
        if (f->params.len > 8 || dim_symbol_count(f->dims) > 8) continue;
        for (uint32_t k = 0; k < f->params.len; k++) params[k] = (kbinding){memory + (k << 13), 1 << 13};
        for (uint32_t k = 0; k < dim_symbol_count(f->dims); k++) dims[k] = dim_symbol_at(f->dims, k)->min;
        kinterp_run(f, dims, params, &o, s->a, s->d, NULL);
    }
}

/* A byte that stands elsewhere in the text, or any; or of numbers another digit: more of it parses. */
static void change_byte(char *text, const char *all, size_t n, uint64_t random, int round)
{
    size_t at = hash_bytes(&random, 8, 2) % n, from = hash_bytes(&random, 8, 3) % n;
    if (round % 3 == 0) {
        while (all[at] < '0' || all[at] > '9') at = (at + 1) % n;
        text[at] = (char)('0' + hash_bytes(&random, 8, 4) % 10);
    } else {
        text[at] = round % 7 ? all[from] : (char)(1 + hash_bytes(&random, 8, 4) % 255);
    }
}

static void test_hostile_text(void **state)
{
    (void)state;
    static const char *const files[] = {"ops.kir", "attention.kir", "block_sparse_4x4.kir", "mma_matmul.kir",
                                        "wgmma_matmul.kir"};
    enum { ROUNDS = 100 };
    session s = session_new();
    uint64_t random = 1;
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        const char *all = read_golden(&s, files[f]);
        size_t n = strlen(all);
        for (int round = 0; round < ROUNDS; round++, random++) {
            session t = session_new();
            char *text = arena_strndup(t.a, all, n);
            if (round % 4 == 0) text[hash_bytes(&random, 8, 1) % n] = 0;
            for (int k = 0; round % 4 && k < round % 4; k++, random++) change_byte(text, all, n, random, round);
            survive(&t, text);
            session_free(&t);
        }
    }
    session_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_op), cmocka_unit_test(test_syntax_errors), cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_builders), cmocka_unit_test(test_equality),      cmocka_unit_test(test_hostile_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
