/* steps.c -- POST /v1/sessions/{id}/steps: rows in, outputs out, as JSON, float32, events or lines.
 *
 * text/event-stream:     id: 7            (the session's step after this row)
 *                        data: {"step":7,"output":[..]}
 *                        ...
 *                        event: done
 *                        data: {"step":9,"replayed":false,"mode":"carry","model_version":".."}
 * application/x-ndjson:  {"step":7,"output":[..]} a line, the last {"done":true,"step":9,...}
 * application/octet-stream: rows of float32; X-Step, X-Replayed, X-Mode, X-Model-Version say the rest.
 * A fault in mid-stream: {"error":{..}} as an event or line, then the connection breaks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/api/confirm.h"
#include "server/api/handlers.h"
#include "server/api/stepping.h"
#include "server/engine/fail.h"

enum reply_format { REPLY_JSON, REPLY_EVENTS, REPLY_LINES, REPLY_FLOATS };
static const char *const reply_types[] = {"application/json", "text/event-stream", "application/x-ndjson",
                                          "application/octet-stream"};
#define WRITE_BYTES 32768 /* rows that are ready together leave in pieces of about this size */

struct steps_call {
    struct stepping s;
    struct http_request *r;     /* NULL once the client is gone */
    struct json_doc *doc;
    char *body;                 /* of float32: the rows stay in it */
    size_t body_cap;
    enum reply_format format;
    bool opened, finished;      /* the stream; the work */
    size_t sent;                /* rows */
    size_t output_left_bytes;
    struct steps_call *next;    /* spare ones */
    uint64_t after;             /* Last-Event-ID: events up to this step are not sent again */
};

enum { SPARE_CALLS = 256, BODY_KEPT = 64 << 10 };

static void free_whole(struct steps_call *c)
{
    stepping_free(&c->s);
    json_free(c->doc);
    free(c->body);
    free(c);
}

/* As new, but for the memory it had before: requests one after the other allocate nothing. */
static struct steps_call *call_new(struct app *app)
{
    struct steps_call *c = app->spare_calls;
    if (!c) return calloc(1, sizeof *c);
    app->spare_calls = c->next;
    app->spare_call_count--;
    return c;
}

static void call_free(struct steps_call *c)
{
    struct app *app = c->s.app;
    if (app->spare_call_count == SPARE_CALLS || c->body_cap > BODY_KEPT) {
        free_whole(c);
        return;
    }
    stepping_forget(&c->s);
    json_forget(c->doc);
    c->opened = c->finished = false;
    c->sent = 0;
    c->next = app->spare_calls;
    app->spare_calls = c;
    app->spare_call_count++;
}

void steps_free_spare(struct app *app)
{
    while (app->spare_calls) {
        struct steps_call *c = app->spare_calls;
        app->spare_calls = c->next;
        free_whole(c);
    }
    app->spare_call_count = 0;
}

static bool streams(const struct steps_call *c)
{
    return c->format == REPLY_EVENTS || c->format == REPLY_LINES;
}

/* ---- whole answers ----------------------------------------------------------------------------------------------- */

static void answer_floats(struct http_request *r, struct stepping *s)
{
    char step[24];
    snprintf(step, sizeof step, "%llu", (unsigned long long)s->step);
    http_add_header(r, "X-Step", step);
    http_add_header(r, "X-Replayed", s->replayed ? "true" : "false");
    http_add_header(r, "X-Mode", app_mode_name(s->model->info->mode));
    http_add_header(r, "X-Model-Version", s->model->version);
    confirm_add_header(r, s->model);
    http_answer_with(r, 200, "application/octet-stream", &s->memory.outputs);
}

static void answer_json(struct http_request *r, const struct stepping *s)
{
    struct json_out *o = http_out(r);
    json_open(o, '{');
    stepping_put_result(o, s, true);
    json_close(o, '}');
    json_append(o, "\n", 1);
    http_answer_out(r, 200, "application/json");
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

static void put_piece(struct json_out *o, const struct steps_call *c, size_t row)
{
    char id[40];
    uint64_t step = stepping_row_step(&c->s, row);
    if (c->format == REPLY_EVENTS)
        json_append(o, id, (size_t)snprintf(id, sizeof id, "id: %llu\ndata: ", (unsigned long long)step));
    o->comma = false;
    json_open(o, '{');
    json_put_name(o, "step");
    json_put_int(o, (int64_t)step);
    json_put_name(o, "output");
    stepping_put_row(o, &c->s, row);
    json_close(o, '}');
    if (c->format == REPLY_EVENTS) json_append(o, "\n\n", 2);
    else json_append(o, "\n", 1);
}

static void put_end(struct json_out *o, const struct steps_call *c)
{
    bool events = c->format == REPLY_EVENTS;
    if (events) json_append(o, "event: done\ndata: ", 18);
    o->comma = false;
    json_open(o, '{');
    if (!events) {
        json_put_name(o, "done");
        json_put_bool(o, true);
    }
    stepping_put_result(o, &c->s, false);
    json_close(o, '}');
    json_append(o, "\n\n", events ? 2 : 1);
}

static void open_stream(struct steps_call *c)
{
    if (c->opened) return;
    c->opened = true;
    http_no_deadline(c->r);
    http_add_header(c->r, "Cache-Control", "no-store");
    http_stream_open(c->r, 200, reply_types[c->format]);
}

/* After a fault in mid-stream nothing may look complete. */
static void break_stream(struct steps_call *c)
{
    struct json_out o;
    json_out_init(&o);
    if (c->format == REPLY_EVENTS) json_append(&o, "data: ", 6);
    o.comma = false;
    stepping_put_failure(&o, &c->s);
    json_append(&o, "\n\n", c->format == REPLY_EVENTS ? 2 : 1);
    if (!o.failed) http_stream_write(c->r, o.data, o.bytes);
    json_out_free(&o);
    http_stream_abort(c->r);
    call_free(c);
}

/* No memory for a piece: what follows would be a hole in the stream. */
static void fail_stream(struct steps_call *c)
{
    http_stream_abort(c->r);
    c->r = NULL;
    if (c->finished) call_free(c);
    else stepping_cancel(&c->s);
}

/* Sends what is ready and has room. The call may be gone after this. */
static void pump(struct steps_call *c)
{
    struct json_out o;
    size_t ready = atomic_load_explicit(&c->s.ready, memory_order_acquire);
    json_out_init(&o);
    open_stream(c);
    while (c->sent < ready && !o.failed && !http_stream_full(c->r)) {
        json_out_reset(&o);
        for (; c->sent < ready && o.bytes < WRITE_BYTES; c->sent++)
            if (c->format != REPLY_EVENTS || stepping_row_step(&c->s, c->sent) > c->after) put_piece(&o, c, c->sent);
        if (o.bytes && !o.failed) http_stream_write(c->r, o.data, o.bytes);
    }
    bool broken = c->finished && c->s.code != RNND_OK, complete = c->finished && !broken && c->sent == ready;
    if (complete && !o.failed) {
        json_out_reset(&o);
        put_end(&o, c);
        if (!o.failed) http_stream_write(c->r, o.data, o.bytes);
    }
    bool failed = o.failed;
    json_out_free(&o);
    if (failed) {
        fail_stream(c);
    } else if (broken) {
        break_stream(c);
    } else if (complete) {
        http_stream_close(c->r);
        call_free(c);
    }
}

/* ---- the course of a call ---------------------------------------------------------------------------------------- */

static void steps_progress(struct stepping *s)
{
    struct steps_call *c = s->owner;
    if (c->r) pump(c);
}

static void steps_done(struct stepping *s)
{
    struct steps_call *c = s->owner;
    c->finished = true;
    if (!c->r) {
        call_free(c);
    } else if (streams(c) && (s->code == RNND_OK || c->opened)) {
        pump(c);
    } else {
        if (s->code != RNND_OK) stepping_answer_failure(c->r, s);
        else if (c->format == REPLY_FLOATS) answer_floats(c->r, s);
        else answer_json(c->r, s);
        call_free(c);
    }
}

static void steps_gone(struct http_request *r, enum http_gone why, void *context)
{
    struct steps_call *c = context;
    (void)r, (void)why;
    c->r = NULL;
    if (c->finished) call_free(c);
    else stepping_cancel(&c->s);
}

static void steps_room(struct http_request *r, void *context)
{
    (void)r;
    pump(context);
}

/* Float32 rows, with the options that JSON has in the query. */
static rnnd_code read_floats(struct steps_call *c, rnnd_error *err)
{
    const char *outputs = http_query(c->r, "outputs");
    struct inputs_want want = inputs_want_steps(c->s.model->info, "body", c->s.app->steps_limit);
    if (outputs && strcmp(outputs, "all") && strcmp(outputs, "last"))
        return engine_fail(err, RNND_INVALID, "outputs", "outputs must be \"all\" or \"last\"");
    c->s.last_only = outputs && strcmp(outputs, "last") == 0;
    want.borrow = true;
    size_t bytes = http_take_body(c->r, &c->body, &c->body_cap);
    return inputs_floats(&want, c->body, bytes, &c->s.memory.in, err);
}

/* Everything before the session's turn; false after answering. */
static bool prepare(struct app *app, struct steps_call *c, struct session **x)
{
    struct http_request *r = c->r;
    const char *id = http_param(r, 0), *last = http_header(r, "Last-Event-ID"), *model_name;
    const struct json *body = NULL;
    bool floats = app_body_is(r, "application/octet-stream");
    size_t bytes;
    sessions_prefetch(app->sessions, id); /* reading the body takes about as long as memory does */
    int format = app_accept(r, reply_types, 4);
    if (format < 0) return false;
    c->format = (enum reply_format)format;
    c->after = last ? strtoull(last, NULL, 10) : 0;
    if (!floats) {
        if (!app_json_body_again(app, r, &c->doc)) return false;
        body = json_root(c->doc);
    }
    if (!app_session_request(r, body, &c->s.request)) return false;
    const struct json *named = json_get(body, "model");
    model_name = floats ? http_query(r, "model") : json_string(named, &bytes);
    if (json_type(named) != JSON_NULL && !model_name) {
        http_error(r, 400, "invalid_request", "model", "model must be the name of a model, a string");
        return false;
    }
    if (stepping_find(&c->s, id, model_name, x)) {
        rnnd_code code = floats ? read_floats(c, &c->s.error) : stepping_read(&c->s, body, &c->s.error);
        c->s.wire_code = NULL;
        if (c->format == REPLY_FLOATS) c->s.all_logprobs = true;
        if (code == RNND_OK && (*x || stepping_create(&c->s, id, x))) return true;
    }
    if (!c->s.wire_code) c->s.wire_code = rnnd_code_name(c->s.error.code);
    c->s.code = c->s.error.code;
    stepping_answer_failure(r, &c->s);
    return false;
}

void post_session_steps(struct app *app, struct http_request *r)
{
    struct session *x = NULL;
    struct steps_call *c = call_new(app);
    if (!c) {
        http_error(r, 503, "no_memory", "", "the request found no memory");
        return;
    }
    c->r = r;
    c->s.app = app;
    c->s.owner = c;
    c->s.output_left_bytes = &c->output_left_bytes;
    c->s.done = steps_done;
    if (!prepare(app, c, &x)) {
        call_free(c);
        return;
    }
    c->output_left_bytes = c->format == REPLY_JSON ? STEPPING_TEXT_LIMIT : STEPPING_OUTPUT_LIMIT;
    if (streams(c)) c->s.progress = steps_progress;
    http_on_gone(r, steps_gone, c);
    if (streams(c)) http_on_room(r, steps_room, c);
    stepping_start(&c->s, x);
}
