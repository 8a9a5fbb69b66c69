/* The reader of the .kir form: types, values and functions in kir_parse.c, blocks and ops in kir_parse_op.c. */
#ifndef IR_KIR_KIR_PARSE_H
#define IR_KIR_KIR_PARSE_H

#include "ir/kir/kir_internal.h"
#include "ir/text.h"

typedef struct {
    text t;
    kmodule *m;
    kfunction *f;
    ptrmap *values; /* of the function being read, by name */
    int depth;      /* of nested blocks */
} kir_parser;

bool kir_parse_tile(kir_parser *p, ktile *out);
bool kir_parse_type(kir_parser *p, kvalue *v);       /* a tile or a buffer: sets the kind too */
kvalue *kir_parse_value(kir_parser *p);              /* one that is defined already; NULL on a mistake */
kvalue *kir_define(kir_parser *p, kvalue_kind kind); /* reads a new name; its type is the caller's */
bool kir_parse_block(kir_parser *p, kblock *b);

#endif
