/* Model 'toy', compiled from toy.tfx by tfxc 0.1.0. Do not edit.
 *
 * A model for tests.
 *
 * First comes tfx.h, which is the same for all models; then this model's functions, sizes and entries. Link the
 * program with the object or archive that was written with this file, -lm and -lpthread.
 *
 *     #include "toy.h"
 *     #include <stdio.h>
 *
 *     int main(void)
 *     {
 *         static int64_t in_ids[TOY_EMBED_INPUT_IDS_MAX_ELEMENTS];
 *         static float out_emb[TOY_EMBED_OUTPUT_EMB_MAX_ELEMENTS];
 *         char why[256];
 *         tfx_model *m;
 *         tfx_options options = TFX_OPTIONS_INIT;
 *         options.message = why;
 *         options.message_bytes = sizeof why;
 *         if (toy_open(&options, &m) != TFX_OK) return puts(why), 1;
 *         if (toy_embed(m, TOY_DIM_B_MIN, TOY_DIM_S_MIN, in_ids, out_emb) != TFX_OK) puts(toy_error(m));
 *         toy_close(m);
 *         return 0;
 *     }
 */
#ifndef TOY_MODEL_H
#define TOY_MODEL_H

#include "runtime/tfx.h"

#if TFX_ABI_VERSION != 2
#error "another version of tfx.h was included before; compile the models of a program with one tfxc"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the model's functions; struct tfx_api above says more about each ---- */

/* What the model looks like. Never fails. */
const tfx_info *toy_info(void);
/* The table of these functions. */
const tfx_api *toy_api(void);
/* A new handle; options may be NULL. See tfx_api.open. */
tfx_status toy_open(const tfx_options *options, tfx_model **out);
/* Frees the handle; NULL is allowed. */
void toy_close(tfx_model *m);
/* Computes the outputs. See tfx_api.run. */
tfx_status toy_run(tfx_model *m, uint32_t entry, const tfx_args *args);
/* The values of all dims that follow from the inputs' shapes. See tfx_api.dims. */
tfx_status toy_dims(tfx_model *m, uint32_t entry, const tfx_args *args, int64_t *dims);
/* The shape of a tensor for these dims; the inputs are counted first, then the outputs. */
tfx_status toy_shape(tfx_model *m, uint32_t entry, uint32_t tensor, const int64_t *dims, int64_t *shape);
/* Bytes of workspace. See tfx_api.workspace_size. */
int64_t toy_workspace_size(uint32_t entry, const int64_t *dims, uint32_t max_workers, uint32_t flags);
/* The message of the last call that failed. */
const char *toy_error(const tfx_model *m);
/* Calls fn after each kernel launch; NULL stops it. */
void toy_profile(tfx_model *m, tfx_profile_fn *fn, void *ctx);
/* Which of info()->variants the handle runs; NULL: which one open would take here. See tfx_api.variant. */
int32_t toy_variant(const tfx_model *m);

/* Bytes for tfx_options.workspace that are enough for every run on one thread and without TFX_STRIDED. What several
 * threads or a run with certain dims need, toy_workspace_size tells. */
#define TOY_WORKSPACE_BYTES 1088

/* ---- dims: index in an array of toy dim values, bounds ---- */

#define TOY_DIMS 4
#define TOY_DIM_B 0 /* B */
#define TOY_DIM_B_MIN 1
#define TOY_DIM_B_MAX 4
#define TOY_DIM_S 1 /* S */
#define TOY_DIM_S_MIN 0
#define TOY_DIM_S_MAX 16
#define TOY_DIM_M 2 /* M */
#define TOY_DIM_M_MIN 8
#define TOY_DIM_M_MAX 32
#define TOY_DIM_M_MULTIPLE 8
#define TOY_DIM_P 3 /* P */
#define TOY_DIM_P_MIN 0
#define TOY_DIM_P_MAX 8

/* ---- entry 'embed' ---- */

/* Looks tokens up. */
#define TOY_ENTRY_EMBED 0

/* ids: i64[B, S]
 * token numbers */
#define TOY_EMBED_INPUT_IDS 0
#define TOY_EMBED_INPUT_IDS_DTYPE TFX_I64
#define TOY_EMBED_INPUT_IDS_RANK 2
#define TOY_EMBED_INPUT_IDS_MAX_ELEMENTS 64
static inline int64_t toy_embed_input_ids_elements(int64_t dim_B, int64_t dim_S)
{
    return dim_B * dim_S;
}
static inline void toy_embed_input_ids_shape(int64_t dim_B, int64_t dim_S, int64_t *shape)
{
    shape[0] = dim_B;
    shape[1] = dim_S;
}

/* emb: f32[B, S, 4] */
#define TOY_EMBED_OUTPUT_EMB 0
#define TOY_EMBED_OUTPUT_EMB_DTYPE TFX_F32
#define TOY_EMBED_OUTPUT_EMB_RANK 3
#define TOY_EMBED_OUTPUT_EMB_SIZE_2 4
#define TOY_EMBED_OUTPUT_EMB_MAX_ELEMENTS 256
static inline int64_t toy_embed_output_emb_elements(int64_t dim_B, int64_t dim_S)
{
    return dim_B * dim_S * 4;
}
static inline void toy_embed_output_emb_shape(int64_t dim_B, int64_t dim_S, int64_t *shape)
{
    shape[0] = dim_B;
    shape[1] = dim_S;
    shape[2] = 4;
}

/* Looks tokens up.
 *
 * Runs entry 'embed' on compact tensors: row-major, without gaps. Inputs are read only, outputs are written whole, and
 * overlap nothing. TFX_OK, or what is wrong, which toy_error(m) says in words.
 *
 *   dim_B: B, from 1 to 4
 *   dim_S: S, from 0 to 16
 *   in_ids: i64[B, S]
 *   out_emb: f32[B, S, 4] */
static inline tfx_status toy_embed(tfx_model *m, int64_t dim_B, int64_t dim_S,
    const int64_t *in_ids,
    float *out_emb)
{
    int64_t shapes[2][TFX_MAX_RANK];
    tfx_tensor tensors[2];
    tfx_args args;
    toy_embed_input_ids_shape(dim_B, dim_S, shapes[0]);
    tensors[0] = tfx_compact(in_ids, TOY_EMBED_INPUT_IDS_DTYPE, TOY_EMBED_INPUT_IDS_RANK, shapes[0]);
    toy_embed_output_emb_shape(dim_B, dim_S, shapes[1]);
    tensors[1] = tfx_compact(out_emb, TOY_EMBED_OUTPUT_EMB_DTYPE, TOY_EMBED_OUTPUT_EMB_RANK, shapes[1]);
    args.inputs = tensors;
    args.outputs = tensors + 1;
    args.dims = NULL;
    args.n_inputs = 1;
    args.n_outputs = 1;
    args.n_dims = 0;
    args.reserved = 0;
    return toy_run(m, TOY_ENTRY_EMBED, &args);
}

/* ---- entry 'window' ---- */

#define TOY_ENTRY_WINDOW 1

/* x: f32[S, M] */
#define TOY_WINDOW_INPUT_X 0
#define TOY_WINDOW_INPUT_X_DTYPE TFX_F32
#define TOY_WINDOW_INPUT_X_RANK 2
#define TOY_WINDOW_INPUT_X_MAX_ELEMENTS 512
static inline int64_t toy_window_input_x_elements(int64_t dim_S, int64_t dim_M)
{
    return dim_S * dim_M;
}
static inline void toy_window_input_x_shape(int64_t dim_S, int64_t dim_M, int64_t *shape)
{
    shape[0] = dim_S;
    shape[1] = dim_M;
}

/* y: f32[2 * S + 1] */
#define TOY_WINDOW_INPUT_Y 1
#define TOY_WINDOW_INPUT_Y_DTYPE TFX_F32
#define TOY_WINDOW_INPUT_Y_RANK 1
#define TOY_WINDOW_INPUT_Y_MAX_ELEMENTS 33
static inline int64_t toy_window_input_y_elements(int64_t dim_S)
{
    return (dim_S * 2) + 1;
}
static inline void toy_window_input_y_shape(int64_t dim_S, int64_t *shape)
{
    shape[0] = (dim_S * 2) + 1;
}

/* on: bool[] */
#define TOY_WINDOW_INPUT_ON 2
#define TOY_WINDOW_INPUT_ON_DTYPE TFX_BOOL
#define TOY_WINDOW_INPUT_ON_RANK 0
#define TOY_WINDOW_INPUT_ON_MAX_ELEMENTS 1
static inline int64_t toy_window_input_on_elements(void)
{
    return 1;
}

/* z: f32[S + P] */
#define TOY_WINDOW_OUTPUT_Z 0
#define TOY_WINDOW_OUTPUT_Z_DTYPE TFX_F32
#define TOY_WINDOW_OUTPUT_Z_RANK 1
#define TOY_WINDOW_OUTPUT_Z_MAX_ELEMENTS 24
static inline int64_t toy_window_output_z_elements(int64_t dim_S, int64_t dim_P)
{
    return dim_S + dim_P;
}
static inline void toy_window_output_z_shape(int64_t dim_S, int64_t dim_P, int64_t *shape)
{
    shape[0] = dim_S + dim_P;
}

/* n: i32[] */
#define TOY_WINDOW_OUTPUT_N 1
#define TOY_WINDOW_OUTPUT_N_DTYPE TFX_I32
#define TOY_WINDOW_OUTPUT_N_RANK 0
#define TOY_WINDOW_OUTPUT_N_MAX_ELEMENTS 1
static inline int64_t toy_window_output_n_elements(void)
{
    return 1;
}

/* Runs entry 'window' on compact tensors: row-major, without gaps. Inputs are read only, outputs are written whole, and
 * overlap nothing. TFX_OK, or what is wrong, which toy_error(m) says in words.
 *
 *   dim_S: S, from 0 to 16
 *   dim_M: M, from 8 to 32, a multiple of 8
 *   dim_P: P, from 0 to 8
 *   in_x: f32[S, M]
 *   in_y: f32[2 * S + 1]
 *   in_on: bool[], one byte each
 *   out_z: f32[S + P]
 *   out_n: i32[] */
static inline tfx_status toy_window(tfx_model *m, int64_t dim_S, int64_t dim_M, int64_t dim_P,
    const float *in_x,
    const float *in_y,
    const uint8_t *in_on,
    float *out_z,
    int32_t *out_n)
{
    int64_t shapes[5][TFX_MAX_RANK];
    tfx_tensor tensors[5];
    int64_t given[1];
    tfx_args args;
    toy_window_input_x_shape(dim_S, dim_M, shapes[0]);
    tensors[0] = tfx_compact(in_x, TOY_WINDOW_INPUT_X_DTYPE, TOY_WINDOW_INPUT_X_RANK, shapes[0]);
    toy_window_input_y_shape(dim_S, shapes[1]);
    tensors[1] = tfx_compact(in_y, TOY_WINDOW_INPUT_Y_DTYPE, TOY_WINDOW_INPUT_Y_RANK, shapes[1]);
    tensors[2] = tfx_compact(in_on, TOY_WINDOW_INPUT_ON_DTYPE, TOY_WINDOW_INPUT_ON_RANK, NULL);
    toy_window_output_z_shape(dim_S, dim_P, shapes[3]);
    tensors[3] = tfx_compact(out_z, TOY_WINDOW_OUTPUT_Z_DTYPE, TOY_WINDOW_OUTPUT_Z_RANK, shapes[3]);
    tensors[4] = tfx_compact(out_n, TOY_WINDOW_OUTPUT_N_DTYPE, TOY_WINDOW_OUTPUT_N_RANK, NULL);
    given[0] = dim_P;
    args.inputs = tensors;
    args.outputs = tensors + 3;
    args.dims = given;
    args.n_inputs = 3;
    args.n_outputs = 2;
    args.n_dims = 1;
    args.reserved = 0;
    return toy_run(m, TOY_ENTRY_WINDOW, &args);
}

/* ---- entry 'ident' ---- */

#define TOY_ENTRY_IDENT 2

/* a: f32[B, S, 3] */
#define TOY_IDENT_INPUT_A 0
#define TOY_IDENT_INPUT_A_DTYPE TFX_F32
#define TOY_IDENT_INPUT_A_RANK 3
#define TOY_IDENT_INPUT_A_SIZE_2 3
#define TOY_IDENT_INPUT_A_MAX_ELEMENTS 192
static inline int64_t toy_ident_input_a_elements(int64_t dim_B, int64_t dim_S)
{
    return dim_B * dim_S * 3;
}
static inline void toy_ident_input_a_shape(int64_t dim_B, int64_t dim_S, int64_t *shape)
{
    shape[0] = dim_B;
    shape[1] = dim_S;
    shape[2] = 3;
}

/* b: f32[B, S, 3] */
#define TOY_IDENT_OUTPUT_B 0
#define TOY_IDENT_OUTPUT_B_DTYPE TFX_F32
#define TOY_IDENT_OUTPUT_B_RANK 3
#define TOY_IDENT_OUTPUT_B_SIZE_2 3
#define TOY_IDENT_OUTPUT_B_MAX_ELEMENTS 192
static inline int64_t toy_ident_output_b_elements(int64_t dim_B, int64_t dim_S)
{
    return dim_B * dim_S * 3;
}
static inline void toy_ident_output_b_shape(int64_t dim_B, int64_t dim_S, int64_t *shape)
{
    shape[0] = dim_B;
    shape[1] = dim_S;
    shape[2] = 3;
}

/* Runs entry 'ident' on compact tensors: row-major, without gaps. Inputs are read only, outputs are written whole, and
 * overlap nothing. TFX_OK, or what is wrong, which toy_error(m) says in words.
 *
 *   dim_B: B, from 1 to 4
 *   dim_S: S, from 0 to 16
 *   in_a: f32[B, S, 3]
 *   out_b: f32[B, S, 3] */
static inline tfx_status toy_ident(tfx_model *m, int64_t dim_B, int64_t dim_S,
    const float *in_a,
    float *out_b)
{
    int64_t shapes[2][TFX_MAX_RANK];
    tfx_tensor tensors[2];
    tfx_args args;
    toy_ident_input_a_shape(dim_B, dim_S, shapes[0]);
    tensors[0] = tfx_compact(in_a, TOY_IDENT_INPUT_A_DTYPE, TOY_IDENT_INPUT_A_RANK, shapes[0]);
    toy_ident_output_b_shape(dim_B, dim_S, shapes[1]);
    tensors[1] = tfx_compact(out_b, TOY_IDENT_OUTPUT_B_DTYPE, TOY_IDENT_OUTPUT_B_RANK, shapes[1]);
    args.inputs = tensors;
    args.outputs = tensors + 1;
    args.dims = NULL;
    args.n_inputs = 1;
    args.n_outputs = 1;
    args.n_dims = 0;
    args.reserved = 0;
    return toy_run(m, TOY_ENTRY_IDENT, &args);
}

#ifdef __cplusplus
}
#endif
#endif
