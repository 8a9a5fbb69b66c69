/* Kernel IR from text and files, for one test. */
#ifndef TESTS_UNIT_CODEGEN_SESSION_H
#define TESTS_UNIT_CODEGEN_SESSION_H

#include "codegen/codegen.h"
#include "support/session.h"

/* Parses and verifies kernel IR; fails the test with the diagnostics otherwise. */
kmodule *session_parse(session *s, const char *name, const char *text);
kmodule *session_read(session *s, const char *path);
void session_print_diags(const session *s);
/* The text of all diagnostics. */
const char *session_diags(const session *s);

/* Fixtures of a group of tests: a directory for what they write, made before them and removed behind them. */
int directory_make(void **state);
int directory_remove(void **state);
const char *directory_path(void);
char *in_directory(session *s, const char *name); /* the path of a file there */

#endif
