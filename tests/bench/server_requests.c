/* server_requests.c -- bodies in JSON and bytes with made-up numbers. */
#include "tests/bench/server_requests.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench.h"

#define JSON "application/json"
#define LINES "application/x-ndjson"
#define BYTES "application/octet-stream"

struct text {
    char *data;
    size_t bytes;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...)
{
    char piece[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(piece, sizeof piece, format, args);
    va_end(args);
    t->data = realloc(t->data, t->bytes + (size_t)n + 1);
    if (!t->data) die("no memory for a body of %zu bytes", t->bytes);
    memcpy(t->data + t->bytes, piece, (size_t)n + 1);
    t->bytes += (size_t)n;
}

/* In [0, 1), four digits. */
static double number(size_t row, size_t i)
{
    return (double)((row * 7919 + i * 104729 + 1234) % 10000) * 1e-4;
}

/* Always as many characters, so that rows of one kind are equally long. */
static void put_row(struct text *t, size_t row)
{
    for (size_t i = 0; i < STEP_INPUTS; i++)
        put(t, "%c%.4f", i ? ',' : '[', number(row, i));
    put(t, "]");
}

static struct load_request finish(const char *path, const char *type, struct text *body)
{
    struct load_request r = load_request(path, type, body->data, body->bytes);
    free(body->data);
    return r;
}

struct load_request request_step(size_t session)
{
    struct text body = {0};
    char path[64];
    put(&body, "{\"model\":\"lstm\",\"inputs\":[");
    put_row(&body, session);
    put(&body, "]}");
    snprintf(path, sizeof path, "/v1/sessions/bench-%zu/steps", session);
    return finish(path, JSON, &body);
}

struct load_request request_step_bytes(size_t session)
{
    float row[STEP_INPUTS];
    char path[64];
    for (size_t i = 0; i < STEP_INPUTS; i++)
        row[i] = (float)number(session, i);
    snprintf(path, sizeof path, "/v1/sessions/bytes-%zu/steps?model=lstm", session);
    return load_request(path, BYTES, row, sizeof row);
}

/* The first place of the seven zeros that a session number will replace. */
static size_t place_of_id(const struct load_request *r, const char *before)
{
    const char *at = strstr(r->bytes, before);
    if (!at) die("a request has no place for an id");
    return (size_t)(at - r->bytes) + strlen(before);
}

struct load_request request_any_step(struct load_ids *ids)
{
    struct text body = {0};
    put(&body, "{\"model\":\"lstm\",\"inputs\":[");
    put_row(&body, 0);
    put(&body, "]}");
    struct load_request r = finish("/v1/sessions/s0000000/steps", JSON, &body);
    r.ids = ids;
    r.rows = 1;
    r.id_at = place_of_id(&r, "sessions/s");
    return r;
}

struct load_request request_many(struct load_ids *ids, size_t rows)
{
    struct text body = {0};
    size_t stride = 0;
    for (size_t i = 0; i < rows; i++) {
        put(&body, "{\"session\":\"s0000000\",\"model\":\"lstm\",\"inputs\":[");
        put_row(&body, i);
        put(&body, "]}\n");
        if (i == 0) stride = body.bytes;
    }
    struct load_request r = finish("/v1/steps", LINES, &body);
    r.ids = ids;
    r.rows = rows;
    r.id_stride = stride;
    r.id_at = place_of_id(&r, "\"session\":\"s");
    return r;
}

/* The byte table of server/api/many.c: head of 16 bytes, id, row. */
struct load_request request_many_bytes(struct load_ids *ids, size_t rows)
{
    enum { HEAD = 16, ID = 1 + LOAD_DIGITS, STRIDE = HEAD + ID + STEP_INPUTS * 4 };
    unsigned char *body = malloc(rows * STRIDE);
    if (!body) die("no memory for %zu rows", rows);
    for (size_t i = 0; i < rows; i++) {
        const uint32_t head[4] = {ID, STEP_INPUTS * 4, UINT32_MAX, UINT32_MAX};
        unsigned char *at = body + i * STRIDE;
        memcpy(at, head, HEAD);
        memcpy(at + HEAD, "s0000000", ID);
        for (size_t k = 0; k < STEP_INPUTS; k++) {
            float v = (float)number(i, k);
            memcpy(at + HEAD + ID + 4 * k, &v, 4);
        }
    }
    struct load_request r = load_request("/v1/steps?model=lstm", BYTES, body, rows * STRIDE);
    free(body);
    r.ids = ids;
    r.rows = rows;
    r.id_stride = STRIDE;
    r.id_at = r.length - rows * STRIDE + HEAD + 1;
    return r;
}

struct load_request request_window(size_t steps)
{
    struct text body = {0};
    put(&body, "{\"instances\":[[");
    for (size_t i = 0; i < steps; i++) {
        if (i) put(&body, ",");
        put_row(&body, i);
    }
    put(&body, "]]}");
    return finish("/v1/models/lstm:predict", JSON, &body);
}

struct load_request request_forecast(size_t steps)
{
    struct text body = {0};
    put(&body, "{\"model\":\"series\",\"quantiles\":[0.1,0.5,0.9],\"series\":[");
    for (size_t i = 0; i < steps; i++)
        put(&body, i ? ",%.0f" : "%.0f", 15000.0 + 8000.0 * sin(6.2831853 * (double)(i % 48) / 48));
    put(&body, "]}");
    return finish("/v1/forecast", JSON, &body);
}

struct load_request request_stream(int tokens)
{
    struct text body = {0};
    put(&body,
        "{\"model\":\"text\",\"prompt\":\"a\",\"max_tokens\":%d,\"temperature\":0.8,\"seed\":1,\"stream\":true,"
        "\"stream_options\":{\"include_usage\":true}}",
        tokens);
    return finish("/v1/completions", JSON, &body);
}
