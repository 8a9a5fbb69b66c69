/* Model 'int', compiled from a* /b.tfx by tfxc 0.1.0. Do not edit.
 *
 * ends a comment: * /
 *
 * First comes tfx.h, which is the same for all models; then this model's functions, sizes and entries. Link the
 * program with the object or archive that was written with this file, -lm and -lpthread.
 */
#ifndef INT_MODEL_H
#define INT_MODEL_H

#include "runtime/tfx.h"

#if TFX_ABI_VERSION != 2
#error "another version of tfx.h was included before; compile the models of a program with one tfxc"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the model's functions; struct tfx_api above says more about each ---- */

/* What the model looks like. Never fails. */
const tfx_info *int_info(void);
/* The table of these functions. */
const tfx_api *int_api(void);
/* A new handle; options may be NULL. See tfx_api.open. */
tfx_status int_open(const tfx_options *options, tfx_model **out);
/* Frees the handle; NULL is allowed. */
void int_close(tfx_model *m);
/* Computes the outputs. See tfx_api.run. */
tfx_status int_run(tfx_model *m, uint32_t entry, const tfx_args *args);
/* The values of all dims that follow from the inputs' shapes. See tfx_api.dims. */
tfx_status int_dims(tfx_model *m, uint32_t entry, const tfx_args *args, int64_t *dims);
/* The shape of a tensor for these dims; the inputs are counted first, then the outputs. */
tfx_status int_shape(tfx_model *m, uint32_t entry, uint32_t tensor, const int64_t *dims, int64_t *shape);
/* Bytes of workspace. See tfx_api.workspace_size. */
int64_t int_workspace_size(uint32_t entry, const int64_t *dims, uint32_t max_workers, uint32_t flags);
/* The message of the last call that failed. */
const char *int_error(const tfx_model *m);
/* Calls fn after each kernel launch; NULL stops it. */
void int_profile(tfx_model *m, tfx_profile_fn *fn, void *ctx);
/* Which of info()->variants the handle runs; NULL: which one open would take here. See tfx_api.variant. */
int32_t int_variant(const tfx_model *m);

/* ---- dims: index in an array of int dim values, bounds ---- */

#define INT_DIMS 5
/* how many
 * * / */
#define INT_DIM_N 0 /* n */
#define INT_DIM_N_MIN 1
#define INT_DIM_N_MAX 1000
#define INT_DIM_N_2 1 /* N */
#define INT_DIM_N_2_MIN 1
#define INT_DIM_N_2_MAX 1000000000
#define INT_DIM_N_MAX_2 2 /* n_MAX */
#define INT_DIM_N_MAX_2_MIN (-3)
#define INT_DIM_N_MAX_2_MAX 9
#define INT_DIM_OPEN 3 /* open */
#define INT_DIM_OPEN_MIN 1
#define INT_DIM_OPEN_MAX 2

/* ---- entry 'int' ---- */

/* * / int x; / *
 * / * // \
 * ?? /
 * ?? / *?? /
 * *
 *
 * #define int €  kcab  ??
 * This line is longer than anyone would like to read in one go, so it is broken where there is a blank, and once
 * more, for it does not end before all is well.
 * then
 * 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789
 * and on */
#define INT_ENTRY_INFER 0

/* int: f32[n, floordiv(n, 7), min(n, n_MAX), mod(N, n)]
 * a doc with * / in it
 * and a second line / * too */
#define INT_INPUT_INT 0
#define INT_INPUT_INT_DTYPE TFX_F32
#define INT_INPUT_INT_RANK 4
#define INT_INPUT_INT_MAX_ELEMENTS 1276722000
static inline int64_t int_input_int_elements(int64_t dim_n, int64_t dim_N, int64_t dim_n_MAX)
{
    return dim_n * (tfx_floordiv(dim_n, 7)) * (tfx_min(dim_n, dim_n_MAX)) * (tfx_mod(dim_N, dim_n));
}
static inline void int_input_int_shape(int64_t dim_n, int64_t dim_N, int64_t dim_n_MAX, int64_t *shape)
{
    shape[0] = dim_n;
    shape[1] = tfx_floordiv(dim_n, 7);
    shape[2] = tfx_min(dim_n, dim_n_MAX);
    shape[3] = tfx_mod(dim_N, dim_n);
}

/* class: bool[n] */
#define INT_INPUT_CLASS 1
#define INT_INPUT_CLASS_DTYPE TFX_BOOL
#define INT_INPUT_CLASS_RANK 1
#define INT_INPUT_CLASS_MAX_ELEMENTS 1000
static inline int64_t int_input_class_elements(int64_t dim_n)
{
    return dim_n;
}
static inline void int_input_class_shape(int64_t dim_n, int64_t *shape)
{
    shape[0] = dim_n;
}

/* NULL: i8[N * N] */
#define INT_INPUT_NULL 2
#define INT_INPUT_NULL_DTYPE TFX_I8
#define INT_INPUT_NULL_RANK 1
#define INT_INPUT_NULL_MAX_ELEMENTS 1000000000000000000
static inline int64_t int_input_NULL_elements(int64_t dim_N)
{
    return dim_N * dim_N;
}
static inline void int_input_NULL_shape(int64_t dim_N, int64_t *shape)
{
    shape[0] = dim_N * dim_N;
}

/* a-b: u8[N, N, N] */
#define INT_INPUT_A_B 3
#define INT_INPUT_A_B_DTYPE TFX_U8
#define INT_INPUT_A_B_RANK 3
static inline int64_t int_input_a_b_elements(int64_t dim_N)
{
    return dim_N * dim_N * dim_N;
}
static inline void int_input_a_b_shape(int64_t dim_N, int64_t *shape)
{
    shape[0] = dim_N;
    shape[1] = dim_N;
    shape[2] = dim_N;
}

/* a_b: i16[n] */
#define INT_INPUT_A_B_2 4
#define INT_INPUT_A_B_2_DTYPE TFX_I16
#define INT_INPUT_A_B_2_RANK 1
#define INT_INPUT_A_B_2_MAX_ELEMENTS 1000
static inline int64_t int_input_a_b_2_elements(int64_t dim_n)
{
    return dim_n;
}
static inline void int_input_a_b_2_shape(int64_t dim_n, int64_t *shape)
{
    shape[0] = dim_n;
}

/* A_b: u16[n] */
#define INT_INPUT_A_B_3 5
#define INT_INPUT_A_B_3_DTYPE TFX_U16
#define INT_INPUT_A_B_3_RANK 1
#define INT_INPUT_A_B_3_MAX_ELEMENTS 1000
static inline int64_t int_input_A_b_elements(int64_t dim_n)
{
    return dim_n;
}
static inline void int_input_A_b_shape(int64_t dim_n, int64_t *shape)
{
    shape[0] = dim_n;
}

/* a: i32[open, 5000000000] */
#define INT_INPUT_A 6
#define INT_INPUT_A_DTYPE TFX_I32
#define INT_INPUT_A_RANK 2
#define INT_INPUT_A_SIZE_1 5000000000
#define INT_INPUT_A_MAX_ELEMENTS 10000000000
static inline int64_t int_input_a_elements(int64_t dim_open)
{
    return dim_open * INT64_C(5000000000);
}
static inline void int_input_a_shape(int64_t dim_open, int64_t *shape)
{
    shape[0] = dim_open;
    shape[1] = INT64_C(5000000000);
}

/* a_RANK: u32[] */
#define INT_INPUT_A_RANK_2 7
#define INT_INPUT_A_RANK_2_DTYPE TFX_U32
#define INT_INPUT_A_RANK_2_RANK 0
#define INT_INPUT_A_RANK_2_MAX_ELEMENTS 1
static inline int64_t int_input_a_RANK_elements(void)
{
    return 1;
}

/* a_shape: i64[] */
#define INT_INPUT_A_SHAPE 8
#define INT_INPUT_A_SHAPE_DTYPE TFX_I64
#define INT_INPUT_A_SHAPE_RANK 0
#define INT_INPUT_A_SHAPE_MAX_ELEMENTS 1
static inline int64_t int_input_a_shape_2_elements(void)
{
    return 1;
}

/* m: u64[] */
#define INT_INPUT_M 9
#define INT_INPUT_M_DTYPE TFX_U64
#define INT_INPUT_M_RANK 0
#define INT_INPUT_M_MAX_ELEMENTS 1
static inline int64_t int_input_m_elements(void)
{
    return 1;
}

/* int: f64[] */
#define INT_OUTPUT_INT 0
#define INT_OUTPUT_INT_DTYPE TFX_F64
#define INT_OUTPUT_INT_RANK 0
#define INT_OUTPUT_INT_MAX_ELEMENTS 1
static inline int64_t int_output_int_elements(void)
{
    return 1;
}

/* shape: bf16[n] */
#define INT_OUTPUT_SHAPE 1
#define INT_OUTPUT_SHAPE_DTYPE TFX_BF16
#define INT_OUTPUT_SHAPE_RANK 1
#define INT_OUTPUT_SHAPE_MAX_ELEMENTS 1000
static inline int64_t int_output_shape_elements(int64_t dim_n)
{
    return dim_n;
}
static inline void int_output_shape_shape(int64_t dim_n, int64_t *shape)
{
    shape[0] = dim_n;
}

/* tensors: f8e4m3[n] */
#define INT_OUTPUT_TENSORS 2
#define INT_OUTPUT_TENSORS_DTYPE TFX_F8E4M3
#define INT_OUTPUT_TENSORS_RANK 1
#define INT_OUTPUT_TENSORS_MAX_ELEMENTS 1000
static inline int64_t int_output_tensors_elements(int64_t dim_n)
{
    return dim_n;
}
static inline void int_output_tensors_shape(int64_t dim_n, int64_t *shape)
{
    shape[0] = dim_n;
}

/* x: f16[n] */
#define INT_OUTPUT_X 3
#define INT_OUTPUT_X_DTYPE TFX_F16
#define INT_OUTPUT_X_RANK 1
#define INT_OUTPUT_X_MAX_ELEMENTS 1000
static inline int64_t int_output_x_elements(int64_t dim_n)
{
    return dim_n;
}
static inline void int_output_x_shape(int64_t dim_n, int64_t *shape)
{
    shape[0] = dim_n;
}

/* f4: f4[n] */
#define INT_OUTPUT_F4 4
#define INT_OUTPUT_F4_DTYPE TFX_F4
#define INT_OUTPUT_F4_RANK 1
#define INT_OUTPUT_F4_MAX_ELEMENTS 1000
static inline int64_t int_output_f4_elements(int64_t dim_n)
{
    return dim_n;
}
static inline void int_output_f4_shape(int64_t dim_n, int64_t *shape)
{
    shape[0] = dim_n;
}

/* * / int x; / *
 * / * // \
 * ?? /
 * ?? / *?? /
 * *
 *
 * #define int €  kcab  ??
 * This line is longer than anyone would like to read in one go, so it is broken where there is a blank, and once
 * more, for it does not end before all is well.
 * then
 * 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789
 * and on
 *
 * Runs entry 'int' on compact tensors: row-major, without gaps. Inputs are read only, outputs are written whole, and
 * overlap nothing. TFX_OK, or what is wrong, which int_error(m) says in words.
 *
 *   dim_n: n, from 1 to 1000
 *   dim_N: N, from 1 to 1000000000
 *   dim_n_MAX: n_MAX, from -3 to 9
 *   dim_open: open, from 1 to 2
 *   in_int: f32[n, floordiv(n, 7), min(n, n_MAX), mod(N, n)]
 *   in_class: bool[n], one byte each
 *   in_NULL: i8[N * N]
 *   in_a_b: u8[N, N, N]
 *   in_a_b_2: i16[n]
 *   in_A_b: u16[n]
 *   in_a: i32[open, 5000000000]
 *   in_a_RANK: u32[]
 *   in_a_shape: i64[]
 *   in_m: u64[]
 *   out_int: f64[]
 *   out_shape: bf16[n], as bit patterns
 *   out_tensors: f8e4m3[n], as bit patterns
 *   out_x: f16[n], as bit patterns
 *   out_f4: f4[n], as bit patterns without gaps */
static inline tfx_status int_infer(tfx_model *m, int64_t dim_n, int64_t dim_N, int64_t dim_n_MAX, int64_t dim_open,
    const float *in_int,
    const uint8_t *in_class,
    const int8_t *in_NULL,
    const uint8_t *in_a_b,
    const int16_t *in_a_b_2,
    const uint16_t *in_A_b,
    const int32_t *in_a,
    const uint32_t *in_a_RANK,
    const int64_t *in_a_shape,
    const uint64_t *in_m,
    double *out_int,
    uint16_t *out_shape,
    uint8_t *out_tensors,
    uint16_t *out_x,
    uint8_t *out_f4)
{
    int64_t shapes[15][TFX_MAX_RANK];
    tfx_tensor tensors[15];
    int64_t given[2];
    tfx_args args;
    int_input_int_shape(dim_n, dim_N, dim_n_MAX, shapes[0]);
    tensors[0] = tfx_compact(in_int, INT_INPUT_INT_DTYPE, INT_INPUT_INT_RANK, shapes[0]);
    int_input_class_shape(dim_n, shapes[1]);
    tensors[1] = tfx_compact(in_class, INT_INPUT_CLASS_DTYPE, INT_INPUT_CLASS_RANK, shapes[1]);
    int_input_NULL_shape(dim_N, shapes[2]);
    tensors[2] = tfx_compact(in_NULL, INT_INPUT_NULL_DTYPE, INT_INPUT_NULL_RANK, shapes[2]);
    int_input_a_b_shape(dim_N, shapes[3]);
    tensors[3] = tfx_compact(in_a_b, INT_INPUT_A_B_DTYPE, INT_INPUT_A_B_RANK, shapes[3]);
    int_input_a_b_2_shape(dim_n, shapes[4]);
    tensors[4] = tfx_compact(in_a_b_2, INT_INPUT_A_B_2_DTYPE, INT_INPUT_A_B_2_RANK, shapes[4]);
    int_input_A_b_shape(dim_n, shapes[5]);
    tensors[5] = tfx_compact(in_A_b, INT_INPUT_A_B_3_DTYPE, INT_INPUT_A_B_3_RANK, shapes[5]);
    int_input_a_shape(dim_open, shapes[6]);
    tensors[6] = tfx_compact(in_a, INT_INPUT_A_DTYPE, INT_INPUT_A_RANK, shapes[6]);
    tensors[7] = tfx_compact(in_a_RANK, INT_INPUT_A_RANK_2_DTYPE, INT_INPUT_A_RANK_2_RANK, NULL);
    tensors[8] = tfx_compact(in_a_shape, INT_INPUT_A_SHAPE_DTYPE, INT_INPUT_A_SHAPE_RANK, NULL);
    tensors[9] = tfx_compact(in_m, INT_INPUT_M_DTYPE, INT_INPUT_M_RANK, NULL);
    tensors[10] = tfx_compact(out_int, INT_OUTPUT_INT_DTYPE, INT_OUTPUT_INT_RANK, NULL);
    int_output_shape_shape(dim_n, shapes[11]);
    tensors[11] = tfx_compact(out_shape, INT_OUTPUT_SHAPE_DTYPE, INT_OUTPUT_SHAPE_RANK, shapes[11]);
    int_output_tensors_shape(dim_n, shapes[12]);
    tensors[12] = tfx_compact(out_tensors, INT_OUTPUT_TENSORS_DTYPE, INT_OUTPUT_TENSORS_RANK, shapes[12]);
    int_output_x_shape(dim_n, shapes[13]);
    tensors[13] = tfx_compact(out_x, INT_OUTPUT_X_DTYPE, INT_OUTPUT_X_RANK, shapes[13]);
    int_output_f4_shape(dim_n, shapes[14]);
    tensors[14] = tfx_compact(out_f4, INT_OUTPUT_F4_DTYPE, INT_OUTPUT_F4_RANK, shapes[14]);
    given[0] = dim_n_MAX;
    given[1] = dim_open;
    args.inputs = tensors;
    args.outputs = tensors + 10;
    args.dims = given;
    args.n_inputs = 10;
    args.n_outputs = 5;
    args.n_dims = 2;
    args.reserved = 0;
    return int_run(m, INT_ENTRY_INFER, &args);
}

#ifdef __cplusplus
}
#endif
#endif
/* Model 'Bare' by tfxc 0.1.0. Do not edit.
 *
 * First comes tfx.h, which is the same for all models; then this model's functions, sizes and entries. Link the
 * program with the object or archive that was written with this file, -lm and -lpthread.
 * The weights are in a file of their own, which the program names when it opens the model.
 *
 *     #include "BARE.h"
 *     #include <stdio.h>
 *
 *     int main(void)
 *     {
 *         char why[256];
 *         tfx_model *m;
 *         tfx_options options = TFX_OPTIONS_INIT;
 *         options.message = why;
 *         options.message_bytes = sizeof why;
 *         options.weights_path = "..."; // the file that --external-weights wrote
 *         if (BARE_open(&options, &m) != TFX_OK) return puts(why), 1;
 *         if (BARE_open_2(m) != TFX_OK) puts(BARE_error(m));
 *         BARE_close(m);
 *         return 0;
 *     }
 */
#ifndef BARE_MODEL_H
#define BARE_MODEL_H

#include "runtime/tfx.h"

#if TFX_ABI_VERSION != 2
#error "another version of tfx.h was included before; compile the models of a program with one tfxc"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the model's functions; struct tfx_api above says more about each ---- */

/* What the model looks like. Never fails. */
const tfx_info *BARE_info(void);
/* The table of these functions. */
const tfx_api *BARE_api(void);
/* A new handle; options may be NULL. See tfx_api.open. */
tfx_status BARE_open(const tfx_options *options, tfx_model **out);
/* Frees the handle; NULL is allowed. */
void BARE_close(tfx_model *m);
/* Computes the outputs. See tfx_api.run. */
tfx_status BARE_run(tfx_model *m, uint32_t entry, const tfx_args *args);
/* The values of all dims that follow from the inputs' shapes. See tfx_api.dims. */
tfx_status BARE_dims(tfx_model *m, uint32_t entry, const tfx_args *args, int64_t *dims);
/* The shape of a tensor for these dims; the inputs are counted first, then the outputs. */
tfx_status BARE_shape(tfx_model *m, uint32_t entry, uint32_t tensor, const int64_t *dims, int64_t *shape);
/* Bytes of workspace. See tfx_api.workspace_size. */
int64_t BARE_workspace_size(uint32_t entry, const int64_t *dims, uint32_t max_workers, uint32_t flags);
/* The message of the last call that failed. */
const char *BARE_error(const tfx_model *m);
/* Calls fn after each kernel launch; NULL stops it. */
void BARE_profile(tfx_model *m, tfx_profile_fn *fn, void *ctx);
/* Which of info()->variants the handle runs; NULL: which one open would take here. See tfx_api.variant. */
int32_t BARE_variant(const tfx_model *m);

/* ---- dims: index in an array of BARE dim values, bounds ---- */

#define BARE_DIMS 5
/* how many
 * * / */
#define BARE_DIM_N 0 /* n */
#define BARE_DIM_N_MIN 1
#define BARE_DIM_N_MAX 1000
#define BARE_DIM_N_2 1 /* N */
#define BARE_DIM_N_2_MIN 1
#define BARE_DIM_N_2_MAX 1000000000
#define BARE_DIM_N_MAX_2 2 /* n_MAX */
#define BARE_DIM_N_MAX_2_MIN (-3)
#define BARE_DIM_N_MAX_2_MAX 9
#define BARE_DIM_OPEN 3 /* open */
#define BARE_DIM_OPEN_MIN 1
#define BARE_DIM_OPEN_MAX 2

/* ---- entry 'open' ---- */

#define BARE_ENTRY_OPEN 0

/* Runs entry 'open' on compact tensors: row-major, without gaps. Inputs are read only, outputs are written whole, and
 * overlap nothing. TFX_OK, or what is wrong, which BARE_error(m) says in words. */
static inline tfx_status BARE_open_2(tfx_model *m)
{
    tfx_tensor tensors[1];
    tfx_args args;
    args.inputs = tensors;
    args.outputs = tensors + 0;
    args.dims = NULL;
    args.n_inputs = 0;
    args.n_outputs = 0;
    args.n_dims = 0;
    args.reserved = 0;
    return BARE_run(m, BARE_ENTRY_OPEN, &args);
}

/* ---- entry 'run' ---- */

#define BARE_ENTRY_RUN 1

/* int: f64[] */
#define BARE_RUN_OUTPUT_INT 0
#define BARE_RUN_OUTPUT_INT_DTYPE TFX_F64
#define BARE_RUN_OUTPUT_INT_RANK 0
#define BARE_RUN_OUTPUT_INT_MAX_ELEMENTS 1
static inline int64_t BARE_run_output_int_elements(void)
{
    return 1;
}

/* Runs entry 'run' on compact tensors: row-major, without gaps. Inputs are read only, outputs are written whole, and
 * overlap nothing. TFX_OK, or what is wrong, which BARE_error(m) says in words.
 *
 *   dim_n: n, from 1 to 1000
 *   out_int: f64[] */
static inline tfx_status BARE_run_2(tfx_model *m, int64_t dim_n,
    double *out_int)
{
    tfx_tensor tensors[1];
    int64_t given[1];
    tfx_args args;
    tensors[0] = tfx_compact(out_int, BARE_RUN_OUTPUT_INT_DTYPE, BARE_RUN_OUTPUT_INT_RANK, NULL);
    given[0] = dim_n;
    args.inputs = tensors;
    args.outputs = tensors + 0;
    args.dims = given;
    args.n_inputs = 0;
    args.n_outputs = 1;
    args.n_dims = 1;
    args.reserved = 0;
    return BARE_run(m, BARE_ENTRY_RUN, &args);
}

/* ---- entry 'DIMS' ---- */

#define BARE_ENTRY_DIMS 2

/* Runs entry 'DIMS' on compact tensors: row-major, without gaps. Inputs are read only, outputs are written whole, and
 * overlap nothing. TFX_OK, or what is wrong, which BARE_error(m) says in words. */
static inline tfx_status BARE_DIMS_2(tfx_model *m)
{
    tfx_tensor tensors[1];
    tfx_args args;
    args.inputs = tensors;
    args.outputs = tensors + 0;
    args.dims = NULL;
    args.n_inputs = 0;
    args.n_outputs = 0;
    args.n_dims = 0;
    args.reserved = 0;
    return BARE_run(m, BARE_ENTRY_DIMS, &args);
}

#ifdef __cplusplus
}
#endif
#endif
