/* Kernel IR from text, for one test. */
#ifndef TESTS_UNIT_KIR_SESSION_H
#define TESTS_UNIT_KIR_SESSION_H

#include "ir/kir/kinterp.h"
#include "support/session.h"

/* Fails the test unless the messages hold `text`. */
void expect_message(session *s, const char *text);
void expect_silence(session *s);

kmodule *parse_text(session *s, const char *text);  /* NULL with messages */
kmodule *parse_valid(session *s, const char *text); /* fails the test unless it parses and verifies */
char *read_golden(session *s, const char *name);    /* tests/golden/kir/NAME */
/* `text` with the only occurrence of `old` replaced; fails the test when there is none or more than one. */
char *substitute(session *s, const char *text, const char *old, const char *with);
char *substitute_all(session *s, const char *text, const char *old, const char *with); /* at least one */
void expect_same_text(const char *got, const char *want); /* shows the first line that differs */
const char *printed(session *s, const kmodule *m);

#endif
