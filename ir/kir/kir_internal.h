/* What the files of the kernel IR share among themselves and no other room needs. */
#ifndef IR_KIR_KIR_INTERNAL_H
#define IR_KIR_KIR_INTERNAL_H

#include "ir/internal.h"
#include "ir/kir/kir.h"

/* How a row of scalar.def types its operands and result. */
typedef struct {
    uint8_t arity;
    scalar_operands operands;
    scalar_result result;
    bool on_float, on_int; /* defined for this class (the table's X says not) */
} kscalar_info;
const kscalar_info *kscalar_row(kop_kind op); /* asserts that op is elementwise */

typedef enum { KK_REAL, KK_INT, KK_DIM, KK_WORD_REDUCE, KK_WORD_QUEUE, KK_WORD_MAP, KK_SYMBOL, KK_INTS } kattr_kind;
kattr_kind kattr_kind_of(kattr_name a);
/* Enum attributes as words: the n-th, NULL behind the last. */
const char *kattr_word(kattr_kind k, int n);
void kattr_print(const kfunction *f, const kattrs *at, kattr_name a, strbuf *out);
int64_t kattr_int(const kattrs *at, kattr_name a); /* INT and WORD_x */
void kattr_set_int(kattrs *at, kattr_name a, int64_t v);
/* `same` compares dims, which may be of two contexts. */
typedef bool kdim_same_fn(void *arg, dim x, dim y);
bool kattr_equal(const kattrs *x, const kattrs *y, kattr_name a, kdim_same_fn *same, void *arg);
dim kattr_dim(const kattrs *at, kattr_name a);
void kattr_set_dim(kattrs *at, kattr_name a, dim v);
bool kattr_is_set(const kattrs *at, kattr_name a); /* false only for an offset that nobody has planned yet */

/* Parts. Nothing here checks types. */
kvalue *kvalue_new(kfunction *f, kvalue_kind kind, const char *name);
kop *kop_new(kfunction *f, kop_kind op, uint32_t n_operands, uint32_t n_results,
             uint32_t n_blocks); /* in no block yet */
kblock *kblock_new(kfunction *f, kop *parent, uint32_t n_args);
void kblock_insert(kblock *b, kop *op, kop *before); /* before NULL: at the end */
void kmem_default_axes(kmem *m, uint32_t tile_rank); /* resolves KAXIS_DEFAULT */
uint8_t kmem_default_axis(uint32_t buffer_rank, uint32_t tile_rank, uint32_t t);

/* Result types. False with *why set (static text) when the operands do not fit. */
bool kmap_type(kop_kind op, const ktile *operands, uint32_t n, ktile *out, const char **why);
bool kreduce_type(ktile a, int64_t axis, ktile *out, const char **why);
bool kcontract_type(ktile acc, ktile a, ktile b, const char **why);

/* Names for printing, by value id; in `a`. Values without a usable name of their own get numbers in order of
 * appearance. */
const char **kvalue_names(const kfunction *f, arena *a);
void kop_print_with(const kop *op, const char *const *names, strbuf *out);

#endif
