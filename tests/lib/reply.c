/* reply.c -- for tests of the HTTP routes: ask with JSON, look into the answer by a path of keys and numbers. */
#include "tests/lib/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ask(struct test_client *c, const char *path, const char *json, const char *const *headers, struct answer *a)
{
    const char *all[16] = {"Content-Type: application/json"};
    char message[256];
    size_t n = json ? 1 : 0;

    memset(a, 0, sizeof *a);
    for (size_t i = 0; headers && headers[i] && n < 15; i++) all[n++] = headers[i];
    all[n] = NULL;
    test_request(c, json ? "POST" : "GET", path, all, json, json ? strlen(json) : 0, &a->raw);
    a->status = a->raw.status;
    if (a->raw.body && a->raw.bytes && (a->raw.body[0] == '{' || a->raw.body[0] == '['))
        if (json_parse(a->raw.body, a->raw.bytes, 64, &a->doc, message, sizeof message))
            printf("%s answers no JSON: %s\n%s\n", path, message, a->raw.body);
}

void answer_free(struct answer *a)
{
    json_free(a->doc);
    test_reply_free(&a->raw);
    memset(a, 0, sizeof *a);
}

const struct json *json_at(const struct json *v, const char *path)
{
    char key[64];
    while (*path && v) {
        size_t n = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)n, path);
        if (json_type(v) == JSON_ARRAY) {
            long i = strtol(key, NULL, 10);
            v = json_first(v);
            while (i-- > 0 && v) v = json_next(v);
        } else {
            v = json_get(v, key);
        }
        path += n + (path[n] == '.');
    }
    return v;
}

const struct json *at(const struct answer *a, const char *path)
{
    return a->doc ? json_at(json_root(a->doc), path) : NULL;
}

const char *text_at(const struct answer *a, const char *path)
{
    const char *text = json_string(at(a, path), NULL);
    return text ? text : "";
}

double number_at(const struct answer *a, const char *path)
{
    double v;
    return json_number(at(a, path), &v) ? v : -1e300;
}

bool is_null_at(const struct answer *a, const char *path)
{
    const struct json *v = at(a, path);
    return v && json_type(v) == JSON_NULL;
}

static bool take(void *context, const char *data, size_t n)
{
    struct events *e = context;
    char *text = realloc(e->text, e->bytes + n + 1);
    if (!text) return false;
    e->text = text;
    memcpy(text + e->bytes, data, n);
    e->bytes += n;
    text[e->bytes] = '\0';
    return !e->hang_up_after || e->bytes < e->hang_up_after;
}

void ask_stream(struct test_client *c, const char *path, const char *json, const char *const *headers, struct events *e)
{
    const char *all[16] = {"Content-Type: application/json"};
    char message[256];
    struct test_reply reply = {0};
    size_t n = 1;

    for (size_t i = 0; headers && headers[i] && n < 15; i++) all[n++] = headers[i];
    all[n] = NULL;
    test_stream(c, "POST", path, all, json, strlen(json), take, e, &reply);
    e->status = reply.status;
    e->broken = reply.broken;
    for (char *line = e->text; line && *line;) {
        char *end = strchr(line, '\n');
        if (!end) break;
        if (!strncmp(line, "data: [DONE]", 12)) e->done = true;
        else if (!strncmp(line, "data: ", 6) && e->count < sizeof e->docs / sizeof *e->docs)
            if (!json_parse(line + 6, (size_t)(end - line - 6), 64, &e->docs[e->count], message, sizeof message))
                e->count++;
        line = end + 1;
    }
    test_reply_free(&reply);
}

void events_free(struct events *e)
{
    for (size_t i = 0; i < e->count; i++) json_free(e->docs[i]);
    free(e->text);
    memset(e, 0, sizeof *e);
}

char *events_text(const struct events *e, int64_t index)
{
    char *all = calloc(1, e->bytes + 1);
    for (size_t i = 0; all && i < e->count; i++) {
        const struct json *choice = json_at(json_root(e->docs[i]), "choices.0");
        const char *text = json_string(json_at(choice, "delta.content"), NULL);
        int64_t n;
        if (!text) text = json_string(json_at(choice, "text"), NULL);
        if (text && json_integer(json_at(choice, "index"), &n) && n == index)
            memcpy(all + strlen(all), text, strlen(text) + 1);
    }
    return all;
}
