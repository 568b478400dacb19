/* reply.h -- for tests of the HTTP routes: ask with JSON, look into the answer by a path of keys and numbers. */
#ifndef TESTS_LIB_REPLY_H
#define TESTS_LIB_REPLY_H

#include "server/http/json.h"
#include "tests/lib/server.h"

struct answer {
    int status;
    struct test_reply raw;
    struct json_doc *doc; /* NULL if the body is no JSON */
};

/* POST of a JSON text (or GET where json is NULL), with more headers ("Name: value", NULL-terminated) or NULL. */
void ask(struct test_client *c, const char *path, const char *json, const char *const *headers, struct answer *a);
void answer_free(struct answer *a);

/* The value at "choices.0.text"; NULL if there is none. */
const struct json *at(const struct answer *a, const char *path);
const char *text_at(const struct answer *a, const char *path);      /* "" if it is no string */
double number_at(const struct answer *a, const char *path);         /* -1e300 if it is none */
bool is_null_at(const struct answer *a, const char *path);          /* there, and null */

/* The events of an SSE stream as they were received. */
struct events {
    char *text;           /* all that came, zero-terminated */
    size_t bytes;
    size_t hang_up_after; /* bytes, 0 = never */
    size_t count;         /* JSON events, [DONE] aside */
    struct json_doc *docs[4096];
    bool done;            /* data: [DONE] came */
    int status;
    bool broken;
};
/* hang_up_after is taken from e, which must be zero otherwise. */
void ask_stream(struct test_client *c, const char *path, const char *json, const char *const *headers,
                struct events *e);
void events_free(struct events *e);
/* Texts of one choice's chunks joined, owned by the caller: delta.content or text. */
char *events_text(const struct events *e, int64_t index);
const struct json *json_at(const struct json *v, const char *path);

#endif
