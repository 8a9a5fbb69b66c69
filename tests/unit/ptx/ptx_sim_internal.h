#ifndef TESTS_UNIT_PTX_PTX_SIM_INTERNAL_H
#define TESTS_UNIT_PTX_PTX_SIM_INTERNAL_H

#include "support/vec.h"
#include "unit/ptx/ptx_sim.h"

enum { MAX_WORDS = 16, SHARED_WINDOW = 1024 /* address of the first byte */, SHARED_ALIGN = 1024 };

/* ---- the program ---- */

typedef enum { ARG_REG, ARG_SPECIAL, ARG_NUMBER, ARG_ADDRESS, ARG_LIST, ARG_LABEL } arg_kind;
typedef struct sim_arg {
    arg_kind kind;
    int reg;          /* REG; ADDRESS: base register or -1 */
    uint64_t number;  /* NUMBER; ADDRESS: offset, symbols resolved; LABEL: index of the instruction */
    const char *name; /* SPECIAL, LABEL, ADDRESS of a parameter */
    struct sim_arg *list;
    int n;
    bool negated;
} sim_arg;

typedef struct {
    char kind;        /* b u s f; h: bf16; p: predicate */
    int bits, vector; /* of one element; how many (x2, v4) */
} sim_type;

typedef struct sim_instr sim_instr;
typedef struct sim_machine sim_machine;
typedef struct sim_thread sim_thread;
typedef void sim_exec(sim_machine *s, sim_thread *t, const sim_instr *i);
typedef enum { SCOPE_THREAD, SCOPE_WARP, SCOPE_WARPGROUP, SCOPE_BLOCK } sim_scope;

struct sim_instr {
    const char *text;
    const char *word[MAX_WORDS]; /* the opcode's parts: "ld", "global", "b32" */
    int n_words;
    sim_type type, from; /* the last type among the words; the one before it, or `type` again */
    int guard;           /* predicate register, -1: none */
    bool guard_not;
    sim_arg *args;
    int n_args;
    sim_scope scope; /* who executes it together */
    sim_exec *exec;  /* for a warp, warpgroup or block: called once, with its first thread */
};

/* ---- the machine ---- */

typedef struct {
    uint64_t dst, src;
    uint32_t bytes, present, group;
} sim_copy;
typedef struct {
    const sim_instr *i;
    uint64_t a, b;
    uint32_t group;
} sim_product;

struct sim_thread {
    uint64_t *reg;
    uint32_t id, pc;
    bool done, blocked;
    uint32_t copy_group, product_group; /* open ones */
    VEC(sim_copy) copies;
};

struct sim_machine {
    arena *a;
    const ptx_run *run;
    VEC(sim_instr) program;
    VEC(const char *) reg_names, labels;
    VEC(uint32_t) label_at;
    VEC(const char *) symbols;
    VEC(uint64_t) symbol_at;
    VEC(const char *) params;
    uint64_t shared_bytes;
    uint8_t *shared;
    uint32_t block[3];
    sim_thread *threads;
    VEC(sim_product) products[8]; /* by warpgroup */
    uint64_t steps;
    const char *error;
};

void sim_fail(sim_machine *s, const sim_instr *i, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool sim_parse(sim_machine *s, const char *text, const char *entry);
sim_exec *sim_find_exec(const sim_instr *i, sim_scope *scope); /* NULL: not a known instruction */
sim_exec *sim_find_collective(const sim_instr *i, sim_scope *scope);

bool sim_has(const sim_instr *i, const char *word);
uint64_t sim_get(sim_machine *s, const sim_thread *t, const sim_arg *x);
void sim_set(sim_thread *t, const sim_arg *x, uint64_t v, int bits);
uint64_t sim_address(sim_machine *s, const sim_thread *t, const sim_arg *x);
/* Memory of so many bytes, NULL after a failure. `space`: 'g' or 's'. */
void *sim_memory(sim_machine *s, const sim_instr *i, char space, uint64_t address, uint64_t bytes, uint64_t align,
                 bool write);
float sim_half_value(char kind, uint16_t bits); /* kind h: bf16, else f16 */
uint16_t sim_half_bits(char kind, float v);

#endif
