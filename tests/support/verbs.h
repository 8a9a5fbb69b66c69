/* Verbs of all kinds for tests of the front end, which knows no pass. */
#ifndef TESTS_SUPPORT_VERBS_H
#define TESTS_SUPPORT_VERBS_H

#include "ir/policy.h"

static inline policy_verbs test_verbs(void)
{
    static const policy_param merge[] = {
        {.name = "remove", .kind = POLICY_INT, .required = true, .least = 1, .most = 1024},
        {.name = "protect", .kind = POLICY_INT, .preset = {.kind = POLICY_INT, .i = 1}, .least = 0, .most = 64},
        {.name = "restore", .kind = POLICY_BOOL, .preset = {.kind = POLICY_BOOL}}};
    static const policy_param sparsify[] = {
        {.name = "tile", .kind = POLICY_INTS, .required = true, .least = 1, .most = 64, .fewest = 2, .longest = 2},
        {.name = "sparsity", .kind = POLICY_FLOAT, .required = true, .least = 0, .most = 0.99},
        {.name = "by", .kind = POLICY_WORD, .preset = {.kind = POLICY_WORD, .word = "size"}, .words = "size saliency"}};
    static const policy_verb rows[] = {
        {"merge_tokens", 1u << POLICY_AFTER | 1u << POLICY_BEFORE, NULL, merge, 3},
        {"sparsify", 1u << POLICY_IN, "linear embedding", sparsify, 3},
        {"keep_exact", 1u << POLICY_IN, NULL, NULL, 0},
    };
    return (policy_verbs){rows, sizeof rows / sizeof *rows};
}

#endif
