/* many.c -- POST /v1/steps: rows for many sessions in one request, one result or error per row, in order.
 *
 * NDJSON: a row is {"session","model"?,"step"?,"inputs"|"text"|"ids","outputs"?,"logits"?}; its result
 *     {"session","step","outputs","replayed","mode","model_version"} or {"session","status","error":{..}}.
 * application/octet-stream, all little-endian; rows stand one behind the other, each a multiple of 4 bytes:
 *     request   0  4  bytes of the session id, 1 to 128        4  4  bytes of the input rows, a multiple of 4
 *               8  8  step expected, all bits set = none      16  .  id, zeros up to a multiple of 4
 *               ..    the input rows, float32
 *     reply     0  4  HTTP status of the row (200 = done)      4  4  1 = replayed
 *               8  8  step of the session after it            16  4  rows R     20  4  width W
 *              24     R x W float32; of a failed row W is 0, R the bytes of the error's JSON, padded with zeros to 4
 * Unknown ids of binary rows are created where the query names ?model=. The query's outputs=last goes for every row.
 *
 * All rows begin at once: those of different sessions share batches, those of one session run in order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/confirm.h"
#include "server/api/handlers.h"
#include "server/api/stepping.h"
#include "server/engine/fail.h"

static const char *const line_types[] = {"application/x-ndjson", "application/json"};
static const char *const float_types[] = {"application/octet-stream"};

struct many_row {
    struct stepping s;
    struct json_doc *doc;
    char id[129];
    bool begun, ended;
};

struct many_call {
    struct app *app;
    struct http_request *r;     /* NULL once the client is gone */
    bool binary;
    struct many_row *rows;
    size_t count, pending;
    size_t output_left_bytes;   /* of all rows */
};

static void many_free(struct many_call *c)
{
    for (size_t i = 0; i < c->count; i++) {
        stepping_free(&c->rows[i].s);
        json_free(c->rows[i].doc);
    }
    free(c->rows);
    free(c);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void put_line(struct json_out *o, const struct many_row *row)
{
    o->comma = false;
    json_open(o, '{');
    json_put_key(o, "session");
    json_put_text(o, row->id[0] ? row->id : NULL);
    if (row->s.code == RNND_OK) {
        stepping_put_result(o, &row->s, true);
    } else {
        json_put_key(o, "status");
        json_put_int(o, rnnd_code_http_status(row->s.code));
        json_put_key(o, "error");
        stepping_put_error(o, &row->s);
    }
    json_close(o, '}');
    json_append(o, "\n", 1);
}

static void put_floats(struct json_out *o, const struct many_row *row)
{
    const struct stepping *s = &row->s;
    struct json_out text;
    bool good = s->code == RNND_OK;
    uint64_t step = good ? s->step : 0;
    uint32_t head[6] = {(uint32_t)rnnd_code_http_status(s->code), good && s->replayed, (uint32_t)step,
                        (uint32_t)(step >> 32), (uint32_t)s->rows, (uint32_t)s->row_width};
    json_out_init(&text);
    if (!good) {
        stepping_put_error(&text, s);
        head[4] = (uint32_t)text.bytes;
        head[5] = 0;
    }
    json_append(o, (const char *)head, sizeof head);
    if (good) {
        json_append(o, (const char *)s->outputs, s->rows * s->row_width * sizeof(float));
    } else {
        json_append(o, text.data, text.bytes);
        json_append(o, "\0\0\0", (4 - text.bytes % 4) % 4);
    }
    json_out_free(&text);
}

/* Bytes have no place for guesses: a header counts those of the row that rests on most. */
static void count_guesses(struct many_call *c)
{
    const struct model *most = NULL;
    for (size_t i = 0; i < c->count; i++) {
        const struct stepping *s = &c->rows[i].s;
        if (s->code != RNND_OK || !s->model) continue;
        if (!most || s->model->info->assumption_count > most->info->assumption_count) most = s->model;
    }
    if (most) confirm_add_header(c->r, most);
}

static void many_answer(struct many_call *c)
{
    struct json_out o;
    if (c->r) {
        if (c->binary) count_guesses(c);
        json_out_init(&o);
        for (size_t i = 0; i < c->count; i++) {
            if (c->binary) put_floats(&o, &c->rows[i]);
            else put_line(&o, &c->rows[i]);
        }
        http_answer_with(c->r, 200, c->binary ? "application/octet-stream" : "application/x-ndjson", &o);
        json_out_free(&o);
    }
    many_free(c);
}

static void row_done(struct stepping *s)
{
    struct many_call *c = s->owner;
    struct many_row *row = (struct many_row *)((char *)s - offsetof(struct many_row, s));
    row->ended = true;
    if (--c->pending == 0) many_answer(c);
}

/* The last rows first, so that none is begun by the end of one before it. */
static void many_gone(struct http_request *r, enum http_gone why, void *context)
{
    struct many_call *c = context;
    (void)r, (void)why;
    c->r = NULL;
    c->pending++;
    for (size_t i = c->count; i-- > 0; )
        if (c->rows[i].begun && !c->rows[i].ended) stepping_cancel(&c->rows[i].s);
    if (--c->pending == 0) many_answer(c);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void row_begin(struct many_call *c, struct many_row *row, struct session *x)
{
    if (!x && !stepping_create(&row->s, row->id, &x)) {
        stepping_fail(&row->s, row->s.wire_code);
        return;
    }
    (void)c;
    row->begun = true;
    stepping_start(&row->s, x);
}

/* "session", "model" and "step" of a line; sets the error otherwise. */
static bool line_head(struct many_row *row, const struct json *body, const char **model_name)
{
    struct stepping *s = &row->s;
    const struct json *named = json_get(body, "model"), *step = json_get(body, "step");
    size_t bytes = 0;
    int64_t n = 0;
    const char *id = json_string(json_get(body, "session"), &bytes);
    *model_name = json_string(named, &(size_t){0});
    if (!id || bytes == 0 || bytes >= sizeof row->id)
        engine_fail(&s->error, RNND_INVALID, "session", "a row needs \"session\", an id of 1 to 128 characters");
    else if (json_type(named) != JSON_NULL && !*model_name)
        engine_fail(&s->error, RNND_INVALID, "model", "model must be the name of a model, a string");
    else if (json_type(step) != JSON_NULL && (!json_integer(step, &n) || n < 0))
        engine_fail(&s->error, RNND_INVALID, "step", "step must be a whole number, 0 or more");
    else {
        snprintf(row->id, sizeof row->id, "%s", id);
        s->request.has_step = json_type(step) != JSON_NULL;
        s->request.step = (uint64_t)n;
        return true;
    }
    return false;
}

static void begin_line(struct many_call *c, struct many_row *row, const char *line, size_t bytes)
{
    char message[200];
    const char *model_name;
    struct session *x;
    struct stepping *s = &row->s;
    if (json_parse(line, bytes, c->app->json_depth, &row->doc, message, sizeof message) != 0 ||
        json_type(json_root(row->doc)) != JSON_OBJECT) {
        engine_fail(&s->error, RNND_INVALID, "", "row %zu is no JSON object: %s", (size_t)(row - c->rows),
                    row->doc ? "it is another value" : message);
        stepping_fail(s, row->doc ? "invalid_request" : "invalid_json");
        return;
    }
    s->request.body_hash = app_hash(line, bytes, 0);
    if (!line_head(row, json_root(row->doc), &model_name)) {
        stepping_fail(s, NULL);
        return;
    }
    if (!stepping_find(s, row->id, model_name, &x)) stepping_fail(s, s->wire_code);
    else if (stepping_read(s, json_root(row->doc), &s->error) != RNND_OK) stepping_fail(s, NULL);
    else row_begin(c, row, x);
}

/* Where the id of a binary row ends, zeros included. */
static size_t padded(uint32_t id_bytes)
{
    return 16 + ((size_t)id_bytes + 3) / 4 * 4;
}

/* The byte table above: `row` stands at the row's head, whose sizes have been checked by count_floats(). */
static void begin_floats(struct many_call *c, struct many_row *row, const unsigned char *head, size_t bytes,
                         const char *model_name)
{
    uint32_t id_bytes;
    struct session *x;
    struct stepping *s = &row->s;
    memcpy(&id_bytes, head, 4);
    memcpy(&s->request.step, head + 8, 8);
    s->request.has_step = s->request.step != UINT64_MAX;
    s->request.body_hash = app_hash(head, bytes, 0);
    memcpy(row->id, head + 16, id_bytes);
    size_t skip = padded(id_bytes);
    s->all_logprobs = true;
    if (strlen(row->id) != id_bytes) {
        engine_fail(&s->error, RNND_INVALID, "session", "the session id of row %zu holds a zero byte",
                    (size_t)(row - c->rows));
        stepping_fail(s, NULL);
        return;
    }
    if (!stepping_find(s, row->id, model_name, &x)) {
        stepping_fail(s, s->wire_code);
        return;
    }
    struct inputs_want want = inputs_want_steps(s->model->info, "inputs", c->app->steps_limit);
    if (inputs_floats(&want, head + skip, bytes - skip, &s->memory.in, &s->error) != RNND_OK) stepping_fail(s, NULL);
    else row_begin(c, row, x);
}

/* ---- the body, cut into rows ------------------------------------------------------------------------------------- */

struct span { size_t at, bytes; };
struct spans { struct span *list; size_t count, cap; };

static bool add_span(struct spans *s, size_t at, size_t bytes)
{
    if (s->count == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        struct span *list = realloc(s->list, cap * sizeof *list);
        if (!list) return false;
        s->list = list;
        s->cap = cap;
    }
    s->list[s->count++] = (struct span){at, bytes};
    return true;
}

static rnnd_code cut_lines(const char *body, size_t bytes, size_t limit, struct spans *out, rnnd_error *err)
{
    for (size_t at = 0; at < bytes; ) {
        const char *end = memchr(body + at, '\n', bytes - at);
        size_t n = end ? (size_t)(end - body) - at : bytes - at;
        size_t text = n && body[at + n - 1] == '\r' ? n - 1 : n;
        size_t blank = 0;
        while (blank < text && (body[at + blank] == ' ' || body[at + blank] == '\t')) blank++;
        if (blank < text) {
            if (out->count == limit)
                return engine_fail(err, RNND_TOO_LARGE, "", "at most %zu rows are taken in one request", limit);
            if (!add_span(out, at, text)) return engine_fail_memory(err, out->count * sizeof *out->list);
        }
        at += n + 1;
    }
    return RNND_OK;
}

static rnnd_code cut_floats(const unsigned char *body, size_t bytes, size_t limit, struct spans *out, rnnd_error *err)
{
    for (size_t at = 0; at < bytes; ) {
        uint32_t id_bytes = 0, data_bytes = 0;
        size_t left = bytes - at;
        if (out->count == limit)
            return engine_fail(err, RNND_TOO_LARGE, "", "at most %zu rows are taken in one request", limit);
        if (left < 16)
            return engine_fail(err, RNND_INVALID, "", "row %zu: wanted a head of 16 bytes, found %zu", out->count,
                               left);
        memcpy(&id_bytes, body + at, 4);
        memcpy(&data_bytes, body + at + 4, 4);
        if (id_bytes < 1 || id_bytes > 128)
            return engine_fail(err, RNND_INVALID, "", "row %zu: a session id has 1 to 128 bytes, the head says %u",
                               out->count, id_bytes);
        if (data_bytes % 4 || padded(id_bytes) > left || data_bytes > left - padded(id_bytes))
            return engine_fail(err, RNND_INVALID, "",
                               "row %zu: the head says %u bytes of float32, the body has %zu left", out->count,
                               data_bytes, left);
        if (!add_span(out, at, padded(id_bytes) + data_bytes))
            return engine_fail_memory(err, out->count * sizeof *out->list);
        at += padded(id_bytes) + data_bytes;
    }
    return RNND_OK;
}

static void begin_all(struct many_call *c, const char *body, const struct spans *spans)
{
    const char *outputs = http_query(c->r, "outputs"), *retries = http_header(c->r, "x-stainless-retry-count");
    const char *model_name = http_query(c->r, "model");
    bool is_retry = retries && strtol(retries, NULL, 10) > 0;
    http_on_gone(c->r, many_gone, c);
    c->output_left_bytes = c->binary ? STEPPING_OUTPUT_LIMIT : STEPPING_TEXT_LIMIT;
    c->pending = c->count + 1; /* rows may end while they are being begun */
    for (size_t i = 0; i < c->count; i++) {
        struct stepping *s = &c->rows[i].s;
        s->app = c->app;
        s->owner = c;
        s->done = row_done;
        s->output_left_bytes = &c->output_left_bytes;
        s->last_only = outputs && strcmp(outputs, "last") == 0;
        s->request.is_retry = is_retry;
        if (c->binary)
            begin_floats(c, &c->rows[i], (const unsigned char *)body + spans->list[i].at, spans->list[i].bytes,
                         model_name);
        else begin_line(c, &c->rows[i], body + spans->list[i].at, spans->list[i].bytes);
    }
    if (--c->pending == 0) many_answer(c);
}

void post_steps(struct app *app, struct http_request *r)
{
    size_t bytes;
    rnnd_error err = {0};
    struct spans spans = {0};
    const char *body = http_body(r, &bytes);
    bool binary = app_body_is(r, "application/octet-stream");
    if (app_accept(r, binary ? float_types : line_types, binary ? 1 : 2) < 0) return;
    rnnd_code code = binary ? cut_floats((const unsigned char *)body, bytes, app->many_limit, &spans, &err)
                            : cut_lines(body, bytes, app->many_limit, &spans, &err);
    if (code == RNND_OK && spans.count == 0)
        code = engine_fail(&err, RNND_INVALID, "", "the body holds no row; wanted lines of {\"session\",\"inputs\"}");
    struct many_call *c = code == RNND_OK ? calloc(1, sizeof *c) : NULL;
    if (c) c->rows = calloc(spans.count, sizeof *c->rows);
    if (code == RNND_OK && (!c || !c->rows)) code = engine_fail_memory(&err, spans.count * sizeof *c->rows);
    if (code != RNND_OK) {
        app_error(r, &err, NULL);
        free(c);
    } else {
        c->app = app;
        c->r = r;
        c->binary = binary;
        c->count = spans.count;
        begin_all(c, body, &spans);
    }
    free(spans.list);
}
