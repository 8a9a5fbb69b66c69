/* Constants: expressions on slices of weight files, evaluated only while the artefact is written.
 *
 * An expression has a dtype and constant sizes. Evaluation is streamed: cexpr_read produces any element range in
 * row-major order of the expression's own shape without materialising the rest, so a 3 GB tensor needs a buffer of a
 * few MB. */
#ifndef IR_CONSTANT_H
#define IR_CONSTANT_H

#include "ir/module.h"
#include "ir/weights.h"

typedef enum {
    CE_FILE,   /* a tensor of a weights file, as stored */
    CE_RANDOM, /* reproducible: scale * uniform(-1, 1) from (seed, path hash, index); see constant.c for the generator
                */
    CE_SPLAT,  /* one number everywhere */
    CE_DATA,   /* elements held in memory (folded constants, .tir literals) */
    CE_CAST,
    CE_SLICE,
    CE_TRANSPOSE,
    CE_CONCAT,
    CE_RESHAPE,
    CE_SCALE,
    CE_STACK,
    CE_BROADCAST,
    CE_MAP,   /* an elementwise op of scalar.def */
    CE_ENCODE /* into an encoding: the result is the encoded storage, rank 1 */
} cexpr_kind;

struct cexpr {
    cexpr_kind kind;
    dtype dt;
    uint8_t rank;
    int64_t shape[MAX_RANK];
    uint32_t n_args;
    const cexpr *const *args;
    union {
        struct {
            const weights_file *file;
            const weights_tensor *tensor;
        } file;
        struct {
            uint64_t seed, stream;
            double scale;
        } random;
        double splat;
        const void *data;        /* shape elements of dt, row-major */
        int64_t start[MAX_RANK]; /* SLICE (step 1) */
        uint8_t perm[MAX_RANK];  /* TRANSPOSE: result axis i is argument axis perm[i] */
        uint8_t axes[MAX_RANK];  /* BROADCAST: argument axis k is result axis axes[k]; a size 1 there repeats too */
        op_kind op;              /* MAP */
        int axis;                /* CONCAT, STACK */
        double scale;            /* SCALE */
        encoding enc;            /* ENCODE */
    } u;
};

const cexpr *cexpr_file(arena *a, const weights_file *f, const weights_tensor *t);
const cexpr *cexpr_random(arena *a, dtype dt, uint32_t rank, const int64_t *shape, uint64_t seed, const char *path);
const cexpr *cexpr_splat(arena *a, dtype dt, uint32_t rank, const int64_t *shape, double v);
const cexpr *cexpr_data(arena *a, dtype dt, uint32_t rank, const int64_t *shape, const void *data); /* borrowed */
const cexpr *cexpr_cast(arena *a, const cexpr *e, dtype to); /* returns e when nothing changes */
const cexpr *cexpr_slice(arena *a, const cexpr *e, const int64_t *start, const int64_t *size);
const cexpr *cexpr_transpose(arena *a, const cexpr *e, const uint8_t *perm);
const cexpr *cexpr_concat(arena *a, const cexpr *const *parts, uint32_t n, int axis);
const cexpr *cexpr_stack(arena *a, const cexpr *const *parts, uint32_t n); /* new leading axis */
const cexpr *cexpr_reshape(arena *a, const cexpr *e, uint32_t rank, const int64_t *shape);
const cexpr *cexpr_scale(arena *a, const cexpr *e, double by);
const cexpr *cexpr_broadcast(arena *a, const cexpr *e, const uint8_t *axes, uint32_t rank, const int64_t *shape);
/* A row of scalar.def on arguments of one shape and, but for the condition of a select, one dtype of at least 8 bits.
 */
const cexpr *cexpr_map(arena *a, op_kind op, const cexpr *const *args, uint32_t n);
bool cexpr_map_type(op_kind op, const cexpr *const *args, uint32_t n, dtype *out); /* false: they do not fit */
const cexpr *cexpr_encode(arena *a, const cexpr *e, encoding enc);

/* The same with everything given; what cexpr_random makes of the path, and the numbers it stands for, is said in
 * constant.c. */
const cexpr *cexpr_random_stream(arena *a, dtype dt, uint32_t rank, const int64_t *shape, uint64_t seed,
                                 uint64_t stream, double scale);

uint64_t cexpr_elements(const cexpr *e);
uint64_t cexpr_bytes(const cexpr *e);
bool cexpr_equal(const cexpr *a, const cexpr *b); /* structural: shared constants are emitted once */
uint64_t cexpr_hash(const cexpr *e); /* equal expressions hash alike; the same within one run of the program only */
/* Elements [first, first + n) in row-major order into `out` (packed from its first bit on, dtype e->dt; the unused bits
 * of a sub-byte dtype's last byte are zero). False with *why (a constant string) set when the file cannot be read.
 * Takes no heap memory. A range of a transpose or an encoding is made from whole tiles where it covers them: large
 * ranges are fast. */
bool cexpr_read(const cexpr *e, uint64_t first, uint64_t n, void *out, const char **why);
/* Gives the pages of all files behind e back to the system (see weights_done). */
void cexpr_done(const cexpr *e);
/* The text form, which ir/parse_constant.c reads back to an equal expression. Leaves but for files carry their type;
 * data are printed by strbuf_add_double (float dtypes) or as decimal integers. A type of rank 0 is the bare dtype, but
 * i32[] for data; names are quoted by print_quoted (ir/internal.h).
 *
 *   file "model.safetensors" "a.weight"
 *   random f32[64, 64] seed 0 stream 1234 scale 0.125        splat f32[64] 1.5        data i32[2, 2] [1, 2, 3, 4]
 *   cast bf16 (E)   slice [0, 0] [768, 768] (E)   transpose [1, 0] (E)   reshape [3, 4] (E)   scale 0.125 (E)
 *   concat 0 (E, E)   stack (E, E)   broadcast [0] [4, 3] (E)   map mul (E, E)   encode panel 32 (E) */
void cexpr_print(const cexpr *e, strbuf *out);

/* Encodings, from encodings.def: sizes and the reference forms of pack and unpack. Axes before the last two of a panel
 * encoding are a batch: one run of panels for each. */
uint64_t encoding_elements(encoding enc, uint32_t rank,
                           const int64_t *shape); /* of the encoded storage, padding included */
uint64_t encoding_offset(encoding enc, uint32_t rank, const int64_t *shape,
                         const int64_t *index); /* element's place in it */

#endif
