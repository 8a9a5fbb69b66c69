/* Reading the words of a .tir file: white space, names, numbers, strings, dims. Every reader leaves the position after
 * what it took; on a mistake it adds one located error, marks the text as failed, and what follows fails silently. */
#ifndef IR_TEXT_H
#define IR_TEXT_H

#include "ir/module.h"
#include "ir/weights.h"

typedef struct {
    arena *a;
    interner *names;
    diags *d;
    const source_file *f;
    uint32_t at; /* byte offset of the next word */
    bool failed;
    const char *code;          /* of the errors; NULL: "invalid-ir" */
    VEC(weights_file *) files; /* opened so far, each once */
} text;

text text_new(arena *a, interner *names, diags *d, const source_file *f);
bool text_at_end(text *t);
uint32_t text_here(text *t); /* offset of the next word, white space and comments skipped */
span text_since(const text *t, uint32_t begin);
/* An error at [begin, here) or, when that is empty, at the next word. Only the first one is kept. */
void text_error(text *t, uint32_t begin, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

bool text_punct(text *t, const char *p);   /* takes p when it stands here */
bool text_keyword(text *t, const char *w); /* takes the whole word w when it stands here */
bool text_peek(text *t, const char *p);
bool text_expect(text *t, const char *p);
bool text_expect_keyword(text *t, const char *w);

/* Interned; NULL after an error. `what` is for the message: "an op". */
const char *text_word(text *t, const char *what);   /* [A-Za-z_][A-Za-z0-9_.]* */
const char *text_string(text *t, const char *what); /* "..." */
const char *text_name(text *t, const char *what);   /* either */
const char *text_value(text *t);                    /* %name or %12: what follows the % */
bool text_int(text *t, int64_t *out);
bool text_uint(text *t, uint64_t *out);
bool text_real(text *t, double *out);
dim text_dim(text *t, dim_ctx *c);
bool text_dtype(text *t, dtype *out);
bool text_encoding(text *t, encoding *out); /* "panel 32" */
bool text_type(text *t, dim_ctx *c, type *out);

/* ---- the parts of a module, each in its file ---- */
typedef struct {
    text t;
    module *m;
    ptrmap *regions;          /* of the function being read, by their word "r1" */
    ptrmap *values;           /* by name */
    ptrmap *bodies, *entries; /* read so far, by name */
    VEC(ptrmap *) regions_of; /* `regions` of each function read so far, by its id */
} tir_parser;

bool parse_attr_value(tir_parser *p, attr *out); /* parse_node.c; out->name is set */
bool parse_node(tir_parser *p, function *f);     /* "%3 = add %1, %2 : f32[B] in r1", "%k = state \"k\" : f32[4]" */
bool parse_rule(tir_parser *p);                  /* parse_policy.c: what follows the word `rule` */
/* An expression of constant.h (parse_constant.c), or the default random one for a parameter of type ty. */
const cexpr *parse_constant(text *t, const type *ty, const int64_t *shape, const char *path);
const cexpr *default_constant(arena *a, const type *ty, const int64_t *shape, uint64_t seed, const char *path);

#endif
