/* What `optimize` rules may say: the verbs that passes offer, and the values of their arguments. The front end checks
 * rules against a table of verbs without knowing any pass; passes fill the table (passes/passes.def). */
#ifndef IR_POLICY_H
#define IR_POLICY_H

#include "support/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum { POLICY_IN, POLICY_AFTER, POLICY_BEFORE, POLICY_RELATIONS } policy_relation;
typedef enum { POLICY_INT, POLICY_FLOAT, POLICY_BOOL, POLICY_WORD, POLICY_INTS } policy_kind;

typedef struct {
    policy_kind kind;
    union {
        int64_t i;
        double real;
        bool flag;
        const char *word;
        struct {
            uint32_t n;
            const int64_t *v;
        } ints;
    };
} policy_value;

/* One argument of a verb. */
typedef struct {
    const char *name, *summary;
    policy_kind kind;
    bool required;
    policy_value preset;      /* of the same kind: its value where a rule does not give it (required: unused) */
    double least, most;       /* INT, FLOAT, each of INTS: what is allowed, inclusive; equal: anything */
    uint32_t fewest, longest; /* INTS: how many; both 0: any number */
    const char *words;        /* WORD: those allowed, "bf16 f16" */
} policy_param;

typedef struct {
    const char *name;
    unsigned relations;   /* of 1u << policy_relation */
    const char *subjects; /* blocks that a rule may name before its place, "linear embedding"; NULL: none */
    const policy_param *params;
    uint32_t n_params;
} policy_verb;

typedef struct {
    const policy_verb *rows;
    uint32_t n;
} policy_verbs;

/* An argument of a rule. */
typedef struct {
    const char *name;
    policy_value value;
} policy_arg;

const char *policy_relation_name(policy_relation r); /* "in" */
/* The row of that name, or NULL. */
const policy_verb *policy_verb_find(const policy_verbs *v, const char *name);
const policy_param *policy_param_find(const policy_verb *v, const char *name);
/* `word` is one of a list of words with blanks between (NULL: an empty list). */
bool policy_has_word(const char *list, const char *word);
bool policy_accepts(const policy_param *p, const policy_value *v);
bool policy_value_equal(const policy_value *a, const policy_value *b); /* reals by their bits */

/* What an argument may be: "bf16 or f16", "an integer in 1..8", "a list of 2 integers". */
void policy_param_print(const policy_param *p, strbuf *out);
/* "a, b or c" of a list of words with blanks between. */
void policy_words_print(const char *list, strbuf *out);
/* As a .tir file has it: 8, 0.5, true, "bf16", [4, 4]. */
void policy_value_print(const policy_value *v, strbuf *out);
/* How a rule of the verb is written: 'narrow_weights [linear|embedding] in "PLACE" (to = bf16|f16)'; what may be left
 * out stands in brackets. */
void policy_verb_print(const policy_verb *v, strbuf *out);

#endif
