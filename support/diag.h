/* Diagnostics: collected, then rendered as text with carets or as JSON. The shape is the one of docs/language.md:
 *
 *   a.tfx:9:21: error: argument 'mask' of 'bert.layer' has the wrong type
 *     9 |   x = bert.layer(x, mask, heads = 12, hidden = 1536)
 *       |                     ^~~~
 *     expected: bool[B, S]   (B, S from argument 'x')
 *          got: i64[B, S]
 *     hint: write 'mask != 0'
 */
#ifndef SUPPORT_DIAG_H
#define SUPPORT_DIAG_H

#include "support/source.h"
#include "support/strbuf.h"

typedef enum { DIAG_ERROR, DIAG_WARNING, DIAG_REMARK } diag_severity;

typedef struct diag diag;   /* one message under construction; owned by its diags */
typedef struct diags diags; /* the session's list */

/* `limit`: after so many errors further ones are counted, not kept (0: 20). */
diags *diags_new(arena *a, source_set *sources, uint32_t limit);

/* `at` may be none: then the file that diag_in_file names stands in front, or "tfxc" where there is none. The caret
 * stands at at.begin, tildes run to at.end on the first line. A located message that repeats an earlier one word for
 * word (a loop unrolled over layers) is neither counted nor shown. The result is never NULL. */
diag *diag_add(diags *d, diag_severity sev, span at, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
diag *diag_error(diags *d, span at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
diag *diag_warning(diags *d, span at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* An error in what the command line asks for: without a place, of code "usage". */
diag *diag_usage(diags *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* source_read of a file that must be there: NULL after an error of code "cannot-read". */
const source_file *diag_read(diags *d, const char *name, const char *path);

/* Location of a message without source text: "model.safetensors: error: ..." */
void diag_in_file(diag *g, const char *file);
void diag_underline(diag *g, span also);   /* further tildes on the caret's line (operands of an operator) */
void diag_code(diag *g, const char *code); /* stable name for JSON, a row of diag_codes.def: "dims-not-equal" */
/* The labelled lines below the caret, in the order added. In a run of expected/got the labels are right-aligned on
 * their colons; in a run of diag_line the texts are aligned; notes and hints stand alone. */
void diag_expected(diag *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void diag_got(diag *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void diag_line(diag *g, const char *label, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_note(diag *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void diag_hint(diag *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "via std/bert.tfx:3:11": the place of `at` as text in the diags' arena. */
const char *diag_place(diags *d, span at);

uint32_t diags_errors(const diags *d); /* all different errors seen, kept or not */
uint32_t diags_warnings(const diags *d);
bool diags_full(const diags *d); /* the limit is reached: stages may stop early */

/* Messages are rendered in source order of their file then position, stable, those without a position last; duplicates
 * (same place and text) once; then how many errors passed the limit. Columns count bytes; tabs are shown 8 wide. */
void diags_render_text(const diags *d, strbuf *out);
/* One JSON array of objects: severity, code, message, file, line, column, end_line, end_column, underlines[{line,
 * column, end_line, end_column}], lines[{label, text}]; null where there is none. The end is exclusive. */
void diags_render_json(const diags *d, strbuf *out);

#endif
