/* Interned strings: equal text gives the same pointer, so names compare with ==. */
#ifndef SUPPORT_INTERN_H
#define SUPPORT_INTERN_H

#include "support/arena.h"

typedef struct interner interner;

interner *interner_new(arena *a);
/* The interned, NUL-terminated copy of s[0..n). Lives as long as the arena. */
const char *intern(interner *in, const char *s, size_t n);
const char *intern_z(interner *in, const char *s);

/* A map from pointers (interned names, nodes) to pointers; open addressing, in an arena, insertion-ordered iteration.
 */
typedef struct ptrmap ptrmap;
ptrmap *ptrmap_new(arena *a);
void *ptrmap_get(const ptrmap *m, const void *key); /* NULL when absent */
bool ptrmap_has(const ptrmap *m, const void *key);
void ptrmap_set(ptrmap *m, const void *key, void *value); /* replaces */
uint32_t ptrmap_len(const ptrmap *m);
const void *ptrmap_key_at(const ptrmap *m, uint32_t i); /* i-th inserted key */
void *ptrmap_value_at(const ptrmap *m, uint32_t i);

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed); /* not cryptographic; the same on every machine */

#endif
