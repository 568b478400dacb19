/* json.h -- JSON in and out of requests: one strict scan, numeric arrays straight to float32.
 *
 * json_parse refuses what lenient parsers let through: trailing bytes, depth, invalid UTF-8, control bytes, BOM,
 * duplicate keys, \u0000, numbers outside the grammar, numbers that overflow (1e999), more than a million values.
 * Arrays of numbers below the keys inputs, instances, series, future, data, h, c, initial_state never become values of
 * their own: they are cut out as float32 (rounded once from the decimal text), with null, "NaN" -> NaN. Such an array
 * that holds anything else as well (strings, objects) stays an ordinary JSON_ARRAY. */
#ifndef SERVER_JSON_H
#define SERVER_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_doc;
struct json; /* one value, borrowed from the document */

/* 0, or -1 with a sentence (line, column, what) in message. */
int json_parse(const char *text, size_t bytes, size_t depth_limit, struct json_doc **out, char *message,
               size_t message_bytes);
void json_free(struct json_doc *doc);
/* The same into a document from before, whose memory is used again (*doc NULL: a new one, made here). After -1 it is
 * empty. */
int json_parse_again(const char *text, size_t bytes, size_t depth_limit, struct json_doc **doc, char *message,
                     size_t message_bytes);
/* Empties a document that is kept to be used again; large memory goes. */
void json_forget(struct json_doc *doc);

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT, JSON_NUMBERS };
const struct json *json_root(const struct json_doc *doc);
enum json_type json_type(const struct json *v);              /* NULL counts as JSON_NULL */
const struct json *json_get(const struct json *object, const char *key); /* NULL if absent or no object; exact case */
const struct json *json_first(const struct json *v);         /* children of an array or object, in order */
const struct json *json_next(const struct json *v);
const char *json_key(const struct json *v);                  /* name of an object's child */
size_t json_count(const struct json *v);
const char *json_string(const struct json *v, size_t *bytes); /* NULL if no string */
bool json_number(const struct json *v, double *out);
bool json_integer(const struct json *v, int64_t *out);       /* exact whole numbers only */
bool json_bool(const struct json *v, bool *out);

/* An array of numbers that was cut out. Regular: dim[0..rank). Ragged (rank 2 or 3, last but the innermost differ in
 * length): ragged is true, dim[0] counts rows, lengths[dim[0]] gives each row's number of steps, dim[2] (rank 3) the
 * common innermost width; data is packed row after row. */
struct json_numbers {
    int rank;
    size_t dim[8];
    bool ragged;
    const size_t *lengths;
    const float *data;
    size_t count;
    size_t missing;          /* how many are NaN */
    size_t first_missing;    /* flat index of the first */
    char first_missing_path[48]; /* "[0][3][1]" */
};
const struct json_numbers *json_numbers(const struct json *v); /* NULL if v is none */

/* ---- writing: a growing buffer; commas are put by themselves; failed is set when memory ran out ---------------- */
struct json_out { char *data; size_t bytes, cap; bool failed, comma; };
void json_out_init(struct json_out *o);
void json_out_free(struct json_out *o);
void json_out_reset(struct json_out *o);
void json_open(struct json_out *o, char bracket);            /* '{' or '[' */
void json_close(struct json_out *o, char bracket);           /* '}' or ']' */
void json_put_key(struct json_out *o, const char *key);
/* A key that is a literal without anything to escape. */
#define json_put_name(o, name) json_put_quoted(o, "\"" name "\":", sizeof "\"" name "\":" - 1)
void json_put_quoted(struct json_out *o, const char *quoted, size_t bytes);
void json_put_string(struct json_out *o, const char *s, size_t bytes); /* invalid UTF-8 becomes U+FFFD */
void json_put_text(struct json_out *o, const char *s);       /* zero-terminated, NULL -> null */
void json_put_float(struct json_out *o, float v);            /* shortest that reads back to the same float */
void json_put_double(struct json_out *o, double v);
void json_put_int(struct json_out *o, int64_t v);
void json_put_bool(struct json_out *o, bool v);
void json_put_null(struct json_out *o);
void json_put_raw(struct json_out *o, const char *json, size_t bytes); /* a finished JSON value */
void json_put_floats(struct json_out *o, const float *data, int rank, const size_t *dim); /* nested arrays */
/* Room for `bytes` more, whose use adds to o->bytes; NULL (and o->failed): no memory. From malloc() when o is empty. */
void *json_reserve(struct json_out *o, size_t bytes);
void json_append(struct json_out *o, const char *text, size_t bytes);  /* anything, no comma logic: "data: ", "\n\n" */
size_t json_utf8(const char *text, const char *end);         /* bytes of the character at text, 0 where malformed */
/* number text <-> float32, used by CSV too */
size_t json_format_float(char out[32], float v);
bool json_read_float(const char *text, size_t bytes, float *out); /* whole text must be one JSON number; finite */

#endif
