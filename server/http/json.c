/* json.c -- a JSON document: one strict scan of the text makes its values; numeric arrays apart, as float32. */
#include "server/http/json.h"
#include "server/http/json_scan_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MOST = 900, BUFFER_KEPT = 64 << 10 };

static void empty(struct json_doc *doc)
{
    doc->count = doc->text_used = doc->numbers_count = doc->floats_used = doc->lengths_used = doc->key_count = 0;
}

/* Pointers into arrays that grow can be given only now that these no longer move. */
static void settle_pointers(struct json_doc *doc)
{
    size_t at = 0, length = 0;

    for (size_t i = 0; i < doc->numbers_count; i++) {
        struct json_numbers *n = &doc->numbers[i];
        n->data = doc->floats ? doc->floats + at : NULL;
        at += n->count;
        if (n->ragged) {
            n->lengths = doc->lengths + length;
            length += n->dim[0];
        }
    }
    for (size_t i = 0; doc->numbers_count && i < doc->count; i++)
        if (doc->values[i].type == JSON_NUMBERS) doc->values[i].as.numbers = doc->numbers + doc->values[i].as.index;
}

int json_parse_again(const char *text, size_t bytes, size_t depth_limit, struct json_doc **doc, char *message,
                     size_t message_bytes)
{
    struct scan s = {.text = text, .p = text, .end = text + bytes, .message = message, .message_bytes = message_bytes};

    if (!*doc) *doc = calloc(1, sizeof **doc);
    if (!*doc) {
        snprintf(message, message_bytes, "no memory for a JSON document of %zu bytes", bytes);
        return -1;
    }
    empty(*doc);
    s.doc = *doc;
    s.depth_limit = depth_limit < DEPTH_MOST ? depth_limit : DEPTH_MOST;
    if (!scan_run(&s)) {
        empty(*doc);
        return -1;
    }
    settle_pointers(*doc);
    return 0;
}

int json_parse(const char *text, size_t bytes, size_t depth_limit, struct json_doc **out, char *message,
               size_t message_bytes)
{
    *out = NULL;
    if (json_parse_again(text, bytes, depth_limit, out, message, message_bytes) == 0) return 0;
    json_free(*out);
    *out = NULL;
    return -1;
}

static void drop_if_large(void **array, size_t *cap, size_t size)
{
    if (*cap * size <= BUFFER_KEPT) return;
    free(*array);
    *array = NULL;
    *cap = 0;
}

void json_forget(struct json_doc *doc)
{
    if (!doc) return;
    empty(doc);
    drop_if_large((void **)&doc->values, &doc->values_cap, sizeof *doc->values);
    drop_if_large((void **)&doc->text, &doc->text_cap, 1);
    drop_if_large((void **)&doc->numbers, &doc->numbers_cap, sizeof *doc->numbers);
    drop_if_large((void **)&doc->floats, &doc->floats_cap, sizeof *doc->floats);
    drop_if_large((void **)&doc->lengths, &doc->lengths_cap, sizeof *doc->lengths);
    drop_if_large((void **)&doc->keys, &doc->keys_cap, sizeof *doc->keys);
}

void json_free(struct json_doc *doc)
{
    if (!doc) return;
    free(doc->values);
    free(doc->text);
    free(doc->numbers);
    free(doc->floats);
    free(doc->lengths);
    free(doc->keys);
    free(doc);
}

const struct json *json_root(const struct json_doc *doc)
{
    return doc->count ? doc->values : NULL;
}

enum json_type json_type(const struct json *v)
{
    return v ? v->type : JSON_NULL;
}

const struct json *json_get(const struct json *object, const char *key)
{
    if (json_type(object) != JSON_OBJECT) return NULL;
    for (const struct json *v = json_first(object); v; v = json_next(v))
        if (v->key[0] == key[0] && strcmp(v->key, key) == 0) return v;
    return NULL;
}

const struct json *json_first(const struct json *v)
{
    return v && (v->type == JSON_ARRAY || v->type == JSON_OBJECT) && v->bytes ? v + 1 : NULL;
}

const struct json *json_next(const struct json *v)
{
    return v && !v->last ? v + v->skip : NULL;
}

const char *json_key(const struct json *v)
{
    return v ? v->key : NULL;
}

size_t json_count(const struct json *v)
{
    const struct json_numbers *n = json_numbers(v);

    if (n) return n->dim[0];
    return json_first(v) ? v->bytes : 0;
}

const char *json_string(const struct json *v, size_t *bytes)
{
    if (json_type(v) != JSON_STRING) return NULL;
    if (bytes) *bytes = v->bytes;
    return v->as.string;
}

bool json_number(const struct json *v, double *out)
{
    if (json_type(v) != JSON_NUMBER) return false;
    *out = v->as.number;
    return true;
}

bool json_integer(const struct json *v, int64_t *out)
{
    const double exact = 9007199254740992.0; /* 2^53: above it a double no longer tells neighbours apart */
    double d;

    if (!json_number(v, &d)) return false;
    if (v->is_whole) *out = v->whole;
    else if (fabs(d) <= exact && d == floor(d)) *out = (int64_t)d;
    else return false;
    return true;
}

bool json_bool(const struct json *v, bool *out)
{
    if (json_type(v) != JSON_BOOL) return false;
    *out = v->as.truth;
    return true;
}

const struct json_numbers *json_numbers(const struct json *v)
{
    return json_type(v) == JSON_NUMBERS ? v->as.numbers : NULL;
}
