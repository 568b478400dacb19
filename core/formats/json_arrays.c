/* json_arrays.c -- takes the arrays of numbers out of a JSON text. */
#include "core/formats/json_arrays.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/mem.h"
#include "core/formats/json_check.h"
#include "core/formats/json_text.h"

/* The text has been checked: it is one JSON document, at most JSON_MAX_DEPTH deep. So nothing here runs over its end.
 */
struct reader {
    const char *text, *p;
    const char *what;
    struct json_arrays *out;
    size_t floats; /* so many so far */
    struct json_text rest;
    rnnd_error *err;
    char point; /* the decimal point of the locale, for strtod */
};

static void skip_space(struct reader *r)
{
    while (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r')
        r->p++;
}

static bool begins_number(char c)
{
    return c == '-' || (c >= '0' && c <= '9');
}

static const char *number_end(const char *p)
{
    while (begins_number(*p) || *p == '+' || *p == '.' || *p == 'e' || *p == 'E')
        p++;
    return p;
}

static rnnd_code read_number(struct reader *r, rnnd_error *err)
{
    char digits[64];
    const char *end = number_end(r->p);
    size_t n = (size_t)(end - r->p);
    if (n >= sizeof digits)
        return fail(err, RNND_CORRUPT, "%s: the number at byte %zu has %zu characters, at most %zu are read", r->what,
                    (size_t)(r->p - r->text), n, sizeof digits - 1);
    memcpy(digits, r->p, n);
    digits[n] = 0;
    char *point = memchr(digits, '.', n);
    if (point) *point = r->point;
    float f = (float)strtod(digits, NULL);
    if (!isfinite(f))
        return fail(err, RNND_CORRUPT, "%s: the number %.40s at byte %zu is beyond single precision", r->what, digits,
                    (size_t)(r->p - r->text));
    r->out->floats[r->floats++] = f;
    r->p = end;
    return RNND_OK;
}

/* Reads an array of numbers of one shape at p; *shape as far as it goes. False: it is another kind of array (p is then
 * anywhere), or *code says what went wrong. */
static bool read_block(struct reader *r, int level, struct json_array *shape, rnnd_code *code)
{
    size_t n = 0;
    if (level == MAX_RANK) return false;
    r->p++;
    for (;; n++, r->p++) {
        skip_space(r);
        if (begins_number(*r->p)) {
            if (shape->rank == 0) shape->rank = level + 1;
            if (shape->rank != level + 1) return false;
            *code = read_number(r, r->err);
            if (*code) return false;
        } else if (*r->p != '[' || shape->rank == level + 1 || !read_block(r, level + 1, shape, code)) {
            return false;
        }
        skip_space(r);
        if (*r->p != ',') break;
    }
    r->p++; /* ']' */
    if (shape->dim[level] == 0) shape->dim[level] = n + 1;
    return shape->dim[level] == n + 1;
}

static rnnd_code keep_block(struct reader *r, struct json_array *shape, size_t from)
{
    struct json_arrays *out = r->out;
    if (out->count == JSON_ARRAYS_MAX)
        return fail(r->err, RNND_TOO_LARGE, "%s: at most %zu arrays are read, it has more", r->what, JSON_ARRAYS_MAX);
    if (out->count == out->cap) {
        size_t cap = out->cap ? out->cap * 2 : 64;
        struct json_array *list = mem_resize(out->list, cap * sizeof *list);
        if (!list) return fail_memory(r->err, cap * sizeof *list);
        out->list = list;
        out->cap = cap;
    }
    shape->at = from;
    shape->count = r->floats - from;
    json_text_add(&r->rest, "[%zu]", out->count);
    out->list[out->count++] = *shape;
    return RNND_OK;
}

/* Everything that is no array of numbers goes on as it is, byte by byte; strings whole. */
static rnnd_code copy_token(struct reader *r)
{
    const char *from = r->p++;
    if (*from == '"') {
        while (*r->p != '"')
            r->p += *r->p == '\\' ? 2 : 1;
        r->p++;
    }
    if ((size_t)(r->p - from) > JSON_ARRAYS_REST || r->rest.size > JSON_ARRAYS_REST - (size_t)(r->p - from))
        return fail(r->err, RNND_TOO_LARGE, "%s: beside its arrays of numbers at most %zu bytes of JSON are read",
                    r->what, JSON_ARRAYS_REST);
    if (!strchr(" \t\r\n", *from)) json_text_bytes(&r->rest, from, (size_t)(r->p - from));
    return RNND_OK;
}

static rnnd_code read_all(struct reader *r, const char *end)
{
    rnnd_code code = RNND_OK;
    while (r->p < end && !code && !r->rest.failed) {
        const char *from = r->p;
        size_t floats = r->floats;
        struct json_array shape = {0};
        if (*r->p == '[' && read_block(r, 0, &shape, &code)) {
            code = keep_block(r, &shape, floats);
        } else if (!code) {
            r->p = from;
            r->floats = floats;
            code = copy_token(r);
        }
    }
    return !code && r->rest.failed ? fail_memory(r->err, JSON_ARRAYS_REST) : code;
}

rnnd_code json_arrays_read(const char *text, size_t bytes, const char *what, struct json_arrays *out, rnnd_error *err)
{
    struct reader r = {.what = what, .out = out, .err = err, .point = *localeconv()->decimal_point};
    size_t at, most = 1;
    memset(out, 0, sizeof *out);
    const char *wrong = json_check(text, bytes, &at);
    if (wrong) return fail(err, RNND_CORRUPT, "%s: wanted JSON, found %s at byte %zu", what, wrong, at);
    for (size_t i = 0; i < bytes; i++) /* in an array every number has one of these before it */
        most += text[i] == ',' || text[i] == '[';
    r.text = r.p = text;
    out->floats = mem_alloc(most, sizeof *out->floats);
    rnnd_code code = out->floats ? read_all(&r, text + bytes) : fail_memory(err, most * sizeof *out->floats);
    if (!code) code = json_parse(r.rest.data, r.rest.size, what, &out->root, err);
    mem_free(r.rest.data);
    if (code) json_arrays_free(out);
    return code;
}

void json_arrays_free(struct json_arrays *a)
{
    json_free(a->root);
    mem_free(a->list);
    mem_free(a->floats);
    memset(a, 0, sizeof *a);
}

/* ---- reading ---- */

bool json_arrays_get(const struct json_arrays *a, const struct json *j, struct json_array *out)
{
    int64_t i;
    const struct json *one = json_is_array(j) ? json_first(j) : NULL;
    if (!one || json_next(one) || !json_whole(one, 0, (int64_t)a->count - 1, &i)) return false;
    *out = a->list[i];
    return true;
}

size_t json_arrays_count(const struct json_arrays *a, const struct json *j)
{
    struct json_array numbers;
    if (json_arrays_get(a, j, &numbers)) return numbers.dim[0];
    return json_is_array(j) ? json_count(j) : 0;
}

bool json_arrays_item(const struct json_arrays *a, const struct json *j, size_t i, struct json_array *out)
{
    struct json_array whole;
    if (json_arrays_get(a, j, &whole)) {
        if (whole.rank < 2 || i >= whole.dim[0]) return false;
        *out = (struct json_array){.rank = whole.rank - 1, .count = whole.count / whole.dim[0]};
        memcpy(out->dim, whole.dim + 1, (size_t)out->rank * sizeof *out->dim);
        out->at = whole.at + i * out->count;
        return true;
    }
    const struct json *e = json_is_array(j) ? json_first(j) : NULL;
    for (; e && i > 0; i--)
        e = json_next(e);
    return e && json_arrays_get(a, e, out);
}

bool json_arrays_last(const struct json_arrays *a, const struct json *j, int64_t min, int64_t max, int64_t *out)
{
    struct json_array numbers;
    const struct json *last = NULL;
    if (json_arrays_get(a, j, &numbers)) {
        float f = a->floats[numbers.at + numbers.count - 1];
        if (numbers.rank != 1 || !(fabsf(f) <= 16777216.0f) || (float)(int64_t)f != f) return false;
        *out = (int64_t)f;
        return *out >= min && *out <= max;
    }
    for (const struct json *e = json_is_array(j) ? json_first(j) : NULL; e; e = json_next(e))
        last = e;
    return last && json_whole(last, min, max, out);
}
