/* What the files of the tensor IR share among themselves and no other room needs. */
#ifndef IR_INTERNAL_H
#define IR_INTERNAL_H

#include "ir/module.h"

/* How a row of scalar.def types its operands and result. */
typedef enum { S_SAME, S_FLOAT, S_INT, S_BOOL, S_SELECT } scalar_operands;
typedef enum { R_SAME, R_BOOL } scalar_result;
typedef struct {
    scalar_operands operands;
    scalar_result result;
    bool on_float, on_int; /* defined for this class (the table's X says not) */
} scalar_info;
const scalar_info *scalar_row(op_kind op); /* asserts that op is a row of scalar.def */

/* Names of values as the printer gives them: args and named values by name, the others by number in order. Indexed by
 * value id; in `a`. NULL for values of other functions. */
const char **value_names(const function *f, arena *a);
int attr_is_inline(const op_info *row); /* the attribute that stands before the operands, or -1 */
void node_print_with(const node *n, const char *const *names, strbuf *out);
bool is_identifier(const char *s);             /* [A-Za-z_][A-Za-z0-9_.]* */
void print_quoted(strbuf *out, const char *s); /* with \" \\ \n \t \xHH */
void print_name(strbuf *out, const char *s);   /* an identifier as it stands, else quoted */

/* A node that belongs to no list yet, its operands' uses recorded. `ty`: of each of its op_result_count results. */
node *node_new(module *m, function *f, op_kind op, value *const *operands, uint32_t n, const attr *attrs,
               const type *ty);
void function_add_state(function *f, state_var *s, value *in); /* out is `in` */
function *node_body(const node *n);                            /* that it runs; NULL for most */
void node_insert(node *n, node *before);                       /* before NULL: at the end of n->fn */

#endif
