/* answer.c -- answers, errors and streams: what goes out, and when a suspended connection goes on. */
#include "server/http/http_private.h"
#include "server/http/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { STREAM_BLOCK = 16384, STREAM_KEEP = 65536 };

/* ---- whole answers ------------------------------------------------------------------------------------------- */
void http_add_header(struct http_request *r, const char *name, const char *value)
{
    struct header *h = recycle_room(r, sizeof *h);

    if (!h) return;
    *h = (struct header){r->headers, recycle_text(r, name), recycle_text(r, value)};
    if (h->name && h->value) r->headers = h;
}

static void dress(struct http_request *r, struct MHD_Response *response, const char *content_type)
{
    if (content_type) MHD_add_response_header(response, "Content-Type", content_type);
    MHD_add_response_header(response, "x-request-id", r->id);
    for (const struct header *h = r->headers; h; h = h->next) MHD_add_response_header(response, h->name, h->value);
    if (r->origin) {
        MHD_add_response_header(response, "Access-Control-Allow-Origin", r->origin);
        MHD_add_response_header(response, "Access-Control-Expose-Headers", "*");
        MHD_add_response_header(response, "Vary", "Origin");
    }
    if (r->close_connection || r->server->phase >= STOPPING) MHD_add_response_header(response, "Connection", "close");
}

/* What r->reply holds is the answer. It stays there until MHD has sent it: r lives longer than that. */
static void give(struct http_request *r, int status, const char *content_type)
{
    size_t bytes = r->reply.failed ? 0 : r->reply.bytes;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(bytes, bytes ? r->reply.data : "", MHD_RESPMEM_PERSISTENT);

    if (!response) return; /* no memory: with nothing to say the connection is broken */
    dress(r, response, content_type);
    if (r->response) MHD_destroy_response(r->response);
    r->response = response;
    r->status = status;
    r->bytes_out = r->head ? 0 : bytes;
    r->due_ms = 0;
}

/* Nobody reads what is written for one who has left; r->reply may then hold what MHD is sending, such as a 504. */
struct json_out *http_out(struct http_request *r)
{
    struct json_out *o = r->is_gone ? &r->server->nowhere : &r->reply;

    json_out_reset(o);
    return o;
}

void http_answer_out(struct http_request *r, int status, const char *content_type)
{
    if (!r->is_gone) {
        if (r->reply.failed) answer_error(r, 503, "no_memory", NULL, "the answer found no memory");
        else if (request_take_memory(r, r->reply.bytes)) give(r, status, content_type);
        else answer_error(r, 503, "overloaded", NULL, "the bodies and answers of all requests together are as large as "
                          "they may be");
        if (!r->in_handler) request_resume(r);
    }
    request_let_go(r);
}

void http_answer_with(struct http_request *r, int status, const char *content_type, struct json_out *o)
{
    struct json_out *own = http_out(r), empty = *own;

    *own = *o;
    *o = empty;
    http_answer_out(r, status, content_type);
}

void http_answer(struct http_request *r, int status, const char *content_type, const void *body, size_t bytes)
{
    json_append(http_out(r), body, bytes);
    http_answer_out(r, status, content_type);
}

static const char *error_type(int status)
{
    if (status == 401) return "authentication_error";
    if (status == 403) return "permission_error";
    if (status == 404 || status == 410) return "not_found_error";
    if (status == 429) return "rate_limit_error";
    return status >= 500 ? "server_error" : "invalid_request_error";
}

void http_put_error(struct json_out *o, int status, const char *code, const char *param, const char *message)
{
    json_put_key(o, "message");
    json_put_text(o, message);
    json_put_key(o, "type");
    json_put_text(o, error_type(status));
    json_put_key(o, "param");
    json_put_text(o, param && *param ? param : NULL);
    json_put_key(o, "code");
    json_put_text(o, code);
}

/* The error as the answer, whoever holds the request. */
void answer_error(struct http_request *r, int status, const char *code, const char *param, const char *sentence)
{
    struct json_out *o = &r->reply;

    json_out_reset(o);
    json_open(o, '{');
    json_put_key(o, "error");
    json_open(o, '{');
    http_put_error(o, status, code, param, sentence);
    json_close(o, '}');
    json_close(o, '}');
    json_append(o, "\n", 1);
    if (status == 409 || status == 410 || status == 412) http_add_header(r, "x-should-retry", "false");
    if (status == 503) http_add_header(r, "Retry-After", "1");
    give(r, status, "application/json");
}

void http_error(struct http_request *r, int status, const char *code, const char *param, const char *format, ...)
{
    char sentence[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    if (!r->is_gone) {
        answer_error(r, status, code, param, sentence);
        if (!r->in_handler) request_resume(r);
    }
    request_let_go(r);
}

/* ---- streams ------------------------------------------------------------------------------------------------- */
static size_t unsent(const struct http_request *r)
{
    return r->out_bytes - r->out_at;
}

/* To a client of HTTP/1.0 the connection's end is the stream's end: only a reset tells it that something is missing,
 * and dissolving the association is what makes Linux send one at once. */
static ssize_t break_off(struct http_request *r)
{
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    if (r->old) connect(r->connection->fd, &nobody, sizeof nobody);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* MHD has room for `most` bytes: what is there goes out at once; with nothing there the connection sleeps until the
 * next write. The application may write again from within room_again, which comes last. */
static ssize_t read_stream(void *context, uint64_t position, char *buffer, size_t most)
{
    struct http_request *r = context;
    size_t n = unsent(r) < most ? unsent(r) : most;

    (void)position;
    if (n == 0) {
        if (r->closed) return r->aborted ? break_off(r) : MHD_CONTENT_READER_END_OF_STREAM;
        request_suspend(r);
        return 0;
    }
    memcpy(buffer, r->out + r->out_at, n);
    r->out_at += n;
    r->bytes_out += n;
    if (unsent(r) == 0) {
        r->out_at = r->out_bytes = 0;
        if (r->out_cap > STREAM_KEEP) { /* one long burst need not cost memory for the rest of the stream */
            free(r->out);
            r->out = NULL;
            r->out_cap = 0;
        }
    }
    if (r->was_full && unsent(r) <= r->server->stream_high_water / 2) {
        r->was_full = false;
        r->server->handled = true;
        if (r->room_again && r->held && !r->is_gone) r->room_again(r, r->room_context);
    }
    return (ssize_t)n;
}

void http_stream_open(struct http_request *r, int status, const char *content_type)
{
    struct MHD_Response *response;

    r->stream = true;
    if (r->is_gone) return;
    response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, r, NULL);
    r->status = status;
    if (response) {
        dress(r, response, content_type);
        if (r->response) MHD_destroy_response(r->response);
        r->response = response;
    } else {
        r->is_gone = true; /* no memory: the connection is broken */
    }
    if (!r->in_handler) request_resume(r);
}

static bool stream_room(struct http_request *r, size_t bytes)
{
    size_t cap = r->out_cap ? r->out_cap : 1024;
    char *p;

    if (bytes <= r->out_cap - r->out_bytes) return true;
    if (r->out_at) {
        memmove(r->out, r->out + r->out_at, unsent(r));
        r->out_bytes -= r->out_at;
        r->out_at = 0;
        if (bytes <= (r->out_cap - r->out_bytes) / 2) return true; /* half stays free, or moving would be all we do */
    }
    if (bytes > SIZE_MAX / 4 || r->out_bytes > SIZE_MAX / 4) return false;
    while (cap - r->out_bytes < bytes || cap < r->out_bytes) cap *= 2;
    if (!(p = realloc(r->out, cap))) return false;
    r->out = p;
    r->out_cap = cap;
    return true;
}

void http_stream_write(struct http_request *r, const void *data, size_t bytes)
{
    if (r->is_gone || r->closed || bytes == 0) return;
    if (!stream_room(r, bytes)) { /* no memory: a hole must not look like a whole */
        r->closed = r->aborted = true;
    } else {
        memcpy(r->out + r->out_bytes, data, bytes);
        r->out_bytes += bytes;
        if (!r->first_output_ns) r->first_output_ns = now_ns();
        if (unsent(r) > r->server->stream_high_water) r->was_full = true;
    }
    if (!r->in_handler) request_resume(r);
}

bool http_stream_full(const struct http_request *r)
{
    return unsent(r) > r->server->stream_high_water;
}

void http_on_room(struct http_request *r, void (*room)(struct http_request *r, void *context), void *context)
{
    r->room_again = room;
    r->room_context = context;
}

static void end_stream(struct http_request *r, bool aborted)
{
    if (!r->is_gone) {
        r->aborted |= aborted;
        r->closed = true;
        r->due_ms = 0;
        if (!r->in_handler) request_resume(r);
    }
    request_let_go(r);
}

void http_stream_close(struct http_request *r)
{
    end_stream(r, false);
}

void http_stream_abort(struct http_request *r)
{
    end_stream(r, true);
}
