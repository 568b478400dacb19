/* json.h -- JSON from strangers: parsed strictly and within bounds, read through accessors. */
#ifndef RNND_JSON_H
#define RNND_JSON_H

#include "core/rnnd.h"

#define JSON_MAX_BYTES ((size_t)8 << 20)
#define JSON_MAX_DEPTH 64

struct json; /* one value of a parsed document; borrowed from it, but for the root, which json_free() frees */

/* Exactly RFC 8259 and nothing behind it, UTF-8, no key twice in an object, no U+0000 in strings, at most
 * JSON_MAX_BYTES and JSON_MAX_DEPTH. CORRUPT names `what` ("configuration"), the place and what is wrong there. */
rnnd_code json_parse(const char *text, size_t bytes, const char *what, struct json **out, rnnd_error *err);
void json_free(struct json *j);

bool json_is_object(const struct json *j); /* all of these: false for NULL */
bool json_is_array(const struct json *j);
bool json_is_string(const struct json *j);
bool json_is_number(const struct json *j);
bool json_is_bool(const struct json *j);
bool json_is_null(const struct json *j);
const char *json_type_name(const struct json *j); /* "an object", "a number", ..., "nothing" for NULL */

const struct json *json_get(const struct json *object, const char *key); /* NULL if not there or not an object */
size_t json_count(const struct json *j);                                 /* members or elements */
const struct json *json_first(const struct json *j); /* for (e = json_first(j); e; e = json_next(e)) */
const struct json *json_next(const struct json *e);
const char *json_key(const struct json *e);    /* of a member, "" of an element */
const char *json_string(const struct json *j); /* NULL if it is none */
double json_number(const struct json *j);      /* 0 if it is none */
bool json_true(const struct json *j);
/* A whole number within [min, max]; false otherwise. */
bool json_whole(const struct json *j, int64_t min, int64_t max, int64_t *out);

/* The value as text without spaces, keys in byte order if `sorted`; mem_free() it; NULL: no memory. */
char *json_print(struct json *j, bool sorted);

#endif
