/* Adds handwritten numbers with two compiled models in one program: `digits` reads, `sums` adds. It shows
 *
 *   - how large things are: macros of the headers, such as DIGITS_INPUT_PIXELS_MAX_ELEMENTS
 *   - several threads on one model: a handle each (read_digits)
 *   - memory of the model's own (read_digits), and memory that the program gives (add)
 *   - errors: the status of a call, and the message of the handle or, where there is none yet, of the options
 *
 * usage: add PAGE. CMakeLists.txt builds it. */
#include "digits.h"
#include "sums.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SIDE = DIGITS_INPUT_PIXELS_SIZE_2,
    PIXELS = SIDE * SIDE,
    CLASSES = DIGITS_OUTPUT_LOGITS_SIZE_1,
    OPERANDS = 4, /* digits of a sum: two numbers of two */
    PLACES = SUMS_OUTPUT_LOGITS_SIZE_1,
    IDS = SUMS_INPUT_IDS_SIZE_1,
    BLANK = 10, /* the id of a place that is to be filled in */
    MAX_SUMS = SUMS_DIM_B_MAX,
    READERS = 3
};

static int largest(const float *logits)
{
    int best = 0;
    for (int c = 1; c < CLASSES; c++)
        if (logits[c] > logits[best]) best = c;
    return best;
}

/* ---- the page: see draw.py ---- */

/* One row of a sum, "|........|........| + |........|........|", into that row of its four pictures. */
static int parse_row(const char *line, float *pictures, int y)
{
    static const char shades[] = ".',:;~-=+iox%X#&@";
    static const int column[OPERANDS] = {1, 10, 23, 32};
    if (strlen(line) != 41) return 0;
    for (int k = 0; k < OPERANDS; k++)
        for (int x = 0; x < SIDE; x++) {
            const char *shade = strchr(shades, line[column[k] + x]);
            if (!shade) return 0;
            pictures[k * PIXELS + y * SIDE + x] = (float)(shade - shades) / 16;
        }
    return 1;
}

/* The number of sums on the page, or -1 after a message. */
static int read_page(const char *path, float *pictures)
{
    char line[128];
    int rows = 0, number = 0;
    FILE *f = fopen(path, "r");
    if (!f) return perror(path), -1;
    while (fgets(line, sizeof line, f)) {
        number++;
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#' || line[0] == '\0') continue;
        if (rows == MAX_SUMS * SIDE || !parse_row(line, pictures + rows / SIDE * OPERANDS * PIXELS, rows % SIDE)) {
            fprintf(stderr, "%s:%d: %s\n", path, number,
                    rows == MAX_SUMS * SIDE ? "too many sums" : "not a row of a sum");
            fclose(f);
            return -1;
        }
        rows++;
    }
    fclose(f);
    if (rows % SIDE) return fprintf(stderr, "%s: the last sum is cut off\n", path), -1;
    return rows / SIDE;
}

/* ---- reading: one handle a thread, each with memory of the model's own ---- */

typedef struct {
    const float *pictures;
    int n;
    int *digits; /* what they show */
    tfx_status status;
    char why[256]; /* when it is not TFX_OK */
} reader;

static void *read_digits(void *arg)
{
    reader *r = arg;
    float logits[DIGITS_OUTPUT_LOGITS_MAX_ELEMENTS];
    tfx_model *m;
    tfx_options options = TFX_OPTIONS_INIT;
    options.message = r->why; /* where open says what went wrong: there is no handle to ask */
    options.message_bytes = sizeof r->why;
    r->status = digits_open(&options, &m);
    if (r->status != TFX_OK) return NULL;
    for (int done = 0, rows; done < r->n; done += rows) {
        rows = r->n - done < DIGITS_DIM_B_MAX ? r->n - done : DIGITS_DIM_B_MAX;
        r->status = digits_infer(m, rows, r->pictures + done * PIXELS, logits);
        if (r->status != TFX_OK) {
            snprintf(r->why, sizeof r->why, "%s", digits_error(m));
            break;
        }
        for (int i = 0; i < rows; i++) r->digits[done + i] = largest(logits + i * CLASSES);
    }
    digits_close(m);
    return NULL;
}

/* Divides the pictures among threads. */
static int read_all(const float *pictures, int n, int *digits)
{
    reader readers[READERS];
    pthread_t threads[READERS];
    int started = 0, ok = 1;
    for (; started < READERS; started++) {
        int begin = n * started / READERS, end = n * (started + 1) / READERS;
        reader *r = &readers[started];
        *r = (reader){.pictures = pictures + begin * PIXELS, .n = end - begin, .digits = digits + begin};
        if (pthread_create(&threads[started], NULL, read_digits, r) != 0) break;
    }
    if (started < READERS) fputs("add: no thread can be started\n", stderr), ok = 0;
    for (int i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        if (readers[i].status != TFX_OK) fprintf(stderr, "add: digits: %s\n", readers[i].why), ok = 0;
    }
    return ok;
}

/* ---- adding: a handle that lives in memory of the program ---- */

static tfx_model *open_sums(void)
{
    /* The most that any run can need, since it is there anyway. sums_workspace_size tells how much some batch needs. */
    static alignas(TFX_WORKSPACE_ALIGN) unsigned char workspace[SUMS_WORKSPACE_BYTES];
    char why[256];
    tfx_model *m;
    tfx_options options = TFX_OPTIONS_INIT;
    options.workspace = workspace;
    options.workspace_bytes = sizeof workspace;
    options.message = why;
    options.message_bytes = sizeof why;
    if (sums_open(&options, &m) != TFX_OK) fprintf(stderr, "add: sums: %s\n", why);
    return m; /* NULL when open failed */
}

/* What the model makes of each pair of numbers. */
static int add(tfx_model *m, int n, const int *digits, int *results)
{
    static int32_t ids[SUMS_INPUT_IDS_MAX_ELEMENTS];
    static float logits[SUMS_OUTPUT_LOGITS_MAX_ELEMENTS];
    for (int i = 0; i < n; i++)
        for (int k = 0; k < IDS; k++) ids[i * IDS + k] = k < OPERANDS ? digits[i * OPERANDS + k] : BLANK;
    if (sums_infer(m, n, ids, logits) != TFX_OK) {
        fprintf(stderr, "add: sums: %s\n", sums_error(m));
        return 0;
    }
    for (int i = 0; i < n; i++) {
        results[i] = 0;
        for (int k = 0; k < PLACES; k++) results[i] = results[i] * 10 + largest(logits + (i * PLACES + k) * CLASSES);
    }
    return 1;
}

/* Calls that cannot be right; each says why, and leaves the handle as good as before. */
static void make_mistakes(tfx_model *m)
{
    int32_t ids[IDS] = {1, 2, 3, 11, BLANK, BLANK, BLANK};
    float logits[PLACES * CLASSES];
    puts("\nMistakes, in the model's words:");
    if (sums_infer(m, 1, ids, logits) == TFX_ERR_VALUE) printf("  %s\n", sums_error(m));
    if (sums_infer(m, MAX_SUMS + 1, ids, logits) == TFX_ERR_BOUND) printf("  %s\n", sums_error(m));
    if (sums_infer(m, 1, NULL, logits) == TFX_ERR_ARGUMENT) printf("  %s\n", sums_error(m));
}

int main(int argc, char **argv)
{
    static float pictures[MAX_SUMS * OPERANDS * PIXELS];
    int digits[MAX_SUMS * OPERANDS], results[MAX_SUMS], wrong = 0;
    if (argc != 2) return fputs("usage: add PAGE\n", stderr), 2;
    int n = read_page(argv[1], pictures);
    if (n < 1) return 2;

    tfx_model *sums = open_sums();
    if (!sums) return 1;
    int ok = read_all(pictures, n * OPERANDS, digits) && add(sums, n, digits, results);
    for (int i = 0; ok && i < n; i++) {
        const int *d = digits + i * OPERANDS;
        int a = 10 * d[0] + d[1], b = 10 * d[2] + d[3];
        printf("%2d + %2d = %3d\n", a, b, results[i]);
        wrong += results[i] != a + b;
    }
    if (ok) printf("%d of %d added right\n", n - wrong, n);
    if (ok) make_mistakes(sums);
    sums_close(sums);
    return ok && !wrong ? 0 : 1;
}
