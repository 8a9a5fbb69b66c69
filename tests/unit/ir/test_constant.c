/* Constant expressions. Streamed reading is compared, for thousands of random nestings and ranges, with a reference
 * that looks up one element at a time by the definition of each operation. */
#include "ir/constant.h"
#include "tests/support/tir_session.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the reference ---- */

static void unravel(const cexpr *e, uint64_t i, int64_t *index)
{
    for (uint32_t k = e->rank; k-- > 0;) {
        index[k] = (int64_t)(i % (uint64_t)e->shape[k]);
        i /= (uint64_t)e->shape[k];
    }
}

static uint64_t ravel(const cexpr *e, const int64_t *index)
{
    uint64_t i = 0;
    for (uint32_t k = 0; k < e->rank; k++) i = i * (uint64_t)e->shape[k] + (uint64_t)index[k];
    return i;
}

static uint64_t stored(dtype t, const void *base, uint64_t i)
{
    uint64_t bits = 0;
    if (dtype_bits(t) < 8) return dtype_load_code(t, base, i);
    memcpy(&bits, (const char *)base + i * (dtype_bits(t) / 8), dtype_bits(t) / 8);
    return bits;
}

/* The bits of element i. */
static uint64_t at(const cexpr *e, uint64_t i)
{
    const cexpr *x = e->n_args ? e->args[0] : NULL;
    int64_t index[MAX_RANK + 1] = {0}, from[MAX_RANK] = {0};
    uint64_t bits = 0, in;
    unravel(e, i, index);
    switch (e->kind) {
    case CE_FILE: return stored(e->dt, weights_data(e->u.file.file, e->u.file.tensor), i);
    case CE_DATA: return stored(e->dt, e->u.data, i);
    case CE_SPLAT: dtype_store_f64(e->dt, &bits, 0, e->u.splat); return bits;
    case CE_RANDOM: {
        uint64_t one[1] = {0};
        const char *why;
        assert_true(cexpr_read(e, i, 1, one, &why));
        return one[0];
    }
    case CE_CAST:
        in = at(x, i);
        dtype_convert(e->dt, &bits, x->dt, &in, 1);
        return bits;
    case CE_SCALE:
        in = at(x, i);
        dtype_store_f64(e->dt, &bits, 0, dtype_load_f64(e->dt, &in, 0) * e->u.scale);
        return bits;
    case CE_RESHAPE: return at(x, i);
    case CE_SLICE:
        for (uint32_t k = 0; k < e->rank; k++) from[k] = index[k] + e->u.start[k];
        return at(x, ravel(x, from));
    case CE_TRANSPOSE:
        for (uint32_t k = 0; k < e->rank; k++) from[e->u.perm[k]] = index[k];
        return at(x, ravel(x, from));
    case CE_BROADCAST:
        for (uint32_t k = 0; k < x->rank; k++) from[k] = x->shape[k] == 1 ? 0 : index[e->u.axes[k]];
        return at(x, ravel(x, from));
    case CE_MAP: {
        double v[3] = {0};
        for (uint32_t k = 0; k < e->n_args; k++) {
            in = at(e->args[k], i);
            v[k] = dtype_load_f64(e->args[k]->dt, &in, 0);
        }
        double r = e->u.op == OP_ADD   ? v[0] + v[1]
                   : e->u.op == OP_MUL ? v[0] * v[1]
                   : e->u.op == OP_ABS ? fabs(v[0])
                                       : (v[0] != 0 ? v[1] : v[2]); /* select */
        dtype_store_f64(e->dt, &bits, 0, r);
        return bits;
    }
    case CE_STACK: return at(e->args[index[0]], ravel(e->args[index[0]], index + 1));
    case CE_CONCAT:
        for (uint32_t p = 0;; p++) {
            if (index[e->u.axis] < e->args[p]->shape[e->u.axis]) return at(e->args[p], ravel(e->args[p], index));
            index[e->u.axis] -= e->args[p]->shape[e->u.axis];
        }
    case CE_ENCODE: { /* [batch][ceildiv(N, nr)][K][nr] */
        int64_t n = x->shape[x->rank - 2], k = x->shape[x->rank - 1], nr = e->u.enc.param, panels = (n + nr - 1) / nr;
        int64_t batch = (int64_t)i / (panels * k * nr), panel = (int64_t)i / (k * nr) % panels;
        int64_t row = panel * nr + (int64_t)i % nr, column = (int64_t)i / nr % k;
        return row < n ? at(x, (uint64_t)((batch * n + row) * k + column)) : 0;
    }
    }
    return 0;
}

static const char *text(arena *a, const cexpr *e)
{
    strbuf out = strbuf_new(a);
    cexpr_print(e, &out);
    return out.s;
}

static void check_range(arena *a, const cexpr *e, uint64_t first, uint64_t n)
{
    size_t bytes = dtype_bytes(e->dt, n);
    uint8_t *out = malloc(bytes + 1); /* one sentinel byte */
    memset(out, 0xd7, bytes + 1);
    const char *why = NULL;
    assert_true(cexpr_read(e, first, n, out, &why));
    assert_int_equal(out[bytes], 0xd7);
    for (uint64_t i = 0; i < n; i++)
        if (stored(e->dt, out, i) != at(e, first + i))
            fail_msg("element %llu of a read of %llu from %llu of %s: expected %#llx, got %#llx", (unsigned long long)i,
                     (unsigned long long)n, (unsigned long long)first, text(a, e), (unsigned long long)at(e, first + i),
                     (unsigned long long)stored(e->dt, out, i));
    for (uint64_t b = n * dtype_bits(e->dt); b < bytes * 8; b++) assert_int_equal(out[b / 8] >> b % 8 & 1, 0);
    free(out);
}

static uint64_t seed = 1;

static uint64_t rnd(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (seed >> 33) % below;
}

static void check_everywhere(arena *a, const cexpr *e)
{
    uint64_t n = cexpr_elements(e);
    check_range(a, e, 0, n);
    for (int k = 0; k < 6 && n; k++) {
        uint64_t first = rnd(n), count = rnd(n - first + 1);
        check_range(a, e, first, count);
    }
    if (n) check_range(a, e, n - 1, 1);
    check_range(a, e, n, 0);
}

/* ---- random expressions ---- */

static const cexpr *leaf(arena *a, dtype dt, uint32_t rank, const int64_t *shape)
{
    uint64_t n = 1;
    for (uint32_t k = 0; k < rank; k++) n *= (uint64_t)shape[k];
    if (rnd(6) == 0) return cexpr_random(a, dt, rank, shape, rnd(5), "p");
    if (rnd(8) == 0) return cexpr_splat(a, dt, rank, shape, (double)rnd(5));
    uint8_t *data = arena_alloc(a, dtype_bytes(dt, n), 1);
    for (uint64_t i = 0; i < n; i++)
        if (dtype_bits(dt) < 8) dtype_store_code(dt, data, i, (uint32_t)rnd(1u << dtype_bits(dt)));
        else dtype_store_f64(dt, data, i, (double)rnd(200) - (dt == DT_F8E8M0 || dt == DT_BOOL ? 0 : 90));
    return cexpr_data(a, dt, rank, shape, data);
}

static const cexpr *random_expression(arena *a, dtype dt, uint32_t rank, const int64_t *shape, int depth)
{
    if (depth == 0) return leaf(a, dt, rank, shape);
    switch (rnd(11)) {
    case 0: {
        dtype from = (dtype)rnd(DT_COUNT);
        return cexpr_cast(a, random_expression(a, from, rank, shape, depth - 1), dt);
    }
    case 1:
        if (!dtype_is_float(dt)) break;
        return cexpr_scale(a, random_expression(a, dt, rank, shape, depth - 1), 0.25 + (double)rnd(4));
    case 2: { /* slice of something larger */
        int64_t big[MAX_RANK], start[MAX_RANK];
        for (uint32_t k = 0; k < rank; k++) {
            start[k] = rnd(2) ? 0 : (int64_t)rnd(3);
            big[k] = start[k] + shape[k] + (rnd(2) ? 0 : (int64_t)rnd(3));
        }
        return cexpr_slice(a, random_expression(a, dt, rank, big, depth - 1), start, shape);
    }
    case 3:
    case 4: {
        uint8_t perm[MAX_RANK];
        int64_t from[MAX_RANK];
        for (uint32_t k = 0; k < rank; k++) perm[k] = (uint8_t)k;
        for (uint32_t k = rank; k > 1; k--) {
            uint32_t j = (uint32_t)rnd(k);
            uint8_t t = perm[k - 1];
            perm[k - 1] = perm[j];
            perm[j] = t;
        }
        for (uint32_t k = 0; k < rank; k++) from[perm[k]] = shape[k];
        return cexpr_transpose(a, random_expression(a, dt, rank, from, depth - 1), perm);
    }
    case 5: { /* concat */
        if (!rank) break;
        uint32_t axis = (uint32_t)rnd(rank), n = 0;
        const cexpr *parts[8];
        int64_t left = shape[axis], size[MAX_RANK];
        memcpy(size, shape, rank * sizeof *size);
        do {
            size[axis] = n == 6 ? left : (int64_t)rnd((uint64_t)left + 1);
            left -= size[axis];
            parts[n++] = random_expression(a, dt, rank, size, depth - 1);
        } while (left);
        return cexpr_concat(a, parts, n, (int)axis);
    }
    case 6: { /* reshape from one axis, or the axes reversed */
        int64_t n = 1, other[MAX_RANK];
        for (uint32_t k = 0; k < rank; k++) n *= shape[k], other[k] = shape[rank - 1 - k];
        bool flat = rnd(2);
        return cexpr_reshape(a, random_expression(a, dt, flat ? 1 : rank, flat ? &n : other, depth - 1), rank, shape);
    }
    case 7:
        if (!rank || shape[0] == 0 || shape[0] > 8) break;
        const cexpr *parts[8];
        for (int64_t k = 0; k < shape[0]; k++) parts[k] = random_expression(a, dt, rank - 1, shape + 1, depth - 1);
        return cexpr_stack(a, parts, (uint32_t)shape[0]);
    case 8: { /* of an expression without some axes, or with size 1 there */
        uint8_t axes[MAX_RANK];
        int64_t from[MAX_RANK];
        uint32_t n = 0;
        for (uint32_t k = 0; k < rank; k++) {
            uint64_t what = rnd(4);
            if (what == 0) continue;
            axes[n] = (uint8_t)k;
            from[n++] = what == 1 ? 1 : shape[k];
        }
        return cexpr_broadcast(a, random_expression(a, dt, n, from, depth - 1), axes, rank, shape);
    }
    case 9:
    case 10: {
        if (dtype_bits(dt) < 8 || !dtype_is_float(dt)) break;
        static const op_kind ops[] = {OP_ADD, OP_MUL, OP_ABS, OP_SELECT};
        op_kind op = ops[rnd(4)];
        const cexpr *args[3];
        uint32_t n = op == OP_ABS ? 1 : op == OP_SELECT ? 3 : 2;
        for (uint32_t k = 0; k < n; k++)
            args[k] = random_expression(a, op == OP_SELECT && k == 0 ? DT_BOOL : dt, rank, shape, depth - 1);
        return cexpr_map(a, op, args, n);
    }
    default: break;
    }
    return leaf(a, dt, rank, shape);
}

static void test_random_nestings(void **state)
{
    (void)state;
    const int64_t sizes[] = {1, 2, 3, 5, 7, 4, 1, 33};
    for (int round = 0; round < 4000; round++) {
        arena *a = arena_new(NULL, NULL);
        uint32_t rank = (uint32_t)rnd(5);
        int64_t shape[MAX_RANK], n = 1;
        for (uint32_t k = 0; k < rank; k++) {
            do shape[k] = sizes[rnd(8)];
            while (n * shape[k] > 2000);
            if (rnd(60) == 0) shape[k] = 0;
            n *= shape[k];
        }
        dtype dt = (dtype)rnd(DT_COUNT);
        const cexpr *e = random_expression(a, dt, rank, shape, (int)rnd(4));
        assert_int_equal(e->dt, dt);
        assert_int_equal(e->rank, rank);
        for (uint32_t k = 0; k < rank; k++) assert_int_equal(e->shape[k], shape[k]);
        check_everywhere(a, e);
        assert_true(cexpr_equal(e, e));
        if (rank >= 2) {
            encoding enc = {ENC_PANEL, (int32_t)(1 + rnd(9))};
            const cexpr *packed = cexpr_encode(a, e, enc);
            assert_int_equal(packed->rank, 1);
            assert_int_equal(packed->shape[0], encoding_elements(enc, rank, shape));
            check_everywhere(a, packed);
        }
        arena_free(a);
    }
}

/* Sizes around the tile's: 32 rows of 128 elements, chunks of 4096. */
static void test_tile_bounds(void **state)
{
    (void)state;
    const int64_t rows[] = {1, 31, 32, 33, 65}, columns[] = {1, 127, 128, 129, 300};
    const dtype types[] = {DT_I8, DT_BF16, DT_F32, DT_F64, DT_F4};
    for (int r = 0; r < 5; r++)
        for (int c = 0; c < 5; c++) {
            arena *a = arena_new(NULL, NULL);
            int64_t shape[2] = {rows[r], columns[c]};
            const cexpr *e = leaf(a, types[(r + c) % 5], 2, shape);
            check_everywhere(a, cexpr_transpose(a, e, (const uint8_t[]){1, 0}));
            check_everywhere(a, cexpr_cast(a, cexpr_transpose(a, e, (const uint8_t[]){1, 0}), DT_F16));
            check_everywhere(a, cexpr_encode(a, e, (encoding){ENC_PANEL, 32}));
            check_everywhere(a, cexpr_encode(a, e, (encoding){ENC_PANEL, 48}));
            check_everywhere(
                a, cexpr_encode(a, cexpr_transpose(a, e, (const uint8_t[]){1, 0}), (encoding){ENC_PANEL, 16}));
            arena_free(a);
        }
}

static void test_encoding_places(void **state)
{
    (void)state;
    /* every element of [batch, N, K] has its own place within the storage, as encodings.def says */
    const int64_t shapes[][3] = {{1, 5, 3}, {2, 64, 7}, {3, 33, 1}, {2, 1, 4}};
    for (int s = 0; s < 4; s++)
        for (int32_t nr = 1; nr < 40; nr += 13) {
            encoding enc = {ENC_PANEL, nr};
            const int64_t *sh = shapes[s];
            uint64_t n = encoding_elements(enc, 3, sh), panels = (uint64_t)((sh[1] + nr - 1) / nr);
            assert_int_equal(n, (uint64_t)sh[0] * panels * (uint64_t)(sh[2] * nr));
            uint8_t *used = calloc(1, n);
            for (int64_t b = 0; b < sh[0]; b++)
                for (int64_t i = 0; i < sh[1]; i++)
                    for (int64_t k = 0; k < sh[2]; k++) {
                        uint64_t place = encoding_offset(enc, 3, sh, (const int64_t[]){b, i, k});
                        uint64_t want =
                            (uint64_t)b * (n / (uint64_t)sh[0]) + (uint64_t)(((i / nr) * sh[2] + k) * nr + i % nr);
                        assert_int_equal(place, want);
                        assert_int_equal(used[place]++, 0);
                    }
            free(used);
        }
    assert_int_equal(encoding_elements((encoding){ENC_ROWS, 0}, 2, (const int64_t[]){3, 4}), 12);
    assert_int_equal(encoding_offset((encoding){ENC_ROWS, 0}, 2, (const int64_t[]){3, 4}, (const int64_t[]){2, 1}), 9);
    assert_int_equal(encoding_elements((encoding){ENC_ROWS, 0}, 0, NULL), 1);
}

static void test_random_values(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    const char *why;
    /* computed from the documented formula by other means */
    double v;
    const cexpr *e = cexpr_random(a, DT_F64, 2, (const int64_t[]){INT64_C(1) << 40, 4}, 7, "a.weight");
    assert_true(e->u.random.scale == 0.5);
    assert_int_equal(e->u.random.stream, UINT64_C(16029347488473366350));
    const struct {
        uint64_t i;
        double v;
    } known[] = {{0, -0x1.e18d642d0a770p-2},
                 {1, -0x1.00145363f626cp-2},
                 {2, -0x1.16ded3439ab00p-6},
                 {11, 0x1.9979efcb0cd42p-2},
                 {UINT64_C(1000000000000), -0x1.6c61b66f618a2p-2}};
    for (int k = 0; k < 5; k++) {
        assert_true(cexpr_read(e, known[k].i, 1, &v, &why));
        assert_true(v == known[k].v);
    }
    e = cexpr_random(a, DT_F32, 1, (const int64_t[]){2}, 7, "b");
    float f[2];
    assert_true(cexpr_read(e, 0, 2, f, &why));
    assert_true(f[0] == (float)0x1.4f52f64a70444p-5 && f[1] == (float)0x1.3013dec3669a7p-5);

    enum { N = 100000 };
    double *many = malloc(N * sizeof *many), sum = 0, squares = 0;
    e = cexpr_random_stream(a, DT_F64, 1, (const int64_t[]){N}, 3, 4, 1);
    assert_true(cexpr_read(e, 0, N, many, &why));
    for (int i = 0; i < N; i++) {
        assert_true(many[i] >= -1 && many[i] < 1);
        sum += many[i];
        squares += many[i] * many[i];
    }
    free(many);
    assert_true(fabs(sum / N) < 0.01);
    assert_true(fabs(squares / N - 1.0 / 3) < 0.01);
    /* ints are valid indices, a scale without sign is never NaN, a last size of 0 divides nothing */
    int64_t ids[3] = {1, 1, 1};
    assert_true(cexpr_read(cexpr_random(a, DT_I64, 1, (const int64_t[]){3}, 1, "ids"), 0, 3, ids, &why));
    assert_int_equal(ids[0] | ids[1] | ids[2], 0);
    uint8_t scales[64];
    assert_true(cexpr_read(cexpr_random(a, DT_F8E8M0, 1, (const int64_t[]){64}, 1, "s"), 0, 64, scales, &why));
    for (int i = 0; i < 64; i++) assert_true(scales[i] != 0xff);
    e = cexpr_random(a, DT_F32, 2, (const int64_t[]){4, 0}, 1, "z");
    assert_int_equal(cexpr_bytes(e), 0);
    assert_true(isfinite(e->u.random.scale));
    /* another seed or path is another tensor */
    double x, y, z;
    assert_true(cexpr_read(cexpr_random(a, DT_F64, 0, NULL, 1, "p"), 0, 1, &x, &why));
    assert_true(cexpr_read(cexpr_random(a, DT_F64, 0, NULL, 2, "p"), 0, 1, &y, &why));
    assert_true(cexpr_read(cexpr_random(a, DT_F64, 0, NULL, 1, "q"), 0, 1, &z, &why));
    assert_true(x != y && x != z && y != z);
    arena_free(a);
}

static void test_constructors_leave_out_nothing(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    int64_t shape[3] = {2, 3, 4};
    const cexpr *e = leaf(a, DT_F32, 3, shape);
    assert_ptr_equal(cexpr_cast(a, e, DT_F32), e);
    assert_ptr_equal(cexpr_scale(a, e, 1), e);
    assert_ptr_equal(cexpr_slice(a, e, (const int64_t[]){0, 0, 0}, shape), e);
    assert_ptr_equal(cexpr_transpose(a, e, (const uint8_t[]){0, 1, 2}), e);
    assert_ptr_equal(cexpr_reshape(a, e, 3, shape), e);
    assert_ptr_equal(cexpr_concat(a, &e, 1, 1), e);
    assert_ptr_equal(cexpr_broadcast(a, e, (const uint8_t[]){0, 1, 2}, 3, shape), e);
    const uint8_t there[] = {1, 2, 0}, back[] = {2, 0, 1};
    assert_ptr_equal(cexpr_transpose(a, cexpr_transpose(a, e, there), back), e);
    const cexpr *r = cexpr_reshape(a, e, 2, (const int64_t[]){6, 4});
    assert_ptr_equal(cexpr_reshape(a, r, 3, shape), e);
    const cexpr *s = cexpr_slice(a, cexpr_slice(a, e, (const int64_t[]){0, 1, 0}, (const int64_t[]){2, 2, 4}),
                                 (const int64_t[]){1, 1, 2}, (const int64_t[]){1, 1, 2});
    assert_ptr_equal(s->args[0], e);
    assert_true(cexpr_equal(s, cexpr_slice(a, e, (const int64_t[]){1, 2, 2}, (const int64_t[]){1, 1, 2})));
    check_everywhere(a, s);
    assert_int_equal(cexpr_encode(a, e, (encoding){ENC_ROWS, 0})->rank, 1);
    arena_free(a);
}

static void test_equality(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    int64_t shape[2] = {3, 3}, other[2] = {9, 1};
    const float x[9] = {1, 2, 3}, same[9] = {1, 2, 3}, y[9] = {1, 2, 4}, negative_zero[9] = {1, 2, 3, -0.0f};
    const cexpr *e = cexpr_data(a, DT_F32, 2, shape, x);
    const cexpr *list[] = {
        e,
        cexpr_data(a, DT_F32, 2, shape, y),
        cexpr_data(a, DT_F32, 2, shape, negative_zero),
        cexpr_data(a, DT_F32, 2, other, x),
        cexpr_data(a, DT_I32, 2, shape, x),
        cexpr_splat(a, DT_F32, 2, shape, 0.0),
        cexpr_splat(a, DT_F32, 2, shape, -0.0),
        cexpr_random(a, DT_F32, 2, shape, 0, "p"),
        cexpr_random(a, DT_F32, 2, shape, 1, "p"),
        cexpr_random(a, DT_F32, 2, shape, 0, "q"),
        cexpr_cast(a, e, DT_BF16),
        cexpr_cast(a, e, DT_F16),
        cexpr_scale(a, e, 2),
        cexpr_scale(a, e, 3),
        cexpr_slice(a, e, (const int64_t[]){0, 1}, (const int64_t[]){3, 2}),
        cexpr_slice(a, e, (const int64_t[]){0, 0}, (const int64_t[]){3, 2}),
        cexpr_transpose(a, e, (const uint8_t[]){1, 0}),
        cexpr_concat(a, (const cexpr *[]){e, e}, 2, 0),
        cexpr_concat(a, (const cexpr *[]){e, e}, 2, 1),
        cexpr_stack(a, (const cexpr *[]){e, e}, 2),
        cexpr_stack(a, (const cexpr *[]){e, e, e}, 3),
        cexpr_reshape(a, e, 2, other),
        cexpr_broadcast(a, e, (const uint8_t[]){0, 1}, 3, (const int64_t[]){3, 3, 3}),
        cexpr_broadcast(a, e, (const uint8_t[]){0, 2}, 3, (const int64_t[]){3, 3, 3}),
        cexpr_map(a, OP_MUL, (const cexpr *[]){e, e}, 2),
        cexpr_map(a, OP_ADD, (const cexpr *[]){e, e}, 2),
        cexpr_map(a, OP_LT, (const cexpr *[]){e, e}, 2),
        cexpr_encode(a, e, (encoding){ENC_PANEL, 2}),
        cexpr_encode(a, e, (encoding){ENC_PANEL, 4}),
    };
    const size_t n = sizeof list / sizeof list[0];
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            if (cexpr_equal(list[i], list[k]) != (i == k)) fail_msg("%s == %s", text(a, list[i]), text(a, list[k]));
    const cexpr *twin = cexpr_cast(a, cexpr_data(a, DT_F32, 2, shape, same), DT_BF16);
    assert_true(cexpr_equal(twin, list[10]));
    assert_int_equal(cexpr_hash(twin), cexpr_hash(list[10]));
    arena_free(a);
}

static void prints(arena *a, const cexpr *e, const char *want)
{
    assert_string_equal(text(a, e), want);
}

static void test_text(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    const int64_t two[2] = {2, 2};
    const int32_t ints[4] = {1, -2, 3, 4};
    const float floats[4] = {1, -0.0f, INFINITY, 0.1f};
    const uint64_t big[1] = {UINT64_MAX};
    const cexpr *e = cexpr_data(a, DT_I32, 2, two, ints);
    prints(a, e, "data i32[2, 2] [1, -2, 3, 4]");
    prints(a, cexpr_data(a, DT_F32, 2, two, floats), "data f32[2, 2] [1.0, -0.0, inf, 0.10000000149011612]");
    prints(a, cexpr_data(a, DT_U64, 0, NULL, big), "data u64[] [18446744073709551615]");
    prints(a, cexpr_data(a, DT_F32, 1, (const int64_t[]){0}, NULL), "data f32[0] []");
    prints(a, cexpr_splat(a, DT_F32, 1, two, 1.5), "splat f32[2] 1.5");
    prints(a, cexpr_random_stream(a, DT_F32, 2, two, 3, UINT64_MAX, 0.125),
           "random f32[2, 2] seed 3 stream 18446744073709551615 scale 0.125");
    prints(a, cexpr_cast(a, e, DT_BF16), "cast bf16 (data i32[2, 2] [1, -2, 3, 4])");
    const cexpr *s = cexpr_splat(a, DT_F32, 2, two, 0);
    prints(a, cexpr_slice(a, s, (const int64_t[]){1, 0}, (const int64_t[]){1, 2}),
           "slice [1, 0] [1, 2] (splat f32[2, 2] 0.0)");
    prints(a, cexpr_transpose(a, s, (const uint8_t[]){1, 0}), "transpose [1, 0] (splat f32[2, 2] 0.0)");
    prints(a, cexpr_reshape(a, s, 1, (const int64_t[]){4}), "reshape [4] (splat f32[2, 2] 0.0)");
    prints(a, cexpr_scale(a, s, -0.5), "scale -0.5 (splat f32[2, 2] 0.0)");
    prints(a, cexpr_concat(a, (const cexpr *[]){s, s}, 2, 1), "concat 1 (splat f32[2, 2] 0.0, splat f32[2, 2] 0.0)");
    prints(a, cexpr_stack(a, (const cexpr *[]){s, s}, 2), "stack (splat f32[2, 2] 0.0, splat f32[2, 2] 0.0)");
    prints(a, cexpr_broadcast(a, cexpr_splat(a, DT_F32, 1, two, 0), (const uint8_t[]){1}, 2, (const int64_t[]){3, 2}),
           "broadcast [1] [3, 2] (splat f32[2] 0.0)");
    prints(a, cexpr_map(a, OP_SUB, (const cexpr *[]){s, s}, 2), "map sub (splat f32[2, 2] 0.0, splat f32[2, 2] 0.0)");
    prints(a, cexpr_encode(a, s, (encoding){ENC_PANEL, 32}), "encode panel 32 (splat f32[2, 2] 0.0)");
    arena_free(a);
}

/* What is printed reads back as an equal expression. */
static void test_text_reads_back(void **state)
{
    (void)state;
    for (int round = 0; round < 400; round++) {
        tir_session s = tir_open();
        uint32_t rank = (uint32_t)rnd(4);
        int64_t shape[MAX_RANK];
        for (uint32_t k = 0; k < rank; k++) shape[k] = (int64_t)rnd(4);
        const cexpr *e = random_expression(s.a, (dtype)rnd(DT_COUNT), rank, shape, (int)rnd(4));
        strbuf out = strbuf_new(s.a);
        strbuf_addf(&out, "module m\nparam \"p\" : %s", dtype_name(e->dt));
        for (uint32_t k = 0; k < rank; k++) strbuf_addf(&out, "%s%lld", k ? ", " : "[", (long long)shape[k]);
        strbuf_adds(&out, rank ? "] = " : " = ");
        cexpr_print(e, &out);
        strbuf_addc(&out, '\n');
        const module *m = tir_parse(&s, out.s);
        if (!m) fail_msg("%s\n%s", out.s, tir_messages(&s));
        if (!cexpr_equal(e, m->params.data[0]->value))
            fail_msg("%s\nread as: %s", out.s, text(s.a, m->params.data[0]->value));
        tir_close(&s);
    }
}

/* Every op by its own definition: the interpreter's on the same numbers, rounded. */
static void test_maps(void **state)
{
    (void)state;
    arena *a = arena_new(NULL, NULL);
    const float x[5] = {0.1f, 4, -3, INFINITY, 0}, y[5] = {3, 0.5f, -0.7f, 2, 0};
    const int32_t i[5] = {7, -8, INT32_MAX, 0, 5};
    const int64_t five = 5;
    const cexpr *ex = cexpr_data(a, DT_F32, 1, &five, x), *ey = cexpr_data(a, DT_F32, 1, &five, y),
                *ei = cexpr_data(a, DT_I32, 1, &five, i);
    float f[5];
    int32_t n[5];
    uint8_t b[5];
    const char *why;
    assert_true(cexpr_read(cexpr_map(a, OP_DIV, (const cexpr *[]){ex, ey}, 2), 0, 5, f, &why));
    for (int k = 0; k < 4; k++) assert_true(f[k] == (float)((double)x[k] / y[k]));
    assert_true(f[4] != f[4]);
    assert_true(cexpr_read(cexpr_map(a, OP_RSQRT, &ex, 1), 0, 5, f, &why));
    assert_true(f[0] == (float)(1 / sqrt((double)x[0])) && f[2] != f[2] && f[3] == 0 && f[4] == INFINITY);
    assert_true(cexpr_read(cexpr_map(a, OP_ADD, (const cexpr *[]){ei, ei}, 2), 0, 5, n, &why));
    assert_true(n[0] == 14 && n[1] == -16 && n[2] == -2 && n[3] == 0);
    assert_true(cexpr_read(cexpr_map(a, OP_FLOOR, &ex, 1), 0, 5, f, &why) && f[0] == 0 && f[2] == -3);
    const cexpr *less = cexpr_map(a, OP_LT, (const cexpr *[]){ex, ey}, 2);
    assert_int_equal(less->dt, DT_BOOL);
    assert_true(cexpr_read(less, 0, 5, b, &why));
    assert_true(b[0] == 1 && b[1] == 0 && b[2] == 1 && b[3] == 0 && b[4] == 0);
    assert_true(cexpr_read(cexpr_map(a, OP_SELECT, (const cexpr *[]){less, ex, ey}, 3), 0, 5, f, &why));
    for (int k = 0; k < 5; k++) assert_true(f[k] == (b[k] ? x[k] : y[k]));
    /* what does not fit */
    dtype dt;
    assert_false(cexpr_map_type(OP_ADD, (const cexpr *[]){ex, ei}, 2, &dt));
    assert_false(cexpr_map_type(OP_ADD, &ex, 1, &dt));
    assert_false(cexpr_map_type(OP_EXP, &ei, 1, &dt));
    assert_false(cexpr_map_type(OP_BITAND, (const cexpr *[]){ex, ey}, 2, &dt));
    assert_false(cexpr_map_type(OP_ADD, (const cexpr *[]){less, less}, 2, &dt));
    assert_false(cexpr_map_type(OP_AND, (const cexpr *[]){ei, ei}, 2, &dt));
    assert_false(cexpr_map_type(OP_SELECT, (const cexpr *[]){ex, ex, ey}, 3, &dt));
    assert_false(cexpr_map_type(OP_SOFTMAX, &ex, 1, &dt));
    assert_false(cexpr_map_type(OP_ADD, (const cexpr *[]){ex, cexpr_splat(a, DT_F32, 0, NULL, 1)}, 2, &dt));
    arena_free(a);
}

/* ---- files ---- */

static void test_files(void **state)
{
    (void)state;
    enum { ROWS = 70, COLUMNS = 50 };
    char json[256], path[] = "/tmp/tfxc-constant-XXXXXX";
    int n = snprintf(json, sizeof json,
                     "{\"q\\\"\":{\"dtype\":\"F32\",\"shape\":[%d,%d],\"data_offsets\":[0,%d]},"
                     "\"nibbles\":{\"dtype\":\"F4\",\"shape\":[6],\"data_offsets\":[%d,%d]}}",
                     ROWS, COLUMNS, ROWS * COLUMNS * 4, ROWS * COLUMNS * 4, ROWS * COLUMNS * 4 + 3);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    uint64_t length = (uint64_t)n;
    assert_int_equal(write(fd, &length, 8), 8);
    assert_int_equal(write(fd, json, length), n);
    for (int i = 0; i < ROWS * COLUMNS; i++) assert_int_equal(write(fd, &(float){(float)i}, 4), 4);
    assert_int_equal(write(fd, "\x21\x43\x65", 3), 3);
    close(fd);

    arena *a = arena_new(NULL, NULL);
    diags *d = diags_new(a, source_set_new(a), 0);
    weights_file *w = weights_open(a, d, path);
    assert_non_null(w);
    const cexpr *e = cexpr_file(a, w, weights_find(w, "q\""));
    check_everywhere(a, e);
    check_everywhere(a, cexpr_transpose(a, e, (const uint8_t[]){1, 0}));
    check_everywhere(a, cexpr_encode(a, e, (encoding){ENC_PANEL, 32}));
    const cexpr *f4 = cexpr_file(a, w, weights_find(w, "nibbles"));
    check_everywhere(a, f4);
    check_everywhere(a, cexpr_cast(a, f4, DT_F32));
    check_everywhere(a, cexpr_transpose(a, cexpr_reshape(a, f4, 2, (const int64_t[]){2, 3}), (const uint8_t[]){1, 0}));
    char want[128];
    snprintf(want, sizeof want, "file \"%s\" \"q\\\"\"", path);
    prints(a, e, want);
    assert_true(cexpr_equal(e, cexpr_file(a, w, weights_find(w, "q\""))));
    assert_false(cexpr_equal(e, f4));
    cexpr_done(cexpr_encode(a, e, (encoding){ENC_PANEL, 32}));
    check_everywhere(a, e);

    /* a file that shrinks is noticed before its pages are touched */
    assert_int_equal(truncate(path, 100), 0);
    const char *why = NULL;
    float out[4];
    assert_false(cexpr_read(cexpr_transpose(a, e, (const uint8_t[]){1, 0}), 0, 4, out, &why));
    assert_string_equal(why, "the weights file became shorter while it was in use");
    weights_close(w);
    unlink(path);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_nestings),
        cmocka_unit_test(test_tile_bounds),
        cmocka_unit_test(test_encoding_places),
        cmocka_unit_test(test_random_values),
        cmocka_unit_test(test_constructors_leave_out_nothing),
        cmocka_unit_test(test_equality),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_reads_back),
        cmocka_unit_test(test_maps),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
