/* json_write.c -- JSON text into a growing buffer; commas put by themselves. */
#include "server/http/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void json_out_init(struct json_out *o)
{
    *o = (struct json_out){0};
}

void json_out_free(struct json_out *o)
{
    free(o->data);
    json_out_init(o);
}

void json_out_reset(struct json_out *o)
{
    o->bytes = 0;
    o->failed = o->comma = false;
}

void *json_reserve(struct json_out *o, size_t bytes)
{
    if (o->failed) return NULL;
    if (bytes > o->cap - o->bytes) {
        size_t cap = o->cap < 256 ? 512 : o->cap * 2;
        char *p;
        if (bytes > SIZE_MAX / 4 || o->bytes > SIZE_MAX / 4) {
            o->failed = true;
            return NULL;
        }
        if (cap < o->bytes + bytes) cap = o->bytes + bytes;
        p = realloc(o->data, cap);
        if (!p) {
            o->failed = true;
            return NULL;
        }
        o->data = p;
        o->cap = cap;
    }
    return o->data + o->bytes;
}

static inline void put(struct json_out *o, const char *text, size_t bytes)
{
    char *p = json_reserve(o, bytes);

    if (!p || !bytes) return;
    memcpy(p, text, bytes);
    o->bytes += bytes;
}

static void separate(struct json_out *o)
{
    if (o->comma) put(o, ",", 1);
    o->comma = true;
}

void json_open(struct json_out *o, char bracket)
{
    separate(o);
    put(o, &bracket, 1);
    o->comma = false;
}

void json_close(struct json_out *o, char bracket)
{
    put(o, &bracket, 1);
    o->comma = true;
}

void json_put_key(struct json_out *o, const char *key)
{
    json_put_string(o, key, strlen(key));
    put(o, ":", 1);
    o->comma = false;
}

void json_put_quoted(struct json_out *o, const char *quoted, size_t bytes)
{
    separate(o);
    put(o, quoted, bytes);
    o->comma = false;
}

/* Bytes from s on that a string holds as they are: printable ASCII but quotes and backslashes. Eight at a time: the
 * highest bit of a byte is set where it has that bit itself, or is below 0x20, or is one of the two (taken to zero by
 * the exclusive or, from which 1 borrows). A borrow can make a byte behind a hit look like one, never hide one. */
static size_t plain_bytes(const char *s, const char *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    const char *p = s;

    for (uint64_t word; end - p >= 8; p += 8) {
        memcpy(&word, p, sizeof word);
        uint64_t quotes = word ^ (ones * '"'), backslashes = word ^ (ones * '\\');
        uint64_t odd = (word | (word - ones * 0x20) | (quotes - ones) | (backslashes - ones)) & high;
        if (odd) return (size_t)(p - s) + (size_t)__builtin_ctzll(odd) / 8;
    }
    while (p < end && (unsigned char)(*p - 0x20) < 0x60 && *p != '"' && *p != '\\') p++;
    return (size_t)(p - s);
}

static void put_escaped(struct json_out *o, unsigned char c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *which = c ? strchr(from, c) : NULL;
    char text[8];
    int n = which ? snprintf(text, sizeof text, "\\%c", to[which - from]) : snprintf(text, sizeof text, "\\u%04x", c);

    put(o, text, (size_t)n);
}

void json_put_string(struct json_out *o, const char *s, size_t bytes)
{
    const char *end = s + bytes, *plain = s;

    separate(o);
    put(o, "\"", 1);
    while ((s += plain_bytes(s, end)) < end) {
        unsigned char c = (unsigned char)*s;
        size_t n = json_utf8(s, end);
        if (n > 1) {
            s += n;
            continue;
        }
        put(o, plain, (size_t)(s - plain));
        if (n) put_escaped(o, c);
        else put(o, "\xEF\xBF\xBD", 3); /* U+FFFD */
        plain = ++s;
    }
    put(o, plain, (size_t)(s - plain));
    put(o, "\"", 1);
}

void json_put_text(struct json_out *o, const char *s)
{
    if (s) json_put_string(o, s, strlen(s));
    else json_put_null(o);
}

void json_put_float(struct json_out *o, float v)
{
    char *p;

    separate(o);
    p = json_reserve(o, 32);
    if (p) o->bytes += json_format_float(p, v);
}

void json_put_double(struct json_out *o, double v)
{
    char text[40];
    int n = 4;

    if (!isfinite(v)) memcpy(text, "null", 4);
    else if (v == floor(v) && fabs(v) < 1e15) n = snprintf(text, sizeof text, "%.0f", v);
    else
        for (int digits = 15; digits <= 17; digits++) {
            n = snprintf(text, sizeof text, "%.*g", digits, v);
            if (strtod(text, NULL) == v) break;
        }
    separate(o);
    put(o, text, (size_t)n);
}

void json_put_int(struct json_out *o, int64_t v)
{
    char text[24], *end = text + sizeof text, *p = end;
    uint64_t rest = v < 0 ? -(uint64_t)v : (uint64_t)v;

    do {
        *--p = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (v < 0) *--p = '-';
    separate(o);
    put(o, p, (size_t)(end - p));
}

void json_put_bool(struct json_out *o, bool v)
{
    separate(o);
    put(o, v ? "true" : "false", v ? 4 : 5);
}

void json_put_null(struct json_out *o)
{
    separate(o);
    put(o, "null", 4);
}

void json_put_raw(struct json_out *o, const char *json, size_t bytes)
{
    separate(o);
    put(o, json, bytes);
}

/* [..]: room is made for some at a time. */
static void put_row(struct json_out *o, const float *data, size_t n)
{
    enum { SOME = 32, MOST_BYTES = 33 }; /* of one number, with the comma in front */

    json_open(o, '[');
    for (size_t i = 0; i < n;) {
        size_t end = n - i < SOME ? n : i + SOME;
        char *begin = json_reserve(o, (end - i) * MOST_BYTES), *p = begin;
        if (!p) return;
        for (; i < end; i++) {
            if (i) *p++ = ',';
            p += json_format_float(p, data[i]);
        }
        o->bytes += (size_t)(p - begin);
    }
    json_close(o, ']');
}

void json_put_floats(struct json_out *o, const float *data, int rank, const size_t *dim)
{
    size_t stride = 1;

    if (rank == 0) {
        json_put_float(o, *data);
        return;
    }
    if (rank == 1) {
        put_row(o, data, dim[0]);
        return;
    }
    json_open(o, '[');
    for (int i = 1; i < rank; i++) stride *= dim[i];
    for (size_t i = 0; i < dim[0] && !o->failed; i++) json_put_floats(o, data + i * stride, rank - 1, dim + 1);
    json_close(o, ']');
}

void json_append(struct json_out *o, const char *text, size_t bytes)
{
    put(o, text, bytes);
    o->comma = false;
}
