/* A small fuzzer for harnesses that define LLVMFuzzerTestOneInput, for machines without libFuzzer.
 *
 *     fuzz_x [-seconds N] [-seed S] [-runs N] FILE...
 *
 * Without -seconds and -runs each FILE is run once as it is (to repeat a crash). Else mutants of the files are run:
 * bytes and words changed, ranges removed, doubled, or taken from another file. The input that is running is kept in
 * <name>.current beside the working directory only while it runs, so that a crash leaves it behind. Compile with
 * -DFUZZ_LIBFUZZER to leave main to libFuzzer. */
#ifndef TESTS_FUZZ_MAIN_H
#define TESTS_FUZZ_MAIN_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifndef FUZZ_LIBFUZZER

#define FUZZ_LARGEST 65536u

typedef struct {
    uint8_t *bytes;
    size_t size;
} fuzz_input;

static uint64_t fuzz_random(uint64_t *state)
{
    *state += 0x9E3779B97F4A7C15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static size_t fuzz_below(uint64_t *state, size_t n)
{
    return n ? (size_t)(fuzz_random(state) % n) : 0;
}

static fuzz_input fuzz_read(const char *path)
{
    fuzz_input in = {malloc(FUZZ_LARGEST), 0};
    FILE *f = fopen(path, "rb");
    if (!f || !in.bytes) {
        perror(path);
        exit(2);
    }
    in.size = fread(in.bytes, 1, FUZZ_LARGEST, f);
    fclose(f);
    return in;
}

/* Replaces b[at .. at+gone) by n bytes; drops what does not fit. */
static void fuzz_splice(fuzz_input *b, size_t at, size_t gone, const uint8_t *with, size_t n)
{
    if (gone > b->size - at) gone = b->size - at;
    if (n > FUZZ_LARGEST - (b->size - gone)) return;
    uint8_t *copy = malloc(n + 1); /* `with` may lie in b */
    if (!copy) exit(2);
    if (n) memcpy(copy, with, n);
    memmove(b->bytes + at + n, b->bytes + at + gone, b->size - at - gone);
    if (n) memcpy(b->bytes + at, copy, n);
    b->size = b->size - gone + n;
    free(copy);
}

static void fuzz_mutate(uint64_t *state, fuzz_input *b, const fuzz_input *files, size_t count)
{
    static const char *const words[] = {"0",          "1",     "-1",  "9223372036854775807",
                                        "4294967296", "1e308", "...", "..",
                                        "(",          ")",     "[",   "]",
                                        "{",          "}",     "\"",  "@ \"a.{l}\"",
                                        "|",          "->",    "0..", " and ",
                                        " not ",      "\n",    "//",  "\xC3\xA9",
                                        "\xFF",       "\n/// "};
    size_t at = fuzz_below(state, b->size + 1), n = fuzz_below(state, 24);
    const fuzz_input *other = &files[fuzz_below(state, count)];
    switch (fuzz_below(state, 7)) {
    case 0:
        if (b->size) b->bytes[at % b->size] ^= (uint8_t)(1u << fuzz_below(state, 8));
        break;
    case 1: fuzz_splice(b, at, n, NULL, 0); break;
    case 2: fuzz_splice(b, at, 0, b->bytes + at, b->size - at < n ? b->size - at : n); break;
    case 3: {
        const char *w = words[fuzz_below(state, sizeof words / sizeof *words)];
        fuzz_splice(b, at, fuzz_below(state, 3), (const uint8_t *)w, strlen(w));
        break;
    }
    case 4: {
        size_t from = fuzz_below(state, other->size + 1), len = other->size - from < 4 * n ? other->size - from : 4 * n;
        fuzz_splice(b, at, n, other->bytes + from, len);
        break;
    }
    case 5: { /* one identifier or number for another one of the same text */
        size_t i = fuzz_below(state, b->size + 1), k = fuzz_below(state, b->size + 1), il = 0, kl = 0;
#define FUZZ_WORD(c) (((c) | 32) >= 'a' && ((c) | 32) <= 'z') || ((c) >= '0' && (c) <= '9') || (c) == '_'
        while (i < b->size && !(FUZZ_WORD(b->bytes[i]))) i++;
        while (i + il < b->size && (FUZZ_WORD(b->bytes[i + il]))) il++;
        while (k < b->size && !(FUZZ_WORD(b->bytes[k]))) k++;
        while (k + kl < b->size && (FUZZ_WORD(b->bytes[k + kl]))) kl++;
        if (il && kl) fuzz_splice(b, i, il, b->bytes + k, kl);
        break;
    }
    default: /* many of something */
        for (size_t i = 0; i < 200 && b->size > at; i++) fuzz_splice(b, at, 0, b->bytes + at, 1);
    }
}

int main(int argc, char **argv)
{
    double seconds = 0;
    uint64_t state = 1, runs = 0, most = 0;
    fuzz_input *files = calloc((size_t)argc, sizeof *files);
    size_t count = 0;
    if (!files) return 2;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-seconds") == 0 && i + 1 < argc) seconds = atof(argv[++i]);
        else if (strcmp(argv[i], "-seed") == 0 && i + 1 < argc) state = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "-runs") == 0 && i + 1 < argc) most = strtoull(argv[++i], NULL, 0);
        else files[count++] = fuzz_read(argv[i]);
    }
    if (!count) {
        fprintf(stderr, "usage: %s [-seconds N] [-runs N] [-seed S] FILE...\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < count; i++) LLVMFuzzerTestOneInput(files[i].bytes, files[i].size);
    const char *slash = strrchr(argv[0], '/');
    char current[256];
    snprintf(current, sizeof current, "%s.current", slash ? slash + 1 : argv[0]);
    fuzz_input b = {malloc(FUZZ_LARGEST), 0};
    if (!b.bytes) return 2;
    time_t start = time(NULL);
    while ((seconds > 0 && difftime(time(NULL), start) < seconds) || runs < most) {
        const fuzz_input *from = &files[fuzz_below(&state, count)];
        memcpy(b.bytes, from->bytes, from->size);
        b.size = from->size;
        for (size_t n = 1 + fuzz_below(&state, 6); n > 0; n--) fuzz_mutate(&state, &b, files, count);
        FILE *f = fopen(current, "wb");
        if (f) {
            fwrite(b.bytes, 1, b.size, f);
            fclose(f);
        }
        LLVMFuzzerTestOneInput(b.bytes, b.size);
        runs++;
    }
    if (runs) remove(current);
    for (size_t i = 0; i < count; i++) free(files[i].bytes);
    free(files);
    free(b.bytes);
    printf("%s: %zu files, %llu mutants\n", slash ? slash + 1 : argv[0], count, (unsigned long long)runs);
    return 0;
}

#endif
#endif
