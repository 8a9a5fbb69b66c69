/* The weights of an artefact: which constants, in which order, at which offsets; and their bytes, streamed. */
#ifndef CODEGEN_WEIGHTS_LAYOUT_H
#define CODEGEN_WEIGHTS_LAYOUT_H

#include "codegen/codegen.h"
#include "ir/constant_set.h"

#define WEIGHTS_ALIGN 64 /* of each constant, in bytes */

typedef struct {
    const cexpr *value;
    const char *name; /* for messages */
    uint64_t offset, bytes;
} weight_item;

typedef struct {
    VEC(weight_item) items; /* each constant once, by offset */
    constant_set numbers;   /* of the items */
    uint64_t bytes;         /* in all */
} weights_layout;

/* All weights of the variants' plans; equal constants share their place. */
weights_layout *weights_plan(const codegen_variant *variants, uint32_t n, arena *a);
/* The offset of a plan's weight parameter. */
uint64_t weights_offset(const weights_layout *w, const cexpr *constant);

/* Called with successive pieces; false stops. */
typedef bool weights_sink(void *arg, const void *bytes, size_t n);
/* Produces all w->bytes in order, in pieces of at most a megabyte. False after a diagnostic, or when the sink said so.
 */
bool weights_stream(const weights_layout *w, weights_sink *sink, void *arg, diags *d);

#endif
