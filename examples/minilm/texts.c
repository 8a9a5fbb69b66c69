#include "search.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for `more` items behind n; *room says for how many there is. */
static void *grow(void *memory, size_t n, size_t more, size_t *room, size_t item)
{
    if (n + more <= *room) return memory;
    *room = n + more > 2 * *room ? n + more : 2 * *room;
    return resize(memory, *room, item);
}

/* The ids of a line up to its tab or end, into `ids`; returns where they end. */
static const char *read_ids(const char *at, size_t line, int32_t ids[MAX_TOKENS], size_t *n)
{
    *n = 0;
    while (*at != '\t' && *at != '\0') {
        if (*n > 0 && *at++ != ' ')
            fail(BAD_INPUT, "line %zu: expected a space, a tab or the end after %zu ids", line, *n);
        if (*at < '0' || *at > '9') fail(BAD_INPUT, "line %zu: expected an id in decimal, got '%.20s'", line, at);
        int64_t id = 0;
        for (; *at >= '0' && *at <= '9'; at++)
            if (id < VOCABULARY) id = 10 * id + (*at - '0');
        if (id >= VOCABULARY)
            fail(BAD_INPUT, "line %zu: id %zu is above %d, the last of the vocabulary", line, *n + 1, VOCABULARY - 1);
        if (*n == MAX_TOKENS)
            fail(BAD_INPUT, "line %zu: more than %d ids, the most that the model takes", line, MAX_TOKENS);
        ids[(*n)++] = (int32_t)id;
    }
    return at;
}

texts texts_read(void)
{
    texts t = {0};
    size_t room = 0, ids_room = 0, titles_room = 0, size = 0;
    char *buffer = NULL;
    ssize_t length;
    while ((length = getline(&buffer, &size, stdin)) >= 0) {
        int32_t ids[MAX_TOKENS];
        size_t n_ids, line = t.n + 1, bytes = (size_t)length;
        if (bytes > 0 && buffer[bytes - 1] == '\n') buffer[--bytes] = '\0';
        const char *end = read_ids(buffer, line, ids, &n_ids);
        if (*end == '\0' && end != buffer + bytes) fail(BAD_INPUT, "line %zu: a zero byte", line);
        const char *title = *end == '\t' ? end + 1 : end;
        size_t title_bytes = (size_t)(buffer + bytes - title);

        t.at = grow(t.at, t.n, 1, &room, sizeof *t.at);
        t.ids = grow(t.ids, t.n_ids, n_ids, &ids_room, sizeof *t.ids);
        t.titles = grow(t.titles, t.title_bytes, title_bytes, &titles_room, 1);
        if (n_ids > 0) memcpy(t.ids + t.n_ids, ids, n_ids * sizeof *ids);
        if (title_bytes > 0) memcpy(t.titles + t.title_bytes, title, title_bytes);
        t.at[t.n++] = (text){t.n_ids, n_ids, t.title_bytes, title_bytes, line};
        t.n_ids += n_ids;
        t.title_bytes += title_bytes;
    }
    if (!feof(stdin)) fail(BAD_FILE, "standard input: %s", strerror(errno));
    free(buffer);
    return t;
}

void texts_free(texts *t)
{
    free(t->at);
    free(t->ids);
    free(t->titles);
    *t = (texts){0};
}
