/* json_write.c -- JSON text into a growing buffer; commas put by themselves. */
#include "server/http/json.h"
#include "server/http/json_scan_private.h"

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

/* Room for `bytes` more; the place to write them, NULL when there is none. */
static char *reserve(struct json_out *o, size_t bytes)
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

static void put(struct json_out *o, const char *text, size_t bytes)
{
    char *p = reserve(o, bytes);

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
    while (s < end) {
        unsigned char c = (unsigned char)*s;
        size_t n = json_utf8(s, end);
        if (n && c >= 0x20 && c != '"' && c != '\\') {
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
    p = reserve(o, 32);
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
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", (long long)v);

    separate(o);
    put(o, text, (size_t)n);
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

void json_put_floats(struct json_out *o, const float *data, int rank, const size_t *dim)
{
    size_t stride = 1;

    if (rank == 0) {
        json_put_float(o, *data);
        return;
    }
    json_open(o, '[');
    for (int i = 1; i < rank; i++) stride *= dim[i];
    for (size_t i = 0; i < dim[0] && !o->failed; i++)
        if (rank == 1) json_put_float(o, data[i]);
        else json_put_floats(o, data + i * stride, rank - 1, dim + 1);
    json_close(o, ']');
}

void json_append(struct json_out *o, const char *text, size_t bytes)
{
    put(o, text, bytes);
    o->comma = false;
}
