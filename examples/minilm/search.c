/* Semantic search on a compiled all-MiniLM-L6-v2. See README.md beside this file.
 *
 *     cd examples/minilm
 *     cc -O2 -I../../build/minilm search.c texts.c embed.c index.c ../../build/minilm/minilm.o -lm -lpthread */
#include "search.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char USAGE[] =
    "usage: search index FILE [-j THREADS]   embed the texts of standard input into an index\n"
    "       search query FILE [-n MATCHES]   the texts of an index nearest to those of standard input\n"
    "       search embed [-j THREADS]        their embeddings as .npy to standard output\n"
    "\n"
    "A text is a line: token ids, a tab, a title. examples/minilm/tokenize makes such lines.\n"
    "\n"
    "Exit status: 0 done; 1 a text cannot be used; 2 wrong usage; 3 a file cannot be read or\n"
    "written; 4 the model refused to run.\n";

enum { MATCHES = 5, MOST_MATCHES = 1000, MOST_THREADS = 256 };

typedef struct {
    const char *command, *file;
    unsigned threads, matches;
} options;

void fail(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("search: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(status);
}

void *resize(void *memory, size_t n, size_t item)
{
    if (n == 0) n = 1;
    void *p = n <= SIZE_MAX / item ? realloc(memory, n * item) : NULL;
    if (!p) fail(BAD_RUN, "out of memory");
    return p;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void close_output(void)
{
    if (fflush(stdout) != 0 || ferror(stdout)) fail(BAD_FILE, "standard output: %s", strerror(errno));
}

/* ---- the commands ---- */

static int make_index(const options *o)
{
    texts t = texts_read();
    double begin = now();
    float *rows = embed(&t, o->threads);
    double seconds = now() - begin;
    for (size_t i = 0; i < t.n; i++)
        if (t.at[i].n_ids == 0) fprintf(stderr, "search: line %zu: the text is empty: left out\n", t.at[i].line);
    size_t n = index_write(o->file, &t, rows);
    printf("%zu texts, %zu tokens, in %.1f s\n", n, t.n_ids, seconds);
    free(rows);
    texts_free(&t);
    return 0;
}

typedef struct {
    float score;
    size_t text;
} match;

static float product(const float *a, const float *b)
{
    float sum[16] = {0}; /* independent sums, which a compiler can keep in vectors */
    for (size_t i = 0; i < DIMS; i += 16)
        for (size_t j = 0; j < 16; j++) sum[j] += a[i + j] * b[i + j];
    for (size_t step = 8; step > 0; step /= 2)
        for (size_t j = 0; j < step; j++) sum[j] += sum[j + step];
    return sum[0];
}

/* The `most` texts whose embeddings have the largest products with the query's, best first; of equals the first. */
static size_t best(const search_index *x, const float *query, match *matches, size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < x->n; i++) {
        float score = product(x->rows + i * DIMS, query);
        if (n == most && !(score > matches[n - 1].score)) continue;
        size_t at = n < most ? n++ : n - 1;
        for (; at > 0 && score > matches[at - 1].score; at--) matches[at] = matches[at - 1];
        matches[at] = (match){score, i};
    }
    return n;
}

static void print_line(const char *line, size_t bytes)
{
    fwrite(line, 1, bytes, stdout);
    putchar('\n');
}

static int query_index(const options *o)
{
    search_index x = index_open(o->file);
    texts t = texts_read();
    if (t.n == 0) fail(BAD_INPUT, "no query: standard input is empty");
    for (size_t i = 0; i < t.n; i++)
        if (t.at[i].n_ids == 0) fail(BAD_INPUT, "line %zu: the query is empty", t.at[i].line);
    float *rows = embed(&t, o->threads);
    match matches[MOST_MATCHES];
    for (size_t i = 0; i < t.n; i++) {
        print_line(t.titles + t.at[i].title, t.at[i].title_bytes);
        size_t n = best(&x, rows + i * DIMS, matches, o->matches);
        for (size_t k = 0; k < n; k++) {
            const uint64_t *title = x.titles + matches[k].text;
            printf("  %.3f  ", (double)matches[k].score);
            print_line(x.text + title[0], title[1] - title[0]);
        }
    }
    close_output();
    free(rows);
    texts_free(&t);
    index_close(&x);
    return 0;
}

static int print_embeddings(const options *o)
{
    texts t = texts_read();
    float *rows = embed(&t, o->threads);
    /* NEP 1: the head is filled up with spaces to a multiple of 64 bytes. */
    char head[128];
    int bytes =
        snprintf(head, sizeof head, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %d), }", t.n, DIMS);
    memset(head + bytes, ' ', sizeof head - (size_t)bytes);
    head[117] = '\n';
    fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, stdout);
    fwrite(head, 1, 118, stdout);
    fwrite(rows, sizeof *rows, t.n * DIMS, stdout);
    close_output();
    free(rows);
    texts_free(&t);
    return 0;
}

/* ---- arguments ---- */

static _Noreturn void usage(void)
{
    fputs(USAGE, stderr);
    exit(BAD_USAGE);
}

static unsigned number(const char *argument, unsigned most, char option)
{
    char *end;
    errno = 0;
    long n = strtol(argument, &end, 10);
    if (end == argument || *end != '\0' || errno != 0 || n < 1 || n > (long)most)
        fail(BAD_USAGE, "-%c: expected a number from 1 to %u, got '%s'", option, most, argument);
    return (unsigned)n;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        bool takes_file;
        int (*run)(const options *);
    } commands[] = {{"index", true, make_index}, {"query", true, query_index}, {"embed", false, print_embeddings}};

    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    options o = {.threads = processors < 1              ? 1
                            : processors > MOST_THREADS ? MOST_THREADS
                                                        : (unsigned)processors,
                 .matches = MATCHES};
    for (int option; (option = getopt(argc, argv, "j:n:")) != -1;) {
        if (option == 'j') o.threads = number(optarg, MOST_THREADS, 'j');
        else if (option == 'n') o.matches = number(optarg, MOST_MATCHES, 'n');
        else usage();
    }
    if (optind == argc) usage();
    o.command = argv[optind];
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, o.command) != 0) continue;
        if (argc - optind != (commands[i].takes_file ? 2 : 1)) usage();
        o.file = argv[optind + 1];
        return commands[i].run(&o);
    }
    usage();
}
